import { leavesOf } from '@bitcloak/chain/events';
import { Ledger } from '@bitcloak/chain/ledger';
import { PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import { extDataHash, type ExtData } from '@bitcloak/notes/extData';
import { appendBucket, type InsertionInput } from '@bitcloak/notes/insertion';
import { Keyring, type SpendingKey } from '@bitcloak/notes/keys';
import { commitmentOf, nullifierOf, stealthOf, type Lock, type Note } from '@bitcloak/notes/note';
import { buildTransfer, type SpentNote, type TransferInput, type TransferPlan } from '@bitcloak/notes/transfer';
import { Bucket, placeOf, type Siblings } from '@bitcloak/notes/tree';
import type { Proof, Prover } from '@bitcloak/prover/proof';
import { LocalProver } from '@bitcloak/prover/prover';
import type { CircuitInput } from '@bitcloak/prover/witness';
import {
  DEPOSIT_CIPHERTEXT_BYTES,
  NATIVE_ASSET,
  TRANSFER_CIPHERTEXT_BYTES,
  TREE_BUCKETS,
  type Circuit,
} from '@bitcloak/protocol/parameters';
import type { Contract, TransactionReceipt, Signer } from 'ethers';
import { deployPool, type DeployedPool } from '../../scripts/deploy/contracts.ts';
import { openChain, type Chain } from './chain.ts';
import { countFresh } from './proofCounts.ts';
import { seededBytes } from './random.ts';

/** The real prover, every proof of which is counted. One for the whole run, so that keys are read once. */
class CountingProver implements Prover {
  readonly #prover = new LocalProver();

  async prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    const proof = await this.#prover.prove(circuit, input);
    countFresh(circuit);
    return proof;
  }
}

export const prover: Prover = new CountingProver();

/** A note that a test made and can spend. */
export type TestNote = { readonly note: Note; readonly leaf: number; readonly key: SpendingKey };

/** What a test's transfer shall be; the rest is filled in. */
export type TransferWish = {
  readonly key: SpendingKey;
  readonly inputs: readonly TestNote[];
  readonly outputs?: readonly Note[];
  readonly withdrawAmount?: bigint;
  readonly extData?: Partial<ExtData>;
  readonly validAfter?: bigint;
  readonly root?: bigint;
};

export const BUCKET_AGE_SECONDS = 60n;
export const NO_ADDRESS = 0n;

/** A pool on a chain of its own, driven without a wallet: what a test does to it is exactly what it says. */
export class PoolBench {
  readonly chain: Chain;
  readonly client: PoolClient;
  readonly timelock: string;
  readonly registry: bigint;
  readonly chainId = 31337n;
  readonly #contract: Contract;
  readonly #startBlock: number;
  readonly #random: (length: number) => Uint8Array;

  constructor(chain: Chain, contract: Contract, deployed: DeployedPool, seed: string) {
    this.chain = chain;
    this.#contract = contract;
    this.timelock = deployed.timelock;
    this.registry = BigInt(deployed.registry);
    this.#startBlock = deployed.startBlock;
    this.client = new PoolClient(BigInt(deployed.pool), chain.signer());
    this.#random = seededBytes(seed);
  }

  /** signer 0 deploys and acts, 1 is the guardian, 2 the governor. */
  static async open({
    seed = 'pool bench',
    verifier,
  }: { seed?: string; verifier?: (chain: Chain) => Promise<string> } = {}) {
    const chain = await openChain();
    const deployed = await deployPool(chain.signer(), {
      guardian: chain.signer(1).address,
      governor: chain.signer(2).address,
      bucketAgeSeconds: BUCKET_AGE_SECONDS,
      ...(verifier === undefined ? {} : { verifier: await verifier(chain) }),
    });
    const { Contract: EthersContract } = await import('ethers');
    const { POOL_ABI } = await import('@bitcloak/chain/generated/abi');
    return new PoolBench(chain, new EthersContract(deployed.pool, POOL_ABI, chain.signer()), deployed, seed);
  }

  get address(): bigint {
    return this.client.address;
  }

  /** The pool's contract for calls that the typed client does not offer. */
  contract(signer: Signer = this.chain.signer()): Contract {
    return this.#contract.connect(signer) as Contract;
  }

  close(): Promise<void> {
    return this.chain.close();
  }

  bytes(length: number): Uint8Array {
    return this.#random(length);
  }

  /** A deterministic field element. */
  element(): bigint {
    return BigInt(`0x${Buffer.from(this.bytes(31)).toString('hex')}`);
  }

  keyring(): Keyring {
    return new Keyring(this.bytes(64));
  }

  note(key: SpendingKey, value: bigint, { asset = NATIVE_ASSET, lock }: { asset?: bigint; lock?: Lock } = {}): Note {
    return { asset, value, owner: key.keys.owner, blinding: this.element(), lock };
  }

  /** Deposits a note; `signer` pays. */
  async deposit(
    key: SpendingKey,
    value: bigint,
    options: { asset?: bigint; lock?: Lock; signer?: Signer } = {},
  ): Promise<TestNote & { receipt: TransactionReceipt }> {
    const note = this.note(key, value, options);
    const call = this.client.depositCall(note.asset, value, stealthOf(note), this.bytes(DEPOSIT_CIPHERTEXT_BYTES));
    const client = new PoolClient(this.address, options.signer ?? this.chain.signer());
    const leaf = (await this.ledger()).nextLeaf;
    return { note, leaf, key, receipt: await client.send(call) };
  }

  /** The pool's leaves and trees as its events tell them. */
  async ledger(): Promise<Ledger> {
    const ledger = new Ledger();
    for (const event of await this.events()) ledger.apply(event);
    return ledger;
  }

  async events() {
    const head = await this.chain.provider.send('eth_blockNumber', []);
    return this.client.events(this.#startBlock, Number(head));
  }

  /** Closes the open bucket, if it has a leaf, as soon as its age allows. */
  async closeBucket(): Promise<void> {
    const queue = await this.client.queue();
    if (queue.openLeaves === 0) return;
    const closableAt = queue.openedAt + BUCKET_AGE_SECONDS;
    if ((await this.chain.now()) < closableAt) await this.chain.setTime(closableAt);
    await this.client.send(this.client.closeCall());
  }

  /** The statement for the oldest closed bucket. */
  async insertion(): Promise<{ bucket: number; leaves: readonly bigint[]; input: InsertionInput }> {
    const ledger = await this.ledger();
    const bucket = ledger.nextInsertion;
    const leaves = ledger.leavesOf(bucket);
    return { bucket, leaves, input: appendBucket(ledger.treeForInsertion(), bucket, leaves) };
  }

  /** Proves and inserts the oldest closed bucket. */
  async insert(using: Prover = prover): Promise<TransactionReceipt> {
    const { bucket, leaves, input } = await this.insertion();
    const { words } = await using.prove('insertion', input);
    return this.client.send(this.client.insertCall(bucket, leaves, input, words));
  }

  /** Closes and inserts until every leaf is in the tree. */
  async insertAll(using: Prover = prover): Promise<void> {
    await this.closeBucket();
    for (;;) {
      const queue = await this.client.queue();
      if (queue.nextInsertion === queue.openBucket) return;
      await this.insert(using);
    }
  }

  async spent({ note, leaf }: TestNote): Promise<SpentNote> {
    return { note, leaf, path: await this.pathOf(leaf) };
  }

  /** The path of a leaf that is in its tree, under that tree's newest root. */
  async pathOf(leaf: number): Promise<Siblings[]> {
    return pathOf(await this.ledger(), await this.events(), leaf);
  }

  /** The inputs of the transfer circuit for a wish, and what the pool needs beside. */
  async plan(wish: TransferWish): Promise<{ input: TransferInput; extData: ExtData }> {
    const { key, inputs, withdrawAmount = 0n } = wish;
    const asset = inputs[0]?.note.asset ?? NATIVE_ASSET;
    const ledger = await this.ledger();
    const spentNotes = await Promise.all(inputs.map((note) => this.spent(note)));
    const total = inputs.reduce((sum, { note }) => sum + note.value, 0n);
    const outputs = [...(wish.outputs ?? [this.note(key, total - withdrawAmount, { asset })])];
    while (outputs.length < 3) outputs.push(this.note(key, 0n, { asset }));
    const extData: ExtData = {
      recipient: withdrawAmount === 0n ? NO_ADDRESS : BigInt(this.chain.signer(9).address),
      relayer: NO_ADDRESS,
      fee: 0n,
      ciphertext: this.bytes(TRANSFER_CIPHERTEXT_BYTES),
      ...wish.extData,
    };
    const plan: TransferPlan = {
      key,
      asset,
      inputs: spentNotes,
      root: wish.root ?? ledger.treeOf(Math.max(0, ledger.nextInsertion - 1))?.root() ?? 0n,
      outputs,
      withdrawAmount,
      extDataHash: extDataHash(this.chainId, this.address, extData),
      validAfter: wish.validAfter ?? 0n,
    };
    return { input: buildTransfer(plan), extData };
  }

  /** Plans and proves a transfer. */
  async prove(wish: TransferWish, using: Prover = prover): Promise<ProvenTransfer> {
    const { input, extData } = await this.plan(wish);
    const { words } = await using.prove('transfer', input);
    return { proof: words, shown: input, extData };
  }

  send(transfer: ProvenTransfer, signer: Signer = this.chain.signer()): Promise<TransactionReceipt> {
    const client = new PoolClient(this.address, signer);
    return client.send(client.transferCall(transfer));
  }

  nullifier({ note, leaf, key }: TestNote): bigint {
    return nullifierOf(key.keys.nullifierKey, commitmentOf(note), placeOf(leaf).treeIndex);
  }
}

function pathOf(ledger: Ledger, events: Awaited<ReturnType<PoolBench['events']>>, leaf: number): Siblings[] {
  const { bucket, position } = placeOf(leaf);
  const leaves = new Map<number, bigint>();
  for (const event of events) {
    const appended = leavesOf(event);
    appended.leaves.forEach((value, i) => leaves.set(appended.firstLeaf + i, value));
  }
  const own: bigint[] = [];
  for (let i = bucket * 64; leaves.has(i) && i < (bucket + 1) * 64; i++) own.push(leaves.get(i) as bigint);
  const tree = ledger.treeOf(bucket);
  if (tree === undefined) throw new Error(`bucket ${bucket} has no tree`);
  return [...new Bucket(own).path(position), ...tree.path(bucket % TREE_BUCKETS)];
}
