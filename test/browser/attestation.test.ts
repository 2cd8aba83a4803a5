import assert from 'node:assert/strict';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import type { Collateral } from '@bitcloak/attestation/collateral';
import { CHECKS, type CheckName, type Evidence, type Expectations } from '@bitcloak/attestation/verify';
import type { ErrorCode } from '@bitcloak/protocol/errors';
import {
  INTEL_EXPECTATIONS,
  intelCollateral,
  intelQuote,
  seconds,
  simulatedEvidence,
  simulatedExpectations,
} from '../support/attestation.ts';
import { skipWithoutChromium, TestPage } from '../support/browser/browser.ts';
import { judge, judgeFlips, type Flip, type Judgement } from '../support/browser/judging.ts';
import { Dice } from '../support/dice.ts';

const SEED = 'bitcloak page 1';
/** Of each evidence, half of them in the quote. */
const FLIPS = 200;

/** What comes before the policy's own demands on the program: Intel's fixture is of a program that is not ours. */
const INTEL_CHECKS = Object.keys(CHECKS).slice(0, Object.keys(CHECKS).indexOf('measurements')) as CheckName[];

const passedOf = ({ checks }: Judgement) => checks.filter(({ passed }) => passed).map(({ name }) => name);
const failedOf = ({ checks }: Judgement) => checks.find(({ passed }) => !passed)?.name;

describe('evidence of an enclave, verified by a page in Chromium', function () {
  this.timeout(120_000);
  const intel: Evidence = { quote: intelQuote(), collateral: intelCollateral() };
  let page: TestPage;

  before(async function () {
    skipWithoutChromium(this);
    page = await TestPage.open();
  });
  after(async () => {
    // There is none where the tests were skipped.
    await (page as TestPage | undefined)?.close();
  });
  afterEach(() => {
    assert.deepEqual(page.complaints, []);
  });

  /** What the page says of evidence, which Node says word for word too. */
  async function judged(evidence: Evidence, expectations: Expectations): Promise<Judgement> {
    const [there, here] = [await page.call('judge', evidence, expectations), await judge(evidence, expectations)];
    assert.deepEqual(there, here);
    return there;
  }
  async function refused(
    evidence: Evidence,
    expectations: Expectations,
    [name, code]: readonly [CheckName, ErrorCode],
  ): Promise<void> {
    const judgement = await judged(evidence, expectations);
    assert.deepEqual([judgement.accepted, failedOf(judgement), judgement.code], [false, name, code]);
  }
  const withCollateral = (parts: Partial<Collateral>): Evidence => ({
    ...intel,
    collateral: { ...intel.collateral, ...parts },
  });

  it('is up to date where Intel signed it, while its collateral is valid', async () => {
    const judgement = await judged(intel, INTEL_EXPECTATIONS);
    assert.deepEqual(passedOf(judgement), INTEL_CHECKS);
    assert.equal(judgement.checks.find(({ name }) => name === 'tcb-status')?.words, 'the platform is UpToDate');
    assert.deepEqual(
      judgement.checks.map(({ name }) => name),
      Object.keys(CHECKS),
      'every check by its name',
    );
  });

  it('is accepted where all of it holds, with what it proves', async () => {
    const judgement = await judged(simulatedEvidence(), simulatedExpectations());
    assert.equal(judgement.accepted, true);
    assert.deepEqual(passedOf(judgement), Object.keys(CHECKS));
    assert.equal(judgement.facts?.status, 'UpToDate');
  });

  for (const [when, time] of [
    ['no collateral was issued yet', '2025-06-18T00:00:00Z'],
    ['collateral has ended', '2025-08-01T00:00:00Z'],
    ['chains have expired', '2050-01-01T00:00:00Z'],
  ] as const) {
    it(`is refused at a time when ${when}`, () =>
      refused(intel, { ...INTEL_EXPECTATIONS, clock: seconds(time) }, ['validity', 'EVIDENCE_EXPIRED']));
  }

  for (const field of ['pckCrl', 'rootCaCrl'] as const) {
    it(`is refused with a ${field} that was tampered with`, async () => {
      const crl = intel.collateral[field];
      const last = Number.parseInt(crl.slice(-2), 16) ^ 1;
      const broken = crl.slice(0, -2) + last.toString(16).padStart(2, '0');
      await refused(withCollateral({ [field]: broken }), INTEL_EXPECTATIONS, [
        'collateral-signatures',
        'EVIDENCE_UNTRUSTED',
      ]);
      for (const text of ['00', '', `${crl}00`]) {
        await refused(withCollateral({ [field]: text }), INTEL_EXPECTATIONS, ['collateral', 'EVIDENCE_MALFORMED']);
      }
    });
  }

  it('is refused with a quote that was tampered with', async () => {
    // In the TD report, which the quote's key signed, and in the padding behind it.
    for (const [offset, name, code] of [
      [200, 'quote-signature', 'EVIDENCE_UNTRUSTED'],
      [intel.quote.length - 1, 'quote', 'EVIDENCE_MALFORMED'],
    ] as const) {
      const quote = intel.quote.slice();
      quote[offset] = (quote[offset] ?? 0) ^ 1;
      await refused({ ...intel, quote }, INTEL_EXPECTATIONS, [name, code]);
    }
  });

  it('is refused where it is simulated and Intel is trusted, and the other way round', async () => {
    await refused(simulatedEvidence(), simulatedExpectations({ anchor: INTEL_ROOT }), [
      'collateral-signatures',
      'EVIDENCE_UNTRUSTED',
    ]);
    const { anchor } = simulatedExpectations();
    await refused(intel, { ...INTEL_EXPECTATIONS, anchor }, ['collateral-signatures', 'EVIDENCE_UNTRUSTED']);
  });

  it('is refused for another nonce and for other keys', async () => {
    const { binding } = simulatedExpectations();
    const other = new Uint8Array(32).fill(0x22);
    for (const change of [{ nonce: other }, { binding: { ...binding, apiKey: other } }]) {
      await refused(simulatedEvidence(), simulatedExpectations(change), ['binding', 'BINDING_REFUSED']);
    }
  });

  for (const [whose, evidence, expectations] of [
    ["Intel's", intel, INTEL_EXPECTATIONS],
    ['simulated', simulatedEvidence(), simulatedExpectations()],
  ] as const) {
    it(`is not accepted with any of ${FLIPS} bits flipped: ${whose}`, async () => {
      const flips = drawFlips(evidence, `${SEED} ${whose}`);
      const judgements = await page.call('judgeFlips', evidence, expectations, flips);
      assert.deepEqual(judgements, await judgeFlips(evidence, expectations, flips));
      // Where only `measurements` fails, all that Intel stands for has passed.
      const accepted = judgements.flatMap((judgement, index) =>
        judgement.accepted || failedOf(judgement) === 'measurements' ? [flips[index]] : [],
      );
      assert.deepEqual(accepted, []);
      assert.equal(judgements.length, FLIPS);
      // Both what is read and what is signed were hit.
      for (const code of ['EVIDENCE_MALFORMED', 'EVIDENCE_UNTRUSTED']) {
        assert.ok(judgements.filter((judgement) => judgement.code === code).length > FLIPS / 10, code);
      }
    });
  }
});

/** Half in the quote, half in the texts of the collateral, every character of which is as likely. */
function drawFlips({ quote, collateral }: Evidence, seed: string): Flip[] {
  const dice = new Dice(seed);
  const texts = Object.entries(collateral) as [keyof Collateral, string][];
  const total = texts.reduce((sum, [, { length }]) => sum + length, 0);
  return Array.from({ length: FLIPS }, (_, index): Flip => {
    const bit = dice.int(8);
    if (index % 2 === 0) return { field: 'quote', offset: dice.int(quote.length), bit };
    let offset = dice.int(total);
    for (const [field, { length }] of texts) {
      if (offset < length) return { field, offset, bit };
      offset -= length;
    }
    return assert.fail();
  });
}
