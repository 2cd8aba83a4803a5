import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@bitcloak/chain/manifest';
import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { PoolClient } from '@bitcloak/chain/pool';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET, VALID_AFTER_GRID_SECONDS } from '@bitcloak/protocol/parameters';
import { runKeeper } from '@bitcloak/wallet/keeper';
import type { Session } from '@bitcloak/wallet/session';
import type { Route } from '@bitcloak/wallet/types';
import { Wallet } from '@bitcloak/wallet/wallet';
import { Contract, Interface, parseEther, type Result } from 'ethers';
import { startDevnet, type Devnet } from '../../scripts/devnet/devnet.ts';
import { giveGas } from '../../scripts/devnet/roundTrip.ts';
import { assertHidden } from '../support/hidden.ts';
import { prover } from '../support/pool.ts';

const DIRECT: Route = { kind: 'direct' };
const OPERATOR = 987_654_321n;
const ONE = parseEther('1');

function refusedWith(code: ErrorCode) {
  return (error: unknown) => {
    assert.ok(error instanceof BitcloakError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

describe('a wallet against a devnet without a keeper', function () {
  this.timeout(180_000);
  const mnemonic = newMnemonic();
  let directory: string;
  let devnet: Devnet;
  let manifest: Manifest;
  let alice: Wallet;
  let bob: Wallet;
  let session: Session;
  let bobs: Session;
  let token: bigint;

  const open = async (name: string, phrase = newMnemonic()) =>
    Wallet.create(join(directory, name), { mnemonic: phrase }, 'passphrase');
  const balance = async (of: Session, asset = NATIVE_ASSET) => {
    await of.sync();
    const found = (await of.balances()).find((entry) => entry.asset === asset);
    return found ?? { asset, spendable: 0n, waiting: 0n, locked: 0n, reclaimable: 0n };
  };
  const passTime = async (seconds: bigint) => {
    await devnet.endpoint.send('evm_increaseTime', [Number(seconds)]);
    await devnet.endpoint.send('evm_mine', []);
  };
  /** What a depositor does who has no keeper: close and insert with the own account. */
  const insertAll = async (wallet: Wallet) => {
    await passTime(2n);
    await runKeeper({
      pool: manifest.pool,
      endpoint: devnet.endpoint,
      signer: wallet.account().connect(devnet.endpoint),
      startBlock: manifest.startBlock,
      prover,
      closeAfterSeconds: 0n,
      pollMs: 50,
      once: true,
      signal: new AbortController().signal,
      report: () => undefined,
    });
  };

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-e2e-'));
    const options = { port: 0, relayerPort: 0, prover, bucketAgeSeconds: 1n, blockMs: 0, keeper: false };
    devnet = await startDevnet(options);
    manifest = devnet.manifest;
    token = manifest.tokens[1]?.asset ?? 0n;
    [alice, bob] = [await open('alice', mnemonic), await open('bob')];
    [session, bobs] = [await alice.openSession(manifest, prover), await bob.openSession(manifest, prover)];
    await giveGas(devnet.endpoint, alice.account().address);
    await giveGas(devnet.endpoint, bob.account().address);
    const abi = ['function mint(address, uint256)'];
    const minter = new Contract(
      `0x${token.toString(16).padStart(40, '0')}`,
      abi,
      alice.account().connect(devnet.endpoint),
    );
    await (await minter.getFunction('mint')(alice.account().address, 5_000_000n)).wait();
  });
  after(async () => {
    session.close();
    bobs.close();
    await devnet.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('deposits native currency and a token, and shows how long the notes wait', async () => {
    await session.deposit({ asset: NATIVE_ASSET, amount: 5n * ONE });
    await session.deposit({ asset: token, amount: 5_000_000n });
    assert.deepEqual(await balance(session, token), {
      asset: token,
      spendable: 0n,
      waiting: 5_000_000n,
      locked: 0n,
      reclaimable: 0n,
    });
    const [note] = await session.notes();
    assert.equal(note?.status, 'waiting');
    assert.equal(note.wait?.leaves, 2);
    assert.equal(note.wait.closed, false);
    const early = session.send({ asset: NATIVE_ASSET, amount: ONE, to: bob.address, route: DIRECT });
    await assert.rejects(early, refusedWith('NOTES_WAITING'));
  });

  it('closes and inserts by itself, then pays', async () => {
    await insertAll(alice);
    assert.equal((await balance(session)).spendable, 5n * ONE);
    await session.send({ asset: NATIVE_ASSET, amount: 2n * ONE, to: bob.address, route: DIRECT });
    assert.equal((await balance(bobs)).waiting, 2n * ONE);
    assert.equal((await balance(session)).waiting, 3n * ONE);
    const tooMuch = session.send({ asset: NATIVE_ASSET, amount: 9n * ONE, to: bob.address, route: DIRECT });
    await assert.rejects(tooMuch, refusedWith('BALANCE_INSUFFICIENT'));
  });

  it('withdraws through the relayer and directly, and to the unit', async () => {
    await insertAll(alice);
    const url = manifest.relayer ?? '';
    const fee = await bobs.quote(url, NATIVE_ASSET, 'withdrawal');
    const [relayed, own] = [alice.account(5).address, alice.account(6).address];
    const cheap: Route = { kind: 'relayer', url, feeMax: fee - 1n };
    const stingy = bobs.withdraw({ asset: NATIVE_ASSET, amount: ONE, to: BigInt(relayed), route: cheap });
    await assert.rejects(stingy, refusedWith('RELAYER_FEE_EXCESSIVE'));
    const route: Route = { kind: 'relayer', url, feeMax: fee };
    await bobs.withdraw({ asset: NATIVE_ASSET, amount: ONE, to: BigInt(relayed), route });
    assert.equal(await devnet.endpoint.getBalance(relayed), ONE - fee);
    await session.withdraw({ asset: token, amount: 1_234_567n, to: BigInt(own), route: DIRECT });
    const abi = ['function balanceOf(address) view returns (uint256)'];
    const contract = new Contract(`0x${token.toString(16).padStart(40, '0')}`, abi, devnet.endpoint);
    assert.equal(await contract.getFunction('balanceOf')(own), 1_234_567n);
  });

  it('pays a relayer out of the note where nothing is withdrawn', async () => {
    await insertAll(alice);
    const url = manifest.relayer ?? '';
    const fee = await session.quote(url, NATIVE_ASSET, 'transfer');
    const route: Route = { kind: 'relayer', url, feeMax: fee };
    const before = await devnet.endpoint.getTransactionCount(alice.account().address);
    const outcome = await session.send({ asset: NATIVE_ASSET, amount: ONE, to: bob.address, route });
    assert.equal(outcome.fee, fee);
    assert.equal(await devnet.endpoint.getTransactionCount(alice.account().address), before);
    assert.equal((await balance(session)).waiting, 2n * ONE - fee);
  });

  it('locks a note to an operator and takes it home after the expiry, from the recovery phrase alone', async () => {
    await insertAll(alice);
    const expiry = session.blockTime + 600n;
    const tooLong = { operatorId: OPERATOR, expiry: session.blockTime + 400n * 24n * 3600n };
    const never = session.lock({ asset: NATIVE_ASSET, amount: ONE, lock: tooLong, route: DIRECT });
    await assert.rejects(never, refusedWith('LOCK_INVALID'));
    await session.lock({ asset: NATIVE_ASSET, amount: ONE, lock: { operatorId: OPERATOR, expiry }, route: DIRECT });
    await insertAll(alice);
    assert.equal((await balance(session)).locked, ONE);
    assert.deepEqual(await session.reclaim({ asset: NATIVE_ASSET, route: DIRECT }), []);

    const restored = await open('restored', mnemonic);
    const again = await restored.openSession(manifest, prover);
    try {
      assert.equal((await balance(again)).locked, ONE);
      assert.deepEqual(again.history(), session.history());
      await passTime(600n + VALID_AFTER_GRID_SECONDS);
      assert.equal((await balance(again)).reclaimable, ONE);
      const outcomes = await again.reclaim({ asset: NATIVE_ASSET, route: DIRECT });
      assert.equal(outcomes.length, 1);
      const home = await balance(again);
      assert.deepEqual([home.locked, home.reclaimable, home.waiting], [0n, 0n, ONE]);
    } finally {
      again.close();
    }
  });

  it('joins notes, and says when they must be joined first', async () => {
    for (let i = 0; i < 2; i++) await session.deposit({ asset: NATIVE_ASSET, amount: ONE });
    await insertAll(alice);
    const { spendable } = await balance(session);
    const all = { asset: NATIVE_ASSET, amount: spendable, to: bob.address, route: DIRECT };
    await assert.rejects(session.send(all), refusedWith('NOTES_SCATTERED'));
    const count = (await session.notes()).filter(({ status }) => status === 'spendable').length;
    await session.merge({ asset: NATIVE_ASSET, route: DIRECT });
    await insertAll(alice);
    assert.equal((await balance(session)).spendable, spendable);
    assert.equal((await session.notes()).filter(({ status }) => status === 'spendable').length, count - 1);
  });

  it('shows everything to a viewing key, and lets it spend nothing', async () => {
    const viewingKey = alice.exportViewingKey();
    const watch = await Wallet.create(join(directory, 'watch'), { viewingKey }, 'passphrase');
    const watching = await watch.openSession(manifest, prover);
    try {
      assert.deepEqual(await balance(watching), await balance(session));
      assert.deepEqual(watching.history(), session.history());
      const spend = watching.send({ asset: NATIVE_ASSET, amount: ONE, to: bob.address, route: DIRECT });
      await assert.rejects(spend, refusedWith('WALLET_WATCH_ONLY'));
    } finally {
      watching.close();
    }
  });

  it('says that deposits are paused, and lets everything else go on', async () => {
    const guardian = await devnet.endpoint.getSigner(1);
    const abi = ['function pauseDeposits()'];
    const pool = new Contract(`0x${manifest.pool.toString(16).padStart(40, '0')}`, abi, guardian);
    await (await pool.getFunction('pauseDeposits')()).wait();
    assert.equal((await new PoolClient(manifest.pool, devnet.endpoint).queue()).depositsPaused, true);
    await assert.rejects(session.deposit({ asset: NATIVE_ASSET, amount: 1n }), refusedWith('DEPOSITS_PAUSED'));
    const to = BigInt(alice.account(8).address);
    await session.withdraw({ asset: NATIVE_ASSET, amount: 10n, to, route: DIRECT });
    await insertAll(alice);
    assert.equal(await devnet.endpoint.getBalance(alice.account(8).address), 10n);
  });

  it('showed the full hour in every transfer, and no two equal outputs, those that are worth nothing included', async () => {
    const pool = new PoolClient(manifest.pool, devnet.endpoint);
    const events = await pool.events(manifest.startBlock, await devnet.endpoint.getBlockNumber());
    const transfers = events.filter((event) => event.kind === 'transferred');
    const calls = new Interface(POOL_ABI);
    const shown = await Promise.all(
      transfers.map(async ({ transaction }) => {
        const data = (await devnet.endpoint.getTransaction(transaction))?.data ?? '0x';
        const { validAfter, withdrawAmount } = calls.decodeFunctionData('transfer', data)['transfer_'] as Result;
        return { validAfter: validAfter as bigint, isWithdrawal: withdrawAmount !== 0n };
      }),
    );
    // Sent, locked, taken home and joined on the one hand, withdrawn on the other.
    const withdrawals = shown.filter(({ isWithdrawal }) => isWithdrawal).length;
    assert.ok(withdrawals >= 3 && shown.length - withdrawals >= 5, `${withdrawals} of ${shown.length}`);
    for (const { validAfter } of shown) assert.equal(validAfter % VALID_AFTER_GRID_SECONDS, 0n);
    const commitments = transfers.flatMap((transfer) => [...transfer.commitments]);
    assertHidden(commitments, [0n, NATIVE_ASSET, token]);
  });

  it('tells a restarted chain from the one that it knows', async () => {
    const options = { port: 0, relayerPort: 0, prover, bucketAgeSeconds: 1n, blockMs: 0, keeper: false };
    const other = await startDevnet(options);
    try {
      const moved = { ...manifest, endpoint: other.manifest.endpoint };
      const late = await Wallet.create(join(directory, 'late'), { mnemonic: newMnemonic() }, 'passphrase');
      await assert.rejects(late.openSession(moved, prover), refusedWith('NETWORK_RESTARTED'));
    } finally {
      await other.close();
    }
  });
});
