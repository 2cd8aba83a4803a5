import assert from 'node:assert/strict';
import { AMOUNT_MAX, CIRCUITS, FIELD_MODULUS, type Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput, SignalValue } from '@bitcloak/prover/witness';
import {
  BothWays,
  bucketTree,
  makeAccount,
  planInsertion,
  planTransfer,
  SeededRandom,
  VALID_AFTER,
} from '../support/circuit.ts';
import { planClearing, planFill } from '../support/fillCircuit.ts';

const ROUNDS = 1_000;

const MAKERS: Readonly<Record<Circuit, (random: SeededRandom) => CircuitInput>> = {
  transfer: (random) => {
    const [first, second] = [random.below(AMOUNT_MAX), random.below(3n) === 0n ? 0n : random.below(AMOUNT_MAX)];
    const spent = random.below((first < second ? first : second) + 1n);
    const lock = { operatorId: random.field(), expiry: random.below(VALID_AFTER) };
    return planTransfer({
      random,
      account: makeAccount(random),
      inputs: [random.below(2n) === 0n ? { value: first } : { value: first, lock }, { value: second }],
      outputs: [first - spent, second, 0n],
      withdrawAmount: spent,
    });
  },
  fill: (random) => {
    const value = random.below(AMOUNT_MAX / 2n);
    const sold = random.below(value + 1n);
    const filled = random.below(AMOUNT_MAX / 2n);
    const state = random.below(2n) === 0n ? {} : { state: { filled, k: 1n + random.below(9n) } };
    return planFill({
      random,
      account: makeAccount(random),
      inputs: [{ value }, { value: random.below(1000n) }],
      sold,
      bought: sold,
      order: { sellMax: AMOUNT_MAX, buyMin: AMOUNT_MAX },
      ...state,
    });
  },
  clearing: (random) => {
    const [sellAsset, buyAsset] = [random.below(2n ** 160n), random.below(2n ** 160n)];
    const [sold, bought] = [random.below(AMOUNT_MAX), random.below(AMOUNT_MAX)];
    return planClearing(random, [
      { sellAsset, sold, buyAsset, bought },
      { sellAsset: buyAsset, sold: bought, buyAsset: sellAsset, bought: sold },
    ]);
  },
  insertion: (random) => {
    const leaves = Array.from({ length: Number(random.below(65n)) }, () => random.field());
    return planInsertion(random, bucketTree(), Number(random.below(1000n)), leaves);
  },
};

const VALUES = [0n, 1n, 2n, FIELD_MODULUS - 1n, 2n ** 40n, 2n ** 120n, 2n ** 160n];

/** The input with one value changed: to another random one, an edge, or by 1. */
function spoilt(input: CircuitInput, random: SeededRandom): CircuitInput {
  const any = <T>(from: readonly T[]): T => from[Number(random.below(BigInt(from.length)))] as T;
  const change = (value: SignalValue): SignalValue => {
    if (typeof value === 'bigint') return any([random.field(), any(VALUES), (value + 1n) % FIELD_MODULUS]);
    const at = Number(random.below(BigInt(value.length)));
    return value.map((part, index) => (index === at ? change(part) : part));
  };
  const [name, value] = any(Object.entries(input));
  return { ...input, [name]: change(value) };
}

describe('both ways to a witness', function () {
  this.timeout(3_600_000);

  for (const circuit of CIRCUITS) {
    it(`make the same of ${ROUNDS} statements of ${circuit}, and refuse the same of as many spoilt ones`, () => {
      const both = new BothWays(circuit);
      let refused = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const random = new SeededRandom(`witness ${circuit} ${round}`);
        const input = MAKERS[circuit](random);
        both.compute(input);
        try {
          both.compute(spoilt(input, random));
        } catch (error) {
          if (!(error instanceof Error && 'code' in error && error.code === 'STATEMENT_FALSE')) throw error;
          refused++;
        }
      }
      assert(refused > ROUNDS / 2 && refused < ROUNDS, String(refused));
    });
  }
});
