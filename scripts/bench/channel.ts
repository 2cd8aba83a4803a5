import { table } from '@bitcloak/cli/output';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, rounded } from './measure.ts';
import { AGGRESSIVE_PERCENT, CONCURRENCY, measureIntake } from './orders.ts';
import { Enclave, Load, upTo } from './ordersClients.ts';

const AIM_PER_CORE = 700;

export async function run(options: Options, say: Say): Promise<Report> {
  const [count, accounts, requests] = [options.count('orders'), options.count('accounts'), options.count('requests')];
  say('starting an enclave');
  const enclave = await Enclave.start(accounts);
  try {
    const load = await Load.open(enclave.served, upTo(accounts));
    await measureIntake(enclave, load, accounts, Math.ceil(count / 10), say);
    const intake = await measureIntake(enclave, load, accounts, count, say);
    say(`${grouped(requests)} requests with and without a seal`);
    const { plain, sealed, plainRead, sealedRead, opening, clientOpening } = await enclave.channelCosts(requests);
    const ratio = (left: number, right: number) => Number((left / right).toFixed(3));
    const results = {
      intake,
      order: {
        plainMs: rounded(plain.wallMs),
        sealedMs: rounded(sealed.wallMs),
        latencyRatio: ratio(sealed.wallMs, plain.wallMs),
        computingRatio: ratio(sealed.cpuMs, plain.cpuMs),
      },
      read: {
        plainMs: rounded(plainRead.wallMs),
        sealedMs: rounded(sealedRead.wallMs),
        latencyRatio: ratio(sealedRead.wallMs, plainRead.wallMs),
      },
      opening: {
        enclaveMs: rounded(opening.wallMs),
        enclaveComputingMs: rounded(opening.cpuMs),
        clientMs: rounded(clientOpening.wallMs),
      },
    };
    const { order, read } = results;
    const text = `${table(
      [{ title: 'what' }, { title: 'measured', align: 'right' }, { title: 'aim', align: 'right' }],
      [
        ['sealed signed orders a second of one core', grouped(intake.perSecondOfCore), grouped(AIM_PER_CORE)],
        ['orders a second on this machine, with who sends them', grouped(intake.perSecond), ''],
        ['an order with its seal, against the same without', `${order.sealedMs} / ${order.plainMs} ms`, ''],
        ['times as long', String(order.latencyRatio), ''],
        ['a balance with its seal, against the same without', `${read.sealedMs} / ${read.plainMs} ms`, ''],
        ['opening a session, to the enclave', `${results.opening.enclaveMs} ms`, ''],
        ['and to its client', `${results.opening.clientMs} ms`, ''],
      ],
    )}

Orders come over HTTP, each sealed, its signature checked, and synced in the journal before it is answered; ${AGGRESSIVE_PERCENT}% of them trade. A core's rate is by the
processor time of the enclave's process. Requests with and without a seal take turns inside that process, without HTTP in front of either; the medians of their times are compared.`;
    const parameters = {
      orders: count,
      accounts,
      concurrency: CONCURRENCY,
      aggressivePercent: AGGRESSIVE_PERCENT,
      requests,
    };
    return { parameters, results, text };
  } finally {
    await enclave.close();
  }
}
