import { ORDER_TYPES, SELF_TRADES, SIDES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';
import { REJECTION, TIME_IN_FORCE, TYPE } from './codes.ts';
import type { NewOrder } from './commands.ts';
import { ACCOUNT_MAX, isIntegerWithin, LOTS_MAX, SECONDS_MAX, SLICES_MAX } from './limits.ts';
import type { Market } from './market.ts';

const { gtc, gtd, fok } = TIME_IN_FORCE;
const { limit, market: marketType } = TYPE;

const SIDE_LAST = SIDES.length - 1;
const TYPE_LAST = ORDER_TYPES.length - 1;
const TIME_IN_FORCE_LAST = TIMES_IN_FORCE.length - 1;
const SELF_TRADE_LAST = SELF_TRADES.length - 1;

/** No rejection. */
const GOOD = -1;
export const FINE = GOOD;

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
  if (price < 1 || !isWordWithin(price, rules.ticksMax)) return REJECTION.priceInvalid;
  if (!isIntegerWithin(lots, rules.lotsMin, rules.lotsMax)) return REJECTION.lotsInvalid;
  // Rounding keeps order: a product beyond the safe integers does not come out as one of them.
  return price * lots <= LOTS_MAX ? GOOD : REJECTION.notionalInvalid;
}

/** Whether an iceberg of this size shows enough of itself. */
export function isDisplayEnough(display: number, lots: number): boolean {
  return display === 0 || display * SLICES_MAX >= lots;
}

/** What is wrong with a new order, whatever the book: a rejection or FINE. */
export function checkRequest(request: Readonly<OrderRequest>, market: Market, now: number): number {
  const { account, side, type, price, lots, timeInForce, selfTrade, expiry } = request;
  if (!isWordWithin(account, ACCOUNT_MAX)) return REJECTION.accountInvalid;
  const areCodes =
    isWordWithin(side, SIDE_LAST) &&
    isWordWithin(type, TYPE_LAST) &&
    isWordWithin(timeInForce, TIME_IN_FORCE_LAST) &&
    isWordWithin(selfTrade, SELF_TRADE_LAST);
  if (!areCodes) return REJECTION.codeInvalid;
  const quantities = checkQuantities(market, price, lots);
  if (quantities !== GOOD) return quantities;
  const isPlain = isWithoutOptions(request);
  const options = isPlain ? GOOD : checkOptions(request);
  if (options !== GOOD) return options;
  const isExpiryValid = timeInForce === gtd ? isIntegerWithin(expiry, now + 1, SECONDS_MAX) : expiry === 0;
  if (!isExpiryValid) return REJECTION.expiryInvalid;
  return isPlain || isCombination(request) ? GOOD : REJECTION.combinationInvalid;
}

/** Most orders are limit orders without any option: there is nothing to check of those, and nothing that does not go together. */
function isWithoutOptions({ type, postOnly, display, minimumTotal, minimumMatch }: Readonly<OrderRequest>): boolean {
  return type === limit && !postOnly && display === 0 && minimumTotal === 0 && minimumMatch === 0;
}

function checkOptions({ lots, display, minimumTotal, minimumMatch }: Readonly<OrderRequest>): number {
  if (!isIntegerWithin(display, 0, lots) || !isDisplayEnough(display, lots)) return REJECTION.displayInvalid;
  const shown = display === 0 ? lots : display;
  const areMinimumsValid = isIntegerWithin(minimumTotal, 0, lots) && isIntegerWithin(minimumMatch, 0, shown);
  return areMinimumsValid ? GOOD : REJECTION.minimumInvalid;
}

/** Whether this is an integer from 0 to one below 2^31. */
function isWordWithin(value: number, high: number): boolean {
  return (value | 0) === value && value >= 0 && value <= high;
}

function isCombination({ type, timeInForce, postOnly, display, minimumTotal }: Readonly<OrderRequest>): boolean {
  const mayRest = timeInForce === gtc || timeInForce === gtd;
  if (type === marketType && mayRest) return false;
  if (display !== 0 && !mayRest) return false;
  if (timeInForce === fok && minimumTotal !== 0) return false;
  return !postOnly || (type === limit && mayRest && minimumTotal === 0);
}
