import { formatAddress, parseAddress, type ShieldedAddress } from '@bitcloak/notes/address';
import { integerToBytes } from '@bitcloak/crypto/field';
import type { Commitment, Nullifier } from '@bitcloak/notes/note';
import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  AMOUNT_MAX,
  TRANSFER_CIPHERTEXT_BYTES,
  TRANSFER_INPUTS,
  TRANSFER_OUTPUTS,
} from '@bitcloak/protocol/parameters';
import { formatAccount } from './manifest.ts';
import type { ProvenTransfer } from './pool.ts';

/*
 * What a wallet and a relayer say to each other, as JSON. Words of the proof and field elements are 32 bytes in lower-case hexadecimal, amounts
 * and times decimal strings, addresses 20 bytes in hexadecimal: every value has one form or, for an address, its checksum's case.
 */

/** What a relayer takes for one transfer, in base units of the asset that is spent: at least 1, for a note of nothing does not show its asset. */
export type RelayFee = {
  /** For one that pays out of the pool; taken from what is withdrawn. */
  readonly withdrawal: bigint;
  /** For any other; paid with the third note. */
  readonly transfer: bigint;
};

/** What a relayer says of itself. Accounts and assets are addresses below 2^160. */
export type RelayerInfo = {
  readonly chainId: bigint;
  readonly pool: bigint;
  /** Pays the gas, and gets the public fee of a withdrawal. */
  readonly account: bigint;
  /** Gets the third note of any other transfer. */
  readonly address: ShieldedAddress;
  /** By asset; any other asset is not relayed. */
  readonly fees: ReadonlyMap<bigint, RelayFee>;
};

/** How a transfer that a relayer sent stands. */
export type RelayStatus =
  | { readonly status: 'pending' }
  | {
      readonly status: 'confirmed';
      /** The one that was mined: not the one that was named first where its fee had to be raised. */
      readonly transaction: string;
      readonly block: number;
      readonly gasUsed: bigint;
    }
  | { readonly status: 'failed' };

/** A proven transfer as JSON. */
export type WireTransfer = {
  proof: string[];
  root: string;
  message: string;
  nullifiers: string[];
  commitments: string[];
  withdrawAmount: string;
  publicAsset: string;
  validAfter: string;
  recipient: string;
  relayer: string;
  fee: string;
  ciphertext: string;
};

const PROOF_WORDS = 8;
const PATTERN = {
  word: '^0x[0-9a-f]{64}$',
  account: '^0x[0-9a-fA-F]{40}$',
  /** Up to 39 digits: more than 2^120 has. */
  decimal: '^(0|[1-9][0-9]{0,38})$',
  ciphertext: `^0x[0-9a-f]{${2 * TRANSFER_CIPHERTEXT_BYTES}}$`,
  transaction: '^0x[0-9a-f]{64}$',
} as const;

const text = (pattern: keyof typeof PATTERN, maxLength: number) => ({
  type: 'string',
  maxLength,
  pattern: PATTERN[pattern],
});
const word = text('word', 66);
const account = text('account', 42);
const decimal = text('decimal', 39);
const words = (count: number) => ({ type: 'array', minItems: count, maxItems: count, items: word });
const strictObject = (properties: Record<string, object>) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties),
  properties,
});

/** JSON schema of a relayed transfer: what it lets through, `decodeTransfer` takes. */
export const TRANSFER_SCHEMA = strictObject({
  proof: words(PROOF_WORDS),
  root: word,
  message: word,
  nullifiers: words(TRANSFER_INPUTS),
  commitments: words(TRANSFER_OUTPUTS),
  withdrawAmount: decimal,
  publicAsset: account,
  validAfter: decimal,
  recipient: account,
  relayer: account,
  fee: decimal,
  ciphertext: text('ciphertext', 2 + 2 * TRANSFER_CIPHERTEXT_BYTES),
} satisfies Record<keyof WireTransfer, object>);

export const TRANSACTION_SCHEMA = text('transaction', 66);

export const RELAYED_SCHEMA = strictObject({ transaction: TRANSACTION_SCHEMA });

export const INFO_SCHEMA = strictObject({
  chainId: decimal,
  pool: account,
  account,
  address: { type: 'string', maxLength: 200 },
  fees: { type: 'array', items: strictObject({ asset: account, withdrawal: decimal, transfer: decimal }) },
});

export const STATUS_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['status'],
  properties: {
    status: { type: 'string', enum: ['pending', 'confirmed', 'failed'] },
    transaction: TRANSACTION_SCHEMA,
    block: { type: 'integer' },
    gasUsed: decimal,
  },
};

const hexWord = (value: bigint) => `0x${Buffer.from(integerToBytes(value, 32)).toString('hex')}`;

export function encodeTransfer({ proof, shown, extData }: ProvenTransfer): WireTransfer {
  return {
    proof: proof.map(hexWord),
    root: hexWord(shown.root),
    message: hexWord(shown.message),
    nullifiers: shown.nullifiers.map(hexWord),
    commitments: shown.commitments.map(hexWord),
    withdrawAmount: shown.withdrawAmount.toString(),
    publicAsset: formatAccount(shown.publicAsset),
    validAfter: shown.validAfter.toString(),
    recipient: formatAccount(extData.recipient),
    relayer: formatAccount(extData.relayer),
    fee: extData.fee.toString(),
    ciphertext: `0x${Buffer.from(extData.ciphertext).toString('hex')}`,
  };
}

/** Reads what `TRANSFER_SCHEMA` let through: forms are right, whether the values make sense is open. */
export function decodeTransfer(wire: WireTransfer): ProvenTransfer {
  return {
    proof: wire.proof.map(BigInt),
    shown: {
      root: BigInt(wire.root),
      message: BigInt(wire.message),
      nullifiers: wire.nullifiers.map((nullifier) => BigInt(nullifier) as Nullifier),
      commitments: wire.commitments.map((commitment) => BigInt(commitment) as Commitment),
      withdrawAmount: BigInt(wire.withdrawAmount),
      publicAsset: BigInt(wire.publicAsset),
      validAfter: BigInt(wire.validAfter),
    },
    extData: {
      recipient: BigInt(wire.recipient),
      relayer: BigInt(wire.relayer),
      fee: BigInt(wire.fee),
      ciphertext: new Uint8Array(Buffer.from(wire.ciphertext.slice(2), 'hex')),
    },
  };
}

export function encodeInfo(info: RelayerInfo): object {
  return {
    chainId: info.chainId.toString(),
    pool: formatAccount(info.pool),
    account: formatAccount(info.account),
    address: formatAddress(info.address),
    fees: [...info.fees].map(([asset, { withdrawal, transfer }]) => ({
      asset: formatAccount(asset),
      withdrawal: withdrawal.toString(),
      transfer: transfer.toString(),
    })),
  };
}

export function encodeStatus(status: RelayStatus): object {
  return status.status === 'confirmed' ? { ...status, gasUsed: status.gasUsed.toString() } : status;
}

/** Reads a relayer's word on itself; throws a RangeError that names the field for anything that is not exactly so. */
export function decodeInfo(json: unknown): RelayerInfo {
  const fields = record(json, 'info', ['chainId', 'pool', 'account', 'address', 'fees']);
  const info = {
    chainId: BigInt(field(fields, 'chainId', 'decimal')),
    pool: BigInt(field(fields, 'pool', 'account')),
    account: BigInt(field(fields, 'account', 'account')),
    address: decodeAddress(fields['address']),
    fees: decodeFees(fields['fees']),
  };
  // The pool pays neither of them.
  if (info.account === 0n || info.account === info.pool)
    throw new RangeError('account: expected an account of the relayer');
  return info;
}

/** Reads a list of fees by asset, as a relayer is configured with it and shows it; throws a RangeError that names the field. */
export function decodeFees(json: unknown): Map<bigint, RelayFee> {
  if (!Array.isArray(json)) throw new RangeError('fees: expected a list');
  const fees = new Map<bigint, RelayFee>();
  for (const entry of json as unknown[]) {
    const fields = record(entry, 'fees', ['asset', 'withdrawal', 'transfer']);
    const asset = BigInt(field(fields, 'asset', 'account'));
    if (asset === 0n || fees.has(asset)) throw new RangeError('asset: expected each asset once, and none to be 0');
    fees.set(asset, { withdrawal: decodeFee(fields, 'withdrawal'), transfer: decodeFee(fields, 'transfer') });
  }
  return fees;
}

/** Reads the answer to a transfer that a relayer took: the transaction's hash. Throws a RangeError for anything else. */
export function decodeRelayed(json: unknown): string {
  return field(record(json, 'answer', ['transaction']), 'transaction', 'transaction');
}

function decodeFee(fields: Record<string, unknown>, name: string): bigint {
  const fee = BigInt(field(fields, name, 'decimal'));
  if (fee === 0n || fee > AMOUNT_MAX) throw new RangeError(`${name}: expected an amount above 0 and below 2^120`);
  return fee;
}

function decodeAddress(value: unknown): ShieldedAddress {
  if (typeof value !== 'string') throw new RangeError('address: expected a string');
  try {
    return parseAddress(value);
  } catch (error) {
    if (error instanceof BitcloakError) throw new RangeError('address: expected a shielded address', { cause: error });
    throw error;
  }
}

function record(value: unknown, what: string, names: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RangeError(`${what}: expected an object`);
  if (Object.keys(value).some((name) => !names.includes(name)))
    throw new RangeError(`${what}: expected ${names.join(', ')} only`);
  return value as Record<string, unknown>;
}

function field(fields: Record<string, unknown>, name: string, pattern: keyof typeof PATTERN): string {
  const value = fields[name];
  if (typeof value === 'string' && new RegExp(PATTERN[pattern]).test(value)) return value;
  throw new RangeError(`${name}: expected ${PATTERN[pattern]}`);
}
