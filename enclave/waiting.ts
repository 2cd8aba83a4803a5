import { setTimeout as sleep } from 'node:timers/promises';
import { sendCall } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { openServer } from '@bitcloak/service/http';
import { API } from '@bitcloak/trading/wire';
import type { Signer } from 'ethers';
import type { FastifyInstance } from 'fastify';
import { addAttestationRoute } from './api/attestationRoute.ts';
import { letPagesRead } from './api/crossOrigin.ts';
import { bodyOf } from './api/errors.ts';
import { API_LIMITS, type ApiLimits } from './api/limits.ts';
import { INACTIVE } from './api/publicRoutes.ts';
import { Refusal, toRefusal } from './api/refusal.ts';
import { listen } from './listen.ts';
import { failureOf, type OperatorReport } from './operator/operator.ts';
import { RECEIPT_MS_MAX } from './operator/settler.ts';
import { Attempts } from './registration/attempts.ts';
import type { AttestationSettings, Registrar } from './registration/registrar.ts';

/** Between two looks whether evidence has to be renewed. Half of its time is left when it first has to. */
export const RENEWAL_MS = 60_000;

export type EraReport =
  /** Evidence can be asked for, and nothing else until the registry holds the enclave's keys. */
  { readonly kind: 'waiting'; readonly url: string } | { readonly kind: 'renewed'; readonly transaction: string };

export type WaitingSettings = {
  /** Pays the gas. */
  readonly chain: { readonly signer: Signer };
  /** Number in the registry. */
  readonly operator: number;
  /** Without it there is nothing to show. */
  readonly attestation?: AttestationSettings;
  readonly api: {
    readonly host: string;
    readonly port: number;
    readonly limits?: Partial<ApiLimits>;
    readonly trustedProxies?: readonly string[];
  };
  readonly pollMs: number;
  readonly renewalMs?: number;
  readonly report: (report: EraReport | OperatorReport) => void;
};

/**
 * Serves evidence for the keys of an enclave, and nothing else, until the registry holds them as active. An era of before whose evidence has ended comes back by
 * itself; a new one is registered by the operator's administrator. Throws `ERA_INACTIVE` where there is nothing to show.
 *
 * @returns the era's number.
 */
export async function waitForEra(settings: WaitingSettings, registrar: Registrar): Promise<bigint> {
  const { operator, api, chain, pollMs, renewalMs = RENEWAL_MS, attestation, report } = settings;
  if (attestation === undefined) {
    const message = `the registry holds no active era of operator ${operator} with these keys`;
    throw new BitcloakError('ERA_INACTIVE', message);
  }
  const app = await buildIntroduction(settings, registrar);
  const renewals = Attempts.toRenew(attestation.evidenceSeconds, renewalMs);
  try {
    report({ kind: 'waiting', url: await listen(app, api) });
    for (let triedAt = -Infinity; ;) {
      try {
        if (performance.now() - triedAt >= renewalMs) {
          triedAt = performance.now();
          await renewals.look(async () => {
            const call = await registrar.renewal(await registrar.newestEra());
            if (call === undefined) return;
            const { hash } = await sendCall(chain.signer, call, { msMax: RECEIPT_MS_MAX });
            report({ kind: 'renewed', transaction: hash });
          });
        }
        const era = await registrar.activeEra();
        if (era !== undefined) return era;
      } catch (error) {
        report(failureOf(error));
      }
      await sleep(pollMs);
    }
  } finally {
    await app.close();
  }
}

async function buildIntroduction({ api }: WaitingSettings, registrar: Registrar): Promise<FastifyInstance> {
  const { addressPerMinute, attestationsPerMinute, connections, connectionsPerAddress } = {
    ...API_LIMITS,
    ...api.limits,
  };
  const app = await openServer(
    {
      bodyBytesMax: 1_024,
      headAndBodyMsMax: 10_000,
      connectionsMax: connections,
      connectionsPerAddressMax: connectionsPerAddress,
      ratePerMinute: addressPerMinute,
      trustedProxies: api.trustedProxies,
    },
    {
      answer: (error) => {
        const refusal = toRefusal(error);
        return { status: refusal.status, body: bodyOf(refusal) };
      },
      tooMany: () => new Refusal(429, 'RATE_LIMITED', 'too many requests from this address; try again in a minute'),
      notFound: () => new Refusal(503, 'ERA_INACTIVE', INACTIVE),
      report: () => undefined,
    },
  );
  letPagesRead(app);
  await app.register(
    async (scope) => {
      addAttestationRoute(scope, (era, nonce, asker) => registrar.attest(era, nonce, asker), attestationsPerMinute);
    },
    { prefix: API },
  );
  return app;
}
