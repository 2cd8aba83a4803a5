import { once } from 'node:events';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { LocalProver, terminateProver } from '@bitcloak/prover/prover';
import { onStop } from '@bitcloak/service/run';
import { serveControl } from './devnet/control.ts';
import { removeManifest, startDevnet, writeManifest } from './devnet/devnet.ts';
import { DEVNET_MANIFEST } from './devnet/places.ts';
import { roundTrip, type StepReport } from './devnet/roundTrip.ts';
import { tradeTrip } from './devnet/trade.ts';

const USAGE = `npm start [-- --once] [--port PORT] [--relayer-port PORT] [--enclave-port PORT] [--manifest FILE]

Starts a development chain with the pool, a relayer, a keeper and an operator's enclave, and shows two round trips with real proofs:
deposit, send and withdraw; and two wallets that trade through the enclave and withdraw to fresh notes. Then it serves until Ctrl-C.
  --once      ends after the round trips; its status says whether they went well.
  --manifest  where to write what wallets need to know; .devnet/manifest.json unless given, where --network devnet looks.`;

const { values } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    port: { type: 'string', default: '8545' },
    'relayer-port': { type: 'string', default: '8546' },
    'enclave-port': { type: 'string', default: '8560' },
    manifest: { type: 'string', default: DEVNET_MANIFEST },
    help: { type: 'boolean', default: false },
  },
});

function portOf(text: string, option: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw new BitcloakError('USAGE', `--${option}: expected a port, got ${text}`);
  }
  return port;
}

/** The chain's server ends the process where somebody else listens. */
async function refuseTaken(port: number, option: string): Promise<void> {
  const probe = createServer();
  try {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
  } catch {
    const message = `port ${port} is taken, perhaps by another npm start: --${option} names another one`;
    throw new BitcloakError('USAGE', message);
  } finally {
    probe.close();
  }
}

function showStep({ step, milliseconds, gas, proofMs }: StepReport): void {
  const columns = [
    step.padEnd(38),
    `${(milliseconds / 1000).toFixed(1)} s`.padStart(8),
    (gas === undefined ? '' : `${gas.toLocaleString('en')} gas`).padStart(14),
    proofMs === 0 ? '' : `proof ${(proofMs / 1000).toFixed(1)} s`,
  ];
  console.log(`  ${columns.join('  ').trimEnd()}`);
}

async function main(): Promise<void> {
  for (const option of ['port', 'relayer-port', 'enclave-port'] as const) {
    await refuseTaken(portOf(values[option], option), option);
  }
  const prover = new LocalProver({
    onEngine: (name) => {
      console.log(`proofs: ${name}`);
    },
  });
  const devnet = await startDevnet({
    port: portOf(values.port, 'port'),
    relayerPort: portOf(values['relayer-port'], 'relayer-port'),
    prover,
    bucketAgeSeconds: 4n,
    blockMs: 2000,
    keeper: true,
    enclavePort: portOf(values['enclave-port'], 'enclave-port'),
    onEnclave: (report) => {
      if (report.kind === 'failed') console.error(`  enclave: ${report.code} ${report.message}`);
    },
    onKeeper: (report) => {
      if (report.kind === 'failed') console.error(`  keeper: ${report.code} ${report.message}`);
    },
  });
  const stopped = new Promise<void>(onStop);
  let endControl = () => {};
  try {
    const { manifest } = devnet;
    console.log(
      `chain ${manifest.chainId} at ${manifest.endpoint}, relayer at ${manifest.relayer ?? ''}, enclave at ${manifest.operator?.url ?? ''}`,
    );
    console.log('round trip with real proofs:');
    const shown = async () => {
      await roundTrip(manifest, prover, showStep);
      console.log('two wallets trade through the enclave, settled under proof:');
      await tradeTrip(manifest, prover, showStep);
    };
    await Promise.race([shown(), stopped]);
    if (values.once) return;
    writeManifest(values.manifest, manifest);
    endControl = await serveControl(values.manifest, {
      'enclave/stop': async () => {
        await devnet.stopEnclave();
        console.log('The enclave has ended. The chain, the relayer and the keeper go on.');
      },
    });
    console.log(`
The chain, the relayer, the keeper and the enclave go on until Ctrl-C. Type next, in another terminal:

  npm run bitcloak -- wallet new
  npm run bitcloak -- faucet
  npm run bitcloak -- deposit 5 ETH

npm run devnet -- --help tells how to let time pass, and how to end the enclave alone.
`);
    await stopped;
  } finally {
    endControl();
    removeManifest(values.manifest);
    await devnet.close();
    await terminateProver();
  }
}

if (values.help) console.log(USAGE);
else {
  await main().catch((error: unknown) => {
    if (!(error instanceof BitcloakError) || error.code !== 'USAGE') throw error;
    console.error(error.message);
    process.exitCode = 1;
  });
}
