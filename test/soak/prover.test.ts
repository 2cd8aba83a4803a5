import assert from 'node:assert/strict';
import { COMPILER } from '../support/compiler.ts';
import { fuzzProver } from '../support/fuzzProver.ts';

describe('the prover under sanitizers, at full length', function () {
  this.timeout(3_600_000);

  it('reads whatever damaged keys and witnesses without harm, in each backend', function () {
    if (COMPILER === undefined) this.skip();
    const counts = fuzzProver(2_000, { withVectors: true });
    assert(
      counts.slice(0, 7).every((count) => count > 0),
      counts.join(' '),
    );
  });
});
