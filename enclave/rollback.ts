import type { PoolClient } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { SETTLEMENT_HORIZON_SECONDS } from '@bitcloak/protocol/parameters';
import type { Provider } from 'ethers';
import type { ExchangeCommand } from './exchange/commands.ts';
import type { Machine } from './operator/machine.ts';

/** Endpoints answer for so many blocks at once. */
const RANGE_BLOCKS = 2_000;

export type AnchorSource = {
  readonly pool: PoolClient;
  readonly provider: Provider;
  readonly startBlock: number;
  /** Number in the registry. */
  readonly operator: number;
};

/** What a journal begins with: settlements up to here name records of another, which is lost, or are none. */
export async function beginning({ pool, provider, operator }: AnchorSource): Promise<ExchangeCommand> {
  const sequence = Number(await pool.lastSequence(operator));
  return { kind: 'begin', sequence, time: await timeOf(provider, await provider.getBlockNumber()) };
}

/**
 * Throws `JOURNAL_ROLLED_BACK` where the operator's newest settlement was not signed as the journal says: then its host has put an older one in its
 * place. A journal that began after others were lost does not know what they settled, nor the one settlement that may have been on its
 * way.
 */
export async function refuseRollback(machine: Machine, source: AnchorSource): Promise<void> {
  const newest = await newestSettlement(source);
  const { anchors, begun } = machine.state;
  if (newest === undefined || anchors.includes(newest.journalHead)) return;
  const { sequence, time } = begun;
  if (newest.sequence <= sequence) return;
  const wasOnItsWay = (landed: number) => landed <= time + Number(SETTLEMENT_HORIZON_SECONDS);
  if (newest.sequence === BigInt(sequence + 1) && wasOnItsWay(await timeOf(source.provider, newest.block))) return;
  throw new BitcloakError(
    'JOURNAL_ROLLED_BACK',
    "the journal is older than the operator's newest settlement, of which it does not know",
  );
}

type SettlementSeen = { readonly sequence: bigint; readonly journalHead: bigint; readonly block: number };

/** The operator's newest; undefined before the first. */
async function newestSettlement(source: AnchorSource): Promise<SettlementSeen | undefined> {
  const { pool, provider, startBlock, operator } = source;
  const sequence = await pool.lastSequence(operator);
  if (sequence === 0n) return undefined;
  for (let to = await provider.getBlockNumber(); to >= startBlock; to -= RANGE_BLOCKS) {
    const events = await pool.events(Math.max(startBlock, to - RANGE_BLOCKS + 1), to);
    const newest = events.findLast((event) => event.kind === 'settled' && event.operator === operator);
    if (newest?.kind === 'settled') return newest;
  }
  throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint shows no settlement ${sequence} of the operator`);
}

async function timeOf(provider: Provider, number: number): Promise<number> {
  const block = await provider.getBlock(number);
  if (block !== null) return block.timestamp;
  throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint has no block ${number}, which it told of`);
}
