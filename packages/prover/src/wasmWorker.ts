// A worker of wasmEngine.ts, in a thread of Node.
import { parentPort } from 'node:worker_threads';
import { WasmWork, type WasmRequest } from './wasmRequests.ts';

const work = new WasmWork();
parentPort?.on('message', (request: WasmRequest) => {
  parentPort?.postMessage(work.answer(request));
});
