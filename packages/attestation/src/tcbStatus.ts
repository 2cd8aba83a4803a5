/** What Intel says of a platform, from best to worst. */
export const TCB_STATUSES = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const;

export type TcbStatus = (typeof TCB_STATUSES)[number];

/** What it says of a part: the quoting enclave, or the TDX module. */
export const PART_STATUSES = ['UpToDate', 'OutOfDate', 'Revoked'] as const satisfies readonly TcbStatus[];

export type PartStatus = (typeof PART_STATUSES)[number];

/** A platform's status together with that of one of its parts. */
export function converge(platform: TcbStatus, part: PartStatus): TcbStatus {
  if (part === 'Revoked') return 'Revoked';
  if (part === 'UpToDate') return platform;
  switch (platform) {
    case 'UpToDate':
    case 'SWHardeningNeeded':
      return 'OutOfDate';
    case 'ConfigurationNeeded':
    case 'ConfigurationAndSWHardeningNeeded':
      return 'OutOfDateConfigurationNeeded';
    case 'OutOfDate':
    case 'OutOfDateConfigurationNeeded':
    case 'Revoked':
      return platform;
  }
}
