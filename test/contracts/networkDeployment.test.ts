import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { measurementDigest, type Measurements } from '@bitcloak/attestation/policy';
import { readTrust } from '@bitcloak/attestation/trust';
import { openEndpoint, type Endpoint } from '@bitcloak/chain/endpoint';
import { formatAccount, type Manifest } from '@bitcloak/chain/manifest';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { RegistryClient } from '@bitcloak/chain/registry';
import { formatAddress } from '@bitcloak/notes/address';
import { Keyring } from '@bitcloak/notes/keys';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { runKeeper } from '@bitcloak/wallet/keeper';
import { Contract, getCreateAddress, Wallet, ZeroAddress } from 'ethers';
import { auditDeployment } from '../../scripts/audit/deployment.ts';
import { readConfig } from '../../scripts/deploy/config.ts';
import { deployContract, readArtifact } from '../../scripts/deploy/contracts.ts';
import { planNetwork } from '../../scripts/deploy/plan.ts';
import { runDeployment, type RunOptions } from '../../scripts/deploy/run.ts';
import { openChain, serveChain, type Chain } from '../support/chain.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';

const SCRIPTS = resolve(import.meta.dirname, '../../scripts');
const CONTRACTS = 7;
const NATIVE = formatAccount(NATIVE_ASSET);
const hex = (byte: string, bytes: number) => byte.repeat(bytes);
const MACHINE = { mrtd: hex('a1', 48), rtmr0: hex('a2', 48), rtmr1: hex('a3', 48), rtmr2: hex('a4', 48) };
const SETS: Measurements[] = [
  { mrTd: hex('b1', 48), rtmr0: hex('b2', 48), rtmr1: hex('b3', 48), rtmr2: hex('b4', 48), composeHash: hex('b5', 32) },
];
const exec = promisify(execFile);

describe('a network whose addresses are known before it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-deploy-'));
  const place = (name: string) => join(directory, name);
  const random = seededBytes('network deployment');
  const key = Buffer.from(random(32)).toString('hex');
  let chain: Chain;
  let endpoint: Endpoint;
  let deployer: Wallet;
  let json: Record<string, unknown>;
  let back: () => Promise<void>;

  /** Path of a config with these changes. */
  const configFile = (changes: Record<string, unknown> = {}) => {
    writeFileSync(place('config.json'), JSON.stringify({ ...json, ...changes }));
    return place('config.json');
  };
  const config = (changes: Record<string, unknown> = {}) => readConfig(configFile(changes));
  const planned = async () => (await planNetwork(config(), endpoint, deployer.address)).manifest;
  const run = (manifest: Manifest, changes: Partial<RunOptions> = {}) =>
    runDeployment({
      config: config(),
      manifest,
      measured: SETS,
      wallet: deployer,
      sentPath: place('sent.json'),
      report: () => undefined,
      ...changes,
    });
  const somethingElse = () => deployer.sendTransaction({ to: ZeroAddress }).then((sent) => sent.wait());

  before(async () => {
    const served = await serveChain();
    chain = served.chain;
    endpoint = await openEndpoint(served.url);
    deployer = new Wallet(`0x${key}`, endpoint);
    await (await chain.signer().sendTransaction({ to: deployer.address, value: 10n ** 19n })).wait();
    const token = await (await deployContract(chain.signer(), 'DevelopmentToken')).getAddress();
    json = {
      name: 'test',
      chainId: '31337',
      endpoint: served.url,
      tokens: [
        { symbol: 'ETH', address: NATIVE, decimals: 18 },
        { symbol: 'DUSD', address: token, decimals: 6 },
      ],
      guardian: chain.signer(1).address,
      governor: chain.signer(2).address,
      bucketAgeSeconds: 60,
      timelockSeconds: 200_000,
      attestors: [5, 6, 7].map((index) => chain.signer(index).address),
      threshold: 2,
      trust: {
        anchor: 'intel',
        tcb: {
          accepted: ['UpToDate'],
          graced: [],
          graceSeconds: 0,
          evaluationNumberMin: 1,
          collateralSecondsMax: 86_400,
          advisoriesRefused: [],
        },
      },
    };
    back = await chain.snapshot();
  });
  afterEach(async () => {
    rmSync(place('sent.json'), { force: true });
    await back();
  });
  after(async () => {
    endpoint.destroy();
    await chain.close();
    rmSync(directory, { recursive: true });
  });

  it('is planned, measured, deployed and audited', async () => {
    const script = async (name: string, ...words: string[]) => {
      const { stdout, stderr } = await exec(process.execPath, [join(SCRIPTS, name), ...words], {
        env: { ...process.env, INIT_CWD: directory },
      });
      assert(!(stdout + stderr).includes(key.slice(2, 20)));
      return stdout;
    };
    await somethingElse();
    configFile();
    writeFileSync(place('key'), `${key}\n`, { mode: 0o600 });
    const at = ['--config', 'config.json', '--output', '.'];
    await script('deploy/main.ts', 'plan', ...at, '--deployer', deployer.address);
    const manifest = readManifest(place('manifest.json'));

    const settings = {
      MANIFEST: 'manifest.json',
      MARKETS: 'markets.json',
      RULES: 'rules.json',
      OPERATOR: '1',
      TREASURY: formatAddress(addressOf(new Keyring(random(64)))),
    };
    const rules = { settleSeconds: 3_600, roundSeconds: 56, orderSecondsMax: 86_400, lockSecondsMax: 7_776_000 };
    writeFileSync(place('rules.json'), JSON.stringify({ ...rules, ordersMax: 32, withdrawalFees: [], noteMins: [] }));
    writeFileSync(place('markets.json'), '[]');
    const lines = Object.entries(settings);
    writeFileSync(place('settings'), lines.map(([name, value]) => `BITCLOAK_ENCLAVE_${name}=${value}\n`).join(''));
    writeFileSync(place('machine.json'), JSON.stringify(MACHINE));
    const image = `enclave@sha256:${hex('1a', 32)}`;
    const composing = ['--image', image, '--settings', 'settings', '--kms', hex('ab', 91), '--output', '.'];
    await script('bundle/compose.ts', ...composing);
    const enclave = ['--compose', 'app-compose.json', '--machine', 'machine.json'];
    const measurement = /^measurement: (0x\w{64})$/m.exec(await script('bundle/measure.ts', ...enclave))?.[1] ?? '';

    const running = [...at, ...enclave, '--key', 'key'];
    chmodSync(place('key'), 0o640);
    const refused = { code: 2, stderr: "USAGE: --key: expected a file that is its owner's alone (mode 0600)\n" };
    await assert.rejects(script('deploy/main.ts', 'run', ...running), refused);
    const compose = readFileSync(place('app-compose.json'), 'utf8');
    writeFileSync(
      place('other.json'),
      compose.replace(String.raw`\\\"name\\\":\\\"test`, String.raw`\\\"name\\\":\\\"rest`),
    );
    writeFileSync(place('zero'), hex('00', 32), { mode: 0o600 });
    const misused = (message: RegExp, ...words: string[]) =>
      assert.rejects(script('deploy/main.ts', ...words), { code: 2, stderr: message });
    await Promise.all([
      misused(/^USAGE: .*'--typo'/, 'plan', '--typo'),
      misused(/^USAGE: --compose: expected one manifest/, 'run', ...running, '--compose', 'other.json'),
      misused(/^USAGE: --key: expected a private key of the curve$/m, 'run', ...running, '--key', 'zero'),
    ]);
    assert.equal(await deployer.getNonce(), 1, 'nothing was sent');
    chmodSync(place('key'), 0o600);
    const stdout = await script('deploy/main.ts', 'run', ...running);
    assert.equal(stdout.match(/, as built$/gm)?.length, CONTRACTS, stdout);
    assert(stdout.includes(`\nmeasurement ${measurement}: allowed from 20`), stdout);
    assert.equal(await deployer.getNonce(), 1 + CONTRACTS);

    const network = readManifest(place('network.json'));
    const deployedIn = (await endpoint.getBlock('latest'))?.number ?? 0;
    assert.deepEqual(network, { ...manifest, startBlock: deployedIn });
    assert(manifest.startBlock <= deployedIn - CONTRACTS);
    const findings = await auditDeployment(manifest, endpoint);
    const given = (role: string) => findings.find((finding) => finding.role === role)?.settings ?? assert.fail(role);
    assert.equal(given('pool')['guardian'], json['guardian']);
    assert.equal(given('pool')['BUCKET_AGE'], '60');
    assert.equal(given('TIMELOCK')['getMinDelay'], '200000');
    const verifier = formatAccount(await new RegistryClient(manifest.registry, endpoint).quoteVerifier());
    const isAttestor = new Contract(verifier, readArtifact('AttestorQuoteVerifier').abi, endpoint).getFunction(
      'isAttestor',
    );
    for (const attestor of json['attestors'] as string[]) assert.equal(await isAttestor(attestor), true);
    const { allowed } = readTrust(JSON.parse(readFileSync(place('trust.json'), 'utf8'))).measurements;
    assert.deepEqual(
      allowed.map((set) => `0x${measurementDigest(set)}`),
      [measurement],
    );

    // Once more says the same and sends nothing.
    assert.equal(await script('deploy/main.ts', 'run', ...running), stdout);
    assert.equal(await deployer.getNonce(), 1 + CONTRACTS);
    // What enclaves are measured with begins before the pool, and can be followed from there.
    await runKeeper({
      ...{ pool: manifest.pool, endpoint, signer: deployer, startBlock: manifest.startBlock, closeAfterSeconds: 60n },
      ...{ pollMs: 10, once: true, signal: new AbortController().signal },
      prover: { prove: () => Promise.reject(new Error('nothing is to be proven')) },
      report: ({ kind }) => assert.fail(kind),
    });
  });

  it('is refused, and nothing sent, where the account’s transactions lead to other addresses', async () => {
    const manifest = await planned();
    const early = await planNetwork(config(), endpoint, deployer.address, 1);
    assert.notEqual(early.manifest.pool, manifest.pool);
    await assert.rejects(run(early.manifest), { code: 'CHAIN_MISMATCH', message: /do not lead to a registry at/ });
    const other = new Wallet(`0x${hex('2f', 32)}`, endpoint);
    await assert.rejects(run(manifest, { wallet: other }), { code: 'CHAIN_MISMATCH' });
    assert.equal(await deployer.getNonce(), 0);
    await somethingElse();
    const taken = {
      code: 'CHAIN_MISMATCH',
      message: /^transaction 0 of the account is not .*; 0 of 7 contracts stand/,
    };
    await assert.rejects(run(manifest), taken);
    assert(!existsSync(place('sent.json')), 'nothing was signed');
    await assert.rejects(planNetwork(config(), endpoint, deployer.address, 0), { code: 'USAGE', message: /number 1$/ });
    // Now the account has come to the number that was planned. A set that is given twice counts once.
    await run(early.manifest, { measured: [...SETS, ...SETS] });
    assert.equal(await deployer.getNonce(), 1 + CONTRACTS);
  });

  it('is refused for a manifest that is not the config’s, or of another chain', async () => {
    const manifest = await planned();
    const token = { symbol: 'DUSD', asset: 1n, decimals: 6 };
    const rejects = async (changes: Partial<Manifest>, message: RegExp, options: Partial<RunOptions> = {}) => {
      await assert.rejects(run({ ...manifest, ...changes }, options), { message });
      assert.equal(await deployer.getNonce(), 0);
    };
    await rejects({ tokens: [...manifest.tokens, token] }, /not the one that the config makes/);
    await rejects({ endpoint: 'http://127.0.0.1:1' }, /not the one that the config makes/);
    await rejects({ pool: 1n }, /not the one that the config makes/);
    await rejects({ registry: 1n }, /do not lead to/);
    await rejects({ startBlock: 1_000_000 }, /^startBlock: /);
    const renamed = config({ name: 'other' });
    await rejects({}, /not the one that the config makes/, { config: renamed });
  });

  it('notices what somebody else sends for the account in between', async () => {
    const manifest = await planned();
    let deployed = 0;
    const report = async () => {
      if (++deployed === 2) await somethingElse();
    };
    const message =
      /^transaction 2 of the account is not the deployment of TimelockController.*; 2 of 7 contracts stand: Verifier 0x\w{40}, Poseidon3 0x\w{40}$/;
    await assert.rejects(run(manifest, { report }), { code: 'CHAIN_MISMATCH', message });
    await assert.rejects(run(manifest), { code: 'CHAIN_MISMATCH', message });
    assert.equal(await deployer.getNonce(), 3);
  });

  it('goes on where it was interrupted, with the same parameters only', async () => {
    const manifest = await planned();
    let deployed = 0;
    const report = () => {
      if (++deployed === 5) throw new Error('interrupted');
    };
    await assert.rejects(run(manifest, { report }), /; 5 of 7 contracts stand/);
    assert.equal(await deployer.getNonce(), 5);
    const others = { code: 'CHAIN_MISMATCH', message: /was deployed with other parameters/ };
    await assert.rejects(run(manifest, { measured: [{ ...SETS[0], mrTd: hex('00', 48) } as Measurements] }), others);
    await assert.rejects(run(manifest, { config: config({ governor: chain.signer(3).address }) }), others);
    await assert.rejects(run(manifest, { sentPath: place('nowhere.json') }), { message: /^transaction 0 of the/ });
    assert.equal(await deployer.getNonce(), 5);
    const undo = await chain.snapshot();
    await chain.provider.send('hardhat_setCode', [getCreateAddress({ from: deployer.address, nonce: 0 }), '0x00']);
    const gone = { code: 'TRANSACTION_FAILED', message: /^Verifier: expected at 0x\w{40}, where it is not; 0 of 7/ };
    await assert.rejects(run(manifest), gone);
    await undo();
    await run(manifest);
    assert.equal(await deployer.getNonce(), CONTRACTS);
    const findings = await auditDeployment(manifest, endpoint);
    assert.deepEqual([findings.length, findings.filter(({ name }) => name === undefined)], [CONTRACTS, []]);
  });

  it('knows what it sent and had no answer for, whether it arrived or not', async () => {
    const manifest = await planned();
    const unsure = await openEndpoint(endpoint.url);
    const send = unsure.broadcastTransaction.bind(unsure);
    const wallet = deployer.connect(unsure);
    try {
      unsure.broadcastTransaction = () => Promise.reject(new Error('never sent'));
      await assert.rejects(run(manifest, { wallet }), { code: 'ENDPOINT_UNREACHABLE' });
      assert.equal(await deployer.getNonce(), 0);
      await chain.provider.send('evm_setAutomine', [false]);
      unsure.broadcastTransaction = async (raw) => {
        await send(raw);
        throw new Error('no answer');
      };
      await assert.rejects(run(manifest, { wallet }), { code: 'ENDPOINT_UNREACHABLE' });
      assert.equal(await deployer.getNonce('pending'), 1);
      await assert.rejects(planned(), { code: 'USAGE', message: /^nonce: / });
      await chain.provider.send('evm_setIntervalMining', [20]);
      await run(manifest);
      assert.equal(await deployer.getNonce(), CONTRACTS);
    } finally {
      unsure.destroy();
      await chain.provider.send('evm_setIntervalMining', [0]);
      await chain.provider.send('evm_setAutomine', [true]);
    }
  });

  it('takes a dearer copy for its own transaction, and anything else in its place for the end', async () => {
    const manifest = await planned();
    /** Runs while the first transaction waits, and is replaced by one with these changes. */
    const replaced = async (changes: { data?: string }) => {
      const replacing = await openEndpoint(endpoint.url);
      const send = replacing.broadcastTransaction.bind(replacing);
      replacing.broadcastTransaction = async (raw) => {
        replacing.broadcastTransaction = send;
        await chain.provider.send('evm_setAutomine', [false]);
        const response = await send(raw);
        const { chainId, nonce, data, gasLimit, maxFeePerGas } = response;
        const fee = 2n * (maxFeePerGas ?? 0n);
        const other = { chainId, nonce, data, gasLimit, type: 2, maxFeePerGas: fee, maxPriorityFeePerGas: fee };
        await endpoint.broadcastTransaction(await deployer.signTransaction({ ...other, ...changes }));
        await chain.provider.send('evm_setAutomine', [true]);
        await chain.mine();
        return response;
      };
      try {
        await run(manifest, { wallet: deployer.connect(replacing) });
      } finally {
        replacing.destroy();
      }
    };
    const undo = await chain.snapshot();
    await assert.rejects(replaced({ data: '0x00' }), {
      code: 'CHAIN_MISMATCH',
      message: /^transaction 0 of .*; 0 of 7/,
    });
    await undo();
    await replaced({});
    assert.equal(await deployer.getNonce(), CONTRACTS);
    await run(manifest);
  });

  it('cannot be planned or deployed on chains for value with development keys, nor with an own anchor', async () => {
    const value = await openChain({ chainId: 1 });
    try {
      const real = config({ chainId: '1', tokens: [{ symbol: 'ETH', address: NATIVE, decimals: 18 }] });
      const there = deployer.connect(value.provider);
      const refused = { code: 'DEVELOPMENT_ONLY', message: /^chain 1: the keys/ };
      await assert.rejects(planNetwork(real, value.provider, deployer.address), refused);
      const manifest = { ...(await planned()), chainId: 1n };
      await assert.rejects(run(manifest, { config: real, wallet: there }), refused);
      assert.equal(await there.getNonce('pending'), 0);
      const { trust } = json as { trust: object };
      const anchor = { name: 'own', publicKey: `04${hex('11', 64)}` };
      assert.throws(() => config({ chainId: '1', trust: { ...trust, anchor } }), { code: 'DEVELOPMENT_ONLY' });
      config({ trust: { ...trust, anchor } });
    } finally {
      await value.close();
    }
    await assert.rejects(planNetwork(config({ chainId: '1337' }), endpoint, deployer.address), {
      code: 'CHAIN_MISMATCH',
    });
  });

  it('is planned for accounts and tokens that are', async () => {
    const [, token] = json['tokens'] as { address: string }[];
    const refuses = (changes: Record<string, unknown>, who: string, message: RegExp) =>
      assert.rejects(planNetwork(config(changes), endpoint, who), { code: 'USAGE', message });
    await refuses({}, token?.address ?? '', /^deployer: expected an account without code$/);
    const [native] = json['tokens'] as object[];
    await refuses({ tokens: [native, { ...token, decimals: 18 }] }, deployer.address, /^tokens: DUSD has 6 decimals/);
    const nobody = { symbol: 'NO', address: chain.signer(9).address, decimals: 18 };
    await refuses({ tokens: [native, nobody] }, deployer.address, /^tokens: NO has no decimals/);
  });

  describe('refuses a config with', () => {
    const account = '0x52908400098527886E0F7030069857D2E4169EE7';
    const native = { symbol: 'ETH', address: NATIVE, decimals: 18 };
    const other = { symbol: 'TEST', address: account, decimals: 6 };
    const wrong: [string, Record<string, unknown>, RegExp][] = [
      ['an unknown field', { extra: 1 }, /unknown field/],
      ['no guardian', { guardian: undefined }, /a field guardian/],
      ['a guardian of nobody', { guardian: ZeroAddress }, /: guardian: expected an account/],
      ['a misspelt guardian', { guardian: account.replace('F', 'f') }, /: guardian: expected an account/],
      ['a governor that is a name', { governor: 'vitalik.eth' }, /governor: expected another text/],
      ['no attestors', { attestors: undefined }, /a field attestors/],
      ['none of several attestors', { attestors: [] }, /: threshold: expected at most 0/],
      ['one attestor twice', { attestors: [account, account.toLowerCase()] }, /: attestors: expected different/],
      ['a threshold of none', { threshold: 0 }, /threshold: expected a number/],
      ['a threshold that is too high', { threshold: 4 }, /: threshold: expected at most 3/],
      ['a short timelock', { timelockSeconds: 172_799 }, /timelockSeconds: expected a number/],
      ['a timelock of more than a year', { timelockSeconds: 31_536_001 }, /timelockSeconds: expected a number/],
      ['a long bucket age', { bucketAgeSeconds: 3_601 }, /bucketAgeSeconds: expected a number/],
      ['a short bucket age for value', { bucketAgeSeconds: 59, chainId: '1' }, /: bucketAgeSeconds: expected 60/],
      ['a chain by a number', { chainId: 1 }, /chainId: expected a text/],
      ['a name with spaces', { name: 'a b' }, /: name: expected/],
      ['an endpoint without a protocol', { endpoint: '127.0.0.1' }, /: endpoint: expected/],
      ['a relayer of a file', { relayer: 'file:///etc/passwd' }, /: relayer: expected/],
      ['no tokens', { tokens: [] }, /: tokens: expected a list/],
      ['another token first', { tokens: [other, native] }, /: tokens: expected the native currency first/],
      ['one token twice', { tokens: [native, other, { ...other, symbol: 'T2' }] }, /: tokens: expected different add/],
      ['one symbol twice', { tokens: [native, { ...other, symbol: 'ETH' }] }, /: tokens: expected different sym/],
      ['a token of too many decimals', { tokens: [{ ...native, decimals: 37 }] }, /decimals: expected a number/],
      ['no trust', { trust: undefined }, /: trust: expected anchor and tcb/],
      ['measurements in its trust', { trust: { anchor: 'intel', tcb: {}, measurements: [] } }, /: trust: expected/],
      ['another anchor', { trust: { anchor: 'amd', tcb: {} } }, /trust: anchor: expected intel/],
    ];
    for (const [what, changes, message] of wrong) {
      it(what, () => {
        assert.throws(
          () => config(changes),
          (error: Error & { code?: string }) => {
            assert.match(error.code ?? '', /^(USAGE|NETWORK_UNKNOWN)$/);
            assert.match(error.message, message);
            return true;
          },
        );
      });
    }
  });
});
