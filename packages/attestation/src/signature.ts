const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/**
 * Whether an ECDSA signature with SHA-256 is right. False too for a key that is no point of P-256.
 *
 * @param publicKey uncompressed, 65 bytes.
 * @param signature r ‖ s, 64 bytes.
 */
export async function isSignature(
  publicKey: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const { subtle } = globalThis.crypto;
  const key = await subtle.importKey('raw', publicKey, ALGORITHM, false, ['verify']).catch(() => undefined);
  if (key === undefined) return false;
  return subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, signature, message);
}
