import { join } from 'node:path';

// The form of packages/prover's module of this name that is in bundles: everything lies beside the program.

export const CIRCUITS_DIRECTORY = join(import.meta.dirname, 'circuits');

export const PROVER_CHILD = join(import.meta.dirname, 'proverChild.mjs');

export const WASM_WORKER = new URL('./wasmWorker.mjs', import.meta.url);

export const WASM_DIRECTORY = import.meta.dirname;

/** Nothing that a compiler of its builder made is in a bundle: it would not have the same bytes everywhere. */
export const ADDON: string | undefined = undefined;
