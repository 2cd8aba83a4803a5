import assert from 'node:assert/strict';
import { REGISTRY_ABI } from '@bitcloak/chain/generated/abi';
import { formatAccount } from '@bitcloak/chain/manifest';
import type { Call } from '@bitcloak/chain/pool';
import { developmentEvidence, type Era, type RegistryEvidence } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import {
  ERA_SECONDS_MAX,
  LOCK_SECONDS_MAX,
  MEASUREMENT_DELAY_SECONDS,
  TIMELOCK_SECONDS_MIN,
} from '@bitcloak/protocol/parameters';
import { Contract, Interface, toBeHex, ZeroAddress, ZeroHash, type Wallet } from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { openChain, readArtifact, type Chain } from '../support/chain.ts';
import { ACCEPTED, NO_DATA, outcome } from '../support/refusals.ts';
import { DAY_SECONDS, SettlementBench } from '../support/settlement.ts';

const registryInterface = new Interface(REGISTRY_ABI);

describe('Registry', function () {
  this.timeout(120_000);
  let desk: SettlementBench;
  let chain: Chain;
  let admin: string;
  let stranger: string;
  let startAgain: () => Promise<void>;

  const call = (method: string, values: readonly unknown[]): Call => ({
    to: formatAccount(desk.registry.address),
    data: registryInterface.encodeFunctionData(method, values),
    value: 0n,
  });
  const saidTo = (from: string, method: string, values: readonly unknown[]) =>
    outcome(chain, call(method, values), from);
  const evidenceOf = async (era: Era, signer: Wallet, operator = desk.operator, chainId = desk.bench.chainId) =>
    developmentEvidence(chainId, desk.registry.address, operator, era, await desk.registry.nonce(), signer);
  const register = (era: Era, evidence: RegistryEvidence, from = admin) =>
    outcome(chain, desk.registry.registerEraCall(desk.operator, era, evidence), from);

  before(async () => {
    desk = await SettlementBench.open('registry');
    ({ chain } = desk.bench);
    [admin, stranger] = [chain.signer(3).address, chain.signer(7).address];
    startAgain = await chain.snapshot();
  });
  afterEach(() => startAgain());
  after(() => desk.bench.close());

  it('numbers operators, each with its own admin and its own id in the pool', async () => {
    const { chainId, address, registry } = desk.bench;
    const ids = [1, 2, 3].map((operator) => operatorIdOf(chainId, address, registry, operator));
    assert.equal(new Set(ids).size, 3);
    const poolsIds = [1, 2, 3].map((operator) => desk.bench.contract().getFunction('operatorId')(operator));
    assert.deepEqual(await Promise.all(poolsIds), ids);
    await chain.signer(7).sendTransaction(desk.registry.registerOperatorCall());
    const contract = new Contract(formatAccount(desk.registry.address), registryInterface, chain.provider);
    assert.deepEqual(
      await Promise.all([1, 2, 3].map((operator) => contract.getFunction('admin')(operator) as Promise<string>)),
      [admin, stranger, ZeroAddress],
    );
  });

  it('lets a signer sign from its registration to its expiry', async () => {
    const signer = desk.newSigner();
    const era = await desk.era(signer, 2n, DAY_SECONDS);
    assert.equal(await desk.registry.isActive(1, era.signer), false);
    await desk.registerFor(1, era, signer);
    assert.equal(await desk.registry.era(1), 2n);
    assert.equal(await desk.registry.isActive(1, era.signer), true);
    assert.equal(await desk.registry.isActive(2, era.signer), false);
    assert.equal(await desk.registry.isActive(1, BigInt(desk.signer.address)), true, 'the era before goes on');
    await chain.setTime(era.expiry - 1n);
    assert.equal(await desk.registry.isActive(1, era.signer), true);
    await chain.setTime(era.expiry);
    assert.equal(await desk.registry.isActive(1, era.signer), false);
  });

  it('takes eras one after another, of a bounded life, from the admin only', async () => {
    const signer = desk.newSigner();
    const era = await desk.era(signer, 2n, DAY_SECONDS);
    assert.equal(await register(era, await evidenceOf(era, signer)), ACCEPTED);
    assert.equal(await register(era, await evidenceOf(era, signer), stranger), `NotAdmin(1, ${stranger})`);
    for (const number of [0n, 1n, 3n]) {
      const wrong = { ...era, number };
      assert.equal(await register(wrong, await evidenceOf(wrong, signer)), `EraNotNext(${number}, 2)`);
    }
    const now = await chain.now();
    for (const expiry of [0n, now, now + ERA_SECONDS_MAX + 60n]) {
      const wrong = { ...era, expiry };
      assert.match(await register(wrong, await evidenceOf(wrong, signer)), /^EraExpiry\(/);
    }
    const nobody = { ...era, signer: 0n };
    assert.equal(await register(nobody, await evidenceOf(nobody, signer)), 'SignerMissing()');
  });

  it('wants evidence of these keys, for this operator, registry and chain', async () => {
    const [signer, other] = [desk.newSigner(), desk.newSigner()];
    const era = await desk.era(signer, 2n, DAY_SECONDS);
    const refused = 'EvidenceRefused(1, 2)';
    assert.equal(await register(era, { ...(await evidenceOf(era, signer)), evidence: '0x' }), refused);
    assert.equal(await register(era, await evidenceOf(era, other)), refused);
    assert.equal(await register(era, await evidenceOf(era, signer, 2)), refused);
    assert.equal(await register(era, await evidenceOf(era, signer, 1, 1n)), refused);
    for (const change of [
      { encryptionKey: desk.bench.bytes(32) },
      { apiKey: desk.bench.bytes(32) },
      { expiry: era.expiry + 1n },
      { signer: BigInt(other.address) },
    ]) {
      assert.equal(await register({ ...era, ...change }, await evidenceOf(era, signer)), refused);
    }
  });

  it('ends a signer at once, by its own admin', async () => {
    const { address } = desk.signer;
    assert.equal(await saidTo(stranger, 'revokeSigner', [1, address]), `NotAdmin(1, ${stranger})`);
    await desk.asAdmin(desk.registry.revokeSignerCall(1, BigInt(address)));
    assert.equal(await desk.registry.isActive(1, BigInt(address)), false);
    const again = await desk.era(desk.signer, 2n, DAY_SECONDS);
    assert.equal(await register(again, await evidenceOf(again, desk.signer)), `SignerUsed(1, ${address})`);
  });

  it('takes a key for one era only', async () => {
    const again = await desk.era(desk.signer, 2n, DAY_SECONDS);
    assert.equal(await register(again, await evidenceOf(again, desk.signer)), `SignerUsed(1, ${desk.signer.address})`);
  });

  it('cannot be made to end another operator’s signer', async () => {
    const { address } = desk.signer;
    await chain.signer(7).sendTransaction(desk.registry.registerOperatorCall());
    await chain.signer(7).sendTransaction(call('revokeSigner', [2, address]));
    assert.equal(await desk.registry.isActive(1, BigInt(address)), true);
  });

  it('changes an admin by proposal, delay and acceptance', async () => {
    assert.equal(await saidTo(stranger, 'proposeAdmin', [1, stranger]), `NotAdmin(1, ${stranger})`);
    assert.equal(await saidTo(stranger, 'acceptAdmin', [1]), `NotProposedAdmin(1, ${stranger})`);
    await desk.asAdmin(call('proposeAdmin', [1, stranger]));
    const acceptableAt = (await chain.now()) + TIMELOCK_SECONDS_MIN;
    await chain.setTime(acceptableAt - 2n);
    assert.match(await saidTo(stranger, 'acceptAdmin', [1]), /^TooEarly\(/);
    await chain.setTime(acceptableAt);
    assert.match(await saidTo(admin, 'acceptAdmin', [1]), /^NotProposedAdmin\(/);
    await chain.signer(7).sendTransaction(call('acceptAdmin', [1]));
    assert.equal(await saidTo(admin, 'revokeSigner', [1, admin]), `NotAdmin(1, ${admin})`);
    assert.equal(await saidTo(stranger, 'revokeSigner', [1, admin]), ACCEPTED);
    assert.equal(await saidTo(stranger, 'acceptAdmin', [1]), `NotProposedAdmin(1, ${stranger})`, 'once');
  });

  it('takes a proposal back', async () => {
    await desk.asAdmin(call('proposeAdmin', [1, stranger]));
    await desk.asAdmin(call('proposeAdmin', [1, ZeroAddress]));
    await chain.increaseTime(TIMELOCK_SECONDS_MIN);
    assert.equal(await saidTo(stranger, 'acceptAdmin', [1]), `NotProposedAdmin(1, ${stranger})`);
    assert.equal(await saidTo(ZeroAddress, 'revokeSigner', [9, admin]), ACCEPTED, 'of an operator that nobody is');
  });

  it('takes evidence that names a recent block, and no older one', async () => {
    const signer = desk.newSigner();
    const era = await desk.era(signer, 2n, DAY_SECONDS);
    const fresh = await evidenceOf(era, signer);
    const block = await chain.provider.getBlockNumber();
    for (const nonceBlock of [block + 5, fresh.nonceBlock - 1]) {
      const said = await register(era, { ...fresh, nonceBlock });
      assert.equal(said, nonceBlock > block ? `NonceUnknown(${nonceBlock})` : 'EvidenceRefused(1, 2)');
    }
    await chain.mine(250);
    assert.equal(await register(era, fresh), ACCEPTED);
    await chain.mine(10);
    assert.equal(await register(era, fresh), `NonceUnknown(${fresh.nonceBlock})`);
  });

  it('changes its quote verifier through the timelock only, and later than the longest lock', async () => {
    const anything = await (await deployContract(chain.signer(), 'Measurements', [admin, admin, []])).getAddress();
    const verifier = await (
      await deployContract(chain.signer(), 'AttestorQuoteVerifier', [anything, [admin], 1])
    ).getAddress();
    const { timelock } = desk.bench;
    const registry = new Contract(formatAccount(desk.registry.address), registryInterface, chain.provider);
    const current = () => registry.getFunction('quoteVerifier')() as Promise<string>;
    const first = await current();
    assert.equal(await saidTo(admin, 'proposeQuoteVerifier', [verifier]), `NotTimelock(${admin})`);
    assert.equal(await saidTo(stranger, 'acceptQuoteVerifier', []), 'QuoteVerifierMissing()');
    const { abi } = await readArtifact('TimelockController');
    const controller = new Contract(timelock, abi, chain.signer(2));
    const propose = async (address: string, salt: string) => {
      const { to, data } = call('proposeQuoteVerifier', [address]);
      const operation = [to, 0n, data, ZeroHash, salt] as const;
      await controller.getFunction('schedule').send(...operation, TIMELOCK_SECONDS_MIN);
      await chain.increaseTime(TIMELOCK_SECONDS_MIN);
      await controller.getFunction('execute').send(...operation);
      return (await chain.now()) + MEASUREMENT_DELAY_SECONDS;
    };
    assert.ok(MEASUREMENT_DELAY_SECONDS > LOCK_SECONDS_MAX);
    const acceptableAt = await propose(verifier, ZeroHash);
    await chain.setTime(acceptableAt - 2n);
    assert.match(await saidTo(stranger, 'acceptQuoteVerifier', []), /^TooEarly\(/);
    const signer = desk.newSigner();
    const era = await desk.era(signer, 2n, DAY_SECONDS);
    const nonce = await desk.registry.nonce();
    const { chainId } = desk.bench;
    const evidence = developmentEvidence(chainId, desk.registry.address, desk.operator, era, nonce, signer);
    await desk.asAdmin(desk.registry.registerEraCall(desk.operator, era, evidence));
    await chain.setTime(acceptableAt);
    await chain.signer(7).sendTransaction(call('acceptQuoteVerifier', []));
    assert.equal(await current(), verifier);
    const ending = desk.registry.invalidateEvidenceCall(desk.operator, era, nonce.hash, evidence.evidence);
    assert.match(await outcome(chain, ending, stranger), /^EvidenceHolds\(/, 'it is asked that took it');
    assert.equal(await saidTo(stranger, 'acceptQuoteVerifier', []), 'QuoteVerifierMissing()', 'once');

    await propose(first, toBeHex(1, 32));
    await propose(ZeroAddress, toBeHex(2, 32));
    await chain.increaseTime(MEASUREMENT_DELAY_SECONDS);
    assert.equal(await saidTo(stranger, 'acceptQuoteVerifier', []), 'QuoteVerifierMissing()', 'it was taken back');
    await propose(stranger, toBeHex(3, 32));
    await chain.increaseTime(MEASUREMENT_DELAY_SECONDS);
    assert.equal(await saidTo(stranger, 'acceptQuoteVerifier', []), 'QuoteVerifierMissing()', 'there is no contract');
  });

  it('is not deployed with a short timelock or without a verifier, nor the development verifier where value is', async () => {
    const deployed = async (delay: bigint, verifier: string) => {
      const timelock = await deployContract(chain.signer(), 'TimelockController', [delay, [], [], ZeroAddress]);
      const registry = deployContract(chain.signer(), 'Registry', [await timelock.getAddress(), verifier]);
      return registry
        .then(() => ACCEPTED)
        .catch((error: { data?: string }) => {
          return error.data === undefined ? NO_DATA : (registryInterface.parseError(error.data)?.name ?? error.data);
        });
    };
    const verifier = await (await deployContract(chain.signer(), 'DevelopmentQuoteVerifier')).getAddress();
    assert.equal(await deployed(TIMELOCK_SECONDS_MIN, verifier), ACCEPTED);
    assert.equal(await deployed(TIMELOCK_SECONDS_MIN - 1n, verifier), 'TimelockTooShort');
    assert.equal(await deployed(TIMELOCK_SECONDS_MIN, stranger), 'QuoteVerifierMissing');
    const value = await openChain({ chainId: 1 });
    try {
      await assert.rejects(deployContract(value.signer(), 'DevelopmentQuoteVerifier'));
    } finally {
      await value.close();
    }
  });
});
