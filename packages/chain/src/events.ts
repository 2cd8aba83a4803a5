import type { FillShown } from '@bitcloak/notes/fill';
import type { Commitment, Nullifier } from '@bitcloak/notes/note';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { ASSET_BITS, FILL_WORDS, SETTLEMENT_FILLS_MAX, SETTLEMENT_RESIDUALS } from '@bitcloak/protocol/parameters';
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
    | {
        kind: 'settled';
        /** The operator's number in the registry. */
        operator: number;
        sequence: bigint;
        journalHead: bigint;
        firstLeaf: number;
        fills: readonly FillShown[];
        residuals: readonly Commitment[];
        ciphertext: Uint8Array;
      }
    /** `from`: unix seconds from which the order's state counts as spent. */
    | { kind: 'cancelled'; orderNullifier: Nullifier; from: bigint }
    | { kind: 'closed'; bucket: number; leaves: number }
    | { kind: 'inserted'; bucket: number; bucketRoot: bigint; newRoot: bigint }
  );

const TOPIC = {
  deposited: id('Deposited(uint256,address,uint256,uint256,bytes)'),
  transferred: id('Transferred(uint256,uint256[2],uint256[3],bytes)'),
  withdrawn: id('Withdrawn(address,uint256,address,address,uint256)'),
  settled: id(
    'Settled(uint256,uint64,bytes32,uint256,(uint256[2],uint256,uint256,uint256,uint256,uint256,uint256[3])[],uint256[4],bytes)',
  ),
  cancelled: id('OrderCancelled(uint256,uint256)'),
  closed: id('BucketClosed(uint256,uint256)'),
  inserted: id('BucketInserted(uint256,uint256,uint256)'),
} as const;

/** The topics of the events that the tree and the notes follow from. */
export const POOL_TOPICS: readonly string[] = Object.values(TOPIC);

/** The leaves that an event appends to the queue, and the place of the first. */
export function leavesOf(event: PoolEvent): { firstLeaf: number; leaves: readonly bigint[] } {
  switch (event.kind) {
    case 'deposited':
      return { firstLeaf: event.leaf, leaves: [event.commitment] };
    case 'transferred':
      return { firstLeaf: event.firstLeaf, leaves: event.commitments };
    case 'settled':
      return {
        firstLeaf: event.firstLeaf,
        leaves: [
          ...event.fills.flatMap(({ change, proceeds, orderState }) => [change, proceeds, orderState]),
          ...event.residuals,
        ],
      };
    default:
      return { firstLeaf: 0, leaves: [] };
  }
}

const WORD_BYTES = 32;
const WORD_DIGITS = 2 * WORD_BYTES;

/** Reads the words of an event's data; by hand and out of its digits, because scanning decodes every note of the pool. */
class Words {
  /** Hexadecimal, after 0x. */
  readonly #digits: string;

  constructor(data: string) {
    this.#digits = data.slice(2);
  }

  integer(index: number): bigint {
    const end = (index + 1) * WORD_DIGITS;
    if (end > this.#digits.length) throw new RangeError('event data is too short');
    return BigInt(`0x${this.#digits.slice(end - WORD_DIGITS, end)}`);
  }

  count(index: number): number {
    const value = this.integer(index);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError('a count in event data is too large');
    return Number(value);
  }

  address(index: number): bigint {
    const value = this.integer(index);
    if (value >> BigInt(ASSET_BITS) !== 0n) throw new RangeError('an address in event data is too large');
    return value;
  }

  /** The dynamic bytes whose offset stands at word `index`. */
  dynamic(index: number): Uint8Array {
    const offset = this.count(index);
    const length = this.count(offset / WORD_BYTES);
    const start = 2 * (offset + WORD_BYTES);
    const bytes = Buffer.from(this.#digits.slice(start, start + 2 * length), 'hex');
    if (bytes.length !== length) throw new RangeError('event data is too short');
    return bytes;
  }
}

/** Words of a fill in an event: two nullifiers, the order's nullifier, three leaves, the fill commitment, the words for its owner. */
const FILL_SHOWN_WORDS = 7 + FILL_WORDS;

function fillsAt(words: Words, offsetIndex: number): FillShown[] {
  const start = words.count(offsetIndex) / WORD_BYTES;
  const length = words.count(start);
  if (length > SETTLEMENT_FILLS_MAX) throw new RangeError('too many fills in event data');
  return Array.from({ length }, (_, fill) => {
    const at = (index: number) => words.integer(start + 1 + fill * FILL_SHOWN_WORDS + index);
    return {
      nullifiers: [at(0) as Nullifier, at(1) as Nullifier],
      orderNullifier: at(2) as Nullifier,
      change: at(3) as Commitment,
      proceeds: at(4) as Commitment,
      orderState: at(5),
      fill: at(6),
      words: Array.from({ length: FILL_WORDS }, (_word, index) => at(7 + index)),
    };
  });
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
          asset: words.address(1),
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
      case TOPIC.withdrawn:
        return {
          kind: 'withdrawn',
          ...place,
          asset: words.address(0),
          amount: words.integer(1),
          recipient: words.address(2),
          relayer: words.address(3),
          fee: words.integer(4),
        };
      case TOPIC.settled:
        return {
          kind: 'settled',
          ...place,
          operator: new Words(log.topics[1] ?? '').count(0),
          sequence: words.integer(0),
          journalHead: words.integer(1),
          firstLeaf: words.count(2),
          fills: fillsAt(words, 3),
          residuals: Array.from({ length: SETTLEMENT_RESIDUALS }, (_, i) => words.integer(4 + i) as Commitment),
          ciphertext: words.dynamic(4 + SETTLEMENT_RESIDUALS),
        };
      case TOPIC.cancelled:
        return {
          kind: 'cancelled',
          ...place,
          orderNullifier: words.integer(0) as Nullifier,
          from: words.integer(1),
        };
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
