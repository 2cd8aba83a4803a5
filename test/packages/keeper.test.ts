import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { openEndpoint } from '@bitcloak/chain/endpoint';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { runKeeper, type KeeperReport } from '@bitcloak/wallet/keeper';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import { Wallet } from 'ethers';
import { SyncBench } from '../support/syncBench.ts';

const ALICE = new WalletKeys({ mnemonic: 'test test test test test test test test test test test junk' });
const GWEI = 10n ** 9n;

describe('a keeper whose transactions come to pay too little', function () {
  this.timeout(60_000);
  let bench: SyncBench;

  before(async () => {
    bench = await SyncBench.open();
  });
  after(() => bench.close());

  it('sends them again for more in their place, and in the place of what an earlier run left', async () => {
    const { chain, manifest, prover } = bench;
    const session = await bench.session(await bench.wallet(ALICE));
    await session.sync();
    await session.deposit({ asset: NATIVE_ASSET, amount: 5n });
    const endpoint = await openEndpoint(manifest.endpoint);
    const account = Wallet.createRandom().connect(endpoint);
    await (await chain.signer().sendTransaction({ to: account.address, value: 10n ** 19n })).wait();
    await chain.provider.send('evm_setAutomine', [false]);
    const { hash: left } = await account.sendTransaction({ to: account.address, maxFeePerGas: 5n * GWEI });

    const reports: KeeperReport[] = [];
    const stop = new AbortController();
    const running = runKeeper({
      pool: manifest.pool,
      endpoint,
      signer: account,
      startBlock: manifest.startBlock,
      prover,
      closeAfterSeconds: 0n,
      pollMs: 10,
      receiptMs: 2_000,
      once: false,
      signal: stop.signal,
      report: (report) => reports.push(report),
    });
    const told = (kind: KeeperReport['kind']) => reports.some((report) => report.kind === kind);
    const waits = async () => {
      const block = await chain.provider.send('eth_getBlockByNumber', ['pending', false]);
      return (block as { transactions: string[] }).transactions;
    };
    while ((await waits()).every((hash) => hash === left)) await setTimeout(5);
    const mineDear = async () => {
      await chain.provider.send('hardhat_setNextBlockBaseFeePerGas', [`0x${(100n * GWEI).toString(16)}`]);
      await chain.mine();
    };
    await mineDear();
    while (!told('failed')) await setTimeout(5);
    while (!told('inserted')) {
      await mineDear();
      await setTimeout(20);
    }
    stop.abort();
    await running;
    const sent = reports.flatMap((report) => (report.kind === 'failed' ? [] : [report.transaction]));
    const nonces = await Promise.all(sent.map(async (hash) => (await endpoint.getTransaction(hash))?.nonce));
    assert.deepEqual(nonces, [0, 1], 'closed, and inserted');
    assert.equal(await endpoint.getTransactionReceipt(left), null);
    // The double's proofs count when its own transactions are mined: one that was looked at before is refused, and made again.
    const failures = reports.flatMap((report) => (report.kind === 'failed' ? [report.message] : []));
    assert.match(failures[0] ?? '', /timeout; what was sent may land all the same$/);
    assert(failures.every((message) => /timeout|InvalidProof/.test(message)));
    endpoint.destroy();
  });
});
