import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';

/** A line of JSON for whoever runs the service. */
export function print(line: object): void {
  console.log(JSON.stringify(line));
}

/** Whoever ends a whole process group has a process told by npm, too, which passes signals on. */
const SAME_SIGNAL_MS = 1_000;

/** Calls back once, when the process is told to stop. What tells it later again ends it at once. */
export function onStop(stop: () => void): void {
  let isTold = false;
  const told = () => {
    if (isTold) return;
    isTold = true;
    setTimeout(() => process.off('SIGINT', told).off('SIGTERM', told), SAME_SIGNAL_MS).unref();
    stop();
  };
  process.on('SIGINT', told).on('SIGTERM', told);
}

/**
 * Runs a service, or says how with `--help`. What it throws ends the process with the error's code; of an error that is none of the project's nothing is said,
 * since that could hold anything.
 *
 * @param name for people, as in `the relayer`.
 */
export async function runService(name: string, help: string, serve: () => Promise<void>): Promise<void> {
  if (process.argv.includes('--help')) {
    console.log(help);
    return;
  }
  try {
    await serve();
  } catch (error) {
    const known = error instanceof BitcloakError;
    console.error(known ? `${error.code}: ${error.message}` : `${name} failed to start`);
    // What was opened before the failure would keep the process.
    process.exit(known ? ERROR_EXIT_CODES[error.code] : 1);
  }
}
