import { placeOf } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { AMOUNT_MAX, TRANSFER_INPUTS } from '@bitcloak/protocol/parameters';
import type { OwnedNote } from './walletState.ts';

/** Base units that wait for their insertion, and those of notes that are or were locked. */
export type Unspendable = { readonly waiting: bigint; readonly locked: bigint };

const valueOf = (owned: OwnedNote) => owned.note.value;
const sum = (notes: readonly OwnedNote[]) => notes.reduce((total, owned) => total + valueOf(owned), 0n);
/** Only notes of one owner under one tree can be spent together. */
const groupOf = ({ note, leaf }: OwnedNote) => `${placeOf(leaf).tree} ${note.owner}`;

function byValue(left: OwnedNote, right: OwnedNote): number {
  if (valueOf(left) === valueOf(right)) return left.leaf - right.leaf;
  return valueOf(left) < valueOf(right) ? -1 : 1;
}

/** The cheapest pair of one group that reaches `amount`. */
function selectPair(sorted: readonly OwnedNote[], amount: bigint): OwnedNote[] | undefined {
  let best: OwnedNote[] | undefined;
  for (const group of new Set(sorted.map(groupOf))) {
    const notes = sorted.filter((owned) => groupOf(owned) === group);
    let high = notes.length - 1;
    for (let low = 0; low < high;) {
      const pair = [notes[low], notes[high]] as [OwnedNote, OwnedNote];
      if (sum(pair) < amount) {
        low++;
        continue;
      }
      if (best === undefined || sum(pair) < sum(best)) best = pair;
      high--;
    }
  }
  return best;
}

/**
 * Chooses one or two notes that reach `amount`. A second input costs nothing, so the smallest note comes along where a larger one alone
 * would do: that way small notes join by themselves. A note that reaches `amount` too stays where it is, since change waits to be inserted.
 *
 * @param spendable notes of one asset that can be spent now.
 * @param other what else there is of the asset; only for the error.
 * @throws `BALANCE_INSUFFICIENT`, `NOTES_WAITING`, `NOTE_LOCKED`, or `NOTES_SCATTERED` where more than two notes would be needed.
 */
export function selectNotes(spendable: readonly OwnedNote[], amount: bigint, other: Unspendable): OwnedNote[] {
  const sorted = [...spendable].sort(byValue);
  const single = sorted.find((owned) => valueOf(owned) >= amount);
  if (single !== undefined) {
    const companion = sorted.find((owned) => valueOf(owned) < amount && groupOf(owned) === groupOf(single));
    return companion === undefined ? [single] : [single, companion];
  }
  const pair = selectPair(sorted, amount);
  if (pair !== undefined) return pair;
  const available = sum(sorted);
  if (available >= amount) {
    const reach = sum(sorted.slice(-TRANSFER_INPUTS));
    const message = `two notes together reach ${reach} base units of the ${amount} needed; merge notes first`;
    throw new BitcloakError('NOTES_SCATTERED', message);
  }
  const { waiting, locked } = other;
  if (available + waiting >= amount) {
    const message = `${available} base units can be spent now, ${waiting} wait for their insertion into the tree; needed are ${amount}`;
    throw new BitcloakError('NOTES_WAITING', message);
  }
  const all = available + waiting + locked;
  if (all >= amount) {
    const message = `${locked} of ${all} base units are locked, or were and are to be reclaimed; needed are ${amount}`;
    throw new BitcloakError('NOTE_LOCKED', message);
  }
  throw new BitcloakError('BALANCE_INSUFFICIENT', `expected ${amount} base units or more, there are ${all}`);
}

/**
 * What is to be joined: the two smallest notes of one owner under one tree that are worth more than the fee together, or, where there are no two,
 * the smallest that a trade brought to another owner than the main one, which gets it by itself. Throws `BALANCE_INSUFFICIENT` where there is
 * neither.
 */
export function selectForMerge(spendable: readonly OwnedNote[], fee: bigint): OwnedNote[] {
  const pair = selectPair([...spendable].sort(byValue), fee + 1n);
  if (pair !== undefined && sum(pair) - fee <= AMOUNT_MAX) return pair;
  const stray = [...spendable].sort(byValue).find((owned) => owned.account !== undefined && valueOf(owned) > fee);
  if (stray !== undefined) return [stray];
  const message = `merging needs two notes that can be spent and that are worth more than the fee of ${fee} base units`;
  throw new BitcloakError('BALANCE_INSUFFICIENT', message);
}

/**
 * One or two notes of one owner under one tree that are worth more than the fee, the largest first with the smallest that goes with it, so
 * that small ones come home on the fee of large ones; none where there are no such.
 */
export function selectForReclaim(reclaimable: readonly OwnedNote[], fee: bigint): OwnedNote[] {
  const sorted = [...reclaimable].sort(byValue);
  for (const first of sorted.toReversed()) {
    const companion = sorted.find((owned) => {
      const together = groupOf(owned) === groupOf(first);
      const change = valueOf(owned) + valueOf(first) - fee;
      return owned !== first && together && change > 0n && change <= AMOUNT_MAX;
    });
    if (companion !== undefined) return [first, companion];
    if (valueOf(first) > fee) return [first];
  }
  return [];
}
