import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { formatManifest } from '@bitcloak/chain/manifest';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { DEPOSIT_CIPHERTEXT_BYTES, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { Wallet } from '@bitcloak/wallet/wallet';
import { Interface } from 'ethers';
import { runCli, runJson } from '../support/cli.ts';
import { changingLogs } from '../support/hostileEndpoint.ts';
import { KeepingRelayer } from '../support/relayer.ts';
import { SyncBench } from '../support/syncBench.ts';

const asset = NATIVE_ASSET;
const passphrase = 'a passphrase';
const pool = new Interface(POOL_ABI);

/** Tells deposits with another ciphertext than they have; their commitments stay, so nothing contradicts. */
const hidingDeposits = changingLogs((told) =>
  told.map((log) => {
    const event = pool.parseLog(log);
    if (event?.name !== 'Deposited') return log;
    const values = [...(event.args.slice(0, 4) as unknown[]), new Uint8Array(DEPOSIT_CIPHERTEXT_BYTES)];
    return { ...log, ...pool.encodeEventLog('Deposited', values) };
  }),
);

describe('cli: a wallet', function () {
  this.timeout(120_000);
  let bench: SyncBench;
  let directory: string;
  let wallet: Wallet;
  let args: string[];

  before(async () => {
    bench = await SyncBench.open();
    writeFileSync(join(bench.directory, 'manifest.json'), formatManifest(bench.manifest));
  });
  beforeEach(async () => {
    bench.hostile.repent();
    directory = join(bench.directory, `cli ${newMnemonic().slice(0, 20)}`);
    wallet = await Wallet.create(directory, { mnemonic: newMnemonic() }, passphrase);
    await bench.wallet(wallet);
    args = ['--wallet', directory, '--network', join(bench.directory, 'manifest.json')];
  });
  after(() => bench.close());

  const json = (...command: string[]) => runJson([...command, ...args], { passphrase });

  it('whose deposit the endpoint does not show says so at once, and finds it at another endpoint', async () => {
    bench.hostile.behaviour = hidingDeposits;
    const { status, json: told } = await json('deposit', '2', 'ETH');
    assert.equal(status, 4);
    const { error, transactions } = told as { error: { code: string; message: string }; transactions: unknown[] };
    assert.equal(error.code, 'ENDPOINT_INCONSISTENT');
    assert.match(error.message, /on the chain, in block \d+, and the endpoint does not show its note.* sync --again /);
    assert.equal(transactions.length, 1);
    // Nothing of that was kept.
    bench.hostile.repent();
    const { json: read } = await json('sync');
    assert.deepEqual([read['notes'], read['unspent']], [1, 1]);
  });

  it('from which an endpoint hid a note finds it by reading everything again, which is hinted at', async () => {
    const other = await wallet.openSession(bench.manifest, bench.prover);
    await other.deposit({ asset, amount: 5n * 10n ** 17n });
    other.close();
    await bench.mine(70);
    bench.hostile.behaviour = hidingDeposits;
    assert.equal((await json('sync')).json['notes'], 0);
    bench.hostile.repent();
    assert.equal((await json('sync')).json['notes'], 0, 'honest endpoints do not tell it again by themselves');
    const send = ['withdraw', '0.1', 'ETH', `0x${'77'.repeat(20)}`, '--direct', '--yes'];
    const { status, stderr } = await runCli([...send, ...args], { passphrase });
    assert.equal(status, 5, stderr);
    assert.match(stderr, /BALANCE_INSUFFICIENT: [^\n]*\n[^\n]* sync --again --endpoint URL/);
    assert.equal((await json('sync', '--again')).json['notes'], 1);
    assert.equal((await json('sync')).json['notes'], 1);
  });

  it('is told in one line that more is offered for gas, while what it sent waits', async () => {
    const { provider } = bench.chain;
    const { address } = wallet.account();
    await provider.send('evm_setAutomine', [false]);
    const deposited = runJson(['deposit', '2', 'ETH', ...args], { passphrase });
    let ended: Awaited<typeof deposited> | undefined;
    void deposited.then((run) => (ended = run));
    while ((await provider.getTransactionCount(address, 'pending')) === 0) await sleep(20);
    while (ended === undefined) {
      await provider.send('hardhat_setNextBlockBaseFeePerGas', [`0x${(10n ** 11n).toString(16)}`]);
      await bench.chain.mine();
      await sleep(200);
    }
    await provider.send('evm_setAutomine', [true]);
    const { status, stderr } = ended;
    assert.equal(status, 0, stderr);
    assert.deepEqual(stderr.match(/^(sending|waiting) ?.*$/gm), ['sending', 'waiting at a higher gas price']);
    assert.equal(await provider.getTransactionCount(address, 'pending'), 1);
  });

  it('sends nothing that shows its account without having been told to, where nobody can be asked', async () => {
    const session = await wallet.openSession(bench.manifest, bench.prover);
    await session.deposit({ asset, amount: 10n ** 18n });
    await bench.insertAll();
    session.close();
    const withdraw = ['withdraw', '0.3', 'ETH', `0x${'77'.repeat(20)}`, ...args];
    const sent = () => bench.chain.provider.getTransactionCount(wallet.account().address);
    for (const command of [withdraw, [...withdraw, '--direct']]) {
      const { status, stderr } = await runCli(command, { passphrase });
      assert.equal(status, 2);
      assert.match(stderr, /WARNING: sent directly.*\n(.*\n)*USAGE: no terminal to ask "Send directly\?": use --yes\n/);
    }
    assert.equal(await sent(), 1);
  });

  it('shows what may still land, and that what is sent takes its place', async () => {
    const relayer = await KeepingRelayer.open(bench.manifest);
    const session = await wallet.openSession(bench.manifest, bench.prover);
    await session.deposit({ asset, amount: 10n ** 18n });
    await bench.insertAll();
    const route = { kind: 'relayer', url: relayer.url, feeMax: 10_000n } as const;
    await assert.rejects(session.withdraw({ asset, amount: 10n ** 17n, to: 0x77n, route }), {
      code: 'RELAYER_REFUSED',
    });
    session.close();
    const { pending } = (await json('wallet', 'balance')).json as { pending: { kind: string; amount: object }[] };
    assert.deepEqual(
      pending.map(({ kind, amount }) => [kind, amount]),
      [['withdrawal', { amount: '0.1', units: String(10n ** 17n) }]],
    );
    const shown = await runCli(['wallet', 'balance', ...args], { passphrase });
    assert.match(shown.stdout, /^May still land: a withdrawal of 0\.1 ETH, handed over at .* UTC$/m);
    // Whoever is asked is told before; without a terminal nothing is sent here.
    const { stderr } = await runCli(['withdraw', '0.3', 'ETH', `0x${'77'.repeat(20)}`, ...args], { passphrase });
    assert.match(stderr, /may still land: a withdrawal of 0\.1 ETH.* takes its place/);
    await relayer.close();
  });
});
