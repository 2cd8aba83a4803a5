import { randomField } from '@bitcloak/crypto/field';
import { SlotSealer } from '@bitcloak/crypto/noteEncryption';
import { randomBytes } from '@noble/hashes/utils.js';
import type { ShieldedAddress } from './address.ts';
import type { OwnerKeys } from './keys.ts';
import { encodeMessage } from './message.ts';
import { blindingFrom, type Lock, type Note } from './note.ts';

/** The trading account that a locked note is made for, and who is told of it. */
export type LockedOutput = {
  readonly keys: OwnerKeys;
  readonly index: number;
  readonly lock: Lock;
  /** The operator's X25519 key, where it is to be told. */
  readonly operatorKey: Uint8Array | undefined;
};

/** Makes the notes of one call and seals what their owners must know: two slots a note, whoever they are for. */
export class OutputMaker {
  readonly #asset: bigint;
  readonly #sealer = new SlotSealer();

  constructor(asset: bigint) {
    this.#asset = asset;
  }

  /** A plain note; with `sender`, the sender's viewing key, a copy tells the sender whom it went to. */
  plain(value: bigint, to: ShieldedAddress, sender?: Uint8Array): Note {
    const asset = this.#asset;
    const secret = this.#sealer.seal(to.viewingKey, encodeMessage({ kind: 'received', asset, value }));
    if (sender === undefined) this.#sealer.fill();
    else this.#sealer.seal(sender, encodeMessage({ kind: 'sent', asset, value, recipient: to }));
    return { asset, value, owner: to.owner, blinding: blindingFrom(secret), lock: undefined };
  }

  /** A note locked to an operator; `ownerKey` is the main viewing key, under which the seed finds it again. */
  locked(value: bigint, { keys, index, lock, operatorKey }: LockedOutput, ownerKey: Uint8Array): Note {
    const asset = this.#asset;
    let secret: Uint8Array;
    if (operatorKey === undefined) {
      secret = randomBytes(16);
      this.#sealer.fill();
    } else {
      const { publicKey, nullifierKey } = keys;
      const message = { kind: 'operator', asset, value, expiry: lock.expiry, publicKey, nullifierKey } as const;
      secret = this.#sealer.seal(operatorKey, encodeMessage(message));
    }
    this.#sealer.seal(ownerKey, encodeMessage({ kind: 'locked', asset, value, ...lock, index, secret }));
    return { asset, value, owner: keys.owner, blinding: blindingFrom(secret), lock };
  }

  /** A note that is worth nothing and that nobody needs to find. */
  nothing(): Note {
    this.#sealer.fill();
    this.#sealer.fill();
    return { asset: this.#asset, value: 0n, owner: randomField(), blinding: randomField(), lock: undefined };
  }

  /** The ciphertext of the call, for the notes in the order in which they were made. */
  ciphertext(): Uint8Array {
    return this.#sealer.finish();
  }
}
