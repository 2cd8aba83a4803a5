import { readText, type Fetch } from '@bitcloak/trading/http';
import type { MarketTerms } from '@bitcloak/trading/market';
import { isIntegerWithin, SECONDS_MAX } from './engine/limits.ts';
import type { Machine } from './operator/machine.ts';

/** Where the reference price of a market, which pegged orders execute at, comes from. */
export type ReferenceSource = {
  /** Answers { "bid", "ask", "time" }: decimals in whole units of the quote asset for a whole unit of the base asset, and unix seconds. */
  readonly url: string;
  readonly baseDecimals: number;
  readonly quoteDecimals: number;
};

/** A reference, in whole ticks, as of a time. */
export type Reference = { readonly ticks: number; readonly time: number };

const ANSWER_MS_MAX = 5_000;
const ANSWER_BYTES_MAX = 4_096;
/** How far a price may be of the future: one that is further would keep those of until then out. */
const AHEAD_SECONDS_MAX = 60;
/** Prices wait until the exchange's time, which is that of a block, has come to theirs. */
const WAITING_MAX = 100;

/** The midpoint in whole ticks, rounded down. Throws RangeError for what is no answer. */
export function readReference(json: unknown, terms: MarketTerms, source: ReferenceSource): Reference {
  const { bid, ask, time } = (json ?? {}) as Record<string, unknown>;
  const [low, high] = [decimal(bid), decimal(ask)];
  if (typeof time !== 'number' || !isIntegerWithin(time, 1, SECONDS_MAX))
    throw new RangeError('time: expected seconds');
  if (low.value <= 0n) throw new RangeError('bid: expected more than 0');
  const scale = 10n ** BigInt(Math.max(low.digits, high.digits));
  const [bidScaled, askScaled] = [low, high].map(({ value, digits }) => (value * scale) / 10n ** BigInt(digits));
  if (bidScaled === undefined || askScaled === undefined || askScaled < bidScaled) {
    throw new RangeError('ask: expected no less than the bid');
  }
  const sum = (bidScaled + askScaled) * 10n ** BigInt(source.quoteDecimals) * terms.lotBase;
  const ticks = sum / (2n * scale * 10n ** BigInt(source.baseDecimals) * terms.tickQuote);
  if (ticks > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError('ask: expected a price of the market');
  return { ticks: Number(ticks), time };
}

function decimal(text: unknown): { value: bigint; digits: number } {
  const match = typeof text === 'string' ? /^(\d{1,40})(?:\.(\d{1,40}))?$/.exec(text) : null;
  if (match === null) throw new RangeError('bid, ask: expected decimal numbers');
  const [, whole = '', fraction = ''] = match;
  return { value: BigInt(whole + fraction), digits: fraction.length };
}

/** Brings a market the prices of one source. Where there is none, or none that fits, it does nothing: the engine knows when a reference is too old. */
export class ReferenceFeed {
  readonly #machine: Machine;
  readonly #terms: MarketTerms;
  readonly #source: ReferenceSource;
  readonly #fetch: Fetch;
  readonly #clock: () => number;
  /** The oldest first. */
  #waiting: Reference[] = [];

  /** @param clock unix milliseconds. */
  constructor(
    machine: Machine,
    terms: MarketTerms,
    source: ReferenceSource,
    fetcher: Fetch = fetch,
    clock: () => number = Date.now,
  ) {
    this.#machine = machine;
    this.#terms = terms;
    this.#source = source;
    this.#fetch = fetcher;
    this.#clock = clock;
  }

  /** Asks the source once. @returns whether it answered with a price. */
  async poll(): Promise<boolean> {
    let reference: Reference | undefined;
    try {
      reference = this.#checked(readReference(await this.#ask(), this.#terms, this.#source));
    } catch {
      reference = undefined;
    }
    if (reference !== undefined) this.#wait(reference);
    await this.#apply();
    return reference !== undefined;
  }

  /** Throws RangeError for a price of a time that is neither the world's nor the chain's. */
  #checked(reference: Reference): Reference {
    // A chain's time may stand still, and that of a development chain runs ahead of the world's.
    const now = Math.max(this.#clock() / 1000, this.#machine.state.time);
    if (reference.time > now + AHEAD_SECONDS_MAX) throw new RangeError('time: expected none of the future');
    return reference;
  }

  #wait(reference: Reference): void {
    const newest = this.#waiting.at(-1);
    if (newest !== undefined && reference.time <= newest.time) return;
    this.#waiting.push(reference);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
  }

  async #apply(): Promise<void> {
    const { state } = this.#machine;
    const market = state.markets().find(({ terms }) => terms.market === this.#terms.market)?.state;
    const due = this.#waiting.findLast(({ time }) => time <= state.time);
    if (market === undefined || due === undefined) return;
    this.#waiting = this.#waiting.filter(({ time }) => time > due.time);
    const { ticks, time } = due;
    if (time <= market.referenceTime || !isIntegerWithin(ticks, 1, market.ticksMax)) return;
    await this.#machine.execute({ kind: 'setReference', market: this.#terms.market, ticks, time });
  }

  async #ask(): Promise<unknown> {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const response = await this.#fetch(this.#source.url, { redirect: 'error', signal });
    if (!response.ok) throw new RangeError('expected an answer');
    return JSON.parse(await readText(response, ANSWER_BYTES_MAX));
  }
}
