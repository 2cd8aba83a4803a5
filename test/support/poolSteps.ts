// The steps of a run but for settlements: deposits, transfers, buckets, roles, and what the pool refuses of them.
import assert from 'node:assert/strict';
import { stealthOf, type Lock } from '@bitcloak/notes/note';
import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  AMOUNT_MAX,
  BUCKET_LEAVES,
  DEPOSIT_CIPHERTEXT_BYTES,
  NATIVE_ASSET,
  TIMELOCK_SECONDS_MIN,
  TRANSFER_OUTPUTS,
  VALID_AFTER_GRID_SECONDS,
} from '@bitcloak/protocol/parameters';
import { formatAccount } from '@bitcloak/chain/manifest';
import { toBeHex, ZeroHash } from 'ethers';
import { BUCKET_AGE_SECONDS } from './pool.ts';
import { BAD_DEPOSITS, BAD_INSERTIONS, BUCKET_ATTACKS, TRESPASSES } from './poolAttacks.ts';
import type { HeldNote, NewNote, Payment } from './poolModel.ts';
import type { PoolRun } from './poolRun.ts';
import { amountText, type Operation, type ReadyInsertion, type ReadyTransfer, type Wish } from './poolRun.ts';
import {
  ALTERATIONS,
  FALSE_STATEMENTS,
  FORGERIES,
  isBeside,
  newestRoot,
  spendable,
  type Attempt,
} from './transferAttacks.ts';

/** Above this many notes transfers merge and withdraw more than they make. */
const NOTES_MANY = 60;
const HELD_MAX = 6;
const DAY_SECONDS = 86_400n;

// --- honest steps -----------------------------------------------------------------------------------------------------

export const isCrowded = (run: PoolRun) => run.model.unspent.size > NOTES_MANY;
export const anyone = (run: PoolRun) => run.dice.pick(run.actors).account;

export function drawValue(run: PoolRun, asset: bigint): bigint {
  // The actors' native currency ends; their tokens do not, so those are deposited up to the largest amount.
  if (asset === NATIVE_ASSET) return run.dice.between(1n, 2n ** BigInt(1 + run.dice.int(62)));
  return run.dice.chance(1, 10) ? AMOUNT_MAX : run.dice.between(1n, 2n ** BigInt(1 + run.dice.int(119)));
}

function drawLock(run: PoolRun): Lock {
  const seconds = run.dice.between(1n, 2n ** BigInt(run.dice.int(23)));
  return { operatorId: run.dice.pick(run.operators).id, expiry: run.time + seconds };
}

/** A note for anybody; some are locked, most of those to a trading account. */
function drawNote(run: PoolRun, asset: bigint, value: bigint, mayBeLocked: boolean): NewNote {
  const { main, trading } = run.dice.pick(run.actors);
  if (!mayBeLocked || !run.dice.chance(1, 5)) return run.note(main, asset, value);
  const lock = drawLock(run);
  const key = run.dice.chance(2, 3) ? trading[run.operators.findIndex(({ id }) => id === lock.operatorId)] : main;
  return run.note(key ?? main, asset, value, lock);
}

export async function deposit(run: PoolRun): Promise<void> {
  const asset = run.dice.pick(run.assets);
  const made = drawNote(run, asset, drawValue(run, asset), true);
  const from = anyone(run);
  const { note } = made;
  run.describe(`deposit of ${amountText(run, asset, note.value)}${note.lock ? ', locked' : ''} by ${from}`);
  const call = run.client.depositCall(asset, note.value, stealthOf(note), run.bytes(DEPOSIT_CIPHERTEXT_BYTES));
  if (run.model.depositsPaused) {
    run.count('deposit while paused');
    return run.refuse('DepositsArePaused', call, from);
  }
  run.count(`deposit of ${asset === NATIVE_ASSET ? 'native currency' : 'a token'}`);
  if (note.lock !== undefined) run.count('deposit of a locked note');
  await run.accept(call, from);
  run.model.deposit(made, run.time);
}

function drawInputs(run: PoolRun): HeldNote[] {
  const notes = spendable(run);
  const first = run.dice.pickIfAny(notes.filter(({ note }) => note.value > 0n));
  if (first === undefined) return [];
  const alone = run.dice.chance(1, isCrowded(run) ? 8 : 2);
  const second = alone ? undefined : run.dice.pickIfAny(notes.filter((other) => isBeside(first, other)));
  return second === undefined ? [first] : [first, second];
}

function drawPayment(run: PoolRun, asset: bigint, total: bigint): Payment | undefined {
  if (!run.dice.chance(isCrowded(run) ? 3 : 1, 4)) return undefined;
  const most = total > AMOUNT_MAX ? AMOUNT_MAX : total;
  const amount = run.dice.chance(1, 2) ? most : run.dice.between(1n, most);
  const [recipient, relayer] = run.dice.shuffled(run.payees) as [bigint, bigint];
  // Half of them go without a relayer; of the fees some are everything.
  const fee = run.dice.pick([0n, 0n, run.dice.between(0n, amount), amount]);
  return { asset, amount, recipient, relayer: fee === 0n ? 0n : relayer, fee };
}

/** Three notes that are worth `total`: 0 to 3 of them are worth something. */
function drawOutputs(run: PoolRun, asset: bigint, total: bigint): NewNote[] {
  const values: bigint[] = [];
  let rest = total;
  while (values.length < TRANSFER_OUTPUTS - 1 && rest > 0n) {
    const least = rest > AMOUNT_MAX ? rest - AMOUNT_MAX : 1n;
    const most = rest > AMOUNT_MAX ? AMOUNT_MAX : rest;
    values.push(run.dice.chance(isCrowded(run) ? 2 : 1, 3) ? most : run.dice.between(least, most));
    rest -= values.at(-1) ?? 0n;
  }
  values.push(rest);
  const notes = values.map((value) => (value === 0n ? drawEmpty(run, asset) : drawNote(run, asset, value, true)));
  while (notes.length < TRANSFER_OUTPUTS) notes.push(drawEmpty(run, asset));
  return run.dice.shuffled(notes);
}

/** Worth nothing; some belong to somebody, who may spend them. */
function drawEmpty(run: PoolRun, asset: bigint): NewNote {
  return run.dice.chance(1, 10) ? drawNote(run, asset, 0n, false) : run.nothing(asset);
}

function drawValidAfter(run: PoolRun, inputs: readonly HeldNote[]): bigint {
  const expiry = inputs.reduce(
    (latest, { note: { lock } }) => (lock && lock.expiry > latest ? lock.expiry : latest),
    0n,
  );
  const hour = run.time - (run.time % VALID_AFTER_GRID_SECONDS);
  return run.dice.pick([hour, run.time, expiry].filter((time) => time >= expiry));
}

function drawTransfer(run: PoolRun): Wish {
  // Anybody may send what spends nothing and makes nothing.
  const inputs = run.dice.chance(1, 50) ? [] : drawInputs(run);
  const [first] = inputs;
  const key = first?.key ?? run.dice.pick(run.actors).main;
  const asset = first?.note.asset ?? run.dice.pick(run.assets);
  const total = inputs.reduce((sum, { note }) => sum + note.value, 0n);
  const payment = total === 0n ? undefined : drawPayment(run, asset, total);
  const rest = total - (payment?.amount ?? 0n);
  return {
    key,
    asset,
    inputs: inputs.map((held) => run.spend(held)),
    outputs: drawOutputs(run, asset, rest),
    payment,
    validAfter: drawValidAfter(run, inputs),
    root: newestRoot(run),
  };
}

/** Counts what a transfer is, which may be several things. */
function countTransfer(run: PoolRun, { key, asset, inputs, outputs, payment }: Wish): void {
  const made = outputs.filter(({ note }) => note.value > 0n);
  const isOwn = (output: NewNote) => output.key !== undefined && run.actorOf(output.key) === run.actorOf(key);
  const actual: Record<string, boolean> = {
    'transfer to others': made.some((output) => !isOwn(output)),
    'transfer to oneself': made.length > 0 && made.every(isOwn),
    'merge of two notes': inputs.length === 2 && made.length === 1 && payment === undefined,
    'split into three notes': made.length === 3,
    'transfer with a locked output': made.some(({ note }) => note.lock !== undefined),
    'transfer of an expired locked note': inputs.some(({ note }) => note.lock !== undefined),
    'transfer of nothing': inputs.length === 0,
    'transfer beside a note worth nothing': inputs.length === 2 && inputs.some(({ note }) => note.value === 0n),
    'withdrawal of native currency': payment !== undefined && asset === NATIVE_ASSET,
    'withdrawal of a token': payment !== undefined && asset !== NATIVE_ASSET,
    'withdrawal without a fee': payment?.fee === 0n,
    'withdrawal with a fee': payment !== undefined && payment.fee > 0n,
    'withdrawal of everything': payment !== undefined && made.length === 0,
    'withdrawal with change': payment !== undefined && made.length > 0,
  };
  for (const [name, is] of Object.entries(actual)) if (is) run.count(name);
}

export function describeTransfer(run: PoolRun, { key, asset, inputs, outputs, payment, validAfter }: Wish): void {
  const from = inputs.map(({ leaf, note }) => `leaf ${leaf} (${amountText(run, asset, note.value)})`).join(' and ');
  const to = outputs.filter(({ note }) => note.value > 0n).map(({ note }) => amountText(run, asset, note.value));
  const paid = payment === undefined ? '' : `, withdrawing ${amountText(run, asset, payment.amount)}`;
  run.describe(
    `actor ${run.actorOf(key)}: ${from || 'nothing'} into ${to.join(', ') || 'nothing'}${paid}, valid after ${validAfter}`,
  );
}

export async function transfer(run: PoolRun): Promise<void> {
  // Before the first insertion there is no root to prove anything under.
  if (run.model.roots.length === 0) return deposit(run);
  const wish = drawTransfer(run);
  describeTransfer(run, wish);
  const ready = await run.proveTransfer(wish);
  if (run.heldTransfers.length < HELD_MAX && run.dice.chance(1, 5)) {
    run.count('transfer held back');
    run.heldTransfers.push(ready);
    return;
  }
  if (run.dice.chance(1, 2)) await alter(run, ready);
  countTransfer(run, wish);
  await run.acceptTransfer(ready, anyone(run));
}

/** Sends a transfer that was proven earlier, under a root that may be an old one. Its notes may have been spent since. */
export async function sendHeld(run: PoolRun): Promise<void> {
  const ready = run.dice.pickIfAny(run.heldTransfers);
  if (ready === undefined) return transfer(run);
  run.heldTransfers = run.heldTransfers.filter((held) => held !== ready);
  run.describe('a transfer that was held back');
  if (ready.effect.nullifiers.some((nullifier) => run.model.spentFrom.has(nullifier))) {
    run.count('transfer that lost a race');
    return run.refuse('NullifierSpent', run.client.transferCall(ready.transfer), anyone(run));
  }
  run.count(ready.transfer.shown.root === newestRoot(run) ? 'transfer sent later' : 'transfer under an old root');
  await run.acceptTransfer(ready, anyone(run));
}

export async function close(run: PoolRun): Promise<void> {
  const closableAt = run.model.openedAt + BUCKET_AGE_SECONDS;
  if (run.model.openLeaves === 0) return deposit(run);
  // The first moment at which it can be closed.
  if (run.nextTime < closableAt) run.waitUntil(closableAt);
  run.describe(`closing bucket ${run.model.openBucket} with ${run.model.openLeaves} leaves`);
  run.count('closing');
  await run.accept(run.client.closeCall(), anyone(run));
  run.model.close();
  if (run.dice.chance(1, 3)) {
    await run.check();
    await attackBuckets(run);
  }
}

/** The insertion that was proven earlier for the bucket that is next, or one made now. */
export async function readyInsertion(run: PoolRun): Promise<ReadyInsertion | undefined> {
  if (run.heldInsertion?.bucket !== run.model.nextInsertion) run.heldInsertion = await run.proveInsertion();
  return run.heldInsertion;
}

export async function insert(run: PoolRun): Promise<void> {
  const wasHeld = run.heldInsertion?.bucket === run.model.nextInsertion;
  const ready = await readyInsertion(run);
  if (ready === undefined) return close(run);
  run.describe(`inserting bucket ${ready.bucket} with ${ready.leaves.length} leaves`);
  if (!wasHeld && run.dice.chance(1, 3)) {
    // Whatever happens to the queue in the meantime must not spoil it.
    run.count('insertion held back');
    return;
  }
  run.count(ready.leaves.length === BUCKET_LEAVES ? 'insertion of a full bucket' : 'insertion of a partial bucket');
  if (wasHeld) run.count('insertion sent later');
  await run.acceptInsertion(ready, anyone(run));
}

export async function wait(run: PoolRun): Promise<void> {
  const expiries = [...run.model.unspent.values()].flatMap(({ note: { lock } }) => (lock ? [lock.expiry] : []));
  const seconds = run.dice.pick([
    run.dice.between(1n, 120n),
    run.dice.between(1n, 7200n),
    run.dice.between(1n, DAY_SECONDS),
  ]);
  // The nearest one, so that the locks of trading accounts last for some settlements.
  const next = expiries.filter((expiry) => expiry > run.nextTime).sort((left, right) => Number(left - right))[0];
  const until = next !== undefined && run.dice.chance(1, 2) ? next : run.time + seconds;
  run.describe(`waiting until ${until}`);
  run.count('waiting');
  run.waitUntil(until);
}

// --- roles ------------------------------------------------------------------------------------------------------------

export async function govern(run: PoolRun): Promise<void> {
  const isUnpausing = run.operations.some(({ kind }) => kind === 'unpause');
  if (run.operations.length > 0 && run.dice.chance(1, 2)) return execute(run, run.dice.pick(run.operations));
  if (run.model.depositsPaused && !isUnpausing) return schedule(run, 'unpause');
  if (run.model.depositsPaused || run.dice.chance(1, 2))
    return schedule(run, run.dice.pick(['unpause', 'set guardian']));
  run.describe('pausing deposits');
  run.count('pausing');
  await run.accept(run.call('pauseDeposits', []), formatAccount(run.model.guardian));
  run.model.depositsPaused = true;
}

async function schedule(run: PoolRun, kind: Operation['kind']): Promise<void> {
  const guardian = BigInt(run.dice.pick(run.actors).account);
  const { data } =
    kind === 'unpause' ? run.call('unpauseDeposits', []) : run.call('setGuardian', [formatAccount(guardian)]);
  const salt = toBeHex(run.dice.random.field(), 32);
  const delay = TIMELOCK_SECONDS_MIN + run.dice.between(0n, DAY_SECONDS);
  const pool = formatAccount(run.client.address);
  run.describe(`scheduling ${kind}`);
  run.count(`scheduling ${kind}`);
  await run.accept(run.timelockCall('schedule', [pool, 0n, data, ZeroHash, salt, delay]), run.governor);
  run.operations.push({ kind, data, salt, readyAt: run.time + delay, guardian });
}

async function execute(run: PoolRun, operation: Operation): Promise<void> {
  run.describe(`executing ${operation.kind}`);
  run.count(`executing ${operation.kind}`);
  run.waitUntil(operation.readyAt);
  await run.accept(run.executeCall(operation), anyone(run));
  run.operations = run.operations.filter((other) => other !== operation);
  run.doneOperations.push(operation);
  if (operation.kind === 'unpause') run.model.depositsPaused = false;
  else run.model.guardian = operation.guardian;
}

// --- hostile steps ----------------------------------------------------------------------------------------------------

export const TABLES = {
  deposit: BAD_DEPOSITS,
  'altered transfer': ALTERATIONS,
  'forged transfer': FORGERIES,
  'false statement': FALSE_STATEMENTS,
  insertion: BAD_INSERTIONS,
  bucket: BUCKET_ATTACKS,
  role: TRESPASSES,
} as const;

export const countName = (group: string, name: string) => `refused: ${group}: ${name}`;

/** Tries the entries of a table, those first that were tried least, until one fits the present state. */
export async function tryRarest<Entry>(
  run: PoolRun,
  group: string,
  table: Readonly<Record<string, Entry>>,
  attempt: (entry: Entry) => Promise<boolean>,
): Promise<void> {
  const entries = run.dice.shuffled(Object.entries(table));
  const counted = (name: string) => run.counted(countName(group, name));
  entries.sort(([left], [right]) => counted(left) - counted(right));
  for (const [name, entry] of entries) {
    run.describe(`${group}: ${name}`);
    if (await attempt(entry)) return run.count(countName(group, name));
    run.retract();
  }
  return deposit(run);
}

export async function attempted(run: PoolRun, attempt: Attempt | undefined): Promise<boolean> {
  if (attempt === undefined) return false;
  await run.refuse(attempt.expected, attempt.call, attempt.from ?? anyone(run));
  return true;
}

function alter(run: PoolRun, { transfer: proven }: ReadyTransfer): Promise<void> {
  return tryRarest(run, 'altered transfer', ALTERATIONS, async (alteration) => {
    const result = alteration(proven, run);
    if (result === undefined) return false;
    return attempted(run, { expected: result.expected, call: run.client.transferCall(result.altered) });
  });
}

export type Step = (run: PoolRun) => Promise<void>;

export const attackDeposits: Step = (run) =>
  tryRarest(run, 'deposit', BAD_DEPOSITS, async (attack) => attempted(run, await attack(run)));
export const attackBuckets: Step = (run) =>
  tryRarest(run, 'bucket', BUCKET_ATTACKS, async (attack) => attempted(run, await attack(run)));
export const attackRoles: Step = (run) =>
  tryRarest(run, 'role', TRESPASSES, async (attack) => attempted(run, await attack(run)));
export const forgeTransfer: Step = (run) =>
  tryRarest(run, 'forged transfer', FORGERIES, async (attack) => attempted(run, await attack(run)));

export async function attackInsertion(run: PoolRun): Promise<void> {
  const honest = await readyInsertion(run);
  if (honest === undefined) return close(run);
  return tryRarest(run, 'insertion', BAD_INSERTIONS, async (attack) => attempted(run, await attack(honest, run)));
}

export function stateFalsely(run: PoolRun): Promise<void> {
  return tryRarest(run, 'false statement', FALSE_STATEMENTS, async (make) => {
    const input = make(run);
    if (input === undefined) return false;
    const isFalse = (error: unknown) => error instanceof BitcloakError && error.code === 'STATEMENT_FALSE';
    await assert.rejects(run.prover.prove('transfer', input), isFalse);
    return true;
  });
}

export async function alterHeld(run: PoolRun): Promise<void> {
  const ready = run.dice.pickIfAny(run.heldTransfers);
  return ready === undefined ? sendHeld(run) : alter(run, ready);
}
