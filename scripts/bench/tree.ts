import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { table } from '@bitcloak/cli/output';
import { raw } from '@bitcloak/crypto/poseidon';
import { Bucket, BucketTree, emptyRoot } from '@bitcloak/notes/tree';
import { BUCKET_LEAVES, TREE_ARITY, TREE_DEPTH } from '@bitcloak/protocol/parameters';
import { buildPoseidon } from 'circomlibjs';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, median, rounded, startCost, type Cost } from './measure.ts';
import { seededBytes, seededElements } from './random.ts';
import type { Answer } from './treeChild.ts';
import { WORD_BYTES, wordsOf } from './words.ts';

const SEED = 'bitcloak tree';
/** Small enough that no process waits long for another's last share. */
const SHARE_BUCKETS = 128;
const CHILD = resolve(import.meta.dirname, 'treeChild.ts');
const HASHES = 2000;

/** Leaves as words of 32 bytes; the first byte is 0, so that they are field elements. */
function makeLeaves(count: number): Uint8Array {
  const leaves = seededBytes(SEED)(count * WORD_BYTES);
  for (let leaf = 0; leaf < count; leaf++) leaves[leaf * WORD_BYTES] = 0;
  return leaves;
}

/** The roots of all buckets, by several processes, and what those computed. */
async function bucketRootsShared(leaves: Uint8Array, processes: number): Promise<{ roots: bigint[]; cpuMs: number }> {
  const shareBytes = SHARE_BUCKETS * BUCKET_LEAVES * WORD_BYTES;
  const roots: bigint[] = [];
  let [next, cpuMs] = [0, 0];
  const work = async (): Promise<void> => {
    const child = fork(CHILD, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let childMs = 0;
    for (let share = next++; share * shareBytes < leaves.length; share = next++) {
      child.send(leaves.subarray(share * shareBytes, (share + 1) * shareBytes));
      const [answer] = (await once(child, 'message')) as [Answer];
      for (const [bucket, root] of [...wordsOf(answer.roots)].entries()) roots[share * SHARE_BUCKETS + bucket] = root;
      childMs = answer.cpuMs;
    }
    cpuMs += childMs;
    child.disconnect();
    await once(child, 'exit');
  };
  await Promise.all(Array.from({ length: processes }, work));
  return { roots, cpuMs };
}

/** The tree of someone who hashes the path of every single leaf. */
class NaiveTree {
  readonly #levels: Uint8Array[][] = Array.from({ length: TREE_DEPTH + 1 }, () => []);
  readonly #empty = Array.from({ length: TREE_DEPTH }, (_, height) => raw.from(emptyRoot(height)));

  append(leaf: bigint): void {
    let [index, node] = [this.#levels[0]?.length ?? 0, raw.from(leaf)];
    for (const [height, empty] of this.#empty.entries()) {
      const level = this.#levels[height] as Uint8Array[];
      level[index] = node;
      index = Math.floor(index / TREE_ARITY);
      const children = Array.from({ length: TREE_ARITY }, (_, place) => level[index * TREE_ARITY + place] ?? empty);
      node = raw.hash(new Uint8Array(Buffer.concat(children)));
    }
    (this.#levels[TREE_DEPTH] as Uint8Array[])[0] = node;
  }

  root(): bigint {
    return raw.to(this.#levels[TREE_DEPTH]?.[0] as Uint8Array);
  }
}

/** Microseconds of computing for one hash of four elements: in the tree's own form, and through circomlibjs as its users call it. */
async function hashCosts(): Promise<{ tree: number; circomlibjs: number }> {
  const poseidon = await buildPoseidon();
  const element = seededElements(`${SEED} hashes`);
  const inputs = Array.from({ length: HASHES }, () => Array.from({ length: TREE_ARITY }, element));
  const rawInputs = inputs.map((elements) => new Uint8Array(Buffer.concat(elements.map(raw.from))));
  const perHash = (work: () => void) => {
    const cost = startCost();
    work();
    return (cost().cpuMs * 1000) / HASHES;
  };
  const rounds = Array.from({ length: 5 }, () => ({
    tree: perHash(() => rawInputs.forEach((elements) => raw.hash(elements))),
    circomlibjs: perHash(() => inputs.forEach((elements) => poseidon.F.toObject(poseidon(elements)))),
  }));
  return {
    tree: median(rounds.map(({ tree }) => tree)),
    circomlibjs: median(rounds.map((round) => round.circomlibjs)),
  };
}

function equal(left: bigint, right: bigint, what: string): void {
  if (left !== right) throw new Error(`${what} differ`);
}

function buildNaive(leaves: readonly bigint[]): Cost {
  const naive = new NaiveTree();
  const cost = startCost();
  for (const leaf of leaves) naive.append(leaf);
  const spent = cost();
  const buckets = new BucketTree();
  for (let first = 0; first < leaves.length; first += BUCKET_LEAVES) {
    buckets.append([new Bucket(leaves.slice(first, first + BUCKET_LEAVES)).root()]);
  }
  equal(naive.root(), buckets.root(), 'the roots of the naive tree and of the buckets');
  return spent;
}

function buildFromRoots(roots: readonly bigint[], expected: bigint): Cost {
  const cost = startCost();
  const tree = new BucketTree();
  tree.append(roots);
  equal(tree.root(), expected, 'the roots of both rebuilds');
  return cost();
}

/** As a wallet or keeper that follows the chain does, which compares the root after every insertion. */
function followRoots(roots: readonly bigint[], expected: bigint): Cost {
  const cost = startCost();
  const tree = new BucketTree();
  for (const root of roots) {
    tree.append([root]);
    tree.root();
  }
  equal(tree.root(), expected, 'the roots of the rebuild and of the tree that grew');
  return cost();
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [count, processes] = [options.count('leaves'), options.count('processes')];
  const naiveCount = Math.min(options.count('naive'), count);
  const leaves = makeLeaves(count);

  say(`all ${grouped(count)} leaves, ${processes} processes`);
  const cost = startCost();
  const { roots, cpuMs } = await bucketRootsShared(leaves, processes);
  const tree = new BucketTree();
  tree.append(roots);
  const root = tree.root();
  const own = cost();

  say(`${grouped(roots.length)} roots of buckets`);
  const [fromRoots, following] = [buildFromRoots(roots, root), followRoots(roots, root)];
  say(`${grouped(naiveCount)} leaves one by one`);
  const naive = buildNaive([...wordsOf(leaves.subarray(0, naiveCount * WORD_BYTES))]);
  const hash = await hashCosts();

  const entry = (way: string, leafCount: number, { wallMs, cpuMs: computing }: Cost) => ({
    way,
    leaves: leafCount,
    seconds: rounded(wallMs / 1000),
    cpuSeconds: rounded(computing / 1000),
    leavesPerSecond: rounded((leafCount / wallMs) * 1000),
    secondsPerMillion: rounded((wallMs / leafCount) * 1000),
  });
  const ways = [
    entry(`all leaves, ${processes} processes`, count, { wallMs: own.wallMs, cpuMs: own.cpuMs + cpuMs }),
    entry("from the buckets' roots, at once", count, fromRoots),
    entry("from the buckets' roots, each new root compared", count, following),
    entry('leaf by leaf, one thread', naiveCount, naive),
  ];
  const text = `${table(
    [
      { title: 'way' },
      ...['leaves', 'seconds', 'CPU', 'leaves/s', 's a million'].map((title) => ({ title, align: 'right' as const })),
    ],
    ways.map((way) => [
      way.way,
      grouped(way.leaves),
      way.seconds.toFixed(2),
      way.cpuSeconds.toFixed(2),
      grouped(way.leavesPerSecond),
      way.secondsPerMillion.toFixed(1),
    ]),
  )}

By the wall clock, the start of the processes included; aim for all leaves: 20 s a million on 2 cores. All ways lead to the same root.
A wallet never hashes all leaves: insertions publish the roots of their buckets, under proof. The third way is what following the chain costs, the
second what opening a saved state costs.
One Poseidon of 4: ${hash.tree.toFixed(1)} µs in the tree, ${hash.circomlibjs.toFixed(1)} µs through circomlibjs's own interface (${(hash.circomlibjs / hash.tree).toFixed(2)} times).`;
  const poseidon4Microseconds = { tree: rounded(hash.tree), circomlibjs: rounded(hash.circomlibjs) };
  const parameters = { leaves: count, processes, naiveLeaves: naiveCount, seed: SEED, aimSecondsPerMillion: 20 };
  return { parameters, results: { ways, poseidon4Microseconds }, text };
}
