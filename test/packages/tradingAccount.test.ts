import assert from 'node:assert/strict';
import { formatManifest, parseManifest, type Manifest } from '@bitcloak/chain/manifest';
import { RegistryClient, type Era } from '@bitcloak/chain/registry';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { OperatorInfo } from '@bitcloak/trading/wire';
import { accountOptions } from '@bitcloak/wallet/tradingAccount';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import type { Filter, Provider } from 'ethers';
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

  it('is what a wallet takes an operator for, and nothing else', async () => {
    const { bench, operatorId } = desk;
    const manifest = {
      chainId: bench.chainId,
      pool: bench.address,
      registry: desk.registry.address,
      startBlock: 0,
      tokens: [],
    } as unknown as Manifest;
    const options = accountOptions({
      keys: new WalletKeys({ mnemonic: newMnemonic() }),
      account: { number: 1, operatorId, index: 0 },
      manifest,
      endpoint: bench.chain.provider as unknown as Endpoint,
      url: 'http://127.0.0.1:9',
    });
    const { encryptionKey, apiKey } = second;
    const right = {
      chainId: bench.chainId,
      pool: bench.address,
      registry: desk.registry.address,
      operator: 1,
      operatorId,
      era: 3n,
      encryptionKey,
      apiKey,
    } as unknown as OperatorInfo;
    await options.check?.(right);
    const wrong: Partial<OperatorInfo>[] = [
      { chainId: 1n },
      { pool: 5n },
      { registry: 5n },
      { operator: 2 },
      { era: 1n },
      { era: 2n },
      { era: 9n },
      { encryptionKey: apiKey },
      { apiKey: encryptionKey },
      { apiKey: apiKey.subarray(1) },
    ];
    for (const change of wrong) {
      const check = Promise.resolve(options.check?.({ ...right, ...change }));
      await assert.rejects(check, { code: 'OPERATOR_MISMATCH' }, Object.keys(change).join());
    }
    assert.equal(await options.clock?.(), Number(await bench.chain.now()));
    const order = { kind: 'order' } as never;
    assert.throws(() => options.keep?.(order), { code: 'USAGE' }, 'nothing is signed where nothing is kept');
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
  });

  it('is refused with another kind of operator', () => {
    for (const operator of [3, null, {}, { number: 3 }, { number: -1, url: 'http://x' }, { number: 3, url: 'x' }]) {
      assert.throws(() => parseManifest(written(operator), 'test'), { code: 'NETWORK_UNKNOWN' });
    }
    const more = { ...manifest.operator, key: 1 };
    assert.throws(() => parseManifest(written(more), 'test'), { message: /operator\.key: unknown field/ });
  });
});
