import { SEQUENCE_WINDOW } from '@bitcloak/trading/sealing';

/** Which sequences of a session were used. They may come in any order within the window, and each once. */
export class Sequences {
  #highest = 0;
  /** Of the newest SEQUENCE_WINDOW sequences, each in the place of its remainder. */
  readonly #used = new Uint8Array(SEQUENCE_WINDOW);

  /** Uses a sequence; false where it was used, or may have been. */
  take(sequence: number): boolean {
    if (sequence > this.#highest) {
      const skipped = sequence - this.#highest;
      if (skipped >= SEQUENCE_WINDOW) this.#used.fill(0);
      else for (let next = this.#highest + 1; next < sequence; next++) this.#used[next % SEQUENCE_WINDOW] = 0;
      this.#highest = sequence;
      this.#used[sequence % SEQUENCE_WINDOW] = 1;
      return true;
    }
    const place = sequence % SEQUENCE_WINDOW;
    if (sequence <= this.#highest - SEQUENCE_WINDOW || sequence < 1 || this.#used[place] === 1) return false;
    this.#used[place] = 1;
    return true;
  }

  /** Uses all before a sequence that their client does not wait for any more: whoever held them back keeps them. */
  leave(sequence: number, isAwaited: (earlier: number) => boolean): void {
    const first = Math.max(1, sequence - SEQUENCE_WINDOW, this.#highest - SEQUENCE_WINDOW + 1);
    for (let earlier = first; earlier < sequence; earlier++) {
      const place = earlier % SEQUENCE_WINDOW;
      if (this.#used[place] === 0 && !isAwaited(earlier)) this.#used[place] = 1;
    }
  }
}
