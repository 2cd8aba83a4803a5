import { createHash } from 'node:crypto';
import { orderHashOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import { feeOf, isCovered, legOf, signedLots, type MarketTerms } from '@bitcloak/trading/market';
import type { NewOrder, NewWithdrawal, SignedOrder } from '@bitcloak/trading/orders';
import type { BalanceRecord, OrderRecord, RecordsFrom } from '@bitcloak/trading/records';
import type { DropReason, NewOrder as EngineOrder } from '../engine/commands.ts';
import { Engine } from '../engine/engine.ts';
import type { EngineEvent } from '../engine/events.ts';
import type { MarketState } from '../engine/market.ts';
import type { Snapshot as EngineSnapshot } from '../engine/snapshot.ts';
import { isProvable } from './admission.ts';
import { Blotter, type BlotterSnapshot, type Written } from './blotter.ts';
import type {
  Batch,
  Beginning,
  ExchangeCommand,
  ExchangeEvent,
  ExchangeRules,
  Hashed,
  Looked,
  Match,
  MatchLeg,
  Refusal,
  Ticket,
  Working,
} from './commands.ts';
import { Funds, type FundNote } from './funds.ts';
import { EXCHANGE_LIMITS, type ExchangeLimits } from './limits.ts';
import { areRulesValid, areTermsValid, BATCH_SECONDS, capacityOf, RULES_AT_FIRST } from './rules.ts';
import { chooseBatch, inTurn } from './settling.ts';

/** A signed order with so many fills matches no more: each further one waits for the insertion of the last. */
export const ORDER_FILLS_MAX = 8;

/** Post-only orders of one owner that are refused, because they would trade, in an hour; then all are until the next. */
export const POST_ONLY_REFUSALS_PER_HOUR = 16;

/** Once half of what may wait to be settled does, an owner's orders bring more only while they brought less than this part of what is left. */
const WAITING_SHARE = 5;

/** Of the heads that settlements were signed with so many are known: the newest that is on the chain is among them. */
const ANCHORS_KEPT = 64;

/** Plain data of which an exchange can be made again. */
export type ExchangeSnapshot = {
  readonly begun: Beginning;
  readonly engine: EngineSnapshot;
  readonly rules: ExchangeRules;
  readonly activeUntil: number;
  readonly markets: readonly MarketTerms[];
  readonly owners: readonly bigint[];
  readonly tickets: readonly Ticket[];
  readonly working: readonly Working[];
  readonly matches: readonly Match[];
  readonly notes: readonly FundNote[];
  readonly blotter: BlotterSnapshot;
  readonly batch: Batch | undefined;
  readonly anchors: readonly bigint[];
  readonly lastTicket: number;
  readonly lastMatch: number;
  readonly time: number;
};

/**
 * The operator's state: the engine's books, who may trade in them with what, and what is to be settled. It changes by commands alone, the same
 * commands give the same state, and it knows no keys: signatures are checked before an order comes here, proofs are made of what it plans.
 */
export class Exchange {
  readonly #operatorId: bigint;
  readonly #limits: ExchangeLimits;
  readonly #engine: Engine;
  readonly #funds = new Funds();
  readonly #blotter: Blotter;
  #begun: Beginning = { sequence: 0, time: 0 };
  #rules = RULES_AT_FIRST;
  #activeUntil = Number.MAX_SAFE_INTEGER;
  readonly #markets = new Map<number, MarketTerms>();
  /** The engine's number of each owner who ever traded. */
  readonly #accounts = new Map<bigint, number>();
  readonly #tickets = new Map<number, Ticket>();
  /** By the engine's number of the order. */
  readonly #working = new Map<number, Working>();
  /** The same, by the signed order, and by its owner and his number of it. */
  readonly #workingOf = new Map<number, Working>();
  readonly #numbers = new Map<bigint, Map<number, number>>();
  readonly #matches = new Map<number, Match>();
  /** How many of them a signed order has. */
  readonly #matchesOf = new Map<number, number>();
  /** Signed orders of which something waits to be settled. */
  readonly #unsettled = { trade: new Set<number>(), withdrawal: new Set<number>() };
  #batch: Batch | undefined;
  #anchors: readonly bigint[] = [];
  #lastTicket = 0;
  #lastMatch = 0;
  #time = 0;

  constructor(operatorId: bigint, snapshot?: ExchangeSnapshot, limits = EXCHANGE_LIMITS) {
    this.#operatorId = operatorId;
    this.#limits = limits;
    this.#engine = snapshot === undefined ? new Engine() : Engine.restore(snapshot.engine);
    this.#blotter = new Blotter(snapshot?.blotter, limits);
    if (snapshot === undefined) return;
    this.#begun = snapshot.begun;
    this.#rules = snapshot.rules;
    this.#activeUntil = snapshot.activeUntil;
    for (const terms of snapshot.markets) this.#markets.set(terms.market, terms);
    snapshot.owners.forEach((owner, account) => this.#accounts.set(owner, account));
    for (const note of snapshot.notes) this.#funds.credit({ ...note });
    for (const ticket of snapshot.tickets) {
      this.#tickets.set(ticket.id, { ...ticket });
      this.#funds.countOrder(ticket.order.owner, ticket.order.sellAsset, 1);
      this.#funds.hold(ticket.order.owner, ticket.order.sellAsset, ticket.held);
      this.#countUnsettled(ticket);
    }
    for (const working of snapshot.working) this.#addWorking({ ...working });
    for (const match of snapshot.matches) this.#keepMatch(match);
    this.#batch = snapshot.batch;
    this.#anchors = snapshot.anchors;
    this.#lastTicket = snapshot.lastTicket;
    this.#lastMatch = snapshot.lastMatch;
    this.#time = snapshot.time;
  }

  /** To be written, or copied, before the next command. */
  save(): ExchangeSnapshot {
    return {
      begun: this.#begun,
      engine: this.#engine.snapshot(),
      rules: this.#rules,
      activeUntil: this.#activeUntil,
      markets: [...this.#markets.values()],
      owners: [...this.#accounts.keys()],
      tickets: [...this.#tickets.values()].map((ticket) => ({ ...ticket })),
      working: [...this.#working.values()].map((working) => ({ ...working })),
      matches: [...this.#matches.values()],
      notes: this.#funds.notes().map((note) => ({ ...note })),
      blotter: this.#blotter.save(),
      batch: this.#batch,
      anchors: this.#anchors,
      lastTicket: this.#lastTicket,
      lastMatch: this.#lastMatch,
      time: this.#time,
    };
  }

  /** Equal for equal states. */
  hash(): string {
    const plain = (_key: string, value: unknown): unknown => {
      if (typeof value === 'bigint') return `${value}n`;
      return value instanceof Map ? [...(value as Map<unknown, unknown>)] : value;
    };
    return createHash('sha256').update(JSON.stringify(this.save(), plain)).digest('hex');
  }

  /** Where the journal of its commands begins. */
  get begun(): Beginning {
    return this.#begun;
  }

  get rules(): ExchangeRules {
    return this.#rules;
  }

  /** Unix seconds until which the registry lets the operator settle, as it was told last. */
  get activeUntil(): number {
    return this.#activeUntil;
  }

  /** What is being settled. */
  get batch(): Batch | undefined {
    return this.#batch;
  }

  /** The journal's heads that its last settlements were signed with. */
  get anchors(): readonly bigint[] {
    return this.#anchors;
  }

  /** Matches that wait for a batch. */
  get waiting(): number {
    return this.#matches.size - (this.#batch?.matches.length ?? 0);
  }

  /** Unix seconds. */
  get time(): number {
    return this.#time;
  }

  /** What happened to each owner. */
  get records(): Omit<Blotter, 'takeWritten'> {
    return this.#blotter;
  }

  /** From where on an owner's records are whole. */
  recordsFrom(owner: bigint): RecordsFrom {
    const { sequence } = this.#begun;
    // After the settlement that the journal begins with one more may have been on its way, of the journal before.
    return { ...this.#blotter.wholeFrom(owner), settlement: sequence === 0 ? 1 : sequence + 2 };
  }

  /** The reports of the commands since it was asked last. */
  takeReports(): Written[] {
    return this.#blotter.takeWritten();
  }

  markets(): { terms: MarketTerms; state: MarketState }[] {
    return [...this.#markets.values()].flatMap((terms) => {
      const state = this.#engine.market(terms.market);
      return state === undefined ? [] : [{ terms, state }];
    });
  }

  notes(): readonly FundNote[] {
    return this.#funds.notes();
  }

  ticket(id: number): Ticket | undefined {
    return this.#tickets.get(id);
  }

  /** Signed orders that can still match, or that were not settled yet. */
  tickets(): Ticket[] {
    return [...this.#tickets.values()];
  }

  /** Whether a signed order can still match. */
  isOpen(ticket: number): boolean {
    return this.#workingOf.has(ticket);
  }

  /** Matches of a signed order that wait to be settled: each takes one settlement at most, and one state of the order. */
  matchesOf(ticket: number): number {
    return this.#matchesOf.get(ticket) ?? 0;
  }

  /** The states of orders, after fills on the chain, that are not known to be in the tree yet. */
  awaitedStates(): { state: bigint; filled: bigint; k: bigint }[] {
    return [...this.#tickets.values()]
      .filter(({ k, stateInserted }) => k > 0n && !stateInserted)
      .map(({ orderHash, filled, k }) => ({ state: orderStateOf(orderHash, filled, k), filled, k }));
  }

  /** What an owner can put into new orders, in base units. */
  available(owner: bigint, asset: bigint): bigint {
    return this.#funds.available(owner, asset, this.#time + 2 * this.#rules.settleSeconds);
  }

  /** Whether a note is of an asset that is traded here, and large enough to be credited. */
  isCredited(asset: bigint, value: bigint): boolean {
    const isTraded = [...this.#markets.values()].some(({ base, quote }) => base === asset || quote === asset);
    return isTraded && value >= this.#noteMin(asset);
  }

  balances(owner: bigint): BalanceRecord[] {
    return this.#funds.assetsOf(owner).map((asset) => {
      const notes = this.#funds.notesOf(owner, asset);
      const worth = (counted: readonly FundNote[]) => counted.reduce((sum, { value }) => sum + value, 0n);
      const available = this.available(owner, asset);
      return {
        asset,
        total: worth(notes),
        available: available > 0n ? available : 0n,
        held: this.#funds.held(owner, asset),
        waiting: worth(notes.filter(({ inserted }) => !inserted)),
      };
    });
  }

  apply(command: ExchangeCommand): ExchangeEvent[] {
    switch (command.kind) {
      case 'begin':
        this.#begun = { sequence: command.sequence, time: command.time };
        return [];
      case 'configure':
        return this.#configure(command.rules);
      case 'addMarket': {
        if (!areTermsValid(command.terms, command.rules.market)) return refuse('marketInvalid');
        const events = this.#engine.apply({ kind: 'addMarket', ...command.rules, trading: true });
        if (events[0]?.kind === 'marketAdded') this.#markets.set(command.terms.market, command.terms);
        return this.#follow(events);
      }
      case 'setReference':
        return this.#setReference(command);
      case 'setTrading':
        return this.#follow(this.#engine.apply(command));
      case 'setActiveUntil':
        this.#activeUntil = command.until;
        return [];
      case 'setTime':
        return this.#setTime(command.time);
      case 'credit':
        return this.#credit(command.note, command.told);
      case 'remove':
        return this.#remove(command.leaf);
      case 'inserted':
        return this.#applyInserted(command.leaves, command.states);
      case 'order':
        return this.#submit(command);
      case 'amend':
        return this.#amend(command);
      case 'cancel':
        return this.#cancel(command.owner, command.order);
      case 'cancelAll': {
        const { owner, market } = command;
        const account = this.#accountOf(owner);
        return this.#follow(
          this.#engine.apply({ kind: 'cancelAll', account, ...(market === undefined ? {} : { market }) }),
        );
      }
      case 'withdraw':
        return this.#withdraw(command);
      case 'retire':
        return command.tickets.flatMap(([ticket, from]) => this.#retire(ticket, from));
      case 'void':
        return this.#batchOf(command.sequence) === undefined ? [] : this.#void(command.tickets);
      case 'plan':
        return this.#plan(command);
      case 'sign':
        return this.#sign(command.sequence, command.head);
      case 'settled':
        return this.#applySettled(this.#batchOf(command.sequence));
      case 'failed':
        if (this.#batchOf(command.sequence) !== undefined) this.#batch = undefined;
        return [];
    }
  }

  #configure(rules: ExchangeRules): ExchangeEvent[] {
    if (!areRulesValid(rules)) return refuse('rulesInvalid');
    this.#rules = rules;
    return [];
  }

  /** Orders whose notes went away, or will be gone too soon, leave the books before anybody relies on them: the newest first. */
  #setTime(time: number): ExchangeEvent[] {
    const expired = this.#engine.apply({ kind: 'setTime', time });
    if (expired[0]?.kind === 'rejected') return this.#follow(expired);
    this.#time = time;
    const events = this.#follow(expired);
    this.#blotter.forgetExpired(time);
    // The lock has to hold for as long as the match may wait.
    const soon = time + this.#rules.settleSeconds;
    for (const { owner, asset } of this.#funds.overdrawn(soon)) {
      for (const id of [...(this.#numbers.get(owner)?.values() ?? [])].reverse()) {
        const { ticket } = this.#find(id);
        if (this.#ticket(ticket).order.sellAsset !== asset) continue;
        events.push(...this.#drop(ticket, 'funds'));
        if (this.#funds.available(owner, asset, soon) >= 0n) break;
      }
    }
    return events;
  }

  #credit(note: FundNote, told: boolean): ExchangeEvent[] {
    if (this.#funds.note(note.leaf) !== undefined) return [];
    this.#funds.credit({ ...note });
    const { owner, asset, value } = note;
    if (told) this.#blotter.report(owner, this.#time, { kind: 'credited', asset, amount: value });
    return [];
  }

  #remove(leaf: number): ExchangeEvent[] {
    const note = this.#funds.note(leaf);
    if (note === undefined) return [];
    this.#funds.remove(leaf);
    const isSettled = this.#batch?.fills.some(({ leaves }) => leaves.includes(leaf)) ?? false;
    const { owner, asset, value } = note;
    if (!isSettled) this.#blotter.report(owner, this.#time, { kind: 'debited', asset, amount: value });
    return [];
  }

  #applyInserted(leaves: readonly number[], states: readonly bigint[]): ExchangeEvent[] {
    for (const leaf of leaves) this.#funds.markInserted(leaf);
    if (states.length === 0) return [];
    for (const ticket of this.#tickets.values()) {
      if (ticket.k === 0n || ticket.stateInserted) continue;
      ticket.stateInserted = states.includes(orderStateOf(ticket.orderHash, ticket.filled, ticket.k));
    }
    return [];
  }

  /** Whether what is matched now can be settled while the registry lets the operator settle. */
  get #canTrade(): boolean {
    return this.#time + this.#rules.settleSeconds < this.#activeUntil;
  }

  /**
   * It matches pegged orders, which were let in before: where as much waits already as may, those wait too. The price counts all the same, since
   * whoever could keep it as it was would trade at an old one.
   */
  #setReference(command: ExchangeCommand & { kind: 'setReference' }): ExchangeEvent[] {
    if (!this.#canTrade) return refuse('eraEnding');
    return this.#follow(this.#engine.apply({ ...command, matching: this.#room('trade').isThere }));
  }

  /** What speaks against one more signed order of an owner, in the place of another one or not. */
  #tooMuch(kind: Match['kind'], owner: bigint, replaced: 0 | 1 = 0): Refusal | undefined {
    // Orders that rest cost nothing, so they must not keep anybody from leaving: withdrawals have only the bound of what may wait.
    const trading = this.#tickets.size - this.#unsettled.withdrawal.size - replaced;
    if (kind === 'trade' && trading >= this.#limits.tickets) return 'engineFull';
    const { isThere, orders, matches, isPlenty } = this.#room(kind);
    if (!isThere) return 'settlementBusy';
    if (isPlenty) return undefined;
    const own = this.#brought(kind, owner);
    const isLittle = own.orders * WAITING_SHARE < orders && own.matches * WAITING_SHARE < matches;
    return isLittle ? undefined : 'settlementBusy';
  }

  /** How much more may wait to be settled. Trades and withdrawals count apart, so that neither keep the others out. */
  #room(kind: Match['kind']): { isThere: boolean; isPlenty: boolean; orders: number; matches: number } {
    const capacity = capacityOf(this.#rules);
    const { withdrawal } = this.#unsettled;
    // A withdrawal is one match.
    const waiting = kind === 'withdrawal' ? withdrawal.size : this.#matches.size - withdrawal.size;
    const orders = capacity - this.#unsettled[kind].size;
    const matches = this.#limits.matches - waiting;
    const isPlenty = 2 * orders > capacity && 2 * matches > this.#limits.matches;
    return { isThere: orders > 0 && matches > 0, isPlenty, orders, matches };
  }

  /**
   * The matches that wait because an owner's orders came, and how many signed orders they are of: his own and those that they met. Whoever rests
   * cannot help being met, and has none of them count.
   */
  #brought(kind: Match['kind'], owner: bigint): { orders: number; matches: number } {
    const brought = [...this.#matches.values()].filter(
      (match) => match.kind === kind && match.legs.at(-1)?.owner === owner,
    );
    const orders = new Set(brought.flatMap(({ legs }) => legs.map(({ ticket }) => ticket)));
    return { orders: orders.size, matches: brought.length };
  }

  #noteMin(asset: bigint): bigint {
    return this.#rules.noteMins.find(([named]) => named === asset)?.[1] ?? 1n;
  }

  /** Who asks again and again where a post-only order would trade learns a price of the hidden book for nothing. */
  #isPostOnlyLimited(owner: bigint, postOnly: boolean): boolean {
    return postOnly && this.#blotter.passiveRefusals(owner, this.#time) >= POST_ONLY_REFUSALS_PER_HOUR;
  }

  #countPassive(owner: bigint, events: readonly EngineEvent[]): readonly EngineEvent[] {
    const [first] = events;
    if (first?.kind === 'rejected' && first.reason === 'wouldTrade')
      this.#blotter.countPassiveRefusal(owner, this.#time);
    return events;
  }

  /** The engine's number of an owner; of one who never traded, the number that he would get. */
  #accountOf(owner: bigint): number {
    return this.#accounts.get(owner) ?? this.#accounts.size;
  }

  /** What speaks against a signed order, whatever it is for. */
  #checkSigned(order: Order): Refusal | undefined {
    if (order.operatorId !== this.#operatorId) return 'operatorUnknown';
    if (!isProvable(order)) return 'orderInvalid';
    const { settleSeconds, orderSecondsMax, lockSecondsMax } = this.#rules;
    const time = BigInt(this.#time);
    if (order.expiry - BigInt(settleSeconds) <= time) return 'orderTooShort';
    if (order.expiry > time + BigInt(orderSecondsMax)) return 'orderTooLong';
    const isLockValid = order.relockExpiry > time && order.relockExpiry <= time + BigInt(lockSecondsMax);
    return order.relockExpiry === 0n || isLockValid ? undefined : 'relockInvalid';
  }

  /** The answer to a signed order that came before, or whose name is taken. */
  #findUsed(
    owner: bigint,
    clientOrderId: string,
    orderHash: bigint,
    expiry: bigint,
    isWithdrawal: boolean,
  ): ExchangeEvent[] | undefined {
    const used = this.#blotter.used(owner, clientOrderId, orderHash, expiry);
    if (used.kind === 'unused') return undefined;
    if (used.kind !== 'same') return refuse(used.kind);
    return used.isWithdrawal === isWithdrawal ? [{ kind: 'repeated', number: used.number }] : refuse('orderRepeated');
  }

  #submit(command: NewOrder & Hashed & Looked & { kind: 'order' }): ExchangeEvent[] {
    const {
      kind: _kind,
      clientOrderId,
      order,
      signature,
      orderHash = orderHashOf(order),
      states,
      ...request
    } = command;
    const { owner } = order;
    const before = this.#findUsed(owner, clientOrderId, orderHash, order.expiry, false);
    if (before !== undefined) return before;
    const terms = this.#markets.get(request.market);
    if (terms === undefined) return refuse('marketUnknown');
    const { side, price, lots } = request;
    // The engine refuses what is no quantity at all; here nothing must be computed with it.
    if (!isQuantity(price) || !isQuantity(lots)) return refuse('lotsInvalid');
    const complaint = this.#checkSigned(order);
    if (complaint !== undefined) return refuse(complaint);
    if (!isCovered(terms, side, price, lots, order)) return refuse('orderNotCovered');
    const leaves = Number(order.expiry) - this.#rules.settleSeconds;
    if (request.timeInForce === 'gtd' && (request.expiry ?? 0) > leaves) return refuse('orderTooShort');
    const lotsSigned = signedLots(terms, side, order) as bigint;
    if (this.#funds.orders(owner, order.sellAsset) >= this.#rules.ordersMax) return refuse('ordersTooMany');
    if (this.available(owner, order.sellAsset) < shareOf(order, lots, lotsSigned)) return refuse('fundsInsufficient');
    const tooMuch = this.#tooMuch('trade', owner);
    if (tooMuch !== undefined) return refuse(tooMuch);
    if (!this.#canTrade) return refuse('eraEnding');

    const dated: Pick<EngineOrder, 'timeInForce' | 'expiry'> | undefined =
      // The engine refuses one that has an expiry.
      request.timeInForce === 'gtc' && (request.expiry ?? 0) === 0 ? { timeInForce: 'gtd', expiry: leaves } : undefined;
    const account = this.#accountOf(owner);
    if (this.#isPostOnlyLimited(owner, request.postOnly ?? false)) return refuse('postOnlyLimited');
    const wish = { account, ...request, ...dated };
    const unlooked = findUnlooked(states, () => this.#engine.matches(wish));
    if (unlooked !== undefined) return unlooked;
    const events = this.#engine.apply({ kind: 'submit', ...wish });
    const [first, ...others] = events;
    if (first?.kind !== 'accepted') return this.#follow(this.#countPassive(owner, events));
    this.#accounts.set(owner, account);
    const { id: ticket } = this.#open({ order, signature }, orderHash);
    const { type, timeInForce, selfTrade, postOnly = false } = request;
    const { display = 0, minimumTotal = 0, minimumMatch = 0 } = request;
    const number = this.#blotter.addOrder(owner, {
      clientOrderId,
      market: terms.market,
      side,
      type,
      timeInForce,
      selfTrade,
      postOnly,
      display,
      minimumTotal,
      minimumMatch,
      price,
      lots,
      filled: 0,
      open: lots,
      status: 'open',
      reason: undefined,
      expiry: dated?.expiry ?? request.expiry ?? leaves,
      time: this.#time,
    });
    this.#blotter.remember(owner, orderHash, order.expiry, { clientOrderId, number, isWithdrawal: false });
    const working: Working = {
      id: first.order,
      owner,
      number,
      market: terms.market,
      side,
      ticket,
      signedLots: lotsSigned,
      postOnly,
      open: lots,
    };
    this.#addWorking(working);
    this.#hold(ticket);
    this.#reportOrder('accepted', working, {});
    return [{ kind: 'accepted', order: first.order, number }, ...this.#follow(others)];
  }

  /** A new price or more lots have to be signed anew, for what stays open; what matched before is settled as it was signed then. */
  #amend({ owner, order: number, amendment }: ExchangeCommand & { kind: 'amend' }): ExchangeEvent[] {
    const working = this.#findWorking(owner, number);
    if (working === undefined) return refuse('orderUnknown');
    const record = this.#blotter.order(owner, number) as OrderRecord;
    const { price, lots, order, signature } = amendment;
    if (!isQuantity(price) || !isQuantity(lots)) return refuse('lotsInvalid');
    const open = lots - record.filled;
    if (open <= 0) return refuse('lotsInvalid');
    const account = this.#accountOf(owner);
    if (order === undefined) {
      if (price !== record.price || open > working.open) return refuse('orderNotCovered');
      return this.#follow(this.#engine.apply({ kind: 'amend', account, order: working.id, price, lots }));
    }
    const { orderHash = orderHashOf(order), states } = amendment;
    // The client's name stays that of the order; the signed order must be new all the same.
    const used = this.#blotter.used(owner, '', orderHash, order.expiry);
    if (used.kind !== 'unused') return refuse(used.kind === 'ordersTooMany' ? used.kind : 'orderRepeated');
    const complaint = this.#checkSigned(order);
    if (complaint !== undefined) return refuse(complaint);
    if (!this.#canTrade) return refuse('eraEnding');
    const terms = this.#terms(working.market);
    if (order.owner !== owner || !isCovered(terms, working.side, price, open, order)) return refuse('orderNotCovered');
    // The engine keeps the time at which the order leaves the book.
    if (Number(order.expiry) - this.#rules.settleSeconds < record.expiry) return refuse('orderTooShort');
    const lotsSigned = signedLots(terms, working.side, order) as bigint;
    const before = this.#ticket(working.ticket);
    const unsettled = before.sold - before.filled;
    // The signature of before counts on only where it has something to settle.
    const others = this.#funds.orders(owner, order.sellAsset) - (unsettled === 0n ? 1 : 0);
    if (others >= this.#rules.ordersMax) return refuse('ordersTooMany');
    const tooMuch = this.#tooMuch('trade', owner, unsettled === 0n ? 1 : 0);
    if (tooMuch !== undefined) return refuse(tooMuch);
    const freed = before.held - unsettled;
    if (this.available(owner, order.sellAsset) + freed < shareOf(order, open, lotsSigned)) {
      return refuse('fundsInsufficient');
    }
    if (this.#isPostOnlyLimited(owner, working.postOnly)) return refuse('postOnlyLimited');
    const unlooked = findUnlooked(states, () => this.#engine.matchesAmended(working.id, price, lots));
    if (unlooked !== undefined) return unlooked;
    const events = this.#engine.apply({ kind: 'amend', account, order: working.id, price, lots });
    if (events[0]?.kind !== 'amended') return this.#follow(this.#countPassive(owner, events));
    const { id: ticket } = this.#open({ order, signature }, orderHash);
    this.#blotter.remember(owner, orderHash, order.expiry, {
      clientOrderId: record.clientOrderId,
      number,
      isWithdrawal: false,
    });
    this.#removeWorking(working);
    this.#addWorking({ ...working, ticket, signedLots: lotsSigned });
    this.#hold(before.id);
    this.#forgetIfDone(before);
    return this.#follow(events);
  }

  #cancel(owner: bigint, number: number): ExchangeEvent[] {
    const working = this.#findWorking(owner, number);
    if (working === undefined) return refuse('orderUnknown');
    return this.#follow(this.#engine.apply({ kind: 'cancel', account: this.#accountOf(owner), order: working.id }));
  }

  #withdraw({
    clientOrderId,
    order,
    signature,
    orderHash = orderHashOf(order),
  }: NewWithdrawal & Hashed): ExchangeEvent[] {
    const { owner, sellAsset: asset, sellMax: amount } = order;
    const before = this.#findUsed(owner, clientOrderId, orderHash, order.expiry, true);
    if (before !== undefined) return before;
    const complaint = this.#checkSigned(order);
    if (complaint !== undefined) return refuse(complaint);
    const fee = this.#rules.withdrawalFees.find(([charged]) => charged === asset)?.[1] ?? 0n;
    const isWithdrawal = order.buyAsset === asset && amount > 0n && amount > fee;
    if (!isWithdrawal) return refuse('withdrawalInvalid');
    if (order.buyMin > amount - fee) return refuse('orderNotCovered');
    if (this.#funds.orders(owner, asset) >= this.#rules.ordersMax) return refuse('ordersTooMany');
    const available = this.available(owner, asset);
    if (available < amount) return refuse('fundsInsufficient');
    // Less than a note that would be credited is worth a fill only where it is all.
    if (amount < this.#noteMin(asset) && amount < available) return refuse('withdrawalInvalid');
    const tooMuch = this.#tooMuch('withdrawal', owner);
    if (tooMuch !== undefined) return refuse(tooMuch);
    if (this.#time + BATCH_SECONDS >= this.#activeUntil) return refuse('eraEnding');
    const ticket = this.#open({ order, signature }, orderHash);
    const times = { time: this.#time, status: 'waiting', settlement: 0 } as const;
    const withdrawal = this.#blotter.addWithdrawal(owner, { clientOrderId, asset, amount, fee, ...times });
    const { id: number } = withdrawal;
    this.#blotter.remember(owner, orderHash, order.expiry, { clientOrderId, number, isWithdrawal: true });
    ticket.sold = amount;
    this.#hold(ticket.id);
    const leg = { ticket: ticket.id, owner, record: number, sold: amount, bought: amount - fee };
    this.#addMatch({ kind: 'withdrawal', legs: [leg] });
    this.#blotter.report(owner, this.#time, { kind: 'withdrawing', withdrawal });
    return [{ kind: 'withdrawing', number }];
  }

  #drop(ticket: number, reason: DropReason): ExchangeEvent[] {
    const working = this.#workingOf.get(ticket);
    if (working === undefined) return [];
    return this.#follow(this.#engine.apply({ kind: 'drop', order: working.id, reason }));
  }

  #retire(id: number, from: number): ExchangeEvent[] {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined) return [];
    ticket.until = Math.min(ticket.until, from - 1);
    return this.#drop(id, 'takenBack');
  }

  #void(tickets: readonly number[]): ExchangeEvent[] {
    const events = tickets.flatMap((ticket) => this.#drop(ticket, 'unsettleable'));
    this.#batch = undefined;
    return [...events, ...this.#bust(({ legs }) => legs.some(({ ticket }) => tickets.includes(ticket)))];
  }

  /** Keeps orders, holds and records in step with what the engine did. */
  #follow(events: readonly EngineEvent[]): ExchangeEvent[] {
    return events.map((event) => {
      switch (event.kind) {
        case 'rejected':
          return { kind: 'refused', reason: event.reason };
        case 'accepted':
          throw new Error('an order is accepted where none was submitted');
        case 'traded':
          this.#applyTrade(event);
          return event;
        case 'reduced':
        case 'cancelled': {
          const { kind, order: id, reason, lots } = event;
          const working = this.#find(id);
          const record = this.#blotter.order(working.owner, working.number);
          const shrunk = kind === 'cancelled' ? { status: kind } : { lots: (record?.lots ?? lots) - lots };
          working.open -= lots;
          this.#reportOrder(kind, working, { open: working.open, reason, ...shrunk });
          this.#settleHold(working);
          return event;
        }
        case 'amended': {
          const working = this.#find(event.order);
          const { price, lots } = event;
          working.open = lots - (this.#blotter.order(working.owner, working.number)?.filled ?? 0);
          this.#reportOrder('amended', working, { price, lots, open: working.open });
          this.#hold(working.ticket);
          return event;
        }
        default:
          return event;
      }
    });
  }

  #applyTrade({ maker, taker, price, lots }: EngineEvent & { kind: 'traded' }): void {
    const orders = [maker, taker].map((id) => this.#find(id));
    const legs = orders.map((working) => {
      const { owner, number, market, side, ticket } = working;
      const terms = this.#terms(market);
      const isMaker = working.id === maker;
      const leg = legOf(terms, side, price, lots, isMaker);
      this.#ticket(ticket).sold += leg.sold;
      working.open -= lots;
      const record = this.#blotter.order(owner, number);
      const order = this.#blotter.changeOrder(owner, number, {
        filled: (record?.filled ?? 0) + lots,
        open: working.open,
        ...(working.open === 0 ? { status: 'filled' } : {}),
      });
      const fill = this.#blotter.addFill(owner, {
        order: number,
        market,
        side,
        role: isMaker ? 'maker' : 'taker',
        price,
        lots,
        ...leg,
        fee: feeOf(terms, price, lots, isMaker),
        time: this.#time,
        status: 'waiting',
        settlement: 0,
      });
      this.#blotter.report(owner, this.#time, { kind: 'traded', fill, order });
      this.#settleHold(working);
      return { ticket, owner, record: fill.id, ...leg };
    });
    this.#addMatch({ kind: 'trade', legs });
  }

  #addMatch(match: Omit<Match, 'id'>): void {
    this.#keepMatch({ id: ++this.#lastMatch, ...match });
  }

  #keepMatch(match: Match): void {
    this.#matches.set(match.id, match);
    for (const { ticket } of match.legs) this.#matchesOf.set(ticket, this.matchesOf(ticket) + 1);
  }

  #removeMatch({ id, legs }: Match): void {
    this.#matches.delete(id);
    for (const { ticket } of legs) {
      const left = this.matchesOf(ticket) - 1;
      if (left > 0) this.#matchesOf.set(ticket, left);
      else this.#matchesOf.delete(ticket);
    }
  }

  #reportOrder(
    kind: 'accepted' | 'amended' | 'reduced' | 'cancelled',
    { owner, number }: Working,
    changes: Partial<OrderRecord>,
  ): void {
    const order = this.#blotter.changeOrder(owner, number, changes);
    if (order !== undefined) this.#blotter.report(owner, this.#time, { kind, order });
  }

  #open(signed: SignedOrder, orderHash: bigint): Ticket {
    const id = ++this.#lastTicket;
    const nothing = { sold: 0n, filled: 0n, k: 0n, stateInserted: false, held: 0n };
    const { order, signature } = signed;
    const ticket: Ticket = { id, order, signature, orderHash, until: Number(order.expiry), ...nothing };
    this.#tickets.set(id, ticket);
    this.#funds.countOrder(order.owner, order.sellAsset, 1);
    return ticket;
  }

  /** After lots left an order. */
  #settleHold(working: Working): void {
    this.#hold(working.ticket);
    if (working.open > 0) return;
    this.#removeWorking(working);
    this.#forgetIfDone(this.#ticket(working.ticket));
  }

  /** A signed order holds what its open lots may still sell, and what it sold without having settled it. */
  #hold(id: number): void {
    const ticket = this.#ticket(id);
    const working = this.#workingOf.get(id);
    const { order } = ticket;
    const open = working === undefined ? 0n : shareOf(order, working.open, working.signedLots);
    const held = open + ticket.sold - ticket.filled;
    this.#funds.hold(order.owner, order.sellAsset, held - ticket.held);
    ticket.held = held;
    this.#countUnsettled(ticket);
  }

  #countUnsettled({ id, order, sold, filled }: Ticket): void {
    const waiting = this.#unsettled[order.sellAsset === order.buyAsset ? 'withdrawal' : 'trade'];
    if (sold > filled) waiting.add(id);
    else waiting.delete(id);
  }

  #forgetIfDone(ticket: Ticket): void {
    if (ticket.held !== 0n || this.#workingOf.has(ticket.id)) return;
    if (this.#tickets.delete(ticket.id)) this.#funds.countOrder(ticket.order.owner, ticket.order.sellAsset, -1);
  }

  #plan({ validUntil, sequence, always }: ExchangeCommand & { kind: 'plan' }): ExchangeEvent[] {
    if (this.#batch !== undefined) return refuse('batchPending');
    const payable = new Map<number, bigint>();
    const events = this.#bust(({ legs }) => legs.some((leg) => this.#isDead(leg, validUntil, payable)));
    const untilOf = ({ legs }: Match) => Math.min(...legs.map(({ ticket }) => this.#ticket(ticket).until));
    const matches = inTurn(this.#matches.values(), untilOf, sequence);
    const { fills } = this.#rules;
    const choice = chooseBatch(matches, (id) => this.#ticket(id), this.#funds, validUntil, fills);
    if (choice.fills.length > 0 || always) this.#batch = { validUntil, sequence, ...choice, head: undefined };
    return [...events, { kind: 'planned', fills: choice.fills.length }];
  }

  /** Whether the signed order ends too soon, or no lock is left on what was to pay for it: neither this settlement nor a later one can have it. */
  #isDead({ ticket, sold }: MatchLeg, validUntil: number, payable: Map<number, bigint>): boolean {
    const { order, until } = this.#ticket(ticket);
    const most = payable.get(ticket) ?? this.#funds.payable(order.owner, order.sellAsset, validUntil);
    payable.set(ticket, most);
    return until < validUntil || most < sold;
  }

  #batchOf(sequence: number): Batch | undefined {
    return this.#batch?.sequence === sequence ? this.#batch : undefined;
  }

  #sign(sequence: number, head: bigint): ExchangeEvent[] {
    const batch = this.#batchOf(sequence);
    if (batch === undefined || batch.head !== undefined) return [];
    this.#batch = { ...batch, head };
    this.#anchors = [...this.#anchors, head].slice(-ANCHORS_KEPT);
    return [];
  }

  #bust(isDead: (match: Match) => boolean): ExchangeEvent[] {
    const dead = [...this.#matches.values()].filter(isDead);
    return dead.map((match) => {
      const { id, kind, legs } = match;
      this.#removeMatch(match);
      for (const { ticket: ticketId, owner, record, sold } of legs) {
        const ticket = this.#ticket(ticketId);
        ticket.sold -= sold;
        this.#hold(ticketId);
        this.#forgetIfDone(ticket);
        if (kind === 'trade') {
          const fill = this.#blotter.changeFill(owner, record, { status: 'busted' });
          const order = fill === undefined ? undefined : this.#blotter.order(owner, fill.order);
          if (fill !== undefined) this.#blotter.report(owner, this.#time, { kind: 'busted', fill, order });
        } else {
          const withdrawal = this.#blotter.changeWithdrawal(owner, record, { status: 'busted' });
          if (withdrawal !== undefined) {
            this.#blotter.report(owner, this.#time, { kind: 'withdrawalBusted', withdrawal });
          }
        }
      }
      return { kind: 'busted', match: id };
    });
  }

  #applySettled(batch: Batch | undefined): ExchangeEvent[] {
    if (batch === undefined) return [];
    this.#batch = undefined;
    this.#recordSettled(batch);
    const events: ExchangeEvent[] = [];
    for (const { ticket: id, sold } of batch.fills) {
      const ticket = this.#ticket(id);
      ticket.filled += sold;
      ticket.k += 1n;
      ticket.stateInserted = false;
      this.#hold(id);
      this.#forgetIfDone(ticket);
      if (this.#workingOf.has(id) && ticket.k >= BigInt(ORDER_FILLS_MAX)) events.push(...this.#drop(id, 'fillsMax'));
    }
    return events;
  }

  #recordSettled({ matches, sequence }: Batch): void {
    const owners = new Map<bigint, { fills: number[]; withdrawals: number[] }>();
    const changes = { status: 'settled', settlement: sequence } as const;
    for (const id of matches) {
      const match = found(this.#matches.get(id), 'match', id);
      this.#removeMatch(match);
      for (const { owner, record } of match.legs) {
        const settled = owners.get(owner) ?? { fills: [], withdrawals: [] };
        owners.set(owner, settled);
        if (match.kind === 'trade') {
          settled.fills.push(record);
          this.#blotter.changeFill(owner, record, changes);
        } else {
          settled.withdrawals.push(record);
          this.#blotter.changeWithdrawal(owner, record, changes);
        }
      }
    }
    for (const [owner, settled] of owners) {
      this.#blotter.report(owner, this.#time, { kind: 'settled', settlement: sequence, ...settled });
    }
  }

  #findWorking(owner: bigint, number: number): Working | undefined {
    const id = this.#numbers.get(owner)?.get(number);
    return id === undefined ? undefined : this.#working.get(id);
  }

  #addWorking(working: Working): void {
    const { id, owner, number, ticket } = working;
    this.#working.set(id, working);
    this.#workingOf.set(ticket, working);
    const numbers = this.#numbers.get(owner) ?? new Map<number, number>();
    this.#numbers.set(owner, numbers.set(number, id));
  }

  #removeWorking({ id, owner, number, ticket }: Working): void {
    this.#working.delete(id);
    this.#workingOf.delete(ticket);
    const numbers = this.#numbers.get(owner);
    numbers?.delete(number);
    if (numbers?.size === 0) this.#numbers.delete(owner);
  }

  #find(id: number): Working {
    return found(this.#working.get(id), 'order', id);
  }

  #ticket(id: number): Ticket {
    return found(this.#tickets.get(id), 'signed order', id);
  }

  #terms(market: number): MarketTerms {
    return found(this.#markets.get(market), 'market', market);
  }
}

function found<T>(value: T | undefined, what: string, id: number): T {
  if (value === undefined) throw new Error(`${what} ${id} is not there`);
  return value;
}

function refuse(reason: Refusal): ExchangeEvent[] {
  return [{ kind: 'refused', reason }];
}

function findUnlooked(states: number | undefined, matches: () => number): ExchangeEvent[] | undefined {
  if (states === undefined) return undefined;
  const needed = matches();
  return needed > states ? [{ kind: 'unlooked', states: needed }] : undefined;
}

const isQuantity = (value: number) => Number.isSafeInteger(value) && value > 0;

/** What open lots of a signed order may sell, rounded up. Lots that were signed for may be more than a `number` counts. */
function shareOf({ sellMax }: Order, open: number, lotsSigned: bigint): bigint {
  return (sellMax * BigInt(open) + lotsSigned - 1n) / lotsSigned;
}
