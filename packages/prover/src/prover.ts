import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import { fromBytes } from './elements.ts';
import type { Engine, ProvingKey } from './engine.ts';
import { chooseEngine, type EngineOptions } from './engines.ts';
import { CIRCUITS_DIRECTORY } from './places.ts';
import { terminateSnarkjs } from './snarkjsEngine.ts';
import { checkVerifyingKey, type VerifyingKey } from './verifyingKey.ts';
import { WitnessGenerator, type CircuitInput } from './witness.ts';

/** A proof as the pool takes it: a, b, c in the order of the EVM's pairing (b's coordinates with the imaginary part first). */
export type Proof = { readonly words: readonly bigint[]; readonly signals: readonly bigint[] };

/** Proves a circuit's statement. Implementations verify what they return. */
export interface Prover {
  prove(circuit: Circuit, input: CircuitInput): Promise<Proof>;
}

/** a, b and c, as an engine gives them. */
type EightNumbers = [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];

export type LocalProverOptions = EngineOptions & {
  /** With `pins/`, `keys/` and `build/`; the repository's unless given. */
  readonly circuitsDirectory?: string | undefined;
  /** Is told once, before the first proof, what it is made with. */
  readonly onEngine?: ((name: string) => void) | undefined;
};

type Artifacts = { generator: WitnessGenerator; key: ProvingKey; verifyingKey: VerifyingKey };

const ELEMENT_BYTES = 32;

/** Proves on this machine, with the pinned keys of `circuits/`, which are read once and kept. */
export class LocalProver implements Prover {
  readonly #directory: string;
  readonly #options: LocalProverOptions;
  readonly #artifacts = new Map<Circuit, Promise<Artifacts>>();
  #chosen: Engine | undefined;

  constructor(options: LocalProverOptions = {}) {
    this.#directory = options.circuitsDirectory ?? CIRCUITS_DIRECTORY;
    this.#options = options;
  }

  async prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    const { generator, key, verifyingKey } = await this.#loaded(circuit);
    const witness = generator.compute(input);
    const proof = await key.prove(witness);
    const signals = witness.subarray(ELEMENT_BYTES, (1 + verifyingKey.nPublic) * ELEMENT_BYTES);
    if (!(await this.#engine().verify(verifyingKey, proof, signals))) {
      throw new BitcloakError('PROOF_INVALID', `${circuit}: the proof made does not verify; memory or key are damaged`);
    }
    const [ax, ay, bx0, bx1, by0, by1, cx, cy] = fromBytes(proof) as EightNumbers;
    return { words: [ax, ay, bx1, bx0, by1, by0, cx, cy], signals: fromBytes(signals) };
  }

  #engine(): Engine {
    if (this.#chosen === undefined) {
      this.#chosen = chooseEngine(this.#options);
      this.#options.onEngine?.(this.#chosen.name);
    }
    return this.#chosen;
  }

  #loaded(circuit: Circuit): Promise<Artifacts> {
    const known = this.#artifacts.get(circuit);
    if (known !== undefined) return known;
    const loading = this.#load(circuit);
    this.#artifacts.set(circuit, loading);
    // What is missing now may be there later.
    loading.catch(() => this.#artifacts.delete(circuit));
    return loading;
  }

  /** Refuses any artifact whose hash is not the pinned one. */
  async #load(circuit: Circuit): Promise<Artifacts> {
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
    return { generator, key: await this.#engine().load(new Uint8Array(zkey)), verifyingKey };
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

/** Ends what a proof may have left behind in this process, and would keep it from exiting. */
export async function terminateProver(): Promise<void> {
  await terminateSnarkjs();
}
