import type { Rate } from './rates.ts';

/** What the API takes on. */
export type ApiLimits = {
  /** Requests, and streams opened, of one address, or one IPv6 network of 64 bits, in a minute. */
  readonly addressPerMinute: number;
  /** Sessions that one address may try to open in a minute: each costs the check of a signature. */
  readonly openingsPerMinute: number;
  /** Quotes that one address may ask for in a minute. */
  readonly attestationsPerMinute: number;
  /** Authenticated requests and streams of one owner; a long answer counts as several. */
  readonly owner: Rate;
  readonly connections: number;
  /** Of one address or IPv6 network, those of its streams too. Where there are trusted proxies it is for them to count. */
  readonly connectionsPerAddress: number;
  /** Of one owner, and in all; beyond them the oldest goes. */
  readonly sessionsPerOwner: number;
  readonly sessions: number;
  readonly streamsPerOwner: number;
  /** Streams whose client did not say yet who it is, in all and of one address or IPv6 network; beyond them the oldest goes. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
  /** What may wait for the client of a stream to read it. */
  readonly streamBytes: number;
  /** The same of all streams together; beyond it those go that are behind for longest. */
  readonly streamBytesAll: number;
  readonly helloMs: number;
  /** Between two looks whether the client of a stream still answers. */
  readonly pingMs: number;
};

/** An answer counts as one more request for every so many bytes of it. */
const REQUEST_BYTES = 16_384;

/** What an answer of so many bytes takes of its owner's rate, after the request itself. */
export const costOf = (bytes: number) => Math.floor(bytes / REQUEST_BYTES);

export const API_LIMITS: ApiLimits = {
  addressPerMinute: 6_000,
  openingsPerMinute: 60,
  attestationsPerMinute: 20,
  owner: { perSecond: 100, burst: 200 },
  connections: 10_000,
  connectionsPerAddress: 256,
  sessionsPerOwner: 16,
  sessions: 10_000,
  streamsPerOwner: 8,
  strangers: 500,
  strangersPerAddress: 50,
  streamBytes: 2_097_152,
  streamBytesAll: 268_435_456,
  helloMs: 5_000,
  pingMs: 15_000,
};
