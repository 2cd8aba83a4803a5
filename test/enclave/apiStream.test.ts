import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { OrderRecord, Report } from '@bitcloak/trading/records';
import { FRAME_BYTES, KIND, packHello, REQUEST_BYTES, SEALED_HELLO_BYTES, TAG_BYTES } from '@bitcloak/trading/sealing';
import {
  ALIVE_FRAME,
  API,
  decodeStreamBody,
  STREAM_CLOSE,
  type StreamBody,
  type StreamRequest,
} from '@bitcloak/trading/wire';
import type { ApiLimits } from '../../enclave/api/limits.ts';
import { Journal } from '../../enclave/journal/journal.ts';
import { Machine } from '../../enclave/operator/machine.ts';
import type { TestStream } from '../support/api.ts';
import { ApiBench, jsonOf, sendSealed, type TestSession } from '../support/api.ts';
import { Dice } from '../support/dice.ts';
import { RawStream } from '../support/rawStream.ts';
import type { Trader } from '../support/settlement.ts';

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

/** Waits until something holds; throws where it does not come to hold. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`${what}: it does not come to that`);
    await pause(10);
  }
}

/** Open orders, as reports that follow a state leave them. */
function followed(bodies: readonly StreamBody[], orders = new Map<number, OrderRecord>()): OrderRecord[] {
  for (const body of bodies) {
    if (body.kind === 'snapshot') {
      orders.clear();
      for (const order of body.snapshot.orders) orders.set(order.id, order);
    } else if ('order' in body.report && body.report.order !== undefined) {
      const { order } = body.report;
      if (order.status === 'open') orders.set(order.id, order);
      else orders.delete(order.id);
    }
  }
  return [...orders.values()].sort((left, right) => left.id - right.id);
}

/** The sequences that a stream has told of: those of its reports, after the one of its state. */
function assertGapless(bodies: readonly StreamBody[], after?: number): number {
  const [first, ...others] = bodies;
  let last = after;
  if (last === undefined) {
    assert(first?.kind === 'snapshot');
    last = first.snapshot.sequence;
  } else if (first !== undefined) {
    others.unshift(first);
  }
  for (const body of others) {
    assert(body.kind === 'report');
    assert.equal(body.report.sequence, ++last);
  }
  return last;
}

/** The first frame of a stream. */
const hello = (session: TestSession, request: StreamRequest) =>
  session.sealed.sealHello(++session.sequence, JSON.stringify(request));

describe('streams of the API', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  const withLimits = (limits: Partial<ApiLimits>, trustedProxies: string[] = []) => {
    const { api } = bench.settings;
    return bench.restart({ api: { ...api, limits: { ...api.limits, ...limits }, trustedProxies } });
  };
  const records = () => bench.enclave.machine.state.records;
  const owner = () => alice.key.keys.owner;
  const openOrders = () =>
    records()
      .orders(owner())
      .filter(({ status }) => status === 'open');
  const isTold = (stream: TestStream, sequence = records().sequence(owner())) =>
    stream.until(({ bodies }) => {
      const last = bodies.at(-1);
      const told = last?.kind === 'report' ? last.report.sequence : last?.snapshot.sequence;
      return (told ?? -1) >= sequence;
    });

  before(async () => {
    bench = await ApiBench.open('api streams');
    alice = await bench.trader(1_000_000n, 0n);
    bob = await bench.trader(0n, 1_000_000n);
  });
  afterEach(async () => {
    for (const trader of [alice, bob]) {
      await bench.enclave.machine.execute({ kind: 'cancelAll', owner: trader.key.keys.owner });
    }
  });
  after(() => bench.close());

  const place = async (session: TestSession, trader: Trader, side: 'buy' | 'sell', price: number, lots: number) => {
    const reply = await session.place(await bench.order(trader, side, price, lots));
    assert.equal(reply.status, 201, reply.text);
    return jsonOf<{ order: OrderRecord }>(reply).order;
  };
  /** The frames that a stream begins with, as they come over the wire. */
  const framesOf = async (session: TestSession, request: StreamRequest) => {
    const stream = await session.stream(request);
    await stream.until(({ bodies }) => bodies.length > 0);
    stream.close();
    return stream.frames;
  };
  /** Many reports at little cost: an order that is made smaller, lot by lot. */
  const shrink = async (times: number): Promise<void> => {
    const session = await bench.session(alice);
    const { id, lots } = await place(session, alice, 'sell', 900, times + 1);
    const commands = Array.from({ length: times }, (_, index) => {
      const amendment = { price: 900, lots: lots - index - 1 };
      return bench.enclave.machine.execute({ kind: 'amend', owner: owner(), order: id, amendment });
    });
    await Promise.all(commands);
  };

  describe('tell', () => {
    it('a state first, then everything that happens to their owner and nothing else', async () => {
      const session = await bench.session(alice);
      const resting = await place(session, alice, 'sell', 20, 50);
      const stream = await session.stream();
      await stream.until(({ bodies }) => bodies.length === 1);
      const [body] = stream.bodies;
      assert(body?.kind === 'snapshot');
      const { state } = bench.enclave.machine;
      assert.deepEqual(body.snapshot, {
        sequence: records().sequence(owner()),
        time: state.time,
        orders: [{ ...resting }],
        balances: state.balances(owner()),
        fills: [],
        withdrawals: [],
      });
      await place(await bench.session(bob), bob, 'buy', 20, 20);
      await session.call('DELETE', `/orders/${resting.id}`);
      await isTold(stream);
      assert.deepEqual(
        stream.reports.map(({ kind }) => kind),
        ['traded', 'cancelled'],
      );
      const [traded] = stream.reports;
      assert(traded?.kind === 'traded');
      assert.deepEqual([traded.fill.lots, traded.fill.sold, traded.order?.filled], [20, 200n, 20]);
      stream.close();
    });

    it('states and reports that fit, whenever they begin', async () => {
      const dice = new Dice('streams');
      const sessions = await Promise.all([bench.session(alice), bench.session(alice), bench.session(bob)]);
      const [first, second, other] = sessions;
      const streams: TestStream[] = [];
      const orders = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          index % 3 === 2
            ? bench.order(bob, 'buy', 30, 1 + dice.int(5))
            : bench.order(alice, 'sell', 30 + dice.int(2), 1 + dice.int(5)),
        ),
      );
      const placing = orders.map(async (order, index) => {
        await pause(dice.int(200));
        const session = index % 3 === 2 ? other : index % 3 === 1 ? second : first;
        assert.equal((await session.place(order)).status, 201);
        if (dice.chance(1, 4)) await first.call('DELETE', `/orders/${1 + dice.int(60)}`);
      });
      const opening = Array.from({ length: 6 }, async (_, index) => {
        await pause(index * 35);
        streams.push(await first.stream());
      });
      await Promise.all([...placing, ...opening]);
      for (const stream of streams) {
        await isTold(stream);
        assert.equal(assertGapless(stream.bodies), records().sequence(owner()));
        assert.deepEqual(
          followed(stream.bodies),
          openOrders().map(({ reason, ...order }) => (reason === undefined ? order : { ...order, reason })),
        );
        stream.close();
      }
      const begun = new Set(
        streams.map(({ bodies }) => (bodies[0]?.kind === 'snapshot' ? bodies[0].snapshot.sequence : 0)),
      );
      assert(begun.size > 2, 'they began at moments of their own');
    });

    it('what happened meanwhile to those who come back, nothing lost and nothing twice', async () => {
      const session = await bench.session(alice);
      const load = shrink(900);
      let after = records().sequence(owner());
      const seen: Report[] = [];
      const start = after;
      for (let visit = 0; visit < 6; visit++) {
        const stream = await session.stream({ after });
        await stream.until(({ reports }) => {
          return reports.length > 20 * visit || (reports.at(-1)?.sequence ?? after) >= records().sequence(owner());
        });
        stream.close();
        await stream.closed;
        after = assertGapless(stream.bodies, after);
        seen.push(...stream.reports);
        await pause(5);
      }
      await load;
      const last = await session.stream({ after });
      if (after < records().sequence(owner())) await isTold(last);
      seen.push(...last.reports);
      last.close();
      assert.deepEqual(
        seen.map(({ sequence }) => sequence),
        Array.from({ length: records().sequence(owner()) - start }, (_, index) => start + index + 1),
      );
      assert.deepEqual(seen.length > 900, true);
    });

    it('the same across a restart of the enclave', async () => {
      const before = await bench.session(alice);
      const stream = await before.stream();
      await place(before, alice, 'sell', 40, 3);
      await isTold(stream);
      const after = assertGapless(stream.bodies);
      await place(before, alice, 'sell', 41, 3);
      await bench.restart();
      assert.equal((await stream.closed).code, STREAM_CLOSE.goingAway);
      const session = await bench.session(alice);
      await place(session, alice, 'sell', 42, 3);
      const again = await session.stream({ after });
      await isTold(again);
      assert.equal(again.bodies[0]?.kind, 'report');
      assert.equal(assertGapless(again.bodies, after), records().sequence(owner()));
      const prices = again.reports.flatMap((report) => (report.kind === 'accepted' ? [report.order.price] : []));
      assert.deepEqual(prices.slice(-1), [42]);
      assert(prices.includes(41));
      again.close();
    });

    it('a state where the reports after one are not there any more, or never were', async () => {
      const session = await bench.session(alice);
      await shrink(2_500);
      for (const after of [0, 1, records().sequence(owner()) + 1, Number.MAX_SAFE_INTEGER]) {
        const stream = await session.stream({ after });
        await stream.until(({ bodies }) => bodies.length > 0);
        assert.equal(stream.bodies[0]?.kind, 'snapshot', `after ${after}`);
        stream.close();
      }
      const upToDate = await session.stream({ after: records().sequence(owner()) });
      await place(session, alice, 'sell', 43, 1);
      await isTold(upToDate);
      assert.deepEqual(
        upToDate.bodies.map(({ kind }) => kind),
        ['report'],
      );
      upToDate.close();
    });

    it('what is in the journal already', async () => {
      const session = await bench.session(alice);
      const stream = await session.stream({ after: records().sequence(owner()) });
      const order = await bench.order(alice, 'sell', 44, 1);
      const placed = session.place(order);
      await stream.until(({ reports }) => reports.length > 0);
      // The disk as it is now: what a machine that dies would leave.
      const copy = join(bench.directory, 'copy');
      cpSync(join(bench.directory, 'journal'), copy, { recursive: true });
      rmSync(join(copy, 'lock'));
      const journal = await Journal.open({ directory: copy, key: bench.keys.journalKey });
      const { state } = await Machine.open(journal, bench.desk.operatorId);
      const [report] = stream.reports;
      assert(report?.kind === 'accepted');
      const [kept] = state.records.reportsAfter(owner(), report.sequence - 1) ?? [];
      assert(kept?.kind === 'accepted');
      assert.deepEqual({ ...kept.order, reason: 'none' }, { ...report.order, reason: 'none' });
      await journal.close();
      assert.equal((await placed).status, 201);
      stream.close();
    });

    it('every report in as many bytes', async () => {
      const session = await bench.session(alice);
      const stream = await session.stream({ after: records().sequence(owner()) });
      const { id } = await place(session, alice, 'sell', 20, 50);
      await place(await bench.session(bob), bob, 'buy', 20, 20);
      await session.call('PATCH', `/orders/${id}`, { price: 20, lots: 40 });
      await session.call('DELETE', `/orders/${id}`);
      await isTold(stream);
      const kinds = stream.reports.map(({ kind }) => kind);
      assert.deepEqual(kinds, ['accepted', 'traded', 'amended', 'cancelled']);
      for (const [index, frame] of stream.frames.entries())
        assert.equal(frame.length, FRAME_BYTES + TAG_BYTES, kinds[index]);
      stream.close();
    });
  });

  describe('are opened', () => {
    const refusedWith = async (frame: string | Uint8Array, code: number = STREAM_CLOSE.refused) => {
      const stream = await RawStream.open(bench.url);
      stream.send(frame);
      await until('the close', () => stream.closeCode !== undefined);
      assert.deepEqual([stream.closeCode, stream.sealed], [code, []]);
      stream.destroy();
    };

    it('by a frame of a session, which is used once', async () => {
      const session = await bench.session(alice);
      const good = await hello(session, {});
      const stream = await RawStream.open(bench.url);
      stream.send(good);
      await until('the state', () => stream.sealed.length === 1);
      const text = await session.sealed.openFrame(session.sequence, 0, stream.sealed[0] as Uint8Array);
      assert.equal((JSON.parse(text ?? '') as StreamBody).kind, 'snapshot');
      await refusedWith(good);
      stream.destroy();
    });

    it('by nothing else', async () => {
      const [session, other] = [await bench.session(alice), await bench.session(bob)];
      const sealed = (text: string) => session.sealed.sealHello(++session.sequence, text);
      const good = await hello(session, {});
      const flipped = (bit: number) =>
        Uint8Array.from(good, (byte, place) => (place === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      const [first] = await framesOf(session, {});
      assert(first !== undefined);
      const wrong: (string | Uint8Array)[] = [
        '',
        'no seal',
        '{}',
        ALIVE_FRAME,
        Buffer.from(good).toString('hex').slice(0, good.length),
        new Uint8Array(0),
        new Uint8Array(SEALED_HELLO_BYTES),
        good.subarray(1),
        good.subarray(0, good.length - 1),
        Buffer.concat([(await hello(other, {})).subarray(0, 16), good.subarray(16)]),
        Buffer.concat([good.subarray(0, 20), (await hello(session, {})).subarray(20)]),
        // What the enclave said comes back to it.
        Buffer.concat([good.subarray(0, 20), first.subarray(0, SEALED_HELLO_BYTES - 20)]),
        // Sealed by the session for something else.
        await session.sealed.sealPadded(KIND.request, ++session.sequence, packHello('{}')),
        await session.sealed.sealPadded(KIND.alive, ++session.sequence, packHello('{}')),
        await sealed('{"after":"1"}'),
        await sealed('{"after":-1}'),
        await sealed('{"after":1.5}'),
        await sealed('{"cancelOnDisconnect":1}'),
        await sealed('{"unknown":1}'),
        await sealed('nonsense'),
        await sealed(''),
      ];
      for (let bit = 0; bit < 8 * good.length; bit += 37) wrong.push(flipped(bit));
      for (const frame of wrong) await refusedWith(frame);
      await refusedWith(new Uint8Array(SEALED_HELLO_BYTES + 1), 1009);
      // None of them has used up the sequence of the good one.
      const stream = await RawStream.open(bench.url);
      stream.send(good);
      await until('the state', () => stream.sealed.length === 1);
      stream.destroy();
    });

    it('by no request, nor is what opens one taken for a request', async () => {
      const session = await bench.session(alice);
      const asked = await session.sealed.sealPadded(KIND.hello, ++session.sequence, new Uint8Array(REQUEST_BYTES));
      const reply = await sendSealed(bench.url, asked);
      assert.deepEqual([reply.status, jsonOf(reply)['code']], [401, 'REQUEST_REFUSED']);
    });

    it('in their place only', async () => {
      for (const path of ['/health', '/metrics', `${API}/info`, `${API}/sessions`, `${API}/stream/`, '/nowhere']) {
        await assert.rejects(RawStream.open(bench.url, path), /no stream: HTTP\/1.1 40[04]/, path);
      }
      await assert.rejects(RawStream.open(bench.url, `${API}/sealed`), /no stream: HTTP\/1.1 40[04]/);
    });

    it('in time, and by no more than an owner may', async () => {
      await withLimits({ helloMs: 150, streamsPerOwner: 2 });
      const late = await RawStream.open(bench.url);
      await until('the close', () => late.closeCode !== undefined);
      assert.equal(late.closeCode, STREAM_CLOSE.refused);
      late.destroy();
      const session = await bench.session(alice);
      const streams = [await session.stream(), await session.stream()];
      for (const stream of streams) await stream.until(({ bodies }) => bodies.length === 1);
      const third = await session.stream();
      assert.equal((await third.closed).code, STREAM_CLOSE.tooMany);
      const ofBob = await (await bench.session(bob)).stream();
      await ofBob.until(({ bodies }) => bodies.length === 1);
      for (const stream of [...streams, ofBob]) stream.close();
      await bench.restart();
    });

    it('by strangers of whom the oldest goes where there are too many', async () => {
      await withLimits({ strangers: 2 });
      const session = await bench.session(alice);
      const [first, second] = [await RawStream.open(bench.url), await RawStream.open(bench.url)];
      const third = await RawStream.open(bench.url);
      await until('the close', () => first.closeCode !== undefined);
      assert.equal(first.closeCode, STREAM_CLOSE.goingAway);
      // Who had to go is not heard any more; who came last is.
      first.send(await hello(session, {}));
      third.send(await hello(session, {}));
      await until('the state', () => third.sealed.length === 1);
      await until('the end', () => first.isEnded);
      assert.deepEqual([first.sealed, second.closeCode], [[], undefined]);
      for (const stranger of [first, second, third]) stranger.destroy();
      await bench.restart();
    });

    it('by strangers of whom one address has a few places only', async () => {
      await withLimits({ strangers: 4, strangersPerAddress: 2 }, ['127.0.0.1']);
      /** By the places of the sockets. */
      const codes = new Map<number, number>();
      const sockets: WebSocket[] = [];
      const from = async (address: string) => {
        const headers = { 'x-forwarded-for': address };
        const socket = new WebSocket(`${bench.url.replace('http', 'ws')}${API}/stream`, { headers });
        const place = sockets.push(socket) - 1;
        socket.addEventListener('close', ({ code }) => codes.set(place, code));
        await new Promise((done) => {
          socket.addEventListener('open', done);
        });
      };
      const { goingAway } = STREAM_CLOSE;
      for (const address of ['10.0.0.1', '2001:db8:1:2::1', '2001:db8:1:2:ffff::2', '10.0.0.1']) await from(address);
      await pause(100);
      assert.deepEqual([...codes], []);
      await from('2001:db8:1:2::3');
      await until('the close', () => codes.has(1));
      assert.deepEqual([...codes], [[1, goingAway]], 'one network is one address');
      await from('10.0.0.2');
      await until('the close', () => codes.has(0));
      assert.equal(codes.size, 2);
      for (const socket of sockets) socket.close();
      await bench.restart();
    });

    it('at the price of a request, and more where there is much to tell', async () => {
      await withLimits({ owner: { perSecond: 1, burst: 60 } });
      const session = await bench.session(alice);
      const after = records().sequence(owner());
      const ofOwner = async () => {
        const stream = await session.stream({ after });
        const code = await Promise.race([stream.closed.then(({ code: why }) => why), pause(100)]);
        stream.close();
        return code;
      };
      for (let count = 0; count < 10; count++) assert.equal(await ofOwner(), undefined);
      const bytes = () => JSON.stringify(records().reportsAfter(owner(), after)).length;
      await shrink(600);
      assert(bytes() > 60 * 1_024);
      let count = 0;
      while ((await ofOwner()) === undefined) count++;
      assert(count > 0 && count < 12, `${count} long ones`);
      assert.equal(await ofOwner(), STREAM_CLOSE.tooMany);
      const ofBob = await (await bench.session(bob)).stream();
      await ofBob.until(({ bodies }) => bodies.length === 1);
      ofBob.close();
      await bench.restart();
    });

    it('for good: a stream goes on when its session has ended', async () => {
      const session = await bench.session(alice);
      const stream = await session.stream();
      await stream.until(({ bodies }) => bodies.length === 1);
      bench.clockAhead = 3_700_000;
      const later = await bench.session(alice);
      await place(later, alice, 'sell', 45, 1);
      await isTold(stream);
      bench.clockAhead = 0;
      stream.close();
    });
  });

  describe('end', () => {
    it('where a client says what it may not', async () => {
      const session = await bench.session(alice);
      const opened = async () => {
        const stream = await session.stream();
        await stream.until(({ bodies }) => bodies.length === 1);
        await stream.alive();
        return stream;
      };
      const ends = async (stream: TestStream) => {
        assert.equal((await stream.closed).code, STREAM_CLOSE.unexpected);
      };
      for (const text of ['{}', '{"kind":"alive" }', '{"kind":"order"}', '', 'x'.repeat(200)]) {
        const stream = await opened();
        await stream.say(text);
        await ends(stream);
      }
      for (const frame of [ALIVE_FRAME, '', new Uint8Array(0), new Uint8Array(272), 'x'.repeat(272)]) {
        const stream = await opened();
        stream.send(frame);
        await ends(stream);
      }
    });

    it('where what a client said is cut, altered, repeated, left out, moved or sent back', async () => {
      const session = await bench.session(alice);
      const { sealed } = session;
      const alive = (stream: TestStream, frame: number) => sealed.sealAlive(stream.sequence, frame, ALIVE_FRAME);
      const other = await session.stream();
      const attacks: Record<string, (stream: TestStream) => Promise<Uint8Array>> = {
        cut: async (stream) => (await alive(stream, 1)).subarray(1),
        altered: async (stream) =>
          Uint8Array.from(await alive(stream, 1), (byte, place) => byte ^ Number(place === 99)),
        repeated: (stream) => alive(stream, 0),
        'left out': (stream) => alive(stream, 2),
        "another stream's": () => alive(other, 1),
        'a hello': async (stream) => (await sealed.sealHello(stream.sequence, ALIVE_FRAME)).subarray(20),
        reflected: async (stream) => (stream.frames[0] as Uint8Array).subarray(0, 272),
      };
      for (const [name, attack] of Object.entries(attacks)) {
        const stream = await session.stream();
        await stream.until(({ bodies }) => bodies.length === 1);
        stream.send(await alive(stream, 0));
        stream.send(await attack(stream));
        assert.equal((await stream.closed).code, STREAM_CLOSE.unexpected, name);
      }
      const good = await session.stream();
      await good.until(({ bodies }) => bodies.length === 1);
      for (let frame = 0; frame < 5; frame++) await good.alive();
      await place(session, alice, 'sell', 44, 1);
      await isTold(good);
      for (const stream of [good, other]) stream.close();
    });

    it('where a client does not read, and it can go on where it stopped', async () => {
      await withLimits({ streamBytes: 50_000 });
      const session = await bench.session(alice);
      const slow = await RawStream.open(bench.url);
      slow.send(await hello(session, {}));
      const { sequence } = session;
      await until('the state', () => slow.sealed.length === 1);
      slow.pause();
      // The system itself buffers some megabytes.
      await shrink(15_000);
      const quick = await session.stream();
      await quick.until(({ bodies }) => bodies.length === 1);
      slow.resume();
      await until('the close', () => slow.closeCode !== undefined);
      assert.equal(slow.closeCode, STREAM_CLOSE.slow);
      const bodies = await Promise.all(
        slow.sealed.map(async (frame, place) => {
          return decodeStreamBody(JSON.parse((await session.sealed.openFrame(sequence, place, frame)) ?? ''));
        }),
      );
      const after = assertGapless(bodies);
      assert(after < records().sequence(owner()), 'it has not heard of everything');
      const again = await session.stream({ after });
      await again.until((stream) => stream.bodies.length > 0);
      await isTold(again);
      const missed = records().reportsAfter(owner(), after);
      if (missed === undefined) assert.equal(again.bodies[0]?.kind, 'snapshot');
      else assert.equal(assertGapless(again.bodies, after), records().sequence(owner()));
      for (const stream of [again, quick]) stream.close();
      slow.destroy();
      await bench.restart();
    });

    it('where nobody answers any more', async () => {
      await withLimits({ pingMs: 100 });
      const session = await bench.session(alice);
      const dead = await RawStream.open(bench.url);
      await place(session, alice, 'sell', 46, 1);
      const living = await session.stream();
      dead.send(await hello(session, { cancelOnDisconnect: true }));
      await until('the end', () => dead.isEnded);
      assert(dead.pings >= 1);
      await until('the cancellation', () => openOrders().length === 0);
      await pause(300);
      const { bodies } = living;
      await place(session, alice, 'sell', 46, 1);
      await isTold(living);
      assert(bodies.length > 1, 'those who answer stay');
      living.close();
      await bench.restart();
    });
  });

  describe('cancel the orders of who asked for it', () => {
    const standing = async (request: StreamRequest) => {
      const session = await bench.session(alice);
      const stream = await session.stream(request);
      await stream.until(({ bodies }) => bodies.length === 1);
      await place(session, alice, 'sell', 50, 1);
      await place(session, alice, 'sell', 51, 1);
      return { session, stream };
    };

    it('when the client closes', async () => {
      const ofBob = await bench.session(bob);
      await place(ofBob, bob, 'buy', 5, 1);
      const { stream, session } = await standing({ cancelOnDisconnect: true });
      const [, other] = [stream.close(), await session.stream()];
      await until('the cancellation', () => openOrders().length === 0);
      await isTold(other);
      other.close();
      assert.equal(records().orders(bob.key.keys.owner).at(-1)?.status, 'open', 'nobody else is concerned');
    });

    it('when the connection breaks', async () => {
      const session = await bench.session(alice);
      const raw = await RawStream.open(bench.url);
      raw.send(await hello(session, { cancelOnDisconnect: true }));
      await until('the state', () => raw.sealed.length === 1);
      await place(session, alice, 'sell', 50, 1);
      raw.destroy();
      await until('the cancellation', () => openOrders().length === 0);
    });

    it('when the enclave ends the stream, or itself', async () => {
      const { stream } = await standing({ cancelOnDisconnect: true });
      stream.send('nonsense');
      await until('the cancellation', () => openOrders().length === 0);
      await standing({ cancelOnDisconnect: true });
      assert.equal(openOrders().length, 2);
      await bench.restart();
      assert.deepEqual(openOrders(), []);
    });

    it('also those that come while the enclave stops', async () => {
      const { session } = await standing({ cancelOnDisconnect: true });
      const orders = await Promise.all(Array.from({ length: 20 }, () => bench.order(alice, 'sell', 52, 1)));
      const replies = Promise.allSettled(orders.map((order) => session.place(order)));
      await pause(5);
      await bench.restart();
      const statuses = (await replies).flatMap((reply) => (reply.status === 'fulfilled' ? [reply.value.status] : []));
      assert.deepEqual(
        statuses.filter((status) => status !== 201 && status !== 503),
        [],
      );
      assert.deepEqual(openOrders(), []);
    });

    it('and not of who says it to an enclave that stops', async () => {
      const { session } = await standing({});
      const stranger = await RawStream.open(bench.url);
      const late = await hello(session, { cancelOnDisconnect: true });
      const closing = bench.enclave.close();
      await until('the close', () => stranger.closeCode !== undefined);
      stranger.send(late);
      await closing;
      assert.equal(await bench.enclave.ended, undefined, 'it stops as it was told to');
      assert.deepEqual(stranger.sealed, []);
      stranger.destroy();
      await bench.start();
      assert.equal(openOrders().length, 2);
    });

    it('and of nobody else', async () => {
      const { stream } = await standing({});
      stream.close();
      await stream.closed;
      await pause(100);
      assert.equal(openOrders().length, 2);
      await bench.restart();
      assert.equal(openOrders().length, 2);
    });
  });

  describe('and the dead man', () => {
    it('cancels once nothing is heard, and not while something is', async () => {
      const session = await bench.session(alice);
      const ofBob = await bench.session(bob);
      await place(ofBob, bob, 'buy', 5, 1);
      assert.equal((await session.call('POST', '/deadman', { seconds: 1 })).status, 200);
      await place(session, alice, 'sell', 60, 1);
      for (let count = 0; count < 3; count++) {
        await pause(450);
        assert.equal((await session.call('GET', '/balances')).status, 200);
      }
      assert.equal(openOrders().length, 1, 'requests are heard');
      const stream = await session.stream();
      for (let count = 0; count < 3; count++) {
        await pause(450);
        await stream.alive();
      }
      assert.equal(openOrders().length, 1, 'frames are heard');
      await until('the cancellation', () => openOrders().length === 0);
      assert.equal(records().orders(bob.key.keys.owner).at(-1)?.status, 'open');
      stream.close();
      await place(session, alice, 'sell', 60, 1);
      await pause(1_300);
      assert.equal(openOrders().length, 1, 'it is over');
      assert.equal((await session.call('POST', '/deadman', { seconds: 1 })).status, 200);
      assert.equal((await session.call('POST', '/deadman', { seconds: 0 })).status, 200);
      await pause(1_300);
      assert.equal(openOrders().length, 1, 'it is off');
    });

    it('hears nothing from those who are not the owner', async () => {
      const session = await bench.session(alice);
      await session.call('POST', '/deadman', { seconds: 1 });
      await place(session, alice, 'sell', 60, 1);
      const stranger = await bench.session(bob);
      const asked = { method: 'GET', path: `${API}/balances`, body: '' };
      const foreign = await stranger.sealed.sealRequest(++stranger.sequence, asked);
      const own = await session.sealed.sealRequest(++session.sequence, asked);
      assert.equal((await sendSealed(bench.url, own)).status, 200);
      const forging = setInterval(() => {
        // Another's request under this session's name, and one of its own again.
        void sendSealed(bench.url, Buffer.concat([session.sealed.id, foreign.subarray(16)]));
        void sendSealed(bench.url, own);
      }, 200);
      await until('the cancellation', () => openOrders().length === 0);
      clearInterval(forging);
    });

    it('cancels when the enclave stops: nobody would listen', async () => {
      const session = await bench.session(alice);
      await session.call('POST', '/deadman', { seconds: 3_600 });
      await place(session, alice, 'sell', 60, 1);
      await bench.restart();
      assert.deepEqual(openOrders(), []);
    });
  });
});
