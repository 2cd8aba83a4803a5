import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { runTool } from './child.mjs';
import { hashFile, hashFiles, listFiles, readIfPresent, sha256, writeWhole } from './hash.mjs';
import { say } from './report.mjs';

/** @typedef {import('../bootstrap.mjs').Context} Context */

const COMPILERS = ['c++', 'g++', 'clang++'];
/** Nearly every machine has as many cores, and memory for them. */
const COMPILERS_AT_ONCE = 2;
// A warning is no error here: a newer compiler has others, and a machine with it shall not prove more slowly for one. Tests take them as errors.
export const FLAGS = [
  '-std=c++20',
  '-O3',
  '-DNAPI_VERSION=8',
  '-fno-exceptions',
  '-fno-rtti',
  '-fPIC',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-Wconversion',
  '-Wno-unknown-pragmas',
];

/**
 * The files that are compiled, each with the instructions that it alone may use: what a processor has is asked when the addon is loaded.
 * @returns {{ name: string, flags: readonly string[] }[]}
 */
export function units() {
  const everywhere = ['portable', 'backends', 'addon'].map((name) => ({ name, flags: [] }));
  if (process.arch !== 'x64') return everywhere;
  const avx2 = ['-mavx2', '-mfma', '-mbmi2'];
  const ifma = ['-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512ifma', '-mbmi2'];
  // Those that take longest first.
  return [{ name: 'avx2', flags: avx2 }, { name: 'ifma', flags: ifma }, ...everywhere];
}

/** @param {Context} context */
export function proverIsCurrent(context) {
  const stamp = stampOf(context);
  return stamp === undefined || readIfPresent(stampFile(context.root))?.toString('utf8') === stamp;
}

/**
 * Compiles the native prover. Only under the lock. Where that fails proofs take another way, more slowly: it is said once and not tried again before
 * something has changed.
 * @param {Context} context
 */
export async function compileProver(context) {
  const stamp = stampOf(context);
  const compiler = findCompiler(context);
  if (stamp === undefined || compiler === undefined) return;
  say('compiling the native prover');
  const directory = path.join(context.root, '.cache', 'prover');
  const partial = path.join(directory, `partial.${process.pid}`);
  mkdirSync(partial, { recursive: true });
  try {
    const isDone = await compile(context, compiler, partial);
    rmSync(addonFile(context.root), { force: true });
    if (isDone) renameSync(path.join(partial, 'addon.node'), addonFile(context.root));
    else say('the native prover cannot be compiled here: proofs are made without it, more slowly');
    writeWhole(stampFile(context.root), stamp);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/**
 * @param {Context} context
 * @param {string} compiler
 * @param {string} directory
 */
async function compile(context, compiler, directory) {
  const tool = { cwd: context.root, env: context.environment, onStart: context.onStart };
  const object = (/** @type {string} */ name) => path.join(directory, `${name}.o`);
  const waiting = units();
  const statuses = await Promise.allSettled(
    Array.from({ length: COMPILERS_AT_ONCE }, async () => {
      for (let unit = waiting.shift(); unit !== undefined; unit = waiting.shift()) {
        const { name, flags } = unit;
        const source = path.join('packages', 'prover', 'native', `${name}.cpp`);
        const headers = path.join('node_modules', 'node-api-headers', 'include');
        const words = [...FLAGS, ...flags, `-I${headers}`, '-c', source, '-o', object(name)];
        if ((await runTool(compiler, words, tool)) !== 0) return false;
      }
      return true;
    }),
  );
  for (const status of statuses) {
    if (status.status === 'rejected') throw status.reason;
    if (!status.value) return false;
  }
  const objects = units().map(({ name }) => object(name));
  // Node itself has the symbols that are missing.
  const shared = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-pthread'];
  const linked = path.join(directory, 'addon.node');
  return (await runTool(compiler, [...shared, ...objects, '-o', linked], tool)) === 0;
}

/** @param {string} root */
function addonFile(root) {
  return path.join(root, '.cache', 'prover', 'addon.node');
}

/** @param {string} root */
function stampFile(root) {
  return path.join(root, '.cache', 'prover', 'compiled.txt');
}

/**
 * The first compiler of the search path; Windows has none that takes these options.
 * @param {Context} context
 * @returns {string | undefined}
 */
function findCompiler(context) {
  if (process.platform === 'win32') return undefined;
  const directories = (context.environment['PATH'] ?? '').split(path.delimiter).filter((name) => name !== '');
  return COMPILERS.flatMap((name) => directories.map((directory) => path.join(directory, name))).find(isProgram);
}

/** @param {string} file */
function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * What the addon depends on; undefined where there is nothing to compile, or nothing to compile it with.
 * @param {Context} context
 */
function stampOf(context) {
  const directory = path.join(context.root, 'packages', 'prover', 'native');
  const sources = [...listFiles(directory, '.cpp'), ...listFiles(directory, '.h')];
  if (!existsSync(path.join(directory, 'addon.cpp'))) return undefined;
  const compiler = findCompiler(context);
  if (compiler === undefined) return undefined;
  const { size, mtimeMs } = statSync(compiler);
  return sha256(
    JSON.stringify({
      sources: hashFiles(context.root, sources),
      headers: hashFile(path.join(context.root, 'node_modules', 'node-api-headers', 'package.json')),
      flags: FLAGS,
      units: units(),
      compiler: { file: compiler, size, mtimeMs },
      platform: process.platform,
    }),
  );
}
