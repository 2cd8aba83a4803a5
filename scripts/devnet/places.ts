import { resolve } from 'node:path';

/** Where `--network devnet` looks for the manifest. */
export const DEVNET_MANIFEST = resolve(import.meta.dirname, '../../.devnet/manifest.json');
