import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { openEndpoint } from '@bitcloak/chain/endpoint';
import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { Ledger } from '@bitcloak/chain/ledger';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient } from '@bitcloak/chain/pool';
import { commitmentOf } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { AMOUNT_MAX, LOCK_SECONDS_MAX, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Session } from '@bitcloak/wallet/session';
import { Wallet } from '@bitcloak/wallet/wallet';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import { Interface, toBeHex, toQuantity } from 'ethers';
import {
  changingLogs,
  limitingRange,
  RpcError,
  standingAt,
  tellingTime,
  withoutLogsAfter,
  type Accident,
  type Behaviour,
  type HostileEndpoint,
  type RpcLog,
} from '../support/hostileEndpoint.ts';
import { DIRECT, seenBy, SyncBench, type Seen, type SessionOptions, type TestWallet } from '../support/syncBench.ts';

const asset = NATIVE_ASSET;
const PHRASE = 'test test test test test test test test test test test junk';
const ALICE = new WalletKeys({ mnemonic: PHRASE });
const BOB = new WalletKeys({ mnemonic: `${'abandon '.repeat(11)}about` });
const OPERATOR = 77n;
const pool = new Interface(POOL_ABI);
const INCONSISTENT = { code: 'ENDPOINT_INCONSISTENT' };
const UNREACHABLE = { code: 'ENDPOINT_UNREACHABLE' };

const kindOf = (log: RpcLog) => pool.parseLog(log)?.name ?? '';
const sameLog = (left: RpcLog, right: RpcLog) =>
  left.blockNumber === right.blockNumber && left.logIndex === right.logIndex;

/** Alice's and Bob's life up to the newest block, and some more blocks than a reorganisation is taken to be deep. */
async function live(bench: SyncBench): Promise<{ alice: Session; bob: Session }> {
  const alice = await bench.session(await bench.wallet(ALICE));
  const bob = await bench.session(await bench.wallet(BOB));
  for (const amount of [100n, 40n, 7n]) await alice.deposit({ asset, amount });
  await bob.deposit({ asset, amount: 30n });
  const expiry = (await bench.chain.now()) + 1_000n;
  await alice.deposit({ asset, amount: 9n, lock: { operatorId: OPERATOR, expiry } });
  await bench.insertAll();
  await alice.send({ asset, amount: 50n, to: BOB.address, route: DIRECT });
  await bob.withdraw({ asset, amount: 10n, to: 0x1234n, route: DIRECT });
  await bench.insertAll();
  await alice.lock({ asset, amount: 20n, lock: { operatorId: OPERATOR, expiry, index: 3 }, route: DIRECT });
  await bench.insertAll();
  await bench.mine(100);
  await alice.deposit({ asset, amount: 5n });
  await bench.mine(3);
  return { alice, bob };
}

async function shows(session: Session, expected: Seen): Promise<void> {
  await session.sync();
  assert.deepEqual(await seenBy(session), expected);
}

describe('synchronisation', function () {
  this.timeout(60_000);
  let bench: SyncBench;
  let alice: Session;
  let bob: Session;
  let hostile: HostileEndpoint;
  let logs: RpcLog[];

  before(async () => {
    bench = await SyncBench.open();
    hostile = bench.hostile;
    ({ alice, bob } = await live(bench));
    const filter = { address: formatAccount(bench.manifest.pool), fromBlock: '0x0', toBlock: 'latest' };
    logs = (await bench.chain.provider.send('eth_getLogs', [filter])) as RpcLog[];
  });
  after(() => bench.close());
  beforeEach(() => {
    hostile.repent();
  });

  const fresh = async (options: SessionOptions = {}) => bench.session(await bench.wallet(ALICE), options);

  it('finds everything from the recovery phrase alone, as the wallet has it that did it', async () => {
    const restored = await fresh();
    await restored.sync();
    await alice.sync();
    assert.deepEqual(await seenBy(restored), await seenBy(alice));
    assert.deepEqual(
      restored.history().map(({ kind, amount }) => `${kind} ${amount}`),
      ['deposited 100', 'deposited 40', 'deposited 7', 'locked 9', 'sent 50', 'locked 20', 'deposited 5'],
    );
    assert.deepEqual(restored.history()[4]?.recipient, BOB.address);
    assert.deepEqual(await restored.balances(), [{ asset, spendable: 77n, waiting: 5n, locked: 29n, reclaimable: 0n }]);
    await bob.sync();
    assert.deepEqual(
      bob.history().map(({ kind, amount, account }) => [kind, amount, account]),
      [
        ['deposited', 30n, undefined],
        ['received', 50n, undefined],
        ['withdrawn', 10n, 0x1234n],
      ],
    );
  });

  it('shows a watcher the same, and lets it spend nothing', async () => {
    const watcher = new WalletKeys({ viewingKey: ALICE.exportViewingKey() });
    const session = await bench.session(await bench.wallet(watcher));
    await shows(session, await bench.truth(ALICE));
    const attempts = [
      session.send({ asset, amount: 1n, to: BOB.address, route: DIRECT }),
      session.withdraw({ asset, amount: 1n, to: 5n, route: DIRECT }),
      session.deposit({ asset, amount: 1n }),
    ];
    for (const attempt of attempts) await assert.rejects(attempt, { code: 'WALLET_WATCH_ONLY' });
  });

  it('shows nothing before it has read', async () => {
    const session = await fresh();
    await assert.rejects(session.notes(), { code: 'USAGE' });
    assert.throws(() => session.history(), { code: 'USAGE' });
  });

  it('reads every block once, and later only what is new', async () => {
    const wallet = await bench.wallet(ALICE);
    const session = await bench.session(wallet);
    hostile.repent();
    await session.sync();
    const height = await bench.height();
    let next = bench.manifest.startBlock;
    for (const [from, to] of hostile.logRanges()) {
      assert.equal(from, next);
      next = to + 1;
    }
    assert.equal(next, height + 1);

    hostile.repent();
    await session.sync();
    assert.deepEqual(hostile.logRanges(), []);
    assert.ok(hostile.calls.length <= 6, `${hostile.calls.length} calls to learn that there is nothing new`);

    await bench.mine(2);
    hostile.repent();
    await session.sync();
    assert.deepEqual(hostile.logRanges(), [[height + 1, height + 2]]);

    session.close();
    const reopened = await bench.session(wallet);
    hostile.repent();
    await shows(reopened, await bench.truth(ALICE));
    // What may still be reorganised is read again: the newest 64 blocks of when it was kept.
    assert.deepEqual(hostile.logRanges()[0]?.[0], height - 64 + 1);
  });

  it('tells how far it is', async () => {
    const seen: number[] = [];
    hostile.behaviour = limitingRange(20);
    const height = await bench.height();
    await (
      await fresh()
    ).sync(({ from, done, target }) => {
      assert.deepEqual([from, target], [bench.manifest.startBlock, height]);
      seen.push(done);
    });
    assert.ok(seen.length > 5);
    assert.deepEqual(
      seen,
      seen.toSorted((left, right) => left - right),
    );
    assert.equal(seen.at(-1), height);
  });

  describe('with an endpoint that fails', () => {
    const faults: Accident[] = ['drop', 'hang', 'lose answer', 'no json', 429, 500];

    it('now and then is asked again', async () => {
      const expected = await bench.truth(ALICE);
      await Promise.all(
        faults.map(async (fault) => {
          const endpoint = await bench.otherEndpoint();
          const session = await fresh({ url: endpoint.url, msMax: 500 });
          let requests = 0;
          endpoint.accident = () => (requests++ % 3 === 0 ? fault : 'none');
          await shows(session, expected);
          assert.ok(requests > 3);
        }),
      );
    });

    it('for good says so, shows nothing then, and goes on once it is back', async () => {
      const expected = await bench.truth(ALICE);
      await Promise.all(
        faults.map(async (fault) => {
          const endpoint = await bench.otherEndpoint();
          const session = await fresh({ url: endpoint.url, msMax: 300 });
          // The longest after everything has been read.
          let requests = 0;
          endpoint.accident = () => (requests++ < 3 ? 'none' : fault);
          await assert.rejects(session.sync(), UNREACHABLE, String(fault));
          await assert.rejects(session.notes(), { code: 'USAGE' });
          endpoint.repent();
          await shows(session, expected);
        }),
      );
    });

    it('inside of its answers says so', async () => {
      const session = await fresh();
      hostile.behaviour = async () => {
        throw new RpcError(-32005, 'daily request count exceeded');
      };
      await assert.rejects(session.sync(), UNREACHABLE);
      hostile.behaviour = async (call, ask) => (call.method === 'eth_getLogs' ? { not: 'a list' } : ask(call));
      await assert.rejects(session.sync(), INCONSISTENT);
      hostile.behaviour = async (call, ask) => (call.method === 'eth_getBlockByNumber' ? { number: 'x' } : ask(call));
      await assert.rejects(session.sync(), UNREACHABLE);
      hostile.repent();
      await shows(session, await bench.truth(ALICE));
    });

    it('keeps its access key to itself', async () => {
      const asked = (['drop', 'no json', 500] as const).map(async (fault) => {
        const endpoint = await bench.otherEndpoint();
        endpoint.accident = () => fault;
        await assert.rejects(openEndpoint(`${endpoint.url}/v3/ACCESSKEY?token=ACCESSKEY`), (error: Error) => {
          assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes('ACCESSKEY'));
          assert.match(error.message, /127\.0\.0\.1:\d+ after 5 attempts: ./);
          return true;
        });
      });
      await Promise.all(asked);
    });

    it('that limits the range of logs is read in pieces', async () => {
      hostile.behaviour = limitingRange(10);
      await shows(await fresh(), await bench.truth(ALICE));
      const served = hostile.logRanges().filter(([from, to]) => to - from < 10);
      assert.equal(
        served.reduce((sum, [from, to]) => sum + to - from + 1, 0),
        (await bench.height()) - bench.manifest.startBlock + 1,
      );
    });

    it('that does not give the logs of some block says so', async () => {
      hostile.behaviour = limitingRange(0);
      await assert.rejects((await fresh()).sync(), INCONSISTENT);
    });
  });

  describe('with an endpoint that lags', () => {
    it('shows what that knows, and the rest once it has caught up', async () => {
      const session = await fresh();
      const [height, expected] = [await bench.height(), await bench.truth(ALICE)];
      // Before the newest deposit; then a little behind again, after more was seen.
      for (const block of [height - 5, height, height - 1, height, height - 5]) {
        hostile.behaviour = standingAt(block);
        await session.sync();
        const older = expected.history.filter((entry) => entry.block <= block);
        assert.deepEqual(session.history(), older);
      }
      hostile.repent();
      await shows(session, expected);
    });

    it('far behind what was kept is believed in the end, and corrected later', async () => {
      const wallet = await bench.wallet(ALICE);
      const session = await bench.session(wallet);
      const [height, expected] = [await bench.height(), await bench.truth(ALICE)];
      await session.sync();
      hostile.behaviour = standingAt(height - 90);
      await session.sync();
      assert.deepEqual(
        session.history(),
        expected.history.filter(({ block }) => block <= height - 90),
      );
      hostile.repent();
      await shows(await bench.session(wallet), expected);
    });

    it('before the pool itself is inconsistent', async () => {
      hostile.behaviour = standingAt(1);
      await assert.rejects((await fresh()).sync(), INCONSISTENT);
    });

    it('with its index of logs is waited for', async () => {
      const session = await fresh();
      let asked = 0;
      const lagging = withoutLogsAfter((await bench.height()) - 10);
      hostile.behaviour = async (call, ask) =>
        call.method === 'eth_getLogs' && asked++ < 3 ? lagging(call, ask) : ask(call);
      await shows(session, await bench.truth(ALICE));
      assert.ok(asked > 3);
    });

    it('with its index of logs for long is inconsistent, and no loss', async () => {
      const session = await fresh();
      hostile.behaviour = withoutLogsAfter((await bench.height()) - 10);
      await assert.rejects(session.sync(), INCONSISTENT);
      await assert.rejects(session.balances(), { code: 'USAGE' });
      hostile.repent();
      await shows(session, await bench.truth(ALICE));
    });

    it('behind one address with another that does not is waited for', async () => {
      const session = await fresh();
      let asked = 0;
      hostile.behaviour = async (call, ask) => {
        if (call.method === 'eth_call' && asked++ < 3) throw new RpcError(-32000, 'header not found');
        return ask(call);
      };
      await shows(session, await bench.truth(ALICE));
    });
  });

  describe('with an endpoint that lies', () => {
    /** Syncs a session of its own for each lie, all at the same time, and returns with what. */
    async function syncUnder(lie: (logs: RpcLog[]) => RpcLog[], keys = ALICE) {
      const endpoint = await bench.otherEndpoint();
      endpoint.behaviour = changingLogs(lie);
      const session = await bench.session(await bench.wallet(keys), { url: endpoint.url });
      const code = await session.sync().then(
        () => 'believed',
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      );
      return { session, code, repent: () => endpoint.repent() };
    }

    it('by leaving a log out, or telling it twice, is found out, and believed again when it is honest', async () => {
      const expected = await bench.truth(ALICE);
      const lies = logs.flatMap((log) => [
        { log, lie: (told: RpcLog[]) => told.filter((other) => !sameLog(log, other)) },
        { log, lie: (told: RpcLog[]) => told.flatMap((other) => (sameLog(log, other) ? [other, other] : [other])) },
      ]);
      assert.deepEqual([...new Set(logs.map(kindOf))].sort(), [
        'BucketClosed',
        'BucketInserted',
        'Deposited',
        'GuardianSet',
        'Transferred',
        'Withdrawn',
      ]);
      await Promise.all(
        lies.map(async ({ log, lie }) => {
          const { session, code, repent } = await syncUnder(lie);
          // The tree and the notes do not hang on these two.
          const harmless = ['GuardianSet', 'Withdrawn'].includes(kindOf(log));
          assert.equal(code, harmless ? 'believed' : 'ENDPOINT_INCONSISTENT', kindOf(log));
          if (harmless) assert.deepEqual(await session.balances(), expected.balances);
          repent();
          await shows(session, expected);
        }),
      );
    });

    it('about their order is not heard', async () => {
      const { session, code } = await syncUnder((told) => told.toReversed());
      assert.equal(code, 'believed');
      await shows(session, await bench.truth(ALICE));
    });

    it('about roots is found out', async () => {
      const honest = new PoolClient(bench.manifest.pool, bench.chain.provider);
      const events = await honest.events(0, await bench.height());
      const last = events.findLast(({ kind }) => kind === 'inserted');
      assert.ok(last?.kind === 'inserted');
      const ledger = new Ledger();
      for (const event of events) if (event !== last) ledger.apply(event);
      const tree = ledger.treeForInsertion();
      tree.append([123n]);
      const forged = { bucketRoot: 123n, newRoot: tree.root() };
      const lies = [
        { ...last, newRoot: last.newRoot + 1n },
        { ...last, bucketRoot: last.bucketRoot + 1n },
        // These two follow from each other, and the pool has another root.
        { ...last, ...forged },
      ];
      const isLast = (log: RpcLog) => Number(log.blockNumber) === last.block && kindOf(log) === 'BucketInserted';
      const codes = lies.map(async ({ bucket, bucketRoot, newRoot }) => {
        const { data } = pool.encodeEventLog('BucketInserted', [bucket, bucketRoot, newRoot]);
        // Bob has no note in that bucket, the root of which he could check.
        return (await syncUnder((told) => told.map((log) => (isLast(log) ? { ...log, data } : log)), BOB)).code;
      });
      assert.deepEqual(await Promise.all(codes), new Array(3).fill('ENDPOINT_INCONSISTENT'));
    });

    it('with malformed logs is found out', async () => {
      const { code } = await syncUnder((told) => told.map((log) => ({ ...log, data: log.data.slice(0, 66) })));
      assert.equal(code, 'ENDPOINT_INCONSISTENT');
    });

    const forgedDeposit = (leaf: number, amount: bigint) => {
      const maker = new OutputMaker(asset);
      const commitment = commitmentOf(maker.plain(amount, ALICE.address));
      return pool.encodeEventLog('Deposited', [leaf, formatAccount(asset), amount, commitment, maker.ciphertext()]);
    };

    it('by inventing a deposit makes nobody rich', async () => {
      const last = logs.at(-1) as RpcLog;
      const leaf = Number(pool.parseLog(last)?.args[0]) + 1;
      const invented = { ...last, ...forgedDeposit(leaf, 10n ** 24n), logIndex: toQuantity(Number(last.logIndex) + 1) };
      const { session, code, repent } = await syncUnder((told) => [...told, invented]);
      assert.equal(code, 'ENDPOINT_INCONSISTENT');
      await assert.rejects(session.balances(), { code: 'USAGE' });
      repent();
      await shows(session, await bench.truth(ALICE));
    });

    it('about notes that are spent cannot have them spent again, and is found out when one is', async () => {
      const wallet = await bench.wallet(ALICE);
      const session = await bench.session(wallet);
      const expected = await bench.truth(ALICE);
      hostile.behaviour = changingLogs((told) =>
        told.map((log) => {
          const transfer = kindOf(log) === 'Transferred' ? pool.parseLog(log) : null;
          if (transfer === null) return log;
          const [leaf, , commitments, ciphertext] = transfer.args;
          return { ...log, ...pool.encodeEventLog('Transferred', [leaf, [1n, 2n], commitments, ciphertext]) };
        }),
      );
      await session.sync();
      const ghosts = await session.balances();
      assert.ok((ghosts[0]?.spendable ?? 0n) > (expected.balances[0]?.spendable ?? 0n));
      await assert.rejects(session.send({ asset, amount: 99n, to: BOB.address, route: DIRECT }), {
        code: 'TRANSACTION_FAILED',
        message: /NullifierSpent/,
      });
      // Nothing shows such a lie while reading. But now it is known, also to the next run.
      hostile.repent();
      await shows(await bench.session(wallet), expected);
      await shows(session, expected);
    });

    it('about the time locks nothing for years, but on chains whose time is moved', async () => {
      const wallet = await bench.wallet(ALICE);
      const session = await bench.session(wallet, { chainId: 1n });
      hostile.behaviour = tellingTime(74 * 365 * 86_400);
      const week = { operatorId: OPERATOR, expiry: BigInt(Math.floor(Date.now() / 1000)) + 7n * 86_400n };
      const future = { code: 'ENDPOINT_INCONSISTENT', message: /far ahead of this machine's clock/ };
      await assert.rejects(session.sync(), future);
      await assert.rejects(session.deposit({ asset, amount: 1n, lock: week }), future);
      assert.throws(() => session.blockTime, { code: 'USAGE' });
      assert.equal(wallet.stateFile.read(), undefined);
      const elsewhere = await fresh();
      await elsewhere.sync();
      assert.ok(elsewhere.blockTime > week.expiry);
      // Clocks differ, and blocks may be mined some minutes ahead.
      hostile.behaviour = tellingTime(300);
      await session.sync();
      assert.equal(session.blockTime, (await bench.chain.now()) + 300n);
    });

    it('can be made up for by forgetting what it said', async () => {
      const withdrawal = logs.find((log) => kindOf(log) === 'Withdrawn') as RpcLog;
      const endpoint = await bench.otherEndpoint();
      endpoint.behaviour = changingLogs((told) => told.filter((log) => !sameLog(log, withdrawal)));
      const session = await bench.session(await bench.wallet(BOB), { url: endpoint.url });
      await session.sync();
      assert.deepEqual(
        session.history().map(({ kind }) => kind),
        ['deposited', 'received', 'merged'],
      );
      endpoint.repent();
      session.forget();
      await assert.rejects(session.notes(), { code: 'USAGE' });
      await shows(session, await bench.truth(BOB));
    });
  });

  describe('of a wallet', () => {
    it('refuses what makes no sense before it costs anything', async () => {
      const session = await fresh();
      const amounts = [0n, -1n, AMOUNT_MAX + 1n];
      for (const amount of amounts) {
        const invalid = { code: 'AMOUNT_INVALID' };
        const lock = { operatorId: OPERATOR, expiry: 1n };
        await assert.rejects(session.deposit({ asset, amount }), invalid);
        await assert.rejects(session.send({ asset, amount, to: BOB.address, route: DIRECT }), invalid);
        await assert.rejects(session.withdraw({ asset, amount, to: 5n, route: DIRECT }), invalid);
        await assert.rejects(session.lock({ asset, amount, lock, route: DIRECT }), invalid);
      }
      for (const to of [0n, -1n, 2n ** 160n, bench.manifest.pool]) {
        await assert.rejects(session.withdraw({ asset, amount: 1n, to, route: DIRECT }), { code: 'ADDRESS_INVALID' });
      }
      const smallOrder = { owner: 1n, viewingKey: new Uint8Array(32) };
      await assert.rejects(session.send({ asset, amount: 1n, to: smallOrder, route: DIRECT }), {
        code: 'ADDRESS_INVALID',
      });
      const now = await bench.chain.now();
      const lock = { operatorId: OPERATOR, expiry: now + 100n };
      const locks = [
        { ...lock, expiry: now },
        { ...lock, expiry: now + LOCK_SECONDS_MAX + 1n },
        { ...lock, index: -1 },
        { ...lock, index: 0.5 },
        { ...lock, index: 2 ** 32 },
        { ...lock, operatorKey: new Uint8Array(32) },
      ];
      for (const wrong of locks) {
        await assert.rejects(session.lock({ asset, amount: 1n, lock: wrong, route: DIRECT }), { code: 'LOCK_INVALID' });
      }
      for (const operatorId of [0n, 2n ** 255n]) {
        const wrong = { ...lock, operatorId };
        await assert.rejects(session.deposit({ asset, amount: 1n, lock: wrong }), { code: 'OPERATOR_ID_INVALID' });
      }
    });

    it('says why it cannot pay', async () => {
      const session = await fresh();
      const pay = (amount: bigint) => session.send({ asset, amount, to: BOB.address, route: DIRECT });
      // 57 and 20 can be spent, 5 wait, 29 are locked.
      for (const amount of [78n, 82n]) await assert.rejects(pay(amount), { code: 'NOTES_WAITING' });
      for (const amount of [83n, 111n]) await assert.rejects(pay(amount), { code: 'NOTE_LOCKED' });
      await assert.rejects(pay(112n), { code: 'BALANCE_INSUFFICIENT' });
      await assert.rejects(session.merge({ asset: 1n, route: DIRECT }), { code: 'BALANCE_INSUFFICIENT' });
      assert.deepEqual(await session.reclaim({ asset, route: DIRECT }), []);
    });

    it('damaged on the disk is read again', async () => {
      const expected = await bench.truth(ALICE);
      const path = join(bench.directory, 'damaged.bin');
      const { StateFile } = await import('@bitcloak/wallet/stateFile');
      const stateFile = new StateFile(path, new Uint8Array(32), 'test');
      const wallet: TestWallet = { ...(await bench.wallet(ALICE)), stateFile };
      await (await bench.session(wallet)).sync();
      const whole = readFileSync(path);
      const damages = [whole.subarray(0, whole.length >> 1), Buffer.concat([whole, Buffer.of(0)]), Buffer.alloc(0)];
      for (const damaged of damages) {
        writeFileSync(path, damaged);
        hostile.repent();
        await shows(await bench.session(wallet), expected);
        assert.equal(hostile.logRanges()[0]?.[0], bench.manifest.startBlock);
      }
      // The last of them has written it anew.
      hostile.repent();
      await shows(await bench.session(wallet), expected);
      assert.notEqual(hostile.logRanges()[0]?.[0], bench.manifest.startBlock);
    });

    it('takes the wallet for one process, and gives it back whatever happens', async () => {
      const wallet = await Wallet.create(join(bench.directory, 'busy'), { mnemonic: PHRASE }, 'passphrase');
      const first = await wallet.openSession(bench.manifest, bench.prover);
      await assert.rejects(wallet.openSession(bench.manifest, bench.prover), { code: 'WALLET_BUSY' });
      first.close();
      hostile.accident = () => 500;
      await assert.rejects(wallet.openSession(bench.manifest, bench.prover), UNREACHABLE);
      hostile.repent();
      const other = { ...bench.manifest, genesisHash: `0x${'0'.repeat(64)}` };
      await assert.rejects(wallet.openSession(other, bench.prover), { code: 'NETWORK_RESTARTED' });
      await assert.rejects(wallet.openSession({ ...other, chainId: 1n }, bench.prover), { code: 'CHAIN_MISMATCH' });
      const second = await wallet.openSession(bench.manifest, bench.prover);
      await shows(second, await bench.truth(ALICE));
      second.close();
    });
  });

  describe('after something has happened', () => {
    it('forgets what it read of it where reading fails, and reads it again', async () => {
      const session = await fresh();
      await session.sync();
      await alice.deposit({ asset, amount: 4n });
      const failing = (times: number): Behaviour => {
        let failed = 0;
        return async (call, ask) => {
          if (call.method === 'eth_call' && failed++ < times) throw new RpcError(-32000, 'header not found');
          return ask(call);
        };
      };
      hostile.behaviour = failing(1_000);
      await assert.rejects(session.sync(), INCONSISTENT);
      await assert.rejects(session.balances(), { code: 'USAGE' });
      hostile.repent();
      await shows(session, await bench.truth(ALICE));
      await alice.deposit({ asset, amount: 4n });
      // Twice, for the queue and the root: once reading is tried again.
      hostile.behaviour = failing(2);
      await shows(session, await bench.truth(ALICE));
    });

    it('deposits once where the answer to the transaction is lost', async () => {
      const before = (await bench.truth(ALICE)).history.length;
      const session = await fresh();
      let lost = 0;
      hostile.accident = (calls) =>
        calls.some(({ method }) => method === 'eth_sendRawTransaction') && lost++ < 2 ? 'lose answer' : 'none';
      const outcome = await session.deposit({ asset, amount: 6n });
      assert.ok(lost >= 2);
      const { history } = await bench.truth(ALICE);
      assert.equal(history.length, before + 1);
      assert.equal(history.at(-1)?.transaction, outcome.transaction);
    });

    it('gets rid of a deposit that was told otherwise, once that is inserted', async () => {
      const session = await fresh();
      const outcome = await alice.deposit({ asset, amount: 8n });
      const maker = new OutputMaker(asset);
      const rich = 10n ** 24n;
      const commitment = commitmentOf(maker.plain(rich, ALICE.address));
      hostile.behaviour = changingLogs((told) =>
        told.map((log) => {
          if (Number(log.blockNumber) !== outcome.block) return log;
          const leaf = pool.parseLog(log)?.args[0] as bigint;
          return {
            ...log,
            ...pool.encodeEventLog('Deposited', [leaf, toBeHex(asset, 20), rich, commitment, maker.ciphertext()]),
          };
        }),
      );
      await session.sync();
      const [balance] = await session.balances();
      // Nothing can show this lie yet. It waits, and is never spendable.
      assert.ok(balance !== undefined && balance.waiting >= rich && balance.spendable < rich);
      hostile.repent();
      await bench.insertAll();
      await shows(session, await bench.truth(ALICE));
    });

    it('unlearns a past that was told with a state of its own, once something new happens', async () => {
      const wallet = await bench.wallet(ALICE);
      const session = await bench.session(wallet);
      await bench.mine(70);
      const height = await bench.height();
      const past = standingAt(height - 120);
      const blind = withoutLogsAfter(height - 120);
      hostile.behaviour = (call, ask) =>
        call.method === 'eth_call' ? past({ ...call, params: [call.params[0], 'latest'] }, ask) : blind(call, ask);
      await session.sync();
      assert.notDeepEqual(session.history(), (await bench.truth(ALICE)).history);
      session.close();
      hostile.repent();
      await alice.deposit({ asset, amount: 3n });
      await shows(await bench.session(wallet), await bench.truth(ALICE));
    });

    it('takes home every expired note once, though the endpoint goes on showing them as unspent', async () => {
      await bench.chain.increaseTime(2n * 3_600n);
      const session = await fresh();
      await session.sync();
      assert.equal((await session.balances())[0]?.reclaimable, 29n);
      const lagging = standingAt(await bench.height());
      hostile.behaviour = (call, ask) =>
        ['eth_getBlockByNumber', 'eth_getLogs'].includes(call.method) ? lagging(call, ask) : ask(call);
      const outcomes = await session.reclaim({ asset, route: DIRECT });
      assert.equal(outcomes.length, 2);
      hostile.repent();
      await shows(session, await bench.truth(ALICE));
      assert.deepEqual(
        session
          .history()
          .slice(-2)
          .map(({ kind, amount }) => `${kind} ${amount}`)
          .sort(),
        ['reclaimed 20', 'reclaimed 9'],
      );
      assert.deepEqual(await session.reclaim({ asset, route: DIRECT }), []);
    });
  });
});
