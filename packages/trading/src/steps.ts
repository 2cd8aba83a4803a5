import { formatAmount, parseAmount } from '@bitcloak/protocol/amounts';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { AMOUNT_MAX } from '@bitcloak/protocol/parameters';
import { quoteFor } from './market.ts';
import type { MarketInfo } from './wire.ts';

/** An asset as people name it; from a source that the trader trusts, never from the operator. */
export type TradedToken = { readonly symbol: string; readonly asset: bigint; readonly decimals: number };

/** A market whose assets the trader knows: decimals go in and out, ticks and lots stay between client and operator. */
export type TradedMarket = MarketInfo & { readonly baseToken: TradedToken; readonly quoteToken: TradedToken };

type Fraction = { readonly numerator: bigint; readonly denominator: bigint };

function invalid(what: string, expected: string, text: string): BitcloakError {
  return new BitcloakError('AMOUNT_INVALID', `${what}: expected ${expected}, got "${text.slice(0, 60)}"`);
}

/** A plain decimal such as 2000.5, exactly. */
function parseDecimal(text: string, what: string): Fraction {
  const match = /^(\d{1,40})(?:\.(\d{1,40}))?$/.exec(text);
  if (match === null) throw invalid(what, 'a decimal number such as 1.5', text);
  const [, whole = '', fraction = ''] = match;
  return { numerator: BigInt(whole + fraction), denominator: 10n ** BigInt(fraction.length) };
}

/** A fraction as a decimal; where it has none that ends, as the fraction itself. */
function formatFraction({ numerator, denominator }: Fraction): string {
  for (let digits = 0n; digits <= 80n; digits++) {
    const scaled = numerator * 10n ** digits;
    if (scaled % denominator !== 0n) continue;
    const text = (scaled / denominator).toString().padStart(Number(digits) + 1, '0');
    const whole = text.slice(0, text.length - Number(digits));
    return digits === 0n ? text : `${whole}.${text.slice(text.length - Number(digits))}`;
  }
  return `${numerator}/${denominator}`;
}

const unit = ({ decimals }: TradedToken) => 10n ** BigInt(decimals);

/** What a tick is as a price: whole units of the quote token for a whole unit of the base token. */
function tickOf({ tickQuote, lotBase, baseToken, quoteToken }: TradedMarket): Fraction {
  return { numerator: tickQuote * unit(baseToken), denominator: lotBase * unit(quoteToken) };
}

/** The smallest step of a market's prices, as a decimal. */
export function priceStep(market: TradedMarket): string {
  return formatFraction(tickOf(market));
}

/** The smallest step of a market's quantities, as a decimal. */
export function quantityStep({ lotBase, baseToken }: TradedMarket): string {
  return formatAmount(lotBase, baseToken);
}

export function formatPrice(market: TradedMarket, ticks: number): string {
  const { numerator, denominator } = tickOf(market);
  return formatFraction({ numerator: numerator * BigInt(ticks), denominator });
}

export function formatQuantity({ lotBase, baseToken }: TradedMarket, lots: number): string {
  return formatAmount(BigInt(lots) * lotBase, baseToken);
}

export type Rounding = 'exact' | 'down' | 'up';

/**
 * A price as whole ticks. Throws `AMOUNT_INVALID`, naming the step, for one that is none unless a rounding is asked for, and for one out of the
 * market's range.
 */
export function ticksOf(market: TradedMarket, price: string, rounding: Rounding = 'exact'): number {
  const { numerator, denominator } = parseDecimal(price, 'price');
  const tick = tickOf(market);
  const [top, bottom] = [numerator * tick.denominator, denominator * tick.numerator];
  const { pair, quoteToken, ticksMax } = market;
  if (top % bottom !== 0n && rounding === 'exact') {
    throw invalid('price', `a multiple of ${priceStep(market)} ${quoteToken.symbol} on ${pair}`, price);
  }
  const ticks = rounding === 'up' ? (top + bottom - 1n) / bottom : top / bottom;
  if (ticks < 1n || ticks > BigInt(ticksMax)) {
    const [least, most] = [formatPrice(market, 1), formatPrice(market, ticksMax)];
    throw invalid('price', `${least} to ${most} ${quoteToken.symbol} on ${pair}`, price);
  }
  return Number(ticks);
}

function wholeLots(market: TradedMarket, quantity: string, what: string): bigint {
  const { lotBase, baseToken, pair } = market;
  const units = parseAmount(quantity, baseToken, what);
  if (units % lotBase !== 0n) {
    throw invalid(what, `a multiple of ${quantityStep(market)} ${baseToken.symbol} on ${pair}`, quantity);
  }
  return units / lotBase;
}

/** A quantity as whole lots. Throws `AMOUNT_INVALID`, naming the step or the range, for one that is none the market takes. */
export function lotsOf(market: TradedMarket, quantity: string): number {
  const lots = wholeLots(market, quantity, 'quantity');
  const { lotsMin, lotsMax, baseToken, pair } = market;
  if (lots < BigInt(lotsMin) || lots > BigInt(lotsMax)) {
    const [least, most] = [formatQuantity(market, lotsMin), formatQuantity(market, lotsMax)];
    throw invalid('quantity', `${least} to ${most} ${baseToken.symbol} on ${pair}`, quantity);
  }
  return Number(lots);
}

/** A part of an order, of which only the order itself is a bound. */
export function partOf(market: TradedMarket, quantity: string, lots: number, what: string): number {
  const part = wholeLots(market, quantity, what);
  if (part <= BigInt(lots)) return Number(part);
  throw invalid(what, `at most the order's ${formatQuantity(market, lots)}`, quantity);
}

/** Throws `AMOUNT_INVALID` for an order that no amount below 2^120 can pay. */
export function checkWorth(market: TradedMarket, ticks: number, lots: number): void {
  if (2n * quoteFor(market, ticks, lots) <= AMOUNT_MAX && BigInt(lots) * market.lotBase <= AMOUNT_MAX) return;
  throw invalid('quantity', 'an order below 2^119 base units', formatQuantity(market, lots));
}
