import { SEALED_TYPE } from '@bitcloak/trading/http';
import { SEALED_OPENING_BYTES } from '@bitcloak/trading/session';
import {
  encodeInfo,
  INFO_SCHEMA,
  listSchema,
  MARKET_SCHEMA,
  type MarketInfo,
  type OperatorInfo,
} from '@bitcloak/trading/wire';
import type { FastifyInstance } from 'fastify';
import type { Exchange } from '../exchange/exchange.ts';
import { answers } from './answers.ts';
import { Refusal } from './refusal.ts';
import { sealedOptions, wholeBody } from './sealed.ts';
import type { Sessions } from './sessions.ts';

/** What does not change about an operator while it runs. */
export type Identity = Pick<
  OperatorInfo,
  'chainId' | 'pool' | 'registry' | 'operator' | 'operatorId' | 'era' | 'encryptionKey' | 'apiKey'
>;

export type PublicOptions = {
  readonly identity: Identity;
  readonly state: () => Exchange;
  readonly sessions: Sessions;
  /** Openings that one address may try in a minute. */
  readonly openingsPerMinute: number;
  /** Whether anything can still be traded. */
  readonly isWorking: () => boolean;
  /** Whether the registry lets the enclave settle. */
  readonly isActive: () => boolean;
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** OpenAPI's document of all routes. */
  readonly describe: () => object;
};

export function addPublicRoutes(scope: FastifyInstance, options: PublicOptions): void {
  const { identity, state, sessions, openingsPerMinute, describe } = options;

  scope.get('/info', { schema: { response: answers(INFO_SCHEMA) } }, async () => {
    const { time, rules } = state();
    const { settleSeconds, orderSecondsMax, lockSecondsMax } = rules;
    const withdrawalFees = new Map(rules.withdrawalFees);
    return encodeInfo({ ...identity, time, settleSeconds, orderSecondsMax, lockSecondsMax, withdrawalFees });
  });

  scope.get('/markets', { schema: { response: answers(listSchema('markets', MARKET_SCHEMA)) } }, async () => ({
    markets: state()
      .markets()
      .map(({ terms, state: { ticksMax, lotsMin, lotsMax, trading } }): MarketInfo => {
        return { ...terms, ticksMax, lotsMin, lotsMax, trading };
      }),
  }));

  scope.get(
    '/openapi.json',
    { schema: { response: { '2xx': { type: 'object', additionalProperties: true } } } },
    async () => describe(),
  );

  const description = 'Opens a session: the opening, sealed to the key of the era.';
  scope.post<{ Body?: Buffer }>(
    '/sessions',
    {
      ...sealedOptions(SEALED_OPENING_BYTES, description),
      config: { rateLimit: { max: openingsPerMinute, timeWindow: 60_000 } },
    },
    async ({ body }, reply) => {
      const answer = await sessions.open(wholeBody(body, SEALED_OPENING_BYTES));
      return reply.status(201).type(SEALED_TYPE).send(answer);
    },
  );
}

/** What is said while the registry does not hold the enclave's keys as active. */
export const INACTIVE = "the registry holds no active era with the enclave's keys";

/** Everybody reads it, so nothing here moves with trading: neither memory nor how busy the process is. */
export function addHealthRoutes(scope: FastifyInstance, { state, isWorking, isActive, clock }: PublicOptions): void {
  const healthSchema = { type: 'object', additionalProperties: false, properties: { status: { type: 'string' } } };
  scope.get('/health', { schema: { response: answers(healthSchema) } }, async () => {
    if (!isWorking()) throw new Refusal(503, 'ENCLAVE_FAILED', 'the journal does not write; nothing can be traded');
    if (!isActive()) throw new Refusal(503, 'ERA_INACTIVE', INACTIVE);
    return { status: 'ok' };
  });

  scope.get('/metrics', { schema: { response: { '2xx': { type: 'string' } } } }, async (_request, reply) => {
    const values = {
      uptime_seconds: process.uptime(),
      newest_block_age_seconds: clock() / 1000 - state().time,
      journal_writes: Number(isWorking()),
      era_active: Number(isActive()),
    };
    const lines = Object.entries(values).map(([name, value]) => {
      return `# TYPE bitcloak_enclave_${name} gauge\nbitcloak_enclave_${name} ${value}\n`;
    });
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(lines.join(''));
  });
}
