// The engine computes with numbers only. Each word that its callers use has a code: its place in the list it stands in.
import { ORDER_TYPES, REASONS, SELF_TRADES, SIDES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';

type Codes<Words extends readonly string[]> = { readonly [Word in Words[number]]: number };

function codesOf<const Words extends readonly string[]>(words: Words): Codes<Words> {
  return Object.fromEntries(words.map((word, code) => [word, code])) as Codes<Words>;
}

export const SIDE = codesOf(SIDES);
export const TYPE = codesOf(ORDER_TYPES);
export const TIME_IN_FORCE = codesOf(TIMES_IN_FORCE);
export const SELF_TRADE = codesOf(SELF_TRADES);
export const REASON = codesOf(REASONS);

/** Why a command had no effect. Journals outlive a version: the list is appended to and never reordered. */
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
