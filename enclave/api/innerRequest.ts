import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { InnerRequest } from '@bitcloak/trading/sealing';

/*
 * What Fastify's router takes for a request and a response of HTTP, where there is neither. Fastify's own `inject` is made for tests: it takes some
 * fifteen times as long as the routes themselves, and throws where nobody can catch it for some of what a client may write.
 */

export type InnerAnswer = { readonly status: number; readonly body: Buffer };

const NO_SOCKET = {};

/** A request that was read as a whole. */
export class InnerMessage {
  readonly method: string;
  readonly url: string;
  readonly headers = {};
  readonly socket = NO_SOCKET;
  readonly aborted = false;
  /** Whose session it came in. */
  readonly owner: bigint;
  readonly text: string;

  constructor(owner: bigint, { method, path, body }: InnerRequest) {
    this.owner = owner;
    this.method = method;
    this.url = path;
    this.text = body;
  }

  on(): this {
    return this;
  }

  static of(raw: IncomingMessage): InnerMessage {
    return raw as unknown as InnerMessage;
  }
}

/** Gives out what is answered at once: nothing here is sent in pieces. */
export class InnerResponse {
  statusCode = 200;
  headersSent = false;
  writableEnded = false;
  readonly #done: (answer: InnerAnswer) => void;

  constructor(done: (answer: InnerAnswer) => void) {
    this.#done = done;
  }

  writeHead(status: number): this {
    this.statusCode = status;
    this.headersSent = true;
    return this;
  }

  end(payload?: string | Buffer | null): this {
    this.writableEnded = true;
    this.#done({ status: this.statusCode, body: Buffer.from(payload ?? '') });
    return this;
  }

  on(): this {
    return this;
  }

  setHeader(): this {
    return this;
  }

  hasHeader(): boolean {
    return false;
  }

  getHeader(): undefined {
    return undefined;
  }

  getHeaders(): OutgoingHttpHeaders {
    return {};
  }

  removeHeader(): void {
    // There is none.
  }
}

/** Throws what the router throws; what a route throws is an answer. */
export function askRouter(
  router: (request: IncomingMessage, response: ServerResponse) => void,
  owner: bigint,
  request: InnerRequest,
): Promise<InnerAnswer> {
  return new Promise((resolve) => {
    const [message, response] = [new InnerMessage(owner, request), new InnerResponse(resolve)];
    router(message as unknown as IncomingMessage, response as unknown as ServerResponse);
  });
}
