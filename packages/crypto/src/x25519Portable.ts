import { x25519 } from '@noble/curves/ed25519.js';
import { randomBytes } from '@noble/hashes/utils.js';

// What x25519.ts is to Node, for everything else: browsers agree on keys asynchronously only, and the owner's keys are made synchronously.

const KEY_BYTES = 32;

/** An X25519 secret. Deliberately opaque: neither printing nor JSON shows it. */
export class AgreementKey {
  readonly #secret: Uint8Array;
  /** The 32-byte public key. */
  readonly publicKey: Uint8Array;

  constructor(secret: Uint8Array) {
    if (secret.length !== KEY_BYTES) throw new RangeError('an X25519 secret has 32 bytes');
    this.#secret = Uint8Array.from(secret);
    this.publicKey = x25519.getPublicKey(this.#secret);
  }

  /** The shared secret, or undefined for a public key of small order, with which no secret can be shared (RFC 7748, section 6.1). */
  agree(publicKey: Uint8Array): Uint8Array | undefined {
    try {
      return x25519.getSharedSecret(this.#secret, publicKey);
    } catch {
      return undefined;
    }
  }
}

/** Whether secrets can be shared with a public key: it has 32 bytes and is not of small order. */
export function isPublicKey(publicKey: Uint8Array): boolean {
  return new AgreementKey(randomBytes(KEY_BYTES)).agree(publicKey) !== undefined;
}
