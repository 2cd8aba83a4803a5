import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';

/** The user ended the command: by Ctrl-C or a signal, or by saying no. */
export class Stopped extends Error {
  readonly code: 'INTERRUPTED' | 'CANCELLED';
  readonly exitCode: number;

  constructor(code: 'INTERRUPTED' | 'CANCELLED', message: string, exitCode: number) {
    super(message);
    this.name = 'Stopped';
    this.code = code;
    this.exitCode = exitCode;
  }
}

const EXIT_CODE_SIGINT = 130;

export function interrupted(exitCode = EXIT_CODE_SIGINT): Stopped {
  const message = 'ended by a signal; what was already sent to the chain counts, and the next command finds it there';
  return new Stopped('INTERRUPTED', message, exitCode);
}

/** What is shown of an error, and the exit code that it stands for. */
export type Failure = {
  readonly code: string;
  readonly message: string;
  readonly exitCode: number;
  /** Of an operator's refusal, in the words of its exchange. */
  readonly reason?: string;
};

export function failureOf(error: unknown): Failure {
  if (error instanceof BitcloakError) {
    const { code, message } = error;
    const { reason } = error as { reason?: unknown };
    return { code, message, exitCode: ERROR_EXIT_CODES[code], ...(typeof reason === 'string' ? { reason } : {}) };
  }
  if (error instanceof Stopped) return { code: error.code, message: error.message, exitCode: error.exitCode };
  return { code: 'INTERNAL', message: `${describe(error)}; BITCLOAK_DEBUG=1 shows where`, exitCode: 1 };
}

/** The text of an error that nobody foresaw may hold anything, keys included. That of the operating system names a call and a path. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unexpected failure';
  if ('syscall' in error) return error.message;
  return `unexpected failure (${error.name})`;
}
