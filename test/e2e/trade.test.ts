import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mintCall } from '@bitcloak/chain/erc20';
import { formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { payeeIndexOf } from '@bitcloak/notes/keys';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { ProcessProver } from '@bitcloak/prover/processProver';
import { stateNullifier } from '@bitcloak/wallet/tradingChecks';
import { Wallet } from '@bitcloak/wallet/wallet';
import { startDevnet, type Devnet } from '../../scripts/devnet/devnet.ts';
import { startDevnetEnclave, type DevnetEnclave } from '../../scripts/devnet/enclave.ts';
import { giveGas } from '../../scripts/devnet/roundTrip.ts';
import { ended, runCli, runJson, startCli } from '../support/cli.ts';

const PASSPHRASE = 'correct horse';
const OPERATOR = 1;
const DAY_SECONDS = 86_400;
const WAIT_MS_MAX = 180_000;

type Json = Record<string, unknown>;
type Amount = { amount: string };
type OrderJson = { id: number; status: string; open: string; price: string; clientOrderId: string; pair: string };
type FillJson = { id: number; status: string; settlement: number | null; sold: Amount; bought: Amount };

/** Puts the devnet's operator to work, with rules of this test. */
async function startOperator(devnet: Devnet, failures: string[]): Promise<DevnetEnclave> {
  const { manifest, endpoint, operatorAccount, attestation } = devnet;
  return startDevnetEnclave({
    manifest,
    endpoint,
    account: operatorAccount,
    attestation,
    port: 0,
    onReport: (report) => {
      if (report.kind === 'failed') failures.push(`${report.code}: ${report.message}`);
    },
    changes: {
      rules: {
        roundSeconds: 60,
        orderSecondsMax: 2 * DAY_SECONDS,
        lockSecondsMax: 30 * DAY_SECONDS,
        withdrawalFees: [[NATIVE_ASSET, 10n ** 15n]],
        ordersMax: 30,
      },
      cadence: { kind: 'count', matches: 1, secondsMax: 60 },
      pollMs: 250,
    },
  });
}

describe('trading from the command line', function () {
  this.timeout(300_000);
  // Each is what the next one needs.
  this.bail(true);
  const phrase = newMnemonic();
  let directory: string;
  // Proving in this process would stop the enclave, and whoever talks to it, for as long as a proof takes.
  const prover = new ProcessProver();
  /** What the operator could not do. */
  const failures: string[] = [];
  let devnet: Devnet;
  let enclave: DevnetEnclave;
  let manifest: Manifest;

  const place = (name: string) => join(directory, name);
  const of = (who: string) => ['--wallet', place(who), '--network', place('manifest.json')];
  async function cli<T = Json>(who: string, ...args: string[]): Promise<T> {
    const { status, json, stderr } = await runJson([...args, ...of(who)], { passphrase: PASSPHRASE });
    assert.equal(status, 0, `${args.join(' ')}: ${JSON.stringify(json)} ${stderr}`);
    return json as T;
  }
  async function refused(who: string, code: string, status: number, ...args: string[]): Promise<string> {
    const { status: exit, json } = await runJson([...args, ...of(who)], { passphrase: PASSPHRASE });
    const error = json['error'] as { code: string; message: string; reason?: string } | undefined;
    assert.deepEqual([error?.code, exit], [code, status], JSON.stringify(json));
    return error?.reason ?? error?.message ?? '';
  }
  async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + WAIT_MS_MAX;
    while (!(await isDone())) {
      assert.ok(Date.now() < deadline, `${what} in time; ${failures.at(-1) ?? 'no failure'}`);
      await sleep(500);
    }
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-trade-e2e-'));
    const options = { port: 0, relayerPort: 0, prover, bucketAgeSeconds: 1n, blockMs: 1_000, keeper: true };
    devnet = await startDevnet(options);
    enclave = await startOperator(devnet, failures);
    manifest = {
      ...devnet.manifest,
      operator: { number: OPERATOR, url: enclave.url, trust: devnet.attestation.trust },
    };
    writeFileSync(place('manifest.json'), formatManifest(manifest));
    for (const [name, mnemonic] of [
      ['alice', phrase],
      ['bob', newMnemonic()],
    ] as const) {
      const account = (await Wallet.create(place(name), { mnemonic }, PASSPHRASE)).account();
      await giveGas(devnet.endpoint, account.address);
      const token = manifest.tokens[1]?.asset ?? 0n;
      await sendCall(account.connect(devnet.endpoint), mintCall(token, BigInt(account.address), 10n ** 10n));
    }
  });
  after(async () => {
    await enclave.close();
    await devnet.close();
    await prover.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('shows what is traded, and does not know who has nothing there', async () => {
    const { markets } = await cli<{ markets: Json[] }>('alice', 'trade', 'markets');
    assert.deepEqual(
      [
        markets[0]?.['pair'],
        markets[0]?.['priceStep'],
        markets[0]?.['quantityStep'],
        markets[0]?.['takerFeeBasisPoints'],
      ],
      ['ETH-DUSD', '0.01', '0.001', 10],
    );
    await refused('alice', 'SESSION_REFUSED', 10, 'trade', 'orders');
    const nobody = ['--operator-number', '2'];
    await refused('alice', 'OPERATOR_MISMATCH', 10, 'trade', 'markets', ...nobody);
  });

  it('opens accounts', async () => {
    await refused('alice', 'LOCK_INVALID', 2, 'trade', 'open', '2', 'ETH', '--for', '31d');
    const opened = await cli<{ lock: Json }>('alice', 'trade', 'open', '2', 'ETH', '--for', '1d', '--yes');
    assert.equal(
      BigInt(String(opened.lock['operatorId'])),
      operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, OPERATOR),
    );
    await cli('bob', 'trade', 'open', '5000', 'DUSD', '--for', '1d', '--yes');
    await until(
      'the deposits are credited',
      async () =>
        enclave.operator.machine.state.notes().every(({ inserted }) => inserted) &&
        enclave.operator.machine.state.notes().length === 2,
    );
    const { balances } = await cli<{ balances: { token: Json; available: Amount }[] }>('bob', 'trade', 'balances');
    assert.deepEqual(
      balances.map(({ token, available }) => [token['symbol'], available.amount]),
      [['DUSD', '5000']],
    );
  });

  it('trades, and shows each side what it did', async () => {
    const watching = startCli(['trade', 'watch', '--json', ...of('alice')], { passphrase: PASSPHRASE });
    const watched = ended(watching);
    const { promise: isWatching, resolve } = Promise.withResolvers<undefined>();
    watching.stderr?.on('data', (chunk: string) => {
      if (chunk.includes('Watching')) resolve(undefined);
    });
    await isWatching;
    const { order } = await cli<{ order: OrderJson }>(
      'alice',
      'trade',
      'order',
      'sell',
      '1.5',
      'ETH-DUSD',
      '--price',
      '2010',
    );
    assert.deepEqual([order.id, order.status, order.open, order.pair], [1, 'open', '1.5', 'ETH-DUSD']);
    const amended = await cli<{ order: OrderJson }>('alice', 'trade', 'amend', '1', '--price', '2000.5');
    assert.equal(amended.order.price, '2000.5');
    const args = ['trade', 'order', 'buy', '1', 'ETH-DUSD', '--price', '2005', '--tif', 'ioc', '--relock'];
    const bought = await cli<{ order: OrderJson; fills: FillJson[] }>('bob', ...args);
    assert.deepEqual(
      [bought.order.status, bought.fills[0]?.bought.amount, bought.fills[0]?.sold.amount],
      ['filled', '1', '2002.5005'],
    );
    assert.equal(
      await refused('bob', 'ORDER_REFUSED', 10, 'trade', 'order', 'buy', '9', 'ETH-DUSD', '--price', '2005'),
      'fundsInsufficient',
    );
    for (const name of ['alice', 'bob']) {
      const wallet = await Wallet.open(place(name), PASSPHRASE);
      const session = await wallet.openSession(manifest, prover);
      const signed = session.tradeBook.orders();
      session.close();
      assert.ok(signed.length > 0);
      for (const { order } of signed) {
        assert.notEqual(order.payTo, wallet.viewing.main.owner, 'the operator is not told whose account it is');
        const index = order.relockExpiry === 0n ? payeeIndexOf(0) : 0;
        assert.equal(order.payTo, wallet.viewing.tradingAccount(order.operatorId, index).owner);
      }
    }
    const table = await runCli(['trade', 'fills', ...of('alice')], { passphrase: PASSPHRASE });
    assert.match(table.stdout, /maker\s+2000\.5\s+1\s+1 ETH\s+1999\.49975 DUSD/);

    await sleep(300);
    watching.kill('SIGINT');
    const { status, stdout } = await watched;
    assert.equal(status, 130);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind?: string });
    // By then it may have been settled, or not.
    const kinds = lines.map(({ kind }) => kind).filter((kind) => kind !== 'settled');
    assert.deepEqual(kinds, ['accepted', 'amended', 'traded', undefined]);
  });

  it('withdraws, and verifies by the chain what was settled', async () => {
    await refused('alice', 'OPERATOR_REFUSED', 10, 'trade', 'withdraw', '0.05', 'ETH');
    await cli('alice', 'trade', 'withdraw', '0.25', 'ETH');
    const { state } = enclave.operator.machine;
    await until('the settlements', async () => state.batch === undefined && state.waiting === 0);
    const { withdrawals } = await cli<{ withdrawals: Json[] }>('alice', 'trade', 'withdrawals');
    assert.deepEqual(
      withdrawals.map(({ amount, status }) => [(amount as Amount).amount, status]),
      [['0.25', 'settled']],
    );
    const { fills } = await cli<{ fills: FillJson[] }>('bob', 'trade', 'fills');
    assert.deepEqual([fills[0]?.status, fills[0]?.settlement], ['settled', 1]);
    type Verified = { right: boolean; askedOperator: boolean; orders: Json[]; unknown: number; waiting: number };
    const alice = await cli<Verified>('alice', 'trade', 'verify');
    assert.deepEqual([alice.right, alice.askedOperator, alice.unknown, alice.waiting], [true, true, 0, 0]);
    assert.deepEqual(
      alice.orders.map(({ kind, id, keepsLimit }) => [kind, id, keepsLimit]),
      [
        ['amendment', 1, true],
        ['withdrawal', null, true],
      ],
    );
    assert.deepEqual(alice.orders[0]?.['bought'], { token: 'DUSD', amount: '1999.49975', units: '1999499750' });
    const bob = await cli<Verified>('bob', 'trade', 'verify');
    assert.equal(bob.right, true);
    const { history } = await cli<{ history: Json[] }>('alice', 'wallet', 'history');
    assert.deepEqual(
      history.map(({ kind }) => kind),
      ['locked', 'traded', 'released'],
    );
  });

  it('keeps an owner from trading with himself as he wants it', async () => {
    const inserted = () => enclave.operator.machine.state.notes().every((note) => note.inserted);
    await until('the insertion of what bob bought', async () => inserted());
    const at = ['ETH-DUSD', '--price', '1990'];
    const older = await cli<{ order: OrderJson }>('bob', 'trade', 'order', 'sell', '0.5', ...at);
    assert.equal(older.order.status, 'open');
    const modes = ['--self-trade', 'cancel-oldest'];
    const newer = await cli<{ order: OrderJson; fills: FillJson[] }>(
      'bob',
      'trade',
      'order',
      'buy',
      '0.5',
      ...at,
      ...modes,
    );
    assert.deepEqual([newer.order.status, newer.fills.length], ['open', 0]);
    const { orders } = await cli<{ orders: OrderJson[] }>('bob', 'trade', 'orders');
    assert.deepEqual(
      orders.map(({ id }) => id),
      [newer.order.id],
    );
    const cancelled = String(newer.order.id);
    await cli('bob', 'trade', 'cancel', cancelled);
    await refused('bob', 'ORDER_UNKNOWN', 10, 'trade', 'amend', cancelled, '--price', '1980');
    // What the operator says is over costs nothing, unless it is not to be believed. An order that it refused it could settle all the same.
    const onChain = ['trade', 'cancel', '--all', '--on-chain'];
    await refused('bob', 'USAGE', 2, ...onChain);
    for (const [words, counts] of [
      [[], [false, false]],
      [['--signed'], [true, true]],
    ] as const) {
      const { clientOrderIds } = await cli<{ clientOrderIds: string[] }>('bob', ...onChain, ...words, '--yes');
      assert.deepEqual(
        [older, newer].map(({ order }) => clientOrderIds.includes(order.clientOrderId)),
        counts,
      );
    }
  });

  it('opens an account out of notes, which the chain does not see', async () => {
    await until('the insertion of what was withdrawn', async () => {
      const { balances } = await cli<{ balances: { token: Json; spendable: Amount }[] }>('alice', 'wallet', 'balance');
      return balances.some(({ token, spendable }) => token['symbol'] === 'ETH' && Number(spendable.amount) >= 0.2);
    });
    const from = ['--from-notes', '--for', '1d', '--direct', '--yes'];
    await cli('alice', 'trade', 'open', '0.1', 'ETH', ...from);
    await until('it is credited', async () => {
      const { balances } = await cli<{ balances: { token: Json; total: Amount }[] }>('alice', 'trade', 'balances');
      return balances.some(({ token, total }) => token['symbol'] === 'ETH' && total.amount === '0.85');
    });
  });

  it('needs no operator to take orders back, nor to bring everything home from the recovery phrase', async () => {
    await enclave.close();
    await refused('alice', 'OPERATOR_UNREACHABLE', 10, 'trade', 'orders');
    const { right, askedOperator } = await cli('alice', 'trade', 'verify');
    assert.deepEqual([right, askedOperator], [true, false]);

    const cancelled = await cli<{ transactions: Json[]; clientOrderIds: string[] }>(
      'alice',
      'trade',
      'cancel',
      '1',
      '--on-chain',
      '--yes',
    );
    assert.deepEqual([cancelled.transactions.length, cancelled.clientOrderIds.length], [1, 1]);
    const again = await cli<{ transactions: Json[] }>('alice', 'trade', 'cancel', '--all', '--on-chain', '--yes');
    assert.ok(again.transactions.length <= 1);
    await assertCancelled();

    await runJson(['wallet', 'restore', '--wallet', place('restored')], { passphrase: PASSPHRASE, input: phrase });
    type Notes = { notes: { status: string; value: Amount; token: Json; lock: { expiryDate: string } | null }[] };
    const before = await cli<Notes>('restored', 'wallet', 'notes');
    const locked = before.notes.filter(({ status }) => status === 'locked');
    assert.deepEqual(
      locked.map(({ value, token }) => `${value.amount} ${String(token['symbol'])}`),
      ['0.75 ETH', '0.1 ETH'],
    );
    assert.match(locked[0]?.lock?.expiryDate ?? '', /Z$/);
    const offline = await cli<{ right: boolean; unknown: number }>('restored', 'trade', 'verify', '--offline');
    assert.deepEqual([offline.right, offline.unknown], [true, 2], 'what it signed is not in its book');

    await devnet.endpoint.send('evm_increaseTime', [DAY_SECONDS + 3_600]);
    await devnet.endpoint.send('evm_mine', []);
    await cli('restored', 'reclaim', '--direct', '--yes');
    // What trades brought is another owner's than what was reclaimed.
    await cli('restored', 'merge', 'DUSD', '--direct', '--yes');
    const home = await cli<{ balances: { token: Json; spendable: Amount; waiting: Amount; locked: Amount }[] }>(
      'restored',
      'wallet',
      'balance',
    );
    const totals = home.balances.map(({ token, spendable, waiting, locked: left }) => [
      token['symbol'],
      Number(spendable.amount) + Number(waiting.amount),
      left.amount,
    ]);
    assert.deepEqual(totals.sort(), [
      ['DUSD', 1_999.49975, '0'],
      ['ETH', 0.999, '0'],
    ]);
  });

  /** The order that is left, in the state that its one fill led to, and not in the one before. */
  async function assertCancelled(): Promise<void> {
    const wallet = await Wallet.open(place('alice'), PASSPHRASE);
    const session = await wallet.openSession(manifest, prover);
    try {
      const pool = new PoolClient(manifest.pool, devnet.endpoint);
      const order = session.tradeBook.orders().find(({ kind }) => kind === 'amendment');
      assert.ok(order !== undefined);
      const { nullifierKey } = wallet.viewing.tradingAccount(order.order.operatorId, order.index);
      const now = BigInt((await devnet.endpoint.getBlock('latest'))?.timestamp ?? 0);
      const from = (k: number) => pool.spentFrom(stateNullifier(nullifierKey, order.orderHash, k));
      assert.ok((await from(0)) < now, 'filled');
      assert.ok((await from(1)) > now && (await from(16)) > now, 'to be spent');
      assert.equal(await from(17), 0n);
    } finally {
      session.close();
    }
  }
});
