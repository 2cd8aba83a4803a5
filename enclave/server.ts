import { connect } from '@bitcloak/chain/manifest';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';
import { ProcessProver } from '@bitcloak/prover/processProver';
import { Wallet } from 'ethers';
import { startEnclave } from './enclave.ts';
import { HELP, readSettings, type Settings } from './settings.ts';
import { DstackProvider } from './tee/dstack.ts';
import { seedFileKeys, teeKeys, type KeyProvider } from './tee/keys.ts';
import { TsmProvider } from './tee/tsm.ts';

const POLL_MS = 1_000;

/** Runs until it is told to stop, or fails. @returns the failure, where one ended it. */
async function serve(settings: Settings): Promise<BitcloakError | undefined> {
  const {
    manifest,
    operator,
    gasKey,
    provers,
    limits,
    host,
    port,
    trustedProxies,
    keySource: _keySource,
    ...rest
  } = settings;
  const { chainId, pool, registry } = manifest;
  const keys = await keysOf(settings, operatorIdOf(chainId, pool, registry, operator));
  const provider = await connect(manifest);
  const prover = new ProcessProver({ processes: provers });
  try {
    const enclave = await startEnclave({
      ...rest,
      chain: { manifest, provider, signer: new Wallet(gasKey, provider) },
      operator,
      keys,
      prover,
      api: { host, port, limits, ...(trustedProxies === undefined ? {} : { trustedProxies }) },
      pollMs: POLL_MS,
      report: (line) => {
        console.log(JSON.stringify(line));
      },
    });
    const stop = () => {
      process.off('SIGINT', stop).off('SIGTERM', stop);
      void enclave.close();
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
    return await enclave.ended;
  } finally {
    await prover.close();
    provider.destroy();
  }
}

function keysOf({ keySource, manifest }: Settings, operatorId: bigint): KeyProvider | Promise<KeyProvider> {
  switch (keySource.kind) {
    case 'file':
      return seedFileKeys(keySource.path, manifest.chainId, operatorId);
    case 'dstack':
      return teeKeys(new DstackProvider(keySource.socket), operatorId);
    case 'tsm':
      return teeKeys(new TsmProvider(), operatorId);
  }
}

if (process.argv.includes('--help')) {
  console.log(HELP);
} else {
  try {
    const failure = await serve(readSettings(process.env));
    if (failure !== undefined) throw failure;
  } catch (error) {
    const known = error instanceof BitcloakError;
    console.error(known ? `${error.code}: ${error.message}` : 'the enclave failed to start');
    process.exit(known ? ERROR_EXIT_CODES[error.code] : 1);
  }
}
