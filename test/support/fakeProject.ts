// A project as small as the bootstrap can handle, in a directory of its own: the real bootstrap, with an npm, a Hardhat and an EVM that
// only write down that they were called. The circuit compiler is the real one.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');

/** The answer of a bootstrap that has ended. */
export interface Outcome {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface NpmCall {
  arguments: string[];
  directory: string;
  firstOnPath: string;
  integrity?: string;
}

// Stands for npm-cli.js. In the directory of a Node to bring it makes that Node, elsewhere it makes the project's node_modules. While a
// file "hold-npm" is there it does not come to an end.
const FAKE_NPM = `
import { appendFileSync, chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
const home = path.dirname(import.meta.dirname);
const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const call = { arguments: process.argv.slice(2), directory: process.cwd(), firstOnPath: process.env.PATH.split(path.delimiter)[0] };
if (manifest.name === 'brought-node') {
  const [[name, version]] = Object.entries(manifest.dependencies);
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  call.integrity = lock.packages['node_modules/' + name].integrity;
  const binary = path.join('node_modules', name, 'bin', 'node');
  mkdirSync(path.dirname(binary), { recursive: true });
  const answer = existsSync(path.join(home, 'break-node')) ? 'exec no-such-loader' : 'echo v' + version;
  const node = process.execPath;
  writeFileSync(binary, '#!/bin/sh\\n[ "$1" = --version ] && { ' + answer + '; exit; }\\nBROUGHT=1 exec "' + node + '" "$@"\\n');
  chmodSync(binary, 0o755);
}
console.log('npm speaks');
appendFileSync(path.join(home, 'npm-calls'), JSON.stringify(call) + '\\n');
while (existsSync(path.join(home, 'hold-npm'))) await sleep(20);
if (existsSync(path.join(home, 'break-npm'))) { console.error('E404'); process.exit(1); }
if (manifest.name !== 'brought-node') {
  rmSync('node_modules', { recursive: true, force: true });
  cpSync('packages-to-install', 'node_modules', { recursive: true });
  writeFileSync('node_modules/.package-lock.json', readFileSync('package-lock.json'));
}
`;

const FAKE_HARDHAT = `
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
console.log('hardhat speaks');
appendFileSync('hardhat-calls', process.argv.slice(2).join(' ') + '\\n');
for (const name of readdirSync('contracts')) if (readFileSync('contracts/' + name, 'utf8').includes('broken')) process.exit(1);
`;

export class FakeProject {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'bitcloak-bootstrap-'));
  #running = new Set<ChildProcessWithoutNullStreams>();

  constructor() {
    for (const name of ['bootstrap.mjs', 'bootstrap', 'compileCircuits.mjs']) {
      cpSync(path.join(REPOSITORY, 'scripts', name), this.path('scripts', name), { recursive: true });
    }
    this.write('package.json', JSON.stringify({ name: 'fake', private: true, type: 'module' }));
    this.write('package-lock.json', JSON.stringify({ name: 'fake', lockfileVersion: 3, packages: {} }));
    this.write('npm/npm-cli.js', FAKE_NPM);
    this.write('npm/package.json', JSON.stringify({ type: 'module' }));
    this.installable('@nomicfoundation/edr', { exports: './main.js' }, 'export const loaded = true;');
    this.installable('hardhat', { bin: { hardhat: 'main.js' } }, FAKE_HARDHAT);
    const compiler = path.join(REPOSITORY, 'node_modules', 'circom2', 'cli.js');
    this.installable('circom2', {}, `import ${JSON.stringify(compiler)};`, 'cli.js');
    this.installable('circomlib', {}, '');
  }

  path(...parts: string[]): string {
    return path.join(this.directory, ...parts);
  }

  write(file: string, text: string): void {
    mkdirSync(path.dirname(this.path(file)), { recursive: true });
    writeFileSync(this.path(file), text);
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8');
  }

  append(file: string, text: string): void {
    appendFileSync(this.path(file), text);
  }

  exists(file: string): boolean {
    return existsSync(this.path(file));
  }

  remove(file: string): void {
    rmSync(this.path(file), { recursive: true, force: true });
  }

  /** A package that the fake npm will install. */
  installable(name: string, manifest: object, code: string, file = 'main.js'): void {
    const text = JSON.stringify({ name, version: '1.0.0', type: 'module', ...manifest });
    this.write(`packages-to-install/${name}/package.json`, text);
    this.write(`packages-to-install/${name}/${file}`, code);
  }

  /** What reached the fake npm so far. */
  npmCalls(): NpmCall[] {
    if (!this.exists('npm-calls')) return [];
    return this.read('npm-calls')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as NpmCall);
  }

  hardhatCalls(): string[] {
    return this.exists('hardhat-calls') ? this.read('hardhat-calls').trimEnd().split('\n') : [];
  }

  /** Starts the bootstrap; `environment` adds to that of the tests. */
  start(
    words: readonly string[],
    environment: NodeJS.ProcessEnv = {},
    directory = this.directory,
  ): ChildProcessWithoutNullStreams {
    // Of the npm and the run that started the tests the fake project must see nothing.
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(npm_|BITCLOAK_|INIT_CWD|NODE_OPTIONS)/.test(name),
    );
    const child = spawn(process.execPath, [this.path('scripts', 'bootstrap.mjs'), ...words], {
      cwd: directory,
      detached: true, // a process group of its own, which ends with the test whatever became of the bootstrap
      env: { ...Object.fromEntries(inherited), npm_execpath: this.path('npm', 'npm-cli.js'), ...environment },
    });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    return child;
  }

  /** Runs the bootstrap to its end. */
  async run(words: readonly string[], environment: NodeJS.ProcessEnv = {}, input = ''): Promise<Outcome> {
    const child = this.start(words, environment);
    const outcome = ended(child);
    child.stdin.end(input);
    return outcome;
  }

  dispose(): void {
    for (const { pid } of this.#running) {
      try {
        if (pid !== undefined) process.kill(-pid, 'SIGKILL');
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The outcome of a process that was started. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      resolve({ status, signal, stdout, stderr });
    });
  });
}

/** Resolves once a stream has said so. */
export function said(stream: NodeJS.ReadableStream, text: string): Promise<void> {
  let heard = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer | string) => {
      heard += chunk.toString();
      if (heard.includes(text)) resolve();
    });
    stream.once('close', () => {
      reject(new Error(`ended without saying "${text}", but: ${heard}`));
    });
  });
}
