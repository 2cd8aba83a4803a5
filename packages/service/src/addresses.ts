import { isIPv6 } from 'node:net';

const GROUPS = 8;
/** Of a network of 64 bits, which one customer has all addresses of. */
const NETWORK_GROUPS = 4;

/** Who an address counts as: itself, or the network of 64 bits of an IPv6 address. */
export function networkOf(address: string): string {
  const [ip = ''] = address.split('%');
  if (!isIPv6(ip)) return ip;
  // One spelling for each address, with an IPv4 address in it as two groups.
  const canonical = new URL(`http://[${ip}]`).hostname.slice(1, -1);
  if (canonical.startsWith('::ffff:')) return canonical;
  const [head, tail] = canonical.split('::').map((part) => (part === '' ? [] : part.split(':')));
  if (head === undefined || tail === undefined) return canonical.split(':').slice(0, NETWORK_GROUPS).join(':');
  const zeroes = Array.from({ length: GROUPS - head.length - tail.length }, () => '0');
  return [...head, ...zeroes, ...tail].slice(0, NETWORK_GROUPS).join(':');
}
