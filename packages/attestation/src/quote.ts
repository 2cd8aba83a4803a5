import { BitcloakError } from '@bitcloak/protocol/errors';
import { concat, hexOf, isEqual, isZero, malformed, Reader } from './bytes.ts';

/** More than any quote with a chain of three certificates has. */
export const QUOTE_BYTES_MAX = 16 * 1024;

export const QUOTE_VERSION = 4;
export const TEE_TYPE_TDX = 0x81;
/** ECDSA over P-256 with SHA-256. */
export const ATTESTATION_KEY_ECDSA_P256 = 2;
/** Certification data: a PEM chain PCK, intermediate, root. */
export const CERTIFICATION_PCK_CHAIN = 5;
/** Certification data: a report of the quoting enclave, with certification data of its own. */
export const CERTIFICATION_QE_REPORT = 6;

export const HEADER_BYTES = 48;
export const TD_REPORT_BYTES = 584;
export const ENCLAVE_REPORT_BYTES = 384;

/** Intel's quoting enclave. */
export const QE_VENDOR_ID = Uint8Array.of(
  ...[0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07],
);

/** TD report 1.0: what the TDX module says of a trust domain. Field names are those of Intel's specification. */
export type TdReport = {
  /** 16 security versions: 0 that of the TDX module, 1 the module's major version, then those of other components. */
  readonly teeTcbSvn: Uint8Array;
  readonly mrSeam: Uint8Array;
  readonly mrSignerSeam: Uint8Array;
  readonly seamAttributes: Uint8Array;
  /** 64 bits, little endian. */
  readonly tdAttributes: Uint8Array;
  readonly xfam: Uint8Array;
  /** 48 bytes, like every measurement that follows. */
  readonly mrTd: Uint8Array;
  readonly mrConfigId: Uint8Array;
  readonly mrOwner: Uint8Array;
  readonly mrOwnerConfig: Uint8Array;
  readonly rtmrs: readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  /** 64 bytes that the trust domain chose. */
  readonly reportData: Uint8Array;
};

/** The part of an SGX report by which an enclave is known. */
export type EnclaveReport = {
  readonly miscSelect: Uint8Array;
  readonly attributes: Uint8Array;
  readonly mrSigner: Uint8Array;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly reportData: Uint8Array;
};

export type Quote = {
  /** Header and report as the attestation key signed them. */
  readonly signed: Uint8Array<ArrayBuffer>;
  readonly report: TdReport;
  /** r ‖ s. */
  readonly signature: Uint8Array<ArrayBuffer>;
  /** x ‖ y of the quoting enclave's key. */
  readonly attestationKey: Uint8Array<ArrayBuffer>;
  readonly qeReport: EnclaveReport;
  /** The report as the PCK signed it. */
  readonly qeReportSigned: Uint8Array<ArrayBuffer>;
  readonly qeReportSignature: Uint8Array<ArrayBuffer>;
  readonly qeAuthData: Uint8Array;
  /** PEM: PCK, intermediate, root. */
  readonly pckChain: Uint8Array;
};

/**
 * Reads a TDX quote of version 4. Every length is the exact one. Quotes come in buffers of fixed size: after the signed length zeros are accepted,
 * and nothing else. Throws `EVIDENCE_MALFORMED`, and `EVIDENCE_UNSUPPORTED` for a well-formed quote of another kind.
 */
export function parseQuote(bytes: Uint8Array): Quote {
  if (bytes.length > QUOTE_BYTES_MAX) {
    throw malformed(`quote: expected at most ${QUOTE_BYTES_MAX} bytes, got ${bytes.length}`);
  }
  const reader = new Reader(bytes);
  const header = reader.take(HEADER_BYTES, 'quote header');
  checkHeader(new Reader(header));
  const body = reader.take(TD_REPORT_BYTES, 'TD report');
  const signed = concat(header, body);
  const length = reader.integer(4, 'length of the signature data');
  const signatureData = reader.take(length, 'signature data');
  if (!isZero(reader.rest())) throw malformed('quote: expected nothing but zeros after the signature data');
  return { signed, report: parseTdReport(body), ...parseSignatureData(signatureData) };
}

function checkHeader(reader: Reader): void {
  const version = reader.integer(2, 'version');
  if (version !== QUOTE_VERSION) throw unsupported('quote version', QUOTE_VERSION, version);
  const keyType = reader.integer(2, 'attestation key type');
  if (keyType !== ATTESTATION_KEY_ECDSA_P256) {
    throw unsupported('attestation key type', ATTESTATION_KEY_ECDSA_P256, keyType);
  }
  const teeType = reader.integer(4, 'TEE type');
  if (teeType !== TEE_TYPE_TDX) throw unsupported('TEE type', TEE_TYPE_TDX, teeType);
  reader.take(4, 'reserved');
  const vendor = reader.take(16, 'QE vendor');
  if (!isEqual(vendor, QE_VENDOR_ID)) throw unsupported('QE vendor', hexOf(QE_VENDOR_ID), hexOf(vendor));
}

function unsupported(field: string, expected: string | number, got: string | number): BitcloakError {
  return new BitcloakError('EVIDENCE_UNSUPPORTED', `${field}: expected ${expected}, got ${got}`);
}

function parseTdReport(bytes: Uint8Array): TdReport {
  const reader = new Reader(bytes);
  const measurement = (field: string) => reader.take(48, field);
  return {
    teeTcbSvn: reader.take(16, 'TEE TCB SVN'),
    mrSeam: measurement('MRSEAM'),
    mrSignerSeam: measurement('MRSIGNERSEAM'),
    seamAttributes: reader.take(8, 'SEAM attributes'),
    tdAttributes: reader.take(8, 'TD attributes'),
    xfam: reader.take(8, 'XFAM'),
    mrTd: measurement('MRTD'),
    mrConfigId: measurement('MRCONFIGID'),
    mrOwner: measurement('MROWNER'),
    mrOwnerConfig: measurement('MROWNERCONFIG'),
    rtmrs: [measurement('RTMR0'), measurement('RTMR1'), measurement('RTMR2'), measurement('RTMR3')],
    reportData: reader.take(64, 'report data'),
  };
}

function parseEnclaveReport(bytes: Uint8Array): EnclaveReport {
  const reader = new Reader(bytes);
  reader.take(16, 'CPU SVN');
  const miscSelect = reader.take(4, 'MISCSELECT');
  reader.take(28, 'reserved');
  const attributes = reader.take(16, 'attributes');
  reader.take(64, 'MRENCLAVE');
  const mrSigner = reader.take(32, 'MRSIGNER');
  reader.take(96, 'reserved');
  const isvProdId = reader.integer(2, 'ISVPRODID');
  const isvSvn = reader.integer(2, 'ISVSVN');
  reader.take(60, 'reserved');
  return { miscSelect, attributes, mrSigner, isvProdId, isvSvn, reportData: reader.take(64, 'report data') };
}

function parseSignatureData(bytes: Uint8Array): Omit<Quote, 'signed' | 'report'> {
  const reader = new Reader(bytes);
  const signature = reader.take(64, 'signature');
  const attestationKey = reader.take(64, 'attestation key');
  const certification = new Reader(takeCertification(reader, CERTIFICATION_QE_REPORT));
  reader.end('signature data');

  const qeReportSigned = certification.take(ENCLAVE_REPORT_BYTES, "quoting enclave's report");
  const qeReportSignature = certification.take(64, "signature of the quoting enclave's report");
  const qeAuthData = certification.take(certification.integer(2, 'length of the QE auth data'), 'QE auth data');
  const pckChain = takeCertification(certification, CERTIFICATION_PCK_CHAIN);
  certification.end('certification data');
  const qeReport = parseEnclaveReport(qeReportSigned);
  return { signature, attestationKey, qeReport, qeReportSigned, qeReportSignature, qeAuthData, pckChain };
}

function takeCertification(reader: Reader, expected: number): Uint8Array {
  const kind = reader.integer(2, 'type of the certification data');
  if (kind !== expected) throw unsupported('type of the certification data', expected, kind);
  return reader.take(reader.integer(4, 'length of the certification data'), 'certification data');
}

/** Attributes that a trust domain may have without being less protected: LASS, SEPT_VE_DISABLE, PKS, KL and PERFMON. */
const ATTRIBUTES_ALLOWED = (1n << 27n) | (1n << 28n) | (1n << 30n) | (1n << 31n) | (1n << 63n);
const ATTRIBUTES_UNDER_DEBUG = 0xffn;
const ATTRIBUTE_MIGRATABLE = 1n << 29n;

/**
 * Throws `MEASUREMENT_REFUSED` for a trust domain that the host can look into, that may migrate (a report 1.0 does not name the service that it
 * would migrate by), or with attributes that are reserved: whatever they will mean one day, nobody has judged it.
 */
export function checkTdAttributes({ tdAttributes }: TdReport): void {
  const bits = tdAttributes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  const refuse = (why: string) => {
    throw new BitcloakError('MEASUREMENT_REFUSED', `TD attributes ${hexOf(tdAttributes)}: ${why}`);
  };
  if ((bits & ATTRIBUTES_UNDER_DEBUG) !== 0n) refuse('the trust domain is open to debugging or profiling');
  if ((bits & ATTRIBUTE_MIGRATABLE) !== 0n) refuse('the trust domain may migrate');
  if ((bits & ~ATTRIBUTES_ALLOWED) !== 0n) refuse('reserved bits are set');
}
