import { orderHashOf, orderStateOf } from '@bitcloak/notes/order';
import { ORDER_FILLS_MAX, type Exchange, type ExchangeCommand } from '../exchange/exchange.ts';
import type { EnclaveWallet } from '../wallet/enclaveWallet.ts';

/** Longer locks than an operator wants to be bound by, and expiries that are no times, are not credited. */
export type CreditRules = { readonly lockSecondsMax: number };

/**
 * The commands that bring the exchange to where the chain is. They follow from comparing the two, not from events, so it makes no difference how
 * either came to where it is: after a restart or a reorganisation they are what is needed then.
 *
 * @param time unix seconds of the block that the wallet stands at.
 */
export function catchUp(
  exchange: Exchange,
  wallet: EnclaveWallet,
  time: number,
  rules: CreditRules,
): ExchangeCommand[] {
  const commands: ExchangeCommand[] = [];
  const known = new Map(exchange.notes().map((note) => [note.leaf, note]));
  const { batch } = exchange;
  const isSettled = batch?.fills.every(({ order, sold, filled, k }) =>
    wallet.hasState(orderStateOf(orderHashOf(order), filled + sold, k + 1n)),
  );
  const insertedLeaves: number[] = [];
  const present = new Set<number>();
  const credits: ExchangeCommand[] = [];
  for (const locked of wallet.notes()) {
    const { leaf, note } = locked;
    const inserted = wallet.spendable(locked) !== undefined;
    const seen = known.get(leaf);
    present.add(leaf);
    if (seen !== undefined) {
      if (inserted && !seen.inserted) insertedLeaves.push(leaf);
      continue;
    }
    const expiry = Number(note.lock?.expiry ?? 0n);
    if (expiry <= time || expiry > time + rules.lockSecondsMax) continue;
    const { owner, asset, value } = note;
    credits.push({ kind: 'credit', note: { leaf, owner, asset, value, expiry, inserted } });
  }
  for (const { leaf } of known.values()) if (!present.has(leaf)) commands.push({ kind: 'remove', leaf });
  commands.push(...credits);
  if (isSettled === true) commands.push({ kind: 'settled' });
  // A block later than its end without it: no block can bring it any more.
  else if (batch !== undefined && time >= batch.validUntil) commands.push({ kind: 'failed' });
  for (const { id, order, k } of exchange.openOrders()) {
    if (wallet.isCancelled(order, k, ORDER_FILLS_MAX)) commands.push({ kind: 'drop', order: id });
  }
  const states = exchange
    .awaitedStates()
    .filter(({ state, filled, k }) => wallet.filledOrder(state, filled, k) !== undefined)
    .map(({ state }) => state);
  if (insertedLeaves.length + states.length > 0) commands.push({ kind: 'inserted', leaves: insertedLeaves, states });
  // Last, since with the time orders go that nothing pays for any more.
  if (time > exchange.time) commands.push({ kind: 'setTime', time });
  return commands;
}
