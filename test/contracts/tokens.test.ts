import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import type { Call, ProvenTransfer } from '@bitcloak/chain/pool';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { AMOUNT_MAX, DEPOSIT_CIPHERTEXT_BYTES, FIELD_MODULUS, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Contract, JsonRpcSigner } from 'ethers';
import { PoolBench, type TestNote } from '../support/pool.ts';
import { ACCEPTED, expectRefused, NO_DATA, outcome } from '../support/refusals.ts';
import { hostileContract } from './hostile/compiled.ts';

const ANSWER = { TRUE: 0, FALSE: 1, NOTHING: 2 } as const;
const WORD_MAX = 2n ** 256n - 1n;

describe('Pool: assets', function () {
  this.timeout(300_000);
  let bench: PoolBench;
  let key: SpendingKey;
  let pool: string;
  let token: Contract;
  let tokenAddress: string;
  let asset: bigint;
  let reenterer: Contract;
  let payer: JsonRpcSigner;
  let recipient: JsonRpcSigner;
  let tokenNotes: [TestNote, TestNote];
  let nativeNotes: [TestNote, TestNote];
  /** 600 of 1000 tokens to `recipient`. */
  let tokenWithdrawal: ProvenTransfer;
  let startAgain: () => Promise<void>;

  const set = async (contract: Contract, method: string, ...values: unknown[]) => {
    await (await contract.getFunction(method)(...values)).wait();
  };
  const balanceOf = (account: string) => token.getFunction('balanceOf')(account) as Promise<bigint>;
  const held = () => bench.contract().getFunction('held')(tokenAddress) as Promise<bigint>;
  const depositCall = (amount: bigint, of = asset): Call => {
    const stealth = stealthOf(bench.note(key, 1n));
    return bench.client.depositCall(of, amount, stealth, bench.bytes(DEPOSIT_CIPHERTEXT_BYTES));
  };
  const refused = (call: Call, expected: string) => expectRefused(bench, call, expected, { also: [tokenAddress] });
  const transferCall = (transfer: ProvenTransfer) => bench.client.transferCall(transfer);

  before(async () => {
    bench = await PoolBench.open({ seed: 'tokens' });
    key = bench.keyring().spending;
    pool = formatAccount(bench.address);
    [payer, recipient] = [bench.chain.signer(), bench.chain.signer(9)];
    token = await bench.chain.deploy<Contract>(hostileContract('HostileToken'));
    tokenAddress = await token.getAddress();
    asset = BigInt(tokenAddress);
    reenterer = await bench.chain.deploy<Contract>(hostileContract('Reenterer'));
    await set(token, 'mint', payer.address, 10_000n);
    tokenNotes = [await bench.deposit(key, 1000n, { asset }), await bench.deposit(key, 500n, { asset })];
    nativeNotes = [await bench.deposit(key, 2000n), await bench.deposit(key, 3000n)];
    await bench.insertAll();
    tokenWithdrawal = await bench.prove({ key, inputs: [tokenNotes[0]], withdrawAmount: 600n });
    startAgain = await bench.chain.snapshot();
  });
  afterEach(() => startAgain());
  after(() => bench.close());

  describe('a deposit', () => {
    it('is of 1 to 2^120 - 1 units', async () => {
      await set(token, 'mint', payer.address, 2n ** 130n);
      for (const amount of [0n, AMOUNT_MAX + 1n, FIELD_MODULUS, FIELD_MODULUS + 1n, WORD_MAX]) {
        await refused(depositCall(amount), `AmountOutOfRange(${amount})`);
      }
      await refused(depositCall(0n, NATIVE_ASSET), 'AmountOutOfRange(0)');
      assert.equal(await outcome(bench.chain, depositCall(1n)), ACCEPTED);
      assert.equal(await outcome(bench.chain, depositCall(AMOUNT_MAX)), ACCEPTED);
    });

    it('brings exactly its amount of native currency, and none with a token', async () => {
      for (const value of [0n, 6n, 8n, 7n + 2n ** 64n]) {
        await refused({ ...depositCall(7n, NATIVE_ASSET), value }, `NativeValue(7, ${value})`);
      }
      await refused({ ...depositCall(7n), value: 1n }, 'NativeValue(0, 1)');
      await refused({ ...depositCall(7n), value: 7n }, 'NativeValue(0, 7)');
    });

    it('is hidden by a field element and carries a ciphertext of the right length', async () => {
      const ciphertext = bench.bytes(DEPOSIT_CIPHERTEXT_BYTES);
      for (const stealth of [FIELD_MODULUS, FIELD_MODULUS + 1n, WORD_MAX]) {
        await refused(bench.client.depositCall(asset, 1n, stealth, ciphertext), `NotInField(${stealth})`);
      }
      for (const length of [0, DEPOSIT_CIPHERTEXT_BYTES - 1, DEPOSIT_CIPHERTEXT_BYTES + 1, 764]) {
        const call = bench.client.depositCall(asset, 1n, 1n, bench.bytes(length));
        await refused(call, `CiphertextLength(276, ${length})`);
      }
      assert.equal(
        await outcome(bench.chain, bench.client.depositCall(asset, 1n, FIELD_MODULUS - 1n, ciphertext)),
        ACCEPTED,
      );
    });

    it('is of an asset that has code', async () => {
      for (const account of [`0x${'00'.repeat(20)}`, payer.address, `0x${'00'.repeat(19)}04`]) {
        const call = depositCall(1n, BigInt(account));
        const said = await outcome(bench.chain, call);
        assert.equal(said.toLowerCase(), `assetnotcontract(${account.toLowerCase()})`);
      }
      // Code that is no token.
      for (const account of [pool, bench.timelock]) {
        assert.equal(await outcome(bench.chain, depositCall(1n, BigInt(account))), NO_DATA);
      }
    });

    it('cannot be made by sending native currency to the pool', async () => {
      assert.equal(await outcome(bench.chain, { to: pool, data: '0x', value: 1n }), NO_DATA);
      assert.equal(await outcome(bench.chain, { ...bench.client.closeCall(), value: 1n }), NO_DATA);
      assert.equal(await outcome(bench.chain, { ...transferCall(tokenWithdrawal), value: 1n }), NO_DATA);
    });
  });

  describe('a token that returns', () => {
    it('nothing, as some large ones do, is taken and given back', async () => {
      await set(token, 'setAnswer', ANSWER.NOTHING);
      await bench.deposit(key, 100n, { asset });
      assert.equal(await held(), 1600n);
      await bench.send(tokenWithdrawal);
      assert.deepEqual([await balanceOf(recipient.address), await balanceOf(pool), await held()], [600n, 1000n, 1000n]);
    });

    it('false is refused, and its notes wait until it pays', async () => {
      await set(token, 'setAnswer', ANSWER.FALSE);
      const failure = `SafeERC20FailedOperation(${tokenAddress})`;
      await refused(depositCall(100n), failure);
      await refused(transferCall(tokenWithdrawal), failure);
      assert.equal(await bench.client.isSpent(bench.nullifier(tokenNotes[0])), false);
      await set(token, 'setAnswer', ANSWER.TRUE);
      await bench.send(tokenWithdrawal);
    });

    it('true without having moved anything is refused', async () => {
      await set(token, 'setMovesNothing', true);
      await refused(depositCall(100n), 'ReceivedAmount(100, 0)');
    });
  });

  it('a token that takes a fee is refused', async () => {
    await set(token, 'setFeePercent', 1);
    await refused(depositCall(1000n), 'ReceivedAmount(1000, 990)');
    await set(token, 'setFeePercent', 100);
    await refused(depositCall(1000n), 'ReceivedAmount(1000, 0)');
  });

  it('a token that lies about the balance is refused', async () => {
    for (const [before, after, received] of [
      [1500n, 1500n, 0n],
      [1500n, 1599n, 99n],
      [1500n, 1601n, 101n],
      [1500n, WORD_MAX, WORD_MAX - 1500n],
      [WORD_MAX, 0n, 0n],
      [1500n, 1499n, 0n],
      [WORD_MAX, WORD_MAX, 0n],
    ] as const) {
      await set(token, 'setReports', pool, before, after);
      await refused(depositCall(100n), `ReceivedAmount(100, ${received})`);
    }
    await set(token, 'setReports', pool, 1499n, 1599n);
    await refused(depositCall(100n), `AssetDeficit(${tokenAddress}, 1500, 1499)`);
    // A withdrawal asks nobody for a balance.
    await bench.send(tokenWithdrawal);
  });

  describe('a token that rebases', () => {
    it('down lets nobody in until it is made good; others’ funds are untouched, and who is first gets out', async () => {
      await set(token, 'setBalance', pool, 1499n);
      await refused(depositCall(100n), `AssetDeficit(${tokenAddress}, 1500, 1499)`);
      await set(token, 'setBalance', pool, 599n);
      await refused(depositCall(100n), `AssetDeficit(${tokenAddress}, 1500, 599)`);
      // The token's own arithmetic: the pool has no more to give.
      await refused(transferCall(tokenWithdrawal), 'Panic(17)');
      assert.equal(await bench.chain.provider.getBalance(pool), 5000n);
      const native = await bench.prove({ key, inputs: nativeNotes, withdrawAmount: 5000n });
      await bench.send(native);
      assert.equal(await bench.chain.provider.getBalance(pool), 0n);

      await set(token, 'setBalance', pool, 600n);
      await bench.send(tokenWithdrawal);
      assert.deepEqual([await balanceOf(pool), await held()], [0n, 900n]);
      await refused(depositCall(100n), `AssetDeficit(${tokenAddress}, 900, 0)`);
      await set(token, 'mint', pool, 900n);
      await bench.deposit(key, 100n, { asset });
      assert.deepEqual([await balanceOf(pool), await held()], [1000n, 1000n]);
    });

    it('up gives nobody more than his note', async () => {
      await set(token, 'setBalance', pool, 15_000n);
      await bench.deposit(key, 100n, { asset });
      assert.equal(await held(), 1600n);
      await bench.send(tokenWithdrawal);
      assert.deepEqual([await balanceOf(pool), await held()], [14_500n, 1000n]);
    });
  });

  it('a token that refuses one recipient pays another, for the same note', async () => {
    await set(token, 'setFrozen', recipient.address, true);
    const frozen = token.interface.encodeErrorResult('Frozen', [recipient.address]);
    await refused(transferCall(tokenWithdrawal), frozen);
    const other = bench.chain.signer(8);
    const extData = { recipient: BigInt(other.address) };
    await bench.send(await bench.prove({ key, inputs: [tokenNotes[0]], withdrawAmount: 600n, extData }));
    assert.equal(await balanceOf(other.address), 600n);
    await set(token, 'setFrozen', recipient.address, false);
    await refused(transferCall(tokenWithdrawal), `NullifierSpent(${bench.nullifier(tokenNotes[0])})`);
  });

  it('a token that refuses to move nothing pays a fee that takes everything', async () => {
    await set(token, 'setRefusesNothing', true);
    const relayer = bench.chain.signer(8);
    const extData = { relayer: BigInt(relayer.address), fee: 1000n };
    await bench.send(await bench.prove({ key, inputs: [tokenNotes[0]], withdrawAmount: 1000n, extData }));
    assert.deepEqual([await balanceOf(relayer.address), await balanceOf(recipient.address)], [1000n, 0n]);
  });

  it('a recipient that refuses native currency stops nobody but itself', async () => {
    await set(reenterer, 'setRefuses', true);
    const extData = { recipient: BigInt(await reenterer.getAddress()) };
    const inputs = [nativeNotes[0]];
    const stuck = await bench.prove({ key, inputs, withdrawAmount: 2000n, extData });
    await refused(transferCall(stuck), reenterer.interface.encodeErrorResult('Refused', []));
    assert.equal(await bench.client.isSpent(bench.nullifier(nativeNotes[0])), false);
    await bench.send(await bench.prove({ key, inputs, withdrawAmount: 2000n }));
  });
});
