import type { TcbInfo } from './collateral.ts';
import type { CollateralVerifier } from './collateralVerifier.ts';
import type { TcbPolicy } from './policy.ts';
import { checkRevocation, checkValidity } from './validity.ts';

/**
 * Checks collateral by itself, whatever quote it is for: that it is signed, valid now and no older than a policy has it. Where this throws the collateral is
 * useless, which says nothing of any quote. Throws what `verifyEvidence` refuses the same collateral for.
 *
 * @param clock unix seconds.
 */
export async function checkCollateral(
  json: unknown,
  { tcb, clock }: { readonly tcb: TcbPolicy; readonly clock: number },
  verifier: CollateralVerifier,
): Promise<TcbInfo> {
  const read = verifier.read(json);
  await verifier.checkSignatures(read);
  checkValidity(read, [], tcb, clock);
  // Not that of the CRL: a quote's own authority is in it, and where that is revoked the quote is what is wrong.
  checkRevocation(read, [read.tcbInfoChain, read.qeIdentityChain]);
  return read.tcbInfo;
}
