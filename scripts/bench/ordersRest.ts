// Sends orders that trade with nobody, each when it is due, whether those before it were answered or not.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Load, type Served } from './ordersClients.ts';

/** What the process is told first. */
export type Rest = {
  readonly served: Served;
  readonly accounts: readonly number[];
  /** Orders a second. */
  readonly rate: number;
  readonly seconds: number;
};

/** Told when all is signed, and when it has stopped. */
export type RestMessage = { readonly answered: number };

/** Below every price of the trades that are timed. */
const PRICE = 200_000;
const SPREAD = 400;
/** An enclave that is slower than the rate must not be buried in requests: then the rate is not reached, and its reader is told. */
const UNDER_WAY_MAX = 256;

async function send({ served, accounts, rate, seconds }: Rest): Promise<void> {
  const tell = (message: RestMessage) => process.send?.(message);
  const load = await Load.open(served, accounts, 'rest');
  const orders = Array.from({ length: Math.ceil(rate * seconds) }, (_, index) => {
    const account = accounts[index % accounts.length] ?? 0;
    return load.prepare(account, 'buy', PRICE - ((index * 7_919) % SPREAD), 1 + (index % 50), 'gtc');
  });
  let [answered, underWay, isStopped] = [0, 0, false];
  tell({ answered });
  await once(process, 'message');
  process.once('message', () => {
    isStopped = true;
    tell({ answered });
  });
  const started = performance.now();
  for (const [index, order] of orders.entries()) {
    const due = started + (index * 1000) / rate;
    const early = due - performance.now();
    if (early > 0) await sleep(early);
    while (underWay >= UNDER_WAY_MAX) await sleep(1);
    if (isStopped) return;
    underWay++;
    void load.send(order).then(() => {
      underWay--;
      answered++;
    });
  }
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const [rest] = (await once(process, 'message')) as [Rest];
  await send(rest);
}
