import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { POOL_ABI } from '@bitcloak/chain/generated/abi';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import { decodeInfo, decodeTransfer, encodeInfo, encodeTransfer, type WireTransfer } from '@bitcloak/chain/relayWire';
import { formatAddress } from '@bitcloak/notes/address';
import type { Commitment, Nullifier } from '@bitcloak/notes/note';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { relay, relayerInfo, waitForRelayed } from '@bitcloak/wallet/relayerClient';
import { Interface, type Provider } from 'ethers';
import { addressOf, FEE, relayerKeys } from '../support/relayer.ts';

const POOL = 0xabcn;
const HASH = `0x${'5'.repeat(64)}`;

const transfer: ProvenTransfer = {
  proof: [1n, 2n, 3n, 4n, 5n, 6n, 7n, 2n ** 256n - 1n],
  shown: {
    root: 9n,
    message: 8n,
    nullifiers: [10n, 11n] as Nullifier[],
    commitments: [12n, 13n, 14n] as Commitment[],
    withdrawAmount: 2n ** 120n - 1n,
    publicAsset: NATIVE_ASSET,
    validAfter: 3_600n,
  },
  extData: { recipient: 15n, relayer: 16n, fee: 17n, ciphertext: new Uint8Array(764).fill(18) },
};

const info = {
  chainId: 31337n,
  pool: POOL,
  account: 0xdefn,
  address: addressOf(relayerKeys),
  fees: new Map([[NATIVE_ASSET, FEE]]),
};

describe("a relayer's client", () => {
  let server: Server | undefined;

  afterEach(async () => {
    server?.closeAllConnections();
    await new Promise((done) => (server === undefined ? done(undefined) : server.close(done)));
    server = undefined;
  });

  /** A server that says whatever it likes. */
  async function serve(listener: RequestListener): Promise<string> {
    const started = createServer(listener);
    server = started;
    await new Promise<void>((done) => started.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
  }

  const answering = (body: unknown, status = 200) =>
    serve((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });

  it('says a transfer in JSON so that the relayer reads the same', () => {
    const wire = JSON.parse(JSON.stringify(encodeTransfer(transfer))) as WireTransfer;
    assert.deepEqual(decodeTransfer(wire), transfer);
  });

  it('says nothing but what the transfer shows, whatever the object holds', () => {
    const secret = { ...transfer, shown: { ...transfer.shown, nullifierKey: 424_242n }, seed: 'secret' };
    assert.deepEqual(encodeTransfer(secret), encodeTransfer(transfer));
  });

  it('reads what a relayer says of itself', async () => {
    assert.deepEqual(await relayerInfo(await answering(encodeInfo(info))), info);
    assert.deepEqual(decodeInfo(JSON.parse(JSON.stringify(encodeInfo(info)))), info);
  });

  it('finds a relayer below a path of its host', async () => {
    const url = await serve(({ url: path }, response) => {
      response.statusCode = path === '/relayer/v1/info' ? 200 : 404;
      response.end(JSON.stringify(encodeInfo(info)));
    });
    for (const base of ['/relayer', '/relayer/']) assert.deepEqual(await relayerInfo(url + base), info);
  });

  describe('believes no malformed word on', () => {
    const fee = { asset: formatAccount(NATIVE_ASSET), withdrawal: '1000', transfer: '700' };
    const smallOrder = formatAddress({ owner: 5n, viewingKey: new Uint8Array(32) });
    const lies: [RegExp, object][] = [
      [/chainId/, { chainId: 31337 }],
      [/chainId/, { chainId: '0x7a69' }],
      [/pool/, { pool: '0x00' }],
      [/pool/, { pool: undefined }],
      [/account/, { account: `0x${'0'.repeat(40)}` }],
      [/account/, { account: formatAccount(POOL) }],
      [/account/, { account: null }],
      [/address/, { address: formatAddress(info.address).replace('cloak1', 'cloak2') }],
      [/address/, { address: '' }],
      [/address: expected a viewing key/, { address: smallOrder }],
      [/fees/, { fees: {} }],
      [/fees/, { fees: [null] }],
      [/fees/, { fees: [{ ...fee, minimum: '1' }] }],
      [/asset/, { fees: [fee, { ...fee, transfer: '1' }] }],
      [/asset/, { fees: [{ ...fee, asset: `0x${'0'.repeat(40)}` }] }],
      [/withdrawal/, { fees: [{ ...fee, withdrawal: '-1' }] }],
      [/withdrawal/, { fees: [{ ...fee, withdrawal: '0' }] }],
      [/transfer/, { fees: [{ ...fee, transfer: (2n ** 120n).toString() }] }],
      [/transfer/, { fees: [{ ...fee, transfer: 700 }] }],
      [/info/, { motd: 'hello' }],
    ];
    for (const [field, lie] of lies) {
      it(`${field.source}: ${JSON.stringify(lie).slice(0, 60)}`, async () => {
        const url = await answering({ ...encodeInfo(info), ...lie });
        await assert.rejects(relayerInfo(url), { code: 'RELAYER_UNREACHABLE', message: field });
      });
    }

    it('a transaction', async () => {
      for (const answer of [{}, { transaction: '0x5' }, { transaction: HASH, more: 1 }, [HASH], null, '"text"', '{']) {
        await assert.rejects(relay(await answering(answer), transfer), { code: 'RELAYER_UNREACHABLE' });
        server?.close();
      }
      assert.equal(await relay(await answering({ transaction: HASH }), transfer), HASH);
    });
  });

  it('passes on why it was refused, fit for a terminal', async () => {
    const message = `fee: expected\u001b[31m more\n${'x'.repeat(1_000)}`;
    const url = await answering({ code: 'FEE_INSUFFICIENT', message }, 422);
    await assert.rejects(relay(url, transfer), ({ code, message: shown }: { code: string; message: string }) => {
      assert.equal(code, 'RELAYER_REFUSED');
      assert.match(
        shown,
        /^the relayer refuses with FEE_INSUFFICIENT: fee: expected\?\[31m more\?x+; the transfer may still land/,
      );
      assert.ok(shown.length < 450);
      return true;
    });
  });

  it('takes a refusal without code and message for something else than a relayer', async () => {
    for (const body of ['<html>', {}, { code: 'a\nb', message: '' }, { code: 'USAGE', message: 5 }, null, '"text"']) {
      await assert.rejects(relayerInfo(await answering(body, 500)), { code: 'RELAYER_UNREACHABLE' });
      server?.close();
    }
  });

  it('follows no redirection', async () => {
    let followed = false;
    const url = await serve(({ url: path }, response) => {
      followed ||= path === '/elsewhere';
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    await assert.rejects(relayerInfo(url), { code: 'RELAYER_UNREACHABLE' });
    assert.equal(followed, false);
  });

  it('reads no endless answer', async () => {
    const url = await serve((_request, response) => {
      const timer = setInterval(() => response.write(' '.repeat(10_000)), 1);
      response.on('close', () => {
        clearInterval(timer);
      });
    });
    const cause = new RangeError('expected an answer of at most 65536 bytes');
    await assert.rejects(relayerInfo(url), { code: 'RELAYER_UNREACHABLE', cause });
  });

  it('says that a transfer may have been sent where the answer was lost', async () => {
    const url = await serve((request) => request.socket.destroy());
    await assert.rejects(relay(url, transfer), { code: 'RELAYER_UNREACHABLE', message: /may still land/ });
    await assert.rejects(relayerInfo(url), {
      code: 'RELAYER_UNREACHABLE',
      message: /^no answer from the relayer 127[^;]*$/,
    });
  });

  it('asks nothing but a web server', async () => {
    for (const url of ['', 'relayer', 'file:///etc/hosts', 'http://user:secret@127.0.0.1', 'javascript:0']) {
      await assert.rejects(relayerInfo(url), { code: 'USAGE', message: /^relayer: expected a URL such as/ });
    }
  });

  describe('looks for the transfer among the events of the pool', () => {
    const pool = new Interface(POOL_ABI);
    const { nullifiers, commitments } = transfer.shown;
    const logOf = (blockNumber: number, spent: readonly bigint[], made: readonly bigint[]) => {
      const { data, topics } = pool.encodeEventLog('Transferred', [0n, spent, made, transfer.extData.ciphertext]);
      const place = { blockNumber, index: 0, transactionHash: HASH, removed: false };
      return { ...place, address: formatAccount(POOL), data, topics };
    };
    const foreign = logOf(8, [20n, 21n], [22n, 23n, 24n]);

    /** The chain is one block higher each time that it is asked; `logsAt` has all its logs at a height. */
    function wait(logsAt: (height: number) => object[], after = 7) {
      const asked: [number, number][] = [];
      let height = after;
      const provider = {
        getBlockNumber: () => Promise.resolve(height++),
        getLogs: ({ fromBlock, toBlock }: { fromBlock: number; toBlock: number }) => {
          asked.push([fromBlock, toBlock]);
          return Promise.resolve(logsAt(toBlock));
        },
      };
      const runner = { ...provider, provider } as unknown as Provider;
      const found = waitForRelayed(new PoolClient(POOL, runner), runner, { after, named: '0x77', transfer });
      return { found, asked };
    }

    it('and believes these alone, whatever the relayer calls its transaction', async () => {
      const { found, asked } = wait((height) =>
        height < 9 ? [foreign] : [foreign, logOf(9, nullifiers, commitments)],
      );
      assert.deepEqual(await found, { transaction: HASH, block: 9 });
      assert.deepEqual(asked, [
        [8, 8],
        [8, 9],
      ]);
    });

    it('and not those of an earlier one, which has landed in its place', async () => {
      const earlier = logOf(8, [nullifiers[0] as bigint, 30n], [31n, 32n, 33n]);
      await assert.rejects(wait(() => [earlier]).found, {
        code: 'TRANSACTION_FAILED',
        message: /in place of this one/,
      });
    });
  });
});
