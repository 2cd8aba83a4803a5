import type { VerifyingKey } from './verifyingKey.ts';

/** a.x, a.y, b.x.c0, b.x.c1, b.y.c0, b.y.c1, c.x, c.y, 32 little-endian bytes each. */
export type ProofBytes = Uint8Array;

/** What proves from a key: the same statement and blinding give the same proof in each engine. */
export type ProvingKey = {
  /**
   * @param witness elements of 32 little-endian bytes.
   * @param blinding r and s, 32 little-endian bytes each; drawn from the system's generator unless given. snarkjs draws its own always.
   */
  prove(witness: Uint8Array, blinding?: Uint8Array): Promise<ProofBytes>;
};

/**
 * Computes a witness from inputs, elements of 32 little-endian bytes both. Throws `STATEMENT_FALSE` where there is none, and whatever it throws tells nothing of the
 * inputs.
 */
export type WitnessFunction = (inputs: Uint8Array) => Uint8Array;

export type Engine = {
  /** Such as `native avx2, 2 threads`. */
  readonly name: string;
  /** @param zkey its hash is checked before; throws `KEY_REFUSED` where it is malformed all the same. */
  load(zkey: Uint8Array): Promise<ProvingKey>;
  /**
   * Where an engine has none, circom's WebAssembly computes the witness.
   *
   * @param program what scripts/bootstrap/witness/program.mjs encodes; its hash is checked before; throws `KEY_REFUSED` where it is malformed all the same.
   */
  readonly loadProgram?: (program: Uint8Array) => WitnessFunction;
  /** Of proofs that this engine made. @param signals 32 little-endian bytes each. */
  verify(key: VerifyingKey, proof: ProofBytes, signals: Uint8Array): Promise<boolean>;
};
