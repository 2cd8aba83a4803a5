import assert from 'node:assert/strict';
import { SendQueue, type SendReport } from '@bitcloak/relayer/queue';
import type { HDNodeWallet } from 'ethers';
import { openChain, type Chain } from '../support/chain.ts';
import { FaultyEndpoint, fundedAccount } from '../support/relayer.ts';

const SEND = 'eth_sendRawTransaction';
const GAS_PRICE_MAX = 10n ** 12n;

describe("the relayer's queue", () => {
  let chain: Chain;
  let endpoint: FaultyEndpoint;
  let account: HDNodeWallet;
  let queue: SendQueue;
  let reports: SendReport[];
  const never = new AbortController().signal;

  beforeEach(async () => {
    chain = await openChain();
    endpoint = new FaultyEndpoint(chain);
    account = (await fundedAccount(chain, 0)).connect(endpoint);
    reports = [];
    openQueue(60_000);
    await chain.provider.send('evm_setAutomine', [false]);
  });

  afterEach(async () => {
    await queue.close(0);
    endpoint.destroy();
    await chain.close();
  });

  function openQueue(rebroadcastMs: number): void {
    const report = (line: SendReport) => reports.push(line);
    queue = new SendQueue({ endpoint, account, pollMs: 5, rebroadcastMs, report });
  }

  /** A transaction that does nothing, in the name of two nullifiers. */
  const job = (number: number, gasLimit = 21_000n) => ({
    call: { to: account.address, data: '0x', value: 0n },
    gasLimit,
    nullifiers: [BigInt(2 * number), BigInt(2 * number + 1)],
  });

  async function settled(hash: string): Promise<string | undefined> {
    while (queue.status(hash)?.status === 'pending') await new Promise((done) => setTimeout(done, 5));
    return queue.status(hash)?.status;
  }

  const nonceOf = async (hash: string) => (await chain.provider.getTransaction(hash))?.nonce;

  it('sends one after another, with nonces without gaps', async () => {
    let sending = 0;
    endpoint.before = (method) => assert.ok(method !== SEND || sending++ === 0);
    endpoint.after = (method) => void (method === SEND && sending--);
    const hashes = await Promise.all([0, 1, 2, 3].map((number) => queue.send(job(number), never)));
    assert.deepEqual(await Promise.all(hashes.map(nonceOf)), [0, 1, 2, 3]);
    await chain.mine();
    for (const hash of hashes) assert.equal(await settled(hash), 'confirmed');
    assert.equal(queue.status(`0x${'0'.repeat(64)}`), undefined);
  });

  it('leaves no gap where a send fails between others', async () => {
    let sends = 0;
    endpoint.before = (method) => {
      if (method === SEND && ++sends === 2) throw new Error('no');
    };
    const results = await Promise.allSettled([0, 1, 2].map((number) => queue.send(job(number), never)));
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    const last = results[2];
    assert(last?.status === 'fulfilled');
    assert.equal(await nonceOf(last.value), 1);
    queue.refuseTaken(job(1).nullifiers);
    assert.throws(() => {
      queue.refuseTaken(job(2).nullifiers);
    });
  });

  it('never takes a nonce that is in flight, though the endpoint has lost sight of it', async () => {
    openQueue(20);
    const first = await queue.send(job(0), never);
    await chain.provider.send('hardhat_dropTransaction', [first]);
    const second = await queue.send(job(1), never);
    assert.equal(await nonceOf(second), 1);
    // The first is handed in again, and both can be mined.
    while ((await nonceOf(first)) === undefined) await new Promise((done) => setTimeout(done, 5));
    await chain.mine();
    assert.equal(await settled(first), 'confirmed');
    assert.equal(await settled(second), 'confirmed');
  });

  it('takes sixteen and no more', async () => {
    for (let number = 0; number < 16; number++) await queue.send(job(number), never);
    await assert.rejects(queue.send(job(16), never), { code: 'RELAYER_REFUSED', status: 503 });
    await chain.mine();
    while (reports.filter(({ kind }) => kind === 'confirmed').length < 16)
      await new Promise((done) => setTimeout(done, 5));
    await queue.send(job(16), never);
  });

  it('counts what is under way before it promises to pay', async () => {
    await fundedAccount(chain, 0, 21_000n * GAS_PRICE_MAX);
    const price = (await chain.provider.getFeeData()).maxFeePerGas ?? 0n;
    await fundedAccount(chain, 0, 21_000n * price * 2n - 1n);
    await queue.send(job(0), never);
    await assert.rejects(queue.send(job(1), never), { code: 'GAS_INSUFFICIENT', status: 503 });
    queue.refuseTaken(job(1).nullifiers);
  });

  it('forgets whom nobody waits for any more, before it signs', async () => {
    await assert.rejects(queue.send(job(0), AbortSignal.abort(new Error('gone'))), /gone/);
    const leaving = new AbortController();
    endpoint.before = (method) => {
      if (method === 'eth_getBalance') leaving.abort(new Error('gone'));
    };
    await assert.rejects(queue.send(job(0), leaving.signal), /gone/);
    queue.refuseTaken(job(0).nullifiers);
    assert.equal(await chain.provider.getTransactionCount(account.address, 'pending'), 0);
    assert.deepEqual(reports, []);
  });

  it('finds out that another transaction took the nonce', async () => {
    openQueue(20);
    const hash = await queue.send(job(0), never);
    await chain.provider.send('hardhat_dropTransaction', [hash]);
    endpoint.before = (method) => {
      if (method === SEND) throw new Error('not now');
    };
    const other = (await fundedAccount(chain, 0)).connect(chain.provider);
    await other.sendTransaction({ to: other.address, nonce: 0 });
    await chain.mine();
    assert.equal(await settled(hash), 'failed');
    assert.deepEqual(reports.at(-1), { kind: 'replaced', transaction: hash });
    queue.refuseTaken(job(0).nullifiers);
  });

  it('closes when everything handed in has its receipt', async () => {
    const sent = queue.send(job(0), never);
    const closed = queue.close(60_000);
    const hash = await sent;
    await chain.mine();
    await closed;
    assert.equal(queue.status(hash)?.status, 'confirmed');
  });
});
