import { BASIS_POINTS } from '@bitcloak/protocol/orders';
import { digest, SUBJECT, WEIGHTS_HIGH, WEIGHTS_LOW, type DigestSum } from './hash.ts';
import { isIntegerWithin, LOTS_MAX, MARKETS_MAX, SECONDS_MAX, TICKS_MAX } from './limits.ts';

/** What a market is set up with. */
export type MarketRules = {
  /** The market's number. */
  readonly market: number;
  /** The highest price. */
  readonly ticksMax: number;
  /** The smallest and the largest quantity of an order. */
  readonly lotsMin: number;
  readonly lotsMax: number;
  /** Pegged orders execute while the reference is at most so old. */
  readonly referenceSecondsMax: number;
  /** Pegged orders execute at a reference that is no further from the one before it, in basis points of that one. */
  readonly referenceMoveMax: number;
};

export type MarketState = MarketRules & {
  readonly trading: boolean;
  /** 0 as long as there is none. */
  readonly reference: number;
  readonly referenceTime: number;
  readonly referenceSteady: boolean;
};

export function areRulesValid(rules: MarketRules): boolean {
  return (
    isIntegerWithin(rules.market, 0, MARKETS_MAX - 1) &&
    isIntegerWithin(rules.ticksMax, 1, TICKS_MAX) &&
    isIntegerWithin(rules.lotsMax, 1, LOTS_MAX) &&
    isIntegerWithin(rules.lotsMin, 1, rules.lotsMax) &&
    isIntegerWithin(rules.referenceSecondsMax, 0, SECONDS_MAX) &&
    isIntegerWithin(rules.referenceMoveMax, 0, BASIS_POINTS)
  );
}

/**
 * A market's rules, whether it trades, and its reference price: whole ticks, so that who computes a midpoint also rounds it, and a market
 * in which half a tick matters has smaller ticks.
 *
 * The reference fails closed. It is steady when it lies within `referenceMoveMax` of the one before; only a steady one is used. The first,
 * and one that jumped, wait for a second that confirms them, which has to be of a later time: a repeated message confirms nothing.
 */
export class Market {
  readonly rules: MarketRules;
  trading: boolean;
  #reference: number;
  #referenceTime: number;
  #steady: boolean;

  constructor({ trading, reference, referenceTime, referenceSteady, ...rules }: MarketState) {
    this.rules = rules;
    this.trading = trading;
    this.#reference = reference;
    this.#referenceTime = referenceTime;
    this.#steady = referenceSteady;
  }

  isLaterReference(time: number): boolean {
    return this.#reference === 0 || time > this.#referenceTime;
  }

  setReference(ticks: number, time: number): void {
    const before = this.#reference;
    const move = Math.abs(ticks - before) * BASIS_POINTS;
    // The first is further from 0 than any share of 0.
    this.#steady = move <= before * this.rules.referenceMoveMax;
    this.#reference = ticks;
    this.#referenceTime = time;
  }

  get referenceTime(): number {
    return this.#referenceTime;
  }

  /** The price at which pegged orders execute at this time, or 0 where they do not. */
  referenceAt(now: number): number {
    if (!this.#steady || now - this.#referenceTime > this.rules.referenceSecondsMax) return 0;
    return this.#reference;
  }

  state(): MarketState {
    return {
      ...this.rules,
      trading: this.trading,
      reference: this.#reference,
      referenceTime: this.#referenceTime,
      referenceSteady: this.#steady,
    };
  }

  addDigest(sum: DigestSum): void {
    const numbers = this.#numbers();
    sum.add(digest(WEIGHTS_LOW, numbers), digest(WEIGHTS_HIGH, numbers));
  }

  subtractDigest(sum: DigestSum): void {
    const numbers = this.#numbers();
    sum.subtract(digest(WEIGHTS_LOW, numbers), digest(WEIGHTS_HIGH, numbers));
  }

  #numbers(): number[] {
    const { market, ticksMax, lotsMin, lotsMax, referenceSecondsMax, referenceMoveMax } = this.rules;
    const rules = [market, ticksMax, lotsMin, lotsMax, referenceSecondsMax, referenceMoveMax];
    const reference = [this.#reference, this.#referenceTime, Number(this.#steady)];
    return [SUBJECT.market, ...rules, Number(this.trading), ...reference];
  }
}
