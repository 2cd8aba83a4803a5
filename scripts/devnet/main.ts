import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openEndpoint } from '@bitcloak/chain/endpoint';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { formatDuration, formatTime, parseDuration } from '@bitcloak/cli/time';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { runTool, USER_DIRECTORY } from '../bundle/tool.ts';
import { order } from './control.ts';
import { DEVNET_MANIFEST } from './places.ts';

const USAGE = `npm run devnet -- advance DURATION [--manifest FILE]
npm run devnet -- enclave stop [--manifest FILE]

Tries out what time and a failure bring, on the chain of a running npm start.
  advance       lets so much block time pass at once: 3h, 8d. Locks and orders end by it, and so do, after days, the enclave's registered keys.
  enclave stop  ends the operator's enclave, and nothing else: what is locked to it comes home when its locks have ended.
  --manifest    of the devnet; .devnet/manifest.json unless given`;

const SECONDS_MAX = 366n * 86_400n;

async function advance(manifest: string, typed: string): Promise<void> {
  const seconds = parseDuration(typed);
  if (seconds > SECONDS_MAX) throw new BitcloakError('USAGE', `advance: expected at most a year, got ${typed}`);
  const endpoint = await openEndpoint(readManifest(manifest).endpoint);
  try {
    await endpoint.send('evm_increaseTime', [Number(seconds)]);
    await endpoint.send('evm_mine', []);
    const time = BigInt((await endpoint.getBlock('latest'))?.timestamp ?? 0);
    console.log(`${formatDuration(seconds)} have passed: block time is ${formatTime(time)}`);
  } finally {
    endpoint.destroy();
  }
}

await runTool(USAGE, async () => {
  const { values, positionals } = parseArgs({ options: { manifest: { type: 'string' } }, allowPositionals: true });
  const manifest = values.manifest === undefined ? DEVNET_MANIFEST : resolve(USER_DIRECTORY, values.manifest);
  const [step, word, ...more] = positionals;
  if (step === 'advance' && word !== undefined && more.length === 0) return advance(manifest, word);
  if (step !== 'enclave' || word !== 'stop' || more.length > 0) {
    throw new BitcloakError('USAGE', 'expected advance DURATION, or enclave stop; --help tells more');
  }
  await order(manifest, 'enclave/stop');
  console.log('The enclave has ended; what is locked to it comes home when its locks have ended.');
});
