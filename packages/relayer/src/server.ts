import { readFileSync } from 'node:fs';
import { decodeFees, type RelayFee } from '@bitcloak/chain/relayWire';
import { connect, readManifest, type Manifest } from '@bitcloak/chain/manifest';
import { PoolClient } from '@bitcloak/chain/pool';
import { Keyring } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';
import { HDNodeWallet } from 'ethers';
import { buildRelayer } from './app.ts';

const HELP = `Starts a relayer. It is configured by the environment:

  BITCLOAK_RELAYER_MANIFEST          manifest of the network, a JSON file
  BITCLOAK_RELAYER_FEES              JSON file: a list of { "asset", "withdrawal", "transfer" }, fees in base units as strings
  BITCLOAK_RELAYER_MNEMONIC_FILE     file with the recovery phrase of the relayer's wallet: its first account pays the gas,
                                     its shielded address gets the fees; or the phrase itself in BITCLOAK_RELAYER_MNEMONIC
  BITCLOAK_RELAYER_ENDPOINT          URL of an endpoint, where it is another than the manifest's
  BITCLOAK_RELAYER_HOST              127.0.0.1 unless given
  BITCLOAK_RELAYER_PORT              8546 unless given
  BITCLOAK_RELAYER_RATE_PER_MINUTE   requests of one address in a minute, 60 unless given
  BITCLOAK_RELAYER_GAS_MAX           gas of one transaction, 1500000 unless given
  BITCLOAK_RELAYER_TRUSTED_PROXIES   addresses of proxies, with commas, whose word on a client's address counts`;

type Settings = {
  manifest: Manifest;
  fees: Map<bigint, RelayFee>;
  mnemonic: string;
  host: string;
  port: number;
  ratePerMinute: number;
  gasMax: bigint;
  trustedProxies: string[] | undefined;
};

type Environment = Readonly<Record<string, string | undefined>>;

const ACCOUNT_PATH = "m/44'/60'/0'/0/0";

function readSettings(environment: Environment): Settings {
  const setting = (name: string) => environment[`BITCLOAK_RELAYER_${name}`];
  const needed = (name: string): string => setting(name) ?? usage(name, 'a value');
  const count = (name: string, fallback: number, max: number): number => {
    const text = setting(name) ?? String(fallback);
    return /^[0-9]{1,9}$/.test(text) && Number(text) <= max ? Number(text) : usage(name, `a whole number up to ${max}`);
  };
  const manifest = readManifest(needed('MANIFEST'));
  const mnemonicFile = setting('MNEMONIC_FILE');
  return {
    manifest: { ...manifest, endpoint: setting('ENDPOINT') ?? manifest.endpoint },
    fees: readFees(needed('FEES')),
    mnemonic: mnemonicFile === undefined ? needed('MNEMONIC') : readText('MNEMONIC_FILE', mnemonicFile),
    host: setting('HOST') ?? '127.0.0.1',
    port: count('PORT', 8546, 65_535),
    ratePerMinute: count('RATE_PER_MINUTE', 60, 1_000_000),
    gasMax: BigInt(count('GAS_MAX', 1_500_000, 16_000_000)),
    trustedProxies: setting('TRUSTED_PROXIES')?.split(','),
  };
}

function readFees(path: string): Map<bigint, RelayFee> {
  const text = readText('FEES', path);
  try {
    return decodeFees(JSON.parse(text));
  } catch (error) {
    return usage('FEES', `a list of fees (${(error as Error).message})`);
  }
}

function readText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return usage(name, `a file that can be read, got ${path}`);
  }
}

function usage(name: string, expected: string): never {
  throw new BitcloakError('USAGE', `BITCLOAK_RELAYER_${name}: expected ${expected}`);
}

const print = (line: object) => {
  console.log(JSON.stringify(line));
};

async function serve(settings: Settings): Promise<void> {
  const seed = seedOf(settings.mnemonic);
  const endpoint = await connect(settings.manifest);
  const { trustedProxies } = settings;
  const app = await buildRelayer({
    pool: new PoolClient(settings.manifest.pool, endpoint),
    endpoint,
    keyring: new Keyring(seed),
    account: HDNodeWallet.fromSeed(seed).derivePath(ACCOUNT_PATH),
    chainId: settings.manifest.chainId,
    fees: settings.fees,
    gasMax: settings.gasMax,
    ratePerMinute: settings.ratePerMinute,
    ...(trustedProxies === undefined ? {} : { trustedProxies }),
    report: print,
  });
  print({ kind: 'listening', url: await app.listen({ host: settings.host, port: settings.port }) });
  const stop = () => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    void app.close().then(() => {
      endpoint.destroy();
    });
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
}

if (process.argv.includes('--help')) {
  console.log(HELP);
} else {
  try {
    await serve(readSettings(process.env));
  } catch (error) {
    const known = error instanceof BitcloakError;
    console.error(known ? `${error.code}: ${error.message}` : 'the relayer failed to start');
    process.exit(known ? ERROR_EXIT_CODES[error.code] : 1);
  }
}
