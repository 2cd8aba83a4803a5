import { BitcloakError, ERROR_EXIT_CODES, type ErrorCode } from '@bitcloak/protocol/errors';
import type { FastifyError } from 'fastify';
import type { Refusal as Reason } from '../exchange/commands.ts';

/** Why the enclave does not do what was asked, with the HTTP status that says so. */
export class Refusal extends BitcloakError {
  readonly status: number;
  /** Of the exchange, where it is the one that refuses. */
  readonly reason: Reason | undefined;

  constructor(status: number, code: ErrorCode, message: string, reason?: Reason) {
    super(code, message);
    this.status = status;
    this.reason = reason;
  }
}

export const ERROR_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['code', 'message'],
  properties: {
    code: { type: 'string', enum: Object.keys(ERROR_EXIT_CODES) },
    message: { type: 'string' },
    reason: { type: 'string' },
  },
};

/** What a client reads where the exchange says only a word. */
const SENTENCES: Readonly<Record<Reason, string>> = {
  marketUnknown: 'there is no market of that number',
  marketExists: 'there is a market of that number already',
  marketInvalid: 'the rules of the market are out of range',
  tradingHalted: 'the market does not trade now; orders can be cancelled and made smaller',
  accountInvalid: 'no more accounts can trade',
  codeInvalid: 'a word of the order is not one that the engine knows',
  priceInvalid: 'the price is out of the range of the market',
  lotsInvalid: 'the quantity is out of the range of the market, or not more than what was filled',
  notionalInvalid: 'price times quantity is too large',
  displayInvalid: 'the shown part of an iceberg is at most the order and at least a thousandth of it',
  minimumInvalid: 'a minimum is larger than what can execute',
  expiryInvalid: 'a gtd order has an expiry in the future, and no other order has one',
  combinationInvalid: 'these terms of an order exclude each other',
  postOnlyLimited:
    'too many post-only orders were refused in this hour because they would trade; try again in the next',
  settlementBusy: 'as much waits to be settled as can be settled in time; try again later',
  eraEnding: 'the registry would not let the enclave settle it in time; try again when its evidence is renewed',
  wouldTrade: 'the order is post-only and would trade on arrival',
  engineFull: 'the books are full; try again later',
  orderUnknown: 'no such order is open',
  notOwner: 'no such order is open',
  timeInvalid: 'the time is not later than the one before',
  rulesInvalid: 'the rules of the exchange are out of range',
  ownerUnknown: 'the order is not of the owner of the session, or no note of his was found yet',
  signatureInvalid: 'the signature is not the owner’s, of this order',
  operatorUnknown: 'the order was signed for another operator',
  orderInvalid: 'the order is out of the ranges that can be proven',
  orderCancelled: 'the owner is taking the order back on the chain',
  orderRepeated: 'the same signed order came before, under another client order id or for something else',
  clientOrderIdTaken: 'another order came under this client order id before',
  ordersTooMany: 'too many signed orders of the owner are open, unsettled or not expired',
  orderNotCovered: 'the signed terms do not allow every trade that the order could make, all fees included',
  orderTooShort: 'the order ends before its trades can be settled',
  orderTooLong: 'the order ends later than the operator takes on',
  relockInvalid: 'the proceeds would be locked until a time that is past or too late',
  fundsInsufficient: 'the notes of the owner, less what other orders hold, do not pay for it',
  withdrawalInvalid: 'a withdrawal sells an asset for itself, more of it than the fee',
  batchPending: 'a batch is being settled',
};

/** Every word that the exchange may refuse something with. */
export const REFUSAL_REASONS = Object.keys(SENTENCES) as Reason[];

const STATUSES: ReadonlyMap<Reason, number> = new Map<Reason, number>([
  ['ownerUnknown', 403],
  ['clientOrderIdTaken', 409],
  ['orderRepeated', 409],
  ['ordersTooMany', 429],
  ['engineFull', 503],
  ['eraEnding', 503],
]);

/** What a client is told of an order that he does not have: the same whether another owner has it or nobody. */
export function unknownOrder(): Refusal {
  return new Refusal(404, 'ORDER_UNKNOWN', SENTENCES.orderUnknown);
}

export function refusalFor(reason: Reason): Refusal {
  if (reason === 'orderUnknown' || reason === 'notOwner') return unknownOrder();
  return new Refusal(STATUSES.get(reason) ?? 422, 'ORDER_REFUSED', SENTENCES[reason], reason);
}

/** Messages that were not written for a client stay inside. */
export function failed(): Refusal {
  return new Refusal(500, 'ENCLAVE_FAILED', 'the enclave failed; ask again for what became of it');
}

/** What is refused before a handler runs has Fastify's errors: a schema's message names the field, never its value. */
export function toRefusal(error: FastifyError): Refusal {
  if (error instanceof Refusal) return error;
  const { statusCode } = error;
  return statusCode === undefined || statusCode >= 500 ? failed() : new Refusal(statusCode, 'USAGE', error.message);
}
