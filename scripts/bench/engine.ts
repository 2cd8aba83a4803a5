import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { table } from '@bitcloak/cli/output';
import { SIDE } from '../../enclave/engine/codes.ts';
import type { Options, Report, Say } from './benchmark.ts';
import {
  ACCOUNTS,
  AGGRESSIVE,
  CANCEL,
  CANCEL_PERCENT,
  LOTS_AGGRESSIVE,
  LOTS_PASSIVE,
  makeWork,
  newEngine,
  PASSIVE_PERCENT,
  perform,
  type Operation,
  type Work,
} from './engineWork.ts';
import { grouped, median, rounded } from './measure.ts';

/** Orders that rest when the measurement begins. */
const DEPTHS = { shallow: 16_000, deep: 90_000 } as const;
/** Price levels of each side. */
const LEVELS = 1000;
/** Runs that only warm up. */
const WARMING = 2;
const AIM = 5_000_000;

type Book = { readonly name: string; readonly depth: number; readonly work: Work };

function filledEngine({ filling }: Work) {
  const engine = newEngine();
  for (const operation of filling) perform(engine, operation);
  engine.hash();
  return engine;
}

/** Operations per second. */
function measureEngine(work: Work, hashEvery: number): number {
  const engine = filledEngine(work);
  const { measured } = work;
  const start = performance.now();
  for (let index = 0; index < measured.length; index++) {
    perform(engine, measured[index] as Operation);
    if (index % hashEvery === 0) engine.hash();
  }
  return (measured.length / (performance.now() - start)) * 1000;
}

/** Nanoseconds of single operations, by rising duration, and what reading the clock takes of each. */
function measureLatency(work: Work): { sorted: Float64Array; clock: number } {
  const engine = filledEngine(work);
  const { measured } = work;
  const durations = new Float64Array(measured.length);
  for (let index = 0; index < measured.length; index++) {
    const start = performance.now();
    perform(engine, measured[index] as Operation);
    durations[index] = (performance.now() - start) * 1e6;
  }
  const start = performance.now();
  for (let index = 0; index < measured.length; index++) performance.now();
  const clock = ((performance.now() - start) / measured.length) * 1e6;
  return { sorted: durations.sort(), clock };
}

/** What is used of a peer. */
type PeerBook = {
  limit(order: { id: string; side: 'buy' | 'sell'; size: number; price: number; timeInForce: 'GTC' | 'IOC' }): unknown;
  cancel(id: string): unknown;
};
type Peer = { readonly OrderBook: new () => PeerBook };

function measurePeer({ OrderBook }: Peer, work: Work): number {
  const book = new OrderBook();
  const act = ({ kind, side, price, lots }: Operation, id: string): void => {
    if (kind === CANCEL) book.cancel(id);
    else {
      const timeInForce = kind === AGGRESSIVE ? 'IOC' : 'GTC';
      book.limit({ id, side: side === SIDE.buy ? 'buy' : 'sell', size: lots, price, timeInForce });
    }
  };
  const ids = work.measured.map(({ order }) => String(order));
  for (const operation of work.filling) act(operation, String(operation.order));
  const start = performance.now();
  for (const [index, operation] of work.measured.entries()) act(operation, ids[index] as string);
  return (work.measured.length / (performance.now() - start)) * 1000;
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [operations, rounds, hashEvery] = [options.count('operations'), options.count('rounds'), options.count('hash')];
  const directory = options.text('peer');
  const peer =
    directory === '' ? undefined : (createRequire(resolve(directory, 'main.js'))('nodejs-order-book') as Peer);

  const books: Book[] = Object.entries(DEPTHS).map(([name, depth]) => {
    say(`operations for the ${name} book`);
    return { name, depth, work: makeWork(depth, operations, LEVELS) };
  });
  const speeds = books.map((): number[] => []);
  for (let round = -WARMING; round < rounds; round++) {
    say(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
    for (const [index, { work }] of books.entries()) {
      const speed = measureEngine(work, hashEvery);
      if (round >= 0) speeds[index]?.push(speed);
    }
  }
  const results = books.map(({ name, depth, work }, index) => {
    say(`latency on the ${name} book`);
    const { sorted, clock } = measureLatency(work);
    const at = (part: number): number => rounded(sorted[Math.floor(sorted.length * part)] as number);
    const all = speeds[index] ?? [];
    return {
      book: name,
      orders: depth,
      ordersAtEnd: work.openAtEnd,
      trades: work.trades,
      operationsPerSecond: rounded(median(all)),
      best: rounded(Math.max(...all)),
      worst: rounded(Math.min(...all)),
      latencyNanoseconds: { p50: at(0.5), p99: at(0.99), p999: at(0.999), clock: rounded(clock) },
      ...(peer === undefined ? {} : { peerOperationsPerSecond: rounded(measurePeer(peer, work)) }),
    };
  });
  const columns = ['orders', 'trades', 'operations/s', 'best', 'worst', 'p50 ns', 'p99 ns', 'p99.9 ns'];
  const right = [...columns, ...(peer === undefined ? [] : ['nodejs-order-book'])];
  const text = `${table(
    [{ title: 'book' }, ...right.map((title) => ({ title, align: 'right' as const }))],
    results.map(({ book, latencyNanoseconds: { p50, p99, p999 }, ...row }) => [
      book,
      ...[row.orders, row.trades, row.operationsPerSecond, row.best, row.worst, p50, p99, p999].map(grouped),
      ...('peerOperationsPerSecond' in row ? [grouped(row.peerOperationsPerSecond)] : []),
    ]),
  )}

Operations per second are the median of ${rounds} runs, after ${WARMING} that only warm up, with self-trade prevention, events, and the hash of the state
every ${grouped(hashEvery)} operations; aim: ${grouped(AIM)}. Latencies are of one more run and contain a reading of the clock, ${results[0]?.latencyNanoseconds.clock ?? 0} ns by itself.`;
  const mix = { passivePercent: PASSIVE_PERCENT, cancelPercent: CANCEL_PERCENT };
  const sizes = { lotsPassive: LOTS_PASSIVE, lotsAggressive: LOTS_AGGRESSIVE, accounts: ACCOUNTS, levels: LEVELS };
  const parameters = { operations, rounds, hashEvery, ...mix, ...sizes, aimOperationsPerSecond: AIM };
  return { parameters, results, text };
}
