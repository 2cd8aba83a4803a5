import type { SpendingKey } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { checkJson } from './checks.ts';
import { ClientOpening, type ClientSession, type Peer } from './clientSession.ts';
import { exchange, textOf, type Fetch } from './http.ts';
import { forged, OperatorRefusal, refusalOf } from './refusals.ts';
import { SESSION_SECONDS_MAX } from './session.ts';
import { API } from './wire.ts';

/** A session is renewed so long before it ends. */
const RENEWAL_SECONDS = 30;

export type ChannelOptions = {
  readonly base: URL;
  readonly key: SpendingKey;
  /** The enclave as it is now, its key checked against whatever the trader trusts. Asked before every opening. */
  readonly peer: () => Promise<Peer>;
  readonly fetch: Fetch;
  readonly msMax: number;
};

/** An open session of this client. */
export type OpenSession = {
  readonly sealed: ClientSession;
  /** On the monotonic clock, in milliseconds. */
  readonly renewAt: number;
};

export type Reply = { readonly status: number; readonly json: unknown };

/** Whether the enclave itself says that a request came too late, so that nothing was done. A clock that stands while a machine sleeps is behind for good. */
export function isLate(error: unknown): boolean {
  return error instanceof OperatorRefusal && error.authenticated && error.code === 'REQUEST_REFUSED';
}

/** Sealed requests to an operator's enclave, in sessions that are opened and renewed when they are needed. */
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
   * One sealed request in a session. A sealed refusal is an `OperatorRefusal` that says so; after every other error it is not known whether the
   * enclave did what was asked. Throws `USAGE` for a request that is too long, before anything is sent.
   */
  async send(session: OpenSession, method: string, path: string, body = ''): Promise<Reply> {
    const { base, fetch, msMax } = this.#options;
    const { sealed } = session;
    const sequence = sealed.takeSequence();
    const request = await sealed.sealRequest(sequence, { method, path, body }).catch((error: unknown) => {
      throw error instanceof RangeError ? new BitcloakError('USAGE', error.message) : error;
    });
    const sent = exchange(fetch, base, `${API}/sealed`, request, msMax);
    const { status, bytes } = await sent.finally(() => sealed.finish(sequence));
    // Whatever the enclave has read it answers under seal; everything else anybody can say.
    if (status !== 200) throw refusalOf(status, textOf(bytes), false);
    const reply = await sealed.openReply(sequence, bytes);
    if (reply === undefined) throw forged('it is not sealed by the session');
    if (reply.status >= 400) throw refusalOf(reply.status, reply.text, true);
    return { status: reply.status, json: parseReply(reply.text) };
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

  /** @returns whether an error says that the session is over, or its clocks are apart; the next one is a new one then. */
  dropIfOver(session: OpenSession, error: unknown): boolean {
    const { status, authenticated } = error as { status?: number; authenticated?: boolean };
    if (!isLate(error) && (status !== 401 || authenticated === true)) return false;
    this.drop(session);
    return true;
  }

  async #open(): Promise<OpenSession> {
    const { base, key, fetch, msMax } = this.#options;
    const peer = await this.#options.peer();
    const opening = await ClientOpening.make(peer, key, Math.floor(Date.now() / 1000));
    if (opening === undefined) {
      throw new BitcloakError('OPERATOR_MISMATCH', "the operator's API key is none that secrets can be shared with");
    }
    const began = performance.now();
    const { status, bytes } = await exchange(fetch, base, `${API}/sessions`, opening.bytes, msMax);
    if (status >= 400) throw refusalOf(status, textOf(bytes), false);
    const sealed = await opening.accept(bytes);
    if (sealed === undefined) throw forged('who opens the session does not have its key');
    const seconds = Math.min(sealed.expiry - opening.time, SESSION_SECONDS_MAX);
    return { sealed, renewAt: began + 1000 * Math.max(seconds - RENEWAL_SECONDS, seconds / 2) };
  }
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
