import { sha256 } from '@noble/hashes/sha2.js';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { TrustAnchor } from './anchor.ts';
import { checkBinding, eraReportData, type EraBinding } from './binding.ts';
import { concat, hexOf, isEqual, isZero, malformed, textOf, untrusted } from './bytes.ts';
import { checkChain, PCK_CHAIN, type Certificate } from './certificates.ts';
import type { Collateral, TcbInfo } from './collateral.ts';
import { CollateralVerifier } from './collateralVerifier.ts';
import { verifyEventLog } from './eventLog.ts';
import type { Platform } from './pck.ts';
import {
  checkEvaluationNumber,
  checkMeasurements,
  checkPolicies,
  checkStanding,
  formatTime,
  measurementsOf,
  type MeasurementPolicy,
  type Measurements,
  type TcbPolicy,
} from './policy.ts';
import { checkTdAttributes, parseQuote, type Quote } from './quote.ts';
import { isSignature } from './signature.ts';
import { mergedStanding, moduleStanding, platformStanding, qeStanding } from './tcb.ts';
import type { TcbStatus } from './tcbStatus.ts';
import { checkRevocation, checkValidity } from './validity.ts';

/** What an enclave shows of itself. */
export type Evidence = {
  readonly quote: Uint8Array;
  /** dstack's event log, JSON. Without one RTMR3 proves nothing, and nothing that only it tells can be required. */
  readonly eventLog?: string;
  readonly collateral: Collateral;
};

/** What it is measured against. */
export type Expectations = {
  readonly anchor: TrustAnchor;
  /** Unix seconds. */
  readonly clock: number;
  readonly tcb: TcbPolicy;
  readonly measurements: MeasurementPolicy;
  readonly binding: EraBinding;
  /** 32 bytes: fresh ones, or the hash of a recent block. */
  readonly nonce: Uint8Array;
};

/** Every check, in the order in which they are made. A later one relies on the earlier ones. */
export const CHECKS = {
  quote: 'the quote is one of TDX, version 4, and every byte of it is accounted for',
  collateral: 'the collateral is complete and of its form',
  'collateral-signatures': 'TCB info, QE identity and CRLs are signed under the root that is trusted',
  'pck-chain': "the processor's certificate is issued under the root that is trusted",
  validity: 'certificates, CRLs and collateral are valid now',
  revocation: 'no certificate is revoked',
  platform: "the collateral is for this processor's platform, and recent enough",
  'quoting-enclave': "the processor vouches for the quoting enclave, and it for the quote's key",
  'quote-signature': "the quote is signed with the quoting enclave's key",
  'qe-identity': "the quoting enclave is the platform vendor's",
  'tdx-module': "the TDX module is the platform vendor's",
  'tcb-status': 'the platform is as new as the policy wants it',
  'td-attributes': 'nobody can look into the trust domain',
  'event-log': "the event log leads to the quote's RTMRs",
  measurements: 'the program is one that the policy allows',
  binding: 'the quote is about these keys, and fresh',
} as const;

export type CheckName = keyof typeof CHECKS;

export type Check = {
  readonly name: CheckName;
  readonly passed: boolean;
  /** For people, one line: what holds, why it does not, or that it was not reached. */
  readonly words: string;
};

/** What accepted evidence proves. */
export type EvidenceFacts = {
  readonly status: TcbStatus;
  readonly advisories: readonly string[];
  /** Unix seconds: when the platform was overtaken, where it is behind. */
  readonly behindSince: number | undefined;
  readonly evaluationNumber: number;
  readonly platform: Platform;
  readonly measurements: Measurements;
  readonly instanceId: string | undefined;
  /** Unix seconds at which the same evidence would be refused: collateral has ended by then, or a grace. */
  readonly validUntil: number;
};

export type EvidenceReport = { readonly checks: readonly Check[] } & (
  | { readonly accepted: true; readonly facts: EvidenceFacts }
  | { readonly accepted: false; readonly error: BitcloakError }
);

/** The facts of accepted evidence. Throws the error of refused. */
export function factsOfReport(report: EvidenceReport): EvidenceFacts {
  if (report.accepted) return report.facts;
  throw report.error;
}

/**
 * Makes all checks, up to the first that fails. Whatever is wrong with the evidence is in the report; only expectations that cannot be meant throw,
 * `USAGE`.
 *
 * @param verifier one that is kept saves checking the signatures of the same collateral again. Its anchor has to be the one expected.
 */
export async function verifyEvidence(
  evidence: Evidence,
  expectations: Expectations,
  verifier: CollateralVerifier = new CollateralVerifier(expectations.anchor),
): Promise<EvidenceReport> {
  checkExpectations(expectations, verifier);
  const run = new Run();
  try {
    const facts = await runChecks(run, evidence, expectations, verifier);
    return { accepted: true, facts, checks: run.checks() };
  } catch (error) {
    return { accepted: false, error: refusalOf(error), checks: run.checks(refusalOf(error)) };
  }
}

function checkExpectations(expectations: Expectations, verifier: CollateralVerifier): void {
  const { anchor, clock, tcb, measurements, binding, nonce } = expectations;
  checkPolicies(tcb, measurements);
  eraReportData(binding, nonce);
  if (!Number.isSafeInteger(clock) || clock < 0) throw new BitcloakError('USAGE', 'clock: expected unix seconds');
  if (!isEqual(anchor.publicKey, verifier.anchor.publicKey)) {
    throw new BitcloakError('USAGE', `verifier: expected one for ${anchor.name}, got one for ${verifier.anchor.name}`);
  }
}

/** Whatever else goes wrong while evidence is read was made to by the evidence. */
function refusalOf(error: unknown): BitcloakError {
  return error instanceof BitcloakError ? error : malformed('the evidence cannot be read', error);
}

/** Keeps what was reached. */
class Run {
  readonly #passed = new Map<CheckName, string>();

  async check<T>(name: CheckName, work: () => T | Promise<T>, words?: (result: T) => string): Promise<T> {
    const result = await work();
    this.#passed.set(name, words === undefined ? CHECKS[name] : words(result));
    return result;
  }

  checks(error?: BitcloakError): Check[] {
    let isReached = true;
    return Object.keys(CHECKS).map((key) => {
      const name = key as CheckName;
      const words = this.#passed.get(name);
      if (words !== undefined) return { name, passed: true, words };
      const why = isReached && error !== undefined ? error.message : 'not reached';
      isReached = false;
      return { name, passed: false, words: why };
    });
  }
}

async function runChecks(
  run: Run,
  evidence: Evidence,
  expectations: Expectations,
  verifier: CollateralVerifier,
): Promise<EvidenceFacts> {
  const { tcb, clock, measurements: allowed, binding, nonce } = expectations;
  const quote = await run.check('quote', () => parseQuote(evidence.quote));
  const { report } = quote;
  const collateral = await run.check('collateral', () => verifier.read(evidence.collateral));
  await run.check('collateral-signatures', () => verifier.checkSignatures(collateral));
  const pckChain = await run.check('pck-chain', () => pckChainOf(quote, verifier));
  const validUntil = await run.check(
    'validity',
    () => checkValidity(collateral, pckChain, tcb, clock),
    (until) => `${CHECKS.validity}, until ${formatTime(until)}`,
  );
  const { tcbInfoChain, qeIdentityChain, crlChain } = collateral;
  await run.check('revocation', () => checkRevocation(collateral, [pckChain, tcbInfoChain, qeIdentityChain, crlChain]));
  const [pck] = pckChain;
  const platform = await run.check('platform', () => {
    checkEvaluationNumber(collateral.tcbInfo, tcb, 'TCB info');
    checkEvaluationNumber(collateral.qeIdentity, tcb, 'QE identity');
    return checkPlatform(verifier.platformOf(pck), collateral.tcbInfo);
  });
  await run.check('quoting-enclave', () => checkQuotingEnclave(quote, pck));
  await run.check('quote-signature', () => checkQuoteSignature(quote));
  const qe = await run.check('qe-identity', () => qeStanding(quote.qeReport, collateral.qeIdentity));
  const module = await run.check('tdx-module', () => moduleStanding(report, collateral.tcbInfo));
  const { standing, graceEnd } = await run.check(
    'tcb-status',
    () => {
      const merged = mergedStanding(platformStanding(platform, report, collateral.tcbInfo), module, qe);
      return { standing: merged, graceEnd: checkStanding(merged, tcb, clock) };
    },
    ({ standing: { status }, graceEnd: end }) =>
      `the platform is ${status}${end === undefined ? '' : `, which is accepted until ${formatTime(end)}`}`,
  );
  await run.check('td-attributes', () => checkTdAttributes(report));
  const events = await run.check(
    'event-log',
    () => (evidence.eventLog === undefined ? undefined : verifyEventLog(evidence.eventLog, report)),
    (facts) => (facts === undefined ? 'there is no event log, and nothing is taken from one' : CHECKS['event-log']),
  );
  const measured = await run.check('measurements', () => {
    const measurements = measurementsOf(report, events);
    checkMeasurements(measurements, allowed);
    return measurements;
  });
  await run.check('binding', () => checkBinding(report.reportData, binding, nonce));
  return {
    ...standing,
    evaluationNumber: collateral.tcbInfo.evaluationNumber,
    platform,
    measurements: measured,
    instanceId: events?.instanceId,
    validUntil: Math.min(validUntil, graceEnd ?? validUntil),
  };
}

type PckChain = readonly [Certificate, ...Certificate[]];

/** The certificates of a quote, up to the anchor. Throws `EVIDENCE_MALFORMED` and `EVIDENCE_UNTRUSTED`. */
export async function pckChainOf(quote: Quote, { anchor, store }: CollateralVerifier): Promise<PckChain> {
  // Quotes carry the chain with the zero that ended it in C.
  const bytes = quote.pckChain.at(-1) === 0 ? quote.pckChain.subarray(0, -1) : quote.pckChain;
  const [pck, ...authorities] = store.parseChain(textOf(bytes, 'PCK chain'), PCK_CHAIN);
  if (pck === undefined) throw malformed('PCK chain: there is no certificate');
  const chain: PckChain = [pck, ...authorities];
  await checkChain(chain, PCK_CHAIN, anchor, store);
  return chain;
}

function checkPlatform(platform: Platform, { fmspc, pceId }: TcbInfo): Platform {
  for (const [field, own, wanted] of [
    ['FMSPC', platform.fmspc, fmspc],
    ['PCE id', platform.pceId, pceId],
  ] as const) {
    if (own !== wanted) throw untrusted(`TCB info: expected one for ${field} ${own}, got one for ${wanted}`);
  }
  return platform;
}

/** Throws `EVIDENCE_UNTRUSTED` unless the PCK signed the quoting enclave's report, and that names the quote's key. */
export async function checkQuotingEnclave(quote: Quote, pck: Certificate): Promise<void> {
  const { qeReport, qeReportSigned, qeReportSignature, attestationKey, qeAuthData } = quote;
  if (!(await isSignature(pck.publicKey, qeReportSigned, qeReportSignature))) {
    throw untrusted('quoting enclave: the signature of its report is wrong');
  }
  const keyHash = sha256(concat(attestationKey, qeAuthData));
  if (!isEqual(qeReport.reportData.subarray(0, 32), keyHash) || !isZero(qeReport.reportData.subarray(32))) {
    throw untrusted(`quoting enclave: its report is not about the key ${hexOf(attestationKey.subarray(0, 8))}…`);
  }
}

/** Throws `EVIDENCE_UNTRUSTED`. */
export async function checkQuoteSignature({ attestationKey, signed, signature }: Quote): Promise<void> {
  if (!(await isSignature(concat(Uint8Array.of(4), attestationKey), signed, signature))) {
    throw untrusted('quote: its signature is wrong');
  }
}
