import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { circuitNames } from '../../scripts/compileCircuits.mjs';
import { ended } from '../support/fakeProject.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const COUNTS = pathToFileURL(path.join(ROOT, 'test', 'support', 'proofCounts.ts')).href;

describe('the reporter', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'bitcloak-reporter-'));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  /** Runs mocha over files of these contents, one after another. */
  async function report(
    texts: string | readonly string[],
    environment: NodeJS.ProcessEnv = {},
    options: readonly string[] = [],
  ) {
    const files = [texts].flat().map((text, index) => {
      const file = path.join(directory, `sample${index}.test.ts`);
      writeFileSync(file, text);
      return file;
    });
    const mocha = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const { status, stdout } = await ended(
      spawn(process.execPath, [mocha, ...options, ...files], {
        cwd: ROOT,
        env: { ...process.env, BITCLOAK_FULL_RUN: '', ...environment },
      }),
    );
    const lines = stdout.trimEnd().split('\n');
    return { status, lines, lastLine: lines.at(-1) };
  }

  it('ends with the counts', async () => {
    const { status, lastLine } = await report(`it('a', () => {}); it('b', () => {});`);
    assert.equal(lastLine, '2 passed, 0 failed');
    assert.equal(status, 0);
  });

  it('counts failures, failed hooks and skipped tests', async () => {
    const { status, lines, lastLine } = await report(
      `it('a', () => {}); it('b', () => { throw new Error('b'); }); it.skip('c', () => {}); it('d');
       describe('e', () => { before(() => { throw new Error('e'); }); it('f', () => {}); });
       describe('g', () => { before(function () { this.skip(); }); it('h', () => {}); });`,
    );
    assert.equal(lastLine, '1 passed, 2 failed, 3 skipped');
    assert.equal(status, 2);
    const skipped = lines.filter((line) => line.startsWith('skipped: '));
    assert.deepEqual(skipped, ['skipped: c', 'skipped: d', 'skipped: g h']);
  });

  it('tells how the proofs came about', async () => {
    const { lines } = await report(
      `import { countCached, countDoubled, countFresh } from '${COUNTS}';
       it('a', () => { countFresh('transfer'); countFresh('transfer'); countCached(); countDoubled(); countDoubled(); });`,
    );
    assert.ok(lines.includes('proofs: fresh transfer 2; 1 cached; 2 doubled'), lines.join('\n'));
  });

  it('fails a full run for every circuit that was not proven', async () => {
    const [proven, ...unproven] = circuitNames(ROOT);
    assert.ok(proven !== undefined && unproven.length > 0);
    const text = `import { countFresh } from '${COUNTS}'; it('a', () => { countFresh('${proven}'); });`;
    const full = await report(text, { BITCLOAK_FULL_RUN: '1' });
    assert.equal(full.lastLine, `1 passed, ${unproven.length} failed`);
    assert.equal(full.status, unproven.length);
    for (const circuit of unproven)
      assert.ok(full.lines.includes(`circuit ${circuit} was not proven once in a full run`));

    const chosen = await report(text, { BITCLOAK_FULL_RUN: '1' }, ['--grep', 'a']);
    assert.equal(chosen.lastLine, '1 passed, 0 failed');
    assert.equal(chosen.status, 0);
  });

  it('ends and fails a run that something left open would keep', async () => {
    const { status, lines, lastLine } = await report(`it('a', () => { setInterval(() => {}, 1000); });`, {}, [
      '--reporter-option',
      'openMsMax=50',
    ]);
    assert.equal(lastLine, '1 passed, 1 failed');
    assert.equal(status, 1);
    assert.match(lines.at(-2) ?? '', /left open keeps the process: .*Timeout/);
  });

  it('fails a run that a test ends', async () => {
    const { status, lastLine } = await report(`it('a', () => { process.exit(0); });`);
    assert.equal(lastLine, 'the tests broke off before their end');
    assert.equal(status, 1);
  });

  describe('of several processes, as `npm test` has them', () => {
    const inParallel = (texts: readonly string[], environment: NodeJS.ProcessEnv = {}) =>
      report(texts, environment, ['--parallel', '--jobs', '2', '--reporter-option', 'openMsMax=300']);
    /** Each of two processes takes one of two such files before either is through. */
    const slowly = (text: string) => `${text} it('slowly', (done) => { setTimeout(done, 1000); });`;

    it('ends with the counts of all, whatever they proved', async () => {
      const [first = '', ...others] = circuitNames(ROOT);
      const counting = (text: string) =>
        slowly(`import { countCached, countDoubled, countFresh } from '${COUNTS}';
          it('a', () => { console.log('process ' + process.pid); ${text} });`);
      const { status, lines, lastLine } = await inParallel(
        [
          counting(`countFresh('${first}'); countCached(); countDoubled();`),
          counting(
            `countFresh('${first}'); ${others.map((name) => `countFresh('${name}');`).join(' ')} countDoubled();`,
          ),
          `it('b', () => {}); it.skip('c', () => {});`,
        ],
        { BITCLOAK_FULL_RUN: '1' },
      );
      assert.equal(new Set(lines.filter((line) => line.startsWith('process '))).size, 2);
      const proofs = lines.find((line) => line.startsWith('proofs: ')) ?? '';
      assert.ok(proofs.endsWith('; 1 cached; 2 doubled'), proofs);
      for (const part of [`${first} 2`, ...others.map((name) => `${name} 1`)]) assert.ok(proofs.includes(part), proofs);
      assert.equal(lastLine, '5 passed, 0 failed, 1 skipped');
      assert.equal(status, 0);
    });

    it('fails a full run for every circuit that none of them proved', async () => {
      const { status, lastLine } = await inParallel([`it('a', () => {});`], { BITCLOAK_FULL_RUN: '1' });
      assert.equal(lastLine, `1 passed, ${circuitNames(ROOT).length} failed`);
      assert.equal(status, circuitNames(ROOT).length);
    });

    it('fails the file that left something open, and not the next one', async () => {
      const text = `import { createServer } from 'node:net';
        it('a', (done) => { createServer().listen(0, '127.0.0.1', () => { done(); }); });`;
      // While the second file keeps one process, the other takes the first and the third.
      const { status, lines, lastLine } = await inParallel([text, slowly(''), `it('b', async () => {});`]);
      assert.equal(lastLine, '3 passed, 1 failed');
      assert.equal(status, 1);
      assert.match(lines.join('\n'), /"after all" hook.* for "a":\n.* left something open: TCPServerWrap/);
    });

    it('fails where a test fails, a file cannot be loaded or a process ends', async () => {
      for (const text of [
        `it('b', () => { throw new Error('b'); });`,
        `throw new Error('not loaded');`,
        `it('b', () => { process.exit(0); });`,
      ]) {
        const { status, lastLine } = await inParallel([`it('a', () => {});`, text]);
        assert.equal(lastLine, '1 passed, 1 failed', text);
        assert.equal(status, 1);
      }
    });

    it('goes on with the other files where a suite bails', async () => {
      const { status, lastLine } = await inParallel([
        `describe('a', function () { this.bail(true); it('b', () => { throw new Error('b'); }); it('c', () => {}); });`,
        slowly(''),
        ...Array.from({ length: 5 }, () => `it('d', () => {});`),
      ]);
      assert.equal(lastLine, '6 passed, 1 failed');
      assert.equal(status, 1);
    });

    it('fails where a process breaks down between two files', async () => {
      const thrown = JSON.stringify(path.join(directory, 'thrown'));
      const { status, lastLine } = await inParallel([
        `import { writeFileSync } from 'node:fs';
         const fail = () => { writeFileSync(${thrown}, ''); throw new Error('late'); };
         it('a', () => { setTimeout(fail, 300).unref(); });`,
        `import { existsSync } from 'node:fs';
         import { setTimeout as sleep } from 'node:timers/promises';
         it('b', async () => { while (!existsSync(${thrown})) await sleep(20); await sleep(300); });`,
      ]);
      assert.notEqual(lastLine, '2 passed, 0 failed');
      assert.notEqual(status, 0);
    });
  });
});
