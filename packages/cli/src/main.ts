import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import process from 'node:process';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { CommanderError, type Command } from 'commander';
import { Context, type GlobalOptions } from './context.ts';
import { failureOf, interrupted } from './errors.ts';
import { hintFor } from './hints.ts';
import { surviveClosedPipes, writeFailure, writeResult, type Result } from './output.ts';
import { buildProgram } from './program.ts';

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A terminal and a parent process may both pass on one Ctrl-C; a second one that is meant comes later. */
const SAME_SIGNAL_MS = 500;
const CLOSE_MS_MAX = 1_000;

const words = process.argv.slice(2);
const asJson = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined).includes('--json');

/** The command that is running; there is one. */
let running: Context | undefined;
/** The innermost command that was understood of what was typed. */
let typed: Command | undefined;
/** Whether the result or the one failure has been told. What then still fails was in the way of the end. */
let ended = false;

async function run(command: Command, work: (context: Context) => Promise<Result>): Promise<void> {
  typed = command;
  const context = new Context(command.optsWithGlobals<GlobalOptions>());
  running = context;
  let result: Result;
  try {
    result = await work(context);
    context.progress.clear();
  } finally {
    context.progress.abandon();
    await context.close();
  }
  if (ended) return;
  ended = true;
  writeResult(result, asJson);
  if (result.error === undefined) return;
  const failure = failureOf(result.error);
  if (!asJson) writeFailure(failure, false, undefined);
  process.exitCode = failure.exitCode;
}

function fail(error: unknown): void {
  if (ended) return;
  ended = true;
  const failure = failureOf(error);
  const hint = hintFor(failure.code, { command: wordsOf(typed), wallet: running?.options.wallet });
  writeFailure(failure, asJson, hint);
  if (process.env['BITCLOAK_DEBUG'] !== undefined) console.error(error);
  process.exitCode = failure.exitCode;
}

/** A command as it is typed, without the program. */
function wordsOf(command: Command | undefined): string {
  const above = command?.parent ?? undefined;
  return command === undefined || above === undefined ? '' : `${wordsOf(above)} ${command.name()}`.trim();
}

/** Has every command say that it was the one that was mistyped. */
function keepWhatFails(command: Command): void {
  command.exitOverride((error) => {
    typed = command;
    throw error;
  });
  for (const inner of command.commands) keepWhatFails(inner);
}

/** Mistakes in what was typed. The argument itself is not repeated: somebody may have pasted a recovery phrase. */
function usageError({ code, message }: CommanderError): BitcloakError {
  if (code === 'commander.excessArguments') return new BitcloakError('USAGE', 'too many arguments');
  if (code === 'commander.help') return new BitcloakError('USAGE', 'a command is needed');
  const said = message.replace(/^error: /, '').replace(/(--[a-z-]+)=[^']*/g, '$1');
  return new BitcloakError('USAGE', said);
}

/** @returns what takes it back. */
function onSignals(): () => void {
  let last = 0;
  const onSignal = async (signal: (typeof ENDING_SIGNALS)[number]) => {
    const repeated = performance.now() - last < SAME_SIGNAL_MS;
    last = performance.now();
    if (repeated) return;
    const exitCode = 128 + constants.signals[signal];
    if (running?.interrupt() === true) {
      process.exitCode = exitCode;
      return;
    }
    running?.progress.abandon();
    fail(interrupted(exitCode));
    // Files are written whole and the chain keeps what was sent: only the wallet's lock is to be given back, and that at once.
    await Promise.race([running?.close(), new Promise((done) => setTimeout(done, CLOSE_MS_MAX))]);
    process.exit();
  };
  const onEnd = (name: NodeJS.Signals) => void onSignal(name as (typeof ENDING_SIGNALS)[number]);
  const onUncaught = (error: Error) => {
    fail(error);
    process.exit();
  };
  for (const signal of ENDING_SIGNALS) process.on(signal, onEnd);
  process.on('uncaughtException', onUncaught);
  return () => {
    for (const signal of ENDING_SIGNALS) process.off(signal, onEnd);
    process.off('uncaughtException', onUncaught);
  };
}

async function main(): Promise<void> {
  surviveClosedPipes();
  const ignoreSignals = onSignals();
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  // `fail` writes the one error that comes out of here.
  const output = { outputError: () => undefined, ...(asJson ? { writeErr: () => undefined } : {}) };
  const program = buildProgram(version, output, run, async () => {
    // A service ends in its own way.
    ignoreSignals();
    await import('@bitcloak/attestor/server');
  });
  keepWhatFails(program);
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) fail(error);
    else if (error.exitCode !== 0) fail(usageError(error));
  }
}

await main();
