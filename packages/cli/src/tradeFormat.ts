import type { Token } from '@bitcloak/chain/manifest';
import type { TradingClient } from '@bitcloak/trading/client';
import type { BalanceRecord, FillRecord, OrderRecord, WithdrawalRecord } from '@bitcloak/trading/records';
import { formatPrice, formatQuantity, priceStep, quantityStep, type TradedMarket } from '@bitcloak/trading/steps';
import { formatAmount } from '@bitcloak/protocol/amounts';
import { FILL_INPUTS } from '@bitcloak/protocol/parameters';
import { amountJson, amountText, groupLocks, tokenJson, type LockedNotes } from './format.ts';
import { COMMAND } from './invocation.ts';
import { table, type Json } from './output.ts';
import { formatDuration, formatTime } from './time.ts';
import { typedWord } from './words.ts';

/** Finds the market of a record; undefined for one of tokens that the manifest does not know. */
export type MarketOf = (record: { readonly market: number }) => TradedMarket | undefined;

export const marketsOf =
  (client: TradingClient): MarketOf =>
  (record) =>
    client.marketOf(record);

const pairOf = (market: TradedMarket | undefined, number: number) => market?.pair ?? `market ${number}`;
const priceOf = (market: TradedMarket | undefined, ticks: number) =>
  market === undefined ? `${ticks} ticks` : formatPrice(market, ticks);
const quantityOf = (market: TradedMarket | undefined, lots: number) =>
  market === undefined ? `${lots} lots` : formatQuantity(market, lots);

export function orderJson(order: OrderRecord, marketOf: MarketOf): Json {
  const { id, clientOrderId, side, type, timeInForce, selfTrade, status, reason = null, expiry, time } = order;
  const market = marketOf(order);
  const orNull = (lots: number) => (lots === 0 ? null : quantityOf(market, lots));
  return {
    id,
    clientOrderId,
    pair: pairOf(market, order.market),
    side,
    type,
    timeInForce,
    selfTrade: typedWord(selfTrade),
    postOnly: order.postOnly,
    display: orNull(order.display),
    minimumTotal: orNull(order.minimumTotal),
    minimumMatch: orNull(order.minimumMatch),
    price: priceOf(market, order.price),
    quantity: quantityOf(market, order.lots),
    filled: quantityOf(market, order.filled),
    open: quantityOf(market, order.open),
    status,
    reason,
    expiry,
    time,
  };
}

/** All that says how an order trades, but for what happens where it meets one's own. */
function typeOf(order: OrderRecord, market: TradedMarket | undefined): string {
  const { type, timeInForce, postOnly, display, minimumTotal, minimumMatch } = order;
  const lots = (word: string, count: number) => (count === 0 ? [] : [`${word} ${quantityOf(market, count)}`]);
  return [
    `${type} ${timeInForce}`,
    ...(postOnly ? ['post-only'] : []),
    ...lots('iceberg', display),
    ...lots('min total', minimumTotal),
    ...lots('min match', minimumMatch),
  ].join(', ');
}

export function ordersTable(orders: readonly OrderRecord[], marketOf: MarketOf): string {
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'id', ...right },
    { title: 'pair' },
    { title: 'side' },
    { title: 'type' },
    { title: 'price', ...right },
    { title: 'quantity', ...right },
    { title: 'filled', ...right },
    { title: 'open', ...right },
    { title: 'status' },
    { title: 'until' },
  ];
  const rows = orders.map((order) => {
    const market = marketOf(order);
    return [
      String(order.id),
      pairOf(market, order.market),
      order.side,
      typeOf(order, market),
      priceOf(market, order.price),
      ...[order.lots, order.filled, order.open].map((lots) => quantityOf(market, lots)),
      order.reason === undefined ? order.status : `${order.status} (${order.reason})`,
      formatTime(BigInt(order.expiry)),
    ];
  });
  return table(columns, rows);
}

/** What both sides of a fill are, by the market's tokens. */
function tokensOf(
  market: TradedMarket,
  side: 'buy' | 'sell',
): { sold: TradedMarket['baseToken']; bought: TradedMarket['baseToken'] } {
  const { baseToken, quoteToken } = market;
  return side === 'sell' ? { sold: baseToken, bought: quoteToken } : { sold: quoteToken, bought: baseToken };
}

export function fillJson(fill: FillRecord, marketOf: MarketOf): Json {
  const { id, order, side, role, time, status, settlement } = fill;
  const market = marketOf(fill);
  const tokens = market === undefined ? undefined : tokensOf(market, side);
  const amount = (value: bigint, token: Token | undefined): Json =>
    token === undefined
      ? { units: value.toString() }
      : { token: token.symbol, ...(amountJson(value, token) as object) };
  return {
    id,
    order,
    pair: pairOf(market, fill.market),
    side,
    role,
    price: priceOf(market, fill.price),
    quantity: quantityOf(market, fill.lots),
    sold: amount(fill.sold, tokens?.sold),
    bought: amount(fill.bought, tokens?.bought),
    fee: amount(fill.fee, market?.quoteToken),
    time,
    status,
    settlement: settlement === 0 ? null : settlement,
  };
}

export function fillsTable(fills: readonly FillRecord[], marketOf: MarketOf): string {
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'id', ...right },
    { title: 'order', ...right },
    { title: 'pair' },
    { title: 'side' },
    { title: 'role' },
    { title: 'price', ...right },
    { title: 'quantity', ...right },
    { title: 'sold', ...right },
    { title: 'bought', ...right },
    { title: 'fee', ...right },
    { title: 'status' },
  ];
  const rows = fills.map((fill) => {
    const market = marketOf(fill);
    const tokens = market === undefined ? undefined : tokensOf(market, fill.side);
    const amount = (value: bigint, token: Token | undefined) =>
      token === undefined ? `${value} units` : amountText(value, token);
    return [
      String(fill.id),
      String(fill.order),
      pairOf(market, fill.market),
      fill.side,
      fill.role,
      priceOf(market, fill.price),
      quantityOf(market, fill.lots),
      amount(fill.sold, tokens?.sold),
      amount(fill.bought, tokens?.bought),
      amount(fill.fee, market?.quoteToken),
      fill.status === 'settled' ? `settled in ${fill.settlement}` : fill.status,
    ];
  });
  return table(columns, rows);
}

export type NamedBalance = BalanceRecord & {
  readonly token: Token;
  /** The part of what is held that withdrawals hold, until they are settled. */
  readonly withdrawing: bigint;
};

const PARTS = ['total', 'available', 'held', 'withdrawing', 'waiting'] as const;

/** @param held by orders, matches and withdrawals alike, as the operator tells it. */
export function withWithdrawals(
  { held, ...balance }: Omit<NamedBalance, 'withdrawing'>,
  withdrawals: readonly WithdrawalRecord[],
): NamedBalance {
  const withdrawing = withdrawals.reduce(
    (sum, { asset, amount, status }) => (asset === balance.asset && status === 'waiting' ? sum + amount : sum),
    0n,
  );
  // Something may have been settled between the two questions.
  return { ...balance, withdrawing, held: held > withdrawing ? held - withdrawing : 0n };
}

/**
 * What can still be traded of a trading account's notes, by their locks.
 *
 * @param now block time, in unix seconds.
 * @param secondsMin a lock that ends sooner lets nothing new be traded.
 */
export function tradableLines(notes: readonly Omit<LockedNotes, 'count'>[], now: bigint, secondsMin: bigint): string[] {
  return groupLocks(notes).map(({ token, value, lock: { expiry } }) => {
    const amount = amountText(value, token);
    if (expiry <= now)
      return `${amount}: its lock has ended, so it is not traded any more. Take it home: ${COMMAND} reclaim`;
    const end = `its lock ends ${formatTime(expiry)}, in ${formatDuration(expiry - now)}`;
    if (expiry <= now + secondsMin) return `${amount}: ${end}, too soon for new orders`;
    return `${amount}: ${end}; new orders use it for ${formatDuration(expiry - secondsMin - now)} more`;
  });
}

/** What new orders cannot use of each token though its locks last, as `tradableLines` has them. */
export function beyondLines(notes: readonly Omit<LockedNotes, 'count'>[], now: bigint, secondsMin: bigint): string[] {
  const usable = Map.groupBy(
    notes.filter(({ lock }) => lock.expiry > now + secondsMin),
    ({ token }) => token.asset,
  );
  return [...usable.values()].flatMap((group) => {
    const [{ token }] = group as [(typeof group)[number]];
    const all = group.map(({ value }) => value);
    const beyond = all.toSorted((left, right) => (left < right ? 1 : -1)).slice(FILL_INPUTS);
    const amount = amountText(
      beyond.reduce((sum, value) => sum + value, 0n),
      token,
    );
    const joining = `${COMMAND} trade withdraw --relock joins two into one`;
    return beyond.length === 0
      ? []
      : [`${amount} are in smaller notes: a fill spends two, so new orders use the two largest of a token. ${joining}`];
  });
}

export function balanceJson({ token, ...balance }: NamedBalance): Json {
  return {
    token: tokenJson(token),
    ...Object.fromEntries(PARTS.map((part) => [part, amountJson(balance[part], token)])),
  };
}

export function balancesTable(balances: readonly NamedBalance[]): string {
  const columns = [{ title: '' }, ...PARTS.map((title) => ({ title, align: 'right' as const }))];
  const rows = balances.map((balance) => [
    balance.token.symbol,
    ...PARTS.map((part) => formatAmount(balance[part], balance.token)),
  ]);
  return table(columns, rows);
}

export function withdrawalJson(withdrawal: WithdrawalRecord, token: Token): Json {
  const { id, clientOrderId, amount, fee, time, status, settlement } = withdrawal;
  return {
    id,
    clientOrderId,
    token: tokenJson(token),
    amount: amountJson(amount, token),
    fee: amountJson(fee, token),
    time,
    status,
    settlement: settlement === 0 ? null : settlement,
  };
}

export function withdrawalsTable(withdrawals: readonly (WithdrawalRecord & { readonly token: Token })[]): string {
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'id', ...right },
    { title: 'amount', ...right },
    { title: 'fee', ...right },
    { title: 'status' },
  ];
  const rows = withdrawals.map(({ id, amount, fee, token, status, settlement }) => [
    String(id),
    amountText(amount, token),
    amountText(fee, token),
    status === 'settled' ? `settled in ${settlement}` : status,
  ]);
  return table(columns, rows);
}

export function marketJson(market: TradedMarket): Json {
  const { pair, makerFee, takerFee, lotsMin, lotsMax, ticksMax, trading, baseToken, quoteToken } = market;
  return {
    pair,
    base: tokenJson(baseToken),
    quote: tokenJson(quoteToken),
    priceStep: priceStep(market),
    priceMax: formatPrice(market, ticksMax),
    quantityStep: quantityStep(market),
    quantityMin: formatQuantity(market, lotsMin),
    quantityMax: formatQuantity(market, lotsMax),
    makerFeeBasisPoints: makerFee,
    takerFeeBasisPoints: takerFee,
    trading,
  };
}

export function marketsTable(markets: readonly TradedMarket[]): string {
  const right = { align: 'right' } as const;
  const columns = [
    { title: 'pair' },
    { title: 'price step', ...right },
    { title: 'quantity step', ...right },
    { title: 'least', ...right },
    { title: 'most', ...right },
    { title: 'maker fee', ...right },
    { title: 'taker fee', ...right },
    { title: '' },
  ];
  const percent = (basisPoints: number) => `${basisPoints / 100} %`;
  const rows = markets.map((market) => [
    market.pair,
    priceStep(market),
    quantityStep(market),
    formatQuantity(market, market.lotsMin),
    formatQuantity(market, market.lotsMax),
    percent(market.makerFee),
    percent(market.takerFee),
    market.trading ? '' : 'halted',
  ]);
  return table(columns, rows);
}
