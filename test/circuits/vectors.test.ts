import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { solidityPackedKeccak256 } from 'ethers';
import { vectorsText, type Hashes } from '../../scripts/vectors.ts';
import { bucketRootOf, evaluate, hashes, ROOT, SparseTree, type Calculator } from '../support/circuit.ts';
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
};

const text = readFileSync(FILE, 'utf8');
const vectors = JSON.parse(text, (_, value: unknown) =>
  typeof value === 'string' ? BigInt(value) : value,
) as Numbers<Json>;

const CIRCUIT = `pragma circom 2.2.0;
include "../lib/merkle.circom";
include "../lib/note.circom";

template Hashes() {
    signal input owner[3];
    signal input lock[2];
    signal input stealth[3];
    signal input commitment[3];
    signal input nullifier[3];
    signal input node[4];
    signal input transferMessage[9];
    signal output out[7];
    out[0] <== Owner()([owner[0], owner[1]], owner[2]);
    out[1] <== Lock()(1, lock[0], lock[1]);
    out[2] <== Stealth()(stealth[0], stealth[1], stealth[2]);
    out[3] <== Commitment()(commitment[0], commitment[1], commitment[2]);
    out[4] <== Nullifier()(nullifier[0], nullifier[1], nullifier[2]);
    out[5] <== Parent()(node[0], [node[1], node[2], node[3]], [0, 0]);
    out[6] <== Hash(9, TAG_TRANSFER())(transferMessage);
}
component main = Hashes();
`;
const OUTPUTS = ['owner', 'lock', 'stealth', 'commitment', 'nullifier', 'node', 'transferMessage'] as const;

/** Each hash as the specification defines it. */
const DEFINITIONS: Readonly<Record<Hashes, (inputs: readonly bigint[]) => bigint>> = {
  owner: ([x, y, nullifierKey]) => hashes.owner({ x: x as bigint, y: y as bigint }, nullifierKey as bigint),
  lock: ([operatorId, expiry]) => hashes.lock({ operatorId: operatorId as bigint, expiry: expiry as bigint }),
  stealth: ([owner, blinding, lock]) => hashes.stealth(owner as bigint, blinding as bigint, lock as bigint),
  commitment: ([asset, value, stealth]) => hashes.commitment(asset as bigint, value as bigint, stealth as bigint),
  nullifier: ([key, commitment, index]) => hashes.nullifier(key as bigint, commitment as bigint, index as bigint),
  node: (children) => hashes.node(children),
  transferMessage: (words) => hashes.transferMessage(words),
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
        const row = OUTPUTS.map((hash) => [hash, vectors.hashes[hash][index]?.inputs ?? []] as const);
        assert.equal(circuit.calculate(Object.fromEntries(row))[1 + output], expected);
      }
    });
  }

  it('the same inputs have different hashes under different tags', () => {
    const inputs = [1n, 2n, 3n];
    const three = [DEFINITIONS.owner, DEFINITIONS.stealth, DEFINITIONS.commitment, DEFINITIONS.nullifier];
    assert.equal(new Set(three.map((define) => define(inputs))).size, three.length);
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
});
