// Writes test/vectors/protocol.json: hashes, roots and evaluations that circuits, contracts and wallet have to agree on, as the
// wallet's packages compute them. The tests ask the circuits for the same values.
//
//   node scripts/bootstrap.mjs --without-contracts scripts/vectors.ts
import { hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { bindClearing } from '@bitcloak/notes/clearing';
import { evaluate } from '@bitcloak/notes/evaluation';
import { buildFill, fillCommitmentOf, readFill, type FillInput } from '@bitcloak/notes/fill';
import { insertionChallenge } from '@bitcloak/notes/insertion';
import { SpendingKey } from '@bitcloak/notes/keys';
import { commitmentOf, lockHash, nullifierOf, stealthOf, type Commitment } from '@bitcloak/notes/note';
import { cancelKeyOf, orderHashOf, orderNullifierOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import { bindShown } from '@bitcloak/notes/transfer';
import { Bucket, emptyPath, emptyRoot } from '@bitcloak/notes/tree';
import {
  AMOUNT_MAX,
  BUCKET_LEAVES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_RESIDUALS,
  SUBGROUP_ORDER,
  TAG,
  TIME_MAX,
  TREE_BUCKETS,
  TREE_DEPTH,
  TREE_LEAVES,
  TRANSFER_SHOWN,
} from '@bitcloak/protocol/parameters';
import { format, resolveConfig } from 'prettier';

const FILE = path.resolve(import.meta.dirname, '../test/vectors/protocol.json');

type HashVector = { readonly inputs: readonly bigint[]; readonly output: bigint };
type SettlementHashes =
  'order' | 'orderState' | 'cancelKey' | 'orderNullifier' | 'fill' | 'blinding' | 'pad' | 'fills' | 'clearing';
export type Hashes =
  'owner' | 'lock' | 'stealth' | 'commitment' | 'nullifier' | 'node' | 'transferMessage' | SettlementHashes;
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
  /** The words of a fill, and what they tell to whoever knows the nullifier key. */
  readonly fills: readonly {
    readonly nullifierKey: bigint;
    readonly firstNullifier: bigint;
    readonly fill: bigint;
    readonly sold: bigint;
    readonly rest: bigint;
    readonly bought: bigint;
    readonly relockExpiry: bigint;
    readonly buyAsset: bigint;
    readonly changeExpiry: bigint;
    readonly changeBlinding: bigint;
    readonly proceedsBlinding: bigint;
    readonly words: readonly bigint[];
  }[];
  readonly clearings: readonly {
    readonly fills: readonly bigint[];
    readonly residuals: readonly bigint[];
    readonly commitment: bigint;
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

type OrderValues = readonly [sellMax: bigint, buyMin: bigint, expiry: bigint, relockExpiry: bigint];

function orderOf(name: string, [sellMax, buyMin, expiry, relockExpiry]: OrderValues): Order {
  const { owner } = new SpendingKey(named(`${name} a`, SUBGROUP_ORDER), named(`${name} nk`)).keys;
  return {
    owner,
    operatorId: named('operator'),
    sellAsset: named(`${name} sell`, 2n ** 160n),
    buyAsset: named(`${name} buy`, 2n ** 160n),
    sellMax,
    buyMin,
    expiry,
    payTo: relockExpiry === 0n ? named(`${name} payTo`) : owner,
    relockExpiry,
    salt: named(`${name} salt`),
  };
}

function orderVector(order: Order): HashVector {
  const { owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = order;
  const inputs = [owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt];
  return { inputs, output: orderHashOf(order) };
}

/** A state of an order, the cancel key for it, and the nullifier that both the fill and the cancellation spend it with. */
function stateVectors(
  nullifierKey: bigint,
  orderHash: bigint,
  filled: bigint,
  k: bigint,
): [orderState: HashVector, cancelKey: HashVector, orderNullifier: HashVector] {
  const cancelKey = cancelKeyOf(nullifierKey, orderHash, k);
  return [
    { inputs: [orderHash, filled, k], output: orderStateOf(orderHash, filled, k) },
    { inputs: [nullifierKey, orderHash, k], output: cancelKey },
    { inputs: [cancelKey], output: orderNullifierOf(cancelKey) },
  ];
}

/** The fill of a whole order out of two notes, the first of which has the earlier lock. */
function fillOf(name: string, order: Order, values: readonly [bigint, bigint], expiry: bigint): FillInput {
  const key = new SpendingKey(named(`${name} a`, SUBGROUP_ORDER), named(`${name} nk`));
  const { owner, operatorId, sellAsset: asset } = order;
  return buildFill({
    keys: key.keys,
    order,
    signature: key.sign(orderHashOf(order)),
    state: undefined,
    inputs: values.map((value, index) => {
      const lock = { operatorId, expiry: expiry + BigInt(index) };
      return {
        note: { asset, value, owner, blinding: named(`${name} ${index}`), lock },
        leaf: index,
        path: emptyPath(),
      };
    }),
    root: named('root'),
    validUntil: expiry,
    sold: order.sellMax,
    bought: order.buyMin,
    r: named(`${name} r`),
  });
}

function wordsVector(input: FillInput): Vectors['fills'][number] {
  const { nullifierKey, fill, words } = input;
  const firstNullifier = input.nullifiers[0] as bigint;
  const reading = readFill(input, nullifierKey);
  if (reading === undefined) throw new Error('a fill does not tell its own words');
  return { nullifierKey, firstNullifier, fill, ...reading, words };
}

/** What the words of a fill are covered with: what they are beyond what they tell. */
function padVectors({ nullifierKey, firstNullifier, fill, words, ...told }: Vectors['fills'][number]): HashVector[] {
  const plain = [
    told.sold + 2n ** 120n * told.rest,
    told.bought + 2n ** 120n * told.relockExpiry,
    told.buyAsset + 2n ** 160n * told.changeExpiry,
  ];
  return words.map((word, index) => ({
    inputs: [nullifierKey, fill, firstNullifier, BigInt(index)],
    output: (word - (plain[index] as bigint) + FIELD_MODULUS) % FIELD_MODULUS,
  }));
}

function blindingVectors(vector: Vectors['fills'][number]): HashVector[] {
  const { nullifierKey, firstNullifier, fill, changeBlinding, proceedsBlinding } = vector;
  return [changeBlinding, proceedsBlinding].map((output, index) => ({
    inputs: [nullifierKey, fill, firstNullifier, BigInt(index)],
    output,
  }));
}

const clearingVector = (fills: readonly bigint[], residuals: readonly bigint[]) => ({
  fills,
  residuals,
  ...bindClearing(fills, residuals),
});

/** What the fills' and the orders' part of the protocol adds. */
function settlementVectors(): Pick<Vectors, 'fills' | 'clearings'> & {
  hashes: Pick<Vectors['hashes'], SettlementHashes>;
} {
  const orders = [
    orderOf('order 0', [1000n, 2500n, 1_800_000_000n, 0n]),
    orderOf('order 1', [AMOUNT_MAX, AMOUNT_MAX, TIME_MAX, TIME_MAX]),
    orderOf('order 2', [0n, 0n, 0n, 1_800_000_000n]),
  ];
  const [first, second, third] = orders as [Order, Order, Order];
  const states = [
    stateVectors(named('nk'), orderHashOf(first), 600n, 1n),
    stateVectors(LARGEST, LARGEST, LARGEST, LARGEST),
    stateVectors(0n, 0n, 0n, 0n),
  ];
  const inputs = [
    fillOf('order 0', first, [700n, 800n], 1_800_000_000n),
    fillOf('order 1', second, [AMOUNT_MAX, AMOUNT_MAX], TIME_MAX - 1n),
    fillOf('order 2', third, [0n, 0n], 0n),
  ];
  const fills = inputs.map(wordsVector);
  const clearings = [
    clearingVector(many('fill', SETTLEMENT_FILLS_MAX), many('residual', SETTLEMENT_RESIDUALS)),
    clearingVector(many('fill', SETTLEMENT_FILLS_MAX).fill(0n), many('residual', SETTLEMENT_RESIDUALS).fill(0n)),
    clearingVector(
      many('fill', SETTLEMENT_FILLS_MAX).fill(LARGEST),
      many('residual', SETTLEMENT_RESIDUALS).fill(LARGEST),
    ),
  ];
  const fillsHashes = clearings.map((clearing) => ({
    inputs: clearing.fills,
    output: poseidon(clearing.fills, TAG.FILLS),
  }));
  return {
    hashes: {
      order: orders.map(orderVector),
      orderState: states.map(([state]) => state),
      cancelKey: states.map(([, cancelKey]) => cancelKey),
      orderNullifier: states.map(([, , nullifier]) => nullifier),
      fill: inputs.map(({ sellAsset, sold, buyAsset, bought, r }) => ({
        inputs: [sellAsset, sold, buyAsset, bought, r],
        output: fillCommitmentOf({ sellAsset, sold, buyAsset, bought, r }),
      })),
      blinding: fills.flatMap(blindingVectors),
      pad: fills.flatMap(padVectors),
      fills: fillsHashes,
      clearing: clearings.map(({ residuals, commitment }, index) => ({
        inputs: [fillsHashes[index]?.output as bigint, ...residuals],
        output: commitment,
      })),
    },
    fills,
    clearings,
  };
}

export function makeVectors(): Vectors {
  const settlement = settlementVectors();
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
      ...settlement.hashes,
    },
    emptyRoots: Array.from({ length: TREE_DEPTH + 1 }, (_, height) => emptyRoot(height)),
    transfers,
    insertions: [
      insertionVector(0, many('leaf', 1)),
      insertionVector(TREE_BUCKETS - 1, many('leaf', BUCKET_LEAVES)),
      insertionVector(TREE_BUCKETS, [LARGEST, 0n, LARGEST]),
    ],
    fills: settlement.fills,
    clearings: settlement.clearings,
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
