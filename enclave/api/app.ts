import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import websocket from '@fastify/websocket';
import type { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { networkOf } from '@bitcloak/service/addresses';
import { limitConnections } from '@bitcloak/service/connections';
import { SEALED_TYPE } from '@bitcloak/trading/http';
import { SEALED_HELLO_BYTES, SEALED_REQUEST_BYTES } from '@bitcloak/trading/sealing';
import { API } from '@bitcloak/trading/wire';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Operator } from '../operator/operator.ts';
import { addAttestationRoute, type Attest } from './attestationRoute.ts';
import { addPreflight, letPagesRead } from './crossOrigin.ts';
import { DeadMan } from './deadMan.ts';
import { Desk } from './desk.ts';
import { answerErrors, STRICT, type ApiReport } from './errors.ts';
import { InnerApi } from './inner.ts';
import { API_LIMITS, type ApiLimits } from './limits.ts';
import { describeAll } from './openapi.ts';
import { addHealthRoutes, addPublicRoutes, type Identity, type PublicOptions } from './publicRoutes.ts';
import { Rates } from './rates.ts';
import { Refusal } from './refusal.ts';
import { addSealedRoute, type Gate } from './sealed.ts';
import { Sessions } from './sessions.ts';
import { STREAM_PATH, Streams, type Socket } from './streams.ts';

export type ApiOptions = {
  readonly operator: Operator;
  readonly identity: Identity;
  /** The era's, of `identity`. */
  readonly apiKey: HpkeKey;
  readonly attest: Attest;
  /** Those of API_LIMITS unless given. */
  readonly limits?: Partial<ApiLimits>;
  /** Proxies in front of the service that tell it a client's address; none unless given, and then nobody's word on it counts. */
  readonly trustedProxies?: readonly string[];
  /** Called where a command fails: the enclave has to stop. */
  readonly onFailure: (error: unknown) => void;
  readonly report: (line: ApiReport) => void;
  /** Unix milliseconds; the machine's clock unless given. */
  readonly clock?: () => number;
  /** Milliseconds of a clock that nobody sets; the process's own unless given. */
  readonly uptime?: () => number;
};

const HEAD_AND_BODY_MS_MAX = 10_000;
const NO_HEADERS = {
  'x-ratelimit-limit': false,
  'x-ratelimit-remaining': false,
  'x-ratelimit-reset': false,
  'retry-after': false,
};

/** The enclave's HTTP service, not listening yet. `close` finishes what is under way, and cancels what depends on somebody's being there. */
export async function buildApi(options: ApiOptions): Promise<FastifyInstance> {
  const { operator, identity, apiKey, clock = Date.now, uptime = () => performance.now() } = options;
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
      identity,
      apiKey,
      account: (owner) => operator.account(owner),
      sessionsPerOwner: limits.sessionsPerOwner,
      sessions: limits.sessions,
      clock,
      uptime,
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
    bufferedBytesAll: limits.streamBytesAll,
    helloMs: limits.helloMs,
    pingMs: limits.pingMs,
  });

  const inner = await InnerApi.build(desk, deadMan, options.report);
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
  app.addHook('onClose', () => inner.close());

  const publicOptions: PublicOptions = {
    identity,
    state: () => desk.state,
    sessions: gate.sessions,
    openingsPerMinute: limits.openingsPerMinute,
    isWorking: () => isWorking,
    isActive: () => operator.isActive,
    clock,
    describe: () => describeAll(app.swagger(), inner.describe()),
  };
  addHealthRoutes(app, publicOptions);
  await app.register(
    async (scope) => {
      addPublicRoutes(scope, publicOptions);
      addAttestationRoute(scope, options.attest, limits.attestationsPerMinute);
      addStreamRoute(scope, streams);
      addSealedRoute(scope, gate, inner, options.report);
      for (const path of ['/sessions', '/sealed']) addPreflight(scope, path);
    },
    { prefix: API },
  );
  return app;
}

function addStreamRoute(scope: FastifyInstance, streams: Streams): void {
  scope.route({
    method: 'GET',
    url: '/stream',
    schema: { description: 'A WebSocket: sealed reports of what happens to the owner of a session.' },
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
    ...STRICT,
    bodyLimit: SEALED_REQUEST_BYTES,
    requestTimeout: HEAD_AND_BODY_MS_MAX,
    trustProxy: trustedProxies === undefined ? false : [...trustedProxies],
  });
  letPagesRead(app);
  app.server.maxConnections = limits.connections;
  if (trustedProxies === undefined) limitConnections(app.server, limits.connectionsPerAddress);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(SEALED_TYPE, { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  answerErrors(app, report);
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
    options: { maxPayload: SEALED_HELLO_BYTES, perMessageDeflate: false },
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
