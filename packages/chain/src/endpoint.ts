import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  FetchRequest,
  JsonRpcProvider,
  keccak256,
  Network,
  type JsonRpcError,
  type JsonRpcPayload,
  type JsonRpcResult,
} from 'ethers';

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 200;
const REQUEST_MS_MAX = 30_000;
/** After this long nothing more is tried: an endpoint that takes calls and never answers is as good as gone. */
const RETRY_MS_MAX = 60_000;

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

/** An ethers provider over HTTP that asks again, with growing pauses, when the endpoint drops out or throttles. */
export class Endpoint extends JsonRpcProvider {
  readonly url: string;

  constructor(request: FetchRequest, network: Network) {
    // Nothing is cached: a wallet asks for the newest state, and answers of before a reorganisation are wrong ones.
    super(request, network, { staticNetwork: network, cacheTimeout: -1, pollingInterval: 250, batchMaxCount: 10 });
    this.url = request.url;
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<JsonRpcResult[]> {
    let attempts = 0;
    const results = await retry(this.url, () => {
      attempts++;
      return super._send(payload);
    });
    if (attempts === 1) return results;
    const calls = Array.isArray(payload) ? payload : [payload];
    return Promise.all(results.map((result) => this.#recogniseSent(calls, result)));
  }

  /** A transaction whose first answer was lost is refused as known when it is sent again; it did arrive. */
  async #recogniseSent(calls: JsonRpcPayload[], answer: JsonRpcResult | JsonRpcError): Promise<JsonRpcResult> {
    const call = calls.find(({ id }) => id === answer.id);
    if (!('error' in answer) || call?.method !== 'eth_sendRawTransaction') return answer as JsonRpcResult;
    const hash = keccak256((call.params as [string])[0]);
    const lookup: JsonRpcPayload = { ...call, method: 'eth_getTransactionByHash', params: [hash] };
    const [found] = await retry(this.url, () => super._send(lookup));
    return found?.result == null ? (answer as unknown as JsonRpcResult) : { id: answer.id, result: hash };
  }
}

async function retry<T>(url: string, attempt: () => Promise<T>): Promise<T> {
  const started = performance.now();
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      const wait = FIRST_PAUSE_MS * 2 ** (count - 1);
      if (count === ATTEMPTS || performance.now() - started + wait > RETRY_MS_MAX) throw unreachable(url, count, error);
      await pause(wait);
    }
  }
}

/**
 * What failed, for a message. An endpoint's path and query often hold an access key, and the messages of ethers, which repeat a request, the whole
 * address: so nothing is taken of them but its own short words and codes, and they are no cause of ours either.
 */
export function failureText(error: unknown): string {
  const { shortMessage, code, error: said } = (error ?? {}) as Record<string, unknown>;
  const answered = (said as { code?: unknown } | null | undefined)?.code;
  const number = typeof answered === 'number' ? ` (${answered})` : '';
  if (typeof shortMessage === 'string') return shortMessage + number;
  return typeof code === 'string' ? code : 'unknown failure';
}

function unreachable(url: string, attempts: number, error: unknown): BitcloakError {
  const { protocol, host } = new URL(url);
  const message = `no answer from the endpoint ${protocol}//${host} after ${attempts} attempts: ${failureText(error)}`;
  return new BitcloakError('ENDPOINT_UNREACHABLE', message);
}

/** Connects to an EVM endpoint. Throws `ENDPOINT_UNREACHABLE` where nothing answers. */
export async function openEndpoint(url: string): Promise<Endpoint> {
  let request: FetchRequest;
  try {
    request = new FetchRequest(new URL(url).href);
  } catch {
    throw new BitcloakError('USAGE', 'endpoint: expected a URL such as http://127.0.0.1:8545');
  }
  request.timeout = REQUEST_MS_MAX;
  const probe = request.clone();
  probe.body = { jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] };
  const answer = await retry(url, async () => {
    const response = await probe.clone().send();
    response.assertOk();
    return response.bodyJson as { result?: unknown } | null;
  });
  if (typeof answer?.result !== 'string' || !/^0x[0-9a-f]{1,16}$/i.test(answer.result)) {
    throw new BitcloakError('ENDPOINT_INCONSISTENT', 'eth_chainId: expected a hexadecimal number from the endpoint');
  }
  return new Endpoint(request, Network.from(BigInt(answer.result)));
}
