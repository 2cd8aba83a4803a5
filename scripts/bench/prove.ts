import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { table } from '@bitcloak/cli/output';
import { CIRCUITS } from '@bitcloak/protocol/parameters';
import type { SignalValue } from '@bitcloak/prover/witness';
import { circuitFiles, readSizes } from '../compileCircuits.mjs';
import { UsageError, type Options, type Report, type Say } from './benchmark.ts';
import { ROOT } from './machine.ts';
import { grouped, median, medianCost, rounded, type Cost } from './measure.ts';
import type { Answer, Proving, Request, Task } from './proveChild.ts';
import { makeStatements } from './statements.ts';

const SEED = 'bitcloak prove';
const WARM_UP = 2;
const CHILD = resolve(import.meta.dirname, 'proveChild.ts');

type Subject = { readonly name: string; readonly constraints: number; readonly task: Task };
type Cold = Cost & { readonly memoryPeak: number };

/** One process that proves one circuit. */
class Prover {
  readonly #child: ChildProcess;

  constructor() {
    // Its standard output is not ours: that belongs to the result alone.
    this.#child = fork(CHILD, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }

  async load(task: Task): Promise<void> {
    await this.#ask({ kind: 'load', task });
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
    const { r1cs, wasm } = circuitFiles(ROOT, name);
    const zkey = resolve(ROOT, `circuits/keys/${name}.zkey`);
    return { name, ...readSizes(readFileSync(r1cs)), task: { wasm, zkey, input: statements[name] } };
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
    const task = { wasm: file('peer.wasm'), zkey: file('peer.zkey'), input };
    return { name: 'peer', ...readSizes(readFileSync(file('peer.r1cs'))), task };
  } catch (error) {
    throw new UsageError(`--peer: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** From the start of a process to its first proof. */
async function proveCold({ task }: Subject): Promise<Cold> {
  const started = performance.now();
  const prover = new Prover();
  await prover.load(task);
  const { cpuMs, memoryPeak } = await prover.prove();
  const wallMs = performance.now() - started;
  await prover.end();
  return { wallMs, cpuMs, memoryPeak };
}

/** The subjects take turns, each round in the other direction, so that a change of the machine's pace meets all of them. */
async function proveWarm(subjects: readonly Subject[], rounds: number, say: Say): Promise<Proving[][]> {
  const provers = subjects.map(() => new Prover());
  for (const [index, prover] of provers.entries()) await prover.load((subjects[index] as Subject).task);
  const provings: Proving[][] = subjects.map(() => []);
  for (let round = -WARM_UP; round < rounds; round++) {
    say(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
    const order = [...provers.entries()];
    for (const [index, prover] of round % 2 === 0 ? order : order.toReversed()) {
      const proving = await prover.prove();
      if (round >= 0) provings[index]?.push(proving);
    }
  }
  await Promise.all(provers.map((prover) => prover.end()));
  return provings;
}

function whole({ witness, proof }: Proving): Cost {
  return { wallMs: witness.wallMs + proof.wallMs, cpuMs: witness.cpuMs + proof.cpuMs };
}

const roundedCost = ({ wallMs, cpuMs }: Cost) => ({ wallMs: rounded(wallMs), cpuMs: rounded(cpuMs) });

/** The median of one circuit's times divided by the other's of the same round. */
function ratio(ours: readonly Proving[], theirs: readonly Proving[]): { wall: number; cpu: number } {
  const ratios = (part: keyof Cost) =>
    ours.map((proving, round) => whole(proving)[part] / whole(theirs[round] as Proving)[part]);
  return { wall: rounded(median(ratios('wallMs'))), cpu: rounded(median(ratios('cpuMs'))) };
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [rounds, coldCount, peer] = [options.count('rounds'), options.count('cold'), options.text('peer')];
  const subjects = [...ourSubjects(), ...(peer === '' ? [] : [peerSubject(peer)])];
  const colds: Cold[][] = subjects.map(() => []);
  for (let round = 0; round < coldCount; round++) {
    say(`a fresh process for each circuit, ${round + 1} of ${coldCount}`);
    for (const [index, subject] of subjects.entries()) colds[index]?.push(await proveCold(subject));
  }
  const warms = await proveWarm(subjects, rounds, say);
  const circuits = subjects.map(({ name, constraints }, index) => {
    const [cold, warm] = [colds[index] ?? [], warms[index] ?? []];
    return {
      circuit: name,
      constraints,
      cold: { ...roundedCost(medianCost(cold)), memoryPeak: Math.max(...cold.map(({ memoryPeak }) => memoryPeak)) },
      warm: {
        witness: roundedCost(medianCost(warm.map(({ witness }) => witness))),
        proof: roundedCost(medianCost(warm.map(({ proof }) => proof))),
        whole: roundedCost(medianCost(warm.map(whole))),
        memoryPeak: Math.max(...warm.map(({ memoryPeak }) => memoryPeak)),
      },
    };
  });
  const [ours, theirs] = [warms[0] ?? [], warms[CIRCUITS.length]];
  const transferToPeer = theirs === undefined ? null : ratio(ours, theirs);
  const titles = ['constraints', 'cold', 'CPU', 'memory', 'witness', 'CPU', 'proof', 'CPU', 'memory'];
  const [ms, mib] = [(value: number) => `${grouped(value)} ms`, (bytes: number) => `${grouped(bytes / 2 ** 20)} MiB`];
  const text = `${table(
    [{ title: 'circuit' }, ...titles.map((title) => ({ title, align: 'right' as const }))],
    circuits.map(({ circuit, constraints, cold, warm }) => [
      circuit,
      grouped(constraints),
      ...[ms(cold.wallMs), ms(cold.cpuMs), mib(cold.memoryPeak)],
      ...[
        ms(warm.witness.wallMs),
        ms(warm.witness.cpuMs),
        ms(warm.proof.wallMs),
        ms(warm.proof.cpuMs),
        mib(warm.memoryPeak),
      ],
    ]),
  )}

cold: from the start of a process to its first proof. witness, proof: in a process that has proven before, median of ${rounds}.
${transferToPeer === null ? 'No peer was given.' : `transfer / peer, median of the rounds' ratios: ${transferToPeer.cpu} of CPU, ${transferToPeer.wall} on the wall; aim 1 or less.`}`;
  const parameters = { rounds, cold: coldCount, warmUp: WARM_UP, peer: peer !== '', seed: SEED };
  return { parameters, results: { circuits, transferToPeer }, text };
}
