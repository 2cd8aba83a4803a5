import { eraInvalidation } from '@bitcloak/attestor/eraInvalidation';
import { eraRegistration } from '@bitcloak/attestor/eraRegistration';
import { formatAccount } from '@bitcloak/chain/manifest';
import { sendCall, type Call } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { ERA_SECONDS_MAX } from '@bitcloak/protocol/parameters';
import { askOf } from '@bitcloak/trading/ask';
import { askAttestation } from '@bitcloak/trading/enclaveCheck';
import { operatorUrl, REQUEST_MS_MAX } from '@bitcloak/trading/http';
import { raisingOf } from '@bitcloak/wallet/raising';
import type { Context } from '../context.ts';
import { formatOperatorId } from '../format.ts';
import { COMMAND } from '../invocation.ts';
import { readAccount, readOperatorTrust, type OperatorOptions } from '../operator.ts';
import { fields, type Result } from '../output.ts';
import { parseAccount, parseCount, parseUrl } from '../parse.ts';
import { formatTime, parseDuration } from '../time.ts';

/** A day less than attestors sign for unless told otherwise, whose clocks differ from the chain's. */
const EVIDENCE_SECONDS = 6n * 86_400n;
/** An era ends so long before it has to, so that it is not too long for a block that comes late. */
const ERA_MARGIN_SECONDS = 60n;

/** The registry, with the wallet's public account to send by. */
async function openRegistry(context: Context) {
  const manifest = await context.manifest();
  const account = (await context.openWallet()).account();
  const endpoint = await context.endpoint();
  const signer = account.connect(endpoint);
  const send = (call: Call) => sendCall(signer, call, raisingOf(context.progress.stage));
  return { manifest, endpoint, signer, registry: new RegistryClient(manifest.registry, signer), send };
}

export async function newOperator(context: Context): Promise<Result> {
  const { manifest, signer, registry, send } = await openRegistry(context);
  const receipt = await send(registry.registerOperatorCall());
  const number = registry.operatorOf(receipt);
  const id = formatOperatorId(operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, number));
  return {
    json: { operator: { number, id }, administrator: signer.address, transaction: receipt.hash },
    text:
      `${fields([
        ['operator', `${number} of ${manifest.name}, ${id}`],
        ['administrator', signer.address],
      ])}\n` + `Next: start its enclave, and ${COMMAND} operator register URL --operator-number ${number}`,
  };
}

export type RegisterOptions = Pick<OperatorOptions, 'operatorNumber' | 'trust'> & {
  readonly attestor?: readonly string[];
  readonly for?: string;
  readonly evidenceFor?: string;
};

/** Registers the operator's next era, with the keys that an enclave shows evidence for. */
export async function register(context: Context, urlText: string, options: RegisterOptions): Promise<Result> {
  const base = operatorUrl(parseUrl(urlText, 'url'));
  const attestors = (options.attestor ?? []).map((text) => parseUrl(text, '--attestor'));
  const eraSeconds = options.for === undefined ? ERA_SECONDS_MAX - ERA_MARGIN_SECONDS : parseDuration(options.for);
  const evidenceSeconds = options.evidenceFor === undefined ? EVIDENCE_SECONDS : parseDuration(options.evidenceFor);
  const { number } = readAccount(await context.manifest(), options);
  const trust = readOperatorTrust(await context.manifest(), options);
  const { manifest, endpoint, registry, send } = await openRegistry(context);
  const time = (await endpoint.getBlock('latest'))?.timestamp;
  if (time === undefined) throw new BitcloakError('ENDPOINT_INCONSISTENT', 'the endpoint has no newest block');
  const ask = askOf(base, (address, request) => fetch(address, request), REQUEST_MS_MAX);
  const { call, era } = await eraRegistration({
    chainId: manifest.chainId,
    registry,
    provider: endpoint,
    operator: number,
    attestors,
    trust,
    ask: (nonce, wanted) => askAttestation(ask, nonce, wanted),
    expiry: BigInt(time) + eraSeconds,
    evidenceSeconds,
  });
  const { hash } = await send(call);
  const activeUntil = await registry.activeUntil(number, era.signer);
  const settlementSigner = formatAccount(era.signer);
  return {
    json: {
      operator: { number },
      era: Number(era.number),
      signer: settlementSigner,
      expiry: era.expiry.toString(),
      activeUntil: activeUntil.toString(),
      transaction: hash,
    },
    text: fields([
      ['era', `${era.number} of operator ${number}, until ${formatTime(era.expiry)}`],
      ['signer', settlementSigner],
      ['active', `until ${formatTime(activeUntil)}; the enclave renews its evidence by itself`],
    ]),
  };
}

/** Ends the power of a settlement signer at once and for good. */
export async function revoke(
  context: Context,
  signerText: string,
  options: Pick<OperatorOptions, 'operatorNumber'>,
): Promise<Result> {
  const revoked = parseAccount(signerText);
  const { number } = readAccount(await context.manifest(), options);
  const { registry, send } = await openRegistry(context);
  const { hash } = await send(registry.revokeSignerCall(number, revoked));
  const text = formatAccount(revoked);
  return {
    json: { operator: { number }, signer: text, transaction: hash },
    text: `${text} settles nothing more for operator ${number}, and never will again.`,
  };
}

export type InvalidateOptions = Pick<OperatorOptions, 'operatorNumber'> & {
  readonly attestor?: readonly string[];
  readonly era?: string;
};

/** Ends an era whose evidence does not hold any more. Anybody may. */
export async function invalidate(context: Context, options: InvalidateOptions): Promise<Result> {
  const attestors = (options.attestor ?? []).map((text) => parseUrl(text, '--attestor'));
  const asked = options.era === undefined ? undefined : parseCount(options.era, '--era', 1, Number.MAX_SAFE_INTEGER);
  const { number } = readAccount(await context.manifest(), options);
  const { manifest, endpoint, registry, send } = await openRegistry(context);
  const { era, calls, withdrawn } = await eraInvalidation({
    chainId: manifest.chainId,
    registry,
    provider: endpoint,
    startBlock: manifest.startBlock,
    operator: number,
    ...(asked === undefined ? {} : { number: BigInt(asked) }),
    attestors,
  });
  const transactions: string[] = [];
  for (const call of calls) transactions.push((await send(call)).hash);
  const settlementSigner = formatAccount(era.signer);
  return {
    json: {
      operator: { number },
      era: Number(era.number),
      signer: settlementSigner,
      withdrawn: Object.fromEntries(withdrawn),
      transactions,
    },
    text: fields([
      ['era', `${era.number} of operator ${number} is not active any more, until there is newer evidence`],
      ['signer', settlementSigner],
      ...[...withdrawn].map(([attestor, code]) => ['withdrawn', `by ${attestor}, ${code}`] as const),
    ]),
  };
}
