import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ENCAPSULATION_BYTES } from '@bitcloak/crypto/hpke';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { SpendingKey } from '@bitcloak/notes/keys';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { takenAtItsWord, TradingClient, type ClientOptions } from '@bitcloak/trading/client';
import type { OrderRecord } from '@bitcloak/trading/records';
import {
  HEAD_BYTES,
  KIND,
  packFrame,
  packReply,
  sequenceOf,
  SESSION_ID_BYTES,
  unpackRequest,
  unpackText,
} from '@bitcloak/trading/sealing';
import {
  decodeOpening,
  openingInfo,
  openingReplyHead,
  SECRET_LABEL,
  SESSION_RANDOM_BYTES,
} from '@bitcloak/trading/session';
import type { Socket } from '@bitcloak/trading/stream';
import {
  API,
  bytesOf,
  encodeInfo,
  hexOf,
  toJson,
  type MarketInfo,
  type OperatorInfo,
  type WireNewOrder,
} from '@bitcloak/trading/wire';
import { Session } from '../../enclave/api/sessions.ts';
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
export type Answer = { status: number; bytes: Uint8Array; headers?: Record<string, string> };
/** What was asked, under the seal where there is one. */
export type Asked = { method: string; path: string; body: string; isSealed: boolean };

export const plain = (status: number, json: unknown): Answer => ({ status, bytes: Buffer.from(toJson(json)) });

/** An operator's enclave that says what a test has it say, rightly sealed unless told otherwise. */
export class FakeEnclave {
  readonly apiKey: HpkeKey;
  readonly url: string;
  readonly asked: Asked[] = [];
  info: OperatorInfo;
  markets: MarketInfo[] = [MARKET];
  /** What it shows of itself for a nonce, as JSON; nothing unless given, as of an enclave from before there was such a route. */
  attestation: ((nonce: Uint8Array) => object) | undefined;
  /** What requests of sessions are answered, by method and path. */
  readonly replies = new Map<string, (body: string) => { status?: number; json: unknown }>();
  /** Has its way with every answer. */
  tamper: (answer: Answer, asked: Asked) => Answer | undefined = (answer) => answer;
  /** By their names, hexadecimal. */
  readonly sessions = new Map<string, Session>();
  sockets: FakeSocket[] = [];
  readonly #server: Server;
  readonly #random: (length: number) => Uint8Array;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
    const random = seededBytes('fake enclave');
    this.#random = random;
    this.apiKey = new HpkeKey(random(32));
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
      expected: { operatorId: OPERATOR_ID },
      check: takenAtItsWord,
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
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const [bytes, path] = [Buffer.concat(chunks), request.url ?? ''];
    const [asked, answer] =
      path === `${API}/sealed`
        ? this.#unseal(bytes)
        : ([
            { method: request.method ?? '', path, body: '', isSealed: false },
            await this.#plain(path, bytes),
          ] as const);
    this.asked.push(asked);
    const said = this.tamper(answer, asked);
    if (said === undefined) {
      request.socket.destroy();
      return;
    }
    response.writeHead(said.status, said.headers ?? {}).end(said.bytes);
  }

  async #plain(path: string, bytes: Uint8Array): Promise<Answer> {
    if (path === `${API}/info`) return plain(200, encodeInfo(this.info));
    if (path === `${API}/markets`) return plain(200, { markets: this.markets });
    if (path === `${API}/sessions`) return this.#open(bytes);
    const [, nonce] = /^\/api\/v1\/attestation\?nonce=([0-9a-f]{64})$/.exec(path) ?? [];
    if (nonce !== undefined && this.attestation !== undefined) return plain(200, this.attestation(bytesOf(nonce)));
    return plain(404, { code: 'USAGE', message: 'no such path' });
  }

  #unseal(bytes: Uint8Array): [Asked, Answer] {
    const session = this.sessionOf(bytes);
    const sequence = sequenceOf(bytes);
    if (session === undefined) {
      const asked = { method: '', path: '', body: '', isSealed: true };
      return [asked, plain(401, { code: 'SESSION_REFUSED', message: 'none' })];
    }
    const opened = session.open(KIND.request, sequence, bytes.subarray(HEAD_BYTES));
    if (opened === undefined || !session.sequences.take(sequence)) {
      throw new Error('a client sent a request that is not its session’s, or twice');
    }
    const { method, path, body } = unpackRequest(opened.plaintext);
    const { status = 200, json } = this.replies.get(`${method} ${path}`)?.(body) ?? {
      status: 404,
      json: { code: 'ORDER_UNKNOWN', message: 'no such order is open' },
    };
    const sealed = session.seal(KIND.reply, sequence, packReply(status, Buffer.from(toJson(json))));
    return [
      { method, path, body, isSealed: true },
      { status: 200, bytes: sealed },
    ];
  }

  /** The session that a request or a hello names. */
  sessionOf(bytes: Uint8Array): Session | undefined {
    return this.sessions.get(hexOf(bytes.subarray(0, SESSION_ID_BYTES)));
  }

  async #open(bytes: Uint8Array): Promise<Answer> {
    const encapsulation = bytes.subarray(0, ENCAPSULATION_BYTES);
    const sealed = bytes.subarray(ENCAPSULATION_BYTES);
    const opened = await this.apiKey.open(encapsulation, openingInfo(this.info), sealed, SECRET_LABEL);
    const claim = opened === undefined ? undefined : decodeOpening(opened.plaintext);
    if (opened === undefined || claim === undefined) {
      return plain(401, { code: 'SESSION_REFUSED', message: 'it was not sealed to this enclave' });
    }
    const random = this.#random(SESSION_RANDOM_BYTES);
    const session = new Session(claim.owner, claim.time + 3_600, performance.now(), opened.secret, random);
    this.sessions.set(hexOf(session.id), session);
    return {
      status: 201,
      bytes: Buffer.concat([random, session.sealOpening(openingReplyHead(encapsulation, random))]),
    };
  }
}

export const HEAD = 'ab'.repeat(32);

export function recordOf(
  wire: Pick<WireNewOrder, 'clientOrderId' | 'side' | 'price' | 'lots'>,
  id: number,
): OrderRecord {
  const { clientOrderId, side, price, lots } = wire;
  const words = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest', status: 'open' } as const;
  const shape = { postOnly: false, display: 0, minimumTotal: 0, minimumMatch: 0 };
  const numbers = { id, market: 1, price, lots, filled: 0, open: lots, expiry: 2_000_000_000, time: 1_900_000_000 };
  return { clientOrderId, side, ...words, ...shape, ...numbers, reason: undefined };
}

/** One end of a stream, in the hands of a test. */
export class FakeSocket implements Socket {
  binaryType = 'blob';
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  /** What the client said after its hello. Throws where one is not sealed in its place. */
  readonly heard: string[] = [];
  readonly #enclave: FakeEnclave;
  readonly #hello = Promise.withResolvers<Uint8Array>();
  #sent = 0;
  #frames = 0;
  isClosed = false;

  constructor(enclave: FakeEnclave) {
    this.#enclave = enclave;
    setImmediate(() => this.onopen?.());
  }

  send(bytes: Uint8Array): void {
    if (this.#sent++ === 0) this.#hello.resolve(bytes);
    else void this.#hear(bytes, this.#sent - 2);
  }

  async #hear(bytes: Uint8Array, frame: number): Promise<void> {
    const { session, sequence } = await this.#opened();
    const opened = session.open(KIND.alive, sequence, bytes, frame);
    if (opened === undefined) throw new Error('the frame is not its session’s');
    this.heard.push(unpackText(opened.plaintext));
  }

  async #opened(): Promise<{ session: Session; sequence: number; hello: Uint8Array }> {
    const hello = await this.#hello.promise;
    const session = this.#enclave.sessionOf(hello);
    if (session === undefined) throw new Error('the hello names no session');
    return { session, sequence: sequenceOf(hello), hello };
  }

  close(): void {
    this.isClosed = true;
    this.onclose?.({ code: 1000, reason: '' });
  }

  /** The enclave's end of it. */
  end(code = 1006): void {
    this.onclose?.({ code, reason: '' });
  }

  /** What the client asked for, once it did. Throws where its hello is not sealed. */
  async hello(): Promise<unknown> {
    const { session, sequence, hello } = await this.#opened();
    const opened = session.open(KIND.hello, sequence, hello.subarray(HEAD_BYTES));
    if (opened === undefined) throw new Error('the hello is not its session’s');
    return JSON.parse(unpackText(opened.plaintext));
  }

  /** The client's own hello, for those who send it back. */
  async said(): Promise<Uint8Array> {
    return (await this.#opened()).hello;
  }

  /** What the enclave sends next, or would in another place. */
  async sealed(json: unknown, frame = this.#frames++): Promise<Uint8Array> {
    const { session, sequence } = await this.#opened();
    return session.seal(KIND.frame, sequence, packFrame(toJson(json)), frame);
  }

  /** Brings the client a frame, and waits until it was looked at. */
  async bring(frame: Uint8Array): Promise<void> {
    this.onmessage?.({ data: Uint8Array.from(frame).buffer });
    // Opening takes turns of another thread; whoever sends this knows when it was done by what comes of it.
    await new Promise((done) => setTimeout(done, 5));
  }

  async frame(json: unknown, frame?: number): Promise<void> {
    await this.bring(await this.sealed(json, frame));
  }
}
