import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { callError, PoolClient, sendCall } from '@bitcloak/chain/pool';
import { sendReplacing } from '@bitcloak/chain/replacement';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { BUCKET_LEAVES, DEPOSIT_CIPHERTEXT_BYTES, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { HDNodeWallet } from 'ethers';
import { Wallet } from 'ethers';
import { openChain, type Chain } from '../support/chain.ts';
import { deployNetwork } from '../support/network.ts';

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
    const landed = sendCall(wallet, call(7n), 60_000);
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
    const most = 5n * (maxFeePerGas ?? 0n);
    await wallet.sendTransaction({ ...call(1n), nonce: 0, maxFeePerGas: most, maxPriorityFeePerGas: most });
    await assert.rejects(sendReplacing(wallet, call(2n)), { code: 'REPLACEMENT_UNDERPRICED' });
    await assert.rejects(sendCall(wallet, call(2n), 1_000), {
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
    for (const msMax of [undefined, 60_000]) {
      const { openBucket } = await pool.queue();
      for (let leaf = 0; leaf < BUCKET_LEAVES - 2; leaf++) await (await other.sendTransaction(deposit)).wait();
      await chain.provider.send('evm_setAutomine', [false]);
      const sent = sendCall(chain.signer(4), deposit, msMax);
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
