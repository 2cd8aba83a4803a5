import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Endpoint, openEndpoint } from '@bitcloak/chain/endpoint';
import type { Manifest } from '@bitcloak/chain/manifest';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { HandedOver } from '@bitcloak/wallet/handedOver';
import { runKeeper } from '@bitcloak/wallet/keeper';
import { Session } from '@bitcloak/wallet/session';
import { StateFile } from '@bitcloak/wallet/stateFile';
import type { Balance, HistoryEntry, NoteView, Route } from '@bitcloak/wallet/types';
import type { WalletKeys } from '@bitcloak/wallet/walletKeys';
import { FetchRequest, Network, parseEther, toQuantity } from 'ethers';
import { deployPool } from '../../scripts/deploy/contracts.ts';
import { serveChain, type Chain } from './chain.ts';
import { DoubledProver } from './doubledProver.ts';
import { HostileEndpoint } from './hostileEndpoint.ts';

export const DIRECT: Route = { kind: 'direct' };

/** Everything that a wallet shows. */
export type Seen = { balances: Balance[]; notes: NoteView[]; history: readonly HistoryEntry[] };

export async function seenBy(session: Session): Promise<Seen> {
  return { balances: await session.balances(), notes: await session.notes(), history: session.history() };
}

/** A wallet without its key file: the half second that opening one costs is not what these tests are about. */
export type TestWallet = {
  readonly keys: WalletKeys;
  readonly stateFile: StateFile;
  /** Of the file with what it handed over, which every session reads for itself. */
  readonly handedPath: string;
};

export type SessionOptions = { readonly url?: string; readonly msMax?: number; readonly chainId?: bigint };

/** A pool on a served chain, with an endpoint before it that can misbehave. Proofs are doubled. */
export class SyncBench {
  readonly chain: Chain;
  readonly manifest: Manifest;
  readonly hostile: HostileEndpoint;
  readonly prover: DoubledProver;
  readonly #direct: Manifest;
  readonly #directory = mkdtempSync(join(tmpdir(), 'bitcloak-sync-'));
  readonly #sessions = new Set<Session>();
  readonly #endpoints: HostileEndpoint[] = [];
  #wallets = 0;

  private constructor(chain: Chain, direct: Manifest, hostile: HostileEndpoint, prover: DoubledProver) {
    this.chain = chain;
    this.#direct = direct;
    this.manifest = { ...direct, endpoint: hostile.url };
    this.hostile = hostile;
    this.prover = prover;
  }

  static async open(): Promise<SyncBench> {
    const { chain, url } = await serveChain();
    const prover = new DoubledProver();
    const deployed = await deployPool(chain.signer(), {
      guardian: chain.signer(1).address,
      governor: chain.signer(2).address,
      bucketAgeSeconds: 1n,
      verifier: await prover.deploy(chain),
    });
    const manifest: Manifest = {
      name: 'test',
      endpoint: url,
      chainId: 31337n,
      genesisHash: (await chain.provider.getBlock(0))?.hash ?? '',
      pool: BigInt(deployed.pool),
      registry: BigInt(deployed.registry),
      startBlock: deployed.startBlock,
      tokens: [{ symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 }],
      relayer: undefined,
    };
    return new SyncBench(chain, manifest, await HostileEndpoint.open(url), prover);
  }

  get directory(): string {
    return this.#directory;
  }

  /** A wallet that has read nothing yet, with coins on its public account where it can have one. */
  async wallet(keys: WalletKeys): Promise<TestWallet> {
    if (!keys.watchOnly) {
      await this.chain.provider.send('hardhat_setBalance', [keys.account().address, toQuantity(parseEther('1000'))]);
    }
    const path = join(this.#directory, `${this.#wallets++}`);
    const stateFile = new StateFile(`${path}.bin`, new Uint8Array(32), 'test');
    return { keys, stateFile, handedPath: `${path}.handed` };
  }

  /** Another hostile endpoint, for a session that shall suffer from it alone. */
  async otherEndpoint(): Promise<HostileEndpoint> {
    const endpoint = await HostileEndpoint.open(this.#direct.endpoint);
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** @param url which endpoint it asks: the hostile one unless given. `msMax` limits each request, and `chainId` is what the session takes the chain for. */
  async session(
    { keys, stateFile, handedPath }: TestWallet,
    { url = this.hostile.url, msMax, chainId = this.manifest.chainId }: SessionOptions = {},
  ): Promise<Session> {
    const manifest = { ...this.manifest, endpoint: url, chainId };
    const endpoint = msMax === undefined ? await openEndpoint(url) : impatient(url, msMax);
    const session: Session = new Session({
      keys,
      manifest,
      endpoint,
      stateFile,
      handedOver: new HandedOver(handedPath, new Uint8Array(32), 'test'),
      prover: this.prover,
      release: () => {
        this.#sessions.delete(session);
      },
    });
    this.#sessions.add(session);
    return session;
  }

  /** What the chain has for a wallet: told by the chain itself to one that knows nothing. */
  async truth(keys: WalletKeys): Promise<Seen> {
    const session = await this.session(await this.wallet(keys), { url: this.#direct.endpoint });
    await session.sync();
    const seen = await seenBy(session);
    session.close();
    return seen;
  }

  /** Closes and inserts everything. */
  async insertAll(): Promise<void> {
    await this.chain.increaseTime(2n);
    const endpoint = await openEndpoint(this.#direct.endpoint);
    await runKeeper({
      pool: this.manifest.pool,
      endpoint,
      signer: this.chain.signer(3),
      startBlock: this.manifest.startBlock,
      prover: this.prover,
      closeAfterSeconds: 0n,
      pollMs: 10,
      once: true,
      signal: new AbortController().signal,
      report: () => undefined,
    });
    endpoint.destroy();
  }

  /** Mines blocks one by one: of those that it mines at once, Hardhat does not know the state between. */
  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) await this.chain.mine();
  }

  async height(): Promise<number> {
    return this.chain.provider.getBlockNumber();
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.close();
    await Promise.all([this.hostile, ...this.#endpoints].map((endpoint) => endpoint.close()));
    await this.chain.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function impatient(url: string, msMax: number): Endpoint {
  const request = new FetchRequest(url);
  request.timeout = msMax;
  return new Endpoint(request, Network.from(31337));
}
