import { checkJson } from '@bitcloak/trading/checks';
import type { AccountSnapshot } from '@bitcloak/trading/records';
import {
  KIND,
  packFrame,
  SEALED_ALIVE_BYTES,
  SEALED_HELLO_BYTES,
  SEQUENCE_MAX,
  TAG_BYTES,
  unpackText,
} from '@bitcloak/trading/sealing';
import {
  ALIVE_FRAME,
  API,
  STREAM_CLOSE,
  STREAM_REQUEST_SCHEMA,
  toJson,
  type StreamBody,
  type StreamRequest,
} from '@bitcloak/trading/wire';
import type { Written } from '../exchange/blotter.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { costOf } from './limits.ts';
import { Refusal } from './refusal.ts';
import type { Gate } from './sealed.ts';
import type { Session } from './sessions.ts';

/** What is used of a WebSocket. */
export type Socket = {
  readonly bufferedAmount: number;
  send(bytes: Uint8Array): void;
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
  /** The same of all sockets together. */
  readonly bufferedBytesAll: number;
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
  /** How many frames had been sent, to anybody, when all of its own were last seen to be on their way. */
  behindSince: number;
  /** That were sent, and that were heard after the first one. */
  frames: number;
  heard: number;
  isAlive: boolean;
};

/** What a client says first. */
type Hello = { readonly session: Session; readonly sequence: number; readonly request: StreamRequest };

/** Somebody who did not say yet who he is. */
type Stranger = { readonly address: string; readonly late: NodeJS.Timeout };

const CLOSE_MS_MAX = 1_000;
const NOTHING = new Uint8Array();

/** Where streams are opened. */
export const STREAM_PATH = `${API}/stream`;

/** The streams of reports that owners have open. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #ofOwner = new Map<bigint, Set<Stream>>();
  /** The oldest first. */
  readonly #strangers = new Map<Socket, Stranger>();
  /** Open ones and those that are being closed, with what waited in each when it was last looked at. */
  readonly #sockets = new Map<Socket, number>();
  readonly #ending = new Set<Socket>();
  /** Of all sockets: no less than what waits now, which only sending adds to. */
  #waiting = 0;
  #frames = 0;
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
    this.#sockets.set(socket, 0);
    const late = setTimeout(() => {
      this.#dismiss(socket, STREAM_CLOSE.refused, 'SESSION_REFUSED');
    }, this.#options.helloMs);
    this.#strangers.set(socket, { address, late });
    let stream: Stream | undefined;
    socket.on('message', (data, isBinary) => {
      const frame = isBinary ? data : NOTHING;
      if (stream !== undefined) this.#hear(stream, frame);
      // A socket that is being closed still gives out what comes.
      else if (this.#recognise(socket)) stream = this.#open(socket, frame);
    });
    socket.on('close', () => {
      this.#recognise(socket);
      this.#release(socket);
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
    const padded = padOf({ kind: 'report', report });
    for (const stream of [...streams]) this.#send(stream, padded);
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
      for (const socket of this.#sockets.keys()) socket.terminate();
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

  #open(socket: Socket, frame: Uint8Array): Stream | undefined {
    const { gate, state, streamsPerOwner, bufferedBytes } = this.#options;
    let opened: Hello;
    try {
      opened = this.#readHello(frame);
    } catch (error) {
      socket.close(STREAM_CLOSE.refused, error instanceof Refusal ? error.code : 'USAGE');
      return undefined;
    }
    const { session, sequence, request } = opened;
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
      sequence,
      cancelOnDisconnect: request.cancelOnDisconnect ?? false,
      bytesMax: bufferedBytes,
      behindSince: this.#frames,
      frames: 0,
      heard: 0,
      isAlive: true,
    };
    this.#ofOwner.set(owner, streams.add(stream));
    // The state, and what is reported of it from here on, are of one moment: nothing is lost or doubled between the two.
    const { after } = request;
    const missed = after === undefined ? undefined : state().records.reportsAfter(owner, after);
    const bodies: StreamBody[] = missed?.map((report) => ({ kind: 'report', report })) ?? [
      { kind: 'snapshot', snapshot: snapshotOf(state(), owner) },
    ];
    const padded = bodies.map(padOf);
    const length = padded.reduce((sum, bytes) => sum + bytes.length + TAG_BYTES, 0);
    gate.rates.spend(owner, costOf(length));
    // What a stream begins with may be more than a client is let lag behind later.
    stream.bytesMax += length;
    for (const bytes of padded) this.#send(stream, bytes);
    return stream;
  }

  /** Throws for anything but the first frame of an open session. */
  #readHello(frame: Uint8Array): Hello {
    if (frame.length !== SEALED_HELLO_BYTES) throw new RangeError('a hello has another length');
    const { session, sequence, plaintext, isLate } = this.#options.gate.sessions.unseal(KIND.hello, frame);
    if (isLate) throw new Refusal(408, 'REQUEST_REFUSED', 'the hello was too long on its way');
    const request: unknown = JSON.parse(unpackText(plaintext));
    checkJson(STREAM_REQUEST_SCHEMA, request);
    return { session, sequence, request: request as StreamRequest };
  }

  #hear(stream: Stream, frame: Uint8Array): void {
    const { session, sequence } = stream;
    const { owner } = session;
    const { deadMan, rates, sessions } = this.#options.gate;
    if (!this.#isOpen(stream)) return;
    const isAlive = frame.length === SEALED_ALIVE_BYTES && stream.heard <= SEQUENCE_MAX;
    const opened = isAlive ? session.open(KIND.alive, sequence, frame, stream.heard++) : undefined;
    if (opened === undefined || !isAliveText(opened.plaintext)) this.#end(stream, STREAM_CLOSE.unexpected, 'USAGE');
    // A client whose clock stood, or runs slower, would say so in vain from now on: it comes back in another session.
    else if (sessions.isLate(session, opened.marks)) this.#end(stream, STREAM_CLOSE.refused, 'REQUEST_REFUSED');
    else if (rates.take(owner, performance.now())) deadMan.touch(owner);
  }

  #send(stream: Stream, padded: Uint8Array): void {
    const { socket, session, sequence } = stream;
    // Others may have taken its place since whoever calls this looked.
    if (!this.#isOpen(stream)) return;
    // There is no nonce left; its client goes on with another stream.
    if (stream.frames > SEQUENCE_MAX) return this.#end(stream, STREAM_CLOSE.slow, 'RATE_LIMITED');
    if (socket.bufferedAmount === 0) stream.behindSince = this.#frames;
    this.#frames++;
    socket.send(session.seal(KIND.frame, sequence, padded, stream.frames++));
    this.#measure(socket);
    if (socket.bufferedAmount > stream.bytesMax) this.#end(stream, STREAM_CLOSE.slow, 'RATE_LIMITED');
    if (this.#waiting > this.#options.bufferedBytesAll) this.#relieve();
  }

  #measure(socket: Socket): void {
    const { bufferedAmount } = socket;
    this.#waiting += bufferedAmount - (this.#sockets.get(socket) ?? 0);
    this.#sockets.set(socket, bufferedAmount);
  }

  #release(socket: Socket): void {
    this.#waiting -= this.#sockets.get(socket) ?? 0;
    this.#sockets.delete(socket);
    this.#ending.delete(socket);
  }

  /**
   * Ends what takes up too much memory: first what is being closed anyway, whose clients have not read so far, and then the streams that are behind for longest. One
   * that has just begun has much to read, and is not slow for that.
   */
  #relieve(): void {
    const { bufferedBytesAll } = this.#options;
    for (const socket of this.#sockets.keys()) this.#measure(socket);
    for (const socket of this.#ending) {
      if (this.#waiting <= bufferedBytesAll) return;
      this.#destroy(socket);
    }
    if (this.#waiting <= bufferedBytesAll) return;
    const behind = [...this.#ofOwner.values()]
      .flatMap((streams) => [...streams])
      .filter(({ socket }) => socket.bufferedAmount > 0)
      .sort((left, right) => left.behindSince - right.behindSince);
    for (const stream of behind) {
      if (this.#waiting <= bufferedBytesAll) return;
      this.#forget(stream);
      this.#destroy(stream.socket);
    }
  }

  /** A close that is told would wait behind what is not read. */
  #destroy(socket: Socket): void {
    this.#release(socket);
    socket.terminate();
  }

  #isOpen(stream: Stream): boolean {
    return this.#ofOwner.get(stream.session.owner)?.has(stream) === true;
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
    this.#ending.add(stream.socket);
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

const padOf = (body: StreamBody) => packFrame(toJson(body));

function isAliveText(opened: Uint8Array): boolean {
  try {
    return unpackText(opened) === ALIVE_FRAME;
  } catch {
    return false;
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
