import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import { babyjubjub } from '@noble/curves/misc.js';
import type { Point } from './babyjubjub.ts';
import {
  add,
  allocate,
  copy,
  ELEMENT_BYTES,
  equal,
  invert,
  memory32,
  multiply,
  square,
  subtract,
  write,
  type Pointer,
} from './fieldMemory.ts';

// The arithmetic is that of the isomorphic curve with a' = -1 and d' = -d/a, where x' = √-a · x and y' = y: an addition there takes two
// multiplications less. d' is no square and -1 is one, so the unified addition of Hisil, Wong, Carter and Dawson ("Twisted Edwards Curves
// Revisited", 2008, section 3.1) holds for any two points, equal ones, the identity and those outside the prime subgroup among them.
const { Fp } = babyjubjub.Point;
const { a, d } = babyjubjub.Point.CURVE();

function constant(value: bigint): Pointer {
  const pointer = allocate(1);
  write(pointer, value);
  return pointer;
}

const ZERO = constant(0n);
const ONE = constant(1n);
const SCALE = constant(Fp.sqrt(Fp.neg(a)));
const TWICE_D = constant(Fp.mul(2n, Fp.neg(Fp.div(d, a))));

/** The accumulator, in extended coordinates: x' = X/Z, y' = Y/Z, x'y' = T/Z. */
const POINT_ELEMENTS = 4;
const X = allocate(POINT_ELEMENTS);
const Y = X + ELEMENT_BYTES;
const Z = Y + ELEMENT_BYTES;
const T = Z + ELEMENT_BYTES;

/** The entry to add: y' - x', y' + x' and 2d'x'y' of a point, which is how tables hold it. */
const ENTRY_ELEMENTS = 3;
const DIFFERENCE = allocate(ENTRY_ELEMENTS);
const SUM = DIFFERENCE + ELEMENT_BYTES;
const PRODUCT = SUM + ELEMENT_BYTES;

// Intermediate results, with the letters of the paper.
const A = allocate(1);
const B = allocate(1);
const C = allocate(1);
const E = allocate(1);
const F = allocate(1);
const G = allocate(1);
const H = allocate(1);

const ELEMENT_WORDS = ELEMENT_BYTES / 4;
const POINT_WORDS = POINT_ELEMENTS * ELEMENT_WORDS;
const ENTRY_WORDS = ENTRY_ELEMENTS * ELEMENT_WORDS;

// Word by word: making a view for `set` takes longer than the copy.
function load(pointer: Pointer, source: Int32Array, at: number, words: number): void {
  const start = pointer >>> 2;
  for (let word = 0; word < words; word++) memory32[start + word] = source[at + word] as number;
}

function store(pointer: Pointer, target: Int32Array, at: number, words: number): void {
  const start = pointer >>> 2;
  for (let word = 0; word < words; word++) target[at + word] = memory32[start + word] as number;
}

function setAccumulator(x: Pointer, y: Pointer): void {
  copy(x, X);
  copy(y, Y);
  copy(ONE, Z);
  multiply(x, y, T);
}

/** Adds the entry to the accumulator, or subtracts it. */
function addEntry(isNegative: boolean): void {
  // The negative of a point has difference and sum exchanged and the product's sign changed, which exchanges F and G.
  subtract(Y, X, E);
  multiply(E, isNegative ? SUM : DIFFERENCE, A);
  add(Y, X, E);
  multiply(E, isNegative ? DIFFERENCE : SUM, B);
  multiply(T, PRODUCT, C);
  add(Z, Z, H);
  subtract(H, C, isNegative ? G : F);
  add(H, C, isNegative ? F : G);
  subtract(B, A, E);
  add(B, A, H);
  multiply(E, F, X);
  multiply(G, H, Y);
  multiply(F, G, Z);
  multiply(E, H, T);
}

function double(): void {
  square(X, A);
  square(Y, B);
  square(Z, C);
  add(C, C, C);
  add(X, Y, E);
  square(E, F);
  // F and H have the sign that costs no negation. So all four coordinates are the negatives of the paper's, which is the same point.
  add(A, B, H);
  subtract(F, H, E);
  subtract(B, A, G);
  subtract(C, G, F);
  multiply(E, F, X);
  multiply(G, H, Y);
  multiply(F, G, Z);
  multiply(E, H, T);
}

/** The entries of points in extended coordinates, with one inversion for all (Montgomery's trick). */
function entriesOf(points: Int32Array): Int32Array {
  const count = points.length / POINT_WORDS;
  const entries = new Int32Array(count * ENTRY_WORDS);
  const products = new Int32Array(count * ELEMENT_WORDS);
  copy(ONE, A);
  for (let index = 0; index < count; index++) {
    store(A, products, index * ELEMENT_WORDS, ELEMENT_WORDS);
    load(X, points, index * POINT_WORDS, POINT_WORDS);
    multiply(A, Z, A);
  }
  invert(A, A);
  for (let index = count - 1; index >= 0; index--) {
    load(B, products, index * ELEMENT_WORDS, ELEMENT_WORDS);
    load(X, points, index * POINT_WORDS, POINT_WORDS);
    multiply(A, B, B);
    multiply(A, Z, A);
    multiply(X, B, E);
    multiply(Y, B, F);
    subtract(F, E, DIFFERENCE);
    add(F, E, SUM);
    multiply(E, F, G);
    multiply(G, TWICE_D, PRODUCT);
    store(DIFFERENCE, entries, index * ENTRY_WORDS, ENTRY_WORDS);
  }
  return entries;
}

const WIDTH_MAX = 12;
const PASSES_MAX = 4;
// The biased scalar of the widest table, and the word after it that a digit may reach into.
const scalarWords = new Uint32Array(12);
const scalarWords64 = new BigUint64Array(scalarWords.buffer);

/**
 * Multiples of one point, of which a product with any scalar is the sum: for points that many scalars are multiplied with, none of
 * them secret.
 *
 * A scalar is a sum of signed digits. Every row has the 2^(width-1) multiples that one digit takes, 96 bytes each, and serves one digit in each
 * pass; between two passes the accumulator is doubled `width` times. So more passes take less memory and more time.
 */
export class PointTable {
  readonly #width: number;
  readonly #passes: number;
  readonly #rows: number;
  /** Half the base at every digit: digits of a scalar plus this, less half the base, are from -2^(width-1) to 2^(width-1)-1. */
  readonly #bias: bigint;
  readonly #entries: Int32Array;

  /** @param point on the curve, of any order. @param width bits of a digit, 2 to 12. @param passes 1 to 4. */
  constructor(point: Point, width: number, passes: number) {
    if (width < 2 || width > WIDTH_MAX || passes < 1 || passes > PASSES_MAX) throw new RangeError('no such table');
    let digits = 0;
    let bias = 0n;
    while (digits % passes !== 0 || SUBGROUP_ORDER + bias >= 1n << BigInt(width * digits)) {
      bias += 1n << BigInt(width * digits + width - 1);
      digits++;
    }
    this.#width = width;
    this.#passes = passes;
    this.#rows = digits / passes;
    this.#bias = bias;
    this.#entries = this.#multiplesOf(point);
  }

  #multiplesOf(point: Point): Int32Array {
    const half = 2 ** (this.#width - 1);
    const powers = new Int32Array(this.#rows * POINT_WORDS);
    write(A, point.x);
    multiply(A, SCALE, A);
    write(B, point.y);
    setAccumulator(A, B);
    for (let row = 0; row < this.#rows; row++) {
      store(X, powers, row * POINT_WORDS, POINT_WORDS);
      for (let bit = 0; bit < this.#passes * this.#width; bit++) double();
    }
    const steps = entriesOf(powers);
    const multiples = new Int32Array(this.#rows * half * POINT_WORDS);
    for (let row = 0; row < this.#rows; row++) {
      load(DIFFERENCE, steps, row * ENTRY_WORDS, ENTRY_WORDS);
      setAccumulator(ZERO, ONE);
      for (let index = row * half; index < (row + 1) * half; index++) {
        addEntry(false);
        store(X, multiples, index * POINT_WORDS, POINT_WORDS);
      }
    }
    return entriesOf(multiples);
  }

  /** Adds scalar · point, for a scalar in [0, SUBGROUP_ORDER]. The passes double what is there, so the table that has more than one comes first. */
  #accumulate(scalar: bigint): void {
    const [width, passes, rows, entries] = [this.#width, this.#passes, this.#rows, this.#entries];
    const half = 2 ** (width - 1);
    let rest = scalar + this.#bias;
    for (let word = 0; word < scalarWords64.length; word++) {
      scalarWords64[word] = rest;
      rest >>= 64n;
    }
    for (let pass = passes - 1; pass >= 0; pass--) {
      if (pass < passes - 1) for (let bit = 0; bit < width; bit++) double();
      for (let row = 0; row < rows; row++) {
        const bit = (row * passes + pass) * width;
        const low = scalarWords[bit >>> 5] as number;
        const high = scalarWords[(bit >>> 5) + 1] as number;
        // A shift counts modulo 32: where the bit is the first of its word, `high` has to vanish in two steps.
        const digit = (((low >>> bit) | ((high << 1) << (31 - (bit & 31)))) & (2 * half - 1)) - half;
        if (digit === 0) continue;
        load(DIFFERENCE, entries, (row * half + Math.abs(digit) - 1) * ENTRY_WORDS, ENTRY_WORDS);
        addEntry(digit < 0);
      }
    }
  }

  /** Whether the point is in the prime subgroup: the table's sums are right for points outside it too. */
  isTorsionFree(): boolean {
    setAccumulator(ZERO, ONE);
    this.#accumulate(SUBGROUP_ORDER);
    return equal(X, ZERO) && equal(Y, Z);
  }

  /**
   * Whether scalar · point + otherScalar · (the other table's point) = expected.
   *
   * The scalars are in [0, SUBGROUP_ORDER], the coordinates of `expected` are any field elements, and the other table has one pass.
   */
  sumIs(scalar: bigint, other: PointTable, otherScalar: bigint, expected: Point): boolean {
    if (other.#passes !== 1) throw new RangeError('the other table has more than one pass');
    setAccumulator(ZERO, ONE);
    this.#accumulate(scalar);
    other.#accumulate(otherScalar);
    write(A, expected.x);
    multiply(A, SCALE, A);
    multiply(A, Z, A);
    write(B, expected.y);
    multiply(B, Z, B);
    return equal(A, X) && equal(B, Y);
  }
}
