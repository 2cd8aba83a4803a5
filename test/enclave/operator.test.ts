import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { cancelKeyOf, orderHashOf, type Order } from '@bitcloak/notes/order';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/prover';
import type { Contract } from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { ORDER_FILLS_MAX, type OrderRequest } from '../../enclave/exchange/exchange.ts';
import type { MarketTerms } from '../../enclave/exchange/market.ts';
import { Journal } from '../../enclave/journal/journal.ts';
import { Machine } from '../../enclave/operator/machine.ts';
import { Operator, type Round } from '../../enclave/operator/operator.ts';
import { Settler } from '../../enclave/operator/settler.ts';
import { DoubledProver } from '../support/doubledProver.ts';
import { SettlementBench, type Trader } from '../support/settlement.ts';
import { addressOf } from '../support/relayer.ts';

const SETTLE_SECONDS = 3_600;
const FILLS = 3;

/** An operator on a chain of its own, which can be stopped and started again at any moment. Proofs are doubled. */
class Floor {
  readonly desk: SettlementBench;
  readonly prover: DoubledProver;
  readonly token: bigint;
  readonly eraKey: AgreementKey;
  readonly #directory = mkdtempSync(join(tmpdir(), 'bitcloak-operator-'));
  readonly #journalKey: Uint8Array;
  readonly #confirmations: number;
  machine!: Machine;
  operator!: Operator;

  private constructor(desk: SettlementBench, prover: DoubledProver, token: bigint, confirmations: number) {
    this.desk = desk;
    this.prover = prover;
    this.token = token;
    this.eraKey = new AgreementKey(desk.bench.bytes(32));
    this.#journalKey = desk.bench.bytes(32);
    this.#confirmations = confirmations;
  }

  static async open(seed: string, confirmations = 0): Promise<Floor> {
    const prover = new DoubledProver();
    const desk = await SettlementBench.open(seed, (chain) => prover.deploy(chain));
    const { chain } = desk.bench;
    const token = (await deployContract(chain.signer(), 'DevelopmentToken')) as Contract;
    await (await token.getFunction('mint')(chain.signer().address, 10n ** 12n)).wait();
    await (await token.getFunction('approve')(desk.bench.contract().target, 10n ** 12n)).wait();
    const floor = new Floor(desk, prover, BigInt(await token.getAddress()), confirmations);
    await floor.start();
    await floor.machine.execute({ kind: 'setTime', time: Number(await chain.now()) });
    const limits = {
      ticksMax: 1_000_000,
      lotsMin: 1,
      lotsMax: 1_000_000,
      referenceSecondsMax: 60,
      referenceMoveMax: 100,
    };
    await floor.machine.execute({ kind: 'addMarket', terms: floor.terms, rules: { market: 1, ...limits } });
    return floor;
  }

  get terms(): MarketTerms {
    const fees = { makerFee: 10, takerFee: 20 };
    return { market: 1, base: NATIVE_ASSET, quote: this.token, lotBase: 10n, tickQuote: 1n, ...fees };
  }

  /** @param prover another one than the double, to make it fail. */
  async start(prover: Prover = this.prover): Promise<void> {
    const { bench, operator, operatorId, signer, treasury } = this.desk;
    const journal = await Journal.open({ directory: this.#directory, key: this.#journalKey, atLeast: undefined });
    this.machine = await Machine.open(journal, { operatorId, settleSeconds: SETTLE_SECONDS });
    const settler = new Settler({
      chainId: bench.chainId,
      pool: bench.client,
      operator,
      operatorId,
      signer: signer.signingKey,
      treasury: addressOf(treasury),
      prover,
      fills: FILLS,
    });
    this.operator = new Operator({
      machine: this.machine,
      settler,
      pool: bench.client,
      provider: bench.chain.provider,
      startBlock: 0,
      confirmations: this.#confirmations,
      operator,
      operatorId,
      eraKeys: [this.eraKey],
    });
  }

  /** Everything that was not on the disk is gone. */
  async restart(prover?: Prover): Promise<void> {
    const before = this.machine.state.hash();
    await this.machine.close();
    await this.start(prover);
    assert.equal(this.machine.state.hash(), before, 'the journal gives back the state');
    await this.operator.watch();
  }

  async deposit(trader: Trader, asset: bigint, value: bigint): Promise<void> {
    await this.desk.locked(trader, asset, value, 2n, this.eraKey.publicKey);
  }

  async request({ key }: Trader, side: 'buy' | 'sell', price: number, lots: number): Promise<OrderRequest> {
    const { owner } = key.keys;
    const [base, quote] = [BigInt(lots) * 10n, BigInt(price * lots)];
    const limit =
      side === 'sell'
        ? { sellAsset: NATIVE_ASSET, buyAsset: this.token, sellMax: base, buyMin: (quote * 9_980n) / 10_000n }
        : {
            sellAsset: this.token,
            buyAsset: NATIVE_ASSET,
            sellMax: (quote * 10_020n + 9_999n) / 10_000n,
            buyMin: base,
          };
    const expiry = (await this.desk.bench.chain.now()) + 80_000n;
    const salt = this.desk.bench.element();
    const order: Order = {
      owner,
      operatorId: this.desk.operatorId,
      ...limit,
      expiry,
      payTo: owner,
      relockExpiry: 0n,
      salt,
    };
    const signature = key.sign(orderHashOf(order));
    const terms = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
    return { market: 1, side, price, lots, ...terms, order, signature };
  }

  async order(trader: Trader, side: 'buy' | 'sell', price: number, lots: number) {
    return this.operator.submit(await this.request(trader, side, price, lots));
  }

  round(): Promise<Round> {
    return this.operator.round();
  }

  insertAll(): Promise<void> {
    return this.desk.bench.insertAll(this.prover);
  }

  async settlements(): Promise<number> {
    return (await this.desk.bench.events()).filter(({ kind }) => kind === 'settled').length;
  }

  async close(): Promise<void> {
    await this.machine.close();
    await this.desk.bench.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const tradesOf = (events: readonly { kind: string }[]) => events.filter(({ kind }) => kind === 'traded').length;

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
    const { sent } = await floor.round();
    assert.ok(sent !== undefined);
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
    const { entries } = floor.machine.state.save();
    assert.deepEqual(entries, [], 'both orders are done with');
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
    const { sent } = await floor.round();
    assert.equal(sent, undefined);
    await floor.restart();
    await floor.round();
    assert.equal(await floor.settlements(), 1);
    assert.equal(floor.machine.state.batch, undefined);
  });

  it('takes up again a batch whose proof failed, from its snapshot too', async () => {
    const { alice, bob } = await seated('operator proofs');
    await floor.restart({ prove: () => Promise.reject(new Error('the prover is down')) });
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
    const refusal = async (wish: OrderRequest) => {
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
    const keyOf = ({ order }: OrderRequest, k: bigint) => cancelKeyOf(nullifierKey, orderHashOf(order), k);
    const early = await floor.request(alice, 'sell', 20, 50);
    await client.send(client.cancelCall([keyOf(early, 3n)]));
    await floor.round();
    assert.deepEqual(await floor.operator.submit(early), [{ kind: 'refused', reason: 'orderCancelled' }]);

    const resting = await floor.request(alice, 'sell', 20, 50);
    assert.equal((await floor.operator.submit(resting))[0]?.kind, 'accepted');
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 20)), 1);
    await client.send(client.cancelCall([keyOf(resting, 5n)]));
    await floor.round();
    assert.equal(await floor.settlements(), 1, 'what has matched is settled');
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 10)), 0, 'and the rest matches no more');
  });

  it('gives an order no more fills than the states that it looked at', async () => {
    const { alice, bob } = await seated('operator fills');
    await floor.order(alice, 'sell', 20, 60);
    for (let fill = 1; fill < ORDER_FILLS_MAX; fill++) {
      assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 2)), 1, `fill ${fill}`);
      await floor.round();
      await floor.insertAll();
      await floor.round();
    }
    assert.equal(await floor.settlements(), ORDER_FILLS_MAX - 1);
    assert.equal(tradesOf(await floor.order(bob, 'buy', 20, 2)), 0);
  });

  it('plans anew what did not land in its time', async () => {
    const { alice, bob } = await seated('operator late');
    await floor.restart({ prove: () => Promise.reject(new Error('the prover is down')) });
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

  it('does not count what a reorganisation may take away', async () => {
    const { alice, bob } = await seated('operator reorganisation', 3);
    const { chain } = floor.desk.bench;
    const back = await chain.snapshot();
    await floor.deposit(alice, NATIVE_ASSET, 700n);
    await floor.round();
    assert.equal(floor.machine.state.available(alice.key.keys.owner, NATIVE_ASSET), 1_000n);
    await back();
    await floor.order(alice, 'sell', 20, 50);
    await floor.order(bob, 'buy', 20, 50);
    await floor.round();
    assert.equal(await floor.settlements(), 1);
    await back();
    assert.equal(await floor.settlements(), 0, 'it is gone');
    await floor.round();
    assert.equal(await floor.settlements(), 1, 'it is sent again');
    await chain.mine(3);
    await floor.round();
    assert.equal(floor.machine.state.batch, undefined);
  });
});
