import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BATCH_BYTES_MAX } from '../../enclave/journal/segment.ts';
import { Journal } from '../../enclave/journal/journal.ts';
import {
  appendNext,
  assertHolds,
  assertRefused,
  change,
  commandOf,
  CORRUPT,
  flip,
  JOURNAL_KEY,
  JournalDirectories,
  journalFiles,
  openJournal,
  replayed,
  SEGMENT_HEADER_BYTES,
} from '../support/journal.ts';

const SEGMENT = 'segment-0000000000000000';
const directories = new JournalDirectories();

after(() => {
  directories.dispose();
});

/** A journal with a batch for each number, as a kill leaves it: nothing came after the last one. */
async function killedAfter(batches: readonly number[], use?: (journal: Journal) => Promise<void>): Promise<string> {
  const directory = directories.fresh();
  const journal = await openJournal(directory);
  for (const count of batches) await appendNext(journal, count);
  await use?.(journal);
  const copy = directories.copyOf(directory);
  await journal.close();
  return copy;
}

async function closedAfter(batches: readonly number[]): Promise<string> {
  const directory = directories.fresh();
  const journal = await openJournal(directory);
  for (const count of batches) await appendNext(journal, count);
  await journal.close();
  return directory;
}

/** Where the records of a segment begin, and where the last one ends. */
function recordsOf(bytes: Buffer): number[] {
  const starts = [SEGMENT_HEADER_BYTES];
  for (let at = SEGMENT_HEADER_BYTES; at < bytes.length; starts.push(at)) at += bytes.readUInt32BE(at + 12);
  return starts;
}

describe('a journal with any byte flipped', () => {
  it('is refused, where it was closed', async () => {
    const directory = await closedAfter([1, 1]);
    for (const name of journalFiles(directory)) {
      const path = join(directory, name);
      for (let at = 0; at < readFileSync(path).length; at++) {
        const undo = flip(path, at);
        await assert.rejects(openJournal(directory), CORRUPT, `${name} byte ${at}`);
        undo();
      }
    }
    await assertHolds(directory, 2);
  });

  it('is refused, or loses its last batch from there on, where it was killed', async () => {
    const directory = await killedAfter([1, 2, 3]);
    const starts = recordsOf(readFileSync(join(directory, SEGMENT)));
    for (let at = 0; at < (starts.at(-1) ?? 0); at += at < (starts[3] ?? 0) ? 5 : 37) {
      const copy = directories.copyOf(directory);
      flip(join(copy, SEGMENT), at);
      // Records 4 to 6 are the last batch, and say that record 3 was durable.
      const damaged = starts.findLastIndex((start) => start <= at) + 1;
      if (damaged <= 3) await assertRefused(copy, `byte ${at}`);
      else await assertHolds(copy, damaged - 1, `byte ${at}`);
      rmSync(copy, { recursive: true });
    }
  });
});

describe('a journal cut off at any byte', () => {
  it('is refused, where it was closed', async () => {
    const directory = await closedAfter([1, 1]);
    for (const name of journalFiles(directory)) {
      const path = join(directory, name);
      const bytes = readFileSync(path);
      for (let length = bytes.length - 1; length >= 0; length--) {
        truncateSync(path, length);
        await assert.rejects(openJournal(directory), CORRUPT, `${name} of ${length} bytes`);
      }
      writeFileSync(path, bytes);
    }
    await assertHolds(directory, 2);
  });

  it('has the whole records before, where it was killed', async () => {
    const directory = await killedAfter([1, 2, 3]);
    const path = join(directory, SEGMENT);
    const starts = recordsOf(readFileSync(path));
    const bytes = starts.at(-1) ?? 0;
    const isNear = (length: number) => starts.some((start) => Math.abs(start - length) < 3);
    for (let length = 0; length <= bytes; length++) {
      if (length >= SEGMENT_HEADER_BYTES && length % 41 !== 0 && !isNear(length)) continue;
      const copy = directories.copyOf(directory);
      truncateSync(join(copy, SEGMENT), length);
      if (length < SEGMENT_HEADER_BYTES) await assertRefused(copy, `${length} bytes`);
      else
        await assertHolds(
          copy,
          starts.findLastIndex((start) => start <= length),
          `${length} bytes`,
        );
      rmSync(copy, { recursive: true });
    }
  });
});

describe('a torn tail', () => {
  it('is whatever a crash of the machine left of the last write', async () => {
    const directory = await killedAfter([3, 6]);
    const starts = recordsOf(readFileSync(join(directory, SEGMENT)));
    for (let record = 4; record <= 9; record++) {
      for (const [content, name] of [
        [Buffer.alloc(512), 'zeros'],
        [Buffer.alloc(512, 'old'), 'old bytes'],
      ] as const) {
        const copy = directories.copyOf(directory);
        const at = starts[record - 1] ?? 0;
        change(join(copy, SEGMENT), (bytes) =>
          Buffer.concat([bytes.subarray(0, at), content, bytes.subarray(at + 512)]),
        );
        await assertHolds(copy, record - 1, `${name} in record ${record}`);
      }
    }
  });

  it('is no longer than one write', async () => {
    const directory = await killedAfter([3]);
    const longer = directories.copyOf(directory);
    appendFileSync(join(directory, SEGMENT), Buffer.alloc(BATCH_BYTES_MAX, 'torn'));
    await assertHolds(directory, 3);
    appendFileSync(join(longer, SEGMENT), Buffer.alloc(BATCH_BYTES_MAX + 1, 'torn'));
    await assertRefused(longer, 'longer');
  });

  it('that is cut cannot come back', async () => {
    const directory = await killedAfter([3, 2]);
    const path = join(directory, SEGMENT);
    const whole = readFileSync(path);
    const end = recordsOf(whole)[4] ?? 0;
    truncateSync(path, end + 100);
    await assertHolds(directory, 4);
    assert.equal(readFileSync(path).length, end);
    writeFileSync(path, whole);
    await assertRefused(directory, 'one record more');
    writeFileSync(path, whole.subarray(0, end + 100));
    await assertRefused(directory, 'a part of a record more');
  });

  it('is not a record in a wrong place', async () => {
    const directory = await killedAfter([1, 1, 1, 1]);
    const bytes = readFileSync(join(directory, SEGMENT));
    const [header, ...records] = [0, ...recordsOf(bytes)].map((start, index, starts) =>
      bytes.subarray(start, starts[index + 1]),
    );
    const order = (...numbers: number[]) => [header ?? bytes, ...numbers.map((number) => records[number - 1] ?? bytes)];
    for (const numbers of [[1, 2, 3, 4, 4], [1, 2, 3, 4, 1], [1, 2, 4], [1, 2, 4, 3], [2, 1, 3, 4], [2, 3, 4], [4]]) {
      const copy = directories.copyOf(directory);
      writeFileSync(join(copy, SEGMENT), Buffer.concat(order(...numbers)));
      await assertRefused(copy, numbers.join());
    }
    writeFileSync(join(directory, SEGMENT), Buffer.concat(order(1, 2)));
    // An end that was cut off shows nothing: that is what an anchor is for.
    await assertHolds(directory, 2);
  });
});

describe('segments', () => {
  let directory: string;
  let names: string[];
  let copy: string;

  before(async () => {
    directory = directories.fresh();
    for (let round = 0; round < 4; round++) {
      const journal = await openJournal(directory);
      await appendNext(journal, 3);
      await journal.close();
    }
    names = journalFiles(directory);
    assert.deepEqual(
      names.map((name) => Number(name.slice(-16))),
      [0, 3, 6, 9, 12],
    );
  });

  beforeEach(() => {
    copy = directories.copyOf(directory);
  });

  const at = (index: number) => join(copy, names[index] ?? '');

  it('that are swapped, renamed, doubled or gone are found out', async () => {
    const swap = () => {
      renameSync(at(1), join(copy, 'held'));
      renameSync(at(2), at(1));
      renameSync(join(copy, 'held'), at(2));
    };
    const changes: Record<string, () => void> = {
      swapped: swap,
      doubled: () => {
        copyFileSync(at(1), at(2));
      },
      'doubled under a new name': () => {
        copyFileSync(at(1), join(copy, 'segment-0000000000000004'));
      },
      'doubled at the end': () => {
        copyFileSync(at(3), join(copy, 'segment-0000000000000015'));
      },
      'renamed to the end': () => {
        renameSync(at(1), join(copy, 'segment-0000000000000015'));
      },
      'gone in the middle': () => {
        rmSync(at(2));
      },
      'gone at the beginning': () => {
        rmSync(at(0));
      },
      empty: () => {
        truncateSync(at(2), 0);
      },
      'without records': () => {
        truncateSync(at(2), SEGMENT_HEADER_BYTES);
      },
      'one record short': () => {
        change(at(2), (bytes) => bytes.subarray(0, recordsOf(bytes)[2]));
      },
    };
    for (const [name, make] of Object.entries(changes)) {
      copy = directories.copyOf(directory);
      make();
      await assertRefused(copy, name);
    }
  });

  it('that are alone have their own name, too', async () => {
    const alone = await killedAfter([3]);
    renameSync(join(alone, SEGMENT), join(alone, 'segment-0000000000000003'));
    await assertRefused(alone, 'where the next one would be');
  });

  it('of another journal with the same key are found out', async () => {
    const other = await closedAfter([3]);
    for (const index of [0, 1]) {
      copy = directories.copyOf(directory);
      copyFileSync(join(other, names[index] ?? ''), at(index));
      await assertRefused(copy, names[index] ?? '');
    }
  });

  it('of another run of the same journal are found out', async () => {
    // A host may let two run on copies of one disk, and mix what they wrote.
    const fork = directories.copyOf(directory);
    for (const each of [copy, fork]) {
      const journal = await openJournal(each);
      for (let round = 0; round < 3; round++) await journal.append(Buffer.from(each));
      await journal.close();
    }
    copyFileSync(join(fork, 'segment-0000000000000015'), join(copy, 'segment-0000000000000015'));
    await assertRefused(copy, 'end of another');
    rmSync(join(copy, 'segment-0000000000000015'));
    // With all that the other run wrote it is the other journal, which only what one of them is known to have had tells.
    const own = await openJournal(copy);
    const { head } = own.position;
    await own.close();
    for (const name of ['segment-0000000000000012', 'segment-0000000000000015']) {
      copyFileSync(join(fork, name), join(copy, name));
    }
    // It is whole, and another one.
    const swapped = await openJournal(copy);
    assert(!swapped.hasHead(head));
    await swapped.close();
  });

  it('under another key are refused', async () => {
    const key = Buffer.from(JOURNAL_KEY);
    for (const bit of [0, 255]) {
      key[bit >> 3] = (key[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assert.rejects(Journal.open({ directory: copy, key }), CORRUPT);
    }
    await assertHolds(copy, 12);
  });

  it('that change after the opening are found out by the replay', async () => {
    const journal = await openJournal(copy);
    const whole = readFileSync(at(2));
    const spoil: ((bytes: Buffer) => Uint8Array)[] = [
      (bytes) => bytes.fill(0, 700, 701),
      (bytes) => bytes.subarray(0, recordsOf(bytes)[2]),
      (bytes) => bytes.fill(0, SEGMENT_HEADER_BYTES),
    ];
    for (const to of spoil) {
      change(at(2), to);
      await assert.rejects(replayed(journal), CORRUPT);
      writeFileSync(at(2), whole);
    }
    const [start = 0, second = 0, third = 0] = recordsOf(whole);
    assert.equal(second - start, third - second);
    const parts = [whole.subarray(0, start), whole.subarray(second, third), whole.subarray(start, second)];
    writeFileSync(at(2), Buffer.concat([...parts, whole.subarray(third)]));
    await assert.rejects(replayed(journal), CORRUPT);
    copyFileSync(at(1), at(2));
    await assert.rejects(replayed(journal), CORRUPT);
    writeFileSync(at(2), whole);
    assert.equal((await replayed(journal)).sequence, 12);
    await journal.close();
  });
});

describe('a journal that was rolled back', () => {
  it('does not know the heads that were in it', async () => {
    const directory = directories.fresh();
    const journal = await openJournal(directory);
    const [first, second] = await appendNext(journal, 2);
    const earlier = directories.copyOf(directory);
    const [third] = await appendNext(journal, 1);
    await journal.close();
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const known = (one: Journal) => [first, second, third].map(({ head }) => one.hasHead(head));
    const whole = await openJournal(directory);
    assert.deepEqual(known(whole), [true, true, true]);
    for (const wrong of [Buffer.alloc(32), third.head.subarray(1), Buffer.alloc(0)]) assert(!whole.hasHead(wrong));
    await whole.close();
    appendFileSync(join(earlier, SEGMENT), 'torn');
    // What was written then is another history, though its numbers are the same.
    const forked = await openJournal(earlier);
    assert.deepEqual(known(forked), [true, true, false]);
    await forked.append(commandOf(3));
    assert.deepEqual(known(forked), [true, true, false]);
    await forked.close();
  });
});
