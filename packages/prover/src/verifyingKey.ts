import { BitcloakError } from '@bitcloak/protocol/errors';
import { bn254 } from './bn254.ts';
import { toBytes } from './elements.ts';

type Projective<Coordinate> = readonly [x: Coordinate, y: Coordinate, z: Coordinate];
type Extension = readonly [c0: string, c1: string];

/** A Groth16 verifying key as snarkjs exports it: projective points, decimal strings. */
export type VerifyingKey = {
  readonly protocol: string;
  readonly curve: string;
  readonly nPublic: number;
  readonly vk_alpha_1: Projective<string>;
  readonly vk_beta_2: Projective<Extension>;
  readonly vk_gamma_2: Projective<Extension>;
  readonly vk_delta_2: Projective<Extension>;
  readonly IC: readonly Projective<string>[];
};

export type G1Point = { readonly x: bigint; readonly y: bigint };
/** Coordinates c0 + c1·u. */
export type G2Point = {
  readonly x: { readonly c0: bigint; readonly c1: bigint };
  readonly y: { readonly c0: bigint; readonly c1: bigint };
};

/** The points of a checked key. */
export type KeyPoints = {
  readonly alpha: G1Point;
  readonly beta: G2Point;
  readonly gamma: G2Point;
  readonly delta: G2Point;
  readonly ic: readonly G1Point[];
};

export type KeyExpectation = {
  /** Public signals of the circuit. */
  readonly signals: number;
  /** alpha of the phase 1 that the key must come from, affine decimal coordinates. */
  readonly alpha?: readonly [x: string, y: string] | undefined;
};

const { G1, G2, fields } = bn254;

function refuse(field: string, expected: string, actual?: string | number): never {
  const got = actual === undefined ? '' : `, got ${actual}`;
  throw new BitcloakError('KEY_REFUSED', `verifying key: ${field}: expected ${expected}${got}`);
}

function tuple(value: unknown, length: number, field: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) refuse(field, `an array of ${length}`);
  return value as unknown[];
}

function coordinate(value: unknown, field: string): bigint {
  if (typeof value !== 'string' || !/^(0|[1-9][0-9]{0,77})$/.test(value)) refuse(field, 'a decimal string');
  const parsed = BigInt(value);
  if (parsed >= fields.Fp.ORDER) refuse(field, 'a coordinate below the base field modulus');
  return parsed;
}

/** An affine point of G1 that is not infinity. G1 has prime order, so being on the curve is enough. */
function parseG1(value: unknown, field: string): G1Point {
  const [x, y, z] = tuple(value, 3, field).map((part) => coordinate(part, field)) as [bigint, bigint, bigint];
  if (z !== 1n) refuse(field, 'an affine point other than infinity');
  if (!fields.Fp.eql(fields.Fp.sqr(y), fields.Fp.add(fields.Fp.pow(x, 3n), 3n))) refuse(field, 'a point on the curve');
  return { x, y };
}

/** An affine point of G2 that is not infinity and lies in the subgroup of prime order. */
function parseG2(value: unknown, field: string): G2Point {
  const [x, y, z] = tuple(value, 3, field).map((part) => {
    const [c0, c1] = tuple(part, 2, field).map((element) => coordinate(element, field)) as [bigint, bigint];
    return { c0, c1 };
  }) as [G2Point['x'], G2Point['y'], G2Point['x']];
  if (z.c0 !== 1n || z.c1 !== 0n) refuse(field, 'an affine point other than infinity');
  try {
    const point = G2.Point.fromAffine({ x, y });
    point.assertValidity();
    if (point.is0() || !point.isTorsionFree()) throw new Error('not in the subgroup');
  } catch {
    refuse(field, 'a point on the curve and in its subgroup');
  }
  return { x, y };
}

function equal(left: G2Point, right: G2Point): boolean {
  return fields.Fp2.eql(left.x, right.x) && fields.Fp2.eql(left.y, right.y);
}

/** One is the other or its negation: whoever knows the one's discrete logarithm knows the other's. */
function related(left: G2Point, right: G2Point): boolean {
  return fields.Fp2.eql(left.x, right.x);
}

/**
 * Refuses a key that cannot be sound, whatever circuit it belongs to, and returns its points.
 *
 * gamma is the generator in every key that snarkjs makes, and delta starts as the generator: a delta that is still the generator means
 * that phase 2 was skipped, and then anybody can forge a proof. A point at infinity among IC would leave a public signal unbound.
 * That a key belongs to its circuit and its phase 1 only `snarkjs zkey verify` can tell, which needs both.
 */
export function checkVerifyingKey(key: VerifyingKey, expected: KeyExpectation): KeyPoints {
  if (key.protocol !== 'groth16') refuse('protocol', 'groth16', key.protocol);
  if (key.curve !== 'bn128') refuse('curve', 'bn128', key.curve);
  if (key.nPublic !== expected.signals) refuse('nPublic', String(expected.signals), key.nPublic);
  const ic = tuple(key.IC, expected.signals + 1, 'IC').map((point, index) => parseG1(point, `IC[${index}]`));
  const alpha = parseG1(key.vk_alpha_1, 'vk_alpha_1');
  const beta = parseG2(key.vk_beta_2, 'vk_beta_2');
  const gamma = parseG2(key.vk_gamma_2, 'vk_gamma_2');
  const delta = parseG2(key.vk_delta_2, 'vk_delta_2');

  const generator = G2.Point.BASE.toAffine();
  if (!equal(gamma, generator)) refuse('vk_gamma_2', 'the generator of G2');
  if (related(delta, gamma)) refuse('vk_delta_2', 'a contribution to phase 2 (delta = gamma)');
  if (related(beta, gamma)) refuse('vk_beta_2', 'a contribution to phase 1 (beta = gamma)');
  const base = G1.Point.BASE.toAffine();
  if (alpha.x === base.x) refuse('vk_alpha_1', 'a contribution to phase 1 (alpha is the generator)');
  if (expected.alpha !== undefined) {
    const [x, y] = expected.alpha;
    if (alpha.x !== coordinate(x, 'expected alpha') || alpha.y !== coordinate(y, 'expected alpha')) {
      refuse('vk_alpha_1', `that of the expected phase 1 (${x}, ${y})`, `(${alpha.x}, ${alpha.y})`);
    }
  }
  return { alpha, beta, gamma, delta, ic };
}

/**
 * Refuses keys that cannot be verified in one pairing check: alpha, beta and gamma belong to phase 1 and must be shared, delta belongs to
 * the circuit alone. Under a shared delta the key of one circuit supplies the prover of the other with wires that no constraint of
 * that circuit binds, so false statements get proofs. A beacon applied alone to two circuits gives exactly that, since snarkjs derives the factor from the beacon only.
 */
export function checkKeysTogether(keys: Readonly<Record<string, KeyPoints>>): void {
  const entries = Object.entries(keys);
  entries.forEach(([name, key], index) => {
    for (const [otherName, other] of entries.slice(0, index)) {
      const pair = `${otherName} and ${name}`;
      if (key.alpha.x !== other.alpha.x || key.alpha.y !== other.alpha.y)
        refuse('vk_alpha_1', `one phase 1 for ${pair}`);
      if (!equal(key.beta, other.beta)) refuse('vk_beta_2', `one phase 1 for ${pair}`);
      if (!equal(key.gamma, other.gamma)) refuse('vk_gamma_2', `one phase 1 for ${pair}`);
      if (related(key.delta, other.delta)) refuse('vk_delta_2', `a phase 2 of its own for each of ${pair}`);
    }
  });
}

/** A checked key as the provers verify by: alpha, beta, gamma, delta and the points for 1 and for each signal, coordinates of 32 little-endian bytes. */
export function verifyingKeyBytes(key: VerifyingKey): Uint8Array {
  const { vk_alpha_1: alpha, vk_beta_2: beta, vk_gamma_2: gamma, vk_delta_2: delta, IC: ic } = key;
  // The third coordinate is 1: the key was checked.
  return toBytes([alpha, beta, gamma, delta, ...ic].flatMap((point) => point.slice(0, 2).flat().map(BigInt)));
}
