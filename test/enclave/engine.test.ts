import assert from 'node:assert/strict';
import { REASONS } from '@bitcloak/protocol/orders';
import { REJECTIONS } from '../../enclave/engine/codes.ts';
import { runTwins, type Tally } from '../support/engine/run.ts';

const SEED = Number(process.env['BITCLOAK_SEED'] ?? 20261125);

/** What a comparison that means anything has seen; what is missing here the rules' own tests see. */
const HAPPENS = [
  ...[
    'marketAdded',
    'tradingSet',
    'referenceSet',
    'timeSet',
    'accepted',
    'amended',
    'traded',
    'traded pegged',
    'refreshed',
  ],
  // The twin knows no bound of how many others an order meets, and nothing here comes near it.
  ...REASONS.filter((reason) => reason !== 'matchesMax').map((reason) => `cancelled ${reason}`),
  'reduced selfTrade',
  ...REJECTIONS.filter((reason) => !['codeInvalid', 'notionalInvalid', 'engineFull'].includes(reason)).map(
    (reason) => `rejected ${reason}`,
  ),
];

describe('the matching engine and its naive twin', function () {
  this.timeout(60_000);

  it('do the same in many short runs, in which everything happens', () => {
    const total: Tally = {};
    for (let run = 0; run < 600; run++) {
      for (const [name, count] of Object.entries(runTwins(SEED + run, 250)))
        total[name] = (total[name] ?? 0) + (count ?? 0);
    }
    for (const name of HAPPENS) assert.ok((total[name] ?? 0) >= 20, `${name} happened ${total[name] ?? 0} times`);
  });

  it('do the same in long runs', () => {
    for (let run = 0; run < 5; run++) runTwins(SEED - 1 - run, 10_000);
  });
});
