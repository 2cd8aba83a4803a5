/**
 * The words of orders, which traders, the API and the matching engine share. The engine computes with a word's place in its list, and journals outlive
 * a version: lists are appended to and never reordered.
 */

export const SIDES = ['buy', 'sell'] as const;
export type Side = (typeof SIDES)[number];

/** `market` is a limit order at a price of protection that never rests; `pegged` executes at the reference price alone. */
export const ORDER_TYPES = ['limit', 'market', 'pegged'] as const;
export type OrderType = (typeof ORDER_TYPES)[number];

/** Good till cancelled, good till date, immediate or cancel, fill or kill. */
export const TIMES_IN_FORCE = ['gtc', 'gtd', 'ioc', 'fok'] as const;
export type TimeInForce = (typeof TIMES_IN_FORCE)[number];

/** What happens where an order would meet one of its own account. The newest is the one that takes, the oldest the one that rests. */
export const SELF_TRADES = ['cancelNewest', 'cancelOldest', 'cancelBoth', 'decrement'] as const;
export type SelfTrade = (typeof SELF_TRADES)[number];

/**
 * Why lots left an order without a trade: its account asked, time ran out, nothing was there to take, too little was there at once, it met its own account,
 * its notes went away or will be gone too soon, its owner took it back on the chain, nothing of it can be settled, it has as many fills as are looked after,
 * it met as many others at once as one order may.
 */
export const REASONS = [
  'requested',
  'expired',
  'immediate',
  'minimum',
  'selfTrade',
  'funds',
  'takenBack',
  'unsettleable',
  'fillsMax',
  'matchesMax',
] as const;
export type Reason = (typeof REASONS)[number];

/** Fees are so many of them. */
export const BASIS_POINTS = 10_000;
