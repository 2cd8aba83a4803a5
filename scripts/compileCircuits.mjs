// Compiles the circuits with the machine-independent circom of npm, makes the programs for their witnesses, and compares the constraint systems with their pins:
// the keys belong to those bytes and to no others.
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { captureTool } from './bootstrap/child.mjs';
import { hashFile, hashFiles, listFiles, readIfPresent, sha256, writeWhole } from './bootstrap/hash.mjs';
import { SetupError, say } from './bootstrap/report.mjs';
import { makeWitnessProgram } from './bootstrap/witness/solve.mjs';

// O2 removes the linear constraints as well; the same circuit proves 1.4 times slower without. The newer heuristics of that step substitute
// into each other until the same number of constraints holds twice the terms: larger proving keys, and twice the time for their products.
const COMPILER_OPTIONS = [
  '--r1cs',
  '--wasm',
  '--sym',
  '--O2',
  '--use_old_simplification_heuristics',
  '-l',
  'node_modules',
];
// What became of signals that the linear constraints determine: an input may be among them.
const SUBSTITUTIONS_OPTION = '--simplification_substitution';
// Two at once take about three quarters of the time of one after another; each fills more than one core.
const COMPILATIONS_AT_ONCE = 2;

/**
 * @typedef {object} Pin                     circuits/pins/<circuit>.json
 * @property {string} circuit
 * @property {number} constraints
 * @property {number} publicSignals          inputs and outputs
 * @property {string} r1csSha256
 * @property {string} [wasmSha256]
 * @property {string} [programSha256]
 * @property {string} [zkeySha256]
 */

/**
 * The circuits that are proven on their own: every file of circuits/main.
 * @param {string} root
 * @returns {string[]}
 */
export function circuitNames(root) {
  const directory = path.join(root, 'circuits', 'main');
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith('.circom'))
    .map((name) => name.slice(0, -'.circom'.length))
    .sort();
}

/**
 * Where the compiled forms of a circuit are. The symbols, which name the wires, are for the tests: what is proven does not depend on them.
 * @param {string} root
 * @param {string} circuit
 */
export function circuitFiles(root, circuit) {
  return filesIn(path.join(root, 'circuits', 'build', circuit), circuit);
}

/**
 * @param {string} directory
 * @param {string} name
 */
function filesIn(directory, name) {
  return {
    r1cs: path.join(directory, `${name}.r1cs`),
    wasm: path.join(directory, `${name}.wasm`),
    program: path.join(directory, `${name}.program`),
    symbols: path.join(directory, `${name}.sym`),
  };
}

/**
 * What a pin says about the compiled circuit.
 * @param {string} root
 * @param {string} circuit
 */
export function describeCircuit(root, circuit) {
  const files = circuitFiles(root, circuit);
  const r1cs = readFileSync(files.r1cs);
  const { constraints, publicSignals } = readSizes(r1cs);
  return {
    circuit,
    constraints,
    publicSignals,
    r1csSha256: sha256(r1cs),
    wasmSha256: sha256(readFileSync(files.wasm)),
    programSha256: sha256(readFileSync(files.program)),
  };
}

/**
 * Whether every circuit is compiled from the sources as they are, and the compiled bytes are as the compiler left them.
 * @param {string} root
 */
export function circuitsAreCurrent(root) {
  const text = readIfPresent(stampFile(root))?.toString('utf8');
  return text !== undefined ? text === stampOf(root) : circuitNames(root).length === 0;
}

/**
 * Compiles every circuit of circuits/main. Only under the bootstrap's lock.
 * @param {import('./bootstrap.mjs').Context} context
 */
export async function compileCircuits(context) {
  const { root } = context;
  const circuits = circuitNames(root);
  say(`compiling the circuits: ${circuits.join(', ')}`);
  // Everything goes, a circuit that no longer exists included.
  rmSync(path.join(root, 'circuits', 'build'), { recursive: true, force: true });

  const waiting = [...circuits];
  const compileWaiting = async () => {
    for (let circuit = waiting.shift(); circuit !== undefined; circuit = waiting.shift()) {
      const files = circuitFiles(root, circuit);
      await compileCircuit({
        ...context,
        source: path.join(root, 'circuits', 'main', `${circuit}.circom`),
        outputDirectory: path.dirname(files.r1cs),
        withProgram: true,
      });
    }
  };
  const endings = await Promise.allSettled(
    Array.from({ length: Math.min(COMPILATIONS_AT_ONCE, cpus().length) }, compileWaiting),
  );
  // Only now, when no compiler is left that would write on after the lock is gone.
  for (const ending of endings) if (ending.status === 'rejected') throw ending.reason;
  writeWhole(stampFile(root), stampOf(root));
}

/**
 * Compiles one circuit file to <name>.r1cs, <name>.wasm, <name>.sym and, where it is wanted, <name>.program in a directory that this makes anew.
 * @param {object} task
 * @param {string} task.root                the repository, whose circomlib and compiler are used
 * @param {string} task.source              may lie anywhere
 * @param {string} task.outputDirectory
 * @param {boolean} [task.withProgram]      which not every circuit has one of
 * @param {{ file: string }} [task.node]
 * @param {NodeJS.ProcessEnv} [task.environment]
 * @param {(pid: number) => void} [task.onStart]
 * @returns {Promise<ReturnType<typeof filesIn>>}
 */
export async function compileCircuit(task) {
  const { root, source, outputDirectory, withProgram = false } = task;
  const { node = { file: process.execPath }, environment = process.env, onStart = () => {} } = task;
  const name = path.basename(source, '.circom');
  rmSync(outputDirectory, { recursive: true, force: true });
  mkdirSync(outputDirectory, { recursive: true });
  const options = withProgram ? [...COMPILER_OPTIONS, SUBSTITUTIONS_OPTION] : COMPILER_OPTIONS;
  // The compiler sees the file system through relative paths from where it runs, and follows no link that leads out of it.
  const { status, output } = await captureTool(
    node.file,
    [path.join(root, 'node_modules', 'circom2', 'cli.js'), source, ...options, '-o', outputDirectory],
    { cwd: root, env: environment, onStart },
  );
  const files = filesIn(outputDirectory, name);
  const compiledWasm = path.join(outputDirectory, `${name}_js`, `${name}.wasm`);
  if (status !== 0 || ![files.r1cs, files.symbols, compiledWasm].every(existsSync)) {
    throw new SetupError(`circom could not compile ${path.relative(root, source)}:\n${output.trim()}`);
  }
  renameSync(compiledWasm, files.wasm);
  rmSync(path.dirname(compiledWasm), { recursive: true });
  if (withProgram) {
    const substitutions = path.join(outputDirectory, `${name}_substitutions.json`);
    const texts = [files.symbols, substitutions].map((file) => readFileSync(file, 'utf8'));
    writeWhole(files.program, makeWitnessProgram(readFileSync(files.r1cs), texts[0] ?? '', texts[1] ?? ''));
    rmSync(substitutions);
  }
  return files;
}

/**
 * Compares every compiled circuit with its pin.
 * @param {string} root
 * @returns {string[]} what differs, one line each
 */
export function comparePins(root) {
  return circuitNames(root).flatMap((circuit) => {
    const difference = differenceFromPin(readPin(root, circuit), describeCircuit(root, circuit));
    return difference === undefined ? [] : [`circuit ${circuit} ${difference}`];
  });
}

/**
 * Pins the circuits as they are compiled now. One with other constraints loses the hash of its key: that key no longer fits.
 * @param {string} root
 * @returns {string[]} what was pinned anew, one line each
 */
export function updatePins(root) {
  return circuitNames(root).flatMap((circuit) => {
    const compiled = describeCircuit(root, circuit);
    const pin = readPin(root, circuit);
    const difference = differenceFromPin(pin, compiled);
    if (difference === undefined) return [];
    const zkeySha256 = pin?.r1csSha256 === compiled.r1csSha256 ? pin.zkeySha256 : undefined;
    writeWhole(pinFile(root, circuit), `${JSON.stringify({ ...compiled, zkeySha256 }, null, 2)}\n`);
    return [`circuit ${circuit} ${difference}: pinned with ${compiled.constraints} constraints`];
  });
}

/**
 * @param {Pin | undefined} pin
 * @param {ReturnType<typeof describeCircuit>} compiled
 * @returns {string | undefined}
 */
function differenceFromPin(pin, compiled) {
  if (pin === undefined) return 'has no pin';
  const differences = /** @type {const} */ ([
    'constraints',
    'publicSignals',
    'r1csSha256',
    'wasmSha256',
    'programSha256',
  ])
    .filter((field) => pin[field] !== compiled[field] && !(field === 'wasmSha256' && pin.wasmSha256 === undefined))
    .map((field) => `${field} ${compiled[field]}, pinned ${pin[field]}`);
  return differences.length === 0 ? undefined : `is not the pinned one (${differences.join('; ')})`;
}

/**
 * @param {string} root
 * @param {string} circuit
 * @returns {Pin | undefined}
 */
function readPin(root, circuit) {
  const text = readIfPresent(pinFile(root, circuit))?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new SetupError(`${path.relative(root, pinFile(root, circuit))} is no JSON: restore it, then run this again`);
  }
}

/**
 * @param {string} root
 * @param {string} circuit
 */
function pinFile(root, circuit) {
  return path.join(root, 'circuits', 'pins', `${circuit}.json`);
}

/** @param {string} root */
function stampFile(root) {
  return path.join(root, 'circuits', 'build', 'compiled.json');
}

/**
 * Sources, compiler and circomlib go in, and what came out.
 * @param {string} root
 */
function stampOf(root) {
  const packageVersion = (/** @type {string} */ name) =>
    hashFile(path.join(root, 'node_modules', name, 'package.json')) ?? 'absent';
  return JSON.stringify({
    sources: hashFiles(root, [...sourceFiles(root), ...programMakerFiles(root)]),
    compiler: [packageVersion('circom2'), packageVersion('circomlib'), ...COMPILER_OPTIONS, SUBSTITUTIONS_OPTION],
    compiled: circuitNames(root).map((circuit) => {
      const files = circuitFiles(root, circuit);
      return [circuit, ...Object.values(files).map((file) => hashFile(file) ?? 'absent')];
    }),
  });
}

/** @param {string} root */
function programMakerFiles(root) {
  return listFiles(path.join(root, 'scripts', 'bootstrap', 'witness'), '.mjs');
}

/** @param {string} root */
function sourceFiles(root) {
  const build = path.join(root, 'circuits', 'build') + path.sep;
  return listFiles(path.join(root, 'circuits'), '.circom').filter((file) => !file.startsWith(build));
}

/**
 * The sizes in the header of an r1cs file (https://github.com/iden3/r1csfile).
 * @param {Buffer} r1cs
 */
export function readSizes(r1cs) {
  const HEADER_SECTION = 1;
  let offset = 12; // magic, version and number of sections, four bytes each
  while (offset < r1cs.length) {
    const section = r1cs.readUInt32LE(offset);
    const length = Number(r1cs.readBigUInt64LE(offset + 4));
    const start = offset + 12;
    if (section === HEADER_SECTION) {
      const counts = start + 4 + r1cs.readUInt32LE(start); // the field's size and the prime go first
      return {
        constraints: r1cs.readUInt32LE(counts + 24),
        publicSignals: r1cs.readUInt32LE(counts + 4) + r1cs.readUInt32LE(counts + 8),
        wires: r1cs.readUInt32LE(counts),
      };
    }
    offset = start + length;
  }
  throw new SetupError('an r1cs file has no header: remove circuits/build and run this again');
}
