// An endpoint between a wallet and its chain that behaves as badly as endpoints do.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BrowserProvider, Network, toQuantity, type JsonRpcSigner } from 'ethers';
import { PROVIDER_OPTIONS, type Chain } from './chain.ts';

export type RpcCall = { readonly id: unknown; readonly method: string; readonly params: readonly unknown[] };
export type RpcLog = {
  readonly address: string;
  readonly topics: readonly string[];
  readonly data: string;
  readonly blockNumber: string;
  readonly logIndex: string;
};

/** An error as an endpoint answers it. */
export class RpcError extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** Answers a call, or has the chain answer it. */
export type Behaviour = (call: RpcCall, ask: (call: RpcCall) => Promise<unknown>) => Promise<unknown>;

/** What becomes of a request: it is answered, its connection is closed before or after the chain has heard of it, it hangs, or it gets a status. */
export type Accident = 'none' | 'drop' | 'lose answer' | 'hang' | 'no json' | number;

export const honest: Behaviour = (call, ask) => ask(call);

/** The chain as a host shows it, with an account that pays the gas. */
export function hostedAccount({ provider }: Chain, behave: Behaviour): Promise<JsonRpcSigner> {
  const ask = ({ method, params }: RpcCall): Promise<unknown> => provider.send(method, [...params]);
  const request = ({ method, params = [] }: { method: string; params?: unknown[] | Record<string, unknown> }) =>
    behave({ id: 1, method, params: params as unknown[] }, ask);
  return new BrowserProvider({ request }, Network.from(31337), PROVIDER_OPTIONS).getSigner(0);
}

export class HostileEndpoint {
  /** Every call that came, answered or not. */
  readonly calls: RpcCall[] = [];
  behaviour: Behaviour = honest;
  /** Asked for each request. */
  accident: (calls: readonly RpcCall[]) => Accident = () => 'none';
  delayMs = 0;
  readonly #chain: string;
  readonly #server: Server;

  private constructor(chain: string) {
    this.#chain = chain;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Listens in front of the chain at that URL. */
  static async open(chain: string): Promise<HostileEndpoint> {
    const endpoint = new HostileEndpoint(chain);
    await new Promise<void>((done) => endpoint.#server.listen(0, '127.0.0.1', done));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Behaves well from now on, and forgets what it was asked. */
  repent(): void {
    this.behaviour = honest;
    this.accident = () => 'none';
    this.delayMs = 0;
    this.calls.length = 0;
  }

  /** The ranges of blocks whose logs were asked for. */
  logRanges(): [number, number][] {
    return this.calls
      .filter(({ method }) => method === 'eth_getLogs')
      .map(({ params }) => {
        const { fromBlock, toBlock } = params[0] as { fromBlock: string; toBlock: string };
        return [Number(fromBlock), Number(toBlock)];
      });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk as string;
    const json = JSON.parse(body) as RpcCall | RpcCall[];
    const calls = Array.isArray(json) ? json : [json];
    this.calls.push(...calls);
    const accident = this.accident(calls);
    if (accident === 'hang') return;
    if (accident === 'drop') return void request.socket.destroy();
    if (typeof accident === 'number') return void response.writeHead(accident).end();
    if (accident === 'no json') return void response.end('<html>');
    if (this.delayMs > 0) await new Promise((done) => setTimeout(done, this.delayMs));
    const answers = await Promise.all(calls.map((call) => this.#answer(call)));
    if (accident === 'lose answer') return void request.socket.destroy();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(Array.isArray(json) ? answers : answers[0]));
  }

  async #answer(call: RpcCall): Promise<object> {
    const head = { jsonrpc: '2.0', id: call.id };
    try {
      return { ...head, result: await this.behaviour(call, (asked) => this.#ask(asked)) };
    } catch (error) {
      const { code = -32603, message, data } = error as Partial<RpcError> & Error;
      return { ...head, error: { code, message, data } };
    }
  }

  async #ask({ method, params }: RpcCall): Promise<unknown> {
    const response = await fetch(this.#chain, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    const { result, error } = (await response.json()) as { result?: unknown; error?: RpcError };
    if (error !== undefined) throw new RpcError(error.code, error.message, error.data);
    return result;
  }
}

type LogFilter = { fromBlock: string; toBlock: string };

/** Changes the logs that are answered. */
export function changingLogs(change: (logs: RpcLog[]) => RpcLog[]): Behaviour {
  return async (call, ask) => {
    const result = await ask(call);
    return call.method === 'eth_getLogs' ? change(result as RpcLog[]) : result;
  };
}

/** Stands still at a block: nothing after it has happened. */
export function standingAt(block: number): Behaviour {
  const beyond = (tag: unknown) => typeof tag === 'string' && tag.startsWith('0x') && Number(tag) > block;
  const cut = (tag: unknown) => (tag === 'latest' ? toQuantity(block) : tag);
  return async (call, ask) => {
    const { method, params } = call;
    if (method === 'eth_blockNumber') return toQuantity(block);
    if (method === 'eth_getBlockByNumber') {
      return beyond(params[0]) ? null : ask({ ...call, params: [cut(params[0]), params[1]] });
    }
    if (method === 'eth_call') {
      if (beyond(params[1])) throw new RpcError(-32000, 'header not found');
      return ask({ ...call, params: [params[0], cut(params[1])] });
    }
    return method === 'eth_getLogs' ? withoutLogsAfter(block)(call, ask) : ask(call);
  };
}

/** Knows the newest block and its state, while its index of logs ends before. */
export function withoutLogsAfter(block: number): Behaviour {
  return async (call, ask) => {
    if (call.method !== 'eth_getLogs') return ask(call);
    const filter = call.params[0] as LogFilter;
    if (Number(filter.fromBlock) > block) return [];
    const toBlock = toQuantity(Math.min(block, Number(filter.toBlock)));
    return ask({ ...call, params: [{ ...filter, toBlock }] });
  };
}

/** Refuses the logs of more than so many blocks at once. */
export function limitingRange(blocks: number): Behaviour {
  return async (call, ask) => {
    const { fromBlock, toBlock } = (call.params[0] ?? {}) as LogFilter;
    if (call.method === 'eth_getLogs' && Number(toBlock) - Number(fromBlock) >= blocks) {
      throw new RpcError(-32005, `query exceeds max block range ${blocks}`);
    }
    return ask(call);
  };
}

/** Tells blocks of a later time than they are of. */
export function tellingTime(secondsAhead: number): Behaviour {
  return async (call, ask) => {
    const result = await ask(call);
    if (call.method !== 'eth_getBlockByNumber' || result === null) return result;
    const block = result as { timestamp: string };
    return { ...block, timestamp: toQuantity(Number(block.timestamp) + secondsAhead) };
  };
}
