/** What it costs to close a bucket, which falls to whoever fills it: another's leaves may have come between. */
const CLOSING_GAS = 30_000n;

/** What to allow a call that was estimated so. What is not used costs nothing. */
export function gasLimitFor(estimate: bigint): bigint {
  return estimate + estimate / 5n + CLOSING_GAS;
}
