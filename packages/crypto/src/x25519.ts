import { createPrivateKey, createPublicKey, diffieHellman, randomBytes, type KeyObject } from 'node:crypto';

// node:crypto agrees on a key some twenty times faster than JavaScript does, and key agreement dominates scanning.

const KEY_BYTES = 32;
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** An X25519 secret, imported once. Deliberately opaque: neither printing nor JSON shows it. */
export class AgreementKey {
  readonly #secret: KeyObject;
  /** The 32-byte public key. */
  readonly publicKey: Uint8Array;

  constructor(secret: Uint8Array) {
    if (secret.length !== KEY_BYTES) throw new RangeError('an X25519 secret has 32 bytes');
    this.#secret = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secret]), format: 'der', type: 'pkcs8' });
    const { x } = createPublicKey(this.#secret).export({ format: 'jwk' });
    this.publicKey = new Uint8Array(Buffer.from(x ?? '', 'base64url'));
  }

  /** The shared secret, or undefined for a public key of small order, with which no secret can be shared (RFC 7748, section 6.1). */
  agree(publicKey: Uint8Array): Uint8Array | undefined {
    // Node 24 prepares an error, stack trace included, whenever it looks into a new key: two fifths of the whole agreement.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      // Of the forms that every supported Node takes, a JWK is the cheapest to import.
      const x = Buffer.from(publicKey).toString('base64url');
      const key = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
      return diffieHellman({ privateKey: this.#secret, publicKey: key });
    } catch {
      return undefined;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }
}

/** Whether secrets can be shared with a public key: it has 32 bytes and is not of small order. */
export function isPublicKey(publicKey: Uint8Array): boolean {
  return new AgreementKey(randomBytes(32)).agree(publicKey) !== undefined;
}
