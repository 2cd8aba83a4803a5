import { readFileSync } from 'node:fs';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { SOLIDITY_HEADER, solidityInteger } from './format.ts';

const INPUTS = 3;
const WIDTH = INPUTS + 1;
const FULL_ROUNDS = 8;
const PARTIAL_ROUNDS = 56;
const LANES = [0, 1, 2, 3] as const;

/**
 * circomlibjs's table for the optimised form of the permutation: constants C, dense matrix M, the matrix P that replaces M before the partial
 * rounds, and a sparse matrix S per partial round (7 numbers: its first row, then the rest of its first column). The form is derived in
 * appendix B of the Poseidon paper, https://eprint.iacr.org/2019/458.
 */
type Constants = { C: bigint[]; M: bigint[][]; P: bigint[][]; S: bigint[] };

function readConstants(): Constants {
  const path = new URL('src/poseidon_constants_opt.json', import.meta.resolve('circomlibjs'));
  const table = JSON.parse(readFileSync(path, 'utf8')) as {
    C: string[][];
    M: string[][][];
    P: string[][][];
    S: string[][];
  };
  const row = (values: string[] | undefined) => (values as string[]).map(BigInt);
  const matrix = (rows: string[][] | undefined) => (rows as string[][]).map(row);
  const at = WIDTH - 2;
  return { C: row(table.C[at]), M: matrix(table.M[at]), P: matrix(table.P[at]), S: row(table.S[at]) };
}

const product = (lane: string, factor: bigint | undefined) =>
  `mulmod(${lane}, ${solidityInteger(factor as bigint)}, p)`;
const sum = (terms: string[]) => terms.reduce((left, right) => `add(${left}, ${right})`);

/** lane := lane^5 + constant, below 2p. */
function power(lane: number, constant?: bigint): string[] {
  const quintic = `mulmod(s${lane}, mulmod(t, t, p), p)`;
  return [
    `t := mulmod(s${lane}, s${lane}, p)`,
    `s${lane} := ${constant === undefined ? quintic : `add(${quintic}, ${solidityInteger(constant)})`}`,
  ];
}

/** The lanes times a matrix, plus a constant for each lane. Three or four products below p and a constant below p fit into 256 bits. */
function mix(matrix: bigint[][], from: readonly number[], constants: bigint[] = []): string[] {
  return [
    ...LANES.map((to) => {
      const terms = from.map((lane) => product(`s${lane}`, (matrix[lane] as bigint[])[to]));
      if (constants[to] !== undefined) terms.push(solidityInteger(constants[to]));
      return `let n${to} := ${sum(terms)}`;
    }),
    ...LANES.map((lane) => `s${lane} := n${lane}`),
  ];
}

function rounds({ C, M, P, S }: Constants): string[][] {
  const half = FULL_ROUNDS / 2;
  const blocks: string[][] = [];
  const constantsOf = (round: number) => C.slice(round * WIDTH, (round + 1) * WIDTH);

  // The first lane enters as 0, so what comes out of its first round is constant.
  const first = constantsOf(0);
  const second = constantsOf(1);
  blocks.push(LANES.slice(1).map((lane) => `s${lane} := add(s${lane}, ${solidityInteger(first[lane] as bigint)})`));
  const known = (first[0] as bigint) ** 5n + (second[0] as bigint);
  const share = (M[0] as bigint[]).map((factor) => (factor * known) % FIELD_MODULUS);
  blocks.push([...LANES.slice(1).flatMap((lane) => power(lane, second[lane])), ...mix(M, LANES.slice(1), share)]);

  for (let round = 1; round < half; round++) {
    const constants = constantsOf(round + 1);
    blocks.push([...LANES.flatMap((lane) => power(lane, constants[lane])), ...mix(round === half - 1 ? P : M, LANES)]);
  }

  // The lanes 1 to 3 come in below 4p and grow by less than p a round: reduced in every fifth round they stay below 5p < 2^256.
  for (let round = 0; round < PARTIAL_ROUNDS; round++) {
    const sparse = S.slice(round * (2 * WIDTH - 1), (round + 1) * (2 * WIDTH - 1));
    const grow = (lane: number) => product('s0', sparse[WIDTH + lane - 1]);
    blocks.push([
      ...power(0, C[(half + 1) * WIDTH + round]),
      `let n0 := ${sum(LANES.map((lane) => product(`s${lane}`, sparse[lane])))}`,
      ...LANES.slice(1).map(
        (lane) =>
          `s${lane} := ${round % 5 === 0 ? `addmod(s${lane}, ${grow(lane)}, p)` : `add(s${lane}, ${grow(lane)})`}`,
      ),
      's0 := n0',
    ]);
  }

  const last = C.slice((half + 1) * WIDTH + PARTIAL_ROUNDS);
  for (let round = 0; round < half - 1; round++) {
    const constants = last.slice(round * WIDTH, (round + 1) * WIDTH);
    blocks.push([...LANES.flatMap((lane) => power(lane, constants[lane])), ...mix(M, LANES)]);
  }
  // Only the first lane comes out.
  const output = sum(LANES.map((lane) => product(`s${lane}`, (M[lane] as bigint[])[0])));
  blocks.push([...LANES.flatMap((lane) => power(lane)), `digest := mod(${output}, p)`]);
  return blocks;
}

/** Poseidon of three inputs as straight-line assembly: every constant is an operand in the code, which nothing beats in gas. */
export function poseidonContract(): string {
  const indent = (lines: string[], spaces: number) => lines.map((line) => `${' '.repeat(spaces)}${line}`).join('\n');
  const body = rounds(readConstants()).map((lines) =>
    lines.some((line) => line.startsWith('let '))
      ? `            {\n${indent(lines, 16)}\n            }`
      : indent(lines, 12),
  );
  return `${SOLIDITY_HEADER}
import {IPoseidon3} from "../interfaces/IPoseidon3.sol";

/// @title Poseidon of three elements over the BN254 scalar field, with the constants of circomlib.
/// @dev Sums stay unreduced where they provably fit into 256 bits; mulmod reduces what it is given.
contract Poseidon3 is IPoseidon3 {
    /// @inheritdoc IPoseidon3
    function hash(uint256 a, uint256 b, uint256 c) external pure returns (uint256 digest) {
        assembly ("memory-safe") {
            let p := ${solidityInteger(FIELD_MODULUS)}
            let t
            let s0
            let s1 := a
            let s2 := b
            let s3 := c
${body.join('\n')}
        }
    }
}
`;
}
