import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { ended } from '../support/fakeProject.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

describe('tests that need Chromium', function () {
  this.timeout(60_000);

  it('are skipped by their names, and counted, where there is none', async () => {
    const mocha = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const files = ['attestation', 'trading'].map((name) => path.join('test', 'browser', `${name}.test.ts`));
    const { status, stdout } = await ended(
      spawn(process.execPath, [mocha, ...files], {
        cwd: ROOT,
        env: { ...process.env, BITCLOAK_FULL_RUN: '', BITCLOAK_CHROMIUM: '' },
      }),
    );
    const skipped = stdout.split('\n').filter((line) => line.startsWith('skipped: '));
    assert.ok(skipped.length >= 18, stdout);
    for (const line of skipped) assert.match(line, / in Chromium /);
    assert.equal(stdout.trimEnd().split('\n').at(-1), `0 passed, 0 failed, ${skipped.length} skipped`);
    assert.equal(status, 0);
  });
});
