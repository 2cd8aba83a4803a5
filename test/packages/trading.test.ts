import assert from 'node:assert/strict';
import { verify } from '@bitcloak/crypto/eddsa';
import { SpendingKey } from '@bitcloak/notes/keys';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import type { Side } from '@bitcloak/protocol/orders';
import { AMOUNT_MAX, FIELD_MODULUS, NATIVE_ASSET, TIME_MAX } from '@bitcloak/protocol/parameters';
import { checkJson } from '@bitcloak/trading/checks';
import { feeOf, isCovered, legOf, limitOf, quoteFor, signedLots, type MarketTerms } from '@bitcloak/trading/market';
import { signOrder, withdrawalLimit, type SignedOrder } from '@bitcloak/trading/orders';
import type { BalanceRecord, FillRecord, OrderRecord, WithdrawalRecord } from '@bitcloak/trading/records';
import {
  AMENDMENT_SCHEMA,
  BALANCE_RECORD_SCHEMA,
  bytesOf,
  decodeBalanceRecord,
  decodeFillRecord,
  decodeInfo,
  decodeMarket,
  decodeOrderRecord,
  decodeSigned,
  decodeStreamBody,
  decodeWithdrawalRecord,
  encodeInfo,
  encodeSigned,
  FILL_RECORD_SCHEMA,
  hexOf,
  INFO_SCHEMA,
  MARKET_SCHEMA,
  NEW_ORDER_SCHEMA,
  ORDER_RECORD_SCHEMA,
  toJson,
  WITHDRAWAL_RECORD_SCHEMA,
  WITHDRAWAL_SCHEMA,
  type MarketInfo,
  type OperatorInfo,
  type StreamBody,
} from '@bitcloak/trading/wire';
import fc from 'fast-check';

const [COIN, DOLLAR] = [NATIVE_ASSET, 0xd011a4n];
const TERMS: MarketTerms = {
  market: 1,
  pair: 'ETH-DUSD',
  base: COIN,
  quote: DOLLAR,
  lotBase: 1_000n,
  tickQuote: 3n,
  makerFee: 10,
  takerFee: 25,
};
const KEY = new SpendingKey(123_456_789n, 987_654_321n);
const DESTINATION = { operatorId: 77n, expiry: 1_800_086_400n, payTo: KEY.keys.owner, relockExpiry: 0n };

describe('terms of a market', () => {
  it('say what a trade gives and gets, the fee in the quote asset and rounded down', () => {
    // 8 lots at 100 ticks of 3 are 2,400: fees of 2.4 and 6.
    assert.equal(quoteFor(TERMS, 100, 8), 2_400n);
    assert.deepEqual([feeOf(TERMS, 100, 8, true), feeOf(TERMS, 100, 8, false)], [2n, 6n]);
    assert.deepEqual(legOf(TERMS, 'sell', 100, 8, true), { sold: 8_000n, bought: 2_398n });
    assert.deepEqual(legOf(TERMS, 'buy', 100, 8, false), { sold: 2_406n, bought: 8_000n });
    assert.deepEqual(limitOf(TERMS, 'sell', 100, 8), {
      sellAsset: COIN,
      buyAsset: DOLLAR,
      sellMax: 8_000n,
      buyMin: 2_394n,
    });
    assert.deepEqual(limitOf(TERMS, 'buy', 101, 1), {
      sellAsset: DOLLAR,
      buyAsset: COIN,
      sellMax: 304n,
      buyMin: 1_000n,
    });
  });

  it('compute exactly where a number would not', () => {
    const large = { ...TERMS, lotBase: 10n ** 15n + 1n, tickQuote: 10n ** 15n + 1n };
    const [ticks, lots] = [2 ** 31 - 1, 2 ** 22 - 1];
    assert.equal(quoteFor(large, ticks, lots), 2_147_483_647n * 4_194_303n * (10n ** 15n + 1n));
    assert.equal(legOf(large, 'sell', ticks, lots, true).sold, 4_194_303n * (10n ** 15n + 1n));
  });

  it('know for how many lots an order was signed, of whole lots of this market and side only', () => {
    const sell = limitOf(TERMS, 'sell', 100, 8);
    const buy = limitOf(TERMS, 'buy', 100, 8);
    assert.deepEqual([signedLots(TERMS, 'sell', sell), signedLots(TERMS, 'buy', buy)], [8n, 8n]);
    for (const [side, limit] of [
      ['buy', sell],
      ['sell', buy],
      ['sell', { ...sell, sellMax: 7_999n }],
      ['sell', { ...sell, sellMax: 8_001n }],
      ['sell', { ...sell, sellMax: 0n }],
      ['sell', { ...sell, sellMax: -1_000n }],
      ['sell', { ...sell, buyAsset: COIN }],
      ['sell', { ...sell, sellAsset: DOLLAR }],
      ['buy', { ...buy, buyMin: 8_001n }],
      ['buy', { ...buy, buyMin: 0n }],
    ] as const) {
      assert.equal(signedLots(TERMS, side, limit), undefined);
      assert.equal(isCovered(TERMS, side, 100, 1, limit), false);
    }
    assert.equal(
      signedLots(TERMS, 'sell', { ...sell, sellMax: 2n ** 100n * 1_000n }),
      2n ** 100n,
      'no number holds it',
    );
  });

  it('are not covered by amounts that no circuit takes', () => {
    const huge = { ...TERMS, lotBase: 1n, tickQuote: 1n, makerFee: 0, takerFee: 0 };
    const limit = (lots: bigint) => ({ sellAsset: COIN, buyAsset: DOLLAR, sellMax: lots, buyMin: 0n });
    assert.equal(isCovered(huge, 'sell', 1, 1, limit(AMOUNT_MAX)), true);
    assert.equal(isCovered(huge, 'sell', 1, 1, limit(AMOUNT_MAX + 1n)), false);
    assert.equal(isCovered(huge, 'sell', 2, 1, limit(AMOUNT_MAX)), false);
    assert.equal(isCovered(huge, 'sell', 2, 1, limit(AMOUNT_MAX / 2n)), true);
  });

  const amount = fc.bigInt({ min: 1n, max: 10n ** 12n });
  const fee = fc.integer({ min: 0, max: 10_000 });
  const whole = fc.integer({ min: 1, max: 10_000 });
  const terms = fc
    .tuple(amount, amount, fee, fee)
    .map(([lotBase, tickQuote, makerFee, takerFee]) => ({ ...TERMS, lotBase, tickQuote, makerFee, takerFee }));
  const side = fc.constantFrom<Side>('buy', 'sell');

  it('cover every part of an order at its price or better, as maker and as taker', () => {
    const parts = fc.array(fc.tuple(whole, whole, fc.boolean()), { minLength: 1 });
    fc.assert(
      fc.property(
        terms,
        side,
        whole,
        whole,
        whole,
        parts,
        fc.integer({ min: -1, max: 1 }),
        (market, of, ticks, lots, more, trades, off) => {
          const signed = lots + (more % 3 === 0 ? more : 0);
          const least = limitOf(market, of, ticks, signed);
          const limit =
            of === 'sell'
              ? { ...least, buyMin: least.buyMin + BigInt(off) }
              : { ...least, sellMax: least.sellMax + BigInt(off) };
          const { sellMax, buyMin } = limit;
          const covered = isCovered(market, of, ticks, lots, limit);
          assert.equal(covered, of === 'sell' ? off <= 0 : off >= 0, 'to the last unit');
          assert.equal(isCovered(market, of, ticks, signed + 1, limit), false);
          if (!covered) return;
          const held = (open: number) => (sellMax * BigInt(open) + BigInt(signed) - 1n) / BigInt(signed);
          let left = lots;
          let [sold, bought] = [0n, 0n];
          for (const [size, better, isMaker] of trades) {
            const part = Math.min(size, left);
            if (part === 0) break;
            left -= part;
            const price = of === 'sell' ? ticks + better : Math.max(1, ticks - better);
            const leg = legOf(market, of, price, part, isMaker);
            assert.ok(leg.sold * buyMin <= leg.bought * sellMax, 'one alone');
            const before = held(left + part) + sold;
            assert.ok(
              held(left) + sold + leg.sold <= before,
              'what an order holds never grows when a part of it trades',
            );
            [sold, bought] = [sold + leg.sold, bought + leg.bought];
          }
          assert.ok(sold * buyMin <= bought * sellMax, 'all together');
          assert.ok(sold <= sellMax);
        },
      ),
      { numRuns: 3_000, seed: 20261121 },
    );
  });

  it('leave both sides of a trade with a fee and nothing else over', () => {
    fc.assert(
      fc.property(terms, whole, whole, fc.boolean(), (market, ticks, lots, sellerRests) => {
        const seller = legOf(market, 'sell', ticks, lots, sellerRests);
        const buyer = legOf(market, 'buy', ticks, lots, !sellerRests);
        assert.equal(seller.sold, buyer.bought);
        const fees = feeOf(market, ticks, lots, true) + feeOf(market, ticks, lots, false);
        assert.equal(buyer.sold - seller.bought, fees);
        assert.ok(fees >= 0n && seller.bought >= 0n);
      }),
      { numRuns: 1_000, seed: 20261122 },
    );
  });
});

describe('a signed order', () => {
  it('is signed for exactly what it says, each with a salt of its own', () => {
    const limit = limitOf(TERMS, 'sell', 100, 8);
    const first = signOrder(KEY, limit, DESTINATION);
    const second = signOrder(KEY, limit, DESTINATION);
    assert.deepEqual({ ...first.order, salt: 0n }, { owner: KEY.keys.owner, ...limit, ...DESTINATION, salt: 0n });
    assert.notEqual(first.order.salt, second.order.salt);
    assert.ok(verify(KEY.keys.publicKey, orderHashOf(first.order), first.signature));
    assert.ok(!verify(KEY.keys.publicKey, orderHashOf(second.order), first.signature));
    for (const name of Object.keys(first.order) as (keyof Order)[]) {
      const other = { ...first.order, [name]: first.order[name] + 1n };
      assert.ok(!verify(KEY.keys.publicKey, orderHashOf(other), first.signature), name);
    }
  });

  it('brings something, and sells something: anything else is not signed', () => {
    const limit = limitOf(TERMS, 'sell', 100, 8);
    const free = withdrawalLimit(COIN, 7n, 7n);
    for (const wrong of [{ ...limit, buyMin: 0n }, { ...limit, buyMin: -1n }, { ...limit, sellMax: 0n }, free]) {
      assert.throws(() => signOrder(KEY, wrong, DESTINATION), { code: 'AMOUNT_INVALID' });
    }
    assert.equal(signOrder(KEY, { ...limit, buyMin: 1n }, DESTINATION).order.buyMin, 1n);
  });

  it('of a withdrawal sells an asset for itself, less the fee', () => {
    assert.deepEqual(withdrawalLimit(COIN, 100n, 7n), { sellAsset: COIN, buyAsset: COIN, sellMax: 100n, buyMin: 93n });
  });
});

describe('on the wire', () => {
  const signed: SignedOrder = signOrder(KEY, limitOf(TERMS, 'buy', 100, 8), DESTINATION);
  const wire = encodeSigned(signed);
  const throughJson = (value: unknown): unknown => JSON.parse(toJson(value));
  const newOrder = {
    clientOrderId: 'my-order_1',
    market: 1,
    side: 'buy',
    type: 'limit',
    price: 100,
    lots: 8,
    timeInForce: 'gtc',
    selfTrade: 'cancelNewest',
    ...wire,
  };

  it('a signed order comes back as it was', () => {
    checkJson(WITHDRAWAL_SCHEMA, throughJson({ clientOrderId: 'a', ...wire }));
    assert.deepEqual(decodeSigned(throughJson(wire) as typeof wire), signed);
  });

  it('an order out of the ranges of the circuit does not come in, and one at their edges does', () => {
    const most: Readonly<Record<keyof Order, bigint>> = {
      owner: FIELD_MODULUS - 1n,
      operatorId: FIELD_MODULUS - 1n,
      sellAsset: (1n << 160n) - 1n,
      buyAsset: (1n << 160n) - 1n,
      sellMax: AMOUNT_MAX,
      buyMin: AMOUNT_MAX,
      expiry: TIME_MAX,
      payTo: FIELD_MODULUS - 1n,
      relockExpiry: TIME_MAX,
      salt: FIELD_MODULUS - 1n,
    };
    for (const name of Object.keys(most) as (keyof Order)[]) {
      const with_ = (value: bigint) => ({ ...wire, order: { ...wire.order, [name]: value.toString() } });
      assert.equal(decodeSigned(with_(most[name])).order[name], most[name]);
      assert.throws(() => decodeSigned(with_(most[name] + 1n)), new RegExp(`^RangeError: ${name}: `));
    }
    for (const name of ['r8x', 'r8y', 's'] as const) {
      const spoilt = { ...wire, signature: { ...wire.signature, [name]: FIELD_MODULUS.toString() } };
      assert.throws(() => decodeSigned(spoilt), new RegExp(`^RangeError: ${name}: `));
    }
  });

  it('numbers have one form, and nothing is repaired', () => {
    checkJson(NEW_ORDER_SCHEMA, newOrder);
    for (const salt of ['-1', '+1', '01', '1.0', '1e3', '0x1', '', ' 1', '1 ', '1\n', '9'.repeat(79), 7, null]) {
      const order = { ...newOrder.order, salt };
      assert.throws(() => checkJson(NEW_ORDER_SCHEMA, { ...newOrder, order }), RangeError, String(salt));
    }
    const wrong: Readonly<Record<string, unknown>> = {
      clientOrderId: '',
      market: -1,
      side: 'Buy',
      type: 'stop',
      price: 0,
      lots: 1.5,
      timeInForce: 'day',
      selfTrade: '',
      expiry: 2 ** 40,
      postOnly: 'true',
      display: 0,
      minimumTotal: '3',
      minimumMatch: 2 ** 53,
      unknown: 1,
    };
    for (const [name, value] of Object.entries(wrong)) {
      assert.throws(() => checkJson(NEW_ORDER_SCHEMA, { ...newOrder, [name]: value }), RangeError, name);
    }
    for (const clientOrderId of ['a b', 'a'.repeat(37), 'ä', 'a\n']) {
      assert.throws(() => checkJson(NEW_ORDER_SCHEMA, { ...newOrder, clientOrderId }), RangeError);
    }
    for (const name of Object.keys(newOrder)) {
      const { [name]: _left, ...rest } = newOrder as Record<string, unknown>;
      assert.throws(() => checkJson(NEW_ORDER_SCHEMA, rest), RangeError, name);
    }
    checkJson(AMENDMENT_SCHEMA, { price: 1, lots: 2 });
    checkJson(AMENDMENT_SCHEMA, { price: 1, lots: 2, ...wire });
    assert.throws(() => checkJson(AMENDMENT_SCHEMA, { price: 1, lots: 2, clientOrderId: 'a' }), RangeError);
  });

  it('records fit their schemas and come back as they were', () => {
    const order: OrderRecord = {
      id: 3,
      clientOrderId: 'a',
      market: 0,
      side: 'sell',
      type: 'pegged',
      timeInForce: 'gtd',
      selfTrade: 'decrement',
      postOnly: false,
      display: 0,
      minimumTotal: 0,
      minimumMatch: 0,
      price: 1,
      lots: 2 ** 53 - 1,
      filled: 0,
      open: 0,
      status: 'cancelled',
      reason: 'selfTrade',
      expiry: 1_800_000_000,
      time: 1_800_000_000,
    };
    const fill: FillRecord = {
      id: 1,
      order: 3,
      market: 0,
      side: 'sell',
      role: 'maker',
      price: 1,
      lots: 5,
      sold: AMOUNT_MAX,
      bought: 0n,
      fee: 1n,
      time: 0,
      status: 'waiting',
      settlement: 0,
    };
    const settling = { time: 0, status: 'settled', settlement: 9 } as const;
    const withdrawal: WithdrawalRecord = { id: 1, clientOrderId: 'w', asset: COIN, amount: 9n, fee: 0n, ...settling };
    const balance: BalanceRecord = { asset: DOLLAR, total: 9n, available: 0n, held: AMOUNT_MAX, waiting: 2n };
    const market: MarketInfo = { ...TERMS, ticksMax: 9, lotsMin: 1, lotsMax: 7, trading: false };
    const records: readonly [object, unknown, (json: unknown) => unknown][] = [
      [ORDER_RECORD_SCHEMA, order, decodeOrderRecord],
      [FILL_RECORD_SCHEMA, fill, decodeFillRecord],
      [WITHDRAWAL_RECORD_SCHEMA, withdrawal, decodeWithdrawalRecord],
      [BALANCE_RECORD_SCHEMA, balance, decodeBalanceRecord],
      [MARKET_SCHEMA, market, decodeMarket],
    ];
    for (const [schema, record, decode] of records) {
      checkJson(schema, throughJson(record));
      assert.deepEqual(decode(throughJson(record)), record);
    }
    checkJson(ORDER_RECORD_SCHEMA, throughJson({ ...order, reason: undefined }));
    const bodies: StreamBody[] = [
      { kind: 'report', report: { sequence: 1, time: 2, kind: 'traded', fill, order } },
      { kind: 'report', report: { sequence: 1, time: 2, kind: 'withdrawing', withdrawal } },
      { kind: 'report', report: { sequence: 1, time: 2, kind: 'settled', settlement: 1, fills: [1], withdrawals: [] } },
      { kind: 'report', report: { sequence: 1, time: 2, kind: 'debited', asset: COIN, amount: 7n } },
      {
        kind: 'snapshot',
        snapshot: { sequence: 1, time: 2, orders: [order], balances: [balance], fills: [fill], withdrawals: [] },
      },
    ];
    for (const body of bodies) assert.deepEqual(decodeStreamBody(throughJson(body)), body);
  });

  it('an operator says what it is', () => {
    const info: OperatorInfo = {
      chainId: 31_337n,
      pool: 5n,
      registry: 6n,
      operator: 1,
      operatorId: FIELD_MODULUS - 1n,
      era: 3n,
      encryptionKey: new Uint8Array(32).fill(7),
      apiKey: new Uint8Array(32).fill(255),
      time: 1_800_000_000,
      settleSeconds: 3_600,
      orderSecondsMax: 86_400,
      lockSecondsMax: 864_000,
      withdrawalFees: new Map([
        [COIN, 7n],
        [DOLLAR, 0n],
      ]),
    };
    const json = throughJson(encodeInfo(info));
    checkJson(INFO_SCHEMA, json);
    assert.deepEqual(decodeInfo(json), info);
  });

  it('bytes are hexadecimal', () => {
    const bytes = new Uint8Array([0, 1, 127, 128, 255]);
    assert.equal(hexOf(bytes), '00017f80ff');
    assert.deepEqual(bytesOf('00017f80ff'), bytes);
  });
});
