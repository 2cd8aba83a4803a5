import type { PoolEvent } from '@bitcloak/chain/events';
import { Ledger, type LedgerSnapshot } from '@bitcloak/chain/ledger';
import { openSlots, type OpenedSlot } from '@bitcloak/crypto/noteEncryption';
import type { OwnerKeys, ViewingKey } from '@bitcloak/notes/keys';
import { decodeMessage, type NoteMessage } from '@bitcloak/notes/message';
import {
  blindingFrom,
  commitmentOf,
  nullifierOf,
  type Commitment,
  type Note,
  type Nullifier,
} from '@bitcloak/notes/note';
import { Bucket, placeOf, type Siblings } from '@bitcloak/notes/tree';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { SLOTS_PER_NOTE } from '@bitcloak/protocol/parameters';
import type { HistoryEntry } from './types.ts';

/** Which of a seed's keys a note belongs to: undefined for the main ones, else a trading account's. */
export type AccountOf = { readonly operatorId: bigint; readonly index: number } | undefined;

/** A note that the wallet can open. */
export type OwnedNote = {
  readonly note: Note;
  readonly account: AccountOf;
  readonly leaf: number;
  readonly block: number;
  readonly nullifier: Nullifier;
  /** From the leaf to its bucket's root, once the bucket is inserted. */
  bucketPath: readonly Siblings[] | undefined;
  spent: boolean;
};

/** What `WalletState.save` gives; plain data. */
export type WalletSnapshot = { ledger: LedgerSnapshot; notes: OwnedNote[]; history: HistoryEntry[] };

type TransferEvent = PoolEvent & { kind: 'transferred' };
type Found = { owned: OwnedNote; message: NoteMessage };

/** Everything that a viewing key sees on the chain, followed from the pool's events. */
export class WalletState {
  readonly ledger: Ledger;
  readonly #viewing: ViewingKey;
  readonly #notes: Map<Nullifier, OwnedNote>;
  readonly #history: HistoryEntry[];
  /** Notes by the bucket whose insertion they wait for. */
  readonly #waiting = new Map<number, OwnedNote[]>();
  /** The transfer of this wallet that a withdrawal event may belong to. */
  #lastOwnTransfer: { transaction: string; logIndex: number; entry: HistoryEntry } | undefined;

  constructor(viewing: ViewingKey, snapshot?: WalletSnapshot) {
    this.#viewing = viewing;
    this.ledger = snapshot === undefined ? new Ledger() : Ledger.restore(snapshot.ledger);
    this.#notes = new Map(snapshot?.notes.map((owned) => [owned.nullifier, { ...owned }]));
    for (const owned of this.#notes.values()) if (owned.bucketPath === undefined) this.#await(owned);
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
    if (event.kind === 'inserted') this.#keepPaths(event);
    this.ledger.apply(event);
    if (event.kind === 'deposited') {
      const [found] = this.#find(event, event.leaf, [event.commitment], this.#open(event.ciphertext));
      if (found !== undefined)
        this.#record(event, found.owned, found.owned.account === undefined ? 'deposited' : 'locked');
    } else if (event.kind === 'transferred') {
      this.#applyTransfer(event);
    } else if (event.kind === 'withdrawn') {
      this.#applyWithdrawal(event);
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
  ): Found[] {
    const found: Found[] = [];
    for (const { opened, message } of slots) {
      const output = Math.floor(opened.slot / SLOTS_PER_NOTE);
      const described = this.#describe(message, opened);
      if (described === undefined || described.note.value === 0n) continue;
      const { note, account, keys } = described;
      const commitment = commitmentOf(note);
      if (commitment !== commitments[output]) continue;
      const leaf = firstLeaf + output;
      const nullifier = nullifierOf(keys.nullifierKey, commitment, placeOf(leaf).treeIndex);
      if (this.#notes.has(nullifier)) continue;
      const owned: OwnedNote = {
        note,
        account,
        leaf,
        block: event.block,
        nullifier,
        bucketPath: undefined,
        spent: false,
      };
      this.#notes.set(nullifier, owned);
      this.#await(owned);
      found.push({ owned, message });
    }
    return found;
  }

  #describe(message: NoteMessage, opened: OpenedSlot): { note: Note; account: AccountOf; keys: OwnerKeys } | undefined {
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
    const found = this.#find(event, event.firstLeaf, event.commitments, slots);
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

  /** Before a bucket's leaves are forgotten, the paths of the wallet's own notes in it are kept, and its root is checked. */
  #keepPaths(event: PoolEvent & { kind: 'inserted' }): void {
    const own = this.#waiting.get(event.bucket);
    if (own === undefined) return;
    const bucket = new Bucket(this.ledger.leavesOf(event.bucket));
    if (bucket.root() !== event.bucketRoot) {
      throw new BitcloakError('ENDPOINT_INCONSISTENT', `the root of bucket ${event.bucket} is not that of its leaves`);
    }
    for (const owned of own) owned.bucketPath = bucket.path(placeOf(owned.leaf).position);
    this.#waiting.delete(event.bucket);
  }

  #await(owned: OwnedNote): void {
    const { bucket } = placeOf(owned.leaf);
    this.#waiting.set(bucket, [...(this.#waiting.get(bucket) ?? []), owned]);
  }

  #record(event: PoolEvent, { note }: OwnedNote, kind: HistoryEntry['kind']): void {
    const { block, transaction } = event;
    const { asset, value: amount, lock } = note;
    const entry = { kind, asset, amount, fee: 0n, block, transaction, recipient: undefined, account: undefined, lock };
    this.#history.push(entry);
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
  const common = { asset, block, transaction, account: undefined };
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
