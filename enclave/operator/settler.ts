import { randomInt } from 'node:crypto';
import type { PoolClient } from '@bitcloak/chain/pool';
import { settlementDigest, type ProvenSettlement } from '@bitcloak/chain/settlement';
import { randomField } from '@bitcloak/crypto/field';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { SpendingKey } from '@bitcloak/notes/keys';
import type { Nullifier } from '@bitcloak/notes/note';
import { cancelKeyOf, orderHashOf, orderNullifierOf, type Order } from '@bitcloak/notes/order';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/proof';
import type { SigningKey, TransactionReceipt } from 'ethers';
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
  | { readonly kind: 'sent'; readonly receipt: TransactionReceipt; readonly proofMs: number }
  /** An earlier process sent it. */
  | { readonly kind: 'landed' }
  /** It will never land with these signed orders in it, and was not signed. */
  | { readonly kind: 'impossible'; readonly tickets: readonly number[] }
  /** Nothing can be done with it now: it was signed and may still land, its notes are not there, or it is over. */
  | { readonly kind: 'waiting' };

/** A batch with its proofs. Where another has its sequence the journal's head is another. */
type Proven = {
  readonly sequence: number;
  readonly head: bigint;
  readonly settlement: ProvenSettlement;
  readonly proofMs: number;
};

/** A host that keeps a transaction to itself must not keep the operator waiting: it is sent again. */
export const RECEIPT_MS_MAX = 120_000;

/** Turns a planned batch into a settlement on the chain. */
export class Settler {
  readonly #options: SettlerOptions;
  #proven: Proven | undefined;
  /** Of the batch that was planned last, in the order of its fills; none for the operator's own. */
  #tickets: readonly (number | undefined)[] = [];

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** The sequence of the next settlement. */
  async nextSequence(): Promise<number> {
    return Number(await this.#options.pool.lastSequence(this.#options.operator)) + 1;
  }

  /**
   * Proves a batch with fresh randomness, signs and sends it. Sending it twice does no harm: its sequence and nullifiers are the same, and the pool
   * takes them once. Throws `TRANSACTION_FAILED` where the pool refuses it, `ENDPOINT_UNREACHABLE` where nothing is heard of it.
   *
   * @param journalHead what the settlement anchors, unless it was signed before with another.
   * @param sign called before it is signed: who has a signed batch can have it land until it ends. Answers whether it is still to be settled.
   */
  async settle(
    batch: Batch,
    wallet: EnclaveWallet,
    journalHead: bigint,
    sign: (journalHead: bigint) => Promise<boolean>,
  ): Promise<Settled> {
    const { chainId, pool, signer } = this.#options;
    const head = batch.head ?? journalHead;
    const impossibleWith = (tickets: number[]): Settled => {
      return batch.head === undefined ? { kind: 'impossible', tickets } : { kind: 'waiting' };
    };
    // Sequences have no gaps, and nobody else sends them.
    if ((await this.nextSequence()) > batch.sequence) return { kind: 'landed' };
    const inputs = batch.fills.map((fill) => this.#nullifiersOf(fill, wallet));
    if (inputs.includes(undefined)) return { kind: 'waiting' };
    const impossible = await this.#spentBefore(batch, inputs as Nullifier[][], wallet.cancelled);
    if (impossible.length > 0) {
      // It may have landed between the two questions, and its nullifiers are spent by itself.
      const hasLanded = (await this.nextSequence()) > batch.sequence;
      return hasLanded ? { kind: 'landed' } : impossibleWith(impossible);
    }
    try {
      const { settlement, proofMs } = await this.#prove(batch, wallet, head);
      if (batch.head === undefined && !(await sign(head))) return { kind: 'waiting' };
      const signature = signer.sign(settlementDigest(chainId, pool.address, settlement.shown)).serialized;
      return {
        kind: 'sent',
        receipt: await pool.send(pool.settleCall(settlement, signature), { msMax: RECEIPT_MS_MAX }),
        proofMs,
      };
    } catch (error) {
      const ticket = error instanceof UnprovableFill ? this.#tickets[error.index] : undefined;
      if (ticket === undefined) throw error;
      return impossibleWith([ticket]);
    }
  }

  /** Proves it once, however often it has to be sent, unless the chain's root that it was proven under is gone. */
  async #prove(batch: Batch, wallet: EnclaveWallet, journalHead: bigint): Promise<Proven> {
    const { operator, operatorId, treasury, prover, pool, fills: size } = this.#options;
    const known = this.#proven;
    if (known?.sequence === batch.sequence && known.head === journalHead) {
      if (await pool.isKnownRoot(known.settlement.shown.root)) return known;
    }
    const real = fillsOf(batch, wallet).map((fill, index) => ({ fill, ticket: batch.fills[index]?.ticket }));
    const empty = Array.from({ length: size - real.length }, () => {
      return { fill: emptyFill(operatorId, BigInt(batch.validUntil)), ticket: undefined };
    });
    // In the order of the matches they would tell who traded with whom, and how many are real.
    const shuffled = shuffle([...real, ...empty]);
    this.#tickets = shuffled.map(({ ticket }) => ticket);
    const started = performance.now();
    const planned = planBatch({
      operator,
      sequence: BigInt(batch.sequence),
      journalHead,
      root: wallet.ledger.root,
      validUntil: BigInt(batch.validUntil),
      fills: shuffled.map(({ fill }) => fill),
      operatorAddress: treasury,
    });
    const settlement = await proveBatch(prover, planned);
    const { sequence } = batch;
    this.#proven = { sequence, head: journalHead, settlement, proofMs: performance.now() - started };
    return this.#proven;
  }

  /**
   * The signed orders whose state, or whose notes, are spent though this batch has not landed, or count as spent before it ends: taken back by their owners,
   * or filled before the journal.
   */
  async #spentBefore(
    { fills, validUntil }: Batch,
    inputs: readonly (readonly Nullifier[])[],
    cancelled: ReadonlyMap<Nullifier, number>,
  ): Promise<number[]> {
    const { pool } = this.#options;
    const isSpent = async (nullifier: Nullifier) =>
      (cancelled.get(nullifier) ?? Infinity) <= validUntil || (await pool.isSpent(nullifier));
    const spent: number[] = [];
    for (const [index, { ticket }] of fills.entries()) {
      const answers = await Promise.all((inputs[index] ?? []).map(isSpent));
      if (answers.includes(true)) spent.push(ticket);
    }
    return spent;
  }

  /** What a fill spends, its order's state first; undefined where the wallet does not have its notes, or no longer. */
  #nullifiersOf({ order, k, leaves }: PlannedFill, wallet: EnclaveWallet): Nullifier[] | undefined {
    const keys = wallet.account(order.owner);
    const notes = leaves.flatMap((leaf) => wallet.noteAt(leaf) ?? []);
    if (keys === undefined || notes.length < leaves.length) return undefined;
    const state = orderNullifierOf(cancelKeyOf(keys.nullifierKey, orderHashOf(order), k));
    return [state, ...notes.map(({ nullifier }) => nullifier)];
  }
}

function shuffle<T>(values: readonly T[]): T[] {
  const shuffled = [...values];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = randomInt(last + 1);
    [shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
  }
  return shuffled;
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
