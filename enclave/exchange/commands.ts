import type { Side } from '@bitcloak/protocol/orders';
import type { Leg, MarketTerms } from '@bitcloak/trading/market';
import type { Amendment, NewOrder, NewWithdrawal, SignedOrder } from '@bitcloak/trading/orders';
import type { Rejection } from '../engine/codes.ts';
import type { EngineEvent } from '../engine/events.ts';
import type { MarketRules } from '../engine/market.ts';
import type { FundNote } from './funds.ts';

/** What the operator may set. It is a command, so that a replay decides with what was set when it was decided. */
export type ExchangeRules = {
  /** Between a match and the end of the order or of the notes that pay for it there must be so many seconds, for the settlement to land in. */
  readonly settleSeconds: number;
  /**
   * From the plan of one settlement to the plan of the next that can spend what it left: proving, landing, confirmations and insertion. It bounds how much may
   * wait to be settled, so that all of it lands in `settleSeconds`.
   */
  readonly roundSeconds: number;
  /** Every settlement has so many, 2 to 16: fewer are filled up with the operator's own, which do nothing. */
  readonly fills: number;
  /** The longest time from now to the expiry of an order. */
  readonly orderSecondsMax: number;
  /** The longest time from now for which proceeds are locked again. */
  readonly lockSecondsMax: number;
  /** Base units that a withdrawal of an asset costs; nothing where it is not named. */
  readonly withdrawalFees: readonly (readonly [asset: bigint, fee: bigint])[];
  /** Base units of an asset that a note must have for the operator to credit it; 1 where it is not named. */
  readonly noteMins: readonly (readonly [asset: bigint, value: bigint])[];
  /**
   * So many signed orders of an owner that sell one asset can be open or unsettled. They pay with the same notes, a note is in one fill of a batch, and
   * all of them must be settled in time.
   */
  readonly ordersMax: number;
};

/** With its hash, where whoever checked the signature had to compute it: it takes a third of a millisecond. */
export type Hashed = { readonly orderHash?: bigint };

/**
 * Of an order that is to match: so many of its states, from the first on, nobody takes back on the chain; all, where it is not there. Each match may
 * take a settlement of its own, so it must not match more others at once.
 */
export type Looked = { readonly states?: number };

/** Where a journal begins, on the chain. */
export type Beginning = {
  /** Of the operator's last settlement; 0 before the first. */
  readonly sequence: number;
  /** Unix seconds of the newest block. */
  readonly time: number;
};

export type ExchangeCommand =
  /** The first of a journal. */
  | ({ readonly kind: 'begin' } & Beginning)
  | { readonly kind: 'configure'; readonly rules: ExchangeRules }
  | { readonly kind: 'addMarket'; readonly terms: MarketTerms; readonly rules: MarketRules }
  | { readonly kind: 'setTrading'; readonly market: number; readonly trading: boolean }
  /** The price that pegged orders execute at, as of a time. */
  | { readonly kind: 'setReference'; readonly market: number; readonly ticks: number; readonly time: number }
  /** Unix seconds. */
  | { readonly kind: 'setTime'; readonly time: number }
  /** Unix seconds until which the registry lets the operator settle. What cannot be settled by then is not taken on. */
  | { readonly kind: 'setActiveUntil'; readonly until: number }
  /** `told`: its owner made it; otherwise a settlement did. */
  | { readonly kind: 'credit'; readonly note: FundNote; readonly told: boolean }
  /** A note that the chain has spent. */
  | { readonly kind: 'remove'; readonly leaf: number }
  /** What is in the tree now: notes by their leaves, order states by their commitments. */
  | { readonly kind: 'inserted'; readonly leaves: readonly number[]; readonly states: readonly bigint[] }
  | ({ readonly kind: 'order' } & NewOrder & Hashed & Looked)
  | ({ readonly kind: 'amend'; readonly owner: bigint; readonly order: number } & {
      readonly amendment: Amendment & Hashed & Looked;
    })
  /** `order`: the owner's number of it. */
  | { readonly kind: 'cancel'; readonly owner: bigint; readonly order: number }
  | { readonly kind: 'cancelAll'; readonly owner: bigint; readonly market?: number }
  | ({ readonly kind: 'withdraw' } & NewWithdrawal & Hashed)
  /** Signed orders that their owners take back on the chain, each with the unix time from which nothing of it can be settled. What is open of them matches no more. */
  | { readonly kind: 'retire'; readonly tickets: readonly (readonly [ticket: number, from: number])[] }
  /** By the operator: nothing of these signed orders can be settled. Their matches come to nothing, and the batch, which was not signed yet, waits for another plan. */
  | { readonly kind: 'void'; readonly sequence: number; readonly tickets: readonly number[] }
  /** The batch is going to be signed, with that head of the journal: from now on it may land as long as it is valid. */
  | { readonly kind: 'sign'; readonly sequence: number; readonly head: bigint }
  /** Chooses the next batch: valid until that time, to be the operator's settlement of that sequence. `always`: also where nothing waits. */
  | { readonly kind: 'plan'; readonly validUntil: number; readonly sequence: number; readonly always: boolean }
  | { readonly kind: 'settled'; readonly sequence: number }
  /** The batch will never land: what it was to settle waits for another. */
  | { readonly kind: 'failed'; readonly sequence: number };

export type Refusal =
  | Rejection
  | 'rulesInvalid'
  | 'ownerUnknown'
  | 'signatureInvalid'
  | 'operatorUnknown'
  | 'orderInvalid'
  | 'orderCancelled'
  | 'orderRepeated'
  | 'clientOrderIdTaken'
  | 'ordersTooMany'
  | 'orderNotCovered'
  | 'orderTooShort'
  | 'orderTooLong'
  | 'relockInvalid'
  | 'fundsInsufficient'
  | 'withdrawalInvalid'
  | 'postOnlyLimited'
  | 'settlementBusy'
  | 'eraEnding'
  | 'batchPending';

export type ExchangeEvent =
  | Exclude<EngineEvent, { kind: 'rejected' | 'accepted' }>
  /** `number` is the owner's own, `order` the engine's. */
  | { readonly kind: 'accepted'; readonly order: number; readonly number: number }
  /** The very same was let in before, under that number, and nothing changed. */
  | { readonly kind: 'repeated'; readonly number: number }
  | { readonly kind: 'withdrawing'; readonly number: number }
  | { readonly kind: 'refused'; readonly reason: Refusal }
  /** It would match so many others, which are more than the states that were looked at; nothing changed. */
  | { readonly kind: 'unlooked'; readonly states: number }
  | { readonly kind: 'planned'; readonly fills: number }
  /** A match, or a withdrawal, that nobody can settle any more. */
  | { readonly kind: 'busted'; readonly match: number };

/** A signed order, and what came of it so far. */
export type Ticket = SignedOrder & {
  readonly id: number;
  readonly orderHash: bigint;
  /** Base units that matches gave away, settled or not. */
  sold: bigint;
  /** Unix seconds: the last at which a settlement can have it. */
  until: number;
  /** Base units and number of the fills that are on the chain. */
  filled: bigint;
  k: bigint;
  /** Whether the state after them is in the tree; there is none before the first. */
  stateInserted: boolean;
  held: bigint;
};

/** An order in the engine's books. */
export type Working = {
  /** The engine's. */
  readonly id: number;
  readonly owner: bigint;
  /** The owner's own. */
  readonly number: number;
  readonly market: number;
  readonly side: Side;
  /** What it was signed as last, and for how many lots. */
  readonly ticket: number;
  readonly signedLots: bigint;
  readonly postOnly: boolean;
  open: number;
};

/** One owner's side of a match; of a withdrawal there is only one. */
export type MatchLeg = Leg & { readonly ticket: number; readonly owner: bigint; readonly record: number };

/** A match whose sides have not been settled; they are in one batch, or nobody pays for what the other gets. */
export type Match = {
  readonly id: number;
  readonly kind: 'trade' | 'withdrawal';
  /** Of the order that came, last. */
  readonly legs: readonly MatchLeg[];
};

/** One signed order's part of a batch. */
export type PlannedFill = Leg &
  SignedOrder & {
    readonly ticket: number;
    readonly filled: bigint;
    readonly k: bigint;
    /** Leaves of the notes that it spends. */
    readonly leaves: readonly number[];
  };

export type Batch = {
  readonly validUntil: number;
  readonly sequence: number;
  readonly fills: readonly PlannedFill[];
  readonly matches: readonly number[];
  /** The journal's head that it was signed with; undefined before that. */
  readonly head: bigint | undefined;
};
