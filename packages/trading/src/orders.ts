import { randomField } from '@bitcloak/crypto/field';
import type { Signature } from '@bitcloak/crypto/eddsa';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { OrderType, SelfTrade, Side, TimeInForce } from '@bitcloak/protocol/orders';
import type { Limit } from './market.ts';

/** What an owner signs, with his signature: exactly what a proof of a fill will need. */
export type SignedOrder = { readonly order: Order; readonly signature: Signature };

/** How an order is to be worked in a book; what is left out is nothing. */
export type OrderTerms = {
  readonly market: number;
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

export type NewOrder = OrderTerms & SignedOrder & { readonly clientOrderId: string };

/** `lots`: the whole quantity, with what was filled. Signed anew unless only the quantity shrinks: for the lots that stay open. */
export type Amendment = { readonly price: number; readonly lots: number } & (
  SignedOrder | { readonly order?: undefined; readonly signature?: undefined }
);

export type NewWithdrawal = SignedOrder & { readonly clientOrderId: string };

/** Where what an order brings goes. */
export type Destination = {
  readonly operatorId: bigint;
  /** Unix seconds. */
  readonly expiry: bigint;
  /** An owner of the same seed; the order's own where `relockExpiry` is not 0. */
  readonly payTo: bigint;
  /** 0 for not locked to the operator again. */
  readonly relockExpiry: bigint;
};

/** Signs an order for a limit, with a salt of its own. Throws `AMOUNT_INVALID` for one that would give something for nothing. */
export function signOrder(key: SpendingKey, limit: Limit, destination: Destination): SignedOrder {
  if (limit.sellMax <= 0n || limit.buyMin <= 0n) {
    const message = `amount: expected an order that brings something after fees, got ${limit.sellMax} base units for ${limit.buyMin} or more`;
    throw new BitcloakError('AMOUNT_INVALID', message);
  }
  const order: Order = { owner: key.keys.owner, ...limit, ...destination, salt: randomField() };
  return { order, signature: key.sign(orderHashOf(order)) };
}

/** What takes an amount of an asset out of the engine: an order that sells it for itself. */
export function withdrawalLimit(asset: bigint, amount: bigint, fee: bigint): Limit {
  return { sellAsset: asset, buyAsset: asset, sellMax: amount, buyMin: amount - fee };
}
