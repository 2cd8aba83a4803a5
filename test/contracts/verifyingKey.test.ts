import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { CIRCUITS, PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import { checkKeysTogether, checkVerifyingKey, type VerifyingKey } from '@bitcloak/prover/verifyingKey';
import { verifyingKeysLibrary } from '../../scripts/codegen/verifyingKeys.ts';
import { tinyCircuits, writeKeys } from '../support/tinyCircuits.ts';

const BASE_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
const SIGNALS = PUBLIC_SIGNALS.transfer.length;

/** On the twist, but not in the subgroup of prime order. */
const OUTSIDE_SUBGROUP = [
  ['1', '0'],
  [
    '3610091866386166428467545612961983990332663701371483510632385378352395651980',
    '15975588672102553735566230729081043132501226101599136527557730645158523614371',
  ],
  ['1', '0'],
];

describe('verifying keys', () => {
  let keys: Record<Circuit, VerifyingKey>;
  let transfer: VerifyingKey;
  let insertion: VerifyingKey;
  let skippedPhase2: VerifyingKey;

  before(() => {
    const tiny = tinyCircuits();
    ({ keys } = tiny);
    ({ transfer, insertion } = keys);
    skippedPhase2 = tiny.skippedPhase2.transfer;
  });

  const check = (changes: Partial<Record<keyof VerifyingKey, unknown>>, alpha?: readonly [string, string]) =>
    checkVerifyingKey({ ...transfer, ...changes } as VerifyingKey, { signals: SIGNALS, alpha });

  function expectRefusal(action: () => unknown, field: string, reason: RegExp): void {
    assert.throws(action, (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.equal((error as { code?: string }).code, 'KEY_REFUSED');
      assert.ok(error.message.includes(field), error.message);
      assert.match(error.message, reason);
      return true;
    });
  }

  const negated = ([x, [c0, c1], z]: VerifyingKey['vk_delta_2']) =>
    [x, [String(BASE_MODULUS - BigInt(c0)), String(BASE_MODULUS - BigInt(c1))], z] as VerifyingKey['vk_delta_2'];

  describe('one alone', () => {
    it('is accepted as snarkjs made it, and its points are those of the file', () => {
      const points = check({}, [transfer.vk_alpha_1[0], transfer.vk_alpha_1[1]]);
      assert.equal(points.ic.length, SIGNALS + 1);
      assert.equal(points.alpha.x, BigInt(transfer.vk_alpha_1[0]));
      assert.equal(points.delta.y.c1, BigInt(transfer.vk_delta_2[1][1]));
    });

    it('is refused where phase 2 was skipped', () => {
      expectRefusal(() => checkVerifyingKey(skippedPhase2, { signals: SIGNALS }), 'vk_delta_2', /contribution/);
      expectRefusal(() => check({ vk_delta_2: transfer.vk_gamma_2 }), 'vk_delta_2', /contribution/);
      expectRefusal(() => check({ vk_delta_2: negated(transfer.vk_gamma_2) }), 'vk_delta_2', /contribution/);
    });

    it('is refused with a gamma that is not the generator', () => {
      expectRefusal(() => check({ vk_gamma_2: transfer.vk_beta_2 }), 'vk_gamma_2', /generator/);
      expectRefusal(() => check({ vk_gamma_2: negated(transfer.vk_gamma_2) }), 'vk_gamma_2', /generator/);
    });

    it('is refused where phase 1 was skipped', () => {
      expectRefusal(() => check({ vk_alpha_1: ['1', '2', '1'] }), 'vk_alpha_1', /phase 1/);
      expectRefusal(() => check({ vk_beta_2: transfer.vk_gamma_2 }), 'vk_beta_2', /phase 1/);
    });

    it('is refused with another alpha than that of the expected phase 1', () => {
      const [x, y] = transfer.vk_alpha_1;
      expectRefusal(() => check({}, ['1', '2']), 'vk_alpha_1', /expected phase 1/);
      expectRefusal(() => check({}, [x, String(BASE_MODULUS - BigInt(y))]), 'vk_alpha_1', /expected phase 1/);
    });

    it('is refused with a point at infinity, whichever', () => {
      for (const infinity of [
        ['0', '1', '0'],
        ['0', '0', '0'],
        ['0', '0', '1'],
      ]) {
        expectRefusal(() => check({ vk_alpha_1: infinity }), 'vk_alpha_1', /point/);
        for (const index of transfer.IC.keys()) {
          expectRefusal(() => check({ IC: transfer.IC.with(index, infinity as never) }), `IC[${index}]`, /point/);
        }
        const infinity2 = infinity.map((coordinate) => [coordinate, '0']);
        for (const field of ['vk_beta_2', 'vk_gamma_2', 'vk_delta_2'] as const) {
          expectRefusal(() => check({ [field]: infinity2 }), field, /point/);
        }
      }
    });

    it('is refused with a point off its curve or outside its subgroup, whichever', () => {
      expectRefusal(() => check({ vk_alpha_1: ['1', '3', '1'] }), 'vk_alpha_1', /on the curve/);
      for (const index of transfer.IC.keys()) {
        expectRefusal(() => check({ IC: transfer.IC.with(index, ['1', '3', '1']) }), `IC[${index}]`, /on the curve/);
      }
      for (const field of ['vk_beta_2', 'vk_gamma_2', 'vk_delta_2'] as const) {
        expectRefusal(() => check({ [field]: OUTSIDE_SUBGROUP }), field, /subgroup/);
        expectRefusal(
          () =>
            check({
              [field]: [
                ['1', '0'],
                ['1', '0'],
                ['1', '0'],
              ],
            }),
          field,
          /on the curve/,
        );
      }
    });

    it('is refused with a coordinate that is not written in the one way', () => {
      const [x, y, z] = transfer.vk_alpha_1;
      for (const other of [
        `0${x}`,
        ` ${x}`,
        `0x${BigInt(x).toString(16)}`,
        `-${x}`,
        '',
        Number(x),
        null,
        undefined,
        [x],
      ]) {
        expectRefusal(() => check({ vk_alpha_1: [other, y, z] }), 'vk_alpha_1', /decimal string/);
      }
      expectRefusal(() => check({ vk_alpha_1: [String(BigInt(x) + BASE_MODULUS), y, z] }), 'vk_alpha_1', /modulus/);
      expectRefusal(() => check({ vk_alpha_1: [x, y] }), 'vk_alpha_1', /array of 3/);
      expectRefusal(() => check({ vk_beta_2: undefined }), 'vk_beta_2', /array of 3/);
    });

    it('is refused with another number of public signals, protocol or curve', () => {
      expectRefusal(() => check({ nPublic: SIGNALS + 1 }), 'nPublic', /expected 4, got 5/);
      expectRefusal(() => check({ IC: transfer.IC.slice(1) }), 'IC', /array of 5/);
      expectRefusal(() => check({ IC: [...transfer.IC, transfer.IC[0]] }), 'IC', /array of 5/);
      expectRefusal(() => checkVerifyingKey(insertion, { signals: SIGNALS }), 'nPublic', /expected 4, got 6/);
      expectRefusal(() => check({ protocol: 'plonk' }), 'protocol', /groth16/);
      expectRefusal(() => check({ curve: 'bls12381' }), 'curve', /bn128/);
    });
  });

  describe('together', () => {
    const points = (key: VerifyingKey) => checkVerifyingKey(key, { signals: key.nPublic });

    const together = (changed: Partial<Record<Circuit, VerifyingKey>> = {}) =>
      Object.fromEntries(Object.entries({ ...keys, ...changed }).map(([circuit, key]) => [circuit, points(key)]));
    const pairs = CIRCUITS.flatMap((second, index) =>
      CIRCUITS.slice(0, index).map((first) => [first, second] as const),
    );

    it('are accepted from one phase 1 with a phase 2 each', () => {
      checkKeysTogether(together());
    });

    /** A point that is no key's beta: the delta of another circuit. */
    const otherBeta = (circuit: Circuit) => (circuit === 'transfer' ? insertion : transfer).vk_delta_2;

    it('are refused where one of them has another alpha or beta', () => {
      for (const [index, circuit] of CIRCUITS.entries()) {
        const key = keys[circuit];
        const pair = index === 0 ? 'transfer and insertion' : `transfer and ${circuit}`;
        const reason = new RegExp(`one phase 1 for ${pair}`);
        const alpha = { ...key, vk_alpha_1: key.IC[1] } as VerifyingKey;
        expectRefusal(() => checkKeysTogether(together({ [circuit]: alpha })), 'vk_alpha_1', reason);
        const beta = { ...key, vk_beta_2: otherBeta(circuit) };
        expectRefusal(() => checkKeysTogether(together({ [circuit]: beta })), 'vk_beta_2', reason);
      }
    });

    it('are refused with one delta, or one and its negation, whichever two have it', () => {
      for (const [first, second] of pairs) {
        for (const delta of [keys[first].vk_delta_2, negated(keys[first].vk_delta_2)]) {
          const shared = together({ [second]: { ...keys[second], vk_delta_2: delta } });
          const reason = new RegExp(`a phase 2 of its own.*${first} and ${second}`);
          expectRefusal(() => checkKeysTogether(shared), 'vk_delta_2', reason);
        }
      }
    });
  });

  describe('as Solidity', () => {
    function library(ceremony?: unknown, changed: Partial<Record<Circuit, VerifyingKey>> = {}): string {
      const directory = writeKeys({ ...keys, ...changed }, ceremony);
      try {
        return verifyingKeysLibrary(directory);
      } finally {
        rmSync(directory, { recursive: true });
      }
    }
    const isDevelopment = (text: string) => /bool internal constant DEVELOPMENT = (true|false);/.exec(text)?.[1];

    it('are for development unless a ceremony says otherwise and names the alpha', () => {
      const alpha = transfer.vk_alpha_1.slice(0, 2);
      assert.equal(isDevelopment(library()), 'true');
      assert.equal(isDevelopment(library({})), 'true');
      assert.equal(isDevelopment(library({ development: true })), 'true');
      assert.equal(isDevelopment(library({ development: true, phase1: { alpha } })), 'true');
      assert.equal(isDevelopment(library({ development: false, phase1: { alpha } })), 'false');
      assert.throws(() => library({ development: false }), /phase1\.alpha/);
      expectRefusal(
        () => library({ development: false, phase1: { alpha: ['1', '2'] } }),
        'vk_alpha_1',
        /expected phase 1/,
      );
    });

    it('are refused like the keys themselves', () => {
      expectRefusal(() => library({}, { transfer: skippedPhase2 }), 'vk_delta_2', /contribution/);
      expectRefusal(() => library({}, { transfer: insertion, insertion: transfer }), 'nPublic', /expected 4, got 6/);
      const shared = { ...insertion, vk_delta_2: transfer.vk_delta_2 };
      expectRefusal(() => library({}, { insertion: shared }), 'vk_delta_2', /a phase 2 of its own/);
    });

    it('hold every point of every circuit', () => {
      const text = library();
      const word = (value: string) => BigInt(value).toString(16);
      for (const circuit of CIRCUITS) {
        for (const point of keys[circuit].IC)
          for (const value of point.slice(0, 2)) assert.ok(text.includes(word(value)));
        for (const value of keys[circuit].vk_delta_2.slice(0, 2).flat()) assert.ok(text.includes(word(value)));
      }
    });
  });
});
