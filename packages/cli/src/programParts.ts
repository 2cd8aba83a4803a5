import { Option, type Command } from 'commander';
import type { Context } from './context.ts';
import { COMMAND } from './invocation.ts';
import type { Result } from './output.ts';

/** Runs what a command does. */
export type Run = (command: Command, work: (context: Context) => Promise<Result>) => Promise<void>;

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${COMMAND} ${line}`).join('\n')}`;
}

export function addRouteOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--relayer [url]',
        "send through a relayer, the manifest's unless given; the default where there is one",
      ).conflicts('direct'),
    )
    .addOption(
      new Option('--fee-max <amount>', 'most that the relayer may take; else its fee is shown and asked for').conflicts(
        'direct',
      ),
    )
    .option('--direct', 'send from the public account, which the chain then shows');
}
