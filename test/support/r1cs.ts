import { readFileSync } from 'node:fs';

/**
 * A compiled constraint system (https://github.com/iden3/r1csfile), checked in plain integer arithmetic: what a witness has to satisfy,
 * with nothing of the witness generator or of the proof system in between.
 */
export type R1cs = {
  readonly constraintCount: number;
  /** Outputs and public inputs: the witness's elements from 1 on. */
  readonly publicSignalCount: number;
  /** Every input, the public ones first; they follow the outputs in the witness. */
  readonly inputCount: number;
  readonly outputCount: number;
  /** The length of a witness. */
  readonly wireCount: number;
  /**
   * The number of the first constraint that does not hold, or null where all do. Throws RangeError for what is no witness at all: another
   * length, an element that is not reduced, a first element other than 1.
   */
  firstViolated(witness: readonly bigint[]): number | null;
  /** The numbers of all constraints that do not hold. Throws as `firstViolated` does. */
  violated(witness: readonly bigint[]): number[];
  /** One constraint a · b = c. */
  constraint(index: number): Constraint;
};

/** A linear combination. The coefficients are nonzero and between -p/2 and p/2. */
export type Term = { readonly wire: number; readonly coefficient: bigint };
export type Constraint = { readonly a: readonly Term[]; readonly b: readonly Term[]; readonly c: readonly Term[] };

const HEADER_SECTION = 1;
const CONSTRAINT_SECTION = 2;
const FORMS_PER_CONSTRAINT = 3;
const ELEMENT_BYTES = 32;

type Section = { readonly start: number; readonly length: number };

function readSections(file: Buffer, path: string): Map<number, Section> {
  if (file.toString('latin1', 0, 4) !== 'r1cs' || file.readUInt32LE(4) !== 1)
    throw new Error(`${path} is no r1cs file`);
  const sections = new Map<number, Section>();
  let offset = 12;
  for (let i = 0; i < file.readUInt32LE(8); i++) {
    const length = Number(file.readBigUInt64LE(offset + 4));
    sections.set(file.readUInt32LE(offset), { start: offset + 12, length });
    offset += 12 + length;
  }
  return sections;
}

function sectionOf(sections: Map<number, Section>, id: number, path: string): Section {
  const section = sections.get(id);
  if (section === undefined) throw new Error(`${path} has no section ${id}`);
  return section;
}

function readElement(file: Buffer, offset: number): bigint {
  const word = (index: number) => file.readBigUInt64LE(offset + 8 * index);
  return word(0) | (word(1) << 64n) | (word(2) << 128n) | (word(3) << 192n);
}

/** The linear forms of all constraints, one after another: a, b and c of the first, then of the second, and so on. */
class Forms {
  /** Where each form's terms begin, and where the last one's end. */
  readonly #starts: Uint32Array;
  readonly #wires: Uint32Array;
  readonly #coefficients: Uint32Array;
  /** A compiled circuit repeats few coefficients very often. */
  readonly #values: bigint[] = [];

  constructor(file: Buffer, section: Section, constraintCount: number, prime: bigint) {
    const formCount = FORMS_PER_CONSTRAINT * constraintCount;
    const termCount = (section.length - 4 * formCount) / (4 + ELEMENT_BYTES);
    this.#starts = new Uint32Array(formCount + 1);
    this.#wires = new Uint32Array(termCount);
    this.#coefficients = new Uint32Array(termCount);
    const numbers = new Map<string, number>();
    let offset = section.start;
    let term = 0;
    for (let form = 0; form < formCount; form++) {
      const end = term + file.readUInt32LE(offset);
      offset += 4;
      for (; term < end; term++) {
        this.#wires[term] = file.readUInt32LE(offset);
        const bytes = file.toString('latin1', offset + 4, offset + 4 + ELEMENT_BYTES);
        let number = numbers.get(bytes);
        if (number === undefined) {
          const value = readElement(file, offset + 4);
          // Small negative coefficients are common, and a product with a short number is cheap.
          number = this.#values.push(value > prime / 2n ? value - prime : value) - 1;
          numbers.set(bytes, number);
        }
        this.#coefficients[term] = number;
        offset += 4 + ELEMENT_BYTES;
      }
      this.#starts[form + 1] = term;
    }
    if (term !== termCount || offset !== section.start + section.length) throw new Error('the constraints are cut off');
  }

  /** The form's value, not reduced. */
  evaluate(form: number, witness: readonly bigint[]): bigint {
    let sum = 0n;
    const end = this.#starts[form + 1] as number;
    for (let term = this.#starts[form] as number; term < end; term++) {
      const coefficient = this.#values[this.#coefficients[term] as number] as bigint;
      const value = witness[this.#wires[term] as number] as bigint;
      if (coefficient === 1n) sum += value;
      else if (coefficient === -1n) sum -= value;
      else sum += coefficient * value;
    }
    return sum;
  }

  terms(form: number): Term[] {
    const terms: Term[] = [];
    const end = this.#starts[form + 1] as number;
    for (let term = this.#starts[form] as number; term < end; term++) {
      const coefficient = this.#values[this.#coefficients[term] as number] as bigint;
      terms.push({ wire: this.#wires[term] as number, coefficient });
    }
    return terms;
  }
}

/** Reads an .r1cs file whole. */
export function loadR1cs(path: string): R1cs {
  const file = readFileSync(path);
  const sections = readSections(file, path);
  const { start } = sectionOf(sections, HEADER_SECTION, path);
  if (file.readUInt32LE(start) !== ELEMENT_BYTES) throw new Error(`${path} is over another field`);
  const prime = readElement(file, start + 4);
  const count = (index: number) => file.readUInt32LE(start + 4 + ELEMENT_BYTES + 4 * index);
  // Wires, outputs, public inputs, private inputs; then eight bytes of labels, and the constraints.
  const [wireCount, outputCount, publicInputCount, privateInputCount] = [count(0), count(1), count(2), count(3)];
  const constraintCount = count(6);
  const forms = new Forms(file, sectionOf(sections, CONSTRAINT_SECTION, path), constraintCount, prime);

  function* violations(witness: readonly bigint[]): Generator<number, undefined> {
    if (witness.length !== wireCount) throw new RangeError(`expected ${wireCount} elements, got ${witness.length}`);
    if (witness[0] !== 1n) throw new RangeError('the first element of a witness is 1');
    if (witness.some((element) => element < 0n || element >= prime)) throw new RangeError('an element is not reduced');
    for (let index = 0; index < constraintCount; index++) {
      const form = FORMS_PER_CONSTRAINT * index;
      const left = forms.evaluate(form, witness) % prime;
      const right = left === 0n ? 0n : forms.evaluate(form + 1, witness) % prime;
      if ((left * right - forms.evaluate(form + 2, witness)) % prime !== 0n) yield index;
    }
    return undefined;
  }

  return {
    constraintCount,
    publicSignalCount: outputCount + publicInputCount,
    inputCount: publicInputCount + privateInputCount,
    outputCount,
    wireCount,
    firstViolated: (witness) => violations(witness).next().value ?? null,
    violated: (witness) => [...violations(witness)],
    constraint(index) {
      if (index < 0 || index >= constraintCount) throw new RangeError(`there is no constraint ${index}`);
      const form = FORMS_PER_CONSTRAINT * index;
      return { a: forms.terms(form), b: forms.terms(form + 1), c: forms.terms(form + 2) };
    },
  };
}
