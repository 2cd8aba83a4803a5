import type { OrderRequest } from './request.ts';

/** What of a request lasts. */
type Terms = Pick<
  OrderRequest,
  'account' | 'price' | 'lots' | 'selfTrade' | 'expiry' | 'postOnly' | 'display' | 'minimumMatch'
>;

const NONE = 0;

// A record has 2^5 words of 32 bits. Those that link orders belong to who links them: 0 to 2 to levels.ts, 3 and 4 to accounts.ts, 5 to
// expiries.ts, 6 to 8 to digests.ts. What an order is and where it stands follows, and all of that is in its digest.
const FREE_NEXT = 0;
const ID_NEXT = 9;
const LADDER = 11;
const PRICE = 12;
const ACCOUNT = 13;
const SELF_TRADE = 14;
const POST_ONLY = 15;

// Safe integers, of two words each: numbered by twos, they are the second half of the record.
const ID = 8;
const OPEN = 9;
const SHOWN = 10;
const FILLED = 11;
const RANK = 12;
const MINIMUM_MATCH = 13;
const DISPLAY = 14;
const EXPIRY = 15;

const RECORD_BITS = 5;
const FIRST_CAPACITY = 1024;

/**
 * Open orders, as records in one piece of memory: no object for each order, and one order lies in two lines of the cache, which is what the
 * speed of a deep book hangs on. Inside the engine an order is known by the place of its record's first word, and 0 is no order; its id is
 * for the outside.
 *
 * A `!` after an index stands where the index is a record's place and a field, and therefore within the array. Fields are joined to places
 * by bits, since sums would be checked for overflow each time. What the engine uses in every command, such as `NONE`, each module has as a
 * constant of its own: V8 compiles those into its code, while imported ones are loaded and checked wherever they stand.
 */
export class Orders {
  /** All records, as words and as numbers of two words: for who has words of its own in them. */
  integers = new Int32Array((FIRST_CAPACITY + 1) << RECORD_BITS);
  numbers = new Float64Array(this.integers.buffer);
  /** Chains of records by id; as many as there is room for records. */
  #chains = new Int32Array(FIRST_CAPACITY);
  #used = 1;
  #free = NONE;
  #count = 0;

  /** Orders that can be found by their id. */
  get count(): number {
    return this.#count;
  }

  /** Records that there is room for, besides the first, which is none. */
  get capacity(): number {
    return this.#chains.length;
  }

  /** Market, type and side in one: see levels.ts. */
  ladder(order: number): number {
    return this.integers[order | LADDER]!;
  }

  price(order: number): number {
    return this.integers[order | PRICE]!;
  }

  setPrice(order: number, value: number): void {
    this.integers[order | PRICE] = value;
  }

  account(order: number): number {
    return this.integers[order | ACCOUNT]!;
  }

  selfTrade(order: number): number {
    return this.integers[order | SELF_TRADE]!;
  }

  /** 0 or 1. */
  postOnly(order: number): number {
    return this.integers[order | POST_ONLY]!;
  }

  id(order: number): number {
    return this.numbers[(order >> 1) | ID]!;
  }

  /** Lots that can still trade. */
  open(order: number): number {
    return this.numbers[(order >> 1) | OPEN]!;
  }

  setOpen(order: number, value: number): void {
    this.numbers[(order >> 1) | OPEN] = value;
  }

  /** Those of them that the queue shows: all of them but for icebergs. */
  shown(order: number): number {
    return this.numbers[(order >> 1) | SHOWN]!;
  }

  setShown(order: number, value: number): void {
    this.numbers[(order >> 1) | SHOWN] = value;
  }

  filled(order: number): number {
    return this.numbers[(order >> 1) | FILLED]!;
  }

  setFilled(order: number, value: number): void {
    this.numbers[(order >> 1) | FILLED] = value;
  }

  /** The size of an iceberg's slices, or 0. */
  display(order: number): number {
    return this.numbers[(order >> 1) | DISPLAY]!;
  }

  /** The least that one match may be, or 0. */
  minimumMatch(order: number): number {
    return this.numbers[(order >> 1) | MINIMUM_MATCH]!;
  }

  /** Unix seconds, or 0. */
  expiry(order: number): number {
    return this.numbers[(order >> 1) | EXPIRY]!;
  }

  /** Orders at one price trade by rising rank. */
  rank(order: number): number {
    return this.numbers[(order >> 1) | RANK]!;
  }

  setRank(order: number, value: number): void {
    this.numbers[(order >> 1) | RANK] = value;
  }

  /** What an order shows when a slice begins. */
  slice(order: number, open: number): number {
    const display = this.display(order);
    return display === 0 || display > open ? open : display;
  }

  /** A record for an order that is nowhere in the book yet, has not traded and shows nothing. */
  create(id: number, ladder: number, request: Readonly<Terms>): number {
    const order = this.#allocate();
    const { integers, numbers } = this;
    const at = order >> 1;
    integers[order | LADDER] = ladder;
    integers[order | ACCOUNT] = request.account;
    integers[order | PRICE] = request.price;
    integers[order | SELF_TRADE] = request.selfTrade;
    integers[order | POST_ONLY] = request.postOnly ? 1 : 0;
    numbers[at | ID] = id;
    numbers[at | OPEN] = request.lots;
    numbers[at | SHOWN] = 0;
    numbers[at | FILLED] = 0;
    numbers[at | MINIMUM_MATCH] = request.minimumMatch;
    numbers[at | DISPLAY] = request.display;
    numbers[at | EXPIRY] = request.expiry;
    return order;
  }

  release(order: number): void {
    this.integers[order | FREE_NEXT] = this.#free;
    this.#free = order;
  }

  find(id: number): number {
    let order = this.#chains[this.#chainOf(id)]!;
    while (order !== NONE && this.id(order) !== id) order = this.#idNext(order);
    return order;
  }

  addId(order: number): void {
    const chain = this.#chainOf(this.id(order));
    this.integers[order | ID_NEXT] = this.#chains[chain]!;
    this.#chains[chain] = order;
    this.#count++;
  }

  removeId(order: number): void {
    const { integers } = this;
    const chain = this.#chainOf(this.id(order));
    const next = integers[order | ID_NEXT]!;
    this.#count--;
    let before = this.#chains[chain]!;
    if (before === order) {
      this.#chains[chain] = next;
      return;
    }
    while (integers[before | ID_NEXT] !== order) before = integers[before | ID_NEXT]!;
    integers[before | ID_NEXT] = next;
  }

  /** All that can be found by their id, by rising id. */
  all(): number[] {
    return this.#linked().sort((left, right) => this.id(left) - this.id(right));
  }

  #idNext(order: number): number {
    return this.integers[order | ID_NEXT]!;
  }

  #linked(): number[] {
    const found: number[] = [];
    for (let order of this.#chains) {
      for (; order !== NONE; order = this.#idNext(order)) found.push(order);
    }
    return found;
  }

  /** Ids are consecutive, so that their lowest bits spread them over the chains evenly, those of new orders side by side. */
  #chainOf(id: number): number {
    return id & (this.#chains.length - 1);
  }

  #allocate(): number {
    const order = this.#free;
    if (order !== NONE) {
      this.#free = this.integers[order | FREE_NEXT]!;
      return order;
    }
    if (this.#used > this.capacity) this.#grow();
    return this.#used++ << RECORD_BITS;
  }

  #grow(): void {
    const linked = this.#linked();
    const capacity = this.capacity * 2;
    const integers = new Int32Array((capacity + 1) << RECORD_BITS);
    integers.set(this.integers);
    this.integers = integers;
    this.numbers = new Float64Array(integers.buffer);
    this.#chains = new Int32Array(capacity);
    this.#count = 0;
    for (const order of linked) this.addId(order);
  }
}
