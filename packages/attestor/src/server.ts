import { fetchCollateral, INTEL_PCS } from '@bitcloak/attestation/collateralSource';
import { readTrust, type Trust } from '@bitcloak/attestation/trust';
import { openEndpoint, type Endpoint } from '@bitcloak/chain/endpoint';
import { RegistryClient } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { onStop, print, runService } from '@bitcloak/service/run';
import { ServiceSettings, type Environment } from '@bitcloak/service/settings';
import { isAddress, Wallet } from 'ethers';
import { buildAttestor } from './app.ts';
import { Attestor } from './attestor.ts';
import { KeptStatements } from './keptStatements.ts';
import { isInUse } from './registryUse.ts';
import { watchStatements } from './watchStatements.ts';

const HELP = `Starts an attestor, which verifies evidence of enclaves, signs for it, and withdraws what does not hold any more. It is configured by the environment:

  BITCLOAK_ATTESTOR_CHAIN_ID          of the chain that the registry is on
  BITCLOAK_ATTESTOR_REGISTRY          address of the registry
  BITCLOAK_ATTESTOR_VERIFIER          address of the registry's AttestorQuoteVerifier
  BITCLOAK_ATTESTOR_TRUST             JSON file: { "anchor": "intel", "tcb": { "accepted", "graced", "graceSeconds", "evaluationNumberMin",
                                      "collateralSecondsMax", "advisoriesRefused" }, "measurements": [{ "mrTd", "rtmr0", "rtmr1", "rtmr2",
                                      "composeHash" }] }
  BITCLOAK_ATTESTOR_KEY_FILE          file with the private key that signs, in hexadecimal, mode 0600
  BITCLOAK_ATTESTOR_DIRECTORY         for what it signed; is made where it is not there
  BITCLOAK_ATTESTOR_ENDPOINT          URL of an endpoint of the chain, asked only what of it the registry has no use of where there is no more room
  BITCLOAK_ATTESTOR_COLLATERAL        URL of a PCCS that has what verifies quotes; Intel's own service unless given
  BITCLOAK_ATTESTOR_CHECK_SECONDS     from one look at what it signed to the next, 3600 unless given
  BITCLOAK_ATTESTOR_KEPT_MIB          room for what it signed, 1024 unless given; with no room left it signs nothing
  BITCLOAK_ATTESTOR_VALID_SECONDS     the longest time that it signs for, 604800 unless given
  BITCLOAK_ATTESTOR_HOST              127.0.0.1 unless given
  BITCLOAK_ATTESTOR_PORT              8570 unless given
  BITCLOAK_ATTESTOR_RATE_PER_MINUTE   requests of one address in a minute, 30 unless given
  BITCLOAK_ATTESTOR_TRUSTED_PROXIES   addresses of proxies, with commas, whose word on a client's address counts`;

function readSettings(environment: Environment) {
  const settings = new ServiceSettings('BITCLOAK_ATTESTOR_', environment);
  const address = (name: string): bigint => {
    const text = settings.needed(name);
    return isAddress(text) ? BigInt(text) : settings.refuse(name, 'an address');
  };
  const url = (text: string, name: string): string =>
    /^https?:$/.test(URL.parse(text)?.protocol ?? '')
      ? text
      : settings.refuse(name, 'a URL such as https://localhost:8081');
  const collateral = settings.text('COLLATERAL');
  return {
    chainId: BigInt(settings.count('CHAIN_ID', undefined, 999_999_999)),
    registry: address('REGISTRY'),
    verifier: address('VERIFIER'),
    trust: trustOf(settings),
    key: settings.privateKey('KEY_FILE'),
    directory: settings.needed('DIRECTORY'),
    endpoint: url(settings.needed('ENDPOINT'), 'ENDPOINT'),
    collateral: collateral === undefined ? INTEL_PCS : { base: url(collateral, 'COLLATERAL') },
    checkSeconds: settings.count('CHECK_SECONDS', 3_600, 86_400, 60),
    keptMib: settings.count('KEPT_MIB', 1_024, 1_048_576, 1),
    validSecondsMax: settings.count('VALID_SECONDS', 7 * 86_400, 30 * 86_400),
    host: settings.text('HOST') ?? '127.0.0.1',
    port: settings.count('PORT', 8570, 65_535),
    ratePerMinute: settings.count('RATE_PER_MINUTE', 30, 1_000_000),
    trustedProxies: settings.list('TRUSTED_PROXIES'),
  };
}

function trustOf(settings: ServiceSettings): Trust {
  const text = settings.file('TRUST');
  try {
    return readTrust(JSON.parse(text));
  } catch (error) {
    return settings.refuse('TRUST', `a JSON file of what is trusted (${(error as Error).message})`);
  }
}

/** Opened when it is first needed: without an endpoint an attestor still stands by what it signed. */
function lazyEndpoint(url: string, chainId: bigint): () => Promise<Endpoint> {
  let opened: Promise<Endpoint> | undefined;
  const open = async () => {
    const endpoint = await openEndpoint(url);
    const { chainId: actual } = await endpoint.getNetwork();
    if (actual === chainId) return endpoint;
    throw new BitcloakError('CHAIN_MISMATCH', `the endpoint is of chain ${actual}, not ${chainId}`);
  };
  return () => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

async function serve(environment: Environment): Promise<void> {
  const { key, host, port, ratePerMinute, trustedProxies, checkSeconds, ...settings } = readSettings(environment);
  const { directory, endpoint, collateral, keptMib, ...options } = settings;
  const signer = new Wallet(key);
  const clock = () => Math.floor(Date.now() / 1000);
  const place = { chainId: options.chainId, verifier: options.verifier, attestor: signer.address };
  const kept = KeptStatements.open({ directory, ...place, bytesMax: keptMib * 1_048_576 });
  const chain = lazyEndpoint(endpoint, options.chainId);
  const attestor = new Attestor({
    ...options,
    signer,
    kept,
    collaterals: (quote) => fetchCollateral(quote, collateral),
    isInUse: async (statement) => {
      const provider = await chain();
      return isInUse(statement, new RegistryClient(options.registry, provider), provider, clock());
    },
    clock,
  });
  const app = await buildAttestor({
    attestor,
    ratePerMinute,
    ...(trustedProxies === undefined ? {} : { trustedProxies }),
    report: print,
  });
  print({ kind: 'listening', url: await app.listen({ host, port }), attestor: signer.address });
  const stopping = new AbortController();
  const watching = watchStatements(attestor, { seconds: checkSeconds, signal: stopping.signal, report: print });
  onStop(() => {
    stopping.abort();
    void Promise.all([app.close(), watching]).finally(() => {
      kept.close();
    });
  });
}

await runService('the attestor', HELP, () => serve(process.env));
