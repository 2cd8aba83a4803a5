import type { EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import type { Trust } from '@bitcloak/attestation/trust';
import { factsOfReport, verifyEvidence, type Evidence } from '@bitcloak/attestation/verify';
import type { Call } from '@bitcloak/chain/pool';
import type { Era, RegistryClient } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Provider } from 'ethers';
import { registryEvidence } from './registryEvidence.ts';

export type EraRegistrationRequest = {
  readonly chainId: bigint;
  readonly registry: RegistryClient;
  readonly provider: Provider;
  readonly operator: number;
  /** Base URLs; none where the registry takes the quote itself. */
  readonly attestors: readonly string[];
  /** Whom, and what, the operator trusts. */
  readonly trust: Trust;
  /** Asks the enclave for evidence. @param nonce 32 bytes. @param era its number. */
  readonly ask: (nonce: Uint8Array, era: bigint) => Promise<{ era: EraBinding; evidence: Evidence }>;
  /** Unix seconds. */
  readonly expiry: bigint;
  /** For which the evidence is asked to hold. */
  readonly evidenceSeconds: bigint;
  /** Unix seconds, which evidence is judged by; the machine's clock unless given. */
  readonly clock?: () => number;
};

/**
 * What an operator's administrator sends to register the next era, with the keys that an enclave shows evidence for. Throws the error of evidence that does not hold,
 * `BINDING_REFUSED` where it is about another operator, and `ATTESTOR_FAILED`.
 */
export async function eraRegistration(request: EraRegistrationRequest): Promise<{ call: Call; era: Era }> {
  const { chainId, registry, provider, operator, attestors, trust, ask, expiry, evidenceSeconds } = request;
  const { clock = () => Math.floor(Date.now() / 1000) } = request;
  const number = (await registry.era(operator)) + 1n;
  const nonce = await registry.nonce();
  const nonceBytes = bytesOfHex(nonce.hash.slice(2), 'nonce', 32);
  const { era: shown, evidence } = await ask(nonceBytes, number);
  // The keys are the enclave's to say; where they hold is not.
  const binding: EraBinding = { ...shown, chainId, registry: registry.address, operator: BigInt(operator), number };
  // Read after the evidence was made: its collateral may be newer than the question.
  factsOfReport(await verifyEvidence(evidence, { ...trust, clock: clock(), binding, nonce: nonceBytes }));
  const block = await provider.getBlock('latest');
  if (block === null) throw new BitcloakError('ENDPOINT_INCONSISTENT', 'the endpoint has no newest block');
  const validUntil = BigInt(block.timestamp) + evidenceSeconds;
  const { signer, encryptionKey, apiKey } = binding;
  const era: Era = { signer, encryptionKey, apiKey, number, expiry };
  const judged = await registryEvidence({ registry, provider, attestors, evidence, era: binding, nonce, validUntil });
  return { call: registry.registerEraCall(operator, era, judged), era };
}
