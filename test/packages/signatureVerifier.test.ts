import assert from 'node:assert/strict';
import { add, B8, isOnCurve, multiplyBase, type Point } from '@bitcloak/crypto/babyjubjub';
import { challenge, sign, verify, type Signature } from '@bitcloak/crypto/eddsa';
import * as field from '@bitcloak/crypto/fieldMemory';
import { PointTable } from '@bitcloak/crypto/pointTable';
import { poseidon } from '@bitcloak/crypto/poseidon';
import { SignatureVerifier } from '@bitcloak/crypto/signatureVerifier';
import { FIELD_MODULUS, SUBGROUP_ORDER } from '@bitcloak/protocol/parameters';
import { buildBabyjub, buildEddsa, type BabyJub, type Eddsa } from 'circomlibjs';
import { inverse, mod, SeededRandom } from '../support/circuit.ts';
import { seededBytes } from '../support/random.ts';

const IDENTITY: Point = { x: 0n, y: 1n };
const ORDER_TWO: Point = { x: 0n, y: FIELD_MODULUS - 1n };

type Signed = { readonly publicKey: Point; readonly message: bigint; readonly signature: Signature };
type Signer = { readonly scalar: bigint; readonly publicKey: Point };

const negative = ({ x, y }: Point): Point => ({ x: mod(-x), y });

function makeSigner(random: SeededRandom): Signer {
  const scalar = 1n + random.below(SUBGROUP_ORDER - 1n);
  return { scalar, publicKey: multiplyBase(scalar) };
}

/** What somebody makes who knows the scalar, and may choose R8 and the key as they like: S = nonce + 8·h·scalar. */
function signWith(scalar: bigint, publicKey: Point, nonce: bigint, r8: Point, message: bigint): Signed {
  const s = mod(nonce + 8n * challenge(r8, publicKey, message) * scalar, SUBGROUP_ORDER);
  return { publicKey, message, signature: { r8, s } };
}

/** The seven points of order 2, 4 and 8. */
function smallOrderPoints(curve: BabyJub): Point[] {
  const { F } = curve;
  const [x, y] = curve.mulPointEscalar(curve.Generator, SUBGROUP_ORDER);
  const first = { x: F.toObject(x), y: F.toObject(y) };
  const points = [first];
  while (points.length < 7) points.push(add(points.at(-1) as Point, first));
  return points;
}

describe('field elements in memory', () => {
  const random = new SeededRandom('field memory');
  const [left, right, result] = [field.allocate(1), field.allocate(1), field.allocate(1)];

  it('come back as they went in, and reduced where they are too large or negative', () => {
    const edges = [0n, 1n, 2n ** 64n, FIELD_MODULUS - 1n, FIELD_MODULUS, FIELD_MODULUS + 5n, 2n ** 256n - 1n];
    for (const value of [
      ...edges,
      ...edges.map((edge) => -edge),
      ...Array.from({ length: 50 }, () => random.field()),
    ]) {
      field.write(left, value);
      assert.equal(field.read(left), mod(value));
    }
  });

  it('are calculated with as integers are', () => {
    const values = [0n, 1n, FIELD_MODULUS - 1n, ...Array.from({ length: 12 }, () => random.field())];
    const expectations: [typeof field.add, (a: bigint, b: bigint) => bigint][] = [
      [field.add, (a, b) => a + b],
      [field.subtract, (a, b) => a - b],
      [field.multiply, (a, b) => a * b],
      [(a, _, to) => field.square(a, to), (a) => a * a],
      [(a, _, to) => field.copy(a, to), (a) => a],
      [(a, _, to) => field.invert(a, to), (a) => (a === 0n ? 0n : inverse(a))],
    ];
    for (const a of values) {
      for (const b of values) {
        for (const [operate, expected] of expectations) {
          for (const to of [result, left, right]) {
            field.write(left, a);
            field.write(right, b);
            operate(left, right, to);
            assert.equal(field.read(to), mod(expected(a, b)));
          }
        }
        field.write(left, a);
        field.write(right, b);
        assert.equal(field.equal(left, right), a === b);
      }
    }
  });

  it('have room of their own, until there is none left', () => {
    assert.throws(() => field.allocate(2 ** 16), RangeError);
    const pointers = [left, right, result, field.allocate(1), field.allocate(2)];
    for (const [pointer, value] of pointers.map((at, index) => [at, BigInt(index)] as const)) {
      field.write(pointer, value);
    }
    assert.deepEqual(pointers.map(field.read), [0n, 1n, 2n, 3n, 4n]);
  });

  it('are hashed after reduction, 1 to 16 of them', () => {
    for (let count = 1; count <= 16; count++) {
      const inputs = Array.from({ length: count }, () => random.field());
      const aliases = inputs.map((input, index) => input + FIELD_MODULUS * BigInt((index % 3) - 1));
      assert.equal(poseidon(aliases, 5n - FIELD_MODULUS), poseidon(inputs, 5n));
    }
    for (const count of [0, 17]) assert.throws(() => poseidon(new Array<bigint>(count).fill(1n)), RangeError);
  });
});

describe('the table of a point', () => {
  const random = new SeededRandom('point tables');
  const base = new PointTable(B8, 4, 1);
  const edges = [0n, 1n, 2n, SUBGROUP_ORDER - 2n, SUBGROUP_ORDER - 1n, SUBGROUP_ORDER];
  const multipleOf = (scalar: bigint) => (scalar === 0n ? IDENTITY : multiplyBase(scalar));
  let smallOrder: Point[];

  before(async () => {
    smallOrder = smallOrderPoints(await buildBabyjub());
  });

  for (const width of [2, 3, 4, 5, 6, 7, 8, 10, 12]) {
    it(`gives the right sums with digits of ${width} bits, in 1 to 4 passes`, () => {
      // All digits the largest positive one, the largest negative one, and -1.
      const digits = [(1n << BigInt(width - 1)) - 1n, 1n << BigInt(width - 1), (1n << BigInt(width)) - 1n];
      const patterns = digits.map((digit) => {
        let pattern = 0n;
        for (let shift = 0n; shift < 252n; shift += BigInt(width)) pattern |= digit << shift;
        return pattern % SUBGROUP_ORDER;
      });
      for (const passes of [1, 2, 3, 4]) {
        const { scalar, publicKey } = makeSigner(random);
        const table = new PointTable(publicKey, width, passes);
        const scalars = [...edges, ...patterns, ...Array.from({ length: 4 }, () => random.below(SUBGROUP_ORDER))];
        for (const left of scalars) {
          for (const right of [0n, SUBGROUP_ORDER, random.below(SUBGROUP_ORDER)]) {
            const expected = multipleOf(mod(left * scalar + right, SUBGROUP_ORDER));
            assert.ok(table.sumIs(left, base, right, expected), `${passes} ${left} ${right}`);
            const { x, y } = expected;
            for (const other of [
              { x: mod(x + 1n), y },
              { x, y: mod(y + 1n) },
              { x: 0n, y: 0n },
              add(expected, ORDER_TWO),
            ]) {
              assert.equal(table.sumIs(left, base, right, other), false);
            }
          }
        }
      }
    });
  }

  it('adds where the two sums are equal, opposite or zero', () => {
    const table = new PointTable(B8, 5, 2);
    for (const scalar of [1n, 2n, 12345n, SUBGROUP_ORDER - 1n]) {
      assert.ok(table.sumIs(scalar, base, scalar, multipleOf(mod(2n * scalar, SUBGROUP_ORDER))));
      assert.ok(table.sumIs(scalar, base, SUBGROUP_ORDER - scalar, IDENTITY));
      assert.ok(table.sumIs(scalar, base, 0n, multiplyBase(scalar)));
      assert.ok(table.sumIs(0n, base, scalar, multiplyBase(scalar)));
    }
  });

  it('knows who is in the prime subgroup', () => {
    const { publicKey } = makeSigner(random);
    for (const passes of [1, 3]) {
      const isTorsionFree = (point: Point) => new PointTable(point, 4, passes).isTorsionFree();
      for (const point of [publicKey, negative(publicKey), B8, IDENTITY]) assert.ok(isTorsionFree(point));
      for (const point of smallOrder) {
        assert.equal(isTorsionFree(point), false);
        assert.equal(isTorsionFree(add(publicKey, point)), false);
      }
    }
  });

  it('has digits of 2 to 12 bits, and no more than one pass where it comes second', () => {
    for (const [width, passes] of [
      [1, 1],
      [13, 1],
      [6, 0],
      [6, 5],
    ] as const) {
      assert.throws(() => new PointTable(B8, width, passes), RangeError);
    }
    const table = new PointTable(B8, 4, 2);
    assert.throws(() => base.sumIs(1n, table, 1n, multiplyBase(2n)), RangeError);
  });
});

describe('the verifier of signatures', () => {
  const random = new SeededRandom('signature verifier');
  let smallOrder: Point[];
  let reference: Eddsa;

  before(async () => {
    smallOrder = smallOrderPoints(await buildBabyjub());
    reference = await buildEddsa();
  });

  /** Every way to be wrong that `verify` knows, by the same signer. */
  function wrongOnes(signer: Signer, other: Signer): [string, Signed][] {
    const { scalar, publicKey } = signer;
    const message = random.field();
    const signature = sign(scalar, message);
    const { r8, s } = signature;
    const right = { publicKey, message, signature };
    const nonce = 1n + random.below(SUBGROUP_ORDER - 1n);
    const withR8 = (point: Point): Signed => ({ ...right, signature: { r8: point, s } });
    const withKey = (key: Point): Signed => ({ ...right, publicKey: key });
    const withS = (value: bigint): Signed => ({ ...right, signature: { r8, s: value } });
    return [
      ['another message', { ...right, message: mod(message + 1n) }],
      ['a message above the modulus', { ...right, message: message + FIELD_MODULUS }],
      ['a negative message', { ...right, message: message - FIELD_MODULUS }],
      ["another's key", withKey(other.publicKey)],
      ['the negative key', withKey(negative(publicKey))],
      ['the identity for a key', withKey(IDENTITY)],
      [
        'the identity for a key, and an equation that holds',
        signWith(0n, IDENTITY, nonce, multiplyBase(nonce), message),
      ],
      ['a key above the modulus in x', withKey({ ...publicKey, x: publicKey.x + FIELD_MODULUS })],
      ['a key above the modulus in y', withKey({ ...publicKey, y: publicKey.y + FIELD_MODULUS })],
      ['a key with a negative coordinate', withKey({ ...publicKey, x: publicKey.x - FIELD_MODULUS })],
      [
        'a key of which y is made of both coordinates, and an equation that holds with the right one',
        signWith(scalar, { x: 0n, y: (publicKey.x << 256n) | publicKey.y }, nonce, multiplyBase(nonce), message),
      ],
      [
        "a key with the right one's x, and an equation that holds with the right one",
        signWith(scalar, { x: publicKey.x, y: mod(-publicKey.y) }, nonce, multiplyBase(nonce), message),
      ],
      ['a key that is no point', withKey({ ...publicKey, y: mod(publicKey.y + 1n) })],
      ['another S', withS(mod(s + 1n, SUBGROUP_ORDER))],
      ['the negative S', withS(mod(-s, SUBGROUP_ORDER))],
      ['an S of the order', withS(SUBGROUP_ORDER)],
      ['an S above the order', withS(s + SUBGROUP_ORDER)],
      ['a negative S', withS(s - SUBGROUP_ORDER)],
      ['an S of more than 320 bits', withS(s + SUBGROUP_ORDER * 2n ** 400n)],
      ['an R8 of another nonce', withR8(multiplyBase(nonce))],
      ['the negative R8', withR8(negative(r8))],
      ['the identity for R8', withR8(IDENTITY)],
      ['the identity for R8, and an equation that holds', signWith(scalar, publicKey, 0n, IDENTITY, message)],
      ['an R8 above the modulus in x', withR8({ ...r8, x: r8.x + FIELD_MODULUS })],
      ['an R8 above the modulus in y', withR8({ ...r8, y: r8.y + FIELD_MODULUS })],
      ['an R8 with a negative coordinate', withR8({ ...r8, y: r8.y - FIELD_MODULUS })],
      ['an R8 that is no point', withR8({ ...r8, x: mod(r8.x + 1n) })],
      ['an R8 of zeros', withR8({ x: 0n, y: 0n })],
      ...smallOrder.flatMap((point): [string, Signed][] => [
        ['a key of small order', withKey(point)],
        ['a key of small order, and an equation that holds', signWith(0n, point, nonce, multiplyBase(nonce), message)],
        ['a key outside the subgroup', withKey(add(publicKey, point))],
        // 8·h·A forgets what the key has outside the subgroup.
        [
          'a key outside the subgroup, and an equation that holds',
          signWith(scalar, add(publicKey, point), nonce, multiplyBase(nonce), message),
        ],
        ['an R8 of small order', withR8(point)],
        [
          'an R8 of small order that eight times the equation holds with',
          signWith(scalar, publicKey, 0n, point, message),
        ],
        ['an R8 outside the subgroup', withR8(add(r8, point))],
        [
          'an R8 outside the subgroup that eight times the equation holds with',
          signWith(scalar, publicKey, nonce, add(multiplyBase(nonce), point), message),
        ],
      ]),
    ];
  }

  function rightOnes({ scalar, publicKey }: Signer): Signed[] {
    const signed = [0n, 1n, FIELD_MODULUS - 1n, random.field(), random.field()].map((message) => ({
      publicKey,
      message,
      signature: sign(scalar, message),
    }));
    const nonces = [1n, 2n, SUBGROUP_ORDER - 1n, random.below(SUBGROUP_ORDER)];
    return [
      ...signed,
      ...nonces.map((nonce) => signWith(scalar, publicKey, nonce, multiplyBase(nonce), random.field())),
    ];
  }

  it('answers as the plain check does', function () {
    this.timeout(300_000);
    const signers = Array.from({ length: 4 }, () => makeSigner(random));
    signers.push(...[1n, SUBGROUP_ORDER - 1n].map((scalar) => ({ scalar, publicKey: multiplyBase(scalar) })));
    // With room for all keys, and with room for one, so that tables come and go.
    const verifiers = [new SignatureVerifier(64), new SignatureVerifier(1)];
    let checked = 0;
    for (const [index, signer] of signers.entries()) {
      const cases: [string, Signed, boolean][] = [
        ...rightOnes(signer).map((signed): [string, Signed, boolean] => ['a right one', signed, true]),
        ...wrongOnes(signer, signers.at(index - 1) as Signer).map(([what, signed]): [string, Signed, boolean] => [
          what,
          signed,
          false,
        ]),
      ];
      for (const [what, { publicKey, message, signature }, expected] of cases) {
        assert.equal(verify(publicKey, message, signature), expected, what);
        for (const verifier of verifiers) assert.equal(verifier.verify(publicKey, message, signature), expected, what);
        checked++;
      }
    }
    assert.ok(checked >= 500, String(checked));
  });

  it('refuses exactly the wrong one among many, wherever it stands', () => {
    const verifier = new SignatureVerifier(8);
    const signers = Array.from({ length: 8 }, () => makeSigner(random));
    const many = Array.from({ length: 64 }, (_, index): Signed => {
      const { scalar, publicKey } = signers[index % signers.length] as Signer;
      const message = random.field();
      return { publicKey, message, signature: sign(scalar, message) };
    });
    const answers = (all: Signed[]) =>
      all.map(({ publicKey, message, signature }) => verifier.verify(publicKey, message, signature));
    for (let wrong = 0; wrong < many.length; wrong++) {
      const { message, signature } = many[wrong] as Signed;
      const wrongSignature = {
        ...signature,
        s: mod(signature.s + 1n + random.below(SUBGROUP_ORDER - 1n), SUBGROUP_ORDER),
      };
      const altered = many.with(wrong, { ...(many[wrong] as Signed), message, signature: wrongSignature });
      assert.deepEqual(
        answers(altered),
        many.map((_, index) => index !== wrong),
      );
    }
  });

  it('answers as circomlibjs does', () => {
    const { F } = reference;
    const verifier = new SignatureVerifier(3);
    const bytes = seededBytes('signature verifier keys');
    for (let round = 0; round < 8; round++) {
      const secret = bytes(32);
      const message = random.field();
      const { R8, S } = reference.signPoseidon(secret, F.e(message));
      const [x, y] = reference.prv2pub(secret);
      const publicKey = { x: F.toObject(x), y: F.toObject(y) };
      const r8 = { x: F.toObject(R8[0]), y: F.toObject(R8[1]) };
      const cases: [bigint, bigint][] = [
        [message, S],
        [mod(message + 1n), S],
        [message, mod(S + 1n, SUBGROUP_ORDER)],
      ];
      for (const [signed, s] of cases) {
        const expected = reference.verifyPoseidon(F.e(signed), { R8, S: s }, [x, y]);
        assert.equal(expected, signed === message && s === S);
        assert.equal(verifier.verify(publicKey, signed, { r8, s }), expected);
      }
    }
  });

  it('keeps as many tables as it may, of keys only', () => {
    const verifier = new SignatureVerifier(3);
    const signers = Array.from({ length: 6 }, () => makeSigner(random));
    const check = ({ scalar, publicKey }: Signer) => verifier.verify(publicKey, 7n, sign(scalar, 7n));
    assert.deepEqual(
      signers.map((signer) => [check(signer), check(signer), verifier.size]),
      [1, 2, 3, 3, 3, 3].map((size) => [true, true, size]),
    );
    const fresh = new SignatureVerifier(3);
    const signature = sign(1n, 7n);
    for (const key of [IDENTITY, ...smallOrder, ...smallOrder.map((point) => add(B8, point)), { x: 1n, y: 1n }]) {
      assert.equal(fresh.verify(key, 7n, signature), false);
    }
    assert.equal(fresh.size, 0);
    assert.ok(isOnCurve(ORDER_TWO) && !isOnCurve(IDENTITY) && !isOnCurve({ x: B8.x + FIELD_MODULUS, y: B8.y }));
  });

  it('has room for one key at least', () => {
    for (const capacity of [0, -1, 1.5, Number.NaN, Infinity]) {
      assert.throws(() => new SignatureVerifier(capacity), RangeError);
    }
  });
});
