import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { Field } from '@noble/curves/abstract/modular.js';
import { grainGenConstants } from '@noble/curves/abstract/poseidon.js';

export const Fp = Field(FIELD_MODULUS);

export const INPUTS_MAX = 16;
/** circomlib's, by the number of inputs from 1 on. */
const ROUNDS_PARTIAL = [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68];

/** circomlib's parameters of Poseidon for 1 to 16 inputs. They take some tens of milliseconds to make. */
export function poseidonConstants(inputs: number) {
  const roundsPartial = ROUNDS_PARTIAL[inputs - 1];
  if (roundsPartial === undefined) throw new RangeError(`Poseidon takes 1 to ${INPUTS_MAX} inputs`);
  const options = { Fp, t: inputs + 1, roundsFull: 8, roundsPartial };
  return { ...options, ...grainGenConstants(options) };
}
