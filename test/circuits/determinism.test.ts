import assert from 'node:assert/strict';
import type { Circuit } from '@bitcloak/protocol/parameters';
import { compileConstraints, unsimplifiedCircuit, type NamedConstraints } from './copies.ts';
import { openings } from './determinism.ts';

const VERIFIER = 'main.EdDSAPoseidonVerifier#0';

function namesOf({ symbols }: NamedConstraints, wires: readonly number[]): string[] {
  const names = new Map([...symbols].map(([name, wire]) => [wire, name]));
  return wires.map((wire) => names.get(wire) ?? `wire ${wire}`);
}

describe('circuits: the inputs determine every signal', function () {
  this.timeout('5 minutes');

  it('insertion', async () => {
    const circuit = await unsimplifiedCircuit('insertion');
    assert.deepEqual(openings(circuit.r1cs), { undetermined: [], quotients: [], inverses: [], aliases: [] });
  });

  it('clearing', async () => {
    const circuit = await unsimplifiedCircuit('clearing');
    assert.deepEqual(openings(circuit.r1cs), { undetermined: [], quotients: [], inverses: [], aliases: [] });
  });

  const SIGNING: readonly { circuit: Circuit; title: string; zeroTests: readonly string[] }[] = [
    { circuit: 'transfer', title: 'transfer, but for quotients in the verification of the signature', zeroTests: [] },
    {
      circuit: 'fill',
      title: 'fill, but for quotients in the verification of the signature',
      // Whether the order is fresh, and whether its proceeds stay without a lock.
      zeroTests: ['main.IsZero#0', 'main.IsZero#1'],
    },
  ];
  for (const { circuit: name, title, zeroTests } of SIGNING) {
    it(title, async () => {
      const circuit = await unsimplifiedCircuit(name);
      const { undetermined, quotients, inverses, aliases } = openings(circuit.r1cs);
      assert.deepEqual(namesOf(circuit, undetermined), []);
      // The one sum of 254 bits: circomlib compares it with the modulus, and the tests of the hints try the other bits.
      assert.deepEqual(namesOf(circuit, aliases), [`${VERIFIER}.h2bits.n2b.out[0]`]);

      const ofSignature = ['eqCheckX.isz', 'eqCheckY.isz', 'isZero', 'mulAny.zeropoint'];
      assert.deepEqual(
        namesOf(circuit, inverses).sort(),
        [...ofSignature.map((component) => `${VERIFIER}.${component}`), ...zeroTests]
          .map((component) => `${component}.inv`)
          .sort(),
      );

      // For points of the curve, and of the subgroup's order where EscalarMulAny wants it, no divisor is 0.
      const ofPoints = /\.(lamda|xout|yout|e2m\.out\[[01]\]|c?m2e(\[0\])?\.out\[[01]\])$/;
      const names = namesOf(circuit, quotients);
      assert.deepEqual(
        names.filter((quotient) => !quotient.startsWith(`${VERIFIER}.`) || !ofPoints.test(quotient)),
        [],
      );
    });
  }

  type Hole = { circuit?: Circuit; title: string; file: string; find: string; replace?: string; signal: RegExp };
  const HOLES: readonly Hole[] = [
    { title: 'a child of a node', file: 'lib/merkle.circom', find: 'signal left <==', signal: /\.left$/ },
    {
      title: 'a power of the challenge',
      file: 'lib/insertion.circom',
      find: 'partial[i] <==',
      signal: /^main\.partial/,
    },
    {
      title: 'the bits of the place',
      file: 'lib/insertion.circom',
      find: 'indexBits.in <==',
      signal: /^main\.indexBits/,
    },
    {
      circuit: 'clearing',
      title: 'an inverse',
      file: 'lib/clearing.circom',
      find: 'inverse * (x - asset) === 1;',
      replace: '',
      signal: /\.inverse$/,
    },
  ];
  for (const { circuit: name = 'insertion', title, file, find, replace, signal } of HOLES) {
    it(`finds a signal that is only computed: ${title}`, async () => {
      const edit = { file, find, replace: replace ?? find.replace('<==', '<--') };
      const circuit = await compileConstraints(name, [edit]);
      const { undetermined } = openings(circuit.r1cs);
      assert.ok(namesOf(circuit, undetermined).some((name) => signal.test(name)));
    });
  }
});
