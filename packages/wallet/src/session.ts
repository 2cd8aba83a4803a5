import { checkBlockTime } from '@bitcloak/chain/clock';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import { Follower } from '@bitcloak/chain/follower';
import { formatAccount, type Manifest } from '@bitcloak/chain/manifest';
import { PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import type { RelayerInfo } from '@bitcloak/chain/relayWire';
import { isPublicKey } from '@bitcloak/crypto/x25519';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import type { OwnerKeys } from '@bitcloak/notes/keys';
import type { Lock, Nullifier } from '@bitcloak/notes/note';
import { placeOf } from '@bitcloak/notes/tree';
import type { Prover } from '@bitcloak/prover/proof';
import { checkAmount } from '@bitcloak/protocol/amounts';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { ASSET_BITS, VALID_AFTER_GRID_SECONDS } from '@bitcloak/protocol/parameters';
import type { Block, HDNodeWallet } from 'ethers';
import { deposit, type DepositRequest } from './deposits.ts';
import type { HandedOver, HandedTransfer } from './handedOver.ts';
import { raisingOf } from './raising.ts';
import { relay, relayerInfo, waitForRelayed } from './relayerClient.ts';
import { selectForMerge, selectForReclaim, selectNotes } from './selection.ts';
import type { StateFile } from './stateFile.ts';
import type { TradeBook } from './tradingBook.ts';
import { cancelCalls, type Cancellable } from './tradingCancel.ts';
import { bySettledState, checkFills, settlementsOf, type FillsCheck, type Told } from './tradingChecks.ts';
import { lockedOutput, proveTransfer, type Intent, type LockRequest } from './transfers.ts';
import type {
  Balance,
  HistoryEntry,
  NoteStatus,
  NoteView,
  Outcome,
  Route,
  Stage,
  SyncProgress,
  Wait,
} from './types.ts';
import type { WalletKeys } from './walletKeys.ts';
import { WalletState, type OwnedNote, type WalletSnapshot } from './walletState.ts';

const CANCEL_ATTEMPTS = 3;

export type OnStage = (stage: Stage) => void;

type SessionParts = {
  keys: WalletKeys;
  manifest: Manifest;
  endpoint: Endpoint;
  stateFile: StateFile;
  /** What others have of this wallet on this network and may still have land. */
  handedOver: HandedOver;
  prover: Prover;
  /** The orders that the wallet signed on this network; a session without one trades nothing. */
  tradeBook?: TradeBook;
  release: () => void;
};

/** A relayer as an intent needs it: whom to pay and how much. */
type Relaying = { url: string; info: RelayerInfo; fee: bigint };

/** A wallet at work on one network. */
export class Session {
  readonly manifest: Manifest;
  readonly endpoint: Endpoint;
  readonly pool: PoolClient;
  readonly #parts: SessionParts;
  readonly #follower: Follower<WalletSnapshot, WalletState>;
  #synced: { fold: WalletState; head: Block } | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.manifest = parts.manifest;
    this.endpoint = parts.endpoint;
    this.pool = new PoolClient(parts.manifest.pool, parts.endpoint);
    this.#follower = new Follower<WalletSnapshot, WalletState>({
      pool: this.pool,
      provider: parts.endpoint,
      startBlock: parts.manifest.startBlock,
      checkHead: ({ timestamp }) => {
        checkBlockTime(parts.manifest.chainId, timestamp);
      },
      create: (snapshot) => new WalletState(parts.keys.viewing, snapshot),
      anchor: parts.stateFile.read(),
      keep: (anchor) => {
        parts.stateFile.write(anchor);
      },
    });
  }

  /** Releases the wallet and the endpoint. */
  close(): void {
    this.endpoint.destroy();
    this.#parts.release();
  }

  /**
   * Reads the chain up to its newest block; what an earlier run read is not read again. Throws `ENDPOINT_INCONSISTENT` where the endpoint contradicts
   * itself, or tells a time that is far ahead of this machine's.
   */
  async sync(onProgress?: (progress: SyncProgress) => void): Promise<void> {
    // What is read goes into the state at once: where reading fails, that is a state of no block.
    this.#synced = undefined;
    const synced = await this.#follower.advance(onProgress);
    this.#parts.handedOver.follow(synced.fold.notes(), synced.head.number);
    this.#synced = synced;
  }

  /** Forgets what was found on this network, in this run and on the disk: the next sync reads the chain from the pool's first block on. */
  forget(): void {
    this.#synced = undefined;
    this.#parts.stateFile.remove();
    this.#follower.forget();
  }

  /**
   * Whether the endpoint keeps back what this wallet's own deposit brought, though the chain was read beyond it: a note whose ciphertext it changed looks
   * like somebody else's. What was read is forgotten then, so that the next sync reads everything again.
   */
  isKeptBack({ transaction, block }: Outcome): boolean {
    const { fold, head } = this.#state();
    const isKeptBack = head.number >= block && !fold.history().some((entry) => entry.transaction === transaction);
    if (isKeptBack) this.forget();
    return isKeptBack;
  }

  /** Unix seconds of the newest block that was read. */
  get blockTime(): bigint {
    return BigInt(this.#state().head.timestamp);
  }

  async balances(): Promise<Balance[]> {
    const notes = await this.notes();
    return [...new Set(notes.map(({ asset }) => asset))].map((asset) => {
      const of = (status: NoteStatus) =>
        notes.reduce((sum, note) => (note.asset === asset && note.status === status ? sum + note.value : sum), 0n);
      return {
        asset,
        spendable: of('spendable'),
        waiting: of('waiting'),
        locked: of('locked'),
        reclaimable: of('reclaimable'),
      };
    });
  }

  async notes(): Promise<NoteView[]> {
    const { fold, head } = this.#state();
    const bucketAge = await this.pool.bucketAge();
    const queue = await this.pool.queue(head.number);
    const closableAt = queue.openedAt + bucketAge;
    const wait = (leaf: number): Wait => {
      const { bucket } = placeOf(leaf);
      const closed = bucket < fold.ledger.openBucket;
      return {
        bucket,
        leaves: fold.ledger.leavesOf(bucket).length,
        closed,
        bucketsBefore: bucket - fold.ledger.nextInsertion,
        closableInSeconds: closed || closableAt <= this.blockTime ? 0n : closableAt - this.blockTime,
      };
    };
    return fold.notes().map((owned) => {
      const status = this.#statusOf(owned);
      const { asset, value, lock } = owned.note;
      const waits = !owned.spent && owned.bucketPath === undefined;
      const { leaf, block } = owned;
      return { asset, value, status, leaf, block, lock, wait: waits ? wait(leaf) : undefined };
    });
  }

  history(): readonly HistoryEntry[] {
    return this.#state().fold.history();
  }

  /**
   * Payments, withdrawals and locks of an asset that a relayer or an endpoint was given and that have not landed, the oldest first. They may at any time:
   * whatever else pays takes their place, so that of all of them one can land.
   */
  pending(asset: bigint): HandedTransfer[] {
    return this.#parts.handedOver.pending(asset);
  }

  /** Throws what spending so much would throw where the notes do not do; what was last read of the chain counts. */
  checkSpendable(asset: bigint, amount: bigint): void {
    checkAmount(amount);
    this.#select(asset, amount);
  }

  /** Throws what `merge` would throw at that fee. */
  checkMergeable(asset: bigint, fee: bigint): void {
    selectForMerge(this.#spendable(asset), fee, this.pending(asset));
  }

  /** Throws `LOCK_INVALID` or `OPERATOR_ID_INVALID` for a lock that no note of the wallet can have. */
  checkLock(lock: LockRequest): void {
    lockedOutput(this.#parts.keys.viewing, lock, this.blockTime);
  }

  /** Turns public funds of the wallet's account into a note, locked to an operator where the request says so. */
  async deposit(request: DepositRequest, onStage?: OnStage): Promise<Outcome> {
    await this.sync();
    const { keys } = this.#parts;
    const signer = this.#signer();
    const pool = new PoolClient(this.manifest.pool, signer);
    return deposit({ keys, pool, provider: this.endpoint, signer, blockTime: this.blockTime }, request, onStage);
  }

  /** Pays a shielded address. */
  async send(
    { asset, amount, to, route }: { asset: bigint; amount: bigint; to: ShieldedAddress; route: Route },
    onStage?: OnStage,
  ): Promise<Outcome> {
    checkAmount(amount);
    if (!isPublicKey(to.viewingKey)) {
      throw new BitcloakError('ADDRESS_INVALID', 'address: its viewing key is none that secrets can be shared with');
    }
    const relaying = await this.#relaying(route, asset, 'transfer');
    await this.sync();
    const inputs = this.#select(asset, amount + relaying.fee);
    return this.#transfer({ asset, inputs, output: { kind: 'payment', value: amount, to } }, relaying, onStage);
  }

  /** Pays a public account. `amount` leaves the notes; a relayer's fee is taken out of it. */
  async withdraw(
    { asset, amount, to, route }: { asset: bigint; amount: bigint; to: bigint; route: Route },
    onStage?: OnStage,
  ): Promise<Outcome> {
    checkAmount(amount);
    // The pool pays neither of them.
    if (to <= 0n || to >> BigInt(ASSET_BITS) !== 0n || to === this.manifest.pool) {
      throw new BitcloakError(
        'ADDRESS_INVALID',
        'recipient: expected the address of an account that is not 0 nor the pool',
      );
    }
    const relaying = await this.#relaying(route, asset, 'withdrawal');
    if (relaying.fee >= amount) {
      const message = `the relayer's fee of ${relaying.fee} base units leaves nothing of ${amount}`;
      throw new BitcloakError('RELAYER_FEE_EXCESSIVE', message);
    }
    await this.sync();
    const withdrawal = { amount, recipient: to };
    return this.#transfer({ asset, inputs: this.#select(asset, amount), withdrawal }, relaying, onStage);
  }

  /** Moves notes into a note that is locked to an operator. */
  async lock(
    { asset, amount, lock, route }: { asset: bigint; amount: bigint; lock: LockRequest; route: Route },
    onStage?: OnStage,
  ): Promise<Outcome> {
    checkAmount(amount);
    const relaying = await this.#relaying(route, asset, 'transfer');
    await this.sync();
    const locked = lockedOutput(this.#parts.keys.viewing, lock, this.blockTime);
    const inputs = this.#select(asset, amount + relaying.fee);
    return this.#transfer({ asset, inputs, output: { kind: 'locked', value: amount, locked } }, relaying, onStage);
  }

  /** Joins the two smallest notes of an asset, or spends to the wallet itself what pending transfers were to spend, which voids them. */
  async merge({ asset, route }: { asset: bigint; route: Route }, onStage?: OnStage): Promise<Outcome> {
    const relaying = await this.#relaying(route, asset, 'transfer');
    await this.sync();
    const inputs = selectForMerge(this.#spendable(asset), relaying.fee, this.pending(asset));
    return this.#transfer({ asset, inputs }, relaying, onStage);
  }

  /**
   * Takes home every note of an asset whose lock has expired: at most two of one trading account in a transfer. Notes that a relayer's fee would
   * eat up stay where they are.
   */
  async reclaim({ asset, route }: { asset: bigint; route: Route }, onStage?: OnStage): Promise<Outcome[]> {
    const relaying = await this.#relaying(route, asset, 'transfer');
    await this.sync();
    const outcomes: Outcome[] = [];
    // An endpoint that lags shows them as unspent still.
    const taken = new Set<Nullifier>();
    for (;;) {
      const left = this.#withStatus(asset, 'reclaimable').filter(({ nullifier }) => !taken.has(nullifier));
      const inputs = selectForReclaim(left, relaying.fee);
      if (inputs.length === 0) return outcomes;
      outcomes.push(await this.#transfer({ asset, inputs }, relaying, onStage));
      for (const { nullifier } of inputs) taken.add(nullifier);
      await this.sync();
    }
  }

  /** The orders that this wallet signed here. */
  get tradeBook(): TradeBook {
    const { tradeBook } = this.#parts;
    if (tradeBook === undefined) throw new BitcloakError('USAGE', 'this session keeps no orders');
    return tradeBook;
  }

  /** What a trading account has that is or was locked, and not taken home. */
  lockedNotes(operatorId: bigint, index: number): { asset: bigint; value: bigint; lock: Lock }[] {
    return this.#state()
      .fold.notes()
      .flatMap(({ note: { asset, value, lock }, account, spent }) => {
        const isOwn = !spent && account?.operatorId === operatorId && account.index === index;
        return isOwn && lock !== undefined ? [{ asset, value, lock }] : [];
      });
  }

  /** When the last lock of a trading account's notes ends, in unix seconds of block time; undefined where it has none. */
  lockEnd(operatorId: bigint, index: number): bigint | undefined {
    const ends = this.lockedNotes(operatorId, index).map(({ lock }) => lock.expiry);
    return ends.reduce<bigint | undefined>((last, end) => (last === undefined || end > last ? end : last), undefined);
  }

  /** Compares what an operator settled, as the chain has it, with the orders that were signed and with what it told. */
  checkFills(operatorId: bigint, told?: Told): FillsCheck {
    const kept = this.tradeBook.orders().filter(({ order }) => order.operatorId === operatorId);
    const nullifierKeyOf = (index: number) => this.#tradingKeys(operatorId, index).nullifierKey;
    return checkFills(this.history(), kept, nullifierKeyOf, told, this.blockTime);
  }

  /**
   * Takes orders of this wallet back on the chain, without their operator; the public account pays, and shows itself to everybody as one that did.
   * What an honest operator has matched is settled all the same. It counts after the pool's delay, at most until an order's own expiry.
   */
  async cancelOrders(orderHashes: readonly bigint[], onStage?: OnStage): Promise<Outcome[]> {
    const pool = new PoolClient(this.manifest.pool, this.#signer());
    const outcomes: Outcome[] = [];
    for (let attempt = 1; ; attempt++) {
      await this.sync();
      try {
        for (const call of await cancelCalls(pool, this.#cancellable(orderHashes))) {
          onStage?.('sending');
          const { hash: transaction, blockNumber: block, gasUsed } = await pool.send(call, raisingOf(onStage));
          outcomes.push({ transaction, block, gasUsed, fee: 0n, proofMs: 0 });
        }
        return outcomes;
      } catch (error) {
        // A fill has moved an order to its next state meanwhile; the pool takes back no state that is spent.
        const isRace = error instanceof BitcloakError && error.message.includes('NullifierSpent');
        if (!isRace || attempt === CANCEL_ATTEMPTS) throw error;
      }
    }
  }

  /** What taking orders back on the chain takes now: transactions, gas, and its price in the chain's smallest unit. All are 0 where it is done. */
  async cancelCost(orderHashes: readonly bigint[]): Promise<{ transactions: number; gas: bigint; cost: bigint }> {
    const pool = new PoolClient(this.manifest.pool, this.#signer());
    const calls = await cancelCalls(pool, this.#cancellable(orderHashes));
    const parts = await Promise.all(calls.map((call) => pool.estimateGas(call)));
    const gas = parts.reduce((total, part) => total + part, 0n);
    const { maxFeePerGas, gasPrice } = await this.endpoint.getFeeData();
    return { transactions: calls.length, gas, cost: gas * (gasPrice ?? maxFeePerGas ?? 0n) };
  }

  /** What a relayer asks for an asset now. */
  async quote(url: string, asset: bigint, purpose: 'withdrawal' | 'transfer'): Promise<bigint> {
    const fee = (await this.#relayerInfo(url)).fees.get(asset)?.[purpose];
    if (fee === undefined) {
      throw new BitcloakError('RELAYER_REFUSED', `the relayer takes no fees in ${formatAccount(asset)}`);
    }
    return fee;
  }

  #state(): { fold: WalletState; head: Block } {
    if (this.#synced === undefined) throw new BitcloakError('USAGE', 'the session must sync first');
    return this.#synced;
  }

  #cancellable(orderHashes: readonly bigint[]): Cancellable[] {
    const settled = bySettledState(this.history());
    const orders = this.tradeBook.orders().filter(({ orderHash }) => orderHashes.includes(orderHash));
    return orders.map(({ order, index, orderHash }) => {
      const { nullifierKey } = this.#tradingKeys(order.operatorId, index);
      return { nullifierKey, orderHash, fills: settlementsOf(settled, nullifierKey, orderHash).length };
    });
  }

  #tradingKeys(operatorId: bigint, index: number): OwnerKeys {
    return this.#parts.keys.viewing.tradingAccount(operatorId, index);
  }

  #validAfter(): bigint {
    return this.blockTime - (this.blockTime % VALID_AFTER_GRID_SECONDS);
  }

  #statusOf({ note, spent, bucketPath }: OwnedNote): NoteStatus {
    if (spent) return 'spent';
    if (note.lock !== undefined && note.lock.expiry > this.#validAfter()) return 'locked';
    if (bucketPath === undefined) return 'waiting';
    return note.lock === undefined ? 'spendable' : 'reclaimable';
  }

  #withStatus(asset: bigint, status: NoteStatus): OwnedNote[] {
    return this.#state()
      .fold.notes()
      .filter((owned) => owned.note.asset === asset && this.#statusOf(owned) === status);
  }

  #spendable(asset: bigint): OwnedNote[] {
    return this.#withStatus(asset, 'spendable');
  }

  #select(asset: bigint, amount: bigint): OwnedNote[] {
    const notes = this.#state().fold.notes();
    const others = notes.filter(
      (owned) => owned.note.asset === asset && !['spent', 'spendable'].includes(this.#statusOf(owned)),
    );
    const sum = (isLocked: boolean) =>
      others.reduce((total, { note }) => ((note.lock !== undefined) === isLocked ? total + note.value : total), 0n);
    const other = { waiting: sum(false), locked: sum(true) };
    return selectNotes(this.#spendable(asset), amount, other, this.pending(asset));
  }

  #signer(): HDNodeWallet {
    return this.#parts.keys.account().connect(this.endpoint);
  }

  async #relayerInfo(url: string): Promise<RelayerInfo> {
    const info = await relayerInfo(url);
    if (info.chainId !== this.manifest.chainId || info.pool !== this.manifest.pool) {
      throw new BitcloakError('RELAYER_REFUSED', 'the relayer serves another chain or pool');
    }
    return info;
  }

  async #relaying(
    route: Route,
    asset: bigint,
    purpose: 'withdrawal' | 'transfer',
  ): Promise<Partial<Relaying> & { fee: bigint }> {
    if (route.kind === 'direct') return { fee: 0n };
    const info = await this.#relayerInfo(route.url);
    const fee = info.fees.get(asset)?.[purpose];
    if (fee === undefined) {
      throw new BitcloakError('RELAYER_REFUSED', `the relayer takes no fees in ${formatAccount(asset)}`);
    }
    if (fee > route.feeMax) {
      const message = `fee: expected at most ${route.feeMax} base units, the relayer asks ${fee}`;
      throw new BitcloakError('RELAYER_FEE_EXCESSIVE', message);
    }
    return { url: route.url, info, fee };
  }

  async #transfer(
    intent: Omit<Intent, 'fee'>,
    relaying: Partial<Relaying> & { fee: bigint },
    onStage?: OnStage,
  ): Promise<Outcome> {
    const { fold, head } = this.#state();
    const { keys, prover, manifest, handedOver } = this.#parts;
    const fee = relaying.info === undefined ? undefined : { amount: relaying.fee, ...relaying.info };
    onStage?.('witness and proof');
    const started = performance.now();
    const proven = await proveTransfer(
      {
        keys,
        prover,
        ledger: fold.ledger,
        chainId: manifest.chainId,
        pool: manifest.pool,
        validAfter: this.#validAfter(),
      },
      { ...intent, fee },
    );
    const proofMs = performance.now() - started;
    const nullifiers = intent.inputs.map(({ nullifier }) => nullifier);
    const paid = paidBy(intent);
    // An endpoint that simulates it has it too.
    if (paid !== undefined) {
      handedOver.add({ ...paid, asset: intent.asset, nullifiers, time: this.blockTime }, head.number);
    }
    const outcome = await this.#submit(proven, relaying, onStage);
    handedOver.spent(nullifiers, outcome.block);
    return { ...outcome, fee: relaying.fee, proofMs };
  }

  async #submit(
    proven: ProvenTransfer,
    { url }: Partial<Relaying>,
    onStage?: OnStage,
  ): Promise<Pick<Outcome, 'transaction' | 'block' | 'gasUsed'>> {
    if (url !== undefined) {
      // No simulation here: the relayer makes one, and an endpoint that was shown the transfer would know whose it is when it lands.
      onStage?.('relaying');
      const named = await relay(url, proven);
      onStage?.('confirming');
      const { number: after } = this.#state().head;
      return waitForRelayed(this.pool, this.endpoint, { after, named, transfer: proven });
    }
    onStage?.('simulating');
    const call = this.pool.transferCall(proven);
    const refusal = await this.pool.simulate(call);
    if (refusal !== undefined) {
      await this.#forgetLies(proven);
      throw refusal;
    }
    onStage?.('sending');
    const receipt = await new PoolClient(this.manifest.pool, this.#signer()).send(call, raisingOf(onStage));
    return { transaction: receipt.hash, block: receipt.blockNumber, gasUsed: receipt.gasUsed };
  }

  /**
   * A note that turns out to be spent, or a root that the pool never had, contradicts what was just read: an endpoint lied, earlier perhaps and
   * where nothing could show it. The next sync then reads everything again.
   */
  async #forgetLies({ shown }: ProvenTransfer): Promise<void> {
    const spent = await Promise.all(shown.nullifiers.map((nullifier) => this.pool.isSpent(nullifier)));
    if (spent.includes(true) || !(await this.pool.isKnownRoot(shown.root))) this.forget();
  }
}

/** What a transfer takes from the wallet; undefined where it only moves notes to the wallet itself. */
function paidBy({ output, withdrawal }: Omit<Intent, 'fee'>): Pick<HandedTransfer, 'kind' | 'amount'> | undefined {
  if (withdrawal !== undefined) return { kind: 'withdrawal', amount: withdrawal.amount };
  if (output === undefined) return undefined;
  return { kind: output.kind === 'locked' ? 'lock' : 'payment', amount: output.value };
}
