// What the owners of notes find out from the chain by themselves: with no operator, no enclave and nothing kept of what it said.
import assert from 'node:assert/strict';
import type { PoolEvent } from '@bitcloak/chain/events';
import { openSlots } from '@bitcloak/crypto/noteEncryption';
import { readFill, type FillShown } from '@bitcloak/notes/fill';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { decodeMessage } from '@bitcloak/notes/message';
import { blindingFrom, type Lock, type Note } from '@bitcloak/notes/note';
import { FILL_LEAVES } from '@bitcloak/protocol/parameters';
import { commitmentOf, hold, type HeldNote, type ModelSettlement } from './poolModel.ts';
import { nullifiersOf, type Operator } from './poolParts.ts';
import type { PoolRun } from './poolRun.ts';

export type Settled = PoolEvent & { kind: 'settled' };

/** What a fill did, as the owner of a note that it spent reads it. */
export type Gains = {
  readonly sold: bigint;
  readonly bought: bigint;
  readonly change: Note;
  readonly proceeds: Note;
  /** Whose the proceeds are. */
  readonly payee: SpendingKey;
};

/** All keys of the one whose key it is. */
function keysBeside(run: PoolRun, key: SpendingKey): readonly SpendingKey[] {
  const actor = run.actors[run.actorOf(key)];
  return actor === undefined ? [key] : [key, actor.main, ...actor.trading];
}

/**
 * Reads a fill by its words.
 *
 * @param spent a note that the fill spent, or any other of its owner and asset.
 */
export function readGains(
  run: PoolRun,
  operatorId: bigint,
  shown: FillShown,
  spent: Pick<HeldNote, 'key' | 'note'>,
): Gains {
  const { key, note } = spent;
  const reading = readFill(shown, key.keys.nullifierKey);
  assert(reading !== undefined, 'the owner cannot read the words of a fill');
  const { sold, rest, bought, buyAsset, changeExpiry, relockExpiry, changeBlinding, proceedsBlinding } = reading;
  const lockUntil = (expiry: bigint): Lock | undefined => (expiry === 0n ? undefined : { operatorId, expiry });
  const change: Note = {
    asset: note.asset,
    value: rest,
    owner: key.keys.owner,
    blinding: changeBlinding,
    lock: lockUntil(changeExpiry),
  };
  assert.equal(commitmentOf(change), shown.change, 'the words do not open the change');
  const lock = lockUntil(relockExpiry);
  for (const payee of keysBeside(run, key)) {
    const proceeds: Note = {
      asset: buyAsset,
      value: bought,
      owner: payee.keys.owner,
      blinding: proceedsBlinding,
      lock,
    };
    if (commitmentOf(proceeds) === shown.proceeds) return { sold, bought, change, proceeds, payee };
  }
  throw new Error('the words do not open the proceeds');
}

/** The notes that an operator opens in a settlement of its own. */
export function readResiduals(
  { treasury }: Operator,
  { ciphertext, residuals, fills, firstLeaf }: Settled,
): HeldNote[] {
  const { spending, viewing } = treasury;
  return openSlots(viewing.agreement, ciphertext).map(({ slot, plaintext, secret }) => {
    const message = decodeMessage(plaintext);
    assert(message?.kind === 'received');
    const { asset, value } = message;
    const note = { asset, value, owner: spending.keys.owner, blinding: blindingFrom(secret), lock: undefined };
    const held = hold(note, spending, firstLeaf + fills.length * FILL_LEAVES + slot);
    assert.equal(held.commitment, residuals[slot], 'the ciphertext does not open a residual note');
    return held;
  });
}

/**
 * Compares the newest event, by what the owners and the operator read in it, with what the settlement was to do: nobody gets anything else, and
 * what the owners do not get is the operator's fee.
 */
export function checkReadings(run: PoolRun, operator: Operator, { fills }: ModelSettlement): void {
  const event = run.events.at(-1);
  assert(event?.kind === 'settled' && event.operator === operator.number);
  assert.equal(event.fills.length, fills.length);
  const fees = new Map<bigint, bigint>();
  const add = (asset: bigint, amount: bigint) => fees.set(asset, (fees.get(asset) ?? 0n) + amount);
  fills.forEach(({ order, sold, bought, change, proceeds }, index) => {
    const gains = readGains(run, operator.id, event.fills[index] as FillShown, { key: order.key, note: change.note });
    assert.deepEqual({ sold: gains.sold, bought: gains.bought }, { sold, bought }, 'what a fill sold and bought');
    assert.deepEqual([gains.change, gains.proceeds], [change.note, proceeds.note], 'what a fill made');
    add(gains.change.asset, gains.sold);
    add(gains.proceeds.asset, -gains.bought);
  });
  for (const { note } of readResiduals(operator, event)) add(note.asset, -note.value);
  for (const left of fees.values()) assert.equal(left, 0n, 'the operator gains its fees and nothing else');
}

/** Follows every owner's notes from fill to fill; those that were not spent and are worth something, by leaf. */
export function findNotes(run: PoolRun): Map<number, HeldNote> {
  const known = new Map(run.model.told.map((held) => [held.nullifier, held]));
  const spent = new Set<bigint>();
  const add = (held: HeldNote) => known.set(held.nullifier, held);
  for (const event of run.events) {
    for (const nullifier of nullifiersOf(event)) spent.add(nullifier);
    if (event.kind !== 'settled') continue;
    const operator = run.operators.find(({ number }) => number === event.operator);
    assert(operator !== undefined);
    event.fills.forEach((fill, index) => {
      const held = fill.nullifiers.map((nullifier) => known.get(nullifier)).find((own) => own !== undefined);
      if (held === undefined) return;
      const { change, proceeds, payee } = readGains(run, operator.id, fill, held);
      const leaf = event.firstLeaf + index * FILL_LEAVES;
      add(hold(change, held.key, leaf));
      add(hold(proceeds, payee, leaf + 1));
    });
    readResiduals(operator, event).forEach(add);
  }
  const left = [...known.values()].filter(({ nullifier, note }) => !spent.has(nullifier) && note.value > 0n);
  return new Map(left.map((held) => [held.leaf, held]));
}
