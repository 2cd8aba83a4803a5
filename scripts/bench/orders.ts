import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { table } from '@bitcloak/cli/output';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { Channel } from '@bitcloak/trading/channel';
import { takenAtItsWord, TradingClient } from '@bitcloak/trading/client';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder, type OrderTerms } from '@bitcloak/trading/orders';
import type { TradedMarket } from '@bitcloak/trading/steps';
import { API, encodeSigned } from '@bitcloak/trading/wire';
import type { Options, Report, Say } from './benchmark.ts';
import type { ChannelCosts } from './channelWork.ts';
import { grouped, rounded } from './measure.ts';
import { accountsOf, type ChildMessage, type ParentMessage } from './ordersChild.ts';

const CHILD = fileURLToPath(import.meta.resolve('./ordersChild.ts'));
const AIM_PER_CORE = 900;
const AIM_MS = 5;
/** Requests that are under way at once. */
export const CONCURRENCY = 64;
export const AGGRESSIVE_PERCENT = 10;
const PRICE = 200_000;
const SPREAD = 400;

type Prepared = { readonly account: number; readonly clientOrderId: string; readonly body: string };

/** An enclave in a process of its own. */
export class Enclave {
  readonly #child: ChildProcess;
  readonly url: string;
  readonly operatorId: bigint;
  readonly tokens: (ChildMessage & { kind: 'ready' })['tokens'];

  private constructor(child: ChildProcess, ready: ChildMessage & { kind: 'ready' }) {
    this.#child = child;
    this.url = ready.url;
    this.operatorId = ready.operatorId;
    this.tokens = ready.tokens;
  }

  static async start(accounts: number): Promise<Enclave> {
    const child = fork(CHILD, [String(accounts)], { serialization: 'advanced' });
    const [ready] = (await once(child, 'message')) as [ChildMessage & { kind: 'ready' }];
    return new Enclave(child, ready);
  }

  /** What the enclave has computed so far, all its threads together. */
  async cpuMs(): Promise<number> {
    return (await this.#ask<'cpu'>({ kind: 'cpu' })).milliseconds;
  }

  /** What the seals of so many requests cost, measured in that process. */
  async channelCosts(requests: number): Promise<ChannelCosts> {
    return (await this.#ask<'channel'>({ kind: 'channel', requests })).costs;
  }

  async #ask<Kind extends ChildMessage['kind']>(message: ParentMessage): Promise<ChildMessage & { kind: Kind }> {
    this.#child.send(message);
    const [answer] = (await once(this.#child, 'message')) as [ChildMessage & { kind: Kind }];
    return answer;
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}

export class Load {
  readonly #enclave: Enclave;
  readonly #keys: readonly SpendingKey[];
  readonly #market: TradedMarket;
  readonly #expiry: bigint;
  readonly #channels: Channel[] = [];
  #names = 0;

  private constructor(enclave: Enclave, keys: readonly SpendingKey[], market: TradedMarket, expiry: bigint) {
    this.#enclave = enclave;
    this.#keys = keys;
    this.#market = market;
    this.#expiry = expiry;
  }

  static async open(enclave: Enclave, accounts: number): Promise<Load> {
    const keys = accountsOf(enclave.operatorId, accounts);
    const { url, operatorId, tokens } = enclave;
    const key = keys[0] as SpendingKey;
    const client = await TradingClient.look({ url, key, expected: { operatorId }, check: takenAtItsWord, tokens });
    const [market] = await client.markets();
    const info = await client.info();
    const load = new Load(enclave, keys, market as TradedMarket, BigInt(info.time + 6 * 86_400));
    for (const own of keys) {
      load.#channels.push(new Channel({ base: new URL(url), key: own, peer: async () => info, fetch, msMax: 30_000 }));
    }
    // The first request of an account is not like the others.
    for (const channel of load.#channels) await channel.session();
    return load;
  }

  /** A signed order as it goes over the wire. */
  prepare(account: number, side: 'buy' | 'sell', price: number, lots: number, timeInForce: 'gtc' | 'ioc'): Prepared {
    const key = this.#keys[account] as SpendingKey;
    const { operatorId } = this.#enclave;
    const destination = { operatorId, expiry: this.#expiry, payTo: key.keys.owner, relockExpiry: 0n };
    const signed = signOrder(key, limitOf(this.#market, side, price, lots), destination);
    const clientOrderId = `order-${++this.#names}`;
    const { market } = this.#market;
    const terms: OrderTerms = { market, side, type: 'limit', price, lots, timeInForce, selfTrade: 'cancelNewest' };
    return { account, clientOrderId, body: JSON.stringify({ clientOrderId, ...terms, ...encodeSigned(signed) }) };
  }

  async send({ account, body }: Prepared): Promise<void> {
    const channel = this.#channels[account] as Channel;
    const { status } = await channel.send(await channel.session(), 'POST', `${API}/orders`, body);
    if (status !== 201) throw new Error(`an order was answered with ${status}`);
  }

  /** Empties the books. */
  async cancelAll(): Promise<void> {
    for (let account = 0; account < this.#keys.length; account++) await (await this.client(account)).cancelAll();
  }

  client(account: number): Promise<TradingClient> {
    const { url, operatorId, tokens } = this.#enclave;
    const key = this.#keys[account] as SpendingKey;
    return TradingClient.connect({ url, key, expected: { operatorId }, check: takenAtItsWord, tokens });
  }
}

/** As many orders a second as it takes. */
export async function measureIntake(enclave: Enclave, load: Load, accounts: number, count: number, say: Say) {
  say(`signing ${grouped(count)} orders`);
  const orders = Array.from({ length: count }, (_, index) => {
    const [sells, takes] = [index % 2 === 0, index % 100 < AGGRESSIVE_PERCENT];
    const away = (1 + ((index * 7_919) % SPREAD)) * (takes ? -1 : 1);
    const price = PRICE + (sells ? away : -away);
    return load.prepare(index % accounts, sells ? 'sell' : 'buy', price, 1 + (index % 50), 'gtc');
  });
  say('sending them');
  let next = 0;
  const work = async () => {
    for (let order = orders[next++]; order !== undefined; order = orders[next++]) await load.send(order);
  };
  const [before, started] = [await enclave.cpuMs(), performance.now()];
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  const wallMs = performance.now() - started;
  const cpuMs = (await enclave.cpuMs()) - before;
  return { perSecondOfCore: rounded((count / cpuMs) * 1000), perSecond: rounded((count / wallMs) * 1000) };
}

/** From sending the order that takes to both its owners' streams telling of the trade. */
async function measureLatency(load: Load, pairs: number, rate: number, seconds: number, say: Say) {
  const trades = Math.floor((rate / 2) * seconds);
  say(`signing ${grouped(2 * trades)} orders`);
  // Nothing else is in the books.
  await load.cancelAll();
  const prepared = Array.from({ length: trades }, (_, index) => {
    const pair = index % pairs;
    const price = 2 * PRICE + index;
    const makes = load.prepare(2 * pair, 'buy', price, 1, 'gtc');
    return { makes, takes: load.prepare(2 * pair + 1, 'sell', price, 1, 'ioc') };
  });
  const heard = new Map<string, number>();
  const clients = await Promise.all(Array.from({ length: 2 * pairs }, (_, account) => load.client(account)));
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
  const started = performance.now();
  // One trade after the other: of two at once nobody knows which order met which.
  for (const [index, { makes, takes }] of prepared.entries()) {
    const due = started + (index * 2_000) / rate;
    if (due > performance.now()) await sleep(due - performance.now());
    await load.send(makes);
    sent.set(takes.clientOrderId, performance.now());
    await load.send(takes);
  }
  await sleep(500);
  const reached = (2 * trades * 1000) / (performance.now() - started - 500);
  for (const stream of streams) stream.close();
  const latencies = prepared
    .map(({ makes, takes }) => {
      const last = Math.max(...[makes, takes].map(({ clientOrderId }) => heard.get(clientOrderId) ?? NaN));
      return last - (sent.get(takes.clientOrderId) ?? NaN);
    })
    .sort((left, right) => left - right);
  if (latencies.some(Number.isNaN)) throw new Error('a trade was not told to both its owners');
  const at = (part: number) => Number((latencies[Math.floor(latencies.length * part)] as number).toFixed(2));
  return { ordersPerSecond: rounded(reached), p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(0.9999) };
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [count, accounts] = [options.count('orders'), options.count('accounts')];
  const [rate, seconds] = [options.count('rate'), options.count('seconds')];
  const pairs = Math.min(8, Math.floor(accounts / 2));
  say('starting an enclave');
  const enclave = await Enclave.start(accounts);
  try {
    const load = await Load.open(enclave, accounts);
    await measureIntake(enclave, load, accounts, Math.ceil(count / 10), say);
    const intake = await measureIntake(enclave, load, accounts, count, say);
    const latency = await measureLatency(load, pairs, rate, seconds, say);
    const text = `${table(
      [{ title: 'what' }, { title: 'measured', align: 'right' }, { title: 'aim', align: 'right' }],
      [
        ['signed orders a second of one core', grouped(intake.perSecondOfCore), grouped(AIM_PER_CORE)],
        ['orders a second on this machine, with who sends them', grouped(intake.perSecond), ''],
        [`trade to both owners at ${grouped(latency.ordersPerSecond)} orders/s, p50`, `${latency.p50Ms} ms`, ''],
        ['p99', `${latency.p99Ms} ms`, `${AIM_MS} ms`],
      ],
    )}

Orders come over HTTP, each sealed, its signature checked, and synced in the journal before it is answered; ${AGGRESSIVE_PERCENT}% of them trade. A core's rate is by the
processor time of the enclave's process, a chain without blocks included. Latency is from sending the order that takes to the later of both streams.`;
    const parameters = {
      orders: count,
      accounts,
      concurrency: CONCURRENCY,
      aggressivePercent: AGGRESSIVE_PERCENT,
      rate,
      seconds,
    };
    return { parameters, results: { intake, latency }, text };
  } finally {
    await enclave.close();
  }
}
