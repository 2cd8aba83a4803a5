import { p256 } from '@noble/curves/nist.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  CertificateList,
  Extension,
  Extensions,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  RevokedCertificate,
  SubjectPublicKeyInfo,
  TBSCertificate,
  TBSCertList,
  Time,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { bytesOfHex, concat } from '../bytes.ts';
import {
  integerDer,
  OID_COMMON_NAME,
  OID_ECDSA_SHA256,
  P256_SPKI_PREFIX,
  signatureDer,
  TAG,
  valueOf,
  writeDer,
} from '../der.ts';
import { OID_SGX_EXTENSIONS, SgxEntries, SgxEntry, type Platform } from '../pck.ts';

const ALGORITHM = new AlgorithmIdentifier({ algorithm: OID_ECDSA_SHA256 });

export type KeyPair = {
  readonly secret: Uint8Array;
  /** Uncompressed, 65 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
};

/** A key pair on P-256 that seed and label determine. */
export function keyPairOf(seed: Uint8Array, label: string): KeyPair {
  const salt = new TextEncoder().encode('bitcloak development authority v1');
  const secret = p256.utils.randomSecretKey(hkdf(sha256, seed, salt, new TextEncoder().encode(label), 48));
  return { secret, publicKey: new Uint8Array(p256.getPublicKey(secret, false)) };
}

/** ECDSA with SHA-256, deterministic: r ‖ s, 64 bytes. */
export function signBytes({ secret }: KeyPair, message: Uint8Array): Uint8Array {
  return p256.sign(message, secret, { lowS: false });
}

function signDer(key: KeyPair, message: Uint8Array): ArrayBuffer {
  return signatureDer(signBytes(key, message)).buffer;
}

function nameOf(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: OID_COMMON_NAME, value })])]);
}

export function extensionOf(id: string, critical: boolean, value: Uint8Array): Extension {
  return new Extension({ extnID: id, critical, extnValue: new OctetString(value) });
}

export type CertificateRequest = {
  readonly subject: string;
  /** Uncompressed, 65 bytes. */
  readonly publicKey: Uint8Array;
  readonly issuer: string;
  readonly issuerKey: KeyPair;
  /** Hex, positive as a number. */
  readonly serial: string;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isAuthority: boolean;
  readonly pathLength?: number;
  /** `KeyUsageFlags`, in place of those that an authority or a leaf has. */
  readonly keyUsage?: number;
  readonly extensions?: readonly Extension[];
};

/** A certificate, DER. */
export function issueCertificate(request: CertificateRequest): Uint8Array<ArrayBuffer> {
  const { isAuthority, pathLength, issuerKey } = request;
  const usual = isAuthority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature;
  const { keyUsage = usual } = request;
  const constraints = new BasicConstraints({
    cA: isAuthority,
    ...(pathLength === undefined ? {} : { pathLenConstraint: pathLength }),
  });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: bytesOfHex(request.serial, 'serial').buffer,
    signature: ALGORITHM,
    issuer: nameOf(request.issuer),
    validity: new Validity({ notBefore: dateOf(request.notBefore), notAfter: dateOf(request.notAfter) }),
    subject: nameOf(request.subject),
    subjectPublicKeyInfo: AsnConvert.parse(concat(P256_SPKI_PREFIX, request.publicKey), SubjectPublicKeyInfo),
    extensions: new Extensions([
      extensionOf(id_ce_keyUsage, true, writeDer(new KeyUsage(keyUsage))),
      extensionOf(id_ce_basicConstraints, true, writeDer(constraints)),
      ...(request.extensions ?? []),
    ]),
  });
  const signatureValue = signDer(issuerKey, writeDer(tbsCertificate));
  return writeDer(new Certificate({ tbsCertificate, signatureAlgorithm: ALGORITHM, signatureValue }));
}

export type CrlRequest = {
  readonly issuer: string;
  readonly issuerKey: KeyPair;
  /** Unix seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serials in hex. */
  readonly revoked: readonly string[];
  /** Of each that is revoked: the reason why, for one. */
  readonly revokedExtensions?: readonly Extension[];
  readonly extensions?: readonly Extension[];
};

/** A certificate revocation list, DER. */
export function issueCrl(request: CrlRequest): Uint8Array<ArrayBuffer> {
  const thisUpdate = new Time(dateOf(request.thisUpdate));
  const revoked = request.revoked.map(
    (serial) =>
      new RevokedCertificate({
        userCertificate: bytesOfHex(serial, 'serial').buffer,
        revocationDate: thisUpdate,
        ...(request.revokedExtensions === undefined ? {} : { crlEntryExtensions: [...request.revokedExtensions] }),
      }),
  );
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: ALGORITHM,
    issuer: nameOf(request.issuer),
    thisUpdate,
    nextUpdate: new Time(dateOf(request.nextUpdate)),
    ...(revoked.length === 0 ? {} : { revokedCertificates: revoked }),
    ...(request.extensions === undefined ? {} : { crlExtensions: [...request.extensions] }),
  });
  const signature = signDer(request.issuerKey, writeDer(tbsCertList));
  return writeDer(new CertificateList({ tbsCertList, signatureAlgorithm: ALGORITHM, signature }));
}

/** Intel's extension of a PCK certificate. */
export function sgxExtension({ fmspc, pceId, ppid, cpuSvn, components, pceSvn }: Platform): Extension {
  const octets = (hex: string) => valueOf(TAG.octetString, bytesOfHex(hex, 'octets'));
  const integer = (value: number) => integerDer(Uint8Array.of(value >> 8, value & 0xff));
  const tcb = `${OID_SGX_EXTENSIONS}.2`;
  const parts = entries([
    [`${OID_SGX_EXTENSIONS}.1`, octets(ppid)],
    [
      tcb,
      entries([
        ...components.map((svn, index) => [`${tcb}.${index + 1}`, integer(svn)] as const),
        [`${tcb}.17`, integer(pceSvn)],
        [`${tcb}.18`, octets(cpuSvn)],
      ]),
    ],
    [`${OID_SGX_EXTENSIONS}.3`, octets(pceId)],
    [`${OID_SGX_EXTENSIONS}.4`, octets(fmspc)],
  ]);
  return extensionOf(OID_SGX_EXTENSIONS, false, parts);
}

function entries(list: readonly (readonly [id: string, value: Uint8Array<ArrayBuffer>])[]): Uint8Array<ArrayBuffer> {
  const written = list.map(([id, value]) => Object.assign(new SgxEntry(), { id, value: value.buffer }));
  return writeDer(new SgxEntries(written));
}

function dateOf(seconds: number): Date {
  return new Date(seconds * 1000);
}
