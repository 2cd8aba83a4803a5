import { BUCKET_LEAVES, TREE_BUCKETS } from '@bitcloak/protocol/parameters';
import { challengeOf, evaluate } from './evaluation.ts';
import { Bucket, type BucketTree } from './tree.ts';

/** What the insertion circuit takes, in its own names. */
export type InsertionInput = {
  oldRoot: bigint;
  newRoot: bigint;
  bucketRoot: bigint;
  bucketIndex: bigint;
  challenge: bigint;
  evaluation: bigint;
  leaves: bigint[];
  siblings: bigint[][];
};

/** The point at which pool and circuit evaluate the leaves: it hashes both what the pool saw and what the circuit commits to. */
export function insertionChallenge(
  bucket: number,
  oldRoot: bigint,
  newRoot: bigint,
  bucketRoot: bigint,
  leaves: readonly bigint[],
): bigint {
  return challengeOf([BigInt(bucket), oldRoot, newRoot, bucketRoot, BigInt(leaves.length), ...leaves]);
}

/**
 * Appends a closed bucket to the tree and returns the statement to prove for it.
 *
 * @param bucket the bucket's number over all trees; it must be the tree's next one.
 * @param leaves the real leaves, 1 to 64.
 */
export function appendBucket(tree: BucketTree, bucket: number, leaves: readonly bigint[]): InsertionInput {
  const bucketIndex = bucket % TREE_BUCKETS;
  if (bucketIndex !== tree.length) throw new RangeError(`bucket ${bucket} is not the next one of its tree`);
  if (leaves.length === 0) throw new RangeError('a bucket is inserted with a leaf or more');
  const siblings = tree.path(bucketIndex).map((level) => [...level]);
  const oldRoot = tree.root();
  const bucketRoot = new Bucket(leaves).root();
  tree.append([bucketRoot]);
  const newRoot = tree.root();
  const challenge = insertionChallenge(bucket, oldRoot, newRoot, bucketRoot, leaves);
  return {
    oldRoot,
    newRoot,
    bucketRoot,
    bucketIndex: BigInt(bucketIndex),
    challenge,
    evaluation: evaluate(leaves, challenge),
    leaves: [...leaves, ...new Array<bigint>(BUCKET_LEAVES - leaves.length).fill(0n)],
    siblings,
  };
}
