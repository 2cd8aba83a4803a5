import { readFileSync } from 'node:fs';
import { hasKeys } from '@bitcloak/attestation/json';
import { measurementDigest, type Measurements } from '@bitcloak/attestation/policy';
import { readTrust } from '@bitcloak/attestation/trust';
import { formatManifest, parseManifest, type Manifest } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  BUCKET_AGE_SECONDS_MAX,
  BUCKET_AGE_SECONDS_MIN,
  DEVELOPMENT_CHAIN_IDS,
  TIMELOCK_SECONDS_MIN,
} from '@bitcloak/protocol/parameters';
import { checkJson } from '@bitcloak/trading/checks';
import { isAddress, ZeroAddress } from 'ethers';
import type { PoolSettings } from './contracts.ts';

/** What somebody decides who deploys a network. */
export type DeployConfig = {
  /** What the manifest says that does not come from the chain. */
  readonly network: Pick<Manifest, 'name' | 'endpoint' | 'chainId' | 'tokens' | 'relayer'>;
  /** Of the pool, with these sets of measurements to begin with. */
  settings(measured: readonly Measurements[]): PoolSettings & Required<Pick<PoolSettings, 'attestors'>>;
  /** The JSON of what attestors and wallets trust, with these sets. */
  trust(measured: readonly Measurements[]): Record<string, unknown>;
};

const DELAY_SECONDS_MAX = 365 * 86_400;

const TEXT = { type: 'string', maxLength: 2_000 };
const ACCOUNT = { type: 'string', pattern: '^0x[0-9a-fA-F]{40}$' };
const count = (maximum: number, minimum = 0) => ({ type: 'integer', minimum, maximum });
const strictObject = (properties: Record<string, object>, optional: Record<string, object> = {}) => ({
  type: 'object',
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});
const SCHEMA = strictObject(
  {
    name: TEXT,
    chainId: { type: 'string', pattern: '^[1-9][0-9]{0,18}$' },
    endpoint: TEXT,
    tokens: {
      type: 'array',
      items: strictObject({ symbol: TEXT, address: ACCOUNT, decimals: count(36) }),
    },
    guardian: ACCOUNT,
    governor: ACCOUNT,
    bucketAgeSeconds: count(Number(BUCKET_AGE_SECONDS_MAX)),
    timelockSeconds: count(DELAY_SECONDS_MAX, Number(TIMELOCK_SECONDS_MIN)),
    attestors: { type: 'array', items: ACCOUNT },
    threshold: count(1_000, 1),
  },
  { relayer: TEXT },
);
type Wire = Record<'name' | 'chainId' | 'endpoint' | 'guardian' | 'governor', string> &
  Record<'bucketAgeSeconds' | 'timelockSeconds' | 'threshold', number> & {
    tokens: { symbol: string; address: string; decimals: number }[];
    attestors: string[];
    relayer?: string;
  };

/** Reads the file of a deployment strictly. Throws `USAGE` or `NETWORK_UNKNOWN`, naming the field, and `DEVELOPMENT_ONLY` for an anchor other than Intel's on a chain for value. */
export function readConfig(path: string): DeployConfig {
  const refuse = (why: string): never => {
    throw new BitcloakError('USAGE', `${path}: ${why}`);
  };
  const { trust, wire } = readJson(path, refuse);
  const { name, chainId, endpoint, relayer, tokens, attestors, threshold, guardian, governor } = wire;
  const isDevelopment = DEVELOPMENT_CHAIN_IDS.some((id) => id === BigInt(chainId));
  for (const [field, address] of [
    ['guardian', guardian],
    ['governor', governor],
    ...attestors.map((each) => ['attestors', each] as const),
  ] as const) {
    if (!isAddress(address) || address === ZeroAddress) refuse(`${field}: expected an account with a right checksum`);
  }
  for (const { address } of tokens) if (!isAddress(address)) refuse('tokens: expected addresses with right checksums');
  const areDistinct = (values: readonly string[]) => new Set(values.map(BigInt)).size === values.length;
  if (!areDistinct(attestors)) refuse('attestors: expected different accounts');
  if (threshold > attestors.length) refuse(`threshold: expected at most ${attestors.length}, the number of attestors`);
  if (!areDistinct(tokens.map(({ address }) => address))) refuse('tokens: expected different addresses');
  if (new Set(tokens.map(({ symbol }) => symbol)).size !== tokens.length) refuse('tokens: expected different symbols');
  const bucketAgeSeconds = BigInt(wire.bucketAgeSeconds);
  if (bucketAgeSeconds < BUCKET_AGE_SECONDS_MIN && !isDevelopment) {
    refuse(`bucketAgeSeconds: expected ${BUCKET_AGE_SECONDS_MIN} or more`);
  }
  if (!isDevelopment && trust.anchor !== 'intel') {
    throw new BitcloakError(
      'DEVELOPMENT_ONLY',
      `${path}: trust.anchor: only intel signs for machines of chain ${chainId}`,
    );
  }
  const network = {
    name,
    endpoint,
    chainId: BigInt(chainId),
    tokens: tokens.map(({ symbol, address, decimals }) => ({ symbol, asset: BigInt(address), decimals })),
    relayer,
  };
  // What no manifest may have is refused before there is one.
  const rest = { genesisHash: `0x${'0'.repeat(64)}`, pool: 0n, registry: 0n, startBlock: 0 };
  parseManifest(formatManifest({ ...network, ...rest }), path);
  return {
    network,
    settings: (measured) => ({
      guardian,
      governor,
      bucketAgeSeconds,
      timelockSeconds: BigInt(wire.timelockSeconds),
      attestors: { attestors, threshold, measurements: digestsOf(measured) },
    }),
    trust: (measured) => ({ ...trust, measurements: measured }),
  };
}

/** A set that is given twice is one: the contract would refuse it when others stand already. */
function digestsOf(measured: readonly Measurements[]): string[] {
  return [...new Set(measured.map((set) => `0x${measurementDigest(set)}`))];
}

function readJson(path: string, refuse: (why: string) => never) {
  try {
    const { trust, ...wire } = { ...(JSON.parse(readFileSync(path, 'utf8')) as { trust?: unknown }) };
    checkJson(SCHEMA, wire, 'config');
    if (!hasKeys(trust, ['anchor', 'tcb'])) return refuse('trust: expected anchor and tcb, and nothing else');
    // What is measured is not known yet.
    readTrust({ ...trust, measurements: [] });
    return { trust, wire: wire as unknown as Wire };
  } catch (error) {
    return refuse((error as Error).message);
  }
}
