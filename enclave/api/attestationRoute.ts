import type { EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import type { Evidence } from '@bitcloak/attestation/verify';
import { encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { networkOf } from '@bitcloak/service/addresses';
import type { FastifyInstance } from 'fastify';
import { answers } from './answers.ts';
import { Refusal } from './refusal.ts';

/**
 * Evidence for the keys of an era, the enclave's own unless a number is given.
 *
 * @param nonce 32 bytes of who asks.
 * @param asker his address, or IPv6 network of 64 bits.
 */
export type Attest = (
  era: bigint | undefined,
  nonce: Uint8Array,
  asker: string,
) => Promise<{ era: EraBinding; evidence: Evidence }>;

const QUERY_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['nonce'],
  properties: {
    nonce: { type: 'string', pattern: '^[0-9a-f]{64}$', maxLength: 64 },
    era: { type: 'string', pattern: '^[1-9][0-9]{0,17}$', maxLength: 18 },
  },
};
const TEXT = { type: 'string' };
const ATTESTATION_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['era', 'evidence'],
  properties: {
    era: {
      type: 'object',
      additionalProperties: false,
      properties: {
        chainId: TEXT,
        registry: TEXT,
        operator: TEXT,
        number: TEXT,
        signer: TEXT,
        encryptionKey: TEXT,
        apiKey: TEXT,
      },
    },
    evidence: {
      type: 'object',
      additionalProperties: false,
      properties: { quote: TEXT, eventLog: TEXT, collateral: { type: 'object', additionalProperties: TEXT } },
    },
  },
};

/** What of the way to evidence is for whoever asks. */
const STATUSES: Partial<Record<ErrorCode, number>> = {
  TEE_FAILED: 503,
  COLLATERAL_UNREACHABLE: 503,
  ENCLAVE_BUSY: 503,
  ERA_INACTIVE: 404,
};

/** In place of messages that are for whoever runs the enclave: the URL of a service of his may hold a key. */
const TOLD: Partial<Record<ErrorCode, string>> = {
  COLLATERAL_UNREACHABLE: 'the collateral of the quote could not be fetched; try again in a minute',
};

/** @param perMinute that one address may ask for: the machine makes but a few in a second. */
export function addAttestationRoute(scope: FastifyInstance, attest: Attest, perMinute: number): void {
  scope.get<{ Querystring: { nonce: string; era?: string } }>(
    '/attestation',
    {
      schema: {
        description: 'Evidence that the keys of an era are those of the enclave, made for the nonce.',
        querystring: QUERY_SCHEMA,
        response: answers(ATTESTATION_SCHEMA),
      },
      config: { rateLimit: { max: perMinute, timeWindow: 60_000 } },
    },
    async ({ ip, query: { nonce, era } }) => {
      const number = era === undefined ? undefined : BigInt(era);
      const attested = await attest(number, bytesOfHex(nonce, 'nonce', 32), networkOf(ip)).catch((error: unknown) => {
        const status = error instanceof BitcloakError ? STATUSES[error.code] : undefined;
        if (!(error instanceof BitcloakError) || status === undefined) throw error;
        throw new Refusal(status, error.code, TOLD[error.code] ?? error.message);
      });
      return { era: encodeEra(attested.era), evidence: encodeEvidence(attested.evidence) };
    },
  );
}
