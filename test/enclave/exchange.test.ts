import assert from 'node:assert/strict';
import { orderHashOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import fc from 'fast-check';
import { Exchange, type Batch, type ExchangeEvent, type OrderRequest } from '../../enclave/exchange/exchange.ts';
import { Funds, NOTES_COUNTED, type FundNote } from '../../enclave/exchange/funds.ts';
import { isCovered, legOf, quoteFor, type MarketTerms } from '../../enclave/exchange/market.ts';
import { SeededRandom } from '../support/circuit.ts';

const [COIN, DOLLAR] = [NATIVE_ASSET, 0xd011a4n];
const OPERATOR_ID = 77n;
const NOW = 1_800_000_000;
const SETTLE_SECONDS = 3_600;
const LATER = NOW + 86_400;
const TERMS: MarketTerms = {
  market: 1,
  base: COIN,
  quote: DOLLAR,
  lotBase: 1_000n,
  tickQuote: 3n,
  makerFee: 10,
  takerFee: 25,
};
const RULES = {
  market: 1,
  ticksMax: 1_000_000,
  lotsMin: 1,
  lotsMax: 1_000_000,
  referenceSecondsMax: 60,
  referenceMoveMax: 100,
};
const SIGNATURE = { r8: { x: 0n, y: 1n }, s: 0n };
const [ALICE, BOB, CAROL] = [101n, 102n, 103n];

let salt = 0n;
/** The least that an owner can sign for an order. */
function request(
  owner: bigint,
  side: 'buy' | 'sell',
  price: number,
  lots: number,
  changes: Partial<OrderRequest> = {},
  signed: Partial<Order> = {},
): OrderRequest {
  const amount = quoteFor(TERMS, price, lots);
  const fee = BigInt(TERMS.takerFee);
  const base = BigInt(lots) * TERMS.lotBase;
  const terms =
    side === 'sell'
      ? { sellAsset: COIN, buyAsset: DOLLAR, sellMax: base, buyMin: (amount * (10_000n - fee)) / 10_000n }
      : { sellAsset: DOLLAR, buyAsset: COIN, sellMax: (amount * (10_000n + fee) + 9_999n) / 10_000n, buyMin: base };
  const order: Order = {
    owner,
    operatorId: OPERATOR_ID,
    ...terms,
    expiry: BigInt(LATER),
    payTo: owner,
    relockExpiry: 0n,
    salt: ++salt,
    ...signed,
  };
  return {
    market: 1,
    side,
    type: 'limit',
    price,
    lots,
    timeInForce: 'gtc',
    selfTrade: 'cancelNewest',
    order,
    signature: SIGNATURE,
    ...changes,
  };
}

class Floor {
  exchange = new Exchange({ operatorId: OPERATOR_ID, settleSeconds: SETTLE_SECONDS });
  #leaf = 0;

  constructor() {
    this.exchange.apply({ kind: 'setTime', time: NOW });
    this.exchange.apply({ kind: 'addMarket', terms: TERMS, rules: RULES });
  }

  credit(owner: bigint, asset: bigint, value: bigint, { expiry = LATER, inserted = true } = {}): number {
    const leaf = this.#leaf++;
    this.exchange.apply({ kind: 'credit', note: { leaf, owner, asset, value, expiry, inserted } });
    return leaf;
  }

  order(wish: OrderRequest): ExchangeEvent[] {
    return this.exchange.apply({ kind: 'order', ...wish });
  }

  plan(validUntil = NOW + 1_800): Batch | undefined {
    this.exchange.apply({ kind: 'plan', validUntil });
    return this.exchange.batch;
  }
}

const kinds = (events: readonly ExchangeEvent[]) => events.map(({ kind }) => kind);
const refusal = (events: readonly ExchangeEvent[]) => (events[0]?.kind === 'refused' ? events[0].reason : undefined);

/** What the fill circuit and the clearing will ask of a batch. */
function assertProvable({ fills, validUntil }: Batch, notes: readonly FundNote[]): void {
  const surplus = new Map<bigint, bigint>();
  const taken = new Set<number>();
  for (const { order, sold, bought, filled, leaves } of fills) {
    assert.ok(sold * order.buyMin <= bought * order.sellMax, 'the limit');
    assert.ok(filled + sold <= order.sellMax, 'the most that the order sells');
    assert.ok(order.expiry >= BigInt(validUntil));
    assert.ok(leaves.length >= 1 && leaves.length <= 2);
    let worth = 0n;
    for (const leaf of leaves) {
      const note = notes.find((candidate) => candidate.leaf === leaf);
      assert.ok(note !== undefined && !taken.has(leaf));
      assert.ok(note.inserted && note.owner === order.owner && note.asset === order.sellAsset);
      assert.ok(note.expiry >= validUntil);
      taken.add(leaf);
      worth += note.value;
    }
    assert.ok(worth >= sold, 'the notes pay for it');
    surplus.set(order.sellAsset, (surplus.get(order.sellAsset) ?? 0n) + sold);
    surplus.set(order.buyAsset, (surplus.get(order.buyAsset) ?? 0n) - bought);
  }
  for (const amount of surplus.values()) assert.ok(amount >= 0n, 'nothing is created');
  assert.ok(fills.length <= 16);
}

describe('terms of a market', () => {
  it('cover every part of an order at its price or better, as maker and as taker', () => {
    const amount = fc.bigInt({ min: 1n, max: 10n ** 12n });
    const fee = fc.integer({ min: 0, max: 9_999 });
    const whole = fc.integer({ min: 1, max: 10_000 });
    fc.assert(
      fc.property(
        amount,
        amount,
        fee,
        fee,
        whole,
        whole,
        fc.boolean(),
        fc.array(fc.tuple(whole, whole, fc.boolean())),
        fc.integer({ min: -1, max: 1 }),
        (lotBase, tickQuote, makerFee, takerFee, ticks, lots, sells, parts, off) => {
          const terms = { ...TERMS, lotBase, tickQuote, makerFee, takerFee };
          const side = sells ? 'sell' : 'buy';
          const gross = quoteFor(terms, ticks, lots);
          const most = BigInt(Math.max(makerFee, takerFee));
          const base = BigInt(lots) * lotBase;
          const sellMax = sells ? base : (gross * (10_000n + most) + 9_999n) / 10_000n + BigInt(off);
          const buyMin = sells ? (gross * (10_000n - most)) / 10_000n + BigInt(off) : base;
          const assets = sells ? { sellAsset: COIN, buyAsset: DOLLAR } : { sellAsset: DOLLAR, buyAsset: COIN };
          const order = { ...request(ALICE, side, 1, 1).order, ...assets, sellMax, buyMin };
          const covered = isCovered(terms, side, ticks, lots, order);
          assert.equal(covered, sells ? off <= 0 : off >= 0);
          if (!covered) return;
          let left = lots;
          let [sold, bought] = [0n, 0n];
          for (const [size, better, isMaker] of parts) {
            const part = Math.min(size, left);
            if (part === 0) break;
            left -= part;
            const price = sells ? ticks + better : Math.max(1, ticks - better);
            const leg = legOf(terms, side, price, part, isMaker);
            assert.ok(leg.sold * buyMin <= leg.bought * sellMax, 'one alone');
            [sold, bought] = [sold + leg.sold, bought + leg.bought];
          }
          assert.ok(sold * buyMin <= bought * sellMax, 'all together');
          assert.ok(sold <= sellMax);
        },
      ),
      { numRuns: 3_000, seed: 20261121 },
    );
  });
});

describe('funds', () => {
  const note = (leaf: number, value: bigint, changes: Partial<FundNote> = {}): FundNote => {
    return { leaf, owner: ALICE, asset: COIN, value, expiry: LATER, inserted: true, ...changes };
  };
  const fundsOf = (...notes: FundNote[]) => {
    const funds = new Funds();
    for (const each of notes) funds.credit(each);
    return funds;
  };

  it('count the largest notes only, those of one owner and asset that stay locked long enough, less what orders hold', () => {
    const dust = Array.from({ length: 1_000 }, (_, index) => note(10 + index, 1n));
    const funds = fundsOf(
      ...dust,
      note(1, 50n),
      note(2, 7n, { owner: BOB }),
      note(3, 7n, { asset: DOLLAR }),
      note(4, 99n, { expiry: NOW }),
    );
    assert.equal(funds.available(ALICE, COIN, LATER), 50n + BigInt(NOTES_COUNTED - 1));
    funds.hold(ALICE, COIN, 20n);
    assert.equal(funds.available(ALICE, COIN, LATER), 30n + BigInt(NOTES_COUNTED - 1));
    funds.remove(1);
    assert.equal(funds.available(ALICE, COIN, LATER), BigInt(NOTES_COUNTED) - 20n);
    assert.equal(funds.available(BOB, COIN, LATER), 7n);
  });

  it('choose the smallest note that is enough, else the two largest, of those in the tree that are free', () => {
    const funds = fundsOf(note(1, 10n), note(2, 20n), note(3, 30n), note(4, 100n, { inserted: false }));
    const chosen = (amount: bigint, taken: number[] = []) =>
      funds.choose(ALICE, COIN, amount, NOW, new Set(taken))?.map(({ leaf }) => leaf);
    assert.deepEqual(chosen(10n), [1]);
    assert.deepEqual(chosen(11n), [2]);
    assert.deepEqual(chosen(31n), [3, 2]);
    assert.deepEqual(chosen(50n), [3, 2]);
    assert.equal(chosen(51n), undefined);
    assert.deepEqual(chosen(25n, [3]), [2, 1]);
    funds.markInserted(4);
    assert.deepEqual(chosen(51n), [4]);
  });
});

describe('the exchange', () => {
  it('matches two orders at the resting price and plans both sides of it', () => {
    const floor = new Floor();
    const coins = floor.credit(ALICE, COIN, 50_000n);
    const dollars = floor.credit(BOB, DOLLAR, 100_000n);
    assert.deepEqual(kinds(floor.order(request(ALICE, 'sell', 100, 20))), ['accepted']);
    assert.deepEqual(kinds(floor.order(request(BOB, 'buy', 110, 8))), ['accepted', 'traded']);
    const batch = floor.plan();
    assert.ok(batch !== undefined);
    assertProvable(batch, floor.exchange.save().notes);
    // 8 lots at 100 ticks are 2,400; the maker pays 0.1 percent of it and the taker 0.25.
    assert.deepEqual(
      batch.fills.map(({ sold, bought, leaves }) => [sold, bought, leaves]),
      [
        [8_000n, 2_398n, [coins]],
        [2_406n, 8_000n, [dollars]],
      ],
    );
    assert.equal(floor.exchange.waiting, 0);
  });

  it('settles an order in parts, each when the state before it is in the tree', () => {
    const floor = new Floor();
    floor.credit(ALICE, COIN, 20_000n);
    floor.credit(BOB, DOLLAR, 100_000n);
    floor.credit(BOB, DOLLAR, 100_000n);
    floor.order(request(ALICE, 'sell', 100, 20));
    floor.order(request(BOB, 'buy', 100, 5));
    const first = floor.plan();
    assert.ok(first !== undefined);
    const [sell] = first.fills;
    floor.exchange.apply({ kind: 'settled' });
    floor.exchange.apply({ kind: 'remove', leaf: sell?.leaves[0] ?? -1 });
    const change = floor.credit(ALICE, COIN, 15_000n, { inserted: false });
    floor.order(request(BOB, 'buy', 100, 5));
    assert.equal(floor.plan(), undefined, 'neither change nor state are in the tree');
    floor.exchange.apply({ kind: 'inserted', leaves: [change], states: [] });
    assert.equal(floor.plan(), undefined, 'the state is not in the tree');
    const state = orderStateOf(orderHashOf(sell?.order as Order), sell?.sold ?? 0n, 1n);
    floor.exchange.apply({ kind: 'inserted', leaves: [], states: [state + 1n] });
    assert.equal(floor.plan(), undefined, 'another order’s');
    floor.exchange.apply({ kind: 'inserted', leaves: [], states: [state] });
    const second = floor.plan();
    assert.ok(second !== undefined);
    assertProvable(second, floor.exchange.save().notes);
    assert.deepEqual([second.fills[0]?.k, second.fills[0]?.filled, second.fills[0]?.sold], [1n, 5_000n, 5_000n]);
  });

  it('nets the matches of an order into one fill', () => {
    const floor = new Floor();
    floor.credit(ALICE, COIN, 50_000n);
    for (const owner of [BOB, CAROL]) floor.credit(owner, DOLLAR, 100_000n);
    floor.order(request(ALICE, 'sell', 100, 20));
    for (const owner of [BOB, CAROL, BOB]) floor.order(request(owner, 'buy', 100, 2));
    const batch = floor.plan();
    assert.ok(batch !== undefined);
    assert.deepEqual(
      batch.fills.map(({ order }) => order.owner),
      [ALICE, BOB, CAROL],
    );
    assert.equal(batch.fills[0]?.sold, 4_000n, 'a note is in one fill: Bob’s second order waits');
    assertProvable(batch, floor.exchange.save().notes);
    assert.equal(floor.exchange.waiting, 1);
  });

  it('has one batch at a time, and takes up again what failed', () => {
    const floor = new Floor();
    floor.credit(ALICE, COIN, 50_000n);
    floor.credit(BOB, DOLLAR, 100_000n);
    floor.order(request(ALICE, 'sell', 100, 20));
    floor.order(request(BOB, 'buy', 100, 8));
    const batch = floor.plan();
    assert.equal(refusal(floor.exchange.apply({ kind: 'plan', validUntil: NOW + 1_900 })), 'batchPending');
    floor.exchange.apply({ kind: 'failed' });
    assert.deepEqual(floor.plan(), batch);
    floor.exchange.apply({ kind: 'settled' });
    assert.equal(floor.plan(), undefined);
  });

  it('busts what nobody can settle any more, and gives it back', () => {
    const floor = new Floor();
    floor.credit(ALICE, COIN, 20_000n, { inserted: false });
    floor.credit(BOB, DOLLAR, 100_000n);
    const soon = { expiry: BigInt(NOW + SETTLE_SECONDS + 10) };
    floor.order(request(ALICE, 'sell', 100, 20, {}, soon));
    floor.order(request(BOB, 'buy', 100, 20));
    assert.equal(floor.plan(), undefined);
    floor.exchange.apply({ kind: 'setTime', time: NOW + SETTLE_SECONDS + 10 });
    assert.deepEqual(kinds(floor.exchange.apply({ kind: 'plan', validUntil: NOW + SETTLE_SECONDS + 60 })), [
      'busted',
      'planned',
    ]);
    assert.equal(floor.exchange.available(ALICE, COIN), 20_000n);
    assert.equal(floor.exchange.available(BOB, DOLLAR), 100_000n);
    assert.deepEqual(floor.exchange.save().entries, []);
  });

  it('takes an order from the books whose notes went away, or stay locked too shortly', () => {
    const floor = new Floor();
    const note = floor.credit(ALICE, COIN, 20_000n);
    floor.order(request(ALICE, 'sell', 100, 20));
    floor.exchange.apply({ kind: 'remove', leaf: note });
    assert.deepEqual(kinds(floor.exchange.apply({ kind: 'setTime', time: NOW + 1 })), ['timeSet', 'cancelled']);
    floor.credit(ALICE, COIN, 20_000n, { expiry: NOW + 3 * SETTLE_SECONDS });
    floor.order(request(ALICE, 'sell', 100, 20));
    assert.deepEqual(kinds(floor.exchange.apply({ kind: 'setTime', time: NOW + 2 * SETTLE_SECONDS })), ['timeSet']);
    assert.deepEqual(kinds(floor.exchange.apply({ kind: 'setTime', time: NOW + 2 * SETTLE_SECONDS + 1 })), [
      'timeSet',
      'cancelled',
    ]);
  });

  it('lets an order leave the books early enough to settle what it matched', () => {
    const floor = new Floor();
    floor.credit(ALICE, COIN, 20_000n);
    floor.order(request(ALICE, 'sell', 100, 20));
    const at = (time: number) => kinds(floor.exchange.apply({ kind: 'setTime', time }));
    assert.deepEqual(at(LATER - SETTLE_SECONDS - 1), ['timeSet']);
    assert.deepEqual(at(LATER - SETTLE_SECONDS), ['timeSet', 'cancelled']);
  });

  describe('refuses an order', () => {
    const cases: Readonly<Record<string, [OrderRequest, string]>> = {
      'of a market that is none': [request(ALICE, 'sell', 100, 20, { market: 2 }), 'marketUnknown'],
      'for another operator': [request(ALICE, 'sell', 100, 20, {}, { operatorId: 5n }), 'operatorUnknown'],
      'whose owner signed for less': [request(ALICE, 'sell', 100, 20, {}, { sellMax: 19_999n }), 'orderNotCovered'],
      'whose owner signed for more': [request(ALICE, 'sell', 100, 20, {}, { sellMax: 20_001n }), 'orderNotCovered'],
      'whose owner wants more for it': [request(ALICE, 'sell', 100, 20, {}, { buyMin: 6_000n }), 'orderNotCovered'],
      'whose owner sells something else': [request(ALICE, 'sell', 100, 20, {}, { sellAsset: 9n }), 'orderNotCovered'],
      'whose owner buys something else': [request(ALICE, 'sell', 100, 20, {}, { buyAsset: 9n }), 'orderNotCovered'],
      'of the other side': [{ ...request(ALICE, 'sell', 100, 20), side: 'buy' }, 'orderNotCovered'],
      'that ends too soon': [
        request(ALICE, 'sell', 100, 20, {}, { expiry: BigInt(NOW + SETTLE_SECONDS) }),
        'orderTooShort',
      ],
      'of more than its owner has': [request(ALICE, 'sell', 100, 21), 'fundsInsufficient'],
      'of somebody who has nothing': [request(CAROL, 'sell', 100, 1), 'fundsInsufficient'],
      'of no lots': [request(ALICE, 'sell', 100, 0), 'lotsInvalid'],
      'of half a lot': [{ ...request(ALICE, 'sell', 100, 1), lots: 0.5 }, 'lotsInvalid'],
    };
    for (const [title, [wish, reason]] of Object.entries(cases)) {
      it(title, () => {
        const floor = new Floor();
        floor.credit(ALICE, COIN, 20_000n);
        const before = floor.exchange.hash();
        assert.equal(refusal(floor.order(wish)), reason);
        assert.equal(floor.exchange.available(ALICE, COIN), 20_000n);
        if (reason !== 'lotsInvalid') assert.equal(floor.exchange.hash(), before);
      });
    }

    it('of what other orders of its owner hold', () => {
      const floor = new Floor();
      floor.credit(ALICE, COIN, 20_000n);
      assert.deepEqual(kinds(floor.order(request(ALICE, 'sell', 100, 15))), ['accepted']);
      assert.equal(refusal(floor.order(request(ALICE, 'sell', 100, 6))), 'fundsInsufficient');
      floor.exchange.apply({ kind: 'cancel', owner: ALICE, order: 1 });
      assert.deepEqual(kinds(floor.order(request(ALICE, 'sell', 100, 20))), ['accepted']);
    });

    it('and a stranger cancels nobody’s', () => {
      const floor = new Floor();
      floor.credit(ALICE, COIN, 20_000n);
      floor.order(request(ALICE, 'sell', 100, 15));
      assert.equal(refusal(floor.exchange.apply({ kind: 'cancel', owner: BOB, order: 1 })), 'notOwner');
    });
  });

  it('plans provable batches only, holds what it must, and is the same after being kept and taken up again', () => {
    for (const seed of ['a', 'b', 'c', 'd']) {
      const random = new SeededRandom(`exchange ${seed}`);
      const draw = (bound: number) => Number(random.below(BigInt(bound)));
      const floor = new Floor();
      const owners = [ALICE, BOB, CAROL];
      let batches = 0;
      let time = NOW;
      for (let step = 0; step < 600; step++) {
        const owner = owners[draw(3)] as bigint;
        const choice = draw(12);
        if (choice < 2)
          floor.credit(owner, draw(2) === 0 ? COIN : DOLLAR, BigInt(1 + draw(60_000)), { inserted: draw(4) > 0 });
        else if (choice < 8) floor.order(request(owner, draw(2) === 0 ? 'sell' : 'buy', 90 + draw(20), 1 + draw(15)));
        else if (choice === 8) floor.exchange.apply({ kind: 'cancel', owner, order: 1 + draw(300) });
        else if (choice === 9) floor.exchange.apply({ kind: 'setTime', time: (time += draw(30)) });
        else {
          const before = floor.exchange.save().notes;
          const batch = floor.plan(time + 1_800);
          if (batch !== undefined) {
            batches++;
            assertProvable(batch, before);
            if (draw(5) === 0) floor.exchange.apply({ kind: 'failed' });
            else {
              for (const fill of batch.fills) {
                const worth = before
                  .filter(({ leaf }) => fill.leaves.includes(leaf))
                  .reduce((sum, { value }) => sum + value, 0n);
                for (const leaf of fill.leaves) floor.exchange.apply({ kind: 'remove', leaf });
                if (worth > fill.sold) floor.credit(fill.order.owner, fill.order.sellAsset, worth - fill.sold);
                const state = orderStateOf(orderHashOf(fill.order), fill.filled + fill.sold, fill.k + 1n);
                floor.exchange.apply({ kind: 'settled' });
                floor.exchange.apply({ kind: 'inserted', leaves: [], states: [state] });
              }
            }
          }
        }
        if (step % 10 !== 0) continue;
        const { entries, unsettled } = floor.exchange.save();
        for (const entry of entries) {
          const legs = unsettled.flatMap((match) => match.legs).filter(({ id }) => id === entry.id);
          const waiting = legs.reduce((sum, { sold }) => sum + sold, 0n);
          assert.equal(entry.sold, entry.filled + waiting);
          assert.ok(entry.held >= waiting && entry.sold <= entry.order.sellMax);
        }
        if (step % 40 === 0) {
          const restored = new Exchange(
            { operatorId: OPERATOR_ID, settleSeconds: SETTLE_SECONDS },
            structuredClone(floor.exchange.save()),
          );
          assert.equal(restored.hash(), floor.exchange.hash());
          floor.exchange = restored;
        }
      }
      assert.ok(batches > 10, `seed ${seed}: ${batches} batches`);
    }
  });
});
