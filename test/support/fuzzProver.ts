import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CircomWitness, ProgramWitness } from '@bitcloak/prover/witness';
import { makeStatements } from '../../scripts/bench/statements.ts';
import { withProgram } from './compiler.ts';
import { EMULATED_UNIT } from './emulatedAddon.ts';

const NATIVE = 'packages/prover/native';
const SANITIZERS = ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/**
 * Proves under the address and the undefined-behaviour sanitizer, and reads a key, a witness and a program for witnesses with seeded damage in so many rounds.
 *
 * @returns how often each `Status` of native/interface.h was the answer. Throws where a sanitizer found something.
 */
export function fuzzProver(rounds: number, options: { readonly withVectors: boolean }): number[] {
  const circuits = resolve(import.meta.dirname, '../../circuits');
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-fuzz-'));
  const hasAvx2 = process.arch === 'x64';
  const avx2 = { source: `${NATIVE}/avx2.cpp`, flags: ['-mavx2', '-mfma', '-mbmi2'] };
  const vectors = [EMULATED_UNIT, ...(hasAvx2 ? [avx2] : [])];
  const units = [
    { source: `${NATIVE}/portable.cpp` },
    ...(options.withVectors ? vectors : []),
    {
      source: 'test/native/fuzz.cpp',
      flags: options.withVectors ? ['-DHAS_IFMA', ...(hasAvx2 ? ['-DHAS_AVX2'] : [])] : [],
    },
  ];
  try {
    const witness = join(directory, 'witness');
    const generator = new CircomWitness(
      new WebAssembly.Module(readFileSync(join(circuits, 'build/clearing/clearing.wasm'))),
    );
    const statement = makeStatements('fuzz').clearing;
    writeFileSync(witness, generator.compute(statement));
    const [programFile, inputsFile] = [join(directory, 'program'), join(directory, 'inputs')];
    const load = (program: Uint8Array) => {
      writeFileSync(programFile, program);
      return (inputs: Uint8Array) => {
        writeFileSync(inputsFile, inputs);
        return inputs;
      };
    };
    new ProgramWitness(readFileSync(join(circuits, 'build/clearing/clearing.program')), load).compute(statement);
    const key = join(circuits, 'keys/clearing.zkey');
    const output = withProgram(units, SANITIZERS, (program) =>
      execFileSync(program, [key, witness, programFile, inputsFile, String(rounds)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    );
    return output.trim().split(' ').map(Number);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
