import { fetchCollateral } from '@bitcloak/attestation/collateralSource';
import { connect } from '@bitcloak/chain/manifest';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { ProcessProver } from '@bitcloak/prover/processProver';
import { onStop, print, runService } from '@bitcloak/service/run';
import { Wallet } from 'ethers';
import { startEnclave } from './enclave.ts';
import { GAS_KEY_VARIABLE, HELP, readSettings, type Settings } from './settings.ts';
import { DstackProvider } from './tee/dstack.ts';
import { EvidenceMaker } from './tee/evidence.ts';
import { seedFileKeys, teeKeys, type KeyProvider } from './tee/keys.ts';
import { TsmProvider } from './tee/tsm.ts';

const POLL_MS = 1_000;

/** Runs until it is told to stop. Throws what ended it before. */
async function serve(settings: Settings): Promise<void> {
  const { manifest, operator, attestors, evidenceSeconds, gasKey, provers, limits, host, port, trustedProxies } =
    settings;
  const { directory, markets, rules, treasury, cadence, confirmations, clockSkewSecondsMax } = settings;
  const { chainId, pool, registry } = manifest;
  const { keys, evidence } = await machineOf(settings, operatorIdOf(chainId, pool, registry, operator));
  const provider = await connect(manifest);
  const prover = new ProcessProver({ processes: provers });
  print({ kind: 'prover', prover: prover.engine, processes: provers });
  try {
    const enclave = await startEnclave({
      chain: { manifest, provider, signer: new Wallet(gasKey, provider) },
      operator,
      keys,
      ...(evidence === undefined ? {} : { attestation: { evidence, attestors, evidenceSeconds } }),
      directory,
      markets,
      rules,
      treasury,
      cadence,
      confirmations,
      clockSkewSecondsMax,
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

/** Keys, and evidence for them where they are the machine's. */
async function machineOf(
  { keySource: source, collateral, manifest }: Settings,
  operatorId: bigint,
): Promise<{ keys: KeyProvider; evidence?: EvidenceMaker }> {
  if (source.kind === 'file') return { keys: seedFileKeys(source.path, manifest.chainId, operatorId) };
  const tee = source.kind === 'dstack' ? new DstackProvider(source.socket) : new TsmProvider();
  const evidence = new EvidenceMaker(tee, (quote) => fetchCollateral(quote, collateral));
  return { keys: await teeKeys(tee, operatorId), evidence };
}

await runService('the enclave', HELP, () => {
  const settings = readSettings(process.env);
  // The processes that prove get this environment, and pay no gas.
  Reflect.deleteProperty(process.env, GAS_KEY_VARIABLE);
  return serve(settings);
});
