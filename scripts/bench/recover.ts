import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { table } from '@bitcloak/cli/output';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { limitOf, type MarketTerms } from '@bitcloak/trading/market';
import type { ExchangeCommand } from '../../enclave/exchange/commands.ts';
import { Journal } from '../../enclave/journal/journal.ts';
import { Machine } from '../../enclave/operator/machine.ts';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, median, rounded } from './measure.ts';
import { seededBytes, seededElements } from './random.ts';

const SEED = 'bitcloak recover';
const OPERATOR_ID = 77n;
const NOW = 1_800_000_000;
const OWNERS = 256;
const TOKEN = 0xd011a4n;
const TERMS: MarketTerms = {
  market: 1,
  pair: 'ETH-USD',
  base: NATIVE_ASSET,
  quote: TOKEN,
  lotBase: 1_000n,
  tickQuote: 1n,
  makerFee: 5,
  takerFee: 10,
};
const CANCEL_PERCENT = 40;
/** Commands that are appended together. */
const GROUP = 512;

/** What traders send: orders, one in ten of which trades, and cancellations. What their signatures say is checked before the journal. */
function* commands(count: number): Generator<ExchangeCommand> {
  const element = seededElements(SEED);
  const bytes = seededBytes(`${SEED} choices`);
  const draw = (bound: number) => Buffer.from(bytes(4)).readUInt32LE() % bound;
  const owners = Array.from({ length: OWNERS }, () => element());
  const times = { settleSeconds: 102_000, roundSeconds: 1, orderSecondsMax: 7 * 86_400, lockSecondsMax: 90 * 86_400 };
  const rules = { ...times, fills: 16, withdrawalFees: [], noteMins: [], ordersMax: 100_000 };
  yield { kind: 'configure', rules };
  const limits = { ticksMax: 10_000, lotsMin: 1, lotsMax: 1_000_000, referenceSecondsMax: 60, referenceMoveMax: 100 };
  yield { kind: 'addMarket', terms: TERMS, rules: { market: 1, ...limits } };
  yield { kind: 'setTime', time: NOW };
  for (const [index, owner] of owners.entries()) {
    for (const [place, asset] of [NATIVE_ASSET, TOKEN].entries()) {
      const note = {
        leaf: 2 * index + place,
        owner,
        asset,
        value: 10n ** 30n,
        expiry: NOW + 80 * 86_400,
        inserted: true,
      };
      yield { kind: 'credit', note, told: true };
    }
  }
  const orders = owners.map(() => 0);
  for (let sent = 0; sent < count; sent++) {
    const index = draw(OWNERS);
    const owner = owners[index] as bigint;
    const last = orders[index] as number;
    if (last > 0 && draw(100) < CANCEL_PERCENT) {
      yield { kind: 'cancel', owner, order: 1 + draw(last) };
      continue;
    }
    const side = draw(2) === 0 ? 'buy' : 'sell';
    const away = (1 + draw(400)) * (draw(10) === 0 ? -1 : 1);
    const price = 5_000 + (side === 'sell' ? away : -away);
    const lots = 1 + draw(50);
    const destination = { operatorId: OPERATOR_ID, expiry: BigInt(NOW + 2 * 86_400), payTo: owner, relockExpiry: 0n };
    const order: Order = { owner, ...limitOf(TERMS, side, price, lots), ...destination, salt: element() };
    const signature = { r8: { x: element(), y: element() }, s: element() };
    orders[index] = last + 1;
    const terms = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
    yield {
      kind: 'order',
      clientOrderId: String(sent),
      market: 1,
      side,
      price,
      lots,
      ...terms,
      order,
      signature,
      orderHash: orderHashOf(order),
    };
  }
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [count, rounds] = [options.count('commands'), options.count('rounds')];
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-recover-'));
  const key = seededBytes(`${SEED} key`)(32);
  const open = async () => {
    const journal = await Journal.open({ directory: join(directory, 'journal'), key });
    return Machine.open(journal, OPERATOR_ID);
  };
  const measure = async () => {
    const times: number[] = [];
    let hash = '';
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      const machine = await open();
      times.push(performance.now() - started);
      const found = machine.state.hash();
      if (hash !== '' && hash !== found) throw new Error('a restart came to another state');
      hash = found;
      await machine.close();
    }
    return { milliseconds: rounded(median(times)), hash };
  };
  try {
    say(`a journal of ${grouped(count)} commands`);
    const machine = await open();
    let group: Promise<unknown>[] = [];
    for (const command of commands(count)) {
      group.push(machine.execute(command));
      if (group.length < GROUP) continue;
      await Promise.all(group);
      group = [];
    }
    await Promise.all(group);
    const live = machine.state.hash();
    const openOrders = machine.state.tickets().length;
    await machine.close();
    say('replaying it');
    const replayed = await measure();
    const again = await open();
    await again.snapshot();
    await again.close();
    say('restoring its snapshot');
    const restored = await measure();
    for (const { hash } of [replayed, restored]) if (hash !== live) throw new Error('a restart came to another state');
    const perSecond = rounded((count / replayed.milliseconds) * 1000);
    const text = `${table(
      [{ title: 'start' }, { title: 'ms', align: 'right' }, { title: 'commands/s', align: 'right' }],
      [
        ['from the first command on', grouped(replayed.milliseconds), grouped(perSecond)],
        ['from a snapshot', grouped(restored.milliseconds), ''],
      ],
    )}

${grouped(count)} commands, ${CANCEL_PERCENT}% of them cancellations, leave ${grouped(openOrders)} orders open. Each start reads, decrypts and checks the journal and ends in the state of the process
that wrote it, compared by hash; median of ${rounds}.`;
    const results = {
      replayMs: replayed.milliseconds,
      commandsPerSecond: perSecond,
      snapshotMs: restored.milliseconds,
      openOrders,
    };
    return { parameters: { commands: count, rounds, owners: OWNERS, cancelPercent: CANCEL_PERCENT }, results, text };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
