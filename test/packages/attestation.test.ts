import assert from 'node:assert/strict';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import type { Collateral } from '@bitcloak/attestation/collateral';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import { HEADER_BYTES, parseQuote, QUOTE_BYTES_MAX, TD_REPORT_BYTES } from '@bitcloak/attestation/quote';
import {
  CHECKS,
  checkQuoteSignature,
  checkQuotingEnclave,
  pckChainOf,
  verifyEvidence,
  type CheckName,
} from '@bitcloak/attestation/verify';
import type { ErrorCode } from '@bitcloak/protocol/errors';
import {
  assertRefused,
  CLOCK,
  DAY,
  developmentAuthority,
  dstackEvidence,
  failedCheck,
  INTEL_CLOCK,
  INTEL_EXPECTATIONS,
  intelCollateral,
  intelQuote,
  seconds,
} from '../support/attestation.ts';
import { Dice } from '../support/dice.ts';

const SEED = 'bitcloak attestation 1';
const QUOTE_FLIPS = 2_000;
const COLLATERAL_FLIPS = 2_000;

/** What comes before the policy's own demands on the program: passing all of it is passing as Intel's. */
const INTEL_CHECKS = Object.keys(CHECKS).slice(0, Object.keys(CHECKS).indexOf('measurements')) as CheckName[];

describe('evidence that Intel signed', function () {
  this.timeout(120_000);

  const evidence = { quote: intelQuote(), collateral: intelCollateral() };
  let verifier: CollateralVerifier;

  const refused = (
    altered: { quote?: Uint8Array; collateral?: unknown },
    clock: number,
    expected: readonly [CheckName, ErrorCode, RegExp?],
  ) =>
    assertRefused({ ...evidence, ...altered } as typeof evidence, { ...INTEL_EXPECTATIONS, clock }, expected, verifier);

  before(() => {
    verifier = new CollateralVerifier(INTEL_ROOT);
  });

  it('is up to date while its collateral is valid', async () => {
    const report = await verifyEvidence(evidence, INTEL_EXPECTATIONS);
    assert.deepEqual(
      report.checks.filter(({ passed }) => passed).map(({ name }) => name),
      INTEL_CHECKS,
    );
    const words = report.checks.find(({ name }) => name === 'tcb-status')?.words;
    assert.equal(words, 'the platform is UpToDate');
  });

  it('tells the platform of the PCK', async () => {
    const [pck] = await pckChainOf(parseQuote(evidence.quote), verifier);
    const platform = verifier.platformOf(pck);
    assert.equal(platform.fmspc, 'b0c06f000000');
    assert.equal(platform.pceId, '0000');
    assert.equal(platform.components.length, 16);
    assert.equal(platform.ppid.length, 32);
    assert.notEqual(platform.ppid, '00'.repeat(16));
    // The components are the processor's own number, byte by byte.
    assert.equal(platform.cpuSvn, Buffer.from(platform.components).toString('hex'));
    assert.equal(platform.pceSvn, 11);
  });

  for (const [when, clock, field] of [
    ['before the collateral was issued', '2025-06-18T00:00:00Z', 'PCK CRL|TCB info|QE identity'],
    ['at the second before the last of it was issued', '2025-06-19T10:32:26Z', 'QE identity'],
    ['at the second at which the first of it ends', '2025-07-19T10:00:35Z', 'PCK CRL'],
    ['after the collateral has ended', '2025-08-01T00:00:00Z', 'PCK CRL'],
    ['after certificates have ended', '2050-01-01T00:00:00Z', 'PCK chain'],
    ['before certificates began', '2018-01-01T00:00:00Z', 'PCK chain'],
  ] as const) {
    it(`is refused ${when}`, () =>
      refused({}, seconds(clock), ['validity', 'EVIDENCE_EXPIRED', new RegExp(`^(${field})`)]));
  }

  it('is accepted at the first and the last second of its collateral', async () => {
    for (const clock of ['2025-06-19T10:32:27Z', '2025-07-19T10:00:34Z']) {
      const report = await verifyEvidence(evidence, { ...INTEL_EXPECTATIONS, clock: seconds(clock) }, verifier);
      assert.equal(failedCheck(report), 'measurements', clock);
    }
  });

  it('is refused after its end in an environment with a window too', async () => {
    const global = globalThis as { window?: unknown };
    global.window = {};
    try {
      await refused({}, seconds('2050-01-01T00:00:00Z'), ['validity', 'EVIDENCE_EXPIRED']);
    } finally {
      delete global.window;
    }
  });

  it('is refused where the policy wants a newer evaluation data number', () =>
    assertRefused(evidence, { ...INTEL_EXPECTATIONS, tcb: { ...INTEL_EXPECTATIONS.tcb, evaluationNumberMin: 18 } }, [
      'platform',
      'TCB_REFUSED',
      /18 or more, got 17/,
    ]));

  it('is refused where the policy wants younger collateral', async () => {
    const age = INTEL_CLOCK - seconds('2025-06-19T10:00:35Z');
    const aged = (collateralSecondsMax: number) => ({
      ...INTEL_EXPECTATIONS,
      tcb: { ...INTEL_EXPECTATIONS.tcb, collateralSecondsMax },
    });
    assert.equal(failedCheck(await verifyEvidence(evidence, aged(age), verifier)), 'measurements');
    await assertRefused(evidence, aged(age - 1), ['validity', 'EVIDENCE_EXPIRED', /^PCK CRL by its age/]);
    await assertRefused(evidence, aged(DAY), ['validity', 'EVIDENCE_EXPIRED', /by its age/]);
  });

  it('is refused under another root', async () => {
    const { anchor } = developmentAuthority();
    await assertRefused(evidence, { ...INTEL_EXPECTATIONS, anchor }, [
      'collateral-signatures',
      'EVIDENCE_UNTRUSTED',
      /its root is/,
    ]);
  });

  describe('collateral', () => {
    const collateral = evidence.collateral;
    const altered = (parts: Partial<Record<keyof Collateral, unknown>>) => ({
      collateral: { ...collateral, ...parts },
    });

    for (const field of Object.keys(collateral) as (keyof Collateral)[]) {
      it(`is refused without ${field}`, async () => {
        const { [field]: _, ...rest } = collateral;
        await refused({ collateral: rest }, INTEL_CLOCK, ['collateral', 'EVIDENCE_MALFORMED']);
        for (const value of ['', null, 0, [], 'x', '00', '\0']) {
          await refused(altered({ [field]: value }), INTEL_CLOCK, ['collateral', 'EVIDENCE_MALFORMED']);
        }
      });
    }

    it('is refused with what is not among its fields', () =>
      refused({ collateral: { ...collateral, tcbInfo2: '' } }, INTEL_CLOCK, ['collateral', 'EVIDENCE_MALFORMED']));

    for (const field of ['pckCrl', 'rootCaCrl'] as const) {
      it(`is refused with a ${field} whose signature is broken`, () => {
        const crl = collateral[field];
        const last = Number.parseInt(crl.slice(-2), 16) ^ 1;
        const broken = crl.slice(0, -2) + last.toString(16).padStart(2, '0');
        return refused(altered({ [field]: broken }), INTEL_CLOCK, [
          'collateral-signatures',
          'EVIDENCE_UNTRUSTED',
          /CRL: its signature is wrong/,
        ]);
      });

      it(`is refused with a ${field} of another authority`, () => {
        const other = field === 'pckCrl' ? collateral.rootCaCrl : collateral.pckCrl;
        return refused(altered({ [field]: other }), INTEL_CLOCK, [
          'collateral-signatures',
          'EVIDENCE_UNTRUSTED',
          /CRL: its issuer is another authority/,
        ]);
      });

      it(`is refused with a ${field} and something behind it`, () =>
        refused(altered({ [field]: `${collateral[field]}00` }), INTEL_CLOCK, [
          'collateral',
          'EVIDENCE_MALFORMED',
          /DER/,
        ]));

      it(`is refused with a ${field} in uppercase`, () =>
        refused(altered({ [field]: collateral[field].toUpperCase() }), INTEL_CLOCK, [
          'collateral',
          'EVIDENCE_MALFORMED',
        ]));
    }

    it('is refused with the same TCB info written another way', async () => {
      for (const text of [` ${collateral.tcbInfo}`, JSON.stringify(JSON.parse(collateral.tcbInfo), undefined, 1)]) {
        await refused(altered({ tcbInfo: text }), INTEL_CLOCK, [
          'collateral-signatures',
          'EVIDENCE_UNTRUSTED',
          /TCB info/,
        ]);
      }
    });

    it('is refused with the signature of something else that Intel signed', async () => {
      const { tcbInfoSignature, qeIdentitySignature } = collateral;
      await refused(altered({ tcbInfoSignature: qeIdentitySignature }), INTEL_CLOCK, [
        'collateral-signatures',
        'EVIDENCE_UNTRUSTED',
        /TCB info/,
      ]);
      await refused(altered({ qeIdentitySignature: tcbInfoSignature }), INTEL_CLOCK, [
        'collateral-signatures',
        'EVIDENCE_UNTRUSTED',
        /QE identity/,
      ]);
    });

    it('is refused with chains in the wrong order, too long, too short, or for something else', async () => {
      const { tcbInfoIssuerChain: chain, pckCrlIssuerChain } = collateral;
      const [signer = '', root = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/);
      assert.equal(signer + root, chain);
      for (const [text, check, code] of [
        [root + signer, 'collateral-signatures', 'EVIDENCE_UNTRUSTED'],
        [signer + root + root, 'collateral', 'EVIDENCE_MALFORMED'],
        [signer, 'collateral', 'EVIDENCE_MALFORMED'],
        [root + root, 'collateral-signatures', 'EVIDENCE_UNTRUSTED'],
        [pckCrlIssuerChain, 'collateral-signatures', 'EVIDENCE_UNTRUSTED'],
        [`${signer}\n${root}`, 'collateral', 'EVIDENCE_MALFORMED'],
        [`# Intel\n${chain}`, 'collateral', 'EVIDENCE_MALFORMED'],
      ] as const) {
        await refused(altered({ tcbInfoIssuerChain: text }), INTEL_CLOCK, [check, code]);
      }
      await refused(altered({ pckCrlIssuerChain: chain }), INTEL_CLOCK, [
        'collateral-signatures',
        'EVIDENCE_UNTRUSTED',
      ]);
    });
  });

  describe('quote', () => {
    const signedBytes = HEADER_BYTES + TD_REPORT_BYTES + 4;
    const lengthOf = (quote: Uint8Array) => signedBytes + new DataView(quote.buffer).getUint32(signedBytes - 4, true);
    const edited = (edit: (quote: Uint8Array) => void) => {
      const quote = intelQuote();
      edit(quote);
      return { quote };
    };

    it('may end with zeros, and with nothing else', async () => {
      const { quote } = evidence;
      const end = lengthOf(quote);
      assert.ok(end < quote.length && quote.subarray(end).every((byte) => byte === 0));
      for (const length of [end, end + 1, QUOTE_BYTES_MAX]) {
        const padded = new Uint8Array(length);
        padded.set(quote.subarray(0, end));
        const report = await verifyEvidence({ ...evidence, quote: padded }, INTEL_EXPECTATIONS, verifier);
        assert.equal(failedCheck(report), 'measurements');
        padded[length - 1] = 1;
        const isPadding = length > end;
        if (isPadding) await refused({ quote: padded }, INTEL_CLOCK, ['quote', 'EVIDENCE_MALFORMED', /zeros/]);
      }
      await refused({ quote: quote.slice(0, end - 1) }, INTEL_CLOCK, ['quote', 'EVIDENCE_MALFORMED']);
      await refused({ quote: new Uint8Array(QUOTE_BYTES_MAX + 1) }, INTEL_CLOCK, ['quote', 'EVIDENCE_MALFORMED']);
      await refused({ quote: new Uint8Array(0) }, INTEL_CLOCK, ['quote', 'EVIDENCE_MALFORMED']);
    });

    it('is refused at every length that is too short', () => {
      const { quote } = evidence;
      for (let length = 0; length < lengthOf(quote); length += 7) {
        assert.throws(() => parseQuote(quote.subarray(0, length)), { code: 'EVIDENCE_MALFORMED' });
      }
    });

    it('is refused when one of its lengths takes more than its parts', async () => {
      // The padding behind would be taken in: of the whole, of the quoting enclave's part in it, of the chain in that.
      const lengths = [signedBytes - 4, signedBytes + 130, signedBytes + 134 + 450 + 32 + 2];
      for (let inner = 1; inner <= lengths.length; inner++) {
        const altered = edited((quote) => {
          const view = new DataView(quote.buffer);
          for (const at of lengths.slice(0, inner)) view.setUint32(at, view.getUint32(at, true) + 1, true);
        });
        await refused(altered, INTEL_CLOCK, [inner === 3 ? 'pck-chain' : 'quote', 'EVIDENCE_MALFORMED']);
      }
    });

    for (const [what, offset] of [
      ['another version', 0],
      ['another type of key', 2],
      ['another kind of enclave', 4],
      ['another vendor of the quoting enclave', 12],
      ['other certification data', signedBytes + 128],
    ] as const) {
      it(`of ${what} is not supported`, () =>
        refused(
          edited((quote) => {
            quote[offset] = (quote[offset] ?? 0) ^ 1;
          }),
          INTEL_CLOCK,
          ['quote', 'EVIDENCE_UNSUPPORTED'],
        ));
    }

    it('is refused when a byte of any of its parts is another', async () => {
      const qeReport = signedBytes + 134;
      for (const [offset, check] of [
        [8, 'quote-signature'],
        [HEADER_BYTES, 'quote-signature'],
        [HEADER_BYTES + TD_REPORT_BYTES - 1, 'quote-signature'],
        [signedBytes, 'quote-signature'],
        [signedBytes + 64, 'quoting-enclave'],
        [qeReport, 'quoting-enclave'],
        [qeReport + 383, 'quoting-enclave'],
        [qeReport + 384, 'quoting-enclave'],
        [qeReport + 450, 'quoting-enclave'],
      ] as const) {
        const altered = edited((quote) => {
          quote[offset] = (quote[offset] ?? 0) ^ 0x80;
        });
        await refused(altered, INTEL_CLOCK, [check, 'EVIDENCE_UNTRUSTED']);
      }
    });
  });

  describe('bits that are flipped', () => {
    it('in the quote: none is accepted, those of the padding included', async () => {
      const dice = new Dice(`${SEED} quote`);
      const { quote } = evidence;
      const accepted: string[] = [];
      const codes = new Map<string, number>();
      for (let flip = 0; flip < QUOTE_FLIPS; flip++) {
        const [offset, bit] = [dice.int(quote.length), dice.int(8)];
        const altered = quote.slice();
        altered[offset] = (altered[offset] ?? 0) ^ (1 << bit);
        const report = await verifyEvidence({ ...evidence, quote: altered }, INTEL_EXPECTATIONS, verifier);
        if (report.accepted || failedCheck(report) === 'measurements') accepted.push(`byte ${offset}, bit ${bit}`);
        else codes.set(report.error.code, (codes.get(report.error.code) ?? 0) + 1);
      }
      assert.deepEqual(accepted, []);
      // Both what is read and what is signed were hit.
      for (const code of ['EVIDENCE_MALFORMED', 'EVIDENCE_UNTRUSTED']) assert.ok((codes.get(code) ?? 0) > 100, code);
    });

    it('in the collateral: none is accepted', async () => {
      const dice = new Dice(`${SEED} collateral`);
      const { collateral } = evidence;
      const fields = Object.keys(collateral) as (keyof Collateral)[];
      const accepted: string[] = [];
      const codes = new Map<string, number>();
      const lengths = fields.map((field) => collateral[field].length);
      for (let flip = 0; flip < COLLATERAL_FLIPS; flip++) {
        let at = dice.int(lengths.reduce((sum, length) => sum + length, 0));
        const index = lengths.findIndex((length) => (at -= length) < 0);
        const field = fields[index] ?? assert.fail();
        const text = collateral[field];
        const [offset, bit] = [at + text.length, dice.int(8)];
        const character = String.fromCharCode(text.charCodeAt(offset) ^ (1 << bit));
        const altered = { ...collateral, [field]: text.slice(0, offset) + character + text.slice(offset + 1) };
        const report = await verifyEvidence({ ...evidence, collateral: altered }, INTEL_EXPECTATIONS, verifier);
        if (report.accepted || failedCheck(report) === 'measurements') accepted.push(`${field} ${offset}, bit ${bit}`);
        else codes.set(report.error.code, (codes.get(report.error.code) ?? 0) + 1);
      }
      assert.deepEqual(accepted, []);
      for (const code of ['EVIDENCE_MALFORMED', 'EVIDENCE_UNTRUSTED']) assert.ok((codes.get(code) ?? 0) > 50, code);
    });
  });

  it('remembers collateral only where its signatures were right, and never across clocks', async () => {
    const own = new CollateralVerifier(INTEL_ROOT);
    const collateral = { ...evidence.collateral, tcbInfoSignature: evidence.collateral.qeIdentitySignature };
    for (let again = 0; again < 2; again++) {
      await assertRefused(
        { ...evidence, collateral },
        INTEL_EXPECTATIONS,
        ['collateral-signatures', 'EVIDENCE_UNTRUSTED'],
        own,
      );
    }
    const unverified = own.read(evidence.collateral);
    assert.notEqual(own.read(evidence.collateral), unverified);
    assert.equal(failedCheck(await verifyEvidence(evidence, INTEL_EXPECTATIONS, own)), 'measurements');
    assert.equal(own.read(evidence.collateral), own.read({ ...evidence.collateral }));
    await assertRefused(evidence, { ...INTEL_EXPECTATIONS, clock: CLOCK }, ['validity', 'EVIDENCE_EXPIRED'], own);
  });

  it('is vouched for up to the root without collateral, as far as that goes', async () => {
    const quote = parseQuote(dstackEvidence().quote);
    const [pck] = await pckChainOf(quote, verifier);
    await checkQuotingEnclave(quote, pck);
    await checkQuoteSignature(quote);
    assert.equal(verifier.platformOf(pck).fmspc.length, 12);
    await assert.rejects(pckChainOf(quote, new CollateralVerifier(developmentAuthority().anchor)), {
      code: 'EVIDENCE_UNTRUSTED',
    });
    // Its platform is another, so the fixture's collateral does not serve it.
    await refused({ quote: dstackEvidence().quote }, INTEL_CLOCK, ['validity', 'EVIDENCE_EXPIRED']);
  });
});
