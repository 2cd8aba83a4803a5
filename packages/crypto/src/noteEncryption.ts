import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { SLOT_BYTES, SLOT_PLAINTEXT_BYTES } from '@bitcloak/protocol/parameters';
import { AgreementKey } from './x25519.ts';

/**
 * The ciphertext of one call of the pool: one ephemeral X25519 public key (32 bytes), then its slots, all of one length.
 *
 * One ephemeral key serves every slot of a call: the derived key hashes the recipient's own public key, so recipients of one call
 * learn nothing of each other's slots (randomness reuse in multi-recipient encryption: Bellare, Boldyreva, Staddon, PKC 2003),
 * and a scanner pays for one key agreement a call, not one a slot.
 */
export const EPHEMERAL_KEY_BYTES = 32;
/** What a sealed slot shares with its recipient beyond the plaintext: 16 bytes that nobody has to send. */
export const SLOT_SECRET_BYTES = 16;
const TAG_BYTES = 16;
const KEY_DOMAIN = Buffer.from('bitcloak note v1');
const SECRET_DOMAIN = Buffer.from('bitcloak slot secret v1');

/** The AEAD key (32 bytes) shared with one recipient, and a view tag for each slot of the call. */
type SharedKeys = { key: Buffer; viewTags: Buffer };

function deriveKeys(shared: Uint8Array, ephemeral: Uint8Array, recipient: Uint8Array): SharedKeys {
  const digest = hash('sha512', Buffer.concat([KEY_DOMAIN, shared, ephemeral, recipient]), 'buffer');
  return { key: digest.subarray(0, 32), viewTags: digest.subarray(32) };
}

// The key is fresh for each (call, recipient), so the number of the slot is nonce enough.
function nonceOf(slot: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(slot, 8);
  return nonce;
}

function slotSecret(key: Buffer, slot: number): Uint8Array {
  const digest = hash('sha256', Buffer.concat([SECRET_DOMAIN, key, nonceOf(slot)]), 'buffer');
  return new Uint8Array(digest.subarray(0, SLOT_SECRET_BYTES));
}

/** Seals the slots of one call. Made once a call: its ephemeral secret is random and never leaves it. */
export class SlotSealer {
  readonly #ephemeral = new AgreementKey(randomBytes(32));
  readonly #slots: Uint8Array[] = [];

  /**
   * Adds a slot that the owner of `recipient`, an X25519 public key, can open.
   *
   * @returns the slot's secret, which the recipient derives too.
   */
  seal(recipient: Uint8Array, plaintext: Uint8Array): Uint8Array {
    if (plaintext.length !== SLOT_PLAINTEXT_BYTES) throw new RangeError(`a slot takes ${SLOT_PLAINTEXT_BYTES} bytes`);
    const shared = this.#ephemeral.agree(recipient);
    if (shared === undefined) throw new RangeError('the recipient has a viewing key of small order');
    const { key, viewTags } = deriveKeys(shared, this.#ephemeral.publicKey, recipient);
    const slot = this.#slots.length;
    const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(slot), { authTagLength: TAG_BYTES });
    const sealed = [viewTags.subarray(slot, slot + 1), cipher.update(plaintext), cipher.final(), cipher.getAuthTag()];
    this.#slots.push(Buffer.concat(sealed));
    return slotSecret(key, slot);
  }

  /** Adds a slot that nobody can open and that looks like any other. */
  fill(): void {
    this.#slots.push(randomBytes(SLOT_BYTES));
  }

  /** The whole ciphertext: the ephemeral key and the slots in the order in which they were added. */
  finish(): Uint8Array {
    return new Uint8Array(Buffer.concat([this.#ephemeral.publicKey, ...this.#slots]));
  }
}

/** A slot that a viewing key opened. */
export type OpenedSlot = { slot: number; plaintext: Uint8Array; secret: Uint8Array };

/**
 * Tries a viewing key on every slot of a call's ciphertext.
 *
 * @returns the slots that were sealed to it; none for a ciphertext of a wrong shape, since anybody can write anything there.
 */
export function openSlots(viewing: AgreementKey, ciphertext: Uint8Array): OpenedSlot[] {
  const slots = (ciphertext.length - EPHEMERAL_KEY_BYTES) / SLOT_BYTES;
  if (!Number.isInteger(slots) || slots < 1 || slots > 32) return [];
  const ephemeral = ciphertext.subarray(0, EPHEMERAL_KEY_BYTES);
  const shared = viewing.agree(ephemeral);
  if (shared === undefined) return [];
  const { key, viewTags } = deriveKeys(shared, ephemeral, viewing.publicKey);
  const opened: OpenedSlot[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const start = EPHEMERAL_KEY_BYTES + slot * SLOT_BYTES;
    if (ciphertext[start] !== viewTags[slot]) continue;
    const plaintext = open(key, slot, ciphertext.subarray(start + 1, start + SLOT_BYTES));
    if (plaintext !== undefined) opened.push({ slot, plaintext, secret: slotSecret(key, slot) });
  }
  return opened;
}

function open(key: Buffer, slot: number, sealed: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(slot), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(SLOT_PLAINTEXT_BYTES));
  const plaintext = decipher.update(sealed.subarray(0, SLOT_PLAINTEXT_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return new Uint8Array(plaintext);
}
