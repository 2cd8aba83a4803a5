import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatManifest } from '@bitcloak/chain/manifest';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Session } from '@bitcloak/wallet/session';
import { Wallet } from '@bitcloak/wallet/wallet';
import { WalletKeys } from '@bitcloak/wallet/walletKeys';
import { SeededRandom } from '../support/circuit.ts';
import { honest, limitingRange, type HostileEndpoint } from '../support/hostileEndpoint.ts';
import { DIRECT, seenBy, SyncBench, type Seen } from '../support/syncBench.ts';

const asset = NATIVE_ASSET;
const PHRASE = 'test test test test test test test test test test test junk';

/** Which the child knows. */
const PASSPHRASE = 'passphrase';
const ALICE = new WalletKeys({ mnemonic: PHRASE });
const BOB = new WalletKeys({ mnemonic: `${'abandon '.repeat(11)}about` });
const CHILD = resolve(import.meta.dirname, '../support/syncChild.ts');

async function shows(session: Session, expected: Seen): Promise<void> {
  await session.sync();
  assert.deepEqual(await seenBy(session), expected);
}

describe('a wallet that follows reorganisations', function () {
  this.timeout(60_000);
  let bench: SyncBench;
  /** What watches; `actor` is the same wallet elsewhere, which does something. */
  let endpoint: HostileEndpoint;
  let actor: Session;

  before(async () => {
    bench = await SyncBench.open();
    endpoint = await bench.otherEndpoint();
    actor = await bench.session(await bench.wallet(ALICE));
    await actor.deposit({ asset, amount: 100n });
    await actor.deposit({ asset, amount: 50n });
    await bench.insertAll();
    await bench.chain.mine(70);
  });
  after(() => bench.close());
  beforeEach(() => {
    endpoint.repent();
  });

  const take = async () => (await bench.chain.provider.send('evm_snapshot', [])) as string;
  const revertTo = async (id: string) => {
    assert.equal(await bench.chain.provider.send('evm_revert', [id]), true);
  };
  const watcher = async () => {
    const wallet = await bench.wallet(ALICE);
    return { wallet, session: await bench.session(wallet, { url: endpoint.url }) };
  };

  for (const depth of [1, 5, 50, 64, 70, 100]) {
    it(`${depth} blocks deep`, async () => {
      const { wallet, session } = await watcher();
      await session.sync();
      const before = await take();
      await actor.deposit({ asset, amount: 11n });
      await session.sync();
      if (depth > 1) await bench.chain.mine(depth - 1);
      await shows(session, await bench.truth(ALICE));
      await revertTo(before);
      await actor.deposit({ asset, amount: 12n });
      await bench.chain.mine(depth);

      const expected = await bench.truth(ALICE);
      endpoint.repent();
      await shows(session, expected);
      const [first] = endpoint.logRanges();
      // What was kept is 64 blocks old, so it is of use up to there.
      assert.equal(first?.[0] === bench.manifest.startBlock, depth > 64, `reads from block ${first?.[0]} on`);
      await shows(await bench.session(wallet, { url: endpoint.url }), expected);
      assert.equal(expected.history.at(-1)?.amount, 12n);
    });
  }

  for (const blocks of [3, 64, 130]) {
    it(`by which the chain gets ${blocks} blocks shorter`, async () => {
      const { wallet, session } = await watcher();
      const before = await take();
      const expected = await bench.truth(ALICE);
      await actor.deposit({ asset, amount: 13n });
      await bench.chain.mine(blocks - 1);
      await session.sync();
      await revertTo(before);
      await shows(session, expected);
      await shows(await bench.session(wallet, { url: endpoint.url }), expected);
    });
  }

  it('that take back what it spent, which it can spend again', async () => {
    const { session } = await watcher();
    const before = await take();
    await actor.send({ asset, amount: 30n, to: BOB.address, route: DIRECT });
    await session.sync();
    assert.equal(session.history().at(-1)?.kind, 'sent');
    await revertTo(before);
    await shows(session, await bench.truth(ALICE));
    assert.notEqual(session.history().at(-1)?.kind, 'sent');
    await session.send({ asset, amount: 30n, to: BOB.address, route: DIRECT });
    await shows(session, await bench.truth(ALICE));
  });

  for (const method of ['eth_getLogs', 'eth_call', 'eth_getBlockByNumber']) {
    it(`that come while it reads (${method})`, async () => {
      await bench.chain.mine(10);
      const { session } = await watcher();
      const before = await take();
      await actor.deposit({ asset, amount: 14n });
      await bench.chain.mine(20);
      let calls = 0;
      endpoint.behaviour = async (call, ask) => {
        // Before the answer, and after it: what was read is of one chain and of the other.
        if (call.method !== method || ++calls !== 2) return ask(call);
        endpoint.behaviour = honest;
        const early = await ask(call);
        await revertTo(before);
        await actor.deposit({ asset, amount: 15n });
        await bench.chain.mine(30);
        return early;
      };
      await session.sync();
      assert.ok(calls >= 2);
      // The first sync that ends well is of the one chain that is left.
      assert.deepEqual(await seenBy(session), await bench.truth(ALICE));
      assert.equal(session.history().at(-1)?.amount, 15n);
    });
  }

  it('in any order with everything else', async () => {
    const random = new SeededRandom('reorganisations');
    const draw = (bound: number) => Number(random.below(BigInt(bound)));
    const { wallet, session: first } = await watcher();
    let session = first;
    let snapshots: string[] = [];
    let compared = 0;
    for (let step = 0; step < 80; step++) {
      const choice = draw(10);
      if (choice < 2) await actor.deposit({ asset, amount: BigInt(step + 1) });
      else if (choice < 4) await bench.chain.mine(1 + draw(40));
      else if (choice === 4) snapshots.push(await take());
      else if (choice === 5 && snapshots.length > 0) {
        const at = draw(snapshots.length);
        await revertTo(snapshots[at] ?? '');
        snapshots = snapshots.slice(0, at);
      } else if (choice === 6) {
        session.close();
        session = await bench.session(wallet, { url: endpoint.url });
      } else {
        await session.sync();
        if (choice !== 9) continue;
        assert.deepEqual(await seenBy(session), await bench.truth(ALICE), `step ${step}`);
        compared++;
      }
    }
    assert.ok(compared >= 5);
    await shows(session, await bench.truth(ALICE));
  });
});

describe('a wallet that is killed while it synchronises', function () {
  this.timeout(120_000);
  const KILLS = 4;
  let bench: SyncBench;

  before(async () => {
    bench = await SyncBench.open();
    const actor = await bench.session(await bench.wallet(ALICE));
    for (let round = 0; round < 12; round++) {
      await actor.deposit({ asset, amount: BigInt(round + 1) });
      if (round % 5 === 4) await bench.insertAll();
      await bench.chain.mine(25);
    }
    await actor.send({ asset, amount: 5n, to: BOB.address, route: DIRECT });
  });
  after(() => bench.close());

  it('goes on from where it was, and finds everything', async () => {
    const { hostile } = bench;
    const home = join(bench.directory, 'killed');
    const manifest = join(bench.directory, 'manifest.json');
    writeFileSync(manifest, formatManifest(bench.manifest));
    const wallet = await Wallet.create(home, { mnemonic: PHRASE }, PASSPHRASE);
    const random = new SeededRandom('kills');
    const starts: number[] = [];

    for (let kill = 0; kill < KILLS; kill++) {
      hostile.repent();
      // Slow enough for a part to be kept, which is done every two seconds.
      hostile.behaviour = limitingRange(4);
      hostile.delayMs = 30;
      const child = fork(CHILD, [home, manifest]);
      const ended = new Promise<string | null>((done) => {
        child.once('exit', (_code, signal) => {
          done(signal);
        });
      });
      // In the beginning, in the middle, and when most is read.
      const last = 8 + kill * 24 + Number(random.below(24n));
      let requests = 0;
      hostile.accident = () => {
        if (++requests === last) child.kill('SIGKILL');
        return 'none';
      };
      assert.equal(await ended, 'SIGKILL');
      const read = hostile.logRanges();
      if (read.length > 0) starts.push(read[0]?.[0] ?? 0);
    }
    assert.ok(starts.length >= 3);
    assert.deepEqual(
      starts,
      starts.toSorted((left, right) => left - right),
      'no kill takes away what was kept',
    );

    hostile.repent();
    const session = await wallet.openSession(bench.manifest, bench.prover);
    await shows(session, await bench.truth(ALICE));
    const resumed = hostile.logRanges()[0]?.[0] ?? 0;
    assert.ok(resumed > bench.manifest.startBlock, `reads from block ${resumed} on`);
    session.close();
  });
});
