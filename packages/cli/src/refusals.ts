import type { Token } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Side } from '@bitcloak/protocol/orders';
import type { TradingClient } from '@bitcloak/trading/client';
import { limitOf } from '@bitcloak/trading/market';
import { OperatorRefusal } from '@bitcloak/trading/refusals';
import type { TradedMarket } from '@bitcloak/trading/steps';
import { amountText } from './format.ts';
import { formatDuration } from './time.ts';

/** What is signed for at most. */
export type Sold = { readonly token: Token; readonly amount: bigint };

/** What an order sells at most, its fees included. */
export function soldBy(market: TradedMarket, side: Side, ticks: number, lots: number): Sold {
  const token = side === 'sell' ? market.baseToken : market.quoteToken;
  return { token, amount: limitOf(market, side, ticks, lots).sellMax };
}

/**
 * Does what an operator may refuse. Its words are the same for everybody: the amounts and limits that they leave out are looked up, where that can
 * be done.
 *
 * @param sold what is asked for sells; called only where it is refused for its amount.
 */
export async function withLimits<T>(
  client: TradingClient,
  sold: () => Promise<Sold | undefined>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OperatorRefusal)) throw error;
    const limits = await limitsOf(client, error.reason, sold).catch((failure: unknown) => {
      if (failure instanceof BitcloakError) return undefined;
      throw failure;
    });
    if (limits === undefined) throw error;
    const { code, message, status, reason, authenticated } = error;
    const said = { status, authenticated, ...(reason === undefined ? {} : { reason }) };
    throw new OperatorRefusal(code, `${message}; ${limits}`, said);
  }
}

async function limitsOf(
  client: TradingClient,
  reason: string | undefined,
  sold: () => Promise<Sold | undefined>,
): Promise<string | undefined> {
  switch (reason) {
    case 'fundsInsufficient': {
      const asked = await sold();
      if (asked === undefined) return undefined;
      const { token, amount } = asked;
      const balance = (await client.balances()).find(({ asset }) => asset === token.asset);
      const { available = 0n, held = 0n, total = 0n } = balance ?? {};
      const there = `${amountText(available, token)} available, ${amountText(held, token)} held, ${amountText(total, token)} in all`;
      return `needed, fees included: ${amountText(amount, token)}; there: ${there}`;
    }
    case 'orderTooLong':
      return `it takes orders that trade for at most ${formatDuration(BigInt(await orderSecondsMax(client)))}`;
    case 'relockInvalid':
      return `it takes locks of at most ${formatDuration(BigInt((await client.info()).lockSecondsMax))} from now`;
    case 'ordersTooMany':
      return `open are ${(await client.orders('open')).length}, and others count until they are settled, or have expired`;
    default:
      return undefined;
  }
}

/** Seconds that an order can trade for: an operator counts the time in which it is settled too. */
export async function orderSecondsMax(client: TradingClient): Promise<number> {
  const { orderSecondsMax: whole, settleSeconds } = await client.info();
  return Math.max(0, whole - settleSeconds);
}
