import assert from 'node:assert/strict';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { BUCKET_LEAVES, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Contract, TransactionReceipt } from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { executionGas, expectGas } from '../support/gasSnapshot.ts';
import { PoolBench, type TestNote } from '../support/pool.ts';

/** What a whole call may cost, the price of its data included. */
const GAS_MAX = {
  'deposit.native.warm': 90_000n,
  transfer: 350_000n,
  'withdraw.native': 370_000n,
  'withdraw.native.relayed': 370_000n,
  'insert.64': 6_500n * BigInt(BUCKET_LEAVES),
} as const;

describe('gas of the pool', function () {
  this.timeout(300_000);
  let bench: PoolBench;
  let key: SpendingKey;
  let asset: bigint;

  /** Holds a call to its snapshot, without the price of its data, and where there is one to its aim, as a whole. */
  async function measure(name: string, { hash, gasUsed }: TransactionReceipt): Promise<void> {
    const transaction = await bench.chain.provider.getTransaction(hash);
    expectGas(name, executionGas(gasUsed, transaction?.data ?? '0x'));
    const gasMax = (GAS_MAX as Record<string, bigint>)[name];
    if (gasMax !== undefined) assert.ok(gasUsed <= gasMax, `${name}: ${gasUsed} gas, at most ${gasMax} wanted`);
  }

  async function deposit(name: string, of: bigint): Promise<TestNote> {
    const { receipt, ...note } = await bench.deposit(key, 1000n, { asset: of });
    await measure(name, receipt);
    return note;
  }

  before(async () => {
    bench = await PoolBench.open({ seed: 'gas' });
    key = bench.keyring().spending;
    const { signers } = bench.chain;
    const token = (await deployContract(bench.chain.signer(), 'DevelopmentToken')) as Contract;
    asset = BigInt(await token.getAddress());
    // Whoever is paid has some of the token already, as is usual.
    for (const { address } of [...signers.slice(0, 1), ...signers.slice(8, 10)]) {
      await (await token.getFunction('mint')(address, 10n ** 12n)).wait();
    }
    await (await token.getFunction('approve')(bench.contract().target, 10n ** 12n)).wait();
  });
  after(() => bench.close());

  it('is that of the snapshot and within its aims', async () => {
    const first = await deposit('deposit.native.cold', NATIVE_ASSET);
    const second = await deposit('deposit.native.warm', NATIVE_ASSET);
    const tokenNote = await deposit('deposit.erc20.cold', asset);
    await deposit('deposit.erc20.warm', asset);
    const third = await bench.deposit(key, 1000n);
    await bench.closeBucket();
    await measure('insert.5', await bench.insert());
    // The open bucket's words are written from here on: this is what every later call pays.
    await bench.deposit(key, 1n);

    const relayed = { relayer: BigInt(bench.chain.signer(8).address), fee: 10n };
    await measure('transfer', await bench.send(await bench.prove({ key, inputs: [first] })));
    const withdrawals = {
      'withdraw.native': { key, inputs: [second], withdrawAmount: 400n },
      'withdraw.native.relayed': { key, inputs: [third], withdrawAmount: 400n, extData: relayed },
      'withdraw.erc20.relayed': { key, inputs: [tokenNote], withdrawAmount: 400n, extData: relayed },
    };
    for (const [name, wish] of Object.entries(withdrawals))
      await measure(name, await bench.send(await bench.prove(wish)));

    while ((await bench.client.queue()).openBucket === 1) await bench.deposit(key, 1n);
    await measure('insert.64', await bench.insert());
  });
});
