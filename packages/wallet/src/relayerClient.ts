import { randomBytes } from 'node:crypto';
import type { PoolEvent } from '@bitcloak/chain/events';
import { callError, type PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import { decodeInfo, decodeRelayed, encodeTransfer, type RelayerInfo } from '@bitcloak/chain/relayWire';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { BitcloakError, shownWords } from '@bitcloak/protocol/errors';
import { readText } from '@bitcloak/trading/http';
import type { Provider } from 'ethers';

const INFO_MS_MAX = 10_000;
/** Longer than a relayer takes: who gives up before it answers does not know whether it sent. */
const RELAY_MS_MAX = 45_000;
const ANSWER_BYTES_MAX = 65_536;
const CONFIRMED_MS_MAX = 300_000;
const POLL_MS = 500;
const REREAD_BLOCKS = 16;
const MAY_LAND = 'the transfer may still land, and whatever you pay next takes its place';

/**
 * Asks a relayer for its fees and whom to pay. Nothing in the answer is to be trusted: the caller compares chain and pool, and its fee
 * with the most that the user agreed to.
 */
export async function relayerInfo(url: string): Promise<RelayerInfo> {
  const info = decode(await exchange(url, 'v1/info', INFO_MS_MAX), decodeInfo);
  const key = new AgreementKey(randomBytes(32));
  // Found out here, not by a failure when the fee note is sealed.
  if (key.agree(info.address.viewingKey) === undefined)
    throw malformed('address: expected a viewing key that secrets can be shared with');
  return info;
}

/**
 * Has a relayer send a transfer. Whatever it answers, it has the transfer then, and may send it.
 *
 * @returns what it says is the transaction's hash; `waitForRelayed` finds out what is.
 */
export async function relay(url: string, transfer: ProvenTransfer): Promise<string> {
  try {
    return decode(await exchange(url, 'v1/relay', RELAY_MS_MAX, encodeTransfer(transfer)), decodeRelayed);
  } catch (error) {
    if (!(error instanceof BitcloakError) || error.code === 'USAGE') throw error;
    throw new BitcloakError(error.code, `${error.message}; ${MAY_LAND}`, { cause: error.cause });
  }
}

/**
 * Waits until the pool's events show a relayed transfer, and whose transaction it was. All events are read, as for a synchronisation: an endpoint that was
 * asked for the relayer's transaction would know whose it is.
 *
 * @param after the newest block when the transfer was made.
 * @param named what the relayer says is the transaction; only for the error.
 */
export async function waitForRelayed(
  pool: PoolClient,
  provider: Provider,
  { after, named, transfer }: { after: number; named: string; transfer: ProvenTransfer },
): Promise<{ transaction: string; block: number }> {
  const { nullifiers, commitments } = transfer.shown;
  const deadline = performance.now() + CONFIRMED_MS_MAX;
  let from = after + 1;
  while (performance.now() < deadline) {
    const { head, events } = await eventsFrom(pool, provider, from);
    for (const event of events) {
      if (event.kind !== 'transferred' || !event.nullifiers.some((spent) => nullifiers.includes(spent))) continue;
      // Commitments are fresh for every transfer.
      if (event.commitments.every((commitment, index) => commitment === commitments[index])) {
        return { transaction: event.transaction, block: event.block };
      }
      const message = `transaction ${event.transaction} has spent the notes: an earlier transfer, which was still pending, has landed in place of this one`;
      throw new BitcloakError('TRANSACTION_FAILED', message);
    }
    // The newest blocks may be reorganised.
    from = Math.max(after + 1, head + 1 - REREAD_BLOCKS);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  const message = `the transfer is not on the chain yet (the relayer names transaction ${named}); ${MAY_LAND}`;
  throw new BitcloakError('TRANSACTION_FAILED', message);
}

async function eventsFrom(
  pool: PoolClient,
  provider: Provider,
  from: number,
): Promise<{ head: number; events: PoolEvent[] }> {
  try {
    const head = await provider.getBlockNumber();
    return { head, events: head < from ? [] : await pool.events(from, head) };
  } catch (error) {
    throw callError(error);
  }
}

/** One request. A redirection is not followed: it would send the user's address and transfer somewhere that nobody agreed to. */
async function exchange(base: string, path: string, msMax: number, body?: object): Promise<unknown> {
  const url = relayerUrl(base, path);
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const options: RequestInit = {
    redirect: 'error',
    signal: AbortSignal.timeout(msMax),
    ...(body === undefined ? {} : post),
  };
  let answer: { ok: boolean; status: number; text: string };
  try {
    const response = await fetch(url, options);
    answer = { ok: response.ok, status: response.status, text: await readText(response, ANSWER_BYTES_MAX) };
  } catch (error) {
    throw new BitcloakError('RELAYER_UNREACHABLE', `no answer from the relayer ${url.host}`, { cause: error });
  }
  const json = parseJson(answer.text);
  if (answer.ok) return json;
  throw refused(answer.status, json);
}

function relayerUrl(base: string, path: string): URL {
  const url = URL.parse(base.endsWith('/') ? base : `${base}/`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new BitcloakError('USAGE', 'relayer: expected a URL such as http://127.0.0.1:8546');
  }
  return new URL(path, url);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('expected JSON');
  }
}

/** For the relayer's own reason. */
function refused(status: number, json: unknown): BitcloakError {
  const { code, message } = (json ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code !== 'string' || !/^[A-Z_]{1,40}$/.test(code) || typeof message !== 'string') {
    return malformed(`status ${status} without code and message`);
  }
  return new BitcloakError('RELAYER_REFUSED', `the relayer refuses with ${code}: ${shownWords(message)}`);
}

function decode<T>(json: unknown, decoder: (json: unknown) => T): T {
  try {
    return decoder(json);
  } catch (error) {
    if (error instanceof RangeError) throw malformed(error.message);
    throw error;
  }
}

function malformed(why: string): BitcloakError {
  return new BitcloakError(
    'RELAYER_UNREACHABLE',
    `the relayer answers with something else than a relayer's answer: ${why}`,
  );
}
