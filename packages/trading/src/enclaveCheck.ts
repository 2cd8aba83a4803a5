import { encodeEra, decodeEra, decodeEvidence } from '@bitcloak/attestation/wire';
import type { EraBinding } from '@bitcloak/attestation/binding';
import { isEqual, malformed } from '@bitcloak/attestation/bytes';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import { hasKeys, parseJson } from '@bitcloak/attestation/json';
import type { Trust } from '@bitcloak/attestation/trust';
import { factsOfReport, verifyEvidence, type Evidence } from '@bitcloak/attestation/verify';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { randomBytes } from '@noble/hashes/utils.js';
import type { Ask } from './ask.ts';
import type { OperatorCheck } from './client.ts';
import { OperatorRefusal } from './refusals.ts';
import { hexOf, type OperatorInfo } from './wire.ts';

/** Several times what a quote, an event log and collateral come to. */
export const ATTESTATION_BYTES_MAX = 2 * 1024 * 1024;

/** A quote takes the enclave's machine up to a second: the same keys are asked for one again after so long. */
const VERIFIED_SECONDS_MAX = 3_600;

const NONCE_BYTES = 32;

/** The operator that is meant, where the chain has it. */
export type ExpectedOperator = {
  readonly chainId: bigint;
  /** Addresses. */
  readonly pool: bigint;
  readonly registry: bigint;
  /** In the registry. */
  readonly operator: number;
};

/** The keys of an era. */
export type EraKeys = Pick<EraBinding, 'number' | 'signer' | 'encryptionKey' | 'apiKey'>;

export type EnclaveCheckOptions = {
  readonly trust: Trust;
  readonly expected: ExpectedOperator;
  /** The keys of an era of the expected operator that the chain has active now: asked of an endpoint that is not the operator's. */
  readonly era: (number: bigint) => Promise<EraKeys | undefined>;
  /** Unix seconds; the machine's unless given. */
  readonly clock?: () => number;
};

/**
 * Makes the check of a `TradingClient` that lets it speak to nothing but the measured enclave: the operator has to be the expected one, its keys
 * those of an era that the chain has active now, which is looked up each time, and fresh evidence has to bind just these keys to a machine and a
 * program that are trusted, which is asked for again after an hour, and for other keys. The check throws `OPERATOR_MISMATCH`, what
 * `askAttestation` throws, and the error of the evidence's first check that fails.
 */
export function enclaveCheck({ trust, expected, era, clock = machineClock }: EnclaveCheckOptions): OperatorCheck {
  const verifier = new CollateralVerifier(trust.anchor);
  let verified: { readonly keys: string; readonly from: number; readonly until: number } | undefined;
  let running: { readonly keys: string; readonly work: Promise<void> } | undefined;
  const verify = async (binding: EraBinding, keys: string, ask: Ask): Promise<void> => {
    const time = clock();
    if (verified?.keys === keys && verified.from <= time && time < verified.until) return;
    const nonce = freshNonce();
    const shown = await askAttestation(ask, nonce);
    checkShown(shown.era, binding);
    // Collateral can be from after the question.
    const now = clock();
    const report = await verifyEvidence(shown.evidence, { ...trust, clock: now, binding, nonce }, verifier);
    const { validUntil } = factsOfReport(report);
    verified = { keys, from: now, until: Math.min(now + VERIFIED_SECONDS_MAX, validUntil) };
  };
  return async (info, ask) => {
    const binding = await activeKeys(info, expected, era);
    const keys = JSON.stringify(encodeEra(binding));
    // Requests that come at once share one quote.
    if (running?.keys === keys) return running.work;
    const own = { keys, work: verify(binding, keys, ask) };
    running = own;
    try {
      await own.work;
    } finally {
      if (running === own) running = undefined;
    }
  };
}

/** Unix seconds of this machine. */
export const machineClock = () => Math.floor(Date.now() / 1000);

/** What nobody can have had a quote made for before. */
export const freshNonce = () => randomBytes(NONCE_BYTES);

/** Throws `OPERATOR_MISMATCH` unless it is the expected operator that says this of itself. */
export function checkOperator(info: OperatorInfo, expected: ExpectedOperator): void {
  const { chainId, pool, registry, operator } = expected;
  const isSame =
    info.chainId === chainId && info.pool === pool && info.registry === registry && info.operator === operator;
  if (isSame) return;
  throw new BitcloakError('OPERATOR_MISMATCH', 'this is another operator, or one of another chain, pool or registry');
}

/** Throws `OPERATOR_MISMATCH` unless an operator names the keys of this era. */
export function checkNamedKeys(info: OperatorInfo, era: EraKeys): void {
  if (namesKeys(info, era)) return;
  throw new BitcloakError('OPERATOR_MISMATCH', `era ${info.era}: the operator's keys are not those of the registry`);
}

export function namesKeys(info: OperatorInfo, era: EraKeys): boolean {
  return info.era === era.number && (['encryptionKey', 'apiKey'] as const).every((key) => isEqual(era[key], info[key]));
}

/** What evidence has to be about: the chain's word, and nothing of the operator's but which of its eras it is. */
async function activeKeys(
  info: OperatorInfo,
  expected: ExpectedOperator,
  era: EnclaveCheckOptions['era'],
): Promise<EraBinding> {
  checkOperator(info, expected);
  const active = await era(info.era);
  if (active === undefined) {
    throw new BitcloakError('OPERATOR_MISMATCH', `era ${info.era}: the registry holds no active keys of it`);
  }
  checkNamedKeys(info, active);
  return bindingOf(expected, active);
}

export function bindingOf({ chainId, registry, operator }: ExpectedOperator, keys: EraKeys): EraBinding {
  const { number, signer, encryptionKey, apiKey } = keys;
  return { chainId, registry, operator: BigInt(operator), number, signer, encryptionKey, apiKey };
}

/** What an enclave shows of itself, and the keys that it says it is about. */
export type ShownEnclave = { readonly era: EraBinding; readonly evidence: Evidence };

/**
 * Asks an enclave for evidence about its keys and a nonce. Nothing of it is verified yet. Throws what `ask` throws, `OperatorRefusal` where there is
 * none, and `EVIDENCE_MALFORMED`.
 *
 * @param nonce 32 fresh bytes.
 * @param era its number; the newest that the enclave has unless given.
 */
export async function askAttestation(ask: Ask, nonce: Uint8Array, era?: bigint): Promise<ShownEnclave> {
  const query = era === undefined ? '' : `&era=${era}`;
  const text = await ask(`/attestation?nonce=${hexOf(nonce)}${query}`, ATTESTATION_BYTES_MAX).catch(
    (error: unknown) => {
      if (!(error instanceof OperatorRefusal)) throw error;
      const { code, message, status, authenticated } = error;
      throw new OperatorRefusal(code, `no evidence of the enclave: ${message}`, { status, authenticated });
    },
  );
  const json = parseJson(text, 'attestation');
  if (!hasKeys(json, ['era', 'evidence'])) throw malformed('attestation: expected era and evidence');
  return { era: decodeEra(json.era), evidence: decodeEvidence(json.evidence) };
}

/** Throws `BINDING_REFUSED` where an enclave says itself that its evidence is about something else. */
export function checkShown(shown: EraBinding, binding: EraBinding): void {
  const [said, wanted] = [encodeEra(shown), encodeEra(binding)];
  const differing = (Object.keys(wanted) as (keyof typeof wanted)[]).filter((field) => said[field] !== wanted[field]);
  if (differing.length === 0) return;
  throw new BitcloakError('BINDING_REFUSED', `the evidence is about another ${differing.join(', ')} than expected`);
}
