import { verify, type Signature } from '@bitcloak/crypto/eddsa';
import { randomField } from '@bitcloak/crypto/field';
import type { AgreementKey } from '@bitcloak/crypto/x25519';
import { SpendingKey, type OwnerKeys } from '@bitcloak/notes/keys';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import {
  isMac,
  openingMessage,
  OPENING_SECONDS_MAX,
  SESSION_SECONDS_MAX,
  SessionKeys,
  type SessionOpening,
} from '@bitcloak/trading/session';
import { Refusal } from './refusal.ts';
import { Sequences } from './sequences.ts';

/*
 * Who asks. What is here, and the hook in authentication.ts, is all that knows of sessions and MACs: a sealed channel takes their place
 * without a change to any route.
 */

export type SessionsOptions = {
  readonly operatorId: bigint;
  /** The era's. */
  readonly apiKey: AgreementKey;
  /** The keys of an owner who is known. */
  readonly account: (owner: bigint) => OwnerKeys | undefined;
  /** Beyond them the oldest goes. */
  readonly sessionsPerOwner: number;
  readonly sessions: number;
  /** Unix milliseconds. */
  readonly clock: () => number;
};

export type Session = {
  readonly owner: bigint;
  readonly keys: SessionKeys;
  /** Unix seconds. */
  readonly expiry: number;
  readonly sequences: Sequences;
};

/** A request as its session authenticates it. */
export type Sealed = {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly sequence: number;
  readonly body: string | Uint8Array;
  readonly mac: string;
};

/** The sessions that are open. They live in memory: after a restart everybody opens another. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #startedAt: number;
  /** Verifying against it takes as long as against an owner's. */
  readonly #decoy = new SpendingKey(1n + (randomField() % (SUBGROUP_ORDER - 1n)), randomField()).keys;
  /** The oldest first. */
  readonly #sessions = new Map<string, Session>();
  readonly #ofOwner = new Map<bigint, Set<string>>();
  /** Sessions that had to go, until nobody can open them again: their sequences would begin anew. */
  readonly #gone = new Map<string, number>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#startedAt = this.#now();
  }

  /**
   * Opens a session, or finds the one that the same opening made. An owner who is not known and a signature that is not his are told by the same
   * refusal, after the same work.
   */
  open(opening: Omit<SessionOpening, 'operatorId' | 'apiKey'>, signature: Signature): Session {
    const { operatorId, apiKey, account } = this.#options;
    this.#forgetExpired();
    // One from before the start may have been open in the process before this one, which alone knew its sequences.
    const now = this.#now();
    if (Math.abs(opening.time - now) > OPENING_SECONDS_MAX || opening.time < this.#startedAt) {
      throw new Refusal(401, 'SESSION_REFUSED', 'time: expected that of now, and after the start of the enclave');
    }
    const whole: SessionOpening = { ...opening, operatorId, apiKey: apiKey.publicKey };
    const known = account(opening.owner);
    const keys = SessionKeys.derive(whole, apiKey, opening.clientKey);
    const isSigned = verify((known ?? this.#decoy).publicKey, openingMessage(whole), signature);
    if (known === undefined || !isSigned || keys === undefined || this.#gone.has(keys.id)) {
      throw new Refusal(401, 'SESSION_REFUSED', 'the opening is not that of an owner whose notes were found');
    }
    const same = this.#sessions.get(keys.id);
    if (same !== undefined) return same;
    const session: Session = {
      owner: opening.owner,
      keys,
      expiry: now + SESSION_SECONDS_MAX,
      sequences: new Sequences(),
    };
    this.#add(session);
    return session;
  }

  /** A session that is open. */
  find(id: string): Session {
    const session = this.#sessions.get(id);
    if (session === undefined || session.expiry <= this.#now()) {
      throw new Refusal(401, 'SESSION_REFUSED', 'the session is not open, or no longer; open another');
    }
    return session;
  }

  #now(): number {
    return Math.floor(this.#options.clock() / 1000);
  }

  #add(session: Session): void {
    const { owner, keys } = session;
    const { sessionsPerOwner, sessions } = this.#options;
    const own = this.#ofOwner.get(owner) ?? new Set<string>();
    this.#ofOwner.set(owner, own.add(keys.id));
    this.#sessions.set(keys.id, session);
    const [oldestOwn] = own;
    if (own.size > sessionsPerOwner && oldestOwn !== undefined) this.#end(oldestOwn);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > sessions && oldest !== undefined) this.#end(oldest);
  }

  #end(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    const own = this.#ofOwner.get(session.owner);
    own?.delete(id);
    if (own?.size === 0) this.#ofOwner.delete(session.owner);
    this.#gone.set(id, this.#now() + 2 * OPENING_SECONDS_MAX);
  }

  #forgetExpired(): void {
    const now = this.#now();
    // All live equally long, so the oldest end first.
    for (const [id, { expiry }] of this.#sessions) {
      if (expiry > now) break;
      this.#end(id);
    }
    for (const [id, until] of this.#gone) {
      if (until > now) break;
      this.#gone.delete(id);
    }
  }
}

/** Throws where a request is not the session's. */
export function checkMac({ keys }: Session, { method, path, sequence, body, mac }: Sealed): void {
  if (isMac(keys.requestMac(method, path, sequence, body), mac)) return;
  throw new Refusal(401, 'REQUEST_REFUSED', 'the request does not fit its MAC');
}

/** Throws where a request of the session may have been made before. */
export function takeSequence({ sequences }: Session, sequence: number): void {
  if (sequences.take(sequence)) return;
  const message = 'a request of this sequence, or of one long after it, came before, and may have had its effect';
  throw new Refusal(409, 'REQUEST_REFUSED', message);
}
