import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleEnclave, SUMS } from './bundle.ts';

const USAGE = `npm run bundle [-- --output DIRECTORY]

Writes the operator's enclave as plain files that Node 24 runs without any package, and says their digest. The same commit gives the same bytes wherever it
is checked out.
  --output  is made anew; dist/enclave unless given`;

const ROOT = resolve(import.meta.dirname, '../..');

const { values } = parseArgs({ options: { output: { type: 'string' }, help: { type: 'boolean', default: false } } });
if (values.help) {
  console.log(USAGE);
} else {
  const output = resolve(process.env['INIT_CWD'] ?? ROOT, values.output ?? resolve(ROOT, 'dist/enclave'));
  const { digest, files, bytes } = await bundleEnclave(ROOT, output);
  console.log(`${output}: ${files} files, ${(bytes / 1e6).toFixed(1)} MB`);
  console.log(`bundle digest (SHA-256 of ${SUMS}): ${digest}`);
}
