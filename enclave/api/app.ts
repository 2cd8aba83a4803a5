import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import websocket from '@fastify/websocket';
import type { AgreementKey } from '@bitcloak/crypto/x25519';
import { API } from '@bitcloak/trading/wire';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import type { Operator } from '../operator/operator.ts';
import { addAccountRoutes } from './accountRoutes.ts';
import { networkOf } from './addresses.ts';
import { authenticate, type Gate } from './authentication.ts';
import { DeadMan } from './deadMan.ts';
import { Desk } from './desk.ts';
import { API_LIMITS, type ApiLimits } from './limits.ts';
import { addOrderRoutes } from './orderRoutes.ts';
import { addHealthRoutes, addPublicRoutes, type Identity, type PublicOptions } from './publicRoutes.ts';
import { Rates } from './rates.ts';
import { failed, Refusal, toRefusal } from './refusal.ts';
import { Sessions } from './sessions.ts';
import { STREAM_PATH, Streams, type Socket } from './streams.ts';

export type ApiOptions = {
  readonly operator: Operator;
  readonly identity: Identity;
  /** The era's, of `identity`. */
  readonly apiKey: AgreementKey;
  /** Those of API_LIMITS unless given. */
  readonly limits?: Partial<ApiLimits>;
  /** Proxies in front of the service that tell it a client's address; none unless given, and then nobody's word on it counts. */
  readonly trustedProxies?: readonly string[];
  /** Called where a command fails: the enclave has to stop. */
  readonly onFailure: (error: unknown) => void;
  readonly report: (line: ApiReport) => void;
  /** Unix milliseconds; the machine's clock unless given. */
  readonly clock?: () => number;
};

/** What went wrong inside a request, as the places in the program alone: a message could hold what was asked. */
export type ApiReport = { readonly kind: 'requestFailed'; readonly name: string; readonly at: readonly string[] };

/** An order takes some 1,600 bytes. */
const BODY_BYTES_MAX = 8_192;
/** The first frame of a stream takes some 400. */
const FRAME_BYTES_MAX = 1_024;
const HEAD_AND_BODY_MS_MAX = 10_000;
const STACK_LINES = 4;
const NO_HEADERS = {
  'x-ratelimit-limit': false,
  'x-ratelimit-remaining': false,
  'x-ratelimit-reset': false,
  'retry-after': false,
};

/** The enclave's HTTP service, not listening yet. `close` finishes what is under way, and cancels what depends on somebody's being there. */
export async function buildApi(options: ApiOptions): Promise<FastifyInstance> {
  const { operator, identity, apiKey, clock = Date.now } = options;
  const limits: ApiLimits = { ...API_LIMITS, ...options.limits };
  let isWorking = true;
  const desk = new Desk(operator, (error) => {
    isWorking = false;
    options.onFailure(error);
  });
  const cancelAll = (owner: bigint) => desk.cancelAll(owner);
  const deadMan = new DeadMan((owner) => void cancelAll(owner).catch(() => undefined));
  const gate: Gate = {
    sessions: new Sessions({
      operatorId: identity.operatorId,
      apiKey,
      account: (owner) => operator.account(owner),
      sessionsPerOwner: limits.sessionsPerOwner,
      sessions: limits.sessions,
      clock,
    }),
    rates: new Rates(limits.owner),
    deadMan,
  };
  const streams = new Streams({
    gate,
    state: () => desk.state,
    cancelAll,
    streamsPerOwner: limits.streamsPerOwner,
    strangers: limits.strangers,
    strangersPerAddress: limits.strangersPerAddress,
    bufferedBytes: limits.streamBytes,
    helloMs: limits.helloMs,
    pingMs: limits.pingMs,
  });

  const app = await openServer(options, limits);
  const stopListening = operator.machine.listen((written) => {
    streams.deliver(written);
  });
  closeGracefully(app, async () => {
    // First, so that no order comes after what cancels it.
    await desk.stop();
    await streams.close();
    // Nobody watches over their orders from now on.
    await Promise.allSettled(deadMan.close().map(cancelAll));
    stopListening();
  });

  const publicOptions: PublicOptions = {
    identity,
    state: () => desk.state,
    sessions: gate.sessions,
    openingsPerMinute: limits.openingsPerMinute,
    isWorking: () => isWorking,
    clock,
  };
  addHealthRoutes(app, publicOptions);
  await app.register(
    async (scope) => {
      addPublicRoutes(scope, publicOptions);
      addStreamRoute(scope, streams);
    },
    { prefix: API },
  );
  await app.register(
    async (scope) => {
      authenticate(scope, gate);
      addOrderRoutes(scope, desk);
      addAccountRoutes(scope, desk, deadMan);
    },
    { prefix: API },
  );
  return app;
}

function addStreamRoute(scope: FastifyInstance, streams: Streams): void {
  scope.route({
    method: 'GET',
    url: '/stream',
    schema: { description: 'A WebSocket: reports of what happens to the owner of a session.' },
    handler: async () => {
      throw new Refusal(426, 'USAGE', 'expected the upgrade to a WebSocket');
    },
    wsHandler: (socket: Socket, { ip }) => {
      streams.accept(socket, networkOf(ip));
    },
  });
}

/** Fastify with every limit, and with errors of one form. */
async function openServer(options: ApiOptions, limits: ApiLimits): Promise<FastifyInstance> {
  const { report, trustedProxies } = options;
  const app = Fastify({
    // A request log would say who trades when.
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: HEAD_AND_BODY_MS_MAX,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    trustProxy: trustedProxies === undefined ? false : [...trustedProxies],
    // Fastify's own settings would drop unknown fields and turn numbers into strings.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
    frameworkErrors: (error, _request, reply) => {
      answer(error, reply);
    },
  });
  app.server.maxConnections = limits.connections;
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const { code } = answer(error, reply);
    if (code === failed().code && !(error instanceof Refusal)) {
      const at = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
      report({ kind: 'requestFailed', name: error.name, at: at.slice(0, STACK_LINES).map((line) => line.trim()) });
    }
  });
  await app.register(rateLimit, {
    max: limits.addressPerMinute,
    timeWindow: 60_000,
    // Counts of requests are nobody else's business.
    addHeaders: NO_HEADERS,
    addHeadersOnExceeding: NO_HEADERS,
    errorResponseBuilder: () =>
      new Refusal(429, 'RATE_LIMITED', 'too many requests from this address; try again in a minute'),
  });
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Bitcloak operator', version: '1' } },
  });
  await app.register(websocket, {
    // Streams are ended with a code of their own, and with what depends on it.
    preClose: (done) => {
      done();
    },
    options: { maxPayload: FRAME_BYTES_MAX, perMessageDeflate: false },
    errorHandler: (_error: Error, socket: Socket) => {
      socket.terminate();
    },
  });
  // The plugin would upgrade a connection on any route.
  app.addHook('onRequest', async ({ headers, routeOptions }) => {
    if (headers.upgrade === undefined || routeOptions.url === STREAM_PATH) return;
    throw new Refusal(400, 'USAGE', 'upgrade: only the stream is a WebSocket');
  });
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, () => {
    throw new Refusal(404, 'USAGE', 'path: expected one of the API');
  });
  return app;
}

function answer(error: FastifyError, reply: FastifyReply): Refusal {
  const refusal = toRefusal(error);
  const { code, message, reason } = refusal;
  void reply.status(refusal.status).send({ code, message, reason });
  return refusal;
}

/** From the start of `close` on nothing new is taken. */
function closeGracefully(app: FastifyInstance, finish: () => Promise<void>): void {
  let isClosing = false;
  app.addHook('onRequest', async () => {
    if (isClosing) throw new Refusal(503, 'ENCLAVE_BUSY', 'the enclave is shutting down');
  });
  app.addHook('preClose', async () => {
    isClosing = true;
    await finish();
  });
}
