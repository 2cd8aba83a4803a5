import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Nullifier } from '@bitcloak/notes/note';
import { cancelKeyOf, orderNullifierOf, type Order } from '@bitcloak/notes/order';
import type { Ticket } from '../exchange/commands.ts';
import { BATCH_SECONDS } from '../exchange/rules.ts';
import type { EnclaveWallet } from '../wallet/enclaveWallet.ts';

/** Others are served after so much work at most. */
const SLICE_MS = 2;

/** A signed order, and how many of its next states matter. */
export type Watched = {
  readonly ticket: Ticket;
  /** Those that what it has matched may come to. */
  readonly matched: number;
  /** Those after them, where it can match on. */
  readonly ahead: number;
};

/** What is known of a signed order: the nullifiers of its states, by their numbers, and what they were compared with last. */
type Known = {
  readonly nullifiers: Nullifier[];
  compared?: { cancelled: ReadonlyMap<Nullifier, number>; size: number; first: number; end: number };
};

/**
 * Finds the orders that their owners take back on the chain. An owner knows the cancel keys of all states of an order before anybody else knows the
 * order, so the next ones are looked at too. A state takes two hashes, which anybody's first cancellation makes necessary for everybody: each is
 * computed once, and not before it matters.
 */
export class Cancellations {
  readonly #ofOrder = new Map<bigint, Known>();
  #sliceEnd = 0;

  /** Unix seconds from which an order's state after `k` fills counts as spent, where it is being taken back. */
  time(wallet: EnclaveWallet, { owner }: Order, orderHash: bigint, k: number): number | undefined {
    const { cancelled } = wallet;
    const keys = wallet.account(owner);
    if (cancelled.size === 0 || keys === undefined) return undefined;
    const { nullifiers } = this.#known(orderHash);
    const nullifier = (nullifiers[k] ??= orderNullifierOf(cancelKeyOf(keys.nullifierKey, orderHash, BigInt(k))));
    return cancelled.get(nullifier);
  }

  /** The same of the state after `k` fills, and of the next ones. */
  async times(
    wallet: EnclaveWallet,
    { order, orderHash }: Pick<Ticket, 'order' | 'orderHash'>,
    k: number,
    count: number,
  ): Promise<(number | undefined)[]> {
    const times: (number | undefined)[] = [];
    for (let state = k; state < k + count; state++) {
      if (state > k && performance.now() > this.#sliceEnd) await this.#pause();
      times.push(this.time(wallet, order, orderHash, state));
    }
    return times;
  }

  /**
   * The signed orders of which it is news that they are taken back, each with the time from which nothing of it can be settled. Others are served
   * meanwhile, and after `msMax` the rest waits for the next time.
   *
   * @param now unix seconds.
   */
  async news(
    wallet: EnclaveWallet,
    orders: Iterable<Watched>,
    now: number,
    msMax = Infinity,
  ): Promise<[ticket: number, from: number][]> {
    const { cancelled } = wallet;
    const found: [number, number][] = [];
    if (cancelled.size === 0) return found;
    const end = performance.now() + msMax;
    for (const { ticket, matched, ahead } of orders) {
      const { id, orderHash, until } = ticket;
      const first = Number(ticket.k);
      const comparing = { cancelled, size: cancelled.size, first, end: first + matched + ahead };
      const known = this.#known(orderHash);
      if (performance.now() > this.#sliceEnd) await this.#pause();
      if (isSame(known.compared, comparing)) continue;
      const times = await this.times(wallet, ticket, first, matched + ahead);
      known.compared = comparing;
      // A later state that is spent soon, or already, counts when the order has come to it.
      const counts = (time: number | undefined, index: number) =>
        time !== undefined && index < matched && (index === 0 || time > now + BATCH_SECONDS) ? [time] : [];
      const from = Math.min(until + 1, ...times.flatMap(counts));
      const isFound = times.some((time) => time !== undefined);
      if (isFound && (ahead > 0 || from <= until)) found.push([id, from]);
      if (performance.now() > end) break;
    }
    return found;
  }

  /** Forgets what it knows of all orders but these, where that is more than what it knows of these. */
  forget(tickets: readonly Ticket[]): void {
    if (this.#ofOrder.size <= 2 * tickets.length) return;
    const wanted = new Set(tickets.map(({ orderHash }) => orderHash));
    for (const orderHash of this.#ofOrder.keys()) if (!wanted.has(orderHash)) this.#ofOrder.delete(orderHash);
  }

  #known(orderHash: bigint): Known {
    const known = this.#ofOrder.get(orderHash) ?? { nullifiers: [] };
    this.#ofOrder.set(orderHash, known);
    return known;
  }

  async #pause(): Promise<void> {
    await nextTurn();
    this.#sliceEnd = performance.now() + SLICE_MS;
  }
}

function isSame(compared: Known['compared'], { cancelled, size, first, end }: NonNullable<Known['compared']>): boolean {
  if (compared?.cancelled !== cancelled || compared.size !== size) return false;
  return compared.first === first && compared.end >= end;
}
