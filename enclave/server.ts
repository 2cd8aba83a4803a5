import { connect } from '@bitcloak/chain/manifest';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { ProcessProver } from '@bitcloak/prover/processProver';
import { onStop, print, runService } from '@bitcloak/service/run';
import { Wallet } from 'ethers';
import { startEnclave } from './enclave.ts';
import { HELP, readSettings, type KeySource, type Settings } from './settings.ts';
import { DstackProvider } from './tee/dstack.ts';
import { seedFileKeys, teeKeys, type KeyProvider } from './tee/keys.ts';
import { TsmProvider } from './tee/tsm.ts';

const POLL_MS = 1_000;

/** Runs until it is told to stop. Throws what ended it before. */
async function serve(settings: Settings): Promise<void> {
  const { keySource, manifest, operator, gasKey, provers, limits, host, port, trustedProxies, ...rest } = settings;
  const { chainId, pool, registry } = manifest;
  const keys = await keysOf(keySource, chainId, operatorIdOf(chainId, pool, registry, operator));
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
      report: print,
    });
    onStop(() => {
      void enclave.close();
    });
    const failure = await enclave.ended;
    if (failure !== undefined) throw failure;
  } finally {
    await prover.close();
    provider.destroy();
  }
}

function keysOf(source: KeySource, chainId: bigint, operatorId: bigint): KeyProvider | Promise<KeyProvider> {
  switch (source.kind) {
    case 'file':
      return seedFileKeys(source.path, chainId, operatorId);
    case 'dstack':
      return teeKeys(new DstackProvider(source.socket), operatorId);
    case 'tsm':
      return teeKeys(new TsmProvider(), operatorId);
  }
}

await runService('the enclave', HELP, () => serve(readSettings(process.env)));
