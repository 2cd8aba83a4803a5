// Runs the real command: its exit status, what it writes, and what it asks on a terminal.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import process from 'node:process';

const ROOT = resolve(import.meta.dirname, '../..');
const MAIN = resolve(ROOT, 'packages/cli/src/main.ts');
const TERMINAL_MS_MAX = 60_000;

export type CliOptions = {
  readonly passphrase?: string;
  /** Standard input; empty unless given. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

export type CliRun = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

function environment({ passphrase, env, cwd }: CliOptions): NodeJS.ProcessEnv {
  const { BITCLOAK_PASSPHRASE: _, INIT_CWD: _directory, npm_lifecycle_event: _script, ...inherited } = process.env;
  const given = passphrase === undefined ? {} : { BITCLOAK_PASSPHRASE: passphrase };
  return { ...inherited, ...given, ...(cwd === undefined ? {} : { INIT_CWD: cwd }), ...env };
}

/** Starts `bitcloak` without a terminal. */
export function startCli(args: readonly string[], options: CliOptions = {}): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { cwd: ROOT, env: environment(options), stdio: 'pipe' });
}

/** Collects what a child writes until it ends. */
export function ended(child: ChildProcess): Promise<CliRun> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => (texts[name] += chunk));
  }
  return new Promise((done, fail) => {
    child.on('error', fail).on('close', (status) => done({ status, ...texts }));
  });
}

/** Runs `bitcloak` to its end without a terminal. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const child = startCli(args, options);
  child.stdin?.on('error', () => undefined).end(options.input ?? '');
  return ended(child);
}

/** Runs `bitcloak … --json`, checks that standard output is exactly one line of JSON, and returns it. */
export async function runJson(args: readonly string[], options: CliOptions = {}) {
  const { status, stdout, stderr } = await runCli([...args, '--json'], options);
  if (!/^[^\n]+\n$/.test(stdout))
    throw new Error(`expected one line of JSON, got ${JSON.stringify(stdout)}; ${stderr}`);
  return { status, stderr, json: JSON.parse(stdout) as Record<string, unknown> };
}

/** Whether this machine has util-linux's `script`, which runs a program in a pseudo-terminal. */
export function canOpenTerminal(): boolean {
  return spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;
}

/**
 * Runs `bitcloak` in a pseudo-terminal. Types each answer once its question has appeared.
 *
 * @returns its status and everything that the terminal showed, with plain line ends.
 */
export function runOnTerminal(
  args: readonly string[],
  answers: readonly (readonly [question: string, answer: string])[],
  options: CliOptions = {},
): Promise<{ status: number | null; shown: string }> {
  const quoted = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const child = spawn('script', ['-qec', `exec ${quoted}`, '/dev/null'], { cwd: ROOT, env: environment(options) });
  const left = [...answers];
  let shown = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    shown += chunk;
    for (let next = left[0]; next !== undefined; next = left[0]) {
      const [question, answer] = next;
      const at = shown.indexOf(question, seen);
      if (at < 0) return;
      seen = at + question.length;
      left.shift();
      child.stdin.write(answer);
    }
  });
  return new Promise((done, fail) => {
    const timer = setTimeout(() => child.kill(), TERMINAL_MS_MAX);
    child.on('error', fail).on('close', (status) => {
      clearTimeout(timer);
      done({ status, shown: shown.replaceAll('\r\n', '\n') });
    });
  });
}

type Call = { id: number; method: string; params: unknown[] };

/** A JSON-RPC endpoint that says what it is told to; a method without an answer is never answered. */
export async function startStubEndpoint(
  answers: Readonly<Record<string, (params: unknown[]) => unknown>>,
): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const calls = JSON.parse(body) as Call | Call[];
      const list = Array.isArray(calls) ? calls : [calls];
      if (!list.every(({ method }) => method in answers)) return;
      const results = list.map(({ id, method, params }) => ({ jsonrpc: '2.0', id, result: answers[method]?.(params) }));
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify(Array.isArray(calls) ? results : results[0]));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
