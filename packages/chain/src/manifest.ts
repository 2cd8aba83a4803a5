import { BitcloakError } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { getAddress } from 'ethers';
import { openEndpoint, type Endpoint } from './endpoint.ts';

/** An asset as people name it. */
export type Token = { readonly symbol: string; readonly asset: bigint; readonly decimals: number };

/** Where a pool is deployed, and what a wallet needs to use it. */
export type Manifest = {
  readonly name: string;
  readonly endpoint: string;
  readonly chainId: bigint;
  /** Hash of block 0: it tells a restarted development chain from the one before. */
  readonly genesisHash: string;
  readonly pool: bigint;
  /** The registry of operators that the pool asks. */
  readonly registry: bigint;
  /** The block of the pool's deployment. */
  readonly startBlock: number;
  /** The first is the native currency. */
  readonly tokens: readonly Token[];
  /** Base URL of a relayer, where there is one. */
  readonly relayer: string | undefined;
  readonly operator?: ManifestOperator;
};

/** The operator to trade with. */
export type ManifestOperator = {
  /** In the registry. */
  readonly number: number;
  /** Base URL of its enclave's API. */
  readonly url: string;
  /** Which evidence of enclaves is believed on this network: JSON that `readTrust` reads, and nothing here looks into. */
  readonly trust?: Readonly<Record<string, unknown>>;
};

/** An address as the chain's tools write it, with its checksum. */
export function formatAccount(address: bigint): string {
  return getAddress(`0x${address.toString(16).padStart(40, '0')}`);
}

/** The JSON text of a manifest. */
export function formatManifest(manifest: Manifest): string {
  const { name, endpoint, genesisHash, startBlock, relayer } = manifest;
  const tokens = manifest.tokens.map(({ symbol, asset, decimals }) => ({
    symbol,
    address: formatAccount(asset),
    decimals,
  }));
  const plain = {
    name,
    endpoint,
    chainId: manifest.chainId.toString(),
    genesisHash,
    pool: formatAccount(manifest.pool),
    registry: formatAccount(manifest.registry),
    startBlock,
    tokens,
    relayer,
    operator: manifest.operator,
  };
  return `${JSON.stringify(plain, null, 2)}\n`;
}

/** Reads a manifest strictly: a field that is missing, of a wrong type or unknown is `NETWORK_UNKNOWN`. */
export function parseManifest(text: string, source: string): Manifest {
  const fail = (why: string): never => {
    throw new BitcloakError('NETWORK_UNKNOWN', `${source}: ${why}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail('expected JSON');
  }
  const record = (value: unknown, what: string): Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : fail(`${what}: expected an object`);
  const fields = record(json, 'manifest');
  const text_ = (holder: Record<string, unknown>, field: string, pattern: RegExp): string => {
    const value = holder[field];
    return typeof value === 'string' && pattern.test(value) ? value : fail(`${field}: expected ${pattern.source}`);
  };
  const count = (holder: Record<string, unknown>, field: string, max: number): number => {
    const value = holder[field];
    return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max
      ? value
      : fail(`${field}: expected a whole number up to ${max}`);
  };
  const account = /^0x[0-9a-fA-F]{40}$/;
  const url = /^https?:\/\/.+$/;
  const places = ['endpoint', 'pool', 'registry', 'startBlock', 'tokens', 'relayer', 'operator'];
  const known = ['name', 'chainId', 'genesisHash', ...places];
  for (const field of Object.keys(fields)) if (!known.includes(field)) fail(`${field}: unknown field`);
  const operator = fields['operator'] === undefined ? undefined : record(fields['operator'], 'operator');
  for (const field of Object.keys(operator ?? {})) {
    if (!['number', 'url', 'trust'].includes(field)) fail(`operator.${field}: unknown field`);
  }
  const trust = operator?.['trust'] === undefined ? undefined : record(operator['trust'], 'operator.trust');
  const list = fields['tokens'];
  if (!Array.isArray(list) || list.length === 0) return fail('tokens: expected a list');
  const tokens = list.map((entry) => {
    const token = record(entry, 'tokens');
    const asset = BigInt(text_(token, 'address', account));
    return { symbol: text_(token, 'symbol', /^[A-Za-z0-9.]{1,12}$/), asset, decimals: count(token, 'decimals', 36) };
  });
  if (tokens[0]?.asset !== NATIVE_ASSET) return fail('tokens: expected the native currency first');
  return {
    name: text_(fields, 'name', /^[a-z0-9-]{1,32}$/),
    endpoint: text_(fields, 'endpoint', url),
    chainId: BigInt(text_(fields, 'chainId', /^[0-9]{1,20}$/)),
    genesisHash: text_(fields, 'genesisHash', /^0x[0-9a-f]{64}$/),
    pool: BigInt(text_(fields, 'pool', account)),
    registry: BigInt(text_(fields, 'registry', account)),
    startBlock: count(fields, 'startBlock', Number.MAX_SAFE_INTEGER),
    tokens,
    relayer: fields['relayer'] === undefined ? undefined : text_(fields, 'relayer', url),
    ...(operator === undefined
      ? {}
      : {
          operator: {
            number: count(operator, 'number', Number.MAX_SAFE_INTEGER),
            url: text_(operator, 'url', url),
            ...(trust === undefined ? {} : { trust }),
          },
        }),
  };
}

/** Connects to a manifest's endpoint and checks that it serves the chain that the manifest means. */
export async function connect(manifest: Manifest): Promise<Endpoint> {
  const endpoint = await openEndpoint(manifest.endpoint);
  const { chainId } = await endpoint.getNetwork();
  if (chainId !== manifest.chainId) {
    endpoint.destroy();
    throw new BitcloakError('CHAIN_MISMATCH', `chain id: expected ${manifest.chainId}, the endpoint has ${chainId}`);
  }
  const genesis = await endpoint.getBlock(0);
  if (genesis?.hash !== manifest.genesisHash) {
    endpoint.destroy();
    const message =
      `the endpoint serves another chain than the manifest of ${manifest.name} describes (genesis ${genesis?.hash ?? 'unknown'}, ` +
      `expected ${manifest.genesisHash}). A restarted development chain begins anew: nothing on the old one exists any more; ` +
      'run the command again once npm start has written its new manifest.';
    throw new BitcloakError('NETWORK_RESTARTED', message);
  }
  return endpoint;
}
