import { placeOf } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { TRANSFER_INPUTS } from '@bitcloak/protocol/parameters';
import type { OwnedNote } from './walletState.ts';

const valueOf = (owned: OwnedNote) => owned.note.value;
const sum = (notes: readonly OwnedNote[]) => notes.reduce((total, owned) => total + valueOf(owned), 0n);
const treeOf = (owned: OwnedNote) => placeOf(owned.leaf).tree;

function byValue(left: OwnedNote, right: OwnedNote): number {
  if (valueOf(left) === valueOf(right)) return left.leaf - right.leaf;
  return valueOf(left) < valueOf(right) ? -1 : 1;
}

/** The cheapest pair under one tree that reaches `amount`. */
function selectPair(sorted: readonly OwnedNote[], amount: bigint): OwnedNote[] | undefined {
  let best: OwnedNote[] | undefined;
  for (const tree of new Set(sorted.map(treeOf))) {
    const notes = sorted.filter((owned) => treeOf(owned) === tree);
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
 * Chooses one or two notes that reach `amount`. A second input costs nothing, so the smallest other note comes along where one alone
 * would do: that way small notes join by themselves.
 *
 * @param spendable notes of one asset and one owner that can be spent now.
 * @param waiting base units that wait for insertion; only for the error.
 * @throws `BALANCE_INSUFFICIENT`, `NOTES_WAITING`, or `NOTES_SCATTERED` where more than two notes would be needed.
 */
export function selectNotes(spendable: readonly OwnedNote[], amount: bigint, waiting: bigint): OwnedNote[] {
  const sorted = [...spendable].sort(byValue);
  const single = sorted.find((owned) => valueOf(owned) >= amount);
  if (single !== undefined) {
    const companion = sorted.find((owned) => owned !== single && treeOf(owned) === treeOf(single));
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
  if (available + waiting >= amount) {
    const message = `${available} base units can be spent now, ${waiting} wait for their insertion into the tree; needed are ${amount}`;
    throw new BitcloakError('NOTES_WAITING', message);
  }
  throw new BitcloakError(
    'BALANCE_INSUFFICIENT',
    `expected ${amount} base units or more, there are ${available + waiting}`,
  );
}

/** The two smallest notes under one tree, to be joined. Throws `BALANCE_INSUFFICIENT` where there are no two. */
export function selectForMerge(spendable: readonly OwnedNote[]): OwnedNote[] {
  const sorted = [...spendable].sort(byValue);
  for (const first of sorted) {
    const second = sorted.find((owned) => owned !== first && treeOf(owned) === treeOf(first));
    if (second !== undefined) return [first, second];
  }
  throw new BitcloakError('BALANCE_INSUFFICIENT', 'merging needs two notes that can be spent');
}
