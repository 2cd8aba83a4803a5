import { runInvariants } from '../support/poolWalk.ts';

// BITCLOAK_SEED takes one seed or several with commas between them.
const STEPS = Number(process.env['BITCLOAK_STEPS'] ?? 10_000);
const SEEDS = process.env['BITCLOAK_SEED']?.split(',') ?? ['soak 1', 'soak 2', 'soak 3'];

describe('invariants of the pool over a long time', () => {
  for (const seed of SEEDS) {
    it(`hold after each of ${STEPS} random steps of seed ${seed}`, async function () {
      this.timeout(0);
      await runInvariants({ seed, steps: STEPS });
    });
  }
});
