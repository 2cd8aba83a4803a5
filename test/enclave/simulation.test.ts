import assert from 'node:assert/strict';
import { Simulation } from '../support/simulation.ts';

// The same seed takes the same steps: a failure names its seed, and BITCLOAK_SEED takes it again.
const SEED = process.env['BITCLOAK_SEED'] ?? 'simulation';
const COMMANDS = Number(process.env['BITCLOAK_COMMANDS'] ?? 10_000);

describe('an operator that dies again and again', function () {
  this.timeout(600_000);

  it(`loses nothing in ${COMMANDS} commands (seed ${SEED})`, async () => {
    const outcome = await Simulation.run({ seed: SEED, commands: COMMANDS, traders: 5 });
    console.log(outcome);
    assert.ok(outcome.crashes > COMMANDS / 200, `${outcome.crashes} deaths`);
  });
});
