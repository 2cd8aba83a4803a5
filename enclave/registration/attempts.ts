/** Looks that pass at most between two attempts. */
const LOOKS_MAX = 16;
/** Evidence is renewed when half of its time is left; so many attempts have to fit into that half. */
const ATTEMPTS_MIN = 32;

/**
 * Tries something at every look until it fails, and then more rarely with each failure in a row: after one, two, four looks, up to sixteen. Attestors who refuse for
 * days are not asked each minute.
 */
export class Attempts {
  readonly #looksMax: number;
  #failures = 0;
  #left = 0;

  private constructor(looksMax: number) {
    this.#looksMax = looksMax;
  }

  /** For what evidence that is asked to hold for so long takes. @param lookMs from one look to the next. */
  static toRenew(evidenceSeconds: number, lookMs: number): Attempts {
    const looks = Math.floor((evidenceSeconds * 1000) / 2 / lookMs);
    return new Attempts(Math.max(1, Math.min(LOOKS_MAX, Math.floor(looks / ATTEMPTS_MIN))));
  }

  /** One look. Throws what the work throws. */
  async look(work: () => Promise<unknown>): Promise<void> {
    if (this.#left > 0) {
      this.#left--;
      return;
    }
    try {
      await work();
      this.#failures = 0;
    } catch (error) {
      this.#left = Math.min(2 ** this.#failures, this.#looksMax) - 1;
      this.#failures++;
      throw error;
    }
  }
}
