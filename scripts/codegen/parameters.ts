import {
  AMOUNT_BITS,
  AMOUNT_MAX,
  ASSET_BITS,
  BUCKET_AGE_SECONDS_MAX,
  BUCKET_AGE_SECONDS_MIN,
  BUCKET_HEIGHT,
  BUCKET_LEAVES,
  CANCEL_DELAY_SECONDS,
  CIRCUITS,
  DEPOSIT_CIPHERTEXT_BYTES,
  DEVELOPMENT_CHAIN_IDS,
  ERA_SECONDS_MAX,
  FIELD_MODULUS,
  FILL_INPUTS,
  FILL_LEAVES,
  MEASUREMENT_DELAY_SECONDS,
  NATIVE_ASSET,
  PUBLIC_SIGNALS,
  SETTLEMENT_CIPHERTEXT_BYTES,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_HORIZON_SECONDS,
  SETTLEMENT_RESIDUALS,
  TAG,
  TIMELOCK_SECONDS_MIN,
  TIME_BITS,
  TIME_MAX,
  TRANSFER_CIPHERTEXT_BYTES,
  TRANSFER_INPUTS,
  TRANSFER_OUTPUTS,
  TREE_ARITY,
  TREE_BUCKETS,
  TREE_DEPTH,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { buildPoseidon } from 'circomlibjs';
import { getAddress } from 'ethers';
import { CIRCOM_HEADER, SOLIDITY_HEADER, solidityInteger } from './format.ts';

/** Roots of the subtrees whose leaves are all 0, by height: a node is Poseidon of its four children with initial state 0. */
async function emptyRoots(): Promise<bigint[]> {
  const poseidon = await buildPoseidon();
  const roots = [0n];
  for (let height = 0; height < TREE_DEPTH; height++) {
    const children = Array.from({ length: TREE_ARITY }, () => roots[height] as bigint);
    roots.push(poseidon.F.toObject(poseidon(children)));
  }
  return roots;
}

async function emptyFill(): Promise<bigint> {
  const poseidon = await buildPoseidon();
  return poseidon.F.toObject(poseidon([0, 0, 0, 0, 0], poseidon.F.e(TAG.FILL)));
}

/** `withdrawAmount` as `WITHDRAW_AMOUNT`, `words[2]` as `WORDS_2`. */
function constantName(name: string): string {
  return name
    .replace(/\[([0-9]+)\]/g, '_$1')
    .replace(/[A-Z]/g, (letter) => `_${letter}`)
    .toUpperCase();
}

/** The constants of the circuits, as functions: Circom has no global constants. */
export async function circomParameters(): Promise<string> {
  const roots = await emptyRoots();
  const constants: [name: string, value: number | bigint][] = [
    ...Object.entries(TAG).map(([name, value]): [string, bigint] => [`TAG_${name}`, value]),
    ['TREE_DEPTH', TREE_DEPTH],
    ['BUCKET_HEIGHT', BUCKET_HEIGHT],
    ['EMPTY_BUCKET_ROOT', roots[BUCKET_HEIGHT] as bigint],
    ['AMOUNT_BITS', AMOUNT_BITS],
    ['TIME_BITS', TIME_BITS],
    ['ASSET_BITS', ASSET_BITS],
    ['TRANSFER_INPUTS', TRANSFER_INPUTS],
    ['TRANSFER_OUTPUTS', TRANSFER_OUTPUTS],
    ['FILL_INPUTS', FILL_INPUTS],
    ['SETTLEMENT_FILLS_MAX', SETTLEMENT_FILLS_MAX],
    ['SETTLEMENT_RESIDUALS', SETTLEMENT_RESIDUALS],
  ];
  const functions = constants.map(([name, value]) => `function ${name}() {\n    return ${value};\n}\n`);
  return `${CIRCOM_HEADER}\n${functions.join('\n')}`;
}

/** The constants of the contracts. */
export async function solidityParameters(): Promise<string> {
  const roots = await emptyRoots();
  const lines: string[] = [];
  const constant = (comment: string, name: string, value: number | bigint, type = 'uint256') => {
    if (comment !== '') lines.push(`    /// @dev ${comment}`);
    lines.push(`    ${type} internal constant ${name} = ${solidityInteger(BigInt(value))};`);
  };

  constant('Order of the BN254 scalar field: every public signal is below it.', 'FIELD_MODULUS', FIELD_MODULUS);
  constant('Leaves of one tree.', 'TREE_LEAVES', TREE_LEAVES);
  constant('Buckets of one tree.', 'TREE_BUCKETS', TREE_BUCKETS);
  constant('Leaves of one bucket.', 'BUCKET_LEAVES', BUCKET_LEAVES);
  constant('Root of a tree whose leaves are all 0.', 'EMPTY_ROOT', roots[TREE_DEPTH] as bigint);
  constant('In the smallest unit of the asset.', 'AMOUNT_MAX', AMOUNT_MAX);
  constant('In unix seconds.', 'TIME_MAX', TIME_MAX);
  lines.push("    /// @dev The native currency's place among the assets.");
  const native = getAddress(`0x${NATIVE_ASSET.toString(16).padStart(40, '0')}`);
  lines.push(`    address internal constant NATIVE_ASSET = ${native};`);
  constant('', 'TRANSFER_INPUTS', TRANSFER_INPUTS);
  constant('', 'TRANSFER_OUTPUTS', TRANSFER_OUTPUTS);
  constant('', 'FILL_INPUTS', FILL_INPUTS);
  constant('', 'FILL_LEAVES', FILL_LEAVES);
  constant('', 'SETTLEMENT_FILLS_MAX', SETTLEMENT_FILLS_MAX);
  constant('', 'SETTLEMENT_RESIDUALS', SETTLEMENT_RESIDUALS);
  constant('The commitment of the fill of nothing: H_FILL(0, 0, 0, 0, 0).', 'EMPTY_FILL', await emptyFill());
  constant('', 'DEPOSIT_CIPHERTEXT_BYTES', DEPOSIT_CIPHERTEXT_BYTES);
  constant('', 'TRANSFER_CIPHERTEXT_BYTES', TRANSFER_CIPHERTEXT_BYTES);
  constant('', 'SETTLEMENT_CIPHERTEXT_BYTES', SETTLEMENT_CIPHERTEXT_BYTES);
  constant('', 'SETTLEMENT_HORIZON_SECONDS', SETTLEMENT_HORIZON_SECONDS);
  constant('', 'CANCEL_DELAY_SECONDS', CANCEL_DELAY_SECONDS);
  constant('', 'ERA_SECONDS_MAX', ERA_SECONDS_MAX);
  constant('', 'MEASUREMENT_DELAY_SECONDS', MEASUREMENT_DELAY_SECONDS);
  constant('', 'TIMELOCK_SECONDS_MIN', TIMELOCK_SECONDS_MIN);
  constant('', 'BUCKET_AGE_SECONDS_MIN', BUCKET_AGE_SECONDS_MIN);
  constant('', 'BUCKET_AGE_SECONDS_MAX', BUCKET_AGE_SECONDS_MAX);

  CIRCUITS.forEach((circuit, identifier) => {
    const prefix = constantName(circuit);
    lines.push('');
    constant(
      `Identifier of the circuit ${circuit}, the number of its public signals and the place of each.`,
      prefix,
      identifier,
      'uint8',
    );
    constant('', `${prefix}_SIGNALS`, PUBLIC_SIGNALS[circuit].length);
    PUBLIC_SIGNALS[circuit].forEach((signal, place) => constant('', `${prefix}_${constantName(signal)}`, place));
  });

  const development = DEVELOPMENT_CHAIN_IDS.map((chainId) => `chainId == ${chainId}`).join(' || ');
  return `${SOLIDITY_HEADER}
/// @title Constants of the protocol, from the parameter table packages/protocol/src/parameters.ts.
library Parameters {
${lines.join('\n')}

    /// @notice Whether keys without an outside ceremony are allowed on that chain.
    function isDevelopmentChain(uint256 chainId) internal pure returns (bool) {
        return ${development};
    }
}
`;
}
