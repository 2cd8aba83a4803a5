import { execFileSync, type ExecFileSyncOptions } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
const NAMES = ['c++', 'g++', 'clang++'];

/** The C++ compiler of this machine; undefined where there is none. */
export const COMPILER = NAMES.find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

export type Unit = { readonly source: string; readonly flags?: readonly string[] };

/** Compiles C++ sources of the repository and links them to a file. */
export function compileUnits(units: readonly Unit[], flags: readonly string[], file: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-objects-'));
  const options: ExecFileSyncOptions = { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] };
  const common = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas', ...flags];
  try {
    const objects = units.map(({ source, flags: own = [] }, index) => {
      const object = join(directory, `${index}.o`);
      execFileSync(COMPILER ?? '', [...common, ...own, '-c', source, '-o', object], options);
      return object;
    });
    execFileSync(COMPILER ?? '', [...common, ...objects, '-o', file], options);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Hands what was compiled to `use`, as a program. */
export function withProgram<Result>(
  units: readonly Unit[],
  flags: readonly string[],
  use: (program: string) => Result,
): Result {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-native-'));
  try {
    const program = join(directory, 'program');
    compileUnits(units, flags, program);
    return use(program);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
