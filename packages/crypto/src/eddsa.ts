import { poseidon } from '#poseidon';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { equationHolds, isPublicKey, multiplyBase, type Point } from './babyjubjub.ts';
import { bytesToInteger, integerToBytes, isField } from './field.ts';

/** An EdDSA signature over Poseidon, as circomlib's `EdDSAPoseidonVerifier` checks it: S·B8 = R8 + 8·h·A. */
export type Signature = { readonly r8: Point; readonly s: bigint };

const NONCE_DOMAIN = utf8ToBytes('bitcloak eddsa-poseidon nonce v1');

/** The h of a signature: what ties it to its key and its message. */
export function challenge(r8: Point, publicKey: Point, message: bigint): bigint {
  return poseidon([r8.x, r8.y, publicKey.x, publicKey.y, message]);
}

/**
 * Signs a field element with a spending scalar in [1, SUBGROUP_ORDER).
 *
 * The nonce is derived from the scalar and the message (RFC 8032's idea), so that no generator can leak the key by repeating one.
 */
export function sign(spendingScalar: bigint, message: bigint): Signature {
  if (!isField(message)) throw new RangeError('a message is a field element');
  const publicKey = multiplyBase(spendingScalar);
  const digest = sha512(concatBytes(NONCE_DOMAIN, integerToBytes(spendingScalar, 32), integerToBytes(message, 32)));
  const nonce = 1n + (bytesToInteger(digest) % (SUBGROUP_ORDER - 1n));
  const r8 = multiplyBase(nonce);
  const h = challenge(r8, publicKey, message);
  return { r8, s: (nonce + 8n * h * spendingScalar) % SUBGROUP_ORDER };
}

/** Whether a signature is right. The circuits accept every one that this accepts; this also refuses points outside the prime subgroup. */
export function verify(publicKey: Point, message: bigint, signature: Signature): boolean {
  const { r8, s } = signature;
  if (!isField(message) || s < 0n || s >= SUBGROUP_ORDER) return false;
  if (!isPublicKey(publicKey) || !isPublicKey(r8)) return false;
  return equationHolds(s, r8, 8n * challenge(r8, publicKey, message), publicKey);
}
