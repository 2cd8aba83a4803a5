import { SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
import type { Leg } from '@bitcloak/trading/market';
import type { Match, PlannedFill, Ticket } from './commands.ts';
import type { Funds } from './funds.ts';

/** What is chosen for a batch. */
export type Choice = { readonly fills: readonly PlannedFill[]; readonly matches: readonly number[] };

type Sum = Leg & { readonly feeAsset: bigint };

/**
 * Takes the matches in their order, each with both its sides or not at all, as far as there are fills, notes in the tree and assets for residuals. A
 * match that does not fit is passed over: another's notes may be ready earlier.
 */
export function chooseBatch(
  matches: Iterable<Match>,
  ticketOf: (id: number) => Ticket,
  funds: Funds,
  validUntil: number,
  fillsMax: number,
): Choice {
  let sums: ReadonlyMap<number, Sum> = new Map();
  let fills: readonly PlannedFill[] = [];
  const chosen: number[] = [];
  for (const match of matches) {
    const next = new Map(sums);
    for (const { ticket, sold, bought } of match.legs) {
      const before = next.get(ticket);
      next.set(ticket, {
        sold: sold + (before?.sold ?? 0n),
        bought: bought + (before?.bought ?? 0n),
        feeAsset: match.feeAsset,
      });
    }
    const funded = next.size > fillsMax ? undefined : fund(next, ticketOf, funds, validUntil);
    if (funded === undefined) continue;
    sums = next;
    fills = funded;
    chosen.push(match.id);
  }
  return { fills, matches: chosen };
}

/** Finds notes for every signed order of a batch; undefined where it cannot be settled like that. */
function fund(
  sums: ReadonlyMap<number, Sum>,
  ticketOf: (id: number) => Ticket,
  funds: Funds,
  validUntil: number,
): PlannedFill[] | undefined {
  const taken = new Set<number>();
  // What is left over of a batch is fees.
  const assets = new Set<bigint>();
  const fills: PlannedFill[] = [];
  for (const [id, { sold, bought, feeAsset }] of sums) {
    const { order, signature, filled, k, stateInserted } = ticketOf(id);
    assets.add(feeAsset);
    if (order.expiry < BigInt(validUntil) || (k > 0n && !stateInserted)) return undefined;
    const notes = funds.choose(order.owner, order.sellAsset, sold, validUntil, taken);
    if (notes === undefined) return undefined;
    for (const { leaf } of notes) taken.add(leaf);
    fills.push({ ticket: id, order, signature, filled, k, leaves: notes.map(({ leaf }) => leaf), sold, bought });
  }
  return assets.size > SETTLEMENT_RESIDUALS ? undefined : fills;
}
