import assert from 'node:assert/strict';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import { formatManifest, parseManifest, type Manifest } from '@bitcloak/chain/manifest';
import { RegistryClient, type Era } from '@bitcloak/chain/registry';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { accountOptions, trustOf } from '@bitcloak/wallet/tradingAccount';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import type { Filter, Provider } from 'ethers';
import { DevelopmentAuthority } from '@bitcloak/attestation/development/authority';
import type { Collateral } from '@bitcloak/attestation/collateral';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { TradingClient } from '@bitcloak/trading/client';
import type { OperatorInfo } from '@bitcloak/trading/wire';
import { SEED } from '../support/attestation.ts';
import { showEvidence, simulatedTrust, trustJson } from '../support/enclaveEvidence.ts';
import { FakeEnclave } from '../support/fakeEnclave.ts';
import { DAY_SECONDS, SettlementBench } from '../support/settlement.ts';

describe('an operator as the registry has it', () => {
  let desk: SettlementBench;
  let first: Era;
  let second: Era;
  const signers = () => [desk.newSigner(), desk.newSigner()] as const;

  before(async () => {
    desk = await SettlementBench.open('operator keys');
    const [one, two] = signers();
    first = await desk.era(one, 2n, 5n * DAY_SECONDS);
    await desk.registerFor(1, first, one);
    await desk.bench.chain.mine(40);
    second = await desk.era(two, 3n, 9n * DAY_SECONDS);
    await desk.registerFor(1, second, two);
    await desk.bench.chain.mine(30);
  });
  after(() => desk.bench.close());

  const registry = (provider: Provider = desk.bench.chain.provider) =>
    new RegistryClient(desk.registry.address, provider);

  /** Fails for more than a few blocks at once, as public endpoints do. */
  function narrow(blocks: number): Provider {
    const { provider } = desk.bench.chain;
    const narrowed: Provider = new Proxy(provider, {
      get(target, name) {
        if (name === 'provider') return narrowed;
        if (name === 'getLogs') {
          return async (filter: Filter) => {
            if (Number(filter.toBlock) - Number(filter.fromBlock) >= blocks) throw new Error('too many blocks');
            return target.getLogs(filter);
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    return narrowed;
  }

  it('has the keys of eras that are active, also where few blocks are told at once', async () => {
    for (const provider of [desk.bench.chain.provider, narrow(10), narrow(1)]) {
      assert.deepEqual(await registry(provider).activeEra(1, 2n, 0), first);
      assert.deepEqual(await registry(provider).activeEra(1, 3n, 0), second);
    }
    assert.equal(await registry().activeEra(1, 4n, 0), undefined);
    assert.equal(await registry().activeEra(2, 2n, 0), undefined, 'of another operator');
    await assert.rejects(registry(narrow(0)).activeEra(1, 2n, 0), { code: 'ENDPOINT_UNREACHABLE' });
    await desk.asAdmin(desk.registry.revokeSignerCall(1, first.signer));
    assert.equal(await registry().activeEra(1, 2n, 0), undefined);
  });

  it('is not looked for through the chain where it cannot be', async () => {
    let asked = 0;
    const { provider } = desk.bench.chain;
    const counted: Provider = new Proxy(provider, {
      get(target, name) {
        if (name === 'provider') return counted;
        if (name === 'getLogs') asked++;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    for (const number of [0n, 4n, 2n ** 64n - 1n]) {
      assert.equal(await registry(counted).activeEra(1, number, 0), undefined);
      assert.equal(await registry(counted).registeredEra(2, number, 0), undefined, 'of an operator that is not there');
    }
    assert.equal(asked, 0);
    assert.deepEqual(await registry(counted).registeredEra(1, 3n, 0), second);
    assert.equal(asked, 1);
  });

  it('has the keys of eras that are not active any more, and says so', async () => {
    assert.deepEqual(await registry().registeredEra(1, 2n, 0), first);
    assert.deepEqual(await registry().registeredEra(1, 3n, 0), second);
    assert.equal(await registry().registeredEra(1, 4n, 0), undefined);
  });

  it('knows when all eras were registered, or that it does not', async () => {
    for (const provider of [desk.bench.chain.provider, narrow(10)]) {
      const all = await registry(provider).registrations(1, 0);
      assert.deepEqual(
        all.map(({ era: { number } }) => number),
        [1n, 2n, 3n],
      );
      assert.deepEqual(all[2]?.era, second);
      const blocks = all.map(({ block }) => block);
      assert.ok((blocks[2] ?? 0) - (blocks[1] ?? 0) > 40);
      await assert.rejects(registry(provider).registrations(1, blocks[1] ?? 0), { code: 'ENDPOINT_INCONSISTENT' });
    }
    assert.deepEqual(await registry().registrations(2, 0), [], 'of an operator that is not there');
  });
});

describe('the enclave that a wallet trades with', function () {
  this.timeout(60_000);
  const keys = new WalletKeys({ mnemonic: newMnemonic() });
  // The wallet takes the time of its machine, so the evidence is of now.
  const now = Math.floor(Date.now() / 1000);
  const authority = new DevelopmentAuthority(SEED, now);
  let altered: Collateral;
  let desk: SettlementBench;
  let enclave: FakeEnclave;
  /** What the enclave rightly says of itself. */
  let info: OperatorInfo;
  let era: Era;
  let revert: () => Promise<void>;

  before(async () => {
    altered = authority.collateral(now);
    desk = await SettlementBench.open('enclave of a wallet');
    const signer = desk.newSigner();
    enclave = await FakeEnclave.open();
    const { bench, operatorId, operator } = desk;
    const { encryptionKey, apiKey } = enclave.info;
    era = { ...(await desk.era(signer, 2n, 5n * DAY_SECONDS)), encryptionKey, apiKey };
    await desk.registerFor(1, era, signer);
    const { chainId, address: pool } = bench;
    const place = { chainId, pool, registry: desk.registry.address, operator, operatorId };
    info = { ...enclave.info, ...place, era: 2n };
    revert = await bench.chain.snapshot();
  });
  beforeEach(() => {
    enclave.info = info;
    showEvidence(enclave, era.signer, { authority, altered });
    enclave.asked.length = 0;
    enclave.sessions.clear();
    enclave.tamper = (answer) => answer;
  });
  afterEach(() => revert());
  after(async () => {
    enclave.close();
    await desk.bench.close();
  });

  const manifest = (trust: { trust?: object } = { trust: trustJson(simulatedTrust()) }): Manifest => {
    const { chainId, pool, registry, operator: number } = info;
    const operator = { number, url: enclave.url, ...trust };
    return { chainId, pool, registry, startBlock: 0, tokens: [], operator } as unknown as Manifest;
  };
  const options = (changes: { manifest?: Manifest; trust?: ReturnType<typeof simulatedTrust> } = {}) =>
    accountOptions({
      keys,
      account: { number: 1, operatorId: desk.operatorId, index: 0 },
      manifest: manifest(),
      endpoint: desk.bench.chain.provider as unknown as Endpoint,
      url: enclave.url,
      ...changes,
    });
  const connect = () => TradingClient.connect({ ...options(), attempts: 1 });

  async function refuses(code: string, message: RegExp): Promise<void> {
    await assert.rejects(connect(), (error: unknown) => {
      assert.ok(error instanceof BitcloakError);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
    assert.equal(enclave.sessions.size, 0);
    assert.ok(enclave.asked.every(({ path, isSealed }) => !isSealed && /\/(info|attestation\?.*)$/.test(path)));
  }

  it('is the measured one, with the keys that the registry holds', async () => {
    await connect();
    assert.equal(enclave.sessions.size, 1);
    assert.equal(await options().clock?.(), Number(await desk.bench.chain.now()));
    const order = { kind: 'order' } as never;
    assert.throws(() => options().keep?.(order), { code: 'USAGE' }, 'nothing is signed where nothing is kept');
  });

  it('is told no time that is far ahead of the machine, but on chains whose time is moved', async () => {
    const clockOf = (chainId: bigint) => options({ manifest: { ...manifest(), chainId } }).clock;
    await desk.bench.chain.setTime(BigInt(Math.floor(Date.now() / 1000)) + 3_600n);
    assert.equal(await clockOf(31337n)?.(), Number(await desk.bench.chain.now()));
    await assert.rejects(async () => clockOf(1n)?.(), { code: 'ENDPOINT_INCONSISTENT', message: /far ahead/ });
  });

  it('is none that the registry has revoked', async () => {
    await desk.asAdmin(desk.registry.revokeSignerCall(1, era.signer));
    await refuses('OPERATOR_MISMATCH', /^era 2: the registry holds no active keys of it$/);
  });

  it('is none whose era is over', async () => {
    await desk.bench.chain.setTime(era.expiry);
    await refuses('OPERATOR_MISMATCH', /^era 2: the registry holds no active keys of it$/);
  });

  it('is none of an era that is over, although a newer one of the operator is active', async () => {
    await desk.bench.chain.setTime(era.expiry - 60n);
    const signer = desk.newSigner();
    const newer = await desk.era(signer, 3n, 5n * DAY_SECONDS);
    await desk.registerFor(1, newer, signer);
    await connect();
    enclave.sessions.clear();
    enclave.asked.length = 0;
    await desk.bench.chain.setTime(era.expiry);
    await refuses('OPERATOR_MISMATCH', /^era 2: the registry holds no active keys of it$/);
    // Nor is the old quote one of the new era.
    enclave.info = { ...enclave.info, era: 3n };
    await refuses('OPERATOR_MISMATCH', /^era 3: the operator's keys are not those of the registry$/);
  });

  it('is none with other keys than the registry holds, whatever it shows of them', async () => {
    const apiKey = new HpkeKey(new Uint8Array(32).fill(9)).publicKey;
    const encryptionKey = new AgreementKey(new Uint8Array(32).fill(8)).publicKey;
    for (const change of [{ apiKey }, { encryptionKey }, { apiKey: info.encryptionKey }, { era: 1n }, { era: 9n }]) {
      enclave.info = { ...info, ...change };
      await refuses('OPERATOR_MISMATCH', /^era \d: /);
    }
    for (const change of [{ chainId: 1n }, { pool: 5n }, { registry: 5n }, { operator: 2 }]) {
      enclave.info = { ...info, ...change };
      await refuses('OPERATOR_MISMATCH', /^this is another operator/);
    }
  });

  it('is none whose evidence another signer stands behind', async () => {
    showEvidence(enclave, 5n, { authority, altered });
    await refuses('BINDING_REFUSED', /another signer/);
  });

  it('is what the manifest trusts, unless another trust is given', async () => {
    const intel = { ...simulatedTrust(), anchor: INTEL_ROOT };
    const { check } = options({ trust: intel });
    await assert.rejects(TradingClient.connect({ ...options(), check }), { code: 'EVIDENCE_UNTRUSTED' });
    assert.equal(enclave.sessions.size, 0);
    const distrustful = manifest({ trust: { ...trustJson(simulatedTrust()), anchor: 'intel' } });
    const own = options({ manifest: distrustful, trust: simulatedTrust() });
    await TradingClient.connect(own);
  });

  it('is none where nobody says what to trust', () => {
    const { operator: _operator, ...none } = manifest();
    for (const silent of [manifest({}), none as Manifest]) {
      const wanted = { code: 'USAGE', message: /^trust: .*--trust FILE is needed$/ };
      assert.throws(() => options({ manifest: silent }), wanted);
      assert.throws(() => trustOf(silent), wanted);
      options({ manifest: silent, trust: simulatedTrust() });
    }
    const misspelt = { ...trustJson(simulatedTrust()), anchors: 'intel' };
    assert.throws(() => options({ manifest: manifest({ trust: misspelt }) }), { code: 'USAGE' });
  });
});

describe('a manifest with an operator', () => {
  const manifest: Manifest = {
    name: 'test',
    endpoint: 'http://127.0.0.1:9',
    chainId: 31337n,
    genesisHash: `0x${'11'.repeat(32)}`,
    pool: 1n,
    registry: 2n,
    startBlock: 1,
    tokens: [{ symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 }],
    relayer: undefined,
    operator: { number: 3, url: 'http://127.0.0.1:8560' },
  };
  const written = (operator: unknown) => {
    const json = JSON.parse(formatManifest(manifest)) as object;
    return JSON.stringify({ ...json, operator });
  };

  it('is read as it was written, with one and without', () => {
    assert.deepEqual(parseManifest(formatManifest(manifest), 'test'), manifest);
    const { operator: _operator, ...none } = manifest;
    assert.deepEqual(parseManifest(formatManifest(none), 'test'), none);
    const trusting = { ...manifest, operator: { number: 3, url: 'http://127.0.0.1:8560', trust: { anchor: 'intel' } } };
    assert.deepEqual(parseManifest(formatManifest(trusting), 'test'), trusting);
  });

  it('is refused with another kind of operator', () => {
    for (const operator of [3, null, {}, { number: 3 }, { number: -1, url: 'http://x' }, { number: 3, url: 'x' }]) {
      assert.throws(() => parseManifest(written(operator), 'test'), { code: 'NETWORK_UNKNOWN' });
    }
    for (const trust of [null, 'intel', 1, []]) {
      const text = written({ ...manifest.operator, trust });
      assert.throws(() => parseManifest(text, 'test'), { message: /operator\.trust: expected an object/ });
    }
    const more = { ...manifest.operator, key: 1 };
    assert.throws(() => parseManifest(written(more), 'test'), { message: /operator\.key: unknown field/ });
  });
});
