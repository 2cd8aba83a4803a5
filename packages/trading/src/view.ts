import type { AccountSnapshot, BalanceRecord, FillRecord, OrderRecord, Report, WithdrawalRecord } from './records.ts';

/** Of what is done with, about so much is kept. */
const DONE_KEPT = 1_000;

/** What a client knows of its account: a snapshot and every report after it, in their order. */
export class AccountView {
  #sequence = 0;
  #time = 0;
  #isWhole = false;
  readonly #orders = new Map<number, OrderRecord>();
  readonly #fills = new Map<number, FillRecord>();
  readonly #withdrawals = new Map<number, WithdrawalRecord>();
  #balances = new Map<bigint, BalanceRecord>();

  constructor(after = 0) {
    this.#sequence = after;
  }

  /** Of the last report that is in it. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Block time of the last thing that happened, unix seconds. */
  get time(): number {
    return this.#time;
  }

  /** Whether it began with a snapshot; otherwise it knows what reports have named. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  get orders(): ReadonlyMap<number, OrderRecord> {
    return this.#orders;
  }

  openOrders(): OrderRecord[] {
    return [...this.#orders.values()].filter(({ status }) => status === 'open');
  }

  /** Those that wait for their settlement, and the newest others. */
  get fills(): ReadonlyMap<number, FillRecord> {
    return this.#fills;
  }

  get withdrawals(): ReadonlyMap<number, WithdrawalRecord> {
    return this.#withdrawals;
  }

  /** As the operator told them last. Reports do not say what they do to balances, so these are asked for after them. */
  get balances(): ReadonlyMap<bigint, BalanceRecord> {
    return this.#balances;
  }

  balance(asset: bigint): BalanceRecord {
    return this.#balances.get(asset) ?? { asset, total: 0n, available: 0n, held: 0n, waiting: 0n };
  }

  setBalances(balances: readonly BalanceRecord[]): void {
    this.#balances = new Map(balances.map((balance) => [balance.asset, balance]));
  }

  /** Orders that it does not name are done with, and how they ended was missed. */
  reset({ sequence, time, orders, balances, fills, withdrawals }: AccountSnapshot): void {
    this.#sequence = sequence;
    this.#time = time;
    this.#isWhole = true;
    this.#orders.clear();
    for (const order of orders) this.#orders.set(order.id, order);
    for (const fill of fills) this.#fills.set(fill.id, fill);
    for (const withdrawal of withdrawals) this.#withdrawals.set(withdrawal.id, withdrawal);
    this.setBalances(balances);
  }

  /** Throws RangeError for a report that is not the next one. */
  apply(report: Report): void {
    if (report.sequence !== this.#sequence + 1) {
      throw new RangeError(`expected report ${this.#sequence + 1}, got ${report.sequence}`);
    }
    this.#sequence = report.sequence;
    this.#time = report.time;
    switch (report.kind) {
      case 'accepted':
      case 'amended':
      case 'reduced':
      case 'cancelled':
        this.#orders.set(report.order.id, report.order);
        break;
      case 'traded':
      case 'busted':
        this.#fills.set(report.fill.id, report.fill);
        if (report.order !== undefined) this.#orders.set(report.order.id, report.order);
        break;
      case 'withdrawing':
      case 'withdrawalBusted':
        this.#withdrawals.set(report.withdrawal.id, report.withdrawal);
        break;
      case 'settled':
        settle(this.#fills, report.fills, report.settlement);
        settle(this.#withdrawals, report.withdrawals, report.settlement);
        break;
      case 'credited':
      case 'debited':
        break;
    }
    dropDone(this.#orders, ({ status }) => status === 'open');
    dropDone(this.#fills, ({ status }) => status === 'waiting');
    dropDone(this.#withdrawals, ({ status }) => status === 'waiting');
  }
}

function settle(records: Map<number, FillRecord | WithdrawalRecord>, ids: readonly number[], settlement: number): void;
function settle<R extends FillRecord | WithdrawalRecord>(
  records: Map<number, R>,
  ids: readonly number[],
  settlement: number,
): void {
  for (const id of ids) {
    const record = records.get(id);
    if (record !== undefined) records.set(id, { ...record, status: 'settled', settlement });
  }
}

/** Now and then, since it looks at all of them. */
function dropDone<R>(records: Map<number, R>, isAlive: (record: R) => boolean): void {
  if (records.size < 2 * DONE_KEPT) return;
  const done = [...records].filter(([, record]) => !isAlive(record));
  for (const [id] of done.slice(0, -DONE_KEPT)) records.delete(id);
}
