import type { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { ClientOpening, type Peer } from '@bitcloak/trading/clientSession';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder } from '@bitcloak/trading/orders';
import type { InnerRequest } from '@bitcloak/trading/sealing';
import { API, encodeSigned } from '@bitcloak/trading/wire';
import { DeadMan } from '../../enclave/api/deadMan.ts';
import { Desk } from '../../enclave/api/desk.ts';
import { InnerApi } from '../../enclave/api/inner.ts';
import { Rates } from '../../enclave/api/rates.ts';
import { answerSealed, type Gate } from '../../enclave/api/sealed.ts';
import { Sessions } from '../../enclave/api/sessions.ts';
import type { Operator } from '../../enclave/operator/operator.ts';
import { median, startCost, type Cost } from './measure.ts';

/** Milliseconds, each the median of one request or opening. */
export type ChannelCosts = {
  readonly requests: number;
  /** An order through the inner routes alone, and through the seal. */
  readonly plain: Cost;
  readonly sealed: Cost;
  /** A balance, which no journal is written for. */
  readonly plainRead: Cost;
  readonly sealedRead: Cost;
  /** An opening, to the enclave and to its client. */
  readonly opening: Cost;
  readonly clientOpening: Cost;
};

type Parts = {
  readonly operator: Operator;
  readonly peer: Omit<Peer, 'apiKey'>;
  readonly apiKey: HpkeKey;
  readonly key: SpendingKey;
};

const OPENINGS = 100;
const PRICE = 10_000_000;
const EXPIRY_SECONDS = 6n * 86_400n;

function medianOf(costs: readonly Cost[]): Cost {
  return { wallMs: median(costs.map(({ wallMs }) => wallMs)), cpuMs: mean(costs.map(({ cpuMs }) => cpuMs)) };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** One piece of work, as often as it takes, alternating with others. */
async function timed(costs: Cost[], work: () => Promise<unknown>): Promise<void> {
  const cost = startCost();
  await work();
  costs.push(cost());
}

/** An enclave's own routes and sessions, without HTTP in front of them: what is left between them is the seal. */
export async function measureChannel({ operator, peer, apiKey, key }: Parts, requests: number): Promise<ChannelCosts> {
  const { owner } = key.keys;
  const report = () => undefined;
  const deadMan = new DeadMan(report);
  const inner = await InnerApi.build(new Desk(operator, report), deadMan, report);
  const gate: Gate = {
    sessions: new Sessions({
      identity: peer,
      apiKey,
      account: (asked) => operator.account(asked),
      sessionsPerOwner: 2 * OPENINGS,
      sessions: 2 * OPENINGS,
      clock: Date.now,
      uptime: () => performance.now(),
    }),
    rates: new Rates({ perSecond: 10 ** 6, burst: 10 ** 6 }),
    deadMan,
  };
  const open = () => ClientOpening.make({ ...peer, apiKey: apiKey.publicKey }, key, Math.ceil(Date.now() / 1000));
  const first = await open();
  const session = first === undefined ? undefined : await first.accept(await gate.sessions.open(first.bytes));
  if (session === undefined) throw new Error('no session opens');

  const { state } = operator.machine;
  const [market] = state.markets();
  if (market === undefined) throw new Error('there is no market');
  const destination = {
    operatorId: peer.operatorId,
    expiry: BigInt(state.time) + EXPIRY_SECONDS,
    payTo: owner,
    relockExpiry: 0n,
  };
  let names = 0;
  const order = (): InnerRequest => {
    const signed = signOrder(key, limitOf(market.terms, 'sell', PRICE, 1), destination);
    const words = { side: 'sell', type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
    const terms = { clientOrderId: `channel-${++names}`, market: market.terms.market, price: PRICE, lots: 1, ...words };
    return { method: 'POST', path: `${API}/orders`, body: JSON.stringify({ ...terms, ...encodeSigned(signed) }) };
  };
  const balances: InnerRequest = { method: 'GET', path: `${API}/balances`, body: '' };
  const ask = async (request: InnerRequest, status: number) => {
    const answer = await inner.ask(owner, request);
    if (answer.status !== status) throw new Error(`a request was answered with ${answer.status}`);
  };
  const seal = async (request: InnerRequest) => session.sealRequest(session.takeSequence(), request);
  const askSealed = (bytes: Uint8Array) => answerSealed(bytes, gate, inner, report);

  const costs: Record<'plain' | 'sealed' | 'plainRead' | 'sealedRead' | 'opening' | 'clientOpening', Cost[]> = {
    plain: [],
    sealed: [],
    plainRead: [],
    sealedRead: [],
    opening: [],
    clientOpening: [],
  };
  // The first ones only warm up.
  for (let round = -Math.ceil(requests / 10); round < requests; round++) {
    if (round === 0) for (const list of Object.values(costs)) list.length = 0;
    const [plain, sealed, sealedRead] = [order(), await seal(order()), await seal(balances)];
    const work = [
      () => timed(costs.plain, () => ask(plain, 201)),
      () => timed(costs.sealed, () => askSealed(sealed)),
      () => timed(costs.plainRead, () => ask(balances, 200)),
      () => timed(costs.sealedRead, () => askSealed(sealedRead)),
    ];
    // Whoever comes first pays for what was done before, so they take turns in that too.
    for (const each of round % 2 === 0 ? work : work.toReversed()) await each();
  }
  for (let round = 0; round < OPENINGS; round++) {
    let opening: ClientOpening | undefined;
    await timed(costs.clientOpening, async () => (opening = await open()));
    const { bytes } = opening as unknown as ClientOpening;
    await timed(costs.opening, () => gate.sessions.open(bytes));
  }
  await operator.machine.execute({ kind: 'cancelAll', owner });
  await inner.close();
  return {
    requests,
    plain: medianOf(costs.plain),
    sealed: medianOf(costs.sealed),
    plainRead: medianOf(costs.plainRead),
    sealedRead: medianOf(costs.sealedRead),
    opening: medianOf(costs.opening),
    clientOpening: medianOf(costs.clientOpening),
  };
}
