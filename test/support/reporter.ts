import path from 'node:path';
import Mocha from 'mocha';
import { circuitNames } from '../../scripts/compileCircuits.mjs';
import { proofCounts } from './proofCounts.ts';
import { announceNone, announceWorkers, type WorkerResults } from './reporterWorkers.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const OPEN_MS_MAX = 30_000;

/**
 * A suite that bails shall end itself, as it has in its own process by now. Where mocha sees the mark after a failure, it ends the whole run
 * and leaves the other files out; it looks only once its listeners have seen the suite.
 */
function keepBailsToTheirFiles(runner: Mocha.Runner): void {
  const { EVENT_SUITE_BEGIN, EVENT_SUITE_END } = Mocha.Runner.constants;
  for (const event of [EVENT_SUITE_BEGIN, EVENT_SUITE_END] as const) {
    runner.on(event, (suite: { _bail?: boolean }) => {
      suite._bail = false;
    });
  }
}

/**
 * Mocha's spec reporter, then how the proofs came about, then what was skipped, then as the last line the counts that `.ci/run` ends with. A full run in which a
 * circuit was not proven once has failed, and so has one that cannot end because a test left something open. In a parallel run the proofs
 * are those of all its processes, and what a file left open is a failure of that file.
 */
export default class CountingReporter extends Mocha.reporters.Spec {
  readonly #isFullRun: boolean;
  readonly #openMsMax: number;
  readonly #takeResults: () => WorkerResults;
  readonly #skipped: string[] = [];
  #isOver = false;

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    this.#isFullRun = process.env['BITCLOAK_FULL_RUN'] === '1' && options.grep === undefined;
    const { openMsMax } = (options.reporterOptions ?? {}) as { openMsMax?: string };
    this.#openMsMax = openMsMax === undefined ? OPEN_MS_MAX : Number(openMsMax);
    // Mocha starts the processes of a parallel run after this, and gives them this one's environment. For one job it starts none.
    if (options.parallel === true && (options.jobs ?? 2) > 1) {
      this.#takeResults = announceWorkers(this.#openMsMax);
      keepBailsToTheirFiles(runner);
    } else {
      announceNone();
      this.#takeResults = () => ({ proofs: proofCounts, breakdowns: 0 });
    }
    runner.on(Mocha.Runner.constants.EVENT_TEST_PENDING, (test: Mocha.Test) => this.#skipped.push(test.fullTitle()));
    // A test that ends the process, or one of the others that mocha waits for in vain, must not look like a success.
    process.once('exit', () => {
      if (this.#isOver) return;
      this.#takeResults();
      console.log('the tests broke off before their end');
      process.exitCode = 1;
    });
  }

  /** Mocha calls this at the very end; what goes to `finish` becomes the exit status. */
  override done(failures: number, finish: (failures: number) => void): void {
    this.#isOver = true;
    const { proofs, breakdowns } = this.#takeResults();
    const fresh = Object.entries(proofs.fresh).map(([circuit, count]) => `${circuit} ${count}`);
    console.log(`proofs: fresh ${fresh.join(', ') || 'none'}; ${proofs.cached} cached; ${proofs.doubled} doubled`);
    const unproven = this.#isFullRun ? circuitNames(ROOT).filter((circuit) => !proofs.fresh[circuit]) : [];
    for (const circuit of unproven) console.log(`circuit ${circuit} was not proven once in a full run`);
    if (breakdowns > 0) console.log(`processes that broke down: ${breakdowns}; what they say is above`);

    for (const title of this.#skipped) console.log(`skipped: ${title}`);

    const failed = failures + unproven.length + breakdowns;
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
