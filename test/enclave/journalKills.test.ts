import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JournalPosition } from '../../enclave/journal/format.ts';
import { SeededRandom } from '../support/circuit.ts';
import { appendNext, expectedMachine, JournalDirectories, openJournal, replayed } from '../support/journal.ts';

const CHILD = resolve(import.meta.dirname, '../support/journalChild.ts');
const directories = new JournalDirectories();
const children = new Set<ChildProcess>();

after(() => {
  for (const child of children) child.kill('SIGKILL');
  directories.dispose();
});

/** A process that uses a journal, and what it says. */
class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly #output: string;

  constructor(task: 'append' | 'snapshot', directory: string, appenders: number, limit?: string) {
    const args = [CHILD, task, directory, String(appenders)];
    // A file takes in at once what is written to it, however slow its reader is.
    this.#output = `${directory}.${children.size}.said`;
    const output = openSync(this.#output, 'w');
    const stdio = ['ignore', output, 'inherit'] as const;
    this.process =
      limit === undefined
        ? spawn(process.execPath, args, { stdio: [...stdio] })
        : spawn('sh', ['-c', `${limit}; exec "$0" "$@"`, process.execPath, ...args], { stdio: [...stdio] });
    children.add(this.process);
    closeSync(output);
    this.ended = once(this.process, 'close').finally(() => children.delete(this.process));
  }

  get said(): string {
    return readFileSync(this.#output, 'utf8');
  }

  async begin(): Promise<void> {
    while (!this.said.includes('\n')) await sleep(2);
    assert.equal(this.said.split('\n')[0], 'open');
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
    assert.equal(this.process.signalCode, 'SIGKILL', this.said.slice(-200));
  }

  /** What was acknowledged, in the order in which it was. */
  acknowledged(): JournalPosition[] {
    return [...this.said.matchAll(/^(\d+) ([0-9a-f]{64})$/gm)].map(([, sequence, head = '']) => ({
      sequence: Number(sequence),
      head: Buffer.from(head, 'hex'),
    }));
  }
}

/**
 * Opens a journal that was killed: everything acknowledged is there, under its number and head, and at most as many commands follow as
 * could be on their way.
 */
async function assertKept(directory: string, known: readonly JournalPosition[], pendingMax: number): Promise<number> {
  const newest = known.at(-1);
  const journal = await openJournal(directory);
  assert.ok(newest === undefined || journal.hasHead(newest.head));
  const { sequence } = journal.position;
  assert.ok(sequence <= (newest?.sequence ?? 0) + pendingMax, `${sequence} after ${newest?.sequence}`);
  for (const { sequence: acknowledged, head } of known) {
    assert.ok(acknowledged < journal.oldestSequence || journal.hasHead(head));
  }
  assert.deepEqual((await replayed(journal)).state, expectedMachine(sequence).state);
  await journal.close();
  return sequence;
}

describe('a journal whose process is killed', () => {
  it('has everything that was acknowledged, and in order', async () => {
    const directory = directories.fresh();
    const random = new SeededRandom('kill while appending');
    let known: JournalPosition[] = [];
    for (let round = 0; round < 14; round++) {
      const appenders = [1, 16, 200][round % 3] ?? 1;
      const child = new Child('append', directory, appenders);
      await child.begin();
      await sleep(Number(random.below(60n)));
      await child.kill();
      const acknowledged = child.acknowledged();
      const first = known.at(-1)?.sequence ?? 0;
      acknowledged.forEach(({ sequence }, index) => {
        // What was on its way at the kill before may have arrived.
        assert.equal(sequence, (acknowledged[0]?.sequence ?? 0) + index);
        assert.ok(sequence > first);
      });
      known = [...known, ...acknowledged];
      const last = known.at(-1);
      const kept = await assertKept(directory, known, round === 0 ? appenders : 400);
      if (last !== undefined && acknowledged.length > 0) assert.ok(kept <= last.sequence + appenders);
    }
    assert.ok(known.length > 100, `${known.length} acknowledged`);
  });

  it('while it takes snapshots, too', async () => {
    const directory = directories.fresh();
    const random = new SeededRandom('kill while taking snapshots');
    let known: JournalPosition[] = [];
    let oldest = 0;
    // A machine that is slow now may kill all of the first before their second snapshot.
    for (let round = 0; round < 14 || (oldest === 0 && round < 100); round++) {
      const child = new Child('snapshot', directory, 8);
      await child.begin();
      await sleep(Number(random.below(80n)) + round);
      await child.kill();
      known = [...known, ...child.acknowledged()];
      await assertKept(directory, known, 16);
      const journal = await openJournal(directory);
      oldest = journal.oldestSequence;
      await journal.close();
    }
    assert.ok(oldest > 0, 'snapshots have replaced records');
    assert.ok(known.length > 100, `${known.length} acknowledged`);
  });

  it('is free for the next one, and is not while it lives', async () => {
    const directory = directories.fresh();
    const child = new Child('append', directory, 1);
    await child.begin();
    await assert.rejects(openJournal(directory), { code: 'JOURNAL_BUSY' });
    const rival = new Child('append', directory, 1);
    await rival.ended;
    assert.equal(rival.said, 'JOURNAL_BUSY\n');
    await child.kill();
    await assertKept(directory, child.acknowledged(), 1);
  });
});

describe('a journal whose disk is full', () => {
  it('loses nothing acknowledged, and goes on when there is room', async () => {
    for (const appenders of [1, 60]) {
      const directory = directories.fresh();
      const child = new Child('append', directory, appenders, 'ulimit -f 300');
      await child.ended;
      assert.match(child.said, /\nJOURNAL_FAILED\n$/);
      const known = child.acknowledged();
      assert.ok(known.length > 50);
      const kept = await assertKept(directory, known, appenders);
      const journal = await openJournal(directory);
      await appendNext(journal, 5);
      await journal.close();
      const reopened = await openJournal(directory);
      assert.deepEqual((await replayed(reopened)).state, expectedMachine(kept + 5).state);
      await reopened.close();
    }
  });
});
