import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { measurementDigest } from '@bitcloak/attestation/policy';
import { mintCall } from '@bitcloak/chain/erc20';
import { connect, formatAccount, formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { formatAddress } from '@bitcloak/notes/address';
import { Keyring } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { ProcessProver } from '@bitcloak/prover/processProver';
import { ClientOpening } from '@bitcloak/trading/clientSession';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder } from '@bitcloak/trading/orders';
import { API, decodeInfo, decodeMarket } from '@bitcloak/trading/wire';
import { runKeeper } from '@bitcloak/wallet/keeper';
import { Interface, Wallet } from 'ethers';
import { parse } from 'yaml';
import { HELP } from '../../enclave/settings.ts';
import { DstackProvider } from '../../enclave/tee/dstack.ts';
import { teeKeys } from '../../enclave/tee/keys.ts';
import { TeeSimulator } from '../../enclave/tee/simulator.ts';
import { sha256 } from '../../scripts/bootstrap/hash.mjs';
import { bundleEnclave, SUMS, type Bundle } from '../../scripts/bundle/bundle.ts';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { jsonOf, send, TestSession } from '../support/api.ts';
import { serveChain, type Chain } from '../support/chain.ts';
import { deployNetwork, ETH } from '../support/network.ts';
import { countFresh } from '../support/proofCounts.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const OPERATOR = 1;
const OPERATOR_ACCOUNT = 6;
const TRADER_ACCOUNT = 7;
const DAY_SECONDS = 86_400n;
const KEY_PROVIDER = 'ab'.repeat(91);
const IMAGE = `registry.example/bitcloak/enclave@sha256:${'5'.repeat(64)}`;

const ERC20 = new Interface(['function approve(address, uint256)']);

const run = promisify(execFile);

/** Everything below a directory: modes, and hashes of what files hold. */
function treeOf(directory: string): [name: string, mode: string, content: string][] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const stats = statSync(path);
      return [name, (stats.mode & 0o777).toString(8), stats.isFile() ? sha256(readFileSync(path)) : ''];
    });
}

/** A checkout elsewhere, of what a bundle is made of, whose files are of another time. */
function checkOut(inputs: readonly string[], target: string): void {
  const copied = new Set<string>();
  const copy = (name: string): void => {
    if (copied.has(name) || !existsSync(join(ROOT, name))) return;
    copied.add(name);
    mkdirSync(dirname(join(target, name)), { recursive: true });
    copyFileSync(join(ROOT, name), join(target, name));
    utimesSync(join(target, name), 1_000_000_000, 1_000_000_000 + copied.size);
  };
  const circuits = ['fill', 'clearing'].flatMap((circuit) => [
    `circuits/pins/${circuit}.json`,
    `circuits/keys/${circuit}.vkey.json`,
    `circuits/keys/${circuit}.zkey`,
    `circuits/build/${circuit}/${circuit}.wasm`,
    `circuits/build/${circuit}/${circuit}.program`,
  ]);
  for (const name of [...inputs].reverse()) {
    copy(name);
    // How a package is found is said in its manifest, and there are several within some.
    for (let at = dirname(name); at !== '.'; at = dirname(at)) copy(`${at}/package.json`);
  }
  const provers = ['relaxed', 'plain'].map((name) => `packages/prover/wasm/${name}.wasm`);
  ['package.json', 'LICENSE', 'NOTICE', 'node_modules/web-worker/cjs/node.js', ...provers, ...circuits].forEach(copy);
  const scope = join(target, 'node_modules/@bitcloak');
  mkdirSync(scope);
  for (const name of readdirSync(join(ROOT, 'packages'))) symlinkSync(`../../packages/${name}`, join(scope, name));
}

describe('the bundle of the enclave', function () {
  this.timeout(300_000);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-bundle-'));
  const place = (...names: string[]) => join(directory, ...names);
  const bundled = place('enclave');
  let bundle: Bundle;
  before(async () => {
    bundle = await bundleEnclave(ROOT, bundled);
  });
  after(() => {
    rmSync(directory, { recursive: true });
  });

  it('has a digest that stands for all of it', () => {
    const sums = readFileSync(join(bundled, SUMS), 'utf8');
    assert.equal(bundle.digest, sha256(sums));
    const listed = sums.trimEnd().split('\n');
    const actual = treeOf(bundled).filter(([name, , content]) => content !== '' && name !== SUMS);
    assert.deepEqual(
      listed,
      actual.map(([name, , content]) => `${content}  ${name}`),
    );
    assert.equal(bundle.files, listed.length + 1);
    assert(listed.some((line) => line.endsWith('  circuits/keys/fill.zkey')));
  });

  it('tells nothing of the machine that it was made on', () => {
    for (const name of ['server.mjs', 'proverChild.mjs']) {
      const text = readFileSync(join(bundled, name), 'utf8');
      for (const path of [ROOT, directory, process.execPath]) assert(!text.includes(path), `${name} has ${path}`);
    }
  });

  it('is the same from another checkout, at another time and place', async () => {
    const checkout = place('an other checkout');
    checkOut(bundle.inputs, checkout);
    const again = place('again');
    const module = pathToFileURL(join(ROOT, 'scripts/bundle/bundle.ts')).href;
    const code = `process.umask(0o077);
      const { bundleEnclave } = await import(${JSON.stringify(module)});
      console.log((await bundleEnclave(${JSON.stringify(checkout)}, ${JSON.stringify(again)})).digest);`;
    const env = { ...process.env, TZ: 'Asia/Kathmandu', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', NODE_PATH: ROOT };
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { env, cwd: directory });
    assert.equal(stdout.trim(), bundle.digest);
    assert.deepEqual(treeOf(again), treeOf(bundled));

    appendFileSync(join(checkout, 'enclave/server.ts'), 'console.log(1);\n');
    assert.notEqual((await bundleEnclave(checkout, again)).digest, bundle.digest);
    appendFileSync(join(checkout, 'circuits/keys/fill.zkey'), '\0');
    await assert.rejects(bundleEnclave(checkout, again), {
      code: 'KEY_MISMATCH',
      message: /^circuits\/keys\/fill.zkey/,
    });
    await assert.rejects(bundleEnclave(ROOT, checkout), { code: 'USAGE', message: /expected an empty directory/ });
  });

  it('says how it is configured, with nothing beside it', async () => {
    const { stdout } = await run(process.execPath, [join(bundled, 'server.mjs'), '--help'], {
      cwd: directory,
      env: {},
    });
    assert.equal(stdout, `${HELP}\n`);
  });

  describe('as dstack starts it', () => {
    const random = seededBytes('bundled enclave');
    const gasKey = `0x${Buffer.from(random(32)).toString('hex')}`;
    const prover = new ProcessProver();
    const [treasury, seller, buyer] = [0, 1, 2].map(() => new Keyring(random(64))) as [Keyring, Keyring, Keyring];
    let chain: Chain;
    let manifest: Manifest;
    let simulator: TeeSimulator | undefined;
    let pool: PoolClient;
    let operatorId: bigint;

    before(async () => {
      const served = await serveChain();
      chain = served.chain;
      const token = await (await deployContract(chain.signer(), 'DevelopmentToken')).getAddress();
      // Its measurement follows from the addresses, and the list of those that are allowed stands before them: here the keys' own word counts.
      manifest = await deployNetwork(chain, {
        endpoint: served.url,
        bucketAgeSeconds: 1n,
        tokens: [ETH, { symbol: 'DUSD', asset: BigInt(token), decimals: 6 }],
      });
      pool = new PoolClient(manifest.pool, chain.signer(TRADER_ACCOUNT));
      operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, OPERATOR);
    });
    after(async () => {
      await simulator?.close();
      await chain.close();
      await prover.close();
    });

    const scripts = (script: string, ...words: string[]) =>
      run(process.execPath, [join(ROOT, 'scripts/bundle', script), ...words], {
        env: { ...process.env, INIT_CWD: directory },
      });

    /** Writes an operator's settings as files, has them composed, and returns the environment of the composed text. */
    async function compose(): Promise<Record<string, string>> {
      const [coin, dollar] = manifest.tokens.map(({ symbol }) => symbol);
      const market = {
        ...{ market: 1, pair: 'ETH-DUSD', base: coin, quote: dollar, lotBase: '10', tickQuote: '1' },
        ...{ makerFee: 10, takerFee: 20, ticksMax: 1_000_000, lotsMin: 1, lotsMax: 1_000_000 },
        ...{ referenceSecondsMax: 60, referenceMoveMax: 100 },
      };
      const rules = {
        ...{ settleSeconds: 3_600, roundSeconds: 56, orderSecondsMax: 86_400, lockSecondsMax: 7_776_000 },
        ...{ ordersMax: 32, withdrawalFees: [], noteMins: [] },
      };
      const settings = {
        MANIFEST: 'manifest.json',
        MARKETS: 'markets.json',
        RULES: 'rules.json',
        OPERATOR: String(OPERATOR),
        TREASURY: formatAddress(addressOf(treasury)),
        CADENCE: 'count:1:50',
        FILLS: '2',
        CONFIRMATIONS: '0',
        CLOCK_SKEW_SECONDS: '0',
      };
      writeFileSync(place('manifest.json'), formatManifest(manifest));
      writeFileSync(place('markets.json'), JSON.stringify([market], null, 2));
      writeFileSync(place('rules.json'), JSON.stringify(rules, null, 2));
      const lines = Object.entries(settings).map(([name, value]) => `BITCLOAK_ENCLAVE_${name}=${value}\n`);
      writeFileSync(place('settings'), lines.join(''));
      const { stdout } = await scripts(
        'compose.ts',
        '--image',
        IMAGE,
        '--settings',
        'settings',
        '--kms',
        KEY_PROVIDER,
        '--output',
        '.',
      );
      const bytes = readFileSync(place('app-compose.json'));
      assert(stdout.includes(`: ${sha256(bytes)}\n`), stdout);
      // What the enclave would refuse must not be measured first.
      writeFileSync(place('wrong'), lines.join('').replace('FILLS=2', 'FILLS=1'));
      await assert.rejects(scripts('compose.ts', '--image', IMAGE, '--settings', 'wrong', '--kms', KEY_PROVIDER), {
        code: 2,
        stderr: /^USAGE: BITCLOAK_ENCLAVE_FILLS: /,
      });
      const { docker_compose_file: text } = JSON.parse(bytes.toString()) as { docker_compose_file: string };
      const { services } = parse(text) as { services: { enclave: { environment: Record<string, string | null> } } };
      const given = Object.entries(services.enclave.environment).flatMap(([name, value]) =>
        value === null ? [] : [[name, value.replaceAll('$$', '$')]],
      );
      return Object.fromEntries(given) as Record<string, string>;
    }

    /** Starts the machine that the compose file says, and registers the keys that it gives. */
    async function admit(): Promise<void> {
      const boot = {
        composeHash: sha256(readFileSync(place('app-compose.json'))),
        appId: 'a1'.repeat(20),
        instanceId: 'b2'.repeat(20),
        osImageHash: 'c3'.repeat(32),
        keyProvider: '{"name":"kms","id":""}',
      };
      const path = place('dstack.sock');
      simulator = await TeeSimulator.listen({ path, seed: random(32), boot, clock: Math.floor(Date.now() / 1000) });
      const { mrTd: mrtd, rtmr0, rtmr1, rtmr2 } = simulator.measurements;
      writeFileSync(place('machine.json'), JSON.stringify({ mrtd, rtmr0, rtmr1, rtmr2 }));
      const { stdout } = await scripts('measure.ts', '--compose', 'app-compose.json', '--machine', 'machine.json');
      assert(stdout.endsWith(`measurement: 0x${measurementDigest(simulator.measurements)}\n`), stdout);

      const keys = (await teeKeys(new DstackProvider(path), operatorId)).era(1n);
      const account = chain.signer(OPERATOR_ACCOUNT);
      const registry = new RegistryClient(manifest.registry, account);
      await sendCall(account, registry.registerOperatorCall());
      const signer = new Wallet(keys.signer);
      const era: Era = {
        signer: BigInt(signer.address),
        encryptionKey: keys.encryptionKey.publicKey,
        apiKey: keys.apiKey.publicKey,
        number: 1n,
        expiry: BigInt((await chain.provider.getBlock('latest'))?.timestamp ?? 0) + 5n * DAY_SECONDS,
      };
      const nonce = await registry.nonce();
      const evidence = developmentEvidence(manifest.chainId, manifest.registry, OPERATOR, era, nonce, signer);
      await sendCall(account, registry.registerEraCall(OPERATOR, era, evidence));
      await sendCall(account, { to: new Wallet(gasKey).address, data: '0x', value: 10n ** 18n });
      await lock(seller, 0, keys.encryptionKey.publicKey);
      await lock(buyer, 1, keys.encryptionKey.publicKey);
    }

    async function lock(keyring: Keyring, token: number, operatorKey: Uint8Array): Promise<void> {
      const asset = manifest.tokens[token]?.asset ?? assert.fail();
      const account = chain.signer(TRADER_ACCOUNT);
      if (token > 0) {
        await sendCall(account, mintCall(asset, BigInt(account.address), 10_000n));
        const data = ERC20.encodeFunctionData('approve', [formatAccount(manifest.pool), 10_000n]);
        await sendCall(account, { to: formatAccount(asset), data, value: 0n });
      }
      const { timestamp } = (await chain.provider.getBlock('latest')) ?? assert.fail();
      const { keys } = keyring.tradingAccount(operatorId, 0);
      const maker = new OutputMaker(asset);
      const where = { keys, index: 0, lock: { operatorId, expiry: BigInt(timestamp) + 2n * DAY_SECONDS }, operatorKey };
      const note = maker.locked(10_000n, where, keyring.viewing.agreement.publicKey);
      await pool.send(pool.depositCall(asset, 10_000n, stealthOf(note), maker.ciphertext()));
    }

    /** Inserts what was deposited, with a proof. */
    async function insert(): Promise<void> {
      await chain.increaseTime(60n);
      const signer = chain.signer(TRADER_ACCOUNT);
      const { pool: address, startBlock } = manifest;
      const rest = { pollMs: 50, once: true, signal: new AbortController().signal, report: () => undefined };
      const endpoint = await connect(manifest);
      await runKeeper({
        pool: address,
        endpoint,
        signer,
        startBlock,
        prover,
        closeAfterSeconds: 1n,
        ...rest,
      });
      endpoint.destroy();
      countFresh('insertion');
    }

    async function trade(url: string, keyring: Keyring, side: 'buy' | 'sell'): Promise<void> {
      const key = keyring.tradingAccount(operatorId, 0);
      const info = decodeInfo(jsonOf(await send(url, { method: 'GET', path: `${API}/info` })));
      const opening = (await ClientOpening.make(info, key, Math.floor(Date.now() / 1000))) ?? assert.fail();
      const answer = await send(url, { method: 'POST', path: `${API}/sessions`, body: opening.bytes });
      assert.equal(answer.status, 201, answer.text);
      const session = new TestSession(url, key, (await opening.accept(answer.bytes)) ?? assert.fail());
      const { markets } = jsonOf<{ markets: object[] }>(await send(url, { method: 'GET', path: `${API}/markets` }));
      const terms = markets.map(decodeMarket)[0] ?? assert.fail();
      const { timestamp } = (await chain.provider.getBlock('latest')) ?? assert.fail();
      const destination = { operatorId, expiry: BigInt(timestamp) + 80_000n, payTo: key.keys.owner, relockExpiry: 0n };
      const placed = await session.place({
        ...signOrder(key, limitOf(terms, side, 20, 10), destination),
        ...({ clientOrderId: `order-${side}`, market: 1, side, type: 'limit', price: 20, lots: 10 } as const),
        ...({ timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const),
      });
      assert.equal(placed.status, 201, placed.text);
    }

    it('settles a trade under its own proofs', async () => {
      const composed = await compose();
      await admit();
      await insert();
      const changes = { TEE: `dstack:${place('dstack.sock')}`, DIRECTORY: place('data'), HOST: '127.0.0.1', PORT: '0' };
      const prefixed = Object.entries({ ...changes, GAS_KEY: gasKey }).map(([name, value]) => [
        `BITCLOAK_ENCLAVE_${name}`,
        value,
      ]);
      const env = { ...composed, ...(Object.fromEntries(prefixed) as Record<string, string>) };
      const child = spawn(process.execPath, [join(bundled, 'server.mjs')], {
        env,
        cwd: directory,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
      const lines: string[] = [];
      const reader = createInterface(child.stdout).on('line', (line) => lines.push(line));
      child.stderr.on('data', (text: Buffer) => lines.push(text.toString()));
      try {
        const listening = () => lines.find((line) => line.includes('"listening"'));
        while (listening() === undefined && child.exitCode === null) await Promise.race([once(reader, 'line'), ended]);
        const { url } = JSON.parse(listening() ?? assert.fail(lines.join('\n'))) as { url: string };
        await trade(url, seller, 'sell');
        await trade(url, buyer, 'buy');
        const deadline = Date.now() + 200_000;
        while ((await pool.lastSequence(OPERATOR)) !== 1n) {
          assert(Date.now() < deadline && child.exitCode === null, lines.join('\n'));
          await sleep(250);
        }
        for (const circuit of ['fill', 'fill', 'clearing']) countFresh(circuit);
        checkProvers(child.pid ?? assert.fail());
      } finally {
        child.kill('SIGTERM');
      }
      assert.deepEqual(await ended, [0, null], lines.join('\n'));
      assert(!lines.join('\n').includes(gasKey.slice(2)));
    });

    /** Where the system shows it: the processes that prove have the settings and not the key. */
    function checkProvers(pid: number): void {
      if (!existsSync(`/proc/${pid}/task/${pid}/children`)) return;
      const provers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
      assert.equal(provers.length, 1);
      const environment = readFileSync(`/proc/${provers[0] ?? ''}/environ`, 'utf8');
      assert(environment.includes('BITCLOAK_ENCLAVE_TEE=dstack:'));
      assert(!environment.includes(gasKey.slice(2)));
    }
  });
});
