import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { InnerRequest } from '@bitcloak/trading/sealing';

/*
 * Request and response of HTTP for Fastify's router, where nothing came over a connection. Fastify's own `inject` is made for tests: it takes some fifty times as
 * long as the routes themselves, and throws where nobody can catch it for some of what a client may write.
 */

export type InnerAnswer = { readonly status: number; readonly body: Buffer };

/** Never connected. */
const NO_SOCKET = new Socket();

/** A request that was read as a whole, so that there is nothing to read from it. */
export class InnerMessage extends IncomingMessage {
  /** Whose session it came in. */
  readonly owner: bigint;
  readonly text: string;

  constructor(owner: bigint, { method, path, body }: InnerRequest) {
    super(NO_SOCKET);
    this.owner = owner;
    this.method = method;
    this.url = path;
    this.text = body;
  }

  /** Throws for any other request: nobody else is to be taken for an owner. */
  static of(raw: IncomingMessage): InnerMessage {
    if (raw instanceof InnerMessage) return raw;
    throw new TypeError('the request came in no session');
  }
}

/** Gives out what is answered at once: nothing here is sent in pieces. */
class InnerResponse extends ServerResponse {
  readonly #done: (answer: InnerAnswer) => void;

  constructor(message: InnerMessage, done: (answer: InnerAnswer) => void) {
    super(message);
    this.#done = done;
  }

  override writeHead(status: number): this {
    this.statusCode = status;
    return this;
  }

  override end(payload?: unknown): this {
    // What Fastify knows by that it has answered.
    this.finished = true;
    this.#done({ status: this.statusCode, body: Buffer.from((payload ?? '') as string | Buffer) });
    return this;
  }
}

/** Throws what the router throws; what a route throws is an answer. */
export function askRouter(
  router: (request: IncomingMessage, response: ServerResponse) => void,
  owner: bigint,
  request: InnerRequest,
): Promise<InnerAnswer> {
  return new Promise((resolve) => {
    const message = new InnerMessage(owner, request);
    router(message, new InnerResponse(message, resolve));
  });
}
