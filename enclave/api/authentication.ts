import { HEADER } from '@bitcloak/trading/session';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DeadMan } from './deadMan.ts';
import { costOf } from './limits.ts';
import type { Rates } from './rates.ts';
import { Refusal } from './refusal.ts';
import { checkMac, takeSequence, type Session, type Sessions } from './sessions.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; of an authenticated route. */
    owner: bigint;
    claim: Claim | null;
  }
}

/** What a request says of itself, until its MAC was found right. */
type Claim = { readonly session: Session; readonly sequence: number; readonly mac: string; isAuthentic: boolean };

export type Gate = {
  readonly sessions: Sessions;
  readonly rates: Rates<bigint>;
  readonly deadMan: DeadMan;
};

const NOTHING = new Uint8Array();

/** Everything that is registered in this scope needs a session, and its handlers run at most once for a sequence. */
export function authenticate(scope: FastifyInstance, gate: Gate): void {
  scope.decorateRequest('owner', 0n);
  scope.decorateRequest('claim', null);
  scope.addHook('onRequest', async (request) => {
    request.claim = claimOf(request, gate.sessions);
  });
  // The body is authenticated as it came, before anything reads it.
  const parseJson = scope.getDefaultJsonParser('error', 'error');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      admit(request, body, gate);
    } catch (error) {
      done(error as Error);
      return;
    }
    if (body.length === 0) done(null, undefined);
    else void parseJson(request, body.toString(), done);
  });
  scope.addHook('preValidation', async (request) => {
    if (request.claim?.isAuthentic === false) admit(request, NOTHING, gate);
  });
  scope.addHook('onSend', (request, reply, payload, done) => {
    const { claim } = request;
    if (claim?.isAuthentic === true) {
      const { session, sequence } = claim;
      const body = typeof payload === 'string' ? payload : '';
      reply.header(HEADER.mac, session.keys.replyMac(sequence, reply.statusCode, body));
      gate.rates.spend(session.owner, costOf(body.length));
    }
    done(null, payload);
  });
}

function claimOf({ headers }: FastifyRequest, sessions: Sessions): Claim {
  const [id, sequence, mac] = [headers[HEADER.session], headers[HEADER.sequence], headers[HEADER.mac]];
  if (typeof id !== 'string' || typeof sequence !== 'string' || typeof mac !== 'string') {
    throw new Refusal(401, 'SESSION_REFUSED', `expected the headers ${Object.values(HEADER).join(', ')}`);
  }
  if (!/^[1-9][0-9]{0,14}$/.test(sequence)) {
    throw new Refusal(400, 'USAGE', `${HEADER.sequence}: expected a whole number from 1 on`);
  }
  return { session: sessions.find(id), sequence: Number(sequence), mac, isAuthentic: false };
}

function admit(request: FastifyRequest, body: Uint8Array, { rates, deadMan }: Gate): void {
  const { claim, method } = request;
  if (claim === null) throw new Refusal(401, 'SESSION_REFUSED', 'expected a session');
  const { session, sequence, mac } = claim;
  checkMac(session, { method, path: request.raw.url ?? '', sequence, body, mac });
  // From here on replies are authenticated too.
  claim.isAuthentic = true;
  takeSequence(session, sequence);
  const { owner } = session;
  deadMan.touch(owner);
  if (!rates.take(owner, performance.now())) {
    throw new Refusal(429, 'RATE_LIMITED', 'too many requests of this owner; try again in a second');
  }
  request.owner = owner;
}
