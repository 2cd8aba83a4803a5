import { allocate, ELEMENT_BYTES, hash, instance, read, write } from './fieldMemory.ts';
import { INPUTS_MAX } from './poseidonConstants.ts';

const F = instance.F;

const state = allocate(1);
const elements = allocate(INPUTS_MAX);
const output = allocate(1);

export type PoseidonHash = (inputs: readonly bigint[], tag: bigint) => bigint;

/** By the number of inputs. */
const faster: (PoseidonHash | undefined)[] = [];

/** From now on `hash` is called for so many inputs. It must give the same, and reduce what is no field element. */
export function usePoseidon(inputs: number, hash: PoseidonHash | undefined): void {
  faster[inputs] = hash;
}

/**
 * Poseidon with circomlib's parameters.
 *
 * @param inputs 1 to 16 field elements. Larger integers are reduced silently, so what comes from outside is checked with `isField` before.
 * @param tag the initial state (circomlib's `PoseidonEx`): a domain tag of the parameter table, 0 for what the chain computes too.
 */
export function poseidon(inputs: readonly bigint[], tag = 0n): bigint {
  const hashFaster = faster[inputs.length];
  return hashFaster === undefined ? poseidonOfCircomlibjs(inputs, tag) : hashFaster(inputs, tag);
}

/** What `poseidon` is unless something faster is there. */
export function poseidonOfCircomlibjs(inputs: readonly bigint[], tag = 0n): bigint {
  if (inputs.length < 1 || inputs.length > INPUTS_MAX) throw new RangeError('Poseidon takes 1 to 16 inputs');
  write(state, tag);
  inputs.forEach((input, index) => write(elements + index * ELEMENT_BYTES, input));
  hash(state, elements, inputs.length, output, 1);
  return read(output);
}

/** Field elements in the hash's own form (32 bytes, Montgomery), so that a tree is hashed without conversions in between. */
export const raw = {
  from: (value: bigint): Uint8Array => F.e(value),
  to: (element: Uint8Array): bigint => F.toObject(element),
  /** Poseidon of `inputs` (n × 32 bytes, one after another), initial state 0. */
  hash: (inputs: Uint8Array): Uint8Array => instance(inputs),
};
