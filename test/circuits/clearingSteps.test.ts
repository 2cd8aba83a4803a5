import assert from 'node:assert/strict';
import { AMOUNT_MAX, FIELD_MODULUS, SETTLEMENT_FILLS_MAX, SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { evaluate, hashes, inverse, mod, SeededRandom } from '../support/circuit.ts';
import {
  planClearing,
  settlementHashes,
  withClearingHash,
  type ClearingInput,
  type Leg,
  type Residual,
} from '../support/fillCircuit.ts';
import type { Edit } from './copies.ts';
import { stepsOf, SwitchedCircuit, switchIn } from './switches.ts';

const SWITCHES = [
  '1 fills',
  '1 commitment',
  '2',
  '3',
  '4 inverse',
  '4 sold',
  '4 bought',
  '5 value',
  '5 commitment',
  '6 inverse',
  '6 value',
  '7',
] as const;
type Switch = (typeof SWITCHES)[number];

const on = (name: Switch) => switchIn(SWITCHES, name);
const cut = (find: string, replace: string): Edit => ({ file: 'lib/clearing.circom', find, replace });
const equality = (name: Switch, left: string, right: string) =>
  cut(`${left} === ${right};`, `${on(name)} * (${left} - ${right}) === 0;`);
/** A share of another amount than the one that the opening says, where the step is off. */
const share = (name: Switch, inverses: Switch, amount: string, own: string, assetAndInverse: [string, string]) =>
  cut(
    `Share()(${amount}, ${assetAndInverse[0]}, commitment)`,
    `Share()(${own} + ${on(name)} * (${amount} - ${own}), ${assetAndInverse[0]}, commitment, ${on(inverses)}, ${assetAndInverse[1]})`,
  );

const EDITS: readonly Edit[] = [
  cut(
    'signal input residualStealth[residualCount];',
    `signal input residualStealth[residualCount];
    signal input cutOn[${SWITCHES.length}];
    signal input cutFillsHash;
    signal input cutSold[fillCount];
    signal input cutBought[fillCount];
    signal input cutResidual[residualCount];
    signal input cutSellInverse[fillCount];
    signal input cutBuyInverse[fillCount];
    signal input cutResidualInverse[residualCount];`,
  ),
  cut(
    'signal fillsHash <== Hash(fillCount, TAG_FILLS())(fills);',
    `signal cutHonestFillsHash <== Hash(fillCount, TAG_FILLS())(fills);
    signal fillsHash <== cutFillsHash + ${on('1 fills')} * (cutHonestFillsHash - cutFillsHash);`,
  ),
  equality('1 commitment', 'commitment', 'shownHash'),
  equality('2', 'evaluation', 'partial[0]'),
  equality('3', 'fills[i]', 'fillCommitment[i]'),
  share('4 sold', '4 inverse', 'sold[i]', 'cutSold[i]', ['sellAsset[i]', 'cutSellInverse[i]']),
  share('4 bought', '4 inverse', 'bought[i]', 'cutBought[i]', ['buyAsset[i]', 'cutBuyInverse[i]']),
  cut('Num2Bits(AMOUNT_BITS())(residualValue[j])', `Num2Bits(AMOUNT_BITS())(${on('5 value')} * residualValue[j])`),
  equality('5 commitment', 'residuals[j]', 'residualCommitment[j]'),
  share('6 value', '6 inverse', 'residualValue[j]', 'cutResidual[j]', ['residualAsset[j]', 'cutResidualInverse[j]']),
  equality('7', 'sum', '0'),
  // Where the constraint is off, the hint is the prover's.
  cut(
    `signal inverse <-- 1 / (x - asset);
    inverse * (x - asset) === 1;`,
    `signal input cutTied;
    signal input cutInverse;
    signal inverse <-- cutTied == 1 ? 1 / (x - asset) : cutInverse;
    signal cutProduct <== inverse * (x - asset);
    cutTied * (cutProduct - 1) === 0;`,
  ),
];

/** What the prover puts in the place of the steps, where it is of no account or says the same as the openings. */
function choices(input: ClearingInput): Record<string, bigint | bigint[]> {
  const { fills, sold, bought, residualValue, commitment } = input;
  const inverses = (assets: readonly bigint[]) => assets.map((asset) => inverse(commitment - asset));
  return {
    cutFillsHash: settlementHashes.fills(fills),
    cutSold: sold,
    cutBought: bought,
    cutResidual: residualValue,
    cutSellInverse: inverses(input.sellAsset),
    cutBuyInverse: inverses(input.buyAsset),
    cutResidualInverse: inverses(input.residualAsset),
  };
}

type Lie = { readonly input: ClearingInput; readonly choices?: CircuitInput };
type Case = { readonly step: Switch; readonly title: string; readonly tell: (random: SeededRandom) => Lie };

const [A, B, C] = [0xaaaan, 0xbbbbn, 0xccccn] as const;
const leg = (sellAsset: bigint, sold: bigint, buyAsset: bigint, bought: bigint): Leg => ({
  sellAsset,
  sold,
  buyAsset,
  bought,
});
/** 100 of A against 200 of B, with one of each for the operator. */
const TRADE: readonly Leg[] = [leg(A, 100n, B, 199n), leg(B, 200n, A, 99n)];
const FEES: readonly Residual[] = [
  { asset: A, value: 1n },
  { asset: B, value: 1n },
];
const honest = (random: SeededRandom) => planClearing(random, TRADE, FEES);

const lie = (step: Switch, title: string, tell: Case['tell']): Case => ({ step, title, tell });
/** Legs and residuals that do not add up. */
const minted = (step: Switch, title: string, legs: readonly Leg[], residuals: readonly Residual[] = []): Case =>
  lie(step, title, (random) => ({ input: planClearing(random, legs, residuals) }));
const put = (values: readonly bigint[], place: number, value: bigint) => [...values].with(place, value);

/** The pool evaluates another list than the one that the clearing opens. */
const seen = (title: string, change: (shown: bigint[], random: SeededRandom) => bigint[]): Case =>
  lie('2', title, (random) => {
    const input = honest(random);
    const list = change([...input.fills, ...input.residuals], random);
    return { input: { ...input, evaluation: evaluate(list, input.challenge) } };
  });

const SHOWN = [
  ...Array.from({ length: SETTLEMENT_FILLS_MAX }, (_, i) => `fill ${i}`),
  ...Array.from({ length: SETTLEMENT_RESIDUALS }, (_, j) => `residual ${j}`),
];

const CASES: readonly Case[] = [
  lie('1 fills', 'the hash is one of other fills', (random) => {
    const input = honest(random);
    const cutFillsHash = settlementHashes.fills(honest(random).fills);
    const commitment = settlementHashes.clearing([cutFillsHash, ...input.residuals]);
    return { input: { ...input, commitment }, choices: { cutFillsHash } };
  }),
  lie('1 commitment', 'the hash is one of other residuals', (random) => {
    const input = honest(random);
    const hashed = [settlementHashes.fills(input.fills), ...honest(random).residuals];
    return { input: { ...input, commitment: settlementHashes.clearing(hashed) } };
  }),
  lie('1 commitment', 'the point at which a sum that creates two of A and one of B happens to be 0', (random) => {
    const input = planClearing(random, [leg(A, 100n, B, 201n), leg(B, 200n, A, 102n)]);
    // -2 / (x - A) - 1 / (x - B) = 0
    return { input: { ...input, commitment: mod((2n * B + A) * inverse(3n)) } };
  }),
  ...SHOWN.map((name, at) => seen(`the pool sees another ${name}`, (shown, random) => shown.with(at, random.field()))),
  seen('the pool takes what is shown as coefficients from the highest down', (shown) => shown.reverse()),
  seen('the pool sees two fills in the other order', ([first, second, ...others]) => [
    second as bigint,
    first as bigint,
    ...others,
  ]),
  seen('the pool sees a fill in the place of a residual, and that one in its', (shown) => {
    const last = SHOWN.length - 1;
    return shown.with(0, shown[last] as bigint).with(last, shown[0] as bigint);
  }),
  seen('the pool sees no residuals', (shown) => shown.slice(0, SETTLEMENT_FILLS_MAX)),
  lie('2', 'the pool evaluates at another point', (random) => ({
    input: { ...honest(random), challenge: random.field() },
  })),
  lie('3', 'a fill that sold nothing opens as one that sold what another one bought', (random) => {
    const proven = planClearing(random, [leg(A, 0n, B, 200n), leg(B, 200n, A, 100n)]);
    return { input: withClearingHash({ ...proven, sold: put(proven.sold, 0, 100n) }) };
  }),
  lie('3', 'a fill of a worthless asset opens as one of another', (random) => {
    const proven = planClearing(random, [leg(C, 100n, B, 200n), leg(B, 200n, A, 100n)]);
    return { input: withClearingHash({ ...proven, sellAsset: put(proven.sellAsset, 0, A) }) };
  }),
  lie('3', 'the fill of nothing, in the last place, opens as one that sold', (random) => {
    const proven = planClearing(random, [leg(B, 0n, A, 100n)]);
    const last = SETTLEMENT_FILLS_MAX - 1;
    const told = { sellAsset: put(proven.sellAsset, last, A), sold: put(proven.sold, last, 100n) };
    return { input: withClearingHash({ ...proven, ...told }) };
  }),
  lie('3', 'a real fill counts as the fill of nothing, so that what it bought comes from nowhere', (random) => {
    const proven = planClearing(random, [...TRADE, leg(B, 0n, A, 100n)], FEES);
    const nothing = (values: readonly bigint[]) => put(values, 2, 0n);
    const { sellAsset, sold, buyAsset, bought, r } = proven;
    const told = {
      sellAsset: nothing(sellAsset),
      sold: nothing(sold),
      buyAsset: nothing(buyAsset),
      bought: nothing(bought),
      r: nothing(r),
    };
    return { input: withClearingHash({ ...proven, ...told }) };
  }),
  lie('4 inverse', 'every asset weighs the same, and the numbers alone add up', (random) => {
    const input = planClearing(random, [leg(A, 100n, B, 100n)]);
    const ones = input.sellAsset.map(() => 1n);
    return { input, choices: { cutSellInverse: ones, cutBuyInverse: ones } };
  }),
  lie('4 inverse', 'an inverse of 0 makes a fill buy for nothing', (random) => {
    const input = planClearing(random, [leg(A, 0n, B, 100n)]);
    const { cutBuyInverse } = choices(input);
    return { input, choices: { cutBuyInverse: put(cutBuyInverse as bigint[], 0, 0n) } };
  }),
  lie('4 inverse', 'an inverse makes one unit sold as many as were bought', (random) => {
    const input = planClearing(random, [leg(A, 1n, A, 1_000_000n)]);
    const { cutSellInverse } = choices(input);
    const inflated = mod(1_000_000n * ((cutSellInverse as bigint[])[0] as bigint));
    return { input, choices: { cutSellInverse: put(cutSellInverse as bigint[], 0, inflated) } };
  }),
  lie('4 sold', 'more counts as sold than the fill sold', (random) => {
    const input = planClearing(random, [leg(A, 100n, A, 101n)]);
    return { input, choices: { cutSold: put(input.sold, 0, 101n) } };
  }),
  lie('4 bought', 'what a fill bought does not count', (random) => {
    const input = planClearing(random, [leg(A, 0n, B, 100n)]);
    return { input, choices: { cutBought: put(input.bought, 0, 0n) } };
  }),
  minted(
    '5 value',
    'a residual of less than nothing pays for what was bought',
    [leg(A, 0n, B, 100n)],
    [{ asset: B, value: FIELD_MODULUS - 100n }],
  ),
  minted(
    '5 value',
    'a residual of 2^120',
    [leg(A, AMOUNT_MAX, B, 0n), leg(A, 1n, B, 0n)],
    [{ asset: A, value: AMOUNT_MAX + 1n }],
  ),
  lie('5 commitment', 'a residual note is worth more than it counts', (random) => {
    const input = honest(random);
    const [asset, stealth] = [input.residualAsset[0] as bigint, input.residualStealth[0] as bigint];
    const residuals = put(input.residuals, 0, hashes.commitment(asset, 1_000_000n, stealth));
    return { input: withClearingHash({ ...input, residuals }) };
  }),
  lie('5 commitment', 'a residual note is of another asset than it counts as', (random) => {
    const input = honest(random);
    const residuals = put(input.residuals, 0, hashes.commitment(C, 1n, input.residualStealth[0] as bigint));
    return { input: withClearingHash({ ...input, residuals }) };
  }),
  lie('6 inverse', 'an inverse of 0 makes a residual note cost nothing', (random) => {
    const input = planClearing(random, [], [{ asset: A, value: 1_000_000n }]);
    const { cutResidualInverse } = choices(input);
    return { input, choices: { cutResidualInverse: put(cutResidualInverse as bigint[], 0, 0n) } };
  }),
  lie('6 value', 'a residual note does not count', (random) => {
    const input = planClearing(random, [], [{ asset: A, value: 1_000_000n }]);
    return { input, choices: { cutResidual: put(input.residualValue, 0, 0n) } };
  }),
  minted('7', 'one unit more is bought than was sold', [leg(A, 100n, B, 200n), leg(B, 200n, A, 101n)]),
  minted('7', 'one unit less is bought than was sold, and nobody gets it', [
    leg(A, 100n, B, 200n),
    leg(B, 200n, A, 99n),
  ]),
  minted('7', 'the operator takes one unit more than it may', TRADE, [
    { asset: A, value: 2n },
    { asset: B, value: 1n },
  ]),
  minted('7', 'another asset is bought than was sold', [leg(A, 100n, B, 200n), leg(B, 200n, C, 100n)]),
  minted('7', 'errors in two assets that cancel as numbers', [leg(A, 100n, B, 199n), leg(B, 200n, A, 101n)]),
  minted(
    '7',
    'an error in the fills that one in the residuals cancels in another asset',
    [leg(A, 100n, A, 101n)],
    [
      { asset: B, value: 0n },
      { asset: C, value: 1n },
    ],
  ),
  minted('7', 'a residual note out of nothing', [], [{ asset: A, value: 1n }]),
  minted(
    '7',
    'the largest amounts out of nothing',
    Array.from({ length: 16 }, () => leg(A, 0n, B, AMOUNT_MAX)),
  ),
];

describe('circuit clearing: what each step forbids', function () {
  this.timeout('5 minutes');
  let circuit: SwitchedCircuit;

  before(async () => {
    circuit = await SwitchedCircuit.compile('clearing', SWITCHES, EDITS, choices(honest(new SeededRandom('anything'))));
  });

  it('every numbered step has a case', () => {
    const numbers = (names: readonly string[]) => [...new Set(names.map((name) => name.split(' ')[0]))];
    assert.deepEqual(stepsOf('clearing'), numbers(SWITCHES));
    const cases = CASES.map(({ step }) => step);
    assert.deepEqual([...new Set(cases)].sort(), [...SWITCHES].sort());
  });

  it('with every step on, the copy is the circuit', () => {
    circuit.assertFaithful(honest(new SeededRandom('faithful clearing')));
  });

  for (const { step, title, tell } of CASES) {
    it(`[${step}] ${title}`, () => {
      const { input, choices: own = {} } = tell(new SeededRandom(`clearing: ${title}`));
      circuit.assertForbiddenBy(step, input, { ...choices(input), ...own });
    });
  }

  // 1 / 0 is no number: whatever the prover takes for it, the constraint fails. To name an asset that is the hash, the hash is free here too.
  it('[4 inverse] an asset that is the hash itself', () => {
    const random = new SeededRandom('asset of the hash');
    const off: readonly Switch[] = ['1 commitment', '4 inverse'];
    const followers = Object.fromEntries(
      [...circuit.copy.symbols.keys()].filter((name) => name.endsWith('.cutTied')).map((name) => [name, 1n]),
    );
    const truth = honest(random);
    const witness = circuit.copy.calculate(circuit.inputFor(truth, off, choices(truth)));
    assert.equal(circuit.copy.r1cs.firstViolated(circuit.switchedOn(witness, '4 inverse', followers)), null);

    const commitment = random.field();
    const input = { ...planClearing(random, [leg(commitment, 0n, A, 0n)]), commitment };
    const others = choices({ ...input, sellAsset: put(input.sellAsset, 0, 0n) });
    for (const own of [0n, 1n, random.field()]) {
      const free = { ...others, cutSellInverse: put(others['cutSellInverse'] as bigint[], 0, own) };
      circuit.assertForbiddenAmong(off, '4 inverse', input, followers, free);
    }
  });
});
