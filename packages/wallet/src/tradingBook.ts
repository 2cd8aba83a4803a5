import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { orderHashOf } from '@bitcloak/notes/order';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { SentOrder } from '@bitcloak/trading/client';
import type { SignedOrder } from '@bitcloak/trading/orders';
import { decodeSigned, encodeSigned } from '@bitcloak/trading/wire';
import { readFileIfPresent, writeFileWhole } from './files.ts';
import { seal, unseal } from './keystore.ts';

const FORMAT = 'bitcloak orders 1';
const NONCE_BYTES = 12;
const LENGTH_BYTES = 4;
const TAG_BYTES = 16;
const RECORD_BYTES_MAX = 8_192;
/** Orders that expired so long ago are of no use any more, not even to look at their settlements. */
const KEPT_SECONDS = 90n * 86_400n;

/** A signed order of this wallet, with what it was for. */
export type KeptOrder = SentOrder & {
  /** Which of the operator's trading accounts signed it. */
  readonly index: number;
  readonly orderHash: bigint;
  /** The operator's number of the order, once it has given one. */
  readonly id: number | undefined;
};

type Named = { readonly clientOrderId: string; readonly id: number };

/**
 * The orders that a wallet has signed, encrypted, each on the disk before it is sent: with them, and the seed, an order is taken back on the chain
 * without its operator. They cannot be found again from the seed, so a file that cannot be read is an error. Records are appended; one that a
 * crash cut off was never sent.
 */
export class TradeBook {
  readonly #path: string;
  readonly #key: Uint8Array;
  readonly #associated: string;
  /** By their hashes. */
  #orders: Map<bigint, KeptOrder> | undefined;
  #bytes = 0;

  /** @param network names chain, genesis and pool. */
  constructor(path: string, key: Uint8Array, network: string) {
    this.#path = path;
    this.#key = key;
    this.#associated = `${FORMAT} ${network}`;
  }

  /** The oldest first. Throws `WALLET_CORRUPT`. */
  orders(): KeptOrder[] {
    return [...this.#read().values()];
  }

  /** Resolves when the order is on the disk. */
  add(index: number, order: SentOrder): void {
    const orderHash = orderHashOf(order.order);
    const { kind, clientOrderId } = order;
    this.#append({ kind, clientOrderId, index, ...encodeSigned(order) });
    this.#read().set(orderHash, { ...order, index, orderHash, id: undefined });
  }

  /** Remembers how the operator calls an order. */
  name(clientOrderId: string, id: number): void {
    this.#append({ clientOrderId, id } satisfies Named);
    this.#rename({ clientOrderId, id });
  }

  /** Forgets orders that expired long before a time, in unix seconds. */
  forgetExpired(blockTime: bigint): void {
    const all = this.orders();
    const kept = all.filter(({ order }) => order.expiry + KEPT_SECONDS > blockTime);
    if (kept.length === all.length) return;
    const records = kept.flatMap(({ kind, clientOrderId, index, id, order, signature }) => [
      { kind, clientOrderId, index, ...encodeSigned({ order, signature }) },
      ...(id === undefined ? [] : [{ clientOrderId, id } satisfies Named]),
    ]);
    writeFileWhole(this.#path, Buffer.concat(records.map((record) => this.#seal(record))));
    this.#orders = undefined;
  }

  #rename({ clientOrderId, id }: Named): void {
    const orders = this.#read();
    for (const [hash, kept] of orders) if (kept.clientOrderId === clientOrderId) orders.set(hash, { ...kept, id });
  }

  #seal(record: object): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const sealed = seal(this.#key, nonce, Buffer.from(JSON.stringify(record)), this.#associated);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(sealed.length);
    return Buffer.concat([length, nonce, sealed]);
  }

  #append(record: object): void {
    this.#read();
    const bytes = this.#seal(record);
    if (this.#bytes === 0) writeFileWhole(this.#path, bytes);
    else this.#writeBehind(bytes);
    this.#bytes += bytes.length;
  }

  #writeBehind(bytes: Uint8Array): void {
    const file = openSync(this.#path, 'r+');
    try {
      // What a crash left behind the last whole record goes.
      ftruncateSync(file, this.#bytes);
      for (let offset = 0; offset < bytes.length;) {
        offset += writeSync(file, bytes, offset, bytes.length - offset, this.#bytes + offset);
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  #read(): Map<bigint, KeptOrder> {
    if (this.#orders !== undefined) return this.#orders;
    const orders = new Map<bigint, KeptOrder>();
    this.#orders = orders;
    const bytes = readFileIfPresent(this.#path) ?? Buffer.alloc(0);
    this.#bytes = 0;
    for (;;) {
      const record = this.#recordAt(bytes, this.#bytes);
      if (record === undefined) return orders;
      this.#bytes += record.length;
      this.#take(record.plaintext, orders);
    }
  }

  #recordAt(bytes: Buffer, offset: number): { plaintext: Buffer; length: number } | undefined {
    if (bytes.length - offset < LENGTH_BYTES) return undefined;
    const sealedBytes = bytes.readUInt32BE(offset);
    if (sealedBytes < TAG_BYTES || sealedBytes > RECORD_BYTES_MAX) throw this.#corrupt();
    const start = offset + LENGTH_BYTES + NONCE_BYTES;
    const end = start + sealedBytes;
    if (end > bytes.length) return undefined;
    const nonce = bytes.subarray(start - NONCE_BYTES, start);
    const plaintext = unseal(this.#key, nonce, bytes.subarray(start, end), this.#associated);
    if (plaintext !== undefined) return { plaintext, length: end - offset };
    // A crash may leave the space of the last record without its bytes; what has all of them, and cannot be read, was sent.
    if (end === bytes.length && bytes.subarray(end - TAG_BYTES).every((byte) => byte === 0)) return undefined;
    throw this.#corrupt();
  }

  #take(plaintext: Buffer, orders: Map<bigint, KeptOrder>): void {
    const record = JSON.parse(plaintext.toString()) as
      Named | (Pick<KeptOrder, 'kind' | 'clientOrderId' | 'index'> & Wire);
    if ('id' in record) {
      this.#rename(record);
      return;
    }
    const { kind, clientOrderId, index, ...wire } = record;
    const signed: SignedOrder = decodeSigned(wire);
    const orderHash = orderHashOf(signed.order);
    const id = [...orders.values()].find((kept) => kept.clientOrderId === clientOrderId)?.id;
    orders.set(orderHash, { kind, clientOrderId, index, ...signed, orderHash, id });
  }

  #corrupt(): BitcloakError {
    const message =
      `${this.#path} cannot be read, so the orders in it cannot be taken back on the chain; ` +
      'they end by themselves, and the file can be removed then';
    return new BitcloakError('WALLET_CORRUPT', message);
  }
}

type Wire = Parameters<typeof decodeSigned>[0];
