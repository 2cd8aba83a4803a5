// How the proofs of a run came about. A proof takes seconds, so tests share them: these counts show that every circuit was nevertheless
// really proven in the run.

export interface ProofCounts {
  /** Proofs made in this run, by circuit. */
  fresh: Record<string, number>;
  /** Proofs that an earlier run had made. */
  cached: number;
  /** Places where something else stood in for a proof. */
  doubled: number;
}

// The reporter and the tests may each load this module for themselves: the counts belong to the process.
const KEY = Symbol.for('bitcloak.test.proofCounts');
const shared = globalThis as unknown as Record<symbol, ProofCounts | undefined>;

export const proofCounts: ProofCounts = (shared[KEY] ??= { fresh: {}, cached: 0, doubled: 0 });

export function countFresh(circuit: string): void {
  proofCounts.fresh[circuit] = (proofCounts.fresh[circuit] ?? 0) + 1;
}

export function countCached(): void {
  proofCounts.cached += 1;
}

export function countDoubled(): void {
  proofCounts.doubled += 1;
}
