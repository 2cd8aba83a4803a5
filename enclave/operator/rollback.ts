import type { PoolClient } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { SETTLEMENT_HORIZON_SECONDS } from '@bitcloak/protocol/parameters';
import type { Provider } from 'ethers';
import type { ExchangeCommand } from '../exchange/commands.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { SettlementSeen } from '../wallet/enclaveWallet.ts';

/** Endpoints answer for so many blocks at once. */
const RANGE_BLOCKS = 2_000;

export type AnchorSource = {
  readonly pool: PoolClient;
  readonly provider: Provider;
  readonly startBlock: number;
  /** Number in the registry. */
  readonly operator: number;
  /** How far blocks may be ahead of the clock; undefined where the chain's time is not that of the world. */
  readonly clockSkewSecondsMax: number | undefined;
};

/**
 * What a journal begins with: settlements up to here name records of another, which is lost, or are none. Throws `ENDPOINT_INCONSISTENT` where the time
 * is far ahead: the next settlement would be taken for one that was on its way, whenever it came.
 */
export async function beginning(source: AnchorSource): Promise<ExchangeCommand> {
  const { pool, provider, operator, clockSkewSecondsMax } = source;
  const sequence = Number(await pool.lastSequence(operator));
  const time = await timeOf(provider, await provider.getBlockNumber());
  checkTime(time, clockSkewSecondsMax);
  return { kind: 'begin', sequence, time };
}

/** @param skewSecondsMax how far a block may be ahead of the clock. */
export function checkTime(time: number, skewSecondsMax: number | undefined): void {
  if (skewSecondsMax === undefined || time <= Date.now() / 1000 + skewSecondsMax) return;
  throw new BitcloakError('ENDPOINT_INCONSISTENT', `the newest block is of ${time}, far ahead of the clock`);
}

/**
 * Throws `JOURNAL_ROLLED_BACK` where the operator's newest settlement was not signed as the journal says: then its host has put an older one in its
 * place. A journal that began after others were lost does not know what they settled, nor the one settlement that may have been on its
 * way.
 */
export async function refuseRollback(state: Exchange, source: AnchorSource): Promise<void> {
  await refuseUnknown(state, await newestSettlement(source), source.provider);
}

/** The same of a settlement that was seen later: a host may show an older chain with an older journal until the enclave has started. */
export async function refuseUnknown(
  { anchors, begun: { sequence, time } }: Exchange,
  newest: SettlementSeen | undefined,
  provider: Provider,
): Promise<void> {
  if (newest === undefined || newest.sequence <= sequence || anchors.includes(newest.head)) return;
  const wasOnItsWay = (landed: number) => landed <= time + Number(SETTLEMENT_HORIZON_SECONDS);
  if (newest.sequence === sequence + 1 && wasOnItsWay(await timeOf(provider, newest.block))) return;
  throw new BitcloakError(
    'JOURNAL_ROLLED_BACK',
    "the journal is older than the operator's newest settlement, of which it does not know",
  );
}

/** The operator's newest; undefined before the first. */
async function newestSettlement(source: AnchorSource): Promise<SettlementSeen | undefined> {
  const { pool, provider, startBlock, operator } = source;
  const last = await pool.lastSequence(operator);
  if (last === 0n) return undefined;
  for (let to = await provider.getBlockNumber(); to >= startBlock; to -= RANGE_BLOCKS) {
    const events = await pool.events(Math.max(startBlock, to - RANGE_BLOCKS + 1), to);
    const newest = events.findLast((event) => event.kind === 'settled' && event.operator === operator);
    if (newest?.kind !== 'settled') continue;
    const { sequence, journalHead: head, block } = newest;
    return { sequence: Number(sequence), head, block };
  }
  throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint shows no settlement ${last} of the operator`);
}

async function timeOf(provider: Provider, number: number): Promise<number> {
  const block = await provider.getBlock(number);
  if (block !== null) return block.timestamp;
  throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint has no block ${number}, which it told of`);
}
