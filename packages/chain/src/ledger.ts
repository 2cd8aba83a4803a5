import { BucketTree } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { BUCKET_LEAVES, TREE_BUCKETS } from '@bitcloak/protocol/parameters';
import { leavesOf, type PoolEvent } from './events.ts';

/** What `Ledger.save` gives and `Ledger.restore` takes; plain data. */
export type LedgerSnapshot = {
  bucketRoots: bigint[];
  /** Leaves of every bucket that is not inserted yet, the open one last. */
  pending: bigint[][];
};

/**
 * The pool's leaves and trees, followed from its events. It refuses events that cannot follow each other, so that an endpoint that leaves some
 * out, repeats or reorders them is found out before anything is built on them.
 */
export class Ledger {
  readonly #trees: BucketTree[] = [new BucketTree()];
  #bucketRoots: bigint[] = [];
  #pending: bigint[][] = [[]];

  static restore(snapshot: LedgerSnapshot): Ledger {
    const ledger = new Ledger();
    for (let first = 0; first < snapshot.bucketRoots.length; first += TREE_BUCKETS) {
      ledger.#treeOf(first).append(snapshot.bucketRoots.slice(first, first + TREE_BUCKETS));
    }
    ledger.#bucketRoots = [...snapshot.bucketRoots];
    ledger.#pending = snapshot.pending.map((leaves) => [...leaves]);
    return ledger;
  }

  save(): LedgerSnapshot {
    return { bucketRoots: [...this.#bucketRoots], pending: this.#pending.map((leaves) => [...leaves]) };
  }

  /** Number of the bucket that takes leaves. */
  get openBucket(): number {
    return this.nextInsertion + this.#pending.length - 1;
  }

  /** Number of the bucket to insert next. */
  get nextInsertion(): number {
    return this.#bucketRoots.length;
  }

  /** Root of the tree that was inserted into last, as the pool's `currentRoot` has it. */
  get root(): bigint {
    return this.#treeOf(Math.max(0, this.nextInsertion - 1)).root();
  }

  /** Number that the next leaf will have. */
  get nextLeaf(): number {
    return this.openBucket * BUCKET_LEAVES + this.#open.length;
  }

  /** Leaves of a bucket that is not inserted yet. */
  leavesOf(bucket: number): readonly bigint[] {
    return this.#pending[bucket - this.nextInsertion] ?? [];
  }

  bucketRoot(bucket: number): bigint | undefined {
    return this.#bucketRoots[bucket];
  }

  /** The tree that a bucket belongs to. */
  treeOf(bucket: number): BucketTree | undefined {
    return this.#trees[Math.floor(bucket / TREE_BUCKETS)];
  }

  /** The tree that the next bucket goes into. */
  treeForInsertion(): BucketTree {
    return this.#treeOf(this.nextInsertion);
  }

  apply(event: PoolEvent): void {
    switch (event.kind) {
      case 'deposited':
      case 'transferred':
      case 'settled':
        this.#append(event);
        break;
      case 'closed':
        if (event.bucket !== this.openBucket || event.leaves !== this.#open.length || event.leaves === 0) {
          throw this.#inconsistent(event, `closes bucket ${event.bucket} with ${event.leaves} leaves`);
        }
        this.#pending.push([]);
        break;
      case 'inserted':
        this.#insert(event);
        break;
      case 'withdrawn':
      case 'cancelled':
        break;
    }
  }

  get #open(): bigint[] {
    return this.#pending[this.#pending.length - 1] as bigint[];
  }

  #append(event: PoolEvent): void {
    const { firstLeaf, leaves } = leavesOf(event);
    if (firstLeaf !== this.nextLeaf) throw this.#inconsistent(event, `has leaf ${firstLeaf}`);
    for (const leaf of leaves) {
      this.#open.push(leaf);
      // A full bucket is closed without an event.
      if (this.#open.length === BUCKET_LEAVES) this.#pending.push([]);
    }
  }

  #insert(event: PoolEvent & { kind: 'inserted' }): void {
    if (event.bucket !== this.nextInsertion || this.#pending.length < 2) {
      throw this.#inconsistent(event, `inserts bucket ${event.bucket}`);
    }
    const tree = this.#treeOf(event.bucket);
    tree.append([event.bucketRoot]);
    if (tree.root() !== event.newRoot) {
      tree.truncate(tree.length - 1);
      throw this.#inconsistent(event, `claims a root that does not follow from bucket ${event.bucket}`);
    }
    this.#bucketRoots.push(event.bucketRoot);
    this.#pending.shift();
  }

  #treeOf(bucket: number): BucketTree {
    const number = Math.floor(bucket / TREE_BUCKETS);
    while (this.#trees.length <= number) this.#trees.push(new BucketTree());
    return this.#trees[number] as BucketTree;
  }

  #inconsistent(event: PoolEvent, what: string): BitcloakError {
    const expected = `expected leaf ${this.nextLeaf}, open bucket ${this.openBucket}, next insertion ${this.nextInsertion}`;
    const place = `log ${event.logIndex} of block ${event.block}`;
    return new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint's ${place} ${what}; ${expected}`);
  }
}
