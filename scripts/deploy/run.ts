import type { Measurements } from '@bitcloak/attestation/policy';
import { formatAccount, formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { callError } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { readFileIfPresent, writeFileWhole } from '@bitcloak/wallet/files';
import {
  concat,
  Interface,
  isError,
  keccak256,
  type Provider,
  type TransactionReceipt,
  type TransactionResponse,
  type Wallet,
} from 'ethers';
import { isBuildOf } from '../audit/deployment.ts';
import type { DeployConfig } from './config.ts';
import { planPool, readArtifact, refuseDevelopmentParts, type Deployment } from './contracts.ts';
import { manifestOf } from './plan.ts';

export type RunOptions = {
  readonly config: DeployConfig;
  /** As the plan wrote it. */
  readonly manifest: Manifest;
  /** Allowed from the start. */
  readonly measured: readonly Measurements[];
  /** The deployer, with a provider. */
  readonly wallet: Wallet;
  /** File of what was sent: by it a run that was interrupted is gone on with. */
  readonly sentPath: string;
  /** Is told of each contract as soon as it stands, those of an earlier run too. */
  readonly report: (deployment: Deployment, receipt: TransactionReceipt) => Promise<void> | void;
};

/** Hashes of the transactions that were sent for each address. */
type Sent = Record<string, string[]>;

const MINED_MS_MAX = 600_000;

/**
 * Deploys a planned network, or what an earlier run left of it. Before anything is sent it throws `USAGE` for a manifest that is not the config's,
 * `DEVELOPMENT_ONLY`, and `CHAIN_MISMATCH` where the account's transactions do not lead to the planned addresses; later what the endpoint throws, with what
 * stands so far.
 *
 * @returns the block of the pool's deployment.
 */
export async function runDeployment(options: RunOptions): Promise<number> {
  const { config, manifest, measured, wallet, report } = options;
  const { provider } = wallet;
  if (provider === null) throw new BitcloakError('USAGE', 'a deployer needs a provider');
  refuseDevelopmentParts((await provider.getNetwork()).chainId, config.settings(measured));
  const newest = await provider.getBlockNumber();
  if (manifest.startBlock > newest) {
    throw new BitcloakError('USAGE', `startBlock: expected a block that is there, got ${manifest.startBlock}`);
  }
  const { first, next } = await position(options, provider);
  const sender = new Sender(options, provider, newest);
  const stands: string[] = [];
  let startBlock = manifest.startBlock;
  const deployments = planPool(wallet.address, first, config.settings(measured));
  try {
    for (const [index, deployment] of deployments.entries()) {
      const nonce = first + index;
      const { name, address } = deployment;
      const found = await sender.find(deployment);
      if (found === undefined && nonce < next) throw taken(nonce, name);
      const receipt = found ?? (await sender.send(deployment, nonce));
      if (receipt.contractAddress !== address || !isBuildOf(name, await provider.getCode(address))) {
        throw new BitcloakError('TRANSACTION_FAILED', `${name}: expected at ${address}, where it is not`);
      }
      stands.push(`${name} ${address}`);
      startBlock = receipt.blockNumber;
      await report(deployment, receipt);
    }
  } catch (error) {
    const failure = callError(error);
    const message = `${failure.message}; ${stands.length} of ${deployments.length} contracts stand: ${stands.join(', ')}`;
    throw new BitcloakError(failure.code, message);
  }
  return startBlock;
}

/** Numbers of the first transaction of the deployment and of the account's next one. */
async function position({ config, manifest, wallet }: RunOptions, provider: Provider) {
  const next = await provider.getTransactionCount(wallet.address, 'pending');
  const contracts = planPool(wallet.address, next, config.settings([])).length;
  for (let first = next; first >= Math.max(0, next - contracts); first--) {
    const planned = manifestOf(config, wallet.address, first, manifest);
    if (planned.registry !== manifest.registry) continue;
    if (formatManifest(planned) !== formatManifest(manifest)) {
      throw new BitcloakError(
        'USAGE',
        'the manifest is not the one that the config makes: plan, compose and measure again',
      );
    }
    return { first, next };
  }
  const message =
    `the transactions of ${wallet.address}, ${next} so far, do not lead to a registry at ${formatAccount(manifest.registry)}: ` +
    'plan, compose and measure again';
  throw new BitcloakError('CHAIN_MISMATCH', message);
}

/** Sends deployments, and remembers them: a file has each hash before the chain has the transaction. */
class Sender {
  readonly #provider: Provider;
  readonly #wallet: Wallet;
  readonly #path: string;
  readonly #sent: Sent;
  /** One before which nothing was replaced that is still waited for. */
  readonly #block: number;

  constructor({ wallet, sentPath }: RunOptions, provider: Provider, block: number) {
    this.#block = block;
    this.#provider = provider;
    this.#wallet = wallet;
    this.#path = sentPath;
    this.#sent = readSent(sentPath);
  }

  async send(deployment: Deployment, nonce: number): Promise<TransactionReceipt> {
    const { name, address } = deployment;
    const data = initCode(deployment);
    // Tried before it is sent: nothing that reverts uses the number up.
    const transaction = await this.#wallet.populateTransaction({ from: this.#wallet.address, data, nonce });
    const raw = await this.#wallet.signTransaction(transaction);
    this.#remember(address, keccak256(raw));
    try {
      return await this.#mined(deployment, await this.#provider.broadcastTransaction(raw));
    } catch (error) {
      if (isError(error, 'NONCE_EXPIRED') || isError(error, 'REPLACEMENT_UNDERPRICED')) throw taken(nonce, name);
      throw error;
    }
  }

  /** What an earlier run sent for it. Throws `CHAIN_MISMATCH` where it is something else than would be sent now. */
  async find(deployment: Deployment): Promise<TransactionReceipt | undefined> {
    for (const hash of this.#sent[deployment.address] ?? []) {
      const transaction = await this.#provider.getTransaction(hash);
      if (transaction === null) continue;
      if (transaction.data !== initCode(deployment)) {
        const message = `${deployment.name} was deployed with other parameters than those of config and measurements`;
        throw new BitcloakError('CHAIN_MISMATCH', message);
      }
      return this.#mined(deployment, transaction);
    }
    return undefined;
  }

  async #mined({ name, address }: Deployment, transaction: TransactionResponse): Promise<TransactionReceipt> {
    try {
      const watched = transaction.replaceableTransaction(transaction.blockNumber ?? this.#block);
      const receipt = await watched.wait(1, MINED_MS_MAX);
      if (receipt !== null) return receipt;
    } catch (error) {
      if (!isError(error, 'TRANSACTION_REPLACED')) throw error;
      if (error.reason !== 'repriced' || error.receipt.status !== 1) throw taken(transaction.nonce, name);
      this.#remember(address, error.receipt.hash);
      return error.receipt;
    }
    throw new BitcloakError('TRANSACTION_FAILED', `the deployment of ${name} was dropped`);
  }

  #remember(address: string, hash: string): void {
    this.#sent[address] = [...(this.#sent[address] ?? []), hash];
    writeFileWhole(this.#path, Buffer.from(`${JSON.stringify(this.#sent, null, 2)}\n`));
  }
}

function readSent(path: string): Sent {
  const text = readFileIfPresent(path)?.toString() ?? '{}';
  try {
    return JSON.parse(text) as Sent;
  } catch {
    throw new BitcloakError('USAGE', `${path}: expected what an earlier run has written`);
  }
}

function initCode({ name, parameters }: Deployment): string {
  const { abi, bytecode } = readArtifact(name);
  return concat([bytecode, new Interface(abi).encodeDeploy(parameters)]);
}

function taken(nonce: number, name: string): BitcloakError {
  const message = `transaction ${nonce} of the account is not the deployment of ${name}, whose address cannot be had any more: plan, compose and measure again`;
  return new BitcloakError('CHAIN_MISMATCH', message);
}
