import { TICKS_MAX } from './limits.ts';
import { NONE, type Orders } from './orders.ts';
import { PriceIndex } from './priceIndex.ts';

// A ladder is one side of one market's limit orders, or of its pegged ones. Its number is market · 4 + pegged · 2 + sell.
export const SELL_BIT = 1;
export const PEGGED_BIT = 2;
const MARKET_SHIFT = 2;

export function ladderOf(market: number, isPegged: boolean, side: number): number {
  return (market << MARKET_SHIFT) | (isPegged ? PEGGED_BIT : 0) | side;
}

export function marketOf(ladder: number): number {
  return ladder >> MARKET_SHIFT;
}

/** Where a price stands in a ladder: the smaller, the better for who trades with it. */
export function keyOf(ladder: number, price: number): number {
  return (ladder & SELL_BIT) === 0 ? TICKS_MAX - price : price;
}

/** A key that is better than every price's. */
export const BEFORE_ALL = -1;

// Integers of a level, of which there is room for 2^3: neighbours in the ladder (WORSE also chains free records), key, both ends of its queue.
const WORSE = 0;
const BETTER = 1;
const KEY = 2;
const HEAD = 3;
const TAIL = 4;

const FIRST_CAPACITY = 256;

/** Price levels: those of a ladder are linked from the best to the worst, and each has a queue of orders. */
export class Levels {
  readonly #orders: Orders;
  readonly #index = new PriceIndex();
  #records = new Int32Array(FIRST_CAPACITY << 3);
  #capacity = FIRST_CAPACITY;
  #used = 0;
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
    this.#best = new Int32Array(ladders).fill(NONE);
    this.#worst = new Int32Array(ladders).fill(NONE);
    this.#best.set(best);
    this.#worst.set(worst);
    this.#index.reach(ladders);
  }

  best(ladder: number): number {
    return this.#best[ladder]!;
  }

  worse(level: number): number {
    return this.#records[(level << 3) | WORSE]!;
  }

  key(level: number): number {
    return this.#records[(level << 3) | KEY]!;
  }

  head(level: number): number {
    return this.#records[(level << 3) | HEAD]!;
  }

  /** Puts an order at the end of its price's queue. */
  append(order: number): void {
    const ladder = this.#orders.ladder(order);
    const key = keyOf(ladder, this.#orders.price(order));
    const found = this.#index.find(ladder, key);
    const level = found === NONE ? this.#insert(ladder, key) : found;
    this.#orders.setLevel(order, level);
    this.#enqueue(order, level);
  }

  remove(order: number): void {
    const level = this.#orders.level(order);
    this.#orders.setLevel(order, NONE);
    this.#dequeue(order, level);
    if (this.head(level) === NONE) this.#drop(level, this.#orders.ladder(order));
  }

  /** Sends an order to the end of the queue that it stands in. */
  requeue(order: number): void {
    const level = this.#orders.level(order);
    this.#dequeue(order, level);
    this.#enqueue(order, level);
  }

  #enqueue(order: number, level: number): void {
    const orders = this.#orders;
    const tail = this.#records[(level << 3) | TAIL]!;
    orders.setPrevious(order, tail);
    orders.setNext(order, NONE);
    this.#records[(level << 3) | TAIL] = order;
    if (tail === NONE) this.#records[(level << 3) | HEAD] = order;
    else orders.setNext(tail, order);
  }

  #dequeue(order: number, level: number): void {
    const orders = this.#orders;
    const next = orders.next(order);
    const previous = orders.previous(order);
    if (next === NONE) this.#records[(level << 3) | TAIL] = previous;
    else orders.setPrevious(next, previous);
    if (previous === NONE) this.#records[(level << 3) | HEAD] = next;
    else orders.setNext(previous, next);
  }

  #insert(ladder: number, key: number): number {
    const level = this.#allocate();
    const records = this.#records;
    const worse = this.#index.insert(ladder, key, level);
    const better = worse === NONE ? this.#worst[ladder]! : records[(worse << 3) | BETTER]!;
    const at = level << 3;
    records[at | WORSE] = worse;
    records[at | BETTER] = better;
    records[at | KEY] = key;
    records[at | HEAD] = NONE;
    records[at | TAIL] = NONE;
    if (worse === NONE) this.#worst[ladder] = level;
    else records[(worse << 3) | BETTER] = level;
    if (better === NONE) this.#best[ladder] = level;
    else records[(better << 3) | WORSE] = level;
    return level;
  }

  #drop(level: number, ladder: number): void {
    const records = this.#records;
    const at = level << 3;
    const worse = records[at | WORSE]!;
    const better = records[at | BETTER]!;
    if (worse === NONE) this.#worst[ladder] = better;
    else records[(worse << 3) | BETTER] = better;
    if (better === NONE) this.#best[ladder] = worse;
    else records[(better << 3) | WORSE] = worse;
    this.#index.remove(ladder, records[at | KEY]!);
    records[at | WORSE] = this.#free;
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
      const records = new Int32Array(this.#capacity << 3);
      records.set(this.#records);
      this.#records = records;
    }
    return this.#used++;
  }
}
