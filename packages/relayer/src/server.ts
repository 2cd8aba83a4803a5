import { decodeFees, type RelayFee } from '@bitcloak/chain/relayWire';
import { connect, type Manifest } from '@bitcloak/chain/manifest';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { PoolClient } from '@bitcloak/chain/pool';
import { Keyring } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import { onStop, print, runService } from '@bitcloak/service/run';
import { ServiceSettings, type Environment } from '@bitcloak/service/settings';
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

const ACCOUNT_PATH = "m/44'/60'/0'/0/0";

function readSettings(environment: Environment): Settings {
  const settings = new ServiceSettings('BITCLOAK_RELAYER_', environment);
  const manifest = readManifest(settings.needed('MANIFEST'));
  return {
    manifest: { ...manifest, endpoint: settings.text('ENDPOINT') ?? manifest.endpoint },
    fees: readFees(settings),
    mnemonic:
      settings.text('MNEMONIC_FILE') === undefined ? settings.needed('MNEMONIC') : settings.file('MNEMONIC_FILE'),
    host: settings.text('HOST') ?? '127.0.0.1',
    port: settings.count('PORT', 8546, 65_535),
    ratePerMinute: settings.count('RATE_PER_MINUTE', 60, 1_000_000),
    gasMax: BigInt(settings.count('GAS_MAX', 1_500_000, 16_000_000)),
    trustedProxies: settings.list('TRUSTED_PROXIES'),
  };
}

function readFees(settings: ServiceSettings): Map<bigint, RelayFee> {
  const text = settings.file('FEES');
  try {
    return decodeFees(JSON.parse(text));
  } catch (error) {
    return settings.refuse('FEES', `a list of fees (${(error as Error).message})`);
  }
}

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
  onStop(() => {
    void app.close().then(() => {
      endpoint.destroy();
    });
  });
}

await runService('the relayer', HELP, () => serve(readSettings(process.env)));
