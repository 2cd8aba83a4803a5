import assert from 'node:assert/strict';
import { BUCKET_LEAVES, TREE_BUCKETS } from '@bitcloak/protocol/parameters';
import {
  bucketRootOf,
  bucketTree,
  evaluate,
  planInsertion,
  SeededRandom,
  type InsertionInput,
} from '../support/circuit.ts';
import type { Edit } from './copies.ts';
import { stepsOf, SwitchedCircuit, switchIn } from './switches.ts';

const SWITCHES = ['1', '2', '3', '4', '5'];
const file = 'lib/insertion.circom';
const on = (step: string) => switchIn(SWITCHES, step);
const equality = (step: string, left: string, right: string): Edit => ({
  file,
  find: `    ${left} === ${right};`,
  replace: `    ${on(step)} * (${left} - ${right}) === 0;`,
});

const EDITS: readonly Edit[] = [
  {
    file,
    find: 'signal input evaluation;',
    replace: `signal input evaluation; signal input cutOn[${SWITCHES.length}]; signal input cutIndex;`,
  },
  {
    file,
    find: 'indexBits.in <== bucketIndex;',
    replace: `indexBits.in <== cutIndex + ${on('1')} * (bucketIndex - cutIndex);`,
  },
  equality('2', 'oldRoot', 'emptyRoot'),
  equality('3', 'bucketRoot', 'leavesRoot'),
  equality('4', 'newRoot', 'filledRoot'),
  equality('5', 'evaluation', 'partial[0]'),
];

type Lie = { step: string; title: string; tell: (random: SeededRandom) => InsertionInput; cutIndex?: bigint };

const fields = (random: SeededRandom, count: number) => Array.from({ length: count }, () => random.field());

/** Three buckets are there, and a fourth one goes in. */
function honest(random: SeededRandom): InsertionInput {
  const tree = bucketTree();
  for (let index = 0; index < 3; index++) tree.set(index, random.field());
  return planInsertion(random, tree, 3, fields(random, 10));
}

const LIES: readonly Lie[] = [
  {
    step: '1',
    title: 'the bucket goes to another place than the public one',
    tell: (random) => ({ ...honest(random), bucketIndex: 4n }),
    cutIndex: 3n,
  },
  {
    step: '1',
    title: 'the public place is one outside the tree that has the same low bits',
    tell: (random) => ({ ...honest(random), bucketIndex: BigInt(TREE_BUCKETS + 3) }),
    cutIndex: 3n,
  },
  {
    step: '2',
    title: 'a full bucket is overwritten',
    tell: (random) => {
      const tree = bucketTree().set(2, random.field()).set(3, random.field());
      return planInsertion(random, tree, 3, fields(random, 10));
    },
  },
  {
    step: '2',
    title: 'the old root is that of another tree, so that earlier leaves vanish',
    tell: (random) => ({ ...honest(random), oldRoot: random.field() }),
  },
  {
    step: '3',
    title: 'the tree gets a bucket of other leaves than the pool evaluated',
    tell: (random) => {
      const tree = bucketTree().set(0, random.field());
      const forged = planInsertion(random, tree, 1, fields(random, 5));
      const leaves = honest(random).leaves;
      return { ...forged, leaves, evaluation: evaluate(leaves, forged.challenge) };
    },
  },
  {
    step: '4',
    title: 'the new root is that of a tree with one leaf more',
    tell: (random) => {
      const input = honest(random);
      const tree = bucketTree().set(3, input.bucketRoot).set(9, random.field());
      return { ...input, newRoot: tree.root };
    },
  },
  {
    step: '5',
    title: 'a leaf is another one than that of the pool',
    tell: (random) => {
      const leaves = [...honest(random).leaves];
      const pool = evaluate(leaves, 12345n);
      leaves[4] = random.field();
      return { ...planInsertion(random, bucketTree(), 0, leaves), challenge: 12345n, evaluation: pool };
    },
  },
  {
    step: '5',
    title: 'a leaf stands behind the last one of the pool',
    tell: (random) => {
      const real = fields(random, 10);
      const input = planInsertion(random, bucketTree(), 0, [...real, random.field()]);
      return { ...input, evaluation: evaluate(real, input.challenge) };
    },
  },
  {
    step: '5',
    title: 'two leaves have changed places',
    tell: (random) => {
      const [first, second] = [random.field(), random.field()];
      const input = planInsertion(random, bucketTree(), 0, [second, first]);
      return { ...input, evaluation: evaluate([first, second], input.challenge) };
    },
  },
  {
    step: '5',
    title: 'the leaves are the coefficients from the highest down',
    tell: (random) => {
      const input = planInsertion(random, bucketTree(), 0, fields(random, BUCKET_LEAVES));
      return { ...input, evaluation: evaluate([...input.leaves].reverse(), input.challenge) };
    },
  },
  {
    step: '5',
    title: 'the last leaf is left out',
    tell: (random) => {
      const input = planInsertion(random, bucketTree(), 0, fields(random, BUCKET_LEAVES));
      return { ...input, evaluation: evaluate(input.leaves.slice(0, -1), input.challenge) };
    },
  },
];

describe('circuit insertion: what each step forbids', function () {
  this.timeout('5 minutes');
  let circuit: SwitchedCircuit;

  before(async () => {
    circuit = await SwitchedCircuit.compile('insertion', SWITCHES, EDITS, { cutIndex: 0n });
  });

  it('every numbered step has a case', () => {
    assert.deepEqual(stepsOf('insertion'), SWITCHES);
    assert.deepEqual([...new Set(LIES.map(({ step }) => step))], SWITCHES);
  });

  it('with every step on, the copy is the circuit', () => {
    circuit.assertFaithful(honest(new SeededRandom('faithful insertion')));
  });

  for (const { step, title, tell, cutIndex } of LIES) {
    it(`[${step}] ${title}`, () => {
      const input = tell(new SeededRandom(`insertion: ${title}`));
      circuit.assertForbiddenBy(step, input, cutIndex === undefined ? {} : { cutIndex });
    });
  }

  it('the root of an empty bucket in the parameters is that of 64 leaves 0', () => {
    const input = honest(new SeededRandom('empty bucket'));
    const named = circuit.copy.symbols.get('main.RootFromPath#0.node') ?? -1;
    assert.equal(circuit.copy.calculate(circuit.inputFor(input, []))[named], bucketRootOf([]));
  });
});
