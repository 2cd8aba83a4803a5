import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { HELP } from '../../enclave/settings.ts';
import {
  appComposeOf,
  composeHash,
  EXCLUDED,
  FIXED,
  manifestIn,
  MEASURED,
  OPTIONAL,
  PREFIX,
  SECRET,
  type AppComposeOptions,
} from '../../scripts/bundle/appCompose.ts';

const IMAGE_DIRECTORY = resolve(import.meta.dirname, '../../enclave/image');
const read = (name: string) => readFileSync(resolve(IMAGE_DIRECTORY, name), 'utf8');

type Service = {
  image: string;
  user: string;
  read_only: boolean;
  ports: string[];
  volumes: string[];
  environment: Record<string, string | null>;
};
type AppCompose = Record<string, unknown> & { allowed_envs: string[]; docker_compose_file: string };

describe('the compose file of the enclave', () => {
  const options: AppComposeOptions = {
    template: read('docker-compose.yaml'),
    image: `registry.example:5000/bitcloak/enclave@sha256:${'1a'.repeat(32)}`,
    settings: {
      MANIFEST: `{"name":"a \\"quoted\\" one: # $HOME $\{HOME} \\\\"}`,
      CADENCE: 'interval:600',
      OPERATOR: '7',
      MARKETS: '[]',
    },
    unmeasured: [],
    keyProvider: 'ab'.repeat(91),
  };
  const composed = (changes: Partial<AppComposeOptions> = {}) => {
    const text = appComposeOf({ ...options, ...changes });
    const json = JSON.parse(text) as AppCompose;
    const { enclave } = (parse(json.docker_compose_file) as { services: { enclave: Service } }).services;
    return { text, json, enclave };
  };
  const refused = (changes: Partial<AppComposeOptions>, message: RegExp) => {
    assert.throws(() => appComposeOf({ ...options, ...changes }), { code: 'USAGE', message });
  };

  it('has a place for every setting of the enclave', () => {
    const all = [...HELP.matchAll(/^ {2}BITCLOAK_ENCLAVE_([A-Z_]+)/gm)].map(([, name]) => name);
    const placed = [...Object.keys(FIXED), ...MEASURED, ...OPTIONAL, ...SECRET, ...EXCLUDED];
    assert.deepEqual(placed.toSorted(), all.toSorted());
  });

  it('takes no manifest that is for wallets', () => {
    refused(
      { settings: { ...options.settings, MANIFEST: '{"operator":{"number":1}}' } },
      /MANIFEST: expected a manifest without operator/,
    );
  });

  it('is in the normal form of dstack, the same for the same input', () => {
    const { text, json } = composed();
    const keys = Object.keys(json);
    assert.deepEqual(keys, keys.toSorted());
    assert.equal(text, JSON.stringify(json));
    const { settings } = options;
    const reversed = Object.fromEntries(Object.entries(settings).reverse());
    assert.equal(composed({ settings: reversed }).text, text);
    assert.equal(composeHash(text), createHash('sha256').update(text).digest('hex'));
    assert.equal(json['key_provider_id'], options.keyProvider);
    assert.deepEqual([json['runner'], json['public_logs'], json['kms_enabled']], ['docker-compose', false, true]);
  });

  it('measures the settings as they are, and leaves nothing to be filled in', () => {
    const { json, enclave } = composed();
    assert.equal(enclave.image, options.image);
    const expected = Object.entries({ ...FIXED, ...options.settings }).map(([name, value]) => [PREFIX + name, value]);
    const passed = SECRET.map((name) => [PREFIX + name, null]);
    const actual = Object.entries(enclave.environment).map(([name, value]) => [
      name,
      value === null ? value : value.replaceAll('$$', '$'),
    ]);
    const byName = (entries: unknown[][]) =>
      entries.toSorted(([left], [right]) => (String(left) < String(right) ? -1 : 1));
    assert.deepEqual(byName(actual), byName([...expected, ...passed]));
    // Compose fills in whatever follows a single dollar.
    assert.doesNotMatch(json.docker_compose_file.replaceAll('$$', ''), /\$/);
    assert.deepEqual(json.allowed_envs, ['BITCLOAK_ENCLAVE_ENDPOINT', 'BITCLOAK_ENCLAVE_GAS_KEY']);
  });

  it('tells the manifest again', () => {
    assert.equal(manifestIn(composed().text), options.settings['MANIFEST']);
    const { MANIFEST: _none, ...settings } = options.settings;
    for (const text of [composed({ settings }).text, '{"docker_compose_file":"services: {}"}', 'null', '{']) {
      assert.throws(() => manifestIn(text), { code: 'USAGE', message: /^compose: expected / });
    }
  });

  it('passes on unmeasured what it is told to', () => {
    const { json, enclave } = composed({ unmeasured: ['MARKETS', 'OPERATOR'] });
    const names = ['ENDPOINT', 'GAS_KEY', 'MARKETS', 'OPERATOR'].map((name) => PREFIX + name);
    assert.deepEqual(json.allowed_envs, names);
    for (const name of names) assert.equal(enclave.environment[name], null);
    const { settings } = options;
    const others = composed({
      unmeasured: ['MARKETS', 'OPERATOR'],
      settings: { ...settings, OPERATOR: '8', MARKETS: '[1]' },
    });
    assert.equal(others.json.docker_compose_file, json.docker_compose_file);
  });

  it('refuses what would not be measured, or be known', () => {
    const digest = '1a'.repeat(32);
    for (const image of [
      'enclave',
      'enclave:1.0',
      `enclave@sha256:${digest}0`,
      `\${IMAGE}@sha256:${digest}`,
      `a\nb@sha256:${digest}`,
    ]) {
      refused({ image }, /^image: /);
    }
    refused({ keyProvider: '' }, /^kms: /);
    refused({ unmeasured: ['CADENCE'] }, /^unmeasured: /);
    for (const name of [...Object.keys(FIXED), ...SECRET, ...EXCLUDED, 'NEW']) {
      refused({ settings: { ...options.settings, [name]: '1' } }, new RegExp(`^${PREFIX}${name}: expected no value`));
    }
    for (const value of ['', 'ä', 'a\nb', 'a\u2028b']) {
      refused({ settings: { ...options.settings, CADENCE: value } }, /^BITCLOAK_ENCLAVE_CADENCE: expected printable/);
    }
    assert.throws(
      () => composed({ template: options.template.replace('IMAGE', 'other') }),
      /the template has IMAGE 0 times/,
    );
  });

  it('fits the image', () => {
    const { enclave } = composed();
    const dockerfile = read('Dockerfile');
    assert.match(dockerfile, new RegExp(`^USER ${enclave.user}$`, 'm'));
    assert.match(dockerfile, new RegExp(`^EXPOSE ${FIXED['PORT'] ?? ''}$`, 'm'));
    assert.match(dockerfile, /^ENTRYPOINT \["node", "\/enclave\/server.mjs"\]$/m);
    const [uid, gid] = enclave.user.split(':');
    assert(dockerfile.includes(`"-o", "${uid}", "-g", "${gid}", "-m", "0700", "${FIXED['DIRECTORY']}"`));
    assert.deepEqual(enclave.ports, [`${FIXED['PORT']}:${FIXED['PORT']}`]);
    assert.deepEqual(enclave.volumes, ['/var/run/dstack.sock:/var/run/dstack.sock', `journal:${FIXED['DIRECTORY']}`]);
    assert.equal(enclave.read_only, true);
    // Whoever builds says which Node, by its digest.
    assert.match(dockerfile, /^ARG NODE_IMAGE$/m);
    assert.deepEqual(dockerfile.match(/^FROM .*$/gm), ['FROM $NODE_IMAGE']);
  });
});
