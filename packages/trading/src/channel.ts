import { randomBytes } from 'node:crypto';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { checkJson } from './checks.ts';
import { exchange, type Fetch, type HttpReply } from './http.ts';
import { refusalOf } from './refusals.ts';
import {
  HEADER,
  isMac,
  OPENING_SEQUENCE,
  openingMessage,
  SESSION_SECONDS_MAX,
  SessionKeys,
  type SessionOpening,
} from './session.ts';
import { API, encodeSignature, hexOf, SESSION_REPLY_SCHEMA, type WireSession } from './wire.ts';

/** A session is renewed so long before it ends. */
const RENEWAL_SECONDS = 30;

export type ChannelOptions = {
  readonly base: URL;
  readonly key: SpendingKey;
  readonly operatorId: bigint;
  /** The enclave's key for sessions as it is now, checked against whatever the trader trusts. Asked before every opening. */
  readonly apiKey: () => Promise<Uint8Array>;
  readonly fetch: Fetch;
  readonly msMax: number;
};

/** An open session of this client. Sequences are taken by requests and streams alike. */
export class OpenSession {
  readonly keys: SessionKeys;
  /** On the monotonic clock, in milliseconds. */
  readonly renewAt: number;
  #sequence = 0;

  constructor(keys: SessionKeys, renewAt: number) {
    this.keys = keys;
    this.renewAt = renewAt;
  }

  takeSequence(): number {
    return ++this.#sequence;
  }
}

export type Reply = { readonly status: number; readonly json: unknown };

/** Authenticated requests to an operator's enclave, in sessions that are opened and renewed when they are needed. */
export class Channel {
  readonly #options: ChannelOptions;
  #session: Promise<OpenSession> | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /** The session that is open, or a new one. Throws `OperatorRefusal`, `OPERATOR_UNREACHABLE`, `OPERATOR_MISMATCH`, `REPLY_FORGED`. */
  async session(): Promise<OpenSession> {
    const known = await this.#session?.catch(() => undefined);
    if (known !== undefined && performance.now() < known.renewAt) return known;
    if (known !== undefined) this.drop(known);
    // Requests that come at once share one opening.
    this.#session ??= this.#open();
    const opening = this.#session;
    try {
      return await opening;
    } catch (error) {
      if (this.#session === opening) this.#session = undefined;
      throw error;
    }
  }

  #dropped = new WeakSet<OpenSession>();

  /** Has the next request open another session. */
  drop(session: OpenSession): void {
    if (this.#dropped.has(session)) return;
    this.#dropped.add(session);
    this.#session = undefined;
  }

  /**
   * One authenticated request in a session. An authenticated refusal is an `OperatorRefusal` that says so; after every other error it is not known
   * whether the enclave did what was asked.
   */
  async send(session: OpenSession, method: string, path: string, body?: string): Promise<Reply> {
    const { base, fetch, msMax } = this.#options;
    const { keys } = session;
    const sequence = session.takeSequence();
    const headers = {
      [HEADER.session]: keys.id,
      [HEADER.sequence]: String(sequence),
      [HEADER.mac]: keys.requestMac(method, path, sequence, body ?? ''),
    };
    const reply = await exchange(fetch, base, path, { method, headers, body }, msMax);
    const { status, text } = reply;
    const authenticated = isAuthentic(keys, sequence, reply);
    if (status >= 400) throw refusalOf(status, text, authenticated);
    if (!authenticated) throw forged('it lacks the mark of the session');
    return { status, json: parseReply(text) };
  }

  /** A request that changes nothing, so that it can be asked again: once, where the session was over. */
  async read(path: string): Promise<unknown> {
    const session = await this.session();
    try {
      return (await this.send(session, 'GET', path)).json;
    } catch (error) {
      if (!this.dropIfOver(session, error)) throw error;
    }
    return (await this.send(await this.session(), 'GET', path)).json;
  }

  /** @returns whether an error says that the session is over; the next one is a new one then. */
  dropIfOver(session: OpenSession, error: unknown): boolean {
    const { status, authenticated } = error as { status?: number; authenticated?: boolean };
    if (status !== 401 || authenticated === true) return false;
    this.drop(session);
    return true;
  }

  async #open(): Promise<OpenSession> {
    const { base, key, operatorId, fetch, msMax } = this.#options;
    const apiKey = await this.#options.apiKey();
    const own = new AgreementKey(randomBytes(32));
    const { owner } = key.keys;
    const time = Math.floor(Date.now() / 1000);
    const opening: SessionOpening = { operatorId, owner, apiKey, clientKey: own.publicKey, time };
    const keys = SessionKeys.derive(opening, own, apiKey);
    if (keys === undefined) {
      throw new BitcloakError('OPERATOR_MISMATCH', "the operator's API key is none that secrets can be shared with");
    }
    const body: WireSession = {
      owner: owner.toString(),
      clientKey: hexOf(own.publicKey),
      time,
      signature: encodeSignature(key.sign(openingMessage(opening))),
    };
    const request = { method: 'POST', body: JSON.stringify(body) };
    const began = performance.now();
    const reply = await exchange(fetch, base, `${API}/sessions`, request, msMax);
    const { status, text } = reply;
    if (status >= 400) throw refusalOf(status, text, false);
    if (!isAuthentic(keys, OPENING_SEQUENCE, reply)) throw forged('who opens the session does not have its key');
    const { session, expiry } = parseChecked<{ session: string; expiry: number }>(SESSION_REPLY_SCHEMA, text);
    if (session !== keys.id) throw forged('it names another session');
    const seconds = Math.min(expiry - time, SESSION_SECONDS_MAX);
    return new OpenSession(keys, began + 1000 * Math.max(seconds - RENEWAL_SECONDS, seconds / 2));
  }
}

/** A reply that claims a mark must have the right one, whatever it says. */
function isAuthentic(keys: SessionKeys, sequence: number, { status, headers, text }: HttpReply): boolean {
  const mac = headers.get(HEADER.mac);
  if (mac === null) return false;
  if (isMac(keys.replyMac(sequence, status, text), mac)) return true;
  throw forged('its mark is not that of the session');
}

export function forged(why: string): BitcloakError {
  return new BitcloakError('REPLY_FORGED', `this is no reply of the operator's enclave: ${why}`);
}

function parseReply(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw forged('it is no JSON');
  }
}

/** Throws `REPLY_FORGED` for what does not fit the schema. */
export function checked(schema: object, json: unknown): unknown {
  try {
    checkJson(schema, json);
  } catch (error) {
    if (error instanceof RangeError) throw forged(error.message);
    throw error;
  }
  return json;
}

export function parseChecked<T>(schema: object, text: string): T {
  return checked(schema, parseReply(text)) as T;
}
