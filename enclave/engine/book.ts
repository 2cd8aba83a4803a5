import { Accounts } from './accounts.ts';
import { Digests } from './digests.ts';
import { Expiries } from './expiries.ts';
import { Levels } from './levels.ts';
import { Orders } from './orders.ts';

/** Numbers that only rise, and the time. */
export type Counters = {
  /** Unix seconds. */
  now: number;
  nextOrder: number;
  nextTrade: number;
  nextRank: number;
};

/** The orders that rest, of all markets, in every order in which they are looked for. */
export class Book {
  readonly counters: Counters;
  readonly orders = new Orders();
  readonly levels = new Levels(this.orders);
  readonly accounts = new Accounts(this.orders);
  readonly expiries = new Expiries(this.orders);
  readonly digests = new Digests(this.orders);

  constructor(counters: Counters) {
    this.counters = counters;
  }

  /** Takes in an order that is new: at the end of the queue at its price. */
  add(order: number): void {
    this.enroll(order);
    this.enter(order);
  }

  /** Everything but the queue. */
  enroll(order: number): void {
    this.orders.addId(order);
    this.accounts.add(order);
    if (this.orders.expiry(order) !== 0) this.expiries.add(order);
  }

  /** Takes an order from the book and gives its record back. */
  remove(order: number): void {
    this.leave(order);
    this.forget(order);
  }

  /** The other half of a removal, for an order that has left its queue. */
  forget(order: number): void {
    this.orders.removeId(order);
    this.accounts.remove(order);
    if (this.orders.expiry(order) !== 0) this.expiries.remove(order);
    this.orders.release(order);
  }

  /** Into the queue at the order's price, at its end. */
  enter(order: number): void {
    this.#beginSlice(order);
    this.stand(order);
  }

  /** Into the queue with the rank and the slice that the order has. */
  stand(order: number): void {
    this.levels.append(order);
    this.digests.touch(order);
  }

  /** Out of its queue, as an order that is about to take or to be removed. */
  leave(order: number): void {
    this.levels.remove(order);
    this.digests.discount(order);
  }

  /** Shows an iceberg's next slice, at the end of its queue. */
  refresh(order: number): void {
    this.#beginSlice(order);
    this.levels.requeue(order);
    this.digests.touch(order);
  }

  /** After lots left an order that keeps its place. */
  shrink(order: number): void {
    const { orders } = this;
    orders.setShown(order, Math.min(orders.shown(order), orders.open(order)));
    this.digests.touch(order);
  }

  #beginSlice(order: number): void {
    const { counters, orders } = this;
    orders.setRank(order, counters.nextRank++);
    orders.setShown(order, orders.slice(order, orders.open(order)));
  }
}
