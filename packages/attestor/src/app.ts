import { encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { openServer } from '@bitcloak/service/http';
import type { FastifyError, FastifyInstance } from 'fastify';
import {
  decodeRequest,
  EvidenceRefusal,
  type AttestationReply,
  type AttestationRequest,
  type Attestor,
} from './attestor.ts';

export type AttestorService = {
  readonly attestor: Attestor;
  /** Requests that one address, or one IPv6 network of 64 bits, may make in a minute. */
  readonly ratePerMinute: number;
  readonly trustedProxies?: readonly string[];
  readonly report?: (line: AttestorReport) => void;
};

/** What the service tells who runs it. Evidence is public: the registry has it in the end. */
export type AttestorReport = { readonly kind: 'signed' } | { readonly kind: 'refused'; readonly code: string };

const LIMITS = {
  /** Evidence takes some 60 KB, with a large event log and CRLs some hundreds. */
  bodyBytesMax: 2 * 1024 * 1024,
  headAndBodyMsMax: 30_000,
  connectionsMax: 200,
};

/** The attestor's HTTP service, not listening yet. */
export async function buildAttestor(service: AttestorService): Promise<FastifyInstance> {
  const { attestor, ratePerMinute, trustedProxies, report = () => undefined } = service;
  const app = await openServer(
    { ...LIMITS, ratePerMinute, trustedProxies },
    {
      answer: answerTo,
      tooMany: () => new BitcloakError('RATE_LIMITED', 'too many requests; try again in a minute'),
      notFound: () => new BitcloakError('USAGE', 'path: expected one of the attestor'),
      report: (error) => {
        report({ kind: 'refused', code: answerTo(error).body.code });
      },
    },
  );
  app.get('/health', () => ({ status: 'ok' }));
  app.post('/v1/attestations', async ({ body }): Promise<AttestationReply> => {
    const reply = await attestor.attest(decodeRequest(body));
    report({ kind: 'signed' });
    return reply;
  });
  return app;
}

const STATUSES: Partial<Record<ErrorCode, number>> = { RATE_LIMITED: 429, USAGE: 404 };

function answerTo(error: FastifyError): {
  status: number;
  body: { code: ErrorCode; message: string; checks?: object };
} {
  if (error instanceof EvidenceRefusal) {
    const { code, message, checks } = error;
    return { status: 422, body: { code, message, checks } };
  }
  if (error instanceof BitcloakError) {
    const { code, message } = error;
    return { status: STATUSES[code] ?? 400, body: { code, message } };
  }
  const { statusCode = 500, message } = error;
  if (statusCode < 500) return { status: statusCode, body: { code: 'USAGE', message } };
  return { status: statusCode, body: { code: 'ATTESTOR_FAILED', message: 'the attestor failed' } };
}

/** More than any answer has. */
const ANSWER_BYTES_MAX = 65_536;

/** Asks an attestor. Throws `ATTESTOR_FAILED` where it does not answer as it should, and what it refuses with. */
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
    text = await response.text();
  } catch (error) {
    throw failed('no answer', error);
  }
  if (text.length > ANSWER_BYTES_MAX) throw failed('too long an answer');
  const answer = parse(text);
  if (status === 200 && isText(answer['measurement']) && isText(answer['signature'])) {
    return { measurement: answer['measurement'], signature: answer['signature'] };
  }
  throw failed(isText(answer['message']) ? `${String(answer['code'])}, ${answer['message']}` : `status ${status}`);
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
