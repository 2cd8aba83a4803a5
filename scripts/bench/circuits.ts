import { readFileSync } from 'node:fs';
import { table } from '@bitcloak/cli/output';
import { CIRCUIT_DOMAIN, CIRCUITS } from '@bitcloak/protocol/parameters';
import { circuitFiles, readSizes } from '../compileCircuits.mjs';
import type { Report } from './benchmark.ts';
import { ROOT } from './machine.ts';
import { grouped } from './measure.ts';

/** Groth16's evaluation domain takes a row for every constraint, every public signal and the constant 1. */
export function rowsOf({ constraints, publicSignals }: { constraints: number; publicSignals: number }): number {
  return constraints + publicSignals + 1;
}

export async function run(): Promise<Report> {
  const circuits = CIRCUITS.map((circuit) => {
    const sizes = readSizes(readFileSync(circuitFiles(ROOT, circuit).r1cs));
    const domain = 2 ** Math.ceil(Math.log2(rowsOf(sizes)));
    return { circuit, ...sizes, domain, headroom: domain - rowsOf(sizes), domainMax: CIRCUIT_DOMAIN[circuit] };
  });
  const columns = ['constraints', 'publicSignals', 'wires', 'domain', 'headroom', 'domainMax'] as const;
  const text = table(
    [{ title: 'circuit' }, ...columns.map((title) => ({ title, align: 'right' as const }))],
    circuits.map((sizes) => [sizes.circuit, ...columns.map((column) => grouped(sizes[column]))]),
  );
  return { parameters: {}, results: { circuits }, text };
}
