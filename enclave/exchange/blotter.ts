import {
  type FillRecord,
  type OrderRecord,
  type RecordsFrom,
  type Report,
  type ReportBody,
  type WithdrawalRecord,
} from '@bitcloak/trading/records';
import { EXCHANGE_LIMITS, type ExchangeLimits } from './limits.ts';

/** Of what is done with, so many of the newest orders, fills, withdrawals and reports are kept for their owner to ask for. */
export const RECORDS_KEPT = 1_000;

/** At least so many where there are too many records of all owners; fewer, of those to whom nothing has happened for longest, where there are too many owners for that. */
const RECORDS_KEPT_MIN = 100;

/** An owner may have so large a part of what is left for orders to be remembered: few owners cannot take it from all others. */
const REMEMBERED_SHARE = 5;

/** And so many whatever others have: else some eighty owners could keep everybody from ordering, and from withdrawing too. */
const REMEMBERED_MIN = 8;

/** What is let go of where there is too much is more than what is too much: a tenth. */
const TRIMMED = 0.9;

const KINDS = ['orders', 'fills', 'withdrawals'] as const;
type Kind = (typeof KINDS)[number];

const NOTHING_GONE = { orders: 0, fills: 0, withdrawals: 0 };

const HOUR_SECONDS = 3_600n;

/** A signed order that was let in: it must not come again before it has expired. */
type Used = { readonly clientOrderId: string; readonly number: number; readonly isWithdrawal: boolean };

type Account = {
  sequence: number;
  /** Numbers that were given last. */
  orderNumber: number;
  fillNumber: number;
  withdrawalNumber: number;
  /** Of each kind the newest number that is gone. */
  readonly gone: { orders: number; fills: number; withdrawals: number };
  readonly orders: Map<number, OrderRecord>;
  readonly fills: Map<number, FillRecord>;
  readonly withdrawals: Map<number, WithdrawalRecord>;
  readonly reports: Report[];
  /** By the hour of their expiry, and the order's hash. */
  readonly used: Map<number, Map<bigint, Used>>;
  /** Post-only orders that were refused because they would trade, in the last hour in which any was. */
  passive: { hour: number; count: number };
  /** With the last of those hours: an amended order was signed more than once. */
  readonly clientOrderIds: Map<string, number>;
};

/** Plain data of which `Blotter` can be made again. */
export type BlotterSnapshot = readonly (readonly [owner: bigint, Account])[];

/** An owner's report, as it was written. */
export type Written = { readonly owner: bigint; readonly report: Report };

const hourOf = (expiry: bigint) => Number(expiry / HOUR_SECONDS);

/**
 * The record of what happened to each owner: his orders, fills and withdrawals under numbers of his own, and reports in sequence. It follows from
 * commands alone like the rest of the exchange, so a restart gives out the same numbers again.
 */
export class Blotter {
  readonly #limits: ExchangeLimits;
  /** Those first to whom nothing has happened for longest. */
  readonly #accounts = new Map<bigint, Account>();
  #written: Written[] = [];
  #remembered = 0;
  #records = 0;
  #reports = 0;

  constructor(snapshot: BlotterSnapshot = [], limits = EXCHANGE_LIMITS) {
    this.#limits = limits;
    for (const [owner, account] of structuredClone(snapshot)) {
      this.#accounts.set(owner, account);
      this.#remembered += rememberedOf(account);
      this.#records += account.orders.size + account.fills.size + account.withdrawals.size;
      this.#reports += account.reports.length;
    }
  }

  /** To be written, or copied, before anything else happens: copying all of it takes longer than writing it. */
  save(): BlotterSnapshot {
    return [...this.#accounts];
  }

  /** The reports that were written since it was asked last. */
  takeWritten(): Written[] {
    const written = this.#written;
    this.#written = [];
    return written;
  }

  sequence(owner: bigint): number {
    return this.#accounts.get(owner)?.sequence ?? 0;
  }

  orders(owner: bigint): OrderRecord[] {
    return [...(this.#accounts.get(owner)?.orders.values() ?? [])];
  }

  order(owner: bigint, number: number): OrderRecord | undefined {
    return this.#accounts.get(owner)?.orders.get(number);
  }

  fills(owner: bigint): FillRecord[] {
    return [...(this.#accounts.get(owner)?.fills.values() ?? [])];
  }

  fill(owner: bigint, number: number): FillRecord | undefined {
    return this.#accounts.get(owner)?.fills.get(number);
  }

  withdrawals(owner: bigint): WithdrawalRecord[] {
    return [...(this.#accounts.get(owner)?.withdrawals.values() ?? [])];
  }

  withdrawal(owner: bigint, number: number): WithdrawalRecord | undefined {
    return this.#accounts.get(owner)?.withdrawals.get(number);
  }

  /** From which numbers on all records are there. */
  wholeFrom(owner: bigint): Omit<RecordsFrom, 'settlement'> {
    const { orders, fills, withdrawals } = this.#accounts.get(owner)?.gone ?? NOTHING_GONE;
    return { orders: orders + 1, fills: fills + 1, withdrawals: withdrawals + 1 };
  }

  /** The reports after a sequence; undefined where some of them are no longer there, or it is not reached yet. */
  reportsAfter(owner: bigint, sequence: number): Report[] | undefined {
    const account = this.#accounts.get(owner);
    const last = account?.sequence ?? 0;
    const kept = account?.reports ?? [];
    if (sequence > last || last - sequence > kept.length) return undefined;
    return sequence === last ? [] : kept.slice(sequence - last);
  }

  /** Post-only orders of an owner that were refused in this hour because they would trade. */
  passiveRefusals(owner: bigint, time: number): number {
    const passive = this.#accounts.get(owner)?.passive;
    return passive?.hour === hourOf(BigInt(time)) ? passive.count : 0;
  }

  countPassiveRefusal(owner: bigint, time: number): void {
    const count = this.passiveRefusals(owner, time) + 1;
    this.#account(owner).passive = { hour: hourOf(BigInt(time)), count };
  }

  /** What a client order id, or a signed order, stands for already. */
  used(owner: bigint, clientOrderId: string, orderHash: bigint, expiry: bigint): UsedBefore {
    const account = this.#accounts.get(owner);
    if (account === undefined) return { kind: 'unused' };
    const known = account.used.get(hourOf(expiry))?.get(orderHash);
    if (known?.clientOrderId === clientOrderId) return { kind: 'same', ...known };
    if (known !== undefined) return { kind: 'orderRepeated' };
    if (account.clientOrderIds.has(clientOrderId)) return { kind: 'clientOrderIdTaken' };
    const remembered = rememberedOf(account);
    const isLittle =
      remembered < REMEMBERED_MIN || remembered * REMEMBERED_SHARE < this.#limits.remembered - this.#remembered;
    return { kind: isLittle ? 'unused' : 'ordersTooMany' };
  }

  remember(owner: bigint, orderHash: bigint, expiry: bigint, used: Used): void {
    const account = this.#account(owner);
    const { clientOrderId } = used;
    const hour = hourOf(expiry);
    account.used.set(hour, (account.used.get(hour) ?? new Map<bigint, Used>()).set(orderHash, used));
    this.#remembered++;
    account.clientOrderIds.set(clientOrderId, Math.max(hour, account.clientOrderIds.get(clientOrderId) ?? 0));
  }

  /** Forgets signed orders that have expired, at least an hour later. */
  forgetExpired(time: number): void {
    const hour = hourOf(BigInt(time));
    for (const account of this.#accounts.values()) {
      for (const [due, orders] of account.used) {
        if (due >= hour) continue;
        for (const { clientOrderId } of orders.values()) {
          if ((account.clientOrderIds.get(clientOrderId) ?? hour) < hour) account.clientOrderIds.delete(clientOrderId);
        }
        account.used.delete(due);
        this.#remembered -= orders.size;
      }
    }
  }

  addOrder(owner: bigint, record: Omit<OrderRecord, 'id'>): number {
    const account = this.#account(owner);
    const id = ++account.orderNumber;
    account.orders.set(id, { id, ...record });
    this.#countRecord(account, 'orders');
    return id;
  }

  addFill(owner: bigint, record: Omit<FillRecord, 'id'>): FillRecord {
    const account = this.#account(owner);
    const id = ++account.fillNumber;
    const fill: FillRecord = { id, ...record };
    account.fills.set(id, fill);
    this.#countRecord(account, 'fills');
    return fill;
  }

  addWithdrawal(owner: bigint, record: Omit<WithdrawalRecord, 'id'>): WithdrawalRecord {
    const account = this.#account(owner);
    const id = ++account.withdrawalNumber;
    const withdrawal: WithdrawalRecord = { id, ...record };
    account.withdrawals.set(id, withdrawal);
    this.#countRecord(account, 'withdrawals');
    return withdrawal;
  }

  /** @returns the record as it is then; undefined for one that is no longer kept. */
  changeOrder(owner: bigint, number: number, changes: Partial<OrderRecord>): OrderRecord | undefined {
    return change(this.#account(owner).orders, number, changes);
  }

  changeFill(owner: bigint, number: number, changes: Partial<FillRecord>): FillRecord | undefined {
    return change(this.#account(owner).fills, number, changes);
  }

  changeWithdrawal(owner: bigint, number: number, changes: Partial<WithdrawalRecord>): WithdrawalRecord | undefined {
    return change(this.#account(owner).withdrawals, number, changes);
  }

  report(owner: bigint, time: number, body: ReportBody): void {
    const account = this.#account(owner);
    const report: Report = { sequence: ++account.sequence, time, ...body };
    account.reports.push(report);
    this.#reports++;
    // In steps, since taking one from the front moves all the others.
    if (account.reports.length >= 2 * RECORDS_KEPT) this.#reports -= account.reports.splice(0, RECORDS_KEPT).length;
    this.#accounts.delete(owner);
    this.#accounts.set(owner, account);
    this.#trimReports();
    this.#written.push({ owner, report });
  }

  #countRecord(account: Account, kind: Kind): void {
    this.#records++;
    // Now and then, since it looks at all of them.
    if (account[kind].size % RECORDS_KEPT === 0) this.#records -= dropDone(account, kind, RECORDS_KEPT);
    if (this.#records > this.#limits.records) this.#trimRecords();
  }

  /** Of owners to whom nothing has happened for longest: down to what is promised to everybody, and where there are very many of them below that. */
  #trimRecords(): void {
    for (const keep of [RECORDS_KEPT_MIN, 0]) {
      for (const account of this.#accounts.values()) {
        for (const kind of KINDS) this.#records -= dropDone(account, kind, keep);
        if (this.#records <= TRIMMED * this.#limits.records) return;
      }
    }
  }

  /** Who comes back to a stream after that begins with a snapshot. */
  #trimReports(): void {
    if (this.#reports <= this.#limits.reports) return;
    for (const { reports } of this.#accounts.values()) {
      this.#reports -= reports.splice(0).length;
      if (this.#reports <= TRIMMED * this.#limits.reports) return;
    }
  }

  #account(owner: bigint): Account {
    const known = this.#accounts.get(owner);
    if (known !== undefined) return known;
    const account: Account = {
      sequence: 0,
      orderNumber: 0,
      fillNumber: 0,
      withdrawalNumber: 0,
      gone: { ...NOTHING_GONE },
      orders: new Map(),
      fills: new Map(),
      withdrawals: new Map(),
      reports: [],
      used: new Map(),
      clientOrderIds: new Map(),
      passive: { hour: 0, count: 0 },
    };
    this.#accounts.set(owner, account);
    return account;
  }
}

export type UsedBefore =
  | { readonly kind: 'unused' | 'orderRepeated' | 'clientOrderIdTaken' | 'ordersTooMany' }
  /** The very same was let in already. */
  | { readonly kind: 'same'; readonly number: number; readonly isWithdrawal: boolean };

function change<R>(records: Map<number, R>, number: number, changes: Partial<R>): R | undefined {
  const record = records.get(number);
  if (record === undefined) return undefined;
  const changed = { ...record, ...changes };
  records.set(number, changed);
  return changed;
}

/** Lets go of the oldest that is done with, but for so many. What is not stays, however old. @returns how many went. */
function dropDone(account: Account, kind: Kind, keep: number): number {
  const records = account[kind];
  if (records.size <= keep) return 0;
  const done = [...records.values()].filter(({ status }) => status !== 'open' && status !== 'waiting');
  const dropped = done.slice(0, Math.max(0, done.length - keep));
  for (const { id } of dropped) records.delete(id);
  // What was done with late can be older than what went before.
  account.gone[kind] = Math.max(account.gone[kind], dropped.at(-1)?.id ?? 0);
  return dropped.length;
}

function rememberedOf({ used }: Account): number {
  let remembered = 0;
  for (const hour of used.values()) remembered += hour.size;
  return remembered;
}
