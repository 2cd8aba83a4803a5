import assert from 'node:assert/strict';
import type { Nullifier } from '@bitcloak/notes/note';
import { placeOf } from '@bitcloak/notes/tree';
import { AMOUNT_MAX, NATIVE_ASSET, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import type { HandedTransfer } from '@bitcloak/wallet/handedOver';
import { selectForMerge, selectForReclaim, selectNotes } from '@bitcloak/wallet/selection';
import type { OwnedNote } from '@bitcloak/wallet/walletState';
import fc from 'fast-check';

const PROPERTY = { seed: 20261125, numRuns: 2_000 };

function owned(value: bigint, leaf: number, owner = 1n): OwnedNote {
  return {
    note: { asset: NATIVE_ASSET, value, owner, blinding: BigInt(leaf), lock: undefined },
    account: undefined,
    leaf,
    block: 1,
    nullifier: BigInt(leaf) as Nullifier,
    bucketPath: [],
    spent: false,
  };
}

const sum = (notes: readonly OwnedNote[]) => notes.reduce((total, { note }) => total + note.value, 0n);
const values = (notes: readonly OwnedNote[]) => notes.map(({ note }) => note.value);
/** Notes of one group can be spent together. */
const groupOf = ({ note, leaf }: OwnedNote) => `${placeOf(leaf).tree} of ${note.owner}`;

const NONE = { waiting: 0n, locked: 0n };

/** Few values, so that sums meet and fall short by one; up to three trees and two owners. */
const someNotes = fc
  .array(fc.tuple(fc.bigInt({ min: 1n, max: 20n }), fc.integer({ min: 0, max: 2 }), fc.constantFrom(1n, 2n)), {
    maxLength: 7,
  })
  .map((list) => list.map(([value, tree, owner], index) => owned(value, tree * TREE_LEAVES + 100 - index, owner)));

/** Every one note and every two of one owner under one tree. */
function groups(notes: readonly OwnedNote[]): OwnedNote[][] {
  const pairs = notes.flatMap((left, index) =>
    notes.slice(index + 1).flatMap((right) => (groupOf(left) === groupOf(right) ? [[left, right]] : [])),
  );
  return [...notes.map((note) => [note]), ...pairs];
}

const smallest = <T>(items: readonly T[], key: (item: T) => bigint): bigint | undefined =>
  items
    .map(key)
    .reduce<bigint | undefined>((least, value) => (least === undefined || value < least ? value : least), undefined);

describe('the choice of notes for an amount', () => {
  it('is that of trying every one and every two', () => {
    const rest = fc.bigInt({ min: 0n, max: 30n });
    fc.assert(
      fc.property(someNotes, fc.bigInt({ min: 1n, max: 60n }), rest, rest, (notes, amount, waiting, locked) => {
        const reaching = groups(notes).filter((group) => sum(group) >= amount);
        const select = () => selectNotes(notes, amount, { waiting, locked });
        if (reaching.length === 0) {
          const lacking = amount - sum(notes);
          const code =
            lacking <= 0n
              ? 'NOTES_SCATTERED'
              : lacking <= waiting
                ? 'NOTES_WAITING'
                : lacking <= waiting + locked
                  ? 'NOTE_LOCKED'
                  : 'BALANCE_INSUFFICIENT';
          assert.throws(select, { code });
          return;
        }
        const chosen = select();
        assert.ok(
          reaching.some((group) => group.length === chosen.length && group.every((note) => chosen.includes(note))),
        );
        const single = smallest(
          reaching.filter((group) => group.length === 1),
          sum,
        );
        if (single === undefined) {
          assert.equal(sum(chosen), smallest(reaching, sum));
          return;
        }
        const [main, companion] = chosen as [OwnedNote, OwnedNote | undefined];
        assert.equal(main.note.value, single);
        const small = notes.filter((note) => note.note.value < amount && groupOf(note) === groupOf(main));
        assert.equal(
          companion?.note.value,
          smallest(small, ({ note }) => note.value),
        );
      }),
      PROPERTY,
    );
  });

  it('takes a small note along and leaves every larger one to be spent at once', () => {
    const notes = [owned(1n, 0), owned(2n, 1), owned(50n, 2), owned(100n, 3)];
    assert.deepEqual(values(selectNotes(notes, 40n, NONE)), [50n, 1n]);
    assert.deepEqual(values(selectNotes(notes.slice(2), 40n, NONE)), [50n]);
    assert.deepEqual(values(selectNotes(notes, 1n, NONE)), [1n]);
  });

  it('takes no two notes of different trees', () => {
    const notes = [owned(5n, 0), owned(5n, TREE_LEAVES)];
    assert.throws(() => selectNotes(notes, 6n, NONE), { code: 'NOTES_SCATTERED' });
    assert.deepEqual(values(selectNotes([...notes, owned(4n, TREE_LEAVES + 1)], 6n, NONE)), [4n, 5n]);
  });

  it('leaves a change that a note can have', () => {
    const notes = [owned(AMOUNT_MAX, 0), owned(AMOUNT_MAX, 1), owned(1n, 2)];
    for (const amount of [1n, 2n, AMOUNT_MAX]) {
      assert.ok(sum(selectNotes(notes, amount, NONE)) - amount <= AMOUNT_MAX);
    }
  });

  it('says what there is and what is needed', () => {
    const notes = [owned(5n, 0), owned(6n, 1), owned(7n, 2)];
    const cases = [
      [14n, 0n, 0n, 'NOTES_SCATTERED', /13 .* 14 /],
      [19n, 1n, 0n, 'NOTES_WAITING', /18 .* 1 wait.* 19/],
      [20n, 1n, 1n, 'NOTE_LOCKED', /1 of 20 .* 20/],
      [21n, 1n, 1n, 'BALANCE_INSUFFICIENT', /21 .* 20/],
    ] as const;
    for (const [amount, waiting, locked, code, message] of cases) {
      assert.throws(() => selectNotes(notes, amount, { waiting, locked }), { code, message });
    }
    assert.throws(() => selectNotes([], 1n, NONE), { code: 'BALANCE_INSUFFICIENT' });
  });
});

describe('the choice of notes beside transfers that may still land', () => {
  const transferOf = (notes: readonly OwnedNote[]): HandedTransfer => ({
    kind: 'payment',
    asset: NATIVE_ASSET,
    amount: 1n,
    nullifiers: notes.map(({ nullifier }) => nullifier),
    time: 0n,
  });
  const shares = (notes: readonly OwnedNote[], { nullifiers }: HandedTransfer) =>
    notes.some(({ nullifier }) => nullifiers.includes(nullifier));
  /** Notes, and transfers of some of them as a wallet hands them over: each was chosen beside those before it. */
  const someHanded = fc
    .tuple(someNotes, fc.array(fc.bigInt({ min: 1n, max: 40n }), { minLength: 1, maxLength: 4 }))
    .map(([notes, amounts]) => {
      const pending: HandedTransfer[] = [];
      for (const amount of amounts) {
        try {
          pending.push(transferOf(selectNotes(notes, amount, NONE, pending)));
        } catch {
          continue;
        }
      }
      return { notes, pending };
    })
    .filter(({ pending }) => pending.length > 0);

  it('is the cheapest that excludes them all, and there is one', () => {
    fc.assert(
      fc.property(someHanded, fc.bigInt({ min: 1n, max: 45n }), ({ notes, pending }, amount) => {
        const excluding = groups(notes).filter((group) => pending.every((transfer) => shares(group, transfer)));
        assert.ok(excluding.length > 0);
        const able = excluding.filter((group) => sum(group) >= amount);
        if (able.length > 0) {
          const chosen = selectNotes(notes, amount, NONE, pending);
          assert.ok(pending.every((transfer) => shares(chosen, transfer)));
          assert.equal(sum(chosen), smallest(able, sum));
          return;
        }
        const isEnough = groups(notes).some((group) => sum(group) >= amount);
        const code = isEnough ? 'TRANSFER_PENDING' : sum(notes) >= amount ? 'NOTES_SCATTERED' : 'BALANCE_INSUFFICIENT';
        assert.throws(() => selectNotes(notes, amount, NONE, pending), { code });
      }),
      PROPERTY,
    );
  });

  it('voids them all by one merge', () => {
    fc.assert(
      fc.property(someHanded, ({ notes, pending }) => {
        const chosen = selectForMerge(notes, 0n, pending);
        assert.ok(pending.every((transfer) => shares(chosen, transfer)));
      }),
      PROPERTY,
    );
  });

  it('voids what it can by a merge where a reorganisation brought back one that shares no note with the others', () => {
    const notes = [owned(5n, 0), owned(6n, TREE_LEAVES), owned(7n, TREE_LEAVES + 1)];
    const pending = [[0], [1], [1, 2]].map((which) => transferOf(which.map((index) => notes[index] as OwnedNote)));
    assert.deepEqual(values(selectForMerge(notes, 0n, pending)), [6n]);
    assert.throws(() => selectNotes(notes, 1n, NONE, pending), { code: 'TRANSFER_PENDING' });
    // The fee would eat up the one note.
    assert.deepEqual(values(selectForMerge(notes, 6n, pending)), [6n, 7n]);
  });
});

describe('the choice of notes to merge', () => {
  it('is the smallest two under one tree that are worth more than the fee', () => {
    fc.assert(
      fc.property(someNotes, fc.bigInt({ min: 0n, max: 30n }), (notes, fee) => {
        const able = groups(notes).filter((group) => group.length === 2 && sum(group) > fee);
        if (able.length === 0) {
          assert.throws(() => selectForMerge(notes, fee), { code: 'BALANCE_INSUFFICIENT' });
          return;
        }
        const pair = selectForMerge(notes, fee);
        assert.equal(pair.length, 2);
        assert.notEqual(pair[0], pair[1]);
        assert.equal(sum(pair), smallest(able, sum));
      }),
      PROPERTY,
    );
  });

  it('is a single note of another owner than the main one where there are no two, and no single one of the main', () => {
    const stray = (value: bigint, leaf: number) => ({
      ...owned(value, leaf, BigInt(leaf)),
      account: { operatorId: 7n, index: leaf },
    });
    const notes = [owned(9n, 0), stray(5n, 2), stray(4n, 3), stray(2n, 4)];
    assert.deepEqual(values(selectForMerge(notes, 2n)), [4n]);
    assert.deepEqual(values(selectForMerge([...notes, owned(8n, 1)], 2n)), [8n, 9n]);
    assert.throws(() => selectForMerge(notes.slice(0, 1), 0n), { code: 'BALANCE_INSUFFICIENT' });
    assert.throws(() => selectForMerge(notes, 5n), { code: 'BALANCE_INSUFFICIENT' });
  });

  it('is none where the joined note would be too large', () => {
    const notes = [owned(AMOUNT_MAX, 0), owned(2n, 1)];
    assert.throws(() => selectForMerge(notes, 0n), { code: 'BALANCE_INSUFFICIENT' });
    assert.equal(selectForMerge(notes, 2n).length, 2);
  });
});

describe('the choice of notes to reclaim', () => {
  it('brings all of them home in pairs of one owner and tree, but for those that a fee would eat up', () => {
    fc.assert(
      fc.property(someNotes, fc.bigInt({ min: 0n, max: 12n }), (notes, fee) => {
        let left = [...notes];
        for (;;) {
          const chosen = selectForReclaim(left, fee);
          if (chosen.length === 0) break;
          assert.ok(chosen.length <= 2 && sum(chosen) > fee);
          const [first, second = first] = chosen as [OwnedNote, OwnedNote | undefined];
          assert.equal(groupOf(first), groupOf(second));
          left = left.filter((note) => !chosen.includes(note));
        }
        const able = groups(left).filter(
          (group) => sum(group) > fee && new Set(group.map(({ note }) => note.owner)).size === 1,
        );
        assert.deepEqual(able, []);
        if (fee === 0n) assert.deepEqual(left, []);
      }),
      PROPERTY,
    );
  });

  it('is not held up by dust that a stranger put there', () => {
    const notes = [owned(1n, 0), owned(1n, 1), owned(1n, 2, 2n), owned(500n, 3)];
    assert.deepEqual(values(selectForReclaim(notes, 100n)), [500n, 1n]);
    assert.deepEqual(selectForReclaim(notes.slice(0, 3), 100n), []);
  });

  it('joins no two that would be too much for one note', () => {
    assert.deepEqual(values(selectForReclaim([owned(AMOUNT_MAX, 0), owned(1n, 1)], 0n)), [AMOUNT_MAX]);
  });
});
