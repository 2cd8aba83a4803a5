import { readBytes } from '@bitcloak/attestation/answer';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { forged } from './refusals.ts';

/** More than any list that an operator keeps for one owner. */
export const REPLY_BYTES_MAX = 8 * 1024 * 1024;

/** How long an answer is waited for unless said otherwise. */
export const REQUEST_MS_MAX = 10_000;

/** The media type of everything that is sealed. */
export const SEALED_TYPE = 'application/octet-stream';

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

export type HttpReply = { readonly status: number; readonly bytes: Uint8Array };

/** Throws `USAGE` for what is no base URL of an operator. */
export function operatorUrl(text: string): URL {
  const url = URL.parse(text.endsWith('/') ? text : `${text}/`);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '';
  if (!isPlain || url.username !== '' || url.password !== '') {
    throw new BitcloakError('USAGE', 'operator: expected a URL such as http://127.0.0.1:8560');
  }
  return url;
}

/**
 * One request: a GET, or a POST of bytes. A redirection is not followed: it would send an order somewhere that nobody agreed to. Throws
 * `OPERATOR_UNREACHABLE` where no whole answer comes in time, and `REPLY_FORGED` for one that is too long; whether the operator got the request is
 * then not known.
 */
export async function exchange(
  fetcher: Fetch,
  base: URL,
  path: string,
  body: Uint8Array | undefined,
  msMax: number,
  bytesMax = REPLY_BYTES_MAX,
): Promise<HttpReply> {
  const sent =
    body === undefined
      ? { method: 'GET' }
      : { method: 'POST', headers: { 'content-type': SEALED_TYPE }, body: body as Uint8Array<ArrayBuffer> };
  const options: RequestInit = { ...sent, redirect: 'manual', signal: AbortSignal.timeout(msMax) };
  try {
    const response = await fetcher(new URL(path.slice(1), base).href, options);
    if (isRedirection(response)) {
      await response.body?.cancel();
      throw unreachable(base, 'sends elsewhere, which is not followed');
    }
    return { status: response.status, bytes: await readBytes(response, bytesMax) };
  } catch (error) {
    if (error instanceof BitcloakError) throw error;
    if (error instanceof RangeError) throw forged(`it is longer than ${bytesMax} bytes`);
    // What fetch says may hold the whole URL, and with it what was asked.
    const { cause, name } = error as { cause?: { code?: unknown }; name?: string };
    const why = typeof cause?.code === 'string' ? cause.code : (name ?? 'unknown failure');
    throw unreachable(base, `gives no whole answer (${why})`, error);
  }
}

/** Browsers do not tell the status of one. */
function isRedirection({ type, status }: Response): boolean {
  return type === 'opaqueredirect' || (status >= 300 && status < 400);
}

function unreachable({ host }: URL, why: string, cause?: unknown): BitcloakError {
  return new BitcloakError('OPERATOR_UNREACHABLE', `the operator ${host} ${why}`, { cause });
}

/** The whole of an answer as text. Throws RangeError where it is longer than `bytesMax`. */
export async function readText(response: Response, bytesMax: number): Promise<string> {
  return textOf(await readBytes(response, bytesMax));
}

export const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
