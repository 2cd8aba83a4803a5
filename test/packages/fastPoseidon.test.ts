import assert from 'node:assert/strict';
import { poseidon, poseidonOfCircomlibjs, usePoseidon } from '@bitcloak/crypto/poseidon';
import { findAddon } from '@bitcloak/prover/addon';
import { hashFaster, poseidonMakers, type PoseidonMaker } from '@bitcloak/prover/fastPoseidon';
import { poseidonTable } from '@bitcloak/prover/poseidonTable';
import { FIELD_MODULUS, TAG } from '@bitcloak/protocol/parameters';
import { SeededRandom } from '../support/circuit.ts';

/** One input, those that the enclave hashes, and the most; tables of more take longer to make. */
const COUNTS = [1, 3, 5, 10, 16];
const RANDOM_COUNT = 12;
const EDGES = [
  0n,
  1n,
  2n ** 28n - 1n,
  2n ** 28n,
  2n ** 64n - 1n,
  2n ** 252n,
  FIELD_MODULUS - 2n,
  FIELD_MODULUS - 1n,
  FIELD_MODULUS,
  FIELD_MODULUS + 1n,
  2n ** 256n - 1n,
  2n ** 300n,
  -1n,
];

describe('Poseidon of the prover', () => {
  afterEach(() => {
    for (const count of COUNTS) usePoseidon(count, undefined);
  });

  const makers: Readonly<Record<string, PoseidonMaker | undefined>> = {
    native: undefined,
    wasm: undefined,
    ...poseidonMakers(),
  };
  for (const [name, make] of Object.entries(makers)) {
    it(`${name}: is that of circomlibjs`, function () {
      if (make === undefined) this.skip();
      const random = new SeededRandom(`fast Poseidon ${name}`);
      for (const count of COUNTS) {
        const hash = make(count);
        const same = (inputs: readonly bigint[], tag: bigint) => {
          assert.equal(hash(inputs, tag), poseidonOfCircomlibjs(inputs, tag), `${count} inputs`);
        };
        for (const edge of EDGES) {
          same(new Array<bigint>(count).fill(edge), edge);
          same([...new Array<bigint>(count - 1).fill(FIELD_MODULUS - 1n), edge], 0n);
        }
        for (let index = 0; index < RANDOM_COUNT; index++) {
          const inputs = Array.from({ length: count }, () => random.field());
          for (const tag of [0n, TAG.ORDER, random.field()]) same(inputs, tag);
        }
        assert.throws(() => hash(new Array<bigint>(count + 1).fill(1n), 0n), RangeError);
      }
    });
  }

  it('is used for the numbers of inputs that it was asked for, and where its results are right', () => {
    const calls: number[] = [];
    const right = (inputs: number) => (values: readonly bigint[], tag: bigint) => {
      calls.push(inputs);
      return poseidonOfCircomlibjs(values, tag);
    };
    assert.equal(hashFaster([3], { right }), 'right');
    calls.length = 0;
    assert.equal(poseidon([1n, 2n, 3n], 4n), poseidonOfCircomlibjs([1n, 2n, 3n], 4n));
    poseidon([1n, 2n]);
    assert.deepEqual(calls, [3]);

    usePoseidon(3, undefined);
    // Right without a tag, for one of two.
    const wrong = (inputs: number) => (values: readonly bigint[], tag: bigint) =>
      poseidonOfCircomlibjs(values, tag) + (inputs === 5 && tag !== 0n ? 1n : 0n);
    assert.equal(hashFaster([3, 5], { wrong }), undefined);
    calls.length = 0;
    assert.equal(poseidon([1n, 2n, 3n, 4n, 5n], 1n), poseidonOfCircomlibjs([1n, 2n, 3n, 4n, 5n], 1n));
    assert.equal(hashFaster([3], {}), undefined);
  });

  it('native: refuses what it cannot read', function () {
    const addon = findAddon();
    if (addon === undefined) this.skip();
    const { roundsPartial, numbers } = poseidonTable(2);
    assert.throws(() => addon.makePoseidon(18, roundsPartial, numbers), TypeError);
    assert.throws(() => addon.makePoseidon(1, roundsPartial, numbers), TypeError);
    assert.throws(() => addon.makePoseidon(3, 2 ** 31, numbers), TypeError);
    assert.throws(() => addon.makePoseidon(3, roundsPartial, numbers.subarray(32)), TypeError);
    const made = addon.makePoseidon(3, roundsPartial, numbers);
    assert.throws(() => {
      addon.hashPoseidon(made, new Uint8Array(17 * 32 - 1));
    }, TypeError);
    assert.throws(() => {
      addon.hashPoseidon({} as typeof made, new Uint8Array(17 * 32));
    }, TypeError);
  });
});
