import type { Order } from '@bitcloak/notes/order';
import { BASIS_POINTS } from '../engine/limits.ts';
import type { Side } from '../engine/codes.ts';

/** What a market's ticks and lots stand for, and what trading in it costs. */
export type MarketTerms = {
  /** The engine's number of the market. */
  readonly market: number;
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

export function quoteFor({ tickQuote }: MarketTerms, ticks: number, lots: number): bigint {
  return BigInt(ticks) * BigInt(lots) * tickQuote;
}

/** Fees are in the quote asset and rounded down, so that no part of an order costs more than its share of the whole. */
export function legOf(terms: MarketTerms, side: Side, ticks: number, lots: number, isMaker: boolean): Leg {
  const amount = quoteFor(terms, ticks, lots);
  const fee = (amount * BigInt(isMaker ? terms.makerFee : terms.takerFee)) / BigInt(BASIS_POINTS);
  const base = BigInt(lots) * terms.lotBase;
  return side === 'sell' ? { sold: base, bought: amount - fee } : { sold: amount + fee, bought: base };
}

/**
 * Whether a signed order allows every trade that the engine may make of it: any part of its lots, at `ticks` or better, as maker or taker. Then
 * every fill that adds up such trades is within the limit that the circuit checks, and all of them together within the most that the order sells.
 */
export function isCovered(terms: MarketTerms, side: Side, ticks: number, lots: number, order: Order): boolean {
  const amount = quoteFor(terms, ticks, lots);
  const fee = BigInt(Math.max(terms.makerFee, terms.takerFee));
  const whole = BigInt(BASIS_POINTS);
  const base = BigInt(lots) * terms.lotBase;
  if (side === 'sell') {
    const right = order.sellAsset === terms.base && order.buyAsset === terms.quote && order.sellMax === base;
    return right && order.buyMin * whole <= amount * (whole - fee);
  }
  const right = order.sellAsset === terms.quote && order.buyAsset === terms.base && order.buyMin === base;
  return right && order.sellMax * whole >= amount * (whole + fee);
}
