import { BitcloakError } from '@bitcloak/protocol/errors';
import { DEVELOPMENT_CHAIN_IDS } from '@bitcloak/protocol/parameters';

/** How far blocks may be ahead of this machine's clock. */
const AHEAD_SECONDS_MAX = 900;

/**
 * What is signed for a week counts from block time: an endpoint that told a far later one would have it last for years. On development chains time is
 * moved on purpose. Throws `ENDPOINT_INCONSISTENT`.
 *
 * @param timestamp unix seconds of the newest block.
 */
export function checkBlockTime(chainId: bigint, timestamp: number): void {
  const isDevelopment = DEVELOPMENT_CHAIN_IDS.some((id) => id === chainId);
  if (isDevelopment || timestamp <= Date.now() / 1000 + AHEAD_SECONDS_MAX) return;
  const message = `the newest block is of ${timestamp} (unix seconds), far ahead of this machine's clock: either the endpoint or the clock is wrong`;
  throw new BitcloakError('ENDPOINT_INCONSISTENT', message);
}
