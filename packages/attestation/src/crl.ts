import { readExtensions, type Certificate } from './certificates.ts';
import { hexOf, malformed, untrusted } from './bytes.ts';
import { checkAlgorithm, checkEnvelope, parseDer, signatureOf, unixSeconds } from './der.ts';
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
  const { inner, innerRaw, signature: bits } = parseDer(der, CrlSchema, field);
  if (inner.version !== CRL_VERSION || innerRaw === undefined) throw malformed(`${field}: expected version 2`);
  checkAlgorithm(inner.algorithm, field);
  const [signed, signature] = [new Uint8Array(innerRaw), new Uint8Array(bits)];
  checkEnvelope(der, signed, signature, field);
  readExtensions(inner.extensions ?? [], [], field);
  if (inner.nextUpdate === undefined) throw malformed(`${field}: expected a next update`);
  const revoked = (inner.revoked ?? []).map(({ serial, extensions = [] }) => {
    readExtensions(extensions, [], field);
    return hexOf(new Uint8Array(serial));
  });
  return {
    signed,
    signature: signatureOf(signature, field),
    issuer: hexOf(new Uint8Array(inner.issuer)),
    thisUpdate: unixSeconds(inner.thisUpdate),
    nextUpdate: unixSeconds(inner.nextUpdate),
    revoked: new Set(revoked),
  };
}

/** Throws `EVIDENCE_UNTRUSTED` unless the list is that of this authority, whose own certificate has been checked. */
export async function checkCrl(crl: Crl, authority: Certificate, field: string): Promise<void> {
  if (crl.issuer !== authority.subject) throw untrusted(`${field}: its issuer is another authority`);
  if (!(await isSignature(authority.publicKey, crl.signed, crl.signature))) {
    throw untrusted(`${field}: its signature is wrong`);
  }
}
