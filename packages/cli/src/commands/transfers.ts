import { formatAccount, type Token } from '@bitcloak/chain/manifest';
import { formatAddress } from '@bitcloak/notes/address';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { parseAmount } from '@bitcloak/protocol/amounts';
import type { Session } from '@bitcloak/wallet/session';
import type { LockRequest } from '@bitcloak/wallet/transfers';
import type { NoteView, Outcome, Route } from '@bitcloak/wallet/types';
import type { Context } from '../context.ts';
import {
  amountJson,
  amountText,
  lockJson,
  lockText,
  outcomeJson,
  outcomeText,
  pendingText,
  tokenJson,
} from '../format.ts';
import { COMMAND } from '../invocation.ts';
import type { Json, Result } from '../output.ts';
import { parseAccount, parseOperatorId, parseOperatorKey, parseShielded } from '../parse.ts';
import { chooseRoute, readRoute, type RouteChoice, type RouteOptions } from '../routes.ts';
import { parseDuration, parseTime } from '../time.ts';
import { publicBalance } from '../tokens.ts';
import { lockLines, nameAll, waitingJson, waitLines } from './holdings.ts';

export type LockOptions = {
  readonly operator?: string;
  readonly until?: string;
  readonly for?: string;
  readonly operatorKey?: string;
};

/** An amount as it was typed, which is read before anybody is asked for a passphrase. */
export type Asked = { readonly token: Token; readonly amount: bigint };

export async function readAmount(context: Context, amount: string, tokenName: string | undefined): Promise<Asked> {
  const [native] = (await context.manifest()).tokens;
  const token =
    tokenName === undefined && native !== undefined ? native : await (await context.tokens()).resolve(tokenName ?? '');
  return { token, amount: parseAmount(amount, token) };
}

export async function deposit(
  context: Context,
  typed: string,
  tokenName: string | undefined,
  options: LockOptions,
): Promise<Result> {
  const { token, amount } = await readAmount(context, typed, tokenName);
  const plan = readLock(options);
  await checkPublicFunds(context, { token, amount });
  const session = await openSpending(context);
  const lock = plan?.(session.blockTime);
  const outcome = await session.deposit({ asset: token.asset, amount, lock }, context.progress.stage);
  const done = `Deposited ${amountText(amount, token)}${lock === undefined ? '' : `, locked to ${lockText(lock, session.blockTime)}`}`;
  return report(context, session, { token, amount, lock, outcomes: [outcome], done, isDeposit: true });
}

export async function send(
  context: Context,
  typed: string,
  tokenName: string,
  address: string,
  options: RouteOptions,
): Promise<Result> {
  const { token, amount } = await readAmount(context, typed, tokenName);
  const to = parseShielded(address);
  const { session, route } = await prepare(context, options, { token, check: spends(context, { token, amount }) });
  const outcome = await withHoldings(session, { token, amount, feeOnTop: route.kind === 'relayer' }, () =>
    session.send({ asset: token.asset, amount, to, route }, context.progress.stage),
  );
  const done = `Sent ${amountText(amount, token)} to ${formatAddress(to)}`;
  return report(context, session, { token, amount, outcomes: [outcome], done, more: { recipient: formatAddress(to) } });
}

export async function withdraw(
  context: Context,
  typed: string,
  tokenName: string,
  accountText: string,
  options: RouteOptions,
): Promise<Result> {
  const { token, amount } = await readAmount(context, typed, tokenName);
  const to = parseAccount(accountText);
  const account = formatAccount(to);
  const { session, route } = await prepare(context, options, {
    token,
    recipient: account,
    check: async (current, fee) => {
      if (fee >= amount) {
        const message = `the relayer's fee of ${amountText(fee, token)} leaves nothing of ${amountText(amount, token)}`;
        throw new BitcloakError('RELAYER_FEE_EXCESSIVE', message);
      }
      await spends(context, { token, amount })(current, 0n);
    },
  });
  const outcome = await withHoldings(session, { token, amount, feeOnTop: false }, () =>
    session.withdraw({ asset: token.asset, amount, to, route }, context.progress.stage),
  );
  const received = amount - outcome.fee;
  const done = `Withdrew ${amountText(amount, token)}; ${account} received ${amountText(received, token)}`;
  const more = { account, received: amountJson(received, token) };
  return report(context, session, { token, amount, outcomes: [outcome], done, more });
}

export async function lock(
  context: Context,
  typed: string,
  tokenName: string,
  options: RouteOptions & LockOptions,
): Promise<Result> {
  const { token, amount } = await readAmount(context, typed, tokenName);
  const plan = readLock(options);
  if (plan === undefined)
    throw new BitcloakError('USAGE', 'lock: --operator ID and --until TIME or --for DURATION are needed');
  const { session, route } = await prepare(context, options, {
    token,
    check: async (current, fee) => {
      current.checkLock(plan(current.blockTime));
      await spends(context, { token, amount })(current, fee);
    },
  });
  const request = plan(session.blockTime);
  const outcome = await withHoldings(session, { token, amount, feeOnTop: route.kind === 'relayer' }, () =>
    session.lock({ asset: token.asset, amount, lock: request, route }, context.progress.stage),
  );
  const done = `Locked ${amountText(amount, token)} to ${lockText(request, session.blockTime)}`;
  return report(context, session, { token, amount, lock: request, outcomes: [outcome], done });
}

export async function merge(context: Context, tokenName: string, options: RouteOptions): Promise<Result> {
  const token = await (await context.tokens()).resolve(tokenName);
  const { session, route } = await prepare(context, options, { token, check: merges(token) });
  const voids = session.pending(token.asset).length > 0;
  const outcome = await session.merge({ asset: token.asset, route }, context.progress.stage);
  const left = session.pending(token.asset).map((each) => pendingText(each, token));
  const rest = left.length === 0 ? 'nothing earlier can land any more' : `may still land: ${left.join('; ')}`;
  const done = voids
    ? `Spent notes of ${token.symbol} to this wallet itself; ${rest}`
    : `Joined the two smallest notes of ${token.symbol}`;
  return report(context, session, { token, outcomes: [outcome], done });
}

export async function reclaim(context: Context, tokenName: string | undefined, options: RouteOptions): Promise<Result> {
  const tokens = await context.tokens();
  const only = tokenName === undefined ? undefined : await tokens.resolve(tokenName);
  const session = await openSpending(context);
  const balances = await nameAll(tokens, await session.balances());
  const due = balances.filter(
    ({ asset, reclaimable }) => reclaimable > 0n && (only === undefined || only.asset === asset),
  );
  if (due.length === 0) {
    const notes = await nameAll(tokens, await session.notes());
    const locks = lockLines(
      only === undefined ? notes : notes.filter(({ asset }) => asset === only.asset),
      session.blockTime,
    );
    return { json: { reclaimed: [] }, text: ['Nothing can be taken home yet.', ...locks].join('\n') };
  }
  const results: Result[] = [];
  for (const { token, reclaimable } of due) {
    const choice = readRoute(session.manifest, options, token);
    const route = await routeOf(context, session, choice, { token, check: async () => undefined });
    const outcomes = await session.reclaim({ asset: token.asset, route }, context.progress.stage);
    const amount = outcomes.reduce((left, { fee }) => left - fee, reclaimable);
    const done = `Took home ${amountText(amount, token)}`;
    results.push(await report(context, session, { token, amount, outcomes, done }));
  }
  return { json: { reclaimed: results.map(({ json }) => json) }, text: results.map(({ text }) => text).join('\n\n') };
}

/** Reads the options of a lock; the function returned knows the expiry once it is told the block time. */
function readLock({
  operator,
  until,
  for: duration,
  operatorKey,
}: LockOptions): ((now: bigint) => LockRequest) | undefined {
  if (operator === undefined) {
    if (until === undefined && duration === undefined && operatorKey === undefined) return undefined;
    throw new BitcloakError('USAGE', 'lock: --operator ID names whom the note is locked to');
  }
  if ((until === undefined) === (duration === undefined)) {
    throw new BitcloakError('USAGE', 'lock: give either --until TIME or --for DURATION');
  }
  const operatorId = parseOperatorId(operator);
  const key = operatorKey === undefined ? undefined : parseOperatorKey(operatorKey);
  const end = until === undefined ? undefined : parseTime(until);
  const seconds = duration === undefined ? 0n : parseDuration(duration);
  return (now) => ({ operatorId, expiry: end ?? now + seconds, operatorKey: key });
}

export async function openSpending(context: Context): Promise<Session> {
  // A watch-only wallet is told so before it reads the chain.
  (await context.openWallet()).account();
  return context.openSession();
}

/** Throws where a wallet cannot do what is asked, at a relayer's fee. */
type Check = (session: Session, fee: bigint) => Promise<void>;

/** What a transfer is for, as far as anybody has to be asked about its route. */
export type Planned = { readonly token: Token; readonly recipient?: string; readonly check: Check };

async function prepare(
  context: Context,
  options: RouteOptions,
  planned: Planned,
): Promise<{ session: Session; route: Route }> {
  const choice = readRoute(await context.manifest(), options, planned.token);
  const session = await openSpending(context);
  return { session, route: await routeOf(context, session, choice, planned) };
}

export async function routeOf(
  context: Context,
  session: Session,
  choice: RouteChoice,
  { token, recipient, check }: Planned,
): Promise<Route> {
  const payer = (await context.openWallet()).account().address;
  const purpose = { token, payer, check: (fee: bigint) => check(session, fee) };
  return chooseRoute(context, session, choice, { ...purpose, ...(recipient === undefined ? {} : { recipient }) });
}

/** The notes have to do for an amount, and for the fee beside it. */
export function spends(context: Context, { token, amount }: Asked): Check {
  return async (session, fee) => {
    await withHoldings(session, { token, amount, feeOnTop: fee > 0n }, async () =>
      session.checkSpendable(token.asset, amount + fee),
    );
    const pending = session.pending(token.asset).map((each) => pendingText(each, token));
    if (pending.length === 0) return;
    context.progress.warn(
      `WARNING: may still land: ${pending.join('; ')}. What is sent now takes its place: one of them lands, at most.`,
    );
  };
}

function merges(token: Token): Check {
  return async (session, fee) => {
    try {
      session.checkMergeable(token.asset, fee);
    } catch (error) {
      if (!(error instanceof BitcloakError) || error.code !== 'BALANCE_INSUFFICIENT') throw error;
      const notes = await session.notes();
      const count = notes.filter(({ asset, status }) => asset === token.asset && status === 'spendable').length;
      const worth = fee === 0n ? '' : `, worth more than the relayer's fee of ${amountText(fee, token)} together`;
      const message = `needed: two spendable notes of ${token.symbol} of one owner and tree${worth}, or one that a trade brought; there: ${count}`;
      throw new BitcloakError(error.code, message, { cause: error });
    }
  };
}

/** Throws `BALANCE_INSUFFICIENT` where the public account has less, before the chain is read and anything is paid for. */
export async function checkPublicFunds(context: Context, { token, amount }: Asked): Promise<void> {
  const account = (await context.openWallet()).account().address;
  const there = await publicBalance(await context.endpoint(), token.asset, BigInt(account));
  if (there >= amount) return;
  const message = `needed: ${amountText(amount, token)}; the public account ${account} has ${amountText(there, token)}`;
  throw new BitcloakError('BALANCE_INSUFFICIENT', message);
}

const HOLDINGS_LACK = ['BALANCE_INSUFFICIENT', 'NOTES_WAITING', 'NOTES_SCATTERED', 'NOTE_LOCKED'];

/** Does what spends. The wallet knows base units only: where the holdings do not do, they are named in the token's own units. */
export async function withHoldings<T>(
  session: Session,
  { token, amount, feeOnTop }: Asked & { readonly feeOnTop: boolean },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BitcloakError)) throw error;
    if (error.code === 'TRANSFER_PENDING') throw pendingError(session, { token, amount }, error);
    if (!HOLDINGS_LACK.includes(error.code)) throw error;
    const balance = (await session.balances()).find(({ asset }) => asset === token.asset);
    const { spendable = 0n, waiting = 0n, locked = 0n, reclaimable = 0n } = balance ?? {};
    const held = Object.entries({ spendable, waiting, locked, reclaimable })
      .filter(([name, value]) => name === 'spendable' || value > 0n)
      .map(([name, value]) => `${amountText(value, token)} ${name}`);
    const scattered = error.code === 'NOTES_SCATTERED' ? ' in more notes than the two that a transfer spends' : '';
    const fee = feeOnTop ? " and the relayer's fee" : '';
    const message = `needed: ${amountText(amount, token)}${fee}; there: ${held.join(', ')}${scattered}`;
    throw new BitcloakError(error.code, message, { cause: error });
  }
}

function pendingError(session: Session, { token, amount }: Asked, cause: BitcloakError): BitcloakError {
  const pending = session.pending(token.asset).map((each) => pendingText(each, token));
  const message =
    `may still land: ${pending.join('; ')}. What is spent now has to spend a note of it too, so that only one of them can land, ` +
    `and with one it does not reach ${amountText(amount, token)}`;
  return new BitcloakError(cause.code, message, { cause });
}

export type Done = {
  readonly token: Token;
  readonly amount?: bigint;
  readonly lock?: LockRequest | undefined;
  readonly outcomes: readonly Outcome[];
  readonly done: string;
  readonly more?: { readonly [field: string]: Json };
  /** Whether the outcome is a deposit, whose note the endpoint has to show. */
  readonly isDeposit?: boolean;
};

export async function report(context: Context, session: Session, all: Done): Promise<Result> {
  const { token, amount, lock: made, outcomes, done, more } = all;
  const now = session.blockTime;
  const { waiting, error } = await lookAfter(context, session, all);
  return {
    json: {
      token: tokenJson(token),
      ...(amount === undefined ? {} : { amount: amountJson(amount, token) }),
      ...(made === undefined ? {} : { lock: lockJson(made, now) }),
      ...more,
      transactions: outcomes.map((outcome) => outcomeJson(outcome, token)),
      waiting: waitingJson(waiting),
      ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
    },
    text: [done, ...outcomes.map((outcome) => outcomeText(outcome, token)), ...waitLines(waiting)].join('\n'),
    ...(error === undefined ? {} : { error }),
  };
}

type Aftermath = {
  readonly waiting: readonly (NoteView & { readonly token: Token })[];
  readonly error?: BitcloakError;
};

/**
 * The notes of a token that wait after a transaction, and whether the endpoint keeps back what a deposit brought. What was done is done: a failure to
 * look is no failure of the command.
 */
async function lookAfter(
  context: Context,
  session: Session,
  { token, outcomes, isDeposit = false }: Done,
): Promise<Aftermath> {
  try {
    await context.sync(session);
    const notes = await session.notes();
    const waiting = notes
      .filter(({ asset, wait }) => asset === token.asset && wait !== undefined)
      .map((note) => ({ ...note, token }));
    const keptBack = isDeposit ? outcomes.find((outcome) => session.isKeptBack(outcome)) : undefined;
    return keptBack === undefined ? { waiting } : { waiting, error: keptBackError(keptBack) };
  } catch {
    context.progress.abandon();
    return { waiting: [] };
  }
}

function keptBackError({ block }: Outcome): BitcloakError {
  const message =
    `the deposit is on the chain, in block ${block}, and the endpoint does not show its note. Nothing is lost, and depositing again deposits more: ` +
    `${COMMAND} sync --again --endpoint URL reads everything again, from another endpoint`;
  return new BitcloakError('ENDPOINT_INCONSISTENT', message);
}
