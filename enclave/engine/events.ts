// What a command did, in order: numbers in one buffer that every command writes anew, and objects for who wants to read them.
import { REASONS, type Reason } from '@bitcloak/protocol/orders';
import { REJECTIONS, type Rejection } from './codes.ts';

export type EngineEvent =
  | { readonly kind: 'marketAdded'; readonly market: number }
  | { readonly kind: 'tradingSet'; readonly market: number; readonly trading: boolean }
  /** `usable`: pegged orders execute at it from now on. */
  | {
      readonly kind: 'referenceSet';
      readonly market: number;
      readonly ticks: number;
      readonly time: number;
      readonly usable: boolean;
    }
  | { readonly kind: 'timeSet'; readonly time: number }
  | { readonly kind: 'accepted'; readonly order: number }
  | { readonly kind: 'rejected'; readonly reason: Rejection }
  /** `referenceTime`: where one of both is pegged, `price` is the reference of that time; otherwise it is 0. */
  | {
      readonly kind: 'traded';
      readonly trade: number;
      readonly maker: number;
      readonly taker: number;
      readonly price: number;
      readonly lots: number;
      readonly referenceTime: number;
    }
  /** Lots that left an order that stays open. */
  | { readonly kind: 'reduced'; readonly order: number; readonly reason: Reason; readonly lots: number }
  /** The last lots that left an order. */
  | { readonly kind: 'cancelled'; readonly order: number; readonly reason: Reason; readonly lots: number }
  /** `lots`: the whole quantity, with what was filled. */
  | { readonly kind: 'amended'; readonly order: number; readonly price: number; readonly lots: number }
  /** An iceberg stands at the end of its queue with a new slice. */
  | { readonly kind: 'refreshed'; readonly order: number; readonly lots: number };

/** The first word of an event in the buffer. */
export const EVENT = {
  marketAdded: 0,
  tradingSet: 1,
  referenceSet: 2,
  timeSet: 3,
  accepted: 4,
  rejected: 5,
  traded: 6,
  reduced: 7,
  cancelled: 8,
  amended: 9,
  refreshed: 10,
} as const satisfies Record<EngineEvent['kind'], number>;

const WORDS_BITS = 3;

/** Words of an event in the buffer. After the first come the values of the event's type above, in its order. */
export const EVENT_WORDS = 1 << WORDS_BITS;

const { marketAdded, tradingSet, referenceSet, timeSet, accepted, rejected, traded } = EVENT;
const { reduced, cancelled, amended, refreshed } = EVENT;

export class Events {
  /** Only the first `count` events are of the last command. */
  words = new Float64Array(64 * EVENT_WORDS);
  count = 0;

  clear(): void {
    this.count = 0;
  }

  marketAdded(market: number): void {
    this.#write(marketAdded, market, 0, 0);
  }

  tradingSet(market: number, trading: boolean): void {
    this.#write(tradingSet, market, Number(trading), 0);
  }

  referenceSet(market: number, ticks: number, time: number, usable: boolean): void {
    const at = this.#write(referenceSet, market, ticks, time);
    this.words[at + 4] = Number(usable);
  }

  timeSet(time: number): void {
    this.#write(timeSet, time, 0, 0);
  }

  accepted(order: number): void {
    this.#write(accepted, order, 0, 0);
  }

  rejected(reason: number): void {
    this.#write(rejected, reason, 0, 0);
  }

  traded(trade: number, maker: number, taker: number, price: number, lots: number, referenceTime: number): void {
    const at = this.#write(traded, trade, maker, taker);
    this.words[at + 4] = price;
    this.words[at + 5] = lots;
    this.words[at + 6] = referenceTime;
  }

  reduced(order: number, reason: number, lots: number): void {
    this.#write(reduced, order, reason, lots);
  }

  cancelled(order: number, reason: number, lots: number): void {
    this.#write(cancelled, order, reason, lots);
  }

  amended(order: number, price: number, lots: number): void {
    this.#write(amended, order, price, lots);
  }

  refreshed(order: number, lots: number): void {
    this.#write(refreshed, order, lots, 0);
  }

  list(): EngineEvent[] {
    return Array.from({ length: this.count }, (_, index) => this.#read(index));
  }

  #write(kind: number, first: number, second: number, third: number): number {
    const at = this.count++ << WORDS_BITS;
    if (at === this.words.length) this.#grow();
    const { words } = this;
    words[at] = kind;
    words[at + 1] = first;
    words[at + 2] = second;
    words[at + 3] = third;
    return at;
  }

  #grow(): void {
    const words = new Float64Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
  }

  #read(index: number): EngineEvent {
    const at = index * EVENT_WORDS;
    const word = (place: number): number => this.words[at + place]!;
    const kind = word(0) as (typeof EVENT)[EngineEvent['kind']];
    switch (kind) {
      case marketAdded:
        return { kind: 'marketAdded', market: word(1) };
      case tradingSet:
        return { kind: 'tradingSet', market: word(1), trading: word(2) === 1 };
      case referenceSet:
        return { kind: 'referenceSet', market: word(1), ticks: word(2), time: word(3), usable: word(4) === 1 };
      case timeSet:
        return { kind: 'timeSet', time: word(1) };
      case accepted:
        return { kind: 'accepted', order: word(1) };
      case rejected:
        return { kind: 'rejected', reason: REJECTIONS[word(1)]! };
      case traded: {
        const [trade, maker, taker, price, lots] = [word(1), word(2), word(3), word(4), word(5)];
        return { kind: 'traded', trade, maker, taker, price, lots, referenceTime: word(6) };
      }
      case reduced:
        return { kind: 'reduced', order: word(1), reason: REASONS[word(2)]!, lots: word(3) };
      case cancelled:
        return { kind: 'cancelled', order: word(1), reason: REASONS[word(2)]!, lots: word(3) };
      case amended:
        return { kind: 'amended', order: word(1), price: word(2), lots: word(3) };
      case refreshed:
        return { kind: 'refreshed', order: word(1), lots: word(2) };
    }
  }
}
