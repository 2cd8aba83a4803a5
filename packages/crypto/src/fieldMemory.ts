import { buildPoseidon, type Poseidon } from 'circomlibjs';
import { readWords, writeWords } from './field.ts';

// circomlibjs keeps its field and its Poseidon in WebAssembly, and copies every operand in and every result out. These are the same functions
// on operands that stay in its memory, for computations in which the copies would cost more than the arithmetic.

/** Where a field element lies in that memory: 32 bytes, little-endian, below the modulus. */
export type Pointer = number;

type Unary = (operand: Pointer, result: Pointer) => void;
type Binary = (left: Pointer, right: Pointer, result: Pointer) => void;

/** What circomlibjs 0.1.7 and ffjavascript have behind a field, as their sources have it. */
type Internals = {
  readonly tm: {
    readonly memory: { readonly buffer: ArrayBuffer };
    alloc(bytes: number): Pointer;
    readonly instance: {
      readonly exports: {
        readonly frm_copy: Unary;
        readonly frm_add: Binary;
        readonly frm_sub: Binary;
        readonly frm_mul: Binary;
        readonly frm_square: Unary;
        readonly frm_inverse: Unary;
        readonly frm_toMontgomery: Unary;
        readonly frm_fromMontgomery: Unary;
        readonly poseidon: (state: Pointer, inputs: Pointer, count: number, output: Pointer, outputs: number) => void;
      };
    };
  };
};

export const instance: Poseidon = await buildPoseidon();
const { tm } = instance.F as unknown as Internals;
const { exports } = tm.instance;

export const ELEMENT_BYTES = 32;

// The library never lets this memory grow, so the views stay valid.
export const memory32 = new Int32Array(tm.memory.buffer);
const memory64 = new BigUint64Array(tm.memory.buffer);

/** Takes room for `count` elements for as long as the process runs. Throws RangeError where there is none left. */
export function allocate(count: number): Pointer {
  // The library looks at no limit, and aligns to 4 bytes where the view of 64 bits needs 8.
  const bytes = count * ELEMENT_BYTES + 4;
  if (tm.alloc(0) + bytes > memory64.byteLength) throw new RangeError('the field has no memory left');
  return (tm.alloc(bytes) + 7) & ~7;
}

// Operands and results are in Montgomery form. A result may replace an operand.
export const copy = exports.frm_copy;
export const add = exports.frm_add;
export const subtract = exports.frm_sub;
export const multiply = exports.frm_mul;
export const square = exports.frm_square;
export const invert = exports.frm_inverse;
export const hash = exports.poseidon;

/** Puts an integer into memory in Montgomery form, reduced where it is no field element. */
export function write(pointer: Pointer, value: bigint): void {
  writeWords(memory64, pointer >>> 3, value);
  exports.frm_toMontgomery(pointer, pointer);
}

const plain = allocate(1);

/** The integer of an element in Montgomery form. */
export function read(pointer: Pointer): bigint {
  exports.frm_fromMontgomery(pointer, plain);
  return readWords(memory64, plain >>> 3);
}

export function equal(left: Pointer, right: Pointer): boolean {
  const [leftStart, rightStart] = [left >>> 2, right >>> 2];
  for (let word = 0; word < ELEMENT_BYTES / 4; word++) {
    if (memory32[leftStart + word] !== memory32[rightStart + word]) return false;
  }
  return true;
}
