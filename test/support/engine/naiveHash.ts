// The hash of a state from scratch, by what enclave/engine/hash.ts says of it.
import { SELF_TRADES, SIDES } from '@bitcloak/protocol/orders';
import type { NaiveMarket, NaiveOrder, NaiveState } from './naiveState.ts';

const LANES = [0x243f6a88, 0x13198a2e].map((seed) =>
  Array.from({ length: 32 }, (_, place) => stir((seed + Math.imul(place + 1, 0x9e3779b1)) >>> 0) | 1),
);

function stir(sum: number): number {
  let bits = sum | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

/** Both lanes' digests of a list: the weights of low words come first, then those of high ones. */
function digests(list: readonly number[]): number[] {
  return LANES.map((weights) =>
    stir(
      list.reduce((sum, number, place) => {
        const low = Math.imul(number % 2 ** 32, weights[place] as number);
        return (sum + low + Math.imul(Math.floor(number / 2 ** 32), weights[16 + place] as number)) | 0;
      }, 0),
    ),
  );
}

function orderList(order: NaiveOrder): number[] {
  const ladder = order.market * 4 + (order.type === 'pegged' ? 2 : 0) + SIDES.indexOf(order.side);
  const terms = [ladder, order.price, order.account, SELF_TRADES.indexOf(order.selfTrade), Number(order.postOnly)];
  const quantities = [order.open, order.shown, order.filled, order.rank, order.minimumMatch, order.display];
  return [3, ...terms, order.order, ...quantities, order.expiry];
}

function marketList(market: NaiveMarket): number[] {
  const rules = [market.market, market.ticksMax, market.lotsMin, market.lotsMax, market.referenceSecondsMax];
  const reference = [market.reference, market.referenceTime, Number(market.referenceSteady)];
  return [2, ...rules, market.referenceMoveMax, Number(market.trading), ...reference];
}

export function hashOf({ now, nextOrder, nextTrade, nextRank, markets, orders }: NaiveState): string {
  let [low, high] = [0, 0];
  for (const list of [...markets.map(marketList), ...orders.map(orderList)]) {
    const [listLow = 0, listHigh = 0] = digests(list);
    low = (low + listLow) >>> 0;
    high = (high + listHigh) >>> 0;
  }
  return digests([1, now, nextOrder, nextTrade, nextRank, low, high])
    .reverse()
    .map((lane) => (lane >>> 0).toString(16).padStart(8, '0'))
    .join('');
}
