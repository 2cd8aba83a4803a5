import { ORDER_TYPES, REASONS, SELF_TRADES, SIDES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';
import { AMOUNT_MAX, ASSET_BITS, FIELD_MODULUS, TIME_MAX } from '@bitcloak/protocol/parameters';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { MarketTerms } from './market.ts';
import type { NewOrder, NewWithdrawal, SignedOrder } from './orders.ts';
import type { AccountSnapshot, BalanceRecord, FillRecord, OrderRecord, Report, WithdrawalRecord } from './records.ts';

/*
 * What a trader and an operator say to each other, as JSON. Amounts are base units and, like field elements, decimal strings; prices and
 * quantities are whole ticks and lots, times whole unix seconds, keys hexadecimal. Schemas reject and never repair; an unknown field is an error.
 */

/** The API's paths begin with it. */
export const API = '/api/v1';

/** 2^53 - 1. */
const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
const CLIENT_ID_PATTERN = '^[A-Za-z0-9_-]{1,36}$';
export const PAIR_PATTERN = '^[A-Z0-9.]{1,12}-[A-Z0-9.]{1,12}$';

const text = (pattern: string, maxLength: number) => ({ type: 'string', maxLength, pattern });
const decimal = text('^(0|[1-9][0-9]{0,77})$', 78);
const hex = (bytes: number) => text(`^[0-9a-f]{${2 * bytes}}$`, 2 * bytes);
const integer = (minimum: number, maximum = INTEGER_MAX) => ({ type: 'integer', minimum, maximum });
const oneOf = (words: readonly string[]) => ({ type: 'string', enum: [...words] });
const clientId = text(CLIENT_ID_PATTERN, 36);
const time = integer(0, Number(TIME_MAX));

type Properties = Record<string, object>;
const strictObject = (properties: Properties, optional: Properties = {}) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});
const listOf = (items: object) => ({ type: 'array', items });

const order = strictObject({
  owner: decimal,
  operatorId: decimal,
  sellAsset: decimal,
  buyAsset: decimal,
  sellMax: decimal,
  buyMin: decimal,
  expiry: decimal,
  payTo: decimal,
  relockExpiry: decimal,
  salt: decimal,
});
const signature = strictObject({ r8x: decimal, r8y: decimal, s: decimal });

export const NEW_ORDER_SCHEMA = strictObject(
  {
    clientOrderId: clientId,
    market: integer(0),
    side: oneOf(SIDES),
    type: oneOf(ORDER_TYPES),
    price: integer(1),
    lots: integer(1),
    timeInForce: oneOf(TIMES_IN_FORCE),
    selfTrade: oneOf(SELF_TRADES),
    order,
    signature,
  },
  {
    expiry: time,
    postOnly: { type: 'boolean' },
    display: integer(1),
    minimumTotal: integer(1),
    minimumMatch: integer(1),
  },
);
export const AMENDMENT_SCHEMA = {
  ...strictObject({ price: integer(1), lots: integer(1) }, { order, signature }),
  dependencies: { order: ['signature'], signature: ['order'] },
};
export const WITHDRAWAL_SCHEMA = strictObject({ clientOrderId: clientId, order, signature });
export const DEAD_MAN_SCHEMA = strictObject({ seconds: integer(0, 3_600) });

export const ORDER_RECORD_SCHEMA = strictObject(
  {
    id: integer(1),
    clientOrderId: clientId,
    market: integer(0),
    side: oneOf(SIDES),
    type: oneOf(ORDER_TYPES),
    timeInForce: oneOf(TIMES_IN_FORCE),
    selfTrade: oneOf(SELF_TRADES),
    postOnly: { type: 'boolean' },
    display: integer(0),
    minimumTotal: integer(0),
    minimumMatch: integer(0),
    price: integer(1),
    lots: integer(1),
    filled: integer(0),
    open: integer(0),
    status: oneOf(['open', 'filled', 'cancelled']),
    expiry: time,
    time,
  },
  { reason: oneOf(REASONS) },
);
const settling = { status: oneOf(['waiting', 'settled', 'busted']), settlement: integer(0) };
export const FILL_RECORD_SCHEMA = strictObject({
  id: integer(1),
  order: integer(1),
  market: integer(0),
  side: oneOf(SIDES),
  role: oneOf(['maker', 'taker']),
  price: integer(1),
  lots: integer(1),
  sold: decimal,
  bought: decimal,
  fee: decimal,
  time,
  ...settling,
});
export const WITHDRAWAL_RECORD_SCHEMA = strictObject({
  id: integer(1),
  clientOrderId: clientId,
  asset: decimal,
  amount: decimal,
  fee: decimal,
  time,
  ...settling,
});
export const BALANCE_RECORD_SCHEMA = strictObject({
  asset: decimal,
  total: decimal,
  available: decimal,
  held: decimal,
  waiting: decimal,
});
export const MARKET_SCHEMA = strictObject({
  market: integer(0),
  pair: text(PAIR_PATTERN, 25),
  base: decimal,
  quote: decimal,
  lotBase: decimal,
  tickQuote: decimal,
  makerFee: integer(0),
  takerFee: integer(0),
  ticksMax: integer(1),
  lotsMin: integer(1),
  lotsMax: integer(1),
  trading: { type: 'boolean' },
});
export const INFO_SCHEMA = strictObject({
  chainId: decimal,
  pool: decimal,
  registry: decimal,
  operator: integer(1),
  operatorId: decimal,
  era: decimal,
  encryptionKey: hex(32),
  apiKey: hex(32),
  time,
  settleSeconds: integer(1),
  orderSecondsMax: integer(1),
  lockSecondsMax: integer(1),
  withdrawalFees: listOf(strictObject({ asset: decimal, fee: decimal })),
});
export const listSchema = (name: string, items: object) => strictObject({ [name]: listOf(items) });

export const RECORDS_FROM_SCHEMA = strictObject({
  orders: integer(1),
  fills: integer(1),
  withdrawals: integer(1),
  settlement: integer(1),
});

/** To an order that is let in or amended: `fills` are those that it made at once, `head` is a head of the journal that has it. */
export const ORDER_REPLY_SCHEMA = strictObject({
  order: ORDER_RECORD_SCHEMA,
  fills: listOf(FILL_RECORD_SCHEMA),
  head: hex(32),
});
export const CANCEL_REPLY_SCHEMA = strictObject({ order: ORDER_RECORD_SCHEMA, head: hex(32) });
/** `cancelled`: how many orders were. */
export const CANCEL_ALL_REPLY_SCHEMA = strictObject({ cancelled: integer(0), head: hex(32) });
export const WITHDRAWAL_REPLY_SCHEMA = strictObject({ withdrawal: WITHDRAWAL_RECORD_SCHEMA, head: hex(32) });
const level = strictObject({ price: integer(1), lots: integer(1), orders: integer(1) });
/** The owner's own open orders of a market, the best price first. */
export const ORDERBOOK_SCHEMA = strictObject({
  market: integer(0),
  pair: text(PAIR_PATTERN, 25),
  buy: listOf(level),
  sell: listOf(level),
});
export const HEAD_REPLY_SCHEMA = strictObject({ known: { type: 'boolean' } });

// What stands in paths and queries is text.
export const ORDER_NUMBER_SCHEMA = strictObject({ id: text('^[1-9][0-9]{0,14}$', 15) });
export const PAIR_SCHEMA = strictObject({ pair: text(PAIR_PATTERN, 25) });
export const HEAD_SCHEMA = strictObject({ head: hex(32) });
/** The records after a number, the oldest first, at most PAGE_MAX of them. */
const page = { after: text('^(0|[1-9][0-9]{0,14})$', 15), limit: text('^([1-9][0-9]{0,2}|1000)$', 4) };
export const PAGE_MAX = 1_000;
export const ORDERS_QUERY_SCHEMA = strictObject({}, { status: oneOf(['open', 'all']), ...page });
export const FILLS_QUERY_SCHEMA = strictObject({}, page);
export const CANCEL_QUERY_SCHEMA = strictObject({}, { market: text('^(0|[1-9][0-9]{0,4})$', 5) });

/** What a market is to those who trade in it. */
export type MarketInfo = MarketTerms & {
  readonly ticksMax: number;
  readonly lotsMin: number;
  readonly lotsMax: number;
  readonly trading: boolean;
};

/** What an operator says of itself. The registry on the chain says which of it is true. */
export type OperatorInfo = {
  readonly chainId: bigint;
  readonly pool: bigint;
  readonly registry: bigint;
  readonly operator: number;
  readonly operatorId: bigint;
  readonly era: bigint;
  /** X25519: what deposits are told to, and what sessions are opened with. */
  readonly encryptionKey: Uint8Array;
  readonly apiKey: Uint8Array;
  /** Of the newest block that counts, unix seconds. */
  readonly time: number;
  /** An order leaves the book so long before it ends, for its fills to be settled in. */
  readonly settleSeconds: number;
  /** The longest life of an order, and of a lock that is credited. */
  readonly orderSecondsMax: number;
  readonly lockSecondsMax: number;
  /** Base units that a withdrawal of an asset costs. */
  readonly withdrawalFees: ReadonlyMap<bigint, bigint>;
};

/** What a client asks for when it opens a stream: its first frame. */
export type StreamRequest = {
  /** The last report that it has; from the newest state on unless given. */
  readonly after?: number;
  /** Whether its owner's orders are cancelled when the stream ends. */
  readonly cancelOnDisconnect?: boolean;
};
export const STREAM_REQUEST_SCHEMA = strictObject({}, { after: integer(0), cancelOnDisconnect: { type: 'boolean' } });

/** Why the operator ends a stream: the code of the WebSocket's close. */
export const STREAM_CLOSE = {
  /** It shuts down. */
  goingAway: 1001,
  /** The first frame is none of an open session, or a frame came too late. */
  refused: 4001,
  /** A frame that is not one of those that a client may send. */
  unexpected: 4003,
  /** The client does not read fast enough; it can go on where it stopped, with `after`. */
  slow: 4008,
  /** The owner has as many streams as he may have. */
  tooMany: 4029,
} as const;

/** What a client may say on a stream, now and then, to show that it lives. */
export const ALIVE_FRAME = '{"kind":"alive"}';

/** `snapshot` comes first where the reports after `after` are not all there any more, or none was named. */
export type StreamBody =
  | { readonly kind: 'snapshot'; readonly snapshot: AccountSnapshot }
  | { readonly kind: 'report'; readonly report: Report };

// JSON knows no bigint: every record is written by one rule, and read by naming the fields that are one.

/** JSON of a record: bigints as decimal strings, bytes as hexadecimal, maps as they are named. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? field.toString() : field));
}

type Wire<T> = { [Key in keyof T]: T[Key] extends bigint ? string : T[Key] };

const AMOUNT_FIELDS = new Set([
  'asset',
  'amount',
  'fee',
  'sold',
  'bought',
  'total',
  'available',
  'held',
  'waiting',
  'base',
  'quote',
  'lotBase',
  'tickQuote',
]);

/** Reads a reply that a schema has checked, or an operator that is trusted with it: decimal strings of amounts become bigints. */
function reviveAmounts<T>(value: unknown): T {
  if (Array.isArray(value)) return value.map((item) => reviveAmounts<unknown>(item)) as T;
  if (typeof value !== 'object' || value === null) return value as T;
  const entries = Object.entries(value).map(([key, field]): [string, unknown] =>
    AMOUNT_FIELDS.has(key) && typeof field === 'string' ? [key, BigInt(field)] : [key, reviveAmounts(field)],
  );
  return Object.fromEntries(entries) as T;
}

export const decodeOrderRecord = (json: unknown) => reviveAmounts<OrderRecord>(json);
export const decodeFillRecord = (json: unknown) => reviveAmounts<FillRecord>(json);
export const decodeWithdrawalRecord = (json: unknown) => reviveAmounts<WithdrawalRecord>(json);
export const decodeBalanceRecord = (json: unknown) => reviveAmounts<BalanceRecord>(json);
export const decodeMarket = (json: unknown) => reviveAmounts<MarketInfo>(json);
export const decodeOrderReply = (json: unknown) => reviveAmounts<OrderReply>(json);
export const decodeWithdrawalReply = (json: unknown) => reviveAmounts<WithdrawalReply>(json);
export const decodeStreamBody = (json: unknown) => reviveAmounts<StreamBody>(json);

type WireSigned = {
  readonly order: { readonly [Key in keyof SignedOrder['order']]: string };
  readonly signature: { readonly r8x: string; readonly r8y: string; readonly s: string };
};
export type WireNewOrder = Omit<NewOrder, keyof SignedOrder> & WireSigned;
export type WireAmendment = { readonly price: number; readonly lots: number } & Partial<WireSigned>;
export type WireWithdrawal = Omit<NewWithdrawal, keyof SignedOrder> & WireSigned;
export type OrderReply = { readonly order: OrderRecord; readonly fills: readonly FillRecord[]; readonly head: string };
export type CancelReply = { readonly order: OrderRecord; readonly head: string };
export type CancelAllReply = { readonly cancelled: number; readonly head: string };
export type WithdrawalReply = { readonly withdrawal: WithdrawalRecord; readonly head: string };
export type BookLevel = { readonly price: number; readonly lots: number; readonly orders: number };
export type OrderBook = {
  readonly market: number;
  readonly pair: string;
  readonly buy: readonly BookLevel[];
  readonly sell: readonly BookLevel[];
};
export function encodeSignature({ r8, s }: SignedOrder['signature']): WireSigned['signature'] {
  return { r8x: r8.x.toString(), r8y: r8.y.toString(), s: s.toString() };
}

export function encodeSigned({ order: signed, signature: mark }: SignedOrder): WireSigned {
  const fields = Object.entries(signed).map(([key, value]) => [key, value.toString()]);
  return { order: Object.fromEntries(fields) as WireSigned['order'], signature: encodeSignature(mark) };
}

/** Throws RangeError naming a field that is out of the range that the circuit allows it. */
function inRange(name: string, value: string, max: bigint): bigint {
  const number = BigInt(value);
  if (number > max) throw new RangeError(`${name}: expected at most ${max}`);
  return number;
}

export function decodeSignature({ r8x, r8y, s }: WireSigned['signature']): SignedOrder['signature'] {
  const field = (name: string, value: string) => inRange(name, value, FIELD_MODULUS - 1n);
  return { r8: { x: field('r8x', r8x), y: field('r8y', r8y) }, s: field('s', s) };
}

/** Throws RangeError for what no fill could be proven of, whoever signed it. */
export function decodeSigned({ order: wire, signature: mark }: WireSigned): SignedOrder {
  const field = (name: keyof typeof wire) => inRange(name, wire[name], FIELD_MODULUS - 1n);
  const asset = (name: keyof typeof wire) => inRange(name, wire[name], (1n << BigInt(ASSET_BITS)) - 1n);
  const amount = (name: keyof typeof wire) => inRange(name, wire[name], AMOUNT_MAX);
  const seconds = (name: keyof typeof wire) => inRange(name, wire[name], TIME_MAX);
  return {
    order: {
      owner: field('owner'),
      operatorId: field('operatorId'),
      sellAsset: asset('sellAsset'),
      buyAsset: asset('buyAsset'),
      sellMax: amount('sellMax'),
      buyMin: amount('buyMin'),
      expiry: seconds('expiry'),
      payTo: field('payTo'),
      relockExpiry: seconds('relockExpiry'),
      salt: field('salt'),
    },
    signature: decodeSignature(mark),
  };
}

export const hexOf = (bytes: Uint8Array) => bytesToHex(bytes);
export const bytesOf = (digits: string) => hexToBytes(digits);

export function encodeInfo(info: OperatorInfo): object {
  const { encryptionKey, apiKey, withdrawalFees, ...rest } = info;
  return {
    ...rest,
    encryptionKey: hexOf(encryptionKey),
    apiKey: hexOf(apiKey),
    withdrawalFees: [...withdrawalFees].map(([asset, fee]) => ({ asset, fee })),
  };
}

/** Of JSON that fits INFO_SCHEMA. */
export function decodeInfo(json: unknown): OperatorInfo {
  const wire = json as Wire<Omit<OperatorInfo, 'encryptionKey' | 'apiKey' | 'withdrawalFees'>> & {
    encryptionKey: string;
    apiKey: string;
    withdrawalFees: { asset: string; fee: string }[];
  };
  return {
    ...wire,
    chainId: BigInt(wire.chainId),
    pool: BigInt(wire.pool),
    registry: BigInt(wire.registry),
    operatorId: BigInt(wire.operatorId),
    era: BigInt(wire.era),
    encryptionKey: bytesOf(wire.encryptionKey),
    apiKey: bytesOf(wire.apiKey),
    withdrawalFees: new Map(wire.withdrawalFees.map(({ asset, fee }) => [BigInt(asset), BigInt(fee)])),
  };
}
