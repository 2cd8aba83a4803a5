import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { callError, PoolClient, sendCall, type Sending } from '@bitcloak/chain/pool';
import { sendRaising, sendReplacing } from '@bitcloak/chain/replacement';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { BUCKET_LEAVES, DEPOSIT_CIPHERTEXT_BYTES, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { keccak256, Wallet, type HDNodeWallet } from 'ethers';
import { openChain, type Chain } from '../support/chain.ts';
import { deployNetwork } from '../support/network.ts';
import { FaultyEndpoint } from '../support/relayer.ts';

const GWEI = 10n ** 9n;

describe('a call that takes the place of what waits', () => {
  let chain: Chain;
  let wallet: HDNodeWallet;
  const to = `0x${'11'.repeat(20)}`;
  const call = (value: bigint) => ({ to, data: '0x', value });

  beforeEach(async () => {
    chain = await openChain();
    wallet = Wallet.createRandom().connect(chain.provider);
    await (await chain.signer().sendTransaction({ to: wallet.address, value: 10n ** 19n })).wait();
    await chain.provider.send('evm_setAutomine', [false]);
  });

  afterEach(() => chain.close());

  const received = () => chain.provider.getBalance(to);
  /** The next block, in which gas costs a lot. */
  const mineDear = async () => {
    await chain.provider.send('hardhat_setNextBlockBaseFeePerGas', [`0x${(100n * GWEI).toString(16)}`]);
    await chain.mine();
  };

  it('lands though an earlier one pays too little for ever', async () => {
    await wallet.sendTransaction({ ...call(1n), nonce: 0, maxFeePerGas: 5n * GWEI, maxPriorityFeePerGas: 1n });
    await mineDear();
    assert.equal(await received(), 0n, 'it waits');
    const landed = sendCall(wallet, call(7n), { msMax: 60_000 });
    while ((await received()) === 0n) await mineDear();
    const receipt = await landed;
    assert.deepEqual([receipt.status, await received()], [1, 7n]);
    assert.equal((await chain.provider.getTransaction(receipt.hash))?.nonce, 0);
    assert.equal(await wallet.getNonce('pending'), 1, 'nothing else waits');
  });

  it('pays an eighth more each time, whatever the chain asks', async () => {
    const fees: bigint[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const { maxFeePerGas } = await sendReplacing(wallet, call(BigInt(turn)));
      fees.push(maxFeePerGas ?? 0n);
    }
    fees.reduce((before, fee) => {
      assert.ok(fee * 100n >= before * 110n && fee * 100n <= before * 130n, `${before} to ${fee}`);
      return fee;
    });
    await chain.mine();
    assert.equal(await received(), 3n, 'the last counts');
  });

  it('does not pay more than four times what the chain asks', async () => {
    const { maxFeePerGas } = await chain.provider.getFeeData();
    const most = (38n * (maxFeePerGas ?? 0n)) / 10n;
    await wallet.sendTransaction({ ...call(1n), nonce: 0, maxFeePerGas: most, maxPriorityFeePerGas: 1n });
    await assert.rejects(sendReplacing(wallet, call(2n)), { code: 'REPLACEMENT_UNDERPRICED' });
    await assert.rejects(sendCall(wallet, call(2n), { msMax: 1_000 }), {
      code: 'ENDPOINT_UNREACHABLE',
      message: /may land all the same$/,
    });
    await chain.mine();
    assert.equal(await received(), 1n);
  });

  it('sends nothing that the chain refuses, and says why', async () => {
    const failure = await sendReplacing(wallet, call(10n ** 20n)).catch((error: unknown) => callError(error));
    assert.ok(failure instanceof BitcloakError);
    assert.equal(failure.code, 'GAS_INSUFFICIENT');
    assert.equal(await wallet.getNonce('pending'), 0);
  });
});

/** Keeps back, on demand, what is sent: the sender is told that it was taken. */
class KeepingEndpoint extends FaultyEndpoint {
  keeps = false;
  readonly kept: string[] = [];

  override async send(method: string, parameters: unknown[]): Promise<unknown> {
    if (!this.keeps || method !== 'eth_sendRawTransaction') return super.send(method, parameters);
    const [raw] = parameters as [string];
    this.kept.push(raw);
    return keccak256(raw);
  }
}

describe('a call of a wallet that pays too little', () => {
  let chain: Chain;
  let endpoint: KeepingEndpoint;
  let wallet: HDNodeWallet;
  let raises: number;
  const to = `0x${'22'.repeat(20)}`;
  const call = (value: bigint) => ({ to, data: '0x', value });
  const raising = { onRaise: () => void raises++, raiseMs: 20 };

  beforeEach(async () => {
    chain = await openChain();
    endpoint = new KeepingEndpoint(chain);
    wallet = Wallet.createRandom().connect(endpoint);
    raises = 0;
    await (await chain.signer().sendTransaction({ to: wallet.address, value: 10n ** 19n })).wait();
    await chain.provider.send('evm_setAutomine', [false]);
  });

  afterEach(async () => {
    endpoint.destroy();
    await chain.close();
  });

  const received = () => chain.provider.getBalance(to);
  const mineAt = async (baseFee: bigint) => {
    await chain.provider.send('hardhat_setNextBlockBaseFeePerGas', [`0x${baseFee.toString(16)}`]);
    await chain.mine();
  };
  const until = async (done: () => boolean | Promise<boolean>) => {
    while (!(await done())) await setTimeout(5);
  };
  const waiting = async () =>
    ((await chain.provider.send('eth_getBlockByNumber', ['pending', true])) as { transactions: PendingTransaction[] })
      .transactions;
  type PendingTransaction = { hash: string; from: string; nonce: string; maxFeePerGas: string };
  const waits = async (nonce: number) => (await waiting()).some((each) => Number(each.nonce) === nonce);
  /** What its owner sends by hand in its place. */
  const byHand = { nonce: 0, maxFeePerGas: 500n * GWEI, maxPriorityFeePerGas: 2n * GWEI };
  /** What was sent waits, and then gas costs more than it pays. */
  const becomesDear = async (baseFee = 100n * GWEI) => {
    await until(() => waits(0));
    await mineAt(baseFee);
  };

  it('is sent again with its number for more, and lands once', async () => {
    const landed = sendCall(wallet, call(7n), raising);
    // Each time more than the version before pays.
    for (const dear of [100n, 400n, 1600n]) {
      const before = raises;
      await (before === 0 ? becomesDear(dear * GWEI) : mineAt(dear * GWEI));
      await until(() => raises > before);
    }
    await mineAt(1600n * GWEI);
    const { status, hash } = await landed;
    assert.equal(status, 1);
    assert.equal((await chain.provider.getTransaction(hash))?.nonce, 0);
    assert.deepEqual([raises, await received(), await wallet.getNonce('pending')], [3, 7n, 1]);
    await mineAt(GWEI);
    assert.equal(await received(), 7n, 'no version is left');
  });

  it('is the one that lands where an earlier version does', async () => {
    const landed = sendCall(wallet, call(7n), raising);
    await until(() => waits(0));
    endpoint.keeps = true;
    await mineAt(100n * GWEI);
    await until(() => raises > 0);
    await mineAt(GWEI);
    assert.equal((await landed).status, 1);
    const [later] = endpoint.kept as [string];
    assert.notEqual((await landed).hash, keccak256(later));
    await assert.rejects(chain.provider.send('eth_sendRawTransaction', [later]), /nonce too low/i);
    assert.equal(await received(), 7n);
  });

  it('is the one that lands where its owner has sped it up elsewhere', async () => {
    const landed = sendCall(wallet, call(7n), { ...raising, raiseMs: 60_000 });
    await becomesDear();
    const own = await wallet.sendTransaction({ ...call(7n), ...byHand });
    await chain.mine();
    assert.deepEqual([(await landed).hash, raises, await received()], [own.hash, 0, 7n]);
  });

  it('says so where the account used its number for something else', async () => {
    const landed = assert.rejects(sendCall(wallet, call(7n), { ...raising, raiseMs: 60_000 }), {
      code: 'TRANSACTION_REPLACED',
      message: /has used number 0 of the account 0x\w{40}: what was sent with it never lands$/,
    });
    await becomesDear();
    await wallet.sendTransaction({ to: wallet.address, ...byHand });
    await chain.mine();
    await landed;
    assert.equal(await received(), 0n);
  });

  it('stays cancelled where its owner has cancelled it elsewhere', async () => {
    const modest = { ...call(7n), maxFeePerGas: 5n * GWEI, maxPriorityFeePerGas: GWEI / 2n };
    const landed = assert.rejects(sendRaising(wallet, modest, raising), { code: 'TRANSACTION_REPLACED' });
    await until(() => waits(0));
    // For less than what it would be sent again for.
    const cancelled = { ...byHand, maxFeePerGas: 6n * GWEI, maxPriorityFeePerGas: (6n * GWEI) / 10n };
    await wallet.sendTransaction({ to: wallet.address, ...cancelled });
    await mineAt(100n * GWEI);
    await setTimeout(600);
    assert.equal(raises, 0);
    await mineAt(GWEI);
    await landed;
    assert.equal(await received(), 0n);
  });

  it('is sent again where it was dropped, and then for more', async () => {
    const landed = sendCall(wallet, call(7n), raising);
    await until(() => waits(0));
    const [dropped] = await waiting();
    await mineAt(100n * GWEI);
    await chain.provider.send('hardhat_dropTransaction', [dropped?.hash]);
    await until(() => raises > 0);
    await mineAt(100n * GWEI);
    assert.deepEqual([(await landed).status, await received()], [1, 7n]);
  });

  it('leaves alone what else its account has waiting, before and after it', async () => {
    const cheap = { maxFeePerGas: 5n * GWEI, maxPriorityFeePerGas: 1n, gasLimit: 21_000n };
    const before = await wallet.sendTransaction({ to: wallet.address, nonce: 0, ...cheap });
    const landed = sendCall(wallet, call(7n), raising);
    await until(() => waits(1));
    const after = await wallet.sendTransaction({ to: wallet.address, nonce: 2, ...cheap });
    await mineAt(100n * GWEI);
    await setTimeout(600);
    assert.equal(raises, 0, 'more money would not help');
    await mineAt(GWEI);
    const { hash } = await landed;
    for (const [nonce, each] of [before.hash, hash, after.hash].entries()) {
      assert.equal((await chain.provider.getTransactionReceipt(each))?.status, 1);
      assert.equal((await chain.provider.getTransaction(each))?.nonce, nonce);
    }
  });

  it('is not sent again where it pays enough, or would have to pay more than four times what the chain asks', async () => {
    const enough = sendCall(wallet, call(1n), raising);
    await until(() => waits(0));
    await setTimeout(600);
    assert.equal(raises, 0);
    await chain.mine();
    await enough;
    // A tip that is too low, and a price of which an eighth more is too much.
    const asked = (await chain.provider.getFeeData()).maxFeePerGas ?? 0n;
    const tight = { ...call(2n), maxFeePerGas: 4n * asked, maxPriorityFeePerGas: 1n };
    const landed = sendRaising(wallet, tight, raising);
    await until(() => waits(1));
    await setTimeout(600);
    assert.equal(raises, 0);
    await mineAt(GWEI);
    assert.equal((await landed).status, 1);
    assert.equal(await received(), 3n);
  });

  it('waits on where more cannot be sent', async () => {
    const landed = sendCall(wallet, call(7n), raising);
    await until(() => waits(0));
    let refused = 0;
    endpoint.before = (method) => {
      if (method === 'eth_sendRawTransaction' && ++refused > 0) throw new Error('not now');
    };
    await mineAt(100n * GWEI);
    await until(() => refused > 1);
    await mineAt(GWEI);
    assert.deepEqual([(await landed).status, raises, await received()], [1, 0, 7n]);
  });

  it('fails where it reverts', async () => {
    const failed = assert.rejects(sendCall(wallet, call(7n), raising), { code: 'TRANSACTION_FAILED' });
    await until(() => waits(0));
    await chain.provider.send('hardhat_setCode', [to, '0x5f5ffd']);
    await chain.mine();
    await failed;
    assert.equal(await received(), 0n);
  });
});

describe('a call that others come before', () => {
  let chain: Chain;
  before(async () => {
    chain = await openChain();
  });
  after(() => chain.close());

  it('lands though it has to close the bucket that they filled', async () => {
    const pool = new PoolClient((await deployNetwork(chain)).pool, chain.provider);
    const ciphertext = new Uint8Array(DEPOSIT_CIPHERTEXT_BYTES);
    const deposit = pool.depositCall(NATIVE_ASSET, 1n, 5n, ciphertext);
    const other = chain.signer(3);
    for (const sending of [{ raiseMs: 60_000 }, { msMax: 60_000 }] as Sending[]) {
      const { openBucket } = await pool.queue();
      for (let leaf = 0; leaf < BUCKET_LEAVES - 2; leaf++) await (await other.sendTransaction(deposit)).wait();
      await chain.provider.send('evm_setAutomine', [false]);
      const sent = sendCall(chain.signer(4), deposit, sending);
      const pending = async () =>
        (await chain.provider.send('eth_getBlockTransactionCountByNumber', ['pending'])) as string;
      while ((await pending()) === '0x0') await setTimeout(5);
      await other.sendTransaction({
        ...deposit,
        gasLimit: 200_000n,
        maxPriorityFeePerGas: 9n * GWEI,
        maxFeePerGas: 99n * GWEI,
      });
      await chain.mine();
      const { status, index } = await sent;
      assert.deepEqual([status, index], [1, 1]);
      const { openBucket: next, openLeaves } = await pool.queue();
      assert.deepEqual([next, openLeaves], [openBucket + 1, 0]);
      await chain.provider.send('evm_setAutomine', [true]);
    }
  });
});
