import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { bytesToHex, randomBytes } from '@noble/hashes/utils.js';

/** Bytes of one field element or curve coordinate on the wire, big-endian. */
export const FIELD_BYTES = 32;

/** Big-endian bytes of any length as an integer. */
export function bytesToInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`);
}

/** An integer as `length` big-endian bytes. Throws RangeError where it does not fit. */
export function integerToBytes(value: bigint, length: number): Uint8Array {
  if (value < 0n || value >> BigInt(8 * length) !== 0n) throw new RangeError(`integer does not fit ${length} bytes`);
  const hex = value.toString(16).padStart(2 * length, '0');
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** 48 or more uniform bytes as a field element; the bias of the reduction is below 2^-128. */
export function uniformToField(bytes: Uint8Array): bigint {
  if (bytes.length < 48) throw new RangeError('48 bytes or more are needed for a uniform field element');
  return bytesToInteger(bytes) % FIELD_MODULUS;
}

/** A uniform field element from the system's generator. */
export function randomField(): bigint {
  return uniformToField(randomBytes(48));
}

export function isField(value: bigint): boolean {
  return value >= 0n && value < FIELD_MODULUS;
}

const FIELD_WORDS = 4;

/** Puts an integer into four words from `start` on, the lowest first, reduced where it is no field element. */
export function writeWords(words: BigUint64Array, start: number, value: bigint): void {
  let rest = isField(value) ? value : ((value % FIELD_MODULUS) + FIELD_MODULUS) % FIELD_MODULUS;
  for (let word = start; word < start + FIELD_WORDS; word++) {
    // The array keeps the lowest 64 bits.
    words[word] = rest;
    rest >>= 64n;
  }
}

/** The integer of four words from `start` on. */
export function readWords(words: BigUint64Array, start: number): bigint {
  let value = 0n;
  for (let word = start + FIELD_WORDS - 1; word >= start; word--) value = (value << 64n) | (words[word] as bigint);
  return value;
}
