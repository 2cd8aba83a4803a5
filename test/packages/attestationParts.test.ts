import assert from 'node:assert/strict';
import { eraReportData } from '@bitcloak/attestation/binding';
import { bytesOfHex, hexOf, Reader, textOf } from '@bitcloak/attestation/bytes';
import { CertificateStore, parseCertificate, PCK_CHAIN } from '@bitcloak/attestation/certificates';
import { COLLATERAL_FIELD_CHARACTERS_MAX } from '@bitcloak/attestation/collateral';
import { parseCrl } from '@bitcloak/attestation/crl';
import {
  integerDer,
  P256_SPKI_PREFIX,
  pointOf,
  signatureDer,
  signatureOf,
  valueOf,
  valuesOf,
} from '@bitcloak/attestation/der';
import { DEVELOPMENT_NAMES } from '@bitcloak/attestation/development/authority';
import { extensionOf, issueCertificate, issueCrl, keyPairOf, signBytes } from '@bitcloak/attestation/development/x509';
import { JsonReader } from '@bitcloak/attestation/json';
import { OID_SGX_EXTENSIONS, platformOf } from '@bitcloak/attestation/pck';
import { bytesOfBase64, pemBlocks, pemOf } from '@bitcloak/attestation/pem';
import { checkStanding } from '@bitcloak/attestation/policy';
import { parseQuote } from '@bitcloak/attestation/quote';
import { isSignature } from '@bitcloak/attestation/signature';
import { mergedStanding, type Standing } from '@bitcloak/attestation/tcb';
import {
  converge,
  PART_STATUSES,
  TCB_STATUSES,
  type PartStatus,
  type TcbStatus,
} from '@bitcloak/attestation/tcbStatus';
import { id_ce_cRLReasons, type Extension } from '@peculiar/asn1-x509';
import { AbiCoder, concat, getBytes, keccak256, toBeHex, toUtf8Bytes } from 'ethers';
import {
  CLOCK,
  developmentAuthority,
  ERA,
  intelCollateral,
  intelQuote,
  NONCE,
  STRICT_TCB,
} from '../support/attestation.ts';
import { Dice } from '../support/dice.ts';

const MALFORMED = { code: 'EVIDENCE_MALFORMED' };

describe("an era's report data", () => {
  it('is what the contract side computes with abi.encode', () => {
    const dice = new Dice('bitcloak report data');
    const bytes = () => getBytes(toBeHex(dice.between(0n, (1n << 256n) - 1n), 32));
    for (let round = 0; round < 50; round++) {
      const era = {
        chainId: dice.between(0n, (1n << 256n) - 1n),
        registry: dice.between(0n, (1n << 160n) - 1n),
        operator: dice.between(0n, (1n << 256n) - 1n),
        number: dice.between(0n, (1n << 64n) - 1n),
        signer: dice.between(0n, (1n << 160n) - 1n),
        encryptionKey: bytes(),
        apiKey: bytes(),
      };
      const nonce = bytes();
      const types = ['uint256', 'address', 'uint256', 'uint64', 'bytes32', 'bytes32', 'bytes32'];
      const values = [
        era.chainId,
        toBeHex(era.registry, 20),
        era.operator,
        era.number,
        era.encryptionKey,
        era.apiKey,
        nonce,
      ];
      const encoded = AbiCoder.defaultAbiCoder().encode(types, values);
      const expected = concat([toBeHex(era.signer, 20), toUtf8Bytes('bitcloak.era'), keccak256(encoded)]);
      assert.equal(`0x${hexOf(eraReportData(era, nonce))}`, expected);
    }
  });

  it('is only of what fits', () => {
    for (const part of [
      { chainId: -1n },
      { chainId: 1n << 256n },
      { registry: 1n << 160n },
      { number: 1n << 64n },
      { signer: -1n },
      { encryptionKey: new Uint8Array(31) },
      { apiKey: new Uint8Array(33) },
    ]) {
      assert.throws(() => eraReportData({ ...ERA, ...part }, NONCE), { code: 'USAGE' });
    }
    assert.throws(() => eraReportData(ERA, new Uint8Array(0)), { code: 'USAGE' });
  });
});

describe('the standing of a platform', () => {
  it('is never better than that of its parts', () => {
    const rank = (status: TcbStatus) => TCB_STATUSES.indexOf(status);
    for (const platform of TCB_STATUSES) {
      for (const part of PART_STATUSES) {
        const merged = converge(platform, part);
        assert.ok(rank(merged) >= Math.max(rank(platform), rank(part)), `${platform}, ${part}: ${merged}`);
      }
    }
  });

  it("is merged as Intel's verifier merges it", () => {
    // The table of its quote verification library, for parts that are out of date.
    const expected: Record<TcbStatus, TcbStatus> = {
      UpToDate: 'OutOfDate',
      SWHardeningNeeded: 'OutOfDate',
      ConfigurationNeeded: 'OutOfDateConfigurationNeeded',
      ConfigurationAndSWHardeningNeeded: 'OutOfDateConfigurationNeeded',
      OutOfDate: 'OutOfDate',
      OutOfDateConfigurationNeeded: 'OutOfDateConfigurationNeeded',
      Revoked: 'Revoked',
    };
    for (const status of TCB_STATUSES) {
      assert.equal(converge(status, 'OutOfDate'), expected[status]);
      assert.equal(converge(status, 'UpToDate'), status);
      assert.equal(converge(status, 'Revoked'), 'Revoked');
    }
  });

  it('is behind since the first of its parts is', () => {
    const part = <S extends TcbStatus>(status: S, behindSince?: number, ...advisories: string[]): Standing<S> => ({
      status,
      behindSince,
      advisories,
    });
    const fine = part<PartStatus>('UpToDate');
    assert.deepEqual(mergedStanding(part<TcbStatus>('UpToDate'), fine, fine), part('UpToDate'));
    const merged = mergedStanding(
      part<TcbStatus>('ConfigurationNeeded', 50, 'B'),
      part<PartStatus>('OutOfDate', 30, 'A', 'B'),
      fine,
    );
    assert.deepEqual(merged, part('OutOfDateConfigurationNeeded', 30, 'A', 'B'));
  });

  it('is accepted by a grace to the second, and never without a moment to count from', () => {
    const policy = { ...STRICT_TCB, graced: ['OutOfDate' as const], graceSeconds: 100 };
    const standing = { status: 'OutOfDate' as const, advisories: [], behindSince: CLOCK };
    assert.equal(checkStanding(standing, policy, CLOCK + 99), CLOCK + 100);
    assert.throws(() => checkStanding(standing, policy, CLOCK + 100), { code: 'TCB_REFUSED' });
    assert.throws(() => checkStanding({ ...standing, behindSince: undefined }, policy, CLOCK), { code: 'TCB_REFUSED' });
    const revoked = { ...standing, status: 'Revoked' as const };
    const lenient = { ...policy, accepted: TCB_STATUSES, graced: TCB_STATUSES };
    assert.throws(() => checkStanding(revoked, lenient, CLOCK), { code: 'EVIDENCE_REVOKED' });
  });
});

describe('a store of certificates', () => {
  it('remembers who issued one, and nobody else', async () => {
    const text = textOf(parseQuote(intelQuote()).pckChain, 'chain').replace('\0', '');
    const store = new CertificateStore();
    const [pck, authority, root] = store.parseChain(text, PCK_CHAIN);
    assert.ok(pck !== undefined && authority !== undefined && root !== undefined);
    for (let round = 0; round < 2; round++) {
      assert.equal(await store.isIssuedBy(pck, authority.publicKey), true);
      assert.equal(await store.isIssuedBy(pck, root.publicKey), false);
    }
    assert.equal(store.parseChain(text, PCK_CHAIN)[0], pck);
  });

  it('forgets the oldest of many', () => {
    const text = textOf(parseQuote(intelQuote()).pckChain, 'chain').replace('\0', '');
    const store = new CertificateStore();
    const [pck] = store.parseChain(text, PCK_CHAIN);
    const { certificates } = developmentAuthority();
    for (let serial = 0; serial < 128; serial++) {
      const other = developmentAuthority().pck((0x1000 + serial).toString(16));
      store.parseChain(pemOf(other, certificates.platform, certificates.root), PCK_CHAIN);
    }
    const [again] = store.parseChain(text, PCK_CHAIN);
    assert.notEqual(again, pck);
    assert.deepEqual(again, pck);
  });
});

describe('encodings', () => {
  /** Each bit of what no signature covers: the frame of what is signed, and the signature itself. */
  async function acceptedFlips(
    der: Uint8Array,
    parse: (der: Uint8Array) => { signed: Uint8Array<ArrayBuffer>; signature: Uint8Array<ArrayBuffer> },
    publicKey: Uint8Array<ArrayBuffer>,
  ): Promise<string[]> {
    const { signed, signature } = parse(der);
    assert.equal(await isSignature(publicKey, signed, signature), true);
    const start = der.findIndex((_, index) => hexOf(der.subarray(index, index + 8)) === hexOf(signed.subarray(0, 8)));
    const outside = Array.from(der.keys()).filter((index) => index < start || index >= start + signed.length);
    assert.ok(outside.length > 80);
    const accepted: string[] = [];
    for (const index of outside) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = der.slice();
        altered[index] = (altered[index] ?? 0) ^ (1 << bit);
        try {
          const parts = parse(altered);
          if (await isSignature(publicKey, parts.signed, parts.signature)) accepted.push(`byte ${index}, bit ${bit}`);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'EVIDENCE_MALFORMED');
        }
      }
    }
    return accepted;
  }

  it('of a certificate have one form: no bit outside of what is signed can be flipped', async () => {
    const text = textOf(parseQuote(intelQuote()).pckChain, 'chain').replace('\0', '');
    const [pck, authority] = new CertificateStore().parseChain(text, PCK_CHAIN);
    const der = bytesOfBase64(pemBlocks(text, 'chain')[0] ?? '', 'PCK');
    assert.deepEqual(parseCertificate(der, 'PCK'), pck);
    assert.deepEqual(
      await acceptedFlips(der, (bytes) => parseCertificate(bytes, 'PCK'), authority?.publicKey ?? assert.fail()),
      [],
    );
  });

  it('of a CRL have one form too', async () => {
    const [, root] = new CertificateStore().parseChain(intelCollateral().pckCrlIssuerChain, {
      field: 'chain',
      names: ['', ''],
      isLeafAuthority: true,
    });
    const der = bytesOfHex(intelCollateral().rootCaCrl, 'CRL');
    assert.deepEqual(await acceptedFlips(der, (bytes) => parseCrl(bytes, 'CRL'), root?.publicKey ?? assert.fail()), []);
  });

  it('of a CRL may be long', () => {
    const { keys } = developmentAuthority();
    const revoked = Array.from({ length: 10_000 }, (_, index) => (index + 0x100000).toString(16).padStart(40, '1'));
    const request = {
      issuer: DEVELOPMENT_NAMES.platform,
      issuerKey: keys.platform,
      thisUpdate: CLOCK,
      nextUpdate: CLOCK + 1,
    };
    const reason = extensionOf(id_ce_cRLReasons, false, Uint8Array.of(0x0a, 1, 1));
    for (const revokedExtensions of [[], [reason]]) {
      const der = issueCrl({ ...request, revoked, ...(revokedExtensions.length === 0 ? {} : { revokedExtensions }) });
      assert.ok(der.length > 0xffff && 2 * der.length < COLLATERAL_FIELD_CHARACTERS_MAX, String(der.length));
      assert.deepEqual([...parseCrl(der, 'CRL').revoked], revoked);
    }
  });

  it('of a CRL name certificates as their own do, and have one form in its entries', () => {
    const { keys } = developmentAuthority();
    const extension = (critical: boolean) => extensionOf(id_ce_cRLReasons, critical, Uint8Array.of(0x0a, 1, 1));
    const crl = (serial: string, revokedExtensions?: readonly Extension[]) =>
      issueCrl({
        issuer: DEVELOPMENT_NAMES.platform,
        issuerKey: keys.platform,
        thisUpdate: CLOCK,
        nextUpdate: CLOCK + 1,
        revoked: [serial],
        ...(revokedExtensions === undefined ? {} : { revokedExtensions }),
      });
    for (const serial of ['01', '7f'.repeat(20), `00${'f1'.repeat(20)}`]) {
      const certificate = parseCertificate(
        issueCertificate({
          serial,
          issuer: DEVELOPMENT_NAMES.platform,
          issuerKey: keys.platform,
          subject: 'x',
          publicKey: keys.platform.publicKey,
          notBefore: CLOCK,
          notAfter: CLOCK + 1,
          isAuthority: false,
        }),
        'certificate',
      );
      assert.deepEqual([...parseCrl(crl(serial, [extension(false)]), 'CRL').revoked], [certificate.serial]);
    }
    assert.throws(() => parseCrl(crl('01', [extension(true)]), 'CRL'), MALFORMED);
    assert.throws(() => parseCrl(crl('01', [extension(false), extension(false)]), 'CRL'), MALFORMED);
    const whole = crl('01');
    for (let end = 0; end < whole.length; end++) {
      assert.throws(() => parseCrl(whole.subarray(0, end), 'CRL'), MALFORMED, String(end));
    }
    const entry = hexOf(whole).indexOf('020101170d') / 2;
    for (const [place, byte] of [
      [-2, 0x31],
      [0, 0x04],
      [3, 0x04],
      [1, 0x81],
      [1, 0x80],
      [0, 0x1f],
    ] as const) {
      const altered = Uint8Array.from(whole);
      altered[entry + place] = byte;
      assert.throws(() => parseCrl(altered, 'CRL'), MALFORMED, `${place} ${byte}`);
    }
  });

  it('of values have the shortest length there is', () => {
    for (const [length, header] of [
      [0, '0400'],
      [127, '047f'],
      [128, '048180'],
      [255, '0481ff'],
      [256, '04820100'],
      [65_536, '0483010000'],
    ] as const) {
      const content = new Uint8Array(length).fill(7);
      const bytes = valueOf(0x04, content);
      assert.ok(hexOf(bytes).startsWith(header) && bytes.length === header.length / 2 + length, header);
      assert.deepEqual(valuesOf(bytes, 'test'), [{ tag: 0x04, bytes, content }]);
    }
    for (const [header, length] of [
      ['04817f', 127],
      ['04820080', 128],
      ['048200ff', 255],
      ['0480', 0],
      ['0480', 128],
      ['0481', 0],
      ['048280', 0],
      ['0484', 0],
      ['04ff', 300],
      ['0401', 0],
      ['04', 0],
    ] as const) {
      const bytes = bytesOfHex(header + '01'.repeat(length), 'test');
      assert.throws(() => valuesOf(bytes, 'test'), MALFORMED, `${header} ${length}`);
    }
  });

  it('of certificates and CRLs name in what is signed the algorithm that it is signed by', () => {
    const text = textOf(parseQuote(intelQuote()).pckChain, 'chain').replace('\0', '');
    const ecdsaSha384 = (der: Uint8Array) => {
      const [sha256, sha384] = ['06082a8648ce3d040302', '06082a8648ce3d040303'];
      assert.equal(hexOf(der).split(sha256).length, 3, 'it stands there and behind it');
      return bytesOfHex(hexOf(der).replace(sha256, sha384), 'test');
    };
    const pck = bytesOfBase64(pemBlocks(text, 'chain')[0] ?? '', 'PCK');
    const wanted = { ...MALFORMED, message: /expected a signature by ECDSA with SHA-256/ };
    assert.throws(() => parseCertificate(ecdsaSha384(pck), 'PCK'), wanted);
    const crl = bytesOfHex(intelCollateral().rootCaCrl, 'CRL');
    assert.throws(() => parseCrl(ecdsaSha384(crl), 'CRL'), wanted);
  });

  it('of keys are uncompressed points on P-256', () => {
    const point = keyPairOf(new Uint8Array(32), 'test').publicKey;
    const info = (prefix: Uint8Array, key: Uint8Array) => Buffer.concat([prefix, key]);
    assert.deepEqual(pointOf(info(P256_SPKI_PREFIX, point), 'test'), point);
    const other = Uint8Array.from(P256_SPKI_PREFIX);
    other[other.length - 4]! ^= 1;
    for (const wrong of [
      info(other, point),
      info(P256_SPKI_PREFIX, point.subarray(0, 64)),
      info(P256_SPKI_PREFIX, Buffer.concat([point, new Uint8Array(1)])),
      info(P256_SPKI_PREFIX, Buffer.concat([Uint8Array.of(2), point.subarray(1)])),
      P256_SPKI_PREFIX,
    ]) {
      assert.throws(() => pointOf(wrong, 'test'), MALFORMED, hexOf(wrong));
    }
  });

  it('of what a processor is lack no part', () => {
    const { keys } = developmentAuthority();
    const pckWith = (extensions: readonly Extension[]) =>
      parseCertificate(
        issueCertificate({
          serial: '01',
          issuer: DEVELOPMENT_NAMES.platform,
          issuerKey: keys.platform,
          subject: 'x',
          publicKey: keys.platform.publicKey,
          notBefore: CLOCK,
          notAfter: CLOCK + 1,
          isAuthority: false,
          extensions,
        }),
        'PCK',
      );
    const empty = extensionOf(OID_SGX_EXTENSIONS, false, valueOf(0x30, new Uint8Array(0)));
    assert.throws(() => platformOf(pckWith([])), { ...MALFORMED, message: /expected the SGX extension/ });
    assert.throws(() => platformOf(pckWith([empty])), { ...MALFORMED, message: /part 2 is missing/ });
  });

  it('of signatures are those of both numbers', async () => {
    const key = keyPairOf(new Uint8Array(32), 'test');
    const message = new Uint8Array(7);
    const signature = new Uint8Array(signBytes(key, message));
    assert.equal(await isSignature(key.publicKey, message, signature), true);
    assert.equal(await isSignature(key.publicKey, new Uint8Array(8), signature), false);
    assert.equal(await isSignature(new Uint8Array(65).fill(4), message, signature), false);
    assert.equal(await isSignature(new Uint8Array(0), message, signature), false);
    assert.equal(await isSignature(key.publicKey, message, new Uint8Array(64)), false);
    assert.equal(await isSignature(key.publicKey, message, signature.subarray(1)), false);
    for (const parts of [signature, new Uint8Array(64), new Uint8Array(64).fill(0xff), new Uint8Array(64).fill(1)]) {
      assert.deepEqual(signatureOf(signatureDer(parts), 'test'), parts);
    }
    const sequence = (...integers: Uint8Array[]) => valueOf(0x30, Buffer.concat(integers));
    const one = integerDer(Uint8Array.of(1));
    assert.equal(hexOf(sequence(one, one)), '3006020101020101');
    for (const der of [
      sequence(one),
      sequence(one, one, one),
      sequence(one, Uint8Array.of(2, 2, 0, 1)),
      sequence(one, Uint8Array.of(2, 1, 0xff)),
      sequence(one, integerDer(new Uint8Array(33).fill(1))),
      valueOf(0x31, Buffer.concat([one, one])),
      valueOf(0xb0, Buffer.concat([one, one])),
      Buffer.concat([sequence(one, one), Uint8Array.of(0)]),
      new Uint8Array(0),
    ]) {
      assert.throws(() => signatureOf(der, 'test'), MALFORMED, hexOf(der));
    }
  });

  it('of PEM have nothing beside their blocks', () => {
    const pem = pemOf(Uint8Array.of(1, 2, 3), new Uint8Array(200));
    assert.deepEqual(
      pemBlocks(pem, 'chain').map((block) => bytesOfBase64(block, 'chain').length),
      [3, 200],
    );
    assert.equal(pemBlocks(pem.trimEnd(), 'chain').length, 2);
    for (const text of [
      ` ${pem}`,
      `${pem} `,
      pem.replace('\n', '\r\n'),
      pem.replace('BEGIN', 'BEGlN'),
      `${pem}-----`,
    ]) {
      assert.throws(() => pemBlocks(text, 'chain'), MALFORMED);
    }
    assert.deepEqual(pemBlocks('', 'chain'), []);
    for (const base64 of ['A', 'AQ', 'AR==', 'AQ= =', 'AQ=', 'AQ==A', '*']) {
      assert.throws(() => bytesOfBase64(base64, 'base64'), MALFORMED, base64);
    }
  });

  it('of hex, integers and texts are the only ones', () => {
    assert.deepEqual(bytesOfHex('00ff', 'hex'), Uint8Array.of(0, 255));
    for (const text of ['0', '0x00', '0F', 'gg', ' 00', '00\n'])
      assert.throws(() => bytesOfHex(text, 'hex'), MALFORMED, text);
    assert.throws(() => bytesOfHex('0000', 'hex', 1), MALFORMED);
    const reader = new Reader(Uint8Array.of(1, 2, 3));
    assert.equal(reader.integer(2, 'two'), 0x0201);
    assert.throws(() => reader.take(2, 'more'), MALFORMED);
    assert.throws(() => {
      reader.end('end');
    }, MALFORMED);
    assert.throws(() => textOf(Uint8Array.of(0xff), 'text'), MALFORMED);
  });

  it('of JSON are read by their types', () => {
    const json = JsonReader.parse(
      '{"text":"a","whole":5,"half":0.5,"list":[{}],"texts":["a",1],"null":null,"time":"2026-02-30T00:00:00Z"}',
      'test',
    );
    assert.equal(json.text('text'), 'a');
    assert.equal(json.integer('whole', 5), 5);
    for (const read of [
      () => json.text('whole'),
      () => json.text('missing'),
      () => json.text('toString'),
      () => json.integer('whole', 4),
      () => json.integer('half', 4),
      () => json.integer('text', 4),
      () => json.list('text'),
      () => json.list('texts'),
      () => json.texts('texts'),
      () => json.object('null'),
      () => json.object('list'),
      () => json.time('time'),
      () => json.time('text'),
      () => {
        json.expect('whole', 6);
      },
      () => JsonReader.parse('[]', 'test'),
      () => JsonReader.parse('{', 'test'),
    ]) {
      assert.throws(read, MALFORMED);
    }
  });
});
