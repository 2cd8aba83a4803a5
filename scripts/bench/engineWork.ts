// What the benchmark of the engine has it do: the same operations for every engine that is measured.
import { SELF_TRADE, SIDE, TIME_IN_FORCE, TYPE } from '../../enclave/engine/codes.ts';
import { Engine } from '../../enclave/engine/engine.ts';
import type { OrderRequest } from '../../enclave/engine/request.ts';
import { seededBytes } from './random.ts';

export const MIDDLE_TICKS = 100_000;
export const LOTS_PASSIVE = 100;
/** On average an aggressive order eats five passive ones, which keeps the book as deep as it is. */
export const LOTS_AGGRESSIVE = 500;
export const ACCOUNTS = 1000;
export const PASSIVE_PERCENT = 70;
export const CANCEL_PERCENT = 20;

const MARKET_RULES = {
  market: 0,
  ticksMax: 2 ** 31 - 1,
  lotsMin: 1,
  lotsMax: 2 ** 40,
  referenceSecondsMax: 60,
  referenceMoveMax: 100,
};

export const PASSIVE = 0;
export const CANCEL = 1;
export const AGGRESSIVE = 2;

export type Operation = {
  readonly kind: typeof PASSIVE | typeof CANCEL | typeof AGGRESSIVE;
  readonly side: number;
  readonly price: number;
  readonly lots: number;
  readonly account: number;
  /** The id that the order gets, or that a cancellation names. */
  readonly order: number;
};

export type Work = {
  /** Orders that are there before anything is measured. */
  readonly filling: readonly Operation[];
  readonly measured: readonly Operation[];
  /** Open orders at the end. */
  readonly openAtEnd: number;
  /** All of them fall into what is measured, since nothing crosses before. */
  readonly trades: number;
};

/** Draws below 2^32 in order. */
function seededDraws(seed: string): (bound: number) => number {
  const bytes = seededBytes(seed);
  let words: Uint32Array = new Uint32Array(0);
  let next = 0;
  return (bound) => {
    if (next === words.length) [words, next] = [new Uint32Array(bytes(2 ** 16).buffer), 0];
    return (words[next++] as number) % bound;
  };
}

export function newEngine(): Engine {
  const engine = new Engine();
  engine.addMarket(MARKET_RULES, true);
  return engine;
}

/** One object for all orders, as a caller in a hurry has it. */
const request: OrderRequest = {
  market: 0,
  account: 0,
  side: SIDE.buy,
  type: TYPE.limit,
  price: 0,
  lots: 0,
  timeInForce: TIME_IN_FORCE.gtc,
  selfTrade: SELF_TRADE.cancelNewest,
  expiry: 0,
  postOnly: false,
  display: 0,
  minimumTotal: 0,
  minimumMatch: 0,
};

export function perform(engine: Engine, operation: Operation): void {
  if (operation.kind === CANCEL) {
    engine.cancel(operation.account, operation.order);
    return;
  }
  request.account = operation.account;
  request.side = operation.side;
  request.price = operation.price;
  request.lots = operation.lots;
  request.timeInForce = operation.kind === PASSIVE ? TIME_IN_FORCE.gtc : TIME_IN_FORCE.ioc;
  engine.submit(request);
}

/** Draws the operations against an engine, so that every cancellation is for an order that is open then. */
export function makeWork(depth: number, operations: number, levels: number): Work {
  const draw = seededDraws(`bitcloak engine ${depth} ${operations}`);
  const engine = newEngine();
  const accountOf: number[] = [0];
  const run = (operation: Operation): Operation => {
    perform(engine, operation);
    if (operation.kind !== CANCEL) accountOf.push(operation.account);
    return operation;
  };
  const passive = (): Operation => {
    const side = draw(2);
    const distance = 1 + draw(levels);
    const price = side === SIDE.buy ? MIDDLE_TICKS - distance : MIDDLE_TICKS + distance;
    return {
      kind: PASSIVE,
      side,
      price,
      lots: 1 + draw(LOTS_PASSIVE),
      account: draw(ACCOUNTS),
      order: accountOf.length,
    };
  };
  const aggressive = (): Operation => {
    const side = draw(2);
    const price = side === SIDE.buy ? MIDDLE_TICKS + levels : MIDDLE_TICKS - levels;
    return {
      kind: AGGRESSIVE,
      side,
      price,
      lots: 1 + draw(LOTS_AGGRESSIVE),
      account: draw(ACCOUNTS),
      order: accountOf.length,
    };
  };
  const cancellation = (): Operation => {
    let order = 1 + draw(accountOf.length - 1);
    while (engine.order(order) === undefined) order = 1 + draw(accountOf.length - 1);
    return { kind: CANCEL, side: 0, price: 0, lots: 0, account: accountOf[order] as number, order };
  };
  const next = (): Operation => {
    const percent = draw(100);
    if (percent < PASSIVE_PERCENT) return passive();
    return percent < PASSIVE_PERCENT + CANCEL_PERCENT ? cancellation() : aggressive();
  };
  const filling = Array.from({ length: depth }, () => run(passive()));
  const measured = Array.from({ length: operations }, () => run(next()));
  const { counters, orders } = engine.snapshot();
  return { filling, measured, openAtEnd: orders.length, trades: counters.nextTrade - 1 };
}
