import type { EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import { hasKeys } from '@bitcloak/attestation/json';
import { formatTime, measurementDigest } from '@bitcloak/attestation/policy';
import type { Trust } from '@bitcloak/attestation/trust';
import { verifyEvidence, type Check, type CheckName, type Evidence } from '@bitcloak/attestation/verify';
import { decodeEra, decodeEvidence } from '@bitcloak/attestation/wire';
import { checkCollateral } from '@bitcloak/attestation/collateralCheck';
import { attest, statementOf, withdraw, type Attestation, type AttestorSigner } from '@bitcloak/chain/attestors';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { FreshCollateral, type Collaterals } from './freshCollateral.ts';
import type { KeptStatement, KeptStatements, Withdrawal } from './keptStatements.ts';

export type AttestorOptions = {
  readonly chainId: bigint;
  readonly registry: bigint;
  /** The contract `AttestorQuoteVerifier` that takes its statements. */
  readonly verifier: bigint;
  readonly trust: Trust;
  readonly signer: AttestorSigner;
  /** Has what it signed before. */
  readonly kept: KeptStatements;
  /** Where it gets collateral of its own. */
  readonly collaterals: Collaterals;
  /** Whether the registry rests on a statement, or may still come to; asked only where there is no more room. */
  readonly isInUse: (kept: KeptStatement) => Promise<boolean>;
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

/** What became of all that is kept, at one look. */
export type Recheck = {
  /** Unix seconds. */
  readonly time: number;
  readonly withdrawn: readonly Withdrawn[];
  /** Statements that could not be judged, by the code of what was in the way. */
  readonly unchecked: ReadonlyMap<ErrorCode, number>;
};

/** A statement that was found to hold no more. */
export type Withdrawn = { readonly statement: string; readonly attestation: Attestation; readonly code: ErrorCode };

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

type Judged = Pick<KeptStatement, 'quote' | 'eventLog' | 'evaluationNumber'> &
  Pick<AttestationRequest, 'era' | 'nonce'>;

/** What TCB info and QE identity decide. */
const TCB_CHECKS: readonly CheckName[] = ['qe-identity', 'tdx-module', 'tcb-status'];

/** A chain's clock may be so far behind the attestor's. */
const CHAIN_SECONDS_BEHIND = 900;
/** Between two looks for what the registry has no use of. */
const CLEARING_MS = 60_000;

/** Verifies evidence, signs for what it shows, and says so when it does not hold any more. It knows no enclave before it is asked. */
export class Attestor {
  readonly #options: AttestorOptions;
  readonly #verifier: CollateralVerifier;
  readonly #fresh: FreshCollateral;
  #last: Recheck | undefined;
  #clearing: Promise<void> | undefined;
  #clearedAt = -Infinity;

  constructor(options: AttestorOptions) {
    this.#options = options;
    this.#verifier = new CollateralVerifier(options.trust.anchor);
    this.#fresh = new FreshCollateral(options.collaterals);
  }

  /** Throws `EvidenceRefusal`, and `RATE_LIMITED` where it stands by as much as it can. */
  async attest({ evidence, era, nonce, validUntil }: AttestationRequest): Promise<AttestationReply> {
    const { chainId, registry, verifier, trust, signer, kept, validSecondsMax } = this.#options;
    const clock = this.#options.clock();
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
    const { quote, eventLog } = evidence;
    const { evaluationNumber } = report.facts;
    // Whoever shows evidence chooses its collateral. What would be withdrawn at the next look is not signed.
    const refusal = await this.#judge({ quote, eventLog, evaluationNumber, era, nonce }).catch(() => undefined);
    if (refusal !== undefined) throw refusal;
    const measurement = `0x${measurementDigest(report.facts.measurements)}`;
    const { number, encryptionKey, apiKey } = era;
    const attestation: Attestation = {
      chainId,
      verifier,
      registry,
      operator: era.operator,
      era: { number, signer: era.signer, encryptionKey, apiKey },
      nonce: `0x${nonce}`,
      measurement,
      validUntil: BigInt(validUntil),
    };
    const statement = statementOf(attestation);
    const withdrawn = kept.withdrawal(statement);
    if (withdrawn !== undefined) throw refuse(withdrawn.code, 'this attestor has withdrawn this statement');
    // Before anybody has the signature: what is signed and forgotten could not be withdrawn.
    if (!kept.has(statement)) this.#keep({ attestation, quote, eventLog, evaluationNumber, signedAt: clock });
    return { measurement, signature: await attest(signer, attestation) };
  }

  /** That it does not stand by a statement any more; undefined where it does, or never signed it. @param statement its digest. */
  withdrawal(statement: string): Withdrawal | undefined {
    return this.#options.kept.withdrawal(statement);
  }

  /** What it stands by, for whoever watches it. @returns `checkedAt` unix seconds of the last look; null before the first. */
  get standing(): { kept: number; withdrawn: number; unchecked: number; checkedAt: number | null } {
    const { kept } = this.#options;
    const unchecked = [...(this.#last?.unchecked.values() ?? [])].reduce((sum, count) => sum + count, 0);
    return { kept: kept.count, withdrawn: kept.withdrawnCount, unchecked, checkedAt: this.#last?.time ?? null };
  }

  /**
   * Verifies everything that it signed again, with collateral of its own, and withdraws what does not hold any more. It does so until the statement's own end,
   * whether a registry rests on it or not: nobody who could hide that from it keeps it from looking.
   */
  async recheck(signal?: AbortSignal): Promise<Recheck> {
    const { kept, clock } = this.#options;
    const withdrawn: Withdrawn[] = [];
    const unchecked = new Map<ErrorCode, number>();
    this.#fresh.forget();
    for (const statement of kept.statements()) {
      if (signal?.aborted === true) break;
      if (kept.withdrawal(statement) !== undefined && !this.#isOver(statement)) continue;
      try {
        const found = await this.#recheck(statement);
        if (found !== undefined) withdrawn.push(found);
      } catch (error) {
        const code = codeOf(error);
        unchecked.set(code, (unchecked.get(code) ?? 0) + 1);
      }
    }
    this.#last = { time: clock(), withdrawn, unchecked };
    return this.#last;
  }

  #isOver(statement: string): boolean {
    const { kept, clock } = this.#options;
    return (kept.validUntil(statement) ?? 0) + CHAIN_SECONDS_BEHIND <= clock();
  }

  /** Throws what is in the way of judging it. @returns undefined where it holds. */
  async #recheck(statement: string): Promise<Withdrawn | undefined> {
    const { kept, signer, clock } = this.#options;
    if (this.#isOver(statement)) {
      kept.forget(statement);
      return undefined;
    }
    const found = kept.get(statement);
    if (found === undefined) return undefined;
    const { attestation } = found;
    const { chainId, registry, operator, nonce } = attestation;
    const era = { chainId, registry, operator, ...attestation.era };
    const refusal = await this.#judge({ ...found, era, nonce: nonce.slice(2) });
    if (refusal === undefined) return undefined;
    const { code } = refusal;
    kept.withdraw(statement, { signature: await withdraw(signer, attestation, statement), code, time: clock() });
    return { statement, attestation, code };
  }

  /**
   * Judges evidence by collateral of its own. Throws where that does not come, or is useless or behind, which is not the enclave's fault, and says nothing of it.
   *
   * @returns undefined for evidence that holds.
   */
  async #judge({ quote, eventLog, evaluationNumber, era, nonce }: Judged): Promise<EvidenceRefusal | undefined> {
    const { trust } = this.#options;
    const clock = this.#options.clock();
    const collateral = await this.#fresh.of(quote);
    const known = await checkCollateral(collateral, { tcb: trust.tcb, clock }, this.#verifier);
    const evidence = { quote, collateral, ...(eventLog === undefined ? {} : { eventLog }) };
    const expectations = { ...trust, clock, binding: era, nonce: bytesOfHex(nonce, 'nonce', 32) };
    const report = await verifyEvidence(evidence, expectations, this.#verifier);
    const failed = report.checks.find(({ passed }) => !passed)?.name;
    // A service that is behind may not know yet what the platform runs. Whoever shows evidence chooses the number, so all else counts.
    const isBehind = known.evaluationNumber < evaluationNumber;
    if (isBehind && (failed === undefined || TCB_CHECKS.includes(failed))) {
      throw new BitcloakError('EVIDENCE_EXPIRED', 'the collateral is older than that which the evidence came with');
    }
    if (report.accepted) return undefined;
    // It answered for another kind of platform.
    if (failed === 'platform') throw report.error;
    return new EvidenceRefusal(report.error, report.checks);
  }

  #keep(statement: KeptStatement): void {
    try {
      this.#options.kept.add(statement);
    } catch (error) {
      this.#clear();
      throw error;
    }
  }

  /** Makes room, behind the back of whoever found none. */
  #clear(): void {
    if (this.#clearing !== undefined || performance.now() - this.#clearedAt < CLEARING_MS) return;
    this.#clearing = this.forgetUnused().finally(() => {
      this.#clearedAt = performance.now();
      this.#clearing = undefined;
    });
  }

  /** Forgets what no registry rests on. What cannot be found out stays. */
  async forgetUnused(): Promise<void> {
    const { kept, isInUse } = this.#options;
    for (const statement of kept.statements()) {
      try {
        const found = kept.get(statement);
        if (found !== undefined && !(await isInUse(found))) kept.forget(statement);
      } catch {
        continue;
      }
    }
  }
}

function refuse(code: ErrorCode, message: string, checks: readonly Check[] = []): EvidenceRefusal {
  return new EvidenceRefusal(new BitcloakError(code, message), checks);
}

const codeOf = (error: unknown): ErrorCode => (error instanceof BitcloakError ? error.code : 'ATTESTOR_FAILED');
