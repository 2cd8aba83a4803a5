import { readWords, writeWords } from '@bitcloak/crypto/field';
import { poseidonOfCircomlibjs, usePoseidon, type PoseidonHash } from '@bitcloak/crypto/poseidon';
import { findAddon, type Addon } from './addon.ts';
import { findWasm } from './nodeWasm.ts';
import { poseidonTable } from './poseidonTable.ts';
import { WasmProver, type PlacedPoseidon } from './wasmProver.ts';

const STATE_WORDS = 17 * 4;

/** Makes the hash of so many inputs. */
export type PoseidonMaker = (inputs: number) => PoseidonHash;

/** What hashes with the prover's code, the fastest first. A hash is one chain of products, so SIMD would have little to do. */
export function poseidonMakers(addon = findAddon()): Readonly<Record<string, PoseidonMaker>> {
  const module = findWasm('plain');
  const native =
    addon === undefined ? {} : { native: (inputs: number) => hashOf(inputs, nativePoseidon(addon, inputs)) };
  if (module === undefined) return native;
  const instance = new WasmProver(module);
  const wasm: PoseidonMaker = (inputs) => {
    const { roundsPartial, numbers } = poseidonTable(inputs);
    return hashOf(inputs, instance.makePoseidon(inputs + 1, roundsPartial, numbers));
  };
  return { ...native, wasm };
}

/**
 * Has everything in this process hash so many inputs with the prover's code, where it is there. Tables take some tens of milliseconds to make, once.
 *
 * @returns whose code hashes them; undefined where none of the prover's is there, or what it computes is wrong.
 */
export function hashFaster(counts: readonly number[], makers = poseidonMakers()): string | undefined {
  const [fastest] = Object.entries(makers);
  if (fastest === undefined) return undefined;
  const [name, make] = fastest;
  const hashes = counts.map((inputs) => [inputs, make(inputs)] as const);
  if (!hashes.every(([inputs, hash]) => isRight(inputs, hash))) return undefined;
  for (const [inputs, hash] of hashes) usePoseidon(inputs, hash);
  return name;
}

function isRight(inputs: number, hash: PoseidonHash): boolean {
  const values = Array.from({ length: inputs }, (_, index) => BigInt(index + 1) ** 67n);
  return [0n, 1n].every((tag) => hash(values, tag) === poseidonOfCircomlibjs(values, tag));
}

function nativePoseidon(addon: Addon, inputs: number): PlacedPoseidon {
  const { roundsPartial, numbers } = poseidonTable(inputs);
  const poseidon = addon.makePoseidon(inputs + 1, roundsPartial, numbers);
  const words = new BigUint64Array(STATE_WORDS);
  const bytes = new Uint8Array(words.buffer);
  return {
    state: () => words,
    hash: () => {
      addon.hashPoseidon(poseidon, bytes);
    },
  };
}

function hashOf(inputs: number, placed: PlacedPoseidon): PoseidonHash {
  return (values, tag) => {
    if (values.length !== inputs) throw new RangeError(`this Poseidon takes ${inputs} inputs`);
    const state = placed.state();
    writeWords(state, 0, tag);
    values.forEach((value, index) => {
      writeWords(state, 4 * (index + 1), value);
    });
    placed.hash();
    return readWords(state, 0);
  };
}
