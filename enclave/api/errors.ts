import type { FastifyError, FastifyInstance, FastifyReply, FastifyServerOptions } from 'fastify';
import { failed, Refusal, toRefusal } from './refusal.ts';

/** What went wrong inside a request, as the places in the program alone: a message could hold what was asked. */
export type ApiReport = { readonly kind: 'requestFailed'; readonly name: string; readonly at: readonly string[] };

const STACK_LINES = 4;

/** What the service that listens and the one behind the seal have in common. */
export const STRICT: FastifyServerOptions = {
  // A request log would say who trades when.
  logger: false,
  exposeHeadRoutes: false,
  return503OnClosing: false,
  // Fastify's own settings would drop unknown fields and turn numbers into strings.
  ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
  frameworkErrors: (error, _request, reply) => {
    answer(error, reply);
  },
};

/** Errors of one form, whoever throws them. */
export function answerErrors(app: FastifyInstance, report: (line: ApiReport) => void): void {
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const { code } = answer(error, reply);
    if (code === failed().code && !(error instanceof Refusal)) report(failureOf(error));
  });
}

/** Where something failed. */
export function failureOf({ name, stack = '' }: Error): ApiReport {
  const at = stack.split('\n').filter((line) => line.startsWith('    at '));
  return { kind: 'requestFailed', name, at: at.slice(0, STACK_LINES).map((line) => line.trim()) };
}

function answer(error: FastifyError, reply: FastifyReply): Refusal {
  const refusal = toRefusal(error);
  void reply.status(refusal.status).send(bodyOf(refusal));
  return refusal;
}

export function bodyOf({ code, message, reason }: Refusal): object {
  return { code, message, reason };
}
