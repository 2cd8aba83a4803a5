import assert from 'node:assert/strict';
import { Engine } from '../../enclave/engine/engine.ts';
import type { NewOrder } from '../../enclave/engine/commands.ts';
import type { EngineEvent } from '../../enclave/engine/events.ts';
import { MATCHES_MAX, OPEN_ORDERS_MAX, PASSED_MAX, PEGGED_MATCHES_MAX } from '../../enclave/engine/limits.ts';
import { requestOf } from '../../enclave/engine/request.ts';
import { Desk, RULES, say } from '../support/engine/desk.ts';
import { QuickDice } from '../support/engine/randomCommands.ts';

describe('the rules of the matching engine', () => {
  let desk: Desk;

  beforeEach(() => {
    desk = new Desk();
  });

  describe('price and time', () => {
    it('serve the best price first, then the earliest, each at its own price', () => {
      desk.submit('sell', 5, 102);
      desk.submit('sell', 5, 101);
      desk.submit('sell', 5, 101);
      assert.deepEqual(desk.submit('buy', 12, 102), [
        '#4',
        '#2 gives #4 5 at 101',
        '#3 gives #4 5 at 101',
        '#1 gives #4 2 at 102',
      ]);
      assert.deepEqual(desk.queue('sell'), ['#1 3/3']);
    });

    it('let the rest of a limit order rest, and that of an immediate one and of a market order go', () => {
      desk.submit('sell', 5, 100);
      assert.deepEqual(desk.submit('buy', 8, 100), ['#2', '#1 gives #2 5 at 100']);
      assert.deepEqual(desk.queue('buy'), ['#2 3/3']);
      assert.deepEqual(desk.submit('sell', 4, 100, { timeInForce: 'ioc' }), [
        '#3',
        '#2 gives #3 3 at 100',
        '#3 cancelled by 1: immediate',
      ]);
      desk.submit('buy', 2, 90);
      desk.submit('buy', 2, 80);
      // The price of protection.
      assert.deepEqual(desk.submit('sell', 4, 85, { type: 'market', timeInForce: 'ioc' }), [
        '#6',
        '#4 gives #6 2 at 90',
        '#6 cancelled by 2: immediate',
      ]);
    });

    it('hold at both ends of the range of prices', () => {
      const engine = new Engine();
      engine.apply({ kind: 'addMarket', ...RULES, ticksMax: 2 ** 31 - 1, trading: true });
      const common = { kind: 'submit', market: 0, type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelBoth' } as const;
      for (const price of [1, 2 ** 31 - 1, 2 ** 30, 31, 32]) {
        engine.apply({ ...common, account: 1, side: 'sell', price, lots: 1 });
      }
      const prices = [...engine.levels(0, 'sell', 'limit')].map((level) => level.price);
      assert.deepEqual(prices, [1, 31, 32, 2 ** 30, 2 ** 31 - 1]);
      const events = engine.apply({ ...common, account: 2, side: 'buy', price: 2 ** 31 - 1, lots: 6 });
      assert.equal(events.filter(({ kind }) => kind === 'traded').length, 5);
      assert.deepEqual(
        [...engine.levels(0, 'buy', 'limit')].map((level) => level.price),
        [2 ** 31 - 1],
      );
    });
  });

  describe('fill or kill', () => {
    it('fills all or nothing', () => {
      desk.submit('sell', 5, 100);
      desk.submit('sell', 5, 101);
      assert.deepEqual(desk.submit('buy', 11, 101, { timeInForce: 'fok' }), ['#3', '#3 cancelled by 11: minimum']);
      assert.deepEqual(desk.submit('buy', 6, 100, { timeInForce: 'fok' }), ['#4', '#4 cancelled by 6: minimum']);
      assert.deepEqual(desk.submit('buy', 10, 101, { timeInForce: 'fok' }), [
        '#5',
        '#1 gives #5 5 at 100',
        '#2 gives #5 5 at 101',
      ]);
    });

    it('counts what an iceberg hides', () => {
      desk.submit('sell', 10, 100, { display: 3 });
      assert.deepEqual(desk.submit('buy', 10, 100, { timeInForce: 'fok' }), [
        '#2',
        '#1 gives #2 3 at 100',
        '#1 shows 3',
        '#1 gives #2 3 at 100',
        '#1 shows 3',
        '#1 gives #2 3 at 100',
        '#1 shows 1',
        '#1 gives #2 1 at 100',
      ]);
    });

    it('counts nothing behind an own order that cancels it, and no own order', () => {
      desk.submit('sell', 5, 100, { display: 2 });
      desk.submit('sell', 5, 100, { account: 7 });
      desk.submit('sell', 9, 100);
      const own = { account: 7, timeInForce: 'fok' } as const;
      // Before the own order stands one slice; the next would stand behind it.
      assert.deepEqual(desk.submit('buy', 3, 100, { ...own, selfTrade: 'cancelNewest' }), [
        '#4',
        '#4 cancelled by 3: minimum',
      ]);
      assert.deepEqual(desk.submit('buy', 3, 100, { ...own, selfTrade: 'decrement' }), [
        '#5',
        '#5 cancelled by 3: minimum',
      ]);
      assert.deepEqual(desk.submit('buy', 15, 100, { ...own, selfTrade: 'cancelOldest' }), [
        '#6',
        '#6 cancelled by 15: minimum',
      ]);
      assert.deepEqual(desk.queue('sell'), ['#1 2/5', '#2 5/5', '#3 9/9']);
      const events = desk.submit('buy', 14, 100, { ...own, selfTrade: 'cancelOldest' });
      assert.ok(events.includes('#2 cancelled by 5: selfTrade'));
      assert.deepEqual(desk.queue('sell'), []);
    });

    it('counts nobody whom a minimum keeps away', () => {
      desk.submit('sell', 4, 100);
      desk.submit('sell', 6, 100);
      const picky = { timeInForce: 'fok', minimumMatch: 5 } as const;
      assert.deepEqual(desk.submit('buy', 10, 100, picky), ['#3', '#3 cancelled by 10: minimum']);
      assert.deepEqual(desk.submit('buy', 6, 100, picky), ['#4', '#2 gives #4 6 at 100']);
    });
  });

  describe('minimums', () => {
    it('in sum: an order gets that much on arrival or goes, and its rest has no minimum in sum', () => {
      desk.submit('sell', 3, 100);
      desk.submit('sell', 3, 101);
      assert.deepEqual(desk.submit('buy', 10, 100, { minimumTotal: 4 }), ['#3', '#3 cancelled by 10: minimum']);
      desk.submit('buy', 10, 101, { minimumTotal: 6 });
      assert.deepEqual(desk.queue('buy'), ['#4 4/4']);
      assert.deepEqual(desk.submit('sell', 1, 101), ['#5', '#4 gives #5 1 at 101']);
    });

    it('for a match: who offers less is passed over and keeps the place', () => {
      desk.submit('sell', 4, 100);
      desk.submit('sell', 9, 101);
      assert.deepEqual(desk.submit('buy', 10, 101, { minimumMatch: 5 }), ['#3', '#2 gives #3 9 at 101']);
      // Nobody else: both cross, and do not look at each other again.
      assert.deepEqual([desk.queue('buy'), desk.queue('sell')], [['#3 1/1'], ['#1 4/4']]);
      assert.deepEqual(desk.submit('buy', 4, 100), ['#4', '#1 gives #4 4 at 100']);
    });

    it('for a match: one that rests is not taken in smaller parts, but for its last', () => {
      desk.submit('sell', 7, 100, { minimumMatch: 5 });
      desk.submit('sell', 2, 100);
      assert.deepEqual(desk.submit('buy', 4, 100, { timeInForce: 'ioc' }), [
        '#3',
        '#2 gives #3 2 at 100',
        '#3 cancelled by 2: immediate',
      ]);
      assert.deepEqual(desk.submit('buy', 5, 100), ['#4', '#1 gives #4 5 at 100']);
      assert.deepEqual(desk.submit('buy', 2, 100), ['#5', '#1 gives #5 2 at 100']);
    });
  });

  describe('icebergs', () => {
    it('stand at the end of the queue with each new slice', () => {
      desk.submit('sell', 6, 100, { display: 2 });
      desk.submit('sell', 3, 100);
      assert.deepEqual(desk.submit('buy', 6, 100), [
        '#3',
        '#1 gives #3 2 at 100',
        '#1 shows 2',
        '#2 gives #3 3 at 100',
        '#1 gives #3 1 at 100',
      ]);
      assert.deepEqual(desk.queue('sell'), ['#1 1/3']);
      desk.submit('sell', 1, 100);
      desk.submit('buy', 1, 100);
      assert.deepEqual(desk.queue('sell'), ['#4 1/1', '#1 2/2']);
    });

    it('take with all they have and show one slice of the rest', () => {
      desk.submit('sell', 5, 100);
      assert.deepEqual(desk.submit('buy', 12, 100, { display: 3 }), ['#2', '#1 gives #2 5 at 100']);
      assert.deepEqual(desk.queue('buy'), ['#2 3/7']);
    });

    it('show at least a thousandth, so that one taker makes no more trades than that', () => {
      assert.deepEqual(desk.submit('sell', 2001, 100, { display: 2 }), ['rejected: displayInvalid']);
      assert.deepEqual(desk.submit('sell', 2000, 100, { display: 2 }), ['#1']);
      assert.deepEqual(desk.amend(1, 100, 2001), ['rejected: displayInvalid']);
    });
  });

  describe('post-only', () => {
    it('orders are rejected where they would match, be it an own order', () => {
      desk.submit('sell', 5, 100, { account: 7 });
      assert.deepEqual(desk.submit('buy', 5, 100, { postOnly: true }), ['rejected: wouldTrade']);
      assert.deepEqual(desk.submit('buy', 5, 100, { postOnly: true, account: 7 }), ['rejected: wouldTrade']);
      assert.deepEqual(desk.submit('buy', 5, 99, { postOnly: true }), ['#2']);
      assert.deepEqual(desk.amend(2, 100, 5), ['rejected: wouldTrade']);
      assert.deepEqual(desk.queue('buy'), ['#2 5/5']);
    });

    it('orders rest where a minimum lets them pass', () => {
      desk.submit('sell', 5, 100, { minimumMatch: 5 });
      assert.deepEqual(desk.submit('buy', 4, 100, { postOnly: true }), ['#2']);
      assert.deepEqual(desk.amend(2, 100, 5), ['rejected: wouldTrade']);
    });
  });

  describe('self-trade', () => {
    const cases = [
      ['cancelNewest', ['#2 cancelled by 8: selfTrade'], ['#1 5/5'], []],
      ['cancelOldest', ['#1 cancelled by 5: selfTrade'], [], ['#2 8/8']],
      ['cancelBoth', ['#1 cancelled by 5: selfTrade', '#2 cancelled by 8: selfTrade'], [], []],
      ['decrement', ['#1 cancelled by 5: selfTrade', '#2 reduced by 5: selfTrade'], [], ['#2 3/3']],
    ] as const;
    for (const [selfTrade, events, sells, buys] of cases) {
      it(`is prevented by ${selfTrade}`, () => {
        desk.submit('sell', 5, 100, { account: 7 });
        assert.deepEqual(desk.submit('buy', 8, 100, { account: 7, selfTrade }), ['#2', ...events]);
        assert.deepEqual([desk.queue('sell'), desk.queue('buy')], [sells, buys]);
      });
    }

    it('is prevented where an order is amended into an own one', () => {
      desk.submit('sell', 5, 100, { account: 7 });
      desk.submit('buy', 5, 99, { account: 7 });
      assert.deepEqual(desk.amend(2, 100, 5), ['#2 amended to 5 at 100', '#2 cancelled by 5: selfTrade']);
      assert.deepEqual(desk.queue('sell'), ['#1 5/5']);
    });

    it('is prevented by decrementing slice by slice', () => {
      desk.submit('sell', 5, 100, { account: 7, display: 2 });
      assert.deepEqual(desk.submit('buy', 3, 100, { account: 7, selfTrade: 'decrement' }), [
        '#2',
        '#1 reduced by 2: selfTrade',
        '#1 shows 2',
        '#2 reduced by 2: selfTrade',
        '#1 reduced by 1: selfTrade',
        '#2 cancelled by 1: selfTrade',
      ]);
      assert.deepEqual(desk.queue('sell'), ['#1 1/2']);
    });

    it('is none where a minimum keeps both apart', () => {
      desk.submit('sell', 2, 100, { account: 7 });
      assert.deepEqual(desk.submit('buy', 5, 100, { account: 7, minimumMatch: 3 }), ['#2']);
    });
  });

  describe('amending', () => {
    beforeEach(() => {
      desk.submit('buy', 5, 100);
      desk.submit('buy', 5, 100);
    });

    it('keeps the place with fewer lots or the same', () => {
      assert.deepEqual(desk.amend(1, 100, 3), ['#1 amended to 3 at 100']);
      assert.deepEqual(desk.amend(1, 100, 3), ['#1 amended to 3 at 100']);
      assert.deepEqual(desk.queue('buy'), ['#1 3/3', '#2 5/5']);
    });

    it('loses the place with more lots or another price', () => {
      desk.amend(1, 100, 6);
      assert.deepEqual(desk.queue('buy'), ['#2 5/5', '#1 6/6']);
      desk.amend(2, 99, 5);
      desk.amend(2, 100, 5);
      assert.deepEqual(desk.queue('buy'), ['#1 6/6', '#2 5/5']);
    });

    it('trades at once where the new price crosses', () => {
      desk.submit('sell', 3, 101);
      assert.deepEqual(desk.amend(1, 102, 5), ['#1 amended to 5 at 102', '#3 gives #1 3 at 101']);
      assert.deepEqual(desk.queue('buy'), ['#1 2/2', '#2 5/5']);
    });

    it('counts what was filled', () => {
      desk.submit('sell', 3, 100);
      assert.deepEqual(desk.amend(1, 100, 3), ['rejected: lotsInvalid']);
      assert.deepEqual(desk.amend(1, 100, 4), ['#1 amended to 4 at 100']);
      assert.deepEqual(desk.queue('buy'), ['#1 1/1', '#2 5/5']);
    });

    it('is for the owner alone', () => {
      const foreign = { account: 5, order: 1 };
      assert.deepEqual(desk.engine.apply({ kind: 'amend', ...foreign, price: 100, lots: 1 }).map(say), [
        'rejected: notOwner',
      ]);
      assert.deepEqual(desk.engine.apply({ kind: 'cancel', ...foreign }).map(say), ['rejected: notOwner']);
      assert.deepEqual(desk.amend(9, 100, 1), ['rejected: orderUnknown']);
    });
  });

  describe('cancelling and reducing', () => {
    it('takes an order once', () => {
      desk.submit('buy', 5, 100);
      assert.deepEqual(desk.cancel(1), ['#1 cancelled by 5: requested']);
      assert.deepEqual(desk.cancel(1), ['rejected: orderUnknown']);
    });

    it('takes all orders of an account, of one market or of all, by id', () => {
      desk.engine.apply({ kind: 'addMarket', ...RULES, market: 4, trading: true });
      desk.submit('buy', 1, 90, { account: 7 });
      desk.submit('buy', 2, 99, { account: 7, market: 4 });
      desk.submit('buy', 3, 95, { account: 8 });
      desk.submit('sell', 4, 100, { account: 7 });
      desk.amend(1, 91, 1);
      const all = (market?: number) =>
        desk.engine.apply({ kind: 'cancelAll', account: 7, ...(market === undefined ? {} : { market }) }).map(say);
      assert.deepEqual(all(4), ['#2 cancelled by 2: requested']);
      assert.deepEqual(all(5), ['rejected: marketUnknown']);
      assert.deepEqual(all(), ['#1 cancelled by 1: requested', '#4 cancelled by 4: requested']);
      assert.deepEqual(all(), []);
      assert.deepEqual(desk.queue('buy'), ['#3 3/3']);
    });

    it('takes an order from the book for reasons of the system, and says which', () => {
      desk.submit('buy', 5, 100);
      desk.submit('buy', 5, 100);
      assert.deepEqual(desk.drop(1, 'funds'), ['#1 cancelled by 5: funds']);
      assert.deepEqual(desk.queue('buy'), ['#2 5/5']);
      assert.deepEqual(desk.drop(1, 'funds'), ['rejected: orderUnknown']);
      assert.deepEqual(desk.drop(2, 'takenBack'), ['#2 cancelled by 5: takenBack']);
    });
  });

  describe('time', () => {
    it('expires orders by expiry, then by id, from the very second on', () => {
      const gtd = (expiry: number) => ({ timeInForce: 'gtd', expiry }) as const;
      assert.deepEqual(desk.submit('buy', 1, 100, gtd(1000)), ['rejected: expiryInvalid']);
      for (const expiry of [1010, 1005, 1010, 1005, 1020]) desk.submit('buy', 1, 100, gtd(expiry));
      assert.deepEqual(desk.time(1004), ['second 1004']);
      assert.deepEqual(desk.time(1010), [
        'second 1010',
        '#2 cancelled by 1: expired',
        '#4 cancelled by 1: expired',
        '#1 cancelled by 1: expired',
        '#3 cancelled by 1: expired',
      ]);
      assert.deepEqual(desk.time(1009), ['rejected: timeInvalid']);
    });

    it('expires an order that took the place of a later one', () => {
      const submit = (second: number) => desk.submit('buy', 1, 100, { timeInForce: 'gtd', expiry: 1000 + second });
      for (const second of [1, 10, 2, 11, 12, 3, 4]) submit(second);
      desk.cancel(4);
      for (const second of [20, 21]) submit(second);
      const expired = [1, 3, 6, 7].map((order) => `#${order} cancelled by 1: expired`);
      assert.deepEqual(desk.time(1005), ['second 1005', ...expired]);
    });

    it('expires what is left of many orders in order', () => {
      const dice = new QuickDice(1);
      const expiries = Array.from({ length: 500 }, () => 1001 + dice.int(300));
      for (const expiry of expiries) desk.submit('buy', 1, 100, { timeInForce: 'gtd', expiry });
      const left = expiries.map((expiry, index) => ({ expiry, order: index + 1 })).filter(() => dice.chance(50));
      const kept = new Set(left.map(({ order }) => order));
      for (let order = 1; order <= expiries.length; order++) if (!kept.has(order)) desk.cancel(order);
      left.sort((one, other) => one.expiry - other.expiry || one.order - other.order);
      const expected = left.map(({ order }) => `#${order} cancelled by 1: expired`);
      assert.deepEqual(desk.time(2000), ['second 2000', ...expected]);
    });
  });
});

describe('what the engine rejects', () => {
  const bad = [
    ['marketUnknown', { market: 1 }],
    ['marketUnknown', { market: 0.5 }],
    ['accountInvalid', { account: -1 }],
    ['accountInvalid', { account: 2 ** 31 }],
    ['codeInvalid', { side: 'both' as 'buy' }],
    ['codeInvalid', { type: 'stop' as 'limit' }],
    ['codeInvalid', { timeInForce: 'day' as 'gtc' }],
    ['codeInvalid', { selfTrade: 'allow' as 'cancelBoth' }],
    ['priceInvalid', { price: 0 }],
    ['priceInvalid', { price: 1.5 }],
    ['priceInvalid', { price: NaN }],
    ['priceInvalid', { price: 1_000_001 }],
    ['lotsInvalid', { lots: 0 }],
    ['lotsInvalid', { lots: 1_000_001 }],
    ['displayInvalid', { display: 6 }],
    ['minimumInvalid', { minimumTotal: 6 }],
    ['minimumInvalid', { minimumMatch: 6 }],
    ['minimumInvalid', { minimumMatch: 3, display: 2 }],
    ['expiryInvalid', { expiry: 2000 }],
    ['expiryInvalid', { timeInForce: 'gtd' }],
    ['combinationInvalid', { type: 'market' }],
    ['combinationInvalid', { display: 2, timeInForce: 'ioc' }],
    ['combinationInvalid', { minimumTotal: 2, timeInForce: 'fok' }],
    ['combinationInvalid', { postOnly: true, timeInForce: 'ioc' }],
    ['combinationInvalid', { postOnly: true, minimumTotal: 2 }],
    ['combinationInvalid', { postOnly: true, type: 'pegged' }],
  ] as const;
  for (const [reason, more] of bad) {
    it(`${reason}: ${JSON.stringify(more)}`, () => {
      const desk = new Desk();
      desk.submit('sell', 5, 100);
      const before = desk.engine.snapshot();
      assert.deepEqual(desk.submit('buy', 5, 100, more), [`rejected: ${reason}`]);
      assert.deepEqual(desk.engine.snapshot(), before);
    });
  }

  it('a notional beyond the safe integers, to the last lot', () => {
    const engine = new Engine();
    engine.apply({ kind: 'addMarket', ...RULES, ticksMax: 2 ** 31 - 1, lotsMax: 2 ** 53 - 1, trading: true });
    const common = { market: 0, account: 1, side: 'buy', type: 'limit', timeInForce: 'gtc' } as const;
    const submit = (price: number, lots: number) =>
      engine.apply({ kind: 'submit', ...common, selfTrade: 'cancelBoth', price, lots }).map(say);
    const lots = Math.floor((2 ** 53 - 1) / (2 ** 31 - 1));
    assert.deepEqual(submit(2 ** 31 - 1, lots + 1), ['rejected: notionalInvalid']);
    assert.deepEqual(submit(2, 2 ** 52), ['rejected: notionalInvalid']);
    assert.deepEqual(submit(2 ** 31 - 1, lots), ['#1']);
    assert.deepEqual(submit(2, 2 ** 52 - 1), ['#2']);
    assert.deepEqual(submit(1, 2 ** 53 - 1), ['#3']);
  });

  it('more than so many others at once: what is left is cancelled, and what needs all of them too', () => {
    const engine = new Engine();
    engine.apply({ kind: 'addMarket', ...RULES, trading: true });
    const order = { market: 0, side: 'sell', type: 'limit', timeInForce: 'gtc', selfTrade: 'decrement' } as const;
    const rest = (account: number, lots: number, display?: number) =>
      engine.apply({
        kind: 'submit',
        ...order,
        account,
        price: 5,
        lots,
        ...(display === undefined ? {} : { display }),
      });
    const buy = (lots: number, changes: Partial<NewOrder> = {}) =>
      engine.apply({ kind: 'submit', ...order, side: 'buy', account: 9, price: 5, lots, ...changes });
    const counts = (events: readonly EngineEvent[]) => events.filter(({ kind }) => kind === 'traded').length;
    rest(1, MATCHES_MAX - 2, 1);
    for (let count = 0; count < 5; count++) rest(2, 1);
    for (const wish of [{ timeInForce: 'fok' }, { minimumTotal: MATCHES_MAX + 1 }] as const) {
      const killed = buy(MATCHES_MAX + 1, wish);
      assert.deepEqual([counts(killed), killed.length, killed[1]], [0, 2, { ...killed[1], reason: 'minimum' }]);
    }
    // One of them is of the taker's own account, and counts.
    rest(9, 1);
    const events = buy(MATCHES_MAX + 4);
    const last = events.at(-1);
    assert.equal(counts(events), MATCHES_MAX - 1);
    assert.deepEqual(last?.kind === 'cancelled' && [last.reason, last.lots], ['matchesMax', 4]);
    const { orders } = engine.snapshot();
    assert.deepEqual(
      orders.map(({ account, open }) => [account, open]),
      [[1, 4]],
      'the others rest, and nothing crosses them',
    );
    const [low] = engine.apply({ kind: 'submit', ...order, side: 'buy', account: 9, price: 4, lots: MATCHES_MAX + 9 });
    rest(1, MATCHES_MAX, 1);
    const id = low?.kind === 'accepted' ? low.order : 0;
    const amended = engine.apply({ kind: 'amend', account: 9, order: id, price: 5, lots: MATCHES_MAX + 9 });
    const end = amended.at(-1);
    assert.deepEqual(end?.kind === 'cancelled' && [end.order, end.reason, end.lots], [id, 'matchesMax', 9]);
    assert.equal(engine.order(id), undefined);
    assert.equal(Engine.restore(engine.snapshot()).hash(), engine.hash());
  });

  describe('more at once by a reference', () => {
    const pegged = { market: 0, type: 'pegged', timeInForce: 'gtc', selfTrade: 'cancelNewest', price: 100 } as const;
    let engine: Engine;
    let time: number;

    beforeEach(() => {
      engine = new Engine();
      engine.apply({ kind: 'addMarket', ...RULES, trading: true });
      time = 0;
    });

    const rest = (side: 'buy' | 'sell', lots: number, changes: Partial<NewOrder> = {}) => {
      const account = side === 'buy' ? 1 : 2;
      const events = engine.apply({ kind: 'submit', ...pegged, account, side, lots, ...changes });
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['accepted'],
      );
    };
    /** @returns how many matches one brought that is used. */
    const reference = () => {
      engine.apply({ kind: 'setTime', time: ++time });
      const events = engine.apply({ kind: 'setReference', market: 0, ticks: 100, time });
      return events.filter(({ kind }) => kind === 'traded').length;
    };

    it('than so many matches: the others wait for the next', () => {
      for (let count = 0; count < 12; count++) {
        rest('sell', 1_000, { display: 1 });
        rest('buy', 1_000);
      }
      assert.equal(reference(), 0, 'the first waits for a second');
      assert.equal(reference(), PEGGED_MATCHES_MAX);
      assert.equal(Engine.restore(engine.snapshot()).hash(), engine.hash());
      assert.equal(reference(), 12_000 - PEGGED_MATCHES_MAX);
    });

    it('than so many that are passed over, be it those that would trade', () => {
      for (let count = 0; count ** 2 < PASSED_MAX; count++) {
        rest('sell', 1);
        rest('buy', 10, { minimumMatch: 10 });
      }
      rest('buy', 1);
      reference();
      assert.equal(reference(), 0);
      engine.apply({ kind: 'cancel', account: 1, order: 2 });
      assert.equal(reference(), 1, 'with one less that passes over all the others');
    });
  });

  it('more open orders than there is room for', function () {
    this.timeout(60_000);
    const engine = new Engine();
    engine.apply({ kind: 'addMarket', ...RULES, trading: true });
    const common = { market: 0, account: 1, side: 'buy', type: 'limit', price: 1, lots: 1 } as const;
    const request = requestOf({ ...common, timeInForce: 'gtc', selfTrade: 'cancelBoth' });
    for (let count = 0; count < OPEN_ORDERS_MAX; count++) engine.submit(request);
    engine.submit(request);
    assert.deepEqual(engine.events.list().map(say), ['rejected: engineFull']);
    engine.cancel(1, 5);
    engine.submit(request);
    assert.deepEqual(engine.events.list().map(say), [`#${OPEN_ORDERS_MAX + 1}`]);
  });
});

describe('a snapshot', () => {
  it('of another version, or one that was changed, is not restored', () => {
    const desk = new Desk();
    desk.submit('sell', 5, 100);
    const snapshot = desk.engine.snapshot();
    assert.equal(Engine.restore(snapshot).hash(), snapshot.hash);
    assert.throws(() => Engine.restore({ ...snapshot, version: 2 }), /has version 2, expected 1/);
    const orders = snapshot.orders.map((order) => ({ ...order, open: 4 }));
    assert.throws(() => Engine.restore({ ...snapshot, orders }), /does not have the hash/);
  });

  it('is that of the state though nobody asked for a hash during many changes', () => {
    const desk = new Desk();
    desk.submit('sell', 10_000, 100);
    for (let lots = 9_999; lots > 1_000; lots--) desk.amend(1, 100, lots);
    desk.submit('sell', 5, 100);
    const snapshot = desk.engine.snapshot();
    assert.equal(Engine.restore(snapshot).hash(), snapshot.hash);
  });

  it('has the same hash whichever way orders came to be as they are', () => {
    const [left, right] = [new Desk(), new Desk()];
    for (const desk of [left, right]) {
      for (const lots of [5, 6, 7]) desk.submit('sell', lots, 100 + lots, { account: lots });
    }
    left.amend(1, 105, 3);
    left.cancel(2);
    right.cancel(2);
    right.engine.hash();
    right.amend(1, 105, 4);
    right.amend(1, 105, 3);
    assert.equal(left.engine.hash(), right.engine.hash());
    right.amend(3, 107, 1);
    assert.notEqual(left.engine.hash(), right.engine.hash());
  });
});
