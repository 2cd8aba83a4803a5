import { HpkeSender } from '@bitcloak/crypto/hpke';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { concatBytes } from '@noble/hashes/utils.js';
import { GcmKey } from './gcm.ts';
import {
  encodeMarks,
  headOf,
  KIND,
  nonceOf,
  packHello,
  packRequest,
  SEQUENCE_MAX,
  unpackReply,
  unpackText,
  type InnerReply,
  type InnerRequest,
  type Kind,
} from './sealing.ts';
import {
  decodeOpeningReply,
  deriveKeys,
  encodeOpening,
  OPENING_SEQUENCE,
  openingInfo,
  openingMessage,
  openingReplyHead,
  SEALED_OPENING_REPLY_BYTES,
  SECRET_LABEL,
  SESSION_RANDOM_BYTES,
  type CipherKeys,
  type EnclaveIdentity,
} from './session.ts';

/** The enclave that a session is opened with. */
export type Peer = EnclaveIdentity & { readonly operatorId: bigint; readonly apiKey: Uint8Array };

/** The opening of a session, before it is answered. */
export class ClientOpening {
  /** What is sent. */
  readonly bytes: Uint8Array;
  readonly time: number;
  readonly #encapsulation: Uint8Array;
  readonly #secret: Uint8Array;

  private constructor(bytes: Uint8Array, time: number, encapsulation: Uint8Array, secret: Uint8Array) {
    this.bytes = bytes;
    this.time = time;
    this.#encapsulation = encapsulation;
    this.#secret = secret;
  }

  /**
   * @param time unix seconds.
   * @returns undefined where the enclave's key is none that secrets can be shared with.
   */
  static async make(peer: Peer, key: SpendingKey, time: number): Promise<ClientOpening | undefined> {
    const { operatorId, apiKey } = peer;
    const sender = await HpkeSender.to(apiKey, openingInfo(peer));
    if (sender === undefined) return undefined;
    const { owner } = key.keys;
    const { encapsulation } = sender;
    const signature = key.sign(openingMessage({ operatorId, owner, apiKey, encapsulation, time }));
    const sealed = await sender.seal(encodeOpening({ owner, time, signature }));
    const secret = await sender.export(SECRET_LABEL);
    return new ClientOpening(concatBytes(encapsulation, sealed), time, encapsulation, secret);
  }

  /** @returns undefined for a reply that does not come from who has the enclave's key, or answers another opening. */
  async accept(reply: Uint8Array): Promise<ClientSession | undefined> {
    if (reply.length !== SEALED_OPENING_REPLY_BYTES) return undefined;
    const random = reply.subarray(0, SESSION_RANDOM_BYTES);
    const keys = deriveKeys(this.#secret, random);
    const fromServer = await GcmKey.import(keys.fromServer);
    const head = openingReplyHead(this.#encapsulation, random);
    const nonce = nonceOf(KIND.reply, OPENING_SEQUENCE);
    const opened = await fromServer.open(nonce, head, reply.subarray(SESSION_RANDOM_BYTES));
    if (opened === undefined) return undefined;
    const { id, expiry } = decodeOpeningReply(opened);
    return ClientSession.of(id, expiry, keys);
  }
}

/** A session that is open, in the hands of the client. Sequences are taken by requests and streams alike. */
export class ClientSession {
  /** 16 bytes that name it; public. */
  readonly id: Uint8Array;
  /** Unix seconds. */
  readonly expiry: number;
  readonly #fromClient: GcmKey;
  readonly #fromServer: GcmKey;
  readonly #openedAt = performance.now();
  /** Sequences of which an answer is waited for. */
  readonly #awaited = new Set<number>();
  #sequence = 0;

  private constructor(id: Uint8Array, expiry: number, fromClient: GcmKey, fromServer: GcmKey) {
    this.id = id;
    this.expiry = expiry;
    this.#fromClient = fromClient;
    this.#fromServer = fromServer;
  }

  static async of(id: Uint8Array, expiry: number, keys: CipherKeys): Promise<ClientSession> {
    return new ClientSession(id, expiry, await GcmKey.import(keys.fromClient), await GcmKey.import(keys.fromServer));
  }

  /** A number that nothing was sealed under. Throws RangeError where there is none left. */
  takeSequence(): number {
    if (this.#sequence >= SEQUENCE_MAX) throw new RangeError('the session has no sequence left');
    return ++this.#sequence;
  }

  /** What was sealed under a sequence has its answer, or is given up: once the enclave hears anything that is sealed later, it takes it no more. */
  finish(sequence: number): void {
    this.#awaited.delete(sequence);
  }

  /** @param sequence of this request alone, to be given back by `finish`. Throws RangeError for a request that is too long. */
  async sealRequest(sequence: number, request: InnerRequest): Promise<Uint8Array> {
    return this.sealPadded(KIND.request, sequence, packRequest(request));
  }

  /** @returns undefined for what is not the enclave's reply to the request of this sequence. */
  async openReply(sequence: number, sealed: Uint8Array): Promise<InnerReply | undefined> {
    const opened = await this.#fromServer.open(nonceOf(KIND.reply, sequence), headOf(this.id, sequence), sealed);
    return opened === undefined ? undefined : readable(() => unpackReply(opened));
  }

  /** The first frame of a stream. @param sequence of this stream alone, to be given back by `finish`. */
  async sealHello(sequence: number, text: string): Promise<Uint8Array> {
    return this.sealPadded(KIND.hello, sequence, packHello(text));
  }

  /** @param frame counts what the client says on the stream after its hello, from 0. */
  async sealAlive(sequence: number, frame: number, text: string): Promise<Uint8Array> {
    const plaintext = this.#marked(sequence, packHello(text));
    return this.#fromClient.seal(nonceOf(KIND.alive, sequence, frame), headOf(this.id, sequence), plaintext);
  }

  /**
   * @param sequence of the stream.
   * @param frame its place among the enclave's frames, from 0.
   * @returns undefined for what the enclave did not say in this place.
   */
  async openFrame(sequence: number, frame: number, sealed: Uint8Array): Promise<string | undefined> {
    const head = headOf(this.id, sequence);
    const opened = await this.#fromServer.open(nonceOf(KIND.frame, sequence, frame), head, sealed);
    return opened === undefined ? undefined : readable(() => unpackText(opened));
  }

  /** What names its session and sequence before the seal. @param plaintext as the kind is padded. */
  async sealPadded(kind: Kind, sequence: number, plaintext: Uint8Array): Promise<Uint8Array> {
    const head = headOf(this.id, sequence);
    const marked = this.#marked(sequence, plaintext);
    this.#awaited.add(sequence);
    return concatBytes(head, await this.#fromClient.seal(nonceOf(kind, sequence), head, marked));
  }

  #marked(sequence: number, plaintext: Uint8Array): Uint8Array {
    const elapsedMs = Math.floor(performance.now() - this.#openedAt);
    return concatBytes(encodeMarks(sequence, elapsedMs, this.#awaited), plaintext);
  }
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
