import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMAND_BYTES_MAX } from '../../enclave/journal/format.ts';
import { Journal } from '../../enclave/journal/journal.ts';
import {
  appendNext,
  commandOf,
  contentsOf,
  expectedMachine,
  JournalDirectories,
  journalFiles,
  openJournal,
  patchFiles,
  replayed,
  SEGMENT_HEADER_BYTES,
} from '../support/journal.ts';

const directories = new JournalDirectories();
let directory: string;

beforeEach(() => {
  directory = directories.fresh();
});

after(() => {
  directories.dispose();
});

describe('a disk that fails', () => {
  const broken = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });

  for (const name of ['write', 'datasync'] as const) {
    it(`in ${name} closes the journal for good, and loses nothing acknowledged`, async () => {
      const journal = await openJournal(directory);
      await appendNext(journal, 4);
      const restore = await patchFiles(name, () => () => Promise.reject(broken));
      const failed = { code: 'JOURNAL_FAILED', cause: broken };
      const first = journal.append(commandOf(5));
      const second = journal.append(commandOf(6));
      await assert.rejects(first, failed);
      await assert.rejects(second, failed);
      restore();
      await assert.rejects(journal.append(commandOf(5)), failed);
      await assert.rejects(journal.snapshot(4, Buffer.alloc(1)), failed);
      assert.equal(journal.position.sequence, 4);
      await journal.close();
      const reopened = await openJournal(directory);
      assert.equal(reopened.position.sequence, name === 'write' ? 4 : 6);
      assert.deepEqual((await replayed(reopened)).state, expectedMachine(reopened.position.sequence).state);
      await reopened.close();
    });
  }

  it('fails what waits for the next write as well', async () => {
    const journal = await openJournal(directory);
    const restore = await patchFiles('datasync', () => () => Promise.reject(broken));
    const pending = Array.from({ length: 5 }, () => journal.append(Buffer.alloc(COMMAND_BYTES_MAX)));
    const settled = await Promise.allSettled(pending);
    restore();
    assert.ok(settled.every((result) => result.status === 'rejected'));
    await journal.close();
  });

  it('while a snapshot is written leaves the one before, and the journal goes on', async () => {
    const journal = await openJournal(directory);
    await appendNext(journal, 4);
    await journal.snapshot(2, Buffer.from('two'));
    const restore = await patchFiles('sync', () => () => Promise.reject(broken));
    await assert.rejects(journal.snapshot(4, Buffer.from('four')), { code: 'JOURNAL_FAILED', cause: broken });
    restore();
    await appendNext(journal, 4);
    assert.equal((await journal.readSnapshot())?.sequence, 2);
    await journal.snapshot(6, Buffer.from('six'));
    assert.equal((await journal.readSnapshot())?.sequence, 6);
    await journal.close();
  });

  it('is given the last batch once more after a kill, since its sync may have failed', async () => {
    const journal = await openJournal(directory);
    await appendNext(journal, 3);
    await appendNext(journal, 2);
    const copy = directories.copyOf(directory);
    await journal.close();
    const path = join(copy, 'segment-0000000000000000');
    const bytes = readFileSync(path);
    const written: Buffer[] = [];
    const restore = await patchFiles('write', (original) => {
      return function (this: never, ...args: unknown[]) {
        const [part, offset, length, position] = args as [Buffer, number, number, number];
        if (position >= SEGMENT_HEADER_BYTES) written.push(Buffer.from(part.subarray(offset, offset + length)));
        return Reflect.apply(original, this, args) as never;
      };
    });
    const reopened = await openJournal(copy);
    restore();
    assert.deepEqual(Buffer.concat(written), bytes.subarray(SEGMENT_HEADER_BYTES + 3 * 512));
    assert.deepEqual(readFileSync(path), bytes);
    await reopened.close();
  });

  it('leaves nothing of an unfinished file', async () => {
    await (await openJournal(directory)).close();
    const left = ['segment-0000000000000007.new', 'snapshot-0000000000000007.new'];
    for (const name of left) writeFileSync(join(directory, name), 'half a file');
    const before = contentsOf(directory);
    await assert.rejects(Journal.open({ directory, key: Buffer.alloc(32) }), {
      code: 'JOURNAL_CORRUPT',
    });
    assert.deepEqual(contentsOf(directory), before);
    await (await openJournal(directory)).close();
    assert.deepEqual(journalFiles(directory), ['segment-0000000000000000']);
  });
});
