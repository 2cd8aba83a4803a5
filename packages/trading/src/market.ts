import { BASIS_POINTS, type Side } from '@bitcloak/protocol/orders';
import { AMOUNT_MAX } from '@bitcloak/protocol/parameters';
import type { Order } from '@bitcloak/notes/order';

/** What a market's ticks and lots stand for, and what trading in it costs. */
export type MarketTerms = {
  /** The engine's number of the market. */
  readonly market: number;
  /** What it is called: the symbols of its assets, as ETH-DUSD. */
  readonly pair: string;
  readonly base: bigint;
  readonly quote: bigint;
  /** Base units of the base asset in one lot. */
  readonly lotBase: bigint;
  /** Base units of the quote asset for one lot at one tick. */
  readonly tickQuote: bigint;
  /** Basis points of the quote amount. */
  readonly makerFee: number;
  readonly takerFee: number;
};

/** What one side of a trade gives and gets, after fees. */
export type Leg = { readonly sold: bigint; readonly bought: bigint };

/** What an order must be signed for: all fees included, and of whichever role it comes to be. */
export type Limit = Pick<Order, 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin'>;

export function quoteFor({ tickQuote }: MarketTerms, ticks: number, lots: number): bigint {
  return BigInt(ticks) * BigInt(lots) * tickQuote;
}

/** Base units of the quote asset. Fees are rounded down, so that no part of an order costs more than its share of the whole. */
export function feeOf(terms: MarketTerms, ticks: number, lots: number, isMaker: boolean): bigint {
  return (quoteFor(terms, ticks, lots) * BigInt(isMaker ? terms.makerFee : terms.takerFee)) / BigInt(BASIS_POINTS);
}

export function legOf(terms: MarketTerms, side: Side, ticks: number, lots: number, isMaker: boolean): Leg {
  const amount = quoteFor(terms, ticks, lots);
  const fee = feeOf(terms, ticks, lots, isMaker);
  const base = BigInt(lots) * terms.lotBase;
  return side === 'sell' ? { sold: base, bought: amount - fee } : { sold: amount + fee, bought: base };
}

/**
 * The least that an owner has to allow for `lots` at `ticks` or better. An honest operator trades no worse than that, and any operator can trade no
 * worse than what was signed.
 */
export function limitOf(terms: MarketTerms, side: Side, ticks: number, lots: number): Limit {
  const amount = quoteFor(terms, ticks, lots);
  const fee = BigInt(Math.max(terms.makerFee, terms.takerFee));
  const whole = BigInt(BASIS_POINTS);
  const base = BigInt(lots) * terms.lotBase;
  return side === 'sell'
    ? { sellAsset: terms.base, buyAsset: terms.quote, sellMax: base, buyMin: (amount * (whole - fee)) / whole }
    : {
        sellAsset: terms.quote,
        buyAsset: terms.base,
        sellMax: (amount * (whole + fee) + whole - 1n) / whole,
        buyMin: base,
      };
}

/** The lots that an order on this side of a market was signed for; undefined where it was not signed for whole lots of this market. */
export function signedLots(terms: MarketTerms, side: Side, order: Limit): bigint | undefined {
  const [base, quote, amount] =
    side === 'sell'
      ? [order.sellAsset, order.buyAsset, order.sellMax]
      : [order.buyAsset, order.sellAsset, order.buyMin];
  if (base !== terms.base || quote !== terms.quote || amount <= 0n || amount % terms.lotBase !== 0n) return undefined;
  return amount / terms.lotBase;
}

/**
 * Whether a signed order allows every trade that the engine may make of it: any part of `lots`, at `ticks` or better, as maker or taker. Then
 * every fill that adds up such trades is within the limit that the circuit checks, and all of them together within the most that the order sells.
 */
export function isCovered(terms: MarketTerms, side: Side, ticks: number, lots: number, order: Limit): boolean {
  const signed = signedLots(terms, side, order);
  if (signed === undefined || signed < BigInt(lots)) return false;
  const amount = BigInt(ticks) * signed * terms.tickQuote;
  if (amount > AMOUNT_MAX) return false;
  const fee = BigInt(Math.max(terms.makerFee, terms.takerFee));
  const whole = BigInt(BASIS_POINTS);
  return side === 'sell'
    ? order.buyMin * whole <= amount * (whole - fee)
    : order.sellMax * whole >= amount * (whole + fee);
}
