import { readBytes } from '@bitcloak/attestation/answer';
import { encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import { BitcloakError, shownWords } from '@bitcloak/protocol/errors';
import type { AttestationReply, AttestationRequest } from './attestor.ts';

/** More than any answer has. */
const ANSWER_BYTES_MAX = 65_536;

/** Asks an attestor. Throws `ATTESTOR_FAILED` where it does not answer as it should, with its own words where it refuses. */
export async function askAttestor(
  base: string,
  { evidence, era, nonce, validUntil }: AttestationRequest,
  msMax = 30_000,
): Promise<AttestationReply> {
  const failed = (why: string, cause?: unknown) =>
    new BitcloakError('ATTESTOR_FAILED', `the attestor ${new URL(base).host}: ${why}`, { cause });
  let status: number;
  let text: string;
  try {
    const response = await fetch(`${base.replace(/\/$/, '')}/v1/attestations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(msMax),
      body: JSON.stringify({ evidence: encodeEvidence(evidence), era: encodeEra(era), nonce, validUntil }),
    });
    status = response.status;
    text = new TextDecoder().decode(await readBytes(response, ANSWER_BYTES_MAX));
  } catch (error) {
    throw failed(error instanceof RangeError ? 'too long an answer' : 'no answer', error);
  }
  const answer = parse(text);
  if (status === 200 && isText(answer['measurement']) && isText(answer['signature'])) {
    return { measurement: answer['measurement'], signature: answer['signature'] };
  }
  const { code, message } = answer;
  throw failed(isText(code) && isText(message) ? shownWords(`${code}, ${message}`) : `status ${status}`);
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
