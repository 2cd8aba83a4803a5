import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  appendNext,
  assertRefused,
  change,
  CORRUPT,
  expectedMachine,
  flip,
  HashingMachine,
  JournalDirectories,
  journalFiles,
  openJournal,
  replayed,
} from '../support/journal.ts';

const LAST = 15;
const directories = new JournalDirectories();

const snapshotAt = (directory: string, sequence: number) =>
  join(directory, `snapshot-${String(sequence).padStart(16, '0')}`);

/** Four records, a snapshot, one record. */
async function round(directory: string, tell = ''): Promise<void> {
  const journal = await openJournal(directory);
  if (tell === '') await appendNext(journal, 4);
  else for (let count = 0; count < 4; count++) await journal.append(Buffer.from(tell));
  const { sequence } = journal.position;
  await journal.snapshot(sequence, expectedMachine(sequence).snapshot());
  await appendNext(journal, 1);
  await journal.close();
}

async function copyFiles(from: string, to: string, kind: string): Promise<void> {
  for (const name of journalFiles(to).filter((other) => other.startsWith(kind))) rmSync(join(to, name));
  for (const name of journalFiles(from).filter((other) => other.startsWith(kind))) {
    copyFileSync(join(from, name), join(to, name));
  }
}

async function assertReplays(directory: string, applied: number, message?: string): Promise<void> {
  const journal = await openJournal(directory);
  const machine = await replayed(journal);
  assert.equal(machine.applied, applied, message);
  assert.deepEqual(machine.state, expectedMachine(LAST).state, message);
  await journal.close();
}

after(() => {
  directories.dispose();
});

describe('a snapshot', () => {
  /** How the journal was after one, two and three rounds: its snapshots are of 4, 9 and 14. */
  const stages: string[] = [];
  let directory: string;
  let copy: string;

  before(async () => {
    directory = directories.fresh();
    for (let stage = 0; stage < 3; stage++) {
      await round(directory);
      stages.push(directories.copyOf(directory));
    }
    await assertReplays(directories.copyOf(directory), 1);
  });

  beforeEach(() => {
    copy = directories.copyOf(directory);
  });

  it('with any byte flipped makes way for the one before and its tail', async () => {
    const path = snapshotAt(copy, 14);
    const { length } = readFileSync(path);
    for (let at = 0; at < length; at += at < 200 || at > length - 40 ? 3 : 97) {
      const undo = flip(path, at);
      await assertReplays(copy, 6, `byte ${at}`);
      undo();
    }
    await assertReplays(copy, 1);
  });

  it('that is cut off anywhere, or gone, makes way too', async () => {
    const path = snapshotAt(copy, 14);
    const whole = readFileSync(path);
    for (const length of [0, 1, 133, 134, 150, 200, whole.length - 16, whole.length - 1]) {
      truncateSync(path, length);
      await assertReplays(copy, 6, `${length} bytes`);
      writeFileSync(path, whole);
    }
    rmSync(path);
    await assertReplays(copy, 6);
  });

  it('that made way is removed by the next one, and the one before stays', async () => {
    flip(snapshotAt(copy, 14), 1000);
    await round(copy);
    assert.deepEqual(
      journalFiles(copy).filter((name) => name.startsWith('snapshot')),
      [9, 19].map((sequence) => snapshotAt('', sequence)),
    );
    flip(snapshotAt(copy, 19), 1000);
    const journal = await openJournal(copy);
    const machine = await replayed(journal);
    assert.equal(machine.applied, 11);
    assert.deepEqual(machine.state, expectedMachine(20).state);
    await journal.close();
  });

  it('is needed where the records before are gone', async () => {
    flip(snapshotAt(copy, 14), 1000);
    flip(snapshotAt(copy, 9), 1000);
    await assertRefused(copy, 'both damaged');
    for (const sequence of [9, 14]) rmSync(snapshotAt(copy, sequence));
    await assertRefused(copy, 'both gone');
    copyFileSync(snapshotAt(stages[0] ?? '', 4), snapshotAt(copy, 4));
    await assertRefused(copy, 'one whose tail is gone');
  });

  it('is not needed where they are there', async () => {
    const first = directories.copyOf(stages[0] ?? '');
    flip(snapshotAt(first, 4), 500);
    const journal = await openJournal(first);
    assert.equal(await journal.readSnapshot(), undefined);
    const machine = await replayed(journal);
    assert.equal(machine.applied, 5);
    assert.deepEqual(machine.state, expectedMachine(5).state);
    await journal.close();
  });

  it('that is older than the records is of no matter', async () => {
    copyFileSync(snapshotAt(stages[0] ?? '', 4), snapshotAt(copy, 4));
    await assertReplays(copy, 1);
  });

  it('under the name of another is found out', async () => {
    copyFileSync(snapshotAt(copy, 9), snapshotAt(copy, 14));
    await assertRefused(copy, 'doubled');
    copy = directories.copyOf(directory);
    renameSync(snapshotAt(copy, 14), snapshotAt(copy, 13));
    await assertRefused(copy, 'renamed');
  });

  it('without its records is found out', async () => {
    await copyFiles(stages[1] ?? '', copy, 'segment');
    await assertRefused(copy, 'older segments');
    await copyFiles(directories.copyOf(directory), copy, 'segment');
    for (const name of journalFiles(copy).filter((other) => other.startsWith('segment'))) rmSync(join(copy, name));
    await assertRefused(copy, 'no segments');
  });

  it('of another journal, or another run of this one, is found out', async () => {
    const other = directories.fresh();
    for (let stage = 0; stage < 3; stage++) await round(other);
    copyFileSync(snapshotAt(other, 14), snapshotAt(copy, 14));
    await assertRefused(copy, 'another journal');

    const fork = directories.copyOf(stages[1] ?? '');
    await round(fork, 'another history');
    copy = directories.copyOf(directory);
    copyFileSync(snapshotAt(fork, 14), snapshotAt(copy, 14));
    await assertRefused(copy, 'another run');
    copy = directories.copyOf(directory);
    const journal = await openJournal(copy);
    copyFileSync(snapshotAt(fork, 14), snapshotAt(copy, 14));
    await assert.rejects(replayed(journal), CORRUPT);
    change(snapshotAt(copy, 14), (bytes) => bytes.fill(1, 300, 301));
    await assert.rejects(replayed(journal), CORRUPT);
    await journal.close();
  });

  it('older by a round is a journal rolled back, which its heads tell', async () => {
    const journal = await openJournal(copy);
    const older = await openJournal(directories.copyOf(stages[1] ?? ''));
    const [newest, before] = [journal.position.head, older.position.head];
    assert.deepEqual([journal.hasHead(newest), journal.hasHead(before)], [true, true]);
    assert.deepEqual([older.hasHead(newest), older.hasHead(before)], [false, true]);
    await journal.close();
    await older.close();
  });

  it('may be of nothing, and of the beginning', async () => {
    const journal = await openJournal(directories.fresh());
    await journal.snapshot(0, Buffer.alloc(0));
    await appendNext(journal, 2);
    const machine = new HashingMachine();
    let restored: number | undefined;
    machine.restore = (state) => (restored = state.length);
    for await (const commands of journal.commands(0)) {
      for (const { command, sequence } of commands) machine.apply(command, sequence);
    }
    machine.restore((await journal.readSnapshot())?.state ?? Buffer.alloc(1));
    assert.equal(restored, 0);
    assert.deepEqual(machine.state, expectedMachine(2).state);
    await journal.close();
  });
});
