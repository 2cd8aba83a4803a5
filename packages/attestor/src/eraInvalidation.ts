import {
  attestorOf,
  AttestorsClient,
  readAttestorEvidence,
  statementOf,
  withdrawerOf,
  type Attestation,
} from '@bitcloak/chain/attestors';
import type { Call } from '@bitcloak/chain/pool';
import type { AcceptedEvidence, Era, RegistryClient } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { isCallException, type Provider } from 'ethers';
import { askWithdrawal } from './askAttestor.ts';

export type EraInvalidationRequest = {
  readonly chainId: bigint;
  readonly registry: RegistryClient;
  readonly provider: Provider;
  /** One before which there was no operator. */
  readonly startBlock: number;
  readonly operator: number;
  /** The newest one unless given. */
  readonly number?: bigint;
  /** Base URLs; more than have signed do no harm. */
  readonly attestors: readonly string[];
};

export type EraInvalidation = {
  readonly era: Era;
  /** To be sent one after another, by anybody; the first tells the attestors' contract what is withdrawn, where it does not know it yet. */
  readonly calls: readonly Call[];
  /** Who withdraws, by their addresses, and why. */
  readonly withdrawn: ReadonlyMap<string, string>;
};

/** What an attestor was found to say. */
type Found = { readonly attestor: string; readonly signature: string; readonly code: string };

/**
 * What ends an era whose evidence does not hold any more. Nobody's word is taken: a withdrawal counts where it is signed by an attestor of the registry's who signed
 * this very statement. Throws `ERA_INACTIVE` where there is nothing to end, and `ATTESTOR_FAILED`, with what each attestor said, where the evidence holds still.
 */
export async function eraInvalidation(request: EraInvalidationRequest): Promise<EraInvalidation> {
  const { registry, operator, startBlock } = request;
  const number = request.number ?? (await registry.era(operator));
  const era = await registry.activeEra(operator, number, startBlock);
  const accepted = era && (await registry.acceptedEvidence(operator, number, startBlock));
  if (era === undefined || accepted === undefined) {
    throw new BitcloakError('ERA_INACTIVE', `the registry holds no active era ${number} of operator ${operator}`);
  }
  const end = registry.invalidateEvidenceCall(operator, era, accepted.nonce, accepted.evidence);
  // It may have ended without anybody's word: a measurement was removed, an attestor resigned, withdrawals were sent already.
  if (await isTaken(request.provider, end)) return { era, calls: [end], withdrawn: new Map() };
  const { call, withdrawn } = await withdrawalOf(request, era, accepted);
  return { era, calls: [call, end], withdrawn };
}

async function isTaken(provider: Provider, call: Call): Promise<boolean> {
  try {
    await provider.call(call);
    return true;
  } catch (error) {
    if (isCallException(error)) return false;
    throw error;
  }
}

/** Has attestors asked, all at once, for what they withdraw. */
async function withdrawalOf(
  { chainId, registry, provider, startBlock, operator, attestors }: EraInvalidationRequest,
  era: Era,
  accepted: AcceptedEvidence,
): Promise<{ call: Call; withdrawn: ReadonlyMap<string, string> }> {
  const verifier = new AttestorsClient(await registry.quoteVerifierAt(accepted.block, startBlock), provider);
  const { measurement, validUntil, signatures } = readAttestorEvidence(accepted.evidence);
  const attestation: Attestation = {
    chainId,
    verifier: verifier.address,
    registry: registry.address,
    operator: BigInt(operator),
    era,
    nonce: accepted.nonce,
    measurement,
    validUntil,
  };
  const statement = statementOf(attestation);
  const signed = signatures.flatMap((signature) => signerIn(() => attestorOf(attestation, signature)) ?? []);
  const standing: string[] = [];
  for (const attestor of signed) {
    const counts = (await verifier.isAttestor(attestor)) && !(await verifier.isWithdrawn(attestor, statement));
    if (counts) standing.push(attestor);
  }
  const found = new Map<string, Found>();
  const outcomes = await Promise.allSettled(
    attestors.map(async (url) => {
      const reply = await askWithdrawal(url, statement);
      if (reply === null) throw failed(url, 'it stands by what it signed');
      const attestor = signerIn(() => withdrawerOf(attestation, statement, reply.signature));
      if (attestor === undefined || !standing.includes(attestor)) {
        throw failed(url, 'its withdrawal is not signed by an attestor who stands by the statement');
      }
      found.set(attestor, { attestor, ...reply });
    }),
  );
  const wanted = standing.length - (await verifier.threshold()) + 1;
  if (found.size < wanted) {
    const said = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as Error).message] : [],
    );
    const message = `${found.size} of the ${wanted} attestors that are needed have withdrawn; ${said.join('; ')}`;
    throw new BitcloakError('ATTESTOR_FAILED', message);
  }
  const all = [...found.values()];
  return {
    call: verifier.withdrawSignedCall(
      statement,
      all.map(({ signature }) => signature),
    ),
    withdrawn: new Map(all.map(({ attestor, code }) => [attestor, code])),
  };
}

function failed(url: string, why: string): BitcloakError {
  return new BitcloakError('ATTESTOR_FAILED', `the attestor ${new URL(url).host}: ${why}`);
}

/** Undefined for what is no signature. */
function signerIn(recover: () => string): string | undefined {
  try {
    return recover();
  } catch {
    return undefined;
  }
}
