import { Agent, request } from 'node:http';
import type { Fetch } from '@bitcloak/trading/http';

const agent = new Agent({ keepAlive: true });

/** What sends much in little of a core's time: Node's `fetch` takes twice as much for a request, which who is measured beside it would miss. */
export const leanFetch: Fetch = (url, { method = 'GET', headers, body }) =>
  new Promise((resolve, reject) => {
    const sent = request(url, { agent, method, headers: headers as Record<string, string> | undefined }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () => {
        resolve(new Response(Buffer.concat(chunks), { status: reply.statusCode ?? 0 }));
      });
      reply.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
