import { BitcloakError } from '@bitcloak/protocol/errors';
import { INTEL_ROOT, type TrustAnchor } from './anchor.ts';
import { bytesOfHex } from './bytes.ts';
import { hasKeys } from './json.ts';
import { checkPolicies, type MeasurementPolicy, type Measurements, type TcbPolicy } from './policy.ts';
import { TCB_STATUSES, type TcbStatus } from './tcbStatus.ts';

/** Whom, and what, somebody trusts who verifies evidence. */
export type Trust = {
  readonly anchor: TrustAnchor;
  readonly tcb: TcbPolicy;
  readonly measurements: MeasurementPolicy;
};

const TRUST_FIELDS = ['anchor', 'tcb', 'measurements'] as const;
const TCB_FIELDS = [
  'accepted',
  'graced',
  'graceSeconds',
  'evaluationNumberMin',
  'collateralSecondsMax',
  'advisoriesRefused',
] as const satisfies readonly (keyof TcbPolicy)[];
const MEASURED = ['mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'composeHash', 'appId', 'osImageHash', 'keyProvider'] as const;

/**
 * Reads what a file says of trust: `anchor`, which is `intel` or a name and a key, the fields of `TcbPolicy` under `tcb`, and the allowed sets under
 * `measurements`. Unknown fields are refused: one that is misspelt would be a check that is not made. Throws `USAGE`.
 */
export function readTrust(json: unknown): Trust {
  if (!hasKeys(json, TRUST_FIELDS)) throw refused(`expected ${TRUST_FIELDS.join(', ')}`);
  const trust: Trust = {
    anchor: readAnchor(json.anchor),
    tcb: readTcb(json.tcb),
    measurements: { allowed: listOf(json.measurements, 'measurements').map(readMeasurements) },
  };
  checkPolicies(trust.tcb, trust.measurements);
  return trust;
}

function readAnchor(json: unknown): TrustAnchor {
  if (json === 'intel') return INTEL_ROOT;
  if (!hasKeys(json, ['name', 'publicKey'])) throw refused('anchor: expected intel, or name and publicKey');
  const { name, publicKey } = json;
  if (typeof name !== 'string' || typeof publicKey !== 'string') throw refused('anchor: expected texts');
  try {
    return { name, publicKey: bytesOfHex(publicKey, 'publicKey', 65) };
  } catch (error) {
    throw refused((error as Error).message);
  }
}

function readTcb(json: unknown): TcbPolicy {
  if (!hasKeys(json, TCB_FIELDS)) throw refused(`tcb: expected ${TCB_FIELDS.join(', ')}`);
  const seconds = (field: 'graceSeconds' | 'evaluationNumberMin' | 'collateralSecondsMax'): number => {
    const value = json[field];
    if (typeof value === 'number') return value;
    throw refused(`tcb.${field}: expected a number`);
  };
  const statuses = (field: 'accepted' | 'graced'): TcbStatus[] =>
    textsOf(json[field], `tcb.${field}`).map((text) => {
      const status = TCB_STATUSES.find((known) => known === text);
      if (status === undefined) throw refused(`tcb.${field}: there is no status ${text}`);
      return status;
    });
  return {
    accepted: statuses('accepted'),
    graced: statuses('graced'),
    graceSeconds: seconds('graceSeconds'),
    evaluationNumberMin: seconds('evaluationNumberMin'),
    collateralSecondsMax: seconds('collateralSecondsMax'),
    advisoriesRefused: textsOf(json.advisoriesRefused, 'tcb.advisoriesRefused'),
  };
}

function readMeasurements(json: unknown): Measurements {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw refused('measurements: expected objects');
  for (const [field, value] of Object.entries(json)) {
    if (!MEASURED.some((known) => known === field)) throw refused(`measurements: there is no ${field}`);
    if (typeof value !== 'string') throw refused(`measurements.${field}: expected a text`);
  }
  return json as Measurements;
}

function listOf(json: unknown, field: string): unknown[] {
  if (Array.isArray(json)) return json;
  throw refused(`${field}: expected a list`);
}

function textsOf(json: unknown, field: string): string[] {
  const list = listOf(json, field);
  if (list.every((value) => typeof value === 'string')) return list;
  throw refused(`${field}: expected texts`);
}

function refused(what: string): BitcloakError {
  return new BitcloakError('USAGE', `trust: ${what}`);
}
