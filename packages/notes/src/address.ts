import { bytesToInteger, integerToBytes, isField } from '@bitcloak/crypto/field';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { concatBytes } from '@noble/hashes/utils.js';
import { bech32m } from '@scure/base';

const PREFIX = 'cloak';
const VERSION = 0;

/** Whom a note is made for: the owner's hash, and the X25519 key (32 bytes) that its ciphertext is sealed to. */
export type ShieldedAddress = { readonly owner: bigint; readonly viewingKey: Uint8Array };

/** bech32m over a version, the owner and the viewing key. */
export function formatAddress(address: ShieldedAddress): string {
  const payload = concatBytes(Uint8Array.of(VERSION), integerToBytes(address.owner, 32), address.viewingKey);
  return bech32m.encode(PREFIX, bech32m.toWords(payload), false);
}

/** Throws `ADDRESS_INVALID` for anything that `formatAddress` did not make. */
export function parseAddress(text: string): ShieldedAddress {
  const invalid = (why: string) => new BitcloakError('ADDRESS_INVALID', `address: ${why}, in ${text.slice(0, 24)}…`);
  let prefix: string;
  let bytes: Uint8Array;
  try {
    // Without the limit of 90 characters, which is that of bitcoin's addresses.
    const decoded = bech32m.decode(text.trim() as `${string}1${string}`, false);
    prefix = decoded.prefix;
    bytes = bech32m.fromWords(decoded.words);
  } catch {
    throw invalid('expected a shielded address (cloak1…) with a right checksum');
  }
  if (prefix !== PREFIX) throw invalid(`expected the prefix ${PREFIX}, got ${prefix}`);
  if (bytes.length !== 65 || bytes[0] !== VERSION) throw invalid('expected version 0 and 64 bytes');
  const owner = bytesToInteger(bytes.subarray(1, 33));
  if (!isField(owner)) throw invalid('the owner is no field element');
  return { owner, viewingKey: bytes.slice(33) };
}
