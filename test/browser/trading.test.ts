import assert from 'node:assert/strict';
import { bytesOfHex, hexOf } from '@bitcloak/attestation/bytes';
import { decodeEra } from '@bitcloak/attestation/wire';
import { verify } from '@bitcloak/crypto/eddsa';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { Keyring } from '@bitcloak/notes/keys';
import { orderHashOf } from '@bitcloak/notes/order';
import { API } from '@bitcloak/trading/wire';
import { skipWithoutChromium, TestPage } from '../support/browser/browser.ts';
import { AttestedDesk, PAIR } from '../support/browser/desk.ts';
import { Middle, type Answer, type Tamper } from '../support/browser/middle.ts';
import { connect } from '../support/browser/trading.ts';
import { attestationOf } from '../support/enclaveEvidence.ts';
import { seededBytes } from '../support/random.ts';

const ENDPOINT = '/rpc';

const INFO_PATH = `${API}/info`;
const ATTESTATION_PATH = `${API}/attestation`;
const SESSIONS_PATH = `${API}/sessions`;
const [INFO, ATTESTATION, MARKETS] = [`GET ${INFO_PATH}`, `GET ${ATTESTATION_PATH}`, `GET ${API}/markets`];
const [SESSIONS, SEALED] = [`POST ${SESSIONS_PATH}`, `POST ${API}/sealed`];

describe('a trading client in a page in Chromium', function () {
  this.timeout(120_000);
  const bytes = seededBytes('page that trades');
  const seed = bytes(64);
  let desk: AttestedDesk;
  let page: TestPage;

  before(async function () {
    skipWithoutChromium(this);
    desk = await AttestedDesk.open(bytes);
    await desk.fund(seed, 100_000n);
    page = await TestPage.open({ posts: { [ENDPOINT]: (json) => desk.answer(json) } });
  });
  after(async () => {
    await (page as TestPage | undefined)?.close();
    await (desk as AttestedDesk | undefined)?.close();
  });

  const settings = () => desk.settings(seed, page.origin + ENDPOINT);

  it('verifies an enclave of another origin, and places, sees and cancels an order', async () => {
    const { url, operatorId } = settings();
    assert.notEqual(new URL(url).origin, page.origin);
    const { kept, placed, cancelled, events, open } = await page.call('trade', settings(), PAIR, '20', '50');
    const [signed] = kept;
    assert.ok(signed !== undefined && kept.length === 1);
    const { keys } = new Keyring(seed).tradingAccount(operatorId, 0);
    assert.equal(signed.order.owner, keys.owner);
    assert.ok(verify(keys.publicKey, orderHashOf(signed.order), signed.signature), 'circomlib’s hash, as Node has it');
    assert.deepEqual([placed.status, placed.price, placed.lots, placed.open], ['open', 20, 50, 50]);
    assert.deepEqual([cancelled.id, cancelled.status], [placed.id, 'cancelled']);
    assert.deepEqual(
      events.map((event) => (event.kind === 'report' ? event.report.kind : event.kind)),
      ['connected', 'snapshot', 'accepted', 'cancelled'],
    );
    assert.deepEqual(open, [[placed.id], []]);
    // What the page was told is what the enclave has.
    assert.deepEqual(desk.enclave.machine.state.records.orders(keys.owner), [cancelled]);
    assert.deepEqual(page.complaints, []);
  });

  describe('and a host in the middle', () => {
    const own = new HpkeKey(bytes(32));
    let middle: Middle | undefined;
    afterEach(async () => {
      await middle?.close();
      middle = undefined;
    });

    const sitIn = async (tamper: Tamper) => {
      middle = await Middle.open(desk.enclave.url, tamper);
      return { asked: middle.asked, settings: { ...settings(), url: middle.url } };
    };
    const answer = (json: unknown): Answer => ({ status: 200, bytes: Buffer.from(JSON.stringify(json)) });
    const jsonOf = ({ bytes: text }: Answer) => JSON.parse(Buffer.from(text).toString()) as Record<string, unknown>;
    const inPlaceOf =
      (path: string, change: (url: URL, real: Answer) => Answer): Tamper =>
      async (url, handOn) => {
        const real = await handOn();
        return url.pathname === path ? change(url, real) : real;
      };

    /** The client refuses, here as in the page, with one line. @param asked all that the host hears before it does. */
    async function refuses(code: string, message: RegExp, asked: readonly string[], tamper: Tamper): Promise<void> {
      const there = await sitIn(tamper);
      const refused = await page.call('connect', there.settings);
      assert.equal(refused?.code, code, refused?.message);
      assert.match(refused.message, message);
      assert.match(refused.message, /^[\x20-\x7e…−]+$/);
      assert.deepEqual(there.asked, asked);
      await middle?.close();
      const here = await sitIn(tamper);
      assert.deepEqual(await connect(here.settings), refused);
      assert.deepEqual(here.asked, asked);
    }

    it('is spoken to where he hands everything on, since he reads none of it', async () => {
      const there = await sitIn((_url, handOn) => handOn());
      assert.equal(await page.call('connect', there.settings), undefined);
      assert.deepEqual(there.asked, [INFO, ATTESTATION, MARKETS, INFO, SESSIONS, SEALED]);
    });

    it('is refused where he names his own key', () =>
      refuses(
        'OPERATOR_MISMATCH',
        /the operator's keys are not those of the registry/,
        [INFO],
        inPlaceOf(INFO_PATH, (_url, real) => answer({ ...jsonOf(real), apiKey: hexOf(own.publicKey) })),
      ));

    it('is refused where he shows evidence from before', async () => {
      const recorded = await fetch(`${desk.enclave.url}${ATTESTATION_PATH}?nonce=${hexOf(bytes(32))}`);
      const json = await recorded.json();
      await refuses(
        'BINDING_REFUSED',
        /^report data: it binds another/,
        [INFO, ATTESTATION],
        inPlaceOf(ATTESTATION_PATH, () => answer(json)),
      );
    });

    it('is refused where he makes evidence of a machine of his own', () =>
      refuses(
        'EVIDENCE_UNTRUSTED',
        /its root is/,
        [INFO, ATTESTATION],
        inPlaceOf(ATTESTATION_PATH, ({ searchParams }, real) => {
          const nonce = bytesOfHex(searchParams.get('nonce') ?? '', 'nonce');
          return answer(attestationOf(decodeEra(jsonOf(real)['era']), nonce));
        }),
      ));

    it('is refused where he opens the session himself', () =>
      refuses(
        'REPLY_FORGED',
        /who opens the session does not have its key/,
        [INFO, ATTESTATION, MARKETS, INFO, SESSIONS],
        inPlaceOf(SESSIONS_PATH, (_url, { bytes: real }) => ({ status: 201, bytes: bytes(real.length) })),
      ));
  });
});
