import { buildClearing } from '@bitcloak/notes/clearing';
import { buildFill, type FillInput, type FillOpening } from '@bitcloak/notes/fill';
import { appendBucket } from '@bitcloak/notes/insertion';
import { Keyring } from '@bitcloak/notes/keys';
import { commitmentOf, type Lock, type Note } from '@bitcloak/notes/note';
import { orderHashOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import { buildTransfer, type SpentNote, type TransferInput } from '@bitcloak/notes/transfer';
import { Bucket, BucketTree } from '@bitcloak/notes/tree';
import {
  BUCKET_LEAVES,
  NATIVE_ASSET,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_RESIDUALS,
  type Circuit,
} from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { seededBytes, seededElements } from './random.ts';

type Element = () => bigint;

const NOW = 1_800_000_000n;
const TOKEN = 0xb17c10a4n;

/** A tree of one bucket with these leaves, and the place and path of each. */
function treeOf(leaves: readonly bigint[]): { tree: BucketTree; places: Pick<SpentNote, 'leaf' | 'path'>[] } {
  const bucket = new Bucket(leaves);
  const tree = new BucketTree();
  tree.append([bucket.root()]);
  return { tree, places: leaves.map((_, leaf) => ({ leaf, path: [...bucket.path(leaf), ...tree.path(0)] })) };
}

const placed = (notes: readonly Note[], places: readonly Pick<SpentNote, 'leaf' | 'path'>[]): SpentNote[] =>
  notes.map((note, index) => ({ note, ...(places[index] as Pick<SpentNote, 'leaf' | 'path'>) }));

/** Two notes spent, three made, and something withdrawn. */
function makeTransfer({ spending }: Keyring, element: Element): { transfer: TransferInput; tree: BucketTree } {
  const note = (value: bigint): Note => {
    return { asset: NATIVE_ASSET, value, owner: spending.keys.owner, blinding: element(), lock: undefined };
  };
  const spent = [note(700n), note(300n)];
  const { tree, places } = treeOf(spent.map(commitmentOf));
  const transfer = buildTransfer({
    key: spending,
    asset: NATIVE_ASSET,
    inputs: placed(spent, places),
    root: tree.root(),
    outputs: [note(500n), note(250n), note(150n)],
    withdrawAmount: 100n,
    extDataHash: element(),
    validAfter: NOW,
  });
  return { transfer, tree };
}

/** Two notes and the second fill of an order, so that all three paths are real. */
function makeFill(keyring: Keyring, element: Element): FillInput {
  const operatorId = element();
  const key = keyring.tradingAccount(operatorId, 0);
  const { owner } = key.keys;
  const lock = (days: bigint): Lock => ({ operatorId, expiry: NOW + days * 86_400n });
  const notes: Note[] = [
    { asset: NATIVE_ASSET, value: 700n, owner, blinding: element(), lock: lock(1n) },
    { asset: NATIVE_ASSET, value: 300n, owner, blinding: element(), lock: lock(2n) },
  ];
  const order: Order = {
    owner,
    operatorId,
    sellAsset: NATIVE_ASSET,
    buyAsset: TOKEN,
    sellMax: 1500n,
    buyMin: 3000n,
    expiry: NOW + 3600n,
    payTo: owner,
    relockExpiry: lock(3n).expiry,
    salt: element(),
  };
  const orderHash = orderHashOf(order);
  const state = { filled: 600n, k: 1n };
  const { tree, places } = treeOf([...notes.map(commitmentOf), orderStateOf(orderHash, state.filled, state.k)]);
  return buildFill({
    keys: key.keys,
    order,
    signature: key.sign(orderHash),
    state: { ...state, ...(places[2] as Pick<SpentNote, 'leaf' | 'path'>) },
    inputs: placed(notes, places),
    root: tree.root(),
    validUntil: NOW + 3600n,
    sold: 800n,
    bought: 1700n,
    r: element(),
  });
}

/** Eight fills of either side, and what they leave for the operator. */
function makeClearing(element: Element): CircuitInput {
  const fills = Array.from({ length: SETTLEMENT_FILLS_MAX }, (_, index): FillOpening => {
    const sides = { sellAsset: NATIVE_ASSET, sold: 1000n, buyAsset: TOKEN, bought: 1998n };
    const otherSides = { sellAsset: TOKEN, sold: 2000n, buyAsset: NATIVE_ASSET, bought: 999n };
    return { ...(index % 2 === 0 ? sides : otherSides), r: element() };
  });
  const pairs = BigInt(SETTLEMENT_FILLS_MAX / 2);
  const residuals = Array.from({ length: SETTLEMENT_RESIDUALS }, (_, index): Note => {
    const value = index === 0 ? pairs : index === 1 ? 2n * pairs : 0n;
    const asset = index === 1 ? TOKEN : NATIVE_ASSET;
    return { asset, value, owner: element(), blinding: element(), lock: undefined };
  });
  return buildClearing(fills, residuals);
}

/** A statement of each circuit at its full width. */
export function makeStatements(seed: string): Record<Circuit, CircuitInput> {
  const element = seededElements(seed);
  const keyring = new Keyring(seededBytes(`${seed} keys`)(64));
  const { transfer, tree } = makeTransfer(keyring, element);
  const insertion = appendBucket(tree, 1, Array.from({ length: BUCKET_LEAVES }, element));
  return { transfer, insertion, fill: makeFill(keyring, element), clearing: makeClearing(element) };
}
