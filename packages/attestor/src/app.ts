import rateLimit from '@fastify/rate-limit';
import { encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
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

/** Evidence takes some 60 KB, with a large event log and CRLs some hundreds. */
const BODY_BYTES_MAX = 2 * 1024 * 1024;
const HEAD_AND_BODY_MS_MAX = 30_000;
const CONNECTIONS_MAX = 200;

/** The attestor's HTTP service, not listening yet. */
export async function buildAttestor(service: AttestorService): Promise<FastifyInstance> {
  const { attestor, ratePerMinute, trustedProxies, report = () => undefined } = service;
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: HEAD_AND_BODY_MS_MAX,
    exposeHeadRoutes: false,
    trustProxy: trustedProxies === undefined ? false : [...trustedProxies],
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const { status, ...body } = refusalOf(error);
    report({ kind: 'refused', code: body.code });
    void reply.status(status).send(body);
  });
  await app.register(rateLimit, {
    max: ratePerMinute,
    timeWindow: 60_000,
    errorResponseBuilder: () => new BitcloakError('RATE_LIMITED', 'too many requests; try again in a minute'),
  });
  app.get('/health', () => ({ status: 'ok' }));
  app.post('/v1/attestations', async ({ body }): Promise<AttestationReply> => {
    const reply = await attestor.attest(decodeRequest(body));
    report({ kind: 'signed' });
    return reply;
  });
  return app;
}

function refusalOf(error: FastifyError) {
  if (error instanceof EvidenceRefusal) {
    const { code, message, checks } = error;
    return { status: 422, code, message, checks };
  }
  if (error instanceof BitcloakError) {
    const { code, message } = error;
    return { status: code === 'RATE_LIMITED' ? 429 : 400, code, message };
  }
  const { statusCode = 500 } = error;
  const code: ErrorCode = statusCode < 500 ? 'USAGE' : 'ATTESTOR_FAILED';
  return { status: statusCode, code, message: statusCode < 500 ? error.message : 'the attestor failed' };
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
