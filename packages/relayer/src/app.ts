import { formatAccount } from '@bitcloak/chain/manifest';
import { callError } from '@bitcloak/chain/pool';
import {
  decodeTransfer,
  encodeInfo,
  encodeStatus,
  INFO_SCHEMA,
  RELAYED_SCHEMA,
  STATUS_SCHEMA,
  TRANSACTION_SCHEMA,
  TRANSFER_SCHEMA,
  type RelayerInfo,
  type WireTransfer,
} from '@bitcloak/chain/relayWire';
import { ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';
import { openServer } from '@bitcloak/service/http';
import type { BaseWallet } from 'ethers';
import type { FastifyError, FastifyInstance } from 'fastify';
import { Policy, type PolicyOptions } from './policy.ts';
import { SendQueue, type SendReport } from './queue.ts';
import { Refusal, toRefusal } from './refusal.ts';

export type RelayerOptions = PolicyOptions & {
  readonly chainId: bigint;
  /** Pays the gas and gets public fees; used by nothing else while the service runs. */
  readonly account: BaseWallet;
  /** Requests that one address, or one IPv6 network of 64 bits, may make in a minute. */
  readonly ratePerMinute: number;
  /** Proxies in front of the service that tell it a client's address; none unless given, and then nobody's word on it counts. */
  readonly trustedProxies?: readonly string[];
  readonly pollMs?: number;
  readonly rebroadcastMs?: number;
  /** How long `close` waits for receipts. */
  readonly closeMsMax?: number;
  readonly report?: (line: RelayerReport) => void;
};

/** What the service tells its operator: public hashes and codes, never who asked or what was handed in. */
export type RelayerReport = SendReport | { readonly kind: 'refused'; readonly code: string; readonly status: number };

/** For everything that a request waits for. */
const HANDLER_MS_MAX = 30_000;
const LIMITS = {
  /** A transfer takes some 3,200. */
  bodyBytesMax: 8192,
  headAndBodyMsMax: 10_000,
  handlerMsMax: HANDLER_MS_MAX,
  connectionsMax: 1_000,
  connectionsPerAddressMax: 50,
};
const POLL_MS = 2_000;
const REBROADCAST_MS = 30_000;
const CLOSE_MS_MAX = 60_000;

const errorSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['code', 'message'],
  properties: { code: { type: 'string', enum: Object.keys(ERROR_EXIT_CODES) }, message: { type: 'string' } },
};
const answers = (schema: object) => ({ '2xx': schema, '4xx': errorSchema, '5xx': errorSchema });

/** The relayer's HTTP service, not listening yet. `close` finishes what is under way. */
export async function buildRelayer(options: RelayerOptions): Promise<FastifyInstance> {
  const report = options.report ?? (() => undefined);
  const account = options.account.connect(options.endpoint);
  const policy = new Policy(options, BigInt(account.address));
  const { pollMs = POLL_MS, rebroadcastMs = REBROADCAST_MS } = options;
  const queue = new SendQueue({ endpoint: options.endpoint, account, pollMs, rebroadcastMs, report });
  const { ratePerMinute, trustedProxies } = options;
  const app = await openServer(
    { ...LIMITS, ratePerMinute, trustedProxies },
    {
      answer: (error) => {
        const { status, code, message } = refusalOf(error);
        return { status, body: { code, message } };
      },
      tooMany: () => new Refusal(429, 'RELAYER_REFUSED', 'too many requests from this address; try again in a minute'),
      notFound: () => new Refusal(404, 'USAGE', 'path: expected one of the relayer'),
      report: (error) => {
        const { code, status } = refusalOf(error);
        report({ kind: 'refused', code, status });
      },
    },
  );
  const underWay = new Set<Promise<string>>();
  closeGracefully(app, async () => {
    while (underWay.size > 0) await Promise.allSettled(underWay);
    await queue.close(options.closeMsMax ?? CLOSE_MS_MAX);
  });

  const info = infoOf(options, BigInt(account.address));
  app.get('/v1/info', { schema: { response: answers(INFO_SCHEMA) } }, () => encodeInfo(info));

  const schema = { body: TRANSFER_SCHEMA, response: answers(RELAYED_SCHEMA) };
  app.post<{ Body: WireTransfer }>('/v1/relay', { schema }, async ({ body }) => {
    // Fastify's own signal of a request is aborted as soon as the body was read; this one ends with the answer that the client gets.
    const signal = AbortSignal.timeout(HANDLER_MS_MAX);
    const transfer = decodeTransfer(body);
    queue.refuseTaken(transfer.shown.nullifiers);
    const relayed = policy.admit(transfer).then((admitted) => queue.send(admitted, signal));
    underWay.add(relayed);
    return { transaction: await relayed.finally(() => underWay.delete(relayed)) };
  });

  app.get<{ Params: { transaction: string } }>(
    '/v1/relay/:transaction',
    {
      schema: {
        params: { type: 'object', properties: { transaction: TRANSACTION_SCHEMA } },
        response: answers(STATUS_SCHEMA),
      },
    },
    ({ params }) => {
      const status = queue.status(params.transaction);
      if (status === undefined) throw new Refusal(404, 'USAGE', 'transaction: expected one that this relayer sent');
      return encodeStatus(status);
    },
  );

  const healthSchema = { type: 'object', properties: { status: { type: 'string' } } };
  app.get('/health', { schema: { response: answers(healthSchema) } }, async () => {
    await checkHealth(options, account.address);
    return { status: 'ok' };
  });
  return app;
}

function infoOf({ chainId, pool, keyring, fees }: RelayerOptions, account: bigint): RelayerInfo {
  const { main, agreement } = keyring.viewing;
  const address = { owner: main.owner, viewingKey: agreement.publicKey };
  return { chainId, pool: pool.address, account, address, fees };
}

/** What is refused before a handler runs has Fastify's errors: a schema's message names the field, never its value. */
function refusalOf(error: FastifyError): Refusal {
  if (error.code === 'FST_ERR_HANDLER_TIMEOUT') {
    return new Refusal(503, 'ENDPOINT_UNREACHABLE', 'the relayer took too long; look on the chain before trying again');
  }
  const { statusCode } = error;
  if (error instanceof Refusal || statusCode === undefined || statusCode >= 500) return toRefusal(error);
  return new Refusal(statusCode, 'USAGE', error.message);
}

/** From the start of `close` on nothing new is taken; `finish` waits for what was. */
function closeGracefully(app: FastifyInstance, finish: () => Promise<void>): void {
  let closing = false;
  app.addHook('onRequest', async () => {
    if (closing) throw new Refusal(503, 'RELAYER_REFUSED', 'the relayer is shutting down');
  });
  app.addHook('preClose', async () => {
    closing = true;
    await finish();
  });
}

/** Healthy is who has an answer from the endpoint and gas for one transaction. */
async function checkHealth({ endpoint, gasMax }: RelayerOptions, account: string): Promise<void> {
  const [balance, { maxFeePerGas, gasPrice }] = await Promise.all([
    endpoint.getBalance(account),
    endpoint.getFeeData(),
  ]).catch((error: unknown) => {
    throw callError(error);
  });
  if (balance < gasMax * (maxFeePerGas ?? gasPrice ?? 0n)) {
    throw new Refusal(
      503,
      'GAS_INSUFFICIENT',
      `account ${formatAccount(BigInt(account))} lacks native currency for gas`,
    );
  }
}
