import assert from 'node:assert/strict';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder, withdrawalLimit, type NewWithdrawal } from '@bitcloak/trading/orders';
import {
  API,
  decodeBalanceRecord,
  decodeFillRecord,
  decodeInfo,
  decodeMarket,
  decodeOrderReply,
  decodeWithdrawalReply,
  encodeSigned,
  type OrderBook,
} from '@bitcloak/trading/wire';
import { ApiBench, jsonOf, send, wireOrder, type Reply, type TestSession } from '../support/api.ts';
import type { Trader } from '../support/settlement.ts';

describe('the API of an enclave', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  let ofAlice: TestSession;
  let ofBob: TestSession;
  before(async () => {
    bench = await ApiBench.open('api');
    alice = await bench.trader(100_000n, 100_000n);
    bob = await bench.trader(100_000n, 100_000n);
  });
  beforeEach(async () => {
    [ofAlice, ofBob] = [await bench.session(alice), await bench.session(bob)];
  });
  afterEach(async () => {
    for (const session of [ofAlice, ofBob]) await session.call('DELETE', '/orders');
  });
  after(() => bench.close());

  const done = (reply: Reply, status = 200): Reply => {
    assert.deepEqual([reply.status, reply.isAuthentic], [status, true], reply.text);
    return reply;
  };
  const assertRefused = (reply: Reply, status: number, code: string, reason?: string) => {
    const json = jsonOf(reply);
    assert.deepEqual([reply.status, json['code'], json['reason']], [status, code, reason], reply.text);
    assert.equal(reply.isAuthentic, true);
    assert.match(String(json['message']), /^[a-z].{10,}$/);
  };
  const place = async (session: TestSession, trader: Trader, side: 'buy' | 'sell', price: number, lots: number) =>
    decodeOrderReply(jsonOf(done(await session.place(await bench.order(trader, side, price, lots)), 201)));
  const get = (path: string) => send(bench.url, { method: 'GET', path });

  describe('says to everybody', () => {
    it('who the operator is and what it asks', async () => {
      const info = decodeInfo(jsonOf(await get(`${API}/info`)));
      const { desk } = bench;
      assert.deepEqual(info, {
        chainId: 31337n,
        pool: desk.bench.address,
        registry: desk.bench.registry,
        operator: 1,
        operatorId: desk.operatorId,
        era: 1n,
        encryptionKey: bench.encryptionKey.publicKey,
        apiKey: bench.apiKey.publicKey,
        time: bench.enclave.machine.state.time,
        settleSeconds: 3_600,
        orderSecondsMax: 30 * 86_400,
        lockSecondsMax: 90 * 86_400,
        withdrawalFees: new Map([[NATIVE_ASSET, 3n]]),
      });
    });

    it('what its markets are', async () => {
      const { markets } = jsonOf<{ markets: object[] }>(await get(`${API}/markets`));
      const limits = { ticksMax: 1_000_000, lotsMin: 1, lotsMax: 1_000_000, trading: true };
      assert.deepEqual(markets.map(decodeMarket), [{ ...bench.terms, ...limits }]);
    });

    it('how every route is used', async () => {
      type Operation = {
        responses?: object;
        requestBody?: object;
        parameters?: { in: string; name: string }[];
        description?: string;
        'x-sealed'?: boolean;
      };
      type Document = { openapi: string; info: { title: string; version: string }; paths: Record<string, object> };
      const document = jsonOf<Document>(await get(`${API}/openapi.json`));
      assert.match(document.openapi, /^3\.1\./);
      const { title, version } = document.info;
      assert(title.length > 0 && version.length > 0);
      const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
        Object.keys(operations).map((method) => `${method} ${path}`),
      );
      const inApi = [
        'get /info',
        'get /markets',
        'get /attestation',
        'get /openapi.json',
        'post /sessions',
        'post /sealed',
        'get /records',
        'get /stream',
        'post /orders',
        'get /orders',
        'delete /orders',
        'get /orders/{id}',
        'patch /orders/{id}',
        'delete /orders/{id}',
        'get /orderbook/{pair}',
        'get /balances',
        'get /fills',
        'post /withdrawals',
        'get /withdrawals',
        'get /journal/{head}',
        'post /deadman',
      ].map((route) => route.replace(' ', ` ${API}`));
      assert.deepEqual(routes.sort(), ['get /health', 'get /metrics', ...inApi].sort());
      for (const [path, operations] of Object.entries(document.paths)) {
        for (const [method, operation] of Object.entries(operations) as [string, Operation][]) {
          const route = `${method} ${path}`;
          assert(operation.responses !== undefined, route);
          const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
          const inPath = operation.parameters?.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
          assert.deepEqual(inPath ?? [], named, route);
          assert.equal(operation.requestBody !== undefined, /^(post|patch)/.test(method), route);
          const isPlain = /\/(info|markets|attestation|openapi\.json|sessions|sealed|stream|health|metrics)$/.test(
            path,
          );
          assert.deepEqual([operation['x-sealed'], isPlain], isPlain ? [undefined, true] : [true, false], route);
          if (!isPlain) assert.match(operation.description ?? '', /\/api\/v1\/sealed/);
        }
      }
      // Nothing in it points anywhere else.
      assert.doesNotMatch(JSON.stringify(document), /"\$ref"/);
    });

    it('that it is well, and nothing of what is traded', async () => {
      const headersOf = ({ headers: { date, 'content-length': length, ...headers } }: Omit<Reply, 'isAuthentic'>) => {
        assert(date !== undefined && length !== undefined);
        return headers;
      };
      // Everything in it is known to everybody, or runs like a clock: values are compared with what they are made of, as it was before and after.
      const sources = (blockTime: number) => [process.uptime(), Date.now() / 1000 - blockTime];
      const look = async () => {
        const { timestamp = 0 } = (await bench.desk.bench.chain.provider.getBlock('latest')) ?? {};
        const earliest = sources(timestamp);
        const [health, metrics] = [await get('/health'), await get('/metrics')];
        const latest = sources(timestamp);
        const samples = metrics.text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
        const values = new Map(samples.map((line) => line.split(' ') as [string, string]));
        for (const [index, name] of ['uptime_seconds', 'newest_block_age_seconds'].entries()) {
          const value = Number(values.get(`bitcloak_enclave_${name}`));
          assert(value >= (earliest[index] ?? NaN) && value <= (latest[index] ?? NaN), `${name} ${value}`);
          values.delete(`bitcloak_enclave_${name}`);
        }
        const comments = metrics.text.split('\n').filter((line) => line.startsWith('#'));
        return { health: health.text, comments, others: [...values], headers: [health, metrics].map(headersOf) };
      };
      const before = await look();
      assert.equal(before.health, '{"status":"ok"}');
      const others = [
        ['bitcloak_enclave_journal_writes', '1'],
        ['bitcloak_enclave_era_active', '1'],
      ];
      assert.deepEqual(before.others, others, 'what moves otherwise is not told');
      await place(ofAlice, alice, 'sell', 20, 50);
      await place(ofBob, bob, 'buy', 20, 30);
      for (let count = 0; count < 50; count++) await place(ofAlice, alice, 'sell', 100 + count, 1);
      done(await ofBob.call('GET', '/orders'));
      assert.deepEqual(await look(), before);
    });
  });

  describe('orders', () => {
    it('are let in, trade, and are told to their owners', async () => {
      const made = await place(ofAlice, alice, 'sell', 20, 50);
      const { id } = made.order;
      assert.deepEqual([made.order.status, made.order.open, made.fills], ['open', 50, []]);
      assert(bench.enclave.machine.hasHead(Buffer.from(made.head, 'hex')));
      const taken = await place(ofBob, bob, 'buy', 22, 30);
      assert.deepEqual([taken.order.status, taken.order.filled], ['filled', 30]);
      const [fill] = taken.fills;
      assert.deepEqual(
        [taken.fills.length, fill?.price, fill?.lots, fill?.sold, fill?.bought, fill?.role],
        [1, 20, 30, 601n, 300n, 'taker'],
      );
      const seen = jsonOf(done(await ofAlice.call('GET', `/orders/${id}`)));
      assert.deepEqual([seen['filled'], seen['open'], seen['status']], [30, 20, 'open']);
      const { fills } = jsonOf<{ fills: object[] }>(done(await ofAlice.call('GET', '/fills')));
      const newest = decodeFillRecord(fills.at(-1));
      assert.deepEqual([newest.order, newest.role, newest.sold, newest.bought], [id, 'maker', 300n, 600n]);
    });

    it('come once, however often a client that lost the reply asks again', async () => {
      const order = await bench.order(alice, 'sell', 30, 50);
      const [first] = [decodeOrderReply(jsonOf(done(await ofAlice.place(order), 201)))];
      await place(ofBob, bob, 'buy', 30, 20);
      const again = decodeOrderReply(jsonOf(done(await ofAlice.place(order), 200)));
      assert.deepEqual([again.order.id, again.order.filled, again.fills.length], [first.order.id, 20, 1]);
      const elsewhere = decodeOrderReply(jsonOf(done(await (await bench.session(alice)).place(order), 200)));
      assert.deepEqual(elsewhere.order, again.order);
      assertRefused(await ofAlice.place({ ...order, clientOrderId: 'another' }), 409, 'ORDER_REFUSED', 'orderRepeated');
      const other = await bench.order(alice, 'sell', 30, 1, { clientOrderId: order.clientOrderId });
      assertRefused(await ofAlice.place(other), 409, 'ORDER_REFUSED', 'clientOrderIdTaken');
    });

    it('come once from many requests at the same time', async () => {
      const order = await bench.order(alice, 'sell', 30, 50);
      const replies = await Promise.all(Array.from({ length: 6 }, () => ofAlice.place(order)));
      assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 201]);
      assert.equal(new Set(replies.map((reply) => decodeOrderReply(jsonOf(reply)).order.id)).size, 1);
    });

    it('are amended and cancelled', async () => {
      const { order } = await place(ofAlice, alice, 'sell', 40, 50);
      const path = `/orders/${order.id}`;
      const smaller = decodeOrderReply(jsonOf(done(await ofAlice.call('PATCH', path, { price: 40, lots: 20 }))));
      assert.deepEqual([smaller.order.lots, smaller.order.open, smaller.fills], [20, 20, []]);
      assertRefused(
        await ofAlice.call('PATCH', path, { price: 41, lots: 20 }),
        422,
        'ORDER_REFUSED',
        'orderNotCovered',
      );
      await place(ofBob, bob, 'buy', 39, 5);
      const expiry = BigInt(bench.enclave.machine.state.time) + 80_000n;
      const destination = { operatorId: bench.desk.operatorId, payTo: alice.key.keys.owner, relockExpiry: 0n, expiry };
      const signed = encodeSigned(signOrder(alice.key, limitOf(bench.terms, 'sell', 38, 30), destination));
      const crossing = done(await ofAlice.call('PATCH', path, { price: 38, lots: 30, ...signed }));
      const { order: amended, fills } = decodeOrderReply(jsonOf(crossing));
      assert.deepEqual([amended.lots, amended.filled, amended.price, amended.id], [30, 5, 38, order.id]);
      assert.deepEqual([fills.length, fills[0]?.lots, fills[0]?.price], [1, 5, 39]);
      assertRefused(await ofAlice.call('PATCH', path, { price: 38, lots: 5 }), 422, 'ORDER_REFUSED', 'lotsInvalid');
      const half = { price: 38, lots: 20, order: signed.order };
      assert.equal((await ofAlice.call('PATCH', path, half)).status, 400, 'what is signed comes with its signature');
      const gone = jsonOf<{ order: { status: string; reason: string } }>(done(await ofAlice.call('DELETE', path)));
      assert.deepEqual([gone.order.status, gone.order.reason], ['cancelled', 'requested']);
      assertRefused(await ofAlice.call('DELETE', path), 404, 'ORDER_UNKNOWN');
    });

    it('are cancelled all at once', async () => {
      for (const price of [50, 51, 52]) await place(ofAlice, alice, 'sell', price, 1);
      const { order } = await place(ofBob, bob, 'sell', 53, 1);
      assertRefused(await ofAlice.call('DELETE', '/orders?market=2'), 422, 'ORDER_REFUSED', 'marketUnknown');
      assert.equal(jsonOf(done(await ofAlice.call('DELETE', '/orders?market=1')))['cancelled'], 3);
      assert.equal(jsonOf(done(await ofAlice.call('DELETE', '/orders')))['cancelled'], 0);
      assert.equal(jsonOf(done(await ofBob.call('GET', `/orders/${order.id}`)))['status'], 'open');
    });

    it('are shown to their owner alone, one by one and as levels', async () => {
      const bookOf = async (session: TestSession) =>
        jsonOf<OrderBook>(done(await session.call('GET', '/orderbook/ETH-TEST')));
      for (const [side, price, lots] of [
        ['sell', 62, 1],
        ['sell', 61, 2],
        ['sell', 61, 3],
        ['buy', 10, 4],
        ['buy', 11, 5],
      ] as const) {
        await place(ofAlice, alice, side, price, lots);
      }
      await place(ofBob, bob, 'buy', 12, 7);
      assert.deepEqual(await bookOf(ofAlice), {
        market: 1,
        pair: 'ETH-TEST',
        buy: [
          { price: 11, lots: 5, orders: 1 },
          { price: 10, lots: 4, orders: 1 },
        ],
        sell: [
          { price: 61, lots: 5, orders: 2 },
          { price: 62, lots: 1, orders: 1 },
        ],
      });
      assert.deepEqual((await bookOf(ofBob)).buy, [{ price: 12, lots: 7, orders: 1 }]);
      const count = async (query: string) =>
        jsonOf<{ orders: object[] }>(done(await ofAlice.call('GET', `/orders${query}`))).orders.length;
      assert.deepEqual([await count(''), await count('?status=open')], [5, 5]);
      assert((await count('?status=all')) > 5);
    });

    it('are given in pages, the oldest first', async () => {
      for (let count = 0; count < 5; count++) await place(ofAlice, alice, 'sell', 70 + count, 1);
      const page = async (query: string) =>
        jsonOf<{ orders: { id: number }[] }>(done(await ofAlice.call('GET', `/orders${query}`))).orders.map(
          ({ id }) => id,
        );
      const open = await page('?limit=1000');
      assert.equal(open.length, 5);
      assert.deepEqual(await page(`?after=${open[1]}&limit=2`), open.slice(2, 4));
      assert.deepEqual(await page(`?status=open&after=${open.at(-1)}`), []);
      const all = await page('?status=all&limit=1000');
      assert(all.length > 5);
      assert.deepEqual(await page('?status=all&limit=3'), all.slice(0, 3));
      assert.deepEqual(await page(`?status=all&after=${all[2]}&limit=1000`), all.slice(3));
      while ((await page('?status=all&limit=1000')).length <= 100) await place(ofAlice, alice, 'sell', 70, 1);
      for (const query of ['?status=all', '?status=all&after=0']) assert.equal((await page(query)).length, 100);
    });

    it('of another are like orders that never were', async () => {
      // So many that no number of hers is one of his.
      for (let count = 0; count < 3; count++) await place(ofAlice, alice, 'sell', 70, 1);
      const { id } = (await place(ofAlice, alice, 'sell', 70, 1)).order;
      const largest = bench.enclave.machine.state.records.orders(bob.key.keys.owner).at(-1)?.id ?? 0;
      assert(id > largest);
      const never = id + 1_000;
      for (const [method, body] of [['GET'], ['DELETE'], ['PATCH', { price: 70, lots: 1 }]] as const) {
        const call = (number: number) => ofBob.call(method, `/orders/${number}`, body);
        const [others, none] = [await call(id), await call(never)];
        assertRefused(others, 404, 'ORDER_UNKNOWN');
        assert.deepEqual([others.status, others.text], [none.status, none.text]);
        assert.deepEqual(Object.keys(others.headers), Object.keys(none.headers));
        assert.equal(others.bytes.length, none.bytes.length);
      }
      assert.equal(jsonOf(done(await ofAlice.call('GET', `/orders/${id}`)))['status'], 'open');
    });

    it('are those of the owner of the session', async () => {
      const order = await bench.order(alice, 'sell', 20, 1);
      assertRefused(await ofBob.place(order), 403, 'ORDER_REFUSED', 'ownerUnknown');
      const stranger = bench.desk.trader();
      const unknown = await bench.order(stranger, 'sell', 20, 1);
      const [known, other] = [await ofBob.place(order), await ofBob.place(unknown)];
      assert.equal(other.text, known.text, 'whether somebody is known to the operator is not told');
      const { order: mine } = await place(ofBob, bob, 'sell', 80, 10);
      const signed = encodeSigned(await bench.order(alice, 'sell', 81, 10));
      const amended = await ofBob.call('PATCH', `/orders/${mine.id}`, { price: 81, lots: 10, ...signed });
      assertRefused(amended, 403, 'ORDER_REFUSED', 'ownerUnknown');
    });

    it('are refused with the reason of the exchange', async () => {
      const order = (changes: object) => bench.order(alice, 'sell', 20, 10, changes);
      const time = bench.enclave.machine.state.time;
      const refusals: [string, object][] = [
        ['marketUnknown', { market: 2 }],
        ['orderNotCovered', { lots: 11 }],
        ['orderNotCovered', { price: 19 }],
        ['orderNotCovered', { side: 'buy' }],
        ['displayInvalid', { display: 11 }],
        ['minimumInvalid', { minimumMatch: 11 }],
        ['combinationInvalid', { type: 'market' }],
        ['combinationInvalid', { type: 'pegged', postOnly: true }],
        ['expiryInvalid', { timeInForce: 'gtd', expiry: time }],
        ['orderTooShort', { timeInForce: 'gtd', expiry: time + 80_000 }],
      ];
      for (const [reason, changes] of refusals) {
        assertRefused(await ofAlice.place(await order(changes)), 422, 'ORDER_REFUSED', reason);
      }
      const forged = await order({});
      const signature = { ...forged.signature, s: forged.signature.s + 1n };
      assertRefused(await ofAlice.place({ ...forged, signature }), 422, 'ORDER_REFUSED', 'signatureInvalid');
      const dear = await bench.order(alice, 'sell', 20, 10_001);
      assertRefused(await ofAlice.place(dear), 422, 'ORDER_REFUSED', 'fundsInsufficient');
      await place(ofBob, bob, 'buy', 20, 1);
      const passive = await bench.order(alice, 'sell', 20, 1, { postOnly: true });
      assertRefused(await ofAlice.place(passive), 422, 'ORDER_REFUSED', 'wouldTrade');
      assert.equal(jsonOf<{ orders: [] }>(await ofAlice.call('GET', '/orders')).orders.length, 0);
    });
  });

  describe('accounts', () => {
    it('are those of the session', async () => {
      const balances = async (session: TestSession) =>
        jsonOf<{ balances: object[] }>(done(await session.call('GET', '/balances'))).balances.map(decodeBalanceRecord);
      const coins = (await balances(ofAlice)).find(({ asset }) => asset === NATIVE_ASSET);
      await place(ofAlice, alice, 'sell', 90, 10);
      const after = (await balances(ofAlice)).find(({ asset }) => asset === NATIVE_ASSET);
      assert.equal(after?.total, 100_000n);
      assert.equal(after.available, (coins?.available ?? 0n) - 100n);
      assert.deepEqual(await balances(ofBob), bench.enclave.machine.state.balances(bob.key.keys.owner));
    });

    it('give their fills in pages', async () => {
      await place(ofAlice, alice, 'sell', 20, 20);
      for (let count = 0; count < 5; count++) await place(ofBob, bob, 'buy', 20, 1);
      const page = async (query: string) =>
        jsonOf<{ fills: { id: number }[] }>(done(await ofAlice.call('GET', `/fills${query}`))).fills.map(
          ({ id }) => id,
        );
      const all = await page('?limit=1000');
      assert(all.length >= 5);
      assert.deepEqual(await page(`?after=${all[1]}&limit=2`), all.slice(2, 4));
      assert.deepEqual(await page(`?after=${all.at(-1)}`), []);
      assert.deepEqual(await page('?after=999999999999999'), []);
    });

    it('are withdrawn from', async () => {
      const expiry = BigInt(bench.enclave.machine.state.time) + 80_000n;
      const destination = { operatorId: bench.desk.operatorId, payTo: bob.key.keys.owner, relockExpiry: 0n, expiry };
      const withdrawal = (amount: bigint, fee: bigint, clientOrderId: string): NewWithdrawal => ({
        clientOrderId,
        ...signOrder(bob.key, withdrawalLimit(NATIVE_ASSET, amount, fee), destination),
      });
      const wire = ({ clientOrderId, ...signed }: NewWithdrawal) => ({ clientOrderId, ...encodeSigned(signed) });
      const wanted = withdrawal(500n, 3n, 'out-1');
      const reply = done(await ofBob.call('POST', '/withdrawals', wire(wanted)), 201);
      const { withdrawal: record, head } = decodeWithdrawalReply(jsonOf(reply));
      assert.deepEqual([record.amount, record.fee, record.status, record.asset], [500n, 3n, 'waiting', NATIVE_ASSET]);
      assert.equal(jsonOf(done(await ofBob.call('GET', `/journal/${head}`)))['known'], true);
      const again = done(await ofBob.call('POST', '/withdrawals', wire(wanted)), 200);
      assert.equal(decodeWithdrawalReply(jsonOf(again)).withdrawal.id, record.id);
      const { withdrawals } = jsonOf<{ withdrawals: object[] }>(done(await ofBob.call('GET', '/withdrawals')));
      assert.equal(withdrawals.length, 1);
      assert.equal(jsonOf<{ withdrawals: [] }>(await ofAlice.call('GET', '/withdrawals')).withdrawals.length, 0);
      const refused = await ofBob.call('POST', '/withdrawals', wire(withdrawal(500n, 2n, 'out-2')));
      assertRefused(refused, 422, 'ORDER_REFUSED', 'orderNotCovered');
      // What was signed for one thing is not taken for another.
      const terms = { market: 1, side: 'sell', type: 'limit', price: 1, lots: 1, timeInForce: 'gtc' } as const;
      const asOrder = await ofBob.place({ ...wanted, ...terms, selfTrade: 'cancelNewest' });
      assertRefused(asOrder, 409, 'ORDER_REFUSED', 'orderRepeated');
      const asOther = await ofAlice.call('POST', '/withdrawals', wire(withdrawal(500n, 3n, 'out-3')));
      assertRefused(asOther, 403, 'ORDER_REFUSED', 'ownerUnknown');
    });

    it('are told whether the journal still has what it acknowledged', async () => {
      const { head } = await place(ofAlice, alice, 'sell', 95, 1);
      assert.equal(jsonOf(done(await ofAlice.call('GET', `/journal/${head}`)))['known'], true);
      const other = head.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
      assertRefused(await ofAlice.call('GET', `/journal/${other}`), 404, 'HEAD_UNKNOWN');
    });
  });

  describe('across a restart', () => {
    it('orders, numbers, balances and what was acknowledged stay', async () => {
      const { order, head } = await place(ofAlice, alice, 'sell', 96, 10);
      const signed = await bench.order(alice, 'sell', 97, 10);
      const second = decodeOrderReply(jsonOf(done(await ofAlice.place(signed), 201)));
      const looks = ['/orders?status=all', '/fills', '/balances', '/withdrawals', '/records', `/journal/${head}`];
      const look = async () => Promise.all(looks.map(async (path) => done(await ofAlice.call('GET', path)).text));
      const before = await look();
      await bench.restart();
      [ofAlice, ofBob] = [await bench.session(alice), await bench.session(bob)];
      assert.deepEqual(await look(), before);
      assert.equal(decodeOrderReply(jsonOf(done(await ofAlice.place(signed), 200))).order.id, second.order.id);
      assert.equal((await place(ofAlice, alice, 'sell', 98, 1)).order.id, order.id + 2);
    });
  });

  describe('for whoever runs it', () => {
    it('tells whoever runs it nothing of owners, keys, orders or amounts', async () => {
      await place(ofAlice, alice, 'sell', 20, 77);
      await place(ofBob, bob, 'buy', 20, 33);
      await ofBob.call('POST', '/orders', { nonsense: 1 });
      const { state } = bench.enclave.machine;
      const secrets = [alice, bob].flatMap(({ key }) => {
        const { owner, nullifierKey, publicKey } = key.keys;
        const numbers = [owner, nullifierKey, publicKey.x, publicKey.y, state.available(owner, NATIVE_ASSET)];
        return numbers.flatMap((number) => [number.toString(), number.toString(16)]);
      });
      const [order] = state.records.orders(alice.key.keys.owner);
      secrets.push(
        wireOrder(await bench.order(alice, 'sell', 20, 77))['clientOrderId'] as string,
        order?.clientOrderId ?? '',
      );
      const told = JSON.stringify(bench.reports);
      assert(bench.reports.length > 0);
      assert.deepEqual(
        secrets.filter((secret) => secret.length > 4 && told.includes(secret)),
        [],
      );
      const kinds = new Set(bench.reports.map(({ kind }) => kind));
      assert.deepEqual([...kinds].sort(), ['listening', 'stopped'], 'nothing is told of requests');
    });

    it('says where a request failed, and not of what', async () => {
      const { state } = bench.enclave.machine;
      const broken = () => {
        throw new Error(`nothing is known of ${alice.key.keys.owner}`);
      };
      Object.defineProperty(state, 'balances', { value: broken, configurable: true });
      const reply = await ofAlice.call('GET', '/balances');
      assert.equal(Reflect.deleteProperty(state, 'balances'), true);
      assertRefused(reply, 500, 'ENCLAVE_FAILED');
      assert(!reply.text.includes(alice.key.keys.owner.toString()));
      const line = bench.reports.at(-1);
      assert(line?.kind === 'requestFailed');
      assert.match(line.at[0] ?? '', /^at .*api\.test\.ts:\d+/);
      assert(!JSON.stringify(line).includes(alice.key.keys.owner.toString()));
      done(await ofAlice.call('GET', '/balances'));
    });

    it('stops where the journal does not write any more', async () => {
      const order = await bench.order(alice, 'sell', 20, 1);
      await bench.enclave.machine.close();
      const reply = await ofAlice.place(order);
      assert.deepEqual([reply.status, jsonOf(reply)['code'], reply.isAuthentic], [503, 'ENCLAVE_FAILED', true]);
      assert.equal((await bench.enclave.ended)?.code, 'JOURNAL_CLOSED');
      assert.deepEqual(bench.reports.at(-1), { kind: 'stopped', code: 'JOURNAL_CLOSED' });
      await assert.rejects(get('/health'), /ECONNREFUSED/);
      await bench.start();
      [ofAlice, ofBob] = [await bench.session(alice), await bench.session(bob)];
      assert.equal((await ofAlice.place(order)).status, 201, 'it was not let in');
    });
  });
});
