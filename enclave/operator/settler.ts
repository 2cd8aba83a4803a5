import type { PoolClient } from '@bitcloak/chain/pool';
import { settlementDigest, type ProvenSettlement } from '@bitcloak/chain/settlement';
import { randomField } from '@bitcloak/crypto/field';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { SpendingKey } from '@bitcloak/notes/keys';
import { cancelKeyOf, orderHashOf, orderNullifierOf, type Order } from '@bitcloak/notes/order';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/prover';
import type { ContractTransactionReceipt, SigningKey } from 'ethers';
import type { Batch, PlannedFill } from '../exchange/commands.ts';
import { planBatch, proveBatch, UnprovableFill, type BatchFill } from '../settlement/batch.ts';
import { fillsOf } from '../settlement/fills.ts';
import type { EnclaveWallet } from '../wallet/enclaveWallet.ts';

export type SettlerOptions = {
  readonly chainId: bigint;
  /** With a signer that pays the gas: anybody's, it signs nothing else. */
  readonly pool: PoolClient;
  /** Number in the registry. */
  readonly operator: number;
  readonly operatorId: bigint;
  /** The era's settlement signer. */
  readonly signer: SigningKey;
  /** Gets fees and dust. */
  readonly treasury: ShieldedAddress;
  readonly prover: Prover;
  /** Every batch has so many fills, 2 to 16: fewer are filled up with the operator's own, which do nothing. */
  readonly fills: number;
};

/** What became of a batch. */
export type Settled =
  /** It is on the chain, with what proving it took. */
  | { readonly kind: 'sent'; readonly receipt: ContractTransactionReceipt; readonly proofMs: number }
  /** An earlier process sent it. */
  | { readonly kind: 'landed' }
  /** It will never land with these signed orders in it. */
  | { readonly kind: 'impossible'; readonly tickets: readonly number[] };

/** A batch with its proofs. */
type Proven = { readonly batch: Batch; readonly settlement: ProvenSettlement; readonly proofMs: number };

/** A host that keeps a transaction to itself must not keep the operator waiting: it is sent again. */
const RECEIPT_MS_MAX = 120_000;

/** Turns a planned batch into a settlement on the chain. */
export class Settler {
  readonly #options: SettlerOptions;
  #proven: Proven | undefined;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** How many fills every batch has. */
  get fills(): number {
    return this.#options.fills;
  }

  /** The sequence of the next settlement. */
  async nextSequence(): Promise<number> {
    return Number(await this.#options.pool.lastSequence(this.#options.operator)) + 1;
  }

  /**
   * Proves a batch with fresh randomness, signs and sends it. Sending it twice does no harm: its sequence and nullifiers are the same, and the pool
   * takes them once. Throws `TRANSACTION_FAILED` where the pool refuses it, `ENDPOINT_UNREACHABLE` where nothing is heard of it.
   *
   * @param journalHead what the settlement anchors.
   */
  async settle(batch: Batch, wallet: EnclaveWallet, journalHead: bigint): Promise<Settled> {
    const { chainId, pool, signer } = this.#options;
    // Sequences have no gaps, and nobody else sends them.
    if ((await this.nextSequence()) > batch.sequence) return { kind: 'landed' };
    const impossible = await this.#spentBefore(batch, wallet);
    if (impossible.length > 0) {
      // It may have landed between the two questions, and its nullifiers are spent by itself.
      const hasLanded = (await this.nextSequence()) > batch.sequence;
      return hasLanded ? { kind: 'landed' } : { kind: 'impossible', tickets: impossible };
    }
    try {
      const { settlement, proofMs } = await this.#prove(batch, wallet, journalHead);
      const signature = signer.sign(settlementDigest(chainId, pool.address, settlement.shown)).serialized;
      return {
        kind: 'sent',
        receipt: await pool.send(pool.settleCall(settlement, signature), RECEIPT_MS_MAX),
        proofMs,
      };
    } catch (error) {
      const culprit = error instanceof UnprovableFill ? batch.fills[error.index] : undefined;
      if (culprit === undefined) throw error;
      return { kind: 'impossible', tickets: [culprit.ticket] };
    }
  }

  /** Proves it once, however often it has to be sent, unless the chain's root that it was proven under is gone. */
  async #prove(batch: Batch, wallet: EnclaveWallet, journalHead: bigint): Promise<Proven> {
    const { operator, operatorId, treasury, prover, pool, fills: size } = this.#options;
    const known = this.#proven;
    if (known?.batch === batch && (await pool.isKnownRoot(known.settlement.shown.root))) return known;
    const fills = fillsOf(batch, wallet);
    while (fills.length < size) fills.push(emptyFill(operatorId, BigInt(batch.validUntil)));
    const started = performance.now();
    const planned = planBatch({
      operator,
      sequence: BigInt(batch.sequence),
      journalHead,
      root: wallet.ledger.root,
      validUntil: BigInt(batch.validUntil),
      fills,
      operatorAddress: treasury,
    });
    const settlement = await proveBatch(prover, planned);
    this.#proven = { batch, settlement, proofMs: performance.now() - started };
    return this.#proven;
  }

  /** The signed orders whose state, or whose notes, are spent though this batch has not landed: taken back by their owners, or filled before the journal. */
  async #spentBefore({ fills }: Batch, wallet: EnclaveWallet): Promise<number[]> {
    const spent: number[] = [];
    for (const fill of fills) if (await this.#isSpent(fill, wallet)) spent.push(fill.ticket);
    return spent;
  }

  async #isSpent({ order, k, leaves }: PlannedFill, wallet: EnclaveWallet): Promise<boolean> {
    const keys = wallet.account(order.owner);
    const notes = leaves.map((leaf) => wallet.noteAt(leaf));
    if (keys === undefined || notes.includes(undefined)) return true;
    const orderNullifier = orderNullifierOf(cancelKeyOf(keys.nullifierKey, orderHashOf(order), k));
    const nullifiers = [orderNullifier, ...notes.flatMap((note) => note?.nullifier ?? [])];
    const answers = await Promise.all(nullifiers.map((nullifier) => this.#options.pool.isSpent(nullifier)));
    return answers.includes(true);
  }
}

/** A fill of nothing, by a key that is used once: on chain it looks like any other. */
function emptyFill(operatorId: bigint, expiry: bigint): BatchFill {
  const key = new SpendingKey(1n + (randomField() % (SUBGROUP_ORDER - 1n)), randomField());
  const { owner } = key.keys;
  const nothing = { sellAsset: 0n, buyAsset: 0n, sellMax: 0n, buyMin: 0n, relockExpiry: 0n };
  const order: Order = { owner, operatorId, ...nothing, expiry, payTo: owner, salt: randomField() };
  return {
    keys: key.keys,
    order,
    signature: key.sign(orderHashOf(order)),
    state: undefined,
    inputs: [],
    sold: 0n,
    bought: 0n,
  };
}
