import assert from 'node:assert/strict';
import { Simulation } from '../support/simulation.ts';

// BITCLOAK_SEED takes one seed or several with commas between them.
const COMMANDS = Number(process.env['BITCLOAK_COMMANDS'] ?? 10_000);
const SEEDS = process.env['BITCLOAK_SEED']?.split(',') ?? ['soak 1', 'soak 2'];

describe('an operator that dies again and again over a long time', () => {
  for (const seed of SEEDS) {
    it(`loses nothing in ${COMMANDS} commands of seed ${seed}`, async function () {
      this.timeout(0);
      const { trades, withdrawals, settledMatches } = await Simulation.run({ seed, commands: COMMANDS, traders: 6 });
      assert.equal(settledMatches, trades + withdrawals);
    });
  }
});
