import { BitcloakError } from '@bitcloak/protocol/errors';
import { TIME_MAX } from '@bitcloak/protocol/parameters';

const UNITS = [
  { letter: 'w', name: undefined, seconds: 604_800n },
  { letter: 'd', name: 'd', seconds: 86_400n },
  { letter: 'h', name: 'h', seconds: 3_600n },
  { letter: 'm', name: 'min', seconds: 60n },
  { letter: 's', name: 's', seconds: 1n },
] as const;

/** Seconds as the two largest units that are not 0: "6 d 23 h", "40 s". */
export function formatDuration(seconds: bigint): string {
  let rest = seconds;
  const parts: string[] = [];
  for (const { name, seconds: unit } of UNITS) {
    if (name === undefined) continue;
    const count = rest / unit;
    if (count > 0n || parts.length > 0) parts.push(count > 0n ? `${count} ${name}` : '');
    rest %= unit;
    if (parts.length === 2) break;
  }
  return parts.filter((part) => part !== '').join(' ') || '0 s';
}

/** Unix seconds (below 2^40) as a date. */
export function formatTime(seconds: bigint): string {
  return `${isoTime(seconds).slice(0, 19).replace('T', ' ')} UTC`;
}

export function isoTime(seconds: bigint): string {
  return new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z');
}

/** Such as 90s, 30m, 12h, 7d, 2w or 1d12h, in seconds. */
export function parseDuration(text: string): bigint {
  const match = /^(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$/.exec(text);
  const seconds = UNITS.reduce((sum, unit, index) => sum + BigInt(match?.[index + 1] ?? 0) * unit.seconds, 0n);
  if (match === null || seconds === 0n || seconds > TIME_MAX) {
    throw new BitcloakError('USAGE', `duration: expected such as 30m, 12h, 7d or 1d12h, got ${text}`);
  }
  return seconds;
}

/** Unix seconds, or a date with or without a time (2026-12-01, 2026-12-01T12:00Z), which is UTC where it names no other zone. */
export function parseTime(text: string): bigint {
  const invalid = () =>
    new BitcloakError('USAGE', `time: expected unix seconds or a date such as 2026-12-01T12:00Z, got ${text}`);
  if (/^\d{9,13}$/.test(text)) {
    const seconds = BigInt(text);
    if (seconds > TIME_MAX) throw invalid();
    return seconds;
  }
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?)? ?(Z|UTC|[+-]\d\d:\d\d)?$/.exec(text);
  if (match === null) throw invalid();
  const [, day = '', time = '00:00', seconds = ':00', zone = 'Z'] = match;
  const local = `${day}T${time}${seconds}`;
  // The engine takes 30 February for 2 March.
  const written = new Date(`${local}Z`);
  if (Number.isNaN(written.getTime()) || written.toISOString().slice(0, 19) !== local) throw invalid();
  const milliseconds = Date.parse(`${local}${zone === 'UTC' ? 'Z' : zone}`);
  if (!(milliseconds > 0)) throw invalid();
  return BigInt(Math.floor(milliseconds / 1000));
}
