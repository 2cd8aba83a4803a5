import { raw } from '@bitcloak/crypto/poseidon';
import { BUCKET_HEIGHT, BUCKET_LEAVES, TREE_ARITY, TREE_BUCKETS, TREE_DEPTH } from '@bitcloak/protocol/parameters';

const NODE_BYTES = 32;
const CHILDREN_BYTES = TREE_ARITY * NODE_BYTES;
/** Levels of the tree above the roots of its buckets. */
export const UPPER_LEVELS = TREE_DEPTH - BUCKET_HEIGHT;

/** The three siblings at one level of a path: the node's mate (the other child of its half), then the other half in order. */
export type Siblings = readonly [bigint, bigint, bigint];

/** A path for a note that is in no tree. */
export const emptyPath = (): Siblings[] => Array.from({ length: TREE_DEPTH }, () => [0n, 0n, 0n]);

/** The root of an empty subtree of each height, in the hash's own form. */
const emptyNodes: Uint8Array[] = [raw.from(0n)];
for (let height = 1; height <= TREE_DEPTH; height++) {
  const below = emptyNodes[height - 1] as Uint8Array;
  const children = new Uint8Array(CHILDREN_BYTES);
  for (let i = 0; i < TREE_ARITY; i++) children.set(below, i * NODE_BYTES);
  emptyNodes.push(raw.hash(children));
}

export function emptyRoot(height: number): bigint {
  return raw.to(emptyNodes[height] as Uint8Array);
}

/** One level of nodes in one growing buffer, the nodes in the hash's own form. */
class Level {
  length = 0;
  #bytes = new Uint8Array(64 * NODE_BYTES);

  set(index: number, node: Uint8Array): void {
    if ((index + 1) * NODE_BYTES > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(node, index * NODE_BYTES);
    this.length = Math.max(this.length, index + 1);
  }

  /** The four children of parent number `parent`, those that are not there yet taken as `empty`. */
  children(parent: number, empty: Uint8Array): Uint8Array {
    const start = parent * CHILDREN_BYTES;
    if ((parent + 1) * TREE_ARITY <= this.length) return this.#bytes.subarray(start, start + CHILDREN_BYTES);
    const children = new Uint8Array(CHILDREN_BYTES);
    for (let i = 0; i < TREE_ARITY; i++) {
      const index = parent * TREE_ARITY + i;
      children.set(index < this.length ? this.get(index) : empty, i * NODE_BYTES);
    }
    return children;
  }

  get(index: number): Uint8Array {
    return this.#bytes.subarray(index * NODE_BYTES, (index + 1) * NODE_BYTES);
  }
}

function siblingsAt(level: Level, index: number, empty: Uint8Array): Siblings {
  const children = level.children(Math.floor(index / TREE_ARITY), empty);
  const child = (place: number) => raw.to(children.subarray(place * NODE_BYTES, (place + 1) * NODE_BYTES));
  const place = index % TREE_ARITY;
  const otherHalf = place < 2 ? 2 : 0;
  return [child(place ^ 1), child(otherHalf), child(otherHalf + 1)];
}

/** A tree of some height over its lowest level. Every node above is hashed once; appending hashes only what changes. */
class PartialTree {
  readonly #levels: Level[];
  readonly #base: number;

  /** @param base the height at which the lowest level stands in the whole tree; `levels` further ones stand above it. */
  constructor(base: number, levels: number) {
    this.#base = base;
    this.#levels = Array.from({ length: levels + 1 }, () => new Level());
  }

  get length(): number {
    return this.#level(0).length;
  }

  append(nodes: readonly Uint8Array[]): void {
    const first = this.length;
    nodes.forEach((node, i) => this.#level(0).set(first + i, node));
    this.#rehash(first);
  }

  truncate(length: number): void {
    let kept = length;
    for (const level of this.#levels) {
      level.length = Math.min(level.length, kept);
      kept = Math.ceil(kept / TREE_ARITY);
    }
    if (length > 0) this.#rehash(length - 1);
  }

  root(): bigint {
    const top = this.#level(this.#levels.length - 1);
    return raw.to(top.length === 0 ? this.#empty(this.#levels.length - 1) : top.get(0));
  }

  path(index: number): Siblings[] {
    const path: Siblings[] = [];
    for (let height = 0; height < this.#levels.length - 1; height++) {
      path.push(siblingsAt(this.#level(height), Math.floor(index / TREE_ARITY ** height), this.#empty(height)));
    }
    return path;
  }

  #rehash(first: number): void {
    let from = first;
    for (let height = 0; height < this.#levels.length - 1; height++) {
      const [below, above] = [this.#level(height), this.#level(height + 1)];
      from = Math.floor(from / TREE_ARITY);
      for (let parent = from; parent * TREE_ARITY < below.length; parent++) {
        above.set(parent, raw.hash(below.children(parent, this.#empty(height))));
      }
    }
  }

  #level(height: number): Level {
    return this.#levels[height] as Level;
  }

  #empty(height: number): Uint8Array {
    return emptyNodes[this.#base + height] as Uint8Array;
  }
}

/** The subtree of one bucket. */
export class Bucket {
  readonly #tree = new PartialTree(0, BUCKET_HEIGHT);

  /** @param leaves up to 64, in the order of the pool; the rest is 0. */
  constructor(leaves: readonly bigint[]) {
    if (leaves.length > BUCKET_LEAVES) throw new RangeError(`a bucket takes ${BUCKET_LEAVES} leaves`);
    this.#tree.append(leaves.map(raw.from));
  }

  root(): bigint {
    return this.#tree.root();
  }

  path(position: number): Siblings[] {
    return this.#tree.path(position);
  }
}

/** One tree of the pool, over the roots of its buckets: what insertion proofs publish is enough to keep it. */
export class BucketTree {
  readonly #tree = new PartialTree(BUCKET_HEIGHT, UPPER_LEVELS);

  /** The number of buckets. */
  get length(): number {
    return this.#tree.length;
  }

  append(bucketRoots: readonly bigint[]): void {
    if (this.length + bucketRoots.length > TREE_BUCKETS) throw new RangeError('the tree is full');
    this.#tree.append(bucketRoots.map(raw.from));
  }

  /** Forgets every bucket from number `length` on. */
  truncate(length: number): void {
    this.#tree.truncate(length);
  }

  root(): bigint {
    return this.#tree.root();
  }

  /** The path from the root of bucket `index`, which may be the first one that is still empty, to the root of the tree. */
  path(index: number): Siblings[] {
    return this.#tree.path(index);
  }
}

/** A leaf's place, counted over all trees of the pool, and what the circuits and the nullifier take of it. */
export function placeOf(leaf: number): { bucket: number; position: number; tree: number; treeIndex: number } {
  const bucket = Math.floor(leaf / BUCKET_LEAVES);
  const tree = Math.floor(bucket / TREE_BUCKETS);
  return { bucket, position: leaf % BUCKET_LEAVES, tree, treeIndex: leaf - tree * TREE_BUCKETS * BUCKET_LEAVES };
}
