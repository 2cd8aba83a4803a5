import assert from 'node:assert/strict';
import { deserialize, serialize } from 'node:v8';
import type { FillRecord, OrderRecord, WithdrawalRecord } from '@bitcloak/trading/records';
import { Blotter, RECORDS_KEPT, type BlotterSnapshot } from '../../enclave/exchange/blotter.ts';
import { EXCHANGE_LIMITS } from '../../enclave/exchange/limits.ts';
import {
  ALICE,
  BOB,
  CAROL,
  COIN,
  COIN_FEE,
  DAVE,
  DOLLAR,
  EURO,
  LATER,
  NOW,
  Pit,
  SETTLE_SECONDS,
} from '../support/exchange.ts';

const ORDER: Omit<OrderRecord, 'id'> = {
  clientOrderId: 'order',
  market: 1,
  side: 'sell',
  type: 'limit',
  timeInForce: 'gtc',
  selfTrade: 'cancelNewest',
  postOnly: false,
  display: 0,
  minimumTotal: 0,
  minimumMatch: 0,
  price: 100,
  lots: 10,
  filled: 0,
  open: 10,
  status: 'open',
  reason: undefined,
  expiry: LATER,
  time: NOW,
};
const FILL: Omit<FillRecord, 'id'> = {
  order: 1,
  market: 1,
  side: 'sell',
  role: 'maker',
  price: 100,
  lots: 1,
  sold: 1_000n,
  bought: 299n,
  fee: 1n,
  time: NOW,
  status: 'waiting',
  settlement: 0,
};
const WITHDRAWAL: Omit<WithdrawalRecord, 'id'> = {
  clientOrderId: 'withdrawal',
  asset: COIN,
  amount: 10n,
  fee: 1n,
  time: NOW,
  status: 'waiting',
  settlement: 0,
};

describe('the blotter', () => {
  it('gives the reports after any that it still has, and says where it has them no more', () => {
    const blotter = new Blotter();
    assert.deepEqual(blotter.reportsAfter(ALICE, 0), []);
    assert.equal(blotter.reportsAfter(ALICE, 1), undefined, 'not reached yet');
    const total = 2 * RECORDS_KEPT + 5;
    for (let index = 1; index <= total; index++) {
      blotter.report(ALICE, NOW + index, { kind: 'credited', asset: COIN, amount: BigInt(index) });
      const last = blotter.reportsAfter(ALICE, index - 1);
      assert.deepEqual(
        last?.map(({ sequence }) => sequence),
        [index],
      );
      assert.deepEqual(blotter.reportsAfter(ALICE, index), []);
      assert.equal(blotter.reportsAfter(ALICE, index + 1), undefined);
      const kept = blotter.reportsAfter(ALICE, Math.max(0, index - RECORDS_KEPT));
      assert.equal(kept?.length, Math.min(index, RECORDS_KEPT), 'the newest are always there');
      assert.equal(kept[0]?.sequence, Math.max(1, index - RECORDS_KEPT + 1));
    }
    assert.equal(blotter.sequence(ALICE), total);
    // They go in steps: the oldest that is there is the 1,001st.
    assert.equal(blotter.reportsAfter(ALICE, 0), undefined);
    assert.equal(blotter.reportsAfter(ALICE, RECORDS_KEPT - 1), undefined);
    assert.equal(blotter.reportsAfter(ALICE, RECORDS_KEPT)?.length, RECORDS_KEPT + 5);
    assert.deepEqual(blotter.reportsAfter(BOB, 0), []);
    assert.equal(blotter.takeWritten().length, total);
    assert.deepEqual(blotter.takeWritten(), []);
  });

  it('lets go of what is done with, the oldest first, and never of what is not', () => {
    const blotter = new Blotter();
    const [orders, fills, withdrawals] = [new Set<number>(), new Set<number>(), new Set<number>()];
    const total = 5 * RECORDS_KEPT;
    for (let index = 1; index <= total; index++) {
      const isAlive = index % 50 === 0;
      assert.equal(blotter.addOrder(ALICE, ORDER), index);
      assert.equal(blotter.addFill(ALICE, FILL).id, index);
      assert.equal(blotter.addWithdrawal(ALICE, WITHDRAWAL).id, index);
      if (isAlive) {
        for (const alive of [orders, fills, withdrawals]) alive.add(index);
        continue;
      }
      blotter.changeOrder(ALICE, index, { status: index % 2 === 0 ? 'filled' : 'cancelled', open: 0 });
      blotter.changeFill(ALICE, index, { status: index % 2 === 0 ? 'settled' : 'busted' });
      blotter.changeWithdrawal(ALICE, index, { status: index % 2 === 0 ? 'settled' : 'busted' });
    }
    for (const [alive, records] of [
      [orders, blotter.orders(ALICE)],
      [fills, blotter.fills(ALICE)],
      [withdrawals, blotter.withdrawals(ALICE)],
    ] as const) {
      const ids = records.map(({ id }) => id);
      assert.deepEqual(
        ids,
        [...ids].sort((left, right) => left - right),
      );
      assert.ok([...alive].every((id) => ids.includes(id)));
      const newest = Array.from({ length: RECORDS_KEPT }, (_, index) => total - index);
      assert.ok(newest.every((id) => ids.includes(id)));
      assert.ok(ids.length <= alive.size + 2 * RECORDS_KEPT);
    }
    const from = blotter.wholeFrom(ALICE);
    assert.ok(from.orders > 1 && from.orders === from.fills && from.orders === from.withdrawals);
    const gone = Array.from({ length: total }, (_, index) => index + 1).filter((id) => !blotter.fill(ALICE, id));
    assert.equal(from.fills, Math.max(...gone) + 1, 'all from there on are there');
    blotter.changeFill(ALICE, 50, { status: 'settled' });
    while (blotter.fill(ALICE, 50) !== undefined) {
      const { id } = blotter.addFill(ALICE, FILL);
      blotter.changeFill(ALICE, id, { status: 'settled' });
    }
    assert.ok(blotter.wholeFrom(ALICE).fills >= from.fills, 'an older one that goes later does not make it less');
    assert.deepEqual(blotter.wholeFrom(BOB), { orders: 1, fills: 1, withdrawals: 1 });
    assert.equal(blotter.order(ALICE, 1), undefined);
    assert.equal(blotter.changeOrder(ALICE, 1, { open: 3 }), undefined, 'what is not kept does not come back');
    assert.equal(blotter.changeFill(ALICE, 1, { status: 'busted' }), undefined);
    assert.equal(blotter.fill(ALICE, 1), undefined);
  });

  it('remembers so many signed orders of all owners, of which nobody takes more than a part of what is left', () => {
    const limits = { ...EXCHANGE_LIMITS, remembered: 600 };
    let blotter = new Blotter([], limits);
    const expiry = BigInt(LATER);
    let index = 0;
    const fill = (owner: bigint): number => {
      for (let count = 0; ; count++) {
        const [name, hash] = [`order-${++index}`, BigInt(index)];
        const { kind } = blotter.used(owner, name, hash, expiry);
        if (kind === 'ordersTooMany') return count;
        assert.equal(kind, 'unused');
        blotter.remember(owner, hash, expiry, { clientOrderId: name, number: count + 1, isWithdrawal: false });
      }
    };
    const first = Array.from({ length: 10 }, (_, owner) => fill(BigInt(owner)));
    assert.deepEqual(first.slice(0, 3), [100, 84, 70], 'a sixth of what was left, as it is reached from below');
    assert.deepEqual(
      first,
      first.toSorted((left, right) => right - left),
    );
    assert.equal(blotter.used(0n, 'order-7', 7n, expiry).kind, 'same', 'what was let in is answered still');
    blotter = new Blotter(deserialize(serialize(blotter.save())) as BlotterSnapshot, limits);
    assert.equal(fill(3n), 0, 'a restart counts the same');
    const others = Array.from({ length: 990 }, (_, owner) => fill(BigInt(10 + owner)));
    assert.equal(Math.min(...others), 8, 'a few for everybody, however many owners there are');
    assert.deepEqual(new Set(others.slice(20)), new Set([8]), 'and no more');
    blotter.forgetExpired(LATER + 7_200);
    assert.equal(fill(5_000n), 100, 'and all of it comes back');
  });

  it('keeps but so many records and reports of all owners, and lets go of those first to whom nothing happened for longest', () => {
    const limits = { ...EXCHANGE_LIMITS, records: 4_000, reports: 2_000 };
    const owners = Array.from({ length: 6 }, (_, owner) => BigInt(owner));
    const blotter = new Blotter([], limits);
    const trade = (owner: bigint) => {
      const number = blotter.addOrder(owner, ORDER);
      const { id } = blotter.addFill(owner, FILL);
      if (number === 7) return;
      blotter.changeOrder(owner, number, { status: 'filled' });
      blotter.changeFill(owner, id, { status: 'settled' });
      blotter.report(owner, NOW, { kind: 'credited', asset: COIN, amount: 1n });
    };
    const sizes = () => owners.map((owner) => blotter.orders(owner).length);
    for (const owner of owners) for (let count = 0; count < 500; count++) trade(owner);
    assert.deepEqual(sizes(), [101, 101, 101, 500, 500, 500], 'the newest hundred, and what is open');
    assert.ok(blotter.order(0n, 7)?.status === 'open' && blotter.fill(0n, 7)?.status === 'waiting');
    assert.deepEqual([blotter.order(0n, 400), blotter.order(0n, 401)?.id], [undefined, 401]);
    for (const owner of owners.slice(1)) assert.equal(blotter.reportsAfter(owner, 0) === undefined, owner < 2n);
    assert.deepEqual([blotter.sequence(0n), blotter.reportsAfter(0n, 499)], [499, []]);
    assert.deepEqual(blotter.wholeFrom(0n), { orders: 401, fills: 401, withdrawals: 1 });
    trade(0n);
    for (let count = 0; count < 700; count++) trade(2n);
    assert.deepEqual(sizes().slice(0, 2), [102, 101], 'what is promised goes last');
    assert.ok(
      sizes()
        .slice(3)
        .every((size) => size === 101 || size === 500),
    );
    const again = new Blotter(deserialize(serialize(blotter.save())) as BlotterSnapshot, limits);
    for (const each of [blotter, again]) for (let count = 0; count < 600; count++) each.addOrder(5n, ORDER);
    assert.deepEqual(again.save(), blotter.save(), 'a restart lets go of the same');
    let total = 0;
    for (let owner = 100n; owner < 200n; owner++) for (let count = 0; count < 50; count++) trade(owner);
    for (const [, { orders, fills, withdrawals }] of blotter.save())
      total += orders.size + fills.size + withdrawals.size;
    assert.ok(total <= limits.records, 'nor do many owners who have few come to more');
    assert.deepEqual([blotter.fills(100n).length, blotter.wholeFrom(100n).fills], [1, 51], 'nor is it told otherwise');
  });

  it('is the same from a snapshot, and apart from it', () => {
    const blotter = new Blotter();
    blotter.addOrder(ALICE, ORDER);
    blotter.remember(ALICE, 5n, BigInt(LATER), { clientOrderId: 'order', number: 1, isWithdrawal: false });
    blotter.report(ALICE, NOW, { kind: 'credited', asset: COIN, amount: 1n });
    const written = serialize(blotter.save());
    const beside = new Blotter(blotter.save());
    blotter.changeOrder(ALICE, 1, { open: 1 });
    assert.equal(beside.order(ALICE, 1)?.open, 10, 'what is made of it is apart from it');
    const restored = new Blotter(deserialize(written) as BlotterSnapshot);
    assert.equal(restored.order(ALICE, 1)?.open, 10);
    assert.equal(restored.used(ALICE, 'order', 5n, BigInt(LATER)).kind, 'same');
    assert.deepEqual(restored.takeWritten(), [], 'a restart tells nobody anything again');
    assert.equal(restored.addOrder(ALICE, ORDER), 2);
    assert.deepEqual(restored.reportsAfter(ALICE, 0)?.length, 1);
  });
});

describe('an owner is told', () => {
  it('of his orders and fills, under numbers of his own, in a sequence without gaps', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    for (const owner of [BOB, CAROL]) pit.credit(owner, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 120, 1);
    pit.order(CAROL, 'buy', 90, 1);
    const wish = pit.request(ALICE, 'sell', 100, 10, { timeInForce: 'gtd', expiry: NOW + 500 });
    pit.submit(wish);
    pit.at(NOW + 5);
    pit.order(BOB, 'buy', 100, 4);
    pit.plan();
    pit.land();
    pit.amend(ALICE, 2, { price: 100, lots: 9 });
    pit.at(NOW + 500);
    assert.deepEqual(
      pit.reports.get(ALICE)?.map(({ sequence, time, kind }) => [sequence, time - NOW, kind]),
      [
        [1, 0, 'credited'],
        [2, 0, 'accepted'],
        [3, 0, 'accepted'],
        [4, 5, 'traded'],
        [5, 5, 'settled'],
        [6, 5, 'amended'],
        [7, 500, 'cancelled'],
      ],
    );
    assert.deepEqual(pit.exchange.records.order(ALICE, 2), {
      id: 2,
      clientOrderId: wish.clientOrderId,
      market: 1,
      side: 'sell',
      type: 'limit',
      timeInForce: 'gtd',
      selfTrade: 'cancelNewest',
      postOnly: false,
      display: 0,
      minimumTotal: 0,
      minimumMatch: 0,
      price: 100,
      lots: 9,
      filled: 4,
      open: 0,
      status: 'cancelled',
      reason: 'expired',
      expiry: NOW + 500,
      time: NOW,
    });
    assert.deepEqual(pit.exchange.records.fills(ALICE), [
      {
        id: 1,
        order: 2,
        market: 1,
        side: 'sell',
        role: 'maker',
        price: 100,
        lots: 4,
        sold: 4_000n,
        bought: 1_199n,
        fee: 1n,
        time: NOW + 5,
        status: 'settled',
        settlement: 1,
      },
    ]);
    assert.equal(pit.exchange.records.order(ALICE, 1)?.expiry, LATER - SETTLE_SECONDS);
    const taker = pit.exchange.records.fills(BOB)[0];
    assert.deepEqual([taker?.id, taker?.order, taker?.role, taker?.sold, taker?.fee], [1, 1, 'taker', 1_203n, 3n]);
    assert.deepEqual(pit.exchange.records.fills(CAROL), []);
  });

  it('from which settlement on they are whole, after a journal that was lost', () => {
    const whole = { orders: 1, fills: 1, withdrawals: 1 };
    const pit = new Pit();
    assert.deepEqual(pit.exchange.recordsFrom(ALICE), { ...whole, settlement: 1 });
    pit.apply({ kind: 'begin', sequence: 6, time: NOW });
    assert.deepEqual(pit.exchange.recordsFrom(ALICE), { ...whole, settlement: 8 }, 'the seventh was on its way');
  });

  it('what adds up to his records, wherever he begins to listen', () => {
    const pit = new Pit();
    for (const owner of [ALICE, BOB]) for (const asset of [COIN, DOLLAR]) pit.credit(owner, asset, 90_000n);
    pit.order(ALICE, 'sell', 100, 10);
    pit.order(ALICE, 'sell', 101, 10, { display: 2 });
    pit.order(BOB, 'buy', 100, 4);
    pit.withdraw(ALICE, COIN, 500n, COIN_FEE);
    pit.order(ALICE, 'buy', 100, 8, { selfTrade: 'decrement' });
    pit.plan();
    pit.amend(ALICE, 2, { price: 101, lots: 7 });
    pit.order(BOB, 'buy', 101, 5, { timeInForce: 'ioc' });
    pit.land();
    pit.apply({ kind: 'cancelAll', owner: ALICE });
    pit.insertAll();
    pit.order(BOB, 'sell', 100, 3);
    pit.order(ALICE, 'buy', 100, 3);
    const tickets = pit.plan()?.fills.map(({ ticket }) => ticket) ?? [];
    pit.void(tickets);
    for (const owner of [ALICE, BOB]) {
      const [orders, fills, withdrawals] = [new Map(), new Map(), new Map()];
      for (const report of pit.exchange.records.reportsAfter(owner, 0) ?? []) {
        if ('order' in report && report.order !== undefined) orders.set(report.order.id, report.order);
        if ('fill' in report) fills.set(report.fill.id, report.fill);
        if ('withdrawal' in report) withdrawals.set(report.withdrawal.id, report.withdrawal);
        if (report.kind !== 'settled') continue;
        const { settlement } = report;
        for (const id of report.fills) fills.set(id, { ...fills.get(id), status: 'settled', settlement });
        for (const id of report.withdrawals) {
          withdrawals.set(id, { ...withdrawals.get(id), status: 'settled', settlement });
        }
      }
      assert.deepEqual(
        [...orders.values()].sort((left, right) => left.id - right.id),
        pit.exchange.records.orders(owner),
      );
      assert.deepEqual([...fills.values()], pit.exchange.records.fills(owner));
      assert.deepEqual([...withdrawals.values()], pit.exchange.records.withdrawals(owner));
      assert.deepEqual(pit.reports.get(owner), pit.exchange.records.reportsAfter(owner, 0));
    }
    const statuses = pit.exchange.records.fills(BOB).map(({ status }) => status);
    assert.ok(statuses.includes('settled') && statuses.includes('busted'));
  });

  it('of notes that come and go by his own doing, and of no others', () => {
    const pit = new Pit();
    const leaf = pit.credit(ALICE, COIN, 10_000n);
    pit.credit(ALICE, COIN, 5n, { told: false });
    pit.apply({ kind: 'remove', leaf });
    assert.deepEqual(
      pit.reports.get(ALICE)?.map((report) => ('amount' in report ? [report.kind, report.amount] : report.kind)),
      [
        ['credited', 10_000n],
        ['debited', 10_000n],
      ],
    );
    pit.credit(ALICE, COIN, 10_000n);
    pit.withdraw(ALICE, COIN, 1_000n, COIN_FEE);
    pit.plan();
    pit.land();
    const told = pit.reports
      .get(ALICE)
      ?.slice(2)
      .map(({ kind }) => kind);
    assert.deepEqual(told, ['credited', 'withdrawing', 'settled'], 'of neither the note that was spent nor the change');
  });

  it('the same, to the last digit, whatever others do', () => {
    const run = (noise: boolean) => {
      const pit = new Pit();
      let others = 0;
      const murmur = () => {
        if (!noise) return;
        const euro = { market: 2 };
        pit.credit(CAROL, EURO, 500n);
        pit.credit(DAVE, DOLLAR, 50_000n);
        pit.order(CAROL, 'sell', 100, 2, { ...euro, timeInForce: 'ioc' });
        pit.order(CAROL, 'sell', 100, 2, euro);
        pit.order(DAVE, 'buy', 110, 1, euro);
        pit.withdraw(DAVE, DOLLAR, 10n, 0n);
        pit.apply({ kind: 'cancel', owner: CAROL, order: 1 + others++ });
        pit.order(DAVE, 'buy', 50, 1, euro);
      };
      // The same signatures, whoever else signs.
      let salt = 1n << 100n;
      const wish = (owner: bigint, side: 'buy' | 'sell', price: number, lots: number) => {
        const { order, ...rest } = pit.request(owner, side, price, lots);
        return { ...rest, clientOrderId: `mine-${++salt}`, order: { ...order, salt } };
      };
      murmur();
      pit.credit(ALICE, COIN, 50_000n);
      pit.credit(BOB, DOLLAR, 50_000n);
      for (let round = 0; round < 4; round++) {
        murmur();
        pit.submit(wish(ALICE, 'sell', 100 + round, 3));
        murmur();
        pit.submit(wish(BOB, 'buy', 102, 2));
        murmur();
        pit.amend(ALICE, round + 1, { price: 100 + round, lots: 2 });
        const { order, signature } = pit.withdrawal(ALICE, COIN, 100n, COIN_FEE, { salt: ++salt });
        pit.apply({ kind: 'withdraw', clientOrderId: `out-${round}`, order, signature });
        murmur();
        pit.at(NOW + 10 * (round + 1));
        pit.plan();
        murmur();
        pit.land();
        pit.insertAll();
        murmur();
      }
      if (noise) assert.ok(pit.exchange.records.fills(DAVE).length > 3, 'the others trade');
      return [ALICE, BOB].map((owner) => ({
        reports: pit.reports.get(owner),
        orders: pit.exchange.records.orders(owner),
        fills: pit.exchange.records.fills(owner),
        withdrawals: pit.exchange.records.withdrawals(owner),
      }));
    };
    const quiet = run(false);
    assert.ok(quiet.every(({ fills }) => fills.length > 3 && fills.some(({ status }) => status === 'settled')));
    assert.deepEqual(run(true), quiet);
  });
});
