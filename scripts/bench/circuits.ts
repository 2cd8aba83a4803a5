import { readFileSync } from 'node:fs';
import { table } from '@bitcloak/cli/output';
import { CIRCUIT_DOMAIN, CIRCUITS } from '@bitcloak/protocol/parameters';
import { circuitFiles, readSizes } from '../compileCircuits.mjs';
import type { Report } from './benchmark.ts';
import { ROOT } from './machine.ts';
import { grouped } from './measure.ts';

/** Groth16's evaluation domain takes a row for every constraint, every public signal and the constant 1. */
function rowsOf({ constraints, publicSignals }: { constraints: number; publicSignals: number }): number {
  return constraints + publicSignals + 1;
}

const CONSTRAINT_SECTION = 2;
/** A wire's number and its coefficient. */
const TERM_BYTES = 4 + 32;

/**
 * The nonzero coefficients of A and of B. snarkjs multiplies each of them with the witness, one after another on one thread, so two systems of
 * the same size may prove at a different pace: the compiler decides whether long sums stand here or in C, where they cost nothing.
 */
function countTerms(r1cs: Buffer, constraints: number): { termsA: number; termsB: number } {
  let start = 12; // magic, version and number of sections, four bytes each
  while (r1cs.readUInt32LE(start) !== CONSTRAINT_SECTION) start += 12 + Number(r1cs.readBigUInt64LE(start + 4));
  const terms: [a: number, b: number, c: number] = [0, 0, 0];
  let offset = start + 12;
  for (let form = 0; form < 3 * constraints; form++) {
    const count = r1cs.readUInt32LE(offset);
    terms[form % 3] = (terms[form % 3] ?? 0) + count;
    offset += 4 + count * TERM_BYTES;
  }
  return { termsA: terms[0], termsB: terms[1] };
}

export async function run(): Promise<Report> {
  const circuits = CIRCUITS.map((circuit) => {
    const r1cs = readFileSync(circuitFiles(ROOT, circuit).r1cs);
    const sizes = readSizes(r1cs);
    const domain = 2 ** Math.ceil(Math.log2(rowsOf(sizes)));
    const headroom = domain - rowsOf(sizes);
    const terms = countTerms(r1cs, sizes.constraints);
    return { circuit, ...sizes, ...terms, domain, headroom, domainMax: CIRCUIT_DOMAIN[circuit] };
  });
  const columns = [
    ['constraints', 'constraints'],
    ['public signals', 'publicSignals'],
    ['wires', 'wires'],
    ['terms of A', 'termsA'],
    ['of B', 'termsB'],
    ['domain', 'domain'],
    ['headroom', 'headroom'],
    ['largest domain', 'domainMax'],
  ] as const;
  const text = table(
    [{ title: 'circuit' }, ...columns.map(([title]) => ({ title, align: 'right' as const }))],
    circuits.map((sizes) => [sizes.circuit, ...columns.map(([, field]) => grouped(sizes[field]))]),
  );
  return { parameters: {}, results: { circuits }, text };
}
