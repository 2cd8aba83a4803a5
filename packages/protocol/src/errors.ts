/** Every error that a user or a program can meet, by its stable code, with the exit code of the command line. */
export const ERROR_EXIT_CODES = {
  // What was asked for is malformed.
  USAGE: 2,
  ADDRESS_INVALID: 2,
  AMOUNT_INVALID: 2,
  ASSET_INVALID: 2,
  VIEWING_KEY_INVALID: 2,
  MNEMONIC_INVALID: 2,
  OPERATOR_ID_INVALID: 2,
  LOCK_INVALID: 2,
  // The wallet file.
  WALLET_EXISTS: 3,
  WALLET_MISSING: 3,
  WALLET_CORRUPT: 3,
  WALLET_BUSY: 3,
  WALLET_WATCH_ONLY: 3,
  PASSPHRASE_WRONG: 3,
  PASSPHRASE_MISSING: 3,
  PASSPHRASE_SHORT: 3,
  // The chain and its endpoint.
  ENDPOINT_UNREACHABLE: 4,
  ENDPOINT_INCONSISTENT: 4,
  NETWORK_UNKNOWN: 4,
  NETWORK_RESTARTED: 4,
  CHAIN_MISMATCH: 4,
  TRANSACTION_FAILED: 4,
  // The account has used the number of what was sent for something else.
  TRANSACTION_REPLACED: 4,
  // What the wallet holds does not do.
  BALANCE_INSUFFICIENT: 5,
  NOTES_WAITING: 5,
  NOTES_SCATTERED: 5,
  NOTE_LOCKED: 5,
  // An earlier transfer may still land, and what is asked for does not exclude it.
  TRANSFER_PENDING: 5,
  DEPOSITS_PAUSED: 5,
  GAS_INSUFFICIENT: 5,
  // The relayer.
  RELAYER_UNREACHABLE: 6,
  RELAYER_REFUSED: 6,
  RELAYER_FEE_EXCESSIVE: 6,
  FEE_INSUFFICIENT: 6,
  // Proofs and keys.
  KEY_MISMATCH: 7,
  KEY_REFUSED: 7,
  STATEMENT_FALSE: 7,
  PROOF_INVALID: 7,
  PROVER_FAILED: 7,
  // The prover that was asked for is not there.
  PROVER_UNAVAILABLE: 7,
  // What a witness generator made does not fit the key.
  WITNESS_REFUSED: 7,
  DEVELOPMENT_ONLY: 8,
  // The enclave's journal.
  JOURNAL_CORRUPT: 9,
  JOURNAL_ROLLED_BACK: 9,
  JOURNAL_BUSY: 9,
  JOURNAL_FAILED: 9,
  JOURNAL_CLOSED: 9,
  // What an attestor keeps of what it signed.
  STATEMENTS_CORRUPT: 9,
  STATEMENTS_BUSY: 9,
  // The operator, as those who trade with it meet it.
  OPERATOR_UNREACHABLE: 10,
  // What answers there is no enclave.
  ENCLAVE_MISSING: 10,
  OPERATOR_MISMATCH: 10,
  OPERATOR_REFUSED: 10,
  REPLY_FORGED: 10,
  OUTCOME_UNKNOWN: 10,
  // What the operator's enclave says itself. No such session can be opened, or none is open.
  SESSION_REFUSED: 10,
  // The request is not its session's, or was made before.
  REQUEST_REFUSED: 10,
  // The exchange does not take it; the reason says why.
  ORDER_REFUSED: 10,
  // The order was let in, and cancelled at once without a trade.
  ORDER_CANCELLED: 10,
  // The owner has no such order.
  ORDER_UNKNOWN: 10,
  // The journal has no such head, or no longer.
  HEAD_UNKNOWN: 10,
  RATE_LIMITED: 10,
  // It starts, stops, or has as much to do as it takes on.
  ENCLAVE_BUSY: 10,
  ENCLAVE_FAILED: 10,
  // The machine that the enclave runs on gives it no keys or no quote.
  TEE_FAILED: 10,
  // The registry holds no active era with the enclave's keys.
  ERA_INACTIVE: 10,
  // Evidence of an enclave.
  EVIDENCE_MALFORMED: 11,
  // A version or kind that no check is written for.
  EVIDENCE_UNSUPPORTED: 11,
  EVIDENCE_UNTRUSTED: 11,
  EVIDENCE_REVOKED: 11,
  // It is not valid yet, or no longer.
  EVIDENCE_EXPIRED: 11,
  TCB_REFUSED: 11,
  MEASUREMENT_REFUSED: 11,
  BINDING_REFUSED: 11,
  COLLATERAL_UNREACHABLE: 11,
  ATTESTOR_FAILED: 11,
} as const;

export type ErrorCode = keyof typeof ERROR_EXIT_CODES;

/** An error with a stable code. Its message names the field, what was expected and what came, and never a secret. */
export class BitcloakError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BitcloakError';
    this.code = code;
  }
}

const SHOWN_CHARACTERS_MAX = 300;

/** Somebody else's words, cut and without control characters: they go to a terminal, or into a log. */
export function shownWords(text: string): string {
  return text.slice(0, SHOWN_CHARACTERS_MAX).replaceAll(/[^\x20-\x7e]/g, '?');
}
