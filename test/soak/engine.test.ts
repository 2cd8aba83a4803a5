import { runTwins } from '../support/engine/run.ts';

// BITCLOAK_SEED takes one seed or several with commas between them, of 4,000 runs each: a million commands.
const SEEDS = (process.env['BITCLOAK_SEED'] ?? '1000000,2000000').split(',').map(Number);
const RUNS = 4000;

describe('the matching engine and its naive twin over a long time', () => {
  for (const seed of SEEDS) {
    it(`do the same in ${RUNS} runs from seed ${seed} on`, function () {
      this.timeout(0);
      for (let run = 0; run < RUNS; run++) runTwins(seed + run, 250);
    });

    it(`do the same in long runs from seed ${seed} on`, function () {
      this.timeout(0);
      for (let run = 0; run < 10; run++) runTwins(seed + RUNS + run, 20_000);
    });
  }
});
