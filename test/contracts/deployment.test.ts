import assert from 'node:assert/strict';
import {
  BUCKET_AGE_SECONDS_MAX,
  BUCKET_AGE_SECONDS_MIN,
  DEVELOPMENT_CHAIN_IDS,
  TIMELOCK_SECONDS_MIN,
} from '@bitcloak/protocol/parameters';
import { isCallException, ZeroAddress } from 'ethers';
import { deployContract, deployPool, type PoolSettings } from '../../scripts/deploy/contracts.ts';
import { openChain, type Chain } from '../support/chain.ts';
import { describeRevert, NO_DATA } from '../support/refusals.ts';

describe('deployment of the pool', () => {
  const chains: Chain[] = [];
  let chain: Chain;
  let verifier: string;
  let settings: PoolSettings;

  async function open(chainId: number): Promise<Chain> {
    const opened = await openChain({ chainId });
    chains.push(opened);
    return opened;
  }

  /** What the constructor reverts with. */
  async function refusal(deployment: Promise<unknown>): Promise<string> {
    try {
      await deployment;
    } catch (error) {
      if (!isCallException(error) || error.data === null) throw error;
      return describeRevert(error.data);
    }
    return 'deployed';
  }

  before(async () => {
    chain = await open(31337);
    verifier = await (await deployContract(chain.signer(), 'Verifier')).getAddress();
    settings = {
      guardian: chain.signer(1).address,
      governor: chain.signer(2).address,
      bucketAgeSeconds: 60n,
      verifier,
    };
  });
  after(async () => {
    for (const opened of chains) await opened.close();
  });

  it('takes the shortest timelock and the longest bucket age, and refuses a second less or more', async () => {
    const deploy = (changes: Partial<PoolSettings>) => refusal(deployPool(chain.signer(), { ...settings, ...changes }));
    const [delay, age] = [TIMELOCK_SECONDS_MIN, BUCKET_AGE_SECONDS_MAX];
    assert.equal(await deploy({ timelockSeconds: delay, bucketAgeSeconds: age }), 'deployed');
    assert.equal(await deploy({ timelockSeconds: delay - 1n }), `TimelockTooShort(${delay - 1n})`);
    assert.equal(await deploy({ timelockSeconds: 0n }), 'TimelockTooShort(0)');
    assert.equal(await deploy({ bucketAgeSeconds: age + 1n }), `BucketAgeTooLong(${age + 1n})`);
    assert.equal(await deploy({ guardian: ZeroAddress }), 'GuardianMissing()');
  });

  it('needs a bucket age on chains for value, so that nobody can close a bucket for every leaf', async () => {
    const value = await open(1);
    const deploy = async (on: Chain, age: bigint): Promise<string> => {
      const signer = on.signer();
      const poseidon = await deployContract(signer, 'Poseidon3');
      const timelock = await deployContract(signer, 'TimelockController', [TIMELOCK_SECONDS_MIN, [], [], ZeroAddress]);
      // The real verifier refuses this chain for its keys; the pool asks nothing of it here.
      const parts = [signer.address, await poseidon.getAddress(), signer.address, await timelock.getAddress()];
      return refusal(deployContract(signer, 'Pool', [...parts, settings.guardian, age]));
    };
    for (const age of [0n, BUCKET_AGE_SECONDS_MIN - 1n]) {
      assert.equal(await deploy(value, age), `BucketAgeTooShort(${age})`);
      assert.equal(await deploy(chain, age), 'deployed');
    }
    assert.equal(await deploy(value, BUCKET_AGE_SECONDS_MIN), 'deployed');
  });

  it('refuses a timelock that is none', async () => {
    const poseidon = await deployContract(chain.signer(), 'Poseidon3');
    const deploy = async (timelock: string) =>
      refusal(
        deployContract(chain.signer(), 'Pool', [
          verifier,
          await poseidon.getAddress(),
          chain.signer(4).address,
          timelock,
          settings.guardian,
          60n,
        ]),
      );
    for (const timelock of [ZeroAddress, chain.signer(3).address, verifier]) {
      assert.equal(await deploy(timelock), NO_DATA);
    }
  });

  it('leaves nobody above the timelock', async () => {
    const { timelock } = await deployPool(chain.signer(), settings);
    const artifact = await deployContract(chain.signer(), 'TimelockController', [
      TIMELOCK_SECONDS_MIN,
      [],
      [],
      ZeroAddress,
    ]);
    const contract = artifact.attach(timelock);
    const role = async (name: string) => (await contract.getFunction(name)()) as string;
    const has = (held: string, account: string) => contract.getFunction('hasRole')(held, account) as Promise<boolean>;
    const [admin, proposer, executor] = (await Promise.all(
      ['DEFAULT_ADMIN_ROLE', 'PROPOSER_ROLE', 'EXECUTOR_ROLE'].map(role),
    )) as [string, string, string];
    for (const signer of chain.signers) {
      assert.equal(await has(admin, signer.address), false);
      assert.equal(await has(proposer, signer.address), signer.address === settings.governor);
    }
    assert.equal(await has(admin, timelock), true);
    assert.equal(await has(executor, ZeroAddress), true, 'anybody carries out what has waited long enough');
  });

  describe('with development keys', () => {
    it('is refused on every chain that is for value: by the script and by the verifier itself', async () => {
      for (const chainId of [1, 10, 8453, 31338]) {
        const { signer } = await open(chainId).then((opened) => ({ signer: opened.signer() }));
        const settingsThere = { guardian: settings.guardian, governor: settings.governor, bucketAgeSeconds: 60n };
        const refused = (message: RegExp) => ({ code: 'DEVELOPMENT_ONLY', message });
        await assert.rejects(deployPool(signer, settingsThere), refused(/without attestors/));
        const attestors = { attestors: [settings.guardian], threshold: 1, measurements: [] };
        await assert.rejects(
          deployPool(signer, { ...settingsThere, attestors }),
          refused(/the keys in circuits\/keys/),
        );
        assert.equal(await signer.getNonce(), 0, 'nothing was deployed');
        assert.equal(await refusal(deployContract(signer, 'Verifier')), `DevelopmentKey(${chainId})`);
        const token = deployContract(signer, 'DevelopmentToken');
        await assert.rejects(token, (error) => isCallException(error) && error.data !== '0x');
      }
    });

    it('is possible on the development chains', async () => {
      for (const chainId of DEVELOPMENT_CHAIN_IDS) {
        const opened = await open(Number(chainId));
        const { guardian, governor, bucketAgeSeconds } = settings;
        await deployPool(opened.signer(), { guardian, governor, bucketAgeSeconds });
      }
    });
  });
});
