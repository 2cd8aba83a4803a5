import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Circuit } from '@bitcloak/protocol/parameters';
import { CircuitProver, type Pins } from './circuitProver.ts';
import type { Engine } from './engine.ts';
import type { Proof, Prover } from './proof.ts';
import { compileWasm, Unanswered, wasmEngine } from './wasmEngine.ts';
import type { WasmAnswer, WasmRequest } from './wasmRequests.ts';
import type { WasmPort } from './wasmSums.ts';
import type { CircuitInput } from './witness.ts';

/** A `Worker` of the page that runs browserWorker.ts. */
export type PageWorker = {
  onmessage: ((event: { readonly data: WasmAnswer }) => void) | null;
  onerror: ((event: { readonly message: string }) => void) | null;
  postMessage(request: WasmRequest): void;
  terminate(): void;
};

export type BrowserProverOptions = {
  /** Those of `circuits/pins/`, a part of the page's own script: what is fetched is held against them. */
  readonly pins: Readonly<Record<Circuit, Pins>>;
  /** URL below which `circuits/keys/`, `circuits/build/` and `wasm/` of this package are. */
  readonly base: string;
  readonly openWorker: () => PageWorker;
  /** Of one proof; all cores unless given. */
  readonly workers?: number;
  /** Is told once, before the first proof, what it is made with. */
  readonly onEngine?: (name: string) => void;
};

/**
 * Proves in a page, in workers that share nothing, so that the page needs no special headers. What is fetched and is not as pinned is `KEY_MISMATCH`; where
 * the page's policy or the browser lets no WebAssembly run, `PROVER_UNAVAILABLE`.
 */
export class BrowserProver implements Prover {
  readonly #options: BrowserProverOptions;
  readonly #prover: CircuitProver;
  readonly #ports: WasmPort[] = [];

  constructor(options: BrowserProverOptions) {
    this.#options = options;
    this.#prover = new CircuitProver({
      pins: async (circuit) => options.pins[circuit],
      read: (path) => this.#fetch(`circuits/${path}`),
      engine: () => this.#openEngine(),
    });
  }

  prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    return this.#prover.prove(circuit, input);
  }

  /** Ends its workers. A proof that is under way fails. */
  async close(): Promise<void> {
    await Promise.all(this.#ports.splice(0).map((port) => port.end()));
  }

  async #openEngine(): Promise<Engine> {
    const { workers = navigator.hardwareConcurrency, onEngine } = this.#options;
    for (const variant of ['relaxed', 'plain'] as const) {
      const module = await compileWasm(await this.#fetch(`wasm/${variant}.wasm`)).catch((error: unknown) => {
        throw new BitcloakError('PROVER_UNAVAILABLE', 'no WebAssembly runs here', { cause: error });
      });
      if (module === undefined) continue;
      const engine = wasmEngine(variant, module, workers, () => this.#openPort());
      onEngine?.(engine.name);
      return engine;
    }
    throw new BitcloakError('PROVER_UNAVAILABLE', 'this browser computes otherwise than the prover expects');
  }

  #openPort(): WasmPort {
    const worker = this.#options.openWorker();
    const unanswered = new Unanswered();
    worker.onmessage = ({ data }) => {
      unanswered.answer(data);
    };
    worker.onerror = ({ message }) => {
      unanswered.fail(new Error(message));
    };
    const port = {
      ask: (request: WasmRequest) => {
        worker.postMessage(request);
        return unanswered.ask();
      },
      end: async () => {
        worker.terminate();
        unanswered.fail(undefined);
      },
    };
    this.#ports.push(port);
    return port;
  }

  async #fetch(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const url = `${this.#options.base}/${path}`;
    try {
      const answer = await fetch(url);
      if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
    } catch (error) {
      throw new BitcloakError('KEY_MISMATCH', `${path} cannot be fetched`, { cause: error });
    }
    throw new BitcloakError('KEY_MISMATCH', `${path} is not there`);
  }
}
