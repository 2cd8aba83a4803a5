import { Erc20 } from '@bitcloak/chain/erc20';
import type { Manifest } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Provider } from 'ethers';
import type { DeployConfig } from './config.ts';
import { addressIn, planPool, refuseDevelopmentParts } from './contracts.ts';

/** The manifest of a network that an account deploys from that number of its transactions on. */
export function manifestOf(
  config: DeployConfig,
  deployer: string,
  nonce: number,
  { genesisHash, startBlock }: Pick<Manifest, 'genesisHash' | 'startBlock'>,
): Manifest {
  // No address depends on what is measured: that is why it can be measured afterwards.
  const deployments = planPool(deployer, nonce, config.settings([]));
  const [pool, registry] = [addressIn(deployments, 'Pool'), addressIn(deployments, 'Registry')];
  return { ...config.network, genesisHash, startBlock, pool: BigInt(pool), registry: BigInt(registry) };
}

/**
 * What a network's manifest will be. Its first block is the newest of now: the pool's own is not known yet, and to read some blocks too many does no harm.
 *
 * Throws `CHAIN_MISMATCH` for another chain than the config's, `DEVELOPMENT_ONLY`, and `USAGE` for a deployer, number or token that cannot be.
 *
 * @param nonce number of the deployer's first transaction for it; that of its next one unless given.
 */
export async function planNetwork(
  config: DeployConfig,
  provider: Provider,
  deployer: string,
  nonce?: number,
): Promise<{ readonly manifest: Manifest; readonly nonce: number }> {
  const refuse = (why: string): never => {
    throw new BitcloakError('USAGE', why);
  };
  const { chainId, tokens } = config.network;
  const served = (await provider.getNetwork()).chainId;
  if (served !== chainId) {
    throw new BitcloakError('CHAIN_MISMATCH', `chain id: expected ${chainId}, the endpoint has ${served}`);
  }
  refuseDevelopmentParts(chainId, config.settings([]));
  if ((await provider.getCode(deployer)) !== '0x') refuse('deployer: expected an account without code');
  for (const { symbol, asset, decimals } of tokens.slice(1)) {
    const told = await new Erc20(asset, provider).decimals();
    if (told !== decimals) refuse(`tokens: ${symbol} has ${told ?? 'no'} decimals, not ${decimals}`);
  }
  const mined = await provider.getTransactionCount(deployer, 'latest');
  const pending = await provider.getTransactionCount(deployer, 'pending');
  const first = nonce ?? mined;
  if (first < mined) refuse(`nonce: the account's next transaction has number ${mined}`);
  if (nonce === undefined && pending > mined) refuse('nonce: the account has sent what is not mined yet; wait for it');
  const genesis = await provider.getBlock(0);
  if (genesis?.hash == null) throw new BitcloakError('ENDPOINT_INCONSISTENT', 'the endpoint has no block 0');
  const block = { genesisHash: genesis.hash, startBlock: await provider.getBlockNumber() };
  return { manifest: manifestOf(config, deployer, first, block), nonce: first };
}
