import { HEAD_BYTES, type JournalPosition } from './format.ts';

const HEADS_AT_FIRST = 1024;

/** The heads of a range of records, 32 bytes each. */
export class Heads {
  #first: number;
  #count = 1;
  #bytes = Buffer.alloc(HEADS_AT_FIRST * HEAD_BYTES);

  constructor(base: JournalPosition) {
    this.#first = base.sequence;
    this.#bytes.set(base.head);
  }

  /** The oldest sequence whose head is here. */
  get first(): number {
    return this.#first;
  }

  get last(): JournalPosition {
    const sequence = this.#first + this.#count - 1;
    return { sequence, head: this.#copy(sequence) };
  }

  at(sequence: number): Buffer | undefined {
    if (!Number.isSafeInteger(sequence)) return undefined;
    return sequence < this.#first || sequence >= this.#first + this.#count ? undefined : this.#copy(sequence);
  }

  has(head: Uint8Array): boolean {
    // An empty one would be found everywhere.
    if (head.length !== HEAD_BYTES) return false;
    const known = this.#bytes.subarray(0, this.#count * HEAD_BYTES);
    for (let at = known.indexOf(head); at >= 0; at = known.indexOf(head, at + 1)) {
      if (at % HEAD_BYTES === 0) return true;
    }
    return false;
  }

  /** Adds the head of the next record. */
  push(head: Uint8Array): void {
    const at = this.#count * HEAD_BYTES;
    if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * at);
    this.#bytes.set(head, at);
    this.#count++;
  }

  dropBefore(sequence: number): void {
    const dropped = sequence - this.#first;
    if (dropped <= 0) return;
    this.#bytes = Buffer.from(this.#bytes.subarray(dropped * HEAD_BYTES));
    this.#first = sequence;
    this.#count -= dropped;
  }

  #copy(sequence: number): Buffer {
    const at = (sequence - this.#first) * HEAD_BYTES;
    return Buffer.from(this.#bytes.subarray(at, at + HEAD_BYTES));
  }
}
