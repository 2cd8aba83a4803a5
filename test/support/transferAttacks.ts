// Transfers that a pool or a prover must refuse. Every entry is wrong in one way and names the refusal; where it does not fit the run's present
// state it makes nothing.
import type { Call, ProvenTransfer } from '@bitcloak/chain/pool';
import { bindShown, shownValues, type TransferInput } from '@bitcloak/notes/transfer';
import {
  AMOUNT_MAX,
  BUCKET_LEAVES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  TREE_DEPTH,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { SparseTree } from './circuit.ts';
import { commitmentOf, type HeldNote, type NewNote, type Payment } from './poolModel.ts';
import type { PoolRun, Wish } from './poolRun.ts';

export type Attempt = { readonly expected: string; readonly call: Call; readonly from?: string };
export type Attack = (run: PoolRun) => Attempt | undefined | Promise<Attempt | undefined>;

const BASE_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
export const flip = (value: bigint) => value ^ 1n;
/** The same list with another value in one place. */
export const withOne = <T>(list: readonly T[], index: number, value: T) =>
  list.map((old, at) => (at === index ? value : old));
/** Notes that can be spent with the next block; those that are worth nothing are among them. */
export function spendable(run: PoolRun): HeldNote[] {
  const isFree = ({ note }: HeldNote) => note.lock === undefined || note.lock.expiry <= run.time;
  return [...run.model.unspent.values()].filter((held) => run.model.isInTree(held.leaf) && isFree(held));
}

/** Three notes of `key` that are worth `total`. */
export function outputsOf(run: PoolRun, held: Pick<HeldNote, 'key' | 'note'>, total: bigint): NewNote[] {
  const { asset } = held.note;
  const first = total > AMOUNT_MAX ? AMOUNT_MAX : total;
  return [run.note(held.key, asset, first), run.note(held.key, asset, total - first), run.nothing(asset)];
}

/** Whether one transfer can spend both. */
export function isBeside(left: HeldNote, right: HeldNote): boolean {
  return left.leaf !== right.leaf && left.key === right.key && left.note.asset === right.note.asset;
}

/** Before the first insertion this is the root of an empty tree, which the pool does not know. */
export function newestRoot(run: PoolRun): bigint {
  return run.model.tree.root;
}

function payment(run: PoolRun, asset: bigint, amount: bigint): Payment {
  return { asset, amount, recipient: run.dice.pick(run.payees), relayer: 0n, fee: 0n };
}

// --- transfers that were altered after proving ------------------------------------------------------------------------

type Alteration = (transfer: ProvenTransfer, run: PoolRun) => { expected: string; altered: ProvenTransfer } | undefined;

type Shown = ProvenTransfer['shown'];
type ExtData = ProvenTransfer['extData'];

function shows(expected: string, transfer: ProvenTransfer, change: Partial<Shown>) {
  return { expected, altered: { ...transfer, shown: { ...transfer.shown, ...change } } };
}

function carries(expected: string, transfer: ProvenTransfer, change: Partial<ExtData>) {
  return { expected, altered: { ...transfer, extData: { ...transfer.extData, ...change } } };
}

const pays = ({ shown }: ProvenTransfer) => shown.withdrawAmount > 0n;
const otherPayee = (run: PoolRun, payee: bigint) => run.dice.pick(run.payees.filter((other) => other !== payee));

export const ALTERATIONS: Readonly<Record<string, Alteration>> = {
  'another proof': (transfer, { dice }) => {
    const word = dice.int(transfer.proof.length);
    const proof = withOne(transfer.proof, word, flip(transfer.proof[word] as bigint));
    return { expected: 'InvalidProof', altered: { ...transfer, proof } };
  },
  'a coordinate outside its field': (transfer, { dice }) => {
    const proof = withOne(transfer.proof, dice.int(transfer.proof.length), BASE_MODULUS);
    return { expected: 'PrecompileFailed', altered: { ...transfer, proof } };
  },
  'a root that never was': (transfer, { dice }) => shows('UnknownRoot', transfer, { root: dice.random.field() }),
  'a root of another time': (transfer, run) => {
    const root = run.dice.pickIfAny(run.model.roots.filter((other) => other !== transfer.shown.root));
    return root === undefined ? undefined : shows('InvalidProof', transfer, { root });
  },
  'another message': (transfer, { dice }) => shows('InvalidProof', transfer, { message: dice.random.field() }),
  'an alias of the message': (transfer) => {
    return shows('SignalNotInField', transfer, { message: transfer.shown.message + FIELD_MODULUS });
  },
  'another nullifier': (transfer, { dice }) => {
    const nullifiers = withOne<bigint>(transfer.shown.nullifiers, dice.int(2), dice.random.field());
    return shows('InvalidProof', transfer, { nullifiers: nullifiers as Shown['nullifiers'] });
  },
  'one nullifier twice': (transfer, { dice }) => {
    const nullifier = dice.pick(transfer.shown.nullifiers);
    return shows('InvalidProof', transfer, { nullifiers: [nullifier, nullifier] });
  },
  'an alias of a nullifier': (transfer, { dice }) => {
    const index = dice.int(2);
    const alias = (transfer.shown.nullifiers[index] as bigint) + FIELD_MODULUS;
    const nullifiers = withOne<bigint>(transfer.shown.nullifiers, index, alias) as Shown['nullifiers'];
    return shows('NotInField', transfer, { nullifiers });
  },
  'another commitment': (transfer, run) => {
    const index = run.dice.int(3);
    const { note } = run.note(run.dice.pick(run.actors).main, NATIVE_ASSET, AMOUNT_MAX);
    const commitments = withOne<bigint>(transfer.shown.commitments, index, commitmentOf(note));
    return shows('InvalidProof', transfer, { commitments: commitments as Shown['commitments'] });
  },
  'commitments in another order': (transfer) => {
    return shows('InvalidProof', transfer, { commitments: [...transfer.shown.commitments].reverse() });
  },
  'an alias of a commitment': (transfer, { dice }) => {
    const index = dice.int(3);
    const alias = (transfer.shown.commitments[index] as bigint) + FIELD_MODULUS;
    const commitments = withOne<bigint>(transfer.shown.commitments, index, alias) as Shown['commitments'];
    return shows('NotInField', transfer, { commitments });
  },
  'another amount': (transfer) => {
    const { withdrawAmount } = transfer.shown;
    if (!pays(transfer)) return undefined;
    return shows('InvalidProof', transfer, {
      withdrawAmount: withdrawAmount === AMOUNT_MAX ? withdrawAmount - 1n : withdrawAmount + 1n,
    });
  },
  'an amount out of range': (transfer, { dice }) => {
    if (!pays(transfer)) return undefined;
    const excess = dice.pick([AMOUNT_MAX + 1n, FIELD_MODULUS]);
    return shows('AmountOutOfRange', transfer, { withdrawAmount: transfer.shown.withdrawAmount + excess });
  },
  'a withdrawal where there is none': (transfer, run) => {
    if (pays(transfer)) return undefined;
    const { altered } = carries('', transfer, { recipient: run.dice.pick(run.payees) });
    return shows('InvalidProof', altered, { withdrawAmount: 1n, publicAsset: run.dice.pick(run.assets) });
  },
  'an amount without an asset': (transfer) => {
    if (pays(transfer)) return shows('PublicAsset', transfer, { publicAsset: 0n });
    return shows('PublicAsset', transfer, { withdrawAmount: 1n, publicAsset: 0n });
  },
  'an asset without an amount': (transfer, run) => {
    if (pays(transfer)) return undefined;
    return shows('PublicAsset', transfer, { publicAsset: run.dice.pick(run.assets) });
  },
  'another asset': (transfer, run) => {
    if (!pays(transfer)) return undefined;
    return shows('InvalidProof', transfer, { publicAsset: otherAsset(run, transfer.shown.publicAsset) });
  },
  'an earlier time': (transfer, { dice }) => {
    const { validAfter } = transfer.shown;
    return validAfter === 0n
      ? undefined
      : shows('InvalidProof', transfer, { validAfter: validAfter - dice.between(1n, validAfter) });
  },
  'a time to come': (transfer, run) => {
    return shows('NotYetValid', transfer, { validAfter: run.nextTime + run.dice.pick([1n, 3600n, FIELD_MODULUS]) });
  },
  'another recipient': (transfer, run) => {
    if (!pays(transfer)) return undefined;
    return carries('InvalidProof', transfer, { recipient: otherPayee(run, transfer.extData.recipient) });
  },
  'no recipient': (transfer) => (pays(transfer) ? carries('Recipient', transfer, { recipient: 0n }) : undefined),
  'a recipient of nothing': (transfer, run) => {
    return pays(transfer) ? undefined : carries('Recipient', transfer, { recipient: run.dice.pick(run.payees) });
  },
  'the pool as recipient': (transfer, run) => carries('Recipient', transfer, { recipient: run.client.address }),
  'another relayer': (transfer, run) => {
    const { fee, relayer } = transfer.extData;
    return fee === 0n ? undefined : carries('InvalidProof', transfer, { relayer: otherPayee(run, relayer) });
  },
  'a relayer without a fee': (transfer, run) => {
    return carries('Relayer', transfer, { fee: 0n, relayer: run.dice.pick(run.payees) });
  },
  'a fee without a relayer': (transfer) => {
    return pays(transfer) ? carries('Relayer', transfer, { fee: 1n, relayer: 0n }) : undefined;
  },
  'the pool as relayer': (transfer, run) => {
    return pays(transfer) ? carries('Relayer', transfer, { fee: 1n, relayer: run.client.address }) : undefined;
  },
  'another fee': (transfer, run) => {
    const { fee, relayer } = transfer.extData;
    if (fee === transfer.shown.withdrawAmount) return undefined;
    return carries('InvalidProof', transfer, {
      fee: fee + 1n,
      relayer: relayer === 0n ? run.dice.pick(run.payees) : relayer,
    });
  },
  'a fee above the amount': (transfer, run) => {
    return carries('FeeAboveAmount', transfer, {
      fee: transfer.shown.withdrawAmount + 1n,
      relayer: run.dice.pick(run.payees),
    });
  },
  'another ciphertext': (transfer, { dice }) => {
    const ciphertext = Uint8Array.from(transfer.extData.ciphertext);
    const place = dice.int(ciphertext.length);
    ciphertext[place] = (ciphertext[place] as number) ^ (1 << dice.int(8));
    return carries('InvalidProof', transfer, { ciphertext });
  },
  'a ciphertext of another length': (transfer, run) => {
    const { ciphertext } = transfer.extData;
    const other = run.dice.pick([ciphertext.slice(1), Uint8Array.of(...ciphertext, 0), new Uint8Array()]);
    return carries('CiphertextLength', transfer, { ciphertext: other });
  },
};

// --- statements that are true and change nothing ----------------------------------------------------------------------

/** A real witness for a call that the pool must refuse all the same. */
async function proven(run: PoolRun, expected: string, wish: Wish): Promise<Attempt> {
  const { transfer } = await run.proveTransfer(wish);
  return { expected, call: run.client.transferCall(transfer) };
}

function simpleWish(run: PoolRun, held: HeldNote): Wish {
  const { note, key } = held;
  return {
    key,
    asset: note.asset,
    inputs: [run.spend(held)],
    outputs: outputsOf(run, held, note.value),
    validAfter: run.time,
    root: newestRoot(run),
  };
}

const worthSomething = ({ note }: HeldNote) => note.value > 0n;

function lockedInTree(run: PoolRun): HeldNote | undefined {
  const locked = [...run.model.unspent.values()].filter((held) => {
    const { lock } = held.note;
    return (
      lock !== undefined && lock.expiry > run.nextTime + 2n && worthSomething(held) && run.model.isInTree(held.leaf)
    );
  });
  return run.dice.pickIfAny(locked);
}

export const FORGERIES: Readonly<Record<string, Attack>> = {
  'the same transfer again': (run) => {
    const sent = run.dice.pickIfAny(run.sentTransfers);
    return sent === undefined ? undefined : { expected: 'NullifierSpent', call: run.client.transferCall(sent) };
  },
  'a note as both inputs': (run) => {
    const held = run.dice.pickIfAny(spendable(run).filter(worthSomething));
    if (held === undefined) return undefined;
    const { note } = held;
    const inputs = [run.spend(held), run.spend(held)];
    // Where a single note cannot hold twice the value, three can.
    return proven(run, 'NullifierSpent', {
      ...simpleWish(run, held),
      inputs,
      outputs: outputsOf(run, held, 2n * note.value),
    });
  },
  'a note that was spent': (run) => {
    const held = run.dice.pickIfAny(run.spentNotes.filter(({ note }) => note.lock === undefined));
    return held === undefined ? undefined : proven(run, 'NullifierSpent', simpleWish(run, held));
  },
  'a spent note beside another': (run) => {
    const free = spendable(run);
    const pairs = run.spentNotes
      .filter(({ note }) => note.lock === undefined)
      .flatMap((left) => free.filter((right) => isBeside(left, right)).map((right) => ({ left, right })));
    const pair = run.dice.pickIfAny(pairs);
    if (pair === undefined) return undefined;
    const { left, right } = pair;
    const outputs = outputsOf(run, left, left.note.value + right.note.value);
    return proven(run, 'NullifierSpent', {
      ...simpleWish(run, left),
      inputs: [run.spend(left), run.spend(right)],
      outputs,
    });
  },
  'a locked note before its expiry': (run) => {
    const held = lockedInTree(run);
    if (held === undefined) return undefined;
    return proven(run, 'NotYetValid', { ...simpleWish(run, held), validAfter: held.note.lock?.expiry ?? 0n });
  },
  'a withdrawal of a locked note before its expiry': (run) => {
    const held = lockedInTree(run);
    if (held === undefined) return undefined;
    const { asset, value } = held.note;
    const outputs = outputsOf(run, held, 0n);
    const wish = { ...simpleWish(run, held), outputs, payment: payment(run, asset, value) };
    return proven(run, 'NotYetValid', { ...wish, validAfter: held.note.lock?.expiry ?? 0n });
  },
  'a note of a tree of its own': (run) => {
    const { dice } = run;
    const asset = dice.pick(run.assets);
    const { main: key } = dice.pick(run.actors);
    const { note } = run.note(key, asset, AMOUNT_MAX);
    const leaf = dice.int(TREE_LEAVES);
    const tree = new SparseTree(TREE_DEPTH).set(leaf, commitmentOf(note));
    const inputs = [{ note, leaf, path: tree.path(leaf) as unknown as Wish['inputs'][number]['path'] }];
    const outputs = outputsOf(run, { key, note }, 0n);
    const wish = { key, asset, inputs, outputs, payment: payment(run, asset, AMOUNT_MAX), validAfter: 0n };
    return proven(run, 'UnknownRoot', { ...wish, root: tree.root });
  },
  'a transfer for another chain': (run) => {
    const held = run.dice.pickIfAny(spendable(run));
    return held === undefined ? undefined : proven(run, 'InvalidProof', { ...simpleWish(run, held), chainId: 1n });
  },
  'a transfer for another pool': (run) => {
    const held = run.dice.pickIfAny(spendable(run));
    const pool = run.assets[1] as bigint;
    return held === undefined ? undefined : proven(run, 'InvalidProof', { ...simpleWish(run, held), pool });
  },
  'native currency to what takes none': (run) => {
    const held = run.dice.pickIfAny(
      spendable(run).filter((free) => worthSomething(free) && free.note.asset === NATIVE_ASSET),
    );
    if (held === undefined) return undefined;
    const { asset, value } = held.note;
    const refusing = { ...payment(run, asset, value), recipient: run.assets[1] as bigint };
    return proven(run, 'FailedCall', {
      ...simpleWish(run, held),
      outputs: outputsOf(run, held, 0n),
      payment: refusing,
    });
  },
};

// --- statements that are false ----------------------------------------------------------------------------------------

function falsified(
  run: PoolRun,
  held: HeldNote | undefined,
  change: (held: HeldNote) => Partial<Wish>,
): TransferInput | undefined {
  return held === undefined ? undefined : run.build({ ...simpleWish(run, held), ...change(held) }).input;
}

/** Binds and signs what a transfer shows, whatever was changed in it. */
function signedAnew({ key }: HeldNote, input: TransferInput): TransferInput {
  const bound = bindShown(input.root, shownValues(input));
  const { r8, s } = key.sign(bound.message);
  return { ...input, ...bound, signatureR8: [r8.x, r8.y], signatureS: s };
}

const otherAsset = (run: PoolRun, asset: bigint) => run.dice.pick(run.assets.filter((other) => other !== asset));
const anyWorthSomething = (run: PoolRun) => run.dice.pickIfAny(spendable(run).filter(worthSomething));

/** Inputs of the transfer circuit for which no witness may exist. */
export const FALSE_STATEMENTS: Readonly<Record<string, (run: PoolRun) => TransferInput | undefined>> = {
  'more comes out than goes in': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => ({ outputs: outputsOf(run, held, held.note.value + 1n) }));
  },
  'less comes out than goes in': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => ({ outputs: outputsOf(run, held, held.note.value - 1n) }));
  },
  'a negative note comes out': (run) => {
    return falsified(run, anyWorthSomething(run), ({ key, note: { asset, value } }) => {
      const outputs = [run.note(key, asset, value), run.note(key, asset, 5n), run.note(key, asset, FIELD_MODULUS - 5n)];
      return { outputs };
    });
  },
  'the note is of another asset': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => {
      const asset = otherAsset(run, held.note.asset);
      const note = { ...held.note, asset };
      const outputs = outputsOf(run, { ...held, note }, 0n);
      return { asset, inputs: [{ ...run.spend(held), note }], outputs, payment: payment(run, asset, note.value) };
    });
  },
  'the withdrawal is of another asset': (run) => {
    const held = anyWorthSomething(run);
    if (held === undefined) return undefined;
    const { asset, value } = held.note;
    const wish = { ...simpleWish(run, held), outputs: outputsOf(run, held, 0n), payment: payment(run, asset, value) };
    return signedAnew(held, { ...run.build(wish).input, publicAsset: otherAsset(run, asset) });
  },
  'a note comes out of another asset': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => {
      const asset = otherAsset(run, held.note.asset);
      return { outputs: outputsOf(run, { ...held, note: { ...held.note, asset } }, held.note.value) };
    });
  },
  'the note is another owner’s': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => {
      const thief = run.dice.pick(run.actors.filter(({ main, trading }) => ![main, ...trading].includes(held.key)));
      const outputs = outputsOf(run, { ...held, key: thief.main }, held.note.value);
      return { key: thief.main, outputs };
    });
  },
  'the note stands in another place': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => {
      const spent = run.spend(held);
      return { inputs: [{ ...spent, leaf: (held.leaf + 1 + run.dice.int(BUCKET_LEAVES)) % TREE_LEAVES }] };
    });
  },
  'the note is not in the tree yet': (run) => {
    const waiting = [...run.model.unspent.values()].filter(
      (held) => worthSomething(held) && held.note.lock === undefined && !run.model.isInTree(held.leaf),
    );
    return falsified(run, run.dice.pickIfAny(waiting), () => ({}));
  },
  'the note is worth more': (run) => {
    return falsified(run, anyWorthSomething(run), (held) => {
      const note = { ...held.note, value: held.note.value + 1n };
      const outputs = outputsOf(run, held, note.value);
      return { inputs: [{ ...run.spend(held), note }], outputs };
    });
  },
  'the lock has not expired': (run) => falsified(run, lockedInTree(run), () => ({ validAfter: run.time })),
  'the lock has an earlier expiry': (run) => {
    return falsified(run, lockedInTree(run), (held) => {
      const note = { ...held.note, lock: { operatorId: held.note.lock?.operatorId ?? 0n, expiry: run.time } };
      return { inputs: [{ ...run.spend(held), note }] };
    });
  },
  'the lock is left out': (run) => {
    return falsified(run, lockedInTree(run), (held) => {
      return { inputs: [{ ...run.spend(held), note: { ...held.note, lock: undefined } }] };
    });
  },
  'somebody else signed': (run) => {
    const held = anyWorthSomething(run);
    if (held === undefined) return undefined;
    const { input } = run.build(simpleWish(run, held));
    const other = run.dice.pick(run.actors.filter(({ main }) => main !== held.key));
    const { r8, s } = other.main.sign(input.message);
    return { ...input, signatureR8: [r8.x, r8.y], signatureS: s };
  },
  'something else was signed': (run) => {
    const held = anyWorthSomething(run);
    if (held === undefined) return undefined;
    const { input } = run.build(simpleWish(run, held));
    const { r8, s } = held.key.sign(run.dice.random.field());
    return { ...input, signatureR8: [r8.x, r8.y], signatureS: s };
  },
};
