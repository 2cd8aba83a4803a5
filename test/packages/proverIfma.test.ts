import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { findAddon } from '@bitcloak/prover/addon';
import { availableEngines } from '@bitcloak/prover/engines';
import { ADDON } from '@bitcloak/prover/places';
import { loadEmulatedAddon } from '../support/emulatedAddon.ts';

describe('the backend with AVX-512 IFMA', function () {
  this.timeout(300_000);

  it('is used, before all others, where its results are right', function () {
    const addon = loadEmulatedAddon();
    if (addon === undefined) this.skip();
    assert.deepEqual(addon.backends, ['ifma', 'portable']);
    assert.equal(addon.refused, undefined);
    assert.equal(Object.values(availableEngines(2, addon))[0]?.().name, 'native ifma, 2 threads');
  });

  for (const fault of ['madd52hi', 'srai', 'mask_sub', 'permutexvar']) {
    it(`is not used where ${fault} computes wrongly, which the name of the prover says`, function () {
      const addon = loadEmulatedAddon(fault);
      if (addon === undefined) this.skip();
      assert.deepEqual(addon.backends, ['portable']);
      assert.equal(addon.refused, 'ifma');
      const engines = availableEngines(1, addon);
      assert.equal(engines.ifma, undefined);
      const [first] = Object.values(engines);
      assert.equal(first?.().name, 'native portable, 1 thread; ifma computed wrongly here and is not used');
    });
  }

  it('has its instructions where nothing else of the addon has any of AVX-512', function () {
    if (process.arch !== 'x64' || findAddon() === undefined || ADDON === undefined || !hasDisassembler()) this.skip();
    const lines = execFileSync('objdump', ['-d', '--no-show-raw-insn', ADDON], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }).split('\n');
    const found = new Map<string, number>();
    let inside = '';
    for (const line of lines) {
      inside = /^[0-9a-f]+ <(.*)>:$/.exec(line)?.[1] ?? inside;
      // Registers and masks that AVX2 has not.
      if (!/%zmm|%[xy]mm(?:1[6-9]|2\d|3[01])\b|%k[0-7]\b/.test(line)) continue;
      assert.match(inside, /8bitcloak4ifma/, line);
      const name = /^\s*[0-9a-f]+:\s+(\S+)/.exec(line)?.[1] ?? '';
      found.set(name, (found.get(name) ?? 0) + 1);
    }
    // The four products and squares alone: 25 or 15 products and 25 for the reduction, in two halves each.
    const products = 2 * (25 + 25) + 2 * (15 + 25);
    for (const half of ['vpmadd52luq', 'vpmadd52huq']) assert((found.get(half) ?? 0) >= products, half);
  });
});

function hasDisassembler(): boolean {
  try {
    execFileSync('objdump', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
