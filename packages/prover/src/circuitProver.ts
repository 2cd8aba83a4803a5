import { bytesToHex } from '@noble/curves/utils.js';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import { fromBytes } from './elements.ts';
import type { Engine, ProvingKey } from './engine.ts';
import type { Proof, Prover } from './proof.ts';
import { checkVerifyingKey, type VerifyingKey } from './verifyingKey.ts';
import { CircomWitness, ProgramWitness, type CircuitInput, type WitnessGenerator } from './witness.ts';

/** SHA-256 in lowercase hex of a circuit's key and of both its witness generators; `circuits/pins/` has one of each circuit. */
export type Pins = { readonly zkeySha256: string; readonly wasmSha256: string; readonly programSha256: string };

/** Where a prover has what it needs from. */
export type ProverParts = {
  /** Of what the prover trusts: whoever hands out the files must not hand out these. */
  readonly pins: (circuit: Circuit) => Promise<Pins>;
  /** @param path below `circuits/`, such as `keys/transfer.zkey`. */
  readonly read: (path: string) => Promise<Uint8Array<ArrayBuffer>>;
  /** Called before the first proof. */
  readonly engine: () => Promise<Engine>;
};

/** a, b and c, as an engine gives them. */
type EightNumbers = [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];

type Artifacts = { generator: WitnessGenerator; key: ProvingKey; verifyingKey: VerifyingKey };

const ELEMENT_BYTES = 32;

/** Proves with pinned keys, which are read once and kept. Needs nothing of Node. */
export class CircuitProver implements Prover {
  readonly #parts: ProverParts;
  readonly #artifacts = new Map<Circuit, Promise<Artifacts>>();
  #chosen: Promise<Engine> | undefined;

  constructor(parts: ProverParts) {
    this.#parts = parts;
  }

  async prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    const { generator, key, verifyingKey } = await this.#loaded(circuit);
    const engine = await this.#engine();
    const witness = generator.compute(input);
    const proof = await key.prove(witness);
    const signals = witness.subarray(ELEMENT_BYTES, (1 + verifyingKey.nPublic) * ELEMENT_BYTES);
    if (!(await engine.verify(verifyingKey, proof, signals))) {
      throw new BitcloakError('PROOF_INVALID', `${circuit}: the proof made does not verify; memory or key are damaged`);
    }
    const [ax, ay, bx0, bx1, by0, by1, cx, cy] = fromBytes(proof) as EightNumbers;
    return { words: [ax, ay, bx1, bx0, by1, by0, cx, cy], signals: fromBytes(signals) };
  }

  #engine(): Promise<Engine> {
    if (this.#chosen !== undefined) return this.#chosen;
    const choosing = this.#parts.engine();
    this.#chosen = choosing;
    choosing.catch(() => (this.#chosen = undefined));
    return choosing;
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
    const { read, pins } = this.#parts;
    const pinned = await pins(circuit);
    const engine = await this.#engine();
    const { loadProgram } = engine;
    const zkey = await read(`keys/${circuit}.zkey`);
    const source = await read(`build/${circuit}/${circuit}.${loadProgram === undefined ? 'wasm' : 'program'}`);
    for (const [name, bytes] of [
      ['zkeySha256', zkey],
      [loadProgram === undefined ? 'wasmSha256' : 'programSha256', source],
    ] as const) {
      const actual = bytesToHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
      if (actual !== pinned[name]) {
        throw new BitcloakError('KEY_MISMATCH', `${circuit}: ${name} is ${actual}, pinned ${pinned[name]}`);
      }
    }
    const text = new TextDecoder().decode(await read(`keys/${circuit}.vkey.json`));
    const verifyingKey = JSON.parse(text) as VerifyingKey;
    checkVerifyingKey(verifyingKey, { signals: PUBLIC_SIGNALS[circuit].length });
    const generator =
      loadProgram === undefined
        ? new CircomWitness(await WebAssembly.compile(source))
        : new ProgramWitness(source, loadProgram);
    return { generator, key: await engine.load(zkey), verifyingKey };
  }
}
