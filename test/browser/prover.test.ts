import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Proof } from '@bitcloak/prover/proof';
import * as snarkjs from 'snarkjs';
import { makeStatements } from '../../scripts/bench/statements.ts';
import { skipWithoutChromium, TestPage } from '../support/browser/browser.ts';
import { ROOT } from '../support/circuit.ts';

const PLACES: readonly (readonly [prefix: string, directory: string])[] = [
  ['/good/circuits/', 'circuits'],
  ['/good/wasm/', 'packages/prover/wasm'],
];

/** What a server hands out: below `/good` what is right, below `/NAME/` the same with one byte of the file of that name changed. */
function served(path: string): Uint8Array | undefined {
  const [, name = ''] = path.split('/');
  const right = path.replace(`/${name}/`, '/good/');
  const [prefix, directory] = PLACES.find(([start]) => right.startsWith(start)) ?? [];
  if (prefix === undefined || directory === undefined) return undefined;
  const file = join(ROOT, directory, right.slice(prefix.length));
  if (!existsSync(file)) return undefined;
  const bytes = readFileSync(file);
  if (!file.endsWith(name)) return bytes;
  // Of the verifying key a digit of its first point for a signal; of the others whatever is in the middle.
  const at = name.endsWith('.json')
    ? bytes.indexOf('"', bytes.indexOf('[', bytes.indexOf('"IC"')) + 1) + 1
    : bytes.length >> 1;
  bytes[at] = (bytes[at] as number) ^ 1;
  return bytes;
}

describe('a prover in a page in Chromium', function () {
  this.timeout(120_000);
  const { transfer } = makeStatements('a page that proves');
  let page: TestPage;
  const open = async (runsWasm: boolean) => (page = await TestPage.open({ files: served, runsWasm }));

  before(function () {
    skipWithoutChromium(this);
  });
  afterEach(() => page.close());

  /** As the pool takes it, in the form of snarkjs. */
  const isValid = ({ words, signals }: Proof) => {
    const [ax, ay, bx1, bx0, by1, by0, cx, cy] = words.map(String) as [string, ...string[]];
    const key = JSON.parse(readFileSync(join(ROOT, 'circuits/keys/transfer.vkey.json'), 'utf8')) as object;
    const b = [
      [bx0, bx1],
      [by0, by1],
      ['1', '0'],
    ];
    const proof = { pi_a: [ax, ay, '1'], pi_b: b, pi_c: [cx, cy, '1'], protocol: 'groth16', curve: 'bn128' };
    return snarkjs.groth16.verify(key as never, signals.map(String), proof as never);
  };

  it('proves a transfer in workers, which everybody verifies, and no two proofs alike', async () => {
    await open(true);
    const made = await page.call('proveTransfer', `${page.origin}/good`, transfer, 2);
    assert.ok(typeof made === 'object');
    assert.match(made.engine, /^wasm (relaxed|plain), \d+ workers?$/);
    const [first, second] = made.proofs as [Proof, Proof];
    assert.deepEqual([await isValid(first), await isValid(second)], [true, true]);
    assert.deepEqual(first.signals, second.signals);
    assert.notDeepEqual(first.words, second.words);
    assert.deepEqual(page.complaints, []);
  });

  it('takes neither keys nor code from its server that are not as pinned, and says what is wrong', async () => {
    await open(true);
    for (const [name, code] of [
      ['transfer.zkey', 'KEY_MISMATCH'],
      ['transfer.program', 'KEY_MISMATCH'],
      ['transfer.vkey.json', 'KEY_REFUSED'],
      ['nothing/there', 'KEY_MISMATCH'],
    ] as const) {
      assert.equal(await page.call('proveTransfer', `${page.origin}/${name}`, transfer, 1), code, name);
    }
    const untrue = { ...transfer, root: 1n };
    assert.equal(await page.call('proveTransfer', `${page.origin}/good`, untrue, 1), 'STATEMENT_FALSE');
  });

  it('says so where the page’s policy lets no WebAssembly run', async () => {
    await open(false);
    assert.equal(await page.call('proveTransfer', `${page.origin}/good`, transfer, 1), 'PROVER_UNAVAILABLE');
  });
});
