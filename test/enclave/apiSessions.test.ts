import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { HpkeSender } from '@bitcloak/crypto/hpke';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import type { Peer } from '@bitcloak/trading/clientSession';
import {
  HEAD_BYTES,
  KIND,
  packRequest,
  SEALED_REQUEST_BYTES,
  SEQUENCE_MAX,
  SEQUENCE_WINDOW,
} from '@bitcloak/trading/sealing';
import {
  encodeOpening,
  openingInfo,
  openingMessage,
  SEALED_OPENING_BYTES,
  SEALED_OPENING_REPLY_BYTES,
  SESSION_SECONDS_MAX,
  type OpeningClaim,
} from '@bitcloak/trading/session';
import { API, toJson } from '@bitcloak/trading/wire';
import { InnerMessage } from '../../enclave/api/innerRequest.ts';
import { Sequences } from '../../enclave/api/sequences.ts';
import { Sessions } from '../../enclave/api/sessions.ts';
import {
  ApiBench,
  jsonOf,
  send,
  sendSealed,
  TestSession,
  wireOrder,
  type PlainReply,
  type Reply,
} from '../support/api.ts';
import { keptConnections } from '../support/connections.ts';
import { Dice } from '../support/dice.ts';
import type { Trader } from '../support/settlement.ts';

const flipped = (bytes: Uint8Array, bit: number) =>
  Uint8Array.from(bytes, (byte, place) => (place === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));

describe('sessions of the API', function () {
  this.timeout(60_000);
  let bench: ApiBench;
  let alice: Trader;
  let bob: Trader;
  before(async () => {
    bench = await ApiBench.open('api sessions');
    alice = await bench.trader(100_000n, 0n);
    bob = await bench.trader(0n, 100_000n);
  });
  after(() => bench.close());

  const assertRefused = (reply: Pick<Reply, 'status' | 'text'>, status: number, code: string) => {
    assert.deepEqual({ status: reply.status, code: jsonOf(reply)['code'] }, { status, code }, reply.text);
    assert.deepEqual(Object.keys(jsonOf(reply)), ['code', 'message']);
  };
  /** Refused before anything was opened: nothing of it is sealed. */
  const assertPlain = (reply: Reply, status: number, code: string) => {
    assertRefused(reply, status, code);
    assert.equal(reply.isAuthentic, undefined);
  };
  /** A request whose sequence a test may choose. */
  const ask = (session: TestSession, asked: { method: string; path: string; body?: string; sequence?: number }) =>
    session.ask(asked.method, API + asked.path, asked.body ?? '', asked.sequence ?? ++session.sequence);

  /** An opening of which a test may get anything wrong. */
  async function craft(
    key: Trader['key'],
    changes: { peer?: Partial<Peer>; signed?: Partial<OpeningClaim & Peer>; claim?: Partial<OpeningClaim> } = {},
  ): Promise<Uint8Array> {
    const peer = { ...bench.peer, ...changes.peer };
    const sender = await HpkeSender.to(peer.apiKey, openingInfo(peer));
    assert(sender !== undefined);
    const { encapsulation } = sender;
    const { operatorId, apiKey } = peer;
    const claim = { owner: key.keys.owner, time: bench.now() };
    const signature = key.sign(openingMessage({ operatorId, apiKey, encapsulation, ...claim, ...changes.signed }));
    const sealed = await sender.seal(encodeOpening({ ...claim, signature, ...changes.claim }));
    return Buffer.concat([encapsulation, sealed]);
  }

  describe('are opened', () => {
    it('by an owner who is known, and show that the enclave answers', async () => {
      const opening = await bench.opening(alice.key);
      const reply = await bench.post(opening.bytes);
      assert.equal(reply.status, 201, reply.text);
      assert.equal(reply.headers['content-type'], 'application/octet-stream');
      assert.deepEqual([opening.bytes.length, reply.bytes.length], [SEALED_OPENING_BYTES, SEALED_OPENING_REPLY_BYTES]);
      const session = await opening.accept(reply.bytes);
      assert(session !== undefined);
      assert(Math.abs(session.expiry - bench.now() - SESSION_SECONDS_MAX) <= 2);
      for (const bit of [0, 255, 256, 8 * reply.bytes.length - 1]) {
        assert.equal(await opening.accept(flipped(reply.bytes, bit)), undefined, `bit ${bit}`);
      }
      const other = await bench.opening(alice.key);
      assert.equal(await other.accept(reply.bytes), undefined, 'it answers one opening');
    });

    it('once by the same opening, whose sequences do not begin anew', async () => {
      const opening = await bench.opening(alice.key);
      const first = await bench.post(opening.bytes);
      const sealed = await opening.accept(first.bytes);
      assert(sealed !== undefined);
      const session = new TestSession(bench.url, alice.key, sealed);
      assert.equal((await session.call('GET', '/balances')).status, 200);
      const again = await bench.post(opening.bytes);
      assert.deepEqual(again.bytes, first.bytes);
      session.sequence = 0;
      assertPlain(await session.call('GET', '/balances'), 409, 'REQUEST_REFUSED');
      assert.equal((await session.call('GET', '/balances')).status, 200);
      const together = await bench.opening(alice.key);
      const replies = await Promise.all(Array.from({ length: 4 }, () => bench.post(together.bytes)));
      assert.equal(new Set(replies.map(({ bytes }) => bytes.toString('hex'))).size, 1);
    });

    it('by nobody else, and what is wrong makes no difference', async () => {
      // A second earlier must not be before the start.
      await new Promise((done) => setTimeout(done, 1_100));
      const stranger = bench.desk.trader();
      const { peer } = bench;
      const good = await craft(alice.key);
      const time = bench.now();
      const huge = 2n ** 256n - 1n;
      const signature = alice.key.sign(1n);
      const refused: Record<string, Uint8Array> = {
        'an unknown owner': await craft(stranger.key),
        'signed by another': await craft(bob.key, { claim: { owner: alice.key.keys.owner } }),
        'signed for another time': await craft(alice.key, { claim: { time: time - 1 } }),
        'signed for another operator': await craft(alice.key, { signed: { operatorId: peer.operatorId + 1n } }),
        'signed for another key': await craft(alice.key, { signed: { apiKey: bench.encryptionKey.publicKey } }),
        'a signature of something else': await craft(alice.key, { claim: { signature } }),
        'a signature out of the field': await craft(alice.key, {
          claim: { signature: { r8: { x: FIELD_MODULUS, y: huge }, s: huge } },
        }),
        'an owner out of the field': await craft(alice.key, { claim: { owner: huge } }),
        'sealed to another key': await craft(alice.key, { peer: { apiKey: bench.encryptionKey.publicKey } }),
        'sealed for another chain': await craft(alice.key, { peer: { chainId: peer.chainId + 1n } }),
        'sealed for another pool': await craft(alice.key, { peer: { pool: peer.pool + 1n } }),
        'sealed for another registry': await craft(alice.key, { peer: { registry: peer.registry + 1n } }),
        'sealed for another operator': await craft(alice.key, { peer: { operator: peer.operator + 1 } }),
        'sealed for another era': await craft(alice.key, { peer: { era: peer.era + 1n } }),
        'an encapsulation of small order': Buffer.concat([new Uint8Array(32), good.subarray(32)]),
        "another's encapsulation": Buffer.concat([(await craft(alice.key)).subarray(0, 32), good.subarray(32)]),
        'a bit of the encapsulation': flipped(good, 255),
        'a bit of what is sealed': flipped(good, 256 + 40),
        'a bit of the tag': flipped(good, 8 * good.length - 1),
        nothing: new Uint8Array(SEALED_OPENING_BYTES),
      };
      const answers = new Map<string, PlainReply>();
      for (const [name, bytes] of Object.entries(refused)) answers.set(name, await bench.post(bytes));
      const [first] = answers.values();
      for (const [name, { status, text, headers }] of answers) {
        assertRefused({ status, text }, 401, 'SESSION_REFUSED');
        assert.equal(text, first?.text, name);
        assert.deepEqual({ ...headers, date: '' }, { ...first?.headers, date: '' }, name);
      }
      assert.equal((await bench.post(good)).status, 201, 'the opening itself is right');
    });

    it('with a message of one length', async () => {
      const good = await craft(alice.key);
      for (const bytes of [new Uint8Array(0), good.subarray(1), good.subarray(0, 32)]) {
        assertRefused(await bench.post(bytes), 400, 'USAGE');
      }
      assertRefused(await bench.post(Buffer.concat([good, new Uint8Array(1)])), 413, 'USAGE');
      const json = await send(bench.url, { method: 'POST', path: `${API}/sessions`, body: '{}' });
      assertRefused(json, 415, 'USAGE');
    });

    it('at the time of now only', async () => {
      for (const seconds of [-125, 125]) {
        const reply = await bench.post((await bench.opening(alice.key, bench.now() + seconds)).bytes);
        assertRefused(reply, 401, 'SESSION_REFUSED');
        assert.match(reply.text, /time/);
      }
      assert.equal((await bench.post((await bench.opening(alice.key, bench.now() + 115)).bytes)).status, 201);
    });

    it('for one owner, even by those who share an encapsulation', async () => {
      const { peer } = bench;
      const claims = [alice, bob].map(({ key }) => ({ key, owner: key.keys.owner, time: bench.now() }));
      // Everything about the encapsulation is known to both, so each can seal as if he were the first.
      const shared = await HpkeSender.to(peer.apiKey, openingInfo(peer), new Uint8Array(32).fill(7));
      const again = await HpkeSender.to(peer.apiKey, openingInfo(peer), new Uint8Array(32).fill(7));
      const statuses = [];
      for (const [index, { key, ...claim }] of claims.entries()) {
        const sender = index === 0 ? shared : again;
        assert(sender !== undefined);
        const { encapsulation } = sender;
        const { operatorId, apiKey } = peer;
        const signature = key.sign(openingMessage({ operatorId, apiKey, encapsulation, ...claim }));
        const sealed = await sender.seal(encodeOpening({ ...claim, signature }));
        statuses.push((await bench.post(Buffer.concat([encapsulation, sealed]))).status);
      }
      assert.deepEqual(statuses, [201, 401]);
    });

    it('after the same work for an unknown owner as for a wrong signature', async () => {
      const looked: bigint[] = [];
      const sessions = new Sessions({
        identity: bench.peer,
        apiKey: bench.apiKey,
        account: (owner) => {
          looked.push(owner);
          return owner === alice.key.keys.owner ? alice.key.keys : undefined;
        },
        sessionsPerOwner: 4,
        sessions: 4,
        clock: () => Date.now(),
        uptime: () => performance.now(),
      });
      const stranger = bench.desk.trader();
      const wrong = await craft(bob.key, { claim: { owner: alice.key.keys.owner } });
      for (const bytes of [await craft(stranger.key), wrong]) {
        await assert.rejects(sessions.open(bytes), { code: 'SESSION_REFUSED' });
      }
      assert.deepEqual(looked, [stranger.key.keys.owner, alice.key.keys.owner]);
      const elsewhere = await craft(alice.key, { peer: { era: 9n } });
      await assert.rejects(sessions.open(elsewhere), (error) => error instanceof BitcloakError);
      assert.equal(looked.length, 2, 'nothing is looked at before it is opened');
    });
  });

  describe('end', () => {
    it('after their time', async () => {
      const session = await bench.session(alice);
      assert.equal((await session.call('GET', '/balances')).status, 200);
      bench.clockAhead = (SESSION_SECONDS_MAX + 1) * 1000;
      assertPlain(await session.call('GET', '/balances'), 401, 'SESSION_REFUSED');
      bench.clockAhead = 0;
    });

    it('where their owner opens too many, the oldest first and for good', async () => {
      await bench.restart({
        api: { ...bench.settings.api, limits: { ...bench.settings.api.limits, sessionsPerOwner: 2 } },
      });
      const opening = await bench.opening(alice.key);
      const sealed = await opening.accept((await bench.post(opening.bytes)).bytes);
      assert(sealed !== undefined);
      const oldest = new TestSession(bench.url, alice.key, sealed);
      const other = await bench.session(bob);
      const [second, third] = [await bench.session(alice), await bench.session(alice)];
      assertPlain(await oldest.call('GET', '/balances'), 401, 'SESSION_REFUSED');
      for (const session of [second, third, other]) {
        assert.equal((await session.call('GET', '/balances')).status, 200);
      }
      // It would drive the owner's others out.
      assertRefused(await bench.post(opening.bytes), 401, 'SESSION_REFUSED');
    });

    it('with the enclave, and none from before can be opened again', async () => {
      const before = await bench.opening(alice.key, bench.now() - 5);
      const { sealed } = await bench.session(alice);
      await bench.restart();
      const session = new TestSession(bench.url, alice.key, sealed);
      assertPlain(await session.call('GET', '/balances'), 401, 'SESSION_REFUSED');
      assertRefused(await bench.post(before.bytes), 401, 'SESSION_REFUSED');
    });

    it('for good, even where a host has recorded everything and sets the clock back', async () => {
      const opening = await bench.opening(alice.key);
      const answer = await bench.post(opening.bytes);
      const sealed = await opening.accept(answer.bytes);
      assert(sealed !== undefined);
      const session = new TestSession(bench.url, alice.key, sealed);
      session.wire = [];
      assert.equal((await session.place(await bench.order(alice, 'sell', 20, 1))).status, 201);
      const [recorded] = session.wire;
      assert(recorded !== undefined);
      const owner = alice.key.keys.owner;
      bench.clockAhead = -60_000;
      await bench.restart();
      const orders = bench.enclave.machine.state.records.orders(owner).length;
      const again = await bench.post(opening.bytes);
      assert.equal(again.status, 201, 'the host can open it again');
      assert.notDeepEqual(again.bytes, answer.bytes);
      const other = await opening.accept(again.bytes);
      assert(other !== undefined);
      assert.notDeepEqual(other.id, sealed.id);
      assertRefused(await sendSealed(bench.url, recorded.request), 401, 'SESSION_REFUSED');
      const renamed = Buffer.concat([other.id, recorded.request.subarray(other.id.length)]);
      assertRefused(await sendSealed(bench.url, renamed), 401, 'REQUEST_REFUSED');
      assert.equal(bench.enclave.machine.state.records.orders(owner).length, orders);
      assert.equal(await other.openReply(1, recorded.reply.bytes), undefined);
      bench.clockAhead = 0;
      await bench.restart();
    });
  });

  describe('are sealed', () => {
    const order = async () => toJson(wireOrder(await bench.order(alice, 'sell', 20, 1)));
    const openOrders = () => bench.enclave.machine.state.records.orders(alice.key.keys.owner).length;
    const sealOrder = async (session: TestSession, body: string) => {
      const sequence = ++session.sequence;
      return {
        sequence,
        bytes: await session.sealed.sealRequest(sequence, { method: 'POST', path: `${API}/orders`, body }),
      };
    };

    it('so that not one bit of a request can be another', async () => {
      const session = await bench.session(alice);
      const { bytes, sequence } = await sealOrder(session, await order());
      const before = openOrders();
      const head = 8 * HEAD_BYTES;
      const bits = [...Array.from({ length: head }, (_, bit) => bit)];
      for (let bit = head; bit < 8 * bytes.length; bit += 61) bits.push(bit);
      bits.push(8 * bytes.length - 1);
      for (const bit of bits) {
        const reply = await sendSealed(bench.url, flipped(bytes, bit));
        assertRefused(reply, 401, bit < 128 ? 'SESSION_REFUSED' : 'REQUEST_REFUSED');
      }
      assert.equal(openOrders(), before);
      // None of them has used the sequence up.
      const reply = await session.check(await sendSealed(bench.url, bytes), sequence);
      assert.deepEqual([reply.status, reply.isAuthentic], [201, true]);
    });

    it('so that not one bit of a reply can be another, nor be the reply to something else', async () => {
      const session = await bench.session(alice);
      session.wire = [];
      await session.call('GET', '/balances');
      await session.call('GET', '/balances');
      const [first, second] = session.wire.map(({ reply }) => reply.bytes) as [Buffer, Buffer];
      const { sealed } = session;
      assert.equal((await sealed.openReply(1, first))?.status, 200);
      for (let bit = 0; bit < 8 * first.length; bit += 331) {
        assert.equal(await sealed.openReply(1, flipped(first, bit)), undefined, `bit ${bit}`);
      }
      assert.equal(await sealed.openReply(2, first), undefined);
      assert.equal(await sealed.openReply(1, second), undefined);
      assert.equal(await sealed.openFrame(1, 0, first), undefined, 'nor a frame');
      for (const length of [0, 1, 15, 16, first.length - 1]) {
        assert.equal(await sealed.openReply(1, first.subarray(0, length)), undefined, `${length} bytes`);
      }
      const other = await bench.session(alice);
      assert.equal(await other.sealed.openReply(1, first), undefined);
    });

    it('for one session, one sequence, one direction and one purpose', async () => {
      const [session, same, other] = [await bench.session(alice), await bench.session(alice), await bench.session(bob)];
      session.wire = [];
      assert.equal((await session.call('GET', '/balances')).status, 200);
      const before = openOrders();
      const attempts: Uint8Array[] = [];
      for (const stranger of [same, other]) {
        const { bytes } = await sealOrder(stranger, await order());
        attempts.push(Buffer.concat([session.sealed.id, bytes.subarray(session.sealed.id.length)]));
      }
      const { bytes } = await sealOrder(session, await order());
      const moved = Uint8Array.from(bytes);
      new DataView(moved.buffer).setUint32(session.sealed.id.length, session.sequence + 5);
      attempts.push(moved);
      // What the enclave said comes back to it.
      const [first] = session.wire;
      assert(first !== undefined);
      const reflected = first.reply.bytes.subarray(0, SEALED_REQUEST_BYTES - HEAD_BYTES);
      attempts.push(Buffer.concat([bytes.subarray(0, HEAD_BYTES), reflected]));
      // What was meant for a stream comes here, as long as a request is.
      const hello = await session.sealed.sealHello(++session.sequence, '{}');
      attempts.push(Buffer.concat([hello, new Uint8Array(SEALED_REQUEST_BYTES - hello.length)]));
      for (const attempt of attempts) assertRefused(await sendSealed(bench.url, attempt), 401, 'REQUEST_REFUSED');
      assert.equal(openOrders(), before);
    });

    it('with a length that is always the same', async () => {
      const session = await bench.session(alice);
      const { bytes } = await sealOrder(session, await order());
      assert.equal(bytes.length, SEALED_REQUEST_BYTES);
      for (const length of [0, 1, HEAD_BYTES, SEALED_REQUEST_BYTES - 1]) {
        assertRefused(await sendSealed(bench.url, bytes.subarray(0, length)), 400, 'USAGE');
      }
      assertRefused(await sendSealed(bench.url, Buffer.concat([bytes, new Uint8Array(1)])), 413, 'USAGE');
      const huge = await sendSealed(bench.url, new Uint8Array(1_000_000)).catch((error: unknown) => error);
      // The connection may be gone before all of it was sent.
      if (huge instanceof Error) assert.match(huge.message, /ECONNRESET|EPIPE/);
      else assertRefused(huge as PlainReply, 413, 'USAGE');
      const typed = { method: 'POST', path: `${API}/sealed`, headers: { 'content-type': 'application/json' } };
      assertRefused(await send(bench.url, { ...typed, body: bytes }), 415, 'USAGE');
      assertRefused(await send(bench.url, { method: 'POST', path: `${API}/sealed` }), 400, 'USAGE');
      assert.throws(() => packRequest({ method: 'POST', path: '/', body: 'x'.repeat(2_048) }), RangeError);
    });

    it('and there is no other way in', async () => {
      const body = await order();
      const paths = ['/orders', '/orders/1', '/orderbook/ETH-TEST', '/balances', '/fills', '/withdrawals', '/deadman'];
      for (const path of [...paths, `/journal/${'0'.repeat(64)}`, '/sealed', '/sessions']) {
        for (const method of ['GET', 'POST', 'PATCH', 'DELETE', 'PUT', 'HEAD']) {
          if (method === 'POST' && /sealed|sessions/.test(path)) continue;
          const hasBody = /POST|PATCH|PUT/.test(method);
          const reply = await send(bench.url, {
            method,
            path: API + path,
            headers: { owner: alice.key.keys.owner.toString() },
            ...(hasBody ? { body: Buffer.from(body) } : {}),
          });
          assert.equal(reply.status, 404, `${method} ${path}`);
        }
      }
      const stranger = Object.assign(new IncomingMessage(new Socket()), { owner: 1n, text: '{}' });
      assert.throws(() => InnerMessage.of(stranger), TypeError, 'whatever it says of itself');
    });

    it('and whatever was read is answered so, refusals too', async () => {
      const session = await bench.session(alice);
      const replies = [
        await session.call('GET', '/balances'),
        await session.call('GET', '/orders/999'),
        await session.call('GET', '/orders/nonsense'),
        await session.call('POST', '/orders', { nonsense: 1 }),
        await session.call('POST', '/orders'),
        await ask(session, { method: 'POST', path: '/orders', body: '{' }),
        await ask(session, { method: 'POST', path: '/orders', body: '{"__proto__":{"lots":1}}' }),
        await session.call('DELETE', '/orders?market=1'),
        await session.call('GET', '/info'),
        await session.call('PUT', '/orders', {}),
        await session.call('BREW', '/orders'),
        await session.call('GET', '/orders/%zz'),
        await session.ask('GET', '//elsewhere/orders', ''),
        await session.ask('GET', '//', ''),
        await session.ask('GET', `${API}/../${API}//orders`, ''),
        await session.ask('GET', '/orders /more', ''),
        await session.ask('get', `${API}/orders`, ''),
        await session.ask('GET', `http://elsewhere${API}/orders`, ''),
        await session.ask('GET', '', ''),
      ];
      assert.deepEqual(
        replies.map(({ status }) => status),
        [200, 404, 400, 400, 400, 400, 400, 200, 404, 400, 400, 400, 404, 404, 404, 400, 400, 400, 400],
      );
      for (const { isAuthentic } of replies) assert.equal(isAuthentic, true);
    });

    it('in a form that is looked at', async () => {
      // The client's own packing makes none of these.
      const session = await bench.session(alice);
      const inner = (text: string) => Buffer.from(text, 'latin1');
      const plaintexts = [
        [9_999, inner(`GET ${API}/balances\n`)],
        [4, inner(`GET ${API}/balances\n`)],
        [0, inner('')],
        [4, inner('\n\n\n\n')],
        [20, inner('GET /api/v1/balances')],
        [22, inner('GET /api/v1/balances\n\xff')],
      ] as const;
      for (const [length, content] of plaintexts) {
        const padded = Buffer.alloc(2_048);
        padded.writeUInt32BE(length);
        content.copy(padded, 4);
        const sequence = ++session.sequence;
        const bytes = await session.sealed.sealPadded(KIND.request, sequence, padded);
        const reply = await session.check(await sendSealed(bench.url, bytes), sequence);
        assertRefused(reply, 400, 'USAGE');
        assert.equal(reply.isAuthentic, true);
      }
    });
  });

  describe('are made once', () => {
    it('a request that comes again has no effect', async () => {
      const session = await bench.session(alice);
      const body = toJson(wireOrder(await bench.order(alice, 'sell', 20, 1)));
      const signed = { method: 'POST', path: '/orders', body, sequence: ++session.sequence };
      assert.equal((await ask(session, signed)).status, 201);
      const { sequence } =
        bench.enclave.machine.state.save().blotter.find(([o]) => o === alice.key.keys.owner)?.[1] ?? {};
      assertPlain(await ask(session, signed), 409, 'REQUEST_REFUSED');
      assert.equal(bench.enclave.machine.state.records.sequence(alice.key.keys.owner), sequence);
    });

    it('of many at once with one sequence one is made', async () => {
      const session = await bench.session(alice);
      const sequence = ++session.sequence;
      const replies = await Promise.all(
        Array.from({ length: 8 }, () => ask(session, { method: 'GET', path: '/balances', sequence })),
      );
      assert.deepEqual(replies.map(({ status }) => status).sort(), [200, ...Array.from({ length: 7 }, () => 409)]);
    });

    it('in any order within the window, and not before it', async () => {
      const session = await bench.session(alice);
      const at = (sequence: number) => ask(session, { method: 'GET', path: '/balances', sequence });
      // Whoever sends many at once waits for all of them.
      for (const sequence of [5_001 - SEQUENCE_WINDOW, 4_999]) {
        await session.sealed.sealRequest(sequence, { method: 'GET', path: `${API}/balances`, body: '' });
      }
      assert.equal((await at(5_000)).status, 200);
      assert.equal((await at(5_001 - SEQUENCE_WINDOW)).status, 200);
      assertPlain(await at(5_001 - SEQUENCE_WINDOW), 409, 'REQUEST_REFUSED');
      assertPlain(await at(5_000 - SEQUENCE_WINDOW), 409, 'REQUEST_REFUSED');
      assertPlain(await at(1), 409, 'REQUEST_REFUSED');
      assert.equal((await at(4_999)).status, 200);
      assertPlain(await at(5_000), 409, 'REQUEST_REFUSED');
      assert.equal((await at(SEQUENCE_MAX - 1)).status, 200);
      assertPlain(await at(5_001), 409, 'REQUEST_REFUSED');
    });

    it('whatever comes in whatever order', () => {
      const dice = new Dice('sequences');
      const [sequences, used] = [new Sequences(), new Set<number>()];
      let highest = 0;
      for (let turn = 0; turn < 50_000; turn++) {
        const jump = dice.int(50) === 0 ? 3 * SEQUENCE_WINDOW : 4;
        const sequence = Math.max(0, highest - 1_100 + dice.int(1_100 + jump));
        const isFree = sequence > 0 && sequence > highest - SEQUENCE_WINDOW && !used.has(sequence);
        assert.equal(sequences.take(sequence), isFree, `sequence ${sequence} after ${highest}`);
        if (isFree) used.add(sequence);
        highest = Math.max(highest, sequence);
        if (!isFree || dice.int(20) > 0) continue;
        const awaited = new Set(Array.from({ length: 1_000 }, () => sequence - 1 - dice.int(SEQUENCE_WINDOW)));
        sequences.leave(sequence, (earlier) => awaited.has(earlier));
        for (let earlier = sequence - SEQUENCE_WINDOW; earlier < sequence; earlier++) {
          if (!awaited.has(earlier)) used.add(earlier);
        }
      }
    });
  });

  describe('take what is of the right form only', () => {
    it('and never repair it', async () => {
      const session = await bench.session(alice);
      const good = wireOrder(await bench.order(alice, 'sell', 20, 1));
      const { order } = good as { order: Record<string, string> };
      const secrets = Object.values(order).filter(({ length }) => length > 4);
      const before = bench.enclave.machine.state.records.orders(alice.key.keys.owner).length;
      const bodies: unknown[] = [
        { ...good, unknown: 1 },
        { ...good, order: { ...order, unknown: '1' } },
        { ...good, lots: '1' },
        { ...good, lots: 1.5 },
        { ...good, lots: -1 },
        { ...good, lots: 0 },
        { ...good, lots: 1e300 },
        { ...good, lots: 2 ** 53 },
        { ...good, lots: null },
        { ...good, lots: [1] },
        { ...good, price: true },
        { ...good, side: 'Sell' },
        { ...good, type: '__proto__' },
        { ...good, timeInForce: 'constructor' },
        { ...good, clientOrderId: '' },
        { ...good, clientOrderId: 'a b' },
        { ...good, clientOrderId: 'x'.repeat(37) },
        { ...good, postOnly: 'true' },
        { ...good, postOnly: 1 },
        { ...good, order: { ...order, sellMax: 10 } },
        { ...good, order: { ...order, sellMax: '0x10' } },
        { ...good, order: { ...order, sellMax: '-10' } },
        { ...good, order: { ...order, sellMax: '010' } },
        { ...good, order: { ...order, sellMax: '1e3' } },
        { ...good, order: { ...order, sellMax: (2n ** 120n).toString() } },
        { ...good, order: { ...order, sellAsset: (2n ** 160n).toString() } },
        { ...good, order: { ...order, expiry: (2n ** 40n).toString() } },
        { ...good, order: { ...order, salt: '9'.repeat(77) } },
        { ...good, order: { ...order, salt: '9'.repeat(78) } },
        { ...good, signature: undefined },
        { ...good, order: undefined },
        [good],
        'text',
        1,
        null,
      ];
      for (const body of bodies) {
        const reply = await ask(session, { method: 'POST', path: '/orders', body: toJson(body) });
        assertRefused(reply, 400, 'USAGE');
        assert.equal(reply.isAuthentic, true);
        assert(!secrets.some((value) => reply.text.includes(value)), 'values stay out of errors');
      }
      const proto = toJson(good).replace('{"clientOrderId"', '{"__proto__":{"a":1},"clientOrderId"');
      assertRefused(await ask(session, { method: 'POST', path: '/orders', body: proto }), 400, 'USAGE');
      const inner = toJson(good).replace('"order":{', '"order":{"__proto__":1,');
      assertRefused(await ask(session, { method: 'POST', path: '/orders', body: inner }), 400, 'USAGE');
      assert.equal(bench.enclave.machine.state.records.orders(alice.key.keys.owner).length, before);
      assert.equal((await ask(session, { method: 'POST', path: '/orders', body: toJson(good) })).status, 201);
    });

    it('also in paths and queries', async () => {
      const session = await bench.session(alice);
      const paths = [
        '/orders/__proto__',
        '/orders/constructor',
        '/orders/0',
        '/orders/01',
        '/orders/1.0',
        '/orders/-1',
        '/orders/1e1',
        `/orders/${'9'.repeat(16)}`,
        '/orders/%31%20',
        '/orders?status=every',
        '/orders?status=open&status=all',
        '/orders?other=1',
        '/orders?after=-1',
        '/orders?after=1e3',
        '/orders?limit=0',
        '/orders?limit=1001',
        '/orders?__proto__=1',
        '/fills?after=-1',
        '/fills?limit=0',
        '/fills?limit=1001',
        '/fills?limit=1.5',
        '/orderbook/__proto__',
        '/orderbook/eth-test',
        `/journal/${'0'.repeat(63)}`,
        `/journal/${'G'.repeat(64)}`,
      ];
      for (const path of paths) {
        const reply = await session.call('GET', path);
        assertRefused(reply, 400, 'USAGE');
        assert.equal(reply.isAuthentic, true, path);
      }
      assertRefused(await session.call('GET', '/orderbook/CONSTRUCTOR-A'), 404, 'USAGE');
      assertRefused(await session.call('DELETE', '/orders?market=1x'), 400, 'USAGE');
      assertRefused(await session.call('POST', '/deadman', { seconds: 3_601 }), 400, 'USAGE');
      assertRefused(await send(bench.url, { method: 'GET', path: '/nowhere' }), 404, 'USAGE');
      assertRefused(await send(bench.url, { method: 'GET', path: `${API}/stream` }), 426, 'USAGE');
    });
  });

  describe('are limited', () => {
    const withLimits = (limits: object) =>
      bench.restart({ api: { ...bench.settings.api, limits: { ...bench.settings.api.limits, ...limits } } });
    after(() => bench.restart());

    it('by what one owner may do, whichever session he uses', async () => {
      await withLimits({ owner: { perSecond: 2, burst: 3 } });
      const [first, second, other] = [await bench.session(alice), await bench.session(alice), await bench.session(bob)];
      for (const session of [first, second, first]) assert.equal((await session.call('GET', '/balances')).status, 200);
      const refused = await second.call('GET', '/balances');
      assertRefused(refused, 429, 'RATE_LIMITED');
      assert.equal(refused.isAuthentic, true);
      assert.equal((await other.call('GET', '/balances')).status, 200, 'others are not held up');
      // Its sequence is used all the same.
      const again = await ask(second, { method: 'GET', path: '/balances', sequence: second.sequence });
      assertPlain(again, 409, 'REQUEST_REFUSED');
      await new Promise((done) => setTimeout(done, 600));
      assert.equal((await first.call('GET', '/balances')).status, 200);
    });

    it('by the length of what they are answered', async () => {
      await withLimits({ owner: { perSecond: 10, burst: 80 } });
      const session = await bench.session(alice);
      for (let count = 0; count < 500; count++) {
        const [event] = await bench.enclave.operator.submit(
          await bench.order(alice, 'sell', 1_000, 1, { timeInForce: 'ioc' }),
        );
        assert.equal(event?.kind, 'accepted');
      }
      const long = () => session.call('GET', '/orders?status=all&limit=1000');
      assert((await long()).text.length > 100_000);
      let count = 1;
      while ((await long()).status === 200) count++;
      assert(count < 20, `${count} long answers`);
      assertRefused(await session.call('GET', '/balances'), 429, 'RATE_LIMITED');
      await new Promise((done) => setTimeout(done, 2_000));
      assert.equal((await session.call('GET', '/balances')).status, 200, 'not for long');
    });

    it('by what one address may do', async () => {
      await withLimits({ addressPerMinute: 5 });
      const session = await bench.session(alice);
      for (let count = 0; count < 5; count++) assert.equal((await session.call('GET', '/balances')).status, 200);
      const refused = await session.call('GET', '/balances');
      assertRefused(refused, 429, 'RATE_LIMITED');
      assert.equal(refused.isAuthentic, undefined, 'it is not read any more');
      assertRefused(await send(bench.url, { method: 'GET', path: '/nowhere' }), 429, 'RATE_LIMITED');
      assert.deepEqual(
        Object.keys(refused.headers).filter((name) => name.includes('rate')),
        [],
      );
    });

    it('by the connections that one address may have, unless a proxy counts them', async () => {
      await withLimits({ connectionsPerAddress: 3 });
      const direct = await keptConnections(bench.url, 5, '127.0.0.2');
      assert.equal(direct.kept, 3);
      assert.equal((await send(bench.url, { method: 'GET', path: `${API}/info` })).status, 200, 'others are let in');
      await direct.end();
      const { api } = bench.settings;
      await bench.restart({
        api: { ...api, limits: { ...api.limits, connectionsPerAddress: 3 }, trustedProxies: ['127.0.0.2'] },
      });
      const behind = await keptConnections(bench.url, 5, '127.0.0.2');
      assert.equal(behind.kept, 5);
      await behind.end();
    });

    it('by the sessions that one address may try to open', async () => {
      await withLimits({ openingsPerMinute: 3 });
      for (let count = 0; count < 3; count++) await bench.session(alice);
      assertRefused(await bench.post((await bench.opening(alice.key)).bytes), 429, 'RATE_LIMITED');
      assert.equal((await send(bench.url, { method: 'GET', path: `${API}/info` })).status, 200);
    });
  });
});
