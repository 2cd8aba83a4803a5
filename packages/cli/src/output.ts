import process from 'node:process';
import type { BitcloakError } from '@bitcloak/protocol/errors';
import type { Failure } from './errors.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [field: string]: Json | undefined };

/** What a command ends with: one value for programs, a text for people. */
export type Result = {
  readonly json: Json;
  readonly text: string;
  /** What the command found wrong, where finding that out is what it is for: people are told it too, and the exit code is its. `json` has it already. */
  readonly error?: BitcloakError;
};

const NOBODY_LISTENS = ['EPIPE', 'EIO'];

/** Where the other end of a pipe or the terminal is gone, the command still finishes what it began: it only stops talking. */
export function surviveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!NOBODY_LISTENS.includes(error.code ?? '')) throw error;
    });
  }
}

export function writeResult(result: Result, asJson: boolean): void {
  const text = asJson ? JSON.stringify(result.json) : result.text;
  if (text !== '') process.stdout.write(`${text}\n`);
}

/** @param hint what to do about it, for people. */
export function writeFailure({ code, message, reason }: Failure, asJson: boolean, hint: string | undefined): void {
  if (asJson) {
    process.stdout.write(`${JSON.stringify({ error: { code, message, reason } })}\n`);
    return;
  }
  process.stderr.write(`${code}: ${message}\n${hint === undefined ? '' : `${hint}\n`}`);
}

export type Column = { readonly title: string; readonly align?: 'left' | 'right' };

/** Columns as wide as their widest cell, two spaces apart. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => (cells[index] ?? '').length)));
  const format = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => {
        const [cell, width] = [cells[index] ?? '', widths[index] ?? 0];
        return align === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return lines.map(format).join('\n');
}

/** Lines of a name and a value, the values below each other. */
export function fields(entries: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}
