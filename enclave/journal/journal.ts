import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { mkdir, readdir, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { takeLock } from '@bitcloak/wallet/files';
import { corrupt, fileName, removeFile, sequencesOf, syncDirectory, writeAt } from './files.ts';
import { genesisHead, JOURNAL_ID_BYTES, KEY_BYTES, recordSizeFor, type JournalPosition } from './format.ts';
import { Heads } from './heads.ts';
import { recover } from './recovery.ts';
import { BATCH_BYTES_MAX, Segment, type JournalCommand } from './segment.ts';
import { readSnapshot, STATE_BYTES_MAX, writeSnapshot } from './snapshotFile.ts';

export const SEGMENT_BYTES_MAX = 67_108_864;

export type JournalOptions = {
  /** Is made where it is not there. */
  readonly directory: string;
  readonly key: Uint8Array;
};

type Append = { command: Buffer; resolve: (position: JournalPosition) => void; reject: (error: Error) => void };

/** What a journal is made of once it is open. */
type Parts = {
  directory: string;
  secret: KeyObject;
  journal: Buffer;
  heads: Heads;
  segments: Segment[];
  snapshots: number[];
  release: () => void;
};

/**
 * The log of a state machine's commands, encrypted, on a disk that is not to be trusted. What was acknowledged is there after a kill or a
 * crash, in order; whatever else the disk does is found out, but for an end that is cut off: for that its heads are compared with what is known
 * elsewhere.
 */
export class Journal {
  readonly #directory: string;
  readonly #secret: KeyObject;
  readonly #journal: Buffer;
  readonly #heads: Heads;
  readonly #release: () => void;
  /** Oldest first; the last one is written to. */
  #segments: Segment[];
  /** Of at most two good snapshots, ascending. */
  #snapshots: number[];
  #file: FileHandle | undefined;
  #queue: Append[] = [];
  #writing: Promise<void> | undefined;
  #snapshotting: Promise<unknown> = Promise.resolve();
  #wantsSegment = false;
  #stopped: BitcloakError | undefined;
  #closing: Promise<void> | undefined;

  private constructor({ directory, secret, journal, heads, segments, snapshots, release }: Parts) {
    this.#directory = directory;
    this.#secret = secret;
    this.#journal = journal;
    this.#heads = heads;
    this.#segments = segments;
    this.#snapshots = snapshots;
    this.#release = release;
  }

  /**
   * Opens a journal, or begins one in an empty directory. What a kill left of an unacknowledged write is cut off. Throws `JOURNAL_CORRUPT`,
   * having changed nothing, and `JOURNAL_BUSY`.
   */
  static async open({ directory, key }: JournalOptions): Promise<Journal> {
    if (key.length !== KEY_BYTES) throw new RangeError(`the key of a journal has ${KEY_BYTES} bytes`);
    const secret = createSecretKey(key);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const release = lock(directory);
    try {
      const recovered = await recover(directory, secret);
      await recovered?.settle();
      const journal = recovered?.journal ?? randomBytes(JOURNAL_ID_BYTES);
      const heads = recovered?.heads ?? new Heads({ sequence: 0, head: genesisHead(journal) });
      const snapshots = recovered?.snapshot === undefined ? [] : [recovered.snapshot];
      if (recovered === undefined) await syncDirectory(dirname(directory));
      const segments = [...(recovered?.segments ?? [])];
      const opened = new Journal({ directory, secret, journal, heads, segments, snapshots, release });
      // Nothing more goes to the segment that was found: a torn record may have been read before it was cut, and the next record would
      // have its number under the same key.
      await opened.#beginSegment();
      return opened;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The newest record that is durable. */
  get position(): JournalPosition {
    return this.#heads.last;
  }

  /** The oldest sequence whose head is known. */
  get oldestSequence(): number {
    return this.#heads.first;
  }

  /** Whether a head, of 32 bytes, is that of a record which is still in the journal. */
  hasHead(head: Uint8Array): boolean {
    return this.#heads.has(head);
  }

  /**
   * Appends a command. Resolves once it is durable; records are in the order of the calls. What is appended while the disk is busy goes to it
   * together. Rejects with `JOURNAL_FAILED` where the disk fails, and from then on always: such a command may be in the journal or not,
   * which the next opening tells.
   */
  append(command: Uint8Array): Promise<JournalPosition> {
    recordSizeFor(command.length);
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    const { promise, resolve, reject } = Promise.withResolvers<JournalPosition>();
    this.#queue.push({ command: Buffer.from(command), resolve, reject });
    this.#writing ??= this.#writeQueue();
    return promise;
  }

  /**
   * Keeps the state after a durable record, so that replay begins there, and removes what is older than the snapshot before this one. The
   * state must not change until it is written. Where it cannot be written, the journal goes on without.
   */
  async snapshot(sequence: number, state: Uint8Array): Promise<void> {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (state.length > STATE_BYTES_MAX) throw new RangeError(`a state has at most ${STATE_BYTES_MAX} bytes`);
    const taken = this.#snapshotting.then(() => this.#takeSnapshot(sequence, state));
    this.#snapshotting = taken.catch(() => undefined);
    await taken;
  }

  /** The newest snapshot. Throws `JOURNAL_CORRUPT` where it has changed since the journal was opened. */
  async readSnapshot(): Promise<{ readonly sequence: number; readonly state: Uint8Array } | undefined> {
    const sequence = this.#snapshots.at(-1);
    if (sequence === undefined) return undefined;
    const found = await readSnapshot(this.#directory, this.#secret, sequence);
    if (found === undefined || !this.#heads.at(sequence)?.equals(found.head)) {
      throw corrupt(`${fileName('snapshot', sequence)} has changed since the journal was opened`);
    }
    return { sequence, state: found.state };
  }

  /** The commands after a sequence, up to the newest durable one, in groups as they come from the disk. */
  async *commands(after: number): AsyncGenerator<readonly JournalCommand[]> {
    if (after < this.oldestSequence) throw new RangeError(`the commands up to ${this.oldestSequence} are gone`);
    for (const segment of [...this.#segments]) if (segment.last.sequence > after) yield* segment.commands(after);
  }

  /** Writes what is queued, and gives the directory free. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopped ??= new BitcloakError('JOURNAL_CLOSED', 'the journal is closed');
    try {
      await this.#writing;
      await this.#snapshotting;
      // The next segment says where this one ends, so from now on no damage to its end is taken for a kill's.
      if (this.#stopped.code === 'JOURNAL_CLOSED' && !this.#active.isEmpty) await this.#beginSegment();
    } catch (error) {
      throw failure('closing, after all was written', error);
    } finally {
      await this.#file?.close();
      this.#release();
    }
  }

  async #writeQueue(): Promise<void> {
    let batch: Append[] = [];
    try {
      while (this.#queue.length > 0) {
        // What this turn of the event loop still appends joins the batch.
        await nextTurn();
        batch = this.#takeBatch();
        await this.#writeBatch(batch);
      }
    } catch (error) {
      this.#stopped = failure('a write failed, and nothing more is written', error);
      for (const { reject } of [...batch, ...this.#queue.splice(0)]) reject(this.#stopped);
    }
    this.#writing = undefined;
  }

  #takeBatch(): Append[] {
    let bytes = 0;
    const end = this.#queue.findIndex(({ command }) => (bytes += recordSizeFor(command.length)) > BATCH_BYTES_MAX);
    return this.#queue.splice(0, end < 0 ? this.#queue.length : end);
  }

  async #writeBatch(batch: readonly Append[]): Promise<void> {
    const isFull = this.#active.end + BATCH_BYTES_MAX > SEGMENT_BYTES_MAX;
    if (isFull || (this.#wantsSegment && !this.#active.isEmpty)) await this.#beginSegment();
    const segment = this.#active;
    const { sequence } = segment.last;
    const { bytes, heads, commit } = segment.seal(batch.map(({ command }) => command));
    if (this.#file === undefined) throw new Error('an open journal has a file');
    await writeAt(this.#file, bytes, segment.end);
    await this.#file.datasync();
    commit();
    for (const head of heads) this.#heads.push(head);
    batch.forEach(({ resolve }, index) => {
      resolve({ sequence: sequence + index + 1, head: heads[index] ?? Buffer.alloc(0) });
    });
  }

  async #takeSnapshot(sequence: number, state: Uint8Array): Promise<void> {
    const head = this.#heads.at(sequence);
    if (head === undefined) throw new RangeError(`record ${sequence} is not durable yet, or no longer there`);
    const newest = this.#snapshots.at(-1);
    if (newest === sequence) return;
    if (newest !== undefined && newest > sequence) throw new RangeError(`there is a snapshot of ${newest} already`);
    try {
      await writeSnapshot(this.#directory, this.#secret, this.#journal, { sequence, head }, state);
      this.#snapshots = [...(newest === undefined ? [] : [newest]), sequence];
      this.#wantsSegment = true;
      // The first one replaces nothing: should it become unreadable, every record is replayed.
      if (newest !== undefined) await this.#removeOld(newest);
    } catch (error) {
      throw failure(`the snapshot of ${sequence}`, error);
    }
  }

  /** Removes the snapshots before the last two, and the segments whose records are all at or before a sequence; oldest first, so that a
   * kill leaves no gap. */
  async #removeOld(sequence: number): Promise<void> {
    const there = sequencesOf('snapshot', await readdir(this.#directory));
    for (const old of there.filter((candidate) => !this.#snapshots.includes(candidate))) {
      await removeFile(join(this.#directory, fileName('snapshot', old)));
    }
    for (const segment of this.#segments.filter((candidate) => candidate !== this.#active)) {
      if (segment.last.sequence > sequence) break;
      await removeFile(segment.path);
      this.#segments = this.#segments.filter((candidate) => candidate !== segment);
    }
    this.#heads.dropBefore(this.#segments[0]?.base.sequence ?? 0);
  }

  get #active(): Segment {
    const active = this.#segments.at(-1);
    if (active === undefined) throw new Error('an open journal has a segment');
    return active;
  }

  /** Takes the place of the newest segment where that is empty. */
  async #beginSegment(): Promise<void> {
    const { position } = this;
    const { segment, file } = await Segment.create(this.#directory, this.#secret, this.#journal, position);
    this.#segments = [...this.#segments.filter(({ base }) => base.sequence < position.sequence), segment];
    const previous = this.#file;
    this.#file = file;
    await previous?.close();
    this.#wantsSegment = false;
  }
}

/** The cause, an error of the system, names the file. */
function failure(what: string, cause: unknown): BitcloakError {
  return new BitcloakError('JOURNAL_FAILED', `the journal's disk failed: ${what}`, { cause });
}

function lock(directory: string): () => void {
  try {
    return takeLock(join(directory, 'lock'));
  } catch (error) {
    if (!(error instanceof BitcloakError)) throw error;
    throw new BitcloakError('JOURNAL_BUSY', `another process uses the journal in ${directory}`, { cause: error });
  }
}
