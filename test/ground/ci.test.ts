import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ended } from '../support/fakeProject.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

describe('.ci/run', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'bitcloak-ci-'));
    mkdirSync(path.join(directory, '.ci'));
    cpSync(path.join(ROOT, '.ci', 'run'), path.join(directory, '.ci', 'run'));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  /** Runs it over an npm that does what a shell's case says for its arguments. */
  async function runOver(cases: string) {
    const npm = path.join(directory, 'npm');
    writeFileSync(npm, `#!/bin/sh\n[ "$CI" = true ] || exit 9\ncase "$*" in\n${cases}\n*) echo "npm $*";;\nesac\n`);
    chmodSync(npm, 0o755);
    const { status, stdout } = await ended(
      spawn(path.join(directory, '.ci', 'run'), {
        env: { ...process.env, PATH: [directory, process.env['PATH']].join(path.delimiter) },
      }),
    );
    const lines = stdout.trimEnd().split('\n');
    return { status, lines, lastLine: lines.at(-1) };
  }

  it('ends with the counts of the tests, after lint and typecheck', async () => {
    const { status, lines } = await runOver(`test) echo '7 passed, 0 failed';;`);
    assert.deepEqual(lines, ['7 passed, 0 failed', 'npm run lint', 'npm run typecheck', '7 passed, 0 failed']);
    assert.equal(status, 0);
  });

  it('fails where a test does', async () => {
    const { status, lastLine } = await runOver(`test) echo '6 passed, 1 failed'; exit 1;;`);
    assert.equal(lastLine, '6 passed, 1 failed');
    assert.equal(status, 1);
  });

  it('fails where a test was skipped', async () => {
    const { status, lastLine } = await runOver(`test) echo '6 passed, 0 failed, 1 skipped';;`);
    assert.equal(lastLine, '6 passed, 0 failed, 1 skipped');
    assert.equal(status, 1);
  });

  for (const check of ['lint', 'typecheck']) {
    it(`fails where ${check} does`, async () => {
      const { status, lines, lastLine } = await runOver(`test) echo '7 passed, 0 failed';;\n'run ${check}') exit 1;;`);
      assert.equal(lastLine, '7 passed, 0 failed');
      assert.equal(lines.at(-2), `failed: npm run ${check}`);
      assert.equal(status, 1);
    });
  }

  it('counts tests that broke off as failed, whatever they exit with', async () => {
    for (const exit of [0, 1]) {
      const { status, lastLine } = await runOver(`test) echo 'Exception during run'; exit ${exit};;`);
      assert.equal(lastLine, '0 passed, 1 failed');
      assert.equal(status, 1);
    }
  });

  it('takes the last counts, not what a test has printed', async () => {
    const { lastLine } = await runOver(`test) echo '1 passed, 0 failed'; echo '7 passed, 0 failed';;`);
    assert.equal(lastLine, '7 passed, 0 failed');
  });
});
