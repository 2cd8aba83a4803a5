import { Ledger } from '@bitcloak/chain/ledger';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { extDataHash, type ExtData } from '@bitcloak/notes/extData';
import { appendBucket } from '@bitcloak/notes/insertion';
import { Keyring } from '@bitcloak/notes/keys';
import { stealthOf, type Note } from '@bitcloak/notes/note';
import { buildTransfer, type SpentNote } from '@bitcloak/notes/transfer';
import { Bucket, placeOf } from '@bitcloak/notes/tree';
import { LocalProver } from '@bitcloak/prover/prover';
import { DEPOSIT_CIPHERTEXT_BYTES, TRANSFER_CIPHERTEXT_BYTES } from '@bitcloak/protocol/parameters';
import { BrowserProvider, Interface, Network, type JsonRpcSigner } from 'ethers';
import hre from 'hardhat';
import { deployPool, type DeployedPool } from '../deploy/contracts.ts';
import { seededBytes, seededElements } from './random.ts';

export const CHAIN_ID = 31337;
const BUCKET_AGE_SECONDS = 60n;

const erc20 = new Interface(['function approve(address, uint256)']);

/** A deposited note and its place. */
export type Placed = { readonly note: Note; readonly leaf: number };

/** A pool on a chain of its own in this process, its calls made one by one with real proofs. */
export class PoolDriver {
  readonly provider: BrowserProvider;
  readonly signers: readonly JsonRpcSigner[];
  readonly pool: PoolClient;
  readonly registry: bigint;
  readonly #startBlock: number;
  readonly #closeChain: () => Promise<void>;
  readonly #prover = new LocalProver();
  readonly #bytes: (length: number) => Uint8Array;
  readonly #element: () => bigint;
  readonly #spending;
  /** Leaves of inserted buckets too, which the ledger forgets. */
  readonly #buckets: (readonly bigint[])[] = [];

  private constructor(
    chain: { provider: BrowserProvider; signers: readonly JsonRpcSigner[]; close: () => Promise<void> },
    deployed: DeployedPool,
    seed: string,
  ) {
    this.provider = chain.provider;
    this.signers = chain.signers;
    this.#closeChain = chain.close;
    this.pool = new PoolClient(BigInt(deployed.pool), this.signer(0));
    this.registry = BigInt(deployed.registry);
    this.#startBlock = deployed.startBlock;
    this.#bytes = seededBytes(seed);
    this.#element = seededElements(`${seed} elements`);
    this.#spending = new Keyring(this.#bytes(64)).spending;
  }

  static async open(seed: string): Promise<PoolDriver> {
    const connection = await hre.network.create({ network: 'default', override: { chainId: CHAIN_ID } });
    const network = Network.from(CHAIN_ID);
    const provider = new BrowserProvider(connection.provider, network, {
      staticNetwork: true,
      cacheTimeout: -1,
      pollingInterval: 20,
    });
    const signers = await provider.listAccounts();
    const [deployer, guardian, governor] = signers as [JsonRpcSigner, JsonRpcSigner, JsonRpcSigner];
    const deployed = await deployPool(deployer, {
      guardian: guardian.address,
      governor: governor.address,
      bucketAgeSeconds: BUCKET_AGE_SECONDS,
    });
    return new PoolDriver({ provider, signers, close: () => connection.close() }, deployed, seed);
  }

  signer(index: number): JsonRpcSigner {
    const signer = this.signers[index];
    if (signer === undefined) throw new RangeError(`there is no account ${index}`);
    return signer;
  }

  async close(): Promise<void> {
    this.provider.destroy();
    await this.#closeChain();
  }

  /** @param changes who gets the note and how it is locked; it is the driver's own, without a lock, where they are left out. */
  async deposit(
    asset: bigint,
    value: bigint,
    changes: Partial<Pick<Note, 'owner' | 'lock'>> = {},
  ): Promise<Placed & { gas: bigint }> {
    const note = { ...this.#note(asset, value), ...changes };
    const { nextLeaf: leaf } = await this.#ledger();
    const call = this.pool.depositCall(asset, value, stealthOf(note), this.#bytes(DEPOSIT_CIPHERTEXT_BYTES));
    return { note, leaf, gas: (await this.pool.send(call)).gasUsed };
  }

  /** Spends a note: what is not withdrawn goes back to its owner. */
  async transfer(
    placed: Placed,
    withdrawal?: { amount: bigint; to: bigint; relayer?: bigint; fee?: bigint },
  ): Promise<bigint> {
    const { amount: withdrawAmount = 0n, to: recipient = 0n, relayer = 0n, fee = 0n } = withdrawal ?? {};
    const extData: ExtData = { recipient, relayer, fee, ciphertext: this.#bytes(TRANSFER_CIPHERTEXT_BYTES) };
    const { note } = placed;
    const { asset } = note;
    const input = buildTransfer({
      key: this.#spending,
      asset,
      inputs: [await this.spent(placed)],
      root: await this.root(),
      outputs: [note.value - withdrawAmount, 0n, 0n].map((value) => this.#note(asset, value)),
      withdrawAmount,
      extDataHash: extDataHash(BigInt(CHAIN_ID), this.pool.address, extData),
      validAfter: 0n,
    });
    const { words } = await this.#prover.prove('transfer', input);
    return (await this.pool.send(this.pool.transferCall({ proof: words, shown: input, extData }))).gasUsed;
  }

  /** A note as a proof takes it, under the newest root. */
  async spent({ note, leaf }: Placed): Promise<SpentNote> {
    const { bucket, position } = placeOf(leaf);
    const tree = (await this.#ledger()).treeOf(bucket);
    if (tree === undefined) throw new RangeError(`bucket ${bucket} is not inserted`);
    return { note, leaf, path: [...new Bucket(this.#buckets[bucket] ?? []).path(position), ...tree.path(bucket)] };
  }

  async root(): Promise<bigint> {
    return (await this.#ledger()).root;
  }

  /** Unix seconds of the newest block. */
  async now(): Promise<bigint> {
    return BigInt((await this.provider.getBlock('latest'))?.timestamp ?? 0);
  }

  /** Lets the pool take a token from account 0. */
  async approve(token: bigint, amount: bigint): Promise<void> {
    const data = erc20.encodeFunctionData('approve', [formatAccount(this.pool.address), amount]);
    await sendCall(this.signer(0), { to: formatAccount(token), data, value: 0n });
  }

  /** Closes and inserts until every leaf is in the tree. */
  async insertAll(): Promise<void> {
    if ((await this.pool.queue()).openLeaves > 0) await this.closeBucket();
    for (;;) {
      const { nextInsertion, openBucket } = await this.pool.queue();
      if (nextInsertion === openBucket) return;
      await this.insert();
    }
  }

  async closeBucket(): Promise<void> {
    const { openedAt } = await this.pool.queue();
    await this.provider.send('evm_setNextBlockTimestamp', [Number(openedAt + BUCKET_AGE_SECONDS)]);
    await this.pool.send(this.pool.closeCall());
  }

  /** Inserts the oldest closed bucket. */
  async insert(): Promise<{ leaves: number; gas: bigint }> {
    const ledger = await this.#ledger();
    const bucket = ledger.nextInsertion;
    const leaves = ledger.leavesOf(bucket);
    const input = appendBucket(ledger.treeForInsertion(), bucket, leaves);
    const { words } = await this.#prover.prove('insertion', input);
    this.#buckets.push(leaves);
    const { gasUsed } = await this.pool.send(this.pool.insertCall(bucket, leaves, input, words));
    return { leaves: leaves.length, gas: gasUsed };
  }

  #note(asset: bigint, value: bigint): Note {
    return { asset, value, owner: this.#spending.keys.owner, blinding: this.#element(), lock: undefined };
  }

  async #ledger(): Promise<Ledger> {
    const ledger = new Ledger();
    const head = await this.provider.getBlockNumber();
    for (const event of await this.pool.events(this.#startBlock, head)) ledger.apply(event);
    return ledger;
  }
}
