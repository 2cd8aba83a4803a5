import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Collateral } from '@bitcloak/attestation/collateral';
import { fetchCollateral, INTEL_PCS } from '@bitcloak/attestation/collateralSource';
import { failedCheck, INTEL_EXPECTATIONS, intelCollateral, intelQuote } from '../support/attestation.ts';
import { verifyEvidence } from '@bitcloak/attestation/verify';

type Answer = { readonly status?: number; readonly headers?: Record<string, string>; readonly body: string | Buffer };

const TCB = '/tdx/certification/v4/tcb?fmspc=b0c06f000000&update=early';
const QE = '/tdx/certification/v4/qe/identity?update=early';
const PCK_CRL = '/sgx/certification/v4/pckcrl?ca=platform&encoding=der';
const ROOT_CRL = '/sgx/certification/v4/rootcacrl';

/** What Intel's service answers, with the collateral that was recorded. */
function recorded({ ...collateral }: Collateral): Map<string, Answer> {
  const chain = (pem: string) => encodeURIComponent(pem);
  return new Map<string, Answer>([
    [
      TCB,
      {
        headers: { 'TCB-Info-Issuer-Chain': chain(collateral.tcbInfoIssuerChain) },
        body: `{"tcbInfo":${collateral.tcbInfo},"signature":"${collateral.tcbInfoSignature}"}`,
      },
    ],
    [
      QE,
      {
        headers: { 'SGX-Enclave-Identity-Issuer-Chain': chain(collateral.qeIdentityIssuerChain) },
        body: `{"enclaveIdentity":${collateral.qeIdentity},"signature":"${collateral.qeIdentitySignature}"}`,
      },
    ],
    [
      PCK_CRL,
      {
        headers: { 'SGX-PCK-CRL-Issuer-Chain': chain(collateral.pckCrlIssuerChain) },
        body: Buffer.from(collateral.pckCrl, 'hex'),
      },
    ],
    [ROOT_CRL, { body: collateral.rootCaCrl }],
  ]);
}

describe('a source of collateral', () => {
  const collateral = intelCollateral();
  let server: Server;
  let base: string;
  let answers: Map<string, Answer>;
  let asked: string[];
  let hold: ((response: ServerResponse, url: string) => boolean) | undefined;

  before((done) => {
    server = createServer(({ url = '' }, response) => {
      asked.push(url);
      if (hold?.(response, url) === true) return;
      const { status = 200, headers = {}, body } = answers.get(url) ?? { status: 404, body: '' };
      response.writeHead(status, headers).end(body);
    }).listen(0, '127.0.0.1', () => {
      base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      done();
    });
  });

  after((done) => {
    server.closeAllConnections();
    server.close(done);
  });

  beforeEach(() => {
    answers = recorded(collateral);
    asked = [];
    hold = undefined;
  });

  const alter = (url: string, change: Partial<Answer>) => {
    answers.set(url, { ...(answers.get(url) ?? assert.fail(url)), ...change });
  };
  const assertUnreachable = (words: RegExp, options: object = {}) =>
    assert.rejects(fetchCollateral(intelQuote(), { base, ...options }), (error: { code?: string; message: string }) => {
      assert.equal(error.code, 'COLLATERAL_UNREACHABLE', error.message);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /fmspc/);
      return true;
    });

  it('gives what verifies the quote, byte for byte as it was signed', async () => {
    const fetched = await fetchCollateral(intelQuote(), { base });
    assert.deepEqual(fetched, collateral);
    assert.deepEqual(asked.toSorted(), [PCK_CRL, ROOT_CRL, QE, TCB].toSorted());
    const report = await verifyEvidence({ quote: intelQuote(), collateral: fetched }, INTEL_EXPECTATIONS);
    assert.equal(failedCheck(report), 'measurements');
  });

  it('may have the forms of other services', async () => {
    const pem = (hex: string) => {
      const lines =
        Buffer.from(hex, 'hex')
          .toString('base64')
          .match(/.{1,64}/g) ?? [];
      return `-----BEGIN X509 CRL-----\n${lines.join('\n')}\n-----END X509 CRL-----\n`;
    };
    for (const crl of [
      collateral.rootCaCrl.toUpperCase(),
      `${collateral.rootCaCrl}\n`,
      pem(collateral.rootCaCrl),
      Buffer.from(collateral.rootCaCrl, 'hex'),
    ]) {
      alter(ROOT_CRL, { body: crl });
      assert.deepEqual(await fetchCollateral(intelQuote(), { base: `${base}/` }), collateral);
    }
    alter(PCK_CRL, { body: pem(collateral.pckCrl) });
    alter(TCB, { headers: { 'SGX-TCB-Info-Issuer-Chain': encodeURIComponent(collateral.tcbInfoIssuerChain) } });
    assert.deepEqual(await fetchCollateral(intelQuote(), { base }), collateral);
  });

  it("asks for the root's CRL where it is told to, and for what holds later where it is told to", async () => {
    answers.set('/root.der', { body: Buffer.from(collateral.rootCaCrl, 'hex') });
    answers.delete(ROOT_CRL);
    for (const url of [TCB, QE]) answers.set(url.replace('early', 'standard'), answers.get(url) ?? assert.fail());
    const source = { base, rootCrl: `${base}/root.der`, update: 'standard' as const };
    assert.deepEqual(await fetchCollateral(intelQuote(), source), collateral);
    assert.equal(asked.filter((url) => url.includes('update=standard')).length, 2);
    const urls: string[] = [];
    const fetch = async (url: string) => {
      urls.push(url);
      return new Response('', { status: 404 });
    };
    await assertUnreachable(/404/, { ...INTEL_PCS, fetch });
    assert.ok(urls.every((url) => /^https:\/\/(api|certificates)\.trustedservices\.intel\.com\//.test(url)));
  });

  for (const [what, url] of [
    ['TCB info', TCB],
    ['QE identity', QE],
    ['PCK CRL', PCK_CRL],
    ['root CRL', ROOT_CRL],
  ] as const) {
    it(`is not reached where the ${what} does not come`, async () => {
      for (const status of [204, 404, 500]) {
        alter(url, { status, body: '' });
        await assertUnreachable(new RegExp(`status ${status}`));
      }
      alter(url, { status: 302, headers: { location: `${base}/elsewhere` } });
      await assertUnreachable(/no collateral/);
      alter(url, { status: 200, body: 'x'.repeat(800 * 1024) });
      await assertUnreachable(/more than 786432 bytes/);
      alter(url, { body: 'something else' });
      await assertUnreachable(/the answer is no|header/);
      alter(url, { body: '' });
      await assertUnreachable(/the answer is no|header/);
    });

    it(`is not reached where the ${what} comes too slowly`, async () => {
      hold = (response, asking) => {
        if (asking === url) response.writeHead(200).write('{');
        return asking === url;
      };
      await assertUnreachable(/TimeoutError/, { msMax: 100 });
    });

    it(`is not reached where the ${what} breaks off`, async () => {
      hold = (response, asking) => {
        if (asking !== url) return false;
        response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy());
        return true;
      };
      await assertUnreachable(/no collateral/);
    });
  }

  for (const [header, url] of [
    ['TCB-Info-Issuer-Chain', TCB],
    ['SGX-Enclave-Identity-Issuer-Chain', QE],
    ['SGX-PCK-CRL-Issuer-Chain', PCK_CRL],
  ] as const) {
    it(`is not reached without a right header ${header}`, async () => {
      alter(url, { headers: {} });
      await assertUnreachable(new RegExp(`${header}.* is missing`));
      alter(url, { headers: { [header]: '%' } });
      await assertUnreachable(/URL-encoded/);
    });
  }

  it('is not reached where what it signs has been written anew', async () => {
    const text = JSON.stringify(
      { tcbInfo: JSON.parse(collateral.tcbInfo) as unknown, signature: collateral.tcbInfoSignature },
      undefined,
      1,
    );
    alter(TCB, { body: text });
    await assertUnreachable(/no signed tcbInfo/);
    alter(TCB, { body: `{"tcbInfo":${collateral.tcbInfo},"signature":"00"}` });
    await assertUnreachable(/no signed tcbInfo/);
  });

  it('is not reached where nobody listens', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    await assertUnreachable(/ECONNREFUSED/, { base: `http://127.0.0.1:${port}` });
  });

  it('is not asked for a quote that cannot be read, nor under a base that is none', async () => {
    await assert.rejects(fetchCollateral(new Uint8Array(4), { base }), { code: 'EVIDENCE_MALFORMED' });
    await assert.rejects(fetchCollateral(intelQuote(), { base: 'nowhere' }), { code: 'USAGE' });
    assert.deepEqual(asked, []);
  });
});
