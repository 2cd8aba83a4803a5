import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { SpendingKey } from '@bitcloak/notes/keys';
import { ORDER_TYPES, REASONS, SELF_TRADES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';
import { AMOUNT_MAX, ASSET_BITS, FIELD_MODULUS, TAG, TIME_MAX } from '@bitcloak/protocol/parameters';
import { GcmKey as ClientGcm } from '@bitcloak/trading/gcm';
import {
  FRAME_BYTES,
  HELLO_BYTES,
  headOf,
  KIND,
  nonceOf,
  packFrame,
  packHello,
  packReply,
  packRequest,
  REPLY_BYTES,
  REQUEST_BYTES,
  SEQUENCE_MAX,
  sequenceOf,
  unpackReply,
  unpackRequest,
  unpackText,
} from '@bitcloak/trading/sealing';
import {
  decodeOpening,
  decodeOpeningReply,
  deriveKeys,
  encodeOpening,
  encodeOpeningReply,
  openingInfo,
  openingMessage,
  type EnclaveIdentity,
  type SessionOpening,
} from '@bitcloak/trading/session';
import { API, hexOf } from '@bitcloak/trading/wire';
import ts from 'typescript';
import { GcmKey } from '../../enclave/api/gcm.ts';
import { seededBytes } from '../support/random.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const KEY = new SpendingKey(123_456_789n, 987_654_321n);
const bytes = seededBytes('trading session');

describe('the opening of a session', () => {
  const opening: SessionOpening = {
    operatorId: 77n,
    owner: KEY.keys.owner,
    apiKey: bytes(32),
    encapsulation: bytes(32),
    time: 1_800_000_000,
  };

  it('is signed for with a message that can be no order, whatever its keys are', () => {
    const { operatorId, owner, apiKey, encapsulation, time } = opening;
    const number = (key: Uint8Array) => BigInt(`0x${hexOf(key)}`);
    const parts = [apiKey, encapsulation].flatMap((key) => [key.subarray(0, 16), key.subarray(16)]);
    const fields = [operatorId, owner, ...parts.map(number), BigInt(time)];
    assert.equal(openingMessage(opening), poseidon(fields, TAG.API));
    assert.notEqual(openingMessage(opening), poseidon(fields, TAG.ORDER));
  });

  it('has another message with any other content', () => {
    const others: Partial<SessionOpening>[] = [
      { operatorId: 78n },
      { owner: KEY.keys.owner + 1n },
      { time: opening.time + 1 },
    ];
    for (const key of ['apiKey', 'encapsulation'] as const) {
      for (const place of [0, 15, 16, 31]) {
        others.push({ [key]: Uint8Array.from(opening[key], (byte, index) => byte ^ Number(index === place)) });
      }
    }
    const messages = others.map((change) => openingMessage({ ...opening, ...change }));
    assert.equal(new Set([openingMessage(opening), ...messages]).size, others.length + 1);
  });

  it('is sealed for one enclave in one era', () => {
    const identity: EnclaveIdentity = { chainId: 1n, pool: 2n, registry: 3n, operator: 4, era: 5n };
    const infos = [
      identity,
      ...Object.keys(identity).map((name) => ({ ...identity, [name]: name === 'operator' ? 9 : 9n })),
    ];
    assert.equal(new Set(infos.map((each) => hexOf(openingInfo(each)))).size, 6);
    assert.equal(new Set(infos.map((each) => openingInfo(each).length)).size, 1);
  });

  it('comes back as it was, and only in one form', () => {
    const claim = { owner: FIELD_MODULUS - 1n, time: opening.time, signature: KEY.sign(openingMessage(opening)) };
    const encoded = encodeOpening(claim);
    assert.deepEqual(decodeOpening(encoded), claim);
    for (const wrong of [encoded.subarray(1), new Uint8Array(0), Buffer.concat([encoded, new Uint8Array(1)])]) {
      assert.equal(decodeOpening(wrong), undefined);
    }
    assert.equal(decodeOpening(encoded.fill(255, 32, 40)), undefined, 'no time');
    const reply = { id: bytes(16), expiry: 1_800_003_600 };
    assert.deepEqual(decodeOpeningReply(encodeOpeningReply(reply)), reply);
  });

  it('leads to keys that need the secret and what the enclave drew, one for each direction', () => {
    const [secret, random, other] = [bytes(32), bytes(32), bytes(32)];
    const all = [deriveKeys(secret, random), deriveKeys(secret, other), deriveKeys(other, random)];
    const shown = all.flatMap(({ fromClient, fromServer }) => [hexOf(fromClient), hexOf(fromServer)]);
    assert.equal(new Set(shown).size, 6);
    assert.deepEqual(deriveKeys(secret, random), all[0]);
  });
});

describe('what is sealed', () => {
  it('never has a nonce twice', () => {
    const numbers = [0, 1, 2, 255, 256, 65_536, SEQUENCE_MAX - 1, SEQUENCE_MAX];
    const nonces = Object.values(KIND).flatMap((kind) =>
      numbers.flatMap((sequence) => numbers.map((frame) => hexOf(nonceOf(kind, sequence, frame)))),
    );
    assert.equal(new Set(nonces).size, nonces.length);
    assert.ok(nonces.every(({ length }) => length === 24));
    assert.throws(() => nonceOf(KIND.frame, 1, SEQUENCE_MAX + 1), RangeError);
    assert.throws(() => nonceOf(KIND.request, SEQUENCE_MAX + 1), RangeError);
    assert.equal(sequenceOf(headOf(bytes(16), SEQUENCE_MAX)), SEQUENCE_MAX);
  });

  it('is the same to the client and to the enclave', async () => {
    const key = bytes(32);
    const [client, enclave] = [await ClientGcm.import(key), new GcmKey(key)];
    const [head, nonce, text] = [headOf(bytes(16), 7), nonceOf(KIND.request, 7), bytes(100)];
    const sealed = await client.seal(nonce, head, text);
    assert.deepEqual(new Uint8Array(enclave.seal(nonce, head, text)), sealed);
    assert.deepEqual(new Uint8Array(enclave.open(nonce, head, sealed) ?? []), text);
    assert.deepEqual(await client.open(nonce, head, sealed), text);
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(enclave.open(nonce, head, sealed.subarray(0, length)), undefined);
      assert.equal(await client.open(nonce, head, sealed.subarray(0, length)), undefined);
    }
    const other = { nonce: nonceOf(KIND.request, 8), head: headOf(bytes(16), 7) };
    for (const open of [enclave.open.bind(enclave), client.open.bind(client)]) {
      assert.equal(await open(other.nonce, head, sealed), undefined);
      assert.equal(await open(nonce, other.head, sealed), undefined);
    }
  });

  it('comes back as it was', () => {
    const request = { method: 'PATCH', path: `${API}/orders/1?a=b`, body: '{"ä":"\\n"}\n' };
    assert.deepEqual(unpackRequest(packRequest(request)), request);
    assert.deepEqual(unpackRequest(packRequest({ ...request, body: '' })), { ...request, body: '' });
    for (const text of ['', 'ä', 'x'.repeat(100_000)]) {
      assert.deepEqual(unpackReply(packReply(404, Buffer.from(text))), { status: 404, text });
      assert.equal(unpackText(packFrame(text)), text);
    }
    assert.equal(unpackText(packHello('{}')), '{}');
  });

  it('has few lengths', () => {
    const lengths = (pack: (text: string) => Uint8Array, most: number) => {
      const all = new Set<number>();
      for (let length = 0; length <= most; length++) all.add(pack('x'.repeat(length)).length);
      return [...all];
    };
    const request = (body: string) => packRequest({ method: 'GET', path: '/', body });
    assert.deepEqual(lengths(request, REQUEST_BYTES - 10), [REQUEST_BYTES]);
    assert.throws(() => request('x'.repeat(REQUEST_BYTES - 9)), RangeError);
    const reply = (text: string) => packReply(200, Buffer.from(text));
    assert.deepEqual(lengths(reply, REPLY_BYTES - 6), [REPLY_BYTES]);
    assert.equal(reply('x'.repeat(REPLY_BYTES - 5)).length, 2 * REPLY_BYTES);
    assert.equal(reply('x'.repeat(2 * REPLY_BYTES - 5)).length, 4 * REPLY_BYTES);
    assert.deepEqual(lengths(packFrame, FRAME_BYTES - 4), [FRAME_BYTES]);
    assert.equal(packFrame('x'.repeat(FRAME_BYTES - 3)).length, 2 * FRAME_BYTES);
    assert.deepEqual(lengths(packHello, HELLO_BYTES - 4), [HELLO_BYTES]);
    assert.throws(() => packHello('x'.repeat(HELLO_BYTES - 3)), RangeError);
  });

  it('has a length that every order and every report of one fits', () => {
    const longest = (words: readonly string[]) => words.toSorted((left, right) => right.length - left.length)[0];
    const [whole, amount, time] = [Number.MAX_SAFE_INTEGER, AMOUNT_MAX.toString(), Number(TIME_MAX)];
    const [field, asset] = [(FIELD_MODULUS - 1n).toString(), ((1n << BigInt(ASSET_BITS)) - 1n).toString()];
    const words = {
      clientOrderId: 'x'.repeat(36),
      side: 'sell',
      type: longest(ORDER_TYPES),
      timeInForce: longest(TIMES_IN_FORCE),
      selfTrade: longest(SELF_TRADES),
    };
    const signed = {
      order: {
        ...{ owner: field, operatorId: field, sellAsset: asset, buyAsset: asset, sellMax: amount, buyMin: amount },
        ...{ expiry: String(time), payTo: field, relockExpiry: String(time), salt: field },
      },
      signature: { r8x: field, r8y: field, s: field },
    };
    const terms = { market: whole, price: whole, lots: whole, expiry: time, postOnly: false };
    const parts = { display: whole, minimumTotal: whole, minimumMatch: whole };
    const body = JSON.stringify({ ...words, ...terms, ...parts, ...signed });
    assert.equal(packRequest({ method: 'POST', path: `${API}/orders`, body }).length, REQUEST_BYTES);

    const numbers = { id: whole, market: whole, price: whole, lots: whole, time };
    const open = { filled: whole, open: whole, status: 'cancelled', reason: longest(REASONS), expiry: time };
    const order = { ...words, ...numbers, ...open };
    const amounts = { sold: amount, bought: amount, fee: amount };
    const fill = {
      ...numbers,
      order: whole,
      side: 'sell',
      role: 'maker',
      ...amounts,
      status: 'waiting',
      settlement: whole,
    };
    const report = { sequence: whole, time, kind: 'traded', fill, order };
    assert.equal(packFrame(JSON.stringify({ kind: 'report', report })).length, FRAME_BYTES);
    const fills = Array.from({ length: 9 }, () => fill);
    const reply = { order, fills, head: 'a'.repeat(64) };
    assert.equal(packReply(201, Buffer.from(JSON.stringify(reply))).length, REPLY_BYTES);
  });

  it('is read in one form only', () => {
    const good = packRequest({ method: 'GET', path: '/a', body: '' });
    const changed = (place: number, value: number) =>
      Uint8Array.from(good, (byte, index) => (index === place ? value : byte));
    assert.deepEqual(unpackRequest(good), { method: 'GET', path: '/a', body: '' });
    const wrong = [
      new Uint8Array(0),
      new Uint8Array(3),
      new Uint8Array(REQUEST_BYTES),
      changed(0, 1),
      changed(3, 0),
      changed(3, 1),
      changed(REQUEST_BYTES - 1, 1),
      changed(12, 7),
      changed(4, 'g'.charCodeAt(0)),
      changed(8, ' '.charCodeAt(0)),
      changed(9, 255),
    ];
    for (const [index, padded] of wrong.entries())
      assert.throws(() => unpackRequest(padded), RangeError, String(index));
    assert.throws(() => unpackReply(packHello('x')), RangeError);
    assert.throws(() => unpackText(packReply(0xffff, new Uint8Array())), RangeError);
  });
});

describe("the client's side", () => {
  /** The files that a browser would load, by the conditions that it resolves packages with. */
  function loaded(from: string, seen = new Set<string>()): Set<string> {
    if (seen.has(from)) return seen;
    seen.add(from);
    const info = ts.preProcessFile(withoutTypes(readFileSync(from, 'utf8')), true, true);
    for (const { fileName } of info.importedFiles) {
      if (fileName.startsWith('.')) loaded(path.resolve(path.dirname(from), fileName), seen);
      else if (fileName.startsWith('@bitcloak/')) loaded(resolved(fileName), seen);
      else if (fileName.startsWith('#')) loaded(ownOf(from, fileName), seen);
      else seen.add(fileName);
    }
    return seen;
  }
  /** Imports of types alone are gone when it runs. */
  function withoutTypes(text: string): string {
    const { ESNext } = ts.ModuleKind;
    return ts.transpileModule(text, {
      compilerOptions: { module: ESNext, target: ts.ScriptTarget.ES2024, verbatimModuleSyntax: true },
    }).outputText;
  }
  type Targets = Record<string, string | Record<string, string>>;
  function targetsOf(directory: string): { imports?: Targets; exports: Targets } {
    return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as ReturnType<typeof targetsOf>;
  }
  const chosen = (target: string | Record<string, string> | undefined) =>
    (typeof target === 'string' ? target : target?.['default']) ?? '';
  function resolved(name: string): string {
    const [, packageName = '', file = ''] = /^@bitcloak\/([^/]+)\/(.+)$/.exec(name) ?? [];
    const directory = path.join(ROOT, 'packages', packageName);
    const { exports } = targetsOf(directory);
    return path.join(directory, chosen(exports[`./${file}`] ?? exports['./*']).replace('*', file));
  }
  /** What a package has for itself under such a name. */
  function ownOf(from: string, name: string): string {
    const directory = path.dirname(path.dirname(from));
    return path.join(directory, chosen(targetsOf(directory).imports?.[name]));
  }

  it('is made of nothing that only Node has', () => {
    const needed = loaded(path.join(ROOT, 'packages/trading/src/client.ts'));
    loaded(path.join(ROOT, 'packages/trading/src/enclaveCheck.ts'), needed);
    // Whoever trades has keys, and trusts somebody.
    loaded(path.join(ROOT, 'packages/attestation/src/trust.ts'), needed);
    const files = [...loaded(path.join(ROOT, 'packages/notes/src/keys.ts'), needed)];
    const own = files.filter((file) => path.isAbsolute(file));
    assert.ok(own.length > 20);
    for (const name of ['x25519Portable.ts', 'poseidonPortable.ts']) {
      assert.ok(
        own.some((file) => file.endsWith(name)),
        name,
      );
    }
    const packages = files
      .filter((file) => !path.isAbsolute(file))
      .map((name) => name.split('/').slice(0, 2).join('/'));
    assert.deepEqual([...new Set(packages)].sort(), [
      '@hpke/core',
      '@noble/curves',
      '@noble/hashes',
      '@peculiar/asn1-ecc',
      '@peculiar/asn1-schema',
      '@peculiar/asn1-x509',
      '@scure/base',
    ]);
    for (const file of own) {
      const code = withoutTypes(readFileSync(file, 'utf8')).replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');
      assert.doesNotMatch(code, /\bnode:|\bBuffer\b|\bprocess\b|\brequire\b|\bsetImmediate\b/, file);
    }
  });
});
