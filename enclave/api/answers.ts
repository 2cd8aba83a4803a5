import { ERROR_SCHEMA } from './refusal.ts';

/** The replies of a route, by their status. */
export const answers = (schema: object) => ({ '2xx': schema, '4xx': ERROR_SCHEMA, '5xx': ERROR_SCHEMA });
