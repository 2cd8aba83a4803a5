import { FIELD_BYTES, writeWords } from '@bitcloak/crypto/field';
import { Fp, poseidonConstants } from '@bitcloak/crypto/poseidonConstants';

type Vector = readonly bigint[];
type Matrix = readonly Vector[];

const dot = (left: Vector, right: Vector) =>
  left.reduce((sum, value, index) => Fp.add(sum, Fp.mul(value, right[index] as bigint)), 0n);
const columnsOf = (matrix: Matrix): Matrix =>
  (matrix[0] ?? []).map((_, index) => matrix.map((row) => row[index] ?? 0n));
const apply = (matrix: Matrix, vector: Vector): Vector => matrix.map((row) => dot(row, vector));
const product = (left: Matrix, right: Matrix): Matrix =>
  columnsOf(columnsOf(right).map((column) => apply(left, column)));
const plus = (left: Vector, right: Vector): Vector => left.map((value, index) => Fp.add(value, right[index] ?? 0n));
const identity = (size: number): Matrix =>
  Array.from({ length: size }, (_, row) => Array.from({ length: size }, (__, column) => (row === column ? 1n : 0n)));

/** By Gauss and Jordan, without looking for pivots: every square part of a Cauchy matrix can be inverted. */
function inverseOf(matrix: Matrix): Matrix {
  const size = matrix.length;
  let rows = matrix.map((row, index) => [...row, ...(identity(size)[index] ?? [])]);
  for (let pivot = 0; pivot < size; pivot++) {
    const factor = Fp.inv(rows[pivot]?.[pivot] ?? 0n);
    const own = (rows[pivot] ?? []).map((value) => Fp.mul(value, factor));
    rows = rows.map((row, index) =>
      index === pivot ? own : row.map((value, at) => Fp.sub(value, Fp.mul(row[pivot] ?? 0n, own[at] ?? 0n))),
    );
  }
  return rows.map((row) => row.slice(size));
}

/**
 * The constants of Poseidon with circomlib's parameters as native/poseidon.h takes them, 32 bytes each, the lowest first.
 *
 * Let the matrix M be m in its corner, v and w beside it, and N. What a partial round does to the first element alone changes places with anything that
 * leaves that element alone: so does the part of its constants that the others get, which M carries into the next round, and so does diag(1, N), into which
 * and a sparse matrix M falls apart. From the last round to the first that leaves, k rounds before the end, m, v·N^-k and N^(k-1)·w with ones on the
 * diagonal, and diag(1, N^rounds) before all of them, which the matrix of the full round there takes in.
 */
export function poseidonTable(inputs: number): { readonly roundsPartial: number; readonly numbers: Uint8Array } {
  const { t: width, roundsFull, roundsPartial, roundConstants, mds } = poseidonConstants(inputs);
  const half = roundsFull / 2;
  const heads: bigint[] = [];
  let carried: Vector = new Array<bigint>(width).fill(0n);
  for (const constants of roundConstants.slice(half, half + roundsPartial)) {
    const [head = 0n, ...others] = plus(constants, carried);
    heads.push(head);
    carried = apply(mds, [0n, ...others]);
  }
  const [firstAfter = [], ...lastRounds] = roundConstants.slice(half + roundsPartial);
  const full = [...roundConstants.slice(0, half), plus(firstAfter, carried), ...lastRounds];

  const inner = mds.slice(1).map((row) => row.slice(1));
  const inverseColumns = columnsOf(inverseOf(inner));
  const corner = mds[0]?.[0] ?? 0n;
  let row: Vector = mds[0]?.slice(1) ?? [];
  let column: Vector = mds.slice(1).map(([first = 0n]) => first);
  let power = identity(inputs);
  const sparse: Vector[] = [];
  for (let round = roundsPartial - 1; round >= 0; round--) {
    row = apply(inverseColumns, row);
    sparse.unshift([heads[round] ?? 0n, corner, ...row, ...column]);
    column = apply(inner, column);
    power = product(inner, power);
  }
  const diagonal = [[1n, ...new Array<bigint>(inputs).fill(0n)], ...power.map((values) => [0n, ...values])];
  const last = product(diagonal, mds);
  return { roundsPartial, numbers: bytesOf([...full, ...mds, ...last, ...sparse].flat()) };
}

function bytesOf(numbers: Vector): Uint8Array {
  const words = new BigUint64Array((numbers.length * FIELD_BYTES) / 8);
  numbers.forEach((value, index) => {
    writeWords(words, (index * FIELD_BYTES) / 8, value);
  });
  return new Uint8Array(words.buffer);
}
