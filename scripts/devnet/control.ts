import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { writeFileWhole } from '@bitcloak/wallet/files';

const ANSWER_MS_MAX = 60_000;

/** Beside the manifest, whose chain it is. */
const controlFile = (manifest: string) => join(dirname(manifest), 'control.json');

/**
 * Serves what another process of the same user may have a devnet do. The address has a secret, which only that user can read: any page of a browser
 * can send a request to this machine.
 *
 * @returns what ends it.
 */
export async function serveControl(
  manifest: string,
  orders: Readonly<Record<string, () => Promise<void>>>,
): Promise<() => void> {
  const secret = randomBytes(32).toString('hex');
  const server = createServer((request, response) => {
    const { method, url: address = '' } = request;
    const name = address.startsWith(`/${secret}/`) ? address.slice(secret.length + 2) : '';
    if (method !== 'POST' || !Object.hasOwn(orders, name)) {
      response.writeHead(404).end();
      return;
    }
    orders[name]?.().then(
      () => response.writeHead(204).end(),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${secret}/`;
  writeFileWhole(controlFile(manifest), Buffer.from(`${JSON.stringify({ url })}\n`));
  return () => {
    rmSync(controlFile(manifest), { force: true });
    server.closeAllConnections();
    server.close();
  };
}

/** Has the devnet of a manifest do something. Throws `ENDPOINT_UNREACHABLE` where none is running. */
export async function order(manifest: string, name: string): Promise<void> {
  let status: number;
  try {
    const { url } = JSON.parse(readFileSync(controlFile(manifest), 'utf8')) as { url: string };
    const options = { method: 'POST', signal: AbortSignal.timeout(ANSWER_MS_MAX) };
    ({ status } = await fetch(new URL(name, url), options));
  } catch (error) {
    // Neither the cause nor its address, which has the secret.
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
    throw new BitcloakError('ENDPOINT_UNREACHABLE', `no devnet answers (${why}): is npm start running, and serving?`);
  }
  if (status !== 204) throw new BitcloakError('TRANSACTION_FAILED', `the devnet did not do it (status ${status})`);
}
