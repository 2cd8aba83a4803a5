import { appendBucket } from '@bitcloak/notes/insertion';
import { Keyring } from '@bitcloak/notes/keys';
import { commitmentOf, type Note } from '@bitcloak/notes/note';
import { buildTransfer } from '@bitcloak/notes/transfer';
import { Bucket, BucketTree } from '@bitcloak/notes/tree';
import { BUCKET_LEAVES, NATIVE_ASSET, type Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { seededBytes, seededElements } from './random.ts';

/** A statement of each circuit at its full width: two notes spent, three made; a bucket of 64 leaves. */
export function makeStatements(seed: string): Record<Circuit, CircuitInput> {
  const element = seededElements(seed);
  const { spending } = new Keyring(seededBytes(`${seed} keys`)(64));
  const note = (value: bigint): Note => {
    return { asset: NATIVE_ASSET, value, owner: spending.keys.owner, blinding: element(), lock: undefined };
  };
  const spent = [note(700n), note(300n)];
  const bucket = new Bucket(spent.map(commitmentOf));
  const tree = new BucketTree();
  tree.append([bucket.root()]);
  const transfer = buildTransfer({
    key: spending,
    asset: NATIVE_ASSET,
    inputs: spent.map((note, leaf) => ({ note, leaf, path: [...bucket.path(leaf), ...tree.path(0)] })),
    root: tree.root(),
    outputs: [note(500n), note(250n), note(150n)],
    withdrawAmount: 100n,
    extDataHash: element(),
    validAfter: 1_800_000_000n,
  });
  return { transfer, insertion: appendBucket(tree, 1, Array.from({ length: BUCKET_LEAVES }, element)) };
}
