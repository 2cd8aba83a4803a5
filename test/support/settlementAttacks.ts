// Settlements that a pool must refuse. Every entry is wrong in one way and names the refusal; where it does not fit
// the run's present state it makes nothing.
import type { ProvenSettlement, SettlementShown } from '@bitcloak/chain/settlement';
import type { FillShown } from '@bitcloak/notes/fill';
import {
  AMOUNT_MAX,
  CANCEL_DELAY_SECONDS,
  FIELD_MODULUS,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_HORIZON_SECONDS,
  TREE_DEPTH,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { Signature, toBeHex } from 'ethers';
import type { BatchFill, BatchPlan, PlannedBatch } from '../../enclave/settlement/batch.ts';
import { SparseTree } from './circuit.ts';
import { commitmentOf, type HeldNote, type ModelOrder } from './poolModel.ts';
import { activeSigners, strangeWallet } from './poolOperators.ts';
import type { EraSigner, Operator, ReadySettlement } from './poolParts.ts';
import type { PoolRun } from './poolRun.ts';
import {
  altered,
  batchFill,
  planOf,
  propose,
  provePlan,
  settleCall,
  signed,
  signOrder,
  worthOf,
  type FillWish,
} from './poolSettlements.ts';
import {
  cancelStates,
  drawWithdrawal,
  freshFill,
  leastBought,
  payer,
  potOf,
  takeNotes,
  type Pot,
} from './poolTrades.ts';
import { flip, withOne, type Attack, type Attempt } from './transferAttacks.ts';

const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const VALID_SECONDS = 1_800n;

const otherOperator = (run: PoolRun, { number }: Operator) =>
  run.dice.pick(run.operators.filter((other) => other.number !== number));

// --- settlements that were altered after proving ----------------------------------------------------------------------

type Refused = { readonly expected: string; readonly settlement: ProvenSettlement; readonly signature?: string };
type Alteration = (ready: ReadySettlement, run: PoolRun) => Refused | undefined;

function shows(expected: string, { settlement }: ReadySettlement, change: Partial<SettlementShown>): Refused {
  return { expected, settlement: altered(settlement, change) };
}

function showsFill(
  expected: string,
  run: PoolRun,
  ready: ReadySettlement,
  change: (fill: FillShown) => Record<string, bigint | readonly bigint[]>,
): Refused {
  const { fills } = ready.settlement.shown;
  const index = run.dice.int(fills.length);
  const fill = fills[index] as FillShown;
  return shows(expected, ready, { fills: withOne(fills, index, { ...fill, ...change(fill) }) });
}

/** Another value in one of a fill's places, or an alias of the one that is there. */
function otherValue(place: keyof FillShown): Readonly<Record<string, Alteration>> {
  const changed = (run: PoolRun, old: bigint | readonly bigint[], change: (value: bigint) => bigint) => {
    if (typeof old === 'bigint') return change(old);
    const index = run.dice.int(old.length);
    return withOne(old, index, change(old[index] as bigint));
  };
  return {
    [`another value for ${place}`]: (ready, run) => {
      return showsFill('InvalidProof', run, ready, (fill) => ({
        [place]: changed(run, fill[place], () => run.dice.random.field()),
      }));
    },
    [`an alias for ${place}`]: (ready, run) => {
      return showsFill('SignalNotInField', run, ready, (fill) => ({
        [place]: changed(run, fill[place], (value) => value + FIELD_MODULUS),
      }));
    },
  };
}

/** What was signed first, beside something else that it was not signed for. */
function signedBefore(change: (shown: SettlementShown, run: PoolRun) => Partial<SettlementShown>): Alteration {
  return (ready, run) => {
    const signer = run.dice.pickIfAny(activeSigners(run, ready.operator));
    if (signer === undefined) return undefined;
    const { shown } = ready.settlement;
    const signature = signed(run, shown, signer.wallet);
    return { ...shows('SignerNotActive', ready, change(shown, run)), signature };
  };
}

function signedBy(find: (run: PoolRun, operator: Operator) => readonly Pick<EraSigner, 'wallet'>[]): Alteration {
  return (ready, run) => {
    const signer = run.dice.pickIfAny(find(run, ready.operator));
    if (signer === undefined) return undefined;
    const { settlement } = ready;
    return { expected: 'SignerNotActive', settlement, signature: signed(run, settlement.shown, signer.wallet) };
  };
}

function changedBytes(run: PoolRun, bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const place = run.dice.int(changed.length);
  changed[place] = (changed[place] as number) ^ (1 << run.dice.int(8));
  return changed;
}

const flipped = (run: PoolRun, words: readonly bigint[]) => {
  const index = run.dice.int(words.length);
  return withOne(words, index, flip(words[index] as bigint));
};

function activeWallet(run: PoolRun, operator: Operator) {
  return run.dice.pickIfAny(activeSigners(run, operator))?.wallet;
}

export const SETTLEMENT_ALTERATIONS: Readonly<Record<string, Alteration>> = {
  ...otherValue('nullifiers'),
  ...otherValue('orderNullifier'),
  ...otherValue('change'),
  ...otherValue('proceeds'),
  ...otherValue('orderState'),
  ...otherValue('fill'),
  ...otherValue('words'),
  'one nullifier twice': (ready, run) => {
    return showsFill('NullifierSpent', run, ready, ({ nullifiers: [first] }) => ({
      nullifiers: [first, first] as bigint[],
    }));
  },
  'swapped fill commitments': (ready) => {
    const { fills } = ready.settlement.shown;
    const [first, second, ...others] = fills as [FillShown, FillShown, ...FillShown[]];
    const swapped = [{ ...first, fill: second.fill }, { ...second, fill: first.fill }, ...others];
    return shows('InvalidProof', ready, { fills: swapped });
  },
  'fills in another order': (ready) => {
    const { settlement } = ready;
    const { settlement: turned } = shows('', ready, { fills: [...settlement.shown.fills].reverse() });
    return { expected: 'InvalidProof', settlement: { ...turned, fillProofs: [...settlement.fillProofs].reverse() } };
  },
  'a fill less': (ready) => {
    const { settlement } = ready;
    const { settlement: less } = shows('', ready, { fills: settlement.shown.fills.slice(1) });
    return { expected: 'InvalidProof', settlement: { ...less, fillProofs: settlement.fillProofs.slice(1) } };
  },
  'a fill twice': (ready, run) => {
    const { fillProofs, shown } = ready.settlement;
    if (shown.fills.length === SETTLEMENT_FILLS_MAX) return undefined;
    const index = run.dice.int(shown.fills.length);
    const { settlement: more } = shows('', ready, { fills: [...shown.fills, shown.fills[index] as FillShown] });
    const proofs = [...fillProofs, fillProofs[index] as readonly bigint[]];
    return { expected: 'NullifierSpent', settlement: { ...more, fillProofs: proofs } };
  },
  'no fills': (ready) => {
    const { settlement } = shows('', ready, { fills: [] });
    return { expected: 'FillCount', settlement: { ...settlement, fillProofs: [] } };
  },
  'too many fills': (ready) => {
    const { fillProofs, shown } = ready.settlement;
    const many = <T>(list: readonly T[]) => Array.from({ length: SETTLEMENT_FILLS_MAX + 1 }, () => list[0] as T);
    const { settlement } = shows('', ready, { fills: many(shown.fills) });
    return { expected: 'FillCount', settlement: { ...settlement, fillProofs: many(fillProofs) } };
  },
  'a proof less': ({ settlement }) => {
    return { expected: 'FillCount', settlement: { ...settlement, fillProofs: settlement.fillProofs.slice(1) } };
  },
  'another proof of a fill': ({ settlement }, run) => {
    const { fillProofs } = settlement;
    const index = run.dice.int(fillProofs.length);
    const other = flipped(run, fillProofs[index] as readonly bigint[]);
    return { expected: 'InvalidProof', settlement: { ...settlement, fillProofs: withOne(fillProofs, index, other) } };
  },
  'proofs of other fills': ({ settlement }) => {
    const [first, ...others] = settlement.fillProofs as [readonly bigint[], ...(readonly bigint[])[]];
    return { expected: 'InvalidProof', settlement: { ...settlement, fillProofs: [...others, first] } };
  },
  'another proof of the clearing': ({ settlement }, run) => {
    const clearingProof = flipped(run, settlement.clearingProof);
    return { expected: 'InvalidProof', settlement: { ...settlement, clearingProof } };
  },
  'the clearing of another settlement': (ready, run) => {
    const other = run.dice.pickIfAny(run.sentSettlements)?.settlement;
    if (other === undefined) return undefined;
    const { commitment, residuals, ciphertext } = other.shown;
    const { settlement } = shows('', ready, { commitment, residuals, ciphertext });
    return { expected: 'InvalidProof', settlement: { ...settlement, clearingProof: other.clearingProof } };
  },
  'another clearing': (ready, run) => shows('InvalidProof', ready, { commitment: run.dice.random.field() }),
  'an alias of the clearing': (ready) => {
    return shows('SignalNotInField', ready, { commitment: ready.settlement.shown.commitment + FIELD_MODULUS });
  },
  'another residual': (ready, run) => {
    const { residuals } = ready.settlement.shown;
    const { note } = run.note(ready.operator.treasury.spending, run.dice.pick(run.assets), AMOUNT_MAX);
    return shows('InvalidProof', ready, {
      residuals: withOne(residuals, run.dice.int(residuals.length), commitmentOf(note)),
    });
  },
  'residuals in another order': (ready) => {
    return shows('InvalidProof', ready, { residuals: [...ready.settlement.shown.residuals].reverse() });
  },
  'an alias of a residual': (ready, run) => {
    const { residuals } = ready.settlement.shown;
    const index = run.dice.int(residuals.length);
    return shows('NotInField', ready, {
      residuals: withOne(residuals, index, (residuals[index] as bigint) + FIELD_MODULUS),
    });
  },
  'a root that never was': (ready, run) => shows('UnknownRoot', ready, { root: run.dice.random.field() }),
  'a root of another time': (ready, run) => {
    const root = run.dice.pickIfAny(run.model.roots.filter((other) => other !== ready.settlement.shown.root));
    return root === undefined ? undefined : shows('InvalidProof', ready, { root });
  },
  'a time that is over': (ready, run) => shows('ValidUntil', ready, { validUntil: run.nextTime }),
  'a time beyond the horizon': (ready, run) => {
    return shows('ValidUntil', ready, { validUntil: run.nextTime + SETTLEMENT_HORIZON_SECONDS + 1n });
  },
  'another time': (ready) => shows('InvalidProof', ready, { validUntil: ready.settlement.shown.validUntil - 1n }),
  'the number before': (ready) => shows('SequenceNotNext', ready, { sequence: ready.settlement.shown.sequence - 1n }),
  'a later number': (ready, run) => {
    const sequence = run.dice.pick([ready.settlement.shown.sequence + 1n, 2n ** 64n - 1n]);
    return shows('SequenceNotNext', ready, { sequence });
  },
  'a ciphertext of another length': (ready, run) => {
    const { ciphertext } = ready.settlement.shown;
    const other = run.dice.pick([ciphertext.slice(1), Uint8Array.of(...ciphertext, 0), new Uint8Array()]);
    return shows('CiphertextLength', ready, { ciphertext: other });
  },
  'the name of another operator': (ready, run) => {
    const other = otherOperator(run, ready.operator);
    const wallet = activeWallet(run, other);
    if (wallet === undefined) return undefined;
    const sequence = run.model.sequence(other.number) + 1n;
    const { settlement } = shows('', ready, { operator: other.number, sequence });
    return { expected: 'InvalidProof', settlement, signature: signed(run, settlement.shown, wallet) };
  },
  'words changed after signing': signedBefore(({ fills }, run) => {
    const [first, ...others] = fills as [FillShown, ...FillShown[]];
    return { fills: [{ ...first, words: flipped(run, first.words) }, ...others] };
  }),
  'a ciphertext changed after signing': signedBefore(({ ciphertext }, run) => ({
    ciphertext: changedBytes(run, ciphertext),
  })),
  'a journal changed after signing': signedBefore((_, run) => ({ journalHead: run.dice.random.field() })),
  'a residual changed after signing': signedBefore(({ residuals }, run) => ({ residuals: flipped(run, residuals) })),
  'a time changed after signing': signedBefore(({ validUntil }) => ({ validUntil: validUntil - 1n })),
  'a stranger’s signature': signedBy((run) => [{ wallet: strangeWallet(run) }]),
  'a revoked signer': signedBy((_, { signers }) => signers.filter(({ isRevoked }) => isRevoked)),
  'a signer of a past era': signedBy((run, { signers }) => {
    return signers.filter(({ isRevoked, expiry }) => !isRevoked && expiry <= run.nextTime);
  }),
  'a signer of another operator': signedBy((run, operator) => activeSigners(run, otherOperator(run, operator))),
  'a signature of another length': ({ settlement }, run) => {
    const signature = toBeHex(run.dice.random.field(), run.dice.pick([32, 64, 66]));
    return { expected: 'ECDSAInvalidSignatureLength', settlement, signature };
  },
  'the other form of a signature': (ready, run) => {
    const wallet = activeWallet(run, ready.operator);
    if (wallet === undefined) return undefined;
    const { settlement } = ready;
    const { r, s, yParity } = Signature.from(signed(run, settlement.shown, wallet));
    const twin = `${r}${toBeHex(CURVE_ORDER - BigInt(s), 32).slice(2)}${yParity === 0 ? '1c' : '1b'}`;
    return { expected: 'ECDSAInvalidSignatureS', settlement, signature: twin };
  },
};

/** The call of an alteration; an active signer of the operator signs what does not come with a signature. */
export function alteredAttempt(run: PoolRun, { operator }: ReadySettlement, refused: Refused): Attempt | undefined {
  const { expected, settlement, signature } = refused;
  if (signature !== undefined) return { expected, call: run.client.settleCall(settlement, signature) };
  const wallet = activeWallet(run, operator);
  return wallet && { expected, call: settleCall(run, settlement, wallet) };
}

/** Within a settlement's time. */
function inTime(replay: Alteration): Alteration {
  return (ready, run) => (run.nextTime < ready.settlement.shown.validUntil ? replay(ready, run) : undefined);
}

/** What becomes of a settlement that has just landed, sent once more. */
export const REPLAYS: Readonly<Record<string, Alteration>> = {
  'as it was': inTime(({ settlement }) => ({ expected: 'SequenceNotNext', settlement })),
  'under the next number': inTime((ready) => {
    return shows('NullifierSpent', ready, { sequence: ready.settlement.shown.sequence + 1n });
  }),
  'by another operator': inTime((ready, run) => {
    const other = otherOperator(run, ready.operator);
    const wallet = activeWallet(run, other);
    if (wallet === undefined) return undefined;
    const sequence = run.model.sequence(other.number) + 1n;
    const { settlement } = shows('', ready, { operator: other.number, sequence });
    return { expected: 'NullifierSpent', settlement, signature: signed(run, settlement.shown, wallet) };
  }),
  'after its time': (ready, run) => {
    const { validUntil, sequence } = ready.settlement.shown;
    run.waitUntil(validUntil);
    return shows('ValidUntil', ready, { sequence: sequence + 1n });
  },
};

// --- statements that are true and change nothing ----------------------------------------------------------------------

/** A settlement with real witnesses that the pool must refuse all the same. */
async function provenPlan(run: PoolRun, expected: string, planned: PlannedBatch): Promise<Attempt | undefined> {
  const settlement = await provePlan(run, planned);
  const operator = run.operators.find(({ number }) => number === settlement.shown.operator);
  const wallet = operator && activeWallet(run, operator);
  return wallet && { expected, call: settleCall(run, settlement, wallet) };
}

function proven(
  run: PoolRun,
  expected: string,
  operator: Operator,
  wishes: readonly FillWish[],
  validUntil: bigint,
  changes: Partial<BatchPlan> = {},
): Promise<Attempt | undefined> {
  return provenPlan(run, expected, propose(run, operator, wishes, validUntil, changes).planned);
}

export function anyPot(run: PoolRun, seconds = VALID_SECONDS): Pot {
  return potOf(run, run.dice.pick(run.operators), run.time + seconds);
}

/** A withdrawal of some of a note: it needs nobody on the other side. */
function withdrawalOf(pot: Pot, inputs: readonly HeldNote[], sold: bigint): FillWish {
  const { asset } = (inputs[0] as HeldNote).note;
  return freshFill(pot, inputs, sold, asset, sold, { isRelocked: false, isPart: false });
}

/** The smallest fill of an order that its limit allows, and whoever pays for it. */
function smallestFill(pot: Pot, order: ModelOrder, k: number): FillWish[] | undefined {
  const { sellAsset, buyAsset } = order.order;
  const inputs = takeNotes(pot, 1, ({ key, note }) => key === order.key && note.asset === sellAsset);
  if (inputs.length === 0) return undefined;
  const bought = leastBought(order, 1n);
  const fill = { order, inputs, sold: 1n, bought, k };
  if (sellAsset === buyAsset || bought === 0n) return [fill];
  const counter = payer(pot, buyAsset, bought, { asset: sellAsset, amount: 1n });
  return counter && [fill, counter];
}

/** A note of a settlement that landed, for which the operator had another use. */
function soldNote(run: PoolRun, validUntil: bigint): { operator: Operator; held: HeldNote } | undefined {
  const notes = run.sentSettlements.flatMap(({ operator, effect }) => {
    const inputs = effect.fills.flatMap(({ inputs: spent }) => spent);
    return inputs.filter(({ note }) => (note.lock?.expiry ?? 0n) >= validUntil).map((held) => ({ operator, held }));
  });
  return run.dice.pickIfAny(notes);
}

export const SETTLEMENT_FORGERIES: Readonly<Record<string, Attack>> = {
  'a note that a settlement spent': (run) => {
    const validUntil = run.time + VALID_SECONDS;
    const found = soldNote(run, validUntil);
    if (found === undefined) return undefined;
    const { operator, held } = found;
    const fill = withdrawalOf({ run, operator, validUntil, notes: [] }, [held], held.note.value);
    return proven(run, 'NullifierSpent', operator, [fill], validUntil);
  },
  'a note that its owner took home': (run) => {
    const locked = run.spentNotes.filter(({ note }) => note.lock !== undefined && note.value > 0n);
    const held = run.dice.pickIfAny(locked);
    const operator = run.operators.find(({ id }) => id === held?.note.lock?.operatorId);
    if (held === undefined || operator === undefined) return undefined;
    // There is no proof for a time after the lock's expiry, and the owner took nothing before.
    const validUntil = held.note.lock?.expiry ?? 0n;
    const fill = withdrawalOf({ run, operator, validUntil, notes: [] }, [held], held.note.value);
    return proven(run, 'ValidUntil', operator, [fill], validUntil);
  },
  'the same note twice': (run) => {
    const pot = anyPot(run);
    const inputs = takeNotes(pot, 1);
    if (inputs.length === 0) return undefined;
    const fills = [1n, worthOf(inputs)].map((sold) => withdrawalOf(pot, inputs, sold));
    return proven(run, 'NullifierSpent', pot.operator, fills, pot.validUntil);
  },
  'the same order twice': (run) => {
    const pot = anyPot(run);
    const [first, second] = takeNotes(pot, 2);
    if (first === undefined || second === undefined) return undefined;
    const fill = withdrawalOf(pot, [first], first.note.value);
    // Half of the order, if it is more than one base unit.
    const sold = (first.note.value + 1n) / 2n;
    const again = { ...fill, inputs: [second], sold: sold < second.note.value ? sold : second.note.value };
    return proven(run, 'NullifierSpent', pot.operator, [fill, { ...again, bought: again.sold }], pot.validUntil);
  },
  'a state of an order that was filled': async (run) => {
    for (const operator of run.dice.shuffled(run.operators)) {
      const pot = potOf(run, operator, run.time + VALID_SECONDS);
      const filled = [...run.model.orders].filter(({ states, order: { operatorId, expiry } }) => {
        return states.length > 0 && operatorId === operator.id && expiry >= pot.validUntil;
      });
      for (const order of run.dice.shuffled(filled)) {
        const k = run.dice.int(order.states.length);
        const state = order.states[k - 1];
        if (state !== undefined && !run.model.isInTree(state.leaf)) continue;
        const fills = smallestFill({ ...pot }, order, k);
        if (fills !== undefined) return proven(run, 'NullifierSpent', operator, fills, pot.validUntil);
      }
    }
    return undefined;
  },
  'an order that was cancelled': async (run) => {
    const pot = anyPot(run, CANCEL_DELAY_SECONDS + VALID_SECONDS);
    const inputs = takeNotes(pot, 1);
    if (inputs.length === 0) return undefined;
    const fill = withdrawalOf(pot, inputs, worthOf(inputs));
    await cancelStates(run, fill.order, [0]);
    await run.check();
    run.waitUntil(run.time + CANCEL_DELAY_SECONDS);
    return proven(run, 'NullifierSpent', pot.operator, [fill], pot.validUntil);
  },
  'a note of a tree of its own': (run) => {
    const { operator, validUntil } = anyPot(run);
    const { spending } = operator.treasury;
    const asset = run.dice.pick(run.assets);
    const { note } = run.note(spending, asset, AMOUNT_MAX, { operatorId: operator.id, expiry: validUntil });
    const leaf = run.dice.int(TREE_LEAVES);
    const tree = new SparseTree(TREE_DEPTH).set(leaf, commitmentOf(note));
    const terms = { sellAsset: asset, buyAsset: asset, sellMax: AMOUNT_MAX, buyMin: AMOUNT_MAX, expiry: validUntil };
    const order = signOrder(run, operator.id, spending, terms);
    const fill = batchFill(run, { order, inputs: [], sold: AMOUNT_MAX, bought: AMOUNT_MAX }, validUntil);
    const path = tree.path(leaf) as unknown as BatchFill['inputs'][number]['path'];
    const planned = planOf(run, operator, [{ ...fill, inputs: [{ note, leaf, path }] }], validUntil, {
      root: tree.root,
    });
    return provenPlan(run, 'UnknownRoot', planned);
  },
  'notes of another operator': (run) => {
    const pot = anyPot(run);
    const fills = drawWithdrawal(pot);
    const other = otherOperator(run, pot.operator);
    const sequence = run.model.sequence(other.number) + 1n;
    return (
      fills && proven(run, 'InvalidProof', pot.operator, fills, pot.validUntil, { operator: other.number, sequence })
    );
  },
  'a time beyond the horizon': (run) => {
    const pot = anyPot(run, 2n * SETTLEMENT_HORIZON_SECONDS);
    const fills = drawWithdrawal(pot);
    return fills && proven(run, 'ValidUntil', pot.operator, fills, pot.validUntil);
  },
};
