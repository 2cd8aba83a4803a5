import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Engine, ProvingKey } from './engine.ts';
import { throwStatus } from './nativeStatus.ts';
import { WASM_DIRECTORY, WASM_WORKER } from './places.ts';
import { verifyingKeyBytes } from './verifyingKey.ts';
import { WasmProver } from './wasmProver.ts';
import type { WasmAnswer, WasmRequest } from './wasmRequests.ts';
import { ask, proveTogether, type WasmPort } from './wasmSums.ts';

/** `relaxed` needs relaxed SIMD with a fused multiply-add. */
export type WasmVariant = 'relaxed' | 'plain';

const modules = new Map<WasmVariant, WebAssembly.Module | undefined>();

/** The module, where this machine can run it, and soundly. */
export function findWasm(variant: WasmVariant): WebAssembly.Module | undefined {
  if (!modules.has(variant)) {
    const bytes = readFileSync(resolve(WASM_DIRECTORY, `${variant}.wasm`));
    const module = WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : undefined;
    modules.set(variant, module !== undefined && new WasmProver(module).isSound ? module : undefined);
  }
  return modules.get(variant);
}

/** One thread of Node, which does not keep the process while it has nothing to do. */
class NodePort implements WasmPort {
  readonly #worker = new Worker(WASM_WORKER);
  readonly #waiting: PromiseWithResolvers<WasmAnswer>[] = [];

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (answer: WasmAnswer) => {
      this.#waiting.shift()?.resolve(answer);
      if (this.#waiting.length === 0) this.#worker.unref();
    });
    const fail = (error?: unknown) => {
      const reason = error instanceof Error ? error : new Error('a worker of the prover ended');
      for (const { reject } of this.#waiting.splice(0)) reject(reason);
    };
    this.#worker.on('error', fail);
    this.#worker.on('exit', fail);
  }

  ask(request: WasmRequest): Promise<WasmAnswer> {
    const answer = Promise.withResolvers<WasmAnswer>();
    this.#waiting.push(answer);
    this.#worker.ref();
    this.#worker.postMessage(request);
    return answer.promise;
  }
}

/** Proves in `threads` workers, each with the key in its own memory. */
export function wasmEngine(variant: WasmVariant, module: WebAssembly.Module, threads: number): Engine {
  const verifier = new WasmProver(module);
  return {
    name: `wasm ${variant}, ${threads} ${threads === 1 ? 'worker' : 'workers'}`,
    load: async (zkey) => {
      const ports = Array.from({ length: threads }, () => new NodePort());
      await Promise.all(ports.map((port) => ask(port, { kind: 'load', module, zkey }, 'done'))).catch(throwStatus);
      return new WasmKey(ports);
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
