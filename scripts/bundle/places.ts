import { join } from 'node:path';

// The form of packages/prover's module of this name that is in bundles: everything lies beside the program.

export const CIRCUITS_DIRECTORY = join(import.meta.dirname, 'circuits');

export const PROVER_CHILD = join(import.meta.dirname, 'proverChild.mjs');
