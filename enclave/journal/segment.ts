import type { KeyObject } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { corrupt, createWhole, fileName, readAt, writeAt } from './files.ts';
import {
  durableOf,
  HEADER_BYTES,
  isAuthentic,
  newHeader,
  nextHead,
  opener,
  openRecord,
  readHeader,
  RECORD_BYTES_MAX,
  RECORD_BYTES_MIN,
  recordAt,
  recordSizeFor,
  sealer,
  sealRecord,
  sequenceOf,
  TAG_BYTES,
  type FileHeader,
  type JournalPosition,
} from './format.ts';

/** At most this much is written at once, and so at most this much is torn by a kill. */
export const BATCH_BYTES_MAX = 1_048_576;
const WINDOW_BYTES = 2 * RECORD_BYTES_MAX;
const RECORDS_AT = HEADER_BYTES + TAG_BYTES;

export type JournalCommand = { readonly sequence: number; readonly command: Buffer };

/** Records of a run of sequence numbers, in one file. */
export class Segment {
  readonly path: string;
  /** The place before its first record. */
  readonly base: JournalPosition;
  readonly journal: Buffer;
  readonly #key: KeyObject;
  #last: JournalPosition;
  #end = RECORDS_AT;

  private constructor(path: string, { key, journal, position }: FileHeader) {
    this.path = path;
    this.#key = key;
    this.journal = journal;
    this.base = position;
    this.#last = position;
  }

  /** Makes an empty one; in the place of an empty one that begins at the same place, if there is one. */
  static async create(
    directory: string,
    secret: KeyObject,
    journal: Uint8Array,
    base: JournalPosition,
  ): Promise<{ segment: Segment; file: FileHandle }> {
    const header = newHeader('segment', secret, journal, base);
    const cipher = sealer(header.key, 0, header.bytes);
    cipher.final();
    const path = join(directory, fileName('segment', base.sequence));
    const file = await createWhole(path, [header.bytes, cipher.getAuthTag()]);
    return { segment: new Segment(path, header), file };
  }

  /** Reads the header alone. Throws `JOURNAL_CORRUPT`. */
  static async find(directory: string, secret: KeyObject, sequence: number): Promise<Segment> {
    const name = fileName('segment', sequence);
    const path = join(directory, name);
    const file = await open(path, 'r');
    try {
      const bytes = await readAt(file, Buffer.alloc(RECORDS_AT), 0);
      // It was made whole, so no kill explains a header that is not.
      if (bytes.length < RECORDS_AT) throw corrupt(`${name} has no whole header`);
      const header = readHeader('segment', secret, bytes.subarray(0, HEADER_BYTES));
      const decipher = opener(header.key, 0, header.bytes, bytes.subarray(HEADER_BYTES));
      if (!isAuthentic(decipher)) throw corrupt(`the header of ${name} is not authentic`);
      if (header.position.sequence !== sequence) throw corrupt(`${name} has the name of another segment`);
      return new Segment(path, header);
    } finally {
      await file.close();
    }
  }

  get last(): JournalPosition {
    return this.#last;
  }

  get isEmpty(): boolean {
    return this.#last.sequence === this.base.sequence;
  }

  /** Where its last record ends. */
  get end(): number {
    return this.#end;
  }

  /** Seals commands into the records that follow the last one, and counts them in only when `commit` is called. */
  seal(commands: readonly Uint8Array[]): { bytes: Buffer; heads: readonly Buffer[]; commit: () => void } {
    const sizes = commands.map((command) => recordSizeFor(command.length));
    const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
    const heads: Buffer[] = [];
    const durable = this.#last.sequence;
    let { sequence, head } = this.#last;
    let at = 0;
    commands.forEach((command, index) => {
      const record = bytes.subarray(at, (at += sizes[index] ?? 0));
      sealRecord(record, this.#key, ++sequence, durable, command);
      const sealed = nextHead(head, record);
      heads.push(sealed);
      head = sealed;
    });
    const commit = () => {
      this.#last = { sequence, head };
      this.#end += bytes.length;
    };
    return { bytes, heads, commit };
  }

  /**
   * Checks the records in a file that was found, up to the first that is not whole, and calls `found` with the head of each. What follows
   * them is for the caller to judge.
   *
   * @returns how much follows, and where the last batch begins: nothing on the disk says of its records that they were durable.
   */
  async check(file: FileHandle, found: (head: Buffer) => void): Promise<{ rest: number; lastBatchAt: number }> {
    const { size } = await file.stat();
    let durable = this.base.sequence;
    let lastBatchAt = this.#end;
    const check = (record: Buffer): boolean => {
      if (sequenceOf(record) !== this.#last.sequence + 1 || openRecord(record, this.#key) === undefined) return false;
      if (durableOf(record) > durable) {
        durable = durableOf(record);
        lastBatchAt = this.#end;
      }
      const head = nextHead(this.#last.head, record);
      this.#last = { sequence: this.#last.sequence + 1, head };
      this.#end += record.length;
      found(head);
      return true;
    };
    for await (const records of readRecords(file, RECORDS_AT, size)) if (!records.every(check)) break;
    return { rest: size - this.#end, lastBatchAt };
  }

  /**
   * Whether what follows the last record is what is left of one write that was never acknowledged, and not damage to acknowledged records.
   * A write begins only when the one before is durable, and each record says up to which one that was: so a record that still opens and
   * says that the missing one was durable proves damage, and so does more than one write, and a record in a wrong place.
   */
  async isTorn(file: FileHandle, rest: number): Promise<boolean> {
    if (rest > BATCH_BYTES_MAX) return false;
    const bytes = await readAt(file, Buffer.alloc(rest), this.#end);
    const missing = this.#last.sequence + 1;
    for (let at = 0; at < bytes.length; at += RECORD_BYTES_MIN) {
      const record = recordAt(bytes, at);
      if (record === undefined || openRecord(record, this.#key) === undefined) continue;
      if (durableOf(record) >= missing || sequenceOf(record) <= missing) return false;
    }
    return true;
  }

  /**
   * Its commands after a sequence, those that are there at the call, checked again, since the disk may have changed. Throws
   * `JOURNAL_CORRUPT`.
   */
  async *commands(after: number): AsyncGenerator<JournalCommand[]> {
    const last = this.#last.sequence;
    const end = this.#end;
    let next = this.base.sequence + 1;
    const file = await open(this.path, 'r');
    try {
      for await (const records of readRecords(file, RECORDS_AT, end)) {
        const commands: JournalCommand[] = [];
        for (const record of records) {
          const sequence = next++;
          const command = sequence > after ? openRecord(record, this.#key) : undefined;
          if (sequenceOf(record) !== sequence || (sequence > after && command === undefined)) {
            throw corrupt(`record ${sequence} has changed since the journal was opened`);
          }
          if (command !== undefined) commands.push({ sequence, command });
        }
        if (commands.length > 0) yield commands;
      }
    } finally {
      await file.close();
    }
    if (next !== last + 1) throw corrupt(`${basename(this.path)} has changed since the journal was opened`);
  }

  /**
   * Makes durable exactly what was found. The last batch is written again, the same bytes: had its sync failed before the kill, the
   * system would take it for written, and another sync would do nothing.
   */
  async settle(lastBatchAt: number): Promise<void> {
    const file = await open(this.path, 'r+');
    try {
      await file.truncate(this.#end);
      await writeAt(file, await readAt(file, Buffer.alloc(this.#end - lastBatchAt), lastBatchAt), lastBatchAt);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** The records of a file from an offset on, in groups whose bytes hold until the next one is asked for; ends at what is no record. */
async function* readRecords(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer[]> {
  const window = Buffer.allocUnsafe(WINDOW_BYTES);
  let filled = 0;
  for (let offset = start; ;) {
    const wanted = Math.min(window.length - filled, end - offset);
    const read = await readAt(file, window.subarray(filled, filled + wanted), offset);
    offset += read.length;
    filled += read.length;
    const records: Buffer[] = [];
    let at = 0;
    for (;;) {
      const record = recordAt(window.subarray(0, filled), at);
      if (record === undefined) break;
      records.push(record);
      at += record.length;
    }
    if (records.length === 0) return;
    yield records;
    filled = window.copy(window, 0, at, filled);
  }
}
