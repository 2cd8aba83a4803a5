import { readTrust } from '@bitcloak/attestation/trust';
import { RegistryClient } from '@bitcloak/chain/registry';
import { Keyring } from '@bitcloak/notes/keys';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { TradingClient, type SentOrder } from '@bitcloak/trading/client';
import { enclaveCheck } from '@bitcloak/trading/enclaveCheck';
import type { OrderRecord } from '@bitcloak/trading/records';
import type { TradedToken } from '@bitcloak/trading/steps';
import type { StreamEvent } from '@bitcloak/trading/stream';
import { JsonRpcProvider } from 'ethers';

/* A trader in a page. Whatever it knows of the chain it asks its own endpoint for. */

export type TraderSettings = {
  /** Base URL of the operator's API. */
  readonly url: string;
  /** URL of an endpoint of the chain. */
  readonly endpoint: string;
  readonly chainId: bigint;
  readonly pool: bigint;
  readonly registry: bigint;
  readonly operator: number;
  readonly operatorId: bigint;
  /** As a file has it. */
  readonly trust: Readonly<Record<string, unknown>>;
  /** 64 bytes, of BIP-39. */
  readonly seed: Uint8Array;
  readonly tokens: readonly TradedToken[];
};

/** One order from its beginning to its end. */
export type Trade = {
  readonly kept: readonly SentOrder[];
  readonly placed: OrderRecord;
  readonly cancelled: OrderRecord;
  /** What the stream brought, in its order. */
  readonly events: readonly StreamEvent[];
  /** Orders that are open to the view of the stream, while there is one and afterwards. */
  readonly open: readonly [number[], number[]];
};

export type Refused = { readonly code: ErrorCode; readonly message: string };

/** Keeps a client for what comes after. @returns what it is refused with, where it is. */
export async function connect(settings: TraderSettings): Promise<Refused | undefined> {
  try {
    const { client } = await open(settings);
    await client.balances();
    return undefined;
  } catch (error) {
    if (error instanceof BitcloakError) return { code: error.code, message: error.message };
    throw error;
  }
}

/** Offers something that nobody takes, sees it on the stream, and takes it back. */
export async function trade(settings: TraderSettings, pair: string, price: string, quantity: string): Promise<Trade> {
  const { client, kept } = await open(settings);
  const events: StreamEvent[] = [];
  const stream = await client.stream({ onEvent: (event) => events.push(event) }).ready();
  const seen = async (status: string) => {
    const isThere = () =>
      events.some(
        (event) => event.kind === 'report' && 'order' in event.report && event.report.order?.status === status,
      );
    const deadline = performance.now() + 10_000;
    while (!isThere()) {
      if (performance.now() > deadline) throw new Error(`no report that the order is ${status}`);
      await new Promise((done) => setTimeout(done, 10));
    }
  };
  const openIds = () => stream.view.openOrders().map(({ id }) => id);
  const { order: placed } = await client.place({ pair, side: 'sell', price, quantity });
  await seen('open');
  const before = openIds();
  const cancelled = await client.cancel(placed.id);
  await seen('cancelled');
  const after = openIds();
  stream.close();
  await stream.closed();
  return { kept, placed, cancelled, events: events.filter(({ kind }) => kind !== 'balances'), open: [before, after] };
}

async function open(settings: TraderSettings): Promise<{ client: TradingClient; kept: SentOrder[] }> {
  const { url, endpoint, chainId, pool, registry, operator, operatorId, trust, seed, tokens } = settings;
  const provider = new JsonRpcProvider(endpoint, chainId, { staticNetwork: true, cacheTimeout: -1 });
  const contract = new RegistryClient(registry, provider);
  const kept: SentOrder[] = [];
  const client = await TradingClient.connect({
    url,
    key: new Keyring(seed).tradingAccount(operatorId, 0),
    expected: { operatorId },
    check: enclaveCheck({
      trust: readTrust(trust),
      expected: { chainId, pool, registry, operator },
      era: (number) => contract.activeEra(operator, number, 0),
    }),
    tokens,
    keep: (order) => void kept.push(order),
  });
  return { client, kept };
}
