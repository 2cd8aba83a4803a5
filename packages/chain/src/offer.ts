import type { FeeData, TransactionRequest } from 'ethers';

/** Nodes take a transaction in the place of another where it pays at least a tenth more. */
const RAISE = { times: 9n, over: 8n } as const;
/** So many times what the chain asks now, beyond which nothing is raised: an endpoint could make its asker pay anything. */
const TIMES_MAX = 4n;

/** What a transaction offers for a unit of gas, in wei. */
export type Offer = {
  readonly most: bigint;
  /** What of it goes to whoever makes the block; undefined on a chain without a base fee. */
  readonly tip: bigint | undefined;
};

/** What to offer for the next blocks. */
export function askedOffer({ gasPrice, maxFeePerGas, maxPriorityFeePerGas }: FeeData): Offer {
  return maxFeePerGas === null || maxPriorityFeePerGas === null
    ? { most: gasPrice ?? 0n, tip: undefined }
    : { most: maxFeePerGas, tip: maxPriorityFeePerGas };
}

/** An offer as ethers has it. */
export function feesOf({ most, tip }: Offer): TransactionRequest {
  return tip === undefined ? { gasPrice: most } : { maxFeePerGas: most, maxPriorityFeePerGas: tip };
}

/**
 * An offer that takes the place of an earlier one: an eighth more, or what is asked where that is more. It is never above four times what is
 * asked nor, where it is given, above `mostMax`; undefined where an eighth more is.
 */
export function raisedOffer(before: Offer, asked: Offer, mostMax?: bigint): Offer | undefined {
  const fourfold = asked.most * TIMES_MAX;
  const limit = mostMax === undefined ? fourfold : smaller(fourfold, mostMax);
  const least = raised(before.most);
  if (least > limit) return undefined;
  const most = smaller(larger(least, asked.most), limit);
  if (before.tip === undefined || asked.tip === undefined) return { most, tip: undefined };
  return { most, tip: smaller(larger(raised(before.tip), asked.tip), most) };
}

/** Nodes want more of both parts, also where a part is next to nothing. */
const raised = (part: bigint) => (part * RAISE.times) / RAISE.over + 1n;
const smaller = (left: bigint, right: bigint) => (left < right ? left : right);
const larger = (left: bigint, right: bigint) => (left > right ? left : right);
