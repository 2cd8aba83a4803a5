import { SEALED_TYPE } from '@bitcloak/trading/http';
import { KIND, packReply, SEALED_REQUEST_BYTES, unpackRequest, type InnerRequest } from '@bitcloak/trading/sealing';
import type { FastifyInstance } from 'fastify';
import { answers } from './answers.ts';
import type { DeadMan } from './deadMan.ts';
import { bodyOf, failureOf, type ApiReport } from './errors.ts';
import type { InnerApi } from './inner.ts';
import type { InnerAnswer } from './innerRequest.ts';
import { costOf } from './limits.ts';
import type { Rates } from './rates.ts';
import { failed, Refusal } from './refusal.ts';
import type { Sessions } from './sessions.ts';

export type Gate = {
  readonly sessions: Sessions;
  readonly rates: Rates<bigint>;
  readonly deadMan: DeadMan;
};

/** Of a route that takes so many bytes and nothing else, and answers with bytes. */
export function sealedOptions(bytes: number, description: string) {
  const content = (bounds: object) => ({
    content: { [SEALED_TYPE]: { schema: { type: 'string', format: 'binary', ...bounds } } },
  });
  return {
    bodyLimit: bytes,
    schema: {
      description,
      consumes: [SEALED_TYPE],
      body: content({ minLength: bytes, maxLength: bytes }),
      response: { ...answers({}), '2xx': content({}) },
    },
    // Bytes are no text, whatever OpenAPI calls them: `wholeBody` is what looks at them.
    validatorCompiler: () => () => true,
  };
}

/** Throws where a body is not so long as it always is. */
export function wholeBody(body: Uint8Array | undefined, bytes: number): Uint8Array {
  if (body?.length === bytes) return body;
  throw new Refusal(400, 'USAGE', `body: expected ${bytes} bytes`);
}

/** The one way to everything that is an owner's: its handlers run at most once for a sequence, and whatever it opened it answers under seal. */
export function addSealedRoute(
  scope: FastifyInstance,
  gate: Gate,
  inner: InnerApi,
  report: (line: ApiReport) => void,
): void {
  const description = 'A request of a session, sealed: see the routes that are marked so.';
  const options = sealedOptions(SEALED_REQUEST_BYTES, description);
  scope.post<{ Body?: Buffer }>('/sealed', options, async ({ body }, reply) => {
    const answer = await answerSealed(wholeBody(body, SEALED_REQUEST_BYTES), gate, inner, report);
    return reply.type(SEALED_TYPE).send(answer);
  });
}

/** Throws a refusal for what it cannot open, or has opened before. @param bytes as many as a request has. */
export async function answerSealed(
  bytes: Uint8Array,
  gate: Gate,
  inner: InnerApi,
  report: (line: ApiReport) => void,
): Promise<Buffer> {
  const { session, sequence, plaintext, isLate } = gate.sessions.unseal(KIND.request, bytes);
  const { owner } = session;
  if (!isLate) gate.deadMan.touch(owner);
  // Whatever goes wrong from here on is said under seal. Nothing waits before a command is given, so they are given in the order of what was opened.
  const answer = await answerTo(owner, isLate ? undefined : plaintext, gate, inner).catch((error: unknown) => {
    if (!(error instanceof Refusal)) report(failureOf(error as Error));
    return answerOf(error instanceof Refusal ? error : failed());
  });
  const padded = packReply(answer.status, answer.body);
  gate.rates.spend(owner, costOf(padded.length));
  return session.seal(KIND.reply, sequence, padded);
}

/** Throws a refusal for what does not get as far as the routes. @param plaintext undefined for what came too late. */
async function answerTo(
  owner: bigint,
  plaintext: Uint8Array | undefined,
  { rates }: Gate,
  inner: InnerApi,
): Promise<InnerAnswer> {
  if (!rates.take(owner, performance.now())) {
    throw new Refusal(429, 'RATE_LIMITED', 'too many requests of this owner; try again in a second');
  }
  if (plaintext === undefined) {
    throw new Refusal(408, 'REQUEST_REFUSED', 'the request was too long on its way, and nothing was done');
  }
  return inner.ask(owner, readRequest(plaintext));
}

function readRequest(plaintext: Uint8Array): InnerRequest {
  try {
    return unpackRequest(plaintext);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Refusal(400, 'USAGE', error.message);
  }
}

function answerOf(refusal: Refusal): InnerAnswer {
  return { status: refusal.status, body: Buffer.from(JSON.stringify(bodyOf(refusal))) };
}
