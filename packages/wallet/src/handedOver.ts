import { randomBytes } from 'node:crypto';
import { REORG_BLOCKS } from '@bitcloak/chain/follower';
import type { Nullifier } from '@bitcloak/notes/note';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { readFileIfPresent, writeFileWhole } from './files.ts';
import { seal, unseal } from './keystore.ts';
import type { OwnedNote } from './walletState.ts';

const FORMAT = 'bitcloak handed over 1';
const NONCE_BYTES = 12;

/** A transfer that somebody else has: he can have it land as long as its notes are unspent, since transfers do not expire. */
export type HandedTransfer = {
  readonly kind: 'payment' | 'withdrawal' | 'lock';
  readonly asset: bigint;
  readonly amount: bigint;
  /** Of its notes. */
  readonly nullifiers: readonly Nullifier[];
  /** When it was handed over, in unix seconds of block time. */
  readonly time: bigint;
};

type Kept = HandedTransfer & {
  readonly isOver: boolean;
  /** The newest block that was said to bear on it: an endpoint that stands before it may not know yet what became of the transfer. */
  readonly block: number;
};

/**
 * The payments, withdrawals and locks that a wallet gave to a relayer or an endpoint, encrypted, each on the disk before it is given away. None of it
 * can be found again from the seed, so a file that cannot be read is an error. What only moves notes to the wallet itself is not kept: it may land at
 * any time and nobody is paid by it.
 */
export class HandedOver {
  readonly #path: string;
  readonly #key: Uint8Array;
  readonly #associated: string;
  #kept: readonly Kept[] | undefined;

  /** @param network names chain, genesis and pool. */
  constructor(path: string, key: Uint8Array, network: string) {
    this.#path = path;
    this.#key = key;
    this.#associated = `${FORMAT} ${network}`;
  }

  /** What may still land of an asset, the oldest first. Throws `WALLET_CORRUPT`. */
  pending(asset: bigint): HandedTransfer[] {
    return this.#read().filter((kept) => kept.asset === asset && !kept.isOver);
  }

  /** Resolves when it is on the disk. @param block the newest when it was made. */
  add(transfer: HandedTransfer, block: number): void {
    // Tried again it is another transfer, and as good as the same one.
    const isSame = ({ kind, amount, nullifiers }: Kept) =>
      kind === transfer.kind && amount === transfer.amount && String(nullifiers) === String(transfer.nullifiers);
    this.#write([...this.#read().filter((kept) => !isSame(kept)), { ...transfer, isOver: false, block }]);
  }

  /** Notes were spent in a block, so that nothing else that was to spend them can land. */
  spent(nullifiers: readonly Nullifier[], block: number): void {
    const isSpent = (kept: Kept) => kept.nullifiers.some((nullifier) => nullifiers.includes(nullifier));
    const kept = this.#read();
    if (kept.some(isSpent)) this.#write(kept.map((each) => (isSpent(each) ? { ...each, isOver: true, block } : each)));
  }

  /**
   * Looks what became of all of them at a block. One is over when a note of it is spent, or none is there any more after a reorganisation; it is
   * forgotten when that cannot change any more. Which block was the newest some endpoint said: where another stands far before it and has the notes,
   * that was a lie, and it must not outlive the endpoint.
   */
  follow(notes: readonly OwnedNote[], block: number): void {
    const before = this.#read();
    if (before.length === 0) return;
    const isSpent = new Map(notes.map(({ nullifier, spent }) => [nullifier, spent]));
    const after = before.flatMap((kept): Kept[] => {
      const known = kept.nullifiers.flatMap((nullifier) => isSpent.get(nullifier) ?? []);
      const isOver = known.length === 0 || known.includes(true);
      const isFarBefore = block <= kept.block - REORG_BLOCKS;
      if (block < kept.block && (known.length === 0 || (kept.isOver && !isFarBefore))) return [kept];
      if (isOver !== kept.isOver || isFarBefore) return [{ ...kept, isOver, block }];
      return isOver && block >= kept.block + REORG_BLOCKS ? [] : [kept];
    });
    if (after.length !== before.length || after.some((kept, index) => kept !== before[index])) this.#write(after);
  }

  #write(kept: readonly Kept[]): void {
    const nonce = randomBytes(NONCE_BYTES);
    const json = JSON.stringify(kept, (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    writeFileWhole(this.#path, Buffer.concat([nonce, seal(this.#key, nonce, Buffer.from(json), this.#associated)]));
    this.#kept = kept;
  }

  #read(): readonly Kept[] {
    this.#kept ??= this.#decode(readFileIfPresent(this.#path));
    return this.#kept;
  }

  #decode(bytes: Buffer | undefined): readonly Kept[] {
    if (bytes === undefined) return [];
    const plaintext = unseal(this.#key, bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES), this.#associated);
    if (plaintext === undefined) {
      const message =
        `${this.#path} cannot be read, so it is not known which payments may still land; ` +
        'remove it when the history shows all that were sent, or when the notes that they were to spend are spent';
      throw new BitcloakError('WALLET_CORRUPT', message);
    }
    const list = JSON.parse(plaintext.toString()) as (Omit<Kept, 'asset' | 'amount' | 'time' | 'nullifiers'> &
      Record<'asset' | 'amount' | 'time', string> & { nullifiers: string[] })[];
    return list.map(({ asset, amount, time, nullifiers, ...rest }) => ({
      ...rest,
      asset: BigInt(asset),
      amount: BigInt(amount),
      time: BigInt(time),
      nullifiers: nullifiers.map((nullifier) => BigInt(nullifier) as Nullifier),
    }));
  }
}
