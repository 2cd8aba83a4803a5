import type { PoolEvent } from '@bitcloak/chain/events';
import type { SettlementShown } from '@bitcloak/chain/settlement';
import type { Commitment, Nullifier } from '@bitcloak/notes/note';
import { Bucket, BucketTree } from '@bitcloak/notes/tree';
import { BUCKET_LEAVES } from '@bitcloak/protocol/parameters';
import { toBeHex } from 'ethers';

/** A pool that only counts: what it emits is what a real one would, a transaction for each call. */
export class EventMaker {
  readonly events: PoolEvent[] = [];
  readonly #tree = new BucketTree();
  readonly #buckets: bigint[][];
  #inserted = 0;
  #block = 0;

  /** @param closedBuckets empty buckets that are taken for closed, to get at the leaves of later trees. */
  constructor(closedBuckets = 0) {
    this.#buckets = Array.from({ length: closedBuckets + 1 }, () => []);
  }

  get openBucket(): number {
    return this.#buckets.length - 1;
  }

  get nextInsertion(): number {
    return this.#inserted;
  }

  get nextLeaf(): number {
    return this.openBucket * BUCKET_LEAVES + this.#open.length;
  }

  get root(): bigint {
    return this.#tree.root();
  }

  /** Leaves of the buckets that are not inserted. */
  get pending(): bigint[][] {
    return this.#buckets.slice(this.#inserted);
  }

  get last(): PoolEvent {
    return this.events.at(-1) as PoolEvent;
  }

  deposit(asset: bigint, amount: bigint, commitment: Commitment, ciphertext: Uint8Array = new Uint8Array()): PoolEvent {
    const leaf = this.#append([commitment]);
    return this.#emit({ kind: 'deposited', ...this.#place(), leaf, asset, amount, commitment, ciphertext });
  }

  transfer(
    nullifiers: readonly Nullifier[],
    commitments: readonly Commitment[],
    ciphertext: Uint8Array = new Uint8Array(),
  ): PoolEvent {
    const firstLeaf = this.#append(commitments);
    return this.#emit({ kind: 'transferred', ...this.#place(), firstLeaf, nullifiers, commitments, ciphertext });
  }

  settle(shown: SettlementShown): PoolEvent {
    const { operator, sequence, journalHead, fills, residuals, ciphertext } = shown;
    const leaves = fills.flatMap(({ change, proceeds, orderState }) => [change, proceeds, orderState]);
    const firstLeaf = this.#append([...leaves, ...residuals]);
    const told = {
      operator,
      sequence,
      journalHead,
      firstLeaf,
      fills,
      residuals: residuals as Commitment[],
      ciphertext,
    };
    return this.#emit({ kind: 'settled', ...this.#place(), ...told });
  }

  /** In the transaction of the event before. */
  withdrawn(payment: { asset: bigint; amount: bigint; recipient: bigint; relayer: bigint; fee: bigint }): PoolEvent {
    const { block, transaction, logIndex } = this.last;
    return this.#emit({ kind: 'withdrawn', block, transaction, logIndex: logIndex + 1, ...payment });
  }

  /** Puts the newest event into the transaction of the one before it. */
  joinTransactions(): PoolEvent {
    const last = this.events.pop() as PoolEvent;
    const { block, transaction, logIndex } = this.last;
    return this.#emit({ ...last, block, transaction, logIndex: logIndex + 1 });
  }

  close(): PoolEvent {
    const event: PoolEvent = { kind: 'closed', ...this.#place(), bucket: this.openBucket, leaves: this.#open.length };
    this.#buckets.push([]);
    return this.#emit(event);
  }

  insert(): PoolEvent {
    const bucketRoot = new Bucket(this.#buckets[this.#inserted] ?? []).root();
    this.#tree.append([bucketRoot]);
    const bucket = this.#inserted++;
    return this.#emit({ kind: 'inserted', ...this.#place(), bucket, bucketRoot, newRoot: this.#tree.root() });
  }

  get #open(): bigint[] {
    return this.#buckets[this.openBucket] as bigint[];
  }

  #place() {
    this.#block++;
    return { block: this.#block, logIndex: 0, transaction: toBeHex(this.#block, 32) };
  }

  #emit(event: PoolEvent): PoolEvent {
    this.events.push(event);
    return event;
  }

  #append(commitments: readonly bigint[]): number {
    const first = this.nextLeaf;
    for (const commitment of commitments) {
      this.#open.push(commitment);
      if (this.#open.length === BUCKET_LEAVES) this.#buckets.push([]);
    }
    return first;
  }
}
