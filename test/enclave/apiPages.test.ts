import assert from 'node:assert/strict';
import { SEALED_REQUEST_BYTES } from '@bitcloak/trading/sealing';
import { API } from '@bitcloak/trading/wire';
import { ApiBench, send, type PlainReply, type RawRequest } from '../support/api.ts';

const ORIGIN = 'https://trader.example';
const SEALED_PATHS = [`${API}/sessions`, `${API}/sealed`];

describe('the API of an enclave, to pages of other origins', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  before(async () => {
    bench = await ApiBench.open('api pages');
  });
  after(() => bench.close());

  const ask = (request: RawRequest) =>
    send(bench.url, { ...request, headers: { ...request.headers, origin: ORIGIN, cookie: 'known=1' } });
  const preflight = (path: string) =>
    ask({
      method: 'OPTIONS',
      path,
      headers: { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });
  /** What browsers look at before they let a page see an answer. */
  const allowed = ({ headers }: PlainReply) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => /^(access-control-|set-cookie|vary)/.test(name)));
  const READABLE = { 'access-control-allow-origin': '*' };

  it('is readable, whatever it answers', async () => {
    const requests: readonly (readonly [RawRequest, number])[] = [
      [{ method: 'GET', path: `${API}/info` }, 200],
      [{ method: 'GET', path: `${API}/markets` }, 200],
      [{ method: 'GET', path: '/health' }, 200],
      [{ method: 'GET', path: `${API}/attestation` }, 400],
      [{ method: 'GET', path: `${API}/orders` }, 404],
      [{ method: 'GET', path: `${API}/stream` }, 426],
      ...SEALED_PATHS.flatMap((path) => [
        [{ method: 'POST', path, body: new Uint8Array(9) }, 400] as const,
        [{ method: 'POST', path, body: '{}' }, 415] as const,
      ]),
      [{ method: 'POST', path: `${API}/sessions`, body: new Uint8Array(184) }, 401],
      [{ method: 'POST', path: `${API}/sealed`, body: new Uint8Array(SEALED_REQUEST_BYTES) }, 401],
    ];
    for (const [request, status] of requests) {
      const reply = await ask(request);
      assert.equal(reply.status, status, `${request.path} ${reply.text}`);
      assert.deepEqual(allowed(reply), READABLE, request.path);
    }
  });

  it('takes sealed bytes, and says so beforehand', async () => {
    for (const path of SEALED_PATHS) {
      const reply = await preflight(path);
      assert.deepEqual([reply.status, reply.bytes.length], [204, 0]);
      assert.deepEqual(allowed(reply), {
        ...READABLE,
        'access-control-allow-headers': 'content-type',
        'access-control-max-age': '7200',
      });
    }
  });

  it('lets them send nothing to any other path', async () => {
    for (const path of [`${API}/orders`, `${API}/info`, `${API}/stream`, '/health', `${API}/sealed/`]) {
      const reply = await preflight(path);
      assert.equal(reply.status, 404, path);
      assert.deepEqual(allowed(reply), READABLE, path);
    }
  });

  it('counts what browsers ask beforehand, and says that it was too much', async () => {
    await bench.restart({ api: { ...bench.settings.api, limits: { addressPerMinute: 3 } } });
    const replies: PlainReply[] = [];
    for (let count = 0; count < 5; count++) replies.push(await preflight(`${API}/sealed`));
    assert.deepEqual(
      replies.map(({ status }) => status),
      [204, 204, 204, 429, 429],
    );
    assert.deepEqual(allowed(replies.at(-1) ?? assert.fail()), READABLE);
  });
});
