import { parseArgs } from 'node:util';
import type { Json } from '@bitcloak/cli/output';

/** What can be set on a benchmark's command line, each with what it is when it is not. */
export type OptionTable = Readonly<Record<string, { readonly default: string; readonly help: string }>>;

/** What a benchmark measured: for programs, and as text for people. */
export type Report = { readonly parameters: Json; readonly results: Json; readonly text: string };

/** Progress for people; never on standard output. */
export type Say = (line: string) => void;

export type Run = (options: Options, say: Say) => Promise<Report>;

/** A mistake on the command line. */
export class UsageError extends Error {}

/** The options that a benchmark was started with. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string {
    return String(this.#values[name]);
  }

  /** A whole number of 1 or more. */
  count(name: string): number {
    const text = this.text(name);
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--${name}: expected a number from 1 on, got ${text}`);
    return Number(text);
  }
}

/** Reads the words after a benchmark's name. */
export function parseOptions(words: readonly string[], table: OptionTable): { options: Options; json: boolean } {
  const named = Object.entries(table).map(
    ([name, option]) => [name, { type: 'string', default: option.default }] as const,
  );
  try {
    const { values } = parseArgs({
      args: [...words],
      options: { ...Object.fromEntries(named), json: { type: 'boolean', default: false } },
    });
    return { options: new Options(values), json: values.json === true };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
