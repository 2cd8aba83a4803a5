import type { Orders } from './orders.ts';

const NONE = 0;

/** The word of an order's record that is its place. */
const PLACE = 5;

/** Orders that expire: a binary heap, the earliest expiry first and the lowest id among equals. Each order knows its place; the first is 1. */
export class Expiries {
  readonly #orders: Orders;
  #heap = new Int32Array(256);
  #count = 0;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** The next order that expires by this time, or NONE. */
  due(now: number): number {
    const first = this.#count === 0 ? NONE : this.#heap[1]!;
    return first !== NONE && this.#orders.expiry(first) <= now ? first : NONE;
  }

  add(order: number): void {
    const place = ++this.#count;
    if (place === this.#heap.length) {
      const heap = new Int32Array(place * 2);
      heap.set(this.#heap);
      this.#heap = heap;
    }
    this.#rise(order, place);
  }

  remove(order: number): void {
    const place = this.#orders.integers[order | PLACE]!;
    const last = this.#heap[this.#count--]!;
    if (last === order) return;
    if (place > 1 && this.#isBefore(last, this.#heap[place >> 1]!)) this.#rise(last, place);
    else this.#sink(last, place);
  }

  #rise(order: number, from: number): void {
    let place = from;
    while (place > 1) {
      const parent = this.#heap[place >> 1]!;
      if (!this.#isBefore(order, parent)) break;
      this.#put(parent, place);
      place >>= 1;
    }
    this.#put(order, place);
  }

  #sink(order: number, from: number): void {
    let place = from;
    for (;;) {
      let child = 2 * place;
      if (child > this.#count) break;
      if (child < this.#count && this.#isBefore(this.#heap[child + 1]!, this.#heap[child]!)) child++;
      if (!this.#isBefore(this.#heap[child]!, order)) break;
      this.#put(this.#heap[child]!, place);
      place = child;
    }
    this.#put(order, place);
  }

  #put(order: number, place: number): void {
    this.#heap[place] = order;
    this.#orders.integers[order | PLACE] = place;
  }

  #isBefore(left: number, right: number): boolean {
    const orders = this.#orders;
    const difference = orders.expiry(left) - orders.expiry(right);
    return difference < 0 || (difference === 0 && orders.id(left) < orders.id(right));
  }
}
