import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { takenAtItsWord, TradingClient, type ClientOptions, type SentOrder } from '@bitcloak/trading/client';
import { OutcomeUnknown } from '@bitcloak/trading/refusals';
import type { AccountStream, StreamEvent } from '@bitcloak/trading/stream';
import { API } from '@bitcloak/trading/wire';
import { ApiBench } from '../support/api.ts';
import type { Trader } from '../support/settlement.ts';

const PAIR = 'ETH-TEST';
const SEALED = `${API}/sealed`;

describe('a trading client of a real enclave', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  const streams: AccountStream[] = [];
  /** What befalls the next requests to a path, in their order: that their reply is lost. */
  let losses: string[] = [];

  before(async () => {
    bench = await ApiBench.open('trading client');
    [alice, bob] = [await bench.trader(100_000n, 100_000n), await bench.trader(100_000n, 100_000n)];
  });
  afterEach(async () => {
    losses = [];
    for (const stream of streams) stream.close();
    await Promise.all(streams.splice(0).map((stream) => stream.closed()));
    for (const trader of [alice, bob]) await (await connect(trader)).cancelAll();
  });
  after(() => bench.close());

  /** A lot is a whole coin, a tick a whole dollar for it. */
  const tokens = () => [
    { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 1 },
    { symbol: 'TEST', asset: bench.token, decimals: 0 },
  ];

  function connect({ key }: Trader, changes: Partial<ClientOptions> = {}): Promise<TradingClient> {
    return TradingClient.connect({
      url: bench.url,
      key,
      expected: { operatorId: bench.desk.operatorId },
      check: takenAtItsWord,
      tokens: tokens(),
      clock: () => bench.enclave.machine.state.time,
      pauseMs: 10,
      fetch: async (url, options) => {
        const reply = await fetch(url, options);
        const path = new URL(url).pathname;
        if (losses[0] !== path) return reply;
        losses.shift();
        await reply.arrayBuffer();
        throw new TypeError('the reply is lost');
      },
      ...changes,
    });
  }
  async function follow(
    client: TradingClient,
    options = {},
  ): Promise<{ stream: AccountStream; events: StreamEvent[] }> {
    const events: StreamEvent[] = [];
    const stream = client.stream({ ...options, onEvent: (event) => events.push(event) });
    streams.push(stream);
    await stream.ready();
    return { stream, events };
  }
  async function until(isDone: () => boolean): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!isDone()) {
      assert.ok(Date.now() < deadline, 'in time');
      await sleep(5);
    }
  }

  it('finds markets, balances, and nothing of an account that nobody told the operator of', async () => {
    const client = await connect(alice);
    const [market] = await client.markets();
    assert.deepEqual([market?.pair, market?.baseToken.symbol, market?.lotBase], [PAIR, 'ETH', 10n]);
    const balances = await client.balances();
    assert.deepEqual(
      balances.map(({ asset, available }) => [asset, available]),
      [
        [NATIVE_ASSET, 100_000n],
        [bench.token, 100_000n],
      ],
    );
    await assert.rejects(connect(bench.desk.trader()), { code: 'SESSION_REFUSED' });
  });

  it('places, trades, amends and cancels, and each side sees its own', async () => {
    const kept: SentOrder[] = [];
    const [seller, buyer] = [await connect(alice, { keep: (order) => void kept.push(order) }), await connect(bob)];
    const { order } = await seller.place({ pair: PAIR, side: 'sell', price: '20', quantity: '50' });
    assert.deepEqual([order.status, order.open, order.price], ['open', 50, 20]);
    const bought = await buyer.place({ pair: PAIR, side: 'buy', price: '21', quantity: '20', timeInForce: 'ioc' });
    assert.equal(bought.order.status, 'filled');
    const [fill] = bought.fills;
    assert.deepEqual([fill?.price, fill?.lots, fill?.role, fill?.bought], [20, 20, 'taker', 200n]);
    assert.equal((await seller.order(order.id)).filled, 20);
    const theirs = await seller.fills();
    assert.deepEqual([theirs.at(-1)?.role, theirs.at(-1)?.sold], ['maker', 200n]);
    assert.deepEqual(await seller.fills({ after: theirs.at(-1)?.id ?? 0 }), []);

    const smaller = await seller.amend(order.id, { quantity: '40' });
    assert.deepEqual([smaller.order.lots, smaller.order.open, kept.length], [40, 20, 1]);
    const cheaper = await seller.amend(smaller.order, { price: '19', quantity: '60' });
    assert.deepEqual([cheaper.order.price, cheaper.order.open, kept.length], [19, 40, 2]);
    assert.equal((await buyer.place({ pair: PAIR, side: 'buy', price: '19', quantity: '40' })).order.status, 'filled');
    await assert.rejects(seller.cancel(order.id), { code: 'ORDER_UNKNOWN' });

    const other = await seller.place({ pair: PAIR, side: 'sell', price: '30', quantity: '5' });
    assert.equal((await seller.cancel(other.order.id)).status, 'cancelled');
    assert.equal(await seller.cancelAll(PAIR), 0);
    assert.deepEqual(await seller.orders(), []);
    assert.equal((await seller.orders('all')).length, 2);
    assert.deepEqual(await seller.allFills(), await seller.fills({ limit: 1_000 }));
    assert.deepEqual(
      await seller.recordsFrom(),
      { orders: 1, fills: 1, withdrawals: 1, settlement: 1 },
      'nothing of it is gone',
    );
    assert.ok(await seller.isAcknowledged(seller.head ?? ''));
    assert.equal(await seller.isAcknowledged('00'.repeat(32)), false);
  });

  it('places every kind of order as it is asked to', async () => {
    const client = await connect(alice);
    const wish = { pair: PAIR, side: 'sell', price: '40', quantity: '10' } as const;
    const iceberg = await client.place({ ...wish, display: '2', postOnly: true, minimumMatch: '1' });
    const pegged = await client.place({ ...wish, type: 'pegged' });
    const dated = await client.place({ ...wish, timeInForce: 'gtd', expireAfter: 900 });
    const whole = await client.place({ ...wish, timeInForce: 'fok' });
    const market = await client.place({ ...wish, type: 'market', timeInForce: 'ioc' });
    const total = await client.place({ ...wish, minimumTotal: '5' });
    const time = bench.enclave.machine.state.time;
    assert.deepEqual(
      [iceberg, pegged, dated, whole, market, total].map(({ order }) => order.status),
      ['open', 'open', 'open', 'cancelled', 'cancelled', 'cancelled'],
    );
    assert.equal(dated.order.expiry, time + 900);
    assert.equal(iceberg.order.expiry, time + 1_800, 'as long as its signature is good');
  });

  it('is told why an order is refused', async () => {
    const client = await connect(alice);
    const wish = { pair: PAIR, side: 'sell', price: '20', quantity: '10' } as const;
    const reasonOf = (reason: string) => ({ code: 'ORDER_REFUSED', reason });
    await assert.rejects(client.place({ ...wish, quantity: '10001' }), reasonOf('fundsInsufficient'));
    await assert.rejects(client.place({ ...wish, signFor: 100 * 86_400 }), reasonOf('orderTooLong'));
    await assert.rejects(client.place({ ...wish, proceeds: { relockUntil: 1n } }), reasonOf('relockInvalid'));
    await client.place({ ...wish, clientOrderId: 'once' });
    await assert.rejects(client.place({ ...wish, clientOrderId: 'once' }), reasonOf('clientOrderIdTaken'));
  });

  it('gets through what is lost on the way: nothing is done twice, and nothing is said to be done that was not', async () => {
    const client = await connect(alice);
    losses = [SEALED, SEALED];
    const { order } = await client.place({ pair: PAIR, side: 'sell', price: '20', quantity: '10' });
    assert.deepEqual([losses, (await client.orders()).length], [[], 1]);
    losses = [SEALED];
    const amended = await client.amend(order, { price: '22' });
    assert.deepEqual([losses, amended.order.price, amended.order.open], [[], 22, 10]);
    losses = [SEALED];
    assert.equal((await client.cancel(order.id)).status, 'cancelled');

    const before = (await client.withdrawals()).length;
    losses = [SEALED];
    const { amount, fee, status } = await client.withdraw({ asset: 'ETH', amount: '100' });
    assert.deepEqual([amount, fee, status], [1_000n, 3n, 'waiting']);
    assert.equal((await client.withdrawals()).length, before + 1);

    const impatient = await connect(alice, { attempts: 2 });
    losses = [SEALED, SEALED];
    const clientOrderId = 'lost-for-good';
    const lost = impatient.place({ pair: PAIR, side: 'sell', price: '20', quantity: '10', clientOrderId });
    await assert.rejects(lost, (error) => error instanceof OutcomeUnknown && error.clientOrderId === clientOrderId);
    assert.ok((await impatient.orders()).some((found) => found.clientOrderId === clientOrderId));
  });

  it('goes on when its session has ended, and when the enclave was started again', async () => {
    const client = await connect(alice);
    const { order } = await client.place({ pair: PAIR, side: 'sell', price: '25', quantity: '10' });
    bench.clockAhead += 3_700_000;
    await assert.rejects(
      client.balances(),
      { code: 'SESSION_REFUSED' },
      'this machine and the enclave differ on the time',
    );
    bench.clockAhead = 0;
    await client.balances();
    await bench.restart();
    const moved = await connect(alice);
    assert.deepEqual(
      (await moved.orders()).map(({ id }) => id),
      [order.id],
    );
    assert.equal((await moved.amend(order.id, { quantity: '5' })).order.open, 5);
  });

  it('streams what happens to the account, and takes it up again where the connection is lost', async () => {
    const [seller, buyer] = [await connect(alice), await connect(bob)];
    const sockets: WebSocket[] = [];
    const webSocket = (url: string) => {
      const socket = new WebSocket(url);
      sockets.push(socket);
      return socket as never;
    };
    const { stream, events } = await follow(await connect(alice, { webSocket }));
    const first = stream.view.sequence;
    const { order } = await seller.place({ pair: PAIR, side: 'sell', price: '20', quantity: '30' });
    await until(() => stream.view.orders.has(order.id));
    await until(() => stream.view.balance(NATIVE_ASSET).held > 0n);
    sockets[0]?.close();
    await until(() => events.some(({ kind }) => kind === 'disconnected'));
    await buyer.place({ pair: PAIR, side: 'buy', price: '20', quantity: '10' });
    await seller.cancel(order.id);
    await until(() => stream.view.orders.get(order.id)?.status === 'cancelled');
    const { filled, open } = stream.view.orders.get(order.id) ?? {};
    assert.deepEqual([filled, open], [10, 0]);
    const reports = events.flatMap((event) => (event.kind === 'report' ? [event.report] : []));
    assert.deepEqual(
      reports.map(({ sequence }) => sequence),
      reports.map((_, i) => first + 1 + i),
      'each once, and in their order',
    );
    assert.equal(events.filter(({ kind }) => kind === 'snapshot').length, 1);
    assert.deepEqual(
      reports.map(({ kind }) => kind),
      ['accepted', 'traded', 'cancelled'],
    );
    assert.equal([...stream.view.fills.values()].at(-1)?.lots, 10);
  });

  it('has its orders cancelled when its stream ends, where it asked for that', async () => {
    const client = await connect(alice);
    const { stream } = await follow(client, { cancelOnDisconnect: true });
    const { order } = await client.place({ pair: PAIR, side: 'sell', price: '20', quantity: '10' });
    stream.close();
    await stream.closed();
    const isCancelled = () => bench.enclave.machine.state.records.order(client.owner, order.id)?.status === 'cancelled';
    await until(isCancelled);
  });

  it('has its orders cancelled when nothing is heard of it', async () => {
    const client = await connect(alice);
    const { stream } = await follow(client);
    await client.deadMan(1);
    const { order } = await client.place({ pair: PAIR, side: 'sell', price: '20', quantity: '10' });
    for (let i = 0; i < 6; i++) {
      await sleep(250);
      assert.ok(stream.alive());
    }
    assert.equal(stream.view.orders.get(order.id)?.status, 'open', 'it is alive');
    await until(() => stream.view.orders.get(order.id)?.status === 'cancelled');
    await client.deadMan(0);
  });
});
