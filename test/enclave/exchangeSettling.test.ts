import assert from 'node:assert/strict';
import type { Match } from '../../enclave/exchange/commands.ts';
import { POST_ONLY_REFUSALS_PER_HOUR } from '../../enclave/exchange/exchange.ts';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { inTurn } from '../../enclave/exchange/settling.ts';
import {
  ALICE,
  assertConsistent,
  BOB,
  CAROL,
  COIN,
  DAVE,
  DOLLAR,
  EURO,
  EXCHANGE_RULES,
  kinds,
  LATER,
  NOW,
  Pit,
  refusal,
  SETTLE_SECONDS,
} from '../support/exchange.ts';

/** Alice and Carol sell, Bob and Dave buy. */
function opened(rules: Partial<typeof EXCHANGE_RULES> = {}): Pit {
  const pit = new Pit();
  pit.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, ...rules } });
  for (const owner of [ALICE, CAROL]) pit.credit(owner, COIN, 100_000n);
  for (const owner of [BOB, DAVE]) pit.credit(owner, DOLLAR, 1_000_000n);
  return pit;
}

describe('what is settled next', () => {
  const trade = (id: number): Match => ({ id, kind: 'trade', legs: [] });
  const withdrawal = (id: number, owner: bigint): Match => {
    return { id, kind: 'withdrawal', legs: [{ ticket: id, owner, record: 1, sold: 1n, bought: 1n }] };
  };
  const ids = (matches: readonly Match[]) => matches.map(({ id }) => id);

  it('is what must be settled first, of trades, and one after another of each owner, of withdrawals', () => {
    const matches = [
      withdrawal(1, ALICE),
      withdrawal(2, ALICE),
      trade(3),
      withdrawal(4, ALICE),
      trade(5),
      withdrawal(6, BOB),
      trade(7),
    ];
    const until = new Map([
      [3, 90],
      [5, 80],
      [7, 80],
    ]);
    const order = (sequence: number) => ids(inTurn(matches, ({ id }) => until.get(id) ?? 0, sequence));
    for (const sequence of [1, 2, 3, 5]) assert.deepEqual(order(sequence), [5, 7, 3, 1, 6, 2, 4]);
    assert.deepEqual(order(4), [1, 6, 2, 4, 5, 7, 3], 'every fourth settlement has withdrawals first');
  });

  it('has no room taken by assets of which nothing is left over', () => {
    const pit = opened();
    for (let asset = 900n; asset < 910n; asset++) {
      pit.credit(DAVE, asset, 10n);
      assert.deepEqual(kinds(pit.withdraw(DAVE, asset, 10n, 0n)), ['withdrawing']);
    }
    pit.order(ALICE, 'sell', 100, 5);
    pit.order(BOB, 'buy', 100, 5);
    assert.equal(pit.plan()?.fills.length, 12);
  });

  it("is not kept waiting by withdrawals, another owner's or those of its own from the same note", () => {
    for (const [owner, count] of [
      [CAROL, 6],
      [ALICE, 3],
    ] as const) {
      const pit = opened({ fills: 2 });
      for (let asked = 0; asked < count; asked++) pit.withdraw(owner, COIN, 1_000n, 7n);
      pit.order(ALICE, 'sell', 100, 5, {}, { expiry: BigInt(NOW + SETTLE_SECONDS + 1) });
      pit.order(BOB, 'buy', 100, 5);
      const owners = pit.plan()?.fills.map(({ order }) => order.owner);
      assert.deepEqual(owners?.sort(), [ALICE, BOB]);
    }
  });
});

describe('what may wait to be settled', () => {
  // Two settlements of two fills come in the time that a match has.
  const narrow = { settleSeconds: BATCH_SECONDS + 120, roundSeconds: 60, fills: 2, ordersMax: 2 };

  it('is as much of one owner and asset as can be settled one after another', () => {
    const pit = opened();
    const rules = (change: object) => ({ kind: 'configure', rules: { ...EXCHANGE_RULES, ...change } }) as const;
    assert.equal(pit.refused(rules({ ...narrow, ordersMax: 3 })), 'rulesInvalid');
    for (const fills of [1, 17, 2.5]) assert.equal(pit.refused(rules({ fills })), 'rulesInvalid');
    assert.equal(pit.refused(rules({ roundSeconds: 0 })), 'rulesInvalid');
    assert.deepEqual(pit.apply(rules(narrow)), []);
    for (const price of [101, 102]) assert.deepEqual(kinds(pit.order(ALICE, 'sell', price, 1)), ['accepted']);
    assert.equal(refusal(pit.order(ALICE, 'sell', 103, 1)), 'ordersTooMany');
  });

  it('is as much as the settlements in that time can have, of trades and of withdrawals', () => {
    const pit = opened(narrow);
    for (const [seller, buyer] of [
      [ALICE, BOB],
      [CAROL, DAVE],
    ] as const) {
      pit.order(seller, 'sell', 100, 5);
      pit.order(buyer, 'buy', 100, 5);
    }
    const busy = pit.request(BOB, 'buy', 90, 1);
    assert.equal(pit.refused({ kind: 'order', ...busy }), 'settlementBusy');
    assert.deepEqual(kinds(pit.withdraw(ALICE, COIN, 1_000n, 7n)), ['withdrawing'], 'which waits apart');
    pit.credit(ALICE, EURO, 100n);
    for (const owner of [ALICE, CAROL])
      pit.withdraw(owner, owner === ALICE ? EURO : COIN, 100n, owner === ALICE ? 0n : 7n);
    pit.withdraw(BOB, DOLLAR, 100n, 0n);
    assert.equal(refusal(pit.withdraw(DAVE, DOLLAR, 100n, 0n)), 'settlementBusy');
    assert.ok(pit.plan() !== undefined);
    pit.land();
    pit.insertAll();
    assert.deepEqual(kinds(pit.submit(busy)), ['accepted'], 'it was not used up');
    assertConsistent(pit.exchange);
  });

  it('lands in time, all of it, where settlements come as the rules say', () => {
    const pit = opened({ settleSeconds: BATCH_SECONDS + 600, roundSeconds: 60, fills: 4, ordersMax: 10 });
    const expiry = BigInt(NOW + BATCH_SECONDS + 601);
    for (let lots = 1; lots <= 5; lots++) {
      for (const owner of [ALICE, CAROL]) pit.order(owner, 'sell', 100, lots, {}, { expiry });
      for (const owner of [BOB, DAVE]) pit.order(owner, 'buy', 100, lots, {}, { expiry });
      pit.withdraw(ALICE, COIN, 100n, 7n, { expiry });
    }
    for (let round = 0; round < 10; round++) {
      if (pit.plan() !== undefined) pit.land();
      pit.insertAll();
      pit.at(pit.time + 60);
    }
    const statuses = [ALICE, BOB, CAROL, DAVE].flatMap((owner) => [
      ...pit.exchange.records.fills(owner).map(({ status }) => status),
      ...pit.exchange.records.withdrawals(owner).map(({ status }) => status),
    ]);
    assert.deepEqual(new Set(statuses), new Set(['settled']));
  });
});

describe('a signed order that its owner takes back on the chain', () => {
  it('is settled while it counts, and given up when no settlement can have it any more', () => {
    for (const seconds of [BATCH_SECONDS + 61, BATCH_SECONDS]) {
      const pit = opened();
      pit.order(ALICE, 'sell', 100, 5);
      pit.order(BOB, 'buy', 100, 5);
      pit.order(CAROL, 'sell', 100, 5);
      pit.order(DAVE, 'buy', 100, 5);
      pit.retire([1], seconds);
      pit.restart();
      const owners = pit.plan()?.fills.map(({ order }) => order.owner);
      assert.equal(owners?.includes(ALICE), seconds > BATCH_SECONDS);
      assert.ok(owners.includes(CAROL), 'others do not wait for it');
      const fill = pit.exchange.records.fill(ALICE, 1);
      assert.equal(fill?.status, seconds > BATCH_SECONDS ? 'waiting' : 'busted');
      assertConsistent(pit.exchange);
    }
  });
});

describe('a batch', () => {
  it('is known by its sequence, and remembers what it was signed with', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 5);
    pit.order(BOB, 'buy', 100, 5);
    const { sequence = 0 } = pit.plan() ?? {};
    for (const kind of ['settled', 'failed'] as const) pit.refused({ kind, sequence: sequence + 1 });
    pit.refused({ kind: 'void', sequence: sequence + 1, tickets: [1] });
    pit.refused({ kind: 'sign', sequence: sequence + 1, head: 5n });
    pit.apply({ kind: 'sign', sequence, head: 7n });
    pit.refused({ kind: 'sign', sequence, head: 8n });
    pit.restart();
    assert.equal(pit.exchange.batch?.head, 7n);
    assert.deepEqual(pit.exchange.anchors, [7n]);
    pit.fail();
    for (let head = 100n; head < 200n; head++) {
      pit.plan();
      pit.apply({ kind: 'sign', sequence, head });
      pit.fail();
    }
    assert.deepEqual([pit.exchange.anchors.length, pit.exchange.anchors.at(-1)], [64, 199n]);
  });
});

describe('a post-only order', () => {
  it('does not search a hidden book: after some refusals of an owner all are refused for the hour', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 777, 43);
    const passive = (owner: bigint, price: number) => pit.order(owner, 'buy', price, 1, { postOnly: true });
    for (let asked = 0; asked < POST_ONLY_REFUSALS_PER_HOUR; asked++) {
      assert.equal(refusal(passive(BOB, 1_000)), 'wouldTrade');
    }
    assert.equal(refusal(passive(BOB, 1_000)), 'postOnlyLimited');
    assert.equal(refusal(passive(BOB, 1)), 'postOnlyLimited', 'whatever it asks');
    pit.restart();
    assert.equal(refusal(passive(BOB, 1)), 'postOnlyLimited');
    assert.equal(refusal(passive(DAVE, 1_000)), 'wouldTrade', 'another owner');
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 1, 1)), ['accepted'], 'another order');
    pit.at(NOW + 3_600);
    assert.equal(refusal(passive(BOB, 1_000)), 'wouldTrade', 'another hour');
  });
});

describe('a withdrawal of very little', () => {
  it('is refused, unless it is all that there is', () => {
    const pit = opened({ noteMins: [[COIN, 500n]] });
    assert.equal(refusal(pit.withdraw(ALICE, COIN, 499n, 7n)), 'withdrawalInvalid');
    pit.credit(BOB, COIN, 499n);
    assert.deepEqual(kinds(pit.withdraw(BOB, COIN, 499n, 7n)), ['withdrawing']);
    assert.deepEqual(kinds(pit.withdraw(ALICE, COIN, 500n, 7n, { expiry: BigInt(LATER) })), ['withdrawing']);
  });
});

describe('a note', () => {
  it('is credited where its asset is traded', () => {
    const { exchange } = opened();
    assert.deepEqual(
      [COIN, DOLLAR, EURO, 900n].map((asset) => exchange.isCredited(asset, 10n ** 18n)),
      [true, true, exchange.markets().some(({ terms }) => terms.base === EURO), false],
    );
  });
});
