// Altered copies of the circuits. A copy from which a check is gone computes witnesses of false statements with everything downstream of
// the lie recomputed, and the genuine constraints are then asked about the very same values: neither the witness generator of the
// genuine circuit nor its assertions have a part in the answer.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { captureTool } from '../../scripts/bootstrap/child.mjs';
import { circuitFiles, circuitsAreCurrent, compileCircuit } from '../../scripts/compileCircuits.mjs';
import { Calculator, compiledCircuit, ROOT } from '../support/circuit.ts';
import { loadR1cs, type R1cs } from '../support/r1cs.ts';
import { readSymbols } from './symbols.ts';

/** A statement of a source file and what the copy has in its place; the file is named from circuits/ or from node_modules/circomlib/. */
export type Edit = { readonly file: string; readonly find: string; readonly replace: string };

/** A system of constraints, and the wires of its signals by their names. */
export type NamedConstraints = { readonly r1cs: R1cs; readonly symbols: ReadonlyMap<string, number> };

/** A copy compiled without any simplification: every signal is a wire. */
export type Copy = NamedConstraints & { readonly calculate: (input: CircuitInput) => bigint[] };

/** Signals that a copy has beyond the genuine circuit's, in whatever component, are called like this. */
const ADDED_SIGNAL = /\.cut[A-Z][^.]*$/;

const COMPILATIONS_AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= COMPILATIONS_AT_ONCE) await new Promise<void>((resume) => waiting.push(resume));
  else running += 1;
  try {
    return await work();
  } finally {
    // A turn is handed on, not given back, while somebody waits for it.
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}

function applyEdit(directory: string, { file, find, replace }: Edit): void {
  const target = path.join(directory, file);
  const parts = readFileSync(target, 'utf8').split(find);
  if (parts.length !== 2) {
    throw new Error(
      `${file} has ${parts.length - 1} times, instead of once: ${find}\nThe circuit and its tests have grown apart.`,
    );
  }
  writeFileSync(target, parts.join(replace));
}

/** Runs `work` in a directory of its own below .cache/, which the compiler can see, and removes it. */
async function inScratchDirectory<T>(name: string, work: (directory: string) => Promise<T>): Promise<T> {
  const parent = path.join(ROOT, '.cache', 'circuit-copies');
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(path.join(parent, `${name}-`));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compileUnsimplified(directory: string, source: string, outputs: readonly string[]): Promise<void> {
  const compiler = path.join(ROOT, 'node_modules', 'circom2', 'cli.js');
  const relative = path.relative(ROOT, directory);
  const { status, output } = await captureTool(
    process.execPath,
    // Other cores have work of their own meanwhile: without helpers of the compiler's process the same takes a tenth less of their time.
    ['--single-threaded', compiler, path.join(relative, source), ...outputs, '--O0', '-l', relative, '-o', relative],
    { cwd: ROOT, env: process.env },
  );
  if (status !== 0) throw new Error(`circom could not compile an altered copy of ${source}:\n${output}`);
}

function copySources(directory: string, edits: readonly Edit[]): void {
  for (const sources of ['lib', 'main', 'generated']) {
    cpSync(path.join(ROOT, 'circuits', sources), path.join(directory, sources), { recursive: true });
  }
  cpSync(path.join(ROOT, 'node_modules', 'circomlib', 'circuits'), path.join(directory, 'circomlib', 'circuits'), {
    recursive: true,
  });
  for (const edit of edits) applyEdit(directory, edit);
}

function loadConstraints(directory: string, circuit: Circuit): NamedConstraints {
  return {
    r1cs: loadR1cs(path.join(directory, `${circuit}.r1cs`)),
    symbols: readSymbols(path.join(directory, `${circuit}.sym`)),
  };
}

/** Compiles a copy of a circuit after the edits. Each of them must find its text exactly once. */
export function compileCopy(circuit: Circuit, edits: readonly Edit[]): Promise<Copy> {
  return inTurn(() =>
    inScratchDirectory(circuit, async (directory) => {
      copySources(directory, edits);
      await compileUnsimplified(directory, `main/${circuit}.circom`, ['--r1cs', '--sym', '--wasm']);
      const calculator = new Calculator(path.join(directory, `${circuit}_js`, `${circuit}.wasm`));
      return { ...loadConstraints(directory, circuit), calculate: (input) => calculator.calculate(input) };
    }),
  );
}

/** Compiles a circuit of a test's own, which stands where those of circuits/main do. */
export function compileSource(name: string, source: string): Promise<Calculator> {
  return inTurn(() =>
    inScratchDirectory(name, async (directory) => {
      copySources(directory, []);
      writeFileSync(path.join(directory, 'main', `${name}.circom`), source);
      await compileUnsimplified(directory, `main/${name}.circom`, ['--wasm']);
      return new Calculator(path.join(directory, `${name}_js`, `${name}.wasm`));
    }),
  );
}

/** The constraints of a copy only, which compile faster; unsimplified, each of them is still that of one component. */
export function compileConstraints(circuit: Circuit, edits: readonly Edit[]): Promise<NamedConstraints> {
  return inTurn(() =>
    inScratchDirectory(circuit, async (directory) => {
      copySources(directory, edits);
      await compileUnsimplified(directory, `main/${circuit}.circom`, ['--r1cs', '--sym']);
      return loadConstraints(directory, circuit);
    }),
  );
}

function oncePerCircuit<T>(make: (circuit: Circuit) => Promise<T>): (circuit: Circuit) => Promise<T> {
  const made = new Map<Circuit, Promise<T>>();
  return (circuit) => {
    const found = made.get(circuit) ?? make(circuit);
    made.set(circuit, found);
    return found;
  };
}

/** The circuit without any edits, unsimplified. */
export const unsimplifiedCircuit = oncePerCircuit((circuit) => compileConstraints(circuit, []));

/** The constraints that the key belongs to, with their names: those of the build. */
export const genuineCircuit = oncePerCircuit(async (circuit) => {
  if (!circuitsAreCurrent(ROOT))
    throw new Error('circuits/build is not what the sources compile to: run npm run setup');
  return { r1cs: compiledCircuit(circuit).r1cs, symbols: readSymbols(circuitFiles(ROOT, circuit).symbols) };
});

/** The files of a circuit's build that are not what the sources compile to now. */
export function compileAgain(circuit: Circuit): Promise<string[]> {
  return inTurn(() =>
    inScratchDirectory(circuit, async (directory) => {
      const source = path.join(ROOT, 'circuits', 'main', `${circuit}.circom`);
      const built = circuitFiles(ROOT, circuit);
      const compiled = await compileCircuit({ root: ROOT, source, outputDirectory: directory });
      const kinds = ['r1cs', 'wasm', 'symbols'] as const;
      return kinds.filter((kind) => !readFileSync(compiled[kind]).equals(readFileSync(built[kind])));
    }),
  );
}

/** The values of a copy's witness on the wires of the genuine circuit. */
export function project(copy: Copy, target: NamedConstraints, witness: readonly bigint[]): bigint[] {
  const missing = [...target.symbols.keys()].filter((name) => !copy.symbols.has(name));
  const added = [...copy.symbols.keys()].filter((name) => !target.symbols.has(name) && !ADDED_SIGNAL.test(name));
  if (missing.length + added.length > 0) {
    throw new Error(`the copy has other signals: ${[...missing, ...added].slice(0, 5).join(', ')}`);
  }
  const projected = new Array<bigint | undefined>(target.r1cs.wireCount);
  projected[0] = 1n;
  for (const [name, wire] of target.symbols) {
    if (wire >= 0) projected[wire] = witness[copy.symbols.get(name) as number];
  }
  if (projected.includes(undefined)) throw new Error('a wire of the genuine circuit has no name');
  return projected as bigint[];
}

/** What becomes of one false statement. */
export type Verdict = { readonly acceptedByCopy: boolean; readonly acceptedByGenuine: boolean };

/** Has a copy compute the witness, and asks both systems of constraints about it. */
export function judge(copy: Copy, target: NamedConstraints, input: CircuitInput): Verdict {
  const witness = copy.calculate(input);
  return {
    acceptedByCopy: copy.r1cs.firstViolated(witness) === null,
    acceptedByGenuine: target.r1cs.firstViolated(project(copy, target, witness)) === null,
  };
}

/** Makers of things that take long: the one asked for and the one after it are made at the same time, and none twice. */
export class Ahead<T> {
  readonly #makers: readonly (() => Promise<T>)[];
  readonly #made = new Map<number, Promise<T>>();

  constructor(makers: readonly (() => Promise<T>)[]) {
    this.#makers = makers;
  }

  get(index: number): Promise<T> {
    const wanted = this.#start(index);
    if (index + 1 < this.#makers.length) void this.#start(index + 1);
    return wanted;
  }

  #start(index: number): Promise<T> {
    let made = this.#made.get(index);
    if (made === undefined) {
      const make = this.#makers[index];
      if (make === undefined) throw new RangeError(`there is no maker ${index}`);
      made = make();
      // Who asks for it later gets the failure; until then it must not end the process.
      made.catch(() => undefined);
      this.#made.set(index, made);
    }
    return made;
  }
}
