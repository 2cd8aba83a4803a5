import { uniformToField } from '@bitcloak/crypto/field';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { TAG } from '@bitcloak/protocol/parameters';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';

declare const brand: unique symbol;
/** A note commitment: a leaf of the tree. */
export type Commitment = bigint & { readonly [brand]: 'Commitment' };
/** What marks a note as spent. */
export type Nullifier = bigint & { readonly [brand]: 'Nullifier' };

/** Until `expiry` (unix seconds) only the operator's settlements can spend the note; from then on only its owner. */
export type Lock = { readonly operatorId: bigint; readonly expiry: bigint };

/** A note as its owner knows it: everything that the commitment hides. */
export type Note = {
  /** An address below 2^160. */
  readonly asset: bigint;
  /** Base units of the asset, below 2^120. */
  readonly value: bigint;
  readonly owner: bigint;
  readonly blinding: bigint;
  readonly lock: Lock | undefined;
};

export function lockHash(lock: Lock | undefined): bigint {
  return lock === undefined ? 0n : poseidon([lock.operatorId, lock.expiry], TAG.LOCK);
}

/** What a depositor hands to the pool: it hides owner, blinding and lock. */
export function stealthOf(note: Pick<Note, 'owner' | 'blinding' | 'lock'>): bigint {
  return poseidon([note.owner, note.blinding, lockHash(note.lock)], TAG.STEALTH);
}

export function commitmentOf(note: Note): Commitment {
  return poseidon([note.asset, note.value, stealthOf(note)]) as Commitment;
}

/** @param leafIndex the note's place in its own tree, below 4^13. */
export function nullifierOf(nullifierKey: bigint, commitment: Commitment, leafIndex: number): Nullifier {
  return poseidon([nullifierKey, commitment, BigInt(leafIndex)], TAG.NULLIFIER) as Nullifier;
}

const BLINDING_DOMAIN = utf8ToBytes('bitcloak blinding v1');

/** The blinding that a note's secret (16 bytes, shared by those who may open the note) stands for. */
export function blindingFrom(secret: Uint8Array): bigint {
  return uniformToField(sha512(concatBytes(BLINDING_DOMAIN, secret)));
}
