import { readFileSync } from 'node:fs';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { parseManifest, type Manifest } from './manifest.ts';

/** Reads the manifest in a file. Throws `NETWORK_UNKNOWN`. */
export function readManifest(path: string): Manifest {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new BitcloakError(
      'NETWORK_UNKNOWN',
      `${path} cannot be read; is the devnet (npm start) running, and through with its round trips?`,
      {
        cause: error,
      },
    );
  }
  return parseManifest(text, path);
}
