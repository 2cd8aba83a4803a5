import type { FastifyInstance } from 'fastify';

/** A browser remembers for so many seconds what it may send here; none remembers it for longer. */
const PREFLIGHT_SECONDS = 7_200;

/**
 * Has pages of every origin read what is answered, as everybody else can: who asks is told by what is sealed, and by nothing that a browser adds, such as
 * cookies, so a page gets no further than its visitor could without it. To be called before other hooks, so that refusals are read too.
 */
export function letPagesRead(app: FastifyInstance): void {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('access-control-allow-origin', '*');
  });
}

/** Answers what browsers ask before they let a page send sealed bytes to a path. It counts as any other request. */
export function addPreflight(scope: FastifyInstance, path: string): void {
  scope.options(path, { schema: { hide: true } }, async (_request, reply) =>
    reply
      .status(204)
      .headers({ 'access-control-allow-headers': 'content-type', 'access-control-max-age': PREFLIGHT_SECONDS })
      .send(),
  );
}
