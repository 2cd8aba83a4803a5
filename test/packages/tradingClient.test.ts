import assert from 'node:assert/strict';
import { verify } from '@bitcloak/crypto/eddsa';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { orderHashOf } from '@bitcloak/notes/order';
import { LOCK_SECONDS_MAX, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { SETTLE_SECONDS_MAX, TradingClient, type SentOrder } from '@bitcloak/trading/client';
import { limitOf } from '@bitcloak/trading/market';
import { OperatorRefusal, OutcomeUnknown } from '@bitcloak/trading/refusals';
import { API, decodeSigned, encodeInfo, type WireNewOrder, type WireWithdrawal } from '@bitcloak/trading/wire';
import { REPLY_BYTES_MAX } from '@bitcloak/trading/http';
import { FakeEnclave, HEAD, MARKET, plain, recordOf, TOKENS } from '../support/fakeEnclave.ts';

const ORDERS = `${API}/orders`;
const WISH = { pair: 'ETH-DUSD', side: 'sell', price: '2000.5', quantity: '1.5' } as const;

describe('a trading client', () => {
  let enclave: FakeEnclave;
  beforeEach(async () => {
    enclave = await FakeEnclave.open();
  });
  afterEach(() => {
    enclave.close();
  });

  const posts = () => enclave.asked.filter(({ method, path }) => method === 'POST' && path === ORDERS);
  const wireOf = (body: string) => JSON.parse(body) as WireNewOrder;

  describe('connecting', () => {
    it('takes the expected operator and no other', async () => {
      const client = await enclave.connect();
      assert.deepEqual(
        (await client.markets()).map(({ pair }) => pair),
        ['ETH-DUSD'],
      );
      await assert.rejects(enclave.connect({ expected: { operatorId: 5n } }), { code: 'OPERATOR_MISMATCH' });
      const check = () => assert.fail('not the right one');
      await assert.rejects(enclave.connect({ check }), /not the right one/);
    });

    it('is not deceived by somebody who says the public key without having it', async () => {
      const ofSessions = (change: (bytes: Uint8Array) => Uint8Array) => {
        enclave.tamper = (answer, { path }) => {
          return path.endsWith('/sessions') ? { ...answer, bytes: change(answer.bytes) } : answer;
        };
      };
      const forged = { code: 'REPLY_FORGED', message: /who opens the session does not have its key/ };
      for (const place of [0, 31, 32, 55, 71]) {
        ofSessions((bytes) => Uint8Array.from(bytes, (byte, at) => (at === place ? byte ^ 1 : byte)));
        await assert.rejects(enclave.connect(), forged, `byte ${place}`);
      }
      for (const length of [0, 31, 71, 73]) {
        ofSessions(() => new Uint8Array(length));
        await assert.rejects(enclave.connect(), forged, `${length} bytes`);
      }
      let recorded: Uint8Array | undefined;
      ofSessions((bytes) => (recorded ??= bytes));
      await enclave.connect();
      await assert.rejects(enclave.connect(), forged, 'the answer to another opening');
    });

    it('is not deceived by somebody in the middle who shows the right key, and answers with his own', async () => {
      Object.assign(enclave, { apiKey: new HpkeKey(new Uint8Array(32).fill(9)) });
      await assert.rejects(
        enclave.connect(),
        (error: unknown) => error instanceof OperatorRefusal && !error.authenticated,
        'he cannot read the opening',
      );
      assert.equal(enclave.sessions.size, 0);
    });

    it('opens nothing with an enclave of another chain, pool, registry, number or era than it is told', async () => {
      const { info } = enclave;
      for (const name of ['chainId', 'pool', 'registry', 'era'] as const) {
        // What the client is told is not what the enclave is.
        enclave.tamper = (answer, { path }) => {
          return path.endsWith('/info') ? plain(200, encodeInfo({ ...info, [name]: info[name] + 1n })) : answer;
        };
        await assert.rejects(enclave.connect(), { code: 'SESSION_REFUSED' }, name);
      }
      assert.equal(enclave.sessions.size, 0);
    });

    it('opens nothing with a key that no secret can be shared with', async () => {
      const apiKey = new Uint8Array(32);
      enclave.info = { ...enclave.info, apiKey };
      await assert.rejects(enclave.connect(), {
        code: 'OPERATOR_MISMATCH',
        message: /none that secrets can be shared with/,
      });
    });

    it('says what the operator says where it refuses a session, without its control characters', async () => {
      enclave.tamper = (answer, { path }) => {
        const json = { code: 'SESSION_REFUSED', message: 'unknown \x1b[2J owner' };
        return path.endsWith('/sessions') ? plain(401, json) : answer;
      };
      await assert.rejects(enclave.connect(), (error: unknown) => {
        assert.ok(error instanceof OperatorRefusal);
        assert.equal(error.code, 'SESSION_REFUSED');
        assert.match(error.message, /unknown \?\[2J owner/);
        return true;
      });
    });

    it('has no market of another asset than its name says, nor one whose assets nobody here knows', async () => {
      for (const change of [{ quote: 0x78n }, { base: 0x77n, quote: NATIVE_ASSET }, { pair: 'DUSD-ETH' }]) {
        enclave.markets = [{ ...MARKET, ...change }];
        await assert.rejects(enclave.connect(), { code: 'OPERATOR_MISMATCH' }, JSON.stringify(Object.keys(change)));
      }
      enclave.markets = [MARKET, { ...MARKET, market: 2, pair: 'ETH-OTHER', quote: 0x79n }];
      assert.equal((await (await enclave.connect()).markets()).length, 1);
    });

    it('is refused a URL that is none, and an answer that is none', async () => {
      for (const url of ['ftp://x', 'http://user:secret@host/', 'host:1', 'http://x/?a=1']) {
        await assert.rejects(enclave.connect({ url }), { code: 'USAGE' });
      }
      const answers = ['', 'x', '{}', '[]', '{"markets":[]}'];
      for (const text of answers) {
        enclave.tamper = (answer) => ({ ...answer, bytes: Buffer.from(text) });
        await assert.rejects(enclave.connect(), { code: 'REPLY_FORGED' });
      }
    });
  });

  describe('placing', () => {
    it('signs exactly for the decimals, all fees included, after having the order kept', async () => {
      enclave.takeOrders();
      const kept: SentOrder[] = [];
      const client = await enclave.connect({
        keep: (order) => {
          assert.equal(posts().length, 0, 'kept before it is sent');
          kept.push(order);
        },
      });
      const { order } = await client.place({
        ...WISH,
        postOnly: true,
        display: '0.5',
        proceeds: { relockUntil: 9_999n },
      });
      assert.deepEqual([order.price, order.lots, order.side], [200_050, 1_500, 'sell']);
      const tooLong = { relockUntil: BigInt(await client.time()) + LOCK_SECONDS_MAX + 10n };
      await assert.rejects(client.place({ ...WISH, proceeds: tooLong }), { code: 'LOCK_INVALID' });
      assert.equal(posts().length, 1);
      const wire = wireOf(posts()[0]?.body ?? '');
      const signed = decodeSigned(wire);
      const { owner, publicKey } = enclave.options().key.keys;
      assert.ok(verify(publicKey, orderHashOf(signed.order), signed.signature));
      const { expiry, salt, ...rest } = signed.order;
      assert.deepEqual(rest, {
        owner,
        operatorId: enclave.info.operatorId,
        ...limitOf(MARKET, 'sell', 200_050, 1_500),
        payTo: owner,
        relockExpiry: 9_999n,
      });
      assert.equal(rest.buyMin, 2_997_749_250n, '3000.75 less a thousandth');
      const seconds = Number(expiry) - enclave.info.time;
      assert.ok(seconds >= 2_400 && seconds < 2_460, `half an hour, and the time to settle: ${seconds}`);
      assert.equal(wire.display, 500);
      assert.deepEqual(
        kept.map(({ kind, clientOrderId, order: { salt: keptSalt } }) => [kind, clientOrderId, keptSalt]),
        [['order', wire.clientOrderId, salt]],
      );
      assert.equal(client.head, HEAD);
    });

    it('names the step where a decimal does not fit', async () => {
      const client = await enclave.connect();
      const refused = async (change: object, pattern: RegExp) => {
        await assert.rejects(client.place({ ...WISH, ...change }), { code: 'AMOUNT_INVALID', message: pattern });
      };
      await refused({ price: '2000.505' }, /price: expected a multiple of 0\.01 DUSD on ETH-DUSD, got "2000.505"/);
      await refused({ quantity: '1.5005' }, /quantity: expected a multiple of 0\.001 ETH on ETH-DUSD/);
      await refused({ quantity: '0.009' }, /quantity: expected 0\.01 to 1000 ETH/);
      await refused({ price: '0' }, /price: expected 0\.01 to 100000 DUSD/);
      await refused({ price: '-1' }, /decimal number/);
      await refused({ price: '1e3' }, /decimal number/);
      await refused({ display: '1.501' }, /display: expected at most the order's 1\.5/);
      await assert.rejects(client.place({ ...WISH, pair: 'ETH-OTHER' }), { code: 'USAGE', message: /one of ETH-DUSD/ });
      assert.equal(posts().length, 0);
    });

    it('signs for no fee beyond its bound, and no longer than meant', async () => {
      enclave.markets = [{ ...MARKET, takerFee: 101 }];
      await assert.rejects((await enclave.connect()).place(WISH), { code: 'OPERATOR_REFUSED' });
      await assert.rejects((await enclave.connect({ feeMax: 4 })).place(WISH), { code: 'OPERATOR_REFUSED' });
      enclave.markets = [MARKET];
      enclave.info = { ...enclave.info, time: enclave.info.time + 86_400 };
      await assert.rejects((await enclave.connect()).place(WISH), { code: 'OPERATOR_MISMATCH' });
      assert.equal(posts().length, 0);
    });

    it('signs nothing that would bring nothing, whatever the fees are, and wherever rounding takes it to', async () => {
      enclave.takeOrders();
      const kept: unknown[] = [];
      const changes = { feeMax: 10_000, keep: (order: unknown) => void kept.push(order) };
      const refused = { code: 'AMOUNT_INVALID', message: /expected an order that brings something after fees/ };
      enclave.markets = [{ ...MARKET, makerFee: 10_000 }];
      await assert.rejects((await enclave.connect(changes)).place(WISH), refused);
      enclave.markets = [{ ...MARKET, tickQuote: 1n, lotsMin: 1 }];
      const client = await enclave.connect(changes);
      const least = { ...WISH, price: '0.001' };
      await assert.rejects(client.place({ ...least, quantity: '0.001' }), refused);
      assert.deepEqual([posts().length, kept.length], [0, 0]);
      await client.place({ ...least, quantity: '0.002' });
      assert.deepEqual([posts().length, kept.length], [1, 1]);
    });

    it('signs for no operator that would take longer than a day to settle', async () => {
      enclave.takeOrders();
      enclave.info = { ...enclave.info, settleSeconds: SETTLE_SECONDS_MAX };
      const client = await enclave.connect();
      await client.place(WISH);
      const { order } = decodeSigned(wireOf(posts()[0]?.body ?? ''));
      assert.ok(Number(order.expiry) - enclave.info.time < SETTLE_SECONDS_MAX + 1_860);
      enclave.info = { ...enclave.info, settleSeconds: SETTLE_SECONDS_MAX + 1 };
      const refusal = { code: 'OPERATOR_MISMATCH', message: /settleSeconds: expected at most 86400, got 86401/ };
      await assert.rejects(enclave.connect(), refusal);
      enclave.sessions.clear();
      await assert.rejects(client.balances(), refusal, 'nor where it says so later');
    });

    it('sends the very same order again where the reply is lost', async () => {
      const orders = enclave.takeOrders();
      const client = await enclave.connect();
      let lost = 0;
      enclave.tamper = (answer, { path }) => (path === ORDERS && lost++ < 2 ? undefined : answer);
      const { order } = await client.place(WISH);
      assert.equal(orders.size, 1);
      assert.equal(order.id, 1);
      assert.equal(new Set(posts().map(({ body }) => body)).size, 1);
      assert.equal(posts().length, 3);
    });

    it('says that the outcome is unknown where every reply is lost or forged', async () => {
      enclave.takeOrders();
      const client = await enclave.connect({ attempts: 2, msMax: 500 });
      type Tamper = FakeEnclave['tamper'];
      let recorded: Uint8Array | undefined;
      const altered = (bytes: Uint8Array, place: number) =>
        Uint8Array.from(bytes, (byte, at) => (at === place ? byte ^ 1 : byte));
      const cases: Record<string, Tamper> = {
        dropped: () => undefined,
        'not sealed': () => plain(200, { order: {}, fills: [], head: HEAD }),
        'of another status': (answer) => ({ ...answer, status: 202 }),
        altered: (answer) => ({ ...answer, bytes: altered(answer.bytes, 100) }),
        'altered at its end': (answer) => ({ ...answer, bytes: altered(answer.bytes, answer.bytes.length - 1) }),
        truncated: (answer) => ({ ...answer, bytes: answer.bytes.subarray(0, -1) }),
        empty: (answer) => ({ ...answer, bytes: new Uint8Array() }),
        // The first is the right one, and is kept from the client by its status.
        'an older one': (answer) => {
          recorded ??= answer.bytes;
          return recorded === answer.bytes ? { ...answer, status: 202 } : { ...answer, bytes: recorded };
        },
        'refused by nobody': () => plain(422, { code: 'ORDER_REFUSED', message: 'no' }),
        'said to be a repetition': () => plain(409, { code: 'REQUEST_REFUSED', message: 'it came before' }),
        redirected: (answer) => ({ ...answer, status: 307, headers: { location: `${enclave.url}/elsewhere` } }),
        'far too long': (answer) => ({
          ...answer,
          bytes: Buffer.concat([answer.bytes, new Uint8Array(REPLY_BYTES_MAX)]),
        }),
      };
      for (const [name, tamper] of Object.entries(cases)) {
        enclave.tamper = (answer, asked) => (asked.path === ORDERS ? tamper(answer, asked) : answer);
        const before = posts().length;
        await assert.rejects(
          client.place({ ...WISH, clientOrderId: `order-${before}` }),
          (error: unknown) => {
            assert.ok(error instanceof OutcomeUnknown, `${name}: ${String(error)}`);
            assert.equal(error.clientOrderId, `order-${before}`);
            assert.match(error.message, /not known whether/);
            return true;
          },
          name,
        );
        assert.equal(posts().length - before, 2, name);
      }
      assert.ok(enclave.asked.every(({ path }) => !path.includes('elsewhere')));
    });

    it('is certain of a refusal that the enclave itself gives', async () => {
      const client = await enclave.connect();
      const json = { code: 'ORDER_REFUSED', message: 'not enough', reason: 'fundsInsufficient' };
      enclave.replies.set(`POST ${ORDERS}`, () => ({ status: 422, json }));
      await assert.rejects(client.place(WISH), (error: unknown) => {
        assert.ok(error instanceof OperatorRefusal);
        assert.deepEqual(
          [error.code, error.status, error.reason, error.authenticated],
          ['ORDER_REFUSED', 422, 'fundsInsufficient', true],
        );
        return true;
      });
      assert.equal(posts().length, 1);
      enclave.replies.set(`POST ${ORDERS}`, () => ({ status: 500, json: { code: 'ENCLAVE_FAILED', message: '' } }));
      const impatient = await enclave.connect({ attempts: 1 });
      await assert.rejects(impatient.place(WISH), { code: 'OUTCOME_UNKNOWN' });
      enclave.replies.set(`POST ${ORDERS}`, () => ({ status: 422, json: { code: 'WALLET_CORRUPT', message: 'x' } }));
      await assert.rejects(client.place(WISH), { code: 'OPERATOR_REFUSED' });
    });

    it('sends nothing that is longer than requests are', async () => {
      const client = await enclave.connect();
      const long = client.place({ ...WISH, clientOrderId: 'x'.repeat(2_000) });
      await assert.rejects(long, { code: 'USAGE', message: /^request: expected at most 2044 bytes, got \d+$/ });
      assert.equal(posts().length, 0);
    });

    it('does not take the reply to another order for that to its own', async () => {
      const client = await enclave.connect();
      const order = recordOf({ clientOrderId: 'another', side: 'sell', price: 200_050, lots: 1_500 }, 7);
      enclave.replies.set(`POST ${ORDERS}`, () => ({ status: 201, json: { order, fills: [], head: HEAD } }));
      await assert.rejects(client.place(WISH), { code: 'REPLY_FORGED' });
    });
  });

  describe('a session', () => {
    it('is shared by requests that come at once, and opened anew where it is gone', async () => {
      enclave.replies.set(`GET ${API}/balances`, () => ({ json: { balances: [] } }));
      const client = await enclave.connect();
      await Promise.all(Array.from({ length: 8 }, () => client.balances()));
      assert.equal(enclave.sessions.size, 1);
      enclave.sessions.clear();
      await Promise.all(Array.from({ length: 8 }, () => client.balances()));
      assert.equal(enclave.sessions.size, 1);
      enclave.sessions.clear();
      enclave.takeOrders();
      await client.place(WISH);
      assert.equal(enclave.sessions.size, 1);
    });

    it('looks at the operator again when it is opened anew', async () => {
      enclave.replies.set(`GET ${API}/balances`, () => ({ json: { balances: [] } }));
      const client = await enclave.connect();
      enclave.sessions.clear();
      enclave.info = { ...enclave.info, operatorId: 5n };
      await assert.rejects(client.balances(), { code: 'OPERATOR_MISMATCH' });
    });

    it('reads nothing into a reply that does not fit', async () => {
      const client = await enclave.connect();
      const order = recordOf({ clientOrderId: 'a', side: 'sell', price: 1, lots: 10 }, 1);
      const first = 'orders?status=open&after=0&limit=1000';
      const balance = { asset: '1', total: '2', available: '-2', held: '0', waiting: '0' };
      const cases: [string, () => Promise<unknown>, unknown][] = [
        [first, () => client.orders(), { orders: [{ ...order, lots: '10' }] }],
        [first, () => client.orders(), { orders: [{ ...order, more: 1 }] }],
        [first, () => client.orders(), { orders: [{ ...order, side: 'both' }] }],
        [first, () => client.orders(), { orders: [order, order] }],
        ['orders/1', () => client.order(1), { ...order, price: 1.5 }],
        ['balances', () => client.balances(), { balances: [balance] }],
        ['fills?after=3', () => client.fills({ after: 3 }), { fills: {} }],
        ['withdrawals', () => client.withdrawals(), []],
      ];
      for (const [path, ask, json] of cases) {
        enclave.replies.set(`GET ${API}/${path}`, () => ({ json }));
        await assert.rejects(ask(), { code: 'REPLY_FORGED' }, path);
      }
    });

    it('reads lists to their end, page after page', async () => {
      const client = await enclave.connect();
      const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
      const orderOf = (id: number) => recordOf({ clientOrderId: 'a', side: 'sell', price: 1, lots: 10 }, id);
      const pages = [numbers(1, 1_000), numbers(1_501, 1_000), numbers(2_501, 3)];
      for (const [index, page] of pages.entries()) {
        const after = pages[index - 1]?.at(-1) ?? 0;
        enclave.replies.set(`GET ${ORDERS}?status=all&after=${after}&limit=1000`, () => ({
          json: { orders: page.map(orderOf) },
        }));
      }
      const ids = (await client.orders('all')).map(({ id }) => id);
      assert.deepEqual(ids, pages.flat());
      enclave.replies.set(`GET ${ORDERS}?status=all&after=1000&limit=1000`, () => ({
        json: { orders: numbers(1, 1_000).map(orderOf) },
      }));
      await assert.rejects(
        client.orders('all'),
        { code: 'REPLY_FORGED' },
        'a page that does not go on would never end',
      );
    });
  });

  describe('changing', () => {
    const open = { clientOrderId: 'mine', side: 'sell', price: 200_000, lots: 100 } as const;
    const expiry = Math.floor(Date.now() / 1000) + 1_500;
    const known = { ...recordOf(open, 3), filled: 40, open: 60, expiry };
    const path = `${ORDERS}/3`;
    const patches = () => enclave.asked.filter(({ method }) => method === 'PATCH').map(({ body }) => wireOf(body));

    it('signs anew for what stays open, unless only the quantity shrinks', async () => {
      enclave.replies.set(`PATCH ${path}`, (body) => {
        const { price, lots } = wireOf(body);
        return { json: { order: { ...known, price, lots, open: lots - 40 }, fills: [], head: HEAD } };
      });
      const kept: SentOrder[] = [];
      const client = await enclave.connect({ keep: (order) => void kept.push(order) });
      await client.amend(known, { quantity: '0.08' });
      await client.amend(known, { price: '2100', quantity: '0.12' });
      const [smaller, dearer] = patches();
      assert.deepEqual(smaller, { price: 200_000, lots: 80 });
      const { order } = decodeSigned(dearer as WireNewOrder);
      const { sellMax, buyMin } = limitOf(MARKET, 'sell', 210_000, 80);
      assert.deepEqual([order.sellMax, order.buyMin], [sellMax, buyMin]);
      assert.equal(order.expiry, BigInt(known.expiry + enclave.info.settleSeconds), 'no longer than it lives');
      assert.deepEqual(
        kept.map(({ kind, clientOrderId }) => [kind, clientOrderId]),
        [['amendment', 'mine']],
      );
      await assert.rejects(client.amend(known, { quantity: '0.04' }), { code: 'AMOUNT_INVALID' });
    });

    it('signs anew for no longer than the order was meant to live, whatever the operator says', async () => {
      enclave.takeOrders();
      enclave.replies.set(`PATCH ${path}`, () => ({ json: { order: known, fills: [], head: HEAD } }));
      const kept: SentOrder[] = [];
      const client = await enclave.connect({ keep: (order) => void kept.push(order) });
      const now = await client.time();
      const amend = (seconds: number, changes: object = {}) =>
        client.amend({ ...known, expiry: now + seconds, ...changes }, { price: '2100' });
      const refusal = { code: 'OPERATOR_MISMATCH', message: /order 3: expected it to leave the book by/ };
      await assert.rejects(amend(10_000), refusal);
      await assert.rejects(
        client.amend({ ...known, expiry: now + 101 }, { price: '2100', expiryMax: now + 100 }),
        refusal,
      );
      assert.equal(kept.length, 0);
      await amend(1_800);
      await client.amend({ ...known, expiry: now + 10_000 }, { price: '2100', expiryMax: now + 10_000 });
      await client.amend({ ...known, expiry: now + 10_000 }, { quantity: '0.08' });
      assert.equal(kept.length, 2);
      // What this client signed for longer may be amended for as long.
      await client.place({ ...WISH, clientOrderId: 'long', signFor: 10_000 });
      await amend(10_000, { clientOrderId: 'long' });
      await assert.rejects(amend(10_100, { clientOrderId: 'long' }), refusal);
      await assert.rejects(amend(10_000), refusal);
    });

    it('finds out whether a change whose reply was lost was made', async () => {
      const refused = { status: 409, json: { code: 'ORDER_REFUSED', message: '', reason: 'orderRepeated' } };
      const client = await enclave.connect();
      let count = 0;
      enclave.tamper = (answer, { method }) => (method === 'PATCH' && count++ === 0 ? undefined : answer);
      enclave.replies.set(`PATCH ${path}`, () => refused);
      enclave.replies.set(`GET ${path}`, () => ({ json: { ...known, price: 210_000 } }));
      assert.equal((await client.amend(known, { price: '2100' })).order.price, 210_000);
      count = 0;
      await assert.rejects(client.amend(known, { price: '2200' }), { code: 'ORDER_REFUSED' }, 'it was not made');

      count = 0;
      enclave.tamper = (answer, { method }) => (method === 'DELETE' && count++ === 0 ? undefined : answer);
      enclave.replies.set(`GET ${path}`, () => ({ json: { ...known, status: 'cancelled', open: 0 } }));
      assert.equal((await client.cancel(3)).status, 'cancelled');
      await assert.rejects(client.cancel(3), { code: 'ORDER_UNKNOWN' }, 'refused at once: it was not open before');
    });

    it('withdraws for no more than the bound of the fee', async () => {
      const withdrawals: WireWithdrawal[] = [];
      enclave.replies.set(`POST ${API}/withdrawals`, (body) => {
        const wire = JSON.parse(body) as WireWithdrawal;
        withdrawals.push(wire);
        const { clientOrderId, order } = wire;
        const record = { id: 1, clientOrderId, asset: order.sellAsset, amount: order.sellMax, fee: '1000000000000000' };
        return {
          status: 201,
          json: { withdrawal: { ...record, time: 1, status: 'waiting', settlement: 0 }, head: HEAD },
        };
      });
      const client = await enclave.connect({ payee: 77n });
      const { amount, fee } = await client.withdraw({ asset: 'ETH', amount: '0.5' });
      assert.deepEqual([amount, fee], [5n * 10n ** 17n, 10n ** 15n]);
      const { order } = decodeSigned(withdrawals[0] as WireWithdrawal);
      assert.deepEqual(
        [order.sellAsset, order.buyAsset, order.sellMax - order.buyMin, order.payTo, order.relockExpiry],
        [NATIVE_ASSET, NATIVE_ASSET, 10n ** 15n, 77n, 0n],
      );
      await assert.rejects(client.withdraw({ asset: 'ETH', amount: '0.05' }), { code: 'OPERATOR_REFUSED' });
      await client.withdraw({ asset: 'ETH', amount: '0.05', feeMax: '0.001' });
      await assert.rejects(client.withdraw({ asset: 'ETH', amount: '0.001', feeMax: '1' }), {
        code: 'OPERATOR_REFUSED',
      });
      await assert.rejects(client.withdraw({ asset: 'NONE', amount: '1' }), { code: 'ASSET_INVALID' });
      assert.equal(withdrawals.length, 2);
    });
  });

  it('sends no request before it must: looking opens no session', async () => {
    const client = await TradingClient.look(enclave.options({ tokens: TOKENS }));
    assert.equal((await client.market('eth-dusd')).pair, 'ETH-DUSD');
    assert.equal(enclave.sessions.size, 0);
  });
});
