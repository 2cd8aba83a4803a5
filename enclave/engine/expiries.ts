import { NONE, type Orders } from './orders.ts';

/** Orders that expire: a binary heap, the earliest expiry first and the lowest id among equals. Each order knows its place. */
export class Expiries {
  readonly #orders: Orders;
  #heap = new Int32Array(256);
  #count = 0;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** The next order that expires by this time, or NONE. */
  due(now: number): number {
    const first = this.#count === 0 ? NONE : this.#heap[0]!;
    return first !== NONE && this.#orders.expiry(first) <= now ? first : NONE;
  }

  add(order: number): void {
    if (this.#count === this.#heap.length) {
      const heap = new Int32Array(this.#count * 2);
      heap.set(this.#heap);
      this.#heap = heap;
    }
    this.#rise(order, this.#count++);
  }

  /** An order that does not expire may be given too. */
  remove(order: number): void {
    const place = this.#orders.expiryPlace(order);
    if (place === NONE) return;
    const last = this.#heap[--this.#count]!;
    if (last === order) return;
    if (place > 0 && this.#isBefore(last, this.#heap[(place - 1) >> 1]!)) this.#rise(last, place);
    else this.#sink(last, place);
  }

  #rise(order: number, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1]!;
      if (!this.#isBefore(order, parent)) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(order, place);
  }

  #sink(order: number, from: number): void {
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#isBefore(this.#heap[child + 1]!, this.#heap[child]!)) child++;
      if (!this.#isBefore(this.#heap[child]!, order)) break;
      this.#put(this.#heap[child]!, place);
      place = child;
    }
    this.#put(order, place);
  }

  #put(order: number, place: number): void {
    this.#heap[place] = order;
    this.#orders.setExpiryPlace(order, place);
  }

  #isBefore(left: number, right: number): boolean {
    const orders = this.#orders;
    const difference = orders.expiry(left) - orders.expiry(right);
    return difference < 0 || (difference === 0 && orders.id(left) < orders.id(right));
  }
}
