import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient, type Call, type ProvenTransfer } from '@bitcloak/chain/pool';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { DEPOSIT_CIPHERTEXT_BYTES, NATIVE_ASSET, TIMELOCK_SECONDS_MIN } from '@bitcloak/protocol/parameters';
import { Contract, isCallException, ZeroHash, type JsonRpcSigner } from 'ethers';
import { readArtifact } from '../support/chain.ts';
import { PoolBench, type TestNote } from '../support/pool.ts';
import { ACCEPTED, describeRevert, expectRefused, outcome } from '../support/refusals.ts';

describe('Pool: guardian and timelock', function () {
  this.timeout(300_000);
  let bench: PoolBench;
  let key: SpendingKey;
  let guardian: JsonRpcSigner;
  let governor: JsonRpcSigner;
  let timelock: Contract;
  let notes: [TestNote, TestNote];
  let withdrawal: ProvenTransfer;
  let startAgain: () => Promise<void>;

  const poolCall = (method: string, values: readonly unknown[] = []): Call => ({
    to: formatAccount(bench.address),
    data: bench.contract().interface.encodeFunctionData(method, values),
    value: 0n,
  });
  const send = (call: Call, signer: JsonRpcSigner) => new PoolClient(bench.address, signer).send(call);
  const refused = (call: Call, expected: string, signer: JsonRpcSigner) =>
    expectRefused(bench, call, expected, { from: signer.address });
  const paused = async () => (await bench.client.queue()).depositsPaused;
  const deposit = () => {
    const stealth = stealthOf(bench.note(key, 5n));
    return bench.client.depositCall(NATIVE_ASSET, 5n, stealth, bench.bytes(DEPOSIT_CIPHERTEXT_BYTES));
  };

  /** A call through the timelock. */
  const operation = (call: Call) => [call.to, call.value, call.data, ZeroHash, ZeroHash] as const;
  const asSigner = (signer: JsonRpcSigner) => timelock.connect(signer) as Contract;
  async function schedule(call: Call, delay = TIMELOCK_SECONDS_MIN, signer = governor): Promise<void> {
    await (await asSigner(signer).getFunction('schedule')(...operation(call), delay)).wait();
  }
  async function execute(call: Call, signer: JsonRpcSigner): Promise<void> {
    await (await asSigner(signer).getFunction('execute')(...operation(call))).wait();
  }
  const rejectedBy = (action: Promise<unknown>, name: string) =>
    assert.rejects(
      action,
      (error) => isCallException(error) && timelock.interface.parseError(error.data ?? '0x')?.name === name,
    );

  /** The timelock passes on what the pool says, which its own interface does not know. */
  const rejectedByPool = (action: Promise<unknown>, expected: string) =>
    assert.rejects(action, (error) => isCallException(error) && describeRevert(error.data ?? '') === expected);

  before(async () => {
    bench = await PoolBench.open({ seed: 'governance' });
    key = bench.keyring().spending;
    [guardian, governor] = [bench.chain.signer(1), bench.chain.signer(2)];
    timelock = new Contract(bench.timelock, (await readArtifact('TimelockController')).abi, governor);
    notes = [await bench.deposit(key, 1000n), await bench.deposit(key, 500n)];
    await bench.insertAll();
    withdrawal = await bench.prove({ key, inputs: [notes[0]], withdrawAmount: 1000n });
    startAgain = await bench.chain.snapshot();
  });
  afterEach(() => startAgain());
  after(() => bench.close());

  it('stops deposits at once, and nothing else', async () => {
    await send(poolCall('pauseDeposits'), guardian);
    assert.equal(await paused(), true);
    await refused(deposit(), 'DepositsArePaused()', bench.chain.signer());
    await refused(deposit(), 'DepositsArePaused()', guardian);
    await refused({ ...deposit(), value: 0n }, 'DepositsArePaused()', governor);

    await bench.send(withdrawal);
    await bench.send(await bench.prove({ key, inputs: [notes[1]] }));
    await bench.closeBucket();
    await bench.insert();
    const { openBucket, openLeaves, nextInsertion } = await bench.client.queue();
    assert.deepEqual([openBucket, openLeaves, nextInsertion], [2, 0, 2]);
    assert.equal(await paused(), true, 'what goes on does not unpause either');
  });

  it('lets only the guardian pause', async () => {
    for (const signer of [bench.chain.signer(0), governor, bench.chain.signer(7)]) {
      await refused(poolCall('pauseDeposits'), `NotGuardian(${signer.address})`, signer);
    }
    assert.equal(await outcome(bench.chain, deposit()), ACCEPTED);
  });

  it('lets nobody unpause or name a guardian by a call of their own', async () => {
    await send(poolCall('pauseDeposits'), guardian);
    for (const signer of [bench.chain.signer(0), guardian, governor, bench.chain.signer(7)]) {
      await refused(poolCall('unpauseDeposits'), `NotTimelock(${signer.address})`, signer);
      await refused(poolCall('setGuardian', [signer.address]), `NotTimelock(${signer.address})`, signer);
    }
  });

  it('unpauses through the timelock: proposed by the governor, after the delay, carried out by anybody', async () => {
    await send(poolCall('pauseDeposits'), guardian);
    const unpause = poolCall('unpauseDeposits');
    const stranger = bench.chain.signer(7);
    for (const signer of [guardian, bench.chain.signer(0), stranger]) {
      await rejectedBy(schedule(unpause, TIMELOCK_SECONDS_MIN, signer), 'AccessControlUnauthorizedAccount');
    }
    await rejectedBy(schedule(unpause, TIMELOCK_SECONDS_MIN - 1n), 'TimelockInsufficientDelay');
    await rejectedBy(execute(unpause, governor), 'TimelockUnexpectedOperationState');

    await schedule(unpause);
    const readyAt = (await bench.chain.now()) + TIMELOCK_SECONDS_MIN;
    await rejectedBy(execute(unpause, governor), 'TimelockUnexpectedOperationState');
    await bench.chain.setTime(readyAt - 2n);
    await rejectedBy(execute(unpause, governor), 'TimelockUnexpectedOperationState');
    assert.equal(await paused(), true);
    await bench.chain.setTime(readyAt);
    await execute(unpause, stranger);
    assert.equal(await paused(), false);
    await send(deposit(), stranger);
    // What was carried out is used up.
    await send(poolCall('pauseDeposits'), guardian);
    await rejectedBy(execute(unpause, governor), 'TimelockUnexpectedOperationState');
    assert.equal(await paused(), true);
  });

  it('changes the guardian through the timelock only, and never to nobody', async () => {
    const newGuardian = bench.chain.signer(6);
    const change = poolCall('setGuardian', [newGuardian.address]);
    const toNobody = poolCall('setGuardian', [`0x${'00'.repeat(20)}`]);
    await schedule(change);
    await schedule(toNobody);
    await bench.chain.increaseTime(TIMELOCK_SECONDS_MIN);
    await rejectedByPool(execute(toNobody, governor), 'GuardianMissing()');
    await execute(change, governor);
    assert.equal(await bench.contract().getFunction('guardian')(), newGuardian.address);
    await refused(poolCall('pauseDeposits'), `NotGuardian(${guardian.address})`, guardian);
    await send(poolCall('pauseDeposits'), newGuardian);
    assert.equal(await paused(), true);
  });

  it('gives the governor nothing else: the timelock can move no funds', async () => {
    const drain = bench.client.transferCall({ ...withdrawal, proof: withdrawal.proof.map(() => 0n) });
    await schedule(drain);
    await bench.chain.increaseTime(TIMELOCK_SECONDS_MIN);
    await rejectedByPool(execute(drain, governor), 'InvalidProof()');
  });
});
