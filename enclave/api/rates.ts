/** How much a key may do: `perSecond` for ever, and so much at once as `burst` says. */
export type Rate = { readonly perSecond: number; readonly burst: number };

type Bucket = { left: number; filledAt: number };

/** Keys that have not asked for long are forgotten once there are more. */
const KEYS_KEPT = 10_000;

/** Counts what each of some keys does, and says when it is too much. */
export class Rates<Key> {
  readonly #rate: Rate;
  readonly #buckets = new Map<Key, Bucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** @param now milliseconds of a clock that never goes back. */
  take(key: Key, now: number): boolean {
    const { perSecond, burst } = this.#rate;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= KEYS_KEPT) this.#forgetFull(now);
      bucket = { left: burst, filledAt: now };
      this.#buckets.set(key, bucket);
    }
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.filledAt) / 1000) * perSecond);
    bucket.filledAt = now;
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }

  /** What a key was let do took as much as so many more. It may come to owe up to a burst, so that nobody waits for long. */
  spend(key: Key, count: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.left = Math.max(-this.#rate.burst, bucket.left - count);
  }

  #forgetFull(now: number): void {
    const { perSecond, burst } = this.#rate;
    for (const [key, { left, filledAt }] of this.#buckets) {
      if (left + ((now - filledAt) / 1000) * perSecond >= burst) this.#buckets.delete(key);
    }
  }
}
