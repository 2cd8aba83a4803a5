import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Say } from './benchmark.ts';
import { grouped, rounded } from './measure.ts';
import { type Enclave, type Load, upTo } from './ordersClients.ts';
import type { Rest, RestMessage } from './ordersRest.ts';

const REST = fileURLToPath(import.meta.resolve('./ordersRest.ts'));
/** Of all orders, those of the trades that are timed. */
const TIMED_PART = 1 / 5;
/** Above every price at which orders rest. */
const PRICE = 400_000;
/** For reports that are still on their way. */
const LAST_REPORTS_MS = 500;

export type LatencyPlan = {
  /** Accounts that trade with each other, by twos; the others have orders that rest. */
  readonly pairs: number;
  readonly accounts: number;
  /** Orders a second. */
  readonly rate: number;
  readonly seconds: number;
};

/** Another process: what sealing and sending costs must not make the trades wait that are timed. */
class Resting {
  readonly #child = fork(REST, { serialization: 'advanced' });

  async prepare(rest: Rest): Promise<void> {
    this.#child.send(rest);
    await this.#next();
  }

  start(): void {
    this.#child.send('start');
  }

  /** @returns how many orders were answered. */
  async stop(): Promise<number> {
    this.#child.send('stop');
    const { answered } = await this.#next();
    this.#child.disconnect();
    return answered;
  }

  kill(): void {
    this.#child.kill();
  }

  async #next(): Promise<RestMessage> {
    const [message] = (await Promise.race([
      once(this.#child, 'message'),
      once(this.#child, 'exit').then(() => {
        throw new Error('the process whose orders rest has failed');
      }),
    ])) as [RestMessage];
    return message;
  }
}

/** From sending the order that takes to both its owners' streams telling of the trade. */
export async function measureLatency(enclave: Enclave, load: Load, plan: LatencyPlan, say: Say) {
  const { pairs, accounts, rate, seconds } = plan;
  const trades = Math.floor((TIMED_PART * rate * seconds) / 2);
  const restingRate = (1 - TIMED_PART) * rate;
  say(`signing ${grouped(rate * seconds)} orders`);
  // Nothing else is in the books.
  await load.cancelAll();
  const resting = new Resting();
  try {
    const others = upTo(accounts).slice(2 * pairs);
    const ready = resting.prepare({ served: enclave.served, accounts: others, rate: restingRate, seconds });
    const prepared = Array.from({ length: trades }, (_, index) => {
      const pair = index % pairs;
      const price = PRICE + index;
      const makes = load.prepare(2 * pair, 'buy', price, 1, 'gtc');
      return { makes, takes: load.prepare(2 * pair + 1, 'sell', price, 1, 'ioc') };
    });
    await ready;
    const heard = new Map<string, number>();
    const clients = await Promise.all(upTo(2 * pairs).map((account) => load.client(account)));
    const streams = clients.map((client) =>
      client.stream({
        onEvent: (event) => {
          if (event.kind !== 'report' || event.report.kind !== 'traded') return;
          heard.set(event.report.order?.clientOrderId ?? '', performance.now());
        },
      }),
    );
    await Promise.all(streams.map((stream) => stream.ready()));
    say(`${rate} orders a second`);
    const sent = new Map<string, number>();
    resting.start();
    const started = performance.now();
    // One trade after the other: of two at once nobody knows which order met which.
    for (const [index, { makes, takes }] of prepared.entries()) {
      const due = started + (index * 1000 * seconds) / trades;
      const early = due - performance.now();
      if (early > 0) await sleep(early);
      await load.send(makes);
      sent.set(takes.clientOrderId, performance.now());
      await load.send(takes);
    }
    const elapsedMs = performance.now() - started;
    const answered = 2 * trades + (await resting.stop());
    await sleep(LAST_REPORTS_MS);
    for (const stream of streams) stream.close();
    const latencies = prepared
      .map(({ makes, takes }) => {
        const last = Math.max(...[makes, takes].map(({ clientOrderId }) => heard.get(clientOrderId) ?? NaN));
        return last - (sent.get(takes.clientOrderId) ?? NaN);
      })
      .sort((left, right) => left - right);
    if (latencies.some(Number.isNaN)) throw new Error('a trade was not told to both its owners');
    const at = (part: number) => Number((latencies[Math.floor(latencies.length * part)] as number).toFixed(2));
    return {
      ordersPerSecond: rounded((answered * 1000) / elapsedMs),
      trades,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(0.9999),
    };
  } finally {
    resting.kill();
  }
}
