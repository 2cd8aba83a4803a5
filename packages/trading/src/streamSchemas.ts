import {
  BALANCE_RECORD_SCHEMA,
  FILL_RECORD_SCHEMA,
  listSchema,
  ORDER_RECORD_SCHEMA,
  WITHDRAWAL_RECORD_SCHEMA,
} from './wire.ts';

const sequence = { type: 'integer', minimum: 0 };
const decimal = BALANCE_RECORD_SCHEMA.properties['total'] as object;
const ids = { type: 'array', items: { type: 'integer', minimum: 1 } };

const strict = (properties: Record<string, object>, optional: Record<string, object> = {}) => ({
  type: 'object',
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});

const list = (items: object) => listSchema('list', items).properties['list'] as object;

/** What a client checks the frames of a stream by. */
export const SNAPSHOT_SCHEMA = strict({
  sequence,
  time: sequence,
  orders: list(ORDER_RECORD_SCHEMA),
  balances: list(BALANCE_RECORD_SCHEMA),
  fills: list(FILL_RECORD_SCHEMA),
  withdrawals: list(WITHDRAWAL_RECORD_SCHEMA),
});

const kind = { type: 'string' };
const report = (fields: Record<string, object>, optional: Record<string, object> = {}) =>
  strict({ sequence, time: sequence, kind, ...fields }, optional);
const ofOrder = report({ order: ORDER_RECORD_SCHEMA });
const ofFill = report({ fill: FILL_RECORD_SCHEMA }, { order: ORDER_RECORD_SCHEMA });
const ofWithdrawal = report({ withdrawal: WITHDRAWAL_RECORD_SCHEMA });
const ofNote = report({ asset: decimal, amount: decimal });

/** By the report's kind. */
export const REPORT_SCHEMAS: ReadonlyMap<unknown, object> = new Map([
  ['accepted', ofOrder],
  ['amended', ofOrder],
  ['reduced', ofOrder],
  ['cancelled', ofOrder],
  ['traded', ofFill],
  ['busted', ofFill],
  ['withdrawing', ofWithdrawal],
  ['withdrawalBusted', ofWithdrawal],
  ['settled', report({ settlement: sequence, fills: ids, withdrawals: ids })],
  ['credited', ofNote],
  ['debited', ofNote],
]);
