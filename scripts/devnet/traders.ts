import { join } from 'node:path';
import { mintCall } from '@bitcloak/chain/erc20';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { parseAmount } from '@bitcloak/protocol/amounts';
import type { Prover } from '@bitcloak/prover/proof';
import type { TradingClient } from '@bitcloak/trading/client';
import type { Session } from '@bitcloak/wallet/session';
import { connectAccount } from '@bitcloak/wallet/tradingAccount';
import { Wallet } from '@bitcloak/wallet/wallet';
import { giveGas } from './roundTrip.ts';

const WAIT_MS_MAX = 180_000;
const POLL_MS = 500;

/** A wallet with notes locked to the operator, connected to its enclave. */
export type Trader = { readonly wallet: Wallet; readonly session: Session; readonly client: TradingClient };

/** Waits until `look` finds something. */
export async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen in time`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

type Opening = {
  readonly manifest: Manifest;
  readonly prover: Prover;
  /** For the wallet; must not be there. */
  readonly directory: string;
  readonly name: string;
  /** Decimals in whole units. */
  readonly deposits: readonly (readonly [token: Token, amount: string])[];
  readonly lockSeconds: bigint;
  /** Around each deposit. */
  readonly step?: (name: string, work: () => ReturnType<Session['deposit']>) => Promise<unknown>;
};

/** Makes a wallet of a devnet, with gas and tokens, locks what it deposits to the operator, and connects to its enclave. What it trades for stays with the operator. */
export async function openTrader({
  manifest,
  prover,
  directory,
  name,
  deposits,
  lockSeconds,
  step,
}: Opening): Promise<Trader> {
  const { operator } = manifest;
  if (operator === undefined) throw new Error('this network has no operator');
  const operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, operator.number);
  const wallet = await Wallet.create(join(directory, name), { mnemonic: newMnemonic() }, 'thrown away');
  const session = await wallet.openSession(manifest, prover);
  const { endpoint } = session;
  const account = wallet.account();
  await giveGas(endpoint, account.address);
  await session.sync();
  const registry = new RegistryClient(manifest.registry, endpoint);
  const number = await registry.era(operator.number);
  const era = await registry.activeEra(operator.number, number, manifest.startBlock);
  if (era === undefined) throw new Error('the operator has no active era');
  const expiry = session.blockTime + lockSeconds;
  const lock = { operatorId, expiry, operatorKey: era.encryptionKey };
  for (const [token, decimal] of deposits) {
    const amount = parseAmount(decimal, token);
    if (token.asset !== NATIVE_ASSET) {
      await sendCall(account.connect(endpoint), mintCall(token.asset, BigInt(account.address), amount));
    }
    const deposit = () => session.deposit({ asset: token.asset, amount, lock });
    await (step === undefined ? deposit() : step(`lock ${decimal} ${token.symbol} to the operator`, deposit));
  }
  const client = await until('the operator learning of the note', () =>
    connectAccount({
      keys: wallet,
      account: { number: operator.number, operatorId, index: 0 },
      manifest,
      endpoint,
      url: operator.url,
      book: session.tradeBook,
      // What was bought can be sold again, or withdrawn.
      proceeds: { relockUntil: expiry },
    }).catch(() => undefined),
  );
  return { wallet, session, client };
}

/** Waits until all that a trader matched and withdrew is on the chain. @returns the last settlement's transaction, where there was one meanwhile. */
export async function untilSettled({ client, session }: Trader): Promise<string | undefined> {
  const before = await session.endpoint.getBlockNumber();
  const waitingNow = async () => {
    const records = [...(await client.allFills()), ...(await client.withdrawals())];
    if (records.some(({ status }) => status === 'busted')) throw new Error('the operator could not settle');
    return records.filter(({ status }) => status === 'waiting').length;
  };
  for (let waiting = await waitingNow(); waiting > 0;) {
    const known = waiting;
    waiting = await until('a settlement', async () => {
      const left = await waitingNow();
      return left < known ? left : undefined;
    });
  }
  const events = await session.pool.events(before, await session.endpoint.getBlockNumber());
  return events.find(({ kind }) => kind === 'settled')?.transaction;
}
