type Watch = { readonly ms: number; lastSeen: number; timer: NodeJS.Timeout | undefined };

/**
 * Calls for every owner who asked for it, once nothing was heard of him for as long as he said. It lives in memory, and ends with its call: who has
 * set it may be gone for good, and what the owner does later is not his.
 */
export class DeadMan {
  readonly #watches = new Map<bigint, Watch>();
  readonly #onSilence: (owner: bigint) => void;

  constructor(onSilence: (owner: bigint) => void) {
    this.#onSilence = onSilence;
  }

  /** @param seconds 0 for never. */
  set(owner: bigint, seconds: number): void {
    clearTimeout(this.#watches.get(owner)?.timer);
    this.#watches.delete(owner);
    if (seconds === 0) return;
    const watch: Watch = { ms: seconds * 1000, lastSeen: performance.now(), timer: undefined };
    this.#watches.set(owner, watch);
    this.#arm(owner, watch, watch.ms);
  }

  /** Something was heard of an owner. */
  touch(owner: bigint): void {
    const watch = this.#watches.get(owner);
    if (watch !== undefined) watch.lastSeen = performance.now();
  }

  /** Ends all watches. @returns the owners over whom nobody watches from now on. */
  close(): bigint[] {
    const owners = [...this.#watches.keys()];
    for (const { timer } of this.#watches.values()) clearTimeout(timer);
    this.#watches.clear();
    return owners;
  }

  #arm(owner: bigint, watch: Watch, ms: number): void {
    watch.timer = setTimeout(() => {
      // Timers are not moved with every request; this one may find that something was heard meanwhile.
      const left = watch.lastSeen + watch.ms - performance.now();
      if (left > 0) return this.#arm(owner, watch, Math.ceil(left));
      this.#watches.delete(owner);
      this.#onSilence(owner);
    }, ms).unref();
  }
}
