import { BitcloakError, ERROR_EXIT_CODES, shownWords, type ErrorCode } from '@bitcloak/protocol/errors';

/** What an operator refuses, with its own code where that is one of ours, and its reason where it gives one. */
export class OperatorRefusal extends BitcloakError {
  /** The HTTP status. */
  readonly status: number;
  /** Why an order is refused, in the words of the exchange. */
  readonly reason: string | undefined;
  /** Whether the enclave itself said so. Anybody on the way can say anything else, after the request was done too. */
  readonly authenticated: boolean;

  constructor(code: ErrorCode, message: string, said: { status: number; reason?: string; authenticated: boolean }) {
    super(code, message);
    this.name = 'OperatorRefusal';
    this.status = said.status;
    this.reason = said.reason;
    this.authenticated = said.authenticated;
  }
}

/** It may be that the operator did what was asked, and it may be that it did not. */
export class OutcomeUnknown extends BitcloakError {
  /** The client's name of what was asked, where it has one: asking again with it, or looking for it, tells. */
  readonly clientOrderId: string | undefined;

  constructor(message: string, clientOrderId: string | undefined, cause: unknown) {
    super('OUTCOME_UNKNOWN', message, { cause });
    this.name = 'OutcomeUnknown';
    this.clientOrderId = clientOrderId;
  }
}

/** What comes as an answer of the enclave, and cannot be one. */
export function forged(why: string): BitcloakError {
  return new BitcloakError('REPLY_FORGED', `this is no reply of the operator's enclave: ${why}`);
}

const word = (value: unknown) =>
  typeof value === 'string' && /^[A-Za-z][A-Za-z0-9_]{0,40}$/.test(value) ? value : undefined;

/** In the operator's own words. */
export function refusalOf(status: number, text: string, authenticated: boolean): OperatorRefusal {
  const json = parseJson(text);
  const [code, reason] = [word(json?.code), word(json?.reason)];
  const message = typeof json?.message === 'string' ? json.message : 'no reason given';
  const because = reason === undefined ? '' : ` (${reason})`;
  const said = { status, authenticated, ...(reason === undefined ? {} : { reason }) };
  return new OperatorRefusal(codeOf(code), `the operator refuses: ${shownWords(message)}${because}`, said);
}

function parseJson(text: string): { code?: unknown; message?: unknown; reason?: unknown } | null {
  try {
    return JSON.parse(text) as { code?: unknown; message?: unknown; reason?: unknown } | null;
  } catch {
    // It stays a refusal by its status.
    return null;
  }
}

/** Only what refuses something to a trader: the same text in another reply must not pass for a broken key file. */
function codeOf(code: string | undefined): ErrorCode {
  const exitCode =
    code !== undefined && Object.hasOwn(ERROR_EXIT_CODES, code) ? ERROR_EXIT_CODES[code as ErrorCode] : 0;
  return exitCode === ERROR_EXIT_CODES.OPERATOR_REFUSED ? (code as ErrorCode) : 'OPERATOR_REFUSED';
}
