import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JournalPosition } from '../../enclave/journal/format.ts';
import { Journal } from '../../enclave/journal/journal.ts';
import { replay } from '../../enclave/journal/replay.ts';
import { seededBytes } from './random.ts';

export const CORRUPT = { code: 'JOURNAL_CORRUPT' };
export const JOURNAL_KEY = Buffer.from(seededBytes('journal key')(32));
/** The header of a segment, with its tag. */
export const SEGMENT_HEADER_BYTES = 150;

/** The command that tests append under a sequence number, of other lengths again and again. */
export function commandOf(sequence: number): Buffer {
  const hash = createHash('sha256').update(`command ${sequence}`).digest();
  const length = sequence % 11 === 0 ? 2_500 : (hash[0] ?? 0) + (sequence % 5 === 0 ? 600 : 0);
  return Buffer.concat([hash, Buffer.alloc(length, hash)]);
}

export function openJournal(directory: string): Promise<Journal> {
  return Journal.open({ directory, key: JOURNAL_KEY });
}

/** A machine whose state is what it was given, so that two are equal only if their commands were. */
export class HashingMachine {
  state: Buffer = Buffer.alloc(32);
  sequence = 0;
  applied = 0;

  restore(state: Uint8Array): void {
    this.state = Buffer.from(state.subarray(0, 32));
    this.sequence = Buffer.from(state).readUInt32BE(32);
  }

  apply(command: Uint8Array, sequence: number): void {
    assert.equal(sequence, this.sequence + 1);
    this.state = createHash('sha256').update(this.state).update(command).digest();
    this.sequence = sequence;
    this.applied++;
  }

  snapshot(): Buffer {
    const sequence = Buffer.alloc(4);
    sequence.writeUInt32BE(this.sequence);
    return Buffer.concat([this.state, sequence]);
  }
}

export async function replayed(journal: Journal): Promise<HashingMachine> {
  const machine = new HashingMachine();
  const { sequence } = await replay(journal, machine);
  assert.equal(machine.sequence, sequence);
  return machine;
}

/** The machine that was given the commands of tests up to a sequence. */
export function expectedMachine(sequence: number): HashingMachine {
  const machine = new HashingMachine();
  for (let next = 1; next <= sequence; next++) machine.apply(commandOf(next), next);
  return machine;
}

/** Appends the next commands of tests, all at once. */
export function appendNext(journal: Journal, count: number): Promise<JournalPosition[]> {
  const { sequence } = journal.position;
  return Promise.all(Array.from({ length: count }, (_, index) => journal.append(commandOf(sequence + 1 + index))));
}

/** A fresh directory for each test, all removed at the end. */
export class JournalDirectories {
  readonly #root = mkdtempSync(join(tmpdir(), 'bitcloak-journal-'));
  #count = 0;

  fresh(): string {
    return join(this.#root, String(this.#count++));
  }

  /** What a kill at this moment would leave. */
  copyOf(directory: string): string {
    const copy = this.fresh();
    mkdirSync(copy, { recursive: true });
    for (const name of journalFiles(directory)) {
      try {
        copyFileSync(join(directory, name), join(copy, name));
      } catch (error) {
        // Renamed or removed by the journal meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return copy;
  }

  dispose(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** The names of a journal's files, without its lock. */
export function journalFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => !name.startsWith('lock'))
    .sort();
}

export function contentsOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    journalFiles(directory).map((name) => [name, readFileSync(join(directory, name)).toString('latin1')]),
  );
}

/** Opens a journal that must have exactly the commands of tests up to a sequence. */
export async function assertHolds(directory: string, sequence: number, message?: string): Promise<void> {
  const journal = await openJournal(directory);
  try {
    assert.equal(journal.position.sequence, sequence, message);
    assert.deepEqual((await replayed(journal)).state, expectedMachine(sequence).state, message);
  } finally {
    await journal.close();
  }
}

export async function assertRefused(directory: string, message: string): Promise<void> {
  const before = contentsOf(directory);
  await assert.rejects(openJournal(directory), CORRUPT, message);
  assert.deepEqual(contentsOf(directory), before, message);
}

export function flip(path: string, at: number): () => void {
  const bytes = readFileSync(path);
  const flipped = Buffer.from(bytes);
  flipped[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
  writeFileSync(path, flipped);
  return () => {
    writeFileSync(path, bytes);
  };
}

export function change(path: string, to: (bytes: Buffer) => Uint8Array): void {
  writeFileSync(path, to(readFileSync(path)));
}

type Handle = Awaited<ReturnType<typeof openFile>>;

/** Has a method of every open file do something else, until what is returned is called. */
export async function patchFiles<Name extends 'datasync' | 'sync' | 'write'>(
  name: Name,
  replace: (original: Handle[Name]) => Handle[Name],
): Promise<() => void> {
  const file = await openFile(import.meta.filename);
  await file.close();
  const prototype = Object.getPrototypeOf(file) as Handle;
  const original = prototype[name];
  prototype[name] = replace(original);
  return () => {
    prototype[name] = original;
  };
}
