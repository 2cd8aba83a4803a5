import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MarketTerms } from '@bitcloak/trading/market';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { readReference, type ReferenceSource } from '../../enclave/references.ts';
import { ApiBench } from '../support/api.ts';
import type { Trader } from '../support/settlement.ts';

const terms: MarketTerms = {
  market: 1,
  pair: 'ETH-DUSD',
  base: NATIVE_ASSET,
  quote: 1n,
  lotBase: 10n ** 15n,
  tickQuote: 10n,
  makerFee: 0,
  takerFee: 0,
};
/** A tick is a cent for a whole coin. */
const source: ReferenceSource = { url: 'http://127.0.0.1', baseDecimals: 18, quoteDecimals: 6 };

describe('reference prices', () => {
  it('are midpoints in whole ticks, rounded down', () => {
    const cases: [string, string, number][] = [
      ['2000', '2000', 200_000],
      ['2000.00', '2000.02', 200_001],
      ['2000.00', '2000.01', 200_000],
      ['1999.99', '2000.00', 199_999],
      ['2000.019999999999999999', '2000.019999999999999999', 200_001],
      ['0.01', '0.01', 1],
      ['0.001', '0.002', 0],
      ['1', '3', 200],
      // As numbers of JavaScript these would be others.
      ['90071992547.40993', '90071992547.40993', 9_007_199_254_740],
    ];
    for (const [bid, ask, ticks] of cases) {
      assert.deepEqual(readReference({ bid, ask, time: 5 }, terms, source), { ticks, time: 5 }, `${bid} ${ask}`);
    }
  });

  it('are not made of what is none', () => {
    const good = { bid: '1', ask: '2', time: 5 };
    const wrong: unknown[] = [
      null,
      'text',
      [],
      {},
      { ...good, bid: 1 },
      { ...good, bid: '' },
      { ...good, bid: '-1' },
      { ...good, bid: '0' },
      { ...good, bid: '0.000' },
      { ...good, bid: '1e3' },
      { ...good, bid: '.5' },
      { ...good, bid: '1,5' },
      { ...good, bid: '2.1' },
      { ...good, bid: 'Infinity' },
      { ...good, ask: '9'.repeat(41) },
      { ...good, ask: '9'.repeat(40) },
      { ...good, time: '5' },
      { ...good, time: 0 },
      { ...good, time: 1.5 },
      { ...good, time: 2 ** 41 },
      { bid: '1', ask: '2' },
    ];
    for (const answer of wrong) assert.throws(() => readReference(answer, terms, source), RangeError);
  });

  describe('of a source', function () {
    this.timeout(60_000);
    let bench: ApiBench;
    let server: Server;
    let alice: Trader;
    let bob: Trader;
    let answer: () => { status?: number; text: string };
    const quote = (bid: string, ask: string, time: number) => ({ text: JSON.stringify({ bid, ask, time }) });

    before(async () => {
      answer = () => ({ status: 503, text: '' });
      server = createServer((_request, response) => {
        const { status = 200, text } = answer();
        response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end(text);
      });
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      bench = await ApiBench.open('references');
      const { port } = server.address() as AddressInfo;
      const [market] = bench.settings.markets;
      assert(market !== undefined);
      // With a lot of ten base units and a tick of one, a price of 2 is 20 ticks.
      const reference = { url: `http://127.0.0.1:${port}/price`, baseDecimals: 0, quoteDecimals: 0 };
      await bench.restart({ markets: [{ ...market, reference }], referenceMs: 20 });
      alice = await bench.trader(100_000n, 0n);
      bob = await bench.trader(0n, 100_000n);
    });
    after(async () => {
      await bench.close();
      server.close();
      server.closeAllConnections();
    });

    const now = () => bench.enclave.machine.state.time;
    const market = () => bench.enclave.machine.state.markets()[0]?.state;
    const polls = () => new Promise((done) => setTimeout(done, 150));
    const until = async (holds: () => boolean) => {
      const deadline = Date.now() + 10_000;
      while (!holds()) {
        if (Date.now() > deadline) throw new Error('it does not come to that');
        await new Promise((done) => setTimeout(done, 10));
      }
    };
    const later = async (seconds: bigint) => {
      await bench.desk.bench.chain.increaseTime(seconds);
      await bench.enclave.operator.watch();
    };

    it('that fails, or answers what is none, change nothing', async () => {
      const answers = [
        { status: 503, text: JSON.stringify({ bid: '2', ask: '2', time: now() }) },
        { status: 302, text: '' },
        { text: 'no JSON' },
        { text: `${' '.repeat(5_000)}${JSON.stringify({ bid: '2', ask: '2', time: now() })}` },
        quote('3', '2', now()),
        quote('0', '2', now()),
        // Rounded down it is no price.
        quote('0.01', '0.02', now()),
      ];
      for (const one of answers) {
        answer = () => one;
        await polls();
        assert.equal(market()?.reference, 0, one.text.slice(0, 40));
      }
      const told = bench.reports.filter(({ kind }) => kind === 'reference');
      assert.deepEqual(told.slice(0, 1), [{ kind: 'reference', pair: 'ETH-TEST', answers: false }]);
    });

    it('come to the market once the time of the exchange has come to theirs', async () => {
      const ahead = now() + 30;
      answer = () => quote('2', '2', ahead);
      await polls();
      assert.equal(market()?.reference, 0, 'it is of the future');
      await later(40n);
      await until(() => market()?.reference === 20);
      assert.equal(market()?.referenceTime, ahead);
      assert.equal(market()?.referenceSteady, false, 'the first has to be confirmed');
      answer = () => quote('5', '5', ahead);
      await polls();
      assert.equal(market()?.reference, 20, 'a price of the same time is none');
      answer = () => quote('5', '5', ahead - 10);
      await polls();
      assert.equal(market()?.reference, 20, 'nor is an older one');
    });

    it('are what pegged orders trade at', async () => {
      const [ofAlice, ofBob] = [await bench.session(alice), await bench.session(bob)];
      const { status } = await ofAlice.place(await bench.order(alice, 'sell', 19, 10, { type: 'pegged' }));
      assert.equal(status, 201);
      assert.equal((await ofBob.place(await bench.order(bob, 'buy', 25, 10, { type: 'pegged' }))).status, 201);
      const fills = () => bench.enclave.machine.state.records.fills(alice.key.keys.owner);
      assert.deepEqual(fills(), []);
      answer = () => quote('2.0', '2.1', now());
      await until(() => fills().length === 1);
      assert.deepEqual([fills()[0]?.price, fills()[0]?.lots], [20, 10]);
    });

    it('of a far future do not keep out those that come after them', async () => {
      const before = market()?.referenceTime ?? 0;
      const clock = Math.max(now(), Math.floor(Date.now() / 1000));
      answer = () => quote('7', '7', clock + 3_600);
      await polls();
      assert.deepEqual(bench.reports.at(-1), { kind: 'reference', pair: 'ETH-TEST', answers: false });
      await later(20n);
      answer = () => quote('2', '2', now());
      await until(() => (market()?.referenceTime ?? 0) > before);
      assert.equal(market()?.reference, 20);
    });

    it('leave no trace where they stop', async () => {
      answer = () => ({ status: 500, text: '' });
      const before = market();
      await polls();
      assert.deepEqual(market(), before);
      assert.deepEqual(bench.reports.at(-1), { kind: 'reference', pair: 'ETH-TEST', answers: false });
    });
  });
});
