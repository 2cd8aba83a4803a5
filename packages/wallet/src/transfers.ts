import { pathToRoot } from '@bitcloak/chain/bucketPaths';
import type { Ledger } from '@bitcloak/chain/ledger';
import type { ProvenTransfer } from '@bitcloak/chain/pool';
import { isPublicKey } from '@bitcloak/crypto/x25519';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { extDataHash } from '@bitcloak/notes/extData';
import { ACCOUNT_INDEX_MAX, type ViewingKey } from '@bitcloak/notes/keys';
import { OutputMaker, type LockedOutput } from '@bitcloak/notes/outputs';
import { buildTransfer, type SpentNote } from '@bitcloak/notes/transfer';
import { placeOf } from '@bitcloak/notes/tree';
import type { Prover } from '@bitcloak/prover/proof';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { FIELD_MODULUS, LOCK_SECONDS_MAX } from '@bitcloak/protocol/parameters';
import type { WalletKeys } from './walletKeys.ts';
import type { OwnedNote } from './walletState.ts';

const DAY_SECONDS = 86_400n;

/** A lock as its owner asks for it. */
export type LockRequest = {
  readonly operatorId: bigint;
  /** Unix seconds of block time. */
  readonly expiry: bigint;
  /** The operator's X25519 key of the era, where it is to be told of the note. */
  readonly operatorKey?: Uint8Array | undefined;
  /** Which of the operator's trading accounts; 0 unless given. */
  readonly index?: number;
};

/** What a transfer is for. What the inputs are worth beyond it comes back to the wallet as change. */
export type Intent = {
  readonly asset: bigint;
  /** One or two notes of one owner under one tree. */
  readonly inputs: readonly OwnedNote[];
  readonly output?:
    { kind: 'payment'; value: bigint; to: ShieldedAddress } | { kind: 'locked'; value: bigint; locked: LockedOutput };
  readonly withdrawal?: { amount: bigint; recipient: bigint };
  /** What a relayer gets: out of the withdrawal where there is one, else as a note to its shielded address. */
  readonly fee: { amount: bigint; account: bigint; address: ShieldedAddress } | undefined;
};

type Context = {
  readonly keys: WalletKeys;
  readonly prover: Prover;
  readonly ledger: Ledger;
  readonly chainId: bigint;
  readonly pool: bigint;
  readonly validAfter: bigint;
};

/** Checks a lock and derives the trading account that it is made for. Throws `LOCK_INVALID` or `OPERATOR_ID_INVALID`. */
export function lockedOutput(viewing: ViewingKey, request: LockRequest, blockTime: bigint): LockedOutput {
  const { operatorId, expiry, operatorKey, index = 0 } = request;
  if (operatorId <= 0n || operatorId >= FIELD_MODULUS) {
    throw new BitcloakError('OPERATOR_ID_INVALID', 'operator id: expected a field element above 0');
  }
  if (expiry <= blockTime || expiry > blockTime + LOCK_SECONDS_MAX) {
    const now = new Date(Number(blockTime) * 1000).toISOString().slice(0, 16);
    const end = `at most ${LOCK_SECONDS_MAX / DAY_SECONDS} days after now (block time ${now}Z)`;
    const got = expiry <= blockTime ? 'one that is not later' : `${(expiry - blockTime - 1n) / DAY_SECONDS + 1n} days`;
    throw new BitcloakError('LOCK_INVALID', `lock: expected an end ${end}, got ${got}`);
  }
  if (!Number.isInteger(index) || index < 0 || index > ACCOUNT_INDEX_MAX) {
    throw new BitcloakError('LOCK_INVALID', `lock: expected the number of a trading account, got ${index}`);
  }
  if (operatorKey !== undefined && !isPublicKey(operatorKey)) {
    throw new BitcloakError('LOCK_INVALID', "lock: the operator's key is none that secrets can be shared with");
  }
  return { keys: viewing.tradingAccount(operatorId, index), index, lock: { operatorId, expiry }, operatorKey };
}

function spent(ledger: Ledger, owned: OwnedNote): SpentNote {
  const path = pathToRoot(owned, ledger);
  if (path === undefined) {
    throw new BitcloakError('NOTES_WAITING', `the note of leaf ${owned.leaf} waits for its insertion`);
  }
  return { note: owned.note, leaf: owned.leaf, path };
}

/** Makes the notes of a transfer and their ciphertext: what it is for, the change, a relayer's fee. */
function makeOutputs(intent: Intent, self: ShieldedAddress) {
  const { asset, inputs, output, withdrawal, fee } = intent;
  const maker = new OutputMaker(asset);
  const feeNote = withdrawal === undefined ? (fee?.amount ?? 0n) : 0n;
  const going = (output?.value ?? 0n) + (withdrawal?.amount ?? 0n) + feeNote;
  const change = inputs.reduce((sum, { note }) => sum + note.value, 0n) - going;
  if (change < 0n) throw new BitcloakError('BALANCE_INSUFFICIENT', `the notes lack ${-change} base units`);
  const first =
    output === undefined
      ? maker.nothing()
      : output.kind === 'payment'
        ? maker.plain(output.value, output.to, self.viewingKey)
        : maker.locked(output.value, output.locked, self.viewingKey);
  const notes = [
    first,
    change === 0n ? maker.nothing() : maker.plain(change, self),
    fee === undefined || feeNote === 0n ? maker.nothing() : maker.plain(feeNote, fee.address),
  ];
  return { notes, ciphertext: maker.ciphertext() };
}

/** Builds, signs and proves a transfer of the wallet's own notes. */
export async function proveTransfer(context: Context, intent: Intent): Promise<ProvenTransfer> {
  const { keys, ledger, chainId, pool, validAfter } = context;
  const { asset, inputs, withdrawal, fee } = intent;
  const [first] = inputs;
  if (first === undefined) throw new BitcloakError('BALANCE_INSUFFICIENT', 'there is no note to spend');
  const keyring = keys.keyring();
  const { account } = first;
  const { notes, ciphertext } = makeOutputs(intent, keys.address);
  const publicFee = withdrawal === undefined ? 0n : (fee?.amount ?? 0n);
  const extData = {
    recipient: withdrawal?.recipient ?? 0n,
    relayer: publicFee === 0n ? 0n : (fee?.account ?? 0n),
    fee: publicFee,
    ciphertext,
  };
  const input = buildTransfer({
    key: account === undefined ? keyring.spending : keyring.tradingAccount(account.operatorId, account.index),
    asset,
    inputs: inputs.map((owned) => spent(ledger, owned)),
    root: ledger.treeOf(placeOf(first.leaf).bucket)?.root() ?? 0n,
    outputs: notes,
    withdrawAmount: withdrawal?.amount ?? 0n,
    extDataHash: extDataHash(chainId, pool, extData),
    validAfter,
  });
  const { words } = await context.prover.prove('transfer', input);
  // What the circuit took holds the owner's secrets: nothing of it goes on but what everybody sees.
  const { root, message, nullifiers, commitments, withdrawAmount, publicAsset } = input;
  const shown = { root, message, nullifiers, commitments, withdrawAmount, publicAsset, validAfter };
  return { proof: words, shown, extData };
}
