import { callError } from '@bitcloak/chain/pool';
import type { RelayStatus } from '@bitcloak/chain/relayWire';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { isError, keccak256, type BaseWallet, type JsonRpcApiProvider, type TransactionRequest } from 'ethers';
import type { Admitted } from './policy.ts';
import { Refusal } from './refusal.ts';

export type QueueOptions = {
  readonly endpoint: JsonRpcApiProvider;
  /** Pays the gas. Nothing else should send from it: its nonces are counted here. */
  readonly account: BaseWallet;
  /** How often transactions without a receipt are looked for. */
  readonly pollMs: number;
  /** After how long a transaction without a receipt is handed to the endpoint again. */
  readonly rebroadcastMs: number;
  readonly report: (line: SendReport) => void;
};

/** What becomes of transactions; everything in it is public on the chain. */
export type SendReport = {
  readonly kind: 'sent' | 'confirmed' | 'reverted' | 'replaced';
  readonly transaction: string;
};

/** A signed transaction whose receipt is awaited. */
type Sent = {
  readonly hash: string;
  readonly raw: string;
  readonly nonce: number;
  readonly nullifiers: readonly bigint[];
  /** The most that it can cost, in wei. */
  readonly cost: bigint;
  sentAt: number;
};

/** Transactions that wait for their turn or for their receipt. Nodes keep some 16 to 64 of one account. */
const UNFINISHED_MAX = 16;
const OUTCOMES_MAX = 10_000;
const REVERTED_MAX = 10_000;

/**
 * Signs and sends one transaction after another, and follows each to its receipt. A nullifier is taken from the moment its transfer enters
 * until its transaction is refused, confirmed or failed, so that no note is paid for twice.
 *
 * The nonce is asked for before every transaction, and never below one that is in flight: a send that failed leaves no gap behind it.
 */
export class SendQueue {
  readonly #options: QueueOptions;
  readonly #taken = new Set<bigint>();
  readonly #sent = new Map<string, Sent>();
  readonly #outcomes = new Map<string, RelayStatus>();
  /** Nullifiers of transactions that failed on chain although their simulation passed: a recipient can make that happen again and again. */
  readonly #reverted = new Set<bigint>();
  #waiting = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #watching: Promise<void> | undefined;
  #stopped = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Throws where a nullifier is being relayed, or was in a transaction that the service lost its gas with. */
  refuseTaken(nullifiers: readonly bigint[]): void {
    if (nullifiers.some((nullifier) => this.#taken.has(nullifier))) {
      throw new Refusal(409, 'RELAYER_REFUSED', 'nullifiers: a note is being relayed already');
    }
    if (nullifiers.some((nullifier) => this.#reverted.has(nullifier))) {
      throw new Refusal(
        409,
        'RELAYER_REFUSED',
        'nullifiers: a transfer of such a note reverted on chain; send it yourself',
      );
    }
  }

  /** How a transaction of this queue stands; undefined for any other. */
  status(hash: string): RelayStatus | undefined {
    return this.#sent.has(hash) ? { status: 'pending' } : this.#outcomes.get(hash);
  }

  /**
   * Sends a transfer when its turn comes.
   *
   * @param signal who aborts before the transaction is signed takes the transfer back.
   * @returns the transaction's hash. From then on it is certain to be sent, again and again if need be.
   */
  async send(transfer: Admitted, signal: AbortSignal): Promise<string> {
    this.refuseTaken(transfer.nullifiers);
    if (this.#waiting + this.#sent.size >= UNFINISHED_MAX) {
      throw new Refusal(503, 'RELAYER_REFUSED', 'the relayer has too many transactions under way; try again later');
    }
    this.#waiting++;
    for (const nullifier of transfer.nullifiers) this.#taken.add(nullifier);
    const turn = this.#tail.then(() => this.#transmit(transfer, signal));
    this.#tail = turn.catch(() => undefined);
    try {
      return await turn;
    } catch (error) {
      this.#release(transfer.nullifiers);
      throw error;
    } finally {
      this.#waiting--;
    }
  }

  /** Waits until everything that was handed in is sent and has its receipt, at most for `limitMs`. What is left then is on its way all the same. */
  async close(limitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise((done) => (timer = setTimeout(done, limitMs)));
    await Promise.race([limit, this.#tail.then(() => this.#watching)]);
    clearTimeout(timer);
    this.#stopped = true;
  }

  async #transmit({ call, gasLimit, nullifiers }: Admitted, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { account } = this.#options;
    const nonce = await this.#nextNonce();
    const request = await account.populateTransaction({ ...call, nonce, gasLimit }).catch((error: unknown) => {
      throw callError(error);
    });
    const cost = await this.#affordable(request, gasLimit);
    signal.throwIfAborted();
    const raw = await account.signTransaction(request);
    const sent = { hash: keccak256(raw), raw, nonce, nullifiers, cost, sentAt: performance.now() };
    await this.#broadcast(sent);
    this.#sent.set(sent.hash, sent);
    this.#options.report({ kind: 'sent', transaction: sent.hash });
    this.#watching ??= this.#watch();
    return sent.hash;
  }

  async #nextNonce(): Promise<number> {
    const { endpoint, account } = this.#options;
    const counted = await endpoint.getTransactionCount(account.address, 'pending').catch((error: unknown) => {
      throw callError(error);
    });
    // An endpoint can lose sight of what it was sent; that nonce is still taken.
    return Math.max(counted, ...[...this.#sent.values()].map(({ nonce }) => nonce + 1));
  }

  /** The most that a transaction costs; throws where the account cannot pay it beside all that are under way. */
  async #affordable(request: TransactionRequest, gasLimit: bigint): Promise<bigint> {
    const { endpoint, account } = this.#options;
    const cost = gasLimit * BigInt(request.maxFeePerGas ?? request.gasPrice ?? 0);
    const underWay = [...this.#sent.values()].reduce((sum, sent) => sum + sent.cost, 0n);
    const balance = await endpoint.getBalance(account.address).catch((error: unknown) => {
      throw callError(error);
    });
    if (balance >= cost + underWay) return cost;
    throw new Refusal(
      503,
      'GAS_INSUFFICIENT',
      'the relayer lacks native currency for gas; use another relayer or send it yourself',
    );
  }

  /**
   * Hands a transaction to the endpoint. Only where the endpoint says no and does not know the transaction has sending failed: an answer that
   * was lost leaves open whether it arrived, so the transaction counts as sent and is sent again until it has a receipt.
   */
  async #broadcast({ raw, hash }: Sent): Promise<void> {
    const { endpoint } = this.#options;
    try {
      await endpoint.send('eth_sendRawTransaction', [raw]);
    } catch (error) {
      if (isAnswer(error) && (await endpoint.getTransaction(hash).catch(() => undefined)) === null) {
        throw new Refusal(
          503,
          'TRANSACTION_FAILED',
          "the relayer's endpoint does not take the transaction; try again later",
        );
      }
    }
  }

  async #watch(): Promise<void> {
    while (this.#sent.size > 0 && !this.#stopped) {
      await new Promise((done) => setTimeout(done, this.#options.pollMs));
      for (const sent of [...this.#sent.values()]) {
        // An endpoint that does not answer is asked again in the next round.
        await this.#look(sent).catch(() => undefined);
      }
    }
    this.#watching = undefined;
  }

  async #look(sent: Sent): Promise<void> {
    const { endpoint, account, rebroadcastMs } = this.#options;
    const overdue = performance.now() - sent.sentAt >= rebroadcastMs;
    // Asked before the receipt: a nonce that is used up then belongs to this transaction or the receipt shows that it does not.
    const nonceUsed = overdue && (await endpoint.getTransactionCount(account.address, 'latest')) > sent.nonce;
    const receipt = await endpoint.getTransactionReceipt(sent.hash);
    if (receipt !== null) {
      const confirmed = receipt.status === 1;
      const { blockNumber: block, gasUsed } = receipt;
      this.#settle(sent, confirmed ? { status: 'confirmed', block, gasUsed } : { status: 'failed' });
      if (!confirmed) remember(this.#reverted, sent.nullifiers, REVERTED_MAX);
      this.#options.report({ kind: confirmed ? 'confirmed' : 'reverted', transaction: sent.hash });
    } else if (nonceUsed) {
      this.#settle(sent, { status: 'failed' });
      this.#options.report({ kind: 'replaced', transaction: sent.hash });
    } else if (overdue) {
      Object.assign(sent, { sentAt: performance.now() });
      await endpoint.send('eth_sendRawTransaction', [sent.raw]);
    }
  }

  #settle(sent: Sent, outcome: RelayStatus): void {
    this.#sent.delete(sent.hash);
    this.#release(sent.nullifiers);
    this.#outcomes.set(sent.hash, outcome);
    const [oldest] = this.#outcomes.keys();
    if (this.#outcomes.size > OUTCOMES_MAX && oldest !== undefined) this.#outcomes.delete(oldest);
  }

  #release(nullifiers: readonly bigint[]): void {
    for (const nullifier of nullifiers) this.#taken.delete(nullifier);
  }
}

/** Adds to a set that forgets its oldest members beyond `max`. */
function remember(set: Set<bigint>, members: readonly bigint[], max: number): void {
  for (const member of members) set.add(member);
  for (const oldest of set) {
    if (set.size <= max) return;
    set.delete(oldest);
  }
}

/** Whether a failed request was answered by the endpoint, not lost on the way. */
function isAnswer(error: unknown): boolean {
  if (error instanceof BitcloakError) return false;
  return !isError(error, 'TIMEOUT') && !isError(error, 'SERVER_ERROR') && !isError(error, 'NETWORK_ERROR');
}
