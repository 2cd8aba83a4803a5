import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import { decodeInfo, encodeTransfer, type WireTransfer } from '@bitcloak/chain/relayWire';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { AMOUNT_MAX, FIELD_MODULUS, NATIVE_ASSET, TIME_MAX } from '@bitcloak/protocol/parameters';
import type { RelayerOptions, RelayerReport } from '@bitcloak/relayer/app';
import { relay as relayThrough, relayerInfo, waitForRelayed } from '@bitcloak/wallet/relayerClient';
import { toQuantity, type HDNodeWallet } from 'ethers';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import type { PoolBench } from '../support/pool.ts';
import {
  addressOf,
  benchWithNotes,
  FaultyEndpoint,
  FEE,
  fundedAccount,
  provenSend,
  provenWithdrawal,
  RECIPIENT,
  relayerFor,
  relayerKeys,
} from '../support/relayer.ts';

/** A transfer with some of what it shows or carries put in another's place. */
type Change = { shown?: Partial<ProvenTransfer['shown']>; extData?: Partial<ProvenTransfer['extData']> };
const altered = ({ proof, shown, extData }: ProvenTransfer, change: Change): ProvenTransfer => ({
  proof,
  shown: { ...shown, ...change.shown },
  extData: { ...extData, ...change.extData },
});

describe('relayer', () => {
  let bench: PoolBench;
  let account: HDNodeWallet;
  let withdrawal: ProvenTransfer;
  let send: ProvenTransfer;
  let lyingSend: ProvenTransfer;
  let restore: () => Promise<void>;
  const open: FastifyInstance[] = [];

  before(async () => {
    const world = await benchWithNotes();
    const [first, second] = world.notes;
    assert(first && second);
    bench = world.bench;
    account = await fundedAccount(bench.chain, 0);
    withdrawal = await provenWithdrawal(bench, first, BigInt(account.address));
    send = await provenSend(bench, second);
    lyingSend = await provenSend(bench, second, 1n);
    restore = await bench.chain.snapshot();
  });

  afterEach(async () => {
    await bench.chain.provider.send('evm_setAutomine', [true]);
    await bench.chain.mine();
    await Promise.all(open.splice(0).map((app) => app.close()));
    await restore();
  });

  after(() => bench.close());

  async function start(changes: Partial<RelayerOptions> = {}): Promise<FastifyInstance> {
    const app = await relayerFor(bench, { closeMsMax: 2_000, ...changes });
    open.push(app);
    return app;
  }

  const post = (app: FastifyInstance, payload: object | string): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'POST', url: '/v1/relay', headers: { 'content-type': 'application/json' }, payload });
  const relay = (app: FastifyInstance, transfer: ProvenTransfer) => post(app, encodeTransfer(transfer));

  function assertRefused(response: LightMyRequestResponse, status: number, code: string, message = /./): void {
    const body = response.json<{ code: string; message: string }>();
    assert.deepEqual({ status: response.statusCode, code: body.code }, { status, code }, body.message);
    assert.match(body.message, message);
    assert.deepEqual(Object.keys(body).sort(), ['code', 'message']);
  }

  async function settled(app: FastifyInstance, transaction: string): Promise<Record<string, unknown>> {
    for (;;) {
      const response = await app.inject({ url: `/v1/relay/${transaction}` });
      const status = response.json<Record<string, unknown>>();
      if (status['status'] !== 'pending') return status;
      await new Promise((done) => setTimeout(done, 5));
    }
  }

  async function relayed(response: Promise<LightMyRequestResponse>): Promise<string> {
    const answer = await response;
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json<{ transaction: string }>().transaction;
  }

  const poolFor = (signer = bench.chain.signer(5)) => new PoolClient(bench.address, signer);
  const sendDirectly = (transfer: ProvenTransfer) => poolFor().send(poolFor().transferCall(transfer));
  const setAutomine = (on: boolean) => bench.chain.provider.send('evm_setAutomine', [on]);
  const balanceOf = (address: bigint) => bench.chain.provider.getBalance(formatAccount(address));

  describe('relays', () => {
    it('says whom to pay and how much', async () => {
      const response = await (await start()).inject({ url: '/v1/info' });
      assert.deepEqual(decodeInfo(response.json()), {
        chainId: 31337n,
        pool: bench.address,
        account: BigInt(account.address),
        address: addressOf(relayerKeys),
        fees: new Map([[NATIVE_ASSET, FEE]]),
      });
    });

    it('a withdrawal, for its public fee', async () => {
      const app = await start();
      const before = await balanceOf(RECIPIENT);
      const transaction = await relayed(relay(app, withdrawal));
      const status = await settled(app, transaction);
      const receipt = await bench.chain.provider.getTransactionReceipt(transaction);
      assert(receipt);
      const { blockNumber: block, gasUsed } = receipt;
      assert.deepEqual(status, { status: 'confirmed', transaction, block, gasUsed: gasUsed.toString() });
      assert.equal((await balanceOf(RECIPIENT)) - before, 5_000n - FEE.withdrawal);
      assert.equal(await balanceOf(BigInt(account.address)), 10n ** 18n + FEE.withdrawal - receipt.fee);
      assertRefused(await relay(app, withdrawal), 409, 'RELAYER_REFUSED', /spent already/);
    });

    it('a transfer, for its third note', async () => {
      const app = await start();
      const transaction = await relayed(relay(app, send));
      assert.equal((await settled(app, transaction))['status'], 'confirmed');
      assert.equal(await poolFor().isSpent(send.shown.nullifiers[0] ?? 0n), true);
    });

    it('for a wallet that trusts nothing it says', async () => {
      const app = await start();
      const url = await app.listen({ host: '127.0.0.1', port: 0 });
      const info = await relayerInfo(url);
      assert.equal(info.account, withdrawal.extData.relayer);
      const { provider } = bench.chain;
      const after = await provider.getBlockNumber();
      const named = await relayThrough(url, withdrawal);
      const { transaction, block } = await waitForRelayed(poolFor(), provider, { after, named, transfer: withdrawal });
      assert.equal(transaction, named);
      assert.equal(block, (await provider.getTransactionReceipt(transaction))?.blockNumber);
      await settled(app, transaction);
      const message =
        /^the relayer refuses with RELAYER_REFUSED: nullifiers: a note is spent already; the transfer may still land/;
      await assert.rejects(relayThrough(url, withdrawal), { code: 'RELAYER_REFUSED', message });
    });

    it('for a wallet that finds it though its fee had to be raised', async () => {
      const lines: RelayerReport[] = [];
      const app = await start({ report: (line) => lines.push(line) });
      const url = await app.listen({ host: '127.0.0.1', port: 0 });
      const { provider } = bench.chain;
      const after = await provider.getBlockNumber();
      const mineDear = async () => {
        await provider.send('hardhat_setNextBlockBaseFeePerGas', [toQuantity(10n ** 11n)]);
        await bench.chain.mine();
      };
      await setAutomine(false);
      const named = await relayThrough(url, withdrawal);
      const found = waitForRelayed(poolFor(), provider, { after, named, transfer: withdrawal });
      await mineDear();
      assert.equal(await provider.getTransactionReceipt(named), null);
      while (!lines.some(({ kind }) => kind === 'raised')) await new Promise((done) => setTimeout(done, 5));
      await mineDear();
      const { transaction, block } = await found;
      assert.notEqual(transaction, named);
      const status = await settled(app, named);
      assert.deepEqual([status['status'], status['transaction'], status['block']], ['confirmed', transaction, block]);
      assert.deepEqual(await settled(app, transaction), status);
    });

    it('two transfers one after another from one account', async () => {
      const app = await start();
      await setAutomine(false);
      const hashes = await Promise.all([relayed(relay(app, withdrawal)), relayed(relay(app, send))]);
      await bench.chain.mine();
      for (const hash of hashes) assert.equal((await settled(app, hash))['status'], 'confirmed');
    });

    it('and is healthy as long as it can pay', async () => {
      assert.deepEqual((await (await start()).inject({ url: '/health' })).json(), { status: 'ok' });
      const poor = await start({ account: await fundedAccount(bench.chain, 1, 1n) });
      assertRefused(await poor.inject({ url: '/health' }), 503, 'GAS_INSUFFICIENT');
    });
  });

  describe('refuses what is not exactly a transfer', () => {
    const cases: [string, (wire: WireTransfer) => unknown][] = [
      ['an unknown field', (wire) => ({ ...wire, extra: '0x' })],
      ['a missing field', ({ fee: _fee, ...wire }) => wire],
      ['a number for a decimal string', (wire) => ({ ...wire, fee: 1_000 })],
      ['a leading zero', (wire) => ({ ...wire, fee: `0${wire.fee}` })],
      ['a negative amount', (wire) => ({ ...wire, withdrawAmount: '-1' })],
      ['an amount in hexadecimal', (wire) => ({ ...wire, validAfter: '0x10' })],
      ['40 digits', (wire) => ({ ...wire, fee: '1'.repeat(40) })],
      ['a short word', (wire) => ({ ...wire, root: wire.root.slice(0, -1) })],
      ['a word in capitals', (wire) => ({ ...wire, root: `0x${'A'.repeat(64)}` })],
      ['a word with a line end', (wire) => ({ ...wire, root: `${wire.root}\n` })],
      ['seven words of proof', (wire) => ({ ...wire, proof: wire.proof.slice(1) })],
      ['three nullifiers', (wire) => ({ ...wire, nullifiers: [...wire.nullifiers, wire.root] })],
      ['a string for a list', (wire) => ({ ...wire, commitments: wire.commitments[0] })],
      ['an address of 21 bytes', (wire) => ({ ...wire, recipient: `${wire.recipient}00` })],
      ['a short ciphertext', (wire) => ({ ...wire, ciphertext: wire.ciphertext.slice(0, -2) })],
      ['a list', (wire) => [wire]],
      ['null', () => null],
    ];
    for (const [name, change] of cases) {
      it(name, async () => {
        const body = JSON.stringify(change(encodeTransfer(withdrawal)));
        assertRefused(await post(await start(), body), 400, 'USAGE');
      });
    }

    it('a body that is no JSON, of another type, too large or with a prototype', async () => {
      const app = await start();
      assertRefused(await post(app, '{'), 400, 'USAGE');
      assertRefused(await post(app, '{"__proto__":{}}'), 400, 'USAGE');
      assertRefused(await post(app, JSON.stringify({ padding: '0'.repeat(9_000) })), 413, 'USAGE');
      const headers = { 'content-type': 'text/plain' };
      assertRefused(await app.inject({ method: 'POST', url: '/v1/relay', headers, payload: '{}' }), 415, 'USAGE');
    });

    it('a path that is not there and a transaction that it did not send', async () => {
      const app = await start();
      assertRefused(await app.inject({ url: '/v2/info' }), 404, 'USAGE');
      assertRefused(await app.inject({ url: `/v1/relay/0x${'0'.repeat(64)}` }), 404, 'USAGE');
      assertRefused(await app.inject({ url: '/v1/relay/0x00' }), 400, 'USAGE');
      assertRefused(await app.inject({ url: '/v1/%zz' }), 400, 'USAGE');
    });

    const none: Partial<ProvenTransfer['extData']> = { recipient: 0n, relayer: 0n, fee: 0n };
    const forms: [RegExp, (transfer: ProvenTransfer, pool: bigint) => Change][] = [
      [/^root/, () => ({ shown: { root: FIELD_MODULUS } })],
      [/^message/, ({ shown }) => ({ shown: { message: shown.message + FIELD_MODULUS } })],
      [
        /^nullifiers: .*field/,
        ({ shown }) => ({
          shown: { nullifiers: shown.nullifiers.map((word) => (word + FIELD_MODULUS) as typeof word) },
        }),
      ],
      [
        /^nullifiers: .*different/,
        ({ shown }) => ({ shown: { nullifiers: [...shown.nullifiers.slice(1), ...shown.nullifiers.slice(1)] } }),
      ],
      [
        /^commitments/,
        ({ shown }) => ({
          shown: { commitments: shown.commitments.map((word) => (word + FIELD_MODULUS) as typeof word) },
        }),
      ],
      [/^withdrawAmount/, () => ({ shown: { withdrawAmount: AMOUNT_MAX + 1n } })],
      [/^validAfter/, () => ({ shown: { validAfter: TIME_MAX + 1n } })],
      [/^publicAsset/, () => ({ shown: { publicAsset: 0n } })],
      [/^publicAsset/, () => ({ shown: { withdrawAmount: 0n }, extData: none })],
      [/^fee/, () => ({ extData: { fee: 5_001n } })],
      [/^recipient: /, () => ({ extData: { recipient: 0n } })],
      [/^relayer: /, () => ({ extData: { relayer: 0n } })],
      [/^relayer: /, () => ({ extData: { fee: 0n } })],
      [/^recipient and relayer/, (_transfer, pool) => ({ extData: { recipient: pool } })],
      [/^recipient and relayer/, (_transfer, pool) => ({ extData: { relayer: pool } })],
    ];
    for (const [message, change] of forms) {
      it(`and what the pool never takes: ${message.source}`, async () => {
        const transfer = altered(withdrawal, change(withdrawal, bench.address));
        assertRefused(await relay(await start(), transfer), 400, 'USAGE', message);
        await assert.rejects(sendDirectly(transfer), { code: 'TRANSACTION_FAILED' });
      });
    }
  });

  describe('refuses what does not pay', () => {
    it('a public fee below its own, or to somebody else', async () => {
      const expected = /expected at least 1000 base units of 0xEeee.*, got 999$/;
      const low = altered(withdrawal, { extData: { fee: 999n } });
      assertRefused(await relay(await start(), low), 422, 'FEE_INSUFFICIENT', expected);
      const other = altered(withdrawal, { extData: { relayer: 5n } });
      assertRefused(await relay(await start(), other), 422, 'FEE_INSUFFICIENT', /got 0$/);
    });

    it('a third note below its fee', async () => {
      const app = await start({ fees: new Map([[NATIVE_ASSET, { withdrawal: 1n, transfer: 701n }]]) });
      assertRefused(await relay(app, send), 422, 'FEE_INSUFFICIENT', /at least 701 .* got 700$/);
    });

    it('a third note to somebody else', async () => {
      const app = await start({ keyring: bench.keyring() });
      assertRefused(await relay(app, send), 422, 'FEE_INSUFFICIENT', /expected output 2 to be a note to the relayer/);
    });

    it('a third note that holds less than its ciphertext says', async () => {
      assertRefused(await relay(await start(), lyingSend), 422, 'FEE_INSUFFICIENT', /expected output 2 to be a note/);
    });

    it('an asset without a fee', async () => {
      const app = await start({ fees: new Map([[7n, FEE]]) });
      assertRefused(await relay(app, withdrawal), 422, 'RELAYER_REFUSED', /no fee for 0xEeee/);
      assertRefused(await relay(app, send), 422, 'RELAYER_REFUSED', /no fee for 0xEeee/);
    });

    it('and tells nobody but its owner what a third note holds', async () => {
      const fresh = send.shown.nullifiers.map((word) => (word ^ 1n) as typeof word);
      const copied = altered(send, { shown: { nullifiers: fresh } });
      const [payee, stranger] = [await start(), await start({ keyring: bench.keyring() })];
      const [told, other] = [await relay(payee, copied), await relay(stranger, copied)];
      assertRefused(told, 422, 'TRANSACTION_FAILED', /InvalidProof/);
      assert.equal(told.body, other.body);
    });
  });

  describe('refuses what the chain would', () => {
    it('a time that has not come', async () => {
      const later = altered(withdrawal, { shown: { validAfter: (await bench.chain.now()) + 1_000n } });
      assertRefused(await relay(await start(), later), 422, 'RELAYER_REFUSED', /^validAfter/);
    });

    it('an unknown root', async () => {
      const elsewhere = altered(withdrawal, { shown: { root: 5n } });
      assertRefused(await relay(await start(), elsewhere), 422, 'RELAYER_REFUSED', /^root/);
    });

    it('a spent note', async () => {
      await sendDirectly(send);
      assertRefused(await relay(await start(), send), 409, 'RELAYER_REFUSED', /spent already/);
    });

    it('too much gas', async () => {
      const message = /^gas: expected at most 100000, estimated \d+$/;
      assertRefused(await relay(await start({ gasMax: 100_000n }), withdrawal), 422, 'RELAYER_REFUSED', message);
    });

    it('and anything without coins for gas', async () => {
      const poor = await fundedAccount(bench.chain, 0, 10n ** 9n);
      assertRefused(await relay(await start({ account: poor }), withdrawal), 503, 'GAS_INSUFFICIENT');
      await fundedAccount(bench.chain, 0);
      await relayed(relay(await start(), withdrawal));
    });
  });

  describe('cannot have its transfer altered', () => {
    const changes: Record<string, (transfer: ProvenTransfer) => Change> = {
      message: ({ shown }) => ({ shown: { message: shown.message ^ 1n } }),
      recipient: () => ({ extData: { recipient: RECIPIENT + 1n } }),
      'a larger fee': ({ extData }) => ({ extData: { fee: extData.fee + 1n } }),
      ciphertext: ({ extData }) => ({
        extData: { ciphertext: extData.ciphertext.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) },
      }),
      validAfter: ({ shown }) => ({ shown: { validAfter: shown.validAfter + 1n } }),
      withdrawAmount: ({ shown }) => ({ shown: { withdrawAmount: shown.withdrawAmount + 1n } }),
      'a nullifier': ({ shown }) => ({
        shown: { nullifiers: shown.nullifiers.map((word, i) => (i === 0 ? word : ((word ^ 1n) as typeof word))) },
      }),
      'a commitment': ({ shown }) => ({
        shown: { commitments: shown.commitments.map((word, i) => (i === 0 ? ((word ^ 1n) as typeof word) : word)) },
      }),
    };

    async function assertAlterationFails(app: FastifyInstance, transfer: ProvenTransfer): Promise<void> {
      assertRefused(await relay(app, transfer), 422, 'TRANSACTION_FAILED', /InvalidProof/);
      await assert.rejects(sendDirectly(transfer), /InvalidProof/);
    }

    for (const [name, change] of Object.entries(changes)) {
      it(name, async () => assertAlterationFails(await start(), altered(withdrawal, change(withdrawal))));
    }

    it('relayer: not even by another relayer that would take the fee', async () => {
      const thief = await fundedAccount(bench.chain, 1);
      const stolen = altered(withdrawal, { extData: { relayer: BigInt(thief.address) } });
      await assertAlterationFails(await start({ account: thief }), stolen);
    });

    it('publicAsset: not even where another asset has a fee', async () => {
      const fees = new Map([NATIVE_ASSET, 9n].map((asset) => [asset, FEE]));
      await assertAlterationFails(await start({ fees }), altered(withdrawal, { shown: { publicAsset: 9n } }));
    });
  });

  describe('pays for a note once', () => {
    it('while its transaction is under way', async () => {
      const app = await start();
      await setAutomine(false);
      const transaction = await relayed(relay(app, withdrawal));
      assert.deepEqual((await app.inject({ url: `/v1/relay/${transaction}` })).json(), { status: 'pending' });
      assertRefused(await relay(app, withdrawal), 409, 'RELAYER_REFUSED', /being relayed/);
      await bench.chain.mine();
      await settled(app, transaction);
      assertRefused(await relay(app, withdrawal), 409, 'RELAYER_REFUSED', /spent already/);
    });

    it('where the same transfer comes several times at once', async () => {
      const app = await start();
      const responses = await Promise.all([1, 2, 3].map(() => relay(app, send)));
      assert.deepEqual(responses.map(({ statusCode }) => statusCode).sort(), [200, 409, 409]);
      assert.equal(await bench.chain.provider.getTransactionCount(account.address), 1);
    });

    it('and not again where it lost its gas on the note', async () => {
      const app = await start();
      await setAutomine(false);
      const transaction = await relayed(relay(app, withdrawal));
      // The recipient is a contract that takes coins in a simulation only: it reverts.
      await bench.chain.provider.send('hardhat_setCode', [formatAccount(RECIPIENT), '0x5f5ffd']);
      await bench.chain.mine();
      assert.deepEqual(await settled(app, transaction), { status: 'failed' });
      assert.equal(await poolFor().isSpent(withdrawal.shown.nullifiers[0] ?? 0n), false);
      await bench.chain.provider.send('hardhat_setCode', [formatAccount(RECIPIENT), '0x']);
      assertRefused(await relay(app, withdrawal), 409, 'RELAYER_REFUSED', /reverted on chain; send it yourself/);
    });
  });

  describe('outlives its endpoint', () => {
    const SEND = 'eth_sendRawTransaction';
    const lost = new BitcloakError('ENDPOINT_UNREACHABLE', 'no answer from the endpoint http://secret.example');
    const failing = (endpoint: FaultyEndpoint, when: 'before' | 'after', error: Error, times = 1) => {
      let left = times;
      endpoint[when] = (method) => {
        if (method === SEND && left-- > 0) throw error;
      };
    };

    it('that refuses a transaction: the note is free again, and no nonce is lost', async () => {
      const endpoint = new FaultyEndpoint(bench.chain);
      const app = await start({ endpoint });
      failing(endpoint, 'before', new Error('the mempool is full'));
      assertRefused(await relay(app, withdrawal), 503, 'TRANSACTION_FAILED', /does not take the transaction/);
      const transaction = await relayed(relay(app, withdrawal));
      assert.equal((await settled(app, transaction))['status'], 'confirmed');
    });

    it('that takes a transaction and loses its answer', async () => {
      const endpoint = new FaultyEndpoint(bench.chain);
      const app = await start({ endpoint });
      failing(endpoint, 'after', lost);
      const transaction = await relayed(relay(app, withdrawal));
      assert.equal((await settled(app, transaction))['status'], 'confirmed');
    });

    it('that answers a transaction it knows with an error', async () => {
      const endpoint = new FaultyEndpoint(bench.chain);
      const app = await start({ endpoint });
      failing(endpoint, 'after', new Error('already known'));
      const transaction = await relayed(relay(app, withdrawal));
      assert.equal((await settled(app, transaction))['status'], 'confirmed');
    });

    it('that loses a transaction: it is sent again', async () => {
      const endpoint = new FaultyEndpoint(bench.chain);
      const app = await start({ endpoint });
      failing(endpoint, 'before', lost, 2);
      const transaction = await relayed(relay(app, withdrawal));
      assert.equal((await settled(app, transaction))['status'], 'confirmed');
    });

    it('that is gone, without a word about it', async () => {
      const endpoint = new FaultyEndpoint(bench.chain);
      const app = await start({ endpoint });
      endpoint.before = () => {
        throw lost;
      };
      const response = await relay(app, withdrawal);
      assertRefused(response, 503, 'ENDPOINT_UNREACHABLE');
      assertRefused(await app.inject({ url: '/health' }), 503, 'ENDPOINT_UNREACHABLE');
      assert.doesNotMatch(response.body, /secret/);
    });
  });

  describe('as a service', () => {
    it('serves an address so many requests a minute, whatever they are', async () => {
      const app = await start({ ratePerMinute: 3 });
      for (const url of ['/v1/info', '/health', '/nowhere']) await app.inject({ url });
      for (const url of ['/v1/info', '/nowhere']) assertRefused(await app.inject({ url }), 429, 'RELAYER_REFUSED');
      assertRefused(await relay(app, withdrawal), 429, 'RELAYER_REFUSED');
      assert.equal((await app.inject({ url: '/v1/info', remoteAddress: '192.0.2.1' })).statusCode, 200);
    });

    it('takes the word of trusted proxies only for where a request comes from', async () => {
      const headers = { 'x-forwarded-for': '192.0.2.1' };
      const direct = await start({ ratePerMinute: 1 });
      await direct.inject({ url: '/v1/info' });
      assertRefused(await direct.inject({ url: '/v1/info', headers }), 429, 'RELAYER_REFUSED');
      const behind = await start({ ratePerMinute: 1, trustedProxies: ['127.0.0.1'] });
      await behind.inject({ url: '/v1/info' });
      assert.equal((await behind.inject({ url: '/v1/info', headers })).statusCode, 200);
    });

    it('closes when what it sent has its receipt, and takes nothing new meanwhile', async () => {
      const lines: RelayerReport[] = [];
      const app = await start({ closeMsMax: 60_000, rebroadcastMs: 60_000, report: (line) => lines.push(line) });
      const url = await app.listen({ host: '127.0.0.1', port: 0 });
      await setAutomine(false);
      const transaction = await relayed(relay(app, withdrawal));
      const closed = app.close();
      const early = await Promise.race([closed.then(() => true), new Promise((done) => setTimeout(done, 100, false))]);
      assert.equal(early, false);
      const refused = await fetch(`${url}/v1/info`);
      assert.equal(refused.status, 503);
      assert.equal(((await refused.json()) as { code: string }).code, 'RELAYER_REFUSED');
      await bench.chain.mine();
      await closed;
      assert.deepEqual(lines.slice(0, 2), [
        { kind: 'sent', transaction },
        { kind: 'refused', code: 'RELAYER_REFUSED', status: 503 },
      ]);
      assert.deepEqual(lines.at(-1), { kind: 'confirmed', transaction });
    });

    it('closes when what it was checking is sent and has its receipt', async () => {
      const lines: RelayerReport[] = [];
      const endpoint = new FaultyEndpoint(bench.chain);
      const app = await start({ endpoint, closeMsMax: 60_000, report: (line) => lines.push(line) });
      const checking = new Promise<void>((done) => {
        endpoint.before = () => {
          done();
        };
      });
      const answer = relay(app, withdrawal);
      await checking;
      await app.close();
      const transaction = await relayed(answer);
      assert.deepEqual(lines, [
        { kind: 'sent', transaction },
        { kind: 'confirmed', transaction },
      ]);
    });

    it('closes in spite of a transaction that nobody mines', async () => {
      const app = await start({ closeMsMax: 50 });
      await setAutomine(false);
      await relayed(relay(app, withdrawal));
      await app.close();
    });

    it('reports hashes and codes and nothing that was handed in', async () => {
      const lines: RelayerReport[] = [];
      const app = await start({ report: (line) => lines.push(line) });
      await post(app, '{"secret":1}');
      await app.inject({ url: '/secret' });
      const transaction = await relayed(relay(app, withdrawal));
      await settled(app, transaction);
      assert.deepEqual(lines, [
        { kind: 'refused', code: 'USAGE', status: 400 },
        { kind: 'refused', code: 'USAGE', status: 404 },
        { kind: 'sent', transaction },
        { kind: 'confirmed', transaction },
      ]);
    });
  });
});
