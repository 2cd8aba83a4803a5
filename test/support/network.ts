import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { EnclaveSettings } from '../../enclave/enclave.ts';
import { deployPool, type AttestorSettings } from '../../scripts/deploy/contracts.ts';
import type { Chain } from './chain.ts';

export const ETH: Token = { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 };

const DAY_SECONDS = 86_400;

type NetworkOptions = {
  /** URL of the chain's server; one that nobody listens at unless given. */
  readonly endpoint?: string;
  readonly bucketAgeSeconds?: bigint;
  /** Without them the registry takes the word of keys. */
  readonly attestors?: AttestorSettings;
  /** Only the native currency unless given. */
  readonly tokens?: readonly Token[];
};

/** Deploys a pool, and says of it what wallets and enclaves need to know. */
export async function deployNetwork(chain: Chain, options: NetworkOptions = {}): Promise<Manifest> {
  const { endpoint = 'http://127.0.0.1:1', bucketAgeSeconds = 60n, attestors, tokens = [ETH] } = options;
  const { pool, registry, startBlock } = await deployPool(chain.signer(), {
    guardian: chain.signer(1).address,
    governor: chain.signer(2).address,
    bucketAgeSeconds,
    ...(attestors === undefined ? {} : { attestors }),
  });
  return {
    name: 'test',
    endpoint,
    chainId: 31337n,
    genesisHash: (await chain.provider.getBlock(0))?.hash ?? '',
    pool: BigInt(pool),
    registry: BigInt(registry),
    startBlock,
    tokens,
    relayer: undefined,
  };
}

/** An enclave of the first operator that trades nothing and settles nothing, for tests of what stands around that. @param gas who pays, by his number. */
export function idleEnclave(
  chain: Chain,
  manifest: Manifest,
  gas: number,
  directory: string,
): Omit<EnclaveSettings, 'keys' | 'treasury' | 'report'> {
  return {
    chain: { manifest, provider: chain.provider, signer: chain.signer(gas) },
    operator: 1,
    directory,
    markets: [],
    rules: {
      settleSeconds: 3_600,
      roundSeconds: 60,
      fills: 2,
      orderSecondsMax: DAY_SECONDS,
      lockSecondsMax: 10 * DAY_SECONDS,
      withdrawalFees: [],
      noteMins: [],
      ordersMax: 10,
    },
    cadence: { kind: 'count', matches: 1_000, secondsMax: 10 ** 9 },
    confirmations: 0,
    clockSkewSecondsMax: undefined,
    prover: { prove: () => Promise.reject(new Error('nothing is to be proven')) },
    api: { host: '127.0.0.1', port: 0 },
    pollMs: 50,
  };
}
