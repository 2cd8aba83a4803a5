import { FILL_INPUTS } from '@bitcloak/protocol/parameters';

/** A note that was told to the operator, as far as trading needs to know it. */
export type FundNote = {
  /** Its place over all trees. */
  readonly leaf: number;
  readonly owner: bigint;
  readonly asset: bigint;
  readonly value: bigint;
  /** Of its lock, unix seconds. */
  readonly expiry: number;
  /** Whether it is in the tree, so that a fill can spend it. */
  inserted: boolean;
};

/** What an owner has of one asset. */
type Holding = {
  readonly owner: bigint;
  readonly asset: bigint;
  /** The largest first. */
  notes: FundNote[];
  held: bigint;
  /** Signed orders that sell it, open or unsettled. */
  orders: number;
};

const byValue = (left: FundNote, right: FundNote) =>
  left.value === right.value ? left.leaf - right.leaf : left.value < right.value ? 1 : -1;

const isBelow = (left: Holding, right: Holding) =>
  left.owner === right.owner ? left.asset < right.asset : left.owner < right.owner;

const sum = (notes: readonly FundNote[]) => notes.reduce((total, { value }) => total + value, 0n);

/** What owners have with the operator: their notes, and how much of an asset their orders hold. */
export class Funds {
  readonly #notes = new Map<number, FundNote>();
  readonly #holdings = new Map<bigint, Map<bigint, Holding>>();

  notes(): FundNote[] {
    return [...this.#notes.values()];
  }

  note(leaf: number): FundNote | undefined {
    return this.#notes.get(leaf);
  }

  credit(note: FundNote): void {
    this.#notes.set(note.leaf, note);
    const holding = this.#holding(note.owner, note.asset);
    holding.notes.push(note);
    holding.notes.sort(byValue);
  }

  remove(leaf: number): void {
    const note = this.#notes.get(leaf);
    if (note === undefined) return;
    this.#notes.delete(leaf);
    const holding = this.#holding(note.owner, note.asset);
    holding.notes = holding.notes.filter((other) => other !== note);
    this.#forgetIfEmpty(holding);
  }

  markInserted(leaf: number): void {
    const note = this.#notes.get(leaf);
    if (note !== undefined) note.inserted = true;
  }

  /** Adds to what orders of an owner hold; negative gives back. */
  hold(owner: bigint, asset: bigint, amount: bigint): void {
    const holding = this.#holding(owner, asset);
    holding.held += amount;
    this.#forgetIfEmpty(holding);
  }

  /** Counts signed orders that sell an asset; -1 takes one away. */
  countOrder(owner: bigint, asset: bigint, change: 1 | -1): void {
    const holding = this.#holding(owner, asset);
    holding.orders += change;
    this.#forgetIfEmpty(holding);
  }

  orders(owner: bigint, asset: bigint): number {
    return this.#holdings.get(owner)?.get(asset)?.orders ?? 0;
  }

  held(owner: bigint, asset: bigint): bigint {
    return this.#holdings.get(owner)?.get(asset)?.held ?? 0n;
  }

  assetsOf(owner: bigint): bigint[] {
    return [...(this.#holdings.get(owner)?.keys() ?? [])];
  }

  notesOf(owner: bigint, asset: bigint): readonly FundNote[] {
    return this.#holdings.get(owner)?.get(asset)?.notes ?? [];
  }

  /** The most that one fill can sell, now or after other fills, with notes that are locked until `expiry` or later. */
  payable(owner: bigint, asset: bigint, expiry: number): bigint {
    return sum(
      this.notesOf(owner, asset)
        .filter((note) => note.expiry >= expiry)
        .slice(0, FILL_INPUTS),
    );
  }

  /**
   * What notes that are locked until `expiry` or later can pay for, less what orders hold of it already; negative where notes went away.
   *
   * The largest notes that one fill can spend count, and no others. A fill leaves one note of all that it spends, so whatever is held can be
   * settled, by one fill after the other; with a third note counted, a match could come to more than any fill can pay for.
   */
  available(owner: bigint, asset: bigint, expiry: number): bigint {
    return this.payable(owner, asset, expiry) - this.held(owner, asset);
  }

  /**
   * Owners and assets of which orders hold more than notes that are locked until `expiry` or later can pay for. By their numbers: the order in which
   * they came to be here is another one after a restart.
   */
  overdrawn(expiry: number): { owner: bigint; asset: bigint }[] {
    const found: Holding[] = [];
    for (const assets of this.#holdings.values()) {
      for (const holding of assets.values()) {
        const { owner, asset, held } = holding;
        if (held > 0n && this.available(owner, asset, expiry) < 0n) found.push(holding);
      }
    }
    return found.sort((left, right) => (isBelow(left, right) ? -1 : 1));
  }

  /** What fills can spend whose locks last until `expiry` or later, the largest first: notes in the tree. */
  spendable(owner: bigint, asset: bigint, expiry: number): FundNote[] {
    return this.notesOf(owner, asset).filter((note) => note.expiry >= expiry && note.inserted);
  }

  #holding(owner: bigint, asset: bigint): Holding {
    const assets = this.#holdings.get(owner) ?? new Map<bigint, Holding>();
    this.#holdings.set(owner, assets);
    const holding = assets.get(asset) ?? { owner, asset, notes: [], held: 0n, orders: 0 };
    assets.set(asset, holding);
    return holding;
  }

  #forgetIfEmpty({ owner, asset, notes, held, orders }: Holding): void {
    if (notes.length > 0 || held !== 0n || orders > 0) return;
    const assets = this.#holdings.get(owner);
    assets?.delete(asset);
    if (assets?.size === 0) this.#holdings.delete(owner);
  }
}

/**
 * The notes for a fill that sells `amount`: the smallest that is enough alone, else the two largest.
 *
 * @param notes the largest first. They may be very many.
 * @param taken leaves that another fill of the batch spends.
 * @returns undefined where two notes are not enough.
 */
export function chooseNotes(
  notes: readonly FundNote[],
  amount: bigint,
  taken: ReadonlySet<number>,
): FundNote[] | undefined {
  for (let at = enoughAlone(notes, amount) - 1; at >= 0; at--) {
    const note = notes[at] as FundNote;
    if (!taken.has(note.leaf)) return [note];
  }
  const largest: FundNote[] = [];
  for (const note of notes) {
    if (largest.length === FILL_INPUTS) break;
    if (!taken.has(note.leaf)) largest.push(note);
  }
  return sum(largest) >= amount ? largest : undefined;
}

/** How many of the notes, of which the largest come first, are enough alone. */
function enoughAlone(notes: readonly FundNote[], amount: bigint): number {
  let [low, high] = [0, notes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((notes[middle] as FundNote).value >= amount) low = middle + 1;
    else high = middle;
  }
  return low;
}
