import assert from 'node:assert/strict';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import { eraReportData } from '@bitcloak/attestation/binding';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import {
  DEVELOPMENT_NAMES,
  DEVELOPMENT_PLATFORM,
  DEVELOPMENT_SERIALS,
  DevelopmentAuthority,
} from '@bitcloak/attestation/development/authority';
import { configIdOf, developmentEvents, rtmrsAfter } from '@bitcloak/attestation/development/eventLog';
import {
  extensionOf,
  issueCertificate,
  issueCrl,
  sgxExtension,
  type CertificateRequest,
} from '@bitcloak/attestation/development/x509';
import { bytesOfHex, hexOf } from '@bitcloak/attestation/bytes';
import { pemOf } from '@bitcloak/attestation/pem';
import { parseQuote } from '@bitcloak/attestation/quote';
import { CHECKS, factsOfReport, verifyEvidence, type CheckName } from '@bitcloak/attestation/verify';
import type { ErrorCode } from '@bitcloak/protocol/errors';
import {
  assertRefused,
  BOOT,
  CLOCK,
  DAY,
  developmentAuthority,
  ERA,
  NONCE,
  SEED,
  simulatedEvidence,
  simulatedExpectations,
  simulatedMeasurements,
  STRICT_TCB,
  type Simulation,
} from '../support/attestation.ts';

const authority = developmentAuthority();
const YEAR = 365 * DAY;

/** The request that the authority's own PCK is issued by. */
const PCK: CertificateRequest = {
  subject: DEVELOPMENT_NAMES.pck,
  publicKey: authority.keys.pck.publicKey,
  issuer: DEVELOPMENT_NAMES.platform,
  issuerKey: authority.keys.platform,
  serial: DEVELOPMENT_SERIALS.pck,
  notBefore: CLOCK - DAY,
  notAfter: CLOCK + YEAR,
  isAuthority: false,
  extensions: [sgxExtension(DEVELOPMENT_PLATFORM)],
};

const withPck = (request: Partial<CertificateRequest>): Simulation => {
  const { platform, root } = authority.certificates;
  return { quote: { chain: [issueCertificate({ ...PCK, ...request }), platform, root] } };
};

/** A platform authority's certificate in the quote, and in the chain of the CRL. */
const withPlatform = (request: Partial<CertificateRequest>): Simulation => {
  const { pck, root } = authority.certificates;
  const platform = issueCertificate({
    ...PCK,
    subject: DEVELOPMENT_NAMES.platform,
    publicKey: authority.keys.platform.publicKey,
    issuer: DEVELOPMENT_NAMES.root,
    issuerKey: authority.keys.root,
    serial: DEVELOPMENT_SERIALS.platform,
    isAuthority: true,
    pathLength: 0,
    extensions: [],
    ...request,
  });
  return { quote: { chain: [pck, platform, root] } };
};

const refused = (simulation: Simulation, expected: readonly [CheckName, ErrorCode, RegExp?]) =>
  assertRefused(simulatedEvidence(simulation), simulatedExpectations(), expected);

describe('evidence of a development authority', () => {
  it('is accepted under its own root, and proves what it shows', async () => {
    const report = await verifyEvidence(simulatedEvidence(), simulatedExpectations());
    assert.deepEqual(
      report.checks.map(({ name, passed }) => [name, passed]),
      Object.keys(CHECKS).map((name) => [name, true]),
    );
    const facts = factsOfReport(report);
    assert.equal(facts.status, 'UpToDate');
    assert.equal(facts.behindSince, undefined);
    assert.deepEqual(facts.platform, DEVELOPMENT_PLATFORM);
    assert.deepEqual(facts.measurements, {
      ...simulatedMeasurements(),
      appId: BOOT.appId,
      osImageHash: BOOT.osImageHash,
      keyProvider: BOOT.keyProvider,
    });
    assert.equal(facts.instanceId, BOOT.instanceId);
    assert.equal(facts.validUntil, CLOCK + 30 * DAY);
    // What it says of its end is its end.
    const at = (clock: number) => verifyEvidence(simulatedEvidence(), simulatedExpectations({ clock }));
    assert.equal((await at(facts.validUntil - 1)).accepted, true);
    assert.equal((await at(facts.validUntil)).accepted, false);
  });

  it('is the same from the same seed, and another from another', () => {
    const [one, two] = [
      new DevelopmentAuthority(SEED, CLOCK),
      new DevelopmentAuthority(
        SEED.map((b) => b ^ 1),
        CLOCK,
      ),
    ];
    assert.deepEqual(simulatedEvidence({ authority: one }), simulatedEvidence());
    assert.notDeepEqual(one.anchor, two.anchor);
    assert.throws(() => new DevelopmentAuthority(new Uint8Array(31), CLOCK), { code: 'USAGE' });
  });

  it("is refused under Intel's root, and under another authority's", async () => {
    const expected = ['collateral-signatures', 'EVIDENCE_UNTRUSTED', /its root is/] as const;
    await assertRefused(simulatedEvidence(), simulatedExpectations({ anchor: INTEL_ROOT }), expected);
    const { anchor } = new DevelopmentAuthority(new Uint8Array(32), CLOCK);
    await assertRefused(simulatedEvidence(), simulatedExpectations({ anchor }), expected);
  });

  it('is refused with a quote of another authority beside good collateral', async () => {
    const other = new DevelopmentAuthority(new Uint8Array(32), CLOCK);
    const { quote } = simulatedEvidence({ authority: other });
    await assertRefused({ ...simulatedEvidence(), quote }, simulatedExpectations(), [
      'pck-chain',
      'EVIDENCE_UNTRUSTED',
      /its root is/,
    ]);
    const chain = [authority.certificates.pck, authority.certificates.platform, authority.certificates.root];
    await assertRefused(
      { ...simulatedEvidence(), quote: simulatedEvidence({ authority: other, quote: { chain } }).quote },
      simulatedExpectations(),
      ['quoting-enclave', 'EVIDENCE_UNTRUSTED'],
    );
  });

  it('has a report even where something that is no evidence comes', async () => {
    for (const evidence of [
      {},
      { quote: null, collateral: null },
      { quote: 'quote', collateral: {} },
      { ...simulatedEvidence(), eventLog: 7 },
    ]) {
      const report = await verifyEvidence(evidence as never, simulatedExpectations());
      assert.ok(!report.accepted);
      assert.equal(report.error.code, 'EVIDENCE_MALFORMED');
      assert.throws(() => factsOfReport(report), report.error);
    }
  });

  it('cannot be measured against what cannot be meant', async () => {
    const { tcb } = simulatedExpectations();
    const set = simulatedMeasurements();
    for (const expectations of [
      { tcb: { ...tcb, accepted: ['UpToDate', 'Revoked'] } },
      { tcb: { ...tcb, graced: ['Revoked'] } },
      { tcb: { ...tcb, accepted: ['Fine'] } },
      { tcb: { ...tcb, graceSeconds: -1 } },
      { tcb: { ...tcb, collateralSecondsMax: Number.NaN } },
      { tcb: { ...tcb, evaluationNumberMin: undefined } },
      { clock: 1.5 },
      { clock: Number.NaN },
      { measurements: { allowed: [{ ...set, mrTd: set.mrTd.toUpperCase() }] } },
      { measurements: { allowed: [{ ...set, rtmr0: undefined }] } },
      { measurements: { allowed: [{ composeHash: set.composeHash }] } },
      { measurements: { allowed: [{ ...set, composeHash: '00' }] } },
      { binding: { ...ERA, signer: 1n << 160n } },
      { binding: { ...ERA, apiKey: new Uint8Array(33) } },
      { nonce: new Uint8Array(31) },
    ]) {
      const all = { ...simulatedExpectations(), ...(expectations as object) };
      await assert.rejects(
        verifyEvidence(simulatedEvidence(), all),
        { code: 'USAGE' },
        JSON.stringify(Object.keys(expectations)),
      );
    }
    const verifier = new CollateralVerifier(INTEL_ROOT);
    await assert.rejects(verifyEvidence(simulatedEvidence(), simulatedExpectations(), verifier), { code: 'USAGE' });
  });
});

describe('certificates of a development authority', () => {
  for (const role of ['pck', 'platform', 'tcbSigning', 'root'] as const) {
    it(`are refused when the CRL has that of ${role}`, () =>
      refused({ collateral: { revoked: [role] } }, [
        'revocation',
        'EVIDENCE_REVOKED',
        new RegExp(DEVELOPMENT_NAMES[role]),
      ]));
  }

  it('are refused when they have ended, or not begun, though the collateral is new', async () => {
    for (const clock of [CLOCK - 11 * YEAR, CLOCK + YEAR]) {
      const other = new DevelopmentAuthority(SEED, clock);
      const evidence = simulatedEvidence({ authority: other });
      await assertRefused(evidence, simulatedExpectations(), ['validity', 'EVIDENCE_EXPIRED', /chain/]);
    }
    await refused(withPck({ notAfter: CLOCK + 59 }), ['validity', 'EVIDENCE_EXPIRED', /PCK chain, certificate 1/]);
    const last = await verifyEvidence(simulatedEvidence(withPck({ notAfter: CLOCK + 60 })), simulatedExpectations());
    assert.equal(last.accepted, true);
    await refused(withPck({ notBefore: CLOCK + 61 }), ['validity', 'EVIDENCE_EXPIRED']);
  });

  it('are refused in surplus, too few, in another order or twice', async () => {
    const { pck, platform, root, tcbSigning } = authority.certificates;
    for (const [chain, check, code] of [
      [[pck, platform, root, root], 'pck-chain', 'EVIDENCE_MALFORMED'],
      [[pck, platform, root, tcbSigning], 'pck-chain', 'EVIDENCE_MALFORMED'],
      [[pck, platform], 'pck-chain', 'EVIDENCE_MALFORMED'],
      [[pck, root], 'pck-chain', 'EVIDENCE_MALFORMED'],
      [[platform, pck, root], 'pck-chain', 'EVIDENCE_UNTRUSTED'],
      [[root, platform, pck], 'pck-chain', 'EVIDENCE_UNTRUSTED'],
      [[pck, root, platform], 'pck-chain', 'EVIDENCE_UNTRUSTED'],
      [[platform, platform, root], 'pck-chain', 'EVIDENCE_UNTRUSTED'],
      [[tcbSigning, platform, root], 'pck-chain', 'EVIDENCE_UNTRUSTED'],
    ] as const) {
      await refused({ quote: { chain } }, [check, code]);
    }
  });

  const unknown = (critical: boolean) => extensionOf('1.2.3.4', critical, Uint8Array.of(5, 0));
  for (const [what, request, code] of [
    [
      'a critical extension that is unknown',
      { extensions: [...(PCK.extensions ?? []), unknown(true)] },
      'EVIDENCE_MALFORMED',
    ],
    [
      'an extension twice',
      { extensions: [...(PCK.extensions ?? []), unknown(false), unknown(false)] },
      'EVIDENCE_MALFORMED',
    ],
    ['an authority in place of the PCK', { isAuthority: true }, 'EVIDENCE_UNTRUSTED'],
    ['the name of something else', { subject: DEVELOPMENT_NAMES.tcbSigning }, 'EVIDENCE_UNTRUSTED'],
    // Certificates may be signed with it, and nothing else.
    ['a key for another use', { keyUsage: 32 }, 'EVIDENCE_UNTRUSTED'],
    ["another issuer's name", { issuer: DEVELOPMENT_NAMES.root }, 'EVIDENCE_UNTRUSTED'],
    ["another issuer's signature", { issuerKey: authority.keys.root }, 'EVIDENCE_UNTRUSTED'],
  ] as const) {
    it(`are refused with ${what}`, () => refused(withPck(request), ['pck-chain', code]));
  }

  it('are accepted with an extension that is unknown and not critical', async () => {
    const evidence = simulatedEvidence(withPck({ extensions: [...(PCK.extensions ?? []), unknown(false)] }));
    assert.equal((await verifyEvidence(evidence, simulatedExpectations())).accepted, true);
  });

  it('are refused when the authority between is none, or is for another depth', async () => {
    assert.equal((await verifyEvidence(simulatedEvidence(withPlatform({})), simulatedExpectations())).accepted, true);
    await refused(withPlatform({ isAuthority: false }), ['pck-chain', 'EVIDENCE_UNTRUSTED', /authority/]);
    await refused(withPlatform({ issuerKey: authority.keys.platform }), [
      'pck-chain',
      'EVIDENCE_UNTRUSTED',
      /signature/,
    ]);
    // CRLs, but no certificates; then certificates, but no CRLs.
    for (const keyUsage of [64, 32]) {
      await refused(withPlatform({ keyUsage }), ['pck-chain', 'EVIDENCE_UNTRUSTED', /another use/]);
    }
    const { pck, platform } = authority.certificates;
    const shallow = issueCertificate({
      ...PCK,
      subject: DEVELOPMENT_NAMES.root,
      publicKey: authority.keys.root.publicKey,
      issuer: DEVELOPMENT_NAMES.root,
      issuerKey: authority.keys.root,
      isAuthority: true,
      pathLength: 0,
      extensions: [],
    });
    await refused({ quote: { chain: [pck, platform, shallow] } }, ['pck-chain', 'EVIDENCE_UNTRUSTED', /below/]);
  });

  it('are refused when the CRL is that of an authority with the same name and another key', async () => {
    const other = new DevelopmentAuthority(new Uint8Array(32).fill(1), CLOCK);
    const evidence = simulatedEvidence(withPlatform({ publicKey: other.keys.platform.publicKey }));
    const chain = [issueCertificate({ ...PCK, issuerKey: other.keys.platform })];
    const platform = withPlatform({ publicKey: other.keys.platform.publicKey }).quote?.chain?.slice(1) ?? [];
    await assertRefused(
      { ...evidence, quote: simulatedEvidence({ quote: { chain: [...chain, ...platform] } }).quote },
      simulatedExpectations(),
      ['revocation', 'EVIDENCE_UNTRUSTED', /no CRL/],
    );
  });

  it('are refused when the CRL is that of an authority with the same key and another name', async () => {
    const subject = `${DEVELOPMENT_NAMES.platform} 2`;
    const [pck = assert.fail()] = withPck({ issuer: subject }).quote?.chain ?? [];
    const [, platform = assert.fail(), root = assert.fail()] = withPlatform({ subject }).quote?.chain ?? [];
    await refused({ quote: { chain: [pck, platform, root] } }, ['revocation', 'EVIDENCE_UNTRUSTED', /no CRL/]);
  });

  it('are refused with a CRL that is signed by another, out of date, or not a whole one', async () => {
    const crl = (change: object) =>
      hexOf(
        issueCrl({
          issuer: DEVELOPMENT_NAMES.platform,
          issuerKey: authority.keys.platform,
          thisUpdate: CLOCK,
          nextUpdate: CLOCK + DAY,
          revoked: [],
          ...change,
        }),
      );
    const fine = await verifyEvidence(simulatedEvidence({ altered: { pckCrl: crl({}) } }), simulatedExpectations());
    assert.equal(fine.accepted, true);
    for (const [change, check, code] of [
      [{ issuerKey: authority.keys.root }, 'collateral-signatures', 'EVIDENCE_UNTRUSTED'],
      [{ issuer: DEVELOPMENT_NAMES.root }, 'collateral-signatures', 'EVIDENCE_UNTRUSTED'],
      [{ nextUpdate: CLOCK + 60 }, 'validity', 'EVIDENCE_EXPIRED'],
      [{ thisUpdate: CLOCK + 61 }, 'validity', 'EVIDENCE_EXPIRED'],
      // Of changes since another list.
      [{ extensions: [extensionOf('2.5.29.27', true, Uint8Array.of(2, 1, 1))] }, 'collateral', 'EVIDENCE_MALFORMED'],
    ] as const) {
      await refused({ altered: { pckCrl: crl(change) } }, [check, code]);
    }
  });

  it('are refused when the PCK lacks what collateral is chosen by', () =>
    refused(withPck({ extensions: [] }), ['platform', 'EVIDENCE_MALFORMED', /SGX extension/]));

  it('may not be signed by the PCK authority where TCB info is', async () => {
    const { platform, root } = authority.certificates;
    const signer = issueCertificate({ ...PCK, subject: DEVELOPMENT_NAMES.tcbSigning, extensions: [] });
    await refused({ altered: { tcbInfoIssuerChain: pemOf(signer, platform) } }, [
      'collateral-signatures',
      'EVIDENCE_UNTRUSTED',
    ]);
    await refused({ altered: { tcbInfoIssuerChain: pemOf(signer, root) } }, [
      'collateral-signatures',
      'EVIDENCE_UNTRUSTED',
    ]);
  });
});

describe('a platform of a development authority', () => {
  const recovery = CLOCK - 30 * DAY;
  const behind: Simulation = { collateral: { recovery } };
  const graced = (graceSeconds: number) => ({ ...STRICT_TCB, graced: ['OutOfDate' as const], graceSeconds });

  it('that is behind is refused without grace, accepted within it, refused after it', async () => {
    const evidence = simulatedEvidence(behind);
    await assertRefused(evidence, simulatedExpectations(), ['tcb-status', 'TCB_REFUSED', /OutOfDate is not accepted/]);
    const clock = CLOCK + 60;
    const grace = clock - recovery;
    const report = await verifyEvidence(evidence, simulatedExpectations({ tcb: graced(grace + 1) }));
    const facts = factsOfReport(report);
    assert.deepEqual([facts.status, facts.behindSince, facts.validUntil], ['OutOfDate', recovery, clock + 1]);
    assert.match(
      report.checks.find(({ name }) => name === 'tcb-status')?.words ?? '',
      /OutOfDate, which is accepted until/,
    );
    await assertRefused(evidence, simulatedExpectations({ tcb: graced(grace) }), [
      'tcb-status',
      'TCB_REFUSED',
      /accepted until/,
    ]);
  });

  it('gets no further grace from a further recovery', async () => {
    const tcbLevels = (
      JSON.parse(simulatedEvidence(behind).collateral.tcbInfo) as { tcbLevels: { tcb: { pcesvn: number } }[] }
    ).tcbLevels;
    const [newest] = tcbLevels;
    const newer = {
      ...newest,
      tcb: { ...newest?.tcb, pcesvn: 99 },
      tcbDate: new Date((CLOCK - DAY) * 1000).toISOString().replace('.000', ''),
    };
    const evidence = simulatedEvidence({ collateral: { recovery, tcbInfo: { tcbLevels: [newer, ...tcbLevels] } } });
    const facts = factsOfReport(await verifyEvidence(evidence, simulatedExpectations({ tcb: graced(60 * DAY) })));
    assert.equal(facts.behindSince, recovery);
  });

  it('is behind since its own level came where no newer one did', async () => {
    const [level] = (JSON.parse(simulatedEvidence().collateral.tcbInfo) as { tcbLevels: { tcb: object }[] }).tcbLevels;
    const other = { ...level, tcb: { ...level?.tcb, pcesvn: 99 }, tcbDate: '2025-01-01T00:00:00Z' };
    const own = { ...level, tcbStatus: 'OutOfDate', tcbDate: '2026-10-01T00:00:00Z' };
    const evidence = simulatedEvidence({ collateral: { tcbInfo: { tcbLevels: [other, own] } } });
    const facts = factsOfReport(await verifyEvidence(evidence, simulatedExpectations({ tcb: graced(60 * DAY) })));
    assert.equal(facts.behindSince, Date.parse('2026-10-01T00:00:00Z') / 1000);
  });

  it('that is revoked is refused whatever the policy says', async () => {
    const [level] = (JSON.parse(simulatedEvidence().collateral.tcbInfo) as { tcbLevels: object[] }).tcbLevels;
    const evidence = simulatedEvidence({
      collateral: { tcbInfo: { tcbLevels: [{ ...level, tcbStatus: 'Revoked' }] } },
    });
    const tcb = { ...graced(YEAR), accepted: ['UpToDate', 'OutOfDate'] as const };
    await assertRefused(evidence, simulatedExpectations({ tcb }), ['tcb-status', 'EVIDENCE_REVOKED']);
  });

  it('with an advisory that is never accepted is refused', async () => {
    const [level] = (JSON.parse(simulatedEvidence().collateral.tcbInfo) as { tcbLevels: object[] }).tcbLevels;
    const hardening = { ...level, tcbStatus: 'SWHardeningNeeded', advisoryIDs: ['INTEL-SA-00837', 'INTEL-SA-00615'] };
    const evidence = simulatedEvidence({ collateral: { tcbInfo: { tcbLevels: [hardening] } } });
    const tcb = { ...STRICT_TCB, accepted: ['UpToDate', 'SWHardeningNeeded'] as const };
    const facts = factsOfReport(await verifyEvidence(evidence, simulatedExpectations({ tcb })));
    assert.deepEqual(facts.advisories, ['INTEL-SA-00615', 'INTEL-SA-00837']);
    const strict = simulatedExpectations({ tcb: { ...tcb, advisoriesRefused: ['INTEL-SA-00615'] } });
    await assertRefused(evidence, strict, ['tcb-status', 'TCB_REFUSED', /INTEL-SA-00615/]);
  });

  for (const [what, collateral, check, code] of [
    ['of another FMSPC', { tcbInfo: { fmspc: '00B1C10A0001' } }, 'platform', 'EVIDENCE_UNTRUSTED'],
    ['of another PCE', { tcbInfo: { pceId: '0001' } }, 'platform', 'EVIDENCE_UNTRUSTED'],
    ['of SGX', { tcbInfo: { id: 'SGX' } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['of another version', { tcbInfo: { version: 2 } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['of another type', { tcbInfo: { tcbType: 1 } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['without levels', { tcbInfo: { tcbLevels: [] } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['without a module', { tcbInfo: { tdxModule: undefined } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['without a date of issue', { tcbInfo: { issueDate: undefined } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['with a 31st of June', { tcbInfo: { issueDate: '2026-06-31T00:00:00Z' } }, 'collateral', 'EVIDENCE_MALFORMED'],
    [
      'without an evaluation number',
      { tcbInfo: { tcbEvaluationDataNumber: undefined } },
      'collateral',
      'EVIDENCE_MALFORMED',
    ],
    ['with an old evaluation number', { evaluationNumber: 0 }, 'platform', 'TCB_REFUSED'],
    ['with an old number of the TCB info', { tcbInfo: { tcbEvaluationDataNumber: 0 } }, 'platform', 'TCB_REFUSED'],
    [
      'with an old number of the QE identity',
      { qeIdentity: { tcbEvaluationDataNumber: 0 } },
      'platform',
      'TCB_REFUSED',
    ],
    [
      'without an identity of the module',
      { tcbInfo: { tdxModuleIdentities: undefined } },
      'tdx-module',
      'EVIDENCE_UNTRUSTED',
    ],
    ['for another enclave', { qeIdentity: { id: 'QE' } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['with an identity of another version', { qeIdentity: { version: 1 } }, 'collateral', 'EVIDENCE_MALFORMED'],
    ['with another product of the signer', { qeIdentity: { isvprodid: 1 } }, 'qe-identity', 'EVIDENCE_UNTRUSTED'],
    [
      'with other attributes',
      { qeIdentity: { attributes: '15'.padEnd(32, '0') } },
      'qe-identity',
      'EVIDENCE_UNTRUSTED',
    ],
    ['with another MISCSELECT', { qeIdentity: { miscselect: '00000001' } }, 'qe-identity', 'EVIDENCE_UNTRUSTED'],
    ['without a mask', { qeIdentity: { attributesMask: undefined } }, 'collateral', 'EVIDENCE_MALFORMED'],
  ] as const) {
    it(`is refused with collateral ${what}`, () => refused({ collateral }, [check, code]));
  }

  it("is refused when the quoting enclave's report names another key, or more than the key", async () => {
    const { reportData } = parseQuote(simulatedEvidence().quote).qeReport;
    const own = await verifyEvidence(
      simulatedEvidence({ quote: { qeReportData: reportData } }),
      simulatedExpectations(),
    );
    assert.equal(own.accepted, true);
    for (const index of [0, 31, 32, 63]) {
      const qeReportData = reportData.slice();
      qeReportData[index] = (qeReportData[index] ?? 0) ^ 1;
      await refused({ quote: { qeReportData } }, ['quoting-enclave', 'EVIDENCE_UNTRUSTED', /not about the key/]);
    }
  });

  it('is refused with another quoting enclave, and judged by the age of the right one', async () => {
    await refused({ quote: { qeMrSigner: new Uint8Array(32) } }, ['qe-identity', 'EVIDENCE_UNTRUSTED', /MRSIGNER/]);
    await refused({ quote: { qeIsvSvn: 3 } }, ['qe-identity', 'TCB_REFUSED']);
    const tcbLevels = [
      { tcb: { isvsvn: 6 }, tcbDate: '2026-10-01T00:00:00Z', tcbStatus: 'UpToDate' },
      { tcb: { isvsvn: 4 }, tcbDate: '2025-10-01T00:00:00Z', tcbStatus: 'OutOfDate', advisoryIDs: ['INTEL-SA-01'] },
      { tcb: { isvsvn: 1 }, tcbDate: '2024-10-01T00:00:00Z', tcbStatus: 'Revoked' },
    ];
    const aged = (qeIsvSvn: number): Simulation => ({ quote: { qeIsvSvn }, collateral: { qeIdentity: { tcbLevels } } });
    const tcb = graced(60 * DAY);
    const facts = factsOfReport(await verifyEvidence(simulatedEvidence(aged(5)), simulatedExpectations({ tcb })));
    assert.deepEqual([facts.status, facts.advisories], ['OutOfDate', ['INTEL-SA-01']]);
    assert.equal(facts.behindSince, Date.parse('2026-10-01T00:00:00Z') / 1000);
    await refused(aged(5), ['tcb-status', 'TCB_REFUSED']);
    await assertRefused(simulatedEvidence(aged(3)), simulatedExpectations({ tcb }), ['tcb-status', 'EVIDENCE_REVOKED']);
    const shuffled = { qeIdentity: { tcbLevels: tcbLevels.toReversed() } };
    await refused({ collateral: shuffled }, ['collateral', 'EVIDENCE_MALFORMED', /falling/]);
    const twice = { qeIdentity: { tcbLevels: tcbLevels.flatMap((level) => [level, level]) } };
    await refused({ collateral: twice }, ['collateral', 'EVIDENCE_MALFORMED', /falling/]);
  });

  it('is refused with another TDX module, and judged by the age of the right one', async () => {
    const signer = new Uint8Array(48).fill(1);
    await refused({ quote: { mrSignerSeam: signer } }, ['tdx-module', 'EVIDENCE_UNTRUSTED', /signer/]);
    const svn = (module: number, version: number) => Uint8Array.of(module, version, 2, ...new Uint8Array(13));
    await refused({ quote: { teeTcbSvn: svn(5, 2) } }, ['tdx-module', 'EVIDENCE_UNTRUSTED', /TDX_02/]);
    await refused({ quote: { teeTcbSvn: svn(4, 1) } }, ['tdx-module', 'TCB_REFUSED']);
    const [identity] = (JSON.parse(simulatedEvidence().collateral.tcbInfo) as { tdxModuleIdentities: object[] })
      .tdxModuleIdentities;
    const tcbLevels = [
      { tcb: { isvsvn: 8 }, tcbDate: '2026-10-15T00:00:00Z', tcbStatus: 'UpToDate' },
      { tcb: { isvsvn: 5 }, tcbDate: '2025-10-01T00:00:00Z', tcbStatus: 'OutOfDate' },
      { tcb: { isvsvn: 2 }, tcbDate: '2024-10-01T00:00:00Z', tcbStatus: 'Revoked' },
    ];
    const collateral = { tcbInfo: { tdxModuleIdentities: [{ ...identity, tcbLevels }] } };
    await refused({ collateral }, ['tcb-status', 'TCB_REFUSED', /OutOfDate/]);
    await refused({ collateral, quote: { teeTcbSvn: svn(4, 1) } }, ['tcb-status', 'EVIDENCE_REVOKED']);
    const facts = factsOfReport(
      await verifyEvidence(simulatedEvidence({ collateral }), simulatedExpectations({ tcb: graced(60 * DAY) })),
    );
    assert.equal(facts.behindSince, Date.parse('2026-10-15T00:00:00Z') / 1000);
    // Attributes that Intel lists are those of a module: none has any.
    const odd = { ...identity, attributes: '0100000000000000' };
    await refused({ collateral: { tcbInfo: { tdxModuleIdentities: [odd] } } }, [
      'tdx-module',
      'EVIDENCE_UNTRUSTED',
      /attributes/,
    ]);
    // A module of major version 0 has its security version among the platform's components. Whose it is counts all the same.
    await refused({ quote: { mrSignerSeam: signer, teeTcbSvn: svn(5, 0) } }, [
      'tdx-module',
      'EVIDENCE_UNTRUSTED',
      /signer/,
    ]);
    await refused({ quote: { teeTcbSvn: svn(4, 0) } }, ['tcb-status', 'TCB_REFUSED', /none of the levels/]);
    assert.equal(
      (await verifyEvidence(simulatedEvidence({ quote: { teeTcbSvn: svn(5, 0) } }), simulatedExpectations())).accepted,
      true,
    );
  });

  it('is refused when the host can look into the trust domain, or nobody knows what it can', async () => {
    const withBit = (bit: number) => {
      const tdAttributes = new Uint8Array(8);
      tdAttributes[Math.floor(bit / 8)] = 1 << (bit % 8);
      return { quote: { tdAttributes } };
    };
    const accepted: number[] = [];
    const verifier = new CollateralVerifier(authority.anchor);
    for (let bit = 0; bit < 64; bit++) {
      const report = await verifyEvidence(simulatedEvidence(withBit(bit)), simulatedExpectations(), verifier);
      if (report.accepted) accepted.push(bit);
      else assert.equal(report.error.code, 'MEASUREMENT_REFUSED');
    }
    assert.deepEqual(accepted, [27, 28, 30, 31, 63]);
    await refused(withBit(0), ['td-attributes', 'MEASUREMENT_REFUSED', /debugging/]);
    await refused(withBit(29), ['td-attributes', 'MEASUREMENT_REFUSED', /migrate/]);
    await refused(withBit(40), ['td-attributes', 'MEASUREMENT_REFUSED', /reserved/]);
  });
});

describe('measurements of a development authority', () => {
  const allowed = (...sets: object[]) =>
    simulatedExpectations({ measurements: { allowed: sets as ReturnType<typeof simulatedMeasurements>[] } });

  it('have to be one of the allowed sets as a whole', async () => {
    const set = simulatedMeasurements();
    for (const field of Object.keys(set)) {
      const other = { ...set, [field]: '0'.repeat(set[field as 'mrTd'].length) };
      await assertRefused(simulatedEvidence(), allowed(other), [
        'measurements',
        'MEASUREMENT_REFUSED',
        new RegExp(`differs in ${field}$`),
      ]);
      assert.equal((await verifyEvidence(simulatedEvidence(), allowed(other, set))).accepted, true);
    }
    // Half of one set and half of another is none of them.
    const [left, right] = [
      { ...set, mrTd: '00'.repeat(48) },
      { ...set, rtmr2: '00'.repeat(48) },
    ];
    await assertRefused(simulatedEvidence(), allowed(left, right), ['measurements', 'MEASUREMENT_REFUSED']);
    await assertRefused(simulatedEvidence(), allowed(), ['measurements', 'MEASUREMENT_REFUSED', /allows no/]);
  });

  it('have to have what only the event log tells, where it is required', async () => {
    const set = simulatedMeasurements();
    const { appId, osImageHash, keyProvider } = BOOT;
    const full = { ...set, appId, osImageHash, keyProvider };
    assert.equal((await verifyEvidence(simulatedEvidence(), allowed(full))).accepted, true);
    for (const [field, value] of [
      ['appId', '00'.repeat(20)],
      ['osImageHash', '00'.repeat(32)],
      ['keyProvider', '{}'],
    ] as const) {
      await assertRefused(simulatedEvidence(), allowed({ ...full, [field]: value }), [
        'measurements',
        'MEASUREMENT_REFUSED',
      ]);
    }
    const silent = simulatedEvidence({ eventLog: undefined });
    assert.equal((await verifyEvidence(silent, allowed(set))).accepted, true);
    await assertRefused(silent, allowed(full), [
      'measurements',
      'MEASUREMENT_REFUSED',
      /appId, osImageHash, keyProvider/,
    ]);
  });

  it('tell the compose file by MRCONFIGID or by the event log, and the same by both', async () => {
    const configId = (mrConfigId: Uint8Array): Simulation => ({ quote: { mrConfigId } });
    const zero = configId(new Uint8Array(48));
    assert.equal((await verifyEvidence(simulatedEvidence(zero), simulatedExpectations())).accepted, true);
    await refused({ ...zero, eventLog: undefined }, ['measurements', 'MEASUREMENT_REFUSED', /neither/]);
    await refused(configId(configIdOf('00'.repeat(32))), ['measurements', 'MEASUREMENT_REFUSED', /different compose/]);
    const trailing = configIdOf(BOOT.composeHash);
    trailing[47] = 1;
    await refused(configId(trailing), ['measurements', 'MEASUREMENT_REFUSED', /zeros/]);
    // Another form hides the hash; then the event log alone tells.
    const hidden = configIdOf(BOOT.composeHash);
    hidden[0] = 2;
    assert.equal((await verifyEvidence(simulatedEvidence(configId(hidden)), simulatedExpectations())).accepted, true);
    await refused({ ...configId(hidden), eventLog: undefined }, ['measurements', 'MEASUREMENT_REFUSED', /neither/]);
  });

  it("are refused with an event log of another boot's", async () => {
    const other = developmentEvents({ ...BOOT, appId: '00'.repeat(20) });
    await refused({ eventLog: JSON.stringify(other) }, ['event-log', 'MEASUREMENT_REFUSED', /RTMR3/]);
    const rtmrs = rtmrsAfter(developmentEvents(BOOT)).with(1, new Uint8Array(48));
    await refused({ quote: { rtmrs } }, ['event-log', 'MEASUREMENT_REFUSED', /RTMR1/]);
    await refused({ eventLog: 'no log' }, ['event-log', 'EVIDENCE_MALFORMED']);
  });
});

describe('the binding of a development authority', () => {
  const other = new Uint8Array(32).fill(0xff);
  for (const [what, binding] of [
    ['chain', { chainId: 1n }],
    ['registry', { registry: ERA.registry + 1n }],
    ['operator', { operator: 2n }],
    ['era', { number: 8n }],
    ['encryption key', { encryptionKey: other }],
    ['HPKE key', { apiKey: other }],
    ['signer', { signer: ERA.signer + 1n }],
  ] as const) {
    it(`refuses another ${what}`, () =>
      assertRefused(simulatedEvidence(), simulatedExpectations({ binding: { ...ERA, ...binding } }), [
        'binding',
        'BINDING_REFUSED',
        what === 'signer' ? /signer/ : /another chain/,
      ]));
  }

  it('refuses another nonce, keys in each other’s place, and report data for something else', async () => {
    await assertRefused(simulatedEvidence(), simulatedExpectations({ nonce: other }), ['binding', 'BINDING_REFUSED']);
    const swapped = { ...ERA, encryptionKey: ERA.apiKey, apiKey: ERA.encryptionKey };
    await assertRefused(simulatedEvidence(), simulatedExpectations({ binding: swapped }), [
      'binding',
      'BINDING_REFUSED',
    ]);
    await refused({ quote: { reportData: new Uint8Array(64) } }, ['binding', 'BINDING_REFUSED', /no keys of an era/]);
    const reportData = eraReportData(ERA, NONCE);
    for (const index of [0, 19, 20, 31, 32, 63]) {
      const altered = reportData.slice();
      altered[index] = (altered[index] ?? 0) ^ 1;
      await refused({ quote: { reportData: altered } }, ['binding', 'BINDING_REFUSED']);
    }
    assert.equal(hexOf(reportData.subarray(0, 20)), bytesOfHexText(ERA.signer));
  });
});

function bytesOfHexText(address: bigint): string {
  return hexOf(bytesOfHex(address.toString(16).padStart(40, '0'), 'address'));
}
