import { setTimeout as sleep } from 'node:timers/promises';
import type { FillRecord } from '@bitcloak/trading/records';
import type { TradingClient } from '@bitcloak/trading/client';
import { OperatorRefusal, OutcomeUnknown } from '@bitcloak/trading/refusals';
import { formatPrice, ticksOf } from '@bitcloak/trading/steps';
import { describe, runExample } from './run.ts';

export type TakerOptions = {
  readonly pair: string;
  /** Of each order: a decimal in the base token. */
  readonly size: string;
  /** What the base token is worth now, in the quote token; undefined where nobody knows, and then nothing is taken. */
  readonly reference: () => Promise<string | undefined>;
  /** Basis points that it pays at most beyond the reference. */
  readonly slippage: number;
  readonly everyMs: number;
  readonly onFills?: (fills: readonly FillRecord[]) => void;
};

const WHOLE = 10_000;

/** Takes what it can get near a reference price, buying and selling by turns, until the signal. What is not there at once is not waited for. */
export async function taker(client: TradingClient, options: TakerOptions, signal: AbortSignal): Promise<void> {
  const { pair, size, slippage } = options;
  const market = await client.market(pair);
  for (let turn = 0; !signal.aborted; turn++) {
    const side = turn % 2 === 0 ? 'buy' : 'sell';
    const reference = await options.reference();
    if (reference !== undefined) {
      const middle = ticksOf(market, reference, 'down');
      const basisPoints = side === 'buy' ? WHOLE + slippage : WHOLE - slippage;
      const ticks = Math.max(1, Math.min(market.ticksMax, Math.floor((middle * basisPoints) / WHOLE)));
      const order = { pair, side, price: formatPrice(market, ticks), quantity: size, timeInForce: 'ioc' } as const;
      try {
        const { fills } = await client.place(order);
        options.onFills?.(fills);
      } catch (error) {
        // For want of funds on this side, most likely; the next turn is the other's.
        if (!(error instanceof OperatorRefusal) && !(error instanceof OutcomeUnknown)) throw error;
      }
    }
    await sleep(options.everyMs, undefined, { signal }).catch(() => undefined);
  }
}

if (import.meta.main) {
  await runExample({ size: '1', slippage: '20', every: '5' }, (client, words, signal) => {
    const { pair, reference, size, slippage, every } = words;
    const onFills = (fills: readonly FillRecord[]) => {
      for (const fill of fills) console.log(`fill ${fill.id}: ${describe(client, fill, fill.lots)}`);
    };
    const numbers = { size, slippage: Number(slippage), everyMs: 1_000 * Number(every) };
    return taker(client, { pair, reference, ...numbers, onFills }, signal);
  });
}
