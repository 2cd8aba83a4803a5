import type { Command } from 'commander';
import type { InvalidateOptions, RegisterOptions } from './commands/administration.ts';
import type { OperatorOptions } from './operator.ts';
import { examples, type Run } from './programParts.ts';

const collect = (url: string, urls: readonly string[] = []) => [...urls, url];

/** Everything that can be typed by whoever administrates an operator. The wallet's public account is the administrator. */
export function addOperatorCommands(program: Command, run: Run): void {
  const operator = program
    .command('operator')
    .description('administrate an operator: its number, and the keys of its enclave');
  operator
    .command('new')
    .summary('register an operator')
    .description("register an operator, whose administrator is the wallet's public account")
    .addHelpText('after', examples('operator new', 'operator new --wallet ./administrator --json'))
    .action((_options: object, command: Command) =>
      run(command, async (context) => (await import('./commands/administration.ts')).newOperator(context)),
    );
  operator
    .command('register')
    .summary("register the keys of an operator's enclave for its next era")
    .description(
      "check what an enclave shows of itself, have attestors sign for it, and register its keys for the operator's next era. The enclave trades as soon as it sees that.",
    )
    .argument('<url>', "base URL of the enclave's API")
    .option('--operator-number <n>', "the operator's number in the registry; the manifest's unless given")
    .option(
      '--attestor <url>',
      'one that the registry believes, as often as needed; none where it takes quotes itself',
      collect,
    )
    .option('--trust <file>', "which enclaves to trust; the manifest's unless given")
    .option('--for <duration>', 'how long the era is: 20d; nearly 30 days unless given')
    .option('--evidence-for <duration>', 'how long attestors are asked to sign for: 2d; 6d unless given')
    .addHelpText(
      'after',
      examples(
        'operator register http://127.0.0.1:8560 --attestor https://attestor.example --attestor https://other.example',
        'operator register http://127.0.0.1:8560 --operator-number 2 --trust trust.json --for 20d --evidence-for 2d',
      ),
    )
    .action((url: string, options: RegisterOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/administration.ts')).register(context, url, options)),
    );
  operator
    .command('revoke')
    .summary('end the power of a settlement signer')
    .description('end the power of a settlement signer at once and for good, where its key may be known to others')
    .argument('<signer>', 'its address')
    .option('--operator-number <n>', "the operator's number in the registry; the manifest's unless given")
    .addHelpText('after', examples('operator revoke 0x…', 'operator revoke 0x… --operator-number 2 --json'))
    .action((signer: string, options: Pick<OperatorOptions, 'operatorNumber'>, command: Command) =>
      run(command, async (context) => (await import('./commands/administration.ts')).revoke(context, signer, options)),
    );
  operator
    .command('invalidate')
    .summary('end keys whose evidence does not hold any more; anybody may')
    .description(
      "ask attestors whether they still stand by what they signed for an operator's enclave, and where too few do, end the activity of its keys. Open to anybody: the wallet's account pays the gas.",
    )
    .option('--operator-number <n>', "the operator's number in the registry; the manifest's unless given")
    .option('--era <n>', 'the number of the era; the newest one unless given')
    .option('--attestor <url>', 'one that the registry believes, as often as needed', collect)
    .addHelpText(
      'after',
      examples(
        'operator invalidate --attestor https://attestor.example --attestor https://other.example',
        'operator invalidate --operator-number 2 --era 3 --attestor https://attestor.example',
      ),
    )
    .action((options: InvalidateOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/administration.ts')).invalidate(context, options)),
    );
}
