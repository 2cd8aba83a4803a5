import { verifyEventLog } from '@bitcloak/attestation/eventLog';
import type { EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import { JsonReader } from '@bitcloak/attestation/json';
import { composeHashOf, measurementDigest, measurementsOf } from '@bitcloak/attestation/policy';
import { parseQuote } from '@bitcloak/attestation/quote';
import type { Evidence } from '@bitcloak/attestation/verify';
import { attestorEvidence, attestorOf, AttestorsClient, type Attestation } from '@bitcloak/chain/attestors';
import { dcapEvidence, type DstackConfig } from '@bitcloak/chain/dcapEvidence';
import type { Nonce, RegistryClient, RegistryEvidence } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Provider } from 'ethers';
import { askAttestor } from './askAttestor.ts';

export type RegistryEvidenceRequest = {
  readonly registry: RegistryClient;
  readonly provider: Provider;
  /** Base URLs; none where the registry takes the quote itself. */
  readonly attestors: readonly string[];
  readonly evidence: Evidence;
  readonly era: EraBinding;
  /** That the evidence's quote is about. */
  readonly nonce: Nonce;
  /** Unix seconds. */
  readonly validUntil: bigint;
};

/**
 * Evidence in the form that the registry takes. Throws `ATTESTOR_FAILED`, as below, and what `verifyEvidence` refuses a quote and an event log for that do not fit
 * together.
 */
export async function registryEvidence(request: RegistryEvidenceRequest): Promise<RegistryEvidence> {
  const { registry, provider, attestors, evidence, nonce } = request;
  if (attestors.length === 0) {
    return { nonceBlock: nonce.block, evidence: dcapEvidence(evidence.quote, configOf(evidence)) };
  }
  const verifier = new AttestorsClient(await registry.quoteVerifier(), provider);
  return { nonceBlock: nonce.block, evidence: await attestedEvidence(request, verifier) };
}

/**
 * Has evidence judged by attestors, all at once, and puts together what the registry takes, as soon as all have answered. Nobody's word is taken: a signature
 * counts where it is one of an attestor of the registry's under this very statement. Throws `ATTESTOR_FAILED`, naming what each of the others said, where too few
 * have signed.
 */
async function attestedEvidence(
  { attestors, evidence, era, nonce, validUntil }: RegistryEvidenceRequest,
  verifier: AttestorsClient,
): Promise<string> {
  const statement: Attestation = {
    chainId: era.chainId,
    verifier: verifier.address,
    registry: era.registry,
    operator: era.operator,
    era,
    nonce: nonce.hash,
    measurement: `0x${measurementDigest(measuredBy(evidence))}`,
    validUntil,
  };
  const threshold = await verifier.threshold();
  const signed = new Map<string, string>();
  const ask = async (url: string): Promise<void> => {
    const wanted = { evidence, era, nonce: nonce.hash.slice(2), validUntil: Number(validUntil) };
    const { signature } = await askAttestor(url, wanted);
    const attestor = signerOf(statement, signature);
    if (attestor === undefined || !(await verifier.isAttestor(attestor))) {
      throw new BitcloakError(
        'ATTESTOR_FAILED',
        `the attestor ${new URL(url).host}: its signature is not one of the registry's attestors`,
      );
    }
    signed.set(attestor, signature);
  };
  const outcomes = await Promise.allSettled(attestors.map(ask));
  if (signed.size >= threshold) return attestorEvidence(statement, [...signed.values()]);
  const failures = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [(outcome.reason as Error).message] : [],
  );
  const message = `${signed.size} of the ${threshold} attestors that are needed have signed; ${failures.join('; ')}`;
  throw new BitcloakError('ATTESTOR_FAILED', message);
}

/** What a quote says of its program, whoever has signed it. */
function measuredBy(evidence: Evidence) {
  const { report, events } = saidBy(evidence);
  return measurementsOf(report, events);
}

/** Without an event log MRCONFIGID can only be the compose hash itself, and nothing else is asked for. */
function configOf(evidence: Evidence): DstackConfig {
  const { report, events } = saidBy(evidence);
  const { appId = '', instanceId = '', keyProvider = '{"id":""}' } = events ?? {};
  const keyProviderId = JsonReader.parse(keyProvider, 'key-provider').text('id');
  return {
    composeHash: bytesOfHex(composeHashOf(report, events), 'compose hash', 32),
    appId: bytesOfHex(appId.padEnd(40, '0'), 'app id', 20),
    instanceId: bytesOfHex(instanceId.padEnd(40, '0'), 'instance id', 20),
    keyProviderId: bytesOfHex(keyProviderId, 'key-provider'),
  };
}

function saidBy({ quote, eventLog }: Evidence) {
  const { report } = parseQuote(quote);
  return { report, events: eventLog === undefined ? undefined : verifyEventLog(eventLog, report) };
}

function signerOf(statement: Attestation, signature: string): string | undefined {
  try {
    return attestorOf(statement, signature);
  } catch {
    return undefined;
  }
}
