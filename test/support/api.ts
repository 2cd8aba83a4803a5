import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@bitcloak/chain/manifest';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { LOCK_SECONDS_MAX, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { limitOf, type MarketTerms } from '@bitcloak/trading/market';
import { signOrder, type NewOrder } from '@bitcloak/trading/orders';
import type { Report } from '@bitcloak/trading/records';
import { HEADER, openingMessage, SessionKeys, type SessionOpening } from '@bitcloak/trading/session';
import {
  API,
  decodeStreamBody,
  encodeSignature,
  encodeSigned,
  hexOf,
  toJson,
  type Frame,
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

/** What came back: everything that a client sees, and whether its MAC was right. */
export type Reply = {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Undefined where the reply has none. */
  readonly isAuthentic: boolean | undefined;
};

export const jsonOf = <T = Record<string, unknown>>({ text }: Pick<Reply, 'text'>) => JSON.parse(text) as T;

export type RawRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
};

/** One request, exactly as it is given. */
export function send(
  url: string,
  { method, path, headers = {}, body }: RawRequest,
): Promise<Omit<Reply, 'isAuthentic'>> {
  return new Promise((resolve, reject) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const sent = httpRequest(
      new URL(url),
      { method, path, headers: { ...json, ...headers }, agent: false },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString() });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A session as a client holds it, with everything open that a test may want to get wrong. */
export class TestSession {
  readonly url: string;
  readonly key: SpendingKey;
  readonly keys: SessionKeys;
  sequence = 0;

  constructor(url: string, key: SpendingKey, keys: SessionKeys) {
    this.url = url;
    this.key = key;
    this.keys = keys;
  }

  /** The headers of a request of this session. */
  headers(method: string, path: string, body: string, sequence = ++this.sequence): Record<string, string> {
    return {
      [HEADER.session]: this.keys.id,
      [HEADER.sequence]: String(sequence),
      [HEADER.mac]: this.keys.requestMac(method, path, sequence, body),
    };
  }

  /** @param path after the API's prefix. */
  async call(method: string, path: string, body?: object): Promise<Reply> {
    const text = body === undefined ? undefined : toJson(body);
    const headers = this.headers(method, API + path, text ?? '');
    const answer = await send(this.url, {
      method,
      path: API + path,
      headers,
      ...(text === undefined ? {} : { body: text }),
    });
    return this.check(answer, Number(headers[HEADER.sequence]));
  }

  check(answer: Omit<Reply, 'isAuthentic'>, sequence: number): Reply {
    const mac = answer.headers[HEADER.mac];
    const expected = this.keys.replyMac(sequence, answer.status, answer.text);
    return { ...answer, isAuthentic: mac === undefined ? undefined : mac === expected };
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

/** A stream with everything that came, its MACs checked. */
export class TestStream {
  readonly bodies: StreamBody[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  #waiting: (() => void)[] = [];

  private constructor(session: TestSession, socket: WebSocket, sequence: number) {
    this.#socket = socket;
    let frames = 0;
    socket.addEventListener('message', ({ data }) => {
      const { body, mac } = JSON.parse(String(data)) as Frame;
      if (mac !== session.keys.frameMac(sequence, frames++, body)) throw new Error('a frame does not fit its MAC');
      this.bodies.push(decodeStreamBody(JSON.parse(body)));
      for (const wake of this.#waiting.splice(0)) wake();
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', ({ code, reason }) => {
        resolve({ code, reason });
        for (const wake of this.#waiting.splice(0)) wake();
      });
    });
  }

  static async open(session: TestSession, request: StreamRequest): Promise<TestStream> {
    const sequence = ++session.sequence;
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
    const body = JSON.stringify(request);
    const mac = session.keys.requestMac('POST', `${API}/stream`, sequence, body);
    socket.send(JSON.stringify({ session: session.keys.id, sequence, body, mac }));
    return stream;
  }

  get reports(): Report[] {
    return this.bodies.flatMap((body) => (body.kind === 'report' ? [body.report] : []));
  }

  send(text: string): void {
    this.#socket.send(text);
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
  readonly apiKey: AgreementKey;
  /** Everything that enclaves told whoever runs them. */
  readonly reports: EnclaveReport[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), 'bitcloak-api-'));
  #orders = 0;
  /** Milliseconds by which the clock of sessions is ahead. */
  clockAhead = 0;
  enclave!: RunningEnclave;

  private constructor(desk: SettlementBench, token: bigint) {
    const { bench, signer } = desk;
    this.desk = desk;
    this.token = token;
    this.encryptionKey = new AgreementKey(bench.bytes(32));
    this.apiKey = new AgreementKey(bench.bytes(32));
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
          openingsPerMinute: 1_000_000,
          owner: { perSecond: 10_000, burst: 10_000 },
        },
        clock: () => Date.now() + this.clockAhead,
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

  opening(key: SpendingKey, clientKey: Uint8Array, time = this.now()): SessionOpening {
    const { operatorId } = this.desk;
    return { operatorId, owner: key.keys.owner, apiKey: this.apiKey.publicKey, clientKey, time };
  }

  /** Unix seconds, as sessions count them. */
  now(): number {
    return Math.floor((Date.now() + this.clockAhead) / 1000);
  }

  async openWith(key: SpendingKey, clientKey: AgreementKey, time = this.now()): Promise<Reply & { keys: SessionKeys }> {
    const opening = this.opening(key, clientKey.publicKey, time);
    const keys = SessionKeys.derive(opening, clientKey, this.apiKey.publicKey);
    if (keys === undefined) throw new Error('no secret can be shared');
    const body = toJson({
      owner: opening.owner,
      clientKey: hexOf(clientKey.publicKey),
      time,
      signature: encodeSignature(key.sign(openingMessage(opening))),
    });
    const answer = await send(this.url, { method: 'POST', path: `${API}/sessions`, body });
    const mac = answer.headers[HEADER.mac];
    const isAuthentic = mac === undefined ? undefined : mac === keys.replyMac(0, answer.status, answer.text);
    return { ...answer, isAuthentic, keys };
  }

  async session({ key }: Trader): Promise<TestSession> {
    const { status, text, keys, isAuthentic } = await this.openWith(key, new AgreementKey(this.desk.bench.bytes(32)));
    if (status !== 201 || isAuthentic !== true) throw new Error(`no session: ${status} ${text}`);
    return new TestSession(this.url, key, keys);
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
