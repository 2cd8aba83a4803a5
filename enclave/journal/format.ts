// How a journal's files look. Every file has a random salt and thereby a key of its own; under it, number 0 seals the header (and a
// snapshot's state), and the sequence number seals a record. A file's records are written once: no number is used twice under one key.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  randomBytes,
  type CipherGCM,
  type DecipherGCM,
  type KeyObject,
} from 'node:crypto';

const FORMAT = 'bitcloak journal 1';
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const SEQUENCE_BYTES = 6;

export const KEY_BYTES = 32;
export const HEAD_BYTES = 32;
export const JOURNAL_ID_BYTES = 32;
export const TAG_BYTES = 16;

/** A place in the journal: after the record of this sequence number. The first record has number 1, and 0 is the place before it. */
export type JournalPosition = {
  readonly sequence: number;
  /** 32 bytes that stand for every record up to here. */
  readonly head: Uint8Array;
};

export function isSamePosition(a: JournalPosition, b: JournalPosition): boolean {
  return a.sequence === b.sequence && Buffer.compare(a.head, b.head) === 0;
}

/** The head of an empty journal. */
export function genesisHead(journal: Uint8Array): Buffer {
  return createHash('sha256').update(FORMAT).update(journal).digest();
}

export function nextHead(head: Uint8Array, record: Uint8Array): Buffer {
  return createHash('sha256').update(head).update(record).digest();
}

// The header of a file: kind, salt, journal, sequence, head.
const KIND_BYTES = 32;
const SALT_BYTES = 32;
const SALT_AT = KIND_BYTES;
const JOURNAL_AT = SALT_AT + SALT_BYTES;
const SEQUENCE_AT = JOURNAL_AT + JOURNAL_ID_BYTES;
const HEAD_AT = SEQUENCE_AT + SEQUENCE_BYTES;
export const HEADER_BYTES = HEAD_AT + HEAD_BYTES;

export type FileKind = 'segment' | 'snapshot';

/** What a header says; it is believed only once number 0 of the file opens. */
export type FileHeader = {
  readonly bytes: Buffer;
  readonly key: KeyObject;
  readonly journal: Buffer;
  /** Of a segment, the place before its first record; of a snapshot, the place whose state it holds. */
  readonly position: JournalPosition;
};

export function newHeader(
  kind: FileKind,
  secret: KeyObject,
  journal: Uint8Array,
  position: JournalPosition,
): FileHeader {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(`${FORMAT} ${kind}`, 'latin1');
  bytes.set(randomBytes(SALT_BYTES), SALT_AT);
  bytes.set(journal, JOURNAL_AT);
  bytes.writeUIntBE(position.sequence, SEQUENCE_AT, SEQUENCE_BYTES);
  bytes.set(position.head, HEAD_AT);
  return readHeader(kind, secret, bytes);
}

export function readHeader(kind: FileKind, secret: KeyObject, bytes: Buffer): FileHeader {
  const salt = bytes.subarray(SALT_AT, JOURNAL_AT);
  const key = Buffer.from(hkdfSync('sha256', secret, salt, `${FORMAT} ${kind}`, KEY_BYTES));
  return {
    bytes,
    key: createSecretKey(key),
    journal: bytes.subarray(JOURNAL_AT, SEQUENCE_AT),
    position: {
      sequence: bytes.readUIntBE(SEQUENCE_AT, SEQUENCE_BYTES),
      head: bytes.subarray(HEAD_AT, HEADER_BYTES),
    },
  };
}

function nonceOf(sequence: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(sequence, NONCE_BYTES - SEQUENCE_BYTES, SEQUENCE_BYTES);
  return nonce;
}

export function sealer(key: KeyObject, sequence: number, associated: Uint8Array): CipherGCM {
  return createCipheriv(CIPHER, key, nonceOf(sequence)).setAAD(associated);
}

export function opener(key: KeyObject, sequence: number, associated: Uint8Array, tag: Uint8Array): DecipherGCM {
  return createDecipheriv(CIPHER, key, nonceOf(sequence), { authTagLength: TAG_BYTES })
    .setAAD(associated)
    .setAuthTag(tag);
}

/** Whether what was deciphered is authentic: before this says so, nothing of it may be used. */
export function isAuthentic(decipher: DecipherGCM): boolean {
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}

// A record: sequence, the newest sequence that was durable when it was written, size; sealed: length of the command, command, zeros; tag.
const DURABLE_AT = SEQUENCE_BYTES;
const SIZE_AT = DURABLE_AT + SEQUENCE_BYTES;
const RECORD_HEADER_BYTES = SIZE_AT + 4;
const LENGTH_BYTES = 4;
const RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + LENGTH_BYTES + TAG_BYTES;

/** Every record has one of these sizes, whatever its command, so that lengths tell kinds of commands apart as little as may be. */
export const RECORD_SIZES = [512, 2_048, 8_192, 32_768, 131_072, 524_288] as const;
/** All sizes are multiples of it, so that records begin at multiples of it. */
export const RECORD_BYTES_MIN = RECORD_SIZES[0];
export const RECORD_BYTES_MAX = 524_288;
export const COMMAND_BYTES_MAX = RECORD_BYTES_MAX - RECORD_OVERHEAD_BYTES;

/** How large the record of a command is. */
export function recordSizeFor(commandBytes: number): number {
  const size = RECORD_SIZES.find((candidate) => commandBytes <= candidate - RECORD_OVERHEAD_BYTES);
  if (size === undefined) throw new RangeError(`a command has at most ${COMMAND_BYTES_MAX} bytes, not ${commandBytes}`);
  return size;
}

/** The record that begins at an offset, as far as its size can be believed; undefined where that is none, or more than there is. */
export function recordAt(bytes: Buffer, offset: number): Buffer | undefined {
  if (offset + RECORD_BYTES_MIN > bytes.length) return undefined;
  const size = bytes.readUInt32BE(offset + SIZE_AT);
  if (!(RECORD_SIZES as readonly number[]).includes(size) || offset + size > bytes.length) return undefined;
  return bytes.subarray(offset, offset + size);
}

export function sequenceOf(record: Buffer): number {
  return record.readUIntBE(0, SEQUENCE_BYTES);
}

export function durableOf(record: Buffer): number {
  return record.readUIntBE(DURABLE_AT, SEQUENCE_BYTES);
}

/** Fills a whole record. */
export function sealRecord(
  record: Buffer,
  key: KeyObject,
  sequence: number,
  durable: number,
  command: Uint8Array,
): void {
  record.writeUIntBE(sequence, 0, SEQUENCE_BYTES);
  record.writeUIntBE(durable, DURABLE_AT, SEQUENCE_BYTES);
  record.writeUInt32BE(record.length, SIZE_AT);
  const plaintext = Buffer.alloc(record.length - RECORD_HEADER_BYTES - TAG_BYTES);
  plaintext.writeUInt32BE(command.length);
  plaintext.set(command, LENGTH_BYTES);
  const cipher = sealer(key, sequence, record.subarray(0, RECORD_HEADER_BYTES));
  record.set(cipher.update(plaintext), RECORD_HEADER_BYTES);
  cipher.final();
  record.set(cipher.getAuthTag(), record.length - TAG_BYTES);
}

/** The command of a record, or undefined where the record is not authentic: not written under this key, or not with this number. */
export function openRecord(record: Buffer, key: KeyObject): Buffer | undefined {
  const body = record.length - TAG_BYTES;
  const decipher = opener(key, sequenceOf(record), record.subarray(0, RECORD_HEADER_BYTES), record.subarray(body));
  const plaintext = decipher.update(record.subarray(RECORD_HEADER_BYTES, body));
  if (!isAuthentic(decipher)) return undefined;
  return plaintext.subarray(LENGTH_BYTES, LENGTH_BYTES + plaintext.readUInt32BE());
}
