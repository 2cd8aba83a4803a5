import type { Engine, ProvingKey } from './engine.ts';
import { statusThrown, throwStatus } from './nativeStatus.ts';
import { verifyingKeyBytes } from './verifyingKey.ts';
import { WasmProver } from './wasmProver.ts';
import type { WasmAnswer } from './wasmRequests.ts';
import { ask, proveTogether, type WasmPort } from './wasmSums.ts';

/** `relaxed` needs relaxed SIMD with a fused multiply-add. */
export type WasmVariant = 'relaxed' | 'plain';

/** The module, where this machine can run it, and soundly. Needs nothing of Node. */
export async function compileWasm(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module | undefined> {
  if (!WebAssembly.validate(bytes)) return undefined;
  const module = await WebAssembly.compile(bytes);
  return new WasmProver(module).isSound ? module : undefined;
}

/** What was asked of a worker and is not answered yet; it answers in the order in which it is asked. */
export class Unanswered {
  readonly #waiting: PromiseWithResolvers<WasmAnswer>[] = [];
  /** Why it answers nothing any more. */
  #ended: Error | undefined;

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  ask(): Promise<WasmAnswer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const answer = Promise.withResolvers<WasmAnswer>();
    this.#waiting.push(answer);
    return answer.promise;
  }

  answer(answer: WasmAnswer): void {
    this.#waiting.shift()?.resolve(answer);
  }

  /** The worker is lost: what it was asked fails, and whatever it is asked later. */
  fail(error: unknown): void {
    this.#ended ??= error instanceof Error ? error : new Error('a worker of the prover ended');
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

/** Proves in `threads` workers, each with the key in its own memory. */
export function wasmEngine(
  variant: WasmVariant,
  module: WebAssembly.Module,
  threads: number,
  openPort: () => WasmPort,
): Engine {
  const verifier = new WasmProver(module);
  return {
    name: `wasm ${variant}, ${threads} ${threads === 1 ? 'worker' : 'workers'}`,
    load: async (zkey) => {
      const ports = Array.from({ length: threads }, openPort);
      try {
        await Promise.all(ports.map((port) => ask(port, { kind: 'load', module, zkey }, 'done')));
      } catch (error) {
        // Nobody else could end them: they have no key, and threads of their own.
        await Promise.all(ports.map((port) => port.end()));
        throwStatus(error);
      }
      return new WasmKey(ports);
    },
    loadProgram: (file) => {
      const prover = new WasmProver(module);
      statusThrown(() => {
        prover.loadProgram(file);
      });
      return (inputs) => statusThrown(() => prover.computeWitness(inputs));
    },
    verify: async (key, proof, signals) => verifier.verify(verifyingKeyBytes(key), proof, signals),
  };
}

class WasmKey implements ProvingKey {
  readonly #ports: readonly WasmPort[];
  // The workers are at one proof at a time.
  #last: Promise<unknown> = Promise.resolve();

  constructor(ports: readonly WasmPort[]) {
    this.#ports = ports;
  }

  prove(witness: Uint8Array, blinding?: Uint8Array): Promise<Uint8Array> {
    const proof = this.#last.then(() => proveTogether(this.#ports, witness, blinding)).catch(throwStatus);
    this.#last = proof.catch(() => undefined);
    return proof;
  }
}
