import assert from 'node:assert/strict';
import { SendQueue, type SendReport } from '@bitcloak/relayer/queue';
import { toQuantity, type HDNodeWallet } from 'ethers';
import { openChain, type Chain } from '../support/chain.ts';
import { FaultyEndpoint, fundedAccount } from '../support/relayer.ts';

const SEND = 'eth_sendRawTransaction';
const GAS_PRICE_MAX = 10n ** 12n;
const GWEI = 10n ** 9n;
const pause = (milliseconds = 5) => new Promise((done) => setTimeout(done, milliseconds));

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
    while (queue.status(hash)?.status === 'pending') await pause();
    return queue.status(hash)?.status;
  }

  /** The next block, in which gas costs a lot. */
  const mineDear = async (gwei = 100n) => {
    await chain.provider.send('hardhat_setNextBlockBaseFeePerGas', [toQuantity(gwei * GWEI)]);
    await chain.mine();
  };

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
    while ((await chain.provider.getTransactionCount(account.address, 'pending')) < 2) await pause();
    await chain.mine();
    assert.equal(await settled(first), 'confirmed');
    assert.equal(await settled(second), 'confirmed');
  });

  it('takes sixteen and no more', async () => {
    for (let number = 0; number < 16; number++) await queue.send(job(number), never);
    await assert.rejects(queue.send(job(16), never), { code: 'RELAYER_REFUSED', status: 503 });
    await chain.mine();
    while (reports.filter(({ kind }) => kind === 'confirmed').length < 16) await pause();
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

  it('sends again what a reorganisation took off the chain, and nothing else at its nonce', async () => {
    openQueue(50);
    const back = await chain.snapshot();
    const first = await queue.send(job(0), never);
    await chain.mine();
    assert.equal(await settled(first), 'confirmed');
    await back();
    assert.equal(await chain.provider.getTransactionCount(account.address, 'pending'), 0, 'the chain has lost it');
    const second = await queue.send(job(1), never);
    assert.equal(await nonceOf(second), 1);
    while (!reports.some(({ kind }) => kind === 'undone')) await pause();
    assert.equal(queue.status(first)?.status, 'pending');
    assert.throws(() => {
      queue.refuseTaken(job(0).nullifiers);
    });
    while ((await chain.provider.getTransactionCount(account.address, 'pending')) < 2) await pause();
    await chain.mine();
    assert.equal(await settled(first), 'confirmed');
    assert.equal(await settled(second), 'confirmed');
    assert.deepEqual(
      reports.filter(({ kind }) => kind === 'undone'),
      [{ kind: 'undone', transaction: first }],
    );
  });

  it('takes the word of an endpoint that lags for no reorganisation', async () => {
    openQueue(10_000);
    const first = await queue.send(job(0), never);
    await chain.mine();
    assert.equal(await settled(first), 'confirmed');
    endpoint.answer = (method, answer) => (method === 'eth_getTransactionCount' ? '0x0' : answer);
    await queue.send(job(1), never);
    await pause(100);
    assert.equal(queue.status(first)?.status, 'confirmed');
  });

  describe('after a restart', () => {
    const earlier = (nonce: number, gwei: bigint) =>
      account.sendTransaction({
        to: account.address,
        value: 1n,
        nonce,
        maxFeePerGas: gwei * GWEI,
        maxPriorityFeePerGas: 1n,
      });

    /** Most nodes count what pays too little, too; the test's chain does not. */
    const countWaiting = (count: number) => {
      endpoint.answer = (method, answer, parameters) =>
        method === 'eth_getTransactionCount' && (parameters as unknown[])[1] === 'pending'
          ? toQuantity(Math.max(count, Number(answer)))
          : answer;
    };

    it('leaves what it sent before where that pays enough', async () => {
      const before = [await earlier(0, 500n), await earlier(1, 500n)];
      openQueue(20);
      const hash = await queue.send(job(0), never);
      while (!reports.some(({ kind }) => kind === 'raised')) await pause();
      await pause(100);
      await chain.mine();
      assert.equal(await settled(hash), 'confirmed');
      for (const { hash: old } of before) assert.equal((await chain.provider.getTransactionReceipt(old))?.status, 1);
      const filled = reports.find(({ kind }) => kind === 'filled')?.transaction;
      const isTold = () => reports.some(({ kind, transaction }) => kind === 'replaced' && transaction === filled);
      while (!isTold()) await pause();
    });

    it('puts something in its place where it pays too little, so that all would wait', async () => {
      const lost = [await earlier(0, 5n), await earlier(1, 5n)];
      countWaiting(2);
      await mineDear();
      openQueue(20);
      const hash = await queue.send(job(0), never);
      assert.equal(await nonceOf(hash), 2);
      while ((await chain.provider.getTransactionCount(account.address)) < 3) {
        await pause(20);
        await mineDear();
      }
      assert.equal(await settled(hash), 'confirmed');
      const filled = reports.filter(({ kind }) => kind === 'filled');
      assert.equal(filled.length, 2);
      for (const { hash: old } of lost) assert.equal(await chain.provider.getTransactionReceipt(old), null);
    });
  });

  it('closes when everything handed in has its receipt', async () => {
    const sent = queue.send(job(0), never);
    const closed = queue.close(60_000);
    const hash = await sent;
    await chain.mine();
    await closed;
    assert.equal(queue.status(hash)?.status, 'confirmed');
  });

  describe('raises what it offers', () => {
    const raised = () => reports.filter((line) => line.kind === 'raised');
    /** What the version that the chain has waiting offers. */
    const waiting = async (nonce: number): Promise<bigint> => {
      const block = (await chain.provider.send('eth_getBlockByNumber', ['pending', true])) as {
        transactions: { nonce: string; maxFeePerGas: string }[];
      };
      return BigInt(block.transactions.find((each) => BigInt(each.nonce) === BigInt(nonce))?.maxFeePerGas ?? 0);
    };
    const confirmed = async (hash: string) => {
      await settled(hash);
      const status = queue.status(hash);
      assert(status?.status === 'confirmed', status?.status);
      return status;
    };
    /** Until nothing was raised for some turns. */
    const noMoreRaised = async () => {
      for (let count = -1; count < raised().length; await pause(300)) count = raised().length;
    };

    it('when the chain asks more, of all that wait, and tells of each by its first hash', async () => {
      openQueue(20);
      const hashes: string[] = [];
      for (const number of [0, 1, 2]) hashes.push(await queue.send(job(number), never));
      await mineDear();
      assert.equal(await chain.provider.getTransactionCount(account.address), 0, 'all wait');
      for (const nonce of [0, 1, 2]) while ((await waiting(nonce)) < 100n * GWEI) await pause();
      await mineDear();
      assert.equal(await chain.provider.getTransactionCount(account.address), 3, 'none waits');
      for (const [nonce, hash] of hashes.entries()) {
        const status = await confirmed(hash);
        assert.notEqual(status.transaction, hash);
        assert.equal(await nonceOf(status.transaction), nonce);
        const receipt = await chain.provider.getTransactionReceipt(status.transaction);
        assert.deepEqual([receipt?.blockNumber, receipt?.gasUsed], [status.block, status.gasUsed]);
        assert.deepEqual(queue.status(status.transaction), status);
        assert(raised().some(({ transaction, first }) => transaction === status.transaction && first === hash));
        queue.refuseTaken(job(nonce).nullifiers);
      }
    });

    it('and what is sent later is not held up', async () => {
      openQueue(20);
      for (let number = 0; number < 16; number++) await queue.send(job(number), never);
      await mineDear();
      await assert.rejects(queue.send(job(16), never), { status: 503 });
      while (queue.status(await queue.send(job(16), never).catch(() => '')) === undefined) await mineDear();
    });

    it('up to four times what the chain asks and no further, and only of the one that all wait for', async () => {
      openQueue(1);
      const [first, second] = [await queue.send(job(0), never), await queue.send(job(1), never)];
      const offered = await waiting(1);
      await noMoreRaised();
      const asked = (await chain.provider.getFeeData()).maxFeePerGas ?? 0n;
      const most = await waiting(0);
      assert.ok(most <= 4n * asked && most > 3n * asked, `${most} of ${asked}`);
      assert.ok(raised().every((line) => line.first === first));
      assert.equal(await waiting(1), offered);
      await chain.mine();
      assert.notEqual((await confirmed(first)).transaction, first);
      assert.equal((await confirmed(second)).transaction, second);
    });

    it('as far as the account can pay for all under way', async () => {
      const price = (await chain.provider.getFeeData()).maxFeePerGas ?? 0n;
      const coins = 21_000n * (price * 2n + price / 3n);
      await fundedAccount(chain, 0, coins);
      openQueue(1);
      await queue.send(job(0), never);
      await queue.send(job(1), never);
      await noMoreRaised();
      assert.ok(raised().length > 1);
      const all = 21_000n * ((await waiting(0)) + (await waiting(1)));
      assert.ok(all <= coins && all > (coins * 9n) / 10n, `${all} of ${coins}`);
    });

    it('and loses nothing where the endpoint refuses each', async () => {
      openQueue(1);
      const first = await queue.send(job(0), never);
      endpoint.before = (method) => {
        if (method === SEND) throw new Error('replacement transaction underpriced');
      };
      await noMoreRaised();
      assert.ok(raised().length > 5 && raised().length < 15, `${raised().length}`);
      await chain.mine();
      assert.equal((await confirmed(first)).transaction, first);
    });

    it('and hands in an earlier one that the endpoint has lost, where it refuses the newest', async () => {
      openQueue(20);
      const first = await queue.send(job(0), never);
      let refused: string | undefined;
      endpoint.before = (method) => {
        if (method !== SEND) return;
        const newest = raised().at(-1)?.transaction;
        if (refused === newest) return;
        refused = newest;
        throw new Error('the fee exceeds the cap of this endpoint');
      };
      await chain.provider.send('hardhat_dropTransaction', [first]);
      while ((await chain.provider.getTransaction(first)) === null) await pause();
      await queue.close(0);
      await chain.mine();
      assert.equal((await chain.provider.getTransactionReceipt(first))?.status, 1);
    });

    it('and knows one that the endpoint refused and passed on all the same', async () => {
      openQueue(20);
      const first = await queue.send(job(0), never);
      endpoint.after = (method) => {
        if (method === SEND) throw new Error('replacement transaction underpriced');
      };
      while (raised().length === 0) await pause();
      await pause(20);
      endpoint.before = (method) => {
        if (method === SEND) throw new Error('no');
      };
      await chain.mine();
      assert.notEqual((await confirmed(first)).transaction, first);
    });

    it('and not again for a note that cost it a higher fee', async () => {
      const to = `0x${'12'.repeat(20)}`;
      openQueue(20);
      const hash = await queue.send({ ...job(0, 60_000n), call: { to, data: '0x', value: 0n } }, never);
      await mineDear();
      // The recipient took it in the simulation only.
      await chain.provider.send('hardhat_setCode', [to, '0x5f5ffd']);
      while (raised().length === 0) await pause();
      await mineDear();
      assert.equal(await settled(hash), 'failed');
      const transaction = raised().at(-1)?.transaction;
      assert.deepEqual(reports.at(-1), { kind: 'reverted', transaction });
      assert.throws(() => {
        queue.refuseTaken(job(0).nullifiers);
      }, /reverted on chain/);
    });
  });
});
