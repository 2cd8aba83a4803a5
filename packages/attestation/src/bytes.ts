import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { BitcloakError } from '@bitcloak/protocol/errors';

/** Evidence that is not of its form. The message names the field and what was expected. */
export function malformed(what: string, cause?: unknown): BitcloakError {
  return new BitcloakError('EVIDENCE_MALFORMED', what, cause === undefined ? {} : { cause });
}

/** Evidence that nothing trusted stands behind. */
export function untrusted(what: string): BitcloakError {
  return new BitcloakError('EVIDENCE_UNTRUSTED', what);
}

export function hexOf(bytes: Uint8Array): string {
  return bytesToHex(bytes);
}

/**
 * The bytes of lowercase hex: one text for one value, so that nothing can be altered without altering what it says. Throws `EVIDENCE_MALFORMED`.
 *
 * @param length in bytes, where it is fixed.
 */
export function bytesOfHex(text: string, field: string, length = text.length / 2): Uint8Array<ArrayBuffer> {
  if (text.length !== 2 * length || !/^([0-9a-f]{2})*$/.test(text)) {
    throw malformed(
      `${field}: expected ${Number.isInteger(length) ? `${length} bytes` : 'whole bytes'} of lowercase hex`,
    );
  }
  return new Uint8Array(hexToBytes(text));
}

export function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Throws `EVIDENCE_MALFORMED` for bytes that are no UTF-8. A byte order mark stays: it is none of the text's business to lose it. */
export function textOf(bytes: Uint8Array, field: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw malformed(`${field}: expected UTF-8`, error);
  }
}

/** Takes fields of fixed length from the front, integers little endian. Throws `EVIDENCE_MALFORMED` where there are too few bytes. */
export class Reader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  take(length: number, field: string): Uint8Array<ArrayBuffer> {
    const end = this.#offset + length;
    if (end > this.#bytes.length) {
      throw malformed(`${field}: expected ${length} bytes, got ${this.#bytes.length - this.#offset}`);
    }
    // A copy, so that what was parsed cannot change afterwards.
    const bytes = new Uint8Array(this.#bytes.subarray(this.#offset, end));
    this.#offset = end;
    return bytes;
  }

  integer(length: 2 | 4, field: string): number {
    return this.take(length, field).reduceRight((value, byte) => value * 256 + byte, 0);
  }

  rest(): Uint8Array<ArrayBuffer> {
    return this.take(this.#bytes.length - this.#offset, 'rest');
  }

  end(field: string): void {
    const left = this.#bytes.length - this.#offset;
    if (left !== 0) throw malformed(`${field}: expected nothing more, got ${left} bytes`);
  }
}
