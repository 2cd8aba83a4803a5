import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { readSettings } from '../../enclave/settings.ts';
import { appComposeOf, composeHash, FILES, FIXED, OPTIONAL, PREFIX, SECRET } from './appCompose.ts';
import { runTool, USER_DIRECTORY } from './tool.ts';

const USAGE = `npm run compose -- --image NAME@sha256:DIGEST --settings FILE --kms HEX [--unmeasured NAME,…] [--output DIRECTORY]

Writes dstack's app-compose.json for an operator's enclave, always the same bytes for the same input, and says its hash, which machines measure.
  --image       the enclave's image, by its digest
  --settings    lines NAME=VALUE with the variables of \`npm run enclave -- --help\`; JSON files are found from that file's directory
  --kms         public key of the authority of the key service: only its keys are taken
  --unmeasured  settings, without ${PREFIX}, that shall be passed in the encrypted environment instead, where they can be changed
                without a new measurement: ${OPTIONAL.join(', ')}
  --output      dist/compose unless given

${SECRET.map((name) => PREFIX + name).join(' and ')} are always passed in the encrypted environment.`;

const ROOT = resolve(import.meta.dirname, '../..');
/** Stands for the operator's while the settings are checked. */
const SOME_KEY = '1'.repeat(64);

/** The variables of a settings file, without their prefix, and with JSON in the place of files. */
function readOperatorSettings(path: string): Record<string, string> {
  const lines = parseEnv(read(path).toString());
  return Object.fromEntries(
    Object.entries(lines).map(([variable, value = '']) => {
      if (!variable.startsWith(PREFIX)) throw new BitcloakError('USAGE', `${path}: ${variable} is no setting`);
      const name = variable.slice(PREFIX.length);
      return [name, FILES.includes(name) ? minified(resolve(dirname(path), value)) : value];
    }),
  );
}

function minified(path: string): string {
  try {
    return JSON.stringify(JSON.parse(read(path).toString()));
  } catch (error) {
    if (error instanceof BitcloakError) throw error;
    throw new BitcloakError('USAGE', `${path}: expected JSON`);
  }
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BitcloakError('USAGE', `${path} cannot be read`, { cause: error });
  }
}

/** What the enclave would refuse is refused now: once it is measured it is late. */
function check(settings: Readonly<Record<string, string>>): void {
  const all = { ...settings, ...FIXED, GAS_KEY: SOME_KEY };
  readSettings(Object.fromEntries(Object.entries(all).map(([name, value]) => [PREFIX + name, value])));
}

await runTool(USAGE, () => {
  const { values } = parseArgs({
    options: {
      image: { type: 'string', default: '' },
      settings: { type: 'string', default: '' },
      kms: { type: 'string', default: '' },
      unmeasured: { type: 'string' },
      output: { type: 'string' },
    },
  });
  if (values.settings === '') throw new BitcloakError('USAGE', '--settings: expected a FILE');
  const settings = readOperatorSettings(resolve(USER_DIRECTORY, values.settings));
  const unmeasured = values.unmeasured?.split(',') ?? [];
  const template = read(join(ROOT, 'enclave/image/docker-compose.yaml')).toString();
  const appCompose = appComposeOf({ template, image: values.image, settings, unmeasured, keyProvider: values.kms });
  check(settings);
  const output = resolve(USER_DIRECTORY, values.output ?? join(ROOT, 'dist/compose'));
  mkdirSync(output, { recursive: true });
  const path = join(output, 'app-compose.json');
  writeFileSync(path, appCompose);
  console.log(path);
  console.log(`compose hash (SHA-256 of its bytes): ${composeHash(appCompose)}`);
  console.log(`not measured: ${[...SECRET, ...unmeasured].map((name) => PREFIX + name).join(', ')}`);
});
