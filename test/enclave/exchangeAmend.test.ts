import assert from 'node:assert/strict';
import type { Amendment } from '@bitcloak/trading/orders';
import { Dice } from '../support/dice.ts';
import {
  ALICE,
  assertConsistent,
  BOB,
  CAROL,
  COIN,
  DOLLAR,
  kinds,
  LATER,
  NOW,
  Pit,
  SETTLE_SECONDS,
  tradesIn,
  refusal,
} from '../support/exchange.ts';

/** Alice sells 10 lots at 100, as order 1. */
function opened(coins = 20_000n): Pit {
  const pit = new Pit();
  pit.credit(ALICE, COIN, coins);
  for (const owner of [BOB, CAROL]) {
    pit.credit(owner, DOLLAR, 1_000_000n);
    pit.credit(owner, COIN, 1_000_000n);
  }
  pit.order(ALICE, 'sell', 100, 10);
  return pit;
}

const held = (pit: Pit) => pit.exchange.balances(ALICE).find(({ asset }) => asset === COIN)?.held;

describe('an order is amended', () => {
  it('to fewer lots without a signature, and keeps its place', () => {
    const pit = opened();
    pit.order(CAROL, 'sell', 100, 10);
    assert.deepEqual(pit.amend(ALICE, 1, { price: 100, lots: 4 }), [
      { kind: 'amended', order: 1, price: 100, lots: 4 },
    ]);
    assert.equal(held(pit), 4_000n);
    const [trade] = pit.order(BOB, 'buy', 100, 1).slice(1);
    assert.ok(trade?.kind === 'traded' && trade.maker === 1);
    pit.restart();
    assert.deepEqual(pit.exchange.tickets()[0]?.order.sellMax, 10_000n, 'it is the same signed order');
    assertConsistent(pit.exchange);
  });

  it('to a new price or more lots with a signature, and loses its place', () => {
    for (const [price, lots] of [
      [100, 12],
      [101, 10],
      [101, 3],
    ] as const) {
      const pit = opened();
      pit.order(CAROL, 'sell', price, 10);
      const renewed = pit.signed(ALICE, 'sell', price, lots);
      assert.deepEqual(kinds(pit.amend(ALICE, 1, { price, lots, ...renewed })), ['amended']);
      assert.equal(held(pit), BigInt(lots) * 1_000n);
      const [trade] = pit.order(BOB, 'buy', price, 1).slice(1);
      assert.ok(trade?.kind === 'traded' && trade.maker === 2, 'Carol is first now');
      const record = pit.exchange.records.order(ALICE, 1);
      assert.deepEqual([record?.price, record?.lots, record?.open, record?.status], [price, lots, lots, 'open']);
      assertConsistent(pit.exchange);
    }
  });

  it('with a signature to fewer lots at its price, and keeps its place', () => {
    const pit = opened();
    pit.order(CAROL, 'sell', 100, 10);
    const renewed = pit.signed(ALICE, 'sell', 100, 5);
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 100, lots: 5, ...renewed })), ['amended']);
    const [trade] = pit.order(BOB, 'buy', 100, 1).slice(1);
    assert.ok(trade?.kind === 'traded' && trade.maker === 1);
    assert.equal(pit.plan()?.fills[0]?.order.salt, renewed.order.salt);
  });

  it('so that what matched before is settled as it was signed then, and what matches after as it is signed now', () => {
    const pit = opened();
    const before = pit.exchange.tickets()[0]?.order;
    pit.order(BOB, 'buy', 100, 4);
    assert.equal(held(pit), 10_000n);
    // 4 of 16 are filled; the signature is for the 12 that stay open.
    const renewed = pit.signed(ALICE, 'sell', 90, 12);
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 90, lots: 16, ...renewed })), ['amended']);
    assert.equal(held(pit), 16_000n, 'what was sold before, and what is open now');
    assert.deepEqual(tradesIn(pit.order(CAROL, 'buy', 95, 12)), [[12, 90]]);
    assertConsistent(pit.exchange);
    pit.credit(ALICE, COIN, 4_000n);
    const batch = pit.plan();
    const sold = batch?.fills.filter(({ order }) => order.owner === ALICE).map((fill) => [fill.order, fill.sold]);
    assert.deepEqual(sold, [
      [before, 4_000n],
      [renewed.order, 12_000n],
    ]);
    pit.land();
    assert.deepEqual(pit.exchange.save().tickets, []);
    const record = pit.exchange.records.order(ALICE, 1);
    assert.deepEqual([record?.lots, record?.filled, record?.open, record?.status], [16, 16, 0, 'filled']);
  });

  it('while a part of it is being settled', () => {
    const pit = opened();
    pit.order(BOB, 'buy', 100, 4);
    pit.plan();
    const renewed = pit.signed(ALICE, 'sell', 101, 6);
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 101, lots: 10, ...renewed })), ['amended']);
    pit.order(CAROL, 'buy', 101, 3);
    pit.restart();
    pit.land();
    assert.equal(held(pit), 6_000n);
    pit.insertAll();
    const [fill] = pit.plan()?.fills ?? [];
    assert.deepEqual([fill?.k, fill?.filled, fill?.sold, fill?.order], [0n, 0n, 3_000n, renewed.order]);
    pit.settleAll();
    assertConsistent(pit.exchange);
  });

  it('so that it crosses, and trades at the price of what rests', () => {
    const pit = opened();
    pit.order(BOB, 'buy', 95, 4);
    pit.order(CAROL, 'buy', 94, 4);
    const renewed = pit.signed(ALICE, 'sell', 94, 10);
    const events = pit.amend(ALICE, 1, { price: 94, lots: 10, ...renewed });
    assert.deepEqual(tradesIn(events), [
      [4, 95],
      [4, 94],
    ]);
    const roles = pit.exchange.records.fills(ALICE).map(({ role }) => role);
    assert.deepEqual(roles, ['taker', 'taker']);
    assertConsistent(pit.exchange);
    pit.settleAll();
    assert.equal(held(pit), 2_000n);
  });

  it('so that it is filled at once', () => {
    const pit = opened();
    pit.order(BOB, 'buy', 95, 10);
    const renewed = pit.signed(ALICE, 'sell', 95, 10);
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 95, lots: 10, ...renewed })), ['amended', 'traded']);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.status, 'filled');
    assert.equal(pit.refused({ kind: 'cancel', owner: ALICE, order: 1 }), 'orderUnknown');
    pit.settleAll();
    assertConsistent(pit.exchange);
  });

  it('so that it would meet an order of its own account, which its way of self-trade prevents', () => {
    const expected = {
      cancelNewest: ['amended', 'cancelled'],
      cancelOldest: ['amended', 'cancelled'],
      cancelBoth: ['amended', 'cancelled', 'cancelled'],
      decrement: ['amended', 'cancelled', 'reduced'],
    } as const;
    for (const [selfTrade, events] of Object.entries(expected)) {
      const pit = new Pit();
      pit.credit(ALICE, COIN, 20_000n);
      pit.credit(ALICE, DOLLAR, 20_000n);
      pit.order(ALICE, 'buy', 90, 4);
      pit.order(ALICE, 'sell', 100, 10, { selfTrade: selfTrade as keyof typeof expected });
      const renewed = pit.signed(ALICE, 'sell', 90, 10);
      assert.deepEqual(kinds(pit.amend(ALICE, 2, { price: 90, lots: 10, ...renewed })), events, selfTrade);
      assert.equal(pit.exchange.waiting, 0);
      const open = { cancelNewest: [4, 0], cancelOldest: [0, 10], cancelBoth: [0, 0], decrement: [0, 6] }[selfTrade];
      assert.deepEqual(
        pit.exchange.records.orders(ALICE).map((record) => record.open),
        open,
        selfTrade,
      );
      assertConsistent(pit.exchange);
    }
  });

  it('to more than its owner had beside it, with what it holds itself', () => {
    const pit = opened(12_000n);
    const more = pit.signed(ALICE, 'sell', 100, 13);
    const refused = { kind: 'amend', owner: ALICE, order: 1, amendment: { price: 100, lots: 13, ...more } } as const;
    assert.equal(pit.refused(refused), 'fundsInsufficient');
    const all = pit.signed(ALICE, 'sell', 100, 12);
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 100, lots: 12, ...all })), ['amended']);
    assert.equal(pit.exchange.available(ALICE, COIN), 0n);
  });

  it('again and again, and holds what it must after each', () => {
    const dice = new Dice('amendments');
    const pit = new Pit();
    pit.credit(ALICE, COIN, 1_000_000n);
    pit.credit(BOB, DOLLAR, 100_000_000n);
    pit.order(ALICE, 'sell', 100, 50);
    let amended = 0;
    for (let step = 0; step < 300; step++) {
      const record = pit.exchange.records.orders(ALICE).at(-1);
      assert.ok(record !== undefined);
      if (record.status !== 'open') {
        pit.order(ALICE, 'sell', 100, 50);
        continue;
      }
      if (dice.chance(1, 4)) pit.order(BOB, 'buy', record.price + dice.int(2), 1 + dice.int(5), { timeInForce: 'ioc' });
      else if (dice.chance(1, 12) && pit.exchange.waiting > 0) pit.settleAll();
      else {
        const price = 95 + dice.int(10);
        const lots = record.filled + 1 + dice.int(60);
        const renewed = pit.signed(ALICE, 'sell', price, lots - record.filled + dice.int(2));
        const events = pit.amend(ALICE, record.id, { price, lots, ...(dice.chance(4, 5) ? renewed : {}) });
        if (events[0]?.kind === 'amended') amended++;
      }
      assertConsistent(pit.exchange);
    }
    assert.ok(amended > 50);
    pit.settleAll();
  });
});

describe('an amendment is refused, and changes nothing,', () => {
  type Case = [reason: string, amendment: (pit: Pit) => Amendment];
  const cases: Readonly<Record<string, Case>> = {
    'to another price without a signature': ['orderNotCovered', () => ({ price: 99, lots: 10 })],
    'to a better price without a signature': ['orderNotCovered', () => ({ price: 101, lots: 10 })],
    'to more lots without a signature': ['orderNotCovered', () => ({ price: 100, lots: 11 })],
    'to as many as were filled': ['lotsInvalid', () => ({ price: 100, lots: 4 })],
    'to no lots': ['lotsInvalid', () => ({ price: 100, lots: 0 })],
    'to half a lot': ['lotsInvalid', () => ({ price: 100, lots: 5.5 })],
    'to no price': ['lotsInvalid', () => ({ price: 0, lots: 5 })],
    'signed for fewer lots than stay open': [
      'orderNotCovered',
      (pit) => ({ price: 99, lots: 10, ...pit.signed(ALICE, 'sell', 99, 5) }),
    ],
    'signed for a better price': [
      'orderNotCovered',
      (pit) => ({ price: 99, lots: 10, ...pit.signed(ALICE, 'sell', 100, 6) }),
    ],
    'signed for the other side': [
      'orderNotCovered',
      (pit) => ({ price: 99, lots: 10, ...pit.signed(ALICE, 'buy', 99, 6) }),
    ],
    'signed by another': ['orderNotCovered', (pit) => ({ price: 99, lots: 10, ...pit.signed(CAROL, 'sell', 99, 6) })],
    'with the signature that it has': [
      'orderRepeated',
      (pit) => ({ price: 100, lots: 10, ...(pit.exchange.tickets()[0] ?? pit.signed(ALICE, 'sell', 99, 6)) }),
    ],
    'for another operator': [
      'operatorUnknown',
      (pit) => ({ price: 99, lots: 10, ...pit.signed(ALICE, 'sell', 99, 6, { operatorId: 3n }) }),
    ],
    'that ends sooner than the order is to leave the book': [
      'orderTooShort',
      (pit) => ({ price: 99, lots: 10, ...pit.signed(ALICE, 'sell', 99, 6, { expiry: BigInt(LATER - 1) }) }),
    ],
    'that has ended': [
      'orderTooShort',
      (pit) => ({
        price: 99,
        lots: 10,
        ...pit.signed(ALICE, 'sell', 99, 6, { expiry: BigInt(NOW + SETTLE_SECONDS) }),
      }),
    ],
    'of more than there is': [
      'fundsInsufficient',
      (pit) => ({ price: 99, lots: 21, ...pit.signed(ALICE, 'sell', 99, 17) }),
    ],
    'beyond the market’s prices': [
      'priceInvalid',
      (pit) => ({ price: 1_000_001, lots: 10, ...pit.signed(ALICE, 'sell', 1_000_001, 6) }),
    ],
    'beyond what the market takes of one order': [
      'lotsInvalid',
      (pit) => {
        pit.credit(ALICE, COIN, 10n ** 12n);
        return { price: 99, lots: 1_000_001, ...pit.signed(ALICE, 'sell', 99, 999_997) };
      },
    ],
  };
  for (const [title, [reason, amendment]] of Object.entries(cases)) {
    it(title, () => {
      const pit = opened();
      pit.order(BOB, 'buy', 100, 4);
      const wish = amendment(pit);
      assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 1, amendment: wish }), reason);
      assertConsistent(pit.exchange);
    });
  }

  it('of an order that is gone, and its signature may be used elsewhere', () => {
    const pit = opened();
    pit.apply({ kind: 'cancel', owner: ALICE, order: 1 });
    const renewed = pit.signed(ALICE, 'sell', 101, 10);
    const amendment = { price: 101, lots: 10, ...renewed };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 1, amendment }), 'orderUnknown');
    assert.deepEqual(kinds(pit.submit({ ...pit.request(ALICE, 'sell', 101, 10), ...renewed })), ['accepted']);
  });

  it('where the order must rest and would trade', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    pit.order(BOB, 'buy', 95, 1);
    pit.order(ALICE, 'sell', 100, 10, { postOnly: true });
    const amendment = { price: 95, lots: 10, ...pit.signed(ALICE, 'sell', 95, 10) };
    assert.equal(refusal(pit.amend(ALICE, 1, amendment)), 'wouldTrade');
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { ...amendment, price: 96 })), ['amended'], 'it was not used up');
  });

  it('while the market does not trade, but for fewer lots', () => {
    const pit = opened();
    pit.apply({ kind: 'setTrading', market: 1, trading: false });
    const amendment = { price: 101, lots: 10, ...pit.signed(ALICE, 'sell', 101, 10) };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 1, amendment }), 'tradingHalted');
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 100, lots: 3 })), ['amended']);
    assertConsistent(pit.exchange);
  });
});
