// What a pool must hold after every call, by plain bookkeeping that shares no code with the pool or the packages: the hashes and the
// tree are those of the circuits' tests.
import type { SpendingKey } from '@bitcloak/notes/keys';
import type { Note } from '@bitcloak/notes/note';
import { BUCKET_LEAVES, TREE_DEPTH } from '@bitcloak/protocol/parameters';
import { hashes, SparseTree } from './circuit.ts';

/** A note in the pool, with everything that spends it. */
export type HeldNote = {
  readonly note: Note;
  readonly key: SpendingKey;
  readonly leaf: number;
  readonly commitment: bigint;
  readonly nullifier: bigint;
};

/** A note that a call is to make. Without a key nobody can spend it. */
export type NewNote = { readonly note: Note; readonly key: SpendingKey | undefined };

export type Payment = {
  readonly asset: bigint;
  readonly amount: bigint;
  readonly recipient: bigint;
  readonly relayer: bigint;
  readonly fee: bigint;
};

export type ModelTransfer = {
  readonly nullifiers: readonly bigint[];
  readonly outputs: readonly NewNote[];
  readonly payment: Payment | undefined;
};

export function commitmentOf({ asset, value, owner, blinding, lock }: Note): bigint {
  const lockWord = lock === undefined ? 0n : hashes.lock(lock);
  return hashes.commitment(asset, value, hashes.stealth(owner, blinding, lockWord));
}

export class PoolModel {
  /** The leaves of all buckets, the open one last. */
  readonly buckets: bigint[][] = [[]];
  nextInsertion = 0;
  /** Unix seconds of the open bucket's first leaf; of the bucket before where it has none. */
  openedAt = 0n;
  depositsPaused = false;
  guardian: bigint;
  readonly tree = new SparseTree(TREE_DEPTH);
  /** Every root that the pool gave out, the newest last. */
  readonly roots: bigint[] = [];
  readonly spent = new Set<bigint>();
  /** By leaf. Those that are worth nothing are among them. */
  readonly unspent = new Map<number, HeldNote>();
  /** By asset. */
  readonly deposited = new Map<bigint, bigint>();
  readonly withdrawn = new Map<bigint, bigint>();
  /** What payments brought, by asset and account. */
  readonly received = new Map<string, { asset: bigint; account: bigint; amount: bigint }>();

  constructor(guardian: bigint) {
    this.guardian = guardian;
  }

  get openBucket(): number {
    return this.buckets.length - 1;
  }

  get openLeaves(): number {
    return this.#open.length;
  }

  get nextLeaf(): number {
    return this.openBucket * BUCKET_LEAVES + this.openLeaves;
  }

  leavesOf(bucket: number): readonly bigint[] {
    return this.buckets[bucket] ?? [];
  }

  /** What the pool must hold of an asset. */
  balance(asset: bigint): bigint {
    return (this.deposited.get(asset) ?? 0n) - (this.withdrawn.get(asset) ?? 0n);
  }

  isInTree(leaf: number): boolean {
    return Math.floor(leaf / BUCKET_LEAVES) < this.nextInsertion;
  }

  deposit(made: NewNote, time: bigint): void {
    const { asset, value } = made.note;
    this.deposited.set(asset, (this.deposited.get(asset) ?? 0n) + value);
    this.#append(made, time);
  }

  transfer({ nullifiers, outputs, payment }: ModelTransfer, time: bigint): void {
    for (const nullifier of nullifiers) {
      if (this.spent.has(nullifier)) throw new Error('the pool let a note be spent twice');
      this.spent.add(nullifier);
    }
    for (const { leaf, nullifier } of this.unspent.values()) {
      if (nullifiers.includes(nullifier)) this.unspent.delete(leaf);
    }
    for (const output of outputs) this.#append(output, time);
    if (payment === undefined) return;
    const { asset, amount, recipient, relayer, fee } = payment;
    this.withdrawn.set(asset, (this.withdrawn.get(asset) ?? 0n) + amount);
    this.#receive(asset, recipient, amount - fee);
    if (fee > 0n) this.#receive(asset, relayer, fee);
  }

  close(): void {
    this.buckets.push([]);
  }

  insert(): void {
    this.leavesOf(this.nextInsertion).forEach((leaf, position) => {
      this.tree.set(this.nextInsertion * BUCKET_LEAVES + position, leaf);
    });
    this.nextInsertion++;
    this.roots.push(this.tree.root);
  }

  get #open(): bigint[] {
    return this.buckets[this.openBucket] as bigint[];
  }

  #append({ note, key }: NewNote, time: bigint): void {
    if (this.openLeaves === 0) this.openedAt = time;
    const leaf = this.nextLeaf;
    const commitment = commitmentOf(note);
    if (key !== undefined) {
      const nullifier = hashes.nullifier(key.keys.nullifierKey, commitment, BigInt(leaf));
      this.unspent.set(leaf, { note, key, leaf, commitment, nullifier });
    }
    this.#open.push(commitment);
    if (this.openLeaves === BUCKET_LEAVES) this.close();
  }

  #receive(asset: bigint, account: bigint, amount: bigint): void {
    const name = `${asset} ${account}`;
    const before = this.received.get(name)?.amount ?? 0n;
    this.received.set(name, { asset, account, amount: before + amount });
  }
}
