import { hkdfSync } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { bytesOfHex, hexOf } from '@bitcloak/attestation/bytes';
import { DevelopmentAuthority } from '@bitcloak/attestation/development/authority';
import {
  configIdOf,
  developmentEvents,
  rtmrsAfter,
  type DevelopmentBoot,
} from '@bitcloak/attestation/development/eventLog';
import { measurementsOf, type Measurements } from '@bitcloak/attestation/policy';
import { parseQuote } from '@bitcloak/attestation/quote';
import { REPORT_DATA_BYTES } from './provider.ts';

const BODY_BYTES_MAX = 4_096;
const KEY_DOMAIN = 'bitcloak simulated key v1';

export type SimulatorOptions = {
  /** Of the unix socket. */
  readonly path: string;
  /** 32 bytes, of which the keys of the development authority, and those that it gives out, are made. */
  readonly seed: Uint8Array;
  /** What its machine says of how it was started. */
  readonly boot: DevelopmentBoot;
  /** Unix seconds around which its certificates are valid. */
  readonly clock: number;
};

/**
 * A machine's guest agent, in the form of dstack's, where there is no such machine: its quotes are well formed, and signed by a development authority that no
 * verifier trusts unless it is told to. Whoever has the seed has all keys.
 */
export class TeeSimulator {
  readonly authority: DevelopmentAuthority;
  readonly #options: SimulatorOptions;
  readonly #server: Server;

  private constructor(options: SimulatorOptions) {
    this.#options = options;
    this.authority = new DevelopmentAuthority(options.seed, options.clock);
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (chunks.reduce((size, { length }) => size + length, 0) > BODY_BYTES_MAX) request.destroy();
      });
      request.on('end', () => {
        const { status, body } = this.#answer(request.url ?? '', Buffer.concat(chunks).toString());
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
  }

  /** Takes the place of whatever is at the path. */
  static async listen(options: SimulatorOptions): Promise<TeeSimulator> {
    const simulator = new TeeSimulator(options);
    rmSync(options.path, { force: true });
    const listening = Promise.withResolvers<undefined>();
    simulator.#server.once('error', listening.reject).listen(options.path, () => {
      listening.resolve(undefined);
    });
    await listening.promise;
    return simulator;
  }

  /** What its quotes say of the program. */
  get measurements(): Measurements {
    const quote = parseQuote(this.#quote(new Uint8Array(REPORT_DATA_BYTES)));
    return measurementsOf(quote.report, undefined);
  }

  async close(): Promise<void> {
    const closed = Promise.withResolvers<undefined>();
    this.#server.close(() => {
      closed.resolve(undefined);
    });
    this.#server.closeAllConnections();
    await closed.promise;
  }

  #answer(url: string, text: string): { status: number; body: object } {
    try {
      const asked = JSON.parse(text) as Record<string, unknown>;
      if (url === '/GetKey' && typeof asked['path'] === 'string') {
        const key = hkdfSync('sha256', this.#options.seed, asked['path'], KEY_DOMAIN, 32);
        return { status: 200, body: { key: Buffer.from(key).toString('hex'), signature_chain: [] } };
      }
      if (url === '/GetQuote' && typeof asked['report_data'] === 'string') {
        const given = bytesOfHex(asked['report_data'], 'report_data');
        if (given.length > REPORT_DATA_BYTES) throw new RangeError('report_data is too long');
        const reportData = new Uint8Array(REPORT_DATA_BYTES);
        reportData.set(given);
        return {
          status: 200,
          body: {
            quote: hexOf(this.#quote(reportData)),
            event_log: JSON.stringify(developmentEvents(this.#options.boot)),
            report_data: hexOf(reportData),
            vm_config: '{}',
          },
        };
      }
    } catch {
      return { status: 400, body: { error: 'the request is not of the form that the method takes' } };
    }
    return { status: 404, body: { error: 'there is no such method' } };
  }

  #quote(reportData: Uint8Array): Uint8Array {
    const { boot } = this.#options;
    return this.authority.quote({
      reportData,
      mrTd: new Uint8Array(48).fill(0x7d),
      mrConfigId: configIdOf(boot.composeHash),
      rtmrs: rtmrsAfter(developmentEvents(boot)),
    });
  }
}
