import { DigestSum, stir, SUBJECT, UPPER_WORDS, WEIGHTS_HIGH, WEIGHTS_LOW, WORD } from './hash.ts';
import type { Orders } from './orders.ts';

const SINGLE = WORD;
const LOW = WEIGHTS_LOW;
const HIGH = WEIGHTS_HIGH;
const UPPER = UPPER_WORDS;
const ORDER_LOW = Math.imul(SUBJECT.order, LOW[0]!);
const ORDER_HIGH = Math.imul(SUBJECT.order, HIGH[0]!);

// Words of an order's record: its digest, which is 0 while the sum has nothing of it, and whether it is listed as changed.
const DIGEST_LOW = 6;
const DIGEST_HIGH = 7;
const STATE = 8;

// What its digest is of: words, and behind them numbers of two words.
const FIRST_WORD = 11;
const FIRST_NUMBER = 8;
const END = 16;

const UNLISTED = 0;
const CHANGED = 1;
/** Listed, and does not rest any more. */
const GONE = 2;

const FIRST_CAPACITY = 1024;

/** The sum of the digests of all orders that rest and of all markets. */
export class Digests {
  readonly #orders: Orders;
  readonly #sum = new DigestSum();
  /** Orders that changed since the sum was last asked for, each once. */
  #listed = new Int32Array(FIRST_CAPACITY);
  #count = 0;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** An order that rests is not what it was. */
  touch(order: number): void {
    const { integers } = this.#orders;
    if (integers[order | STATE] === UNLISTED) this.#list(order);
    integers[order | STATE] = CHANGED;
  }

  /** An order that rested does not any more. */
  discount(order: number): void {
    const { integers } = this.#orders;
    this.#sum.subtract(integers[order | DIGEST_LOW]!, integers[order | DIGEST_HIGH]!);
    integers[order | DIGEST_LOW] = 0;
    integers[order | DIGEST_HIGH] = 0;
    if (integers[order | STATE] === CHANGED) integers[order | STATE] = GONE;
  }

  /** Digests are taken when the sum is asked for: most orders change or go before. */
  sum(): DigestSum {
    const { integers } = this.#orders;
    for (let index = 0; index < this.#count; index++) {
      const order = this.#listed[index]!;
      if (integers[order | STATE] === CHANGED) this.#digest(order);
      integers[order | STATE] = UNLISTED;
    }
    this.#count = 0;
    return this.#sum;
  }

  #list(order: number): void {
    if (this.#count === this.#listed.length) {
      const listed = new Int32Array(this.#count * 2);
      listed.set(this.#listed);
      this.#listed = listed;
    }
    this.#listed[this.#count++] = order;
  }

  /** What `digest` gives for the list of what stands in the record, in both lanes at once and without a list. */
  #digest(order: number): void {
    const { integers, numbers } = this.#orders;
    let low = ORDER_LOW;
    let high = ORDER_HIGH;
    let place = 1;
    for (let word = FIRST_WORD; word < END; word++, place++) {
      const value = integers[order | word]!;
      low = (low + Math.imul(value, LOW[place]!)) | 0;
      high = (high + Math.imul(value, HIGH[place]!)) | 0;
    }
    for (let number = FIRST_NUMBER; number < END; number++, place++) {
      const value = numbers[(order >> 1) | number]!;
      low = (low + Math.imul(value, LOW[place]!)) | 0;
      high = (high + Math.imul(value, HIGH[place]!)) | 0;
      if (value < SINGLE) continue;
      low = (low + Math.imul(value / SINGLE, LOW[place | UPPER]!)) | 0;
      high = (high + Math.imul(value / SINGLE, HIGH[place | UPPER]!)) | 0;
    }
    this.discount(order);
    integers[order | DIGEST_LOW] = stir(low);
    integers[order | DIGEST_HIGH] = stir(high);
    this.#sum.add(integers[order | DIGEST_LOW]!, integers[order | DIGEST_HIGH]!);
  }
}
