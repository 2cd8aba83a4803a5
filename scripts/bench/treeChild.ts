// Computes the roots of buckets for scripts/bench/tree.ts, in a process of its own: the WebAssembly that hashes keeps to one thread.
import { integerToBytes } from '@bitcloak/crypto/field';
import { Bucket } from '@bitcloak/notes/tree';
import { BUCKET_LEAVES } from '@bitcloak/protocol/parameters';
import { WORD_BYTES, wordsOf } from './words.ts';

/** The roots of some buckets as words, and what this process has computed since it started. */
export type Answer = { readonly roots: Uint8Array; readonly cpuMs: number };

const BUCKET_BYTES = BUCKET_LEAVES * WORD_BYTES;

function bucketRoots(leaves: Uint8Array): Uint8Array {
  const roots = new Uint8Array(WORD_BYTES * Math.ceil(leaves.length / BUCKET_BYTES));
  for (let bucket = 0; bucket * BUCKET_BYTES < leaves.length; bucket++) {
    const own = leaves.subarray(bucket * BUCKET_BYTES, (bucket + 1) * BUCKET_BYTES);
    roots.set(integerToBytes(new Bucket([...wordsOf(own)]).root(), WORD_BYTES), bucket * WORD_BYTES);
  }
  return roots;
}

process.on('message', (leaves: Uint8Array) => {
  const roots = bucketRoots(leaves);
  const { user, system } = process.cpuUsage();
  process.send?.({ roots, cpuMs: (user + system) / 1000 } satisfies Answer);
});
