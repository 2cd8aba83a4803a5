import assert from 'node:assert/strict';
import { COMPILER } from '../support/compiler.ts';
import { fuzzProver } from '../support/fuzzProver.ts';

describe('the prover under sanitizers', function () {
  this.timeout(600_000);

  it('proves, and reads damaged keys and witnesses, without harm', function () {
    if (COMPILER === undefined) this.skip();
    // The vectors are as long as this to compile with checks: they have their turn in the soak.
    const counts = fuzzProver(24, { withAvx2: false });
    const [successes = 0, ...refusals] = counts;
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      24,
    );
    assert(successes > 0 && refusals.filter((count) => count > 0).length >= 3, counts.join(' '));
  });
});
