import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancelKeyOf, orderHashOf } from '@bitcloak/notes/order';
import { CANCEL_DELAY_SECONDS, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/proof';
import { limitOf } from '@bitcloak/trading/market';
import { withdrawalLimit, type NewOrder } from '@bitcloak/trading/orders';
import { ORDER_FILLS_MAX } from '../../enclave/exchange/exchange.ts';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { FILLS, Floor, tradesOf } from '../support/floor.ts';
import { honest, standingAt, type Behaviour } from '../support/hostileEndpoint.ts';
import type { Trader } from '../support/settlement.ts';

/** A prover that fails. */
const DOWN: Prover = { prove: () => Promise.reject(new Error('the prover is down')) };

describe('an operator at work', function () {
  this.timeout(120_000);
  let floor: Floor;
  afterEach(() => floor.close());

  /** Alice has 1,000 coins and Bob 5,000 dollars, in the tree and credited. */
  async function seated(seed: string, confirmations = 0): Promise<{ alice: Trader; bob: Trader }> {
    floor = await Floor.open(seed, confirmations);
    const [alice, bob] = [floor.desk.trader(), floor.desk.trader()];
    await floor.deposit(alice, NATIVE_ASSET, 1_000n);
    await floor.deposit(bob, floor.token, 5_000n);
    await floor.insertAll();
    await floor.desk.bench.chain.mine(confirmations);
    await floor.round();
    return { alice, bob };
  }

  it('credits, matches, settles, and goes on with what is left', async () => {
    const { alice, bob } = await seated('operator');
    const { state } = floor.machine;
    assert.equal(state.available(alice.key.keys.owner, NATIVE_ASSET), 1_000n);
    await floor.order(alice, 'sell', 20, 80);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 21, 50)), 1);
    const { settled } = await floor.round();
    assert.equal(settled?.kind, 'sent');
    const [event] = (await floor.desk.bench.events()).slice(-1);
    assert.ok(event?.kind === 'settled');
    assert.equal(event.fills.length, FILLS, 'filled up');
    assert.notEqual(event.journalHead, 0n);
    await floor.round();
    assert.equal(floor.machine.state.batch, undefined);
    assert.equal(floor.machine.state.waiting, 0);

    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 30)), 1);
    await floor.round();
    assert.equal(floor.machine.state.batch, undefined, 'the state of the order is not in the tree');
    await floor.insertAll();
    await floor.round();
    assert.equal(await floor.settlements(), 2);
    await floor.round();
    const { tickets, working } = floor.machine.state.save();
    assert.deepEqual([tickets, working], [[], []], 'all orders are done with');
  });

  it('does nothing twice, wherever it is stopped and started again', async () => {
    const { alice, bob } = await seated('operator restarts');
    await floor.restart();
    await floor.order(alice, 'sell', 20, 50);
    await floor.restart();
    await floor.order(bob, 'buy', 20, 50);
    await floor.restart();
    await floor.round();
    assert.equal(await floor.settlements(), 1);
    // It is on the chain, and this process does not know that it sent it.
    await floor.restart();
    const { settled } = await floor.round();
    assert.ok(settled === undefined || settled.kind === 'landed');
    await floor.restart();
    await floor.round();
    assert.equal(await floor.settlements(), 1);
    assert.equal(floor.machine.state.batch, undefined);
  });

  it('loses nothing and sends nothing twice, whichever step of a settlement it is killed at', async () => {
    const { alice, bob } = await seated('operator killed');
    const killed = new Error('the process was killed');
    let sent = 0;
    let trades = 0;
    let left: number;
    do {
      await floor.order(alice, 'sell', 20, 1);
      assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 1)), 1);
      trades++;
      left = trades;
      // Before each command, and before and after each transaction: what is dead writes nothing, and asks nothing.
      const step = () => {
        if (left > 0) left--;
        if (left === 0) throw killed;
      };
      const { machine } = floor;
      const execute = machine.execute.bind(machine);
      const commands: Promise<unknown>[] = [];
      machine.execute = async (command) => {
        step();
        const done = execute(command);
        commands.push(done);
        return done;
      };
      const counting: Behaviour = async (call, ask) => {
        if (call.method === 'eth_sendTransaction') sent++;
        return ask(call);
      };
      floor.host = async (call, ask) => {
        if (call.method === 'eth_sendTransaction') step();
        else if (left === 0) throw killed;
        const answer = await counting(call, ask);
        if (call.method === 'eth_sendTransaction') step();
        return answer;
      };
      try {
        await floor.round();
        await floor.insertAll();
        await floor.round();
      } catch (error) {
        assert.equal(left, 0, String(error));
      }
      await Promise.allSettled(commands);
      floor.host = counting;
      await floor.restart();
      for (let round = 0; round < 2; round++) {
        await floor.round();
        await floor.insertAll();
      }
      await floor.round();

      const { state } = floor.machine;
      assert.deepEqual([await floor.settlements(), sent], [trades, trades], `killed at step ${trades}`);
      assert.deepEqual([state.waiting, state.batch], [0, undefined]);
      for (const { key } of [alice, bob]) {
        const fills = state.records.fills(key.keys.owner);
        assert.deepEqual(
          fills.map(({ status }) => status),
          Array.from({ length: trades }, () => 'settled'),
        );
        const [asset, brought] = key === alice.key ? [NATIVE_ASSET, 1_000n] : [floor.token, 5_000n];
        const sold = fills.reduce((sum, fill) => sum + fill.sold, 0n);
        assert.equal(state.available(key.keys.owner, asset), brought - sold);
      }
    } while (left === 0);
    assert.ok(trades > 7, `${trades - 1} steps`);
  });

  it('takes up again a batch whose proof failed, from its snapshot too', async () => {
    const { alice, bob } = await seated('operator proofs');
    await floor.restart(DOWN);
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    await assert.rejects(floor.round(), /the prover is down/);
    assert.ok(floor.machine.state.batch !== undefined);
    assert.equal(tradesOf(await floor.order(bob, 'sell', 20, 1)), 0, 'and trading goes on');
    await floor.machine.snapshot();
    await floor.restart();
    await floor.round();
    assert.equal(await floor.settlements(), 1);
  });

  it('lets in no order of a stranger, nor one with another signature', async () => {
    const { alice, bob } = await seated('operator admission');
    const request = await floor.request(alice, 'sell', 20, 50);
    const refusal = async (wish: NewOrder) => {
      const [event] = await floor.operator.submit(wish);
      return event?.kind === 'refused' ? event.reason : event?.kind;
    };
    assert.equal(await refusal(await floor.request(floor.desk.trader(), 'sell', 20, 50)), 'ownerUnknown');
    const { signature } = await floor.request(bob, 'sell', 20, 50);
    assert.equal(await refusal({ ...request, signature }), 'signatureInvalid');
    const dearer = { ...request.order, buyMin: request.order.buyMin - 1n };
    assert.equal(await refusal({ ...request, order: dearer }), 'signatureInvalid');
    assert.equal(await refusal(request), 'accepted');
  });

  it('relies on no order that its owner takes back on the chain, in any state that it may come to', async () => {
    const { alice, bob } = await seated('operator cancellation');
    const { client } = floor.desk.bench;
    const { nullifierKey } = alice.key.keys;
    const keyOf = ({ order }: NewOrder, k: bigint) => cancelKeyOf(nullifierKey, orderHashOf(order), k);
    const [never, early] = [await floor.request(alice, 'sell', 20, 50), await floor.request(alice, 'sell', 20, 50)];
    await client.send(client.cancelCall([keyOf(never, 0n), keyOf(early, 3n)]));
    await floor.round();
    assert.deepEqual(await floor.operator.submit(never), [{ kind: 'refused', reason: 'orderCancelled' }]);
    assert.equal((await floor.operator.submit(early))[0]?.kind, 'accepted');
    await floor.round();
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 20)), 0, 'after another look at the chain');

    const resting = await floor.request(alice, 'sell', 20, 50);
    assert.equal((await floor.operator.submit(resting))[0]?.kind, 'accepted');
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 20)), 1);
    await client.send(client.cancelCall([keyOf(resting, 5n)]));
    await floor.round();
    assert.equal(await floor.settlements(), 1, 'what has matched is settled');
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 10)), 0, 'and the rest matches no more');
  });

  it('lets no order in that matches more others at once than it has states until one that was taken back', async () => {
    const { alice, bob } = await seated('operator sweep');
    const { client } = floor.desk.bench;
    const makers = 20;
    for (let maker = 0; maker < makers; maker++) await floor.order(alice, 'sell', 20, 1);
    const amended = await floor.request(bob, 'buy', 10, 1);
    await floor.operator.submit(amended);
    const sweep = await floor.request(bob, 'buy', 20, makers);
    const again = await floor.signed(bob.key, limitOf(floor.terms, 'buy', 20, makers));
    const taken = [sweep, again].map(({ order }) =>
      cancelKeyOf(bob.key.keys.nullifierKey, orderHashOf(order), BigInt(makers - 1)),
    );
    await client.send(client.cancelCall(taken));
    await floor.watchOnly();
    const refused = [{ kind: 'refused', reason: 'orderCancelled' }];
    assert.deepEqual(await floor.operator.submit(sweep), refused);
    const { owner } = bob.key.keys;
    assert.deepEqual(await floor.operator.amend(owner, 1, { price: 20, lots: makers, ...again }), refused);
    assert.equal(floor.machine.state.waiting, 0);
    // One fewer, all of which can be settled before that.
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 1)), 1);
    assert.equal(tradesOf(await floor.operator.submit(sweep)), makers - 1);
  });

  it('settles what it can of an order before it comes to a state that was taken back, and signs nothing with that', async () => {
    const { alice } = await seated('operator taken back later');
    const buyers = [floor.desk.trader(), floor.desk.trader(), floor.desk.trader()];
    for (const buyer of buyers) await floor.deposit(buyer, floor.token, 1_000n);
    await floor.insertAll();
    await floor.round();
    const { client, chain } = floor.desk.bench;
    const resting = await floor.request(alice, 'sell', 20, 50);
    await client.send(client.cancelCall([cancelKeyOf(alice.key.keys.nullifierKey, orderHashOf(resting.order), 1n)]));
    // In the middle of the next batch it counts.
    await chain.setTime((await chain.now()) + CANCEL_DELAY_SECONDS - BigInt(BATCH_SECONDS) / 2n);
    await floor.round();
    await floor.operator.submit(resting);
    // Before the order's later states were looked at; a batch has no room for all of them.
    for (const buyer of buyers) assert.equal(tradesOf(await floor.order(buyer, 'buy', 20, 10)), 1);
    const { machine } = floor;
    const execute = machine.execute.bind(machine);
    let signed = 0;
    machine.execute = (command) => {
      if (command.kind === 'sign') signed++;
      return execute(command);
    };
    for (let round = 0; round < 3; round++) {
      await floor.round();
      await floor.insertAll();
    }
    const statuses = buyers.map(({ key }) => machine.state.records.fills(key.keys.owner)[0]?.status);
    assert.deepEqual(statuses, ['settled', 'settled', 'busted']);
    assert.deepEqual([await floor.settlements(), signed, machine.state.waiting], [1, 1, 0]);
  });

  it('signs no batch with an order that is taken back before it ends, whenever that was planned', async () => {
    const { alice, bob } = await seated('operator planned before');
    const { client, chain } = floor.desk.bench;
    const sold = await floor.request(alice, 'sell', 20, 30);
    await floor.operator.submit(sold);
    await floor.order(bob, 'buy', 20, 30);
    await client.send(client.cancelCall([cancelKeyOf(alice.key.keys.nullifierKey, orderHashOf(sold.order), 0n)]));
    await chain.setTime((await chain.now()) + CANCEL_DELAY_SECONDS - 60n);
    const { machine } = floor;
    await machine.execute({ kind: 'plan', validUntil: Number(await chain.now()) + 61, sequence: 1, always: false });
    assert.equal(machine.state.batch?.fills.length, 2);
    assert.equal((await floor.round()).settled?.kind, 'impossible');
    assert.equal(await floor.settlements(), 0);
  });

  it('gives an order no more fills than it may have', async () => {
    const { alice, bob } = await seated('operator fills');
    await floor.order(alice, 'sell', 20, 60);
    for (let fill = 1; fill <= ORDER_FILLS_MAX; fill++) {
      assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 2)), 1, `fill ${fill}`);
      await floor.round();
      await floor.insertAll();
      await floor.round();
    }
    assert.equal(await floor.settlements(), ORDER_FILLS_MAX);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 2)), 0);
  });

  it('plans anew what did not land in its time', async () => {
    const { alice, bob } = await seated('operator late');
    await floor.restart(DOWN);
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    await assert.rejects(floor.round());
    const { batch } = floor.machine.state;
    await floor.restart();
    await floor.desk.bench.chain.setTime(BigInt(batch?.validUntil ?? 0));
    await floor.round();
    assert.ok((floor.machine.state.batch?.validUntil ?? 0) > (batch?.validUntil ?? 0));
    assert.equal(await floor.settlements(), 1);
  });

  it('busts a match whose order its owner has taken back, and settles what was planned with it', async () => {
    const { alice, bob } = await seated('operator taken back');
    const carol = floor.desk.trader();
    await floor.deposit(carol, floor.token, 5_000n);
    await floor.insertAll();
    await floor.restart(DOWN);
    const { client, chain } = floor.desk.bench;
    const first = await floor.request(alice, 'sell', 20, 30);
    await floor.operator.submit(first);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 30)), 1);
    await floor.order(alice, 'sell', 21, 20);
    assert.equal(tradesOf(await floor.order(carol, 'buy', 21, 20)), 1);
    await assert.rejects(floor.round(), /the prover is down/);
    await client.send(client.cancelCall([cancelKeyOf(alice.key.keys.nullifierKey, orderHashOf(first.order), 0n)]));
    await chain.setTime((await chain.now()) + CANCEL_DELAY_SECONDS);
    await floor.restart();
    assert.equal((await floor.round()).settled?.kind, 'sent', 'what cannot be settled is not in it');
    await floor.round();
    const { records } = floor.machine.state;
    const statusOf = ({ key }: Trader) => records.fills(key.keys.owner).map(({ status }) => status);
    assert.deepEqual(
      [statusOf(alice), statusOf(bob), statusOf(carol)],
      [['busted', 'settled'], ['busted'], ['settled']],
    );
    assert.equal(floor.machine.state.available(bob.key.keys.owner, floor.token), 5_000n, 'and Bob can trade again');
  });

  it('finds out an order that was filled before its journal began, and settles the others', async () => {
    const { alice, bob } = await seated('operator filled before');
    const old = await floor.request(alice, 'sell', 20, 30);
    await floor.operator.submit(old);
    await floor.order(bob, 'buy', 20, 30);
    await floor.round();
    await floor.insertAll();
    await floor.loseJournal();
    await floor.round();
    assert.equal((await floor.operator.submit(old))[0]?.kind, 'accepted', 'nothing here knows of it');
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 30)), 1);
    await floor.order(alice, 'sell', 21, 20);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 21, 20)), 1);
    const kinds = [await floor.round(), await floor.round()].map(({ settled }) => settled?.kind);
    assert.deepEqual(kinds, ['impossible', 'sent']);
    assert.equal(await floor.settlements(), 2);
  });

  it('does not let an order whose proof is impossible hold up the others', async () => {
    const { alice, bob } = await seated('operator impossible');
    const { prover } = floor;
    const sold = await floor.request(alice, 'sell', 20, 30);
    await floor.restart({
      prove: (circuit, input) => {
        if (circuit !== 'fill' || input['salt'] !== sold.order.salt) return prover.prove(circuit, input);
        // What the circuit would say of a statement that is false.
        return prover.prove(circuit, { ...input, sellMax: 0n });
      },
    });
    await floor.operator.submit(sold);
    await floor.order(bob, 'buy', 20, 30);
    await floor.order(alice, 'sell', 21, 20);
    await floor.order(bob, 'buy', 21, 20);
    const kinds = [await floor.round(), await floor.round()].map(({ settled }) => settled?.kind);
    assert.deepEqual(kinds, ['impossible', 'sent']);
  });

  it('takes a withdrawal out together with a trade, in fills that look alike', async () => {
    const { alice, bob } = await seated('operator withdrawal');
    const signed = await floor.signed(bob.key, withdrawalLimit(floor.token, 400n, 0n));
    await floor.order(alice, 'sell', 20, 80);
    await floor.order(bob, 'buy', 20, 30);
    const [event] = await floor.operator.withdraw({ clientOrderId: 'out', ...signed });
    assert.deepEqual(event, { kind: 'withdrawing', number: 1 });
    // Bob's one note is in one fill of a batch, so there are two.
    assert.equal((await floor.round()).settled?.kind, 'sent');
    await floor.insertAll();
    assert.equal((await floor.round()).settled?.kind, 'sent');
    await floor.insertAll();
    await floor.round();
    const { state } = floor.machine;
    assert.equal(state.records.withdrawal(bob.key.keys.owner, 1)?.status, 'settled');
    assert.equal(state.available(bob.key.keys.owner, floor.token), 5_000n - 601n - 400n);
    const stolen = await floor.signed(alice.key, withdrawalLimit(NATIVE_ASSET, 10n, 3n));
    const forged = { ...signed, order: { ...stolen.order } };
    assert.deepEqual(await floor.operator.withdraw({ clientOrderId: 'forged', ...forged }), [
      { kind: 'refused', reason: 'signatureInvalid' },
    ]);
  });

  it('settles an amended order as it was signed when it matched', async () => {
    const { alice, bob } = await seated('operator amended');
    await floor.order(alice, 'sell', 20, 50);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 20)), 1);
    const { owner } = alice.key.keys;
    const signed = await floor.signed(alice.key, limitOf(floor.terms, 'sell', 22, 40));
    const refused = await floor.operator.amend(owner, 1, { price: 22, lots: 70, ...signed });
    assert.deepEqual(refused, [{ kind: 'refused', reason: 'orderNotCovered' }], 'signed for 40 that stay open, not 50');
    const [event] = await floor.operator.amend(owner, 1, { price: 22, lots: 60, ...signed });
    assert.equal(event?.kind, 'amended');
    assert.equal(tradesOf(await floor.order(bob, 'buy', 22, 40)), 1);
    for (let round = 0; round < 3 && floor.machine.state.save().matches.length > 0; round++) {
      await floor.round();
      await floor.insertAll();
      await floor.round();
    }
    assert.deepEqual(
      floor.machine.state.records.fills(owner).map(({ price, lots, status }) => [price, lots, status]),
      [
        [20, 20, 'settled'],
        [22, 40, 'settled'],
      ],
    );
  });

  it('settles at fixed times, whether anything waits or not, where it is told to', async () => {
    await seated('operator cadence');
    floor.cadence = { kind: 'interval', seconds: 600 };
    await floor.restart();
    const { chain } = floor.desk.bench;
    const start = 600n * ((await chain.now()) / 600n + 1n);
    await chain.setTime(start);
    assert.equal((await floor.round()).settled?.kind, 'sent');
    await floor.round();
    await chain.setTime(start + 500n);
    assert.equal((await floor.round()).settled, undefined);
    await chain.setTime(start + 600n);
    assert.equal((await floor.round()).settled?.kind, 'sent');
    const settlements = (await floor.desk.bench.events()).filter((event) => event.kind === 'settled');
    assert.deepEqual(
      settlements.map(({ fills }) => fills.length),
      [FILLS, FILLS],
    );
  });

  it('credits no dust, which would cost it more than its owner', async () => {
    floor = await Floor.open('operator dust');
    const { rules } = floor.machine.state;
    await floor.machine.execute({ kind: 'configure', rules: { ...rules, noteMins: [[NATIVE_ASSET, 100n]] } });
    const alice = floor.desk.trader();
    await floor.deposit(alice, NATIVE_ASSET, 99n);
    await floor.deposit(alice, NATIVE_ASSET, 100n);
    await floor.operator.watch();
    assert.deepEqual(
      floor.machine.state.notes().map(({ value }) => value),
      [100n],
    );
  });

  it('credits no lock that binds it for longer than its rules allow, up to the second', async () => {
    floor = await Floor.open('operator long lock');
    const { rules } = floor.machine.state;
    const { note } = await floor.desk.locked(floor.desk.trader(), NATIVE_ASSET, 100n, 2n, floor.eraKey.publicKey);
    const seconds = Number((note.lock?.expiry ?? 0n) - (await floor.desk.bench.chain.now()));
    const creditedWith = async (lockSecondsMax: number) => {
      await floor.machine.execute({ kind: 'configure', rules: { ...rules, lockSecondsMax } });
      await floor.operator.watch();
      return floor.machine.state.notes().map(({ expiry }) => BigInt(expiry));
    };
    assert.deepEqual(await creditedWith(seconds - 1), []);
    assert.deepEqual(await creditedWith(seconds), [note.lock?.expiry]);
  });

  it('takes no chain for true that is far ahead of the clock', async () => {
    floor = await Floor.open('operator clock');
    floor.clockSkewSecondsMax = 900;
    await floor.restart();
    const before = floor.machine.state.time;
    await floor.desk.bench.chain.setTime(BigInt(Math.floor(Date.now() / 1000)) + 86_400n);
    await assert.rejects(floor.round(), { code: 'ENDPOINT_INCONSISTENT' });
    assert.equal(floor.machine.state.time, before);
    await assert.rejects(floor.loseJournal(), { code: 'ENDPOINT_INCONSISTENT', message: /far ahead/ });
    assert.equal(floor.machine.state.begun.time, 0, 'it has not begun');
  });

  it('loses no settlement by cancellations, one after another from one note', async () => {
    const { alice, bob } = await seated('operator poison');
    const carol = floor.desk.trader();
    await floor.deposit(carol, NATIVE_ASSET, 1_000n);
    await floor.insertAll();
    const { chain, client } = floor.desk.bench;
    floor.cadence = { kind: 'interval', seconds: 600 };
    await floor.restart();
    await floor.round();
    await floor.insertAll();
    const keys: bigint[] = [];
    for (let count = 0; count < 12; count++) {
      const wish = await floor.signed(carol.key, withdrawalLimit(NATIVE_ASSET, 4n, 3n));
      await floor.operator.withdraw({ clientOrderId: `withdrawal-${count}`, ...wish });
      if (count >= 4) keys.push(cancelKeyOf(carol.key.keys.nullifierKey, orderHashOf(wish.order), 0n));
    }
    await client.send(client.cancelCall(keys));
    const start = 600n * ((await chain.now()) / 600n + 1n);
    const statusOf = () => floor.machine.state.records.fills(bob.key.keys.owner)[0]?.status;
    for (let interval = 0n; interval < 10n; interval++) {
      await chain.setTime(start + 600n * interval + 5n);
      if (interval === 7n) {
        await floor.order(alice, 'sell', 20, 50);
        assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 50)), 1);
      }
      assert.equal((await floor.round()).settled?.kind, 'sent', `interval ${interval}`);
      await floor.insertAll();
      await floor.round();
      if (interval >= 7n) assert.equal(statusOf(), 'settled');
    }
  });

  it('plans again at once what is left of a batch that cannot be settled', async () => {
    const { alice, bob } = await seated('operator again');
    const old = await floor.request(alice, 'sell', 20, 30);
    await floor.operator.submit(old);
    await floor.order(bob, 'buy', 20, 30);
    await floor.round();
    await floor.insertAll();
    await floor.loseJournal();
    floor.cadence = { kind: 'interval', seconds: 600 };
    await floor.restart();
    const { chain } = floor.desk.bench;
    await chain.setTime(600n * ((await chain.now()) / 600n + 1n));
    // It was filled before the journal began.
    await floor.operator.submit(old);
    await floor.order(bob, 'buy', 20, 30);
    assert.equal((await floor.round()).settled?.kind, 'impossible');
    assert.equal((await floor.round()).settled?.kind, 'sent');
    assert.equal(await floor.settlements(), 2);
  });

  for (const confirmations of [0, 3]) {
    it(`goes back with no endpoint that is behind, after ${confirmations} confirmations`, async () => {
      const { alice, bob } = await seated('operator lag', confirmations);
      const { chain } = floor.desk.bench;
      await floor.deposit(bob, floor.token, 700n);
      await chain.mine(confirmations);
      await floor.watchOnly();
      await floor.order(alice, 'sell', 20, 50);
      assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 20)), 1);
      const height = await chain.provider.getBlockNumber();
      const before = floor.machine.state.hash();
      // As much as takes away the note that came last, and all of them.
      for (const behind of [1, height - confirmations - 2]) {
        floor.host = standingAt(height - behind);
        await assert.rejects(floor.round(), { code: 'ENDPOINT_INCONSISTENT' });
        assert.equal(floor.machine.state.hash(), before);
      }
      floor.host = honest;
      assert.equal((await floor.round()).settled?.kind, 'sent');
    });
  }

  it('goes back with no endpoint that is behind when it starts again', async () => {
    const { alice, bob } = await seated('operator lag at start');
    const { chain } = floor.desk.bench;
    await floor.deposit(bob, floor.token, 700n);
    await floor.watchOnly();
    await floor.order(alice, 'sell', 20, 50);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 20)), 1);
    const height = await chain.provider.getBlockNumber();
    const before = floor.machine.state.hash();
    for (const behind of [1, 5]) {
      floor.host = standingAt(height - behind);
      await assert.rejects(floor.restart(), { code: 'ENDPOINT_INCONSISTENT', message: /before the restart/ });
      assert(floor.operator.isBehind);
      await assert.rejects(floor.round(), { code: 'ENDPOINT_INCONSISTENT' });
      assert.equal(floor.machine.state.hash(), before);
    }
    floor.host = honest;
    assert.equal((await floor.round()).settled?.kind, 'sent');
    assert(!floor.operator.isBehind);

    // One that stays so was rewound.
    await chain.mine(1);
    await floor.watchOnly();
    floor.lagMsMax = 50;
    floor.host = standingAt(height);
    await assert.rejects(floor.restart(), { code: 'ENDPOINT_INCONSISTENT' });
    await sleep(50);
    await floor.watchOnly();
    floor.host = honest;
  });

  it('follows a chain that was rewound and stays so', async () => {
    const { alice } = await seated('operator rewound');
    const { chain } = floor.desk.bench;
    floor.lagMsMax = 50;
    await floor.restart();
    const available = () => floor.machine.state.available(alice.key.keys.owner, NATIVE_ASSET);
    const back = await chain.snapshot();
    await floor.deposit(alice, NATIVE_ASSET, 700n);
    await floor.watchOnly();
    assert.equal(available(), 1_700n);
    await back();
    await assert.rejects(floor.watchOnly(), { code: 'ENDPOINT_INCONSISTENT' });
    assert.equal(available(), 1_700n);
    await sleep(50);
    await floor.watchOnly();
    assert.equal(available(), 1_000n);
  });

  it('knows a note from another that a reorganisation put in its place', async () => {
    const { bob } = await seated('operator place');
    const [carol, dave] = [floor.desk.trader(), floor.desk.trader()];
    const back = await floor.desk.bench.chain.snapshot();
    await floor.deposit(carol, NATIVE_ASSET, 700n);
    await floor.round();
    await back();
    await floor.deposit(dave, NATIVE_ASSET, 500n);
    await floor.insertAll();
    await floor.round();
    const { state } = floor.machine;
    const availableTo = ({ key }: Trader) => state.available(key.keys.owner, NATIVE_ASSET);
    assert.deepEqual([availableTo(carol), availableTo(dave)], [0n, 500n]);
    await floor.order(dave, 'sell', 20, 50);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 50)), 1);
    assert.equal((await floor.round()).settled?.kind, 'sent');
  });

  it('does not count what a reorganisation may take away', async () => {
    const { alice, bob } = await seated('operator reorganisation', 3);
    const { chain } = floor.desk.bench;
    const back = await chain.snapshot();
    await floor.deposit(alice, NATIVE_ASSET, 700n);
    await floor.round();
    assert.equal(floor.machine.state.available(alice.key.keys.owner, NATIVE_ASSET), 1_000n);
    await back();
    await chain.mine();
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    await floor.round();
    assert.equal(await floor.settlements(), 1);
    await back();
    assert.equal(await floor.settlements(), 0, 'it is gone');
    // A chain that was reorganised is as high as before.
    await chain.mine(5);
    // What the double has registered is gone too, so it has to prove again.
    await floor.restart();
    await floor.round();
    assert.equal(await floor.settlements(), 1, 'it is sent again');
    await chain.mine(3);
    await floor.round();
    assert.equal(floor.machine.state.batch, undefined);
  });
});
