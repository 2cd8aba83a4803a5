// Random sequences of all calls of a pool, and the way out of it at the end.
import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { AMOUNT_MAX, TRANSFER_OUTPUTS, type Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { BAD_CANCELS, FALSE_CLEARINGS, FALSE_FILLS, planClearing, trueFill } from './poolFalseFills.ts';
import type { HeldNote } from './poolModel.ts';
import { activeSigners, BAD_ERAS, changeSigners, registerEra } from './poolOperators.ts';
import { findNotes } from './poolReaders.ts';
import { PoolRun, type Wish } from './poolRun.ts';
import type { ReadySettlement } from './poolParts.ts';
import {
  alterHeld,
  anyone,
  attackBuckets,
  attackDeposits,
  attackInsertion,
  attackRoles,
  attempted,
  close,
  countName,
  deposit,
  describeTransfer,
  forgeTransfer,
  govern,
  insert,
  isCrowded,
  readyInsertion,
  sendHeld,
  stateFalsely,
  TABLES,
  transfer,
  tryRarest,
  wait,
  type Step,
} from './poolSteps.ts';
import { cancel, lockUp, sendHeldSettlement, settle, type Company } from './poolTrades.ts';
import { alteredAttempt, REPLAYS, SETTLEMENT_ALTERATIONS, SETTLEMENT_FORGERIES } from './settlementAttacks.ts';
import { isBeside, newestRoot } from './transferAttacks.ts';

// --- hostile steps of settlements -------------------------------------------------------------------------------------

const ALTERATIONS_EACH = 8;

const SETTLEMENT_TABLES = {
  'altered settlement': SETTLEMENT_ALTERATIONS,
  'settlement again': REPLAYS,
  'forged settlement': SETTLEMENT_FORGERIES,
  'false fill': FALSE_FILLS,
  'false clearing': FALSE_CLEARINGS,
  cancellation: BAD_CANCELS,
  era: BAD_ERAS,
} as const;

async function alterSettlement(run: PoolRun, ready: ReadySettlement): Promise<void> {
  for (let count = 0; count < ALTERATIONS_EACH; count++) {
    await tryRarest(run, 'altered settlement', SETTLEMENT_ALTERATIONS, async (alteration) => {
      const refused = alteration(ready, run);
      return refused !== undefined && attempted(run, alteredAttempt(run, ready, refused));
    });
  }
}

async function replay(run: PoolRun, ready: ReadySettlement): Promise<void> {
  if (!run.dice.chance(1, 2)) return;
  await run.check();
  await tryRarest(run, 'settlement again', REPLAYS, async (change) => {
    const refused = change(ready, run);
    return refused !== undefined && attempted(run, alteredAttempt(run, ready, refused));
  });
}

const COMPANY: Company = { before: alterSettlement, after: replay };
const settleInCompany: Step = (run) => settle(run, COMPANY);

async function forgeSettlement(run: PoolRun): Promise<void> {
  const silent = run.operators.filter((operator) => activeSigners(run, operator).length === 0);
  for (const operator of silent) await registerEra(run, operator);
  if (silent.length > 0) await run.check();
  return tryRarest(run, 'forged settlement', SETTLEMENT_FORGERIES, async (attack) => attempted(run, await attack(run)));
}

async function assertFalse(run: PoolRun, circuit: Circuit, input: CircuitInput): Promise<void> {
  const isFalse = (error: unknown) => error instanceof BitcloakError && error.code === 'STATEMENT_FALSE';
  await assert.rejects(run.prover.prove(circuit, input), isFalse);
}

/** What is falsified is true otherwise: now and then that is shown. */
async function fillFalsely(run: PoolRun): Promise<void> {
  const truth = run.dice.chance(1, 12) ? trueFill(run) : undefined;
  if (truth !== undefined) {
    run.describe('a true fill that stands at every limit');
    run.count('fill at every limit');
    await run.prover.prove('fill', truth);
    return;
  }
  return tryRarest(run, 'false fill', FALSE_FILLS, async (make) => {
    const input = make(run);
    if (input === undefined) return false;
    await assertFalse(run, 'fill', input);
    return true;
  });
}

function clearFalsely(run: PoolRun): Promise<void> {
  return tryRarest(run, 'false clearing', FALSE_CLEARINGS, async (make) => {
    const planned = planClearing(run);
    if (planned === undefined) return false;
    await assertFalse(run, 'clearing', make(planned, run));
    return true;
  });
}

const attackCancels: Step = (run) =>
  tryRarest(run, 'cancellation', BAD_CANCELS, async (attack) => attempted(run, await attack(run)));
const attackEras: Step = (run) => tryRarest(run, 'era', BAD_ERAS, async (attack) => attempted(run, await attack(run)));

// --- the run ----------------------------------------------------------------------------------------------------------

/** How often each kind of step comes, out of all of them; buckets fill up only while nobody closes them. */
function drawStep(run: PoolRun, isPatient: boolean): Step {
  const steps: readonly (readonly [weight: number, step: Step])[] = [
    [isCrowded(run) ? 16 : 24, deposit],
    [20, transfer],
    [6, sendHeld],
    [isPatient ? 0 : 6, close],
    [isPatient && run.model.nextInsertion === run.model.openBucket ? 0 : 8, insert],
    [6, wait],
    [run.model.depositsPaused ? 20 : 2, govern],
    [6, attackDeposits],
    [5, attackBuckets],
    [4, attackRoles],
    [8, attackInsertion],
    [6, forgeTransfer],
    [8, stateFalsely],
    [3, alterHeld],
    [run.model.depositsPaused ? 0 : 2, lockUp],
    [3, settleInCompany],
    [run.heldSettlement === undefined ? 0 : 30, sendHeldSettlement],
    [2, cancel],
    [1, changeSigners],
    [2, forgeSettlement],
    [6, fillFalsely],
    [3, clearFalsely],
    [2, attackCancels],
    [2, attackEras],
  ];
  let left = run.dice.int(steps.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, step] of steps) {
    if (left < weight) return step;
    left -= weight;
  }
  return deposit;
}

/** Takes random steps, checking everything after each. */
async function takeSteps(run: PoolRun, count: number): Promise<void> {
  let isPatient = false;
  for (let taken = 0; taken < count; taken++) {
    if (run.dice.chance(1, 50)) isPatient = !isPatient;
    const step = drawStep(run, isPatient);
    await run.step(() => step(run));
  }
}

/**
 * With deposits paused and the operators gone, closes and inserts everything, waits for every lock, and every owner withdraws the notes that he
 * finds out about from the chain: then the pool is empty.
 */
async function leave(run: PoolRun): Promise<void> {
  const { model } = run;
  await run.step(async () => {
    run.describe('pausing deposits for good');
    await run.accept(run.call('pauseDeposits', []), formatAccount(model.guardian));
    model.depositsPaused = true;
  });
  if (model.openLeaves > 0) await run.step(() => close(run));
  while (model.nextInsertion < model.openBucket) {
    await run.step(async () => {
      const ready = await readyInsertion(run);
      assert(ready !== undefined);
      run.describe(`inserting bucket ${ready.bucket} at the end`);
      await run.acceptInsertion(ready, anyone(run));
    });
  }
  for (const { note } of model.unspent.values()) if (note.lock !== undefined) run.waitUntil(note.lock.expiry + 1n);
  const found = findNotes(run);
  const worth = [...model.unspent.values()].filter(({ note }) => note.value > 0n);
  const byLeaf = (notes: Iterable<HeldNote>) => [...notes].sort((left, right) => left.leaf - right.leaf);
  assert.deepEqual(byLeaf(found.values()), byLeaf(worth), 'what the owners find');
  for (;;) {
    const left = [...found.values()];
    const [first] = left;
    if (first === undefined) break;
    const sumBelowMax = (other: HeldNote) => first.note.value + other.note.value <= AMOUNT_MAX;
    const second = left.find((other) => isBeside(first, other) && sumBelowMax(other));
    const inputs = second === undefined ? [first] : [first, second];
    await run.step(() => withdrawAll(run, inputs));
    for (const { leaf } of inputs) found.delete(leaf);
  }
  await run.check(true);
  for (const asset of run.assets) assert.equal(await run.balanceOf(asset, run.client.address), 0n, 'the pool is empty');
  for (const { asset, account, amount } of model.received.values()) {
    assert.equal(await run.balanceOf(asset, account), amount, 'what a payee got');
  }
}

async function withdrawAll(run: PoolRun, inputs: readonly HeldNote[]): Promise<void> {
  const [{ key, note }] = inputs as readonly [HeldNote];
  const { asset } = note;
  const amount = inputs.reduce((sum, held) => sum + held.note.value, 0n);
  const wish: Wish = {
    key,
    asset,
    inputs: inputs.map((held) => run.spend(held)),
    outputs: Array.from({ length: TRANSFER_OUTPUTS }, () => run.nothing(asset)),
    payment: { asset, amount, recipient: run.dice.pick(run.payees), relayer: 0n, fee: 0n },
    validAfter: run.time,
    root: newestRoot(run),
  };
  describeTransfer(run, wish);
  await run.acceptTransfer(await run.proveTransfer(wish), anyone(run));
}

/** Everything that a run of some length does. */
const EVERYTHING: readonly string[] = [
  'deposit while paused',
  'deposit of native currency',
  'deposit of a token',
  'deposit of a locked note',
  'transfer to others',
  'transfer to oneself',
  'merge of two notes',
  'split into three notes',
  'transfer with a locked output',
  'transfer of an expired locked note',
  'transfer of nothing',
  'transfer beside a note worth nothing',
  'withdrawal of native currency',
  'withdrawal of a token',
  'withdrawal without a fee',
  'withdrawal with a fee',
  'withdrawal of everything',
  'withdrawal with change',
  'transfer held back',
  'transfer sent later',
  'transfer under an old root',
  'transfer that lost a race',
  'closing',
  'insertion of a full bucket',
  'insertion of a partial bucket',
  'insertion held back',
  'insertion sent later',
  'waiting',
  'pausing',
  'scheduling unpause',
  'scheduling set guardian',
  'executing unpause',
  'executing set guardian',
  'deposit to a trading account',
  'trade',
  'trade of a part of an order',
  'trade out of two notes',
  'trade with relocked proceeds',
  'trade paid to the main account',
  'later fill of an order',
  'withdrawal from the engine',
  'fill of an order that is being cancelled',
  'settlement filled up with nothing',
  'settlement of sixteen fills',
  'settlement of operator 1',
  'settlement of operator 2',
  'settlement in its last second',
  'settlement held back',
  'settlement sent later',
  'settlement that came too late',
  'cancelling an order that nobody filled',
  'cancelling an order that was filled',
  'cancelling states to come',
  'registering an era',
  'revoking a signer',
  'fill at every limit',
  ...Object.entries({ ...TABLES, ...SETTLEMENT_TABLES }).flatMap(([group, table]) =>
    Object.keys(table).map((name) => countName(group, name)),
  ),
];

/** Opens a pool, takes that many random steps on it and leaves it; of everything that can happen, everything must have. */
export async function runInvariants({ seed, steps }: { seed: string; steps: number }): Promise<void> {
  console.log(`      seed ${seed}, ${steps} steps`);
  const run = await PoolRun.open(seed);
  try {
    await takeSteps(run, steps);
    await leave(run);
    const missing = EVERYTHING.filter((name) => run.counted(name) === 0);
    assert.deepEqual(missing, [], `seed ${seed}: ${steps} steps left something out`);
  } finally {
    await run.close();
  }
}
