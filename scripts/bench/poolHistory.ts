import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { formatAccount } from '@bitcloak/chain/manifest';
import { Keyring } from '@bitcloak/notes/keys';
import { commitmentOf, nullifierOf, type Note } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { Bucket, BucketTree, placeOf } from '@bitcloak/notes/tree';
import {
  BUCKET_LEAVES,
  DEPOSIT_CIPHERTEXT_BYTES,
  NATIVE_ASSET,
  TRANSFER_CIPHERTEXT_BYTES,
  TRANSFER_OUTPUTS,
} from '@bitcloak/protocol/parameters';
import { Interface } from 'ethers';
import { seededBytes, seededElements } from './random.ts';

/** A log as an endpoint answers it. */
export type RpcLog = Readonly<Record<string, unknown>> & { readonly blockNumber: string };

/** What kind of call happens how often, in turn. */
export type Call = 'deposit' | 'transfer' | 'withdrawal';

const poolInterface = new Interface(POOL_ABI);
const VALUE = 10n ** 18n;
const CALLS_PER_BLOCK = 10;
export const POOL_ADDRESS = 0xb17c10a4n;

const word = (value: bigint) => value.toString(16).padStart(64, '0');
const quantity = (value: number) => `0x${value.toString(16)}`;

/**
 * The events of a pool that many people use, one wallet among them. Calls of others carry random bytes where a ciphertext would be: to
 * whoever cannot open it, it is the same.
 */
export class PoolHistory {
  readonly keyring: Keyring;
  readonly logs: RpcLog[] = [];
  /** Notes that the wallet gets, spent ones included. */
  ownNotes = 0;
  leaves = 0;
  calls = 0;
  readonly #bytes: (length: number) => Uint8Array;
  readonly #element: () => bigint;
  readonly #tree = new BucketTree();
  readonly #unspent: { note: Note; leaf: number }[] = [];
  #bucket: bigint[] = [];

  constructor(seed: string) {
    this.#bytes = seededBytes(seed);
    this.#element = seededElements(`${seed} elements`);
    this.keyring = new Keyring(this.#bytes(64));
  }

  /** A call of somebody else. */
  foreign(call: Call): void {
    if (call === 'deposit') {
      this.#deposit(this.#element(), this.#bytes(DEPOSIT_CIPHERTEXT_BYTES));
    } else {
      const commitments = Array.from({ length: TRANSFER_OUTPUTS }, this.#element);
      this.#transfer([this.#element(), this.#element()], commitments, this.#bytes(TRANSFER_CIPHERTEXT_BYTES), call);
    }
  }

  /** A call that makes a note of the wallet; a transfer or withdrawal spends an earlier one where there is one. */
  own(call: Call): void {
    const { spending, viewing } = this.keyring;
    const address = { owner: viewing.main.owner, viewingKey: viewing.agreement.publicKey };
    const maker = new OutputMaker(NATIVE_ASSET);
    const kept = maker.plain(VALUE, address);
    this.ownNotes++;
    this.#unspent.push({ note: kept, leaf: this.leaves });
    if (call === 'deposit') {
      this.#deposit(commitmentOf(kept), maker.ciphertext());
      return;
    }
    const spent = this.#unspent.length > 1 ? this.#unspent.shift() : undefined;
    const nullifier =
      spent === undefined
        ? this.#element()
        : nullifierOf(spending.keys.nullifierKey, commitmentOf(spent.note), placeOf(spent.leaf).treeIndex);
    const notes = [kept, maker.nothing(), maker.nothing()];
    this.#transfer([nullifier, this.#element()], notes.map(commitmentOf), maker.ciphertext(), call);
  }

  #deposit(commitment: bigint, ciphertext: Uint8Array): void {
    this.#log('Deposited', [BigInt(this.leaves), NATIVE_ASSET, VALUE, commitment], ciphertext);
    this.#endCall([commitment]);
  }

  #transfer(nullifiers: readonly bigint[], commitments: readonly bigint[], ciphertext: Uint8Array, call: Call): void {
    this.#log('Transferred', [BigInt(this.leaves), ...nullifiers, ...commitments], ciphertext);
    if (call === 'withdrawal') this.#log('Withdrawn', [NATIVE_ASSET, VALUE, 1n, 2n, 3n]);
    this.#endCall(commitments);
  }

  #endCall(commitments: readonly bigint[]): void {
    this.calls++;
    for (const commitment of commitments) {
      this.leaves++;
      if (this.#bucket.push(commitment) === BUCKET_LEAVES) this.#insert();
    }
  }

  #insert(): void {
    const bucketRoot = new Bucket(this.#bucket).root();
    this.#bucket = [];
    this.#tree.append([bucketRoot]);
    this.#log('BucketInserted', [BigInt(this.#tree.length - 1), bucketRoot, this.#tree.root()]);
    this.calls++;
  }

  /** @param tail the dynamic bytes that end the data. */
  #log(event: string, words: readonly bigint[], tail?: Uint8Array): void {
    let data = words.map(word).join('');
    if (tail !== undefined) {
      const offset = (words.length + 1) * 32;
      const padded = 2 * 32 * Math.ceil(tail.length / 32);
      data += word(BigInt(offset)) + word(BigInt(tail.length)) + Buffer.from(tail).toString('hex').padEnd(padded, '0');
    }
    const block = Math.floor(this.calls / CALLS_PER_BLOCK) + 1;
    this.logs.push({
      address: formatAccount(POOL_ADDRESS).toLowerCase(),
      topics: [poolInterface.getEvent(event)?.topicHash],
      data: `0x${data}`,
      blockNumber: quantity(block),
      blockHash: `0x${word(BigInt(block))}`,
      transactionHash: `0x${word(BigInt(this.calls))}`,
      transactionIndex: quantity(this.calls % CALLS_PER_BLOCK),
      logIndex: quantity(this.logs.length),
      removed: false,
    });
  }
}
