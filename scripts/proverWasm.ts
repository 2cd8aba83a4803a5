// Compiles the prover's WebAssembly, or compares it with what is committed: the compiler is pinned, so every machine comes to the same bytes.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = `npm run prover-wasm [-- --check]

Compiles packages/prover/wasm from packages/prover/native with clang 16.0.6 and lld 16.0.6, Debian's clang-16 and lld-16.
  --check  compares only; fails where a byte differs.`;

const ROOT = resolve(import.meta.dirname, '..');
const NATIVE = resolve(ROOT, 'packages/prover/native');
const TARGET = resolve(ROOT, 'packages/prover/wasm');
const COMPILER = 'clang++-16';
const VERSION = '16.0.6';
const FLAGS = [
  '--target=wasm32',
  '-std=c++20',
  '-O3',
  '-nostdlib',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-threadsafe-statics',
  '-fvisibility=hidden',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
  '-Wno-unknown-pragmas',
  '-Wno-pass-failed',
  '-Werror',
  '-Wl,--no-entry',
  '-Wl,--strip-all',
  '-Wl,-z,stack-size=1048576',
];
const VARIANTS = {
  plain: [],
  relaxed: ['-msimd128', '-mrelaxed-simd', '-DBITCLOAK_RELAXED'],
} as const;

/** Undefined where it is not there. */
function versionOf(program: string): string | undefined {
  try {
    return execFileSync(program, ['--version'], { encoding: 'utf8' });
  } catch {
    return undefined;
  }
}

function compile(name: keyof typeof VARIANTS, directory: string): Buffer {
  const file = join(directory, `${name}.wasm`);
  // Relative names, so that no path of this machine can get in.
  const sources = ['wasm.cpp', 'wasmRuntime.cpp'];
  execFileSync(COMPILER, [...FLAGS, ...VARIANTS[name], ...sources, '-o', file], { cwd: NATIVE, stdio: 'inherit' });
  return readFileSync(file);
}

function main(isCheck: boolean): void {
  if (versionOf(COMPILER)?.includes(VERSION) !== true || versionOf('wasm-ld-16')?.includes(VERSION) !== true) {
    throw new Error(`expected ${COMPILER} and wasm-ld-16 ${VERSION}: apt-get install clang-16 lld-16 on Debian 12`);
  }
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-wasm-'));
  try {
    for (const name of Object.keys(VARIANTS) as (keyof typeof VARIANTS)[]) {
      const bytes = compile(name, directory);
      const file = join(TARGET, `${name}.wasm`);
      if (!isCheck) {
        writeFileSync(file, bytes);
        console.log(`packages/prover/wasm/${name}.wasm: ${bytes.length} bytes`);
      } else if (!bytes.equals(readFileSync(file))) {
        throw new Error(`packages/prover/wasm/${name}.wasm is not what its sources give: npm run prover-wasm`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false }, help: { type: 'boolean' } } });
if (values.help === true) console.log(USAGE);
else main(values.check);
