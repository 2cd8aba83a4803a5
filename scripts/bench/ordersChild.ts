// An enclave on a chain of its own, with traders who have all that they need: in a process of its own, so that what it computes is known.
import { mintCall } from '@bitcloak/chain/erc20';
import { formatAccount, type Token } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { Keyring, type SpendingKey } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { AMOUNT_MAX } from '@bitcloak/protocol/parameters';
import { Interface } from 'ethers';
import { startDevnet } from '../devnet/devnet.ts';
import { startDevnetEnclave } from '../devnet/enclave.ts';
import { until } from '../devnet/traders.ts';
import { measureChannel, type ChannelCosts } from './channelWork.ts';
import { seededBytes } from './random.ts';

/** What the child tells its parent. */
export type ChildMessage =
  | { readonly kind: 'ready'; readonly url: string; readonly operatorId: bigint; readonly tokens: readonly Token[] }
  | { readonly kind: 'cpu'; readonly milliseconds: number }
  | { readonly kind: 'channel'; readonly costs: ChannelCosts };

/** What the parent asks for. */
export type ParentMessage = { readonly kind: 'cpu' } | { readonly kind: 'channel'; readonly requests: number };

export const SEED = 'bitcloak orders';
const LOCK_SECONDS = 30n * 86_400n;
const VALUE = 10n ** 30n;
const UNLOCKED = 7;

/** The trading accounts, the same in both processes. */
export function accountsOf(operatorId: bigint, count: number) {
  const bytes = seededBytes(SEED);
  return Array.from({ length: count }, () => new Keyring(bytes(64)).tradingAccount(operatorId, 0));
}

const erc20 = new Interface(['function approve(address, uint256)']);

async function serve(accounts: number): Promise<void> {
  const devnet = await startDevnet({
    port: 0,
    relayerPort: 0,
    prover: { prove: () => Promise.reject(new Error('nothing is proven here')) },
    bucketAgeSeconds: 1n,
    blockMs: 0,
    keeper: false,
  });
  const { manifest, endpoint } = devnet;
  const enclave = await startDevnetEnclave({
    manifest,
    endpoint,
    account: devnet.operatorAccount,
    attestation: devnet.attestation,
    port: 0,
    changes: {
      // It matches, and never settles: proofs have a benchmark of their own.
      cadence: { kind: 'count', matches: Infinity, secondsMax: Infinity },
      // Nor does it count what waits to be settled.
      rules: { settleSeconds: 86_400, roundSeconds: 1, orderSecondsMax: 60 * 86_400, ordersMax: 84_600 },
      limits: {
        addressPerMinute: 10 ** 9,
        connectionsPerAddress: 10_000,
        openingsPerMinute: 10 ** 9,
        owner: { perSecond: 10 ** 6, burst: 10 ** 6 },
        connections: 1_000,
      },
    },
  });
  const operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, enclave.number);
  const payer = await endpoint.getSigner(UNLOCKED);
  await endpoint.send('hardhat_setBalance', [payer.address, `0x${AMOUNT_MAX.toString(16)}`]);
  const pool = new PoolClient(manifest.pool, payer);
  const dollar = manifest.tokens[1] as Token;
  await sendCall(payer, mintCall(dollar.asset, BigInt(payer.address), BigInt(accounts) * VALUE));
  const data = erc20.encodeFunctionData('approve', [formatAccount(manifest.pool), BigInt(accounts) * VALUE]);
  await sendCall(payer, { to: formatAccount(dollar.asset), data, value: 0n });
  const expiry = BigInt((await endpoint.getBlock('latest'))?.timestamp ?? 0) + LOCK_SECONDS;
  const viewer = new Keyring(seededBytes(`${SEED} viewer`)(64)).viewing.agreement.publicKey;
  const owners = accountsOf(operatorId, accounts);
  for (const { keys } of owners) {
    for (const { asset } of manifest.tokens) {
      const maker = new OutputMaker(asset);
      const lock = { operatorId, expiry };
      const note = maker.locked(
        VALUE,
        { keys, index: 0, lock, operatorKey: enclave.era.encryptionKey.publicKey },
        viewer,
      );
      await pool.send(pool.depositCall(asset, VALUE, stealthOf(note), maker.ciphertext()));
    }
  }
  const { state } = enclave.operator.machine;
  await until('the operator learning of all notes', async () => {
    const isFunded = ({ keys }: SpendingKey) =>
      manifest.tokens.every(({ asset }) => state.available(keys.owner, asset) > 0n);
    return owners.every(isFunded) || undefined;
  });
  const tell = (message: ChildMessage) => process.send?.(message);
  process.on('message', (message: ParentMessage) => {
    if (message.kind === 'cpu') {
      const { user, system } = process.cpuUsage();
      tell({ kind: 'cpu', milliseconds: (user + system) / 1000 });
      return;
    }
    const [key] = accountsOf(operatorId, 1);
    if (key === undefined) throw new RangeError('there is no account');
    const { chainId, pool: poolAddress, registry } = manifest;
    const { number, operator, era } = enclave;
    const peer = { chainId, pool: poolAddress, registry, operator: number, era: 1n, operatorId };
    void measureChannel({ operator, peer, apiKey: era.apiKey, key }, message.requests).then((costs) =>
      tell({ kind: 'channel', costs }),
    );
  });
  process.once('disconnect', () => void enclave.close().then(() => devnet.close()));
  tell({ kind: 'ready', url: enclave.url, operatorId, tokens: manifest.tokens });
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) await serve(Number(process.argv[2]));
