import { randomField } from '@bitcloak/crypto/field';
import { SlotSealer } from '@bitcloak/crypto/noteEncryption';
import type { ProvenSettlement, SettlementShown } from '@bitcloak/chain/settlement';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { buildClearing, type ClearingInput } from '@bitcloak/notes/clearing';
import { buildFill, type FillInput, type FillOpening, type FillPlan } from '@bitcloak/notes/fill';
import { encodeMessage } from '@bitcloak/notes/message';
import { blindingFrom, type Note } from '@bitcloak/notes/note';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { SETTLEMENT_FILLS_MAX, SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/proof';

/** One order's part of a batch, but for what the batch decides. */
export type BatchFill = Omit<FillPlan, 'root' | 'validUntil' | 'r'>;

export type BatchPlan = {
  /** Number in the registry. */
  readonly operator: number;
  readonly sequence: bigint;
  readonly journalHead: bigint;
  /** Under which all inputs' paths are. */
  readonly root: bigint;
  /** Unix seconds. */
  readonly validUntil: bigint;
  /** 1 to 16. */
  readonly fills: readonly BatchFill[];
  /** Gets what the fills sell beyond what they buy. */
  readonly operatorAddress: ShieldedAddress;
};

/** Everything that is to be proven of a batch, and what is to be signed. */
export type PlannedBatch = {
  readonly fills: readonly FillInput[];
  readonly clearing: ClearingInput;
  readonly shown: SettlementShown;
  readonly residuals: readonly Note[];
};

/** What the fills leave to the operator, by asset. Throws where they buy more of one than they sell, or leave too many assets over. */
export function surplusOf(fills: readonly Omit<FillOpening, 'r'>[]): Map<bigint, bigint> {
  const surplus = new Map<bigint, bigint>();
  const add = (asset: bigint, amount: bigint) => surplus.set(asset, (surplus.get(asset) ?? 0n) + amount);
  for (const { sellAsset, sold, buyAsset, bought } of fills) {
    add(sellAsset, sold);
    add(buyAsset, -bought);
  }
  for (const [asset, amount] of surplus) {
    if (amount < 0n) throw new RangeError('a batch buys more of an asset than it sells');
    if (amount === 0n) surplus.delete(asset);
  }
  if (surplus.size > SETTLEMENT_RESIDUALS) throw new RangeError('a batch leaves too many assets over');
  return surplus;
}

/** The operator's notes of a settlement, always as many, and the ciphertext that its viewing key finds them by. */
function makeResiduals(
  surplus: ReadonlyMap<bigint, bigint>,
  to: ShieldedAddress,
): { notes: Note[]; ciphertext: Uint8Array } {
  const sealer = new SlotSealer();
  const notes: Note[] = [];
  for (const [asset, value] of surplus) {
    const secret = sealer.seal(to.viewingKey, encodeMessage({ kind: 'received', asset, value }));
    notes.push({ asset, value, owner: to.owner, blinding: blindingFrom(secret), lock: undefined });
  }
  while (notes.length < SETTLEMENT_RESIDUALS) {
    sealer.fill();
    notes.push({ asset: 0n, value: 0n, owner: randomField(), blinding: randomField(), lock: undefined });
  }
  return { notes, ciphertext: sealer.finish() };
}

/**
 * Computes a batch anew from its fills: randomness, residual notes, statements. Planning the same fills twice gives two batches that have
 * nothing but their nullifiers in common. Whether the fills are allowed, only proving tells.
 */
export function planBatch(plan: BatchPlan): PlannedBatch {
  const { operator, sequence, journalHead, root, validUntil } = plan;
  if (plan.fills.length === 0 || plan.fills.length > SETTLEMENT_FILLS_MAX) {
    throw new RangeError(`a batch has 1 to ${SETTLEMENT_FILLS_MAX} fills`);
  }
  const fills = plan.fills.map((fill) => buildFill({ ...fill, root, validUntil, r: randomField() }));
  const { notes: residuals, ciphertext } = makeResiduals(surplusOf(fills), plan.operatorAddress);
  const clearing = buildClearing(fills, residuals);
  return {
    fills,
    clearing,
    residuals,
    shown: {
      operator,
      sequence,
      journalHead,
      root,
      validUntil,
      fills,
      residuals: clearing.residuals,
      ciphertext,
      commitment: clearing.commitment,
    },
  };
}

/** The circuit refuses a fill of a batch: no proof of it will ever be made. */
export class UnprovableFill extends Error {
  /** Its place in the batch. */
  readonly index: number;

  constructor(index: number, options: ErrorOptions) {
    super(`fill ${index} of the batch is not what the circuit allows`, options);
    this.name = 'UnprovableFill';
    this.index = index;
  }
}

/** Proves a batch: all at once, as far as the prover does. Throws `UnprovableFill` where a fill is none. */
export async function proveBatch(prover: Prover, { fills, clearing, shown }: PlannedBatch): Promise<ProvenSettlement> {
  const proofs = fills.map(async (fill, index) => {
    try {
      return (await prover.prove('fill', fill)).words;
    } catch (error) {
      const isFalse = error instanceof BitcloakError && error.code === 'STATEMENT_FALSE';
      throw isFalse ? new UnprovableFill(index, { cause: error }) : error;
    }
  });
  const clearingProof = prover.prove('clearing', clearing);
  // Every proof ends before one of them fails the batch: none is left running that nobody waits for.
  await Promise.allSettled([...proofs, clearingProof]);
  return { shown, fillProofs: await Promise.all(proofs), clearingProof: (await clearingProof).words };
}
