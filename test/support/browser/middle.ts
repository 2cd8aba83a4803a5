import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = { readonly status: number; readonly bytes: Uint8Array };

/** @param handOn asks the enclave what was asked. */
export type Tamper = (url: URL, handOn: () => Promise<Answer>) => Promise<Answer>;

/** Somebody between a client and an enclave, who sees all that is sent and answers as he likes. */
export class Middle {
  readonly url: string;
  /** Methods and paths, without what a browser alone asks. */
  readonly asked: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param enclave its base URL. */
  static async open(enclave: string, tamper: Tamper): Promise<Middle> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const middle = new Middle(server);
    server.on('request', (request, response) => void middle.#serve(new URL(enclave), tamper, request, response));
    return middle;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(enclave: URL, tamper: Tamper, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url: path = '' } = request;
    const url = new URL(path, enclave);
    // He wants to be spoken to by pages.
    response.setHeader('access-control-allow-origin', '*');
    if (method === 'OPTIONS') {
      response.writeHead(204, { 'access-control-allow-headers': 'content-type' }).end();
      return;
    }
    this.asked.push(`${method} ${url.pathname}`);
    const { status, bytes } = await tamper(url, async () => {
      const type = request.headers['content-type'];
      const sent = method === 'GET' ? {} : { body: Buffer.concat(chunks), headers: { 'content-type': type ?? '' } };
      const answer = await fetch(url, { method, ...sent });
      return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) };
    });
    response.writeHead(status).end(bytes);
  }
}
