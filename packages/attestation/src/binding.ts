import { keccak_256 } from '@noble/hashes/sha3.js';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { concat, isEqual } from './bytes.ts';

/** What the report data of an era's keys says it is for, so that no other quote of the same enclave can be taken for one. */
export const REPORT_DATA_DOMAIN = 'bitcloak.era';

/** The keys of one era of an operator's enclave, and where they hold. */
export type EraBinding = {
  readonly chainId: bigint;
  /** Address of the registry. */
  readonly registry: bigint;
  readonly operator: bigint;
  /** The era's. */
  readonly number: bigint;
  /** Address that settlements are signed by. */
  readonly signer: bigint;
  /** X25519, 32 bytes. */
  readonly encryptionKey: Uint8Array;
  /** HPKE over X25519, 32 bytes. */
  readonly apiKey: Uint8Array;
};

/**
 * The 64 bytes of report data that a quote binds these keys with: the signer's address (20), `bitcloak.era` (12), and the Keccak-256 of chain, registry,
 * operator, number, both keys and the nonce, each as a word of 32 bytes, which is what `abi.encode` makes of them. The address stands in the open for
 * contracts. Throws `USAGE` for what does not fit.
 *
 * @param nonce 32 bytes: fresh ones of the client that asks, or for the registry the hash of a recent block.
 */
export function eraReportData(era: EraBinding, nonce: Uint8Array): Uint8Array {
  const { chainId, registry, operator, number, signer, encryptionKey, apiKey } = era;
  const words = [
    wordOf(chainId, 256, 'chainId'),
    wordOf(registry, 160, 'registry'),
    wordOf(operator, 256, 'operator'),
    wordOf(number, 64, 'number'),
    keyOf(encryptionKey, 'encryptionKey'),
    keyOf(apiKey, 'apiKey'),
    keyOf(nonce, 'nonce'),
  ];
  const domain = new TextEncoder().encode(REPORT_DATA_DOMAIN);
  return concat(wordOf(signer, 160, 'signer').subarray(12), domain, keccak_256(concat(...words)));
}

/** Throws `BINDING_REFUSED` unless the report data is that of these keys and this nonce. */
export function checkBinding(reportData: Uint8Array, era: EraBinding, nonce: Uint8Array): void {
  const expected = eraReportData(era, nonce);
  const refuse = (why: string) => {
    throw new BitcloakError('BINDING_REFUSED', `report data: ${why}`);
  };
  if (!isEqual(reportData.subarray(20, 32), expected.subarray(20, 32))) refuse('it binds no keys of an era');
  if (!isEqual(reportData.subarray(0, 20), expected.subarray(0, 20))) refuse('it binds another signer');
  if (!isEqual(reportData, expected)) refuse('it binds another chain, registry, operator, era, key or nonce');
}

function wordOf(value: bigint, bits: number, field: string): Uint8Array {
  if (value < 0n || value >> BigInt(bits) !== 0n) {
    throw new BitcloakError('USAGE', `${field}: expected a number of ${bits} bits`);
  }
  return Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * (31 - index))) & 0xffn));
}

function keyOf(bytes: Uint8Array, field: string): Uint8Array {
  if (bytes.length !== 32) throw new BitcloakError('USAGE', `${field}: expected 32 bytes, got ${bytes.length}`);
  return bytes;
}
