import assert from 'node:assert/strict';
import type { PoolEvent } from '@bitcloak/chain/events';
import { SlotSealer } from '@bitcloak/crypto/noteEncryption';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { Keyring, type SpendingKey } from '@bitcloak/notes/keys';
import { encodeMessage, type NoteMessage } from '@bitcloak/notes/message';
import { blindingFrom, commitmentOf, type Note, type Nullifier } from '@bitcloak/notes/note';
import { orderHashOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { planBatch, type BatchFill, type PlannedBatch } from '../../enclave/settlement/batch.ts';
import {
  EnclaveWallet,
  type EnclaveSnapshot,
  type EnclaveWalletOptions,
  type LockedNote,
} from '../../enclave/wallet/enclaveWallet.ts';
import { ReadableEras } from '../../enclave/wallet/readableEras.ts';
import { compiledCircuit, SeededRandom } from '../support/circuit.ts';
import { EventMaker } from '../support/poolEvents.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';

const [COIN, DOLLAR] = [NATIVE_ASSET, 0xd011a4n];
const OPERATOR = 3;
const OPERATOR_ID = 77n;
const EXPIRY = 1_800_086_400n;
const VALID_UNTIL = 1_800_000_000n;

const bytes = seededBytes('enclave wallet');
const random = new SeededRandom('enclave wallet');
const [firstEra, secondEra, stranger] = [0, 1, 2].map(() => new AgreementKey(bytes(32))) as [
  AgreementKey,
  AgreementKey,
  AgreementKey,
];
const treasury = addressOf(new Keyring(bytes(64)));

type Trader = { readonly keyring: Keyring; readonly key: SpendingKey };
const newTrader = (): Trader => {
  const keyring = new Keyring(bytes(64));
  return { keyring, key: keyring.tradingAccount(OPERATOR_ID, 0) };
};
const [alice, bob] = [newTrader(), newTrader()];

const newWallet = (
  snapshot?: EnclaveSnapshot,
  eraKeys: EnclaveWalletOptions['eraKeys'] = () => [firstEra, secondEra],
) => new EnclaveWallet({ operator: OPERATOR, operatorId: OPERATOR_ID, eraKeys }, snapshot);

/** An enclave's wallet beside the pool that it follows. */
class Followed {
  readonly maker = new EventMaker();
  wallet = newWallet();
  #sequence = 0n;

  tell(event: PoolEvent): void {
    this.wallet.apply(event);
  }

  /** A note locked to the operator, which is told of it under an era's key. */
  deposit(
    { keyring, key }: Trader,
    asset: bigint,
    value: bigint,
    { era = firstEra, operatorId = OPERATOR_ID, expiry = EXPIRY } = {},
  ): LockedNote | undefined {
    const maker = new OutputMaker(asset);
    const told = { keys: key.keys, index: 0, lock: { operatorId, expiry }, operatorKey: era.publicKey };
    const note = maker.locked(value, told, keyring.viewing.agreement.publicKey);
    this.tell(this.maker.deposit(asset, value, commitmentOf(note), maker.ciphertext()));
    return this.wallet.notes().find((found) => commitmentOf(found.note) === commitmentOf(note));
  }

  insertAll(): void {
    this.tell(this.maker.close());
    this.tell(this.maker.insert());
  }

  order({ key }: Trader, wish: Pick<Order, 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin'> & Partial<Order>): Order {
    const { owner } = key.keys;
    return {
      owner,
      operatorId: OPERATOR_ID,
      expiry: EXPIRY,
      payTo: owner,
      relockExpiry: 0n,
      salt: random.field(),
      ...wish,
    };
  }

  /** A fill made of nothing but what the enclave's wallet knows and the order that its owner signed. */
  fill(
    { key }: Trader,
    order: Order,
    notes: readonly (LockedNote | undefined)[],
    amounts: { sold: bigint; bought: bigint },
    before?: { filled: bigint; k: bigint },
  ): BatchFill {
    const keys = this.wallet.account(order.owner);
    const inputs = notes.map((note) => (note === undefined ? undefined : this.wallet.spendable(note)));
    assert.ok(keys !== undefined && inputs.every((input) => input !== undefined));
    const orderHash = orderHashOf(order);
    const state =
      before === undefined
        ? undefined
        : this.wallet.filledOrder(orderStateOf(orderHash, before.filled, before.k), before.filled, before.k);
    assert.equal(state === undefined, before === undefined);
    return { keys, order, signature: key.sign(orderHash), state, inputs, ...amounts };
  }

  /** Settles, and holds every fill to the circuit. */
  settle(fills: readonly BatchFill[], operator = OPERATOR): PlannedBatch {
    const batch = planBatch({
      operator,
      sequence: ++this.#sequence,
      journalHead: 0n,
      root: this.maker.root,
      validUntil: VALID_UNTIL,
      fills,
      operatorAddress: treasury,
    });
    for (const fill of batch.fills) compiledCircuit('fill').calculate(fill);
    compiledCircuit('clearing').calculate(batch.clearing);
    this.tell(this.maker.settle(batch.shown));
    return batch;
  }

  /** Alice's coins for Bob's dollars. */
  trade(coins: LockedNote | undefined, dollars: LockedNote | undefined): { sell: Order; buy: Order } {
    const sell = this.order(alice, { sellAsset: COIN, buyAsset: DOLLAR, sellMax: 100n, buyMin: 200n });
    const relock = { relockExpiry: EXPIRY + 5n };
    const buy = this.order(bob, { sellAsset: DOLLAR, buyAsset: COIN, sellMax: 200n, buyMin: 100n, ...relock });
    this.settle([
      this.fill(alice, sell, [coins], { sold: 40n, bought: 80n }),
      this.fill(bob, buy, [dollars], { sold: 80n, bought: 40n }),
    ]);
    return { sell, buy };
  }

  seen(): [asset: bigint, value: bigint, owner: bigint, expiry: bigint | undefined][] {
    return this.wallet.notes().map(({ note }) => [note.asset, note.value, note.owner, note.lock?.expiry]);
  }
}

describe("an enclave's wallet", () => {
  it('finds what was told to any of its eras, with the keys that prove for it', () => {
    const pool = new Followed();
    pool.deposit(alice, COIN, 100n);
    pool.deposit(bob, DOLLAR, 300n, { era: secondEra });
    assert.deepEqual(pool.seen(), [
      [COIN, 100n, alice.key.keys.owner, EXPIRY],
      [DOLLAR, 300n, bob.key.keys.owner, EXPIRY],
    ]);
    const known = pool.wallet.account(alice.key.keys.owner);
    assert.deepEqual(known?.publicKey, alice.key.keys.publicKey);
    assert.equal(known.nullifierKey, alice.key.keys.nullifierKey);
  });

  it('finds what was told to an era of long ago, and what came of it, however many there were since', () => {
    // Forty eras, of which the first has the first key, and the second begins when the first notes have been told.
    const keys = [firstEra, secondEra, ...Array.from({ length: 38 }, () => new AgreementKey(bytes(32)))];
    const registered = keys.map((_, index) => ({ number: BigInt(index + 1), block: index * 1_000 }));
    const eras = new ReadableEras(registered, (number) => keys[Number(number) - 1] ?? assert.fail());
    const pool = new Followed();
    pool.wallet = newWallet(undefined, (block) => eras.at(block));
    const coins = pool.deposit(alice, COIN, 100n);
    const dollars = pool.deposit(bob, DOLLAR, 300n);
    assert.equal(pool.deposit(bob, DOLLAR, 300n, { era: secondEra }), undefined, 'whose key nobody could know');
    pool.insertAll();
    pool.trade(coins, dollars);
    assert.equal(pool.seen().length, 3);

    const at = (block: number) => eras.at(block).map((key) => keys.indexOf(key));
    const since = (first: number) => Array.from({ length: 16 }, (_, index) => first + index);
    assert.deepEqual(at(0), [0]);
    assert.deepEqual(at(2_743), [0, 1, 2]);
    assert.deepEqual(at(2_744), [0, 1, 2, 3], 'a reorganisation may have its registration earlier');
    assert.deepEqual(at(20_000), since(5));
    assert.deepEqual(at(10 ** 9), since(24));
    assert.deepEqual(new ReadableEras([], () => assert.fail()).at(5), []);
  });

  it('takes no note that is not locked to it, nor one that it was not told of', () => {
    const pool = new Followed();
    assert.equal(pool.deposit(alice, COIN, 100n, { operatorId: OPERATOR_ID + 1n }), undefined);
    assert.equal(pool.deposit(alice, COIN, 100n, { era: stranger }), undefined);
    assert.deepEqual(pool.seen(), []);
    assert.equal(pool.wallet.account(alice.key.keys.owner), undefined);
  });

  describe('believes nobody', () => {
    const { publicKey, nullifierKey } = alice.key.keys;
    const truth = { kind: 'operator', asset: COIN, value: 5n, expiry: EXPIRY, publicKey, nullifierKey } as const;
    const lies: Readonly<Record<string, NoteMessage>> = {
      'the value': { ...truth, value: 6n },
      'the asset': { ...truth, asset: DOLLAR },
      'the expiry': { ...truth, expiry: EXPIRY + 1n },
      'the owner’s key': { ...truth, publicKey: bob.key.keys.publicKey },
      'the nullifier key': { ...truth, nullifierKey: nullifierKey + 1n },
      'what it is for': { kind: 'received', asset: COIN, value: 5n },
    };
    const depositWith = (pool: Followed, message: NoteMessage, slot = 0) => {
      const sealer = new SlotSealer();
      if (slot === 1) sealer.fill();
      const secret = sealer.seal(firstEra.publicKey, encodeMessage(message));
      if (slot === 0) sealer.fill();
      const lock = { operatorId: OPERATOR_ID, expiry: EXPIRY };
      const note: Note = { asset: COIN, value: 5n, owner: alice.key.keys.owner, blinding: blindingFrom(secret), lock };
      pool.tell(pool.maker.deposit(COIN, 5n, commitmentOf(note), sealer.finish()));
    };
    for (const [title, message] of Object.entries(lies)) {
      it(`about ${title}`, () => {
        const pool = new Followed();
        depositWith(pool, message);
        assert.deepEqual(pool.seen(), []);
      });
    }

    it('who tells it in the owner’s slot', () => {
      const pool = new Followed();
      depositWith(pool, truth, 1);
      assert.deepEqual(pool.seen(), []);
      depositWith(pool, truth);
      assert.equal(pool.seen().length, 1);
    });
  });

  it('loses what its owner takes home', () => {
    const pool = new Followed();
    const note = pool.deposit(alice, COIN, 100n);
    pool.tell(pool.maker.transfer([note?.nullifier as Nullifier, 1n as Nullifier], []));
    assert.deepEqual(pool.seen(), []);
  });

  it('can spend a note once it is inserted', () => {
    const pool = new Followed();
    const note = pool.deposit(alice, COIN, 100n);
    assert.ok(note !== undefined);
    assert.equal(pool.wallet.spendable(note), undefined);
    pool.insertAll();
    assert.equal(pool.wallet.spendable(note)?.path.length, 13);
  });

  it('follows its settlements: change, proceeds that stay locked, order states', () => {
    const pool = new Followed();
    const coins = pool.deposit(alice, COIN, 100n);
    const dollars = pool.deposit(bob, DOLLAR, 300n);
    pool.insertAll();
    const { sell, buy } = pool.trade(coins, dollars);
    assert.deepEqual(pool.seen(), [
      [COIN, 60n, alice.key.keys.owner, EXPIRY],
      [DOLLAR, 220n, bob.key.keys.owner, EXPIRY],
      // Alice's proceeds are her own; Bob's order locks his again.
      [COIN, 40n, bob.key.keys.owner, EXPIRY + 5n],
    ]);
    const state = orderStateOf(orderHashOf(sell), 40n, 1n);
    assert.equal(pool.wallet.filledOrder(state, 40n, 1n), undefined, 'it waits for its insertion');
    pool.insertAll();

    const [moreCoins, moreDollars] = pool.wallet.notes();
    pool.settle([
      pool.fill(alice, sell, [moreCoins], { sold: 60n, bought: 120n }, { filled: 40n, k: 1n }),
      pool.fill(bob, buy, [moreDollars], { sold: 120n, bought: 60n }, { filled: 80n, k: 1n }),
    ]);
    assert.deepEqual(
      pool.seen().map(([asset, value]) => [asset, value]),
      [
        [COIN, 40n],
        [DOLLAR, 100n],
        [COIN, 60n],
      ],
    );
    const [kept, left] = [pool.wallet.states, orderStateOf(orderHashOf(sell), 100n, 2n)];
    pool.wallet.keepStates(new Set([left]));
    assert.deepEqual([kept, pool.wallet.states, pool.wallet.hasState(left)], [4, 1, true]);
    assert.equal(pool.wallet.filledOrder(state, 40n, 1n), undefined);
  });

  it('leaves another operator’s settlements alone', () => {
    const pool = new Followed();
    const coins = pool.deposit(alice, COIN, 100n);
    pool.insertAll();
    const order = pool.order(alice, { sellAsset: COIN, buyAsset: COIN, sellMax: 100n, buyMin: 90n });
    const before = pool.seen();
    pool.settle([pool.fill(alice, order, [coins], { sold: 100n, bought: 90n })], OPERATOR + 1);
    assert.deepEqual(pool.seen(), before);
  });

  it('is the same after being kept and taken up again, at every event', () => {
    const pool = new Followed();
    const coins = pool.deposit(alice, COIN, 100n);
    const dollars = pool.deposit(bob, DOLLAR, 300n);
    pool.insertAll();
    pool.trade(coins, dollars);
    pool.insertAll();
    const whole = pool.wallet.save();
    for (let cut = 0; cut <= pool.maker.events.length; cut++) {
      const before = newWallet();
      for (const event of pool.maker.events.slice(0, cut)) before.apply(event);
      const after = newWallet(structuredClone(before.save()));
      for (const event of pool.maker.events.slice(cut)) after.apply(event);
      assert.deepEqual(after.save(), whole, `cut after event ${cut}`);
    }
  });
});
