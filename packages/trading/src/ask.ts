import { parseChecked } from './channel.ts';
import { exchange, textOf, type Fetch } from './http.ts';
import { refusalOf } from './refusals.ts';
import { API, decodeInfo, INFO_SCHEMA, type OperatorInfo } from './wire.ts';

/**
 * Asks an operator for what it tells everybody. Nothing of it is sealed: anybody on the way can have said it. Throws `OPERATOR_UNREACHABLE`,
 * `REPLY_FORGED` for an answer that is too long, and `OperatorRefusal`.
 *
 * @param path behind that of the API.
 * @param bytesMax of the answer; as long as any reply unless given.
 */
export type Ask = (path: string, bytesMax?: number) => Promise<string>;

export function askOf(base: URL, fetcher: Fetch, msMax: number): Ask {
  return async (path, bytesMax) => {
    const { status, bytes } = await exchange(fetcher, base, API + path, undefined, msMax, bytesMax);
    const text = textOf(bytes);
    if (status >= 400) throw refusalOf(status, text, false);
    return text;
  };
}

/** What an operator says of itself. Throws what `ask` does, and `REPLY_FORGED` for another form. */
export async function askInfo(ask: Ask): Promise<OperatorInfo> {
  return decodeInfo(parseChecked(INFO_SCHEMA, await ask('/info')));
}
