import { decodeEvent } from '@bitcloak/chain/events';
import { PoolClient } from '@bitcloak/chain/pool';
import { table } from '@bitcloak/cli/output';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { WalletState } from '@bitcloak/wallet/walletState';
import { BrowserProvider, Network, type Log } from 'ethers';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, median, medianCost, rounded, startCost, type Cost } from './measure.ts';
import { POOL_ADDRESS, PoolHistory, type Call } from './poolHistory.ts';
import { seededBytes } from './random.ts';

const SEED = 'bitcloak scan';
const RANGE_BLOCKS = 200;
const AGREEMENTS = 1000;

/** In the long run each deposit is paid on once and withdrawn once. */
const MIXED: readonly Call[] = ['deposit', 'transfer', 'withdrawal'];

const HISTORIES: readonly { name: string; calls: readonly Call[]; own: boolean }[] = [
  { name: 'mixed', calls: MIXED, own: false },
  { name: 'mixed, own notes', calls: MIXED, own: true },
  { name: 'deposits', calls: ['deposit'], own: false },
  { name: 'transfers', calls: ['transfer'], own: false },
];

/** An endpoint's answers, ready as text: what comes after the network. */
class Answers {
  readonly lastBlock: number;
  readonly #ranges: string[] = [];

  constructor({ logs }: PoolHistory) {
    this.lastBlock = Number(logs.at(-1)?.blockNumber);
    for (let from = 0; from <= this.lastBlock; from += RANGE_BLOCKS) {
      const inRange = ({ blockNumber }: { blockNumber: string }) =>
        Math.floor(Number(blockNumber) / RANGE_BLOCKS) * RANGE_BLOCKS === from;
      this.#ranges.push(JSON.stringify(logs.filter(inRange)));
    }
  }

  provider(): BrowserProvider {
    const request = async ({ params }: { params?: unknown[] | Record<string, unknown> }): Promise<unknown> => {
      const [filter] = params as [{ fromBlock: string }];
      return JSON.parse(this.#ranges[Math.floor(Number(filter.fromBlock) / RANGE_BLOCKS)] ?? '[]');
    };
    return new BrowserProvider({ request }, Network.from(31337), { staticNetwork: true, cacheTimeout: -1 });
  }

  async *ranges(): AsyncGenerator<[from: number, to: number]> {
    for (let from = 0; from <= this.lastBlock; from += RANGE_BLOCKS) yield [from, from + RANGE_BLOCKS - 1];
  }
}

type Reading = { history: PoolHistory; answers: Answers; logs: Log[] };

function makeHistory(calls: readonly Call[], notes: number, ownEvery: number): PoolHistory {
  const history = new PoolHistory(SEED);
  for (let number = 0; history.leaves < notes; number++) {
    const call = calls[number % calls.length] as Call;
    if (ownEvery > 0 && number % ownEvery === ownEvery - 1) history.own(call);
    else history.foreign(call);
  }
  return history;
}

async function readLogs(answers: Answers): Promise<Log[]> {
  const provider = answers.provider();
  const logs: Log[] = [];
  for await (const [fromBlock, toBlock] of answers.ranges())
    logs.push(...(await provider.getLogs({ fromBlock, toBlock })));
  return logs;
}

/** Decoding and fold: what is done for every log once it is there. */
function fold({ history, logs }: Reading): Cost {
  const state = new WalletState(history.keyring.viewing);
  const cost = startCost();
  for (const log of logs) {
    const event = decodeEvent(log);
    if (event !== undefined) state.apply(event);
  }
  const spent = cost();
  check(history, state);
  return spent;
}

/** The same from the text of the endpoint's answers on, as the wallet's client reads them. */
async function readAndFold({ history, answers }: Reading): Promise<Cost> {
  const pool = new PoolClient(POOL_ADDRESS, answers.provider());
  const state = new WalletState(history.keyring.viewing);
  const cost = startCost();
  for await (const [from, to] of answers.ranges()) for (const event of await pool.events(from, to)) state.apply(event);
  const spent = cost();
  check(history, state);
  return spent;
}

function check(history: PoolHistory, state: WalletState): void {
  const found = state.notes().length;
  if (found !== history.ownNotes) throw new Error(`the wallet found ${found} of its ${history.ownNotes} notes`);
}

/** One key agreement with everything that belongs to it: the part of a call that cannot be saved. Microseconds of computing. */
function agreementMicroseconds(rounds: number): number {
  const bytes = seededBytes(`${SEED} agreement`);
  const key = new AgreementKey(bytes(32));
  const publicKeys = Array.from({ length: AGREEMENTS }, () => bytes(32));
  const round = () => {
    const cost = startCost();
    for (const publicKey of publicKeys) key.agree(publicKey);
    return (cost().cpuMs * 1000) / AGREEMENTS;
  };
  round();
  return median(Array.from({ length: rounds }, round));
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [notes, rounds, ownEvery] = [options.count('notes'), options.count('rounds'), options.count('own')];
  const readings: { name: string; reading: Reading; folds: Cost[]; wholes: Cost[] }[] = [];
  for (const { name, calls, own } of HISTORIES) {
    say(`making the history ${name}`);
    const history = makeHistory(calls, notes, own ? ownEvery : 0);
    const answers = new Answers(history);
    readings.push({ name, reading: { history, answers, logs: await readLogs(answers) }, folds: [], wholes: [] });
  }
  for (let round = 0; round <= rounds; round++) {
    say(round === 0 ? 'warming up' : `round ${round} of ${rounds}`);
    for (const { reading, folds, wholes } of readings) {
      const [folded, whole] = [fold(reading), await readAndFold(reading)];
      if (round === 0) continue;
      folds.push(folded);
      wholes.push(whole);
    }
  }
  const histories = readings.map(({ name, reading: { history }, folds, wholes }) => {
    const perSecond = ({ cpuMs }: Cost) => rounded((history.leaves / cpuMs) * 1000);
    const [folded, whole] = [medianCost(folds), medianCost(wholes)];
    return {
      history: name,
      notes: history.leaves,
      events: history.logs.length,
      ownNotes: history.ownNotes,
      notesPerSecond: perSecond(folded),
      notesPerSecondOnTheWall: rounded((history.leaves / folded.wallMs) * 1000),
      microsecondsPerEvent: rounded((folded.cpuMs * 1000) / history.logs.length),
      notesPerSecondFromText: perSecond(whole),
    };
  });
  const agreement = rounded(agreementMicroseconds(rounds));
  const text = `${table(
    [
      { title: 'history' },
      ...['notes', 'own', 'events', 'notes/s', 'by the wall clock', 'µs an event', 'notes/s from JSON on'].map(
        (title) => ({
          title,
          align: 'right' as const,
        }),
      ),
    ],
    histories.map((entry) => [
      entry.history,
      grouped(entry.notes),
      grouped(entry.ownNotes),
      grouped(entry.events),
      grouped(entry.notesPerSecond),
      grouped(entry.notesPerSecondOnTheWall),
      entry.microsecondsPerEvent.toFixed(1),
      grouped(entry.notesPerSecondFromText),
    ]),
  )}

notes/s: of computing time on one thread, from the log on (decoding, trial decryption, fold); aim 13,000.
One key agreement, of which every deposit and every transfer needs one: ${agreement.toFixed(1)} µs.`;
  const results = { histories, agreementMicroseconds: agreement };
  return {
    parameters: { notes, rounds, ownEvery, mixed: MIXED, seed: SEED, aimNotesPerSecond: 13_000 },
    results,
    text,
  };
}
