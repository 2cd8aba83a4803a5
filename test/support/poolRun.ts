// A pool with actors, a clock that the run sets, and the comparison of the pool with its model. What the steps are stands in poolSteps.ts and poolTrades.ts.
import assert from 'node:assert/strict';
import type { PoolEvent } from '@bitcloak/chain/events';
import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { Ledger } from '@bitcloak/chain/ledger';
import { formatAccount } from '@bitcloak/chain/manifest';
import type { Call, PoolClient, ProvenTransfer } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { extDataHash, type ExtData } from '@bitcloak/notes/extData';
import { appendBucket, type InsertionInput } from '@bitcloak/notes/insertion';
import { Keyring, type SpendingKey } from '@bitcloak/notes/keys';
import type { Lock, Note } from '@bitcloak/notes/note';
import { buildTransfer, type SpentNote, type TransferInput } from '@bitcloak/notes/transfer';
import { Bucket, placeOf, type Siblings } from '@bitcloak/notes/tree';
import {
  NATIVE_ASSET,
  TRANSFER_CIPHERTEXT_BYTES,
  TRANSFER_INPUTS,
  TREE_DEPTH,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import type { Contract } from 'ethers';
import { Interface, toQuantity, ZeroHash } from 'ethers';
import type { Chain } from './chain.ts';
import { Dice } from './dice.ts';
import type { PoolBench } from './pool.ts';
import type { DoubledProver } from './doubledProver.ts';
import {
  commitmentOf,
  orderNullifierOf,
  PoolModel,
  type HeldNote,
  type ModelTransfer,
  type NewNote,
  type Payment,
} from './poolModel.ts';
import {
  ACTORS,
  FIRST_ACTOR_SIGNER,
  nullifiersOf,
  openParts,
  tick,
  type Operator,
  type ReadySettlement,
} from './poolParts.ts';
import { seededBytes } from './random.ts';

const GAS_LIMIT = toQuantity(8_000_000);
const GOVERNOR_SIGNER = 2;
const OPERATORS = 2;
const FIRST_ADMIN_SIGNER = FIRST_ACTOR_SIGNER + ACTORS;
const PAYEES = 6;
const FULL_CHECK_STEPS = 100;

/** Somebody with notes. The keys of the trading accounts are those of locked notes. */
export type Actor = { readonly account: string; readonly main: SpendingKey; readonly trading: readonly SpendingKey[] };

/** What a transfer shall be, down to everything that it is made of. */
export type Wish = {
  readonly key: SpendingKey;
  readonly asset: bigint;
  readonly inputs: readonly SpentNote[];
  readonly outputs: readonly NewNote[];
  readonly payment?: Payment | undefined;
  readonly validAfter: bigint;
  readonly root: bigint;
  readonly chainId?: bigint;
  readonly pool?: bigint;
};

/** A transfer with its proof, and what it does once the pool takes it. */
export type ReadyTransfer = { readonly transfer: ProvenTransfer; readonly effect: ModelTransfer };
export type ReadyInsertion = {
  readonly bucket: number;
  readonly leaves: readonly bigint[];
  readonly input: InsertionInput;
  readonly words: readonly bigint[];
};

/** A call that waits in the timelock, with what it changes. */
export type Operation = {
  readonly kind: 'unpause' | 'set guardian';
  readonly data: string;
  readonly salt: string;
  readonly readyAt: bigint;
  readonly guardian: bigint;
};

const shortOf = (value: bigint) => (value < 10n ** 6n ? value.toString() : `~2^${value.toString(2).length - 1}`);

/** What an asset is called in a run's descriptions, and a number in short. */
export function amountText(run: PoolRun, asset: bigint, value: bigint): string {
  return `${shortOf(value)} ${asset === NATIVE_ASSET ? 'native' : `token ${run.assets.indexOf(asset)}`}`;
}

export class PoolRun {
  readonly seed: string;
  readonly dice: Dice;
  readonly chain: Chain;
  readonly chainId: bigint;
  readonly client: PoolClient;
  readonly registry: RegistryClient;
  readonly prover: DoubledProver;
  readonly model: PoolModel;
  readonly ledger = new Ledger();
  /** Native currency first, then two tokens. */
  readonly assets: readonly bigint[];
  readonly actors: readonly Actor[];
  readonly operators: readonly Operator[];
  /** Accounts that only ever receive. */
  readonly payees: readonly bigint[];
  readonly governor: string;
  readonly timelock: Contract;
  readonly poolInterface = new Interface(POOL_ABI);
  /** What was proven and not sent. */
  heldTransfers: ReadyTransfer[] = [];
  heldInsertion: ReadyInsertion | undefined;
  heldSettlement: ReadySettlement | undefined;
  /** What the pool has taken, some of the newest. */
  readonly sentTransfers: ProvenTransfer[] = [];
  readonly sentInsertions: ReadyInsertion[] = [];
  readonly sentSettlements: ReadySettlement[] = [];
  /** Of transfers. */
  readonly spentNotes: HeldNote[] = [];
  /** Every event of the pool, in the chain's order. */
  readonly events: PoolEvent[] = [];
  operations: Operation[] = [];
  readonly doneOperations: Operation[] = [];
  /** How often each kind of thing happened. */
  readonly tally = new Map<string, number>();
  readonly #bench: PoolBench;
  readonly #clock: { time: bigint };
  readonly #tokens: readonly Contract[];
  readonly #bytes: (length: number) => Uint8Array;
  readonly #errors: Interface;
  readonly #spentByEvents = new Set<bigint>();
  #touched: readonly bigint[] = [];
  #nextBlock = 0;
  #fingerprint: readonly string[] = [];
  #step = 0;
  #descriptions: string[] = [];

  private constructor(seed: string, parts: Awaited<ReturnType<typeof openParts>>) {
    const { bench, prover, clock, tokens, timelock, errors, firstBlock } = parts;
    this.seed = seed;
    this.dice = new Dice(seed);
    this.#bytes = seededBytes(seed);
    this.#bench = bench;
    this.chain = bench.chain;
    this.client = bench.client;
    this.prover = prover;
    this.#clock = clock;
    this.#tokens = tokens;
    this.#errors = errors;
    this.#nextBlock = firstBlock;
    this.timelock = timelock;
    this.governor = bench.chain.signer(GOVERNOR_SIGNER).address;
    this.assets = [NATIVE_ASSET, ...tokens.map(({ target }) => BigInt(target as string))];
    this.chainId = bench.chainId;
    this.registry = new RegistryClient(bench.registry, bench.chain.signer());
    const admins = Array.from({ length: OPERATORS }, (_, index) => bench.chain.signer(FIRST_ADMIN_SIGNER + index));
    this.operators = admins.map(({ address: admin }, index) => {
      const number = index + 1;
      const id = operatorIdOf(bench.chainId, bench.address, bench.registry, number);
      return { number, id, admin, treasury: new Keyring(this.#bytes(64)), signers: [] };
    });
    this.payees = Array.from({ length: PAYEES }, () => this.dice.between(2n ** 152n, 2n ** 160n - 1n));
    this.actors = Array.from({ length: ACTORS }, (_, index) => {
      const keyring = new Keyring(this.#bytes(64));
      const trading = this.operators.map((operator) => keyring.tradingAccount(operator.id, 0));
      return { account: bench.chain.signer(FIRST_ACTOR_SIGNER + index).address, main: keyring.spending, trading };
    });
    this.model = new PoolModel(BigInt(bench.chain.signer(1).address));
  }

  static async open(seed: string): Promise<PoolRun> {
    const run = new PoolRun(seed, await openParts(seed));
    for (const { admin } of run.operators) await run.accept(run.registry.registerOperatorCall(), admin);
    await run.check();
    return run;
  }

  close(): Promise<void> {
    return this.#bench.close();
  }

  // --- time, randomness, names ------------------------------------------------------------------------------------------

  /** The time of the newest block. The next one is a second later, or as much later as the run says. */
  get time(): bigint {
    return this.#clock.time;
  }

  get nextTime(): bigint {
    return this.#clock.time + 1n;
  }

  /** Lets the next block come at `time` or, where that is past, as soon as it can. */
  waitUntil(time: bigint): void {
    if (time > this.nextTime) this.#clock.time = time - 1n;
  }

  bytes(length: number): Uint8Array {
    return this.#bytes(length);
  }

  count(name: string): void {
    this.tally.set(name, (this.tally.get(name) ?? 0) + 1);
  }

  counted(name: string): number {
    return this.tally.get(name) ?? 0;
  }

  /** Adds to what a failure of this step will say. */
  describe(text: string): void {
    this.#descriptions.push(text);
  }

  /** Takes the last of these words back. */
  retract(): void {
    this.#descriptions.pop();
  }

  /** Number of the actor whose key it is. */
  actorOf(key: SpendingKey): number {
    return this.actors.findIndex(({ main, trading }) => [main, ...trading].some((own) => own === key));
  }

  /** A note of `key`. */
  note(key: SpendingKey, asset: bigint, value: bigint, lock?: Lock): NewNote {
    return { key, note: { asset, value, owner: key.keys.owner, blinding: this.dice.random.field(), lock } };
  }

  /** A note that nobody can spend and that is worth nothing. */
  nothing(asset: bigint): NewNote {
    const note: Note = {
      asset,
      value: 0n,
      owner: this.dice.random.field(),
      blinding: this.dice.random.field(),
      lock: undefined,
    };
    return { key: undefined, note };
  }

  // --- calls ------------------------------------------------------------------------------------------------------------

  /** Sends a call that must succeed, and follows its events. */
  async accept(call: Call, from: string): Promise<void> {
    let block: number;
    try {
      block = await this.#transact(call, from);
    } catch (error) {
      throw new Error(`an honest call was refused: ${this.#nameOf(error)}`, { cause: error });
    }
    const events = await this.client.events(this.#nextBlock, block);
    this.#nextBlock = block + 1;
    for (const event of events) {
      this.ledger.apply(event);
      this.events.push(event);
      for (const nullifier of nullifiersOf(event)) this.#spentByEvents.add(nullifier);
    }
  }

  /** Sends a call that must fail with that error and must leave everything as it was. */
  async refuse(expected: string, call: Call, from: string): Promise<void> {
    let refusal = 'nothing';
    try {
      await this.#transact(call, from);
    } catch (error) {
      refusal = this.#nameOf(error);
    }
    assert.equal(refusal, expected, `expected the refusal ${expected}, got ${refusal}`);
    assert.deepEqual(await this.#takeFingerprint(), this.#fingerprint, 'a refused call changed the state');
  }

  async #transact({ to, data, value }: Call, from: string): Promise<number> {
    await tick(this.chain, this.#clock);
    const transaction = { from, to, data, value: toQuantity(value), gas: GAS_LIMIT };
    const hash = (await this.chain.provider.send('eth_sendTransaction', [transaction])) as string;
    const receipt = (await this.chain.provider.send('eth_getTransactionReceipt', [hash])) as Record<string, string>;
    assert.equal(receipt['status'], '0x1', 'a transaction failed without an error');
    return Number(receipt['blockNumber']);
  }

  /** The custom error of a transaction that was reverted. */
  #nameOf(error: unknown): string {
    const reverted = (error as { error?: { data?: string | { data?: string } } }).error?.data;
    // Hardhat nests what it cannot name.
    const data = typeof reverted === 'object' ? reverted.data : reverted;
    if (data === undefined) throw error;
    return data === '0x' ? 'no reason' : (this.#errors.parseError(data)?.name ?? `an unknown error ${data}`);
  }

  /** Hashes of everything that the pool, the tokens and the timelock keep, and their balances. */
  async #takeFingerprint(): Promise<string[]> {
    const others = [this.registry.address, BigInt(this.timelock.target as string)];
    const addresses = [this.client.address, ...this.assets.slice(1), ...others];
    return Promise.all(
      addresses.map(async (address) => {
        const proof = (await this.chain.provider.send('eth_getProof', [
          formatAccount(address),
          [],
          'latest',
        ])) as Record<string, unknown>;
        return `${String(proof['storageHash'])} ${String(proof['balance'])} ${String(proof['nonce'])}`;
      }),
    );
  }

  // --- statements -------------------------------------------------------------------------------------------------------

  /** Everything that spends a note under the newest root. */
  spend({ note, leaf }: HeldNote): SpentNote {
    return { note, leaf, path: this.path(leaf) };
  }

  /** The path of a leaf that is in the tree. */
  path(leaf: number): Siblings[] {
    const { bucket, position } = placeOf(leaf);
    const tree = this.ledger.treeOf(bucket);
    assert(tree !== undefined);
    return [...new Bucket(this.model.leavesOf(bucket)).path(position), ...tree.path(bucket)];
  }

  /** The transfer circuit's inputs for a wish, filled up with dummies of the run's own randomness, and what goes with it. */
  build(wish: Wish): { input: TransferInput; extData: ExtData } {
    const { asset, key, payment } = wish;
    const inputs = [...wish.inputs];
    while (inputs.length < TRANSFER_INPUTS) {
      const { note } = this.note(key, asset, 0n);
      const path = Array.from({ length: TREE_DEPTH }, (): Siblings => [0n, 0n, 0n]);
      inputs.push({ note, leaf: this.dice.int(TREE_LEAVES), path });
    }
    const extData: ExtData = {
      recipient: payment?.recipient ?? 0n,
      relayer: payment?.relayer ?? 0n,
      fee: payment?.fee ?? 0n,
      ciphertext: this.bytes(TRANSFER_CIPHERTEXT_BYTES),
    };
    const input = buildTransfer({
      key,
      asset,
      inputs: this.dice.shuffled(inputs),
      root: wish.root,
      outputs: wish.outputs.map(({ note }) => note),
      withdrawAmount: payment?.amount ?? 0n,
      extDataHash: extDataHash(wish.chainId ?? this.chainId, wish.pool ?? this.client.address, extData),
      validAfter: wish.validAfter,
    });
    return { input, extData };
  }

  async proveTransfer(wish: Wish): Promise<ReadyTransfer> {
    const { input, extData } = this.build(wish);
    assert.deepEqual(
      input.commitments,
      wish.outputs.map(({ note }) => commitmentOf(note)),
      'the packages and the model compute other commitments',
    );
    const { words } = await this.prover.prove('transfer', input);
    const effect = { nullifiers: input.nullifiers, outputs: wish.outputs, payment: wish.payment };
    return { transfer: { proof: words, shown: input, extData }, effect };
  }

  /** The statement for the oldest closed bucket; undefined where none is closed. `leaves` are taken for the bucket's. */
  async proveInsertion(leaves?: readonly bigint[]): Promise<ReadyInsertion | undefined> {
    const bucket = this.ledger.nextInsertion;
    if (bucket === this.ledger.openBucket) return undefined;
    const inserted = leaves ?? this.ledger.leavesOf(bucket);
    const tree = this.ledger.treeForInsertion();
    const input = appendBucket(tree, bucket, inserted);
    // The tree follows the chain alone: the bucket comes in with its event.
    tree.truncate(tree.length - 1);
    const { words } = await this.prover.prove('insertion', input);
    return { bucket, leaves: inserted, input, words };
  }

  insertCall({ bucket, leaves, input, words }: ReadyInsertion): Call {
    return this.client.insertCall(bucket, leaves, input, words);
  }

  call(method: string, values: readonly unknown[]): Call {
    const data = this.poolInterface.encodeFunctionData(method, values);
    return { to: formatAccount(this.client.address), data, value: 0n };
  }

  timelockCall(method: string, values: readonly unknown[]): Call {
    const data = this.timelock.interface.encodeFunctionData(method, values);
    return { to: this.timelock.target as string, data, value: 0n };
  }

  executeCall({ data, salt }: Operation): Call {
    return this.timelockCall('execute', [formatAccount(this.client.address), 0n, data, ZeroHash, salt]);
  }

  /** Sends a transfer that the pool must take. */
  async acceptTransfer(ready: ReadyTransfer, from: string): Promise<void> {
    const { transfer, effect } = ready;
    const spent = [...this.model.unspent.values()].filter(({ nullifier }) => effect.nullifiers.includes(nullifier));
    await this.accept(this.client.transferCall(transfer), from);
    this.model.transfer(effect, this.time);
    this.touch(effect.nullifiers);
    keep(this.sentTransfers, transfer);
    for (const note of spent) keep(this.spentNotes, note);
  }

  /** Lets the next check ask the pool for these nullifiers. */
  touch(nullifiers: readonly bigint[]): void {
    this.#touched = [...this.#touched, ...nullifiers];
  }

  async acceptInsertion(ready: ReadyInsertion, from: string): Promise<void> {
    await this.accept(this.insertCall(ready), from);
    this.model.insert();
    keep(this.sentInsertions, ready);
  }

  // --- the invariants ---------------------------------------------------------------------------------------------------

  /** Takes a step and checks everything after it; a failure says how to come here again. */
  async step(take: () => Promise<void>): Promise<void> {
    this.#step++;
    this.#descriptions = [];
    try {
      await take();
      await this.check(this.#step % FULL_CHECK_STEPS === 0);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${this.seed}, step ${this.#step} (${this.#descriptions.join('; ')}): ${reason}`, {
        cause: error,
      });
    }
  }

  /** Compares the pool with the model: its state, and the spent notes that this step concerned or, if `full`, all of them. */
  async check(full = false): Promise<void> {
    const { client, ledger, model } = this;
    const [queue, root, guardian, balances] = await Promise.all([
      client.queue(),
      client.currentRoot(),
      this.#read('guardian'),
      Promise.all(this.assets.map((asset) => this.balanceOf(asset, client.address))),
    ]);
    assert.deepEqual(
      balances,
      this.assets.map((asset) => model.balance(asset)),
      'balances of the pool',
    );
    assert.deepEqual(
      balances,
      this.assets.map((asset) => model.value(asset)),
      'what the notes are worth',
    );
    const held = await Promise.all(this.assets.slice(1).map((asset) => this.#read('held', formatAccount(asset))));
    assert.deepEqual(held, balances.slice(1), 'what the pool says that it holds');
    const { openBucket, openLeaves, openedAt, nextInsertion, depositsPaused } = model;
    assert.deepEqual(queue, { openBucket, openLeaves, openedAt, nextInsertion, depositsPaused }, 'the queue');
    assert.equal(BigInt(guardian as string), model.guardian, 'the guardian');
    assert.equal(root, model.tree.root, 'the root');
    assert.deepEqual(
      { openBucket: ledger.openBucket, nextLeaf: ledger.nextLeaf, nextInsertion: ledger.nextInsertion },
      { openBucket, nextLeaf: model.nextLeaf, nextInsertion },
      'the ledger',
    );
    for (let bucket = nextInsertion; bucket <= openBucket; bucket++) {
      assert.deepEqual(ledger.leavesOf(bucket), model.leavesOf(bucket), `leaves of bucket ${bucket}`);
    }
    for (const { number } of this.operators) {
      assert.equal(await client.lastSequence(number), model.sequence(number), 'the number of a settlement');
    }
    assert.equal(this.#spentByEvents.size, model.spentFrom.size, 'the number of nullifiers');
    await this.#checkSpent(full);
    if (full) await this.#checkRoots();
    this.#fingerprint = await this.#takeFingerprint();
  }

  async #checkSpent(full: boolean): Promise<void> {
    const { model } = this;
    const unspent = [...model.unspent.values()].map(({ nullifier }) => nullifier);
    if (full) assert.deepEqual([...this.#spentByEvents].sort(), [...model.spentFrom.keys()].sort(), 'the nullifiers');
    const some = this.dice.pickIfAny(unspent);
    const asked = full ? this.#everyNullifier(unspent) : [...this.#touched, ...(some === undefined ? [] : [some])];
    this.#touched = [];
    for (const nullifier of asked) {
      const from = model.spentFrom.get(nullifier) ?? 0n;
      assert.equal(await this.client.spentFrom(nullifier), from, 'from when on something is spent');
    }
  }

  /** With those of the orders' present states, most of which are not spent. */
  #everyNullifier(unspent: readonly bigint[]): bigint[] {
    const present = [...this.model.orders].map((order) => orderNullifierOf(order, order.states.length));
    return [...unspent, ...present, ...this.model.spentFrom.keys()];
  }

  async #checkRoots(): Promise<void> {
    for (const root of this.model.roots) assert.equal(await this.client.isKnownRoot(root), true, 'an old root');
    assert.equal(await this.client.isKnownRoot(this.dice.random.field()), false, 'a root that never was');
  }

  /** What an account has of an asset. */
  async balanceOf(asset: bigint, account: bigint): Promise<bigint> {
    if (asset === NATIVE_ASSET) return this.chain.provider.getBalance(formatAccount(account));
    const token = this.#tokens[this.assets.indexOf(asset) - 1];
    return (await token?.getFunction('balanceOf')(formatAccount(account))) as bigint;
  }

  async #read(method: string, ...values: unknown[]): Promise<unknown> {
    return (await this.#bench.contract().getFunction(method)(...values)) as unknown;
  }
}

const KEPT = 30;

export function keep<T>(list: T[], entry: T): void {
  list.push(entry);
  if (list.length > KEPT) list.shift();
}
