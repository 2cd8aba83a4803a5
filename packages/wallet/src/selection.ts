import { placeOf } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { AMOUNT_MAX, TRANSFER_INPUTS } from '@bitcloak/protocol/parameters';
import type { HandedTransfer } from './handedOver.ts';
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

/** Whether a transfer of these notes and another one exclude each other. */
const excludes = (notes: readonly OwnedNote[], { nullifiers }: HandedTransfer) =>
  notes.some(({ nullifier }) => nullifiers.includes(nullifier));

/** Every one note, and every two of one group, that exclude at least one of the pending transfers. */
function excluding(spendable: readonly OwnedNote[], pending: readonly HandedTransfer[]): OwnedNote[][] {
  const handed = spendable.filter((owned) => pending.some((transfer) => excludes([owned], transfer)));
  return handed.flatMap((first) => {
    const others = spendable.filter((owned) => owned !== first && groupOf(owned) === groupOf(first));
    return [[first], ...others.map((other) => [first, other])];
  });
}

const cheapest = (choices: readonly OwnedNote[][]) =>
  choices.reduce<OwnedNote[] | undefined>(
    (best, choice) => (best === undefined || sum(choice) < sum(best) ? choice : best),
    undefined,
  );

/**
 * Chooses one or two notes that reach `amount`, so that of the transfer and those that are pending one can land at most. Every pending one was chosen
 * that way itself, so any two of them share a note, and some one or two notes of theirs exclude all; but for what a reorganisation brings back.
 */
function selectExcluding(
  spendable: readonly OwnedNote[],
  amount: bigint,
  pending: readonly HandedTransfer[],
): OwnedNote[] | undefined {
  const all = excluding(spendable, pending).filter((notes) => pending.every((transfer) => excludes(notes, transfer)));
  return cheapest(all.filter((notes) => sum(notes) >= amount && sum(notes) - amount <= AMOUNT_MAX));
}

/**
 * Chooses one or two notes that reach `amount`. A second input costs nothing, so the smallest note comes along where a larger one alone
 * would do: that way small notes join by themselves. A note that reaches `amount` too stays where it is, since change waits to be inserted.
 *
 * @param spendable notes of one asset that can be spent now.
 * @param other what else there is of the asset; only for the error.
 * @param pending transfers of the asset that may still land: what is chosen excludes them all.
 * @throws `BALANCE_INSUFFICIENT`, `NOTES_WAITING`, `NOTE_LOCKED`, `NOTES_SCATTERED` where more than two notes would be needed, or `TRANSFER_PENDING`
 * where only notes would do that leave a pending transfer standing.
 */
export function selectNotes(
  spendable: readonly OwnedNote[],
  amount: bigint,
  other: Unspendable,
  pending: readonly HandedTransfer[] = [],
): OwnedNote[] {
  const [oldest] = pending;
  if (oldest === undefined) return selectFreely(spendable, amount, other);
  const chosen = selectExcluding(spendable, amount, pending);
  if (chosen !== undefined) return chosen;
  // Where the notes would not do anyway, that is the reason.
  selectFreely(spendable, amount, other);
  const message =
    `a ${oldest.kind} of ${oldest.amount} base units, handed over at ${oldest.time} (unix seconds), may still land: what is spent now has to spend ` +
    `a note of it too, so that only one of the two can, and with one ${amount} base units are not reached; merging voids it`;
  throw new BitcloakError('TRANSFER_PENDING', message);
}

function selectFreely(spendable: readonly OwnedNote[], amount: bigint, other: Unspendable): OwnedNote[] {
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
 * neither. Where transfers are pending, it is one or two notes that void as many of them as can be at once.
 */
export function selectForMerge(
  spendable: readonly OwnedNote[],
  fee: bigint,
  pending: readonly HandedTransfer[] = [],
): OwnedNote[] {
  const voiding = excluding(spendable, pending).filter((notes) => sum(notes) > fee && sum(notes) - fee <= AMOUNT_MAX);
  const voided = (notes: readonly OwnedNote[]) => pending.filter((transfer) => excludes(notes, transfer)).length;
  const most = Math.max(...voiding.map(voided));
  const chosen = cheapest(voiding.filter((notes) => voided(notes) === most));
  if (chosen !== undefined) return chosen;
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
