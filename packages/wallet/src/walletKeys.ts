import type { ShieldedAddress } from '@bitcloak/notes/address';
import { Keyring, ViewingKey } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { HDNodeWallet } from 'ethers';
import type { WalletSecret } from './keystore.ts';

/** What a wallet's secret derives: from a recovery phrase everything, from a viewing key what sees and cannot spend. */
export class WalletKeys {
  readonly #keyring: Keyring | undefined;
  readonly #seed: Uint8Array | undefined;
  readonly viewing: ViewingKey;

  constructor(secret: WalletSecret) {
    if ('mnemonic' in secret) {
      this.#seed = seedOf(secret.mnemonic);
      this.#keyring = new Keyring(this.#seed);
      this.viewing = this.#keyring.viewing;
    } else {
      this.viewing = ViewingKey.parse(secret.viewingKey);
    }
  }

  /** Whether it was made from a viewing key, so that it sees and cannot spend. */
  get watchOnly(): boolean {
    return this.#keyring === undefined;
  }

  get address(): ShieldedAddress {
    return { owner: this.viewing.main.owner, viewingKey: this.viewing.agreement.publicKey };
  }

  exportViewingKey(): string {
    return this.viewing.export();
  }

  /** Throws `WALLET_WATCH_ONLY`. */
  keyring(): Keyring {
    if (this.#keyring === undefined) throw watchOnly();
    return this.#keyring;
  }

  /** The public account that pays gas and deposits, derived from the same seed (BIP-44, m/44'/60'/0'/0/index). */
  account(index = 0): HDNodeWallet {
    if (this.#seed === undefined) throw watchOnly();
    return HDNodeWallet.fromSeed(this.#seed).derivePath(`m/44'/60'/0'/0/${index}`);
  }
}

function watchOnly(): BitcloakError {
  return new BitcloakError('WALLET_WATCH_ONLY', 'this wallet was made from a viewing key: it sees, and cannot spend');
}
