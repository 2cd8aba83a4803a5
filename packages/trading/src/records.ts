import type { OrderType, Reason, SelfTrade, Side, TimeInForce } from '@bitcloak/protocol/orders';

/*
 * What an operator tells an owner of what is his. Numbers of orders, fills and withdrawals are the owner's own, from 1: numbers that all owners
 * shared would tell everybody how much the others do. Prices are ticks, quantities lots, amounts base units, times unix seconds of block time.
 */

/** Of each kind the number from which on an owner's records are all there; 1 where none is gone. An operator lets go of old ones that are done with. */
export type RecordsFrom = {
  readonly orders: number;
  readonly fills: number;
  readonly withdrawals: number;
  /** Sequence of the first settlement whose matches were recorded: a journal that is lost takes those before it along. */
  readonly settlement: number;
};

export type OrderRecord = {
  readonly id: number;
  readonly clientOrderId: string;
  readonly market: number;
  readonly side: Side;
  readonly type: OrderType;
  readonly timeInForce: TimeInForce;
  readonly selfTrade: SelfTrade;
  readonly postOnly: boolean;
  /** Lots of each slice that an iceberg shows; 0 where it shows all. */
  readonly display: number;
  /** Least lots on arrival, and in each match; 0 for any. */
  readonly minimumTotal: number;
  readonly minimumMatch: number;
  readonly price: number;
  /** The whole quantity; `filled` of it have traded, `open` can still trade. */
  readonly lots: number;
  readonly filled: number;
  readonly open: number;
  readonly status: 'open' | 'filled' | 'cancelled';
  /** Why lots left it without a trade, the last time that some did. */
  readonly reason: Reason | undefined;
  /** When it leaves the book by itself. */
  readonly expiry: number;
  readonly time: number;
};

export type FillRecord = {
  readonly id: number;
  readonly order: number;
  readonly market: number;
  readonly side: Side;
  readonly role: 'maker' | 'taker';
  readonly price: number;
  readonly lots: number;
  /** After the fee, which is in the quote asset. */
  readonly sold: bigint;
  readonly bought: bigint;
  readonly fee: bigint;
  readonly time: number;
  /** `busted`: it could not be settled in time, so nothing changes hands. */
  readonly status: 'waiting' | 'settled' | 'busted';
  /** Sequence of the operator's settlement on the chain that has it; 0 before. */
  readonly settlement: number;
};

export type WithdrawalRecord = {
  readonly id: number;
  readonly clientOrderId: string;
  readonly asset: bigint;
  /** What leaves the engine, the fee included. */
  readonly amount: bigint;
  readonly fee: bigint;
  readonly time: number;
  readonly status: 'waiting' | 'settled' | 'busted';
  readonly settlement: number;
};

export type BalanceRecord = {
  readonly asset: bigint;
  /** All notes of it that the operator can settle with. */
  readonly total: bigint;
  /** What new orders and withdrawals can use. */
  readonly available: bigint;
  /** What open orders may sell, and matches have sold without being settled. */
  readonly held: bigint;
  /** The part of the total that is not in the tree yet: it can be traded, and settles a little later. */
  readonly waiting: bigint;
};

/** What happened to an owner, in order: sequences are his own, from 1, without gaps. */
export type Report = { readonly sequence: number; readonly time: number } & ReportBody;

export type ReportBody =
  | { readonly kind: 'accepted' | 'amended' | 'reduced' | 'cancelled'; readonly order: OrderRecord }
  | { readonly kind: 'traded' | 'busted'; readonly fill: FillRecord; readonly order: OrderRecord | undefined }
  | { readonly kind: 'withdrawing' | 'withdrawalBusted'; readonly withdrawal: WithdrawalRecord }
  /** One of his fills or withdrawals is on the chain. */
  | {
      readonly kind: 'settled';
      readonly settlement: number;
      readonly fills: readonly number[];
      readonly withdrawals: readonly number[];
    }
  /** A note came, or went by other ways than a settlement of his orders. */
  | { readonly kind: 'credited' | 'debited'; readonly asset: bigint; readonly amount: bigint };

/** Where an owner stands: what a stream starts from. */
export type AccountSnapshot = {
  /** Of the last report that is in it. */
  readonly sequence: number;
  readonly time: number;
  readonly orders: readonly OrderRecord[];
  readonly balances: readonly BalanceRecord[];
  /** Fills and withdrawals that are not settled. */
  readonly fills: readonly FillRecord[];
  readonly withdrawals: readonly WithdrawalRecord[];
};
