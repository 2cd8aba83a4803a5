import { request } from 'node:http';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { REPORT_DATA_BYTES, type Quoted, type TeeProvider } from './provider.ts';

export const DSTACK_SOCKET = '/var/run/dstack.sock';

const KEY_BYTES = 32;
const ANSWER_MS_MAX = 30_000;
/** A quote takes some 10 KB, the event log of a boot some 100. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The guest agent of a dstack machine, over its socket. Keys come from the key service that the machine was admitted to: every instance of an app gets
 * the same ones, at every start.
 */
export class DstackProvider implements TeeProvider {
  readonly #socketPath: string;
  readonly #msMax: number;

  constructor(socketPath = DSTACK_SOCKET, msMax = ANSWER_MS_MAX) {
    this.#socketPath = socketPath;
    this.#msMax = msMax;
  }

  /** Throws `TEE_FAILED`. */
  async key(path: string): Promise<Uint8Array> {
    const { key } = await this.#ask('GetKey', { path, purpose: 'bitcloak' });
    const bytes = bytesOf('GetKey', 'key', key);
    if (bytes.length !== KEY_BYTES) throw failed('GetKey', `a key of ${bytes.length} bytes, not of ${KEY_BYTES}`);
    return bytes;
  }

  /** Throws `TEE_FAILED`. */
  async quote(reportData: Uint8Array): Promise<Quoted> {
    if (reportData.length !== REPORT_DATA_BYTES) throw new RangeError(`report data has ${REPORT_DATA_BYTES} bytes`);
    const answer = await this.#ask('GetQuote', { report_data: Buffer.from(reportData).toString('hex') });
    const { event_log: eventLog } = answer;
    const quote = bytesOf('GetQuote', 'quote', answer['quote']);
    if (quote.length === 0) throw failed('GetQuote', 'no TDX quote: the machine is of another kind');
    if (typeof eventLog !== 'string') throw failed('GetQuote', 'no event log');
    return { quote, eventLog };
  }

  async #ask(method: string, body: object): Promise<Record<string, unknown>> {
    const { status, text } = await this.#post(method, JSON.stringify(body));
    // What the agent says of a failure may be about what it was asked, keys among it.
    if (status !== 200) throw failed(method, `status ${status}`);
    try {
      const answer: unknown = JSON.parse(text);
      if (typeof answer === 'object' && answer !== null && !Array.isArray(answer)) {
        return answer as Record<string, unknown>;
      }
    } catch {
      // It is none, as what follows says.
    }
    throw failed(method, 'no JSON object');
  }

  #post(method: string, body: string): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const signal = AbortSignal.timeout(this.#msMax);
    // A connection that is kept may be one to an agent that was started anew since.
    const options = { socketPath: this.#socketPath, path: `/${method}`, method: 'POST', headers, signal, agent: false };
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > ANSWER_BYTES_MAX) response.destroy(new RangeError(`more than ${ANSWER_BYTES_MAX} bytes`));
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
      });
      response.on('error', reject);
      // A connection that ends in the middle of an answer is no error of its own.
      response.on('close', () => {
        reject(new Error('the answer broke off'));
      });
    });
    sent.on('error', reject);
    sent.end(body);
    return promise.catch((error: unknown) => {
      const { code, name, message } = error as { code?: unknown; name: string; message: string };
      const why = name === 'TimeoutError' || name === 'AbortError' ? 'no answer in time' : message;
      throw failed(method, typeof code === 'string' && name === 'Error' ? code : why, error);
    });
  }
}

function failed(method: string, why: string, cause?: unknown): BitcloakError {
  return new BitcloakError('TEE_FAILED', `the dstack guest agent's ${method}: ${why}`, { cause });
}

function bytesOf(method: string, field: string, value: unknown): Uint8Array {
  if (typeof value === 'string' && /^(0x)?([0-9a-f]{2})*$/i.test(value)) {
    return Uint8Array.from(Buffer.from(value.replace(/^0x/, ''), 'hex'));
  }
  throw failed(method, `${field} is not hexadecimal`);
}
