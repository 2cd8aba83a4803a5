import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { allowedFrom, auditDeployment, type Finding } from '../../scripts/audit/deployment.ts';
import { readArtifact } from '../../scripts/deploy/contracts.ts';
import { serveChain, type Chain } from '../support/chain.ts';
import { deployNetwork } from '../support/network.ts';

const MAIN = resolve(import.meta.dirname, '../../scripts/audit/main.ts');
const MEASUREMENT = `0x${'6d'.repeat(32)}`;
const OTHER = `0x${'6e'.repeat(32)}`;
const run = promisify(execFile);

describe('an audit of what is deployed', function () {
  this.timeout(60_000);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-audit-'));
  const path = join(directory, 'manifest.json');
  let chain: Chain;
  let manifest: Manifest;
  let back: () => Promise<void>;

  before(async () => {
    const served = await serveChain();
    chain = served.chain;
    const attestors = [5, 6, 7].map((index) => chain.signer(index).address);
    manifest = await deployNetwork(chain, {
      endpoint: served.url,
      attestors: { attestors, threshold: 2, measurements: [MEASUREMENT] },
    });
    writeFileSync(path, formatManifest(manifest));
    back = await chain.snapshot();
  });
  afterEach(() => back());
  after(async () => {
    await chain.close();
    rmSync(directory, { recursive: true });
  });

  const audit = () => auditDeployment(manifest, chain.provider);
  const of = (findings: readonly Finding[], role: string) =>
    findings.find((finding) => finding.role === role) ?? assert.fail(role);

  it('finds every contract, and what it was given', async () => {
    const findings = await audit();
    assert.deepEqual(
      findings.map(({ role, name }) => [role, name]),
      [
        ['pool', 'Pool'],
        ['POSEIDON', 'Poseidon3'],
        ['VERIFIER', 'Verifier'],
        ['TIMELOCK', 'TimelockController'],
        ['REGISTRY', 'Registry'],
        ['quoteVerifier', 'AttestorQuoteVerifier'],
        ['MEASUREMENTS', 'Measurements'],
      ],
    );
    const { settings } = of(findings, 'pool');
    assert.equal(settings['guardian'], chain.signer(1).address);
    assert.equal(settings['BUCKET_AGE'], '60');
    assert.equal(of(findings, 'quoteVerifier').settings['THRESHOLD'], '2');
    assert.equal(of(findings, 'MEASUREMENTS').settings['GOVERNOR'], settings['TIMELOCK']);
    assert.notEqual(await allowedFrom(findings, chain.provider, MEASUREMENT), 0);
    assert.equal(await allowedFrom(findings, chain.provider, OTHER), 0);
  });

  it('notices one byte of code, wherever it is not a value of the constructor’s', async () => {
    for (const role of ['VERIFIER', 'REGISTRY', 'MEASUREMENTS']) {
      const { address, name } = of(await audit(), role);
      assert(name !== undefined);
      const code = Buffer.from((await chain.provider.getCode(address)).slice(2), 'hex');
      const immutable = Object.values(readArtifact(name).immutableReferences).flat();
      const set = async (at: number) => {
        const changed = Buffer.from(code);
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
        await chain.provider.send('hardhat_setCode', [address, `0x${changed.toString('hex')}`]);
        return of(await audit(), role).name;
      };
      const last = code.length - 1;
      assert.equal(await set(last), undefined);
      for (const { start, length } of immutable.slice(0, 1)) {
        assert.equal(await set(start - 1), undefined);
        assert.equal(await set(start + length), undefined);
      }
      await back();
    }
  });

  it('says so to whoever asks', async () => {
    const ask = (...words: string[]) => run(process.execPath, [MAIN, '--network', path, ...words]);
    const { stdout } = await ask('--measurement', MEASUREMENT);
    assert.equal(stdout.match(/, as built$/gm)?.length, 7, stdout);
    assert.match(stdout, /^measurement 0x(6d)+: allowed from 20/m);
    await assert.rejects(ask('--measurement', OTHER), { code: 1, stdout: /^measurement 0x(6e)+: NOT known$/m });
    writeFileSync(path, formatManifest({ ...manifest, registry: manifest.pool }));
    await assert.rejects(ask(), { code: 1, stdout: /^the registry of the manifest is NOT/m });
    writeFileSync(path, formatManifest(manifest));
    await chain.provider.send('hardhat_setCode', [of(await audit(), 'VERIFIER').address, '0x00']);
    await assert.rejects(ask(), { code: 1, stdout: /^VERIFIER 0x\w+: NOT the code of this checkout$/m });
  });
});
