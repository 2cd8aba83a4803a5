import { readBytes } from '@bitcloak/attestation/answer';
import { encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import { BitcloakError, shownWords } from '@bitcloak/protocol/errors';
import type { WithdrawalReply } from './app.ts';
import type { AttestationReply, AttestationRequest } from './attestor.ts';

/** More than any answer has. */
const ANSWER_BYTES_MAX = 65_536;

/** Asks an attestor. Throws `ATTESTOR_FAILED` where it does not answer as it should, with its own words where it refuses. */
export async function askAttestor(
  base: string,
  { evidence, era, nonce, validUntil }: AttestationRequest,
  msMax = 30_000,
): Promise<AttestationReply> {
  const { status, answer } = await ask(base, '/v1/attestations', msMax, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ evidence: encodeEvidence(evidence), era: encodeEra(era), nonce, validUntil }),
  });
  const { measurement, signature } = answer;
  if (status === 200 && isText(measurement) && isText(signature)) return { measurement, signature };
  throw refusalOf(base, status, answer);
}

/**
 * Asks an attestor whether it has withdrawn a statement. Throws `ATTESTOR_FAILED` where it does not answer as it should.
 *
 * @param statement its digest.
 * @returns null where it has not. The signature is whoever's: nothing of it was checked.
 */
export async function askWithdrawal(
  base: string,
  statement: string,
  msMax = 30_000,
): Promise<WithdrawalReply['withdrawal']> {
  const { status, answer } = await ask(base, `/v1/withdrawals/${statement}`, msMax);
  const { withdrawal } = answer;
  if (status === 200 && withdrawal === null) return null;
  const { signature, code } = (withdrawal ?? {}) as Record<string, unknown>;
  if (status === 200 && isText(signature) && isText(code)) return { signature, code: shownWords(code) };
  throw refusalOf(base, status, answer);
}

type Answer = { readonly status: number; readonly answer: Record<string, unknown> };

async function ask(base: string, path: string, msMax: number, options: RequestInit = {}): Promise<Answer> {
  try {
    const response = await fetch(`${base.replace(/\/$/, '')}${path}`, {
      ...options,
      redirect: 'error',
      signal: AbortSignal.timeout(msMax),
    });
    const text = new TextDecoder().decode(await readBytes(response, ANSWER_BYTES_MAX));
    return { status: response.status, answer: parse(text) };
  } catch (error) {
    throw failureOf(base, error instanceof RangeError ? 'too long an answer' : 'no answer', error);
  }
}

function refusalOf(base: string, status: number, { code, message }: Record<string, unknown>): BitcloakError {
  return failureOf(base, isText(code) && isText(message) ? shownWords(`${code}, ${message}`) : `status ${status}`);
}

function failureOf(base: string, why: string, cause?: unknown): BitcloakError {
  return new BitcloakError('ATTESTOR_FAILED', `the attestor ${new URL(base).host}: ${why}`, { cause });
}

const isText = (value: unknown): value is string => typeof value === 'string';

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
