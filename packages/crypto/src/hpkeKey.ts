import { exportSecret, SUITE } from './hpke.ts';
import { AgreementKey } from './x25519.ts';

/** What came out of one encapsulation: what was sealed first, and the secret that both sides export under a label. */
export type HpkeOpened = { readonly plaintext: Uint8Array; readonly secret: Uint8Array };

/** An X25519 secret that HPKE messages are opened with, imported once. Deliberately opaque: neither printing nor JSON shows it. */
export class HpkeKey {
  /** The 32-byte public key. */
  readonly publicKey: Uint8Array;
  readonly #pair: ReturnType<typeof importPair>;

  constructor(secret: Uint8Array) {
    this.publicKey = new AgreementKey(secret).publicKey;
    this.#pair = importPair(secret, this.publicKey);
  }

  /** @returns undefined for anything that was not sealed to this key with this `info`. */
  async open(
    encapsulation: Uint8Array,
    info: Uint8Array,
    sealed: Uint8Array,
    label: Uint8Array,
  ): Promise<HpkeOpened | undefined> {
    const recipientKey = await this.#pair;
    try {
      const context = await SUITE.createRecipientContext({ recipientKey, enc: encapsulation, info });
      const plaintext = new Uint8Array(await context.open(sealed));
      return { plaintext, secret: await exportSecret(context, label) };
    } catch {
      return undefined;
    }
  }
}

async function importPair(secret: Uint8Array, publicKey: Uint8Array) {
  const { kem } = SUITE;
  return {
    privateKey: await kem.deserializePrivateKey(secret),
    publicKey: await kem.deserializePublicKey(publicKey),
  };
}
