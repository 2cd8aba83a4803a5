import { setTimeout as sleep } from 'node:timers/promises';
import { Follower } from '@bitcloak/chain/follower';
import type { PoolClient } from '@bitcloak/chain/pool';
import { SignatureVerifier } from '@bitcloak/crypto/signatureVerifier';
import type { AgreementKey } from '@bitcloak/crypto/x25519';
import { orderHashOf, orderStateOf } from '@bitcloak/notes/order';
import type { OwnerKeys } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { ORDER_STATES_WATCHED } from '@bitcloak/protocol/parameters';
import type { Amendment, NewOrder, NewWithdrawal, SignedOrder } from '@bitcloak/trading/orders';
import type { Provider } from 'ethers';
import type { ExchangeEvent, Hashed, Looked, Refusal } from '../exchange/commands.ts';
import { BATCH_SECONDS } from '../exchange/rules.ts';
import { EnclaveWallet, type EnclaveSnapshot } from '../wallet/enclaveWallet.ts';
import { Cancellations, type Watched } from './cancellations.ts';
import { isDue, type Cadence } from './cadence.ts';
import type { Machine } from './machine.ts';
import { checkTime, refuseUnknown } from './rollback.ts';
import type { Settled, Settler } from './settler.ts';
import { catchUp } from './watcher.ts';

/** Ends of batches stand on this grid, so that they tell nothing of when a batch was planned. */
const VALID_UNTIL_GRID_SECONDS = 60;

/** Of `settleSeconds`: a batch with a match of the last moment is planned, is valid for its time, and perhaps has to be planned again. */
export const SETTLE_SECONDS_MIN = 2 * BATCH_SECONDS;

/** Accounts whose signatures are checked fast: a table of one takes 43 KB. */
const VERIFIED_ACCOUNTS = 1_024;
/** Between two looks at the chain the next states of orders are looked at for so long, beside other work. */
const LOOK_MS_MAX = 250;
/** States of orders that are done with, of which the wallet keeps so many and once more as many as are needed. */
const STATES_UNNEEDED = 64;

export type OperatorOptions = {
  readonly machine: Machine;
  readonly settler: Settler;
  readonly pool: PoolClient;
  readonly provider: Provider;
  readonly startBlock: number;
  readonly confirmations: number;
  /** For so long a newest block below the one that was reached is taken for an endpoint that lags. */
  readonly lagMsMax: number;
  readonly operator: number;
  readonly operatorId: bigint;
  readonly eraKeys: (block: number) => readonly AgreementKey[];
  readonly cadence: Cadence;
  /** Unix seconds until which the registry lets the era's signer settle. */
  readonly activeUntil: () => Promise<bigint>;
  /** How far blocks may be ahead of the clock before the chain is taken for a wrong one; undefined where its time is not that of the world. */
  readonly clockSkewSecondsMax: number | undefined;
};

/** Whether nothing can be traded after an error: the journal is gone, or the state is not what the journal says. */
export function isFatal(code: string): boolean {
  return code.startsWith('JOURNAL_') || code === 'ENCLAVE_FAILED';
}

/** What the operator tells who runs it: public hashes and codes, never an order. */
export type OperatorReport =
  | { readonly kind: 'settled'; readonly transaction: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

export type RunOptions = { readonly pollMs: number; readonly report: (report: OperatorReport) => void };

/** Of an error that is not one of the project's only its kind is told: what it says may hold anything. */
export function failureOf(error: unknown): OperatorReport & { kind: 'failed' } {
  if (error instanceof BitcloakError) return { kind: 'failed', code: error.code, message: error.message };
  return { kind: 'failed', code: 'INTERNAL', message: error instanceof Error ? error.name : '' };
}

/** What one round did. */
export type Round = {
  /** Unix seconds of the block that the operator stands at. */
  readonly time: number;
  readonly settled: Settled | undefined;
};

/** The operator at work: follows the chain, keeps the exchange in step with it, and settles. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #verifier = new SignatureVerifier(VERIFIED_ACCOUNTS);
  readonly #follower: Follower<EnclaveSnapshot, EnclaveWallet>;
  /** As it was at the end of the last round. */
  #wallet: EnclaveWallet | undefined;
  readonly #cancellations = new Cancellations();
  /** When the first look at the chain showed less than the journal has seen. */
  #behindSince: number | undefined;
  /** Of block time, when the last batch was planned. */
  #plannedAt = 0;
  /** States of orders that the wallet was left with when some were forgotten last. */
  #statesNeeded = 0;
  readonly #transactions: (() => Promise<void>)[] = [];
  /** What is left of a batch that came to nothing before it was signed does not wait for the next time. */
  #plansAgain = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { operator, operatorId, eraKeys } = options;
    this.#follower = new Follower({
      pool: options.pool,
      provider: options.provider,
      startBlock: options.startBlock,
      confirmations: options.confirmations,
      lagMsMax: options.lagMsMax,
      create: (snapshot?: EnclaveSnapshot) => new EnclaveWallet({ operator, operatorId, eraKeys }, snapshot),
    });
  }

  get machine(): Machine {
    return this.#options.machine;
  }

  /** The keys of an owner who was ever told of; of nobody before the chain was read. */
  account(owner: bigint): OwnerKeys | undefined {
    return this.#wallet?.account(owner);
  }

  /** Works until the signal: follows the chain and settles, neither waiting for the other. Throws only where the journal fails. */
  async run(signal: AbortSignal, { pollMs, report }: RunOptions): Promise<void> {
    const repeat = async (work: () => Promise<unknown>) => {
      while (!signal.aborted) {
        try {
          await work();
        } catch (error) {
          const code = error instanceof BitcloakError ? error.code : undefined;
          if (code !== undefined && isFatal(code)) throw error;
          report(failureOf(error));
        }
        await sleep(pollMs, undefined, { signal }).catch(() => undefined);
      }
    };
    await this.watch();
    const settling = async () => {
      const settled = await this.settle();
      if (settled?.kind === 'sent') report({ kind: 'settled', transaction: settled.receipt.hash });
    };
    await Promise.all([repeat(() => this.watch()), repeat(settling)]);
  }

  /** Whether the endpoint showed less of the chain, at the first look, than was seen before a restart. */
  get isBehind(): boolean {
    return this.#wallet === undefined && this.#behindSince !== undefined;
  }

  /** Whether the registry lets this enclave settle. */
  get isActive(): boolean {
    const { time, activeUntil } = this.machine.state;
    return time < activeUntil;
  }

  /** Sends a transaction between two settlements: the account that pays the gas has one sequence of them. Throws what `call` throws. */
  send<T>(call: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#transactions.push(() => call().then(resolve, reject));
    return promise;
  }

  /** Reads the chain, then settles what is due. */
  async round(): Promise<Round> {
    const { time } = await this.watch();
    return { time, settled: await this.settle() };
  }

  /** Where it is time, plans a batch; where there is one, proves and sends it. Matching never waits for it. */
  async settle(): Promise<Settled | undefined> {
    const { machine, settler } = this.#options;
    const wallet = this.#wallet;
    if (wallet === undefined) return undefined;
    for (const transaction of this.#transactions.splice(0)) await transaction();
    await this.#plan(wallet);
    const { batch } = machine.state;
    if (batch === undefined) return undefined;
    const { sequence } = batch;
    // A restart must know that it may land, and with which head, before anybody else has it.
    const sign = async (head: bigint) => {
      await machine.execute({ kind: 'sign', sequence, head });
      return machine.state.batch?.sequence === sequence && machine.state.batch.head === head;
    };
    const settled = await settler.settle(batch, wallet, machine.head, sign);
    if (settled.kind === 'impossible') {
      await machine.execute({ kind: 'void', sequence, tickets: settled.tickets });
      this.#plansAgain = true;
    }
    return settled;
  }

  /** Reads the chain, and keeps the exchange in step with it. Before the first time no order is let in. */
  async watch(): Promise<{ time: number }> {
    const { fold: wallet, head } = await this.#follower.advance();
    // Time never goes back in the exchange, so a chain that is far ahead would end every order for good.
    checkTime(head.timestamp, this.#options.clockSkewSecondsMax);
    this.#checkReached(head.timestamp);
    await refuseUnknown(this.machine.state, wallet.newest, this.#options.provider);
    const until = Number(await this.#options.activeUntil());
    const { machine } = this.#options;
    if (until !== machine.state.activeUntil) await machine.execute({ kind: 'setActiveUntil', until });
    this.#wallet = wallet;
    await this.#catchUp(wallet, head.timestamp);
    return { time: head.timestamp };
  }

  submit(order: NewOrder): Promise<ExchangeEvent[]> {
    return this.#letIn(order, (checked) => this.machine.execute({ kind: 'order', ...order, ...checked }));
  }

  /** @param order the owner's number of it. */
  amend(owner: bigint, order: number, amendment: Amendment): Promise<ExchangeEvent[]> {
    const { order: signed, signature } = amendment;
    if (signed === undefined) return this.machine.execute({ kind: 'amend', owner, order, amendment });
    return this.#letIn({ order: signed, signature }, (checked) =>
      this.machine.execute({ kind: 'amend', owner, order, amendment: { ...amendment, ...checked } }),
    );
  }

  withdraw(withdrawal: NewWithdrawal): Promise<ExchangeEvent[]> {
    return this.#letIn(withdrawal, ({ orderHash }) =>
      this.machine.execute({ kind: 'withdraw', ...withdrawal, orderHash }),
    );
  }

  /**
   * Lets an order in. Its signature is the one that its proofs will need, so it is checked before anybody can rely on the order. And as many of its
   * states are looked at, the first at least, as it matches others at once: one that its owner has cancelled would bind him to those before it alone.
   * How many, the exchange tells when it has come to the order.
   */
  async #letIn(
    { order, signature }: SignedOrder,
    execute: (checked: Required<Hashed> & Looked) => Promise<ExchangeEvent[]>,
  ): Promise<ExchangeEvent[]> {
    const orderHash = orderHashOf(order);
    const refused = (reason: Refusal): ExchangeEvent[] => [{ kind: 'refused', reason }];
    const wallet = this.#wallet;
    const keys = wallet?.account(order.owner);
    if (wallet === undefined || keys === undefined) return refused('ownerUnknown');
    if (!this.#verifier.verify(keys.publicKey, orderHash, signature)) return refused('signatureInvalid');
    if (this.#cancellations.time(wallet, order, orderHash, 0) !== undefined) return refused('orderCancelled');
    for (let states = 1; ;) {
      // In this turn the first time, so that what comes after an order stays after it. Where nobody cancels anything there is nothing to look at.
      const events = await execute({ orderHash, ...(wallet.cancelled.size === 0 ? {} : { states }) });
      const [first] = events;
      if (first?.kind !== 'unlooked') return events;
      const times = await this.#cancellations.times(wallet, { order, orderHash }, states, first.states - states);
      if (times.some((time) => time !== undefined)) return refused('orderCancelled');
      states = first.states;
    }
  }

  async #plan(wallet: EnclaveWallet): Promise<void> {
    const { machine, settler, cadence } = this.#options;
    const { batch, waiting, time } = machine.state;
    if (batch !== undefined || !(this.#plansAgain || isDue(cadence, waiting, time, this.#plannedAt))) return;
    const sequence = await settler.nextSequence();
    checkSequence(sequence, machine.state.begun.sequence);
    await this.#lookAtWaiting(wallet);
    this.#plannedAt = time;
    this.#plansAgain = false;
    const validUntil = Math.floor(time / VALID_UNTIL_GRID_SECONDS) * VALID_UNTIL_GRID_SECONDS + BATCH_SECONDS;
    await machine.execute({ kind: 'plan', validUntil, sequence, always: cadence.kind === 'interval' });
  }

  /** A follower that has just begun knows no block that was reached; the journal knows its time. */
  #checkReached(timestamp: number): void {
    const { lagMsMax } = this.#options;
    if (this.#wallet !== undefined || timestamp >= this.machine.state.time) return;
    this.#behindSince ??= performance.now();
    if (performance.now() - this.#behindSince >= lagMsMax) return;
    throw new BitcloakError(
      'ENDPOINT_INCONSISTENT',
      'the newest block is older than one before the restart: the endpoint lags',
    );
  }

  async #catchUp(wallet: EnclaveWallet, time: number): Promise<void> {
    const { machine } = this.#options;
    const { batch } = machine.state;
    for (;;) {
      const commands = catchUp(machine.state, wallet, time);
      await Promise.all(commands.map((command) => machine.execute(command)));
      // What is settled has states to wait for, and they may be in the tree already.
      if (!commands.some(({ kind }) => kind === 'settled')) break;
    }
    await this.#lookAhead(wallet);
    if (batch !== undefined && machine.state.batch?.sequence !== batch.sequence) this.#forgetStates(wallet);
  }

  /** No match is planned whose order is taken back in the state that it is in. */
  async #lookAtWaiting(wallet: EnclaveWallet): Promise<void> {
    const { state } = this.machine;
    const waiting = state.tickets().filter(({ id }) => state.matchesOf(id) > 0);
    await this.#retire(
      wallet,
      waiting.map((ticket) => ({ ticket, matched: 1, ahead: 0 })),
      Infinity,
    );
  }

  /** What is taken back matches no more. Orders of which something waits to be settled go before those that only rest. */
  async #lookAhead(wallet: EnclaveWallet): Promise<void> {
    if (wallet.cancelled.size === 0) return;
    await this.#retire(wallet, this.#watched(), LOOK_MS_MAX);
    this.#cancellations.forget(this.machine.state.tickets());
  }

  *#watched(): Generator<Watched, undefined> {
    const { state } = this.machine;
    const tickets = state.tickets();
    for (const isWaiting of [true, false]) {
      for (const ticket of tickets) {
        const matched = state.matchesOf(ticket.id);
        if (matched > 0 !== isWaiting) continue;
        yield { ticket, matched, ahead: state.isOpen(ticket.id) ? ORDER_STATES_WATCHED : 0 };
      }
    }
    return undefined;
  }

  async #retire(wallet: EnclaveWallet, orders: Iterable<Watched>, msMax: number): Promise<void> {
    const tickets = await this.#cancellations.news(wallet, orders, this.machine.state.time, msMax);
    if (tickets.length > 0) await this.machine.execute({ kind: 'retire', tickets });
  }

  /** What the wallet keeps of orders that are done with must not grow for as long as the era lasts. Hashes are many, so now and then is enough. */
  #forgetStates(wallet: EnclaveWallet): void {
    if (wallet.states <= 2 * this.#statesNeeded + STATES_UNNEEDED) return;
    const settled = this.machine.state.tickets().filter(({ k }) => k > 0n);
    const needed = new Set(settled.map(({ orderHash, filled, k }) => orderStateOf(orderHash, filled, k)));
    wallet.keepStates(needed);
    this.#statesNeeded = needed.size;
  }
}

/**
 * Of settlements before the journal began it is not asked which heads they name. A host that made them too many, to put older disks in place unnoticed
 * later, has nothing settled.
 */
function checkSequence(next: number, begun: number): void {
  if (next > begun) return;
  const message = `the pool's next settlement is ${next}, but the journal began after settlement ${begun}: the endpoint lies, or did then`;
  throw new BitcloakError('ENDPOINT_INCONSISTENT', message);
}
