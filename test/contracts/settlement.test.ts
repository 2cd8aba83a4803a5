import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient } from '@bitcloak/chain/pool';
import type { ProvenSettlement, SettlementShown } from '@bitcloak/chain/settlement';
import { buildClearing, type ClearingInput } from '@bitcloak/notes/clearing';
import { buildFill, readFill, type FillInput, type FillShown } from '@bitcloak/notes/fill';
import type { Keyring, SpendingKey } from '@bitcloak/notes/keys';
import { commitmentOf, type Note } from '@bitcloak/notes/note';
import { cancelKeyOf, orderHashOf, orderNullifierOf } from '@bitcloak/notes/order';
import {
  CANCEL_DELAY_SECONDS,
  FIELD_MODULUS,
  NATIVE_ASSET,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_HORIZON_SECONDS,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { WalletState } from '@bitcloak/wallet/walletState';
import { toBeHex, type Contract } from 'ethers';
import { deployContract, deployPool } from '../../scripts/deploy/contracts.ts';
import { proveBatch, type BatchFill, type PlannedBatch } from '../../enclave/settlement/batch.ts';
import { executionGas, expectGas } from '../support/gasSnapshot.ts';
import { BUCKET_AGE_SECONDS, prover, type PoolBench, type TestNote } from '../support/pool.ts';
import { ACCEPTED, expectRefused, outcome } from '../support/refusals.ts';
import { DAY_SECONDS, SettlementBench, type FillWish, type SignedOrder, type Trader } from '../support/settlement.ts';

const FALSE_STATEMENT = { code: 'STATEMENT_FALSE' };
const WORD_MAX = 2n ** 256n - 1n;

/** What a settlement shows, changed; its proofs stay. */
const altered = (settlement: ProvenSettlement, shown: Partial<SettlementShown>): ProvenSettlement => ({
  ...settlement,
  shown: { ...settlement.shown, ...shown },
});

const withFill = (
  { shown }: ProvenSettlement,
  index: number,
  changes: Partial<FillShown>,
): Partial<SettlementShown> => ({
  fills: shown.fills.map((fill, at) => (at === index ? { ...fill, ...changes } : fill)),
});

describe('Pool: settle', function () {
  this.timeout(300_000);
  let desk: SettlementBench;
  let bench: PoolBench;
  let asset: bigint;
  let seller: Trader;
  let buyer: Trader;
  let alice: SpendingKey;
  let bob: SpendingKey;
  let coins: TestNote;
  let moreCoins: TestNote;
  let dollars: TestNote;
  let sell: SignedOrder;
  let buy: SignedOrder;
  /** Alice sells 600 of 800 coins, Bob 1,300 of 2,000 dollars: 20 dollars and 10 coins are the operator's. */
  let trade: ProvenSettlement;
  let planned: PlannedBatch;
  let firstLeaf: number;
  let startAgain: () => Promise<void>;

  const sellFill = (): FillWish => ({ order: sell, inputs: [coins], sold: 600n, bought: 1280n });
  const buyFill = (): FillWish => ({ order: buy, inputs: [dollars], sold: 1300n, bought: 590n });
  const signed = (settlement: ProvenSettlement) => desk.call(settlement, desk.sign(settlement));
  const refused = (settlement: ProvenSettlement, expected: string) =>
    expectRefused(bench, signed(settlement), expected);

  before(async () => {
    desk = await SettlementBench.open('settlement');
    ({ bench } = desk);
    const token = (await deployContract(bench.chain.signer(), 'DevelopmentToken')) as Contract;
    asset = BigInt(await token.getAddress());
    await (await token.getFunction('mint')(bench.chain.signer().address, 10n ** 12n)).wait();
    await (await token.getFunction('approve')(bench.contract().target, 10n ** 12n)).wait();
    [seller, buyer] = [desk.trader(), desk.trader()];
    [alice, bob] = [seller.key, buyer.key];
    coins = await desk.locked(seller, NATIVE_ASSET, 1000n);
    moreCoins = await desk.locked(seller, NATIVE_ASSET, 500n, 3n);
    dollars = await desk.locked(buyer, asset, 5000n);
    await bench.insertAll();
    sell = await desk.order(alice, { sellAsset: NATIVE_ASSET, buyAsset: asset, sellMax: 800n, buyMin: 1600n });
    buy = await desk.order(bob, { sellAsset: asset, buyAsset: NATIVE_ASSET, sellMax: 2000n, buyMin: 900n });
    planned = await desk.plan([sellFill(), buyFill()]);
    trade = await proveBatch(prover, planned);
    firstLeaf = (await bench.ledger()).nextLeaf;
    startAgain = await bench.chain.snapshot();
  });
  afterEach(() => startAgain());
  after(() => bench.close());

  /** What a fill gave, read with the nullifier key alone. */
  function gains(shown: FillShown, key: SpendingKey, sellAsset: bigint): { change: Note; proceeds: Note } {
    const { owner, nullifierKey } = key.keys;
    const reading = readFill(shown, nullifierKey);
    assert.ok(reading !== undefined);
    const lock = { operatorId: desk.operatorId, expiry: reading.changeExpiry };
    const change = { asset: sellAsset, value: reading.rest, owner, blinding: reading.changeBlinding, lock };
    const { buyAsset, bought, proceedsBlinding } = reading;
    const proceeds = { asset: buyAsset, value: bought, owner, blinding: proceedsBlinding, lock: undefined };
    return { change, proceeds };
  }

  it('spends notes and order states, appends leaves and tells it in one event', async () => {
    await desk.settle(trade);
    const event = (await bench.events()).at(-1);
    assert.ok(event?.kind === 'settled');
    const { shown } = trade;
    assert.deepEqual(
      [event.operator, event.sequence, event.journalHead, event.firstLeaf],
      [desk.operator, shown.sequence, shown.journalHead, firstLeaf],
    );
    const { fills, residuals, ciphertext } = event;
    const told = shown.fills.map(
      ({ nullifiers, orderNullifier, change, proceeds, orderState, fill, words }): FillShown => {
        return { nullifiers, orderNullifier, change, proceeds, orderState, fill, words };
      },
    );
    assert.deepEqual(fills, told);
    assert.deepEqual(residuals, shown.residuals);
    assert.deepEqual(Buffer.from(ciphertext), Buffer.from(shown.ciphertext));
    for (const { nullifiers, orderNullifier } of fills) {
      for (const nullifier of [...nullifiers, orderNullifier])
        assert.equal(await bench.client.isSpent(nullifier), true);
    }
    const leaves = fills.flatMap(({ change, proceeds, orderState }) => [change, proceeds, orderState]);
    const { openBucket, nextLeaf } = await bench.ledger();
    assert.deepEqual((await bench.ledger()).leavesOf(openBucket), [...leaves, ...residuals]);
    assert.equal(nextLeaf, firstLeaf + 10);
    assert.equal(await bench.client.lastSequence(desk.operator), shown.sequence);
  });

  it('costs what the snapshot says', async () => {
    const { gasUsed, hash } = await desk.settle(trade);
    const transaction = await bench.chain.provider.getTransaction(hash);
    expectGas('settle.2', executionGas(gasUsed, transaction?.data ?? '0x'));
  });

  it('costs what the snapshot says in the largest batch', async () => {
    const empty = await Promise.all(Array.from({ length: SETTLEMENT_FILLS_MAX - 2 }, () => desk.empty()));
    const { gasUsed, hash } = await desk.settle(await desk.prove([sellFill(), buyFill(), ...empty]));
    const transaction = await bench.chain.provider.getTransaction(hash);
    expectGas('settle.16', executionGas(gasUsed, transaction?.data ?? '0x'));
  });

  it('gives its owners notes that they read and spend by themselves', async () => {
    await desk.settle(trade);
    const [first, second] = trade.shown.fills as [FillShown, FillShown];
    const [ofAlice, ofBob] = [gains(first, alice, NATIVE_ASSET), gains(second, bob, asset)];
    assert.deepEqual([commitmentOf(ofAlice.change), commitmentOf(ofAlice.proceeds)], [first.change, first.proceeds]);
    assert.deepEqual([commitmentOf(ofBob.change), commitmentOf(ofBob.proceeds)], [second.change, second.proceeds]);
    assert.deepEqual([ofAlice.change.value, ofAlice.proceeds.value], [400n, 1280n]);
    assert.deepEqual([ofBob.change.value, ofBob.proceeds.value], [3700n, 590n]);
    assert.equal(ofAlice.change.lock?.expiry, coins.note.lock?.expiry);

    await bench.insertAll();
    const proceeds: TestNote = { note: ofAlice.proceeds, leaf: firstLeaf + 1, key: alice };
    const withdrawal = await bench.prove({ key: alice, inputs: [proceeds], withdrawAmount: 1280n });
    await bench.send(withdrawal);
    // The change stays locked to its first lock's end, and comes home then.
    const change: TestNote = { note: ofAlice.change, leaf: firstLeaf, key: alice };
    const expiry = coins.note.lock?.expiry ?? 0n;
    const early = await bench.plan({ key: alice, inputs: [change], withdrawAmount: 400n, validAfter: expiry - 1n });
    await assert.rejects(prover.prove('transfer', early.input), FALSE_STATEMENT);
    await bench.chain.setTime(expiry);
    await bench.send(await bench.prove({ key: alice, inputs: [change], withdrawAmount: 400n, validAfter: expiry }));
  });

  it('is found by wallets from their seeds and the chain alone', async () => {
    await desk.settle(trade);
    const seen = async ({ viewing }: Keyring) => {
      const state = new WalletState(viewing);
      for (const event of await bench.events()) state.apply(event);
      const notes = state.notes().filter(({ spent }) => !spent);
      const entry = state.history().at(-1);
      return {
        notes: notes.map(({ note, leaf }) => [note.asset, note.value, note.lock?.expiry, leaf]),
        last: [entry?.kind, entry?.asset, entry?.amount, entry?.gained?.asset, entry?.gained?.amount],
      };
    };
    assert.deepEqual(await seen(seller.keyring), {
      notes: [
        [NATIVE_ASSET, 500n, moreCoins.note.lock?.expiry, moreCoins.leaf],
        [NATIVE_ASSET, 400n, coins.note.lock?.expiry, firstLeaf],
        [asset, 1280n, undefined, firstLeaf + 1],
      ],
      last: ['traded', NATIVE_ASSET, 600n, asset, 1280n],
    });
    assert.deepEqual(await seen(buyer.keyring), {
      notes: [
        [asset, 3700n, dollars.note.lock?.expiry, firstLeaf + 3],
        [NATIVE_ASSET, 590n, undefined, firstLeaf + 4],
      ],
      last: ['traded', asset, 1300n, NATIVE_ASSET, 590n],
    });
    const treasury = await seen(desk.treasury);
    const residuals = new Map(treasury.notes.map(([of, value]) => [of, value]));
    assert.deepEqual(
      residuals,
      new Map([
        [NATIVE_ASSET, 10n],
        [asset, 20n],
      ]),
    );
    assert.equal(treasury.last[0], 'received');
  });

  it('fills the rest of an order later, with two notes, and no more', async () => {
    await desk.settle(trade);
    await bench.insertAll();
    const [first] = trade.shown.fills as [FillShown];
    const { change } = gains(first, alice, NATIVE_ASSET);
    const rest: TestNote = { note: change, leaf: firstLeaf, key: alice };
    const state = { filled: 600n, k: 1n, leaf: firstLeaf + 2 };
    const second = { order: sell, inputs: [rest, moreCoins], sold: 200n, bought: 400n, state };
    const over = await desk.plan([{ ...second, sold: 201n, bought: 402n }, await payer(402n)]);
    await assert.rejects(prover.prove('fill', over.fills[0]!), FALSE_STATEMENT);
    const fresh = await desk.plan([{ order: sell, inputs: [rest], sold: 200n, bought: 400n }, await payer(400n)]);
    const again = await prover.prove('fill', fresh.fills[0]!);
    assert.equal(
      again.signals[5],
      first.orderNullifier,
      'a fresh fill of a filled order has the nullifier of the first',
    );

    await desk.settle(await desk.prove([second, await payer(400n)]));
    const settled = (await bench.events()).at(-1);
    assert.ok(settled?.kind === 'settled');
    const merged = gains(settled.fills[0]!, alice, NATIVE_ASSET).change;
    assert.equal(commitmentOf(merged), settled.fills[0]?.change);
    assert.equal(merged.value, 700n);
    assert.equal(merged.lock?.expiry, coins.note.lock?.expiry, 'the earlier lock');
  });

  /** Somebody who sells dollars for one coin. */
  async function payer(amount: bigint): Promise<FillWish> {
    const first = trade.shown.fills[1] as FillShown;
    const { change } = gains(first, bob, asset);
    const order = await desk.order(bob, { sellAsset: asset, buyAsset: NATIVE_ASSET, sellMax: 2000n, buyMin: 1n });
    return { order, inputs: [{ note: change, leaf: firstLeaf + 3, key: bob }], sold: amount, bought: 1n };
  }

  it('withdraws from the engine by the same shape, and the operator can fill up with nothing', async () => {
    const order = await desk.order(alice, {
      sellAsset: NATIVE_ASSET,
      buyAsset: NATIVE_ASSET,
      sellMax: 1000n,
      buyMin: 990n,
    });
    const withdrawal = { order, inputs: [coins], sold: 1000n, bought: 990n };
    const proven = await desk.prove([withdrawal, await desk.empty()]);
    const shape = (call: { data: string }) => call.data.length;
    assert.equal(shape(signed(proven)), shape(signed(trade)));
    await desk.settle(proven);
    const { proceeds } = gains(proven.shown.fills[0] as FillShown, alice, NATIVE_ASSET);
    assert.equal(proceeds.value, 990n);
    assert.equal(commitmentOf(proceeds), proven.shown.fills[0]?.proceeds);
  });

  describe('refuses a settlement', () => {
    it('that was settled before, or held back', async () => {
      await desk.settle(trade);
      const { sequence } = trade.shown;
      for (const again of [0n, sequence, sequence + 2n, 2n ** 64n - 1n]) {
        await refused(altered(trade, { sequence: again }), `SequenceNotNext(${again}, ${sequence + 1n})`);
      }
    });

    it('whose notes and orders are spent, one after another', async () => {
      await desk.settle(trade);
      const [first] = trade.shown.fills as [FillShown];
      await refused(altered(trade, { sequence: 2n }), `NullifierSpent(${first.nullifiers[0]})`);
    });

    it('of no fills or too many', async () => {
      for (const count of [0, 17]) {
        const fills = Array.from({ length: count }, () => trade.shown.fills[0] as FillShown);
        const fillProofs = fills.map(() => trade.fillProofs[0] as readonly bigint[]);
        await refused({ ...altered(trade, { fills }), fillProofs }, `FillCount(${count}, ${count})`);
      }
      const [proof] = trade.fillProofs as [readonly bigint[]];
      await refused({ ...trade, fillProofs: [proof] }, 'FillCount(2, 1)');
      await refused({ ...trade, fillProofs: [proof, proof, proof] }, 'FillCount(2, 3)');
    });

    it('outside its time', async () => {
      const { validUntil } = trade.shown;
      const latest = (await bench.chain.now()) + SETTLEMENT_HORIZON_SECONDS;
      for (const wrong of [FIELD_MODULUS - 1n, WORD_MAX, latest + 60n]) {
        assert.match(await outcome(bench.chain, signed(altered(trade, { validUntil: wrong }))), /^ValidUntil\(/);
      }
      await bench.chain.setTime(validUntil + 1n);
      assert.match(await outcome(bench.chain, signed(trade)), /^ValidUntil\(/);
    });

    it('from the second on in which a lock may end, and not before', async () => {
      const { validUntil } = trade.shown;
      await bench.chain.setTime(validUntil);
      assert.match(await outcome(bench.chain, signed(trade)), /^ValidUntil\(/);
      await startAgain();
      // The estimate of the gas would take the next second for the block's.
      const { to, data } = signed(trade);
      await bench.chain.setNextTime(validUntil - 1n);
      const sent = await bench.chain.signer().sendTransaction({ to, data, gasLimit: 2_000_000n });
      assert.equal((await sent.wait())?.status, 1);
    });

    it('under a root that no tree had', async () => {
      const root = bench.element();
      await refused(altered(trade, { root }), `UnknownRoot(${root})`);
    });

    it('with a ciphertext of another length', async () => {
      for (const length of [0, 519, 521]) {
        await refused(altered(trade, { ciphertext: bench.bytes(length) }), `CiphertextLength(520, ${length})`);
      }
    });

    it('with anything changed that its proofs are about, though the operator signs it', async () => {
      const other = bench.element();
      const [fill] = trade.shown.fills as [FillShown];
      const changes: Partial<SettlementShown>[] = [
        withFill(trade, 0, { nullifiers: [other as never, fill.nullifiers[1]!] }),
        withFill(trade, 0, { nullifiers: [fill.nullifiers[0]!, other as never] }),
        withFill(trade, 0, { orderNullifier: other as never }),
        withFill(trade, 0, { change: other as never }),
        withFill(trade, 0, { proceeds: other as never }),
        withFill(trade, 0, { orderState: other }),
        withFill(trade, 0, { fill: other }),
        ...[0, 1, 2].map((at) => withFill(trade, 0, { words: fill.words.map((word, i) => (i === at ? other : word)) })),
        ...[0, 1, 2, 3].map((at) => ({ residuals: trade.shown.residuals.map((own, i) => (i === at ? other : own)) })),
        { commitment: other },
        { validUntil: trade.shown.validUntil - 1n },
        { fills: [...trade.shown.fills].reverse() },
      ];
      for (const change of changes) await refused(altered(trade, change), 'InvalidProof()');
    });

    it('with an alias of any value', async () => {
      const [fill] = trade.shown.fills as [FillShown];
      const alias = (value: bigint) => (value + FIELD_MODULUS) as never;
      const places: Partial<SettlementShown>[] = [
        withFill(trade, 0, { nullifiers: [alias(fill.nullifiers[0]!), fill.nullifiers[1]!] }),
        withFill(trade, 0, { orderNullifier: alias(fill.orderNullifier) }),
        withFill(trade, 0, { change: alias(fill.change) }),
        withFill(trade, 0, { proceeds: alias(fill.proceeds) }),
        withFill(trade, 0, { orderState: alias(fill.orderState) }),
        withFill(trade, 0, { fill: alias(fill.fill) }),
        withFill(trade, 0, { words: fill.words.map(alias) }),
        { residuals: trade.shown.residuals.map(alias) },
        { commitment: alias(trade.shown.commitment) },
      ];
      for (const change of places) {
        assert.match(await outcome(bench.chain, signed(altered(trade, change))), /NotInField\(/);
      }
    });

    it('that leaves a fill out, repeats one, or has the proofs of others', async () => {
      const [first, second] = trade.shown.fills as [FillShown, FillShown];
      const [ofFirst, ofSecond] = trade.fillProofs as [readonly bigint[], readonly bigint[]];
      await refused({ ...altered(trade, { fills: [first] }), fillProofs: [ofFirst] }, 'InvalidProof()');
      const thrice = [first, second, first];
      const repeated = { ...altered(trade, { fills: thrice }), fillProofs: [ofFirst, ofSecond, ofFirst] };
      await refused(repeated, `NullifierSpent(${first.nullifiers[0]})`);
      await refused({ ...trade, fillProofs: [ofSecond, ofFirst] }, 'InvalidProof()');
      await refused({ ...trade, clearingProof: ofFirst }, 'InvalidProof()');
    });

    it('that spends a note or an order twice', async () => {
      const other = await desk.order(alice, { sellAsset: NATIVE_ASSET, buyAsset: asset, sellMax: 800n, buyMin: 0n });
      const part = { ...sellFill(), sold: 100n, bought: 200n };
      const payer = { ...buyFill(), sold: 400n, bought: 180n };
      const sameNote = await desk.prove([part, { ...part, order: other }, payer]);
      await refused(sameNote, `NullifierSpent(${bench.nullifier(coins)})`);
      const sameOrder = await desk.prove([part, { ...part, inputs: [moreCoins] }, payer]);
      await refused(sameOrder, `NullifierSpent(${trade.shown.fills[0]?.orderNullifier})`);
    });

    it('that no active signer of the operator signed', async () => {
      const stranger = desk.newSigner();
      const notActive = (signer: { address: string }, operator = desk.operator) =>
        `SignerNotActive(${operator}, ${signer.address})`;
      await expectRefused(bench, desk.call(trade, desk.sign(trade, stranger)), notActive(stranger));
      await expectRefused(bench, desk.call(altered(trade, { operator: 2 })), notActive(desk.signer, 2));
      const garbage = await outcome(bench.chain, desk.call(trade, '0x1234'));
      assert.notEqual(garbage, ACCEPTED);

      await desk.asAdmin(desk.registry.revokeSignerCall(desk.operator, BigInt(desk.signer.address)));
      await refused(trade, notActive(desk.signer));
      // A new era's signer signs the same settlement.
      const next = desk.newSigner();
      await desk.registerEra(next, 2n);
      assert.equal(await outcome(bench.chain, desk.call(trade, desk.sign(trade, next))), ACCEPTED);
    });

    it('whose signer’s era ends with this second', async () => {
      const next = desk.newSigner();
      await desk.registerEra(next, 2n, 1200n);
      await bench.chain.increaseTime(1200n);
      await expectRefused(bench, desk.call(trade, desk.sign(trade, next)), `SignerNotActive(1, ${next.address})`);
    });

    it('when anything changed that was signed', async () => {
      const signature = desk.sign(trade);
      const changes: Partial<SettlementShown>[] = [
        { journalHead: bench.element() },
        { ciphertext: bench.bytes(520) },
        { validUntil: trade.shown.validUntil - 1n },
        { commitment: bench.element() },
        { residuals: [...trade.shown.residuals].reverse() },
        { fills: [...trade.shown.fills].reverse() },
        withFill(trade, 1, { words: [1n, 2n, 3n] }),
      ];
      for (const change of changes) {
        const call = desk.call(altered(trade, change), signature);
        assert.match(await outcome(bench.chain, call), /^SignerNotActive\(1, /);
      }
    });

    it('of another operator, whose orders and locks these are not', async () => {
      await desk.asAdmin(desk.registry.registerOperatorCall());
      const other = desk.newSigner();
      await desk.registerFor(2, await desk.era(other, 1n, DAY_SECONDS), other);
      const moved = altered(trade, { operator: 2 });
      await expectRefused(bench, desk.call(moved, desk.sign(moved, other)), 'InvalidProof()');
    });

    it('of another pool', async () => {
      const { pool } = await deployPool(bench.chain.signer(), {
        guardian: bench.chain.signer(1).address,
        governor: bench.chain.signer(2).address,
        bucketAgeSeconds: BUCKET_AGE_SECONDS,
      });
      const elsewhere = new PoolClient(BigInt(pool), bench.chain.signer());
      const call = elsewhere.settleCall(trade, desk.sign(trade));
      assert.equal(await outcome(bench.chain, call), `UnknownRoot(${trade.shown.root})`);
    });
  });

  describe('an operator with all the keys of its enclave cannot prove, nor settle with other proofs,', () => {
    const cheat = async (wish: FillWish, change: Partial<BatchFill>) => {
      const { root, validUntil } = trade.shown;
      return buildFill({ ...(await desk.fill(wish)), ...change, root, validUntil, r: bench.element() });
    };
    /** There is no proof of it, and on the chain the proof of what is true does for nothing else. */
    const isFalse = async (fill: FillInput) => {
      await assert.rejects(prover.prove('fill', fill), FALSE_STATEMENT);
      const { nullifiers, orderNullifier, change, proceeds, orderState, fill: commitment, words } = fill;
      const shown = { nullifiers, orderNullifier, change, proceeds, orderState, fill: commitment, words };
      await refused(altered(trade, withFill(trade, 0, shown)), 'InvalidProof()');
    };
    const unprovable = async (wish: FillWish, change: Partial<BatchFill> = {}) => isFalse(await cheat(wish, change));
    const falseClearing = async (wrong: ClearingInput) => {
      await assert.rejects(prover.prove('clearing', wrong), FALSE_STATEMENT);
      await refused(altered(trade, { commitment: wrong.commitment, residuals: wrong.residuals }), 'InvalidProof()');
    };

    it('a price worse than the limit, by one base unit', () => unprovable({ ...sellFill(), bought: 1199n }));
    it('more than the order sells', () => unprovable({ ...sellFill(), sold: 801n, bought: 10_000n }));
    it('an order that nobody signed', () => unprovable(sellFill(), { order: { ...sell.order, buyMin: 0n } }));
    it('a signature of its own', () => unprovable(sellFill(), { signature: bob.sign(orderHashOf(sell.order)) }));
    it('proceeds to another owner', () => unprovable(sellFill(), { order: { ...sell.order, payTo: bob.keys.owner } }));
    it('an order after its expiry', async () => {
      const expiry = await bench.chain.now();
      const late = await desk.order(alice, { ...sell.order, expiry });
      await unprovable({ ...sellFill(), order: late });
    });
    it('a state that was never reached', () =>
      unprovable(sellFill(), { state: { filled: 0n, k: 1n, leaf: 0, path: pathOfNothing } }));
    it('a note of somebody else', () => unprovable({ ...sellFill(), inputs: [dollars] }));
    it('a note that was never deposited', () => {
      const note = { ...coins.note, value: 10n ** 9n };
      return unprovable({ ...sellFill(), inputs: [{ ...coins, note }] });
    });

    const pathOfNothing = Array.from({ length: 13 }, () => [0n, 0n, 0n] as const);

    it('with words or blindings of its choice', async () => {
      const input = await cheat(sellFill(), {});
      for (const change of [
        { words: [1n, input.words[1]!, input.words[2]!] },
        { words: [input.words[0]!, 1n, input.words[2]!] },
        { words: [input.words[0]!, input.words[1]!, 1n] },
        { change: commitmentOf({ ...coins.note, value: 400n }) },
        { proceeds: commitmentOf({ ...coins.note, asset, value: 1280n, lock: undefined }) },
      ]) {
        await isFalse({ ...input, ...change });
      }
    });

    it('a batch that creates something', async () => {
      const { fills, residuals } = planned;
      const more = (index: number, note: Partial<Note>) =>
        residuals.map((own, at) => (at === index ? { ...own, ...note } : own));
      for (const wrong of [
        buildClearing(fills, more(0, { value: residuals[0]!.value + 1n })),
        buildClearing(fills, more(0, { asset: residuals[1]!.asset })),
        buildClearing(fills, more(2, { asset, value: FIELD_MODULUS - 1n })),
        buildClearing([...fills, fills[0]!, fills[0]!], residuals),
        buildClearing(fills.slice(0, 1), residuals),
        buildClearing(
          fills.map((fill, at) => (at === 0 ? { ...fill, sold: fill.sold + 1n } : fill)),
          residuals,
        ),
      ]) {
        await falseClearing(wrong);
      }
      const buyers = [{ ...sellFill(), bought: 1400n }, buyFill()];
      await assert.rejects(desk.plan(buyers), RangeError);
    });

    it('the unpublished amounts of a batch do not fit another clearing', async () => {
      const { fills, residuals, clearing: honest } = planned;
      const richer = { ...(residuals[0] as Note), value: 600n };
      const clearing = buildClearing([{ ...fills[0]!, bought: 0n }, fills[1]!], [richer, ...residuals.slice(1)]);
      await falseClearing({ ...clearing, fills: honest.fills });
    });
  });

  describe('cancel', () => {
    const cancelKey = (k = 0n) => cancelKeyOf(alice.keys.nullifierKey, orderHashOf(sell.order), k);
    const cancel = (key = cancelKey()) => bench.client.send(bench.client.cancelCall([key]));

    it('takes an order back after its delay, and not a settlement that was on its way', async () => {
      await cancel();
      const from = (await bench.chain.now()) + CANCEL_DELAY_SECONDS;
      const event = (await bench.events()).at(-1);
      const nullifier = orderNullifierOf(cancelKey());
      assert.ok(event?.kind === 'cancelled');
      assert.deepEqual([event.orderNullifier, event.from], [nullifier, from]);
      assert.equal(nullifier, trade.shown.fills[0]?.orderNullifier);
      assert.equal(await bench.client.isSpent(nullifier), false);
      assert.equal(await bench.client.spentFrom(nullifier), from);
      assert.equal(await outcome(bench.chain, signed(trade)), ACCEPTED);

      await bench.chain.setTime(from - 1n);
      assert.equal(await bench.client.isSpent(nullifier), false);
      const late = await desk.prove([sellFill(), buyFill()]);
      await bench.chain.setTime(from);
      assert.equal(await bench.client.isSpent(nullifier), true);
      await refused(late, `NullifierSpent(${nullifier})`);
    });

    it('is not put off by a second one, and does not bring back what is spent', async () => {
      await cancel();
      const from = (await bench.chain.now()) + CANCEL_DELAY_SECONDS;
      await bench.chain.increaseTime(600n);
      await expectRefused(
        bench,
        bench.client.cancelCall([cancelKey()]),
        `NullifierSpent(${orderNullifierOf(cancelKey())})`,
      );
      await desk.settle(trade);
      await bench.chain.setTime(from + 1n);
      await expectRefused(
        bench,
        bench.client.cancelCall([cancelKey()]),
        `NullifierSpent(${orderNullifierOf(cancelKey())})`,
      );
      assert.equal(await bench.client.isSpent(orderNullifierOf(cancelKey())), true);
    });

    it('takes back several states at once, so that a fill does not save the order', async () => {
      const keys = [0n, 1n, 2n].map(cancelKey);
      await bench.client.send(bench.client.cancelCall(keys));
      const from = (await bench.chain.now()) + CANCEL_DELAY_SECONDS;
      for (const key of keys) assert.equal(await bench.client.spentFrom(orderNullifierOf(key)), from);
      await desk.settle(trade);
      assert.equal(await bench.client.isSpent(orderNullifierOf(cancelKey(0n))), true);
      assert.equal(await bench.client.spentFrom(orderNullifierOf(cancelKey(1n))), from);
    });

    it('takes field elements only, and leaves notes alone', async () => {
      await expectRefused(
        bench,
        bench.client.cancelCall([cancelKey() + FIELD_MODULUS]),
        `NotInField(${cancelKey() + FIELD_MODULUS})`,
      );
      // The nullifier of a note is no cancel key's hash: cancelling with it does nothing to the note.
      await cancel(bench.nullifier(coins));
      await bench.chain.increaseTime(CANCEL_DELAY_SECONDS);
      assert.equal(await bench.client.isSpent(bench.nullifier(coins)), false);
    });
  });

  it('keeps all leaves of a settlement in one tree', async () => {
    const { queueAt } = await queueSlot();
    const lastBucket = BigInt(TREE_LEAVES / 64 - 1);
    // The queue with 60 leaves in the last bucket of the first tree, as if all before had been filled and inserted.
    const packed = (openLeaves: bigint) => lastBucket | (openLeaves << 64n) | (1n << 72n) | (lastBucket << 112n);
    const place = async (openLeaves: bigint) =>
      bench.chain.provider.send('hardhat_setStorageAt', [
        formatAccount(bench.address),
        queueAt,
        toBeHex(packed(openLeaves), 32),
      ]);
    await place(55n);
    await desk.settle(trade);
    const queue = await bench.client.queue();
    assert.deepEqual([queue.openBucket, queue.openLeaves], [Number(lastBucket) + 1, 10]);
    await startAgain();
    await place(54n);
    await desk.settle(trade);
    const exact = await bench.client.queue();
    assert.deepEqual([exact.openBucket, exact.openLeaves], [Number(lastBucket) + 1, 0]);
  });

  /** Where the queue's slot is: the one whose words change with a deposit as `queue()` does. */
  async function queueSlot(): Promise<{ queueAt: string }> {
    const { openBucket, openLeaves, openedAt, nextInsertion } = await bench.client.queue();
    const word = BigInt(openBucket) | (BigInt(openLeaves) << 64n) | (openedAt << 72n) | (BigInt(nextInsertion) << 112n);
    for (let slot = 0; slot < 16; slot++) {
      const queueAt = toBeHex(slot);
      const value = await bench.chain.provider.send('eth_getStorageAt', [
        formatAccount(bench.address),
        queueAt,
        'latest',
      ]);
      if (BigInt(value as string) === word) return { queueAt };
    }
    throw new Error('no slot holds the queue');
  }
});
