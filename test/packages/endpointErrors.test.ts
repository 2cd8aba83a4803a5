import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { openEndpoint } from '@bitcloak/chain/endpoint';
import { callError, PoolClient } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { FetchRequest, JsonRpcProvider, Network } from 'ethers';

const SECRET = 'v3-0123456789abcdef';

describe('errors of an endpoint', function () {
  this.timeout(30_000);
  let server: Server;
  let url: string;
  let answer: (call: { id: number; method: string }) => { status?: number; text: string };
  before(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { status = 200, text } = answer(JSON.parse(Buffer.concat(chunks).toString()) as never);
        response.writeHead(status, { 'content-type': 'application/json' }).end(text);
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${SECRET}?key=${SECRET}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  /** Everything that a log could show of an error. */
  const shown = (error: BitcloakError) => `${error.message} ${inspect(error, { depth: null, showHidden: true })}`;
  const failing = async (work: () => Promise<unknown>): Promise<unknown> => {
    try {
      await work();
    } catch (error) {
      return error;
    }
    return assert.fail('it does not fail');
  };

  const refusal = (message: string, code = -32_005) => {
    return ({ id }: { id: number }) => ({ text: JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } }) });
  };
  const cases: [string, string, typeof answer, RegExp][] = [
    ['a status', 'ENDPOINT_UNREACHABLE', () => ({ status: 401, text: 'no' }), /server response 401/],
    ['what is no JSON', 'ENDPOINT_UNREACHABLE', () => ({ text: '<html>' }), /the endpoint fails: \S/],
    ['words of its own', 'ENDPOINT_UNREACHABLE', refusal(`ask ${SECRET} for more`), /the endpoint fails: .*\(-32005\)/],
    ['a lack of gas', 'GAS_INSUFFICIENT', refusal(`insufficient funds of ${SECRET}`), /native currency/],
    ['a lack of gas by status', 'GAS_INSUFFICIENT', () => ({ status: 400, text: 'insufficient funds' }), /native/],
  ];
  for (const [name, code, says, message] of cases) {
    it(`tell nothing of its address where it answers with ${name}`, async () => {
      answer = says;
      const network = Network.from(31_337);
      const provider = new JsonRpcProvider(new FetchRequest(url), network, { staticNetwork: network });
      const raw = await failing(() => provider.getBlock('latest'));
      const told = callError(raw);
      assert.equal(told.code, code);
      assert.match(told.message, message);
      const read = await failing(() => new PoolClient(5n, provider).queue());
      assert.ok(read instanceof BitcloakError);
      for (const error of [told, read]) assert.ok(!shown(error).includes(SECRET), error.message);
      provider.destroy();
    });
  }

  it('tell nothing of its address where it is not there', async () => {
    const network = Network.from(31_337);
    const provider = new JsonRpcProvider(`http://127.0.0.1:1/${SECRET}`, network, { staticNetwork: network });
    const told = callError(await failing(() => provider.getBlock('latest')));
    assert.deepEqual([told.code, told.message], ['ENDPOINT_UNREACHABLE', 'the endpoint fails: ECONNREFUSED']);
    assert.ok(!shown(told).includes(SECRET));
    provider.destroy();
    const opened = await failing(() => openEndpoint(`http://127.0.0.1:1/${SECRET}`));
    assert.ok(opened instanceof BitcloakError);
    assert.match(opened.message, /no answer from the endpoint http:\/\/127\.0\.0\.1:1 after 5 attempts: ECONNREFUSED/);
    assert.ok(!shown(opened).includes(SECRET));
  });

  it('tell nothing of what is no error of an endpoint', () => {
    for (const thrown of [new Error(`see http://host/${SECRET}`), SECRET, undefined, null]) {
      const told = callError(thrown);
      assert.equal(told.message, 'the endpoint fails: unknown failure');
      assert.ok(!shown(told).includes(SECRET));
    }
  });
});
