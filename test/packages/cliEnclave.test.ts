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
import { openAccount, placeOrder, type OrderOptions } from '@bitcloak/cli/commands/trade';
import { showTradingBalances } from '@bitcloak/cli/commands/tradeViews';
import { deposit, lock, merge, reclaim, withdraw } from '@bitcloak/cli/commands/transfers';
import { Context } from '@bitcloak/cli/context';
import type { Result } from '@bitcloak/cli/output';
import { sendCall } from '@bitcloak/chain/pool';
import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { ERROR_EXIT_CODES, type BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { bindingOf } from '@bitcloak/trading/enclaveCheck';
import { API, type OperatorInfo, type WireNewOrder } from '@bitcloak/trading/wire';
import { takeLock } from '@bitcloak/wallet/files';
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
import { FakeEnclave, HEAD, plain, recordOf, TOKENS } from '../support/fakeEnclave.ts';

const DAY_SECONDS = 86_400n;
const OPERATOR = 1;
const PHRASE = 'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about';
const PASSPHRASE = { passphrase: 'correct horse' };
/** The public account of that phrase. */
const ACCOUNT = '0x9858EfFD232B4033E47d90003D41EC34EcaEda94';
const ETH = 10n ** 18n;

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

  it('says in one line of what is no enclave that it is none', async () => {
    // Says `ok` to everything, as many servers do.
    enclave.tamper = () => ({ status: 200, bytes: Buffer.from('{"ok":true}') });
    const { status, json } = await lookJson();
    const { code, message } = json['error'] as { code: ErrorCode; message: string };
    assert.deepEqual([code, status], ['ENCLAVE_MISSING', ERROR_EXIT_CODES.ENCLAVE_MISSING]);
    assert.match(message, /^http:\S+: that is no enclave/);
    assert.deepEqual(Object.keys(json), ['error']);
    enclave.tamper = () => ({ status: 404, bytes: Buffer.from('<h1>Not found</h1>') });
    const { stdout, stderr } = await look();
    assert.equal(stdout, '');
    assert.match(stderr, /^ENCLAVE_MISSING: [^\n]*\n$/);
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

    it('warn of what the chain shows before it pays, and name what does not show it', async () => {
      await sendCall(chain.signer(), { to: ACCOUNT, data: '0x', value: 5n * ETH });
      const open = [...trade().slice(2), 'trade', 'open', '2', 'ETH'];
      const refused = await runCli(open, PASSPHRASE);
      assert.equal(refused.status, 2);
      assert.match(refused.stderr, /USAGE: no terminal to ask "Deposit 2 ETH openly\?": use --yes/);
      const { status, stderr, stdout } = await runCli([...open, '--yes'], PASSPHRASE);
      assert.equal(status, 0, stderr);
      assert.match(stderr, new RegExp(`WARNING: paid by your public account ${ACCOUNT}. .*2 ETH.* --from-notes\n`));
      assert.match(stdout, /^Opened with 2 ETH, locked to operator .* \(7 d of block time left/);
    });

    describe('and sign', () => {
      const PASSPHRASE_FILE = 'passphrase.txt';
      /** What a command ends with, run here. */
      async function ran(work: (context: Context) => Promise<Result>): Promise<Result> {
        const context = new Context({
          wallet: join(directory, 'wallet'),
          network: join(directory, 'manifest.json'),
          passphraseFile: join(directory, PASSPHRASE_FILE),
          quiet: true,
        });
        try {
          return await work(context);
        } finally {
          await context.close();
        }
      }
      const refused = (code: ErrorCode, message: RegExp, work: (context: Context) => Promise<Result>) =>
        assert.rejects(ran(work), (error: BitcloakError) => {
          assert.match(error.message, message);
          return error.code === code;
        });
      const answer = (call: string, json: unknown, status = 200) => {
        enclave.replies.set(call, () => ({ status, json }));
      };
      const balance = (changes: object) => ({
        ...{ asset: NATIVE_ASSET, total: 4n * ETH, available: ETH, held: 3n * ETH, waiting: 0n },
        ...changes,
      });
      const withdrawal = (id: number, amount: bigint, status: string) => ({
        ...{ id, clientOrderId: `w${id}`, asset: NATIVE_ASSET, amount, fee: 0n, time: 1, status },
        settlement: status === 'settled' ? 1 : 0,
      });
      const sell = (options: Partial<OrderOptions>) => (context: Context) =>
        placeOrder(context, 'sell', '2', 'ETH-DUSD', { price: '2000', ...options });

      before(() => write(PASSPHRASE_FILE, PASSPHRASE.passphrase));
      afterEach(() => enclave.replies.clear());

      it('say what a withdrawal holds, and until when locks let notes be traded', async () => {
        await sendCall(chain.signer(), { to: ACCOUNT, data: '0x', value: 5n * ETH });
        const operator = info.operatorId.toString();
        await ran((context) => deposit(context, '2', 'ETH', { operator, for: '3h' }));
        const opened = await chain.now();
        answer(`GET ${API}/balances`, { balances: [balance({})] });
        answer(`GET ${API}/withdrawals`, {
          withdrawals: [withdrawal(1, ETH, 'settled'), withdrawal(2, ETH / 2n, 'waiting')],
        });
        const first = await ran((context) => showTradingBalances(context, {}));
        assert.match(first.text, /^ +total +available +held +withdrawing +waiting\nETH +4 +1 +2\.5 +0\.5 +0\n/);
        assert.match(
          first.text,
          /\n2 ETH: its lock ends .* UTC, in 2 h 5\d min; new orders use it for 2 h 3\d min more$/,
        );
        for (const [seconds, words] of [
          [10_000n, /\n2 ETH: its lock ends .*, in 1\d min.*, too soon for new orders$/],
          [10_900n, /\n2 ETH: its lock has ended, so it is not traded any more\. Take it home: .*reclaim$/],
        ] as const) {
          await chain.setTime(opened + seconds);
          const { text } = await ran((context) => showTradingBalances(context, {}));
          assert.match(text, words);
        }
        const early = await ran((context) => reclaim(context, 'ETH', {}));
        assert.match(early.text, /^Nothing can be taken home yet\.\n2 ETH locked to .*reclaim from/);
        const release = takeLock(join(directory, 'wallet', 'lock'));
        try {
          const { json } = await ran((context) => showTradingBalances(context, {}));
          assert.equal((json as { locks: unknown }).locks, null, 'a bot that runs does not keep anybody from looking');
          await refused('WALLET_BUSY', new RegExp(`^process ${process.pid} is using this wallet`), sell({}));
        } finally {
          release();
        }
      });

      it('say what is needed and what is there where an order is refused for its amount', async () => {
        const refuse = (reason: string) =>
          answer(`POST ${API}/orders`, { code: 'ORDER_REFUSED', message: 'no', reason }, 422);
        answer(`GET ${API}/balances`, { balances: [balance({})] });
        refuse('fundsInsufficient');
        const there = '1 ETH available, 3 ETH held, 4 ETH in all';
        await refused('ORDER_REFUSED', new RegExp(`needed, fees included: 2 ETH; there: ${there}$`), sell({}));
        await refused('ORDER_REFUSED', /needed, fees included: 4004 DUSD; there: 0 DUSD available, /, (context) =>
          placeOrder(context, 'buy', '2', 'ETH-DUSD', { price: '2000' }),
        );
        refuse('relockInvalid');
        await refused('ORDER_REFUSED', /it takes locks of at most 10 d from now$/, sell({}));
        enclave.replies.delete(`GET ${API}/balances`);
        refuse('fundsInsufficient');
        await refused('ORDER_REFUSED', /no \(fundsInsufficient\)$/, sell({}));
      });

      it('sign nothing that would live for longer than the operator takes on', async () => {
        enclave.takeOrders();
        await refused('USAGE', /^--expires: .* at most 23 h 50 min, got 1 d$/, sell({ expires: '1d' }));
        assert.ok(enclave.asked.every(({ path }) => path !== `${API}/orders`));
      });

      it('say that nothing came of an order that is cancelled at once', async () => {
        enclave.replies.set(`POST ${API}/orders`, (body) => {
          const record = recordOf(JSON.parse(body) as WireNewOrder, 7);
          const order = { ...record, timeInForce: 'ioc', open: 0, status: 'cancelled', reason: 'immediate' };
          return { status: 201, json: { order, fills: [], head: HEAD } };
        });
        const { error, json } = await ran(sell({ tif: 'ioc', selfTrade: 'cancel-both' }));
        assert.equal(error?.code, 'ORDER_CANCELLED');
        assert.match(error.message, /^order 7 was cancelled at once, .*nothing to trade with/);
        assert.equal((json as { error: { code: string } }).error.code, 'ORDER_CANCELLED');
        const { body } = enclave.asked.at(-1) as { body: string };
        assert.equal((JSON.parse(body) as WireNewOrder).selfTrade, 'cancelBoth');
      });

      it('look at what there is before anybody is asked to agree', async () => {
        const there = new RegExp(`^needed: 9 ETH; the public account ${ACCOUNT} has 0 ETH$`);
        await refused('BALANCE_INSUFFICIENT', there, (context) => deposit(context, '9', 'ETH', {}));
        await refused('BALANCE_INSUFFICIENT', there, (context) => openAccount(context, '9', 'ETH', {}));
        const notes = /^needed: 9 ETH; there: 0 ETH spendable$/;
        await refused('BALANCE_INSUFFICIENT', notes, (context) => withdraw(context, '9', 'ETH', ACCOUNT, {}));
        await refused('BALANCE_INSUFFICIENT', /two spendable notes of ETH .*; there: 0$/, (context) =>
          merge(context, 'ETH', {}),
        );
        const long = { operator: '5', for: '91d' };
        await refused('LOCK_INVALID', /at most 90 days after now .*, got 91 days$/, (context) =>
          lock(context, '9', 'ETH', long),
        );
      });
    });

    it('take the trust of a file before that of the manifest', async () => {
      const { status, json } = await runJson(trade('--trust', join(directory, 'intel.json')), PASSPHRASE);
      assert.equal((json['error'] as { code: string }).code, 'EVIDENCE_UNTRUSTED');
      assert.equal(status, 11);
    });
  });
});
