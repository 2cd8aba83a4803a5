import { BucketPaths, type WatchedLeaf } from '@bitcloak/chain/bucketPaths';
import type { PoolEvent } from '@bitcloak/chain/events';
import { Ledger, type LedgerSnapshot } from '@bitcloak/chain/ledger';
import { openSlots, type OpenedSlot } from '@bitcloak/crypto/noteEncryption';
import { readFill, type FillReading, type FillShown } from '@bitcloak/notes/fill';
import { payeeIndexOf, type OwnerKeys, type ViewingKey } from '@bitcloak/notes/keys';
import { decodeMessage, type NoteMessage } from '@bitcloak/notes/message';
import {
  blindingFrom,
  commitmentOf,
  nullifierOf,
  type Commitment,
  type Note,
  type Nullifier,
} from '@bitcloak/notes/note';
import { placeOf } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { FILL_LEAVES, SLOTS_PER_NOTE } from '@bitcloak/protocol/parameters';
import type { HistoryEntry } from './types.ts';

/** Which of a seed's keys a note belongs to: undefined for the main ones, else a trading account's. */
export type AccountOf = { readonly operatorId: bigint; readonly index: number } | undefined;

/** A note that the wallet can open. */
export type OwnedNote = WatchedLeaf & {
  readonly note: Note;
  readonly account: AccountOf;
  readonly block: number;
  readonly nullifier: Nullifier;
  spent: boolean;
};

/** What `WalletState.save` gives; plain data. */
export type WalletSnapshot = { ledger: LedgerSnapshot; notes: OwnedNote[]; history: HistoryEntry[] };

type TransferEvent = PoolEvent & { kind: 'transferred' };
type SettlementEvent = PoolEvent & { kind: 'settled' };
type Found = { owned: OwnedNote; message: NoteMessage };
type Described = { note: Note; account: AccountOf; keys: OwnerKeys };

/** Everything that a viewing key sees on the chain, followed from the pool's events. */
export class WalletState {
  readonly ledger: Ledger;
  readonly #viewing: ViewingKey;
  readonly #notes: Map<Nullifier, OwnedNote>;
  readonly #history: HistoryEntry[];
  readonly #paths = new BucketPaths();
  /** The transfer of this wallet that a withdrawal event may belong to. */
  #lastOwnTransfer: { transaction: string; logIndex: number; entry: HistoryEntry } | undefined;

  constructor(viewing: ViewingKey, snapshot?: WalletSnapshot) {
    this.#viewing = viewing;
    this.ledger = snapshot === undefined ? new Ledger() : Ledger.restore(snapshot.ledger);
    this.#notes = new Map(snapshot?.notes.map((owned) => [owned.nullifier, { ...owned }]));
    for (const owned of this.#notes.values()) this.#paths.watch(owned);
    this.#history = [...(snapshot?.history ?? [])];
  }

  save(): WalletSnapshot {
    return {
      ledger: this.ledger.save(),
      notes: this.notes().map((owned) => ({ ...owned })),
      history: [...this.#history],
    };
  }

  notes(): OwnedNote[] {
    return [...this.#notes.values()];
  }

  history(): readonly HistoryEntry[] {
    return this.#history;
  }

  apply(event: PoolEvent): void {
    if (event.kind === 'inserted') this.#paths.apply(event, this.ledger);
    this.ledger.apply(event);
    if (event.kind === 'deposited') {
      const [found] = this.#find(event, event.leaf, [event.commitment], this.#open(event.ciphertext), SLOTS_PER_NOTE);
      if (found !== undefined)
        this.#record(event, found.owned, found.owned.account === undefined ? 'deposited' : 'locked');
    } else if (event.kind === 'transferred') {
      this.#applyTransfer(event);
    } else if (event.kind === 'withdrawn') {
      this.#applyWithdrawal(event);
    } else if (event.kind === 'settled') {
      this.#applySettlement(event);
    }
  }

  #open(ciphertext: Uint8Array): { opened: OpenedSlot; message: NoteMessage }[] {
    return openSlots(this.#viewing.agreement, ciphertext).flatMap((opened) => {
      const message = decodeMessage(opened.plaintext);
      return message === undefined ? [] : [{ opened, message }];
    });
  }

  /** The notes among `commitments` that the opened slots describe rightly. Whatever a slot says, the commitment decides. */
  #find(
    event: PoolEvent,
    firstLeaf: number,
    commitments: readonly Commitment[],
    slots: { opened: OpenedSlot; message: NoteMessage }[],
    slotsPerNote: number,
  ): Found[] {
    const found: Found[] = [];
    for (const { opened, message } of slots) {
      const output = Math.floor(opened.slot / slotsPerNote);
      const described = this.#describe(message, opened);
      if (described === undefined || commitmentOf(described.note) !== commitments[output]) continue;
      const owned = this.#take(event, firstLeaf + output, described);
      if (owned !== undefined) found.push({ owned, message });
    }
    return found;
  }

  /** Counts a note that stands at `leaf`; undefined for one that is worth nothing, or that another leaf counts for already. */
  #take(event: PoolEvent, leaf: number, { note, account, keys }: Described): OwnedNote | undefined {
    if (note.value === 0n) return undefined;
    const nullifier = nullifierOf(keys.nullifierKey, commitmentOf(note), placeOf(leaf).treeIndex);
    if (this.#notes.has(nullifier)) return undefined;
    const { block } = event;
    const owned: OwnedNote = { note, account, leaf, block, nullifier, bucketPath: undefined, spent: false };
    this.#notes.set(nullifier, owned);
    this.#paths.watch(owned);
    return owned;
  }

  #describe(message: NoteMessage, opened: OpenedSlot): Described | undefined {
    const { asset, value } = message;
    if (message.kind === 'received') {
      const keys = this.#viewing.main;
      const note = { asset, value, owner: keys.owner, blinding: blindingFrom(opened.secret), lock: undefined };
      return { note, account: undefined, keys };
    }
    if (message.kind === 'locked') {
      const { operatorId, expiry, index } = message;
      const keys = this.#viewing.tradingAccount(operatorId, index);
      const note = {
        asset,
        value,
        owner: keys.owner,
        blinding: blindingFrom(message.secret),
        lock: { operatorId, expiry },
      };
      return { note, account: { operatorId, index }, keys };
    }
    return undefined;
  }

  #applyTransfer(event: TransferEvent): void {
    const inputs: OwnedNote[] = [];
    for (const nullifier of event.nullifiers) {
      const owned = this.#notes.get(nullifier);
      if (owned === undefined || owned.spent) continue;
      owned.spent = true;
      inputs.push(owned);
    }
    const slots = this.#open(event.ciphertext);
    const found = this.#find(event, event.firstLeaf, event.commitments, slots, SLOTS_PER_NOTE);
    if (inputs.length === 0) {
      // Only what this wallet spent can be a payment of its own: anybody can seal a slot that says "sent".
      for (const { owned } of found) this.#record(event, owned, 'received');
      return;
    }
    const sent = slots.find(({ message }) => message.kind === 'sent')?.message;
    const entry = describeOwnTransfer(event, inputs, found, sent?.kind === 'sent' ? sent : undefined);
    this.#history.push(entry);
    this.#lastOwnTransfer = { transaction: event.transaction, logIndex: event.logIndex, entry };
  }

  /** The pool tells of a withdrawal right after its transfer. */
  #applyWithdrawal(event: PoolEvent & { kind: 'withdrawn' }): void {
    const own = this.#lastOwnTransfer;
    if (own?.transaction !== event.transaction || event.logIndex !== own.logIndex + 1) return;
    this.#history[this.#history.lastIndexOf(own.entry)] = {
      ...own.entry,
      kind: 'withdrawn',
      amount: event.amount - event.fee,
      fee: event.fee + own.entry.fee - event.amount,
      account: event.recipient,
    };
    this.#lastOwnTransfer = undefined;
  }

  /**
   * Needs nothing from the operator: what a fill spent of this wallet is looked up, and the nullifier key reads from the public words what it
   * gave. The residual notes are the operator's own, found like any other note.
   */
  #applySettlement(event: SettlementEvent): void {
    for (const [index, fill] of event.fills.entries()) {
      const inputs = fill.nullifiers.flatMap((nullifier) => this.#notes.get(nullifier) ?? []);
      const [first] = inputs;
      if (first?.account === undefined) continue;
      for (const owned of inputs) owned.spent = true;
      this.#applyFill(event, event.firstLeaf + index * FILL_LEAVES, fill, first.note.asset, first.account);
    }
    const firstResidual = event.firstLeaf + event.fills.length * FILL_LEAVES;
    for (const { owned } of this.#find(event, firstResidual, event.residuals, this.#open(event.ciphertext), 1)) {
      this.#record(event, owned, 'received');
    }
  }

  #applyFill(
    event: SettlementEvent,
    leaf: number,
    fill: FillShown,
    asset: bigint,
    account: NonNullable<AccountOf>,
  ): void {
    const { operatorId, index } = account;
    const keys = this.#viewing.tradingAccount(operatorId, index);
    const reading = readFill(fill, keys.nullifierKey);
    const lock = { operatorId, expiry: reading?.changeExpiry ?? 0n };
    const { owner } = keys;
    const { rest = 0n, changeBlinding = 0n } = reading ?? {};
    const change: Note = { asset, value: rest, owner, blinding: changeBlinding, lock };
    if (reading === undefined || commitmentOf(change) !== fill.change) {
      // The circuit guarantees it for whatever the pool accepted.
      const message = `a fill of block ${event.block} is not what its words say`;
      throw new BitcloakError('ENDPOINT_INCONSISTENT', message);
    }
    this.#take(event, leaf, { note: change, account, keys });
    const proceeds = this.#proceedsOf(fill, reading, account);
    if (proceeds !== undefined) this.#take(event, leaf + 1, proceeds);
    const { sold, bought, buyAsset } = reading;
    const isTrade = buyAsset !== asset;
    this.#history.push({
      kind: isTrade ? 'traded' : 'released',
      asset,
      amount: isTrade ? sold : bought,
      fee: isTrade ? 0n : sold - bought,
      gained: isTrade ? { asset: buyAsset, amount: bought } : undefined,
      block: event.block,
      transaction: event.transaction,
      recipient: undefined,
      account: undefined,
      lock: proceeds?.note.lock,
      settlement: { operator: event.operator, sequence: event.sequence, orderNullifier: fill.orderNullifier },
    });
  }

  /** The proceeds of a fill, whichever of the wallet's owners its order had them paid to. */
  #proceedsOf(
    fill: FillShown,
    reading: FillReading,
    { operatorId, index }: NonNullable<AccountOf>,
  ): Described | undefined {
    const { buyAsset: asset, bought: value, proceedsBlinding: blinding, relockExpiry } = reading;
    const lock = relockExpiry === 0n ? undefined : { operatorId, expiry: relockExpiry };
    const describe = (account: AccountOf): Described | undefined => {
      const keys = account === undefined ? this.#viewing.main : this.#viewing.tradingAccount(operatorId, account.index);
      const note: Note = { asset, value, owner: keys.owner, blinding, lock };
      return commitmentOf(note) === fill.proceeds ? { note, account, keys } : undefined;
    };
    return (
      describe({ operatorId, index: payeeIndexOf(index) }) ?? describe({ operatorId, index }) ?? describe(undefined)
    );
  }

  #record(event: PoolEvent, { note }: OwnedNote, kind: HistoryEntry['kind']): void {
    const { block, transaction } = event;
    const { asset, value: amount, lock } = note;
    const nobody = { gained: undefined, recipient: undefined, account: undefined };
    this.#history.push({ kind, asset, amount, fee: 0n, block, transaction, ...nobody, lock });
  }
}

function total(notes: readonly { note: Note }[]): bigint {
  return notes.reduce((sum, { note }) => sum + note.value, 0n);
}

/** What a transfer of the wallet's own notes was for. What neither came back nor was paid or withdrawn is a relayer's fee. */
function describeOwnTransfer(
  event: TransferEvent,
  inputs: readonly OwnedNote[],
  found: readonly Found[],
  sent: (NoteMessage & { kind: 'sent' }) | undefined,
): HistoryEntry {
  const { block, transaction } = event;
  const asset = (inputs[0] as OwnedNote).note.asset;
  const back = total(found.map(({ owned }) => owned));
  const locked = found.find(({ owned }) => owned.account !== undefined)?.owned;
  const common = { asset, block, transaction, gained: undefined, account: undefined };
  const gone = total(inputs) - back;
  if (sent !== undefined && sent.asset === asset) {
    const amount = sent.value;
    // A payment to oneself has come back as well.
    const cameBack = found.some(({ owned }) => owned.note.owner === sent.recipient.owner);
    const fee = cameBack ? gone : gone - amount;
    return { ...common, kind: 'sent', amount, fee, recipient: sent.recipient, lock: undefined };
  }
  const kind = locked !== undefined ? 'locked' : inputs.some(({ note }) => note.lock) ? 'reclaimed' : 'merged';
  const amount = locked?.note.value ?? back;
  return { ...common, kind, amount, fee: gone, recipient: undefined, lock: locked?.note.lock ?? inputs[0]?.note.lock };
}
