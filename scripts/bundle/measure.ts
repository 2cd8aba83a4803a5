import { parseArgs } from 'node:util';
import { measurementDigest } from '@bitcloak/attestation/policy';
import { measurementsOf, readInput } from './measurements.ts';
import { runTool } from './tool.ts';

const USAGE = `npm run measure -- --compose FILE --machine FILE

Says what the registry's contract Measurements knows an enclave by.
  --compose  dstack's app-compose.json, byte for byte as it is deployed
  --machine  what \`dstack-mr measure --json\` says of the machine's image and size: mrtd, rtmr0, rtmr1, rtmr2`;

await runTool(USAGE, () => {
  const { values } = parseArgs({ options: { compose: { type: 'string' }, machine: { type: 'string' } } });
  const compose = readInput('compose', values.compose);
  const measurements = measurementsOf(compose, readInput('machine', values.machine).toString());
  console.log(`compose hash: ${measurements.composeHash}`);
  console.log(`measurement: 0x${measurementDigest(measurements)}`);
});
