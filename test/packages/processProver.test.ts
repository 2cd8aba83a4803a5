import assert from 'node:assert/strict';
import { appendBucket, type InsertionInput } from '@bitcloak/notes/insertion';
import { BucketTree } from '@bitcloak/notes/tree';
import { PUBLIC_SIGNALS } from '@bitcloak/protocol/parameters';
import { ProcessProver, type ProcessProverOptions } from '@bitcloak/prover/processProver';
import { countFresh } from '../support/proofCounts.ts';

const statement = (leaf: bigint) => appendBucket(new BucketTree(), 0, [leaf]);
const signalsOf = (input: InsertionInput) => PUBLIC_SIGNALS.insertion.map((name) => input[name]);

describe('proving in other processes', function () {
  this.timeout(120_000);
  let prover: ProcessProver;
  const open = (options?: ProcessProverOptions) => (prover = new ProcessProver(options));
  afterEach(() => prover.close());

  it('proves while this process goes on, and says what LocalProver says of a false statement', async () => {
    open();
    const input = statement(1n);
    let turns = 0;
    const counting = setInterval(() => turns++, 5);
    // A proof is verified where it was made.
    const proof = prover.prove('insertion', input);
    const refused = assert.rejects(prover.prove('insertion', { ...input, newRoot: 1n }), { code: 'STATEMENT_FALSE' });
    const { signals, words } = await proof;
    clearInterval(counting);
    countFresh('insertion');
    assert.deepEqual(signals, signalsOf(input));
    assert.equal(words.length, 8);
    assert(turns > 20, `${turns} turns`);
    await refused;
    assert.equal(prover.processIds.length, 1, 'the process has taken no harm');
  });

  it('fails the statement whose process is killed, and proves the next', async () => {
    open();
    const [lost, next] = [prover.prove('insertion', statement(1n)), prover.prove('insertion', statement(2n))];
    const [first] = prover.processIds;
    assert(first !== undefined);
    process.kill(first, 'SIGKILL');
    await assert.rejects(lost, { code: 'PROVER_FAILED', message: /process that was proving it ended/ });
    assert.deepEqual((await next).signals, signalsOf(statement(2n)));
    countFresh('insertion');
    assert.notEqual(prover.processIds[0], first);
  });

  it('ends processes that take too long, as many as there may be at once', async () => {
    open({ proofMsMax: 100, processes: 2 });
    const proofs = [1n, 2n, 3n].map((leaf) => prover.prove('insertion', statement(leaf)));
    assert.equal(prover.processIds.length, 2);
    for (const proof of proofs) await assert.rejects(proof, { code: 'PROVER_FAILED' });
  });

  it('closes however often it is told to, each time with nothing left running', async () => {
    open();
    await prover.prove('insertion', statement(1n));
    countFresh('insertion');
    const [id] = prover.processIds;
    assert(id !== undefined);
    const closings = [1, 2, 3].map(async () => {
      await prover.close();
      assert.throws(() => process.kill(id, 0), { code: 'ESRCH' });
    });
    await Promise.all(closings);
  });

  it('closes with nothing left running, and refuses what comes later', async () => {
    open();
    const proofs = [1n, 2n].map((leaf) => prover.prove('insertion', statement(leaf)));
    const ids = prover.processIds;
    assert.equal(ids.length, 1);
    const outcomes = Promise.allSettled(proofs);
    await prover.close();
    const kinds = (await outcomes).map(({ status }) => status);
    assert.deepEqual(kinds, ['fulfilled', 'rejected'], 'what was begun is finished');
    countFresh('insertion');
    for (const id of ids) assert.throws(() => process.kill(id, 0), { code: 'ESRCH' });
    await assert.rejects(prover.prove('insertion', statement(4n)), { code: 'PROVER_FAILED' });
    assert.deepEqual(prover.processIds, []);
  });
});
