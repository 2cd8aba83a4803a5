import type { PoolClient } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Provider } from 'ethers';
import type { Journal } from './journal/journal.ts';

/** Endpoints answer for so many blocks at once. */
const RANGE_BLOCKS = 2_000;

export type AnchorSource = {
  readonly pool: PoolClient;
  readonly provider: Provider;
  readonly startBlock: number;
  /** Number in the registry. */
  readonly operator: number;
};

/**
 * Throws `JOURNAL_ROLLED_BACK` where the operator's newest settlement anchors a record that is not in the journal: then its host has put an older one
 * in its place. A journal without any record is that of a first start, or of one after everything was lost, and says nothing.
 */
export async function refuseRollback(journal: Journal, source: AnchorSource): Promise<void> {
  if (journal.position.sequence === 0) return;
  const anchor = await newestAnchor(source);
  if (anchor === undefined) return;
  const head = Buffer.from(anchor.toString(16).padStart(64, '0'), 'hex');
  if (journal.hasHead(head)) return;
  throw new BitcloakError(
    'JOURNAL_ROLLED_BACK',
    "the journal is older than the operator's newest settlement: it does not know the record that the settlement names",
  );
}

/** What the operator's newest settlement says of the journal; undefined before the first. */
async function newestAnchor({ pool, provider, startBlock, operator }: AnchorSource): Promise<bigint | undefined> {
  const sequence = await pool.lastSequence(operator);
  if (sequence === 0n) return undefined;
  for (let to = await provider.getBlockNumber(); to >= startBlock; to -= RANGE_BLOCKS) {
    const events = await pool.events(Math.max(startBlock, to - RANGE_BLOCKS + 1), to);
    const newest = events.findLast((event) => event.kind === 'settled' && event.operator === operator);
    if (newest?.kind === 'settled') return newest.journalHead;
  }
  throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint shows no settlement ${sequence} of the operator`);
}
