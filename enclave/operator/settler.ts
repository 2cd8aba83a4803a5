import type { PoolClient } from '@bitcloak/chain/pool';
import { settlementDigest } from '@bitcloak/chain/settlement';
import { randomField } from '@bitcloak/crypto/field';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { SpendingKey } from '@bitcloak/notes/keys';
import { cancelKeyOf, orderHashOf, orderNullifierOf, type Order } from '@bitcloak/notes/order';
import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/prover';
import type { ContractTransactionReceipt, SigningKey } from 'ethers';
import type { Batch } from '../exchange/exchange.ts';
import { planBatch, proveBatch, type BatchFill } from '../settlement/batch.ts';
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

/** A settlement that was sent, with what proving it took. */
export type Sent = { readonly receipt: ContractTransactionReceipt; readonly proofMs: number };

/** Turns a planned batch into a settlement on the chain. */
export class Settler {
  readonly #options: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Whether a settlement of this batch is on the chain, however newly: an earlier process may have sent it. */
  async hasLanded({ fills: [first] }: Batch, wallet: EnclaveWallet): Promise<boolean> {
    const keys = first === undefined ? undefined : wallet.account(first.order.owner);
    if (first === undefined || keys === undefined) return false;
    const cancelKey = cancelKeyOf(keys.nullifierKey, orderHashOf(first.order), first.k);
    return this.#options.pool.isSpent(orderNullifierOf(cancelKey));
  }

  /**
   * Proves a batch with fresh randomness, signs and sends it. Sending it twice does no harm: its nullifiers are the same, and the pool takes
   * them once. Throws `TRANSACTION_FAILED` where the pool refuses it.
   *
   * @param journalHead what the settlement anchors.
   */
  async settle(batch: Batch, wallet: EnclaveWallet, journalHead: bigint): Promise<Sent> {
    const { chainId, pool, operator, operatorId, signer, treasury, prover, fills: size } = this.#options;
    const fills = fillsOf(batch, wallet);
    while (fills.length < size) fills.push(emptyFill(operatorId, BigInt(batch.validUntil)));
    const started = performance.now();
    const planned = planBatch({
      operator,
      sequence: (await pool.lastSequence(operator)) + 1n,
      journalHead,
      root: wallet.ledger.root,
      validUntil: BigInt(batch.validUntil),
      fills,
      operatorAddress: treasury,
    });
    const proven = await proveBatch(prover, planned);
    const proofMs = performance.now() - started;
    const signature = signer.sign(settlementDigest(chainId, pool.address, planned.shown)).serialized;
    return { receipt: await pool.send(pool.settleCall(proven, signature)), proofMs };
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
