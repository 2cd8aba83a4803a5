import { runInvariants } from '../support/poolWalk.ts';

// The same seed takes the same steps: a failure names its seed, and BITCLOAK_SEED takes it again.
const SEED = process.env['BITCLOAK_SEED'] ?? 'invariants';

describe('invariants of the pool', () => {
  it('hold after each of 1,000 random steps, and everybody can leave', async function () {
    this.timeout(600_000);
    await runInvariants({ seed: SEED, steps: 1_000 });
  });
});
