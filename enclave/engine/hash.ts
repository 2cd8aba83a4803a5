// The hash of a state: two lanes of 32 bits. It finds engines that diverged and files that rotted; it is no defence against someone who
// looks for collisions.
//
// A digest is of a list of integers from 0 to 2^53 - 1, the first of which says what the list is about. Each integer is split into a low
// and a high word, each word is multiplied with the lane's weight for its place, and the sum modulo 2^32 is stirred. The digests of all
// open orders and all markets are added up, so that a change costs one subtraction and one addition, in whatever order changes come.

/** What a list is about. */
export const SUBJECT = { state: 1, market: 2, order: 3 } as const;

/** The longest list. */
const NUMBERS_MAX = 16;
/** Numbers below it have no high word. */
export const WORD = 2 ** 32;

/** Weights: those of the low words by their place in the list, and behind them, from here on, those of the high ones. */
export type Weights = Int32Array;
export const UPPER_WORDS = NUMBERS_MAX;

/** Odd ones, so that a change of one word always changes the sum. */
function makeWeights(seed: number): Weights {
  return Int32Array.from({ length: 2 * NUMBERS_MAX }, (_, place) => stir(seed + Math.imul(place + 1, 0x9e3779b1)) | 1);
}

export const WEIGHTS_LOW = makeWeights(0x243f6a88);
export const WEIGHTS_HIGH = makeWeights(0x13198a2e);

/** Every bit of the sum changes about half of the digest's. */
export function stir(sum: number): number {
  let stirred = sum ^ (sum >>> 16);
  stirred = Math.imul(stirred, 0x85ebca6b);
  stirred ^= stirred >>> 13;
  stirred = Math.imul(stirred, 0xc2b2ae35);
  return stirred ^ (stirred >>> 16);
}

export function digest(weights: Weights, numbers: readonly number[]): number {
  const sum = numbers.reduce((before, number, place) => {
    // Math.imul takes the low word of what it is given; a division by a power of two is exact.
    const low = Math.imul(number, weights[place]!);
    return (before + low + Math.imul(number / WORD, weights[place | UPPER_WORDS]!)) | 0;
  }, 0);
  return stir(sum);
}

/** A sum of digests. */
export class DigestSum {
  low = 0;
  high = 0;

  add(low: number, high: number): void {
    this.low = (this.low + low) | 0;
    this.high = (this.high + high) | 0;
  }

  subtract(low: number, high: number): void {
    this.low = (this.low - low) | 0;
    this.high = (this.high - high) | 0;
  }
}

/** Sixteen digits, the high lane first. */
export function hexOf(low: number, high: number): string {
  return [high, low].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
}
