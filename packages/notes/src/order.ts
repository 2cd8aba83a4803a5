import { poseidon } from '@bitcloak/crypto/poseidon';
import { TAG } from '@bitcloak/protocol/parameters';
import type { Nullifier } from './note.ts';

/** What an owner signs: how much of what may be sold, for what at least, until when, and who gets it. */
export type Order = {
  readonly owner: bigint;
  readonly operatorId: bigint;
  readonly sellAsset: bigint;
  /** Below 2^160. */
  readonly buyAsset: bigint;
  /** Base units that all fills together may sell, below 2^120. */
  readonly sellMax: bigint;
  /** Base units that `sellMax` must bring at least, after all fees, below 2^120; a part must bring its part. */
  readonly buyMin: bigint;
  /** Unix seconds. */
  readonly expiry: bigint;
  /** Owner of the proceeds; the order's own where they are locked again. */
  readonly payTo: bigint;
  /** Unix seconds until which the proceeds are locked to the operator again; 0 for not at all. */
  readonly relockExpiry: bigint;
  /** Makes two equal orders two. */
  readonly salt: bigint;
};

export function orderHashOf(order: Order): bigint {
  const { owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = order;
  return poseidon(
    [owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt],
    TAG.ORDER,
  );
}

/** The leaf that says what `k` fills have sold of an order. */
export function orderStateOf(orderHash: bigint, filled: bigint, k: bigint): bigint {
  return poseidon([orderHash, filled, k], TAG.ORDER_STATE);
}

/** What its owner publishes to cancel an order after `k` fills without the operator. */
export function cancelKeyOf(nullifierKey: bigint, orderHash: bigint, k: bigint): bigint {
  return poseidon([nullifierKey, orderHash, k], TAG.CANCEL);
}

/** What marks the state that a cancel key belongs to as spent. */
export function orderNullifierOf(cancelKey: bigint): Nullifier {
  return poseidon([cancelKey, 0n, 0n]) as Nullifier;
}
