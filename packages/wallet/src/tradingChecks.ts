import type { Nullifier } from '@bitcloak/notes/note';
import { cancelKeyOf, orderNullifierOf } from '@bitcloak/notes/order';
import { BASIS_POINTS } from '@bitcloak/protocol/orders';
import type { FillRecord, OrderRecord, WithdrawalRecord } from '@bitcloak/trading/records';
import type { KeptOrder } from './tradingBook.ts';
import type { HistoryEntry } from './types.ts';

/** What the chain has of one order in one settlement, in base units. */
export type ChainFill = {
  readonly sequence: bigint;
  readonly block: number;
  readonly transaction: string;
  readonly sold: bigint;
  readonly bought: bigint;
};

/** What the chain says of one signed order. */
export type OrderCheck = {
  readonly kept: KeptOrder;
  readonly fills: readonly ChainFill[];
  readonly sold: bigint;
  readonly bought: bigint;
  /** Whether each fill, and all together, are within what was signed. */
  readonly keepsLimit: boolean;
};

/** What an operator tells of its matches, as far as it is to be compared with the chain. */
export type Told = {
  readonly orders: readonly Pick<OrderRecord, 'id' | 'clientOrderId'>[];
  readonly fills: readonly FillRecord[];
  readonly withdrawals: readonly WithdrawalRecord[];
};

/** Something that was told, and is not on the chain as it was told. */
export type Contradiction = {
  readonly clientOrderId: string;
  readonly kind: 'fill' | 'withdrawal';
  /** The operator's number of it. */
  readonly id: number;
  readonly sold: bigint;
  readonly bought: bigint;
  /**
   * `notSettled`: its order has expired, so it will never be. `notThere`: it is told to be settled, and is not. `differs`: the settlement that it is
   * told to be in has other amounts of its order.
   */
  readonly why: 'notSettled' | 'notThere' | 'differs';
};

export type FillsCheck = {
  readonly orders: readonly OrderCheck[];
  /** Settlements of this wallet's notes by orders that are not in its book: they were signed elsewhere, with the same seed. */
  readonly unknown: readonly HistoryEntry[];
  readonly contradictions: readonly Contradiction[];
  /** What was told and is to be settled still: fills and withdrawals. */
  readonly waiting: number;
};

/** What marks the state of an order after `k` fills as spent. */
export function stateNullifier(nullifierKey: bigint, orderHash: bigint, k: number): Nullifier {
  return orderNullifierOf(cancelKeyOf(nullifierKey, orderHash, BigInt(k)));
}

/** The settlements of an order among those of a history, the first first. */
export function settlementsOf(
  settlements: ReadonlyMap<Nullifier, HistoryEntry>,
  nullifierKey: bigint,
  orderHash: bigint,
): HistoryEntry[] {
  const found: HistoryEntry[] = [];
  for (;;) {
    // Each fill moves an order to its next state, so the first that is missing is the last to look for.
    const entry = settlements.get(stateNullifier(nullifierKey, orderHash, found.length));
    if (entry === undefined) return found;
    found.push(entry);
  }
}

export function bySettledState(history: readonly HistoryEntry[]): Map<Nullifier, HistoryEntry> {
  return new Map(history.flatMap((entry) => (entry.settlement ? [[entry.settlement.orderNullifier, entry]] : [])));
}

function chainFill({ amount, fee, gained, block, transaction, settlement }: HistoryEntry): ChainFill {
  const sold = gained === undefined ? amount + fee : amount;
  return { sequence: settlement?.sequence ?? 0n, block, transaction, sold, bought: gained?.amount ?? amount };
}

const sum = (amounts: readonly bigint[]) => amounts.reduce((total, amount) => total + amount, 0n);

function checkOrder(kept: KeptOrder, fills: readonly ChainFill[]): OrderCheck {
  const { sellMax, buyMin } = kept.order;
  const [sold, bought] = [sum(fills.map((fill) => fill.sold)), sum(fills.map((fill) => fill.bought))];
  // The circuit guarantees it; whoever verifies does not take that for granted.
  const keepsLimit = sold <= sellMax && fills.every((fill) => fill.sold * buyMin <= fill.bought * sellMax);
  return { kept, fills, sold, bought, keepsLimit };
}

/**
 * Compares what a wallet found on the chain, by its own keys alone, with the orders that it signed and with what the operator told.
 *
 * @param told nothing where the operator is not there to be asked.
 * @param blockTime unix seconds of the newest block that the history has.
 */
export function checkFills(
  history: readonly HistoryEntry[],
  kept: readonly KeptOrder[],
  nullifierKeyOf: (index: number) => bigint,
  told: Told | undefined,
  blockTime: bigint,
): FillsCheck {
  const left = bySettledState(history);
  const orders = kept.map((order) => {
    const entries = settlementsOf(left, nullifierKeyOf(order.index), order.orderHash);
    for (const { settlement } of entries) if (settlement !== undefined) left.delete(settlement.orderNullifier);
    return checkOrder(order, entries.map(chainFill));
  });
  const unknown = [...left.values()];
  const compared = told === undefined ? { contradictions: [], waiting: 0 } : compare(orders, told, blockTime);
  return { orders, unknown, ...compared };
}

type Match = Pick<FillRecord, 'id' | 'sold' | 'bought' | 'status' | 'settlement'>;

function compare(
  orders: readonly OrderCheck[],
  told: Told,
  blockTime: bigint,
): Pick<FillsCheck, 'contradictions' | 'waiting'> {
  const names = new Map(told.orders.map(({ id, clientOrderId }) => [id, clientOrderId]));
  const groups = new Map<string, { kind: Contradiction['kind']; matches: Match[] }>();
  const add = (clientOrderId: string, kind: Contradiction['kind'], match: Match) => {
    const group = groups.get(clientOrderId) ?? { kind, matches: [] };
    groups.set(clientOrderId, group);
    group.matches.push(match);
  };
  for (const fill of told.fills) {
    // Records of old orders go; what the chain has of them is checked by what was signed.
    const name = names.get(fill.order);
    if (name !== undefined) add(name, 'fill', fill);
  }
  for (const { id, clientOrderId, amount, fee, status, settlement } of told.withdrawals) {
    add(clientOrderId, 'withdrawal', { id, sold: amount, bought: amount - fee, status, settlement });
  }
  let waiting = 0;
  const contradictions: Contradiction[] = [];
  for (const [clientOrderId, { kind, matches }] of groups) {
    // An order that was amended was signed more than once, and its matches may be of any of them.
    const own = orders.filter(({ kept }) => kept.clientOrderId === clientOrderId);
    if (own.length === 0) continue;
    const isOver = own.every(({ kept }) => kept.order.expiry <= blockTime);
    for (const match of matches) {
      const why = contradictionOf(
        match,
        matches,
        own.flatMap(({ fills }) => fills),
        isOver,
      );
      if (why !== undefined) {
        const { id, sold, bought } = match;
        contradictions.push({ clientOrderId, kind, id, sold, bought, why });
      } else if (match.status === 'waiting') waiting++;
    }
  }
  return { contradictions, waiting };
}

function contradictionOf(
  { status, settlement }: Match,
  matches: readonly Match[],
  fills: readonly ChainFill[],
  isOver: boolean,
): Contradiction['why'] | undefined {
  if (status === 'busted') return undefined;
  if (status === 'waiting') return isOver ? 'notSettled' : undefined;
  const there = fills.filter(({ sequence }) => sequence === BigInt(settlement));
  if (there.length === 0) return 'notThere';
  // One settlement has all matches of an order that were due, in one fill for each time that it was signed.
  const together = matches.filter((match) => match.status === 'settled' && match.settlement === settlement);
  const isSame = (side: 'sold' | 'bought') =>
    sum(there.map((fill) => fill[side])) === sum(together.map((match) => match[side]));
  return isSame('sold') && isSame('bought') ? undefined : 'differs';
}

/** By how many basis points, rounded down, an order brought more than was signed; 0 for one that nothing was sold of. */
export function betterThanSigned({ sold, bought, kept }: OrderCheck): number {
  const { sellMax, buyMin } = kept.order;
  if (sold === 0n || buyMin === 0n) return 0;
  const least = sold * buyMin;
  return Number(((bought * sellMax - least) * BigInt(BASIS_POINTS)) / least);
}
