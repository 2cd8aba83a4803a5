import assert from 'node:assert/strict';
import { PoolClient, type Call, type ProvenTransfer } from '@bitcloak/chain/pool';
import { evaluate } from '@bitcloak/notes/evaluation';
import { extDataHash, type ExtData } from '@bitcloak/notes/extData';
import { appendBucket, insertionChallenge, type InsertionInput } from '@bitcloak/notes/insertion';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { commitmentOf, nullifierOf, stealthOf, type Note } from '@bitcloak/notes/note';
import { buildTransfer } from '@bitcloak/notes/transfer';
import { Bucket, BucketTree, emptyRoot, UPPER_LEVELS } from '@bitcloak/notes/tree';
import {
  BUCKET_HEIGHT,
  BUCKET_LEAVES,
  DEPOSIT_CIPHERTEXT_BYTES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  TRANSFER_CIPHERTEXT_BYTES,
  TREE_BUCKETS,
  TREE_DEPTH,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { toBeHex } from 'ethers';
import { SparseTree } from '../support/circuit.ts';
import { BUCKET_AGE_SECONDS, NO_ADDRESS, PoolBench, prover, type TestNote } from '../support/pool.ts';
import { ACCEPTED, expectRefused, outcome } from '../support/refusals.ts';

const WORD_MAX = 2n ** 256n - 1n;
/** Where the pool keeps its queue: the first slot, from the low end openBucket, openLeaves, openedAt, nextInsertion. */
const QUEUE_SLOT = '0x0';
const NEXT_INSERTION_SHIFT = 112n;

type Statement = { bucket: number; leaves: readonly bigint[]; input: InsertionInput };

/** The statement that puts leaves into a place of a tree where only `bucketRoots` stand, whether or not the pool would ask for it. */
function statementAt(
  bucketRoots: ReadonlyMap<number, bigint>,
  bucket: number,
  leaves: readonly bigint[],
): Statement & { tree: SparseTree } {
  const tree = new SparseTree(UPPER_LEVELS, emptyRoot(BUCKET_HEIGHT));
  for (const [index, root] of bucketRoots) tree.set(index, root);
  const bucketIndex = bucket % TREE_BUCKETS;
  const oldRoot = tree.root;
  const siblings = tree.path(bucketIndex);
  const bucketRoot = new Bucket(leaves).root();
  const newRoot = tree.set(bucketIndex, bucketRoot).root;
  const challenge = insertionChallenge(bucket, oldRoot, newRoot, bucketRoot, leaves);
  const input = {
    oldRoot,
    newRoot,
    bucketRoot,
    bucketIndex: BigInt(bucketIndex),
    challenge,
    evaluation: evaluate(leaves, challenge),
    leaves: [...leaves, ...new Array<bigint>(BUCKET_LEAVES - leaves.length).fill(0n)],
    siblings,
  };
  return { bucket, leaves, input, tree };
}

describe('Pool: buckets and insertion', function () {
  this.timeout(300_000);
  let bench: PoolBench;
  let key: SpendingKey;
  let fresh: () => Promise<void>;

  const call = ({ bucket, leaves, input }: Statement, proof: readonly bigint[]) =>
    bench.client.insertCall(bucket, leaves, input, proof);
  const proofOf = async ({ input }: Statement) => (await prover.prove('insertion', input)).words;
  const refused = (refusedCall: Call, expected: string) => expectRefused(bench, refusedCall, expected);
  const close = () => bench.client.send(bench.client.closeCall());

  /** Deposits 1 unit so many times, without looking at what happens. */
  async function fill(leaves: number): Promise<void> {
    for (let i = 0; i < leaves; i++) {
      const ciphertext = bench.bytes(DEPOSIT_CIPHERTEXT_BYTES);
      await bench.client.send(bench.client.depositCall(NATIVE_ASSET, 1n, stealthOf(bench.note(key, 1n)), ciphertext));
    }
  }

  before(async () => {
    bench = await PoolBench.open({ seed: 'insertion' });
    key = bench.keyring().spending;
    fresh = await bench.chain.snapshot();
  });
  after(() => bench.close());

  describe('an empty pool', () => {
    beforeEach(() => fresh());

    it('has the root of an empty tree, as two other programs compute it', async () => {
      const root = await bench.client.currentRoot();
      assert.equal(root, emptyRoot(TREE_DEPTH));
      assert.equal(root, new BucketTree().root());
      assert.equal(root, new SparseTree(TREE_DEPTH).root);
    });

    it('spends nothing under that root, which no insertion made', async () => {
      const worthless: TestNote = { note: bench.note(key, 0n), leaf: 0, key };
      const root = emptyRoot(TREE_DEPTH);
      assert.equal(await bench.client.isKnownRoot(root), false);
      const { input, extData } = await bench.plan({ key, inputs: [worthless], root });
      const transfer: ProvenTransfer = { proof: new Array<bigint>(8).fill(0n), shown: input, extData };
      await refused(bench.client.transferCall(transfer), `UnknownRoot(${root})`);
    });

    it('has nothing to close and nothing to insert', async () => {
      await bench.chain.increaseTime(1_000_000n);
      await refused(bench.client.closeCall(), 'BucketEmpty()');
      const statement = statementAt(new Map(), 0, [1n]);
      await refused(call(statement, new Array<bigint>(8).fill(0n)), 'BucketNotClosed(0)');
      await refused(call({ ...statement, leaves: [] }, new Array<bigint>(8).fill(0n)), 'BucketNotClosed(0)');
    });
  });

  describe('closing', () => {
    beforeEach(() => fresh());

    it('waits for the age of the first leaf, to the second, and is then anybody’s', async () => {
      await bench.deposit(key, 1n);
      const { openedAt } = await bench.client.queue();
      const closableAt = openedAt + BUCKET_AGE_SECONDS;
      await bench.chain.setNextTime(closableAt - 2n);
      await bench.deposit(key, 1n);
      assert.equal((await bench.client.queue()).openedAt, openedAt, 'a later leaf does not make a bucket younger');
      await bench.chain.setNextTime(closableAt - 1n);
      await refused(bench.client.closeCall(), `BucketTooYoung(${closableAt}, ${closableAt - 1n})`);
      await bench.chain.setNextTime(closableAt);
      const stranger = new PoolClient(bench.address, bench.chain.signer(7));
      await stranger.send(stranger.closeCall());
      const event = (await bench.events()).at(-1);
      assert.ok(event?.kind === 'closed');
      assert.deepEqual([event.bucket, event.leaves], [0, 2]);
      await refused(bench.client.closeCall(), 'BucketEmpty()');
    });

    it('starts the next bucket’s age with its own first leaf', async () => {
      await bench.deposit(key, 1n);
      await bench.closeBucket();
      await bench.chain.increaseTime(1_000_000n);
      await bench.deposit(key, 1n);
      const { openedAt } = await bench.client.queue();
      assert.equal(openedAt, await bench.chain.now());
      const closableAt = openedAt + BUCKET_AGE_SECONDS;
      await bench.chain.setNextTime(closableAt - 1n);
      await refused(bench.client.closeCall(), `BucketTooYoung(${closableAt}, ${closableAt - 1n})`);
    });
  });

  describe('a closed bucket', () => {
    let statement: Statement;
    let proof: readonly bigint[];
    let following: Statement;
    let followingProof: readonly bigint[];
    /** Bucket 1 in a tree that bucket 0 is missing from. */
    let early: Statement;
    let closed: () => Promise<void>;

    before(async () => {
      await fresh();
      for (const value of [1n, 2n, 3n]) await bench.deposit(key, value);
      await bench.closeBucket();
      await bench.deposit(key, 4n);
      await bench.closeBucket();
      statement = await bench.insertion();
      proof = await proofOf(statement);
      const leaves = (await bench.ledger()).leavesOf(1);
      following = statementAt(new Map([[0, statement.input.bucketRoot]]), 1, leaves);
      followingProof = await proofOf(following);
      early = statementAt(new Map(), 1, leaves);
      closed = await bench.chain.snapshot();
    });
    beforeEach(() => closed());

    it('is inserted by anybody, and the root before stays valid', async () => {
      const stranger = new PoolClient(bench.address, bench.chain.signer(7));
      await stranger.send(call(statement, proof));
      const event = (await bench.events()).at(-1);
      const { bucketRoot, newRoot } = statement.input;
      assert.ok(event?.kind === 'inserted');
      assert.deepEqual([event.bucket, event.bucketRoot, event.newRoot], [0, bucketRoot, newRoot]);
      assert.equal(await bench.client.currentRoot(), newRoot);
      await bench.client.send(call(following, followingProof));
      assert.equal(await bench.client.currentRoot(), following.input.newRoot);
      assert.equal(await bench.client.isKnownRoot(newRoot), true);
    });

    it('takes no other leaves, order or number of them', async () => {
      const [one, two, three] = statement.leaves as [bigint, bigint, bigint];
      const lists = [
        [],
        [one],
        [one, two],
        [two, three],
        [one, two, three, 0n],
        [one, two, three, three],
        [0n, one, two, three],
        [two, one, three],
        [one, three, two],
        [three, two, one],
        [one, one, three],
        [one ^ 1n, two, three],
        [one, two, three ^ 1n],
        [one, two, 0n],
        [one + FIELD_MODULUS, two, three],
        [one, two, WORD_MAX],
        following.leaves,
        statement.input.leaves,
        [...statement.input.leaves, 0n],
      ];
      for (const leaves of lists) await refused(call({ ...statement, leaves }, proof), 'LeavesMismatch(0)');
    });

    it('takes no proof of other leaves that agree with its own at the challenge', async () => {
      const { challenge, evaluation } = statement.input;
      const [one, two, three] = statement.leaves as [bigint, bigint, bigint];
      const leaves = [(one + challenge) % FIELD_MODULUS, two - 1n, three];
      assert.equal(evaluate(leaves, challenge), evaluation);
      const forged = statementAt(new Map(), 0, leaves);
      const forgedProof = await proofOf({ ...forged, input: { ...forged.input, challenge, evaluation } });
      await refused(call({ ...forged, leaves: statement.leaves }, forgedProof), 'InvalidProof()');
      await refused(call(forged, forgedProof), 'LeavesMismatch(0)');
      // With the challenge that the pool would take, the statement is not true.
      const { bucketRoot, oldRoot, newRoot } = forged.input;
      const seen = insertionChallenge(0, oldRoot, newRoot, bucketRoot, statement.leaves);
      const fitted = { ...forged.input, challenge: seen, evaluation: evaluate(statement.leaves, seen) };
      await assert.rejects(prover.prove('insertion', fitted), { code: 'STATEMENT_FALSE' });
    });

    it('comes in its turn only', async () => {
      await refused(call({ ...statement, bucket: 1 }, proof), 'BucketNotNext(1, 0)');
      await refused(call({ ...statement, bucket: 2 }, proof), 'BucketNotNext(2, 0)');
      await refused(call({ ...statement, bucket: TREE_BUCKETS }, proof), `BucketNotNext(${TREE_BUCKETS}, 0)`);
      await refused(call({ ...following, bucket: 0 }, followingProof), 'LeavesMismatch(0)');
      await bench.client.send(call(statement, proof));
      await refused(call(statement, proof), 'BucketNotNext(0, 1)');
      await refused(call({ ...statement, bucket: 1 }, proof), 'LeavesMismatch(1)');
      await bench.client.send(call(following, followingProof));
      await refused(call({ ...statement, bucket: 2 }, proof), 'BucketNotClosed(2)');
    });

    it('goes into no stale tree and into no other place', async () => {
      const staleProof = await proofOf(early);
      await refused(call(early, staleProof), 'BucketNotNext(1, 0)');
      await bench.client.send(call(statement, proof));
      await refused(call(early, staleProof), 'InvalidProof()');
      await closed();
      const elsewhere = statementAt(new Map(), 5, statement.leaves);
      const moved = { ...elsewhere, bucket: 0 };
      await refused(call(moved, await proofOf(elsewhere)), 'InvalidProof()');
    });

    it('cannot be proven into a place that is taken, or outside the tree', async () => {
      const taken = statementAt(new Map([[0, following.input.bucketRoot]]), 0, statement.leaves);
      const outside = { ...statement.input, bucketIndex: BigInt(TREE_BUCKETS) };
      for (const input of [taken.input, outside]) {
        await assert.rejects(prover.prove('insertion', input), { code: 'STATEMENT_FALSE' });
      }
    });

    it('has the roots that were proven, not others and not their aliases', async () => {
      const { newRoot, bucketRoot } = statement.input;
      const other = (changes: Partial<InsertionInput>) =>
        call({ ...statement, input: { ...statement.input, ...changes } }, proof);
      for (const word of [newRoot ^ 1n, 0n, emptyRoot(TREE_DEPTH)]) {
        await refused(other({ newRoot: word }), 'InvalidProof()');
      }
      for (const word of [bucketRoot ^ 1n, 0n, emptyRoot(BUCKET_HEIGHT)]) {
        await refused(other({ bucketRoot: word }), 'InvalidProof()');
      }
      await refused(other({ newRoot: bucketRoot, bucketRoot: newRoot }), 'InvalidProof()');
      for (let times = 1n; newRoot + times * FIELD_MODULUS <= WORD_MAX; times++) {
        const alias = newRoot + times * FIELD_MODULUS;
        await refused(other({ newRoot: alias }), `SignalNotInField(0, 1, ${alias})`);
      }
      for (let times = 1n; bucketRoot + times * FIELD_MODULUS <= WORD_MAX; times++) {
        const alias = bucketRoot + times * FIELD_MODULUS;
        await refused(other({ bucketRoot: alias }), `SignalNotInField(0, 2, ${alias})`);
      }
    });

    it('needs its own proof, word for word', async () => {
      for (const index of proof.keys()) {
        for (const change of [(word: bigint) => word ^ 1n, () => 0n, () => WORD_MAX]) {
          const words = proof.map((word, at) => (at === index ? change(word) : word));
          const said = await outcome(bench.chain, call(statement, words));
          assert.match(said, /^(InvalidProof\(\)|PrecompileFailed\(8\))$/, `word ${index}`);
        }
      }
    });

    it('is inserted by a proof that was made before others deposited, closed and filled buckets', async () => {
      await bench.deposit(key, 5n);
      await bench.closeBucket();
      await fill(BUCKET_LEAVES + 1);
      assert.equal((await bench.client.queue()).openBucket, 4);
      await bench.client.send(call(statement, proof));
      assert.equal(await bench.client.currentRoot(), statement.input.newRoot);
    });

    it('is inserted once by two keepers, and the second is told so and goes on', async () => {
      const second = new PoolClient(bench.address, bench.chain.signer(7));
      await bench.client.send(call(statement, proof));
      await refused(call(statement, await proofOf(statement)), 'BucketNotNext(0, 1)');
      await second.send(call(following, followingProof));
      assert.equal((await bench.client.queue()).nextInsertion, 2);
    });
  });

  it('a bucket that fills up closes by itself, a transfer fills two, and nothing of one is in the other', async () => {
    await fresh();
    const first = await bench.deposit(key, 1000n);
    await bench.insertAll();
    await fill(BUCKET_LEAVES - 1);
    let queue = await bench.client.queue();
    assert.deepEqual([queue.openBucket, queue.openLeaves], [1, BUCKET_LEAVES - 1]);

    const outputs = [bench.note(key, 500n), bench.note(key, 300n), bench.note(key, 200n)];
    await bench.send(await bench.prove({ key, inputs: [first], outputs }));
    queue = await bench.client.queue();
    assert.deepEqual([queue.openBucket, queue.openLeaves, queue.nextInsertion], [2, 2, 1]);
    assert.equal(queue.openedAt, await bench.chain.now());
    assert.ok(!(await bench.events()).some((event) => event.kind === 'closed' && event.bucket === 1));
    const ledger = await bench.ledger();
    assert.equal(ledger.leavesOf(1).at(-1), commitmentOf(outputs[0] as Note));
    assert.deepEqual(ledger.leavesOf(2), outputs.slice(1).map(commitmentOf));

    await bench.insertAll();
    const notes = outputs.map((note, i): TestNote => ({ note, leaf: 2 * BUCKET_LEAVES - 1 + i, key }));
    const across = await bench.prove({ key, inputs: [notes[0], notes[2]] as TestNote[], withdrawAmount: 700n });
    await bench.send(across);
    assert.equal(await bench.client.isSpent(bench.nullifier(notes[0] as TestNote)), true);

    // Exactly full, and then not a leaf more: nothing is open, and the accumulator of the full bucket is in nobody's way.
    await fill(BUCKET_LEAVES - 3);
    queue = await bench.client.queue();
    assert.deepEqual([queue.openBucket, queue.openLeaves], [4, 0]);
    await bench.chain.increaseTime(BUCKET_AGE_SECONDS);
    await refused(bench.client.closeCall(), 'BucketEmpty()');
    await bench.insert();
    await bench.deposit(key, 7n);
    await bench.insertAll();
    assert.equal((await bench.client.queue()).nextInsertion, 5);
  });

  it('the tree after a full one starts empty, and notes of both are spent', async () => {
    await fresh();
    const last = TREE_BUCKETS - 1;
    const word = BigInt(last) | (BigInt(last) << NEXT_INSERTION_SHIFT);
    await bench.chain.provider.send('hardhat_setStorageAt', [
      toBeHex(bench.address, 20),
      QUEUE_SLOT,
      toBeHex(word, 32),
    ]);
    const set = await bench.client.queue();
    assert.deepEqual([set.openBucket, set.openLeaves, set.nextInsertion], [last, 0, last]);

    const notes = [bench.note(key, 1000n), bench.note(key, 500n)];
    const statements: Statement[] = [];
    for (const [i, note] of notes.entries()) {
      const bucket = last + i;
      const ciphertext = bench.bytes(DEPOSIT_CIPHERTEXT_BYTES);
      await bench.client.send(bench.client.depositCall(NATIVE_ASSET, note.value, stealthOf(note), ciphertext));
      const deposited = (await bench.events()).at(-1);
      assert.ok(deposited?.kind === 'deposited');
      assert.equal(deposited.leaf, bucket * BUCKET_LEAVES);
      await bench.chain.increaseTime(BUCKET_AGE_SECONDS);
      await close();
      statements.push(statementAt(new Map(), bucket, [commitmentOf(note)]));
    }
    const [oldTree, newTree] = statements as [Statement, Statement];
    assert.equal(newTree.bucket, TREE_BUCKETS);
    assert.deepEqual(newTree.input, appendBucket(new BucketTree(), TREE_BUCKETS, newTree.leaves));
    // On top of the full tree it would be the right place for a pool that forgot to start anew.
    const continued = statementAt(new Map([[last, oldTree.input.bucketRoot]]), TREE_BUCKETS, newTree.leaves);

    await bench.client.send(call(oldTree, await proofOf(oldTree)));
    await refused(call(continued, await proofOf(continued)), 'InvalidProof()');
    await bench.client.send(call(newTree, await proofOf(newTree)));
    assert.equal(await bench.client.currentRoot(), newTree.input.newRoot);

    for (const [i, note] of notes.entries()) {
      const { bucket, input, leaves } = statements[i] as Statement;
      assert.equal(await bench.client.isKnownRoot(input.newRoot), true);
      const path = [...new Bucket(leaves).path(0), ...(input.siblings as [bigint, bigint, bigint][])];
      const leaf = bucket * BUCKET_LEAVES;
      const extData: ExtData = {
        recipient: BigInt(bench.chain.signer(9).address),
        relayer: NO_ADDRESS,
        fee: 0n,
        ciphertext: bench.bytes(TRANSFER_CIPHERTEXT_BYTES),
      };
      const plan = buildTransfer({
        key,
        asset: NATIVE_ASSET,
        inputs: [{ note, leaf, path }],
        root: input.newRoot,
        outputs: [0n, 0n, 0n].map((value) => bench.note(key, value)),
        withdrawAmount: note.value,
        extDataHash: extDataHash(bench.chainId, bench.address, extData),
        validAfter: 0n,
      });
      const treeIndex = leaf % TREE_LEAVES;
      assert.equal(plan.nullifiers[0], nullifierOf(key.keys.nullifierKey, commitmentOf(note), treeIndex));
      const transfer = { proof: (await prover.prove('transfer', plan)).words, shown: plan, extData };
      assert.equal(await outcome(bench.chain, bench.client.transferCall(transfer)), ACCEPTED);
      await bench.send(transfer);
    }
    assert.equal(await bench.chain.provider.getBalance(toBeHex(bench.address, 20)), 0n);
  });
});
