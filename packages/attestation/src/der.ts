import { ECDSASigValue } from '@peculiar/asn1-ecc';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Name, type Time } from '@peculiar/asn1-x509';
import { bytesOfHex, concat, isEqual, malformed } from './bytes.ts';

export const OID_COMMON_NAME = '2.5.4.3';
export const OID_ECDSA_SHA256 = '1.2.840.10045.4.3.2';

export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  identifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** The identifier of ECDSA with SHA-256, as it stands in what is signed and behind it. */
const ECDSA_SHA256 = bytesOfHex('300a06082a8648ce3d040302', 'algorithm');

/** Everything in a SubjectPublicKeyInfo of P-256 that precedes the 65 bytes of the uncompressed point. */
export const P256_SPKI_PREFIX = bytesOfHex('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'SPKI');

/**
 * Parses ASN.1. The library reads BER, overlooks some wrong tags and what trails behind: what is parsed has to be signed, and how it is held together checked by
 * `checkEnvelope`. Throws `EVIDENCE_MALFORMED`.
 */
export function parseDer<T>(bytes: Uint8Array, target: new () => T, field: string): T {
  try {
    return AsnConvert.parse(bytes, target);
  } catch (error) {
    throw malformed(`${field}: expected DER`, error);
  }
}

/**
 * Throws `EVIDENCE_MALFORMED` unless these bytes are what is signed, the algorithm ECDSA with SHA-256 and the signature, and not a byte else: all that no
 * signature covers has one form.
 */
export function checkEnvelope(bytes: Uint8Array, signed: Uint8Array, signature: Uint8Array, field: string): void {
  const bits = valueOf(TAG.bitString, concat(Uint8Array.of(0), signature));
  const expected = valueOf(TAG.sequence, concat(signed, ECDSA_SHA256, bits));
  if (!isEqual(bytes, expected)) throw malformed(`${field}: expected DER, signed by ECDSA with SHA-256`);
}

/** A value of DER. */
export function valueOf(tag: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const isShort = content.length < 0x80;
  const header = isShort ? [tag, content.length] : [tag, 0x80 + length.length, ...length];
  return concat(Uint8Array.from(header), content);
}

/** A value of DER: its whole bytes, and those in it. */
export type DerValue = { readonly tag: number; readonly bytes: Uint8Array; readonly content: Uint8Array };

/**
 * The values that stand one after another, not looked into. A thousandth of the work and the memory that the library takes, for lists that may be long. Throws
 * `EVIDENCE_MALFORMED` for what is not DER, or has a tag of several bytes.
 */
export function valuesOf(bytes: Uint8Array, field: string): DerValue[] {
  const values: DerValue[] = [];
  for (let start = 0; start < bytes.length;) {
    const [tag = 0, first = 0x80] = bytes.subarray(start, start + 2);
    const digits = first < 0x80 ? 0 : first - 0x80;
    const content = start + 2 + digits;
    const length = first < 0x80 ? first : lengthOf(bytes.subarray(start + 2, content));
    const end = content + length;
    if ((tag & 0x1f) === 0x1f || !(end <= bytes.length)) throw malformed(`${field}: expected DER`);
    values.push({ tag, bytes: bytes.subarray(start, end), content: bytes.subarray(content, end) });
    start = end;
  }
  return values;
}

/** NaN for a length of another form than the shortest. */
function lengthOf(digits: Uint8Array): number {
  const length = digits.reduce((value, byte) => value * 256 + byte, 0);
  return digits[0] !== 0 && length >= 0x80 ? length : Number.NaN;
}

/** The content of a primitive value with this tag, for callers that take no more than 127 bytes. Throws `EVIDENCE_MALFORMED`. */
export function primitiveOf(bytes: Uint8Array, tag: number, field: string): Uint8Array {
  if (bytes[0] !== tag || bytes[1] !== bytes.length - 2) {
    throw malformed(`${field}: expected a value with the tag ${tag}`);
  }
  return bytes.subarray(2);
}

export function writeDer(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(AsnConvert.serialize(value));
}

/** The common name of a name in DER; of several, all. */
export function commonNameOf(name: Uint8Array, field: string): string {
  const parts = parseDer(name, Name, `${field}'s subject`).flatMap((part) => [...part]);
  return parts.flatMap(({ type, value }) => (type === OID_COMMON_NAME ? [value.toString()] : [])).join();
}

export function unixSeconds(time: Time): number {
  return Math.floor(time.getTime().getTime() / 1000);
}

/** Throws `EVIDENCE_MALFORMED` unless what is signed names the algorithm that it is signed by. */
export function checkAlgorithm(algorithm: ArrayBuffer, field: string): void {
  if (!isEqual(new Uint8Array(algorithm), ECDSA_SHA256)) {
    throw malformed(`${field}: expected a signature by ECDSA with SHA-256`);
  }
}

/** The uncompressed point of a SubjectPublicKeyInfo on P-256, 65 bytes. Throws `EVIDENCE_MALFORMED` for any other key. */
export function pointOf(info: Uint8Array, field: string): Uint8Array<ArrayBuffer> {
  const prefix = info.subarray(0, P256_SPKI_PREFIX.length);
  const point = new Uint8Array(info.subarray(P256_SPKI_PREFIX.length));
  if (!isEqual(prefix, P256_SPKI_PREFIX) || point.length !== 65 || point[0] !== 4) {
    throw malformed(`${field}: expected an uncompressed key on P-256`);
  }
  return point;
}

/** r ‖ s of a signature in DER. Throws `EVIDENCE_MALFORMED`. */
export function signatureOf(der: Uint8Array, field: string): Uint8Array<ArrayBuffer> {
  const { r, s } = parseDer(der, ECDSASigValue, `${field}'s signature`);
  const signature = concat(...[r, s].map((integer) => scalarOf(new Uint8Array(integer), field)));
  if (!isEqual(der, signatureDer(signature))) throw malformed(`${field}'s signature: expected DER`);
  return signature;
}

function scalarOf(integer: Uint8Array, field: string): Uint8Array {
  const magnitude = integer[0] === 0 ? integer.subarray(1) : integer;
  if (magnitude.length > 32) throw malformed(`${field}'s signature: expected two numbers of 256 bits`);
  return concat(new Uint8Array(32 - magnitude.length), magnitude);
}

/** A signature r ‖ s as DER. */
export function signatureDer(signature: Uint8Array): Uint8Array<ArrayBuffer> {
  const integers = [signature.subarray(0, 32), signature.subarray(32)].map(integerDer);
  return valueOf(TAG.sequence, concat(...integers));
}

/** A number that is not negative, big endian, as DER: no byte that is needless, and a zero before a first bit that is set. */
export function integerDer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const start = bytes.findIndex((byte) => byte !== 0);
  const magnitude = start < 0 ? Uint8Array.of(0) : bytes.subarray(start);
  const isMarked = ((magnitude[0] ?? 0) & 0x80) !== 0;
  return valueOf(TAG.integer, isMarked ? concat(Uint8Array.of(0), magnitude) : magnitude);
}
