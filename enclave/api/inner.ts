import swagger from '@fastify/swagger';
import type { InnerRequest } from '@bitcloak/trading/sealing';
import { API } from '@bitcloak/trading/wire';
import Fastify, { type FastifyInstance } from 'fastify';
import { addAccountRoutes } from './accountRoutes.ts';
import type { DeadMan } from './deadMan.ts';
import type { Desk } from './desk.ts';
import { answerErrors, STRICT, type ApiReport } from './errors.ts';
import { addOrderRoutes } from './orderRoutes.ts';
import { askRouter, InnerMessage, type InnerAnswer } from './innerRequest.ts';
import { Refusal } from './refusal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose session the request came in. */
    owner: bigint;
  }
}

/** What owners ask for. It does not listen: nothing gets here but what `ask` was called with, which the seal's route alone does. */
export class InnerApi {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  static async build(desk: Desk, deadMan: DeadMan, report: (line: ApiReport) => void): Promise<InnerApi> {
    const app = Fastify(STRICT);
    answerErrors(app, report);
    await app.register(swagger, { openapi: { openapi: '3.1.0' } });
    app.setNotFoundHandler(() => {
      throw new Refusal(404, 'USAGE', 'path: expected one of the API');
    });
    app.decorateRequest('owner', 0n);
    const parseJson = app.getDefaultJsonParser('error', 'error');
    app.addHook('preValidation', (request, _reply, done) => {
      const { owner, text } = InnerMessage.of(request.raw);
      request.owner = owner;
      if (text === '') return done();
      void parseJson(request, text, (error, body) => {
        request.body = body;
        done(error ?? undefined);
      });
    });
    app.addHook('preHandler', (request, _reply, done) => {
      // Who reads finds out what became of all that he asked for, however long a host keeps the disk from writing it.
      if (request.method === 'GET') void desk.caughtUp().then(() => done());
      else done();
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

  ask(owner: bigint, request: InnerRequest): Promise<InnerAnswer> {
    return askRouter(
      (message, response) => {
        this.#app.routing(message, response);
      },
      owner,
      request,
    );
  }

  /** OpenAPI's `paths`. */
  describe(): object {
    return this.#app.swagger().paths ?? {};
  }

  close(): Promise<void> {
    return this.#app.close();
  }
}
