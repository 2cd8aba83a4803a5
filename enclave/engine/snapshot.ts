// A state as plain data: what a view shows of an order, and what a snapshot keeps of everything.
import type { Book, Counters } from './book.ts';
import { SELF_TRADES, SIDES, type SelfTrade, type Side } from '@bitcloak/protocol/orders';
import { SELF_TRADE, SIDE } from './codes.ts';
import { ladderOf, marketOf, PEGGED_BIT, SELL_BIT } from './levels.ts';
import type { MarketState } from './market.ts';
import type { Orders } from './orders.ts';

/** An order that rests. */
export type OrderState = {
  readonly order: number;
  readonly market: number;
  readonly account: number;
  readonly side: Side;
  readonly type: 'limit' | 'pegged';
  readonly price: number;
  /** Lots that can still trade, and those of them that the queue shows. */
  readonly open: number;
  readonly shown: number;
  readonly filled: number;
  /** 0 where it is no iceberg, has no minimum, does not expire. */
  readonly display: number;
  readonly minimumMatch: number;
  readonly expiry: number;
  readonly postOnly: boolean;
  readonly selfTrade: SelfTrade;
  /** Orders at one price trade by rising rank. */
  readonly rank: number;
};

const VERSION = 1;

export type Snapshot = {
  readonly version: number;
  readonly counters: Readonly<Counters>;
  readonly markets: readonly MarketState[];
  /** By rising id. */
  readonly orders: readonly OrderState[];
  readonly hash: string;
};

export function orderState(orders: Orders, order: number): OrderState {
  const ladder = orders.ladder(order);
  return {
    order: orders.id(order),
    market: marketOf(ladder),
    account: orders.account(order),
    side: SIDES[ladder & SELL_BIT]!,
    type: (ladder & PEGGED_BIT) === 0 ? 'limit' : 'pegged',
    price: orders.price(order),
    open: orders.open(order),
    shown: orders.shown(order),
    filled: orders.filled(order),
    display: orders.display(order),
    minimumMatch: orders.minimumMatch(order),
    expiry: orders.expiry(order),
    postOnly: orders.postOnly(order) === 1,
    selfTrade: SELF_TRADES[orders.selfTrade(order)]!,
    rank: orders.rank(order),
  };
}

function createFrom(orders: Orders, state: OrderState): number {
  const ladder = ladderOf(state.market, state.type === 'pegged', SIDE[state.side]);
  const order = orders.create(state.order, ladder, {
    account: state.account,
    price: state.price,
    lots: state.open,
    selfTrade: SELF_TRADE[state.selfTrade],
    expiry: state.expiry,
    postOnly: state.postOnly,
    display: state.display,
    minimumMatch: state.minimumMatch,
  });
  orders.setShown(order, state.shown);
  orders.setFilled(order, state.filled);
  orders.setRank(order, state.rank);
  return order;
}

export function takeSnapshot(book: Book, markets: readonly MarketState[], hash: string): Snapshot {
  const orders = book.orders.all().map((order) => orderState(book.orders, order));
  return { version: VERSION, counters: { ...book.counters }, markets, orders, hash };
}

/** The counters of a snapshot of this version. */
export function countersOf({ version, counters }: Snapshot): Counters {
  if (version !== VERSION) throw new RangeError(`a snapshot has version ${version}, expected ${VERSION}`);
  return { ...counters };
}

/** Puts the orders of a snapshot into an empty book that has their markets. */
export function restoreOrders(book: Book, { orders }: Snapshot): void {
  const restored = orders.map((state) => createFrom(book.orders, state));
  for (const order of restored) book.enroll(order);
  restored.sort((left, right) => book.orders.rank(left) - book.orders.rank(right));
  for (const order of restored) book.stand(order);
}
