import { SeededRandom } from './circuit.ts';

/** Draws that a seed determines. */
export class Dice {
  readonly random: SeededRandom;

  constructor(seed: string) {
    this.random = new SeededRandom(seed);
  }

  /** Uniform from 0 to below `bound`. */
  int(bound: number): number {
    return Number(this.random.below(BigInt(bound)));
  }

  /** Uniform between both, included. */
  between(low: bigint, high: bigint): bigint {
    return low + this.random.below(high - low + 1n);
  }

  chance(wins: number, outOf: number): boolean {
    return this.int(outOf) < wins;
  }

  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('there is nothing to choose from');
    return choices[this.int(choices.length)] as T;
  }

  pickIfAny<T>(choices: readonly T[]): T | undefined {
    return choices.length === 0 ? undefined : this.pick(choices);
  }

  /** In an order of its own. */
  shuffled<T>(choices: readonly T[]): T[] {
    const rest = [...choices];
    return choices.map(() => rest.splice(this.int(rest.length), 1)[0] as T);
  }
}
