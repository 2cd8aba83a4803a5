import { StatusError, WasmProver } from './wasmProver.ts';

/** What a worker is asked. The first is `load`. */
export type WasmRequest =
  | { readonly kind: 'load'; readonly module: WebAssembly.Module; readonly zkey: Uint8Array }
  | { readonly kind: 'begin'; readonly witness: Uint8Array }
  | { readonly kind: 'quotient' }
  | { readonly kind: 'acceptQuotient'; readonly quotient: Uint8Array }
  | { readonly kind: 'sum'; readonly task: number }
  | { readonly kind: 'finish'; readonly sums: readonly Uint8Array[]; readonly blinding: Uint8Array }
  | { readonly kind: 'end' };

export type WasmAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'begun'; readonly tasks: number; readonly witnessTasks: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'failed'; readonly message: string };

/** The work of a worker, whatever kind of worker it is. */
export class WasmWork {
  #prover: WasmProver | undefined;

  answer(request: WasmRequest): WasmAnswer {
    try {
      return this.#answer(request);
    } catch (error) {
      if (error instanceof StatusError) return { kind: 'refused', status: error.status };
      return { kind: 'failed', message: error instanceof Error ? error.message : 'unknown failure' };
    }
  }

  #answer(request: WasmRequest): WasmAnswer {
    if (request.kind === 'load') {
      this.#prover = new WasmProver(request.module);
      this.#prover.loadKey(request.zkey);
      return { kind: 'done' };
    }
    const prover = this.#prover;
    if (prover === undefined) throw new Error('there is no key yet');
    switch (request.kind) {
      case 'begin':
        return { kind: 'begun', ...prover.beginProof(request.witness) };
      case 'quotient':
        return { kind: 'bytes', bytes: prover.computeQuotient() };
      case 'acceptQuotient':
        prover.acceptQuotient(request.quotient);
        return { kind: 'done' };
      case 'sum':
        return { kind: 'bytes', bytes: prover.computeSum(request.task) };
      case 'finish':
        request.sums.forEach((sum, task) => {
          prover.acceptSum(task, sum);
        });
        return { kind: 'bytes', bytes: prover.finish(request.blinding) };
      case 'end':
        prover.endProof();
        return { kind: 'done' };
    }
  }
}
