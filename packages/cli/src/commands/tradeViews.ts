import process from 'node:process';
import { formatAccount, type Token } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Report } from '@bitcloak/trading/records';
import type { StreamEvent } from '@bitcloak/trading/stream';
import { betterThanSigned, type FillsCheck, type OrderCheck, type Told } from '@bitcloak/wallet/tradingChecks';
import type { Session } from '@bitcloak/wallet/session';
import type { Context } from '../context.ts';
import { amountJson, amountText, lockJson, tokenJson } from '../format.ts';
import { connectOperator, readAccount, readOperator, type OperatorOptions } from '../operator.ts';
import { table, type Json, type Result } from '../output.ts';
import type { TokenBook } from '../tokens.ts';
import {
  balanceJson,
  balancesTable,
  beyondLines,
  fillJson,
  fillsTable,
  marketJson,
  marketsOf,
  marketsTable,
  orderJson,
  ordersTable,
  tradableLines,
  withdrawalJson,
  withdrawalsTable,
  withWithdrawals,
  type MarketOf,
} from '../tradeFormat.ts';
import { nameAll } from './holdings.ts';

export async function showMarkets(context: Context, options: OperatorOptions): Promise<Result> {
  const client = await connectOperator(context, options, { onlyLooks: true });
  const markets = await client.markets();
  return {
    json: { markets: markets.map(marketJson) },
    text: markets.length === 0 ? 'No markets of known tokens.' : marketsTable(markets),
  };
}

export async function showOrders(context: Context, options: OperatorOptions & { all?: true }): Promise<Result> {
  const client = await connectOperator(context, options);
  const orders = await client.orders(options.all === true ? 'all' : 'open');
  const marketOf = marketsOf(client);
  return {
    json: { orders: orders.map((order) => orderJson(order, marketOf)) },
    text: orders.length === 0 ? 'No orders.' : ordersTable(orders, marketOf),
  };
}

export async function showFills(context: Context, options: OperatorOptions): Promise<Result> {
  const client = await connectOperator(context, options);
  const fills = await client.allFills();
  const marketOf = marketsOf(client);
  return {
    json: { fills: fills.map((fill) => fillJson(fill, marketOf)) },
    text: fills.length === 0 ? 'No fills.' : fillsTable(fills, marketOf),
  };
}

export async function showWithdrawals(context: Context, options: OperatorOptions): Promise<Result> {
  const client = await connectOperator(context, options);
  const withdrawals = await nameAll(await context.tokens(), await client.withdrawals());
  return {
    json: { withdrawals: withdrawals.map((withdrawal) => withdrawalJson(withdrawal, withdrawal.token)) },
    text: withdrawals.length === 0 ? 'No withdrawals.' : withdrawalsTable(withdrawals),
  };
}

export async function showTradingBalances(context: Context, options: OperatorOptions): Promise<Result> {
  const { account } = readOperator(await context.manifest(), options);
  const session = await openIfFree(context);
  const client = await connectOperator(context, options);
  const tokens = await context.tokens();
  const told = await nameAll(tokens, await client.balances());
  const withdrawals = await client.withdrawals();
  const balances = told.map((balance) => withWithdrawals(balance, withdrawals));
  const shown = balances.length === 0 ? 'Nothing is with the operator.' : balancesTable(balances);
  const json = { balances: balances.map(balanceJson) };
  if (session === undefined) return { json: { ...json, locks: null }, text: shown };
  const notes = await nameAll(tokens, session.lockedNotes(account.operatorId, account.index));
  const now = session.blockTime;
  const secondsMin = BigInt(2 * (await client.info()).settleSeconds);
  return {
    json: {
      ...json,
      locks: notes.map(({ token, value, lock }) => ({
        token: tokenJson(token),
        value: amountJson(value, token),
        lock: lockJson(lock, now),
        tradable: lock.expiry > now + secondsMin,
      })),
    },
    text: [shown, ...tradableLines(notes, now, secondsMin), ...beyondLines(notes, now, secondsMin)].join('\n'),
  };
}

/** A bot that runs has the wallet for itself, and what the operator tells can be shown all the same. */
async function openIfFree(context: Context): Promise<Session | undefined> {
  try {
    return await context.openSession();
  } catch (error) {
    if (!(error instanceof BitcloakError) || error.code !== 'WALLET_BUSY') throw error;
    context.progress.note(`${error.message}: until when locks last is not shown.`);
    return undefined;
  }
}

export async function watch(context: Context, options: OperatorOptions): Promise<Result> {
  const client = await connectOperator(context, options);
  const marketOf = marketsOf(client);
  const tokens = await context.tokens();
  let reports = 0;
  await context.untilInterrupted(async (signal) => {
    const stream = client.stream({ signal });
    // Nobody waits for it once the command is interrupted.
    void stream.ready().then(
      () => context.progress.note('Watching; Ctrl-C ends it.'),
      () => undefined,
    );
    for await (const event of stream) {
      if (event.kind === 'report') reports++;
      await show(context, event, marketOf, tokens);
    }
  });
  return { json: { reports }, text: `${reports} ${reports === 1 ? 'report' : 'reports'}.` };
}

async function show(context: Context, event: StreamEvent, marketOf: MarketOf, tokens: TokenBook): Promise<void> {
  if (event.kind === 'disconnected') context.progress.warn(`${event.error.message}; connecting again`);
  if (event.kind === 'snapshot' && event.missed)
    context.progress.warn('Something was missed: see trade orders and fills.');
  if (event.kind !== 'report') return;
  const { report } = event;
  const line =
    context.options.json === true
      ? JSON.stringify(reportJson(report, marketOf))
      : await reportText(report, marketOf, tokens);
  process.stdout.write(`${line}\n`);
}

function reportJson(report: Report, marketOf: MarketOf): Json {
  const { sequence, time, kind } = report;
  const head = { sequence, time, kind };
  switch (report.kind) {
    case 'accepted':
    case 'amended':
    case 'reduced':
    case 'cancelled':
      return { ...head, order: orderJson(report.order, marketOf) };
    case 'traded':
    case 'busted':
      return { ...head, fill: fillJson(report.fill, marketOf) };
    case 'settled':
      return { ...head, settlement: report.settlement, fills: report.fills, withdrawals: report.withdrawals };
    case 'withdrawing':
    case 'withdrawalBusted': {
      const { id, asset, amount, fee } = report.withdrawal;
      return {
        ...head,
        withdrawal: { id, asset: formatAccount(asset), units: amount.toString(), fee: fee.toString() },
      };
    }
    case 'credited':
    case 'debited':
      return { ...head, asset: formatAccount(report.asset), units: report.amount.toString() };
  }
}

async function reportText(report: Report, marketOf: MarketOf, tokens: TokenBook): Promise<string> {
  const amount = async (asset: bigint, value: bigint) => amountText(value, await tokens.of(asset));
  switch (report.kind) {
    case 'accepted':
    case 'amended':
    case 'reduced':
    case 'cancelled':
    case 'traded':
    case 'busted': {
      const record = 'fill' in report ? fillJson(report.fill, marketOf) : orderJson(report.order, marketOf);
      const { id, order = id, pair, side, quantity, price, reason } = record as Record<string, string | undefined>;
      const why = reason == null ? '' : ` (${reason})`;
      return `${report.kind}: order ${order}, ${side} ${quantity} ${pair} at ${price}${why}`;
    }
    case 'settled': {
      const { settlement, fills, withdrawals } = report;
      return `settled in ${settlement}: fills ${fills.join(', ') || 'none'}, withdrawals ${withdrawals.join(', ') || 'none'}`;
    }
    case 'withdrawing':
    case 'withdrawalBusted': {
      const { id, asset, amount: value } = report.withdrawal;
      return `${report.kind}: ${id}, ${await amount(asset, value)}`;
    }
    case 'credited':
    case 'debited':
      return `${report.kind}: ${await amount(report.asset, report.amount)}`;
  }
}

/** Compares what the chain has with what was signed here, and with what the operator tells where it can be asked. */
export async function verify(context: Context, options: OperatorOptions & { offline?: true }): Promise<Result> {
  const manifest = await context.manifest();
  const { operatorId, index } = readAccount(manifest, options);
  if (options.offline !== true) readOperator(manifest, options);
  const session = await context.openSession();
  const block = session.history().reduce((newest, entry) => Math.max(newest, entry.block), 0);
  const answer = options.offline === true ? undefined : await ask(context, options);
  const told = answer && { ...answer, index, block };
  // What was told is of before this look at the chain.
  if (told !== undefined) await context.sync(session);
  const check = session.checkFills(operatorId, told);
  const tokens = await context.tokens();
  const rows = await Promise.all(
    check.orders.filter(({ fills }) => fills.length > 0).map((order) => orderRow(order, tokens)),
  );
  const columns = [
    { title: '' },
    { title: 'sold', align: 'right' },
    { title: 'bought', align: 'right' },
    { title: 'settlements' },
    { title: '' },
  ] as const;
  const isRight = check.contradictions.length === 0 && check.orders.every(({ keepsLimit }) => keepsLimit);
  const lines = [
    ...(rows.length === 0
      ? ['Nothing that this wallet signed has been settled.']
      : [
          table(
            columns,
            rows.map(({ cells }) => cells),
          ),
        ]),
    ...check.contradictions.map(
      ({ clientOrderId, kind, id, why }) =>
        `NOT AS TOLD: ${kind}${id === undefined ? '' : ` ${id}`} of order ${clientOrderId}: ${WHY[why]}`,
    ),
    ...summary(check, told),
    verdict(isRight, rows.length, check),
  ];
  return {
    json: {
      right: isRight,
      askedOperator: told !== undefined,
      orders: rows.map(({ json }) => json),
      unknown: check.unknown.length,
      waiting: check.waiting,
      gone: check.gone,
      uncompared: check.uncompared,
      contradictions: check.contradictions.map(({ id, sold, bought, ...rest }) => ({
        ...rest,
        id: id ?? null,
        sold: sold.toString(),
        bought: bought.toString(),
      })),
    },
    text: lines.join('\n'),
  };
}

const WHY = {
  notSettled: 'it was told to be matched, and its order has expired without a settlement',
  notThere: 'it was told to be settled, and is not on the chain',
  differs: 'the settlement that it was told to be in has other amounts',
  settled: 'it was told to be busted, and is on the chain',
  notTold: 'it is on the chain, and was not told to be',
} as const;

function summary({ unknown, waiting, gone, uncompared }: FillsCheck, told: Answer | undefined): string[] {
  return [
    ...(unknown.length === 0
      ? []
      : [`${unknown.length} settlements are of orders that were signed elsewhere, and cannot be compared here.`]),
    ...(waiting === 0 ? [] : [`${waiting} matches wait for their settlement.`]),
    ...(gone === 0
      ? []
      : [
          `${gone} settlements are within what was signed; the operator says that it no longer has what it told of them.`,
        ]),
    ...(uncompared === 0
      ? []
      : [`${uncompared} matches were told of orders that this wallet does not know, and cannot be compared here.`]),
    ...(told === undefined ? ['The operator was not asked.'] : []),
  ];
}

function verdict(isRight: boolean, compared: number, { unknown }: FillsCheck): string {
  if (!isRight) return 'Something is not as it was signed or told.';
  if (unknown.length === 0) return 'Everything on the chain is as it was signed.';
  return compared === 0 ? 'Nothing could be compared.' : 'What was signed here is on the chain as it was signed.';
}

type Answer = Omit<Told, 'index' | 'block'>;

async function ask(context: Context, options: OperatorOptions): Promise<Answer | undefined> {
  try {
    const client = await connectOperator(context, options);
    // In this order: a match between the questions must not seem to be of an order that is not told.
    const fills = await client.allFills();
    const lists = { fills, withdrawals: await client.withdrawals(), orders: await client.orders('all') };
    return { ...lists, from: await client.recordsFrom() };
  } catch (error) {
    if (!(error instanceof BitcloakError) || error.code !== 'OPERATOR_UNREACHABLE') throw error;
    context.progress.warn(`${error.message}: only what was signed is compared with the chain.`);
    return undefined;
  }
}

/** @param better basis points. */
function withinText(better: number): string {
  return better === 0 ? 'as signed' : `${better / 100} % more bought than the least that was signed for`;
}

async function orderRow(check: OrderCheck, tokens: TokenBook): Promise<{ cells: string[]; json: Json }> {
  const { kept, sold, bought, fills, keepsLimit } = check;
  const { clientOrderId, id, order } = kept;
  const [sellToken, buyToken]: [Token, Token] = [await tokens.of(order.sellAsset), await tokens.of(order.buyAsset)];
  const better = betterThanSigned(check);
  const verdict = keepsLimit ? withinText(better) : 'WORSE THAN SIGNED';
  return {
    cells: [
      `${kept.kind === 'withdrawal' ? 'withdrawal' : 'order'} ${id ?? clientOrderId}`,
      amountText(sold, sellToken),
      amountText(bought, buyToken),
      fills.map(({ sequence }) => sequence.toString()).join(', '),
      verdict,
    ],
    json: {
      id: id ?? null,
      clientOrderId,
      kind: kept.kind,
      sold: { token: sellToken.symbol, ...(amountJson(sold, sellToken) as object) },
      bought: { token: buyToken.symbol, ...(amountJson(bought, buyToken) as object) },
      settlements: fills.map(({ sequence, block, transaction }) => ({
        sequence: Number(sequence),
        block,
        transaction,
      })),
      keepsLimit,
      betterBasisPoints: better,
    },
  };
}
