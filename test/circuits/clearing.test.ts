import assert from 'node:assert/strict';
import { AMOUNT_MAX, PUBLIC_SIGNALS } from '@bitcloak/protocol/parameters';
import { compiledCircuit, SeededRandom } from '../support/circuit.ts';
import { clearingSignals, planClearing, type Leg, type Residual } from '../support/fillCircuit.ts';

const [A, B, C] = [0xaaaan, 0xbbbbn, 0xccccn] as const;
const leg = (sellAsset: bigint, sold: bigint, buyAsset: bigint, bought: bigint): Leg => ({
  sellAsset,
  sold,
  buyAsset,
  bought,
});
const MOST = AMOUNT_MAX;

const VALID: Readonly<Record<string, { legs: readonly Leg[]; residuals?: readonly Residual[] }>> = {
  'two traders': { legs: [leg(A, 100n, B, 200n), leg(B, 200n, A, 100n)] },
  'fees of both sides': {
    legs: [leg(A, 100n, B, 199n), leg(B, 200n, A, 99n)],
    residuals: [
      { asset: A, value: 1n },
      { asset: B, value: 1n },
    ],
  },
  'a circle of three': { legs: [leg(A, 1n, B, 2n), leg(B, 2n, C, 3n), leg(C, 3n, A, 1n)] },
  'a withdrawal': { legs: [leg(A, 100n, A, 90n)], residuals: [{ asset: A, value: 10n }] },
  'nothing but empty fills': { legs: [leg(A, 0n, B, 0n), leg(C, 0n, C, 0n)] },
  'no fills': { legs: [] },
  'sixteen of the largest': {
    legs: Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? leg(A, MOST, B, MOST) : leg(B, MOST, A, MOST))),
  },
  'everything to four residuals of one asset': {
    legs: [leg(A, MOST, B, 0n), leg(A, MOST, B, 0n), leg(A, MOST, B, 0n), leg(A, MOST, B, 0n)],
    residuals: Array.from({ length: 4 }, () => ({ asset: A, value: MOST })),
  },
};

describe('circuit clearing: valid statements', () => {
  const { r1cs, calculate } = compiledCircuit('clearing');

  for (const [title, { legs, residuals }] of Object.entries(VALID)) {
    it(title, () => {
      const input = planClearing(new SeededRandom(`valid clearing: ${title}`), legs, residuals);
      const witness = calculate(input);
      assert.equal(r1cs.firstViolated(witness), null);
      assert.deepEqual(witness.slice(1, 1 + PUBLIC_SIGNALS.clearing.length), clearingSignals(input));
    });
  }
});
