// Calls of a pool, other than transfers, that it must refuse. Every entry is wrong in one way and names the refusal; where it does not fit the run's
// present state it makes nothing.
import { formatAccount } from '@bitcloak/chain/manifest';
import type { Call } from '@bitcloak/chain/pool';
import {
  AMOUNT_MAX,
  DEPOSIT_CIPHERTEXT_BYTES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  TIMELOCK_SECONDS_MIN,
} from '@bitcloak/protocol/parameters';
import { ZeroHash } from 'ethers';
import { BUCKET_AGE_SECONDS } from './pool.ts';
import type { PoolRun, ReadyInsertion } from './poolRun.ts';
import { flip, withOne, type Attack, type Attempt } from './transferAttacks.ts';

// --- deposits ---------------------------------------------------------------------------------------------------------

function depositAttempt(
  run: PoolRun,
  expected: string,
  change: Partial<Record<'asset' | 'amount' | 'stealth' | 'value', bigint>> & { length?: number },
): Attempt {
  const { asset = run.dice.pick(run.assets), amount = 1n, stealth = run.dice.random.field() } = change;
  const ciphertext = run.bytes(change.length ?? DEPOSIT_CIPHERTEXT_BYTES);
  const call = run.client.depositCall(asset, amount, stealth, ciphertext);
  const expectedNow = run.model.depositsPaused ? 'DepositsArePaused' : expected;
  return { expected: expectedNow, call: { ...call, value: change.value ?? call.value } };
}

export const BAD_DEPOSITS: Readonly<Record<string, Attack>> = {
  'of nothing': (run) => depositAttempt(run, 'AmountOutOfRange', { amount: 0n }),
  'of 2^120': (run) => depositAttempt(run, 'AmountOutOfRange', { amount: AMOUNT_MAX + 1n, value: 0n }),
  'with a stealth outside the field': (run) => depositAttempt(run, 'NotInField', { stealth: FIELD_MODULUS }),
  'with another ciphertext length': (run) => {
    return depositAttempt(run, 'CiphertextLength', {
      length: run.dice.pick([0, DEPOSIT_CIPHERTEXT_BYTES - 1, DEPOSIT_CIPHERTEXT_BYTES + 1]),
    });
  },
  'with too little native currency': (run) => {
    return depositAttempt(run, 'NativeValue', { asset: NATIVE_ASSET, amount: 2n, value: run.dice.between(0n, 1n) });
  },
  'with too much native currency': (run) => depositAttempt(run, 'NativeValue', { asset: NATIVE_ASSET, value: 2n }),
  'of a token with native currency': (run) => {
    return depositAttempt(run, 'NativeValue', { asset: run.dice.pick(run.assets.slice(1)), value: 1n });
  },
  'of what is no contract': (run) => depositAttempt(run, 'AssetNotContract', { asset: run.dice.pick(run.payees) }),
  'of asset 0': (run) => depositAttempt(run, 'AssetNotContract', { asset: 0n }),
  'of tokens that were not approved': (run) => {
    const attempt = depositAttempt(run, 'ERC20InsufficientAllowance', { asset: run.dice.pick(run.assets.slice(1)) });
    return { ...attempt, from: run.governor };
  },
};

// --- buckets ----------------------------------------------------------------------------------------------------------

type InsertionAttack = (honest: ReadyInsertion, run: PoolRun) => Attempt | undefined | Promise<Attempt | undefined>;

function insertAttempt(
  run: PoolRun,
  expected: string,
  honest: ReadyInsertion,
  change: Partial<ReadyInsertion>,
): Attempt {
  return { expected, call: run.insertCall({ ...honest, ...change }) };
}

function otherLeaves(run: PoolRun, leaves: readonly bigint[]): readonly bigint[] {
  return withOne(leaves, run.dice.int(leaves.length), run.dice.random.field());
}

export const BAD_INSERTIONS: Readonly<Record<string, InsertionAttack>> = {
  'of another leaf': (honest, run) => {
    return insertAttempt(run, 'LeavesMismatch', honest, { leaves: otherLeaves(run, honest.leaves) });
  },
  'of an alias of a leaf': (honest, run) => {
    const index = run.dice.int(honest.leaves.length);
    const leaves = withOne(honest.leaves, index, (honest.leaves[index] as bigint) + FIELD_MODULUS);
    return insertAttempt(run, 'LeavesMismatch', honest, { leaves });
  },
  'of leaves in another order': (honest, run) => {
    if (honest.leaves.length < 2) return undefined;
    return insertAttempt(run, 'LeavesMismatch', honest, { leaves: [...honest.leaves].reverse() });
  },
  'of a leaf less': (honest, run) =>
    insertAttempt(run, 'LeavesMismatch', honest, { leaves: honest.leaves.slice(0, -1) }),
  'of no leaf': (honest, run) => insertAttempt(run, 'LeavesMismatch', honest, { leaves: [] }),
  'of a leaf more': (honest, run) => insertAttempt(run, 'LeavesMismatch', honest, { leaves: [...honest.leaves, 0n] }),
  'of other leaves with a proof of their own': async (honest, run) => {
    const forged = await run.proveInsertion(otherLeaves(run, honest.leaves));
    return forged && { expected: 'LeavesMismatch', call: run.insertCall(forged) };
  },
  'of the right leaves with a proof of others': async (honest, run) => {
    const forged = await run.proveInsertion(otherLeaves(run, honest.leaves));
    return forged && { expected: 'InvalidProof', call: run.insertCall({ ...forged, leaves: honest.leaves }) };
  },
  'with another proof': (honest, run) => {
    const word = run.dice.int(honest.words.length);
    return insertAttempt(run, 'InvalidProof', honest, {
      words: withOne(honest.words, word, flip(honest.words[word] as bigint)),
    });
  },
  'with another root': (honest, run) => {
    const input = { ...honest.input, newRoot: run.dice.pick([honest.input.oldRoot, run.dice.random.field()]) };
    return insertAttempt(run, 'InvalidProof', honest, { input });
  },
  'with an alias of the root': (honest, run) => {
    const input = { ...honest.input, newRoot: honest.input.newRoot + FIELD_MODULUS };
    return insertAttempt(run, 'SignalNotInField', honest, { input });
  },
  'with another root of the bucket': (honest, run) => {
    return insertAttempt(run, 'InvalidProof', honest, {
      input: { ...honest.input, bucketRoot: run.dice.random.field() },
    });
  },
  'out of turn': (honest, run) => {
    const bucket = honest.bucket + run.dice.pick(honest.bucket === 0 ? [1] : [1, -1]);
    return insertAttempt(run, 'BucketNotNext', honest, { bucket });
  },
};

export const BUCKET_ATTACKS: Readonly<Record<string, Attack>> = {
  'an insertion that comes too late': (run) => {
    const sent = run.dice.pickIfAny(run.sentInsertions);
    return sent === undefined ? undefined : { expected: 'BucketNotNext', call: run.insertCall(sent) };
  },
  'an insertion of the open bucket': (run) => {
    const sent = run.dice.pickIfAny(run.sentInsertions);
    if (sent === undefined || run.model.nextInsertion !== run.model.openBucket) return undefined;
    const bucket = run.model.openBucket;
    return {
      expected: 'BucketNotClosed',
      call: run.insertCall({ ...sent, bucket, leaves: run.model.leavesOf(bucket) }),
    };
  },
  'closing an empty bucket': (run) => {
    return run.model.openLeaves > 0 ? undefined : { expected: 'BucketEmpty', call: run.client.closeCall() };
  },
  'closing a bucket too early': (run) => {
    const last = run.model.openedAt + BUCKET_AGE_SECONDS - 1n;
    if (run.model.openLeaves === 0 || run.nextTime > last) return undefined;
    // The last moment at which it is too early.
    if (run.dice.chance(1, 2)) run.waitUntil(last);
    return { expected: 'BucketTooYoung', call: run.client.closeCall() };
  },
};

// --- roles ------------------------------------------------------------------------------------------------------------

const anyAccount = (run: PoolRun) => run.dice.pick([...run.actors.map(({ account }) => account), run.governor]);

function scheduleCall(run: PoolRun, delay: bigint): Call {
  const data = run.call('unpauseDeposits', []).data;
  return run.timelockCall('schedule', [formatAccount(run.client.address), 0n, data, ZeroHash, ZeroHash, delay]);
}

export const TRESPASSES: Readonly<Record<string, Attack>> = {
  'pausing without being the guardian': (run) => {
    const { account } = run.dice.pick(run.actors.filter((actor) => BigInt(actor.account) !== run.model.guardian));
    return { expected: 'NotGuardian', call: run.call('pauseDeposits', []), from: account };
  },
  'unpausing past the timelock': (run) => {
    const from = run.dice.pick([formatAccount(run.model.guardian), anyAccount(run)]);
    return { expected: 'NotTimelock', call: run.call('unpauseDeposits', []), from };
  },
  'another guardian past the timelock': (run) => {
    const from = run.dice.pick([formatAccount(run.model.guardian), anyAccount(run)]);
    return { expected: 'NotTimelock', call: run.call('setGuardian', [from]), from };
  },
  'scheduling without being the governor': (run) => {
    const from = run.dice.pick(run.actors).account;
    return { expected: 'AccessControlUnauthorizedAccount', call: scheduleCall(run, TIMELOCK_SECONDS_MIN), from };
  },
  'scheduling with too short a delay': (run) => {
    return {
      expected: 'TimelockInsufficientDelay',
      call: scheduleCall(run, TIMELOCK_SECONDS_MIN - 1n),
      from: run.governor,
    };
  },
  'executing too early': (run) => {
    const waiting = run.dice.pickIfAny(run.operations.filter(({ readyAt }) => readyAt > run.nextTime));
    if (waiting === undefined) return undefined;
    // The last moment at which it is too early.
    if (run.dice.chance(1, 4)) run.waitUntil(waiting.readyAt - 1n);
    return { expected: 'TimelockUnexpectedOperationState', call: run.executeCall(waiting) };
  },
  'executing twice': (run) => {
    const done = run.dice.pickIfAny(run.doneOperations);
    return done === undefined
      ? undefined
      : { expected: 'TimelockUnexpectedOperationState', call: run.executeCall(done) };
  },
  'sending native currency without a call': (run) => {
    return { expected: 'no reason', call: { to: formatAccount(run.client.address), data: '0x', value: 1n } };
  },
  'a call that the pool does not know': (run) => {
    return { expected: 'no reason', call: { to: formatAccount(run.client.address), data: '0x12345678', value: 0n } };
  },
};
