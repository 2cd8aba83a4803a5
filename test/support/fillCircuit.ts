// What the circuits of a settlement state, once more, from the definitions of the specification and not from the packages that build statements.
import { sign } from '@bitcloak/crypto/eddsa';
import { poseidon } from '@bitcloak/crypto/poseidon';
import {
  FILL_INPUTS,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_RESIDUALS,
  TAG,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { evaluate, hashes, mod, treeOfStrangers, type Account, type SeededRandom } from './circuit.ts';

export const settlementHashes = {
  order: (words: readonly bigint[]) => poseidon(words, TAG.ORDER),
  orderState: (orderHash: bigint, filled: bigint, k: bigint) => poseidon([orderHash, filled, k], TAG.ORDER_STATE),
  cancelKey: (nullifierKey: bigint, orderHash: bigint, k: bigint) => poseidon([nullifierKey, orderHash, k], TAG.CANCEL),
  orderNullifier: (cancelKey: bigint) => poseidon([cancelKey, 0n, 0n]),
  fill: (words: readonly bigint[]) => poseidon(words, TAG.FILL),
  blinding: (words: readonly bigint[]) => poseidon(words, TAG.BLINDING),
  pad: (words: readonly bigint[]) => poseidon(words, TAG.PAD),
  fills: (fills: readonly bigint[]) => poseidon(fills, TAG.FILLS),
  clearing: (words: readonly bigint[]) => poseidon(words, TAG.CLEARING),
} as const;

// --- fill -------------------------------------------------------------------------------------------------------------

/** The fill circuit's signals by its own names. */
export type FillInput = {
  root: bigint;
  operatorId: bigint;
  validUntil: bigint;
  nullifiers: bigint[];
  orderNullifier: bigint;
  change: bigint;
  proceeds: bigint;
  orderState: bigint;
  fill: bigint;
  words: bigint[];
  publicKey: bigint[];
  nullifierKey: bigint;
  signatureR8: bigint[];
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

/** What a commitment hides. */
export type Opening = {
  readonly asset: bigint;
  readonly value: bigint;
  readonly owner: bigint;
  readonly blinding: bigint;
  readonly lock: bigint;
};

/** Everything that a fill's steps compute from its private signals, and make the public ones of. */
export type FillParts = {
  readonly owner: bigint;
  readonly orderHash: bigint;
  readonly notes: readonly Opening[];
  readonly nullifiers: readonly bigint[];
  readonly rest: bigint;
  readonly least: bigint;
  readonly most: bigint;
  readonly fill: bigint;
  readonly change: Opening;
  readonly proceeds: Opening;
  readonly pads: readonly bigint[];
};

/** Where a forger has something else than what the private signals say; the first note is the one that is not as it seems. */
export type FillView = Partial<Omit<FillParts, 'notes' | 'change' | 'proceeds'>> & {
  readonly note?: Partial<Opening>;
  readonly change?: Partial<Opening>;
  readonly proceeds?: Partial<Opening>;
};

export const VALID_UNTIL = 1_800_000_000n;
export const LOCKED_UNTIL = VALID_UNTIL + 86_400n;

export function ownerOf(input: FillInput): bigint {
  const [x, y] = input.publicKey as [bigint, bigint];
  return hashes.owner({ x, y }, input.nullifierKey);
}

export function orderHashOf(input: FillInput, owner = ownerOf(input)): bigint {
  const { operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = input;
  return settlementHashes.order([
    owner,
    operatorId,
    sellAsset,
    buyAsset,
    sellMax,
    buyMin,
    expiry,
    payTo,
    relockExpiry,
    salt,
  ]);
}

const lockOf = (input: FillInput, expiry: bigint) => hashes.lock({ operatorId: input.operatorId, expiry });

export const commitmentOf = ({ asset, value, owner, blinding, lock }: Opening) =>
  hashes.commitment(asset, value, hashes.stealth(owner, blinding, lock));

function noteAt(input: FillInput, index: number, view: FillView): Opening {
  return {
    asset: input.sellAsset,
    value: input.inputValue[index] as bigint,
    owner: view.owner ?? ownerOf(input),
    blinding: input.inputBlinding[index] as bigint,
    lock: lockOf(input, input.inputExpiry[index] as bigint),
    ...(index === 0 ? view.note : {}),
  };
}

export function fillInputCommitment(input: FillInput, index: number, view: FillView = {}): bigint {
  return commitmentOf(noteAt(input, index, view));
}

export function fillParts(input: FillInput, view: FillView = {}): FillParts {
  const { nullifierKey, sellAsset, buyAsset, sold, bought, sellMax, buyMin, payTo, relockExpiry, r } = input;
  const owner = view.owner ?? ownerOf(input);
  const notes = input.inputLeafIndex.map((_, index) => noteAt(input, index, view));
  const nullifiers =
    view.nullifiers ??
    notes.map((note, index) =>
      hashes.nullifier(nullifierKey, commitmentOf(note), input.inputLeafIndex[index] as bigint),
    );
  const fill = view.fill ?? settlementHashes.fill([sellAsset, sold, buyAsset, bought, r]);
  const rest = view.rest ?? mod(input.inputValue.reduce((sum, value) => sum + value, 0n) - sold);
  const tied = (index: bigint) => [nullifierKey, fill, nullifiers[0] as bigint, index];
  return {
    owner,
    orderHash: view.orderHash ?? orderHashOf(input, owner),
    notes,
    nullifiers,
    rest,
    least: view.least ?? mod(sold * buyMin),
    most: view.most ?? mod(bought * sellMax),
    fill,
    change: {
      asset: sellAsset,
      value: rest,
      owner,
      blinding: settlementHashes.blinding(tied(0n)),
      lock: (notes[0] as Opening).lock,
      ...view.change,
    },
    proceeds: {
      asset: buyAsset,
      value: bought,
      owner: payTo,
      blinding: settlementHashes.blinding(tied(1n)),
      lock: relockExpiry === 0n ? 0n : lockOf(input, relockExpiry),
      ...view.proceeds,
    },
    pads: view.pads ?? [0n, 1n, 2n].map((index) => settlementHashes.pad(tied(index))),
  };
}

/** Computes everything public but the root anew from the private signals. */
export function withFillSignals(input: FillInput, view: FillView = {}): FillInput {
  const { nullifierKey, buyAsset, sold, bought, relockExpiry, filled, k } = input;
  const { orderHash, nullifiers, rest, fill, change, proceeds, pads } = fillParts(input, view);
  const plain = [
    sold + 2n ** 120n * rest,
    bought + 2n ** 120n * relockExpiry,
    buyAsset + 2n ** 160n * (input.inputExpiry[0] as bigint),
  ];
  return {
    ...input,
    nullifiers: [...nullifiers],
    orderNullifier: settlementHashes.orderNullifier(settlementHashes.cancelKey(nullifierKey, orderHash, k)),
    change: commitmentOf(change),
    proceeds: commitmentOf(proceeds),
    orderState: settlementHashes.orderState(orderHash, mod(filled + sold), mod(k + 1n)),
    fill,
    words: plain.map((word, i) => mod(word + (pads[i] as bigint))),
  };
}

/** Signs the order as it stands now. */
export function signOrder(input: FillInput, account: Account, view: FillView = {}): FillInput {
  const { r8, s } = sign(account.spendingScalar, view.orderHash ?? orderHashOf(input, view.owner));
  return { ...input, signatureR8: [r8.x, r8.y], signatureS: s };
}

/** What an order says beside its owner. */
export type OrderTerms = Pick<
  FillInput,
  'operatorId' | 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin' | 'expiry' | 'payTo' | 'relockExpiry' | 'salt'
>;

export type PlannedLockedNote = { readonly value: bigint; readonly leafIndex?: number; readonly expiry?: bigint };

export type FillPlan = {
  readonly random: SeededRandom;
  readonly account: Account;
  /** Up to two notes; those of value 0 are not in the tree. */
  readonly inputs: readonly PlannedLockedNote[];
  readonly sold: bigint;
  readonly bought: bigint;
  /** Whatever is not given here is filled in. */
  readonly order?: Partial<OrderTerms>;
  /** What earlier fills sold, and how many they were: of this order, if it is not another one's state. */
  readonly state?: {
    readonly filled: bigint;
    readonly k: bigint;
    readonly leafIndex?: number;
    readonly orderHash?: bigint;
  };
  readonly validUntil?: bigint;
  readonly view?: FillView;
};

/** A fill of a signed order. It is a valid one if the plan is: nothing here checks prices, sums, ranges or times. */
export function planFill(plan: FillPlan): FillInput {
  const { random, account, sold, bought, validUntil = VALID_UNTIL, view = {} } = plan;
  const inputs = [...plan.inputs];
  while (inputs.length < FILL_INPUTS) inputs.push({ value: 0n, expiry: inputs.at(-1)?.expiry ?? LOCKED_UNTIL });
  const anywhere = () => Number(random.below(BigInt(TREE_LEAVES)));
  const places = inputs.map(({ leafIndex }) => leafIndex ?? anywhere());
  const statePlace = plan.state?.leafIndex ?? anywhere();
  const { filled, k } = plan.state ?? { filled: 0n, k: 0n };
  const unplaced: FillInput = {
    root: 0n,
    operatorId: random.field(),
    validUntil,
    nullifiers: [],
    orderNullifier: 0n,
    change: 0n,
    proceeds: 0n,
    orderState: 0n,
    fill: 0n,
    words: [],
    publicKey: [account.publicKey.x, account.publicKey.y],
    nullifierKey: account.nullifierKey,
    signatureR8: [],
    signatureS: 0n,
    sellAsset: random.below(2n ** 160n),
    buyAsset: random.below(2n ** 160n),
    sellMax: filled + sold,
    buyMin: bought,
    expiry: validUntil,
    payTo: random.field(),
    relockExpiry: 0n,
    salt: random.field(),
    ...plan.order,
    filled,
    k,
    stateLeafIndex: BigInt(statePlace),
    stateSiblings: [],
    inputValue: inputs.map(({ value }) => value),
    inputBlinding: inputs.map(() => random.field()),
    inputExpiry: inputs.map(({ expiry }) => expiry ?? LOCKED_UNTIL),
    inputLeafIndex: places.map(BigInt),
    inputSiblings: [],
    sold,
    bought,
    r: random.field(),
  };
  const tree = treeOfStrangers(random, places);
  inputs.forEach(({ value }, index) => {
    if (value !== 0n) tree.set(places[index] as number, fillInputCommitment(unplaced, index, view));
  });
  if (plan.state !== undefined) {
    const orderHash = plan.state.orderHash ?? view.orderHash ?? orderHashOf(unplaced, view.owner);
    tree.set(statePlace, settlementHashes.orderState(orderHash, filled, k));
  }
  const placed = {
    ...unplaced,
    root: tree.root,
    stateSiblings: tree.path(statePlace),
    inputSiblings: places.map((place) => tree.path(place)),
  };
  return signOrder(withFillSignals(placed, view), account, view);
}

/** The public signals in the order of the proof. */
export function fillSignals(input: FillInput): bigint[] {
  const { root, operatorId, validUntil, nullifiers, orderNullifier, change, proceeds, orderState, fill, words } = input;
  return [root, operatorId, validUntil, ...nullifiers, orderNullifier, change, proceeds, orderState, fill, ...words];
}

// --- clearing ---------------------------------------------------------------------------------------------------------

/** The clearing circuit's signals by its own names. */
export type ClearingInput = {
  commitment: bigint;
  challenge: bigint;
  evaluation: bigint;
  fills: bigint[];
  residuals: bigint[];
  sellAsset: bigint[];
  sold: bigint[];
  buyAsset: bigint[];
  bought: bigint[];
  r: bigint[];
  residualAsset: bigint[];
  residualValue: bigint[];
  residualStealth: bigint[];
};

export type Leg = {
  readonly sellAsset: bigint;
  readonly sold: bigint;
  readonly buyAsset: bigint;
  readonly bought: bigint;
};
export type Residual = { readonly asset: bigint; readonly value: bigint };

/** The commitments of what the private signals say. */
export function withClearingCommitments(input: ClearingInput): ClearingInput {
  const at = (values: readonly bigint[], index: number) => values[index] as bigint;
  return withClearingHash({
    ...input,
    fills: input.sellAsset.map((sellAsset, i) =>
      settlementHashes.fill([sellAsset, at(input.sold, i), at(input.buyAsset, i), at(input.bought, i), at(input.r, i)]),
    ),
    residuals: input.residualAsset.map((asset, j) =>
      hashes.commitment(asset, at(input.residualValue, j), at(input.residualStealth, j)),
    ),
  });
}

/** The hash and the evaluation of the commitments as they stand now. */
export function withClearingHash(input: ClearingInput): ClearingInput {
  const { fills, residuals, challenge } = input;
  const commitment = settlementHashes.clearing([settlementHashes.fills(fills), ...residuals]);
  return { ...input, commitment, evaluation: evaluate([...fills, ...residuals], challenge) };
}

/** A clearing; a valid one if every asset adds up. */
export function planClearing(
  random: SeededRandom,
  legs: readonly Leg[],
  residuals: readonly Residual[] = [],
): ClearingInput {
  const all = [...legs];
  while (all.length < SETTLEMENT_FILLS_MAX) all.push({ sellAsset: 0n, sold: 0n, buyAsset: 0n, bought: 0n });
  const notes = [...residuals];
  while (notes.length < SETTLEMENT_RESIDUALS) notes.push({ asset: random.below(2n ** 160n), value: 0n });
  return withClearingCommitments({
    commitment: 0n,
    // The pool's is a hash; that it is one is of no account here.
    challenge: random.field(),
    evaluation: 0n,
    fills: [],
    residuals: [],
    sellAsset: all.map(({ sellAsset }) => sellAsset),
    sold: all.map(({ sold }) => sold),
    buyAsset: all.map(({ buyAsset }) => buyAsset),
    bought: all.map(({ bought }) => bought),
    r: all.map((_, index) => (index < legs.length ? random.field() : 0n)),
    residualAsset: notes.map(({ asset }) => asset),
    residualValue: notes.map(({ value }) => value),
    residualStealth: notes.map(() => random.field()),
  });
}

/** The public signals in the order of the proof. */
export function clearingSignals(input: ClearingInput): bigint[] {
  return [input.commitment, input.challenge, input.evaluation];
}
