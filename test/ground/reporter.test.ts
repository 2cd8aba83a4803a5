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

  /** Runs mocha as `npm test` does, but over one file of this content. */
  async function report(text: string, environment: NodeJS.ProcessEnv = {}, options: readonly string[] = []) {
    const file = path.join(directory, 'sample.test.ts');
    writeFileSync(file, text);
    const mocha = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const { status, stdout } = await ended(
      spawn(process.execPath, [mocha, ...options, file], {
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
    const { status, lastLine } = await report(
      `it('a', () => {}); it('b', () => { throw new Error('b'); }); it.skip('c', () => {}); it('d');
       describe('e', () => { before(() => { throw new Error('e'); }); it('f', () => {}); });`,
    );
    assert.equal(lastLine, '1 passed, 2 failed, 2 skipped');
    assert.equal(status, 2);
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
});
