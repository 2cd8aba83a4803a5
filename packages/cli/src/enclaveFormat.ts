import { INTEL_ROOT, type TrustAnchor } from '@bitcloak/attestation/anchor';
import type { EraBinding } from '@bitcloak/attestation/binding';
import { hexOf, isEqual } from '@bitcloak/attestation/bytes';
import type { Measurements } from '@bitcloak/attestation/policy';
import type { EvidenceFacts } from '@bitcloak/attestation/verify';
import { formatAccount } from '@bitcloak/chain/manifest';
import { fields, type Json } from './output.ts';
import { formatTime, isoTime } from './time.ts';

/** `open`: it was not reached, or there is nothing to check yet. */
export type CheckState = 'passed' | 'failed' | 'open';

export type CheckLine = { readonly name: string; readonly state: CheckState; readonly words: string };

const SIGNS: Readonly<Record<CheckState, string>> = { passed: '✓', failed: '✗', open: '–' };

/** How an enclave's era stands in the registry. `unregistered`: it is newer than all that the registry holds. */
export type RegistryState = {
  readonly state: 'active' | 'inactive' | 'unregistered';
  readonly era: bigint;
  /** Unix seconds in block time; 0 where the registry has taken its word back, or never gave it. */
  readonly activeUntil: bigint;
};

export function checksText(lines: readonly CheckLine[]): string {
  const width = Math.max(...lines.map(({ name }) => name.length));
  return lines.map(({ name, state, words }) => `${SIGNS[state]} ${name.padEnd(width)}  ${printable(words)}`).join('\n');
}

const isIntel = ({ publicKey }: TrustAnchor) => isEqual(publicKey, INTEL_ROOT.publicKey);

export function rootText(anchor: TrustAnchor): string {
  return isIntel(anchor)
    ? anchor.name
    : `${printable(anchor.name)}, which is not Intel's: no hardware stands behind it`;
}

export function rootJson(anchor: TrustAnchor): Json {
  return { name: anchor.name, isIntel: isIntel(anchor) };
}

/** @param facts undefined where the evidence is refused; what was measured may be known then too. */
export function factsText(facts: EvidenceFacts | undefined, measured: Measurements): string {
  const entries: [string, string][] =
    facts === undefined
      ? []
      : [
          ['TCB status', facts.status],
          ['advisories', facts.advisories.join(', ') || 'none'],
          ['valid until', formatTime(BigInt(facts.validUntil))],
        ];
  return fields([...entries, ...Object.entries(measured)].map(([name, value]) => [name, printable(value)] as const));
}

export function factsJson(facts: EvidenceFacts): Json {
  const { status, advisories, behindSince, evaluationNumber, platform, instanceId, validUntil } = facts;
  return {
    tcbStatus: status,
    advisories,
    behindSince: behindSince ?? null,
    evaluationNumber,
    fmspc: platform.fmspc,
    instanceId: instanceId ?? null,
    validUntil,
    validUntilDate: isoTime(BigInt(validUntil)),
  };
}

export function registryJson({ state, era, activeUntil }: RegistryState): Json {
  const until = activeUntil === 0n ? null : Number(activeUntil);
  const date = activeUntil === 0n ? null : isoTime(activeUntil);
  return { state, era: era.toString(), activeUntil: until, activeUntilDate: date };
}

export function eraJson({ number, signer, encryptionKey, apiKey }: EraBinding): Json {
  return {
    era: number.toString(),
    signer: formatAccount(signer),
    encryptionKey: hexOf(encryptionKey),
    apiKey: hexOf(apiKey),
  };
}

/** Without control characters: what an enclave's host says goes to a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
