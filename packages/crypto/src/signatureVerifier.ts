import { SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import { B8, isOnCurve, type Point } from './babyjubjub.ts';
import { challenge, type Signature } from './eddsa.ts';
import { isField } from './field.ts';
import { PointTable } from './pointTable.ts';

const base = new PointTable(B8, 10, 1);

/**
 * Gives the same answers as `verify`, faster for keys that sign often.
 *
 * It keeps tables (43 kB a key) of the `capacity` keys that were used last. A key without one costs the time of several signatures, so
 * let in only keys that somebody had to pay for.
 */
export class SignatureVerifier {
  readonly #capacity: number;
  /** The one used last is at the end. */
  readonly #tables = new Map<bigint, PointTable>();

  constructor(capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) throw new RangeError('a capacity is a positive integer');
    this.#capacity = capacity;
  }

  /** Keys that have a table now. */
  get size(): number {
    return this.#tables.size;
  }

  /** Whether a signature is right. */
  verify(publicKey: Point, message: bigint, { r8, s }: Signature): boolean {
    if (!isField(message) || s < 0n || s >= SUBGROUP_ORDER) return false;
    // Only the identity and the point of order 2 have x = 0.
    if (!isField(r8.x) || !isField(r8.y) || r8.x === 0n) return false;
    const table = this.#tableOf(publicKey);
    if (table === undefined) return false;
    const factor = (8n * challenge(r8, publicKey, message)) % SUBGROUP_ORDER;
    // R8 needs no check of its own: B8 and the key are in the prime subgroup, so S·B8 - 8·h·A is, and what equals it in both coordinates lies
    // on the curve and in the subgroup as well. The identity, which is in the subgroup and no R8, was refused above.
    return table.sumIs(SUBGROUP_ORDER - factor, base, s, r8);
  }

  /** The table of a key, undefined where it is none. */
  #tableOf(publicKey: Point): PointTable | undefined {
    // Before the two are joined: a coordinate that is too large would make one key look like another.
    if (!isField(publicKey.x) || !isField(publicKey.y)) return undefined;
    const key = (publicKey.x << 256n) | publicKey.y;
    let table = this.#tables.get(key);
    if (table === undefined) {
      if (!isOnCurve(publicKey)) return undefined;
      table = new PointTable(publicKey, 6, 3);
      if (!table.isTorsionFree()) return undefined;
      const [oldest] = this.#tables.keys();
      if (this.#tables.size >= this.#capacity && oldest !== undefined) this.#tables.delete(oldest);
    } else {
      this.#tables.delete(key);
    }
    this.#tables.set(key, table);
    return table;
  }
}
