import assert from 'node:assert/strict';
import type { Report } from '@bitcloak/trading/records';
import type { Batch, ExchangeCommand } from '../../enclave/exchange/commands.ts';
import type { Exchange } from '../../enclave/exchange/exchange.ts';
import type { FundNote } from '../../enclave/exchange/funds.ts';

type Sums = Map<bigint, bigint>;
type Charged = { readonly asset: bigint; readonly fee: bigint };
type Written = { readonly owner: bigint; readonly report: Report };

const add = (sums: Sums, asset: bigint, amount: bigint) => sums.set(asset, (sums.get(asset) ?? 0n) + amount);

/**
 * Where every base unit of each asset went. It follows commands and reports, not the exchange's own books, and after every command both have to
 * say the same: what owners brought is what they have, took home, got paid out or paid as fees.
 */
export class Conservation {
  readonly #notes = new Map<number, FundNote>();
  readonly #owners = new Set<bigint>();
  /** Brought by owners, less what they took home. */
  readonly #brought: Sums = new Map();
  /** Notes that a batch spent, less those that it made, before it is told to be settled. */
  readonly #inFlight: Sums = new Map();
  /** Proceeds that are not locked again. */
  readonly #paidOut: Sums = new Map();
  readonly #fees: Sums = new Map();
  /** Of trades and withdrawals that wait. */
  readonly #charged = new Map<string, Charged>();

  /** @param batch the one that there was before the command. */
  follow(command: ExchangeCommand, batch: Batch | undefined, written: readonly Written[], exchange: Exchange): void {
    this.#moveNotes(command, batch);
    this.#readReports(written, exchange);
    const hasEnded = batch !== undefined && exchange.batch === undefined;
    if (hasEnded) this.#end(batch, command.kind === 'settled');
    this.#assertKept(exchange, command.kind);
  }

  #moveNotes(command: ExchangeCommand, batch: Batch | undefined): void {
    if (command.kind === 'credit' && !this.#notes.has(command.note.leaf)) {
      const { leaf, owner, asset, value } = command.note;
      this.#notes.set(leaf, command.note);
      this.#owners.add(owner);
      if (command.told || batch === undefined) add(this.#brought, asset, value);
      else add(this.#inFlight, asset, -value);
    }
    const gone = command.kind === 'remove' ? this.#notes.get(command.leaf) : undefined;
    if (gone === undefined) return;
    this.#notes.delete(gone.leaf);
    const isInput = batch?.fills.some(({ leaves }) => leaves.includes(gone.leaf)) ?? false;
    if (isInput) add(this.#inFlight, gone.asset, gone.value);
    else add(this.#brought, gone.asset, -gone.value);
  }

  /** Both sides of the trades of one command, and what they are charged, cancel out. */
  #readReports(written: readonly Written[], exchange: Exchange): void {
    const traded: Sums = new Map();
    for (const { owner, report } of written) {
      if (report.kind === 'traded') {
        const { id, market, side, sold, bought, fee } = report.fill;
        const terms = exchange.markets().find((other) => other.terms.market === market)?.terms;
        assert.ok(terms !== undefined);
        const [sells, buys] = side === 'sell' ? [terms.base, terms.quote] : [terms.quote, terms.base];
        add(traded, sells, sold);
        add(traded, buys, -bought);
        add(traded, terms.quote, -fee);
        this.#charged.set(`${owner} fill ${id}`, { asset: terms.quote, fee });
      } else if (report.kind === 'withdrawing') {
        const { id, asset, fee } = report.withdrawal;
        this.#charged.set(`${owner} withdrawal ${id}`, { asset, fee });
      } else if (report.kind === 'settled') {
        for (const id of report.fills) this.#charge(`${owner} fill ${id}`);
        for (const id of report.withdrawals) this.#charge(`${owner} withdrawal ${id}`);
      } else if (report.kind === 'busted') {
        this.#charged.delete(`${owner} fill ${report.fill.id}`);
      } else if (report.kind === 'withdrawalBusted') {
        this.#charged.delete(`${owner} withdrawal ${report.withdrawal.id}`);
      }
    }
    for (const [asset, left] of traded) assert.equal(left, 0n, `a trade creates or loses ${asset}`);
  }

  #charge(name: string): void {
    const charged = this.#charged.get(name);
    assert.ok(charged !== undefined, `${name} is settled once, and was waiting`);
    this.#charged.delete(name);
    add(this.#fees, charged.asset, charged.fee);
    add(this.#inFlight, charged.asset, -charged.fee);
  }

  #end({ fills }: Batch, isSettled: boolean): void {
    if (isSettled) {
      for (const { order, bought } of fills) {
        if (order.relockExpiry > 0n) continue;
        add(this.#paidOut, order.buyAsset, bought);
        add(this.#inFlight, order.buyAsset, -bought);
      }
      for (const [asset, left] of this.#inFlight) assert.equal(left, 0n, `a batch creates or loses ${asset}`);
    } else {
      // What was spent of a batch that is none any more, its owner took.
      for (const [asset, left] of this.#inFlight) add(this.#brought, asset, -left);
    }
    this.#inFlight.clear();
  }

  #assertKept(exchange: Exchange, kind: string): void {
    const held: Sums = new Map();
    for (const owner of this.#owners) {
      for (const { asset, total } of exchange.balances(owner)) add(held, asset, total);
    }
    for (const asset of new Set([...held.keys(), ...this.#brought.keys()])) {
      const of = (sums: Sums) => sums.get(asset) ?? 0n;
      const there = of(held) + of(this.#inFlight) + of(this.#paidOut) + of(this.#fees);
      assert.equal(there, of(this.#brought), `${asset} after ${kind}: what was brought is there, paid out or a fee`);
    }
  }
}
