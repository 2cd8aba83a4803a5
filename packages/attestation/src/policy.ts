import { keccak_256 } from '@noble/hashes/sha3.js';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { bytesOfHex, hexOf } from './bytes.ts';
import type { Issue } from './collateral.ts';
import type { EventLogFacts } from './eventLog.ts';
import type { TdReport } from './quote.ts';
import type { Standing } from './tcb.ts';
import { TCB_STATUSES, type TcbStatus } from './tcbStatus.ts';

/** What a platform's standing has to be. `Revoked` is refused whatever a policy says. */
export type TcbPolicy = {
  /** Accepted for as long as Intel says so. */
  readonly accepted: readonly TcbStatus[];
  /** Accepted for `graceSeconds` from the moment at which the platform was overtaken. */
  readonly graced: readonly TcbStatus[];
  readonly graceSeconds: number;
  /** The least TCB evaluation data number of TCB info and QE identity. */
  readonly evaluationNumberMin: number;
  /** The greatest age of TCB info, QE identity and PCK CRL, whatever they say of themselves. */
  readonly collateralSecondsMax: number;
  /** Advisories, such as `INTEL-SA-00837`, with any of which a platform is refused. */
  readonly advisoriesRefused: readonly string[];
};

/** One way of running the enclave. Lowercase hex; what is undefined may be anything. */
export type Measurements = {
  /** 48 bytes each. RTMR0 depends on processors and memory of the virtual machine. */
  readonly mrTd: string;
  readonly rtmr0: string;
  readonly rtmr1: string;
  readonly rtmr2: string;
  /** SHA-256 of the compose file's bytes. */
  readonly composeHash: string;
  /** 20 bytes. */
  readonly appId?: string;
  /** 32 bytes. */
  readonly osImageHash?: string;
  /** The text that the event `key-provider` holds. */
  readonly keyProvider?: string;
};

export type MeasurementPolicy = { readonly allowed: readonly Measurements[] };

const HEX_BYTES: Readonly<Partial<Record<keyof Measurements, number>>> = {
  mrTd: 48,
  rtmr0: 48,
  rtmr1: 48,
  rtmr2: 48,
  composeHash: 32,
  appId: 20,
  osImageHash: 32,
};

const REQUIRED: readonly string[] = ['mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'composeHash'];

function refusePolicy(what: string): never {
  throw new BitcloakError('USAGE', `policy: ${what}`);
}

/** Throws `USAGE` for policies that cannot be meant. */
export function checkPolicies(tcb: TcbPolicy, measurements: MeasurementPolicy): void {
  for (const field of ['graceSeconds', 'evaluationNumberMin', 'collateralSecondsMax'] as const) {
    if (!Number.isSafeInteger(tcb[field]) || tcb[field] < 0) refusePolicy(`${field}: expected a whole number`);
  }
  for (const status of [...tcb.accepted, ...tcb.graced]) {
    if (!TCB_STATUSES.includes(status)) refusePolicy(`there is no status ${status}`);
    if (status === 'Revoked') refusePolicy('Revoked can never be accepted');
  }
  measurements.allowed.forEach(checkMeasurementSet);
}

/** Throws `USAGE` for a set that nothing can be measured to be. */
export function checkMeasurementSet(set: Measurements): void {
  for (const [field, bytes] of Object.entries(HEX_BYTES)) {
    const value = set[field as keyof Measurements];
    if (value === undefined && !REQUIRED.includes(field)) continue;
    if (value?.length !== 2 * bytes || !/^[0-9a-f]*$/.test(value)) {
      refusePolicy(`${field}: expected ${bytes} bytes of lowercase hex`);
    }
  }
}

/** Throws `TCB_REFUSED` for collateral from before the newest TCB recovery that the policy insists on. */
export function checkEvaluationNumber({ evaluationNumber }: Issue, policy: TcbPolicy, field: string): void {
  if (evaluationNumber < policy.evaluationNumberMin) {
    throw new BitcloakError(
      'TCB_REFUSED',
      `${field}: expected an evaluation data number of ${policy.evaluationNumberMin} or more, got ${evaluationNumber}`,
    );
  }
}

/**
 * Throws `EVIDENCE_REVOKED` for a revoked platform, `TCB_REFUSED` for one that the policy does not accept, or no longer.
 *
 * @returns unix seconds of the end of the grace that it is accepted by, or undefined where none is needed.
 */
export function checkStanding(standing: Standing, policy: TcbPolicy, clock: number): number | undefined {
  const { status, advisories, behindSince } = standing;
  if (status === 'Revoked') throw new BitcloakError('EVIDENCE_REVOKED', 'TCB: Intel has revoked the platform');
  const advisory = advisories.find((name) => policy.advisoriesRefused.includes(name));
  if (advisory !== undefined) throw new BitcloakError('TCB_REFUSED', `TCB: ${advisory} holds for the platform`);
  if (policy.accepted.includes(status)) return undefined;
  if (!policy.graced.includes(status) || behindSince === undefined) {
    throw new BitcloakError('TCB_REFUSED', `TCB: the status ${status} is not accepted`);
  }
  const end = behindSince + policy.graceSeconds;
  if (clock >= end) {
    throw new BitcloakError('TCB_REFUSED', `TCB: the status ${status} was accepted until ${formatTime(end)}`);
  }
  return end;
}

export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** Form of MRCONFIGID in which dstack from 0.5 on writes the compose file's hash. */
const CONFIG_ID_COMPOSE_HASH = /^01([0-9a-f]{64})0{30}$/;

/**
 * The hash of the compose file that a trust domain was started with, in hex. MRCONFIGID and the event log each may tell it, and where both do they have to
 * agree. Throws `MEASUREMENT_REFUSED` where they do not, or neither tells.
 */
export function composeHashOf({ mrConfigId }: TdReport, events: EventLogFacts | undefined): string {
  const configId = hexOf(mrConfigId);
  const configured = CONFIG_ID_COMPOSE_HASH.exec(configId)?.[1];
  if (configured === undefined && configId.startsWith('01')) {
    throw new BitcloakError('MEASUREMENT_REFUSED', 'MRCONFIGID: expected zeros after the hash of the compose file');
  }
  const hash = events?.composeHash ?? configured;
  if (hash === undefined) {
    throw new BitcloakError(
      'MEASUREMENT_REFUSED',
      'neither MRCONFIGID nor an event log tells the hash of the compose file',
    );
  }
  if (configured !== undefined && configured !== hash) {
    throw new BitcloakError('MEASUREMENT_REFUSED', 'MRCONFIGID and the event log tell different compose files');
  }
  return hash;
}

/** What a trust domain is measured to be, in the form of the policy's sets. Throws `MEASUREMENT_REFUSED` as `composeHashOf` does. */
export function measurementsOf(report: TdReport, events: EventLogFacts | undefined): Measurements {
  const [rtmr0, rtmr1, rtmr2] = report.rtmrs;
  const { appId, osImageHash, keyProvider } = events ?? {};
  return {
    mrTd: hexOf(report.mrTd),
    rtmr0: hexOf(rtmr0),
    rtmr1: hexOf(rtmr1),
    rtmr2: hexOf(rtmr2),
    composeHash: composeHashOf(report, events),
    ...(appId === undefined ? {} : { appId }),
    ...(osImageHash === undefined ? {} : { osImageHash }),
    ...(keyProvider === undefined ? {} : { keyProvider }),
  };
}

/** What contracts know measurements by, in hex: Keccak-256 of MRTD, RTMR0, RTMR1, RTMR2 and the compose file's hash. */
export function measurementDigest({ mrTd, rtmr0, rtmr1, rtmr2, composeHash }: Measurements): string {
  return hexOf(keccak_256(bytesOfHex([mrTd, rtmr0, rtmr1, rtmr2, composeHash].join(''), 'measurements', 4 * 48 + 32)));
}

/** Throws `MEASUREMENT_REFUSED` unless one of the allowed sets fits as a whole. */
export function checkMeasurements(measured: Measurements, { allowed }: MeasurementPolicy): void {
  const differences = allowed.map((set) =>
    Object.entries(set).flatMap(([field, value]) => (measured[field as keyof Measurements] === value ? [] : [field])),
  );
  const [closest] = differences.toSorted((left, right) => left.length - right.length);
  if (closest === undefined) throw new BitcloakError('MEASUREMENT_REFUSED', 'the policy allows no measurements');
  if (closest.length > 0) {
    throw new BitcloakError('MEASUREMENT_REFUSED', `no allowed set fits; the closest differs in ${closest.join(', ')}`);
  }
}
