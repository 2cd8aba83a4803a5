import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { formatAccount } from '@bitcloak/chain/manifest';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Session } from '@bitcloak/wallet/session';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import { Contract, type BaseContract } from 'ethers';
import { hostileContract } from '../contracts/hostile/compiled.ts';
import { compile } from '../support/solidity.ts';
import { DIRECT, SyncBench } from '../support/syncBench.ts';

const HIGHER = 'waiting at a higher gas price';
const ALICE = new WalletKeys({ mnemonic: 'test test test test test test test test test test test junk' });
const POOR = new WalletKeys({ mnemonic: `${'abandon '.repeat(11)}about` });

describe('a deposit', function () {
  this.timeout(60_000);
  let bench: SyncBench;
  let session: Session;
  let token: Contract;
  let asset: bigint;
  const { address } = ALICE.account();

  before(async () => {
    bench = await SyncBench.open();
    session = await bench.session(await bench.wallet(ALICE));
    token = await bench.chain.deploy<Contract>(compile('test/contracts/hostile/ResetToken.sol', 'ResetToken', {}));
    asset = await addressOf(token);
    await (await token.getFunction('mint')(address, 1_000n)).wait();
  });
  after(() => bench.close());

  const addressOf = async (contract: BaseContract) => BigInt(await contract.getAddress());
  const sent = () => bench.chain.provider.getTransactionCount(address);
  const allowance = async () =>
    (await token.getFunction('allowance')(address, formatAccount(bench.manifest.pool))) as bigint;
  const leave = async (amount: bigint) => {
    const own = token.connect(ALICE.account().connect(bench.chain.provider)) as Contract;
    await (await own.getFunction('approve')(formatAccount(bench.manifest.pool), amount)).wait();
  };

  it('that pays too little for gas is sent again for more, and takes its value once', async () => {
    const { provider } = bench.chain;
    const own = await bench.session(await bench.wallet(POOR));
    const account = POOR.account().address;
    const before = await provider.getBalance(account);
    await provider.send('evm_setAutomine', [false]);
    const stages: string[] = [];
    let receipt: Awaited<ReturnType<typeof own.deposit>> | undefined;
    const deposited = own.deposit({ asset: NATIVE_ASSET, amount: 10n ** 20n }, (stage) => stages.push(stage));
    void deposited.then((outcome) => (receipt = outcome)).catch(() => undefined);
    while ((await provider.getTransactionCount(account, 'pending')) === 0) await setTimeout(5);
    while (!stages.includes(HIGHER)) {
      await provider.send('hardhat_setNextBlockBaseFeePerGas', ['0x174876e800']);
      await bench.chain.mine();
      await setTimeout(100);
    }
    while (receipt === undefined) {
      await bench.chain.mine();
      await setTimeout(20);
    }
    await provider.send('evm_setAutomine', [true]);
    const { transaction, gasUsed = 0n } = await deposited;
    assert.deepEqual(stages, ['simulating', 'sending', HIGHER]);
    assert.equal(await provider.getTransactionCount(account, 'pending'), 1);
    const paid = (await provider.getTransactionReceipt(transaction))?.gasPrice ?? 0n;
    assert.equal(before - (await provider.getBalance(account)), 10n ** 20n + gasUsed * paid);
    await own.sync();
    assert.deepEqual(
      (await own.notes()).map(({ value }) => value),
      [10n ** 20n],
    );
  });

  it('allows the pool exactly what it takes, also where a token wants an allowance reset first', async () => {
    const deposit = async (amount: bigint, transactions: number) => {
      const before = await sent();
      const stages: string[] = [];
      await session.deposit({ asset, amount }, (stage) => stages.push(stage));
      assert.equal((await sent()) - before, transactions);
      assert.deepEqual(stages, ['approving', 'simulating', 'sending']);
    };
    await deposit(100n, 2);
    assert.equal(await allowance(), 0n);
    await leave(30n);
    await deposit(100n, 3);
    assert.equal(await allowance(), 0n);
    await leave(130n);
    await deposit(100n, 1);
    assert.equal(await allowance(), 30n);
    await deposit(30n, 1);
    await session.sync();
    const [balance] = await session.balances();
    assert.deepEqual([balance?.asset, balance?.waiting], [asset, 330n]);
  });

  it('is spent like any other', async () => {
    await bench.insertAll();
    await session.withdraw({ asset, amount: 120n, to: 0x77n, route: DIRECT });
    assert.equal(await token.getFunction('balanceOf')(formatAccount(0x77n)), 120n);
    await session.sync();
    const { kind, amount, account } = session.history().at(-1) ?? {};
    assert.deepEqual([kind, amount, account], ['withdrawn', 120n, 0x77n]);
  });

  it('of more than the account has costs nothing', async () => {
    const before = await sent();
    await assert.rejects(session.deposit({ asset, amount: 671n }), {
      code: 'BALANCE_INSUFFICIENT',
      message: / 670 .* 671 /,
    });
    const native = { asset: NATIVE_ASSET, amount: 10n ** 24n };
    await assert.rejects(session.deposit(native), { code: 'GAS_INSUFFICIENT' });
    assert.equal(await sent(), before);
  });

  it('from an account without gas says so', async () => {
    const wallet = await bench.wallet(POOR);
    await bench.chain.provider.send('hardhat_setBalance', [POOR.account().address, '0x0']);
    await (await token.getFunction('mint')(POOR.account().address, 5n)).wait();
    const poor = await bench.session(wallet);
    for (const poorly of [asset, NATIVE_ASSET]) {
      await assert.rejects(poor.deposit({ asset: poorly, amount: 1n }), { code: 'GAS_INSUFFICIENT' });
    }
  });

  it('of what is no token says so', async () => {
    const withoutAllowances = await bench.chain.deploy<Contract>(hostileContract('HostileToken'));
    await (await withoutAllowances.getFunction('mint')(address, 5n)).wait();
    for (const other of [0x5555n, bench.manifest.pool, await addressOf(withoutAllowances)]) {
      await assert.rejects(session.deposit({ asset: other, amount: 1n }), { code: 'ASSET_INVALID' });
    }
  });

  it('is refused while deposits are paused, before anything is approved', async () => {
    const abi = ['function pauseDeposits()'];
    const pool = new Contract(formatAccount(bench.manifest.pool), abi, bench.chain.signer(1));
    await (await pool.getFunction('pauseDeposits')()).wait();
    const before = await sent();
    await assert.rejects(session.deposit({ asset, amount: 1n }), { code: 'DEPOSITS_PAUSED' });
    assert.equal(await sent(), before);
  });
});
