import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { connect } from '@bitcloak/chain/manifest';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { runTool, USER_DIRECTORY } from '../bundle/tool.ts';
import { reportAudit } from './deployment.ts';

const USAGE = `npm run audit -- --network MANIFEST [--endpoint URL] [--measurement HEX]

Compares the contracts of a network with those that this checkout builds, and says what they were deployed with.
  --network      manifest of the network, a JSON file; .devnet/manifest.json while npm start runs
  --endpoint     another one than the manifest's
  --measurement  says whether an enclave that is measured so may register (see npm run measure)`;

await runTool(USAGE, async () => {
  const { values } = parseArgs({
    options: {
      network: { type: 'string', default: '' },
      endpoint: { type: 'string' },
      measurement: { type: 'string' },
    },
  });
  const { network, endpoint, measurement } = values;
  if (measurement !== undefined && !/^0x[0-9a-f]{64}$/.test(measurement)) {
    throw new BitcloakError('USAGE', '--measurement: expected 0x and 32 bytes of lowercase hex');
  }
  if (network === '') throw new BitcloakError('USAGE', '--network: expected a MANIFEST');
  const manifest = readManifest(resolve(USER_DIRECTORY, network));
  const provider = await connect({ ...manifest, endpoint: endpoint ?? manifest.endpoint });
  try {
    const holds = await reportAudit(manifest, provider, measurement === undefined ? [] : [measurement]);
    if (!holds) process.exitCode = 1;
  } finally {
    provider.destroy();
  }
});
