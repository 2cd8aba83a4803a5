import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';

/** How this command is typed, so that what it suggests can be copied. */
export const COMMAND = process.env['npm_lifecycle_event'] === 'bitcloak' ? 'npm run bitcloak --' : 'bitcloak';

export const REPOSITORY = resolve(import.meta.dirname, '../../..');

export const DEFAULT_WALLET = join(homedir(), '.bitcloak', 'default');

/** A path as the user means it: npm and the bootstrap run programs elsewhere and keep the place in INIT_CWD. */
export function userPath(path: string): string {
  return resolve(process.env['INIT_CWD'] ?? process.cwd(), path);
}
