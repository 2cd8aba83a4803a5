import { SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
import type { Order } from '@bitcloak/notes/order';
import type { Leg } from '@bitcloak/trading/market';
import type { Batch, Match, PlannedFill, Ticket } from './commands.ts';
import { chooseNotes, type FundNote, type Funds } from './funds.ts';

/** What is chosen for a batch. */
export type Choice = Pick<Batch, 'fills' | 'matches'>;

/** Every so many settlements withdrawals come first; trades cannot keep them waiting for ever, nor they the trades. */
const WITHDRAWALS_TURN = 4;

/**
 * The order in which matches are taken: trades before withdrawals, which fill what is left, but for every fourth settlement. Of trades those first that
 * must be settled first; of withdrawals one of each owner, then the second of each.
 */
export function inTurn(matches: Iterable<Match>, untilOf: (match: Match) => number, sequence: number): Match[] {
  const trades: Match[] = [];
  const withdrawals: { match: Match; turn: number }[] = [];
  const turns = new Map<bigint, number>();
  for (const match of matches) {
    const [first] = match.legs;
    if (match.kind === 'trade' || first === undefined) trades.push(match);
    else {
      const turn = turns.get(first.owner) ?? 0;
      turns.set(first.owner, turn + 1);
      withdrawals.push({ match, turn });
    }
  }
  const until = new Map(trades.map((match) => [match.id, untilOf(match)]));
  const byUntil = (left: Match, right: Match) =>
    (until.get(left.id) ?? 0) - (until.get(right.id) ?? 0) || left.id - right.id;
  trades.sort(byUntil);
  withdrawals.sort((left, right) => left.turn - right.turn || left.match.id - right.match.id);
  const others = withdrawals.map(({ match }) => match);
  return sequence % WITHDRAWALS_TURN === 0 ? [...others, ...trades] : [...trades, ...others];
}

/**
 * Takes matches in the order given, each with both its sides or not at all, as far as there are fills, notes in the tree and assets for residuals. A
 * match that does not fit is passed over: another's notes may be ready earlier.
 */
export function chooseBatch(
  matches: Iterable<Match>,
  ticketOf: (id: number) => Ticket,
  funds: Funds,
  validUntil: number,
  fillsMax: number,
): Choice {
  // Of each owner and asset once: an owner can have very many notes, and matches.
  const notes = new Map<string, readonly FundNote[]>();
  const notesFor = ({ owner, sellAsset }: Order) => {
    const key = `${owner} ${sellAsset}`;
    const spendable = notes.get(key) ?? funds.spendable(owner, sellAsset, validUntil);
    notes.set(key, spendable);
    return spendable;
  };
  let sums: ReadonlyMap<number, Leg> = new Map();
  let fills: readonly PlannedFill[] = [];
  const chosen: number[] = [];
  for (const match of matches) {
    const next = new Map(sums);
    for (const { ticket, sold, bought } of match.legs) {
      const before = next.get(ticket);
      next.set(ticket, { sold: sold + (before?.sold ?? 0n), bought: bought + (before?.bought ?? 0n) });
    }
    const funded = next.size > fillsMax ? undefined : fund(next, ticketOf, notesFor, validUntil);
    if (funded === undefined) continue;
    sums = next;
    fills = funded;
    chosen.push(match.id);
  }
  return { fills, matches: chosen };
}

/** Finds notes for every signed order of a batch; undefined where it cannot be settled like that. */
function fund(
  sums: ReadonlyMap<number, Leg>,
  ticketOf: (id: number) => Ticket,
  notesFor: (order: Order) => readonly FundNote[],
  validUntil: number,
): PlannedFill[] | undefined {
  const taken = new Set<number>();
  const left = new Map<bigint, bigint>();
  const fills: PlannedFill[] = [];
  for (const [id, { sold, bought }] of sums) {
    const { order, signature, until, filled, k, stateInserted } = ticketOf(id);
    left.set(order.sellAsset, (left.get(order.sellAsset) ?? 0n) + sold);
    left.set(order.buyAsset, (left.get(order.buyAsset) ?? 0n) - bought);
    if (until < validUntil || (k > 0n && !stateInserted)) return undefined;
    const notes = chooseNotes(notesFor(order), sold, taken);
    if (notes === undefined) return undefined;
    for (const { leaf } of notes) taken.add(leaf);
    fills.push({ ticket: id, order, signature, filled, k, leaves: notes.map(({ leaf }) => leaf), sold, bought });
  }
  const residuals = [...left.values()].filter((amount) => amount > 0n).length;
  return residuals > SETTLEMENT_RESIDUALS ? undefined : fills;
}
