import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkMeasurementSet, measurementDigest, type Measurements } from '@bitcloak/attestation/policy';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { composeHash } from './appCompose.ts';
import { runTool, USER_DIRECTORY } from './tool.ts';

const USAGE = `npm run measure -- --compose FILE --machine FILE

Says what the registry's contract Measurements knows an enclave by.
  --compose  dstack's app-compose.json, byte for byte as it is deployed
  --machine  what \`dstack-mr measure --json\` says of the machine's image and size: mrtd, rtmr0, rtmr1, rtmr2`;

function read(option: string, path: string | undefined): Buffer {
  if (path === undefined) throw new BitcloakError('USAGE', `--${option}: expected a file`);
  try {
    return readFileSync(resolve(USER_DIRECTORY, path));
  } catch (error) {
    throw new BitcloakError('USAGE', `${path} cannot be read`, { cause: error });
  }
}

/** Throws `USAGE` for what is no set of registers. */
function registersOf(text: string): Omit<Measurements, 'composeHash'> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BitcloakError('USAGE', '--machine: expected JSON');
  }
  const fields = (json ?? {}) as Record<string, unknown>;
  const [mrTd = '', rtmr0 = '', rtmr1 = '', rtmr2 = ''] = ['mrtd', 'rtmr0', 'rtmr1', 'rtmr2'].map((name) => {
    const value = fields[name];
    return typeof value === 'string' ? value : '';
  });
  return { mrTd, rtmr0, rtmr1, rtmr2 };
}

await runTool(USAGE, () => {
  const { values } = parseArgs({ options: { compose: { type: 'string' }, machine: { type: 'string' } } });
  const hash = composeHash(read('compose', values.compose));
  const measurements = { ...registersOf(read('machine', values.machine).toString()), composeHash: hash };
  checkMeasurementSet(measurements);
  console.log(`compose hash: ${hash}`);
  console.log(`measurement: 0x${measurementDigest(measurements)}`);
});
