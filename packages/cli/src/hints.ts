import { COMMAND } from './invocation.ts';

const LOOK_AT_ENCLAVE = `${COMMAND} enclave verify shows each check of the enclave, and what fails.`;

const OPERATOR_HINT =
  'Another URL can be named: --operator-url URL, or the argument of enclave verify. Without the operator your funds come home when their lock ends.';

const HINTS: Readonly<Record<string, string>> = {
  ENDPOINT_UNREACHABLE:
    'The endpoint is that of the manifest, or --endpoint URL; for the devnet, npm start must be running.',
  TRANSACTION_REPLACED:
    'The public account is used elsewhere too: what was asked for did not happen, and can be asked for again.',
  NOTES_WAITING: `${COMMAND} wallet balance shows the wait; ${COMMAND} keeper --once ends it where the bucket can be closed.`,
  NOTES_SCATTERED: `A payment spends at most two notes: ${COMMAND} merge TOKEN joins small ones.`,
  NOTE_LOCKED: `${COMMAND} wallet notes shows the locks; ${COMMAND} reclaim takes home what has expired.`,
  TRANSFER_PENDING: `${COMMAND} merge TOKEN --direct spends its notes to this wallet itself, so that it can never land; once that is inserted, anything can be paid again.`,
  GAS_INSUFFICIENT: `${COMMAND} wallet account shows what is there; on a development chain ${COMMAND} faucet gives some.`,
  RELAYER_REFUSED: `Where it says that a note is spent or a root unknown, an endpoint has lied: ${COMMAND} sync --again --endpoint URL reads everything again, from another one.`,
  RELAYER_UNREACHABLE:
    'Another relayer can be named with --relayer URL; --direct needs none, and shows your public account.',
  SESSION_REFUSED: `An operator knows an account once it has seen a deposit to it: ${COMMAND} trade open makes one, and a few blocks must pass.`,
  OUTCOME_UNKNOWN: `${COMMAND} trade orders --all shows what became of it.`,
  OPERATOR_MISMATCH: LOOK_AT_ENCLAVE,
  EVIDENCE_MALFORMED: LOOK_AT_ENCLAVE,
  EVIDENCE_UNSUPPORTED: LOOK_AT_ENCLAVE,
  EVIDENCE_UNTRUSTED: LOOK_AT_ENCLAVE,
  EVIDENCE_REVOKED: LOOK_AT_ENCLAVE,
  EVIDENCE_EXPIRED: LOOK_AT_ENCLAVE,
  TCB_REFUSED: LOOK_AT_ENCLAVE,
  MEASUREMENT_REFUSED: LOOK_AT_ENCLAVE,
  BINDING_REFUSED: LOOK_AT_ENCLAVE,
  RELAYER_FEE_EXCESSIVE: `${COMMAND} relayer-info shows what the relayer asks.`,
};

/** What was typed, as far as it was understood. */
export type Typed = {
  /** The words of the command, such as "trade order"; none where no command was. */
  readonly command: string;
  /** The directory of --wallet, where it was given. */
  readonly wallet: string | undefined;
};

/** What to do about an error, for people. */
export function hintFor(code: string, { command, wallet }: Typed): string | undefined {
  switch (code) {
    case 'USAGE':
      return `${[COMMAND, ...(command === '' ? [] : [command])].join(' ')} --help shows what can be typed.`;
    case 'WALLET_MISSING':
      return wallet === undefined
        ? `Make one with ${COMMAND} wallet new, or name another with --wallet.`
        : `Make one there with ${COMMAND} --wallet ${quoted(wallet)} wallet new, or name another place.`;
    case 'OPERATOR_UNREACHABLE':
      return /^trade (cancel|amend)$/.test(command)
        ? `${COMMAND} trade cancel ID --on-chain takes an order back without the operator.`
        : OPERATOR_HINT;
    case 'BALANCE_INSUFFICIENT':
      // What a public account has is not read from events.
      return command === 'deposit'
        ? undefined
        : `Should there be more? An endpoint can hide a note: ${COMMAND} sync --again --endpoint URL reads everything again, from another one.`;
    case 'WALLET_BUSY':
      return `Stop it (a bot with Ctrl-C, or kill with its number), or use another wallet with --wallet. ${COMMAND} trade orders, fills, balances, cancel and watch work beside it.`;
    default:
      return HINTS[code];
  }
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
