import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { openServer } from '@bitcloak/service/http';
import type { FastifyError, FastifyInstance } from 'fastify';
import { decodeRequest, EvidenceRefusal, type AttestationReply, type Attestor } from './attestor.ts';

export type AttestorService = {
  readonly attestor: Attestor;
  /** Requests that one address, or one IPv6 network of 64 bits, may make in a minute. */
  readonly ratePerMinute: number;
  readonly trustedProxies?: readonly string[];
  readonly report?: (line: AttestorReport) => void;
};

/** What the service tells who runs it. Evidence is public: the registry has it in the end. */
export type AttestorReport =
  | { readonly kind: 'signed' }
  | { readonly kind: 'refused'; readonly code: string }
  /** Evidence that it signed for does not hold any more, and what rests on it should be ended. `code`: why. */
  | {
      readonly kind: 'withdrawn';
      /** Its digest. */
      readonly statement: string;
      readonly operator: string;
      readonly era: string;
      /** Address that the era's settlements are signed by. */
      readonly signer: string;
      readonly code: string;
    }
  /** So many statements could not be judged, and none was withdrawn for it: a collateral service does not answer, or is behind. */
  | { readonly kind: 'unchecked'; readonly code: string; readonly statements: number };

/** An answer to who asks whether a statement is withdrawn; null where it is not, whether it was ever signed or not. */
export type WithdrawalReply = { readonly withdrawal: { readonly signature: string; readonly code: string } | null };

const LIMITS = {
  /** Evidence takes some 60 KB, with a large event log and CRLs some hundreds. */
  bodyBytesMax: 2 * 1024 * 1024,
  headAndBodyMsMax: 30_000,
  connectionsMax: 200,
  connectionsPerAddressMax: 20,
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
  app.get('/health', () => ({ status: 'ok', ...attestor.standing }));
  app.post('/v1/attestations', async ({ body }): Promise<AttestationReply> => {
    const reply = await attestor.attest(decodeRequest(body));
    report({ kind: 'signed' });
    return reply;
  });
  app.get<{ Params: { statement: string } }>('/v1/withdrawals/:statement', ({ params }): WithdrawalReply => {
    const { signature, code } = attestor.withdrawal(params.statement) ?? {};
    return { withdrawal: signature === undefined || code === undefined ? null : { signature, code } };
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
