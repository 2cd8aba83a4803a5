// What operators settle in a run, what owners cancel, and where the locked notes for it come from.
import assert from 'node:assert/strict';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import {
  AMOUNT_MAX,
  CANCEL_DELAY_SECONDS,
  DEPOSIT_CIPHERTEXT_BYTES,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_HORIZON_SECONDS,
} from '@bitcloak/protocol/parameters';
import { cancelKeyOf, filledOf, orderNullifierOf, type HeldNote, type ModelOrder } from './poolModel.ts';
import { activeSigner } from './poolOperators.ts';
import type { Operator, ReadySettlement } from './poolParts.ts';
import { amountText, type PoolRun } from './poolRun.ts';
import {
  acceptSettlement,
  altered,
  emptyFill,
  proveProposal,
  propose,
  settleCall,
  signOrder,
  worthOf,
  type FillWish,
} from './poolSettlements.ts';
import { anyone, drawValue } from './poolSteps.ts';
import { isBeside, newestRoot } from './transferAttacks.ts';

export const DAY_SECONDS = 86_400n;
/** Proving and the attacks before a settlement take seconds of the run, each of them a block. */
const VALID_SECONDS_LEAST = 900n;
const LOCK_DAYS = [20n, 60n] as const;
const ORDER_DAYS_MAX = 40n;

const least = (left: bigint, right: bigint) => (left < right ? left : right);
const days = (run: PoolRun, low: bigint, high: bigint) => run.dice.between(low * DAY_SECONDS, high * DAY_SECONDS);

// --- locked notes -----------------------------------------------------------------------------------------------------

/** Notes that the operator can sell until then. */
export function sellable(run: PoolRun, { id }: Operator, validUntil: bigint): HeldNote[] {
  return [...run.model.unspent.values()].filter(({ note: { value, lock }, leaf }) => {
    return value > 0n && lock?.operatorId === id && lock.expiry >= validUntil && run.model.isInTree(leaf);
  });
}

/** The main account of whoever has a key. */
const mainOf = (run: PoolRun, key: SpendingKey) => run.actors[run.actorOf(key)]?.main ?? key;

/** Deposits a note of each asset to trading accounts of an operator: what settlements are made of. */
export async function lockUp(run: PoolRun): Promise<void> {
  const operator = run.dice.pick(run.operators);
  for (const asset of run.dice.shuffled(run.assets)) {
    const key = run.dice.pick(run.actors).trading[run.operators.indexOf(operator)];
    assert(key !== undefined);
    const lock = { operatorId: operator.id, expiry: run.time + days(run, ...LOCK_DAYS) };
    const made = run.note(key, asset, drawValue(run, asset), lock);
    const { note } = made;
    const from = anyone(run);
    run.describe(`locking ${amountText(run, asset, note.value)} to operator ${operator.number}`);
    const call = run.client.depositCall(asset, note.value, stealthOf(note), run.bytes(DEPOSIT_CIPHERTEXT_BYTES));
    if (run.model.depositsPaused) return run.refuse('DepositsArePaused', call, from);
    run.count('deposit to a trading account');
    await run.accept(call, from);
    run.model.deposit(made, run.time);
  }
}

// --- fills ------------------------------------------------------------------------------------------------------------

/** The notes that a settlement can still be made of; what is taken is taken out. */
export type Pot = {
  readonly run: PoolRun;
  readonly operator: Operator;
  readonly validUntil: bigint;
  notes: HeldNote[];
};

export function potOf(run: PoolRun, operator: Operator, validUntil: bigint): Pot {
  return { run, operator, validUntil, notes: sellable(run, operator, validUntil) };
}

/** Takes one note, or two of one owner and asset; none where there are not as many. */
export function takeNotes(pot: Pot, count: 1 | 2, fits: (held: HeldNote) => boolean = () => true): HeldNote[] {
  const { run } = pot;
  for (const first of run.dice.shuffled(pot.notes.filter(fits))) {
    const second = count === 1 ? undefined : run.dice.pickIfAny(pot.notes.filter((other) => isBeside(first, other)));
    if (count === 2 && second === undefined) continue;
    const taken = second === undefined ? [first] : [first, second];
    pot.notes = pot.notes.filter((held) => !taken.includes(held));
    return taken;
  }
  return [];
}

/** How much of notes is sold: neither it nor the rest exceeds the largest amount. */
function drawSold(run: PoolRun, notes: readonly HeldNote[], isPart: boolean): bigint {
  const total = worthOf(notes);
  const low = total > AMOUNT_MAX ? total - AMOUNT_MAX : 1n;
  const high = least(total, AMOUNT_MAX);
  if (isPart) return run.dice.between(low, (low + high) / 2n);
  return run.dice.chance(1, 2) ? high : run.dice.between(low, high);
}

/** What an operator keeps of an amount: mostly little, now and then all of it. */
function drawFee(run: PoolRun, amount: bigint): bigint {
  return run.dice.pick([
    0n,
    0n,
    amount / 1000n,
    run.dice.between(0n, amount / 50n),
    run.dice.chance(1, 4) ? amount : 0n,
  ]);
}

type Traits = {
  /** The order sells more than this fill does, and the owner has some of it left. */
  readonly isPart?: boolean;
  readonly isRelocked?: boolean;
  readonly isPaidToMain?: boolean;
  readonly hasTwoNotes?: boolean;
};

/** A fresh order that allows the fill, some of them by nothing more. */
export function freshFill(
  { run, operator, validUntil }: Pick<Pot, 'run' | 'operator' | 'validUntil'>,
  inputs: readonly HeldNote[],
  sold: bigint,
  buyAsset: bigint,
  bought: bigint,
  traits: Traits = {},
): FillWish {
  const [{ key, note }] = inputs as readonly [HeldNote];
  const { isPart = run.dice.chance(1, 3), isRelocked = run.dice.chance(1, 4) } = traits;
  const sellMax = least(AMOUNT_MAX, isPart ? sold * run.dice.between(2n, 6n) + 1n : sold);
  const best = least(AMOUNT_MAX, (bought * sellMax) / sold);
  const buyMin = run.dice.chance(1, 2) ? best : run.dice.between(0n, best);
  const expiry = validUntil + (isPart ? days(run, 10n, ORDER_DAYS_MAX) : run.dice.pick([0n, days(run, 0n, 2n)]));
  const relockExpiry = isRelocked ? run.time + days(run, ...LOCK_DAYS) : 0n;
  const isPaidToMain = traits.isPaidToMain ?? run.dice.chance(1, 3);
  const payee = !isRelocked && isPaidToMain ? mainOf(run, key) : key;
  const terms = { sellAsset: note.asset, buyAsset, sellMax, buyMin, expiry, relockExpiry };
  return { order: signOrder(run, operator.id, key, terms, payee), inputs, sold, bought };
}

/** Two orders that buy of each other. */
function drawTrade(pot: Pot, traits: Traits = {}): FillWish[] | undefined {
  const { run } = pot;
  const firsts = takeNotes(pot, traits.hasTwoNotes === true ? 2 : 1);
  const asset = firsts[0]?.note.asset;
  if (asset === undefined) return undefined;
  const isOther = ({ note }: HeldNote) => note.asset !== asset;
  const both = traits.hasTwoNotes !== true && run.dice.chance(1, 4) ? takeNotes(pot, 2, isOther) : [];
  const seconds = both.length > 0 ? both : takeNotes(pot, 1, isOther);
  const otherAsset = seconds[0]?.note.asset;
  if (otherAsset === undefined) return undefined;
  const sold = drawSold(run, firsts, traits.isPart === true);
  const paid = drawSold(run, seconds, false);
  return [
    freshFill(pot, firsts, sold, otherAsset, paid - drawFee(run, paid), traits),
    freshFill(pot, seconds, paid, asset, sold - drawFee(run, sold)),
  ];
}

/** What an order's limit asks for a part of it. */
export function leastBought({ order: { sellMax, buyMin } }: ModelOrder, sold: bigint): bigint {
  return (sold * buyMin + sellMax - 1n) / sellMax;
}

/** Whether settlements until then can fill the order's present state. */
function isOpen({ model }: PoolRun, order: ModelOrder, { operator, validUntil }: Pot): boolean {
  const { sellMax, expiry, operatorId } = order.order;
  const from = model.spentFrom.get(orderNullifierOf(order, order.states.length));
  const last = order.states.at(-1);
  const isFillable = filledOf(order) < sellMax && expiry >= validUntil && operatorId === operator.id;
  return isFillable && (from === undefined || from > validUntil) && (last === undefined || model.isInTree(last.leaf));
}

/** A fill that pays `amount` of an asset; it asks for as much of another as it is given. */
export function payer(
  pot: Pot,
  asset: bigint,
  amount: bigint,
  given: { asset: bigint; amount: bigint },
): FillWish | undefined {
  const inputs = takeNotes(pot, 1, ({ note }) => note.asset === asset && note.value >= amount);
  if (inputs.length === 0 || amount === 0n) return undefined;
  return freshFill(pot, inputs, amount, given.asset, given.amount, { isRelocked: false });
}

/** Another fill of an order that was filled before. */
function drawLater(pot: Pot): FillWish[] | undefined {
  const { run } = pot;
  const open = [...run.model.orders].filter((order) => order.states.length > 0 && isOpen(run, order, pot));
  for (const order of run.dice.shuffled(open)) {
    const { sellAsset, buyAsset, sellMax, buyMin } = order.order;
    const rest = { ...pot };
    const isIts = ({ key, note }: HeldNote) => key === order.key && note.asset === sellAsset;
    const inputs = takeNotes(rest, 1, isIts);
    const left = sellMax - filledOf(order);
    if (inputs.length === 0) continue;
    let sold = least(left, drawSold(run, inputs, false));
    if (sellAsset === buyAsset) {
      pot.notes = rest.notes;
      return [{ order, inputs, sold, bought: run.dice.between(leastBought(order, sold), sold) }];
    }
    // No more than what the richest can pay at the order's limit.
    const richest = rest.notes.reduce(
      (most, { note }) => (note.asset === buyAsset && note.value > most ? note.value : most),
      0n,
    );
    if (buyMin > 0n) sold = least(sold, (richest * sellMax) / buyMin);
    if (sold === 0n || richest === 0n) continue;
    const bought = run.dice.between(leastBought(order, sold), richest);
    const paid = bought === 0n ? 1n : bought;
    const counter = payer(rest, buyAsset, paid, { asset: sellAsset, amount: sold - drawFee(run, sold) });
    if (counter === undefined) continue;
    pot.notes = rest.notes;
    return [{ order, inputs, sold, bought }, counter];
  }
  return undefined;
}

/** A withdrawal from the engine: the order sells an asset for itself. */
export function drawWithdrawal(
  pot: Pot,
  traits: Traits = { isPaidToMain: true, isRelocked: false },
): FillWish[] | undefined {
  const { run } = pot;
  const inputs = takeNotes(pot, traits.hasTwoNotes === true ? 2 : 1);
  const asset = inputs[0]?.note.asset;
  if (asset === undefined) return undefined;
  const sold = drawSold(run, inputs, traits.isPart === true);
  return [freshFill(pot, inputs, sold, asset, sold - drawFee(run, sold), traits)];
}

const CANCELLED_ON_ITS_WAY = 'fill of an order that is being cancelled';
const FULL = 'settlement of sixteen fills';
const PADDED = 'settlement filled up with nothing';

/** What a settlement is about; it is filled up with other things. */
const SHAPES: Readonly<Record<string, (pot: Pot) => FillWish[] | undefined>> = {
  trade: (pot) => drawTrade(pot),
  'trade of a part of an order': (pot) => drawTrade(pot, { isPart: true }),
  'trade out of two notes': (pot) => drawTrade(pot, { hasTwoNotes: true }),
  'trade with relocked proceeds': (pot) => drawTrade(pot, { isRelocked: true }),
  'trade paid to the main account': (pot) => drawTrade(pot, { isRelocked: false, isPaidToMain: true }),
  'later fill of an order': drawLater,
  'withdrawal from the engine': (pot) => drawWithdrawal(pot),
  [CANCELLED_ON_ITS_WAY]: (pot) => drawTrade(pot, { isPart: true }),
};

type Draft = {
  readonly shape: string;
  readonly operator: Operator;
  readonly validUntil: bigint;
  readonly wishes: FillWish[];
};

/** The shape that was settled least and that there are notes and orders for. */
function drawSettlement(run: PoolRun): Draft | undefined {
  const shapes = run.dice.shuffled(Object.entries(SHAPES));
  shapes.sort(([left], [right]) => run.counted(left) - run.counted(right));
  for (const [shape, draw] of shapes) {
    for (const operator of run.dice.shuffled(run.operators)) {
      const validUntil = run.time + run.dice.between(VALID_SECONDS_LEAST, SETTLEMENT_HORIZON_SECONDS);
      const pot = potOf(run, operator, validUntil);
      const wishes = draw(pot);
      if (wishes === undefined) continue;
      if (run.dice.chance(1, 5)) wishes.push(...(drawTrade(pot) ?? []));
      const size = run.counted(FULL) === 0 && run.counted(PADDED) > 2 ? SETTLEMENT_FILLS_MAX : 2;
      const padding = run.dice.chance(1, 4) ? 1 : 0;
      const full = Math.min(SETTLEMENT_FILLS_MAX, Math.max(size, wishes.length + padding));
      while (wishes.length < full) wishes.push(emptyFill(run, operator, validUntil));
      return { shape, operator, validUntil, wishes: run.dice.shuffled(wishes) };
    }
  }
  return undefined;
}

function countSettlement(run: PoolRun, { shape, wishes, operator }: Draft): void {
  const isEmpty = ({ sold }: FillWish) => sold === 0n;
  run.count(shape);
  run.count(`settlement of operator ${operator.number}`);
  if (wishes.some(isEmpty)) run.count(PADDED);
  if (wishes.length === SETTLEMENT_FILLS_MAX) run.count(FULL);
}

function describeSettlement(run: PoolRun, { shape, operator, wishes, validUntil }: Draft): void {
  const fills = wishes.map(({ order: { order, key, states }, inputs, sold, bought }) => {
    const from = inputs.map(({ leaf }) => leaf).join('+');
    const [gave, got] = [amountText(run, order.sellAsset, sold), amountText(run, order.buyAsset, bought)];
    return `actor ${run.actorOf(key)} (${from || 'nothing'}, k = ${states.length}) ${gave} for ${got}`;
  });
  run.describe(`operator ${operator.number}, ${shape}, until ${validUntil}: ${fills.join(', ')}`);
}

/** What is done with a settlement before it is sent, and after it has landed. */
export type Company = {
  readonly before: (run: PoolRun, ready: ReadySettlement) => Promise<void>;
  readonly after: (run: PoolRun, ready: ReadySettlement) => Promise<void>;
};

export async function settle(run: PoolRun, company: Company): Promise<void> {
  const draft = drawSettlement(run);
  if (draft === undefined) return lockUp(run);
  describeSettlement(run, draft);
  const { operator, shape, wishes, validUntil } = draft;
  const ready = await proveProposal(run, propose(run, operator, wishes, validUntil));
  if (shape === CANCELLED_ON_ITS_WAY) await cancelPresent(run, wishes);
  else if (run.heldSettlement === undefined && run.dice.chance(1, 6)) {
    run.count('settlement held back');
    run.heldSettlement = ready;
    return;
  }
  const signer = await activeSigner(run, operator);
  await run.check();
  await company.before(run, ready);
  if (run.dice.chance(1, 8) && signer.expiry > validUntil) {
    run.count('settlement in its last second');
    run.waitUntil(validUntil - 1n);
  }
  countSettlement(run, draft);
  await acceptSettlement(run, ready, (await activeSigner(run, operator)).wallet, anyone(run));
  await company.after(run, ready);
}

async function cancelPresent(run: PoolRun, wishes: readonly FillWish[]): Promise<void> {
  const order = wishes.find(({ sold }) => sold > 0n)?.order;
  assert(order !== undefined);
  await cancelStates(run, order, [order.states.length]);
}

/** Sends a settlement that was proven earlier, under the number that is next now. The pool may refuse it by now. */
export async function sendHeldSettlement(run: PoolRun): Promise<void> {
  const held = run.heldSettlement;
  if (held === undefined) return lockUp(run);
  run.heldSettlement = undefined;
  const { operator, effect } = held;
  const { validUntil, root } = held.settlement.shown;
  run.describe(`a settlement of operator ${operator.number} that was held back`);
  const { wallet } = await activeSigner(run, operator);
  await run.check();
  const settlement = altered(held.settlement, { sequence: run.model.sequence(operator.number) + 1n });
  const ready = { ...held, settlement };
  if (run.counted('settlement that came too late') < run.counted('settlement sent later')) run.waitUntil(validUntil);
  const call = settleCall(run, settlement, wallet);
  if (run.nextTime >= validUntil) {
    run.count('settlement that came too late');
    return run.refuse('ValidUntil', call, anyone(run));
  }
  const marked = effect.fills.flatMap(({ nullifiers, orderNullifier }) => [...nullifiers, orderNullifier]);
  if (marked.some((nullifier) => run.model.isSpent(nullifier, run.nextTime))) {
    run.count('settlement that lost a race');
    return run.refuse('NullifierSpent', call, anyone(run));
  }
  run.count('settlement sent later');
  if (root !== newestRoot(run)) run.count('settlement under an old root');
  await acceptSettlement(run, ready, wallet, anyone(run));
}

// --- cancelling -------------------------------------------------------------------------------------------------------

export async function cancelStates(run: PoolRun, order: ModelOrder, states: readonly number[]): Promise<void> {
  const keys = states.map((k) => cancelKeyOf(order, k));
  const nullifiers = states.map((k) => orderNullifierOf(order, k));
  run.describe(`actor ${run.actorOf(order.key)} cancels an order after ${states.join(', ')} fills`);
  await run.accept(run.client.cancelCall(keys), anyone(run));
  run.model.cancel(nullifiers, run.time + CANCEL_DELAY_SECONDS);
  run.model.orders.add(order);
  run.touch(nullifiers);
}

/** An order that nobody filled, of any actor. */
export function unfilledOrder(run: PoolRun, operator: Operator): ModelOrder {
  const [sellAsset, buyAsset] = run.dice.shuffled(run.assets) as [bigint, bigint];
  const key = run.dice.pick(run.actors).trading[run.operators.indexOf(operator)];
  assert(key !== undefined);
  const [sellMax, buyMin] = [drawValue(run, sellAsset), drawValue(run, buyAsset)];
  return signOrder(run, operator.id, key, {
    sellAsset,
    buyAsset,
    sellMax,
    buyMin,
    expiry: run.time + days(run, 1n, 9n),
  });
}

export async function cancel(run: PoolRun): Promise<void> {
  const isCancelled = (order: ModelOrder) => run.model.spentFrom.has(orderNullifierOf(order, order.states.length));
  const open = [...run.model.orders].filter((order) => !isCancelled(order) && filledOf(order) < order.order.sellMax);
  const known = run.dice.chance(1, 3) ? undefined : run.dice.pickIfAny(open);
  const order = known ?? unfilledOrder(run, run.dice.pick(run.operators));
  const k = order.states.length;
  const later = run.dice.int(4);
  const states = Array.from({ length: 1 + later }, (_, index) => k + index);
  // Some are cancelled ahead: what comes first is not.
  if (later > 0 && run.dice.chance(1, 4)) states.shift();
  const fresh = states.filter((state) => !run.model.spentFrom.has(orderNullifierOf(order, state)));
  run.count(k === 0 ? 'cancelling an order that nobody filled' : 'cancelling an order that was filled');
  if (later > 0) run.count('cancelling states to come');
  await cancelStates(run, order, fresh.length > 0 ? fresh : [k]);
}
