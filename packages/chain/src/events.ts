import { bytesToInteger } from '@bitcloak/crypto/field';
import type { Commitment, Nullifier } from '@bitcloak/notes/note';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { id, type Log } from 'ethers';

/** Where an event stands on the chain. */
export type EventPlace = { readonly block: number; readonly logIndex: number; readonly transaction: string };

/** An event of the pool. Leaves and buckets are counted over all trees; amounts are base units; addresses are below 2^160. */
export type PoolEvent = EventPlace &
  (
    | { kind: 'deposited'; leaf: number; asset: bigint; amount: bigint; commitment: Commitment; ciphertext: Uint8Array }
    | {
        kind: 'transferred';
        firstLeaf: number;
        nullifiers: readonly Nullifier[];
        commitments: readonly Commitment[];
        ciphertext: Uint8Array;
      }
    | { kind: 'withdrawn'; asset: bigint; amount: bigint; recipient: bigint; relayer: bigint; fee: bigint }
    | { kind: 'closed'; bucket: number; leaves: number }
    | { kind: 'inserted'; bucket: number; bucketRoot: bigint; newRoot: bigint }
  );

const TOPIC = {
  deposited: id('Deposited(uint256,address,uint256,uint256,bytes)'),
  transferred: id('Transferred(uint256,uint256[2],uint256[3],bytes)'),
  withdrawn: id('Withdrawn(address,uint256,address,address,uint256)'),
  closed: id('BucketClosed(uint256,uint256)'),
  inserted: id('BucketInserted(uint256,uint256,uint256)'),
} as const;

/** The topics of the events that the tree and the notes follow from. */
export const POOL_TOPICS: readonly string[] = Object.values(TOPIC);

const WORD = 32;

/** Reads the words of an event's data; by hand, because scanning decodes every note of the pool. */
class Words {
  readonly #bytes: Uint8Array;

  constructor(data: string) {
    this.#bytes = Buffer.from(data.slice(2), 'hex');
  }

  integer(index: number): bigint {
    if ((index + 1) * WORD > this.#bytes.length) throw new RangeError('event data is too short');
    return bytesToInteger(this.#bytes.subarray(index * WORD, (index + 1) * WORD));
  }

  count(index: number): number {
    const value = this.integer(index);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError('a count in event data is too large');
    return Number(value);
  }

  /** The dynamic bytes whose offset stands at word `index`. */
  dynamic(index: number): Uint8Array {
    const offset = this.count(index);
    const length = this.count(offset / WORD);
    const bytes = this.#bytes.subarray(offset + WORD, offset + WORD + length);
    if (bytes.length !== length) throw new RangeError('event data is too short');
    return bytes;
  }
}

/** Decodes a log of the pool; undefined for one that says nothing of notes or tree. Throws `ENDPOINT_INCONSISTENT` for malformed data. */
export function decodeEvent(log: Log): PoolEvent | undefined {
  const place = { block: log.blockNumber, logIndex: log.index, transaction: log.transactionHash };
  try {
    const words = new Words(log.data);
    switch (log.topics[0]) {
      case TOPIC.deposited:
        return {
          kind: 'deposited',
          ...place,
          leaf: words.count(0),
          asset: words.integer(1),
          amount: words.integer(2),
          commitment: words.integer(3) as Commitment,
          ciphertext: words.dynamic(4),
        };
      case TOPIC.transferred:
        return {
          kind: 'transferred',
          ...place,
          firstLeaf: words.count(0),
          nullifiers: [1, 2].map((index) => words.integer(index) as Nullifier),
          commitments: [3, 4, 5].map((index) => words.integer(index) as Commitment),
          ciphertext: words.dynamic(6),
        };
      case TOPIC.withdrawn: {
        const [asset, amount, recipient, relayer, fee] = [0, 1, 2, 3, 4].map((index) => words.integer(index)) as [
          bigint,
          bigint,
          bigint,
          bigint,
          bigint,
        ];
        return { kind: 'withdrawn', ...place, asset, amount, recipient, relayer, fee };
      }
      case TOPIC.closed:
        return { kind: 'closed', ...place, bucket: words.count(0), leaves: words.count(1) };
      case TOPIC.inserted:
        return {
          kind: 'inserted',
          ...place,
          bucket: words.count(0),
          bucketRoot: words.integer(1),
          newRoot: words.integer(2),
        };
      default:
        return undefined;
    }
  } catch (error) {
    const message = `log ${log.index} of block ${log.blockNumber} is malformed`;
    throw new BitcloakError('ENDPOINT_INCONSISTENT', message, { cause: error });
  }
}
