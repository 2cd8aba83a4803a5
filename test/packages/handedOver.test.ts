import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { REORG_BLOCKS } from '@bitcloak/chain/follower';
import { PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import type { Nullifier } from '@bitcloak/notes/note';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { HandedOver, type HandedTransfer } from '@bitcloak/wallet/handedOver';
import type { Session } from '@bitcloak/wallet/session';
import type { Route } from '@bitcloak/wallet/types';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import type { OwnedNote } from '@bitcloak/wallet/walletState';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { hexlify, toBeHex } from 'ethers';
import { RpcError } from '../support/hostileEndpoint.ts';
import { FEE, KeepingRelayer, refusing } from '../support/relayer.ts';
import { DIRECT, SyncBench, type TestWallet } from '../support/syncBench.ts';

const asset = NATIVE_ASSET;
const MAY_LAND = /the transfer may still land, and whatever you pay next takes its place$/;

describe('a transfer that somebody else has', function () {
  this.timeout(60_000);
  let bench: SyncBench;
  let relayer: KeepingRelayer;
  let wallet: TestWallet;
  let payer: Session;
  let payee: Session;

  const newWallet = () => bench.wallet(new WalletKeys({ mnemonic: newMnemonic() }));
  const relayed = (): Route => ({ kind: 'relayer', url: relayer.url, feeMax: 10_000n });
  const pay = (amount: bigint, route: Route) => payer.send({ asset, amount, to: payeeKeys.address, route });
  let payeeKeys: WalletKeys;

  async function deposit(...amounts: bigint[]): Promise<void> {
    for (const amount of amounts) await payer.deposit({ asset, amount });
    await bench.insertAll();
    await payer.sync();
  }

  /** Whoever has a transfer can send it. */
  const land = (transfer: ProvenTransfer) => {
    const pool = new PoolClient(bench.manifest.pool, bench.chain.signer(5));
    return pool.send(pool.transferCall(transfer));
  };

  async function received(): Promise<bigint[]> {
    await payee.sync();
    return payee.history().map(({ amount }) => amount);
  }

  before(async () => {
    bench = await SyncBench.open();
    relayer = await KeepingRelayer.open(bench.manifest);
  });
  beforeEach(async () => {
    bench.hostile.repent();
    relayer.kept.length = 0;
    relayer.answer = refusing;
    wallet = await newWallet();
    payer = await bench.session(wallet);
    payeeKeys = new WalletKeys({ mnemonic: newMnemonic() });
    payee = await bench.session(await bench.wallet(payeeKeys));
  });
  after(async () => {
    await relayer.close();
    await bench.close();
  });

  it('pays nobody a second time, when its relayer refused it and it was paid again', async () => {
    await deposit(20_000n);
    await assert.rejects(pay(5_000n, relayed()), { code: 'RELAYER_REFUSED', message: MAY_LAND });
    const [kept] = relayer.kept as [ProvenTransfer];
    // Without regard to the kept one this note would be taken, being the smallest that does.
    await deposit(6_000n);
    assert.deepEqual(
      payer.pending(asset).map(({ kind, amount }) => [kind, amount]),
      [['payment', 5_000n]],
    );
    await pay(5_000n, DIRECT);
    await assert.rejects(land(kept), { code: 'TRANSACTION_FAILED', message: /NullifierSpent/ });
    assert.deepEqual(await received(), [5_000n]);
    await payer.sync();
    assert.deepEqual(payer.pending(asset), []);
  });

  it('is done with when it lands after all, whatever else was tried meanwhile', async () => {
    await deposit(20_000n, 30_000n);
    const attempts = [
      () => pay(5_000n, relayed()),
      () => pay(25_000n, relayed()),
      () => payer.withdraw({ asset, amount: 40_000n, to: 0x77n, route: relayed() }),
    ];
    for (const attempt of attempts) await assert.rejects(attempt(), { code: 'RELAYER_REFUSED' });
    assert.equal(payer.pending(asset).length, 3);
    const [first, second, third] = relayer.kept as [ProvenTransfer, ProvenTransfer, ProvenTransfer];
    await land(second);
    for (const other of [first, third]) await assert.rejects(land(other), { message: /NullifierSpent/ });
    assert.deepEqual(await received(), [25_000n]);
    await payer.sync();
    assert.deepEqual(payer.pending(asset), []);
  });

  it('is voided by merging where nothing else that is paid could exclude it', async () => {
    await deposit(8_000n, 30_000n, 31_000n);
    await assert.rejects(pay(6_000n, relayed()), { code: 'RELAYER_REFUSED' });
    const big = () => pay(50_000n, DIRECT);
    await assert.rejects(big(), { code: 'TRANSFER_PENDING', message: /a payment of 6000 base units.* 50000 / });
    assert.throws(
      () => {
        payer.checkSpendable(asset, 50_000n);
      },
      { code: 'TRANSFER_PENDING' },
    );
    // What is not there in any case is said as ever.
    await assert.rejects(pay(70_000n, DIRECT), { code: 'BALANCE_INSUFFICIENT' });
    // A merge that is kept back voids nothing, and is in nobody's way.
    await assert.rejects(payer.merge({ asset, route: relayed() }), { code: 'RELAYER_REFUSED' });
    assert.equal(payer.pending(asset).length, 1);
    await payer.merge({ asset, route: DIRECT });
    assert.deepEqual(payer.pending(asset), []);
    for (const kept of relayer.kept) await assert.rejects(land(kept), { message: /NullifierSpent/ });
    await big();
    assert.deepEqual(await received(), [50_000n]);
  });

  it('is remembered by the next process, and over a reading of everything again', async () => {
    await deposit(20_000n);
    // No answer at all, as after a crash right when it was handed over.
    relayer.answer = () => new Promise(() => undefined);
    const lost = assert.rejects(pay(5_000n, relayed()), { code: 'RELAYER_UNREACHABLE', message: MAY_LAND });
    while (relayer.kept.length === 0) await new Promise((done) => setTimeout(done, 10));
    const next = await bench.session(wallet);
    await next.sync();
    assert.equal(next.pending(asset).length, 1);
    next.forget();
    await next.sync();
    assert.equal(next.pending(asset).length, 1);
    await relayer.close();
    await lost;
    relayer = await KeepingRelayer.open(bench.manifest);
  });

  it('is one that an endpoint was shown and refused, too', async () => {
    await deposit(20_000n);
    const seen: { to: string; data: string }[] = [];
    bench.hostile.behaviour = async (call, ask) => {
      const request = call.params[0] as { to: string; data: string };
      if (call.method !== 'eth_call' || request.data.length < 1_000) return ask(call);
      seen.push(request);
      throw new RpcError(3, 'execution reverted');
    };
    await assert.rejects(payer.lock({ asset, amount: 5_000n, lock: await weekLock(), route: DIRECT }), {
      code: 'TRANSACTION_FAILED',
    });
    bench.hostile.repent();
    await payer.sync();
    assert.deepEqual(
      payer.pending(asset).map(({ kind }) => kind),
      ['lock'],
    );
    const [{ to, data }] = seen as [{ to: string; data: string }];
    assert.equal(BigInt(to), bench.manifest.pool);
    await (await bench.chain.signer(5).sendTransaction({ to, data })).wait();
    await payer.sync();
    assert.deepEqual(payer.pending(asset), []);
    assert.equal((await payer.balances())[0]?.locked, 5_000n);
  });

  it('is done with when it lands, though the endpoint that was shown it had told of blocks far ahead', async () => {
    await deposit(20_000n);
    const [height, far] = [await bench.height(), 1_000_000];
    const seen: { to: string; data: string }[] = [];
    bench.hostile.behaviour = async (call, ask) => {
      const raise = (block: unknown) => ({ ...(block as object), number: toBeHex(height + far) });
      const isAhead = (tag: unknown) => typeof tag === 'string' && tag.startsWith('0x') && BigInt(tag) > height;
      const [first, second] = call.params as [
        { to: string; data: string; fromBlock?: string; toBlock?: string },
        string,
      ];
      if (call.method === 'eth_blockNumber') return toBeHex(height + far);
      if (call.method === 'eth_getBlockByNumber') {
        const isNewest = (first as unknown) === 'latest' || BigInt(first as unknown as string) === BigInt(height + far);
        if (isNewest) return raise(await ask({ ...call, params: ['latest', false] }));
        return ask(isAhead(first) ? { ...call, params: ['latest', false] } : call);
      }
      if (call.method === 'eth_getLogs') {
        if (isAhead(first.fromBlock)) return [];
        return ask(isAhead(first.toBlock) ? { ...call, params: [{ ...first, toBlock: toBeHex(height) }] } : call);
      }
      if (call.method !== 'eth_call') return ask(call);
      if (first.data.length < 1_000) return ask(isAhead(second) ? { ...call, params: [first, 'latest'] } : call);
      seen.push(first);
      throw new RpcError(3, 'execution reverted');
    };
    await assert.rejects(pay(5_000n, DIRECT), { code: 'TRANSACTION_FAILED' });
    bench.hostile.repent();
    const [{ to, data }] = seen as [{ to: string; data: string }];
    await (await bench.chain.signer(5).sendTransaction({ to, data })).wait();
    await bench.insertAll();
    await payer.sync();
    assert.deepEqual(payer.pending(asset), []);
    await pay(6_000n, DIRECT);
    assert.deepEqual(await received(), [5_000n, 6_000n]);
  });

  it('is not shown to the endpoint, where a relayer sends it, nor asked for by anything that tells it from others', async () => {
    await deposit(20_000n);
    relayer.answer = async (transfer) => ({ status: 200, body: { transaction: (await land(transfer)).hash } });
    bench.hostile.repent();
    const { transaction, block, gasUsed } = await pay(5_000n, relayed());
    assert.deepEqual([block, gasUsed], [await bench.height(), undefined]);
    const [{ shown, extData }] = relayer.kept as [ProvenTransfer];
    const own = [...shown.nullifiers, ...shown.commitments, shown.message].map((word) => toBeHex(word, 32));
    const said = JSON.stringify(bench.hostile.calls).toLowerCase();
    for (const word of [...own, transaction, hexlify(extData.ciphertext)]) assert.ok(!said.includes(word.slice(2)));
    assert.deepEqual(await received(), [5_000n]);
    await payer.sync();
    assert.deepEqual(payer.pending(asset), []);
  });

  it('takes the fee that was agreed, and no more of those that it excludes', async () => {
    await deposit(20_000n);
    await assert.rejects(pay(5_000n, relayed()), { code: 'RELAYER_REFUSED' });
    await assert.rejects(pay(5_000n, relayed()), { code: 'RELAYER_REFUSED' });
    assert.equal(payer.pending(asset).length, 1, 'the same again');
    await land(relayer.kept[1] as ProvenTransfer);
    await bench.insertAll();
    await payer.sync();
    assert.equal((await payer.balances())[0]?.spendable, 15_000n - FEE.transfer);
  });

  async function weekLock() {
    return { operatorId: 7n, expiry: (await bench.chain.now()) + 7n * 86_400n };
  }
});

describe('what a wallet has handed over', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-handed-'));
  const path = join(directory, 'net.handed');
  const key = new Uint8Array(32).fill(3);
  const open = () => new HandedOver(path, key, 'net');
  const transfer = (...nullifiers: number[]): HandedTransfer => ({
    kind: 'payment',
    asset,
    amount: 2n ** 100n,
    nullifiers: nullifiers.map((nullifier) => BigInt(nullifier) as Nullifier),
    time: 1_800_000_000n,
  });
  const notes = (...spent: readonly [number, boolean][]) =>
    spent.map(([nullifier, isSpent]) => ({ nullifier: BigInt(nullifier), spent: isSpent }) as unknown as OwnedNote);

  beforeEach(() => rmSync(path, { force: true }));
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('is on the disk at once, for its owner alone, and of its asset', () => {
    open().add(transfer(1, 2), 100);
    assert.deepEqual(open().pending(asset), [{ ...transfer(1, 2), isOver: false, block: 100 }]);
    assert.deepEqual(open().pending(5n), []);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(!readFileSync(path).includes('payment'));
  });

  it('is over when a note is spent, comes back with a reorganisation, and is forgotten when there can be none', () => {
    const handed = open();
    handed.add(transfer(1, 2), 100);
    handed.follow(notes([1, false], [2, false]), 100 + 2 * REORG_BLOCKS);
    assert.equal(handed.pending(asset).length, 1, 'transfers do not expire');
    const block = 300;
    handed.follow(notes([1, false], [2, true]), block);
    assert.deepEqual(open().pending(asset), []);
    open().follow(notes([1, false], [2, false]), block + REORG_BLOCKS - 1);
    assert.equal(open().pending(asset).length, 1);
    // Not even the notes are there any more.
    const gone = block + REORG_BLOCKS;
    open().follow([], gone);
    assert.deepEqual(open().pending(asset), []);
    open().follow(notes([1, false]), gone + 1);
    assert.equal(open().pending(asset).length, 1);
    open().follow(notes([1, true]), gone + 2);
    open().follow(notes([1, true]), gone + 2 + REORG_BLOCKS);
    open().follow(notes([1, false]), gone + 3 + REORG_BLOCKS);
    assert.deepEqual(open().pending(asset), [], 'forgotten');
  });

  it('says nothing by an endpoint that lags', () => {
    const handed = open();
    handed.add(transfer(1), 100);
    handed.follow([], 99);
    assert.equal(handed.pending(asset).length, 1, 'it does not know the note yet');
    handed.spent([1n as Nullifier], 110);
    handed.follow(notes([1, false]), 109);
    assert.deepEqual(handed.pending(asset), []);
    handed.follow(notes([1, false]), 110);
    assert.equal(handed.pending(asset).length, 1, 'it was not on the chain after all');
  });

  it('is believed by an endpoint that stands far before what another one said was the newest block', () => {
    const [lie, block] = [1_000_000, 100];
    const handed = open();
    handed.add(transfer(1), lie);
    handed.follow([], block);
    assert.equal(handed.pending(asset).length, 1, 'an endpoint that does not know the note may be far behind itself');
    handed.follow(notes([1, true]), block);
    assert.deepEqual(handed.pending(asset), []);
    handed.spent([1n as Nullifier], lie);
    handed.follow(notes([1, false]), lie - REORG_BLOCKS + 1);
    assert.deepEqual(handed.pending(asset), [], 'it lags');
    handed.follow(notes([1, false]), block);
    assert.equal(handed.pending(asset).length, 1, 'it never landed');
    handed.spent([1n as Nullifier], lie);
    for (const later of [block, block + REORG_BLOCKS]) handed.follow(notes([1, true]), later);
    handed.follow(notes([1, false]), block + REORG_BLOCKS);
    assert.deepEqual(open().pending(asset), [], 'forgotten');
  });

  it('is over together with whatever spends one of its notes', () => {
    const handed = open();
    for (const each of [transfer(1, 2), transfer(2, 3), transfer(4)]) handed.add(each, 100);
    handed.spent([2n, 9n] as Nullifier[], 101);
    assert.deepEqual(
      handed.pending(asset).map(({ nullifiers }) => nullifiers),
      [[4n]],
    );
  });

  it('is an error where it cannot be read: nobody knows what may land then', () => {
    open().add(transfer(1), 100);
    const whole = readFileSync(path);
    for (const damaged of [whole.subarray(0, 20), Buffer.concat([whole, Buffer.of(0)]), Buffer.alloc(0)]) {
      writeFileSync(path, damaged);
      assert.throws(() => open().pending(asset), { code: 'WALLET_CORRUPT', message: /may still land/ });
    }
    writeFileSync(path, whole);
    assert.throws(() => new HandedOver(path, key, 'other').pending(asset), { code: 'WALLET_CORRUPT' });
  });
});
