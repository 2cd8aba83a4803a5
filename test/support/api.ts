import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@bitcloak/chain/manifest';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { LOCK_SECONDS_MAX, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { limitOf, type MarketTerms } from '@bitcloak/trading/market';
import { signOrder, type NewOrder } from '@bitcloak/trading/orders';
import type { Report } from '@bitcloak/trading/records';
import { ClientOpening, type ClientSession, type Peer } from '@bitcloak/trading/clientSession';
import {
  ALIVE_FRAME,
  API,
  decodeStreamBody,
  encodeSigned,
  toJson,
  type StreamBody,
  type StreamRequest,
} from '@bitcloak/trading/wire';
import type { Contract } from 'ethers';
import { startEnclave, type EnclaveReport, type EnclaveSettings, type RunningEnclave } from '../../enclave/enclave.ts';
import type { KeyProvider } from '../../enclave/tee/keys.ts';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import type { DoubledProver } from './doubledProver.ts';
import { addressOf } from './relayer.ts';
import { SettlementBench, type Trader } from './settlement.ts';

/** What came back: everything that a client sees, and whether it was sealed by the session. */
export type Reply = {
  /** The status and the text under the seal, where there is one. */
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As it came over the wire. */
  readonly bytes: Buffer;
  /** Undefined where the reply is not sealed; false where it is, and not by the session for this request. */
  readonly isAuthentic: boolean | undefined;
};
export type PlainReply = Omit<Reply, 'isAuthentic'>;

export const jsonOf = <T = Record<string, unknown>>({ text }: Pick<Reply, 'text'>) => JSON.parse(text) as T;

export type RawRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
};

/** One request, exactly as it is given. */
export function send(url: string, { method, path, headers = {}, body }: RawRequest): Promise<PlainReply> {
  return new Promise((resolve, reject) => {
    const type = typeof body === 'string' ? 'application/json' : 'application/octet-stream';
    const content = body === undefined ? {} : { 'content-type': type };
    const sent = httpRequest(
      new URL(url),
      { method, path, headers: { ...content, ...headers }, agent: false },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes, text: bytes.toString() });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Bytes to where everything sealed goes. */
export const sendSealed = (url: string, body: Uint8Array) => send(url, { method: 'POST', path: `${API}/sealed`, body });

/** A session as a client holds it, with everything open that a test may want to get wrong. */
export class TestSession {
  readonly url: string;
  readonly key: SpendingKey;
  readonly sealed: ClientSession;
  sequence = 0;
  /** Requests and replies as they went over the wire, where a test wants to look at them. */
  wire: { path: string; request: Uint8Array; reply: PlainReply }[] | undefined;

  constructor(url: string, key: SpendingKey, sealed: ClientSession) {
    this.url = url;
    this.key = key;
    this.sealed = sealed;
  }

  /** @param path after the API's prefix. */
  async call(method: string, path: string, body?: object): Promise<Reply> {
    return this.ask(method, API + path, body === undefined ? '' : toJson(body));
  }

  /** @param path the whole of it. */
  async ask(method: string, path: string, body: string, sequence = ++this.sequence): Promise<Reply> {
    const request = await this.sealed.sealRequest(sequence, { method, path, body });
    const reply = await sendSealed(this.url, request);
    this.wire?.push({ path: `${method} ${path}`, request, reply });
    return this.check(reply, sequence);
  }

  async check(answer: PlainReply, sequence: number): Promise<Reply> {
    if (answer.status !== 200) return { ...answer, isAuthentic: undefined };
    const opened = await this.sealed.openReply(sequence, answer.bytes);
    return opened === undefined ? { ...answer, isAuthentic: false } : { ...answer, ...opened, isAuthentic: true };
  }

  place(order: NewOrder): Promise<Reply> {
    return this.call('POST', '/orders', wireOrder(order));
  }

  stream(request: StreamRequest = {}): Promise<TestStream> {
    return TestStream.open(this, request);
  }
}

export function wireOrder({ order, signature, ...terms }: NewOrder): Record<string, unknown> {
  return { ...terms, ...encodeSigned({ order, signature }) };
}

/** A stream with everything that came, opened in its place. */
export class TestStream {
  readonly bodies: StreamBody[] = [];
  /** Frames as they came over the wire. */
  readonly frames: Uint8Array[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly sequence: number;
  readonly #session: TestSession;
  readonly #socket: WebSocket;
  #waiting: (() => void)[] = [];
  #alive = 0;

  private constructor(session: TestSession, socket: WebSocket, sequence: number) {
    this.#session = session;
    this.#socket = socket;
    this.sequence = sequence;
    socket.binaryType = 'arraybuffer';
    let turn = Promise.resolve();
    socket.addEventListener('message', ({ data }) => {
      const frame = new Uint8Array(data as ArrayBuffer);
      const place = this.frames.push(frame) - 1;
      turn = turn.then(async () => {
        const text = await session.sealed.openFrame(sequence, place, frame);
        if (text === undefined) throw new Error('a frame is not sealed by its session');
        this.bodies.push(decodeStreamBody(JSON.parse(text)));
        for (const wake of this.#waiting.splice(0)) wake();
      });
    });
    this.closed = new Promise((resolve, reject) => {
      socket.addEventListener('close', ({ code, reason }) => {
        turn.then(() => {
          resolve({ code, reason });
          for (const wake of this.#waiting.splice(0)) wake();
        }, reject);
      });
    });
  }

  static async open(session: TestSession, request: StreamRequest): Promise<TestStream> {
    const sequence = ++session.sequence;
    // Before anything later is sealed: what is not waited for by then is not taken.
    const hello = await session.sealed.sealHello(sequence, JSON.stringify(request));
    const socket = new WebSocket(`${session.url.replace('http', 'ws')}${API}/stream`);
    const stream = new TestStream(session, socket, sequence);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => {
        resolve();
      });
      socket.addEventListener('error', () => {
        reject(new Error('the stream does not open'));
      });
    });
    socket.send(hello);
    return stream;
  }

  get reports(): Report[] {
    return this.bodies.flatMap((body) => (body.kind === 'report' ? [body.report] : []));
  }

  send(frame: string | Uint8Array): void {
    this.#socket.send(frame);
  }

  /** Sealed in the next place. */
  async say(text: string): Promise<void> {
    this.send(await this.#session.sealed.sealAlive(this.sequence, this.#alive++, text));
  }

  alive(): Promise<void> {
    return this.say(ALIVE_FRAME);
  }

  close(): void {
    this.#socket.close();
  }

  async until(isThere: (stream: TestStream) => boolean): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!isThere(this)) {
      if (Date.now() > deadline) throw new Error('the stream does not get there');
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        setTimeout(resolve, 100);
      });
    }
  }
}

const MARKET_LIMITS = {
  ticksMax: 1_000_000,
  lotsMin: 1,
  lotsMax: 1_000_000,
  referenceSecondsMax: 60,
  referenceMoveMax: 500,
};

/** An enclave at work on a chain of its own, which can be stopped and started again. */
export class ApiBench {
  readonly desk: SettlementBench;
  readonly token: bigint;
  readonly keys: KeyProvider;
  readonly encryptionKey: AgreementKey;
  readonly apiKey: HpkeKey;
  /** Everything that enclaves told whoever runs them. */
  readonly reports: EnclaveReport[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), 'bitcloak-api-'));
  #orders = 0;
  /** Milliseconds by which the clock of sessions is ahead. */
  clockAhead = 0;
  /** The same of the clock that nobody sets. */
  uptimeAhead = 0;
  enclave!: RunningEnclave;

  private constructor(desk: SettlementBench, token: bigint) {
    const { bench, signer } = desk;
    this.desk = desk;
    this.token = token;
    this.encryptionKey = new AgreementKey(bench.bytes(32));
    this.apiKey = new HpkeKey(bench.bytes(32));
    this.keys = {
      journalKey: bench.bytes(32),
      era: () => ({ encryptionKey: this.encryptionKey, apiKey: this.apiKey, signer: signer.signingKey }),
    };
  }

  /** @param prover whose verifier the pool takes, where something is to be settled. */
  static async open(seed: string, changes: Partial<EnclaveSettings> = {}, prover?: DoubledProver): Promise<ApiBench> {
    const desk = await SettlementBench.open(seed, prover === undefined ? undefined : (chain) => prover.deploy(chain));
    const { chain } = desk.bench;
    const token = (await deployContract(chain.signer(), 'DevelopmentToken')) as Contract;
    await (await token.getFunction('mint')(chain.signer().address, 10n ** 12n)).wait();
    await (await token.getFunction('approve')(desk.bench.contract().target, 10n ** 12n)).wait();
    const bench = new ApiBench(desk, BigInt(await token.getAddress()));
    await bench.start(changes);
    return bench;
  }

  get url(): string {
    return this.enclave.url;
  }

  get terms(): MarketTerms {
    const fees = { makerFee: 10, takerFee: 20 };
    return { market: 1, pair: 'ETH-TEST', base: NATIVE_ASSET, quote: this.token, lotBase: 10n, tickQuote: 1n, ...fees };
  }

  get settings(): EnclaveSettings {
    const { bench, operator, treasury } = this.desk;
    const manifest: Manifest = {
      name: 'test',
      endpoint: 'http://127.0.0.1:1',
      chainId: bench.chainId,
      genesisHash: '',
      pool: bench.address,
      registry: bench.registry,
      startBlock: 0,
      tokens: [],
      relayer: undefined,
    };
    return {
      chain: { manifest, provider: bench.chain.provider, signer: bench.chain.signer(7) },
      operator,
      keys: this.keys,
      directory: this.directory,
      markets: [{ terms: this.terms, rules: MARKET_LIMITS }],
      rules: {
        settleSeconds: 3_600,
        roundSeconds: 1,
        fills: 2,
        orderSecondsMax: 30 * 86_400,
        lockSecondsMax: Number(LOCK_SECONDS_MAX),
        withdrawalFees: [[NATIVE_ASSET, 3n]],
        noteMins: [],
        ordersMax: 1_800,
      },
      // Nothing here is about settling: so much is never matched.
      cadence: { kind: 'count', matches: 1_000_000, secondsMax: 10 ** 9 },
      confirmations: 0,
      clockSkewSecondsMax: undefined,
      prover: { prove: () => Promise.reject(new Error('nothing is to be proven')) },
      treasury: addressOf(treasury),
      api: {
        host: '127.0.0.1',
        port: 0,
        limits: {
          addressPerMinute: 1_000_000,
          connectionsPerAddress: 10_000,
          openingsPerMinute: 1_000_000,
          owner: { perSecond: 10_000, burst: 10_000 },
        },
        clock: () => Date.now() + this.clockAhead,
        uptime: () => performance.now() + this.uptimeAhead,
      },
      pollMs: 50,
      report: (report) => this.reports.push(report),
    };
  }

  async start(changes: Partial<EnclaveSettings> = {}): Promise<void> {
    this.enclave = await startEnclave({ ...this.settings, ...changes });
  }

  /** Everything that was not in the journal is gone. */
  async restart(changes: Partial<EnclaveSettings> = {}): Promise<void> {
    await this.enclave.close();
    await this.start(changes);
  }

  /** Somebody who has told the operator of a note of each asset, which is credited. */
  async trader(coins: bigint, dollars: bigint): Promise<Trader> {
    const trader = this.desk.trader();
    const told = this.encryptionKey.publicKey;
    if (coins > 0n) await this.desk.locked(trader, NATIVE_ASSET, coins, 2n, told);
    if (dollars > 0n) await this.desk.locked(trader, this.token, dollars, 2n, told);
    await this.enclave.operator.watch();
    return trader;
  }

  /** The enclave, as its clients know it. */
  get peer(): Peer {
    const { bench, operator, operatorId } = this.desk;
    const { chainId, address: pool, registry } = bench;
    return { chainId, pool, registry, operator, era: 1n, operatorId, apiKey: this.apiKey.publicKey };
  }

  /** Unix seconds, as sessions count them. */
  now(): number {
    return Math.floor((Date.now() + this.clockAhead) / 1000);
  }

  async opening(key: SpendingKey, time = this.now(), peer = this.peer): Promise<ClientOpening> {
    const opening = await ClientOpening.make(peer, key, time);
    if (opening === undefined) throw new Error('no secret can be shared');
    return opening;
  }

  post(opening: Uint8Array): Promise<PlainReply> {
    return send(this.url, { method: 'POST', path: `${API}/sessions`, body: opening });
  }

  async session({ key }: Trader): Promise<TestSession> {
    const opening = await this.opening(key);
    const { status, text, bytes } = await this.post(opening.bytes);
    const sealed = status === 201 ? await opening.accept(bytes) : undefined;
    if (sealed === undefined) throw new Error(`no session: ${status} ${text}`);
    return new TestSession(this.url, key, sealed);
  }

  /** A limit order at the least that has to be signed for. */
  async order(
    { key }: Trader,
    side: 'buy' | 'sell',
    price: number,
    lots: number,
    changes: Partial<NewOrder> = {},
  ): Promise<NewOrder> {
    const expiry = BigInt(this.enclave.machine.state.time) + 80_000n;
    const destination = { operatorId: this.desk.operatorId, expiry, payTo: key.keys.owner, relockExpiry: 0n };
    const signed = signOrder(key, limitOf(this.terms, side, price, lots), destination);
    const terms = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
    const clientOrderId = `order-${++this.#orders}`;
    return { clientOrderId, market: 1, side, price, lots, ...terms, ...signed, ...changes };
  }

  async close(): Promise<void> {
    await this.enclave.close();
    await this.desk.bench.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
