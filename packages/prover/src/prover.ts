import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Circuit } from '@bitcloak/protocol/parameters';
import { CircuitProver, type Pins } from './circuitProver.ts';
import { chooseEngine, type EngineOptions } from './engines.ts';
import { CIRCUITS_DIRECTORY } from './places.ts';
import type { Proof, Prover } from './proof.ts';
import { terminateSnarkjs } from './snarkjsEngine.ts';
import type { CircuitInput } from './witness.ts';

export type LocalProverOptions = EngineOptions & {
  /** With `pins/`, `keys/` and `build/`; the repository's unless given. */
  readonly circuitsDirectory?: string | undefined;
  /** Is told once, before the first proof, what it is made with. */
  readonly onEngine?: ((name: string) => void) | undefined;
};

/** Proves on this machine, with the pinned keys of `circuits/`, which are read once and kept. */
export class LocalProver implements Prover {
  readonly #prover: CircuitProver;

  constructor(options: LocalProverOptions = {}) {
    const read = (path: string) => readArtifact(options.circuitsDirectory ?? CIRCUITS_DIRECTORY, path);
    this.#prover = new CircuitProver({
      pins: async (circuit) => JSON.parse((await read(`pins/${circuit}.json`)).toString()) as Pins,
      read,
      engine: async () => {
        const engine = chooseEngine(options);
        options.onEngine?.(engine.name);
        return engine;
      },
    });
  }

  prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    return this.#prover.prove(circuit, input);
  }
}

async function readArtifact(directory: string, path: string): Promise<Buffer<ArrayBuffer>> {
  try {
    return await readFile(resolve(directory, path));
  } catch (error) {
    const message = `circuits/${path} is missing: circuits are compiled by the bootstrap, keys made by npm run keys`;
    throw new BitcloakError('KEY_MISMATCH', message, { cause: error });
  }
}

/** Ends what a proof may have left behind in this process, and would keep it from exiting. */
export async function terminateProver(): Promise<void> {
  await terminateSnarkjs();
}
