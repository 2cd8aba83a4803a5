import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Addon } from '@bitcloak/prover/addon';
import { compileUnits, COMPILER, type Unit } from './compiler.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const NATIVE = 'packages/prover/native';
const FLAGS = ['-O1', '-fPIC', '-fvisibility=hidden', '-fno-exceptions', '-fno-rtti', '-shared', '-pthread'];

/** The sources of `ifma` over instructions that are functions. */
export const EMULATED_UNIT: Unit = { source: `${NATIVE}/ifma.cpp`, flags: ['-Itest/native/emulated', '-Wno-psabi'] };
const UNITS: readonly Unit[] = [
  EMULATED_UNIT,
  { source: `${NATIVE}/portable.cpp` },
  { source: `${NATIVE}/backends.cpp`, flags: ['-DBITCLOAK_EMULATED'] },
  { source: `${NATIVE}/addon.cpp`, flags: ['-DNAPI_VERSION=8', '-Inode_modules/node-api-headers/include'] },
];

/**
 * The addon, with `ifma` on whatever processor this is; undefined where there is no compiler. Compiled once for a state of its sources.
 *
 * @param fault an instruction of test/native/emulated that is to compute wrongly.
 */
export function loadEmulatedAddon(fault?: string): Addon | undefined {
  if (COMPILER === undefined) return undefined;
  const file = compiledAddon();
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-emulated-'));
  try {
    // A file of its own: one that is loaded already would not look at the fault again.
    const copy = join(directory, 'addon.node');
    copyFileSync(file, copy);
    if (fault !== undefined) process.env['BITCLOAK_FAULT'] = fault;
    return createRequire(import.meta.url)(copy) as Addon;
  } finally {
    delete process.env['BITCLOAK_FAULT'];
    rmSync(directory, { recursive: true });
  }
}

function compiledAddon(): string {
  const sources = globSync([`${NATIVE}/*`, 'test/native/emulated/*'], { cwd: ROOT }).sort();
  const hash = createHash('sha256').update(JSON.stringify([FLAGS, UNITS]));
  hash.update(execFileSync(COMPILER ?? '', ['--version']));
  for (const source of sources) hash.update(source).update(readFileSync(resolve(ROOT, source)));
  const directory = resolve(ROOT, '.cache/test/emulated');
  const file = join(directory, `${hash.digest('hex')}.node`);
  if (existsSync(file)) return file;
  mkdirSync(directory, { recursive: true });
  // Another process of the tests may be at the same.
  const partial = join(directory, `${process.pid}`);
  compileUnits(UNITS, FLAGS, partial);
  renameSync(partial, file);
  for (const other of globSync(join(directory, '*.node'))) if (other !== file) rmSync(other, { force: true });
  return file;
}
