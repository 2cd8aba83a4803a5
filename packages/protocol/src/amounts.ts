import { BitcloakError } from './errors.ts';
import { AMOUNT_MAX } from './parameters.ts';

/** What people count an asset in. */
export type Unit = { readonly symbol: string; readonly decimals: number };

/** A decimal amount in a token's own units as base units. Throws `AMOUNT_INVALID` for anything but a positive plain decimal that fits. */
export function parseAmount(text: string, token: Unit, what = 'amount'): bigint {
  const invalid = (expected: string) =>
    new BitcloakError('AMOUNT_INVALID', `${what}: expected ${expected}, got "${text.slice(0, 60)}"`);
  const match = /^(\d{1,40})(?:\.(\d{1,40}))?$/.exec(text);
  if (match === null) throw invalid('a decimal number such as 1.5');
  const [, whole = '', fraction = ''] = match;
  if (fraction.length > token.decimals)
    throw invalid(`at most ${token.decimals} digits after the point for ${token.symbol}`);
  const value = BigInt(whole + fraction.padEnd(token.decimals, '0'));
  if (value === 0n) throw invalid('more than 0');
  if (value > AMOUNT_MAX) throw invalid('less than 2^120 base units');
  return value;
}

/** Throws `AMOUNT_INVALID` for base units that nobody can pay. */
export function checkAmount(amount: bigint): void {
  if (amount > 0n && amount <= AMOUNT_MAX) return;
  throw new BitcloakError('AMOUNT_INVALID', `amount: expected 1 to 2^120 - 1 base units, got ${amount}`);
}

/** Base units as a decimal in a token's own units, without needless zeros. */
export function formatAmount(value: bigint, token: Unit): string {
  const digits = value.toString().padStart(token.decimals + 1, '0');
  const whole = digits.slice(0, digits.length - token.decimals);
  const fraction = digits.slice(digits.length - token.decimals).replace(/0+$/, '');
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
