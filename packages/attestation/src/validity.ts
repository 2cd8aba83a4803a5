import { BitcloakError } from '@bitcloak/protocol/errors';
import { isEqual, untrusted } from './bytes.ts';
import type { Certificate } from './certificates.ts';
import type { ReadCollateral } from './collateralVerifier.ts';
import type { Crl } from './crl.ts';
import { formatTime, type TcbPolicy } from './policy.ts';

/** When something holds: from `from` on, until before `until`, unix seconds. */
type Period = { readonly field: string; readonly from: number; readonly until: number };

/**
 * Throws `EVIDENCE_EXPIRED` for anything that is not valid at the clock: certificates, CRLs, TCB info, QE identity; or older than the policy has it.
 *
 * @returns unix seconds at which the first of them stops being valid.
 */
export function checkValidity(
  read: ReadCollateral,
  pckChain: readonly Certificate[],
  policy: TcbPolicy,
  clock: number,
): number {
  const { tcbInfo, qeIdentity, rootCrl, pckCrl } = read;
  const aged = policy.collateralSecondsMax;
  const periods: readonly Period[] = [
    ...certificatePeriods(pckChain, 'PCK chain'),
    ...certificatePeriods(read.tcbInfoChain, 'chain of the TCB info'),
    ...certificatePeriods(read.qeIdentityChain, 'chain of the QE identity'),
    ...certificatePeriods(read.crlChain, 'chain of the PCK CRL'),
    { field: 'root CRL', from: rootCrl.thisUpdate, until: rootCrl.nextUpdate },
    { field: 'PCK CRL', from: pckCrl.thisUpdate, until: pckCrl.nextUpdate },
    { field: 'TCB info', from: tcbInfo.issued, until: tcbInfo.nextUpdate },
    { field: 'QE identity', from: qeIdentity.issued, until: qeIdentity.nextUpdate },
    // The root's CRL is issued once a year, the others at least once a month.
    { field: 'PCK CRL by its age', from: pckCrl.thisUpdate, until: pckCrl.thisUpdate + aged + 1 },
    { field: 'TCB info by its age', from: tcbInfo.issued, until: tcbInfo.issued + aged + 1 },
    { field: 'QE identity by its age', from: qeIdentity.issued, until: qeIdentity.issued + aged + 1 },
  ];
  for (const { field, from, until } of periods) {
    // Written so that a time which is no number refuses.
    if (!(from <= clock && clock < until)) {
      const period = `${formatTime(from)} to ${formatTime(until)}`;
      throw new BitcloakError('EVIDENCE_EXPIRED', `${field}: valid from ${period}, not at ${formatTime(clock)}`);
    }
  }
  return Math.min(...periods.map(({ until }) => until));
}

function certificatePeriods(chain: readonly Certificate[], field: string): Period[] {
  return chain.map(({ notBefore, notAfter }, index) => ({
    field: `${field}, certificate ${index + 1}`,
    from: notBefore,
    until: notAfter + 1,
  }));
}

/**
 * Looks up every certificate of these chains in its issuer's list, the root in its own. Throws `EVIDENCE_REVOKED`, and `EVIDENCE_UNTRUSTED` for a certificate
 * that neither list is for.
 */
export function checkRevocation(read: ReadCollateral, chains: readonly (readonly Certificate[])[]): void {
  const [authority, root] = read.crlChain;
  const lists: readonly (readonly [Crl, Certificate | undefined])[] = [
    [read.pckCrl, authority],
    [read.rootCrl, root],
  ];
  for (const chain of chains) {
    for (const [index, certificate] of chain.entries()) {
      const issuer = chain[index + 1] ?? certificate;
      const list = lists.find(
        ([crl, signer]) =>
          crl.issuer === certificate.issuer && signer !== undefined && isEqual(signer.publicKey, issuer.publicKey),
      );
      if (list === undefined) throw untrusted(`${certificate.commonName}: there is no CRL of its issuer`);
      if (list[0].revoked.has(certificate.serial)) {
        throw new BitcloakError('EVIDENCE_REVOKED', `${certificate.commonName} ${certificate.serial} is revoked`);
      }
    }
  }
}
