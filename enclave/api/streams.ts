import { checkJson } from '@bitcloak/trading/checks';
import type { AccountSnapshot } from '@bitcloak/trading/records';
import {
  ALIVE_FRAME,
  API,
  STREAM_CLOSE,
  STREAM_HELLO_SCHEMA,
  STREAM_REQUEST_SCHEMA,
  toJson,
  type StreamBody,
  type StreamHello,
  type StreamRequest,
} from '@bitcloak/trading/wire';
import type { Written } from '../exchange/blotter.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Gate } from './authentication.ts';
import { costOf } from './limits.ts';
import { Refusal } from './refusal.ts';
import { checkMac, takeSequence, type Session } from './sessions.ts';

/** What is used of a WebSocket. */
export type Socket = {
  readonly bufferedAmount: number;
  send(text: string): void;
  ping(): void;
  close(code: number, reason?: string): void;
  terminate(): void;
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): void;
  on(event: 'close' | 'pong', listener: () => void): void;
};

export type StreamsOptions = {
  readonly gate: Gate;
  readonly state: () => Exchange;
  readonly cancelAll: (owner: bigint) => Promise<unknown>;
  readonly streamsPerOwner: number;
  /** Sockets that did not say yet who they are, in all and of one address. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
  /** What may wait for a client to read it. */
  readonly bufferedBytes: number;
  readonly helloMs: number;
  readonly pingMs: number;
};

type Stream = {
  readonly socket: Socket;
  readonly session: Session;
  /** Of the request that opened it. */
  readonly sequence: number;
  readonly cancelOnDisconnect: boolean;
  bytesMax: number;
  frames: number;
  isAlive: boolean;
};

/** Somebody who did not say yet who he is. */
type Stranger = { readonly address: string; readonly late: NodeJS.Timeout };

/** A frame is that much longer than what it says, at most: its text is quoted. */
const QUOTING = 2;
const CLOSE_MS_MAX = 1_000;

/** What the first frame is authenticated for, and where streams are opened. */
export const STREAM_PATH = `${API}/stream`;

/** The streams of reports that owners have open. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #ofOwner = new Map<bigint, Set<Stream>>();
  /** The oldest first. */
  readonly #strangers = new Map<Socket, Stranger>();
  readonly #sockets = new Set<Socket>();
  readonly #cancelling = new Set<Promise<unknown>>();
  readonly #pings: NodeJS.Timeout;
  #isClosing = false;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#pings = setInterval(() => {
      this.#ping();
    }, options.pingMs).unref();
  }

  /** Takes a socket that was just opened. Its first frame has to say who it is. @param address whom it counts as, until then. */
  accept(socket: Socket, address: string): void {
    if (this.#isClosing) {
      socket.close(STREAM_CLOSE.goingAway, 'ENCLAVE_BUSY');
      return;
    }
    this.#makeRoom(address);
    this.#sockets.add(socket);
    const late = setTimeout(() => {
      this.#dismiss(socket, STREAM_CLOSE.refused, 'SESSION_REFUSED');
    }, this.#options.helloMs);
    this.#strangers.set(socket, { address, late });
    let stream: Stream | undefined;
    socket.on('message', (data, isBinary) => {
      const text = isBinary ? '' : data.toString();
      if (stream !== undefined) this.#hear(stream, text);
      // A socket that is being closed still gives out what comes.
      else if (this.#recognise(socket)) stream = this.#open(socket, text);
    });
    socket.on('close', () => {
      this.#recognise(socket);
      this.#sockets.delete(socket);
      if (stream !== undefined) this.#forget(stream);
    });
    socket.on('pong', () => {
      if (stream !== undefined) stream.isAlive = true;
    });
  }

  /** To be called with every report as it is written, and never throws: what it is called from must go on. */
  deliver({ owner, report }: Written): void {
    const streams = this.#ofOwner.get(owner);
    if (streams === undefined) return;
    const body = toJson({ kind: 'report', report } satisfies StreamBody);
    for (const stream of [...streams]) this.#send(stream, body);
  }

  /** Ends all streams, and resolves when what has to be cancelled then is. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#pings);
    for (const socket of [...this.#strangers.keys()]) this.#dismiss(socket, STREAM_CLOSE.goingAway);
    for (const streams of [...this.#ofOwner.values()]) {
      for (const stream of [...streams]) this.#end(stream, STREAM_CLOSE.goingAway);
    }
    // Who does not answer the close keeps nobody waiting.
    setTimeout(() => {
      for (const socket of this.#sockets) socket.terminate();
    }, CLOSE_MS_MAX).unref();
    await Promise.allSettled(this.#cancelling);
  }

  /** Who comes in good faith says at once who he is, so those who wait longest are the ones to go. */
  #makeRoom(address: string): void {
    const { strangers, strangersPerAddress } = this.#options;
    const all = [...this.#strangers];
    const own = all.filter(([, stranger]) => stranger.address === address);
    const [oldest] = own.length >= strangersPerAddress ? own : all.length >= strangers ? all : [];
    if (oldest !== undefined) this.#dismiss(oldest[0], STREAM_CLOSE.goingAway, 'ENCLAVE_BUSY');
  }

  /** @returns whether a socket was still a stranger's. */
  #recognise(socket: Socket): boolean {
    clearTimeout(this.#strangers.get(socket)?.late);
    return this.#strangers.delete(socket);
  }

  #dismiss(socket: Socket, code: number, reason?: string): void {
    this.#recognise(socket);
    socket.close(code, reason);
    setTimeout(() => {
      socket.terminate();
    }, CLOSE_MS_MAX).unref();
  }

  #open(socket: Socket, frame: string): Stream | undefined {
    const { gate, state, streamsPerOwner, bufferedBytes } = this.#options;
    let opened: { session: Session; hello: StreamHello; request: StreamRequest };
    try {
      opened = this.#readHello(frame);
    } catch (error) {
      socket.close(STREAM_CLOSE.refused, error instanceof Refusal ? error.code : 'USAGE');
      return undefined;
    }
    const { session, hello, request } = opened;
    const { owner } = session;
    const streams = this.#ofOwner.get(owner) ?? new Set<Stream>();
    if (streams.size >= streamsPerOwner || !gate.rates.take(owner, performance.now())) {
      socket.close(STREAM_CLOSE.tooMany, 'RATE_LIMITED');
      return undefined;
    }
    gate.deadMan.touch(owner);
    const stream: Stream = {
      socket,
      session,
      sequence: hello.sequence,
      cancelOnDisconnect: request.cancelOnDisconnect ?? false,
      bytesMax: bufferedBytes,
      frames: 0,
      isAlive: true,
    };
    this.#ofOwner.set(owner, streams.add(stream));
    // The state, and what is reported of it from here on, are of one moment: nothing is lost or doubled between the two.
    const { after } = request;
    const missed = after === undefined ? undefined : state().records.reportsAfter(owner, after);
    const bodies: StreamBody[] = missed?.map((report) => ({ kind: 'report', report })) ?? [
      { kind: 'snapshot', snapshot: snapshotOf(state(), owner) },
    ];
    const texts = bodies.map((body) => toJson(body));
    const length = texts.reduce((sum, text) => sum + text.length, 0);
    gate.rates.spend(owner, costOf(length));
    // What a stream begins with may be more than a client is let lag behind later.
    stream.bytesMax += QUOTING * length;
    for (const body of texts) this.#send(stream, body);
    return stream;
  }

  /** Throws for anything but the first frame of an open session. */
  #readHello(text: string): { session: Session; hello: StreamHello; request: StreamRequest } {
    const { gate } = this.#options;
    const json: unknown = JSON.parse(text);
    checkJson(STREAM_HELLO_SCHEMA, json);
    const hello = json as StreamHello;
    const session = gate.sessions.find(hello.session);
    checkMac(session, { method: 'POST', path: STREAM_PATH, ...hello });
    takeSequence(session, hello.sequence);
    const request: unknown = JSON.parse(hello.body);
    checkJson(STREAM_REQUEST_SCHEMA, request);
    return { session, hello, request: request as StreamRequest };
  }

  #hear(stream: Stream, text: string): void {
    const { owner } = stream.session;
    const { deadMan, rates } = this.#options.gate;
    if (this.#ofOwner.get(owner)?.has(stream) !== true) return;
    if (text !== ALIVE_FRAME) this.#end(stream, STREAM_CLOSE.unexpected, 'USAGE');
    else if (rates.take(owner, performance.now())) deadMan.touch(owner);
  }

  #send(stream: Stream, body: string): void {
    const { socket, session, sequence } = stream;
    const mac = session.keys.frameMac(sequence, stream.frames++, body);
    socket.send(JSON.stringify({ body, mac }));
    if (socket.bufferedAmount > stream.bytesMax) this.#end(stream, STREAM_CLOSE.slow, 'RATE_LIMITED');
  }

  #ping(): void {
    for (const streams of this.#ofOwner.values()) {
      for (const stream of [...streams]) {
        if (stream.isAlive) {
          stream.isAlive = false;
          stream.socket.ping();
        } else {
          this.#forget(stream);
          stream.socket.terminate();
        }
      }
    }
  }

  #end(stream: Stream, code: number, reason?: string): void {
    this.#forget(stream);
    stream.socket.close(code, reason);
  }

  #forget(stream: Stream): void {
    const { owner } = stream.session;
    const streams = this.#ofOwner.get(owner);
    if (streams?.delete(stream) !== true) return;
    if (streams.size === 0) this.#ofOwner.delete(owner);
    if (!stream.cancelOnDisconnect) return;
    const cancelled = this.#options.cancelAll(owner).catch(() => undefined);
    this.#cancelling.add(cancelled);
    void cancelled.then(() => this.#cancelling.delete(cancelled));
  }
}

/** All of it is open or waits to be settled, and of that the exchange lets an owner have only so much. */
function snapshotOf(state: Exchange, owner: bigint): AccountSnapshot {
  const { records } = state;
  return {
    sequence: records.sequence(owner),
    time: state.time,
    orders: records.orders(owner).filter(({ status }) => status === 'open'),
    balances: state.balances(owner),
    fills: records.fills(owner).filter(({ status }) => status === 'waiting'),
    withdrawals: records.withdrawals(owner).filter(({ status }) => status === 'waiting'),
  };
}
