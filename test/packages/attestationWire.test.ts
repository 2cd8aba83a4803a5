import assert from 'node:assert/strict';
import { COLLATERAL_FIELD_CHARACTERS_MAX } from '@bitcloak/attestation/collateral';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import { hexOf } from '@bitcloak/attestation/bytes';
import { readTrust } from '@bitcloak/attestation/trust';
import { verifyEvidence } from '@bitcloak/attestation/verify';
import { decodeEra, decodeEvidence, encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import {
  developmentAuthority,
  ERA,
  simulatedEvidence,
  simulatedExpectations,
  simulatedMeasurements,
  STRICT_TCB,
} from '../support/attestation.ts';

const through = (value: object) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

describe('evidence as JSON', () => {
  const json = () => through(encodeEvidence(simulatedEvidence()));

  it('is the same evidence again, with and without an event log', async () => {
    const evidence = simulatedEvidence();
    assert.deepEqual(decodeEvidence(json()), evidence);
    const { eventLog: _none, ...bare } = evidence;
    assert.deepEqual(decodeEvidence(through(encodeEvidence(bare))), bare);
    assert.ok((await verifyEvidence(decodeEvidence(json()), simulatedExpectations())).accepted);
  });

  it('is refused where anything is missing, more, or of another kind', () => {
    const wrong: readonly unknown[] = [
      undefined,
      null,
      [],
      'evidence',
      { ...json(), more: 1 },
      { ...json(), quote: 5 },
      { ...json(), quote: 'AB' },
      { ...json(), quote: 'abc' },
      { ...json(), eventLog: 5 },
      { ...json(), eventLog: 'x'.repeat(COLLATERAL_FIELD_CHARACTERS_MAX + 1) },
      { ...json(), collateral: undefined },
      ...[5, '', ['{}'], null].map((tcbInfo) => ({
        ...json(),
        collateral: { ...(json()['collateral'] as object), tcbInfo },
      })),
      { ...json(), collateral: { ...(json()['collateral'] as object), more: 'x' } },
      { quote: json()['quote'] },
    ];
    for (const value of wrong) assert.throws(() => decodeEvidence(value), { code: 'EVIDENCE_MALFORMED' });
  });
});

describe('the keys of an era as JSON', () => {
  it('are the same again', () => {
    assert.deepEqual(decodeEra(through(encodeEra(ERA))), ERA);
    const small = { ...ERA, registry: 1n, signer: 0n };
    assert.deepEqual(decodeEra(through(encodeEra(small))), small);
  });

  it('are refused in any other form', () => {
    const json = through(encodeEra(ERA));
    for (const change of [
      { chainId: 31337 },
      { chainId: '0x7a69' },
      { chainId: '01' },
      { number: '-1' },
      { operator: '1.0' },
      { operator: '9'.repeat(20) },
      { registry: `0x${'AB'.repeat(20)}` },
      { registry: 'ab'.repeat(20) },
      { signer: `0x${'ab'.repeat(19)}` },
      { apiKey: 'ab'.repeat(31) },
      { apiKey: 'AB'.repeat(32) },
      { encryptionKey: null },
      { more: '1' },
    ]) {
      assert.throws(() => decodeEra({ ...json, ...change }), { code: 'EVIDENCE_MALFORMED' }, JSON.stringify(change));
    }
    const { apiKey: _none, ...less } = json;
    assert.throws(() => decodeEra(less), { code: 'EVIDENCE_MALFORMED' });
  });
});

describe('what a file says of trust', () => {
  const anchor = () => ({ name: 'development', publicKey: hexOf(developmentAuthority().anchor.publicKey) });
  const json = () => through({ anchor: anchor(), tcb: STRICT_TCB, measurements: [simulatedMeasurements()] });

  it('is what evidence is verified by', async () => {
    const trust = readTrust(json());
    assert.ok((await verifyEvidence(simulatedEvidence(), simulatedExpectations(trust))).accepted);
    assert.deepEqual(readTrust({ ...json(), anchor: 'intel' }).anchor, INTEL_ROOT);
  });

  it('is refused where a field is unknown, missing, or cannot be meant', () => {
    const tcb = json()['tcb'] as object;
    const [measured] = json()['measurements'] as [object];
    const wrong: readonly unknown[] = [
      undefined,
      {},
      { ...json(), more: 1 },
      { ...json(), anchor: 'Intel' },
      { ...json(), anchor: { ...anchor(), publicKey: 'ab' } },
      { ...json(), anchor: { ...anchor(), more: 1 } },
      { ...json(), anchor: { ...anchor(), name: 5 } },
      { ...json(), anchor: { ...anchor(), publicKey: 5 } },
      { ...json(), tcb: { ...tcb, graceSecond: 1 } },
      { ...json(), tcb: { ...tcb, graceSeconds: '1' } },
      { ...json(), tcb: { ...tcb, graceSeconds: -1 } },
      { ...json(), tcb: { ...tcb, accepted: ['Uptodate'] } },
      { ...json(), tcb: { ...tcb, accepted: 'UpToDate' } },
      { ...json(), tcb: { ...tcb, graced: ['Revoked'] } },
      { ...json(), tcb: { ...tcb, advisoriesRefused: [5] } },
      { ...json(), measurements: {} },
      { ...json(), measurements: ['x'] },
      { ...json(), measurements: [null] },
      { ...json(), measurements: [[]] },
      { ...json(), measurements: [{ ...measured, mrtd: 'ab' }] },
      { ...json(), measurements: [{ ...measured, mrTd: 'ab' }] },
      { ...json(), measurements: [{ ...measured, appId: 5 }] },
      { ...json(), measurements: [{ ...measured, keyProvider: 5 }] },
      { ...json(), measurements: [{ mrTd: 'ab'.repeat(48) }] },
    ];
    for (const value of wrong)
      assert.throws(() => readTrust(value), { code: 'USAGE' }, String(JSON.stringify(value)).slice(0, 80));
  });
});
