import { terminateProver } from '@bitcloak/prover/prover';

/** Mocha ends by itself once nothing runs any more, and snarkjs keeps its threads until it is told. */
export const mochaHooks = { afterAll: terminateProver };
