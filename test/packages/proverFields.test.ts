import assert from 'node:assert/strict';
import { findAddon } from '@bitcloak/prover/addon';
import { fromBytes, toBytes } from '@bitcloak/prover/elements';
import { bn254 } from '@bitcloak/prover/bn254';
import { findWasm } from '@bitcloak/prover/nodeWasm';
import type { WasmVariant } from '@bitcloak/prover/wasmEngine';
import { WasmProver } from '@bitcloak/prover/wasmProver';
import * as snarkjs from 'snarkjs';
import { loadEmulatedAddon } from '../support/emulatedAddon.ts';
import {
  edgeValues,
  EXTENSION,
  FIELDS,
  g1Bytes,
  g2Bytes,
  KINDS,
  operationsOf,
  pairsOf,
  seededElementBytes,
  sumOfMultiples,
  type G1,
  type G2,
  type Operations,
} from '../support/proverFields.ts';

const RANDOM_COUNT = 100_000;
const ELEMENT_BYTES = 32;
const { Fp2, Fr } = bn254.fields;

const addon = findAddon();

function wasmOperations(variant: WasmVariant): Operations | undefined {
  const module = findWasm(variant);
  if (module === undefined) return undefined;
  const prover = new WasmProver(module);
  return (...operation) => prover.apply(...operation);
}

const emulated = loadEmulatedAddon();

/** Undefined where it is not there. */
const BACKENDS: Readonly<Record<string, Operations | undefined>> = {
  ...(addon === undefined
    ? { native: undefined }
    : Object.fromEntries(addon.backends.map((backend) => [backend, operationsOf(addon, backend)]))),
  'ifma emulated': emulated && operationsOf(emulated, 'ifma'),
  'wasm relaxed': wasmOperations('relaxed'),
  'wasm plain': wasmOperations('plain'),
};

/** Operands with what @noble/curves makes of them, computed once for all backends. An inverse is asked for by its product with the operand. */
type Expected = {
  left: Uint8Array;
  right: Uint8Array;
  count: number;
  results: Map<(typeof KINDS)[number], Uint8Array>;
};
const known = new Map<string, Expected>();

function expected(
  name: string,
  field: (typeof FIELDS)[number]['field'],
  operands: () => [bigint[], bigint[]],
): Expected {
  const before = known.get(name);
  if (before !== undefined) return before;
  const [left, right] = operands();
  const each = (result: (a: bigint, b: bigint) => bigint) =>
    toBytes(left.map((a, at) => result(a, right[at] as bigint)));
  const results: Expected['results'] = new Map([
    ['add', each((a, b) => field.add(a, b))],
    ['sub', each((a, b) => field.sub(a, b))],
    ['mul', each((a, b) => field.mul(a, b))],
    ['sqr', each((a) => field.sqr(a))],
    ['neg', each((a) => field.neg(a))],
    ['inv', each((a) => (a === 0n ? 0n : 1n))],
  ]);
  const made = { left: toBytes(left), right: toBytes(right), count: left.length, results };
  known.set(name, made);
  return made;
}

for (const [backend, operations] of Object.entries(BACKENDS)) {
  describe(`the arithmetic of the prover, ${backend}`, function () {
    this.timeout(300_000);
    let apply: Operations;

    before(function () {
      if (operations === undefined) this.skip();
      apply = operations;
    });

    for (const { name, code, field } of FIELDS) {
      const compare = ({ left, right, count, results }: Expected) => {
        for (const [index, kind] of KINDS.entries()) {
          // Inverses are taken one by one, in the same way by all but the WebAssembly.
          if (kind === 'inv' && count === RANDOM_COUNT && backend !== 'portable') continue;
          const result = apply(16 * code + index, left, right, count, left.length);
          const compared =
            kind === 'inv' ? apply(16 * code + KINDS.indexOf('mul'), result, left, count, left.length) : result;
          assert(Buffer.from(compared).equals(results.get(kind) as Uint8Array), kind);
        }
      };

      it(`${name}: every pair of edge values, as @noble/curves has it`, () => {
        const operands = (): [bigint[], bigint[]] => {
          const { left, right } = pairsOf(edgeValues(field.ORDER));
          return [left, right];
        };
        compare(expected(`${name} edges`, field, operands));
      });

      it(`${name}: ${RANDOM_COUNT} random pairs, as @noble/curves has it`, () => {
        const random = (side: string) => fromBytes(seededElementBytes(`${side} ${name}`, RANDOM_COUNT));
        compare(expected(`${name} random`, field, () => [random('left'), random('right')]));
      });
    }

    it(`scalar field: ${RANDOM_COUNT} products and sums, as ffjavascript has it`, async () => {
      const { Fr: other } = await snarkjs.curves.getCurveFromName('bn128');
      const left = seededElementBytes('left other', RANDOM_COUNT),
        right = seededElementBytes('right other', RANDOM_COUNT);
      const products = apply(16 + 2, left, right, RANDOM_COUNT, left.length),
        sums = apply(16, left, right, RANDOM_COUNT, left.length);
      for (let at = 0; at < left.length; at += ELEMENT_BYTES) {
        const element = (bytes: Uint8Array) => other.toMontgomery(bytes.subarray(at, at + ELEMENT_BYTES));
        const [a, b] = [element(left), element(right)];
        const isEqual = other.eq(element(products), other.mul(a, b)) && other.eq(element(sums), other.add(a, b));
        if (!isEqual) assert.fail(`pair ${at / ELEMENT_BYTES}`);
      }
    });

    it('extension: edge values and random pairs, as @noble/curves has it', () => {
      const edges = edgeValues(bn254.fields.Fp.ORDER);
      const random = fromBytes(seededElementBytes('extension', 4 * RANDOM_COUNT));
      const parts = [...pairsOf(edges.slice(0, 12)).left, ...pairsOf(edges).right, ...random];
      const count = Math.floor(parts.length / 4);
      const left = parts.slice(0, 2 * count),
        right = parts.slice(2 * count, 4 * count);
      const [leftBytes, rightBytes] = [toBytes(left), toBytes(right)];
      const at = (values: readonly bigint[], index: number) =>
        Fp2.create({ c0: values[2 * index] as bigint, c1: values[2 * index + 1] as bigint });
      const operations = {
        add: Fp2.add.bind(Fp2),
        sub: Fp2.sub.bind(Fp2),
        mul: Fp2.mul.bind(Fp2),
        sqr: (a: ReturnType<typeof at>) => Fp2.sqr(a),
        neg: (a: ReturnType<typeof at>) => Fp2.neg(a),
      };
      for (const [kind, operation] of Object.entries(operations)) {
        const code = 16 * EXTENSION + KINDS.indexOf(kind as (typeof KINDS)[number]);
        const results = fromBytes(apply(code, leftBytes, rightBytes, count, leftBytes.length));
        for (let index = 0; index < count; index++) {
          const { c0, c1 } = operation(at(left, index), at(right, index));
          if (results[2 * index] !== c0 || results[2 * index + 1] !== c1) assert.fail(`${kind}, pair ${index}`);
        }
      }
    });

    describe('sums of multiples', () => {
      /** 1·step, 2·step, and so on, which are known multiples of the base. */
      function multiples<Point extends { add(other: Point): Point }>(step: Point, count: number): Point[] {
        const points = [step];
        while (points.length < count) points.push((points.at(-1) as Point).add(step));
        return points;
      }
      const scalars = (seed: string, count: number) =>
        fromBytes(seededElementBytes(seed, count)).map((value) => value % Fr.ORDER);

      it('of many points of G1 and G2 are those of @noble/curves', () => {
        for (const [group, count] of [
          ['G1', RANDOM_COUNT / 4],
          ['G2', RANDOM_COUNT / 20],
        ] as const) {
          const factors = scalars(group, count);
          const total = factors.reduce((sum, factor, index) => Fr.add(sum, Fr.mul(factor, BigInt(index + 1))), 0n);
          const step = 987654321n;
          const points =
            group === 'G1'
              ? g1Bytes(multiples(bn254.G1.Point.BASE.multiply(step), count))
              : g2Bytes(multiples(bn254.G2.Point.BASE.multiply(step), count));
          const sum = Fr.mul(total, step);
          const wanted =
            group === 'G1'
              ? g1Bytes([bn254.G1.Point.BASE.multiply(sum)])
              : g2Bytes([bn254.G2.Point.BASE.multiply(sum)]);
          assert.deepEqual(sumOfMultiples(apply, group, points, factors), fromBytes(wanted));
        }
      });

      it('of one point by any scalar near those at which halves change are those of @noble/curves', () => {
        // 36x³ + 18x² + 6x + 1 for the curve's parameter, and the pairs (a, b) for which a + b·λ is a multiple of the order.
        const x = 4965661367192848881n;
        const lambda = 36n * x ** 3n + 18n * x ** 2n + 6n * x + 1n;
        const [small, large] = [2n * x + 1n, 6n * x ** 2n + 2n * x];
        assert.equal(Fr.create(small - large * lambda), 0n);
        const borders = [1n, 3n, small - 2n, large / 2n].flatMap((odd) =>
          [small, large].map((divisor) => ((odd | 1n) * Fr.ORDER) / (2n * divisor)),
        );
        const centres = [0n, 1n << 126n, 1n << 128n, Fr.ORDER / 2n, lambda, lambda ** 2n, small, large, ...borders];
        const factors = centres.flatMap((centre) =>
          [-1n, 0n, 1n].flatMap((distance) => [Fr.create(centre + distance), Fr.create(-centre + distance)]),
        );
        for (const factor of new Set(factors)) {
          const [g1, g2] = [bn254.G1.Point, bn254.G2.Point];
          const of1 = factor === 0n ? g1.ZERO : g1.BASE.multiply(factor);
          const of2 = factor === 0n ? g2.ZERO : g2.BASE.multiply(factor);
          assert.deepEqual(sumOfMultiples(apply, 'G1', g1Bytes([g1.BASE]), [factor]), fromBytes(g1Bytes([of1])));
          assert.deepEqual(sumOfMultiples(apply, 'G2', g2Bytes([g2.BASE]), [factor]), fromBytes(g2Bytes([of2])));
        }
      });

      it('meet equal and opposite points, infinity, and come to it', () => {
        const draw = fromBytes(seededElementBytes('collisions', 4000));
        let next = 0;
        const pick = <T>(choices: readonly T[]): T =>
          choices[Number((draw[next++] as bigint) % BigInt(choices.length))] as T;
        // Multiples of the base by few numbers and few factors: nearly every addition is special.
        for (let round = 0; round < 40; round++) {
          const size = 1 + round;
          const known = Array.from({ length: size }, () => pick([0n, 1n, -1n, 2n, -2n, 3n]));
          const factors = known.map(() =>
            pick([
              0n,
              1n,
              Fr.ORDER - 1n,
              2n,
              128n,
              129n,
              256n,
              Fr.ORDER - 128n,
              (Fr.ORDER - 1n) / 2n,
              (Fr.ORDER + 1n) / 2n,
            ]),
          );
          const total = Fr.create(
            known.reduce((sum, multiple, index) => sum + multiple * (factors[index] as bigint), 0n),
          );
          const of = <Point extends { multiply(factor: bigint): Point }>(base: Point, zero: Point, multiple: bigint) =>
            Fr.create(multiple) === 0n ? zero : base.multiply(Fr.create(multiple));
          const g1 = (multiple: bigint) => of<G1>(bn254.G1.Point.BASE, bn254.G1.Point.ZERO, multiple);
          const g2 = (multiple: bigint) => of<G2>(bn254.G2.Point.BASE, bn254.G2.Point.ZERO, multiple);
          assert.deepEqual(
            sumOfMultiples(apply, 'G1', g1Bytes(known.map(g1)), factors),
            fromBytes(g1Bytes([g1(total)])),
            `G1, round ${round}`,
          );
          if (round % 4 === 0) {
            assert.deepEqual(
              sumOfMultiples(apply, 'G2', g2Bytes(known.map(g2)), factors),
              fromBytes(g2Bytes([g2(total)])),
              `G2, round ${round}`,
            );
          }
        }
      });
    });
  });
}
