// Proves one circuit with one engine, again and again, for scripts/bench/prove.ts: in a process of its own, so that what is measured is theirs alone.
import { readFileSync } from 'node:fs';
import type { Engine, ProvingKey } from '@bitcloak/prover/engine';
import { availableEngines, type ProverChoice } from '@bitcloak/prover/engines';
import { terminateProver } from '@bitcloak/prover/prover';
import type { VerifyingKey } from '@bitcloak/prover/verifyingKey';
import { CircomWitness, ProgramWitness, type CircuitInput, type WitnessGenerator } from '@bitcloak/prover/witness';
import { rapidsnarkEngine } from './rapidsnark.ts';
import { startCost, type Cost } from './measure.ts';

/** A circuit with its key and a statement to prove. */
export type Task = {
  readonly wasm: string;
  /** Of our circuits; others have circom's WebAssembly alone. */
  readonly program?: string;
  readonly zkey: string;
  readonly verifyingKey: string;
  readonly input: CircuitInput;
};

export type Proving = {
  readonly witness: Cost;
  readonly proof: Cost;
  readonly verification: Cost;
  /** Computing time of this process since it started. */
  readonly cpuMs: number;
  /** The most memory that the process has had, in bytes. */
  readonly memoryPeak: number;
};

export type Way = {
  readonly engine: ProverChoice | 'rapidsnark';
  readonly threads: number;
  /** rapidsnark's. */
  readonly program: string;
};

export type Request = ({ readonly kind: 'load'; readonly task: Task } & Way) | { readonly kind: 'prove' };
export type Answer = { readonly kind: 'loaded' } | { readonly kind: 'proved'; readonly proving: Proving };

type Loaded = {
  readonly generator: WitnessGenerator;
  readonly key: ProvingKey;
  readonly verifyingKey: VerifyingKey;
  readonly engine: Engine;
  readonly input: CircuitInput;
};

const ELEMENT_BYTES = 32;

let loaded: Loaded | undefined;

async function prove(): Promise<Proving> {
  if (loaded === undefined) throw new Error('there is no circuit yet');
  const { generator, key, verifyingKey, engine, input } = loaded;
  const witnessCost = startCost();
  const witness = generator.compute(input);
  const [witnessSpent, proofCost] = [witnessCost(), startCost()];
  const proof = await key.prove(witness);
  const [proofSpent, verificationCost] = [proofCost(), startCost()];
  const signals = witness.subarray(ELEMENT_BYTES, (1 + verifyingKey.nPublic) * ELEMENT_BYTES);
  // A wrong proof may be fast.
  if (!(await engine.verify(verifyingKey, proof, signals))) throw new Error('the proof made does not verify');
  const { user, system } = process.cpuUsage();
  // The kernel counts in KiB.
  const memoryPeak = process.resourceUsage().maxRSS * 1024;
  const verification = verificationCost();
  return { witness: witnessSpent, proof: proofSpent, verification, cpuMs: (user + system) / 1000, memoryPeak };
}

async function load({ task, engine: name, threads, program }: Request & { kind: 'load' }): Promise<void> {
  const zkey = new Uint8Array(readFileSync(task.zkey));
  const engine = name === 'rapidsnark' ? rapidsnarkEngine(program) : availableEngines(threads)[name]?.();
  if (engine === undefined) throw new Error(`prover ${name} is not there`);
  const verifyingKey = JSON.parse(readFileSync(task.verifyingKey, 'utf8')) as VerifyingKey;
  const generator =
    task.program === undefined || engine.loadProgram === undefined
      ? new CircomWitness(new WebAssembly.Module(readFileSync(task.wasm)))
      : new ProgramWitness(readFileSync(task.program), engine.loadProgram);
  loaded = { generator, key: await engine.load(zkey), verifyingKey, engine, input: task.input };
}

async function answer(request: Request): Promise<Answer> {
  if (request.kind === 'prove') return { kind: 'proved', proving: await prove() };
  await load(request);
  return { kind: 'loaded' };
}

process.on('message', (request: Request) => {
  void answer(request).then((result) => process.send?.(result));
});
process.on('disconnect', () => {
  void terminateProver().finally(() => process.exit());
});
