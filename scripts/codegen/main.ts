import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { circomParameters, solidityParameters } from './parameters.ts';
import { poseidonContract } from './poseidon.ts';
import { verifyingKeysLibrary } from './verifyingKeys.ts';

const USAGE = `npm run codegen [-- --check] [--keys DIRECTORY]

Writes the files that are generated from the parameter table and the verifying keys.
  --check  changes nothing: names every file that is not what would be written, and ends with status 1 if there is one.
  --keys   where the verifying keys are: circuits/keys unless given.`;

const root = resolve(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    keys: { type: 'string', default: join(root, 'circuits/keys') },
    help: { type: 'boolean', default: false },
  },
});

const keys = resolve(values.keys);

/** The parameters first: after a change of the table the circuits need them before they can have keys again. */
const files: [file: string, generate: () => Promise<string> | string][] = [
  ['circuits/generated/parameters.circom', circomParameters],
  ['contracts/generated/Parameters.sol', solidityParameters],
  ['contracts/generated/Poseidon3.sol', poseidonContract],
  ['contracts/generated/VerifyingKeys.sol', () => verifyingKeysLibrary(keys)],
];

async function update(file: string, generate: () => Promise<string> | string): Promise<void> {
  const text = await generate();
  const path = join(root, file);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  if (values.check) {
    console.error(`${file} is stale: run npm run codegen`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    console.log(`${file}: written`);
  }
}

if (values.help) {
  console.log(USAGE);
} else {
  for (const [file, generate] of files) {
    try {
      await update(file, generate);
    } catch (error) {
      console.error(`${file}: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  }
}
