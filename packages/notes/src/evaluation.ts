import { bytesToInteger, integerToBytes } from '@bitcloak/crypto/field';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { concatBytes } from '@noble/hashes/utils.js';

// Many values for the price of one public signal: the circuit commits to its values, the pool hashes its own values together with that
// commitment into a challenge, and both evaluate the polynomial of their values there. Neither side can be fitted to the other, and two
// different lists of n values agree with a probability below n / p.

/** keccak over 32-byte words, reduced modulo the field's order. */
export function challengeOf(words: readonly bigint[]): bigint {
  return bytesToInteger(keccak_256(concatBytes(...words.map((word) => integerToBytes(word, 32))))) % FIELD_MODULUS;
}

/** The polynomial with `coefficients`, the first one constant, at `point`. */
export function evaluate(coefficients: readonly bigint[], point: bigint): bigint {
  return coefficients.reduceRight((value, coefficient) => (value * point + coefficient) % FIELD_MODULUS, 0n);
}
