import type { EraBinding } from '@bitcloak/attestation/binding';
import { hexOf } from '@bitcloak/attestation/bytes';
import type { Evidence } from '@bitcloak/attestation/verify';
import { decodeEra, decodeEvidence } from '@bitcloak/attestation/wire';

export async function askEnclave(
  base: string,
  nonce: Uint8Array,
  era: bigint,
): Promise<{ era: EraBinding; evidence: Evidence }> {
  const response = await fetch(`${base}/api/v1/attestation?nonce=${hexOf(nonce)}&era=${era}`);
  const json = (await response.json()) as Record<string, unknown>;
  return { era: decodeEra(json['era']), evidence: decodeEvidence(json['evidence']) };
}
