import { BitcloakError } from '@bitcloak/protocol/errors';
import { isEqual, isZero, untrusted } from './bytes.ts';
import type { Level, QeIdentity, SvnLevel, TcbInfo, TdxModule } from './collateral.ts';
import type { Platform } from './pck.ts';
import type { EnclaveReport, TdReport } from './quote.ts';
import { converge, type PartStatus, type TcbStatus } from './tcbStatus.ts';

/** How a platform or a part of it stands against what Intel has published. */
export type Standing<Status = TcbStatus> = {
  readonly status: Status;
  /** Intel's names of what is known against this level. */
  readonly advisories: readonly string[];
  /** Unix seconds: when what is in use was overtaken. Undefined where it is up to date. */
  readonly behindSince: number | undefined;
};

/**
 * The standing of the level at `index` of a list with the newest first. It was overtaken when the oldest of the newer levels came: each further one
 * finds it behind already, and must not begin the time anew.
 */
function standingAt<Status>(levels: readonly Level<Status>[], index: number): Standing<Status> | undefined {
  const level = levels[index];
  if (level === undefined) return undefined;
  const { status, advisories, date } = level;
  if (status === 'UpToDate') return { status, advisories, behindSince: undefined };
  const overtaken = levels.slice(0, index).flatMap((newer) => (newer.date > date ? [newer.date] : []));
  return { status, advisories, behindSince: overtaken.length === 0 ? date : Math.min(...overtaken) };
}

function standingOfSvn(levels: readonly SvnLevel[], isvSvn: number, field: string): Standing<PartStatus> {
  const standing = standingAt(
    levels,
    levels.findIndex((level) => isvSvn >= level.isvSvn),
  );
  if (standing === undefined) throw unsupported(`${field} of security version ${isvSvn} is none that Intel lists`);
  return standing;
}

function unsupported(what: string): BitcloakError {
  return new BitcloakError('TCB_REFUSED', `TCB: ${what}`);
}

function isMasked(value: Uint8Array, mask: Uint8Array, expected: Uint8Array): boolean {
  return isEqual(
    value.map((byte, index) => byte & (mask[index] ?? 0xff)),
    expected,
  );
}

/** Throws `EVIDENCE_UNTRUSTED` for another enclave than Intel's quoting enclave for TDX, `TCB_REFUSED` for one that is older than all that are listed. */
export function qeStanding(report: EnclaveReport, identity: QeIdentity): Standing<PartStatus> {
  const refuse = (field: string) => {
    throw untrusted(`quoting enclave: its ${field} is not that of the QE identity`);
  };
  if (!isEqual(report.mrSigner, identity.mrSigner)) refuse('MRSIGNER');
  if (report.isvProdId !== identity.isvProdId) refuse('ISVPRODID');
  if (!isMasked(report.miscSelect, identity.miscSelectMask, identity.miscSelect)) refuse('MISCSELECT');
  if (!isMasked(report.attributes, identity.attributesMask, identity.attributes)) refuse('attributes');
  return standingOfSvn(identity.levels, report.isvSvn, 'the quoting enclave');
}

/**
 * Modules of major version 0 have their security version among the platform's components; newer ones have an identity of their own. Throws
 * `EVIDENCE_UNTRUSTED` for a module that is not Intel's, `TCB_REFUSED` for one that is older than all that are listed.
 */
export function moduleStanding(report: TdReport, info: TcbInfo): Standing<PartStatus> {
  const [isvSvn = 0, version = 0] = report.teeTcbSvn;
  if (version === 0) {
    checkModule(report, info.module);
    return { status: 'UpToDate', advisories: [], behindSince: undefined };
  }
  const id = `TDX_${version.toString(16).padStart(2, '0').toUpperCase()}`;
  const identity = info.moduleIdentities.find((entry) => entry.id === id);
  if (identity === undefined) throw untrusted(`TDX module: Intel lists no ${id} for this platform`);
  checkModule(report, identity);
  return standingOfSvn(identity.levels, isvSvn, 'the TDX module');
}

function checkModule(report: TdReport, module: TdxModule): void {
  if (!isEqual(report.mrSignerSeam, module.mrSigner))
    throw untrusted('TDX module: its signer is not the one that Intel lists');
  if (!isZero(report.seamAttributes) || !isMasked(report.seamAttributes, module.attributesMask, module.attributes)) {
    throw untrusted('TDX module: its attributes are not those that Intel lists');
  }
}

/** Throws `TCB_REFUSED` for a platform that is older than all levels. */
export function platformStanding({ components, pceSvn }: Platform, report: TdReport, info: TcbInfo): Standing {
  const reaches = (own: ArrayLike<number>, wanted: readonly number[], from: number) =>
    wanted.every((svn, index) => index < from || (own[index] ?? -1) >= svn);
  // Of a module with an identity of its own, the first two components are that identity's business.
  const firstTdx = (report.teeTcbSvn[1] ?? 0) > 0 ? 2 : 0;
  const index = info.levels.findIndex(
    (level) =>
      reaches(components, level.sgxComponents, 0) &&
      pceSvn >= level.pceSvn &&
      reaches(report.teeTcbSvn, level.tdxComponents, firstTdx),
  );
  const standing = standingAt(info.levels, index);
  if (standing === undefined) throw unsupported('the platform reaches none of the levels that Intel lists');
  return standing;
}

/** The platform and its parts as one: never better than any of them, and behind since the first of them is. */
export function mergedStanding(platform: Standing, ...parts: readonly Standing<PartStatus>[]): Standing {
  const all = [platform, ...parts];
  const behind = all.flatMap(({ behindSince }) => (behindSince === undefined ? [] : [behindSince]));
  return {
    status: parts.reduce((status, part) => converge(status, part.status), platform.status),
    advisories: [...new Set(all.flatMap(({ advisories }) => advisories))].sort(),
    behindSince: behind.length === 0 ? undefined : Math.min(...behind),
  };
}
