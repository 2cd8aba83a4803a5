import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openEndpoint, type Endpoint } from '@bitcloak/chain/endpoint';
import { formatAccount, formatManifest } from '@bitcloak/chain/manifest';
import { Keyring } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { relayerInfo } from '@bitcloak/wallet/relayerClient';
import { HDNodeWallet } from 'ethers';
import hre from 'hardhat';
import { addressOf } from '../support/relayer.ts';

const SERVER = fileURLToPath(import.meta.resolve('@bitcloak/relayer/server'));
// Its first account is one of the development chain's own, with coins.
const PHRASE = 'test test test test test test test test test test test junk';
const POOL = 0xabcn;

describe('the relayer as a process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-relayer-'));
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  let chain: Awaited<ReturnType<typeof hre.network.createServer>>;
  let endpoint: Endpoint;
  let environment: Record<string, string>;

  before(async () => {
    chain = await hre.network.createServer('default', '127.0.0.1', 0);
    const { address, port } = await chain.listen();
    endpoint = await openEndpoint(`http://${address}:${port}`);
    const genesisHash = (await endpoint.getBlock(0))?.hash ?? '';
    const manifest = formatManifest({
      name: 'test',
      endpoint: endpoint.url,
      chainId: 31337n,
      genesisHash,
      pool: POOL,
      registry: POOL + 1n,
      startBlock: 0,
      tokens: [{ symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 }],
      relayer: undefined,
    });
    const fees = [{ asset: formatAccount(NATIVE_ASSET), withdrawal: '3', transfer: '2' }];
    environment = {
      BITCLOAK_RELAYER_MANIFEST: file('manifest.json', manifest),
      BITCLOAK_RELAYER_FEES: file('fees.json', JSON.stringify(fees)),
      BITCLOAK_RELAYER_MNEMONIC_FILE: file('mnemonic', `${PHRASE}\n`),
      BITCLOAK_RELAYER_PORT: '0',
    };
  });

  after(async () => {
    endpoint.destroy();
    await chain.close();
    rmSync(directory, { recursive: true });
  });

  const start = (changes: Record<string, string> = {}) =>
    spawn(process.execPath, [SERVER], { env: { ...environment, ...changes }, stdio: ['ignore', 'pipe', 'pipe'] });

  it('serves until it is told to stop, and says no secret', async () => {
    const child = start();
    const ended = once(child, 'exit');
    const lines: string[] = [];
    const reader = createInterface(child.stdout).on('line', (line) => lines.push(line));
    child.stderr.on('data', (text: Buffer) => lines.push(text.toString()));
    await once(reader, 'line');
    const { kind, url } = JSON.parse(lines[0] ?? '') as { kind: string; url: string };
    assert.equal(kind, 'listening');
    assert.deepEqual(await relayerInfo(url), {
      chainId: 31337n,
      pool: POOL,
      account: BigInt(HDNodeWallet.fromPhrase(PHRASE).address),
      address: addressOf(new Keyring(seedOf(PHRASE))),
      fees: new Map([[NATIVE_ASSET, { withdrawal: 3n, transfer: 2n }]]),
    });
    assert.equal((await fetch(new URL('health', url))).status, 200);
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(lines.length, 1);
  });

  const broken: [string, Record<string, string>, number][] = [
    ['BITCLOAK_RELAYER_MANIFEST', { BITCLOAK_RELAYER_MANIFEST: 'nowhere.json' }, 4],
    ['BITCLOAK_RELAYER_FEES', { BITCLOAK_RELAYER_FEES: 'nowhere.json' }, 2],
    ['BITCLOAK_RELAYER_PORT', { BITCLOAK_RELAYER_PORT: '65536' }, 2],
    ['BITCLOAK_RELAYER_MNEMONIC_FILE', { BITCLOAK_RELAYER_MNEMONIC_FILE: 'nowhere' }, 2],
    ['ENDPOINT', { BITCLOAK_RELAYER_ENDPOINT: 'no url' }, 2],
  ];
  for (const [name, changes, status] of broken) {
    it(`does not start with a wrong ${name}`, async () => {
      const child = start(changes);
      let output = '';
      child.stderr.on('data', (text: Buffer) => (output += text.toString()));
      const [code] = (await once(child, 'exit')) as [number];
      assert.equal(code, status, output);
      assert.match(output, /^[A-Z_]+: .*\n$/);
    });
  }

  it('does not start with a wrong phrase, and does not repeat it', async () => {
    const child = start({ BITCLOAK_RELAYER_MNEMONIC_FILE: file('wrong', PHRASE.replace('junk', 'test')) });
    let output = '';
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 2);
    assert.match(output, /^MNEMONIC_INVALID/);
    assert.doesNotMatch(output, /test test/);
  });
});
