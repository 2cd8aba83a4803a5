import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  circlesOfImports,
  forbiddenTexts,
  generatedWithoutHeader,
  importsAgainstTheOrder,
  inexactVersions,
  overlongFiles,
  type RepositoryFile,
  undeclaredDependencies,
} from '../support/repositoryRules.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Every text file that is or will be tracked. */
function readRepository(): RepositoryFile[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT });
  return list
    .toString('utf8')
    .split('\0')
    .filter((name) => name !== '' && lstatSync(path.join(ROOT, name), { throwIfNoEntry: false })?.isFile())
    .map((name) => ({ name, bytes: readFileSync(path.join(ROOT, name)) }))
    .filter(({ bytes }) => !bytes.includes(0))
    .map(({ name, bytes }) => ({ path: name, text: bytes.toString('utf8') }));
}

/** Files from pairs of path and text. */
function files(entries: Record<string, string>): RepositoryFile[] {
  return Object.entries(entries).map(([name, text]) => ({ path: name, text }));
}

describe('the repository', () => {
  let repository: RepositoryFile[];

  before(() => {
    repository = readRepository();
    for (const name of ['package.json', 'packages/protocol/package.json', 'scripts/bootstrap.mjs', '.ci/run']) {
      assert.ok(
        repository.some((file) => file.path === name),
        `${name} is not among the files that were read`,
      );
    }
  });

  it('imports only downwards', () => {
    assert.deepEqual(importsAgainstTheOrder(repository), []);
  });

  for (const [from, text, complaint] of [
    [
      'packages/protocol/src/a.ts',
      `import { b } from '@bitcloak/crypto/b';`,
      'package protocol may not import package crypto',
    ],
    [
      'packages/notes/src/a.ts',
      `import type { B } from '@bitcloak/wallet/b';`,
      'package notes may not import package wallet',
    ],
    ['packages/prover/src/a.ts', `export * from '@bitcloak/chain/b';`, 'package prover may not import package chain'],
    [
      'packages/relayer/src/a.ts',
      `await import('@bitcloak/wallet/b');`,
      'package relayer may not import package wallet',
    ],
    ['packages/crypto/src/a.ts', `import '../../protocol/src/b.ts';`, 'another package is imported by its name'],
    ['packages/crypto/src/a.ts', `import '@bitcloak/crypto/b';`, 'within a package imports are relative'],
    ['packages/cli/src/a.ts', `import '../../../scripts/b.ts';`, 'nothing outside imports scripts/'],
    ['packages/cli/src/a.ts', `import '../../../test/b.ts';`, 'nothing outside imports test/'],
    ['packages/cli/src/a.ts', `import '../../../hardhat.config.ts';`, 'a package imports packages only'],
    [
      'packages/novel/src/a.ts',
      `import '@bitcloak/protocol/b';`,
      'package novel has no place in the order of packages yet',
    ],
    ['enclave/engine/a.ts', `import '@bitcloak/notes/b';`, 'room engine may not import package notes'],
    ['enclave/engine/a.ts', `import '../exchange/b.ts';`, 'room engine may not import room exchange'],
    ['enclave/exchange/a.ts', `import '../settlement/b.ts';`, 'room exchange may not import room settlement'],
    ['enclave/wallet/a.ts', `import '../../hardhat.config.ts';`, 'a room imports rooms and packages only'],
    ['enclave/novel/a.ts', `import '../engine/b.ts';`, 'room novel has no place in the order of rooms yet'],
    ['packages/cli/src/a.ts', `import '../../../enclave/engine/b.ts';`, 'a package imports packages only'],
    ['hardhat.config.ts', `import './scripts/b.ts';`, 'nothing outside imports scripts/'],
    ['scripts/deploy.ts', `import '../test/b.ts';`, 'nothing outside imports test/'],
    ['scripts/bootstrap/a.mjs', `import 'ethers';`, 'the bootstrap runs before any package is there'],
    ['scripts/bootstrap.mjs', `import '@bitcloak/protocol/b';`, 'the bootstrap runs before any package is there'],
    ['scripts/deploy.ts', `import 'fs';`, 'parts of Node are named with node:'],
  ] as const) {
    it(`would notice that ${from} has ${text}`, () => {
      const [violation, ...more] = importsAgainstTheOrder(files({ [from]: text }));
      assert.ok(violation?.endsWith(`: ${complaint}`), violation);
      assert.deepEqual(more, []);
    });
  }

  it('would let downward imports pass', () => {
    const imports = {
      'packages/cli/src/a.ts': `import '@bitcloak/wallet/b'; import './c.ts'; import 'commander'; import 'node:fs';`,
      'packages/wallet/src/b.ts': `import '@bitcloak/prover/b'; import '@bitcloak/protocol/b';`,
      'packages/relayer/src/b.ts': `import '@bitcloak/chain/b'; import '#c';`,
      'enclave/settlement/a.ts': `import '../exchange/b.ts'; import './c.ts'; import '@bitcloak/prover/b';`,
      'enclave/server.ts': `import './settlement/a.ts'; import '@bitcloak/wallet/b'; import 'fastify';`,
      'scripts/deploy.ts': `import '@bitcloak/cli/b'; import './bootstrap/hash.mjs';`,
      'scripts/bootstrap.mjs': `import './bootstrap/hash.mjs'; import './compileCircuits.mjs'; import 'node:fs';`,
      'test/ground/a.test.ts': `import '../../scripts/b.ts'; import '@bitcloak/cli/b'; import '../support/b.ts';`,
    };
    assert.deepEqual(importsAgainstTheOrder(files(imports)), []);
  });

  it('has no circle of imports', () => {
    assert.deepEqual(circlesOfImports(repository), []);
    const circle = {
      'packages/notes/src/a.ts': `import './b.ts';`,
      'packages/notes/src/b.ts': `import type { C } from './c.ts'; import './d.ts';`,
      'packages/notes/src/c.ts': `import '#b';`,
      'packages/notes/src/d.ts': '',
    };
    assert.deepEqual(circlesOfImports(files(circle)), [
      'packages/notes/src/b.ts → packages/notes/src/c.ts → packages/notes/src/b.ts',
    ]);
  });

  it('declares what it imports', () => {
    assert.deepEqual(undeclaredDependencies(repository), []);
    const sample = {
      'package.json': '{"devDependencies":{"ethers":"1.0.0"}}',
      'packages/notes/package.json': '{"dependencies":{"@scure/base":"1.0.0"}}',
      'packages/notes/src/a.ts': `import '@scure/base/x'; import '@bitcloak/crypto/x'; import '#b'; import 'node:fs'; import 'ethers';`,
      'scripts/a.ts': `import 'ethers/utils'; import '@scure/base';`,
      'test/a.test.ts': `import '@scure/base'; import 'mocha';`,
    };
    assert.deepEqual(undeclaredDependencies(files(sample)), [
      'packages/notes/src/a.ts imports ethers, which packages/notes/package.json does not declare',
      'scripts/a.ts imports @scure/base, which package.json does not declare',
      'test/a.test.ts imports mocha, which package.json does not declare',
    ]);
  });

  it('names exact versions of packages', () => {
    assert.deepEqual(inexactVersions(repository), []);
    for (const version of ['^1.0.0', '~1.0.0', '1.x', '*', 'latest', '>=1.0.0', 'file:../b']) {
      const text = JSON.stringify({ devDependencies: { a: version, b: '1.0.0', c: '2.0.0-beta.1' } });
      assert.deepEqual(inexactVersions(files({ 'packages/notes/package.json': text })), [
        `packages/notes/package.json wants a ${version}, which is no exact version`,
      ]);
    }
  });

  it('has no file of more than 1000 lines', () => {
    assert.deepEqual(overlongFiles(repository), []);
    const sample = { 'a.ts': '\n'.repeat(1000), 'b.ts': '\n'.repeat(1001), 'vectors.json': '\n'.repeat(2000) };
    assert.deepEqual(overlongFiles(files(sample)), ['b.ts has 1001 lines, more than 1000']);
  });

  it('has no path of one machine, no weak randomness, nothing left to do', () => {
    assert.deepEqual(forbiddenTexts(repository), []);
    for (const text of [
      `/wo${'rk/'}main`,
      `/ro${'ot/'}.cache`,
      `Math.ran${'dom()'}`,
      `// TO${'DO: later'}`,
      `FIX${'ME'}`,
    ]) {
      assert.equal(forbiddenTexts(files({ 'docs/a.md': `first\n${text}` })).length, 1, text);
    }
    assert.deepEqual(forbiddenTexts(files({ 'a.ts': 'const network = ROOT; // as in METHODOLOGY' })), []);
  });

  it('says on generated files that they are', () => {
    assert.deepEqual(generatedWithoutHeader(repository), []);
    const sample = {
      'circuits/generated/a.circom': 'pragma circom 2.2.0;',
      'contracts/generated/B.sol': '// SPDX\n// Generated by npm run codegen: do not edit.',
      'contracts/pool/C.sol': '',
    };
    assert.deepEqual(generatedWithoutHeader(files(sample)), [
      'circuits/generated/a.circom does not say "do not edit" at its head',
    ]);
  });
});
