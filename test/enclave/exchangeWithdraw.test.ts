import assert from 'node:assert/strict';
import type { Order } from '@bitcloak/notes/order';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import {
  ALICE,
  assertConsistent,
  BOB,
  COIN,
  COIN_FEE,
  DOLLAR,
  EXCHANGE_RULES,
  kinds,
  LATER,
  NOW,
  Pit,
  refusal,
  SETTLE_SECONDS,
} from '../support/exchange.ts';

function opened(): Pit {
  const pit = new Pit();
  pit.credit(ALICE, COIN, 20_000n);
  pit.credit(BOB, DOLLAR, 100_000n);
  return pit;
}

describe('a withdrawal', () => {
  it('leaves the engine for its amount less the fee, by one fill', () => {
    const pit = opened();
    const wish = pit.withdrawal(ALICE, COIN, 8_000n, COIN_FEE);
    assert.deepEqual(pit.apply({ kind: 'withdraw', ...wish }), [{ kind: 'withdrawing', number: 1 }]);
    assert.equal(pit.exchange.available(ALICE, COIN), 12_000n);
    assert.deepEqual(pit.exchange.records.withdrawals(ALICE), [
      {
        id: 1,
        clientOrderId: wish.clientOrderId,
        asset: COIN,
        amount: 8_000n,
        fee: COIN_FEE,
        time: NOW,
        status: 'waiting',
        settlement: 0,
      },
    ]);
    assertConsistent(pit.exchange);
    const batch = pit.plan();
    assert.deepEqual(
      batch?.fills.map(({ order, sold, bought, k }) => [order, sold, bought, k]),
      [[wish.order, 8_000n, 7_993n, 0n]],
    );
    pit.land();
    const [record] = pit.exchange.records.withdrawals(ALICE);
    assert.deepEqual([record?.status, record?.settlement], ['settled', batch.sequence]);
    assert.equal(pit.exchange.available(ALICE, COIN), 12_000n);
    assert.deepEqual(pit.exchange.save().tickets, []);
  });

  it('gets all that is beyond the fee, however little its owner asked for', () => {
    const pit = opened();
    pit.withdraw(ALICE, COIN, 8_000n, COIN_FEE, { buyMin: 1n });
    assert.equal(pit.plan()?.fills[0]?.bought, 7_993n);
  });

  it('costs nothing where no fee is set for its asset', () => {
    const pit = opened();
    assert.deepEqual(kinds(pit.withdraw(BOB, DOLLAR, 100_000n, 0n)), ['withdrawing']);
    assert.equal(pit.plan()?.fills[0]?.bought, 100_000n);
  });

  it('takes everything there is, in two notes, and not a unit more', () => {
    const pit = opened();
    pit.credit(ALICE, COIN, 5_000n);
    const more = pit.withdrawal(ALICE, COIN, 25_001n, COIN_FEE);
    assert.equal(pit.refused({ kind: 'withdraw', ...more }), 'fundsInsufficient');
    pit.withdraw(ALICE, COIN, 25_000n, COIN_FEE);
    assert.equal(pit.plan()?.fills[0]?.leaves.length, 2);
    pit.land();
    assert.deepEqual(
      pit.exchange.notes().filter(({ owner }) => owner === ALICE),
      [],
    );
    assert.deepEqual(pit.exchange.balances(ALICE), []);
  });

  it('merges two notes into one that is locked again, with which a third can then be used', () => {
    const pit = new Pit();
    for (const value of [5_000n, 4_000n, 3_000n]) pit.credit(ALICE, COIN, value);
    const lock = { payTo: ALICE, relockExpiry: BigInt(LATER + 50_000) };
    pit.withdraw(ALICE, COIN, 9_000n, COIN_FEE, lock);
    pit.settleAll();
    assert.deepEqual(
      pit.exchange.notes().map(({ value, expiry, inserted }) => [value, expiry, inserted]),
      [
        [3_000n, LATER, true],
        [8_993n, LATER + 50_000, true],
      ],
    );
    assert.equal(pit.exchange.available(ALICE, COIN), 11_993n);
  });

  it('extends a lock', () => {
    const pit = opened();
    const until = NOW + EXCHANGE_RULES.lockSecondsMax;
    const tooLong = pit.withdrawal(ALICE, COIN, 20_000n, COIN_FEE, { payTo: ALICE, relockExpiry: BigInt(until + 1) });
    assert.equal(pit.refused({ kind: 'withdraw', ...tooLong }), 'relockInvalid');
    pit.withdraw(ALICE, COIN, 20_000n, COIN_FEE, { payTo: ALICE, relockExpiry: BigInt(until) });
    pit.settleAll();
    const [note] = pit.exchange.notes().filter(({ owner }) => owner === ALICE);
    assert.deepEqual([note?.value, note?.expiry], [19_993n, until]);
    assertConsistent(pit.exchange);
  });

  const wrong: Readonly<Record<string, [reason: string, amount: bigint, changes: Partial<Order>]>> = {
    'that leaves no fee': ['orderNotCovered', 8_000n, { buyMin: 8_000n - COIN_FEE + 1n }],
    'of no more than the fee': ['withdrawalInvalid', COIN_FEE, {}],
    'of nothing': ['withdrawalInvalid', 0n, { buyMin: 0n }],
    'that buys something else': ['withdrawalInvalid', 8_000n, { buyAsset: DOLLAR }],
    'for another operator': ['operatorUnknown', 8_000n, { operatorId: 1n }],
    'that ends too soon': ['orderTooShort', 8_000n, { expiry: BigInt(NOW + SETTLE_SECONDS) }],
    'that ends too late': ['orderTooLong', 8_000n, { expiry: BigInt(NOW + EXCHANGE_RULES.orderSecondsMax + 1) }],
    'of another’s notes': ['fundsInsufficient', 8_000n, { owner: BOB }],
    'of more than there is': ['fundsInsufficient', 20_001n, {}],
    'that pays another what is locked again': ['orderInvalid', 8_000n, { relockExpiry: BigInt(LATER) }],
  };
  for (const [title, [reason, amount, changes]] of Object.entries(wrong)) {
    it(`${title} is refused`, () => {
      const pit = opened();
      const wish = pit.withdrawal(ALICE, COIN, amount, COIN_FEE, changes);
      assert.equal(pit.refused({ kind: 'withdraw', ...wish }), reason);
    });
  }

  it('of what an order holds is refused, and an order of what it takes', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 15);
    assert.equal(refusal(pit.withdraw(ALICE, COIN, 5_001n, COIN_FEE)), 'fundsInsufficient');
    assert.deepEqual(kinds(pit.withdraw(ALICE, COIN, 5_000n, COIN_FEE)), ['withdrawing']);
    assert.equal(refusal(pit.order(ALICE, 'sell', 100, 1)), 'fundsInsufficient');
  });

  it('has its effect once, however often it comes', () => {
    const pit = opened();
    const wish = pit.withdrawal(ALICE, COIN, 8_000n, COIN_FEE);
    pit.apply({ kind: 'withdraw', ...wish });
    const check = () => {
      const before = pit.exchange.hash();
      assert.deepEqual(pit.apply({ kind: 'withdraw', ...wish }), [{ kind: 'repeated', number: 1 }]);
      assert.equal(pit.exchange.hash(), before);
      assert.equal(pit.refused({ kind: 'withdraw', ...wish, clientOrderId: 'another' }), 'orderRepeated');
      const other = { ...pit.withdrawal(ALICE, COIN, 8_000n, COIN_FEE), clientOrderId: wish.clientOrderId };
      assert.equal(pit.refused({ kind: 'withdraw', ...other }), 'clientOrderIdTaken');
    };
    check();
    pit.settleAll();
    check();
    pit.restart();
    check();
  });

  it('is in one batch with trades', () => {
    const pit = opened();
    pit.credit(ALICE, COIN, 9_000n);
    pit.order(ALICE, 'sell', 100, 9);
    pit.order(BOB, 'buy', 100, 9);
    pit.withdraw(ALICE, COIN, 18_000n, COIN_FEE);
    const batch = pit.plan();
    assert.deepEqual(
      batch?.fills.map(({ sold, bought }) => [sold, bought]),
      [
        [9_000n, 2_698n],
        [2_706n, 9_000n],
        [18_000n, 17_993n],
      ],
    );
    pit.land();
    assert.deepEqual(pit.reports.get(ALICE)?.at(-1), {
      sequence: 6,
      time: NOW,
      kind: 'settled',
      settlement: 1,
      fills: [1],
      withdrawals: [1],
    });
  });

  it('that nobody can settle any more is given back', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n, { inserted: false });
    const end = NOW + SETTLE_SECONDS + 10;
    pit.withdraw(ALICE, COIN, 8_000n, COIN_FEE, { expiry: BigInt(end) });
    pit.at(end - BATCH_SECONDS);
    assert.equal(pit.plan(), undefined);
    assert.equal(pit.exchange.records.withdrawal(ALICE, 1)?.status, 'waiting');
    pit.at(end - BATCH_SECONDS + 1);
    assert.equal(pit.plan(), undefined);
    assert.equal(pit.exchange.records.withdrawal(ALICE, 1)?.status, 'busted', 'no later batch can have it either');
    assert.equal(pit.reports.get(ALICE)?.at(-1)?.kind, 'withdrawalBusted');
    assert.equal(pit.exchange.available(ALICE, COIN), 20_000n);
    assert.deepEqual(pit.exchange.save().tickets, []);
  });

  it('that its owner took back on the chain is void', () => {
    const pit = opened();
    pit.withdraw(ALICE, COIN, 8_000n, COIN_FEE);
    const [fill] = pit.plan()?.fills ?? [];
    assert.deepEqual(kinds(pit.void([fill?.ticket ?? 0])), ['busted']);
    assert.equal(pit.exchange.batch, undefined);
    assert.equal(pit.exchange.available(ALICE, COIN), 20_000n);
    assertConsistent(pit.exchange);
  });

  it('is not among the orders of a book', () => {
    const pit = opened();
    pit.withdraw(ALICE, COIN, 8_000n, COIN_FEE);
    assert.deepEqual(pit.exchange.records.orders(ALICE), []);
    assert.deepEqual(pit.apply({ kind: 'cancelAll', owner: ALICE }), []);
    assert.equal(pit.refused({ kind: 'cancel', owner: ALICE, order: 1 }), 'orderUnknown');
    assert.deepEqual(pit.retire([1]), [], 'nothing of it is in a book');
    assert.equal(pit.exchange.waiting, 1);
  });
});
