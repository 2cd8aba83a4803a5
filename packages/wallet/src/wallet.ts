import { join } from 'node:path';
import { connect, formatAccount, type Manifest } from '@bitcloak/chain/manifest';
import type { Prover } from '@bitcloak/prover/proof';
import { readFileIfPresent, takeLock } from './files.ts';
import { createKeyFile, openKeyFile, type OpenedKeys, type WalletSecret } from './keystore.ts';
import { HandedOver } from './handedOver.ts';
import { Session } from './session.ts';
import { StateFile } from './stateFile.ts';
import { TradeBook } from './tradingBook.ts';
import { WalletKeys } from './walletKeys.ts';

const KEY_FILE = 'wallet.json';

/** A wallet on this machine: a directory with an encrypted key file, and what was found on each network. */
export class Wallet extends WalletKeys {
  readonly #directory: string;
  readonly #dataKey: Uint8Array;

  private constructor(directory: string, { secret, dataKey }: OpenedKeys) {
    super(secret);
    this.#directory = directory;
    this.#dataKey = dataKey;
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

  /** Connects to a network and takes the wallet for this process until the session is closed. Throws `WALLET_BUSY`, `NETWORK_RESTARTED` and others. */
  async openSession(manifest: Manifest, prover: Prover): Promise<Session> {
    const release = takeLock(join(this.#directory, 'lock'));
    try {
      const endpoint = await connect(manifest);
      const network = `${manifest.chainId}-${manifest.genesisHash.slice(2, 18)}-${formatAccount(manifest.pool)}`;
      const path = (kind: string) => join(this.#directory, 'state', `${network}.${kind}`);
      const stateFile = new StateFile(path('bin'), this.#dataKey, network);
      const handedOver = new HandedOver(path('handed'), this.#dataKey, network);
      const tradeBook = new TradeBook(path('orders'), this.#dataKey, network);
      return new Session({ keys: this, manifest, endpoint, stateFile, handedOver, prover, tradeBook, release });
    } catch (error) {
      release();
      throw error;
    }
  }
}
