import {
  BALANCE_RECORD_SCHEMA,
  bytesOf,
  DEAD_MAN_SCHEMA,
  FILL_RECORD_SCHEMA,
  FILLS_QUERY_SCHEMA,
  HEAD_REPLY_SCHEMA,
  HEAD_SCHEMA,
  listSchema,
  RECORDS_FROM_SCHEMA,
  WITHDRAWAL_RECORD_SCHEMA,
  WITHDRAWAL_REPLY_SCHEMA,
  WITHDRAWAL_SCHEMA,
  type WireWithdrawal,
} from '@bitcloak/trading/wire';
import type { FastifyInstance } from 'fastify';
import { answers } from './answers.ts';
import type { DeadMan } from './deadMan.ts';
import type { Desk } from './desk.ts';
import { readSigned } from './orderRoutes.ts';
import { pageOf, type PageQuery } from './pages.ts';
import { Refusal } from './refusal.ts';

export function addAccountRoutes(scope: FastifyInstance, desk: Desk, deadMan: DeadMan): void {
  scope.get(
    '/balances',
    { schema: { response: answers(listSchema('balances', BALANCE_RECORD_SCHEMA)) } },
    async ({ owner }) => ({ balances: desk.state.balances(owner) }),
  );

  scope.get<{ Querystring: PageQuery }>(
    '/fills',
    { schema: { querystring: FILLS_QUERY_SCHEMA, response: answers(listSchema('fills', FILL_RECORD_SCHEMA)) } },
    async ({ owner, query }) => ({ fills: pageOf(desk.state.records.fills(owner), query) }),
  );

  scope.post<{ Body: WireWithdrawal }>(
    '/withdrawals',
    { schema: { body: WITHDRAWAL_SCHEMA, response: answers(WITHDRAWAL_REPLY_SCHEMA) } },
    async ({ owner, body }, reply) => {
      const withdrawal = { clientOrderId: body.clientOrderId, ...readSigned(body) };
      const { reply: answer, isRepeated } = await desk.withdraw(owner, withdrawal);
      void reply.status(isRepeated ? 200 : 201);
      return answer;
    },
  );

  scope.get(
    '/withdrawals',
    { schema: { response: answers(listSchema('withdrawals', WITHDRAWAL_RECORD_SCHEMA)) } },
    async ({ owner }) => ({ withdrawals: desk.state.records.withdrawals(owner) }),
  );

  scope.get('/records', { schema: { response: answers(RECORDS_FROM_SCHEMA) } }, async ({ owner }) =>
    desk.state.recordsFrom(owner),
  );

  scope.get<{ Params: { head: string } }>(
    '/journal/:head',
    { schema: { params: HEAD_SCHEMA, response: answers(HEAD_REPLY_SCHEMA) } },
    async ({ params }) => {
      if (desk.knowsHead(bytesOf(params.head))) return { known: true };
      throw new Refusal(404, 'HEAD_UNKNOWN', 'the journal has no such head, or no longer');
    },
  );

  scope.post<{ Body: { seconds: number } }>(
    '/deadman',
    { schema: { body: DEAD_MAN_SCHEMA, response: answers(DEAD_MAN_SCHEMA) } },
    async ({ owner, body: { seconds } }) => {
      deadMan.set(owner, seconds);
      return { seconds };
    },
  );
}
