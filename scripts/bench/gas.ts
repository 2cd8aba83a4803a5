import { mintCall } from '@bitcloak/chain/erc20';
import { sendCall } from '@bitcloak/chain/pool';
import { table } from '@bitcloak/cli/output';
import { terminateProver } from '@bitcloak/prover/prover';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { deployContract } from '../deploy/contracts.ts';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped } from './measure.ts';
import { PoolDriver } from './poolDriver.ts';

const SEED = 'bitcloak gas';
const VALUE = 1_000_000n;

type Row = { readonly call: string; readonly gas: bigint; readonly aim?: number; readonly peer?: string };

/** Gas of others' contracts as we measured it in November 2026; it is quoted here, not measured again. */
const PEERS = {
  deposit: 'Privacy Pools 323,000; Railgun 775,000; tornado-nova 1,214,000',
  transfer: 'Railgun 2×2 1,094,000; tornado-nova 1,190,000',
  withdrawal: 'Privacy Pools 439,000 to 611,000',
  insertion: 'LeanIMT 212,000, in batches of 64 46,700',
} as const;

const AIMS = { deposit: 90_000, transfer: 350_000, withdrawal: 370_000, insertion: 6_500 } as const;

/** A token that the pool may take from account 0; the others hold some already, so that no balance is written for the first time. */
async function makeToken(driver: PoolDriver, holders: readonly string[]): Promise<bigint> {
  const signer = driver.signer(0);
  const token = BigInt(await (await deployContract(signer, 'DevelopmentToken')).getAddress());
  for (const holder of holders) await sendCall(signer, mintCall(token, BigInt(holder), 100n * VALUE));
  await driver.approve(token, 100n * VALUE);
  return token;
}

async function measure(driver: PoolDriver, say: Say): Promise<Row[]> {
  const [payer, to, relayer] = [driver.signer(0), driver.signer(8), driver.signer(9)].map(({ address }) => address) as [
    string,
    string,
    string,
  ];
  const token = await makeToken(driver, [payer, to, relayer]);
  const rows: Row[] = [];

  say('deposits');
  const deposit = async (name: string, asset: bigint, aim?: number) => {
    const placed = await driver.deposit(asset, VALUE);
    rows.push({
      call: `deposit, ${name}`,
      gas: placed.gas,
      peer: PEERS.deposit,
      ...(aim === undefined ? {} : { aim }),
    });
    return placed;
  };
  const first = await deposit('native, cold', NATIVE_ASSET);
  const second = await deposit('native, warm', NATIVE_ASSET, AIMS.deposit);
  const third = await driver.deposit(NATIVE_ASSET, VALUE);
  const firstToken = await deposit('ERC-20, cold', token);
  const secondToken = await deposit('ERC-20, warm', token);

  say('the first insertion');
  await driver.closeBucket();
  const small = await driver.insert();
  rows.push({ call: `insertion of ${small.leaves} leaves`, gas: small.gas });
  // The words of a bucket are written once and then used again: later calls pay what is measured from here on.
  await driver.deposit(NATIVE_ASSET, VALUE);

  say('transfer and withdrawals');
  rows.push({ call: 'transfer', gas: await driver.transfer(first), aim: AIMS.transfer, peer: PEERS.transfer });
  const half = { amount: VALUE / 2n, to: BigInt(to) };
  const relayed = { ...half, relayer: BigInt(relayer), fee: VALUE / 10n };
  for (const [name, placed, withdrawal] of [
    ['native', second, half],
    ['ERC-20', firstToken, half],
    ['native through a relayer', third, relayed],
    ['ERC-20 through a relayer', secondToken, relayed],
  ] as const) {
    const gas = await driver.transfer(placed, withdrawal);
    rows.push({ call: `withdrawal, ${name}`, gas, aim: AIMS.withdrawal, peer: PEERS.withdrawal });
  }

  say('the insertion of a full bucket');
  while ((await driver.pool.queue()).openBucket === 1) await driver.deposit(NATIVE_ASSET, VALUE);
  const full = await driver.insert();
  rows.push({ call: `insertion of ${full.leaves} leaves`, gas: full.gas });
  const gasPerLeaf = full.gas / BigInt(full.leaves);
  rows.push({
    call: 'insertion, a leaf of a full bucket',
    gas: gasPerLeaf,
    aim: AIMS.insertion,
    peer: PEERS.insertion,
  });
  return rows;
}

export async function run(_options: Options, say: Say): Promise<Report> {
  const driver = await PoolDriver.open(SEED);
  try {
    const rows = await measure(driver, say);
    const text = `${table(
      [
        { title: 'call' },
        { title: 'gas', align: 'right' },
        { title: 'aim', align: 'right' },
        { title: 'others, measured before' },
      ],
      rows.map(({ call, gas, aim, peer }) => [
        call,
        grouped(Number(gas)),
        aim === undefined ? '' : grouped(aim),
        peer ?? '',
      ]),
    )}

The whole transaction, its data included. cold: the first deposit of the pool, or of that token. A transaction's price moves by some dozen with
the zero bytes of its proof.`;
    const calls = rows.map(({ call, gas, aim, peer }) => ({ call, gas: Number(gas), aim, peer }));
    return { parameters: { seed: SEED, hardfork: 'osaka' }, results: { calls }, text };
  } finally {
    await driver.close();
    await terminateProver();
  }
}
