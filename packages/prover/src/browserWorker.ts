// A worker of browserProver.ts, in a page.
import { WasmWork, type WasmRequest } from './wasmRequests.ts';

/** What a worker of a page finds around it. */
type Scope = {
  onmessage: ((event: { readonly data: WasmRequest }) => void) | null;
  postMessage(answer: unknown): void;
};

const scope = globalThis as unknown as Scope;
const work = new WasmWork();
scope.onmessage = ({ data }) => {
  scope.postMessage(work.answer(data));
};
