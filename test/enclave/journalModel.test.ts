import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { JournalPosition } from '../../enclave/journal/format.ts';
import type { Journal } from '../../enclave/journal/journal.ts';
import {
  appendNext,
  expectedMachine,
  JournalDirectories,
  journalFiles,
  openJournal,
  replayed,
} from '../support/journal.ts';

const directories = new JournalDirectories();

after(() => {
  directories.dispose();
});

/** A journal and what it must hold. */
class Model {
  directory = directories.fresh();
  journal!: Journal;
  /** Of what was on its way at a kill only the last head is known. */
  acknowledged: (Pick<JournalPosition, 'sequence'> & Partial<JournalPosition>)[] = [];
  snapshot: number | undefined;

  get last(): number {
    return this.acknowledged.length;
  }

  async append(count: number): Promise<void> {
    this.acknowledged.push(...(await appendNext(this.journal, count)));
  }

  async takeSnapshot(back: number): Promise<void> {
    const sequence = Math.max(this.last - back, this.snapshot ?? 0);
    await this.journal.snapshot(sequence, expectedMachine(sequence).snapshot());
    this.snapshot = sequence;
  }

  async reopen(): Promise<void> {
    await this.journal.close();
    await this.open(0);
  }

  /** A kill while commands are on their way: what is on the disk at that moment is all there is, with some of a write that was begun. */
  async kill(pending: number, waitMs: number, torn: number): Promise<void> {
    const appended = appendNext(this.journal, pending);
    const begun = Date.now();
    while (Date.now() < begun + waitMs) await new Promise((done) => setImmediate(done));
    const acknowledged = this.journal.position.sequence - this.last;
    const copy = directories.copyOf(this.directory);
    if (acknowledged === 0 && torn > 0) {
      const newest = journalFiles(copy).findLast((name) => /^segment-\d+$/.test(name)) ?? '';
      appendFileSync(join(copy, newest), Buffer.alloc(torn, 'torn'));
    }
    this.acknowledged.push(...(await appended).slice(0, acknowledged));
    await this.journal.close();
    this.directory = copy;
    await this.open(pending - acknowledged);
  }

  async open(pendingMax: number): Promise<void> {
    this.journal = await openJournal(this.directory);
    const newest = this.acknowledged.at(-1);
    assert.ok(newest?.head === undefined || this.journal.hasHead(newest.head));
    const { sequence } = this.journal.position;
    assert.ok(sequence >= this.last && sequence <= this.last + pendingMax);
    while (this.last < sequence) {
      const isNewest = this.last + 1 === sequence;
      this.acknowledged.push(isNewest ? this.journal.position : { sequence: this.last + 1 });
    }
    await this.check();
  }

  async check(): Promise<void> {
    const machine = await replayed(this.journal);
    assert.deepEqual(machine.state, expectedMachine(this.last).state);
    assert.equal(machine.applied, this.last - (this.snapshot ?? 0));
    for (const { head } of this.acknowledged.slice(this.journal.oldestSequence)) {
      assert.ok(head === undefined || this.journal.hasHead(head));
    }
  }
}

describe('any sequence of appends, snapshots, openings and kills', () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 12 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('snapshot' as const), back: fc.nat(4) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('kill' as const),
        pending: fc.nat(9),
        waitMs: fc.nat(4),
        torn: fc.constantFrom(0, 1, 511, 512, 3_000),
      }),
    },
  );

  it('leaves a journal that holds what was acknowledged', async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
      const model = new Model();
      await model.open(0);
      try {
        for (const each of steps) {
          if (each.kind === 'append') await model.append(each.count);
          else if (each.kind === 'snapshot') await model.takeSnapshot(each.back);
          else if (each.kind === 'reopen') await model.reopen();
          else await model.kill(each.pending, each.waitMs, each.torn);
        }
        await model.check();
      } finally {
        await model.journal.close();
      }
    });
    await fc.assert(property, { numRuns: 40, seed: 20_250_101 });
  });
});
