import { createHash } from 'node:crypto';
import type { Signature } from '@bitcloak/crypto/eddsa';
import { orderHashOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import { SETTLEMENT_FILLS_MAX, SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
import type { Rejection, Side } from '../engine/codes.ts';
import type { NewOrder } from '../engine/commands.ts';
import { Engine } from '../engine/engine.ts';
import type { EngineEvent } from '../engine/events.ts';
import type { MarketRules } from '../engine/market.ts';
import type { Snapshot as EngineSnapshot } from '../engine/snapshot.ts';
import { Funds, type FundNote } from './funds.ts';
import { isCovered, legOf, type Leg, type MarketTerms } from './market.ts';

export type ExchangeOptions = {
  readonly operatorId: bigint;
  /** Between a match and the end of the order or of the notes that pay for it there must be so many seconds, for the settlement to land in. */
  readonly settleSeconds: number;
};

/** A new order with what its owner signed; the engine's expiry follows from that. */
export type OrderRequest = Omit<NewOrder, 'account' | 'expiry'> & {
  readonly order: Order;
  readonly signature: Signature;
};

export type ExchangeCommand =
  | { readonly kind: 'addMarket'; readonly terms: MarketTerms; readonly rules: MarketRules }
  /** Unix seconds. */
  | { readonly kind: 'setTime'; readonly time: number }
  | { readonly kind: 'credit'; readonly note: FundNote }
  /** A note that the chain has spent. */
  | { readonly kind: 'remove'; readonly leaf: number }
  /** What is in the tree now: notes by their leaves, order states by their commitments. */
  | { readonly kind: 'inserted'; readonly leaves: readonly number[]; readonly states: readonly bigint[] }
  | ({ readonly kind: 'order' } & OrderRequest)
  | { readonly kind: 'cancel'; readonly owner: bigint; readonly order: number }
  /** By the operator: what is open of it must not match any more. */
  | { readonly kind: 'drop'; readonly order: number }
  /** Chooses the next batch, valid until that time. */
  | { readonly kind: 'plan'; readonly validUntil: number }
  | { readonly kind: 'settled' }
  /** The batch will never land: what it was to settle waits for another. */
  | { readonly kind: 'failed' };

export type Refusal =
  | Rejection
  | 'ownerUnknown'
  | 'signatureInvalid'
  | 'orderCancelled'
  | 'orderNotCovered'
  | 'orderTooShort'
  | 'fundsInsufficient'
  | 'operatorUnknown'
  | 'batchPending';

export type ExchangeEvent =
  | Exclude<EngineEvent, { kind: 'rejected' }>
  | { readonly kind: 'refused'; readonly reason: Refusal }
  | { readonly kind: 'planned'; readonly fills: number }
  /** A match that nobody can settle any more, because an order has expired. */
  | { readonly kind: 'busted'; readonly trade: number };

/** An order gets so many fills and no more: so many of its states an operator looks at before it relies on the order. */
export const ORDER_FILLS_MAX = 8;

/** One order's part of a batch. */
export type PlannedFill = Leg & {
  readonly id: number;
  readonly order: Order;
  readonly signature: Signature;
  readonly filled: bigint;
  readonly k: bigint;
  /** Leaves of the notes that it spends. */
  readonly leaves: readonly number[];
};

export type Batch = {
  readonly validUntil: number;
  readonly fills: readonly PlannedFill[];
  readonly trades: readonly number[];
};

type Entry = {
  readonly id: number;
  readonly market: number;
  readonly side: Side;
  readonly order: Order;
  readonly orderHash: bigint;
  readonly signature: Signature;
  /** Lots of the whole order, and those that can still match. */
  readonly lots: number;
  open: number;
  /** Base units that matches gave away, settled or not. */
  sold: bigint;
  /** Base units and number of the fills that are on the chain. */
  filled: bigint;
  k: bigint;
  /** Whether the state after them is in the tree; there is none before the first. */
  stateInserted: boolean;
  held: bigint;
};

/** A match whose two sides have not been settled; they are in one batch, or nobody pays for what the other gets. */
type Unsettled = { readonly trade: number; readonly legs: readonly (Leg & { readonly id: number })[] };

export type ExchangeSnapshot = {
  readonly engine: EngineSnapshot;
  readonly markets: readonly MarketTerms[];
  readonly owners: readonly bigint[];
  readonly entries: readonly Entry[];
  readonly unsettled: readonly Unsettled[];
  readonly notes: readonly FundNote[];
  readonly batch: Batch | undefined;
  readonly time: number;
};

/**
 * The operator's state: the engine's books, who may trade in them with what, and what is to be settled. It changes by commands alone, the same
 * commands give the same state, and it knows no keys: signatures are checked before an order comes here, proofs are made of what it plans.
 */
export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #engine: Engine;
  readonly #funds = new Funds();
  readonly #markets = new Map<number, MarketTerms>();
  /** The engine's number of each owner who ever traded. */
  readonly #accounts = new Map<bigint, number>();
  readonly #entries = new Map<number, Entry>();
  #unsettled: Unsettled[] = [];
  #batch: Batch | undefined;
  #time = 0;

  constructor(options: ExchangeOptions, snapshot?: ExchangeSnapshot) {
    this.#options = options;
    this.#engine = snapshot === undefined ? new Engine() : Engine.restore(snapshot.engine);
    if (snapshot === undefined) return;
    for (const terms of snapshot.markets) this.#markets.set(terms.market, terms);
    snapshot.owners.forEach((owner, account) => this.#accounts.set(owner, account));
    for (const note of snapshot.notes) this.#funds.credit({ ...note });
    for (const entry of snapshot.entries) {
      this.#entries.set(entry.id, { ...entry });
      this.#funds.hold(entry.order.owner, entry.order.sellAsset, entry.held);
    }
    this.#unsettled = [...snapshot.unsettled];
    this.#batch = snapshot.batch;
    this.#time = snapshot.time;
  }

  save(): ExchangeSnapshot {
    return {
      engine: this.#engine.snapshot(),
      markets: [...this.#markets.values()],
      owners: [...this.#accounts.keys()],
      entries: [...this.#entries.values()].map((entry) => ({ ...entry })),
      unsettled: [...this.#unsettled],
      notes: this.#funds.notes().map((note) => ({ ...note })),
      batch: this.#batch,
      time: this.#time,
    };
  }

  /** Equal for equal states. */
  hash(): string {
    const text = JSON.stringify(this.save(), (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
    return createHash('sha256').update(text).digest('hex');
  }

  /** What is being settled. */
  get batch(): Batch | undefined {
    return this.#batch;
  }

  /** Matches that wait for a batch. */
  get waiting(): number {
    return this.#unsettled.length - (this.#batch?.trades.length ?? 0);
  }

  /** Unix seconds. */
  get time(): number {
    return this.#time;
  }

  notes(): readonly FundNote[] {
    return this.#funds.notes();
  }

  /** Orders that can still match. */
  openOrders(): { id: number; order: Order; k: bigint }[] {
    return [...this.#entries.values()].filter(({ open }) => open > 0).map(({ id, order, k }) => ({ id, order, k }));
  }

  /** The states of orders, after fills on the chain, that are not known to be in the tree yet. */
  awaitedStates(): { state: bigint; filled: bigint; k: bigint }[] {
    return [...this.#entries.values()]
      .filter(({ k, stateInserted }) => k > 0n && !stateInserted)
      .map(({ orderHash, filled, k }) => ({ state: orderStateOf(orderHash, filled, k), filled, k }));
  }

  /** What an owner can put into new orders, in base units. */
  available(owner: bigint, asset: bigint): bigint {
    return this.#funds.available(owner, asset, this.#time + 2 * this.#options.settleSeconds);
  }

  apply(command: ExchangeCommand): ExchangeEvent[] {
    switch (command.kind) {
      case 'addMarket': {
        const events = this.#engine.apply({ kind: 'addMarket', ...command.rules, trading: true });
        if (events[0]?.kind === 'marketAdded') this.#markets.set(command.terms.market, command.terms);
        return this.#follow(events);
      }
      case 'setTime':
        return this.#setTime(command.time);
      case 'credit':
        this.#funds.credit({ ...command.note });
        return [];
      case 'remove':
        this.#funds.remove(command.leaf);
        return [];
      case 'inserted':
        this.#applyInserted(command.leaves, command.states);
        return [];
      case 'order':
        return this.#submit(command);
      case 'cancel':
        return this.#follow(
          this.#engine.apply({ kind: 'cancel', account: this.#accountOf(command.owner), order: command.order }),
        );
      case 'drop':
        return this.#drop(command.order);
      case 'plan':
        return this.#plan(command.validUntil);
      case 'settled':
        return this.#applySettled();
      case 'failed':
        this.#batch = undefined;
        return [];
    }
  }

  /** Orders whose notes went away, or will be gone too soon, leave the books before anybody relies on them: the newest first. */
  #setTime(time: number): ExchangeEvent[] {
    const events = this.#follow(this.#engine.apply({ kind: 'setTime', time }));
    if (events[0]?.kind === 'refused') return events;
    this.#time = time;
    for (const { id, order } of [...this.#entries.values()].reverse()) {
      const short = this.#funds.available(order.owner, order.sellAsset, time + this.#options.settleSeconds) < 0n;
      if (!short || (this.#entries.get(id)?.open ?? 0) === 0) continue;
      events.push(...this.#drop(id));
    }
    return events;
  }

  #drop(order: number): ExchangeEvent[] {
    return this.#follow(this.#engine.apply({ kind: 'reduce', order, lots: 0 }));
  }

  #accountOf(owner: bigint): number {
    const account = this.#accounts.get(owner) ?? this.#accounts.size;
    this.#accounts.set(owner, account);
    return account;
  }

  #submit({ kind: _kind, order, signature, ...request }: OrderRequest & { kind: 'order' }): ExchangeEvent[] {
    const refuse = (reason: Refusal): ExchangeEvent[] => [{ kind: 'refused', reason }];
    const terms = this.#markets.get(request.market);
    if (terms === undefined) return refuse('marketUnknown');
    if (order.operatorId !== this.#options.operatorId) return refuse('operatorUnknown');
    const { side, price, lots } = request;
    // The engine refuses what is no quantity at all; here nothing must be computed with it.
    if (!Number.isSafeInteger(price) || !Number.isSafeInteger(lots)) return refuse('lotsInvalid');
    if (!isCovered(terms, side, price, lots, order)) return refuse('orderNotCovered');
    const expiry = Number(order.expiry) - this.#options.settleSeconds;
    if (expiry <= this.#time) return refuse('orderTooShort');
    if (this.available(order.owner, order.sellAsset) < order.sellMax) return refuse('fundsInsufficient');
    const dated = request.timeInForce === 'gtc' ? { timeInForce: 'gtd' as const, expiry } : {};
    const events = this.#engine.apply({ kind: 'submit', account: this.#accountOf(order.owner), ...request, ...dated });
    const accepted = events.find((event) => event.kind === 'accepted');
    if (accepted === undefined) return this.#follow(events);
    const { order: id } = accepted;
    const entry: Entry = {
      id,
      market: request.market,
      side,
      order,
      orderHash: orderHashOf(order),
      signature,
      lots,
      open: lots,
      sold: 0n,
      filled: 0n,
      k: 0n,
      stateInserted: false,
      held: 0n,
    };
    this.#entries.set(id, entry);
    this.#hold(entry);
    return this.#follow(events);
  }

  /** Keeps entries and holds in step with what the engine did. */
  #follow(events: readonly EngineEvent[]): ExchangeEvent[] {
    return events.map((event) => {
      if (event.kind === 'traded') this.#applyTrade(event);
      if (event.kind === 'cancelled' || event.kind === 'reduced') this.#close(event.order, event.lots);
      return event.kind === 'rejected' ? { kind: 'refused', reason: event.reason } : event;
    });
  }

  #applyTrade({ trade, maker, taker, price, lots }: EngineEvent & { kind: 'traded' }): void {
    const legs = [maker, taker].map((id) => {
      const entry = this.#entry(id);
      const leg = legOf(this.#terms(entry.market), entry.side, price, lots, id === maker);
      entry.sold += leg.sold;
      this.#close(id, lots);
      return { id, ...leg };
    });
    this.#unsettled.push({ trade, legs });
  }

  /** Lots that can no longer match. */
  #close(id: number, lots: number): void {
    const entry = this.#entry(id);
    entry.open -= lots;
    this.#hold(entry);
    this.#forgetIfDone(entry);
  }

  /** An order holds what its open lots may still sell and what it sold without having settled it. */
  #hold(entry: Entry): void {
    const { order, lots, open } = entry;
    const share = (order.sellMax * BigInt(open) + BigInt(lots) - 1n) / BigInt(lots);
    const held = share + entry.sold - entry.filled;
    this.#funds.hold(order.owner, order.sellAsset, held - entry.held);
    entry.held = held;
  }

  #forgetIfDone(entry: Entry): void {
    if (entry.open === 0 && entry.sold === entry.filled) this.#entries.delete(entry.id);
  }

  #applyInserted(leaves: readonly number[], states: readonly bigint[]): void {
    for (const leaf of leaves) this.#funds.markInserted(leaf);
    if (states.length === 0) return;
    for (const entry of this.#entries.values()) {
      if (entry.k === 0n || entry.stateInserted) continue;
      entry.stateInserted = states.includes(orderStateOf(entry.orderHash, entry.filled, entry.k));
    }
  }

  /**
   * Takes the matches in their order, each with both its sides or not at all, as far as there are fills, notes in the tree and assets for residuals. A match
   * that does not fit is passed over: another's notes may be ready earlier.
   */
  #plan(validUntil: number): ExchangeEvent[] {
    if (this.#batch !== undefined) return [{ kind: 'refused', reason: 'batchPending' }];
    const events = this.#bust();
    let fills = new Map<number, PlannedFill>();
    const trades: number[] = [];
    for (const { trade, legs } of this.#unsettled) {
      const sums = new Map([...fills].map(([id, { sold, bought }]): [number, Leg] => [id, { sold, bought }]));
      for (const { id, sold, bought } of legs) {
        const before = sums.get(id) ?? { sold: 0n, bought: 0n };
        sums.set(id, { sold: before.sold + sold, bought: before.bought + bought });
      }
      const next = this.#fund(sums, validUntil);
      if (next === undefined) continue;
      fills = next;
      trades.push(trade);
    }
    if (fills.size > 0) this.#batch = { validUntil, fills: [...fills.values()], trades };
    return [...events, { kind: 'planned', fills: fills.size }];
  }

  #bust(): ExchangeEvent[] {
    const isDead = ({ legs }: Unsettled) => legs.some(({ id }) => this.#entry(id).order.expiry <= BigInt(this.#time));
    const dead = this.#unsettled.filter(isDead);
    this.#unsettled = this.#unsettled.filter((match) => !dead.includes(match));
    return dead.map(({ trade, legs }) => {
      for (const { id, sold } of legs) {
        const entry = this.#entry(id);
        entry.sold -= sold;
        this.#hold(entry);
        this.#forgetIfDone(entry);
      }
      return { kind: 'busted', trade };
    });
  }

  /** Finds notes for every order of a batch; undefined where it cannot be settled like that. */
  #fund(sums: ReadonlyMap<number, Leg>, validUntil: number): Map<number, PlannedFill> | undefined {
    if (sums.size > SETTLEMENT_FILLS_MAX) return undefined;
    const taken = new Set<number>();
    const assets = new Set<bigint>();
    const fills = new Map<number, PlannedFill>();
    for (const [id, leg] of sums) {
      const { market, order, signature, filled, k, stateInserted } = this.#entry(id);
      // Fees are what is left over, in the quote asset.
      assets.add(this.#terms(market).quote);
      if (order.expiry < BigInt(validUntil) || (k > 0n && !stateInserted)) return undefined;
      const notes = this.#funds.choose(order.owner, order.sellAsset, leg.sold, validUntil, taken);
      if (notes === undefined) return undefined;
      for (const { leaf } of notes) taken.add(leaf);
      fills.set(id, { id, order, signature, filled, k, leaves: notes.map(({ leaf }) => leaf), ...leg });
    }
    return assets.size > SETTLEMENT_RESIDUALS ? undefined : fills;
  }

  #applySettled(): ExchangeEvent[] {
    const batch = this.#batch;
    if (batch === undefined) return [];
    this.#batch = undefined;
    const events: ExchangeEvent[] = [];
    this.#unsettled = this.#unsettled.filter(({ trade }) => !batch.trades.includes(trade));
    for (const { id, sold } of batch.fills) {
      const entry = this.#entry(id);
      entry.filled += sold;
      entry.k += 1n;
      entry.stateInserted = false;
      this.#hold(entry);
      this.#forgetIfDone(entry);
      // One fill is kept for what has matched already and is not settled.
      if (entry.open > 0 && entry.k >= BigInt(ORDER_FILLS_MAX - 1)) events.push(...this.#drop(id));
    }
    return events;
  }

  #entry(id: number): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`the engine speaks of order ${id}, which is not there`);
    return entry;
  }

  #terms(market: number): MarketTerms {
    const terms = this.#markets.get(market);
    if (terms === undefined) throw new Error(`the engine speaks of market ${market}, which is not there`);
    return terms;
  }
}
