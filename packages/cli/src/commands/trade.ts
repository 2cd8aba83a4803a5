import type { Token } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { OrderType, Side, TimeInForce } from '@bitcloak/protocol/orders';
import { SIGNED_SECONDS, type OrderOutcome, type OrderWish, type TradingClient } from '@bitcloak/trading/client';
import { lotsOf, ticksOf } from '@bitcloak/trading/steps';
import { parseAmount } from '@bitcloak/protocol/amounts';
import type { Session } from '@bitcloak/wallet/session';
import type { KeptOrder } from '@bitcloak/wallet/tradingBook';
import type { Context } from '../context.ts';
import { amountText, lockText, outcomeJson, outcomeText } from '../format.ts';
import {
  connectOperator,
  readAccount,
  readOperator,
  readProceeds,
  tradedToken,
  type OperatorOptions,
  type ProceedsOptions,
} from '../operator.ts';
import type { Result } from '../output.ts';
import { parseCount } from '../parse.ts';
import { orderSecondsMax, soldBy, withLimits } from '../refusals.ts';
import { agree, readRoute, type RouteOptions } from '../routes.ts';
import { formatDuration, parseDuration } from '../time.ts';
import { fillJson, fillsTable, marketsOf, orderJson, ordersTable, withdrawalJson } from '../tradeFormat.ts';
import { reasonText, selfTradeOf } from '../words.ts';
import { checkPublicFunds, openSpending, readAmount, report, routeOf, spends, withHoldings } from './transfers.ts';

const LOCK_SECONDS = 7n * 86_400n;

export type OpenOptions = OperatorOptions & RouteOptions & { readonly for?: string; readonly fromNotes?: true };

/** Makes a note that is locked to the operator, and tells the operator of it: from then on it can be traded with. */
export async function openAccount(
  context: Context,
  typed: string,
  tokenName: string,
  options: OpenOptions,
): Promise<Result> {
  const manifest = await context.manifest();
  const { account } = readOperator(manifest, options);
  const { token, amount } = await readAmount(context, typed, tokenName);
  const seconds = options.for === undefined ? LOCK_SECONDS : parseDuration(options.for);
  const choice = options.fromNotes === true ? readRoute(manifest, options, token) : undefined;
  if (choice === undefined) await checkPublicFunds(context, { token, amount });
  const session = await openSpending(context);
  const client = await connectOperator(context, options, { onlyLooks: true });
  const { encryptionKey, settleSeconds, lockSecondsMax } = await client.info();
  // Notes stop being traded well before their lock ends, and those that are locked for too long are not credited at all.
  const secondsMin = BigInt(2 * settleSeconds);
  if (seconds <= secondsMin || seconds > BigInt(lockSecondsMax)) {
    const [least, most] = [formatDuration(secondsMin), formatDuration(BigInt(lockSecondsMax))];
    const message = `--for: the operator takes locks of more than ${least} and at most ${most}, got ${formatDuration(seconds)}`;
    throw new BitcloakError('LOCK_INVALID', message);
  }
  const route =
    choice === undefined
      ? undefined
      : await routeOf(context, session, choice, { token, check: spends(context, { token, amount }) });
  if (route === undefined) await agreeToBeSeen(context, amountText(amount, token));
  const { operatorId, index } = account;
  const lock = { operatorId, index, expiry: session.blockTime + seconds, operatorKey: encryptionKey };
  const { asset } = token;
  const { stage } = context.progress;
  const outcome =
    route === undefined
      ? await session.deposit({ asset, amount, lock }, stage)
      : await withHoldings(session, { token, amount, feeOnTop: route.kind === 'relayer' }, () =>
          session.lock({ asset, amount, lock, route }, stage),
        );
  const done = `Opened with ${amountText(amount, token)}, locked to ${lockText(lock, session.blockTime)}`;
  return report(context, session, { token, amount, lock, outcomes: [outcome], done, isDeposit: route === undefined });
}

/** The chain shows who deposits: that is said before, as of a withdrawal that is sent directly. */
async function agreeToBeSeen(context: Context, amount: string): Promise<void> {
  const account = (await context.openWallet()).account().address;
  context.progress.warn(
    `WARNING: paid by your public account ${account}. The chain shows it as the one that deposits ${amount} now, to everybody and for ever. Out of your notes instead: --from-notes`,
  );
  await agree(context, `Deposit ${amount} openly?`);
}

export type OrderOptions = OperatorOptions &
  ProceedsOptions & {
    readonly price: string;
    readonly type?: OrderType;
    readonly tif?: TimeInForce;
    readonly postOnly?: true;
    readonly iceberg?: string;
    readonly minTotal?: string;
    readonly minMatch?: string;
    readonly pegged?: true;
    /** One of SELF_TRADE_WORDS. */
    readonly selfTrade?: string;
    readonly expires?: string;
  };

export async function placeOrder(
  context: Context,
  side: Side,
  quantity: string,
  pair: string,
  options: OrderOptions,
): Promise<Result> {
  const { type, tif, postOnly, iceberg, minTotal, minMatch, pegged, selfTrade, price } = options;
  const seconds = options.expires === undefined ? SIGNED_SECONDS : Number(parseDuration(options.expires));
  const terms: Omit<OrderWish, 'proceeds'> = {
    pair,
    side,
    price,
    quantity,
    type: pegged === true ? 'pegged' : (type ?? 'limit'),
    timeInForce: tif ?? (type === 'market' ? 'ioc' : 'gtc'),
    signFor: seconds,
    ...(tif === 'gtd' ? { expireAfter: seconds } : {}),
    ...(postOnly === undefined ? {} : { postOnly }),
    ...(iceberg === undefined ? {} : { display: iceberg }),
    ...(minTotal === undefined ? {} : { minimumTotal: minTotal }),
    ...(minMatch === undefined ? {} : { minimumMatch: minMatch }),
    ...(selfTrade === undefined ? {} : { selfTrade: selfTradeOf(selfTrade) }),
  };
  return withSession(context, options, async (client) => {
    // Before anything is signed that nobody takes.
    const secondsMax = await orderSecondsMax(client);
    if (seconds > secondsMax) {
      const [most, got] = [formatDuration(BigInt(secondsMax)), formatDuration(BigInt(seconds))];
      throw new BitcloakError(
        'USAGE',
        `--expires: the operator takes orders that trade for at most ${most}, got ${got}`,
      );
    }
    const sold = async () => {
      const market = await client.market(pair);
      return soldBy(market, side, ticksOf(market, price), lotsOf(market, quantity));
    };
    const { order, fills } = await withLimits(client, sold, () => client.place(terms));
    return { order, fills, text: 'Let in' };
  });
}

export async function amendOrder(
  context: Context,
  typed: string,
  options: OperatorOptions & ProceedsOptions & { readonly price?: string; readonly quantity?: string },
): Promise<Result> {
  const { price, quantity } = options;
  const id = parseOrderNumber(typed);
  if (price === undefined && quantity === undefined) {
    throw new BitcloakError('USAGE', 'amend: --price P, --quantity Q or both are needed');
  }
  const wish = { ...(price === undefined ? {} : { price }), ...(quantity === undefined ? {} : { quantity }) };
  return withSession(context, options, async (client, session) => {
    const { operatorId, index } = readAccount(await context.manifest(), options);
    const signed = session.tradeBook
      .orders()
      .filter((kept) => kept.id === id && kept.index === index && kept.order.operatorId === operatorId);
    const expiryMax = await signedUntil(client, signed);
    const sold = async () => {
      const known = await client.order(id);
      const market = client.marketOf(known);
      if (market === undefined) return undefined;
      const lots = quantity === undefined ? known.lots : lotsOf(market, quantity);
      return soldBy(
        market,
        known.side,
        price === undefined ? known.price : ticksOf(market, price),
        lots - known.filled,
      );
    };
    const outcome = await withLimits(client, sold, () =>
      client.amend(id, { ...wish, ...(expiryMax === undefined ? {} : { expiryMax }) }),
    );
    return { ...outcome, text: 'Amended' };
  });
}

/** When an order leaves the operator's book at the latest, in unix seconds, by what was signed and not by what is told. */
async function signedUntil(client: TradingClient, signed: readonly KeptOrder[]): Promise<number | undefined> {
  if (signed.length === 0) return undefined;
  return Math.max(...signed.map(({ order }) => Number(order.expiry))) - (await client.info()).settleSeconds;
}

/** Works with a client that keeps what it signs, and tells what came of an order. */
async function withSession(
  context: Context,
  options: OperatorOptions & ProceedsOptions,
  work: (client: TradingClient, session: Session) => Promise<OrderOutcome & { readonly text: string }>,
): Promise<Result> {
  const manifest = await context.manifest();
  const { account } = readOperator(manifest, options);
  const session = await openSpending(context);
  const proceeds = readProceeds(session, account, options);
  const client = await connectOperator(context, options, { session, ...proceeds });
  session.tradeBook.forgetExpired(session.blockTime);
  const { order, fills, text } = await work(client, session);
  session.tradeBook.name(order.clientOrderId, order.id);
  const marketOf = marketsOf(client);
  const traded = fills.length === 0 ? [] : [fillsTable(fills, marketOf)];
  const json = { order: orderJson(order, marketOf), fills: fills.map((fill) => fillJson(fill, marketOf)) };
  // Whoever wanted a trade or a waiting order has neither: a script must not go on as if.
  if (order.status === 'cancelled' && order.filled === 0) {
    const message = `order ${order.id} was cancelled at once, and nothing of it traded: ${reasonText(order.reason)}`;
    const error = new BitcloakError('ORDER_CANCELLED', message);
    const { code } = error;
    return { json: { ...json, error: { code, message } }, text: ordersTable([order], marketOf), error };
  }
  return { json, text: [`${text}:`, ordersTable([order], marketOf), ...traded].join('\n') };
}

export type CancelOptions = OperatorOptions & {
  readonly all?: true;
  readonly pair?: string;
  readonly onChain?: true;
  readonly signed?: true;
};

export async function cancelOrders(
  context: Context,
  typed: string | undefined,
  options: CancelOptions,
): Promise<Result> {
  const { all, pair, onChain } = options;
  if ((typed === undefined) === (all === undefined)) {
    throw new BitcloakError('USAGE', 'cancel: give either the number of an order or --all');
  }
  if (onChain === true) return cancelOnChain(context, typed, options);
  if (typed !== undefined) {
    const id = parseOrderNumber(typed);
    const client = await connectOperator(context, options);
    const order = await client.cancel(id);
    const marketOf = marketsOf(client);
    return { json: { order: orderJson(order, marketOf) }, text: ordersTable([order], marketOf) };
  }
  const cancelled = await (await connectOperator(context, options)).cancelAll(pair);
  return { json: { cancelled }, text: `${cancelled} ${cancelled === 1 ? 'order' : 'orders'} cancelled.` };
}

/** Needs nothing of the operator: the wallet has what it signed. */
async function cancelOnChain(context: Context, typed: string | undefined, options: CancelOptions): Promise<Result> {
  const { operatorId } = readAccount(await context.manifest(), options);
  const session = await openSpending(context);
  // What the operator calls cancelled or filled it could settle still: only the chain knows what is over.
  const alive = session
    .checkFills(operatorId, undefined)
    .orders.filter(({ kept: { order }, sold }) => order.expiry > session.blockTime && sold < order.sellMax)
    .map(({ kept }) => kept);
  const over =
    typed === undefined && options.signed === undefined ? await ordersOver(context, options) : new Set<string>();
  const meant = alive.filter(({ id, clientOrderId }) =>
    typed === undefined ? !over.has(clientOrderId) : clientOrderId === typed || String(id) === typed,
  );
  const skipped = typed === undefined ? alive.length - meant.length : 0;
  // An operator that lies can settle them still: that is not to be overlooked.
  if (skipped > 0)
    context.progress.warn(`The operator says that ${skipped} more are over: --signed takes them back too.`);
  if (meant.length === 0) {
    const which = typed === undefined ? 'no order' : 'no order of that number or client order id';
    throw new BitcloakError('ORDER_UNKNOWN', `this wallet has signed ${which} that could still be settled`);
  }
  const hashes = meant.map(({ orderHash }) => orderHash);
  const names = new Map(meant.map(({ id, clientOrderId }) => [clientOrderId, id ?? clientOrderId]));
  const clientOrderIds = [...names.keys()];
  const { transactions, gas, cost } = await session.cancelCost(hashes);
  if (transactions === 0) return { json: { clientOrderIds, transactions: [] }, text: 'They were cancelled before.' };
  const account = (await context.openWallet()).account().address;
  context.progress.warn(
    `WARNING: the chain shows your public account ${account} as one that cancels orders, to everybody and for ever; not which, nor of whom.`,
  );
  const [native] = session.manifest.tokens as [Token];
  const which = `${names.size === 1 ? 'order' : 'orders'} ${[...names.values()].join(', ')}`;
  const sends = `${transactions} ${transactions === 1 ? 'transaction' : 'transactions'}`;
  context.progress.note(
    `To cancel: ${which}. ${sends}, about ${gas} gas, now some ${amountText(roundedUp(cost), native)}.`,
  );
  await agree(context, `Pay some ${amountText(roundedUp(cost), native)} to cancel on the chain?`);
  const outcomes = await session.cancelOrders(hashes, context.progress.stage);
  const text = `Cancelled ${which}. It counts in 70 minutes of block time; what has matched is settled until then.`;
  return {
    json: { clientOrderIds, transactions: outcomes.map((outcome) => outcomeJson(outcome, native)) },
    text: [text, ...outcomes.map((outcome) => outcomeText(outcome, native))].join('\n'),
  };
}

/** Client order ids of what an operator says is over; none where it says nothing, or is not what it should be. */
async function ordersOver(context: Context, options: OperatorOptions): Promise<Set<string>> {
  try {
    const client = await connectOperator(context, options);
    const records = [...(await client.orders('all')), ...(await client.withdrawals())];
    const isOver = ({ status }: { status: string }) => status !== 'open' && status !== 'waiting';
    return new Set(records.filter(isOver).map(({ clientOrderId }) => clientOrderId));
  } catch (error) {
    if (!(error instanceof BitcloakError)) throw error;
    context.progress.warn(`${error.message}: all that was signed is cancelled.`);
    return new Set();
  }
}

/** To three digits. */
function roundedUp(amount: bigint): bigint {
  const step = 10n ** BigInt(Math.max(0, amount.toString().length - 3));
  return ((amount + step - 1n) / step) * step;
}

export async function withdraw(
  context: Context,
  typed: string,
  tokenName: string,
  options: OperatorOptions & ProceedsOptions & { readonly feeMax?: string },
): Promise<Result> {
  const manifest = await context.manifest();
  const { account } = readOperator(manifest, options);
  const token = tradedToken(manifest, tokenName);
  const asked = { token, amount: parseAmount(typed, token) };
  const feeMax = options.feeMax === undefined ? {} : { feeMax: options.feeMax };
  if (options.feeMax !== undefined) parseAmount(options.feeMax, token);
  const session = await openSpending(context);
  const proceeds = readProceeds(session, account, options);
  const client = await connectOperator(context, options, { session, ...proceeds });
  const withdrawal = await withLimits(
    client,
    async () => asked,
    () => client.withdraw({ asset: token.symbol, amount: typed, ...feeMax }),
  );
  const { amount, fee } = withdrawal;
  const text =
    `Withdrawing ${amountText(amount - fee, token)}, after ${amountText(fee, token)} for the operator. ` +
    'It is yours when its settlement is on the chain and inserted.';
  return { json: { withdrawal: withdrawalJson(withdrawal, token) }, text };
}

function parseOrderNumber(text: string): number {
  return parseCount(text, 'order', 1, Number.MAX_SAFE_INTEGER);
}
