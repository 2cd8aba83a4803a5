import assert from 'node:assert/strict';
import type { Order } from '@bitcloak/notes/order';
import { AMOUNT_MAX, FIELD_MODULUS, TIME_MAX } from '@bitcloak/protocol/parameters';
import type { NewOrder } from '@bitcloak/trading/orders';
import { isProvable } from '../../enclave/exchange/admission.ts';
import {
  ALICE,
  assertConsistent,
  BOB,
  CAROL,
  COIN,
  DOLLAR,
  EXCHANGE_RULES,
  kinds,
  LATER,
  MARKET_RULES,
  NOW,
  OPERATOR_ID,
  Pit,
  refusal,
  SETTLE_SECONDS,
  TERMS,
  tradesIn,
} from '../support/exchange.ts';

/** Alice has coins for 20 lots. */
function opened(): Pit {
  const pit = new Pit();
  pit.credit(ALICE, COIN, 20_000n);
  pit.credit(BOB, DOLLAR, 1_000_000n);
  return pit;
}

describe('the exchange lets no order in', () => {
  type Case = [changes: Partial<NewOrder>, signed: Partial<Order>, reason: string];
  const cases: Readonly<Record<string, Case>> = {
    'of a market that is none': [{ market: 3 }, {}, 'marketUnknown'],
    'for another operator': [{}, { operatorId: 5n }, 'operatorUnknown'],
    'whose owner signed for part of a lot less': [{}, { sellMax: 19_999n }, 'orderNotCovered'],
    'whose owner signed for part of a lot more': [{}, { sellMax: 20_001n }, 'orderNotCovered'],
    'whose owner signed for a lot less': [{}, { sellMax: 19_000n }, 'orderNotCovered'],
    'whose owner signed for nothing': [{}, { sellMax: 0n }, 'orderNotCovered'],
    'whose owner wants one unit more for it': [{}, { buyMin: 5_986n }, 'orderNotCovered'],
    'whose owner sells something else': [{}, { sellAsset: 9n }, 'orderNotCovered'],
    'whose owner buys something else': [{}, { buyAsset: 9n }, 'orderNotCovered'],
    'of the other side': [{ side: 'buy' }, {}, 'orderNotCovered'],
    'at a worse price than was signed': [{ price: 99 }, {}, 'orderNotCovered'],
    'that ends too soon': [{}, { expiry: BigInt(NOW + SETTLE_SECONDS) }, 'orderTooShort'],
    'that ends before its owner wants it to': [
      { timeInForce: 'gtd', expiry: LATER - SETTLE_SECONDS + 1 },
      {},
      'orderTooShort',
    ],
    'that lives too long': [{}, { expiry: BigInt(NOW + EXCHANGE_RULES.orderSecondsMax + 1) }, 'orderTooLong'],
    'whose proceeds are locked until now': [{}, { relockExpiry: BigInt(NOW) }, 'relockInvalid'],
    'whose proceeds are locked for too long': [
      {},
      { relockExpiry: BigInt(NOW + EXCHANGE_RULES.lockSecondsMax + 1) },
      'relockInvalid',
    ],
    'of no lots': [{ lots: 0 }, {}, 'lotsInvalid'],
    'of half a lot': [{ lots: 0.5 }, {}, 'lotsInvalid'],
    'of less than no lots': [{ lots: -1 }, {}, 'lotsInvalid'],
    'of more lots than can be counted': [{ lots: 2 ** 53 }, {}, 'lotsInvalid'],
    'at no price': [{ price: 0 }, {}, 'lotsInvalid'],
    'at half a tick': [{ price: 100.5 }, {}, 'lotsInvalid'],
    'without an expiry that it needs': [{ timeInForce: 'gtd' }, {}, 'expiryInvalid'],
    'with an expiry that it does not need': [{ timeInForce: 'ioc', expiry: LATER - 9_000 }, {}, 'expiryInvalid'],
    'that is good until cancelled and has an expiry': [{ expiry: LATER - 9_000 }, {}, 'expiryInvalid'],
    'that shows more than it is': [{ display: 21 }, {}, 'displayInvalid'],
    'that wants more than it is': [{ timeInForce: 'ioc', minimumTotal: 21 }, {}, 'minimumInvalid'],
    'of the market that would rest': [{ type: 'market' }, {}, 'combinationInvalid'],
  };
  for (const [title, [changes, signed, reason]] of Object.entries(cases)) {
    it(title, () => {
      const pit = opened();
      const wish = { ...pit.request(ALICE, 'sell', 100, 20, {}, signed), ...changes };
      assert.equal(pit.refused({ kind: 'order', ...wish }), reason);
      assert.equal(pit.exchange.available(ALICE, COIN), 20_000n);
    });
  }

  const outOfRange: readonly [string, (order: Order) => Partial<Order>][] = [
    ...(['owner', 'payTo', 'salt'] as const).flatMap((name): [string, (order: Order) => Partial<Order>][] => [
      [`whose ${name} is negative`, () => ({ [name]: -1n })],
      [`whose ${name} is no field element`, () => ({ [name]: FIELD_MODULUS })],
      [`whose ${name} is that of another order plus the modulus`, (order) => ({ [name]: order[name] + FIELD_MODULUS })],
    ]),
    ...(['sellMax', 'buyMin'] as const).flatMap((name): [string, (order: Order) => Partial<Order>][] => [
      [`whose ${name} is negative`, () => ({ [name]: -1n })],
      [`whose ${name} has 121 bits`, () => ({ [name]: AMOUNT_MAX + 1n })],
    ]),
    ...(['sellAsset', 'buyAsset'] as const).flatMap((name): [string, (order: Order) => Partial<Order>][] => [
      [`whose ${name} is negative`, () => ({ [name]: -1n })],
      [`whose ${name} has 161 bits`, () => ({ [name]: 1n << 160n })],
    ]),
    ...(['expiry', 'relockExpiry'] as const).flatMap((name): [string, (order: Order) => Partial<Order>][] => [
      [`whose ${name} is negative`, () => ({ [name]: -1n })],
      [`whose ${name} has 41 bits`, () => ({ [name]: TIME_MAX + 1n })],
    ]),
    ['that locks again what it pays to another', () => ({ payTo: ALICE + 1n, relockExpiry: BigInt(LATER) })],
  ];
  for (const [title, change] of outOfRange) {
    it(title, () => {
      const pit = opened();
      const wish = pit.request(ALICE, 'sell', 100, 20);
      const order = { ...wish.order, ...change(wish.order) };
      assert.ok(!isProvable(order));
      assert.equal(pit.refused({ kind: 'order', ...wish, order }), 'orderInvalid');
      const { clientOrderId, signature } = wish;
      assert.equal(pit.refused({ kind: 'withdraw', clientOrderId, order, signature }), 'orderInvalid');
      pit.order(ALICE, 'sell', 100, 10);
      const amendment = { price: 100, lots: 20, order, signature };
      assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 1, amendment }), 'orderInvalid');
    });
  }

  it('that is out of no range, but takes one at every edge', () => {
    const order: Order = {
      owner: FIELD_MODULUS - 1n,
      operatorId: FIELD_MODULUS - 1n,
      sellAsset: (1n << 160n) - 1n,
      buyAsset: (1n << 160n) - 1n,
      sellMax: AMOUNT_MAX,
      buyMin: AMOUNT_MAX,
      expiry: TIME_MAX,
      payTo: FIELD_MODULUS - 1n,
      relockExpiry: TIME_MAX,
      salt: FIELD_MODULUS - 1n,
    };
    assert.ok(isProvable(order));
    assert.ok(isProvable({ ...order, payTo: 0n, relockExpiry: 0n }));
    const none = { sellAsset: 0n, buyAsset: 0n, sellMax: 0n, buyMin: 0n, expiry: 0n, payTo: 0n, relockExpiry: 0n };
    assert.ok(isProvable({ ...order, ...none, owner: 0n, salt: 0n }));
  });

  it('of more than its owner has, of which orders hold a part', () => {
    const pit = opened();
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 21) }), 'fundsInsufficient');
    assert.equal(pit.refused({ kind: 'order', ...pit.request(CAROL, 'sell', 100, 1) }), 'fundsInsufficient');
    assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 15)), ['accepted']);
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 6) }), 'fundsInsufficient');
    pit.apply({ kind: 'cancel', owner: ALICE, order: 1 });
    assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 20)), ['accepted']);
  });

  it('of one unit more than its owner has, however much more he signed for', () => {
    const pit = new Pit();
    const lots = 2 ** 40;
    const terms = { ...TERMS, market: 3, lotBase: 10n ** 9n, tickQuote: 1n };
    const rules = { market: 3, ...MARKET_RULES, lotsMax: lots };
    pit.apply({ kind: 'addMarket', terms, rules });
    pit.credit(ALICE, COIN, BigInt(lots) * terms.lotBase - 1n);
    // A number that a `number` only comes near to: the next one is 256 more.
    const signed = (1n << 61n) - 1n;
    const limit = { sellAsset: COIN, buyAsset: DOLLAR, sellMax: signed * terms.lotBase, buyMin: 0n };
    const wish = { ...pit.request(ALICE, 'sell', 1, lots, {}, limit), market: 3 };
    assert.equal(pit.refused({ kind: 'order', ...wish }), 'fundsInsufficient');
    pit.credit(ALICE, COIN, 1n);
    assert.deepEqual(kinds(pit.submit(wish)), ['accepted']);
    assert.equal(pit.exchange.available(ALICE, COIN), 0n);
    assertConsistent(pit.exchange);
  });

  it('with notes that are locked for less than twice the time that a settlement takes', () => {
    const pit = new Pit();
    const enough = NOW + 2 * SETTLE_SECONDS;
    pit.credit(ALICE, COIN, 20_000n, { expiry: enough - 1 });
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 1) }), 'fundsInsufficient');
    pit.credit(ALICE, COIN, 1_000n, { expiry: enough });
    assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 1)), ['accepted']);
  });

  it('while its market does not trade', () => {
    const pit = opened();
    pit.apply({ kind: 'setTrading', market: 1, trading: false });
    const wish = pit.request(ALICE, 'sell', 100, 20);
    assert.equal(pit.refused({ kind: 'order', ...wish }), 'tradingHalted');
    pit.apply({ kind: 'setTrading', market: 1, trading: true });
    assert.deepEqual(kinds(pit.submit(wish)), ['accepted'], 'what was refused was not used up');
  });
});

describe('a signed order', () => {
  it('has its effect once, however often it comes', () => {
    const pit = opened();
    const wish = pit.request(ALICE, 'sell', 100, 15);
    assert.deepEqual(pit.submit(wish), [{ kind: 'accepted', order: 1, number: 1 }]);
    const before = pit.exchange.hash();
    assert.deepEqual(pit.submit(wish), [{ kind: 'repeated', number: 1 }]);
    assert.deepEqual(pit.submit({ ...wish, lots: 3, price: 120 }), [{ kind: 'repeated', number: 1 }]);
    assert.equal(pit.exchange.hash(), before);
    assert.equal(pit.refused({ kind: 'order', ...wish, clientOrderId: 'another' }), 'orderRepeated');
  });

  it('does not come again after it was cancelled, filled, amended or settled, nor after a restart', () => {
    const pit = opened();
    const cancelled = pit.request(ALICE, 'sell', 100, 2);
    const filled = pit.request(ALICE, 'sell', 90, 2);
    const amended = pit.request(ALICE, 'sell', 101, 2);
    const killed = pit.request(ALICE, 'sell', 200, 2, { timeInForce: 'fok' });
    for (const wish of [cancelled, filled, amended, killed]) pit.submit(wish);
    pit.apply({ kind: 'cancel', owner: ALICE, order: 1 });
    pit.order(BOB, 'buy', 90, 2);
    const renewed = pit.signed(ALICE, 'sell', 95, 2);
    assert.deepEqual(kinds(pit.amend(ALICE, 3, { price: 95, lots: 2, ...renewed })), ['amended']);
    const check = () => {
      for (const [index, wish] of [cancelled, filled, amended, killed].entries()) {
        assert.equal(pit.refused({ kind: 'order', ...wish, clientOrderId: 'another' }), 'orderRepeated');
        const before = pit.exchange.hash();
        assert.deepEqual(pit.submit(wish), [{ kind: 'repeated', number: index + 1 }]);
        assert.equal(pit.exchange.hash(), before);
      }
      const { clientOrderId } = amended;
      assert.equal(pit.refused({ kind: 'order', ...cancelled, ...renewed, clientOrderId: 'other' }), 'orderRepeated');
      const other = { ...pit.request(ALICE, 'sell', 100, 1), clientOrderId };
      assert.equal(pit.refused({ kind: 'order', ...other }), 'clientOrderIdTaken');
    };
    check();
    pit.settleAll();
    check();
    pit.restart();
    check();
    assertConsistent(pit.exchange);
  });

  it('keeps its name for itself until it has expired, and only then both are forgotten', () => {
    const pit = opened();
    const hours = Math.ceil(LATER / 3_600) * 3_600;
    const late = { expiry: BigInt(hours + 10_000) };
    const wish = pit.request(ALICE, 'sell', 100, 2);
    pit.submit(wish);
    pit.apply({ kind: 'cancel', owner: ALICE, order: 1 });
    pit.credit(ALICE, COIN, 50_000n, { expiry: LATER + 100_000 });
    const named = () => ({ ...pit.request(ALICE, 'sell', 100, 1, {}, late), clientOrderId: wish.clientOrderId });
    for (const time of [NOW + 1, LATER - 1, LATER]) {
      pit.at(time);
      pit.restart();
      assert.deepEqual(kinds(pit.submit(wish)), ['repeated'], `at ${time}`);
      assert.equal(pit.refused({ kind: 'order', ...named() }), 'clientOrderIdTaken');
    }
    pit.at(hours + 3_600);
    assert.equal(pit.refused({ kind: 'order', ...wish }), 'orderTooShort', 'it is forgotten, and can do no harm');
    const { used, clientOrderIds } = pit.exchange.save().blotter[0]?.[1] ?? {};
    assert.deepEqual([used?.size, clientOrderIds?.size], [0, 0]);
    assert.deepEqual(kinds(pit.submit(named())), ['accepted']);
  });

  it('keeps its name as long as it is remembered under any of its signatures', () => {
    for (const [first, second] of [
      [LATER, LATER + 20_000],
      [LATER + 20_000, LATER],
    ] as const) {
      const pit = opened();
      pit.credit(ALICE, COIN, 50_000n, { expiry: LATER + 100_000 });
      const gtd = { timeInForce: 'gtd', expiry: NOW + 100 } as const;
      const wish = pit.request(ALICE, 'sell', 100, 2, gtd, { expiry: BigInt(first) });
      pit.submit(wish);
      const renewed = pit.signed(ALICE, 'sell', 101, 2, { expiry: BigInt(second) });
      assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 101, lots: 2, ...renewed })), ['amended']);
      const { clientOrderId } = wish;
      const named = () => {
        const expiry = BigInt(LATER + 60_000);
        return { ...pit.request(ALICE, 'sell', 100, 1, {}, { expiry }), clientOrderId };
      };
      pit.at(LATER + 7_200);
      assert.equal(pit.refused({ kind: 'order', ...named() }), 'clientOrderIdTaken');
      pit.at(LATER + 27_200);
      assert.deepEqual(kinds(pit.submit(named())), ['accepted']);
    }
  });

  it('of a withdrawal is no order of a market, and the reverse', () => {
    const pit = opened();
    const order = pit.request(ALICE, 'sell', 100, 2);
    const withdrawal = pit.withdrawal(ALICE, COIN, 1_000n, 7n);
    pit.submit(order);
    pit.apply({ kind: 'withdraw', ...withdrawal });
    for (const clientOrderId of [order.clientOrderId, 'another']) {
      const asWithdrawal = { clientOrderId, order: order.order, signature: order.signature };
      assert.equal(pit.refused({ kind: 'withdraw', ...asWithdrawal }), 'orderRepeated');
    }
    for (const clientOrderId of [withdrawal.clientOrderId, 'another']) {
      const asOrder = { ...order, ...withdrawal, clientOrderId };
      assert.equal(pit.refused({ kind: 'order', ...asOrder }), 'orderRepeated');
    }
    const fresh = pit.withdrawal(ALICE, COIN, 1_000n, 7n);
    assert.equal(pit.refused({ kind: 'order', ...order, ...fresh }), 'orderNotCovered');
    const { clientOrderId, order: signed, signature } = pit.request(ALICE, 'sell', 100, 2);
    assert.equal(pit.refused({ kind: 'withdraw', clientOrderId, order: signed, signature }), 'withdrawalInvalid');
    const amendment = { price: 100, lots: 2, order: withdrawal.order, signature: withdrawal.signature };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 1, amendment }), 'orderRepeated');
  });

  it('and its name are its owner’s: others may use the same name', () => {
    const pit = opened();
    const wish = pit.request(ALICE, 'sell', 100, 2);
    pit.submit(wish);
    const { clientOrderId } = wish;
    const others = { ...pit.request(BOB, 'buy', 90, 2), clientOrderId };
    assert.deepEqual(pit.submit(others), [{ kind: 'accepted', order: 2, number: 1 }]);
  });

  it('with another salt is another order', () => {
    const pit = opened();
    const wish = pit.request(ALICE, 'sell', 100, 2);
    pit.submit(wish);
    const order = { ...wish.order, salt: wish.order.salt + 500n };
    assert.equal(pit.refused({ kind: 'order', ...wish, order }), 'clientOrderIdTaken');
    assert.deepEqual(kinds(pit.submit({ ...wish, order, clientOrderId: 'another' })), ['accepted']);
    assert.equal(order.operatorId, OPERATOR_ID);
  });
});

describe('an order of which so many states were looked at', () => {
  /** Alice's orders of a lot each, the last one an iceberg of two slices: three matches in all. */
  function rested(): Pit {
    const pit = opened();
    pit.order(ALICE, 'sell', 5, 1);
    pit.order(ALICE, 'sell', 5, 2, { display: 1 });
    return pit;
  }
  const unlooked = (states: number) => [{ kind: 'unlooked', states }];

  it('matches no more others at once, slices of them counted apart', () => {
    const pit = rested();
    const wish = pit.request(BOB, 'buy', 5, 3);
    const before = pit.exchange.hash();
    for (const states of [1, 2]) assert.deepEqual(pit.apply({ kind: 'order', ...wish, states }), unlooked(3));
    assert.equal(pit.exchange.hash(), before, 'and nothing changed');
    assert.equal(tradesIn(pit.apply({ kind: 'order', ...wish, states: 3 })).length, 3);
  });

  it('needs none for what it would not be let in for', () => {
    const pit = rested();
    const withStates = (changes: Partial<NewOrder>) =>
      pit.apply({ kind: 'order', ...pit.request(BOB, 'buy', 5, 4, changes), states: 0 });
    assert.deepEqual(kinds(withStates({ timeInForce: 'fok' })), ['accepted', 'cancelled']);
    assert.equal(refusal(withStates({ postOnly: true })), 'wouldTrade');
    assert.equal(
      refusal(pit.apply({ kind: 'order', ...pit.request(CAROL, 'buy', 5, 3), states: 0 })),
      'fundsInsufficient',
    );
    assert.deepEqual(kinds(pit.apply({ kind: 'order', ...pit.request(BOB, 'buy', 4, 3), states: 0 })), ['accepted']);
  });

  it('matches no more of them when it is amended', () => {
    const pit = rested();
    pit.order(BOB, 'buy', 4, 2);
    const before = pit.exchange.hash();
    const amend = (lots: number, states: number) => {
      const amendment = { price: 5, lots, ...pit.signed(BOB, 'buy', 5, lots), states };
      return pit.apply({ kind: 'amend', owner: BOB, order: 1, amendment });
    };
    assert.deepEqual(amend(2, 1), unlooked(2));
    assert.deepEqual(amend(3, 2), unlooked(3));
    assert.equal(pit.exchange.hash(), before);
    assert.equal(tradesIn(amend(3, 3)).length, 3);
  });
});
