import { BitcloakError } from '@bitcloak/protocol/errors';
import { generateMnemonic, mnemonicToSeedSync, validateMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';

/** 24 new words. */
export function newMnemonic(): string {
  return generateMnemonic(wordlist, 256);
}

/** The words with single spaces, in lower case. Throws `MNEMONIC_INVALID` without repeating any of them. */
export function normalizeMnemonic(words: string): string {
  const normalized = words.trim().toLowerCase().split(/\s+/).join(' ');
  if (!validateMnemonic(normalized, wordlist)) {
    throw new BitcloakError(
      'MNEMONIC_INVALID',
      'the recovery phrase is not 12 to 24 words of BIP-39 with a right checksum',
    );
  }
  return normalized;
}

/** The 64-byte seed of BIP-39. */
export function seedOf(mnemonic: string): Uint8Array {
  return mnemonicToSeedSync(normalizeMnemonic(mnemonic));
}
