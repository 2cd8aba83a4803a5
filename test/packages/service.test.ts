import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { networkOf } from '@bitcloak/service/addresses';
import { openServer, type HttpLimits } from '@bitcloak/service/http';
import { keptConnections, openConnection } from '../support/connections.ts';

const LIMITS: HttpLimits = {
  bodyBytesMax: 1_024,
  headAndBodyMsMax: 10_000,
  connectionsMax: 100,
  connectionsPerAddressMax: 3,
  ratePerMinute: 1_000,
};

async function serve(limits: HttpLimits) {
  const app = await openServer(limits, {
    answer: () => ({ status: 500, body: {} }),
    tooMany: () => new Error('too many'),
    notFound: () => new Error('not found'),
    report: () => undefined,
  });
  app.get('/health', () => ({ status: 'ok' }));
  return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }) };
}

describe('a service', () => {
  it('takes an address for itself, and the addresses of an IPv6 network of 64 bits for one', () => {
    for (const [address, network] of [
      ['192.0.2.1', '192.0.2.1'],
      ['::ffff:192.0.2.1', '::ffff:c000:201'],
      ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
      ['2001:0db8::1', '2001:db8:0:0'],
      ['fe80::1%eth0', 'fe80:0:0:0'],
      ['', ''],
    ] as const) {
      assert.equal(networkOf(address), network);
    }
  });

  it('keeps but so many connections of one address, and those of others', async () => {
    const { app, url } = await serve(LIMITS);
    try {
      const first = await keptConnections(url, 5, '127.0.0.1');
      const other = await keptConnections(url, 5, '127.0.0.2');
      assert.deepEqual([first.kept, other.kept], [3, 3]);
      await first.end();
      const deadline = Date.now() + 5_000;
      let again = await openConnection(url, '127.0.0.1');
      // The server learns of an end a moment later.
      while (again === undefined && Date.now() < deadline) {
        await sleep(10);
        again = await openConnection(url, '127.0.0.1');
      }
      assert.ok(again !== undefined, 'what has ended counts no more');
      again.destroy();
      await other.end();
    } finally {
      await app.close();
    }
  });

  it('leaves them to a proxy in front to count', async () => {
    const { app, url } = await serve({ ...LIMITS, trustedProxies: ['127.0.0.1'] });
    try {
      const { kept, end } = await keptConnections(url, 5, '127.0.0.1');
      assert.equal(kept, 5);
      await end();
    } finally {
      await app.close();
    }
  });
});
