import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintCall } from '@bitcloak/chain/erc20';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import type { Prover } from '@bitcloak/prover/prover';
import type { TradingClient } from '@bitcloak/trading/client';
import { formatAmount, parseAmount } from '@bitcloak/protocol/amounts';
import type { Session } from '@bitcloak/wallet/session';
import { connectAccount } from '@bitcloak/wallet/tradingAccount';
import { Wallet } from '@bitcloak/wallet/wallet';
import { marketMaker } from '../examples/marketMaker.ts';
import { taker } from '../examples/taker.ts';
import { giveGas, untilSpendable, type StepReport } from './roundTrip.ts';

const LOCK_SECONDS = 86_400n;
const WAIT_MS_MAX = 180_000;
const POLL_MS = 500;

type Trader = { readonly wallet: Wallet; readonly session: Session; readonly client: TradingClient };

/** Waits until `look` finds something. */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen in time`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/**
 * Two wallets, made for this and thrown away, lock notes to the operator, trade through its enclave without seeing each other, and withdraw to
 * fresh notes. Everything is proven on chain, and each finds what it gained by itself. Throws where an amount does not arrive.
 */
export async function tradeTrip(
  manifest: Manifest,
  prover: Prover,
  onStep: (report: StepReport) => void,
): Promise<void> {
  const { operator } = manifest;
  if (operator === undefined) throw new Error('this network has no operator');
  const operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, operator.number);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-trade-'));
  const [coin, dollar] = manifest.tokens as [Token, Token];
  const step = async (name: string, work: () => Promise<{ gasUsed: bigint; proofMs: number } | undefined>) => {
    const started = performance.now();
    const outcome = await work();
    const milliseconds = performance.now() - started;
    onStep({ step: name, milliseconds, gas: outcome?.gasUsed, proofMs: outcome?.proofMs ?? 0 });
  };
  const sessions: Session[] = [];
  const open = async (name: string, token: Token, amount: string): Promise<Trader> => {
    const wallet = await Wallet.create(join(directory, name), { mnemonic: newMnemonic() }, 'thrown away');
    const session = await wallet.openSession(manifest, prover);
    sessions.push(session);
    const account = wallet.account();
    await giveGas(session.endpoint, account.address);
    await session.sync();
    if (token === dollar) {
      const minted = mintCall(dollar.asset, BigInt(account.address), parseAmount(amount, dollar));
      await sendCall(account.connect(session.endpoint), minted);
    }
    const registry = new RegistryClient(manifest.registry, session.endpoint);
    const number = await registry.era(operator.number);
    const era = await registry.activeEra(operator.number, number, manifest.startBlock);
    if (era === undefined) throw new Error('the operator has no active era');
    const expiry = session.blockTime + LOCK_SECONDS;
    const lock = { operatorId, expiry, operatorKey: era.encryptionKey };
    await step(`lock ${amount} ${token.symbol} to the operator`, () =>
      session.deposit({ asset: token.asset, amount: parseAmount(amount, token), lock }),
    );
    const client = await until('the operator learning of the note', () =>
      connectAccount({
        keys: wallet,
        account: { number: operator.number, operatorId, index: 0 },
        manifest,
        endpoint: session.endpoint,
        url: operator.url,
        book: session.tradeBook,
        // What was bought can be sold again, or withdrawn.
        proceeds: { relockUntil: expiry },
      }).catch(() => undefined),
    );
    return { wallet, session, client };
  };
  try {
    const carol = await open('carol', coin, '2');
    const dave = await open('dave', dollar, '5000');
    await step('a market maker and a taker trade 1.5 ETH', async () => {
      await meet(carol.client, dave.client, `${coin.symbol}-${dollar.symbol}`);
      return undefined;
    });
    await step('settle it under proof', () => untilSettled(carol));
    await step('withdraw what was gained', async () => {
      await until('the insertion of what was gained', async () => {
        const balances = [...(await carol.client.balances()), ...(await dave.client.balances())];
        return balances.every(({ waiting }) => waiting === 0n) ? true : undefined;
      });
      await withdrawAll(carol, dollar, '3001.4985');
      await withdrawAll(dave, coin, '1.5');
      return undefined;
    });
    await step('settle that under proof', () => untilSettled(dave));
    await step('wait for insertion', async () => {
      await untilSpendable(carol.session, dollar.asset, parseAmount('3001.4985', dollar));
      return untilSpendable(dave.session, coin.asset, parseAmount('1.5', coin));
    });
  } finally {
    for (const session of sessions) session.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Carol quotes around 2,000, a thousandth away from it; Dave takes what he finds, once. */
async function meet(carol: TradingClient, dave: TradingClient, pair: string): Promise<void> {
  const done = new AbortController();
  const reference = async () => '2000';
  const quotes = { size: '1.5', spread: 10, target: '2', skew: 0, everyMs: POLL_MS, deadManSeconds: 60 };
  const takes = {
    size: '1.5',
    slippage: 20,
    everyMs: POLL_MS,
    onFills: (fills: readonly unknown[]) => fills.length > 0 && done.abort(),
  };
  const deadline = setTimeout(() => done.abort(), WAIT_MS_MAX);
  await Promise.all([
    marketMaker(carol, { pair, reference, ...quotes }, done.signal),
    taker(dave, { pair, reference, ...takes }, done.signal),
  ]);
  clearTimeout(deadline);
}

/** Waits until all that a trader matched and withdrew is on the chain. */
async function untilSettled({ client, session }: Trader): Promise<{ gasUsed: bigint; proofMs: number }> {
  const before = await session.endpoint.getBlockNumber();
  return until('the settlement', async () => {
    const records = [...(await client.fills()), ...(await client.withdrawals())];
    if (records.some(({ status }) => status === 'busted')) throw new Error('the operator could not settle');
    if (records.some(({ status }) => status === 'waiting')) return undefined;
    const [event] = (await session.pool.events(before, await session.endpoint.getBlockNumber())).filter(
      ({ kind }) => kind === 'settled',
    );
    const receipt = await session.endpoint.getTransactionReceipt(event?.transaction ?? '');
    return { gasUsed: receipt?.gasUsed ?? 0n, proofMs: 0 };
  });
}

/** Everything of a token that a trader has with the operator, to his main shielded address. */
async function withdrawAll({ client, wallet }: Trader, token: Token, expected: string): Promise<void> {
  const balance = (await client.balances()).find(({ asset }) => asset === token.asset);
  const amount = formatAmount(balance?.available ?? 0n, token);
  if (amount !== expected) throw new Error(`the trade brought ${amount} ${token.symbol}, not ${expected}`);
  await client.withdraw({ asset: token.symbol, amount, proceeds: { payTo: wallet.address.owner } });
}
