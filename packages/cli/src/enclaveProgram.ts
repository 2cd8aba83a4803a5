import type { Command } from 'commander';
import type { EnclaveOptions } from './commands/enclave.ts';
import { examples, type Run } from './programParts.ts';

/** Everything that can be typed to look at enclaves. */
export function addEnclaveCommands(program: Command, run: Run): void {
  const enclave = program.command('enclave').description("look at an operator's enclave");
  enclave
    .command('verify')
    .summary('check what an enclave shows of itself')
    .description(
      "check what an operator's enclave shows of itself: whether it runs on a right machine, with a program that is trusted, and has the keys that the registry holds. Needs no wallet.",
    )
    .argument('[url]', "base URL of the operator's API; the manifest's unless given")
    .option('--operator-number <n>', "the operator's number in the registry; the manifest's unless given")
    .option('--trust <file>', "which enclaves to trust; the manifest's unless given")
    .addHelpText(
      'after',
      examples('enclave verify', 'enclave verify http://127.0.0.1:8560 --operator-number 2 --trust trust.json --json'),
    )
    .action((url: string | undefined, options: EnclaveOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/enclave.ts')).verify(context, url, options)),
    );
}
