import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { hexOf } from '@bitcloak/attestation/bytes';
import { measurementDigest } from '@bitcloak/attestation/policy';
import { encodeEra, encodeEvidence } from '@bitcloak/attestation/wire';
import { buildAttestor, type AttestorReport } from '@bitcloak/attestor/app';
import { askAttestor } from '@bitcloak/attestor/askAttestor';
import type { AttestationRequest } from '@bitcloak/attestor/attestor';
import { attestorOf, type Attestation } from '@bitcloak/chain/attestors';
import { eraReportData } from '@bitcloak/attestation/binding';
import type { BitcloakError } from '@bitcloak/protocol/errors';
import { Wallet } from 'ethers';
import type { FastifyInstance } from 'fastify';
import {
  CLOCK,
  DAY,
  developmentAuthority,
  ERA,
  NONCE,
  simulatedEvidence,
  simulatedExpectations,
  simulatedMeasurements,
  STRICT_TCB,
} from '../support/attestation.ts';
import { TestAttestors } from '../support/attestors.ts';

const NOW = CLOCK + 60;
const VERIFIER = 0x77n;
const trust = () => {
  const { anchor, tcb, measurements } = simulatedExpectations();
  return { anchor, tcb, measurements };
};

describe('an attestor', function () {
  this.timeout(60_000);
  const signer = new Wallet(`0x${'5'.repeat(64)}`);
  const reports: AttestorReport[] = [];
  let app: FastifyInstance;
  let url: string;

  const attestors = new TestAttestors();
  const collaterals = async () => simulatedEvidence().collateral;

  before(async () => {
    const attestor = attestors.open({
      collaterals,
      chainId: ERA.chainId,
      registry: ERA.registry,
      verifier: VERIFIER,
      trust: trust(),
      signer,
      validSecondsMax: 7 * DAY,
      clock: () => NOW,
    });
    app = await buildAttestor({ attestor, ratePerMinute: 10_000, report: (line) => reports.push(line) });
    url = await app.listen({ host: '127.0.0.1', port: 0 });
  });
  after(async () => {
    await app.close();
    attestors.end();
  });

  const request = (change: Partial<AttestationRequest> = {}): AttestationRequest => ({
    evidence: simulatedEvidence(),
    era: ERA,
    nonce: hexOf(NONCE),
    validUntil: NOW + DAY,
    ...change,
  });
  const post = async (body: unknown, type = 'application/json') => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(`${url}/v1/attestations`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: text,
    });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const wire = ({ evidence, era, ...rest } = request()) => ({
    evidence: encodeEvidence(evidence),
    era: encodeEra(era),
    ...rest,
  });

  it('signs for evidence that holds, and says what it measured', async () => {
    const { signature, measurement } = await askAttestor(url, request());
    assert.equal(measurement, `0x${measurementDigest(simulatedMeasurements())}`);
    const statement: Attestation = {
      chainId: ERA.chainId,
      verifier: VERIFIER,
      registry: ERA.registry,
      operator: 1n,
      era: ERA,
      nonce: `0x${hexOf(NONCE)}`,
      measurement,
      validUntil: BigInt(NOW + DAY),
    };
    assert.equal(attestorOf(statement, signature), signer.address);
    assert.notEqual(attestorOf({ ...statement, validUntil: 1n }, signature), signer.address);
  });

  it('signs for an operator whose number is too large for a double', async () => {
    const operator = 2n ** 53n + 1n;
    const reportData = eraReportData({ ...ERA, operator }, NONCE);
    const evidence = simulatedEvidence({ quote: { reportData } });
    const { signature, measurement } = await askAttestor(url, request({ evidence, era: { ...ERA, operator } }));
    const { chainId, registry } = ERA;
    const validUntil = BigInt(NOW + DAY);
    const nonce = `0x${hexOf(NONCE)}`;
    const statement: Attestation = {
      chainId,
      verifier: VERIFIER,
      registry,
      operator,
      era: ERA,
      nonce,
      measurement,
      validUntil,
    };
    assert.equal(attestorOf(statement, signature), signer.address);
    assert.deepEqual(reports.at(-1), { kind: 'signed' });
  });

  it('refuses what does not hold, with every check', async () => {
    const authority = developmentAuthority();
    const refusals: readonly (readonly [string, Partial<AttestationRequest>, string])[] = [
      ['another nonce', { nonce: 'ab'.repeat(32) }, 'BINDING_REFUSED'],
      ['another key', { era: { ...ERA, apiKey: new Uint8Array(32) } }, 'BINDING_REFUSED'],
      ['another registry', { era: { ...ERA, registry: 5n } }, 'BINDING_REFUSED'],
      ['another chain', { era: { ...ERA, chainId: 1n } }, 'BINDING_REFUSED'],
      [
        'another program',
        { evidence: simulatedEvidence({ quote: { mrTd: new Uint8Array(48) } }) },
        'MEASUREMENT_REFUSED',
      ],
      [
        'a revoked processor',
        { evidence: simulatedEvidence({ collateral: { revoked: ['pck'] } }) },
        'EVIDENCE_REVOKED',
      ],
      [
        'a processor that was overtaken',
        { evidence: simulatedEvidence({ collateral: { recovery: CLOCK - 40 * DAY } }) },
        'TCB_REFUSED',
      ],
      ['too long a time', { validUntil: NOW + 7 * DAY + 1 }, 'EVIDENCE_EXPIRED'],
      ['the past', { validUntil: NOW }, 'EVIDENCE_EXPIRED'],
      [
        'longer than its collateral',
        { evidence: { ...simulatedEvidence(), collateral: authority.collateral(CLOCK, { seconds: 3_600 }) } },
        'EVIDENCE_EXPIRED',
      ],
    ];
    for (const [title, change, code] of refusals) {
      const { status, json } = await post(wire(request(change)));
      assert.deepEqual([status, json['code']], [422, code], title);
      assert.ok(!('signature' in json));
      await assert.rejects(askAttestor(url, request(change)), { code: 'ATTESTOR_FAILED', message: new RegExp(code) });
      assert.deepEqual(reports.at(-1), { kind: 'refused', code });
    }
    const { json } = await post(wire(request({ nonce: 'ab'.repeat(32) })));
    const checks = json['checks'] as { name: string; passed: boolean }[];
    assert.deepEqual(
      checks.filter(({ passed }) => !passed).map(({ name }) => name),
      ['binding'],
    );
  });

  it('refuses what is no request', async () => {
    for (const body of [
      {},
      [],
      'x',
      { ...wire(), more: 1 },
      { ...wire(), validUntil: '5' },
      { ...wire(), nonce: 'AB' },
    ]) {
      const { status, json } = await post(body);
      assert.equal(status, 400);
      assert.match(String(json['code']), /^(EVIDENCE_MALFORMED|USAGE)$/);
    }
    assert.equal((await post('x'.repeat(3_000_000))).status, 413);
    assert.equal((await post('x', 'text/plain')).status, 415);
    assert.equal((await fetch(`${url}/health`)).status, 200);
    const nowhere = await fetch(`${url}/nowhere`);
    assert.equal(nowhere.status, 404);
    assert.deepEqual(await nowhere.json(), { code: 'USAGE', message: 'path: expected one of the attestor' });
  });

  it('that does not answer as it should is none', async () => {
    await assert.rejects(askAttestor('http://127.0.0.1:1', request()), { code: 'ATTESTOR_FAILED' });
    await assert.rejects(askAttestor(`${url}/nowhere`, request()), { code: 'ATTESTOR_FAILED' });
  });

  /** What becomes of asking an attestor that answers like this. */
  async function askedOf(answer: (response: ServerResponse) => void): Promise<string> {
    const server = createServer((asked, response) => {
      asked.resume();
      answer(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      await askAttestor(`http://127.0.0.1:${port}`, request(), 20_000);
      return assert.fail('it was answered');
    } catch (error) {
      assert.equal((error as BitcloakError).code, 'ATTESTOR_FAILED');
      return (error as Error).message.replace(`127.0.0.1:${port}`, 'host');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  it('is listened to no longer than an answer is, however much it sends', async () => {
    const zeros = Buffer.alloc(1024 * 1024);
    let sent = 0;
    const said = await askedOf((response) => {
      const compressed = createGzip();
      response.writeHead(200, { 'content-encoding': 'gzip' });
      // As much as the other side takes.
      const endless = new Readable({
        read() {
          sent++;
          this.push(zeros);
        },
      });
      pipeline(endless, compressed, response, () => undefined);
    });
    assert.equal(said, 'the attestor host: too long an answer');
    assert.ok(sent < 1_000, `${sent} MiB`);
  });

  it('is quoted in words that do a terminal and a log no harm', async () => {
    const refuse = (body: object) => (response: ServerResponse) => {
      response.writeHead(422).end(JSON.stringify(body));
    };
    const loud = refuse({ code: 'TCB_REFUSED', message: `\u001b[2J\nfailed${'x'.repeat(60_000)}` });
    const said = await askedOf(loud);
    assert.match(said, /^the attestor host: TCB_REFUSED, \?\[2J\?failedx+$/);
    assert.equal(said.length, 'the attestor host: '.length + 300);
    for (const body of [[], {}, { message: 'x' }, { code: { toString: 1, valueOf: 1 }, message: 'x' }]) {
      assert.equal(await askedOf(refuse(body)), 'the attestor host: status 422');
    }
  });

  it('limits what one address asks', async () => {
    const attestor = attestors.open({
      collaterals,
      chainId: 1n,
      registry: 1n,
      verifier: 1n,
      trust: trust(),
      signer,
      validSecondsMax: DAY,
      clock: () => NOW,
    });
    const limited = await buildAttestor({ attestor, ratePerMinute: 2 });
    const statuses = [];
    for (let asked = 0; asked < 3; asked++) {
      const { statusCode } = await limited.inject({ method: 'POST', url: '/v1/attestations', payload: {} });
      statuses.push(statusCode);
    }
    assert.deepEqual(statuses, [400, 400, 429]);
    await limited.close();
  });
});

describe('the attestor as a process', function () {
  this.timeout(60_000);
  let directory: string;
  const root = resolve(import.meta.dirname, '../..');

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-attestor-'));
  });
  after(() => {
    rmSync(directory, { recursive: true });
  });

  const file = (name: string, text: string, mode = 0o600) => {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const environment = (): Record<string, string> => ({
    CHAIN_ID: '31337',
    REGISTRY: `0x${'11'.repeat(20)}`,
    VERIFIER: `0x${'22'.repeat(20)}`,
    TRUST: file(
      'trust.json',
      JSON.stringify({ anchor: 'intel', tcb: STRICT_TCB, measurements: [simulatedMeasurements()] }),
    ),
    KEY_FILE: file('key', `0x${'5'.repeat(64)}\n`),
    DIRECTORY: join(directory, 'kept'),
    // Nobody is there, and an attestor serves all the same.
    ENDPOINT: 'http://127.0.0.1:1',
    PORT: '0',
  });
  async function run(
    settings: Record<string, string>,
    isUp?: (line: Record<string, unknown>) => Promise<void>,
    words: readonly string[] = [],
  ) {
    const env = Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [`BITCLOAK_ATTESTOR_${name}`, value]),
    );
    const child = spawn(process.execPath, [join(root, 'packages/cli/src/main.ts'), 'attestor', ...words], {
      env: { PATH: process.env['PATH'], ...env },
    });
    let [out, err] = ['', ''];
    let isAsked = false;
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (isUp !== undefined && !isAsked && out.includes('\n')) {
        void isUp(JSON.parse(out) as Record<string, unknown>).finally(() => child.kill('SIGTERM'));
        isAsked = true;
      }
    });
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const code = await new Promise<number | null>((ended) => child.on('close', ended));
    return { code, out, err };
  }

  it('serves, says who it is, and ends when it is told to', async () => {
    let status = 0;
    const { code, out, err } = await run(environment(), async ({ url }) => {
      status = (await fetch(`${String(url)}/health`)).status;
    });
    assert.deepEqual([code, err, status], [0, '', 200]);
    assert.match(out, new RegExp(new Wallet(`0x${'5'.repeat(64)}`).address));
    assert.doesNotMatch(out, /5{20}/);
  });

  it('says what its settings are, and takes none as arguments', async () => {
    const { code, out, err } = await run({}, undefined, ['--help']);
    assert.deepEqual([code, err], [0, '']);
    for (const name of Object.keys(environment())) assert.match(out, new RegExp(`^  BITCLOAK_ATTESTOR_${name} `, 'm'));
    const wrong = await run(environment(), undefined, ['--port', '1']);
    assert.deepEqual([wrong.code, wrong.out], [2, '']);
    assert.match(wrong.err, /^USAGE: /);
  });

  it('does not start with settings that are none, and tells no key', async () => {
    const wrong: readonly (readonly [string, () => string])[] = [
      ['CHAIN_ID', () => 'x'],
      ['REGISTRY', () => '0x1'],
      ['TRUST', () => file('none.json', '{')],
      ['TRUST', () => file('some.json', '{}')],
      ['KEY_FILE', () => file('open', `0x${'5'.repeat(64)}`, 0o644)],
      ['KEY_FILE', () => file('short', '0x5555555555555555')],
      ['VALID_SECONDS', () => '2592001'],
      ['ENDPOINT', () => 'nowhere'],
      ['KEPT_MIB', () => '0'],
    ];
    for (const [name, value] of wrong) {
      const { code, err } = await run({ ...environment(), [name]: value() });
      assert.equal(code, 2, err);
      assert.match(err, new RegExp(`^USAGE: BITCLOAK_ATTESTOR_${name}: expected `));
      assert.doesNotMatch(err, /5{16}/);
    }
  });
});
