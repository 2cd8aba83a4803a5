// False statements about fills, each by the step that forbids it: by an operator who knows the nullifier key of the account whose notes it
// fills with but not its spending scalar, or by an owner who fills an order of its own.
import { AMOUNT_MAX, FIELD_MODULUS, SUBGROUP_ORDER, TIME_MAX, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import { hashes, inverse, mod, treeOfStrangers, type Account, type SeededRandom } from '../support/circuit.ts';
import {
  commitmentOf,
  fillParts,
  LOCKED_UNTIL,
  orderHashOf,
  planFill,
  settlementHashes,
  signOrder,
  VALID_UNTIL,
  withFillSignals,
  type FillInput,
  type FillPlan,
  type FillView,
  type Opening,
  type OrderTerms,
} from '../support/fillCircuit.ts';
import { OFF_CURVE_KEY, ORDER_8, withKeylessSignature, withTwistedSignature } from './curve.ts';
import type { FillSwitch } from './fillSwitches.ts';

export type FillScene = { readonly random: SeededRandom; readonly alice: Account; readonly mallory: Account };
/** A false statement, and what the prover puts in the place of the step that is off. */
type Lie = { readonly input: FillInput; readonly view?: FillView; readonly index?: bigint[] };
export type FillCase = { readonly step: FillSwitch; readonly title: string; readonly tell: (scene: FillScene) => Lie };

type Shape = Partial<Omit<FillPlan, 'random'>>;

/** Notes of 1000 and 500, of which 1200 go for 2400, exactly at the limit of the order and all that it sells. */
export function honestFill({ random, alice }: FillScene, shape: Shape = {}): FillInput {
  const inputs = [{ value: 1000n }, { value: 500n }];
  return planFill({ random, account: alice, inputs, sold: 1200n, bought: 2400n, ...shape });
}

const lie = (step: FillSwitch, title: string, tell: (scene: FillScene) => Lie): FillCase => ({ step, title, tell });
/** A false plan: everything public follows from it, and its order is signed. */
const plan = (step: FillSwitch, title: string, shape: (scene: FillScene) => Shape): FillCase =>
  lie(step, title, (scene) => {
    const { view, ...rest } = shape(scene);
    return view === undefined
      ? { input: honestFill(scene, rest) }
      : { input: honestFill(scene, { ...rest, view }), view };
  });
/** An honest fill with some signals changed and everything else as it was. */
const changed = (
  step: FillSwitch,
  title: string,
  change: (input: FillInput, scene: FillScene) => Partial<FillInput>,
  shape: Shape = {},
): FillCase =>
  lie(step, title, (scene) => {
    const input = honestFill(scene, shape);
    return { input: { ...input, ...change(input, scene) } };
  });
/** An honest fill after which the private signals say something else; the order stays as it was signed. */
const retold = (
  step: FillSwitch,
  title: string,
  change: (input: FillInput, scene: FillScene) => Partial<FillInput>,
  shape: Shape = {},
): FillCase =>
  lie(step, title, (scene) => {
    const input = honestFill(scene, shape);
    return { input: withFillSignals({ ...input, ...change(input, scene) }) };
  });

const HALF = (FIELD_MODULUS + 1n) / 2n;
const asset = (random: SeededRandom) => random.below(2n ** 160n);
/** The second fill of an order for 3000, of which 600 went before. */
const SECOND: Shape = { order: { sellMax: 3000n, buyMin: 6000n }, state: { filled: 600n, k: 1n } };

// --- the owner, the order and the signature ---------------------------------------------------------------------------

/** What the owner signs, and what of it the operator would rather have. */
const TERMS: Partial<OrderTerms> = { sellMax: 3000n, buyMin: 6000n, expiry: VALID_UNTIL + 100n };
const REWRITTEN: readonly [title: string, terms: (scene: FillScene) => Partial<OrderTerms>][] = [
  ['another operator fills the order', ({ random }) => ({ operatorId: random.field() })],
  ['the order sells another asset than its owner signed', ({ random }) => ({ sellAsset: asset(random) })],
  ['the order buys another asset than its owner signed', ({ random }) => ({ buyAsset: asset(random) })],
  ['the order sells more than its owner signed', () => ({ sellMax: 4000n })],
  ['the order asks for less than its owner signed', () => ({ buyMin: 1n })],
  ['the order is valid for longer than its owner signed', () => ({ expiry: TIME_MAX })],
  ['the proceeds of the order go to the operator', ({ mallory }) => ({ payTo: mallory.owner })],
  ['the order locks again what its owner wanted without a lock', () => ({ relockExpiry: TIME_MAX })],
  ['the order comes once more, with another salt', ({ random }) => ({ salt: random.field() })],
];

function termsOf(input: FillInput): OrderTerms {
  const { operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = input;
  return { operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt };
}

/** The keys of an account with another public key. */
const underKey = (account: Account, publicKey: Account['publicKey']): Account => ({
  ...account,
  publicKey,
  owner: hashes.owner(publicKey, account.nullifierKey),
});

const AUTHORITY: readonly FillCase[] = [
  plan('1', 'an operator who knows the nullifier key orders under a key of its own', ({ alice, mallory }) => ({
    account: { ...mallory, nullifierKey: alice.nullifierKey },
    view: { owner: alice.owner },
  })),
  plan('1', 'a second nullifier of a note by another nullifier key', ({ alice, random }) => ({
    account: { ...alice, nullifierKey: random.field() },
    view: { owner: alice.owner },
  })),
  ...REWRITTEN.map(([title, terms]) =>
    plan('2', title, (scene) => {
      const signed = honestFill(scene, { order: { ...TERMS, payTo: scene.alice.owner } });
      const order = { ...termsOf(signed), ...terms(scene) };
      return { order, view: { orderHash: orderHashOf(signed) } };
    }),
  ),
  plan('2', 'somebody else counts on the state of an order', (scene) => {
    const orderHash = orderHashOf(honestFill(scene, { order: TERMS }));
    return { account: scene.mallory, order: TERMS, view: { orderHash } };
  }),
  lie('3 key', 'a key off the curve for which anybody can sign', (scene) => {
    const account = underKey(scene.alice, OFF_CURVE_KEY);
    return { input: withKeylessSignature(honestFill(scene, { account }), 5n) };
  }),
  lie('4', 'an operator who knows the nullifier key signs the order itself', (scene) => ({
    input: signOrder(honestFill(scene), scene.mallory),
  })),
  lie('4', 'a signature of another order', (scene) => {
    const { signatureR8, signatureS } = honestFill(scene);
    return { input: { ...honestFill(scene), signatureR8, signatureS } };
  }),
  changed('4', 'the signature’s other form, S + the order of the subgroup', ({ signatureS }) => ({
    signatureS: signatureS + SUBGROUP_ORDER,
  })),
  lie('4', 'a key of order 8, for which anybody can sign', (scene) => {
    const account = underKey(scene.alice, ORDER_8);
    return { input: withKeylessSignature(honestFill(scene, { account }), 5n) };
  }),
  lie('4', 'R8 with a part of order 8', (scene) => {
    const input = honestFill(scene);
    const nonce = scene.random.below(SUBGROUP_ORDER);
    return { input: withTwistedSignature(input, orderHashOf(input), scene.alice, nonce) };
  }),
  plan('5 expiry', 'an order that is valid until 2^40', () => ({
    validUntil: TIME_MAX,
    order: { expiry: TIME_MAX + 1n },
    inputs: [{ value: 1200n, expiry: TIME_MAX }],
  })),
  plan('5 comparison', 'an order that expired one second ago', () => ({ order: { expiry: VALID_UNTIL - 1n } })),
  plan('5 relock', 'proceeds that are locked until 2^40, so that nothing ever opens them', ({ alice }) => ({
    order: { payTo: alice.owner, relockExpiry: TIME_MAX + 1n },
  })),
];

// --- the state --------------------------------------------------------------------------------------------------------

const STATE: readonly FillCase[] = [
  retold(
    '6',
    'less than nothing is filled of a fresh order, so that more than all of it can be sold',
    () => ({ filled: FIELD_MODULUS - 200n }),
    { order: { sellMax: 1000n, buyMin: 2000n } },
  ),
  retold('6', 'a fresh order counts as filled in part', () => ({ filled: 600n }), {
    order: { sellMax: 3000n, buyMin: 6000n },
  }),
  retold('7', 'what was filled is set back', () => ({ filled: 0n }), SECOND),
  retold('7', 'the state is counted on, for an order nullifier that is new', () => ({ k: 2n }), SECOND),
  retold('7', 'the state is counted back', () => ({ k: 1n }), { ...SECOND, state: { filled: 600n, k: 2n } }),
  retold('7', 'a state of an order that was never filled', () => ({ k: 1n })),
  retold('7', 'a count below 0, after which the order is fresh once more', () => ({ k: FIELD_MODULUS - 1n })),
  plan('7', 'the state of another order', ({ random }) => ({
    ...SECOND,
    state: { filled: 600n, k: 1n, orderHash: random.field() },
  })),
  lie('7', 'a state in a tree of the prover', (scene) => {
    const input = honestFill(scene, { ...SECOND, inputs: [], sold: 0n, bought: 0n });
    return { input: { ...input, root: treeOfStrangers(scene.random, [0]).root } };
  }),
  changed(
    '8',
    'the order nullifier of the next state, so that this one can be filled from twice',
    (input) => ({
      orderNullifier: settlementHashes.orderNullifier(
        settlementHashes.cancelKey(input.nullifierKey, orderHashOf(input), input.k + 1n),
      ),
    }),
    SECOND,
  ),
  changed('8', 'an order nullifier of the prover’s choice', (_, { random }) => ({ orderNullifier: random.field() })),
  changed('8', 'the order nullifier by another nullifier key', (input, { random }) => ({
    orderNullifier: settlementHashes.orderNullifier(
      settlementHashes.cancelKey(random.field(), orderHashOf(input), input.k),
    ),
  })),
];

// --- the notes --------------------------------------------------------------------------------------------------------

const NOTES: readonly FillCase[] = [
  plan('9 expiry', 'notes that are locked until 2^40', () => ({
    validUntil: TIME_MAX,
    inputs: [
      { value: 1000n, expiry: TIME_MAX + 1n },
      { value: 500n, expiry: TIME_MAX + 1n },
    ],
  })),
  plan('9 comparison', 'a note whose lock expired one second ago, which its owner may be spending', () => ({
    inputs: [
      { value: 1000n, expiry: VALID_UNTIL - 1n },
      { value: 500n, expiry: LOCKED_UNTIL },
    ],
  })),
  plan('10 asset', 'a note of another asset', ({ random }) => ({ view: { note: { asset: asset(random) } } })),
  plan('10 value', 'a note of 1 sold as one of 1000', () => ({ view: { note: { value: 1n } } })),
  plan('10 owner', 'a note of somebody else', ({ alice, mallory }) => ({
    account: mallory,
    view: { note: { owner: alice.owner } },
  })),
  plan('10 lock', 'a note without a lock', () => ({ view: { note: { lock: 0n } } })),
  plan('10 lock', 'a note that is locked to another operator', ({ random }) => ({
    view: { note: { lock: hashes.lock({ operatorId: random.field(), expiry: LOCKED_UNTIL }) } },
  })),
  plan('10 lock', 'a note whose lock has expired, with a later expiry', ({ random }) => {
    const operatorId = random.field();
    const lock = hashes.lock({ operatorId, expiry: VALID_UNTIL - 1n });
    return { order: { operatorId }, view: { note: { lock } } };
  }),
  retold('11 inclusion', 'a note that is not in the tree', ({ inputBlinding }, { random }) => ({
    inputBlinding: [random.field(), ...inputBlinding.slice(1)],
  })),
  retold('11 inclusion', 'a note that is worth more than the one in the tree', () => ({
    inputValue: [1_000_000n, 500n],
  })),
  changed('11 inclusion', 'notes in a tree of the prover', (_, { random }) => ({
    root: treeOfStrangers(random, [0]).root,
  })),
  lie('11 index', 'a second nullifier of a note by another index', (scene) => {
    const input = honestFill(scene);
    const [index, other] = input.inputLeafIndex as [bigint, bigint];
    const moved = withFillSignals({ ...input, inputLeafIndex: [index === 0n ? 1n : index - 1n, other] });
    return { input: moved, index: input.inputLeafIndex };
  }),
  lie('11 index', 'a second nullifier of a note by an index outside the tree that has the same low bits', (scene) => {
    const input = honestFill(scene);
    const [index, other] = input.inputLeafIndex as [bigint, bigint];
    const moved = withFillSignals({ ...input, inputLeafIndex: [index + BigInt(TREE_LEAVES), other] });
    return { input: moved, index: input.inputLeafIndex };
  }),
  ...[0, 1].map((place) =>
    lie('12', `nullifier ${place} of the prover’s choice`, (scene) => {
      const input = honestFill(scene);
      const view = { nullifiers: input.nullifiers.with(place, scene.random.field()) };
      return { input: withFillSignals(input, view), view };
    }),
  ),
  plan('13', 'the change is locked for longer than the second note was', () => ({
    inputs: [
      { value: 1000n, expiry: LOCKED_UNTIL + 1n },
      { value: 500n, expiry: LOCKED_UNTIL },
    ],
  })),
];

// --- the fill ---------------------------------------------------------------------------------------------------------

const AMOUNTS: readonly FillCase[] = [
  plan('14 sum', 'the change is worth more than what is left of the notes', () => ({ view: { rest: 301n } })),
  plan('14 sum', 'the change is worth less than what is left of the notes', () => ({ view: { rest: 0n } })),
  plan('14 sold', 'less than nothing is sold, and the change is worth more than the notes', () => ({
    sold: FIELD_MODULUS - 1n,
    bought: 0n,
    order: { sellMax: 1000n, buyMin: 1000n },
  })),
  plan('14 bought', 'half of p + 1 is bought, twice which is 1', () => ({
    sold: 1n,
    bought: HALF,
    order: { sellMax: 2n, buyMin: 1n },
  })),
  plan('14 bought', 'less than nothing is bought, so that somebody else can buy more than is sold', () => ({
    sold: 0n,
    bought: FIELD_MODULUS - 1n,
    order: { sellMax: 0n, buyMin: 0n },
  })),
  plan('14 bought', '2^120 are bought', () => ({ bought: AMOUNT_MAX + 1n, order: { buyMin: 0n } })),
  plan('14 rest', 'one unit more is sold than the notes are worth', () => ({ sold: 1501n })),
  plan('14 rest', 'dummies are sold', () => ({ inputs: [] })),
  plan('14 rest', 'two notes become a change of 2^120', () => ({
    inputs: [{ value: AMOUNT_MAX }, { value: 2n }],
    sold: 1n,
  })),
  plan('15 sellMax', 'an order that sells 2^120', () => ({ order: { sellMax: 2n ** 120n }, bought: 1n })),
  plan('15 sellMax', 'an order that sells a number which makes any price a good one', () => ({
    // sellMax = (p + 1) / 2, so what two bought units pay for is 1.
    sold: 1n,
    bought: 2n,
    order: { sellMax: HALF, buyMin: 1n },
    state: { filled: HALF - 1n, k: 1n },
  })),
  plan('15 buyMin', 'an order that asks for 2^120', () => ({
    sold: 1n,
    bought: 2n ** 119n,
    order: { sellMax: 2n, buyMin: 2n ** 120n },
  })),
  plan('15 buyMin', 'an order that asks for more than there can be, three times which is 1', () => ({
    sold: 3n,
    bought: 1n,
    order: { buyMin: inverse(3n) },
  })),
  plan('15 buyAsset', 'an order that buys the asset 2^160', () => ({ order: { buyAsset: 2n ** 160n } })),
  plan('15 buyAsset', 'an order that buys an asset which the third word tells as another one', ({ random }) => ({
    order: { buyAsset: 2n ** 160n + asset(random) },
  })),
  plan('16', 'one unit more is sold than the order sells', () => ({ order: { sellMax: 1199n, buyMin: 2300n } })),
  plan('16', 'two fills together sell one unit more than the order sells', () => ({
    order: { sellMax: 1799n, buyMin: 1n },
    state: { filled: 600n, k: 1n },
  })),
  plan('16', 'an order that is filled already is filled once more', () => ({
    order: { sellMax: 1200n, buyMin: 2400n },
    state: { filled: 1200n, k: 1n },
  })),
  plan('17 least', 'the limit counts as 0', () => ({ bought: 1n, order: { buyMin: 2400n }, view: { least: 0n } })),
  plan('17 most', 'what was bought counts for more', () => ({
    bought: 1n,
    order: { buyMin: 2400n },
    view: { most: 1200n * 2400n },
  })),
  plan('17 comparison', 'one unit less is bought than the limit says', () => ({
    bought: 2399n,
    order: { buyMin: 2400n },
  })),
  plan('17 comparison', 'a small part of the order is sold for less than its part of the limit', () => ({
    sold: 1n,
    bought: 1n,
    order: { sellMax: 3000n, buyMin: 3001n },
  })),
  plan('17 comparison', 'nothing is bought', () => ({ bought: 0n, order: { buyMin: 1n } })),
  ...Object.entries({
    'the clearing is told that more was sold': { sold: 1201n },
    'the clearing is told that less was bought': { bought: 2399n },
    'the clearing is told of another asset that was sold': { sellAsset: 1n },
    'the clearing is told of another asset that was bought': { buyAsset: 1n },
  }).map(([title, told]) =>
    lie('18', title, (scene) => {
      const input = honestFill(scene);
      const { sellAsset, sold, buyAsset, bought, r } = { ...input, ...told };
      const view = { fill: settlementHashes.fill([sellAsset, sold, buyAsset, bought, r]) };
      return { input: withFillSignals(input, view), view };
    }),
  ),
];

// --- what comes out ---------------------------------------------------------------------------------------------------

/** A commitment of the change or of the proceeds with some part of it changed. */
const opened = (
  name: 'change' | 'proceeds',
  title: string,
  change: (honest: Opening, scene: FillScene) => Partial<Opening>,
): FillCase =>
  changed(name === 'change' ? '19 commitment' : '20 commitment', title, (input, scene) => {
    const honest = fillParts(input)[name];
    return { [name]: commitmentOf({ ...honest, ...change(honest, scene) }) };
  });

const OUTPUTS: readonly FillCase[] = [
  plan('19 blinding', 'the change has a blinding of the prover’s choice', ({ random }) => ({
    view: { change: { blinding: random.field() } },
  })),
  plan('19 lock', 'the change is locked for longer', ({ random }) => {
    const operatorId = random.field();
    return { order: { operatorId }, view: { change: { lock: hashes.lock({ operatorId, expiry: TIME_MAX }) } } };
  }),
  plan('19 lock', 'the change is locked to another operator', ({ random }) => ({
    view: { change: { lock: hashes.lock({ operatorId: random.field(), expiry: LOCKED_UNTIL }) } },
  })),
  plan('19 lock', 'the change has no lock', () => ({ view: { change: { lock: 0n } } })),
  opened('change', 'the change goes to the operator', (_, { mallory }) => ({ owner: mallory.owner })),
  opened('change', 'the change goes to payTo', (_, { random }) => ({ owner: random.field() })),
  opened('change', 'the change is worth one unit more', ({ value }) => ({ value: value + 1n })),
  opened('change', 'the change is worth nothing', () => ({ value: 0n })),
  opened('change', 'the change is of another asset', (_, { random }) => ({ asset: asset(random) })),
  plan('20 owner', 'proceeds are locked again that are not the owner’s', ({ mallory }) => ({
    order: { payTo: mallory.owner, relockExpiry: LOCKED_UNTIL },
  })),
  plan('20 blinding', 'the proceeds have a blinding of the prover’s choice', ({ random }) => ({
    view: { proceeds: { blinding: random.field() } },
  })),
  plan('20 lock', 'the proceeds are not locked again', ({ alice }) => ({
    order: { payTo: alice.owner, relockExpiry: LOCKED_UNTIL },
    view: { proceeds: { lock: 0n } },
  })),
  plan('20 lock', 'the proceeds are locked for longer than the order says', ({ alice, random }) => {
    const operatorId = random.field();
    return {
      order: { operatorId, payTo: alice.owner, relockExpiry: LOCKED_UNTIL },
      view: { proceeds: { lock: hashes.lock({ operatorId, expiry: TIME_MAX }) } },
    };
  }),
  plan('20 lock', 'the proceeds are locked to another operator', ({ alice, random }) => ({
    order: { payTo: alice.owner, relockExpiry: LOCKED_UNTIL },
    view: { proceeds: { lock: hashes.lock({ operatorId: random.field(), expiry: LOCKED_UNTIL }) } },
  })),
  plan('20 lock', 'the proceeds are locked though the order says nothing of it', ({ random }) => {
    const operatorId = random.field();
    return { order: { operatorId }, view: { proceeds: { lock: hashes.lock({ operatorId, expiry: TIME_MAX }) } } };
  }),
  opened('proceeds', 'the proceeds go to the operator', (_, { mallory }) => ({ owner: mallory.owner })),
  opened('proceeds', 'the proceeds are worth one unit more', ({ value }) => ({ value: value + 1n })),
  opened('proceeds', 'the proceeds are worth one unit less', ({ value }) => ({ value: value - 1n })),
  opened('proceeds', 'the proceeds are of another asset', (_, { random }) => ({ asset: asset(random) })),
  ...Object.entries<{ filled?: bigint; k?: bigint }>({
    'the next state says that nothing was sold': { filled: 600n },
    'the next state says that more was sold': { filled: 2000n },
    'the next state is one more with the same count': { k: 1n },
    'the next state leaves a count out': { k: 3n },
    'the next state says that the order is fresh': { filled: 0n, k: 0n },
  }).map(([title, { filled = 1800n, k = 2n }]) =>
    changed(
      '21',
      title,
      (input) => ({ orderState: settlementHashes.orderState(orderHashOf(input), filled, k) }),
      SECOND,
    ),
  ),
  changed('21', 'the next state is one of another order', (_, { random }) => ({
    orderState: settlementHashes.orderState(random.field(), 0n, 1n),
  })),
  lie('22 pads', 'the words are under pads that the owner does not know', (scene) => {
    const input = honestFill(scene);
    const { pads } = fillParts({ ...input, nullifierKey: scene.mallory.nullifierKey });
    return { input: withFillSignals(input, { pads }), view: { pads } };
  }),
  ...(
    [
      ['22 sold and rest', 'the first word says that less was sold', (word) => word - 1n],
      ['22 sold and rest', 'the first word says that the change is worth more', (word) => word + 2n ** 120n],
      ['22 bought and relock', 'the second word says that more was bought', (word) => word + 1n],
      ['22 bought and relock', 'the second word tells of a lock that is none', (word) => word + 2n ** 120n],
      ['22 asset and expiry', 'the third word says that another asset was bought', (word) => word ^ 1n],
      ['22 asset and expiry', 'the third word says that the change is locked for longer', (word) => word + 2n ** 160n],
    ] as const satisfies readonly (readonly [FillSwitch, string, (word: bigint) => bigint])[]
  ).map(([step, title, change], row) =>
    changed(step, title, ({ words }) => {
      const at = Math.floor(row / 2);
      return { words: words.with(at, mod(change(words[at] as bigint))) };
    }),
  ),
  ...(['22 sold and rest', '22 bought and relock', '22 asset and expiry'] as const).map((step, at) =>
    changed(step, `word ${at} says nothing`, ({ words }, { random }) => ({ words: words.with(at, random.field()) })),
  ),
];

export const CASES: readonly FillCase[] = [...AUTHORITY, ...STATE, ...NOTES, ...AMOUNTS, ...OUTPUTS];
