import { NONE, type Orders } from './orders.ts';

// Integers of a record, of which there are 2^2: the account's number, its first and last open order, and the next record of the chain or of
// the free ones.
const NUMBER = 0;
const FIRST = 1;
const LAST = 2;
const CHAINED = 3;

const FIRST_CAPACITY = 256;

/**
 * The open orders of each account, in the order of their ids: whoever adds them does so in that order. An account without open orders takes
 * no room.
 */
export class Accounts {
  readonly #orders: Orders;
  #records = new Int32Array(FIRST_CAPACITY << 2);
  #chains = new Int32Array(FIRST_CAPACITY).fill(NONE);
  #capacity = FIRST_CAPACITY;
  #used = 0;
  #free = NONE;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** The account's first order, or NONE. */
  first(account: number): number {
    const record = this.#find(account);
    return record === NONE ? NONE : this.#records[(record << 2) | FIRST]!;
  }

  add(order: number): void {
    const orders = this.#orders;
    const account = orders.account(order);
    const found = this.#find(account);
    const at = (found === NONE ? this.#allocate(account) : found) << 2;
    const last = this.#records[at | LAST]!;
    orders.setAccountPrevious(order, last);
    orders.setAccountNext(order, NONE);
    this.#records[at | LAST] = order;
    if (last === NONE) this.#records[at | FIRST] = order;
    else orders.setAccountNext(last, order);
  }

  remove(order: number): void {
    const orders = this.#orders;
    const next = orders.accountNext(order);
    const previous = orders.accountPrevious(order);
    if (next !== NONE) orders.setAccountPrevious(next, previous);
    if (previous !== NONE) orders.setAccountNext(previous, next);
    if (next !== NONE && previous !== NONE) return;
    const record = this.#find(orders.account(order));
    if (next === NONE) this.#records[(record << 2) | LAST] = previous;
    if (previous === NONE) this.#records[(record << 2) | FIRST] = next;
    if (next === NONE && previous === NONE) this.#release(record);
  }

  #find(account: number): number {
    let record = this.#chains[this.#chainOf(account)]!;
    while (record !== NONE && this.#records[(record << 2) | NUMBER] !== account) record = this.#chained(record);
    return record;
  }

  #allocate(account: number): number {
    let record = this.#free;
    if (record === NONE) {
      if (this.#used === this.#capacity) this.#grow();
      record = this.#used++;
    } else {
      this.#free = this.#chained(record);
    }
    this.#records[(record << 2) | NUMBER] = account;
    this.#records[(record << 2) | FIRST] = NONE;
    this.#records[(record << 2) | LAST] = NONE;
    this.#link(record);
    return record;
  }

  #release(record: number): void {
    const chain = this.#chainOf(this.#records[(record << 2) | NUMBER]!);
    const next = this.#chained(record);
    let before = this.#chains[chain]!;
    if (before === record) {
      this.#chains[chain] = next;
    } else {
      while (this.#chained(before) !== record) before = this.#chained(before);
      this.#records[(before << 2) | CHAINED] = next;
    }
    this.#records[(record << 2) | CHAINED] = this.#free;
    this.#free = record;
  }

  #link(record: number): void {
    const chain = this.#chainOf(this.#records[(record << 2) | NUMBER]!);
    this.#records[(record << 2) | CHAINED] = this.#chains[chain]!;
    this.#chains[chain] = record;
  }

  #chained(record: number): number {
    return this.#records[(record << 2) | CHAINED]!;
  }

  #chainOf(account: number): number {
    return Math.imul(account, 0x9e3779b1) >>> (Math.clz32(this.#capacity) + 1);
  }

  /** Only where no record is free: all of them are linked. */
  #grow(): void {
    this.#capacity *= 2;
    const records = new Int32Array(this.#capacity << 2);
    records.set(this.#records);
    this.#records = records;
    this.#chains = new Int32Array(this.#capacity).fill(NONE);
    for (let record = 0; record < this.#used; record++) this.#link(record);
  }
}
