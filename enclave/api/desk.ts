import type { FillRecord, OrderRecord, WithdrawalRecord } from '@bitcloak/trading/records';
import type { Amendment, NewOrder, NewWithdrawal } from '@bitcloak/trading/orders';
import type { CancelAllReply, CancelReply, OrderReply, WithdrawalReply } from '@bitcloak/trading/wire';
import type { ExchangeEvent } from '../exchange/commands.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Operator } from '../operator/operator.ts';
import { failed, Refusal, refusalFor, unknownOrder } from './refusal.ts';

/** A reply, and whether what was asked for had been done before. */
export type Done<Reply> = { readonly reply: Reply; readonly isRepeated: boolean };

/** What owners ask of the exchange, with its answers in their words. Everything that resolves is in the journal. */
export class Desk {
  readonly #operator: Operator;
  readonly #onFailure: (error: unknown) => void;
  readonly #underWay = new Set<Promise<unknown>>();
  #isStopping = false;

  /** @param onFailure is called where a command fails: nothing can be traded any more. */
  constructor(operator: Operator, onFailure: (error: unknown) => void) {
    this.#operator = operator;
    this.#onFailure = onFailure;
  }

  get state(): Exchange {
    return this.#operator.machine.state;
  }

  /** Resolves when the state has what was asked for before. */
  caughtUp(): Promise<void> {
    return this.#operator.machine.caughtUp();
  }

  /** Lets nothing more in but cancellations, and resolves when what was under way has had its effect. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async submit(owner: bigint, order: NewOrder): Promise<Done<OrderReply>> {
    if (order.order.owner !== owner) throw refusalFor('ownerUnknown');
    const events = await this.#letIn(() => this.#operator.submit(order));
    const [first] = events;
    if (first?.kind === 'repeated') {
      const record = this.state.records.order(owner, first.number);
      // It can be that the same words were a withdrawal's, or that so much happened since that the record is gone.
      if (record?.clientOrderId !== order.clientOrderId) throw refusalFor('orderRepeated');
      const fills = this.state.records.fills(owner).filter((fill) => fill.order === first.number);
      return { reply: { order: record, fills, head: this.#head() }, isRepeated: true };
    }
    if (first?.kind !== 'accepted') throw failed();
    return { reply: this.#orderReply(owner, first.number, first.order, events), isRepeated: false };
  }

  /** @param number the owner's own of the order. */
  async amend(owner: bigint, number: number, amendment: Amendment): Promise<OrderReply> {
    if (amendment.order !== undefined && amendment.order.owner !== owner) throw refusalFor('ownerUnknown');
    const events = await this.#letIn(() => this.#operator.amend(owner, number, amendment));
    const id = events.flatMap((event) => ('order' in event ? [event.order] : []))[0];
    return this.#orderReply(owner, number, id, events);
  }

  async cancel(owner: bigint, number: number): Promise<CancelReply> {
    await this.#run(this.#operator.machine.execute({ kind: 'cancel', owner, order: number }));
    return { order: this.#order(owner, number), head: this.#head() };
  }

  /** @param market all markets where it is undefined. */
  async cancelAll(owner: bigint, market?: number): Promise<CancelAllReply> {
    const command = { kind: 'cancelAll', owner, ...(market === undefined ? {} : { market }) } as const;
    const events = await this.#run(this.#operator.machine.execute(command));
    return { cancelled: events.filter(({ kind }) => kind === 'cancelled').length, head: this.#head() };
  }

  async withdraw(owner: bigint, withdrawal: NewWithdrawal): Promise<Done<WithdrawalReply>> {
    if (withdrawal.order.owner !== owner) throw refusalFor('ownerUnknown');
    const [event] = await this.#letIn(() => this.#operator.withdraw(withdrawal));
    if (event?.kind !== 'withdrawing' && event?.kind !== 'repeated') throw failed();
    const record: WithdrawalRecord | undefined = this.state.records.withdrawal(owner, event.number);
    if (record?.clientOrderId !== withdrawal.clientOrderId) throw refusalFor('orderRepeated');
    return { reply: { withdrawal: record, head: this.#head() }, isRepeated: event.kind === 'repeated' };
  }

  knowsHead(head: Uint8Array): boolean {
    return this.#operator.machine.hasHead(head);
  }

  async #letIn(command: () => Promise<ExchangeEvent[]>): Promise<ExchangeEvent[]> {
    if (this.#isStopping) throw new Refusal(503, 'ENCLAVE_BUSY', 'the enclave is shutting down');
    const running = command();
    this.#underWay.add(running);
    try {
      return await this.#run(running);
    } finally {
      this.#underWay.delete(running);
    }
  }

  /** Throws what the exchange refuses. Only the journal, or a state that cannot be trusted any more, makes a command fail. */
  async #run(command: Promise<ExchangeEvent[]>): Promise<ExchangeEvent[]> {
    let events: ExchangeEvent[];
    try {
      events = await command;
    } catch (error) {
      this.#onFailure(error);
      throw new Refusal(503, 'ENCLAVE_FAILED', 'the enclave failed; ask again for what became of it');
    }
    const [first] = events;
    if (first?.kind === 'refused') throw refusalFor(first.reason);
    return events;
  }

  /** @param id the engine's number, which `events` have; what trades is the order that just came, or came back. */
  #orderReply(owner: bigint, number: number, id: number | undefined, events: readonly ExchangeEvent[]): OrderReply {
    const order = this.#order(owner, number);
    const trades = events.filter((event) => event.kind === 'traded' && event.taker === id).length;
    return { order, fills: trades === 0 ? [] : this.#lastTaken(owner, number, trades), head: this.#head() };
  }

  #lastTaken(owner: bigint, number: number, count: number): FillRecord[] {
    const fills = this.state.records.fills(owner);
    return fills.filter(({ order, role }) => order === number && role === 'taker').slice(-count);
  }

  #order(owner: bigint, number: number): OrderRecord {
    const record = this.state.records.order(owner, number);
    if (record === undefined) throw unknownOrder();
    return record;
  }

  #head(): string {
    return this.#operator.machine.headBytes.toString('hex');
  }
}
