import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { inspect } from 'node:util';
import { add, B8, compress, multiplyBase } from '@bitcloak/crypto/babyjubjub';
import { verify } from '@bitcloak/crypto/eddsa';
import { bytesToInteger, integerToBytes } from '@bitcloak/crypto/field';
import { openSlots } from '@bitcloak/crypto/noteEncryption';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { formatAddress, parseAddress } from '@bitcloak/notes/address';
import { challengeOf, evaluate } from '@bitcloak/notes/evaluation';
import { extDataHash } from '@bitcloak/notes/extData';
import { appendBucket } from '@bitcloak/notes/insertion';
import { Keyring, ViewingKey } from '@bitcloak/notes/keys';
import { decodeMessage, encodeMessage, type NoteMessage } from '@bitcloak/notes/message';
import { newMnemonic, normalizeMnemonic, seedOf } from '@bitcloak/notes/mnemonic';
import { blindingFrom, commitmentOf, nullifierOf, type Note } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { buildTransfer, shownValues } from '@bitcloak/notes/transfer';
import { Bucket, BucketTree, emptyRoot, placeOf, UPPER_LEVELS } from '@bitcloak/notes/tree';
import {
  AMOUNT_MAX,
  BUCKET_HEIGHT,
  BUCKET_LEAVES,
  DEPOSIT_CIPHERTEXT_BYTES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  SLOT_PLAINTEXT_BYTES,
  SUBGROUP_ORDER,
  TAG,
  TIME_MAX,
  TRANSFER_CIPHERTEXT_BYTES,
  TREE_BUCKETS,
  TREE_DEPTH,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { bech32m } from '@scure/base';
import { AbiCoder, getAddress, keccak256, toBeHex } from 'ethers';
import fc from 'fast-check';
import * as circuit from '../support/circuit.ts';
import { addressOf } from '../support/relayer.ts';
import { seededBytes } from '../support/random.ts';

const PROPERTY = { seed: 20261122, numRuns: 100 };
const PHRASE = 'test test test test test test test test test test test junk';
/** Of PHRASE: the address, and the owner of the trading account 3 with OPERATOR. */
const ADDRESS =
  'cloak1qqkf4ymknz7fu5mzujk3zeupdt4hqlvu9trtnlqwzy9qxqkxy7spkua747n36qdpk4py5hspkk6lyj72cr47hafgk849qwe5fdrl57ta4d8qw0';
const TRADING_OWNER = 13381580655301639935924303987166718087076466171530969206787389183254043337630n;
const OPERATOR = 0x1234567890abcdefn;
const ASSET = 0x5fbdb2315678afecb367f032d93f642f64180aa3n;

const field = fc.bigInt({ min: 0n, max: FIELD_MODULUS - 1n });
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe('the recovery phrase', () => {
  it("gives BIP-39's seed", () => {
    const words = `${'abandon '.repeat(11)}about`;
    const expected =
      '5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1' +
      '9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4';
    assert.equal(Buffer.from(seedOf(words)).toString('hex'), expected);
  });

  it('is 24 new words, and taken in any spacing and case', () => {
    const words = newMnemonic();
    assert.equal(words.split(' ').length, 24);
    assert.notEqual(newMnemonic(), words);
    assert.equal(normalizeMnemonic(`  ${words.toUpperCase().replaceAll(' ', '\n\t ')} \n`), words);
  });

  it('is refused without being repeated', () => {
    const words = PHRASE.split(' ');
    for (const wrong of ['', 'junk', `${PHRASE} junk`, words.toReversed().join(' '), PHRASE.replace('junk', 'jun')]) {
      assert.throws(
        () => seedOf(wrong),
        ({ code, message }: { code: string; message: string }) =>
          code === 'MNEMONIC_INVALID' && !/\btest\b|\bjun/.test(message),
      );
    }
  });
});

describe('keys', () => {
  const seed = seedOf(PHRASE);
  const keyring = new Keyring(seed);
  const { viewing } = keyring;

  it('follow from the seed as they always did', () => {
    const derive = (purpose: string) =>
      bytesToInteger(new Uint8Array(hkdfSync('sha512', seed, 'bitcloak seed v1', purpose, 64)));
    const publicKey = multiplyBase(1n + (derive('spend') % (SUBGROUP_ORDER - 1n)));
    const nullifierKey = derive('nullifier') % FIELD_MODULUS;
    const secret = new Uint8Array(hkdfSync('sha512', seed, 'bitcloak seed v1', 'view', 64)).slice(0, 32);
    assert.deepEqual(viewing.main.publicKey, publicKey);
    assert.equal(viewing.main.nullifierKey, nullifierKey);
    assert.equal(viewing.main.owner, poseidon([publicKey.x, publicKey.y, nullifierKey], TAG.OWNER));
    assert.deepEqual(viewing.agreement.publicKey, new AgreementKey(secret).publicKey);

    const info = Buffer.concat([integerToBytes(OPERATOR, 32), integerToBytes(3n, 4)]);
    const bytes = Buffer.from(hkdfSync('sha512', secret, 'bitcloak trading account v1', info, 128));
    const tweak = 1n + (bytesToInteger(bytes.subarray(0, 64)) % (SUBGROUP_ORDER - 1n));
    const account = viewing.tradingAccount(OPERATOR, 3);
    assert.deepEqual(account.publicKey, add(publicKey, multiplyBase(tweak)));
    assert.equal(account.nullifierKey, bytesToInteger(bytes.subarray(64)) % FIELD_MODULUS);

    // What people have written down must stay theirs whatever is changed above.
    assert.equal(formatAddress(addressOf(keyring)), ADDRESS);
    assert.equal(account.owner, TRADING_OWNER);
  });

  it('sign for themselves, also those of a trading account', () => {
    const message = 42n;
    for (const key of [
      keyring.spending,
      keyring.tradingAccount(OPERATOR, 0),
      keyring.tradingAccount(OPERATOR, 2 ** 32 - 1),
    ]) {
      assert.ok(verify(key.keys.publicKey, message, key.sign(message)));
    }
  });

  it('give a watcher the same trading accounts as the spender, each another one', () => {
    const watcher = ViewingKey.parse(viewing.export());
    const owners = new Set<bigint>([viewing.main.owner]);
    const cases = [0n, 1n, OPERATOR, FIELD_MODULUS - 1n].flatMap((operatorId) =>
      [0, 1, 7, 2 ** 32 - 1].map((index) => ({ operatorId, index })),
    );
    for (const { operatorId, index } of cases) {
      const { keys } = keyring.tradingAccount(operatorId, index);
      const watched = watcher.tradingAccount(operatorId, index);
      assert.deepEqual(watched, keys);
      assert.equal(watched.nullifierKey, keys.nullifierKey);
      assert.notEqual(keys.nullifierKey, viewing.main.nullifierKey);
      owners.add(keys.owner);
    }
    assert.equal(owners.size, cases.length + 1);
  });

  it('go out and come back as a viewing key', () => {
    const text = viewing.export();
    assert.match(text, /^cloakview1[a-z0-9]{160,}$/);
    for (const given of [text, `  ${text}\n`, text.toUpperCase()]) {
      const parsed = ViewingKey.parse(given);
      assert.deepEqual(parsed.main, viewing.main);
      assert.equal(parsed.main.nullifierKey, viewing.main.nullifierKey);
      assert.deepEqual(parsed.agreement.publicKey, viewing.agreement.publicKey);
      assert.equal(parsed.export(), text);
    }
  });

  it('refuse any other text for a viewing key, without repeating it', () => {
    const text = viewing.export();
    const payload = bech32m.fromWords(bech32m.decode(text as `${string}1${string}`, false).words);
    const encode = (bytes: Uint8Array, prefix = 'cloakview') => bech32m.encode(prefix, bech32m.toWords(bytes), false);
    const changed = (at: number, values: Uint8Array) => {
      const bytes = Uint8Array.from(payload);
      bytes.set(values, at);
      return bytes;
    };
    assert.equal(encode(payload), text);
    const wrong = [
      '',
      'cloakview1',
      text.slice(0, -1),
      encode(payload, 'cloak'),
      encode(changed(0, Uint8Array.of(1))),
      encode(payload.slice(0, -1)),
      encode(Uint8Array.from([...payload, 0])),
      // A point that is none, one outside the subgroup, and a nullifier key above the modulus.
      encode(changed(1, integerToBytes(2n, 32).reverse())),
      encode(changed(1, compress(add(B8, { x: 0n, y: FIELD_MODULUS - 1n })))),
      encode(changed(33, integerToBytes(FIELD_MODULUS, 32))),
    ];
    for (let at = 0; at < text.length; at++) wrong.push(substitute(text, at, text[at] === 'q' ? 'p' : 'q'));
    for (const given of wrong) {
      assert.throws(
        () => ViewingKey.parse(given),
        (error: { code: string; message: string }) =>
          error.code === 'VIEWING_KEY_INVALID' &&
          !(given.length > 20 && inspect(error, { depth: 5 }).includes(given.slice(12, 32))),
      );
    }
  });

  it('show no secret when printed or written as JSON', () => {
    const { nullifierKey } = viewing.main;
    const { tweak } = viewing.tradingSecrets(OPERATOR, 0);
    const scalar =
      1n +
      (bytesToInteger(new Uint8Array(hkdfSync('sha512', seed, 'bitcloak seed v1', 'spend', 64))) %
        (SUBGROUP_ORDER - 1n));
    const things = [keyring, viewing, keyring.tradingAccount(OPERATOR, 0), viewing.tradingAccount(OPERATOR, 0)];
    const text = things
      .map(
        (thing) =>
          inspect(thing, { depth: 9 }) +
          JSON.stringify(thing, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
      )
      .join('\n');
    const secrets = [scalar, nullifierKey, tweak, keyring.tradingAccount(OPERATOR, 0).keys.nullifierKey];
    for (const secret of secrets) {
      assert.ok(!text.includes(secret.toString()) && !text.includes(secret.toString(16)));
    }
    assert.ok(text.includes(viewing.main.owner.toString()), 'it shows what is public');
  });
});

function substitute(text: string, at: number, character: string): string {
  return text.slice(0, at) + character + text.slice(at + 1);
}

describe('a shielded address', () => {
  const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
  const address = addressOf(new Keyring(seedOf(PHRASE)));
  const text = formatAddress(address);

  it('goes out and comes back', () => {
    fc.assert(
      fc.property(field, bytesOf(32), (owner, viewingKey) => {
        assert.deepEqual(parseAddress(formatAddress({ owner, viewingKey })), { owner, viewingKey });
      }),
      PROPERTY,
    );
    assert.deepEqual(parseAddress(` ${text}\n`), address);
    // As a QR code has it.
    assert.deepEqual(parseAddress(text.toUpperCase()), address);
  });

  it('is refused with any one character another', () => {
    let tried = 0;
    for (let at = 0; at < text.length; at++) {
      for (const character of `${BECH32}bio1- É`) {
        if (character === text[at] || ((at === 0 || at === text.length - 1) && character === ' ')) continue;
        tried++;
        assert.throws(
          () => parseAddress(substitute(text, at, character)),
          { code: 'ADDRESS_INVALID' },
          `${at} ${character}`,
        );
      }
    }
    assert.ok(tried > 32 * text.length);
  });

  it('is refused with a character too many or too few, or with two swapped', () => {
    for (let at = 0; at < text.length; at++) {
      const wrong = [text.slice(0, at) + text.slice(at + 1), `${text.slice(0, at)}q${text.slice(at)}`];
      if (text[at] !== text[at + 1] && at + 1 < text.length) {
        wrong.push(text.slice(0, at) + (text[at + 1] ?? '') + (text[at] ?? '') + text.slice(at + 2));
      }
      for (const given of wrong)
        assert.throws(() => parseAddress(given), { code: 'ADDRESS_INVALID' }, `${at} ${given}`);
    }
  });

  it('is refused with a right checksum and a wrong content', () => {
    const encode = (bytes: Uint8Array, prefix = 'cloak') => bech32m.encode(prefix, bech32m.toWords(bytes), false);
    const payload = Uint8Array.from([0, ...integerToBytes(address.owner, 32), ...address.viewingKey]);
    assert.equal(encode(payload), text);
    const aboveModulus = Uint8Array.from([0, ...integerToBytes(FIELD_MODULUS, 32), ...address.viewingKey]);
    const wrong: [RegExp, string][] = [
      [/prefix/, encode(payload, 'cloakview')],
      [/version/, encode(Uint8Array.from([1, ...payload.slice(1)]))],
      [/version/, encode(payload.slice(0, -1))],
      [/version/, encode(Uint8Array.from([...payload, 0]))],
      [/version/, encode(new Uint8Array())],
      [/owner/, encode(aboveModulus)],
    ];
    for (const [message, given] of wrong)
      assert.throws(() => parseAddress(given), { code: 'ADDRESS_INVALID', message });
    for (const given of ['', 'cloak', 'cloak1', '0x1234', text.repeat(2), 'x'.repeat(100_000)]) {
      assert.throws(() => parseAddress(given), { code: 'ADDRESS_INVALID' });
    }
  });
});

describe('a message in a slot', () => {
  const random = new circuit.SeededRandom('messages');
  const plain = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(shape, { noNullPrototype: true });
  const amount = fc.bigInt({ min: 0n, max: AMOUNT_MAX });
  const asset = fc.bigInt({ min: 0n, max: 2n ** 160n - 1n });
  const time = fc.bigInt({ min: 0n, max: TIME_MAX });
  const point = fc.bigInt({ min: 1n, max: SUBGROUP_ORDER - 1n }).map(multiplyBase);
  const messages: Record<NoteMessage['kind'], fc.Arbitrary<NoteMessage>> = {
    received: plain({ kind: fc.constant('received' as const), asset, value: amount }),
    locked: plain({
      kind: fc.constant('locked' as const),
      asset,
      value: amount,
      operatorId: field,
      expiry: time,
      index: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      secret: bytesOf(16),
    }),
    operator: plain({
      kind: fc.constant('operator' as const),
      asset,
      value: amount,
      expiry: time,
      publicKey: point,
      nullifierKey: field,
    }),
    sent: plain({
      kind: fc.constant('sent' as const),
      asset,
      value: amount,
      recipient: plain({ owner: field, viewingKey: bytesOf(32) }),
    }),
  };

  for (const [kind, arbitrary] of Object.entries(messages)) {
    it(`of the kind ${kind} comes back as it was, in the one length`, () => {
      fc.assert(
        fc.property(arbitrary, (message) => {
          const bytes = encodeMessage(message);
          assert.equal(bytes.length, SLOT_PLAINTEXT_BYTES);
          assert.deepEqual(decodeMessage(bytes), message);
        }),
        PROPERTY,
      );
    });
  }

  it('is refused where its content does not fit', () => {
    const note = { asset: ASSET, value: 1n };
    const lock = { kind: 'locked', ...note, operatorId: 1n, expiry: 1n, index: 0, secret: new Uint8Array(16) } as const;
    const wrong: NoteMessage[] = [
      { kind: 'received', asset: 2n ** 160n, value: 1n },
      { kind: 'received', asset: ASSET, value: AMOUNT_MAX + 1n },
      { kind: 'received', asset: ASSET, value: -1n },
      { ...lock, expiry: TIME_MAX + 1n },
      { ...lock, index: 2 ** 32 },
      { ...lock, index: -1 },
      { ...lock, index: 0.5 },
    ];
    for (const message of wrong) assert.throws(() => encodeMessage(message), RangeError);
  });

  it('from a stranger is read as nothing where it makes no sense', () => {
    const head = (kind: number) => [kind, ...integerToBytes(ASSET, 20), ...integerToBytes(5n, 15)];
    const bytes = (kind: number, ...rest: Uint8Array[]) => {
      const message = new Uint8Array(SLOT_PLAINTEXT_BYTES);
      message.set([...head(kind), ...rest.flatMap((part) => [...part])]);
      return message;
    };
    const aliased = integerToBytes(FIELD_MODULUS, 32);
    const point = compress(B8);
    const undecodable: [string, Uint8Array][] = [
      ['of kind 0', bytes(0)],
      ['of a kind to come', bytes(5)],
      ['with an operator above the modulus', bytes(2, aliased)],
      ['with a nullifier key above the modulus', bytes(3, new Uint8Array(5), point, aliased)],
      ['with no point', bytes(3, new Uint8Array(5), integerToBytes(2n, 32).reverse())],
      ['with the identity', bytes(3, new Uint8Array(5), integerToBytes(1n, 32).reverse())],
      ['with a recipient above the modulus', bytes(4, aliased)],
      ['too short', bytes(1).slice(1)],
      ['too long', Uint8Array.from([...bytes(1), 0])],
      ['empty', new Uint8Array()],
    ];
    for (const [what, message] of undecodable) assert.equal(decodeMessage(message), undefined, what);
    // The same with a right content is read.
    assert.equal(decodeMessage(bytes(3, new Uint8Array(5), point, integerToBytes(1n, 32)))?.kind, 'operator');
    for (let round = 0; round < 200; round++) {
      const noise = integerToBytes(random.below(2n ** 840n), SLOT_PLAINTEXT_BYTES);
      assert.doesNotThrow(() => decodeMessage(noise));
    }
  });
});

describe('the notes of a call', () => {
  const bytes = seededBytes('outputs');
  const sender = new Keyring(bytes(64));
  const payee = new Keyring(bytes(64));
  const operator = new AgreementKey(bytes(32));
  const lock = { operatorId: OPERATOR, expiry: 1_800_000_000n };

  it('are found by their owners, each with the blinding that its slot stands for', () => {
    const maker = new OutputMaker(ASSET);
    const paid = maker.plain(5n, addressOf(payee), sender.viewing.agreement.publicKey);
    const change = maker.plain(7n, addressOf(sender));
    const nothing = maker.nothing();
    const ciphertext = maker.ciphertext();
    assert.equal(ciphertext.length, TRANSFER_CIPHERTEXT_BYTES);

    const [received, ...others] = openSlots(payee.viewing.agreement, ciphertext);
    assert.deepEqual(others, []);
    assert.equal(received?.slot, 0);
    assert.deepEqual(decodeMessage(received.plaintext), { kind: 'received', asset: ASSET, value: 5n });
    const { owner } = payee.viewing.main;
    const rebuilt: Note = { asset: ASSET, value: 5n, owner, blinding: blindingFrom(received.secret), lock: undefined };
    assert.equal(commitmentOf(rebuilt), commitmentOf(paid));

    const own = openSlots(sender.viewing.agreement, ciphertext);
    assert.deepEqual(
      own.map(({ slot }) => slot),
      [1, 2],
    );
    assert.deepEqual(
      own.map(({ plaintext }) => decodeMessage(plaintext)),
      [
        { kind: 'sent', asset: ASSET, value: 5n, recipient: addressOf(payee) },
        { kind: 'received', asset: ASSET, value: 7n },
      ],
    );
    assert.equal(change.blinding, blindingFrom(own[1]?.secret ?? new Uint8Array()));
    assert.equal(nothing.value, 0n);
    assert.equal(new Set([paid.blinding, change.blinding, nothing.blinding]).size, 3);
  });

  it('that are locked are found by the seed and, where it is told, by the operator', () => {
    for (const operatorKey of [undefined, operator.publicKey]) {
      const maker = new OutputMaker(ASSET);
      const keys = sender.viewing.tradingAccount(OPERATOR, 2);
      const note = maker.locked(9n, { keys, index: 2, lock, operatorKey }, sender.viewing.agreement.publicKey);
      const ciphertext = maker.ciphertext();
      assert.equal(ciphertext.length, DEPOSIT_CIPHERTEXT_BYTES);
      assert.deepEqual([note.owner, note.lock], [keys.owner, lock]);

      const [own] = openSlots(sender.viewing.agreement, ciphertext);
      const message = decodeMessage(own?.plaintext ?? new Uint8Array());
      assert.ok(message?.kind === 'locked');
      assert.deepEqual(
        { ...message, secret: undefined },
        { kind: 'locked', asset: ASSET, value: 9n, ...lock, index: 2, secret: undefined },
      );
      assert.equal(blindingFrom(message.secret), note.blinding);

      const [told] = openSlots(operator, ciphertext);
      assert.equal(told === undefined, operatorKey === undefined);
      if (told === undefined) continue;
      const { publicKey, nullifierKey } = keys;
      const expected = { kind: 'operator', asset: ASSET, value: 9n, expiry: lock.expiry, publicKey, nullifierKey };
      assert.deepEqual(decodeMessage(told.plaintext), expected);
      assert.equal(blindingFrom(told.secret), note.blinding);
    }
  });
});

describe('the transfer that is proven', () => {
  const keyring = new Keyring(seededBytes('transfer')(64));
  const key = keyring.spending;
  const note = (value: bigint): Note => ({
    asset: ASSET,
    value,
    owner: key.keys.owner,
    blinding: value + 1n,
    lock: undefined,
  });
  const plan = {
    key,
    asset: ASSET,
    inputs: [
      { note: note(10n), leaf: TREE_LEAVES + 5, path: Array.from({ length: TREE_DEPTH }, () => [1n, 2n, 3n] as const) },
    ],
    root: 77n,
    outputs: [note(4n), note(3n), note(0n)],
    withdrawAmount: 3n,
    extDataHash: 99n,
    validAfter: 3_600n,
  };

  it('takes the place in its own tree, and a dummy of random blinding for the second input', () => {
    const [left, right] = [buildTransfer(plan), buildTransfer(plan)];
    assert.deepEqual(left.inputLeafIndex, [5n, 0n]);
    assert.equal(left.nullifiers[0], nullifierOf(key.keys.nullifierKey, commitmentOf(note(10n)), 5));
    assert.equal(left.nullifiers[0], right.nullifiers[0]);
    assert.notEqual(left.nullifiers[1], right.nullifiers[1]);
    assert.deepEqual(left.inputValue, [10n, 0n]);
  });

  it('binds what it shows as the pool and the circuit do', () => {
    const input = buildTransfer(plan);
    const shown = shownValues(input);
    assert.deepEqual(shown, circuit.shownBy(input as unknown as circuit.TransferInput));
    assert.equal(input.message, circuit.hashes.transferMessage(shown));
    const words = [input.root, input.message, ...shown];
    const encoded = AbiCoder.defaultAbiCoder().encode(
      words.map(() => 'uint256'),
      words,
    );
    assert.equal(input.challenge, BigInt(keccak256(encoded)) % FIELD_MODULUS);
    assert.equal(input.evaluation, circuit.evaluate(shown, input.challenge));
    const [x, y] = input.signatureR8;
    assert.ok(verify(key.keys.publicKey, input.message, { r8: { x, y }, s: input.signatureS }));
  });

  it('names an asset exactly where something is withdrawn', () => {
    assert.equal(buildTransfer(plan).publicAsset, ASSET);
    assert.equal(buildTransfer({ ...plan, withdrawAmount: 0n }).publicAsset, 0n);
  });

  it('has three outputs', () => {
    for (const outputs of [plan.outputs.slice(1), [...plan.outputs, note(0n)]]) {
      assert.throws(() => buildTransfer({ ...plan, outputs }), RangeError);
    }
  });
});

describe('the hash of what a transfer carries', () => {
  it("is that of Solidity's abi.encode", () => {
    const address = fc.bigInt({ min: 0n, max: 2n ** 160n - 1n });
    const types = ['uint256', 'address', 'address', 'address', 'uint256', 'bytes32'];
    const text = (value: bigint) => getAddress(toBeHex(value, 20));
    fc.assert(
      fc.property(
        fc.tuple(
          fc.bigInt({ min: 1n, max: 2n ** 64n }),
          address,
          address,
          address,
          fc.bigInt({ min: 0n, max: AMOUNT_MAX }),
        ),
        fc.uint8Array({ maxLength: 800 }),
        ([chainId, pool, recipient, relayer, fee], ciphertext) => {
          const values = [chainId, text(pool), text(recipient), text(relayer), fee, keccak256(ciphertext)];
          const expected = BigInt(keccak256(AbiCoder.defaultAbiCoder().encode(types, values))) % FIELD_MODULUS;
          assert.equal(extDataHash(chainId, pool, { recipient, relayer, fee, ciphertext }), expected);
        },
      ),
      PROPERTY,
    );
  });

  it('is another one with anything in it another', () => {
    const extData = { recipient: 3n, relayer: 4n, fee: 5n, ciphertext: Uint8Array.of(6) };
    const hashes = [
      extDataHash(1n, 2n, extData),
      extDataHash(2n, 2n, extData),
      extDataHash(1n, 3n, extData),
      extDataHash(1n, 2n, { ...extData, recipient: 4n }),
      extDataHash(1n, 2n, { ...extData, relayer: 3n }),
      extDataHash(1n, 2n, { ...extData, fee: 6n }),
      extDataHash(1n, 2n, { ...extData, ciphertext: Uint8Array.of(7) }),
      extDataHash(1n, 2n, { ...extData, ciphertext: Uint8Array.of(6, 0) }),
    ];
    assert.equal(new Set(hashes).size, hashes.length);
  });
});

describe('the evaluation', () => {
  it('is the sum of the coefficients times powers of the point', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 70 }), field, (coefficients, point) => {
        assert.equal(evaluate(coefficients, point), circuit.evaluate(coefficients, point));
      }),
      PROPERTY,
    );
    assert.equal(evaluate([], 5n), 0n);
    assert.equal(evaluate([1n, 2n, 3n], 10n), 321n);
  });

  it("is taken at keccak's of 32-byte words", () => {
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 20 }), (words) => {
        const encoded = AbiCoder.defaultAbiCoder().encode(
          words.map(() => 'uint256'),
          words,
        );
        assert.equal(challengeOf(words), BigInt(keccak256(encoded)) % FIELD_MODULUS);
      }),
      PROPERTY,
    );
  });
});

describe('the tree', () => {
  const random = new circuit.SeededRandom('tree');
  const leaves = (count: number) => Array.from({ length: count }, () => random.field());

  function naiveBucket(content: readonly bigint[]): circuit.SparseTree {
    const tree = new circuit.SparseTree(BUCKET_HEIGHT);
    content.forEach((leaf, index) => tree.set(index, leaf));
    return tree;
  }

  function naiveTree(roots: readonly bigint[]): circuit.SparseTree {
    const tree = new circuit.SparseTree(UPPER_LEVELS, emptyRoot(BUCKET_HEIGHT));
    roots.forEach((root, index) => tree.set(index, root));
    return tree;
  }

  it('has the roots of empty subtrees', () => {
    assert.equal(emptyRoot(0), 0n);
    for (let height = 1; height <= TREE_DEPTH; height++) {
      const below = emptyRoot(height - 1);
      assert.equal(emptyRoot(height), circuit.hashes.node([below, below, below, below]));
    }
    assert.equal(new BucketTree().root(), emptyRoot(TREE_DEPTH));
    assert.equal(new Bucket([]).root(), emptyRoot(BUCKET_HEIGHT));
  });

  it('has buckets of any number of leaves, with a path for each place', () => {
    for (const count of [0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64]) {
      const content = leaves(count);
      const [bucket, naive] = [new Bucket(content), naiveBucket(content)];
      assert.equal(bucket.root(), naive.root, `${count} leaves`);
      for (let place = 0; place < BUCKET_LEAVES; place++) assert.deepEqual(bucket.path(place), naive.path(place));
    }
    assert.throws(() => new Bucket(leaves(65)), RangeError);
  });

  it('is the naive one after any appending and forgetting', () => {
    const step = fc.oneof(
      fc.record({ append: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ truncate: fc.integer({ min: 0, max: 40 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const tree = new BucketTree();
        let roots: bigint[] = [];
        for (const doing of steps) {
          if ('append' in doing) {
            const added = leaves(doing.append);
            tree.append(added);
            roots.push(...added);
          } else {
            tree.truncate(doing.truncate);
            roots = roots.slice(0, doing.truncate);
          }
          assert.equal(tree.length, roots.length);
          const naive = naiveTree(roots);
          assert.equal(tree.root(), naive.root);
          // The next place, too: an insertion proves that it was empty.
          for (const index of [0, roots.length >> 1, Math.max(0, roots.length - 1), roots.length]) {
            assert.deepEqual(tree.path(index), naive.path(index));
          }
        }
      }),
      { ...PROPERTY, numRuns: 12 },
    );
  });

  it('grows over many levels', () => {
    const tree = new BucketTree();
    const roots = leaves(300);
    for (let first = 0; first < roots.length; first += 37) tree.append(roots.slice(first, first + 37));
    const naive = naiveTree(roots);
    assert.equal(tree.root(), naive.root);
    for (const index of [0, 63, 64, 255, 256, 299]) assert.deepEqual(tree.path(index), naive.path(index));
    tree.truncate(0);
    assert.equal(tree.root(), emptyRoot(TREE_DEPTH));
  });

  it('knows the place of a leaf over all trees', () => {
    assert.deepEqual(placeOf(0), { bucket: 0, position: 0, tree: 0, treeIndex: 0 });
    assert.deepEqual(placeOf(64 + 3), { bucket: 1, position: 3, tree: 0, treeIndex: 67 });
    assert.deepEqual(placeOf(TREE_LEAVES - 1), {
      bucket: TREE_BUCKETS - 1,
      position: 63,
      tree: 0,
      treeIndex: TREE_LEAVES - 1,
    });
    assert.deepEqual(placeOf(2 * TREE_LEAVES + 65), {
      bucket: 2 * TREE_BUCKETS + 1,
      position: 1,
      tree: 2,
      treeIndex: 65,
    });
  });

  it('states for an insertion what lies between its two roots', () => {
    const tree = new BucketTree();
    tree.append(leaves(5));
    const content = leaves(3);
    const oldRoot = tree.root();
    const siblings = tree.path(5);
    const input = appendBucket(tree, TREE_BUCKETS + 5, content);
    assert.deepEqual([input.oldRoot, input.newRoot, input.bucketIndex], [oldRoot, tree.root(), 5n]);
    assert.equal(input.bucketRoot, naiveBucket(content).root);
    assert.deepEqual(input.siblings, siblings);
    assert.deepEqual(input.leaves, [...content, ...new Array<bigint>(61).fill(0n)]);
    assert.equal(input.evaluation, circuit.evaluate(content, input.challenge));
    assert.throws(() => appendBucket(tree, 5, content), RangeError);
    assert.throws(() => appendBucket(tree, 6, []), RangeError);
    assert.equal(NATIVE_ASSET, BigInt('0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE'));
  });
});
