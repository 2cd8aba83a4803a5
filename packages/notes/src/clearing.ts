import { poseidon } from '@bitcloak/crypto/poseidon';
import { SETTLEMENT_FILLS_MAX, SETTLEMENT_RESIDUALS, TAG } from '@bitcloak/protocol/parameters';
import { challengeOf, evaluate } from './evaluation.ts';
import { fillCommitmentOf, type FillOpening } from './fill.ts';
import { commitmentOf, stealthOf, type Commitment, type Note } from './note.ts';

/** What the clearing circuit takes, in its own names. */
export type ClearingInput = {
  commitment: bigint;
  challenge: bigint;
  evaluation: bigint;
  fills: bigint[];
  residuals: Commitment[];
  sellAsset: bigint[];
  sold: bigint[];
  buyAsset: bigint[];
  bought: bigint[];
  r: bigint[];
  residualAsset: bigint[];
  residualValue: bigint[];
  residualStealth: bigint[];
};

/** What the pool puts in every place behind a settlement's own fills. */
const NOTHING: FillOpening = { sellAsset: 0n, sold: 0n, buyAsset: 0n, bought: 0n, r: 0n };

/** The hash that a settlement's clearing is about, and the point and value of the polynomial of its fill commitments and residuals. */
export function bindClearing(
  fills: readonly bigint[],
  residuals: readonly bigint[],
): { commitment: bigint; challenge: bigint; evaluation: bigint } {
  const commitment = poseidon([poseidon(fills, TAG.FILLS), ...residuals], TAG.CLEARING);
  const shown = [...fills, ...residuals];
  const challenge = challengeOf([commitment, ...shown]);
  return { commitment, challenge, evaluation: evaluate(shown, challenge) };
}

/**
 * The statement that a settlement's fills and residual notes together create nothing. It checks nothing: the circuit does.
 *
 * @param fills of the settlement, in its order, 1 to 16.
 * @param residuals exactly four notes of the operator.
 */
export function buildClearing(fills: readonly FillOpening[], residuals: readonly Note[]): ClearingInput {
  if (fills.length > SETTLEMENT_FILLS_MAX) throw new RangeError(`a settlement has up to ${SETTLEMENT_FILLS_MAX} fills`);
  if (residuals.length !== SETTLEMENT_RESIDUALS) {
    throw new RangeError(`a settlement makes ${SETTLEMENT_RESIDUALS} residual notes`);
  }
  const openings = [...fills];
  while (openings.length < SETTLEMENT_FILLS_MAX) openings.push(NOTHING);
  const shown = { fills: openings.map(fillCommitmentOf), residuals: residuals.map(commitmentOf) };
  return {
    ...bindClearing(shown.fills, shown.residuals),
    ...shown,
    sellAsset: openings.map(({ sellAsset }) => sellAsset),
    sold: openings.map(({ sold }) => sold),
    buyAsset: openings.map(({ buyAsset }) => buyAsset),
    bought: openings.map(({ bought }) => bought),
    r: openings.map(({ r }) => r),
    residualAsset: residuals.map(({ asset }) => asset),
    residualValue: residuals.map(({ value }) => value),
    residualStealth: residuals.map(stealthOf),
  };
}
