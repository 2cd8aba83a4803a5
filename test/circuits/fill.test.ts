import assert from 'node:assert/strict';
import { AMOUNT_MAX, PUBLIC_SIGNALS, TIME_MAX, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import { compiledCircuit, makeAccount, SeededRandom } from '../support/circuit.ts';
import { fillSignals, LOCKED_UNTIL, planFill, VALID_UNTIL, type FillPlan } from '../support/fillCircuit.ts';

type Shape = Omit<FillPlan, 'random' | 'account'>;

const asset = new SeededRandom('withdrawn asset').below(2n ** 160n);

const VALID: Readonly<Record<string, Shape>> = {
  'a whole note for what the order asks': { inputs: [{ value: 1000n }], sold: 1000n, bought: 2000n },
  'a part of a note': { inputs: [{ value: 1000n }], sold: 600n, bought: 2000n },
  'two notes, the earlier lock first': {
    inputs: [
      { value: 1000n, expiry: LOCKED_UNTIL - 1n },
      { value: 500n, expiry: LOCKED_UNTIL },
    ],
    sold: 1200n,
    bought: 7n,
  },
  'two notes under one lock': { inputs: [{ value: 1n }, { value: 1n }], sold: 2n, bought: 1n },
  'a dummy before the note': {
    inputs: [
      { value: 0n, expiry: VALID_UNTIL },
      { value: 10n, expiry: LOCKED_UNTIL },
    ],
    sold: 3n,
    bought: 4n,
  },
  'the price exactly at the limit': {
    inputs: [{ value: 1000n }],
    sold: 500n,
    bought: 250n,
    order: { sellMax: 1000n, buyMin: 500n },
  },
  'a better price than the limit': {
    inputs: [{ value: 1000n }],
    sold: 500n,
    bought: 251n,
    order: { sellMax: 1000n, buyMin: 500n },
  },
  'the second fill, to the end of the order': {
    inputs: [{ value: 1000n }],
    sold: 400n,
    bought: 400n,
    order: { sellMax: 1000n, buyMin: 1000n },
    state: { filled: 600n, k: 1n },
  },
  'a late fill of a small part': {
    inputs: [{ value: 1000n }],
    sold: 1n,
    bought: 1n,
    order: { sellMax: 1000n, buyMin: 1000n },
    state: { filled: 600n, k: 99n, leafIndex: TREE_LEAVES - 1 },
  },
  'the first and the last place of the tree': {
    inputs: [
      { value: 5n, leafIndex: 0 },
      { value: 6n, leafIndex: TREE_LEAVES - 1 },
    ],
    sold: 11n,
    bought: 1n,
  },
  'the largest amounts': {
    inputs: [{ value: AMOUNT_MAX }, { value: AMOUNT_MAX }],
    sold: AMOUNT_MAX,
    bought: AMOUNT_MAX,
  },
  'the latest times': {
    inputs: [{ value: 5n, expiry: TIME_MAX }],
    sold: 5n,
    bought: 5n,
    order: { expiry: TIME_MAX },
    validUntil: TIME_MAX,
  },
  'a lock that ends with the settlement': {
    inputs: [{ value: 5n, expiry: VALID_UNTIL }],
    sold: 5n,
    bought: 5n,
  },
  'an order that asks for nothing': { inputs: [{ value: 5n }], sold: 5n, bought: 0n, order: { buyMin: 0n } },
  'a withdrawal: an asset for itself, less a fee': {
    inputs: [{ value: 1000n }],
    sold: 1000n,
    bought: 990n,
    order: { sellAsset: asset, buyAsset: asset },
  },
  'nothing for nothing': { inputs: [{ value: 1000n }], sold: 0n, bought: 0n, order: { sellMax: 9n, buyMin: 9n } },
  'the operator’s filling: dummies only': { inputs: [], sold: 0n, bought: 0n },
};

describe('circuit fill: valid statements', () => {
  const { r1cs, calculate } = compiledCircuit('fill');

  const check = (shape: Shape, random: SeededRandom, account = makeAccount(random)) => {
    const input = planFill({ ...shape, random, account });
    const witness = calculate(input);
    assert.equal(r1cs.firstViolated(witness), null);
    assert.deepEqual(witness.slice(1, 1 + PUBLIC_SIGNALS.fill.length), fillSignals(input));
  };

  for (const [title, shape] of Object.entries(VALID)) {
    it(title, () => check(shape, new SeededRandom(`valid fill: ${title}`)));
  }

  it('proceeds that are locked again', () => {
    const random = new SeededRandom('valid fill: relock');
    const account = makeAccount(random);
    for (const relockExpiry of [1n, LOCKED_UNTIL, TIME_MAX]) {
      const order = { payTo: account.owner, relockExpiry };
      check({ inputs: [{ value: 10n }], sold: 10n, bought: 20n, order }, random, account);
    }
  });
});
