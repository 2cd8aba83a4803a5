import { createHash } from 'node:crypto';
import { bn254 } from '@bitcloak/prover/bn254';
import type { Addon } from '@bitcloak/prover/addon';
import { fromBytes, toBytes } from '@bitcloak/prover/elements';

/** One that computes: a backend of the addon or of the WebAssembly. */
export type Operations = (
  operation: number,
  left: Uint8Array,
  right: Uint8Array,
  count: number,
  resultSize: number,
) => Uint8Array;

export const operationsOf =
  (addon: Addon, backend: string): Operations =>
  (...call) =>
    addon.apply(backend, ...call);

const { Fp, Fp2, Fr } = bn254.fields;
const ELEMENT_BYTES = 32;

/** Numbers of native/operations.h. */
export const FIELDS = [
  { name: 'base field', code: 0, field: Fp },
  { name: 'scalar field', code: 1, field: Fr },
] as const;
export const EXTENSION = 2;
export const KINDS = ['add', 'sub', 'mul', 'sqr', 'neg', 'inv'] as const;
export const OF_G1 = 64;
export const OF_G2 = 65;

/** `count` elements of 32 bytes that a seed determines, each uniform below 2^253 at least. */
export function seededElementBytes(seed: string, count: number): Uint8Array {
  const bytes = createHash('shake256', { outputLength: count * ELEMENT_BYTES })
    .update(seed)
    .digest();
  // 2^253 is below both moduli.
  for (let at = ELEMENT_BYTES - 1; at < bytes.length; at += ELEMENT_BYTES) bytes[at] = (bytes[at] as number) & 0x1f;
  return new Uint8Array(bytes);
}

/** Values around which carries and reductions can go wrong: zero, the modulus, powers of two and limbs' edges in each representation. */
export function edgeValues(modulus: bigint): bigint[] {
  const powers = [1, 26, 32, 50, 51, 52, 53, 63, 64, 101, 102, 104, 128, 153, 156, 192, 204, 208, 252, 253].map(
    (bit) => 1n << BigInt(bit),
  );
  const inverseOf = (value: bigint) => bn254.fields[modulus === Fp.ORDER ? 'Fp' : 'Fr'].inv(value % modulus);
  // In memory elements are multiplied by these: so their quotients are powers there.
  const shifts = [1n << 255n, 1n << 256n, 1n << 260n].map(inverseOf);
  const near = (value: bigint) => [-1n, 0n, 1n].map((distance) => value + distance);
  const values = [0n, modulus, modulus / 2n, modulus / 3n, ...powers].flatMap(near);
  const halvesOf = (bits: bigint) => (1n << (bits - 1n)) * ((1n << (4n * bits)) / ((1n << bits) - 1n));
  const allOnes = [(1n << 52n) - 1n, (1n << 208n) - 1n, halvesOf(51n), halvesOf(52n)];
  const inMemory = shifts.flatMap((shift) => [...powers, ...allOnes].map((power) => power * shift));
  return [...new Set([...values, ...allOnes, ...inMemory].map((value) => ((value % modulus) + modulus) % modulus))];
}

/** Every pair of the values. */
export function pairsOf(values: readonly bigint[]): { left: bigint[]; right: bigint[] } {
  return {
    left: values.flatMap((value) => values.map(() => value)),
    right: values.flatMap(() => values),
  };
}

export type G1 = typeof bn254.G1.Point.BASE;
export type G2 = typeof bn254.G2.Point.BASE;

/** Affine coordinates; zeros for infinity. */
export function g1Bytes(points: readonly G1[]): Uint8Array {
  // Of infinity, whose Z is 0, there is no inverse.
  const inverses = Fp.invertBatch(points.map((point) => (point.is0() ? 1n : point.Z)));
  const affine = points.map((point, index) => (point.is0() ? { x: 0n, y: 0n } : point.toAffine(inverses[index])));
  return toBytes(affine.flatMap(({ x, y }) => [x, y]));
}

export function g2Bytes(points: readonly G2[]): Uint8Array {
  const inverses = Fp2.invertBatch(points.map((point) => (point.is0() ? Fp2.ONE : point.Z)));
  const zero = { x: Fp2.ZERO, y: Fp2.ZERO };
  const affine = points.map((point, index) => (point.is0() ? zero : point.toAffine(inverses[index])));
  return toBytes(affine.flatMap(({ x, y }) => [x.c0, x.c1, y.c0, y.c1]));
}

/** Σ factor·point as a backend computes it. */
export function sumOfMultiples(
  apply: Operations,
  group: 'G1' | 'G2',
  points: Uint8Array,
  factors: readonly bigint[],
): bigint[] {
  const [operation, size] = group === 'G1' ? [OF_G1, 2] : [OF_G2, 4];
  return fromBytes(apply(operation, points, toBytes(factors), factors.length, size * ELEMENT_BYTES));
}
