import { bytesToInteger, integerToBytes } from '@bitcloak/crypto/field';
import { ENCAPSULATION_BYTES, SEAL_BYTES } from '@bitcloak/crypto/hpke';
import { poseidon } from '@bitcloak/crypto/poseidon';
import type { Signature } from '@bitcloak/crypto/eddsa';
import { TAG } from '@bitcloak/protocol/parameters';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { CIPHER_KEY_BYTES, SESSION_ID_BYTES, TAG_BYTES } from './sealing.ts';

/*
 * A session between an owner and an operator's enclave. The client seals its opening with HPKE to the enclave's key of the era, which the registry
 * holds; the owner signs for the encapsulation with the key of his trading account. What both then seal with comes from the encapsulation and from
 * what the enclave draws for the session: a recorded session that is opened again is another one. What the server says never enters what is signed
 * raw: it would be an order's hash one day.
 */

const INFO_DOMAIN = utf8ToBytes('bitcloak session v2');
const KEYS_DOMAIN = utf8ToBytes('bitcloak session keys v2');

/** What the secret of a session is exported under. */
export const SECRET_LABEL = utf8ToBytes('bitcloak session secret v2');

/** How far a client's clock may be off when it opens a session, and how long a session lives at most. */
export const OPENING_SECONDS_MAX = 120;
export const SESSION_SECONDS_MAX = 3_600;

/** The reply to an opening is sealed as if it answered this sequence: it shows that who answers has the enclave's key. */
export const OPENING_SEQUENCE = 0;

/** What a client sealed is heard for so long, by the clocks of both since the session was opened. Clients wait less for an answer. */
export const HEARD_MS_MAX = 30_000;

const FIELD_BYTES = 32;
const TIME_BYTES = 8;
const OPENING_BYTES = FIELD_BYTES + TIME_BYTES + 3 * FIELD_BYTES;
export const SEALED_OPENING_BYTES = ENCAPSULATION_BYTES + OPENING_BYTES + SEAL_BYTES;
/** What the enclave draws for a session. */
export const SESSION_RANDOM_BYTES = 32;
const REPLY_BYTES = SESSION_ID_BYTES + TIME_BYTES;
export const SEALED_OPENING_REPLY_BYTES = SESSION_RANDOM_BYTES + REPLY_BYTES + TAG_BYTES;

/** Whose key a session is opened with: with another enclave, or in another era, the opening cannot be read. */
export type EnclaveIdentity = {
  readonly chainId: bigint;
  readonly pool: bigint;
  readonly registry: bigint;
  readonly operator: number;
  readonly era: bigint;
};

/** HPKE's `info` of an opening. */
export function openingInfo({ chainId, pool, registry, operator, era }: EnclaveIdentity): Uint8Array {
  return concatBytes(
    INFO_DOMAIN,
    integerToBytes(chainId, 32),
    integerToBytes(pool, 20),
    integerToBytes(registry, 20),
    integerToBytes(BigInt(operator), 8),
    integerToBytes(era, 8),
  );
}

export type SessionOpening = {
  readonly operatorId: bigint;
  readonly owner: bigint;
  /** The enclave's X25519 public key of the era. */
  readonly apiKey: Uint8Array;
  /** HPKE's, made for this session: 32 bytes. */
  readonly encapsulation: Uint8Array;
  /** Unix seconds of the client's clock. */
  readonly time: number;
};

/** What an owner signs to open a session. */
export function openingMessage({ operatorId, owner, apiKey, encapsulation, time }: SessionOpening): bigint {
  const halves = (key: Uint8Array) => [bytesToInteger(key.subarray(0, 16)), bytesToInteger(key.subarray(16))];
  return poseidon([operatorId, owner, ...halves(apiKey), ...halves(encapsulation), BigInt(time)], TAG.API);
}

/** What is sealed of an opening: what the enclave does not know by itself. */
export type OpeningClaim = { readonly owner: bigint; readonly time: number; readonly signature: Signature };

export function encodeOpening({ owner, time, signature: { r8, s } }: OpeningClaim): Uint8Array {
  const fields = [r8.x, r8.y, s].map((value) => integerToBytes(value, FIELD_BYTES));
  return concatBytes(integerToBytes(owner, FIELD_BYTES), integerToBytes(BigInt(time), TIME_BYTES), ...fields);
}

/** @returns undefined for bytes of another length, or a time that is none. The other numbers can be anything below 2^256. */
export function decodeOpening(bytes: Uint8Array): OpeningClaim | undefined {
  if (bytes.length !== OPENING_BYTES) return undefined;
  let at = 0;
  const take = (length: number) => bytesToInteger(bytes.subarray(at, (at += length)));
  const [owner, time] = [take(FIELD_BYTES), Number(take(TIME_BYTES))];
  const [x, y, s] = [take(FIELD_BYTES), take(FIELD_BYTES), take(FIELD_BYTES)];
  return Number.isSafeInteger(time) ? { owner, time, signature: { r8: { x, y }, s } } : undefined;
}

/** The keys of one session. */
export type CipherKeys = { readonly fromClient: Uint8Array; readonly fromServer: Uint8Array };

/**
 * @param secret exported from the encapsulation.
 * @param random the enclave's, public: nobody without the secret derives anything from it.
 */
export function deriveKeys(secret: Uint8Array, random: Uint8Array): CipherKeys {
  const keys = expand(sha256, extract(sha256, secret, random), KEYS_DOMAIN, 2 * CIPHER_KEY_BYTES);
  return { fromClient: keys.slice(0, CIPHER_KEY_BYTES), fromServer: keys.slice(CIPHER_KEY_BYTES) };
}

/** What is sealed of the reply to an opening. */
export type OpeningReply = { readonly id: Uint8Array; readonly expiry: number };

export function encodeOpeningReply({ id, expiry }: OpeningReply): Uint8Array {
  return concatBytes(id, integerToBytes(BigInt(expiry), TIME_BYTES));
}

/** Of what `encodeOpeningReply` makes. */
export function decodeOpeningReply(bytes: Uint8Array): OpeningReply {
  return { id: bytes.slice(0, SESSION_ID_BYTES), expiry: Number(bytesToInteger(bytes.subarray(SESSION_ID_BYTES))) };
}

/** What the reply to an opening is bound to: the encapsulation that it answers, and what the enclave drew. */
export function openingReplyHead(encapsulation: Uint8Array, random: Uint8Array): Uint8Array {
  return concatBytes(encapsulation, random);
}
