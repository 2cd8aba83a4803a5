import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { solidityPackedKeccak256 } from 'ethers';
import { vectorsText, type Hashes } from '../../scripts/vectors.ts';
import { bucketRootOf, evaluate, hashes, mod, ROOT, SparseTree, type Calculator } from '../support/circuit.ts';
import { settlementHashes } from '../support/fillCircuit.ts';
import { compileSource } from './copies.ts';

const FILE = path.join(ROOT, 'test', 'vectors', 'protocol.json');

/** The file's numbers, which are decimal strings there. */
type Numbers<T> = T extends string ? bigint : { [K in keyof T]: Numbers<T[K]> };
type Json = {
  hashes: Record<Hashes, { inputs: string[]; output: string }[]>;
  emptyRoots: string[];
  transfers: { root: string; shown: string[]; message: string; challenge: string; evaluation: string }[];
  insertions: {
    bucket: string;
    oldRoot: string;
    newRoot: string;
    bucketRoot: string;
    leaves: string[];
    challenge: string;
    evaluation: string;
  }[];
  fills: ({ words: string[] } & Record<
    | 'nullifierKey'
    | 'firstNullifier'
    | 'fill'
    | 'sold'
    | 'rest'
    | 'bought'
    | 'relockExpiry'
    | 'buyAsset'
    | 'changeExpiry'
    | 'changeBlinding'
    | 'proceedsBlinding',
    string
  >)[];
  clearings: { fills: string[]; residuals: string[]; commitment: string; challenge: string; evaluation: string }[];
};

const text = readFileSync(FILE, 'utf8');
const vectors = JSON.parse(text, (_, value: unknown) =>
  typeof value === 'string' ? BigInt(value) : value,
) as Numbers<Json>;

/** Each hash with its number of inputs and its call in circom. */
const CALLS: Readonly<Record<Hashes, readonly [inputs: number, call: string]>> = {
  owner: [3, 'Owner()([owner[0], owner[1]], owner[2])'],
  lock: [2, 'Lock()(1, lock[0], lock[1])'],
  stealth: [3, 'Stealth()(stealth[0], stealth[1], stealth[2])'],
  commitment: [3, 'Commitment()(commitment[0], commitment[1], commitment[2])'],
  nullifier: [3, 'Nullifier()(nullifier[0], nullifier[1], nullifier[2])'],
  node: [4, 'Parent()(node[0], [node[1], node[2], node[3]], [0, 0])'],
  transferMessage: [9, 'Hash(9, TAG_TRANSFER())(transferMessage)'],
  order: [10, `OrderHash()(${Array.from({ length: 10 }, (_, index) => `order[${index}]`).join(', ')})`],
  orderState: [3, 'OrderState()(orderState[0], orderState[1], orderState[2])'],
  cancelKey: [3, 'Hash(3, TAG_CANCEL())(cancelKey)'],
  orderNullifier: [1, 'Hash(3, 0)([orderNullifier[0], 0, 0])'],
  fill: [5, 'FillCommitment()(fill[0], fill[1], fill[2], fill[3], fill[4])'],
  blinding: [4, 'Hash(4, TAG_BLINDING())(blinding)'],
  pad: [4, 'Hash(4, TAG_PAD())(pad)'],
  fills: [16, 'Hash(16, TAG_FILLS())(fills)'],
  clearing: [5, 'Hash(5, TAG_CLEARING())(clearing)'],
};
const OUTPUTS = Object.keys(CALLS) as Hashes[];

const CIRCUIT = `pragma circom 2.2.0;
include "../lib/merkle.circom";
include "../lib/note.circom";
include "../lib/order.circom";

template Hashes() {
${OUTPUTS.map((name) => `    signal input ${name}[${CALLS[name][0]}];`).join('\n')}
    signal input state[3];
    signal output out[${OUTPUTS.length + 1}];
${OUTPUTS.map((name, output) => `    out[${output}] <== ${CALLS[name][1]};`).join('\n')}
    // An order's nullifier as the fill computes it, from the inputs of the cancel key.
    out[${OUTPUTS.length}] <== OrderNullifier()(state[0], state[1], state[2]);
}
component main = Hashes();
`;

/** Each hash as the specification defines it. */
const DEFINITIONS: Readonly<Record<Hashes, (inputs: readonly bigint[]) => bigint>> = {
  owner: ([x, y, nullifierKey]) => hashes.owner({ x: x as bigint, y: y as bigint }, nullifierKey as bigint),
  lock: ([operatorId, expiry]) => hashes.lock({ operatorId: operatorId as bigint, expiry: expiry as bigint }),
  stealth: ([owner, blinding, lock]) => hashes.stealth(owner as bigint, blinding as bigint, lock as bigint),
  commitment: ([asset, value, stealth]) => hashes.commitment(asset as bigint, value as bigint, stealth as bigint),
  nullifier: ([key, commitment, index]) => hashes.nullifier(key as bigint, commitment as bigint, index as bigint),
  node: (children) => hashes.node(children),
  transferMessage: (words) => hashes.transferMessage(words),
  order: (words) => settlementHashes.order(words),
  orderState: ([hash, filled, k]) => settlementHashes.orderState(hash as bigint, filled as bigint, k as bigint),
  cancelKey: ([key, hash, k]) => settlementHashes.cancelKey(key as bigint, hash as bigint, k as bigint),
  orderNullifier: ([cancelKey]) => settlementHashes.orderNullifier(cancelKey as bigint),
  fill: (words) => settlementHashes.fill(words),
  blinding: (words) => settlementHashes.blinding(words),
  pad: (words) => settlementHashes.pad(words),
  fills: (fills) => settlementHashes.fills(fills),
  clearing: (words) => settlementHashes.clearing(words),
};

/** For every hash the inputs of its vector with this number: of the first one where there are fewer. */
const rowOf = (index: number): CircuitInput => {
  const inputsOf = (name: Hashes) => (vectors.hashes[name][index] ?? vectors.hashes[name][0])?.inputs ?? [];
  return { ...Object.fromEntries(OUTPUTS.map((name) => [name, inputsOf(name)])), state: inputsOf('cancelKey') };
};

const keccak = (words: readonly bigint[]) =>
  BigInt(
    solidityPackedKeccak256(
      words.map(() => 'uint256'),
      words,
    ),
  ) % FIELD_MODULUS;

describe('vectors of the protocol', function () {
  this.timeout('5 minutes');
  let circuit: Calculator;

  before(async () => {
    circuit = await compileSource('hashes', CIRCUIT);
  });

  it('the file is what the packages compute', async () => {
    assert.equal(text, await vectorsText(), 'test/vectors/protocol.json is stale: run scripts/vectors.ts');
  });

  for (const [output, name] of OUTPUTS.entries()) {
    it(`${name}: package, definition and circuit agree`, () => {
      assert.ok(vectors.hashes[name].length >= 3);
      for (const [index, { inputs, output: expected }] of vectors.hashes[name].entries()) {
        assert.equal(DEFINITIONS[name](inputs), expected);
        assert.equal(circuit.calculate(rowOf(index))[1 + output], expected);
      }
    });
  }

  it('an order’s nullifier hangs on its cancel key, in the fill too', () => {
    for (const [index, { output: cancelKey }] of vectors.hashes.cancelKey.entries()) {
      const { inputs, output } = vectors.hashes.orderNullifier[index] ?? {};
      assert.deepEqual(inputs, [cancelKey]);
      assert.equal(circuit.calculate(rowOf(index))[1 + OUTPUTS.length], output);
    }
  });

  it('the same inputs have different hashes under different tags', () => {
    const sameCount: readonly (readonly Hashes[])[] = [
      ['owner', 'stealth', 'commitment', 'nullifier', 'orderState', 'cancelKey'],
      ['node', 'blinding', 'pad'],
      ['fill', 'clearing'],
    ];
    for (const names of sameCount) {
      const counts = new Set(names.map((name) => CALLS[name][0]));
      assert.equal(counts.size, 1);
      const inputs = Array.from({ length: Number([...counts][0]) }, (_, index) => BigInt(index + 1));
      assert.equal(new Set(names.map((name) => DEFINITIONS[name](inputs))).size, names.length);
    }
  });

  it('empty subtrees', () => {
    vectors.emptyRoots.forEach((root, height) => assert.equal(new SparseTree(height).root, root));
  });

  it('what a transfer shows', () => {
    for (const { root, shown, message, challenge, evaluation } of vectors.transfers) {
      assert.equal(hashes.transferMessage(shown), message);
      assert.equal(keccak([root, message, ...shown]), challenge);
      assert.equal(evaluate(shown, challenge), evaluation);
    }
  });

  it('the leaves of a bucket', () => {
    for (const { bucket, oldRoot, newRoot, bucketRoot, leaves, challenge, evaluation } of vectors.insertions) {
      assert.equal(bucketRootOf(leaves), bucketRoot);
      const head = [bucket, oldRoot, newRoot, bucketRoot, BigInt(leaves.length)];
      assert.equal(keccak([...head, ...leaves]), challenge);
      assert.equal(evaluate(leaves, challenge), evaluation);
    }
  });

  it('the words of a fill', () => {
    for (const { nullifierKey, firstNullifier, fill, words, ...told } of vectors.fills) {
      const tied = (index: number) => [nullifierKey, fill, firstNullifier, BigInt(index)];
      const plain = [
        told.sold + 2n ** 120n * told.rest,
        told.bought + 2n ** 120n * told.relockExpiry,
        told.buyAsset + 2n ** 160n * told.changeExpiry,
      ];
      assert.deepEqual(
        words,
        plain.map((word, index) => mod(word + settlementHashes.pad(tied(index)))),
      );
      assert.equal(settlementHashes.blinding(tied(0)), told.changeBlinding);
      assert.equal(settlementHashes.blinding(tied(1)), told.proceedsBlinding);
    }
  });

  it('what a clearing is about', () => {
    for (const { fills, residuals, commitment, challenge, evaluation } of vectors.clearings) {
      assert.equal(settlementHashes.clearing([settlementHashes.fills(fills), ...residuals]), commitment);
      assert.equal(keccak([commitment, ...fills, ...residuals]), challenge);
      assert.equal(evaluate([...fills, ...residuals], challenge), evaluation);
    }
  });
});
