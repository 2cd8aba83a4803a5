import rateLimit from '@fastify/rate-limit';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { limitConnections } from './connections.ts';

export type HttpLimits = {
  readonly bodyBytesMax: number;
  readonly headAndBodyMsMax: number;
  /** For everything that a request waits for; without end unless given. */
  readonly handlerMsMax?: number;
  readonly connectionsMax: number;
  /** Of one address, or one IPv6 network of 64 bits. Where there are trusted proxies it is for them to count. */
  readonly connectionsPerAddressMax: number;
  /** Requests that one address, or one IPv6 network of 64 bits, may make in a minute. */
  readonly ratePerMinute: number;
  /** Proxies in front of the service that tell it a client's address; none unless given, and then nobody's word on it counts. */
  readonly trustedProxies?: readonly string[] | undefined;
};

export type HttpErrors = {
  /** What a client is told of any error: a status, and what is sent as JSON. */
  readonly answer: (error: FastifyError) => { readonly status: number; readonly body: object };
  readonly tooMany: () => Error;
  readonly notFound: () => Error;
  /** Called with every error that a client was told of. */
  readonly report: (error: FastifyError) => void;
};

/** Fastify with every limit, schemas that reject and never repair, and errors of one form. */
export async function openServer(limits: HttpLimits, errors: HttpErrors): Promise<FastifyInstance> {
  const { bodyBytesMax, headAndBodyMsMax, handlerMsMax, ratePerMinute, trustedProxies } = limits;
  const answer = (error: FastifyError, reply: FastifyReply) => {
    const { status, body } = errors.answer(error);
    void reply.status(status).send(body);
  };
  const app = Fastify({
    // What whoever runs it is told goes through `report`: a request log would hold addresses and times.
    logger: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: headAndBodyMsMax,
    ...(handlerMsMax === undefined ? {} : { handlerTimeout: handlerMsMax }),
    exposeHeadRoutes: false,
    return503OnClosing: false,
    trustProxy: trustedProxies === undefined ? false : [...trustedProxies],
    // Fastify's own settings would drop unknown fields and turn numbers into strings.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
    frameworkErrors: (error, _request, reply) => {
      answer(error, reply);
    },
  });
  app.server.maxConnections = limits.connectionsMax;
  if (trustedProxies === undefined) limitConnections(app.server, limits.connectionsPerAddressMax);
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    answer(error, reply);
    errors.report(error);
  });
  await app.register(rateLimit, { max: ratePerMinute, timeWindow: 60_000, errorResponseBuilder: errors.tooMany });
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, () => {
    throw errors.notFound();
  });
  return app;
}
