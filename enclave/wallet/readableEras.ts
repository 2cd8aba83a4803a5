import type { AgreementKey } from '@bitcloak/crypto/x25519';

/** An era of the operator's that has the enclave's keys. */
export type ReadableEra = {
  readonly number: bigint;
  /** In which it was registered. */
  readonly block: number;
};

/**
 * Clients tell the keys of the era that they traded with last, and before that it is registered. What is told to an older one than these is not found: an operator
 * would have to register so many between a client's look at the enclave and its deposit.
 */
const ERAS_READ = 16;
/** A reorganisation may bring a registration so much earlier than it was seen. */
const BLOCKS_EARLIER = 256;

/**
 * Which keys may open what is in a block. It is the eras of that time which count, not the newest: a note that a settlement left is found from the note that was
 * spent for it, and that one may have been told to an era of years ago, however short locks are.
 */
export class ReadableEras {
  readonly #eras: readonly ReadableEra[];
  readonly #keyOf: (number: bigint) => AgreementKey;
  readonly #keys = new Map<bigint, AgreementKey>();

  /** @param eras in ascending order. */
  constructor(eras: readonly ReadableEra[], keyOf: (number: bigint) => AgreementKey) {
    this.#eras = eras;
    this.#keyOf = keyOf;
  }

  at(block: number): AgreementKey[] {
    const end = this.#eras.findLastIndex((era) => era.block <= block + BLOCKS_EARLIER) + 1;
    return this.#eras.slice(Math.max(0, end - ERAS_READ), end).map(({ number }) => {
      const key = this.#keys.get(number) ?? this.#keyOf(number);
      this.#keys.set(number, key);
      return key;
    });
  }
}
