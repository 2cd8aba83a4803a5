import { add, compress, decompress, multiplyBase, type Point } from '@bitcloak/crypto/babyjubjub';
import { sign, type Signature } from '@bitcloak/crypto/eddsa';
import { bytesToInteger, integerToBytes, isField, uniformToField } from '@bitcloak/crypto/field';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { SUBGROUP_ORDER, TAG } from '@bitcloak/protocol/parameters';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { bech32m } from '@scure/base';

const SEED_DOMAIN = utf8ToBytes('bitcloak seed v1');
const TRADING_DOMAIN = utf8ToBytes('bitcloak trading account v1');
const VIEWING_KEY_PREFIX = 'cloakview';
const VIEWING_KEY_VERSION = 0;

/** What identifies a set of keys to those who prove and to those who look: nothing in it spends. */
export type OwnerKeys = { readonly publicKey: Point; readonly nullifierKey: bigint; readonly owner: bigint };

/** @param nullifierKey stays out of what is printed. */
export function ownerKeys(publicKey: Point, nullifierKey: bigint): OwnerKeys {
  const owner = poseidon([publicKey.x, publicKey.y, nullifierKey], TAG.OWNER);
  // Enumerable properties are what printing and JSON show; a nullifier key links everything that it ever spends.
  return Object.defineProperty({ publicKey, owner } as OwnerKeys, 'nullifierKey', { value: nullifierKey });
}

function toScalar(bytes: Uint8Array): bigint {
  return 1n + (bytesToInteger(bytes) % (SUBGROUP_ORDER - 1n));
}

/**
 * A full viewing key: the public key A, the nullifier key nk and the X25519 viewing secret. It shows an auditor everything, trading accounts
 * included, and spends nothing.
 */
export class ViewingKey {
  readonly main: OwnerKeys;
  readonly agreement: AgreementKey;
  readonly #secret: Uint8Array;

  constructor(publicKey: Point, nullifierKey: bigint, secret: Uint8Array) {
    this.main = ownerKeys(publicKey, nullifierKey);
    this.agreement = new AgreementKey(secret);
    this.#secret = secret;
  }

  /** The secret factor by which a trading account's spending scalar differs from the main one, and its nullifier key. */
  tradingSecrets(operatorId: bigint, index: number): { tweak: bigint; nullifierKey: bigint } {
    const info = concatBytes(integerToBytes(operatorId, 32), integerToBytes(BigInt(index), 4));
    const bytes = hkdf(sha512, this.#secret, TRADING_DOMAIN, info, 128);
    return { tweak: toScalar(bytes.subarray(0, 64)), nullifierKey: uniformToField(bytes.subarray(64)) };
  }

  /**
   * A trading account's public half, which an operator cannot link to the main one: A' = A + tweak·B8 with a tweak that only this key derives.
   */
  tradingAccount(operatorId: bigint, index: number): OwnerKeys {
    const { tweak, nullifierKey } = this.tradingSecrets(operatorId, index);
    return ownerKeys(add(this.main.publicKey, multiplyBase(tweak)), nullifierKey);
  }

  /** The text form, bech32m over a version, A, nk and the viewing secret. Whoever holds it sees everything. */
  export(): string {
    const payload = concatBytes(
      Uint8Array.of(VIEWING_KEY_VERSION),
      compress(this.main.publicKey),
      integerToBytes(this.main.nullifierKey, 32),
      this.#secret,
    );
    return bech32m.encode(VIEWING_KEY_PREFIX, bech32m.toWords(payload), false);
  }

  static parse(text: string): ViewingKey {
    try {
      const { prefix, words } = bech32m.decode(text.trim() as `${string}1${string}`, false);
      const bytes = bech32m.fromWords(words);
      if (prefix !== VIEWING_KEY_PREFIX || bytes.length !== 97 || bytes[0] !== VIEWING_KEY_VERSION) throw new Error();
      const nullifierKey = bytesToInteger(bytes.subarray(33, 65));
      if (!isField(nullifierKey)) throw new Error();
      return new ViewingKey(decompress(bytes.subarray(1, 33)), nullifierKey, bytes.slice(65));
    } catch {
      // The text is a secret, so no part of it goes into the error.
      throw new BitcloakError(
        'VIEWING_KEY_INVALID',
        'this is no viewing key (it starts with cloakview1 and has a checksum)',
      );
    }
  }
}

/** Trading accounts have the numbers up to it. */
export const ACCOUNT_INDEX_MAX = 2 ** 31 - 1;

/**
 * The number of the owner that a trading account's proceeds are paid to, one like a trading account's that no operator is given the keys of: it
 * can tell neither when they are spent, nor whom else they belong to.
 */
export function payeeIndexOf(index: number): number {
  return index + ACCOUNT_INDEX_MAX + 1;
}

/** Keys that spend: a signature is all that ever comes out. */
export class SpendingKey {
  readonly keys: OwnerKeys;
  readonly #scalar: bigint;

  constructor(scalar: bigint, nullifierKey: bigint) {
    this.#scalar = scalar;
    this.keys = ownerKeys(multiplyBase(scalar), nullifierKey);
  }

  sign(message: bigint): Signature {
    return sign(this.#scalar, message);
  }

  /** The same key moved by a tweak, with another nullifier key. */
  tweaked(tweak: bigint, nullifierKey: bigint): SpendingKey {
    const scalar = (this.#scalar + tweak) % SUBGROUP_ORDER;
    return new SpendingKey(scalar, nullifierKey);
  }
}

/** Everything that a seed derives for shielded notes. */
export class Keyring {
  readonly spending: SpendingKey;
  readonly viewing: ViewingKey;

  /** @param seed the 64 bytes of BIP-39. */
  constructor(seed: Uint8Array) {
    const derive = (purpose: string) => hkdf(sha512, seed, SEED_DOMAIN, utf8ToBytes(purpose), 64);
    this.spending = new SpendingKey(toScalar(derive('spend')), uniformToField(derive('nullifier')));
    const { publicKey, nullifierKey } = this.spending.keys;
    this.viewing = new ViewingKey(publicKey, nullifierKey, derive('view').slice(0, 32));
  }

  tradingAccount(operatorId: bigint, index: number): SpendingKey {
    const { tweak, nullifierKey } = this.viewing.tradingSecrets(operatorId, index);
    return this.spending.tweaked(tweak, nullifierKey);
  }
}
