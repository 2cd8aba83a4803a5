import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AccountStream, StreamEvent } from '@bitcloak/trading/stream';
import { API } from '@bitcloak/trading/wire';
import { AccountView } from '@bitcloak/trading/view';
import { FakeEnclave, recordOf, type FakeSocket } from '../support/fakeEnclave.ts';

const order = (id: number, changes = {}) => ({
  ...recordOf({ clientOrderId: `order-${id}`, side: 'sell', price: 200_000, lots: 100 }, id),
  ...changes,
});
const fill = (id: number, changes = {}) => ({
  id,
  order: 1,
  market: 1,
  side: 'sell',
  role: 'maker',
  price: 200_000,
  lots: 10,
  sold: '10000000000000000',
  bought: '19990000',
  fee: '10000',
  time: 5,
  status: 'waiting',
  settlement: 0,
  ...changes,
});
const balance = (available: string) => ({ asset: '1', total: '900', available, held: '0', waiting: '0' });
const snapshot = (sequence: number, orders: object[] = [], changes = {}) => ({
  kind: 'snapshot',
  snapshot: { sequence, time: 4, orders, balances: [balance('900')], fills: [], withdrawals: [], ...changes },
});
const report = (sequence: number, body: object) => ({ kind: 'report', report: { sequence, time: 5, ...body } });

async function until(isDone: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!isDone()) {
    assert.ok(Date.now() < deadline, 'in time');
    await sleep(2);
  }
}

describe('a stream of an account', () => {
  let enclave: FakeEnclave;
  let stream: AccountStream;
  let events: StreamEvent[];
  let available = '900';

  /** The socket of the nth connection, once the client has said hello on it. */
  async function connection(index: number): Promise<{ socket: FakeSocket; asked: unknown }> {
    await until(() => enclave.sockets.length > index);
    const socket = enclave.sockets[index] as FakeSocket;
    return { socket, asked: await socket.hello() };
  }
  async function open(options: { after?: number; cancelOnDisconnect?: boolean } = {}): Promise<FakeSocket> {
    // The pauses between so many connections double.
    const client = await enclave.connect({ pauseMs: 1 });
    events = [];
    stream = client.stream({ ...options, onEvent: (event) => events.push(event) });
    return (await connection(0)).socket;
  }
  const kinds = () => events.map(({ kind }) => kind);

  beforeEach(async () => {
    enclave = await FakeEnclave.open();
    enclave.replies.set(`GET ${API}/balances`, () => ({ json: { balances: [balance(available)] } }));
  });
  afterEach(async () => {
    stream.close();
    await stream.closed();
    enclave.close();
  });

  it('builds orders, fills and balances from a snapshot and what follows', async () => {
    const socket = await open();
    await socket.frame(snapshot(3, [order(1), order(2)]));
    await stream.ready();
    const { view } = stream;
    assert.deepEqual([view.sequence, view.isWhole, view.openOrders().length], [3, true, 2]);
    assert.equal(view.balance(1n).available, 900n);
    available = '700';
    await socket.frame(report(4, { kind: 'traded', fill: fill(1), order: order(1, { filled: 10, open: 90 }) }));
    await socket.frame(
      report(5, { kind: 'cancelled', order: order(2, { status: 'cancelled', open: 0, reason: 'requested' }) }),
    );
    await socket.frame(report(6, { kind: 'settled', settlement: 12, fills: [1, 99], withdrawals: [] }));
    await socket.frame(report(7, { kind: 'credited', asset: '1', amount: '5' }));
    assert.equal(view.sequence, 7);
    assert.deepEqual([view.orders.get(1)?.filled, view.openOrders().map(({ id }) => id)], [10, [1]]);
    const settled = view.fills.get(1);
    assert.deepEqual([settled?.sold, settled?.status, settled?.settlement], [10n ** 16n, 'settled', 12]);
    await until(() => kinds().includes('balances'));
    assert.equal(view.balance(1n).available, 700n);
    assert.equal(view.balance(2n).available, 0n);
    assert.deepEqual(kinds().slice(0, 3), ['connected', 'snapshot', 'report']);
    const asked = enclave.asked.filter(({ path }) => path === `${API}/balances`).length;
    assert.equal(asked, 1, 'once for all that came together');
  });

  it('goes on after the last report when the connection is lost, on its session', async () => {
    const socket = await open({ cancelOnDisconnect: true });
    assert.deepEqual(await socket.hello(), { cancelOnDisconnect: true });
    await socket.frame(snapshot(3));
    await socket.frame(report(4, { kind: 'credited', asset: '1', amount: '5' }));
    socket.end(1001);
    const { socket: second, asked } = await connection(1);
    assert.deepEqual(asked, { after: 4, cancelOnDisconnect: true });
    await second.frame(report(5, { kind: 'debited', asset: '1', amount: '5' }));
    assert.equal(stream.view.sequence, 5);
    assert.equal(enclave.sessions.size, 1);
    const lost = events.find((event) => event.kind === 'disconnected');
    assert.match(lost?.error.message ?? '', /closed with 1001/);
  });

  it('opens another session where the one that it has is over', async () => {
    const socket = await open();
    socket.end(4001);
    await connection(1);
    assert.equal(enclave.sessions.size, 2);
  });

  it('takes no frame that the enclave did not send in this place', async () => {
    let socket = await open();
    let next = 1;
    const altered = (bytes: Uint8Array, place: number) =>
      Uint8Array.from(bytes, (byte, at) => (at === place ? byte ^ 1 : byte));
    let recorded = new Uint8Array();
    const attacks: [string, (socket: FakeSocket) => Promise<void> | void][] = [
      [
        'altered',
        async (at) => {
          recorded = Uint8Array.from(await at.sealed(snapshot(3)));
          await at.bring(altered(recorded, 40));
        },
      ],
      ['of another stream', (at) => at.bring(recorded)],
      ['altered at its end', async (at) => at.bring(altered(await at.sealed(snapshot(3)), recorded.length - 1))],
      ['cut', async (at) => at.bring((await at.sealed(snapshot(3))).subarray(1))],
      ['truncated', async (at) => at.bring((await at.sealed(snapshot(3))).subarray(0, -1))],
      ['out of place', (at) => at.frame(snapshot(3), 1)],
      ['reflected', async (at) => at.bring(await at.said())],
      ['reflected without its head', async (at) => at.bring((await at.said()).subarray(20))],
      ['not sealed', (at) => at.bring(Buffer.from(JSON.stringify(snapshot(3))))],
      ['empty', (at) => at.bring(new Uint8Array())],
      ['text', (at) => at.onmessage?.({ data: JSON.stringify(snapshot(3)) })],
    ];
    for (const [name, attack] of attacks) {
      await attack(socket);
      const last = events.at(-1);
      await until(() => kinds().filter((kind) => kind === 'disconnected').length === next);
      assert.ok(last === undefined || last.kind !== 'snapshot', name);
      assert.ok(socket.isClosed, name);
      ({ socket } = await connection(next++));
    }
    for (const event of events) if (event.kind === 'disconnected') assert.equal(event.error.code, 'REPLY_FORGED');
    assert.equal(stream.view.isWhole, false);
  });

  it('takes no frame that does not fit, nor one twice', async () => {
    const socket = await open();
    await socket.frame({ kind: 'snapshot', snapshot: { sequence: 1 } });
    const { socket: second } = await connection(1);
    await second.frame(report(1, { kind: 'other' }));
    const { socket: third } = await connection(2);
    await third.frame(snapshot(3));
    await third.frame(snapshot(9), 0);
    assert.equal(stream.view.sequence, 3);
    const { asked } = await connection(3);
    assert.deepEqual(asked, { after: 3 });
    assert.equal(kinds().filter((kind) => kind === 'disconnected').length, 3);
  });

  for (const [name, sequence] of [
    ['missing', 5],
    ['doubled', 3],
  ] as const) {
    it(`asks for a snapshot where a report is ${name}`, async () => {
      const socket = await open();
      await socket.frame(snapshot(3, [order(1)]));
      await socket.frame(report(sequence, { kind: 'credited', asset: '1', amount: '5' }));
      assert.equal(stream.view.sequence, 3);
      const { socket: second, asked } = await connection(1);
      assert.deepEqual(asked, {});
      await second.frame(snapshot(8));
      assert.deepEqual(events.at(-1), { kind: 'snapshot', missed: true });
      assert.deepEqual([stream.view.sequence, stream.view.orders.size], [8, 0]);
    });
  }

  it('gives out what happens to who iterates it, and ends when it is closed', async () => {
    const client = await enclave.connect();
    stream = client.stream({ after: 2 });
    const { socket, asked } = await connection(0);
    assert.deepEqual(asked, { after: 2 });
    await stream.ready();
    assert.equal(stream.view.isWhole, false);
    await socket.frame(report(3, { kind: 'credited', asset: '1', amount: '5' }));
    const seen: string[] = [];
    for await (const event of stream) {
      seen.push(event.kind);
      if (event.kind === 'report') stream.close();
    }
    assert.deepEqual(seen, ['connected', 'report']);
    assert.ok(socket.isClosed);
  });

  it('ends with its signal, and says that it lives only where it does', async () => {
    const stop = new AbortController();
    const client = await enclave.connect();
    stream = client.stream({ signal: stop.signal });
    assert.equal(stream.alive(), false);
    const { socket } = await connection(0);
    assert.equal(stream.alive(), true);
    assert.equal(stream.alive(), true);
    await until(() => socket.heard.length === 2);
    assert.deepEqual(socket.heard, ['{"kind":"alive"}', '{"kind":"alive"}']);
    stop.abort();
    await stream.closed();
    assert.equal(stream.alive(), false);
    await assert.rejects(stream.ready(), { code: 'OPERATOR_UNREACHABLE' });
  });

  it('ends where the operator is another one than expected', async () => {
    const socket = await open();
    enclave.info = { ...enclave.info, operatorId: 5n };
    socket.end(4001);
    await stream.closed();
    await assert.rejects(
      async () => {
        for await (const event of stream) assert.ok(event);
      },
      { code: 'OPERATOR_MISMATCH' },
    );
  });
});

describe('a view of an account', () => {
  it('keeps what is open however old it is, and about a thousand of what is done', () => {
    const view = new AccountView();
    for (let id = 1; id <= 3_000; id++) {
      const status = id === 7 ? 'open' : 'cancelled';
      view.apply({ sequence: id, time: id, kind: 'accepted', order: order(id, { status }) });
    }
    assert.ok(view.orders.size <= 2_000 && view.orders.size > 1_000);
    assert.deepEqual([view.orders.has(7), view.orders.has(8), view.orders.has(3_000)], [true, false, true]);
    assert.throws(() => view.apply({ sequence: 3_002, time: 1, kind: 'credited', asset: 1n, amount: 1n }), RangeError);
  });
});
