import { ORDER_TYPES, SELF_TRADES, SIDES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';
import { REJECTION, TIME_IN_FORCE, TYPE } from './codes.ts';
import type { NewOrder } from './commands.ts';
import { ACCOUNT_MAX, isIntegerWithin, LOTS_MAX, SECONDS_MAX, SLICES_MAX } from './limits.ts';
import type { Market } from './market.ts';

const { gtc, gtd, fok } = TIME_IN_FORCE;
const { limit, market: marketType } = TYPE;

/** No rejection. */
export const FINE = -1;

/** A new order as the engine takes it: words are codes, and what is not wanted is 0. One object can be used for many orders. */
export type OrderRequest = {
  market: number;
  account: number;
  side: number;
  type: number;
  price: number;
  lots: number;
  timeInForce: number;
  selfTrade: number;
  expiry: number;
  postOnly: boolean;
  display: number;
  minimumTotal: number;
  minimumMatch: number;
};

/** Words that are none get a code that is none. */
export function requestOf(order: NewOrder): OrderRequest {
  return {
    market: order.market,
    account: order.account,
    side: SIDES.indexOf(order.side),
    type: ORDER_TYPES.indexOf(order.type),
    price: order.price,
    lots: order.lots,
    timeInForce: TIMES_IN_FORCE.indexOf(order.timeInForce),
    selfTrade: SELF_TRADES.indexOf(order.selfTrade),
    expiry: order.expiry ?? 0,
    postOnly: order.postOnly ?? false,
    display: order.display ?? 0,
    minimumTotal: order.minimumTotal ?? 0,
    minimumMatch: order.minimumMatch ?? 0,
  };
}

/** Whether a price and a whole quantity are within a market's rules: a rejection or FINE. */
export function checkQuantities({ rules }: Market, price: number, lots: number): number {
  if (!isIntegerWithin(price, 1, rules.ticksMax)) return REJECTION.priceInvalid;
  if (!isIntegerWithin(lots, rules.lotsMin, rules.lotsMax)) return REJECTION.lotsInvalid;
  // Rounding keeps order: a product beyond the safe integers does not come out as one of them.
  return price * lots <= LOTS_MAX ? FINE : REJECTION.notionalInvalid;
}

/** Whether an iceberg of this size shows enough of itself. */
export function isDisplayEnough(display: number, lots: number): boolean {
  return display === 0 || display * SLICES_MAX >= lots;
}

/** What is wrong with a new order, whatever the book: a rejection or FINE. */
export function checkRequest(request: Readonly<OrderRequest>, market: Market, now: number): number {
  const { account, side, type, price, lots, timeInForce, selfTrade, display, minimumTotal, minimumMatch } = request;
  if (!isIntegerWithin(account, 0, ACCOUNT_MAX)) return REJECTION.accountInvalid;
  const areCodes =
    isIntegerWithin(side, 0, SIDES.length - 1) &&
    isIntegerWithin(type, 0, ORDER_TYPES.length - 1) &&
    isIntegerWithin(timeInForce, 0, TIMES_IN_FORCE.length - 1) &&
    isIntegerWithin(selfTrade, 0, SELF_TRADES.length - 1);
  if (!areCodes) return REJECTION.codeInvalid;
  const quantities = checkQuantities(market, price, lots);
  if (quantities !== FINE) return quantities;
  if (!isIntegerWithin(display, 0, lots) || !isDisplayEnough(display, lots)) return REJECTION.displayInvalid;
  const shown = display === 0 ? lots : display;
  if (!isIntegerWithin(minimumTotal, 0, lots) || !isIntegerWithin(minimumMatch, 0, shown)) {
    return REJECTION.minimumInvalid;
  }
  const isExpiryValid =
    timeInForce === gtd ? isIntegerWithin(request.expiry, now + 1, SECONDS_MAX) : request.expiry === 0;
  if (!isExpiryValid) return REJECTION.expiryInvalid;
  return isCombination(request) ? FINE : REJECTION.combinationInvalid;
}

function isCombination({ type, timeInForce, postOnly, display, minimumTotal }: Readonly<OrderRequest>): boolean {
  const mayRest = timeInForce === gtc || timeInForce === gtd;
  if (type === marketType && mayRest) return false;
  if (display !== 0 && !mayRest) return false;
  if (timeInForce === fok && minimumTotal !== 0) return false;
  return !postOnly || (type === limit && mayRest && minimumTotal === 0);
}
