import type { Call, PoolClient } from '@bitcloak/chain/pool';
import { cancelKeyOf } from '@bitcloak/notes/order';
import { ORDER_STATES_WATCHED } from '@bitcloak/protocol/parameters';
import { stateNullifier } from './tradingChecks.ts';

/** Keys in one transaction: some 55,000 gas each. */
const KEYS_MAX = 48;

/** A signed order, what its owner's keys are, and how many fills of it the chain has. */
export type Cancellable = { readonly nullifierKey: bigint; readonly orderHash: bigint; readonly fills: number };

/** What takes orders back on the chain without their operator, as far as that is not done. The pool refuses to do it twice. */
export async function cancelCalls(pool: PoolClient, orders: readonly Cancellable[]): Promise<Call[]> {
  const keys: bigint[] = [];
  for (const { nullifierKey, orderHash, fills } of orders) {
    // From its present one on: an operator that ignores it needs a settlement and an insertion for each.
    const states = Array.from({ length: ORDER_STATES_WATCHED }, (_, i) => fills + i);
    const spent = await Promise.all(states.map((k) => pool.spentFrom(stateNullifier(nullifierKey, orderHash, k))));
    const left = states.filter((_, i) => spent[i] === 0n);
    keys.push(...left.map((k) => cancelKeyOf(nullifierKey, orderHash, BigInt(k))));
  }
  const calls: Call[] = [];
  for (let first = 0; first < keys.length; first += KEYS_MAX) {
    calls.push(pool.cancelCall(keys.slice(first, first + KEYS_MAX)));
  }
  return calls;
}
