import { randomField } from '@bitcloak/crypto/field';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { TAG, TRANSFER_INPUTS, TRANSFER_OUTPUTS } from '@bitcloak/protocol/parameters';
import { challengeOf, evaluate } from './evaluation.ts';
import type { SpendingKey } from './keys.ts';
import { commitmentOf, nullifierOf, stealthOf, type Commitment, type Note, type Nullifier } from './note.ts';
import { emptyPath, placeOf, type Siblings } from './tree.ts';

/** A note that is spent: its place over all trees, and its path to the transfer's root. */
export type SpentNote = { note: Note; leaf: number; path: readonly Siblings[] };

/** What a transfer shows to everybody. */
export type TransferPublic = {
  root: bigint;
  nullifiers: Nullifier[];
  commitments: Commitment[];
  withdrawAmount: bigint;
  publicAsset: bigint;
  extDataHash: bigint;
  validAfter: bigint;
};

/** What the transfer circuit takes, in its own names. Whoever holds it knows everything about the notes, and still cannot spend otherwise. */
export type TransferInput = TransferPublic & {
  message: bigint;
  challenge: bigint;
  evaluation: bigint;
  publicKey: [bigint, bigint];
  nullifierKey: bigint;
  signatureR8: [bigint, bigint];
  signatureS: bigint;
  asset: bigint;
  inputValue: bigint[];
  inputBlinding: bigint[];
  inputIsLocked: bigint[];
  inputOperatorId: bigint[];
  inputExpiry: bigint[];
  inputLeafIndex: bigint[];
  inputSiblings: bigint[][][];
  outputValue: bigint[];
  outputStealth: bigint[];
};

export type TransferPlan = {
  key: SpendingKey;
  asset: bigint;
  /** One or two notes of `key`'s owner, of `asset`, under one root. */
  inputs: readonly SpentNote[];
  root: bigint;
  /** Exactly three notes of `asset`. */
  outputs: readonly Note[];
  withdrawAmount: bigint;
  extDataHash: bigint;
  validAfter: bigint;
};

/** Everything that a transfer shows, in the order of `TRANSFER_SHOWN`. */
export function shownValues(transfer: Omit<TransferPublic, 'root'>): bigint[] {
  const { nullifiers, commitments, withdrawAmount, publicAsset, validAfter } = transfer;
  return [...nullifiers, ...commitments, withdrawAmount, publicAsset, transfer.extDataHash, validAfter];
}

/** What stands between the pool and the circuit: the hash that the owner signs, the challenge, and the shown values' polynomial at it. */
export function bindShown(
  root: bigint,
  shown: readonly bigint[],
): { message: bigint; challenge: bigint; evaluation: bigint } {
  const message = poseidon(shown, TAG.TRANSFER);
  const challenge = challengeOf([root, message, ...shown]);
  return { message, challenge, evaluation: evaluate(shown, challenge) };
}

/** Fills up the inputs with dummies of random blinding, computes everything public and signs it. */
export function buildTransfer(plan: TransferPlan): TransferInput {
  const { key, asset, withdrawAmount } = plan;
  const { owner, publicKey, nullifierKey } = key.keys;
  if (plan.outputs.length !== TRANSFER_OUTPUTS) throw new RangeError(`a transfer makes ${TRANSFER_OUTPUTS} notes`);
  const inputs = [...plan.inputs];
  while (inputs.length < TRANSFER_INPUTS) {
    const note: Note = { asset, value: 0n, owner, blinding: randomField(), lock: undefined };
    inputs.push({ note, leaf: 0, path: emptyPath() });
  }
  const shown = {
    nullifiers: inputs.map(({ note, leaf }) => nullifierOf(nullifierKey, commitmentOf(note), placeOf(leaf).treeIndex)),
    commitments: plan.outputs.map(commitmentOf),
    withdrawAmount,
    publicAsset: withdrawAmount === 0n ? 0n : asset,
    extDataHash: plan.extDataHash,
    validAfter: plan.validAfter,
  };
  const bound = bindShown(plan.root, shownValues(shown));
  const { r8, s } = key.sign(bound.message);
  return {
    root: plan.root,
    ...bound,
    ...shown,
    publicKey: [publicKey.x, publicKey.y],
    nullifierKey,
    signatureR8: [r8.x, r8.y],
    signatureS: s,
    asset,
    inputValue: inputs.map(({ note }) => note.value),
    inputBlinding: inputs.map(({ note }) => note.blinding),
    inputIsLocked: inputs.map(({ note }) => (note.lock === undefined ? 0n : 1n)),
    inputOperatorId: inputs.map(({ note }) => note.lock?.operatorId ?? 0n),
    inputExpiry: inputs.map(({ note }) => note.lock?.expiry ?? 0n),
    inputLeafIndex: inputs.map(({ leaf }) => BigInt(placeOf(leaf).treeIndex)),
    inputSiblings: inputs.map(({ path }) => path.map((siblings) => [...siblings])),
    outputValue: plan.outputs.map(({ value }) => value),
    outputStealth: plan.outputs.map(stealthOf),
  };
}
