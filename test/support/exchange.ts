import assert from 'node:assert/strict';
import { deserialize, serialize } from 'node:v8';
import { orderHashOf, orderStateOf, type Order } from '@bitcloak/notes/order';
import type { Side } from '@bitcloak/protocol/orders';
import { AMOUNT_MAX, NATIVE_ASSET, SETTLEMENT_FILLS_MAX } from '@bitcloak/protocol/parameters';
import { limitOf, type MarketTerms } from '@bitcloak/trading/market';
import { withdrawalLimit, type Amendment, type NewOrder, type NewWithdrawal } from '@bitcloak/trading/orders';
import type { Report } from '@bitcloak/trading/records';
import type { Batch, ExchangeCommand, ExchangeEvent, ExchangeRules } from '../../enclave/exchange/commands.ts';
import { Exchange } from '../../enclave/exchange/exchange.ts';
import type { FundNote } from '../../enclave/exchange/funds.ts';
import { EXCHANGE_LIMITS, type ExchangeLimits } from '../../enclave/exchange/limits.ts';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { Conservation } from './conservation.ts';

export const [COIN, DOLLAR, EURO] = [NATIVE_ASSET, 0xd011a4n, 0xe040n];
export const OPERATOR_ID = 77n;
export const NOW = 1_800_000_000;
export const SETTLE_SECONDS = 3_600;
/** When orders and locks end unless something else is said. */
export const LATER = NOW + 86_400;
export const [ALICE, BOB, CAROL, DAVE] = [101n, 102n, 103n, 104n];
export const COIN_FEE = 7n;

export const EXCHANGE_RULES: ExchangeRules = {
  settleSeconds: SETTLE_SECONDS,
  roundSeconds: 1,
  fills: SETTLEMENT_FILLS_MAX,
  orderSecondsMax: 7 * 86_400,
  lockSecondsMax: 30 * 86_400,
  withdrawalFees: [[COIN, COIN_FEE]],
  noteMins: [],
  ordersMax: SETTLE_SECONDS - BATCH_SECONDS,
};
export const TERMS: MarketTerms = {
  market: 1,
  pair: 'ETH-DUSD',
  base: COIN,
  quote: DOLLAR,
  lotBase: 1_000n,
  tickQuote: 3n,
  makerFee: 10,
  takerFee: 25,
};
export const EURO_TERMS: MarketTerms = {
  ...TERMS,
  market: 2,
  pair: 'DEUR-DUSD',
  base: EURO,
  lotBase: 10n,
  makerFee: 0,
};
export const MARKET_RULES = {
  ticksMax: 1_000_000,
  lotsMin: 1,
  lotsMax: 1_000_000,
  referenceSecondsMax: 60,
  referenceMoveMax: 100,
};
/** The exchange checks none: whoever lets orders in does. */
export const SIGNATURE = { r8: { x: 0n, y: 1n }, s: 0n };

type Changes = Partial<Omit<NewOrder, 'order' | 'signature'>>;

/** An exchange with two markets, and as much of a chain as it needs to see its batches settled. */
export class Pit {
  exchange: Exchange;
  readonly #limits: ExchangeLimits;
  time = NOW;
  /** Every report to each owner, in the order in which they were written. */
  readonly reports = new Map<bigint, Report[]>();
  /** Everything that was applied. */
  readonly commands: ExchangeCommand[] = [];
  /** Whether the next command is looked at: where it is refused, it must change nothing. */
  isWatched = (): boolean => false;
  /** Fills and base units sold that the chain has of each signed order. */
  readonly #landed = new Map<bigint, { filled: bigint; k: bigint; inserted: boolean }>();
  readonly #conservation = new Conservation();
  #leaf = 0;
  #salt = 0n;
  #sequence = 0;
  #names = 0;

  constructor(rules: Partial<ExchangeRules> = {}, limits = EXCHANGE_LIMITS) {
    this.#limits = limits;
    this.exchange = new Exchange(OPERATOR_ID, undefined, limits);
    this.apply({ kind: 'setTime', time: NOW });
    this.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, ...rules } });
    for (const terms of [TERMS, EURO_TERMS]) {
      this.apply({ kind: 'addMarket', terms, rules: { market: terms.market, ...MARKET_RULES } });
    }
  }

  apply(command: ExchangeCommand): ExchangeEvent[] {
    this.commands.push(command);
    const before = this.isWatched() ? this.exchange.hash() : undefined;
    const { batch } = this.exchange;
    const events = this.exchange.apply(command);
    if (before !== undefined && (events[0]?.kind === 'refused' || events[0]?.kind === 'repeated')) {
      assert.equal(this.exchange.hash(), before, `what is refused changes nothing: ${command.kind}`);
    }
    const written = this.exchange.takeReports();
    for (const { owner, report } of written) {
      const reports = this.reports.get(owner) ?? [];
      reports.push(report);
      this.reports.set(owner, reports);
    }
    this.#conservation.follow(command, batch, written, this.exchange);
    return events;
  }

  /** Applies a command that must change nothing. */
  refused(command: ExchangeCommand): string | undefined {
    const before = this.exchange.hash();
    const events = this.apply(command);
    assert.equal(this.exchange.hash(), before, 'a refused command changes something');
    return refusal(events);
  }

  at(time: number): ExchangeEvent[] {
    this.time = time;
    return this.apply({ kind: 'setTime', time });
  }

  credit(owner: bigint, asset: bigint, value: bigint, { expiry = LATER, inserted = true, told = true } = {}): number {
    const leaf = this.#leaf++;
    this.apply({ kind: 'credit', note: { leaf, owner, asset, value, expiry, inserted }, told });
    return leaf;
  }

  /** The least that an owner can sign. */
  signed(owner: bigint, side: Side, price: number, lots: number, changes: Partial<Order> = {}, terms = TERMS) {
    const rest = { operatorId: OPERATOR_ID, expiry: BigInt(LATER), payTo: owner, relockExpiry: 0n };
    const order: Order = { owner, ...limitOf(terms, side, price, lots), ...rest, salt: ++this.#salt, ...changes };
    return { order, signature: SIGNATURE };
  }

  request(
    owner: bigint,
    side: Side,
    price: number,
    lots: number,
    changes: Changes = {},
    signed: Partial<Order> = {},
  ): NewOrder {
    const terms = changes.market === EURO_TERMS.market ? EURO_TERMS : TERMS;
    return {
      clientOrderId: `order-${++this.#names}`,
      market: terms.market,
      side,
      type: 'limit',
      price,
      lots,
      timeInForce: 'gtc',
      selfTrade: 'cancelNewest',
      ...this.signed(owner, side, price, lots, signed, terms),
      ...changes,
    };
  }

  submit(wish: NewOrder): ExchangeEvent[] {
    return this.apply({ kind: 'order', ...wish });
  }

  order(...wish: Parameters<Pit['request']>): ExchangeEvent[] {
    return this.submit(this.request(...wish));
  }

  amend(owner: bigint, order: number, amendment: Amendment): ExchangeEvent[] {
    return this.apply({ kind: 'amend', owner, order, amendment });
  }

  withdrawal(owner: bigint, asset: bigint, amount: bigint, fee: bigint, changes: Partial<Order> = {}): NewWithdrawal {
    const rest = { operatorId: OPERATOR_ID, expiry: BigInt(LATER), payTo: owner + 1_000n, relockExpiry: 0n };
    const salt = ++this.#salt;
    const order: Order = { owner, ...withdrawalLimit(asset, amount, fee), ...rest, salt, ...changes };
    return { clientOrderId: `withdrawal-${++this.#names}`, order, signature: SIGNATURE };
  }

  withdraw(...wish: Parameters<Pit['withdrawal']>): ExchangeEvent[] {
    return this.apply({ kind: 'withdraw', ...this.withdrawal(...wish) });
  }

  /** Half an hour is what the operator gives a batch. A batch that there is can be settled. */
  plan({ validUntil = this.time + 1_800, always = false } = {}): Batch | undefined {
    this.apply({ kind: 'plan', validUntil, sequence: this.#sequence + 1, always });
    const { batch } = this.exchange;
    if (batch !== undefined) this.#assertProvable(batch);
    return batch;
  }

  /** The batch is on the chain: what it spent is gone, what it made is not in the tree. */
  land(): void {
    const { batch } = this.exchange;
    assert.ok(batch !== undefined);
    const notes = new Map(this.exchange.notes().map((note) => [note.leaf, note]));
    for (const { order, sold, bought, filled, k, leaves } of batch.fills) {
      const inputs = leaves.map((leaf) => notes.get(leaf) as FundNote);
      for (const { leaf } of inputs) this.apply({ kind: 'remove', leaf });
      const rest = inputs.reduce((sum, { value }) => sum + value, 0n) - sold;
      const expiry = Math.min(...inputs.map((note) => note.expiry));
      const waits = { inserted: false, told: false };
      if (rest > 0n) this.credit(order.owner, order.sellAsset, rest, { expiry, ...waits });
      if (order.relockExpiry > 0n && bought > 0n) {
        this.credit(order.owner, order.buyAsset, bought, { expiry: Number(order.relockExpiry), ...waits });
      }
      this.#landed.set(orderHashOf(order), { filled: filled + sold, k: k + 1n, inserted: false });
    }
    this.#sequence = batch.sequence;
    this.apply({ kind: 'settled', sequence: batch.sequence });
  }

  /** The batch will never land. */
  fail(): ExchangeEvent[] {
    return this.apply({ kind: 'failed', sequence: this.exchange.batch?.sequence ?? 0 });
  }

  void(tickets: readonly number[]): ExchangeEvent[] {
    return this.apply({ kind: 'void', sequence: this.exchange.batch?.sequence ?? 0, tickets });
  }

  /** Their owner takes them back on the chain, which counts after `seconds`. */
  retire(tickets: readonly number[], seconds = 4_200): ExchangeEvent[] {
    return this.apply({ kind: 'retire', tickets: tickets.map((ticket) => [ticket, this.time + seconds] as const) });
  }

  insertAll(): void {
    for (const state of this.#landed.values()) state.inserted = true;
    const leaves = this.exchange.notes().map(({ leaf }) => leaf);
    this.apply({ kind: 'inserted', leaves, states: this.exchange.awaitedStates().map(({ state }) => state) });
  }

  /** As a restart finds it: through the form that snapshots are kept in. */
  restart(): void {
    const before = this.exchange.hash();
    this.exchange = new Exchange(OPERATOR_ID, deserialize(serialize(this.exchange.save())) as never, this.#limits);
    assert.equal(this.exchange.hash(), before, 'a restart gives back the state');
  }

  /** Settles until nothing waits, without a bust. Every batch brings at least one match further. */
  settleAll(): number {
    const most = this.exchange.waiting + (this.exchange.batch === undefined ? 0 : 1);
    const busted = () => [...this.reports.values()].flat().filter(({ kind }) => /busted/i.test(kind)).length;
    const before = busted();
    let rounds = 0;
    this.insertAll();
    while (this.exchange.waiting > 0 || this.exchange.batch !== undefined) {
      assert.ok(++rounds <= most, 'what waits can be settled');
      if (this.exchange.batch === undefined) this.plan();
      this.land();
      this.insertAll();
    }
    assert.equal(busted(), before, 'nothing is busted while time stands still');
    return rounds;
  }

  /** What the fill circuit and the clearing ask of a batch. */
  #assertProvable({ fills, validUntil, sequence }: Batch): void {
    const notes = new Map(this.exchange.notes().map((note) => [note.leaf, note]));
    const surplus = new Map<bigint, bigint>();
    const taken = new Set<number>();
    const orders = new Set<bigint>();
    assert.equal(sequence, this.#sequence + 1);
    assert.ok(fills.length <= 16);
    for (const { order, sold, bought, filled, k, leaves } of fills) {
      const { owner, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry } = order;
      const orderHash = orderHashOf(order);
      assert.ok(!orders.has(orderHash), 'one fill of an order');
      orders.add(orderHash);
      const state = this.#landed.get(orderHash) ?? { filled: 0n, k: 0n, inserted: true };
      assert.deepEqual([filled, k, true], [state.filled, state.k, state.inserted], 'the state that is in the tree');
      assert.equal(order.operatorId, OPERATOR_ID);
      assert.ok(sold > 0n && bought >= 0n && bought <= AMOUNT_MAX);
      assert.ok(sold * buyMin <= bought * sellMax, 'the limit');
      assert.ok(filled + sold <= sellMax, 'the most that the order sells');
      assert.ok(expiry >= BigInt(validUntil));
      assert.ok(relockExpiry === 0n || payTo === owner);
      assert.ok(leaves.length >= 1 && leaves.length <= 2);
      let worth = 0n;
      for (const leaf of leaves) {
        const note = notes.get(leaf);
        assert.ok(note !== undefined && !taken.has(leaf), 'a note is in one fill');
        assert.ok(note.inserted && note.owner === owner && note.asset === sellAsset);
        assert.ok(note.expiry >= validUntil, 'its lock holds until the batch lands');
        taken.add(leaf);
        worth += note.value;
      }
      assert.ok(worth >= sold && worth - sold <= AMOUNT_MAX, 'the notes pay for it');
      surplus.set(sellAsset, (surplus.get(sellAsset) ?? 0n) + sold);
      surplus.set(buyAsset, (surplus.get(buyAsset) ?? 0n) - bought);
    }
    for (const amount of surplus.values()) assert.ok(amount >= 0n, 'nothing is created');
    assert.ok([...surplus.values()].filter((amount) => amount > 0n).length <= 4, 'room for what is left over');
  }
}

export const kinds = (events: readonly ExchangeEvent[]) => events.map(({ kind }) => kind);
export const refusal = (events: readonly ExchangeEvent[]) =>
  events[0]?.kind === 'refused' ? events[0].reason : undefined;
/** Lots and prices of trades. */
export const tradesIn = (events: readonly ExchangeEvent[]) =>
  events.flatMap((event) => (event.kind === 'traded' ? [[event.lots, event.price]] : []));
export const stateAfter = (order: Order, filled: bigint, k: bigint) => orderStateOf(orderHashOf(order), filled, k);

/** Holds, records and the engine's books say the same of every order. */
export function assertConsistent(exchange: Exchange): void {
  const { tickets, working, matches, engine, owners, batch } = exchange.save();
  const sold = new Map<number, bigint>();
  for (const { legs } of matches) {
    for (const { ticket, sold: amount } of legs) sold.set(ticket, (sold.get(ticket) ?? 0n) + amount);
  }
  const workingOf = new Map(working.map((order) => [order.ticket, order]));
  const held = new Map<string, bigint>();
  for (const ticket of tickets) {
    const { owner, sellAsset, sellMax } = ticket.order;
    const waiting = sold.get(ticket.id) ?? 0n;
    const order = workingOf.get(ticket.id);
    const share = order === undefined ? 0n : sellMax * BigInt(order.open);
    const lots = order?.signedLots ?? 1n;
    // Rounded up.
    const open = share / lots + (share % lots === 0n ? 0n : 1n);
    assert.equal(ticket.sold, ticket.filled + waiting);
    assert.equal(ticket.held, open + waiting);
    assert.ok(ticket.sold <= sellMax && (ticket.held > 0n || order !== undefined));
    held.set(`${owner} ${sellAsset}`, (held.get(`${owner} ${sellAsset}`) ?? 0n) + ticket.held);
  }
  assert.ok(
    [...sold.keys()].every((id) => tickets.some((ticket) => ticket.id === id)),
    'what waits has a signed order',
  );
  for (const owner of new Set([...tickets.map(({ order }) => order.owner), ...owners])) {
    for (const { asset, held: amount, available, total, waiting } of exchange.balances(owner)) {
      assert.equal(amount, held.get(`${owner} ${asset}`) ?? 0n);
      assert.ok(available >= 0n && available <= total && waiting <= total);
      held.delete(`${owner} ${asset}`);
    }
  }
  assert.equal([...held.values()].filter((amount) => amount > 0n).length, 0);
  assert.deepEqual(
    working.map(({ id, owner, open }) => [id, owners.indexOf(owner), open]).sort(([a], [b]) => Number(a) - Number(b)),
    engine.orders.map(({ order, account, open }) => [order, account, open]),
  );
  for (const { owner, number, open } of working) {
    const record = exchange.records.order(owner, number);
    assert.ok(record !== undefined && record.status === 'open' && record.open === open);
    assert.equal(record.lots, record.filled + record.open);
  }
  const openRecords = owners
    .flatMap((owner) => exchange.records.orders(owner))
    .filter(({ status }) => status === 'open');
  assert.equal(openRecords.length, working.length);
  const inBatch = new Set(batch?.matches ?? []);
  assert.ok([...inBatch].every((id) => matches.some((match) => match.id === id)));
}
