// The engine computes with numbers only. Each word that its callers use has a code: its place in the list it stands in here. Lists are
// appended to and never reordered, since snapshots and journals outlive a version.
type Codes<Words extends readonly string[]> = { readonly [Word in Words[number]]: number };

function codesOf<const Words extends readonly string[]>(words: Words): Codes<Words> {
  return Object.fromEntries(words.map((word, code) => [word, code])) as Codes<Words>;
}

export const SIDES = ['buy', 'sell'] as const;
export const SIDE = codesOf(SIDES);
export type Side = (typeof SIDES)[number];

/** `market` is a limit order at a price of protection that never rests; `pegged` executes at the reference price alone. */
export const TYPES = ['limit', 'market', 'pegged'] as const;
export const TYPE = codesOf(TYPES);
export type OrderType = (typeof TYPES)[number];

/** Good till cancelled, good till date, immediate or cancel, fill or kill. */
export const TIMES_IN_FORCE = ['gtc', 'gtd', 'ioc', 'fok'] as const;
export const TIME_IN_FORCE = codesOf(TIMES_IN_FORCE);
export type TimeInForce = (typeof TIMES_IN_FORCE)[number];

/** What happens where an order would meet one of its own account. The newest is the one that takes, the oldest the one that rests. */
export const SELF_TRADES = ['cancelNewest', 'cancelOldest', 'cancelBoth', 'decrement'] as const;
export const SELF_TRADE = codesOf(SELF_TRADES);
export type SelfTrade = (typeof SELF_TRADES)[number];

/** Why a command had no effect. */
export const REJECTIONS = [
  'marketUnknown',
  'marketExists',
  'marketInvalid',
  'tradingHalted',
  'accountInvalid',
  'codeInvalid',
  'priceInvalid',
  'lotsInvalid',
  'notionalInvalid',
  'displayInvalid',
  'minimumInvalid',
  'expiryInvalid',
  'combinationInvalid',
  'wouldTrade',
  'engineFull',
  'orderUnknown',
  'notOwner',
  'timeInvalid',
] as const;
export const REJECTION = codesOf(REJECTIONS);
export type Rejection = (typeof REJECTIONS)[number];

/** Why lots left an order without a trade: its account or the system asked, time ran out, nothing was there to take, too little was there at once. */
export const REASONS = ['requested', 'expired', 'immediate', 'minimum', 'selfTrade', 'funds'] as const;
export const REASON = codesOf(REASONS);
export type Reason = (typeof REASONS)[number];
