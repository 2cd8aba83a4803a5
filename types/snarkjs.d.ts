// snarkjs 0.7.6 brings no types. These are the parts that Bitcloak uses, as its sources have them.
declare module 'snarkjs' {
  /** What snarkjs reads and writes through fastfile: a path, bytes in memory, or a place in memory that it fills. */
  export type ReadableFile = string | Uint8Array | MemoryFile;
  export type WritableFile = string | MemoryFile;
  export interface MemoryFile {
    type: 'mem';
    data?: Uint8Array;
  }

  export interface Logger {
    debug(message: string): unknown;
    info(message: string): unknown;
    warn(message: string): unknown;
    error(message: string): unknown;
  }

  /** Decimal strings throughout; points are projective, with a third coordinate of 1. */
  export type G1Point = [string, string, string];
  export type G2Point = [[string, string], [string, string], [string, string]];

  export interface Groth16Proof {
    pi_a: G1Point;
    pi_b: G2Point;
    pi_c: G1Point;
    protocol: string;
    curve: string;
  }

  export interface Groth16VerificationKey {
    protocol: string;
    curve: string;
    nPublic: number;
    vk_alpha_1: G1Point;
    vk_beta_2: G2Point;
    vk_gamma_2: G2Point;
    vk_delta_2: G2Point;
    vk_alphabeta_12: string[][][];
    IC: G1Point[];
  }

  /** What verifying takes of a key. */
  export interface Groth16VerifierKey {
    readonly curve: string;
    readonly vk_alpha_1: readonly string[];
    readonly vk_beta_2: readonly (readonly string[])[];
    readonly vk_gamma_2: readonly (readonly string[])[];
    readonly vk_delta_2: readonly (readonly string[])[];
    readonly IC: readonly (readonly string[])[];
  }

  export interface ProvedStatement {
    proof: Groth16Proof;
    publicSignals: string[];
  }

  /** A signal, or an array of signals of any depth. */
  export type SignalValue = bigint | number | string | readonly SignalValue[];
  export type CircuitInput = Readonly<Record<string, SignalValue>>;

  export interface WitnessOptions {
    /** Whether inputs are checked to be complete before the calculation. */
    sanityCheck?: boolean;
    /** The linear memory in pages. */
    memorySize?: number;
  }

  export interface ProverOptions {
    /** Builds the curve anew in every call, without workers. */
    singleThread?: boolean;
  }

  /** A curve of ffjavascript. `getCurveFromName` and every verification keep one alive in `globalThis.curve_bn128`. */
  export interface Curve {
    name: string;
    r: bigint;
    q: bigint;
    readonly Fr: WasmField;
    terminate(): Promise<void>;
  }

  /** Elements are bytes in Montgomery's form. */
  export interface WasmField {
    random(): Uint8Array;
    e(value: bigint): Uint8Array;
    eq(a: Uint8Array, b: Uint8Array): boolean;
    add(a: Uint8Array, b: Uint8Array): Uint8Array;
    mul(a: Uint8Array, b: Uint8Array): Uint8Array;
    toMontgomery(a: Uint8Array): Uint8Array;
  }

  export const groth16: {
    prove(
      zkey: ReadableFile,
      witness: ReadableFile,
      logger?: Logger,
      options?: ProverOptions,
    ): Promise<ProvedStatement>;
    fullProve(
      input: CircuitInput,
      wasm: ReadableFile,
      zkey: ReadableFile,
      logger?: Logger,
      witnessOptions?: WitnessOptions,
      proverOptions?: ProverOptions,
    ): Promise<ProvedStatement>;
    verify(
      verificationKey: Groth16VerifierKey,
      publicSignals: readonly (string | bigint)[],
      proof: Groth16Proof,
      logger?: Logger,
    ): Promise<boolean>;
    exportSolidityCallData(proof: Groth16Proof, publicSignals: readonly (string | bigint)[]): Promise<string>;
  };

  export const zKey: {
    /** Resolves to the hash of the circuit, or to -1 where the circuit or the phase 1 does not fit. */
    newZKey(r1cs: ReadableFile, phase1: ReadableFile, zkey: WritableFile, logger?: Logger): Promise<Uint8Array | -1>;
    contribute(
      oldZkey: ReadableFile,
      newZkey: WritableFile,
      name: string,
      entropy: string | Uint8Array,
      logger?: Logger,
    ): Promise<Uint8Array>;
    /** Resolves to false where the beacon hash or the number of iterations is refused. */
    beacon(
      oldZkey: ReadableFile,
      newZkey: WritableFile,
      name: string,
      beaconHashHex: string,
      iterationsLog2: number,
      logger?: Logger,
    ): Promise<Uint8Array | false>;
    verifyFromR1cs(r1cs: ReadableFile, phase1: ReadableFile, zkey: ReadableFile, logger?: Logger): Promise<boolean>;
    verifyFromInit(
      initialZkey: ReadableFile,
      phase1: ReadableFile,
      zkey: ReadableFile,
      logger?: Logger,
    ): Promise<boolean>;
    exportVerificationKey(zkey: ReadableFile, logger?: Logger): Promise<Groth16VerificationKey>;
  };

  export const powersOfTau: {
    newAccumulator(curve: Curve, power: number, phase1: WritableFile, logger?: Logger): Promise<Uint8Array>;
    contribute(
      oldPhase1: ReadableFile,
      newPhase1: WritableFile,
      name: string,
      entropy: string | Uint8Array,
      logger?: Logger,
    ): Promise<Uint8Array>;
    beacon(
      oldPhase1: ReadableFile,
      newPhase1: WritableFile,
      name: string,
      beaconHashHex: string,
      iterationsLog2: number,
      logger?: Logger,
    ): Promise<Uint8Array | false>;
    preparePhase2(oldPhase1: ReadableFile, newPhase1: WritableFile, logger?: Logger): Promise<void>;
    verify(phase1: ReadableFile, logger?: Logger): Promise<boolean>;
  };

  export interface R1csInfo {
    n8: number;
    prime: bigint;
    nVars: number;
    nOutputs: number;
    nPubInputs: number;
    nPrvInputs: number;
    nLabels: number;
    nConstraints: number;
  }

  export const r1cs: {
    info(r1cs: ReadableFile, logger?: Logger): Promise<R1csInfo>;
  };

  export const wtns: {
    calculate(input: CircuitInput, wasm: ReadableFile, witness: WritableFile, options?: WitnessOptions): Promise<void>;
    check(r1cs: ReadableFile, witness: ReadableFile, logger?: Logger): Promise<boolean>;
    exportJson(witness: ReadableFile): Promise<bigint[]>;
  };

  export const curves: {
    getCurveFromName(name: string, options?: ProverOptions): Promise<Curve>;
  };
}
