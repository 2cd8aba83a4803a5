import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  FetchRequest,
  JsonRpcProvider,
  Network,
  type JsonRpcPayload,
  type JsonRpcResult,
} from 'ethers';

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 200;
const REQUEST_MS_MAX = 30_000;

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
    // A transaction that was sent and whose answer was lost may have arrived: sending the same bytes again is harmless.
    return retry(this.url, () => super._send(payload));
  }
}

async function retry<T>(url: string, attempt: () => Promise<T>): Promise<T> {
  let last: unknown;
  for (let count = 0; count < ATTEMPTS; count++) {
    if (count > 0) await pause(FIRST_PAUSE_MS * 2 ** (count - 1));
    try {
      return await attempt();
    } catch (error) {
      last = error;
    }
  }
  const shown = new URL(url);
  // An endpoint's path and query often hold an access key.
  const message = `no answer from the endpoint ${shown.protocol}//${shown.host} after ${ATTEMPTS} attempts`;
  throw new BitcloakError('ENDPOINT_UNREACHABLE', message, { cause: last });
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
    return response.bodyJson as { result?: unknown };
  });
  if (typeof answer.result !== 'string' || !/^0x[0-9a-f]+$/i.test(answer.result)) {
    throw new BitcloakError('ENDPOINT_INCONSISTENT', 'eth_chainId: expected a hexadecimal number from the endpoint');
  }
  return new Endpoint(request, Network.from(BigInt(answer.result)));
}
