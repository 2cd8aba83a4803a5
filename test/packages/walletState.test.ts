import assert from 'node:assert/strict';
import type { PoolEvent } from '@bitcloak/chain/events';
import { SlotSealer } from '@bitcloak/crypto/noteEncryption';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { Keyring, ViewingKey } from '@bitcloak/notes/keys';
import { encodeMessage, type NoteMessage } from '@bitcloak/notes/message';
import { blindingFrom, commitmentOf, nullifierOf, type Note, type Nullifier } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { Bucket } from '@bitcloak/notes/tree';
import { NATIVE_ASSET, TREE_BUCKETS, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import type { HistoryEntry } from '@bitcloak/wallet/types';
import { WalletState, type OwnedNote } from '@bitcloak/wallet/walletState';
import { SeededRandom } from '../support/circuit.ts';
import { EventMaker } from '../support/poolEvents.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';

const ASSET = NATIVE_ASSET;
const OPERATOR = 77n;
const LOCK = { operatorId: OPERATOR, expiry: 1_800_000_000n };
const PUBLIC = { asset: ASSET, recipient: 0xabcn, relayer: 0n, fee: 0n };

const bytes = seededBytes('wallet state');
const random = new SeededRandom('wallet state');
const alice = new Keyring(bytes(64));
const bob = new Keyring(bytes(64));
const home = addressOf(alice);

/** Alice's wallet beside the pool that it follows. */
class Followed {
  readonly maker: EventMaker;
  readonly state: WalletState;

  constructor(maker = new EventMaker(), state = new WalletState(alice.viewing)) {
    this.maker = maker;
    this.state = state;
  }

  tell(event: PoolEvent): void {
    this.state.apply(event);
  }

  /** A deposit of anybody. */
  deposit(value: bigint, to: ShieldedAddress = home): OwnedNote | undefined {
    const maker = new OutputMaker(ASSET);
    const note = maker.plain(value, to);
    this.tell(this.maker.deposit(ASSET, value, commitmentOf(note), maker.ciphertext()));
    return this.state.notes().at(-1);
  }

  /** A deposit of Alice's that locks its note. */
  depositLocked(value: bigint): OwnedNote | undefined {
    const maker = new OutputMaker(ASSET);
    const keys = alice.viewing.tradingAccount(OPERATOR, 0);
    const note = maker.locked(value, { keys, index: 0, lock: LOCK, operatorKey: undefined }, home.viewingKey);
    this.tell(this.maker.deposit(ASSET, value, commitmentOf(note), maker.ciphertext()));
    return this.state.notes().at(-1);
  }

  /** A transfer that spends `inputs`, filled up with dummies. */
  transfer(inputs: readonly (OwnedNote | undefined)[], make: (maker: OutputMaker) => readonly Note[]): void {
    const maker = new OutputMaker(ASSET);
    const notes = make(maker);
    const nullifiers = inputs.map((owned) => owned?.nullifier ?? (random.field() as Nullifier));
    while (nullifiers.length < 2) nullifiers.push(random.field() as Nullifier);
    this.tell(this.maker.transfer(nullifiers, notes.map(commitmentOf), maker.ciphertext()));
  }

  /** A transfer of a stranger's whose one ciphertext slot to Alice says `message`; the notes are made from its secret. */
  strangersTransfer(message: NoteMessage, describe: (secret: Uint8Array) => Note, slots = 1): void {
    const sealer = new SlotSealer();
    const secret = sealer.seal(home.viewingKey, encodeMessage(message));
    if (slots === 2) sealer.seal(home.viewingKey, encodeMessage(message));
    for (let slot = slots; slot < 6; slot++) sealer.fill();
    const nothing = new OutputMaker(ASSET);
    const notes = [describe(secret), nothing.nothing(), nothing.nothing()];
    const nullifiers = [random.field(), random.field()] as Nullifier[];
    this.tell(this.maker.transfer(nullifiers, notes.map(commitmentOf), sealer.finish()));
  }

  withdrawn(payment: Partial<typeof PUBLIC> & { amount: bigint }): void {
    this.tell(this.maker.withdrawn({ ...PUBLIC, ...payment }));
  }

  insertAll(): void {
    this.tell(this.maker.close());
    this.tell(this.maker.insert());
  }

  unspent(): bigint[] {
    return this.state.notes().flatMap(({ spent, note }) => (spent ? [] : [note.value]));
  }

  lastEntry(): Partial<HistoryEntry> {
    const { block: _block, transaction: _transaction, asset, ...entry } = this.state.history().at(-1) as HistoryEntry;
    assert.equal(asset, ASSET);
    return entry;
  }

  kinds(): string[] {
    return this.state.history().map(({ kind }) => kind);
  }
}

const nobody = { gained: undefined, recipient: undefined, account: undefined, lock: undefined };

describe("a wallet's state", () => {
  it('finds a deposit, and its path once it is inserted', () => {
    const wallet = new Followed();
    wallet.deposit(3n, addressOf(bob));
    const owned = wallet.deposit(5n);
    assert.ok(owned !== undefined);
    assert.deepEqual([owned.note.value, owned.leaf, owned.spent, owned.bucketPath], [5n, 1, false, undefined]);
    assert.equal(owned.nullifier, nullifierOf(alice.spending.keys.nullifierKey, commitmentOf(owned.note), 1));
    assert.deepEqual(wallet.lastEntry(), { kind: 'deposited', amount: 5n, fee: 0n, ...nobody });
    const leaves = wallet.maker.pending[0] ?? [];
    wallet.insertAll();
    assert.deepEqual(wallet.state.notes()[0]?.bucketPath, new Bucket(leaves).path(1));
    assert.equal(wallet.state.notes().length, 1);
  });

  it('sees a payment with its recipient, change and fee', () => {
    const wallet = new Followed();
    const notes = [wallet.deposit(10n), wallet.deposit(4n)];
    wallet.transfer(notes, (maker) => [
      maker.plain(8n, addressOf(bob), home.viewingKey),
      maker.plain(5n, home),
      maker.plain(1n, addressOf(bob)),
    ]);
    assert.deepEqual(wallet.unspent(), [5n]);
    assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'sent', amount: 8n, fee: 1n, recipient: addressOf(bob) });
  });

  it('sees a payment to itself, whatever the fee', () => {
    for (const fee of [0n, 2n, 9n]) {
      const wallet = new Followed();
      const note = wallet.deposit(20n);
      wallet.transfer([note], (maker) => [
        maker.plain(3n, home, home.viewingKey),
        maker.plain(17n - fee, home),
        maker.plain(fee, addressOf(bob)),
      ]);
      assert.deepEqual(wallet.unspent(), [3n, 17n - fee]);
      assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'sent', amount: 3n, fee, recipient: home });
    }
  });

  it('sees what it receives, every note of a transfer', () => {
    const wallet = new Followed();
    wallet.transfer([], (maker) => [
      maker.plain(8n, home, bob.viewing.agreement.publicKey),
      maker.plain(5n, home),
      maker.nothing(),
    ]);
    assert.deepEqual(wallet.unspent(), [8n, 5n]);
    assert.deepEqual(wallet.kinds(), ['received', 'received']);
    assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'received', amount: 5n, fee: 0n });
  });

  it('sees a merge', () => {
    const wallet = new Followed();
    const notes = [wallet.deposit(10n), wallet.deposit(4n)];
    wallet.transfer(notes, (maker) => [maker.nothing(), maker.plain(13n, home), maker.plain(1n, addressOf(bob))]);
    assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'merged', amount: 13n, fee: 1n });
  });

  it('sees a lock, and what comes home from it', () => {
    const wallet = new Followed();
    const keys = alice.viewing.tradingAccount(OPERATOR, 4);
    wallet.transfer([wallet.deposit(10n)], (maker) => [
      maker.locked(6n, { keys, index: 4, lock: LOCK, operatorKey: undefined }, home.viewingKey),
      maker.plain(3n, home),
      maker.plain(1n, addressOf(bob)),
    ]);
    assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'locked', amount: 6n, fee: 1n, lock: LOCK });
    const locked = wallet.state.notes().find(({ account }) => account !== undefined);
    assert.deepEqual(locked?.account, { operatorId: OPERATOR, index: 4 });
    wallet.transfer([locked], (maker) => [maker.nothing(), maker.plain(6n, home), maker.nothing()]);
    assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'reclaimed', amount: 6n, fee: 0n, lock: LOCK });
    wallet.depositLocked(2n);
    assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'locked', amount: 2n, fee: 0n, lock: LOCK });
  });

  describe('pairs a withdrawal with its transfer', () => {
    const paidBy = (wallet: Followed, value: bigint, back: bigint) => {
      wallet.transfer([wallet.deposit(value)], (maker) => [maker.nothing(), maker.plain(back, home), maker.nothing()]);
    };

    it('with its account and fee', () => {
      const wallet = new Followed();
      paidBy(wallet, 10n, 3n);
      wallet.withdrawn({ amount: 7n });
      assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'withdrawn', amount: 7n, fee: 0n, account: 0xabcn });
      paidBy(wallet, 10n, 3n);
      wallet.withdrawn({ amount: 7n, relayer: 5n, fee: 2n });
      assert.deepEqual(wallet.lastEntry(), { ...nobody, kind: 'withdrawn', amount: 5n, fee: 2n, account: 0xabcn });
    });

    it('and not with another one of the same transaction', () => {
      const wallet = new Followed();
      paidBy(wallet, 10n, 10n);
      // A contract may make several calls: a stranger's withdrawal comes right behind.
      const foreign = new OutputMaker(ASSET);
      wallet.maker.transfer(
        [1n, 2n] as Nullifier[],
        [foreign.nothing(), foreign.nothing(), foreign.nothing()].map(commitmentOf),
      );
      wallet.tell(wallet.maker.joinTransactions());
      wallet.withdrawn({ amount: 7n });
      assert.equal(wallet.lastEntry().kind, 'merged');
    });

    it('once', () => {
      const wallet = new Followed();
      paidBy(wallet, 10n, 3n);
      wallet.withdrawn({ amount: 7n });
      const before = [...wallet.state.history()];
      wallet.withdrawn({ amount: 9n, recipient: 1n });
      assert.deepEqual(wallet.state.history(), before);
    });

    it('and ignores those of others', () => {
      const wallet = new Followed();
      wallet.transfer([], (maker) => [maker.plain(1n, home), maker.nothing(), maker.nothing()]);
      wallet.withdrawn({ amount: 7n });
      assert.deepEqual(wallet.kinds(), ['received']);
    });
  });

  describe('believes a stranger nothing', () => {
    const { owner } = home;
    const plain = (value: bigint, secret: Uint8Array): Note => ({
      asset: ASSET,
      value,
      owner,
      blinding: blindingFrom(secret),
      lock: undefined,
    });
    const received: NoteMessage = { kind: 'received', asset: ASSET, value: 5n };
    const secret16 = bytes(16);
    const locked: NoteMessage = { kind: 'locked', asset: ASSET, value: 5n, ...LOCK, index: 0, secret: secret16 };
    const lies: [string, NoteMessage, (secret: Uint8Array) => Note][] = [
      ['a value', received, (secret) => plain(4n, secret)],
      ['an asset', received, (secret) => ({ ...plain(5n, secret), asset: 1n })],
      ['an owner', received, (secret) => ({ ...plain(5n, secret), owner: addressOf(bob).owner })],
      ['a blinding', received, (secret) => ({ ...plain(5n, secret), blinding: 1n })],
      ['no lock', received, (secret) => ({ ...plain(5n, secret), lock: LOCK })],
      ['a lock', locked, () => plain(5n, secret16)],
      ['an expiry', { ...locked, expiry: 1n }, () => lockedNote(5n)],
      ["another account's lock", { ...locked, index: 1 }, () => lockedNote(5n)],
      ['nothing', { ...received, value: 0n }, (secret) => plain(0n, secret)],
    ];
    const lockedNote = (value: bigint): Note => ({
      asset: ASSET,
      value,
      owner: alice.viewing.tradingAccount(OPERATOR, 0).owner,
      blinding: blindingFrom(secret16),
      lock: LOCK,
    });

    for (const [what, message, describe] of lies) {
      it(`who lies about ${what}`, () => {
        const wallet = new Followed();
        wallet.strangersTransfer(message, describe);
        assert.deepEqual([wallet.state.notes(), wallet.state.history()], [[], []]);
      });
    }

    it('but counts a true note, once, also where both slots tell of it', () => {
      const wallet = new Followed();
      wallet.strangersTransfer(received, (secret) => plain(5n, secret));
      // Only an operator, who knows the account, can make a note for it.
      wallet.strangersTransfer(locked, () => lockedNote(5n), 2);
      assert.deepEqual(wallet.unspent(), [5n, 5n]);
      assert.deepEqual(wallet.kinds(), ['received', 'received']);
      assert.deepEqual(wallet.lastEntry().lock, LOCK);
    });

    it('who says that the wallet paid somebody, or tells it as an operator', () => {
      const wallet = new Followed();
      const nothing = () => new OutputMaker(ASSET).nothing();
      wallet.strangersTransfer({ kind: 'sent', asset: ASSET, value: 1_000n, recipient: addressOf(bob) }, nothing);
      const { publicKey, nullifierKey } = bob.viewing.main;
      wallet.strangersTransfer(
        { kind: 'operator', asset: ASSET, value: 5n, expiry: 1n, publicKey, nullifierKey },
        nothing,
      );
      assert.deepEqual(wallet.state.history(), []);
      assert.deepEqual(wallet.state.notes(), []);
    });

    it('who writes noise', () => {
      const wallet = new Followed();
      for (const length of [0, 1, 32, 276, 764, 1_000]) {
        wallet.tell(wallet.maker.deposit(ASSET, 1n, commitmentOf(plain(1n, secret16)), bytes(length)));
      }
      assert.deepEqual(wallet.state.notes(), []);
    });
  });

  it('counts a note that was made twice twice, since both can be spent', () => {
    const wallet = new Followed();
    const maker = new OutputMaker(ASSET);
    const commitment = commitmentOf(maker.plain(5n, home));
    const ciphertext = maker.ciphertext();
    for (let times = 0; times < 2; times++) wallet.tell(wallet.maker.deposit(ASSET, 5n, commitment, ciphertext));
    const [first, second] = wallet.state.notes() as [OwnedNote, OwnedNote];
    assert.equal(wallet.state.notes().length, 2);
    assert.notEqual(first.nullifier, second.nullifier);
    wallet.transfer([first], (made) => [made.nothing(), made.nothing(), made.nothing()]);
    assert.deepEqual(wallet.unspent(), [5n]);
  });

  it('counts the same note at the same place of two trees once, since one nullifier spends both', () => {
    const maker = new OutputMaker(ASSET);
    const note = maker.plain(5n, home);
    const ciphertext = maker.ciphertext();
    const first = new Followed();
    first.tell(first.maker.deposit(ASSET, 5n, commitmentOf(note), ciphertext));
    const pending = Array.from({ length: TREE_BUCKETS + 1 }, () => []);
    const later = new WalletState(alice.viewing, { ...first.state.save(), ledger: { bucketRoots: [], pending } });
    const wallet = new Followed(new EventMaker(TREE_BUCKETS), later);
    const event = wallet.maker.deposit(ASSET, 5n, commitmentOf(note), ciphertext);
    assert.ok(event.kind === 'deposited' && event.leaf === TREE_LEAVES);
    wallet.tell(event);
    assert.deepEqual(wallet.unspent(), [5n]);
    assert.deepEqual(wallet.kinds(), ['deposited']);
  });

  it('takes a nullifier that it saw already for no spending of its own', () => {
    const wallet = new Followed();
    const note = wallet.deposit(10n);
    wallet.transfer([note], (maker) => [maker.nothing(), maker.plain(10n, home), maker.nothing()]);
    wallet.transfer([note], (maker) => [maker.plain(1n, home), maker.nothing(), maker.nothing()]);
    assert.deepEqual(wallet.kinds(), ['deposited', 'merged', 'received']);
  });

  it('refuses a bucket whose root is not that of its own leaves, where it has a note in it', () => {
    for (const mine of [true, false]) {
      const wallet = new Followed();
      wallet.deposit(5n, mine ? home : addressOf(bob));
      const maker = new OutputMaker(ASSET);
      const forged = new EventMaker();
      forged.deposit(ASSET, 5n, commitmentOf(maker.plain(5n, home)));
      wallet.tell(wallet.maker.close());
      forged.close();
      const told = () => {
        wallet.tell(forged.insert());
      };
      // What is nobody's concern here is found out at the next root.
      if (mine) assert.throws(told, { code: 'ENDPOINT_INCONSISTENT' });
      else told();
    }
  });

  it('is the same for a watcher, and after a pause anywhere', () => {
    const wallet = new Followed();
    const notes = [wallet.deposit(10n), wallet.depositLocked(4n), wallet.deposit(6n)];
    wallet.insertAll();
    wallet.transfer([notes[0], notes[2]], (maker) => [
      maker.plain(8n, addressOf(bob), home.viewingKey),
      maker.plain(7n, home),
      maker.plain(1n, addressOf(bob)),
    ]);
    wallet.transfer([notes[1]], (maker) => [maker.nothing(), maker.plain(1n, home), maker.nothing()]);
    wallet.withdrawn({ amount: 3n });
    wallet.deposit(9n);
    wallet.insertAll();
    const whole = wallet.state.save();
    const { events } = wallet.maker;
    const watcher = ViewingKey.parse(alice.viewing.export());
    for (let pause = 0; pause <= events.length; pause++) {
      // Between a transfer and its withdrawal no block ends.
      if (events[pause]?.kind === 'withdrawn') continue;
      const before = new WalletState(watcher);
      for (const event of events.slice(0, pause)) before.apply(event);
      const saved = before.save();
      const frozen = structuredClone(saved);
      const after = new WalletState(watcher, saved);
      for (const event of events.slice(pause)) after.apply(event);
      assert.deepEqual(after.save(), whole, `pause before event ${pause}`);
      assert.deepEqual(saved, frozen);
    }
  });
});
