/*
 * How what an owner and an operator's enclave say to each other is sealed: where everything lies, how long it is, and which nonce belongs to it.
 * The ciphers themselves are the client's (gcm.ts) and the enclave's own.
 */

export const SESSION_ID_BYTES = 16;
/** AES-256-GCM. */
export const CIPHER_KEY_BYTES = 32;
export const TAG_BYTES = 16;
export const NONCE_BYTES = 12;

/** A session numbers its requests from 1 in 32 bits. */
export const SEQUENCE_MAX = 2 ** 32 - 1;
const SEQUENCE_BYTES = 4;
/** Before what is sealed a client says for which session, and under which sequence. */
export const HEAD_BYTES = SESSION_ID_BYTES + SEQUENCE_BYTES;

/**
 * What is sealed. Each kind has nonces of its own, so that nothing passes for what it is not, and no nonce comes twice: a sequence has one request,
 * one reply and at most one stream, the frames of which are counted.
 */
export const KIND = { request: 1, reply: 2, hello: 3, frame: 4, alive: 5 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Lengths before sealing. A request, and what a client says on a stream, has one; replies and frames have a least one, and powers of two above. */
export const REQUEST_BYTES = 2_048;
export const REPLY_BYTES = 4_096;
export const FRAME_BYTES = 1_024;
export const HELLO_BYTES = 256;

/** Requests of a session may overtake each other by so many. */
export const SEQUENCE_WINDOW = 1_024;
const ELAPSED_BYTES = 4;
/** Before everything that a client seals: see `Marks`. */
export const MARKS_BYTES = ELAPSED_BYTES + SEQUENCE_WINDOW / 8;

/** Lengths on the wire. */
export const SEALED_REQUEST_BYTES = HEAD_BYTES + MARKS_BYTES + REQUEST_BYTES + TAG_BYTES;
export const SEALED_HELLO_BYTES = HEAD_BYTES + MARKS_BYTES + HELLO_BYTES + TAG_BYTES;
export const SEALED_ALIVE_BYTES = MARKS_BYTES + HELLO_BYTES + TAG_BYTES;

const LENGTH_BYTES = 4;
const STATUS_BYTES = 2;
const LINE_END = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** @param id of the session, 16 bytes. */
export function headOf(id: Uint8Array, sequence: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  head.set(id);
  viewOf(head).setUint32(SESSION_ID_BYTES, sequence);
  return head;
}

/** Of the head of a request or a hello. */
export function sequenceOf(head: Uint8Array): number {
  return viewOf(head).getUint32(SESSION_ID_BYTES);
}

/** What keeps whoever carries a client's words from bringing old ones later. */
export type Marks = {
  /** Milliseconds since the client had the answer to its opening, on a clock that is not set. */
  readonly elapsedMs: number;
  /** Whether the client still waits for the answer to what it sent under a sequence, of the SEQUENCE_WINDOW before this one. */
  readonly isAwaited: (sequence: number) => boolean;
};

/** @param sequence of what is marked. @param awaited all that the client waits for. */
export function encodeMarks(sequence: number, elapsedMs: number, awaited: Iterable<number>): Uint8Array {
  const marks = new Uint8Array(MARKS_BYTES);
  viewOf(marks).setUint32(0, Math.min(elapsedMs, 2 ** 32 - 1));
  for (const other of awaited) {
    const place = sequence - other - 1;
    if (place < 0 || place >= SEQUENCE_WINDOW) continue;
    const at = ELAPSED_BYTES + (place >> 3);
    marks[at] = (marks[at] as number) | (1 << (place & 7));
  }
  return marks;
}

/** @param marks as many bytes as `encodeMarks` makes, or more. @param sequence that they came under. */
export function decodeMarks(sequence: number, marks: Uint8Array): Marks {
  const isAwaited = (other: number) => {
    const place = sequence - other - 1;
    return (((marks[ELAPSED_BYTES + (place >> 3)] as number) >> (place & 7)) & 1) === 1;
  };
  return { elapsedMs: viewOf(marks).getUint32(0), isAwaited };
}

/** @param frame counts the frames of a stream in each direction, from 0; everything else is frame 0. */
export function nonceOf(kind: Kind, sequence: number, frame = 0): Uint8Array {
  if (sequence > SEQUENCE_MAX || frame > SEQUENCE_MAX) throw new RangeError('there is no nonce left');
  const nonce = new Uint8Array(NONCE_BYTES);
  const view = viewOf(nonce);
  view.setUint32(0, kind);
  view.setUint32(4, sequence);
  view.setUint32(8, frame);
  return nonce;
}

/** The least length, or a power of two above it, that so many bytes fit. */
function classOf(length: number, least: number): number {
  let size = least;
  while (size < LENGTH_BYTES + length) size *= 2;
  return size;
}

/** The length of the content, the content, and zeros up to the length of its class. */
function pad(parts: readonly Uint8Array[], size: number): Uint8Array {
  const padded = new Uint8Array(size);
  let at = LENGTH_BYTES;
  for (const part of parts) {
    padded.set(part, at);
    at += part.length;
  }
  viewOf(padded).setUint32(0, at - LENGTH_BYTES);
  return padded;
}

/** Throws RangeError for what `pad` does not make. */
function unpad(padded: Uint8Array): Uint8Array {
  const length = padded.length < LENGTH_BYTES ? Infinity : viewOf(padded).getUint32(0);
  const end = LENGTH_BYTES + length;
  let rest = end > padded.length ? 1 : 0;
  for (let at = end; at < padded.length; at++) rest |= padded[at] as number;
  if (rest !== 0) throw new RangeError('padding: expected a length, so many bytes, and zeros');
  return padded.subarray(LENGTH_BYTES, end);
}

/** Throws RangeError for text that is no UTF-8. */
function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new RangeError('expected UTF-8');
  }
}

/** What a client asks, before it is sealed. */
export type InnerRequest = { readonly method: string; readonly path: string; readonly body: string };
/** What the enclave answers. */
export type InnerReply = { readonly status: number; readonly text: string };

/** Throws RangeError for a request that is longer than any that the API takes. */
export function packRequest({ method, path, body }: InnerRequest): Uint8Array {
  const content = encoder.encode(`${method} ${path}\n${body}`);
  if (LENGTH_BYTES + content.length > REQUEST_BYTES) {
    throw new RangeError(`request: expected at most ${REQUEST_BYTES - LENGTH_BYTES} bytes, got ${content.length}`);
  }
  return pad([content], REQUEST_BYTES);
}

/** Throws RangeError for what `packRequest` does not make, as far as its form goes. */
export function unpackRequest(padded: Uint8Array): InnerRequest {
  const content = unpad(padded);
  const end = content.indexOf(LINE_END);
  const line = /^(GET|POST|PATCH|DELETE) (\/[\x21-\x7e]*)$/.exec(textOf(content.subarray(0, Math.max(end, 0))));
  const [, method, path] = line ?? [];
  if (method === undefined || path === undefined)
    throw new RangeError('request: expected a method and a path of the API');
  return { method, path, body: textOf(content.subarray(end + 1)) };
}

/** @param body UTF-8. */
export function packReply(status: number, body: Uint8Array): Uint8Array {
  const code = Uint8Array.of(status >> 8, status & 255);
  return pad([code, body], classOf(STATUS_BYTES + body.length, REPLY_BYTES));
}

/** Throws RangeError for what `packReply` does not make. */
export function unpackReply(padded: Uint8Array): InnerReply {
  const content = unpad(padded);
  if (content.length < STATUS_BYTES) throw new RangeError('reply: expected a status');
  return { status: viewOf(content).getUint16(0), text: textOf(content.subarray(STATUS_BYTES)) };
}

/** What the enclave says on a stream. */
export function packFrame(text: string): Uint8Array {
  const content = encoder.encode(text);
  return pad([content], classOf(content.length, FRAME_BYTES));
}

/** What a client says on a stream. Throws RangeError for more than it ever has to say. */
export function packHello(text: string): Uint8Array {
  const content = encoder.encode(text);
  if (LENGTH_BYTES + content.length > HELLO_BYTES) throw new RangeError('stream: expected a shorter frame');
  return pad([content], HELLO_BYTES);
}

/** Of what `packFrame` and `packHello` make; throws RangeError for anything else. */
export function unpackText(padded: Uint8Array): string {
  return textOf(unpad(padded));
}
