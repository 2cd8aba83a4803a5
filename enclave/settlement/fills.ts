import { orderHashOf, orderStateOf } from '@bitcloak/notes/order';
import type { Batch } from '../exchange/commands.ts';
import type { EnclaveWallet } from '../wallet/enclaveWallet.ts';
import type { BatchFill } from './batch.ts';

/** What the exchange planned, with the notes, states and keys that proofs of it take. Throws where the wallet does not have one of them. */
export function fillsOf({ fills }: Batch, wallet: EnclaveWallet): BatchFill[] {
  const notes = new Map(wallet.notes().map((note) => [note.leaf, note]));
  return fills.map(({ order, signature, sold, bought, filled, k, leaves }) => {
    const keys = wallet.account(order.owner);
    if (keys === undefined) throw new RangeError('the wallet was never told of an owner of the batch');
    const inputs = leaves.map((leaf) => {
      const note = notes.get(leaf);
      const input = note === undefined ? undefined : wallet.spendable(note);
      if (input === undefined) throw new RangeError(`the note of leaf ${leaf} cannot be spent`);
      return input;
    });
    const state = k === 0n ? undefined : wallet.filledOrder(orderStateOf(orderHashOf(order), filled, k), filled, k);
    if (k > 0n && state === undefined)
      throw new RangeError(`the state of an order after ${k} fills is not in the tree`);
    return { keys, order, signature, state, inputs, sold, bought };
  });
}
