import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import * as snarkjs from 'snarkjs';
import { CIRCUITS_DIRECTORY } from './places.ts';
import { checkVerifyingKey, type VerifyingKey } from './verifyingKey.ts';
import { toWtns, WitnessGenerator, type CircuitInput } from './witness.ts';

/** A proof as the pool takes it: a, b, c in the order of the EVM's pairing (b's coordinates with the imaginary part first). */
export type Proof = { readonly words: readonly bigint[]; readonly signals: readonly bigint[] };

/** Proves a circuit's statement. Implementations verify what they return. */
export interface Prover {
  prove(circuit: Circuit, input: CircuitInput): Promise<Proof>;
}

type Artifacts = { generator: WitnessGenerator; zkey: Uint8Array; verifyingKey: VerifyingKey };

/** Proves with snarkjs on this machine, with the pinned keys of `circuits/`. */
export class LocalProver implements Prover {
  readonly #directory: string;
  readonly #artifacts = new Map<Circuit, Artifacts>();

  constructor(circuitsDirectory = CIRCUITS_DIRECTORY) {
    this.#directory = circuitsDirectory;
  }

  async prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    const { generator, zkey, verifyingKey } = this.#load(circuit);
    const wtns = toWtns(generator.compute(input));
    const { proof, publicSignals } = await snarkjs.groth16.prove(zkey, wtns);
    if (!(await snarkjs.groth16.verify(verifyingKey, publicSignals, proof))) {
      throw new BitcloakError('PROOF_INVALID', `${circuit}: the proof made does not verify; memory or key are damaged`);
    }
    const { pi_a: a, pi_b: b, pi_c: c } = proof;
    const words = [a[0], a[1], b[0][1], b[0][0], b[1][1], b[1][0], c[0], c[1]].map(BigInt);
    return { words, signals: publicSignals.map(BigInt) };
  }

  /** Reads a circuit's artifacts once, and refuses any whose hash is not the pinned one. */
  #load(circuit: Circuit): Artifacts {
    const known = this.#artifacts.get(circuit);
    if (known !== undefined) return known;
    const pin = JSON.parse(this.#read(`pins/${circuit}.json`).toString()) as Record<string, unknown>;
    const zkey = this.#read(`keys/${circuit}.zkey`);
    const wasmPath = `build/${circuit}/${circuit}.wasm`;
    for (const [name, bytes] of Object.entries({ zkeySha256: zkey, wasmSha256: this.#read(wasmPath) })) {
      const actual = createHash('sha256').update(bytes).digest('hex');
      if (actual !== pin[name]) {
        throw new BitcloakError('KEY_MISMATCH', `${circuit}: ${name} is ${actual}, pinned ${String(pin[name])}`);
      }
    }
    const verifyingKey = JSON.parse(this.#read(`keys/${circuit}.vkey.json`).toString()) as VerifyingKey;
    checkVerifyingKey(verifyingKey, { signals: PUBLIC_SIGNALS[circuit].length });
    const generator = new WitnessGenerator(resolve(this.#directory, wasmPath));
    const artifacts = { generator, zkey: new Uint8Array(zkey), verifyingKey };
    this.#artifacts.set(circuit, artifacts);
    return artifacts;
  }

  #read(path: string): Buffer {
    try {
      return readFileSync(resolve(this.#directory, path));
    } catch (error) {
      const message = `circuits/${path} is missing: circuits are compiled by the bootstrap, keys made by npm run keys`;
      throw new BitcloakError('KEY_MISMATCH', message, { cause: error });
    }
  }
}

/** Ends the threads that snarkjs keeps for its curve; without it a process that proved does not exit. */
export async function terminateProver(): Promise<void> {
  const holder = globalThis as { curve_bn128?: { terminate(): Promise<void> } | null };
  await holder.curve_bn128?.terminate();
}
