// Writes test/vectors/protocol.json: hashes, roots and evaluations that circuits, contracts and wallet have to agree on, as the
// wallet's packages compute them. The tests ask the circuits for the same values.
//
//   node scripts/bootstrap.mjs --without-contracts scripts/vectors.ts
import { hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { evaluate } from '@bitcloak/notes/evaluation';
import { insertionChallenge } from '@bitcloak/notes/insertion';
import { SpendingKey } from '@bitcloak/notes/keys';
import { commitmentOf, lockHash, nullifierOf, stealthOf, type Commitment } from '@bitcloak/notes/note';
import { bindShown } from '@bitcloak/notes/transfer';
import { Bucket, emptyRoot } from '@bitcloak/notes/tree';
import {
  AMOUNT_MAX,
  BUCKET_LEAVES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  SUBGROUP_ORDER,
  TIME_MAX,
  TREE_BUCKETS,
  TREE_DEPTH,
  TREE_LEAVES,
  TRANSFER_SHOWN,
} from '@bitcloak/protocol/parameters';
import { format, resolveConfig } from 'prettier';

const FILE = path.resolve(import.meta.dirname, '../test/vectors/protocol.json');

type HashVector = { readonly inputs: readonly bigint[]; readonly output: bigint };
export type Hashes = 'owner' | 'lock' | 'stealth' | 'commitment' | 'nullifier' | 'node' | 'transferMessage';
export type Vectors = {
  readonly hashes: Readonly<Record<Hashes, readonly HashVector[]>>;
  /** The root of an empty subtree of each height from 0 on. */
  readonly emptyRoots: readonly bigint[];
  readonly transfers: readonly {
    readonly root: bigint;
    readonly shown: readonly bigint[];
    readonly message: bigint;
    readonly challenge: bigint;
    readonly evaluation: bigint;
  }[];
  /** `bucket` counts over all trees, and `leaves` are the real ones. */
  readonly insertions: readonly {
    readonly bucket: bigint;
    readonly oldRoot: bigint;
    readonly newRoot: bigint;
    readonly bucketRoot: bigint;
    readonly leaves: readonly bigint[];
    readonly challenge: bigint;
    readonly evaluation: bigint;
  }[];
};

/** A number below `bound` that belongs to a name. */
const named = (name: string, bound = FIELD_MODULUS) =>
  BigInt(`0x${hash('sha512', `bitcloak vector ${name}`, 'hex')}`) % bound;
const many = (name: string, count: number) => Array.from({ length: count }, (_, index) => named(`${name} ${index}`));
const LARGEST = FIELD_MODULUS - 1n;

function ownerVector(spendingScalar: bigint, nullifierKey: bigint): HashVector {
  const { publicKey, owner } = new SpendingKey(spendingScalar, nullifierKey).keys;
  return { inputs: [publicKey.x, publicKey.y, nullifierKey], output: owner };
}

function lockVector(operatorId: bigint, expiry: bigint): HashVector {
  return { inputs: [operatorId, expiry], output: lockHash({ operatorId, expiry }) };
}

/** The stealth of a note with or without a lock, and the commitment over it. */
function noteVectors(
  asset: bigint,
  value: bigint,
  expiry: bigint | undefined,
): [stealth: HashVector, commitment: HashVector] {
  const [owner, blinding] = [named(`owner ${value}`), named(`blinding ${value}`)];
  const lock = expiry === undefined ? undefined : { operatorId: named('operator'), expiry };
  const note = { asset, value, owner, blinding, lock };
  const stealth = stealthOf(note);
  return [
    { inputs: [owner, blinding, lockHash(lock)], output: stealth },
    { inputs: [asset, value, stealth], output: commitmentOf(note) },
  ];
}

function nullifierVector(nullifierKey: bigint, commitment: bigint, leafIndex: number): HashVector {
  const output = nullifierOf(nullifierKey, commitment as Commitment, leafIndex);
  return { inputs: [nullifierKey, commitment, BigInt(leafIndex)], output };
}

const nodeVector = (inputs: readonly bigint[]): HashVector => ({ inputs, output: poseidon(inputs) });

const transferVector = (root: bigint, shown: readonly bigint[]) => ({ root, shown, ...bindShown(root, shown) });

function insertionVector(bucket: number, leaves: readonly bigint[]): Vectors['insertions'][number] {
  const [oldRoot, newRoot] = [named(`old root ${bucket}`), named(`new root ${bucket}`)];
  const bucketRoot = new Bucket(leaves).root();
  const challenge = insertionChallenge(bucket, oldRoot, newRoot, bucketRoot, leaves);
  const evaluation = evaluate(leaves, challenge);
  return { bucket: BigInt(bucket), oldRoot, newRoot, bucketRoot, leaves, challenge, evaluation };
}

export function makeVectors(): Vectors {
  const notes = [
    noteVectors(NATIVE_ASSET, 1n, undefined),
    noteVectors(named('token', 2n ** 160n), AMOUNT_MAX, 1_800_000_000n),
    noteVectors(0n, 0n, TIME_MAX),
  ];
  const transfers = [
    transferVector(named('root'), many('shown', TRANSFER_SHOWN.length)),
    transferVector(0n, many('nothing', TRANSFER_SHOWN.length).fill(0n)),
    transferVector(LARGEST, many('largest', TRANSFER_SHOWN.length).fill(LARGEST)),
  ];
  return {
    hashes: {
      owner: [
        ownerVector(1n, 0n),
        ownerVector(SUBGROUP_ORDER - 1n, LARGEST),
        ownerVector(named('a', SUBGROUP_ORDER), named('nk')),
      ],
      lock: [lockVector(0n, 0n), lockVector(LARGEST, TIME_MAX), lockVector(named('operator'), 1_800_000_000n)],
      stealth: notes.map(([stealth]) => stealth),
      commitment: notes.map(([, commitment]) => commitment),
      nullifier: [
        nullifierVector(0n, 0n, 0),
        nullifierVector(named('nk'), named('commitment'), TREE_LEAVES - 1),
        nullifierVector(LARGEST, LARGEST, 12345),
      ],
      node: [nodeVector([0n, 0n, 0n, 0n]), nodeVector(many('node', 4)), nodeVector([1n, 2n, 3n, LARGEST])],
      transferMessage: transfers.map(({ shown, message }) => ({ inputs: shown, output: message })),
    },
    emptyRoots: Array.from({ length: TREE_DEPTH + 1 }, (_, height) => emptyRoot(height)),
    transfers,
    insertions: [
      insertionVector(0, many('leaf', 1)),
      insertionVector(TREE_BUCKETS - 1, many('leaf', BUCKET_LEAVES)),
      insertionVector(TREE_BUCKETS, [LARGEST, 0n, LARGEST]),
    ],
  };
}

/** Numbers are decimal strings: JSON's own would lose digits. */
export function vectorsText(): Promise<string> {
  const json = JSON.stringify(makeVectors(), (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  return resolveConfig(FILE).then((options) => format(json, { ...options, filepath: FILE }));
}

if (import.meta.main) {
  mkdirSync(path.dirname(FILE), { recursive: true });
  writeFileSync(FILE, await vectorsText());
}
