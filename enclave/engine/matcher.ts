import { REASON, SELF_TRADE, SIDE } from './codes.ts';
import type { Book } from './book.ts';
import type { Events } from './events.ts';
import { BEFORE_ALL, keyOf, ladderOf, marketOf, PEGGED_BIT, SELL_BIT } from './levels.ts';
import { MATCHES_MAX, PASSED_MAX, PEGGED_MATCHES_MAX } from './limits.ts';
import type { Market } from './market.ts';
import type { OrderRequest } from './request.ts';

const NONE = 0;
const SELL = SELL_BIT;
const PEGGED = PEGGED_BIT;

const { cancelNewest, cancelOldest, cancelBoth, decrement } = SELF_TRADE;

/** A part of what an order may take from: the levels of one ladder from behind a key up to another, in the order of their keys. */
class Stretch {
  ladder = 0;
  behind = BEFORE_ALL;
  upTo = 0;
  /** Where one of both orders is pegged, all trades have this price; otherwise it is 0, and each has its maker's. */
  reference = 0;
  referenceTime = 0;

  set(ladder: number, behind: number, upTo: number, reference: number, referenceTime: number): void {
    this.ladder = ladder;
    this.behind = behind;
    this.upTo = upTo;
    this.reference = reference;
    this.referenceTime = referenceTime;
  }
}

/** What of an order decides what it takes, beside its ladder and price. */
type Wish = Readonly<Pick<OrderRequest, 'account' | 'selfTrade' | 'minimumMatch' | 'lots'>>;

/** An order that only tries: what is left of it, and the slices that icebergs would show at the end of the queue. */
type Trial = Omit<Wish, 'lots'> & {
  open: number;
  executed: number;
  left: number;
  slices: { maker: number; open: number }[];
};

/**
 * Lets orders take from the book.
 *
 * A taker goes once through the orders that it may trade with: by price, at equal prices limit orders before pegged ones, pegged ones by
 * their limits, and orders of one price by rank. An iceberg's new slice stands at the end of its queue and is met again.
 *
 * A match is the smaller of what the taker has open and what the maker shows. Where it would be less than either one's minimum for a match,
 * the maker is passed over: it keeps its place and is not returned to. A minimum never counts for more than what the taker has open or the
 * maker shows. Where a match would take place between two orders of one account, the taker's way of preventing self-trade acts instead. After
 * MATCHES_MAX of either the taker takes no more.
 */
export class Matcher {
  readonly #book: Book;
  readonly #markets: readonly (Market | undefined)[];
  readonly #events: Events;
  readonly #stretches = [new Stretch(), new Stretch(), new Stretch()] as const;
  /** Matches that may still be made. */
  #left = 0;
  /** Orders that may still be passed over; then no match is made any more. */
  #passes = 0;

  constructor(book: Book, markets: readonly (Market | undefined)[], events: Events) {
    this.#book = book;
    this.#markets = markets;
    this.#events = events;
  }

  /**
   * Trades what can be traded. The order may stand in its queue or in none; it stays there, be it with nothing left open.
   *
   * @returns whether it met as many as it may: others that it would trade with may rest still.
   */
  take(taker: number): boolean {
    this.#left = MATCHES_MAX;
    this.#passes = PASSED_MAX;
    this.#take(taker);
    return this.#left === 0;
  }

  #take(taker: number): void {
    const { orders } = this.#book;
    const ladder = orders.ladder(taker);
    const price = orders.price(taker);
    if (this.#facesNobody(ladder, price)) return;
    const count = this.#plan(ladder, price);
    for (let index = 0; index < count; index++) this.#takeFrom(taker, this.#stretches[index]!);
  }

  /** Whether an order like this would match any other, be it one of its own account. */
  meets(ladder: number, price: number, open: number, minimum: number): boolean {
    const { levels, orders } = this.#book;
    const count = this.#plan(ladder, price);
    for (let index = 0; index < count; index++) {
      const stretch = this.#stretches[index]!;
      let level = levels.best(stretch.ladder);
      for (; level !== NONE && levels.key(level) <= stretch.upTo; level = levels.worse(level)) {
        if (levels.key(level) <= stretch.behind) continue;
        for (let maker = levels.head(level); maker !== NONE; maker = levels.next(maker)) {
          if (isMatch(open, minimum, orders.shown(maker), orders.minimumMatch(maker))) return true;
        }
      }
    }
    return false;
  }

  /** Whether the order would execute at least so many lots now: what `take` would do, without doing it. */
  executes(taker: number, needed: number): boolean {
    const { orders } = this.#book;
    const wish = this.wishOf(taker, orders.open(taker));
    return this.#try(orders.ladder(taker), orders.price(taker), wish, needed).executed >= needed;
  }

  /** What an order would take with so many lots open. */
  wishOf(order: number, lots: number): Wish {
    const { orders } = this.#book;
    const [account, selfTrade] = [orders.account(order), orders.selfTrade(order)];
    return { account, selfTrade, minimumMatch: orders.minimumMatch(order), lots };
  }

  /** How many matches `take` would make now of an order like this, those with orders of its own account included; none where it would not execute `needed` lots. */
  matches(ladder: number, price: number, wish: Wish, needed: number): number {
    if (this.#facesNobody(ladder, price)) return 0;
    const { executed, left } = this.#try(ladder, price, wish, Infinity);
    return executed < needed ? 0 : MATCHES_MAX - left;
  }

  /** Goes on until nothing is left of the order, or so many lots would be executed. */
  #try(ladder: number, price: number, { account, selfTrade, minimumMatch, lots }: Wish, enough: number): Trial {
    const { levels } = this.#book;
    const trial = { account, selfTrade, minimumMatch, open: lots, executed: 0, left: MATCHES_MAX, slices: [] };
    const count = this.#plan(ladder, price);
    for (let index = 0; index < count; index++) {
      const stretch = this.#stretches[index]!;
      let level = levels.best(stretch.ladder);
      for (; level !== NONE && levels.key(level) <= stretch.upTo; level = levels.worse(level)) {
        if (levels.key(level) > stretch.behind) this.#tryLevel(trial, levels.head(level));
        if (trial.executed >= enough || trial.open === 0 || trial.left === 0) return trial;
      }
    }
    return trial;
  }

  /**
   * After a new reference and when trading begins: pegged orders take as though each arrived anew, by limit and rank. Where buyers' limit
   * orders stand at the reference or beyond, pegged sells go first, since those come before pegged buys; otherwise pegged buys do. After
   * PEGGED_MATCHES_MAX matches, or where PASSED_MAX orders were passed over, the others wait for the next reference.
   */
  takePegged(market: Market): void {
    const { counters, levels } = this.#book;
    const reference = market.referenceAt(counters.now);
    if (reference === 0) return;
    this.#left = PEGGED_MATCHES_MAX;
    this.#passes = PASSED_MAX;
    const buys = ladderOf(market.rules.market, false, SIDE.buy);
    const best = levels.best(buys);
    const sellsFirst = best !== NONE && levels.key(best) <= keyOf(buys, reference);
    const first = buys | PEGGED | (sellsFirst ? SELL : 0);
    this.#takeEach(first, reference);
    this.#takeEach(first ^ SELL, reference);
  }

  #takeEach(ladder: number, reference: number): void {
    const { levels, orders } = this.#book;
    const upTo = keyOf(ladder, reference);
    let level = levels.best(ladder);
    while (level !== NONE && levels.key(level) <= upTo) {
      const worse = levels.worse(level);
      let order = levels.head(level);
      while (order !== NONE) {
        const next = levels.next(order);
        const before = orders.open(order);
        this.#take(order);
        const open = orders.open(order);
        if (open === 0) this.#book.remove(order);
        else if (open < before) this.#book.shrink(order);
        order = next;
      }
      level = worse;
    }
  }

  /** Whether there is plainly nothing to take from, as for most orders. */
  #facesNobody(ladder: number, price: number): boolean {
    const { levels } = this.#book;
    const limits = (ladder & ~PEGGED) ^ SELL;
    if (levels.best(limits | PEGGED) !== NONE) return false;
    const best = levels.best(limits);
    return best === NONE || levels.key(best) > keyOf(limits, price);
  }

  /** Sets the stretches that an order of this ladder and price takes from. Returns how many there are. */
  #plan(ladder: number, price: number): number {
    const [first, second, third] = this.#stretches;
    const limits = (ladder & ~PEGGED) ^ SELL;
    const pegs = limits | PEGGED;
    const upTo = keyOf(limits, price);
    const isPegged = (ladder & PEGGED) !== 0;
    if (isPegged || this.#book.levels.best(pegs) !== NONE) {
      const market = this.#markets[marketOf(ladder)]!;
      const reference = market.referenceAt(this.#book.counters.now);
      const key = keyOf(limits, reference);
      const time = market.referenceTime;
      if (reference !== 0 && key <= upTo) {
        first.set(limits, BEFORE_ALL, key, isPegged ? reference : 0, isPegged ? time : 0);
        second.set(pegs, BEFORE_ALL, key, reference, time);
        if (isPegged) return 2;
        third.set(limits, key, upTo, 0, 0);
        return 3;
      }
    }
    if (isPegged) return 0;
    first.set(limits, BEFORE_ALL, upTo, 0, 0);
    return 1;
  }

  #takeFrom(taker: number, stretch: Stretch): void {
    const { levels, orders } = this.#book;
    const minimum = orders.minimumMatch(taker);
    const account = orders.account(taker);
    let level = levels.best(stretch.ladder);
    while (level !== NONE && orders.open(taker) > 0 && this.#left > 0) {
      const key = levels.key(level);
      if (key > stretch.upTo) return;
      // Read now, since the level is gone with its last order.
      const worse = levels.worse(level);
      const price = stretch.reference === 0 ? keyOf(stretch.ladder, key) : stretch.reference;
      let maker = key > stretch.behind ? levels.head(level) : NONE;
      while (maker !== NONE && orders.open(taker) > 0 && this.#left > 0) {
        const next = levels.next(maker);
        const open = orders.open(taker);
        const shown = orders.shown(maker);
        let isRefreshed = false;
        if (isMatch(open, minimum, shown, orders.minimumMatch(maker))) {
          const lots = open < shown ? open : shown;
          this.#left--;
          isRefreshed =
            orders.account(maker) === account
              ? this.#preventSelfTrade(taker, maker, lots)
              : this.#trade(taker, maker, price, lots, stretch.referenceTime);
        } else if (--this.#passes === 0) {
          this.#left = 0;
        }
        // Who was last in the queue and shows a new slice is last again.
        maker = next === NONE && isRefreshed ? maker : next;
      }
      level = worse;
    }
  }

  /** Returns whether the maker shows a new slice. */
  #trade(taker: number, maker: number, price: number, lots: number, referenceTime: number): boolean {
    const { counters, orders } = this.#book;
    orders.setOpen(taker, orders.open(taker) - lots);
    orders.setFilled(taker, orders.filled(taker) + lots);
    orders.setFilled(maker, orders.filled(maker) + lots);
    this.#events.traded(counters.nextTrade++, orders.id(maker), orders.id(taker), price, lots, referenceTime);
    return this.#takeShown(maker, lots);
  }

  /** Returns whether the maker shows a new slice. */
  #preventSelfTrade(taker: number, maker: number, lots: number): boolean {
    const { orders } = this.#book;
    const mode = orders.selfTrade(taker);
    if (mode === decrement) {
      this.#reportLoss(maker, lots);
      const isRefreshed = this.#takeShown(maker, lots);
      this.#lose(taker, lots);
      return isRefreshed;
    }
    if (mode === cancelOldest || mode === cancelBoth) {
      this.#reportLoss(maker, orders.open(maker));
      this.#book.remove(maker);
    }
    if (mode === cancelNewest || mode === cancelBoth) this.#lose(taker, orders.open(taker));
    return false;
  }

  #lose(taker: number, lots: number): void {
    const { orders } = this.#book;
    this.#reportLoss(taker, lots);
    orders.setOpen(taker, orders.open(taker) - lots);
  }

  #reportLoss(order: number, lots: number): void {
    const { orders } = this.#book;
    if (orders.open(order) === lots) this.#events.cancelled(orders.id(order), REASON.selfTrade, lots);
    else this.#events.reduced(orders.id(order), REASON.selfTrade, lots);
  }

  /** Takes lots out of what the maker shows. Returns whether it shows a new slice then. */
  #takeShown(maker: number, lots: number): boolean {
    const { orders } = this.#book;
    const open = orders.open(maker) - lots;
    const shown = orders.shown(maker) - lots;
    orders.setOpen(maker, open);
    orders.setShown(maker, shown);
    if (open === 0) {
      this.#book.remove(maker);
      return false;
    }
    if (shown > 0) {
      this.#book.digests.touch(maker);
      return false;
    }
    this.#book.refresh(maker);
    this.#events.refreshed(orders.id(maker), orders.shown(maker));
    return true;
  }

  #tryLevel(trial: Trial, head: number): void {
    const { levels, orders } = this.#book;
    trial.slices = [];
    for (let maker = head; maker !== NONE && trial.open > 0 && trial.left > 0; maker = levels.next(maker)) {
      this.#tryMaker(trial, maker, orders.open(maker), orders.shown(maker));
    }
    // The list grows while it is gone through.
    for (const { maker, open } of trial.slices) {
      if (trial.open === 0 || trial.left === 0) return;
      this.#tryMaker(trial, maker, open, orders.slice(maker, open));
    }
  }

  #tryMaker(trial: Trial, maker: number, makerOpen: number, shown: number): void {
    const { orders } = this.#book;
    if (!isMatch(trial.open, trial.minimumMatch, shown, orders.minimumMatch(maker))) return;
    const lots = Math.min(trial.open, shown);
    trial.left--;
    if (orders.account(maker) === trial.account) {
      const mode = trial.selfTrade;
      if (mode === cancelNewest || mode === cancelBoth) trial.open = 0;
      if (mode !== decrement) return;
    } else {
      trial.executed += lots;
    }
    trial.open -= lots;
    if (lots === shown && makerOpen > lots) trial.slices.push({ maker, open: makerOpen - lots });
  }
}

/** Whether the smaller of both quantities reaches both minimums, each of which counts for no more than its own quantity. */
function isMatch(open: number, minimum: number, shown: number, makerMinimum: number): boolean {
  if (open === shown) return true;
  return open < shown ? open >= makerMinimum : shown >= minimum;
}
