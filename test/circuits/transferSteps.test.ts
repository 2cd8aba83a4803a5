import assert from 'node:assert/strict';
import { AMOUNT_MAX, FIELD_MODULUS, SUBGROUP_ORDER, TRANSFER_SHOWN, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import {
  evaluate,
  evaluated,
  hashes,
  inputCommitment,
  inverse,
  makeAccount,
  mod,
  planTransfer,
  SeededRandom,
  shownBy,
  signTransfer,
  treeOfStrangers,
  VALID_AFTER,
  withDerivedSignals,
  type Account,
  type PlannedInput,
  type TransferInput,
} from '../support/circuit.ts';
import type { Edit } from './copies.ts';
import { OFF_CURVE_KEY, ORDER_8, withKeylessSignature, withSignature, withTwistedSignature } from './curve.ts';
import { checkedPoint, stepsOf, SwitchedCircuit, switchIn } from './switches.ts';

const SWITCHES = [
  '1',
  '2',
  '3 expiry',
  '3 lockedUntil',
  '3 comparison',
  '4 commitment',
  '4 lock',
  '5 inclusion',
  '5 index',
  '6',
  '7',
  '8',
  '9',
  '10',
  '11',
  '12',
  '13 key',
  '13 R8',
  '14',
];

const file = 'lib/transfer.circom';
const on = (name: string) => switchIn(SWITCHES, name);
const cut = (find: string, replace: string): Edit => ({ file, find, replace });
/** The prover's own value where the step is off. */
const either = (name: string, own: string, honest: string) => `${own} + ${on(name)} * (${honest} - ${own})`;

const EDITS: readonly Edit[] = [
  cut(
    'signal input outputStealth[outputCount];',
    `signal input outputStealth[outputCount];
    signal input cutOn[${SWITCHES.length}];
    signal input cutOwner;
    signal input cutLockedUntil[inputCount];
    signal input cutLock[inputCount];
    signal input cutCommitment[inputCount];
    signal input cutIndex[inputCount];
    signal cutFlag[inputCount];
    signal cutHonestUntil[inputCount];
    signal cutHonestLock[inputCount];
    signal cutUsedLock[inputCount];
    signal cutHonestCommitment[inputCount];
    signal cutWorth[inputCount];
    signal cutWithdrawn <== ${on('10')} * withdrawAmount;`,
  ),
  cut(
    'signal owner <== Owner()(publicKey, nullifierKey);',
    `signal cutHonestOwner <== Owner()(publicKey, nullifierKey);
    signal owner <== ${either('1', 'cutOwner', 'cutHonestOwner')};`,
  ),
  cut(
    'inputIsLocked[i] * (1 - inputIsLocked[i]) === 0;',
    `cutFlag[i] <== ${on('2')} * inputIsLocked[i];
        cutFlag[i] * (1 - inputIsLocked[i]) === 0;`,
  ),
  cut('Num2Bits(TIME_BITS())(inputExpiry[i])', `Num2Bits(TIME_BITS())(${on('3 expiry')} * inputExpiry[i])`),
  cut(
    'lockedUntil[i] <== inputIsLocked[i] * inputExpiry[i];',
    `cutHonestUntil[i] <== inputIsLocked[i] * inputExpiry[i];
        lockedUntil[i] <== ${either('3 lockedUntil', 'cutLockedUntil[i]', 'cutHonestUntil[i]')};`,
  ),
  cut(
    'Num2Bits(TIME_BITS())(validAfter - lockedUntil[i])',
    `Num2Bits(TIME_BITS())(${on('3 comparison')} * (validAfter - lockedUntil[i]))`,
  ),
  cut(
    `inputCommitment[i] <== Commitment()(asset, inputValue[i], Stealth()(
            owner, inputBlinding[i], Lock()(inputIsLocked[i], inputOperatorId[i], inputExpiry[i])
        ));`,
    `cutHonestLock[i] <== Lock()(inputIsLocked[i], inputOperatorId[i], inputExpiry[i]);
        cutUsedLock[i] <== ${either('4 lock', 'cutLock[i]', 'cutHonestLock[i]')};
        cutHonestCommitment[i] <== Commitment()(asset, inputValue[i], Stealth()(
            owner, inputBlinding[i], cutUsedLock[i]
        ));
        inputCommitment[i] <== ${either('4 commitment', 'cutCommitment[i]', 'cutHonestCommitment[i]')};`,
  ),
  cut(
    'indexBits[i].in <== inputLeafIndex[i];',
    `indexBits[i].in <== ${either('5 index', 'cutIndex[i]', 'inputLeafIndex[i]')};`,
  ),
  cut(
    'inputValue[i] * (inputRoot[i] - root) === 0;',
    `cutWorth[i] <== ${on('5 inclusion')} * inputValue[i];
        cutWorth[i] * (inputRoot[i] - root) === 0;`,
  ),
  cut('nullifiers[i] === inputNullifier[i];', `${on('6')} * (nullifiers[i] - inputNullifier[i]) === 0;`),
  cut('Num2Bits(AMOUNT_BITS())(outputValue[j])', `Num2Bits(AMOUNT_BITS())(${on('7')} * outputValue[j])`),
  cut('commitments[j] === outputCommitment[j];', `${on('8')} * (commitments[j] - outputCommitment[j]) === 0;`),
  cut('sumIn === sumOut;', `${on('9')} * (sumIn - sumOut) === 0;`),
  cut('withdrawAmount * (publicAsset - asset) === 0;', 'cutWithdrawn * (publicAsset - asset) === 0;'),
  cut('message === shownHash;', `${on('11')} * (message - shownHash) === 0;`),
  cut('evaluation === partial[0];', `${on('12')} * (evaluation - partial[0]) === 0;`),
  // Where the check is off, it looks at the neutral element.
  cut(
    'BabyCheck()(publicKey[0], publicKey[1]);',
    `BabyCheck()(${on('13 key')} * publicKey[0], 1 + ${on('13 key')} * (publicKey[1] - 1));`,
  ),
  cut(
    'BabyCheck()(signatureR8[0], signatureR8[1]);',
    `BabyCheck()(${on('13 R8')} * signatureR8[0], 1 + ${on('13 R8')} * (signatureR8[1] - 1));`,
  ),
  cut('enabled <== 1,', `enabled <== ${on('14')},`),
];

const NOTHING_FREE: CircuitInput = {
  cutOwner: 0n,
  cutLockedUntil: [0n, 0n],
  cutLock: [0n, 0n],
  cutCommitment: [0n, 0n],
  cutIndex: [0n, 0n],
};

type Scene = { random: SeededRandom; alice: Account; mallory: Account };
/** A false statement, and what the prover puts in the place of the step that is off. */
type Lie = { input: TransferInput; free?: CircuitInput };
type Case = { step: string; title: string; tell: (scene: Scene) => Lie };

const LOCK_UNTIL = VALID_AFTER + 1n;

function transfer(
  { random, alice }: Scene,
  inputs: readonly PlannedInput[],
  outputs: readonly bigint[],
  withdrawAmount = 0n,
): TransferInput {
  return planTransfer({ random, account: alice, inputs, outputs, withdrawAmount });
}

/** 1000 and 500 into three notes. */
const honest = (scene: Scene) => transfer(scene, [{ value: 1000n }, { value: 500n }], [700n, 300n, 500n]);

/** A note of 1000 whose lock has one second to go. */
function locked(scene: Scene): TransferInput {
  const lock = { operatorId: scene.random.field(), expiry: LOCK_UNTIL };
  return transfer(scene, [{ value: 1000n, lock }], [1000n, 0n, 0n]);
}

/** Puts what the private signals say into the nullifiers, the commitments and the signature. */
const told = (input: TransferInput, account: Account) => signTransfer(withDerivedSignals(input), account);

/** The first of two values replaced. */
const first = (value: bigint, values: readonly bigint[]) => [value, ...values.slice(1)];

const CASES: readonly Case[] = [
  {
    step: '1',
    title: 'a note of somebody else',
    tell: (scene) => {
      const { alice, mallory } = scene;
      const input = honest(scene);
      const nullifiers = input.inputLeafIndex.map((leafIndex, index) =>
        hashes.nullifier(mallory.nullifierKey, inputCommitment(input, index), leafIndex),
      );
      const publicKey = [mallory.publicKey.x, mallory.publicKey.y];
      const stolen = { ...input, nullifiers, publicKey, nullifierKey: mallory.nullifierKey };
      return { input: signTransfer(stolen, mallory), free: { cutOwner: alice.owner } };
    },
  },
  {
    step: '1',
    title: 'a second nullifier of a note by another nullifier key',
    tell: (scene) => {
      const { alice, random } = scene;
      const input = honest(scene);
      const nullifierKey = random.field();
      const nullifiers = input.inputLeafIndex.map((leafIndex, index) =>
        hashes.nullifier(nullifierKey, inputCommitment(input, index), leafIndex),
      );
      return { input: signTransfer({ ...input, nullifierKey, nullifiers }, alice), free: { cutOwner: alice.owner } };
    },
  },
  {
    step: '2',
    title: 'a flag that makes the lock of a locked note out of another one, of expiry 0',
    tell: (scene) => {
      const input = locked(scene);
      const [operatorId, expiry] = [input.inputOperatorId[0] as bigint, input.inputExpiry[0] as bigint];
      const flag = mod(hashes.lock({ operatorId, expiry }) * inverse(hashes.lock({ operatorId, expiry: 0n })));
      const early = {
        ...input,
        inputIsLocked: first(flag, input.inputIsLocked),
        inputExpiry: first(0n, input.inputExpiry),
      };
      return { input: told(early, scene.alice) };
    },
  },
  {
    step: '3 expiry',
    title: 'an expiry before the beginning of time',
    tell: (scene) => {
      const lock = { operatorId: scene.random.field(), expiry: FIELD_MODULUS - 5n };
      return { input: transfer(scene, [{ value: 1000n, lock }], [1000n, 0n, 0n]) };
    },
  },
  {
    step: '3 lockedUntil',
    title: 'a locked note, its expiry counted as 0',
    tell: (scene) => ({ input: locked(scene) }),
  },
  {
    step: '3 comparison',
    title: 'a locked note one second before its expiry',
    tell: (scene) => ({ input: locked(scene) }),
  },
  {
    step: '3 comparison',
    title: 'validAfter is no time, so that every lock seems to have expired',
    tell: (scene) => {
      const validAfter = FIELD_MODULUS - 1n;
      return { input: signTransfer({ ...locked(scene), validAfter }, scene.alice) };
    },
  },
  {
    step: '4 commitment',
    title: 'a note of 1 spent as one of 1000',
    tell: (scene) => {
      const input = transfer(scene, [{ value: 1n }], [1000n, 0n, 0n]);
      const commitment = inputCommitment(input, 0);
      const dummy = inputCommitment(input, 1);
      const inflated = { ...input, inputValue: first(1000n, input.inputValue) };
      return { input: signTransfer(inflated, scene.alice), free: { cutCommitment: [commitment, dummy] } };
    },
  },
  {
    step: '4 commitment',
    title: 'a note of one asset spent as one of another',
    tell: (scene) => {
      const input = honest(scene);
      const cutCommitment = [inputCommitment(input, 0), inputCommitment(input, 1)];
      const { nullifiers } = input;
      const exchanged = withDerivedSignals({ ...input, asset: scene.random.below(2n ** 160n) });
      return { input: signTransfer({ ...exchanged, nullifiers }, scene.alice), free: { cutCommitment } };
    },
  },
  {
    step: '4 lock',
    title: 'a locked note spent as one without a lock',
    tell: (scene) => {
      const input = locked(scene);
      const lock = { operatorId: input.inputOperatorId[0] as bigint, expiry: input.inputExpiry[0] as bigint };
      const unlocked = { ...input, inputIsLocked: first(0n, input.inputIsLocked) };
      return { input: signTransfer(unlocked, scene.alice), free: { cutLock: [hashes.lock(lock), 0n] } };
    },
  },
  {
    step: '4 lock',
    title: 'a locked note spent with an earlier expiry',
    tell: (scene) => {
      const input = locked(scene);
      const lock = { operatorId: input.inputOperatorId[0] as bigint, expiry: input.inputExpiry[0] as bigint };
      const earlier = { ...input, inputExpiry: first(VALID_AFTER, input.inputExpiry) };
      return { input: signTransfer(earlier, scene.alice), free: { cutLock: [hashes.lock(lock), 0n] } };
    },
  },
  {
    step: '5 inclusion',
    title: 'a note that is not in the tree',
    tell: (scene) => {
      const input = honest(scene);
      const inputBlinding = first(scene.random.field(), input.inputBlinding);
      return { input: told({ ...input, inputBlinding }, scene.alice) };
    },
  },
  {
    step: '5 inclusion',
    title: 'a note in a tree of the prover',
    tell: (scene) => ({ input: { ...honest(scene), root: treeOfStrangers(scene.random, [0]).root } }),
  },
  {
    step: '5 index',
    title: 'a second nullifier of a note by another index',
    tell: (scene) => {
      const input = honest(scene);
      const [index, other] = input.inputLeafIndex as [bigint, bigint];
      const moved = { ...input, inputLeafIndex: [index === 0n ? 1n : index - 1n, other] };
      return { input: told(moved, scene.alice), free: { cutIndex: [index, other] } };
    },
  },
  {
    step: '5 index',
    title: 'a second nullifier of a note by an index outside the tree that has the same low bits',
    tell: (scene) => {
      const input = honest(scene);
      const [index, other] = input.inputLeafIndex as [bigint, bigint];
      const moved = { ...input, inputLeafIndex: [index + BigInt(TREE_LEAVES), other] };
      return { input: told(moved, scene.alice), free: { cutIndex: [index, other] } };
    },
  },
  {
    step: '6',
    title: 'a nullifier of the prover’s choice',
    tell: (scene) => {
      const input = honest(scene);
      const nullifiers = first(scene.random.field(), input.nullifiers);
      return { input: signTransfer({ ...input, nullifiers }, scene.alice) };
    },
  },
  {
    step: '7',
    title: 'a note of -1 pays for one of 1501',
    tell: (scene) => ({
      input: transfer(scene, [{ value: 1000n }, { value: 500n }], [FIELD_MODULUS - 1n, 1501n, 0n]),
    }),
  },
  {
    step: '7',
    title: 'a note of 2^120',
    tell: (scene) => ({
      input: transfer(scene, [{ value: AMOUNT_MAX }, { value: 1n }], [0n, 0n, AMOUNT_MAX + 1n]),
    }),
  },
  {
    step: '8',
    title: 'a new note is worth more than was paid for it',
    tell: (scene) => {
      const input = honest(scene);
      const richer = hashes.commitment(input.asset, 1_000_000n, input.outputStealth[0] as bigint);
      const commitments = first(richer, input.commitments);
      return { input: signTransfer({ ...input, commitments }, scene.alice) };
    },
  },
  {
    step: '8',
    title: 'a new note is of another asset',
    tell: (scene) => {
      const input = honest(scene);
      const asset = scene.random.below(2n ** 160n);
      const [value, stealth] = [input.outputValue[0] as bigint, input.outputStealth[0] as bigint];
      const commitments = first(hashes.commitment(asset, value, stealth), input.commitments);
      return { input: signTransfer({ ...input, commitments }, scene.alice) };
    },
  },
  {
    step: '9',
    title: 'one unit more goes out than comes in',
    tell: (scene) => ({ input: transfer(scene, [{ value: 1000n }, { value: 500n }], [700n, 300n, 501n]) }),
  },
  {
    step: '9',
    title: 'one unit more is withdrawn than comes in',
    tell: (scene) => ({ input: transfer(scene, [{ value: 1000n }], [0n, 0n, 0n], 1001n) }),
  },
  {
    step: '9',
    title: 'an output does not count',
    tell: (scene) => ({ input: transfer(scene, [{ value: 1000n }], [0n, 0n, 1n], 1000n) }),
  },
  {
    step: '9',
    title: 'dummies pay',
    tell: (scene) => ({ input: transfer(scene, [], [1n, 0n, 0n]) }),
  },
  {
    step: '10',
    title: 'another asset is withdrawn',
    tell: (scene) => {
      const input = transfer(scene, [{ value: 1000n }], [999n, 0n, 0n], 1n);
      return { input: signTransfer({ ...input, publicAsset: scene.random.below(2n ** 160n) }, scene.alice) };
    },
  },
  {
    step: '13 key',
    title: 'a key off the curve for which anybody can sign',
    tell: (scene) => {
      const owner = hashes.owner(OFF_CURVE_KEY, scene.alice.nullifierKey);
      const account = { ...scene.alice, publicKey: OFF_CURVE_KEY, owner };
      const input = transfer({ ...scene, alice: account }, [{ value: 1000n }], [1000n, 0n, 0n]);
      return { input: withKeylessSignature(input, 5n) };
    },
  },
  {
    step: '11',
    title: 'nullifiers changed after the signature: other notes of the same values are spent',
    tell: (scene) => {
      const signed = honest(scene);
      const other = honest(scene);
      const { asset, outputStealth, extDataHash, message, signatureR8, signatureS } = signed;
      const swapped = withDerivedSignals({ ...other, asset, outputStealth, extDataHash });
      const tree = treeOfStrangers(scene.random, []);
      const places = swapped.inputLeafIndex.map(Number);
      places.forEach((place, index) => tree.set(place, inputCommitment(swapped, index)));
      const inputSiblings = places.map((place) => tree.path(place));
      return {
        input: evaluated({ ...swapped, root: tree.root, inputSiblings, message, signatureR8, signatureS }),
      };
    },
  },
  ...[0, 1, 2].map((output): Case => ({
    step: '11',
    title: `commitment ${output} changed after the signature: the money goes to the prover`,
    tell: (scene) => {
      const input = honest(scene);
      const outputStealth = input.outputStealth.map((own, at) => (at === output ? scene.random.field() : own));
      return { input: evaluated(withDerivedSignals({ ...input, outputStealth })) };
    },
  })),
  {
    step: '11',
    title: 'publicAsset changed after the signature',
    tell: (scene) => ({ input: evaluated({ ...honest(scene), publicAsset: 1n }) }),
  },
  {
    step: '11',
    title: 'extDataHash changed after the signature: the withdrawal goes to the prover',
    tell: (scene) => {
      const input = transfer(scene, [{ value: 1000n }], [0n, 0n, 0n], 1000n);
      return { input: evaluated({ ...input, extDataHash: scene.random.field() }) };
    },
  },
  {
    step: '11',
    title: 'validAfter changed after the signature',
    tell: (scene) => ({ input: evaluated({ ...honest(scene), validAfter: VALID_AFTER - 3600n }) }),
  },
  ...TRANSFER_SHOWN.map((name, at): Case => ({
    step: '12',
    title: `the pool sees another ${name} than the owner signed`,
    tell: (scene) => {
      const input = honest(scene);
      const seen = shownBy(input).map((value, index) => (index === at ? scene.random.field() : value));
      return { input: { ...input, evaluation: evaluate(seen, input.challenge) } };
    },
  })),
  {
    step: '12',
    title: 'the pool takes what is shown as coefficients from the highest down',
    tell: (scene) => {
      const input = honest(scene);
      return { input: { ...input, evaluation: evaluate(shownBy(input).reverse(), input.challenge) } };
    },
  },
  {
    step: '12',
    title: 'the pool evaluates at another point',
    tell: (scene) => ({ input: { ...honest(scene), challenge: scene.random.field() } }),
  },
  {
    step: '14',
    title: 'a signature by another key',
    tell: (scene) => ({ input: signTransfer(honest(scene), scene.mallory) }),
  },
  {
    step: '14',
    title: 'a signature of another transfer',
    tell: (scene) => {
      const { signatureR8, signatureS } = honest(scene);
      return { input: { ...honest(scene), signatureR8, signatureS } };
    },
  },
  {
    step: '14',
    title: 'the signature’s other form, S + the order of the subgroup',
    tell: (scene) => {
      const input = honest(scene);
      return { input: { ...input, signatureS: input.signatureS + SUBGROUP_ORDER } };
    },
  },
  {
    step: '14',
    title: 'a key of order 8, for which anybody can sign',
    tell: (scene) => {
      const owner = hashes.owner(ORDER_8, scene.alice.nullifierKey);
      const account = { ...scene.alice, publicKey: ORDER_8, owner };
      const input = transfer({ ...scene, alice: account }, [{ value: 1000n }], [1000n, 0n, 0n]);
      return { input: withKeylessSignature(input, 5n) };
    },
  },
  {
    step: '14',
    title: 'R8 with a part of order 8',
    tell: (scene) => {
      const input = honest(scene);
      const nonce = scene.random.below(SUBGROUP_ORDER);
      return { input: withTwistedSignature(input, input.message, scene.alice, nonce) };
    },
  },
];

describe('circuit transfer: what each step forbids', function () {
  this.timeout('5 minutes');
  let circuit: SwitchedCircuit;
  const sceneOf = (title: string): Scene => {
    const random = new SeededRandom(`transfer: ${title}`);
    return { random, alice: makeAccount(random), mallory: makeAccount(random) };
  };

  before(async () => {
    circuit = await SwitchedCircuit.compile('transfer', SWITCHES, EDITS, NOTHING_FREE);
  });

  it('every numbered step has a case', () => {
    const numbers = (names: readonly string[]) => [...new Set(names.map((name) => name.split(' ')[0]))];
    assert.deepEqual(stepsOf('transfer'), numbers(SWITCHES));
    const cases = CASES.map(({ step }) => step);
    // The test after the cases is about this one.
    assert.deepEqual([...new Set([...cases, '13 R8'])].sort(), [...SWITCHES].sort());
  });

  it('with every step on, the copy is the circuit', () => {
    circuit.assertFaithful(honest(sceneOf('faithful')));
  });

  for (const { step, title, tell } of CASES) {
    it(`[${step}] ${title}`, () => {
      const { input, free = {} } = tell(sceneOf(title));
      circuit.assertForbiddenBy(step, input, free);
    });
  }

  // With the challenge hashed after R8, nobody can make the equation hold for an R8 off the curve. So the equation is off here too.
  it('[13 R8] R8 off the curve', () => {
    const input = withSignature(honest(sceneOf('R8')), { x: 1n, y: 1n }, 5n);
    circuit.assertForbiddenAmong(['13 R8', '14'], '13 R8', input, checkedPoint('main.BabyCheck#1'));
  });

  // What is withdrawn follows from the nullifiers, the commitments and [9]. So [9] is off here too.
  it('[11] withdrawAmount changed after the signature', () => {
    const signed = transfer(sceneOf('withdrawAmount'), [{ value: 1000n }], [0n, 0n, 0n], 1000n);
    const input = evaluated({ ...signed, withdrawAmount: 2000n });
    const off = ['9', '11'];
    circuit.assertForbiddenAmong(off, '11', input);
    const truth = circuit.copy.calculate(circuit.inputFor(signed, off));
    assert.equal(circuit.copy.r1cs.firstViolated(circuit.switchedOn(truth, '11')), null);
  });
});
