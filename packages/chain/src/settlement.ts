import type { FillShown } from '@bitcloak/notes/fill';
import { FIELD_MODULUS, SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
import { AbiCoder, keccak256, toBeHex, TypedDataEncoder, type TypedDataDomain, type TypedDataField } from 'ethers';
import { formatAccount } from './manifest.ts';

/** Everything of a settlement that its operator signs. */
export type SettlementShown = {
  /** The operator's number in the registry. */
  readonly operator: number;
  /** One more than that of the operator's settlement before. */
  readonly sequence: bigint;
  /** 32 bytes. */
  readonly journalHead: bigint;
  readonly root: bigint;
  /** Unix seconds. */
  readonly validUntil: bigint;
  readonly fills: readonly FillShown[];
  /** Commitments of four notes of the operator. */
  readonly residuals: readonly bigint[];
  readonly ciphertext: Uint8Array;
  /** The clearing's. */
  readonly commitment: bigint;
};

/** A proven settlement, ready for the pool. */
export type ProvenSettlement = {
  readonly shown: SettlementShown;
  /** One for each fill. */
  readonly fillProofs: readonly (readonly bigint[])[];
  readonly clearingProof: readonly bigint[];
};

const coder = AbiCoder.defaultAbiCoder();

/**
 * What locks and orders name an operator by, computed as the pool computes it, so that no endpoint has a say in it.
 *
 * @param operator its number in the registry.
 */
export function operatorIdOf(chainId: bigint, pool: bigint, registry: bigint, operator: number): bigint {
  const values = [chainId, formatAccount(pool), formatAccount(registry), operator];
  return BigInt(keccak256(coder.encode(['uint256', 'address', 'address', 'uint256'], values))) % FIELD_MODULUS;
}

const FILL_FIELDS = [
  'nullifier0',
  'nullifier1',
  'orderNullifier',
  'change',
  'proceeds',
  'orderState',
  'fill',
  'word0',
  'word1',
  'word2',
] as const;

const TYPES: Record<string, TypedDataField[]> = {
  Settlement: [
    { name: 'operator', type: 'uint256' },
    { name: 'sequence', type: 'uint64' },
    { name: 'journalHead', type: 'bytes32' },
    { name: 'root', type: 'uint256' },
    { name: 'validUntil', type: 'uint256' },
    { name: 'fills', type: 'Fill[]' },
    { name: 'residuals', type: `uint256[${SETTLEMENT_RESIDUALS}]` },
    { name: 'ciphertext', type: 'bytes' },
    { name: 'commitment', type: 'uint256' },
  ],
  Fill: FILL_FIELDS.map((name) => ({ name, type: 'uint256' })),
};

function wordsOf(fill: FillShown): bigint[] {
  const { nullifiers, orderNullifier, change, proceeds, orderState, words } = fill;
  return [...nullifiers, orderNullifier, change, proceeds, orderState, fill.fill, ...words];
}

/** The hash that an operator's signer signs (EIP-712): it means nothing on another chain or pool. */
export function settlementDigest(chainId: bigint, pool: bigint, shown: SettlementShown): string {
  const domain: TypedDataDomain = {
    name: 'Bitcloak pool',
    version: '1',
    chainId,
    verifyingContract: formatAccount(pool),
  };
  return TypedDataEncoder.hash(domain, TYPES, {
    ...shown,
    journalHead: toBeHex(shown.journalHead, 32),
    fills: shown.fills.map((fill) =>
      Object.fromEntries(wordsOf(fill).map((word, index) => [FILL_FIELDS[index] as string, word])),
    ),
  });
}

/** The pool's argument for a settlement, in the order of its struct. */
export function batchArgument({ shown, fillProofs, clearingProof }: ProvenSettlement): unknown[] {
  const fills = shown.fills.map((fill) => {
    const { nullifiers, orderNullifier, change, proceeds, orderState, words } = fill;
    return [nullifiers, orderNullifier, change, proceeds, orderState, fill.fill, words];
  });
  const { operator, sequence, journalHead, root, validUntil, residuals, ciphertext, commitment } = shown;
  const head = toBeHex(journalHead, 32);
  const proven = [fills, fillProofs, residuals, ciphertext, commitment, clearingProof];
  return [operator, sequence, head, root, validUntil, ...proven];
}
