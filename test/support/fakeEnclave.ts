import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { SpendingKey } from '@bitcloak/notes/keys';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { TradingClient, type ClientOptions } from '@bitcloak/trading/client';
import type { OrderRecord } from '@bitcloak/trading/records';
import { HEADER, isMac, OPENING_SEQUENCE, SessionKeys } from '@bitcloak/trading/session';
import type { Socket } from '@bitcloak/trading/stream';
import {
  API,
  bytesOf,
  encodeInfo,
  toJson,
  type MarketInfo,
  type OperatorInfo,
  type StreamHello,
  type WireNewOrder,
  type WireSession,
} from '@bitcloak/trading/wire';
import { seededBytes } from './random.ts';

export const OPERATOR_ID = 123_456_789n;
export const TOKENS = [
  { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 },
  { symbol: 'DUSD', asset: 0x77n, decimals: 6 },
];
/** A lot is a thousandth of a coin, a tick a cent for a whole coin. */
export const MARKET: MarketInfo = {
  market: 1,
  pair: 'ETH-DUSD',
  base: NATIVE_ASSET,
  quote: 0x77n,
  lotBase: 10n ** 15n,
  tickQuote: 10n,
  makerFee: 5,
  takerFee: 10,
  ticksMax: 10_000_000,
  lotsMin: 10,
  lotsMax: 1_000_000,
  trading: true,
};

/** What is said to a request, before it goes out. A test may change it, or return undefined for nothing at all. */
export type Answer = { status: number; text: string; headers: Record<string, string> };
export type Asked = { method: string; path: string; body: string; isSession: boolean };

/** An operator's enclave that says what a test has it say, with right marks unless told otherwise. */
export class FakeEnclave {
  readonly apiKey: AgreementKey;
  readonly url: string;
  readonly asked: Asked[] = [];
  info: OperatorInfo;
  markets: MarketInfo[] = [MARKET];
  /** What requests of sessions are answered, by method and path. */
  readonly replies = new Map<string, (body: string) => { status?: number; json: unknown }>();
  /** Has its way with every answer. */
  tamper: (answer: Answer, asked: Asked) => Answer | undefined = (answer) => answer;
  readonly sessions = new Map<string, SessionKeys>();
  sockets: FakeSocket[] = [];
  readonly #server: Server;
  readonly #used = new Map<string, Set<number>>();

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
    const random = seededBytes('fake enclave');
    this.apiKey = new AgreementKey(random(32));
    this.info = {
      chainId: 31337n,
      pool: 1n,
      registry: 2n,
      operator: 1,
      operatorId: OPERATOR_ID,
      era: 1n,
      encryptionKey: new AgreementKey(random(32)).publicKey,
      apiKey: this.apiKey.publicKey,
      time: Math.floor(Date.now() / 1000),
      settleSeconds: 600,
      orderSecondsMax: 86_400,
      lockSecondsMax: 864_000,
      withdrawalFees: new Map([[NATIVE_ASSET, 10n ** 15n]]),
    };
    server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async open(): Promise<FakeEnclave> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new FakeEnclave(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  close(): void {
    for (const socket of this.sockets) socket.end();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  options(changes: Partial<ClientOptions> = {}): ClientOptions {
    const random = seededBytes('fake trader');
    const [scalar, nullifierKey] = [random(30), random(30)].map((bytes) =>
      BigInt(`0x${Buffer.from(bytes).toString('hex')}`),
    );
    return {
      url: this.url,
      key: new SpendingKey(scalar as bigint, nullifierKey as bigint),
      expected: { operatorId: OPERATOR_ID, apiKey: this.apiKey.publicKey },
      tokens: TOKENS,
      pauseMs: 10,
      webSocket: () => {
        const socket = new FakeSocket(this);
        this.sockets.push(socket);
        return socket;
      },
      ...changes,
    };
  }

  connect(changes: Partial<ClientOptions> = {}): Promise<TradingClient> {
    return TradingClient.connect(this.options(changes));
  }

  /** Lets orders in as they come; the same name is the same order. */
  takeOrders(): Map<string, OrderRecord> {
    const orders = new Map<string, OrderRecord>();
    this.replies.set(`POST ${API}/orders`, (body) => {
      const wire = JSON.parse(body) as WireNewOrder;
      const known = orders.get(wire.clientOrderId);
      const order = known ?? recordOf(wire, orders.size + 1);
      orders.set(wire.clientOrderId, order);
      return { status: known === undefined ? 201 : 200, json: { order, fills: [], head: HEAD } };
    });
    return orders;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    request.setEncoding('utf8');
    for await (const chunk of request) body += chunk as string;
    const [method, path] = [request.method ?? '', request.url ?? ''];
    const claimed = request.headers[HEADER.session];
    const asked = { method, path, body, isSession: claimed !== undefined };
    this.asked.push(asked);
    const answer = this.tamper(this.#answer(request, asked), asked);
    if (answer === undefined) {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(answer.text);
  }

  #answer({ headers }: IncomingMessage, { method, path, body }: Asked): Answer {
    if (path === `${API}/info`) return { status: 200, text: toJson(encodeInfo(this.info)), headers: {} };
    if (path === `${API}/markets`) return { status: 200, text: toJson({ markets: this.markets }), headers: {} };
    if (path === `${API}/sessions`) return this.#open(JSON.parse(body) as WireSession);
    const keys = this.sessions.get(String(headers[HEADER.session]));
    if (keys === undefined)
      return { status: 401, text: toJson({ code: 'SESSION_REFUSED', message: 'none' }), headers: {} };
    const sequence = Number(headers[HEADER.sequence]);
    const isRight = isMac(keys.requestMac(method, path, sequence, body), String(headers[HEADER.mac]));
    const used = this.#used.get(keys.id) ?? new Set<number>();
    this.#used.set(keys.id, used);
    if (!isRight || used.has(sequence)) throw new Error('a client sent a request that is not its session’s, or twice');
    used.add(sequence);
    const { status = 200, json } = this.replies.get(`${method} ${path}`)?.(body) ?? {
      status: 404,
      json: { code: 'ORDER_UNKNOWN', message: 'no such order is open' },
    };
    const text = toJson(json);
    return { status, text, headers: { [HEADER.mac]: keys.replyMac(sequence, status, text) } };
  }

  #open({ owner, clientKey, time }: WireSession): Answer {
    const { operatorId, apiKey } = this.info;
    const opening = { operatorId, owner: BigInt(owner), apiKey, clientKey: bytesOf(clientKey), time };
    const keys = SessionKeys.derive(opening, this.apiKey, opening.clientKey) as SessionKeys;
    this.sessions.set(keys.id, keys);
    const text = toJson({ session: keys.id, expiry: time + 3_600 });
    return { status: 201, text, headers: { [HEADER.mac]: keys.replyMac(OPENING_SEQUENCE, 201, text) } };
  }
}

export const HEAD = 'ab'.repeat(32);

export function recordOf(
  wire: Pick<WireNewOrder, 'clientOrderId' | 'side' | 'price' | 'lots'>,
  id: number,
): OrderRecord {
  const { clientOrderId, side, price, lots } = wire;
  const words = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest', status: 'open' } as const;
  const numbers = { id, market: 1, price, lots, filled: 0, open: lots, expiry: 2_000_000_000, time: 1_900_000_000 };
  return { clientOrderId, side, ...words, ...numbers, reason: undefined };
}

/** One end of a stream, in the hands of a test. */
export class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  /** What the client sent after its hello. */
  readonly heard: string[] = [];
  readonly #enclave: FakeEnclave;
  readonly #hello = Promise.withResolvers<StreamHello>();
  #frames = 0;
  isClosed = false;

  constructor(enclave: FakeEnclave) {
    this.#enclave = enclave;
    setImmediate(() => this.onopen?.());
  }

  send(text: string): void {
    const json = JSON.parse(text) as StreamHello | { kind: string };
    if ('session' in json) this.#hello.resolve(json);
    else this.heard.push(text);
  }

  close(): void {
    this.isClosed = true;
    this.onclose?.({ code: 1000, reason: '' });
  }

  /** The enclave's end of it. */
  end(code = 1006): void {
    this.onclose?.({ code, reason: '' });
  }

  /** What the client asked for, once it did. Throws where the mark of its hello is wrong. */
  async hello(): Promise<unknown> {
    const { session, sequence, body, mac } = await this.#hello.promise;
    const keys = this.#enclave.sessions.get(session);
    if (keys === undefined || !isMac(keys.requestMac('POST', `${API}/stream`, sequence, body), mac)) {
      throw new Error('the hello is not its session’s');
    }
    return JSON.parse(body);
  }

  /** @param changes makes it another frame than the enclave's. */
  async frame(json: unknown, changes: { body?: string; frame?: number } = {}): Promise<void> {
    const { session, sequence } = await this.#hello.promise;
    const body = toJson(json);
    const keys = this.#enclave.sessions.get(session) as SessionKeys;
    const mac = keys.frameMac(sequence, changes.frame ?? this.#frames++, body);
    this.onmessage?.({ data: JSON.stringify({ body: changes.body ?? body, mac }) });
  }
}
