// What the circuits state, once more: in plain TypeScript, from the definitions of the specification and not from the packages that build
// statements for the wallet. The tests compare the two with the compiled circuits.
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { multiplyBase, type Point } from '@bitcloak/crypto/babyjubjub';
import { sign } from '@bitcloak/crypto/eddsa';
import { poseidon } from '@bitcloak/crypto/poseidon';
import {
  BUCKET_HEIGHT,
  BUCKET_LEAVES,
  FIELD_MODULUS,
  SUBGROUP_ORDER,
  TAG,
  TREE_ARITY,
  TREE_DEPTH,
  TREE_LEAVES,
  TRANSFER_INPUTS,
  type Circuit,
} from '@bitcloak/protocol/parameters';
import { fromBytes } from '@bitcloak/prover/elements';
import { chooseEngine } from '@bitcloak/prover/engines';
import { CircomWitness, ProgramWitness, type CircuitInput, type WitnessGenerator } from '@bitcloak/prover/witness';
import { circuitFiles } from '../../scripts/compileCircuits.mjs';
import { loadR1cs, type R1cs } from './r1cs.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');

// --- compiled circuits ------------------------------------------------------------------------------------------------

/** Computes witnesses as integers with circom's generated WebAssembly, which is compiled once. */
export class Calculator {
  readonly #generator: CircomWitness;

  constructor(wasmPath: string) {
    this.#generator = new CircomWitness(new WebAssembly.Module(readFileSync(wasmPath)));
  }

  /** The whole witness. Throws where an assertion of the circuit fails. */
  calculate(input: CircuitInput): bigint[] {
    return fromBytes(this.#generator.compute(input));
  }
}

/** Both ways to the witness: what one makes the other must make, and what one refuses the other must refuse in the same words. */
export class BothWays implements WitnessGenerator {
  readonly #circom: WitnessGenerator;
  readonly #program: WitnessGenerator;

  constructor(circuit: Circuit, loadProgram = chooseEngine().loadProgram) {
    assert(loadProgram !== undefined);
    const files = circuitFiles(ROOT, circuit);
    this.#circom = new CircomWitness(new WebAssembly.Module(readFileSync(files.wasm)));
    this.#program = new ProgramWitness(readFileSync(files.program), loadProgram);
  }

  compute(input: CircuitInput): Uint8Array {
    const program = outcomeOf(() => this.#program.compute(input));
    const circom = outcomeOf(() => this.#circom.compute(input));
    if (program instanceof Uint8Array && circom instanceof Uint8Array) {
      assert(Buffer.compare(program, circom) === 0, 'the program makes another witness than circom');
      return circom;
    }
    assert(
      program instanceof Error && circom instanceof Error,
      'the program refuses what circom does not, or the other way',
    );
    assert.equal(String(program), String(circom));
    throw circom;
  }
}

function outcomeOf(compute: () => Uint8Array): unknown {
  try {
    return compute();
  } catch (error) {
    return error;
  }
}

/** A circuit as it is proven: the constraints that the key belongs to, and its witness generator. */
export type CompiledCircuit = { readonly r1cs: R1cs; readonly calculate: (input: CircuitInput) => bigint[] };

const compiled = new Map<Circuit, CompiledCircuit>();

/** Loads a circuit of the build once a process. */
export function compiledCircuit(circuit: Circuit): CompiledCircuit {
  let found = compiled.get(circuit);
  if (found === undefined) {
    const files = circuitFiles(ROOT, circuit);
    const generator = new BothWays(circuit);
    found = { r1cs: loadR1cs(files.r1cs), calculate: (input) => fromBytes(generator.compute(input)) };
    compiled.set(circuit, found);
  }
  return found;
}

// --- the field and randomness that comes again ------------------------------------------------------------------------

/** The residue of any integer, negative ones included. */
export function mod(value: bigint, modulus: bigint = FIELD_MODULUS): bigint {
  const residue = value % modulus;
  return residue < 0n ? residue + modulus : residue;
}

/** 1 / value in the field. */
export function inverse(value: bigint): bigint {
  let [low, high, atLow, atHigh] = [mod(value), FIELD_MODULUS, 1n, 0n];
  if (low === 0n) throw new RangeError('0 has no inverse');
  while (low > 1n) {
    const ratio = high / low;
    [low, high, atLow, atHigh] = [high - ratio * low, low, atHigh - ratio * atLow, atLow];
  }
  return mod(atLow);
}

/** coefficients[0] + coefficients[1]·point + coefficients[2]·point² + …, by its definition. */
export function evaluate(coefficients: readonly bigint[], point: bigint): bigint {
  let [sum, power] = [0n, 1n];
  for (const coefficient of coefficients) {
    sum = mod(sum + coefficient * power);
    power = mod(power * point);
  }
  return sum;
}

/** Numbers that look random and are the same in every run: a failure can be run again. */
export class SeededRandom {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** Uniform below `bound`, up to a bias of 2^-256 for bounds of the field's size. */
  below(bound: bigint): bigint {
    return BigInt(`0x${hash('sha512', `${this.#seed} ${this.#drawn++}`, 'hex')}`) % bound;
  }

  field(): bigint {
    return this.below(FIELD_MODULUS);
  }
}

// --- hashes -----------------------------------------------------------------------------------------------------------

export type Lock = { readonly operatorId: bigint; readonly expiry: bigint };

export const hashes = {
  owner: (publicKey: Point, nullifierKey: bigint) => poseidon([publicKey.x, publicKey.y, nullifierKey], TAG.OWNER),
  lock: (lock: Lock) => poseidon([lock.operatorId, lock.expiry], TAG.LOCK),
  stealth: (owner: bigint, blinding: bigint, lock: bigint) => poseidon([owner, blinding, lock], TAG.STEALTH),
  commitment: (asset: bigint, value: bigint, stealth: bigint) => poseidon([asset, value, stealth]),
  nullifier: (nullifierKey: bigint, commitment: bigint, leafIndex: bigint) =>
    poseidon([nullifierKey, commitment, leafIndex], TAG.NULLIFIER),
  node: (children: readonly bigint[]) => poseidon(children),
  /** Two nullifiers, three commitments, withdrawAmount, publicAsset, extDataHash, validAfter. */
  transferMessage: (words: readonly bigint[]) => poseidon(words, TAG.TRANSFER),
} as const;

// --- trees ------------------------------------------------------------------------------------------------------------

/** A tree of arity 4 that holds only the paths that are not empty. */
export class SparseTree {
  readonly #nodes = new Map<string, bigint>();
  readonly #empty: bigint[];
  readonly levels: number;

  /** @param empty what stands in every place of the lowest level at first. */
  constructor(levels: number, empty = 0n) {
    this.levels = levels;
    this.#empty = [empty];
    for (let height = 0; height < levels; height++) {
      this.#empty.push(hashes.node(new Array<bigint>(TREE_ARITY).fill(this.#node(height, 0))));
    }
  }

  #node(height: number, index: number): bigint {
    return this.#nodes.get(`${height} ${index}`) ?? (this.#empty[height] as bigint);
  }

  #children(height: number, parent: number): bigint[] {
    return [0, 1, 2, 3].map((position) => this.#node(height, TREE_ARITY * parent + position));
  }

  set(index: number, leaf: bigint): this {
    let [place, node] = [index, leaf];
    this.#nodes.set(`0 ${place}`, node);
    for (let height = 0; height < this.levels; height++) {
      place = Math.floor(place / TREE_ARITY);
      node = hashes.node(this.#children(height, place));
      this.#nodes.set(`${height + 1} ${place}`, node);
    }
    return this;
  }

  get root(): bigint {
    return this.#node(this.levels, 0);
  }

  /** For each level from below: the other child of the same half, then both of the other half. */
  path(index: number): bigint[][] {
    return Array.from({ length: this.levels }, (_, height) => {
      const place = Math.floor(index / TREE_ARITY ** height);
      const children = this.#children(height, Math.floor(place / TREE_ARITY));
      const position = place % TREE_ARITY;
      const otherHalf = position < 2 ? [2, 3] : [0, 1];
      return [position ^ 1, ...otherHalf].map((at) => children[at] as bigint);
    });
  }
}

// --- transfer ---------------------------------------------------------------------------------------------------------

export type Account = {
  readonly spendingScalar: bigint;
  readonly publicKey: Point;
  readonly nullifierKey: bigint;
  readonly owner: bigint;
};

export function makeAccount(random: SeededRandom): Account {
  const spendingScalar = 1n + random.below(SUBGROUP_ORDER - 1n);
  const publicKey = multiplyBase(spendingScalar);
  const nullifierKey = random.field();
  return { spendingScalar, publicKey, nullifierKey, owner: hashes.owner(publicKey, nullifierKey) };
}

/** The transfer circuit's signals by its own names. */
export type TransferInput = {
  root: bigint;
  message: bigint;
  challenge: bigint;
  evaluation: bigint;
  nullifiers: bigint[];
  commitments: bigint[];
  withdrawAmount: bigint;
  publicAsset: bigint;
  extDataHash: bigint;
  validAfter: bigint;
  publicKey: bigint[];
  nullifierKey: bigint;
  signatureR8: bigint[];
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

export type PlannedInput = { readonly value: bigint; readonly leafIndex?: number; readonly lock?: Lock };

export type TransferPlan = {
  readonly random: SeededRandom;
  readonly account: Account;
  /** One or two notes; those of value 0 are not in the tree. */
  readonly inputs: readonly PlannedInput[];
  readonly outputs: readonly bigint[];
  readonly asset?: bigint;
  readonly withdrawAmount?: bigint;
  readonly validAfter?: bigint;
};

export const VALID_AFTER = 1_800_000_000n;

/** Everything that a transfer shows, in its order. */
export function shownBy(input: TransferInput): bigint[] {
  const { nullifiers, commitments, withdrawAmount, publicAsset, extDataHash, validAfter } = input;
  return [...nullifiers, ...commitments, withdrawAmount, publicAsset, extDataHash, validAfter];
}

/** The pool's part for what a transfer shows as it stands now. */
export function evaluated(input: TransferInput): TransferInput {
  return { ...input, evaluation: evaluate(shownBy(input), input.challenge) };
}

/** Signs what a transfer shows as it stands now. */
export function signTransfer(input: TransferInput, account: Account): TransferInput {
  const message = hashes.transferMessage(shownBy(input));
  const { r8, s } = sign(account.spendingScalar, message);
  return { ...evaluated(input), message, signatureR8: [r8.x, r8.y], signatureS: s };
}

/** The commitment of an input as the private signals describe it. */
export function inputCommitment(input: TransferInput, index: number): bigint {
  const at = (signal: readonly bigint[]) => signal[index] as bigint;
  const [x, y] = input.publicKey as [bigint, bigint];
  const owner = hashes.owner({ x, y }, input.nullifierKey);
  const lock = hashes.lock({ operatorId: at(input.inputOperatorId), expiry: at(input.inputExpiry) });
  const lockWord = mod(at(input.inputIsLocked) * lock);
  const stealth = hashes.stealth(owner, at(input.inputBlinding), lockWord);
  return hashes.commitment(input.asset, at(input.inputValue), stealth);
}

/** Computes nullifiers and commitments anew from the private signals. */
export function withDerivedSignals(input: TransferInput): TransferInput {
  return {
    ...input,
    nullifiers: input.inputLeafIndex.map((leafIndex, index) =>
      hashes.nullifier(input.nullifierKey, inputCommitment(input, index), leafIndex),
    ),
    commitments: input.outputValue.map((value, index) =>
      hashes.commitment(input.asset, value, input.outputStealth[index] as bigint),
    ),
  };
}

/** A tree in which some strangers' notes stand, next to the given places too. */
export function treeOfStrangers(random: SeededRandom, near: readonly number[]): SparseTree {
  const tree = new SparseTree(TREE_DEPTH);
  const places = near.flatMap((place) => [place ^ 1, place ^ 2, place ^ 5, place ^ (1 << 12)]);
  for (const place of [...places, Number(random.below(BigInt(TREE_LEAVES)))]) tree.set(place, random.field());
  return tree;
}

/** A signed transfer. It is a valid one if the plan is: nothing here checks sums, ranges or locks. */
export function planTransfer(plan: TransferPlan): TransferInput {
  const { random, account, withdrawAmount = 0n, validAfter = VALID_AFTER } = plan;
  const asset = plan.asset ?? random.below(2n ** 160n);
  const inputs: PlannedInput[] = [...plan.inputs];
  while (inputs.length < TRANSFER_INPUTS) inputs.push({ value: 0n });
  const places = inputs.map(({ leafIndex }) => leafIndex ?? Number(random.below(BigInt(TREE_LEAVES))));
  const unplaced: TransferInput = {
    root: 0n,
    message: 0n,
    // The pool's is a hash; that it is one is of no account here.
    challenge: random.field(),
    evaluation: 0n,
    nullifiers: [],
    commitments: [],
    withdrawAmount,
    publicAsset: withdrawAmount === 0n ? 0n : asset,
    extDataHash: random.field(),
    validAfter,
    publicKey: [account.publicKey.x, account.publicKey.y],
    nullifierKey: account.nullifierKey,
    signatureR8: [],
    signatureS: 0n,
    asset,
    inputValue: inputs.map(({ value }) => value),
    inputBlinding: inputs.map(() => random.field()),
    inputIsLocked: inputs.map(({ lock }) => (lock === undefined ? 0n : 1n)),
    inputOperatorId: inputs.map(({ lock }) => lock?.operatorId ?? 0n),
    inputExpiry: inputs.map(({ lock }) => lock?.expiry ?? 0n),
    inputLeafIndex: places.map(BigInt),
    inputSiblings: [],
    outputValue: [...plan.outputs],
    outputStealth: plan.outputs.map(() => random.field()),
  };
  const tree = treeOfStrangers(random, places);
  inputs.forEach(({ value }, index) => {
    if (value !== 0n) tree.set(places[index] as number, inputCommitment(unplaced, index));
  });
  const placed = { ...unplaced, root: tree.root, inputSiblings: places.map((place) => tree.path(place)) };
  return signTransfer(withDerivedSignals(placed), account);
}

/** The public signals in the order of the proof. */
export function transferSignals(input: TransferInput): bigint[] {
  return [input.root, input.message, input.challenge, input.evaluation];
}

// --- insertion --------------------------------------------------------------------------------------------------------

/** The insertion circuit's signals by its own names. */
export type InsertionInput = {
  oldRoot: bigint;
  newRoot: bigint;
  bucketRoot: bigint;
  bucketIndex: bigint;
  challenge: bigint;
  evaluation: bigint;
  leaves: bigint[];
  siblings: bigint[][];
};

/** The root of one bucket. */
export function bucketRootOf(leaves: readonly bigint[]): bigint {
  const tree = new SparseTree(BUCKET_HEIGHT);
  leaves.forEach((leaf, index) => tree.set(index, leaf));
  return tree.root;
}

/** A tree above its buckets, all of which are empty at first. */
export function bucketTree(): SparseTree {
  return new SparseTree(TREE_DEPTH - BUCKET_HEIGHT, bucketRootOf([]));
}

/** Puts leaves (up to 64) into the bucket at `index` of `tree`, which changes. */
export function planInsertion(
  random: SeededRandom,
  tree: SparseTree,
  index: number,
  real: readonly bigint[],
): InsertionInput {
  const leaves = [...real, ...new Array<bigint>(BUCKET_LEAVES - real.length).fill(0n)];
  const [oldRoot, siblings, bucketRoot, challenge] = [
    tree.root,
    tree.path(index),
    bucketRootOf(leaves),
    random.field(),
  ];
  const newRoot = tree.set(index, bucketRoot).root;
  const evaluation = evaluate(leaves, challenge);
  return { oldRoot, newRoot, bucketRoot, bucketIndex: BigInt(index), challenge, evaluation, leaves, siblings };
}

/** The public signals in the order of the proof. */
export function insertionSignals(input: InsertionInput): bigint[] {
  return [input.oldRoot, input.newRoot, input.bucketRoot, input.bucketIndex, input.challenge, input.evaluation];
}
