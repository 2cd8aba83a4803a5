import assert from 'node:assert/strict';
import { serialize } from 'node:v8';
import { AMOUNT_MAX, FIELD_MODULUS, TIME_MAX } from '@bitcloak/protocol/parameters';
import type { FillRecord, OrderRecord, Report, WithdrawalRecord } from '@bitcloak/trading/records';
import type { ExchangeRules, Match, Ticket, Working } from '../../enclave/exchange/commands.ts';
import type { OrderState } from '../../enclave/engine/snapshot.ts';
import { PEGGED_MATCHES_MAX } from '../../enclave/engine/limits.ts';
import { EXCHANGE_LIMITS, type ExchangeLimits } from '../../enclave/exchange/limits.ts';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { STATE_BYTES_MAX } from '../../enclave/journal/snapshotFile.ts';
import { ALICE, BOB, COIN, DOLLAR, EXCHANGE_RULES, kinds, NOW, Pit } from '../support/exchange.ts';

const STRANGERS = [0x511n, 0x512n, 0x513n] as const;

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

describe('what all owners have together', () => {
  it('is bounded in signed orders: another waits until one is done with', () => {
    const pit = new Pit({}, { ...EXCHANGE_LIMITS, tickets: 3 });
    pit.credit(ALICE, COIN, 100_000n);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    for (let order = 1; order <= 2; order++) assert.deepEqual(kinds(pit.order(ALICE, 'sell', 100, 2)), ['accepted']);
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 90, 1)), ['accepted']);
    const refused = () => pit.refused({ kind: 'order', ...pit.request(BOB, 'buy', 90, 1) });
    assert.equal(refused(), 'engineFull');
    assert.deepEqual(
      kinds(pit.withdraw(ALICE, COIN, 1_000n, 7n)),
      ['withdrawing'],
      'what rests keeps nobody from leaving',
    );
    const dearer = { price: 110, lots: 2, ...pit.signed(ALICE, 'sell', 110, 2) };
    assert.deepEqual(kinds(pit.amend(ALICE, 1, dearer)), ['amended'], 'in the place of the one before');
    assert.deepEqual(kinds(pit.amend(BOB, 1, { price: 100, lots: 1, ...pit.signed(BOB, 'buy', 100, 1) })), [
      'amended',
      'traded',
    ]);
    pit.restart();
    const again = { price: 120, lots: 2, ...pit.signed(ALICE, 'sell', 120, 1) };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 2, amendment: again }), 'engineFull');
    assert.equal(refused(), 'engineFull', 'unsettled ones count');
    pit.settleAll();
    assert.deepEqual(kinds(pit.withdraw(ALICE, COIN, 1_000n, 7n)), ['withdrawing']);
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 90, 1)), ['accepted'], 'nor do withdrawals that wait keep orders out');
    assert.equal(refused(), 'engineFull');
  });

  it('is bounded in matches that wait', () => {
    const pit = new Pit({}, { ...EXCHANGE_LIMITS, matches: 3 });
    pit.credit(ALICE, COIN, 100_000n);
    for (const owner of [BOB, ...STRANGERS]) pit.credit(owner, DOLLAR, 1_000_000n);
    const [second, third] = STRANGERS;
    pit.order(ALICE, 'sell', 100, 10, { display: 1 });
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 100, 2)).slice(0, 2), ['accepted', 'traded']);
    assert.deepEqual(kinds(pit.order(second, 'buy', 100, 1)).slice(0, 2), ['accepted', 'traded']);
    assert.equal(pit.refused({ kind: 'order', ...pit.request(third, 'buy', 90, 1) }), 'settlementBusy');
    const dearer = { price: 110, lots: 10, ...pit.signed(ALICE, 'sell', 110, 7) };
    assert.equal(pit.refused({ kind: 'amend', owner: ALICE, order: 1, amendment: dearer }), 'settlementBusy');
    assert.deepEqual(kinds(pit.amend(ALICE, 1, { price: 100, lots: 9 })), ['amended'], 'nothing new can come of it');
    pit.settleAll();
    assert.deepEqual(kinds(pit.order(third, 'buy', 90, 1)), ['accepted']);
  });

  it('is bounded in withdrawals that wait, which trades do not keep out, nor they the trades', () => {
    const pit = new Pit({}, { ...EXCHANGE_LIMITS, matches: 3 });
    pit.credit(ALICE, COIN, 100_000n);
    for (const owner of [BOB, ...STRANGERS]) {
      pit.credit(owner, COIN, 100_000n);
      pit.credit(owner, DOLLAR, 1_000_000n);
    }
    const owners = [BOB, ...STRANGERS] as const;
    const [, , third, last] = owners;
    const traded = (owner: bigint) => {
      pit.order(ALICE, 'sell', 100, 1);
      return kinds(pit.order(owner, 'buy', 100, 1));
    };
    const withdrawn = (owner: bigint) => kinds(pit.withdraw(owner, COIN, 1_000n, 7n));
    const refused = () => pit.refused({ kind: 'withdraw', ...pit.withdrawal(last, COIN, 1_000n, 7n) });
    for (const owner of owners.slice(0, 2)) assert.deepEqual(traded(owner), ['accepted', 'traded']);
    for (const owner of owners.slice(0, 2)) assert.deepEqual(withdrawn(owner), ['withdrawing']);
    assert.deepEqual(traded(third), ['accepted', 'traded']);
    assert.equal(pit.refused({ kind: 'order', ...pit.request(last, 'buy', 90, 1) }), 'settlementBusy');
    assert.deepEqual(withdrawn(third), ['withdrawing']);
    assert.equal(refused(), 'settlementBusy');
    pit.restart();
    assert.equal(refused(), 'settlementBusy');
    pit.settleAll();
    assert.deepEqual(withdrawn(last), ['withdrawing']);
  });

  describe('leaves some of what may wait to be settled for others', () => {
    const [taker, slicer, other] = STRANGERS;
    function opened(rules: Partial<ExchangeRules>, limits: Partial<ExchangeLimits> = {}): Pit {
      const pit = new Pit(rules, { ...EXCHANGE_LIMITS, ...limits });
      for (const owner of [ALICE, BOB, ...STRANGERS]) {
        pit.credit(owner, COIN, 10_000_000n);
        pit.credit(owner, DOLLAR, 100_000_000n);
      }
      return pit;
    }
    const buying = (pit: Pit, owner: bigint) => pit.request(owner, 'buy', 90, 1);

    it('however many slices two owners trade with each other', () => {
      const pit = opened({}, { matches: 100 });
      const churned = () => {
        pit.order(slicer, 'sell', 100, 40, { display: 1 });
        return kinds(pit.order(taker, 'buy', 100, 40)).filter((kind) => kind === 'traded').length;
      };
      assert.deepEqual([churned(), churned()], [40, 40], 'as much as he likes while half of it is free');
      assert.equal(pit.refused({ kind: 'order', ...buying(pit, taker) }), 'settlementBusy');
      const signed = { price: 95, lots: 40, ...pit.signed(slicer, 'sell', 95, 40) };
      pit.order(slicer, 'sell', 100, 40);
      assert.deepEqual(kinds(pit.amend(slicer, 3, signed)), ['amended'], 'who was met is not kept from anything');
      pit.restart();
      assert.equal(pit.refused({ kind: 'order', ...buying(pit, taker) }), 'settlementBusy');
      assert.deepEqual(kinds(pit.submit(pit.request(other, 'buy', 95, 3))), ['accepted', 'traded']);
      assert.deepEqual(kinds(pit.order(other, 'buy', 90, 1)), ['accepted'], 'one of twenty is less than a fifth');
      assert.deepEqual(kinds(pit.withdraw(taker, COIN, 1_000n, 7n)), ['withdrawing'], 'withdrawals count apart');
      pit.settleAll();
      assert.deepEqual(kinds(pit.submit(buying(pit, taker))), ['accepted']);
    });

    // Twenty signed orders that wait: as many rounds as an owner may have orders on an asset, of two fills each.
    const narrow = { settleSeconds: BATCH_SECONDS + 600, roundSeconds: 60, fills: 2, ordersMax: 10 };

    it('however many resting orders one of his meets', () => {
      const pit = opened(narrow);
      for (let order = 0; order < 10; order++) pit.order(slicer, 'sell', 100, 1);
      pit.order(taker, 'buy', 100, 10);
      assert.equal(pit.refused({ kind: 'order', ...buying(pit, taker) }), 'settlementBusy');
      assert.deepEqual(kinds(pit.order(other, 'sell', 200, 1)), ['accepted']);
      assert.deepEqual(kinds(pit.order(BOB, 'buy', 200, 1)), ['accepted', 'traded']);
      assert.equal(pit.refused({ kind: 'order', ...buying(pit, BOB) }), 'settlementBusy', 'two of seven');
      assert.deepEqual(kinds(pit.order(ALICE, 'buy', 90, 1)), ['accepted']);
      pit.settleAll();
      for (const owner of [taker, BOB]) assert.deepEqual(kinds(pit.order(owner, 'buy', 90, 1)), ['accepted']);
    });

    it('however much one owner withdraws', () => {
      const pit = opened(narrow);
      const [coins, dollars] = [
        [COIN, 1_000n, 7n],
        [DOLLAR, 1_000n, 7n],
      ] as const;
      for (let count = 0; count < 5; count++) {
        assert.deepEqual(kinds(pit.withdraw(taker, ...coins)), ['withdrawing']);
        assert.deepEqual(kinds(pit.withdraw(taker, ...dollars)), ['withdrawing']);
      }
      assert.equal(pit.refused({ kind: 'withdraw', ...pit.withdrawal(taker, ...coins) }), 'settlementBusy');
      for (const owner of [ALICE, BOB]) assert.deepEqual(kinds(pit.withdraw(owner, ...coins)), ['withdrawing']);
      assert.deepEqual(kinds(pit.order(taker, 'buy', 90, 1)), ['accepted'], 'trades count apart');
    });
  });

  it('is bounded in matches that a reference brings', () => {
    const pit = new Pit({}, { ...EXCHANGE_LIMITS, matches: 3 });
    pit.credit(ALICE, COIN, 100_000n);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    const reference = (ticks: number) => pit.apply({ kind: 'setReference', market: 1, ticks, time: pit.exchange.time });
    for (const seconds of [0, 1]) {
      pit.at(NOW + seconds);
      reference(1_000);
    }
    for (const price of [995, 990]) {
      pit.order(ALICE, 'sell', 900, 4, { type: 'pegged', display: 1 });
      assert.deepEqual(
        kinds(pit.order(BOB, 'buy', price, 4, { type: 'pegged' })),
        ['accepted'],
        'not at this reference',
      );
    }
    const tradedAt = (seconds: number, ticks: number) => {
      pit.at(NOW + seconds);
      return kinds(reference(ticks)).filter((kind) => kind === 'traded').length;
    };
    assert.equal(tradedAt(2, 995), 4);
    assert.equal(tradedAt(3, 990), 0, 'orders that rest would bring more');
    assert.deepEqual(pit.exchange.markets()[0]?.state.reference, 990, 'nobody can keep an old price');
    pit.restart();
    pit.settleAll();
    assert.equal(tradedAt(4, 990), 4);
  });

  it('fits a snapshot, whatever its numbers', () => {
    const [field, amount, asset] = [FIELD_MODULUS - 1n, AMOUNT_MAX, (1n << 160n) - 1n];
    const [count, time] = [Number.MAX_SAFE_INTEGER, Number(TIME_MAX)];
    const clientOrderId = 'x'.repeat(36);
    const limit = { sellAsset: asset, buyAsset: asset, sellMax: amount, buyMin: amount };
    const times = { expiry: TIME_MAX, relockExpiry: TIME_MAX };
    const ticket: Ticket = {
      id: count,
      order: { owner: field, operatorId: field, ...limit, ...times, payTo: field, salt: field },
      signature: { r8: { x: field, y: field }, s: field },
      orderHash: field,
      until: time,
      stateInserted: false,
      ...{ sold: amount, filled: amount, held: amount, k: 16n },
    };
    const both = { market: count, side: 'sell' } as const;
    const ids = { id: count, owner: field, number: count, ticket: count };
    const working: Working = { ...ids, ...both, signedLots: amount, postOnly: false, open: count };
    const lots = { price: count, lots: count, filled: count, open: count };
    const minimums = { display: count, minimumTotal: count, minimumMatch: count };
    const order: OrderRecord = {
      ...{ id: count, clientOrderId, ...both, type: 'pegged', timeInForce: 'gtd', selfTrade: 'cancelNewest' },
      ...{ postOnly: false, ...minimums, ...lots, status: 'cancelled', reason: 'unsettleable', expiry: time, time },
    };
    const amounts = { sold: amount, bought: amount };
    const state = { time, status: 'waiting', settlement: count } as const;
    const ofFill = { id: count, order: count, ...both, role: 'maker', price: count, lots: count } as const;
    const fill: FillRecord = { ...ofFill, ...amounts, fee: amount, ...state };
    const withdrawal: WithdrawalRecord = { id: count, clientOrderId, asset, amount, fee: amount, ...state };
    const report: Report = { sequence: count, time, kind: 'traded', fill, order };
    const leg = { ticket: count, owner: field, record: count, ...amounts };
    const match: Match = { id: count, kind: 'withdrawal', legs: [leg, leg] };
    const resting: OrderState = {
      ...{ order: count, account: count, rank: count, shown: count, type: 'pegged', selfTrade: 'cancelNewest' },
      ...{ ...both, price: count, open: count, filled: count, display: count, minimumMatch: count },
      ...{ expiry: time, postOnly: false },
    };
    const used = new Map([[field, { clientOrderId, number: count, isWithdrawal: false }]]);
    // Copies, since an object that comes twice is written once.
    const bytes = (value: unknown) => serialize(structuredClone(value)).length + serialize(count).length;
    const records = Math.max(bytes(order), bytes(fill), bytes(withdrawal));
    const { tickets, matches, remembered, records: recordsMax, reports } = EXCHANGE_LIMITS;
    const total =
      tickets * (bytes(ticket) + bytes(working) + bytes(resting)) +
      // Of withdrawals.
      matches * bytes(ticket) +
      (2 * matches + PEGGED_MATCHES_MAX) * bytes(match) +
      remembered * (bytes(used) + bytes(new Map([[clientOrderId, count]]))) +
      recordsMax * records +
      reports * bytes(report);
    assert.ok(total < 0.7 * STATE_BYTES_MAX, `${total} bytes`);
  });
});
