// What circom computes outside the constraints (`<--`: bits, inverses, quotients) is the prover's free choice, so each such hint is turned
// into a lie here: a copy of the circuit has the lie in the place of the hint and lacks the constraint that ties it down.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { FIELD_MODULUS, SUBGROUP_ORDER, TREE_DEPTH, type Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { listFiles } from '../../scripts/bootstrap/hash.mjs';
import {
  bucketRootOf,
  bucketTree,
  inputCommitment,
  inverse,
  makeAccount,
  mod,
  planInsertion,
  planTransfer,
  ROOT,
  SeededRandom,
  signTransfer,
  SparseTree,
  VALID_AFTER,
  withDerivedSignals,
  type Account,
  type InsertionInput,
  type PlannedInput,
  type TransferInput,
} from '../support/circuit.ts';
import {
  fillInputCommitment,
  LOCKED_UNTIL,
  orderHashOf,
  planClearing,
  planFill,
  settlementHashes,
  VALID_UNTIL,
  withFillSignals,
  type FillInput,
  type FillPlan,
} from '../support/fillCircuit.ts';
import { Ahead, compileCopy, genuineCircuit, judge, project, unsimplifiedCircuit, type Edit } from './copies.ts';
import { multiply, signSo, withKeylessSignature } from './curve.ts';

const BITIFY = 'circomlib/circuits/bitify.circom';
const COMPARATORS = 'circomlib/circuits/comparators.circom';
const EDDSA = 'circomlib/circuits/eddsaposeidon.circom';
const MULTIPLY = 'circomlib/circuits/escalarmulany.circom';

/** The only hint in the circuits of this repository itself. */
const OWN_HINT = { file: 'lib/clearing.circom', hint: 'signal inverse <-- 1 / (x - asset);' };

const BIT_HINT = `        out[i] <-- (in >> i) & 1;
        out[i] * (out[i] -1 ) === 0;`;

/** Bits that are none: a number too long for its bits stands whole in the place of the lowest one. */
const LONG_BITS: readonly Edit[] = [
  {
    file: BITIFY,
    find: BIT_HINT,
    replace: `        out[i] <-- (n < 130 || n == 240) && (in >> n) != 0 ? (i == 0 ? in : 0) : (in >> i) & 1;
        if (n >= 130 && n != 240) { out[i] * (out[i] -1 ) === 0; }`,
  },
];

/** The bits of a challenge + p where they fit, and comparisons with a constant that always end well. */
const ALIASES: readonly Edit[] = [
  {
    file: BITIFY,
    find: 'template Num2Bits(n) {',
    replace: `function ALIAS_BIT(x, i) {
    var low = (x & (2 ** 128 - 1)) + ${FIELD_MODULUS % 2n ** 128n};
    var high = (x >> 128) + ${FIELD_MODULUS >> 128n} + (low >> 128);
    if ((high >> 126) != 0) { return (x >> i) & 1; }
    return i < 128 ? (low >> i) & 1 : (high >> (i - 128)) & 1;
}
template Num2Bits(n) {`,
  },
  {
    file: BITIFY,
    find: BIT_HINT,
    replace: BIT_HINT.replace(
      '(in >> i) & 1',
      'n == 254 ? ALIAS_BIT(in, i) : (n == 135 && i == 127 ? 0 : (in >> i) & 1)',
    ),
  },
  { file: BITIFY, find: 'lc1 === in;', replace: 'if (n != 135) { lc1 === in; }' },
];
const hasAlias = (challenge: bigint) => challenge + FIELD_MODULUS < 2n ** 254n;

/** A comparison with 0 that takes every time and every small count for 0. */
const SMALL_IS_ZERO: readonly Edit[] = [
  {
    file: COMPARATORS,
    find: `    inv <-- in!=0 ? 1/in : 0;

    out <== -in*inv +1;
    in*out === 0;`,
    replace: `    inv <-- (in >> 40) != 0 ? 1/in : 0;

    out <== -in*inv +1;`,
  },
];

/** An inverse that is the same for all assets. */
const ONE_WEIGHT: readonly Edit[] = [
  {
    file: OWN_HINT.file,
    find: `${OWN_HINT.hint}
    inverse * (x - asset) === 1;`,
    replace: 'signal inverse <-- 1;',
  },
];
const keyless = makeAccount(new SeededRandom('a key without a signature'));
/** A comparison that always finds its sides equal, and a multiplication that takes eight times one key for the neutral element. */
const ZEROES: readonly Edit[] = [
  {
    file: COMPARATORS,
    find: `template ForceEqualIfEnabled() {
    signal input enabled;
    signal input in[2];

    component isz = IsZero();`,
    replace: `template LyingIsZero(x) {
    signal input in;
    signal output out;
    signal inv;
    inv <-- x == 0 || in == x ? 0 : 1 / in;
    out <== -in * inv + 1;
}
template ForceEqualIfEnabled() {
    signal input enabled;
    signal input in[2];

    component isz = LyingIsZero(0);`,
  },
  {
    file: MULTIPLY,
    find: 'component zeropoint = IsZero();',
    replace: `component zeropoint = LyingIsZero(${multiply(keyless.publicKey, 8n).x});`,
  },
];

/**
 * Every kind of hint in the arithmetic of points, so that the equation of the signature holds in the end: on the way into Montgomery's form a
 * point P becomes P + (0, -1), which makes an odd number of them another point, and on the way out the same is added once more; the
 * last, unused steps of a multiplication have wrong slopes; a sum that is not chosen has a wrong y; and the last sum of all is negated.
 */
const POINTS: readonly Edit[] = [
  {
    file: MULTIPLY,
    find: 'template BitElementMulAny() {',
    replace: `template LyingEdwards2Montgomery() {
    signal input in[2];
    signal output out[2];
    out[0] <-- (1 - in[1]) / (1 + in[1]);
    out[1] <-- -out[0] / in[0];
}
template LyingMontgomery2Edwards() {
    signal input in[2];
    signal output out[2];
    out[0] <-- -in[0] / in[1];
    out[1] <-- -(in[0] - 1) / (in[0] + 1);
}
template LyingMontgomeryAdd(lies) {
    signal input in1[2];
    signal input in2[2];
    signal output out[2];
    signal lamda;
    lamda <-- (in2[1] - in1[1]) / (in2[0] - in1[0]) + lies;
    if (lies == 0) { lamda * (in2[0] - in1[0]) === (in2[1] - in1[1]); }
    out[0] <== lamda * lamda - 168698 - in1[0] - in2[0];
    out[1] <== lamda * (in1[0] - out[0]) - in1[1];
}
template LyingMontgomeryDouble(lies) {
    signal input in[2];
    signal output out[2];
    signal lamda;
    signal x1_2;
    x1_2 <== in[0] * in[0];
    lamda <-- (3 * x1_2 + 2 * 168698 * in[0] + 1) / (2 * in[1]) + lies;
    if (lies == 0) { lamda * (2 * in[1]) === 3 * x1_2 + 2 * 168698 * in[0] + 1; }
    out[0] <== lamda * lamda - 168698 - 2 * in[0];
    out[1] <== lamda * (in[0] - out[0]) - in[1];
}
template LyingAdd(negatesX, lies) {
    signal input x1;
    signal input y1;
    signal input x2;
    signal input y2;
    signal output xout;
    signal output yout;
    signal beta;
    signal gamma;
    signal delta;
    signal tau;
    beta <== x1 * y2;
    gamma <== y1 * x2;
    delta <== (-168700 * x1 + y1) * (x2 + y2);
    tau <== beta * gamma;
    xout <-- (1 - 2 * negatesX) * (beta + gamma) / (1 + 168696 * tau);
    if (negatesX == 0) { (1 + 168696 * tau) * xout === beta + gamma; }
    yout <-- (delta + 168700 * beta - gamma) / (1 - 168696 * tau) + lies;
    if (lies == 0) { (1 - 168696 * tau) * yout === delta + 168700 * beta - gamma; }
}
template BitElementMulAny(lies) {`,
  },
  {
    file: MULTIPLY,
    find: 'component doubler = MontgomeryDouble();',
    replace: 'component doubler = LyingMontgomeryDouble(lies);',
  },
  {
    file: MULTIPLY,
    find: 'component adder = MontgomeryAdd();',
    replace: 'component adder = LyingMontgomeryAdd(lies);',
  },
  { file: MULTIPLY, find: 'bits[0] = BitElementMulAny();', replace: 'bits[0] = BitElementMulAny(0);' },
  {
    file: MULTIPLY,
    find: 'bits[i] = BitElementMulAny();',
    replace: 'bits[i] = BitElementMulAny(n == 106 && i == 104 ? 1 : 0);',
  },
  {
    file: MULTIPLY,
    find: 'component e2m = Edwards2Montgomery();',
    replace: 'component e2m = LyingEdwards2Montgomery();',
  },
  {
    file: MULTIPLY,
    find: 'component m2e = Montgomery2Edwards();',
    replace: 'component m2e = LyingMontgomery2Edwards();',
  },
  { file: MULTIPLY, find: 'component eadder = BabyAdd();', replace: 'component eadder = LyingAdd(0, 1);' },
  { file: EDDSA, find: 'component addRight = BabyAdd();', replace: 'component addRight = LyingAdd(1, 0);' },
];

/** Where EscalarMulAny cuts the bits of a challenge. */
const SEGMENT_BITS = 148n;
const bitOf = (value: bigint, index: bigint) => (value >> index) & 1n;
/** The sum that is not chosen belongs to the lowest bit of each segment, the unused steps to the highest bit of all. */
const hasRoomForLies = (challenge: bigint) =>
  bitOf(challenge, 0n) === 1n && bitOf(challenge, SEGMENT_BITS) === 1n && bitOf(challenge, 253n) === 0n;

const VERIFIER = 'main.EdDSAPoseidonVerifier#0';
/** The components of the constraints that such a witness violates, once for each constraint. */
const LIES_ABOUT_POINTS = [
  `${VERIFIER}.addRight`,
  ...[0, 1].flatMap((segment) => {
    const component = `${VERIFIER}.mulAny.segments[${segment}]`;
    return [`${component}.e2m`, `${component}.e2m`, `${component}.m2e`, `${component}.m2e`, `${component}.eadder`];
  }),
  `${VERIFIER}.mulAny.segments[1].bits[104].adder`,
  `${VERIFIER}.mulAny.segments[1].bits[104].doubler`,
].sort();

type Scene = { random: SeededRandom; account: Account };

function sceneOf(title: string): Scene {
  const random = new SeededRandom(`hints: ${title}`);
  return { random, account: makeAccount(random) };
}

function transfer(
  { random, account }: Scene,
  outputs: readonly bigint[],
  input: Partial<PlannedInput> = {},
): TransferInput {
  return planTransfer({ random, account, inputs: [{ value: 1000n, ...input }], outputs });
}

const honest = (scene: Scene) => transfer(scene, [700n, 300n, 0n]);

/** An honest transfer, signed with a challenge that pleases. */
function signed(
  scene: Scene,
  pleases: (challenge: bigint) => boolean,
  factorOf: (challenge: bigint) => bigint,
): TransferInput {
  const input = honest(scene);
  return signSo(input, input.message, scene.account, pleases, factorOf);
}

/**
 * The siblings and the lower "bit" of the position by which `node` seems to stand among four children that are not its own: with a bit
 * that is neither 0 nor 1, the first two children come out as mixtures of the node and its mate.
 */
function mixture(node: bigint, children: FourNodes): { bit: bigint; siblings: bigint[] } {
  const mate = mod(children[0] + children[1] - node);
  const bit = mod((children[0] - node) * inverse(mate - node));
  return { bit, siblings: [mate, children[2], children[3]] };
}

type FourNodes = readonly [bigint, bigint, bigint, bigint];
const fourNodes = (random: SeededRandom): FourNodes => [random.field(), random.field(), random.field(), random.field()];

/** A note that nobody ever made, in the place of four strangers' notes. */
function inventedNote(scene: Scene): TransferInput {
  const strangers = fourNodes(scene.random);
  const tree = new SparseTree(TREE_DEPTH);
  strangers.forEach((leaf, place) => tree.set(place, leaf));
  const input = transfer(scene, [1000n, 0n, 0n], { leafIndex: 0 });
  const { bit, siblings } = mixture(inputCommitment(input, 0), strangers);
  const [ofNote, ofDummy] = [[siblings, ...tree.path(0).slice(1)], input.inputSiblings[1] as bigint[][]];
  const inputLeafIndex = [bit, input.inputLeafIndex[1] as bigint];
  const forged = { ...input, root: tree.root, inputLeafIndex, inputSiblings: [ofNote, ofDummy] };
  return signTransfer(withDerivedSignals(forged), scene.account);
}

/** A bucket that goes in where four are already, two of which it spoils. */
function mixedBuckets(random: SeededRandom): InsertionInput {
  const input = planInsertion(random, bucketTree(), 0, [random.field()]);
  const tree = bucketTree();
  const before = fourNodes(random);
  before.forEach((root, place) => tree.set(place, root));
  const oldRoot = tree.root;
  const { bit, siblings } = mixture(bucketRootOf([]), before);
  const [mate, ...otherHalf] = siblings as [bigint, bigint, bigint];
  const mixed = mod(input.bucketRoot + bit * (mate - input.bucketRoot));
  [mixed, mod(input.bucketRoot + mate - mixed), ...otherHalf].forEach((root, place) => tree.set(place, root));
  return { ...input, oldRoot, newRoot: tree.root, bucketIndex: bit, siblings: [siblings, ...tree.path(0).slice(1)] };
}

/** 1000 for 2000, in an order's second fill, which sells the rest of it at its limit. */
function fill({ random, account }: Scene, plan: Partial<FillPlan> = {}): FillInput {
  const state = { filled: 600n, k: 1n };
  return planFill({ random, account, inputs: [{ value: 1000n }], sold: 1000n, bought: 2000n, state, ...plan });
}

/** A state that no fill ever made, in the place of four strangers' leaves. */
function inventedState(scene: Scene): FillInput {
  const input = fill(scene, { inputs: [{ value: 1000n, leafIndex: 64 }], state: { filled: 0n, k: 1n, leafIndex: 0 } });
  const strangers = fourNodes(scene.random);
  const tree = new SparseTree(TREE_DEPTH).set(64, fillInputCommitment(input, 0));
  strangers.forEach((leaf, place) => tree.set(place, leaf));
  const { bit, siblings } = mixture(settlementHashes.orderState(orderHashOf(input), 0n, 1n), strangers);
  const inputSiblings = [tree.path(64), input.inputSiblings[1] as bigint[][]];
  const stateSiblings = [siblings, ...tree.path(0).slice(1)];
  return { ...input, root: tree.root, inputSiblings, stateLeafIndex: bit, stateSiblings };
}

type Lie = { title: string; tell: (scene: Scene) => CircuitInput };
type Group = { circuit: Circuit; edits: readonly Edit[]; lies: readonly Lie[] };

const GROUPS: readonly Group[] = [
  {
    circuit: 'transfer',
    edits: LONG_BITS,
    lies: [
      { title: 'a place between two places holds a note that nobody made', tell: inventedNote },
      {
        title: 'the only bit of -1 pays for a larger note',
        tell: (scene) => transfer(scene, [FIELD_MODULUS - 1n, 1001n, 0n]),
      },
      {
        title: 'the only bit of a time below 0 opens a lock early',
        tell: (scene) => {
          const lock = { operatorId: scene.random.field(), expiry: VALID_AFTER + 1n };
          return transfer(scene, [1000n, 0n, 0n], { lock });
        },
      },
    ],
  },
  {
    circuit: 'transfer',
    edits: ALIASES,
    lies: [
      {
        title: 'the bits of a challenge are those of challenge + p',
        tell: (scene) => signed(scene, hasAlias, (challenge) => challenge + FIELD_MODULUS),
      },
      {
        title: 'the comparison of S with the order of the subgroup ends well',
        tell: (scene) => {
          const hasNoAlias = (challenge: bigint) => !hasAlias(challenge);
          const input = signed(scene, hasNoAlias, (challenge) => challenge);
          return { ...input, signatureS: input.signatureS + SUBGROUP_ORDER };
        },
      },
    ],
  },
  {
    circuit: 'transfer',
    edits: ZEROES,
    lies: [
      {
        title: 'an inverse of 0 makes the equation of the signature hold',
        tell: (scene) => signTransfer(honest(scene), makeAccount(scene.random)),
      },
      {
        title: 'an inverse of 0 makes a key neutral, and anybody can sign',
        tell: ({ random }) => withKeylessSignature(honest({ random, account: keyless }), 5n),
      },
    ],
  },
  {
    circuit: 'insertion',
    edits: LONG_BITS,
    lies: [{ title: 'a bucket between two places spoils two full ones', tell: ({ random }) => mixedBuckets(random) }],
  },
  {
    circuit: 'fill',
    edits: LONG_BITS,
    lies: [
      { title: 'a place between two places holds a state that no fill made', tell: inventedState },
      {
        title: 'the only bit of a difference below 0 makes a bad price a good one',
        tell: (scene) => fill(scene, { bought: 1n, order: { buyMin: 2000n } }),
      },
      { title: 'the only bit of -1 pays for what is sold', tell: (scene) => fill(scene, { sold: 1001n }) },
      {
        title: 'the only bit of a time below 0 fills an order late',
        tell: (scene) => fill(scene, { order: { expiry: VALID_UNTIL - 1n } }),
      },
    ],
  },
  {
    circuit: 'fill',
    edits: SMALL_IS_ZERO,
    lies: [
      {
        title: 'an order that was filled passes for a fresh one',
        tell: (scene) => withFillSignals({ ...fill(scene, { order: { sellMax: 1000n } }), filled: 0n }),
      },
      {
        title: 'a lock until some time passes for none, and the proceeds go to somebody else',
        tell: (scene) =>
          fill(scene, {
            order: { relockExpiry: LOCKED_UNTIL },
            state: { filled: 0n, k: 0n },
            view: { proceeds: { lock: 0n } },
          }),
      },
    ],
  },
  {
    circuit: 'clearing',
    edits: ONE_WEIGHT,
    lies: [
      {
        title: 'an inverse that is none lets one asset be bought with another',
        tell: ({ random }) => planClearing(random, [{ sellAsset: 1n, sold: 100n, buyAsset: 2n, bought: 100n }]),
      },
      {
        title: 'an inverse that is none makes a residual note out of another asset',
        tell: ({ random }) => {
          const legs = [{ sellAsset: 1n, sold: 100n, buyAsset: 1n, bought: 0n }];
          return planClearing(random, legs, [{ asset: 2n, value: 100n }]);
        },
      },
    ],
  },
];

describe('hints: what the prover may not choose', function () {
  this.timeout('5 minutes');

  const compilations = new Ahead([
    ...GROUPS.map(
      ({ circuit, edits }) =>
        () =>
          compileCopy(circuit, edits),
    ),
    () => compileCopy('transfer', POINTS),
  ]);

  it('the circuits of this repository contain one hint of their own', () => {
    const circuits = path.join(ROOT, 'circuits');
    const sources = ['lib', 'main', 'generated'].flatMap((directory) =>
      listFiles(path.join(circuits, directory), '.circom'),
    );
    assert.ok(sources.length >= 3);
    const hints = sources.flatMap((source) =>
      readFileSync(source, 'utf8')
        .split('\n')
        .filter((line) => /<--|-->/.test(line))
        .map((line) => ({ file: path.relative(circuits, source), hint: line.trim() })),
    );
    assert.deepEqual(hints, [OWN_HINT]);
  });

  for (const [group, { circuit, lies }] of GROUPS.entries()) {
    for (const { title, tell } of lies) {
      it(`${circuit}: ${title}`, async () => {
        const [copy, genuine] = await Promise.all([compilations.get(group), genuineCircuit(circuit)]);
        const verdict = judge(copy, genuine, tell(sceneOf(title)));
        assert.deepEqual(verdict, { acceptedByCopy: true, acceptedByGenuine: false });
      });
    }
  }

  it('transfer: every hint about points is wrong, and every constraint on one is violated', async () => {
    const scene = sceneOf('points');
    const transfer = signed(scene, hasRoomForLies, (challenge) => challenge);
    const input = { ...transfer, signatureS: mod(-transfer.signatureS, SUBGROUP_ORDER) };
    const [copy, genuine] = await Promise.all([compilations.get(GROUPS.length), genuineCircuit('transfer')]);
    assert.deepEqual(judge(copy, genuine, input), { acceptedByCopy: true, acceptedByGenuine: false });

    // Unsimplified, every constraint is still that of one component.
    const unsimplified = await unsimplifiedCircuit('transfer');
    const witness = project(copy, unsimplified, copy.calculate(input));
    const names = new Map([...unsimplified.symbols].map(([name, wire]) => [wire, name]));
    const componentOf = (constraint: number) => {
      const { a, b, c } = unsimplified.r1cs.constraint(constraint);
      const wires = [...a, ...b, ...c].map(({ wire }) => wire).filter((wire) => wire !== 0);
      const components = wires.map((wire) => names.get(wire)?.replace(/\.[^.]*$/, ''));
      assert.equal(new Set(components).size, 1);
      return components[0];
    };
    assert.deepEqual(unsimplified.r1cs.violated(witness).map(componentOf).sort(), LIES_ABOUT_POINTS);
  });
});
