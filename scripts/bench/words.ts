import { bytesToInteger } from '@bitcloak/crypto/field';

export const WORD_BYTES = 32;

/** Words of 32 bytes, big-endian, as they stand in events. */
export function* wordsOf(bytes: Uint8Array): Generator<bigint, undefined> {
  for (let start = 0; start < bytes.length; start += WORD_BYTES) {
    yield bytesToInteger(bytes.subarray(start, start + WORD_BYTES));
  }
  return undefined;
}
