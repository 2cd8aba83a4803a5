import assert from 'node:assert/strict';
import { AMOUNT_MAX, PUBLIC_SIGNALS, TIME_MAX, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import {
  compiledCircuit,
  makeAccount,
  planTransfer,
  SeededRandom,
  transferSignals,
  VALID_AFTER,
  type TransferPlan,
} from '../support/circuit.ts';

const operatorId = new SeededRandom('operator').field();
const expired = { operatorId, expiry: VALID_AFTER - 1n };

type Shape = Omit<TransferPlan, 'random' | 'account'>;

const VALID: Readonly<Record<string, Shape>> = {
  'one note and a dummy': { inputs: [{ value: 1000n, leafIndex: 7 }], outputs: [600n, 400n, 0n] },
  'two notes': { inputs: [{ value: 1000n }, { value: 500n }], outputs: [1n, 1498n, 1n] },
  'two notes next to each other': {
    inputs: [
      { value: 3n, leafIndex: 64 },
      { value: 4n, leafIndex: 65 },
    ],
    outputs: [7n, 0n, 0n],
  },
  'the first place of the tree': { inputs: [{ value: 5n, leafIndex: 0 }], outputs: [5n, 0n, 0n] },
  'the last place of the tree': { inputs: [{ value: 5n, leafIndex: TREE_LEAVES - 1 }], outputs: [5n, 0n, 0n] },
  'each position among four': {
    inputs: [
      { value: 5n, leafIndex: 0b11_10_01_00_11_10 },
      { value: 6n, leafIndex: 0b01_00_11_10_01_00 },
    ],
    outputs: [11n, 0n, 0n],
  },
  'a withdrawal of a part': { inputs: [{ value: 1000n }], outputs: [100n, 200n, 3n], withdrawAmount: 697n },
  'a withdrawal of everything': { inputs: [{ value: 1000n }], outputs: [0n, 0n, 0n], withdrawAmount: 1000n },
  'the largest amount': { inputs: [{ value: AMOUNT_MAX }], outputs: [0n, AMOUNT_MAX, 0n] },
  'two of the largest amount': {
    inputs: [{ value: AMOUNT_MAX }, { value: AMOUNT_MAX }],
    outputs: [AMOUNT_MAX, 0n, AMOUNT_MAX],
  },
  'the largest amount withdrawn': {
    inputs: [{ value: AMOUNT_MAX }],
    outputs: [0n, 0n, 0n],
    withdrawAmount: AMOUNT_MAX,
  },
  'the lock of one input has expired': {
    inputs: [{ value: 9n, lock: expired }, { value: 1n }],
    outputs: [10n, 0n, 0n],
  },
  'a lock that expires at validAfter': {
    inputs: [
      { value: 9n, lock: { operatorId, expiry: VALID_AFTER } },
      { value: 1n, lock: { operatorId: 0n, expiry: 0n } },
    ],
    outputs: [10n, 0n, 0n],
  },
  'the last times': {
    inputs: [{ value: 9n, lock: { operatorId, expiry: TIME_MAX } }],
    outputs: [9n, 0n, 0n],
    validAfter: TIME_MAX,
  },
  'the first times': {
    inputs: [{ value: 9n, lock: { operatorId, expiry: 0n } }],
    outputs: [9n, 0n, 0n],
    validAfter: 0n,
  },
  'a dummy with an expired lock': {
    inputs: [{ value: 9n }, { value: 0n, lock: expired }],
    outputs: [9n, 0n, 0n],
  },
  'dummies only': { inputs: [{ value: 0n }, { value: 0n }], outputs: [0n, 0n, 0n] },
};

describe('circuit transfer: valid statements', () => {
  const { r1cs, calculate } = compiledCircuit('transfer');

  for (const [title, shape] of Object.entries(VALID)) {
    it(title, () => {
      const random = new SeededRandom(`valid transfer: ${title}`);
      const input = planTransfer({ ...shape, random, account: makeAccount(random) });
      const witness = calculate(input);
      assert.equal(r1cs.firstViolated(witness), null);
      assert.deepEqual(witness.slice(1, 1 + PUBLIC_SIGNALS.transfer.length), transferSignals(input));
    });
  }
});
