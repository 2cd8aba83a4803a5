import { hkdfSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { REPORT_DATA_BYTES, type Quoted, type TeeProvider } from './provider.ts';

/** Where Linux has its reports (Documentation/ABI/testing/configfs-tsm-report). */
export const TSM_DIRECTORY = '/sys/kernel/config/tsm/report';

const PROVIDER = 'tdx_guest';
const KEY_DOMAIN = 'bitcloak tsm keys v1';

/** The calls of the file system that a report takes. */
export type ReportFiles = {
  mkdir(path: string): Promise<unknown>;
  rmdir(path: string): Promise<unknown>;
  readFile(path: string): Promise<Buffer>;
  writeFile(path: string, data: Uint8Array): Promise<unknown>;
};

/**
 * A TDX machine whose Linux makes the quotes, with no key service: TDX itself seals nothing, so keys are made at the start and end with the process. A
 * restart needs a new era, and begins a journal anew with what the chain says.
 */
export class TsmProvider implements TeeProvider {
  readonly #directory: string;
  readonly #files: ReportFiles;
  readonly #root = randomBytes(32);

  constructor(directory = TSM_DIRECTORY, files: ReportFiles = { mkdir, rmdir, readFile, writeFile }) {
    this.#directory = directory;
    this.#files = files;
  }

  async key(path: string): Promise<Uint8Array> {
    return new Uint8Array(hkdfSync('sha256', this.#root, path, KEY_DOMAIN, 32));
  }

  /** Throws `TEE_FAILED`. */
  async quote(reportData: Uint8Array): Promise<Quoted> {
    if (reportData.length !== REPORT_DATA_BYTES) throw new RangeError(`report data has ${REPORT_DATA_BYTES} bytes`);
    // A name of its own, so that nobody else's request can come between.
    const report = join(this.#directory, `bitcloak-${randomBytes(8).toString('hex')}`);
    await this.#try('mkdir', () => this.#files.mkdir(report));
    try {
      return await this.#report(report, reportData);
    } finally {
      await this.#files.rmdir(report).catch(() => undefined);
    }
  }

  async #report(report: string, reportData: Uint8Array): Promise<Quoted> {
    const read = (name: string) => this.#try(name, () => this.#files.readFile(join(report, name)));
    const provider = (await read('provider')).toString().trim();
    if (provider !== PROVIDER) throw failed(`the provider is not ${PROVIDER}`);
    await this.#try('inblob', () => this.#files.writeFile(join(report, 'inblob'), reportData));
    const generation = (await read('generation')).toString().trim();
    const quote = await read('outblob');
    // The kernel counts the writes: a quote of another one's data is none.
    if ((await read('generation')).toString().trim() !== generation) throw failed('the report was changed meanwhile');
    if (quote.length === 0) throw failed('the quote is empty');
    return { quote: new Uint8Array(quote), eventLog: undefined };
  }

  async #try<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw failed(`${what}: ${(error as { code?: string }).code ?? 'unknown failure'}`, error);
    }
  }
}

function failed(why: string, cause?: unknown): BitcloakError {
  return new BitcloakError('TEE_FAILED', `no quote from the kernel: ${why}`, { cause });
}
