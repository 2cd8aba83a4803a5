import assert from 'node:assert/strict';
import { Simulation } from '../support/simulation.ts';

// The same seed takes the same steps: a failure names its seed, and BITCLOAK_SEED takes it again.
const SEED = process.env['BITCLOAK_SEED'] ?? 'simulation';
const COMMANDS = Number(process.env['BITCLOAK_COMMANDS'] ?? 1_000);

describe('an operator that dies again and again', function () {
  this.timeout(900_000);

  it(`loses nothing in ${COMMANDS} commands (seed ${SEED})`, async () => {
    const { crashes, accepted, trades, settledMatches, withdrawals } = await Simulation.run({
      seed: SEED,
      commands: COMMANDS,
      traders: 5,
    });
    assert.ok(crashes > COMMANDS / 100, `${crashes} deaths`);
    assert.ok(accepted > COMMANDS / 3, `${accepted} orders`);
    assert.ok(trades > COMMANDS / 100, `${trades} trades`);
    assert.ok(withdrawals > COMMANDS / 200, `${withdrawals} withdrawals`);
    assert.equal(settledMatches, trades + withdrawals, 'all that has matched was settled');
  });

  it('does the same again for the same seed', async () => {
    const options = { seed: `${SEED} again`, commands: 150, traders: 3 };
    assert.equal((await Simulation.run(options)).trace, (await Simulation.run(options)).trace);
  });
});
