import type { EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import { hasKeys } from '@bitcloak/attestation/json';
import { formatTime, measurementDigest } from '@bitcloak/attestation/policy';
import type { Trust } from '@bitcloak/attestation/trust';
import { verifyEvidence, type Check, type Evidence } from '@bitcloak/attestation/verify';
import { decodeEra, decodeEvidence } from '@bitcloak/attestation/wire';
import { attest, type Attestation, type AttestorSigner } from '@bitcloak/chain/attestors';
import { BitcloakError } from '@bitcloak/protocol/errors';

export type AttestorOptions = {
  readonly chainId: bigint;
  readonly registry: bigint;
  /** The contract `AttestorQuoteVerifier` that takes its statements. */
  readonly verifier: bigint;
  readonly trust: Trust;
  readonly signer: AttestorSigner;
  /** The longest time for which it says that evidence holds. */
  readonly validSecondsMax: number;
  /** Unix seconds. */
  readonly clock: () => number;
};

/** What an enclave asks for. */
export type AttestationRequest = {
  readonly evidence: Evidence;
  readonly era: EraBinding;
  /** 32 bytes in lowercase hex: of the block that the registry is told. */
  readonly nonce: string;
  /** Unix seconds; all attestors have to sign the same. */
  readonly validUntil: number;
};

export type AttestationReply = { readonly measurement: string; readonly signature: string };

/** Evidence that an attestor does not sign for, with what was found. */
export class EvidenceRefusal extends BitcloakError {
  readonly checks: readonly Check[];

  constructor(error: BitcloakError, checks: readonly Check[]) {
    super(error.code, error.message);
    this.checks = checks;
  }
}

/** Throws `EVIDENCE_MALFORMED`. */
export function decodeRequest(json: unknown): AttestationRequest {
  if (!hasKeys(json, ['evidence', 'era', 'nonce', 'validUntil'])) {
    throw new BitcloakError('EVIDENCE_MALFORMED', 'expected evidence, era, nonce, validUntil');
  }
  const { nonce, validUntil } = json;
  if (typeof nonce !== 'string') throw new BitcloakError('EVIDENCE_MALFORMED', 'nonce: expected lowercase hex');
  bytesOfHex(nonce, 'nonce', 32);
  if (typeof validUntil !== 'number' || !Number.isSafeInteger(validUntil) || validUntil < 0) {
    throw new BitcloakError('EVIDENCE_MALFORMED', 'validUntil: expected unix seconds');
  }
  return { evidence: decodeEvidence(json.evidence), era: decodeEra(json.era), nonce, validUntil };
}

/** Verifies evidence, and signs for what it shows. It keeps nothing, and knows no enclave before it is asked. */
export class Attestor {
  readonly #options: AttestorOptions;
  readonly #verifier: CollateralVerifier;

  constructor(options: AttestorOptions) {
    this.#options = options;
    this.#verifier = new CollateralVerifier(options.trust.anchor);
  }

  /** Throws `EvidenceRefusal`. */
  async attest({ evidence, era, nonce, validUntil }: AttestationRequest): Promise<AttestationReply> {
    const { chainId, registry, verifier, trust, signer, validSecondsMax } = this.#options;
    const clock = this.#options.clock();
    const refuse = (code: 'BINDING_REFUSED' | 'EVIDENCE_EXPIRED', message: string, checks: readonly Check[] = []) => {
      return new EvidenceRefusal(new BitcloakError(code, message), checks);
    };
    if (era.chainId !== chainId || era.registry !== registry) {
      throw refuse('BINDING_REFUSED', 'era: this attestor signs for another chain or registry');
    }
    const nonceBytes = bytesOfHex(nonce, 'nonce', 32);
    const report = await verifyEvidence(evidence, { ...trust, clock, binding: era, nonce: nonceBytes }, this.#verifier);
    if (!report.accepted) throw new EvidenceRefusal(report.error, report.checks);
    const latest = Math.min(clock + validSecondsMax, report.facts.validUntil);
    if (validUntil <= clock || validUntil > latest) {
      const message = `validUntil: expected at most ${formatTime(latest)}, and later than now`;
      throw refuse('EVIDENCE_EXPIRED', message, report.checks);
    }
    const measurement = `0x${measurementDigest(report.facts.measurements)}`;
    const { number, encryptionKey, apiKey } = era;
    const statement: Attestation = {
      chainId,
      verifier,
      registry,
      operator: era.operator,
      era: { number, signer: era.signer, encryptionKey, apiKey },
      nonce: `0x${nonce}`,
      measurement,
      validUntil: BigInt(validUntil),
    };
    return { measurement, signature: await attest(signer, statement) };
  }
}
