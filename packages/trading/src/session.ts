import { createHmac, createSecretKey, hash, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto';
import { bytesToInteger, integerToBytes } from '@bitcloak/crypto/field';
import { poseidon } from '@bitcloak/crypto/poseidon';
import type { AgreementKey } from '@bitcloak/crypto/x25519';
import { TAG } from '@bitcloak/protocol/parameters';

/*
 * A session between an owner and an operator's enclave. Its keys come from an X25519 agreement of a key that the client makes for it and the
 * enclave's key of the era, which the registry holds; the owner signs for the client's key with the key of his trading account. Both sides then
 * authenticate every message. What the server says never enters what is signed raw: it would be an order's hash one day.
 */

const SESSION_DOMAIN = 'bitcloak session v1';
const MAC_BYTES = 32;
const ID_BYTES = 16;

/** How far a client's clock may be off when it opens a session, and how long a session lives at most. */
export const OPENING_SECONDS_MAX = 120;
export const SESSION_SECONDS_MAX = 3_600;

/** Headers of an authenticated request, and of the reply to it. */
export const HEADER = { session: 'bitcloak-session', sequence: 'bitcloak-sequence', mac: 'bitcloak-mac' } as const;

/** The reply to an opening is authenticated as if it answered this sequence: it shows that who answers has the enclave's key. */
export const OPENING_SEQUENCE = 0;

/** Requests of a session may overtake each other by so many. */
export const SEQUENCE_WINDOW = 1_024;

export type SessionOpening = {
  readonly operatorId: bigint;
  readonly owner: bigint;
  /** X25519 public keys of 32 bytes: the enclave's of the era, and the client's, made for this session. */
  readonly apiKey: Uint8Array;
  readonly clientKey: Uint8Array;
  /** Unix seconds of the client's clock. */
  readonly time: number;
};

/** What an owner signs to open a session. */
export function openingMessage({ operatorId, owner, apiKey, clientKey, time }: SessionOpening): bigint {
  const halves = (key: Uint8Array) => [bytesToInteger(key.subarray(0, 16)), bytesToInteger(key.subarray(16))];
  return poseidon([operatorId, owner, ...halves(apiKey), ...halves(clientKey), BigInt(time)], TAG.API);
}

/** The keys that both sides of a session derive. They authenticate each direction apart from the other. */
export class SessionKeys {
  /** Public: names the session. The same opening sent again is the same session. */
  readonly id: string;
  // Imported once: importing a key takes longer than the MAC of an order.
  readonly #request: KeyObject;
  readonly #reply: KeyObject;

  private constructor(id: string, keys: Buffer) {
    this.id = id;
    this.#request = createSecretKey(keys.subarray(0, MAC_BYTES));
    this.#reply = createSecretKey(keys.subarray(MAC_BYTES));
  }

  /**
   * @param own the secret of one side, and `peer` the public key of the other.
   * @returns undefined for a key with which no secret can be shared.
   */
  static derive(opening: SessionOpening, own: AgreementKey, peer: Uint8Array): SessionKeys | undefined {
    const shared = own.agree(peer);
    if (shared === undefined) return undefined;
    const salt = hash('sha256', integerToBytes(openingMessage(opening), 32), 'buffer');
    const keys = Buffer.from(hkdfSync('sha256', shared, salt, SESSION_DOMAIN, 2 * MAC_BYTES));
    return new SessionKeys(salt.subarray(0, ID_BYTES).toString('hex'), keys);
  }

  /** @param path with its query, as it stands in the request. */
  requestMac(method: string, path: string, sequence: number, body: string | Uint8Array): string {
    return createHmac('sha256', this.#request).update(`${method}\n${path}\n${sequence}\n`).update(body).digest('hex');
  }

  /** @param sequence of the request that it answers. */
  replyMac(sequence: number, status: number, body: string): string {
    return createHmac('sha256', this.#reply).update(`reply\n${sequence}\n${status}\n`).update(body).digest('hex');
  }

  /** @param sequence of the request that opened the stream, and `frame` the frame's place in it from 0. */
  frameMac(sequence: number, frame: number, body: string): string {
    return createHmac('sha256', this.#reply).update(`frame\n${sequence}\n${frame}\n`).update(body).digest('hex');
  }
}

/** Compares in constant time. */
export function isMac(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)];
  return left.length === right.length && timingSafeEqual(left, right);
}
