import swagger from '@fastify/swagger';
import { REQUEST_BYTES, type InnerRequest } from '@bitcloak/trading/sealing';
import { API } from '@bitcloak/trading/wire';
import Fastify, { type FastifyInstance } from 'fastify';
import { addAccountRoutes } from './accountRoutes.ts';
import type { DeadMan } from './deadMan.ts';
import type { Desk } from './desk.ts';
import { answerErrors, STRICT, type ApiReport } from './errors.ts';
import { addOrderRoutes } from './orderRoutes.ts';
import { Refusal } from './refusal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose session the request came in. */
    owner: bigint;
  }
}

const OWNER_HEADER = 'owner';

export type InnerAnswer = { readonly status: number; readonly body: Buffer };

/** What owners ask for. It does not listen: nothing gets here but what `ask` was called with, which the seal's route alone does. */
export class InnerApi {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  static async build(desk: Desk, deadMan: DeadMan, report: (line: ApiReport) => void): Promise<InnerApi> {
    const app = Fastify({ ...STRICT, bodyLimit: REQUEST_BYTES });
    app.removeContentTypeParser('text/plain');
    answerErrors(app, report);
    await app.register(swagger, { openapi: { openapi: '3.1.0' } });
    app.setNotFoundHandler(() => {
      throw new Refusal(404, 'USAGE', 'path: expected one of the API');
    });
    app.decorateRequest('owner', 0n);
    app.addHook('onRequest', (request, _reply, done) => {
      request.owner = BigInt(request.headers[OWNER_HEADER] as string);
      done();
    });
    await app.register(
      async (scope) => {
        addOrderRoutes(scope, desk);
        addAccountRoutes(scope, desk, deadMan);
      },
      { prefix: API },
    );
    await app.ready();
    return new InnerApi(app);
  }

  ask(owner: bigint, { method, path, body }: InnerRequest): Promise<InnerAnswer> {
    const json = body === '' ? {} : { 'content-type': 'application/json' };
    const request = {
      method: method as 'GET',
      url: path,
      headers: { [OWNER_HEADER]: owner.toString(), ...json },
      ...(body === '' ? {} : { payload: body }),
      validate: false,
    };
    // With a callback it throws here what it would otherwise throw where nobody catches it: a path that is no URL, for one.
    return new Promise((resolve, reject) => {
      this.#app.inject(request, (error, reply) => {
        if (reply === undefined) reject(error as Error);
        else resolve({ status: reply.statusCode, body: reply.rawPayload });
      });
    });
  }

  /** OpenAPI's `paths`. */
  describe(): object {
    return this.#app.swagger().paths ?? {};
  }

  close(): Promise<void> {
    return this.#app.close();
  }
}
