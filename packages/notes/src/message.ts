import { compress, decompress, type Point } from '@bitcloak/crypto/babyjubjub';
import { bytesToInteger, integerToBytes, isField } from '@bitcloak/crypto/field';
import { SLOT_SECRET_BYTES } from '@bitcloak/crypto/noteEncryption';
import { SLOT_PLAINTEXT_BYTES } from '@bitcloak/protocol/parameters';
import type { ShieldedAddress } from './address.ts';

/** What one slot of a ciphertext says of a note. */
export type NoteMessage =
  /** To the owner of a plain note; its blinding comes from the slot's own secret. */
  | { kind: 'received'; asset: bigint; value: bigint }
  /** To the owner of a locked note, at the main viewing key; the secret is that of the note's blinding. */
  | {
      kind: 'locked';
      asset: bigint;
      value: bigint;
      operatorId: bigint;
      expiry: bigint;
      index: number;
      secret: Uint8Array;
    }
  /** To the operator of a locked note: what it needs to prove for the trading account; the blinding comes from the slot's secret. */
  | { kind: 'operator'; asset: bigint; value: bigint; expiry: bigint; publicKey: Point; nullifierKey: bigint }
  /** To the sender itself: whom a payment went to. */
  | { kind: 'sent'; asset: bigint; value: bigint; recipient: ShieldedAddress };

const KINDS = ['received', 'locked', 'operator', 'sent'] as const;

/** One byte of kind, 20 of asset, 15 of value, then what the kind adds, and zeros: one length for all. */
export function encodeMessage(message: NoteMessage): Uint8Array {
  const bytes = new Uint8Array(SLOT_PLAINTEXT_BYTES);
  let offset = 0;
  const put = (part: Uint8Array) => {
    bytes.set(part, offset);
    offset += part.length;
  };
  put(Uint8Array.of(KINDS.indexOf(message.kind) + 1));
  put(integerToBytes(message.asset, 20));
  put(integerToBytes(message.value, 15));
  if (message.kind === 'locked') {
    put(integerToBytes(message.operatorId, 32));
    put(integerToBytes(message.expiry, 5));
    put(integerToBytes(BigInt(message.index), 4));
    put(message.secret);
  } else if (message.kind === 'operator') {
    put(integerToBytes(message.expiry, 5));
    put(compress(message.publicKey));
    put(integerToBytes(message.nullifierKey, 32));
  } else if (message.kind === 'sent') {
    put(integerToBytes(message.recipient.owner, 32));
    put(message.recipient.viewingKey);
  }
  return bytes;
}

/** The reverse of `encodeMessage`, or undefined: whoever knows an address can seal anything to it. */
export function decodeMessage(bytes: Uint8Array): NoteMessage | undefined {
  if (bytes.length !== SLOT_PLAINTEXT_BYTES) return undefined;
  let offset = 0;
  const take = (length: number) => bytes.slice(offset, (offset += length));
  const integer = (length: number) => bytesToInteger(take(length));
  const kind = KINDS[Number(integer(1)) - 1];
  const asset = integer(20);
  const value = integer(15);
  switch (kind) {
    case 'received':
      return { kind, asset, value };
    case 'locked': {
      const [operatorId, expiry, index] = [integer(32), integer(5), Number(integer(4))];
      if (!isField(operatorId)) return undefined;
      return { kind, asset, value, operatorId, expiry, index, secret: take(SLOT_SECRET_BYTES) };
    }
    case 'operator': {
      const expiry = integer(5);
      const publicKey = decodePoint(take(32));
      const nullifierKey = integer(32);
      if (publicKey === undefined || !isField(nullifierKey)) return undefined;
      return { kind, asset, value, expiry, publicKey, nullifierKey };
    }
    case 'sent': {
      const owner = integer(32);
      if (!isField(owner)) return undefined;
      return { kind, asset, value, recipient: { owner, viewingKey: take(32) } };
    }
    default:
      return undefined;
  }
}

function decodePoint(bytes: Uint8Array): Point | undefined {
  try {
    return decompress(bytes);
  } catch {
    return undefined;
  }
}
