import assert from 'node:assert/strict';
import { chooseNotes, Funds, type FundNote } from '../../enclave/exchange/funds.ts';
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
} from '../support/exchange.ts';

describe('funds', () => {
  const note = (leaf: number, value: bigint, changes: Partial<FundNote> = {}): FundNote => {
    return { leaf, owner: ALICE, asset: COIN, value, expiry: LATER, inserted: true, ...changes };
  };
  const fundsOf = (...notes: FundNote[]) => {
    const funds = new Funds();
    for (const each of notes) funds.credit(each);
    return funds;
  };

  const choose = (funds: Funds, amount: bigint, expiry: number, taken: ReadonlySet<number>) =>
    chooseNotes(funds.spendable(ALICE, COIN, expiry), amount, taken);

  it('count the two largest notes only, those of one owner and asset that stay locked long enough, less what orders hold', () => {
    const dust = Array.from({ length: 1_000 }, (_, index) => note(10 + index, 1n));
    const others = [note(2, 7n, { owner: BOB }), note(3, 7n, { asset: DOLLAR }), note(4, 99n, { expiry: LATER - 1 })];
    const funds = fundsOf(...dust, note(1, 50n), ...others);
    assert.equal(funds.available(ALICE, COIN, LATER), 51n);
    assert.equal(funds.available(ALICE, COIN, LATER - 1), 149n);
    funds.hold(ALICE, COIN, 20n);
    assert.equal(funds.available(ALICE, COIN, LATER), 31n);
    assert.equal(funds.payable(ALICE, COIN, LATER), 51n);
    funds.remove(1);
    assert.equal(funds.available(ALICE, COIN, LATER), 2n - 20n);
    assert.equal(funds.available(BOB, COIN, LATER), 7n);
    assert.equal(funds.available(CAROL, COIN, LATER), 0n);
  });

  it('count a note that is not in the tree yet, and choose none', () => {
    const funds = fundsOf(note(1, 10n, { inserted: false }));
    assert.equal(funds.available(ALICE, COIN, LATER), 10n);
    assert.equal(choose(funds, 1n, NOW, new Set()), undefined);
    funds.markInserted(1);
    assert.equal(choose(funds, 10n, NOW, new Set())?.length, 1);
  });

  it('choose the smallest note that is enough, else the two largest, of those in the tree that are free', () => {
    const funds = fundsOf(note(1, 10n), note(2, 20n), note(3, 30n), note(4, 100n, { inserted: false }));
    const chosen = (amount: bigint, taken: number[] = [], expiry = NOW) =>
      choose(funds, amount, expiry, new Set(taken))?.map(({ leaf }) => leaf);
    assert.deepEqual(chosen(10n), [1]);
    assert.deepEqual(chosen(11n), [2]);
    assert.deepEqual(chosen(31n), [3, 2]);
    assert.deepEqual(chosen(50n), [3, 2]);
    assert.equal(chosen(51n), undefined);
    assert.deepEqual(chosen(25n, [3]), [2, 1]);
    assert.equal(chosen(10n, [], LATER + 1), undefined);
    funds.markInserted(4);
    assert.deepEqual(chosen(51n), [4]);
  });

  it('forget who has nothing and holds nothing', () => {
    const funds = fundsOf(note(1, 10n), note(2, 10n, { asset: DOLLAR }));
    funds.hold(ALICE, COIN, 3n);
    funds.remove(1);
    funds.remove(1);
    assert.deepEqual(funds.assetsOf(ALICE), [COIN, DOLLAR], 'an order still holds some of it');
    funds.hold(ALICE, COIN, -3n);
    assert.deepEqual(funds.assetsOf(ALICE), [DOLLAR]);
    funds.remove(2);
    assert.deepEqual(funds.assetsOf(ALICE), []);
    assert.equal(funds.note(2), undefined);
  });

  it('that are available can be spent to the last unit, in any parts, whatever else is spent and locked', () => {
    const dice = new Dice('funds');
    const [soon, late] = [NOW + 1_800, NOW + 7_200];
    for (let run = 0; run < 400; run++) {
      const count = 1 + dice.int(6);
      const drawn = Array.from({ length: count }, (_, leaf) =>
        note(leaf, dice.between(1n, 40n), { expiry: dice.pick([soon, late]) }),
      );
      const funds = fundsOf(...drawn);
      let leaf = count;
      let left = funds.available(ALICE, COIN, late);
      while (left > 0n) {
        const taken = new Set<number>();
        const changes: FundNote[] = [];
        // A few fills of one batch.
        for (let fills = 1 + dice.int(3); fills > 0 && left > 0n; fills--) {
          const amount = dice.between(1n, left);
          const inputs = choose(funds, amount, soon, taken);
          assert.ok(inputs !== undefined || taken.size > 0, `run ${run}: ${amount} of ${left} cannot be sold`);
          if (inputs === undefined) continue;
          left -= amount;
          for (const input of inputs) taken.add(input.leaf);
          const rest = inputs.reduce((sum, { value }) => sum + value, 0n) - amount;
          const expiry = Math.min(...inputs.map((input) => input.expiry));
          if (rest > 0n) changes.push(note(leaf++, rest, { expiry }));
        }
        for (const spent of taken) funds.remove(spent);
        for (const change of changes) funds.credit(change);
        assert.ok(funds.available(ALICE, COIN, late) >= left, `run ${run}`);
      }
    }
  });
});

describe('what the exchange lets an owner use', () => {
  it('is what fills can bring together: a third note helps once the others are one', () => {
    const pit = new Pit();
    for (const value of [10_000n, 9_000n, 8_000n]) pit.credit(ALICE, COIN, value);
    pit.credit(BOB, DOLLAR, 1_000_000n);
    assert.deepEqual(pit.exchange.balances(ALICE), [
      { asset: COIN, total: 27_000n, available: 19_000n, held: 0n, waiting: 0n },
    ]);
    pit.order(ALICE, 'sell', 100, 19);
    assert.equal(pit.refused({ kind: 'order', ...pit.request(ALICE, 'sell', 100, 1) }), 'fundsInsufficient');
    pit.order(BOB, 'buy', 100, 17);
    pit.settleAll();
    // The change of both is 2,000, and the third note is still there.
    assert.deepEqual(pit.exchange.balances(ALICE), [
      { asset: COIN, total: 10_000n, available: 8_000n, held: 2_000n, waiting: 0n },
    ]);
  });

  it('counts a note once, and a note that is not there as nothing', () => {
    const pit = new Pit();
    const leaf = pit.credit(ALICE, COIN, 10_000n);
    const before = pit.exchange.hash();
    const note = { leaf, owner: BOB, asset: COIN, value: 9n, expiry: LATER, inserted: true };
    pit.apply({ kind: 'credit', note, told: true });
    pit.apply({ kind: 'remove', leaf: 77 });
    pit.apply({ kind: 'inserted', leaves: [77], states: [5n] });
    assert.equal(pit.exchange.hash(), before);
  });

  it('is not changed by what is done to the snapshot that it was made of', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 10_000n, { inserted: false });
    pit.order(ALICE, 'sell', 100, 5);
    const snapshot = pit.exchange.save();
    const before = pit.exchange.hash();
    for (const note of snapshot.notes) note.inserted = true;
    for (const ticket of snapshot.tickets) ticket.held = 0n;
    for (const working of snapshot.working) working.open = 0;
    assert.equal(pit.exchange.hash(), before);
  });

  it('leaves the books in one order, whenever the exchange was started', () => {
    const run = (restarts: boolean) => {
      const pit = new Pit();
      const first = pit.credit(ALICE, COIN, 9_000n);
      const dollars = pit.credit(ALICE, DOLLAR, 9_000n);
      const coins = pit.credit(ALICE, COIN, 5_000n);
      pit.order(ALICE, 'sell', 100, 5);
      pit.order(ALICE, 'buy', 90, 5);
      pit.apply({ kind: 'remove', leaf: first });
      if (restarts) pit.restart();
      pit.apply({ kind: 'remove', leaf: coins });
      pit.apply({ kind: 'remove', leaf: dollars });
      assert.deepEqual(kinds(pit.at(NOW + 1)), ['timeSet', 'cancelled', 'cancelled']);
      return pit.exchange.hash();
    };
    assert.equal(run(true), run(false));
  });

  it('holds what its matches sold until they are settled, whatever becomes of the orders', () => {
    const pit = new Pit();
    pit.credit(ALICE, COIN, 20_000n);
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.order(BOB, 'buy', 100, 8);
    pit.apply({ kind: 'cancel', owner: ALICE, order: 1 });
    assert.equal(pit.exchange.available(ALICE, COIN), 12_000n);
    assert.equal(
      pit.exchange.available(BOB, DOLLAR),
      100_000n - 2_406n,
      'the price was not worse, and neither is what is held',
    );
    pit.plan();
    assert.equal(pit.exchange.available(ALICE, COIN), 12_000n);
    pit.land();
    assert.equal(pit.exchange.available(ALICE, COIN), 12_000n);
    assert.deepEqual(pit.exchange.save().tickets, []);
    assertConsistent(pit.exchange);
  });

  it('can be all matched just before an order must leave, and is settled in time', () => {
    const pit = new Pit();
    const end = NOW + 2 * SETTLE_SECONDS;
    pit.credit(ALICE, COIN, 20_000n, { expiry: end });
    pit.credit(BOB, DOLLAR, 100_000n);
    pit.order(ALICE, 'sell', 100, 20);
    pit.at(end - SETTLE_SECONDS);
    assert.deepEqual(kinds(pit.order(BOB, 'buy', 100, 20)), ['accepted', 'traded']);
    assert.equal(pit.settleAll(), 1);
  });
});
