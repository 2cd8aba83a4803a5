import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatAmount } from '@bitcloak/protocol/amounts';
import type { Token } from '@bitcloak/chain/manifest';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { LocalProver } from '@bitcloak/prover/prover';
import { startDevnet, type Devnet } from '../../scripts/devnet/devnet.ts';
import { untilSpendable } from '../../scripts/devnet/roundTrip.ts';
import { openTrader, untilSettled, type Trader } from '../../scripts/devnet/traders.ts';
import { marketMaker } from '../../scripts/examples/marketMaker.ts';
import { taker } from '../../scripts/examples/taker.ts';
import { Dice } from '../support/dice.ts';

const MINUTES = Number(process.env['BITCLOAK_MINUTES'] ?? 20);
const SEED = process.env['BITCLOAK_SEED'] ?? 'soak bots';
const LOCK_SECONDS = 30n * 86_400n;
const TAKERS = 3;

describe('bots that trade for a long time', function () {
  this.timeout(0);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-bots-'));
  const failures: string[] = [];
  const traders: Trader[] = [];
  let devnet: Devnet;

  before(async () => {
    const prover = new LocalProver();
    devnet = await startDevnet({
      port: 0,
      relayerPort: 0,
      prover,
      bucketAgeSeconds: 4n,
      blockMs: 1_000,
      keeper: true,
      enclavePort: 0,
      // Settlements of two would fall behind the bots.
      enclaveChanges: { rules: { fills: 8 } },
      onEnclave: (report) => {
        if (report.kind === 'failed') failures.push(`${report.code}: ${report.message}`);
      },
    });
    const { manifest } = devnet;
    const [coin, dollar] = manifest.tokens as [Token, Token];
    for (let index = 0; index <= TAKERS; index++) {
      const deposits = [
        [coin, '50'],
        [dollar, '100000'],
      ] as const;
      const name = `trader ${index}`;
      traders.push(await openTrader({ manifest, prover, directory, name, deposits, lockSeconds: LOCK_SECONDS }));
    }
  });
  after(async () => {
    for (const { session } of traders) session.close();
    await devnet.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('settles every fill under proof, and gives everybody what is his', async () => {
    const { manifest } = devnet;
    const [coin, dollar] = manifest.tokens as [Token, Token];
    const pair = `${coin.symbol}-${dollar.symbol}`;
    const dice = new Dice(SEED);
    let price = 2_000;
    const reference = async () => price.toFixed(2);
    const stop = new AbortController();
    const [maker, ...takers] = traders as [Trader, ...Trader[]];
    const quotes = { size: '0.5', spread: 10, target: '50', skew: 20, everyMs: 1_000, deadManSeconds: 60 };
    const bots = [
      marketMaker(maker.client, { pair, reference, ...quotes }, stop.signal),
      ...takers.map(({ client }, index) => {
        return taker(
          client,
          { pair, reference, size: '0.25', slippage: 30, everyMs: 3_000 + 700 * index },
          stop.signal,
        );
      }),
    ];
    const deadline = Date.now() + MINUTES * 60_000;
    while (Date.now() < deadline) {
      await Promise.race([sleep(5_000), ...bots]);
      price *= 1 + (dice.int(41) - 20) / 10_000;
    }
    stop.abort();
    await Promise.all(bots);

    let fills = 0;
    for (const trader of traders) {
      await untilSettled(trader);
      const told = await trader.client.allFills();
      fills += told.length;
      assert.ok(told.every(({ status }) => status === 'settled'));
      await trader.session.sync();
      const operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, 1);
      const check = trader.session.checkFills(operatorId, undefined);
      assert.deepEqual(check.contradictions, []);
      assert.ok(
        check.orders.every(({ keepsLimit }) => keepsLimit),
        'nobody was filled worse than he signed',
      );
    }
    assert.ok(fills >= MINUTES * 10, `${fills} fills`);

    // Everything home: what the traders have, and what the operator took, is what they brought.
    const home = new Map<Token, bigint>();
    const expected: [Trader, Token, bigint][] = [];
    for (const trader of traders) {
      for (const token of [coin, dollar]) {
        const brought = await withdrawAll(trader, token);
        home.set(token, (home.get(token) ?? 0n) + brought);
        expected.push([trader, token, brought]);
      }
    }
    for (const [trader, token, amount] of expected) await untilSpendable(trader.session, token.asset, amount);
    for (const [token, brought] of [
      [coin, 50n * 10n ** 18n],
      [dollar, 100_000n * 10n ** 6n],
    ] as const) {
      const fees = BigInt(traders.length) * brought - (home.get(token) ?? 0n);
      assert.ok(fees >= 0n && fees * 100n < brought, `${token.symbol}: ${fees} are not home`);
    }
    console.log(
      `      ${fills} fills in ${MINUTES} minutes; ${failures.length} failures told, the last: ${failures.at(-1) ?? 'none'}`,
    );
  });
});

/** What is in more than two notes takes more than one withdrawal. @returns how much it was. */
async function withdrawAll({ client, wallet, session }: Trader, token: Token): Promise<bigint> {
  for (let sum = 0n; ;) {
    const balance = (await client.balances()).find(({ asset }) => asset === token.asset);
    if (balance === undefined || balance.total === 0n) return sum;
    // What was settled last waits for its insertion.
    if (balance.waiting === 0n) {
      const amount = formatAmount(balance.available, token);
      await client.withdraw({ asset: token.symbol, amount, proceeds: 'payee' });
      sum += balance.available;
      await untilSettled({ client, wallet, session });
    }
    await sleep(500);
  }
}
