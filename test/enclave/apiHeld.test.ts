import assert from 'node:assert/strict';
import { open as openFile, type FileHandle } from 'node:fs/promises';
import { connect } from 'node:net';
import { TradingClient, takenAtItsWord } from '@bitcloak/trading/client';
import { REQUEST_MS_MAX } from '@bitcloak/trading/http';
import { HEARD_MS_MAX } from '@bitcloak/trading/session';
import { SEQUENCE_WINDOW } from '@bitcloak/trading/sealing';
import { API, STREAM_CLOSE, toJson } from '@bitcloak/trading/wire';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { ApiBench, jsonOf, send, sendSealed, wireOrder, type Reply, type TestSession } from '../support/api.ts';
import { Dice } from '../support/dice.ts';
import type { Trader } from '../support/settlement.ts';

/** What went from a client into the hands of a host. */
type Held = { readonly sequence: number; readonly bytes: Uint8Array };

// A host cannot read or alter what clients say; it can keep it, and bring it when it likes.
describe('a host that holds back what a client says', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  before(async () => {
    bench = await ApiBench.open('api held');
    alice = await bench.trader(1_000_000n, 1_000_000n);
  });
  after(() => bench.close());
  afterEach(async () => {
    bench.uptimeAhead = 0;
    await bench.enclave.machine.execute({ kind: 'cancelAll', owner: alice.key.keys.owner });
  });

  const records = () => bench.enclave.machine.state.records.orders(alice.key.keys.owner);
  const open = () => records().filter(({ status }) => status === 'open');
  const hold = async (session: TestSession, method: string, path: string, body?: object): Promise<Held> => {
    const sequence = ++session.sequence;
    const request = { method, path: API + path, body: body === undefined ? '' : toJson(body) };
    return { sequence, bytes: await session.sealed.sealRequest(sequence, request) };
  };
  const holdOrder = async (session: TestSession, price = 20) => {
    return hold(session, 'POST', '/orders', wireOrder(await bench.order(alice, 'sell', price, 1)));
  };
  const bring = async (session: TestSession, { sequence, bytes }: Held): Promise<Reply> => {
    return session.check(await sendSealed(bench.url, bytes), sequence);
  };
  const assertTooLate = (reply: Reply, isSealed: boolean) => {
    const { isAuthentic, status } = reply;
    assert.deepEqual([jsonOf(reply)['code'], isAuthentic], ['REQUEST_REFUSED', isSealed ? true : undefined]);
    assert.equal(status, isSealed ? 408 : 409);
  };

  it('cannot bring an order after the cancellation that came because it had no answer', async () => {
    const session = await bench.session(alice);
    const held = await holdOrder(session);
    const before = records().length;
    session.sealed.finish(held.sequence);
    assert.equal((await session.call('DELETE', '/orders')).status, 200);
    assertTooLate(await bring(session, held), false);
    assert.equal(records().length, before);
  });

  it('cannot bring an old price after a new one, nor a cancellation after an order that followed it', async () => {
    const session = await bench.session(alice);
    const first = await bench.order(alice, 'sell', 20, 1);
    const { id } = jsonOf<{ order: { id: number } }>(await session.place(first)).order;
    session.sealed.finish(session.sequence);
    const change = async (price: number) => {
      const { lots, ...signed } = wireOrder(await bench.order(alice, 'sell', price, 1));
      const { order, signature } = signed as { order: object; signature: object };
      return hold(session, 'PATCH', `/orders/${id}`, { price, lots, order, signature });
    };
    const old = await change(21);
    const cancelling = await hold(session, 'DELETE', '/orders');
    for (const { sequence } of [old, cancelling]) session.sealed.finish(sequence);
    assert.equal((await bring(session, await change(30))).status, 200);
    for (const held of [old, cancelling]) assertTooLate(await bring(session, held), false);
    assert.deepEqual(
      open().map(({ price }) => price),
      [30],
    );
  });

  it('may bring what is sent at once in any order: all of it has its effect', async () => {
    const session = await bench.session(alice);
    const dice = new Dice('held at once');
    const sent: Held[] = [];
    for (let count = 0; count < 40; count++) sent.push(await holdOrder(session, 20 + count));
    const before = open().length;
    for (const held of dice.shuffled(sent)) assert.equal((await bring(session, held)).status, 201);
    assert.equal(open().length, before + 40);
    for (const held of sent) assertTooLate(await bring(session, held), false);
  });

  it('drops what it likes, and what its client waits for it may bring until later, but not past the window', async () => {
    const session = await bench.session(alice);
    const [first, second] = [await holdOrder(session), await holdOrder(session)];
    assert.equal((await bring(session, await hold(session, 'GET', '/balances'))).status, 200);
    assert.equal((await bring(session, second)).status, 201);
    session.sequence = first.sequence + SEQUENCE_WINDOW - 1;
    assert.equal((await session.call('GET', '/balances')).status, 200);
    assertTooLate(await bring(session, first), false);
  });

  it('cannot have an order overtaken by what was brought after it, be it in one piece', async () => {
    const session = await bench.session(alice);
    const sent = [await holdOrder(session), await hold(session, 'DELETE', '/orders')];
    const { hostname, port } = new URL(bench.url);
    const head = `POST ${API}/sealed HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/octet-stream\r\n`;
    const before = records().length;
    const pieces = sent.flatMap(({ bytes }) => [Buffer.from(`${head}content-length: ${bytes.length}\r\n\r\n`), bytes]);
    const answers = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(port), hostname, () => socket.write(Buffer.concat(pieces)));
      socket.on('error', reject);
      socket.on('data', (data: Buffer) => {
        text += data.toString('latin1');
        if (text.split('HTTP/1.1 200').length === 3) {
          socket.destroy();
          resolve(text);
        }
      });
    });
    assert.ok(answers.length > 0);
    assert.deepEqual([records().length, open().length], [before + 1, 0]);
  });

  it('cannot have what is read tell nothing of an order that it keeps from its disk', async () => {
    const session = await bench.session(alice);
    const file = await openFile(import.meta.filename);
    const prototype = Object.getPrototypeOf(file) as FileHandle;
    await file.close();
    const whole = Object.getOwnPropertyDescriptor(prototype, 'datasync') as { value: FileHandle['datasync'] };
    const [stalled, released] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    prototype.datasync = async function (this: FileHandle) {
      stalled.resolve(undefined);
      await released.promise;
      return whole.value.call(this);
    };
    try {
      const placing = session.place(await bench.order(alice, 'sell', 20, 1));
      await stalled.promise;
      const reading = session.call('GET', '/orders?status=open');
      for (let count = 0; count < 20; count++) await send(bench.url, { method: 'GET', path: `${API}/health` });
      released.resolve(undefined);
      const { id } = jsonOf<{ order: { id: number } }>(await placing).order;
      const { orders } = jsonOf<{ orders: { id: number }[] }>(await reading);
      assert.deepEqual(
        orders.map((order) => order.id),
        [id],
      );
    } finally {
      released.resolve(undefined);
      Object.defineProperty(prototype, 'datasync', whole);
    }
  });

  describe('for too long', () => {
    it('brings nothing any more: it is told so under seal', async () => {
      const session = await bench.session(alice);
      const held = [await holdOrder(session), await holdOrder(session), await hold(session, 'DELETE', '/orders')];
      assert.equal(Math.min(REQUEST_MS_MAX, HEARD_MS_MAX), REQUEST_MS_MAX, 'clients give up before');
      bench.uptimeAhead = HEARD_MS_MAX - 5_000;
      const before = records().length;
      assert.equal((await bring(session, held[0] as Held)).status, 201);
      bench.uptimeAhead = HEARD_MS_MAX + 1;
      for (const late of held.slice(1)) assertTooLate(await bring(session, late), true);
      for (const late of held.slice(1)) assertTooLate(await bring(session, late), false);
      assert.deepEqual([records().length, open().length], [before + 1, 1]);
    });

    it('opens no stream, and keeps no dead man quiet', async () => {
      const session = await bench.session(alice);
      const stream = await session.stream();
      const other = await session.stream();
      for (const each of [stream, other]) await each.until(({ bodies }) => bodies.length > 0);
      const hello = await session.sealed.sealHello(++session.sequence, '{"cancelOnDisconnect":true}');
      const reading = await hold(session, 'GET', '/balances');
      assert.equal((await session.place(await bench.order(alice, 'sell', 20, 1))).status, 201);
      await bench.enclave.operator.watch();
      const alive = await session.sealed.sealAlive(stream.sequence, 0, '{"kind":"alive"}');
      assert.equal((await session.call('POST', '/deadman', { seconds: 1 })).status, 200);
      bench.uptimeAhead = HEARD_MS_MAX + 1;
      const [late, ended] = [new WebSocket(`${bench.url.replace('http', 'ws')}${API}/stream`), Promise.withResolvers()];
      late.addEventListener('open', () => {
        late.send(hello);
      });
      late.addEventListener('close', ({ code, reason }) => {
        ended.resolve([code, reason]);
      });
      assert.deepEqual(await ended.promise, [STREAM_CLOSE.refused, 'REQUEST_REFUSED']);
      stream.send(alive);
      const quiet = setInterval(() => void bring(session, reading).catch(() => undefined), 200);
      assert.deepEqual(await stream.closed, { code: STREAM_CLOSE.refused, reason: 'REQUEST_REFUSED' });
      await other.until(({ reports }) => reports.some(({ kind }) => kind === 'cancelled'));
      clearInterval(quiet);
      other.close();
      assert.equal(open().length, 0);
    });
  });

  describe('of the client that traders use', () => {
    const tokens = () => [
      { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 1 },
      { symbol: 'TEST', asset: bench.token, decimals: 0 },
    ];
    const clientWith = (fetcher: typeof fetch, msMax = REQUEST_MS_MAX) =>
      TradingClient.connect({
        url: bench.url,
        key: alice.key,
        expected: { operatorId: bench.desk.operatorId },
        tokens: tokens(),
        check: takenAtItsWord,
        clock: () => bench.enclave.machine.state.time,
        fetch: fetcher,
        attempts: 2,
        pauseMs: 1,
        msMax,
      });
    const wish = { pair: 'ETH-TEST', side: 'sell', price: '20', quantity: '1' } as const;

    it('has none of its attempts after it cancelled', async () => {
      const held: Uint8Array[] = [];
      let isHolding = false;
      const client = await clientWith((url, options) => {
        if (!isHolding) return fetch(url, options);
        held.push(options?.body as Uint8Array);
        return Promise.reject(new Error('no answer'));
      });
      await client.markets();
      isHolding = true;
      await assert.rejects(client.place(wish), { code: 'OUTCOME_UNKNOWN' });
      isHolding = false;
      const before = records().length;
      assert.equal(await client.cancelAll(), 0);
      assert.equal(held.length, 2);
      for (const bytes of held) assert.equal((await sendSealed(bench.url, bytes)).status, 409);
      assert.equal(records().length, before);
    });

    it('gets through where its clock has stood still, in another session', async () => {
      const client = await clientWith(fetch);
      bench.uptimeAhead = 2 * HEARD_MS_MAX;
      assert.equal((await client.place(wish)).order.status, 'open');
      bench.uptimeAhead = 4 * HEARD_MS_MAX;
      assert.equal((await client.orders()).length, 1);
    });

    it('is heard where its clock has stood still, on another stream', async () => {
      const client = await clientWith(fetch);
      const [ended, heard] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
      const stream = client.stream({
        onEvent: (event) => {
          if (event.kind === 'disconnected') ended.resolve(undefined);
          if (event.kind === 'report' && event.report.kind === 'accepted') heard.resolve(undefined);
        },
      });
      await stream.ready();
      bench.uptimeAhead = 2 * HEARD_MS_MAX;
      stream.alive();
      await ended.promise;
      await client.place(wish);
      await heard.promise;
      assert.equal(stream.alive(), true);
      stream.close();
      await stream.closed();
    });

    it('sends as much at once as it likes', async () => {
      const client = await clientWith(fetch);
      const before = open().length;
      await Promise.all(Array.from({ length: 30 }, () => client.place(wish)));
      assert.equal(open().length, before + 30);
    });
  });
});
