// What a pool must hold after every call, by plain bookkeeping that shares no code with the pool or the packages: the hashes and the
// tree are those of the circuits' tests.
import type { Signature } from '@bitcloak/crypto/eddsa';
import type { SpendingKey } from '@bitcloak/notes/keys';
import type { Note } from '@bitcloak/notes/note';
import type { Order } from '@bitcloak/notes/order';
import { BUCKET_LEAVES, TREE_DEPTH } from '@bitcloak/protocol/parameters';
import { hashes, SparseTree } from './circuit.ts';
import { settlementHashes } from './fillCircuit.ts';

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

/** What a fill left of its order, and the leaf that says so. */
export type OrderState = { readonly filled: bigint; readonly leaf: number };

/** A signed order, with the owners that it names and what fills have made of it. */
export type ModelOrder = {
  readonly order: Order;
  readonly key: SpendingKey;
  /** Who gets the proceeds. */
  readonly payee: SpendingKey;
  readonly signature: Signature;
  readonly hash: bigint;
  /** One for each fill that landed. */
  readonly states: OrderState[];
};

export type ModelFill = {
  readonly order: ModelOrder;
  /** Those notes among the two that are not worth nothing. */
  readonly inputs: readonly HeldNote[];
  readonly nullifiers: readonly bigint[];
  readonly orderNullifier: bigint;
  readonly sold: bigint;
  readonly bought: bigint;
  readonly change: NewNote;
  readonly proceeds: NewNote;
  readonly orderState: bigint;
};

export type ModelSettlement = {
  /** The operator's number. */
  readonly operator: number;
  readonly fills: readonly ModelFill[];
  readonly residuals: readonly NewNote[];
};

export const filledOf = ({ states }: ModelOrder): bigint => states.at(-1)?.filled ?? 0n;

/** What an owner publishes to take back his order after `k` fills. */
export function cancelKeyOf({ key, hash }: ModelOrder, k: number): bigint {
  return settlementHashes.cancelKey(key.keys.nullifierKey, hash, BigInt(k));
}

export function orderNullifierOf(order: ModelOrder, k: number): bigint {
  return settlementHashes.orderNullifier(cancelKeyOf(order, k));
}

export function commitmentOf({ asset, value, owner, blinding, lock }: Note): bigint {
  const lockWord = lock === undefined ? 0n : hashes.lock(lock);
  return hashes.commitment(asset, value, hashes.stealth(owner, blinding, lockWord));
}

/** What spends a note that stands in that place. */
export function hold(note: Note, key: SpendingKey, leaf: number): HeldNote {
  const commitment = commitmentOf(note);
  const nullifier = hashes.nullifier(key.keys.nullifierKey, commitment, BigInt(leaf));
  return { note, key, leaf, commitment, nullifier };
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
  /** Unix seconds from which a nullifier counts as spent, of notes and of orders. */
  readonly spentFrom = new Map<bigint, bigint>();
  /** By leaf. Those that are worth nothing are among them. */
  readonly unspent = new Map<number, HeldNote>();
  /** Every note that a deposit or a transfer ever made for somebody: what owners know without reading settlements. */
  readonly told: HeldNote[] = [];
  /** Orders that were filled or cancelled. */
  readonly orders = new Set<ModelOrder>();
  /** Number of the last settlement, by operator. */
  readonly sequences = new Map<number, bigint>();
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

  /** What all notes of an asset that were not spent are worth together. */
  value(asset: bigint): bigint {
    return [...this.unspent.values()].reduce((sum, { note }) => sum + (note.asset === asset ? note.value : 0n), 0n);
  }

  isSpent(nullifier: bigint, time: bigint): boolean {
    const from = this.spentFrom.get(nullifier);
    return from !== undefined && from <= time;
  }

  sequence(operator: number): bigint {
    return this.sequences.get(operator) ?? 0n;
  }

  isInTree(leaf: number): boolean {
    return Math.floor(leaf / BUCKET_LEAVES) < this.nextInsertion;
  }

  deposit(made: NewNote, time: bigint): void {
    const { asset, value } = made.note;
    this.deposited.set(asset, (this.deposited.get(asset) ?? 0n) + value);
    this.#tell(made, time);
  }

  transfer({ nullifiers, outputs, payment }: ModelTransfer, time: bigint): void {
    for (const nullifier of nullifiers) this.#spend(nullifier, time);
    for (const { leaf, nullifier, note } of this.unspent.values()) {
      if (!nullifiers.includes(nullifier)) continue;
      if (note.lock !== undefined && note.lock.expiry > time)
        throw new Error('the pool let an owner spend a locked note');
      this.unspent.delete(leaf);
    }
    for (const output of outputs) this.#tell(output, time);
    if (payment === undefined) return;
    const { asset, amount, recipient, relayer, fee } = payment;
    this.withdrawn.set(asset, (this.withdrawn.get(asset) ?? 0n) + amount);
    this.#receive(asset, recipient, amount - fee);
    if (fee > 0n) this.#receive(asset, relayer, fee);
  }

  /** @param operatorId that locks and orders must name. */
  settle({ operator, fills, residuals }: ModelSettlement, operatorId: bigint, time: bigint): void {
    this.sequences.set(operator, this.sequence(operator) + 1n);
    for (const fill of fills) {
      for (const nullifier of [...fill.nullifiers, fill.orderNullifier]) this.#spend(nullifier, time);
      for (const { leaf, note } of fill.inputs) {
        const isLocked = note.lock?.operatorId === operatorId && note.lock.expiry > time;
        if (!isLocked || !this.unspent.delete(leaf))
          throw new Error('the pool let an operator sell what is not locked to it');
      }
      this.#fill(fill, operatorId, time);
    }
    for (const residual of residuals) this.#append(residual, time);
  }

  #fill(
    { order: placed, sold, bought, change, proceeds, orderState }: ModelFill,
    operatorId: bigint,
    time: bigint,
  ): void {
    const { order, states } = placed;
    const filled = filledOf(placed) + sold;
    if (order.operatorId !== operatorId) throw new Error('the pool let an operator fill an order of another');
    if (order.expiry <= time) throw new Error('the pool let an order be filled after its expiry');
    if (filled > order.sellMax) throw new Error('the pool let an order sell more than its owner signed');
    if (bought * order.sellMax < sold * order.buyMin)
      throw new Error('the pool let an order be filled below its limit');
    this.#append(change, time);
    this.#append(proceeds, time);
    states.push({ filled, leaf: this.#appendLeaf(orderState, time) });
    this.orders.add(placed);
  }

  /** @param from unix seconds. */
  cancel(nullifiers: readonly bigint[], from: bigint): void {
    for (const nullifier of nullifiers) {
      if (this.spentFrom.has(nullifier)) throw new Error('the pool let something be cancelled twice');
      this.spentFrom.set(nullifier, from);
    }
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

  #spend(nullifier: bigint, time: bigint): void {
    if (this.isSpent(nullifier, time)) throw new Error('the pool let something be spent twice');
    this.spentFrom.set(nullifier, time);
  }

  #tell(made: NewNote, time: bigint): void {
    const held = this.#append(made, time);
    if (held !== undefined) this.told.push(held);
  }

  #append({ note, key }: NewNote, time: bigint): HeldNote | undefined {
    const commitment = commitmentOf(note);
    const leaf = this.#appendLeaf(commitment, time);
    if (key === undefined) return undefined;
    const held = hold(note, key, leaf);
    this.unspent.set(leaf, held);
    return held;
  }

  #appendLeaf(value: bigint, time: bigint): number {
    if (this.openLeaves === 0) this.openedAt = time;
    const leaf = this.nextLeaf;
    this.#open.push(value);
    if (this.openLeaves === BUCKET_LEAVES) this.close();
    return leaf;
  }

  #receive(asset: bigint, account: bigint, amount: bigint): void {
    const name = `${asset} ${account}`;
    const before = this.received.get(name)?.amount ?? 0n;
    this.received.set(name, { asset, account, amount: before + amount });
  }
}
