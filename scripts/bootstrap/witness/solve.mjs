// Makes the program by which the prover computes a circuit's witness from its inputs, out of the constraints alone. Each constraint is solved for the one wire in it
// that is not known yet. What circuits compute beside their constraints is found again in their form: quotients, the bits of a number, and whether one is 0. A
// constraint that is not solved is compared, so that whatever the program ends with satisfies all of them.
import { SetupError } from '../report.mjs';
import { invert, reduce } from './field.mjs';
import { CLEAR, Program, UNWANTED } from './program.mjs';
import { readInputs, readSystem } from './system.mjs';

/** @typedef {import('./system.mjs').Term} Term */
/** @typedef {import('./system.mjs').Sum} Sum */
/** @typedef {import('./system.mjs').Row} Row */
/** @typedef {import('./system.mjs').System} System */

/** Of fewer bits the weights could be something else. */
const BITS_MIN = 8;
/** With one more a number would have several forms. */
const BITS_MAX = 254;

/**
 * Throws `SetupError` where some wire follows from no constraint.
 * @param {Buffer} r1cs
 * @param {string} symbols
 * @param {string} substitutions
 * @returns {Buffer} a line of JSON with the inputs' names and sizes in their order, and the program
 */
export function makeWitnessProgram(r1cs, symbols, substitutions) {
  const system = readSystem(r1cs);
  const { signals, values } = readInputs(symbols, substitutions, system);
  const program = new Program(system.wires, system.modulus);
  const inputs = values.map((value) => (typeof value === 'number' ? value : program.newSlot()));
  values.forEach((value, index) => {
    if (typeof value !== 'number') program.compare(/** @type {number} */ (inputs[index]), value);
  });
  new Solver(system, program).solve(inputs);
  return Buffer.concat([Buffer.from(`${JSON.stringify({ inputs: signals })}\n`), program.encode(inputs)]);
}

class Solver {
  #system;
  #program;
  #isKnown;
  #isBit;
  #isDone;
  /** Rows by the wires that they have. @type {number[][]} */
  #rowsOf;
  /** Of each row: unknown wires that are no bits, and those that are. */
  #others;
  #bits;
  /** Rows that may have become solvable. @type {number[]} */
  #ready = [];
  /** Rows whose only unknown is a factor: only where nothing else can be solved, since of 0·x = 0 a quotient knows no x. @type {number[]} */
  #quotients = [];

  /**
   * @param {System} system
   * @param {Program} program
   */
  constructor(system, program) {
    const { wires, rows } = system;
    this.#system = system;
    this.#program = program;
    this.#isKnown = new Uint8Array(wires);
    this.#isBit = new Uint8Array(wires);
    this.#isDone = new Uint8Array(rows.length);
    this.#rowsOf = Array.from({ length: wires }, () => /** @type {number[]} */ ([]));
    this.#others = new Uint32Array(rows.length);
    this.#bits = new Uint32Array(rows.length);
  }

  /** @param {readonly number[]} inputs */
  solve(inputs) {
    const { wires, rows } = this.#system;
    for (const wire of [0, ...inputs]) this.#isKnown[wire] = 1;
    for (const row of rows) {
      const wire = this.#wireThatIsBit(row);
      if (wire !== undefined) this.#isBit[wire] = 1;
    }
    rows.forEach((row, index) => {
      for (const wire of this.#unknown(row)) {
        this.#rowsOf[wire]?.push(index);
        this.#count(index, wire, 1);
      }
      this.#consider(index);
    });
    for (;;) {
      const index = this.#ready.pop();
      if (index !== undefined) this.#solveRow(index, /** @type {Row} */ (rows[index]));
      else if (!this.#solveOneQuotient()) break;
    }
    for (let wire = 0; wire < wires; wire++) {
      if (this.#isKnown[wire] === 1) continue;
      if (this.#rowsOf[wire]?.length !== 0) throw new SetupError(`no constraint tells what wire ${wire} is`);
      // The inverse of what must be 0, which circom makes 0: the compiler left nothing of it, and no proof depends on it.
      this.#program.setSum(wire, []);
    }
  }

  /**
   * @param {number} index
   * @param {Row} row
   */
  #solveRow(index, row) {
    if (this.#isDone[index] === 1) return;
    const unknown = this.#unknown(row);
    const [wire] = unknown;
    if (wire === undefined) {
      this.#program.compare(this.#program.product(row.a, row.b), row.c);
      this.#isDone[index] = 1;
    } else if (unknown.size > 1) {
      if (this.#others[index] === 0) this.#solveBits(index, row, unknown);
    } else if (this.#solveSum(row, wire) || this.#solveIsZero(row, wire)) {
      this.#isDone[index] = 1;
      this.#learn(wire);
    } else {
      this.#quotients.push(index);
    }
  }

  /** False where there is none. */
  #solveOneQuotient() {
    for (let index = this.#quotients.shift(); index !== undefined; index = this.#quotients.shift()) {
      const row = /** @type {Row} */ (this.#system.rows[index]);
      const [wire] = this.#unknown(row);
      if (this.#isDone[index] === 1 || wire === undefined || !this.#solveQuotient(row, wire)) continue;
      this.#isDone[index] = 1;
      this.#learn(wire);
      return true;
    }
    return false;
  }

  /**
   * The wire is in c alone: it is what a·b leaves, divided by its coefficient.
   * @param {Row} row
   * @param {number} wire
   */
  #solveSum({ a, b, c }, wire) {
    if (has(a, wire) || has(b, wire)) return false;
    const scale = this.#invert(coefficientOf(c, wire));
    const rest = this.#times(
      c.filter(([other]) => other !== wire),
      -scale,
    );
    if (rest.length === 0 && scale === 1n) {
      this.#program.product(a, b, wire);
    } else if (a.length === 0 || b.length === 0) {
      this.#program.setSum(wire, rest);
    } else {
      this.#program.setSum(wire, [[this.#program.product(a, b), scale], ...rest]);
    }
    return true;
  }

  /**
   * The wire is a factor alone. A product that must be 0 tells nothing of it where the other factor is.
   * @param {Row} row
   * @param {number} wire
   */
  #solveQuotient({ a, b, c }, wire) {
    const [own, factor] = has(a, wire) ? [a, b] : [b, a];
    if (own.length !== 1 || has(factor, wire) || has(c, wire) || c.length === 0) return false;
    this.#program.setQuotient(wire, c, this.#times(factor, coefficientOf(own, wire)));
    return true;
  }

  /**
   * x·wire = 0, where another row has x·inverse = 1 - wire: circomlib's IsZero.
   * @param {Row} row
   * @param {number} wire
   */
  #solveIsZero({ a, b, c }, wire) {
    const [own, x] = has(a, wire) ? [a, b] : [b, a];
    if (c.length !== 0 || own.length !== 1 || has(x, wire)) return false;
    const isPartner = (/** @type {Row} */ row) => {
      const inverse = isSame(row.a, x) ? row.b : row.a;
      if (!isSame(row.a, x) && !isSame(row.b, x)) return false;
      const [first] = inverse;
      if (first === undefined || inverse.length !== 1 || this.#isKnown[first[0]] === 1) return false;
      // Either side may have changed its sign.
      const sign = coefficientOf(row.c, 0);
      return row.c.length === 2 && isSame(this.#times(row.c, sign), [[0, 1n], ...this.#times([[wire, 1n]], -1n)]);
    };
    const rows = this.#rowsOf[wire] ?? [];
    if (!rows.some((index) => isPartner(/** @type {Row} */ (this.#system.rows[index])))) return false;
    this.#program.setIsZero(wire, x);
    return true;
  }

  /**
   * Bits alone are unknown, and their sum with powers of 2 is known; or known but for one bit, which was replaced by the others in its own row.
   * @param {number} index
   * @param {Row} row
   * @param {Set<number>} unknown
   */
  #solveBits(index, row, unknown) {
    const replaced = this.#sumThatIsBit(row);
    if (replaced === undefined && [...row.a, ...row.b].some(([wire]) => unknown.has(wire))) return;
    const terms = replaced ?? row.c;
    const bits = terms.filter(([wire]) => unknown.has(wire));
    const weights = this.#weights(bits, replaced !== undefined);
    if (weights === undefined) return;
    const number = this.#times(
      terms.filter(([wire]) => !unknown.has(wire)),
      -weights.scale,
    );
    if (replaced === undefined && row.a.length > 0 && row.b.length > 0) {
      number.unshift([this.#program.product(row.a, row.b), weights.scale]);
    }
    this.#program.setBits(number, weights.targets);
    this.#isDone[index] = 1;
    for (const wire of unknown) {
      for (const other of this.#rowsOf[wire] ?? []) {
        if (this.#wireThatIsBit(/** @type {Row} */ (this.#system.rows[other])) === wire) this.#isDone[other] = 1;
      }
      this.#learn(wire);
    }
  }

  /**
   * The bits in the order of their weights, and what their coefficients are to be multiplied by for these weights.
   * @param {Sum} bits
   * @param {boolean} isOneReplaced    which has the coefficient -1 then
   * @returns {{ targets: number[], scale: bigint } | undefined}
   */
  #weights(bits, isOneReplaced) {
    if (bits.length < BITS_MIN) return undefined;
    const { modulus } = this.#system;
    const coefficients = new Set(bits.map(([, coefficient]) => coefficient));
    const half = this.#invert(2n);
    const lowest = bits.find(([, coefficient]) => !coefficients.has(reduce(coefficient * half, modulus)));
    const unit = isOneReplaced ? modulus - 1n : lowest?.[1];
    if (unit === undefined) return undefined;
    /** @type {Map<bigint, number>} */
    const exponents = new Map();
    let power = reduce(unit * this.#invert(1n << BigInt(BITS_MAX)), modulus);
    for (let exponent = -BITS_MAX; exponent < BITS_MAX; exponent++, power = reduce(2n * power, modulus)) {
      exponents.set(power, exponent);
    }
    /** @type {Map<number, number>} */
    const places = new Map(isOneReplaced ? [[0, UNWANTED]] : []);
    for (const [wire, coefficient] of bits) {
      const exponent = exponents.get(coefficient);
      if (exponent === undefined || places.has(exponent)) return undefined;
      places.set(exponent, wire);
    }
    const least = Math.min(...places.keys());
    const length = Math.max(...places.keys()) - least + 1;
    if (length > BITS_MAX) return undefined;
    // A weight that no bit has belongs to one that the compiler found to be 0.
    const targets = Array.from({ length }, (_, place) => places.get(place + least) ?? CLEAR);
    const shift = 1n << BigInt(Math.abs(least));
    return { targets, scale: this.#invert(unit * (least < 0 ? this.#invert(shift) : shift)) };
  }

  /**
   * The sum s of a row (s - 1)·s = 0.
   * @param {Row} row
   * @returns {Sum | undefined}
   */
  #sumThatIsBit({ a, b, c }) {
    if (c.length !== 0) return undefined;
    const { modulus } = this.#system;
    const isOneLess = (/** @type {Sum} */ less, /** @type {Sum} */ sum) => {
      const difference = new Map(less);
      for (const [wire, coefficient] of sum) {
        const left = reduce((difference.get(wire) ?? 0n) - coefficient, modulus);
        if (left === 0n) difference.delete(wire);
        else difference.set(wire, left);
      }
      return difference.size === 1 && difference.get(0) === modulus - 1n;
    };
    if (isOneLess(a, b)) return b;
    return isOneLess(b, a) ? a : undefined;
  }

  /** @param {Row} row */
  #wireThatIsBit(row) {
    if (row.a.length > 2 || row.b.length > 2) return undefined;
    const sum = this.#sumThatIsBit(row);
    return sum?.length === 1 && sum[0]?.[1] === 1n ? sum[0][0] : undefined;
  }

  /** @param {number} wire */
  #learn(wire) {
    this.#isKnown[wire] = 1;
    for (const index of this.#rowsOf[wire] ?? []) {
      this.#count(index, wire, -1);
      this.#consider(index);
    }
  }

  /**
   * @param {number} index
   * @param {number} wire
   * @param {number} change
   */
  #count(index, wire, change) {
    const counts = this.#isBit[wire] === 1 ? this.#bits : this.#others;
    counts[index] = (counts[index] ?? 0) + change;
  }

  /** @param {number} index */
  #consider(index) {
    const others = this.#others[index] ?? 0;
    if (others === 0 || others + (this.#bits[index] ?? 0) === 1) this.#ready.push(index);
  }

  /** @param {Row} row */
  #unknown({ a, b, c }) {
    /** @type {Set<number>} */
    const wires = new Set();
    for (const sum of [a, b, c]) for (const [wire] of sum) if (this.#isKnown[wire] === 0) wires.add(wire);
    return wires;
  }

  /**
   * @param {Sum} terms
   * @param {bigint} factor
   * @returns {Sum}
   */
  #times(terms, factor) {
    return terms.map(([wire, coefficient]) => [wire, reduce(coefficient * factor, this.#system.modulus)]);
  }

  /** @param {bigint} value */
  #invert(value) {
    return invert(value, this.#system.modulus);
  }
}

/**
 * @param {Sum} terms
 * @param {number} wire
 */
function has(terms, wire) {
  return terms.some(([other]) => other === wire);
}

/**
 * @param {Sum} terms
 * @param {number} wire
 */
function coefficientOf(terms, wire) {
  return terms.find(([other]) => other === wire)?.[1] ?? 0n;
}

/**
 * circom sorts the terms by their wires.
 * @param {Sum} left
 * @param {Sum} right
 */
function isSame(left, right) {
  return (
    left.length === right.length &&
    left.every(([wire, coefficient], index) => right[index]?.[0] === wire && right[index][1] === coefficient)
  );
}
