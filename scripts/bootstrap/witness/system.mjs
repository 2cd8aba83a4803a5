// Reads what circom writes of a circuit: its constraints, the names of its wires, and what became of inputs that it left out.
import { SetupError } from '../report.mjs';
import { reduce } from './field.mjs';

/** @typedef {[wire: number, coefficient: bigint]} Term */
/** @typedef {Term[]} Sum */
/** @typedef {{ a: Sum, b: Sum, c: Sum }} Row      a·b = c */
/** @typedef {{ modulus: bigint, wires: number, outputs: number, inputs: number, rows: Row[] }} System */
/** @typedef {[name: string, size: number]} Signal */

const WORD_BYTES = 4;
const ELEMENT_BYTES = 32;
const HEADER = 1;
const CONSTRAINTS = 2;

/**
 * Constraints from the format of https://github.com/iden3/r1csfile, as the pinned compiler writes it.
 * @param {Buffer} r1cs
 * @returns {System}
 */
export function readSystem(r1cs) {
  /** @type {Map<number, number>} */
  const sections = new Map();
  for (let at = 12; at < r1cs.length;) {
    sections.set(r1cs.readUInt32LE(at), at + 12);
    at += 12 + Number(r1cs.readBigUInt64LE(at + 4));
  }
  const header = (sections.get(HEADER) ?? 0) + WORD_BYTES;
  const count = (/** @type {number} */ index) => r1cs.readUInt32LE(header + ELEMENT_BYTES + index * WORD_BYTES);
  let at = sections.get(CONSTRAINTS) ?? 0;
  const readSum = () => {
    const terms = r1cs.readUInt32LE(at);
    at += WORD_BYTES;
    return Array.from({ length: terms }, () => {
      /** @type {Term} */
      const term = [r1cs.readUInt32LE(at), readElement(r1cs, at + WORD_BYTES)];
      at += WORD_BYTES + ELEMENT_BYTES;
      return term;
    });
  };
  // Labels, of eight bytes, stand between the other counts.
  const rows = Array.from({ length: count(6) }, () => ({ a: readSum(), b: readSum(), c: readSum() }));
  return { modulus: readElement(r1cs, header), wires: count(0), outputs: count(1), inputs: count(2) + count(3), rows };
}

/**
 * @param {Buffer} bytes
 * @param {number} at
 */
function readElement(bytes, at) {
  return [24, 16, 8, 0].reduce((value, offset) => (value << 64n) | bytes.readBigUInt64LE(at + offset), 0n);
}

/**
 * The inputs in their order, and the wire of each value; or, where the compiler found that it follows from others, the sum that it must be.
 * @param {string} symbols           circom's .sym
 * @param {string} substitutions     circom's _substitutions.json
 * @param {System} system
 * @returns {{ signals: Signal[], values: (number | Sum)[] }}
 */
export function readInputs(symbols, substitutions, { outputs, inputs, modulus }) {
  /** @type {Signal[]} */
  const signals = [];
  const wires = new Map([[0, 0]]);
  const lines = symbols.split('\n', outputs + inputs).map((line) => line.split(','));
  for (const [label, wire, , name] of lines) {
    if (wire !== '-1') wires.set(Number(label), Number(wire));
    if (Number(label) <= outputs) continue;
    const signal = /^main\.([^.[]+)/.exec(name ?? '')?.[1] ?? '';
    const last = signals.at(-1);
    if (last?.[0] === signal) last[1]++;
    else signals.push([signal, 1]);
  }
  /** @returns {Sum} */
  const substitution = (/** @type {number} */ label) => {
    const text = new RegExp(`^"${label}" : (\\{[^}]*\\})`, 'm').exec(substitutions)?.[1] ?? '';
    /** @type {Record<string, string>} */
    const terms = JSON.parse(text);
    return Object.entries(terms).flatMap(([other, coefficient]) => {
      const wire = wires.get(Number(other));
      if (BigInt(coefficient) === 0n) return [];
      if (wire === undefined) throw new SetupError(`input ${label} follows from signals that are no inputs`);
      return [[wire, reduce(BigInt(coefficient), modulus)]];
    });
  };
  const values = lines.slice(outputs).map(([label]) => wires.get(Number(label)) ?? substitution(Number(label)));
  return { signals, values };
}
