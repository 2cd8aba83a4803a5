import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// Where the prover finds what it reads and starts. In a bundle these files lie elsewhere: a bundle has a form of this module of its own.

/** With `pins`, `keys` and `build`. */
export const CIRCUITS_DIRECTORY = resolve(import.meta.dirname, '../../../circuits');

/** The program of a process that proves. */
export const PROVER_CHILD = fileURLToPath(import.meta.resolve('./proverChild.ts'));

/** The program of a thread that proves in WebAssembly. */
export const WASM_WORKER = new URL('./wasmWorker.ts', import.meta.url);

/** With `relaxed.wasm` and `plain.wasm`. */
export const WASM_DIRECTORY = resolve(import.meta.dirname, '../wasm');

/** What the bootstrap compiles where a compiler is; undefined where it never is. */
export const ADDON: string | undefined = resolve(import.meta.dirname, '../../../.cache/prover/addon.node');
