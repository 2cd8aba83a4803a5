import { formatAccount, type Token } from '@bitcloak/chain/manifest';
import { formatAddress } from '@bitcloak/notes/address';
import { formatAmount } from '@bitcloak/protocol/amounts';
import type { Session } from '@bitcloak/wallet/session';
import type { Balance, HistoryEntry, NoteView, Wait } from '@bitcloak/wallet/types';
import type { Context } from '../context.ts';
import {
  amountJson,
  amountText,
  groupLocks,
  lockJson,
  lockTerms,
  lockText,
  pendingJson,
  pendingText,
  shortAddress,
  tokenJson,
  waitJson,
  waitText,
} from '../format.ts';
import { COMMAND } from '../invocation.ts';
import { table, type Json, type Result } from '../output.ts';
import type { TokenBook } from '../tokens.ts';

type Named<T> = T & { readonly token: Token };

/** Of what is locked; the balance is to stay in sight. */
const LOCK_LINES_MAX = 8;

export const INSERT_HINT = `A keeper closes and inserts buckets; or do it yourself: ${COMMAND} keeper --once`;

export async function showBalance(context: Context): Promise<Result> {
  const session = await context.openSession();
  const tokens = await context.tokens();
  const held = await nameAll(tokens, await session.balances());
  const notes = await nameAll(
    tokens,
    (await session.notes()).filter(({ status }) => status !== 'spent'),
  );
  const shown = held.filter(
    ({ spendable, waiting, locked, reclaimable }) => spendable + waiting + locked + reclaimable > 0n,
  );
  return {
    json: {
      blockTime: Number(session.blockTime),
      balances: shown.map((balance) => balanceJson(balance)),
      waiting: waitingJson(notes),
      locked: notes.flatMap(lockedNote).map(({ token, value, lock }) => ({
        token: tokenJson(token),
        value: amountJson(value, token),
        lock: lockJson(lock, session.blockTime),
      })),
      pending: held.flatMap(({ asset, token }) => session.pending(asset).map((each) => pendingJson(each, token))),
    },
    text: shown.length === 0 ? 'This wallet holds nothing.' : balanceText(session, shown, notes),
  };
}

function balanceJson({ token, spendable, waiting, locked, reclaimable }: Named<Balance>): Json {
  return {
    token: tokenJson(token),
    spendable: amountJson(spendable, token),
    waiting: amountJson(waiting, token),
    locked: amountJson(locked, token),
    reclaimable: amountJson(reclaimable, token),
  };
}

function balanceText(session: Session, balances: readonly Named<Balance>[], notes: readonly Named<NoteView>[]): string {
  const titles = ['spendable', 'waiting', 'locked', 'reclaimable'] as const;
  const rows = balances.map((balance) => [
    balance.token.symbol,
    ...titles.map((title) => formatAmount(balance[title], balance.token)),
  ]);
  const columns = [{ title: '' }, ...titles.map((title) => ({ title, align: 'right' as const }))];
  return [
    table(columns, rows),
    ...waitLines(notes),
    ...lockLines(notes, session.blockTime),
    ...balances.flatMap(({ asset, token }) =>
      session.pending(asset).map((each) => `May still land: ${pendingText(each, token)}`),
    ),
    ...(balances.some(({ reclaimable }) => reclaimable > 0n) ? [`Take home what was locked: ${COMMAND} reclaim`] : []),
  ].join('\n');
}

export async function showNotes(context: Context, options: { all?: true }): Promise<Result> {
  const session = await context.openSession();
  const now = session.blockTime;
  const views = (await session.notes()).filter(({ status }) => options.all === true || status !== 'spent');
  const notes = await nameAll(await context.tokens(), views);
  const detail = ({ lock, wait }: NoteView) =>
    [wait && waitText(wait), lock && lockText(lock, now)].filter((part) => part !== undefined).join('; ');
  const rows = notes.map((note) => [
    String(note.leaf),
    String(note.block),
    amountText(note.value, note.token),
    note.status,
    note.status === 'spent' ? '' : detail(note),
  ]);
  const columns = [
    { title: 'leaf', align: 'right' },
    { title: 'block', align: 'right' },
    { title: 'amount', align: 'right' },
    { title: 'status' },
    { title: '' },
  ] as const;
  const waits = notes.some(({ wait }) => wait !== undefined);
  return {
    json: { blockTime: Number(now), notes: notes.map((note) => noteJson(note, now)) },
    text: notes.length === 0 ? 'No notes.' : [table(columns, rows), ...(waits ? [INSERT_HINT] : [])].join('\n'),
  };
}

function noteJson({ token, value, status, leaf, block, lock, wait }: Named<NoteView>, now: bigint): Json {
  return {
    token: tokenJson(token),
    value: amountJson(value, token),
    status,
    leaf,
    block,
    lock: lock === undefined ? null : lockJson(lock, now),
    wait: wait === undefined ? null : waitJson(wait),
  };
}

const SIGN: Record<HistoryEntry['kind'], string> = {
  deposited: '+',
  received: '+',
  sent: '-',
  withdrawn: '-',
  locked: '',
  reclaimed: '',
  merged: '',
  traded: '-',
  released: '',
};

export async function showHistory(context: Context): Promise<Result> {
  const session = await context.openSession();
  const now = session.blockTime;
  const tokens = await context.tokens();
  const entries = await Promise.all(
    (await nameAll(tokens, session.history())).map(async (entry) => {
      const { gained } = entry;
      return { ...entry, gainedToken: gained === undefined ? undefined : await tokens.of(gained.asset) };
    }),
  );
  const rows = entries.map((entry) => [
    String(entry.block),
    entry.kind,
    `${SIGN[entry.kind]}${amountText(entry.amount, entry.token)}`,
    entry.fee === 0n ? '' : amountText(entry.fee, entry.token),
    `${entry.transaction.slice(0, 10)}…`,
    gainText(entry) ?? counterparty(entry),
  ]);
  const columns = [
    { title: 'block', align: 'right' },
    { title: '' },
    { title: 'amount', align: 'right' },
    { title: 'fee', align: 'right' },
    { title: 'transaction' },
    { title: '' },
  ] as const;
  return {
    json: { blockTime: Number(now), history: entries.map((entry) => historyJson(entry, now)) },
    text: entries.length === 0 ? 'Nothing has happened yet.' : table(columns, rows),
  };
}

/** A line of the history with the tokens of both its sides. */
type NamedEntry = Named<HistoryEntry> & { readonly gainedToken: Token | undefined };

function gainText({ gained, gainedToken }: NamedEntry): string | undefined {
  return gained === undefined || gainedToken === undefined
    ? undefined
    : `for ${amountText(gained.amount, gainedToken)}`;
}

function counterparty({ recipient, account, lock }: HistoryEntry): string {
  if (recipient !== undefined) return `to ${shortAddress(recipient)}`;
  if (account !== undefined) return `to ${formatAccount(account)}`;
  return lock === undefined ? '' : lockTerms(lock);
}

function historyJson(entry: NamedEntry, now: bigint): Json {
  const { kind, token, amount, fee, gained, gainedToken, block, transaction, recipient, account, lock } = entry;
  return {
    kind,
    token: tokenJson(token),
    amount: amountJson(amount, token),
    fee: amountJson(fee, token),
    gained:
      gained === undefined || gainedToken === undefined
        ? null
        : { token: tokenJson(gainedToken), amount: amountJson(gained.amount, gainedToken) },
    block,
    transaction,
    recipient: recipient === undefined ? null : formatAddress(recipient),
    account: account === undefined ? null : formatAccount(account),
    lock: lock === undefined ? null : lockJson(lock, now),
  };
}

export async function syncOnly(context: Context, { again = false }: { again?: boolean }): Promise<Result> {
  const session = await context.openSession({ again });
  const notes = await session.notes();
  const unspent = notes.filter(({ status }) => status !== 'spent').length;
  const { name } = session.manifest;
  const blockTime = Number(session.blockTime);
  return {
    json: { network: name, blockTime, notes: notes.length, unspent },
    text: `In step with ${name}: ${unspent} unspent notes.`,
  };
}

/** What is locked; of a long list what ends first. */
export function lockLines(notes: readonly Named<NoteView>[], now: bigint): string[] {
  const groups = groupLocks(notes.flatMap(lockedNote));
  const left = groups.slice(LOCK_LINES_MAX).reduce((sum, { count }) => sum + count, 0);
  return [
    ...groups.slice(0, LOCK_LINES_MAX).map(({ token, lock, value, count }) => {
      const of = count === 1 ? '' : ` in ${count} notes`;
      return `${amountText(value, token)}${of} locked to ${lockText(lock, now)}`;
    }),
    ...(left === 0 ? [] : [`and ${left} locked ${left === 1 ? 'note' : 'notes'} more: ${COMMAND} wallet notes`]),
  ];
}

function lockedNote({ token, value, status, lock }: Named<NoteView>) {
  return status === 'locked' && lock !== undefined ? [{ token, value, lock }] : [];
}

/** What waits for its insertion, bucket by bucket. */
export function waitLines(notes: readonly Named<NoteView>[]): string[] {
  const sums = new Map<string, { token: Token; wait: Wait; value: bigint }>();
  for (const { token, wait, value } of notes) {
    if (wait === undefined) continue;
    const key = `${wait.bucket} ${token.asset}`;
    sums.set(key, { token, wait, value: value + (sums.get(key)?.value ?? 0n) });
  }
  if (sums.size === 0) return [];
  return [
    ...[...sums.values()].map(({ token, wait, value }) => `${amountText(value, token)} waits: ${waitText(wait)}`),
    INSERT_HINT,
  ];
}

export function waitingJson(notes: readonly Named<NoteView>[]): Json {
  return notes.flatMap(({ value, token, wait }) =>
    wait === undefined ? [] : [{ token: tokenJson(token), value: amountJson(value, token), wait: waitJson(wait) }],
  );
}

export async function nameAll<T extends { readonly asset: bigint }>(
  tokens: TokenBook,
  items: readonly T[],
): Promise<Named<T>[]> {
  return Promise.all(items.map(async (item) => ({ ...item, token: await tokens.of(item.asset) })));
}
