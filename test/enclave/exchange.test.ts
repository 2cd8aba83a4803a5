import assert from 'node:assert/strict';
import type { Order } from '@bitcloak/notes/order';
import { LOCK_SECONDS_MAX } from '@bitcloak/protocol/parameters';
import type { NewOrder } from '@bitcloak/trading/orders';
import { ORDER_FILLS_MAX } from '../../enclave/exchange/exchange.ts';
import {
  ALICE,
  assertConsistent,
  BOB,
  CAROL,
  COIN,
  DAVE,
  DOLLAR,
  EURO,
  EURO_TERMS,
  EXCHANGE_RULES,
  kinds,
  LATER,
  MARKET_RULES,
  NOW,
  Pit,
  refusal,
  SETTLE_SECONDS,
  stateAfter,
  TERMS,
  tradesIn,
} from '../support/exchange.ts';

describe('the exchange', () => {
  it('matches two orders at the resting price and plans both sides of it', () => {
    const pit = new Pit();
    const coins = pit.credit(ALICE, COIN, 50_000n);
    const dollars = pit.credit(BOB, DOLLAR, 100_000n);
    assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 20)), ['accepted']);
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 110, 8)), ['accepted', 'traded']);
    const batch = pit.plan();
    // 8 lots at 100 ticks are 2,400; the maker pays 0.1 percent of it and the taker 0.25.
    assert.deepEqual(
      batch?.fills.map(({ sold, bought, leaves }) => [sold, bought, leaves]),
      [
        [8_000n, 2_398n, [coins]],
        [2_406n, 8_000n, [dollars]],
      ],
    );
    assert.equal(pit.exchange.waiting, 0);
    assertConsistent(pit.exchange);
  });

  it('settles an order in parts, each when the state before it is in the tree', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.order(BOB, 'buy', 100, 5);
    const [sell] = pit.plan()?.fills ?? [];
    pit.land();
    const change = pit.exchange.notes().find(({ owner }) => owner === ALICE);
    assert.deepEqual([change?.value, change?.inserted], [15_000n, false]);
    pit.order(BOB, 'buy', 100, 5);
    assert.equal(pit.plan(), undefined, 'neither change nor state are in the tree');
    pit.apply({ kind: 'inserted', leaves: [change?.leaf ?? -1], states: [] });
    assert.equal(pit.plan(), undefined, 'the state is not in the tree');
    const state = stateAfter(sell?.order as Order, 5_000n, 1n);
    pit.apply({ kind: 'inserted', leaves: [], states: [state + 1n] });
    assert.equal(pit.plan(), undefined, 'another order’s');
    assert.deepEqual(
      pit.exchange.awaitedStates(),
      [{ state, filled: 5_000n, k: 1n }],
      'Bob’s first order is done with',
    );
    pit.insertAll();
    const [second] = pit.plan()?.fills ?? [];
    assert.deepEqual([second?.k, second?.filled, second?.sold], [1n, 5_000n, 5_000n]);
    pit.land();
    pit.order(BOB, 'buy', 100, 5);
    const leaves = pit.exchange.notes().map(({ leaf }) => leaf);
    pit.apply({ kind: 'inserted', leaves, states: [state] });
    assert.equal(pit.plan(), undefined, 'the state before is spent');
    pit.insertAll();
    assert.equal(pit.plan()?.fills[0]?.k, 2n);
  });

  it('nets the matches of an order into one fill', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 50_000n);
    for (const owner of [BOB, CAROL]) pit.credit(owner, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    for (const owner of [BOB, CAROL, BOB]) pit.order(owner, 'buy', 100, 2);
    const batch = pit.plan();
    assert.deepEqual(
      batch?.fills.map(({ order }) => order.owner),
      [ALICE, BOB, CAROL],
    );
    assert.equal(batch.fills[0]?.sold, 4_000n, 'a note is in one fill: Bob’s second order waits');
    assert.equal(pit.exchange.waiting, 1);
    assert.equal(pit.settleAll(), 2);
  });

  it('has one batch at a time, and takes up again what failed', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 50_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.order(BOB, 'buy', 100, 8);
    const batch = pit.plan();
    const again = { kind: 'plan', validUntil: NOW + 1_900, sequence: 9, always: true } as const;
    assert.equal(pit.refused(again), 'batchPending');
    pit.fail();
    assert.equal(pit.exchange.waiting, 1);
    assert.deepEqual(pit.plan(), batch);
    pit.land();
    assert.equal(pit.plan(), undefined);
  });

  it('plans a batch of nothing where one is wanted in any case, under the sequence that is named', () => {
    const pit = new Pit();
    assert.equal(pit.plan(), undefined);
    assert.deepEqual(kinds(pit.apply({ kind: 'plan', validUntil: NOW + 60, sequence: 12, always: true })), ['planned']);
    assert.deepEqual(pit.exchange.batch, {
      validUntil: NOW + 60,
      sequence: 12,
      fills: [],
      matches: [],
      head: undefined,
    });
    pit.restart();
    assert.equal(pit.exchange.batch.sequence, 12);
    pit.apply({ kind: 'settled', sequence: 12 });
    assert.equal(pit.exchange.batch, undefined);
    assert.deepEqual(pit.apply({ kind: 'settled', sequence: 1 }), [], 'there is none to be settled');
  });

  it('puts no more than sixteen signed orders into a batch, and passes over those that do not fit', () => {
    const pit = new Pit();
    for (let owner = 1n; owner <= 9n; owner++) {
      pit.credit(1_000n + owner, COIN, 1_000n);
      pit.credit(2_000n + owner, DOLLAR, 1_000n);
      pit.order(1_000n + owner, 'sell', 100, 1);
      pit.order(2_000n + owner, 'buy', 100, 1);
    }
    assert.equal(pit.plan()?.fills.length, 16);
    assert.equal(pit.exchange.waiting, 1);
    pit.land();
    assert.equal(pit.plan()?.fills.length, 2);
  });

  it('plans no more fills than a settlement has', () => {
    const pit = new Pit();
    for (let owner = 1n; owner <= 3n; owner++) {
      pit.credit(1_000n + owner, COIN, 1_000n);
      pit.credit(2_000n + owner, DOLLAR, 1_000n);
      pit.order(1_000n + owner, 'sell', 100, 1);
      pit.order(2_000n + owner, 'buy', 100, 1);
    }
    for (const [fills, planned] of [
      [2, 2],
      [5, 4],
      [6, 6],
    ] as const) {
      pit.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, fills } });
      const plan = { kind: 'plan', validUntil: NOW + 1_800, sequence: 1, always: false } as const;
      assert.deepEqual(pit.apply(plan), [{ kind: 'planned', fills: planned }]);
      pit.fail();
    }
  });

  it('busts what nobody can settle any more, and gives it back', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    const end = NOW + SETTLE_SECONDS + 10;
    pit.order(ALICE, 'sell', 100, 20, {}, { expiry: BigInt(end) });
    pit.order(BOB, 'buy', 100, 20);
    const plan = { kind: 'plan', validUntil: end + 60, sequence: 1, always: false } as const;
    pit.at(end - 1);
    assert.deepEqual(pit.apply({ ...plan, validUntil: end }), [{ kind: 'planned', fills: 2 }]);
    pit.fail();
    assert.deepEqual(kinds(pit.apply(plan)), ['busted', 'planned']);
    assert.equal(pit.exchange.available(ALICE, COIN), 20_000n);
    assert.equal(pit.exchange.available(BOB, DOLLAR), 100_000n);
    assert.deepEqual(pit.exchange.save().tickets, []);
    assert.deepEqual(
      [ALICE, BOB].map((owner) => pit.exchange.records.fill(owner, 1)?.status),
      ['busted', 'busted'],
    );
  });

  it('busts a match whose notes are its owner’s alone again, though its order has not ended', () => {
    const pit = new Pit();
    const end = NOW + 3 * SETTLE_SECONDS;
    pit.credit(ALICE, COIN, 20_000n, { inserted: false, expiry: end });
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.order(BOB, 'buy', 100, 20);
    pit.at(end - 1);
    assert.equal(pit.plan({ validUntil: end }), undefined);
    assert.equal(pit.exchange.waiting, 1, 'a batch that ends with it may still have it');
    assert.deepEqual(kinds(pit.apply({ kind: 'plan', validUntil: end + 60, sequence: 1, always: false })), [
      'busted',
      'planned',
    ]);
    assert.equal(pit.exchange.available(BOB, DOLLAR), 100_000n, 'Bob waits no longer for it');
    assertConsistent(pit.exchange);
  });

  it('takes an order from the books whose notes went away, or stay locked too shortly', () => {
    const pit = new Pit();
    const note = pit.credit(ALICE, COIN, 20_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.apply({ kind: 'remove', leaf: note });
    assert.deepEqual(kinds(pit.at(NOW + 1)), ['timeSet', 'cancelled']);
    pit.credit(ALICE, COIN, 20_000n, { expiry: NOW + 3 * SETTLE_SECONDS });
    pit.order(ALICE, 'sell', 100, 20);
    assert.deepEqual(kinds(pit.at(NOW + 2 * SETTLE_SECONDS)), ['timeSet']);
    assert.deepEqual(kinds(pit.at(NOW + 2 * SETTLE_SECONDS + 1)), ['timeSet', 'cancelled']);
  });

  it('takes the newest orders first, and no more than it must', () => {
    const pit = new Pit();
    const large = pit.credit(ALICE, COIN, 10_000n);
    pit.credit(ALICE, COIN, 6_000n);
    for (const price of [100, 101, 102, 103]) pit.order(ALICE, 'sell', price, 4);
    pit.apply({ kind: 'remove', leaf: large });
    assert.deepEqual(kinds(pit.at(NOW + 1)), ['timeSet', 'cancelled', 'cancelled', 'cancelled']);
    assert.deepEqual(
      pit.exchange.records.orders(ALICE).map(({ status, reason }) => [status, reason]),
      [['open', undefined], ...Array.from({ length: 3 }, () => ['cancelled', 'funds'])],
    );
  });

  it('lets an order leave the books early enough to settle what it matched', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n, { expiry: LATER + SETTLE_SECONDS });
    pit.order(ALICE, 'sell', 100, 20);
    assert.deepEqual(kinds(pit.at(LATER - SETTLE_SECONDS - 1)), ['timeSet']);
    assert.deepEqual(kinds(pit.at(LATER - SETTLE_SECONDS)), ['timeSet', 'cancelled']);
    const [last] = (pit.reports.get(ALICE) ?? []).slice(-1);
    assert.deepEqual([last?.kind, last?.time], ['cancelled', LATER - SETTLE_SECONDS]);
  });

  it('takes orders from the books that the operator drops, and settles what they matched', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.order(BOB, 'buy', 100, 5);
    const [ticket] = pit.exchange.tickets();
    assert.deepEqual(kinds(pit.retire([ticket?.id ?? 0, 99])), ['cancelled']);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.reason, 'takenBack');
    assert.deepEqual(pit.retire([ticket?.id ?? 0]), []);
    assert.equal(pit.exchange.available(ALICE, COIN), 15_000n);
    assert.equal(pit.settleAll(), 1);
    assert.equal(pit.exchange.records.fill(ALICE, 1)?.status, 'settled');
    assertConsistent(pit.exchange);
  });

  it('gives up every match of a signed order that is void, and plans the rest of its batch again', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.credit(CAROL, DOLLAR, 100_000n);
    pit.credit(DAVE, COIN, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.order(BOB, 'buy', 100, 5);
    pit.order(CAROL, 'buy', 100, 5);
    pit.order(DAVE, 'sell', 90, 5);
    pit.order(CAROL, 'buy', 90, 5);
    assert.equal(pit.plan()?.matches.length, 2);
    const [ticket] = pit.exchange.tickets();
    assert.equal(ticket?.order.owner, ALICE);
    assert.deepEqual(kinds(pit.void([ticket.id])), ['cancelled', 'busted', 'busted']);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.reason, 'unsettleable');
    assert.equal(pit.exchange.batch, undefined);
    assert.equal(pit.exchange.available(ALICE, COIN), 20_000n);
    assert.equal(pit.exchange.available(BOB, DOLLAR), 100_000n);
    assert.equal(pit.exchange.waiting, 1, 'Dave and Carol’s');
    pit.settleAll();
    assert.deepEqual(
      pit.exchange.records.fills(CAROL).map(({ status }) => status),
      ['busted', 'settled'],
    );
    assertConsistent(pit.exchange);
  });

  it('matches an order no more after as many fills as are looked after, and settles what it has matched', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 100_000n);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    pit.order(ALICE, 'sell', 100, 100);
    for (let fill = 1; fill < ORDER_FILLS_MAX; fill++) {
      pit.order(BOB, 'buy', 100, 1);
      assert.equal(pit.settleAll(), 1);
    }
    pit.order(BOB, 'buy', 100, 1);
    pit.plan();
    pit.order(BOB, 'buy', 100, 1);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.status, 'open');
    pit.land();
    const { status, reason } = pit.exchange.records.order(ALICE, 1) ?? {};
    assert.deepEqual([status, reason], ['cancelled', 'fillsMax']);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 100, 1)), []);
    pit.settleAll();
    assert.equal(pit.exchange.records.fills(ALICE).filter(({ status }) => status === 'settled').length, 9);
    assertConsistent(pit.exchange);
  });

  it('leaves a market’s terms as they are, and takes none that it cannot compute with', () => {
    const pit = new Pit();
    const rules = { market: 3, ...MARKET_RULES };
    const terms = { ...TERMS, market: 3 };
    const wrong = [
      { lotBase: 0n },
      { lotBase: -1n },
      { tickQuote: 0n },
      { makerFee: -1 },
      { takerFee: 10_001 },
      { takerFee: 0.5 },
      { quote: COIN },
      { market: 2 },
    ];
    for (const change of wrong) {
      const command = { kind: 'addMarket', terms: { ...terms, ...change }, rules } as const;
      assert.equal(pit.refused(command), 'marketInvalid', Object.keys(change)[0]);
    }
    assert.equal(pit.refused({ kind: 'addMarket', terms, rules: { ...rules, lotsMin: 0 } }), 'marketInvalid');
    const twice = { ...EURO_TERMS, tickQuote: 1n };
    const again = { kind: 'addMarket', terms: twice, rules: { market: 2, ...MARKET_RULES } } as const;
    assert.equal(pit.refused(again), 'marketExists');
    assert.deepEqual(kinds(pit.apply({ kind: 'addMarket', terms, rules })), ['marketAdded']);
    assert.deepEqual(
      pit.exchange.markets().map((market) => market.terms),
      [TERMS, EURO_TERMS, terms],
    );
  });

  it('takes no rules that are none', () => {
    const pit = new Pit();
    const wrong = [
      { settleSeconds: 0 },
      { settleSeconds: 1.5 },
      { orderSecondsMax: -1 },
      { lockSecondsMax: Number.NaN },
      { lockSecondsMax: 2 ** 40 },
      { lockSecondsMax: Number(LOCK_SECONDS_MAX) + 1 },
      { withdrawalFees: [[EURO, -1n]] as const },
      { withdrawalFees: [[EURO, 1n << 120n]] as const },
    ];
    for (const change of wrong) {
      const rules = { ...EXCHANGE_RULES, ...change };
      assert.equal(pit.refused({ kind: 'configure', rules }), 'rulesInvalid', JSON.stringify(Object.keys(change)));
    }
    assert.deepEqual(pit.exchange.rules, EXCHANGE_RULES);
    const longest = { ...EXCHANGE_RULES, lockSecondsMax: Number(LOCK_SECONDS_MAX) };
    pit.apply({ kind: 'configure', rules: longest });
    assert.deepEqual(pit.exchange.rules, longest);
  });

  it('goes by the rules from the moment that they are set', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.order(ALICE, 'sell', 100, 10);
    pit.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, orderSecondsMax: 3_700 } });
    assert.equal(refusal(pit.order(ALICE, 'sell', 100, 10)), 'orderTooLong');
    assert.equal(pit.exchange.records.order(ALICE, 1)?.status, 'open', 'what was let in before stays');
  });

  it('never goes back in time', () => {
    const pit = new Pit();
    assert.equal(pit.refused({ kind: 'setTime', time: NOW - 1 }), 'timeInvalid');
    assert.equal(pit.refused({ kind: 'setTime', time: NOW + 0.5 }), 'timeInvalid');
    assert.equal(pit.exchange.time, NOW);
  });

  it('has a stranger cancel nobody’s order, and does not say whether there is one', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.order(ALICE, 'sell', 100, 15);
    for (const order of [1, 2, 0, -1, 0.5]) {
      assert.equal(pit.refused({ kind: 'cancel', owner: BOB, order }), 'orderUnknown');
      const amendment = { price: 100, lots: 5 };
      assert.equal(pit.refused({ kind: 'amend', owner: BOB, order, amendment }), 'orderUnknown');
    }
    assert.equal(pit.refused({ kind: 'cancelAll', owner: BOB }), undefined);
    assert.equal(pit.refused({ kind: 'cancelAll', owner: ALICE, market: 9 }), 'marketUnknown');
    assert.equal(pit.exchange.records.order(ALICE, 1)?.status, 'open');
  });

  it('cancels an owner’s orders of one market, or all of them, and nobody else’s', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(ALICE, EURO, 20_000n);
    pit.credit(BOB, COIN, 20_000n);
    const euro: Partial<NewOrder> = { market: 2 };
    pit.order(ALICE, 'sell', 100, 5);
    pit.order(ALICE, 'sell', 100, 5, euro);
    pit.order(BOB, 'sell', 100, 5);
    pit.order(ALICE, 'sell', 101, 5);
    assert.equal(kinds(pit.apply({ kind: 'cancelAll', owner: ALICE, market: 1 })).join(), 'cancelled,cancelled');
    assert.equal(kinds(pit.apply({ kind: 'cancelAll', owner: ALICE })).join(), 'cancelled');
    assert.equal(pit.exchange.records.order(BOB, 1)?.status, 'open');
    assertConsistent(pit.exchange);
  });
});
