// Random commands for the matching engine: few prices, accounts and lots, so that orders meet in every way there is.
import { ORDER_TYPES, SELF_TRADES, SIDES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';
import type { Command, NewOrder } from '../../../enclave/engine/commands.ts';

/** Draws that a number determines; a good deal faster than hashing, and there are millions. */
export class QuickDice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 to below `bound`. */
  int(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  chance(percent: number): boolean {
    return this.int(100) < percent;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.int(choices.length)] as T;
  }
}

/** What a run is like. */
export type Mood = {
  readonly markets: number;
  readonly accounts: number;
  /** Prices are 100 give or take this. */
  readonly spread: number;
  readonly lots: number;
  /** Percent of the orders. */
  readonly pegged: number;
  readonly icebergs: number;
  readonly minimums: number;
};

export function drawMood(dice: QuickDice): Mood {
  return {
    markets: 1 + dice.int(2),
    accounts: dice.pick([2, 4, 12]),
    spread: dice.pick([1, 3, 10]),
    lots: dice.pick([3, 12, 40]),
    pegged: dice.pick([0, 10, 40]),
    icebergs: dice.pick([0, 10, 40]),
    minimums: dice.pick([0, 10, 40]),
  };
}

export class RandomCommands {
  readonly #dice: QuickDice;
  readonly #mood: Mood;
  #now = 1;
  #reference = 100;

  constructor(dice: QuickDice, mood: Mood) {
    this.#dice = dice;
    this.#mood = mood;
  }

  /** Commands that set the stage. */
  first(): Command[] {
    return Array.from({ length: this.#mood.markets }, (_, market) => ({
      kind: 'addMarket' as const,
      market: market * 3,
      ticksMax: 1000,
      lotsMin: 1,
      lotsMax: 5000,
      referenceSecondsMax: 30,
      referenceMoveMax: 200,
      trading: !this.#dice.chance(3),
    }));
  }

  /** @param open orders that rest, with their accounts. */
  next(open: readonly { order: number; account: number; price: number; open: number; filled: number }[]): Command {
    const dice = this.#dice;
    const kind = dice.int(100);
    const market = this.#market();
    if (kind < 55 || open.length === 0) return { kind: 'submit', ...this.#order(market) };
    const chosen = dice.chance(3)
      ? { order: dice.int(500), account: 0, price: 100, open: 1, filled: 0 }
      : dice.pick(open);
    const account = dice.chance(4) ? this.#account() : chosen.account;
    if (kind < 65) return { kind: 'cancel', account, order: chosen.order };
    if (kind < 80) {
      const price = dice.chance(50) ? chosen.price : this.#price();
      const lots = chosen.filled + (dice.chance(60) ? dice.int(chosen.open + 1) : this.#lots());
      return { kind: 'amend', account, order: chosen.order, price, lots };
    }
    if (kind < 82) {
      const reason = dice.pick(['funds', 'takenBack', 'unsettleable', 'fillsMax'] as const);
      return { kind: 'drop', order: chosen.order, reason };
    }
    if (kind < 90) return this.#moveTime();
    if (kind < 97) return this.#moveReference(market);
    if (kind < 98) return { kind: 'cancelAll', account: this.#account(), ...(dice.chance(50) ? { market } : {}) };
    if (kind < 99) return { kind: 'setTrading', market, trading: dice.chance(90) };
    return this.#addMarket(market);
  }

  #market(): number {
    return this.#dice.chance(1) ? this.#dice.int(5) : this.#dice.int(this.#mood.markets) * 3;
  }

  #account(): number {
    return 1 + this.#dice.int(this.#mood.accounts);
  }

  #price(): number {
    const { spread } = this.#mood;
    return 100 - spread + this.#dice.int(2 * spread + 1);
  }

  #lots(): number {
    return 1 + this.#dice.int(this.#mood.lots);
  }

  #order(market: number): NewOrder {
    const dice = this.#dice;
    const mood = this.#mood;
    const lots = this.#lots();
    const timeInForce = dice.pick(['gtc', 'gtc', 'gtc', ...TIMES_IN_FORCE] as const);
    const rests = timeInForce === 'gtc' || timeInForce === 'gtd';
    const isOdd = dice.chance(3);
    const display = (rests || isOdd) && dice.chance(mood.icebergs) ? 1 + dice.int(lots) : 0;
    const type = dice.chance(mood.pegged) ? 'pegged' : dice.pick(rests ? (['limit'] as const) : ORDER_TYPES);
    const order: NewOrder = {
      market,
      account: this.#account(),
      side: dice.pick(SIDES),
      type,
      price: this.#price(),
      lots,
      timeInForce,
      selfTrade: dice.pick(SELF_TRADES),
      ...(timeInForce === 'gtd' ? { expiry: this.#now + dice.int(8) } : {}),
      ...(display > 0 ? { display } : {}),
      ...((type === 'limit' && rests && dice.chance(10)) || isOdd ? { postOnly: true } : {}),
      ...(dice.chance(mood.minimums) ? { minimumMatch: dice.int((display || lots) + 1) } : {}),
      ...((timeInForce !== 'fok' || isOdd) && dice.chance(mood.minimums) ? { minimumTotal: dice.int(lots + 1) } : {}),
    };
    return dice.chance(2) ? { ...order, ...this.#mistake() } : order;
  }

  #mistake(): Partial<NewOrder> {
    const numbers = [0, -1, 1.5, NaN, 1001, 5001, 2 ** 31, 2 ** 53];
    const field = this.#dice.pick([
      'account',
      'price',
      'lots',
      'expiry',
      'display',
      'minimumTotal',
      'minimumMatch',
      'market',
    ] as const);
    return { [field]: this.#dice.pick(numbers) };
  }

  #moveTime(): Command {
    if (this.#dice.chance(3)) return { kind: 'setTime', time: this.#dice.pick([0, -1, this.#now + 0.5]) };
    this.#now += this.#dice.chance(10) ? 40 : this.#dice.int(4);
    return { kind: 'setTime', time: this.#now };
  }

  #moveReference(market: number): Command {
    const dice = this.#dice;
    // Two percent are allowed, so that a step of one or two is steady and a step of three is not.
    this.#reference = Math.max(90, Math.min(110, this.#reference - 1 + dice.int(3) + (dice.chance(10) ? 3 : 0)));
    const time = dice.chance(3) ? this.#now + 1 : this.#now - dice.int(2);
    return { kind: 'setReference', market, ticks: dice.chance(2) ? 0 : this.#reference, time };
  }

  #addMarket(market: number): Command {
    const rules = { ticksMax: 1000, lotsMin: 1, lotsMax: 5000, referenceSecondsMax: 30, referenceMoveMax: 200 };
    return { kind: 'addMarket', market, ...rules, ...(this.#dice.chance(50) ? { lotsMin: 0 } : {}), trading: true };
  }
}
