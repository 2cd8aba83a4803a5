/** Operation, operands, how many there are, and the bytes of the result: see native/operations.h. */
export type Operation = readonly [
  operation: number,
  left: Uint8Array,
  right: Uint8Array,
  count: number,
  resultSize: number,
];

/** What native/wasm.cpp exports. */
type Exports = {
  readonly memory: WebAssembly.Memory;
  isSound(): number;
  allocate(bytes: number): number;
  release(place: number): void;
  loadKey(file: number, size: number): number;
  beginProof(witness: number, size: number): number;
  endProof(): void;
  tasks(): number;
  witnessTasks(): number;
  computeQuotient(): void;
  quotient(): number;
  quotientSize(): number;
  acceptQuotient(): void;
  computeSum(task: number): void;
  sum(task: number): number;
  sumSize(task: number): number;
  finish(blinding: number): number;
  result(): number;
  loadProgram(file: number, size: number): number;
  programInputs(): number;
  programWires(): number;
  computeWitness(inputs: number, witness: number): number;
  verify(key: number, proof: number, signals: number, signalCount: number): number;
  makePoseidon(width: number, roundsPartial: number, numbers: number): number;
  hashPoseidon(poseidon: number, state: number): void;
  apply(operation: number, left: number, right: number, result: number, count: number): number;
};

/** A `Status` of native/interface.h other than success. */
export class StatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the WebAssembly prover refused: status ${status}`);
    this.status = status;
  }
}

const PROOF_BYTES = 256;
const ELEMENT_BYTES = 32;
const ELEMENT_WORDS = ELEMENT_BYTES / 8;

/** Poseidon of one number of inputs. */
export type PlacedPoseidon = {
  /** Where the tag and the inputs go, four words each, the lowest first, and the hash comes from: it takes the tag's place. */
  state(): BigUint64Array;
  hash(): void;
};

/** One instance of the WebAssembly: one key, one program for witnesses, and one proof at a time. Needs nothing of Node. */
export class WasmProver {
  readonly #exports: Exports;

  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module, {}).exports as unknown as Exports;
  }

  /** Whether this machine computes as the code expects: a relaxed instruction may do either of two things. */
  get isSound(): boolean {
    return this.#exports.isSound() === 1;
  }

  loadKey(file: Uint8Array): void {
    this.#with([file], (place) => this.#check(this.#exports.loadKey(place, file.length)));
  }

  beginProof(witness: Uint8Array): { readonly tasks: number; readonly witnessTasks: number } {
    this.#exports.endProof();
    this.#with([witness], (place) => this.#check(this.#exports.beginProof(place, witness.length)));
    return { tasks: this.#exports.tasks(), witnessTasks: this.#exports.witnessTasks() };
  }

  endProof(): void {
    this.#exports.endProof();
  }

  computeQuotient(): Uint8Array {
    this.#exports.computeQuotient();
    return this.#copy(this.#exports.quotient(), this.#exports.quotientSize());
  }

  acceptQuotient(quotient: Uint8Array): void {
    this.#write(this.#exports.quotient(), quotient);
    this.#exports.acceptQuotient();
  }

  computeSum(task: number): Uint8Array {
    this.#exports.computeSum(task);
    return this.#copy(this.#exports.sum(task), this.#exports.sumSize(task));
  }

  acceptSum(task: number, sum: Uint8Array): void {
    this.#write(this.#exports.sum(task), sum);
  }

  finish(blinding: Uint8Array): Uint8Array {
    this.#with([blinding], (place) => this.#check(this.#exports.finish(place)));
    return this.#copy(this.#exports.result(), PROOF_BYTES);
  }

  /** As `Addon.loadProgram`. */
  loadProgram(file: Uint8Array): void {
    this.#with([file], (place) => this.#check(this.#exports.loadProgram(place, file.length)));
  }

  /** As `Addon.computeWitness`. */
  computeWitness(inputs: Uint8Array): Uint8Array {
    if (inputs.length !== this.#exports.programInputs() * ELEMENT_BYTES) throw new TypeError('expected all inputs');
    const witness = new Uint8Array(this.#exports.programWires() * ELEMENT_BYTES);
    return this.#with([inputs, witness], (place, target) => {
      this.#check(this.#exports.computeWitness(place, target));
      return this.#copy(target, witness.length);
    });
  }

  /** As `Addon.verify`. */
  verify(key: Uint8Array, proof: Uint8Array, signals: Uint8Array): boolean {
    const count = signals.length / ELEMENT_BYTES;
    return this.#with([key, proof, signals], (...places) => this.#exports.verify(...places, count) === 1);
  }

  /** As `Addon.makePoseidon`, for as long as the instance is there; of the module without SIMD alone. */
  makePoseidon(width: number, roundsPartial: number, numbers: Uint8Array): PlacedPoseidon {
    const exports = this.#exports;
    const poseidon = this.#with([numbers], (place) => exports.makePoseidon(width, roundsPartial, place));
    const place = exports.allocate(width * ELEMENT_BYTES) >>> 0;
    let words = new BigUint64Array(0);
    return {
      state: () => {
        const { buffer } = exports.memory;
        // Each call may have moved the memory.
        if (words.buffer !== buffer) words = new BigUint64Array(buffer, place, width * ELEMENT_WORDS);
        return words;
      },
      hash: () => {
        exports.hashPoseidon(poseidon, place);
      },
    };
  }

  /** As `Addon.apply`. */
  apply(...[operation, left, right, count, resultSize]: Operation): Uint8Array {
    return this.#with([left, right, new Uint8Array(resultSize)], (a, b, result) => {
      if (this.#exports.apply(operation, a, b, result, count) !== 1) throw new TypeError('there is no such operation');
      return this.#copy(result, resultSize);
    });
  }

  /** Copies what is needed for one call in, and clears it afterwards: it may be a secret. */
  #with<Result>(parts: readonly Uint8Array[], use: (...places: [number, number, number]) => Result): Result {
    const places = parts.map((part) => {
      const place = this.#exports.allocate(part.length);
      this.#write(place, part);
      return place;
    });
    try {
      return use(...(places as [number, number, number]));
    } finally {
      places.forEach((place, index) => {
        this.#write(place, new Uint8Array((parts[index] as Uint8Array).length));
        this.#exports.release(place);
      });
    }
  }

  // Each call may have moved the memory.
  #write(place: number, bytes: Uint8Array): void {
    new Uint8Array(this.#exports.memory.buffer, place >>> 0, bytes.length).set(bytes);
  }

  #copy(place: number, size: number): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer, place >>> 0, size).slice();
  }

  #check(status: number): void {
    if (status !== 0) throw new StatusError(status);
  }
}
