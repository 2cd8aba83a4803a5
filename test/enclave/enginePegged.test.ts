import assert from 'node:assert/strict';
import { Desk, say } from '../support/engine/desk.ts';

describe('pegged orders', () => {
  const pegged = { type: 'pegged' } as const;
  let desk: Desk;

  beforeEach(() => {
    desk = new Desk();
    desk.steadyReference(1000, 1000);
  });

  it('trade with each other at the reference, by limit and then by time', () => {
    desk.submit('sell', 5, 999, pegged);
    desk.submit('sell', 5, 990, pegged);
    desk.submit('sell', 5, 999, pegged);
    desk.submit('sell', 5, 1001, pegged);
    assert.deepEqual(desk.submit('buy', 20, 1010, pegged), [
      '#5',
      '#2 gives #5 5 at 1000 by the reference of 1000',
      '#1 gives #5 5 at 1000 by the reference of 1000',
      '#3 gives #5 5 at 1000 by the reference of 1000',
    ]);
    assert.deepEqual([desk.queue('buy', 'pegged'), desk.queue('sell', 'pegged')], [['#5 5/5'], ['#4 5/5']]);
  });

  it('come after limit orders of their price, and before those of worse ones', () => {
    desk.submit('sell', 1, 1001);
    desk.submit('sell', 1, 990, pegged);
    desk.submit('sell', 1, 1000);
    desk.submit('sell', 1, 998);
    assert.deepEqual(desk.submit('buy', 4, 1001), [
      '#5',
      '#4 gives #5 1 at 998',
      '#3 gives #5 1 at 1000',
      '#2 gives #5 1 at 1000 by the reference of 1000',
      '#1 gives #5 1 at 1001',
    ]);
  });

  it('take limit orders at the reference too, whatever better price those ask', () => {
    desk.submit('sell', 1, 990);
    desk.submit('sell', 1, 1001);
    assert.deepEqual(desk.submit('buy', 2, 1005, { ...pegged, timeInForce: 'ioc' }), [
      '#3',
      '#1 gives #3 1 at 1000 by the reference of 1000',
      '#3 cancelled by 1: immediate',
    ]);
  });

  it('do not trade by a reference that is too old', () => {
    desk.submit('sell', 5, 990, pegged);
    desk.time(1010);
    assert.deepEqual(desk.submit('buy', 1, 1000, pegged), ['#2', '#1 gives #2 1 at 1000 by the reference of 1000']);
    desk.time(1011);
    assert.deepEqual(desk.submit('buy', 1, 1000, pegged), ['#3']);
    assert.deepEqual(desk.submit('buy', 1, 1000), ['#4']);
  });

  it('do not trade by the first reference, nor by one that jumped, until one confirms it', () => {
    const fresh = new Desk();
    assert.deepEqual(fresh.reference(1000, 998), ['reference 1000 waits']);
    assert.deepEqual(fresh.reference(1000, 998), ['rejected: timeInvalid']);
    assert.deepEqual(fresh.reference(1010, 999), ['reference 1010 used']);
    assert.deepEqual(fresh.reference(1021, 1000), ['reference 1021 waits']);
    assert.deepEqual(fresh.reference(1021, 1001), ['rejected: timeInvalid']);
    fresh.time(1002);
    fresh.submit('sell', 2, 1000, pegged);
    assert.deepEqual(fresh.submit('buy', 1, 1030, pegged), ['#2']);
    assert.deepEqual(fresh.reference(1020, 1002), [
      'reference 1020 used',
      '#1 gives #2 1 at 1020 by the reference of 1002',
    ]);
  });

  it('trade when the reference comes within their limits', () => {
    desk.submit('buy', 3, 995, pegged);
    desk.submit('sell', 2, 992);
    desk.submit('sell', 2, 990, pegged);
    desk.time(1001);
    assert.deepEqual(desk.reference(994, 1001), [
      'reference 994 used',
      '#2 gives #1 2 at 994 by the reference of 1001',
      '#3 gives #1 1 at 994 by the reference of 1001',
    ]);
  });

  it('let limit orders of their own side go first when the reference moves', () => {
    desk.submit('sell', 1, 990, pegged);
    desk.submit('buy', 1, 999, pegged);
    desk.submit('buy', 1, 998);
    desk.time(1001);
    assert.deepEqual(desk.reference(997, 1001), [
      'reference 997 used',
      '#3 gives #1 1 at 997 by the reference of 1001',
    ]);
    assert.deepEqual(desk.queue('buy', 'pegged'), ['#2 1/1']);
  });

  it('do not trade while the market does not, and do when it does again', () => {
    desk.submit('buy', 1, 995, pegged);
    desk.submit('sell', 1, 990, pegged);
    desk.time(1001);
    const setTrading = (trading: boolean) => desk.engine.apply({ kind: 'setTrading', market: 0, trading }).map(say);
    setTrading(false);
    assert.deepEqual(desk.reference(994, 1001), ['reference 994 used']);
    assert.deepEqual(desk.submit('buy', 1, 900), ['rejected: tradingHalted']);
    assert.deepEqual(desk.amend(1, 996, 1), ['rejected: tradingHalted']);
    assert.deepEqual(desk.amend(1, 995, 1), ['#1 amended to 1 at 995']);
    assert.deepEqual(setTrading(true), ['tradingSet', '#2 gives #1 1 at 994 by the reference of 1001']);
  });

  it('prevent self-trade too', () => {
    desk.submit('sell', 5, 990, { ...pegged, account: 7 });
    assert.deepEqual(desk.submit('buy', 5, 1000, { ...pegged, account: 7 }), ['#2', '#2 cancelled by 5: selfTrade']);
  });
});
