import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Manifest } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { BASIS_POINTS } from '@bitcloak/protocol/orders';
import { hashFaster } from '@bitcloak/prover/fastPoseidon';
import type { Prover } from '@bitcloak/prover/proof';
import { SETTLE_SECONDS_MAX } from '@bitcloak/trading/client';
import type { MarketTerms } from '@bitcloak/trading/market';
import { PAIR_PATTERN } from '@bitcloak/trading/wire';
import type { Provider, Signer } from 'ethers';
import type { FastifyInstance } from 'fastify';
import { buildApi } from './api/app.ts';
import type { ApiReport } from './api/errors.ts';
import type { ApiLimits } from './api/limits.ts';
import type { MarketRules } from './engine/market.ts';
import type { ExchangeCommand, ExchangeRules } from './exchange/commands.ts';
import { Journal } from './journal/journal.ts';
import { listen } from './listen.ts';
import type { Cadence } from './operator/cadence.ts';
import { Machine } from './operator/machine.ts';
import { failureOf, isFatal, Operator, SETTLE_SECONDS_MIN, type OperatorReport } from './operator/operator.ts';
import { beginning, refuseRollback } from './operator/rollback.ts';
import { RECEIPT_MS_MAX, Settler } from './operator/settler.ts';
import { ReferenceFeed, type ReferenceSource } from './references.ts';
import { Attempts } from './registration/attempts.ts';
import { Registrar, type AttestationSettings } from './registration/registrar.ts';
import type { KeyProvider } from './tee/keys.ts';
import { RENEWAL_MS, waitForEra, type EraReport } from './waiting.ts';
import { ReadableEras } from './wallet/readableEras.ts';

/** A market to be traded. What is set of a number once stays: other terms are another market. */
export type MarketSettings = {
  readonly terms: MarketTerms;
  readonly rules: Omit<MarketRules, 'market'>;
  /** Without one pegged orders do not execute. */
  readonly reference?: ReferenceSource;
};

export type EnclaveSettings = {
  readonly chain: {
    /** Its endpoint is not used: `provider` is. */
    readonly manifest: Manifest;
    readonly provider: Provider;
    /** Pays the gas of settlements, connected to a provider; it signs nothing else, and nothing else may use it. */
    readonly signer: Signer;
  };
  /** Number in the registry. Nothing is traded before that holds an active era with the public halves of `keys`. */
  readonly operator: number;
  readonly keys: KeyProvider;
  /** How it shows what it is; without it, it cannot, and the era must be active already. */
  readonly attestation?: AttestationSettings;
  /** For the journal; is made where it is not there. */
  readonly directory: string;
  readonly markets: readonly MarketSettings[];
  readonly rules: ExchangeRules;
  /** When it settles. */
  readonly cadence: Cadence;
  /** Blocks that stand on one before it counts. */
  readonly confirmations: number;
  /** How far blocks may be ahead of the clock; undefined where the chain's time is not that of the world. */
  readonly clockSkewSecondsMax: number | undefined;
  /** Is not closed with the enclave. */
  readonly prover: Prover;
  /** Gets fees and dust. */
  readonly treasury: ShieldedAddress;
  readonly api: {
    readonly host: string;
    /** 0 for any free one. */
    readonly port: number;
    readonly limits?: Partial<ApiLimits>;
    readonly trustedProxies?: readonly string[];
    /** Unix milliseconds, for sessions; the machine's clock unless given. */
    readonly clock?: () => number;
    /** Milliseconds of a clock that nobody sets; the process's own unless given. */
    readonly uptime?: () => number;
  };
  /** Between two looks at the chain. */
  readonly pollMs: number;
  /** Between two looks at the reference prices; 1,000 unless given. */
  readonly referenceMs?: number;
  /** Between two looks whether evidence has to be renewed; 60,000 unless given. */
  readonly renewalMs?: number;
  /** Commands after which a snapshot is taken, so that a start replays about as many; 50,000 unless given. */
  readonly snapshotCommands?: number;
  readonly report: (report: EnclaveReport) => void;
};

/** What an enclave tells who runs it: nothing of owners, orders or amounts, nor how many there are. */
export type EnclaveReport =
  | OperatorReport
  | EraReport
  | ApiReport
  | { readonly kind: 'listening'; readonly url: string }
  /** A source of reference prices stopped, or began again, to answer. */
  | { readonly kind: 'reference'; readonly pair: string; readonly answers: boolean }
  | { readonly kind: 'snapshotFailed'; readonly code: string }
  /** `code`: of the failure that ended it, where one did. */
  | { readonly kind: 'stopped'; readonly code: string | undefined };

export type RunningEnclave = {
  readonly url: string;
  readonly operator: Operator;
  readonly machine: Machine;
  /** Resolves when everything has ended: with the failure that ended it, or with undefined after `close`. */
  readonly ended: Promise<BitcloakError | undefined>;
  /** Takes no more requests, finishes those that came, and closes the journal. */
  close(): Promise<void>;
};

const SNAPSHOT_COMMANDS = 50_000;
const REFERENCE_MS = 1_000;
/** Of several nodes behind one address some are behind the others; going back with one would cancel orders and bust matches that are as good as before. */
const LAG_MS_MAX = 300_000;
/** Inputs of the hashes that an order, a signature and the key of a cancellation take: a third of an order's computing, unless they are hashed faster. */
const HASHED_INPUTS = [3, 5, 10];

/**
 * Starts an operator's enclave, and listens: where it can show what it is, and the registry does not hold its keys yet, with its evidence alone until that does.
 * Throws `ERA_INACTIVE` where it cannot show anything, `JOURNAL_ROLLED_BACK`,
 * `JOURNAL_CORRUPT` and `JOURNAL_BUSY`, `USAGE` for settings that cannot be, or that contradict the journal, and what the endpoint throws.
 */
export async function startEnclave(settings: EnclaveSettings): Promise<RunningEnclave> {
  const { chain, operator: number, keys } = settings;
  const { chainId, pool: poolAddress, registry: registryAddress, startBlock } = chain.manifest;
  settings.markets.forEach(checkMarket);
  hashFaster(HASHED_INPUTS);
  const operatorId = operatorIdOf(chainId, poolAddress, registryAddress, number);
  const registrar = new Registrar({
    chainId,
    registry: new RegistryClient(registryAddress, chain.signer),
    provider: chain.provider,
    startBlock,
    operator: number,
    keys,
    attestation: settings.attestation,
  });
  const era = (await registrar.activeEra()) ?? (await waitForEra(settings, registrar));
  const eras = new ReadableEras(await registrar.ownEras(), (each) => keys.era(each).encryptionKey);
  const pool = new PoolClient(poolAddress, chain.signer);
  const { clockSkewSecondsMax } = settings;
  const source = { pool, provider: chain.provider, startBlock, operator: number, clockSkewSecondsMax };
  const { journalKey: key } = keys;
  const journal = await Journal.open({ directory: join(settings.directory, 'journal'), key });
  try {
    const machine = await Machine.open(journal, operatorId);
    if (journal.position.sequence === 0) await machine.execute(await beginning(source));
    else await refuseRollback(machine.state, source);
    await configure(machine, settings);
    const { prover, treasury, rules, cadence, confirmations } = settings;
    const { encryptionKey, apiKey, signer } = keys.era(era);
    const operator = new Operator({
      ...source,
      machine,
      settler: new Settler({
        chainId,
        pool,
        operator: number,
        operatorId,
        signer,
        treasury,
        prover,
        fills: rules.fills,
      }),
      confirmations,
      lagMsMax: LAG_MS_MAX,
      operatorId,
      eraKeys: (block) => eras.at(block),
      cadence,
      activeUntil: () => registrar.activeUntil(era),
    });
    await lookFirst(operator, settings);
    const identity = {
      chainId,
      pool: poolAddress,
      registry: registryAddress,
      operator: number,
      operatorId,
      era,
      encryptionKey: encryptionKey.publicKey,
      apiKey: apiKey.publicKey,
    };
    const running = new Enclave(settings, operator, registrar, era);
    const { limits, trustedProxies, clock, uptime } = settings.api;
    const api = await buildApi({
      operator,
      identity,
      apiKey,
      attest: (asked, nonce, asker) => registrar.attest(asked, nonce, asker),
      ...(limits === undefined ? {} : { limits }),
      ...(trustedProxies === undefined ? {} : { trustedProxies }),
      ...(clock === undefined ? {} : { clock }),
      ...(uptime === undefined ? {} : { uptime }),
      onFailure: (error) => {
        running.fail(error);
      },
      report: settings.report,
    });
    return await running.run(api);
  } catch (error) {
    await journal.close();
    throw error;
  }
}

/** Before the first look at the chain nobody is known, and no order could come in. */
async function lookFirst(operator: Operator, { pollMs, report }: EnclaveSettings): Promise<void> {
  for (;;) {
    try {
      await operator.watch();
      return;
    } catch (error) {
      const failure = failureOf(error);
      if (!operator.isBehind || isFatal(failure.code)) throw error;
      report(failure);
    }
    await sleep(pollMs);
  }
}

function checkMarket({ terms }: MarketSettings, index: number, all: readonly MarketSettings[]): void {
  const fail = (expected: string): never => {
    throw new BitcloakError('USAGE', `market ${terms.pair}: expected ${expected}`);
  };
  if (!new RegExp(PAIR_PATTERN).test(terms.pair)) fail('a pair such as ETH-USD');
  const isTwice = all.slice(0, index).some(({ terms: { pair, market } }) => {
    return pair === terms.pair || market === terms.market;
  });
  if (isTwice) fail('a pair and a number of its own');
  if (terms.base === terms.quote) fail('two assets');
  if (terms.lotBase <= 0n || terms.tickQuote <= 0n) fail('lots and ticks of at least one base unit');
  const isFee = (fee: number) => Number.isInteger(fee) && fee >= 0 && fee < BASIS_POINTS;
  if (!isFee(terms.makerFee) || !isFee(terms.takerFee)) fail('fees in basis points');
}

/** Brings the exchange to what is set. */
async function configure(machine: Machine, { markets, rules, cadence }: EnclaveSettings): Promise<void> {
  const execute = async (what: string, command: ExchangeCommand) => {
    const [event] = await machine.execute(command);
    if (event?.kind === 'refused')
      throw new BitcloakError('USAGE', `${what}: the exchange refuses it, ${event.reason}`);
  };
  const period = cadence.kind === 'interval' ? cadence.seconds : 0;
  if (rules.roundSeconds < period) {
    throw new BitcloakError(
      'USAGE',
      `rules: expected roundSeconds of ${period} or more, which pass between settlements`,
    );
  }
  if (rules.settleSeconds < SETTLE_SECONDS_MIN || rules.settleSeconds > SETTLE_SECONDS_MAX) {
    const message = `rules: expected settleSeconds of ${SETTLE_SECONDS_MIN} to ${SETTLE_SECONDS_MAX}`;
    throw new BitcloakError('USAGE', message);
  }
  if (!isDeepStrictEqual(machine.state.rules, rules)) await execute('rules', { kind: 'configure', rules });
  const known = new Map(machine.state.markets().map((market) => [market.terms.market, market]));
  for (const { terms, rules: limits } of markets) {
    const market = known.get(terms.market);
    const wanted: MarketRules = { market: terms.market, ...limits };
    if (market === undefined) {
      await execute(`market ${terms.pair}`, { kind: 'addMarket', terms, rules: wanted });
      continue;
    }
    const { trading: _t, reference: _r, referenceTime: _rt, referenceSteady: _rs, ...set } = market.state;
    if (isDeepStrictEqual(market.terms, terms) && isDeepStrictEqual(set, wanted)) continue;
    const message = `market ${terms.pair}: its terms are not those that orders were signed for; give others a number of their own`;
    throw new BitcloakError('USAGE', message);
  }
}

/** All that runs, and how it ends. */
class Enclave {
  readonly #settings: EnclaveSettings;
  readonly #operator: Operator;
  readonly #registrar: Registrar;
  readonly #era: bigint;
  readonly #renewals: Attempts;
  readonly #stop = new AbortController();
  readonly #stopped: Promise<unknown>;
  readonly #ended = Promise.withResolvers<BitcloakError | undefined>();
  #api: FastifyInstance | undefined;
  #work: Promise<unknown> = Promise.resolve();
  #failure: BitcloakError | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: EnclaveSettings, operator: Operator, registrar: Registrar, era: bigint) {
    this.#settings = settings;
    this.#operator = operator;
    this.#registrar = registrar;
    this.#era = era;
    const { attestation, renewalMs = RENEWAL_MS } = settings;
    this.#renewals = Attempts.toRenew(attestation?.evidenceSeconds ?? 0, renewalMs);
    this.#stopped = new Promise((resolve) => {
      this.#stop.signal.addEventListener('abort', resolve);
    });
  }

  async run(api: FastifyInstance): Promise<RunningEnclave> {
    const { api: where, pollMs, renewalMs = RENEWAL_MS, report } = this.#settings;
    this.#api = api;
    const url = await listen(api, where);
    this.#work = Promise.all([
      this.#operate(),
      this.#repeat(renewalMs, () => this.#keepEra()),
      this.#repeat(pollMs, () => this.#snapshot(this.#settings.snapshotCommands ?? SNAPSHOT_COMMANDS)),
      ...this.#settings.markets.map((market) => this.#follow(market)),
    ]).catch((error: unknown) => {
      this.fail(error);
    });
    report({ kind: 'listening', url });
    return {
      url,
      operator: this.#operator,
      machine: this.#operator.machine,
      ended: this.#ended.promise,
      close: () => this.#close(),
    };
  }

  /** Nothing can be traded any more. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure =
      error instanceof BitcloakError
        ? error
        : new BitcloakError('ENCLAVE_FAILED', 'a command could not be applied', { cause: error });
    void this.#close();
  }

  #close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#api?.close();
    this.#stop.abort();
    await this.#work;
    if (this.#failure === undefined) await this.#snapshot(1);
    try {
      await this.#operator.machine.close();
    } catch (error) {
      this.#failure ??= error instanceof BitcloakError ? error : new BitcloakError('JOURNAL_FAILED', 'closing');
    }
    this.#settings.report({ kind: 'stopped', code: this.#failure?.code });
    this.#ended.resolve(this.#failure);
  }

  async #repeat(ms: number, work: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await work();
      await sleep(ms, undefined, { signal }).catch(() => undefined);
    }
  }

  /** The first look at the chain may fail too. */
  async #operate(): Promise<void> {
    const { pollMs, report } = this.#settings;
    await this.#repeat(pollMs, async () => {
      try {
        await this.#operator.run(this.#stop.signal, { pollMs, report });
      } catch (error) {
        const code = error instanceof BitcloakError ? error.code : 'INTERNAL';
        if (isFatal(code)) throw error;
        report(failureOf(error));
      }
    });
  }

  async #keepEra(): Promise<void> {
    // Whatever fails of one must not keep from the other.
    for (const work of [() => this.#giveWay(), () => this.#renewals.look(() => this.#renew())]) {
      await work().catch((error: unknown) => {
        this.#settings.report(failureOf(error));
      });
    }
  }

  /** Ends where a later era has this enclave's keys: what is told to those is not read while this one goes on. */
  async #giveWay(): Promise<void> {
    const newest = await this.#registrar.activeEra();
    if (newest === undefined || newest <= this.#era) return;
    const message = `era ${newest} has this enclave's keys too: it has to be started again, with them`;
    this.fail(new BitcloakError('ERA_INACTIVE', message));
  }

  /** Renews the era's evidence in good time. */
  async #renew(): Promise<void> {
    const { chain, report } = this.#settings;
    const call = await this.#registrar.renewal(this.#era);
    if (call === undefined) return;
    const sent = this.#operator.send(() => sendCall(chain.signer, call, { msMax: RECEIPT_MS_MAX }));
    const receipt = await Promise.race([sent, this.#stopped.then(() => undefined)]);
    if (receipt !== undefined) report({ kind: 'renewed', transaction: receipt.hash });
  }

  /** Where there are so many commands since the last one. A start without it takes longer, and nothing else. */
  async #snapshot(commands: number): Promise<void> {
    if (this.#operator.machine.sinceSnapshot < commands) return;
    try {
      await this.#operator.machine.snapshot();
    } catch (error) {
      const code: ErrorCode = error instanceof BitcloakError ? error.code : 'ENCLAVE_FAILED';
      this.#settings.report({ kind: 'snapshotFailed', code });
    }
  }

  async #follow({ terms, reference }: MarketSettings): Promise<void> {
    if (reference === undefined) return;
    const feed = new ReferenceFeed(this.#operator.machine, terms, reference);
    let answers = true;
    await this.#repeat(this.#settings.referenceMs ?? REFERENCE_MS, async () => {
      const before = answers;
      answers = await feed.poll();
      if (answers !== before) this.#settings.report({ kind: 'reference', pair: terms.pair, answers });
    });
  }
}
