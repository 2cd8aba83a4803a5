import type { Orders } from './orders.ts';

const NONE = 0;

// Words of an order's record: its neighbours among the open orders of its account.
const NEXT = 3;
const PREVIOUS = 4;

// Integers of an account's record, of which there are 2^2: its number, its first and last open order, and the next record of the chain or of
// the free ones.
const NUMBER = 0;
const FIRST = 1;
const LAST = 2;
const CHAINED = 3;

const RECORD_BITS = 2;
const FIRST_CAPACITY = 256;

/**
 * The open orders of each account, in the order of their ids: whoever adds them does so in that order. An account without open orders takes
 * no room.
 */
export class Accounts {
  readonly #orders: Orders;
  #records = new Int32Array(FIRST_CAPACITY << RECORD_BITS);
  #chains = new Int32Array(FIRST_CAPACITY);
  #capacity = FIRST_CAPACITY;
  /** The first record is none. */
  #used = 1;
  #free = NONE;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** The account's first order, or NONE. */
  first(account: number): number {
    const record = this.#find(account);
    return record === NONE ? NONE : this.#records[record | FIRST]!;
  }

  /** The next order of an order's account, or NONE. */
  next(order: number): number {
    return this.#orders.integers[order | NEXT]!;
  }

  add(order: number): void {
    const { integers } = this.#orders;
    const account = this.#orders.account(order);
    const found = this.#find(account);
    const record = found === NONE ? this.#allocate(account) : found;
    const records = this.#records;
    const last = records[record | LAST]!;
    integers[order | PREVIOUS] = last;
    integers[order | NEXT] = NONE;
    records[record | LAST] = order;
    if (last === NONE) records[record | FIRST] = order;
    else integers[last | NEXT] = order;
  }

  remove(order: number): void {
    const { integers } = this.#orders;
    const next = integers[order | NEXT]!;
    const previous = integers[order | PREVIOUS]!;
    if (next !== NONE) integers[next | PREVIOUS] = previous;
    if (previous !== NONE) integers[previous | NEXT] = next;
    if (next === NONE || previous === NONE) this.#removeEnd(this.#orders.account(order), next, previous);
  }

  /** After the first or the last order left, or the only one. */
  #removeEnd(account: number, next: number, previous: number): void {
    const record = this.#find(account);
    if (next === NONE) this.#records[record | LAST] = previous;
    if (previous === NONE) this.#records[record | FIRST] = next;
    if (next === NONE && previous === NONE) this.#release(record);
  }

  #find(account: number): number {
    const records = this.#records;
    let record = this.#chains[this.#chainOf(account)]!;
    while (record !== NONE && records[record | NUMBER] !== account) record = records[record | CHAINED]!;
    return record;
  }

  #allocate(account: number): number {
    let record = this.#free;
    if (record === NONE) {
      if (this.#used === this.#capacity) this.#grow();
      record = this.#used++ << RECORD_BITS;
    } else {
      this.#free = this.#chained(record);
    }
    this.#records[record | NUMBER] = account;
    this.#records[record | FIRST] = NONE;
    this.#records[record | LAST] = NONE;
    this.#link(record);
    return record;
  }

  #release(record: number): void {
    const chain = this.#chainOf(this.#records[record | NUMBER]!);
    const next = this.#chained(record);
    let before = this.#chains[chain]!;
    if (before === record) {
      this.#chains[chain] = next;
    } else {
      while (this.#chained(before) !== record) before = this.#chained(before);
      this.#records[before | CHAINED] = next;
    }
    this.#records[record | CHAINED] = this.#free;
    this.#free = record;
  }

  #link(record: number): void {
    const chain = this.#chainOf(this.#records[record | NUMBER]!);
    this.#records[record | CHAINED] = this.#chains[chain]!;
    this.#chains[chain] = record;
  }

  #chained(record: number): number {
    return this.#records[record | CHAINED]!;
  }

  #chainOf(account: number): number {
    return Math.imul(account, 0x9e3779b1) >>> (Math.clz32(this.#capacity) + 1);
  }

  /** Only where no record is free: all of them are linked. */
  #grow(): void {
    this.#capacity *= 2;
    const records = new Int32Array(this.#capacity << RECORD_BITS);
    records.set(this.#records);
    this.#records = records;
    this.#chains = new Int32Array(this.#capacity);
    for (let record = 1; record < this.#used; record++) this.#link(record << RECORD_BITS);
  }
}
