import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { LOCK_SECONDS_MAX, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/proof';
import { PoolClient } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import type { Contract } from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { limitOf, type Limit, type MarketTerms } from '@bitcloak/trading/market';
import { signOrder, type NewOrder, type SignedOrder } from '@bitcloak/trading/orders';
import { Journal } from '../../enclave/journal/journal.ts';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { Machine } from '../../enclave/operator/machine.ts';
import type { Cadence } from '../../enclave/operator/cadence.ts';
import { Operator, type Round } from '../../enclave/operator/operator.ts';
import { beginning } from '../../enclave/operator/rollback.ts';
import { Settler } from '../../enclave/operator/settler.ts';
import { DoubledProver } from './doubledProver.ts';
import { honest, hostedAccount, type Behaviour } from './hostileEndpoint.ts';
import { SettlementBench, type Trader } from './settlement.ts';
import { addressOf } from './relayer.ts';

export const SETTLE_SECONDS = 3_600;
export const FILLS = 3;

/** An operator on a chain of its own, which can be stopped and started again at any moment. Proofs are doubled. */
export class Floor {
  readonly desk: SettlementBench;
  readonly prover: DoubledProver;
  readonly token: bigint;
  readonly eraKey: AgreementKey;
  readonly #directory = mkdtempSync(join(tmpdir(), 'bitcloak-operator-'));
  readonly #journalKey: Uint8Array;
  readonly #confirmations: number;
  #orders = 0;
  clockSkewSecondsMax: number | undefined;
  lagMsMax = 300_000;
  /** What the operator's host makes of its calls to the chain. */
  host: Behaviour = honest;
  cadence: Cadence = { kind: 'count', matches: 1, secondsMax: 60 };
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
    await (await token.getFunction('mint')(chain.signer().address, 10n ** 15n)).wait();
    await (await token.getFunction('approve')(desk.bench.contract().target, 10n ** 15n)).wait();
    const floor = new Floor(desk, prover, BigInt(await token.getAddress()), confirmations);
    await floor.start();
    await floor.#configure();
    return floor;
  }

  get terms(): MarketTerms {
    const fees = { makerFee: 10, takerFee: 20 };
    return { market: 1, pair: 'ETH-TEST', base: NATIVE_ASSET, quote: this.token, lotBase: 10n, tickQuote: 1n, ...fees };
  }

  /** @param prover another one than the double, to make it fail. */
  async start(prover: Prover = this.prover): Promise<void> {
    const { bench, operator, operatorId, signer, treasury } = this.desk;
    const journal = await Journal.open({
      directory: join(this.#directory, 'journal'),
      key: this.#journalKey,
    });
    this.machine = await Machine.open(journal, operatorId);
    const account = await hostedAccount(bench.chain, (call, ask) => this.host(call, ask));
    const pool = new PoolClient(bench.client.address, account);
    const settler = new Settler({
      chainId: bench.chainId,
      pool,
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
      pool,
      provider: account.provider,
      startBlock: 0,
      confirmations: this.#confirmations,
      lagMsMax: this.lagMsMax,
      operator,
      operatorId,
      eraKeys: () => [this.eraKey],
      cadence: this.cadence,
      activeUntil: () => new RegistryClient(bench.registry, account).activeUntil(operator, BigInt(signer.address)),
      clockSkewSecondsMax: this.clockSkewSecondsMax,
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

  /** A new journal, as if there had never been another. */
  async loseJournal(): Promise<void> {
    await this.machine.close();
    rmSync(join(this.#directory, 'journal'), { recursive: true });
    await this.start();
    const { bench, operator } = this.desk;
    const { clockSkewSecondsMax } = this;
    const source = { pool: bench.client, provider: bench.chain.provider, startBlock: 0, operator, clockSkewSecondsMax };
    await this.machine.execute(await beginning(source));
    await this.#configure();
  }

  /** What the disk has now; `restoreDisk` puts it back, as a host can. */
  copyDisk(): void {
    const filter = (source: string) => basename(source) !== 'lock';
    cpSync(join(this.#directory, 'journal'), join(this.#directory, 'copy'), { recursive: true, filter });
  }

  async restoreDisk(): Promise<void> {
    await this.machine.close();
    rmSync(join(this.#directory, 'journal'), { recursive: true });
    cpSync(join(this.#directory, 'copy'), join(this.#directory, 'journal'), { recursive: true });
    await this.start();
  }

  async #configure(): Promise<void> {
    await this.machine.execute({ kind: 'setTime', time: Number(await this.desk.bench.chain.now()) });
    await this.machine.execute({
      kind: 'configure',
      rules: {
        settleSeconds: SETTLE_SECONDS,
        roundSeconds: 1,
        fills: FILLS,
        orderSecondsMax: 30 * 86_400,
        lockSecondsMax: Number(LOCK_SECONDS_MAX),
        withdrawalFees: [[NATIVE_ASSET, 3n]],
        noteMins: [],
        ordersMax: SETTLE_SECONDS - BATCH_SECONDS,
      },
    });
    const limits = {
      ticksMax: 1_000_000,
      lotsMin: 1,
      lotsMax: 1_000_000,
      referenceSecondsMax: 60,
      referenceMoveMax: 100,
    };
    await this.machine.execute({ kind: 'addMarket', terms: this.terms, rules: { market: 1, ...limits } });
  }

  async deposit(trader: Trader, asset: bigint, value: bigint): Promise<void> {
    await this.desk.locked(trader, asset, value, 2n, this.eraKey.publicKey);
  }

  /** The least that an owner can sign for. */
  async request({ key }: Trader, side: 'buy' | 'sell', price: number, lots: number): Promise<NewOrder> {
    const signed = await this.signed(key, limitOf(this.terms, side, price, lots));
    const terms = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
    return { clientOrderId: `order-${++this.#orders}`, market: 1, side, price, lots, ...terms, ...signed };
  }

  async signed(key: Trader['key'], limit: Limit): Promise<SignedOrder> {
    const expiry = (await this.desk.bench.chain.now()) + 80_000n;
    const { operatorId } = this.desk;
    return signOrder(key, limit, { operatorId, expiry, payTo: key.keys.owner, relockExpiry: 0n });
  }

  async order(trader: Trader, side: 'buy' | 'sell', price: number, lots: number) {
    return this.operator.submit(await this.request(trader, side, price, lots));
  }

  /** Lets the operator see the chain, and not settle. */
  async watchOnly(): Promise<void> {
    await this.operator.watch();
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

/** Trades among events. */
export const tradesOf = (events: readonly { kind: string }[]) => events.filter(({ kind }) => kind === 'traded').length;
