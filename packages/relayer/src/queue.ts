import { askedOffer, feesOf, raisedOffer, type Offer } from '@bitcloak/chain/offer';
import { callError, type Call } from '@bitcloak/chain/pool';
import type { RelayStatus } from '@bitcloak/chain/relayWire';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { isError, keccak256, type BaseWallet, type JsonRpcApiProvider } from 'ethers';
import type { Admitted } from './policy.ts';
import { Refusal } from './refusal.ts';

export type QueueOptions = {
  readonly endpoint: JsonRpcApiProvider;
  /** Pays the gas. Nothing else should send from it: its nonces are counted here. */
  readonly account: BaseWallet;
  /** How often transactions without a receipt are looked for. */
  readonly pollMs: number;
  /** After how long a transaction without a receipt is handed to the endpoint again, at a higher fee where that can help. */
  readonly rebroadcastMs: number;
  readonly report: (line: SendReport) => void;
};

/** What becomes of transactions; everything in it is public on the chain. */
export type SendReport =
  /** `filled`: an empty one, in the place of one that this run does not know. `undone`: the block of one that was settled is gone. */
  | {
      readonly kind: 'sent' | 'filled' | 'confirmed' | 'reverted' | 'replaced' | 'undone';
      readonly transaction: string;
    }
  /** `first` was sent before; the one with the higher fee takes its place. */
  | { readonly kind: 'raised'; readonly transaction: string; readonly first: string };

type Version = { readonly hash: string; readonly raw: string; readonly offer: Offer };

/** A transfer whose receipt is awaited. At most one of its versions is mined, for they have one nonce. */
type Sent = {
  readonly call: Call;
  readonly gasLimit: bigint;
  readonly nonce: number;
  readonly nullifiers: readonly bigint[];
  /** All that were ever signed, the newest first: whatever the endpoint said, each can be mined. Each offers more than those before it. */
  readonly versions: readonly [Version, ...Version[]];
  readonly sentAt: number;
};

/** Transactions that wait for their turn or for their receipt. Nodes keep some 16 to 64 of one account. */
const UNFINISHED_MAX = 16;
/** Settled ones that are sent again where their block is gone. */
const SETTLED_MAX = 64;
const OUTCOMES_MAX = 10_000;
const REVERTED_MAX = 10_000;

/**
 * Signs and sends one transaction after another, and follows each to its receipt. One whose fee has become too low would keep all later ones waiting: it
 * is signed again with a higher one, whatever the transfer paid. A nullifier is taken from the moment its transfer enters
 * until its transaction is refused, confirmed or failed, so that no note is paid for twice.
 *
 * The nonce is asked for before every transaction, and never below one that is in flight: a send that failed leaves no gap behind it.
 */
export class SendQueue {
  readonly #options: QueueOptions;
  readonly #taken = new Set<bigint>();
  /** By nonce. */
  readonly #sent = new Map<number, Sent>();
  /** By nonce, the newest last; `sentAt` is when it was settled. */
  readonly #settled = new Map<number, Sent>();
  /** By the hash of each version. */
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

  /** How the transfer of a transaction of this queue stands, whichever version it is; undefined for any other. */
  status(hash: string): RelayStatus | undefined {
    const isPending = [...this.#sent.values()].some(({ versions }) =>
      versions.some((version) => version.hash === hash),
    );
    return isPending ? { status: 'pending' } : this.#outcomes.get(hash);
  }

  /**
   * Sends a transfer when its turn comes.
   *
   * @param signal who aborts before the transaction is signed takes the transfer back.
   * @returns the transaction's hash. From then on it is certain to be sent, again and again if need be; with a higher fee it has another hash, and this
   *   one's status tells of it.
   */
  async send(transfer: Admitted, signal: AbortSignal): Promise<string> {
    this.refuseTaken(transfer.nullifiers);
    if (this.#waiting + this.#sent.size >= UNFINISHED_MAX) {
      throw new Refusal(503, 'RELAYER_REFUSED', 'the relayer has too many transactions under way; try again later');
    }
    this.#waiting++;
    for (const nullifier of transfer.nullifiers) this.#taken.add(nullifier);
    try {
      return await this.#inTurn(() => this.#transmit(transfer, signal));
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

  /** Nothing else is signed meanwhile: what the account can pay is counted once. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async #transmit({ call, gasLimit, nullifiers }: Admitted, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { report } = this.#options;
    const nonce = await this.#nextNonce();
    const offer = await this.#affordable(gasLimit);
    signal.throwIfAborted();
    const version = await this.#sign(call, { nonce, gasLimit, offer });
    if (!(await this.#broadcast(version))) {
      const message = "the relayer's endpoint does not take the transaction; try again later";
      throw new Refusal(503, 'TRANSACTION_FAILED', message);
    }
    this.#sent.set(nonce, { call, gasLimit, nonce, nullifiers, versions: [version], sentAt: performance.now() });
    report({ kind: 'sent', transaction: version.hash });
    this.#watching ??= this.#watch();
    return version.hash;
  }

  async #sign(
    call: Call,
    { nonce, gasLimit, offer }: { nonce: number; gasLimit: bigint; offer: Offer },
  ): Promise<Version> {
    const { account } = this.#options;
    const request = await account
      .populateTransaction({ ...call, nonce, gasLimit, ...feesOf(offer) })
      .catch(failEndpoint);
    const raw = await account.signTransaction(request);
    return { hash: keccak256(raw), raw, offer };
  }

  async #nextNonce(): Promise<number> {
    const { endpoint, account } = this.#options;
    const counted = await endpoint.getTransactionCount(account.address, 'pending').catch(failEndpoint);
    // An endpoint can lose sight of what it was sent, and a block of what was in it; that nonce is still taken.
    return Math.max(counted, ...[...this.#sent.keys(), ...this.#settled.keys()].map((nonce) => nonce + 1));
  }

  /** What the chain asks; throws where the account cannot pay it beside all that are under way. */
  async #affordable(gasLimit: bigint): Promise<Offer> {
    const offer = askedOffer(await this.#options.endpoint.getFeeData().catch(failEndpoint));
    if ((await this.#payable()) >= gasLimit * offer.most) return offer;
    const message = 'the relayer lacks native currency for gas; use another relayer or send it yourself';
    throw new Refusal(503, 'GAS_INSUFFICIENT', message);
  }

  /** What the account has beside the most that all under way can cost, in wei. */
  async #payable(): Promise<bigint> {
    const { endpoint, account } = this.#options;
    const balance = await endpoint.getBalance(account.address).catch(failEndpoint);
    return [...this.#sent.values()].reduce((left, sent) => left - costOf(sent), balance);
  }

  /**
   * Hands a transaction to the endpoint. Only where the endpoint says no and does not know the transaction it has not got it: an answer that
   * was lost leaves open whether it arrived.
   */
  async #broadcast({ raw, hash }: Version): Promise<boolean> {
    const { endpoint } = this.#options;
    try {
      await endpoint.send('eth_sendRawTransaction', [raw]);
      return true;
    } catch (error) {
      return !isAnswer(error) || (await endpoint.getTransaction(hash).catch(() => undefined)) !== null;
    }
  }

  async #watch(): Promise<void> {
    while (this.#sent.size > 0 && !this.#stopped) {
      await new Promise((done) => setTimeout(done, this.#options.pollMs));
      // An endpoint that does not answer is asked again in the next round.
      await this.#look().catch(() => undefined);
    }
    this.#watching = undefined;
  }

  async #look(): Promise<void> {
    const { endpoint, account } = this.#options;
    // Asked before receipts: a nonce that is used up then belongs to a version of ours or receipts show that it does not.
    const used = await endpoint.getTransactionCount(account.address, 'latest');
    // At once it may be an endpoint that lags.
    for (const settled of this.#settled.values())
      if (settled.nonce >= used && this.#isOverdue(settled)) this.#reopen(settled);
    const isKnown = this.#sent.has(used) || this.#settled.has(used);
    const isHeldUp = [...this.#sent.values()].some((sent) => sent.nonce > used && this.#isOverdue(sent));
    if (!isKnown && isHeldUp) await this.#inTurn(() => this.#fill(used)).catch(() => undefined);
    for (const sent of [...this.#sent.values()]) {
      const isOverdue = this.#isOverdue(sent);
      const step = async () => {
        if (sent.nonce < used) await this.#conclude(sent, isOverdue);
        else if (isOverdue) await this.#inTurn(() => this.#press(sent, sent.nonce === used));
      };
      await step().catch(() => undefined);
    }
  }

  #isOverdue({ sentAt }: Sent): boolean {
    return performance.now() - sentAt >= this.#options.rebroadcastMs;
  }

  /** The nonce is used up. */
  async #conclude(sent: Sent, isOverdue: boolean): Promise<void> {
    const { endpoint, report } = this.#options;
    for (const { hash: transaction } of sent.versions) {
      const receipt = await endpoint.getTransactionReceipt(transaction);
      if (receipt === null) continue;
      const confirmed = receipt.status === 1;
      const { blockNumber: block, gasUsed } = receipt;
      this.#settle(sent, confirmed ? { status: 'confirmed', transaction, block, gasUsed } : { status: 'failed' });
      if (!confirmed) remember(this.#reverted, sent.nullifiers, REVERTED_MAX);
      report({ kind: confirmed ? 'confirmed' : 'reverted', transaction });
      return;
    }
    // An endpoint may show a block before its receipts.
    if (!isOverdue) return;
    this.#settle(sent, { status: 'failed' });
    report({ kind: 'replaced', transaction: firstOf(sent).hash });
  }

  /** Hands an overdue transaction to the endpoint again, at a higher fee where that can help. */
  async #press(sent: Sent, isNext: boolean): Promise<void> {
    const { report } = this.#options;
    // Where the endpoint fails now, it is asked again when as much time has passed.
    const pressed = { ...sent, sentAt: performance.now() };
    this.#sent.set(sent.nonce, pressed);
    const version = await this.#raise(sent, isNext);
    if (this.#stopped) return;
    const versions = version === undefined ? sent.versions : ([version, ...sent.versions] as const);
    // Kept before it leaves: whatever the endpoint answers, it has it then.
    this.#sent.set(sent.nonce, { ...pressed, versions });
    if (version !== undefined) report({ kind: 'raised', transaction: version.hash, first: firstOf(sent).hash });
    // An endpoint that refuses the newest may have lost the others.
    for (const each of versions) if (await this.#broadcast(each)) return;
  }

  /**
   * What an earlier run sent for too low a fee, and nobody here can sign again, keeps all others waiting: a transaction that does nothing takes its
   * place, and is raised like any. Where the earlier one is mined all the same, nothing is lost.
   */
  async #fill(nonce: number): Promise<void> {
    const { endpoint, account, report } = this.#options;
    const call = { to: account.address, data: '0x', value: 0n };
    const gasLimit = await endpoint.estimateGas({ ...call, from: account.address });
    const version = await this.#sign(call, { nonce, gasLimit, offer: await this.#affordable(gasLimit) });
    this.#sent.set(nonce, { call, gasLimit, nonce, nullifiers: [], versions: [version], sentAt: performance.now() });
    report({ kind: 'filled', transaction: version.hash });
    await this.#broadcast(version);
  }

  /**
   * A version that offers more, within what the account can pay. The one that all others wait for is raised whatever keeps it waiting; any other only
   * where it offers less than the chain asks.
   */
  async #raise({ call, nonce, gasLimit, ...sent }: Sent, isNext: boolean): Promise<Version | undefined> {
    const asked = await this.#options.endpoint.getFeeData();
    const before = sent.versions[0].offer;
    if (!isNext && before.most >= (asked.gasPrice ?? 0n)) return undefined;
    const mostMax = before.most + (await this.#payable()) / gasLimit;
    const offer = raisedOffer(before, askedOffer(asked), mostMax);
    return offer && this.#sign(call, { nonce, gasLimit, offer });
  }

  #settle(sent: Sent, outcome: RelayStatus): void {
    const { nonce, nullifiers, versions } = sent;
    this.#sent.delete(nonce);
    this.#settled.set(nonce, { ...sent, sentAt: performance.now() });
    const [oldest] = this.#settled.keys();
    if (this.#settled.size > SETTLED_MAX && oldest !== undefined) this.#settled.delete(oldest);
    this.#release(nullifiers);
    for (const { hash } of versions) this.#outcomes.set(hash, outcome);
    for (const hash of this.#outcomes.keys()) {
      if (this.#outcomes.size <= OUTCOMES_MAX) return;
      this.#outcomes.delete(hash);
    }
  }

  /** Its block is gone: later ones wait for its nonce, and it may land yet. */
  #reopen(settled: Sent): void {
    const { nonce, nullifiers, versions } = settled;
    this.#settled.delete(nonce);
    this.#sent.set(nonce, settled);
    for (const nullifier of nullifiers) this.#taken.add(nullifier);
    for (const { hash } of versions) this.#outcomes.delete(hash);
    this.#options.report({ kind: 'undone', transaction: firstOf(settled).hash });
  }

  #release(nullifiers: readonly bigint[]): void {
    for (const nullifier of nullifiers) this.#taken.delete(nullifier);
  }
}

/** The most that a transfer can cost, in wei. */
const costOf = ({ gasLimit, versions: [newest] }: Sent) => gasLimit * newest.offer.most;

/** The version whose hash the client was told. */
const firstOf = ({ versions }: Sent) => versions.at(-1) ?? versions[0];

function failEndpoint(error: unknown): never {
  throw callError(error);
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
