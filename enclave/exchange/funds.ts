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

/** A fill spends few notes, and there are not many fills of one order: dust beyond this many notes counts for nothing. */
export const NOTES_COUNTED = 2 * FILL_INPUTS;

const byValue = (left: FundNote, right: FundNote) =>
  left.value === right.value ? left.leaf - right.leaf : left.value < right.value ? 1 : -1;

/** What owners have with the operator: their notes, and how much of an asset their orders hold. */
export class Funds {
  readonly #notes = new Map<number, FundNote>();
  readonly #held = new Map<string, bigint>();

  notes(): FundNote[] {
    return [...this.#notes.values()];
  }

  credit(note: FundNote): void {
    this.#notes.set(note.leaf, note);
  }

  remove(leaf: number): void {
    this.#notes.delete(leaf);
  }

  markInserted(leaf: number): void {
    const note = this.#notes.get(leaf);
    if (note !== undefined) note.inserted = true;
  }

  /** Adds to what orders of an owner hold; negative gives back. */
  hold(owner: bigint, asset: bigint, amount: bigint): void {
    const key = `${owner} ${asset}`;
    const held = (this.#held.get(key) ?? 0n) + amount;
    if (held === 0n) this.#held.delete(key);
    else this.#held.set(key, held);
  }

  held(owner: bigint, asset: bigint): bigint {
    return this.#held.get(`${owner} ${asset}`) ?? 0n;
  }

  /** What notes that are locked until `expiry` or later amount to, less what orders hold of it already; negative where notes went away. */
  available(owner: bigint, asset: bigint, expiry: number): bigint {
    const counted = this.#of(owner, asset, expiry).slice(0, NOTES_COUNTED);
    return counted.reduce((sum, { value }) => sum + value, 0n) - this.held(owner, asset);
  }

  /**
   * The notes for a fill that sells `amount`: the smallest that is enough alone, else the two largest.
   *
   * @param taken leaves that another fill of the batch spends.
   * @returns undefined where two notes in the tree are not enough.
   */
  choose(
    owner: bigint,
    asset: bigint,
    amount: bigint,
    expiry: number,
    taken: ReadonlySet<number>,
  ): FundNote[] | undefined {
    const free = this.#of(owner, asset, expiry).filter(({ leaf, inserted }) => inserted && !taken.has(leaf));
    const single = free.filter(({ value }) => value >= amount).at(-1);
    if (single !== undefined) return [single];
    const largest = free.slice(0, FILL_INPUTS);
    return largest.reduce((sum, { value }) => sum + value, 0n) >= amount ? largest : undefined;
  }

  /** The largest first. */
  #of(owner: bigint, asset: bigint, expiry: number): FundNote[] {
    return this.notes()
      .filter((note) => note.owner === owner && note.asset === asset && note.expiry >= expiry)
      .sort(byValue);
  }
}
