import { readFileSync, statSync } from 'node:fs';
import { readTrust, type Trust } from '@bitcloak/attestation/trust';
import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';
import { getAddress, Wallet } from 'ethers';
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

type Environment = Readonly<Record<string, string | undefined>>;

function readSettings(environment: Environment) {
  const setting = (name: string) => environment[`BITCLOAK_ATTESTOR_${name}`];
  const needed = (name: string): string => setting(name) ?? usage(name, 'a value');
  const count = (name: string, fallback: number | undefined, max: number): number => {
    const text = setting(name) ?? (fallback === undefined ? needed(name) : String(fallback));
    return /^[0-9]{1,9}$/.test(text) && Number(text) <= max ? Number(text) : usage(name, `a whole number up to ${max}`);
  };
  const address = (name: string): bigint => {
    try {
      return BigInt(getAddress(needed(name)));
    } catch {
      return usage(name, 'an address');
    }
  };
  return {
    chainId: BigInt(count('CHAIN_ID', undefined, 999_999_999)),
    registry: address('REGISTRY'),
    verifier: address('VERIFIER'),
    trust: trustOf(needed('TRUST')),
    key: keyOf(needed('KEY_FILE')),
    validSecondsMax: count('VALID_SECONDS', 7 * 86_400, 30 * 86_400),
    host: setting('HOST') ?? '127.0.0.1',
    port: count('PORT', 8570, 65_535),
    ratePerMinute: count('RATE_PER_MINUTE', 30, 1_000_000),
    trustedProxies: setting('TRUSTED_PROXIES')?.split(','),
  };
}

function trustOf(path: string): Trust {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return usage('TRUST', `a JSON file, got ${path}`);
  }
  try {
    return readTrust(json);
  } catch (error) {
    return usage('TRUST', `what is trusted (${(error as Error).message})`);
  }
}

function keyOf(path: string): string {
  try {
    if ((statSync(path).mode & 0o077) === 0) return new Wallet(readFileSync(path, 'utf8').trim()).privateKey;
  } catch {
    // What is in the file is not to be told.
  }
  return usage('KEY_FILE', `a private key in a file that is its owner's alone (mode 0600), got ${path}`);
}

function usage(name: string, expected: string): never {
  throw new BitcloakError('USAGE', `BITCLOAK_ATTESTOR_${name}: expected ${expected}`);
}

const print = (line: object) => {
  console.log(JSON.stringify(line));
};

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
  const stop = () => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    void app.close();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
}

if (process.argv.includes('--help')) {
  console.log(HELP);
} else {
  try {
    await serve(process.env);
  } catch (error) {
    const known = error instanceof BitcloakError;
    console.error(known ? `${error.code}: ${error.message}` : 'the attestor failed to start');
    process.exit(known ? ERROR_EXIT_CODES[error.code] : 1);
  }
}
