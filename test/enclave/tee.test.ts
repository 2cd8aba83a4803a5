import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import { verifyEventLog } from '@bitcloak/attestation/eventLog';
import { parseQuote } from '@bitcloak/attestation/quote';
import { factsOfReport, verifyEvidence } from '@bitcloak/attestation/verify';
import { DstackProvider } from '../../enclave/tee/dstack.ts';
import { EvidenceMaker } from '../../enclave/tee/evidence.ts';
import { teeKeys } from '../../enclave/tee/keys.ts';
import { TeeSimulator } from '../../enclave/tee/simulator.ts';
import { TsmProvider, type ReportFiles } from '../../enclave/tee/tsm.ts';
import {
  assertRefused,
  BOOT,
  CLOCK,
  dstackEvidence,
  ERA,
  intelQuote,
  NONCE,
  SEED,
  simulatedExpectations,
} from '../support/attestation.ts';

const FIXTURE = resolve(import.meta.dirname, '../fixtures/attestation/tdx-lite-getquote.json');
const REPORT_DATA = Uint8Array.from({ length: 64 }, (_, index) => index);

describe('keys and quotes of the machine', () => {
  let directory: string;
  let socket: string;
  const open: { close(): Promise<unknown> }[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-tee-'));
    socket = join(directory, 'agent.sock');
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    rmSync(directory, { recursive: true });
  });

  /** A guest agent that answers as it is told, and keeps what it was asked. */
  async function agent(answer: (response: ServerResponse) => void): Promise<{ url: string; body: string }[]> {
    const asked: { url: string; body: string }[] = [];
    const server: Server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        asked.push({ url: `${request.method} ${request.url}`, body });
        answer(response);
      });
    });
    await new Promise<void>((listening) => server.listen(socket, listening));
    open.push({
      close: () => {
        server.closeAllConnections();
        return new Promise((closed) => server.close(closed));
      },
    });
    return asked;
  }
  const answering = (text: string, status = 200) =>
    agent((response) => response.writeHead(status, { 'content-type': 'application/json' }).end(text));
  const simulator = async (seed = SEED) => {
    const opened = await TeeSimulator.listen({ path: socket, seed, boot: BOOT, clock: CLOCK });
    open.push(opened);
    return opened;
  };

  describe('from a dstack guest agent', () => {
    it('are what a real one answered, with the events that lead to its registers', async () => {
      const asked = await answering(readFileSync(FIXTURE, 'utf8'));
      const { quote, eventLog } = await new DstackProvider(socket).quote(REPORT_DATA);
      assert.deepEqual(quote, dstackEvidence().quote);
      const facts = verifyEventLog(eventLog ?? '', parseQuote(quote).report);
      assert.match(facts.composeHash, /^[0-9a-f]{64}$/);
      const body = JSON.stringify({ report_data: Buffer.from(REPORT_DATA).toString('hex') });
      assert.deepEqual(asked, [{ url: 'POST /GetQuote', body }]);
    });

    it('are 32 bytes for a path', async () => {
      const asked = await answering(JSON.stringify({ key: 'ab'.repeat(32), signature_chain: ['00', '01'] }));
      assert.deepEqual(await new DstackProvider(socket).key('a/b'), new Uint8Array(32).fill(0xab));
      assert.deepEqual(asked, [{ url: 'POST /GetKey', body: JSON.stringify({ path: 'a/b', purpose: 'bitcloak' }) }]);
    });

    const failures: Readonly<Record<string, (response: ServerResponse) => void>> = {
      'answers with a failure': (response) => response.writeHead(500).end('{"error":"the secret is 1234"}'),
      'answers with a key, and a failure': (response) => response.writeHead(400).end(`{"key":"${'ab'.repeat(32)}"}`),
      redirects: (response) => response.writeHead(302, { location: '/GetKey' }).end(),
      'answers no JSON': (response) => response.end('the secret is 1234'),
      'answers a list': (response) => response.end('[]'),
      'answers nothing of use': (response) => response.end('{}'),
      'answers a key that is too short': (response) => response.end(`{"key":"${'ab'.repeat(31)}"}`),
      'answers a key that is no hex': (response) => response.end(`{"key":"${'xy'.repeat(32)}"}`),
      'breaks off': (response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{"key":', () => response.destroy());
      },
      'says nothing': () => undefined,
      'does not stop': (response) => response.end('a'.repeat(5_000_000)),
    };
    for (const [title, answer] of Object.entries(failures)) {
      it(`that ${title} are none, and the error says nothing that it said`, async () => {
        await agent(answer);
        const provider = new DstackProvider(socket, 500);
        for (const failed of [provider.key('path'), provider.quote(REPORT_DATA)]) {
          await assert.rejects(failed, (error: Error & { code?: string }) => {
            assert.equal(error.code, 'TEE_FAILED');
            assert.match(error.message, /^the dstack guest agent's Get(Key|Quote): /);
            assert.doesNotMatch(error.message, /1234|abab|xyxy/);
            return true;
          });
        }
      });
    }

    it('that is not there are none', async () => {
      await assert.rejects(new DstackProvider(join(directory, 'nobody')).key('a'), {
        code: 'TEE_FAILED',
        message: /ENOENT/,
      });
    });

    it('of a machine of another kind are none', async () => {
      await answering(JSON.stringify({ quote: '', event_log: '', attestation: '00' }));
      await assert.rejects(new DstackProvider(socket).quote(REPORT_DATA), {
        code: 'TEE_FAILED',
        message: /another kind/,
      });
    });

    it('are asked for with 64 bytes', async () => {
      await assert.rejects(new DstackProvider(socket).quote(new Uint8Array(63)), RangeError);
    });
  });

  describe('from the simulator, over the same socket', () => {
    it('make evidence that holds for who trusts its authority, and for nobody else', async () => {
      const { authority, measurements } = await simulator();
      let issued = 0;
      const maker = new EvidenceMaker(new DstackProvider(socket), async () => {
        issued++;
        return authority.collateral(CLOCK);
      });
      const { evidence } = await maker.evidence(() => ERA, NONCE);
      const expected = simulatedExpectations({ anchor: authority.anchor, measurements: { allowed: [measurements] } });
      const facts = factsOfReport(await verifyEvidence(evidence, expected));
      assert.equal(facts.measurements.appId, BOOT.appId);
      await assertRefused(evidence, { ...expected, anchor: INTEL_ROOT }, [
        'collateral-signatures',
        'EVIDENCE_UNTRUSTED',
      ]);
      const other = new Uint8Array(32).fill(9);
      await assertRefused(evidence, { ...expected, nonce: other }, ['binding', 'BINDING_REFUSED']);
      const again = await Promise.all([
        maker.evidence(() => ERA, other),
        maker.evidence(() => ({ ...ERA, number: 8n }), NONCE),
      ]);
      assert.ok((await verifyEvidence(again[0].evidence, { ...expected, nonce: other })).accepted);
      await assertRefused(again[1].evidence, expected, ['binding', 'BINDING_REFUSED']);
      assert.equal(issued, 1, 'collateral is asked for once in a while');
    });

    it('are asked for again after a failure, and collateral after an hour', async () => {
      const { authority } = await simulator();
      let [now, asked] = [0, 0];
      const collaterals = async () => {
        if (++asked === 1) throw new Error('not now');
        return authority.collateral(CLOCK);
      };
      const maker = new EvidenceMaker(new DstackProvider(socket), collaterals, () => now);
      await assert.rejects(
        maker.evidence(() => ERA, NONCE),
        /not now/,
      );
      now = 59_999;
      await assert.rejects(
        maker.evidence(() => ERA, NONCE),
        /not now/,
      );
      assert.equal(asked, 1, 'not within a minute');
      now = 60_000;
      await maker.evidence(() => ERA, NONCE);
      now += 3_599_999;
      await maker.evidence(() => ERA, NONCE);
      assert.equal(asked, 2);
      now += 1;
      await maker.evidence(() => ERA, NONCE);
      assert.equal(asked, 3);
    });

    it('go on with the collateral that was fetched last, where no newer comes', async () => {
      const { authority } = await simulator();
      let [now, asked, isUp] = [0, 0, true];
      const collaterals = async () => {
        asked++;
        if (!isUp) throw new Error('not now');
        return authority.collateral(CLOCK + now);
      };
      const maker = new EvidenceMaker(new DstackProvider(socket), collaterals, () => now);
      const { evidence: first } = await maker.evidence(() => ERA, NONCE);
      isUp = false;
      for (const [time, attempts] of [
        [3_600_000, 2],
        [3_659_999, 2],
        [3_660_000, 3],
      ] as const) {
        now = time;
        assert.equal((await maker.evidence(() => ERA, NONCE)).evidence.collateral, first.collateral);
        assert.equal(asked, attempts);
      }
      isUp = true;
      now += 60_000;
      assert.notEqual((await maker.evidence(() => ERA, NONCE)).evidence.collateral, first.collateral);
    });

    it('are the same keys at every start, others for other paths, operators and seeds', async () => {
      const first = await simulator();
      const provider = new DstackProvider(socket);
      const keys = [await provider.key('a'), await provider.key('b')];
      const ofOne = await teeKeys(provider, 1n);
      const ofTwo = await teeKeys(provider, 2n);
      await first.close();
      open.splice(0);
      await simulator();
      assert.deepEqual([await provider.key('a'), await provider.key('b')], keys);
      const again = await teeKeys(provider, 1n);
      assert.deepEqual(again.journalKey, ofOne.journalKey);
      assert.deepEqual(again.era(3n).apiKey.publicKey, ofOne.era(3n).apiKey.publicKey);
      await open.splice(0)[0]?.close();
      await simulator(new Uint8Array(32).fill(1));
      const elsewhere = await teeKeys(provider, 1n);
      const all = [...keys, await provider.key('a'), ofOne.journalKey, ofTwo.journalKey, elsewhere.journalKey];
      assert.equal(new Set(all.map((key) => Buffer.from(key).toString('hex'))).size, all.length);
    });

    it('are none for what is no request', async () => {
      await simulator();
      const ask = async (path: string, body: object) => {
        const { request } = await import('node:http');
        return new Promise<number | undefined>((answered, failed) => {
          const sent = request({ socketPath: socket, path, method: 'POST' }, (response) => {
            response.resume();
            answered(response.statusCode);
          });
          sent.on('error', failed).end(JSON.stringify(body));
        });
      };
      assert.equal(await ask('/GetKey', {}), 404);
      assert.equal(await ask('/Sign', { path: 'a' }), 404);
      assert.equal(await ask('/GetQuote', { report_data: 'xy' }), 400);
      assert.equal(await ask('/GetQuote', { report_data: '00'.repeat(65) }), 400);
      assert.equal(await ask('/GetQuote', { report_data: '00' }), 200);
    });
  });

  describe('from Linux', () => {
    /** The kernel's files, as far as a report touches them: making the directory makes them, and writes are counted. */
    class Configfs implements ReportFiles {
      readonly made = new Map<string, { written: number; data: Uint8Array }>();
      readonly calls: string[] = [];
      provider = 'tdx_guest\n';
      outblob: Buffer = Buffer.from(intelQuote());
      interfere = false;

      async mkdir(path: string): Promise<void> {
        if (this.made.has(path)) throw Object.assign(new Error('there'), { code: 'EEXIST' });
        this.made.set(path, { written: 0, data: new Uint8Array() });
      }
      async rmdir(path: string): Promise<void> {
        assert.ok(this.made.delete(path));
      }
      async writeFile(path: string, data: Uint8Array): Promise<void> {
        const entry = this.#entry(path, 'inblob');
        entry.data = data;
        entry.written++;
      }
      async readFile(path: string): Promise<Buffer> {
        if (path.endsWith('/provider')) return Buffer.from(this.provider);
        if (path.endsWith('/generation')) return Buffer.from(`${this.#entry(path, 'generation').written}\n`);
        const entry = this.#entry(path, 'outblob');
        if (entry.written === 0) throw Object.assign(new Error('no data'), { code: 'EINVAL' });
        if (this.interfere) entry.written++;
        this.calls.push(Buffer.from(entry.data).toString('hex'));
        return this.outblob;
      }
      #entry(path: string, name: string) {
        assert.ok(path.endsWith(`/${name}`));
        const entry = this.made.get(path.slice(0, -name.length - 1));
        assert.ok(entry !== undefined);
        return entry;
      }
    }

    it('are quotes of what was asked, each from a place of its own that is gone again', async () => {
      const files = new Configfs();
      const provider = new TsmProvider('/config', files);
      const quotes = await Promise.all([provider.quote(REPORT_DATA), provider.quote(new Uint8Array(64))]);
      for (const { quote, eventLog } of quotes) {
        assert.deepEqual(quote, intelQuote());
        assert.equal(eventLog, undefined);
      }
      const asked = [Buffer.from(REPORT_DATA).toString('hex'), '00'.repeat(64)];
      assert.deepEqual(files.calls.toSorted(), asked.toSorted());
      assert.equal(files.made.size, 0);
    });

    it('are none where another has come between, the machine is of another kind, or the kernel fails', async () => {
      const wrong: readonly ((files: Configfs) => void)[] = [
        (files) => (files.interfere = true),
        (files) => (files.provider = 'sev_guest\n'),
        (files) => (files.outblob = Buffer.alloc(0)),
        (files) => {
          files.readFile = () => Promise.reject(Object.assign(new Error('busy'), { code: 'EBUSY' }));
        },
        (files) => {
          files.mkdir = () => Promise.reject(Object.assign(new Error('none'), { code: 'ENOENT' }));
        },
      ];
      for (const spoil of wrong) {
        const files = new Configfs();
        spoil(files);
        await assert.rejects(new TsmProvider('/config', files).quote(REPORT_DATA), { code: 'TEE_FAILED' });
        assert.equal(files.made.size, 0);
      }
      await assert.rejects(new TsmProvider('/nowhere/at/all').quote(REPORT_DATA), {
        code: 'TEE_FAILED',
        message: /ENOENT/,
      });
      await assert.rejects(new TsmProvider('/config', new Configfs()).quote(new Uint8Array(65)), RangeError);
    });

    it('are keys that end with the process', async () => {
      const [one, other] = [new TsmProvider(), new TsmProvider()];
      assert.deepEqual(await one.key('a'), await one.key('a'));
      const all = [await one.key('a'), await one.key('b'), await other.key('a')];
      assert.equal(new Set(all.map((key) => Buffer.from(key).toString('hex'))).size, 3);
    });
  });
});
