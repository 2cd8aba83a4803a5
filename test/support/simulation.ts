import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@bitcloak/chain/manifest';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { formatAmount } from '@bitcloak/protocol/amounts';
import { LOCK_SECONDS_MAX, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import type { Prover } from '@bitcloak/prover/proof';
import { takenAtItsWord, TradingClient, type OrderWish } from '@bitcloak/trading/client';
import type { MarketTerms } from '@bitcloak/trading/market';
import type { OrderRecord, Report } from '@bitcloak/trading/records';
import { OperatorRefusal } from '@bitcloak/trading/refusals';
import { WalletState } from '@bitcloak/wallet/walletState';
import type { Contract } from 'ethers';
import type { ExchangeCommand, ExchangeEvent } from '../../enclave/exchange/commands.ts';
import { startEnclave, type EnclaveSettings, type RunningEnclave } from '../../enclave/enclave.ts';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { Dice } from './dice.ts';
import { DoubledProver } from './doubledProver.ts';
import { addressOf } from './relayer.ts';
import { SettlementBench, type Trader } from './settlement.ts';

const FILLS = 6;
const COIN = { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 3 };
const TICK_SECONDS = 20;
const VALID_SECONDS = 1_800;

export type SimulationOptions = { readonly seed: string; readonly commands: number; readonly traders: number };

export type SimulationOutcome = {
  readonly commands: number;
  readonly crashes: number;
  readonly accepted: number;
  readonly refused: ReadonlyMap<string, number>;
  readonly trades: number;
  readonly withdrawals: number;
  /** Trades and withdrawals that were matched, and are on the chain. */
  readonly settledMatches: number;
  /** Of everything that the traders were told, but for names and times: the same for the same seed. */
  readonly trace: string;
};

/** What happens to the process, and where. */
type Fate = 'none' | 'crashBefore' | 'crashAfter';

type Seat = Trader & {
  readonly client: TradingClient;
  readonly reports: Report[];
  readonly deposited: Map<bigint, bigint>;
};

/**
 * An operator with its API, its journal and a chain, in the hands of a seed: traders do what traders do, and the process dies at every kind of
 * moment. A death leaves what is on the disk at that moment, and nothing else.
 */
export class Simulation {
  readonly #dice: Dice;
  readonly #desk: SettlementBench;
  readonly #prover: DoubledProver;
  readonly #token: bigint;
  readonly #root = mkdtempSync(join(tmpdir(), 'bitcloak-simulation-'));
  readonly #keys: EnclaveSettings['keys'];
  readonly #encryptionKey: AgreementKey;
  readonly #seats: Seat[] = [];
  readonly #trace: Hash = createHash('sha256');
  readonly #refused = new Map<string, number>();
  #enclave!: RunningEnclave;
  #lives = 0;
  #port = 0;
  #fate: Fate = 'none';
  #restarting: Promise<void> | undefined;
  #isProverDown = false;
  #crashes = 0;
  #accepted = 0;

  private constructor(desk: SettlementBench, prover: DoubledProver, token: bigint, seed: string) {
    this.#desk = desk;
    this.#prover = prover;
    this.#token = token;
    this.#dice = new Dice(seed);
    const secret = () => desk.bench.bytes(32);
    const [encryptionKey, apiKey] = [new AgreementKey(secret()), new HpkeKey(secret())];
    const era = { encryptionKey, apiKey, signer: desk.signer.signingKey };
    this.#encryptionKey = era.encryptionKey;
    this.#keys = { journalKey: desk.bench.bytes(32), era: () => era };
  }

  static async run({ seed, commands, traders }: SimulationOptions): Promise<SimulationOutcome> {
    const prover = new DoubledProver();
    const desk = await SettlementBench.open(seed, (chain) => prover.deploy(chain));
    const { chain } = desk.bench;
    const token = (await deployContract(chain.signer(), 'DevelopmentToken')) as Contract;
    await (await token.getFunction('mint')(chain.signer().address, 10n ** 15n)).wait();
    await (await token.getFunction('approve')(desk.bench.contract().target, 10n ** 15n)).wait();
    const simulation = new Simulation(desk, prover, BigInt(await token.getAddress()), seed);
    try {
      return await simulation.#run(commands, traders);
    } finally {
      await simulation.#close();
    }
  }

  #between(low: number, high: number): number {
    return low + this.#dice.int(high - low + 1);
  }

  get #tokens() {
    return [COIN, { symbol: 'USD', asset: this.#token, decimals: 2 }];
  }

  get #terms(): MarketTerms {
    const fees = { makerFee: 5, takerFee: 15 };
    return { market: 1, pair: 'ETH-USD', base: NATIVE_ASSET, quote: this.#token, lotBase: 10n, tickQuote: 1n, ...fees };
  }

  async #run(commands: number, traders: number): Promise<SimulationOutcome> {
    await this.#start(join(this.#root, '0'));
    for (let seat = 0; seat < traders; seat++) await this.#seat();
    await this.#insertAll();
    for (let command = 0; command < commands; command++) {
      await this.#step();
      if (command % 100 === 99) await this.#check();
    }
    await this.#end();
    return this.#outcome(commands);
  }

  async #start(directory: string): Promise<void> {
    const { bench, operator, treasury } = this.#desk;
    const manifest: Manifest = {
      name: 'simulation',
      endpoint: '',
      chainId: bench.chainId,
      genesisHash: '',
      pool: bench.address,
      registry: bench.registry,
      startBlock: 0,
      tokens: [],
      relayer: undefined,
    };
    const prover: Prover = {
      prove: (circuit, input) =>
        this.#isProverDown ? Promise.reject(new Error('the prover is down')) : this.#prover.prove(circuit, input),
    };
    const limits = {
      ticksMax: 1_000_000,
      lotsMin: 1,
      lotsMax: 1_000_000,
      referenceSecondsMax: 300,
      referenceMoveMax: 200,
    };
    this.#enclave = await startEnclave({
      chain: { manifest, provider: bench.chain.provider, signer: bench.chain.signer(7) },
      operator,
      keys: this.#keys,
      directory,
      markets: [{ terms: this.#terms, rules: limits }],
      rules: {
        // The seed may let matches wait for long; none of them may end for that reason.
        settleSeconds: 12 * 3_600,
        roundSeconds: 900,
        fills: FILLS,
        orderSecondsMax: 30 * 86_400,
        lockSecondsMax: Number(LOCK_SECONDS_MAX),
        withdrawalFees: [[this.#token, 2n]],
        noteMins: [],
        ordersMax: 32,
      },
      // The seed says when it settles, and when it looks at the chain.
      cadence: { kind: 'count', matches: Infinity, secondsMax: Infinity },
      pollMs: 2 ** 30,
      confirmations: 0,
      clockSkewSecondsMax: undefined,
      prover,
      treasury: addressOf(treasury),
      api: {
        host: '127.0.0.1',
        port: this.#port,
        limits: {
          addressPerMinute: 10_000_000,
          connectionsPerAddress: 10_000,
          openingsPerMinute: 1_000_000,
          owner: { perSecond: 100_000, burst: 100_000 },
        },
      },
      snapshotCommands: 400,
      report: () => undefined,
    });
    this.#port = Number(new URL(this.#enclave.url).port);
    this.#lives++;
    this.#temptFate();
  }

  /** Puts fate between the API and the journal. */
  #temptFate(): void {
    const { machine } = this.#enclave;
    const directory = join(this.#root, String(this.#lives - 1));
    const execute = machine.execute.bind(machine);
    machine.execute = async (command: ExchangeCommand): Promise<ExchangeEvent[]> => {
      if (this.#fate === 'none' || this.#restarting !== undefined) return execute(command);
      const fate = this.#fate;
      this.#fate = 'none';
      if (fate === 'crashAfter') await execute(command);
      this.#die(directory);
      throw new Error('the process died');
    };
  }

  /** What is on the disk now is what the next life has. */
  #die(directory: string): void {
    const state = this.#enclave.machine.state.hash();
    const next = join(this.#root, String(this.#lives));
    cpSync(directory, next, { recursive: true, filter: (file) => !file.endsWith('lock') });
    this.#crashes++;
    this.#restarting = this.#restart(next, state);
  }

  async #restart(directory: string, state: string): Promise<void> {
    await this.#enclave.close();
    rmSync(join(this.#root, String(this.#lives - 1)), { recursive: true, force: true });
    await this.#start(directory);
    // The first look at the chain comes with the start, and may have brought something.
    if (!this.#isAhead) assert.equal(this.#enclave.machine.state.hash(), state, 'the journal gives back the state');
    this.#restarting = undefined;
  }

  /** Whether the chain has something that the state before the last death had not seen. */
  #isAhead = false;

  async #crash(): Promise<void> {
    this.#die(join(this.#root, String(this.#lives - 1)));
    await this.#restarting;
  }

  async #seat(): Promise<void> {
    const trader = this.#desk.trader();
    const seat: Seat = { ...trader, client: undefined as unknown as TradingClient, reports: [], deposited: new Map() };
    await this.#deposit(seat, NATIVE_ASSET);
    await this.#deposit(seat, this.#token);
    const client = await TradingClient.connect({
      url: this.#enclave.url,
      key: trader.key,
      expected: { operatorId: this.#desk.operatorId },
      check: takenAtItsWord,
      tokens: this.#tokens,
      proceeds: { relockUntil: BigInt(this.#enclave.machine.state.time + 20 * 86_400) },
      clock: () => this.#enclave.machine.state.time,
      pauseMs: 25,
      attempts: 10,
    });
    this.#seats.push({ ...seat, client });
  }

  async #deposit(seat: Seat, asset: bigint): Promise<void> {
    const value =
      asset === NATIVE_ASSET
        ? 1_000n * BigInt(this.#between(200, 2_000))
        : 100n * BigInt(this.#between(10_000, 90_000));
    await this.#desk.locked(seat, asset, value, 25n, this.#encryptionKey.publicKey);
    seat.deposited.set(asset, (seat.deposited.get(asset) ?? 0n) + value);
    await this.#enclave.operator.watch();
  }

  async #step(): Promise<void> {
    const seat = this.#dice.pick(this.#seats);
    const roll = this.#dice.int(1_000);
    if (this.#dice.chance(5, 1_000)) this.#fate = this.#dice.chance(1, 2) ? 'crashBefore' : 'crashAfter';
    if (roll < 600) await this.#try('place', () => this.#place(seat));
    else if (roll < 760) await this.#try('cancel', () => this.#withOrder(seat, ({ id }) => seat.client.cancel(id)));
    else if (roll < 930) await this.#try('amend', () => this.#withOrder(seat, (order) => this.#amend(seat, order)));
    else if (roll < 940) await this.#try('cancelAll', () => seat.client.cancelAll());
    else if (roll < 960) await this.#try('withdraw', () => this.#withdraw(seat));
    else if (roll < 985) await this.#setReference();
    else if (roll < 987) await this.#deposit(seat, this.#dice.pick([NATIVE_ASSET, this.#token]));
    else if (roll < 992) await this.#settle();
    else if (roll < 996) await this.#tick();
    else await this.#crash();
    // It did not come to a command.
    this.#fate = 'none';
    await this.#restarting;
  }

  /** A refusal is an answer; anything else is a fault. */
  async #try(what: string, work: () => Promise<unknown>): Promise<void> {
    let answer: string;
    try {
      const done = (await work()) as { order?: OrderRecord; status?: string } | number | undefined;
      answer = typeof done === 'object' ? (done.order?.status ?? done.status ?? '') : String(done);
      if (what === 'place') this.#accepted++;
    } catch (error) {
      if (!(error instanceof OperatorRefusal)) throw error;
      answer = error.reason ?? error.code;
      this.#refused.set(answer, (this.#refused.get(answer) ?? 0) + 1);
    }
    this.#trace.update(`${what} ${answer}\n`);
  }

  async #place(seat: Seat): Promise<unknown> {
    const dice = this.#dice;
    const side = dice.pick(['buy', 'sell'] as const);
    const quantity = this.#between(1, 60);
    const lots = (count: number) => formatAmount(BigInt(count) * this.#terms.lotBase, COIN);
    // A tick is one USD for a whole coin.
    const price = 1_000 + (side === 'buy' ? 1 : -1) * (dice.int(60) - 56);
    const wish: OrderWish = {
      pair: 'ETH-USD',
      side,
      price: String(price),
      quantity: lots(quantity),
      selfTrade: dice.pick(['cancelNewest', 'cancelOldest', 'cancelBoth', 'decrement']),
    };
    const part = () => lots(this.#between(1, quantity));
    const kinds: Readonly<Record<string, () => Partial<OrderWish>>> = {
      limit: () => ({}),
      postOnly: () => ({ postOnly: true }),
      market: () => ({ type: 'market', timeInForce: 'ioc' }),
      ioc: () => ({ timeInForce: 'ioc' }),
      fok: () => ({ timeInForce: 'fok' }),
      dated: () => ({ timeInForce: 'gtd', expireAfter: TICK_SECONDS * this.#between(1, 50) + 7 }),
      iceberg: () => ({ display: part() }),
      total: () => ({ timeInForce: 'ioc', minimumTotal: part() }),
      match: () => ({ minimumMatch: part() }),
      pegged: () => ({ type: 'pegged' }),
    };
    const kind = dice.chance(6, 10) ? 'limit' : dice.pick(Object.keys(kinds));
    return seat.client.place({ ...wish, ...kinds[kind]?.() });
  }

  async #withOrder(seat: Seat, work: (order: OrderRecord) => Promise<unknown>): Promise<unknown> {
    const open = this.#enclave.machine.state.records
      .orders(seat.key.keys.owner)
      .filter(({ status }) => status === 'open');
    const order = this.#dice.pickIfAny(open);
    return order === undefined ? undefined : work(order);
  }

  #amend({ client }: Seat, order: OrderRecord): Promise<unknown> {
    const lots = Math.max(order.filled + 1, order.lots + this.#dice.int(30) - 20);
    const price = this.#dice.chance(1, 2) ? order.price : order.price + this.#dice.int(9) - 4;
    return client.amend(order, {
      price: String(price),
      quantity: formatAmount(BigInt(lots) * this.#terms.lotBase, COIN),
    });
  }

  #withdraw({ client }: Seat): Promise<unknown> {
    const token = this.#dice.pick(this.#tokens);
    return client.withdraw({
      asset: token.symbol,
      amount: formatAmount(BigInt(this.#between(500, 5_000)), token),
      feeMax: '1',
    });
  }

  async #setReference(): Promise<void> {
    const { machine } = this.#enclave;
    const { time } = machine.state;
    // Now and then one that is too far from the last, which pegged orders must not trade at.
    const ticks = this.#dice.chance(1, 10) ? 1_400 : 995 + this.#dice.int(10);
    try {
      await machine.execute({ kind: 'setReference', market: 1, ticks, time });
    } catch {
      // Fate struck: the feed tells the next life the next price.
      await this.#restarting;
    }
  }

  async #tick(): Promise<void> {
    await this.#desk.bench.chain.increaseTime(BigInt(TICK_SECONDS * this.#between(1, 10)));
    await this.#watch();
  }

  /** Fate can strike here too: then the next life sees what the last one has not. */
  async #watch(): Promise<void> {
    this.#isAhead = true;
    await this.#enclave.operator.watch().catch(() => undefined);
    await this.#restarting;
    await this.#enclave.operator.watch();
    this.#isAhead = false;
  }

  /** Plans a batch, proves it, sends it and has it inserted, with a death between any two of them. */
  async #settle(): Promise<void> {
    const dies = () => this.#dice.chance(1, 4);
    this.#fate = 'none';
    const { client } = this.#desk.bench;
    if (this.#enclave.machine.state.batch === undefined) {
      const sequence = Number(await client.lastSequence(this.#desk.operator)) + 1;
      const validUntil = this.#enclave.machine.state.time + VALID_SECONDS;
      await this.#enclave.machine.execute({ kind: 'plan', validUntil, sequence, always: false });
    }
    // A life that begins with a batch settles it by itself.
    const { batch } = this.#enclave.machine.state;
    if (batch !== undefined) {
      if (dies()) {
        this.#isProverDown = true;
        await assert.rejects(this.#enclave.operator.settle(), /the prover is down/);
        await this.#crash();
        this.#isProverDown = false;
      }
      await this.#enclave.operator.settle();
      this.#isAhead = true;
      if (dies()) await this.#crash();
    }
    await this.#insertAll();
    await this.#watch();
  }

  async #insertAll(): Promise<void> {
    await this.#desk.bench.insertAll(this.#prover);
    await this.#watch();
  }

  /** What must hold at any time. */
  async #check(): Promise<void> {
    const { state } = this.#enclave.machine;
    for (const { key, client, reports } of this.#seats) {
      const { owner } = key.keys;
      for (const { total, held, available, asset } of await client.balances()) {
        assert.ok(available >= 0n && available + held <= total, `an owner has no more of ${asset} than his notes`);
      }
      // Every report there ever was, once and in order.
      const more = state.records.reportsAfter(owner, reports.length);
      assert.ok(more !== undefined);
      for (const report of more) {
        reports.push(report);
        assert.equal(report.sequence, reports.length);
        this.#trace.update(`${report.kind} ${'fill' in report ? `${report.fill.price} ${report.fill.lots}` : ''}\n`);
      }
    }
  }

  /** Everybody leaves: what everybody has then, by the chain alone, is what was brought. */
  async #end(): Promise<void> {
    for (const { client } of this.#seats) await client.cancelAll();
    for (let round = 0; this.#enclave.machine.state.save().matches.length > 0; round++) {
      assert.ok(round < 400, 'all that has matched is settled in the end');
      await this.#settle();
    }
    await this.#enclave.operator.watch();
    await this.#check();
    const events = await this.#desk.bench.events();
    const settlements = events.filter((event) => event.kind === 'settled');
    assert.ok(
      settlements.every(({ fills }) => fills.length === FILLS),
      'every settlement has the same shape',
    );
    const worth = new Map<bigint, bigint>();
    for (const keyring of [...this.#seats.map((seat) => seat.keyring), this.#desk.treasury]) {
      const wallet = new WalletState(keyring.viewing);
      for (const event of events) wallet.apply(event);
      for (const { note, spent } of wallet.notes()) {
        if (!spent) worth.set(note.asset, (worth.get(note.asset) ?? 0n) + note.value);
      }
    }
    for (const { asset } of this.#tokens) {
      const brought = this.#seats.reduce((sum, { deposited }) => sum + (deposited.get(asset) ?? 0n), 0n);
      assert.equal(worth.get(asset) ?? 0n, brought, 'nothing was made and nothing was lost');
    }
    for (const { key, reports } of this.#seats) {
      const busted = reports.filter(({ kind }) => kind === 'busted' || kind === 'withdrawalBusted');
      assert.deepEqual(busted, [], 'every match was settled');
      const { records } = this.#enclave.machine.state;
      assert.ok(records.fills(key.keys.owner).every(({ status }) => status === 'settled'));
    }
  }

  #outcome(commands: number): SimulationOutcome {
    const trades = this.#seats.flatMap(({ reports }) => reports.filter(({ kind }) => kind === 'traded')).length / 2;
    const withdrawals = this.#seats.flatMap(({ reports }) =>
      reports.filter(({ kind }) => kind === 'withdrawing'),
    ).length;
    return {
      commands,
      crashes: this.#crashes,
      accepted: this.#accepted,
      refused: this.#refused,
      trades,
      withdrawals,
      settledMatches: this.#settledMatches(),
      trace: this.#trace.digest('hex'),
    };
  }

  /** By what the owners were told; a trade has two of them. */
  #settledMatches(): number {
    const { records } = this.#enclave.machine.state;
    let [fills, withdrawals] = [0, 0];
    for (const { key, reports } of this.#seats) {
      for (const report of reports) {
        if (report.kind !== 'settled') continue;
        fills += report.fills.length;
        withdrawals += report.withdrawals.length;
      }
      assert.ok(records.withdrawals(key.keys.owner).every(({ status }) => status === 'settled'));
    }
    return fills / 2 + withdrawals;
  }

  async #close(): Promise<void> {
    await this.#restarting;
    await this.#enclave.close();
    await this.#desk.bench.close();
    rmSync(this.#root, { recursive: true, force: true });
  }
}
