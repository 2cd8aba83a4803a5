import { orderHashOf, orderStateOf } from '@bitcloak/notes/order';
import type { Batch, ExchangeCommand } from '../exchange/commands.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { EnclaveWallet } from '../wallet/enclaveWallet.ts';

/**
 * The commands that bring the exchange to where the chain is; nothing must come between them. They follow from comparing the two, not from events, so it makes no difference how
 * either came to where it is: after a restart or a reorganisation they are what is needed then.
 *
 * @param time unix seconds of the block that the wallet stands at.
 */
export function catchUp(exchange: Exchange, wallet: EnclaveWallet, time: number): ExchangeCommand[] {
  const commands: ExchangeCommand[] = [];
  const known = new Map(exchange.notes().map((note) => [note.leaf, note]));
  const { batch } = exchange;
  const insertedLeaves: number[] = [];
  const present = new Set<number>();
  const credits: ExchangeCommand[] = [];
  for (const locked of wallet.notes()) {
    const { leaf, note, told } = locked;
    const { owner, asset, value } = note;
    const expiry = Number(note.lock?.expiry ?? 0n);
    const inserted = wallet.isInserted(locked);
    const seen = known.get(leaf);
    const isSame = seen?.owner === owner && seen.asset === asset && seen.value === value && seen.expiry === expiry;
    // After a reorganisation another note may be at its place, or it may wait again: then it comes anew.
    if (isSame && (inserted || !seen.inserted)) {
      present.add(leaf);
      if (inserted && !seen.inserted) insertedLeaves.push(leaf);
      continue;
    }
    // Longer locks than the operator wants to be bound by, and expiries that are no times, are not credited.
    if (expiry <= time || expiry > time + exchange.rules.lockSecondsMax) continue;
    // What a settlement leaves is credited however small it is.
    if (told && !exchange.isCredited(asset, value)) continue;
    credits.push({ kind: 'credit', note: { leaf, owner, asset, value, expiry, inserted }, told });
  }
  for (const { leaf } of known.values()) if (!present.has(leaf)) commands.push({ kind: 'remove', leaf });
  for (const credit of credits) commands.push(credit);
  const outcome = batch === undefined ? undefined : outcomeOf(batch, wallet, time);
  if (batch !== undefined && outcome !== undefined) commands.push({ kind: outcome, sequence: batch.sequence });
  const states = exchange
    .awaitedStates()
    .filter(({ state, filled, k }) => wallet.filledOrder(state, filled, k) !== undefined)
    .map(({ state }) => state);
  if (insertedLeaves.length + states.length > 0) commands.push({ kind: 'inserted', leaves: insertedLeaves, states });
  // Last, since with the time orders go that nothing pays for any more.
  const hasLost = commands.some(({ kind }) => kind === 'remove');
  if (time > exchange.time || hasLost) commands.push({ kind: 'setTime', time: Math.max(time, exchange.time) });
  return commands;
}

/** How a batch ended; undefined while it may still land. */
function outcomeOf(
  { fills, sequence, validUntil }: Batch,
  wallet: EnclaveWallet,
  time: number,
): 'settled' | 'failed' | undefined {
  if (wallet.lastSequence >= sequence) {
    // Another settlement of that sequence is a process that should not have run: what this one was to settle waits for another.
    const isThere = fills.every(({ order, sold, filled, k }) =>
      wallet.hasState(orderStateOf(orderHashOf(order), filled + sold, k + 1n)),
    );
    return isThere ? 'settled' : 'failed';
  }
  // A block later than its end without it: no block can bring it any more.
  return time >= validUntil ? 'failed' : undefined;
}
