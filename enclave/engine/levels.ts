import { TICKS_MAX } from './limits.ts';
import type { Orders } from './orders.ts';
import { PriceIndex } from './priceIndex.ts';

const NONE = 0;

// A ladder is one side of one market's limit orders, or of its pegged ones. Its number is market · 4 + pegged · 2 + sell.
const SELL = 1;
const PEGGED = 2;
const MARKET_SHIFT = 2;
export const SELL_BIT = SELL;
export const PEGGED_BIT = PEGGED;

export function ladderOf(market: number, isPegged: boolean, side: number): number {
  return (market << MARKET_SHIFT) | (isPegged ? PEGGED : 0) | side;
}

export function marketOf(ladder: number): number {
  return ladder >> MARKET_SHIFT;
}

const HIGHEST = TICKS_MAX;

/** Where a price stands in a ladder: the smaller, the better for who trades with it. */
export function keyOf(ladder: number, price: number): number {
  return (ladder & SELL) === 0 ? HIGHEST - price : price;
}

/** A key that is better than every price's. */
export const BEFORE_ALL = -1;

// Words of an order's record: its neighbours in its queue, and the level whose queue that is.
const NEXT = 0;
const PREVIOUS = 1;
const LEVEL = 2;

// Integers of a level, of which there is room for 2^3: neighbours in the ladder (WORSE also chains free records), key, both ends of its queue.
const WORSE = 0;
const BETTER = 1;
const KEY = 2;
const HEAD = 3;
const TAIL = 4;

const RECORD_BITS = 3;
const FIRST_CAPACITY = 256;

/** Price levels: those of a ladder are linked from the best to the worst, and each has a queue of orders. */
export class Levels {
  readonly #orders: Orders;
  readonly #index = new PriceIndex();
  #records = new Int32Array(FIRST_CAPACITY << RECORD_BITS);
  #capacity = FIRST_CAPACITY;
  /** The first record is none. */
  #used = 1;
  #free = NONE;
  #best = new Int32Array(0);
  #worst = new Int32Array(0);

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** Makes room for a market's ladders. */
  reach(market: number): void {
    const ladders = (market + 1) << MARKET_SHIFT;
    if (ladders <= this.#best.length) return;
    const [best, worst] = [this.#best, this.#worst];
    this.#best = new Int32Array(ladders);
    this.#worst = new Int32Array(ladders);
    this.#best.set(best);
    this.#worst.set(worst);
    this.#index.reach(ladders);
  }

  best(ladder: number): number {
    return this.#best[ladder]!;
  }

  worse(level: number): number {
    return this.#records[level | WORSE]!;
  }

  key(level: number): number {
    return this.#records[level | KEY]!;
  }

  head(level: number): number {
    return this.#records[level | HEAD]!;
  }

  /** The next order in an order's queue, or NONE. */
  next(order: number): number {
    return this.#orders.integers[order | NEXT]!;
  }

  /** Puts an order at the end of its price's queue. */
  append(order: number): void {
    const ladder = this.#orders.ladder(order);
    const key = keyOf(ladder, this.#orders.price(order));
    const found = this.#index.find(ladder, key);
    const level = found === NONE ? this.#insert(ladder, key) : found;
    this.#orders.integers[order | LEVEL] = level;
    this.#enqueue(order, level);
  }

  remove(order: number): void {
    const level = this.#orders.integers[order | LEVEL]!;
    this.#dequeue(order, level);
    if (this.#records[level | HEAD] === NONE) this.#drop(level, this.#orders.ladder(order));
  }

  /** Sends an order to the end of the queue that it stands in. */
  requeue(order: number): void {
    const level = this.#orders.integers[order | LEVEL]!;
    this.#dequeue(order, level);
    this.#enqueue(order, level);
  }

  #enqueue(order: number, level: number): void {
    const { integers } = this.#orders;
    const records = this.#records;
    const tail = records[level | TAIL]!;
    integers[order | PREVIOUS] = tail;
    integers[order | NEXT] = NONE;
    records[level | TAIL] = order;
    if (tail === NONE) records[level | HEAD] = order;
    else integers[tail | NEXT] = order;
  }

  #dequeue(order: number, level: number): void {
    const { integers } = this.#orders;
    const records = this.#records;
    const next = integers[order | NEXT]!;
    const previous = integers[order | PREVIOUS]!;
    if (next === NONE) records[level | TAIL] = previous;
    else integers[next | PREVIOUS] = previous;
    if (previous === NONE) records[level | HEAD] = next;
    else integers[previous | NEXT] = next;
  }

  #insert(ladder: number, key: number): number {
    const level = this.#allocate();
    const records = this.#records;
    const worse = this.#index.insert(ladder, key, level);
    const better = worse === NONE ? this.#worst[ladder]! : records[worse | BETTER]!;
    records[level | WORSE] = worse;
    records[level | BETTER] = better;
    records[level | KEY] = key;
    records[level | HEAD] = NONE;
    records[level | TAIL] = NONE;
    if (worse === NONE) this.#worst[ladder] = level;
    else records[worse | BETTER] = level;
    if (better === NONE) this.#best[ladder] = level;
    else records[better | WORSE] = level;
    return level;
  }

  #drop(level: number, ladder: number): void {
    const records = this.#records;
    const worse = records[level | WORSE]!;
    const better = records[level | BETTER]!;
    if (worse === NONE) this.#worst[ladder] = better;
    else records[worse | BETTER] = better;
    if (better === NONE) this.#best[ladder] = worse;
    else records[better | WORSE] = worse;
    this.#index.remove(ladder, records[level | KEY]!);
    records[level | WORSE] = this.#free;
    this.#free = level;
  }

  #allocate(): number {
    const level = this.#free;
    if (level !== NONE) {
      this.#free = this.worse(level);
      return level;
    }
    if (this.#used === this.#capacity) {
      this.#capacity *= 2;
      const records = new Int32Array(this.#capacity << RECORD_BITS);
      records.set(this.#records);
      this.#records = records;
    }
    return this.#used++ << RECORD_BITS;
  }
}
