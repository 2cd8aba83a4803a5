import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { table } from '@bitcloak/cli/output';
import { CIRCUITS } from '@bitcloak/protocol/parameters';
import { availableEngines, type ProverChoice } from '@bitcloak/prover/engines';
import type { SignalValue } from '@bitcloak/prover/witness';
import { circuitFiles, readSizes } from '../compileCircuits.mjs';
import { UsageError, type Options, type Report, type Say } from './benchmark.ts';
import { ROOT } from './machine.ts';
import { grouped, median, medianCost, rounded, type Cost } from './measure.ts';
import type { Answer, Proving, Request, Task, Way } from './proveChild.ts';
import { makeStatements } from './statements.ts';

const SEED = 'bitcloak prove';
const WARM_UP = 2;
const CHILD = resolve(import.meta.dirname, 'proveChild.ts');

type Subject = { readonly name: string; readonly constraints: number; readonly task: Task };
type Cold = Cost & { readonly memoryPeak: number };

/** One process that proves one circuit with one engine. */
class Prover {
  readonly #child: ChildProcess;

  constructor() {
    // Its standard output is not ours: that belongs to the result alone.
    this.#child = fork(CHILD, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }

  async load(task: Task, way: Way): Promise<void> {
    await this.#ask({ kind: 'load', task, ...way });
  }

  async prove(): Promise<Proving> {
    const answer = await this.#ask({ kind: 'prove' });
    if (answer.kind !== 'proved') throw new Error('the process proved nothing');
    return answer.proving;
  }

  async end(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }

  #ask(request: Request): Promise<Answer> {
    const { promise, resolve: done, reject } = Promise.withResolvers<Answer>();
    const failed = () => reject(new Error('a proving process ended before it answered'));
    this.#child.once('exit', failed);
    this.#child.once('message', (answer) => {
      this.#child.off('exit', failed);
      done(answer as Answer);
    });
    this.#child.send(request);
    return promise;
  }
}

function ourSubjects(): Subject[] {
  const statements = makeStatements(SEED);
  return CIRCUITS.map((name) => {
    const { r1cs, wasm, program } = circuitFiles(ROOT, name);
    const key = (ending: string) => resolve(ROOT, `circuits/keys/${name}.${ending}`);
    const task = { wasm, program, zkey: key('zkey'), verifyingKey: key('vkey.json'), input: statements[name] };
    return { name, ...readSizes(readFileSync(r1cs)), task };
  });
}

/** Integers in JSON are decimal strings. */
function parseSignal(value: unknown): SignalValue {
  return Array.isArray(value) ? value.map(parseSignal) : BigInt(value as string);
}

function peerSubject(directory: string): Subject {
  const file = (name: string) => resolve(process.env['INIT_CWD'] ?? '.', directory, name);
  try {
    const signals = JSON.parse(readFileSync(file('input.json'), 'utf8')) as Record<string, unknown>;
    const input = Object.fromEntries(Object.entries(signals).map(([name, value]) => [name, parseSignal(value)]));
    const task = { wasm: file('peer.wasm'), zkey: file('peer.zkey'), verifyingKey: file('peer.vkey.json'), input };
    return { name: 'peer', ...readSizes(readFileSync(file('peer.r1cs'))), task };
  } catch (error) {
    throw new UsageError(`--peer: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** From the start of a process to its first verified proof. */
async function proveCold({ task }: Subject, way: Way): Promise<Cold> {
  const started = performance.now();
  const prover = new Prover();
  await prover.load(task, way);
  const { cpuMs, memoryPeak } = await prover.prove();
  const wallMs = performance.now() - started;
  await prover.end();
  return { wallMs, cpuMs, memoryPeak };
}

/** The engines take turns, each round in the other direction, so that a change of the machine's pace meets all of them. */
async function proveWarm({ task }: Subject, ways: readonly Way[], rounds: number): Promise<Proving[][]> {
  const provers = ways.map(() => new Prover());
  for (const [index, prover] of provers.entries()) await prover.load(task, ways[index] as Way);
  const provings: Proving[][] = ways.map(() => []);
  for (let round = -WARM_UP; round < rounds; round++) {
    const order = [...provers.entries()];
    for (const [index, prover] of round % 2 === 0 ? order : order.toReversed()) {
      const proving = await prover.prove();
      if (round >= 0) provings[index]?.push(proving);
    }
  }
  await Promise.all(provers.map((prover) => prover.end()));
  return provings;
}

function whole({ witness, proof, verification }: Proving): Cost {
  return {
    wallMs: witness.wallMs + proof.wallMs + verification.wallMs,
    cpuMs: witness.cpuMs + proof.cpuMs + verification.cpuMs,
  };
}

const roundedCost = ({ wallMs, cpuMs }: Cost) => ({ wallMs: rounded(wallMs), cpuMs: rounded(cpuMs) });

/** The median of one engine's computing times divided by the other's of the same round. */
function ratio(ours: readonly Proving[], theirs: readonly Proving[], part: (proving: Proving) => Cost): number {
  return rounded(median(ours.map((proving, round) => part(theirs[round] as Proving).cpuMs / part(proving).cpuMs)));
}

/** What was asked for by name, or everything that is there. */
function waysOf(engines: string, threads: number, program: string): Way[] {
  const ours = Object.keys(availableEngines(threads)) as ProverChoice[];
  const there = program === '' ? ours : (['rapidsnark', ...ours] as const);
  const wanted = engines === '' ? there : engines.split(',');
  for (const name of wanted) {
    if (!there.some((engine) => engine === name))
      throw new UsageError(`--engines: there are ${there.join(', ')}, not ${name}`);
  }
  return there.filter((name) => wanted.includes(name)).map((engine) => ({ engine, threads, program }));
}

async function measure(subject: Subject, ways: readonly Way[], rounds: number, coldCount: number, say: Say) {
  const colds: Cold[][] = ways.map(() => []);
  for (let round = 0; round < coldCount; round++) {
    say(`${subject.name}: a fresh process for each engine, ${round + 1} of ${coldCount}`);
    for (const [index, way] of ways.entries()) colds[index]?.push(await proveCold(subject, way));
  }
  say(`${subject.name}: ${rounds} rounds`);
  const warms = await proveWarm(subject, ways, rounds);
  const last = warms.at(-1) as Proving[];
  return ways.map(({ engine }, index) => {
    const [cold, warm] = [colds[index] ?? [], warms[index] ?? []];
    const part = (name: 'witness' | 'proof' | 'verification') =>
      roundedCost(medianCost(warm.map((proving) => proving[name])));
    return {
      circuit: subject.name,
      constraints: subject.constraints,
      engine,
      cold: { ...roundedCost(medianCost(cold)), memoryPeak: Math.max(...cold.map(({ memoryPeak }) => memoryPeak)) },
      warm: {
        witness: part('witness'),
        proof: part('proof'),
        verification: part('verification'),
        whole: roundedCost(medianCost(warm.map(whole))),
        memoryPeak: Math.max(...warm.map(({ memoryPeak }) => memoryPeak)),
      },
      /** How many times faster than the last engine, which is snarkjs unless that was left out. */
      times: { proof: ratio(warm, last, ({ proof }) => proof), whole: ratio(warm, last, whole) },
    };
  });
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [rounds, coldCount, threads] = [options.count('rounds'), options.count('cold'), options.count('threads')];
  const [peer, engines, names] = [options.text('peer'), options.text('engines'), options.text('circuits')];
  const program = options.text('rapidsnark');
  const ways = waysOf(engines, threads, program === '' ? '' : resolve(process.env['INIT_CWD'] ?? '.', program));
  const wanted: readonly string[] = names === '' ? CIRCUITS : names.split(',');
  const subjects = [
    ...ourSubjects().filter(({ name }) => wanted.includes(name)),
    ...(peer === '' ? [] : [peerSubject(peer)]),
  ];
  if (subjects.length === 0) throw new UsageError(`--circuits: there are ${CIRCUITS.join(', ')}`);
  const results = [];
  for (const subject of subjects) results.push(...(await measure(subject, ways, rounds, coldCount, say)));
  const titles = ['cold', 'CPU', 'witness', 'proof', 'CPU', 'verified', 'memory', 'times', 'whole'];
  const [ms, mib] = [(value: number) => `${grouped(value)} ms`, (bytes: number) => `${grouped(bytes / 2 ** 20)} MiB`];
  const reference = (ways.at(-1) as Way).engine;
  const text = `${table(
    [{ title: 'circuit' }, { title: 'engine' }, ...titles.map((title) => ({ title, align: 'right' as const }))],
    results.map(({ circuit, engine, cold, warm, times }) => [
      circuit,
      engine,
      ...[cold, warm].flatMap((part) => ('proof' in part ? [] : [ms(part.wallMs), ms(part.cpuMs)])),
      ...[ms(warm.witness.cpuMs), ms(warm.proof.wallMs), ms(warm.proof.cpuMs), ms(warm.verification.cpuMs)],
      ...[mib(warm.memoryPeak), String(times.proof), String(times.whole)],
    ]),
  )}

cold: from the start of a process to its first verified proof, and its computing time. The others in a process that has proven before, median of ${rounds};
witness and verified are computing time. What rapidsnark computes has its reading of the key in it, and its memory is not told.
times, whole: how many times less computing time than ${reference}, for the proof and for all three together.`;
  const parameters = { rounds, cold: coldCount, threads, warmUp: WARM_UP, peer: peer !== '', seed: SEED };
  return { parameters, results: { provings: results }, text };
}
