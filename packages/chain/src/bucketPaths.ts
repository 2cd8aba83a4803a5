import { Bucket, placeOf, type Siblings } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { TREE_BUCKETS } from '@bitcloak/protocol/parameters';
import type { PoolEvent } from './events.ts';
import type { Ledger } from './ledger.ts';

/** A leaf that somebody wants to prove about. */
export type WatchedLeaf = {
  readonly leaf: number;
  /** From the leaf to its bucket's root, once the bucket is inserted. */
  bucketPath: readonly Siblings[] | undefined;
};

/** Keeps the paths of some leaves inside their buckets: a ledger forgets the leaves of a bucket that is inserted. */
export class BucketPaths {
  readonly #waiting = new Map<number, WatchedLeaf[]>();

  /** Fills in the path when the leaf's bucket is inserted; nothing is to be done for one that has its path. */
  watch(watched: WatchedLeaf): void {
    if (watched.bucketPath !== undefined) return;
    const { bucket } = placeOf(watched.leaf);
    this.#waiting.set(bucket, [...(this.#waiting.get(bucket) ?? []), watched]);
  }

  /** To be called before the ledger takes the event. Throws `ENDPOINT_INCONSISTENT` where a bucket's root is not that of its leaves. */
  apply(event: PoolEvent & { kind: 'inserted' }, ledger: Ledger): void {
    const own = this.#waiting.get(event.bucket);
    if (own === undefined) return;
    const bucket = new Bucket(ledger.leavesOf(event.bucket));
    if (bucket.root() !== event.bucketRoot) {
      throw new BitcloakError('ENDPOINT_INCONSISTENT', `the root of bucket ${event.bucket} is not that of its leaves`);
    }
    for (const watched of own) watched.bucketPath = bucket.path(placeOf(watched.leaf).position);
    this.#waiting.delete(event.bucket);
  }
}

/** The path of a leaf to the newest root of its tree; undefined while its bucket waits for its insertion. */
export function pathToRoot({ leaf, bucketPath }: WatchedLeaf, ledger: Ledger): Siblings[] | undefined {
  const { bucket } = placeOf(leaf);
  const tree = ledger.treeOf(bucket);
  if (tree === undefined || bucketPath === undefined) return undefined;
  return [...bucketPath, ...tree.path(bucket % TREE_BUCKETS)];
}
