import { DigestSum, stir, SUBJECT, weigh, type Weights, weighWord, WEIGHTS_HIGH, WEIGHTS_LOW } from './hash.ts';

/** No order, no level, no place. */
export const NONE = -1;

// 32-bit integers of a record, of which there is room for 2^4.
const NEXT = 0;
const PREVIOUS = 1;
const LEVEL = 2;
const LADDER = 3;
const PRICE = 4;
const ACCOUNT = 5;
const ACCOUNT_NEXT = 6;
const ACCOUNT_PREVIOUS = 7;
const EXPIRY_PLACE = 8;
const SELF_TRADE = 9;
const POST_ONLY = 10;
const ID_NEXT = 11;
const DIGEST_LOW = 12;
const DIGEST_HIGH = 13;
const IS_STALE = 14;

// Safe integers of a record, of which there are 2^3.
const ID = 0;
const OPEN = 1;
const SHOWN = 2;
const FILLED = 3;
const DISPLAY = 4;
const MINIMUM_MATCH = 5;
const EXPIRY = 6;
const RANK = 7;

const FIRST_CAPACITY = 1024;

/**
 * Open orders, as records in two typed arrays: no object for each order, and one order lies in two lines of the cache, which is what the
 * speed of a deep book hangs on. Inside the engine an order is known by the number of its record; its id is for the outside.
 *
 * A `!` after an index stands where the index is a record's number and a field, and therefore within the array. Fields are joined to
 * numbers by bits, since sums would be checked for overflow each time.
 */
export class Orders {
  /** The digests of all orders that rest, but for those that changed since, and of the markets. */
  readonly #digests = new DigestSum();
  #integers = new Int32Array(FIRST_CAPACITY << 4);
  #numbers = new Float64Array(FIRST_CAPACITY << 3);
  /** Chains of records by id; as many as there is room for records. */
  #chains = new Int32Array(FIRST_CAPACITY).fill(NONE);
  /** Records that changed since the digests were last asked for, each once. */
  #stale = new Int32Array(FIRST_CAPACITY);
  #staleCount = 0;
  #capacity = FIRST_CAPACITY;
  #used = 0;
  #free = NONE;
  #count = 0;

  /** Orders that can be found by their id. */
  get count(): number {
    return this.#count;
  }

  /** Neighbours in the queue of a price level; `next` also chains free records. */
  next(order: number): number {
    return this.#integers[(order << 4) | NEXT]!;
  }

  setNext(order: number, value: number): void {
    this.#integers[(order << 4) | NEXT] = value;
  }

  previous(order: number): number {
    return this.#integers[(order << 4) | PREVIOUS]!;
  }

  setPrevious(order: number, value: number): void {
    this.#integers[(order << 4) | PREVIOUS] = value;
  }

  /** The level in whose queue the order stands. */
  level(order: number): number {
    return this.#integers[(order << 4) | LEVEL]!;
  }

  setLevel(order: number, value: number): void {
    this.#integers[(order << 4) | LEVEL] = value;
  }

  /** Market, type and side in one: see levels.ts. */
  ladder(order: number): number {
    return this.#integers[(order << 4) | LADDER]!;
  }

  setLadder(order: number, value: number): void {
    this.#integers[(order << 4) | LADDER] = value;
  }

  price(order: number): number {
    return this.#integers[(order << 4) | PRICE]!;
  }

  setPrice(order: number, value: number): void {
    this.#integers[(order << 4) | PRICE] = value;
  }

  account(order: number): number {
    return this.#integers[(order << 4) | ACCOUNT]!;
  }

  setAccount(order: number, value: number): void {
    this.#integers[(order << 4) | ACCOUNT] = value;
  }

  /** Neighbours among the open orders of the account, by id. */
  accountNext(order: number): number {
    return this.#integers[(order << 4) | ACCOUNT_NEXT]!;
  }

  setAccountNext(order: number, value: number): void {
    this.#integers[(order << 4) | ACCOUNT_NEXT] = value;
  }

  accountPrevious(order: number): number {
    return this.#integers[(order << 4) | ACCOUNT_PREVIOUS]!;
  }

  setAccountPrevious(order: number, value: number): void {
    this.#integers[(order << 4) | ACCOUNT_PREVIOUS] = value;
  }

  /** Place in the heap of expiries, or NONE. */
  expiryPlace(order: number): number {
    return this.#integers[(order << 4) | EXPIRY_PLACE]!;
  }

  setExpiryPlace(order: number, value: number): void {
    this.#integers[(order << 4) | EXPIRY_PLACE] = value;
  }

  selfTrade(order: number): number {
    return this.#integers[(order << 4) | SELF_TRADE]!;
  }

  setSelfTrade(order: number, value: number): void {
    this.#integers[(order << 4) | SELF_TRADE] = value;
  }

  /** 0 or 1. */
  postOnly(order: number): number {
    return this.#integers[(order << 4) | POST_ONLY]!;
  }

  setPostOnly(order: number, value: number): void {
    this.#integers[(order << 4) | POST_ONLY] = value;
  }

  id(order: number): number {
    return this.#numbers[(order << 3) | ID]!;
  }

  setId(order: number, value: number): void {
    this.#numbers[(order << 3) | ID] = value;
  }

  /** Lots that can still trade. */
  open(order: number): number {
    return this.#numbers[(order << 3) | OPEN]!;
  }

  setOpen(order: number, value: number): void {
    this.#numbers[(order << 3) | OPEN] = value;
  }

  /** Those of them that the queue shows: all of them but for icebergs. */
  shown(order: number): number {
    return this.#numbers[(order << 3) | SHOWN]!;
  }

  setShown(order: number, value: number): void {
    this.#numbers[(order << 3) | SHOWN] = value;
  }

  filled(order: number): number {
    return this.#numbers[(order << 3) | FILLED]!;
  }

  setFilled(order: number, value: number): void {
    this.#numbers[(order << 3) | FILLED] = value;
  }

  /** The size of an iceberg's slices, or 0. */
  display(order: number): number {
    return this.#numbers[(order << 3) | DISPLAY]!;
  }

  setDisplay(order: number, value: number): void {
    this.#numbers[(order << 3) | DISPLAY] = value;
  }

  /** The least that one match may be, or 0. */
  minimumMatch(order: number): number {
    return this.#numbers[(order << 3) | MINIMUM_MATCH]!;
  }

  setMinimumMatch(order: number, value: number): void {
    this.#numbers[(order << 3) | MINIMUM_MATCH] = value;
  }

  /** Unix seconds, or 0. */
  expiry(order: number): number {
    return this.#numbers[(order << 3) | EXPIRY]!;
  }

  setExpiry(order: number, value: number): void {
    this.#numbers[(order << 3) | EXPIRY] = value;
  }

  /** Orders at one price trade by rising rank. */
  rank(order: number): number {
    return this.#numbers[(order << 3) | RANK]!;
  }

  setRank(order: number, value: number): void {
    this.#numbers[(order << 3) | RANK] = value;
  }

  /** What an order shows when a slice begins. */
  slice(order: number, open: number): number {
    const display = this.display(order);
    return display === 0 || display > open ? open : display;
  }

  /** A record that may have anything in its fields. */
  allocate(): number {
    const order = this.#free;
    if (order !== NONE) {
      this.#free = this.next(order);
      return order;
    }
    if (this.#used === this.#capacity) this.#grow();
    return this.#used++;
  }

  release(order: number): void {
    this.setNext(order, this.#free);
    this.#free = order;
  }

  find(id: number): number {
    let order = this.#chains[this.#chainOf(id)]!;
    while (order !== NONE && this.id(order) !== id) order = this.#idNext(order);
    return order;
  }

  addId(order: number): void {
    const chain = this.#chainOf(this.id(order));
    this.#integers[(order << 4) | ID_NEXT] = this.#chains[chain]!;
    this.#chains[chain] = order;
    this.#count++;
  }

  removeId(order: number): void {
    const chain = this.#chainOf(this.id(order));
    const next = this.#idNext(order);
    this.#count--;
    let before = this.#chains[chain]!;
    if (before === order) {
      this.#chains[chain] = next;
      return;
    }
    while (this.#idNext(before) !== order) before = this.#idNext(before);
    this.#integers[(before << 4) | ID_NEXT] = next;
  }

  /** All that can be found by their id, by rising id. */
  all(): number[] {
    return this.#linked().sort((left, right) => this.id(left) - this.id(right));
  }

  /** An order that rests, or is about to, is not what it was. */
  touch(order: number): void {
    if (this.#integers[(order << 4) | IS_STALE] === 1) return;
    this.#integers[(order << 4) | IS_STALE] = 1;
    this.#stale[this.#staleCount++] = order;
  }

  /** An order that rested does not any more: what was counted of it is not counted any more. */
  discount(order: number): void {
    const at = order << 4;
    this.#digests.subtract(this.#integers[at | DIGEST_LOW]!, this.#integers[at | DIGEST_HIGH]!);
    this.#integers[at | DIGEST_LOW] = 0;
    this.#integers[at | DIGEST_HIGH] = 0;
  }

  /** The sum of all digests. Those of orders are taken when they are asked for: most orders change or go before. */
  digests(): DigestSum {
    for (let index = 0; index < this.#staleCount; index++) {
      const order = this.#stale[index]!;
      const at = order << 4;
      this.#integers[at | IS_STALE] = 0;
      if (this.level(order) === NONE) continue;
      this.discount(order);
      const low = this.#digest(order, WEIGHTS_LOW);
      const high = this.#digest(order, WEIGHTS_HIGH);
      this.#integers[at | DIGEST_LOW] = low;
      this.#integers[at | DIGEST_HIGH] = high;
      this.#digests.add(low, high);
    }
    this.#staleCount = 0;
    return this.#digests;
  }

  #digest(order: number, weights: Weights): number {
    const identity =
      weighWord(weights, 0, SUBJECT.order) +
      weigh(weights, 1, this.id(order)) +
      weighWord(weights, 2, this.ladder(order)) +
      weighWord(weights, 3, this.price(order)) +
      weighWord(weights, 4, this.account(order)) +
      weighWord(weights, 5, this.selfTrade(order)) +
      weighWord(weights, 6, this.postOnly(order)) +
      weigh(weights, 7, this.display(order)) +
      weigh(weights, 8, this.minimumMatch(order)) +
      weigh(weights, 9, this.expiry(order));
    const changing =
      weigh(weights, 10, this.open(order)) +
      weigh(weights, 11, this.shown(order)) +
      weigh(weights, 12, this.filled(order)) +
      weigh(weights, 13, this.rank(order));
    return stir(identity + changing);
  }

  #idNext(order: number): number {
    return this.#integers[(order << 4) | ID_NEXT]!;
  }

  #linked(): number[] {
    const found: number[] = [];
    for (let order of this.#chains) {
      for (; order !== NONE; order = this.#idNext(order)) found.push(order);
    }
    return found;
  }

  /** Ids are consecutive: multiplied, they spread over the chains evenly. */
  #chainOf(id: number): number {
    return Math.imul(id, 0x9e3779b1) >>> (Math.clz32(this.#capacity) + 1);
  }

  #grow(): void {
    const linked = this.#linked();
    this.#capacity *= 2;
    const integers = new Int32Array(this.#capacity << 4);
    integers.set(this.#integers);
    this.#integers = integers;
    const numbers = new Float64Array(this.#capacity << 3);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    const stale = new Int32Array(this.#capacity);
    stale.set(this.#stale);
    this.#stale = stale;
    this.#chains = new Int32Array(this.#capacity).fill(NONE);
    this.#count = 0;
    for (const order of linked) this.addId(order);
  }
}
