import path from 'node:path';
import Mocha from 'mocha';
import { circuitNames } from '../../scripts/compileCircuits.mjs';
import { proofCounts } from './proofCounts.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

/**
 * Mocha's spec reporter, then how the proofs came about, then as the last line the counts that `.ci/run` ends with. A full run in which a
 * circuit was not proven once has failed.
 */
export default class CountingReporter extends Mocha.reporters.Spec {
  readonly #unprovenCircuitsFail: boolean;

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    this.#unprovenCircuitsFail = process.env['BITCLOAK_FULL_RUN'] === '1' && options.grep === undefined;
  }

  /** Mocha calls this at the very end; what goes to `finish` becomes the exit status. */
  override done(failures: number, finish: (failures: number) => void): void {
    const unproven = this.#unprovenCircuitsFail
      ? circuitNames(ROOT).filter((circuit) => (proofCounts.fresh[circuit] ?? 0) === 0)
      : [];
    const fresh = Object.entries(proofCounts.fresh).map(([circuit, count]) => `${circuit} ${count}`);
    const { cached, doubled } = proofCounts;
    console.log(`proofs: fresh ${fresh.join(', ') || 'none'}; ${cached} cached; ${doubled} doubled`);
    for (const circuit of unproven) console.log(`circuit ${circuit} was not proven once in a full run`);

    const failed = failures + unproven.length;
    const { passes, pending } = this.stats;
    console.log(`${passes} passed, ${failed} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
    finish(failed);
  }
}
