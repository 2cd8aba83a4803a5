import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Nullifier } from '@bitcloak/notes/note';
import { cancelKeyOf, orderNullifierOf, type Order } from '@bitcloak/notes/order';
import { ORDER_STATES_WATCHED } from '@bitcloak/protocol/parameters';
import type { Ticket } from '../exchange/commands.ts';
import type { EnclaveWallet } from '../wallet/enclaveWallet.ts';

/**
 * Finds the orders that their owners take back on the chain. An owner knows the cancel keys of all states of an order before anybody else knows the
 * order, so the next ones are looked at too. Their hashes take some milliseconds for an order, and are computed once.
 */
export class Cancellations {
  readonly #ofOrder = new Map<bigint, readonly Nullifier[]>();
  /** What all known orders were compared with. */
  #compared: ReadonlyMap<Nullifier, number> | undefined;
  #comparedSize = 0;

  /** Unix seconds from which one of the states that an order may still come to counts as spent; undefined where nothing is taken back. */
  from(wallet: EnclaveWallet, order: Order, orderHash: bigint, k = 0n): number | undefined {
    const { cancelled } = wallet;
    const keys = wallet.account(order.owner);
    if (cancelled.size === 0 || keys === undefined) return undefined;
    let nullifiers = this.#ofOrder.get(orderHash);
    if (nullifiers === undefined) {
      nullifiers = Array.from({ length: ORDER_STATES_WATCHED }, (_, state) =>
        orderNullifierOf(cancelKeyOf(keys.nullifierKey, orderHash, BigInt(state))),
      );
      this.#ofOrder.set(orderHash, nullifiers);
    }
    const times = nullifiers.slice(Number(k)).flatMap((nullifier) => cancelled.get(nullifier) ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** The signed orders of which it is news that they are taken back, each with the time. */
  async news(wallet: EnclaveWallet, tickets: readonly Ticket[]): Promise<[ticket: number, from: number][]> {
    const { cancelled } = wallet;
    if (cancelled.size === 0) return [];
    const isOld = this.#compared === cancelled && this.#comparedSize === cancelled.size;
    const size = cancelled.size;
    const found: [number, number][] = [];
    for (const { id, order, orderHash, k, until } of tickets) {
      const isKnown = this.#ofOrder.has(orderHash);
      if (isKnown && isOld) continue;
      // Others are served meanwhile.
      if (!isKnown) await nextTurn();
      const from = this.from(wallet, order, orderHash, k);
      if (from !== undefined && from <= until) found.push([id, from]);
    }
    [this.#compared, this.#comparedSize] = [cancelled, size];
    const wanted = new Set(tickets.map(({ orderHash }) => orderHash));
    for (const orderHash of this.#ofOrder.keys()) if (!wanted.has(orderHash)) this.#ofOrder.delete(orderHash);
    return found;
  }
}
