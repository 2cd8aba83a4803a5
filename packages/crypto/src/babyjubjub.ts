import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import { babyjubjub } from '@noble/curves/misc.js';
import { isField } from './field.ts';

/** A point of BabyJubJub in circomlib's coordinates (a = 168700, d = 168696). */
export type Point = { readonly x: bigint; readonly y: bigint };

const { Point: Curve } = babyjubjub;

/** circomlib's base point B8, which generates the prime subgroup. noble's own base point of this curve may be another. */
export const B8: Point = {
  x: 5299619240641551281634865583518297030282874472190772894086521144482721001553n,
  y: 16950150798460657717958625567821834550301663161624707787222815936182638968203n,
};
const base = Curve.fromAffine({ x: B8.x, y: B8.y });
base.precompute(8);

/** scalar · B8 in constant time. `scalar` is in [1, SUBGROUP_ORDER). */
export function multiplyBase(scalar: bigint): Point {
  const { x, y } = base.multiply(scalar).toAffine();
  return { x, y };
}

function onCurve(point: Point) {
  // The curve's own check takes a coordinate and its aliases above the modulus for the same.
  if (!isField(point.x) || !isField(point.y)) return undefined;
  const candidate = Curve.fromAffine({ x: point.x, y: point.y });
  try {
    // Refuses the identity too.
    candidate.assertValidity();
    return candidate;
  } catch {
    return undefined;
  }
}

/** Whether `point` lies on the curve and is not its identity. */
export function isOnCurve(point: Point): boolean {
  return onCurve(point) !== undefined;
}

/** Whether `point` lies on the curve, in the prime subgroup, and is not its identity. */
export function isPublicKey(point: Point): boolean {
  return onCurve(point)?.isTorsionFree() ?? false;
}

/** Compresses a point to 32 bytes: noble's encoding, y little-endian with the sign of x in the top bit. */
export function compress(point: Point): Uint8Array {
  return Curve.fromAffine({ x: point.x, y: point.y }).toBytes();
}

/** The reverse of `compress`; throws where the bytes are no point of the prime subgroup. */
export function decompress(bytes: Uint8Array): Point {
  const point = Curve.fromBytes(bytes);
  if (point.is0() || !point.isTorsionFree()) throw new RangeError('not a point of the prime subgroup');
  const { x, y } = point.toAffine();
  return { x, y };
}

/** Whether left · B8 = r8 + right · publicKey, with `right` reduced modulo the subgroup's order. */
export function equationHolds(left: bigint, r8: Point, right: bigint, publicKey: Point): boolean {
  const factor = right % SUBGROUP_ORDER;
  const key = Curve.fromAffine({ x: publicKey.x, y: publicKey.y });
  const sum = Curve.fromAffine({ x: r8.x, y: r8.y }).add(factor === 0n ? Curve.ZERO : key.multiplyUnsafe(factor));
  return (left === 0n ? Curve.ZERO : base.multiplyUnsafe(left)).equals(sum);
}

/** The sum of two points of the curve. */
export function add(left: Point, right: Point): Point {
  const { x, y } = Curve.fromAffine({ ...left })
    .add(Curve.fromAffine({ ...right }))
    .toAffine();
  return { x, y };
}
