import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// Where the prover finds what it reads and starts. In a bundle these files lie elsewhere: a bundle has a form of this module of its own.

/** With `pins`, `keys` and `build`. */
export const CIRCUITS_DIRECTORY = resolve(import.meta.dirname, '../../../circuits');

/** The program of a process that proves. */
export const PROVER_CHILD = fileURLToPath(import.meta.resolve('./proverChild.ts'));
