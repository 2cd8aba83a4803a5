import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CIRCUITS, PUBLIC_SIGNALS } from '@bitcloak/protocol/parameters';
import {
  checkKeysTogether,
  checkVerifyingKey,
  type G1Point,
  type G2Point,
  type KeyPoints,
  type VerifyingKey,
} from '@bitcloak/prover/verifyingKey';
import { SOLIDITY_HEADER, solidityInteger } from './format.ts';

/** What `circuits/keys/ceremony.json` says of the origin of the keys. */
type Ceremony = {
  readonly development?: boolean;
  /** `alpha`: affine decimal coordinates of phase 1's alpha in G1. */
  readonly phase1?: { readonly alpha?: readonly [x: string, y: string] };
};

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

const word = (offset: number, value: string) =>
  offset === 0 ? `mstore(to, ${value})` : `mstore(add(to, 0x${offset.toString(16).padStart(2, '0')}), ${value})`;

function g1({ x, y }: G1Point, offset = 0): string[] {
  return [word(offset, solidityInteger(x)), word(offset + 0x20, solidityInteger(y))];
}

/** The negation of a point of G2, in the order of the precompile: the coefficient of u first. The subtractions are done by the compiler. */
function negatedG2({ x, y }: G2Point): string[] {
  return [
    word(0x00, solidityInteger(x.c1)),
    word(0x20, solidityInteger(x.c0)),
    word(0x40, `sub(BASE_MODULUS, ${solidityInteger(y.c1)})`),
    word(0x60, `sub(BASE_MODULUS, ${solidityInteger(y.c0)})`),
  ];
}

const indent = (lines: string[], spaces: number) => lines.map((line) => `${' '.repeat(spaces)}${line}`).join('\n');

function assemblyFunction(comment: string, signature: string, body: string[]): string {
  return `    /// @dev ${comment}
    function ${signature} {
        assembly ("memory-safe") {
${indent(body, 12)}
        }
    }
`;
}

function perCircuit(lines: (circuit: (typeof CIRCUITS)[number]) => string[]): string[] {
  return [
    'switch circuit',
    ...CIRCUITS.flatMap((circuit, identifier) => [
      `case ${identifier} {`,
      ...lines(circuit).map((line) => `    ${line}`),
      '}',
    ]),
  ];
}

/**
 * The verifying keys of `directory` as a Solidity library. Throws KEY_REFUSED for keys that cannot be sound.
 * Keys count as fit for value only where ceremony.json says so and names the phase 1's alpha.
 */
export function verifyingKeysLibrary(directory: string): string {
  const ceremonyFile = join(directory, 'ceremony.json');
  const ceremony: Ceremony = existsSync(ceremonyFile) ? (readJson(ceremonyFile) as Ceremony) : {};
  const alpha = ceremony.phase1?.alpha;
  const development = ceremony.development !== false;
  if (!development && alpha === undefined)
    throw new Error(`${ceremonyFile}: keys for value need phase1.alpha to be compared with`);

  const keys = Object.fromEntries(
    CIRCUITS.map((circuit) => {
      const key = readJson(join(directory, `${circuit}.vkey.json`)) as VerifyingKey;
      return [circuit, checkVerifyingKey(key, { signals: PUBLIC_SIGNALS[circuit].length, alpha })];
    }),
  ) as Record<(typeof CIRCUITS)[number], KeyPoints>;
  checkKeysTogether(keys);
  const shared = keys[CIRCUITS[0]];

  return `${SOLIDITY_HEADER}
/// @title The verifying keys of all circuits, from circuits/keys.
/// @dev The coordinates are those of the key files. beta, gamma and delta are written negated, so that
///      e(A, B) e(alpha, -beta) e(L, -gamma) e(C, -delta) = 1 holds for a proof as it comes.
///      Points of G2 are in the order of the precompile (EIP-197): the imaginary part of a coordinate first.
library VerifyingKeys {
    /// @dev Whether anybody can know the secrets behind these keys: no ceremony with an outsider made them.
    bool internal constant DEVELOPMENT = ${development};
    uint256 internal constant CIRCUITS = ${CIRCUITS.length};
    /// @dev The most public signals that a circuit has.
    uint256 internal constant SIGNALS_MAX = ${Math.max(...CIRCUITS.map((circuit) => PUBLIC_SIGNALS[circuit].length))};
    /// @dev Order of the field of the curve's coordinates.
    uint256 private constant BASE_MODULUS = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

${[
  assemblyFunction(
    'The number of public signals of a circuit; the caller guarantees circuit < CIRCUITS, here and below.',
    'signalCount(uint256 circuit) internal pure returns (uint256 count)',
    perCircuit((circuit) => [`count := ${PUBLIC_SIGNALS[circuit].length}`]),
  ),
  assemblyFunction('Writes alpha: 2 words.', 'writeAlpha(uint256 to) internal pure', g1(shared.alpha)),
  assemblyFunction('Writes -beta: 4 words.', 'writeNegatedBeta(uint256 to) internal pure', negatedG2(shared.beta)),
  assemblyFunction('Writes -gamma: 4 words.', 'writeNegatedGamma(uint256 to) internal pure', negatedG2(shared.gamma)),
  assemblyFunction(
    "Writes a circuit's -delta: 4 words.",
    'writeNegatedDelta(uint256 circuit, uint256 to) internal pure',
    perCircuit((circuit) => negatedG2(keys[circuit].delta)),
  ),
  assemblyFunction(
    "Writes a circuit's IC, 3 words a point: x, y and 0, the place of the scalar that it will be multiplied by.",
    'writePoints(uint256 circuit, uint256 to) internal pure',
    perCircuit((circuit) =>
      keys[circuit].ic.flatMap((point, index) => [...g1(point, 0x60 * index), word(0x60 * index + 0x40, '0')]),
    ),
  ),
].join('\n')}}
`;
}
