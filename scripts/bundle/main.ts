import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleEnclave, SUMS } from './bundle.ts';
import { runTool, USER_DIRECTORY } from './tool.ts';

const USAGE = `npm run bundle -- [--output DIRECTORY]

Writes the operator's enclave as plain files that Node 24 runs without any package, and says their digest. The same commit gives the same bytes wherever it
is checked out.
  --output  is made anew; dist/enclave unless given`;

const ROOT = resolve(import.meta.dirname, '../..');

await runTool(USAGE, async () => {
  const { values } = parseArgs({ options: { output: { type: 'string' } } });
  const output = resolve(USER_DIRECTORY, values.output ?? join(ROOT, 'dist/enclave'));
  const { digest, files, bytes } = await bundleEnclave(ROOT, output);
  console.log(`${output}: ${files} files, ${(bytes / 1e6).toFixed(1)} MB`);
  console.log(`bundle digest (SHA-256 of ${SUMS}): ${digest}`);
});
