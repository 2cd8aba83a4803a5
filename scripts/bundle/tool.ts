import { BitcloakError, ERROR_EXIT_CODES } from '@bitcloak/protocol/errors';

/** Where the user is, who may have started this through npm. */
export const USER_DIRECTORY = process.env['INIT_CWD'] ?? process.cwd();

/** Runs a tool, or says how with `--help`. An error of the project's is one line, and the exit status that belongs to it. */
export async function runTool(usage: string, work: () => Promise<void> | void): Promise<void> {
  if (process.argv.includes('--help')) {
    console.log(usage);
    return;
  }
  try {
    await work();
  } catch (error) {
    const failure = isOptionError(error) ? new BitcloakError('USAGE', error.message) : error;
    if (!(failure instanceof BitcloakError)) throw failure;
    console.error(`${failure.code}: ${failure.message}`);
    process.exitCode = ERROR_EXIT_CODES[failure.code];
  }
}

/** Of an option that a tool does not have, or that lacks its value. */
function isOptionError(error: unknown): error is Error {
  return error instanceof TypeError && String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS_');
}
