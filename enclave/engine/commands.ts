import type { OrderType, Reason, SelfTrade, Side, TimeInForce } from '@bitcloak/protocol/orders';
import type { MarketRules } from './market.ts';

/** A new order as callers write it. What is left out is nothing: no expiry, no minimum. */
export type NewOrder = {
  readonly market: number;
  readonly account: number;
  readonly side: Side;
  readonly type: OrderType;
  /** Ticks: the worst price, of every type of order. */
  readonly price: number;
  readonly lots: number;
  readonly timeInForce: TimeInForce;
  readonly selfTrade: SelfTrade;
  /** Unix seconds, of a gtd order: from then on it is gone. */
  readonly expiry?: number;
  /** Rejected where it would match on arrival. */
  readonly postOnly?: boolean;
  /** The size of an iceberg's slices. */
  readonly display?: number;
  /** Cancelled on arrival unless it executes at least so many lots then. */
  readonly minimumTotal?: number;
  /** Trades with no other order for less than this in one match. */
  readonly minimumMatch?: number;
};

/** Why the system takes an order from the books. */
export type DropReason = Extract<Reason, 'funds' | 'takenBack' | 'unsettleable' | 'fillsMax'>;

export type Command =
  | ({ readonly kind: 'addMarket' } & MarketRules & { readonly trading: boolean })
  | { readonly kind: 'setTrading'; readonly market: number; readonly trading: boolean }
  /** `matching`: false where no pegged orders are to meet by it that rest. */
  | {
      readonly kind: 'setReference';
      readonly market: number;
      readonly ticks: number;
      readonly time: number;
      readonly matching?: boolean;
    }
  | { readonly kind: 'setTime'; readonly time: number }
  | ({ readonly kind: 'submit' } & NewOrder)
  | { readonly kind: 'cancel'; readonly account: number; readonly order: number }
  /** Of one market, or of all. */
  | { readonly kind: 'cancelAll'; readonly account: number; readonly market?: number }
  /** `lots`: the whole quantity, with what was filled. */
  | {
      readonly kind: 'amend';
      readonly account: number;
      readonly order: number;
      readonly price: number;
      readonly lots: number;
    }
  /** By the system. */
  | { readonly kind: 'drop'; readonly order: number; readonly reason: DropReason };
