import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import type { Manifest } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Prover } from '@bitcloak/prover/proof';
import type { Session } from '@bitcloak/wallet/session';
import type { Wallet } from '@bitcloak/wallet/wallet';
import { DEFAULT_WALLET, REPOSITORY, userPath } from './invocation.ts';
import { Progress } from './progress.ts';
import { askLine, canAsk } from './prompts.ts';
import type { TokenBook } from './tokens.ts';

export type GlobalOptions = {
  readonly wallet?: string;
  readonly network: string;
  readonly endpoint?: string;
  readonly passphraseFile?: string;
  readonly json?: true;
  readonly yes?: true;
  readonly quiet?: true;
};

/** What a command works with. Everything is opened when it is first asked for, and closed together. */
export class Context {
  readonly options: GlobalOptions;
  readonly progress: Progress;
  #manifest: Manifest | undefined;
  #tokens: TokenBook | undefined;
  #endpoint: Promise<Endpoint> | undefined;
  #session: Session | undefined;
  #wallet: Wallet | undefined;
  readonly #closers: (() => Promise<void> | void)[] = [];
  readonly #interruption = new AbortController();
  #awaitsInterruption = false;

  constructor(options: GlobalOptions) {
    this.options = options;
    this.progress = new Progress(options.quiet === true);
  }

  get walletDirectory(): string {
    const { wallet } = this.options;
    return wallet === undefined ? DEFAULT_WALLET : userPath(wallet);
  }

  /** The network that --network names, with the endpoint of --endpoint where there is one. */
  async manifest(): Promise<Manifest> {
    if (this.#manifest !== undefined) return this.#manifest;
    const { readManifest } = await import('@bitcloak/chain/manifestFile');
    const manifest = readManifest(manifestPath(this.options.network));
    const { endpoint } = this.options;
    this.#manifest = endpoint === undefined ? manifest : { ...manifest, endpoint };
    return this.#manifest;
  }

  async tokens(): Promise<TokenBook> {
    if (this.#tokens !== undefined) return this.#tokens;
    const { TokenBook } = await import('./tokens.ts');
    this.#tokens = new TokenBook(await this.manifest(), () => this.endpoint());
    return this.#tokens;
  }

  /** The session's endpoint where there is a session, else a connection of its own. */
  async endpoint(): Promise<Endpoint> {
    if (this.#session !== undefined) return this.#session.endpoint;
    this.#endpoint ??= this.#connect();
    return this.#endpoint;
  }

  async openWallet(): Promise<Wallet> {
    if (this.#wallet !== undefined) return this.#wallet;
    const { Wallet } = await import('@bitcloak/wallet/wallet');
    // Nobody is asked for the passphrase of a wallet that is not there.
    if (!Wallet.exists(this.walletDirectory)) {
      throw new BitcloakError('WALLET_MISSING', `there is no wallet at ${this.walletDirectory}`);
    }
    this.#wallet = await Wallet.open(this.walletDirectory, await this.passphrase());
    return this.#wallet;
  }

  /** The wallet on its network, with everything that the chain has for it by now. @param again reads also what was read before. */
  async openSession({ again = false } = {}): Promise<Session> {
    const manifest = await this.manifest();
    const wallet = await this.openWallet();
    const session = await wallet.openSession(manifest, await this.prover());
    this.#session = session;
    this.#closers.push(() => session.close());
    if (again) session.forget();
    await this.sync(session);
    return session;
  }

  async prover(): Promise<Prover> {
    const { LocalProver, terminateProver } = await import('@bitcloak/prover/prover');
    // The threads of a proof would keep the process.
    this.#closers.push(terminateProver);
    return new LocalProver({
      onEngine: (name) => {
        this.progress.note(`Proofs: ${name}.`);
      },
    });
  }

  async sync(session: Session): Promise<void> {
    await session.sync(this.progress.sync());
    this.progress.clear();
  }

  /** The passphrase of a wallet: from a file, the environment or a prompt, which asks twice for a new one. Never from the command line. */
  async passphrase({ isNew }: { isNew: boolean } = { isNew: false }): Promise<string> {
    const check = isNew ? (await import('@bitcloak/wallet/keystore')).checkNewPassphrase : checkNotEmpty;
    const checked = (passphrase: string) => {
      check(passphrase);
      return passphrase;
    };
    const { passphraseFile } = this.options;
    if (passphraseFile !== undefined) return checked(readTextFile(userPath(passphraseFile)).replace(/\r?\n$/, ''));
    const fromEnvironment = process.env['BITCLOAK_PASSPHRASE'];
    // Programs that this one starts need not have it.
    delete process.env['BITCLOAK_PASSPHRASE'];
    if (fromEnvironment !== undefined) return checked(fromEnvironment);
    if (!canAsk()) {
      const message = 'no terminal to ask for the passphrase: use --passphrase-file or BITCLOAK_PASSPHRASE';
      throw new BitcloakError('PASSPHRASE_MISSING', message);
    }
    this.progress.clear();
    const passphrase = checked(await askLine(isNew ? 'New passphrase: ' : 'Passphrase: ', { hidden: true }));
    if (isNew && (await askLine('Again: ', { hidden: true })) !== passphrase) {
      throw new BitcloakError('USAGE', 'the two passphrases differ');
    }
    return passphrase;
  }

  /** Runs what goes on until Ctrl-C, which then ends it gently by the signal that it gets. */
  async untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#awaitsInterruption = true;
    try {
      return await work(this.#interruption.signal);
    } finally {
      this.#awaitsInterruption = false;
    }
  }

  /** @returns whether the command ends by itself now. */
  interrupt(): boolean {
    const endsByItself = this.#awaitsInterruption && !this.#interruption.signal.aborted;
    this.#interruption.abort();
    return endsByItself;
  }

  /** Gives everything back. What was done is done: a failure to tidy up is no failure of the command. */
  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch {
        continue;
      }
    }
  }

  async #connect(): Promise<Endpoint> {
    const { connect } = await import('@bitcloak/chain/manifest');
    const endpoint = await connect(await this.manifest());
    this.#closers.push(() => endpoint.destroy());
    return endpoint;
  }
}

function manifestPath(network: string): string {
  if (network === 'devnet') return join(REPOSITORY, '.devnet', 'manifest.json');
  if (/[/\\]|\.json$/.test(network)) return userPath(network);
  throw new BitcloakError('NETWORK_UNKNOWN', `network: expected devnet or the path of a manifest file, got ${network}`);
}

export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BitcloakError('USAGE', `${path} cannot be read`, { cause: error });
  }
}

function checkNotEmpty(passphrase: string): void {
  if (passphrase === '') throw new BitcloakError('PASSPHRASE_MISSING', 'the passphrase is empty');
}
