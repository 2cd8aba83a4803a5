import assert from 'node:assert/strict';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { HEADER, openingMessage, SEQUENCE_WINDOW, SESSION_SECONDS_MAX } from '@bitcloak/trading/session';
import { API, encodeSignature, hexOf, toJson } from '@bitcloak/trading/wire';
import { Sequences } from '../../enclave/api/sequences.ts';
import { ApiBench, jsonOf, send, TestSession, wireOrder, type Reply } from '../support/api.ts';
import { Dice } from '../support/dice.ts';
import type { Trader } from '../support/settlement.ts';

describe('sessions of the API', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  before(async () => {
    bench = await ApiBench.open('api sessions');
    alice = await bench.trader(100_000n, 0n);
    bob = await bench.trader(0n, 100_000n);
  });
  after(() => bench.close());

  const newKey = () => new AgreementKey(bench.desk.bench.bytes(32));
  const assertRefused = (reply: Pick<Reply, 'status' | 'text'>, status: number, code: string) => {
    assert.deepEqual({ status: reply.status, code: jsonOf(reply)['code'] }, { status, code }, reply.text);
    assert.deepEqual(Object.keys(jsonOf(reply)), ['code', 'message']);
  };
  /** Sends a request as it is, after something about it was changed. */
  const forged = async (
    session: TestSession,
    signed: { method: string; path: string; body?: string; sequence?: number },
    sent: { method?: string; path?: string; body?: string; headers?: Record<string, string> } = {},
  ) => {
    const { method, path, body, sequence = ++session.sequence } = signed;
    const headers = session.headers(method, API + path, body ?? '', sequence);
    const text = sent.body ?? body;
    const answer = await send(bench.url, {
      method: sent.method ?? method,
      path: API + (sent.path ?? path),
      headers: { ...headers, ...sent.headers },
      ...(text === undefined ? {} : { body: text }),
    });
    return session.check(answer, sequence);
  };

  describe('are opened', () => {
    it('by an owner who is known, and show that the enclave answers', async () => {
      const reply = await bench.openWith(alice.key, newKey());
      assert.equal(reply.status, 201, reply.text);
      assert.equal(reply.isAuthentic, true);
      const { session, expiry } = jsonOf<{ session: string; expiry: number }>(reply);
      assert.equal(session, reply.keys.id);
      assert(Math.abs(expiry - bench.now() - SESSION_SECONDS_MAX) <= 2);
    });

    it('once by the same opening, whose sequences do not begin anew', async () => {
      const clientKey = newKey();
      const time = bench.now();
      const first = await bench.openWith(alice.key, clientKey, time);
      const session = new TestSession(bench.url, alice.key, first.keys);
      assert.equal((await session.call('GET', '/balances')).status, 200);
      const again = await bench.openWith(alice.key, clientKey, time);
      assert.equal(again.text, first.text);
      session.sequence = 0;
      assertRefused(await session.call('GET', '/balances'), 409, 'REQUEST_REFUSED');
      assert.equal((await session.call('GET', '/balances')).status, 200);
    });

    it('by nobody else, and what is wrong makes no difference', async () => {
      const post = (body: object) => send(bench.url, { method: 'POST', path: `${API}/sessions`, body: toJson(body) });
      // A second earlier must not be before the start.
      await new Promise((done) => setTimeout(done, 1_100));
      const stranger = bench.desk.trader();
      const clientKey = newKey();
      const opening = bench.opening(alice.key, clientKey.publicKey);
      const { owner, time } = opening;
      const good = { owner, clientKey: hexOf(clientKey.publicKey), time };
      const signature = encodeSignature(alice.key.sign(openingMessage(opening)));
      const ofStranger = { ...opening, owner: stranger.key.keys.owner };
      const smallOrder = new Uint8Array(32);
      const refused = [
        { ...good, signature: encodeSignature(bob.key.sign(openingMessage(opening))) },
        { ...good, clientKey: hexOf(newKey().publicKey), signature },
        { ...good, time: time - 1, signature },
        {
          ...good,
          owner: ofStranger.owner,
          signature: encodeSignature(stranger.key.sign(openingMessage(ofStranger))),
        },
        { ...good, owner: bob.key.keys.owner, signature },
        {
          ...good,
          clientKey: hexOf(smallOrder),
          signature: encodeSignature(alice.key.sign(openingMessage({ ...opening, clientKey: smallOrder }))),
        },
      ];
      const answers = [];
      for (const body of refused) answers.push(await post(body));
      for (const { status, text, headers } of answers) {
        assertRefused({ status, text }, 401, 'SESSION_REFUSED');
        assert.equal(text, answers[0]?.text);
        assert.deepEqual({ ...headers, date: '' }, { ...answers[0]?.headers, date: '' });
      }
      assert.equal((await post({ ...good, signature })).status, 201, 'the opening itself is right');
    });

    it('at the time of now only', async () => {
      for (const seconds of [-125, 125]) {
        const reply = await bench.openWith(alice.key, newKey(), bench.now() + seconds);
        assertRefused(reply, 401, 'SESSION_REFUSED');
        assert.match(reply.text, /time/);
      }
      assert.equal((await bench.openWith(alice.key, newKey(), bench.now() + 115)).status, 201);
    });

    it('with numbers that are numbers of the curve', async () => {
      const clientKey = newKey();
      const opening = bench.opening(alice.key, clientKey.publicKey);
      const signature = encodeSignature(alice.key.sign(openingMessage(opening)));
      const body = { owner: opening.owner, clientKey: hexOf(clientKey.publicKey), time: opening.time };
      const wrong: object[] = [
        { ...body, signature: { ...signature, s: '9'.repeat(77) } },
        { ...body, signature: { ...signature, r8x: '-1' } },
        { ...body, signature, also: 1 },
        { ...body, signature, time: String(opening.time) },
        { ...body, signature, time: opening.time + 0.5 },
        { ...body, signature, clientKey: 'zz' },
      ];
      for (const attempt of wrong) {
        const reply = await send(bench.url, { method: 'POST', path: `${API}/sessions`, body: toJson(attempt) });
        assertRefused(reply, 400, 'USAGE');
      }
      const huge = { ...body, signature, owner: '9'.repeat(77) };
      const reply = await send(bench.url, { method: 'POST', path: `${API}/sessions`, body: toJson(huge) });
      assertRefused(reply, 401, 'SESSION_REFUSED');
    });
  });

  describe('end', () => {
    it('after their time', async () => {
      const session = await bench.session(alice);
      assert.equal((await session.call('GET', '/balances')).status, 200);
      bench.clockAhead = (SESSION_SECONDS_MAX + 1) * 1000;
      const reply = await session.call('GET', '/balances');
      assertRefused(reply, 401, 'SESSION_REFUSED');
      assert.equal(reply.isAuthentic, undefined);
      bench.clockAhead = 0;
    });

    it('where their owner opens too many, the oldest first and for good', async () => {
      await bench.restart({
        api: { ...bench.settings.api, limits: { ...bench.settings.api.limits, sessionsPerOwner: 2 } },
      });
      const clientKey = newKey();
      const time = bench.now();
      const { keys } = await bench.openWith(alice.key, clientKey, time);
      const oldest = new TestSession(bench.url, alice.key, keys);
      const other = await bench.session(bob);
      const [second, third] = [await bench.session(alice), await bench.session(alice)];
      assertRefused(await oldest.call('GET', '/balances'), 401, 'SESSION_REFUSED');
      for (const session of [second, third, other]) {
        assert.equal((await session.call('GET', '/balances')).status, 200);
      }
      // Its requests could all be made again.
      assertRefused(await bench.openWith(alice.key, clientKey, time), 401, 'SESSION_REFUSED');
    });

    it('with the enclave, and none from before can be opened again', async () => {
      const clientKey = newKey();
      const time = bench.now() - 5;
      const session = await bench.session(alice);
      await bench.restart();
      const gone = new TestSession(bench.url, alice.key, session.keys);
      assertRefused(await gone.call('GET', '/balances'), 401, 'SESSION_REFUSED');
      assertRefused(await bench.openWith(alice.key, clientKey, time), 401, 'SESSION_REFUSED');
    });
  });

  describe('authenticate', () => {
    const order = async () => toJson(wireOrder(await bench.order(alice, 'sell', 20, 1)));
    const openOrders = () => bench.enclave.machine.state.records.orders(alice.key.keys.owner).length;

    it('method, path, query, sequence and body of a request', async () => {
      const session = await bench.session(alice);
      const body = await order();
      const before = openOrders();
      const post = { method: 'POST', path: '/orders', body };
      const get = { method: 'GET', path: '/orders?status=open' };
      const mac = session.keys.requestMac('POST', `${API}/orders`, session.sequence + 1, body);
      const attempts = [
        await forged(session, { ...post, method: 'PUT' }, { method: 'POST' }),
        await forged(session, { ...get, method: 'DELETE' }, { method: 'GET' }),
        await forged(session, { ...post, path: '/withdrawals' }, { path: '/orders' }),
        await forged(session, get, { path: '/orders?status=all' }),
        await forged(session, get, { path: '/orders' }),
        await forged(session, { method: 'GET', path: '/orders' }, { path: '/orders?status=all' }),
        await forged(session, post, { headers: { [HEADER.sequence]: String(session.sequence + 7) } }),
        await forged(session, post, { body: body.replace('"lots":1', '"lots":2') }),
        await forged(session, post, { body: `${body} ` }),
        await forged(session, { ...post, body: '' }, { body }),
        await forged(session, post, { body: '' }),
        await forged(session, post, { headers: { [HEADER.mac]: mac.toUpperCase() } }),
        await forged(session, post, { headers: { [HEADER.mac]: mac.slice(0, 63) } }),
        await forged(session, post, { headers: { [HEADER.mac]: '' } }),
        await forged(session, post, { headers: { [HEADER.mac]: `${mac}, ${mac}` } }),
      ];
      for (const [index, reply] of attempts.entries()) {
        assertRefused(reply, 401, 'REQUEST_REFUSED');
        assert.equal(reply.isAuthentic, undefined, `attempt ${index} is answered as if it were the owner's`);
      }
      assert.equal(openOrders(), before);
      // None of them has used a sequence up.
      session.sequence = 0;
      assert.equal((await forged(session, post)).status, 201);
    });

    it('against what another session, of this or another owner, has made', async () => {
      const [session, same, other] = [await bench.session(alice), await bench.session(alice), await bench.session(bob)];
      for (const stranger of [same, other]) {
        const path = `${API}/orders`;
        const body = await order();
        const headers = stranger.headers('POST', path, body, 1);
        const answer = await send(bench.url, {
          method: 'POST',
          path,
          body,
          headers: { ...headers, [HEADER.session]: session.keys.id },
        });
        assertRefused(answer, 401, 'REQUEST_REFUSED');
      }
    });

    it('no reply to a request that names no session', async () => {
      const session = await bench.session(alice);
      const whole = session.headers('GET', `${API}/balances`, '');
      const lacking = Object.values(HEADER).map((name) => ({ ...whole, [name]: undefined }) as Record<string, string>);
      const unknown = { ...whole, [HEADER.session]: '0'.repeat(32) };
      const strange = { ...whole, [HEADER.session]: '__proto__' };
      for (const headers of [{}, unknown, strange, ...lacking]) {
        const present = Object.fromEntries(
          Object.entries(headers).filter(([, value]) => (value as unknown) !== undefined),
        );
        const answer = await send(bench.url, { method: 'GET', path: `${API}/balances`, headers: present });
        assertRefused(answer, 401, 'SESSION_REFUSED');
        assert.equal(answer.headers[HEADER.mac], undefined);
      }
      for (const sequence of ['0', '-1', '1.5', '01', '1e3', ' 1x', '9'.repeat(16)]) {
        const headers = { ...whole, [HEADER.sequence]: sequence };
        const answer = await send(bench.url, { method: 'GET', path: `${API}/balances`, headers });
        assertRefused(answer, 400, 'USAGE');
      }
    });

    it('every reply, refusals too', async () => {
      const session = await bench.session(alice);
      const replies = [
        await session.call('GET', '/balances'),
        await session.call('GET', '/orders/999'),
        await session.call('GET', '/orders/nonsense'),
        await session.call('POST', '/orders', { nonsense: 1 }),
        await session.call('POST', '/orders'),
        await forged(session, { method: 'POST', path: '/orders', body: '{' }),
        await forged(session, { method: 'POST', path: '/orders', body: '{"__proto__":{"lots":1}}' }),
        await forged(session, { method: 'GET', path: '/balances', sequence: 1 }),
        await session.call('DELETE', '/orders?market=1'),
      ];
      assert.deepEqual(
        replies.map(({ status }) => status),
        [200, 404, 400, 400, 400, 400, 400, 409, 200],
      );
      for (const { isAuthentic } of replies) assert.equal(isAuthentic, true);
    });
  });

  describe('are made once', () => {
    it('a request that comes again has no effect', async () => {
      const session = await bench.session(alice);
      const body = toJson(wireOrder(await bench.order(alice, 'sell', 20, 1)));
      const signed = { method: 'POST', path: '/orders', body, sequence: ++session.sequence };
      assert.equal((await forged(session, signed)).status, 201);
      const { sequence } =
        bench.enclave.machine.state.save().blotter.find(([o]) => o === alice.key.keys.owner)?.[1] ?? {};
      assertRefused(await forged(session, signed), 409, 'REQUEST_REFUSED');
      assert.equal(bench.enclave.machine.state.records.sequence(alice.key.keys.owner), sequence);
    });

    it('of many at once with one sequence one is made', async () => {
      const session = await bench.session(alice);
      const sequence = ++session.sequence;
      const replies = await Promise.all(
        Array.from({ length: 8 }, () => forged(session, { method: 'GET', path: '/balances', sequence })),
      );
      assert.deepEqual(replies.map(({ status }) => status).sort(), [200, ...Array.from({ length: 7 }, () => 409)]);
    });

    it('in any order within the window, and not before it', async () => {
      const session = await bench.session(alice);
      const at = (sequence: number) => forged(session, { method: 'GET', path: '/balances', sequence });
      assert.equal((await at(5_000)).status, 200);
      assert.equal((await at(5_001 - SEQUENCE_WINDOW)).status, 200);
      assertRefused(await at(5_001 - SEQUENCE_WINDOW), 409, 'REQUEST_REFUSED');
      assertRefused(await at(5_000 - SEQUENCE_WINDOW), 409, 'REQUEST_REFUSED');
      assertRefused(await at(1), 409, 'REQUEST_REFUSED');
      assert.equal((await at(4_999)).status, 200);
      assertRefused(await at(5_000), 409, 'REQUEST_REFUSED');
      assert.equal((await at(900_000_000_000_000)).status, 200);
      assertRefused(await at(5_001), 409, 'REQUEST_REFUSED');
    });

    it('whatever comes in whatever order', () => {
      const dice = new Dice('sequences');
      const [sequences, used] = [new Sequences(), new Set<number>()];
      let highest = 0;
      for (let turn = 0; turn < 50_000; turn++) {
        const jump = dice.int(50) === 0 ? 3 * SEQUENCE_WINDOW : 4;
        const sequence = Math.max(0, highest - 1_100 + dice.int(1_100 + jump));
        const isFree = sequence > 0 && sequence > highest - SEQUENCE_WINDOW && !used.has(sequence);
        assert.equal(sequences.take(sequence), isFree, `sequence ${sequence} after ${highest}`);
        if (isFree) used.add(sequence);
        highest = Math.max(highest, sequence);
      }
    });
  });

  describe('take what is of the right form only', () => {
    it('and never repair it', async () => {
      const session = await bench.session(alice);
      const good = wireOrder(await bench.order(alice, 'sell', 20, 1));
      const { order } = good as { order: Record<string, string> };
      const secrets = Object.values(order).filter(({ length }) => length > 4);
      const before = bench.enclave.machine.state.records.orders(alice.key.keys.owner).length;
      const bodies: unknown[] = [
        { ...good, unknown: 1 },
        { ...good, order: { ...order, unknown: '1' } },
        { ...good, lots: '1' },
        { ...good, lots: 1.5 },
        { ...good, lots: -1 },
        { ...good, lots: 0 },
        { ...good, lots: 1e300 },
        { ...good, lots: 2 ** 53 },
        { ...good, lots: null },
        { ...good, lots: [1] },
        { ...good, price: true },
        { ...good, side: 'Sell' },
        { ...good, type: '__proto__' },
        { ...good, timeInForce: 'constructor' },
        { ...good, clientOrderId: '' },
        { ...good, clientOrderId: 'a b' },
        { ...good, clientOrderId: 'x'.repeat(37) },
        { ...good, postOnly: 'true' },
        { ...good, postOnly: 1 },
        { ...good, order: { ...order, sellMax: 10 } },
        { ...good, order: { ...order, sellMax: '0x10' } },
        { ...good, order: { ...order, sellMax: '-10' } },
        { ...good, order: { ...order, sellMax: '010' } },
        { ...good, order: { ...order, sellMax: '1e3' } },
        { ...good, order: { ...order, sellMax: (2n ** 120n).toString() } },
        { ...good, order: { ...order, sellAsset: (2n ** 160n).toString() } },
        { ...good, order: { ...order, expiry: (2n ** 40n).toString() } },
        { ...good, order: { ...order, salt: '9'.repeat(77) } },
        { ...good, order: { ...order, salt: '9'.repeat(78) } },
        { ...good, signature: undefined },
        { ...good, order: undefined },
        [good],
        'text',
        1,
        null,
      ];
      for (const body of bodies) {
        const reply = await forged(session, { method: 'POST', path: '/orders', body: toJson(body) });
        assertRefused(reply, 400, 'USAGE');
        assert.equal(reply.isAuthentic, true);
        assert(!secrets.some((value) => reply.text.includes(value)), 'values stay out of errors');
      }
      const proto = toJson(good).replace('{"clientOrderId"', '{"__proto__":{"a":1},"clientOrderId"');
      assertRefused(await forged(session, { method: 'POST', path: '/orders', body: proto }), 400, 'USAGE');
      const inner = toJson(good).replace('"order":{', '"order":{"__proto__":1,');
      assertRefused(await forged(session, { method: 'POST', path: '/orders', body: inner }), 400, 'USAGE');
      assert.equal(bench.enclave.machine.state.records.orders(alice.key.keys.owner).length, before);
      assert.equal((await forged(session, { method: 'POST', path: '/orders', body: toJson(good) })).status, 201);
    });

    it('and of the right size', async () => {
      const session = await bench.session(alice);
      const body = JSON.stringify({ text: 'x'.repeat(8_192) });
      assertRefused(await forged(session, { method: 'POST', path: '/orders', body }), 413, 'USAGE');
      const huge = 'x'.repeat(1_000_000);
      const reply = await forged(session, { method: 'POST', path: '/orders', body: huge }).catch(
        (error: unknown) => error,
      );
      // The connection may be gone before all of it was sent.
      if (reply instanceof Error) assert.match(reply.message, /ECONNRESET|EPIPE/);
      else assertRefused(reply as Reply, 413, 'USAGE');
      const other = await forged(
        session,
        { method: 'POST', path: '/orders', body: 'a=1' },
        { headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      );
      assertRefused(other, 415, 'USAGE');
    });

    it('also in paths and queries', async () => {
      const session = await bench.session(alice);
      const paths = [
        '/orders/__proto__',
        '/orders/constructor',
        '/orders/0',
        '/orders/01',
        '/orders/1.0',
        '/orders/-1',
        '/orders/1e1',
        `/orders/${'9'.repeat(16)}`,
        '/orders/%31%20',
        '/orders?status=every',
        '/orders?status=open&status=all',
        '/orders?other=1',
        '/orders?after=-1',
        '/orders?after=1e3',
        '/orders?limit=0',
        '/orders?limit=1001',
        '/orders?__proto__=1',
        '/fills?after=-1',
        '/fills?limit=0',
        '/fills?limit=1001',
        '/fills?limit=1.5',
        '/orderbook/__proto__',
        '/orderbook/eth-test',
        `/journal/${'0'.repeat(63)}`,
        `/journal/${'G'.repeat(64)}`,
      ];
      for (const path of paths) {
        const reply = await session.call('GET', path);
        assertRefused(reply, 400, 'USAGE');
        assert.equal(reply.isAuthentic, true, path);
      }
      assertRefused(await session.call('GET', '/orderbook/CONSTRUCTOR-A'), 404, 'USAGE');
      assertRefused(await session.call('DELETE', '/orders?market=1x'), 400, 'USAGE');
      assertRefused(await session.call('POST', '/deadman', { seconds: 3_601 }), 400, 'USAGE');
      assertRefused(await send(bench.url, { method: 'GET', path: '/nowhere' }), 404, 'USAGE');
      assertRefused(await send(bench.url, { method: 'GET', path: `${API}/stream` }), 426, 'USAGE');
    });
  });

  describe('are limited', () => {
    const withLimits = (limits: object) =>
      bench.restart({ api: { ...bench.settings.api, limits: { ...bench.settings.api.limits, ...limits } } });
    after(() => bench.restart());

    it('by what one owner may do, whichever session he uses', async () => {
      await withLimits({ owner: { perSecond: 2, burst: 3 } });
      const [first, second, other] = [await bench.session(alice), await bench.session(alice), await bench.session(bob)];
      for (const session of [first, second, first]) assert.equal((await session.call('GET', '/balances')).status, 200);
      const refused = await second.call('GET', '/balances');
      assertRefused(refused, 429, 'RATE_LIMITED');
      assert.equal(refused.isAuthentic, true);
      assert.equal((await other.call('GET', '/balances')).status, 200, 'others are not held up');
      // Its sequence is used all the same.
      const again = await forged(second, { method: 'GET', path: '/balances', sequence: second.sequence });
      assertRefused(again, 409, 'REQUEST_REFUSED');
      await new Promise((done) => setTimeout(done, 600));
      assert.equal((await first.call('GET', '/balances')).status, 200);
    });

    it('by the length of what they are answered', async () => {
      await withLimits({ owner: { perSecond: 10, burst: 80 } });
      const session = await bench.session(alice);
      for (let count = 0; count < 500; count++) {
        const [event] = await bench.enclave.operator.submit(
          await bench.order(alice, 'sell', 1_000, 1, { timeInForce: 'ioc' }),
        );
        assert.equal(event?.kind, 'accepted');
      }
      const long = () => session.call('GET', '/orders?status=all&limit=1000');
      assert((await long()).text.length > 100_000);
      let count = 1;
      while ((await long()).status === 200) count++;
      assert(count < 20, `${count} long answers`);
      assertRefused(await session.call('GET', '/balances'), 429, 'RATE_LIMITED');
      await new Promise((done) => setTimeout(done, 2_000));
      assert.equal((await session.call('GET', '/balances')).status, 200, 'not for long');
    });

    it('by what one address may do', async () => {
      await withLimits({ addressPerMinute: 5 });
      const session = await bench.session(alice);
      for (let count = 0; count < 5; count++) assert.equal((await session.call('GET', '/balances')).status, 200);
      const refused = await session.call('GET', '/balances');
      assertRefused(refused, 429, 'RATE_LIMITED');
      assert.equal(refused.isAuthentic, undefined, 'it is not read any more');
      assertRefused(await send(bench.url, { method: 'GET', path: '/nowhere' }), 429, 'RATE_LIMITED');
      assert.deepEqual(
        Object.keys(refused.headers).filter((name) => name.includes('rate')),
        [],
      );
    });

    it('by the sessions that one address may try to open', async () => {
      await withLimits({ openingsPerMinute: 3 });
      for (let count = 0; count < 3; count++) await bench.session(alice);
      assertRefused(await bench.openWith(alice.key, newKey()), 429, 'RATE_LIMITED');
      assert.equal((await send(bench.url, { method: 'GET', path: `${API}/info` })).status, 200);
    });
  });
});
