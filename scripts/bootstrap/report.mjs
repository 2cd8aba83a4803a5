// What set-up has to tell goes to stderr, so that a program's own output stays clean enough to be parsed.

/** A failure that the reader can do something about: shown as one line, without a stack. */
export class SetupError extends Error {}

/** Set-up was stopped by a signal; the status is the one a shell gives for it. */
export class SetupInterrupted extends Error {
  /** @param {number} status */
  constructor(status) {
    super(`interrupted with status ${status}`);
    this.status = status;
  }
}

/** @param {string} line */
export function say(line) {
  process.stderr.write(`bootstrap: ${line}\n`);
}

/**
 * The first line of a failure, for messages that must stay one line.
 * @param {unknown} error
 */
export function firstLine(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n')[0] ?? '';
}
