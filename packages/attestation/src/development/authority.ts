import { sha256 } from '@noble/hashes/sha2.js';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { TrustAnchor } from '../anchor.ts';
import { bytesOfHex, concat, hexOf } from '../bytes.ts';
import type { Collateral } from '../collateral.ts';
import type { Platform } from '../pck.ts';
import { pemOf } from '../pem.ts';
import { formatTime } from '../policy.ts';
import {
  ATTESTATION_KEY_ECDSA_P256,
  CERTIFICATION_PCK_CHAIN,
  CERTIFICATION_QE_REPORT,
  ENCLAVE_REPORT_BYTES,
  QE_VENDOR_ID,
  QUOTE_VERSION,
  TEE_TYPE_TDX,
} from '../quote.ts';
import { issueCertificate, issueCrl, keyPairOf, sgxExtension, signBytes, type KeyPair } from './x509.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;

/** Real quotes fill a buffer of this size with zeros. */
const QUOTE_BYTES = 5006;

export const DEVELOPMENT_NAMES = {
  root: 'Bitcloak Development SGX Root CA',
  platform: 'Bitcloak Development SGX PCK Platform CA',
  pck: 'Bitcloak Development SGX PCK Certificate',
  tcbSigning: 'Bitcloak Development SGX TCB Signing',
} as const;

export type DevelopmentRole = keyof typeof DEVELOPMENT_NAMES;

export const DEVELOPMENT_SERIALS: Readonly<Record<DevelopmentRole, string>> = {
  root: '01',
  platform: '02',
  tcbSigning: '03',
  pck: '04',
};

export const DEVELOPMENT_PLATFORM: Platform = {
  fmspc: 'b1c10a000000',
  pceId: '0000',
  ppid: 'b1'.repeat(16),
  cpuSvn: '02'.repeat(16),
  components: Array.from({ length: 16 }, () => 2),
  pceSvn: 13,
};

/** A TDX module of major version 1 and security version 5. */
const TEE_TCB_SVN = Uint8Array.of(5, 1, 2, ...new Uint8Array(13));
/** SEPT_VE_DISABLE. */
const TD_ATTRIBUTES = Uint8Array.of(0, 0, 0, 0x10, 0, 0, 0, 0);
const QE_MR_SIGNER = sha256(new TextEncoder().encode('bitcloak development quoting enclave'));
const QE_ATTRIBUTES = Uint8Array.of(0x11, ...new Uint8Array(15));
const QE_ISV_PROD_ID = 2;
const QE_ISV_SVN = 4;
const QE_AUTH_DATA = Uint8Array.from({ length: 32 }, (_, index) => index);

export type CollateralOptions = {
  /** How long TCB info, QE identity and CRLs are valid. */
  readonly seconds?: number;
  readonly evaluationNumber?: number;
  /** Unix seconds of a TCB recovery that the platform has not followed. */
  readonly recovery?: number;
  readonly revoked?: readonly DevelopmentRole[];
  /** Fields that stand in place of the usual ones, before they are signed. */
  readonly tcbInfo?: Readonly<Record<string, unknown>>;
  readonly qeIdentity?: Readonly<Record<string, unknown>>;
};

export type QuoteOptions = {
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** 48 bytes, as all that follow. */
  readonly mrTd: Uint8Array;
  readonly mrConfigId: Uint8Array;
  readonly rtmrs: readonly Uint8Array[];
  /** 16 bytes. */
  readonly teeTcbSvn?: Uint8Array;
  /** 8 bytes. */
  readonly tdAttributes?: Uint8Array;
  /** 48 bytes. */
  readonly mrSignerSeam?: Uint8Array;
  /** 32 bytes. */
  readonly qeMrSigner?: Uint8Array;
  readonly qeIsvSvn?: number;
  /** 64 bytes, in place of what names the attestation key. */
  readonly qeReportData?: Uint8Array;
  /** DER, in place of PCK, platform and root. */
  readonly chain?: readonly Uint8Array[];
};

/**
 * Everything that stands behind a quote, in one hand: root, platform authority, PCK, TCB signing and quoting enclave. Quotes and collateral are of the form of
 * real ones, and no more than their seed is worth: whoever knows it signs whatever he likes, and everybody knows a seed that is published. Accepted only
 * where the expectations name its root as their anchor.
 */
export class DevelopmentAuthority {
  readonly anchor: TrustAnchor;
  readonly keys: Readonly<Record<DevelopmentRole | 'attestation', KeyPair>>;
  /** DER. */
  readonly certificates: Readonly<Record<DevelopmentRole, Uint8Array>>;
  readonly #clock: number;

  /**
   * @param seed 32 bytes, which determine all keys.
   * @param clock unix seconds, around which the certificates are valid: from a day before to ten years after.
   */
  constructor(seed: Uint8Array, clock: number) {
    if (seed.length !== 32) throw new BitcloakError('USAGE', `seed: expected 32 bytes, got ${seed.length}`);
    const key = (label: DevelopmentRole | 'attestation') => keyPairOf(seed, label);
    this.keys = {
      root: key('root'),
      platform: key('platform'),
      pck: key('pck'),
      tcbSigning: key('tcbSigning'),
      attestation: key('attestation'),
    };
    this.anchor = { name: DEVELOPMENT_NAMES.root, publicKey: this.keys.root.publicKey };
    this.#clock = clock;
    this.certificates = {
      root: this.#issue('root', 'root'),
      platform: this.#issue('platform', 'root'),
      pck: this.pck(),
      tcbSigning: this.#issue('tcbSigning', 'root'),
    };
  }

  /** A PCK certificate, DER. Those of other platforms have other serials, hex. */
  pck(serial: string = DEVELOPMENT_SERIALS.pck): Uint8Array {
    return this.#issue('pck', 'platform', serial);
  }

  #issue(role: DevelopmentRole, issuer: DevelopmentRole, serial = DEVELOPMENT_SERIALS[role]): Uint8Array {
    return issueCertificate({
      subject: DEVELOPMENT_NAMES[role],
      publicKey: this.keys[role].publicKey,
      issuer: DEVELOPMENT_NAMES[issuer],
      issuerKey: this.keys[issuer],
      serial,
      notBefore: this.#clock - DAY,
      notAfter: this.#clock + 10 * YEAR,
      isAuthority: role === 'root' || role === 'platform',
      ...(role === 'root' ? { pathLength: 1 } : role === 'platform' ? { pathLength: 0 } : {}),
      ...(role === 'pck' ? { extensions: [sgxExtension(DEVELOPMENT_PLATFORM)] } : {}),
    });
  }

  /** Collateral issued at `clock`, unix seconds. */
  collateral(clock: number, options: CollateralOptions = {}): Collateral {
    const { seconds = 30 * DAY, revoked = [] } = options;
    const { root, platform, tcbSigning } = this.certificates;
    const signerChain = pemOf(tcbSigning, root);
    const [tcbInfo, qeIdentity] = [tcbInfoText(clock, seconds, options), qeIdentityText(clock, seconds, options)];
    const crl = (issuer: 'root' | 'platform', roles: readonly DevelopmentRole[]) =>
      hexOf(
        issueCrl({
          issuer: DEVELOPMENT_NAMES[issuer],
          issuerKey: this.keys[issuer],
          thisUpdate: clock,
          nextUpdate: clock + seconds,
          revoked: roles.filter((role) => revoked.includes(role)).map((role) => DEVELOPMENT_SERIALS[role]),
        }),
      );
    return {
      tcbInfo,
      tcbInfoSignature: this.signText(tcbInfo),
      tcbInfoIssuerChain: signerChain,
      qeIdentity,
      qeIdentitySignature: this.signText(qeIdentity),
      qeIdentityIssuerChain: signerChain,
      rootCaCrl: crl('root', ['root', 'platform', 'tcbSigning']),
      pckCrl: crl('platform', ['pck']),
      pckCrlIssuerChain: pemOf(platform, root),
    };
  }

  /** r ‖ s in hex, with the key of the TCB signing certificate. */
  signText(text: string): string {
    return hexOf(signBytes(this.keys.tcbSigning, new TextEncoder().encode(text)));
  }

  /** A quote of TDX, version 4, of a trust domain with these measurements. */
  quote(options: QuoteOptions): Uint8Array {
    const { root, platform, pck } = this.certificates;
    const signed = concat(quoteHeader(), tdReport(options));
    const attestationKey = this.keys.attestation.publicKey.subarray(1);
    const qeReport = enclaveReport(options, sha256(concat(attestationKey, QE_AUTH_DATA)));
    const pem = new TextEncoder().encode(`${pemOf(...(options.chain ?? [pck, platform, root]))}\0`);
    const certification = concat(
      qeReport,
      signBytes(this.keys.pck, qeReport),
      littleEndian(QE_AUTH_DATA.length, 2),
      QE_AUTH_DATA,
      certificationData(CERTIFICATION_PCK_CHAIN, pem),
    );
    const signatureData = concat(
      signBytes(this.keys.attestation, signed),
      attestationKey,
      certificationData(CERTIFICATION_QE_REPORT, certification),
    );
    const quote = concat(signed, littleEndian(signatureData.length, 4), signatureData);
    return concat(quote, new Uint8Array(Math.max(0, QUOTE_BYTES - quote.length)));
  }
}

function tcbInfoText(clock: number, seconds: number, options: CollateralOptions): string {
  const { fmspc, pceId, components, pceSvn } = DEVELOPMENT_PLATFORM;
  const zeros = (bytes: number) => '00'.repeat(bytes);
  const module = { mrsigner: zeros(48), attributes: zeros(8), attributesMask: 'FF'.repeat(8) };
  const level = (pcesvn: number, date: number, tcbStatus: string) => ({
    tcb: {
      sgxtcbcomponents: components.map((svn) => ({ svn })),
      pcesvn,
      tdxtcbcomponents: [...TEE_TCB_SVN].map((svn, index) => ({ svn: index === 1 ? 0 : svn })),
    },
    tcbDate: formatTime(date),
    tcbStatus,
  });
  const { recovery } = options;
  const current = clock - YEAR;
  const info = {
    id: 'TDX',
    version: 3,
    ...issueOf(clock, seconds, options),
    fmspc: fmspc.toUpperCase(),
    pceId,
    tcbType: 0,
    tdxModule: module,
    tdxModuleIdentities: [{ id: 'TDX_01', ...module, tcbLevels: [svnLevel(5, current)] }],
    tcbLevels:
      recovery === undefined
        ? [level(pceSvn, current, 'UpToDate')]
        : [level(pceSvn + 1, recovery, 'UpToDate'), level(pceSvn, current, 'OutOfDate')],
    ...options.tcbInfo,
  };
  return JSON.stringify(info);
}

function qeIdentityText(clock: number, seconds: number, options: CollateralOptions): string {
  const identity = {
    id: 'TD_QE',
    version: 2,
    ...issueOf(clock, seconds, options),
    miscselect: '00000000',
    miscselectMask: 'FFFFFFFF',
    attributes: hexOf(QE_ATTRIBUTES),
    attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
    mrsigner: hexOf(QE_MR_SIGNER).toUpperCase(),
    isvprodid: QE_ISV_PROD_ID,
    tcbLevels: [svnLevel(QE_ISV_SVN, clock - YEAR)],
    ...options.qeIdentity,
  };
  return JSON.stringify(identity);
}

function issueOf(clock: number, seconds: number, { evaluationNumber = 1 }: CollateralOptions) {
  return {
    issueDate: formatTime(clock),
    nextUpdate: formatTime(clock + seconds),
    tcbEvaluationDataNumber: evaluationNumber,
  };
}

function svnLevel(isvsvn: number, date: number) {
  return { tcb: { isvsvn }, tcbDate: formatTime(date), tcbStatus: 'UpToDate' };
}

function quoteHeader(): Uint8Array {
  return concat(
    littleEndian(QUOTE_VERSION, 2),
    littleEndian(ATTESTATION_KEY_ECDSA_P256, 2),
    littleEndian(TEE_TYPE_TDX, 4),
    new Uint8Array(4),
    QE_VENDOR_ID,
    new Uint8Array(20),
  );
}

function tdReport(options: QuoteOptions): Uint8Array {
  const { teeTcbSvn = TEE_TCB_SVN, tdAttributes = TD_ATTRIBUTES, mrSignerSeam = new Uint8Array(48) } = options;
  const { mrTd, mrConfigId, rtmrs, reportData } = options;
  const lengths: readonly (readonly [Uint8Array, number])[] = [
    [teeTcbSvn, 16],
    [new Uint8Array(48), 48],
    [mrSignerSeam, 48],
    [new Uint8Array(8), 8],
    [tdAttributes, 8],
    [new Uint8Array(8), 8],
    [mrTd, 48],
    [mrConfigId, 48],
    [new Uint8Array(96), 96],
    [concat(...rtmrs), 4 * 48],
    [reportData, 64],
  ];
  for (const [bytes, length] of lengths) {
    if (bytes.length !== length)
      throw new BitcloakError('USAGE', `TD report: expected ${length} bytes, got ${bytes.length}`);
  }
  return concat(...lengths.map(([bytes]) => bytes));
}

function enclaveReport(options: QuoteOptions, keyHash: Uint8Array) {
  const { qeMrSigner = QE_MR_SIGNER, qeIsvSvn = QE_ISV_SVN, qeReportData } = options;
  const report = new Uint8Array(ENCLAVE_REPORT_BYTES);
  report.set(bytesOfHex(DEVELOPMENT_PLATFORM.cpuSvn, 'cpuSvn'), 0);
  report.set(QE_ATTRIBUTES, 48);
  report.set(qeMrSigner, 128);
  report.set(littleEndian(QE_ISV_PROD_ID, 2), 256);
  report.set(littleEndian(qeIsvSvn, 2), 258);
  report.set(qeReportData ?? keyHash, 320);
  return report;
}

function certificationData(kind: number, data: Uint8Array): Uint8Array {
  return concat(littleEndian(kind, 2), littleEndian(data.length, 4), data);
}

function littleEndian(value: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Math.floor(value / 256 ** index) % 256);
}
