import assert from 'node:assert/strict';
import { packHello, SEALED_HELLO_BYTES } from '@bitcloak/trading/sealing';
import { STREAM_CLOSE, type StreamBody } from '@bitcloak/trading/wire';
import type { Gate } from '../../enclave/api/sealed.ts';
import { Streams, type Socket, type StreamsOptions } from '../../enclave/api/streams.ts';
import type { Exchange } from '../../enclave/exchange/exchange.ts';
import type { Written } from '../../enclave/exchange/blotter.ts';

/** A client that reads only when it is told to. */
class Client implements Socket {
  bufferedAmount = 0;
  closeCode: number | undefined;
  isTerminated = false;
  received = 0;
  readonly #listeners = new Map<string, (data: Buffer, isBinary: boolean) => void>();

  send(frame: Uint8Array): void {
    assert.ok(!this.isTerminated, 'nothing is sent to who is gone');
    this.bufferedAmount += frame.length;
    this.received++;
  }

  on(event: string, listener: (data: Buffer, isBinary: boolean) => void): void {
    this.#listeners.set(event, listener);
  }

  emit(event: string, data: Buffer = Buffer.alloc(0)): void {
    this.#listeners.get(event)?.(data, true);
  }

  read(): void {
    this.bufferedAmount = 0;
  }

  close(code: number): void {
    this.closeCode = code;
  }

  terminate(): void {
    this.isTerminated = true;
  }

  ping(): void {}
}

/** A channel whose frames are as long as they are said to be. */
class Desk {
  readonly cancelled: bigint[] = [];
  readonly streams: Streams;
  #frameBytes = 0;
  #opening: { owner: bigint; cancelOnDisconnect: boolean } | undefined;

  constructor(options: Partial<StreamsOptions>) {
    const gate = {
      sessions: {
        unseal: () => {
          const { owner = 0n, cancelOnDisconnect = false } = this.#opening ?? {};
          const session = { owner, seal: () => new Uint8Array(this.#frameBytes), open: () => undefined };
          const plaintext = packHello(JSON.stringify({ after: 0, cancelOnDisconnect }));
          return { session, sequence: 1, plaintext, isLate: false };
        },
      },
      rates: { take: () => true, spend: () => undefined },
      deadMan: { touch: () => undefined },
    };
    this.streams = new Streams({
      gate: gate as unknown as Gate,
      state: () => ({ records: { reportsAfter: () => [] } }) as unknown as Exchange,
      cancelAll: async (owner) => this.cancelled.push(owner),
      streamsPerOwner: 8,
      strangers: 10,
      strangersPerAddress: 10,
      bufferedBytes: 500,
      bufferedBytesAll: 1_000,
      helloMs: 60_000,
      pingMs: 60_000,
      ...options,
    });
  }

  open(owner: bigint, cancelOnDisconnect = false): Client {
    const client = new Client();
    this.#opening = { owner, cancelOnDisconnect };
    this.streams.accept(client, 'somewhere');
    client.emit('message', Buffer.alloc(SEALED_HELLO_BYTES));
    return client;
  }

  tell(owner: bigint, bytes: number): void {
    this.#frameBytes = bytes;
    const report = {} as (StreamBody & { kind: 'report' })['report'];
    this.streams.deliver({ owner, report } satisfies Written);
  }
}

describe('what waits for the clients of streams', () => {
  let desk: Desk;
  const open = (options: Partial<StreamsOptions> = {}) => {
    desk = new Desk(options);
    return desk;
  };
  afterEach(() => desk.streams.close());
  const gone = (...clients: Client[]) => clients.map(({ isTerminated }) => isTerminated);

  it('is no more than there is room for, in each and in all; those go that are behind for longest', () => {
    open();
    const [slow, slower, quick, late] = [desk.open(1n, true), desk.open(2n, true), desk.open(3n), desk.open(4n)];
    desk.tell(2n, 10);
    desk.tell(1n, 300);
    desk.tell(3n, 490);
    quick.read();
    desk.tell(3n, 490);
    desk.tell(4n, 200);
    assert.deepEqual(gone(slow, slower, quick, late), [false, false, false, false], 'for 1000 there is room');
    desk.tell(4n, 1);
    assert.deepEqual(gone(slow, slower, quick, late), [false, true, false, false]);
    desk.tell(4n, 10);
    assert.deepEqual(gone(slow, slower, quick, late), [true, true, false, false], 'though others have more');
    assert.deepEqual(desk.cancelled, [2n, 1n], 'as where a client goes by itself');
    desk.tell(1n, 10);
    assert.equal(slow.received, 1);
    desk.tell(3n, 11);
    assert.equal(quick.closeCode, STREAM_CLOSE.slow, 'one alone has not all of it');
  });

  it('is counted as it is now, and ends nobody who has read', () => {
    open();
    const clients = [1n, 2n, 3n, 4n].map((owner) => desk.open(owner));
    for (let round = 0; round < 50; round++) {
      for (const [index, client] of clients.entries()) {
        desk.tell(BigInt(index + 1), 400);
        client.read();
      }
    }
    assert.deepEqual(gone(...clients), [false, false, false, false]);
    assert.deepEqual(
      clients.map(({ received }) => received),
      [50, 50, 50, 50],
    );
  });

  it('is that of clients who are being cut off too, and theirs goes first', () => {
    open({ bufferedBytes: 600 });
    const [cut, behind, last] = [desk.open(1n), desk.open(2n), desk.open(3n)];
    desk.tell(2n, 200);
    desk.tell(1n, 601);
    assert.deepEqual([cut.closeCode, cut.isTerminated], [STREAM_CLOSE.slow, false]);
    desk.tell(3n, 300);
    assert.deepEqual(gone(cut, behind, last), [true, false, false]);
    // What a closed socket had is not counted again.
    cut.emit('close');
    desk.tell(3n, 300);
    assert.deepEqual(gone(behind, last), [false, false]);
    desk.tell(2n, 201);
    assert.deepEqual(gone(behind, last), [true, false]);
  });

  it('ends all streams of an owner who reads none, while the same report goes out to them', () => {
    open({ bufferedBytesAll: 100 });
    const clients = [1, 2, 3].map(() => desk.open(1n));
    desk.tell(1n, 60);
    assert.deepEqual(gone(...clients), [true, true, false]);
    desk.tell(1n, 60);
    assert.deepEqual(gone(...clients), [true, true, true]);
  });
});
