import type { Order } from '@bitcloak/notes/order';
import { AMOUNT_MAX, ASSET_BITS, FIELD_MODULUS, TIME_MAX } from '@bitcloak/protocol/parameters';

const ASSET_MAX = (1n << BigInt(ASSET_BITS)) - 1n;

const isWithin = (value: bigint, max: bigint) => value >= 0n && value <= max;

/** Whether an order is within the ranges of the fill circuit: of any other no fill can be proven, whoever signed it. */
export function isProvable(order: Order): boolean {
  const { owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = order;
  return (
    [owner, operatorId, payTo, salt].every((value) => isWithin(value, FIELD_MODULUS - 1n)) &&
    [sellAsset, buyAsset].every((asset) => isWithin(asset, ASSET_MAX)) &&
    [sellMax, buyMin].every((amount) => isWithin(amount, AMOUNT_MAX)) &&
    [expiry, relockExpiry].every((time) => isWithin(time, TIME_MAX)) &&
    (relockExpiry === 0n || payTo === owner)
  );
}
