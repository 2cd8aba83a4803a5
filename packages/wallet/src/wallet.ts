import { join } from 'node:path';
import { connect, formatAccount, type Manifest } from '@bitcloak/chain/manifest';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { Keyring, ViewingKey } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import type { Prover } from '@bitcloak/prover/prover';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { HDNodeWallet } from 'ethers';
import { readFileIfPresent, takeLock } from './files.ts';
import { createKeyFile, openKeyFile, type OpenedKeys, type WalletSecret } from './keystore.ts';
import { Session } from './session.ts';
import { StateFile } from './stateFile.ts';

const KEY_FILE = 'wallet.json';

/** A wallet on this machine: a directory with an encrypted key file, and what was found on each network. */
export class Wallet {
  readonly #directory: string;
  readonly #dataKey: Uint8Array;
  readonly #keyring: Keyring | undefined;
  readonly #seed: Uint8Array | undefined;
  readonly viewing: ViewingKey;

  private constructor(directory: string, { secret, dataKey }: OpenedKeys) {
    this.#directory = directory;
    this.#dataKey = dataKey;
    if ('mnemonic' in secret) {
      this.#seed = seedOf(secret.mnemonic);
      this.#keyring = new Keyring(this.#seed);
      this.viewing = this.#keyring.viewing;
    } else {
      this.viewing = ViewingKey.parse(secret.viewingKey);
    }
  }

  /** Makes a wallet in a directory that has none. Throws `WALLET_EXISTS`, `MNEMONIC_INVALID`, `VIEWING_KEY_INVALID`. */
  static async create(directory: string, secret: WalletSecret, passphrase: string): Promise<Wallet> {
    return new Wallet(directory, await createKeyFile(join(directory, KEY_FILE), secret, passphrase));
  }

  /** Throws `WALLET_MISSING`, `WALLET_CORRUPT`, `PASSPHRASE_WRONG`. */
  static async open(directory: string, passphrase: string): Promise<Wallet> {
    return new Wallet(directory, await openKeyFile(join(directory, KEY_FILE), passphrase));
  }

  static exists(directory: string): boolean {
    return readFileIfPresent(join(directory, KEY_FILE)) !== undefined;
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

  /** Connects to a network and takes the wallet for this process until the session is closed. Throws `WALLET_BUSY`, `NETWORK_RESTARTED` and others. */
  async openSession(manifest: Manifest, prover: Prover): Promise<Session> {
    const release = takeLock(join(this.#directory, 'lock'));
    try {
      const endpoint = await connect(manifest);
      const network = `${manifest.chainId}-${manifest.genesisHash.slice(2, 18)}-${formatAccount(manifest.pool)}`;
      const stateFile = new StateFile(join(this.#directory, 'state', `${network}.bin`), this.#dataKey, network);
      return new Session({ wallet: this, manifest, endpoint, stateFile, prover, release });
    } catch (error) {
      release();
      throw error;
    }
  }
}

function watchOnly(): BitcloakError {
  return new BitcloakError('WALLET_WATCH_ONLY', 'this wallet was made from a viewing key: it sees, and cannot spend');
}
