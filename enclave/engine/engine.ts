import type { Side } from '@bitcloak/protocol/orders';
import { Book, type Counters } from './book.ts';
import { REASON, REJECTION, SIDE, TIME_IN_FORCE, TYPE } from './codes.ts';
import type { Command, DropReason, NewOrder } from './commands.ts';
import { Events, type EngineEvent } from './events.ts';
import { digest, hexOf, SUBJECT, WEIGHTS_HIGH, WEIGHTS_LOW } from './hash.ts';
import { keyOf, ladderOf, marketOf } from './levels.ts';
import { isIntegerWithin, OPEN_ORDERS_MAX, SECONDS_MAX } from './limits.ts';
import { areRulesValid, Market, type MarketRules, type MarketState } from './market.ts';
import { Matcher } from './matcher.ts';
import { checkQuantities, checkRequest, FINE, isDisplayEnough, requestOf, type OrderRequest } from './request.ts';
import { countersOf, orderState, restoreOrders, takeSnapshot, type OrderState, type Snapshot } from './snapshot.ts';

const NONE = 0;

const { fok, gtc, gtd } = TIME_IN_FORCE;
const { pegged } = TYPE;

/** Orders of one price, the next to trade first. */
export type LevelState = { readonly price: number; readonly orders: readonly OrderState[] };

/**
 * The matching engine: a state that changes by commands and by nothing else. The same commands give the same events and the same hash.
 *
 * A command either has its effect or is rejected and leaves the state as it was. Each method is one command and leaves in `events` what it
 * did; `apply` does the same with objects. Prices are ticks, quantities lots, times unix seconds, and what those stand for the engine does
 * not know.
 *
 * Orders trade when one of them arrives: newly submitted, amended so that it loses its place, or pegged when a reference comes. Nothing
 * else makes them look at each other. So the book is never crossed, except by orders with a minimum for a match, which passed each other
 * over, and by pegged orders while the reference is not to be used.
 */
export class Engine {
  readonly events = new Events();
  readonly #markets: (Market | undefined)[] = [];
  readonly #book: Book;
  readonly #matcher: Matcher;

  constructor(counters: Counters = { now: 0, nextOrder: 1, nextTrade: 1, nextRank: 1 }) {
    this.#book = new Book(counters);
    this.#matcher = new Matcher(this.#book, this.#markets, this.events);
  }

  /** Throws where the snapshot is of another version or its hash is not that of what it holds. */
  static restore(snapshot: Snapshot): Engine {
    const engine = new Engine(countersOf(snapshot));
    for (const market of snapshot.markets) engine.#add(market);
    restoreOrders(engine.#book, snapshot);
    if (engine.hash() !== snapshot.hash) throw new RangeError('a snapshot does not have the hash that it names');
    return engine;
  }

  apply(command: Command): EngineEvent[] {
    switch (command.kind) {
      case 'addMarket': {
        const { kind: _kind, trading, ...rules } = command;
        this.addMarket(rules, trading);
        break;
      }
      case 'setTrading':
        this.setTrading(command.market, command.trading);
        break;
      case 'setReference':
        this.setReference(command.market, command.ticks, command.time, command.matching);
        break;
      case 'setTime':
        this.setTime(command.time);
        break;
      case 'submit':
        this.submit(requestOf(command));
        break;
      case 'cancel':
        this.cancel(command.account, command.order);
        break;
      case 'cancelAll':
        this.cancelAll(command.account, command.market);
        break;
      case 'amend':
        this.amend(command.account, command.order, command.price, command.lots);
        break;
      case 'drop':
        this.drop(command.order, command.reason);
        break;
    }
    return this.events.list();
  }

  addMarket(rules: MarketRules, trading: boolean): void {
    this.events.clear();
    if (!areRulesValid(rules)) return this.events.rejected(REJECTION.marketInvalid);
    if (this.#markets[rules.market] !== undefined) return this.events.rejected(REJECTION.marketExists);
    this.#add({ ...rules, trading, reference: 0, referenceTime: 0, referenceSteady: false });
    this.events.marketAdded(rules.market);
  }

  /** While a market does not trade, orders can be cancelled and made smaller. When it begins to, pegged orders take. */
  setTrading(number: number, trading: boolean): void {
    this.events.clear();
    const market = this.#markets[number];
    if (market === undefined) return this.events.rejected(REJECTION.marketUnknown);
    this.#change(market, () => (market.trading = trading));
    this.events.tradingSet(number, trading);
    if (trading) this.#matcher.takePegged(market);
  }

  setReference(number: number, ticks: number, time: number, matching = true): void {
    this.events.clear();
    const market = this.#markets[number];
    if (market === undefined) return this.events.rejected(REJECTION.marketUnknown);
    if (!isIntegerWithin(ticks, 1, market.rules.ticksMax)) return this.events.rejected(REJECTION.priceInvalid);
    const { now } = this.#book.counters;
    const isTimeValid = isIntegerWithin(time, 0, now) && market.isLaterReference(time);
    if (!isTimeValid) return this.events.rejected(REJECTION.timeInvalid);
    this.#change(market, () => market.setReference(ticks, time));
    this.events.referenceSet(number, ticks, time, market.referenceAt(now) !== 0);
    if (market.trading && matching) this.#matcher.takePegged(market);
  }

  /** Moves the time. Orders expire in the order of their expiries, and of their ids where those are equal. */
  setTime(time: number): void {
    this.events.clear();
    const { counters, expiries } = this.#book;
    if (!isIntegerWithin(time, counters.now, SECONDS_MAX)) return this.events.rejected(REJECTION.timeInvalid);
    counters.now = time;
    this.events.timeSet(time);
    for (let due = expiries.due(time); due !== NONE; due = expiries.due(time)) {
      this.#cancel(due, REASON.expired);
    }
  }

  submit(request: Readonly<OrderRequest>): void {
    this.events.clear();
    const market = this.#markets[request.market];
    if (market === undefined) return this.events.rejected(REJECTION.marketUnknown);
    const { counters, orders } = this.#book;
    const complaint = checkRequest(request, market, counters.now);
    if (complaint !== FINE) return this.events.rejected(complaint);
    if (!market.trading) return this.events.rejected(REJECTION.tradingHalted);
    if (orders.count >= OPEN_ORDERS_MAX) return this.events.rejected(REJECTION.engineFull);
    const { price, lots, minimumMatch, timeInForce } = request;
    const ladder = ladderOf(request.market, request.type === pegged, request.side);
    if (request.postOnly && this.#matcher.meets(ladder, price, lots, minimumMatch)) {
      return this.events.rejected(REJECTION.wouldTrade);
    }

    const order = orders.create(counters.nextOrder++, ladder, request);
    this.events.accepted(orders.id(order));
    const needed = timeInForce === fok ? lots : request.minimumTotal;
    if (needed > 0 && !this.#matcher.executes(order, needed)) return this.#dismiss(order, REASON.minimum);
    const isStopped = this.#matcher.take(order);
    if (orders.open(order) === 0) orders.release(order);
    else if (isStopped) this.#dismiss(order, REASON.matchesMax);
    else if (timeInForce === gtc || timeInForce === gtd) this.#book.add(order);
    else this.#dismiss(order, REASON.immediate);
  }

  cancel(account: number, id: number): void {
    this.events.clear();
    const order = this.#find(account, id);
    if (order !== NONE) this.#cancel(order, REASON.requested);
  }

  /** Cancels an account's orders by rising id, of one market or of all. */
  cancelAll(account: number, market?: number): void {
    this.events.clear();
    if (market !== undefined && this.#markets[market] === undefined) {
      return this.events.rejected(REJECTION.marketUnknown);
    }
    const { accounts, orders } = this.#book;
    for (let order = accounts.first(account), next = NONE; order !== NONE; order = next) {
      next = accounts.next(order);
      if (market !== undefined && marketOf(orders.ladder(order)) !== market) continue;
      this.#cancel(order, REASON.requested);
    }
  }

  /**
   * Gives an order a new price and a new whole quantity, what was filled included. At the same price and with no more lots it keeps its
   * place; otherwise it arrives anew, and what holds for new orders holds for it, but for the minimum in sum, which it had on arrival.
   */
  amend(account: number, id: number, price: number, lots: number): void {
    this.events.clear();
    const order = this.#find(account, id);
    if (order === NONE) return;
    const { orders } = this.#book;
    const ladder = orders.ladder(order);
    const market = this.#markets[marketOf(ladder)]!;
    const quantities = checkQuantities(market, price, lots);
    if (quantities !== FINE) return this.events.rejected(quantities);
    const open = lots - orders.filled(order);
    if (open <= 0) return this.events.rejected(REJECTION.lotsInvalid);
    if (!isDisplayEnough(orders.display(order), lots)) return this.events.rejected(REJECTION.displayInvalid);

    if (price === orders.price(order) && open <= orders.open(order)) {
      orders.setOpen(order, open);
      this.#book.shrink(order);
      return this.events.amended(id, price, lots);
    }
    if (!market.trading) return this.events.rejected(REJECTION.tradingHalted);
    if (orders.postOnly(order) === 1 && this.#matcher.meets(ladder, price, open, orders.minimumMatch(order))) {
      return this.events.rejected(REJECTION.wouldTrade);
    }
    this.#book.leave(order);
    orders.setPrice(order, price);
    orders.setOpen(order, open);
    this.events.amended(id, price, lots);
    const isStopped = this.#matcher.take(order);
    if (isStopped && orders.open(order) > 0) this.events.cancelled(id, REASON.matchesMax, orders.open(order));
    if (isStopped || orders.open(order) === 0) this.#book.forget(order);
    else this.#book.enter(order);
  }

  /** Cancels an order, whosever it is. */
  drop(id: number, reason: DropReason): void {
    this.events.clear();
    const order = this.#book.orders.find(id);
    if (order === NONE) return this.events.rejected(REJECTION.orderUnknown);
    this.#cancel(order, REASON[reason]);
  }

  /** How many matches a new order would make now, those with orders of its own account included; none where it would be rejected. */
  matches(order: NewOrder): number {
    const market = this.#markets[order.market];
    const request = requestOf(order);
    const isTaken = market?.trading === true && checkRequest(request, market, this.#book.counters.now) === FINE;
    if (!isTaken || request.postOnly) return 0;
    const ladder = ladderOf(request.market, request.type === pegged, request.side);
    const needed = request.timeInForce === fok ? request.lots : request.minimumTotal;
    return this.#matcher.matches(ladder, request.price, request, needed);
  }

  /** How many an order that rests would make at most that is given a new price and a new whole quantity. */
  matchesAmended(id: number, price: number, lots: number): number {
    const { orders } = this.#book;
    const order = orders.find(id);
    const market = order === NONE ? undefined : this.#markets[marketOf(orders.ladder(order))];
    if (market === undefined || checkQuantities(market, price, lots) !== FINE) return 0;
    const wish = this.#matcher.wishOf(order, lots - orders.filled(order));
    return this.#matcher.matches(orders.ladder(order), price, wish, 0);
  }

  /** An order that rests. */
  order(id: number): OrderState | undefined {
    const order = this.#book.orders.find(id);
    return order === NONE ? undefined : orderState(this.#book.orders, order);
  }

  /** The levels of one side, from the best to the worst. They are for tests and for the owner of an order: nobody else sees a dark book. */
  *levels(market: number, side: Side, type: OrderState['type']): Generator<LevelState, undefined> {
    if (this.#markets[market] === undefined) return undefined;
    const { levels, orders } = this.#book;
    const ladder = ladderOf(market, type === 'pegged', SIDE[side]);
    for (let level = levels.best(ladder); level !== NONE; level = levels.worse(level)) {
      const queue: OrderState[] = [];
      let order = levels.head(level);
      for (; order !== NONE; order = levels.next(order)) queue.push(orderState(orders, order));
      yield { price: keyOf(ladder, levels.key(level)), orders: queue };
    }
    return undefined;
  }

  market(number: number): MarketState | undefined {
    return this.#markets[number]?.state();
  }

  /** Covers the time, the counters, every market with its reference, and every order that rests with its rank: what a snapshot holds. */
  hash(): string {
    const { now, nextOrder, nextTrade, nextRank } = this.#book.counters;
    const { low, high } = this.#book.digests.sum();
    const numbers = [SUBJECT.state, now, nextOrder, nextTrade, nextRank, low >>> 0, high >>> 0];
    return hexOf(digest(WEIGHTS_LOW, numbers), digest(WEIGHTS_HIGH, numbers));
  }

  snapshot(): Snapshot {
    const markets = this.#markets.flatMap((market) => (market === undefined ? [] : [market.state()]));
    return takeSnapshot(this.#book, markets, this.hash());
  }

  #add(state: MarketState): void {
    const market = new Market(state);
    while (this.#markets.length <= state.market) this.#markets.push(undefined);
    this.#markets[state.market] = market;
    this.#book.levels.reach(state.market);
    market.addDigest(this.#book.digests.sum());
  }

  #change(market: Market, change: () => void): void {
    market.subtractDigest(this.#book.digests.sum());
    change();
    market.addDigest(this.#book.digests.sum());
  }

  /** Lets go of a new order that does not rest. */
  #dismiss(order: number, reason: number): void {
    const { orders } = this.#book;
    this.events.cancelled(orders.id(order), reason, orders.open(order));
    orders.release(order);
  }

  #cancel(order: number, reason: number): void {
    const { orders } = this.#book;
    this.events.cancelled(orders.id(order), reason, orders.open(order));
    this.#book.remove(order);
  }

  /** An account's order, or NONE and a rejection. */
  #find(account: number, id: number): number {
    const { orders } = this.#book;
    const order = orders.find(id);
    if (order === NONE) this.events.rejected(REJECTION.orderUnknown);
    else if (orders.account(order) === account) return order;
    else this.events.rejected(REJECTION.notOwner);
    return NONE;
  }
}
