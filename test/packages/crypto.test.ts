import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { add, B8, compress, decompress, isPublicKey, multiplyBase, type Point } from '@bitcloak/crypto/babyjubjub';
import { sign, verify, type Signature } from '@bitcloak/crypto/eddsa';
import {
  bytesToInteger,
  FIELD_BYTES,
  integerToBytes,
  isField,
  randomField,
  uniformToField,
} from '@bitcloak/crypto/field';
import { EPHEMERAL_KEY_BYTES, openSlots, SLOT_SECRET_BYTES, SlotSealer } from '@bitcloak/crypto/noteEncryption';
import { poseidon, raw } from '@bitcloak/crypto/poseidon';
import * as portable from '@bitcloak/crypto/poseidonPortable';
import { AgreementKey, isPublicKey as isAgreementPublicKey } from '@bitcloak/crypto/x25519';
import {
  FIELD_MODULUS,
  SLOT_BYTES,
  SLOT_PLAINTEXT_BYTES,
  SUBGROUP_ORDER,
  TAG,
  TRANSFER_CIPHERTEXT_BYTES,
} from '@bitcloak/protocol/parameters';
import { buildBabyjub, buildEddsa, buildPoseidon, type Eddsa, type Poseidon } from 'circomlibjs';
import fc from 'fast-check';
import { SeededRandom } from '../support/circuit.ts';
import { seededBytes } from '../support/random.ts';

const PROPERTY = { seed: 20261121, numRuns: 200 };
const field = fc.bigInt({ min: 0n, max: FIELD_MODULUS - 1n });
const LARGEST = FIELD_MODULUS - 1n;

/** The point of order 2, on the curve and outside the prime subgroup. */
const ORDER_TWO: Point = { x: 0n, y: FIELD_MODULUS - 1n };
const IDENTITY: Point = { x: 0n, y: 1n };

describe('the field', () => {
  it('turns integers into bytes and back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), (value) => {
        const bytes = integerToBytes(value, FIELD_BYTES);
        assert.equal(bytes.length, FIELD_BYTES);
        assert.equal(bytesToInteger(bytes), value);
        assert.equal(Buffer.from(bytes).toString('hex'), value.toString(16).padStart(64, '0'));
      }),
      PROPERTY,
    );
    assert.equal(bytesToInteger(new Uint8Array()), 0n);
    assert.deepEqual(integerToBytes(0n, 0), new Uint8Array());
  });

  it('refuses an integer that does not fit', () => {
    for (const [value, length] of [
      [-1n, 32],
      [2n ** 256n, 32],
      [2n ** 120n, 15],
      [1n, 0],
    ] as const) {
      assert.throws(() => integerToBytes(value, length), RangeError);
    }
    assert.deepEqual(integerToBytes(2n ** 120n - 1n, 15), new Uint8Array(15).fill(0xff));
  });

  it('knows its elements', () => {
    assert.deepEqual([-1n, 0n, LARGEST, FIELD_MODULUS].map(isField), [false, true, true, false]);
  });

  it('takes uniform bytes only where there are enough to hide the reduction', () => {
    assert.throws(() => uniformToField(new Uint8Array(47)), RangeError);
    assert.equal(uniformToField(new Uint8Array(48).fill(0xff)), (2n ** 384n - 1n) % FIELD_MODULUS);
    const drawn = Array.from({ length: 100 }, randomField);
    assert.ok(drawn.every(isField));
    assert.equal(new Set(drawn).size, drawn.length);
    // A hundred elements of which none has its top bit would be 2^-100.
    assert.ok(drawn.some((element) => element >> 253n === 1n));
  });
});

describe('Poseidon', () => {
  let reference: Poseidon;

  before(async () => {
    reference = await buildPoseidon();
  });

  it("gives circomlib's published value", () => {
    const expected = 7853200120776062878684798364095072458815029376092732009249414926327459813530n;
    assert.equal(poseidon([1n, 2n]), expected);
    assert.equal(poseidon([1n, 2n], 0n), expected);
  });

  it('is that of circomlibjs with any number of inputs and any tag', () => {
    const random = new SeededRandom('poseidon');
    for (let count = 1; count <= 16; count++) {
      const inputs = Array.from({ length: count }, () => random.field());
      for (const tag of [0n, ...Object.values(TAG), LARGEST]) {
        const expected = reference.F.toObject(reference(inputs, reference.F.e(tag)));
        assert.equal(poseidon(inputs, tag), expected);
        assert.equal(portable.poseidon(inputs, tag), expected);
      }
    }
  });

  it('takes the same inputs outside Node', () => {
    const inputs = [FIELD_MODULUS, FIELD_MODULUS + 5n, 2n ** 256n - 1n];
    assert.equal(portable.poseidon(inputs, FIELD_MODULUS + 1n), poseidon(inputs, FIELD_MODULUS + 1n));
    assert.equal(portable.poseidon([0n]), poseidon([0n]));
    for (const hash of [poseidon, portable.poseidon]) {
      for (const count of [0, 17]) assert.throws(() => hash(new Array<bigint>(count).fill(1n)), RangeError);
    }
  });

  it('separates its domains', () => {
    const inputs = [5n, 6n, 7n];
    const hashes = [0n, ...Object.values(TAG)].map((tag) => poseidon(inputs, tag));
    assert.equal(new Set(hashes).size, hashes.length);
    assert.equal(new Set([poseidon([5n, 6n]), poseidon([5n, 6n, 0n]), poseidon([6n, 5n])]).size, 3);
  });

  it("hashes elements in the hash's own form to the same", () => {
    fc.assert(
      fc.property(fc.array(field, { minLength: 4, maxLength: 4 }), (inputs) => {
        const children = new Uint8Array(Buffer.concat(inputs.map(raw.from)));
        assert.equal(raw.to(raw.hash(children)), poseidon(inputs));
        assert.deepEqual(inputs.map(raw.from).map(raw.to), inputs);
        const plain = new Uint8Array(Buffer.concat(inputs.map(portable.raw.from)));
        assert.equal(portable.raw.to(portable.raw.hash(plain)), poseidon(inputs));
        assert.deepEqual(inputs.map(portable.raw.from).map(portable.raw.to), inputs);
      }),
      { ...PROPERTY, numRuns: 50 },
    );
  });
});

describe('BabyJubJub', () => {
  const random = new SeededRandom('babyjubjub');
  const scalars = [
    1n,
    2n,
    SUBGROUP_ORDER - 1n,
    ...Array.from({ length: 20 }, () => 1n + random.below(SUBGROUP_ORDER - 1n)),
  ];

  it("multiplies circomlib's base point as circomlibjs does", async () => {
    const curve = await buildBabyjub();
    const F = curve.F;
    assert.deepEqual([F.toObject(curve.Base8[0]), F.toObject(curve.Base8[1])], [B8.x, B8.y]);
    assert.equal(curve.subOrder, SUBGROUP_ORDER);
    for (const scalar of scalars.slice(0, 8)) {
      const [x, y] = curve.mulPointEscalar(curve.Base8, scalar);
      assert.deepEqual(multiplyBase(scalar), { x: F.toObject(x), y: F.toObject(y) });
    }
  });

  it('adds points', () => {
    assert.deepEqual(add(multiplyBase(5n), multiplyBase(7n)), multiplyBase(12n));
    assert.deepEqual(add(B8, IDENTITY), B8);
    assert.deepEqual(add(B8, B8), multiplyBase(2n));
  });

  it('compresses points to 32 bytes and takes them apart again', () => {
    for (const scalar of scalars) {
      const point = multiplyBase(scalar);
      const bytes = compress(point);
      assert.equal(bytes.length, 32);
      assert.deepEqual(decompress(bytes), point);
      // The sign of x is what tells a point from its negative.
      assert.deepEqual(decompress(compress({ x: FIELD_MODULUS - point.x, y: point.y })).x, FIELD_MODULUS - point.x);
    }
  });

  it('decompresses nothing but points of the prime subgroup in their one form', () => {
    const bytes = compress(multiplyBase(3n));
    const aliased = integerToBytes(bytesToInteger(Uint8Array.from(bytes).reverse()) + FIELD_MODULUS, 32).reverse();
    const outside = add(multiplyBase(3n), ORDER_TWO);
    const refused: [string, Uint8Array][] = [
      ['the identity', integerToBytes(1n, 32).reverse()],
      ['order 2', compress(ORDER_TWO)],
      ['order 8 l', compress(outside)],
      ['y above the modulus', aliased],
      ['no point', integerToBytes(2n, 32).reverse()],
      ['31 bytes', bytes.slice(1)],
      ['33 bytes', Uint8Array.from([...bytes, 0])],
      ['all ones', new Uint8Array(32).fill(0xff)],
    ];
    for (const [what, wrong] of refused) assert.throws(() => decompress(wrong), Error, what);
  });

  it('knows a public key', () => {
    assert.ok(isPublicKey(B8));
    assert.ok(isPublicKey(multiplyBase(SUBGROUP_ORDER - 1n)));
    const wrong: Point[] = [
      IDENTITY,
      ORDER_TWO,
      add(B8, ORDER_TWO),
      { x: B8.x, y: B8.y + 1n },
      { x: B8.x + FIELD_MODULUS, y: B8.y },
      { x: 0n, y: 0n },
    ];
    for (const point of wrong)
      assert.equal(
        isPublicKey(point),
        false,
        JSON.stringify(point, (_, v: unknown) => String(v)),
      );
  });
});

describe('EdDSA', () => {
  let reference: Eddsa;
  const random = new SeededRandom('eddsa');
  const scalar = 1n + random.below(SUBGROUP_ORDER - 1n);
  const publicKey = multiplyBase(scalar);
  const message = random.field();
  const signature = sign(scalar, message);

  before(async () => {
    reference = await buildEddsa();
  });

  function referenceVerifies(key: Point, signed: bigint, { r8, s }: Signature): boolean {
    const { F } = reference;
    const point = ({ x, y }: Point): [Uint8Array, Uint8Array] => [F.e(x), F.e(y)];
    return reference.verifyPoseidon(F.e(signed), { R8: point(r8), S: s }, point(key));
  }

  it('makes signatures that circomlibjs takes', () => {
    for (const signed of [0n, 1n, LARGEST, message]) {
      const made = sign(scalar, signed);
      assert.ok(verify(publicKey, signed, made));
      assert.ok(referenceVerifies(publicKey, signed, made));
    }
  });

  it('takes the signatures that circomlibjs makes', () => {
    const { F } = reference;
    const bytes = seededBytes('eddsa keys');
    for (let round = 0; round < 5; round++) {
      const secret = bytes(32);
      const signed = random.field();
      const { R8, S } = reference.signPoseidon(secret, F.e(signed));
      const [x, y] = reference.prv2pub(secret);
      const key = { x: F.toObject(x), y: F.toObject(y) };
      const made = { r8: { x: F.toObject(R8[0]), y: F.toObject(R8[1]) }, s: S };
      assert.ok(verify(key, signed, made));
      assert.equal(verify(key, (signed + 1n) % FIELD_MODULUS, made), false);
    }
  });

  it('gives the same signature for the same message, and another nonce for another', () => {
    assert.deepEqual(sign(scalar, message), signature);
    assert.notDeepEqual(sign(scalar, (message + 1n) % FIELD_MODULUS).r8, signature.r8);
    assert.notDeepEqual(sign(scalar === 1n ? 2n : scalar - 1n, message).r8, signature.r8);
  });

  it('refuses, as circomlibjs does, whatever is altered', () => {
    const other = multiplyBase(77n);
    const altered: [string, Point, bigint, Signature][] = [
      ['another key', other, message, signature],
      ['another message', publicKey, (message + 1n) % FIELD_MODULUS, signature],
      ['another R8', publicKey, message, { ...signature, r8: other }],
      ['another S', publicKey, message, { ...signature, s: (signature.s + 1n) % SUBGROUP_ORDER }],
      ['S of the negative', publicKey, message, { ...signature, s: SUBGROUP_ORDER - signature.s }],
    ];
    for (const [what, key, signed, made] of altered) {
      assert.equal(verify(key, signed, made), false, what);
      assert.equal(referenceVerifies(key, signed, made), false, what);
    }
  });

  it('refuses what has a second form or a point outside the subgroup', () => {
    const refused: [string, Point, bigint, Signature][] = [
      ['S above the order', publicKey, message, { ...signature, s: signature.s + SUBGROUP_ORDER }],
      ['a negative S', publicKey, message, { ...signature, s: signature.s - SUBGROUP_ORDER }],
      ['a message above the modulus', publicKey, message + FIELD_MODULUS, signature],
      [
        'R8 with a coordinate above the modulus',
        publicKey,
        message,
        { ...signature, r8: { ...signature.r8, x: signature.r8.x + FIELD_MODULUS } },
      ],
      ['R8 outside the subgroup', publicKey, message, { ...signature, r8: add(signature.r8, ORDER_TWO) }],
      ['a key outside the subgroup', add(publicKey, ORDER_TWO), message, signature],
      ['the identity for a key', IDENTITY, message, { r8: IDENTITY, s: 0n }],
      ['the identity for R8', publicKey, message, { r8: IDENTITY, s: 0n }],
      ['no point', { x: 1n, y: 1n }, message, signature],
    ];
    for (const [what, key, signed, made] of refused) assert.equal(verify(key, signed, made), false, what);
  });

  it('signs field elements only', () => {
    for (const wrong of [-1n, FIELD_MODULUS]) assert.throws(() => sign(scalar, wrong), RangeError);
  });
});

describe('key agreement', () => {
  const bytes = seededBytes('agreement');
  /** Every X25519 key of small order, also in forms that are not canonical. */
  const SMALL_ORDER = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ].flatMap((hex) => {
    const key = Buffer.from(hex, 'hex');
    const withTopBit = Buffer.from(key);
    withTopBit[31] = (key[31] ?? 0) | 0x80;
    return [key, withTopBit];
  });

  it('gives both sides one secret', () => {
    const [left, right] = [new AgreementKey(bytes(32)), new AgreementKey(bytes(32))];
    assert.deepEqual(left.agree(right.publicKey), right.agree(left.publicKey));
    assert.notDeepEqual(left.agree(right.publicKey), left.agree(left.publicKey));
  });

  it("follows RFC 7748's example", () => {
    const bob = new AgreementKey(
      Buffer.from('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb', 'hex'),
    );
    const alice = Buffer.from('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a', 'hex');
    assert.equal(
      Buffer.from(bob.agree(alice) ?? []).toString('hex'),
      '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
    );
  });

  it('has none with a key of small order or of another length', () => {
    const key = new AgreementKey(bytes(32));
    for (const small of SMALL_ORDER) {
      assert.equal(key.agree(small), undefined, small.toString('hex'));
      assert.equal(isAgreementPublicKey(small), false, small.toString('hex'));
    }
    for (const length of [0, 31, 33]) assert.equal(isAgreementPublicKey(new Uint8Array(length).fill(9)), false);
    assert.ok(isAgreementPublicKey(key.publicKey));
    assert.throws(() => new AgreementKey(new Uint8Array(31)), RangeError);
  });

  it('shows no secret', () => {
    const secret = bytes(32);
    const key = new AgreementKey(secret);
    const shown = inspect(key, { depth: 10, showHidden: true }) + JSON.stringify(key);
    assert.ok(!shown.includes(Buffer.from(secret).toString('hex')));
    assert.ok(!shown.includes([...secret].join(',')) && !shown.includes([...secret].slice(0, 4).join(', ')));
  });
});

describe('note encryption', () => {
  const bytes = seededBytes('notes');
  const alice = new AgreementKey(bytes(32));
  const bob = new AgreementKey(bytes(32));
  const text = (filler: number) => new Uint8Array(SLOT_PLAINTEXT_BYTES).fill(filler);

  /** Six slots: for Alice the first and the last, for Bob the third; the rest for nobody. */
  function sealed(): { ciphertext: Uint8Array; secrets: Uint8Array[] } {
    const sealer = new SlotSealer();
    const secrets = [sealer.seal(alice.publicKey, text(1))];
    sealer.fill();
    secrets.push(sealer.seal(bob.publicKey, text(2)));
    sealer.fill();
    sealer.fill();
    secrets.push(sealer.seal(alice.publicKey, text(3)));
    return { ciphertext: sealer.finish(), secrets };
  }

  it('opens to each recipient its own slots, with the secret that the sender has', () => {
    const { ciphertext, secrets } = sealed();
    assert.equal(ciphertext.length, TRANSFER_CIPHERTEXT_BYTES);
    const [first, second, third] = secrets as [Uint8Array, Uint8Array, Uint8Array];
    assert.deepEqual(openSlots(alice, ciphertext), [
      { slot: 0, plaintext: text(1), secret: first },
      { slot: 5, plaintext: text(3), secret: third },
    ]);
    assert.deepEqual(openSlots(bob, ciphertext), [{ slot: 2, plaintext: text(2), secret: second }]);
    assert.deepEqual(openSlots(new AgreementKey(bytes(32)), ciphertext), []);
    assert.equal(first.length, SLOT_SECRET_BYTES);
    assert.notDeepEqual(first, third);
  });

  it('is another ciphertext and another secret each time', () => {
    const [left, right] = [sealed(), sealed()];
    assert.notDeepEqual(left.secrets[0], right.secrets[0]);
    for (let slot = 0; slot < 6; slot++) {
      const part = ({ ciphertext }: { ciphertext: Uint8Array }) =>
        Buffer.from(ciphertext.subarray(EPHEMERAL_KEY_BYTES + slot * SLOT_BYTES)).toString('hex', 1, SLOT_BYTES);
      assert.notEqual(part(left), part(right));
    }
  });

  it('opens nothing that was moved to another slot or another call', () => {
    const [{ ciphertext }, other] = [sealed(), sealed()];
    const slot = (of: Uint8Array, index: number) =>
      of.subarray(EPHEMERAL_KEY_BYTES + index * SLOT_BYTES, EPHEMERAL_KEY_BYTES + (index + 1) * SLOT_BYTES);
    const moved = Uint8Array.from(ciphertext);
    slot(moved, 1).set(slot(ciphertext, 0));
    slot(moved, 0).set(slot(other.ciphertext, 0));
    assert.deepEqual(
      openSlots(alice, moved).map(({ slot: index }) => index),
      [5],
    );
  });

  it('opens no slot of which a bit is wrong, whatever the view tag says', () => {
    const { ciphertext } = sealed();
    const start = EPHEMERAL_KEY_BYTES;
    for (let bit = 0; bit < 8 * SLOT_BYTES; bit++) {
      const damaged = Uint8Array.from(ciphertext);
      const at = start + (bit >> 3);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit & 7));
      assert.deepEqual(
        openSlots(alice, damaged).map(({ slot }) => slot),
        [5],
        `bit ${bit}`,
      );
    }
  });

  it('opens nothing under another ephemeral key', () => {
    const { ciphertext } = sealed();
    for (let bit = 0; bit < 8 * EPHEMERAL_KEY_BYTES; bit++) {
      const damaged = Uint8Array.from(ciphertext);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.deepEqual(openSlots(alice, damaged), [], `bit ${bit}`);
    }
  });

  it('has a view tag that lets one in 256 foreign slots through', () => {
    const foreign = new SlotSealer();
    for (let slot = 0; slot < 32; slot++) foreign.seal(bob.publicKey, text(slot));
    const ciphertext = foreign.finish();
    assert.equal(openSlots(bob, ciphertext).length, 32);
    // All view tags that could be: the plaintext stays shut whichever of them the slot carries.
    for (let tag = 0; tag < 256; tag++) {
      for (let slot = 0; slot < 32; slot++) ciphertext[EPHEMERAL_KEY_BYTES + slot * SLOT_BYTES] = tag;
      assert.deepEqual(openSlots(alice, ciphertext), []);
    }
  });

  it('takes a ciphertext of another shape for one without slots', () => {
    const { ciphertext } = sealed();
    const lengths = [0, 1, 31, 32, 33, 32 + SLOT_BYTES - 1, 32 + SLOT_BYTES + 1, ciphertext.length - 1];
    for (const length of lengths) assert.deepEqual(openSlots(alice, ciphertext.slice(0, length)), []);
    assert.deepEqual(openSlots(alice, Uint8Array.from([...ciphertext, 0])), []);
    assert.deepEqual(openSlots(alice, new Uint8Array(EPHEMERAL_KEY_BYTES + 33 * SLOT_BYTES)), []);
    // Whole slots fewer leave the others as they are.
    assert.deepEqual(openSlots(alice, ciphertext.slice(0, 32 + SLOT_BYTES)).length, 1);
  });

  it('agrees on nothing with an ephemeral key of small order', () => {
    const { ciphertext } = sealed();
    for (const first of [0, 1]) {
      const hostile = Uint8Array.from(ciphertext);
      hostile.fill(0, 0, EPHEMERAL_KEY_BYTES);
      hostile[0] = first;
      assert.deepEqual(openSlots(alice, hostile), []);
    }
    assert.throws(() => new SlotSealer().seal(new Uint8Array(32), text(0)), RangeError);
    assert.throws(() => new SlotSealer().seal(alice.publicKey, new Uint8Array(SLOT_PLAINTEXT_BYTES - 1)), RangeError);
  });
});
