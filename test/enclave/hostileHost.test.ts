import assert from 'node:assert/strict';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { id, toBeHex } from 'ethers';
import { FILLS, Floor, tradesOf } from '../support/floor.ts';
import { changingLogs, honest, standingAt, type Behaviour } from '../support/hostileEndpoint.ts';
import type { Trader } from '../support/settlement.ts';

// Whoever runs the machine of an enclave shows it the chain. Lies about it may stop the trading; nothing is lost by them.
describe('an operator whose host lies about the chain', function () {
  this.timeout(180_000);
  let floor: Floor;
  afterEach(() => floor.close());

  async function seated(seed: string): Promise<{ alice: Trader; bob: Trader }> {
    floor = await Floor.open(seed);
    const [alice, bob] = [floor.desk.trader(), floor.desk.trader()];
    await floor.deposit(alice, NATIVE_ASSET, 1_000n);
    await floor.deposit(bob, floor.token, 5_000n);
    await floor.insertAll();
    await floor.round();
    return { alice, bob };
  }

  /** Everything that waits gets settled, once the host is honest. */
  async function settlesAll(settlements: number): Promise<void> {
    floor.host = honest;
    for (let round = 0; round < 4; round++) {
      await floor.round();
      await floor.insertAll();
    }
    await floor.round();
    assert.equal(await floor.settlements(), settlements);
    assert.equal(floor.machine.state.waiting, 0);
  }

  const lies: Readonly<Record<string, Behaviour>> = {
    'leaves out a deposit': changingLogs((logs) => logs.slice(0, -1)),
    'tells of a deposit twice': changingLogs((logs) => [...logs, ...logs.slice(-1)]),
    'changes a commitment': changingLogs((logs) =>
      logs.map((log) => ({ ...log, data: log.data.replace(/(?<=^0x.{63})./, (digit) => (digit === '0' ? '1' : '0')) })),
    ),
    'answers nothing': () => Promise.reject(new Error('gone')),
  };
  for (const [title, lie] of Object.entries(lies)) {
    it(`and ${title}: it is found out, the books stay as they are, and trading goes on`, async () => {
      const { alice, bob } = await seated(`host ${title}`);
      await floor.order(alice, 'sell', 20, 50);
      await floor.deposit(bob, floor.token, 700n);
      await floor.deposit(alice, NATIVE_ASSET, 70n);
      const before = floor.machine.state.hash();
      floor.host = lie;
      await assert.rejects(floor.round(), { name: 'BitcloakError' });
      assert.equal(floor.machine.state.hash(), before);
      assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 50)), 1);
      await settlesAll(1);
    });
  }

  it('and shows a fork on which somebody has more: nothing of it is settled, and nobody honest is bound by it', async () => {
    const { bob } = await seated('host fork');
    const { chain } = floor.desk.bench;
    const carol = floor.desk.trader();
    const back = await chain.snapshot();
    await floor.deposit(carol, NATIVE_ASSET, 1_000n);
    await floor.insertAll();
    await floor.round();
    await floor.order(carol, 'sell', 20, 50);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 50)), 1, 'with what was never there');
    const height = await chain.provider.getBlockNumber();
    await back();
    // The true chain comes as far.
    await chain.mine(height - (await chain.provider.getBlockNumber()));
    for (let round = 0; round < 3; round++) await floor.round();
    const { state } = floor.machine;
    assert.equal(await floor.settlements(), 0);
    assert.ok(state.available(carol.key.keys.owner, NATIVE_ASSET) <= 0n, 'she can offer nothing more');
    const time = (await chain.now()) + 100_000n;
    await chain.setTime(time);
    await floor.machine.execute({ kind: 'setTime', time: Number(time) });
    await floor.machine.execute({ kind: 'plan', validUntil: Number(time) + 60, sequence: 1, always: false });
    assert.equal(state.records.fills(bob.key.keys.owner)[0]?.status, 'busted');
    assert.equal(await floor.desk.bench.client.lastSequence(1), 0n);
  });

  it('and keeps a signed settlement, says that its notes are spent, and lets it land later: nobody is told that it came to nothing', async () => {
    const { alice, bob } = await seated('host held');
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    let held: unknown[] = [];
    floor.host = (call, ask) => {
      if (call.method !== 'eth_sendTransaction') return ask(call);
      held = [...call.params];
      return Promise.reject(new Error('lost'));
    };
    await assert.rejects(floor.round(), { code: 'ENDPOINT_UNREACHABLE' });
    const spent = id('isSpent(uint256)').slice(0, 10);
    floor.host = (call, ask) => {
      const isAsked = call.method === 'eth_call' && JSON.stringify(call.params).includes(spent);
      return isAsked ? Promise.resolve(toBeHex(1, 32)) : ask(call);
    };
    const statuses = () =>
      [alice, bob].flatMap(({ key }) => floor.machine.state.records.fills(key.keys.owner).map(({ status }) => status));
    for (let time = 0; time < 2; time++) {
      assert.equal((await floor.round()).settled?.kind, 'waiting');
      assert.deepEqual(statuses(), ['waiting', 'waiting']);
      // A restart knows that it was signed.
      await floor.restart();
    }
    floor.host = honest;
    await floor.desk.bench.chain.provider.send('eth_sendTransaction', held);
    await floor.round();
    assert.equal(await floor.settlements(), 1);
    assert.deepEqual(statuses(), ['settled', 'settled']);
  });

  it('and stands still: what has landed meanwhile is not settled twice', async () => {
    const { alice, bob } = await seated('host still');
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    const height = await floor.desk.bench.chain.provider.getBlockNumber();
    assert.equal((await floor.round()).settled?.kind, 'sent');
    floor.host = standingAt(height);
    // It sees nothing of its own settlement, so it sends it again, and the pool does not take it.
    await assert.rejects(floor.round(), { code: 'TRANSACTION_FAILED' });
    assert.equal(await floor.settlements(), 1);
    await settlesAll(1);
  });

  it('and puts an older disk in place behind an older chain: it is found out when it sees the chain as it is', async () => {
    const { alice, bob } = await seated('host older');
    await floor.order(alice, 'sell', 20, 50);
    const height = await floor.desk.bench.chain.provider.getBlockNumber();
    floor.copyDisk();
    await floor.machine.execute({ kind: 'cancel', owner: alice.key.keys.owner, order: 1 });
    await floor.order(alice, 'sell', 30, 50);
    await floor.order(bob, 'buy', 30, 50);
    assert.equal((await floor.round()).settled?.kind, 'sent');
    floor.host = standingAt(height);
    await floor.restoreDisk();
    await floor.watchOnly();
    const { state } = floor.machine;
    assert.equal(state.records.order(alice.key.keys.owner, 1)?.status, 'open', 'what was cancelled is there again');
    floor.host = honest;
    const before = state.hash();
    await assert.rejects(floor.watchOnly(), { code: 'JOURNAL_ROLLED_BACK' });
    assert.equal(state.hash(), before, 'nothing is matched on');
  });

  it('and tells a journal that begins of settlements that never were: nothing is settled, so it can hide no older disk behind them', async () => {
    const { alice, bob } = await seated('host begins');
    await floor.machine.execute({ kind: 'begin', sequence: 1, time: floor.machine.state.time });
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    await assert.rejects(floor.round(), { code: 'ENDPOINT_INCONSISTENT', message: /began after settlement 1/ });
    assert.equal(floor.machine.state.batch, undefined);
    await floor.machine.execute({ kind: 'begin', sequence: 0, time: floor.machine.state.time });
    await settlesAll(1);
  });

  it('and loses its transactions: they are sent again', async () => {
    const { alice, bob } = await seated('host loses');
    let fills = 0;
    await floor.restart({
      prove: (circuit, input) => {
        if (circuit === 'fill') fills++;
        return floor.prover.prove(circuit, input);
      },
    });
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    let lost = 0;
    floor.host = (call, ask) => {
      if (call.method !== 'eth_sendTransaction') return ask(call);
      lost++;
      return Promise.reject(new Error('lost'));
    };
    await assert.rejects(floor.round(), { code: 'ENDPOINT_UNREACHABLE' });
    await assert.rejects(floor.round(), { code: 'ENDPOINT_UNREACHABLE' });
    assert.ok(lost >= 2);
    await settlesAll(1);
    assert.equal(fills, FILLS, 'and proven once');
  });
});
