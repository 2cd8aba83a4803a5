import {
  BasicConstraints,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  KeyUsage,
  KeyUsageFlags,
  type Extension,
} from '@peculiar/asn1-x509';
import type { TrustAnchor } from './anchor.ts';
import { hexOf, isEqual, malformed, untrusted } from './bytes.ts';
import { checkAlgorithm, checkEnvelope, commonNameOf, parseDer, pointOf, signatureOf, unixSeconds } from './der.ts';
import { bytesOfBase64, pemBlocks } from './pem.ts';
import { CertificateSchema } from './schemas.ts';
import { isSignature } from './signature.ts';

/** Version 3, as DER has it. */
const CERTIFICATE_VERSION = 2;

/** Those whose meaning is checked here. A critical extension that is not among them refuses the certificate. */
const CRITICAL_EXTENSIONS: readonly string[] = [id_ce_basicConstraints, id_ce_keyUsage];

export type Certificate = {
  /** The part that is signed. */
  readonly signed: Uint8Array<ArrayBuffer>;
  /** r ‖ s. */
  readonly signature: Uint8Array<ArrayBuffer>;
  /** Lowercase hex of the number's bytes. */
  readonly serial: string;
  /** Names as hex of their DER. */
  readonly issuer: string;
  readonly subject: string;
  readonly commonName: string;
  /** Unix seconds; both are moments at which the certificate is valid. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Uncompressed, 65 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly isAuthority: boolean;
  /** Authorities that may stand between this one and a leaf; undefined for any number. */
  readonly pathLength: number | undefined;
  /** `KeyUsageFlags`. */
  readonly keyUsage: number;
  /** By object identifier. */
  readonly extensions: ReadonlyMap<string, Uint8Array>;
};

/** What a chain certifies, as Intel builds and names its chains. */
export type ChainKind = {
  readonly field: string;
  /** What each common name has to contain, from leaf to root. Their number is the length of the chain. */
  readonly names: readonly string[];
  /** Whether the first certificate is an authority itself. */
  readonly isLeafAuthority: boolean;
};

const ROOT_NAME = 'SGX Root CA';
export const PCK_NAME = 'SGX PCK Certificate';
export const TCB_SIGNING_NAME = 'SGX TCB Signing';
/** Contained in the names of both authorities, for platforms and for processors. */
export const PCK_CA_NAME = 'SGX PCK P';

export const PCK_CHAIN: ChainKind = {
  field: 'PCK chain',
  names: [PCK_NAME, PCK_CA_NAME, ROOT_NAME],
  isLeafAuthority: false,
};
export const TCB_INFO_CHAIN: ChainKind = {
  field: 'chain of the TCB info',
  names: [TCB_SIGNING_NAME, ROOT_NAME],
  isLeafAuthority: false,
};
export const QE_IDENTITY_CHAIN: ChainKind = { ...TCB_INFO_CHAIN, field: 'chain of the QE identity' };
export const CRL_CHAIN: ChainKind = {
  field: 'chain of the PCK CRL',
  names: [PCK_CA_NAME, ROOT_NAME],
  isLeafAuthority: true,
};

/** Throws `EVIDENCE_MALFORMED`. */
export function parseCertificate(der: Uint8Array, field: string): Certificate {
  const { inner, innerRaw, signature: bits } = parseDer(der, CertificateSchema, field);
  if (inner.version !== CERTIFICATE_VERSION || innerRaw === undefined) throw malformed(`${field}: expected version 3`);
  checkAlgorithm(inner.algorithm, field);
  const [signed, signature] = [new Uint8Array(innerRaw), new Uint8Array(bits)];
  checkEnvelope(der, signed, signature, field);
  const extensions = readExtensions(inner.extensions ?? [], CRITICAL_EXTENSIONS, field);
  const constraintsDer = extensions.get(id_ce_basicConstraints);
  const usageDer = extensions.get(id_ce_keyUsage);
  if (constraintsDer === undefined || usageDer === undefined) {
    throw malformed(`${field}: expected basic constraints and a key usage`);
  }
  const constraints = parseDer(constraintsDer, BasicConstraints, `${field}'s basic constraints`);
  return {
    signed,
    signature: signatureOf(signature, field),
    serial: hexOf(new Uint8Array(inner.serial)),
    issuer: hexOf(new Uint8Array(inner.issuer)),
    subject: hexOf(new Uint8Array(inner.subject)),
    commonName: commonNameOf(new Uint8Array(inner.subject), field),
    notBefore: unixSeconds(inner.validity.notBefore),
    notAfter: unixSeconds(inner.validity.notAfter),
    publicKey: pointOf(new Uint8Array(inner.publicKey), field),
    isAuthority: constraints.cA,
    pathLength: constraints.pathLenConstraint,
    keyUsage: parseDer(usageDer, KeyUsage, `${field}'s key usage`).toNumber(),
    extensions,
  };
}

/** Throws `EVIDENCE_MALFORMED` where one stands twice, and for a critical one that is not `known`. */
export function readExtensions(
  list: readonly Extension[],
  known: readonly string[],
  field: string,
): ReadonlyMap<string, Uint8Array> {
  const extensions = new Map<string, Uint8Array>();
  for (const { extnID, critical, extnValue } of list) {
    if (critical && !known.includes(extnID)) throw malformed(`${field}: the critical extension ${extnID} is unknown`);
    if (extensions.has(extnID)) throw malformed(`${field}: the extension ${extnID} stands twice`);
    extensions.set(extnID, new Uint8Array(extnValue.buffer));
  }
  return extensions;
}

/** Certificates that are remembered by a `CertificateStore`: some platforms' PCK, their authorities, the root. */
const REMEMBERED_MAX = 128;

/** Parses certificates and checks who signed them, each certificate once while it is remembered. */
export class CertificateStore {
  readonly #parsed = new Map<string, Certificate>();
  readonly #issuers = new WeakMap<Certificate, { readonly key: Uint8Array; readonly isIssuer: Promise<boolean> }>();

  /** Throws `EVIDENCE_MALFORMED` for what is no PEM chain of as many certificates as this kind has. */
  parseChain(pem: string, { field, names }: ChainKind): readonly Certificate[] {
    const blocks = pemBlocks(pem, field);
    if (blocks.length !== names.length) {
      throw malformed(`${field}: expected ${names.length} certificates, got ${blocks.length}`);
    }
    return blocks.map((base64, index) => this.#parse(base64, `${field}, certificate ${index + 1}`));
  }

  async isIssuedBy(certificate: Certificate, key: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const known = this.#issuers.get(certificate);
    if (known !== undefined && isEqual(known.key, key)) return known.isIssuer;
    const isIssuer = isSignature(key, certificate.signed, certificate.signature);
    this.#issuers.set(certificate, { key, isIssuer });
    return isIssuer;
  }

  #parse(base64: string, field: string): Certificate {
    const known = this.#parsed.get(base64);
    if (known !== undefined) return known;
    const certificate = parseCertificate(bytesOfBase64(base64, field), field);
    const oldest = this.#parsed.size < REMEMBERED_MAX ? undefined : this.#parsed.keys().next().value;
    if (oldest !== undefined) this.#parsed.delete(oldest);
    this.#parsed.set(base64, certificate);
    return certificate;
  }
}

/**
 * Throws `EVIDENCE_UNTRUSTED` unless each certificate, from the leaf on, is issued by the next, the last by itself, with the anchor's key, and each is
 * what its place says. Validity is checked apart: it depends on the clock.
 */
export async function checkChain(
  chain: readonly Certificate[],
  { field, names, isLeafAuthority }: ChainKind,
  anchor: TrustAnchor,
  store: CertificateStore,
): Promise<void> {
  if (chain.length > names.length) throw untrusted(`${field}: expected ${names.length} certificates`);
  for (const [index, name] of names.entries()) {
    const certificate = chain[index];
    const place = `${field}, certificate ${index + 1}`;
    if (certificate === undefined) throw untrusted(`${place}: there is none`);
    const isRoot = index === names.length - 1;
    const issuer = isRoot ? certificate : chain[index + 1];
    if (!certificate.commonName.includes(name)) throw untrusted(`${place}: expected a name with ${name}`);
    checkRole(certificate, index > 0 || isLeafAuthority, index - (isLeafAuthority ? 0 : 1), place);
    if (certificate.issuer !== issuer?.subject) {
      throw untrusted(`${place}: its issuer is not the subject of the next certificate`);
    }
    if (isRoot && !isEqual(certificate.publicKey, anchor.publicKey)) {
      throw untrusted(`${field}: its root is not ${anchor.name}`);
    }
    if (!(await store.isIssuedBy(certificate, issuer.publicKey))) throw untrusted(`${place}: its signature is wrong`);
  }
}

/** @param below authorities between this certificate and the leaf. */
function checkRole(certificate: Certificate, isAuthority: boolean, below: number, place: string): void {
  if (certificate.isAuthority !== isAuthority) {
    throw untrusted(`${place}: expected ${isAuthority ? 'an authority' : 'no authority'}`);
  }
  const usage = isAuthority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature;
  if ((certificate.keyUsage & usage) !== usage) throw untrusted(`${place}: its key is for another use`);
  if (isAuthority && certificate.pathLength !== undefined && certificate.pathLength < below) {
    throw untrusted(`${place}: it may not have so many authorities below it`);
  }
}
