import path from 'node:path';
import Mocha from 'mocha';
import { circuitNames } from '../../scripts/compileCircuits.mjs';
import { proofCounts } from './proofCounts.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const OPEN_MS_MAX = 30_000;

/**
 * Mocha's spec reporter, then how the proofs came about, then as the last line the counts that `.ci/run` ends with. A full run in which a
 * circuit was not proven once has failed, and so has one that cannot end because a test left something open.
 */
export default class CountingReporter extends Mocha.reporters.Spec {
  readonly #isFullRun: boolean;
  readonly #openMsMax: number;

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    this.#isFullRun = process.env['BITCLOAK_FULL_RUN'] === '1' && options.grep === undefined;
    const { openMsMax } = (options.reporterOptions ?? {}) as { openMsMax?: string };
    this.#openMsMax = openMsMax === undefined ? OPEN_MS_MAX : Number(openMsMax);
  }

  /** Mocha calls this at the very end; what goes to `finish` becomes the exit status. */
  override done(failures: number, finish: (failures: number) => void): void {
    const fresh = Object.entries(proofCounts.fresh).map(([circuit, count]) => `${circuit} ${count}`);
    const { cached, doubled } = proofCounts;
    console.log(`proofs: fresh ${fresh.join(', ') || 'none'}; ${cached} cached; ${doubled} doubled`);
    const unproven = this.#isFullRun ? circuitNames(ROOT).filter((circuit) => !proofCounts.fresh[circuit]) : [];
    for (const circuit of unproven) console.log(`circuit ${circuit} was not proven once in a full run`);

    const failed = failures + unproven.length;
    this.#printCounts(failed);
    finish(failed);
    // Node ends by itself once nothing is open; the timer alone does not keep it.
    setTimeout(() => {
      this.#endByForce(failed + 1);
    }, this.#openMsMax).unref();
  }

  #printCounts(failed: number): void {
    const { passes, pending } = this.stats;
    console.log(`${passes} passed, ${failed} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
  }

  #endByForce(failed: number): void {
    const open = process.getActiveResourcesInfo().join(', ');
    console.log(`the tests are over, but something that they left open keeps the process: ${open}`);
    this.#printCounts(failed);
    // Mocha sets its own status when the process exits: this comes after it.
    process.once('exit', () => {
      process.exitCode = 1;
    });
    process.exit();
  }
}
