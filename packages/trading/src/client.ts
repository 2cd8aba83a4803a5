import type { SpendingKey } from '@bitcloak/notes/keys';
import { formatAmount, parseAmount } from '@bitcloak/protocol/amounts';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { OrderType, SelfTrade, Side, TimeInForce } from '@bitcloak/protocol/orders';
import { LOCK_SECONDS_MAX } from '@bitcloak/protocol/parameters';
import { bytesToHex, randomBytes } from '@noble/hashes/utils.js';
import { askInfo, askOf, type Ask } from './ask.ts';
import { Channel, checked, isLate, parseChecked, type Reply } from './channel.ts';
import { operatorUrl, REQUEST_MS_MAX, type Fetch } from './http.ts';
import { limitOf } from './market.ts';
import { signOrder, withdrawalLimit, type OrderTerms, type SignedOrder } from './orders.ts';
import type { BalanceRecord, FillRecord, OrderRecord, RecordsFrom, WithdrawalRecord } from './records.ts';
import { forged, OperatorRefusal, OutcomeUnknown } from './refusals.ts';
import { checkWorth, formatQuantity, lotsOf, partOf, ticksOf, type TradedMarket, type TradedToken } from './steps.ts';
import { AccountStream, type Socket, type StreamOptions } from './stream.ts';
import {
  API,
  BALANCE_RECORD_SCHEMA,
  CANCEL_ALL_REPLY_SCHEMA,
  CANCEL_REPLY_SCHEMA,
  decodeBalanceRecord,
  decodeFillRecord,
  decodeMarket,
  decodeOrderRecord,
  decodeOrderReply,
  decodeWithdrawalRecord,
  decodeWithdrawalReply,
  encodeSigned,
  FILL_RECORD_SCHEMA,
  listSchema,
  MARKET_SCHEMA,
  ORDER_RECORD_SCHEMA,
  ORDER_REPLY_SCHEMA,
  PAGE_MAX,
  RECORDS_FROM_SCHEMA,
  WITHDRAWAL_RECORD_SCHEMA,
  WITHDRAWAL_REPLY_SCHEMA,
  type CancelAllReply,
  type CancelReply,
  type MarketInfo,
  type OperatorInfo,
} from './wire.ts';

const ATTEMPTS = 4;
const PAUSE_MS = 250;
/** How long an order is good for unless said otherwise: an operator that ignores a cancellation can use it until then. */
export const SIGNED_SECONDS = 1_800;
/** The longest that an operator may take to settle: every signature is good for so much longer than what it is for matches. */
export const SETTLE_SECONDS_MAX = 86_400;
/** What an operator says of itself is asked for again after so long. */
const INFO_MS_MAX = 60_000;
/** How far an operator's time may be ahead of this machine's where no other clock is given. */
const SKEW_SECONDS_MAX = 600;
const FEE_BASIS_POINTS_MAX = 100;
/** Of what is withdrawn, where no other bound is given. */
const WITHDRAWAL_FEE_PART = 100n;

/** What becomes of what an order brings: a note of the client's payee, or of the trading account again with a lock until then (unix seconds). */
export type Proceeds = 'payee' | { readonly relockUntil: bigint };

/** A signed order before it is sent: whoever keeps it can take it back on the chain without the operator. */
export type SentOrder = SignedOrder & {
  readonly kind: 'order' | 'amendment' | 'withdrawal';
  /** The name of the order that it belongs to; two amendments of one order have the same. */
  readonly clientOrderId: string;
};

/**
 * Throws for an operator that is not the right one, or whose enclave is not. `info` is what it says of itself, `ask` asks it for more. What is sealed
 * afterwards goes to the keys in `info`.
 */
export type OperatorCheck = (info: OperatorInfo, ask: Ask) => Promise<void> | void;

/**
 * Checks nothing, for tests and benchmarks: whoever answers at the URL can be anybody, and reads everything that he is told. Traders give
 * `enclaveCheck`.
 */
export const takenAtItsWord: OperatorCheck = () => undefined;

export type ClientOptions = {
  readonly url: string;
  /** Of the trading account. */
  readonly key: SpendingKey;
  /** What the chain says of the operator. */
  readonly expected: { readonly operatorId: bigint };
  /** The assets that are traded, from a source that is not the operator. */
  readonly tokens: readonly TradedToken[];
  /** Decides whether this is the enclave that orders may be shown to: before the first session, and whenever another one is opened. */
  readonly check: OperatorCheck;
  /** What becomes of proceeds unless an order says otherwise; the payee's unless given. */
  readonly proceeds?: Proceeds;
  /**
   * An owner of the same seed: nobody else could find what is paid to him. The trading account unless given, and then the operator, which has its
   * nullifier key, sees when proceeds are spent.
   */
  readonly payee?: bigint;
  /** Block time in unix seconds; the operator's word for it unless given. */
  readonly clock?: () => Promise<number> | number;
  /** The highest trading fee to sign for, in basis points. */
  readonly feeMax?: number;
  /** Awaited before a signed order is sent. */
  readonly keep?: (order: SentOrder) => Promise<void> | void;
  readonly fetch?: Fetch;
  readonly webSocket?: (url: string) => Socket;
  readonly msMax?: number;
  /** How often a request is sent before its outcome counts as unknown. */
  readonly attempts?: number;
  /** Before what failed is tried again, doubled each time. */
  readonly pauseMs?: number;
};

/** Prices and quantities are decimals in whole units of the pair's tokens. */
export type OrderWish = {
  readonly pair: string;
  readonly side: Side;
  /** The worst price, before fees. */
  readonly price: string;
  readonly quantity: string;
  readonly type?: OrderType;
  readonly timeInForce?: TimeInForce;
  /** Seconds after which a gtd order leaves the book. */
  readonly expireAfter?: number;
  readonly selfTrade?: SelfTrade;
  readonly postOnly?: boolean;
  readonly display?: string;
  readonly minimumTotal?: string;
  readonly minimumMatch?: string;
  readonly proceeds?: Proceeds;
  /** Seconds for which the order can match; its signature is good for as long, and the time that settling takes. */
  readonly signFor?: number;
  readonly clientOrderId?: string;
};

export type AmendmentWish = {
  readonly price?: string;
  /** The whole, with what was filled. */
  readonly quantity?: string;
  readonly proceeds?: Proceeds;
  /** Unix seconds that the order may go on matching until; as long as this client signed it for, or else as a new order would. */
  readonly expiryMax?: number;
};

export type WithdrawalWish = {
  /** The token's symbol. */
  readonly asset: string;
  /** What leaves the engine, the fee included. */
  readonly amount: string;
  /** The most to pay for it; a hundredth of the amount unless given. */
  readonly feeMax?: string;
  readonly proceeds?: Proceeds;
  readonly clientOrderId?: string;
};

/** What came of an order. */
export type OrderOutcome = {
  readonly order: OrderRecord;
  /** Made at once. */
  readonly fills: readonly FillRecord[];
};

/** An account with an operator: what a trader asks of its enclave, signed, sealed, and tried again where the way there fails. */
export class TradingClient {
  readonly #options: ClientOptions;
  readonly #base: URL;
  readonly #ask: Ask;
  readonly #channel: Channel;
  #info: { readonly info: OperatorInfo; readonly at: number } | undefined;
  #markets: ReadonlyMap<string, TradedMarket> = new Map();
  #head: string | undefined;
  /** When orders leave the book that were signed for longer than usual, by their names. */
  readonly #leaves = new Map<string, number>();

  private constructor(options: ClientOptions) {
    this.#options = options;
    this.#base = operatorUrl(options.url);
    this.#ask = askOf(this.#base, this.#fetch, this.#msMax);
    this.#channel = new Channel({
      base: this.#base,
      key: options.key,
      peer: () => this.#readInfo(),
      fetch: this.#fetch,
      msMax: this.#msMax,
    });
  }

  /**
   * Looks at the operator, and opens a session with it. Throws `OPERATOR_MISMATCH` for one that is not the expected one, what `check` throws,
   * `OPERATOR_UNREACHABLE`, and `OperatorRefusal` where it does not know the account.
   */
  static async connect(options: ClientOptions): Promise<TradingClient> {
    const client = await TradingClient.look(options);
    await client.#channel.session();
    return client;
  }

  /** The same without a session: for what everybody is told. */
  static async look(options: ClientOptions): Promise<TradingClient> {
    const client = new TradingClient(options);
    await client.#readInfo();
    await client.markets();
    return client;
  }

  /** Of the trading account. */
  get owner(): bigint {
    return this.#options.key.keys.owner;
  }

  /** The newest head of the enclave's journal that stands for an order of this client, hexadecimal. */
  get head(): string | undefined {
    return this.#head;
  }

  /** What the operator says of itself, at most a minute ago. */
  async info(): Promise<OperatorInfo> {
    return (await this.#freshInfo()).info;
  }

  /** Block time in unix seconds, as orders should take it. */
  async time(): Promise<number> {
    const { clock } = this.#options;
    if (clock !== undefined) return clock();
    const { info, at } = await this.#freshInfo();
    const time = info.time + Math.floor((performance.now() - at) / 1000);
    if (time > Date.now() / 1000 + SKEW_SECONDS_MAX) {
      const message = `the operator's time ${time} is far ahead of this machine's: orders would be good for longer than meant`;
      throw new BitcloakError('OPERATOR_MISMATCH', message);
    }
    return time;
  }

  /** Markets of tokens that are known here. Throws `OPERATOR_MISMATCH` for one that goes by the name of another. */
  async markets(): Promise<TradedMarket[]> {
    const text = await this.#ask('/markets');
    const { markets } = parseChecked<{ markets: unknown[] }>(listSchema('markets', MARKET_SCHEMA), text);
    const traded = markets.flatMap((json) => this.#withTokens(decodeMarket(json)) ?? []);
    this.#markets = new Map(traded.map((market) => [market.pair, market]));
    return traded;
  }

  /** Throws `USAGE` for a pair that is not traded. */
  async market(pair: string): Promise<TradedMarket> {
    const find = () => this.#markets.get(pair.toUpperCase());
    const known = find();
    if (known !== undefined) return known;
    await this.markets();
    const found = find();
    if (found !== undefined) return found;
    const pairs = [...this.#markets.keys()].join(', ');
    throw new BitcloakError('USAGE', `pair: expected one of ${pairs}, got ${pair.slice(0, 40)}`);
  }

  /** The market of an order or a fill; undefined for one of tokens that are not known here. */
  marketOf(record: { readonly market: number }): TradedMarket | undefined {
    return [...this.#markets.values()].find(({ market }) => market === record.market);
  }

  async balances(): Promise<BalanceRecord[]> {
    return this.#list('/balances', 'balances', BALANCE_RECORD_SCHEMA, decodeBalanceRecord);
  }

  async orders(which: 'open' | 'all' = 'open'): Promise<OrderRecord[]> {
    return this.#all(`/orders?status=${which}&`, 'orders', ORDER_RECORD_SCHEMA, decodeOrderRecord);
  }

  async order(id: number): Promise<OrderRecord> {
    return decodeOrderRecord(checked(ORDER_RECORD_SCHEMA, await this.#channel.read(`${API}/orders/${id}`)));
  }

  /** The oldest first. @param page those after a number, and at most so many: 100 unless given, 1,000 at most. */
  async fills(page: { after?: number; limit?: number } = {}): Promise<FillRecord[]> {
    const query = Object.entries(page).map(([name, value]) => `${name}=${value}`);
    const path = query.length === 0 ? '/fills' : `/fills?${query.join('&')}`;
    return this.#list(path, 'fills', FILL_RECORD_SCHEMA, decodeFillRecord);
  }

  /** Every fill that the operator still has. */
  async allFills(): Promise<FillRecord[]> {
    return this.#all('/fills?', 'fills', FILL_RECORD_SCHEMA, decodeFillRecord);
  }

  async withdrawals(): Promise<WithdrawalRecord[]> {
    return this.#list('/withdrawals', 'withdrawals', WITHDRAWAL_RECORD_SCHEMA, decodeWithdrawalRecord);
  }

  /** From which numbers on the operator has every record. It never becomes less: asked after the lists it holds for them. */
  async recordsFrom(): Promise<RecordsFrom> {
    return checked(RECORDS_FROM_SCHEMA, await this.#channel.read(`${API}/records`)) as RecordsFrom;
  }

  /**
   * Signs an order and sends it. Where the reply is lost the very same order is sent again, which the enclave lets in once. Throws
   * `AMOUNT_INVALID`, `OperatorRefusal`, or `OutcomeUnknown` with the order's name.
   */
  async place(wish: OrderWish): Promise<OrderOutcome> {
    const market = await this.market(wish.pair);
    const [price, lots] = [ticksOf(market, wish.price), lotsOf(market, wish.quantity)];
    const { display, minimumTotal, minimumMatch, postOnly, timeInForce = 'gtc', expireAfter } = wish;
    const part = (text: string | undefined, name: string) =>
      text === undefined ? {} : { [name]: partOf(market, text, lots, name) };
    const time = await this.time();
    const terms: OrderTerms = {
      market: market.market,
      side: wish.side,
      type: wish.type ?? 'limit',
      price,
      lots,
      timeInForce,
      selfTrade: wish.selfTrade ?? 'cancelNewest',
      ...(expireAfter === undefined ? {} : { expiry: time + expireAfter }),
      ...(postOnly === undefined ? {} : { postOnly }),
      ...part(display, 'display'),
      ...part(minimumTotal, 'minimumTotal'),
      ...part(minimumMatch, 'minimumMatch'),
    };
    const seconds = Math.max(wish.signFor ?? SIGNED_SECONDS, expireAfter ?? 0);
    const signed = await this.#sign(market, terms, time + seconds, wish.proceeds);
    const clientOrderId = wish.clientOrderId ?? newClientOrderId();
    await this.#options.keep?.({ kind: 'order', clientOrderId, ...signed });
    if (seconds > SIGNED_SECONDS) this.#rememberLeaves(clientOrderId, time + seconds, time);
    const body = JSON.stringify({ clientOrderId, ...terms, ...encodeSigned(signed) });
    const { reply } = await this.#change('POST', '/orders', body, clientOrderId);
    const outcome = this.#outcomeOf(reply);
    // The seal says that the enclave sent it, not that it is about this order.
    if (outcome.order.clientOrderId === clientOrderId) return outcome;
    throw forged('it is about another order');
  }

  /**
   * Changes price or quantity of an open order. Only where the quantity alone shrinks no new signature is needed. Throws `OPERATOR_MISMATCH` where
   * the operator says that the order lives for longer than it may.
   *
   * @param order its number, or the order as it is known, which saves asking.
   */
  async amend(order: number | OrderRecord, wish: AmendmentWish): Promise<OrderOutcome> {
    const known = typeof order === 'number' ? await this.order(order) : order;
    const market = this.marketOf(known);
    if (market === undefined)
      throw new BitcloakError('USAGE', `order ${known.id} is of a market that is not known here`);
    if (known.status !== 'open') throw new BitcloakError('ORDER_UNKNOWN', `order ${known.id} is not open any more`);
    const price = wish.price === undefined ? known.price : ticksOf(market, wish.price);
    const lots = wish.quantity === undefined ? known.lots : lotsOf(market, wish.quantity);
    if (lots <= known.filled) {
      throw new BitcloakError(
        'AMOUNT_INVALID',
        `quantity: expected more than the ${formatQuantity(market, known.filled)} that are filled`,
      );
    }
    const { clientOrderId, side, filled, expiry } = known;
    let signed: SignedOrder | undefined;
    if (price !== known.price || lots > known.lots) {
      const terms = { side, price, lots: lots - filled };
      await this.#checkLeaves(known, wish.expiryMax);
      signed = await this.#sign(market, terms, expiry, wish.proceeds);
      await this.#options.keep?.({ kind: 'amendment', clientOrderId, ...signed });
    }
    const body = JSON.stringify({ price, lots, ...(signed === undefined ? {} : encodeSigned(signed)) });
    const path = `/orders/${known.id}`;
    return this.#unlessDone(
      async () => this.#outcomeOf((await this.#change('PATCH', path, body, clientOrderId)).reply),
      async () => {
        const now = await this.order(known.id);
        return now.price === price && now.lots === lots ? { order: now, fills: [] } : undefined;
      },
    );
  }

  async cancel(id: number): Promise<OrderRecord> {
    return this.#unlessDone(
      async () => {
        const { reply } = await this.#change('DELETE', `/orders/${id}`, undefined, undefined);
        const { order, head } = checked(CANCEL_REPLY_SCHEMA, reply.json) as CancelReply;
        this.#head = head;
        return decodeOrderRecord(order);
      },
      async () => {
        const order = await this.order(id);
        return order.status === 'open' ? undefined : order;
      },
    );
  }

  /** Cancels every open order, or those of a pair. @returns how many. */
  async cancelAll(pair?: string): Promise<number> {
    const query = pair === undefined ? '' : `?market=${(await this.market(pair)).market}`;
    const { reply } = await this.#change('DELETE', `/orders${query}`, undefined, undefined);
    const { cancelled, head } = checked(CANCEL_ALL_REPLY_SCHEMA, reply.json) as CancelAllReply;
    this.#head = head;
    return cancelled;
  }

  /** Takes an amount out of the engine: what is left of it after the fee is paid to the proceeds' owner. */
  async withdraw(wish: WithdrawalWish): Promise<WithdrawalRecord> {
    const token = this.#options.tokens.find(({ symbol }) => symbol === wish.asset);
    if (token === undefined) throw new BitcloakError('ASSET_INVALID', `asset: ${wish.asset} is not known here`);
    const amount = parseAmount(wish.amount, token);
    const { info } = await this.#freshInfo();
    const fee = info.withdrawalFees.get(token.asset) ?? 0n;
    const feeMax =
      wish.feeMax === undefined ? amount / WITHDRAWAL_FEE_PART : parseAmount(wish.feeMax, token, 'withdrawal fee');
    if (fee > feeMax || fee >= amount) {
      const [most, taken] = [feeMax, fee].map((value) => `${formatAmount(value, token)} ${token.symbol}`);
      const message = `withdrawal fee: expected at most ${most}, the operator takes ${taken}`;
      throw new BitcloakError('OPERATOR_REFUSED', message);
    }
    const limit = withdrawalLimit(token.asset, amount, fee);
    const expiry = (await this.time()) + info.settleSeconds + SIGNED_SECONDS;
    const signed = signOrder(this.#options.key, limit, {
      ...(await this.#destination(wish.proceeds)),
      expiry: BigInt(expiry),
    });
    const clientOrderId = wish.clientOrderId ?? newClientOrderId();
    await this.#options.keep?.({ kind: 'withdrawal', clientOrderId, ...signed });
    const body = JSON.stringify({ clientOrderId, ...encodeSigned(signed) });
    const { reply } = await this.#change('POST', '/withdrawals', body, clientOrderId);
    const { withdrawal, head } = decodeWithdrawalReply(checked(WITHDRAWAL_REPLY_SCHEMA, reply.json));
    this.#head = head;
    if (withdrawal.clientOrderId === clientOrderId) return withdrawal;
    throw forged('it is about another withdrawal');
  }

  /**
   * Has all orders cancelled when nothing is heard of this account for so long; 0 for never. It does so once, and an enclave that is started again has
   * forgotten it: to be called again and again by what decides.
   */
  async deadMan(seconds: number): Promise<void> {
    await this.#change('POST', '/deadman', JSON.stringify({ seconds }), undefined);
  }

  /** Whether the enclave's journal has a head that it acknowledged an order with. It forgets old ones when it makes snapshots. */
  async isAcknowledged(head: string): Promise<boolean> {
    try {
      await this.#channel.read(`${API}/journal/${head}`);
      return true;
    } catch (error) {
      if (error instanceof OperatorRefusal && error.authenticated && error.status === 404) return false;
      throw error;
    }
  }

  /** What happens to this account from now on, or after a report. */
  stream(options: StreamOptions = {}): AccountStream {
    const open = this.#options.webSocket ?? ((url: string) => new WebSocket(url) as unknown as Socket);
    const { pauseMs = PAUSE_MS } = this.#options;
    const parts = { channel: this.#channel, base: this.#base, open, balances: () => this.balances(), pauseMs };
    return new AccountStream(parts, options);
  }

  readonly #fetch: Fetch = (url, options) => (this.#options.fetch ?? fetch)(url, options);

  get #msMax(): number {
    return this.#options.msMax ?? REQUEST_MS_MAX;
  }

  async #readInfo(): Promise<OperatorInfo> {
    const at = performance.now();
    const info = await askInfo(this.#ask);
    if (info.operatorId !== this.#options.expected.operatorId) {
      const message = `operator id: the operator at ${this.#base.host} is not the expected one`;
      throw new BitcloakError('OPERATOR_MISMATCH', message);
    }
    if (info.settleSeconds > SETTLE_SECONDS_MAX) {
      const message = `settleSeconds: expected at most ${SETTLE_SECONDS_MAX}, got ${info.settleSeconds}: orders would be good for longer than meant`;
      throw new BitcloakError('OPERATOR_MISMATCH', message);
    }
    await this.#options.check(info, this.#ask);
    this.#info = { info, at };
    return info;
  }

  async #freshInfo(): Promise<{ info: OperatorInfo; at: number }> {
    if (this.#info === undefined || performance.now() - this.#info.at > INFO_MS_MAX) await this.#readInfo();
    return this.#info as { info: OperatorInfo; at: number };
  }

  #withTokens(market: MarketInfo): TradedMarket | undefined {
    const tokenOf = (asset: bigint) => this.#options.tokens.find((token) => token.asset === asset);
    const [baseToken, quoteToken] = [tokenOf(market.base), tokenOf(market.quote)];
    const named = market.pair.split('-');
    const isNamed = named.every((name) => this.#options.tokens.some(({ symbol }) => symbol.toUpperCase() === name));
    if (baseToken === undefined || quoteToken === undefined) {
      // Nobody here can tell whether it goes by a right name, unless it goes by one that is known.
      if (!isNamed) return undefined;
      throw new BitcloakError('OPERATOR_MISMATCH', `market ${market.pair}: its assets are not those of that name`);
    }
    const name = `${baseToken.symbol}-${quoteToken.symbol}`.toUpperCase();
    if (name === market.pair && market.lotBase > 0n && market.tickQuote > 0n)
      return { ...market, baseToken, quoteToken };
    throw new BitcloakError('OPERATOR_MISMATCH', `market ${market.pair}: its assets are ${name}`);
  }

  /** @param leaves unix seconds at which the order leaves the book; its fills are settled after that. */
  async #sign(
    market: TradedMarket,
    { side, price, lots }: Pick<OrderTerms, 'side' | 'price' | 'lots'>,
    leaves: number,
    proceeds: Proceeds | undefined,
  ): Promise<SignedOrder> {
    const { feeMax = FEE_BASIS_POINTS_MAX } = this.#options;
    const fee = Math.max(market.makerFee, market.takerFee);
    if (fee > feeMax) {
      const message = `fee: expected at most ${feeMax} basis points, ${market.pair} takes ${fee}`;
      throw new BitcloakError('OPERATOR_REFUSED', message);
    }
    checkWorth(market, price, lots);
    const { settleSeconds } = (await this.#freshInfo()).info;
    const expiry = BigInt(leaves + settleSeconds);
    const destination = { ...(await this.#destination(proceeds)), expiry };
    return signOrder(this.#options.key, limitOf(market, side, price, lots), destination);
  }

  #rememberLeaves(clientOrderId: string, leaves: number, time: number): void {
    for (const [name, past] of this.#leaves) if (past <= time) this.#leaves.delete(name);
    this.#leaves.set(clientOrderId, leaves);
  }

  /** An order is signed anew until it leaves the book, and that is the operator's word alone. */
  async #checkLeaves({ id, clientOrderId, expiry }: OrderRecord, expiryMax: number | undefined): Promise<void> {
    // Times of two looks at a chain differ a little.
    const usual = (await this.time()) + SIGNED_SECONDS + SKEW_SECONDS_MAX;
    const latest = expiryMax ?? Math.max(usual, this.#leaves.get(clientOrderId) ?? 0);
    if (expiry <= latest) return;
    const message = `order ${id}: expected it to leave the book by ${latest}, the operator says ${expiry}: its signature would be good for longer than meant`;
    throw new BitcloakError('OPERATOR_MISMATCH', message);
  }

  async #destination(wish: Proceeds | undefined): Promise<{ operatorId: bigint; payTo: bigint; relockExpiry: bigint }> {
    const { expected, payee = this.owner, proceeds = 'payee' } = this.#options;
    const { operatorId } = expected;
    const chosen = wish ?? proceeds;
    if (chosen === 'payee') return { operatorId, payTo: payee, relockExpiry: 0n };
    const { relockUntil } = chosen;
    const latest = BigInt(await this.time()) + LOCK_SECONDS_MAX;
    if (relockUntil > latest) {
      const message = `relock: expected an end by ${latest}, a lock of at most ${LOCK_SECONDS_MAX} s, got ${relockUntil}`;
      throw new BitcloakError('LOCK_INVALID', message);
    }
    return { operatorId, payTo: this.owner, relockExpiry: relockUntil };
  }

  /**
   * Sends what changes something until the enclave answers. What it answers is final; where it does not, nobody knows whether it did what was
   * asked, and everything that is sent here may be sent twice.
   */
  async #change(
    method: string,
    path: string,
    body: string | undefined,
    clientOrderId: string | undefined,
  ): Promise<{ reply: Reply; wasLost: boolean }> {
    let lost: unknown;
    let failure: unknown;
    const { attempts = ATTEMPTS, pauseMs = PAUSE_MS } = this.#options;
    let left = attempts;
    for (let attempt = 0; attempt < left; attempt++) {
      if (attempt > 0) await sleep(pauseMs * 2 ** (attempt - 1));
      let session;
      try {
        session = await this.#channel.session();
      } catch (error) {
        failure = error;
        if (error instanceof BitcloakError && error.code === 'OPERATOR_UNREACHABLE') continue;
        break;
      }
      try {
        const reply = await this.#channel.send(session, method, API + path, body);
        return { reply, wasLost: lost !== undefined };
      } catch (error) {
        if (error instanceof OperatorRefusal && isFinal(error)) {
          throw lost === undefined ? error : new RefusedAfterLoss(error);
        }
        // It never was sent.
        if (error instanceof BitcloakError && !(error instanceof OperatorRefusal) && error.code === 'USAGE')
          throw error;
        // That an enclave has restarted is what the last attempt may find; it gets one more, in another session.
        if (this.#channel.dropIfOver(session, error)) left = attempts + 1;
        if (isLate(error)) failure = error;
        else lost = error;
      }
    }
    if (lost === undefined) throw failure;
    const why = lost instanceof BitcloakError ? lost.message : 'no reply';
    const name = clientOrderId === undefined ? '' : ` (clientOrderId ${clientOrderId})`;
    const message = `it is not known whether the operator did what was asked${name}: ${why}`;
    throw new OutcomeUnknown(message, clientOrderId, lost);
  }

  /** Where a reply was lost and the request then refused, it may be refused because it was done the first time. */
  async #unlessDone<T>(change: () => Promise<T>, done: () => Promise<T | undefined>): Promise<T> {
    try {
      return await change();
    } catch (error) {
      if (!(error instanceof RefusedAfterLoss)) throw error;
      const outcome = await done();
      if (outcome === undefined) throw error.refusal;
      return outcome;
    }
  }

  #outcomeOf({ json }: Reply): OrderOutcome {
    const { order, fills, head } = decodeOrderReply(checked(ORDER_REPLY_SCHEMA, json));
    this.#head = head;
    return { order, fills };
  }

  /** @param path ends where the rest of its query begins. */
  async #all<T extends { readonly id: number }>(
    path: string,
    name: string,
    schema: object,
    decode: (json: unknown) => T,
  ): Promise<T[]> {
    const all: T[] = [];
    for (;;) {
      const last = all.at(-1)?.id ?? 0;
      const page = await this.#list(`${path}after=${last}&limit=${PAGE_MAX}`, name, schema, decode);
      // Pages that do not go on would never end.
      if (page.some(({ id }, i) => id <= (page[i - 1]?.id ?? last))) throw forged('its records are out of their order');
      all.push(...page);
      if (page.length < PAGE_MAX) return all;
    }
  }

  async #list<T>(path: string, name: string, schema: object, decode: (json: unknown) => T): Promise<T[]> {
    const json = await this.#channel.read(API + path);
    return (checked(listSchema(name, schema), json) as Record<string, unknown[]>)[name]?.map(decode) ?? [];
  }
}

/** Whether a refusal says that nothing was done. An enclave that failed does not know, and a sequence is used up by what was done. */
function isFinal({ authenticated, code }: OperatorRefusal): boolean {
  return authenticated && code !== 'ENCLAVE_FAILED' && code !== 'REQUEST_REFUSED';
}

/** A refusal of something that may have been done before. */
class RefusedAfterLoss extends OperatorRefusal {
  readonly refusal: OperatorRefusal;

  constructor(refusal: OperatorRefusal) {
    const { code, message, status, reason } = refusal;
    super(code, message, { status, authenticated: true, ...(reason === undefined ? {} : { reason }) });
    this.refusal = refusal;
  }
}

function newClientOrderId(): string {
  return bytesToHex(randomBytes(16));
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, milliseconds);
  });
}
