// The matching engine once more, from its rules alone and as plainly as possible: lists that are searched and sorted for every step.
import type { Reason, SelfTrade, Side } from '@bitcloak/protocol/orders';
import type { Rejection } from '../../../enclave/engine/codes.ts';
import type { Command, NewOrder } from '../../../enclave/engine/commands.ts';
import type { EngineEvent } from '../../../enclave/engine/events.ts';
import { hashOf } from './naiveHash.ts';
import type { NaiveMarket, NaiveOrder, NaiveState } from './naiveState.ts';

class Rejected extends Error {
  readonly reason: Rejection;

  constructor(reason: Rejection) {
    super(reason);
    this.reason = reason;
  }
}

function demand(condition: boolean, reason: Rejection): void {
  if (!condition) throw new Rejected(reason);
}

function within(value: number, low: number, high: number): boolean {
  return Number.isInteger(value) && value >= low && value <= high;
}

const SAFE_MAX = 2 ** 53 - 1;
const TICKS_MAX = 2 ** 31 - 1;
const SECONDS_MAX = 2 ** 40 - 1;

export class NaiveEngine {
  state: NaiveState = { now: 0, nextOrder: 1, nextTrade: 1, nextRank: 1, markets: [], orders: [] };
  #events: EngineEvent[] = [];

  apply(command: Command): EngineEvent[] {
    this.#events = [];
    try {
      this.#run(command);
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      return [{ kind: 'rejected', reason: error.reason }];
    }
    return this.#events;
  }

  hash(): string {
    return hashOf(this.state);
  }

  #run(command: Command): void {
    switch (command.kind) {
      case 'addMarket':
        return this.#addMarket(command);
      case 'setTrading':
        return this.#setTrading(command);
      case 'setReference':
        return this.#setReference(command);
      case 'setTime':
        return this.#setTime(command);
      case 'submit':
        return this.#submit(command);
      case 'cancel':
        return this.#cancel(this.#owned(command), 'requested');
      case 'cancelAll':
        return this.#cancelAll(command);
      case 'amend':
        return this.#amend(command);
      case 'drop':
        return this.#cancel(this.#order(command.order), command.reason);
    }
  }

  // --- markets -----------------------------------------------------------------------------------------------------------

  #addMarket({ kind: _kind, ...rules }: Extract<Command, { kind: 'addMarket' }>): void {
    demand(
      within(rules.market, 0, 65535) &&
        within(rules.ticksMax, 1, TICKS_MAX) &&
        within(rules.lotsMax, 1, SAFE_MAX) &&
        within(rules.lotsMin, 1, rules.lotsMax) &&
        within(rules.referenceSecondsMax, 0, SECONDS_MAX) &&
        within(rules.referenceMoveMax, 0, 10_000),
      'marketInvalid',
    );
    demand(!this.state.markets.some(({ market }) => market === rules.market), 'marketExists');
    this.state.markets.push({ ...rules, reference: 0, referenceTime: 0, referenceSteady: false });
    this.#events.push({ kind: 'marketAdded', market: rules.market });
  }

  #market(number: number): NaiveMarket {
    const found = this.state.markets.find(({ market }) => market === number);
    if (found === undefined) throw new Rejected('marketUnknown');
    return found;
  }

  #setTrading({ market: number, trading }: Extract<Command, { kind: 'setTrading' }>): void {
    const market = this.#market(number);
    market.trading = trading;
    this.#events.push({ kind: 'tradingSet', market: number, trading });
    if (trading) this.#takePegged(market);
  }

  #setReference({ market: number, ticks, time }: Extract<Command, { kind: 'setReference' }>): void {
    const market = this.#market(number);
    demand(within(ticks, 1, market.ticksMax), 'priceInvalid');
    demand(within(time, 0, this.state.now), 'timeInvalid');
    demand(market.reference === 0 || time > market.referenceTime, 'timeInvalid');
    const before = market.reference;
    const move = before === 0 ? Infinity : (Math.abs(ticks - before) * 10_000) / before;
    market.referenceSteady = move <= market.referenceMoveMax;
    market.reference = ticks;
    market.referenceTime = time;
    const usable = this.referenceOf(market) !== undefined;
    this.#events.push({ kind: 'referenceSet', market: number, ticks, time, usable });
    if (market.trading) this.#takePegged(market);
  }

  /** What pegged orders execute at now. */
  referenceOf(market: NaiveMarket): number | undefined {
    const age = this.state.now - market.referenceTime;
    return market.referenceSteady && age <= market.referenceSecondsMax ? market.reference : undefined;
  }

  #setTime({ time }: Extract<Command, { kind: 'setTime' }>): void {
    demand(within(time, this.state.now, SECONDS_MAX), 'timeInvalid');
    this.state.now = time;
    this.#events.push({ kind: 'timeSet', time });
    const due = this.state.orders.filter(({ expiry }) => expiry !== 0 && expiry <= time);
    due.sort((left, right) => left.expiry - right.expiry || left.order - right.order);
    for (const order of due) this.#cancel(order, 'expired');
  }

  // --- orders ------------------------------------------------------------------------------------------------------------

  #submit(command: NewOrder): void {
    const { expiry = 0, postOnly = false, display = 0, minimumTotal = 0, minimumMatch = 0 } = command;
    const { account, price, lots, timeInForce, type, side, selfTrade } = command;
    const market = this.#market(command.market);
    demand(within(account, 0, 2 ** 31 - 1), 'accountInvalid');
    demand(['buy', 'sell'].includes(side) && ['limit', 'market', 'pegged'].includes(type), 'codeInvalid');
    demand(['gtc', 'gtd', 'ioc', 'fok'].includes(timeInForce), 'codeInvalid');
    demand(['cancelNewest', 'cancelOldest', 'cancelBoth', 'decrement'].includes(selfTrade), 'codeInvalid');
    this.#checkQuantities(market, price, lots);
    demand(within(display, 0, lots) && (display === 0 || lots / display <= 1000), 'displayInvalid');
    demand(within(minimumTotal, 0, lots) && within(minimumMatch, 0, display === 0 ? lots : display), 'minimumInvalid');
    demand(timeInForce === 'gtd' ? within(expiry, this.state.now + 1, SECONDS_MAX) : expiry === 0, 'expiryInvalid');
    const rests = timeInForce === 'gtc' || timeInForce === 'gtd';
    if (type === 'market') demand(!rests, 'combinationInvalid');
    if (display !== 0) demand(rests, 'combinationInvalid');
    if (timeInForce === 'fok') demand(minimumTotal === 0, 'combinationInvalid');
    if (postOnly) demand(rests && type === 'limit' && minimumTotal === 0, 'combinationInvalid');
    demand(market.trading, 'tradingHalted');

    const order: NaiveOrder = {
      order: this.state.nextOrder,
      market: command.market,
      account,
      side,
      type: type === 'pegged' ? 'pegged' : 'limit',
      price,
      open: lots,
      shown: 0,
      filled: 0,
      display,
      minimumMatch,
      expiry,
      postOnly,
      selfTrade,
      rank: 0,
    };
    if (postOnly) demand(!this.#meetsAny(order), 'wouldTrade');
    this.state.nextOrder++;
    this.#events.push({ kind: 'accepted', order: order.order });
    const needed = timeInForce === 'fok' ? lots : minimumTotal;
    if (this.#wouldExecute(order) < needed) return this.#lose(order, order.open, 'minimum');
    this.#take(order);
    if (order.open > 0 && !rests) this.#lose(order, order.open, 'immediate');
    if (order.open > 0) this.#rest(order);
  }

  #checkQuantities(market: NaiveMarket, price: number, lots: number): void {
    demand(within(price, 1, market.ticksMax), 'priceInvalid');
    demand(within(lots, market.lotsMin, market.lotsMax), 'lotsInvalid');
    demand(BigInt(price) * BigInt(lots) <= BigInt(SAFE_MAX), 'notionalInvalid');
  }

  #owned({ account, order: id }: { account: number; order: number }): NaiveOrder {
    const order = this.#order(id);
    demand(order.account === account, 'notOwner');
    return order;
  }

  #order(id: number): NaiveOrder {
    const found = this.state.orders.find(({ order }) => order === id);
    if (found === undefined) throw new Rejected('orderUnknown');
    return found;
  }

  #cancelAll({ account, market }: Extract<Command, { kind: 'cancelAll' }>): void {
    if (market !== undefined) this.#market(market);
    const own = this.state.orders.filter((order) => order.account === account);
    own.sort((left, right) => left.order - right.order);
    for (const order of own) if (market === undefined || order.market === market) this.#cancel(order, 'requested');
  }

  #amend(command: Extract<Command, { kind: 'amend' }>): void {
    const order = this.#owned(command);
    const { price, lots } = command;
    const market = this.#market(order.market);
    this.#checkQuantities(market, price, lots);
    const open = lots - order.filled;
    demand(open > 0, 'lotsInvalid');
    demand(order.display === 0 || lots / order.display <= 1000, 'displayInvalid');
    const keepsPlace = price === order.price && open <= order.open;
    if (keepsPlace) {
      order.open = open;
      order.shown = Math.min(order.shown, open);
      this.#events.push({ kind: 'amended', order: order.order, price, lots });
      return;
    }
    demand(market.trading, 'tradingHalted');
    if (order.postOnly) demand(!this.#meetsAny({ ...order, price, open }), 'wouldTrade');
    this.#leave(order);
    order.price = price;
    order.open = open;
    this.#events.push({ kind: 'amended', order: order.order, price, lots });
    this.#take(order);
    if (order.open > 0) this.#rest(order);
  }

  #rest(order: NaiveOrder): void {
    order.rank = this.state.nextRank++;
    order.shown = sliceOf(order);
    this.state.orders.push(order);
  }

  #leave(order: NaiveOrder): void {
    this.state.orders = this.state.orders.filter((other) => other !== order);
  }

  #cancel(order: NaiveOrder, reason: Reason): void {
    this.#lose(order, order.open, reason);
  }

  /** Lots leave an order without a trade. */
  #lose(order: NaiveOrder, lots: number, reason: Reason): void {
    order.open -= lots;
    if (order.open === 0) this.#leave(order);
    this.#events.push({ kind: order.open === 0 ? 'cancelled' : 'reduced', order: order.order, reason, lots });
  }

  // --- matching ----------------------------------------------------------------------------------------------------------

  /** At which price both would trade, if they may. */
  #priceOf(taker: NaiveOrder, maker: NaiveOrder): number | undefined {
    if (maker.market !== taker.market || maker.side === taker.side) return undefined;
    const [buy, sell] = taker.side === 'buy' ? [taker, maker] : [maker, taker];
    if (buy.type === 'limit' && sell.type === 'limit') return sell.price <= buy.price ? maker.price : undefined;
    const reference = this.referenceOf(this.#market(taker.market));
    if (reference === undefined) return undefined;
    return sell.price <= reference && reference <= buy.price ? reference : undefined;
  }

  /** Whom the taker meets, in order. */
  #makersFor(taker: NaiveOrder): { maker: NaiveOrder; price: number }[] {
    const sign = taker.side === 'buy' ? 1 : -1;
    return this.state.orders
      .flatMap((maker) => {
        const price = this.#priceOf(taker, maker);
        return price === undefined ? [] : [{ maker, price }];
      })
      .sort(
        (left, right) =>
          sign * (left.price - right.price) ||
          Number(left.maker.type === 'pegged') - Number(right.maker.type === 'pegged') ||
          sign * (left.maker.price - right.maker.price) ||
          left.maker.rank - right.maker.rank,
      );
  }

  #take(taker: NaiveOrder): void {
    const passedOver = new Set<NaiveOrder>();
    while (taker.open > 0) {
      const met = this.#makersFor(taker).find(({ maker }) => !passedOver.has(maker));
      if (met === undefined) return;
      if (matches(taker, met.maker)) this.#match(taker, met.maker, met.price);
      else passedOver.add(met.maker);
    }
  }

  #match(taker: NaiveOrder, maker: NaiveOrder, price: number): void {
    const lots = Math.min(taker.open, maker.shown);
    if (taker.account === maker.account) return this.#preventSelfTrade(taker, maker, lots, taker.selfTrade);
    const isPegged = taker.type === 'pegged' || maker.type === 'pegged';
    const referenceTime = isPegged ? this.#market(taker.market).referenceTime : 0;
    const trade = this.state.nextTrade++;
    this.#events.push({ kind: 'traded', trade, maker: maker.order, taker: taker.order, price, lots, referenceTime });
    for (const order of [taker, maker]) {
      order.open -= lots;
      order.filled += lots;
    }
    if (maker.open === 0) this.#leave(maker);
    this.#hide(maker, lots);
  }

  #preventSelfTrade(taker: NaiveOrder, maker: NaiveOrder, lots: number, mode: SelfTrade): void {
    if (mode === 'decrement') {
      this.#lose(maker, lots, 'selfTrade');
      this.#hide(maker, lots);
      this.#lose(taker, lots, 'selfTrade');
    }
    if (mode === 'cancelOldest' || mode === 'cancelBoth') this.#cancel(maker, 'selfTrade');
    if (mode === 'cancelNewest' || mode === 'cancelBoth') this.#cancel(taker, 'selfTrade');
  }

  /** A maker shows less, and a new slice when nothing is shown any more. */
  #hide(maker: NaiveOrder, lots: number): void {
    maker.shown -= lots;
    if (maker.shown > 0 || maker.open === 0) return;
    maker.rank = this.state.nextRank++;
    maker.shown = sliceOf(maker);
    this.#events.push({ kind: 'refreshed', order: maker.order, lots: maker.shown });
  }

  #meetsAny(taker: NaiveOrder): boolean {
    return this.#makersFor(taker).some(({ maker }) => matches(taker, maker));
  }

  /** What an order would execute at once, tried out on a copy of everything. */
  #wouldExecute(order: NaiveOrder): number {
    const copy = new NaiveEngine();
    copy.state = {
      ...this.state,
      markets: this.state.markets.map((market) => ({ ...market })),
      orders: this.state.orders.map((other) => ({ ...other })),
    };
    const trying = { ...order };
    copy.#take(trying);
    return trying.filled;
  }

  #takePegged(market: NaiveMarket): void {
    const reference = this.referenceOf(market);
    if (reference === undefined) return;
    const limitBuyWaits = this.state.orders.some(
      (order) =>
        order.market === market.market && order.type === 'limit' && order.side === 'buy' && order.price >= reference,
    );
    const sides: Side[] = limitBuyWaits ? ['sell', 'buy'] : ['buy', 'sell'];
    for (const side of sides) {
      const sign = side === 'buy' ? 1 : -1;
      const pegged = this.state.orders
        .filter((order) => order.market === market.market && order.type === 'pegged' && order.side === side)
        .filter((order) => sign * (order.price - reference) >= 0)
        .sort((left, right) => sign * (right.price - left.price) || left.rank - right.rank);
      for (const order of pegged) {
        this.#take(order);
        order.shown = Math.min(order.shown, order.open);
        if (order.open === 0) this.#leave(order);
      }
    }
  }
}

function sliceOf({ open, display }: NaiveOrder): number {
  return display === 0 ? open : Math.min(open, display);
}

function matches(taker: NaiveOrder, maker: NaiveOrder): boolean {
  const lots = Math.min(taker.open, maker.shown);
  return lots >= Math.min(taker.minimumMatch, taker.open) && lots >= Math.min(maker.minimumMatch, maker.shown);
}
