import {
  AMENDMENT_SCHEMA,
  CANCEL_ALL_REPLY_SCHEMA,
  CANCEL_QUERY_SCHEMA,
  CANCEL_REPLY_SCHEMA,
  decodeSigned,
  listSchema,
  NEW_ORDER_SCHEMA,
  ORDER_NUMBER_SCHEMA,
  ORDER_RECORD_SCHEMA,
  ORDER_REPLY_SCHEMA,
  ORDERBOOK_SCHEMA,
  ORDERS_QUERY_SCHEMA,
  PAIR_SCHEMA,
  type BookLevel,
  type OrderBook,
  type WireAmendment,
  type WireNewOrder,
} from '@bitcloak/trading/wire';
import type { Amendment, SignedOrder } from '@bitcloak/trading/orders';
import type { OrderRecord } from '@bitcloak/trading/records';
import type { FastifyInstance } from 'fastify';
import { answers } from './answers.ts';
import type { Desk } from './desk.ts';
import { pageOf, type PageQuery } from './pages.ts';
import { Refusal, unknownOrder } from './refusal.ts';

type OfOrder = { Params: { id: string } };

/** What is signed comes as texts of numbers. Throws a refusal for numbers that no proof could be made of. */
export function readSigned(wire: Parameters<typeof decodeSigned>[0]): SignedOrder {
  try {
    return decodeSigned(wire);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Refusal(400, 'USAGE', error.message);
  }
}

function readAmendment({ price, lots, order, signature }: WireAmendment): Amendment {
  if (order === undefined || signature === undefined) return { price, lots };
  return { price, lots, ...readSigned({ order, signature }) };
}

export function addOrderRoutes(scope: FastifyInstance, desk: Desk): void {
  scope.post<{ Body: WireNewOrder }>(
    '/orders',
    { schema: { body: NEW_ORDER_SCHEMA, response: answers(ORDER_REPLY_SCHEMA) } },
    async ({ owner, body }, reply) => {
      const { reply: answer, isRepeated } = await desk.submit(owner, { ...body, ...readSigned(body) });
      void reply.status(isRepeated ? 200 : 201);
      return answer;
    },
  );

  scope.patch<OfOrder & { Body: WireAmendment }>(
    '/orders/:id',
    { schema: { params: ORDER_NUMBER_SCHEMA, body: AMENDMENT_SCHEMA, response: answers(ORDER_REPLY_SCHEMA) } },
    ({ owner, params, body }) => desk.amend(owner, Number(params.id), readAmendment(body)),
  );

  scope.delete<OfOrder>(
    '/orders/:id',
    { schema: { params: ORDER_NUMBER_SCHEMA, response: answers(CANCEL_REPLY_SCHEMA) } },
    ({ owner, params }) => desk.cancel(owner, Number(params.id)),
  );

  scope.delete<{ Querystring: { market?: string } }>(
    '/orders',
    { schema: { querystring: CANCEL_QUERY_SCHEMA, response: answers(CANCEL_ALL_REPLY_SCHEMA) } },
    ({ owner, query: { market } }) => desk.cancelAll(owner, market === undefined ? undefined : Number(market)),
  );

  scope.get<OfOrder>(
    '/orders/:id',
    { schema: { params: ORDER_NUMBER_SCHEMA, response: answers(ORDER_RECORD_SCHEMA) } },
    async ({ owner, params }) => {
      const record = desk.state.records.order(owner, Number(params.id));
      if (record === undefined) throw unknownOrder();
      return record;
    },
  );

  scope.get<{ Querystring: PageQuery & { status?: 'open' | 'all' } }>(
    '/orders',
    {
      schema: { querystring: ORDERS_QUERY_SCHEMA, response: answers(listSchema('orders', ORDER_RECORD_SCHEMA)) },
    },
    async ({ owner, query }) => {
      const orders = desk.state.records.orders(owner);
      const meant = query.status === 'all' ? orders : orders.filter(({ status }) => status === 'open');
      return { orders: pageOf(meant, query) };
    },
  );

  scope.get<{ Params: { pair: string } }>(
    '/orderbook/:pair',
    { schema: { params: PAIR_SCHEMA, response: answers(ORDERBOOK_SCHEMA) } },
    async ({ owner, params: { pair } }): Promise<OrderBook> => {
      const market = desk.state.markets().find(({ terms }) => terms.pair === pair)?.terms.market;
      if (market === undefined) throw new Refusal(404, 'USAGE', 'pair: expected one of the markets');
      const open = desk.state.records
        .orders(owner)
        .filter((order) => order.market === market && order.status === 'open');
      const buy = levelsOf(open.filter(({ side }) => side === 'buy')).reverse();
      return { market, pair, buy, sell: levelsOf(open.filter(({ side }) => side === 'sell')) };
    },
  );
}

/** The lowest price first. */
function levelsOf(orders: readonly OrderRecord[]): BookLevel[] {
  const levels = new Map<number, { lots: number; orders: number }>();
  for (const { price, open } of orders) {
    const level = levels.get(price) ?? { lots: 0, orders: 0 };
    levels.set(price, { lots: level.lots + open, orders: level.orders + 1 });
  }
  return [...levels]
    .sort(([left], [right]) => left - right)
    .map(([price, level]) => ({ price, lots: level.lots, orders: level.orders }));
}
