import type { ShieldedAddress } from '@bitcloak/notes/address';
import type { Lock, Nullifier } from '@bitcloak/notes/note';

/** What a wallet holds of one asset, in base units. */
export type Balance = {
  readonly asset: bigint;
  /** Can be spent now. */
  readonly spendable: bigint;
  /** Waits until its bucket is inserted into the tree. */
  readonly waiting: bigint;
  /** Locked to an operator, its expiry not reached. */
  readonly locked: bigint;
  /** Was locked, its expiry has passed: `reclaim` takes it home. */
  readonly reclaimable: bigint;
};

export type NoteStatus = 'spendable' | 'waiting' | 'locked' | 'reclaimable' | 'spent';

/** A note of the wallet as it is shown. */
export type NoteView = {
  readonly asset: bigint;
  readonly value: bigint;
  readonly status: NoteStatus;
  readonly leaf: number;
  readonly block: number;
  readonly lock: Lock | undefined;
  /** For a note that waits: how its bucket stands. */
  readonly wait: Wait | undefined;
};

/** How long a note waits for its insertion. */
export type Wait = {
  readonly bucket: number;
  /** Leaves in the bucket, of 64. */
  readonly leaves: number;
  readonly closed: boolean;
  /** Closed buckets that are inserted before this one. */
  readonly bucketsBefore: number;
  /** Seconds of block time until anyone may close the bucket; 0 where that is now or it is closed. */
  readonly closableInSeconds: bigint;
};

/** One line of the history; everything in it is recovered from the chain. */
export type HistoryEntry = {
  readonly kind:
    | 'deposited'
    | 'received'
    | 'sent'
    | 'withdrawn'
    | 'locked'
    | 'reclaimed'
    | 'merged'
    /** Sold through an operator, for `gained`. */
    | 'traded'
    /** Taken out of an operator's engine. */
    | 'released';
  readonly asset: bigint;
  /** Base units that came or went, fees not included. */
  readonly amount: bigint;
  /** Base units paid to a relayer, or to an operator for taking something out. */
  readonly fee: bigint;
  /** What a trade brought, after all fees. */
  readonly gained: { readonly asset: bigint; readonly amount: bigint } | undefined;
  readonly block: number;
  readonly transaction: string;
  /** The shielded recipient of a payment. */
  readonly recipient: ShieldedAddress | undefined;
  /** The public recipient of a withdrawal, an address below 2^160. */
  readonly account: bigint | undefined;
  readonly lock: Lock | undefined;
  /** Of what an operator settled: which settlement it was, and what it marked as spent of the order. */
  readonly settlement?: { readonly operator: number; readonly sequence: bigint; readonly orderNullifier: Nullifier };
};

/** Progress of a synchronisation, in blocks. */
export type SyncProgress = { readonly from: number; readonly done: number; readonly target: number };

/** What a spending or depositing call is doing now. */
export type Stage =
  | 'approving'
  | 'witness and proof'
  | 'simulating'
  | 'sending'
  /** The chain asks more for gas than what was sent pays: it was sent again, and one of the two lands. */
  | 'waiting at a higher gas price'
  | 'relaying'
  | 'confirming';

/** How a transfer reaches the chain. */
export type Route =
  | { readonly kind: 'direct' }
  /** Through a relayer, which takes at most `feeMax` base units of the asset that is spent. */
  | { readonly kind: 'relayer'; readonly url: string; readonly feeMax: bigint };

/** The end of a call that changed the chain. */
export type Outcome = {
  readonly transaction: string;
  readonly block: number;
  /** Of a transaction of one's own: what a relayer paid is not looked up. */
  readonly gasUsed?: bigint;
  /** Base units paid to a relayer. */
  readonly fee: bigint;
  /** Milliseconds spent on witness and proof; 0 where none was needed. */
  readonly proofMs: number;
};
