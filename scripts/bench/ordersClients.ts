import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Token } from '@bitcloak/chain/manifest';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { Channel } from '@bitcloak/trading/channel';
import { takenAtItsWord, TradingClient } from '@bitcloak/trading/client';
import { limitOf } from '@bitcloak/trading/market';
import { signOrder, type OrderTerms } from '@bitcloak/trading/orders';
import type { TradedMarket } from '@bitcloak/trading/steps';
import { API, encodeSigned } from '@bitcloak/trading/wire';
import type { ChannelCosts } from './channelWork.ts';
import { leanFetch } from './leanFetch.ts';
import { accountsOf, type ChildMessage, type ParentMessage } from './ordersChild.ts';

const CHILD = fileURLToPath(import.meta.resolve('./ordersChild.ts'));

/** What traders need to know of an enclave. */
export type Served = { readonly url: string; readonly operatorId: bigint; readonly tokens: readonly Token[] };

export type Prepared = { readonly account: number; readonly clientOrderId: string; readonly body: string };

/** 0, 1, … below `count`. */
export const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** An enclave in a process of its own. */
export class Enclave {
  readonly #child: ChildProcess;
  readonly served: Served;

  private constructor(child: ChildProcess, ready: ChildMessage & { kind: 'ready' }) {
    this.#child = child;
    this.served = { url: ready.url, operatorId: ready.operatorId, tokens: ready.tokens };
  }

  static async start(accounts: number): Promise<Enclave> {
    const child = fork(CHILD, [String(accounts)], { serialization: 'advanced' });
    const [ready] = (await once(child, 'message')) as [ChildMessage & { kind: 'ready' }];
    return new Enclave(child, ready);
  }

  /** What the enclave has computed so far, all its threads together. */
  async cpuMs(): Promise<number> {
    return (await this.#ask<'cpu'>({ kind: 'cpu' })).milliseconds;
  }

  /** What the seals of so many requests cost, measured in that process. */
  async channelCosts(requests: number): Promise<ChannelCosts> {
    return (await this.#ask<'channel'>({ kind: 'channel', requests })).costs;
  }

  async #ask<Kind extends ChildMessage['kind']>(message: ParentMessage): Promise<ChildMessage & { kind: Kind }> {
    this.#child.send(message);
    const [answer] = (await once(this.#child, 'message')) as [ChildMessage & { kind: Kind }];
    return answer;
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}

/** Traders, and what they send. */
export class Load {
  readonly #served: Served;
  readonly #keys: readonly SpendingKey[];
  readonly #market: TradedMarket;
  readonly #expiry: bigint;
  readonly #channels: Channel[] = [];
  /** Of its orders: an owner's orders must all have different ones. */
  readonly #name: string;
  #names = 0;

  private constructor(
    served: Served,
    keys: readonly SpendingKey[],
    market: TradedMarket,
    expiry: bigint,
    name: string,
  ) {
    this.#served = served;
    this.#keys = keys;
    this.#market = market;
    this.#expiry = expiry;
    this.#name = name;
  }

  /** @param accounts of all that the enclave knows, those that send something; the others open no session. */
  static async open(served: Served, accounts: readonly number[], name = 'order'): Promise<Load> {
    const { url, operatorId, tokens } = served;
    const keys = accountsOf(operatorId, Math.max(...accounts) + 1);
    const key = keys[0] as SpendingKey;
    const client = await TradingClient.look({ url, key, expected: { operatorId }, check: takenAtItsWord, tokens });
    const [market] = await client.markets();
    const info = await client.info();
    const load = new Load(served, keys, market as TradedMarket, BigInt(info.time + 6 * 86_400), name);
    for (const own of keys) {
      load.#channels.push(
        new Channel({ base: new URL(url), key: own, peer: async () => info, fetch: leanFetch, msMax: 30_000 }),
      );
    }
    // The first request of an account is not like the others.
    for (const account of accounts) await (load.#channels[account] as Channel).session();
    return load;
  }

  /** A signed order as it goes over the wire. */
  prepare(account: number, side: 'buy' | 'sell', price: number, lots: number, timeInForce: 'gtc' | 'ioc'): Prepared {
    const key = this.#keys[account] as SpendingKey;
    const { operatorId } = this.#served;
    const destination = { operatorId, expiry: this.#expiry, payTo: key.keys.owner, relockExpiry: 0n };
    const signed = signOrder(key, limitOf(this.#market, side, price, lots), destination);
    const clientOrderId = `${this.#name}-${++this.#names}`;
    const { market } = this.#market;
    const terms: OrderTerms = { market, side, type: 'limit', price, lots, timeInForce, selfTrade: 'cancelNewest' };
    return { account, clientOrderId, body: JSON.stringify({ clientOrderId, ...terms, ...encodeSigned(signed) }) };
  }

  async send({ account, body }: Prepared): Promise<void> {
    const channel = this.#channels[account] as Channel;
    const { status } = await channel.send(await channel.session(), 'POST', `${API}/orders`, body);
    if (status !== 201) throw new Error(`an order was answered with ${status}`);
  }

  /** Empties the books. */
  async cancelAll(): Promise<void> {
    for (let account = 0; account < this.#keys.length; account++) await (await this.client(account)).cancelAll();
  }

  client(account: number): Promise<TradingClient> {
    const { url, operatorId, tokens } = this.#served;
    const key = this.#keys[account] as SpendingKey;
    return TradingClient.connect({ url, key, expected: { operatorId }, check: takenAtItsWord, tokens });
  }
}
