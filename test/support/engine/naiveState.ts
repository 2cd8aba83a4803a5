import type { MarketState } from '../../../enclave/engine/market.ts';
import type { OrderState } from '../../../enclave/engine/snapshot.ts';

type Mutable<T> = { -readonly [Field in keyof T]: T[Field] };
export type NaiveOrder = Mutable<OrderState>;
export type NaiveMarket = Mutable<MarketState>;

export type NaiveState = {
  now: number;
  nextOrder: number;
  nextTrade: number;
  nextRank: number;
  markets: NaiveMarket[];
  /** Those that rest. */
  orders: NaiveOrder[];
};
