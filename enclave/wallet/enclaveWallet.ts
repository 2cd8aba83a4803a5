import { BucketPaths, pathToRoot, type WatchedLeaf } from '@bitcloak/chain/bucketPaths';
import { leavesOf, type PoolEvent } from '@bitcloak/chain/events';
import type { Fold } from '@bitcloak/chain/follower';
import { Ledger, type LedgerSnapshot } from '@bitcloak/chain/ledger';
import type { Point } from '@bitcloak/crypto/babyjubjub';
import { openSlots } from '@bitcloak/crypto/noteEncryption';
import type { AgreementKey } from '@bitcloak/crypto/x25519';
import { readFill, type FilledOrder, type FillShown } from '@bitcloak/notes/fill';
import { ownerKeys, type OwnerKeys } from '@bitcloak/notes/keys';
import { decodeMessage } from '@bitcloak/notes/message';
import { blindingFrom, commitmentOf, nullifierOf, type Note, type Nullifier } from '@bitcloak/notes/note';
import type { SpentNote } from '@bitcloak/notes/transfer';
import { placeOf } from '@bitcloak/notes/tree';
import { FILL_LEAVES, SLOTS_PER_NOTE } from '@bitcloak/protocol/parameters';

/** A note that is locked to the operator, and that it can settle with. */
export type LockedNote = WatchedLeaf & {
  readonly note: Note;
  readonly block: number;
  readonly nullifier: Nullifier;
  /** Whether its owner made it; otherwise a settlement did. */
  readonly told: boolean;
};

/** The leaf that says what was filled of an order. */
type StateLeaf = WatchedLeaf & { readonly commitment: bigint };

/** One of the operator's settlements, and the journal's head that it names. */
export type SettlementSeen = { readonly sequence: number; readonly head: bigint; readonly block: number };

/** What `EnclaveWallet.save` gives; plain data. It holds nullifier keys, so it is as secret as they are. */
export type EnclaveSnapshot = {
  ledger: LedgerSnapshot;
  accounts: { publicKey: Point; nullifierKey: bigint }[];
  notes: LockedNote[];
  states: StateLeaf[];
  cancelled: [Nullifier, number][];
  newest: SettlementSeen | undefined;
};

export type EnclaveWalletOptions = {
  /** Number in the registry. */
  readonly operator: number;
  readonly operatorId: bigint;
  /** Of the eras that what is in a block may have been told to. */
  readonly eraKeys: (block: number) => readonly AgreementKey[];
};

/**
 * The ephemeral wallet: everything that was told to the operator's enclave, followed from the pool's events. It needs nothing but its eras'
 * keys and the chain: deposits carry what proving needs, and what a settlement leaves is read from its public words.
 */
export class EnclaveWallet implements Fold<EnclaveSnapshot> {
  readonly ledger: Ledger;
  readonly #options: EnclaveWalletOptions;
  readonly #accounts = new Map<bigint, OwnerKeys>();
  readonly #notes = new Map<Nullifier, LockedNote>();
  readonly #states = new Map<bigint, StateLeaf>();
  /** States of orders, anybody's, that were taken back on the chain, and the unix time from which they count as spent. */
  readonly #cancelled = new Map<Nullifier, number>();
  readonly #paths = new BucketPaths();
  #newest: SettlementSeen | undefined;

  constructor(options: EnclaveWalletOptions, snapshot?: EnclaveSnapshot) {
    this.#options = options;
    this.ledger = snapshot === undefined ? new Ledger() : Ledger.restore(snapshot.ledger);
    for (const { publicKey, nullifierKey } of snapshot?.accounts ?? []) {
      const keys = ownerKeys(publicKey, nullifierKey);
      this.#accounts.set(keys.owner, keys);
    }
    for (const note of snapshot?.notes ?? []) this.#keepNote({ ...note });
    for (const state of snapshot?.states ?? []) this.#keepState({ ...state });
    for (const [nullifier, from] of snapshot?.cancelled ?? []) this.#cancelled.set(nullifier, from);
    this.#newest = snapshot?.newest;
  }

  /** Of the operator's settlements; 0 before the first. */
  get lastSequence(): number {
    return this.#newest?.sequence ?? 0;
  }

  /** The operator's newest settlement; undefined before the first. */
  get newest(): SettlementSeen | undefined {
    return this.#newest;
  }

  save(): EnclaveSnapshot {
    return {
      ledger: this.ledger.save(),
      accounts: [...this.#accounts.values()].map(({ publicKey, nullifierKey }) => ({ publicKey, nullifierKey })),
      notes: this.notes().map((note) => ({ ...note })),
      states: [...this.#states.values()].map((state) => ({ ...state })),
      cancelled: [...this.#cancelled],
      newest: this.#newest,
    };
  }

  /** Notes that nothing on the chain has spent. */
  notes(): LockedNote[] {
    return [...this.#notes.values()];
  }

  /** A note by its place over all trees. */
  noteAt(leaf: number): LockedNote | undefined {
    for (const note of this.#notes.values()) if (note.leaf === leaf) return note;
    return undefined;
  }

  /** The keys of an owner who was ever told of. */
  account(owner: bigint): OwnerKeys | undefined {
    return this.#accounts.get(owner);
  }

  /** Whether a note is in the tree. */
  isInserted({ leaf, bucketPath }: LockedNote): boolean {
    return bucketPath !== undefined && this.ledger.treeOf(placeOf(leaf).bucket) !== undefined;
  }

  /** A note as a fill takes it; undefined while it waits for its insertion. */
  spendable(note: LockedNote): SpentNote | undefined {
    const path = pathToRoot(note, this.ledger);
    return path === undefined ? undefined : { note: note.note, leaf: note.leaf, path };
  }

  /** An order's state as a fill takes it; undefined where it is not in the tree. */
  filledOrder(orderState: bigint, filled: bigint, k: bigint): FilledOrder | undefined {
    const state = this.#states.get(orderState);
    const path = state === undefined ? undefined : pathToRoot(state, this.ledger);
    return state === undefined || path === undefined ? undefined : { filled, k, leaf: state.leaf, path };
  }

  /** Whether a settlement on the chain left this state of an order, in the tree or not yet. */
  hasState(orderState: bigint): boolean {
    return this.#states.has(orderState);
  }

  /** States of orders that were taken back, each with the unix time from which it counts as spent, in the order in which they came. */
  get cancelled(): ReadonlyMap<Nullifier, number> {
    return this.#cancelled;
  }

  /** How many states of orders are kept. */
  get states(): number {
    return this.#states.size;
  }

  /** Forgets the states of orders but these. Each settlement leaves as many as it has fills, the operator's own among them. */
  keepStates(needed: ReadonlySet<bigint>): void {
    for (const state of this.#states.keys()) if (!needed.has(state)) this.#states.delete(state);
  }

  apply(event: PoolEvent): void {
    if (event.kind === 'inserted') this.#paths.apply(event, this.ledger);
    this.ledger.apply(event);
    if (event.kind === 'transferred') for (const nullifier of event.nullifiers) this.#notes.delete(nullifier);
    if (event.kind === 'deposited' || event.kind === 'transferred') this.#find(event);
    if (event.kind === 'cancelled') this.#cancelled.set(event.orderNullifier, Number(event.from));
    if (event.kind === 'settled') this.#applySettlement(event);
  }

  /** The notes that a ciphertext tells the operator of. Whatever it says, the commitment decides. */
  #find(event: PoolEvent & { kind: 'deposited' | 'transferred' }): void {
    const { firstLeaf, leaves } = leavesOf(event);
    for (const key of this.#options.eraKeys(event.block)) {
      for (const { slot, plaintext, secret } of openSlots(key, event.ciphertext)) {
        const message = decodeMessage(plaintext);
        if (message?.kind !== 'operator' || slot % SLOTS_PER_NOTE !== 0) continue;
        const { asset, value, expiry, publicKey, nullifierKey } = message;
        const keys = ownerKeys(publicKey, nullifierKey);
        const lock = { operatorId: this.#options.operatorId, expiry };
        const note: Note = { asset, value, owner: keys.owner, blinding: blindingFrom(secret), lock };
        const output = slot / SLOTS_PER_NOTE;
        if (commitmentOf(note) !== leaves[output]) continue;
        this.#accounts.set(keys.owner, keys);
        this.#take(event, firstLeaf + output, note, keys, true);
      }
    }
  }

  #take(event: PoolEvent, leaf: number, note: Note, { nullifierKey }: OwnerKeys, told: boolean): void {
    // Nothing can be bought with it.
    if (note.value === 0n) return;
    const nullifier = nullifierOf(nullifierKey, commitmentOf(note), placeOf(leaf).treeIndex);
    // The same note at the same place of two trees can be spent once: the first counts.
    if (this.#notes.has(nullifier)) return;
    this.#keepNote({ note, leaf, block: event.block, nullifier, told, bucketPath: undefined });
  }

  #keepNote(note: LockedNote): void {
    this.#notes.set(note.nullifier, note);
    this.#paths.watch(note);
  }

  #keepState(state: StateLeaf): void {
    this.#states.set(state.commitment, state);
    this.#paths.watch(state);
  }

  #applySettlement(event: PoolEvent & { kind: 'settled' }): void {
    if (event.operator !== this.#options.operator) return;
    this.#newest = { sequence: Number(event.sequence), head: event.journalHead, block: event.block };
    event.fills.forEach((fill, index) => {
      const leaf = event.firstLeaf + index * FILL_LEAVES;
      const spent = fill.nullifiers.flatMap((nullifier) => this.#notes.get(nullifier) ?? []);
      for (const { nullifier } of spent) this.#notes.delete(nullifier);
      this.#keepState({ commitment: fill.orderState, leaf: leaf + 2, bucketPath: undefined });
      const [first] = spent;
      const keys = first === undefined ? undefined : this.#accounts.get(first.note.owner);
      if (first !== undefined && keys !== undefined) this.#takeOutputs(event, leaf, fill, first.note, keys);
    });
  }

  /** What stays locked to the operator of a fill's outputs. */
  #takeOutputs(
    event: PoolEvent & { kind: 'settled' },
    leaf: number,
    fill: FillShown,
    spent: Note,
    keys: OwnerKeys,
  ): void {
    const reading = readFill(fill, keys.nullifierKey);
    if (reading === undefined) return;
    const { operatorId } = this.#options;
    const { owner } = keys;
    const { rest, bought, buyAsset, changeExpiry, relockExpiry, changeBlinding, proceedsBlinding } = reading;
    const changeLock = { operatorId, expiry: changeExpiry };
    const change: Note = { asset: spent.asset, value: rest, owner, blinding: changeBlinding, lock: changeLock };
    if (commitmentOf(change) === fill.change) this.#take(event, leaf, change, keys, false);
    if (relockExpiry === 0n) return;
    const lock = { operatorId, expiry: relockExpiry };
    const proceeds: Note = { asset: buyAsset, value: bought, owner, blinding: proceedsBlinding, lock };
    if (commitmentOf(proceeds) === fill.proceeds) this.#take(event, leaf + 1, proceeds, keys, false);
  }
}
