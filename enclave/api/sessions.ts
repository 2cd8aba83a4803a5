import { randomBytes } from 'node:crypto';
import { verify } from '@bitcloak/crypto/eddsa';
import { randomField } from '@bitcloak/crypto/field';
import { ENCAPSULATION_BYTES } from '@bitcloak/crypto/hpke';
import type { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { SpendingKey, type OwnerKeys } from '@bitcloak/notes/keys';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import {
  decodeMarks,
  HEAD_BYTES,
  headOf,
  KIND,
  MARKS_BYTES,
  nonceOf,
  sequenceOf,
  SESSION_ID_BYTES,
  type Kind,
  type Marks,
} from '@bitcloak/trading/sealing';
import {
  decodeOpening,
  deriveKeys,
  encodeOpeningReply,
  HEARD_MS_MAX,
  OPENING_SECONDS_MAX,
  OPENING_SEQUENCE,
  openingInfo,
  openingMessage,
  openingReplyHead,
  SECRET_LABEL,
  SESSION_RANDOM_BYTES,
  SESSION_SECONDS_MAX,
  type EnclaveIdentity,
} from '@bitcloak/trading/session';
import { GcmKey } from './gcm.ts';
import { Refusal } from './refusal.ts';
import { Sequences } from './sequences.ts';

export type SessionsOptions = {
  readonly identity: EnclaveIdentity & { readonly operatorId: bigint };
  /** The era's. */
  readonly apiKey: HpkeKey;
  /** The keys of an owner who is known. */
  readonly account: (owner: bigint) => OwnerKeys | undefined;
  /** Beyond them the oldest goes. */
  readonly sessionsPerOwner: number;
  readonly sessions: number;
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly uptime: () => number;
};

/** A session that is open, as the enclave has it. */
export class Session {
  readonly owner: bigint;
  readonly id: Uint8Array;
  /** Unix seconds. */
  readonly expiry: number;
  readonly sequences = new Sequences();
  readonly #fromClient: GcmKey;
  readonly #fromServer: GcmKey;

  readonly #openedAt: number;

  /** @param now milliseconds of the clock that what the client says is measured by. */
  constructor(owner: bigint, expiry: number, now: number, secret: Uint8Array, random: Uint8Array) {
    this.owner = owner;
    this.expiry = expiry;
    this.#openedAt = now;
    this.id = randomBytes(SESSION_ID_BYTES);
    const { fromClient, fromServer } = deriveKeys(secret, random);
    this.#fromClient = new GcmKey(fromClient);
    this.#fromServer = new GcmKey(fromServer);
  }

  /** To be called once, before everything else: what answers the opening of this session. */
  sealOpening(head: Uint8Array): Uint8Array {
    return this.#fromServer.seal(nonceOf(KIND.reply, OPENING_SEQUENCE), head, encodeOpeningReply(this));
  }

  /** @returns undefined for what the client did not seal for this place. */
  open(kind: Kind, sequence: number, sealed: Uint8Array, frame = 0): Said | undefined {
    const opened = this.#fromClient.open(nonceOf(kind, sequence, frame), headOf(this.id, sequence), sealed);
    if (opened === undefined || opened.length < MARKS_BYTES) return undefined;
    return { plaintext: opened.subarray(MARKS_BYTES), marks: decodeMarks(sequence, opened) };
  }

  /** Whether what was said may have been held back. The client's count begins later than the enclave's, so a host gains nothing by holding back the opening. */
  isLate({ elapsedMs }: Marks, now: number): boolean {
    return now - this.#openedAt - elapsedMs > HEARD_MS_MAX;
  }

  /** Once for a kind, sequence and frame: two texts under one nonce would give both away. */
  seal(kind: Kind, sequence: number, plaintext: Uint8Array, frame = 0): Buffer {
    return this.#fromServer.seal(nonceOf(kind, sequence, frame), headOf(this.id, sequence), plaintext);
  }
}

/** What a client sealed, and how it is marked. */
type Said = { readonly plaintext: Uint8Array; readonly marks: Marks };

type Opened = { readonly session: Session; readonly encapsulation: string; readonly reply: Uint8Array };

/** What a client sealed in a session, and under which sequence. */
export type Unsealed = {
  readonly session: Session;
  readonly sequence: number;
  readonly plaintext: Uint8Array;
  /** Whether it came so late that it must have no effect. */
  readonly isLate: boolean;
};

const nameOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

/** The sessions that are open. They live in memory: after a restart everybody opens another. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #info: Uint8Array;
  readonly #startedAt: number;
  /** Verifying against it takes as long as against an owner's. */
  readonly #decoy = new SpendingKey(1n + (randomField() % (SUBGROUP_ORDER - 1n)), randomField()).keys;
  /** By their names, the oldest first. */
  readonly #sessions = new Map<string, Opened>();
  /** Names of sessions, by the encapsulations that they were opened with. */
  readonly #openings = new Map<string, string>();
  readonly #ofOwner = new Map<bigint, Set<string>>();
  /** Encapsulations of sessions that had to go, until nobody can open with them again. */
  readonly #gone = new Map<string, number>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#info = openingInfo(options.identity);
    this.#startedAt = this.#now();
  }

  /**
   * Opens a session, and answers with what its client needs to know of it; the same opening again gets the same answer. What was not sealed to this
   * enclave, an owner who is not known and a signature that is not his are told by the same refusal, the last two after the same work.
   *
   * @param bytes as many as an opening has.
   */
  async open(bytes: Uint8Array): Promise<Uint8Array> {
    const { identity, apiKey, account } = this.#options;
    const encapsulation = bytes.subarray(0, ENCAPSULATION_BYTES);
    const sealed = bytes.subarray(ENCAPSULATION_BYTES);
    const opened = await apiKey.open(encapsulation, this.#info, sealed, SECRET_LABEL);
    // From here on nothing waits, so that of two openings at once the second finds the first one's session.
    const claim = opened === undefined ? undefined : decodeOpening(opened.plaintext);
    if (opened === undefined || claim === undefined) throw refused();
    const { owner, time, signature } = claim;
    this.#forgetExpired();
    // One from before the start may have been open in the process before this one.
    const now = this.#now();
    if (Math.abs(time - now) > OPENING_SECONDS_MAX || time < this.#startedAt) {
      throw new Refusal(401, 'SESSION_REFUSED', 'time: expected that of now, and after the start of the enclave');
    }
    const { operatorId } = identity;
    const known = account(owner);
    const message = openingMessage({ operatorId, owner, apiKey: apiKey.publicKey, encapsulation, time });
    const isSigned = verify((known ?? this.#decoy).publicKey, message, signature);
    const name = nameOf(encapsulation);
    if (known === undefined || !isSigned || this.#gone.has(name)) throw refused();
    const same = this.#sessions.get(this.#openings.get(name) ?? '');
    // Whoever made the encapsulation could use it for two owners.
    if (same !== undefined && same.session.owner !== owner) throw refused();
    if (same !== undefined) return same.reply;
    const random = randomBytes(SESSION_RANDOM_BYTES);
    const session = new Session(owner, now + SESSION_SECONDS_MAX, this.#options.uptime(), opened.secret, random);
    const answer = session.sealOpening(openingReplyHead(encapsulation, random));
    const reply = Buffer.concat([random, answer]);
    this.#add({ session, encapsulation: name, reply });
    return reply;
  }

  /**
   * What a client sealed: nothing about its owner was looked at before.
   *
   * @param bytes longer than HEAD_BYTES.
   */
  unseal(kind: Kind, bytes: Uint8Array): Unsealed {
    const session = this.#sessions.get(nameOf(bytes.subarray(0, SESSION_ID_BYTES)))?.session;
    if (session === undefined || session.expiry <= this.#now()) {
      throw new Refusal(401, 'SESSION_REFUSED', 'the session is not open, or no longer; open another');
    }
    const sequence = sequenceOf(bytes);
    const said = session.open(kind, sequence, bytes.subarray(HEAD_BYTES));
    if (said === undefined) throw new Refusal(401, 'REQUEST_REFUSED', 'the request is not sealed by the session');
    const { plaintext, marks } = said;
    if (!session.sequences.take(sequence)) {
      const message =
        'a request of this sequence came before, or one after it whose sender did not wait for this one any more';
      throw new Refusal(409, 'REQUEST_REFUSED', message);
    }
    session.sequences.leave(sequence, marks.isAwaited);
    return { session, sequence, plaintext, isLate: this.isLate(session, marks) };
  }

  /** Whether what was said in a session may have been held back for too long. */
  isLate(session: Session, marks: Marks): boolean {
    return session.isLate(marks, this.#options.uptime());
  }

  #now(): number {
    return Math.floor(this.#options.clock() / 1000);
  }

  #add(opened: Opened): void {
    const { owner, id } = opened.session;
    const { sessionsPerOwner, sessions } = this.#options;
    const name = nameOf(id);
    const own = this.#ofOwner.get(owner) ?? new Set<string>();
    this.#ofOwner.set(owner, own.add(name));
    this.#sessions.set(name, opened);
    this.#openings.set(opened.encapsulation, name);
    const [oldestOwn] = own;
    if (own.size > sessionsPerOwner && oldestOwn !== undefined) this.#end(oldestOwn);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > sessions && oldest !== undefined) this.#end(oldest);
  }

  #end(name: string): void {
    const opened = this.#sessions.get(name);
    if (opened === undefined) return;
    const { session, encapsulation } = opened;
    this.#sessions.delete(name);
    this.#openings.delete(encapsulation);
    const own = this.#ofOwner.get(session.owner);
    own?.delete(name);
    if (own?.size === 0) this.#ofOwner.delete(session.owner);
    this.#gone.set(encapsulation, this.#now() + 2 * OPENING_SECONDS_MAX);
  }

  #forgetExpired(): void {
    const now = this.#now();
    // All live equally long, so the oldest end first.
    for (const [name, { session }] of this.#sessions) {
      if (session.expiry > now) break;
      this.#end(name);
    }
    for (const [encapsulation, until] of this.#gone) {
      if (until > now) break;
      this.#gone.delete(encapsulation);
    }
  }
}

function refused(): Refusal {
  return new Refusal(401, 'SESSION_REFUSED', 'the opening is not that of an owner whose notes were found');
}
