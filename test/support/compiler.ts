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

/** Compiles C++ sources of the repository and hands the program to `use`. */
export function withProgram<Result>(
  units: readonly { readonly source: string; readonly flags?: readonly string[] }[],
  flags: readonly string[],
  use: (program: string) => Result,
): Result {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-native-'));
  const options: ExecFileSyncOptions = { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] };
  const common = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas', ...flags];
  try {
    const objects = units.map(({ source, flags: own = [] }, index) => {
      const object = join(directory, `${index}.o`);
      execFileSync(COMPILER ?? '', [...common, ...own, '-c', source, '-o', object], options);
      return object;
    });
    const program = join(directory, 'program');
    execFileSync(COMPILER ?? '', [...common, ...objects, '-o', program], options);
    return use(program);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
