import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256, type EncryptionContext } from '@hpke/core';

/*
 * HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM: seals to a public key, and gives both sides secrets
 * that nobody else can derive.
 */

const KEY_BYTES = 32;
/** A longer secret than this the library would derive under a wrong length. */
const EXPORT_BYTES = 32;

export const ENCAPSULATION_BYTES = 32;
/** By so much sealed bytes are longer than what is in them. */
export const SEAL_BYTES = 16;

export const SUITE = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

/** 32 bytes that both sides of one encapsulation derive, for the purpose that `label` names. */
export async function exportSecret(context: EncryptionContext, label: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await context.export(label, EXPORT_BYTES));
}

/** The side of one encapsulation that seals. */
export class HpkeSender {
  /** What the recipient needs to open: 32 bytes, public. */
  readonly encapsulation: Uint8Array;
  readonly #context: EncryptionContext;

  private constructor(encapsulation: Uint8Array, context: EncryptionContext) {
    this.encapsulation = encapsulation;
    this.#context = context;
  }

  /**
   * @param seed makes the encapsulation one that can be made again, for tests and vectors; a fresh one unless given.
   * @returns undefined for a public key with which no secret can be shared.
   */
  static async to(publicKey: Uint8Array, info: Uint8Array, seed?: Uint8Array): Promise<HpkeSender | undefined> {
    if (publicKey.length !== KEY_BYTES) return undefined;
    try {
      const recipientPublicKey = await SUITE.kem.deserializePublicKey(publicKey);
      const context = await SUITE.createSenderContext({
        recipientPublicKey,
        info,
        ...(seed === undefined ? {} : { ekm: seed }),
      });
      return new HpkeSender(new Uint8Array(context.enc), context);
    } catch {
      // All that can fail with bytes of that length is the agreement.
      return undefined;
    }
  }

  async seal(plaintext: Uint8Array): Promise<Uint8Array> {
    return new Uint8Array(await this.#context.seal(plaintext));
  }

  export(label: Uint8Array): Promise<Uint8Array> {
    return exportSecret(this.#context, label);
  }
}
