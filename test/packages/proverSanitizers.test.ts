import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { COMPILER } from '../support/compiler.ts';
import { fuzzProver } from '../support/fuzzProver.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const COMPILERS = ['g++', 'clang++', 'clang++-16'].filter((name) => spawnSync(name, ['--version']).status === 0);

const INSTRUCTIONS = [
  { name: 'avx2', flags: ['-mavx2', '-mfma', '-mbmi2'] },
  { name: 'ifma', flags: ['-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512ifma', '-mbmi2'] },
];

describe('the sources of the native prover', function () {
  this.timeout(300_000);

  for (const compiler of COMPILERS) {
    it(`give no warning, ${compiler}`, () => {
      const warnings = ['-Wall', '-Wextra', '-Wconversion', '-Wno-unknown-pragmas', '-Werror'];
      const units = [
        { name: 'portable', flags: [] },
        { name: 'backends', flags: [] },
        { name: 'addon', flags: ['-DNAPI_VERSION=8', '-Inode_modules/node-api-headers/include'] },
        ...(process.arch === 'x64' ? INSTRUCTIONS : []),
      ];
      for (const { name, flags } of units) {
        const source = `packages/prover/native/${name}.cpp`;
        execFileSync(compiler, ['-std=c++20', ...warnings, ...flags, '-fsyntax-only', source], { cwd: ROOT });
      }
    });
  }
});

describe('the prover under sanitizers', function () {
  this.timeout(600_000);

  it('proves, and reads damaged keys, witnesses and programs, without harm', function () {
    if (COMPILER === undefined) this.skip();
    // The vectors are as long as this to compile with checks: they have their turn in the soak.
    const counts = fuzzProver(24, { withVectors: false });
    const [successes = 0, ...refusals] = counts;
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      // A key with a witness, and a program, in each.
      2 * 24,
    );
    assert(successes > 0 && refusals.filter((count) => count > 0).length >= 3, counts.join(' '));
  });
});
