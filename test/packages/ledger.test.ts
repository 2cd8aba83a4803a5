import assert from 'node:assert/strict';
import { decodeEvent, POOL_TOPICS, type PoolEvent } from '@bitcloak/chain/events';
import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { Ledger } from '@bitcloak/chain/ledger';
import { PoolClient } from '@bitcloak/chain/pool';
import type { SettlementShown } from '@bitcloak/chain/settlement';
import type { FillShown } from '@bitcloak/notes/fill';
import type { Commitment, Nullifier } from '@bitcloak/notes/note';
import { Bucket, emptyRoot } from '@bitcloak/notes/tree';
import {
  DEPOSIT_CIPHERTEXT_BYTES,
  NATIVE_ASSET,
  SETTLEMENT_CIPHERTEXT_BYTES,
  TRANSFER_CIPHERTEXT_BYTES,
  TREE_DEPTH,
} from '@bitcloak/protocol/parameters';
import { Interface, toBeHex, type Log, type Provider } from 'ethers';
import fc from 'fast-check';
import { SeededRandom } from '../support/circuit.ts';
import { EventMaker } from '../support/poolEvents.ts';
import { seededBytes } from '../support/random.ts';

const PROPERTY = { seed: 20261123, numRuns: 60 };
const pool = new Interface(POOL_ABI);
const POOL = 0xe7f1725e7734ce288f8367e1bb143e90bb3f0512n;
const INCONSISTENT = { code: 'ENDPOINT_INCONSISTENT' };

type Step = 'deposit' | 'transfer' | 'settle' | 'close' | 'insert';

function someFill(random: SeededRandom): FillShown {
  return {
    nullifiers: [random.field() as Nullifier, random.field() as Nullifier],
    orderNullifier: random.field() as Nullifier,
    change: random.field() as Commitment,
    proceeds: random.field() as Commitment,
    orderState: random.field(),
    fill: random.field(),
    words: [random.field(), random.field(), random.field()],
  };
}

/** Of two fills: ten leaves. */
function someSettlement(random: SeededRandom): SettlementShown {
  const residuals = Array.from({ length: 4 }, () => random.field());
  const fills = [someFill(random), someFill(random)];
  const words = { root: 0n, validUntil: 0n, commitment: 0n, journalHead: 0n, sequence: 1n };
  return { operator: 1, ...words, fills, residuals, ciphertext: new Uint8Array() };
}

/** Does a step where the pool would allow it now, with commitments that are new. */
function doStep(maker: EventMaker, random: SeededRandom, step: Step): boolean {
  const [first, second, third] = [random.field(), random.field(), random.field()] as [
    Commitment,
    Commitment,
    Commitment,
  ];
  if (step === 'deposit') maker.deposit(NATIVE_ASSET, 1n, first);
  else if (step === 'transfer') maker.transfer([random.field(), random.field()] as Nullifier[], [first, second, third]);
  else if (step === 'settle') maker.settle(someSettlement(random));
  else if (step === 'close' && maker.pending.at(-1)?.length !== 0) maker.close();
  else if (step === 'insert' && maker.nextInsertion < maker.openBucket) maker.insert();
  else return false;
  return true;
}

/** Where the pool stands, as a ledger that followed it does. */
function expected({ openBucket, nextInsertion, nextLeaf, root, pending }: EventMaker) {
  return { openBucket, nextInsertion, nextLeaf, root, pending };
}

function standing(ledger: Ledger) {
  const { openBucket, nextInsertion, nextLeaf, root } = ledger;
  return { openBucket, nextInsertion, nextLeaf, root, pending: ledger.save().pending };
}

function followed(events: readonly PoolEvent[]): Ledger {
  const ledger = new Ledger();
  for (const event of events) ledger.apply(event);
  return ledger;
}

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Step>('deposit') },
    { weight: 2, arbitrary: fc.constant<Step>('settle') },
    { weight: 12, arbitrary: fc.constant<Step>('transfer') },
    { weight: 1, arbitrary: fc.constant<Step>('close') },
    { weight: 2, arbitrary: fc.constant<Step>('insert') },
  ),
  { minLength: 1, maxLength: 90 },
);

function makeEvents(wished: readonly Step[]): EventMaker {
  const [maker, random] = [new EventMaker(), new SeededRandom('ledger')];
  for (const step of wished) doStep(maker, random, step);
  return maker;
}

describe('a ledger of very many buckets', () => {
  it('can be saved and restored', () => {
    const bucketRoots = new Array<bigint>(130_000).fill(1n);
    const ledger = Ledger.restore({ bucketRoots, pending: [[]] });
    assert.deepEqual([ledger.nextInsertion, ledger.save().bucketRoots.length], [130_000, 130_000]);
  });
});

describe('the ledger', () => {
  it('stands where the pool stands after every event', () => {
    fc.assert(
      fc.property(steps, (wished) => {
        const [maker, random] = [new EventMaker(), new SeededRandom('ledger')];
        const ledger = new Ledger();
        for (const step of wished) {
          if (!doStep(maker, random, step)) continue;
          ledger.apply(maker.last);
          assert.deepEqual(standing(ledger), expected(maker));
        }
      }),
      PROPERTY,
    );
  });

  it('goes on from what it saved as if it had never stopped', () => {
    fc.assert(
      fc.property(steps, fc.nat(90), (wished, cut) => {
        const { events } = makeEvents(wished);
        const saved = followed(events.slice(0, cut)).save();
        const frozen = structuredClone(saved);
        const resumed = Ledger.restore(saved);
        for (const event of events.slice(cut)) resumed.apply(event);
        const whole = followed(events);
        assert.deepEqual(standing(resumed), standing(whole));
        assert.deepEqual(resumed.save(), whole.save());
        assert.deepEqual(resumed.treeForInsertion().path(0), whole.treeForInsertion().path(0));
        assert.deepEqual(saved, frozen, 'what was saved does not change any more');
      }),
      PROPERTY,
    );
  });

  it('finds out an event that is left out, repeated, or told before its time', () => {
    fc.assert(
      fc.property(steps, fc.nat(89), (wished, at) => {
        const { events } = makeEvents(wished);
        const place = at % Math.max(1, events.length);
        const [event, next] = events.slice(place) as [PoolEvent | undefined, PoolEvent | undefined];
        if (event === undefined) return;
        const whole = JSON.stringify(standing(followed(events)), text);
        const endsElsewhere = (told: readonly PoolEvent[]): boolean => {
          try {
            return JSON.stringify(standing(followed(told)), text) !== whole;
          } catch (error) {
            assert.equal((error as { code: string }).code, 'ENDPOINT_INCONSISTENT');
            return true;
          }
        };
        assert.ok(endsElsewhere(events.toSpliced(place, 1)), 'left out');
        assert.ok(endsElsewhere(events.toSpliced(place, 0, event)), 'repeated');
        if (next === undefined) return;
        const swapped = events.toSpliced(place, 2, next, event);
        // An insertion and a new leaf of a later bucket may well come in either order.
        const commute = (event.kind === 'inserted') !== (next.kind === 'inserted');
        if (!commute) assert.ok(endsElsewhere(swapped), 'swapped');
      }),
      { ...PROPERTY, numRuns: 150 },
    );
  });

  it('refuses a root that does not follow, and stays as it was', () => {
    const maker = makeEvents([...new Array<Step>(3).fill('deposit'), 'close', 'insert', 'deposit', 'close']);
    const event = maker.insert();
    assert.ok(event.kind === 'inserted');
    const ledger = followed(maker.events.slice(0, -1));
    const before = ledger.save();
    const lies: PoolEvent[] = [
      { ...event, newRoot: event.newRoot + 1n },
      { ...event, bucketRoot: event.bucketRoot + 1n },
      { ...event, bucketRoot: event.newRoot, newRoot: event.bucketRoot },
      { ...event, bucket: event.bucket + 1 },
      { ...event, bucket: event.bucket - 1 },
    ];
    for (const lie of lies) {
      assert.throws(() => {
        ledger.apply(lie);
      }, INCONSISTENT);
      assert.deepEqual(ledger.save(), before);
    }
    ledger.apply(event);
    assert.deepEqual(standing(ledger), expected(maker));
  });

  it('refuses to close what is not open, and to insert what is not closed', () => {
    const { events } = makeEvents(['deposit', 'deposit']);
    const ledger = followed(events);
    const place = { block: 9, logIndex: 0, transaction: '0x' };
    const lies: PoolEvent[] = [
      { kind: 'closed', ...place, bucket: 0, leaves: 1 },
      { kind: 'closed', ...place, bucket: 0, leaves: 3 },
      { kind: 'closed', ...place, bucket: 1, leaves: 2 },
      { kind: 'inserted', ...place, bucket: 0, bucketRoot: 1n, newRoot: 1n },
    ];
    for (const lie of lies) {
      assert.throws(() => {
        ledger.apply(lie);
      }, INCONSISTENT);
    }
    assert.throws(() => {
      new Ledger().apply({ kind: 'closed', ...place, bucket: 0, leaves: 0 });
    }, INCONSISTENT);
  });

  it('closes a full bucket by itself, also in the middle of a transfer', () => {
    const maker = makeEvents([...new Array<Step>(21).fill('transfer'), 'transfer']);
    const ledger = followed(maker.events);
    assert.equal(ledger.openBucket, 1);
    assert.equal(ledger.leavesOf(0).length, 64);
    assert.equal(ledger.leavesOf(1).length, 2);
    assert.deepEqual(ledger.leavesOf(2), []);
    assert.equal(ledger.bucketRoot(0), undefined);
    ledger.apply(maker.insert());
    assert.equal(ledger.bucketRoot(0), new Bucket(maker.events.slice(0, 22).flatMap(leavesOf).slice(0, 64)).root());
    assert.deepEqual(ledger.leavesOf(0), [], 'what is inserted is forgotten');
  });

  it('begins with the root of the empty tree, as the pool does', () => {
    assert.equal(new Ledger().root, emptyRoot(TREE_DEPTH));
  });
});

const text = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value);

function leavesOf(event: PoolEvent): readonly bigint[] {
  if (event.kind === 'deposited') return [event.commitment];
  return event.kind === 'transferred' ? event.commitments : [];
}

describe("the pool's events", () => {
  const bytes = seededBytes('events');
  const random = new SeededRandom('events');
  const address = () => random.below(2n ** 160n);
  const place = { blockNumber: 12, index: 3, transactionHash: `0x${'ab'.repeat(32)}` };
  const where = { block: 12, logIndex: 3, transaction: place.transactionHash };

  function logOf(event: string, values: readonly unknown[]): Log {
    const { data, topics } = pool.encodeEventLog(event, values);
    return { ...place, data, topics } as unknown as Log;
  }

  const commitment = random.field() as Commitment;
  const [asset, recipient, relayer] = [address(), address(), address()];
  const nullifiers = [random.field(), random.field()] as Nullifier[];
  const commitments = [random.field(), random.field(), random.field()] as Commitment[];
  const note = bytes(DEPOSIT_CIPHERTEXT_BYTES);
  const notes = bytes(TRANSFER_CIPHERTEXT_BYTES);
  const sealed = bytes(SETTLEMENT_CIPHERTEXT_BYTES);
  const residuals = Array.from({ length: 4 }, () => random.field() as Commitment);
  const fills = Array.from({ length: 3 }, () => someFill(random));
  const fillArgument = ({
    nullifiers: spent,
    orderNullifier,
    change,
    proceeds,
    orderState,
    fill,
    words,
  }: FillShown) => [spent, orderNullifier, change, proceeds, orderState, fill, words];
  const hex = (value: bigint) => toBeHex(value, 20);
  const cases: [PoolEvent, Log][] = [
    [
      { kind: 'deposited', ...where, leaf: 70, asset, amount: 5n, commitment, ciphertext: note },
      logOf('Deposited', [70, hex(asset), 5, commitment, note]),
    ],
    [
      { kind: 'transferred', ...where, firstLeaf: 71, nullifiers, commitments, ciphertext: notes },
      logOf('Transferred', [71, nullifiers, commitments, notes]),
    ],
    [
      { kind: 'withdrawn', ...where, asset, amount: 9n, recipient, relayer, fee: 2n },
      logOf('Withdrawn', [hex(asset), 9, hex(recipient), hex(relayer), 2]),
    ],
    [{ kind: 'closed', ...where, bucket: 1, leaves: 6 }, logOf('BucketClosed', [1, 6])],
    [{ kind: 'inserted', ...where, bucket: 1, bucketRoot: 7n, newRoot: 8n }, logOf('BucketInserted', [1, 7, 8])],
    [
      {
        kind: 'settled',
        ...where,
        operator: 4,
        sequence: 5n,
        journalHead: 6n,
        firstLeaf: 90,
        fills,
        residuals,
        ciphertext: sealed,
      },
      logOf('Settled', [4, 5, toBeHex(6, 32), 90, fills.map(fillArgument), residuals, sealed]),
    ],
    [
      { kind: 'cancelled', ...where, orderNullifier: nullifiers[0] as Nullifier, from: 99n },
      logOf('OrderCancelled', [nullifiers[0], 99]),
    ],
  ];

  it('are read as the ABI writes them', () => {
    assert.equal(new Set(cases.map(([, { topics }]) => topics[0])).size, POOL_TOPICS.length);
    for (const [event, log] of cases) {
      assert.ok(POOL_TOPICS.includes(log.topics[0] ?? ''));
      const decoded = decodeEvent(log);
      if (decoded !== undefined && 'ciphertext' in decoded) decoded.ciphertext = Uint8Array.from(decoded.ciphertext);
      assert.deepEqual(decoded, event);
    }
    assert.equal(decodeEvent(logOf('DepositsPausedSet', [true])), undefined);
    assert.equal(decodeEvent({ ...place, data: '0x', topics: [] } as unknown as Log), undefined);
  });

  it('are found out where they are cut off anywhere', () => {
    for (const [event, log] of cases) {
      const whole = (log.data.length - 2) / 2;
      // What fills the last word of bytes says nothing.
      const needed = 'ciphertext' in event ? whole - ((32 - (event.ciphertext.length % 32)) % 32) : whole;
      for (let length = 0; length < needed; length++) {
        const cut = { ...log, data: log.data.slice(0, 2 + 2 * length) } as unknown as Log;
        assert.throws(() => decodeEvent(cut), INCONSISTENT, `${event.kind} of ${length} bytes`);
      }
    }
  });

  it('are found out where a word is out of its range', () => {
    const word = (log: Log, index: number, value: bigint) =>
      ({
        ...log,
        data: `${log.data.slice(0, 2 + 64 * index)}${toBeHex(value, 32).slice(2)}${log.data.slice(66 + 64 * index)}`,
      }) as unknown as Log;
    const [deposited, transferred, withdrawn, closed, inserted, settled] = cases.map(([, log]) => log) as [
      Log,
      Log,
      Log,
      Log,
      Log,
      Log,
    ];
    const wrong: [string, Log][] = [
      ['a leaf beyond numbers', word(deposited, 0, 2n ** 53n)],
      ['an asset beyond addresses', word(deposited, 1, 2n ** 160n)],
      ['an offset beyond the data', word(deposited, 4, 2n ** 32n)],
      ['an offset beyond numbers', word(deposited, 4, 2n ** 255n)],
      ['a length beyond the data', word(deposited, 5, 2n ** 32n)],
      ['a first leaf beyond numbers', word(transferred, 0, 2n ** 64n)],
      ['a withdrawn asset beyond addresses', word(withdrawn, 0, 2n ** 255n)],
      ['a recipient beyond addresses', word(withdrawn, 2, 2n ** 160n)],
      ['a relayer beyond addresses', word(withdrawn, 3, 2n ** 160n)],
      ['a bucket beyond numbers', word(closed, 0, 2n ** 256n - 1n)],
      ['an inserted bucket beyond numbers', word(inserted, 0, 2n ** 53n)],
      ['a first leaf of a settlement beyond numbers', word(settled, 2, 2n ** 53n)],
      ['fills beyond the data', word(settled, 3, 2n ** 32n)],
      ['more fills than a settlement has', word(settled, 9, 17n)],
      [
        'an operator beyond numbers',
        { ...settled, topics: [settled.topics[0], toBeHex(2n ** 53n, 32)] } as unknown as Log,
      ],
      ['no operator', { ...settled, topics: [settled.topics[0]] } as unknown as Log],
    ];
    for (const [what, log] of wrong) assert.throws(() => decodeEvent(log), INCONSISTENT, what);
  });

  it('come in their order, and only those that were asked for', async () => {
    const at = (blockNumber: number, index: number, changes: object = {}) => ({
      ...(cases[3] as [PoolEvent, Log])[1],
      address: toBeHex(POOL, 20),
      blockNumber,
      index,
      removed: false,
      ...changes,
    });
    const logs = [
      at(12, 0),
      at(10, 7),
      at(11, 0, { address: toBeHex(POOL + 1n, 20) }),
      at(9, 0),
      at(10, 2),
      at(21, 0),
      at(11, 5, { removed: true }),
    ];
    const provider = { getLogs: () => Promise.resolve(logs), provider: null } as unknown as Provider;
    Object.assign(provider, { provider });
    const events = await new PoolClient(POOL, provider).events(10, 20);
    assert.deepEqual(
      events.map(({ block, logIndex }) => [block, logIndex]),
      [
        [10, 2],
        [10, 7],
        [12, 0],
      ],
    );
  });
});
