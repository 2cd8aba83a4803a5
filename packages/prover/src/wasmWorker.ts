// A worker of wasmEngine.ts, in a thread of Node.
import { parentPort } from 'node:worker_threads';
import { WasmWork, type WasmRequest } from './wasmRequests.ts';

const work = new WasmWork();
parentPort?.on('message', (request: WasmRequest) => {
  // With this call among the other's arguments a proof took an eighth longer (Node 24), most likely since V8 aligns no vectors on the stack.
  const answer = work.answer(request);
  parentPort?.postMessage(answer);
});
