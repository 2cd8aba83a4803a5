import assert from 'node:assert/strict';
import { eraReportData } from '@bitcloak/attestation/binding';
import { configIdOf, developmentEvents, rtmrsAfter } from '@bitcloak/attestation/development/eventLog';
import { bytesOfHex, concat, hexOf } from '@bitcloak/attestation/bytes';
import { measurementDigest } from '@bitcloak/attestation/policy';
import { registryEvidence } from '@bitcloak/attestor/registryEvidence';
import {
  attest,
  attestorEvidence,
  AttestorsClient,
  statementOf,
  withdraw,
  type Attestation,
  type AttestorsPlace,
} from '@bitcloak/chain/attestors';
import { dcapEvidence, type DstackConfig } from '@bitcloak/chain/dcapEvidence';
import { REGISTRY_ABI } from '@bitcloak/chain/generated/abi';
import type { Call } from '@bitcloak/chain/pool';
import { RegistryClient, type Era, type Nonce, type RegistryEvidence } from '@bitcloak/chain/registry';
import { ERA_SECONDS_MAX, LOCK_SECONDS_MAX, MEASUREMENT_DELAY_SECONDS } from '@bitcloak/protocol/parameters';
import {
  AbiCoder,
  type Contract,
  getAddress,
  Interface,
  isCallException,
  toBeHex,
  Wallet,
  ZeroAddress,
  sha256,
  solidityPackedKeccak256,
  toUtf8Bytes,
  ZeroHash,
} from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { BOOT, dstackEvidence, intelQuote, simulatedEvidence, simulatedMeasurements } from '../support/attestation.ts';
import { TestEras } from '../support/attestors.ts';
import { openChain, readArtifact, type Chain } from '../support/chain.ts';
import { executionGas, expectGas } from '../support/gasSnapshot.ts';
import { seededBytes } from '../support/random.ts';
import { compile } from '../support/solidity.ts';

const DAY = 86_400n;
const OPERATOR = 1;
const GUARDIAN = 7;
const REGISTRY = new Interface(REGISTRY_ABI);
const MEASUREMENT = `0x${measurementDigest(simulatedMeasurements())}`;
const OTHER = `0x${'77'.repeat(32)}`;
const ACCEPTED = 'accepted';

describe('evidence for the registry', function () {
  this.timeout(120_000);
  const bytes = seededBytes('evidence');
  let chain: Chain;
  let registry: RegistryClient;
  let eras: TestEras;
  let measurements: Contract;
  let errors: Interface;
  let startAgain: () => Promise<void>;
  const attestors = Array.from({ length: 3 }, (_, index) => new Wallet(`0x${String(index + 1).repeat(64)}`));
  let verifier: Contract;

  /** As the admin of the operator, who is also the governor. */
  async function open(deployVerifier: (allowed: string) => Promise<Contract>): Promise<void> {
    chain = await openChain();
    const [governor, guardian] = [chain.signer(), chain.signer(GUARDIAN)];
    const timelock = await deployContract(governor, 'TimelockController', [2n * DAY, [], [], ZeroAddress]);
    measurements = (await deployContract(governor, 'Measurements', [
      governor.address,
      guardian.address,
      [MEASUREMENT],
    ])) as Contract;
    verifier = await deployVerifier(await measurements.getAddress());
    const deployed = await deployContract(governor, 'Registry', [timelock.target, verifier.target]);
    registry = new RegistryClient(BigInt(await deployed.getAddress()), governor);
    eras = new TestEras(registry, OPERATOR, bytes);
    const abis = await Promise.all(
      ['Measurements', 'AttestorQuoteVerifier', 'DcapQuoteVerifier'].map(
        async (name) => (await readArtifact(name)).abi,
      ),
    );
    const isError = ({ type }: { type: string }) => type === 'error';
    errors = new Interface([
      ...REGISTRY_ABI,
      ...abis.flatMap((abi) => (abi as { type: string }[]).filter(isError)),
    ] as never[]);
    await send(registry.registerOperatorCall());
    startAgain = await chain.snapshot();
  }

  const send = async (call: Call, gas?: string) => {
    const receipt = await (await chain.signer().sendTransaction(call)).wait();
    assert.ok(receipt !== null);
    if (gas !== undefined) expectGas(gas, executionGas(receipt.gasUsed, call.data));
  };
  const said = async (call: Partial<Call>, from = chain.signer().address, gasLimit = 10_000_000n): Promise<string> => {
    try {
      await chain.provider.call({ ...call, from, gasLimit });
      return ACCEPTED;
    } catch (error) {
      if (!isCallException(error)) throw error;
      const parsed = error.data === null || error.data === '0x' ? null : errors.parseError(error.data);
      return parsed === null ? 'no data' : `${parsed.name}(${[...parsed.args].map(String).join(', ')})`;
    }
  };
  const of = async (contract: Contract, method: string, ...values: unknown[]): Promise<Partial<Call>> => ({
    to: await contract.getAddress(),
    data: contract.interface.encodeFunctionData(method, values),
  });
  const newEra = async (): Promise<Era> => eras.next((await chain.now()) + ERA_SECONDS_MAX - 100n);
  /** With the consent of the era's signer, unless it is another's. */
  const renewal = (era: Era, evidence: RegistryEvidence, consents = eras.signerOf(era)) =>
    registry.renewEvidenceCall(31337n, OPERATOR, era, evidence, consents ?? assert.fail('no such era'));
  const refused = (era: Era) => `EvidenceRefused(${OPERATOR}, ${era.number})`;

  afterEach(() => startAgain());

  describe('by attestors, two of three', () => {
    after(() => chain.close());
    before(() =>
      open(async (allowed) => {
        const addresses = attestors.map(({ address }) => address).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
        return (await deployContract(chain.signer(), 'AttestorQuoteVerifier', [allowed, addresses, 2])) as Contract;
      }),
    );

    const statement = async (era: Era, nonce: Nonce, change: Partial<Attestation> = {}): Promise<Attestation> => ({
      chainId: 31337n,
      verifier: BigInt(await verifier.getAddress()),
      registry: registry.address,
      operator: BigInt(OPERATOR),
      era,
      nonce: nonce.hash,
      measurement: MEASUREMENT,
      validUntil: (await chain.now()) + 7n * DAY,
      ...change,
    });
    const evidenceOf = async (
      era: Era,
      { by = attestors.slice(0, 2), change = {} }: { by?: readonly Wallet[]; change?: Partial<Attestation> } = {},
    ) => {
      const nonce = await registry.nonce();
      const attestation = await statement(era, nonce, change);
      const signatures = await Promise.all(by.map((attestor) => attest(attestor, attestation)));
      return { nonceBlock: nonce.block, nonce, attestation, evidence: attestorEvidence(attestation, signatures) };
    };
    const registered = async () => {
      const era = await newEra();
      const evidence = await evidenceOf(era);
      await send(registry.registerEraCall(OPERATOR, era, evidence), 'registry.registerEra.attestors.2');
      return { era, ...evidence };
    };

    it('registers an era, which is active until the evidence ends', async () => {
      const { era, attestation } = await registered();
      assert.equal(await registry.isActive(OPERATOR, era.signer), true);
      assert.equal(await registry.activeUntil(OPERATOR, era.signer), attestation.validUntil);
      await chain.setTime(attestation.validUntil - 1n);
      assert.equal(await registry.isActive(OPERATOR, era.signer), true);
      await chain.setTime(attestation.validUntil);
      assert.equal(await registry.isActive(OPERATOR, era.signer), false);
    });

    it('takes any two, or all three, and no fewer', async () => {
      const era = await newEra();
      const [first, second, third] = attestors as [Wallet, Wallet, Wallet];
      const answers = async (by: readonly Wallet[]) =>
        said(registry.registerEraCall(OPERATOR, era, await evidenceOf(era, { by })));
      for (const by of [[first, second], [third, first], [second, third], attestors]) {
        assert.equal(await answers(by), ACCEPTED);
      }
      for (const by of [[], [first], [third]]) assert.equal(await answers(by), refused(era));
      const stranger = new Wallet(`0x${'9'.repeat(64)}`);
      assert.equal(await answers([first, stranger]), refused(era));
      assert.equal(await answers([first, first]), refused(era), 'nobody counts twice');
      const { nonceBlock, attestation } = await evidenceOf(era);
      const signatures = await Promise.all([first, second].map((attestor) => attest(attestor, attestation)));
      const encode = (parts: readonly string[]) =>
        AbiCoder.defaultAbiCoder().encode(
          ['bytes32', 'uint40', 'bytes[]'],
          [MEASUREMENT, attestation.validUntil, parts],
        );
      const sorted = attestorEvidence(attestation, signatures);
      for (const parts of [signatures, signatures.toReversed()]) {
        const expected = encode(parts) === sorted ? ACCEPTED : refused(era);
        assert.equal(
          await said(registry.registerEraCall(OPERATOR, era, { nonceBlock, evidence: encode(parts) })),
          expected,
        );
      }
    });

    it('takes what they signed for these keys, this operator, registry, chain and verifier, and nothing else', async () => {
      const era = await newEra();
      const wrong: readonly Partial<Attestation>[] = [
        { chainId: 1n },
        { verifier: 5n },
        { registry: 5n },
        { operator: 2n },
        { nonce: ZeroHash },
        { measurement: OTHER },
        { era: { ...era, number: era.number + 1n } },
        { era: { ...era, signer: era.signer ^ 1n } },
        { era: { ...era, encryptionKey: bytes(32) } },
        { era: { ...era, apiKey: bytes(32) } },
        { validUntil: await chain.now() },
        { validUntil: (await chain.now()) + 31n * DAY },
      ];
      for (const change of wrong) {
        const evidence = await evidenceOf(era, { change });
        assert.equal(
          await said(registry.registerEraCall(OPERATOR, era, evidence)),
          refused(era),
          Object.keys(change)[0],
        );
      }
      const { nonceBlock, evidence } = await evidenceOf(era);
      for (const spoilt of ['0x', evidence.slice(0, -64), `${evidence.slice(0, 90)}ff${evidence.slice(92)}`]) {
        const answer = await said(registry.registerEraCall(OPERATOR, era, { nonceBlock, evidence: spoilt }));
        assert.notEqual(answer, ACCEPTED);
      }
    });

    it('is renewed by anybody, for longer only, and by no evidence that is old', async () => {
      const { era, nonceBlock, evidence, attestation } = await registered();
      const anybody = chain.signer(9).address;
      const again = { nonceBlock, evidence };
      assert.equal(
        await said(renewal(era, again), anybody),
        `EvidenceNotLater(${attestation.validUntil}, ${attestation.validUntil})`,
      );
      const later = await evidenceOf(era, { change: { validUntil: (await chain.now()) + 20n * DAY } });
      const changed = { ...era, apiKey: bytes(32) };
      const call = renewal(changed, later);
      assert.match(await said(call, anybody), /^EraUnknown\(1, 0x/);
      await chain.mine(300);
      const stale = await said(renewal(era, later), anybody);
      assert.equal(stale, `NonceUnknown(${later.nonceBlock})`);
      const fresh = await evidenceOf(era, { change: { validUntil: (await chain.now()) + 20n * DAY } });
      await (await chain.signer(9).sendTransaction(renewal(era, fresh))).wait();
      assert.equal(await registry.activeUntil(OPERATOR, era.signer), fresh.attestation.validUntil);
    });

    it('is not replaced by who has no consent of its keys, so that no attestor can put himself into it, and end it', async () => {
      const { era } = await registered();
      const later = await evidenceOf(era, { change: { validUntil: (await chain.now()) + 20n * DAY } });
      const missing = new RegExp(`^ConsentMissing\\(1, ${getAddress(toBeHex(era.signer, 20))}\\)$`);
      const stranger = attestors[0]?.signingKey ?? assert.fail();
      assert.match(await said(renewal(era, later, stranger)), missing);
      const right = renewal(era, later);
      const of = (call: Call, changes: (values: unknown[]) => unknown[]) => {
        const values = [...REGISTRY.decodeFunctionData('renewEvidence', call.data)];
        return { ...call, data: REGISTRY.encodeFunctionData('renewEvidence', changes(values)) };
      };
      for (const consent of ['0x', `0x${'00'.repeat(65)}`, `0x${'11'.repeat(64)}1b`]) {
        assert.match(await said(of(right, (values) => [...values.slice(0, 4), consent])), missing);
      }
      // Consent is to this evidence, and this block.
      const other = await evidenceOf(era, { change: { validUntil: (await chain.now()) + 21n * DAY } });
      assert.match(
        await said(of(right, ([id, ofEra, block, _, consent]) => [id, ofEra, block, other.evidence, consent])),
        missing,
      );
      assert.match(
        await said(
          of(right, ([id, ofEra, block, evidence, consent]) => [id, ofEra, Number(block) - 1, evidence, consent]),
        ),
        missing,
      );
      assert.equal(await said(right), ACCEPTED);
    });

    it('outlives one attestor where more of them have signed than are needed', async () => {
      const era = await newEra();
      const { nonceBlock, nonce, evidence, attestation } = await evidenceOf(era, { by: attestors });
      await send(registry.registerEraCall(OPERATOR, era, { nonceBlock, evidence }));
      await chain.provider.send('hardhat_setBalance', [attestors[0]?.address, '0xde0b6b3a7640000']);
      await attestors[0]
        ?.connect(chain.provider)
        .sendTransaction(await of(verifier, 'withdraw', statementOf(attestation)));
      const call = registry.invalidateEvidenceCall(OPERATOR, era, nonce.hash, evidence);
      assert.match(await said(call), /^EvidenceHolds\(/);
    });

    it('does not outlive its era, and brings back no signer that was revoked', async () => {
      const { era } = await registered();
      await chain.setTime(era.expiry - DAY);
      const late = await evidenceOf(era, { change: { validUntil: era.expiry + DAY } });
      await send(renewal(era, late), 'registry.renewEvidence.attestors.2');
      assert.equal(await registry.activeUntil(OPERATOR, era.signer), era.expiry);
      await send(registry.revokeSignerCall(OPERATOR, era.signer));
      assert.equal(await registry.activeUntil(OPERATOR, era.signer), 0n);
      const later = await evidenceOf(era, { change: { validUntil: era.expiry + 2n * DAY } });
      assert.match(await said(renewal(era, later)), /^EraUnknown\(/);
      assert.equal(await registry.isActive(OPERATOR, era.signer), false);
    });

    it('is ended by anybody when it holds no more, and not before', async () => {
      const ways: Readonly<Record<string, (statement: string) => Promise<void>>> = {
        'an attestor withdraws it': async (digest) => {
          const call = await of(verifier, 'withdraw', digest);
          await chain.provider.send('hardhat_setBalance', [attestors[0]?.address, '0xde0b6b3a7640000']);
          await attestors[0]?.connect(chain.provider).sendTransaction(call);
        },
        'an attestor resigns': async () => {
          await chain.provider.send('hardhat_setBalance', [attestors[1]?.address, '0xde0b6b3a7640000']);
          await attestors[1]?.connect(chain.provider).sendTransaction(await of(verifier, 'resign'));
        },
        'its measurement is removed': async () => {
          // Whoever finds a hole in a program does not wait for a delay.
          await chain.signer(GUARDIAN).sendTransaction(await of(measurements, 'remove', MEASUREMENT));
        },
      };
      const anybody = chain.signer(9);
      for (const [title, way] of Object.entries(ways)) {
        const { era, nonce, evidence, attestation } = await registered();
        const call = registry.invalidateEvidenceCall(OPERATOR, era, nonce.hash, evidence);
        assert.equal(
          await said(call, anybody.address),
          `EvidenceHolds(1, ${era.number}, ${attestation.validUntil})`,
          title,
        );
        await way(statementOf(attestation));
        const wrong = registry.invalidateEvidenceCall(OPERATOR, era, ZeroHash, evidence);
        assert.equal(await said(wrong, anybody.address), `EvidenceUnknown(1, ${era.number})`);
        await (await anybody.sendTransaction(call)).wait();
        assert.equal(await registry.isActive(OPERATOR, era.signer), false, title);
        assert.equal(await said(call, anybody.address), `EvidenceUnknown(1, ${era.number})`, 'once');
        await startAgain();
        startAgain = await chain.snapshot();
      }
    });

    it('brings an era back where it holds again', async () => {
      const { era, nonce, evidence, attestation } = await registered();
      await chain.provider.send('hardhat_setBalance', [attestors[0]?.address, '0xde0b6b3a7640000']);
      await attestors[0]
        ?.connect(chain.provider)
        .sendTransaction(await of(verifier, 'withdraw', statementOf(attestation)));
      await send(registry.invalidateEvidenceCall(OPERATOR, era, nonce.hash, evidence), 'registry.invalidateEvidence');
      const others = attestors.slice(1);
      await send(renewal(era, await evidenceOf(era, { by: others })));
      assert.equal(await registry.isActive(OPERATOR, era.signer), true);
    });

    it('is withdrawn by what attestors have signed, whoever sends it', async () => {
      const era = await newEra();
      const { nonceBlock, nonce, evidence, attestation } = await evidenceOf(era, { by: attestors });
      await send(registry.registerEraCall(OPERATOR, era, { nonceBlock, evidence }));
      const anybody = chain.signer(9);
      const client = new AttestorsClient(attestation.verifier, chain.provider);
      const statementDigest = statementOf(attestation);
      const signed = (by: readonly Wallet[], digest = statementDigest, place: AttestorsPlace = attestation) =>
        Promise.all(by.map((attestor) => withdraw(attestor, place, digest)));
      const [first, second, third] = attestors as [Wallet, Wallet, Wallet];
      const answers = async (signatures: Promise<string[]>) =>
        said(client.withdrawSignedCall(statementDigest, await signatures), anybody.address);
      const stranger = new Wallet(`0x${'9'.repeat(64)}`);
      assert.equal(await answers(signed([stranger])), `NotAttestor(${stranger.address})`);
      assert.equal(
        await answers(signed([first, stranger])),
        `NotAttestor(${stranger.address})`,
        'all of them have to be',
      );
      for (const forged of [
        signed([first], ZeroHash),
        signed([first], statementDigest, { ...attestation, chainId: 1n }),
        signed([first], statementDigest, { ...attestation, verifier: 5n }),
        Promise.all([attest(first, attestation)]),
      ]) {
        assert.match(await answers(forged), /^NotAttestor\(/, 'nothing else that he signs withdraws it');
      }
      assert.match(await answers(Promise.resolve([`0x${'00'.repeat(65)}`])), /^ECDSAInvalidSignature/);
      const end = registry.invalidateEvidenceCall(OPERATOR, era, nonce.hash, evidence);
      const withdrawn = async (by: readonly Wallet[], gas?: string) => {
        const call = client.withdrawSignedCall(statementDigest, await signed(by));
        const receipt = await (await anybody.sendTransaction(call)).wait();
        if (gas !== undefined) expectGas(gas, executionGas(receipt?.gasUsed ?? 0n, call.data));
      };
      await withdrawn([second]);
      assert.match(await said(end, anybody.address), /^EvidenceHolds\(/, 'two of three stand by it');
      assert.equal(await client.isWithdrawn(second.address, statementDigest), true);
      assert.equal(await client.isWithdrawn(first.address, statementDigest), false);
      await withdrawn([third, second], 'attestors.withdrawSigned.2');
      await (await anybody.sendTransaction(end)).wait();
      assert.equal(await registry.isActive(OPERATOR, era.signer), false);
    });

    it('is withdrawn by attestors only', async () => {
      for (const call of [await of(verifier, 'withdraw', ZeroHash), await of(verifier, 'resign')]) {
        assert.equal(await said(call), `NotAttestor(${chain.signer().address})`);
      }
    });

    it('is not taken by a verifier that nobody, or anybody, could satisfy', async () => {
      const deploy = async (addresses: readonly string[], threshold: number) => {
        try {
          await deployContract(chain.signer(), 'AttestorQuoteVerifier', [measurements.target, addresses, threshold]);
        } catch (error) {
          if (!isCallException(error) || error.data === null) throw error;
          return errors.parseError(error.data)?.name;
        }
        return ACCEPTED;
      };
      const [low, high] = ['0x' + '11'.repeat(20), '0x' + '22'.repeat(20)] as const;
      assert.equal(await deploy([low, high], 2), ACCEPTED);
      for (const threshold of [0, 3]) assert.equal(await deploy([low, high], threshold), 'ThresholdInvalid');
      for (const addresses of [
        [high, low],
        [low, low],
        [ZeroAddress, low],
      ]) {
        assert.equal(await deploy(addresses, 1), 'AttestorInvalid');
      }
    });

    it('is of measurements that wait longer than the longest lock', async () => {
      assert.ok(MEASUREMENT_DELAY_SECONDS > LOCK_SECONDS_MAX);
      const propose = await of(measurements, 'propose', OTHER);
      const remove = await of(measurements, 'remove', OTHER);
      const stranger = chain.signer(5).address;
      assert.equal(await said(propose, stranger), `NotGovernor(${stranger})`);
      assert.equal(
        await said(propose, chain.signer(GUARDIAN).address),
        `NotGovernor(${chain.signer(GUARDIAN).address})`,
      );
      assert.equal(await said(remove, stranger), `NotGuardian(${stranger})`);
      assert.equal(await said(remove), `MeasurementUnknown(${OTHER})`);
      await (await chain.signer().sendTransaction(propose)).wait();
      assert.equal(await said(propose), `MeasurementKnown(${OTHER})`, 'proposing it again does not put it off');
      const from = (await chain.now()) + MEASUREMENT_DELAY_SECONDS;
      const era = await newEra();
      const answer = async (changes: Partial<Era> = {}) => {
        const asked = { ...era, ...changes };
        const evidence = await evidenceOf(asked, { change: { measurement: OTHER } });
        return said(registry.registerEraCall(OPERATOR, asked, evidence));
      };
      assert.equal(await answer(), refused(era));
      const expiry = from + DAY;
      await chain.setTime(from - 10n);
      assert.equal(await answer({ expiry }), refused(era));
      await chain.setTime(from);
      assert.equal(await answer({ expiry }), ACCEPTED);
      await (await chain.signer().sendTransaction(remove)).wait();
      assert.equal(await answer({ expiry }), refused(era));
    });
  });

  describe('by a DCAP verifier on the chain', () => {
    after(() => chain.close());
    const GAS = 4_000_000n;
    let dcap: Contract;
    // Status 0 is up to date, 1 wants hardened software.
    const STATUSES = 0b11;

    before(() =>
      open(async (allowed) => {
        const recorded = compile('test/contracts/doubles/RecordedDcap.sol', 'RecordedDcap', {});
        dcap = await chain.deploy<Contract>(recorded, [GAS]);
        const parameters = [dcap.target, allowed, STATUSES, 7n * DAY, GAS];
        return (await deployContract(chain.signer(), 'DcapQuoteVerifier', parameters)) as Contract;
      }),
    );

    /** What Automata's verifier answers: version, TEE, status, FMSPC, body, no advisories. */
    const answerTo = (quote: Uint8Array, status = 0) =>
      concat(
        Uint8Array.of(0, 4),
        quote.slice(4, 8),
        Uint8Array.of(status),
        new Uint8Array(6),
        quote.slice(48, 48 + 584),
      );
    const quoteFor = (era: Era, nonce: Nonce, change: Parameters<typeof simulatedEvidence>[0] = {}) => {
      const binding = { chainId: 31337n, registry: registry.address, operator: BigInt(OPERATOR), ...era };
      const reportData = eraReportData(binding, bytesOfHex(nonce.hash.slice(2), 'nonce', 32));
      return simulatedEvidence({ ...change, quote: { reportData, ...change.quote } }).quote;
    };
    const KEY_SERVICE = bytes(91);
    const pinned = { ...BOOT, keyProvider: JSON.stringify({ name: 'kms', id: hexOf(KEY_SERVICE) }) };
    const config: DstackConfig = {
      composeHash: bytesOfHex(BOOT.composeHash, 'compose hash', 32),
      appId: bytesOfHex(BOOT.appId, 'app id', 20),
      instanceId: bytesOfHex(BOOT.instanceId, 'instance id', 20),
      keyProviderId: KEY_SERVICE,
    };
    const configId = (form: number, digest: string) =>
      concat(Uint8Array.of(form), bytesOfHex(digest.slice(2), 'digest', 32), new Uint8Array(15));
    const packedId = ({ composeHash, appId, keyProviderId }: DstackConfig, kind = 2) =>
      configId(
        2,
        solidityPackedKeccak256(['bytes', 'bytes', 'uint8', 'bytes'], [composeHash, appId, kind, keyProviderId]),
      );
    /** As the machine's owner has written it. */
    const documentOf = ({ composeHash, appId, instanceId, keyProviderId }: DstackConfig) => ({
      app_id: hexOf(appId),
      compose_hash: hexOf(composeHash),
      instance_id: hexOf(instanceId),
      key_provider: 'kms',
      key_provider_id: hexOf(keyProviderId),
      version: 3,
    });
    const documentId = (document: string) => configId(3, sha256(toUtf8Bytes(`dstack-mr-config-v3:\0${document}`)));
    const FORMS: Readonly<Record<number, Uint8Array>> = {
      1: configIdOf(BOOT.composeHash),
      2: packedId(config),
      3: documentId(JSON.stringify(documentOf(config))),
    };

    const record = async (quote: Uint8Array, output: Uint8Array) => {
      await (await dcap.getFunction('record').send(quote, output)).wait();
    };
    const evidenceOf = async (
      era: Era,
      {
        status = 0,
        change = {},
        claim = config,
      }: { status?: number; change?: Parameters<typeof simulatedEvidence>[0]; claim?: DstackConfig } = {},
    ) => {
      const nonce = await registry.nonce();
      const quote = quoteFor(era, nonce, change);
      await record(quote, answerTo(quote, status));
      return { nonceBlock: nonce.block, nonce, quote, evidence: dcapEvidence(quote, claim) };
    };

    it('registers an era, and is asked again by whoever says that it holds no more', async () => {
      const era = await newEra();
      const evidence = await evidenceOf(era);
      await send(registry.registerEraCall(OPERATOR, era, evidence));
      assert.equal(await registry.isActive(OPERATOR, era.signer), true);
      const call = registry.invalidateEvidenceCall(OPERATOR, era, evidence.nonce.hash, evidence.evidence);
      assert.match(await said(call), /^EvidenceHolds\(/);
      // With little gas the DCAP verifier would run out, and say that the quote is wrong.
      for (const gas of [300_000n, 3_900_000n, 4_050_000n]) {
        assert.doesNotMatch(await said(call, chain.signer().address, gas), /^accepted$/);
      }
      await record(evidence.quote, answerTo(evidence.quote, 4));
      await send(call);
      assert.equal(await registry.isActive(OPERATOR, era.signer), false);
    });

    it('takes the statuses that it was made for, and no quote that is not TDX, or was not recorded', async () => {
      const era = await newEra();
      for (const [status, expected] of [
        [1, ACCEPTED],
        [2, refused(era)],
        [4, refused(era)],
        [6, refused(era)],
        [255, refused(era)],
      ] as const) {
        const evidence = await evidenceOf(era, { status });
        assert.equal(await said(registry.registerEraCall(OPERATOR, era, evidence)), expected);
      }
      const nonce = await registry.nonce();
      const quote = quoteFor(era, nonce);
      const ask = () =>
        said(
          registry.registerEraCall(OPERATOR, era, { nonceBlock: nonce.block, evidence: dcapEvidence(quote, config) }),
        );
      assert.equal(await ask(), refused(era));
      const whole = answerTo(quote);
      const sgx = Uint8Array.from(whole);
      sgx.set([0, 0, 0, 0], 2);
      for (const output of [sgx, whole.slice(0, -1), whole.slice(0, 13)]) {
        await record(quote, output);
        assert.equal(await ask(), refused(era));
      }
      await record(quote, whole);
      assert.equal(await ask(), ACCEPTED);
    });

    it('takes a quote of these keys, of an allowed program that nobody debugs', async () => {
      const era = await newEra();
      const other = async (change: Parameters<typeof simulatedEvidence>[0]) =>
        said(registry.registerEraCall(OPERATOR, era, await evidenceOf(era, { change })));
      assert.equal(await other({}), ACCEPTED);
      const zeros = new Uint8Array(48);
      // Bit by bit, lowest first.
      const attributes = (bit: number) => {
        const set = Uint8Array.of(0, 0, 0, 0x10, 0, 0, 0, 0);
        set[bit >> 3]! |= 1 << (bit & 7);
        return { tdAttributes: set };
      };
      for (const bit of [27, 28, 30, 31, 63]) assert.equal(await other({ quote: attributes(bit) }), ACCEPTED);
      for (const quote of [
        { mrTd: zeros },
        { rtmrs: [zeros, zeros, zeros, zeros] },
        ...[0, 1, 7, 8, 26, 29, 32, 62].map(attributes),
        { reportData: new Uint8Array(64) },
      ]) {
        assert.equal(await other({ quote }), refused(era), Object.keys(quote)[0]);
      }
      const evidence = await evidenceOf(era);
      for (const changes of [{ apiKey: bytes(32) }, { encryptionKey: bytes(32) }, { signer: era.signer ^ 1n }]) {
        const changed = { ...era, ...changes };
        assert.equal(await said(registry.registerEraCall(OPERATOR, changed, evidence)), refused(era));
      }
    });

    it('takes MRCONFIGID in each form that dstack has, as what the event log tells opens it', async () => {
      const events = developmentEvents(pinned);
      for (const [form, mrConfigId] of Object.entries(FORMS)) {
        const era = await newEra();
        const nonce = await registry.nonce();
        const change = { events, quote: { mrConfigId, rtmrs: rtmrsAfter(events) } };
        const quote = quoteFor(era, nonce, change);
        await record(quote, answerTo(quote));
        const binding = { chainId: 31337n, registry: registry.address, operator: BigInt(OPERATOR), ...era };
        const evidence = { ...simulatedEvidence(change), quote };
        const asked = { registry, provider: chain.provider, attestors: [], era: binding, nonce, validUntil: 0n };
        // As of a machine without dstack.
        const { eventLog: _, ...bare } = evidence;
        const alone = registryEvidence({ ...asked, evidence: bare });
        if (form === '1') assert.equal(await said(registry.registerEraCall(OPERATOR, era, await alone)), ACCEPTED);
        else await assert.rejects(alone, { code: 'MEASUREMENT_REFUSED' });
        const forged = { ...evidence, eventLog: '[]' };
        await assert.rejects(registryEvidence({ ...asked, evidence: forged }), { code: 'MEASUREMENT_REFUSED' });
        const made = await registryEvidence({ ...asked, evidence });
        await send(registry.registerEraCall(OPERATOR, era, made), `registry.registerEra.dcap.${form}`);
        assert.equal(await registry.isActive(OPERATOR, era.signer), true, form);
      }
    });

    it('takes no config that MRCONFIGID is not made of, and no form of it that may mean something else to the machine', async () => {
      const era = await newEra();
      const answer = async (mrConfigId: Uint8Array, claim = config) =>
        said(
          registry.registerEraCall(OPERATOR, era, await evidenceOf(era, { change: { quote: { mrConfigId } }, claim })),
        );
      const other: DstackConfig = { ...config, composeHash: bytes(32) };
      const spoilt = (id: Uint8Array, at: number, bits: number) =>
        id.map((byte, index) => (index === at ? byte ^ bits : byte));
      for (const id of Object.values(FORMS)) {
        assert.equal(await answer(id), ACCEPTED);
        // Another program that claims to be the allowed one, and one that is not allowed and says so.
        assert.equal(await answer(id, other), refused(era));
        for (const at of [1, 33, 47]) assert.equal(await answer(spoilt(id, at, 1)), refused(era), `byte ${at}`);
        for (const bits of [1, 2, 3]) assert.equal(await answer(spoilt(id, 0, bits)), refused(era), 'another form');
      }
      for (const id of [packedId(other), documentId(JSON.stringify(documentOf(other)))]) {
        assert.equal(await answer(id), refused(era));
        assert.equal(await answer(id, other), refused(era), 'it is not allowed');
      }
      const changes: readonly Partial<DstackConfig>[] = [
        { appId: bytes(20) },
        { keyProviderId: bytes(91) },
        { keyProviderId: new Uint8Array(0) },
        { keyProviderId: concat(KEY_SERVICE, Uint8Array.of(0)) },
      ];
      for (const change of changes) {
        assert.equal(await answer(FORMS[2] ?? assert.fail(), { ...config, ...change }), refused(era));
        assert.equal(await answer(FORMS[3] ?? assert.fail(), { ...config, ...change }), refused(era));
      }
      assert.equal(await answer(FORMS[3] ?? assert.fail(), { ...config, instanceId: bytes(20) }), refused(era));
      for (const kind of [0, 1, 3]) assert.equal(await answer(packedId(config, kind)), refused(era), 'no key service');
      const document = documentOf(config);
      const evil = hexOf(other.composeHash);
      for (const text of [
        JSON.stringify(document, null, 1),
        JSON.stringify({ ...document, key_provider: 'local-sgx' }),
        JSON.stringify({ ...document, version: 2 }),
        JSON.stringify({ ...document, gpu_policy_hash: evil }),
        JSON.stringify(document).replace('"version"', `"compose_hash":"${evil}","version"`),
        JSON.stringify(document).replace('{', `{"compose\\u005fhash":"${evil}",`),
        JSON.stringify(document).toUpperCase(),
        '',
      ]) {
        assert.equal(await answer(documentId(text)), refused(era), text);
      }
      assert.equal(await answer(new Uint8Array(48)), refused(era), 'dstack looks at nothing then');
    });

    it('ends what rests on a program that is not allowed any more, though the DCAP verifier fails altogether', async () => {
      const era = await newEra();
      const evidence = await evidenceOf(era);
      await send(registry.registerEraCall(OPERATOR, era, evidence));
      const call = registry.invalidateEvidenceCall(OPERATOR, era, evidence.nonce.hash, evidence.evidence);
      await (await dcap.getFunction('breakDown').send()).wait();
      assert.notEqual(await said(call), ACCEPTED, 'nobody knows');
      await chain.signer(GUARDIAN).sendTransaction(await of(measurements, 'remove', MEASUREMENT));
      await send(call);
      assert.equal(await registry.isActive(OPERATOR, era.signer), false);
    });

    it('takes no answer about another quote', async () => {
      const era = await newEra();
      const evidence = await evidenceOf(era);
      const { quote } = evidence;
      const other = quoteFor(era, evidence.nonce, { quote: { teeTcbSvn: new Uint8Array(16) } });
      await record(quote, answerTo(other));
      assert.equal(await said(registry.registerEraCall(OPERATOR, era, evidence)), refused(era));
    });

    it('refuses recorded quotes of real machines, which run other programs with other keys', async () => {
      const era = await newEra();
      for (const quote of [intelQuote(), dstackEvidence().quote]) {
        await record(quote, answerTo(quote));
        const { block } = await registry.nonce();
        const evidence = dcapEvidence(quote, config);
        assert.equal(
          await said(registry.registerEraCall(OPERATOR, era, { nonceBlock: block, evidence })),
          refused(era),
        );
      }
    });
  });
});
