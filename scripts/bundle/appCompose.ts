import { BitcloakError } from '@bitcloak/protocol/errors';
import { parse } from 'yaml';
import { sha256 } from '../bootstrap/hash.mjs';

/** Every variable of the enclave's has its place below, without this prefix. */
export const PREFIX = 'BITCLOAK_ENCLAVE_';

/** The same for everybody: where the image has its things. */
export const FIXED: Readonly<Record<string, string>> = {
  TEE: 'dstack',
  DIRECTORY: '/data',
  HOST: '0.0.0.0',
  PORT: '8560',
};
/** Files of an operator's whose JSON is put in their place. */
export const FILES: readonly string[] = ['MANIFEST', 'MARKETS', 'RULES'];
/** What evidence speaks of must not be chosen by whoever holds the machine: which chain is meant, and how much settles together. */
export const MEASURED: readonly string[] = ['MANIFEST', 'CADENCE', 'CONFIRMATIONS', 'CLOCK_SKEW_SECONDS', 'FILLS'];
/** Measured unless the operator wants to change them without a new measurement. None of them can make the enclave tell a secret. */
export const OPTIONAL: readonly string[] = [
  'OPERATOR',
  'MARKETS',
  'RULES',
  'TREASURY',
  'COLLATERAL',
  'ATTESTORS',
  'EVIDENCE_SECONDS',
  'PROVERS',
  'ADDRESS_PER_MINUTE',
  'CONNECTIONS_PER_ADDRESS',
  'OWNER_PER_SECOND',
  'TRUSTED_PROXIES',
];
/** Never measured, since what is measured is public. An endpoint's URL often holds a key. */
export const SECRET: readonly string[] = ['GAS_KEY', 'ENDPOINT'];
/** Have no place in an image. */
export const EXCLUDED: readonly string[] = ['SEED_FILE', 'GAS_KEY_FILE'];

export type AppComposeOptions = {
  /** Text of enclave/image/docker-compose.yaml. */
  readonly template: string;
  /** `NAME@sha256:DIGEST`. */
  readonly image: string;
  /** Values by the variables' names without the prefix; JSON where the enclave would take a file. */
  readonly settings: Readonly<Record<string, string>>;
  /** Some of OPTIONAL. */
  readonly unmeasured: readonly string[];
  /** Hex: public key of the authority of the key service. Without it any such service could give the keys, and know them. */
  readonly keyProvider: string;
};

function refuse(field: string, expected: string): never {
  throw new BitcloakError('USAGE', `${field}: expected ${expected}`);
}

/**
 * The bytes of dstack's app-compose.json, in dstack's own normal form: keys in order, no white space. Throws `USAGE`.
 */
export function appComposeOf({ template, image, settings, unmeasured, keyProvider }: AppComposeOptions): string {
  if (!/^[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}$/.test(image)) refuse('image', 'NAME@sha256:DIGEST');
  if (!/^([0-9a-f]{2}){32,512}$/.test(keyProvider)) refuse('kms', 'a public key in lowercase hex');
  for (const name of unmeasured) if (!OPTIONAL.includes(name)) refuse('unmeasured', `some of ${OPTIONAL.join(', ')}`);
  for (const name of Object.keys(settings)) {
    if (![...MEASURED, ...OPTIONAL].includes(name)) refuse(PREFIX + name, 'no value: it is fixed, secret or unknown');
  }
  if (namesOperator(settings['MANIFEST']))
    refuse(`${PREFIX}MANIFEST`, 'a manifest without operator, which is for wallets');
  const measured = Object.entries({ ...FIXED, ...settings }).filter(([name]) => !unmeasured.includes(name));
  const passed = [...SECRET, ...unmeasured].toSorted();
  const lines = [
    ...measured.toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([name, value]) => setting(name, value)),
    ...passed.map((name) => `      ${PREFIX}${name}:`),
  ];
  const appCompose = {
    allowed_envs: passed.map((name) => PREFIX + name),
    docker_compose_file: filled(filled(template, 'IMAGE', image), '      SETTINGS:', lines.join('\n')),
    gateway_enabled: false,
    key_provider: 'kms',
    key_provider_id: keyProvider,
    kms_enabled: true,
    local_key_provider_enabled: false,
    manifest_version: 2,
    name: 'bitcloak-enclave',
    no_instance_id: false,
    public_logs: false,
    public_sysinfo: false,
    // So that everybody can ask the machine for this very file.
    public_tcbinfo: true,
    runner: 'docker-compose',
    secure_time: true,
  };
  return JSON.stringify(appCompose, Object.keys(appCompose).toSorted());
}

function namesOperator(manifest: string | undefined): boolean {
  return manifest !== undefined && Object.hasOwn(JSON.parse(manifest) as object, 'operator');
}

/** The JSON of the manifest that an app-compose.json gives its enclave. Throws `USAGE` where there is none. */
export function manifestIn(appCompose: string): string {
  let value: unknown;
  try {
    const { docker_compose_file: text } = JSON.parse(appCompose) as { docker_compose_file: string };
    const { services } = parse(text) as { services: { enclave: { environment: Record<string, unknown> } } };
    value = services.enclave.environment[`${PREFIX}MANIFEST`];
  } catch {
    // Whatever it is, it is not what `appComposeOf` makes.
  }
  return typeof value === 'string' ? value.replaceAll('$$', '$') : refuse('compose', 'the file of an enclave');
}

/** What dstack measures of an app, in hex: SHA-256 of the bytes of its app-compose.json. */
export function composeHash(appCompose: string | Uint8Array): string {
  return sha256(Buffer.from(appCompose));
}

/** A line of YAML, whose quoted strings are those of JSON as long as all is ASCII. Compose takes `$$` for a dollar. */
function setting(name: string, value: string): string {
  if (!/^[\x20-\x7e]+$/.test(value)) refuse(PREFIX + name, 'printable ASCII');
  return `      ${PREFIX}${name}: ${JSON.stringify(value).replaceAll('$', '$$$$')}`;
}

/** Throws where the mark is not in its place, once. */
function filled(template: string, mark: string, value: string): string {
  const parts = template.split(new RegExp(`${mark}$`, 'm'));
  if (parts.length !== 2) throw new Error(`the template has ${mark} ${parts.length - 1} times at the end of a line`);
  return parts.join(value);
}
