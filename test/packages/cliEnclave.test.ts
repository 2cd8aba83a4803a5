import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EraBinding } from '@bitcloak/attestation/binding';
import { hexOf } from '@bitcloak/attestation/bytes';
import type { Collateral } from '@bitcloak/attestation/collateral';
import { DevelopmentAuthority } from '@bitcloak/attestation/development/authority';
import { CHECKS } from '@bitcloak/attestation/verify';
import { formatAccount, formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { sendCall } from '@bitcloak/chain/pool';
import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { ERROR_EXIT_CODES, type ErrorCode } from '@bitcloak/protocol/errors';
import { bindingOf } from '@bitcloak/trading/enclaveCheck';
import type { OperatorInfo } from '@bitcloak/trading/wire';
import { Wallet } from 'ethers';
import { deployPool } from '../../scripts/deploy/contracts.ts';
import { SEED, simulatedMeasurements, type Simulation } from '../support/attestation.ts';
import { serveChain, type Chain } from '../support/chain.ts';
import { runCli, runJson } from '../support/cli.ts';
import {
  attestationOf,
  keysOf,
  operatorOf,
  showEvidence,
  simulatedTrust,
  trustJson,
} from '../support/enclaveEvidence.ts';
import { FakeEnclave, plain, TOKENS } from '../support/fakeEnclave.ts';

const DAY_SECONDS = 86_400n;
const OPERATOR = 1;
const PHRASE = 'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about';
const PASSPHRASE = { passphrase: 'correct horse' };

type Line = { readonly name: string; readonly state: string; readonly words: string };

describe('the command that looks at an enclave', function () {
  this.timeout(120_000);
  const now = Math.floor(Date.now() / 1000);
  const authority = new DevelopmentAuthority(SEED, now);
  const signer = new Wallet(`0x${'7'.repeat(64)}`);
  let right: Simulation;
  let directory: string;
  let chain: Chain;
  let registry: RegistryClient;
  let enclave: FakeEnclave;
  let info: OperatorInfo;
  let era: Era;
  let manifest: Manifest;
  let revert: () => Promise<void>;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-enclave-'));
    const altered: Collateral = authority.collateral(now);
    right = { authority, altered };
    const served = await serveChain();
    chain = served.chain;
    const [guardian, governor] = [chain.signer(1).address, chain.signer(2).address];
    const deployed = await deployPool(chain.signer(), { guardian, governor, bucketAgeSeconds: 60n });
    registry = new RegistryClient(BigInt(deployed.registry), chain.signer());
    await sendCall(chain.signer(), registry.registerOperatorCall());
    enclave = await FakeEnclave.open();
    const place = { chainId: 31337n, pool: BigInt(deployed.pool), registry: registry.address };
    const operatorId = operatorIdOf(place.chainId, place.pool, place.registry, OPERATOR);
    info = { ...enclave.info, ...place, operator: OPERATOR, operatorId, era: 1n };
    const { encryptionKey, apiKey } = info;
    const expiry = (await chain.now()) + 5n * DAY_SECONDS;
    era = { signer: BigInt(signer.address), encryptionKey, apiKey, number: 1n, expiry };
    const evidence = developmentEvidence(31337n, registry.address, OPERATOR, era, await registry.nonce(), signer);
    await sendCall(chain.signer(), registry.registerEraCall(OPERATOR, era, evidence));
    manifest = {
      name: 'test',
      endpoint: served.url,
      genesisHash: (await chain.provider.getBlock(0))?.hash ?? '',
      ...place,
      startBlock: deployed.startBlock,
      tokens: TOKENS,
      relayer: undefined,
      operator: { number: OPERATOR, url: enclave.url, trust: trustJson(simulatedTrust()) },
    };
    write('manifest.json', formatManifest(manifest));
    write('silent.json', formatManifest({ ...manifest, operator: { number: OPERATOR, url: enclave.url } }));
    write('trust.json', JSON.stringify(trustJson(simulatedTrust())));
    write('intel.json', JSON.stringify({ ...trustJson(simulatedTrust()), anchor: 'intel' }));
    revert = await chain.snapshot();
  });
  beforeEach(() => {
    enclave.info = info;
    enclave.tamper = (answer) => answer;
    enclave.asked.length = 0;
    showEvidence(enclave, era.signer, right);
  });
  afterEach(() => revert());
  after(async () => {
    enclave.close();
    await chain.close();
    rmSync(directory, { recursive: true });
  });

  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
  };
  /** Where there is no wallet, and nobody is asked for a passphrase. */
  const args = (...words: string[]) => [
    ...['--network', join(directory, 'manifest.json'), '--wallet', join(directory, 'nowhere')],
    ...['enclave', 'verify', ...words],
  ];
  const look = (...words: string[]) => runCli(args(...words), { cwd: directory });
  const lookJson = (...words: string[]) => runJson(args(...words), { cwd: directory });
  const states = (json: Record<string, unknown>) =>
    Object.fromEntries((json['checks'] as Line[]).map(({ name, state }) => [name, state]));
  const binding = (): EraBinding => bindingOf(operatorOf(enclave), keysOf(enclave, era.signer));

  /** Asserts what it ends with, and that the first check to fail is this one. */
  async function fails(code: ErrorCode, check: string, pattern: RegExp, ...words: string[]) {
    const { status, json } = await lookJson(...words);
    const error = json['error'] as { code: string; message: string };
    assert.deepEqual([error.code, status], [code, ERROR_EXIT_CODES[code]], error.message);
    assert.match(error.message, pattern);
    assert.equal(json['trusted'], false);
    const lines = json['checks'] as Line[];
    assert.equal(lines.find(({ state }) => state === 'failed')?.name, check);
    assert.equal(lines.find(({ name }) => name === check)?.words, error.message);
    assert.ok(enclave.asked.every(({ method, isSealed }) => method === 'GET' && !isSealed));
    return json;
  }

  it('tells every check in plain words, what is measured, and until when', async () => {
    const { status, stdout, stderr } = await look();
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    for (const name of ['operator', 'attestation', 'registry', 'keys', ...Object.keys(CHECKS)]) {
      assert.match(stdout, new RegExp(`^✓ ${name} {2,}\\S`, 'm'));
    }
    assert.doesNotMatch(stdout, /[✗–]/);
    assert.match(stdout, /^✓ registry .*it holds keys of era 1, active until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m);
    assert.match(stdout, /^trusted root .* which is not Intel's: no hardware stands behind it$/m);
    assert.match(stdout, /^TCB status +UpToDate$/m);
    assert.match(stdout, /^valid until +20\d\d-/m);
    assert.match(stdout, new RegExp(`^composeHash +${simulatedMeasurements().composeHash}$`, 'm'));
    assert.match(stdout, /clients speak to it\.\n$/);
  });

  it('says the same as JSON', async () => {
    const { status, json } = await lookJson(enclave.url, '--operator-number', '1', '--trust', 'trust.json');
    assert.equal(status, 0);
    const { checks, registry: held, evidence, measurements, ...rest } = json;
    const operatorId = `0x${info.operatorId.toString(16).padStart(64, '0')}`;
    assert.deepEqual(rest, {
      url: enclave.url,
      operator: { number: 1, id: operatorId },
      root: { name: authority.anchor.name, isIntel: false },
      trusted: true,
      keys: {
        era: '1',
        signer: formatAccount(era.signer),
        encryptionKey: hexOf(era.encryptionKey),
        apiKey: hexOf(era.apiKey),
      },
    });
    assert.ok((checks as Line[]).every(({ state, words }) => state === 'passed' && words.length > 10));
    const until = Number(era.expiry);
    const activeUntilDate = new Date(until * 1000).toISOString().replace('.000Z', 'Z');
    assert.deepEqual(held, { state: 'active', era: '1', activeUntil: until, activeUntilDate });
    const { tcbStatus, validUntil } = evidence as Record<string, unknown>;
    const { mrTd, composeHash } = simulatedMeasurements();
    assert.partialDeepStrictEqual(measurements, { mrTd, composeHash });
    assert.equal(tcbStatus, 'UpToDate');
    assert.ok((validUntil as number) > now + 86_400);
    await lookJson();
    const nonces = enclave.asked.map(({ path }) => path).filter((path) => /\?nonce=[0-9a-f]{64}$/.test(path));
    assert.equal(new Set(nonces).size, 2, 'another one each time');
  });

  it('tells what fails, what was not reached, and why in one line', async () => {
    showEvidence(enclave, era.signer, { ...right, quote: { mrTd: new Uint8Array(48).fill(1) } });
    const { status, stdout, stderr } = await look();
    assert.equal(status, 11);
    assert.match(stdout, /^✓ tcb-status +the platform is UpToDate$/m);
    assert.match(stdout, /^✗ measurements +no allowed set fits; the closest differs in mrTd$/m);
    assert.match(stdout, /^– binding +not reached$/m);
    assert.match(stdout, /\nClients do not speak to this enclave\.\n$/);
    assert.doesNotMatch(stdout, /^(TCB status|valid until)/m);
    assert.match(stdout, new RegExp(`^mrTd +${'01'.repeat(48)}$`, 'm'));
    assert.equal(stderr, 'MEASUREMENT_REFUSED: no allowed set fits; the closest differs in mrTd\n');
  });

  it('writes nothing that an enclave made up to a terminal as it came', async () => {
    enclave.tamper = (answer, { path }) =>
      path.includes('/attestation')
        ? plain(500, { code: 'TEE_FAILED', message: 'broken \x1b[2J\n✓ all is well' })
        : answer;
    const { status, stdout } = await look();
    assert.equal(status, 10);
    assert.match(stdout, /^✗ attestation .*broken \?\[2J\?\? all is well$/m);
  });

  it('looks at an enclave that is not registered yet, and says that clients do not speak to it', async () => {
    const apiKey = new HpkeKey(new Uint8Array(32).fill(9)).publicKey;
    enclave.info = { ...info, era: 2n, apiKey };
    const { status, json } = await lookJson();
    assert.equal(status, 0);
    assert.equal(json['trusted'], false);
    assert.deepEqual(json['registry'], { state: 'unregistered', era: '2', activeUntil: null, activeUntilDate: null });
    const { registry: held, ...others } = states(json);
    assert.equal(held, 'open');
    assert.ok(Object.values(others).every((state) => state === 'passed'));
    const { stdout } = await look();
    assert.match(stdout, /^– registry .*it does not hold era 2 yet/m);
    assert.match(stdout, /Clients speak to this enclave once the rest holds too\.\n$/);
  });

  it('looks at one that says nothing of itself yet', async () => {
    enclave.info = { ...info, era: 2n };
    enclave.tamper = (answer, { path }) =>
      path.endsWith('/info') ? plain(503, { code: 'ENCLAVE_BUSY', message: 'it starts' }) : answer;
    const { status, json } = await lookJson();
    assert.equal(status, 0);
    const { registry: held, operator, ...others } = states(json);
    assert.deepEqual([held, operator, json['trusted']], ['open', 'open', false]);
    assert.ok(Object.values(others).every((state) => state === 'passed'));
  });

  it('is not deceived by one that is not registered, and means another registry or names other keys', async () => {
    enclave.info = { ...info, era: 2n };
    const shown = binding();
    enclave.attestation = (nonce) => attestationOf({ ...shown, registry: 5n }, nonce, right);
    await fails('BINDING_REFUSED', 'keys', /another registry than expected/);
    const apiKey = new HpkeKey(new Uint8Array(32).fill(9)).publicKey;
    enclave.attestation = (nonce) => attestationOf({ ...shown, apiKey }, nonce, right);
    await fails('OPERATOR_MISMATCH', 'keys', /names other keys than it shows evidence for/);
  });

  it('refuses an era that is over, or revoked, and still tells what the evidence is worth', async () => {
    await chain.setTime(era.expiry);
    const json = await fails('OPERATOR_MISMATCH', 'registry', /^era 1: .*they were active until 20\d\d-/);
    assert.equal((json['registry'] as { state: string }).state, 'inactive');
    assert.equal(states(json)['binding'], 'passed');
    await revert();
    await sendCall(chain.signer(), registry.revokeSignerCall(OPERATOR, era.signer));
    await fails('OPERATOR_MISMATCH', 'registry', /^era 1: the registry holds no active keys of it, they were revoked$/);
  });

  it('refuses another operator, and other keys than the registry holds', async () => {
    enclave.info = { ...info, operator: 2 };
    await fails('OPERATOR_MISMATCH', 'operator', /^this is another operator/);
    enclave.info = { ...info, operatorId: 5n };
    await fails('OPERATOR_MISMATCH', 'operator', /^operator id/);
    enclave.info = { ...info, apiKey: new HpkeKey(new Uint8Array(32).fill(9)).publicKey };
    const shown = { ...binding(), apiKey: info.apiKey };
    enclave.attestation = (nonce) => attestationOf(shown, nonce, right);
    await fails('OPERATOR_MISMATCH', 'registry', /not those of the registry$/);
  });

  it('refuses evidence of another program, of other keys and of another nonce', async () => {
    showEvidence(enclave, era.signer, { ...right, quote: { mrTd: new Uint8Array(48).fill(1) } });
    const json = await fails('MEASUREMENT_REFUSED', 'measurements', /^no allowed set fits/);
    assert.deepEqual([states(json)['tcb-status'], states(json)['binding']], ['passed', 'open']);
    assert.equal(json['evidence'], null);
    assert.equal((json['measurements'] as { mrTd: string }).mrTd, '01'.repeat(48), 'for whoever writes a policy');
    const other = { ...binding(), signer: 5n };
    enclave.attestation = (nonce) => ({
      ...attestationOf(other, nonce, right),
      era: attestationOf(binding(), nonce, right).era,
    });
    await fails('BINDING_REFUSED', 'binding', /another signer/);
    const recorded = attestationOf(binding(), new Uint8Array(32), right);
    enclave.attestation = () => recorded;
    await fails('BINDING_REFUSED', 'binding', /or nonce$/);
  });

  it("refuses what is simulated where Intel's root is trusted, whatever the manifest says", async () => {
    const json = await fails('EVIDENCE_UNTRUSTED', 'collateral-signatures', /./, '--trust', 'intel.json');
    assert.deepEqual(json['root'], { name: 'Intel SGX Root CA', isIntel: true });
    assert.equal(json['measurements'], null, 'anybody can write a quote');
  });

  it('refuses one that shows nothing, or no evidence', async () => {
    enclave.attestation = undefined;
    const json = await fails('OPERATOR_REFUSED', 'attestation', /^no evidence of the enclave: .*no such path$/);
    assert.equal(states(json)['quote'], 'open');
    assert.equal(json['keys'], null);
    enclave.attestation = () => ({ era: 1 });
    await fails('EVIDENCE_MALFORMED', 'attestation', /./);
  });

  it('ends as every command where nobody answers', async () => {
    for (const [code, ...words] of [
      ['OPERATOR_UNREACHABLE', 'http://127.0.0.1:9'],
      ['ENDPOINT_UNREACHABLE', '--endpoint', 'http://127.0.0.1:9'],
      ['USAGE', '--network', join(directory, 'silent.json')],
    ] as const) {
      const { status, json } = await lookJson(...words);
      assert.deepEqual([(json['error'] as { code: string }).code, status], [code, ERROR_EXIT_CODES[code]]);
      assert.deepEqual(Object.keys(json), ['error']);
    }
  });

  describe('and those that trade', () => {
    const trade = (...words: string[]) => [
      ...['trade', 'markets', ...words],
      ...['--network', join(directory, 'manifest.json'), '--wallet', join(directory, 'wallet')],
    ];

    before(async () => {
      const made = await runCli(['wallet', 'restore', '--wallet', join(directory, 'wallet')], {
        ...PASSPHRASE,
        input: PHRASE,
      });
      assert.equal(made.status, 0, made.stderr);
    });

    it('speak to a trusted enclave', async () => {
      const { status, json } = await runJson(trade(), PASSPHRASE);
      assert.equal(status, 0);
      assert.equal((json['markets'] as { pair: string }[])[0]?.pair, 'ETH-DUSD');
      assert.equal(enclave.asked.filter(({ path }) => path.includes('/attestation?nonce=')).length, 1);
    });

    it('speak to no other, say why in one line, and where to look', async () => {
      showEvidence(enclave, era.signer, { ...right, quote: { mrTd: new Uint8Array(48).fill(1) } });
      const { status, stderr, stdout } = await runCli(trade(), PASSPHRASE);
      assert.equal(status, 11);
      assert.equal(stdout, '');
      assert.match(stderr, /^MEASUREMENT_REFUSED: no allowed set fits.*\n.*enclave verify.*\n$/);
      assert.ok(enclave.asked.every(({ path }) => !path.endsWith('/markets') && !path.endsWith('/sessions')));
    });

    it('take the trust of a file before that of the manifest', async () => {
      const { status, json } = await runJson(trade('--trust', join(directory, 'intel.json')), PASSPHRASE);
      assert.equal((json['error'] as { code: string }).code, 'EVIDENCE_UNTRUSTED');
      assert.equal(status, 11);
    });
  });
});
