import { bytesToInteger, integerToBytes } from '@bitcloak/crypto/field';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { concatBytes } from '@noble/hashes/utils.js';

/** What a transfer carries beside its notes; the owner's signature binds all of it. */
export type ExtData = {
  /** Who gets the withdrawal less the fee; 0 where nothing is withdrawn. An address below 2^160. */
  readonly recipient: bigint;
  /** Who gets the public fee; 0 where there is none. */
  readonly relayer: bigint;
  /** Base units, taken out of what is withdrawn. */
  readonly fee: bigint;
  readonly ciphertext: Uint8Array;
};

/** keccak over chain, pool and all of `extData`, reduced modulo the field's order, as the pool computes it. */
export function extDataHash(chainId: bigint, pool: bigint, extData: ExtData): bigint {
  const words = [chainId, pool, extData.recipient, extData.relayer, extData.fee].map((word) =>
    integerToBytes(word, 32),
  );
  return bytesToInteger(keccak_256(concatBytes(...words, keccak_256(extData.ciphertext)))) % FIELD_MODULUS;
}
