import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { openEndpoint } from '@bitcloak/chain/endpoint';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { countFresh } from '../support/proofCounts.ts';

const root = resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** Runs scripts/devnet/main.ts as `npm run devnet` does. */
function control(manifest: string, ...words: string[]) {
  const program = resolve(root, 'scripts/devnet/main.ts');
  return run(process.execPath, [program, ...words, '--manifest', manifest], { cwd: root });
}

/** Runs scripts/start.ts as `npm start` does; the ports are free ones. */
function start(options: readonly string[], onOutput: (text: string, interrupt: () => void) => void = () => undefined) {
  const program = resolve(root, 'scripts/start.ts');
  const ports = ['--port', '0', '--relayer-port', '0', '--enclave-port', '0'];
  const child = spawn(process.execPath, [program, ...ports, ...options], { cwd: root });
  const outcome = { code: null as number | null, stdout: '', stderr: '' };
  return new Promise<typeof outcome>((done, fail) => {
    child.once('error', fail);
    child.stdout.on('data', (chunk: Buffer) => {
      outcome.stdout += chunk.toString();
      onOutput(outcome.stdout, () => child.kill('SIGINT'));
    });
    child.stderr.on('data', (chunk: Buffer) => {
      outcome.stderr += chunk.toString();
    });
    child.once('close', (code) => {
      done({ ...outcome, code });
    });
  });
}

describe('npm start', () => {
  // Not the one of .devnet: a developer's own chain may be running.
  const manifest = resolve(root, '.cache/test/start/manifest.json');

  it('shows round trips with real proofs, serves with a manifest, and ends on Ctrl-C', async function () {
    this.timeout(480_000);
    let served: Promise<void> | undefined;
    const { code, stdout, stderr } = await start(['--manifest', manifest], (text, interrupt) => {
      if (served !== undefined || !text.includes('npm run devnet --')) return;
      served = obeys(manifest).finally(interrupt);
    });
    await served;
    assert.equal(code, 0, stderr);
    assert.ok(served !== undefined, 'the chain was served');
    assert.deepEqual(readdirSync(dirname(manifest)), [], 'neither is the address of its control');
    assert.ok(!existsSync(manifest), 'the manifest of a chain that is gone is gone');
    for (const step of [
      'deposit 10 ETH',
      'send 4 ETH',
      'withdraw 3 ETH through the relayer',
      'settle it under proof',
      'settle that under proof',
    ]) {
      assert.match(stdout, new RegExp(`${step}.*gas`), step);
    }
    assert.match(stdout, /a market maker and a taker trade 1.5 ETH/);
    assert.match(stdout, /withdraw what was gained/);
    assert.equal(stdout.match(/proof \d/g)?.length, 2);
    const settlement = ['fill', 'fill', 'clearing', 'insertion'];
    const proven = ['transfer', 'transfer', 'insertion', 'insertion', 'insertion', ...settlement, ...settlement];
    for (const circuit of proven) countFresh(circuit);
  });

  /** Time passes and the enclave ends as they are told to, and the chain goes on. */
  async function obeys(path: string): Promise<void> {
    const { endpoint: url, operator } = readManifest(path);
    assert.equal(statSync(resolve(dirname(path), 'control.json')).mode & 0o777, 0o600);
    const endpoint = await openEndpoint(url);
    try {
      const time = async () => (await endpoint.getBlock('latest'))?.timestamp ?? 0;
      const before = await time();
      const advanced = await control(path, 'advance', '8d');
      assert.match(advanced.stdout, /^8 d have passed: block time is 20\d\d-/);
      assert.ok((await time()) >= before + 8 * 86_400);
      assert.equal((await fetch(`${operator?.url}/api/v1/info`)).status, 200);
      await control(path, 'enclave', 'stop');
      await assert.rejects(fetch(`${operator?.url}/api/v1/info`), TypeError);
      assert.ok((await time()) > before, 'the chain goes on');
    } finally {
      endpoint.destroy();
    }
  }

  it('is needed by what lets its time pass', async () => {
    for (const [status, ...words] of [
      [4, 'advance', '1d'],
      [4, 'enclave', 'stop'],
      [2, 'advance', '367d'],
    ] as const) {
      await assert.rejects(control(resolve(root, '.cache/test/none.json'), ...words), { code: status });
    }
  });

  it('says which port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const port = String((other.address() as AddressInfo).port);
    try {
      const { code, stderr } = await start(['--enclave-port', port]);
      assert.deepEqual([code, /port (\d+) is taken.*--enclave-port/.exec(stderr)?.[1]], [1, port]);
    } finally {
      other.close();
    }
  });

  it('refuses a port that is none', async () => {
    const { code, stderr } = await start(['--port', '70000']);
    assert.notEqual(code, 0);
    assert.match(stderr, /--port: expected a port, got 70000/);
  });
});
