// Proves one circuit, again and again, for scripts/bench/prove.ts: in a process of its own, so that what is measured is that circuit's alone.
import { readFileSync } from 'node:fs';
import { terminateProver } from '@bitcloak/prover/prover';
import { toWtns, WitnessGenerator, type CircuitInput } from '@bitcloak/prover/witness';
import * as snarkjs from 'snarkjs';
import { startCost, type Cost } from './measure.ts';

/** A circuit with its key and a statement to prove. */
export type Task = { readonly wasm: string; readonly zkey: string; readonly input: CircuitInput };

export type Proving = {
  readonly witness: Cost;
  readonly proof: Cost;
  /** Computing time of this process since it started. */
  readonly cpuMs: number;
  /** The most memory that the process has had, in bytes. */
  readonly memoryPeak: number;
};

export type Request = { readonly kind: 'load'; readonly task: Task } | { readonly kind: 'prove' };
export type Answer = { readonly kind: 'loaded' } | { readonly kind: 'proved'; readonly proving: Proving };

let loaded: { generator: WitnessGenerator; zkey: Uint8Array; input: CircuitInput } | undefined;
let verified = false;

async function prove(): Promise<Proving> {
  if (loaded === undefined) throw new Error('there is no circuit yet');
  const { generator, zkey, input } = loaded;
  const witnessCost = startCost();
  const witness = toWtns(generator.compute(input));
  const [witnessSpent, proofCost] = [witnessCost(), startCost()];
  const { proof, publicSignals } = await snarkjs.groth16.prove(zkey, witness);
  const proofSpent = proofCost();
  const { user, system } = process.cpuUsage();
  // The kernel counts in KiB.
  const memoryPeak = process.resourceUsage().maxRSS * 1024;
  // A wrong proof may be fast. Once is enough: later ones are of the same statement.
  if (
    !verified &&
    !(await snarkjs.groth16.verify(await snarkjs.zKey.exportVerificationKey(zkey), publicSignals, proof))
  ) {
    throw new Error('the proof made does not verify');
  }
  verified = true;
  return { witness: witnessSpent, proof: proofSpent, cpuMs: (user + system) / 1000, memoryPeak };
}

async function answer(request: Request): Promise<Answer> {
  if (request.kind === 'prove') return { kind: 'proved', proving: await prove() };
  const { wasm, zkey, input } = request.task;
  loaded = { generator: new WitnessGenerator(wasm), zkey: new Uint8Array(readFileSync(zkey)), input };
  return { kind: 'loaded' };
}

process.on('message', (request: Request) => {
  void answer(request).then((result) => process.send?.(result));
});
process.on('disconnect', () => void terminateProver());
