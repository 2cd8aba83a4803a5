import type { Signature } from '@bitcloak/crypto/eddsa';
import { randomField } from '@bitcloak/crypto/field';
import { poseidon } from '@bitcloak/crypto/poseidon';
import {
  AMOUNT_BITS,
  ASSET_BITS,
  FIELD_MODULUS,
  FILL_INPUTS,
  FILL_WORDS,
  TAG,
  TIME_MAX,
} from '@bitcloak/protocol/parameters';
import type { OwnerKeys } from './keys.ts';
import { commitmentOf, nullifierOf, type Commitment, type Lock, type Note, type Nullifier } from './note.ts';
import { cancelKeyOf, orderHashOf, orderNullifierOf, orderStateOf, type Order } from './order.ts';
import { emptyPath, placeOf, type Siblings } from './tree.ts';
import type { SpentNote } from './transfer.ts';

/** What a fill shows to everybody beside what it shares with its settlement. */
export type FillShown = {
  nullifiers: Nullifier[];
  orderNullifier: Nullifier;
  change: Commitment;
  proceeds: Commitment;
  orderState: bigint;
  /** The fill commitment. */
  fill: bigint;
  words: bigint[];
};

/** What a fill commitment hides. Amounts are base units. */
export type FillOpening = {
  readonly sellAsset: bigint;
  readonly sold: bigint;
  readonly buyAsset: bigint;
  readonly bought: bigint;
  readonly r: bigint;
};

/** What the fill circuit takes, in its own names. */
export type FillInput = FillShown & {
  root: bigint;
  operatorId: bigint;
  validUntil: bigint;
  publicKey: [bigint, bigint];
  nullifierKey: bigint;
  signatureR8: [bigint, bigint];
  signatureS: bigint;
  sellAsset: bigint;
  buyAsset: bigint;
  sellMax: bigint;
  buyMin: bigint;
  expiry: bigint;
  payTo: bigint;
  relockExpiry: bigint;
  salt: bigint;
  filled: bigint;
  k: bigint;
  stateLeafIndex: bigint;
  stateSiblings: bigint[][];
  inputValue: bigint[];
  inputBlinding: bigint[];
  inputExpiry: bigint[];
  inputLeafIndex: bigint[];
  inputSiblings: bigint[][][];
  sold: bigint;
  bought: bigint;
  r: bigint;
};

/** What earlier fills have left of an order: a leaf of the tree after the first. */
export type FilledOrder = {
  readonly filled: bigint;
  readonly k: bigint;
  readonly leaf: number;
  readonly path: readonly Siblings[];
};

export type FillPlan = {
  readonly keys: OwnerKeys;
  readonly order: Order;
  /** The owner's, of the order's hash. */
  readonly signature: Signature;
  /** Undefined for an order that nothing was filled of. */
  readonly state: FilledOrder | undefined;
  /** Up to two notes of the order's owner and sellAsset, locked to the operator, under one root; none for the fill of nothing. */
  readonly inputs: readonly SpentNote[];
  readonly root: bigint;
  /** Unix seconds. */
  readonly validUntil: bigint;
  readonly sold: bigint;
  readonly bought: bigint;
  /** Fresh for every proof: pads hang on it. */
  readonly r: bigint;
};

export function fillCommitmentOf({ sellAsset, sold, buyAsset, bought, r }: FillOpening): bigint {
  return poseidon([sellAsset, sold, buyAsset, bought, r], TAG.FILL);
}

/** The blindings of change and proceeds, which are nobody's choice. */
function blindingsOf(nullifierKey: bigint, fill: bigint, firstNullifier: bigint): [change: bigint, proceeds: bigint] {
  const blinding = (index: bigint) => poseidon([nullifierKey, fill, firstNullifier, index], TAG.BLINDING);
  return [blinding(0n), blinding(1n)];
}

function padsOf(nullifierKey: bigint, fill: bigint, firstNullifier: bigint): bigint[] {
  return Array.from({ length: FILL_WORDS }, (_, i) =>
    poseidon([nullifierKey, fill, firstNullifier, BigInt(i)], TAG.PAD),
  );
}

const pack = (low: bigint, bits: number, high: bigint) => low + (high << BigInt(bits));
const unpack = (word: bigint, bits: number): [low: bigint, high: bigint] => [
  BigInt.asUintN(bits, word),
  word >> BigInt(bits),
];

/** Fills up the inputs with dummies of random blinding and computes everything public. It checks nothing: the circuit does. */
export function buildFill(plan: FillPlan): FillInput {
  const { keys, order, signature, state, root, validUntil, sold, bought, r } = plan;
  const { owner, publicKey, nullifierKey } = keys;
  const { operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = order;
  // The first lock is the one that expires first; a dummy has that of the note beside it.
  const expiryOf = ({ note }: SpentNote) => note.lock?.expiry ?? 0n;
  const inputs = [...plan.inputs].sort((left, right) => Number(expiryOf(left) - expiryOf(right)));
  const last = inputs.at(-1);
  const lock: Lock = { operatorId, expiry: last === undefined ? validUntil : expiryOf(last) };
  while (inputs.length < FILL_INPUTS) {
    const note: Note = { asset: sellAsset, value: 0n, owner, blinding: randomField(), lock };
    inputs.push({ note, leaf: 0, path: emptyPath() });
  }
  const nullifiers = inputs.map(({ note, leaf }) =>
    nullifierOf(nullifierKey, commitmentOf(note), placeOf(leaf).treeIndex),
  );
  const firstNullifier = nullifiers[0] as Nullifier;
  const firstLock = inputs[0]?.note.lock ?? lock;
  const rest = inputs.reduce((sum, { note }) => sum + note.value, 0n) - sold;

  const orderHash = orderHashOf(order);
  const { filled, k } = state ?? { filled: 0n, k: 0n };
  const fill = fillCommitmentOf({ sellAsset, sold, buyAsset, bought, r });
  const [changeBlinding, proceedsBlinding] = blindingsOf(nullifierKey, fill, firstNullifier);
  const proceedsLock = relockExpiry === 0n ? undefined : { operatorId, expiry: relockExpiry };
  const plain = [
    pack(sold, AMOUNT_BITS, rest),
    pack(bought, AMOUNT_BITS, relockExpiry),
    pack(buyAsset, ASSET_BITS, firstLock.expiry),
  ];
  const pads = padsOf(nullifierKey, fill, firstNullifier);
  return {
    root,
    operatorId,
    validUntil,
    nullifiers,
    orderNullifier: orderNullifierOf(cancelKeyOf(nullifierKey, orderHash, k)),
    change: commitmentOf({ asset: sellAsset, value: rest, owner, blinding: changeBlinding, lock: firstLock }),
    proceeds: commitmentOf({
      asset: buyAsset,
      value: bought,
      owner: payTo,
      blinding: proceedsBlinding,
      lock: proceedsLock,
    }),
    orderState: orderStateOf(orderHash, filled + sold, k + 1n),
    fill,
    words: plain.map((word, i) => (word + (pads[i] as bigint)) % FIELD_MODULUS),
    publicKey: [publicKey.x, publicKey.y],
    nullifierKey,
    signatureR8: [signature.r8.x, signature.r8.y],
    signatureS: signature.s,
    sellAsset,
    buyAsset,
    sellMax,
    buyMin,
    expiry,
    payTo,
    relockExpiry,
    salt,
    filled,
    k,
    stateLeafIndex: BigInt(placeOf(state?.leaf ?? 0).treeIndex),
    stateSiblings: (state?.path ?? emptyPath()).map((siblings) => [...siblings]),
    inputValue: inputs.map(({ note }) => note.value),
    inputBlinding: inputs.map(({ note }) => note.blinding),
    inputExpiry: inputs.map(expiryOf),
    inputLeafIndex: inputs.map(({ leaf }) => BigInt(placeOf(leaf).treeIndex)),
    inputSiblings: inputs.map(({ path }) => path.map((siblings) => [...siblings])),
    sold,
    bought,
    r,
  };
}

/** What the public words of a fill tell the owner of the notes that it spent. */
export type FillReading = {
  readonly sold: bigint;
  readonly rest: bigint;
  readonly bought: bigint;
  readonly buyAsset: bigint;
  /** Of the change's lock. */
  readonly changeExpiry: bigint;
  /** Of the proceeds' lock; 0 for none. */
  readonly relockExpiry: bigint;
  readonly changeBlinding: bigint;
  readonly proceedsBlinding: bigint;
};

/**
 * Opens the words of a fill. With another nullifier key than that of its owner it gives nonsense, or undefined: what it says counts only
 * where the notes that it describes have the fill's commitments.
 */
export function readFill(
  shown: Pick<FillShown, 'nullifiers' | 'fill' | 'words'>,
  nullifierKey: bigint,
): FillReading | undefined {
  const firstNullifier = shown.nullifiers[0] as Nullifier;
  const pads = padsOf(nullifierKey, shown.fill, firstNullifier);
  const plain = pads.map((pad, i) => ((shown.words[i] as bigint) - pad + FIELD_MODULUS) % FIELD_MODULUS);
  const [sold, rest] = unpack(plain[0] as bigint, AMOUNT_BITS);
  const [bought, relockExpiry] = unpack(plain[1] as bigint, AMOUNT_BITS);
  const [buyAsset, changeExpiry] = unpack(plain[2] as bigint, ASSET_BITS);
  const fits = rest >> BigInt(AMOUNT_BITS) === 0n && relockExpiry <= TIME_MAX && changeExpiry <= TIME_MAX;
  if (!fits) return undefined;
  const [changeBlinding, proceedsBlinding] = blindingsOf(nullifierKey, shown.fill, firstNullifier);
  return { sold, rest, bought, buyAsset, changeExpiry, relockExpiry, changeBlinding, proceedsBlinding };
}
