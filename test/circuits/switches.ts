// Copies of a circuit in which every numbered step has a switch. With all of them on, the copy states what the circuit states; with one
// off, it is the circuit without that step. One compilation serves all the steps.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { compiledCircuit, ROOT } from '../support/circuit.ts';
import { compileCopy, genuineCircuit, judge, project, type Copy, type Edit, type NamedConstraints } from './copies.ts';

/** A statement about one step, by its switch: "3", or "3 comparison" where the step has several parts. */
export type SwitchTable = readonly string[];

/** How a step's switch is written in the source of the copy: 1 or 0. */
export function switchIn(table: SwitchTable, name: string): string {
  const index = table.indexOf(name);
  if (index < 0) throw new RangeError(`there is no switch ${name}`);
  return `cutOn[${index}]`;
}

/** The positions of the switches, all on but those named. */
export function allBut(table: SwitchTable, off: readonly string[]): bigint[] {
  for (const name of off) switchIn(table, name);
  return table.map((name) => (off.includes(name) ? 0n : 1n));
}

/** The numbers of the steps that a circuit's source marks. */
export function stepsOf(circuit: Circuit): string[] {
  const source = readFileSync(path.join(ROOT, 'circuits', 'lib', `${circuit}.circom`), 'utf8');
  return [...source.matchAll(/^\s*\/\/ \[(\d+)\]/gm)].map((found) => found[1] ?? '');
}

export class SwitchedCircuit {
  readonly #circuit: Circuit;
  readonly #table: SwitchTable;
  readonly #free: CircuitInput;
  readonly copy: Copy;
  readonly genuine: NamedConstraints;

  private constructor(circuit: Circuit, table: SwitchTable, free: CircuitInput, copy: Copy, genuine: NamedConstraints) {
    this.#circuit = circuit;
    this.#table = table;
    this.#free = free;
    this.copy = copy;
    this.genuine = genuine;
  }

  /** @param free the further signals that the edits add, with values for where they are of no account. */
  static async compile(
    circuit: Circuit,
    table: SwitchTable,
    edits: readonly Edit[],
    free: CircuitInput,
  ): Promise<SwitchedCircuit> {
    const [copy, genuine] = await Promise.all([compileCopy(circuit, edits), genuineCircuit(circuit)]);
    return new SwitchedCircuit(circuit, table, free, copy, genuine);
  }

  inputFor(input: CircuitInput, off: readonly string[], free: CircuitInput = {}): CircuitInput {
    return { ...input, ...this.#free, ...free, cutOn: allBut(this.#table, off) };
  }

  /** With every step on, the copy accepts a true statement, and its witness is the one that the genuine circuit computes. */
  assertFaithful(input: CircuitInput): void {
    const witness = this.copy.calculate(this.inputFor(input, []));
    assert.equal(this.copy.r1cs.firstViolated(witness), null);
    assert.deepEqual(project(this.copy, this.genuine, witness), compiledCircuit(this.#circuit).calculate(input));
  }

  /** A false statement that the circuit without one step accepts, and the genuine constraints reject. */
  assertForbiddenBy(step: string, input: CircuitInput, free: CircuitInput): void {
    const verdict = judge(this.copy, this.genuine, this.inputFor(input, [step], free));
    assert.deepEqual(verdict, { acceptedByCopy: true, acceptedByGenuine: false });
  }
  /**
   * A false statement that only the circuit without several steps accepts: with one of them on again, the same witness violates the copy.
   *
   * @param followers the signals that follow the switch, with their values where it is on.
   */
  assertForbiddenAmong(
    off: readonly string[],
    step: string,
    input: CircuitInput,
    followers: Readonly<Record<string, bigint>> = {},
    free: CircuitInput = {},
  ): void {
    const witness = this.copy.calculate(this.inputFor(input, off, free));
    assert.equal(this.copy.r1cs.firstViolated(witness), null);
    assert.notEqual(this.copy.r1cs.firstViolated(this.switchedOn(witness, step, followers)), null);
  }

  /** A witness of the copy with one step on that was off. */
  switchedOn(witness: readonly bigint[], step: string, followers: Readonly<Record<string, bigint>> = {}): bigint[] {
    const changed = [...witness];
    for (const [name, value] of Object.entries({ [`main.${switchIn(this.#table, step)}`]: 1n, ...followers })) {
      const wire = this.copy.symbols.get(name);
      assert.ok(wire !== undefined, `there is no signal ${name}`);
      changed[wire] = value;
    }
    return changed;
  }
}

/** The signals of a check of a point which looks at the neutral element while it is off, for the point (1, 1). */
export function checkedPoint(component: string): Record<string, bigint> {
  return Object.fromEntries(['x', 'y', 'x2', 'y2'].map((signal) => [`${component}.${signal}`, 1n]));
}
