import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { Keyring } from '@bitcloak/notes/keys';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { Wallet } from '@bitcloak/wallet/wallet';
import { startEnclave, type RunningEnclave } from '../../enclave/enclave.ts';
import { teeKeys } from '../../enclave/tee/keys.ts';
import { DevnetAttestation } from '../../scripts/devnet/attestation.ts';
import { serveChain, type Chain } from '../support/chain.ts';
import { deployNetwork, idleEnclave } from '../support/network.ts';
import { runCli, runJson } from '../support/cli.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';

const PASSPHRASE = { passphrase: 'correct horse' };
const GAS_ACCOUNT = 5;

describe('the commands of an operator', function () {
  this.timeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-administration-'));
  const random = seededBytes('administration');
  let chain: Chain;
  let attestation: DevnetAttestation;
  let manifest: Manifest;
  let url: string;
  let signer: string;
  let starting: Promise<RunningEnclave>;

  before(async () => {
    const served = await serveChain();
    chain = served.chain;
    attestation = await DevnetAttestation.open();
    manifest = await deployNetwork(chain, { endpoint: served.url, attestors: attestation.settings });
    await attestation.serve(manifest, chain.provider);
    writeFileSync(join(directory, 'manifest.json'), formatManifest(manifest));
    writeFileSync(join(directory, 'trust.json'), JSON.stringify(attestation.trust));
    const stranger = { ...attestation.trust, anchor: 'intel' };
    writeFileSync(join(directory, 'intel.json'), JSON.stringify(stranger));
    const wallet = await Wallet.create(join(directory, 'wallet'), { mnemonic: newMnemonic() }, PASSPHRASE.passphrase);
    await sendCall(chain.signer(), { to: wallet.account().address, data: '0x', value: 10n ** 18n });
  });
  after(async () => {
    await (await starting).close();
    await attestation.close();
    await chain.close();
    rmSync(directory, { recursive: true });
  });

  const args = (...words: string[]) => [
    ...['--network', join(directory, 'manifest.json'), '--wallet', join(directory, 'wallet'), ...words],
  ];
  const trusting = (file = 'trust.json') => ['--operator-number', '1', '--trust', join(directory, file)];
  const run = (...words: string[]) => runCli(args(...words), { ...PASSPHRASE, cwd: directory });
  const asked = (...words: string[]) => runJson(args(...words), { ...PASSPHRASE, cwd: directory });
  const attestors = (count: number) => attestation.urls.slice(0, count).flatMap((one) => ['--attestor', one]);

  it('register one, whose enclave waits for its keys', async () => {
    const { status, stdout } = await run('operator', 'new');
    assert.equal(status, 0);
    assert.match(stdout, /1 of test/);
    const keys = await teeKeys(attestation.machine, operatorIdOf(31337n, manifest.pool, manifest.registry, 1));
    const waiting = Promise.withResolvers<string>();
    starting = startEnclave({
      ...idleEnclave(chain, manifest, GAS_ACCOUNT, join(directory, 'data')),
      keys,
      attestation: { evidence: attestation.evidence(), attestors: attestation.urls, evidenceSeconds: 604_800 },
      treasury: addressOf(new Keyring(random(64))),
      report: (report) => {
        if (report.kind === 'waiting') waiting.resolve(report.url);
      },
    });
    url = await waiting.promise;
    const { status: unheard, json } = await asked('enclave', 'verify', url, ...trusting());
    assert.deepEqual([unheard, json['trusted']], [0, false], 'all that there is to check holds');
  });

  it('register nothing that is not trusted, or that too few attestors sign for', async () => {
    const refused = async (code: string, status: number, ...words: string[]) => {
      const ended = await run('operator', 'register', url, ...words);
      assert.equal(ended.status, status, ended.stderr);
      assert.match(ended.stderr, new RegExp(`${code}: `));
    };
    await refused('EVIDENCE_UNTRUSTED', 11, ...trusting('intel.json'), ...attestors(2));
    await refused('ATTESTOR_FAILED', 11, ...trusting(), ...attestors(1));
    await refused('USAGE', 2, '--operator-number', '1', ...attestors(2));
    await refused('BINDING_REFUSED', 11, '--operator-number', '2', ...trusting().slice(2), ...attestors(2));
    await refused('USAGE', 2, ...trusting(), '--attestor', 'nowhere');
    await refused('USAGE', 2, ...trusting(), '--for', 'long', ...attestors(2));
  });

  it('register its keys, and it begins', async () => {
    const { status, json } = await asked('operator', 'register', url, ...trusting(), ...attestors(3), '--for', '20d');
    assert.equal(status, 0, JSON.stringify(json));
    const enclave = await starting;
    const shown = await asked('enclave', 'verify', enclave.url, ...trusting());
    assert.deepEqual([shown.status, shown.json['trusted']], [0, true], shown.stderr);
    signer = String(json['signer']);
    assert.equal((shown.json['keys'] as { signer: string }).signer.toLowerCase(), signer.toLowerCase());
    const time = await chain.now();
    assert.ok(BigInt(String(json['activeUntil'])) <= time + 518_400n, 'a day less than attestors sign for');
    assert.ok(BigInt(String(json['expiry'])) > time + 19n * 86_400n);
  });

  it('end them where attestors find that they do not hold any more, whoever gives the command', async () => {
    const wallet = await Wallet.create(join(directory, 'other'), { mnemonic: newMnemonic() }, PASSPHRASE.passphrase);
    await sendCall(chain.signer(), { to: wallet.account().address, data: '0x', value: 10n ** 18n });
    const words = [
      'operator',
      'invalidate',
      '--operator-number',
      '1',
      ...attestors(3),
      '--wallet',
      join(directory, 'other'),
    ];
    const held = await run(...words);
    assert.equal(held.status, 11, held.stderr);
    assert.match(held.stderr, /ATTESTOR_FAILED: 0 of the 2 /);
    await attestation.lookAgain({ revoked: ['pck'] });
    const { status, json, stderr } = await asked(...words);
    assert.equal(status, 0, stderr);
    // Of the three that were asked two are enough, here as when they sign: one may fail to answer.
    const codes = Object.values(json['withdrawn'] as object) as string[];
    assert.ok(codes.length >= 2 && codes.every((code) => code === 'EVIDENCE_REVOKED'), codes.join());
    assert.equal(await new RegistryClient(manifest.registry, chain.provider).isActive(1, BigInt(signer)), false);
  });

  it('revoke them', async () => {
    const enclave = await starting;
    const { status, stdout } = await run('operator', 'revoke', signer, '--operator-number', '1');
    assert.equal(status, 0);
    assert.match(stdout, /settles nothing more/);
    const after = await run('enclave', 'verify', enclave.url, ...trusting());
    assert.equal(after.status, 10);
    assert.match(after.stderr, /OPERATOR_MISMATCH: .*revoked/);
  });
});
