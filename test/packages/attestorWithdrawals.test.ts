import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { eraReportData, type EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import type { Collateral } from '@bitcloak/attestation/collateral';
import { DevelopmentAuthority, type CollateralOptions } from '@bitcloak/attestation/development/authority';
import { configIdOf, developmentEvents, rtmrsAfter } from '@bitcloak/attestation/development/eventLog';
import { measurementDigest } from '@bitcloak/attestation/policy';
import type { Trust } from '@bitcloak/attestation/trust';
import { buildAttestor, type AttestorReport } from '@bitcloak/attestor/app';
import { askWithdrawal } from '@bitcloak/attestor/askAttestor';
import type { AttestationRequest, Attestor } from '@bitcloak/attestor/attestor';
import { eraInvalidation } from '@bitcloak/attestor/eraInvalidation';
import { isInUse } from '@bitcloak/attestor/registryUse';
import { registryEvidence } from '@bitcloak/attestor/registryEvidence';
import { watchStatements } from '@bitcloak/attestor/watchStatements';
import { AttestorsClient, statementOf, withdraw, withdrawerOf, type Attestation } from '@bitcloak/chain/attestors';
import { sendCall } from '@bitcloak/chain/pool';
import { RegistryClient, type Era, type Nonce } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { Wallet, ZeroAddress } from 'ethers';
import type { FastifyInstance } from 'fastify';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { BOOT, DAY, MR_TD, SEED, simulatedMeasurements, STRICT_TCB } from '../support/attestation.ts';
import { TestAttestors, TestEras } from '../support/attestors.ts';
import { openChain, type Chain } from '../support/chain.ts';
import { seededBytes } from '../support/random.ts';

const CHAIN_ID = 31337n;
const OPERATOR = 1;
const ANYBODY = 9;
const MEASUREMENT = `0x${measurementDigest(simulatedMeasurements())}`;
const HOUR = 3_600;

describe('attestors stand by what they signed', function () {
  this.timeout(60_000);
  const bytes = seededBytes('withdrawals');
  const wallets = ['1', '2', '3'].map((digit) => new Wallet(`0x${digit.repeat(64)}`));
  let chain: Chain;
  let registry: RegistryClient;
  let eras: TestEras;
  let verifier: bigint;
  let authority: DevelopmentAuthority;
  let start: number;
  let startAgain: () => Promise<void>;

  before(async () => {
    chain = await openChain();
    const governor = chain.signer();
    const addresses = wallets.map(({ address }) => address).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
    const timelock = await deployContract(governor, 'TimelockController', [172_800, [], [], ZeroAddress]);
    const parties = [governor.address, governor.address];
    const allowed = await deployContract(governor, 'Measurements', [...parties, [MEASUREMENT]]);
    const attestors = await deployContract(governor, 'AttestorQuoteVerifier', [allowed.target, addresses, 2]);
    const deployed = await deployContract(governor, 'Registry', [timelock.target, attestors.target]);
    verifier = BigInt(attestors.target as string);
    registry = new RegistryClient(BigInt(deployed.target as string), governor);
    eras = new TestEras(registry, OPERATOR, bytes);
    await sendCall(governor, registry.registerOperatorCall());
    start = Number(await chain.now());
    authority = new DevelopmentAuthority(SEED, start);
    startAgain = await chain.snapshot();
  });
  after(() => chain.close());

  const issued = (options: CollateralOptions = {}, clock = start) => authority.collateral(clock, options);
  const unreachable = (): never => {
    throw new BitcloakError('COLLATERAL_UNREACHABLE', 'no collateral from anywhere');
  };

  /** What happens around the attestors of one test. */
  const stage = () => ({
    /** What each attestor's service of collateral answers. */
    collateral: wallets.map(() => (): Collateral => issued()),
    clock: start + 60,
    reports: [] as AttestorReport[],
    trust: {
      anchor: authority.anchor,
      tcb: STRICT_TCB,
      measurements: { allowed: [simulatedMeasurements()] },
    } as Trust,
  });
  let now: ReturnType<typeof stage>;
  let attestors: TestAttestors;
  const apps: FastifyInstance[] = [];
  beforeEach(() => {
    now = stage();
    attestors = new TestAttestors();
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    attestors.end();
    await startAgain();
  });

  const open = (index: number, more: Partial<Parameters<TestAttestors['open']>[0]> = {}): Attestor =>
    attestors.open({
      chainId: CHAIN_ID,
      registry: registry.address,
      verifier,
      trust: now.trust,
      signer: wallets[index] ?? assert.fail(),
      collaterals: async () => (now.collateral[index] ?? assert.fail())(),
      validSecondsMax: 30 * DAY,
      clock: () => now.clock,
      ...more,
    });
  const serve = async (attestor: Attestor): Promise<string> => {
    const app = await buildAttestor({ attestor, ratePerMinute: 1_000, report: (line) => now.reports.push(line) });
    apps.push(app);
    return app.listen({ host: '127.0.0.1', port: 0 });
  };

  const newEra = async (): Promise<Era> => eras.next((await chain.now()) + 20n * BigInt(DAY));
  const bindingOf = (era: Era): EraBinding => ({
    chainId: CHAIN_ID,
    registry: registry.address,
    operator: BigInt(OPERATOR),
    number: era.number,
    signer: era.signer,
    encryptionKey: era.encryptionKey,
    apiKey: era.apiKey,
  });
  const evidenceOf = (era: Era, nonce: string, collateral = issued()) => {
    const events = developmentEvents(BOOT);
    const quote = authority.quote({
      reportData: eraReportData(bindingOf(era), bytesOfHex(nonce.slice(2), 'nonce', 32)),
      mrTd: MR_TD,
      mrConfigId: configIdOf(BOOT.composeHash),
      rtmrs: rtmrsAfter(events),
    });
    return { quote, eventLog: JSON.stringify(events), collateral };
  };
  const requestOf = (era: Era, nonce: Nonce, change: Partial<AttestationRequest> = {}): AttestationRequest => ({
    evidence: evidenceOf(era, nonce.hash),
    era: bindingOf(era),
    nonce: nonce.hash.slice(2),
    validUntil: start + 5 * DAY,
    ...change,
  });
  const statementFor = (era: Era, nonce: Nonce, validUntil = start + 5 * DAY): Attestation => ({
    chainId: CHAIN_ID,
    verifier,
    registry: registry.address,
    operator: BigInt(OPERATOR),
    era,
    nonce: nonce.hash,
    measurement: MEASUREMENT,
    validUntil: BigInt(validUntil),
  });
  const attested = async (era: Era, urls: readonly string[], validUntil: number) => {
    const nonce = await registry.nonce();
    const evidence = await registryEvidence({
      registry,
      provider: chain.provider,
      attestors: urls,
      evidence: evidenceOf(era, nonce.hash),
      era: bindingOf(era),
      nonce,
      validUntil: BigInt(validUntil),
    });
    const attestation = statementFor(era, nonce, validUntil);
    return { ...evidence, nonce, attestation, statement: statementOf(attestation) };
  };
  /** An era that rests on the word of these attestors. */
  const register = async (urls: readonly string[]) => {
    const era = await newEra();
    const evidence = await attested(era, urls, start + 5 * DAY);
    await sendCall(chain.signer(), registry.registerEraCall(OPERATOR, era, evidence));
    return { era, ...evidence };
  };
  /** @returns the digest of the statement that it rests on then. */
  const renew = async (era: Era, urls: readonly string[]): Promise<string> => {
    const evidence = await attested(era, urls, start + 6 * DAY);
    const signer = eras.signerOf(era) ?? assert.fail();
    await sendCall(chain.signer(), registry.renewEvidenceCall(CHAIN_ID, OPERATOR, era, evidence, signer));
    return evidence.statement;
  };
  const invalidation = (urls: readonly string[]) =>
    eraInvalidation({
      chainId: CHAIN_ID,
      registry,
      provider: chain.provider,
      startBlock: 0,
      operator: OPERATOR,
      attestors: urls,
    });
  const isActive = ({ signer }: Era) => registry.isActive(OPERATOR, signer);
  /** What one statement's attestor finds when it looks again. */
  const look = async (attestor: Attestor) => {
    const { withdrawn, unchecked } = await attestor.recheck();
    return [withdrawn.map(({ code }) => code), Object.fromEntries(unchecked)];
  };
  const signOne = async (attestor: Attestor) => {
    const [era, nonce] = [await newEra(), await registry.nonce()];
    await attestor.attest(requestOf(era, nonce));
    return statementOf(statementFor(era, nonce));
  };

  it('an era ends when two of three find its machine overtaken, and not before', async () => {
    const all = wallets.map((_, index) => open(index));
    const urls = await Promise.all(all.map(serve));
    const { era, nonce, evidence, statement, attestation } = await register(urls);
    const refused = async (words: RegExp) => {
      await assert.rejects(invalidation(urls), { code: 'ATTESTOR_FAILED', message: words });
      assert.equal(await isActive(era), true);
    };
    for (const attestor of all) assert.deepEqual(await look(attestor), [[], {}]);
    await refused(/^0 of the 2 attestors that are needed have withdrawn; (.*it stands by what it signed){3}$/);

    now.collateral[0] = () => issued({ recovery: start - 40 * DAY });
    assert.deepEqual(await look(all[0] ?? assert.fail()), [['TCB_REFUSED'], {}]);
    await refused(/^1 of the 2 attestors/);
    // Nor is it enough for whoever sends it anyway.
    const alone = await askWithdrawal(urls[0] ?? '', statement);
    const client = new AttestorsClient(verifier, chain.provider);
    const anybody = chain.signer(ANYBODY);
    await sendCall(anybody, client.withdrawSignedCall(statement, [alone?.signature ?? '']));
    await assert.rejects(
      sendCall(anybody, registry.invalidateEvidenceCall(OPERATOR, era, nonce.hash, evidence)),
      BitcloakError,
    );
    await refused(/^0 of the 1 attestors/);

    now.collateral[2] = () => issued({ recovery: start - 40 * DAY });
    await look(all[2] ?? assert.fail());
    const { calls, withdrawn } = await invalidation(urls);
    assert.deepEqual([...withdrawn], [[wallets[2]?.address, 'TCB_REFUSED']]);
    for (const call of calls) await sendCall(anybody, call);
    assert.equal(await isActive(era), false);
    await assert.rejects(invalidation(urls), { code: 'ERA_INACTIVE' }, 'once');
    assert.equal(withdrawerOf(attestation, statement, alone?.signature ?? ''), wallets[0]?.address);
  });

  it('ends with one call where nobody has to be asked', async () => {
    const urls = await Promise.all(wallets.slice(0, 2).map((_, index) => serve(open(index))));
    const { era, statement, attestation } = await register(urls);
    const client = new AttestorsClient(verifier, chain.provider);
    const signature = await withdraw(wallets[1] ?? assert.fail(), attestation, statement);
    await sendCall(chain.signer(ANYBODY), client.withdrawSignedCall(statement, [signature]));
    const { calls } = await invalidation([]);
    assert.equal(calls.length, 1);
    await sendCall(chain.signer(ANYBODY), calls[0] ?? assert.fail());
    assert.equal(await isActive(era), false);
  });

  it('withdraws what its own collateral says is wrong, whatever it is', async () => {
    const ways: readonly (readonly [string, CollateralOptions])[] = [
      ['EVIDENCE_REVOKED', { revoked: ['pck'] }],
      ['EVIDENCE_REVOKED', { revoked: ['platform'] }],
      ['EVIDENCE_UNTRUSTED', { qeIdentity: { mrsigner: 'AB'.repeat(32) } }],
      ['TCB_REFUSED', { recovery: start - HOUR, evaluationNumber: 2 }],
    ];
    for (const [code, options] of ways) {
      now = stage();
      const attestor = open(0);
      const statement = await signOne(attestor);
      now.collateral[0] = () => issued(options);
      assert.deepEqual(await look(attestor), [[code], {}]);
      assert.equal(attestor.withdrawal(statement)?.code, code);
      assert.deepEqual(await look(attestor), [[], {}], 'once');
    }
  });

  it('grants the grace that its policy has, and no more', async () => {
    now.trust = { ...now.trust, tcb: { ...STRICT_TCB, graced: ['OutOfDate'], graceSeconds: 10 * DAY } };
    const attestor = open(0);
    await signOne(attestor);
    now.collateral[0] = () => issued({ recovery: start - 9 * DAY });
    assert.deepEqual(await look(attestor), [[], {}]);
    now.clock = start + DAY;
    assert.deepEqual(await look(attestor), [['TCB_REFUSED'], {}]);
  });

  it('withdraws nothing for a service of collateral that fails, or is behind', async () => {
    const attestor = open(0);
    const newer = issued({ evaluationNumber: 3 });
    const [era, nonce] = [await newEra(), await registry.nonce()];
    now.collateral[0] = () => newer;
    await attestor.attest(requestOf(era, nonce, { evidence: evidenceOf(era, nonce.hash, newer) }));
    const wrong: readonly (readonly [string, () => Collateral])[] = [
      ['COLLATERAL_UNREACHABLE', unreachable],
      ['ATTESTOR_FAILED', () => assert.fail('whatever else')],
      ['EVIDENCE_MALFORMED', () => ({ ...newer, tcbInfo: '{}' })],
      ['EVIDENCE_UNTRUSTED', () => ({ ...newer, tcbInfo: newer.tcbInfo.replace('UpToDate', 'Revoked') })],
      ['EVIDENCE_EXPIRED', () => issued({ evaluationNumber: 3, recovery: start - 40 * DAY }, start - 31 * DAY)],
      ['EVIDENCE_EXPIRED', () => issued({ evaluationNumber: 2, recovery: start - 40 * DAY })],
      ['EVIDENCE_UNTRUSTED', () => issued({ evaluationNumber: 3, tcbInfo: { fmspc: '00'.repeat(6) } })],
      // Of the quoting enclave it is older than the policy wants it, and says nothing of any.
      ['TCB_REFUSED', () => issued({ evaluationNumber: 3, qeIdentity: { tcbEvaluationDataNumber: 0 } })],
      // Who signed the TCB info may not any more, and says that all is revoked.
      ['EVIDENCE_REVOKED', () => issued({ evaluationNumber: 3, revoked: ['tcbSigning'], recovery: start - 40 * DAY })],
    ];
    for (const [code, collateral] of wrong) {
      now.collateral[0] = collateral;
      assert.deepEqual(await look(attestor), [[], { [code]: 1 }], code);
      assert.deepEqual(attestor.standing, { kept: 1, withdrawn: 0, unchecked: 1, checkedAt: now.clock });
    }
    now.collateral[0] = () => newer;
    assert.deepEqual(await look(attestor), [[], {}]);
    assert.equal(attestor.standing.unchecked, 0);
    now.collateral[0] = () => issued({ evaluationNumber: 2 });
    assert.deepEqual(await look(attestor), [[], { EVIDENCE_EXPIRED: 1 }], 'nor does it say that all is well');
    now.collateral[0] = () => issued({ evaluationNumber: 3, recovery: start - 40 * DAY });
    assert.deepEqual(await look(attestor), [['TCB_REFUSED'], {}], 'and what comes then counts');
  });

  it('withdraws what is revoked by a service that is behind too: its enclave chose by whose collateral', async () => {
    const attestor = open(0);
    const [era, nonce] = [await newEra(), await registry.nonce()];
    const newer = issued({ evaluationNumber: 3 });
    await attestor.attest(requestOf(era, nonce, { evidence: evidenceOf(era, nonce.hash, newer) }));
    now.collateral[0] = () => issued({ evaluationNumber: 2, revoked: ['pck'] });
    assert.deepEqual(await look(attestor), [['EVIDENCE_REVOKED'], {}]);
  });

  it('signs nothing that it would withdraw, whatever collateral it is shown, nor what it has withdrawn', async () => {
    const attestor = open(0);
    const [era, nonce] = [await newEra(), await registry.nonce()];
    now.collateral[0] = () => issued({ recovery: start - 40 * DAY });
    await assert.rejects(attestor.attest(requestOf(era, nonce)), { code: 'TCB_REFUSED' });
    assert.equal(attestor.standing.kept, 0);
    await attestor.recheck();
    now.collateral[0] = unreachable;
    await attestor.recheck();
    // As long as a service does not answer, what was shown is all that there is.
    await attestor.attest(requestOf(era, nonce));
    now.collateral[0] = () => issued({ recovery: start - 40 * DAY });
    assert.deepEqual(await look(attestor), [['TCB_REFUSED'], {}]);
    now.collateral[0] = () => issued();
    await attestor.recheck();
    await assert.rejects(attestor.attest(requestOf(era, nonce)), { code: 'TCB_REFUSED', message: /withdrawn/ });
    await attestor.attest(requestOf(era, nonce, { validUntil: start + 4 * DAY }));
  });

  it('stands by it after a restart, which may bring another policy', async () => {
    const directory = attestors.directory();
    const first = open(0, { directory });
    const held = await signOne(first);
    const lost = await signOne(first);
    now.collateral[0] = () => issued({ revoked: ['pck'] });
    // A process that is killed while it writes leaves this.
    writeFileSync(join(directory, `${held.slice(2)}.4711.new`), 'half');
    await first.recheck();
    const said = first.withdrawal(lost);
    attestors.close(first);
    const second = open(0, { directory });
    assert.deepEqual(second.withdrawal(lost), said);
    assert.equal(second.standing.withdrawn, 2);
    assert.ok(!readdirSync(directory).some((name) => name.endsWith('.new')));
    assert.throws(() => open(0, { directory }), { code: 'STATEMENTS_BUSY' });
    attestors.close(second);
    assert.throws(() => open(1, { directory }), { code: 'USAGE', message: /another/ });
  });

  it('withdraws after a restart what its new policy does not allow', async () => {
    const directory = attestors.directory();
    const first = open(0, { directory });
    await signOne(first);
    attestors.close(first);
    const [allowed] = now.trust.measurements.allowed;
    now.trust = {
      ...now.trust,
      measurements: { allowed: [{ ...(allowed ?? assert.fail()), composeHash: '00'.repeat(32) }] },
    };
    assert.deepEqual(await look(open(0, { directory })), [['MEASUREMENT_REFUSED'], {}]);
  });

  it('withdraws nothing for a disk that turns bits, and does not start with what is damaged', async () => {
    const directory = attestors.directory();
    const attestor = open(0, { directory });
    const statement = await signOne(attestor);
    const path = join(directory, statement.slice(2));
    const text = readFileSync(path, 'utf8');
    for (const place of [3, 70, text.indexOf('"quote"') + 300, text.length - 2]) {
      const turned = String.fromCharCode(text.charCodeAt(place) ^ 1);
      writeFileSync(path, text.slice(0, place) + turned + text.slice(place + 1));
      assert.deepEqual(await look(attestor), [[], { STATEMENTS_CORRUPT: 1 }], String(place));
    }
    writeFileSync(path, text.slice(0, -1));
    attestors.close(attestor);
    assert.throws(() => open(0, { directory }), {
      code: 'STATEMENTS_CORRUPT',
      message: new RegExp(statement.slice(2)),
    });
    // Under another name it is another statement's.
    rmSync(path);
    writeFileSync(join(directory, 'ab'.repeat(32)), text);
    assert.throws(() => open(0, { directory }), { code: 'STATEMENTS_CORRUPT' });
    rmSync(join(directory, 'ab'.repeat(32)));
    writeFileSync(path, text);
    assert.deepEqual(await look(open(0, { directory })), [[], {}]);
  });

  it('keeps no more than it has room for, forgets what is over, and never what a registry rests on', async () => {
    const provider = chain.provider;
    const directory = attestors.directory();
    const inUse = { isInUse: (kept: Parameters<typeof isInUse>[0]) => isInUse(kept, registry, provider, now.clock) };
    const attestor = open(0, { directory, keptBytes: 100_000, ...inUse });
    const urls = [await serve(attestor), await serve(open(1))];
    const { era, statement } = await register(urls);
    let signed = 1;
    // From what an enclave shows to whoever asks: for an era that is active, and for longer.
    await assert.rejects(
      async () => {
        for (; signed < 100; signed++) {
          await chain.mine();
          await attestor.attest(requestOf(era, await registry.nonce()));
        }
      },
      { code: 'RATE_LIMITED' },
    );
    assert.ok(signed > 1);
    assert.equal(attestor.standing.kept, signed, 'and has signed for nothing that it does not keep');
    await attestor.forgetUnused();
    assert.equal(attestor.standing.kept, signed, 'what names a recent block may still come to be used');
    await chain.mine(400);
    await attestor.forgetUnused();
    assert.equal(attestor.standing.kept, 1);
    assert.equal(attestor.withdrawal(statement), undefined);
    const renewed = await renew(era, urls);
    assert.equal(attestor.standing.kept, 2);
    await chain.mine(400);
    await attestor.forgetUnused();
    assert.equal(attestor.standing.kept, 1, 'nor what newer evidence has taken the place of');
    now.collateral[0] = () => issued({ revoked: ['pck'] });
    await attestor.recheck();
    assert.ok(attestor.withdrawal(renewed), 'the one that is used is still there');
    await sendCall(chain.signer(), registry.revokeSignerCall(OPERATOR, era.signer));
    await chain.mine(400);
    await attestor.forgetUnused();
    assert.equal(attestor.standing.kept, 0);
    now.collateral[0] = () => issued();
    await attestor.recheck();
    await signOne(attestor);
    // Of a block that the endpoint does not know yet, or that never was.
    await attestor.attest(requestOf(await newEra(), { block: 1, hash: `0x${'ab'.repeat(32)}` }));
    await attestor.forgetUnused();
    assert.equal(attestor.standing.kept, 2);
    now.clock += HOUR;
    await attestor.forgetUnused();
    assert.equal(attestor.standing.kept, 1);
    now.clock = start + 5 * DAY + HOUR;
    await attestor.recheck();
    assert.deepEqual(readdirSync(directory), ['lock']);
  });

  it('is believed for nobody else', async () => {
    const [first, second] = [open(0), open(1)];
    const urls = [await serve(first), await serve(second), await serve(open(2))];
    const { statement, attestation } = await register(urls);
    const forgeries = [
      await withdraw(new Wallet(`0x${'9'.repeat(64)}`), attestation, statement),
      await withdraw(wallets[0] ?? assert.fail(), attestation, `0x${'00'.repeat(32)}`),
      `0x${'11'.repeat(65)}`,
      'no signature',
    ];
    let served: unknown;
    const server = createServer((_asked, response) => {
      response.end(JSON.stringify({ withdrawal: served }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const liar = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      for (const signature of forgeries) {
        served = { signature, code: 'TCB_REFUSED' };
        await assert.rejects(invalidation([...urls, liar]), {
          code: 'ATTESTOR_FAILED',
          message: /^0 of the 2 .*not signed by/,
        });
      }
      for (served of [undefined, 5, {}, { signature: 5, code: 'x' }, []]) {
        await assert.rejects(invalidation([liar]), { code: 'ATTESTOR_FAILED', message: /: status 200$/ });
      }
      now.collateral[0] = () => issued({ revoked: ['pck'] });
      await first.recheck();
      served = await askWithdrawal(urls[0] ?? '', statement);
      const twice = [urls[0] ?? '', `${urls[0] ?? ''}/`, liar];
      await assert.rejects(invalidation(twice), { message: /^1 of the 2/ }, 'nobody counts twice');
    } finally {
      server.close();
    }
    assert.equal(await askWithdrawal(urls[1] ?? '', statement), null);
    assert.equal(await askWithdrawal(urls[1] ?? '', 'nothing'), null);
  });

  it('says loudly what it found', async () => {
    const attestor = open(0);
    const url = await serve(attestor);
    const statement = await signOne(attestor);
    const health = async () => (await (await fetch(`${url}/health`)).json()) as Record<string, unknown>;
    assert.deepEqual(await health(), { status: 'ok', kept: 1, withdrawn: 0, unchecked: 0, checkedAt: null });
    const stopping = new AbortController();
    const lines: AttestorReport[] = [];
    const answers = [unreachable, () => issued({ revoked: ['pck'] })];
    now.collateral[0] = () => (answers.shift() ?? assert.fail())();
    const report = (line: AttestorReport) => {
      lines.push(line);
      if (line.kind === 'withdrawn') stopping.abort();
    };
    await watchStatements(attestor, { seconds: 0.001, signal: stopping.signal, report });
    const [unchecked, withdrawn] = lines;
    assert.deepEqual(unchecked, { kind: 'unchecked', code: 'COLLATERAL_UNREACHABLE', statements: 1 });
    assert.ok(withdrawn?.kind === 'withdrawn');
    const { statement: named, operator, era, code } = withdrawn;
    assert.deepEqual([named, operator, era, code], [statement, '1', '1', 'EVIDENCE_REVOKED']);
    assert.deepEqual(await health(), { status: 'ok', kept: 1, withdrawn: 1, unchecked: 0, checkedAt: now.clock });
  });
});
