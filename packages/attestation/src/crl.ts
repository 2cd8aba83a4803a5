import { readExtensions, type Certificate } from './certificates.ts';
import { concat, hexOf, malformed, untrusted } from './bytes.ts';
import {
  checkAlgorithm,
  checkEnvelope,
  parseDer,
  signatureOf,
  TAG,
  unixSeconds,
  valueOf,
  valuesOf,
  type DerValue,
} from './der.ts';
import { CrlSchema } from './schemas.ts';
import { isSignature } from './signature.ts';

/** A certificate revocation list. Times are unix seconds. */
export type Crl = {
  readonly signed: Uint8Array<ArrayBuffer>;
  /** r ‖ s. */
  readonly signature: Uint8Array<ArrayBuffer>;
  /** Hex of the name's DER. */
  readonly issuer: string;
  readonly thisUpdate: number;
  /** The first moment at which the list is out of date. */
  readonly nextUpdate: number;
  /** Serials in hex. */
  readonly revoked: ReadonlySet<string>;
};

/** Version 2, as DER has it. */
const CRL_VERSION = 1;

/**
 * Throws `EVIDENCE_MALFORMED`. A list with a critical extension is refused: it would be one for some certificates only, or one of changes.
 */
export function parseCrl(der: Uint8Array, field: string): Crl {
  const { signed, rest, entries } = withoutEntries(der, field);
  const { inner, signature: bits } = parseDer(rest, CrlSchema, field);
  if (inner.version !== CRL_VERSION) throw malformed(`${field}: expected version 2`);
  checkAlgorithm(inner.algorithm, field);
  const signature = new Uint8Array(bits);
  checkEnvelope(der, signed, signature, field);
  readExtensions(inner.extensions ?? [], [], field);
  if (inner.nextUpdate === undefined) throw malformed(`${field}: expected a next update`);
  return {
    signed,
    signature: signatureOf(signature, field),
    issuer: hexOf(new Uint8Array(inner.issuer)),
    thisUpdate: unixSeconds(inner.thisUpdate),
    nextUpdate: unixSeconds(inner.nextUpdate),
    revoked: new Set(entries.map((entry) => serialOf(entry, field))),
  };
}

/**
 * A list, and the same without the certificates on it. There can be many thousands of those just when it matters, after keys have leaked: more than the library
 * takes, and seconds of its time.
 */
function withoutEntries(der: Uint8Array, field: string) {
  const [list] = valuesOf(der, field);
  const [inner, ...envelope] = valuesOf(list?.content ?? der, field);
  if (list?.tag !== TAG.sequence || inner?.tag !== TAG.sequence) throw malformed(`${field}: expected a list`);
  const values = valuesOf(inner.content, field);
  // The only sequence that follows a time.
  const place = values.findIndex(({ tag }, index) => tag === TAG.sequence && isTime(values[index - 1]));
  const entries = place < 0 ? [] : valuesOf(values[place]?.content ?? der, field);
  const kept = values.filter((_, index) => index !== place).map(({ bytes }) => bytes);
  const rest = concat(valueOf(TAG.sequence, concat(...kept)), ...envelope.map(({ bytes }) => bytes));
  return { signed: new Uint8Array(inner.bytes), rest: valueOf(TAG.sequence, rest), entries };
}

function isTime(value: DerValue | undefined): boolean {
  return value?.tag === TAG.utcTime || value?.tag === TAG.generalizedTime;
}

/** The serial of a certificate that is revoked, in hex: what `CertificateSchema` takes for it. */
function serialOf({ tag, content }: DerValue, field: string): string {
  const [serial, date, extensions, more] = tag === TAG.sequence ? valuesOf(content, field) : [];
  if (serial?.tag !== TAG.integer || !isTime(date) || more !== undefined) {
    throw malformed(`${field}: expected serial and time of each certificate`);
  }
  if (extensions !== undefined) checkEntryExtensions(extensions, field);
  return hexOf(serial.content);
}

/** A critical one would have a third value, and make the entry one of another issuer's certificate. */
function checkEntryExtensions({ tag, content }: DerValue, field: string): void {
  const names = new Set<string>();
  const extensions = tag === TAG.sequence ? valuesOf(content, field) : [];
  for (const extension of extensions) {
    const [name, value, more] = extension.tag === TAG.sequence ? valuesOf(extension.content, field) : [];
    if (name?.tag !== TAG.identifier || value?.tag !== TAG.octetString || more !== undefined) {
      throw malformed(`${field}: expected extensions of certificates that are not critical`);
    }
    names.add(hexOf(name.content));
  }
  if (extensions.length === 0 || names.size < extensions.length) {
    throw malformed(`${field}: expected extensions of certificates, each once`);
  }
}

/** Throws `EVIDENCE_UNTRUSTED` unless the list is that of this authority, whose own certificate has been checked. */
export async function checkCrl(crl: Crl, authority: Certificate, field: string): Promise<void> {
  if (crl.issuer !== authority.subject) throw untrusted(`${field}: its issuer is another authority`);
  if (!(await isSignature(authority.publicKey, crl.signed, crl.signature))) {
    throw untrusted(`${field}: its signature is wrong`);
  }
}
