import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';

/** Why the service does not do what was asked, with the HTTP status that says so. */
export class Refusal extends BitcloakError {
  readonly status: number;

  constructor(status: number, code: ErrorCode, message: string) {
    super(code, message);
    this.status = status;
  }
}

/** What a client is told of any failure. Messages that were not written for a client stay inside: they can name the operator's endpoint. */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof BitcloakError && ['ENDPOINT_UNREACHABLE', 'ENDPOINT_INCONSISTENT'].includes(error.code)) {
    return new Refusal(503, 'ENDPOINT_UNREACHABLE', 'the relayer has no answer from its endpoint; try again later');
  }
  return new Refusal(500, 'RELAYER_REFUSED', 'the relayer failed; nothing is known to have been sent');
}
