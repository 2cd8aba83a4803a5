import { existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { build, stop } from 'esbuild';
import type { Context } from 'mocha';
import { chromium, type Browser, type Page } from 'playwright-core';
import type { PageFunctions } from './page.ts';

const VARIABLE = 'BITCLOAK_CHROMIUM';
/** Debian's. */
const USUAL_PATH = '/usr/bin/chromium';

/** Nothing is asked of anybody but the pages' own servers. */
const ARGUMENTS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];

const HTML =
  '<!doctype html><meta charset="utf-8"><title>Bitcloak</title><script type="module" src="/page.js"></script>';
/** The strictest that a page can ask for which opens connections: neither text nor WebAssembly becomes code. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src *; worker-src 'self'";
/** What pages that prove have to let run beside it. */
const WASM_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'");
const BODY_BYTES_MAX = 1_000_000;

/** Answers JSON that the page posts to a path of its own origin. */
export type Posts = Readonly<Record<string, (json: unknown) => Promise<unknown>>>;

export type PageOptions = {
  readonly posts?: Posts;
  /** What is served of other paths. */
  readonly files?: (path: string) => Uint8Array | undefined;
  /** Whether the page's policy lets WebAssembly run. */
  readonly runsWasm?: boolean;
};

/** Where Chromium is: as the environment says, which says nothing by an empty text for none, or where Debian has it. */
function chromiumPath(): string | undefined {
  const named = process.env[VARIABLE];
  if (named !== undefined) return named === '' ? undefined : named;
  return existsSync(USUAL_PATH) ? USUAL_PATH : undefined;
}

/** For a hook before tests: they are skipped where there is no Chromium. */
export function skipWithoutChromium(context: Context): void {
  if (chromiumPath() === undefined) context.skip();
}

/** The test page in a headless Chromium with an empty profile, which is served from an origin of its own. */
export class TestPage {
  /** Of the page. */
  readonly origin: string;
  /** Everything that the page complained of. */
  readonly complaints: string[] = [];
  readonly #server: Server;
  readonly #browser: Browser;
  readonly #page: Page;

  private constructor(server: Server, origin: string, browser: Browser, page: Page) {
    this.#server = server;
    this.origin = origin;
    this.#browser = browser;
    this.#page = page;
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => this.complaints.push(`${message.type()}: ${message.text()}`));
  }

  static async open(options: PageOptions = {}): Promise<TestPage> {
    const scripts = await bundle();
    const server = createServer((request, response) => void serve(request, response, scripts, options));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const executablePath = chromiumPath() ?? USUAL_PATH;
    // Its profile is a new one, which is removed with it.
    const browser = await chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: ARGUMENTS });
    const page = new TestPage(server, origin, browser, await browser.newPage());
    await page.#page.goto(origin);
    await page.#page.waitForFunction(() => 'bitcloak' in globalThis);
    return page;
  }

  /** What browsers call themselves. */
  get version(): string {
    return this.#browser.version();
  }

  /** Has the page do something. What goes there and back are plain values, big integers and arrays of bytes. */
  async call<Name extends keyof PageFunctions>(
    name: Name,
    ...parameters: Parameters<PageFunctions[Name]>
  ): Promise<Awaited<ReturnType<PageFunctions[Name]>>> {
    const result: unknown = await this.#page.evaluate(
      ([wanted, values]) => {
        const { bitcloak } = globalThis as unknown as { bitcloak: Record<string, (...all: unknown[]) => unknown> };
        return bitcloak[wanted]?.(...values);
      },
      [name, parameters] as [string, unknown[]],
    );
    return result as Awaited<ReturnType<PageFunctions[Name]>>;
  }

  async close(): Promise<void> {
    await this.#browser.close();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}

/** By their paths the scripts of page and worker, as anybody bundles the packages for a browser: nothing is replaced, and nothing of Node's put in. */
async function bundle(): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: {
      page: path.join(import.meta.dirname, 'page.ts'),
      worker: path.join(import.meta.dirname, '../../../packages/prover/src/browserWorker.ts'),
    },
    outdir: '/',
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    target: 'es2024',
    tsconfigRaw: '{}',
    logLevel: 'error',
  });
  // Its process would go on.
  await stop();
  return new Map(outputFiles.map((file) => [file.path, file.contents]));
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  scripts: ReadonlyMap<string, Uint8Array>,
  { posts = {}, files, runsWasm }: PageOptions,
): Promise<void> {
  const policy = runsWasm === true ? WASM_POLICY : POLICY;
  const answer = (status: number, type: string, body: string | Uint8Array) =>
    response.writeHead(status, { 'content-type': type, 'content-security-policy': policy }).end(body);
  const { method, url = '' } = request;
  const post = method === 'POST' ? posts[url] : undefined;
  const [script, file] = method === 'GET' ? [scripts.get(url), files?.(url)] : [];
  if (post !== undefined) answer(200, 'application/json', JSON.stringify(await post(await readJson(request))));
  else if (method === 'GET' && url === '/') answer(200, 'text/html', HTML);
  else if (script !== undefined) answer(200, 'text/javascript', script);
  else if (file !== undefined) answer(200, 'application/octet-stream', file);
  else answer(404, 'text/plain', 'no such path');
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (body.length > BODY_BYTES_MAX) throw new RangeError(`expected at most ${BODY_BYTES_MAX} bytes`);
  return JSON.parse(body.toString());
}
