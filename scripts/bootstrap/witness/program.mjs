// The program that packages/prover/native/witness.h runs: steps over slots, each of which is given a value once. The first slots are the wires.
/** @typedef {import('./system.mjs').Sum} Sum */

const VERSION = 1;
const ELEMENT_BYTES = 32;
const OPERATION = { SUM: 0, PRODUCT: 1, QUOTIENT: 2, BITS: 3, IS_ZERO: 4, EQUAL: 5 };

/** Instead of a bit's slot: it is wanted by nobody. */
export const UNWANTED = 0xffffffff;
/** Instead of a bit's slot: it must be 0. */
export const CLEAR = 0xfffffffe;

export class Program {
  /** @type {number[]} */
  #steps = [];
  /** @type {Map<bigint, number>} */
  #constants;
  /** What was summed before, and where it is. @type {Map<string, number>} */
  #sums = new Map();
  #slots;
  #wires;

  /**
   * @param {number} wires
   * @param {bigint} modulus
   */
  constructor(wires, modulus) {
    this.#wires = wires;
    this.#slots = wires;
    // These two take no product.
    this.#constants = new Map([
      [1n, 0],
      [modulus - 1n, 1],
    ]);
  }

  newSlot() {
    return this.#slots++;
  }

  /**
   * Where the sum is: a new slot, or one that has it.
   * @param {Sum} terms
   */
  sum(terms) {
    const [first] = terms;
    if (first !== undefined && terms.length === 1 && first[1] === 1n) return first[0];
    const key = terms.map(([slot, coefficient]) => `${slot}·${coefficient.toString(36)}`).join();
    const found = this.#sums.get(key);
    if (found !== undefined) return found;
    const target = this.newSlot();
    this.#sums.set(key, target);
    this.setSum(target, terms);
    return target;
  }

  /**
   * @param {number} target
   * @param {Sum} terms
   */
  setSum(target, terms) {
    this.#steps.push(OPERATION.SUM, target, terms.length);
    for (const [slot, coefficient] of terms) this.#steps.push(slot, this.#constant(coefficient));
  }

  /**
   * @param {Sum} left
   * @param {Sum} right
   */
  product(left, right, target = this.newSlot()) {
    this.#steps.push(OPERATION.PRODUCT, target, this.sum(left), this.sum(right));
    return target;
  }

  /**
   * dividend/divisor. Where both are 0 it is 0, and where the divisor alone is there is no witness.
   * @param {number} target
   * @param {Sum} dividend
   * @param {Sum} divisor
   */
  setQuotient(target, dividend, divisor) {
    this.#steps.push(OPERATION.QUOTIENT, target, this.sum(dividend), this.sum(divisor));
  }

  /**
   * The bits of a number, the lowest first. There is no witness where it has more.
   * @param {Sum} number
   * @param {number[]} targets      slots, UNWANTED or CLEAR
   */
  setBits(number, targets) {
    this.#steps.push(OPERATION.BITS, this.sum(number), targets.length, ...targets);
  }

  /**
   * @param {number} target
   * @param {Sum} value
   */
  setIsZero(target, value) {
    this.#steps.push(OPERATION.IS_ZERO, target, this.sum(value));
  }

  /**
   * There is no witness unless they are equal.
   * @param {number} left
   * @param {Sum} right
   */
  compare(left, right) {
    this.#steps.push(OPERATION.EQUAL, left, this.sum(right));
  }

  /**
   * Words and elements have the lowest byte first.
   * @param {number[]} inputs       slots
   * @returns {Buffer} six counts, the inputs' slots, the constants, the steps
   */
  encode(inputs) {
    const counts = [VERSION, this.#wires, inputs.length, this.#slots, this.#constants.size, this.#steps.length];
    const constants = Buffer.alloc(this.#constants.size * ELEMENT_BYTES);
    for (const [value, index] of this.#constants) {
      for (let at = 0; at < ELEMENT_BYTES; at += 8) {
        constants.writeBigUInt64LE(BigInt.asUintN(64, value >> BigInt(8 * at)), index * ELEMENT_BYTES + at);
      }
    }
    return Buffer.concat([encodeWords([...counts, ...inputs]), constants, encodeWords(this.#steps)]);
  }

  /** @param {bigint} value */
  #constant(value) {
    const found = this.#constants.get(value);
    if (found !== undefined) return found;
    this.#constants.set(value, this.#constants.size);
    return this.#constants.size - 1;
  }
}

/** @param {number[]} words */
function encodeWords(words) {
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, index) => bytes.writeUInt32LE(word, 4 * index));
  return bytes;
}
