import { createRequire } from 'node:module';
import { ADDON } from './places.ts';

/** A key in the addon's memory; let go when nobody holds it. */
export type NativeKey = { readonly brand: unique symbol };

export type NativePoseidon = { readonly brand: unique symbol };

/** A program for witnesses in the addon's memory; let go when nobody holds it. */
export type NativeProgram = { readonly brand: unique symbol };

export type NativeBackend = 'ifma' | 'avx2' | 'portable';

/** What packages/prover/native/addon.cpp gives. Errors have a `status`, one of native/interface.h, where a file or a witness is refused. */
export type Addon = {
  /** Those that this processor can run, the fastest first. */
  readonly backends: readonly NativeBackend[];
  /** One that this processor should be able to run, but whose results were wrong when it was tried. */
  readonly refused?: NativeBackend;
  loadKey(backend: string, file: Uint8Array): Promise<NativeKey>;
  /**
   * @param witness elements of 32 little-endian bytes.
   * @param blinding r and s, 32 little-endian bytes each; drawn from the system's generator where they are not given.
   * @returns a.x, a.y, b.x.c0, b.x.c1, b.y.c0, b.y.c1, c.x, c.y, 32 little-endian bytes each.
   */
  prove(key: NativeKey, witness: Uint8Array, threads: number, blinding?: Uint8Array): Promise<Uint8Array>;
  /** @param file what scripts/bootstrap/witness/program.mjs encodes. */
  loadProgram(file: Uint8Array): NativeProgram;
  /**
   * Takes some milliseconds.
   *
   * @param inputs elements of 32 little-endian bytes.
   * @returns the witness, likewise.
   */
  computeWitness(program: NativeProgram, inputs: Uint8Array): Uint8Array;
  /**
   * Whether a proof verifies; takes some milliseconds.
   *
   * @param key alpha, beta, gamma, delta and the points for 1 and for each signal, coordinates of 32 little-endian bytes.
   */
  verify(key: Uint8Array, proof: Uint8Array, signals: Uint8Array): boolean;
  /** For so many inputs and a tag; `numbers` are those of `poseidonTable`. */
  makePoseidon(width: number, roundsPartial: number, numbers: Uint8Array): NativePoseidon;
  /** @param state 17 numbers of 32 little-endian bytes below the modulus, the tag first; the first becomes the hash. */
  hashPoseidon(poseidon: NativePoseidon, state: Uint8Array): void;
  /** Single operations, for tests: see native/operations.h. */
  apply(
    backend: string,
    operation: number,
    left: Uint8Array,
    right: Uint8Array,
    count: number,
    resultSize: number,
  ): Uint8Array;
};

let loaded: { readonly addon: Addon | undefined } | undefined;

/** The addon that the bootstrap compiled; undefined where it could not, or where this Node cannot load it. */
export function findAddon(): Addon | undefined {
  loaded ??= { addon: load() };
  return loaded.addon;
}

function load(): Addon | undefined {
  if (ADDON === undefined) return undefined;
  try {
    return createRequire(import.meta.url)(ADDON) as Addon;
  } catch {
    return undefined;
  }
}
