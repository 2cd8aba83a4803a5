// Ranges. Inside them every sum and product that the engine computes is a safe integer.
import { TIME_MAX } from '@bitcloak/protocol/parameters';

/** Market numbers are below it. */
export const MARKETS_MAX = 2 ** 16;

/** Prices are 1 to this many ticks. */
export const TICKS_MAX = 2 ** 31 - 1;

/** Lots of one order, and price times lots of one order, are at most this. What an order trades for never exceeds the buyer's price times lots. */
export const LOTS_MAX = Number.MAX_SAFE_INTEGER;

/** Accounts are 0 to this. */
export const ACCOUNT_MAX = 2 ** 31 - 1;

/** Unix seconds. */
export const SECONDS_MAX = Number(TIME_MAX);

/** An iceberg shows at least this part of itself: a taker that eats it whole makes no more trades than that. */
export const SLICES_MAX = 1000;

/** Open orders of all markets together: what they take of memory stays below 512 MiB. */
export const OPEN_ORDERS_MAX = 2 ** 20;

/**
 * An order that comes meets so many others, or slices of them, and all pegged orders that a reference lets trade, so many together. What a command may do has to fit into
 * memory and be done soon: it is in the journal by then, and a restart does it again.
 */
export const MATCHES_MAX = 1_000;
export const PEGGED_MATCHES_MAX = 10_000;

/** So many are passed over by one command, because of minimums: by one order each that rests, by all pegged orders together no more. */
export const PASSED_MAX = OPEN_ORDERS_MAX;

export function isIntegerWithin(value: number, low: number, high: number): boolean {
  return value >= low && value <= high && Number.isInteger(value);
}
