import { formatAccount } from '@bitcloak/chain/manifest';
import { isField } from '@bitcloak/crypto/field';
import { parseAddress, type ShieldedAddress } from '@bitcloak/notes/address';
import { BitcloakError } from '@bitcloak/protocol/errors';

const ACCOUNT = /^0x[0-9a-f]{40}$/i;

/** A public account: 0x and 40 hexadecimal digits, with a right checksum where letters are in both cases. */
export function parseAccount(text: string): bigint {
  if (/^cloak1/i.test(text)) {
    throw new BitcloakError('ADDRESS_INVALID', 'account: a shielded address is paid with send, not with withdraw');
  }
  const digits = text.slice(2);
  const inOneCase = digits === digits.toLowerCase() || digits === digits.toUpperCase();
  if (!ACCOUNT.test(text) || !(inOneCase || formatAccount(BigInt(text)) === text)) {
    const expected = 'expected 0x, 40 hexadecimal digits and a right checksum';
    throw new BitcloakError('ADDRESS_INVALID', `account: ${expected}, got ${text}`);
  }
  const account = BigInt(text);
  if (account === 0n) throw new BitcloakError('ADDRESS_INVALID', 'account: nobody holds the address 0');
  return account;
}

export function parseShielded(text: string): ShieldedAddress {
  if (ACCOUNT.test(text)) {
    throw new BitcloakError('ADDRESS_INVALID', 'address: a public account is paid with withdraw, not with send');
  }
  return parseAddress(text);
}

/** A field element in decimal or hexadecimal. */
export function parseOperatorId(text: string): bigint {
  const id = /^(0x[0-9a-f]{1,64}|\d{1,78})$/i.test(text) ? BigInt(text) : 0n;
  if (id === 0n || !isField(id)) {
    throw new BitcloakError(
      'OPERATOR_ID_INVALID',
      `operator: expected a field element in decimal or 0x hexadecimal, got ${text}`,
    );
  }
  return id;
}

/** An X25519 public key in hexadecimal. */
export function parseOperatorKey(text: string): Uint8Array {
  if (!/^(0x)?[0-9a-f]{64}$/i.test(text)) {
    throw new BitcloakError(
      'OPERATOR_ID_INVALID',
      'operator-key: expected an X25519 public key of 64 hexadecimal digits',
    );
  }
  return new Uint8Array(Buffer.from(text.slice(-64), 'hex'));
}

export function parseSeconds(text: string, what: string): bigint {
  if (!/^\d{1,9}$/.test(text)) throw new BitcloakError('USAGE', `${what}: expected whole seconds, got ${text}`);
  return BigInt(text);
}

/** A whole number from `min` to `max`. */
export function parseCount(text: string, what: string, min: number, max: number): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= min && count <= max) return count;
  throw new BitcloakError('USAGE', `${what}: expected a whole number from ${min} to ${max}, got ${text}`);
}

export function parseUrl(text: string, what: string): string {
  if (!/^https?:\/\/[^\s/]/.test(text) || !URL.canParse(text)) {
    // An option whose value may be left out takes the argument that follows it.
    const place = what.startsWith('--') ? `; place ${what} after the arguments` : '';
    throw new BitcloakError('USAGE', `${what}: expected a URL such as https://example.com${place}`);
  }
  return text;
}
