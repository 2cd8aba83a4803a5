import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Keyring } from '@bitcloak/notes/keys';
import { orderHashOf } from '@bitcloak/notes/order';
import { SETTLE_SECONDS_MAX, type SentOrder } from '@bitcloak/trading/client';
import { signOrder } from '@bitcloak/trading/orders';
import type { FillRecord } from '@bitcloak/trading/records';
import { TradeBook, type KeptOrder } from '@bitcloak/wallet/tradingBook';
import { betterThanSigned, checkFills, stateNullifier, type Told } from '@bitcloak/wallet/tradingChecks';
import type { HistoryEntry } from '@bitcloak/wallet/types';
import { seededBytes } from '../support/random.ts';

const OPERATOR_ID = 77n;
const [COIN, DOLLAR] = [0x11n, 0x22n];
const keyring = new Keyring(seededBytes('trade book')(64));
const key = keyring.tradingAccount(OPERATOR_ID, 3);
const { nullifierKey } = key.keys;

function order(
  clientOrderId: string,
  changes: { kind?: SentOrder['kind']; sellMax?: bigint; expiry?: bigint } = {},
): SentOrder {
  const { kind = 'order', sellMax = 1_000n, expiry = 5_000n } = changes;
  const buyAsset = kind === 'withdrawal' ? COIN : DOLLAR;
  const limit = { sellAsset: COIN, buyAsset, sellMax, buyMin: kind === 'withdrawal' ? sellMax - 10n : 2n * sellMax };
  const destination = { operatorId: OPERATOR_ID, expiry, payTo: 5n, relockExpiry: 0n };
  return { kind, clientOrderId, ...signOrder(key, limit, destination) };
}

describe('a book of signed orders', () => {
  let directory: string;
  let path: string;
  const open = (changes: { key?: number; network?: string } = {}) =>
    new TradeBook(path, new Uint8Array(32).fill(changes.key ?? 1), changes.network ?? 'net');
  const names = (book: TradeBook) => book.orders().map(({ clientOrderId }) => clientOrderId);

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-book-'));
    path = join(directory, 'state', 'net.orders');
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('has what was added, on the disk at once, with everything that taking it back needs', () => {
    const book = open();
    assert.deepEqual(book.orders(), []);
    const [first, second] = [order('a'), order('b', { kind: 'withdrawal' })];
    book.add(3, first);
    assert.deepEqual(names(open()), ['a']);
    book.add(3, second);
    book.name('a', 12);
    for (const each of [book, open()]) {
      assert.deepEqual(each.orders(), [
        { ...first, index: 3, orderHash: orderHashOf(first.order), id: 12 },
        { ...second, index: 3, orderHash: orderHashOf(second.order), id: undefined },
      ]);
    }
    const amendment = order('a', { kind: 'amendment' });
    open().add(3, amendment);
    assert.equal(open().orders()[2]?.id, 12, 'an amendment is of the order that has its name');
    assert.equal(statSync(path).mode & 0o077, 0);
    const bytes = readFileSync(path);
    assert.ok(!bytes.includes(first.order.salt.toString()) && !bytes.includes('clientOrderId'));
  });

  it('is whole after a crash wherever it cut off the last record', () => {
    open().add(3, order('a'));
    const one = statSync(path).size;
    open().add(3, order('b'));
    const whole = readFileSync(path);
    for (let size = one; size < whole.length; size += 7) {
      writeFileSync(path, whole.subarray(0, size));
      const book = open();
      assert.deepEqual(names(book), ['a'], `cut at ${size}`);
      book.add(3, order('c'));
      assert.deepEqual(names(open()), ['a', 'c']);
    }
    writeFileSync(path, whole);
    writeFileSync(path, new Uint8Array(50), { flag: 'r+' });
    assert.throws(() => open().orders(), { code: 'WALLET_CORRUPT' });
    // Some file systems give a file its length before its bytes.
    writeFileSync(path, Buffer.concat([whole.subarray(0, whole.length - 20), new Uint8Array(20)]));
    assert.deepEqual(names(open()), ['a']);
  });

  it('is not read wrongly: damaged, with another key, or for another network', () => {
    for (const name of ['a', 'b', 'c']) open().add(3, order(name));
    const whole = readFileSync(path);
    // A record is its length, a nonce of 12 bytes, and what is sealed.
    writeFileSync(path, whole.subarray(0, 16 + whole.readUInt32BE(0)));
    assert.deepEqual(names(open()), ['a']);
    assert.throws(() => open({ key: 2 }).orders(), { code: 'WALLET_CORRUPT' }, 'one record alone');
    writeFileSync(path, whole);
    for (const other of [open({ key: 2 }), open({ network: 'other' })]) {
      assert.throws(() => other.orders(), { code: 'WALLET_CORRUPT', message: /cannot be read/ });
    }
    for (const at of [2, 10, 40, 200, whole.length - 1]) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      writeFileSync(path, damaged);
      assert.throws(() => open().orders(), { code: 'WALLET_CORRUPT' }, `byte ${at}`);
      assert.throws(() => open().add(3, order('d')), { code: 'WALLET_CORRUPT' });
      assert.deepEqual(readFileSync(path), damaged, 'nothing is written over it');
    }
  });

  it('forgets what expired long ago', () => {
    const days = (count: bigint) => count * 86_400n;
    const book = open();
    book.add(3, order('old', { expiry: days(1n) }));
    book.add(3, order('new', { expiry: days(50n) }));
    book.name('new', 4);
    book.forgetExpired(days(90n));
    assert.deepEqual(names(book), ['old', 'new']);
    book.forgetExpired(days(92n));
    assert.deepEqual(names(book), ['new']);
    book.add(3, order('newest'));
    assert.deepEqual(
      open()
        .orders()
        .map(({ clientOrderId, id }) => [clientOrderId, id]),
      [
        ['new', 4],
        ['newest', undefined],
      ],
    );
    truncateSync(path, 0);
    assert.deepEqual(names(open()), []);
  });
});

describe('what an operator told, against the chain', () => {
  const kept = (sent: SentOrder, id?: number): KeptOrder => ({
    ...sent,
    index: 3,
    orderHash: orderHashOf(sent.order),
    id,
  });
  const nullifierKeyOf = (index: number) => keyring.viewing.tradingAccount(OPERATOR_ID, index).nullifierKey;

  /** What a wallet's history has of the `k`th fill of an order. */
  function settled(
    { orderHash, kind }: KeptOrder,
    k: number,
    sequence: bigint,
    sold: bigint,
    bought: bigint,
  ): HistoryEntry {
    const isTrade = kind !== 'withdrawal';
    return {
      kind: isTrade ? 'traded' : 'released',
      asset: COIN,
      amount: isTrade ? sold : bought,
      fee: isTrade ? 0n : sold - bought,
      gained: isTrade ? { asset: DOLLAR, amount: bought } : undefined,
      block: Number(sequence),
      transaction: `0x${sequence}`,
      recipient: undefined,
      account: undefined,
      lock: undefined,
      settlement: { operator: 1, sequence, orderNullifier: stateNullifier(nullifierKey, orderHash, k) },
    };
  }
  const fill = (
    id: number,
    sold: bigint,
    bought: bigint,
    settlement: number,
    changes: Partial<FillRecord> = {},
  ): FillRecord => ({
    id,
    order: 1,
    market: 1,
    side: 'sell',
    role: 'maker',
    price: 2,
    lots: 1,
    sold,
    bought,
    fee: 0n,
    time: 0,
    status: settlement === 0 ? 'waiting' : 'settled',
    settlement,
    ...changes,
  });
  const WHOLE = { orders: 1, fills: 1, withdrawals: 1, settlement: 1 };
  const told = (fills: FillRecord[], withdrawals: Told['withdrawals'] = [], changes: Partial<Told> = {}): Told => ({
    index: 3,
    block: 1_000,
    orders: [
      { id: 1, clientOrderId: 'a' },
      { id: 2, clientOrderId: 'elsewhere' },
    ],
    fills,
    withdrawals,
    from: WHOLE,
    ...changes,
  });
  const check = (history: HistoryEntry[], orders: KeptOrder[], says?: Told, now = 1_000n) =>
    checkFills(history, orders, nullifierKeyOf, says, now);

  const [first, second] = [kept(order('a')), kept(order('a', { kind: 'amendment', expiry: 9_000n }))];
  const out = kept(order('w', { kind: 'withdrawal' }));

  it('finds each fill of each order, by the wallet’s keys alone', () => {
    const deposit = {
      ...settled(first, 0, 1n, 0n, 0n),
      kind: 'deposited',
      settlement: undefined,
    } as unknown as HistoryEntry;
    const stranger = settled(kept(order('not in the book')), 0, 4n, 5n, 10n);
    const history = [
      deposit,
      settled(first, 0, 2n, 100n, 200n),
      settled(first, 1, 3n, 200n, 500n),
      stranger,
      settled(out, 0, 3n, 1_000n, 990n),
    ];
    const { orders, unknown, contradictions } = check(history, [first, second, out]);
    assert.deepEqual(
      orders.map(({ sold, bought, fills, keepsLimit }) => [sold, bought, fills.length, keepsLimit]),
      [
        [300n, 700n, 2, true],
        [0n, 0n, 0, true],
        [1_000n, 990n, 1, true],
      ],
    );
    assert.deepEqual(orders.map(betterThanSigned), [1_666, 0, 0]);
    assert.deepEqual([unknown, contradictions], [[stranger], []]);
  });

  it('sees a fill that is worse than signed, and one too many', () => {
    const [worse] = check([settled(first, 0, 2n, 100n, 199n)], [first]).orders;
    assert.equal(worse?.keepsLimit, false);
    // Together at the price, and one of them beyond it.
    const mixed = [settled(first, 0, 2n, 100n, 199n), settled(first, 1, 3n, 100n, 201n)];
    assert.equal(check(mixed, [first]).orders[0]?.keepsLimit, false);
    const [more] = check([settled(first, 0, 2n, 1_001n, 2_002n)], [first]).orders;
    assert.equal(more?.keepsLimit, false);
  });

  it('agrees with an operator that told the truth, of amendments and of matches that wait', () => {
    const history = [
      settled(first, 0, 2n, 100n, 200n),
      settled(second, 0, 2n, 50n, 120n),
      settled(out, 0, 2n, 1_000n, 990n),
    ];
    const withdrawal = {
      id: 1,
      clientOrderId: 'w',
      asset: COIN,
      amount: 1_000n,
      fee: 10n,
      time: 0,
      status: 'settled',
      settlement: 2,
    } as const;
    const busted = fill(5, 9n, 18n, 0, { status: 'busted' });
    const says = told(
      [fill(1, 60n, 120n, 2), fill(2, 90n, 200n, 2), fill(3, 1n, 2n, 0), fill(4, 7n, 7n, 8, { order: 2 }), busted],
      [withdrawal],
    );
    assert.deepEqual(check(history, [first, second, out], says).contradictions, []);
    assert.equal(check(history, [first, second, out], says).waiting, 1);
  });

  it('counts what it cannot compare: an operator that gives an order another name is not taken at its word', () => {
    const says = (orders: Told['orders']) => {
      const matches = [fill(1, 100n, 200n, 2), fill(2, 5n, 10n, 0), fill(3, 5n, 10n, 0, { status: 'busted' })];
      const { contradictions, uncompared } = check([], [kept(order('a'), 1)], told(matches, [], { orders }));
      return [uncompared, ...contradictions.map(({ why }) => why)];
    };
    assert.deepEqual(says([{ id: 1, clientOrderId: 'a' }]), [0, 'notThere']);
    assert.deepEqual(says([{ id: 1, clientOrderId: 'b' }]), [2]);
  });

  it('sees what was told otherwise than it is', () => {
    const history = [settled(first, 0, 2n, 100n, 200n)];
    const why = (fills: FillRecord[], now?: bigint) =>
      check(history, [first, second], told(fills), now).contradictions.map((found) => [found.id, found.why]);
    assert.deepEqual(why([fill(1, 100n, 200n, 2), fill(2, 5n, 10n, 3)]), [[2, 'notThere']]);
    assert.deepEqual(why([fill(1, 100n, 201n, 2)]), [[1, 'differs']]);
    assert.deepEqual(why([fill(1, 99n, 200n, 2)]), [[1, 'differs']]);
    const waits = [fill(1, 100n, 200n, 2), fill(2, 5n, 10n, 0)];
    assert.deepEqual(why(waits, 8_999n), [], 'the amended order can still be settled');
    assert.deepEqual(why(waits, 9_000n), [[2, 'notSettled']]);
  });

  describe('sees what is on the chain', () => {
    const history = [settled(first, 0, 2n, 100n, 200n), settled(second, 0, 7n, 50n, 120n)];
    const found = (fills: FillRecord[], changes: Partial<Told> = {}, of = history) =>
      check(of, [first, second, out], told(fills, [], changes)).contradictions.map(
        ({ clientOrderId, kind, id, sold, bought, why }) => [clientOrderId, kind, id, sold, bought, why],
      );
    const one = fill(1, 100n, 200n, 2);

    it('and was told to be busted, or never told', () => {
      const busted = fill(2, 50n, 120n, 0, { status: 'busted' });
      assert.deepEqual(found([one, busted]), [['a', 'fill', 2, 50n, 120n, 'settled']]);
      const other = fill(2, 50n, 119n, 0, { status: 'busted' });
      assert.deepEqual(found([one, other]), [['a', 'fill', undefined, 50n, 120n, 'notTold']]);
      assert.deepEqual(found([one]), [['a', 'fill', undefined, 50n, 120n, 'notTold']]);
      assert.equal(found([], { orders: [] }).length, 2, 'not even of the order');
      assert.deepEqual(found([one, fill(2, 50n, 120n, 7, { order: 2 })]).length, 1, 'told of another order');
      const withdrawn = [settled(out, 0, 2n, 1_000n, 990n)];
      assert.deepEqual(found([], {}, withdrawn), [['w', 'withdrawal', undefined, 1_000n, 990n, 'notTold']]);
    });

    it('unless the operator could not know of it yet, or was not asked for that account', () => {
      assert.deepEqual(found([one], { block: 6 }), [], 'it was settled after the question');
      assert.deepEqual(found([one, fill(2, 50n, 120n, 0)]), [], 'the operator waits for more blocks than the wallet');
      assert.equal(found([one, fill(2, 49n, 120n, 0)]).length, 1, 'what waits is less than that');
      assert.deepEqual(found([], { index: 4 }), []);
      const named = kept(order('a'), 1);
      assert.deepEqual(
        check([settled(named, 0, 2n, 100n, 200n)], [named], told([one], [], { orders: [] })).contradictions,
        [],
        'the record of the order is gone',
      );
    });

    it('unless it may be so old that the operator has let go of it, as it says', () => {
      const day = SETTLE_SECONDS_MAX;
      const of = (id: number, time: number, settlement: number) => fill(id, 1n, 2n, settlement, { order: 9, time });
      const says = (fills: FillRecord[], from: number) => {
        const answer = told(fills, [], { from: { ...WHOLE, fills: from } });
        const { contradictions, gone } = check(history, [first, second], answer);
        return { untold: contradictions.map(({ sold }) => sold), gone };
      };
      const nothing = { untold: [], gone: 2 };
      assert.deepEqual(says([], 1), { untold: [100n, 50n], gone: 0 }, 'it says that all is there');
      assert.deepEqual(says([], 5), nothing, 'it says that it has nothing');
      assert.deepEqual(says([of(5, 0, 5)], 5), nothing);
      const later = { untold: [50n], gone: 1 };
      const before = of(5, 0, 1);
      assert.deepEqual(says([before, of(6, day + 1, 5)], 5), later, 'settled later than anything that is gone');
      assert.deepEqual(says([before, of(6, day, 5)], 5), nothing, 'and no sooner');
      assert.deepEqual(says([of(2, 0, 1), of(5, 1, 1), of(6, day + 1, 5)], 5), nothing, 'an older one may be there');
    });

    it('unless it was settled before the journal of the operator begins', () => {
      const says = (settlement: number) => {
        const { contradictions, gone } = check(
          history,
          [first, second],
          told([], [], { orders: [], from: { ...WHOLE, settlement } }),
        );
        return [contradictions.map(({ sold }) => sold), gone];
      };
      assert.deepEqual(says(1), [[100n, 50n], 0]);
      assert.deepEqual(says(7), [[50n], 1]);
      assert.deepEqual(says(8), [[], 2]);
    });

    it('and is told in part, where the rest of that settlement may be gone', () => {
      const says = (fills: FillRecord[], from: number) => {
        const answer = told(fills, [], { from: { ...WHOLE, fills: from } });
        const { contradictions, gone } = check(history, [first, second], answer);
        return [gone, ...contradictions.map(({ id, why }) => [id, why])];
      };
      const [part, other] = [fill(5, 60n, 120n, 2), fill(6, 50n, 120n, 7)];
      assert.deepEqual(says([part, other], 5), [1]);
      assert.deepEqual(says([part, fill(6, 30n, 60n, 2), other], 5), [1], 'one settlement, told in two parts');
      assert.deepEqual(says([part, other], 1), [0, [5, 'differs']]);
      assert.deepEqual(says([fill(5, 60n, 201n, 2), other], 5), [0, [5, 'differs']], 'more than there is');
      const better = 'a better price than there was: nothing could have been matched at that of the rest';
      assert.deepEqual(says([fill(5, 60n, 200n, 2), other], 5), [0, [5, 'differs']], better);
      assert.deepEqual(says([fill(5, 60n, 121n, 2), other], 5), [0, [5, 'differs']], better);
    });

    it('and may be of an order whose record is gone', () => {
      const stray = fill(9, 1n, 2n, 2, { order: 3 });
      const says = (orders: number) => {
        const answer = told([stray, fill(6, 50n, 120n, 7)], [], { from: { ...WHOLE, orders } });
        const { contradictions, gone } = check(history, [first, second], answer);
        return [gone, ...contradictions.map(({ sold, why }) => [sold, why])];
      };
      assert.deepEqual(says(3), [0, [100n, 'notTold']], 'the order of the stray fill is not said to be gone');
      assert.deepEqual(says(4), [1]);
    });
  });
});
