import assert from 'node:assert/strict';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { ALICE, BOB, COIN, DOLLAR, EXCHANGE_RULES, kinds, NOW, Pit } from '../support/exchange.ts';

describe('an owner who has many orders', () => {
  function opened(): Pit {
    const pit = new Pit();
    pit.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, ordersMax: 3 } });
    pit.credit(ALICE, COIN, 100_000n);
    pit.credit(ALICE, DOLLAR, 100_000n);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    return pit;
  }

  it('has no more of them open than can be settled, of each asset that they sell', () => {
    const pit = opened();
    for (let order = 1; order <= 3; order++) assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 2)), ['accepted']);
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 2) }), 'ordersTooMany');
    assert.equal(pit.refused({ kind: 'withdraw', ...pit.withdrawal(ALICE, COIN, 1_000n, 7n) }), 'ordersTooMany');
    assert.deepEqual(kinds(pit.order(ALICE, 'buy', 90, 2)), ['accepted'], 'what sells another asset counts by itself');
    pit.apply({ kind: 'cancel', owner: ALICE, order: 2 });
    assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 2)), ['accepted']);
  });

  it('has those count that are matched and not settled', () => {
    const pit = opened();
    for (let order = 1; order <= 3; order++) pit.order(ALICE, 'sell', 100, 2);
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 100, 6)), ['accepted', 'traded', 'traded', 'traded']);
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 2) }), 'ordersTooMany');
    pit.restart();
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 2) }), 'ordersTooMany');
    pit.settleAll();
    assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 2)), ['accepted']);
  });

  it('amends them all the same, where that leaves nothing more to settle', () => {
    const pit = opened();
    for (let order = 1; order <= 3; order++) pit.order(ALICE, 'sell', 100, 2);
    const dearer = { price: 110, lots: 2, ...pit.signed(ALICE, 'sell', 110, 2) };
    assert.deepEqual(kinds(pit.amend(ALICE, 1, dearer)), ['amended']);
    pit.order(BOB, 'buy', 100, 1);
    const again = { price: 120, lots: 2, ...pit.signed(ALICE, 'sell', 120, 1) };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 2, amendment: again }), 'ordersTooMany');
  });

  it('is given that number by the operator, in a range', () => {
    const pit = new Pit();
    for (const ordersMax of [0, -1, 1.5, NaN]) {
      assert.equal(pit.refused({ kind: 'configure', rules: { ...EXCHANGE_RULES, ordersMax } }), 'rulesInvalid');
    }
    for (const value of [-1n, 1n << 120n]) {
      const rules = { ...EXCHANGE_RULES, noteMins: [[COIN, value]] as const };
      assert.equal(pit.refused({ kind: 'configure', rules }), 'rulesInvalid');
    }
  });
});

describe('a note', () => {
  it('is credited where it is large enough for its asset', () => {
    const pit = new Pit();
    pit.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, noteMins: [[COIN, 500n]] } });
    const { exchange } = pit;
    assert.deepEqual(
      [499n, 500n].map((value) => exchange.isCredited(COIN, value)),
      [false, true],
    );
    assert.deepEqual(
      [0n, 1n].map((value) => exchange.isCredited(DOLLAR, value)),
      [false, true],
    );
    assert.equal(exchange.time, NOW);
  });
});

describe('what the registry would not let the operator settle', () => {
  const opened = () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 100_000n);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    return pit;
  };
  const until = (seconds: number) => ({ kind: 'setActiveUntil', until: NOW + seconds }) as const;
  const { settleSeconds } = EXCHANGE_RULES;

  it('is not matched any more, whatever rests', () => {
    const pit = opened();
    const first = pit.request(ALICE, 'sell', 100, 2);
    const placed = pit.submit(first);
    pit.order(ALICE, 'sell', 100, 2);
    pit.apply(until(settleSeconds + 1));
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 100, 1)), ['accepted', 'traded'], 'it could be settled yet');
    pit.apply(until(settleSeconds));
    assert.equal(pit.refused({ kind: 'order', ...pit.request(BOB, 'buy', 100, 1) }), 'eraEnding');
    const dearer = { price: 110, lots: 2, ...pit.signed(ALICE, 'sell', 110, 2) };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 2, amendment: dearer }), 'eraEnding');
    assert.equal(pit.refused({ kind: 'setReference', market: 1, ticks: 100, time: NOW }), 'eraEnding');
    assert.deepEqual(kinds(placed), ['accepted']);
    assert.deepEqual(kinds(pit.apply({ kind: 'order', ...first })), ['repeated'], 'what was let in stays so');
    assert.deepEqual(kinds(pit.amend(ALICE, 2, { price: 100, lots: 1 })), ['amended'], 'nothing new can come of it');
    pit.restart();
    assert.equal(pit.refused({ kind: 'order', ...pit.request(BOB, 'buy', 100, 1) }), 'eraEnding');
    assert.deepEqual(kinds(pit.apply({ kind: 'cancel', owner: ALICE, order: 2 })), ['cancelled']);
    pit.apply(until(10 * settleSeconds));
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 100, 1)), ['accepted', 'traded']);
  });

  it('can be taken out for as long as a settlement can be', () => {
    const pit = opened();
    pit.apply(until(BATCH_SECONDS + 1));
    assert.deepEqual(kinds(pit.withdraw(ALICE, COIN, 1_000n, 7n)), ['withdrawing']);
    pit.apply(until(BATCH_SECONDS));
    assert.equal(pit.refused({ kind: 'withdraw', ...pit.withdrawal(ALICE, COIN, 1_000n, 7n) }), 'eraEnding');
  });
});
