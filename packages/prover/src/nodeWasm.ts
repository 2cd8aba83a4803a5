import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { WASM_DIRECTORY, WASM_WORKER } from './places.ts';
import { Unanswered, type WasmVariant } from './wasmEngine.ts';
import { WasmProver } from './wasmProver.ts';
import type { WasmAnswer, WasmRequest } from './wasmRequests.ts';
import type { WasmPort } from './wasmSums.ts';

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
export class NodePort implements WasmPort {
  readonly #worker = new Worker(WASM_WORKER);
  readonly #unanswered = new Unanswered();

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (answer: WasmAnswer) => {
      this.#unanswered.answer(answer);
      if (this.#unanswered.isEmpty) this.#worker.unref();
    });
    for (const event of ['error', 'exit']) this.#worker.on(event, (error) => this.#unanswered.fail(error));
  }

  ask(request: WasmRequest): Promise<WasmAnswer> {
    this.#worker.ref();
    this.#worker.postMessage(request);
    return this.#unanswered.ask();
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
