import { BitcloakError } from '@bitcloak/protocol/errors';
import { randomBytes } from '@noble/hashes/utils.js';
import { checked, type Channel } from './channel.ts';
import type { ClientSession } from './clientSession.ts';
import { REPLY_BYTES_MAX } from './http.ts';
import type { BalanceRecord } from './records.ts';
import { forged } from './refusals.ts';
import { REPORT_SCHEMAS, SNAPSHOT_SCHEMA } from './streamSchemas.ts';
import { AccountView } from './view.ts';
import { ALIVE_FRAME, API, decodeStreamBody, type StreamBody, type StreamRequest } from './wire.ts';

const PATH = `${API}/stream`;
const PAUSE_MS_MAX = 10_000;
const OPEN_MS_MAX = 10_000;
/** A stream that was up so long is not one that fails at once. */
const STEADY_MS = 5_000;
/** Balances are asked for so long after the first report that may have changed them. */
const BALANCES_MS = 100;
/** A consumer that is further behind than this is told to start anew. */
const BACKLOG_MAX = 10_000;

export type StreamEvent =
  | { readonly kind: 'connected' }
  /** `error`: why; the stream comes back by itself. */
  | { readonly kind: 'disconnected'; readonly error: BitcloakError }
  /** The view was built anew. `missed`: things happened that no report tells any more. */
  | { readonly kind: 'snapshot'; readonly missed: boolean }
  | { readonly kind: 'report'; readonly report: (StreamBody & { kind: 'report' })['report'] }
  /** The view has new balances. */
  | { readonly kind: 'balances' };

/** What of the WHATWG's WebSocket a stream needs. */
export type Socket = {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(bytes: Uint8Array): void;
  close(code?: number): void;
};

export type StreamOptions = StreamRequest & {
  /** Called with everything that happens, before the iterator gives it out. */
  readonly onEvent?: (event: StreamEvent) => void;
  readonly signal?: AbortSignal;
};

type Parts = {
  readonly channel: Channel;
  readonly base: URL;
  readonly open: (url: string) => Socket;
  readonly balances: () => Promise<BalanceRecord[]>;
  /** Before it connects again, doubled each time. */
  readonly pauseMs: number;
};

/**
 * What happens to an account, as it happens. Lost connections are taken up again after the last report that came; what was missed meanwhile comes
 * then, or a snapshot where it is no longer there. Iterate it, or read `view` whenever something is to be decided; close it in the end.
 */
export class AccountStream implements AsyncIterable<StreamEvent> {
  readonly view: AccountView;
  readonly #parts: Parts;
  readonly #options: StreamOptions;
  readonly #events: StreamEvent[] = [];
  #wake: (() => void) | undefined;
  #connection: Connection | undefined;
  #isClosed = false;
  #failure: BitcloakError | undefined;
  #balancesTimer: ReturnType<typeof setTimeout> | undefined;
  #isIterated = false;
  /** After a report that does not follow the one before, only a snapshot helps. */
  #needsSnapshot: boolean;
  readonly #done: Promise<void>;
  readonly #ready = Promise.withResolvers<undefined>();

  constructor(parts: Parts, options: StreamOptions) {
    this.#parts = parts;
    this.#options = options;
    this.view = new AccountView(options.after);
    this.#needsSnapshot = options.after === undefined;
    this.#ready.promise.catch(() => undefined);
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
    if (options.signal?.aborted === true) this.#isClosed = true;
    this.#done = this.#run();
  }

  /** Until the first snapshot is there, or the stream is where `after` says. Throws what the stream ends with before that. */
  async ready(): Promise<this> {
    await this.#ready.promise;
    return this;
  }

  /** Tells a dead man that its owner is there: to be called by what decides, not by a timer. @returns false while there is no connection. */
  alive(): boolean {
    this.#connection?.alive();
    return this.#connection !== undefined;
  }

  /** Ends the stream, and its iteration. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#balancesTimer);
    this.#connection?.close();
    this.#wake?.();
  }

  /** Resolves when the connection is gone after `close`. */
  async closed(): Promise<void> {
    await this.#done;
  }

  /** Gives out what happens from now on, and ends when the stream does. Throws `OPERATOR_UNREACHABLE` where it is read far too slowly. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, undefined> {
    this.#isIterated = true;
    for (;;) {
      const next = this.#events.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isClosed) return;
      await new Promise<void>((wake) => (this.#wake = wake));
    }
  }

  #emit(event: StreamEvent): void {
    this.#options.onEvent?.(event);
    if (!this.#isIterated && this.#options.onEvent !== undefined) return;
    if (this.#events.push(event) > BACKLOG_MAX) {
      this.#events.length = 0;
      if (this.#isIterated) this.#fail(new BitcloakError('OPERATOR_UNREACHABLE', 'the stream is read too slowly'));
    }
    this.#wake?.();
  }

  #fail(error: BitcloakError): void {
    this.#failure = error;
    this.#ready.reject(error);
    this.close();
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#isClosed) {
      const began = performance.now();
      let error: BitcloakError;
      try {
        error = await this.#connectOnce();
      } catch (thrown) {
        if (!(thrown instanceof BitcloakError)) throw thrown;
        error = thrown;
      }
      this.#connection = undefined;
      if (this.#isOver()) break;
      // An operator that is another one than expected does not become the right one by waiting.
      if (error.code === 'OPERATOR_MISMATCH') return this.#fail(error);
      failures = performance.now() - began > STEADY_MS ? 0 : failures + 1;
      this.#emit({ kind: 'disconnected', error });
      const pause = Math.min(PAUSE_MS_MAX, this.#parts.pauseMs * 2 ** Math.min(failures, 10));
      // Those who were thrown out together must not come back together.
      await this.#sleep(randomBetween(pause / 2, pause));
    }
    this.#ready.reject(new BitcloakError('OPERATOR_UNREACHABLE', 'the stream was closed'));
  }

  #isOver(): boolean {
    return this.#isClosed;
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds);
      this.#wake = () => {
        if (!this.#isClosed) return;
        clearTimeout(timer);
        done();
      };
    });
  }

  /** One connection, to its end. @returns why it ended. */
  async #connectOnce(): Promise<BitcloakError> {
    const { channel, base, open } = this.#parts;
    const session = await channel.session();
    if (this.#isClosed) return ended('closed');
    const url = new URL(PATH.slice(1), base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = open(url.href);
    socket.binaryType = 'arraybuffer';
    const connection = new Connection(session.sealed, socket);
    const { promise, resolve } = Promise.withResolvers<BitcloakError>();
    const timer = setTimeout(() => end(ended('no connection in time')), OPEN_MS_MAX);
    let isOver = false;
    const end = (error: BitcloakError) => {
      isOver = true;
      clearTimeout(timer);
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
      connection.giveUp();
      // A session that is over shows in no other way.
      if (connection.frames === 0) channel.drop(session);
      resolve(error);
    };
    // Opening a frame takes its time: what comes meanwhile, the end too, waits for its turn.
    let turn = Promise.resolve();
    const inTurn = (work: () => Promise<void> | void) => {
      turn = turn
        .then(() => (isOver ? undefined : work()))
        .catch((error: unknown) => {
          end(error instanceof BitcloakError ? error : forged('a frame cannot be read'));
        });
    };
    socket.onopen = () => {
      clearTimeout(timer);
      inTurn(async () => {
        if (this.#isClosed) return end(ended('closed'));
        await connection.hello(this.#request());
        this.#connection = connection;
        this.#emit({ kind: 'connected' });
        if (!this.#needsSnapshot) this.#ready.resolve(undefined);
      });
    };
    socket.onmessage = ({ data }) => {
      inTurn(async () => {
        this.#take(await connection.read(data));
      });
    };
    socket.onerror = () => {
      inTurn(() => {
        end(ended('the connection failed'));
      });
    };
    socket.onclose = ({ code, reason }) => {
      inTurn(() => {
        end(ended(`closed with ${code} ${reason.slice(0, 100).replaceAll(/[^\x20-\x7e]/g, '?')}`));
      });
    };
    return promise;
  }

  #request(): StreamRequest {
    const { cancelOnDisconnect } = this.#options;
    return {
      ...(this.#needsSnapshot ? {} : { after: this.view.sequence }),
      ...(cancelOnDisconnect === undefined ? {} : { cancelOnDisconnect }),
    };
  }

  #take(body: StreamBody): void {
    if (body.kind === 'snapshot') {
      const { sequence } = body.snapshot;
      const missed = this.view.isWhole && sequence !== this.view.sequence;
      this.view.reset(body.snapshot);
      this.#needsSnapshot = false;
      this.#emit({ kind: 'snapshot', missed });
      this.#ready.resolve(undefined);
      return;
    }
    try {
      this.view.apply(body.report);
    } catch (error) {
      this.#needsSnapshot = true;
      throw forged(`a gap in the reports: ${(error as Error).message}`);
    }
    this.#emit({ kind: 'report', report: body.report });
    this.#balancesTimer ??= setTimeout(() => void this.#refreshBalances(), BALANCES_MS);
  }

  async #refreshBalances(): Promise<void> {
    this.#balancesTimer = undefined;
    try {
      this.view.setBalances(await this.#parts.balances());
    } catch {
      // The next report asks again; a lost connection shows by itself.
      return;
    }
    if (!this.#isClosed) this.#emit({ kind: 'balances' });
  }
}

/** One connection, and the frames that it has seen. */
class Connection {
  /** Of the enclave. */
  frames = 0;
  readonly #session: ClientSession;
  readonly #socket: Socket;
  #sequence = 0;
  #alive = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(session: ClientSession, socket: Socket) {
    this.#session = session;
    this.#socket = socket;
  }

  async hello(request: StreamRequest): Promise<void> {
    this.#sequence = this.#session.takeSequence();
    this.#socket.send(await this.#session.sealHello(this.#sequence, JSON.stringify(request)));
  }

  /** Waits no longer for an answer to the hello. */
  giveUp(): void {
    this.#session.finish(this.#sequence);
  }

  /** Frames go out in the order in which they are counted. */
  alive(): void {
    const sealed = this.#session.sealAlive(this.#sequence, this.#alive++, ALIVE_FRAME);
    this.#sending = this.#sending
      .then(async () => {
        this.#socket.send(await sealed);
      })
      // A connection that is gone shows by itself.
      .catch(() => undefined);
  }

  /** What was said before goes out before. */
  close(): void {
    void this.#sending.then(() => {
      this.#socket.close(1000);
    });
  }

  /** Throws `REPLY_FORGED` for what the enclave did not say, or said in another place. */
  async read(data: unknown): Promise<StreamBody> {
    if (!(data instanceof ArrayBuffer) || data.byteLength > REPLY_BYTES_MAX)
      throw forged('a frame is not of this size');
    const text = await this.#session.openFrame(this.#sequence, this.frames, new Uint8Array(data));
    if (text === undefined) throw forged('a frame is not sealed by the session, or is out of its place');
    // From now on the hello has had its answer.
    if (this.frames++ === 0) this.giveUp();
    const json = JSON.parse(text) as { kind?: unknown; snapshot?: unknown; report?: { kind?: unknown } };
    if (json.kind === 'snapshot') checked(SNAPSHOT_SCHEMA, json.snapshot);
    else checked(REPORT_SCHEMAS.get(json.report?.kind) ?? { type: 'object', required: ['known'] }, json.report);
    return decodeStreamBody(json);
  }
}

function randomBetween(least: number, most: number): number {
  const [high = 0, low = 0] = randomBytes(2);
  return least + ((most - least) * (256 * high + low)) / 65_536;
}

function ended(why: string): BitcloakError {
  return new BitcloakError('OPERATOR_UNREACHABLE', `the stream ended: ${why}`);
}
