import { bytesOfHex } from './bytes.ts';

/** A root that chains of certificates have to end at. */
export type TrustAnchor = {
  /** For people: who is trusted. */
  readonly name: string;
  /** The root's key on P-256, uncompressed, 65 bytes. The key and not a certificate: Intel has issued its root's more than once. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
};

export const INTEL_ROOT: TrustAnchor = {
  name: 'Intel SGX Root CA',
  publicKey: bytesOfHex(
    '040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5' +
      '67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394',
    "Intel's root",
    65,
  ),
};
