import { setTimeout as sleep } from 'node:timers/promises';
import { parseAmount } from '@bitcloak/protocol/amounts';
import type { Side } from '@bitcloak/protocol/orders';
import type { TradingClient } from '@bitcloak/trading/client';
import { limitOf } from '@bitcloak/trading/market';
import type { OrderRecord } from '@bitcloak/trading/records';
import { OperatorRefusal, OutcomeUnknown } from '@bitcloak/trading/refusals';
import { formatPrice, formatQuantity, lotsOf, ticksOf, type TradedMarket } from '@bitcloak/trading/steps';
import type { AccountStream } from '@bitcloak/trading/stream';
import { describe, runExample } from './run.ts';

export type MarketMakerOptions = {
  readonly pair: string;
  /** Of each quote: a decimal in the base token. */
  readonly size: string;
  /** What the base token is worth now, in the quote token; undefined where nobody knows, and then nothing is quoted. */
  readonly reference: () => Promise<string | undefined>;
  /** Basis points between the reference and each quote. */
  readonly spread: number;
  /** What it wants to hold of the base token. Both quotes move by `skew` basis points for as much again, to come back to it. */
  readonly target: string;
  readonly skew: number;
  readonly everyMs: number;
  /** Its orders are cancelled when the operator hears nothing of it for so many seconds. */
  readonly deadManSeconds: number;
  /** Told of each quote that is new, or at another price. */
  readonly onQuote?: (quote: OrderRecord) => void;
};

const WHOLE = 10_000;
/** A quote is made larger when so large a part of its size is missing and can be paid for. */
const REFILL_PART = 10;
const DEAD_MAN_PARTS = 3;

/** Quotes both sides of a market around a reference price until the signal, and leaves no order behind. */
export async function marketMaker(
  client: TradingClient,
  options: MarketMakerOptions,
  signal: AbortSignal,
): Promise<void> {
  const market = await client.market(options.pair);
  const stream = await client.stream({ cancelOnDisconnect: true }).ready();
  const deadMan = new DeadMan(client, options.deadManSeconds);
  const quotes = new Map<Side, OrderRecord>();
  try {
    while (!signal.aborted) {
      // Here, and not in a timer: it is this loop that must be alive.
      await deadMan.alive();
      const prices = quotePrices(market, options, stream, await options.reference());
      for (const side of inOrder(prices, quotes)) {
        const before = quotes.get(side);
        const quote = new Quote(client, market, stream, before);
        const order = await quote.bring(side, prices?.[side], lotsOf(market, options.size));
        if (order === undefined) quotes.delete(side);
        else quotes.set(side, order);
        if (order !== undefined && (order.id !== before?.id || order.price !== before.price)) options.onQuote?.(order);
      }
      await sleep(options.everyMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    stream.close();
    await client.cancelAll(options.pair);
    await client.deadMan(0);
  }
}

/** Set anew long before its time is over: it ends when it has cancelled, and an enclave that was started again knows of none. */
class DeadMan {
  readonly #client: TradingClient;
  readonly #seconds: number;
  #next = 0;

  constructor(client: TradingClient, seconds: number) {
    this.#client = client;
    this.#seconds = seconds;
  }

  async alive(): Promise<void> {
    const now = performance.now();
    if (now < this.#next) return;
    try {
      await this.#client.deadMan(this.#seconds);
      this.#next = now + (this.#seconds * 1_000) / DEAD_MAN_PARTS;
    } catch (error) {
      const isForNow = error instanceof OperatorRefusal || error instanceof OutcomeUnknown;
      // Without it nothing is quoted in the first place.
      if (this.#next === 0 || !isForNow) throw error;
    }
  }
}

/** Ticks for each side. With more of the base token than wanted both go down: it is then sold sooner than bought. */
function quotePrices(
  market: TradedMarket,
  { spread, skew, target }: MarketMakerOptions,
  { view }: AccountStream,
  reference: string | undefined,
): Record<Side, number> | undefined {
  if (reference === undefined) return undefined;
  const wanted = parseAmount(target, market.baseToken);
  const excess = view.balance(market.base).total - wanted;
  const shift = Math.max(-skew, Math.min(skew, Number((excess * BigInt(skew)) / wanted)));
  const middle = ticksOf(market, reference, 'down');
  const at = (basisPoints: number) => (middle * (WHOLE + basisPoints - shift)) / WHOLE;
  const inRange = (ticks: number) => Math.max(1, Math.min(market.ticksMax, ticks));
  return { buy: inRange(Math.floor(at(-spread))), sell: inRange(Math.ceil(at(spread))) };
}

/** The quote that the other one would run into goes out of its way first. */
function inOrder(prices: Record<Side, number> | undefined, quotes: ReadonlyMap<Side, OrderRecord>): readonly Side[] {
  const sell = quotes.get('sell')?.price ?? 0;
  return prices !== undefined && prices.sell > sell ? ['sell', 'buy'] : ['buy', 'sell'];
}

/** The order of one side. */
class Quote {
  readonly #client: TradingClient;
  readonly #market: TradedMarket;
  readonly #stream: AccountStream;
  readonly #known: OrderRecord | undefined;

  constructor(client: TradingClient, market: TradedMarket, stream: AccountStream, known: OrderRecord | undefined) {
    this.#client = client;
    this.#market = market;
    this.#stream = stream;
    // What the stream has is newer than the last reply, once it has it.
    const order = known && (stream.view.orders.get(known.id) ?? known);
    this.#known = order?.status === 'open' ? order : undefined;
  }

  /** Brings it to a price, or takes it back where there is none. @returns what is in the book then. */
  async bring(side: Side, ticks: number | undefined, lots: number): Promise<OrderRecord | undefined> {
    const known = this.#known;
    try {
      if (ticks === undefined) return known && ifOpen(await this.#client.cancel(known.id));
      const price = formatPrice(this.#market, ticks);
      if (known !== undefined) {
        const wanted = Math.min(lots, known.open + this.#affordable(side, ticks));
        // A little more is not worth a signature, and may be a rounding away from what is there.
        if (known.price === ticks && wanted - known.open < lots / REFILL_PART) return known;
        const quantity = formatQuantity(this.#market, known.filled + wanted);
        return ifOpen((await this.#client.amend(known, { price, quantity })).order);
      }
      const affordable = Math.min(lots, this.#affordable(side, ticks));
      if (affordable < this.#market.lotsMin) return undefined;
      const quantity = formatQuantity(this.#market, affordable);
      const { pair } = this.#market;
      return ifOpen((await this.#client.place({ pair, side, price, quantity, postOnly: true })).order);
    } catch (error) {
      // A refusal is for this moment, and what became of a lost request shows in the stream: the next round looks again.
      if (error instanceof OperatorRefusal) return known?.price === ticks ? known : known && this.#withdraw(known);
      if (error instanceof OutcomeUnknown) return known;
      throw error;
    }
  }

  /** A quote that cannot be moved must not stay where it is. */
  async #withdraw(order: OrderRecord): Promise<undefined> {
    await this.#client.cancel(order.id).catch((error: unknown) => {
      if (!(error instanceof OperatorRefusal)) throw error;
    });
  }

  #affordable(side: Side, ticks: number): number {
    const { sellAsset, sellMax } = limitOf(this.#market, side, ticks, 1);
    const { available } = this.#stream.view.balance(sellAsset);
    return Number(available / sellMax);
  }
}

const ifOpen = (order: OrderRecord) => (order.status === 'open' ? order : undefined);

if (import.meta.main) {
  await runExample(
    { size: '1', spread: '10', target: '10', skew: '20', every: '2', 'dead-man': '30' },
    (client, { pair, reference, ...numbers }, signal) => {
      const { size, spread, target, skew, every } = numbers;
      const options = { pair, reference, size, target, spread: Number(spread), skew: Number(skew) };
      const deadManSeconds = Number(numbers['dead-man']);
      const everyMs = 1_000 * Number(every);
      const onQuote = (quote: OrderRecord) => {
        console.log(`order ${quote.id}: ${describe(client, quote, quote.open)}`);
      };
      return marketMaker(client, { ...options, everyMs, deadManSeconds, onQuote }, signal);
    },
  );
}
