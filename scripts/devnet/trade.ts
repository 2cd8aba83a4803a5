import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import type { Prover } from '@bitcloak/prover/proof';
import type { Outcome } from '@bitcloak/wallet/types';
import type { TradingClient } from '@bitcloak/trading/client';
import { formatAmount, parseAmount } from '@bitcloak/protocol/amounts';
import { marketMaker } from '../examples/marketMaker.ts';
import { taker } from '../examples/taker.ts';
import { untilSpendable, type StepReport } from './roundTrip.ts';
import { openTrader, until, untilSettled, type Trader } from './traders.ts';

const LOCK_SECONDS = 86_400n;
const WAIT_MS_MAX = 180_000;
const POLL_MS = 500;

/**
 * Two wallets, made for this and thrown away, lock notes to the operator, trade through its enclave without seeing each other, and withdraw to
 * fresh notes. Everything is proven on chain, and each finds what it gained by itself. Throws where an amount does not arrive.
 */
export async function tradeTrip(
  manifest: Manifest,
  prover: Prover,
  onStep: (report: StepReport) => void,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-trade-'));
  const [coin, dollar] = manifest.tokens as [Token, Token];
  const step = async (name: string, work: () => Promise<Pick<Outcome, 'gasUsed' | 'proofMs'> | undefined>) => {
    const started = performance.now();
    const outcome = await work();
    const milliseconds = performance.now() - started;
    onStep({ step: name, milliseconds, gas: outcome?.gasUsed, proofMs: outcome?.proofMs ?? 0 });
  };
  const traders: Trader[] = [];
  const open = async (name: string, token: Token, amount: string): Promise<Trader> => {
    const deposits = [[token, amount]] as const;
    const trader = await openTrader({ manifest, prover, directory, name, deposits, lockSeconds: LOCK_SECONDS, step });
    traders.push(trader);
    return trader;
  };
  const settled = async (trader: Trader) => {
    const transaction = await untilSettled(trader);
    if (transaction === undefined) return undefined;
    const receipt = await trader.session.endpoint.getTransactionReceipt(transaction);
    return { gasUsed: receipt?.gasUsed ?? 0n, proofMs: 0 };
  };
  try {
    const carol = await open('carol', coin, '2');
    const dave = await open('dave', dollar, '5000');
    await step('a market maker and a taker trade 1.5 ETH', async () => {
      await meet(carol.client, dave.client, `${coin.symbol}-${dollar.symbol}`);
      return undefined;
    });
    await step('settle it under proof', () => settled(carol));
    await step('withdraw what was gained', async () => {
      await until('the insertion of what was gained', async () => {
        const balances = [...(await carol.client.balances()), ...(await dave.client.balances())];
        return balances.every(({ waiting }) => waiting === 0n) ? true : undefined;
      });
      await withdrawAll(carol, dollar, '3001.4985');
      await withdrawAll(dave, coin, '1.5');
      return undefined;
    });
    await step('settle that under proof', () => settled(dave));
    await step('wait for insertion', async () => {
      await untilSpendable(carol.session, dollar.asset, parseAmount('3001.4985', dollar));
      return untilSpendable(dave.session, coin.asset, parseAmount('1.5', coin));
    });
  } finally {
    for (const { session } of traders) session.close();
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

/** Everything of a token that a trader has with the operator, as a note of his wallet. */
async function withdrawAll({ client }: Trader, token: Token, expected: string): Promise<void> {
  const balance = (await client.balances()).find(({ asset }) => asset === token.asset);
  const amount = formatAmount(balance?.available ?? 0n, token);
  if (amount !== expected) throw new Error(`the trade brought ${amount} ${token.symbol}, not ${expected}`);
  await client.withdraw({ asset: token.symbol, amount, proceeds: 'payee' });
}
