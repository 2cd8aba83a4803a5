import assert from 'node:assert/strict';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder, withdrawalLimit, type NewOrder } from '@bitcloak/trading/orders';
import {
  FRAME_BYTES,
  packReply,
  REPLY_BYTES,
  SEALED_ALIVE_BYTES,
  SEALED_HELLO_BYTES,
  SEALED_REQUEST_BYTES,
  TAG_BYTES,
} from '@bitcloak/trading/sealing';
import { decodeOrderReply, encodeSigned } from '@bitcloak/trading/wire';
import { bodyOf } from '../../enclave/api/errors.ts';
import { REFUSAL_REASONS, refusalFor } from '../../enclave/api/refusal.ts';
import { ApiBench, jsonOf, type Reply, type TestSession } from '../support/api.ts';
import type { Trader } from '../support/settlement.ts';

// Whoever sees the bytes of a session, as the host does, sees no more than that something was asked and answered.

describe('what a session shows on the wire', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  let ofAlice: TestSession;
  let ofBob: TestSession;
  /** What came of everything that was asked: what it was, and the status and reason under the seal. */
  const outcomes = new Map<string, Reply>();
  before(async () => {
    bench = await ApiBench.open('api sizes');
    alice = await bench.trader(100_000n, 100_000n);
    bob = await bench.trader(100_000n, 100_000n);
    [ofAlice, ofBob] = [await bench.session(alice), await bench.session(bob)];
    for (const session of [ofAlice, ofBob]) session.wire = [];
  });
  after(() => bench.close());

  const note = (what: string, reply: Reply) => {
    assert.equal(reply.isAuthentic, true, what);
    assert.ok(!outcomes.has(what), what);
    outcomes.set(what, reply);
    return reply;
  };
  const placed = async (what: string, trader: Trader, order: NewOrder) =>
    note(what, await (trader === alice ? ofAlice : ofBob).place(order));
  const idOf = (reply: Reply) => decodeOrderReply(jsonOf(reply)).order.id;
  const refusedFor = async (reason: string, order: NewOrder) => {
    const reply = await placed(`refused: ${reason}`, alice, order);
    assert.deepEqual([reply.status >= 400, jsonOf(reply)['reason']], [true, reason], reply.text);
  };

  it('is the same for every kind of order, and whatever becomes of it', async () => {
    const sell = (price: number, lots: number, changes: Partial<NewOrder> = {}) =>
      bench.order(alice, 'sell', price, lots, changes);
    const { time } = bench.enclave.machine.state;

    // Taken and left open, of every kind, with the shortest and the longest of names.
    const plain = await sell(40, 10, { clientOrderId: 'a' });
    const open = await placed('open', alice, plain);
    assert.equal(open.status, 201);
    const kinds: Record<string, Partial<NewOrder>> = {
      'longest name': { clientOrderId: 'x'.repeat(36) },
      iceberg: { display: 2 },
      'post-only': { postOnly: true },
      'with a minimum': { minimumMatch: 3 },
      pegged: { type: 'pegged' },
      dated: { timeInForce: 'gtd', expiry: time + 900 },
      'of another rule': { selfTrade: 'decrement' },
      everything: { display: 2, postOnly: true, minimumMatch: 1, clientOrderId: 'y'.repeat(36) },
    };
    for (const [name, changes] of Object.entries(kinds)) {
      const reply = await placed(name, alice, await sell(40, 10, changes));
      assert.equal(reply.status, 201, `${name}: ${reply.text}`);
    }
    for (const [name, changes] of Object.entries({
      'nothing to take': { timeInForce: 'ioc' },
      'not all of it': { timeInForce: 'fok' },
      'at the market': { type: 'market', timeInForce: 'ioc' },
      'less than its minimum': { minimumTotal: 5 },
    } as const)) {
      const reply = await placed(name, alice, await sell(40, 10, changes));
      assert.equal(jsonOf<{ order: { status: string } }>(reply).order.status, 'cancelled', name);
    }
    assert.equal((await placed('repeated', alice, plain)).status, 200);

    // Filled: in part and whole, as maker and taker, in one match and in several.
    const resting = idOf(await placed('to be taken', alice, await sell(20, 50)));
    const part = await placed('filled in part', bob, await bench.order(bob, 'buy', 20, 60, { timeInForce: 'ioc' }));
    assert.equal(jsonOf<{ fills: [] }>(part).fills.length, 1);
    for (let price = 20; price < 28; price++) {
      await placed(`level ${price}`, bob, await bench.order(bob, 'buy', price - 10, 1));
    }
    const swept = await placed('filled in several matches', alice, await sell(10, 8));
    assert.deepEqual(
      [jsonOf<{ fills: [] }>(swept).fills.length, jsonOf<{ order: { status: string } }>(swept).order.status],
      [8, 'filled'],
    );

    // Refused, for every reason that one order can give rise to.
    const { order, signature } = await sell(20, 10);
    const { operatorId, expiry, payTo, relockExpiry } = order;
    const destination = { operatorId, expiry, payTo, relockExpiry };
    const signedFor = (changes: Partial<typeof destination>) =>
      signOrder(alice.key, limitOf(bench.terms, 'sell', 20, 10), { ...destination, ...changes });
    const again = (changes: Partial<NewOrder>) => sell(20, 10, changes);
    const far = BigInt(time + 60 * 86_400);
    await refusedFor('marketUnknown', await again({ market: 2 }));
    await refusedFor('orderNotCovered', await again({ lots: 11 }));
    await refusedFor('displayInvalid', await again({ display: 11 }));
    await refusedFor('minimumInvalid', await again({ minimumMatch: 11 }));
    await refusedFor('combinationInvalid', await again({ type: 'market' }));
    await refusedFor('expiryInvalid', await again({ timeInForce: 'gtd', expiry: time }));
    await refusedFor('orderTooShort', await again({ timeInForce: 'gtd', expiry: time + 80_000 }));
    await refusedFor('orderTooLong', await again(signedFor({ expiry: far })));
    await refusedFor('relockInvalid', await again(signedFor({ relockExpiry: 1n })));
    await refusedFor('operatorUnknown', await again(signedFor({ operatorId: 1n })));
    await refusedFor('fundsInsufficient', await sell(20, 10_001));
    await refusedFor('signatureInvalid', await again({ signature: { ...signature, s: signature.s + 1n } }));
    await refusedFor('orderRepeated', { ...plain, clientOrderId: 'another' });
    await refusedFor('clientOrderIdTaken', await again({ clientOrderId: 'a' }));
    await refusedFor('ownerUnknown', await bench.order(bob, 'sell', 20, 10));
    await placed('a bid', bob, await bench.order(bob, 'buy', 15, 1));
    await refusedFor('wouldTrade', await sell(15, 1, { postOnly: true }));
    await refusedFor('priceInvalid', await sell(1_000_001, 1));

    // Changed, taken back, withdrawn, and asked for.
    const call = async (what: string, method: string, path: string, body?: object) =>
      note(what, await ofAlice.call(method, path, body));
    const id = idOf(open);
    await call('made smaller', 'PATCH', `/orders/${id}`, { price: 40, lots: 5 });
    await call('not made larger', 'PATCH', `/orders/${id}`, { price: 41, lots: 20 });
    const dearer = encodeSigned(await sell(41, 20));
    assert.equal((await call('amended', 'PATCH', `/orders/${id}`, { price: 41, lots: 20, ...dearer })).status, 200);
    await call('of nobody', 'PATCH', '/orders/999999', { price: 1, lots: 1 });
    await call('looked at', 'GET', `/orders/${id}`);
    await call('of nobody, looked at', 'GET', '/orders/999999');
    await call('cancelled', 'DELETE', `/orders/${id}`);
    await call('cancelled again', 'DELETE', `/orders/${id}`);
    await call('filled, cancelled', 'DELETE', `/orders/${resting}`);
    await call('all cancelled', 'DELETE', '/orders');
    await call('none cancelled', 'DELETE', '/orders?market=1');
    const withdrawal = (amount: bigint, fee: bigint) =>
      encodeSigned(signOrder(alice.key, withdrawalLimit(NATIVE_ASSET, amount, fee), destination));
    const wanted = { clientOrderId: 'out', ...withdrawal(500n, 3n) };
    assert.equal((await call('withdrawn', 'POST', '/withdrawals', wanted)).status, 201);
    assert.equal((await call('withdrawn again', 'POST', '/withdrawals', wanted)).status, 200);
    await call('too cheap', 'POST', '/withdrawals', { clientOrderId: 'cheap', ...withdrawal(500n, 2n) });
    await call('too much', 'POST', '/withdrawals', { clientOrderId: 'much', ...withdrawal(10n ** 20n, 3n) });
    await call('balances', 'GET', '/balances');
    await call('withdrawals', 'GET', '/withdrawals');
    await call('no open orders', 'GET', '/orders');
    await call('own book', 'GET', '/orderbook/ETH-TEST');
    await call('no such book', 'GET', '/orderbook/NO-SUCH');
    await call('dead man', 'POST', '/deadman', { seconds: 3_600 });
    await call('no dead man', 'POST', '/deadman', { seconds: 0 });
    await call('journal', 'GET', `/journal/${jsonOf(open)['head'] as string}`);
    await call('not in the journal', 'GET', `/journal/${'0'.repeat(64)}`);
    await call('nonsense', 'POST', '/orders', { nonsense: 'x'.repeat(1_500) });
    await call('nowhere', 'GET', '/nowhere');

    const reasons = new Set([...outcomes.values()].map((reply) => jsonOf(reply)['reason']));
    const statuses = new Set([...outcomes.values()].map(({ status }) => status));
    assert.ok(outcomes.size > 65 && reasons.size > 17, `${outcomes.size} outcomes, ${reasons.size} reasons`);
    assert.deepEqual([...statuses].sort(), [200, 201, 400, 403, 404, 409, 422]);
    const texts = new Set([...outcomes.values()].map(({ text }) => text.length));
    assert.ok(texts.size > 25, 'they have lengths of their own under the seal');

    const wire = [...(ofAlice.wire ?? []), ...(ofBob.wire ?? [])];
    assert.equal(wire.length, outcomes.size);
    const shown = wire.map(({ request, reply }) => {
      const { date: _date, ...headers } = reply.headers;
      return JSON.stringify([request.length, reply.status, reply.bytes.length, headers]);
    });
    assert.deepEqual(
      [...new Set(shown)].map((text) => (JSON.parse(text) as unknown[]).slice(0, 3)),
      [[SEALED_REQUEST_BYTES, 200, REPLY_BYTES + TAG_BYTES]],
    );
    // And bytes of which none stands still but the session's name.
    const names = new Set([ofAlice, ofBob].map(({ sealed }) => Buffer.from(sealed.id).toString('hex')));
    const heads = new Set(wire.map(({ request }) => Buffer.from(request.subarray(0, 16)).toString('hex')));
    assert.deepEqual(heads, names);
    const contents = wire.flatMap(({ request, reply }) => [Buffer.from(request.subarray(20)), reply.bytes]);
    for (const word of [
      'orders',
      'POST',
      'clientOrderId',
      'ORDER_REFUSED',
      'ETH-TEST',
      alice.key.keys.owner.toString(),
    ]) {
      assert.ok(
        contents.every((bytes) => !bytes.includes(word)),
        word,
      );
    }
  });

  it('is the same for whatever else may be refused', () => {
    assert.ok(REFUSAL_REASONS.length > 30);
    for (const reason of REFUSAL_REASONS) {
      const refusal = JSON.stringify(bodyOf(refusalFor(reason)));
      assert.equal(packReply(422, Buffer.from(refusal)).length, REPLY_BYTES, reason);
    }
  });

  it('is the same for every report of a stream, and for everything that a client says on one', async () => {
    const { records } = bench.enclave.machine.state;
    const owner = alice.key.keys.owner;
    const stream = await ofAlice.stream({ after: records.sequence(owner) });
    const first = idOf(
      await ofAlice.place(await bench.order(alice, 'sell', 40, 10, { clientOrderId: 'z'.repeat(36) })),
    );
    await ofAlice.call('PATCH', `/orders/${first}`, { price: 40, lots: 9 });
    await ofAlice.place(await bench.order(alice, 'sell', 20, 5));
    await ofBob.place(await bench.order(bob, 'buy', 20, 9));
    await ofAlice.place(await bench.order(alice, 'sell', 20, 5));
    await ofAlice.place(await bench.order(alice, 'sell', 50, 5, { timeInForce: 'ioc' }));
    await ofAlice.call('DELETE', `/orders/${first}`);
    await bench.desk.locked(alice, NATIVE_ASSET, 7_777n, 2n, bench.encryptionKey.publicKey);
    await bench.enclave.operator.watch();
    const expiry = BigInt(bench.enclave.machine.state.time) + 80_000n;
    const destination = { operatorId: bench.desk.operatorId, payTo: owner, relockExpiry: 0n, expiry };
    const signed = signOrder(alice.key, withdrawalLimit(NATIVE_ASSET, 100n, 3n), destination);
    await ofAlice.call('POST', '/withdrawals', { clientOrderId: 'out-2', ...encodeSigned(signed) });
    const last = records.sequence(owner);
    await stream.until(({ reports }) => reports.at(-1)?.sequence === last);
    const kinds = new Set(stream.reports.map(({ kind }) => kind));
    assert.deepEqual([...kinds].sort(), ['accepted', 'amended', 'cancelled', 'credited', 'traded', 'withdrawing']);
    assert.deepEqual([...new Set(stream.frames.map(({ length }) => length))], [FRAME_BYTES + TAG_BYTES]);
    stream.close();

    const { sealed } = ofAlice;
    for (const request of [
      '{}',
      '{"cancelOnDisconnect":false}',
      `{"after":${Number.MAX_SAFE_INTEGER},"cancelOnDisconnect":true}`,
    ]) {
      assert.equal((await sealed.sealHello(++ofAlice.sequence, request)).length, SEALED_HELLO_BYTES);
    }
    assert.equal((await sealed.sealAlive(ofAlice.sequence, 0, '{"kind":"alive"}')).length, SEALED_ALIVE_BYTES);
  });

  it('grows by doubling where it is long', async () => {
    for (let count = 0; count < 40; count++) {
      assert.equal((await ofAlice.place(await bench.order(alice, 'sell', 900 + count, 1))).status, 201);
      const list = await ofAlice.call('GET', '/orders?limit=1000');
      const stream = await ofAlice.stream();
      await stream.until(({ bodies }) => bodies.length === 1);
      stream.close();
      for (const [length, least] of [
        [list.bytes.length, REPLY_BYTES],
        [stream.frames[0]?.length ?? 0, FRAME_BYTES],
      ] as const) {
        assert.ok(Number.isInteger(Math.log2((length - TAG_BYTES) / least)), `${length} bytes`);
      }
    }
  });
});
