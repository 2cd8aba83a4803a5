import assert from 'node:assert/strict';
import type { Side } from '@bitcloak/protocol/orders';
import {
  ALICE,
  assertConsistent,
  BOB,
  CAROL,
  COIN,
  DOLLAR,
  kinds,
  NOW,
  Pit,
  refusal,
  tradesIn,
} from '../support/exchange.ts';

function opened(): Pit {
  const pit = new Pit();
  for (const owner of [ALICE, BOB, CAROL]) {
    pit.credit(owner, COIN, 1_000_000n);
    pit.credit(owner, DOLLAR, 1_000_000n);
  }
  return pit;
}

/** What ends every one of these: the books, holds and records agree, and what matched can be settled. */
function close(pit: Pit, settlements: number): void {
  assertConsistent(pit.exchange);
  pit.restart();
  assert.equal(pit.settleAll(), settlements);
  assertConsistent(pit.exchange);
}

const lastRecord = (pit: Pit, owner: bigint) => {
  const { status, filled, open, reason } = pit.exchange.records.orders(owner).at(-1) ?? {};
  return { status, filled, open, reason };
};

describe('through the exchange', () => {
  it('a market order trades up to its price of protection, and the rest of it is gone', () => {
    const pit = opened();
    for (const price of [100, 102, 104]) pit.order(ALICE, 'sell', price, 5);
    const events = pit.order(BOB, 'buy', 103, 20, { type: 'market', timeInForce: 'ioc' });
    assert.deepEqual(tradesIn(events), [
      [5, 100],
      [5, 102],
    ]);
    assert.deepEqual(lastRecord(pit, BOB), { status: 'cancelled', filled: 10, open: 0, reason: 'immediate' });
    const sold = pit.exchange.records.fills(BOB).reduce((sum, fill) => sum + fill.sold, 0n);
    assert.equal(pit.exchange.available(BOB, DOLLAR), 1_000_000n - sold);
    close(pit, 2);
  });

  it('a market order that was signed for no limit at all trades no worse than its protection', () => {
    const pit = opened();
    pit.order(BOB, 'buy', 90, 5);
    pit.order(BOB, 'buy', 80, 5);
    const wish = { type: 'market', timeInForce: 'ioc' } as const;
    assert.deepEqual(tradesIn(pit.order(ALICE, 'sell', 85, 10, wish, { buyMin: 0n })), [[5, 90]]);
    close(pit, 1);
  });

  it('an order that is immediate takes what is there and leaves', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 3);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 100, 10, { timeInForce: 'ioc' })), [[3, 100]]);
    assert.deepEqual(lastRecord(pit, BOB), { status: 'cancelled', filled: 3, open: 0, reason: 'immediate' });
    assert.deepEqual(tradesIn(pit.order(ALICE, 'sell', 100, 3)), [], 'nothing of it rests');
    close(pit, 1);
  });

  it('an order that is to be filled or killed is one or the other', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 3);
    pit.order(ALICE, 'sell', 101, 3, { display: 1 });
    const fok = { timeInForce: 'fok' } as const;
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 101, 7, fok)), ['accepted', 'cancelled']);
    assert.deepEqual(lastRecord(pit, BOB), { status: 'cancelled', filled: 0, open: 0, reason: 'minimum' });
    assert.equal(pit.exchange.available(BOB, DOLLAR), 1_000_000n);
    const trades = tradesIn(pit.order(BOB, 'buy', 101, 6, fok));
    assert.equal(
      trades.reduce((sum, [lots]) => sum + Number(lots), 0),
      6,
      'hidden lots count',
    );
    assert.equal(lastRecord(pit, BOB).status, 'filled');
    close(pit, 2);
  });

  it('an order that must rest is refused where it would trade, and can come again', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 3);
    const wish = pit.request(BOB, 'buy', 100, 3, { postOnly: true });
    assert.equal(refusal(pit.apply({ kind: 'order', ...wish })), 'wouldTrade');
    pit.apply({ kind: 'cancel', owner: ALICE, order: 1 });
    assert.deepEqual(kinds(pit.submit(wish)), ['accepted']);
    pit.order(ALICE, 'sell', 100, 3);
    assert.equal(pit.exchange.records.fills(BOB)[0]?.role, 'maker');
    close(pit, 1);
  });

  it('an iceberg shows a slice, and holds all of it', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 10, { display: 2 });
    pit.order(CAROL, 'sell', 100, 2);
    assert.equal(pit.exchange.available(ALICE, COIN), 990_000n);
    const events = pit.order(BOB, 'buy', 100, 5);
    assert.deepEqual(kinds(events), ['accepted', 'traded', 'refreshed', 'traded', 'traded']);
    assert.deepEqual(tradesIn(events), [
      [2, 100],
      [2, 100],
      [1, 100],
    ]);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.open, 7);
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 100, lots: 9 })), ['amended']);
    assert.equal(refusal(pit.amend(ALICE, 1, { price: 100, lots: 3 })), 'lotsInvalid', 'so much is filled');
    close(pit, 1);
  });

  it('an order with a minimum in sum gets it on arrival, or is cancelled', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 5);
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 100, 10, { minimumTotal: 6 })), ['accepted', 'cancelled']);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 100, 10, { minimumTotal: 5 })), [[5, 100]]);
    assert.deepEqual(lastRecord(pit, BOB), { status: 'open', filled: 5, open: 5, reason: undefined });
    close(pit, 1);
  });

  it('an order with a minimum for a match passes over what is smaller', () => {
    const pit = opened();
    pit.order(ALICE, 'sell', 100, 2);
    pit.order(CAROL, 'sell', 101, 5);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 101, 8, { minimumMatch: 3 })), [[5, 101]]);
    assert.deepEqual(tradesIn(pit.order(CAROL, 'sell', 100, 2)), [], 'what rests has its minimum too');
    assert.deepEqual(tradesIn(pit.order(CAROL, 'sell', 100, 3)), [[3, 101]]);
    close(pit, 2);
  });

  it('a pegged order executes at the reference alone, within its limit, and not without one that can be used', () => {
    const pit = opened();
    const reference = (ticks: number, time: number) => pit.apply({ kind: 'setReference', market: 1, ticks, time });
    const pegged = { type: 'pegged' } as const;
    pit.order(ALICE, 'sell', 90, 10, pegged);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 120, 1, { timeInForce: 'ioc' })), [], 'there is none');
    reference(100, NOW - 2);
    assert.deepEqual(
      tradesIn(pit.order(BOB, 'buy', 120, 1, { timeInForce: 'ioc' })),
      [],
      'the first is confirmed by none',
    );
    assert.equal(pit.refused({ kind: 'setReference', market: 1, ticks: 100, time: NOW - 2 }), 'timeInvalid');
    assert.equal(pit.refused({ kind: 'setReference', market: 1, ticks: 100, time: NOW + 1 }), 'timeInvalid');
    assert.equal(pit.refused({ kind: 'setReference', market: 1, ticks: 0, time: NOW }), 'priceInvalid');
    assert.equal(pit.refused({ kind: 'setReference', market: 7, ticks: 100, time: NOW }), 'marketUnknown');
    reference(100, NOW - 1);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 120, 1)), [[1, 100]]);
    reference(101, NOW);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 120, 1)), [[1, 101]], 'a percent away');
    pit.at(NOW + 61);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 120, 1, { timeInForce: 'ioc' })), [], 'it is too old');
    reference(103, NOW + 61);
    assert.deepEqual(tradesIn(pit.order(BOB, 'buy', 120, 1, { timeInForce: 'ioc' })), [], 'it jumped');
    pit.order(BOB, 'buy', 110, 2, pegged);
    pit.at(NOW + 62);
    const confirmed = reference(103, NOW + 62);
    assert.deepEqual(tradesIn(confirmed), [[2, 103]], 'both pegs meet as soon as it is confirmed');
    reference(102, NOW + 62);
    pit.at(NOW + 63);
    assert.deepEqual(tradesIn(pit.order(CAROL, 'sell', 103, 1, pegged)), []);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.filled, 4);
    close(pit, 3);
  });

  it('pegged orders that met while nothing traded trade when the market opens again', () => {
    const pit = opened();
    pit.apply({ kind: 'setReference', market: 1, ticks: 100, time: NOW - 1 });
    pit.order(ALICE, 'sell', 90, 4, { type: 'pegged' });
    pit.order(BOB, 'buy', 110, 4, { type: 'pegged' });
    pit.apply({ kind: 'setTrading', market: 1, trading: false });
    assert.deepEqual(tradesIn(pit.apply({ kind: 'setReference', market: 1, ticks: 100, time: NOW })), []);
    assert.deepEqual(tradesIn(pit.apply({ kind: 'setTrading', market: 1, trading: true })), [[4, 100]]);
    close(pit, 1);
  });

  for (const side of ['buy', 'sell'] as const) {
    const other: Side = side === 'buy' ? 'sell' : 'buy';
    it(`an owner’s ${side} does not trade with his ${other}, in any of four ways`, () => {
      const left = { cancelNewest: [10, 0], cancelOldest: [0, 4], cancelBoth: [0, 0], decrement: [6, 0] } as const;
      for (const selfTrade of ['cancelNewest', 'cancelOldest', 'cancelBoth', 'decrement'] as const) {
        const pit = opened();
        pit.order(ALICE, other, 100, 10);
        const events = pit.order(ALICE, side, 100, 4, { selfTrade });
        assert.deepEqual(tradesIn(events), []);
        const records = pit.exchange.records.orders(ALICE);
        assert.deepEqual(
          records.map(({ open }) => open),
          left[selfTrade],
          selfTrade,
        );
        assert.deepEqual(
          records.map(({ filled, lots, open, status }) => filled + (status === 'open' ? open : lots)),
          selfTrade === 'decrement' ? [6, 4] : [10, 4],
          'an order that goes on is as large as what is left of it',
        );
        const share = (lots: number | undefined, sell: boolean) =>
          sell ? BigInt(lots ?? 0) * 1_000n : (BigInt(lots ?? 0) * 300n * 10_025n + 9_999n) / 10_000n;
        const holdings = pit.exchange.balances(ALICE).map(({ held }) => held);
        const [rested, came] = left[selfTrade];
        const [coins, dollars] = other === 'sell' ? [rested, came] : [came, rested];
        assert.deepEqual(holdings, [share(coins, true), share(dollars, false)], selfTrade);
        close(pit, 0);
      }
    });
  }

  it('trades at one limit after the other are within it together, however they are rounded', () => {
    const pit = opened();
    // A price and a fee that leave a fraction of every lot.
    for (let order = 0; order < 7; order++) pit.order(ALICE, 'sell', 33, 1);
    for (let order = 0; order < 7; order++) pit.order(ALICE, 'sell', 31, 1);
    assert.equal(tradesIn(pit.order(BOB, 'buy', 33, 14)).length, 14);
    const batch = pit.plan();
    const bought = batch?.fills.find(({ order }) => order.owner === BOB);
    assert.ok(bought !== undefined && bought.sold <= bought.order.sellMax);
    pit.land();
    close(pit, 13);
  });
});
