// Points of BabyJubJub for forgers: the wallet's own arithmetic refuses most of what they need.
import { add, B8, type Point } from '@bitcloak/crypto/babyjubjub';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import { mod, type Account } from '../support/circuit.ts';

/** What a circuit with a signature takes for it. */
type Signed = { readonly publicKey: bigint[]; signatureR8: bigint[]; signatureS: bigint };

/** A point of order 8: SUBGROUP_ORDER times circomlib's generator of the whole curve. */
export const ORDER_8: Point = {
  x: 4342719913949491028786768530115087822524712248835451589697801404893164183326n,
  y: 4826523245007015323400664741523384119579596407052839571721035538011798951543n,
};

/**
 * Not on the curve, and its quadruple by the formulas of the curve is (x, 0) with x ≠ 0. So it passes for a key that is not of small order, but
 * eight times it has x = 0, which circomlib's multiplication takes for the neutral element: h·8·A = 0 whatever h is, and anybody can sign.
 */
export const OFF_CURVE_KEY: Point = {
  x: 338252746117281865724608922952856817456737676324672337060693020905181467373n,
  y: 14013094153978534601224066133248671325222880767990364269452440554537658483255n,
};

export function multiply(point: Point, scalar: bigint): Point {
  let product: Point = { x: 0n, y: 1n };
  for (const bit of scalar.toString(2)) {
    product = add(product, product);
    if (bit === '1') product = add(product, point);
  }
  return product;
}

/** The challenge h of a signature of a message by the key that a statement names. */
export function signatureChallenge(input: Signed, message: bigint, r8: Point): bigint {
  const [x, y] = input.publicKey as [bigint, bigint];
  return poseidon([r8.x, r8.y, x, y, message]);
}

export function withSignature<Input extends Signed>(input: Input, r8: Point, s: bigint): Input {
  return { ...input, signatureR8: [r8.x, r8.y], signatureS: s };
}

/** S·B8 with any S as R8: a signature of whatever A for which h·8·A counts as the neutral element. */
export function withKeylessSignature<Input extends Signed>(input: Input, s: bigint): Input {
  return withSignature(input, multiply(B8, s), s);
}

/** A signature by the right key whose R8 has a part of order 8. */
export function withTwistedSignature<Input extends Signed>(
  input: Input,
  message: bigint,
  account: Account,
  nonce: bigint,
): Input {
  const r8 = add(multiply(B8, nonce), ORDER_8);
  const challenge = signatureChallenge(input, message, r8);
  return withSignature(input, r8, mod(nonce + 8n * challenge * account.spendingScalar, SUBGROUP_ORDER));
}

/**
 * Signs with the first nonce, counted from 1, whose challenge pleases; `factorOf` says how often 8·A an altered circuit adds for
 * a challenge.
 */
export function signSo<Input extends Signed>(
  input: Input,
  message: bigint,
  account: Account,
  pleases: (challenge: bigint) => boolean,
  factorOf: (challenge: bigint) => bigint,
): Input {
  for (let nonce = 1n; ; nonce++) {
    const r8 = multiply(B8, nonce);
    const challenge = signatureChallenge(input, message, r8);
    if (!pleases(challenge)) continue;
    return withSignature(input, r8, mod(nonce + 8n * account.spendingScalar * factorOf(challenge), SUBGROUP_ORDER));
  }
}
