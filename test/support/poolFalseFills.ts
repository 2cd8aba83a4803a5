// Fills and clearings for which no witness may exist, and cancellations that a pool must refuse. Every entry is wrong in one way; where it does not
// fit the run's present state it makes nothing.
import { buildClearing, type ClearingInput } from '@bitcloak/notes/clearing';
import { buildFill, type FillInput } from '@bitcloak/notes/fill';
import type { Note } from '@bitcloak/notes/note';
import { emptyPath } from '@bitcloak/notes/tree';
import { BUCKET_LEAVES, FIELD_MODULUS, TREE_LEAVES } from '@bitcloak/protocol/parameters';
import type { BatchFill, PlannedBatch } from '../../enclave/settlement/batch.ts';
import { withFillSignals } from './fillCircuit.ts';
import { cancelKeyOf, commitmentOf, filledOf, orderNullifierOf, type HeldNote, type ModelOrder } from './poolModel.ts';
import type { PoolRun } from './poolRun.ts';
import { batchFill, propose, signOrder, type FillWish, type OrderTerms } from './poolSettlements.ts';
import { leastBought, takeNotes, type Pot } from './poolTrades.ts';
import { anyPot } from './settlementAttacks.ts';
import { newestRoot, spendable, withOne, type Attack } from './transferAttacks.ts';

// --- fills ------------------------------------------------------------------------------------------------------------

/** A fill that is true and stands at every limit: all of a note, at the order's price, in the order's last second. */
type Exact = { readonly pot: Pot; readonly held: HeldNote; readonly wish: FillWish; readonly terms: OrderTerms };

function exactFill(run: PoolRun): Exact | undefined {
  const pot = anyPot(run);
  const [held] = takeNotes(pot, 1);
  if (held === undefined) return undefined;
  const { key, note } = held;
  const buyAsset = run.dice.pick(run.assets.filter((asset) => asset !== note.asset));
  const bought = run.dice.between(1n, 2n ** 60n);
  const terms = { sellAsset: note.asset, buyAsset, sellMax: note.value, buyMin: bought, expiry: pot.validUntil };
  const order = signOrder(run, pot.operator.id, key, terms);
  return { pot, held, terms, wish: { order, inputs: [held], sold: note.value, bought } };
}

function inputOf(
  { pot: { run, validUntil }, wish }: Exact,
  change: Partial<BatchFill> = {},
  until = validUntil,
): FillInput {
  const fill = { ...batchFill(run, wish, until), ...change };
  return buildFill({ ...fill, root: newestRoot(run), validUntil: until, r: run.dice.random.field() });
}

export function trueFill(run: PoolRun): FillInput | undefined {
  const exact = exactFill(run);
  return exact && inputOf(exact);
}

type FalseFill = (run: PoolRun) => FillInput | undefined;

/** Something else in the fill than what was signed and what stands in the tree. */
function otherwise(change: (exact: Exact, run: PoolRun) => Partial<BatchFill>): FalseFill {
  return (run) => {
    const exact = exactFill(run);
    return exact && inputOf(exact, change(exact, run));
  };
}

/** An order with other terms, which its owner signed, and a fill of it that is otherwise the same. */
function ordered(
  change: (exact: Exact, run: PoolRun) => Partial<OrderTerms>,
  fill: (exact: Exact) => Partial<FillWish> = () => ({}),
): FalseFill {
  return (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const order = signOrder(run, exact.pot.operator.id, exact.held.key, { ...exact.terms, ...change(exact, run) });
    return inputOf({ ...exact, wish: { ...exact.wish, ...fill(exact), order } });
  };
}

/** Something else in the note than what stands in the tree. */
function noted(change: (note: Note, run: PoolRun) => Partial<Note>): FalseFill {
  return otherwise(({ held }, run) => {
    const spent = run.spend(held);
    return { inputs: [{ ...spent, note: { ...spent.note, ...change(spent.note, run) } }] };
  });
}

/** Something else in the statement, whatever it is computed from. */
function stated(change: (input: FillInput, exact: Exact, run: PoolRun) => Partial<FillInput>): FalseFill {
  return (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const input = inputOf(exact);
    return { ...input, ...change(input, exact, run) };
  };
}

/** The commitment of a note that an operator would rather have. */
function treasuryNote(run: PoolRun, { pot: { operator } }: Exact, asset: bigint, value: bigint): bigint {
  return commitmentOf(run.note(operator.treasury.spending, asset, value).note);
}

const stranger = (run: PoolRun, { key }: HeldNote) =>
  run.dice.pick(run.actors.filter(({ main, trading }) => ![main, ...trading].includes(key)));

/** An order that was filled and whose state is in the tree, with a note that it may sell. */
function laterFill(run: PoolRun, fits: (order: ModelOrder, held: HeldNote) => boolean): Exact | undefined {
  for (const operator of run.dice.shuffled(run.operators)) {
    const pot = { ...anyPot(run), operator };
    const orders = [...run.model.orders].filter(({ states, order }) => {
      const last = states.at(-1);
      return last !== undefined && run.model.isInTree(last.leaf) && order.expiry >= pot.validUntil;
    });
    for (const order of run.dice.shuffled(orders)) {
      const { sellAsset, operatorId } = order.order;
      const held = [...run.model.unspent.values()].find((own) => {
        const { note, key, leaf } = own;
        const isLocked = note.lock?.operatorId === operatorId && note.lock.expiry >= pot.validUntil;
        return (
          isLocked && key === order.key && note.asset === sellAsset && run.model.isInTree(leaf) && fits(order, own)
        );
      });
      if (held === undefined) continue;
      return {
        pot,
        held,
        terms: order.order,
        wish: { order, inputs: [held], sold: 1n, bought: leastBought(order, 1n) },
      };
    }
  }
  return undefined;
}

export const FALSE_FILLS: Readonly<Record<string, FalseFill>> = {
  'more is sold than the order says': ordered(({ wish }) => ({ sellMax: wish.sold - 1n, buyMin: 0n })),
  'more is sold than the notes are worth': ordered(
    ({ wish }) => ({ sellMax: wish.sold + 1n }),
    ({ wish }) => ({ sold: wish.sold + 1n }),
  ),
  'the price is below the limit': otherwise(({ wish }) => ({ bought: wish.bought - 1n })),
  'less than nothing is bought': ordered(
    () => ({ buyMin: 0n }),
    () => ({ bought: FIELD_MODULUS - 1n }),
  ),
  'the owner signed another limit': otherwise(({ wish: { order } }) => ({ order: { ...order.order, buyMin: 0n } })),
  'the owner signed another payee': otherwise(({ wish: { order }, pot }) => {
    return { order: { ...order.order, payTo: pot.operator.treasury.spending.keys.owner } };
  }),
  'somebody else signed': otherwise(({ wish: { order }, held }, run) => {
    return { signature: stranger(run, held).main.sign(order.hash) };
  }),
  'the order has expired': ordered(({ pot }) => ({ expiry: pot.validUntil - 1n })),
  'the order names another operator': (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const other = run.dice.pick(run.operators.filter((operator) => operator !== exact.pot.operator));
    const order = signOrder(run, other.id, exact.held.key, exact.terms);
    return inputOf({ ...exact, wish: { ...exact.wish, order } });
  },
  'relocked proceeds are another’s': (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const { pot, held, terms, wish } = exact;
    const relocked = { ...terms, relockExpiry: pot.validUntil };
    const order = signOrder(run, pot.operator.id, held.key, relocked, stranger(run, held).main);
    return inputOf({ ...exact, wish: { ...wish, order } });
  },
  'the lock ends before the settlement’s time': (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const { pot, held, terms, wish } = exact;
    const until = (held.note.lock?.expiry ?? 0n) + 1n;
    const order = signOrder(run, pot.operator.id, held.key, { ...terms, expiry: until });
    return inputOf({ ...exact, wish: { ...wish, order } }, {}, until);
  },
  'the lock is said to end later': noted(({ lock }) => ({ lock: lock && { ...lock, expiry: lock.expiry + 1n } })),
  'the note is not locked': (run) => {
    const exact = exactFill(run);
    const held = run.dice.pickIfAny(spendable(run).filter(({ note }) => note.lock === undefined && note.value > 0n));
    if (exact === undefined || held === undefined) return undefined;
    const { pot } = exact;
    const { asset: sellAsset, value: sellMax } = held.note;
    const lock = { operatorId: pot.operator.id, expiry: pot.validUntil };
    const order = signOrder(run, pot.operator.id, held.key, { ...exact.terms, sellAsset, sellMax });
    const inputs = [{ ...run.spend(held), note: { ...held.note, lock } }];
    return inputOf({ ...exact, wish: { ...exact.wish, order, sold: sellMax } }, { inputs });
  },
  'the note is worth more': (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const { pot, held, terms, wish } = exact;
    const sold = wish.sold + 1n;
    const order = signOrder(run, pot.operator.id, held.key, { ...terms, sellMax: sold });
    const inputs = [{ ...run.spend(held), note: { ...held.note, value: sold } }];
    return inputOf({ ...exact, wish: { ...wish, order, sold } }, { inputs });
  },
  'the note is of another asset': ordered(({ terms }, run) => {
    const sellAsset = run.dice.pick(run.assets.filter((asset) => asset !== terms.sellAsset));
    return { sellAsset };
  }),
  'the note is another owner’s': (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const order = signOrder(run, exact.pot.operator.id, stranger(run, exact.held).main, exact.terms);
    return inputOf({ ...exact, wish: { ...exact.wish, order } });
  },
  'the note stands in another place': otherwise(({ held }, run) => {
    const leaf = (held.leaf + 1 + run.dice.int(BUCKET_LEAVES)) % TREE_LEAVES;
    return { inputs: [{ ...run.spend(held), leaf }] };
  }),
  'the second lock ends first': (run) => {
    const exact = exactFill(run);
    if (exact === undefined) return undefined;
    const { pot, held } = exact;
    const lock = { operatorId: pot.operator.id, expiry: pot.validUntil };
    if (held.note.lock === undefined || held.note.lock.expiry <= lock.expiry) return undefined;
    const { note } = run.note(held.key, held.note.asset, 0n, lock);
    const input = inputOf(exact, { inputs: [run.spend(held), { note, leaf: 0, path: emptyPath() }] });
    const turned = {
      ...input,
      inputValue: [...input.inputValue].reverse(),
      inputBlinding: [...input.inputBlinding].reverse(),
      inputExpiry: [...input.inputExpiry].reverse(),
      inputLeafIndex: [...input.inputLeafIndex].reverse(),
      inputSiblings: [...input.inputSiblings].reverse(),
    };
    return withFillSignals(turned) as FillInput;
  },
  'the change is the operator’s': stated(({ sellAsset }, exact, run) => {
    return { change: treasuryNote(run, exact, sellAsset, 0n) as FillInput['change'] };
  }),
  'the proceeds are the operator’s': stated(({ buyAsset, bought }, exact, run) => {
    return { proceeds: treasuryNote(run, exact, buyAsset, bought) as FillInput['proceeds'] };
  }),
  'the words say something else': stated(({ words }, _, run) => {
    const index = run.dice.int(words.length);
    return { words: withOne(words, index, ((words[index] as bigint) + 1n) % FIELD_MODULUS) };
  }),
  'the order’s state says something else': stated((_, __, run) => ({ orderState: run.dice.random.field() })),
  'the order’s nullifier is another': stated((_, __, run) => {
    return { orderNullifier: run.dice.random.field() as FillInput['orderNullifier'] };
  }),
  'the order was never filled': otherwise(() => ({ state: { filled: 0n, k: 1n, leaf: 0, path: emptyPath() } })),
  'a first fill begins with something sold': (run) => {
    const exact = exactFill(run);
    if (exact === undefined || exact.wish.sold === 1n) return undefined;
    const state = { filled: 1n, k: 0n, leaf: 0, path: emptyPath() };
    const sold = exact.wish.sold - 1n;
    return inputOf({ ...exact, wish: { ...exact.wish, sold } }, { state });
  },
  'less of the order was sold before': (run) => {
    const exact = laterFill(run, (order) => filledOf(order) > 0n && filledOf(order) < order.order.sellMax);
    const last = exact?.wish.order.states.at(-1);
    if (exact === undefined || last === undefined) return undefined;
    const k = BigInt(exact.wish.order.states.length);
    return inputOf(exact, { state: { filled: last.filled - 1n, k, leaf: last.leaf, path: run.path(last.leaf) } });
  },
  'a later fill sells more than is left': (run) => {
    const left = (order: ModelOrder) => order.order.sellMax - filledOf(order);
    const exact = laterFill(run, (order, { note }) => note.value > left(order));
    if (exact === undefined) return undefined;
    const { order } = exact.wish;
    const sold = left(order) + 1n;
    return inputOf({ ...exact, wish: { ...exact.wish, sold, bought: leastBought(order, sold) } });
  },
  'the state is that of another order': (run) => {
    const exact = exactFill(run);
    const other = run.dice.pickIfAny(
      [...run.model.orders].filter(({ states: [first] }) => first !== undefined && run.model.isInTree(first.leaf)),
    );
    const [first] = other?.states ?? [];
    if (exact === undefined || first === undefined) return undefined;
    const { pot, held, terms, wish } = exact;
    const order = signOrder(run, pot.operator.id, held.key, {
      ...terms,
      sellMax: wish.sold + first.filled,
      buyMin: 0n,
    });
    const state = { ...first, k: 1n, path: run.path(first.leaf) };
    return inputOf({ ...exact, wish: { ...wish, order } }, { state });
  },
};

// --- clearings --------------------------------------------------------------------------------------------------------

type FalseClearing = (planned: PlannedBatch, run: PoolRun) => ClearingInput;

/** Two withdrawals that leave the operator a base unit each; undefined where there are no notes for them. */
export function planClearing(run: PoolRun): PlannedBatch | undefined {
  const pot = anyPot(run);
  const wishes = [takeNotes(pot, 1), takeNotes(pot, 1)].flatMap(([held]): FillWish[] => {
    if (held === undefined) return [];
    const { asset, value } = held.note;
    const terms = { sellAsset: asset, buyAsset: asset, sellMax: value, buyMin: 0n, expiry: pot.validUntil };
    const order = signOrder(run, pot.operator.id, held.key, terms);
    return [{ order, inputs: [held], sold: value, bought: value - 1n }];
  });
  return wishes.length < 2 ? undefined : propose(run, pot.operator, wishes, pot.validUntil).planned;
}

function otherResidual(change: (note: Note, run: PoolRun) => Partial<Note>): FalseClearing {
  return ({ fills, residuals }, run) => {
    const [first, ...others] = residuals as [Note, ...Note[]];
    return buildClearing(fills, [{ ...first, ...change(first, run) }, ...others]);
  };
}

function otherFill(change: (fill: FillInput, run: PoolRun) => Partial<FillInput>): FalseClearing {
  return ({ fills, residuals }, run) => {
    const [first, ...others] = fills as [FillInput, ...FillInput[]];
    return buildClearing([{ ...first, ...change(first, run) }, ...others], residuals);
  };
}

export const FALSE_CLEARINGS: Readonly<Record<string, FalseClearing>> = {
  'the operator gains more': otherResidual(({ value }) => ({ value: value + 1n })),
  'the operator gains less': otherResidual(({ value }) => ({ value: value - 1n })),
  'the operator gains another asset': otherResidual(({ asset }, run) => {
    return { asset: run.dice.pick(run.assets.filter((other) => other !== asset)) };
  }),
  'a residual is worth less than nothing': ({ fills, residuals }) => {
    const [first, ...others] = residuals as [Note, ...Note[]];
    const [last] = others.splice(-1) as [Note];
    const debt = { ...last, asset: first.asset, value: FIELD_MODULUS - 1n };
    return buildClearing(fills, [{ ...first, value: first.value + 1n }, ...others, debt]);
  },
  'a fill bought more': otherFill(({ bought }) => ({ bought: bought + 2n })),
  'a fill sold more': otherFill(({ sold }) => ({ sold: sold + 1n })),
  'a fill bought another asset': otherFill(({ buyAsset }, run) => {
    return { buyAsset: run.dice.pick(run.assets.filter((other) => other !== buyAsset)), bought: 1n };
  }),
  'a fill is left out': ({ fills, residuals }) => buildClearing(fills.slice(1), residuals),
  'a fill counts twice': ({ fills, residuals }) => buildClearing([...fills, fills[0] as FillInput], residuals),
  'the fills are not those that it opens': ({ clearing, fills, residuals }) => {
    const [first, ...others] = fills as [FillInput, ...FillInput[]];
    const given = buildClearing(
      [{ ...first, bought: first.sold }, ...others],
      withOneLess(residuals, first.sold - first.bought),
    );
    return { ...given, fills: clearing.fills };
  },
};

/** Residuals that balance again where a fill bought so much more. */
function withOneLess(residuals: readonly Note[], amount: bigint): readonly Note[] {
  const [first, ...others] = residuals as [Note, ...Note[]];
  return [{ ...first, value: first.value - amount }, ...others];
}

// --- cancelling -------------------------------------------------------------------------------------------------------

export const BAD_CANCELS: Readonly<Record<string, Attack>> = {
  'of a state that is being cancelled': (run) => {
    const states = [...run.model.orders].flatMap((order) => {
      const k = order.states.length;
      return (run.model.spentFrom.get(orderNullifierOf(order, k)) ?? 0n) > run.nextTime ? [{ order, k }] : [];
    });
    const found = run.dice.pickIfAny(states);
    return found && { expected: 'NullifierSpent', call: run.client.cancelCall([cancelKeyOf(found.order, found.k)]) };
  },
  'of a state that was cancelled': (run) => {
    const cancelled = [...run.model.orders].filter((order) => {
      return run.model.isSpent(orderNullifierOf(order, order.states.length), run.time);
    });
    const order = run.dice.pickIfAny(cancelled);
    return (
      order && { expected: 'NullifierSpent', call: run.client.cancelCall([cancelKeyOf(order, order.states.length)]) }
    );
  },
  'of a state that was filled': (run) => {
    const order = run.dice.pickIfAny([...run.model.orders].filter(({ states }) => states.length > 0));
    if (order === undefined) return undefined;
    const call = run.client.cancelCall([cancelKeyOf(order, run.dice.int(order.states.length))]);
    return { expected: 'NullifierSpent', call };
  },
  'of one state twice': (run) => {
    const key = run.dice.random.field();
    return { expected: 'NullifierSpent', call: run.client.cancelCall([key, key]) };
  },
  'of what is no field element': (run) => {
    const key = run.dice.random.field();
    return { expected: 'NotInField', call: run.client.cancelCall([key, key + FIELD_MODULUS]) };
  },
};
