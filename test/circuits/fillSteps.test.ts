import assert from 'node:assert/strict';
import { makeAccount, SeededRandom } from '../support/circuit.ts';
import { withSignature } from './curve.ts';
import { CASES, honestFill, type FillScene } from './fillLies.ts';
import { FILL_EDITS, FILL_SWITCHES, fillChoices } from './fillSwitches.ts';
import { checkedPoint, stepsOf, SwitchedCircuit } from './switches.ts';

describe('circuit fill: what each step forbids', function () {
  this.timeout('5 minutes');
  let circuit: SwitchedCircuit;
  const sceneOf = (title: string): FillScene => {
    const random = new SeededRandom(`fill: ${title}`);
    return { random, alice: makeAccount(random), mallory: makeAccount(random) };
  };

  before(async () => {
    const { alice, random } = sceneOf('anything');
    circuit = await SwitchedCircuit.compile(
      'fill',
      FILL_SWITCHES,
      FILL_EDITS,
      fillChoices(honestFill({ alice, random, mallory: alice })),
    );
  });

  it('every numbered step has a case', () => {
    const numbers = (names: readonly string[]) => [...new Set(names.map((name) => name.split(' ')[0]))];
    assert.deepEqual(stepsOf('fill'), numbers(FILL_SWITCHES));
    const cases = CASES.map(({ step }) => step);
    // The test after the cases is about this one.
    assert.deepEqual([...new Set([...cases, '3 R8'])].sort(), [...FILL_SWITCHES].sort());
  });

  it('with every step on, the copy is the circuit', () => {
    const scene = sceneOf('faithful');
    circuit.assertFaithful(honestFill(scene));
    circuit.assertFaithful(
      honestFill(scene, {
        order: { payTo: scene.alice.owner, relockExpiry: 5n },
        state: { filled: 77n, k: 3n },
      }),
    );
  });

  for (const { step, title, tell } of CASES) {
    it(`[${step}] ${title}`, () => {
      const { input, view, index } = tell(sceneOf(title));
      circuit.assertForbiddenBy(step, input, fillChoices(input, view, index));
    });
  }

  // With the challenge hashed after R8, nobody can make the equation hold for an R8 off the curve. So the equation is off here too.
  it('[3 R8] R8 off the curve', () => {
    const input = withSignature(honestFill(sceneOf('R8')), { x: 1n, y: 1n }, 5n);
    circuit.assertForbiddenAmong(['3 R8', '4'], '3 R8', input, checkedPoint('main.BabyCheck#1'));
  });
});
