// What the constraints leave open once the inputs are given. A signal that they do not determine is one that a prover can choose.
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { mod } from '../support/circuit.ts';
import type { Constraint, R1cs, Term } from '../support/r1cs.ts';

export type Openings = {
  /** Wires that no rule determines. */
  readonly undetermined: number[];
  /** Wires that are determined wherever the factor beside them is not 0. */
  readonly quotients: number[];
  /** The inverses by which circomlib's IsZero tests a number: free where it is 0, and nothing but the test reads them. */
  readonly inverses: number[];
  /** For each sum of bits that may also be the sum of other bits, larger by the modulus: its lowest bit. */
  readonly aliases: number[];
};

const isConstant = (form: readonly Term[]) => form.every(({ wire }) => wire === 0);
const constantOf = (form: readonly Term[]) => form.reduce((sum, { coefficient }) => sum + coefficient, 0n);
const coefficientIn = (form: readonly Term[], wire: number) =>
  form.find((term) => term.wire === wire)?.coefficient ?? 0n;

/** The linear form that a constraint equates with 0, if it is linear. */
function linearForm({ a, b, c }: Constraint): readonly Term[] | undefined {
  if (a.length === 0 || b.length === 0) return c;
  if (!isConstant(a) && !isConstant(b)) return undefined;
  const [factor, form] = isConstant(a) ? [constantOf(a), b] : [constantOf(b), a];
  const sum = new Map(c.map(({ wire, coefficient }) => [wire, coefficient]));
  for (const { wire, coefficient } of form) sum.set(wire, (sum.get(wire) ?? 0n) - factor * coefficient);
  return [...sum]
    .map(([wire, coefficient]) => ({ wire, coefficient: mod(coefficient) }))
    .filter(({ coefficient }) => coefficient !== 0n);
}

/** The wire that a constraint of the form x · (x - 1) = 0 keeps boolean. */
function booleanWire({ a, b, c }: Constraint): number | undefined {
  const wire = [...a, ...b].find((term) => term.wire !== 0)?.wire;
  if (wire === undefined || c.length > 0) return undefined;
  const rootOf = (form: readonly Term[]) => {
    const slope = coefficientIn(form, wire);
    const offset = coefficientIn(form, 0);
    const isLinear = slope !== 0n && form.every((term) => term.wire === wire || term.wire === 0);
    if (!isLinear) return undefined;
    if (offset === 0n) return 0n;
    return mod(slope + offset) === 0n ? 1n : undefined;
  };
  const roots = [rootOf(a), rootOf(b)];
  return roots.includes(0n) && roots.includes(1n) ? wire : undefined;
}

const POWERS_OF_2 = new Set(Array.from({ length: 254 }, (_, exponent) => mod(2n ** BigInt(exponent))));

/** The largest sum of bits with these coefficients, if they are different powers of 2, all of one sign; otherwise undefined. */
function largestSum(coefficients: readonly bigint[]): bigint | undefined {
  for (const sign of [1n, -1n]) {
    const powers = new Set(coefficients.map((coefficient) => mod(sign * coefficient)));
    if (powers.size === coefficients.length && [...powers].every((power) => POWERS_OF_2.has(power))) {
      return [...powers].reduce((sum, power) => sum + power, 0n);
    }
  }
  return undefined;
}

function wiresOf({ a, b, c }: Constraint): Set<number> {
  return new Set([...a, ...b, ...c].map(({ wire }) => wire));
}

type ZeroTest = { readonly tested: number; readonly result: number; readonly inverse: number };

const onlyWire = (form: readonly Term[]) => (form.length === 1 ? form[0]?.wire : undefined);

/** The pairs of constraints x · result = 0 and x · inverse = ±(1 - result): they determine the result whatever x is. */
function zeroTests(constraints: readonly Constraint[]): ZeroTest[] {
  const occurrences = new Map<number, number>();
  const inverses = new Map<string, number>();
  for (const { a, b, c } of constraints) {
    for (const { wire } of [...a, ...b, ...c]) occurrences.set(wire, (occurrences.get(wire) ?? 0) + 1);
    const [tested, inverse, result] = [onlyWire(a), onlyWire(b), c.find(({ wire }) => wire !== 0)?.wire];
    const isDifference = c.length === 2 && constantOf(c.map((term) => ({ ...term, wire: 0 }))) === 0n;
    if (tested !== undefined && inverse !== undefined && result !== undefined && isDifference) {
      inverses.set(`${tested} ${result}`, inverse);
    }
  }
  return constraints.flatMap(({ a, b, c }) => {
    const [tested, result] = [onlyWire(a), onlyWire(b)];
    const inverse = inverses.get(`${tested} ${result}`);
    const isTest = c.length === 0 && inverse !== undefined && occurrences.get(inverse) === 1;
    return isTest && tested !== undefined && result !== undefined ? [{ tested, result, inverse }] : [];
  });
}

class Propagation {
  readonly #constraints: readonly Constraint[];
  /** The constraints in which each wire stands. */
  readonly #places: number[][];
  readonly #known: boolean[];
  readonly #boolean = new Set<number>();
  readonly #zeroTestsOf = new Map<number, ZeroTest[]>();
  /** Constraints to look at: all of them once, and again when one of their wires has become known. */
  readonly #open: number[];
  /** Constraints that determine a wire if a factor is not 0. */
  readonly #conditional: number[] = [];
  readonly quotients: number[] = [];
  readonly inverses: number[] = [];
  readonly aliases: number[] = [];

  constructor(r1cs: R1cs) {
    this.#constraints = Array.from({ length: r1cs.constraintCount }, (_, index) => r1cs.constraint(index));
    this.#open = [...this.#constraints.keys()];
    this.#known = new Array<boolean>(r1cs.wireCount).fill(false);
    this.#places = Array.from({ length: r1cs.wireCount }, () => []);
    for (const [index, constraint] of this.#constraints.entries()) {
      for (const wire of wiresOf(constraint)) this.#places[wire]?.push(index);
      const wire = booleanWire(constraint);
      if (wire !== undefined) this.#boolean.add(wire);
    }
    for (const test of zeroTests(this.#constraints)) {
      this.#zeroTestsOf.set(test.tested, [...(this.#zeroTestsOf.get(test.tested) ?? []), test]);
    }
  }

  /** Follows every consequence of the inputs; only where there is none left, one with a condition. */
  run(firstInput: number, inputCount: number): number[] {
    this.#learn(0);
    for (let input = 0; input < inputCount; input++) this.#learn(firstInput + input);
    for (;;) {
      const next = this.#open.pop();
      if (next !== undefined) {
        this.#settle(next);
        continue;
      }
      const conditional = this.#conditional.shift();
      if (conditional === undefined) break;
      const [wire] = this.#unknownOf(conditional);
      if (wire === undefined) continue;
      this.quotients.push(wire);
      this.#learn(wire);
    }
    return this.#known.flatMap((isKnown, wire) => (isKnown ? [] : [wire]));
  }

  #learn(wire: number): void {
    if (this.#known[wire]) return;
    this.#known[wire] = true;
    this.#open.push(...(this.#places[wire] ?? []));
    for (const { result, inverse } of this.#zeroTestsOf.get(wire) ?? []) {
      this.inverses.push(inverse);
      this.#learn(result);
      this.#learn(inverse);
    }
  }

  #unknownOf(index: number): number[] {
    return [...wiresOf(this.#constraints[index] as Constraint)].filter((wire) => !this.#known[wire]);
  }

  #settle(index: number): void {
    const constraint = this.#constraints[index] as Constraint;
    const [wire, ...others] = this.#unknownOf(index);
    if (wire === undefined) return;
    const linear = linearForm(constraint);
    if (linear !== undefined) return this.#settleLinear(linear);
    if (others.length > 0) return;
    const isIn = (form: readonly Term[]) => coefficientIn(form, wire) !== 0n;
    if (!isIn(constraint.a) && !isIn(constraint.b)) this.#learn(wire);
    // Neither a square has one root only, nor does a product of 0 say which factor it is. Where the product is a number other than 0, so is the
    // factor beside the wire.
    else if (isIn(constraint.a) !== isIn(constraint.b) && isConstant(constraint.c) && constantOf(constraint.c) !== 0n) {
      this.#learn(wire);
    } else if (isIn(constraint.a) !== isIn(constraint.b) && constraint.c.length > 0) this.#conditional.push(index);
  }

  #settleLinear(form: readonly Term[]): void {
    const unknown = form.filter(({ wire }) => !this.#known[wire]);
    if (unknown.length > 1) {
      if (!unknown.every(({ wire }) => this.#boolean.has(wire))) return;
      const largest = largestSum(unknown.map(({ coefficient }) => coefficient));
      if (largest === undefined) return;
      if (largest >= FIELD_MODULUS) this.aliases.push(Math.min(...unknown.map(({ wire }) => wire)));
    }
    for (const { wire } of unknown) this.#learn(wire);
  }
}

/** Follows from the inputs, constraint by constraint, which wires can have one value only. */
export function openings(r1cs: R1cs): Openings {
  const propagation = new Propagation(r1cs);
  // The outputs stand between 1 and the inputs.
  const undetermined = propagation.run(1 + r1cs.outputCount, r1cs.inputCount);
  const { quotients, inverses, aliases } = propagation;
  return { undetermined, quotients, inverses, aliases };
}
