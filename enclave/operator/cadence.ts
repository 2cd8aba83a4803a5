/** When the operator settles. */
export type Cadence =
  /** As soon as so many matches wait, and at the latest so long after the last settlement where any do. */
  | { readonly kind: 'count'; readonly matches: number; readonly secondsMax: number }
  /** Every so many seconds, whether anything waits or not: then the chain shows nothing of when, and how much, is traded. */
  | { readonly kind: 'interval'; readonly seconds: number };

/**
 * Whether it is time for a settlement.
 *
 * @param now unix seconds of block time, and `last` when one was planned last.
 */
export function isDue(cadence: Cadence, waiting: number, now: number, last: number): boolean {
  if (cadence.kind === 'interval') return Math.floor(now / cadence.seconds) > Math.floor(last / cadence.seconds);
  return waiting >= cadence.matches || (waiting > 0 && now - last >= cadence.secondsMax);
}
