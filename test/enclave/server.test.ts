import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { formatAddress } from '@bitcloak/notes/address';
import { Keyring } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder } from '@bitcloak/trading/orders';
import { ClientOpening } from '@bitcloak/trading/clientSession';
import { API, decodeInfo, decodeMarket, hexOf } from '@bitcloak/trading/wire';
import { HDNodeWallet, Wallet } from 'ethers';
import { startEnclave, type EnclaveSettings } from '../../enclave/enclave.ts';
import { GAS_KEY_VARIABLE, HELP, readSettings } from '../../enclave/settings.ts';
import { seedFileKeys } from '../../enclave/tee/keys.ts';
import { ApiBench, jsonOf, send, TestSession } from '../support/api.ts';
import { serveChain, type Chain } from '../support/chain.ts';
import { honest, hostedAccount, standingAt } from '../support/hostileEndpoint.ts';
import { deployNetwork, ETH } from '../support/network.ts';
import { DoubledProver } from '../support/doubledProver.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';
import type { Trader } from '../support/settlement.ts';

const SERVER = fileURLToPath(new URL('../../enclave/server.ts', import.meta.url));
const PHRASE = 'test test test test test test test test test test test junk';
const OPERATOR = 1;
const TOKEN = 0xabcn;
const DAY_SECONDS = 86_400n;

describe('the enclave as a process', function () {
  this.timeout(60_000);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-enclave-'));
  const random = seededBytes('enclave process');
  const file = (name: string, text: string | Uint8Array, mode = 0o600): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const seed = file('seed', random(32));
  const treasury = new Keyring(random(64));
  const trader = new Keyring(random(64));
  const gasKey = HDNodeWallet.fromPhrase(PHRASE, undefined, "m/44'/60'/0'/0/5").privateKey;
  const market = {
    market: 1,
    pair: 'ETH-TEST',
    base: 'ETH',
    quote: 'TEST',
    lotBase: '10',
    tickQuote: '1',
    makerFee: 10,
    takerFee: 20,
    ticksMax: 1_000_000,
    lotsMin: 1,
    lotsMax: 1_000_000,
    referenceSecondsMax: 60,
    referenceMoveMax: 100,
  };
  let chain: Chain;
  let manifest: Manifest;
  let operatorId: bigint;
  let environment: Record<string, string>;
  let rules: Record<string, unknown>;

  before(async () => {
    const served = await serveChain();
    chain = served.chain;
    manifest = await deployNetwork(chain, {
      endpoint: served.url,
      tokens: [ETH, { symbol: 'TEST', asset: TOKEN, decimals: 6 }],
    });
    operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, OPERATOR);
    const registry = new RegistryClient(manifest.registry, chain.signer(3));
    await sendCall(chain.signer(3), registry.registerOperatorCall());
    const keys = seedFileKeys(seed, manifest.chainId, operatorId).era(1n);
    const signer = new Wallet(keys.signer);
    const era: Era = {
      signer: BigInt(signer.address),
      encryptionKey: keys.encryptionKey.publicKey,
      apiKey: keys.apiKey.publicKey,
      number: 1n,
      expiry: (await chain.now()) + DAY_SECONDS,
    };
    const evidence = developmentEvidence(
      manifest.chainId,
      manifest.registry,
      OPERATOR,
      era,
      await registry.nonce(),
      signer,
    );
    await sendCall(chain.signer(3), registry.registerEraCall(OPERATOR, era, evidence));
    const fees = {
      withdrawalFees: [{ asset: 'ETH', fee: '3' }],
      noteMins: [{ asset: 'ETH', value: '5' }],
      ordersMax: 32,
    };
    rules = {
      settleSeconds: 3_600,
      roundSeconds: 56,
      orderSecondsMax: 86_400,
      lockSecondsMax: 7_776_000,
      ...fees,
    };
    environment = {
      BITCLOAK_ENCLAVE_MANIFEST: file('manifest.json', formatManifest(manifest)),
      BITCLOAK_ENCLAVE_DIRECTORY: join(directory, 'data'),
      BITCLOAK_ENCLAVE_OPERATOR: String(OPERATOR),
      BITCLOAK_ENCLAVE_SEED_FILE: seed,
      BITCLOAK_ENCLAVE_MARKETS: file('markets.json', JSON.stringify([market])),
      BITCLOAK_ENCLAVE_RULES: file('rules.json', JSON.stringify(rules)),
      BITCLOAK_ENCLAVE_TREASURY: formatAddress(addressOf(treasury)),
      BITCLOAK_ENCLAVE_GAS_KEY_FILE: file('gas', `${gasKey}\n`),
      BITCLOAK_ENCLAVE_CADENCE: 'count:1000:100000',
      BITCLOAK_ENCLAVE_CONFIRMATIONS: '0',
      BITCLOAK_ENCLAVE_CLOCK_SKEW_SECONDS: '0',
      BITCLOAK_ENCLAVE_PORT: '0',
    };
  });
  after(async () => {
    await chain.close();
    rmSync(directory, { recursive: true });
  });

  const start = (changes: Record<string, string> = {}) =>
    spawn(process.execPath, [SERVER], { env: { ...environment, ...changes }, stdio: ['ignore', 'pipe', 'pipe'] });
  /** Starts it, and waits until it serves. */
  const serve = async () => {
    const child = start();
    const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
    const lines: string[] = [];
    const reader = createInterface(child.stdout).on('line', (line) => lines.push(line));
    child.stderr.on('data', (text: Buffer) => lines.push(text.toString()));
    const listening = () => lines.find((line) => line.includes('"listening"'));
    while (listening() === undefined && child.exitCode === null) await Promise.race([once(reader, 'line'), ended]);
    const { url } = JSON.parse(listening() ?? assert.fail(lines.join('\n'))) as { url: string };
    return { child, ended, lines, url };
  };
  const key = () => trader.tradingAccount(operatorId, 0);

  async function open(url: string): Promise<TestSession> {
    const info = decodeInfo(jsonOf(await send(url, { method: 'GET', path: `${API}/info` })));
    const opening = await ClientOpening.make(info, key(), Math.floor(Date.now() / 1000));
    assert(opening !== undefined);
    const { status, text, bytes } = await send(url, { method: 'POST', path: `${API}/sessions`, body: opening.bytes });
    assert.equal(status, 201, text);
    const sealed = await opening.accept(bytes);
    assert(sealed !== undefined);
    return new TestSession(url, key(), sealed);
  }

  it('serves, and keeps what it acknowledged through a stop and a kill', async () => {
    const signer = chain.signer(4);
    const pool = new PoolClient(manifest.pool, signer);
    const told = seedFileKeys(seed, 31337n, operatorId).era(1n).encryptionKey.publicKey;
    const expiry = (await chain.now()) + 2n * DAY_SECONDS;
    const maker = new OutputMaker(NATIVE_ASSET);
    const lock = { operatorId, expiry };
    const where = { keys: key().keys, index: 0, lock, operatorKey: told };
    const note = maker.locked(10_000n, where, trader.viewing.agreement.publicKey);
    await pool.send(pool.depositCall(NATIVE_ASSET, 10_000n, stealthOf(note), maker.ciphertext()));

    const first = await serve();
    const { markets } = jsonOf<{ markets: object[] }>(await send(first.url, { method: 'GET', path: `${API}/markets` }));
    const [terms] = markets.map(decodeMarket);
    assert(terms !== undefined);
    assert.deepEqual([terms.base, terms.quote, terms.lotBase, terms.takerFee], [NATIVE_ASSET, TOKEN, 10n, 20]);
    const destination = {
      operatorId,
      expiry: expiry - DAY_SECONDS - 7_200n,
      payTo: key().keys.owner,
      relockExpiry: 0n,
    };
    const order = (price: number) => ({
      ...signOrder(key(), limitOf(terms, 'sell', price, 10), destination),
      ...({ clientOrderId: `order-${price}`, market: 1, side: 'sell', type: 'limit', price, lots: 10 } as const),
      ...({ timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const),
    });
    const placed = await (await open(first.url)).place(order(20));
    assert.equal(placed.status, 201, placed.text);
    first.child.kill('SIGTERM');
    // By npm, which the same signal has reached.
    first.child.kill('SIGTERM');
    assert.deepEqual(await first.ended, [0, null], first.lines.join('\n'));

    const second = await serve();
    const session = await open(second.url);
    assert.equal((await session.place(order(21))).status, 201);
    second.child.kill('SIGKILL');
    assert.deepEqual(await second.ended, [null, 'SIGKILL']);

    const third = await serve();
    const { orders } = jsonOf<{ orders: { id: number; price: number }[] }>(
      await (await open(third.url)).call('GET', '/orders'),
    );
    assert.deepEqual(
      orders.map(({ id, price }) => [id, price]),
      [
        [1, 20],
        [2, 21],
      ],
    );
    third.child.kill('SIGINT');
    assert.deepEqual(await third.ended, [0, null]);
    const told_ = [first, second, third].flatMap(({ lines }) => lines).join('\n');
    const { owner, nullifierKey } = key().keys;
    for (const secret of [owner, nullifierKey].flatMap((number) => [number.toString(), number.toString(16)])) {
      assert(!told_.includes(secret));
    }
    assert.doesNotMatch(told_, /order-2|10000|mac/);
    for (const line of told_.split('\n')) assert.equal(typeof JSON.parse(line), 'object');
  });

  it('explains itself', () => {
    for (const name of Object.keys(environment)) assert(HELP.includes(name), name);
  });

  it('does not start with other keys than the registry has, and says no secret', async () => {
    const other = random(32);
    const child = start({
      BITCLOAK_ENCLAVE_SEED_FILE: file('other', other),
      BITCLOAK_ENCLAVE_DIRECTORY: join(directory, 'none'),
    });
    let output = '';
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    assert.deepEqual(await once(child, 'exit'), [10, null]);
    assert.match(output, /^ERA_INACTIVE: .*\n$/);
    assert(!output.includes(hexOf(other)));
  });

  describe('reads its settings strictly:', () => {
    const json = (name: string, value: unknown) => file(name, JSON.stringify(value));
    const wrong: [string, string, () => string][] = [
      ['MANIFEST', 'NETWORK_UNKNOWN', () => 'nowhere.json'],
      ['DIRECTORY', 'USAGE', () => ''],
      ['OPERATOR', 'USAGE', () => '0'],
      ['OPERATOR', 'USAGE', () => '1.5'],
      ['MARKETS', 'USAGE', () => 'nowhere.json'],
      ['MARKETS', 'USAGE', () => file('no.json', '{')],
      ['MARKETS', 'USAGE', () => json('unknown.json', [{ ...market, unknown: 1 }])],
      ['MARKETS', 'USAGE', () => json('lacking.json', [{ ...market, lotBase: undefined }])],
      ['MARKETS', 'USAGE', () => json('number.json', [{ ...market, lotBase: 10 }])],
      ['MARKETS', 'USAGE', () => json('asset.json', [{ ...market, base: 'BTC' }])],
      ['MARKETS', 'USAGE', () => json('url.json', [{ ...market, reference: 'file:///etc/passwd' }])],
      ['RULES', 'USAGE', () => json('rules2.json', { settleSeconds: 1 })],
      ['RULES', 'USAGE', () => json('rules3.json', { ...rules, ordersMax: 33 })],
      ['TREASURY', 'USAGE', () => 'cloak1nobody'],
      ['GAS_KEY_FILE', 'USAGE', () => file('gas2', gasKey, 0o644)],
      ['GAS_KEY_FILE', 'USAGE', () => file('gas3', 'secret words')],
      ['TEE', 'USAGE', () => 'sgx'],
      ['TEE', 'USAGE', () => 'dstack:'],
      ['SEED_FILE', 'USAGE', () => ''],
      ['CADENCE', 'USAGE', () => 'often'],
      ['CADENCE', 'USAGE', () => 'interval:0'],
      ['FILLS', 'USAGE', () => '17'],
      ['FILLS', 'USAGE', () => '1'],
      ['PORT', 'USAGE', () => '65536'],
      ['PROVERS', 'USAGE', () => '0'],
    ];
    for (const [name, code, value] of wrong) {
      it(`${name}, ${String(value).slice(6, 60)}`, () => {
        const changed: Record<string, string | undefined> = { ...environment };
        changed[`BITCLOAK_ENCLAVE_${name}`] = value() === '' ? undefined : value();
        assert.throws(
          () => readSettings(changed),
          (error: Error & { code?: string }) => {
            assert.equal(error.code, code, error.message);
            if (code === 'USAGE') assert.match(error.message, new RegExp(`^BITCLOAK_ENCLAVE_${name}: expected `));
            assert(!error.message.includes('secret') && !error.message.includes(gasKey.slice(2, 20)));
            return true;
          },
        );
      });
    }

    it('and takes those that the documents show', () => {
      const document = readFileSync(fileURLToPath(new URL('../../docs/operating.md', import.meta.url)), 'utf8');
      const text = document.replaceAll('DUSD', 'TEST');
      const [shownMarkets = '', shownRules = ''] = [...text.matchAll(/```json\n([^]*?)```/g)].map(([, block]) => block);
      const shown = { BITCLOAK_ENCLAVE_MARKETS: file('shown1.json', shownMarkets.replace('https://…', 'https://a.b')) };
      const BITCLOAK_ENCLAVE_RULES = file('shown2.json', shownRules);
      const settings = readSettings({ ...environment, ...shown, BITCLOAK_ENCLAVE_RULES });
      assert.equal(settings.markets[0]?.terms.lotBase, 10n ** 15n);
      const { settleSeconds, roundSeconds, ordersMax } = settings.rules;
      assert.ok(roundSeconds >= Number(/CADENCE=interval:(\d+)/.exec(text)?.[1]), 'a settlement comes every round');
      assert.ok(ordersMax <= (70 * 60 - 30 * 60) / roundSeconds && settleSeconds <= 70 * 60, 'as is advised');
    });

    it('and knows where keys can be from', () => {
      const { BITCLOAK_ENCLAVE_SEED_FILE: _none, ...others } = environment;
      const of = (tee: string) => readSettings({ ...others, BITCLOAK_ENCLAVE_TEE: tee }).keySource;
      assert.deepEqual(of('dstack'), { kind: 'dstack', socket: '/var/run/dstack.sock' });
      assert.deepEqual(of('dstack:/run/a:b.sock'), { kind: 'dstack', socket: '/run/a:b.sock' });
      assert.deepEqual(of('tsm'), { kind: 'tsm' });
      assert.throws(() => of('file'), /SEED_FILE/);
      assert.throws(() => readSettings({ ...environment, BITCLOAK_ENCLAVE_TEE: 'tsm' }), /SEED_FILE/);
    });

    it('and takes JSON and the gas key in place of their files', () => {
      const { BITCLOAK_ENCLAVE_GAS_KEY_FILE: _file, ...others } = environment;
      const inline = Object.fromEntries(
        ['MANIFEST', 'MARKETS', 'RULES'].map((name) => {
          const variable = `BITCLOAK_ENCLAVE_${name}`;
          return [variable, readFileSync(environment[variable] ?? '', 'utf8')];
        }),
      );
      const given = { ...others, ...inline, [GAS_KEY_VARIABLE]: gasKey };
      assert.deepEqual(readSettings(given), readSettings(environment));
      const refuses = (changes: Record<string, string>, code: string, message: RegExp) => {
        assert.throws(() => readSettings({ ...given, ...changes }), { code, message });
      };
      refuses({ BITCLOAK_ENCLAVE_MANIFEST: '{"name":"x"' }, 'NETWORK_UNKNOWN', /^BITCLOAK_ENCLAVE_MANIFEST: /);
      refuses({ BITCLOAK_ENCLAVE_MARKETS: '[{}]' }, 'USAGE', /^BITCLOAK_ENCLAVE_MARKETS: /);
      refuses(
        { [GAS_KEY_VARIABLE]: gasKey.slice(0, -1) },
        'USAGE',
        /^BITCLOAK_ENCLAVE_GAS_KEY: expected a private key/,
      );
      refuses({ BITCLOAK_ENCLAVE_GAS_KEY_FILE: 'gas' }, 'USAGE', /^BITCLOAK_ENCLAVE_GAS_KEY_FILE: expected none/);
    });

    it('and understands the right ones', () => {
      const reference = 'https://prices.example/eth';
      const settings = readSettings({
        ...environment,
        BITCLOAK_ENCLAVE_MARKETS: json('reference.json', [{ ...market, reference }]),
        BITCLOAK_ENCLAVE_CADENCE: 'interval:60',
        BITCLOAK_ENCLAVE_CLOCK_SKEW_SECONDS: '30',
        BITCLOAK_ENCLAVE_ENDPOINT: 'http://127.0.0.1:1',
        BITCLOAK_ENCLAVE_OWNER_PER_SECOND: '7',
        BITCLOAK_ENCLAVE_TRUSTED_PROXIES: '10.0.0.1,10.0.0.2',
      });
      assert.deepEqual(settings.markets[0]?.reference, { url: reference, baseDecimals: 18, quoteDecimals: 6 });
      assert.equal(settings.evidenceSeconds, 6 * 86_400, 'a day less than attestors sign for');
      assert.equal(settings.limits.connectionsPerAddress, 256);
      assert.deepEqual(settings.cadence, { kind: 'interval', seconds: 60 });
      assert.equal(settings.clockSkewSecondsMax, 30);
      assert.equal(settings.manifest.endpoint, 'http://127.0.0.1:1');
      assert.deepEqual(settings.limits.owner, { perSecond: 7, burst: 14 });
      assert.deepEqual(settings.trustedProxies, ['10.0.0.1', '10.0.0.2']);
      assert.deepEqual(settings.rules.withdrawalFees, [[NATIVE_ASSET, 3n]]);
      assert.deepEqual(settings.rules.noteMins, [[NATIVE_ASSET, 5n]]);
      assert.deepEqual(settings.treasury, addressOf(treasury));
      assert.equal(settings.gasKey, gasKey);
    });
  });

  describe('has its keys from a file', () => {
    it('that is its owner’s alone, of 32 bytes, and on development chains only', () => {
      const refuses = (path: string, chainId: bigint, code: string) => {
        assert.throws(() => seedFileKeys(path, chainId, 1n), { code });
      };
      refuses(seed, 1n, 'DEVELOPMENT_ONLY');
      refuses(file('group', random(32), 0o640), 31337n, 'USAGE');
      refuses(file('short', random(31)), 31337n, 'USAGE');
      refuses(file('long', random(33)), 31337n, 'USAGE');
      refuses(join(directory, 'nowhere'), 31337n, 'USAGE');
    });

    it('each for its era and operator, and the same at every start', () => {
      const all = [1n, 2n].flatMap((operator) => {
        const keys = seedFileKeys(seed, 31337n, operator);
        const eras = [1n, 2n].flatMap((number) => {
          const { encryptionKey, apiKey, signer } = keys.era(number);
          return [hexOf(encryptionKey.publicKey), hexOf(apiKey.publicKey), signer.publicKey];
        });
        return [hexOf(keys.journalKey), ...eras];
      });
      assert.equal(new Set(all).size, all.length);
      const again = seedFileKeys(seed, 31337n, 2n);
      assert.deepEqual(all.slice(-3)[1], hexOf(again.era(2n).apiKey.publicKey));
    });
  });
});

describe('an enclave that starts', function () {
  this.timeout(60_000);
  const prover = new DoubledProver();
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  const settling: Partial<EnclaveSettings> = {
    prover,
    cadence: { kind: 'count', matches: 1, secondsMax: 60 },
    pollMs: 20,
  };
  before(async () => {
    bench = await ApiBench.open('enclave start', settling, prover);
    alice = await bench.trader(100_000n, 0n);
    bob = await bench.trader(0n, 100_000n);
    await bench.desk.bench.insertAll(prover);
  });
  after(() => bench.close());
  const refused = (changes: Partial<EnclaveSettings>, code: string, message: RegExp) =>
    assert.rejects(startEnclave({ ...bench.settings, ...settling, ...changes }), { code, message });
  const market = () => bench.settings.markets[0] as EnclaveSettings['markets'][number];

  it('takes new rules and new markets, and no other terms for one that is', async () => {
    await bench.enclave.close();
    const { terms, rules } = market();
    const changed = [
      { terms: { ...terms, takerFee: 21 }, rules },
      { terms: { ...terms, pair: 'ETH-OTHER' }, rules },
      { terms, rules: { ...rules, lotsMin: 2 } },
    ];
    for (const one of changed) await refused({ markets: [one] }, 'USAGE', /^market ETH-(TEST|OTHER): its terms/);
    const wrong = [
      { terms: { ...terms, market: 2 }, rules },
      { terms: { ...terms, market: 2, pair: 'eth' }, rules },
      { terms: { ...terms, market: 2, pair: 'A-B', quote: terms.base }, rules },
      { terms: { ...terms, market: 2, pair: 'A-B', lotBase: 0n }, rules },
      { terms: { ...terms, market: 2, pair: 'A-B', makerFee: 10_000 }, rules },
      { terms: { ...terms, market: 2, pair: 'A-B' }, rules: { ...rules, ticksMax: 0 } },
    ];
    for (const one of wrong) await refused({ markets: [market(), one] }, 'USAGE', /^market /);
    for (const settleSeconds of [3_599, 86_401]) {
      await refused({ rules: { ...bench.settings.rules, settleSeconds } }, 'USAGE', /settleSeconds/);
    }
    const cadence = { kind: 'interval', seconds: 57 } as const;
    const rounds = { ...bench.settings.rules, roundSeconds: 56, ordersMax: 30 };
    await refused({ rules: rounds, cadence }, 'USAGE', /roundSeconds/);
    await refused({ rules: { ...bench.settings.rules, ordersMax: 0 } }, 'USAGE', /rulesInvalid/);
    await bench.start({
      ...settling,
      rules: { ...bench.settings.rules, settleSeconds: 7_200 },
      markets: [market(), { terms: { ...terms, market: 2, pair: 'ETH-OTHER' }, rules }],
    });
    const { state } = bench.enclave.machine;
    assert.equal(state.rules.settleSeconds, 7_200);
    assert.deepEqual(
      state.markets().map(({ terms: { pair } }) => pair),
      ['ETH-TEST', 'ETH-OTHER'],
    );
    const head = bench.enclave.machine.headBytes;
    await bench.restart({ ...settling, rules: state.rules });
    assert.deepEqual(bench.enclave.machine.state.markets().length, 2, 'a market stays that is not named any more');
    assert(bench.enclave.machine.hasHead(head));
  });

  it('waits for an endpoint that is behind what it has seen', async () => {
    const { chain } = bench.desk.bench;
    const height = await chain.provider.getBlockNumber();
    assert.equal(bench.enclave.machine.state.time, (await chain.provider.getBlock(height))?.timestamp);
    await bench.enclave.close();
    let host = standingAt(height - 1);
    const signer = await hostedAccount(chain, (call, ask) => host(call, ask));
    const codes: unknown[] = [];
    const starting = bench.start({
      ...settling,
      chain: { ...bench.settings.chain, provider: signer.provider, signer },
      report: (report) => codes.push(report.kind === 'failed' ? report.code : report.kind),
    });
    while (codes.length < 3) await new Promise((done) => setTimeout(done, 5));
    host = honest;
    await starting;
    const failures = codes.filter((code) => code === 'ENDPOINT_INCONSISTENT').length;
    assert(failures >= 3);
    assert.deepEqual(codes.slice(failures), ['listening']);
    await bench.restart(settling);
  });

  it('does not listen where somebody else does, and leaves the journal free', async () => {
    const { port } = new URL(bench.url);
    const elsewhere = join(bench.directory, 'elsewhere');
    const api = { ...bench.settings.api, port: Number(port) };
    await refused({ api, directory: elsewhere }, 'USAGE', /EADDRINUSE/);
    await refused({ api, directory: elsewhere }, 'USAGE', /EADDRINUSE/);
  });

  it('finds what settlements anchored, whatever it has forgotten, and refuses an older journal', async () => {
    const journal = join(bench.directory, 'journal');
    const old = join(bench.directory, 'old');
    // Snapshots come quickly, each letting the journal forget.
    await bench.restart({ ...settling, snapshotCommands: 3 });
    const trade = async () => {
      const before = Number(await bench.desk.bench.client.lastSequence(1));
      const [ofAlice, ofBob] = [await bench.session(alice), await bench.session(bob)];
      assert.equal((await ofAlice.place(await bench.order(alice, 'sell', 20, 5))).status, 201);
      assert.equal((await ofBob.place(await bench.order(bob, 'buy', 20, 5))).status, 201);
      const deadline = Date.now() + 20_000;
      while (Number(await bench.desk.bench.client.lastSequence(1)) === before || bench.enclave.machine.state.batch) {
        if (Date.now() > deadline) throw new Error('it does not settle');
        await new Promise((done) => setTimeout(done, 20));
      }
    };
    const forget = async () => {
      const session = await bench.session(alice);
      for (let count = 0; count < 12; count++) {
        await session.call('DELETE', '/orders');
        await new Promise((done) => setTimeout(done, 25));
      }
    };
    await forget();
    await bench.enclave.close();
    cpSync(journal, old, { recursive: true });
    const { chain } = bench.desk.bench;
    const height = await chain.provider.getBlockNumber();
    await bench.start({ ...settling, snapshotCommands: 3 });
    await trade();
    await forget();
    await bench.restart({ ...settling, snapshotCommands: 3 });
    await forget();
    assert(bench.enclave.machine.sinceSnapshot < 6, 'snapshots do not wait for a settlement');
    await bench.restart({ ...settling, snapshotCommands: 3 });
    await bench.desk.bench.insertAll(prover);
    await trade();
    await bench.restart({ ...settling, snapshotCommands: 3 });
    const kept = bench.enclave.machine.state.records.fills(alice.key.keys.owner);
    assert.deepEqual(
      kept.map(({ status }) => status),
      ['settled', 'settled'],
    );
    await bench.enclave.close();

    const newest = join(bench.directory, 'newest');
    renameSync(journal, newest);
    cpSync(old, journal, { recursive: true });
    await refused({}, 'JOURNAL_ROLLED_BACK', /older than the operator's newest settlement/);
    await refused({}, 'JOURNAL_ROLLED_BACK', /older than/);
    // Behind an older chain, which its host shows until the enclave waits for more.
    let host = standingAt(height - 1);
    const signer = await hostedAccount(chain, (call, ask) => host(call, ask));
    const report = () => (host = honest);
    const older = { ...bench.settings.chain, provider: signer.provider, signer };
    await refused({ chain: older, report }, 'JOURNAL_ROLLED_BACK', /older than/);
    assert.equal(host, honest, 'it waited');
    rmSync(journal, { recursive: true });
    // Who has lost everything begins anew, with what the chain says.
    await bench.start({ ...settling });
    assert.equal(bench.enclave.machine.state.available(alice.key.keys.owner, NATIVE_ASSET), 100_000n - 100n);
    const session = await bench.session(alice);
    const kind = 'the new journal is kept, though the settlements name records of the old one';
    assert.equal((await session.place(await bench.order(alice, 'sell', 20, 5))).status, 201);
    for (let time = 0; time < 2; time++) await bench.restart({ ...settling, snapshotCommands: 1 });
    const orders = bench.enclave.machine.state.records.orders(alice.key.keys.owner);
    assert.deepEqual(
      orders.map(({ status }) => status),
      ['open'],
      kind,
    );
    await bench.enclave.close();
    rmSync(journal, { recursive: true });
    renameSync(newest, journal);
    await bench.start(settling);
  });
});
