import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { compiledCircuit, makeAccount, planTransfer, SeededRandom } from '../support/circuit.ts';
import { loadR1cs, type Term } from '../support/r1cs.ts';

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const element = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
const section = (id: number, content: Buffer) => Buffer.concat([u32(id), u64(content.length), content]);
const form = (terms: readonly Term[]) =>
  Buffer.concat([u32(terms.length), ...terms.flatMap(({ wire, coefficient }) => [u32(wire), element(coefficient)])]);

const DOUBLE: Term[] = [{ wire: 1, coefficient: 2n }];
const SUM: Term[] = [
  { wire: 2, coefficient: 1n },
  { wire: 3, coefficient: FIELD_MODULUS - 1n },
];
const RESULT: Term[] = [{ wire: 0, coefficient: 10n }];

/** 2·w1 · (w2 - w3) = 10, then w1 · w2 = w3: one output, one public input and one private one. */
function smallFile(): Buffer {
  const counts = [4, 1, 1, 1].map(u32);
  const header = Buffer.concat([u32(32), element(FIELD_MODULUS), ...counts, u64(4), u32(2)]);
  const product = [1, 2, 3].map((wire) => form([{ wire, coefficient: 1n }]));
  const constraints = Buffer.concat([form(DOUBLE), form(SUM), form(RESULT), ...product]);
  // circom writes the constraints first.
  return Buffer.concat([Buffer.from('r1cs'), u32(1), u32(2), section(2, constraints), section(1, header)]);
}

describe('r1cs', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'bitcloak-r1cs-'));
  after(() => rmSync(directory, { recursive: true }));

  const load = (bytes: Buffer) => {
    const file = path.join(directory, 'small.r1cs');
    writeFileSync(file, bytes);
    return loadR1cs(file);
  };

  it('reads a file of two constraints', () => {
    const r1cs = load(smallFile());
    assert.deepEqual(
      [r1cs.constraintCount, r1cs.publicSignalCount, r1cs.outputCount, r1cs.inputCount, r1cs.wireCount],
      [2, 2, 1, 2, 4],
    );
    const negated = SUM.map(({ wire, coefficient }) => ({ wire, coefficient: coefficient === 1n ? 1n : -1n }));
    assert.deepEqual(r1cs.constraint(0), { a: DOUBLE, b: negated, c: RESULT });
    assert.throws(() => r1cs.constraint(2), RangeError);
  });

  it('names what does not hold', () => {
    const r1cs = load(smallFile());
    // w1 = 2 leaves w2 = -5 / 2 and w3 = -5.
    const witness = [1n, 2n, (FIELD_MODULUS - 5n) / 2n, FIELD_MODULUS - 5n];
    assert.equal(r1cs.firstViolated(witness), null);
    assert.deepEqual(r1cs.violated(witness), []);
    assert.equal(r1cs.firstViolated([1n, 1n, 6n, 1n]), 1);
    assert.deepEqual(r1cs.violated([1n, 1n, 6n, 1n]), [1]);
    assert.deepEqual(r1cs.violated([1n, 1n, 1n, 1n]), [0]);
    assert.deepEqual(r1cs.violated([1n, 1n, 0n, 1n]), [0, 1]);
  });

  it('refuses what is no witness', () => {
    const r1cs = load(smallFile());
    assert.throws(() => r1cs.firstViolated([1n, 1n, 6n]), RangeError);
    assert.throws(() => r1cs.firstViolated([0n, 0n, 0n, 0n]), RangeError);
    assert.throws(() => r1cs.firstViolated([1n, FIELD_MODULUS, 6n, 1n]), RangeError);
    assert.throws(() => r1cs.firstViolated([1n, -1n, 6n, 1n]), RangeError);
  });

  it('refuses what is no such file', () => {
    assert.throws(() => load(Buffer.from('wtns')));
    assert.throws(() => load(smallFile().subarray(0, -1)));
  });

  it('a change of any one element of a real witness is noticed', () => {
    const { r1cs, calculate } = compiledCircuit('transfer');
    const random = new SeededRandom('single changes');
    const account = makeAccount(random);
    const witness = calculate(planTransfer({ random, account, inputs: [{ value: 10n }], outputs: [9n, 1n, 0n] }));
    for (let change = 0; change < 40; change++) {
      const wire = 1 + Number(random.below(BigInt(witness.length - 1)));
      const changed = witness.with(wire, (witness[wire] as bigint) ^ 1n);
      assert.notEqual(r1cs.firstViolated(changed), null, `wire ${wire}`);
    }
  });
});
