// Names of WebCrypto's types as browsers and @hpke/core have them; those of Node stand below another one.
import type { webcrypto } from 'node:crypto';

declare global {
  type CryptoKey = webcrypto.CryptoKey;
  type CryptoKeyPair = webcrypto.CryptoKeyPair;
}
