import process from 'node:process';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import type { Side } from '@bitcloak/protocol/orders';
import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';
import { LocalProver, terminateProver } from '@bitcloak/prover/prover';
import { formatPrice, formatQuantity } from '@bitcloak/trading/steps';
import { onStop } from '@bitcloak/service/run';
import type { TradingClient } from '@bitcloak/trading/client';
import { connectAccount } from '@bitcloak/wallet/tradingAccount';
import { Wallet } from '@bitcloak/wallet/wallet';
import { DEVNET_MANIFEST } from '../devnet/places.ts';

/** What every example takes beside its own options. */
export type ExampleWords = { readonly pair: string; readonly reference: () => Promise<string | undefined> };

type Work<Option extends string> = (
  client: TradingClient,
  words: ExampleWords & Readonly<Record<Option, string>>,
  signal: AbortSignal,
) => Promise<void>;

const COMMON = {
  wallet: { type: 'string' },
  network: { type: 'string', default: DEVNET_MANIFEST },
  'operator-url': { type: 'string' },
  index: { type: 'string', default: '0' },
  pair: { type: 'string', default: 'ETH-DUSD' },
  /** A price, or a URL that answers {"bid": "…", "ask": "…"}. */
  reference: { type: 'string' },
  help: { type: 'boolean' },
} as const;

/**
 * Runs an example from the command line, as the trading account of a wallet whose passphrase is in BITCLOAK_PASSPHRASE, until Ctrl-C.
 *
 * @param options the example's own, with what they are unless given.
 */
export async function runExample<Option extends string>(
  options: Readonly<Record<Option, string>>,
  work: Work<Option>,
): Promise<void> {
  try {
    await run(options, work);
  } catch (error) {
    if (!(error instanceof BitcloakError)) throw error;
    console.error(`${error.code}: ${error.message}`);
    process.exitCode = ERROR_EXIT_CODES[error.code];
  }
}

async function run<Option extends string>(options: Readonly<Record<Option, string>>, work: Work<Option>) {
  const own = Object.entries<string>(options).map(
    ([name, value]) => [name, { type: 'string', default: value }] as const,
  );
  const all = { ...COMMON, ...Object.fromEntries(own) };
  const { values } = parseWords(all);
  if (values['help'] === true) {
    console.log(usage(options));
    return;
  }
  const {
    wallet: directory,
    network,
    index,
    reference,
  } = values as {
    [Name in Exclude<keyof typeof COMMON, 'help'>]?: string;
  };
  const passphrase = process.env['BITCLOAK_PASSPHRASE'];
  if (directory === undefined || reference === undefined || passphrase === undefined) {
    throw new BitcloakError('USAGE', '--wallet DIRECTORY, --reference PRICE|URL and BITCLOAK_PASSPHRASE are needed');
  }
  const manifest = readManifest(network ?? DEVNET_MANIFEST);
  const url = values['operator-url'] ?? manifest.operator?.url;
  if (manifest.operator === undefined || typeof url !== 'string') {
    throw new BitcloakError('USAGE', 'the manifest names no operator');
  }
  const { number } = manifest.operator;
  const { chainId, pool, registry } = manifest;
  const account = { number, operatorId: operatorIdOf(chainId, pool, registry, number), index: Number(index) };
  const wallet = await Wallet.open(directory, passphrase);
  const session = await wallet.openSession(manifest, new LocalProver());
  const stop = new AbortController();
  onStop(() => {
    stop.abort();
  });
  try {
    await session.sync();
    const end = session.lockEnd(account.operatorId, account.index);
    const client = await connectAccount({
      keys: wallet,
      account,
      manifest,
      endpoint: session.endpoint,
      url,
      book: session.tradeBook,
      // What it trades for is to be traded again.
      ...(end === undefined ? {} : { proceeds: { relockUntil: end } }),
    });
    console.log(`trading ${values['pair']} at ${url} until Ctrl-C`);
    const words = { ...values, reference: referenceOf(reference) } as ExampleWords & Readonly<Record<Option, string>>;
    await work(client, words, stop.signal);
  } finally {
    session.close();
    await terminateProver();
  }
}

/** What an order or a fill is, in the market's tokens. */
export function describe(
  client: TradingClient,
  record: { readonly market: number; readonly side: Side; readonly price: number },
  lots: number,
): string {
  const market = client.marketOf(record);
  if (market === undefined) throw new Error('a record of a market that is not known');
  return `${record.side} ${formatQuantity(market, lots)} ${market.pair} at ${formatPrice(market, record.price)}`;
}

function usage(own: Readonly<Record<string, string>>): string {
  const options = Object.entries(own).map(([name, value]) => `--${name} ${value}`);
  return `Trades as a trading account of a wallet, whose passphrase is in BITCLOAK_PASSPHRASE, until Ctrl-C.

  --wallet DIRECTORY         needed
  --reference PRICE|URL      needed; a URL answers {"bid": "…", "ask": "…"}
  --network FILE             manifest; that of the devnet unless given
  --operator-url URL         that of the manifest unless given
  --index N                  of the trading account; 0 unless given
  --pair PAIR                ETH-DUSD unless given

Its own, and what they are unless given: ${options.join(' ')}`;
}

/** As `parseArgs`; what it does not know is a mistake of whoever typed it. */
function parseWords<Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
  try {
    return parseArgs({ options });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const known = Object.keys(options).map((name) => `--${name}`);
    throw new BitcloakError('USAGE', `${error.message}; there are ${known.join(', ')}`, { cause: error });
  }
}

function referenceOf(text: string): () => Promise<string | undefined> {
  if (!/^https?:/.test(text)) return async () => text;
  return async () => {
    try {
      const answer = await fetch(text, { signal: AbortSignal.timeout(2_000) });
      const { bid, ask } = (await answer.json()) as { bid: string; ask: string };
      return ((Number(bid) + Number(ask)) / 2).toFixed(8);
    } catch {
      return undefined;
    }
  };
}
