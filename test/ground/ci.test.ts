import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

  const program = (name: string, text: string) => {
    const file = path.join(directory, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
  };

  /** Runs it over an npm that does what a shell's case says for its arguments. @param withChromium or else it has to be installed. */
  async function runOver(cases: string, withChromium = true) {
    program('npm', `[ "$CI" = true ] || exit 9\ncase "$*" in\n${cases}\n*) echo "npm $*";;\nesac`);
    for (const name of ['c++', 'clang++-16', 'wasm-ld-16', ...(withChromium ? ['chromium'] : [])])
      program(name, 'exit 9');
    // Nothing of the machine is found but what it takes for granted.
    for (const name of ['bash', 'dirname', 'grep', 'mktemp', 'rm', 'tail', 'tee'])
      program(name, `exec ${found(name)} "$@"`);
    const { BITCLOAK_CHROMIUM: _, ...env } = process.env;
    const { status, stdout } = await ended(
      spawn(path.join(directory, '.ci', 'run'), { env: { ...env, PATH: directory } }),
    );
    const lines = stdout.trimEnd().split('\n');
    return { status, lines, lastLine: lines.at(-1) };
  }
  const found = (name: string) =>
    (process.env['PATH'] ?? '')
      .split(path.delimiter)
      .map((place) => path.join(place, name))
      .find((file) => existsSync(file)) ?? name;

  it('ends with the counts of the tests, after lint and typecheck', async () => {
    const { status, lines } = await runOver(`test) echo '7 passed, 0 failed';;`);
    const checks = ['npm run lint', 'npm run typecheck', 'npm run prover-wasm -- --check'];
    assert.deepEqual(lines, ['7 passed, 0 failed', ...checks, '7 passed, 0 failed']);
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

  describe('where there is no Chromium', () => {
    const CASES = `test) echo "in $BITCLOAK_CHROMIUM"; echo '7 passed, 0 failed';;`;
    /** An apt-get that writes down what it is asked for, and then does as it is told. */
    const aptGet = (text: string) => {
      program('apt-get', `echo "apt-get speaks"; echo "$@" >>'${directory}/asked'; ${text}`);
      program('sudo', `[ "$1" = -n ] && shift && exec "$@"`);
    };
    const asked = () => readFileSync(path.join(directory, 'asked'), 'utf8').trimEnd().split('\n');

    it("installs Debian's, and has the tests use it", async () => {
      program('later', 'exit 9');
      aptGet(`[ "$1" = update ] || ${found('mv')} '${directory}/later' '${directory}/chromium'`);
      const { status, lines } = await runOver(CASES, false);
      assert.deepEqual(asked(), ['update', 'install -y --no-install-recommends chromium']);
      assert.equal(lines[0], `in ${path.join(directory, 'chromium')}`);
      assert.equal(status, 0);
    });

    it('fails where it cannot be installed, after everything else', async () => {
      aptGet('[ "$1" = update ]');
      const { status, lines } = await runOver(CASES, false);
      assert.deepEqual(lines.slice(-2), ['failed: apt-get install chromium', '7 passed, 0 failed']);
      assert.equal(lines[0], 'in ');
      assert.equal(status, 1);
    });

    it('installs nothing where there is one', async () => {
      aptGet('exit 1');
      const { status } = await runOver(CASES);
      assert.equal(status, 0);
      assert.throws(asked, { code: 'ENOENT' });
    });
  });

  for (const check of ['lint', 'typecheck', 'prover-wasm']) {
    it(`fails where ${check} does`, async () => {
      const { status, lines, lastLine } = await runOver(`test) echo '7 passed, 0 failed';;\n'run ${check}'*) exit 1;;`);
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
