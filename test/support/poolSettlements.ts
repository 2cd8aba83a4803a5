// Honest settlements and cancellations of a run's operators and owners.
import assert from 'node:assert/strict';
import type { Call } from '@bitcloak/chain/pool';
import { settlementDigest, type ProvenSettlement, type SettlementShown } from '@bitcloak/chain/settlement';
import type { FillInput } from '@bitcloak/notes/fill';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import type { SpentNote } from '@bitcloak/notes/transfer';
import { emptyPath } from '@bitcloak/notes/tree';
import { ASSET_BITS, FILL_INPUTS, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/proof';
import type { Wallet } from 'ethers';
import {
  planBatch,
  proveBatch,
  type BatchFill,
  type BatchPlan,
  type PlannedBatch,
} from '../../enclave/settlement/batch.ts';
import { hashes } from './circuit.ts';
import { settlementHashes } from './fillCircuit.ts';
import {
  commitmentOf,
  orderNullifierOf,
  type HeldNote,
  type ModelFill,
  type ModelOrder,
  type ModelSettlement,
} from './poolModel.ts';
import { checkReadings } from './poolReaders.ts';
import type { Operator, ReadySettlement } from './poolParts.ts';
import { keep, type PoolRun } from './poolRun.ts';
import { newestRoot } from './transferAttacks.ts';

/** A fill as a step wishes it. */
export type FillWish = {
  readonly order: ModelOrder;
  /** Up to two notes. */
  readonly inputs: readonly HeldNote[];
  readonly sold: bigint;
  readonly bought: bigint;
  /** After how many fills of the order this one shall come; after all of them unless given. */
  readonly k?: number;
};

/** A settlement that can be proven, if it is a true one. */
export type Proposal = {
  readonly operator: Operator;
  readonly planned: PlannedBatch;
  readonly effect: ModelSettlement;
};

export const worthOf = (notes: readonly HeldNote[]) => notes.reduce((sum, { note }) => sum + note.value, 0n);
const expiryOf = ({ note }: Pick<SpentNote, 'note'>) => note.lock?.expiry ?? 0n;

// --- orders and fills -------------------------------------------------------------------------------------------------

export type OrderTerms = Pick<Order, 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin' | 'expiry'> & Partial<Order>;

/** @param payee gets the proceeds; the owner itself unless given. */
export function signOrder(
  run: PoolRun,
  operatorId: bigint,
  key: SpendingKey,
  terms: OrderTerms,
  payee: SpendingKey = key,
): ModelOrder {
  const order: Order = {
    owner: key.keys.owner,
    operatorId,
    payTo: payee.keys.owner,
    relockExpiry: 0n,
    salt: run.dice.random.field(),
    ...terms,
  };
  const { owner, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt } = order;
  const words = [owner, order.operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt];
  const hash = settlementHashes.order(words);
  assert.equal(orderHashOf(order), hash, 'the packages and the model compute other orders');
  return { order, key, payee, signature: key.sign(hash), hash, states: [] };
}

/** The fill of nothing that an operator fills up a settlement with. */
export function emptyFill(run: PoolRun, { id, treasury }: Operator, validUntil: bigint): FillWish {
  const sellAsset = run.dice.between(0n, 2n ** BigInt(ASSET_BITS) - 1n);
  const terms = { sellAsset, buyAsset: 0n, sellMax: 0n, buyMin: 0n, expiry: validUntil };
  return { order: signOrder(run, id, treasury.spending, terms), inputs: [], sold: 0n, bought: 0n };
}

/** Both inputs of the circuit, the one whose lock ends first in front; dummies have the run's own randomness. */
function bothInputs(run: PoolRun, { order: { order, key }, inputs }: FillWish, validUntil: bigint): SpentNote[] {
  const spent = inputs.map((held) => run.spend(held));
  spent.sort((left, right) => Number(expiryOf(left) - expiryOf(right)));
  const last = spent.at(-1);
  const lock = { operatorId: order.operatorId, expiry: last === undefined ? validUntil : expiryOf(last) };
  while (spent.length < FILL_INPUTS) {
    const { note } = run.note(key, order.sellAsset, 0n, lock);
    spent.push({ note, leaf: run.dice.int(TREE_LEAVES), path: emptyPath() });
  }
  return spent;
}

export function batchFill(run: PoolRun, wish: FillWish, validUntil: bigint): BatchFill {
  const { order: placed, sold, bought } = wish;
  const k = wish.k ?? placed.states.length;
  const last = placed.states[k - 1];
  return {
    keys: placed.key.keys,
    order: placed.order,
    signature: placed.signature,
    state: last && { ...last, k: BigInt(k), path: run.path(last.leaf) },
    inputs: bothInputs(run, wish, validUntil),
    sold,
    bought,
  };
}

/** What a fill does, computed without the packages that build it. */
function modelFill(wish: FillWish, inputs: readonly SpentNote[], r: bigint): ModelFill {
  const { order: placed, sold, bought } = wish;
  const { order, key, payee, hash, states } = placed;
  const { sellAsset, buyAsset, operatorId, relockExpiry } = order;
  const { nullifierKey, owner } = key.keys;
  const k = wish.k ?? states.length;
  const nullifiers = inputs.map(({ note, leaf }) => hashes.nullifier(nullifierKey, commitmentOf(note), BigInt(leaf)));
  const fill = settlementHashes.fill([sellAsset, sold, buyAsset, bought, r]);
  const blinding = (index: bigint) => settlementHashes.blinding([nullifierKey, fill, nullifiers[0] as bigint, index]);
  const rest = worthOf(wish.inputs) - sold;
  const relock = relockExpiry === 0n ? undefined : { operatorId, expiry: relockExpiry };
  const filled = states[k - 1]?.filled ?? 0n;
  const change = { asset: sellAsset, value: rest, owner, blinding: blinding(0n), lock: inputs[0]?.note.lock };
  const proceeds = { asset: buyAsset, value: bought, owner: order.payTo, blinding: blinding(1n), lock: relock };
  return {
    order: placed,
    inputs: wish.inputs,
    nullifiers,
    orderNullifier: orderNullifierOf(placed, k),
    sold,
    bought,
    // Nobody keeps what is worth nothing.
    change: { note: change, key: rest > 0n ? key : undefined },
    proceeds: { note: proceeds, key: bought > 0n ? payee : undefined },
    orderState: settlementHashes.orderState(hash, filled + sold, BigInt(k + 1)),
  };
}

function assertAgree(input: FillInput, fill: ModelFill): void {
  const { nullifiers, orderNullifier, change, proceeds, orderState } = input;
  assert.deepEqual(
    { nullifiers, orderNullifier, change, proceeds, orderState },
    {
      nullifiers: fill.nullifiers,
      orderNullifier: fill.orderNullifier,
      change: commitmentOf(fill.change.note),
      proceeds: commitmentOf(fill.proceeds.note),
      orderState: fill.orderState,
    },
    'the packages and the model compute other fills',
  );
}

// --- settlements ------------------------------------------------------------------------------------------------------

/**
 * Plans a settlement as an operator's enclave does. What that draws for itself is not the run's randomness, and no choice of the run hangs on it.
 *
 * @param changes what is to be otherwise than an honest operator has it.
 */
export function planOf(
  run: PoolRun,
  operator: Operator,
  fills: readonly BatchFill[],
  validUntil: bigint,
  changes: Partial<BatchPlan> = {},
): PlannedBatch {
  const { spending, viewing } = operator.treasury;
  return planBatch({
    operator: operator.number,
    sequence: run.model.sequence(operator.number) + 1n,
    journalHead: run.dice.random.field(),
    root: newestRoot(run),
    validUntil,
    fills,
    operatorAddress: { owner: spending.keys.owner, viewingKey: viewing.agreement.publicKey },
    ...changes,
  });
}

/** Plans a settlement together with what the model expects of it. */
export function propose(
  run: PoolRun,
  operator: Operator,
  wishes: readonly FillWish[],
  validUntil: bigint,
  changes: Partial<BatchPlan> = {},
): Proposal {
  const fills = wishes.map((wish) => batchFill(run, wish, validUntil));
  const planned = planOf(run, operator, fills, validUntil, changes);
  const effects = wishes.map((wish, index) => {
    const input = planned.fills[index] as FillInput;
    const effect = modelFill(wish, (fills[index] as BatchFill).inputs, input.r);
    assertAgree(input, effect);
    return effect;
  });
  const { spending } = operator.treasury;
  const residuals = planned.residuals.map((note) => ({ note, key: note.value > 0n ? spending : undefined }));
  return { operator, planned, effect: { operator: operator.number, fills: effects, residuals } };
}

/** One proof after the other: every one mines a block, whose time is the run's. */
function oneByOne(prover: Prover): Prover {
  let last: Promise<unknown> = Promise.resolve();
  return {
    prove(circuit, input) {
      const proof = last.then(() => prover.prove(circuit, input));
      last = proof.catch(() => undefined);
      return proof;
    },
  };
}

export function provePlan(run: PoolRun, planned: PlannedBatch): Promise<ProvenSettlement> {
  return proveBatch(oneByOne(run.prover), planned);
}

export async function proveProposal(run: PoolRun, { operator, planned, effect }: Proposal): Promise<ReadySettlement> {
  return { operator, effect, settlement: await provePlan(run, planned) };
}

export function signed(run: PoolRun, shown: SettlementShown, wallet: Wallet): string {
  return wallet.signingKey.sign(settlementDigest(run.chainId, run.client.address, shown)).serialized;
}

export function settleCall(run: PoolRun, settlement: ProvenSettlement, wallet: Wallet): Call {
  return run.client.settleCall(settlement, signed(run, settlement.shown, wallet));
}

/** The same settlement with something else in what it shows; its proofs stay. */
export function altered(settlement: ProvenSettlement, shown: Partial<SettlementShown>): ProvenSettlement {
  return { ...settlement, shown: { ...settlement.shown, ...shown } };
}

/** Sends a settlement that the pool must take. */
export async function acceptSettlement(
  run: PoolRun,
  ready: ReadySettlement,
  wallet: Wallet,
  from: string,
): Promise<void> {
  const { operator, settlement, effect } = ready;
  await run.accept(settleCall(run, settlement, wallet), from);
  checkReadings(run, operator, effect);
  run.model.settle(effect, operator.id, run.time);
  run.touch(effect.fills.flatMap(({ nullifiers, orderNullifier }) => [...nullifiers, orderNullifier]));
  keep(run.sentSettlements, ready);
}
