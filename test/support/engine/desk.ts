import type { DropReason, NewOrder } from '../../../enclave/engine/commands.ts';
import { Engine } from '../../../enclave/engine/engine.ts';
import type { EngineEvent } from '../../../enclave/engine/events.ts';

export const RULES = {
  market: 0,
  ticksMax: 1_000_000,
  lotsMin: 1,
  lotsMax: 1_000_000,
  referenceSecondsMax: 10,
  referenceMoveMax: 100,
};

/** An engine with one market at second 1000, for tests that read like a session of trading. */
export class Desk {
  engine = new Engine();
  #accounts = 1000;

  constructor() {
    this.engine.apply({ kind: 'addMarket', ...RULES, trading: true });
    this.engine.apply({ kind: 'setTime', time: 1000 });
  }

  /** A limit order of an account of its own, unless something else is said. */
  submit(side: 'buy' | 'sell', lots: number, price: number, more: Partial<NewOrder> = {}): string[] {
    const common = { market: 0, account: this.#accounts++, type: 'limit', timeInForce: 'gtc' } as const;
    const order = { ...common, selfTrade: 'cancelNewest', side, lots, price, ...more } as const;
    return this.engine.apply({ kind: 'submit', ...order }).map(say);
  }

  amend(order: number, price: number, lots: number): string[] {
    const account = this.engine.order(order)?.account ?? 0;
    return this.engine.apply({ kind: 'amend', account, order, price, lots }).map(say);
  }

  cancel(order: number): string[] {
    return this.engine.apply({ kind: 'cancel', account: this.engine.order(order)?.account ?? 0, order }).map(say);
  }

  drop(order: number, reason: DropReason): string[] {
    return this.engine.apply({ kind: 'drop', order, reason }).map(say);
  }

  time(time: number): string[] {
    return this.engine.apply({ kind: 'setTime', time }).map(say);
  }

  reference(ticks: number, time: number): string[] {
    return this.engine.apply({ kind: 'setReference', market: 0, ticks, time }).map(say);
  }

  /** A reference that is used from now on, with nobody in the market who would trade at it. */
  steadyReference(ticks: number, time: number): void {
    this.reference(ticks, time - 1);
    this.reference(ticks, time);
  }

  /** Orders of a side and what they show, the next to trade first. */
  queue(side: 'buy' | 'sell', type: 'limit' | 'pegged' = 'limit'): string[] {
    const levels = [...this.engine.levels(0, side, type)];
    return levels.flatMap(({ orders }) => orders.map(({ order, shown, open }) => `#${order} ${shown}/${open}`));
  }
}

/** An event in few words. */
export function say(event: EngineEvent): string {
  switch (event.kind) {
    case 'traded': {
      const reference = event.referenceTime === 0 ? '' : ` by the reference of ${event.referenceTime}`;
      return `#${event.maker} gives #${event.taker} ${event.lots} at ${event.price}${reference}`;
    }
    case 'rejected':
      return `rejected: ${event.reason}`;
    case 'cancelled':
    case 'reduced':
      return `#${event.order} ${event.kind} by ${event.lots}: ${event.reason}`;
    case 'amended':
      return `#${event.order} amended to ${event.lots} at ${event.price}`;
    case 'refreshed':
      return `#${event.order} shows ${event.lots}`;
    case 'accepted':
      return `#${event.order}`;
    case 'referenceSet':
      return `reference ${event.ticks} ${event.usable ? 'used' : 'waits'}`;
    case 'timeSet':
      return `second ${event.time}`;
    case 'marketAdded':
    case 'tradingSet':
      return event.kind;
  }
}
