import { table } from '@bitcloak/cli/output';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, rounded } from './measure.ts';
import { Enclave, Load, upTo } from './ordersClients.ts';
import { measureLatency } from './ordersLatency.ts';

const AIM_PER_CORE = 900;
const AIM_MS = 5;
/** Requests that are under way at once. */
export const CONCURRENCY = 64;
export const AGGRESSIVE_PERCENT = 10;
const PRICE = 200_000;
const SPREAD = 400;
/** Of the rate that was asked for: what is below it was not measured at that rate. */
const RATE_PART_MIN = 0.95;

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

function tooSlow(reached: number, rate: number): string {
  if (reached >= RATE_PART_MIN * rate) return '';
  return `\nThis machine did not come to ${grouped(rate)} orders a second, so the latency is not that of this rate.`;
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [count, accounts] = [options.count('orders'), options.count('accounts')];
  const [rate, seconds] = [options.count('rate'), options.count('seconds')];
  const pairs = Math.min(8, Math.floor(accounts / 4));
  say('starting an enclave');
  const enclave = await Enclave.start(accounts);
  try {
    const load = await Load.open(enclave.served, upTo(accounts));
    await measureIntake(enclave, load, accounts, Math.ceil(count / 10), say);
    const intake = await measureIntake(enclave, load, accounts, count, say);
    const plan = { pairs, accounts, rate, seconds };
    const latency = await measureLatency(enclave, load, plan, say);
    const text = `${table(
      [{ title: 'what' }, { title: 'measured', align: 'right' }, { title: 'aim', align: 'right' }],
      [
        ['signed orders a second of one core', grouped(intake.perSecondOfCore), grouped(AIM_PER_CORE)],
        ['orders a second on this machine, with who sends them', grouped(intake.perSecond), ''],
        ['orders a second while trades were timed', grouped(latency.ordersPerSecond), grouped(rate)],
        ['trade to both owners, p50', `${latency.p50Ms} ms`, ''],
        ['p99', `${latency.p99Ms} ms`, `${AIM_MS} ms`],
      ],
    )}

Orders come over HTTP, each sealed, its signature checked, and synced in the journal before it is answered; ${AGGRESSIVE_PERCENT}% of them trade. A core's rate is by the
processor time of the enclave's process, a chain without blocks included. Latency is from sending the order that takes to the later of both streams; ${latency.trades} trades one after another,
beside orders of other accounts that rest, which another process sends when they are due.${tooSlow(latency.ordersPerSecond, rate)}`;
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
