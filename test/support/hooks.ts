import { terminateProver } from '@bitcloak/prover/prover';
import { beginFile, endFile } from './reporterWorkers.ts';

export const mochaHooks = {
  beforeAll: beginFile,
  // Mocha ends by itself once nothing runs any more, and snarkjs keeps its threads until it is told.
  afterAll: [terminateProver, endFile],
};
