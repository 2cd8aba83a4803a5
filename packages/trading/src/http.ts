import { BitcloakError } from '@bitcloak/protocol/errors';

/** More than any list that an operator keeps for one owner. */
export const REPLY_BYTES_MAX = 8 * 1024 * 1024;

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

export type HttpReply = { readonly status: number; readonly headers: Headers; readonly text: string };

export type HttpRequest = {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
};

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
 * One request. A redirection is not followed: it would send an order somewhere that nobody agreed to. Throws `OPERATOR_UNREACHABLE` where no whole
 * answer comes in time; whether the operator got the request is then not known.
 */
export async function exchange(
  fetcher: Fetch,
  base: URL,
  path: string,
  request: HttpRequest,
  msMax: number,
): Promise<HttpReply> {
  const { method, headers = {}, body } = request;
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const options: RequestInit = {
    method,
    headers: { ...headers, ...json },
    redirect: 'error',
    signal: AbortSignal.timeout(msMax),
    ...(body === undefined ? {} : { body }),
  };
  try {
    const response = await fetcher(new URL(path.slice(1), base).href, options);
    return { status: response.status, headers: response.headers, text: await readText(response, REPLY_BYTES_MAX) };
  } catch (error) {
    // What fetch says may hold the whole URL, and with it what was asked.
    const { cause, name } = error as { cause?: { code?: unknown }; name?: string };
    const why = typeof cause?.code === 'string' ? cause.code : (name ?? 'unknown failure');
    throw new BitcloakError('OPERATOR_UNREACHABLE', `no whole answer from the operator ${base.host} (${why})`, {
      cause: error,
    });
  }
}

/** The whole text of an answer. Throws RangeError where it is longer than `bytesMax`. */
export async function readText(response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > bytesMax) throw new RangeError(`expected an answer of at most ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
