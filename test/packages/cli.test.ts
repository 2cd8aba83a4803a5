import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { buildProgram } from '@bitcloak/cli/program';
import { ERROR_EXIT_CODES, type ErrorCode } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import {
  canOpenTerminal,
  ended,
  runCli,
  runJson,
  runOnTerminal,
  startCli,
  startStubEndpoint,
  type CliOptions,
} from '../support/cli.ts';
import { simulatedTrust, trustJson } from '../support/enclaveEvidence.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PASSPHRASE = 'correct horse';
const PHRASE = 'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about';
/** m/44'/60'/0'/0/0 of that phrase, as every Ethereum wallet derives it. */
const ACCOUNT = '0x9858EfFD232B4033E47d90003D41EC34EcaEda94';
const SHIELDED = /^cloak1[a-z0-9]{100,}$/;

const GENESIS = `0x${'11'.repeat(32)}`;
const TOKEN = '0x5FbDB2315678afecb367f032d93F642f64180aa3';

function manifestOf(changes: Partial<Manifest> = {}): Manifest {
  return {
    name: 'stub',
    // Nothing listens on port 9: whoever connects although the arguments are wrong fails with another code.
    endpoint: 'http://127.0.0.1:9',
    chainId: 31337n,
    genesisHash: GENESIS,
    pool: 0xabcn,
    registry: 0xdefn,
    startBlock: 1,
    tokens: [
      { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 },
      { symbol: 'TEST', asset: BigInt(TOKEN), decimals: 6 },
    ],
    relayer: undefined,
    ...changes,
  };
}

/** A block as an endpoint tells it. */
function block(number: string, hash: string): object {
  const zero = `0x${'0'.repeat(64)}`;
  return {
    number,
    hash,
    parentHash: zero,
    timestamp: '0x6a000000',
    nonce: '0x0000000000000000',
    difficulty: '0x0',
    gasLimit: '0x1c9c380',
    gasUsed: '0x0',
    miner: `0x${'0'.repeat(40)}`,
    extraData: '0x',
    baseFeePerGas: '0x0',
    transactions: [],
  };
}

describe('cli', function () {
  let directory: string;
  let wallet: string;
  let manifest: string;
  const servers: Server[] = [];

  const place = (name: string) => join(directory, name);
  const withPassphrase: CliOptions = { passphrase: PASSPHRASE };

  function writeManifest(name: string, changes: Partial<Manifest> = {}): string {
    writeFileSync(place(name), formatManifest(manifestOf(changes)));
    return place(name);
  }

  async function endpointFor(answers: Parameters<typeof startStubEndpoint>[0]): Promise<string> {
    const { server, url } = await startStubEndpoint(answers);
    servers.push(server);
    return url;
  }

  /** Checks that a command fails with a code, its exit status, and a message in JSON. */
  async function failsWith(
    code: string,
    args: readonly string[],
    options: CliOptions = withPassphrase,
  ): Promise<string> {
    const { json, status } = await runJson(args, options);
    const error = json['error'] as { code: string; message: string };
    assert.equal(error.code, code, error.message);
    assert.equal(status, code in ERROR_EXIT_CODES ? ERROR_EXIT_CODES[code as ErrorCode] : 1);
    assert.deepEqual(Object.keys(json), ['error']);
    return error.message;
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-cli-'));
    wallet = place('wallet');
    manifest = writeManifest('manifest.json');
    writeFileSync(place('trust.json'), JSON.stringify(trustJson(simulatedTrust())));
    writeFileSync(place('no-json.txt'), 'intel');
    const { status } = await runJson(['wallet', 'restore', '--wallet', wallet], { ...withPassphrase, input: PHRASE });
    assert.equal(status, 0);
  });

  after(() => {
    for (const server of servers) server.closeAllConnections();
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true });
  });

  describe('help', () => {
    const commands = [
      ...['new', 'restore', 'watch', 'address', 'account', 'balance', 'history', 'notes', 'export-viewing-key'].map(
        (name) => ['wallet', name],
      ),
      ...['faucet', 'deposit', 'send', 'withdraw', 'lock', 'reclaim', 'merge', 'sync', 'keeper', 'relayer-info'].map(
        (name) => [name],
      ),
      ...[
        'open',
        'withdraw',
        'order',
        'amend',
        'cancel',
        'markets',
        'orders',
        'fills',
        'withdrawals',
        'balances',
        'watch',
        'verify',
      ].map((name) => ['trade', name]),
      ['enclave', 'verify'],
      ...['new', 'register', 'revoke', 'invalidate'].map((name) => ['operator', name]),
    ];

    it('is looked at for every command that there is', () => {
      const below = ({ commands: parts }: ReturnType<typeof buildProgram>, words: readonly string[]): string[][] =>
        parts.length === 0 ? [[...words]] : parts.flatMap((part) => below(part, [...words, part.name()]));
      const program = buildProgram(
        '0',
        {},
        async () => undefined,
        async () => undefined,
      );
      // An attestor is a service, which has its words from the environment: attestor.test.ts looks at its help.
      assert.deepEqual(below(program, []).sort(), [...commands, ['attestor']].sort());
    });

    it('names every command', async () => {
      const { status, stdout } = await runCli(['--help']);
      assert.equal(status, 0);
      for (const [name = ''] of commands) assert.match(stdout, new RegExp(`^  ${name}\\b`, 'm'));
    });

    for (const command of commands) {
      it(`has examples for ${command.join(' ')}`, async () => {
        const { status, stdout, stderr } = await runCli([...command, '--help']);
        assert.equal(status, 0);
        assert.equal(stderr, '');
        assert.match(stdout, new RegExp(`Examples:\n  \\$ bitcloak ${command.join(' ')}\\b`));
        assert.match(stdout, /--passphrase-file/);
      });
    }

    it('names every exit code that there is, as the README does', async () => {
      const { stdout } = await runCli(['--help']);
      const codes = new Set<number>(Object.values(ERROR_EXIT_CODES));
      const named = (text: string) =>
        [...(/Exit codes: ([^.]*)\./.exec(text)?.[1] ?? '').matchAll(/(\d+) [a-z]/g)].map(([, code]) => Number(code));
      assert.deepEqual(new Set(named(stdout)), new Set([0, 1, ...codes, 130]));
      assert.deepEqual(new Set(named(readFileSync(join(ROOT, 'README.md'), 'utf8'))), codes);
    });

    it('shows the command as it is typed through npm', async () => {
      const { stdout } = await runCli(['sync', '--help'], { env: { npm_lifecycle_event: 'bitcloak' } });
      assert.match(stdout, /\$ npm run bitcloak -- sync/);
    });
  });

  describe('what is typed wrongly', () => {
    for (const args of [
      [],
      ['wallet'],
      ['transfer'],
      ['deposit'],
      ['deposit', '1', 'ETH', 'more'],
      ['sync', '--fast'],
      ['send', '1', 'ETH', 'cloak1x', '--direct', '--relayer'],
      ['send', '1', 'ETH', 'cloak1x', '--direct', '--fee-max', '1'],
      ['lock', '1', 'ETH', '--operator', '1', '--until', '2027-01-01', '--for', '1d'],
      ['trade'],
      ['trade', 'order', 'sell', '1', 'ETH-TEST'],
      ['trade', 'order', 'hold', '1', 'ETH-TEST', '--price', '1'],
      ['trade', 'order', 'sell', '1', 'ETH-TEST', '--price', '1', '--pegged', '--type', 'market'],
      ['trade', 'order', 'sell', '1', 'ETH-TEST', '--price', '1', '--tif', 'day'],
      ['trade', 'order', 'sell', '1', 'ETH-TEST', '--price', '1', '--relock', '--pay-to', 'main'],
      ['trade', 'cancel', '--all', '--pair', 'ETH-TEST', '--on-chain'],
    ]) {
      it(`is a usage error: ${args.join(' ') || '(nothing)'}`, async () => {
        await failsWith('USAGE', args);
      });
    }

    it('is explained on stderr alone without --json', async () => {
      const { status, stdout, stderr } = await runCli(['deposit']);
      assert.equal(status, 2);
      assert.equal(stdout, '');
      assert.equal(
        stderr,
        "USAGE: missing required argument 'amount'\nbitcloak deposit --help shows what can be typed.\n",
      );
    });

    it('is explained by the help of the very command', async () => {
      for (const [command, ...args] of [
        ['bitcloak', 'transfer'],
        ['bitcloak trade', 'trade', 'ordr'],
        ['bitcloak trade order', 'trade', 'order', 'sell', '1', 'ETH-TEST'],
        ['bitcloak keeper', 'keeper', '--close-after', 'soon'],
      ]) {
        const { stderr } = await runCli(args);
        assert.equal(stderr.trimEnd().split('\n').at(-1), `${command} --help shows what can be typed.`);
      }
    });

    it('does not repeat a recovery phrase or a passphrase', async () => {
      for (const args of [
        ['wallet', 'restore', ...PHRASE.split(' ')],
        ['sync', '--passphrase=abandon'],
        ['sync', '--passphrase', 'abandon'],
      ]) {
        const { status, stdout, stderr } = await runCli(args);
        assert.equal(status, 2);
        assert.doesNotMatch(stdout + stderr, /abandon/);
      }
    });
  });

  describe('wallet', () => {
    it('is made with a phrase that restores it', async () => {
      const made = await runJson(['wallet', 'new', '--wallet', place('new')], withPassphrase);
      assert.equal(made.status, 0);
      const { recoveryPhrase, address, account } = made.json as Record<string, string>;
      assert.equal(recoveryPhrase?.split(' ').length, 24);
      assert.match(address ?? '', SHIELDED);
      writeFileSync(place('words.txt'), `${recoveryPhrase}\n`);
      const args = ['wallet', 'restore', '--wallet', place('again'), '--phrase-file', place('words.txt')];
      const restored = await runJson(args, withPassphrase);
      assert.equal(restored.json['address'], address);
      assert.equal(restored.json['account'], account);
      assert.ok(!('recoveryPhrase' in restored.json));
    });

    it('shows the phrase neither in a pipe nor in a file', async () => {
      const { status, stdout, stderr } = await runCli(['wallet', 'new', '--wallet', place('piped')], withPassphrase);
      assert.equal(status, 2);
      assert.equal(stdout, '');
      assert.match(stderr, /terminal only/);
      assert.ok(!existsSync(place('piped')));
    });

    it('derives the account that every Ethereum wallet derives', async () => {
      const { stdout } = await runCli(['wallet', 'address', '--wallet', wallet], withPassphrase);
      assert.match(stdout.trim(), SHIELDED);
      const url = await endpointFor({
        eth_chainId: () => '0x7a69',
        eth_getBlockByNumber: () => block('0x0', GENESIS),
        eth_getBalance: () => '0x1bc16d674ec80000',
        eth_call: () => `0x${(1_500_000).toString(16).padStart(64, '0')}`,
      });
      const args = ['wallet', 'account', '--wallet', wallet, '--network', manifest, '--endpoint', url];
      const { json } = await runJson(args, withPassphrase);
      assert.deepEqual(json, {
        account: ACCOUNT,
        balances: [
          {
            token: { symbol: 'ETH', address: '0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE', decimals: 18 },
            balance: { amount: '2', units: '2000000000000000000' },
          },
          { token: { symbol: 'TEST', address: TOKEN, decimals: 6 }, balance: { amount: '1.5', units: '1500000' } },
        ],
      });
    });

    it('is never overwritten', async () => {
      for (const command of ['new', 'restore', 'watch']) {
        await failsWith('WALLET_EXISTS', ['wallet', command, '--wallet', wallet], { ...withPassphrase, input: PHRASE });
      }
    });

    it('is missing without a question for its passphrase', async () => {
      await failsWith('WALLET_MISSING', ['wallet', 'address', '--wallet', place('nowhere')], {});
      const { stderr } = await runCli(['wallet', 'address', '--wallet', "it's none"], { cwd: directory });
      assert.match(stderr, /^WALLET_MISSING: .*\n/);
      assert.ok(stderr.includes(`bitcloak --wallet 'it'\\''s none' wallet new,`), stderr);
    });

    it('is refused for a wrong phrase or viewing key, which are not repeated', async () => {
      for (const [command, code, input] of [
        ['restore', 'MNEMONIC_INVALID', 'abandon about secret'],
        ['watch', 'VIEWING_KEY_INVALID', 'cloakview1secret'],
      ] as const) {
        const args = ['wallet', command, '--wallet', place('refused')];
        const message = await failsWith(code, args, { ...withPassphrase, input });
        assert.doesNotMatch(message, /secret/);
        assert.ok(!existsSync(place('refused')));
      }
    });

    it('watches with a viewing key, has the same address and cannot spend', async () => {
      const exported = await runCli(['wallet', 'export-viewing-key', '--wallet', wallet], withPassphrase);
      assert.match(exported.stderr, /WARNING/);
      const watching = ['wallet', 'watch', '--wallet', place('watching')];
      const { status, json } = await runJson(watching, { ...withPassphrase, input: exported.stdout });
      assert.equal(status, 0);
      assert.equal(json['account'], null);
      const own = await runCli(['wallet', 'address', '--wallet', wallet], withPassphrase);
      assert.equal(json['address'], own.stdout.trim());
      const atWatching = ['--wallet', place('watching'), '--network', manifest];
      await failsWith('WALLET_WATCH_ONLY', ['withdraw', '1', 'ETH', ACCOUNT, '--direct', ...atWatching]);
      await failsWith('WALLET_WATCH_ONLY', ['deposit', '1', ...atWatching]);
    });
  });

  describe('passphrase', () => {
    const address = () => ['wallet', 'address', '--wallet', wallet];

    it('comes from a file, without its line end', async () => {
      writeFileSync(place('passphrase'), `${PASSPHRASE}\n`);
      const { status } = await runCli([...address(), '--passphrase-file', 'passphrase'], { cwd: directory });
      assert.equal(status, 0);
    });

    it('of a new wallet has eight characters, wherever it comes from', async () => {
      const args = ['wallet', 'restore', '--wallet', place('unmade')];
      writeFileSync(place('short-passphrase'), '7 chars\n');
      const fromFile = ['--passphrase-file', place('short-passphrase')];
      await failsWith('PASSPHRASE_SHORT', [...args, ...fromFile], { input: PHRASE });
      await failsWith('PASSPHRASE_SHORT', args, { passphrase: '7 chars', input: PHRASE });
      assert.ok(!existsSync(place('unmade')));
    });

    it('is told to be missing, empty or wrong', async () => {
      await failsWith('PASSPHRASE_MISSING', address(), {});
      await failsWith('PASSPHRASE_MISSING', address(), { passphrase: '' });
      const message = await failsWith('PASSPHRASE_WRONG', address(), { passphrase: 'incorrect horse' });
      assert.doesNotMatch(message, /horse/);
    });
  });

  describe('arguments', () => {
    // Without a passphrase: all of these are found out before anybody is asked for it.
    const atStub = () => ['--wallet', wallet, '--network', manifest];
    const lock = ['--operator', '0x2a', '--for', '7d'];
    const silent = ['--operator-url', 'http://127.0.0.1:9', '--operator-number', '1'];
    const operator = [...silent, '--trust', 'trust.json'];
    const enclave = ['enclave', 'verify', 'http://127.0.0.1:9'];
    const cases: readonly (readonly [code: string, ...args: string[]])[] = [
      ['AMOUNT_INVALID', 'withdraw', '1e3', 'ETH', ACCOUNT],
      ['AMOUNT_INVALID', 'withdraw', '--direct', '--', '-1', 'ETH', ACCOUNT],
      ['AMOUNT_INVALID', 'deposit', '1.0000001', 'TEST'],
      ['ASSET_INVALID', 'deposit', '1', 'NONE'],
      ['ASSET_INVALID', 'reclaim', 'NONE'],
      ['ADDRESS_INVALID', 'send', '1', 'ETH', ACCOUNT],
      ['ADDRESS_INVALID', 'withdraw', '1', 'ETH', 'cloak1qqqq'],
      ['ADDRESS_INVALID', 'withdraw', '1', 'ETH', ACCOUNT.replace('EfF', 'eFF')],
      ['USAGE', 'lock', '1', 'ETH'],
      ['USAGE', 'lock', '1', 'ETH', '--operator', '1'],
      ['USAGE', 'deposit', '1', 'ETH', '--for', '7d'],
      ['USAGE', 'deposit', '1', 'ETH', '--operator', '1'],
      ['USAGE', 'deposit', '1', 'ETH', '--operator', '1', '--until', '2027-02-30'],
      ['OPERATOR_ID_INVALID', 'deposit', '1', 'ETH', '--operator', `0x${'f'.repeat(64)}`, '--for', '7d'],
      ['OPERATOR_ID_INVALID', 'deposit', '1', 'ETH', ...lock, '--operator-key', 'aa'],
      ['USAGE', 'withdraw', '1', 'ETH', ACCOUNT, '--relayer', 'host'],
      ['USAGE', 'withdraw', '1', 'ETH', ACCOUNT, '--relayer'],
      ['AMOUNT_INVALID', 'merge', 'TEST', '--relayer', 'http://127.0.0.1:9', '--fee-max', '0.0000001'],
      ['USAGE', 'keeper', '--close-after', 'soon'],
      ['USAGE', 'relayer-info', 'localhost:1'],
      ['USAGE', 'trade', 'markets'],
      ['USAGE', 'trade', 'markets', ...operator.slice(2)],
      ['USAGE', 'trade', 'orders', '--operator-number', '0', ...operator.slice(0, 2)],
      ['USAGE', 'trade', 'orders', '--operator-number', '1', '--operator-url', 'host'],
      ['USAGE', 'trade', 'orders', ...silent],
      ['USAGE', 'trade', 'orders', ...silent, '--trust', 'nowhere.json'],
      ['USAGE', 'trade', 'orders', ...silent, '--trust', 'no-json.txt'],
      ['USAGE', 'trade', 'orders', ...silent, '--trust', 'manifest.json'],
      ['USAGE', 'trade', 'open', '1', 'ETH', ...silent],
      ['USAGE', 'trade', 'withdraw', '1', 'ETH', ...silent],
      ['USAGE', 'trade', 'order', 'buy', '1', 'ETH-TEST', '--price', '1', ...silent],
      ['USAGE', 'trade', 'verify', ...silent],
      ['USAGE', 'enclave', 'verify', '--operator-number', '1', '--trust', 'trust.json'],
      ['USAGE', 'enclave', 'verify', 'host', '--operator-number', '1', '--trust', 'trust.json'],
      ['USAGE', ...enclave, '--trust', 'trust.json'],
      ['USAGE', ...enclave, '--operator-number', '1'],
      ['USAGE', ...enclave, '--operator-number', '1', '--trust', 'no-json.txt'],
      ['USAGE', 'trade', 'fills', ...operator, '--index', '2147483648'],
      ['USAGE', 'trade', 'amend', 'x', '--price', '1', ...operator],
      ['USAGE', 'trade', 'amend', '1', ...operator],
      ['USAGE', 'trade', 'cancel', ...operator],
      ['USAGE', 'trade', 'cancel', '1', '--all', ...operator],
      ['USAGE', 'trade', 'cancel', '0', ...operator],
      ['USAGE', 'trade', 'order', 'buy', '1', 'ETH-TEST', '--price', '1', '--expires', 'soon', ...operator],
      ['USAGE', 'trade', 'open', '1', 'ETH', '--for', '1', ...operator],
      ['AMOUNT_INVALID', 'trade', 'open', '0', 'ETH', ...operator],
      ['AMOUNT_INVALID', 'trade', 'withdraw', '1.0000001', 'TEST', ...operator],
      ['ASSET_INVALID', 'trade', 'withdraw', '1', 'NONE', ...operator],
    ];
    for (const [code, ...args] of cases) {
      it(`${args.join(' ')}: ${code}`, async () => {
        const words = args.includes('--') ? [...atStub(), '--json', ...args] : [...args, ...atStub(), '--json'];
        const { status, stdout } = await runCli(words, { cwd: directory });
        assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, code);
        assert.equal(status, ERROR_EXIT_CODES[code as ErrorCode]);
      });
    }

    it('that are right are asked a passphrase for', async () => {
      for (const args of [
        ['deposit', '1.000000000000000001'],
        ['deposit', '0.000001', 'test', ...lock],
        ['withdraw', '1', 'ETH', ACCOUNT.toLowerCase()],
        ['trade', 'cancel', '--all', ...operator],
      ]) {
        await failsWith('PASSPHRASE_MISSING', [...args, ...atStub()], { cwd: directory });
      }
    });

    it('of trading say what to do where nobody says which enclaves to trust', async () => {
      const message = await failsWith('USAGE', ['trade', 'cancel', '--all', ...silent, ...atStub()], {});
      assert.equal(message, 'trust: the manifest does not say which enclaves to trust, so --trust FILE is needed');
    });

    it('know of no way around the check of an enclave', async () => {
      for (const command of ['open', 'order', 'verify']) {
        const { stdout } = await runCli(['trade', command, '--help']);
        assert.match(stdout, /--trust <file>/, command);
        assert.doesNotMatch(stdout, /insecure|skip|--no-|unverified/i, command);
      }
    });
  });

  describe('network', () => {
    const sync = (...options: string[]) => ['sync', '--wallet', wallet, ...options];

    it('is devnet or a manifest file', async () => {
      await failsWith('NETWORK_UNKNOWN', sync('--network', 'mainnet'));
      await failsWith('NETWORK_UNKNOWN', sync('--network', './none.json'), { ...withPassphrase, cwd: directory });
      writeFileSync(place('broken.json'), '{"name":"broken"}');
      await failsWith('NETWORK_UNKNOWN', sync('--network', 'broken.json'), { ...withPassphrase, cwd: directory });
    });

    it('may not answer', async () => {
      await failsWith('ENDPOINT_UNREACHABLE', sync('--network', manifest));
    });

    it('may be another chain', async () => {
      const url = await endpointFor({ eth_chainId: () => '0x1' });
      await failsWith('CHAIN_MISMATCH', sync('--network', manifest, '--endpoint', url));
    });

    it('may have begun anew, which is explained', async () => {
      const url = await endpointFor({
        eth_chainId: () => '0x7a69',
        eth_getBlockByNumber: () => block('0x0', `0x${'22'.repeat(32)}`),
      });
      const message = await failsWith('NETWORK_RESTARTED', sync('--network', manifest, '--endpoint', url));
      assert.match(message, /restarted development chain/);
    });

    it('has a faucet on development chains only', async () => {
      const other = writeManifest('other.json', { chainId: 1n });
      await failsWith('DEVELOPMENT_ONLY', ['faucet', '--wallet', wallet, '--network', other]);
    });
  });

  describe('what goes wrong unforeseen', () => {
    const args = () => ['wallet', 'address', '--wallet', join(manifest, 'below-a-file')];

    it('has a code and no stack', async () => {
      const { status, stdout, stderr } = await runCli(args(), withPassphrase);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /^INTERNAL: ENOTDIR/);
      assert.doesNotMatch(stderr, /^\s+at /m);
      await failsWith('INTERNAL', args());
    });

    it('has a stack where that is asked for', async () => {
      const { stderr } = await runCli(args(), { ...withPassphrase, env: { BITCLOAK_DEBUG: '1' } });
      assert.match(stderr, /^\s+at /m);
    });
  });

  describe('an end before the end', () => {
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      it(`by ${signal} gives the wallet back`, async () => {
        const { promise: asked, resolve } = Promise.withResolvers<undefined>();
        const url = await endpointFor({
          eth_chainId: () => '0x7a69',
          // The first block is told, whatever comes after it is not: the command waits then, with the wallet in its hands.
          eth_getBlockByNumber: ([number]) => {
            if (number !== '0x0') resolve(undefined);
            return number === '0x0' ? block('0x0', GENESIS) : block('0x2', `0x${'33'.repeat(32)}`);
          },
        });
        const args = ['sync', '--wallet', wallet, '--network', manifest, '--endpoint', url, '--json'];
        const child = startCli(args, withPassphrase);
        const end = ended(child);
        await asked;
        assert.ok(readdirSync(wallet).includes('lock'));
        child.kill(signal);
        const run = await end;
        assert.equal(run.status, status);
        assert.equal((JSON.parse(run.stdout) as { error: { code: string } }).error.code, 'INTERRUPTED');
        assert.ok(!readdirSync(wallet).includes('lock'));
      });
    }

    it('of the reader of its output is no error', async () => {
      const child = startCli(['--help']);
      child.stdout?.destroy();
      const { status, stderr } = await ended(child);
      assert.equal(stderr, '');
      assert.equal(status, 0);
    });
  });

  describe('on a terminal', function () {
    before(function () {
      if (!canOpenTerminal()) this.skip();
    });

    it('asks twice for a new passphrase, shows it never and the phrase once', async () => {
      const args = ['wallet', 'new', '--wallet', place('terminal')];
      const { status, shown } = await runOnTerminal(args, [
        ['New passphrase: ', 'open sesamex\x7f\r'],
        ['Again: ', 'wrong\x15open sesame\r'],
      ]);
      assert.equal(status, 0, shown);
      assert.doesNotMatch(shown, /open sesame|wrong/);
      assert.equal([...shown.matchAll(/\b\d{1,2} [a-z]{3,8}\b/g)].length, 24);
      const address = ['wallet', 'address', '--wallet', place('terminal')];
      const opened = await runOnTerminal(address, [['Passphrase: ', 'open sesame\r']]);
      assert.equal(opened.status, 0);
      assert.match(opened.shown, /cloak1/);
    });

    it('refuses two passphrases that differ', async () => {
      const args = ['wallet', 'new', '--wallet', place('differing')];
      const { status, shown } = await runOnTerminal(args, [['New passphrase: ', 'the first\rthe second\r']]);
      assert.equal(status, ERROR_EXIT_CODES.USAGE);
      assert.match(shown, /differ/);
      assert.ok(!existsSync(place('differing')));
    });

    it('refuses a short passphrase before it is typed again', async () => {
      const args = ['wallet', 'new', '--wallet', place('short')];
      const { status, shown } = await runOnTerminal(args, [['New passphrase: ', 'pa ßwrd\r']]);
      assert.equal(status, ERROR_EXIT_CODES.PASSPHRASE_SHORT);
      assert.match(shown, /PASSPHRASE_SHORT: passphrase: expected at least 8 characters/);
      assert.doesNotMatch(shown, /Again|ßwrd/);
    });

    it('takes a recovery phrase unseen', async () => {
      const args = ['wallet', 'restore', '--wallet', place('typed')];
      const { status, shown } = await runOnTerminal(args, [['Recovery phrase: ', `${PHRASE}\r`]], withPassphrase);
      assert.equal(status, 0, shown);
      assert.doesNotMatch(shown, /abandon/);
      assert.match(shown, new RegExp(ACCOUNT));
    });

    it('ends at Ctrl-C and at the end of input', async () => {
      const args = ['wallet', 'address', '--wallet', wallet];
      assert.equal((await runOnTerminal(args, [['Passphrase: ', 'corr\x03']])).status, 130);
      assert.equal((await runOnTerminal(args, [['Passphrase: ', '\x04']])).status, 1);
    });
  });
});
