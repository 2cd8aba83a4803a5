import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { COMMAND_BYTES_MAX, RECORD_BYTES_MAX, RECORD_SIZES } from '../../enclave/journal/format.ts';
import { Journal, SEGMENT_BYTES_MAX } from '../../enclave/journal/journal.ts';
import {
  appendNext,
  commandOf,
  expectedMachine,
  HashingMachine,
  JOURNAL_KEY,
  JournalDirectories,
  journalFiles,
  openJournal,
  patchFiles,
  replayed,
  SEGMENT_HEADER_BYTES,
} from '../support/journal.ts';
import { seededBytes } from '../support/random.ts';

const directories = new JournalDirectories();
let directory: string;

beforeEach(() => {
  directory = directories.fresh();
});

after(() => {
  directories.dispose();
});

/** The commands of a journal, and that its numbering has no gap. */
async function commandsOf(journal: Journal): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for await (const commands of journal.commands(journal.oldestSequence)) {
    for (const { sequence, command } of commands) {
      assert.equal(sequence, journal.oldestSequence + found.length + 1);
      found.push(command);
    }
  }
  return found;
}

describe('a journal', () => {
  it('gives back what was appended, in the order of the calls', async () => {
    const bytes = seededBytes('commands');
    const commands = [0, 1, 486, 5_000, 3].map((length) => Buffer.from(bytes(length)));
    const journal = await openJournal(directory);
    assert.equal(journal.position.sequence, 0);
    const positions = await Promise.all(commands.map((command) => journal.append(command)));
    assert.deepEqual(
      positions.map(({ sequence }) => sequence),
      [1, 2, 3, 4, 5],
    );
    assert.deepEqual(journal.position, positions.at(-1));
    assert.deepEqual(await commandsOf(journal), commands);
    await journal.close();

    const reopened = await openJournal(directory);
    assert.deepEqual(await commandsOf(reopened), commands);
    assert.deepEqual(reopened.position, positions.at(-1));
    for (const { head } of positions) assert.ok(reopened.hasHead(head));
    for (const none of [new Uint8Array(0), new Uint8Array(32), bytes(32)]) assert.ok(!reopened.hasHead(none));
    await reopened.close();
  });

  it('takes a command as it is at the call', async () => {
    const journal = await openJournal(directory);
    const command = Buffer.from('at the call');
    const appended = journal.append(command);
    command.fill(0);
    await appended;
    assert.deepEqual(await commandsOf(journal), [Buffer.from('at the call')]);
    await journal.close();
  });

  it('chains its heads over what is on the disk', async () => {
    const journal = await openJournal(directory);
    const base = Buffer.from(journal.position.head);
    const heads = (await appendNext(journal, 2)).map(({ head }) => head);
    const records = readFileSync(join(directory, 'segment-0000000000000000')).subarray(SEGMENT_HEADER_BYTES);
    const link = (head: Uint8Array, record: Uint8Array): Buffer =>
      createHash('sha256').update(head).update(record).digest();
    const first = link(base, records.subarray(0, 512));
    assert.deepEqual(heads, [first, link(first, records.subarray(512))]);
    await journal.close();
  });

  it('is for its owner alone, and shows nothing', async () => {
    const journal = await openJournal(directory);
    const secret = Buffer.from('sells everything');
    await journal.append(secret);
    await journal.snapshot(1, secret);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    for (const name of journalFiles(directory)) {
      assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
      assert.ok(!readFileSync(join(directory, name)).includes(secret));
      assert.ok(!readFileSync(join(directory, name)).includes(JOURNAL_KEY));
    }
    const shown = inspect(journal, { depth: 9, showHidden: true }) + JSON.stringify(journal);
    assert.ok(!shown.includes(Buffer.from(JOURNAL_KEY).toString('hex').slice(0, 8)) && !shown.includes('sells'));
    await journal.close();
  });

  it('hides the lengths of commands behind few sizes', async () => {
    const journal = await openJournal(directory);
    const sizeOf = async (bytes: number) => {
      const path = join(directory, 'segment-0000000000000000');
      const before = statSync(path).size;
      await journal.append(Buffer.alloc(bytes, 7));
      return statSync(path).size - before;
    };
    const overhead = RECORD_BYTES_MAX - COMMAND_BYTES_MAX;
    assert.equal(overhead, 36);
    let shortest = 0;
    for (const size of RECORD_SIZES) {
      assert.equal(await sizeOf(shortest), size);
      assert.equal(await sizeOf(size - overhead), size);
      shortest = size - overhead + 1;
    }
    assert.equal(shortest, COMMAND_BYTES_MAX + 1);
    assert.throws(() => journal.append(Buffer.alloc(shortest)), RangeError);
    await journal.close();
  });

  it('hides the length of a state to an eighth', async () => {
    const journal = await openJournal(directory);
    const sizes: number[] = [];
    for (const bytes of [0, 4_000, 4_096, 70_000, 72_000, 73_728]) {
      const [position] = await appendNext(journal, 1);
      const sequence = position?.sequence ?? 0;
      await journal.snapshot(sequence, Buffer.alloc(bytes));
      assert.equal((await journal.readSnapshot())?.state.length, bytes);
      sizes.push(statSync(join(directory, `snapshot-${String(sequence).padStart(16, '0')}`)).size);
    }
    const frame = (sizes[0] ?? 0) - 4_096;
    assert.deepEqual(
      sizes.map((size) => size - frame),
      [4_096, 4_096, 4_096, 73_728, 73_728, 73_728],
    );
    await journal.close();
  });

  it('writes what is appended at once together, and acknowledges nothing before the sync', async () => {
    const journal = await openJournal(directory);
    let syncs = 0;
    let acknowledged = 0;
    const restore = await patchFiles(
      'datasync',
      (original) =>
        async function (this: never) {
          assert.equal(acknowledged, syncs === 0 ? 0 : 1);
          syncs++;
          await Reflect.apply(original, this, []);
        },
    );
    try {
      const first = journal.append(commandOf(1)).then(() => acknowledged++);
      await new Promise((done) => setImmediate(done));
      const others = Array.from({ length: 200 }, (_, index) =>
        journal.append(commandOf(index + 2)).then(() => acknowledged++),
      );
      await Promise.all([first, ...others]);
    } finally {
      restore();
    }
    assert.equal(acknowledged, 201);
    assert.equal(syncs, 2);
    assert.deepEqual((await replayed(journal)).state, expectedMachine(201).state);
    await journal.close();
  });

  it('goes on in another segment where one is full', async () => {
    const journal = await openJournal(directory);
    const command = Buffer.alloc(COMMAND_BYTES_MAX);
    const count = SEGMENT_BYTES_MAX / RECORD_BYTES_MAX + 4;
    for (let appended = 0; appended < count; appended += 4) {
      await Promise.all([1, 2, 3, 4].map(() => journal.append(command)));
    }
    await journal.close();
    const sizes = journalFiles(directory).map((name) => statSync(join(directory, name)).size);
    assert.equal(sizes.length, 3);
    assert.ok(sizes.every((size) => size <= SEGMENT_BYTES_MAX));
    const reopened = await openJournal(directory);
    assert.equal((await commandsOf(reopened)).length, count);
    await reopened.close();
    rmSync(directory, { recursive: true });
  });

  it('is open once at a time', async () => {
    const journal = await openJournal(directory);
    await assert.rejects(openJournal(directory), { code: 'JOURNAL_BUSY' });
    await journal.close();
    await journal.close();
    assert.equal(existsSync(join(directory, 'lock')), false);
    await (await openJournal(directory)).close();
  });

  it('that is closed writes what was appended before, and takes nothing more', async () => {
    const journal = await openJournal(directory);
    const pending = appendNext(journal, 3);
    const closed = journal.close();
    await assert.rejects(journal.append(commandOf(4)), { code: 'JOURNAL_CLOSED' });
    await assert.rejects(journal.snapshot(0, Buffer.alloc(1)), { code: 'JOURNAL_CLOSED' });
    assert.equal((await pending).length, 3);
    await closed;
    const reopened = await openJournal(directory);
    assert.equal(reopened.position.sequence, 3);
    await reopened.close();
  });

  it('that is closed finishes a snapshot first', async () => {
    const journal = await openJournal(directory);
    await appendNext(journal, 3);
    let isTaken = false;
    const taken = journal.snapshot(3, Buffer.alloc(3_000_000)).then(() => (isTaken = true));
    await journal.close();
    assert.ok(isTaken);
    await taken;
    const reopened = await openJournal(directory);
    assert.equal((await reopened.readSnapshot())?.sequence, 3);
    await reopened.close();
  });

  it('has a key of 32 bytes', async () => {
    await assert.rejects(Journal.open({ directory, key: Buffer.alloc(16) }), RangeError);
    assert.equal(existsSync(directory), false);
  });

  it('never uses a key again after a recovery, also where nothing was appended', async () => {
    const salts = new Set<string>();
    const newestSalt = (kind: string) => {
      const name = journalFiles(directory).findLast((other) => other.startsWith(kind)) ?? '';
      return readFileSync(join(directory, name)).subarray(32, 64).toString('hex');
    };
    for (let round = 0; round < 6; round++) {
      const journal = await openJournal(directory);
      const salt = newestSalt('segment');
      if (round % 2 === 0) await appendNext(journal, 2);
      assert.equal(newestSalt('segment'), salt);
      await journal.snapshot(journal.position.sequence, Buffer.alloc(9));
      salts.add(salt).add(newestSalt('snapshot'));
      await journal.close();
      salts.add(newestSalt('segment'));
    }
    // At each opening a segment, and one at each closing after an append, which the next opening replaces; a snapshot of each state.
    assert.equal(salts.size, 6 + 3 + 3);
  });
});

describe("a journal's snapshots", () => {
  it('and what follows give the same state as every command', async () => {
    let journal = await openJournal(directory);
    const machine = new HashingMachine();
    for (let round = 0; round < 5; round++) {
      for (const { sequence } of await appendNext(journal, 20)) machine.apply(commandOf(sequence), sequence);
      const pending = appendNext(journal, 7);
      await journal.snapshot(machine.sequence, machine.snapshot());
      for (const { sequence } of await pending) machine.apply(commandOf(sequence), sequence);
      await journal.close();
      journal = await openJournal(directory);
      const restored = await replayed(journal);
      assert.equal(restored.applied, 7);
      assert.deepEqual(restored.state, machine.state);
    }
    assert.deepEqual(machine.state, expectedMachine(135).state);
    await journal.close();
  });

  it('replace what is older than the one before', async () => {
    const journal = await openJournal(directory);
    const count = (kind: string) => journalFiles(directory).filter((name) => name.startsWith(kind)).length;
    for (let round = 1; round <= 6; round++) {
      await appendNext(journal, 10);
      await journal.snapshot(10 * round, Buffer.alloc(100));
      assert.equal(count('snapshot'), Math.min(round, 2));
      assert.ok(count('segment') <= 2, `round ${round}`);
      assert.equal(journal.oldestSequence, 10 * (round - 1));
    }
    await assert.rejects(journal.commands(journal.oldestSequence - 1).next(), RangeError);
    await journal.close();
  });

  it('are of durable records, each newer than the last', async () => {
    const journal = await openJournal(directory);
    const pending = appendNext(journal, 5);
    await assert.rejects(journal.snapshot(5, Buffer.alloc(1)), RangeError);
    await pending;
    await journal.snapshot(4, Buffer.from('four'));
    await journal.snapshot(4, Buffer.from('another'));
    assert.equal(String((await journal.readSnapshot())?.state), 'four');
    await assert.rejects(journal.snapshot(3, Buffer.alloc(1)), RangeError);
    await journal.close();
  });

  it('are taken one after another, while commands are appended', async () => {
    const journal = await openJournal(directory);
    await appendNext(journal, 30);
    const state = Buffer.alloc(3_000_000, 'state');
    const appended = (async () => {
      for (let round = 0; round < 20; round++) await appendNext(journal, 3);
    })();
    await Promise.all([10, 20, 30].map((sequence) => journal.snapshot(sequence, state)));
    await appended;
    await journal.close();
    const reopened = await openJournal(directory);
    assert.equal(reopened.position.sequence, 90);
    const snapshot = await reopened.readSnapshot();
    assert.equal(snapshot?.sequence, 30);
    assert.ok(state.equals(snapshot.state));
    await reopened.close();
  });
});
