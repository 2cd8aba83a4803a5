import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { takenAtItsWord, TradingClient } from '@bitcloak/trading/client';
import type { OrderRecord } from '@bitcloak/trading/records';
import { marketMaker, type MarketMakerOptions } from '../../scripts/examples/marketMaker.ts';
import { taker } from '../../scripts/examples/taker.ts';
import { ApiBench } from '../support/api.ts';
import type { Trader } from '../support/settlement.ts';

const PAIR = 'ETH-TEST';

describe('examples of bots', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let maker: Trader;
  let customer: Trader;
  let reference: string | undefined;
  let stop: AbortController;
  let working: Promise<void>[] = [];

  beforeEach(async () => {
    bench = await ApiBench.open('examples');
    [maker, customer] = [await bench.trader(10_000n, 1_000_000n), await bench.trader(10_000n, 1_000_000n)];
    [reference, stop, working] = ['1000', new AbortController(), []];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.allSettled(working);
    await bench.close();
  });

  function connect({ key }: Trader): Promise<TradingClient> {
    return TradingClient.connect({
      url: bench.url,
      key,
      expected: { operatorId: bench.desk.operatorId },
      check: takenAtItsWord,
      tokens: [
        { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 1 },
        { symbol: 'TEST', asset: bench.token, decimals: 0 },
      ],
      clock: () => bench.enclave.machine.state.time,
    });
  }
  async function make(changes: Partial<MarketMakerOptions> = {}): Promise<TradingClient> {
    const client = await connect(maker);
    const options = { pair: PAIR, size: '10', spread: 50, target: '1000', skew: 200, everyMs: 20, deadManSeconds: 30 };
    working.push(marketMaker(client, { ...options, reference: async () => reference, ...changes }, stop.signal));
    return client;
  }
  const open = (): OrderRecord[] =>
    bench.enclave.machine.state.records.orders(maker.key.keys.owner).filter(({ status }) => status === 'open');
  const byPrice = (left: OrderRecord, right: OrderRecord) => left.price - right.price;
  const quotes = () =>
    open()
      .sort(byPrice)
      .map(({ side, price, open: lots }) => [side, price, lots]);
  async function until(isDone: () => boolean): Promise<void> {
    const deadline = Date.now() + 15_000;
    while (!isDone()) {
      assert.ok(Date.now() < deadline, `in time: ${JSON.stringify(quotes())}`);
      await sleep(10);
    }
  }
  const quoted = (...expected: unknown[]) => until(() => JSON.stringify(quotes()) === JSON.stringify(expected));

  it('quotes both sides, moves its orders with the reference, and leaves none', async () => {
    const client = await make();
    await quoted(['buy', 995, 10], ['sell', 1005, 10]);
    const ids = new Set(open().map(({ id }) => id));
    reference = '1100';
    await quoted(['buy', 1094, 10], ['sell', 1106, 10]);
    assert.deepEqual(new Set(open().map(({ id }) => id)), ids, 'amended, not new ones');
    reference = undefined;
    await quoted();
    reference = '1000';
    await quoted(['buy', 995, 10], ['sell', 1005, 10]);
    stop.abort();
    await Promise.all(working);
    assert.deepEqual(await client.orders(), []);
  });

  it('sets its dead man again and again, and also after he had to cancel', async () => {
    let waiting = Promise.withResolvers<void>();
    waiting.resolve();
    const hang = async () => {
      await waiting.promise;
      return reference;
    };
    await make({ deadManSeconds: 1, reference: hang });
    for (let time = 0; time < 2; time++) {
      await quoted(['buy', 995, 10], ['sell', 1005, 10]);
      await sleep(1_300);
      await quoted(['buy', 995, 10], ['sell', 1005, 10]);
      waiting = Promise.withResolvers<void>();
      await quoted();
      waiting.resolve();
    }
  });

  it('leans against what it holds, and refills what was taken', async () => {
    await make({ target: '500' });
    // It holds 1,000, twice as much as it wants: two per cent lower.
    await quoted(['buy', 975, 10], ['sell', 985, 10]);
    const buyer = await connect(customer);
    await buyer.place({ pair: PAIR, side: 'buy', price: '985', quantity: '4', timeInForce: 'ioc' });
    await until(() => open().some(({ side, filled, open: lots }) => side === 'sell' && filled === 4 && lots === 10));
  });

  it('keeps quotes that are as large as its funds, where it wanted larger ones', async () => {
    let rounds = 0;
    const count = async () => {
      rounds++;
      return reference;
    };
    await make({ size: '2000', reference: count });
    await until(() => open().length === 2);
    const before = rounds;
    await until(() => rounds > before + 10);
    assert.deepEqual(
      open().map(({ id, lots }) => [id, lots < 2_000]),
      [
        [1, true],
        [2, true],
      ],
    );
  });

  it('trade with each other, and both are cancelled when they end', async () => {
    await make();
    await quoted(['buy', 995, 10], ['sell', 1005, 10]);
    let taken = 0;
    const onFills = (fills: readonly unknown[]) => (taken += fills.length);
    const options = { pair: PAIR, size: '5', slippage: 60, everyMs: 20, reference: async () => reference, onFills };
    working.push(taker(await connect(customer), options, stop.signal));
    await until(() => taken >= 6);
    stop.abort();
    await Promise.all(working);
    const { records } = bench.enclave.machine.state;
    const sides = records.fills(customer.key.keys.owner).map(({ side }) => side);
    assert.ok(sides.includes('buy') && sides.includes('sell'));
    assert.deepEqual(open(), []);
  });

  it('say what they need where it is not given', () => {
    for (const name of ['marketMaker', 'taker']) {
      const program = resolve(import.meta.dirname, `../../scripts/examples/${name}.ts`);
      const run = (...words: string[]) => spawnSync(process.execPath, [program, ...words], { encoding: 'utf8' });
      const { status, stderr } = run('--reference', '2000');
      assert.equal(status, 2);
      assert.match(run('--help').stdout, /--wallet DIRECTORY +needed\n[^]* --every \d/);
      assert.match(run('--sizes', '3').stderr, /^USAGE: Unknown option '--sizes'.*there are .*--size/);
      assert.match(stderr, /^USAGE: --wallet DIRECTORY, .*BITCLOAK_PASSPHRASE are needed\n$/);
    }
  });
});
