import { readTrust, type Trust } from '@bitcloak/attestation/trust';
import { onStop, print, runService } from '@bitcloak/service/run';
import { ServiceSettings, type Environment } from '@bitcloak/service/settings';
import { isAddress, Wallet } from 'ethers';
import { buildAttestor } from './app.ts';
import { Attestor } from './attestor.ts';

const HELP = `Starts an attestor, which verifies evidence of enclaves and signs for it. It is configured by the environment:

  BITCLOAK_ATTESTOR_CHAIN_ID          of the chain that the registry is on
  BITCLOAK_ATTESTOR_REGISTRY          address of the registry
  BITCLOAK_ATTESTOR_VERIFIER          address of the registry's AttestorQuoteVerifier
  BITCLOAK_ATTESTOR_TRUST             JSON file: { "anchor": "intel", "tcb": { "accepted", "graced", "graceSeconds", "evaluationNumberMin",
                                      "collateralSecondsMax", "advisoriesRefused" }, "measurements": [{ "mrTd", "rtmr0", "rtmr1", "rtmr2",
                                      "composeHash" }] }
  BITCLOAK_ATTESTOR_KEY_FILE          file with the private key that signs, in hexadecimal, mode 0600
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
  return {
    chainId: BigInt(settings.count('CHAIN_ID', undefined, 999_999_999)),
    registry: address('REGISTRY'),
    verifier: address('VERIFIER'),
    trust: trustOf(settings),
    key: settings.privateKey('KEY_FILE'),
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

async function serve(environment: Environment): Promise<void> {
  const { key, host, port, ratePerMinute, trustedProxies, ...options } = readSettings(environment);
  const signer = new Wallet(key);
  const app = await buildAttestor({
    attestor: new Attestor({ ...options, signer, clock: () => Math.floor(Date.now() / 1000) }),
    ratePerMinute,
    ...(trustedProxies === undefined ? {} : { trustedProxies }),
    report: print,
  });
  print({ kind: 'listening', url: await app.listen({ host, port }), attestor: signer.address });
  onStop(() => {
    void app.close();
  });
}

await runService('the attestor', HELP, () => serve(process.env));
