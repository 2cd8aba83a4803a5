import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import type { Anchor } from '@bitcloak/chain/follower';
import { readFileIfPresent, writeFileWhole } from './files.ts';
import { seal, unseal } from './keystore.ts';
import type { WalletSnapshot } from './walletState.ts';

const FORMAT = 'bitcloak state 2';
const NONCE_BYTES = 12;

/**
 * What a wallet found on one chain, encrypted. All of it can be found again, so a file that is damaged, of another format or of another
 * network counts as none.
 */
export class StateFile {
  readonly #path: string;
  readonly #key: Uint8Array;
  readonly #associated: string;

  /** @param network names chain, genesis and pool. */
  constructor(path: string, key: Uint8Array, network: string) {
    this.#path = path;
    this.#key = key;
    this.#associated = `${FORMAT} ${network}`;
  }

  read(): Anchor<WalletSnapshot> | undefined {
    const bytes = readFileIfPresent(this.#path);
    if (bytes === undefined || bytes.length < NONCE_BYTES) return undefined;
    const plaintext = unseal(this.#key, bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES), this.#associated);
    if (plaintext === undefined) return undefined;
    try {
      return deserialize(plaintext) as Anchor<WalletSnapshot>;
    } catch {
      // Written by a newer Node.
      return undefined;
    }
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }

  write(anchor: Anchor<WalletSnapshot>): void {
    const nonce = randomBytes(NONCE_BYTES);
    writeFileWhole(this.#path, Buffer.concat([nonce, seal(this.#key, nonce, serialize(anchor), this.#associated)]));
  }
}
