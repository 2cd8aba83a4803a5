import { readAttestorEvidence } from '@bitcloak/chain/attestors';
import type { RegistryClient } from '@bitcloak/chain/registry';
import type { Provider } from 'ethers';
import type { KeptStatement } from './keptStatements.ts';

/** The registry takes evidence that names one of the last 256 blocks; so many more may turn out to be another chain's. */
const NONCE_BLOCKS = 256 + 64;
/** For which an endpoint may not know yet the block that evidence names. */
const UNKNOWN_SECONDS = 3_600;

/**
 * Whether the registry rests on a statement, or may still come to. Anybody can have a great many statements signed that no registry is ever told, from what an
 * enclave shows to whoever asks; to have one accepted costs gas, and the consent of an era's keys. Throws what the endpoint throws.
 *
 * @param clock unix seconds.
 */
export async function isInUse(
  { attestation, signedAt }: KeptStatement,
  registry: RegistryClient,
  provider: Provider,
  clock: number,
): Promise<boolean> {
  const { operator, era, nonce, measurement, validUntil } = attestation;
  const [named, newest] = [await provider.getBlock(nonce), await provider.getBlockNumber()];
  if (named === null) return clock < signedAt + UNKNOWN_SECONDS;
  if (newest - named.number < NONCE_BLOCKS) return true;
  const accepted = await registry.acceptancesIn(operator, named.number, named.number + NONCE_BLOCKS);
  const isOurs = accepted.some((acceptance) => {
    if (acceptance.number !== era.number || acceptance.nonce !== nonce) return false;
    const told = readAttestorEvidence(acceptance.evidence);
    return told.measurement === measurement && told.validUntil === validUntil;
  });
  if (!isOurs) return false;
  // Nothing that ends later was accepted since, and the era was neither revoked nor found to have no evidence.
  const activeUntil = await registry.activeUntil(operator, era.signer);
  return activeUntil !== 0n && activeUntil <= validUntil;
}
