import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { CIRCUITS, FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { toBytes } from '@bitcloak/prover/elements';
import type { Engine } from '@bitcloak/prover/engine';
import { availableEngines } from '@bitcloak/prover/engines';
import { ProgramWitness } from '@bitcloak/prover/witness';
import { makeStatements } from '../../scripts/bench/statements.ts';
import { circuitFiles } from '../../scripts/compileCircuits.mjs';
import { BothWays, ROOT } from '../support/circuit.ts';

const LINE_END = 10;
const WORD_BYTES = 4;
const ELEMENT_BYTES = 32;
/** Signals of circomlib, and one of ours, that a circuit divides for, by the names that the compiler gives them. */
const QUOTIENTS =
  /\.(lamda|inv|inverse|[xy]out|cAdd\.[xy]\d|adders\[\d+\]\.[xy]\d|eadder\.[xy]\d|dblIn\[[01]\]|m2e\[\d+\]\.out\[[01]\])$/;

const engines = availableEngines(1);
const loaders = (['portable', 'wasm-relaxed', 'wasm-plain'] as const).flatMap((name) => {
  const load = engines[name]?.().loadProgram;
  return load === undefined ? [] : [{ name, load }];
});

/** One word of little-endian 32 bits after another. */
const encoded = (words: readonly number[]) => new Uint8Array(Uint32Array.from(words).buffer);

type Parts = {
  readonly counts?: Partial<Record<'version' | 'wires' | 'slots', number>>;
  readonly inputs?: readonly number[];
  readonly constants?: readonly bigint[];
  readonly steps?: readonly number[];
};

const ONES = [1n, FIELD_MODULUS - 1n];

/** Wires: 1, an input, and a wire that is to be made. */
function program({ counts = {}, inputs = [1], constants = ONES, steps = [] }: Parts): Uint8Array {
  const { version = 1, wires = 3, slots = 4 } = counts;
  const head = encoded([version, wires, inputs.length, slots, constants.length, steps.length, ...inputs]);
  return new Uint8Array([...head, ...toBytes(constants), ...encoded(steps)]);
}

const SQUARE = [1, 2, 1, 1];

describe('programs for witnesses', function () {
  this.timeout(60_000);

  for (const { name, load } of loaders) {
    const run = (steps: readonly number[], input: bigint, more: Parts = {}) =>
      new Uint8Array(load(program({ ...more, steps }))(toBytes([input])));
    const made = (value: bigint, input: bigint) => toBytes([1n, input, value]);

    describe(name, () => {
      it('make the witnesses that circom makes, of every circuit', () => {
        const statements = makeStatements('witness');
        for (const circuit of CIRCUITS) new BothWays(circuit, load).compute(statements[circuit]);
      });

      it('sum, multiply and divide', () => {
        const max = FIELD_MODULUS - 1n;
        assert.deepEqual(run(SQUARE, max), made(1n, max));
        // More terms than share a reduction, the largest of all.
        const terms = [[0, 0], [1, 1], ...new Array<number[]>(12).fill([1, 2])];
        const sum = run([0, 2, terms.length, ...terms.flat()], max, { constants: [...ONES, max] });
        assert.deepEqual(sum, made((1n - max + 12n * max * max) % FIELD_MODULUS, max));
        assert.deepEqual(run([2, 2, 0, 1], 2n), made((FIELD_MODULUS + 1n) / 2n, 2n));
        assert.deepEqual(run([2, 2, 1, 1], 0n), made(0n, 0n));
        assert.throws(() => run([2, 2, 0, 1], 0n), { code: 'STATEMENT_FALSE' });
      });

      it('split numbers that have no other bits', () => {
        const split = [3, 1, 2, 2, 0xffffffff];
        assert.deepEqual(run(split, 3n), made(1n, 3n));
        assert.deepEqual(run(split, 2n), made(0n, 2n));
        assert.throws(() => run(split, 4n), { code: 'STATEMENT_FALSE' });
        assert.throws(() => run(split, FIELD_MODULUS - 1n), { code: 'STATEMENT_FALSE' });
        assert.throws(() => run([3, 1, 2, 2, 0xfffffffe], 2n), { code: 'STATEMENT_FALSE' });
      });

      it('ask whether a number is 0, and compare', () => {
        assert.deepEqual(run([4, 2, 1], 0n), made(1n, 0n));
        assert.deepEqual(run([4, 2, 1], 5n), made(0n, 5n));
        assert.deepEqual(run([...SQUARE, 5, 1, 2], 1n), made(1n, 1n));
        assert.throws(() => run([...SQUARE, 5, 1, 2], 2n), { code: 'STATEMENT_FALSE' });
      });

      it('are refused where they are not whole, or need what is not there', () => {
        const bad: Readonly<Record<string, Uint8Array>> = {
          nothing: new Uint8Array(),
          'another version': program({ counts: { version: 2 }, steps: SQUARE }),
          'a byte less': program({ steps: SQUARE }).subarray(1, -1),
          'a byte more': new Uint8Array([...program({ steps: SQUARE }), 0]),
          'no wires': program({ counts: { wires: 0 }, steps: SQUARE }),
          'more wires than slots': program({ counts: { wires: 5 }, steps: SQUARE }),
          'so many slots': program({ counts: { slots: 2 ** 31 }, steps: SQUARE }),
          'a wire that is not made': program({}),
          'a wire that is made twice': program({ steps: [...SQUARE, ...SQUARE] }),
          'an input that is made again': program({ steps: [...SQUARE, 4, 1, 2] }),
          'the 1 that is made again': program({ steps: [...SQUARE, 4, 0, 1] }),
          'an input in the place of the 1': program({ inputs: [0], steps: [...SQUARE] }),
          'an input in no place': program({ inputs: [4], steps: SQUARE }),
          'a value that comes later': program({ steps: [1, 2, 3, 1, 4, 3, 1] }),
          'a value in no slot': program({ steps: [1, 2, 4, 1] }),
          'a target in no slot': program({ steps: [...SQUARE, 4, 4, 1] }),
          'a sum of what is not there': program({ steps: [0, 2, 1, 3, 0] }),
          'no such constant': program({ steps: [0, 2, 1, 1, 2] }),
          'a constant that is no element': program({ constants: [...ONES, FIELD_MODULUS], steps: SQUARE }),
          'other constants first': program({ constants: [1n, 2n], steps: SQUARE }),
          'no constants': program({ constants: [], steps: SQUARE }),
          'a sum that ends early': program({ steps: [...SQUARE, 0, 3, 0xffffffff] }),
          // Its length in words is 3 modulo 2^32, and what lies behind it in memory looks like terms.
          'a sum of more terms than can be counted': program({
            counts: { wires: 2, slots: 500 },
            constants: [...ONES, ...new Array<bigint>(600).fill(5n)],
            steps: [5, 0, 0, 5, 0, 0, 0, 2, 2 ** 31],
          }),
          'a step that ends early': program({ steps: [...SQUARE, 1, 3] }),
          'too many bits': program({ steps: [3, 1, 255, 2, ...new Array<number>(254).fill(0xffffffff)] }),
          'a comparison with nothing': program({ steps: [...SQUARE, 5, 1, 3] }),
          'no such step': program({ steps: [...SQUARE, 6, 1, 1] }),
        };
        for (const [why, file] of Object.entries(bad)) assert.throws(() => load(file), { code: 'KEY_REFUSED' }, why);
      });

      it('take all inputs, and elements alone', () => {
        const square = load(program({ steps: SQUARE }));
        assert.throws(() => square(toBytes([])), /expected/);
        assert.throws(() => square(toBytes([1n, 1n])), /expected/);
        assert.throws(() => square(toBytes([FIELD_MODULUS])), { code: 'WITNESS_REFUSED' });
      });
    });
  }

  it('want the inputs that circom wants, by their names', () => {
    const both = new BothWays('transfer');
    const statement = makeStatements('witness').transfer;
    const { root: _, ...rootless } = statement;
    for (const input of [
      {},
      rootless,
      { ...statement, root: [1n, 2n] },
      { ...statement, root: FIELD_MODULUS },
      { ...statement, root: -1n },
    ]) {
      assert.throws(() => both.compute(input), RangeError);
    }
    const { load } = loaders[0] as { load: NonNullable<Engine['loadProgram']> };
    const generator = new ProgramWitness(readFileSync(circuitFiles(ROOT, 'transfer').program), load);
    assert.throws(() => generator.compute({ ...statement, other: 1n }), /signal other: expected 0 values, got 1/);
    assert.throws(() => new ProgramWitness(program({ steps: SQUARE }), load), { code: 'KEY_REFUSED' });
  });

  it('compare an input that the constraints do without', () => {
    const both = new BothWays('transfer');
    const statement = makeStatements('witness').transfer;
    const outputValue = [...(statement['outputValue'] as bigint[])];
    outputValue[2] = (outputValue[2] as bigint) + 1n;
    assert.throws(() => both.compute({ ...statement, outputValue }), { code: 'STATEMENT_FALSE' });
  });

  // Where both are 0 a quotient is what the circuit's own division gives: of a wire that is computed forwards it could be anything else.
  it('divide for those wires alone that the circuit divides for', () => {
    for (const circuit of CIRCUITS) {
      const files = circuitFiles(ROOT, circuit);
      const symbols = readFileSync(files.symbols, 'utf8').split('\n');
      const names = new Map(symbols.map((line) => line.split(',')).map(([, wire, , name]) => [Number(wire), name]));
      const file = readFileSync(files.program);
      const body = file.subarray(file.indexOf(LINE_END) + 1);
      const word = (at: number) => body.readUInt32LE(at * WORD_BYTES);
      let at = 6 + word(2) + (word(4) * ELEMENT_BYTES) / WORD_BYTES;
      const end = at + word(5);
      while (at < end) {
        const [kind, target, count] = [word(at), word(at + 1), word(at + 2)];
        if (kind === 2) assert.match(names.get(target) ?? '', QUOTIENTS, circuit);
        at += kind === 0 ? 3 + 2 * count : kind === 3 ? 3 + count : kind === 1 || kind === 2 ? 4 : 3;
      }
      assert.equal(at, end);
    }
  });
});
