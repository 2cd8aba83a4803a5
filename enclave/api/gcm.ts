import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { TAG_BYTES } from '@bitcloak/trading/sealing';

const NAME = 'aes-256-gcm';
const OPTIONS = { authTagLength: TAG_BYTES };

/** AES-256-GCM. Synchronously: handing so little to another thread takes longer than doing it. */
export class GcmKey {
  // Imported once: importing a key takes longer than sealing an order.
  readonly #key: KeyObject;

  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  /** The ciphertext with its tag behind it. */
  seal(nonce: Uint8Array, head: Uint8Array, plaintext: Uint8Array): Buffer {
    const cipher = createCipheriv(NAME, this.#key, nonce, OPTIONS).setAAD(head);
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** @returns undefined for what was not sealed with this key, nonce and head. */
  open(nonce: Uint8Array, head: Uint8Array, sealed: Uint8Array): Buffer | undefined {
    const end = sealed.length - TAG_BYTES;
    if (end < 0) return undefined;
    const decipher = createDecipheriv(NAME, this.#key, nonce, OPTIONS).setAAD(head).setAuthTag(sealed.subarray(end));
    const plaintext = decipher.update(sealed.subarray(0, end));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return plaintext;
  }
}
