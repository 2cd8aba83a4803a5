import { poseidon as permutationOf, type PoseidonFn } from '@noble/curves/abstract/poseidon.js';
import { bytesToInteger, FIELD_BYTES, integerToBytes } from './field.ts';
import { Fp, poseidonConstants } from './poseidonConstants.ts';

// What poseidon.ts is to Node, for everything else: circomlibjs is several times faster, and brings much that only Node has.

/** By the number of inputs. Constants take some tens of milliseconds to make, and few numbers of inputs are in use. */
const permutations = new Map<number, PoseidonFn>();

function permutation(inputs: number): PoseidonFn {
  const known = permutations.get(inputs);
  if (known !== undefined) return known;
  const made = permutationOf({ ...poseidonConstants(inputs), sboxPower: 5 });
  permutations.set(inputs, made);
  return made;
}

/**
 * Poseidon with circomlib's parameters.
 *
 * @param inputs 1 to 16 field elements. Larger integers are reduced silently, so what comes from outside is checked with `isField` before.
 * @param tag the initial state (circomlib's `PoseidonEx`): a domain tag of the parameter table, 0 for what the chain computes too.
 */
export function poseidon(inputs: readonly bigint[], tag = 0n): bigint {
  const [output] = permutation(inputs.length)([tag, ...inputs]);
  return output as bigint;
}

/** Field elements in the hash's own form, here their 32 bytes, big-endian. */
export const raw = {
  from: (value: bigint): Uint8Array => integerToBytes(Fp.create(value), FIELD_BYTES),
  to: bytesToInteger,
  /** Poseidon of `inputs` (n × 32 bytes, one after another), initial state 0. */
  hash: (inputs: Uint8Array): Uint8Array => {
    const count = inputs.length / FIELD_BYTES;
    const elementAt = (index: number) =>
      bytesToInteger(inputs.subarray(index * FIELD_BYTES, (index + 1) * FIELD_BYTES));
    return raw.from(poseidon(Array.from({ length: count }, (_, index) => elementAt(index))));
  },
};
