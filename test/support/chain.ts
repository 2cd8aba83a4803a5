import {
  BrowserProvider,
  ContractFactory,
  JsonRpcProvider,
  Network,
  type BaseContract,
  type InterfaceAbi,
  type JsonRpcApiProvider,
  type JsonRpcSigner,
} from 'ethers';
import hre from 'hardhat';

/** What is needed to deploy a contract; an artifact of Hardhat has it. */
export type Deployable = { readonly abi: InterfaceAbi; readonly bytecode: string };

export type ChainOptions = {
  /** 31337 unless given. */
  readonly chainId?: number;
};

/** A chain of its own inside this process. Nothing is shared with other chains; `close` ends it. */
export class Chain {
  readonly provider: JsonRpcApiProvider;
  /** Unlocked accounts with 10,000 coins each. */
  readonly signers: readonly JsonRpcSigner[];
  readonly #close: () => Promise<void>;

  constructor(provider: JsonRpcApiProvider, signers: readonly JsonRpcSigner[], close: () => Promise<void>) {
    this.provider = provider;
    this.signers = signers;
    this.#close = close;
  }

  /** The signer of that index. */
  signer(index = 0): JsonRpcSigner {
    const signer = this.signers[index];
    if (signer === undefined) throw new RangeError(`signer ${index}: there are ${this.signers.length}`);
    return signer;
  }

  /** Deploys a contract of `artifacts/`, by its name, or any other, and waits until it is there. */
  async deploy<T extends BaseContract>(
    contract: string | Deployable,
    parameters: readonly unknown[] = [],
    signer = this.signer(),
  ): Promise<T> {
    const { abi, bytecode } = typeof contract === 'string' ? await readArtifact(contract) : contract;
    const deployed = await new ContractFactory(abi, bytecode, signer).deploy(...parameters);
    return (await deployed.waitForDeployment()) as T;
  }

  /** Takes a snapshot; what it returns goes back to it, as often as called. */
  async snapshot(): Promise<() => Promise<void>> {
    const take = async () => (await this.provider.send('evm_snapshot', [])) as string;
    let id = await take();
    return async () => {
      if ((await this.provider.send('evm_revert', [id])) !== true)
        throw new Error(`snapshot ${id} is gone: an earlier one was reverted to`);
      // Reverting uses a snapshot up.
      id = await take();
    };
  }

  async mine(blocks = 1): Promise<void> {
    await this.provider.send('hardhat_mine', [`0x${blocks.toString(16)}`]);
  }

  /** The time of the newest block in unix seconds. */
  async now(): Promise<bigint> {
    const block = (await this.provider.send('eth_getBlockByNumber', ['latest', false])) as { timestamp: string };
    return BigInt(block.timestamp);
  }

  /** Sets the time of the next block, in unix seconds, without mining it. */
  async setNextTime(time: bigint): Promise<void> {
    await this.provider.send('evm_setNextBlockTimestamp', [Number(time)]);
  }

  /** Mines a block at that time, in unix seconds. */
  async setTime(time: bigint): Promise<void> {
    await this.setNextTime(time);
    await this.mine();
  }

  /** Mines a block that many seconds after the newest. */
  async increaseTime(seconds: bigint): Promise<void> {
    await this.setTime((await this.now()) + seconds);
  }

  async close(): Promise<void> {
    this.provider.destroy();
    await this.#close();
  }
}

/** A contract's artifact, by its name or `path:name`. */
export async function readArtifact(contract: string): Promise<Deployable> {
  return hre.artifacts.readArtifact(contract);
}

export const PROVIDER_OPTIONS = {
  // A response that is kept for some milliseconds would hide a block mined in between.
  cacheTimeout: -1,
  pollingInterval: 20,
  staticNetwork: true,
} as const;

/** Starts a chain with the hardfork and the limits of the configuration. */
export async function openChain({ chainId = 31337 }: ChainOptions = {}): Promise<Chain> {
  const connection = await hre.network.create({ network: 'default', override: { chainId } });
  const provider = new BrowserProvider(connection.provider, Network.from(chainId), PROVIDER_OPTIONS);
  return new Chain(provider, await provider.listAccounts(), () => connection.close());
}

/** Starts the same as a server, as a devnet does; it listens on 127.0.0.1 only. */
export async function serveChain(): Promise<{ chain: Chain; url: string }> {
  const server = await hre.network.createServer({ network: 'default' }, '127.0.0.1', 0);
  const { address, port } = await server.listen();
  const url = `http://${address}:${port}`;
  const provider = new JsonRpcProvider(url, Network.from(31337), PROVIDER_OPTIONS);
  return { chain: new Chain(provider, await provider.listAccounts(), () => server.close()), url };
}
