import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf, settlementDigest, type ProvenSettlement } from '@bitcloak/chain/settlement';
import { PoolClient, type Call } from '@bitcloak/chain/pool';
import type { Signature } from '@bitcloak/crypto/eddsa';
import type { FilledOrder } from '@bitcloak/notes/fill';
import type { Keyring, SpendingKey } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { Wallet, type TransactionReceipt } from 'ethers';
import {
  planBatch,
  proveBatch,
  type BatchFill,
  type BatchPlan,
  type PlannedBatch,
} from '../../enclave/settlement/batch.ts';
import type { Prover } from '@bitcloak/prover/proof';
import type { Chain } from './chain.ts';
import { PoolBench, prover, type TestNote } from './pool.ts';

export type SignedOrder = { readonly order: Order; readonly signature: Signature; readonly key: SpendingKey };

/** A fill as a test wishes it. */
export type FillWish = {
  readonly order: SignedOrder;
  readonly inputs: readonly TestNote[];
  readonly sold: bigint;
  readonly bought: bigint;
  /** Where the order's last state stands, and what it says; none for a fresh order. */
  readonly state?: { readonly filled: bigint; readonly k: bigint; readonly leaf: number };
};

/** Somebody who trades with the first account of a seed. */
export type Trader = { readonly keyring: Keyring; readonly key: SpendingKey };

export const DAY_SECONDS = 86_400n;
const HALF_HOUR_SECONDS = 1_800n;
const ADMIN_SIGNER = 3;

/** A pool with an operator whose keys the test has. */
export class SettlementBench {
  readonly bench: PoolBench;
  readonly registry: RegistryClient;
  readonly operator = 1;
  readonly operatorId: bigint;
  /** Signs settlements. */
  readonly signer: Wallet;
  readonly treasury: Keyring;

  private constructor(bench: PoolBench, signer: Wallet) {
    this.bench = bench;
    this.operatorId = operatorIdOf(bench.chainId, bench.address, bench.registry, this.operator);
    this.signer = signer;
    this.registry = new RegistryClient(bench.registry, bench.chain.signer(ADMIN_SIGNER));
    this.treasury = bench.keyring();
  }

  static async open(seed: string, verifier?: (chain: Chain) => Promise<string>): Promise<SettlementBench> {
    const bench = await PoolBench.open({ seed, ...(verifier === undefined ? {} : { verifier }) });
    const opened = new SettlementBench(bench, newSigner(bench));
    await opened.asAdmin(opened.registry.registerOperatorCall());
    await opened.registerEra(opened.signer, 1n);
    return opened;
  }

  asAdmin(call: Call): Promise<TransactionReceipt> {
    return new PoolClient(this.bench.address, this.bench.chain.signer(ADMIN_SIGNER)).send(call);
  }

  async registerEra(signer: Wallet, number: bigint, lifeSeconds = 7n * DAY_SECONDS): Promise<TransactionReceipt> {
    return this.registerFor(this.operator, await this.era(signer, number, lifeSeconds), signer);
  }

  async era(signer: Wallet, number: bigint, lifeSeconds: bigint): Promise<Era> {
    return {
      signer: BigInt(signer.address),
      encryptionKey: this.bench.bytes(32),
      apiKey: this.bench.bytes(32),
      number,
      expiry: (await this.bench.chain.now()) + lifeSeconds,
    };
  }

  async registerFor(operator: number, era: Era, signer: Wallet): Promise<TransactionReceipt> {
    const { chainId } = this.bench;
    const evidence = developmentEvidence(
      chainId,
      this.registry.address,
      operator,
      era,
      await this.registry.nonce(),
      signer,
    );
    return this.asAdmin(this.registry.registerEraCall(operator, era, evidence));
  }

  newSigner(): Wallet {
    return newSigner(this.bench);
  }

  trader(): Trader {
    const keyring = this.bench.keyring();
    return { keyring, key: keyring.tradingAccount(this.operatorId, 0) };
  }

  /** Deposits a note that the trader's seed finds again, and the operator where its key is given. */
  async locked(
    { keyring, key }: Trader,
    asset: bigint,
    value: bigint,
    days = 2n,
    operatorKey?: Uint8Array,
  ): Promise<TestNote> {
    const { client, chain } = this.bench;
    const lock = { operatorId: this.operatorId, expiry: (await chain.now()) + days * DAY_SECONDS };
    const maker = new OutputMaker(asset);
    const told = { keys: key.keys, index: 0, lock, operatorKey };
    const note = maker.locked(value, told, keyring.viewing.agreement.publicKey);
    const leaf = (await this.bench.ledger()).nextLeaf;
    await client.send(client.depositCall(asset, value, stealthOf(note), maker.ciphertext()));
    return { note, leaf, key };
  }

  async order(
    key: SpendingKey,
    wish: Pick<Order, 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin'> & Partial<Order>,
  ): Promise<SignedOrder> {
    const order: Order = {
      owner: key.keys.owner,
      operatorId: this.operatorId,
      expiry: (await this.bench.chain.now()) + DAY_SECONDS,
      payTo: key.keys.owner,
      relockExpiry: 0n,
      salt: this.bench.element(),
      ...wish,
    };
    return { order, key, signature: key.sign(orderHashOf(order)) };
  }

  /** The fill of nothing that operators fill up batches with. */
  async empty(): Promise<FillWish> {
    const asset = this.bench.element();
    const wish = { sellAsset: asset, buyAsset: 0n, sellMax: 0n, buyMin: 0n };
    return { order: await this.order(this.trader().key, wish), inputs: [], sold: 0n, bought: 0n };
  }

  async fill({ order, inputs, sold, bought, state }: FillWish): Promise<BatchFill> {
    return {
      keys: order.key.keys,
      order: order.order,
      signature: order.signature,
      inputs: await Promise.all(inputs.map((note) => this.bench.spent(note))),
      state: state === undefined ? undefined : await this.#stateOf(state),
      sold,
      bought,
    };
  }

  async #stateOf(state: { filled: bigint; k: bigint; leaf: number }): Promise<FilledOrder> {
    return { ...state, path: await this.bench.pathOf(state.leaf) };
  }

  async plan(wishes: readonly FillWish[], changes: Partial<BatchPlan> = {}): Promise<PlannedBatch> {
    const ledger = await this.bench.ledger();
    return planBatch({
      operator: this.operator,
      sequence: (await this.bench.client.lastSequence(this.operator)) + 1n,
      journalHead: this.bench.element(),
      root: ledger.root,
      validUntil: (await this.bench.chain.now()) + HALF_HOUR_SECONDS,
      fills: await Promise.all(wishes.map((wish) => this.fill(wish))),
      operatorAddress: {
        owner: this.treasury.spending.keys.owner,
        viewingKey: this.treasury.viewing.agreement.publicKey,
      },
      ...changes,
    });
  }

  async prove(
    wishes: readonly FillWish[],
    changes: Partial<BatchPlan> = {},
    using: Prover = prover,
  ): Promise<ProvenSettlement> {
    return proveBatch(using, await this.plan(wishes, changes));
  }

  sign({ shown }: ProvenSettlement, signer = this.signer): string {
    return signer.signingKey.sign(settlementDigest(this.bench.chainId, this.bench.address, shown)).serialized;
  }

  call(settlement: ProvenSettlement, signature = this.sign(settlement)): Call {
    return this.bench.client.settleCall(settlement, signature);
  }

  settle(settlement: ProvenSettlement): Promise<TransactionReceipt> {
    return this.bench.client.send(this.call(settlement));
  }
}

function newSigner(bench: PoolBench): Wallet {
  return new Wallet(`0x${Buffer.from(bench.bytes(32)).toString('hex')}`);
}
