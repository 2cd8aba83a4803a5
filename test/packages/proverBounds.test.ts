import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { COMPILER, withProgram } from '../support/compiler.ts';

describe('the limbs of the vector prover', function () {
  this.timeout(300_000);

  it('never round, whatever the operands, and sums of points stay within what is assumed of points', function () {
    if (COMPILER === undefined) this.skip();
    const output = withProgram([{ source: 'test/native/bounds.cpp' }], ['-O1'], (program) =>
      execFileSync(program, { encoding: 'utf8' }),
    );
    for (const name of ['product', 'square', 'reduction', 'quotient', 'abscissa', 'ordinate']) {
      assert.match(output, new RegExp(`^${name}: within \\d+\\.\\d+ P$`, 'm'));
    }
  });

  it('of whole numbers are never more than a multiplication reads, nor elements negative, whatever the operands', function () {
    if (COMPILER === undefined) this.skip();
    const output = withProgram([{ source: 'test/native/integerBounds.cpp' }], ['-O1'], (program) =>
      execFileSync(program, { encoding: 'utf8' }),
    );
    for (const name of ['product', 'square', 'reduction', 'quotient', 'abscissa', 'ordinate']) {
      assert.match(output, new RegExp(`^${name}: below \\d+\\.\\d+ P$`, 'm'));
    }
  });

  it('would be found out if they did: a check that is given larger operands fails', function () {
    if (COMPILER === undefined) this.skip();
    for (const [source, flag] of [
      // Limbs of twice the size, as if elements were not tidied.
      ['bounds', '-DTIDY_LIMB=0x1p51'],
      // More than the multiple of P that a difference adds.
      ['integerBounds', '-DSUBTRAHEND=4.1'],
    ] as const) {
      withProgram([{ source: `test/native/${source}.cpp` }], ['-O1', flag], (program) => {
        assert.throws(() => execFileSync(program, { stdio: ['ignore', 'pipe', 'ignore'] }), { status: 1 });
      });
    }
  });
});

describe('the digits of scalars', function () {
  this.timeout(300_000);

  it('hold whatever they are split into, for any number of points that a key may have', function () {
    if (COMPILER === undefined) this.skip();
    const output = withProgram([{ source: 'test/native/digits.cpp' }], ['-O1'], (program) =>
      execFileSync(program, { encoding: 'utf8' }),
    );
    assert.match(output, /^16777216 points: 15 bits$/m);
  });
});
