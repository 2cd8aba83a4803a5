import { TAG_BYTES } from './sealing.ts';

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;
type Bytes = Uint8Array<ArrayBuffer>;

const NAME = 'AES-GCM';

/** AES-256-GCM by WebCrypto, which Node and browsers have. */
export class GcmKey {
  readonly #key: Key;

  private constructor(key: Key) {
    this.#key = key;
  }

  static async import(key: Uint8Array): Promise<GcmKey> {
    return new GcmKey(await crypto.subtle.importKey('raw', key as Bytes, NAME, false, ['encrypt', 'decrypt']));
  }

  /** The ciphertext with its tag behind it. */
  async seal(nonce: Uint8Array, head: Uint8Array, plaintext: Uint8Array): Promise<Uint8Array> {
    const parameters = { name: NAME, iv: nonce as Bytes, additionalData: head as Bytes, tagLength: 8 * TAG_BYTES };
    return new Uint8Array(await crypto.subtle.encrypt(parameters, this.#key, plaintext));
  }

  /** @returns undefined for what was not sealed with this key, nonce and head. */
  async open(nonce: Uint8Array, head: Uint8Array, sealed: Uint8Array): Promise<Uint8Array | undefined> {
    const parameters = { name: NAME, iv: nonce as Bytes, additionalData: head as Bytes, tagLength: 8 * TAG_BYTES };
    try {
      return new Uint8Array(await crypto.subtle.decrypt(parameters, this.#key, sealed));
    } catch {
      return undefined;
    }
  }
}
