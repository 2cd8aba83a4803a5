import type { Nullifier } from '@bitcloak/notes/note';
import { cancelKeyOf, orderNullifierOf } from '@bitcloak/notes/order';
import { BASIS_POINTS } from '@bitcloak/protocol/orders';
import { SETTLE_SECONDS_MAX } from '@bitcloak/trading/client';
import type { FillRecord, OrderRecord, RecordsFrom, WithdrawalRecord } from '@bitcloak/trading/records';
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
  /** Which of the trading accounts was asked for. */
  readonly index: number;
  /** Newest block of the history when the operator was asked: of what is settled later it could not know. */
  readonly block: number;
  readonly orders: readonly Pick<OrderRecord, 'id' | 'clientOrderId'>[];
  readonly fills: readonly FillRecord[];
  readonly withdrawals: readonly WithdrawalRecord[];
  /** From which numbers on that is all. */
  readonly from: RecordsFrom;
};

/** Something that was told, and is not on the chain as it was told, or that is on the chain and was told otherwise. */
export type Contradiction = {
  readonly clientOrderId: string;
  readonly kind: 'fill' | 'withdrawal';
  /** The operator's number of it, where it gave one. */
  readonly id: number | undefined;
  readonly sold: bigint;
  readonly bought: bigint;
  /**
   * `notSettled`: its order has expired, so it will never be. `notThere`: it is told to be settled, and is not. `differs`: the settlement that it is
   * told to be in has other amounts of its order. `settled`: it is told to be busted, and is there. `notTold`: it is there, and was not told.
   */
  readonly why: 'notSettled' | 'notThere' | 'differs' | 'settled' | 'notTold';
};

export type FillsCheck = {
  readonly orders: readonly OrderCheck[];
  /** Settlements of this wallet's notes by orders that are not in its book: they were signed elsewhere, with the same seed. */
  readonly unknown: readonly HistoryEntry[];
  readonly contradictions: readonly Contradiction[];
  /** What was told and is to be settled still: fills and withdrawals. */
  readonly waiting: number;
  /** Settlements of orders of which nothing was told, or not all, and that may be of what the operator says it let go of. */
  readonly gone: number;
  /** Matches that were told of orders that are not in the wallet's book, so that nothing can be held against them. */
  readonly uncompared: number;
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
  const nothing = { contradictions: [], waiting: 0, gone: 0, uncompared: 0 };
  return { orders, unknown, ...(told === undefined ? nothing : compare(orders, told, blockTime)) };
}

type Match = Pick<FillRecord, 'id' | 'time' | 'sold' | 'bought' | 'status' | 'settlement'>;
type Kind = Contradiction['kind'];

/** How many matches are to be on the chain, now or later. */
const countOf = (matches: readonly Pick<Match, 'status'>[]) =>
  matches.filter(({ status }) => status !== 'busted').length;

function compare(
  checks: readonly OrderCheck[],
  told: Told,
  blockTime: bigint,
): Pick<FillsCheck, 'contradictions' | 'waiting' | 'gone' | 'uncompared'> {
  const orders = checks.filter(({ kept }) => kept.index === told.index);
  const { groups, isElsewhere } = groupsOf(orders, told);
  const wholeFrom = {
    fill: firstWhole(told.fills, told.from.fills),
    withdrawal: firstWhole(told.withdrawals, told.from.withdrawals),
  };
  let [waiting, gone] = [0, 0];
  let uncompared = countOf([...told.fills, ...told.withdrawals]);
  const contradictions: Contradiction[] = [];
  for (const clientOrderId of new Set(orders.map(({ kept }) => kept.clientOrderId))) {
    // An order that was amended was signed more than once, and its matches may be of any of them.
    const own = orders.filter(({ kept }) => kept.clientOrderId === clientOrderId);
    const kind: Kind = own.some(({ kept }) => kept.kind === 'withdrawal') ? 'withdrawal' : 'fill';
    const isOver = own.every(({ kept }) => kept.order.expiry <= blockTime);
    const matches = groups.get(clientOrderId) ?? [];
    uncompared -= countOf(matches);
    const fills = own.flatMap((check) => check.fills);
    const from = wholeFrom[kind];
    const isWhole = (sequence: bigint) =>
      from !== undefined && sequence >= from && sequence >= BigInt(told.from.settlement);
    const inPart = new Set<number>();
    for (const match of matches) {
      const found = lookAt(match, matches, own, isOver, isWhole);
      if (found === 'inPart') inPart.add(match.settlement);
      else if (found !== undefined) {
        const { id, sold, bought } = match;
        contradictions.push({ clientOrderId, kind, id, sold, bought, why: found });
      } else if (match.status === 'waiting') waiting++;
    }
    gone += inPart.size;
    const known = fills.filter(({ block }) => block <= told.block);
    for (const { sequence, ...found } of untold(known, matches)) {
      if (isWhole(sequence) && !isElsewhere(sequence)) contradictions.push({ clientOrderId, kind, ...found });
      else gone++;
    }
  }
  return { contradictions, waiting, gone, uncompared };
}

/** Matches by the names of their orders, and whether some of a settlement may be of any order. */
function groupsOf(
  orders: readonly OrderCheck[],
  told: Told,
): { groups: ReadonlyMap<string, readonly Match[]>; isElsewhere: (sequence: bigint) => boolean } {
  const names = new Map<number, string>();
  for (const { kept } of orders) if (kept.id !== undefined) names.set(kept.id, kept.clientOrderId);
  for (const { id, clientOrderId } of told.orders) names.set(id, clientOrderId);
  const groups = new Map<string, Match[]>();
  const add = (name: string, match: Match) => groups.set(name, [...(groups.get(name) ?? []), match]);
  const elsewhere = new Set<bigint>();
  for (const fill of told.fills) {
    const name = names.get(fill.order);
    if (name !== undefined) add(name, fill);
    // Records of old orders go, and then nobody can say whose fill it is.
    else if (fill.order < told.from.orders) elsewhere.add(BigInt(fill.settlement));
  }
  for (const { clientOrderId, amount, fee, ...match } of told.withdrawals) {
    add(clientOrderId, { ...match, sold: amount, bought: amount - fee });
  }
  return { groups, isElsewhere: (sequence) => elsewhere.has(sequence) };
}

/**
 * The first settlement of which an operator must still have every match of a kind; undefined where there is none.
 *
 * @param matches the oldest first.
 * @param from number from which on they are all there.
 */
function firstWhole(
  matches: readonly Pick<Match, 'id' | 'status' | 'time' | 'settlement'>[],
  from: number,
): bigint | undefined {
  if (from === 1) return 0n;
  const oldest = matches.find(({ id }) => id >= from);
  if (oldest === undefined) return undefined;
  // What is gone was matched before the oldest of them, so it was settled before anything that was matched so much later.
  const later = matches.filter(({ status, time }) => status === 'settled' && time > oldest.time + SETTLE_SECONDS_MAX);
  return later.length === 0 ? undefined : BigInt(Math.min(...later.map(({ settlement }) => settlement)));
}

/** What settlements have of an order without its being told that they have anything of it. */
function untold(
  fills: readonly ChainFill[],
  matches: readonly Match[],
): (Pick<Contradiction, 'id' | 'sold' | 'bought' | 'why'> & { sequence: bigint })[] {
  const isTold = ({ sequence }: ChainFill) =>
    matches.some(({ status, settlement }) => status === 'settled' && BigInt(settlement) === sequence);
  const left = fills.filter((fill) => !isTold(fill));
  // An operator sees a settlement a few blocks later than a wallet. What never comes to be told is a contradiction once the order has expired.
  const waiting = sum(matches.map(({ status, sold }) => (status === 'waiting' ? sold : 0n)));
  return [...new Set(left.map(({ sequence }) => sequence))].flatMap((settlement) => {
    const there = left.filter(({ sequence }) => sequence === settlement);
    const [sold, bought] = [sum(there.map((fill) => fill.sold)), sum(there.map((fill) => fill.bought))];
    if (sold <= waiting) return [];
    const busted = matches.find((match) => match.status === 'busted' && match.sold === sold && match.bought === bought);
    return [{ sequence: settlement, id: busted?.id, sold, bought, why: busted === undefined ? 'notTold' : 'settled' }];
  });
}

/** What contradicts a match; `inPart` where nothing does and its settlement has more of the order than was told, as may be when the rest is gone. */
function lookAt(
  { status, settlement }: Match,
  matches: readonly Match[],
  own: readonly OrderCheck[],
  isOver: boolean,
  isWhole: (sequence: bigint) => boolean,
): Contradiction['why'] | 'inPart' | undefined {
  if (status === 'busted') return undefined;
  if (status === 'waiting') return isOver ? 'notSettled' : undefined;
  const sequence = BigInt(settlement);
  const there = own.flatMap(({ fills }) => fills).filter((fill) => fill.sequence === sequence);
  if (there.length === 0) return 'notThere';
  // One settlement has all matches of an order that were due, in one fill for each time that it was signed.
  const together = matches.filter((match) => match.status === 'settled' && match.settlement === settlement);
  const rest = (side: 'sold' | 'bought') =>
    sum(there.map((fill) => fill[side])) - sum(together.map((match) => match[side]));
  const [sold, bought] = [rest('sold'), rest('bought')];
  if (sold === 0n && bought === 0n) return undefined;
  // Every match keeps the limit. A rest that does not is none of matches that are gone: those that are told had another price.
  const keepsLimit = own.some(({ kept: { order } }) => sold * order.buyMin <= bought * order.sellMax);
  return sold > 0n && bought >= 0n && keepsLimit && !isWhole(sequence) ? 'inPart' : 'differs';
}

/** By how many basis points, rounded down, an order brought more than was signed; 0 for one that nothing was sold of. */
export function betterThanSigned({ sold, bought, kept }: OrderCheck): number {
  const { sellMax, buyMin } = kept.order;
  if (sold === 0n || buyMin === 0n) return 0;
  const least = sold * buyMin;
  return Number(((bought * sellMax - least) * BigInt(BASIS_POINTS)) / least);
}
