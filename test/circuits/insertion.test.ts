import assert from 'node:assert/strict';
import { BUCKET_LEAVES, FIELD_MODULUS, PUBLIC_SIGNALS, TREE_BUCKETS } from '@bitcloak/protocol/parameters';
import {
  bucketTree,
  compiledCircuit,
  insertionSignals,
  planInsertion,
  SeededRandom,
  type InsertionInput,
} from '../support/circuit.ts';

describe('circuit insertion: valid statements', () => {
  const { r1cs, calculate } = compiledCircuit('insertion');

  function assertAccepted(input: InsertionInput): void {
    const witness = calculate(input);
    assert.equal(r1cs.firstViolated(witness), null);
    assert.deepEqual(witness.slice(1, 1 + PUBLIC_SIGNALS.insertion.length), insertionSignals(input));
  }

  const COUNTS = [1, 2, 4, 5, 16, 17, 63, BUCKET_LEAVES];
  for (const count of COUNTS) {
    it(`${count} of ${BUCKET_LEAVES} leaves into the first bucket`, () => {
      const random = new SeededRandom(`insertion of ${count}`);
      const leaves = Array.from({ length: count }, () => random.field());
      assertAccepted(planInsertion(random, bucketTree(), 0, leaves));
    });
  }

  it('buckets one after another, each over the root of the one before', () => {
    const random = new SeededRandom('insertions in a row');
    const tree = bucketTree();
    for (let index = 0; index < 6; index++) {
      const before = tree.root;
      const input = planInsertion(random, tree, index, [random.field(), random.field()]);
      assert.equal(input.oldRoot, before);
      assertAccepted(input);
    }
  });

  it('the last bucket of the tree', () => {
    const random = new SeededRandom('insertion at the end');
    const tree = bucketTree()
      .set(0, random.field())
      .set(TREE_BUCKETS - 2, random.field());
    assertAccepted(planInsertion(random, tree, TREE_BUCKETS - 1, [random.field()]));
  });

  it('equal leaves, and the largest field element', () => {
    const random = new SeededRandom('insertion of equal leaves');
    assertAccepted(planInsertion(random, bucketTree(), 0, [5n, 5n, FIELD_MODULUS - 1n, FIELD_MODULUS - 1n]));
  });

  it('a challenge of 0 and of 1', () => {
    const random = new SeededRandom('insertion with small challenges');
    const leaves = [random.field(), random.field()] as const;
    const input = planInsertion(random, bucketTree(), 3, leaves);
    assertAccepted({ ...input, challenge: 0n, evaluation: leaves[0] });
    assertAccepted({ ...input, challenge: 1n, evaluation: (leaves[0] + leaves[1]) % FIELD_MODULUS });
  });
});
