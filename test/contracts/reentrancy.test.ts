import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import type { Call, ProvenTransfer } from '@bitcloak/chain/pool';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { DEPOSIT_CIPHERTEXT_BYTES, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { JsonRpcSigner, type Contract } from 'ethers';
import { BUCKET_AGE_SECONDS, PoolBench, prover, type TestNote } from '../support/pool.ts';
import { ACCEPTED, describeRevert, expectRefused, outcome } from '../support/refusals.ts';
import { hostileContract } from './hostile/compiled.ts';

const REENTERED = 'ReentrancyGuardReentrantCall()';

describe('Pool: whoever is called by the pool and calls it back', function () {
  this.timeout(300_000);
  let bench: PoolBench;
  let key: SpendingKey;
  let pool: string;
  let token: Contract;
  let asset: bigint;
  let reenterer: Contract;
  let reentererAddress: string;
  let nativeNote: TestNote;
  let tokenWithdrawal: ProvenTransfer;
  /** Of native currency, to the reenterer. */
  let nativeWithdrawal: ProvenTransfer;
  /** One of every kind; all of them would be accepted at the moment of every test. */
  let attempts: Readonly<Record<string, Call>>;
  let startAgain: () => Promise<void>;

  const set = async (contract: Contract, method: string, ...values: unknown[]) => {
    await (await contract.getFunction(method)(...values)).wait();
  };
  const prepare = async (calls: readonly Call[], value = 0n) => {
    await set(
      reenterer,
      'prepare',
      pool,
      calls.map((call) => ({ data: call.data, value: call.value })),
      { value },
    );
  };
  const depositCall = (amount: bigint, of: bigint) => {
    const stealth = stealthOf(bench.note(key, amount));
    return bench.client.depositCall(of, amount, stealth, bench.bytes(DEPOSIT_CIPHERTEXT_BYTES));
  };
  const tokensOfPool = async () => [
    await token.getFunction('balanceOf')(pool),
    await bench.contract().getFunction('held')(token.target),
  ];
  const nativeOfPool = () => bench.chain.provider.getBalance(pool);

  /** What the pool answered to each attempt. */
  async function answers(): Promise<string[]> {
    const given = (await reenterer.getFunction('answers')()) as string[];
    return given.map((answer) => (answer === '0x01' ? ACCEPTED : describeRevert(answer)));
  }

  before(async () => {
    bench = await PoolBench.open({ seed: 'reentrancy' });
    key = bench.keyring().spending;
    pool = formatAccount(bench.address);
    token = await bench.chain.deploy<Contract>(hostileContract('HostileToken'));
    asset = BigInt(await token.getAddress());
    reenterer = await bench.chain.deploy<Contract>(hostileContract('Reenterer'));
    reentererAddress = await reenterer.getAddress();
    await set(token, 'mint', bench.chain.signer().address, 10_000n);
    await set(token, 'mint', reentererAddress, 1000n);

    const tokenNote = await bench.deposit(key, 1000n, { asset });
    nativeNote = await bench.deposit(key, 2000n);
    const otherNote = await bench.deposit(key, 3000n);
    await bench.insertAll();
    tokenWithdrawal = await bench.prove({ key, inputs: [tokenNote], withdrawAmount: 600n });
    const extData = { recipient: BigInt(reentererAddress) };
    nativeWithdrawal = await bench.prove({ key, inputs: [nativeNote], withdrawAmount: 2000n, extData });
    const transfer = await bench.prove({ key, inputs: [otherNote] });

    await bench.deposit(key, 10n);
    await bench.closeBucket();
    const { bucket, leaves, input } = await bench.insertion();
    const { words } = await prover.prove('insertion', input);
    await bench.deposit(key, 20n);
    await bench.chain.increaseTime(BUCKET_AGE_SECONDS);
    attempts = {
      'deposit of the token': depositCall(30n, asset),
      'deposit of native currency': depositCall(40n, NATIVE_ASSET),
      transfer: bench.client.transferCall(transfer),
      close: bench.client.closeCall(),
      insert: bench.client.insertCall(bucket, leaves, input, words),
    };
    await prepare(Object.values(attempts), 1000n);
    startAgain = await bench.chain.snapshot();
  });
  afterEach(() => startAgain());
  after(() => bench.close());

  const allReentered = () => Object.values(attempts).map(() => REENTERED);

  it('could have called before, and can call after', async () => {
    for (const [name, call] of Object.entries(attempts)) {
      assert.equal(await outcome(bench.chain, call, reentererAddress), ACCEPTED, name);
    }
    await set(token, 'setHook', reentererAddress);
    await bench.send(nativeWithdrawal);
    await bench.send(tokenWithdrawal);
    for (const call of Object.values(attempts)) await bench.client.send(call);
  });

  it('is refused everywhere from the hook of a token that is deposited', async () => {
    await set(token, 'setHook', reentererAddress);
    await bench.deposit(key, 50n, { asset });
    assert.deepEqual(await answers(), allReentered());
    assert.deepEqual(await tokensOfPool(), [1050n, 1050n]);
  });

  it('is refused everywhere from the hook of a token that is withdrawn', async () => {
    await set(token, 'setHook', reentererAddress);
    await bench.send(tokenWithdrawal);
    assert.deepEqual(await answers(), allReentered());
    assert.deepEqual(await tokensOfPool(), [400n, 400n]);
  });

  it('is refused everywhere when it receives native currency', async () => {
    const before = await nativeOfPool();
    await bench.send(nativeWithdrawal);
    assert.deepEqual(await answers(), allReentered());
    assert.equal(await nativeOfPool(), before - 2000n);
  });

  it('is paid once for the withdrawal that it repeats from within', async () => {
    const attempt = bench.client.transferCall(nativeWithdrawal);
    await prepare([attempt]);
    await bench.send(nativeWithdrawal);
    assert.deepEqual(await answers(), [REENTERED]);
    assert.equal(await bench.chain.provider.getBalance(reentererAddress), 3000n);
    await expectRefused(bench, attempt, `NullifierSpent(${bench.nullifier(nativeNote)})`);
  });

  it('pauses deposits from within one, where it is the guardian, and they stay paused', async () => {
    const { provider } = bench.chain;
    await provider.send('hardhat_setBalance', [bench.timelock, '0xde0b6b3a7640000']);
    await provider.send('hardhat_impersonateAccount', [bench.timelock]);
    await set(bench.contract(new JsonRpcSigner(provider, bench.timelock)), 'setGuardian', reentererAddress);
    const data = bench.contract().interface.encodeFunctionData('pauseDeposits');
    await prepare([{ to: pool, data, value: 0n }]);
    await set(token, 'setHook', reentererAddress);
    await bench.deposit(key, 50n, { asset });
    assert.deepEqual(await answers(), [ACCEPTED]);
    assert.equal((await bench.client.queue()).depositsPaused, true);
    await expectRefused(bench, depositCall(1n, NATIVE_ASSET), 'DepositsArePaused()');
  });
});
