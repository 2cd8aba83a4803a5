import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import { eraReportData, type EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex, hexOf } from '@bitcloak/attestation/bytes';
import type { Collateral } from '@bitcloak/attestation/collateral';
import {
  DevelopmentAuthority,
  type CollateralOptions,
  type QuoteOptions,
} from '@bitcloak/attestation/development/authority';
import {
  configIdOf,
  developmentEvents,
  rtmrsAfter,
  type DevelopmentBoot,
  type WrittenEvent,
} from '@bitcloak/attestation/development/eventLog';
import type { Measurements, TcbPolicy } from '@bitcloak/attestation/policy';
import {
  verifyEvidence,
  type CheckName,
  type Evidence,
  type EvidenceReport,
  type Expectations,
} from '@bitcloak/attestation/verify';
import type { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import type { ErrorCode } from '@bitcloak/protocol/errors';

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/attestation');

export const DAY = 86_400;

export const seconds = (time: string) => Date.parse(time) / 1000;

/** A moment at which the collateral of Intel's fixture was valid. */
export const INTEL_CLOCK = seconds('2025-06-25T00:00:00Z');

export const intelQuote = () => new Uint8Array(readFileSync(path.join(FIXTURES, 'tdx_quote')));

export function intelCollateral(): Collateral {
  const json = JSON.parse(readFileSync(path.join(FIXTURES, 'tdx_quote_collateral.json'), 'utf8')) as Record<
    string,
    string
  >;
  const text = (name: string) => json[name] ?? assert.fail(name);
  return {
    tcbInfo: text('tcb_info'),
    tcbInfoSignature: text('tcb_info_signature'),
    tcbInfoIssuerChain: text('tcb_info_issuer_chain'),
    qeIdentity: text('qe_identity'),
    qeIdentitySignature: text('qe_identity_signature'),
    qeIdentityIssuerChain: text('qe_identity_issuer_chain'),
    rootCaCrl: text('root_ca_crl'),
    pckCrl: text('pck_crl'),
    pckCrlIssuerChain: text('pck_crl_issuer_chain'),
  };
}

export function dstackEvidence(): { quote: Uint8Array; eventLog: string } {
  const json = JSON.parse(readFileSync(path.join(FIXTURES, 'tdx-lite-getquote.json'), 'utf8')) as {
    quote: string;
    event_log: string;
  };
  return { quote: bytesOfHex(json.quote, 'quote'), eventLog: json.event_log };
}

export const STRICT_TCB: TcbPolicy = {
  accepted: ['UpToDate'],
  graced: [],
  graceSeconds: 0,
  evaluationNumberMin: 1,
  collateralSecondsMax: 30 * DAY,
  advisoriesRefused: [],
};

export const ERA: EraBinding = {
  chainId: 31337n,
  registry: 0x5fbdb2315678afecb367f032d93f642f64180aa3n,
  operator: 1n,
  number: 7n,
  signer: 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266n,
  encryptionKey: new Uint8Array(32).fill(0xe1),
  apiKey: new Uint8Array(32).fill(0xa1),
};

export const NONCE = new Uint8Array(32).fill(0x11);

/** Nothing is allowed: the fixture's program is not ours, so its checks end at `measurements`. */
export const INTEL_EXPECTATIONS: Expectations = {
  anchor: INTEL_ROOT,
  clock: INTEL_CLOCK,
  tcb: { ...STRICT_TCB, evaluationNumberMin: 17 },
  measurements: { allowed: [] },
  binding: ERA,
  nonce: NONCE,
};

/** The clock of simulated evidence. */
export const CLOCK = seconds('2026-11-01T00:00:00Z');
export const SEED = new Uint8Array(32).fill(0x5e);

export const BOOT: DevelopmentBoot = {
  appId: 'ab'.repeat(20),
  composeHash: 'c0'.repeat(32),
  instanceId: '1d'.repeat(20),
  osImageHash: '05'.repeat(32),
  keyProvider: '{"name":"kms","id":"00"}',
};

export const MR_TD = new Uint8Array(48).fill(0x7d);

export type Simulation = {
  readonly authority?: DevelopmentAuthority;
  readonly events?: readonly WrittenEvent[];
  /** Where it is another one than the RTMRs are made of. */
  readonly eventLog?: string | undefined;
  readonly quote?: Partial<QuoteOptions>;
  readonly collateral?: CollateralOptions;
  /** In place of parts of what the authority issued. */
  readonly altered?: Partial<Collateral>;
};

const shared = new DevelopmentAuthority(SEED, CLOCK);

export const developmentAuthority = () => shared;

/** Evidence that is accepted as it stands, or with whatever is asked for. */
export function simulatedEvidence(simulation: Simulation = {}): Evidence {
  const { authority = developmentAuthority(), events = developmentEvents(BOOT) } = simulation;
  const quote = authority.quote({
    reportData: eraReportData(ERA, NONCE),
    mrTd: MR_TD,
    mrConfigId: configIdOf(BOOT.composeHash),
    rtmrs: rtmrsAfter(events),
    ...simulation.quote,
  });
  const collateral = { ...issuedCollateral(authority, simulation.collateral), ...simulation.altered };
  const eventLog = 'eventLog' in simulation ? simulation.eventLog : JSON.stringify(events);
  return { quote, collateral, ...(eventLog === undefined ? {} : { eventLog }) };
}

const usualCollateral = shared.collateral(CLOCK);

/** Issuing takes longer than verifying, and most tests want the same. */
function issuedCollateral(authority: DevelopmentAuthority, options: CollateralOptions | undefined): Collateral {
  return authority === shared && options === undefined ? usualCollateral : authority.collateral(CLOCK, options);
}

export function simulatedMeasurements(): Measurements {
  const [rtmr0, rtmr1, rtmr2] = rtmrsAfter(developmentEvents(BOOT));
  const hex = { rtmr0: hexOf(rtmr0), rtmr1: hexOf(rtmr1), rtmr2: hexOf(rtmr2) };
  return { mrTd: hexOf(MR_TD), ...hex, composeHash: BOOT.composeHash };
}

export function simulatedExpectations(expectations: Partial<Expectations> = {}): Expectations {
  return {
    anchor: developmentAuthority().anchor,
    clock: CLOCK + 60,
    tcb: STRICT_TCB,
    measurements: { allowed: [simulatedMeasurements()] },
    binding: ERA,
    nonce: NONCE,
    ...expectations,
  };
}

/** The name of the check that failed. */
export function failedCheck({ checks }: EvidenceReport): CheckName | undefined {
  return checks.find(({ passed }) => !passed)?.name;
}

/** Asserts that evidence is refused at this check, with this code. */
export async function assertRefused(
  evidence: Evidence,
  expectations: Expectations,
  [name, code, words]: readonly [CheckName, ErrorCode, RegExp?],
  verifier?: CollateralVerifier,
): Promise<void> {
  const report = await verifyEvidence(evidence, expectations, verifier);
  assert.ok(!report.accepted, 'the evidence was accepted');
  assert.deepEqual([failedCheck(report), report.error.code], [name, code], report.error.message);
  if (words !== undefined) assert.match(report.error.message, words);
  // One line for people, and nothing behind a failure.
  assert.doesNotMatch(report.error.message, /\n/);
  const failed = report.checks.findIndex(({ passed }) => !passed);
  assert.equal(report.checks[failed]?.words, report.error.message);
  for (const check of report.checks.slice(failed + 1)) {
    assert.deepEqual([check.passed, check.words], [false, 'not reached']);
  }
}
