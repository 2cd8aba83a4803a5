import type { Collateral } from '@bitcloak/attestation/collateral';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import {
  verifyEvidence,
  type Check,
  type Evidence,
  type EvidenceFacts,
  type Expectations,
} from '@bitcloak/attestation/verify';
import type { ErrorCode } from '@bitcloak/protocol/errors';

/* What Node and a page both do, so that one can be compared with the other. It is bundled for the page: nothing here is Node's alone. */

/** All that a report says, in a form that goes from a page to its test. */
export type Judgement = {
  readonly accepted: boolean;
  readonly code: ErrorCode | undefined;
  readonly checks: readonly Check[];
  readonly facts: EvidenceFacts | undefined;
};

/** A bit of the quote, or of a character of a text of the collateral. */
export type Flip = { readonly field: 'quote' | keyof Collateral; readonly offset: number; readonly bit: number };

export async function judge(
  evidence: Evidence,
  expectations: Expectations,
  verifier = new CollateralVerifier(expectations.anchor),
): Promise<Judgement> {
  const report = await verifyEvidence(evidence, expectations, verifier);
  const { accepted, checks } = report;
  return {
    accepted,
    code: accepted ? undefined : report.error.code,
    checks,
    facts: accepted ? report.facts : undefined,
  };
}

/** The same evidence again and again, each time with another bit of it flipped. */
export async function judgeFlips(
  evidence: Evidence,
  expectations: Expectations,
  flips: readonly Flip[],
): Promise<Judgement[]> {
  const verifier = new CollateralVerifier(expectations.anchor);
  const judgements: Judgement[] = [];
  for (const flip of flips) judgements.push(await judge(flipped(evidence, flip), expectations, verifier));
  return judgements;
}

function flipped(evidence: Evidence, { field, offset, bit }: Flip): Evidence {
  if (field === 'quote') {
    const quote = evidence.quote.slice();
    quote[offset] = (quote[offset] ?? 0) ^ (1 << bit);
    return { ...evidence, quote };
  }
  const text = evidence.collateral[field];
  const character = String.fromCharCode(text.charCodeAt(offset) ^ (1 << bit));
  const altered = text.slice(0, offset) + character + text.slice(offset + 1);
  return { ...evidence, collateral: { ...evidence.collateral, [field]: altered } };
}
