import { runInvariants } from '../support/poolSteps.ts';

describe('invariants of the pool', () => {
  it('hold after each of 1,000 random steps, and everybody can leave', async function () {
    this.timeout(600_000);
    await runInvariants({ seed: process.env['BITCLOAK_SEED'] ?? 'invariants', steps: 1_000 });
  });
});
