import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { toBytes } from './elements.ts';
import type { Engine, WitnessFunction } from './engine.ts';

/** Inputs of a circuit by the names of its signals; arrays of any depth are taken in their order. */
export type CircuitInput = { readonly [signal: string]: SignalValue };
export type SignalValue = bigint | readonly SignalValue[];

const WORD_BYTES = 4;
const ELEMENT_BYTES = 32;
const LINE_END = 10;
const ELEMENT_WORDS = ELEMENT_BYTES / WORD_BYTES;

/** What circom's generated WebAssembly exports. */
type Calculator = {
  init(sanityCheck: number): void;
  getWitnessSize(): number;
  getWitness(index: number): void;
  getInputSize(): number;
  getInputSignalSize(hashHigh: number, hashLow: number): number;
  setInputSignal(hashHigh: number, hashLow: number, index: number): void;
  readSharedRWMemory(word: number): number;
  writeSharedRWMemory(word: number, value: number): void;
};

/** A circuit's witness generator. */
export type WitnessGenerator = {
  /**
   * The whole witness: 1, the public signals, then the others. Throws `STATEMENT_FALSE` where there is none, and `RangeError` for an input that is not what the circuit
   * wants.
   *
   * @returns elements of 32 little-endian bytes, one after another.
   */
  compute(input: CircuitInput): Uint8Array;
};

/** By a program made of the circuit's constraints, which an engine runs. */
export class ProgramWitness implements WitnessGenerator {
  readonly #signals: ReadonlyMap<string, number>;
  readonly #run: WitnessFunction;

  /**
   * @param file of scripts/bootstrap/witness/solve.mjs: a line with the inputs' names and sizes, and the program.
   * @param load an engine's.
   */
  constructor(file: Uint8Array, load: NonNullable<Engine['loadProgram']>) {
    const end = file.indexOf(LINE_END);
    this.#signals = new Map(readSignals(file.subarray(0, Math.max(end, 0))));
    this.#run = load(file.subarray(end + 1));
  }

  compute(input: CircuitInput): Uint8Array {
    const elements = new Map<string, bigint[]>();
    let assigned = 0;
    for (const [name, value] of Object.entries(input)) {
      const values = flatten(value);
      checkSize(name, this.#signals.get(name) ?? 0, values);
      values.forEach(checkElement);
      elements.set(name, values);
      assigned += values.length;
    }
    checkCount(
      [...this.#signals.values()].reduce((sum, size) => sum + size, 0),
      assigned,
    );
    return this.#run(toBytes([...this.#signals.keys()].flatMap((name) => elements.get(name) ?? [])));
  }
}

/** By circom's WebAssembly. One computes after another: it keeps its state between calls. Needs nothing of Node. */
export class CircomWitness implements WitnessGenerator {
  readonly #calculator: Calculator;

  /** @param module circom's, of the circuit. */
  constructor(module: WebAssembly.Module) {
    const runtime = {
      // A failed assertion: the message would carry template names only, but whatever it is, it tells of the input.
      exceptionHandler: () => {
        throw new BitcloakError('STATEMENT_FALSE', 'no witness: these inputs do not satisfy the circuit');
      },
      printErrorMessage: () => undefined,
      writeBufferMessage: () => undefined,
      showSharedRWMemory: () => undefined,
    };
    this.#calculator = new WebAssembly.Instance(module, { runtime }).exports as unknown as Calculator;
  }

  compute(input: CircuitInput): Uint8Array {
    const calculator = this.#calculator;
    calculator.init(0);
    let assigned = 0;
    for (const [name, value] of Object.entries(input)) {
      const [high, low] = hashName(name);
      const elements = flatten(value);
      checkSize(name, calculator.getInputSignalSize(high, low), elements);
      elements.forEach((element, index) => {
        this.#write(element);
        calculator.setInputSignal(high, low, index);
      });
      assigned += elements.length;
    }
    checkCount(calculator.getInputSize(), assigned);
    return this.#read();
  }

  #write(element: bigint): void {
    checkElement(element);
    let rest = element;
    for (let word = 0; word < ELEMENT_WORDS; word++) {
      this.#calculator.writeSharedRWMemory(word, Number(BigInt.asUintN(32, rest)));
      rest >>= 32n;
    }
  }

  #read(): Uint8Array {
    const size = this.#calculator.getWitnessSize();
    const view = new DataView(new ArrayBuffer(size * ELEMENT_BYTES));
    for (let index = 0; index < size; index++) {
      this.#calculator.getWitness(index);
      for (let word = 0; word < ELEMENT_WORDS; word++) {
        view.setInt32(index * ELEMENT_BYTES + word * WORD_BYTES, this.#calculator.readSharedRWMemory(word), true);
      }
    }
    return new Uint8Array(view.buffer);
  }
}

function checkSize(name: string, size: number, values: readonly bigint[]): void {
  if (size !== values.length) throw new RangeError(`signal ${name}: expected ${size} values, got ${values.length}`);
}

function checkElement(element: bigint): void {
  if (element < 0n || element >= FIELD_MODULUS) throw new RangeError('an input is no field element');
}

function checkCount(wanted: number, assigned: number): void {
  if (assigned !== wanted) throw new RangeError(`expected ${wanted} input values, got ${assigned}`);
}

function readSignals(line: Uint8Array): readonly (readonly [name: string, size: number])[] {
  try {
    const { inputs } = JSON.parse(new TextDecoder().decode(line)) as { inputs: (readonly [string, number])[] };
    return inputs;
  } catch {
    throw new BitcloakError('KEY_REFUSED', 'witness program: its inputs cannot be read');
  }
}

/** The name of a signal as circom looks it up: 64-bit FNV-1a, high and low word. */
function hashName(name: string): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return [Number(hash >> 32n), Number(BigInt.asUintN(32, hash))];
}

function flatten(value: SignalValue): bigint[] {
  return typeof value === 'bigint' ? [value] : value.flatMap(flatten);
}

/** A witness in the .wtns format of the iden3 tools (version 2), which snarkjs proves from. */
export function toWtns(witness: Uint8Array): Uint8Array {
  const headerSize = 4 + ELEMENT_BYTES + 4;
  const bytes = new Uint8Array(12 + 12 + headerSize + 12 + witness.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('wtns'));
  view.setUint32(4, 2, true);
  view.setUint32(8, 2, true);
  view.setUint32(12, 1, true);
  view.setBigUint64(16, BigInt(headerSize), true);
  view.setUint32(24, ELEMENT_BYTES, true);
  for (let word = 0; word < ELEMENT_WORDS; word++) {
    const value = Number(BigInt.asUintN(32, FIELD_MODULUS >> BigInt(32 * word)));
    view.setUint32(28 + word * WORD_BYTES, value, true);
  }
  view.setUint32(60, witness.length / ELEMENT_BYTES, true);
  view.setUint32(64, 2, true);
  view.setBigUint64(68, BigInt(witness.length), true);
  bytes.set(witness, 76);
  return bytes;
}
